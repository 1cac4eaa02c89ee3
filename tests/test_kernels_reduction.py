"""Reductions against NumPy, central differences and PyTorch."""

import naive.reduction as naive
import numpy as np
import pytest
from naive.differences import gradient

from jitnet.kernels.cpu import reduction

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
# (outer, axis, inner)
SHAPES = [(3, 5, 1), (2, 1, 7), (1, 13, 3), (0, 4, 2), (5, 1, 1), (1, 101, 1)]


def random(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_reduction_forward(name, dtype):
    for shape in SHAPES:
        x = random(shape, dtype)
        y = np.full((shape[0], shape[2]), 7, dtype)
        getattr(reduction, f"{name}_forward")(x, y, shape[1], shape[2])
        np.testing.assert_allclose(y, getattr(naive, name)(x.astype(float)), TOLERANCE[dtype], TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_reduction_backward(name):
    for shape in SHAPES:
        x = random(shape)
        y = getattr(naive, name)(x)
        dy = random(y.shape, seed=1)
        expected = gradient(getattr(naive, name), x, dy)
        dx = np.full_like(x, 7)
        kernel = getattr(reduction, f"{name}_backward")
        arguments = (x, y, dy, dx) if name == "max" else (dy, dx)
        kernel(*arguments, shape[1], shape[2], False)
        np.testing.assert_allclose(dx, expected, rtol=1e-6, atol=1e-8)
        kernel(*arguments, shape[1], shape[2], True)
        np.testing.assert_allclose(dx, 2 * expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(5, 1), (1, 3), (7, 2, 3)])
def test_maximum_over_samples(shape):
    for x in (random(shape, np.float32), np.where(random(shape) > 1, np.nan, -np.inf)):
        y = np.full(shape[1:], 7, x.dtype)
        reduction.batch_max(x, y)
        np.testing.assert_array_equal(y, x.max(axis=0))


def test_the_first_maximum_takes_the_gradient():
    x, y, dx = np.array([[[1.0], [3.0], [3.0]]]), np.empty((1, 1)), np.empty((1, 3, 1))
    reduction.max_forward(x, y, 3, 1)
    reduction.max_backward(x, y, np.array([[2.0]]), dx, 3, 1, False)
    assert dx.reshape(-1).tolist() == [0, 2, 0]


@pytest.mark.parametrize("inner", [1, 2])
def test_maximum_of_nan_and_infinity(inner):
    x = np.array([[-np.inf, -np.inf, -np.inf], [1, np.nan, np.inf], [-np.inf, 2, np.inf]])
    x = np.repeat(x[:, :, None], inner, axis=2)
    y, dx = np.empty((3, inner)), np.empty_like(x)
    reduction.max_forward(x, y, 3, inner)
    np.testing.assert_array_equal(y[:, 0], [-np.inf, np.nan, np.inf])
    reduction.max_backward(x, y, np.ones_like(y), dx, 3, inner, False)
    assert dx[:, :, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_reduction_against_pytorch():
    torch = pytest.importorskip("torch")
    x = random((3, 5, 4), np.float32)
    for name, reference in (("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax)):
        x_torch = torch.tensor(x, requires_grad=True)
        y_torch = reference(x_torch, dim=1)
        dy = random((3, 4), np.float32, seed=1)
        y_torch.backward(torch.tensor(dy))
        y, dx = np.empty((3, 4), np.float32), np.empty_like(x)
        getattr(reduction, f"{name}_forward")(x, y, 5, 4)
        arguments = (x, y, dy, dx) if name == "max" else (dy, dx)
        getattr(reduction, f"{name}_backward")(*arguments, 5, 4, False)
        np.testing.assert_allclose(y, y_torch.detach().numpy(), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(dx, x_torch.grad.numpy(), rtol=1e-4, atol=1e-6)
