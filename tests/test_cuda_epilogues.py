"""What follows a product, in the same launch or in one of its own, against the definitions, emulated."""

import numpy as np
import pytest
from cuda_cases import ON_DEVICE, cuda_function, emulator, run_cpu
from naive import draw
from test_kernels_conv import Case

from jitnet.kernels.cuda import _api, _epilogues

GROUPED = Case((2, 4, 5, 4), (3, 2, 2, 6), (1, 2), padding=(1, 1, 1, 0), groups=2)
DEPTHWISE = Case((1, 4, 3, 5), (2, 2, 1, 10), groups=5)
# {name: (family, shapes of x, kernel and y, geometry, whether products do it where they store)}
LAYERS = {
    "dense": ("dense", ((5, 7), (7, 6), (5, 6)), (), True),
    "depth_in_parts": ("dense", ((3, 130), (130, 150), (3, 150)), (), True),
    "depth_in_parts_by_quads": ("dense", ((4, 130), (130, 148), (4, 148)), (), True),
    "convolution": ("conv", (GROUPED.x, GROUPED.kernel, GROUPED.y), GROUPED.geometry, True),
    "depthwise": ("conv", (DEPTHWISE.x, DEPTHWISE.kernel, DEPTHWISE.y), DEPTHWISE.geometry, False),
}
KERNELS = {"dense": "dense", "conv": "conv2d"}
EPILOGUES = ["bias", "bias_relu", "bias_add", "bias_add_relu"]


def run(function, *arguments, precision, **named):
    """The last array after the call, and the names of the kernels that were launched, if emulated."""
    backend = emulator(0)
    backend.launched = {}
    given = [backend.to_device(a) if isinstance(a, np.ndarray) else a for a in arguments]
    with _api.using(backend, precision=precision):
        function(*given, **{name: backend.to_device(array) for name, array in named.items()})
    result = [a for a in given if hasattr(a, "reshape")][-1]
    return backend.to_host(result), {kernel.name for kernel, _ in backend.launched}


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("layer", LAYERS)
def test_forward(layer, epilogue):
    family, (x, kernel, y), geometry, stored = LAYERS[layer]
    x, kernel, residual = (draw(*shape, dtype=np.float32, seed=seed) for seed, shape in enumerate((x, kernel, y)))
    bias, name = draw(y[-1], dtype=np.float32, seed=5), f"{KERNELS[family]}_forward"
    expected = run_cpu(family, name, x, kernel, np.zeros_like(residual), *geometry)[2] + bias
    named = {"bias": bias}
    if "add" in epilogue:
        expected = expected + residual
        named["residual"] = residual
    expected = np.maximum(expected, 0) if "relu" in epilogue else expected
    fused = _epilogues.with_epilogue(cuda_function(family, name), epilogue)
    for precision, tolerance in (("highest", 1e-5), ("high", 3e-2)):
        found, kernels = run(fused, x, kernel, np.zeros_like(residual), *geometry, precision=precision, **named)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        assert ON_DEVICE or ("_bias" not in kernels) == stored == ("product" in kernels)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_backward(layer, accumulate):
    family, (x, kernel, y), geometry, _ = LAYERS[layer]
    kernel, dy = draw(*kernel, dtype=np.float32), draw(*y, dtype=np.float32)
    dx, mask = draw(*x, dtype=np.float32, seed=8), np.maximum(draw(*x, dtype=np.float32, seed=9), 0)
    name = f"{KERNELS[family]}_backward_data"
    expected = run_cpu(family, name, dy, kernel, dx, *geometry, accumulate)[2] * (mask > 0)
    fused = _epilogues.with_epilogue(cuda_function(family, name), "relu_mask")
    found, kernels = run(fused, dy, kernel, dx, *geometry, accumulate, precision="highest", mask=mask)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert ON_DEVICE or ("_relu_mask" not in kernels) == ("product" in kernels)


def test_relu_keeps_nan():
    x, kernel, y = np.full((2, 3), np.nan, np.float32), np.ones((3, 2), np.float32), np.zeros((2, 2), np.float32)
    fused = _epilogues.with_epilogue(cuda_function("dense", "dense_forward"), "bias_relu")
    assert np.isnan(run(fused, x, kernel, y, precision="highest", bias=np.zeros(2, np.float32))[0]).all()
