"""Layers, with Keras 3's names, arguments, defaults and weight order."""

from ..core.errors import module_dir, module_getattr
from ..core.values import SymbolicTensor as KerasTensor
from .activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from .attention import GroupQueryAttention, MultiHeadAttention
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
from .base import clear_names as _clear_names
from .byte_pairs import BytePairTokenizer
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
from .convolution import Conv1D, Conv2D, DepthwiseConv1D, DepthwiseConv2D
from .core import Dense
from .dot_attention import AdditiveAttention, Attention
from .einsum_dense import EinsumDense
from .embedding import Embedding
from .functions import Identity, Lambda
from .input import Input, InputLayer
from .input_spec import InputSpec
from .learned_activations import FReLU, Maxout
from .masking import Masking
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
from .normalization import (
    BatchNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from .penalties import ActivityRegularization
from .permuting import Permute, RepeatVector
from .pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from .positions import (
    PositionEmbedding,
    ReversibleEmbedding,
    RotaryEmbedding,
    SinePositionEncoding,
    TokenAndPositionEmbedding,
)
from .random_augment import RandAugment
from .regularization import AlphaDropout, Dropout, GaussianDropout, GaussianNoise, SpatialDropout1D, SpatialDropout2D
from .repetition import Pipeline, Repeat, Residual, SpectralNormalization, Wrapper
from .reshaping import Flatten, Reshape, ZeroPadding1D, ZeroPadding2D
from .resizing import CenterCrop, Cropping1D, Cropping2D, Resizing, UpSampling1D, UpSampling2D
from .rnn import GRU, LSTM, RNN, Bidirectional, SimpleRNN, TimeDistributed
from .rnn_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from .scaling import MinMaxScaling, Normalization, Rescaling
from .separable import SeparableConv1D, SeparableConv2D
from .tables import CategoryEncoding, Discretization, Hashing, IntegerLookup, StringLookup
from .text import TextVectorization
from .transformer import TransformerDecoder, TransformerEncoder
from .transposed import Conv1DTranspose, Conv2DTranspose

AvgPool1D = AveragePooling1D
AvgPool2D = AveragePooling2D
Convolution1D = Conv1D
Convolution1DTranspose = Conv1DTranspose
Convolution2D = Conv2D
Convolution2DTranspose = Conv2DTranspose
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalMaxPool2D = GlobalMaxPooling2D
MaxPool1D = MaxPooling1D
MaxPool2D = MaxPooling2D
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D

__all__ = [
    "ELU", "GRU", "LSTM", "RNN", "Activation", "ActivityRegularization", "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D", "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "Add", "AdditiveAttention",
    "AlphaDropout", "Attention", "Average", "AveragePooling1D", "AveragePooling2D", "AvgPool1D", "AvgPool2D",
    "BatchNormalization", "Bidirectional", "BytePairTokenizer", "CategoryEncoding", "CenterCrop", "Concatenate",
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Convolution1D", "Convolution1DTranspose",
    "Convolution2D", "Convolution2DTranspose", "Cropping1D", "Cropping2D", "CutMix", "Dense", "DepthwiseConv1D",
    "DepthwiseConv2D", "Discretization", "Dot", "Dropout", "EinsumDense", "Embedding", "FReLU", "Flatten", "GRUCell",
    "GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAvgPool1D",
    "GlobalAvgPool2D", "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "GroupNormalization", "GroupQueryAttention", "Hashing", "Identity", "Input", "InputLayer", "InputSpec",
    "InstanceNormalization", "IntegerLookup", "KerasTensor", "LSTMCell", "Lambda", "Layer", "LayerNormalization",
    "LeakyReLU", "Masking", "MaxPool1D", "MaxPool2D", "MaxPooling1D", "MaxPooling2D", "Maximum", "Maxout",
    "MinMaxScaling", "Minimum", "MixUp", "MultiHeadAttention", "Multiply", "Normalization", "PReLU", "Permute",
    "Pipeline", "PositionEmbedding", "RMSNormalization", "RandAugment", "RandomBrightness", "RandomColorJitter",
    "RandomContrast", "RandomCrop", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue",
    "RandomPerspective", "RandomRotation", "RandomSaturation", "RandomShear", "RandomTranslation", "RandomZoom", "ReLU",
    "Repeat", "RepeatVector", "Rescaling", "Reshape", "Residual", "Resizing", "ReversibleEmbedding", "RotaryEmbedding",
    "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D", "SimpleRNN",
    "SimpleRNNCell", "SinePositionEncoding", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpectralNormalization",
    "StackedRNNCells", "StringLookup", "Subtract", "TextVectorization", "TimeDistributed", "TokenAndPositionEmbedding",
    "TransformerDecoder", "TransformerEncoder", "UnitNormalization", "UpSampling1D", "UpSampling2D", "Wrapper",
    "ZeroPadding1D", "ZeroPadding2D", "add", "average", "concatenate", "deserialize", "dot", "get", "maximum",
    "minimum", "multiply", "serialize", "subtract",
]  # fmt: skip
_clear_names()  # layers that are examples of wrappers have taken some
__getattr__ = module_getattr(__name__, "layer")
__dir__ = module_dir(__name__)
