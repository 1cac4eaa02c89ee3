"""Global settings, under Keras's names."""

from ._errors import invalid
from .graph import floatx, set_floatx

__all__ = ["dtype_policy", "floatx", "set_dtype_policy", "set_floatx"]


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
