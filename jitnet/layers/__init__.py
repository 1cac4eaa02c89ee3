"""Layers, with Keras 3's names, arguments, defaults and weight order."""

from ..core.errors import module_getattr
from ..core.values import SymbolicTensor as KerasTensor
from .activation import Activation, ReLU, Softmax
from .base import Layer, deserialize, get, serialize
from .convolution import Conv2D, DepthwiseConv2D
from .core import Dense
from .input import Input, InputLayer
from .merging import Add, Concatenate, Multiply, add, concatenate, multiply
from .normalization import BatchNormalization
from .penalties import ActivityRegularization
from .pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D
from .regularization import Dropout
from .reshaping import Flatten, Reshape, ZeroPadding2D
from .rnn import GRU, LSTM, RNN, Bidirectional, SimpleRNN, TimeDistributed
from .rnn_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells

AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
MaxPool2D = MaxPooling2D

__all__ = [
    "GRU", "LSTM", "RNN", "Activation", "ActivityRegularization", "Add", "AveragePooling2D", "AvgPool2D",
    "BatchNormalization", "Bidirectional", "Concatenate", "Conv2D", "Dense", "DepthwiseConv2D", "Dropout", "Flatten",
    "GRUCell", "GlobalAveragePooling2D", "GlobalAvgPool2D", "GlobalMaxPool2D", "GlobalMaxPooling2D", "Input",
    "InputLayer", "KerasTensor", "LSTMCell", "Layer", "MaxPool2D", "MaxPooling2D", "Multiply", "ReLU", "Reshape",
    "SimpleRNN", "SimpleRNNCell", "Softmax", "StackedRNNCells", "TimeDistributed", "ZeroPadding2D", "add",
    "concatenate", "deserialize", "get", "multiply", "serialize",
]  # fmt: skip
__getattr__ = module_getattr(__name__, "layer")
