"""Softmax, log-softmax and sparsemax against their definitions, central differences, PyTorch, and extremes."""

import naive.softmax as naive
import numpy as np
import pytest
from naive.differences import gradient

from jitnet.kernels.cpu import softmax

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
# (outer, axis, inner)
SHAPES = [(3, 5, 1), (2, 1, 7), (1, 13, 3), (0, 4, 2), (1, 101, 1), (2, 3, 2)]
NAMES = pytest.mark.parametrize("name", ["softmax", "log_softmax", "sparsemax"])


def random(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@NAMES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward(name, dtype):
    for shape in SHAPES:
        for scale in (1, 300):
            x = scale * random(shape, dtype)
            expected = getattr(naive, name)(x.astype(float))
            y = np.full_like(x, 7)
            getattr(softmax, f"{name}_forward")(x, y, shape[1], shape[2])
            np.testing.assert_allclose(y, expected, rtol=scale * TOLERANCE[dtype], atol=TOLERANCE[dtype])
            in_place = x.copy()
            getattr(softmax, f"{name}_forward")(in_place, in_place, shape[1], shape[2])
            np.testing.assert_allclose(in_place, expected, rtol=scale * TOLERANCE[dtype], atol=TOLERANCE[dtype])


@NAMES
def test_backward(name):
    for shape in SHAPES:
        x, dy = random(shape), random(shape, seed=1)
        y = getattr(naive, name)(x)
        expected = gradient(getattr(naive, name), x, dy)
        dx = np.full_like(x, 7)
        kernel = getattr(softmax, f"{name}_backward")
        kernel(y, dy, dx, shape[1], shape[2], False)
        np.testing.assert_allclose(dx, expected, rtol=1e-6, atol=1e-8)
        kernel(y, dy, dx, shape[1], shape[2], True)
        np.testing.assert_allclose(dx, 2 * expected, rtol=1e-6, atol=1e-8)
        kernel(y, dy, dy, shape[1], shape[2], False)
        np.testing.assert_allclose(dy, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_against_pytorch(name):
    torch = pytest.importorskip("torch")
    for shape in ((3, 10, 1), (2, 5, 3)):
        x, dy = random(shape, np.float32), random(shape, np.float32, seed=1)
        x_torch = torch.tensor(x, requires_grad=True)
        y_torch = getattr(torch, name)(x_torch, dim=1)
        y_torch.backward(torch.tensor(dy))
        y, dx = np.empty_like(x), np.empty_like(x)
        getattr(softmax, f"{name}_forward")(x, y, shape[1], shape[2])
        getattr(softmax, f"{name}_backward")(y, dy, dx, shape[1], shape[2], False)
        np.testing.assert_allclose(y, y_torch.detach().numpy(), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(dx, x_torch.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes(dtype):
    x = np.array([[-300, 300, 300], [1e30, 1e30, -1e30], [-np.inf, 0, -0.0], [np.nan, 0, 1]], dtype)[:, :, None]
    y = np.empty_like(x)
    softmax.softmax_forward(x, y, 3, 1)
    np.testing.assert_allclose(y[:3, :, 0], [[0, 0.5, 0.5], [0.5, 0.5, 0], [0, 0.5, 0.5]], atol=1e-30)
    assert np.all(np.isnan(y[3]))
    softmax.log_softmax_forward(x, y, 3, 1)
    half = np.log(0.5)
    expected = [[-600 + half, half, half], [half, half, -2e30], [-np.inf, half, half]]
    np.testing.assert_allclose(y[:3, :, 0], expected, rtol=TOLERANCE[dtype])
    assert np.all(np.isnan(y[3]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparsemax_of_extremes(dtype):
    x = np.array([[-300, 300, 300], [1e30, 1e30, -1e30], [-np.inf, 0, 0.5], [7, 7, 7], [1e6, 1e6, -1]], dtype)
    y = np.empty_like(x)
    softmax.sparsemax_forward(x, y, 3, 1)
    third = 1 / 3
    expected = [[0, 0.5, 0.5], [0.5, 0.5, 0], [0, 0.25, 0.75], [third, third, third], [0.5, 0.5, 0]]
    np.testing.assert_allclose(y, expected, rtol=TOLERANCE[dtype])
    x[0, 0] = np.nan
    softmax.sparsemax_forward(x, y, 3, 1)
    assert np.isnan(y[0, 0])
