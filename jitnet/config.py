"""Global settings, under Keras's names where Keras has them."""

from ._errors import invalid
from .graph import floatx, set_floatx

__all__ = ["conv_algorithm", "dtype_policy", "floatx", "set_conv_algorithm", "set_dtype_policy", "set_floatx"]

_CONV_ALGORITHMS = ("auto", "direct", "winograd")
_conv_algorithm = "auto"


def dtype_policy() -> str:
    """The dtype policy of new layers, which is the name of their float type."""
    return floatx()


def set_dtype_policy(policy: str) -> None:
    """Choose the dtype policy of layers built from now on: "float32" or "float64", as ``set_floatx`` does.

    Raises ValueError for any other, mixed precision included: jitnet has no kernels for it yet.
    """
    check_policy(policy)
    if policy not in ("float32", "float64"):
        raise invalid('set_dtype_policy expects "float32" or "float64".', policy=policy)
    set_floatx(policy)


def check_policy(policy) -> None:
    """Raise ValueError for a policy of mixed or half precision, with what it would need and what to use instead."""
    if policy in ("mixed_bfloat16", "bfloat16"):
        from .kernels.specialise import host_has_amx

        raise invalid(
            f"The policy {policy!r} needs a processor with AMX (amx-tile and amx-bf16: Intel Xeon from the 4th "
            f"generation on; this one has AMX: {'yes' if host_has_amx() else 'no'}) and kernels that jitnet does not "
            'have yet. Use "float32".',
            policy=policy,
        )
    if policy in ("mixed_float16", "float16"):
        raise invalid(f'The policy {policy!r} is for GPUs: jitnet computes in "float32" or "float64".', policy=policy)


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
    batches: predictions for single small images (8x8, say) are faster with "direct".  "auto" and "winograd" also use it
    along the rows of other convolutions with five columns of taps (forward, float32), at no cost in precision.
    """
    global _conv_algorithm
    if algorithm not in _CONV_ALGORITHMS:
        raise invalid('set_conv_algorithm expects "auto", "direct" or "winograd".', algorithm=algorithm)
    _conv_algorithm = algorithm
