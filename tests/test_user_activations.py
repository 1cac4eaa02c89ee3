"""Activations that users write as scalar functions: values, slopes, fusion, CUDA, the cache, and what is refused."""

import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from cuda_cases import assert_twins

import jitnet
from jitnet import activations, layers, ops
from jitnet.core import scalar_functions
from jitnet.core.values import placeholder
from jitnet.eager import vector_jacobian_product
from jitnet.kernels.cpu.runtime import native

WIDTH = 0.5


def gate(a, b):
    return a / (1 + math.exp(-b))


@jitnet.activation
def bump(x):
    """A bell."""
    return math.exp(-x * x)


@jitnet.activation
def branches(x):
    a = WIDTH * x
    if x > 1 and not x > 3:
        a = a * a - 0.25
        b: float = math.log1p(a * a)
    elif x < -2:
        return x**3 / 30 + gate(x, x * 2)
    else:
        b = abs(x) ** 1.5
    a += max(b, 0.1, x / 3)
    return a + (math.tanh(b) if b < 2 else math.sinh(x) / 10)


@jitnet.activation
def every_function(x):
    """All that is known."""
    u = 0.3 * x
    a = math.sin(u) + math.cos(u) * math.tan(u) - math.erf(u) * math.erfc(x) + math.fabs(u)
    b = math.sqrt(1 + x * x) + math.log(2 + u * u) + math.log2(2 + x**2) - math.log10(3 + x**2)
    c = math.expm1(u) * math.cosh(u) + math.exp2(-u) - math.pow(1 + x * x, 0.25) + 2**u
    d = min(u, float(1), math.pi) * +u ** (-2) if -4 < x <= -3 or x != x else x**0 / 2 + x**12 / 1e9
    return a + b * c / (3 + x**4) + d + bump(u)


@jitnet.activation(derivative=None)
def cube(x):
    return x * x * x


def slope_of_value(y):
    return 1 - y * y


def slope_of_both(x, y):
    return y + x * 0


@jitnet.activation(derivative=slope_of_value)
def squashed(x):
    return math.tanh(x)


@jitnet.activation(derivative=slope_of_both)
def grown(x):
    return math.exp(x)


OWN = [bump, branches, every_function, cube, squashed, grown]
X = np.linspace(-4.03, 4.01, 41)


@pytest.mark.parametrize("function", OWN, ids=lambda f: f.__name__)
def test_values_and_slopes(function):
    scalar = function.scalar_function
    expected = [scalar(x) for x in X.tolist()]
    dy = np.random.default_rng(0).standard_normal(X.size)
    y, (dx,), _ = vector_jacobian_product(function, [X], dy)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)
    step = 1e-6
    slopes = [(scalar(x + step) - scalar(x - step)) / (2 * step) for x in X.tolist()]
    np.testing.assert_allclose(dx, dy * slopes, rtol=1e-6, atol=1e-8)
    single = X.astype(np.float32)
    y, (dx,), _ = vector_jacobian_product(function, [single], dy.astype(np.float32))
    assert y.dtype == dx.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=5e-6, atol=2e-6)
    np.testing.assert_allclose(dx, dy * slopes, rtol=5e-5, atol=1e-5)


def test_jitnet_compiles_them_itself():
    before = dict(native.FALLBACKS)
    ops.add(every_function(X), branches(X))
    assert before == native.FALLBACKS


@pytest.mark.parametrize("function", [branches, squashed], ids=lambda f: f.__name__)
def test_on_cuda(function):
    name = function(placeholder("x", (3,))).producer.operation.function
    x, dy = X.astype(np.float32), np.random.default_rng(1).standard_normal(X.size).astype(np.float32)
    y = np.array([function.scalar_function(v) for v in X.tolist()], np.float32)
    assert_twins("elementwise", f"{name}_forward", x, y, unwritten=("y",), rtol=2e-5)
    given = y if function is squashed else x
    assert_twins("elementwise", f"{name}_backward", given, dy, np.zeros_like(x), False, unwritten=("dx",), rtol=2e-5)


def model():
    jitnet.utils.set_random_seed(1)
    layer = layers.Dense(3, activation=bump, name="bumps")
    found = jitnet.Sequential([layers.Input((4,), name="x"), layers.Dense(5, squashed, name="first"), layer])
    found.compile("sgd", "mse")
    return found


def test_they_are_fused_and_trained_and_saved(tmp_path):
    x, y = np.random.default_rng(0).standard_normal((9, 4)), np.zeros((9, 3))
    ours = model()
    losses = [ours.train_on_batch(x, y) for _ in range(5)]
    assert losses[-1] < losses[0]
    inputs = jitnet.Input((4,))
    chained = jitnet.Model(inputs, ops.square(branches(inputs * 2.0)) + 1.0)
    assert "pointwise_multiply_branches_" in str(chained.step_source("predict"))
    expected = [[branches.scalar_function(2 * v) ** 2 + 1 for v in row] for row in x.tolist()]
    np.testing.assert_allclose(chained.predict(x), expected, rtol=1e-5)
    for number, given in enumerate((ours, chained)):
        file = tmp_path / f"{number}.jitnet"
        given.save(file)
        again = jitnet.models.load_model(file, custom_objects={"bump": bump, "squashed": squashed})
        np.testing.assert_array_equal(again.predict(x), given.predict(x))
    assert pickle.loads(pickle.dumps(bump)) is bump
    assert activations.get(bump) is bump
    assert bump.__doc__ == "A bell."


def test_names_say_what_is_computed():
    def other(x):
        return 2 * math.exp(-x * x)

    other.__name__ = "bump"
    (name, source), (again, _) = scalar_functions.source_of(other), scalar_functions.source_of(bump.scalar_function)
    assert name.startswith("bump_")
    assert again.startswith("bump_")
    assert name != again
    assert f"def {name}(x):" in source
    assert "exp(" in bump.source


def test_a_later_process_finds_them_in_the_cache(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, test_user_activations as tests\n"
        "print(tests.model().train_on_batch(np.ones((2, 4)), np.ones((2, 3))))\n"
    )
    environment = {**os.environ, "JITNET_CACHE_DIR": str(tmp_path)}
    written, printed = [], []
    for _ in range(2):
        command = [sys.executable, "-W", "error", "-c", code, os.path.dirname(__file__)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
        written.append({file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.o")})
    assert written[0]
    assert written[0] == written[1]
    assert printed[0] == printed[1]


def loops(x):
    while x > 1:
        x = x / 2
    return x


def powers_of_itself(x):
    return powers_of_itself(x - 1) if x > 0 else x


def floors(x):
    y = math.floor(x)
    return x - y


def arrays(x):
    return np.exp(x)


def open_ended(x):
    if x > 0:
        return x


def sometimes(x):
    if x > 0:
        a = x
    return a


def keyworded(x):
    return max(x, 1, key=abs)


def texts(x):
    return x + "1"


def reaching(x):
    return x.__class__


def several(x, y):
    return x + y


def pairs(x):
    a, b = x, x
    return a + b


def conditional(x):
    return x if x else 0


REFUSED = {
    loops: ("assignments to a name, if and return", "while x > 1:", 1),
    powers_of_itself: ("calls itself", "return powers_of_itself", 1),
    floors: ("those of math: .*exp", r"y = math.floor\(x\)", 1),
    arrays: ("those of math", r"return np.exp\(x\)", 1),
    open_ended: ("may end without returning", "def open_ended", 0),
    sometimes: ("a may have no value here", "return a", 3),
    keyworded: ("no arithmetic", "return max", 1),
    texts: ("no arithmetic", 'return x . "1"', 1),
    reaching: ("no arithmetic", "return x.__class__", 1),
    several: ("must take 1 argument", "def several", 0),
    pairs: ("assignments to a name", "a, b = x, x", 1),
    conditional: ("compares numbers", "return x if x else 0", 1),
}


@pytest.mark.parametrize("function", REFUSED, ids=lambda f: f.__name__)
def test_what_is_refused_with_its_line(function):
    reason, shown, offset = REFUSED[function]
    line = function.__code__.co_firstlineno + offset
    with pytest.raises(ValueError, match=rf"{function.__name__}.*{reason}.*, line {line}\). Received: {shown}"):
        jitnet.activation(function)


def test_other_mistakes():
    def wrong(x):
        return 3 * x

    with pytest.raises(ValueError, match=r"slope of bump at .* is .* by differences. Received: derivative="):
        jitnet.activation(bump.scalar_function, derivative=wrong)
    for given in (3, "bump", lambda x: x, math.exp):
        with pytest.raises(ValueError, match=r"written with def. Received: function="):
            jitnet.activation(given)
    scope = {"math": math}
    exec("def made(x):\n    return math.exp(x)\n", scope)
    with pytest.raises(ValueError, match="source of made is not there"):
        jitnet.activation(scope["made"])

    def nowhere(x):
        return math.log(-1 - x * x)

    with pytest.raises(ValueError, match="no finite slope"):
        jitnet.activation(nowhere)


def test_no_text_of_a_function_gets_into_the_source():
    def evil(real, math_=0.5):
        __import__ = real
        return __import__ * math_

    with pytest.raises(ValueError, match="must take 1 argument"):
        jitnet.activation(evil)

    def named(real):
        abs = real * 2
        return abs + real

    assert jitnet.activation(named)(np.float32(1.5)) == 4.5
    assert jitnet.activation(named).source.count("abs") == 0
