"""Layers, with Keras 3's names, arguments, defaults and weight order."""

from ..core.errors import module_dir, module_getattr
from ..core.values import SymbolicTensor as KerasTensor
from .activation import Activation, ReLU, Softmax
from .base import Layer, deserialize, get, serialize
from .convolution import Conv2D, DepthwiseConv2D
from .core import Dense
from .embedding import Embedding
from .functions import Identity, Lambda
from .input import Input, InputLayer
from .merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from .normalization import BatchNormalization
from .permuting import Permute, RepeatVector
from .pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D
from .regularization import Dropout
from .reshaping import Flatten, Reshape, ZeroPadding2D

AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
MaxPool2D = MaxPooling2D

__all__ = [
    "Activation", "Add", "Average", "AveragePooling2D", "AvgPool2D", "BatchNormalization", "Concatenate", "Conv2D",
    "Dense", "DepthwiseConv2D", "Dot", "Dropout", "Embedding", "Flatten", "GlobalAveragePooling2D", "GlobalAvgPool2D",
    "GlobalMaxPool2D", "GlobalMaxPooling2D", "Identity", "Input", "InputLayer", "KerasTensor", "Lambda", "Layer",
    "MaxPool2D", "MaxPooling2D", "Maximum", "Minimum", "Multiply", "Permute", "ReLU", "RepeatVector", "Reshape",
    "Softmax", "Subtract", "ZeroPadding2D", "add", "average", "concatenate", "deserialize", "dot", "get", "maximum",
    "minimum", "multiply", "serialize", "subtract",
]  # fmt: skip
__getattr__ = module_getattr(__name__, "layer")
__dir__ = module_dir(__name__)
