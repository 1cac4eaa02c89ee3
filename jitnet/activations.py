"""Activations by name: every scalar function of kernels/scalar/activations.py, softmax, and users' functions."""

from . import _registry, ops
from .core.errors import missing_name
from .core.operations.elementwise import Unary
from .kernels.scalar.activations import NAMES, parameters


def linear(x):
    """x itself."""
    return x


def _of_scalar(name: str):
    """The activation made from a scalar function without parameters."""

    def activation(x):
        return getattr(ops, name)(x) if hasattr(ops, name) else Unary(name)(x)

    activation.__name__ = activation.__qualname__ = name
    return activation


def gelu(x, approximate=False):
    """x * Phi(x) (Hendrycks and Gimpel 2016), exactly, as Keras's activation is; ``approximate``: the tanh form."""
    return ops.gelu(x, approximate)


def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """x from ``threshold`` to ``max_value``, which bounds it; below, negative_slope * (x - threshold)."""
    plain = (negative_slope, max_value, threshold) == (0, None, 0)
    return ops.relu(x) if plain else ops.rectifier(x, negative_slope, max_value, threshold)


KNOWN = {name: _of_scalar(name) for name in NAMES if not parameters(name)}
KNOWN.update(
    linear=linear,
    celu=ops.celu,
    elu=ops.elu,
    exponential=KNOWN["exp"],
    gelu=gelu,
    gelu_tanh=ops.gelu,
    glu=ops.glu,
    hard_shrink=ops.hard_shrink,
    hard_swish=KNOWN["hard_silu"],
    leaky_relu=ops.leaky_relu,
    log_softmax=ops.log_softmax,
    relu=relu,
    relu6=ops.relu6,
    soft_shrink=ops.soft_shrink,
    softmax=ops.softmax,
    sparsemax=ops.sparsemax,
    squareplus=ops.squareplus,
    swish=KNOWN["silu"],
    threshold=ops.threshold,
)


def __getattr__(name):
    if name in KNOWN:
        return KNOWN[name]
    raise missing_name(__name__, "activation", name, KNOWN)


def get(identifier):
    """An activation from a name, a function, or None for ``linear``."""
    if identifier is None:
        return linear
    return _registry.get(identifier, KNOWN, kind="activation")


def serialize(activation) -> str:
    """The name under which an activation is saved."""
    for name, function in KNOWN.items():
        if function is activation:
            return name
    return _registry.serialize(activation)
