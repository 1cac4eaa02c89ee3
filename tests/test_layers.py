"""Every layer of the registry, and what is particular to batch normalisation and dropout."""

import copy
import doctest
import inspect
import json
import re

import numpy as np
import pytest
from graphs import Draw, Suite, assert_close, labels, normal
from torch_reference import (
    nchw,
    nhwc,
    torch_average_pool,
    torch_batch_norm,
    torch_convolution,
    torch_max_pool,
    torch_resize,
    torch_transposed,
)

import jitnet
from jitnet import layers
from jitnet.builder import Computation
from jitnet.core.values import Variable, placeholder
from jitnet.layers.base import REGISTRY, Layer
from jitnet.step import Step

# the base, what computes nothing, and cells, which take states
CELLS = {layers.GRUCell, layers.LSTMCell, layers.SimpleRNNCell, layers.StackedRNNCells}
WITHOUT_EXAMPLE = {Layer, layers.InputLayer, *CELLS}
WITHOUT_EXAMPLE |= {  # of arrays alone
    layers.CategoryEncoding, layers.CutMix, layers.Discretization, layers.Hashing, layers.IntegerLookup, layers.MixUp,
    layers.StringLookup, layers.TextVectorization, layers.BytePairTokenizer,
}  # fmt: skip
PUBLIC = {getattr(layers, name) for name in layers.__all__ if inspect.isclass(getattr(layers, name))}
PUBLIC = sorted({cls for cls in PUBLIC if issubclass(cls, Layer)} - WITHOUT_EXAMPLE, key=lambda cls: cls.__name__)
EXAMPLES = {name: cls for name, cls in sorted(REGISTRY.items()) if cls.example is not None}
COMMON = set(inspect.signature(Layer.__init__).parameters) | {"kwargs"}
every_layer = pytest.mark.parametrize("name", EXAMPLES)


def make(name):
    arguments = copy.deepcopy(EXAMPLES[name].example["arguments"])  # some are layers
    return EXAMPLES[name](**arguments, name=name.lower())


def input_shapes(name):
    """The shapes of all inputs, without the batch axis."""
    shape = EXAMPLES[name].example["input_shape"]
    return [tuple(s) for s in shape] if isinstance(shape, list) else [tuple(shape)]


def apply(layer, inputs, training=False):
    example = EXAMPLES[type(layer).__name__].example
    if "apart" in example:  # one argument for each
        return layer(*inputs, training=training)
    several = isinstance(example["input_shape"], list)
    return layer(list(inputs) if several else inputs[0], training=training)


def placeholders(name):
    kind = "int64" if "integers" in EXAMPLES[name].example else None
    return [placeholder(f"x_{i}", shape, kind) for i, shape in enumerate(input_shapes(name))]


def built(name):
    """A layer with its weights, and its symbolic output."""
    layer = make(name)
    inputs = placeholders(name)
    return layer, inputs, apply(layer, inputs)


def with_parts(layer):
    """A layer, and all layers in it."""
    return [layer, *(part for inner in layer.sublayers() for part in with_parts(inner))]


def functional(name, training):
    """The layer as a function of its inputs and its weights."""

    def function(*values):
        count = len(input_shapes(name))
        layer, _, _ = built(name)
        replaced = dict(zip(layer.weights, values[count:], strict=True))
        for part in with_parts(layer):
            for attribute, value in list(vars(part).items()):
                if isinstance(value, Variable):
                    setattr(part, attribute, replaced[value])
        return apply(layer, values[:count], training)

    return function


TORCH = {
    "Activation": lambda t, layer, x: t.sigmoid(x),
    "Add": lambda t, layer, a, b: a + b,
    "AveragePooling2D": lambda t, layer, x: torch_average_pool(t, x, layer.pool_size, layer.strides, layer.padding),
    "Concatenate": lambda t, layer, a, b: t.cat([a, b], layer.axis),
    "Conv2D": lambda t, layer, x, w, b: (
        b + torch_convolution(t, x, w, layer.strides, layer.padding, layer.dilation_rate, layer.groups)
    ),
    "DepthwiseConv2D": lambda t, layer, x, w, b: (
        b
        + torch_convolution(
            t, x, w.reshape(*w.shape[:2], 1, -1), layer.strides, layer.padding, layer.dilation_rate, x.shape[3]
        )
    ),
    "Dense": lambda t, layer, x, w, b: t.tanh(x @ w + b),
    "GroupNormalization": lambda t, layer, x, g, b: (
        t.nn.functional.group_norm(x.movedim(-1, 1), layer.groups, g, b, layer.epsilon).movedim(1, -1)
    ),
    "InstanceNormalization": lambda t, layer, x, g, b: (
        t.nn.functional.group_norm(x.movedim(-1, 1), x.shape[-1], g, b, layer.epsilon).movedim(1, -1)
    ),
    "LayerNormalization": lambda t, layer, x, g, b: t.nn.functional.layer_norm(x, g.shape, g, b, layer.epsilon),
    "RMSNormalization": lambda t, layer, x, g: x / t.sqrt((x * x).mean(-1, keepdim=True) + layer.epsilon) * g,
    "UnitNormalization": lambda t, layer, x: x / t.linalg.vector_norm(x, 2, layer.axis, keepdim=True),
    "ELU": lambda t, layer, x: t.nn.functional.elu(x, layer.alpha),
    "LeakyReLU": lambda t, layer, x: t.nn.functional.leaky_relu(x, layer.negative_slope),
    "Maxout": lambda t, layer, x, w, b: (x @ w + b).reshape(-1, layer.units, layer.pieces).amax(-1),
    "PReLU": lambda t, layer, x, alpha: t.where(x > 0, x, alpha * x),
    "Flatten": lambda t, layer, x: x.flatten(1),
    "GlobalAveragePooling2D": lambda t, layer, x: x.mean((1, 2), layer.keepdims),
    "GlobalMaxPooling2D": lambda t, layer, x: x.amax((1, 2), layer.keepdims),
    "MaxPooling2D": lambda t, layer, x: torch_max_pool(t, x, layer.pool_size, layer.strides, layer.padding),
    "Multiply": lambda t, layer, a, b: a * b,
    "ReLU": lambda t, layer, x: t.nn.functional.leaky_relu(x, layer.negative_slope).clamp(max=layer.max_value),
    "Reshape": lambda t, layer, x: x.reshape(-1, 4, 6),
    "Softmax": lambda t, layer, x: t.exp(x - t.logsumexp(x, layer.axis, keepdim=True)),
    # permuting, merging and functions
    "Average": lambda t, layer, a, b: (a + b) / 2,
    "Dot": lambda t, layer, a, b: t.nn.functional.normalize(a, dim=2) @ t.nn.functional.normalize(b, dim=1),
    "Embedding": lambda t, layer, x, w: w[x],
    "Identity": lambda t, layer, x: x,
    "Lambda": lambda t, layer, x: t.tanh(x),
    "Maximum": lambda t, layer, a, b: t.maximum(a, b),
    "Minimum": lambda t, layer, a, b: t.minimum(a, b),
    "Permute": lambda t, layer, x: x.permute(0, 3, 1, 2),
    "RepeatVector": lambda t, layer, x: x[:, None].expand(-1, 3, -1),
    "Subtract": lambda t, layer, a, b: a - b,
    "ZeroPadding2D": lambda t, layer, x: nhwc(t.nn.functional.pad(nchw(x), (*layer.padding[1], *layer.padding[0]))),
}

# ---- convolutions and sizes


def torch_separable(t, x, depthwise, pointwise, strides, padding):
    grouped = depthwise.reshape(*depthwise.shape[:2], 1, -1)
    y = torch_convolution(t, x, grouped, strides, padding, (1, 1), x.shape[3])
    return torch_convolution(t, y, pointwise, (1, 1), "valid", (1, 1), 1)


def of_rows(function):
    """What ``function`` of a layer does with images, of sequences."""

    def of_sequences(t, layer, x, *weights):
        return function(t, layer, x[:, None], *(w[None] for w in weights[:-1]))[:, 0] + weights[-1]

    return of_sequences


def pooled_rows(function):
    def of_sequences(t, layer, x):
        return function(t, x[:, None], (1, *layer.pool_size), (1, *layer.strides), layer.padding)[:, 0]

    return of_sequences


TORCH |= {
    "AveragePooling1D": pooled_rows(torch_average_pool),
    "CenterCrop": lambda t, layer, x: x[:, :3, 1:3],
    "Conv1D": of_rows(
        lambda t, layer, x, w: torch_convolution(
            t, x, w, (1, *layer.strides), ((0, 0), (layer.kernel_size[0] - 1, 0)), (1, 1), layer.groups
        )
    ),
    "Conv1DTranspose": of_rows(lambda t, layer, x, w: torch_transposed(t, x, w, (1, 2), layer.padding)),
    "Conv2DTranspose": lambda t, layer, x, w, b: (
        b + torch_transposed(t, x, w, layer.strides, layer.padding, layer.output_padding)
    ),
    "Cropping1D": lambda t, layer, x: x[:, 1:-2],
    "Cropping2D": lambda t, layer, x: x[:, 1:, 1:-2],
    "DepthwiseConv1D": of_rows(
        lambda t, layer, x, w: torch_convolution(
            t, x, w.reshape(1, w.shape[1], 1, -1), (1, *layer.strides), layer.padding, (1, 1), x.shape[3]
        )
    ),
    "GlobalAveragePooling1D": lambda t, layer, x: x.mean(1, layer.keepdims),
    "GlobalMaxPooling1D": lambda t, layer, x: x.amax(1, layer.keepdims),
    "MaxPooling1D": pooled_rows(torch_max_pool),
    "Resizing": lambda t, layer, x: torch_resize(
        t, nhwc(t.nn.functional.pad(nchw(x), (1, 1), value=layer.fill_value)), (3, 5), layer.interpolation
    ),
    "SeparableConv1D": of_rows(
        lambda t, layer, x, v, w: torch_separable(t, x, v, w, (1, *layer.strides), layer.padding)
    ),
    "SeparableConv2D": lambda t, layer, x, v, w, b: (
        b + torch_separable(t, x, v, w, layer.strides, layer.padding)
    ),
    "UpSampling1D": lambda t, layer, x: x.repeat_interleave(layer.size, 1),
    "UpSampling2D": lambda t, layer, x: torch_resize(t, x, (6, 12), layer.interpolation),
    "ZeroPadding1D": lambda t, layer, x: t.nn.functional.pad(x, (0, 0, *layer.padding)),
}

suite = Suite()
for name, cls in EXAMPLES.items():
    # spectral normalisation has no gradient through its own division
    both = "training" in inspect.signature(cls.call).parameters and name != "SpectralNormalization"
    modes = [False, True] if both and getattr(cls, "passes_gradient", True) else [False]
    for training in modes:
        reference = None
        if name in TORCH:

            def reference(t, *values, name=name):
                return TORCH[name](t, make(name), *values)
        elif name == "BatchNormalization":

            def reference(t, *values, training=training, name=name):
                return torch_batch_norm(t, *values, training, make(name).epsilon)

        # moving variances must be positive; other weights may be
        weights = [Draw(v.shape, "positive", v.trainable) for v in built(name)[0].weights]
        classes = cls.example.get("integers")
        inputs = tuple(labels(classes, *s) if classes else normal(*s) for s in input_shapes(name))
        label = f"{name} training" if training else name
        suite.add(str(training), label, functional(name, training), inputs, tuple(weights), reference)
CASES = suite.cases


@pytest.mark.parametrize("batch", [1, 33])
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_central_differences(case, batch):
    suite.check_differences(case, batch)


@pytest.mark.parametrize("batch", [1, 50])
@pytest.mark.parametrize("case", [case for case in CASES if case.torch], ids=repr)
def test_torch(case, batch):
    suite.check_torch(pytest.importorskip("torch"), case, batch)


# ---- the registry


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_public_layers_are_registered_with_an_example(cls):
    assert REGISTRY[cls.__name__] is cls
    assert "example" in vars(cls), f"{cls.__name__} needs an example of its own"


@every_layer
def test_output_shape_and_dtype(name):
    layer, inputs, output = built(name)
    shapes = [x.shape for x in inputs]
    if "apart" in EXAMPLES[name].example:
        expected = make(name).compute_output_shape(*shapes)
    else:
        expected = make(name).compute_output_shape(shapes if len(shapes) > 1 else shapes[0])
    assert output.shape == expected
    assert output.shape[0] is None
    assert output.dtype == "float32"
    computed = suite.results("False", "float32", 1)[2][next(c for c in CASES if c.name == name)].output
    assert computed.shape == (1, *expected[1:])
    assert computed.dtype == np.float32
    jitnet.set_floatx("float64")
    layer, _, output = built(name)
    assert output.dtype == "float64"
    assert all(v.dtype == "float64" for v in layer.weights)


@every_layer
def test_calls_on_arrays_again_and_again(name, monkeypatch):
    """A step that is kept computes what one computes that is made anew: outputs, and what a call changes."""
    found = []
    for keeps in (True, False):
        jitnet.utils.set_random_seed(3)
        layer, _, _ = built(name)
        if not keeps:
            monkeypatch.setattr(type(layer), "_own_parts", lambda layer: None)
        generator, results = np.random.default_rng(0), []
        for batch, training in ((3, False), (5, True), (3, True), (2, False), (5, True)):
            classes = EXAMPLES[name].example.get("integers")
            shapes = [(batch, *shape) for shape in input_shapes(name)]
            draw = generator.integers if classes else generator.standard_normal
            inputs = [draw(0, classes, s) if classes else draw(s).astype("float32") for s in shapes]
            results.append(apply(layer, inputs, training))
        found.append([*results, *layer.get_weights()])
        assert not keeps or len(vars(layer)["_on_arrays"]._steps) in (1, 2)  # some do nothing but in training
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@every_layer
def test_an_empty_batch(name):
    """Called on arrays without a sample, a layer gives none, as in Keras; its weights stay numbers."""
    layer, _, output = built(name)
    classes = EXAMPLES[name].example.get("integers")
    inputs = [np.zeros((0, *shape), "int64" if classes else "float32") for shape in input_shapes(name)]
    for training in (False, True):
        computed = apply(layer, inputs, training)
        assert computed.shape == (0, *output.shape[1:]) and computed.dtype == output.dtype
    assert all(np.isfinite(weight).all() for weight in layer.get_weights())


def source(layer, training=True):
    """The generated source of the layer alone: everything that it computes."""
    inputs = placeholders(type(layer).__name__)
    output = apply(layer, inputs, training)
    return Step("One layer.", Computation({x.name: x for x in inputs}, outputs=[output])).source


@every_layer
def test_configuration_round_trip(name):
    layer = make(name)
    described = json.loads(json.dumps(layers.serialize(layer)))
    restored = layers.deserialize(described)
    assert type(restored) is type(layer)
    assert layers.serialize(restored) == layers.serialize(layer)
    assert {"name", "trainable"} <= set(layer.get_config())
    arguments = set(inspect.signature(type(layer).__init__).parameters) - COMMON - {"data_format"}
    assert arguments <= set(layer.get_config())
    assert source(restored) == source(layer)
    frozen = EXAMPLES[name](**EXAMPLES[name].example["arguments"], trainable=False)
    assert layers.deserialize(layers.serialize(frozen)).trainable is False


@every_layer
def test_weights(name):
    layer, _, _ = built(name)
    before = layer.get_weights()
    assert [w.shape for w in before] == [v.shape for v in layer.weights]
    assert layer.count_params() == sum(w.size for w in before)
    generator = np.random.default_rng(0)
    new = [generator.standard_normal(w.shape).astype("float32") for w in before]
    layer.set_weights(new)
    for actual, expected in zip(layer.get_weights(), new, strict=True):
        np.testing.assert_array_equal(actual, expected)
    with pytest.raises(ValueError, match=f"{len(new)} weights.*Received: {len(new) + 1} arrays"):
        layer.set_weights([*new, np.zeros(1)])
    if new:
        with pytest.raises(ValueError, match="Received: shape="):
            layer.set_weights([np.zeros((9, 9, 9)), *new[1:]])
        layer.trainable = False
        assert layer.trainable_weights == []
        for actual, expected in zip(layer.get_weights(), new, strict=True):
            np.testing.assert_array_equal(actual, expected)


@every_layer
def test_unknown_arguments(name):
    with pytest.raises(TypeError, match="Received: colour='red'"):
        EXAMPLES[name](**EXAMPLES[name].example["arguments"], colour="red")


def documentation(cls):
    """The docstring, and those that it refers to."""
    text = inspect.getdoc(cls)
    for reference in re.findall(r"\bas (?:in|of) (\w+)", text):
        if reference in REGISTRY and reference != cls.__name__:
            text += documentation(REGISTRY[reference])
    return text


@every_layer
def test_documentation(name):
    cls = EXAMPLES[name]
    assert cls.__doc__, f"{name} has no docstring"
    text = documentation(cls)
    parameters = set(inspect.signature(cls.__init__).parameters) - COMMON
    missing = [p for p in sorted(parameters) if not re.search(rf"\b{p}\b", text)]
    assert not missing, f"the docstring of {name} does not mention {missing}"


@every_layer
def test_doctests(name):
    cls = EXAMPLES[name]
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(cls, name, globs={"jitnet": jitnet, "np": np}):
        assert runner.run(test).failed == 0


# ---- batch normalisation

MOMENTUM, EPSILON, CHANNELS = 0.8, 1e-3, 3


def normalising_model(**arguments):
    layer = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name="normalisation", **arguments)
    model = jitnet.Sequential([layers.Input((2, CHANNELS), name="values"), layer], name="normalising")
    generator = np.random.default_rng(3)
    for weight in layer.weights:
        weight.assign(generator.uniform(0.5, 2, weight.shape).astype("float32"))
    model.compile(jitnet.optimizers.SGD(0.5), "mean_squared_error")
    return model, layer


def samples(count):
    generator = np.random.default_rng(count)
    x = generator.normal(1, 3, (count, 2, CHANNELS)).astype("float32")
    return x, generator.normal(size=x.shape).astype("float32")


@pytest.mark.parametrize("count", [1, 33, 50])  # in one chunk, in two and in three uneven ones
def test_batch_normalization_in_training(count):
    model, layer = normalising_model()
    gamma, beta, moving_mean, moving_variance = (w.astype("float64") for w in layer.get_weights())
    x, y = samples(count)
    mean, variance = x.astype("float64").mean((0, 1)), x.astype("float64").var((0, 1))
    normalised = (x - mean) / np.sqrt(variance + EPSILON)
    difference = gamma * normalised + beta - y
    loss = model.train_on_batch(x, y)
    assert loss == pytest.approx((difference**2).mean(), rel=1e-5)
    d_output = 2 * difference / difference.size
    new = layer.get_weights()
    assert_close(new[0], gamma - 0.5 * (d_output * normalised).sum((0, 1)))
    assert_close(new[1], beta - 0.5 * d_output.sum((0, 1)))
    assert_close(new[2], MOMENTUM * moving_mean + (1 - MOMENTUM) * mean)
    assert_close(new[3], MOMENTUM * moving_variance + (1 - MOMENTUM) * variance)


def test_batch_normalization_in_inference():
    model, layer = normalising_model()
    before = layer.get_weights()
    gamma, beta, mean, variance = before
    x, _ = samples(33)
    assert_close(model.predict(x), gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_frozen_batch_normalization_uses_the_moving_statistics():
    model, layer = normalising_model()
    layer.trainable = False
    model.compile(jitnet.optimizers.SGD(0.5), "mean_squared_error")
    before = layer.get_weights()
    gamma, beta, mean, variance = before
    x, y = samples(33)
    expected = gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta
    assert model.train_on_batch(x, y) == pytest.approx(((expected - y) ** 2).mean(), rel=1e-5)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(("center", "scale"), [(False, True), (True, False), (False, False)])
def test_batch_normalization_without_center_or_scale(center, scale):
    model, layer = normalising_model(center=center, scale=scale)
    assert len(layer.trainable_weights) == center + scale
    assert len(layer.non_trainable_weights) == 2
    weights = dict(zip(["gamma"] * scale + ["beta"] * center + ["mean", "variance"], layer.get_weights(), strict=True))
    x, _ = samples(5)
    expected = (x - weights["mean"]) / np.sqrt(weights["variance"] + EPSILON)
    assert_close(model.predict(x), weights.get("gamma", 1) * expected + weights.get("beta", 0))


# ---- dropout


class Dropped:
    """Two layers in one step: one with a seed of its own, one that follows the run's, both of ones."""

    def __init__(self):
        jitnet.utils.set_random_seed(0)
        self.input = placeholder("x", (40,))
        drops = [layers.Dropout(0.3, seed=5), layers.Dropout(0.3), layers.Dropout(0.3)]
        outputs = [layer(self.input, training=True) for layer in drops]
        seeds = [placeholder(f"d_{i}", (40,)) for i in range(3)]
        computation = Computation(
            {"x": self.input, **{s.name: s for s in seeds}},
            outputs=outputs,
            seeds=dict(zip(outputs[:1], seeds[:1], strict=True)),
            wanted_inputs=[self.input],
        )
        self.step = Step("Dropout.", computation)

    def run(self, batch, seed=1, t=0):
        """(masked ones of each layer), and the first one's gradient."""
        data = {name: np.ones((batch, 40), "float32") for name in self.step.inputs}
        outputs = [np.empty((batch, 40), "float32") for _ in range(4)]
        names = [*self.step.output_arguments, *self.step.gradient_arguments]
        data.update(zip(names, outputs, strict=True))
        self.step.run(batch, 1, {**data, "seed": seed, "t": t, "results": np.zeros(1)}, compiled=False)
        return outputs


@pytest.fixture(scope="module")
def dropped():
    return Dropped()


def test_dropout_drops_its_fraction_and_scales_the_rest(dropped):
    for output in dropped.run(800)[:3]:
        kept = output != 0
        np.testing.assert_allclose(output[kept], 1 / 0.7, rtol=1e-6)
        assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.3 * 0.7 / kept.size)
        for axis in (0, 1):  # no row or column that is dropped more often
            assert np.ptp(kept.mean(axis)) < 0.6


def test_dropout_gradient_has_the_same_mask(dropped):
    first, _, _, gradient = dropped.run(50)
    np.testing.assert_array_equal(gradient, first)


def test_dropout_is_a_function_of_seed_and_step(dropped):
    base = dropped.run(50)
    for again, same in zip(dropped.run(50), base, strict=True):
        np.testing.assert_array_equal(again, same)
    for other, same in zip(dropped.run(50, t=1), base, strict=True):
        assert 0.2 < (other != same).mean() < 0.65  # independent masks differ in 42 %
    changed = dropped.run(50, seed=2)
    np.testing.assert_array_equal(changed[0], base[0])
    assert 0.2 < (changed[1] != base[1]).mean() < 0.65
    assert 0.2 < (base[1] != base[2]).mean() < 0.65  # a stream for each layer


@pytest.mark.parametrize("batch", [1, 17, 33, 49])
def test_dropout_does_not_depend_on_chunks(dropped, batch):
    for few, many in zip(dropped.run(batch), dropped.run(50), strict=True):
        np.testing.assert_array_equal(few, many[:batch])


def test_dropout_passes_everything_in_inference():
    x = placeholder("x", (40,))
    for layer, training in ((layers.Dropout(0.3), False), (layers.Dropout(0.0), True)):
        step = Step("Dropout.", Computation({"x": x}, outputs=[layer(x, training=training)]))
        assert [call.opcode for call in step.program.calls] == ["shape.copy_forward"]


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, "half", None, True])
def test_dropout_rate(rate):
    with pytest.raises(ValueError, match="Received: rate="):
        layers.Dropout(rate)


@jitnet.saving.register_keras_serializable(package="Tests")
def one_number(shapes):
    first, second = shapes
    assert first == second == (None, 3)
    return (first[0], 1)


def test_lambda_is_checked_against_its_output_shape():
    inputs = [jitnet.Input((3,)), jitnet.Input((3,))]

    def distance(pair):
        return jitnet.ops.sum(pair[0] * pair[1], axis=1, keepdims=True)

    for shape in ((1,), one_number):
        assert layers.Lambda(distance, output_shape=shape)(inputs).shape == (None, 1)
    layer = layers.Lambda(jitnet.ops.add, output_shape=one_number)
    assert layers.Lambda.from_config(layer.get_config()).output_shape is one_number
    for shape in ((2,), lambda shapes: (None, 2)):
        with pytest.raises(ValueError, match=r"output has the shape \(None, 1\). Received: output_shape=\(2,\)"):
            layers.Lambda(distance, output_shape=shape)(inputs)
    with pytest.raises(ValueError, match="Received: output_shape=3"):
        layers.Lambda(distance, output_shape=3)
