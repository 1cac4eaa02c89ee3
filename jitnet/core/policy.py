"""The dtype of what layers build and compute: one for the process, or another for one thread."""

from contextlib import contextmanager
from contextvars import ContextVar

MIXED = "mixed_bfloat16"

_policy = "float32"
_policy_here: ContextVar[str | None] = ContextVar("policy", default=None)  # instead of _policy


def floatx() -> str:
    """The dtype of new weights and activations: ``"float32"`` (default) or ``"float64"``."""
    found = policy()
    return "float32" if found == MIXED else found


def policy() -> str:
    """The dtype policy of new layers: the name of their float type, or "mixed_bfloat16"."""
    return _policy_here.get() or _policy


def set_policy(policy: str) -> None:
    """Set the policy of all threads, which ``config.set_dtype_policy`` has checked."""
    global _policy
    _policy = policy


@contextmanager
def floatx_here(dtype: str):
    """``set_floatx`` for what is inside and for this thread alone."""
    token = _policy_here.set(_checked_floatx(dtype))
    try:
        yield
    finally:
        _policy_here.reset(token)


def set_floatx(dtype: str) -> None:
    """Choose the dtype of layers built from now on.

    dtype: "float32", or "float64" for gradient checks.
    """
    set_policy(_checked_floatx(dtype))


def _checked_floatx(dtype: str) -> str:
    if dtype not in ("float32", "float64"):
        raise ValueError(f'set_floatx expects "float32" or "float64". Received: dtype={dtype!r}')
    return dtype
