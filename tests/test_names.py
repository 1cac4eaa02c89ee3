"""Names that are missing and arguments that are unknown: what there is, the nearest, and what is planned."""

import copy
import doctest
import importlib
import inspect
import subprocess
import sys

import pytest

import jitnet
from jitnet import callbacks, initializers, layers, losses, metrics, models, optimizers, regularizers
from jitnet.core import errors
from jitnet.core import planned as _planned

PLANNED = "It is planned, but not there yet."
MODULES = (
    "activations", "callbacks", "constraints", "initializers", "layers", "losses", "metrics", "models", "ops",
    "optimizers", "regularizers", "schedules", "utils",
)  # fmt: skip


@pytest.mark.parametrize(
    "module, name, hint",
    [
        ("jitnet", "Sequentail", "Did you mean 'Sequential'?"),
        ("jitnet", "optimisers", "Did you mean 'optimizers'?"),
        ("jitnet.activations", "gelo", "Did you mean 'gelu'?"),
        ("jitnet.initializers", "HeNorml", "Did you mean "),
        ("jitnet.layers", "conv2d", "Did you mean 'Conv2D'?"),
        ("jitnet.losses", "Hubber", "Did you mean 'Huber'?"),
        ("jitnet.metrics", "BinaryAcuracy", "Did you mean 'BinaryAccuracy'?"),
        ("jitnet.models", "clone_modle", "Did you mean 'clone_model'?"),
        ("jitnet.ops", "rleu", "Did you mean 'relu'?"),
        ("jitnet.optimizers", "RMSprob", "Did you mean 'RMSprop'?"),
        ("jitnet.optimizers.schedules", "CosineDecai", "Did you mean 'CosineDecay'?"),
        ("jitnet.regularizers", "L3", "Known: Regularizer, "),
        ("jitnet.utils", "set_seed", "Did you mean 'set_random_seed'?"),
    ],
)
def test_missing_names(module, name, hint):
    found = importlib.import_module(module)
    with pytest.raises(AttributeError) as caught:
        getattr(found, name)
    message = str(caught.value)
    assert message.startswith(f"{found.__name__} has no {name!r}. {hint}")
    assert message.endswith(f"Received: name={name!r}")
    scope = {}
    with pytest.raises(ImportError) as imported:
        exec(f"from {module} import {name}", scope)
    assert str(imported.value) == message and imported.value.name == found.__name__
    assert not hasattr(found, name) and getattr(found, name, 3) == 3 and name not in scope


def test_names_that_are_there_still_are():
    scope = {}
    exec("from jitnet import Input, layers, eager; from jitnet.layers import Dense, base", scope)
    assert scope["layers"] is layers and scope["Dense"] is layers.Dense
    exec("from jitnet.ops import *", scope)
    assert scope["relu"] is jitnet.ops.relu
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'jitnet\.nothing'"):
        importlib.import_module("jitnet.nothing")


@pytest.mark.parametrize("module", MODULES)
def test_tools_that_ask_for_anything(module):
    found = importlib.import_module(f"jitnet.{module}")
    for name in ("__wrapped__", "__path_of_nothing__", "_pytestfixturefunction"):
        with pytest.raises(AttributeError, match=f"^module '{found.__name__}' has no attribute '{name}'$"):
            getattr(found, name)
    assert sorted(dict(inspect.getmembers(found))) == dir(found)
    assert doctest.DocTestFinder().find(found) is not None
    assert inspect.unwrap(found) is found
    assert copy.copy(found.__getattr__) is found.__getattr__


def test_what_is_planned_and_what_is_nearest(monkeypatch):
    monkeypatch.setitem(_planned.NAMES, "callback", ("TensorPlank",))
    error = errors.unknown_name("callback", "tensor_plank", ["Plank", "History"])
    assert str(error).startswith(f"Unknown callback 'tensor_plank'. {PLANNED}")
    assert str(error).endswith("Received: callback='tensor_plank'")


def test_nothing_is_planned_that_there_is():
    tables = {"callback": callbacks}
    for kind, module in ((kind, tables[kind]) for kind in _planned.NAMES):
        there = [name for name in _planned.NAMES[kind] if hasattr(module, name)]
        assert there == [], f"remove {there} from _planned.py"


# ---- arguments


class UserLayer(layers.Layer):
    def __init__(self, units, **kwargs):
        self.extra = kwargs.pop("extra", 0)  # as users' layers may
        super().__init__(**kwargs)


class UserOptimizer(optimizers.Optimizer):
    hyperparameter_names = ("learning_rate",)


@pytest.mark.parametrize(
    "make, owner, hint, received",
    [
        (lambda: optimizers.Adam(clipnrm=1), "Adam has no argument", "Did you mean 'clipnorm'?", "clipnrm=1"),
        (lambda: optimizers.SGD(lr=0.1), "SGD has no argument 'lr'", " learning_rate, learning_rate_", "lr=0.1"),
        (lambda: optimizers.SGD(momentun=1), "SGD has no argument", "Did you mean 'momentum'?", "momentun=1"),
        (lambda: layers.Dense(4, foo=1, units_=2), "Dense has no argument 'foo'", "Known: ", "foo=1, units_=2"),
        (lambda: layers.Dense(4, kernel_constrain=1), "Dense has no", "'kernel_constraint'?", "kernel_constrain=1"),
        (lambda: layers.Conv2D(4, 3, stride=2), "Conv2D has no argument", "Did you mean 'strides'?", "stride=2"),
        (lambda: jitnet.Sequential(nme="a"), "Sequential has no argument", "Did you mean 'name'?", "nme='a'"),
        (lambda: jitnet.Model(nme="a"), "Model has no argument", "Did you mean 'name'?", "nme='a'"),
        (lambda: jitnet.Input((3,), batchsize=2), "InputLayer has no", "Did you mean 'batch_size'?", "batchsize=2"),
        (lambda: losses.MeanSquaredError(reducton=1), "MeanSquaredError", "Did you mean 'reduction'?", "reducton=1"),
        (lambda: metrics.BinaryAccuracy(treshold=1), "BinaryAccuracy", "Did you mean 'threshold'?", "treshold=1"),
        (lambda: callbacks.EarlyStopping(patiense=3), "EarlyStopping", "Did you mean 'patience'?", "patiense=3"),
        (lambda: initializers.HeNormal(sed=3), "HeNormal has no", "Did you mean 'seed'?", "sed=3"),
        (lambda: regularizers.L2(l1=3), "L2 has no argument 'l1'", "Known: l2.", "l1=3"),
        (lambda: optimizers.schedules.CosineDecay(0.1, 9, alfa=1), "CosineDecay", "Did you mean 'alpha'?", "alfa=1"),
        (lambda: UserLayer(3, extr=1), "UserLayer has no argument 'extr'", "Known: ", "extr=1"),
        (lambda: UserOptimizer(learning_rate=1, foo=1), "UserOptimizer has no", " loss_scale_factor, name,", "foo=1"),
    ],
)  # fmt: skip
def test_unknown_arguments(make, owner, hint, received):
    with pytest.raises(TypeError) as caught:
        make()
    message = str(caught.value)
    assert message.startswith(owner) and hint in message and message.endswith(f" Received: {received}")


def test_known_arguments_pass():
    assert UserLayer(3, extra=5, name="mine").extra == 5
    assert UserOptimizer(learning_rate=2).learning_rate == 2
    assert list(inspect.signature(optimizers.Adam).parameters) == [
        "learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad", "name", "options",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="positional argument"):
        optimizers.Adam(0.1, 0.9, 0.9, 1e-7, False, "adam", 1)


def test_positions_are_keras():
    """The order of constructors' arguments is that of Keras 3.15; those that jitnet lacks are left out at the end."""
    expected = {
        layers.Activation: "activation",
        layers.ActivityRegularization: "l1 l2",
        layers.BatchNormalization: "axis momentum epsilon center scale beta_initializer gamma_initializer "
        "moving_mean_initializer moving_variance_initializer beta_regularizer gamma_regularizer "
        "beta_constraint gamma_constraint renorm renorm_clipping renorm_momentum synchronized",
        layers.Concatenate: "axis",
        layers.Conv2D: "filters kernel_size strides padding data_format dilation_rate groups activation use_bias "
        "kernel_initializer bias_initializer kernel_regularizer bias_regularizer activity_regularizer "
        "kernel_constraint bias_constraint",
        layers.Dense: "units activation use_bias kernel_initializer bias_initializer kernel_regularizer "
        "bias_regularizer activity_regularizer kernel_constraint bias_constraint",
        layers.DepthwiseConv2D: "kernel_size strides padding depth_multiplier data_format dilation_rate activation "
        "use_bias depthwise_initializer bias_initializer depthwise_regularizer bias_regularizer "
        "activity_regularizer depthwise_constraint bias_constraint",
        layers.CenterCrop: "height width data_format",
        layers.Conv1D: "filters kernel_size strides padding data_format dilation_rate groups activation use_bias "
        "kernel_initializer bias_initializer kernel_regularizer bias_regularizer activity_regularizer "
        "kernel_constraint bias_constraint",
        **dict.fromkeys(
            (layers.Conv1DTranspose, layers.Conv2DTranspose),
            "filters kernel_size strides padding output_padding data_format dilation_rate activation use_bias "
            "kernel_initializer bias_initializer kernel_regularizer bias_regularizer activity_regularizer "
        "kernel_constraint bias_constraint",
        ),
        layers.Cropping1D: "cropping",
        layers.Cropping2D: "cropping data_format",
        layers.DepthwiseConv1D: "kernel_size strides padding depth_multiplier data_format dilation_rate activation "
        "use_bias depthwise_initializer bias_initializer depthwise_regularizer bias_regularizer "
        "activity_regularizer depthwise_constraint bias_constraint",
        layers.GlobalAveragePooling1D: "data_format keepdims",
        layers.GlobalMaxPooling1D: "data_format keepdims",
        layers.AdaptiveAveragePooling1D: "output_size data_format",
        layers.AdaptiveAveragePooling2D: "output_size data_format",
        layers.AdaptiveMaxPooling1D: "output_size data_format",
        layers.AdaptiveMaxPooling2D: "output_size data_format",
        layers.EinsumDense: "equation output_shape activation bias_axes kernel_initializer bias_initializer "
        "kernel_regularizer bias_regularizer kernel_constraint bias_constraint",
        layers.Pipeline: "layers name",
        layers.Wrapper: "layer",
        layers.AveragePooling1D: "pool_size strides padding data_format name",
        layers.MaxPooling1D: "pool_size strides padding data_format name",
        layers.Resizing: "height width interpolation crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value "
        "antialias data_format",
        **dict.fromkeys(
            (layers.SeparableConv1D, layers.SeparableConv2D),
            "filters kernel_size strides padding data_format dilation_rate depth_multiplier activation use_bias "
            "depthwise_initializer pointwise_initializer bias_initializer depthwise_regularizer pointwise_regularizer "
            "bias_regularizer activity_regularizer depthwise_constraint pointwise_constraint bias_constraint",
        ),
        layers.UpSampling1D: "size",
        layers.UpSampling2D: "size data_format interpolation",
        layers.ZeroPadding1D: "padding data_format",
        layers.Dropout: "rate noise_shape seed",
        layers.Flatten: "data_format",
        layers.GlobalAveragePooling2D: "data_format keepdims",
        layers.GlobalMaxPooling2D: "data_format keepdims",
        layers.InputLayer: "shape batch_size dtype",
        jitnet.Input: "shape batch_size dtype",
        layers.MaxPooling2D: "pool_size strides padding data_format name",
        layers.AveragePooling2D: "pool_size strides padding data_format name",
        layers.CategoryEncoding: "num_tokens output_mode sparse",
        layers.Discretization: "bin_boundaries num_bins epsilon output_mode sparse dtype name",
        layers.Hashing: "num_bins mask_value salt output_mode sparse",
        layers.IntegerLookup: "max_tokens num_oov_indices mask_token oov_token vocabulary vocabulary_dtype idf_weights "
        "invert output_mode sparse pad_to_max_tokens oov_method salt name",
        layers.StringLookup: "max_tokens num_oov_indices mask_token oov_token vocabulary idf_weights invert "
        "output_mode pad_to_max_tokens sparse encoding name salt",
        layers.TextVectorization: "max_tokens standardize split ngrams output_mode output_sequence_length "
        "pad_to_max_tokens vocabulary idf_weights sparse ragged encoding name",
        layers.BytePairTokenizer: "max_tokens merges sequence_length special_tokens name",
        layers.CutMix: "factor seed data_format",
        layers.MixUp: "alpha data_format seed",
        layers.RandAugment: "value_range num_ops factor interpolation seed data_format",
        layers.RandomBrightness: "factor value_range seed",
        layers.RandomColorJitter: "value_range brightness_factor contrast_factor saturation_factor hue_factor seed "
        "data_format",
        layers.RandomContrast: "factor value_range seed",
        layers.RandomCrop: "height width seed data_format name",
        layers.RandomErasing: "factor scale fill_value value_range seed data_format",
        layers.RandomFlip: "mode seed data_format",
        layers.RandomGaussianBlur: "factor kernel_size sigma value_range data_format seed",
        layers.RandomGrayscale: "factor data_format seed",
        layers.RandomHue: "factor value_range data_format seed",
        layers.RandomPerspective: "factor scale interpolation fill_value seed data_format",
        layers.RandomRotation: "factor fill_mode interpolation seed fill_value data_format",
        layers.RandomSaturation: "factor value_range data_format seed",
        layers.RandomShear: "x_factor y_factor interpolation fill_mode fill_value data_format seed",
        layers.RandomTranslation: "height_factor width_factor fill_mode interpolation seed fill_value data_format",
        layers.RandomZoom: "height_factor width_factor fill_mode interpolation seed fill_value data_format",
        layers.ReLU: "max_value negative_slope threshold",
        layers.Reshape: "target_shape",
        layers.Softmax: "axis",
        layers.ZeroPadding2D: "padding data_format",
        layers.Dot: "axes normalize",
        layers.Embedding: (
            "input_dim output_dim embeddings_initializer embeddings_regularizer embeddings_constraint mask_zero "
            "weights lora_rank lora_alpha quantization_config"
        ),
        layers.Lambda: "function output_shape mask arguments",
        layers.Permute: "dims",
        layers.RepeatVector: "n",
        models.Model: "inputs outputs name",
        models.Sequential: "layers trainable name",
    }
    affine = "center scale beta_initializer gamma_initializer beta_regularizer gamma_regularizer beta_constraint"
    dense = "use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer"
    expected |= {  # activations, normalisation, regularising layers
        layers.AlphaDropout: "rate noise_shape seed",
        layers.ELU: "alpha",
        layers.FReLU: "kernel_size kernel_initializer kernel_regularizer momentum epsilon",
        layers.GaussianDropout: "rate seed",
        layers.GaussianNoise: "stddev seed",
        layers.GroupNormalization: f"groups axis epsilon {affine} gamma_constraint",
        layers.InstanceNormalization: "axis epsilon",
        layers.LayerNormalization: f"axis epsilon {affine} gamma_constraint",
        layers.LeakyReLU: "negative_slope",
        layers.Masking: "mask_value",
        layers.Maxout: f"units pieces {dense}",
        layers.MinMaxScaling: "feature_range axis minimum maximum",
        layers.Normalization: "axis mean variance invert",
        layers.PReLU: "alpha_initializer alpha_regularizer alpha_constraint shared_axes",
        layers.RMSNormalization: "axis epsilon",
        layers.Repeat: "layer n return_intermediates",
        layers.Rescaling: "scale offset",
        layers.Residual: "block shortcut",
        layers.SpatialDropout1D: "rate seed",
        layers.SpatialDropout2D: "rate data_format seed",
        layers.SpectralNormalization: "layer power_iterations",
        layers.UnitNormalization: "axis",
    }
    kernels = (
        "use_bias kernel_initializer recurrent_initializer bias_initializer {}kernel_regularizer recurrent_regularizer "
        "bias_regularizer {}kernel_constraint recurrent_constraint bias_constraint dropout recurrent_dropout"
    )
    of_layer, of_cell = kernels.format("{}", "activity_regularizer "), kernels.format("{}", "")
    forget = "unit_forget_bias "
    sequences = "return_sequences return_state go_backwards stateful unroll"
    heads = "dropout use_bias {}sliding_window flash_attention kernel_initializer bias_initializer kernel_regularizer "
    heads += "bias_regularizer activity_regularizer kernel_constraint bias_constraint use_gate seed"
    expected |= {  # attention
        layers.AdditiveAttention: "use_scale dropout",
        layers.Attention: "use_scale score_mode dropout seed",
        layers.EinsumDense: (
            "equation output_shape activation bias_axes kernel_initializer bias_initializer kernel_regularizer "
            "bias_regularizer kernel_constraint bias_constraint lora_rank lora_alpha gptq_unpacked_column_size "
            "quantization_config"
        ),
        layers.GroupQueryAttention: f"head_dim num_query_heads num_key_value_heads {heads.format('')}",
        layers.MultiHeadAttention: (
            f"num_heads key_dim value_dim {heads.format('output_shape attention_axes ')}"
        ),
    }
    expected |= {
        layers.Bidirectional: "layer merge_mode weights backward_layer",
        layers.GRU: f"units activation recurrent_activation {of_layer.format('')} seed {sequences} reset_after "
        "use_cudnn",
        layers.GRUCell: f"units activation recurrent_activation {of_cell.format('')} reset_after seed",
        layers.LSTM: f"units activation recurrent_activation {of_layer.format(forget)} seed {sequences} use_cudnn",
        layers.LSTMCell: f"units activation recurrent_activation {of_cell.format(forget)} seed",
        layers.RNN: f"cell {sequences} zero_output_for_mask",
        layers.SimpleRNN: f"units activation {of_layer.format('')} {sequences} seed",
        layers.SimpleRNNCell: f"units activation {of_cell.format('')} seed",
        layers.StackedRNNCells: "cells",
        layers.TimeDistributed: "layer",
    }
    block = "intermediate_dim num_heads dropout activation layer_norm_epsilon kernel_initializer bias_initializer"
    expected |= {  # KerasHub's, but for ReversibleEmbedding
        layers.PositionEmbedding: "sequence_length initializer",
        layers.ReversibleEmbedding: "input_dim output_dim tie_weights embeddings_initializer embeddings_regularizer "
        "embeddings_constraint mask_zero reverse_dtype logit_soft_cap",
        layers.RotaryEmbedding: "max_wavelength scaling_factor sequence_axis feature_axis",
        layers.SinePositionEncoding: "max_wavelength",
        layers.TokenAndPositionEmbedding: "vocabulary_size sequence_length embedding_dim tie_weights "
        "embeddings_initializer mask_zero",
        layers.TransformerDecoder: f"{block} normalize_first",
        layers.TransformerEncoder: f"{block} normalize_first",
    }
    for made, names in expected.items():
        parameters = inspect.signature(made).parameters.values()
        assert " ".join(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD) == names, made
    public = {v for v in vars(layers).values() if inspect.isclass(v) and issubclass(v, layers.Layer)}
    alone = {layers.Add, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum, layers.Subtract}
    assert public - set(expected) == {layers.Layer, layers.Identity, *alone}  # theirs are keywords alone


def test_arguments_by_position():
    model = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(2)], False, "mine")
    assert model.name == "mine" and model.trainable_weights == []
    for wrong in (lambda: jitnet.Sequential([], "mine"), lambda: layers.Dense(2, trainable="no")):
        with pytest.raises(ValueError, match=r"expects trainable to be True or False\. Received: trainable='"):
            wrong()
    assert layers.Dropout(0.5, None, 3).seed == 3
    with pytest.raises(ValueError, match=r"expects noise_shape to .* Received: noise_shape=3"):
        layers.Dropout(0.5, 3)
    with pytest.raises(ValueError, match=r"Unknown dtype of Input 'float16'\. Did you mean .* Received: "):
        jitnet.Input((3,), None, "float16")


def test_importing_stays_cheap():
    code = "import sys, jitnet; hasattr(jitnet, 'Conv1D'); print(sorted({'numpy', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


PUBLIC = (
    "", *(f".{name}" for name in (*MODULES, "config", "gradients", "random", "saving")), ".datasets",
    *(f".datasets.{name}" for name in ("cifar10", "digits", "fashion_mnist", "mnist")),
)  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_dir_shows_public_names_alone(name):
    found = importlib.import_module(f"jitnet{name}")
    names = dir(found)
    assert names == sorted(set(names)) and names and not any(part.startswith("_") for part in names)
    for part in names:
        value = getattr(found, part)
        if inspect.ismodule(value):
            assert value.__name__ in {f"jitnet{room}.{part}" for room in ("", ".datasets", ".ops", ".utils")}
        else:
            assert getattr(value, "__module__", "jitnet").startswith("jitnet") and callable(value)
    # nothing that only jitnet uses
    assert not {"np", "ops", "invalid", "checks", "KNOWN", "per_sample", "publisher", "Path"} & set(names) - {"ops"}
    assert name == "" or "ops" not in names
    assert set(names) >= set(getattr(found, "__all__", ()))
