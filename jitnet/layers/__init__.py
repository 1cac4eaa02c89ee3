"""Layers, with Keras 3's names, arguments, defaults and weight order."""

from ..core.errors import module_getattr
from ..core.values import SymbolicTensor as KerasTensor
from .activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from .base import Layer, deserialize, get, serialize
from .convolution import Conv2D, DepthwiseConv2D
from .core import Dense
from .input import Input, InputLayer
from .learned_activations import FReLU, Maxout
from .merging import Add, Concatenate, Multiply, add, concatenate, multiply
from .normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from .penalties import ActivityRegularization
from .pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D
from .regularization import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
)
from .repetition import Repeat, Residual, SpectralNormalization
from .reshaping import Flatten, Reshape, ZeroPadding2D
from .scaling import MinMaxScaling, Normalization, Rescaling

AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
MaxPool2D = MaxPooling2D

__all__ = [
    "ELU", "Activation", "ActivityRegularization", "Add", "AlphaDropout", "AveragePooling2D", "AvgPool2D",
    "BatchNormalization", "Concatenate", "Conv2D", "Dense", "DepthwiseConv2D", "Dropout", "FReLU", "Flatten",
    "GaussianDropout", "GaussianNoise", "GlobalAveragePooling2D", "GlobalAvgPool2D", "GlobalMaxPool2D",
    "GlobalMaxPooling2D", "GroupNormalization", "Input", "InputLayer", "InstanceNormalization", "KerasTensor", "Layer",
    "LayerNormalization", "LeakyReLU", "MaxPool2D", "MaxPooling2D", "Maxout", "MinMaxScaling", "Multiply",
    "Normalization", "PReLU", "RMSNormalization", "ReLU", "Repeat", "Rescaling", "Reshape", "Residual", "Softmax",
    "SpatialDropout1D", "SpatialDropout2D", "SpectralNormalization", "UnitNormalization", "ZeroPadding2D", "add",
    "concatenate", "deserialize", "get", "multiply", "serialize",
]  # fmt: skip
__getattr__ = module_getattr(__name__, "layer")
