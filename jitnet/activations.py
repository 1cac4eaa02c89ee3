"""Activations by name: every scalar function of kernels/scalar/activations.py, softmax, and users' functions."""

import functools
import math

from . import _registry, ops
from .core import scalar_functions
from .core.errors import invalid, missing_name
from .core.operations.elementwise import Unary
from .kernels.scalar.activations import NAMES, define, parameters
from .ops._calls import apply


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


def activation(function=None, *, derivative=None):
    """Decorator that makes an activation of a function of one number.

    function: of arithmetic, comparisons, ``if``, conditional expressions, assignments, abs, min, max, functions of
        ``math``, numbers of its module, and calls of other such functions.
    derivative: a function of its argument, or of (x, y) or (y), y being its value; None: derived from its source.

    What comes back takes tensors of any shape, and arrays; layers take it as their ``activation``.  It is compiled
    into steps like jitnet's own: in one loop with what is around it, kept on the disk, on CPU and GPU.  ``source`` is
    what is compiled.

    Raises ValueError for what can't be differentiated, with its line, and for a derivative that differences of the
    function contradict.

    Example:
        >>> @activation
        ... def bump(x):
        ...     return math.exp(-x * x)
        >>> layer = jitnet.layers.Dense(3, activation=bump)
    """
    if function is None:
        return functools.partial(activation, derivative=derivative)
    for given in (function, *(() if derivative is None else (derivative,))):
        if not hasattr(given, "__code__") or given.__name__ == "<lambda>":
            raise invalid("activation expects a function that is written with def.", function=given)
    name, source = scalar_functions.source_of(function, derivative)
    _check_slopes(function, name, source)
    define(name, source)

    def apply_elementwise(x):
        # so that another such function may call it, also in plain Python
        return function(x) if type(x) in (int, float) else apply(Unary(name), x)

    functools.update_wrapper(apply_elementwise, function)
    apply_elementwise.scalar_function, apply_elementwise.source = function, source
    return apply_elementwise


def _check_slopes(function, name: str, source: str) -> None:
    """Raise ValueError where the function differs from what was made of it, or its slope from differences."""
    scope = {"math": math, "real": float}
    exec(compile(source, f"<activation {name}>", "exec"), scope)
    made, slope = scope[name], scope[f"{name}_derivative"]
    takes = slope.__code__.co_varnames[: slope.__code__.co_argcount]
    seen = 0
    for i in range(-20, 21):
        x, step = i * 0.31 + 0.0137, 1e-5
        try:
            y, before, after = (float(function(at)) for at in (x, x - step, x + step))
            found = float(slope(*({"x": x, "y": y}[argument] for argument in takes)))
        except (ArithmeticError, ValueError):  # outside of where it is defined
            continue
        left, right = (y - before) / step, (after - y) / step
        if not all(map(math.isfinite, (y, before, after, found))):
            continue
        if not math.isclose(made(x), y, rel_tol=1e-9, abs_tol=1e-12):
            raise invalid(f"{function.__name__}({x:g}) is {y:g}, and {made(x):g} as it was read.", function=function)
        size = max(1.0, abs(left), abs(right))
        if abs(left - right) > 1e-2 * size:  # a kink
            continue
        seen += 1
        if abs(found - (left + right) / 2) > 1e-3 * size:
            expected = f"The slope of {function.__name__} at {x:g} is {(left + right) / 2:g} by differences."
            raise invalid(expected, derivative=found)
    if not seen:
        raise invalid(f"{function.__name__} has no finite slope at any point from -6 to 6.", function=function)


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


def __dir__():
    return sorted({*KNOWN, "deserialize", "get", "serialize"})


def get(identifier):
    """An activation from a name, a function, or None for ``linear``."""
    if identifier is None:
        return linear
    return _registry.get(identifier, KNOWN, kind="activation")


def deserialize(config, custom_objects=None):
    """The activation of a name, or of what ``serialize`` made; ``custom_objects``: {name: function} of your own."""
    return _registry.deserialize(config, KNOWN, custom_objects, kind="activation")


def serialize(activation) -> str:
    """The name under which an activation is saved."""
    for name, function in KNOWN.items():
        if function is activation:
            return name
    return _registry.serialize(activation)
