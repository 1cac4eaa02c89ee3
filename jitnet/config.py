"""Global settings, under Keras's names where Keras has them."""

from ._errors import invalid
from .graph import floatx, set_floatx

__all__ = ["conv_algorithm", "floatx", "set_conv_algorithm", "set_floatx"]

_CONV_ALGORITHMS = ("auto", "direct", "winograd")
_conv_algorithm = "auto"


def conv_algorithm() -> str:
    """How convolutions are computed: "auto" (default), "direct" or "winograd"."""
    return _conv_algorithm


def set_conv_algorithm(algorithm: str) -> None:
    """Choose how convolutions of 3x3 without strides, dilation and groups are computed, from now on.

    algorithm:
      "auto"      Winograd's algorithm where it was measured to be faster, in float32 only
      "direct"    never Winograd's algorithm
      "winograd"  Winograd's algorithm wherever it is possible (Lavin & Gray 2016, arXiv 1509.09308)

    Winograd's F(4x4, 3x3) takes a quarter of the multiplications; in float32 its rounding error is about 1e-5 of the
    largest output, where that of a direct convolution is 1e-6.  It transforms the weights once per step, which pays for
    batches: predictions for single small images (8x8, say) are faster with "direct".
    """
    global _conv_algorithm
    if algorithm not in _CONV_ALGORITHMS:
        raise invalid('set_conv_algorithm expects "auto", "direct" or "winograd".', algorithm=algorithm)
    _conv_algorithm = algorithm
