"""Convolutions on CUDA, emulated, against their CPU twins, which have their oracle and PyTorch."""

import numpy as np
import pytest
import test_kernels_conv
import test_kernels_depthwise
from cuda_cases import assert_twins
from naive import draw

from jitnet.kernels.cuda import _thin

# of the CPU's cases: all sides of padding, strides, dilations and groups; one tap, groups of one channel: kernels that
# others do the work of; depths in parts
NAMES = [
    "one", "pointwise", "empty_batch", "primes", "asymmetric", "padding_beyond_kernel", "kernel_beyond_image",
    "stride_beyond_kernel", "dilation", "groups_dilation", "depthwise_double", "many_filters", "deep_window",
]  # fmt: skip
DEPTHWISE = [
    "one_pixel", "3x3_blocks_and_rest", "stride_3_and_2", "dilation_and_stride", "window_beyond_image", "only_padding",
    "multiplier_stride_dilation", "empty_batch",
]  # fmt: skip
CASES = {name: ("conv", "conv2d", test_kernels_conv.CASES[name], np.float32) for name in NAMES}
# channels and filters in fours, which are loaded at once
WHOLE = test_kernels_conv.Case((2, 7, 6, 8), (3, 2, 4, 24), (2, 1), padding=(1, 1, 1, 0), dilation=(1, 2), groups=2)
CASES["whole"] = "conv", "conv2d", WHOLE, np.float32
CASES["whole_float64"] = "conv", "conv2d", WHOLE, np.float64
WHOLE_STEPS = test_kernels_conv.Case((2, 6, 7, 8), (2, 3, 8, 12), padding=(1, 0, 1, 2), dilation=(2, 1))
CASES["whole_stride_1"] = "conv", "conv2d", WHOLE_STEPS, np.float32
# strides and dilations with and without a common divisor; pixels that no tap reaches; taps in two classes of one number
# or of several, the last of them beyond the kernel; quads that are whole and others
STRIDED = {
    "stride_2": test_kernels_conv.Case((2, 7, 8, 4), (3, 3, 4, 8), (2, 2), padding=(1, 1, 0, 1)),
    "stride_2_dilation_2": test_kernels_conv.Case((2, 9, 8, 4), (3, 2, 4, 8), (2, 2), (1, 2, 1, 0), dilation=(2, 3)),
    "stride_4_dilation_6": test_kernels_conv.Case((1, 17, 14, 4), (3, 5, 4, 4), (4, 3), (3, 0, 0, 2), dilation=(6, 2)),
    "stride_3_of_odd": test_kernels_conv.Case((2, 8, 11, 70), (4, 2, 35, 6), (3, 2), (2, 1, 1, 2), groups=2),
    "one_tap": test_kernels_conv.Case((2, 5, 4, 68), (1, 1, 68, 4), (2, 2)),
    "one_tap_of_groups": test_kernels_conv.Case((2, 5, 4, 8), (1, 1, 4, 8), (2, 3), groups=2),
    "in_parts": test_kernels_conv.Case((1, 4, 4, 4), (3, 3, 4, 96), (2, 2), padding=(1, 1, 1, 1)),
}
CASES |= {name: ("conv", "conv2d", case, np.float32) for name, case in STRIDED.items()}
# few channels or filters: several blocks of pixels, several runs of filters, a part of one, and quads of either
THIN = {
    "first_layer": test_kernels_conv.Case((3, 12, 11, 1), (5, 5, 1, 6), padding=(2, 2, 2, 2)),
    "second_layer": test_kernels_conv.Case((3, 9, 8, 6), (5, 3, 6, 16), (2, 1)),
    "few_filters": test_kernels_conv.Case((2, 5, 6, 12), (3, 2, 12, 11), (1, 2), dilation=(1, 2)),
}
CASES |= {name: ("conv", "conv2d", case, np.float32) for name, case in THIN.items()}
CASES["few_float64"] = *CASES["second_layer"][:3], np.float64
CASES["float64"] = *CASES["asymmetric"][:3], np.float64
for name in DEPTHWISE:
    CASES[f"depthwise-{name}"] = "depthwise", "depthwise_conv2d", test_kernels_depthwise.CASES[name], np.float32
CASES["depthwise-float64"] = *CASES["depthwise-stride_3_and_2"][:3], np.float64


@pytest.mark.parametrize("family,name,case,dtype", CASES.values(), ids=CASES.keys())
def test_twins(family, name, case, dtype):
    x, kernel, dy = (draw(*shape, dtype=dtype, seed=seed) for seed, shape in enumerate((case.x, case.kernel, case.y)))
    tolerance = dict.fromkeys(("rtol", "atol"), 1e-5 if dtype is np.float32 else 1e-12)
    assert_twins(family, f"{name}_forward", x, kernel, np.zeros_like(dy), *case.geometry, unwritten=("y",), **tolerance)
    for accumulate in (False, True):
        options = {"unwritten": () if accumulate else ("dx", "dkernel"), **tolerance}
        dx, dkernel = draw(*x.shape, dtype=dtype, seed=9), draw(*kernel.shape, dtype=dtype, seed=9)
        assert_twins(family, f"{name}_backward_data", dy, kernel, dx, *case.geometry, accumulate, **options)
        assert_twins(family, f"{name}_backward_filter", x, dy, dkernel, *case.geometry, accumulate, **options)


@pytest.mark.parametrize("name", THIN)
def test_a_thread_for_each_pixel_of_few_channels(name, monkeypatch):
    """As where there are many pixels."""
    monkeypatch.setattr(_thin, "_lanes", lambda *_: 1)
    test_twins(*CASES[name])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_reaches_its_windows_only(value):
    """Neither what a tile holds beyond its edges nor padding is multiplied with it."""
    case = test_kernels_conv.CASES["same"]
    x, kernel, dy = (draw(*s, dtype=np.float32, seed=seed) for seed, s in enumerate((case.x, case.kernel, case.y)))
    x[1, 2, 3, 1] = dy[0, 6, 8, 4] = value
    geometry = case.geometry
    assert_twins("conv", "conv2d_forward", x, kernel, np.zeros_like(dy), *geometry, rtol=1e-5, atol=1e-5)
    assert_twins("conv", "conv2d_backward_data", dy, kernel, np.zeros_like(x), *geometry, False, rtol=1e-5, atol=1e-5)
