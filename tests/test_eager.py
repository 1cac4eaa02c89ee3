"""jitnet.ops on arrays, whose sizes may be the batch's, and on integers; Keras's defaults."""

import copy
import math
import operator

import numpy as np
import pytest
from torch_reference import torch_convolution

import jitnet
from jitnet import eager, layers, losses, models, ops
from jitnet.core.values import Variable, placeholder


def zeros(*shape):
    return np.zeros(shape, "float32")


def calls(n) -> dict:
    """{name of a function: [(call, shape of the result)]}; all sizes are n or 5, like the batch."""
    x, image = zeros(n, 5, n), zeros(n, 5, 5, n)
    same = [(lambda f: f(x), x.shape), (lambda f: f(zeros(n)), (n,)), (lambda f: f(0.5), ())]
    unary = (
        "relu", "sigmoid", "tanh", "softplus", "softsign", "silu", "selu", "mish", "hard_sigmoid", "hard_tanh",
        "log_sigmoid", "exp", "log", "sqrt", "square", "absolute", "negative", "reciprocal", "sign", "sin", "cos",
        "elu", "leaky_relu", "rectifier", "relu6", "gelu",
        "celu", "hard_shrink", "hard_silu", "soft_shrink", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh_shrink",
    )  # fmt: skip
    shapes = [
        ((n, 5), (5,)), ((n, 5), (n, 1)), ((n, 5), (1, 5)), ((n, n), (n,)), ((5, n), (n,)), ((n,), (5, n)),
        ((1, 5), (n, 1)),
        ((n, 5, n), (5, n)), ((n, 5, n), (5, 1)), ((), (n, 5)), ((n, 5), ()), ((n, 5), (n, 5)), ((n, 5), (n, 5, 5)),
    ]  # fmt: skip
    shapes = [(a, b) for a, b in shapes if n == 5 or (a, b) != ((n, 5), (n, 5, 5))]
    binary = [(lambda f, a=a, b=b: f(zeros(*a), zeros(*b)), np.broadcast_shapes(a, b)) for a, b in shapes]
    reduced = [
        (lambda f: f(x, axis=1), (n, n)), (lambda f: f(x, axis=-1, keepdims=True), (n, 5, 1)),
        (lambda f: f(x, axis=(1, 2)), (n,)),
    ]  # fmt: skip
    pooled = [(lambda f: f(image, 2), (n, 2, 2, n)), (lambda f: f(image, n, 1, "same"), image.shape)]
    return {
        **dict.fromkeys(unary, same),
        **dict.fromkeys(("add", "subtract", "multiply", "divide", "maximum", "minimum", "power"), binary),
        **dict.fromkeys(("sum", "mean", "max"), reduced),
        **dict.fromkeys(("max_pool", "average_pool"), pooled),
        "softmax": [(lambda f: f(x), x.shape), (lambda f: f(x, 1), x.shape)],
        "log_softmax": [(lambda f: f(x), x.shape)],
        "glu": [(lambda f: f(zeros(n, 4, n), 1), (n, 2, n))],
        "layer_normalization": [(lambda f: f(x, zeros(n)), x.shape), (lambda f: f(x, axis=1), x.shape)],
        "rms_normalization": [(lambda f: f(x, zeros(n)), x.shape), (lambda f: f(x, axis=(1, 2)), x.shape)],
        "normalize": [(lambda f: f(x), x.shape), (lambda f: f(x, 1, 1), x.shape)],
        "sparsemax": [(lambda f: f(x), x.shape), (lambda f: f(x, 1), x.shape)],
        "threshold": [(lambda f: f(x, 0.5, 0.0), x.shape)],
        "dot_product_attention": [
            (lambda f: f(zeros(n, 5, 4, 3), zeros(n, 2, 2, 3), zeros(n, 2, 2, n)), (n, 5, 4, n)),
            (lambda f: f(*[zeros(n, 5, n, 3)] * 3, mask=zeros(5, 5), is_causal=True), (n, 5, n, 3)),
        ],
        "matmul": [(lambda f: f(zeros(n, n), zeros(n, n)), (n, n)), (lambda f: f(x, zeros(n, 5)), (n, 5, 5))],
        "bias_add": [(lambda f: f(zeros(n, n), zeros(n)), (n, n)), (lambda f: f(x, zeros(n)), x.shape)],
        "conv": [
            (lambda f: f(image, zeros(n, n, n, 5)), (n, 6 - n, 6 - n, 5)),
            (lambda f: f(x, zeros(3, n, 2), padding="causal"), (n, 5, 2)),
        ],
        "depthwise_conv": [(lambda f: f(image, zeros(n, n, n, 2)), (n, 6 - n, 6 - n, 2 * n))],
        "conv_transpose": [
            (lambda f: f(image, zeros(n, n, 5, n), 2, "same"), (n, 10, 10, 5)),
            (lambda f: f(x, zeros(2, 5, n), 2), (n, 10, 5)),
        ],
        "separable_conv": [(lambda f: f(image, zeros(n, n, n, 2), zeros(1, 1, 2 * n, 5)), (n, 6 - n, 6 - n, 5))],
        "image.resize": [(lambda f: f(image, (n, 7)), (n, n, 7, n)), (lambda f: f(x, (5, n), "nearest"), (5, n, n))],
        "reshape": [(lambda f: f(x, (-1, n, 5)), (n, n, 5)), (lambda f: f(zeros(n, n), (-1, n, 1)), (n, n, 1))],
        "transpose": [(lambda f: f(x, (0, 2, 1)), (n, n, 5))],
        "concatenate": [
            (lambda f: f([zeros(n, 5), zeros(5, 5)]), (n + 5, 5)), (lambda f: f([zeros(n, n)] * 2, 1), (n, 2 * n)),
            (lambda f: f([x, x], axis=-1), (n, 5, 2 * n)), (lambda f: f([zeros(n), zeros(5)], axis=-1), (n + 5,)),
        ],
        "slice_axis": [(lambda f: f(x, 1, 1, 3), (n, 2, n))],
        "pad": [(lambda f: f(image, ((0, 0), (1, 0), (0, 2), (0, 0))), (n, 6, 7, n))],
        "cast": [(lambda f: f(x, "int64"), x.shape)],
    }  # fmt: skip


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("name", calls(3))
def test_which_inputs_have_a_batch_axis(name, n, monkeypatch):
    def traced(function, *arrays):
        tensors = [placeholder("x", a.shape[1:], str(a.dtype)) for a in arrays]
        assert len({len(a) for a in arrays}) == 1
        output = function(*tensors)
        return np.empty((len(arrays[0]), *output.shape[1:]), output.dtype)

    monkeypatch.setattr(eager, "evaluate_function", traced)
    for call, shape in calls(n)[name]:
        assert call(operator.attrgetter(name)(ops)).shape == shape


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sparsemax"])
@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (2, 0, 3)])
def test_arrays_without_elements(name, shape):
    assert getattr(ops, name)(np.zeros(shape)).shape == shape


def test_values_where_sizes_are_those_of_the_batch():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    x, kernel = generator.normal(size=(3, 5, 5, 3)), generator.normal(size=(3, 3, 3, 2))
    image, taps = torch.tensor(x), torch.tensor(kernel)
    grouped = torch_convolution(torch, image, taps.reshape(3, 3, 1, 6), (1, 1), "valid", (1, 1), 3)
    np.testing.assert_allclose(ops.depthwise_conv(x, kernel), grouped, rtol=1e-10)
    plain = torch_convolution(torch, image, taps, (1, 1), "valid", (1, 1), 1)
    np.testing.assert_allclose(ops.conv(x, kernel), plain, rtol=1e-10)
    square, column, vector = x[:, :3, 0, 0], x[:, :1, 1, 0], x[0, 0, 0]
    np.testing.assert_allclose(ops.matmul(square, square), square @ square, rtol=1e-12)
    np.testing.assert_allclose(ops.bias_add(square, vector), square + vector, rtol=1e-12)
    for other in (column, vector, column.T, 2.0):
        np.testing.assert_allclose(ops.subtract(square, other), square - other, rtol=1e-12)
        np.testing.assert_allclose(ops.subtract(other, square), other - square, rtol=1e-12)
    joined = ops.concatenate([square, square[:1]])
    np.testing.assert_array_equal(joined, np.concatenate([square, square[:1]]))


def test_the_batch_axis_is_joined_with_others_like_it():
    with pytest.raises(ValueError, match=r"joins tensors that all have it.* Received: shapes \(None, 3\), \(2, 3\)$"):
        ops.concatenate([placeholder("x", (3,)), np.ones((2, 3), "float32")])
    assert ops.concatenate([placeholder("x", (3,))] * 2).batches == 2
    weights = [Variable(zeros(2, 3)), Variable(zeros(4, 3))]
    assert ops.concatenate(weights).shape == (6, 3)
    assert layers.Concatenate()([placeholder("x", (3,))] * 2).shape == (None, 6)


def test_gelu_is_exact_as_an_activation_and_by_tanh_as_a_function():
    x = np.linspace(-3, 3, 13)
    exact = np.array([v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    by_tanh = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    assert abs(exact - by_tanh).max() > 1e-4
    np.testing.assert_allclose(layers.Activation("gelu")(x.astype("float32")), exact, rtol=1e-5, atol=1e-6)
    for value, expected in (
        (jitnet.activations.get("gelu")(x), exact),
        (jitnet.activations.gelu(x, approximate=True), by_tanh),
        (ops.gelu(x), by_tanh),
        (ops.gelu(x, approximate=False), exact),
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-7, atol=1e-9)
    # a function is saved under a name that means the same
    for function in (ops.gelu, jitnet.activations.gelu):
        assert jitnet.activations.get(jitnet.activations.serialize(function)) is function


# ---- integers

WHOLE, FLOAT, WIDE = "int64", "float32", "float64"


def of(dtype, *shape):
    return placeholder("x", shape, dtype)


TYPES = [
    # int with a number: int stays int, a float makes it floatx
    *[(f, lambda f: f(of(WHOLE, 3), 2), WHOLE) for f in ("add", "subtract", "multiply", "maximum", "minimum")],
    *[(f, lambda f: f(of(WHOLE, 3), 2.0), FLOAT) for f in ("add", "subtract", "multiply", "maximum", "power")],
    *[(f, lambda f: f(2, of(WHOLE, 3)), WHOLE) for f in ("add", "subtract")],
    *[(f, lambda f: f(2.5, of(WHOLE, 3)), FLOAT) for f in ("add", "divide")],
    ("divide", lambda f: f(of(WHOLE, 3), 2), FLOAT),
    ("add", lambda f: f(of(WHOLE, 3), np.arange(3)), WHOLE),
    ("add", lambda f: f(of(WHOLE, 3), np.ones(3)), FLOAT),
    ("add", lambda f: f(of(WHOLE, 3), True), WHOLE),
    # with another tensor
    ("multiply", lambda f: f(of(WHOLE, 3), of(WHOLE, 3)), WHOLE),
    ("multiply", lambda f: f(of(WHOLE, 3), of(FLOAT, 3)), FLOAT),
    ("multiply", lambda f: f(of(WIDE, 3), of(WHOLE, 3)), WIDE),
    ("multiply", lambda f: f(of("int32", 3), of("int32", 3)), "int32"),
    ("multiply", lambda f: f(of("int32", 3), of(WHOLE, 3)), WHOLE),
    ("multiply", lambda f: f(of(WHOLE, 3), Variable(zeros(3))), FLOAT),
    ("multiply", lambda f: f(of(FLOAT, 3), Variable(np.arange(3))), FLOAT),
    ("matmul", lambda f: f(of(WHOLE, 3), Variable(zeros(3, 2))), FLOAT),
    ("bias_add", lambda f: f(of(WHOLE, 3), Variable(zeros(3))), FLOAT),
    ("conv", lambda f: f(of(WHOLE, 3, 3, 1), Variable(zeros(2, 2, 1, 4))), FLOAT),
    ("depthwise_conv", lambda f: f(of(WHOLE, 3, 3, 1), np.ones((2, 2, 1, 1))), FLOAT),
    # of one tensor
    *[(f, lambda f: f(of(WHOLE, 3)), WHOLE) for f in ("relu", "absolute", "negative", "sign", "square")],
    *[(f, lambda f: f(of(WHOLE, 3)), FLOAT) for f in ("exp", "log", "sqrt", "sin", "tanh", "gelu", "silu", "elu")],
    *[(f, lambda f: f(of(WHOLE, 3)), FLOAT) for f in ("softmax", "log_softmax", "leaky_relu", "sigmoid")],
    ("sum", lambda f: f(of(WHOLE, 3), axis=1), WHOLE),
    ("mean", lambda f: f(of(WHOLE, 3), axis=1), FLOAT),
    ("reshape", lambda f: f(of(WHOLE, 3), (-1, 3, 1)), WHOLE),
    ("transpose", lambda f: f(of(WHOLE, 3, 2), (0, 2, 1)), WHOLE),
    ("slice_axis", lambda f: f(of(WHOLE, 3), 1, 0, 2), WHOLE),
    ("pad", lambda f: f(of(WHOLE, 3, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))), WHOLE),
    ("concatenate", lambda f: f([of(WHOLE, 3), of(WHOLE, 2)], 1), WHOLE),
    ("concatenate", lambda f: f([of(WHOLE, 3), of(FLOAT, 2)], 1), FLOAT),
    ("average_pool", lambda f: f(of(WHOLE, 4, 4, 1), 2), FLOAT),
    ("cast", lambda f: f(of(WHOLE, 3), "float64"), WIDE),
    ("cast", lambda f: f(of(FLOAT, 3), "int32"), "int32"),
]


@pytest.mark.parametrize("number", range(len(TYPES)), ids=lambda i: f"{TYPES[i][0]} {i}")
def test_types_of_results(number):
    name, call, expected = TYPES[number]
    result = call(getattr(ops, name))
    assert result.dtype == expected
    inputs = [x.dtype for x in result.producer.inputs]
    assert name == "cast" or len(set(inputs)) == 1  # every kernel sees one type


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.matmul(x, np.ones((3, 2), int)), lambda x: ops.bias_add(x, np.arange(3)),
        lambda x: ops.power(x, 3),
        lambda x: ops.max_pool(ops.reshape(x, (-1, 3, 1, 1)), 1),
    ],
)  # fmt: skip
def test_integers_alone_where_there_is_no_kernel(call):
    message = r"needs a tensor of floating-point numbers: .*jitnet\.ops\.cast\(x, 'float32'\)\. Received: dtype=int64$"
    with pytest.raises(TypeError, match=message):
        call(of(WHOLE, 3))
    assert call(ops.cast(of(WHOLE, 3), "float32")).dtype == "float32"
    with pytest.raises(ValueError, match=r"Unknown dtype of cast 'float16'\. Did you mean .* Received: "):
        ops.cast(of(WHOLE, 3), "float16")


def test_values_of_integers():
    x = np.arange(-6, 6).reshape(4, 3)
    for value, expected in (
        (ops.add(x, 2), x + 2),
        (ops.multiply(x, x[:1]), x * x[:1]),
        (ops.maximum(x, 2**40), np.full((4, 3), 2**40)),
        (ops.relu(x), np.maximum(x, 0)),
        (ops.square(x + 2**40), (x + 2**40) ** 2),
        (ops.sum(x + 2**40, axis=1), x.sum(1) + 3 * 2**40),
        (ops.concatenate([x, x + 2**40]), np.concatenate([x, x + 2**40])),
        (ops.cast(x / 4, "int64"), (x / 4).astype("int64")),
        (ops.cast(x, "float64"), x.astype("float64")),
    ):
        assert value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected)
    assert ops.divide(x, 4).dtype == ops.add(x, 0.5).dtype == ops.exp(x).dtype == np.float32
    np.testing.assert_array_equal(ops.add(x, 0.5), (x + 0.5).astype("float32"))


def test_a_model_with_integers(tmp_path):
    x = jitnet.Input((3,), dtype="int64", name="x")
    y = layers.Dense(2, name="dense")(x * 3 - 1)
    model = models.Model(x, [x + 1, x * 0.5, y])
    given = np.arange(12).reshape(4, 3) + 2**40
    whole, halves, dense = model.predict(given, verbose=0)
    assert whole.dtype == np.int64 and halves.dtype == dense.dtype == np.float32
    np.testing.assert_array_equal(whole, given + 1)  # not to be had in float32
    np.testing.assert_array_equal(halves, given.astype("float32") * np.float32(0.5))
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(dense, (given * 3 - 1).astype("float32") @ kernel + bias, rtol=1e-5)
    model.save(tmp_path / "model")
    loaded = jitnet.load_model(tmp_path / "model").predict(given, verbose=0)
    for a, b in zip(loaded, (whole, halves, dense), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    small = given - 2**40
    model = models.Model(x, y)
    model.compile("sgd", "mse")
    before = model.get_weights()
    prediction = (small * 3 - 1) @ before[0] + before[1]
    assert model.train_on_batch(small, np.zeros((4, 2))) == pytest.approx((prediction**2).mean(), rel=1e-5)
    expected = before[0] - 0.01 * (small * 3 - 1).T @ (2 * prediction / 8)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-4, atol=1e-5)


def test_a_model_called_on_other_types():
    model = models.Sequential([jitnet.Input((3,)), layers.ReLU(), layers.Dense(2)])
    x = np.arange(-6, 6).reshape(4, 3)
    expected = model.predict(x, verbose=0)
    for given in (x, x.astype("float64"), x.astype("uint8").view("int8")):
        result = model(given)
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, expected)
    assert model(of("int64", 3)).dtype == "float32"
    whole = models.Model(x := jitnet.Input((3,), dtype="int64", name="x"), x + 1, name="whole")
    with pytest.raises(ValueError, match=r"whole expects an input of dtype int64\. Received: dtype=float32"):
        whole(of("float32", 3))
    jitnet.set_floatx("float64")
    wide = models.Sequential([jitnet.Input((3,)), layers.Dense(2)])
    jitnet.set_floatx("float32")
    assert wide(np.ones((4, 3), "float32")).dtype == np.float64


# ---- what is computed on arrays keeps its steps


@pytest.fixture
def made(monkeypatch):
    """The titles of the steps that are made."""
    titles, init = [], eager.Step.__init__

    def noting(self, title, *arguments, **named):
        titles.append(title)
        init(self, title, *arguments, **named)

    monkeypatch.setattr(eager.Step, "__init__", noting)
    monkeypatch.setattr(eager, "_operations", eager.Evaluated("operations", 3))
    monkeypatch.setattr(eager, "_losses", eager.Evaluated("losses"))
    return titles


def test_operations_on_arrays_keep_their_steps(made):
    x = np.linspace(-2, 2, 12, dtype="float32").reshape(4, 3)
    for batch in (4, 2, 3, 1):
        np.testing.assert_array_equal(ops.relu(x[:batch]), np.maximum(x[:batch], 0))
    assert len(made) == 1
    # what an operation is made with decides what it computes, to the sign of a zero
    for slope in (0.5, 0.25, 0.5):
        np.testing.assert_array_equal(ops.leaky_relu(x, slope), np.where(x > 0, x, slope * x))
    assert len(made) == 3
    for value in (0.0, -0.0):
        assert np.signbit(ops.threshold(np.float32([-1]), 0.0, value)) == np.signbit(value)
    count = len(made)
    ops.relu(x.astype("float64"))  # another one goes for it: that which was used least recently
    ops.threshold(x, 0.0, -0.0)
    ops.relu(x.astype("float64"))
    assert len(made) == count + 2 and len(eager._operations._steps) == 3
    with pytest.raises(ValueError, match="softmax"):
        ops.softmax(x, axis=7)
    jitnet.set_floatx("float64")
    assert ops.sigmoid(np.arange(3)).dtype == np.float64
    jitnet.set_floatx("float32")
    assert ops.sigmoid(np.arange(3)).dtype == np.float32


def test_a_model_on_arrays_keeps_its_step(made):
    x = np.random.default_rng(0).standard_normal((20, 3)).astype("float32")
    drop, norm = layers.Dropout(0.5, seed=1), layers.BatchNormalization()
    model = models.Sequential([jitnet.Input((3,)), layers.Dense(4, "relu", name="first"), norm, drop, layers.Dense(2)])
    expected = model.predict(x, verbose=0)
    del made[:]
    for batch in range(1, 21):
        np.testing.assert_allclose(model(x[:batch]), expected[:batch], rtol=1e-6, atol=1e-7)
    assert len(made) == 1
    # weights are read anew; what a call depends on makes another step
    model.set_weights([2 * w for w in model.get_weights()])
    np.testing.assert_allclose(model(x), model.predict(x, verbose=0), rtol=1e-6, atol=1e-6)
    assert not np.array_equal(model(x, training=True), model(x, training=True))
    drop.rate = 0.0
    before = norm.moving_mean.numpy()
    model(x, training=True)
    assert not np.array_equal(norm.moving_mean.numpy(), before)
    norm.trainable = False
    before = norm.moving_mean.numpy()
    np.testing.assert_allclose(model(x, training=True), model(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(norm.moving_mean.numpy(), before)
    inner = models.Sequential([jitnet.Input((3,)), model])
    shape = inner(x).shape
    model.add(layers.Dense(5))
    assert model(x).shape == (20, 5) and shape == (20, 2)
    copied = copy.deepcopy(model)
    copied.set_weights([0 * w for w in copied.get_weights()])
    assert not copied(x).any() and model(x).any()


def test_losses_on_arrays_keep_their_steps(made):
    t, p = np.float32([[0, 1], [1, 0]]), np.float32([[0.5, 0.5], [0.25, 0.75]])
    focal = losses.BinaryFocalCrossentropy(gamma=2.0)
    before = focal(t, p)
    assert focal(t[:1], p[:1]) != losses.BinaryFocalCrossentropy(gamma=1.0)(t[:1], p[:1]) and len(made) == 2
    focal.gamma = 3.0
    assert focal(t, p) < before
    assert losses.BinaryFocalCrossentropy(gamma=2.0)(t, p) == before and len(made) == 3
    for _ in range(2):
        np.testing.assert_array_equal(losses.mean_squared_error(t, p), np.square(t - p).mean(axis=1))
        assert losses.MeanSquaredError()(t, p) == np.square(t - p).mean()
    assert len(made) == 4
    labels = np.array([0, -1])
    ignoring = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    np.testing.assert_allclose([ignoring(labels, p), ignoring(labels, p)], -np.log(0.5), rtol=1e-6)


def test_an_attribute_of_a_layer_that_was_called_may_be_assigned():
    x = np.float32([[-1, 2]])
    layer = layers.Activation("relu")
    np.testing.assert_array_equal(layer(x), [[0, 2]])
    layer.activation = jitnet.activations.get("linear")
    np.testing.assert_array_equal(layer(x), x)
    pooled = layers.GlobalAveragePooling1D()
    assert pooled(x[..., None]).shape == (1, 1)
    pooled.keepdims = True
    assert pooled(x[..., None]).shape == (1, 1, 1)


def test_code_of_ones_own_runs_at_each_call():
    calls = []

    class Own(layers.Layer):
        def call(self, inputs):
            calls.append(len(calls))
            return inputs * float(len(calls))

    x = np.ones((2, 3), "float32")
    own = Own()
    for layer in (own, models.Sequential([own]), layers.Lambda(lambda x: own(x))):
        del calls[:]
        first, second = layer(x), layer(x)
        assert not np.array_equal(first, second)
    class OwnLoss(losses.Loss):
        calls = 0

        def call(self, y_true, y_pred):
            self.calls += 1
            return self.calls * ops.mean(y_pred, axis=-1)

    loss = OwnLoss()
    assert [loss(x, x), loss(x, x), loss.calls] == [1, 2, 2]
    scale = [1.0]
    activated = layers.Dense(3, activation=lambda x: x * scale[0])
    first, scale[0] = activated(x), 2.0
    np.testing.assert_allclose(activated(x), 2 * first)
