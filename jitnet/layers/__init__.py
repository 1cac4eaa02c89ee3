"""Layers, with Keras 3's names, arguments, defaults and weight order."""

from ..core.errors import module_getattr
from ..core.values import SymbolicTensor as KerasTensor
from .activation import Activation, ReLU, Softmax
from .augmentation import (
    RandomCrop,
    RandomFlip,
    RandomPerspective,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from .base import Layer, deserialize, get, serialize
from .colour_augmentation import (
    CutMix,
    MixUp,
    RandomBrightness,
    RandomColorJitter,
    RandomContrast,
    RandomErasing,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
)
from .convolution import Conv2D, DepthwiseConv2D
from .core import Dense
from .input import Input, InputLayer
from .merging import Add, Concatenate, Multiply, add, concatenate, multiply
from .normalization import BatchNormalization
from .pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D
from .random_augment import RandAugment
from .regularization import Dropout
from .reshaping import Flatten, Reshape, ZeroPadding2D
from .tables import CategoryEncoding, Discretization, Hashing, IntegerLookup, StringLookup

AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
MaxPool2D = MaxPooling2D

__all__ = [
    "Activation", "Add", "AveragePooling2D", "AvgPool2D", "BatchNormalization", "Concatenate", "Conv2D", "Dense",
    "DepthwiseConv2D", "Dropout", "Flatten", "GlobalAveragePooling2D", "GlobalAvgPool2D", "GlobalMaxPool2D",
    "GlobalMaxPooling2D", "Input", "InputLayer", "KerasTensor", "Layer", "MaxPool2D", "MaxPooling2D", "Multiply",
    "ReLU", "Reshape", "Softmax", "ZeroPadding2D", "add", "concatenate", "deserialize", "get", "multiply", "serialize",
]  # fmt: skip
# random changes of pictures, and columns of tables
__all__ += [
    "CategoryEncoding", "CutMix", "Discretization", "Hashing", "IntegerLookup", "MixUp", "RandAugment",
    "RandomBrightness", "RandomColorJitter", "RandomContrast", "RandomCrop", "RandomErasing", "RandomFlip",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomPerspective", "RandomRotation", "RandomSaturation",
    "RandomShear", "RandomTranslation", "RandomZoom", "StringLookup",
]  # fmt: skip
__getattr__ = module_getattr(__name__, "layer")
