"""Matrix products and bias on CUDA, emulated, against their CPU twins."""

import numpy as np
import pytest
from cuda_cases import assert_twins
from naive import draw

from jitnet.kernels.cuda import _products

# (M, K, N): no depth, no rows; each tile with edges on all sides; a depth in parts
SIZES = {
    "one": (1, 1, 1),
    "no_rows": (0, 3, 2),
    "no_depth": (3, 0, 2),
    "odd": (5, 11, 13),
    "parts": (3, 130, 5),
    "narrow": (130, 9, 21),
    "medium": (67, 17, 66),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_products(size, dtype):
    if dtype is np.float64 and max(size) > 20:
        pytest.skip("the same kernels as of the smaller sizes")
    rows, depth, columns = size
    x, kernel, dy = (draw(*shape, dtype=dtype, seed=seed) for seed, shape in enumerate(((rows, depth), (depth, columns), (rows, columns))))
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    assert_twins("dense", "dense_forward", x, kernel, np.zeros_like(dy), unwritten=("y",), **tolerance)
    for accumulate in (False, True):
        unwritten = () if accumulate else ("dx", "dkernel")
        assert_twins("dense", "dense_backward_data", dy, kernel, draw(*x.shape, dtype=dtype, seed=9), accumulate, unwritten=unwritten, **tolerance)
        assert_twins("dense", "dense_backward_filter", x, dy, draw(*kernel.shape, dtype=dtype, seed=9), accumulate, unwritten=unwritten, **tolerance)
