"""Resizing on CUDA, emulated, against its CPU twins."""

import numpy as np
import test_kernels_resize
from cuda_cases import assert_twins
from naive import draw


@test_kernels_resize.dtypes
@test_kernels_resize.kinds
@test_kernels_resize.sizes
def test_resize(kind, shape, size, dtype):
    x, dy = draw(*shape, dtype=dtype), draw(shape[0], *size, shape[3], dtype=dtype, seed=1)
    tolerance = 2e-6 if dtype is np.float32 else 1e-13
    options = {"rtol": tolerance, "atol": tolerance}
    assert_twins("resize", f"resize_{kind}_forward", x, np.zeros_like(dy), unwritten=("y",), **options)
    for accumulate in (False, True):
        dx, unwritten = draw(*shape, dtype=dtype, seed=9), () if accumulate else ("dx",)
        assert_twins("resize", f"resize_{kind}_backward", dy, dx, accumulate, unwritten=unwritten, **options)
