"""Initializers: fixed values, statistics of the random ones, seeds, configs, errors."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

import jitnet
from jitnet import initializers, layers, utils
from jitnet.core import policy

ALL = sorted(set(initializers.KNOWN.values()), key=lambda cls: cls.__name__)
RANDOM = [cls for cls in ALL if "seed" in cls().get_config()]


def test_fixed_values():
    assert initializers.Zeros()((2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert initializers.Ones()((3,)).tolist() == [1, 1, 1]
    assert initializers.Constant(2.5)((1, 2)).tolist() == [[2.5, 2.5]]
    assert initializers.Constant([1.0, 2.0])((2, 2)).tolist() == [[1, 2], [1, 2]]
    assert initializers.Constant(3)(()).tolist() == 3
    assert initializers.Identity(2.0)((2, 3)).tolist() == [[2, 0, 0], [0, 2, 0]]


@pytest.mark.parametrize("initializer", ALL)
def test_shape_and_dtype(initializer):
    for dtype in (np.float32, "float64"):
        values = initializer()((3, 2), dtype)
        assert values.shape == (3, 2) and values.dtype == dtype
        assert np.isfinite(values).all()
    assert initializer()([np.int64(3), 2]).dtype == policy.floatx()


@pytest.mark.parametrize("initializer", [cls for cls in ALL if cls not in (initializers.Identity,)])
def test_empty_and_single(initializer):
    assert initializer()((0, 3)).shape == (0, 3)
    assert initializer()((1, 1, 1, 1)).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("initializer", ALL)
def test_config_round_trip(initializer):
    original = initializer(seed=7) if initializer in RANDOM else initializer()
    config = json.loads(json.dumps(initializers.serialize(original)))
    loaded = initializers.deserialize(config)
    assert type(loaded) is initializer
    assert loaded.get_config() == original.get_config()
    np.testing.assert_array_equal(initializers.get(config)((4, 3)), original((4, 3)))


def test_config_keeps_arguments():
    for original in (
        initializers.Constant([1.0, 2.0]),
        initializers.RandomNormal(1.0, 2.0, seed=3),
        initializers.TruncatedNormal(1.0, 2.0, seed=3),
        initializers.RandomUniform(1.0, 2.0, seed=3),
        initializers.VarianceScaling(3.0, "fan_out", "uniform", seed=3),
        initializers.Orthogonal(0.5, seed=3),
    ):
        loaded = initializers.deserialize(initializers.serialize(original))
        np.testing.assert_array_equal(loaded((3, 2)), original((3, 2)))


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((3, 5), (3, 5)),
        ((3, 2, 5, 7), (30, 42)),  # 3 * 2 taps, 5 input channels, 7 output channels
        ((4, 1, 2), (4, 8)),
    ],
)
def test_fans(shape, expected):
    assert initializers.fans(shape) == expected


def moments_of_truncated_normal():
    """Standard deviation of N(0, 1) truncated to [-2, 2], by integrating its density."""
    z = np.linspace(-2, 2, 400_001)
    density = np.exp(-(z**2) / 2)
    return math.sqrt((z**2 * density).sum() / density.sum())


# a kernel of 3 x 2 taps, 25 input channels and 400 output channels: fan_in 150, fan_out 2400
SHAPE = (3, 2, 25, 400)
TRUNCATED = moments_of_truncated_normal()
STATISTICS = [
    # initializer, mean, standard deviation, bound on |value - mean| (None: unbounded)
    (initializers.RandomNormal(0.5, 0.2, seed=1), 0.5, 0.2, None),
    (initializers.TruncatedNormal(0.5, 0.2, seed=1), 0.5, 0.2 * TRUNCATED, 0.4),
    (initializers.RandomUniform(-1.0, 3.0, seed=1), 1.0, 4 / math.sqrt(12), 2.0),
    (initializers.VarianceScaling(3.0, seed=1), 0.0, math.sqrt(3 / 150), 2 / TRUNCATED * math.sqrt(3 / 150)),
    (initializers.VarianceScaling(3.0, "fan_out", "untruncated_normal", seed=1), 0.0, math.sqrt(3 / 2400), None),
    (initializers.GlorotNormal(seed=1), 0.0, math.sqrt(2 / 2550), 2 / TRUNCATED * math.sqrt(2 / 2550)),
    (initializers.GlorotUniform(seed=1), 0.0, math.sqrt(2 / 2550), math.sqrt(6 / 2550)),
    (initializers.HeNormal(seed=1), 0.0, math.sqrt(2 / 150), 2 / TRUNCATED * math.sqrt(2 / 150)),
    (initializers.HeUniform(seed=1), 0.0, math.sqrt(2 / 150), math.sqrt(6 / 150)),
    (initializers.Xavier(seed=1), 0.0, math.sqrt(1 / 150), None),
    (initializers.LecunNormal(seed=1), 0.0, math.sqrt(1 / 150), 2 / TRUNCATED * math.sqrt(1 / 150)),
    (initializers.LecunUniform(seed=1), 0.0, math.sqrt(1 / 150), math.sqrt(3 / 150)),
]


@pytest.mark.parametrize("initializer, mean, stddev, bound", STATISTICS, ids=lambda value: type(value).__name__)
def test_statistics(initializer, mean, stddev, bound):
    values = initializer(SHAPE).astype(np.float64).ravel() - mean
    n = values.size
    assert abs(values.mean()) < 5 * stddev / math.sqrt(n)
    # the variance of the sample variance is at most 2 * stddev**4 / n for all three distributions
    assert abs(values.var() / stddev**2 - 1) < 5 * math.sqrt(2 / n)
    if bound is None:
        assert np.abs(values).max() > 3.5 * stddev
    else:
        # nothing beyond the bound, and the bound is nearly reached
        assert 0.98 * bound < np.abs(values).max() <= bound * (1 + 1e-6)
    # neighbours are uncorrelated
    assert abs((values[1:] * values[:-1]).mean()) < 5 * stddev**2 / math.sqrt(n)


def test_every_random_initializer_has_statistics():
    assert {type(case[0]) for case in STATISTICS} | {initializers.Orthogonal} == set(RANDOM)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 7), (3, 2, 2, 5)])
def test_orthogonal(shape):
    matrix = initializers.Orthogonal(gain=1.5, seed=2)(shape, "float64").reshape(-1, shape[-1])
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, 1.5**2 * np.eye(min(matrix.shape)), atol=1e-13)


def test_orthogonal_is_uniformly_distributed():
    # without the choice of signs, the diagonal of Q has a preferred sign
    corners = [initializers.Orthogonal(seed=seed)((3, 3))[0, 0] for seed in range(200)]
    assert abs(np.mean(corners)) < 5 * math.sqrt(1 / 3 / 200)


@pytest.mark.parametrize("initializer", RANDOM)
def test_an_integer_seed_gives_the_same_values_at_every_call(initializer):
    seeded = initializer(seed=11)
    first = seeded((5, 3))
    np.testing.assert_array_equal(seeded((5, 3)), first)
    np.testing.assert_array_equal(initializer(seed=11)((5, 3)), first)
    assert (initializer(seed=12)((5, 3)) != first).any()


@pytest.mark.parametrize("initializer", RANDOM)
def test_without_a_seed_the_global_one_counts(initializer):
    unseeded = initializer()
    utils.set_random_seed(3)
    first, second = unseeded((5, 3)), unseeded((5, 3))
    assert (first != second).any()
    utils.set_random_seed(3)
    np.testing.assert_array_equal(unseeded((5, 3)), first)
    np.testing.assert_array_equal(initializer()((5, 3)), second)
    utils.set_random_seed(4)
    assert (unseeded((5, 3)) != first).any()
    # stream 0 belongs to integer seeds
    assert (initializer(seed=3)((5, 3)) != first).any()


def test_large_seeds():
    largest = initializers.RandomNormal(seed=2**63 - 1)((8,))
    assert (largest != initializers.RandomNormal(seed=2**32 - 1)((8,))).any()
    with pytest.raises(ValueError, match=r"`seed` must be an integer from 0 to \d+\. Received: seed=-1$"):
        initializers.RandomNormal(seed=-1)
    with pytest.raises(ValueError, match=r"Received: seed=0\.5$"):
        initializers.HeNormal(seed=0.5)


@pytest.mark.parametrize(
    "name, cls",
    [
        ("glorot_uniform", initializers.GlorotUniform),
        ("HeNormal", initializers.HeNormal),
        ("uniform", initializers.RandomUniform),
        ("normal", initializers.RandomNormal),
        ("zero", initializers.Zeros),
        ("orthogonal", initializers.Orthogonal),
    ],
)
def test_get_by_name(name, cls):
    assert type(initializers.get(name)) is cls


def test_get_others():
    mine = initializers.HeNormal(seed=1)
    assert initializers.get(mine) is mine
    assert type(initializers.get(initializers.Ones)) is initializers.Ones
    assert initializers.get(np.full) is np.full
    assert initializers.get(None) is None
    for name, cls in initializers.KNOWN.items():
        assert name in ("uniform", "normal", "zero", "one") or getattr(initializers, name) is cls


ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805
ACTIVATIONS = {
    "linear": (lambda z: z, lambda z, y: np.ones_like(z)),
    "relu": (lambda z: np.maximum(z, 0), lambda z, y: (z > 0).astype(z.dtype)),
    "selu": (lambda z: SCALE * np.where(z > 0, z, ALPHA * np.expm1(np.minimum(z, 0))),
             lambda z, y: np.where(z > 0, SCALE, y + SCALE * ALPHA)),
}  # fmt: skip


def mean_squares(initializer, activation, networks, width=256, samples=16, depth=50):
    """Of signals and of gradients behind each of so many layers, as multiples of the first: means over networks."""
    function, slope = ACTIVATIONS[activation]
    found = np.zeros((2, networks, depth))
    for network in range(networks):
        random = np.random.default_rng(network)
        y, gradient = random.standard_normal((2, samples, width)).astype("float32")
        first, start, passed = (y**2).mean(), (gradient**2).mean(), []
        for layer in range(depth):
            kernel = initializer(seed=depth * network + layer)((width, width))
            z = y @ kernel
            y = function(z)
            passed.append((kernel, slope(z, y)))
            found[0, network, layer] = (y**2).mean() / first
        for layer, (kernel, derivative) in enumerate(reversed(passed)):
            gradient = (gradient * derivative) @ kernel.T
            found[1, network, layer] = (gradient**2).mean() / start
    return found.mean(axis=1)


@pytest.mark.parametrize(
    ("initializer", "activation", "networks"),
    [
        (initializers.GlorotNormal, "linear", 4), (initializers.GlorotUniform, "linear", 4),
        (initializers.Xavier, "linear", 4), (initializers.Orthogonal, "linear", 1),
        (initializers.HeNormal, "relu", 16), (initializers.HeUniform, "relu", 16),
        (initializers.LecunNormal, "selu", 2), (initializers.LecunUniform, "selu", 2),
    ],
)  # fmt: skip
def test_variance_through_fifty_layers(initializer, activation, networks):
    """Signals and gradients keep their mean square, within a factor of 2, where the initializer fits the activation.

    It wanders with the draws of each layer, the more the fewer units there are: of several networks, the mean counts.
    """
    signals, gradients = mean_squares(initializer, activation, networks)
    assert signals.min() > 0.5 and signals.max() < 2
    if activation == "selu":
        # its variance is a fixed point, but slopes have a mean square of 1.0715, by the integral of the density
        gradients = gradients / 1.0715 ** np.arange(1, 51)
    assert gradients.min() > 0.5 and gradients.max() < 2


def test_the_wrong_initializer_does_not_keep_it():
    """What the test above would see: Glorot's loses half of the mean square in every layer of ReLU."""
    signals, _ = mean_squares(initializers.GlorotNormal, "relu", 1, depth=10)
    assert signals[-1] < 0.01


def test_lsuv():
    x = np.random.default_rng(1).standard_normal((40, 6, 6, 2)).astype("float32") * 3 + 1
    utils.set_random_seed(0)
    image = jitnet.Input((6, 6, 2))
    first = layers.Conv2D(8, 3, activation="relu", name="convolution")
    hidden = layers.Flatten()(first(image))
    second = layers.Dense(30, "tanh", use_bias=False, name="hidden")
    model = jitnet.Model(image, layers.Dense(4, "softmax", name="last")(second(hidden)))
    found = initializers.lsuv(model, x, seed=3)
    assert list(found) == ["convolution", "hidden", "last"]
    # before their activations, all have a variance of 1; kernels are multiples of orthogonal ones
    weights = {v.name: v.numpy() for v in model.weights}
    patches = np.stack([x[:, i : i + 3, j : j + 3] for i in range(4) for j in range(4)], axis=1)
    z = patches.reshape(40, 16, -1) @ weights["convolution/kernel"].reshape(-1, 8)
    np.testing.assert_allclose(z.var(), 1, atol=0.01)
    y = np.tanh(np.maximum(z, 0).reshape(40, -1) @ weights["hidden/kernel"])
    np.testing.assert_allclose((y @ weights["last/kernel"]).var(), 1, atol=0.01)
    np.testing.assert_allclose(found["last"], (y @ weights["last/kernel"]).var(), rtol=1e-4)
    kernel = weights["hidden/kernel"]
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(30) * (kernel[:, 0] ** 2).sum(), atol=1e-5)
    # the same seed gives the same kernels; another gain multiplies the last one
    again = initializers.lsuv(model, x, seed=3, gain=2.0)
    assert again["last"] == pytest.approx(4, rel=0.02)
    initializers.lsuv(model, x, seed=3)
    np.testing.assert_array_equal(model.get_layer("hidden").kernel.numpy(), kernel)
    with pytest.raises(ValueError, match=r"The layer 'convolution' makes the same of all"):
        initializers.lsuv(model, np.zeros_like(x))
    with pytest.raises(ValueError, match=r"lsuv expects a built model with layers that have kernels. Received: model="):
        initializers.lsuv(jitnet.Sequential([jitnet.Input((2,)), layers.Flatten()]), x)
    with pytest.raises(ValueError, match=r"lsuv expects gain to be above 0. Received: gain=0"):
        initializers.lsuv(model, x, gain=0)


def test_errors():
    with pytest.raises(ValueError, match=r"Did you mean 'glorot_uniform'\? Received: initializer='glorot_unifrom'$"):
        initializers.get("glorot_unifrom")
    with pytest.raises(ValueError, match=r"Expected an initializer: .* Received: initializer=0\.5$"):
        initializers.get(0.5)
    for bad in ((2, None), (-1, 2), 3, (1.5,)):
        with pytest.raises(ValueError, match=r"tuple of integers, each at least 0\. Received: shape="):
            initializers.Zeros()(bad)
    with pytest.raises(ValueError, match=r"`Identity` needs a shape of two dimensions\. Received: shape=\(3,\)$"):
        initializers.Identity()((3,))
    with pytest.raises(ValueError, match=r"at least two dimensions\. Received: shape=\(3,\)$"):
        initializers.Orthogonal()((3,))
    with pytest.raises(ValueError, match=r"must broadcast to the shape\. Received: value_shape=\(3,\), shape=\(2,\)$"):
        initializers.Constant([1, 2, 3])((2,))
    with pytest.raises(ValueError, match=r"expects stddev to be a finite number, not negative\. Received: stddev=-1$"):
        initializers.TruncatedNormal(stddev=-1)
    with pytest.raises(ValueError, match=r"Received: minval=1, maxval=0$"):
        initializers.RandomUniform(1, 0)
    with pytest.raises(ValueError, match=r"expects scale to be above 0\. Received: scale=0$"):
        initializers.VarianceScaling(0)
    with pytest.raises(ValueError, match=r"Received: mode='fan'$"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match=r"Received: distribution='beta'$"):
        initializers.VarianceScaling(distribution="beta")
    with pytest.raises(ValueError, match=r"fill float32 or float64 arrays\. Received: dtype='float16'$"):
        initializers.HeNormal()((2,), "float16")
    with pytest.raises(NotImplementedError, match="must define `__call__"):
        initializers.Initializer()((2,))


def test_importing_does_not_import_numba():
    modules = ["callbacks", "initializers", "regularizers", "schedules", "utils"]
    code = f"import sys; {'; '.join(f'import jitnet.{name}' for name in modules)}; print('numba' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
