"""Pointwise kernels against their definitions, central differences, PyTorch, and extremes."""

import ast
import inspect
import os
import re
import subprocess
import sys

import naive.elementwise as naive
import numpy as np
import pytest
from naive.differences import gradient

from jitnet.kernels.cpu import elementwise
from jitnet.kernels.cpu.runtime.jit import compile_uncached, scalar
from jitnet.kernels.scalar import activations, arithmetic, losses, optimizers, philox, real
from jitnet.kernels.scalar.broadcasting import canonical

# not those that other tests add
NAMES = [name for name in activations.NAMES if activations.defined_by(name) is None]

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-12}
PARAMETERS = {"alpha": 0.7, "negative_slope": 0.1, "max_value": 2.0, "threshold": 0.5, "default_value": -0.3, "b": 1.7}
POSITIVE_ONLY = ("log", "sqrt", "log1p")

TORCH = {
    "relu": "nn.functional.relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "softplus": "nn.functional.softplus",
    "softsign": "nn.functional.softsign",
    "selu": "nn.functional.selu",
    "gelu": "nn.functional.gelu",
    "silu": "nn.functional.silu",
    "hard_sigmoid": "nn.functional.hardsigmoid",
    "hard_tanh": "nn.functional.hardtanh",
    "mish": "nn.functional.mish",
    "hard_silu": "nn.functional.hardswish",
    "tanh_shrink": "nn.functional.tanhshrink",
    "log_sigmoid": "nn.functional.logsigmoid",
    **{name: name for name in ("exp", "log", "sqrt", "square", "absolute", "negative", "reciprocal", "sin", "cos")},
    **{name: name for name in ("log1p", "expm1", "erf", "arctan", "floor")},
    "nearest_whole": "round",
}

# values at -inf and inf; NaN where there is no limit
LIMITS = {
    "relu": (0, np.inf),
    "rectifier": (-np.inf, 2.0),
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "softplus": (0, np.inf),
    "softsign": (-1, 1),
    "elu": (-0.7, np.inf),
    "celu": (-0.7, np.inf),
    "selu": (-1.7580993408473766, np.inf),
    "gelu": (0, np.inf),
    "gelu_tanh": (0, np.inf),
    "silu": (0, np.inf),
    "hard_sigmoid": (0, 1),
    "hard_tanh": (-1, 1),
    "mish": (0, np.inf),
    "hard_silu": (0, np.inf),
    "tanh_shrink": (-np.inf, np.inf),
    "hard_shrink": (-np.inf, np.inf),
    "soft_shrink": (-np.inf, np.inf),
    "thresholded": (-0.3, np.inf),
    "squareplus": (0, np.inf),
    "sparse_plus": (0, np.inf),
    "sparse_sigmoid": (0, 1),
    "log_sigmoid": (-np.inf, 0),
    "exp": (0, np.inf),
    "exponential": (0, np.inf),
    "log": (np.nan, np.inf),
    "sqrt": (np.nan, np.inf),
    "square": (np.inf, np.inf),
    "absolute": (np.inf, np.inf),
    "negative": (np.inf, -np.inf),
    "reciprocal": (0, 0),
    "sign": (-1, 1),
    "sin": (np.nan, np.nan),
    "cos": (np.nan, np.nan),
    "log1p": (np.nan, np.inf),
    "expm1": (-1, np.inf),
    "erf": (-1, 1),
    "arctan": (-np.pi / 2, np.pi / 2),
    "floor": (-np.inf, np.inf),
    "nearest_whole": (-np.inf, np.inf),
}


def parameters_of(name):
    return [PARAMETERS[parameter] for parameter in activations.parameters(name)]


def forward(name, x):
    y = np.full_like(x, 7)
    getattr(elementwise, f"{name}_forward")(x, y, *parameters_of(name))
    return y


def backward(name, x, y, dy, dx, accumulate):
    reads = [{"x": x, "y": y}[argument] for argument in activations.derivative_arguments(name)]
    getattr(elementwise, f"{name}_backward")(*reads, dy, dx, *parameters_of(name), accumulate)


def samples(name, dtype=np.float64, size=35, seed=0):
    x = 2 * np.random.default_rng(seed).standard_normal(size)
    return (np.abs(x) + 0.1 if name in POSITIVE_ONLY else x).astype(dtype)


def torch_function(torch, name):
    function = torch
    for part in TORCH[name].split("."):
        function = getattr(function, part)
    return function


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_activation_forward_is_the_definition(name, dtype):
    x = samples(name, dtype)
    expected = getattr(naive, name)(x.astype(float), *parameters_of(name))
    np.testing.assert_allclose(forward(name, x), expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] / 10)
    in_place = x.copy()
    getattr(elementwise, f"{name}_forward")(in_place, in_place, *parameters_of(name))
    np.testing.assert_allclose(in_place, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] / 10)


@pytest.mark.parametrize("name", NAMES)
def test_activation_backward_is_the_slope(name):
    x = samples(name)
    y = forward(name, x)
    dy = np.random.default_rng(1).standard_normal(x.shape)
    expected = gradient(lambda x: forward(name, x), x, dy)
    dx = np.full_like(x, 7)
    backward(name, x, y, dy, dx, False)
    np.testing.assert_allclose(dx, expected, rtol=1e-6, atol=1e-8)
    backward(name, x, y, dy, dx, True)
    np.testing.assert_allclose(dx, 2 * expected, rtol=1e-6, atol=1e-8)
    in_place = dy.copy()
    backward(name, x, y, in_place, in_place, False)
    np.testing.assert_allclose(in_place, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", TORCH)
def test_activation_against_pytorch(name):
    torch = pytest.importorskip("torch")
    x = samples(name, np.float32)
    dy = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = torch_function(torch, name)(x_torch)
    y_torch.backward(torch.tensor(dy))
    y = forward(name, x)
    dx = np.empty_like(x)
    backward(name, x, y, dy, dx, False)
    np.testing.assert_allclose(y, y_torch.detach().numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(dx, x_torch.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_every_activation_has_its_limits_written_down():
    assert set(LIMITS) == set(NAMES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_activation_extremes(name, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([-np.inf, np.inf, np.nan, -300, 300, tiny, -tiny, -0.0], dtype)
    y = forward(name, x)
    np.testing.assert_allclose(y[:2], np.array(LIMITS[name], dtype), rtol=TOLERANCE[dtype], atol=1e-30)
    assert np.isnan(y[2])
    with np.errstate(all="ignore"):
        expected = getattr(naive, name)(x[3:].astype(float), *parameters_of(name)).astype(dtype)
    np.testing.assert_allclose(y[3:], expected, rtol=TOLERANCE[dtype], atol=1e-30)

    # the slope is finite wherever the function and its slope are
    x = x[3:5] if name not in POSITIVE_ONLY else x[4:5]
    y, dx = forward(name, x), np.empty_like(x)
    backward(name, x, y, np.ones_like(x), dx, False)
    if np.all(np.isfinite(y)):
        assert np.all(np.isfinite(dx))


def test_slopes_at_infinity_are_finite_where_a_function_flattens():
    names = (
        "sigmoid", "tanh", "softplus", "softsign", "gelu", "gelu_tanh", "silu", "mish", "log_sigmoid", "selu",
        "hard_silu", "squareplus", "sparse_plus", "tanh_shrink",
    )  # fmt: skip
    for name in names:
        x = np.array([-np.inf, np.inf])
        y, dx = forward(name, x), np.empty(2)
        backward(name, x, y, np.ones(2), dx, False)
        assert np.all(np.isfinite(dx)), name


def test_slopes_at_kinks():
    zero, slope = np.zeros(1), np.empty(1)
    for name in ("relu", "absolute", "sign"):
        backward(name, zero, zero, np.ones(1), slope, False)
        assert slope[0] == 0, name


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (2, 3, 5)])
def test_any_rank_and_size(shape):
    x = np.asarray(np.random.default_rng(0).standard_normal(shape))
    y = np.empty_like(x)
    elementwise.relu_forward(x, y)
    np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_signatures_are_read_from_the_scalar_functions():
    def arguments(kernel):
        return list(inspect.signature(kernel.py_func).parameters)

    assert activations.derivative_arguments("relu") == ("y",)
    assert activations.derivative_arguments("elu") == ("x", "y")
    assert arguments(elementwise.elu_forward) == ["x", "y", "alpha"]
    assert arguments(elementwise.elu_backward) == ["x", "y", "dy", "dx", "alpha", "accumulate"]
    assert arguments(elementwise.gelu_backward) == ["x", "dy", "dx", "accumulate"]
    # x and y come first in that order, and a derivative takes all of its function's parameters
    for name in NAMES:
        expected = activations.derivative_arguments(name) + activations.parameters(name)
        assert tuple(inspect.signature(getattr(activations, f"{name}_derivative")).parameters) == expected


def functions_of(module):
    """Trees of the arithmetic functions of a module of scalar functions; those with annotations are about names."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef) and node.returns is None:
            yield node


@pytest.mark.parametrize("module", [activations, arithmetic, losses, optimizers, philox])
def test_literals_say_their_type(module):
    # a bare 0.5 would make float32 a float64 wherever it is compiled; type(x)(0.5) compiles for the CPU alone
    for function in functions_of(module):
        typed = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func).removeprefix("np.") in (
                *("real", "float32", "float64", "int32", "uint64", "range"),
            ):
                typed.update(map(id, ast.walk(node)))
            assert ast.unparse(node) != "type", f"{function.name}: type"
        for node in ast.walk(function):
            if isinstance(node, ast.Constant) and not isinstance(node.value, str):
                assert id(node) in typed, f"{function.name}: {ast.unparse(node)}"


def test_literals_have_the_type_of_the_arguments():
    @scalar
    def thirds(n, x):
        return real(n) * x if n > 1 else x * real(1 / 3)

    compiled = compile_uncached(lambda n, x: thirds(n, x))
    for dtype in (np.float32, np.float64):
        x = dtype(0.7)
        for function in (compiled, thirds):  # compiled, and from Python
            assert function(1, x) == x * dtype(1 / 3)
            assert function(2, x) == dtype(2) * x
    assert [str(signature.return_type) for signature in compiled.nopython_signatures] == ["float32", "float64"]


@pytest.mark.parametrize("name", NAMES)
def test_scalar_functions_run_from_python(name):
    x = samples(name, np.float32, size=7)
    expected = getattr(naive, name)(x.astype(float), *parameters_of(name))
    y = [getattr(activations, name)(value, *parameters_of(name)) for value in x]
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-7)
    # differences in float64
    reads = {"x": x.astype(float), "y": expected}
    arguments = [reads[argument] for argument in activations.derivative_arguments(name)]
    derivative = getattr(activations, f"{name}_derivative")
    slopes = [derivative(*values, *parameters_of(name)) for values in zip(*arguments, strict=True)]
    dy = np.ones_like(expected)
    wanted = gradient(lambda x: getattr(naive, name)(x, *parameters_of(name)), reads["x"], dy)
    np.testing.assert_allclose(slopes, wanted, rtol=1e-6, atol=1e-7)


def llvm_of(kernel, arrays, scalars):
    """Optimised LLVM IR of a float32 kernel, compiled afresh: a cached one has none."""
    import numba

    arguments = [numba.float32[::1]] * arrays + [numba.typeof(scalar) for scalar in scalars]
    dispatcher = compile_uncached(kernel.py_func)
    dispatcher.compile(tuple(arguments))
    return next(iter(dispatcher.inspect_llvm().values()))


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32_and_vectorises(name):
    scalars = parameters_of(name)
    reads = len(activations.derivative_arguments(name))
    for ir in (
        llvm_of(getattr(elementwise, f"{name}_forward"), 2, scalars),
        llvm_of(getattr(elementwise, f"{name}_backward"), 2 + reads, [*scalars, False]),
    ):
        assert "fpext float" not in ir
        # a function that sets the sign as a bit stores integers
        assert name in ("sin", "cos") or re.search(r"store <\d+ x (float|i32)>", ir)


def test_binary_loops_are_vectorised():
    strides = ((1, 1, 8), (8, 8, 8, 1), (8, 8, 8, 1))
    assert re.search(r"store <\d+ x float>", llvm_of(elementwise.add_forward, 3, strides))


def test_a_second_process_finds_the_compiled_kernels(tmp_path):
    script = (
        "import numpy as np; from jitnet.kernels.cpu import elementwise as e; x = np.ones(3)\n"
        "from jitnet.kernels.cpu.runtime import cache\n"
        "written, write = [], cache.write\n"
        "cache.write = lambda *a: (written.append(a[0].partition('_')[0]), write(*a))\n"
        "for kernel in [e.relu_forward, e.sigmoid_forward]: kernel(x, x)\n"
        "print(written)"
    )
    environment = {**os.environ, "JITNET_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", script]
    outputs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]
    assert outputs == ["['objects/relu', 'objects/sigmoid']\n", "[]\n"]


# (a, a batched, b, b batched), shapes of one sample
BROADCASTS = [
    ((3, 5), True, (3, 5), True),
    ((3, 5), True, (5,), False),
    ((5,), False, (3, 5), True),
    ((3, 5), True, (3, 1), False),
    ((3, 1), True, (1, 5), True),
    ((2, 3, 5), True, (2, 1, 5), True),
    ((2, 1, 5), True, (1, 3, 1), True),
    ((7,), True, (1,), True),
    ((7,), True, (), False),
    ((), True, (), False),
    ((1, 1), True, (1,), True),
    ((3,), False, (2, 3), False),
]


def broadcast_case(a_shape, a_batched, b_shape, b_batched, n, dtype):
    random = np.random.default_rng(0)
    a = random.standard_normal(((n,) if a_batched else ()) + a_shape).astype(dtype)
    b = random.standard_normal(((n,) if b_batched else ()) + b_shape).astype(dtype)
    rank = max(len(a_shape), len(b_shape))

    def aligned(array, shape, batched):
        return array.reshape((array.shape[0] if batched else 1,) + (1,) * (rank - len(shape)) + shape)

    return a, b, lambda a: aligned(a, a_shape, a_batched), lambda b: aligned(b, b_shape, b_batched)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", arithmetic.NAMES)
def test_binary_forward_is_numpys(name, dtype):
    for case in BROADCASTS:
        for n in (0, 1, 4):
            a, b, align_a, align_b = broadcast_case(*case, n, dtype)
            if name == "power":
                a = np.abs(a) + dtype(0.1)
            expected = getattr(naive, name)(align_a(a).astype(float), align_b(b).astype(float))
            y = np.full(expected.size, 7, dtype)
            getattr(elementwise, f"{name}_forward")(a.reshape(-1), b.reshape(-1), y, *canonical(*case))
            np.testing.assert_allclose(y, expected.reshape(-1), rtol=5 * TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("name", arithmetic.NAMES)
def test_binary_backward_is_the_slope(name):
    function = getattr(naive, name)
    for case in BROADCASTS:
        a, b, align_a, align_b = broadcast_case(*case, 2, np.float64)
        if name == "power":
            a = np.asarray(np.abs(a) + 0.1)
        if name == "divide":
            b = np.asarray(b + 0.5 * np.sign(b))
        y = function(align_a(a), align_b(b))
        dy = np.random.default_rng(1).standard_normal(y.shape)
        expected_a = gradient(lambda a: function(align_a(a), align_b(b)), a, dy)  # noqa: B023
        expected_b = gradient(lambda b: function(align_a(a), align_b(b)), b, dy)  # noqa: B023
        for of, array, expected in (("a", a, expected_a), ("b", b, expected_b)):
            d = np.full(array.size, 7.0)
            kernel = getattr(elementwise, f"{name}_backward_{of}")
            arguments = (a.reshape(-1), b.reshape(-1), dy.reshape(-1), d, *canonical(*case))
            kernel(*arguments, False)
            np.testing.assert_allclose(d, expected.reshape(-1), rtol=1e-6, atol=1e-7)
            kernel(*arguments, True)
            np.testing.assert_allclose(d, 2 * expected.reshape(-1), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["maximum", "minimum", "power", "divide"])
def test_binary_special_values_against_pytorch(name):
    torch = pytest.importorskip("torch")
    if name == "divide":
        a, b = np.meshgrid([-2.0, 0.0, 3.0], [-1.0, 2.0, 1e100])
    else:
        a, b = np.meshgrid([-2.0, 0.0, 1.0, 2.0], [0.0, 1.0, 2.0])
    a, b = a.reshape(-1).copy(), b.reshape(-1).copy()
    a_torch, b_torch = (torch.tensor(array, requires_grad=True) for array in (a, b))
    getattr(torch, {"power": "pow"}.get(name, name))(a_torch, b_torch).sum().backward()
    case = canonical(a.shape, False, b.shape, False)
    for of, grad in (("a", a_torch.grad), ("b", b_torch.grad)):
        d = np.empty_like(a)
        getattr(elementwise, f"{name}_backward_{of}")(a, b, np.ones_like(a), d, *case, False)
        np.testing.assert_allclose(d, grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_maximum_and_minimum_keep_nan(name):
    a, b, y = np.array([np.nan, 1.0]), np.array([1.0, np.nan]), np.empty(2)
    getattr(elementwise, f"{name}_forward")(a, b, y, *canonical((2,), False, (2,), False))
    assert np.all(np.isnan(y))


def test_canonical_merges_dimensions():
    assert canonical((4, 5, 6), True, (4, 5, 6), True) == ((1, 1, 120), (120, 120, 120, 1), (120, 120, 120, 1))
    assert canonical((4, 5, 6), True, (6,), False) == ((1, 20, 6), (120, 120, 6, 1), (0, 6, 0, 1))
    assert canonical((4, 5, 6), True, (1, 1, 6), True) == ((1, 20, 6), (120, 120, 6, 1), (6, 6, 0, 1))
    assert canonical((), False, (3, 1, 2), True)[0] == (1, 1, 6)


def test_canonical_never_repeats_both_operands_in_the_innermost_dimension():
    for case in BROADCASTS:
        _, a_strides, b_strides = canonical(*case)
        assert sorted((a_strides[3], b_strides[3])) in ([0, 1], [1, 1])


@pytest.mark.parametrize(
    ("a_shape", "b_shape", "message"), [((3, 4), (3, 5), "equal or 1"), ((2, 1, 2, 1), (1, 2, 1, 2), "alternate")]
)
def test_canonical_names_bad_shapes(a_shape, b_shape, message):
    with pytest.raises(ValueError, match=message) as error:
        canonical(a_shape, True, b_shape, False)
    assert str(error.value).endswith(f"Received: a_shape={a_shape}, b_shape={b_shape}")
