"""Loops over time."""

from .._structures import flatten, packed
from ..core import checks
from ..core.errors import invalid
from ..core.operations.scan import Body, Scan
from ..core.values import SymbolicTensor, Value, as_value
from ._calls import publisher

__all__ = []
public = publisher(__all__)


@public
def scan(f, init, xs=None, length=None, reverse=False):
    """Apply ``f`` to one step of a sequence after the other: ``carry, y = f(carry, x)``.

    f: a function of what is carried and of one step of ``xs``, which returns the new carry, of the same shapes, and
        what is stacked; made of jitnet.ops and layers.
    init: what is carried at first, (batch, ...) or the same for all samples (...); a tensor or a structure of them.
    xs: sequences (batch, steps, ...), a tensor or a structure of them; None: there are ``length`` steps without data.
    reverse: from the last step to the first; the results are stacked in the order of ``xs``.

    Returns the last carry, and the results (batch, steps, ...), None where ``f`` returns None.

    The loop is one in the step's source, whatever its length, and its gradient another: JAX's ``lax.scan``, with the
    steps along the axis after the batch.
    """
    sequences = flatten(xs) if xs is not None else []
    for x in sequences:
        if not isinstance(x, SymbolicTensor) or not x.batched or x.ndim < 2:
            raise invalid("scan expects xs to be symbolic tensors (batch, steps, ...).", xs=x)
    lengths = {x.shape[1] for x in sequences} | (set() if length is None else {length})
    if len(lengths) != 1:
        raise invalid("scan expects one number of steps, of xs and length.", lengths=sorted(lengths))
    turns = checks.integer("scan", "length", lengths.pop(), least=1)
    known = [v.dtype for v in [*sequences, *flatten(init)] if isinstance(v, Value) and v.dtype.startswith("float")]
    dtype = known[0] if known else None
    initial = [as_value(leaf, dtype) for leaf in flatten(init)]
    carried = [SymbolicTensor(_batched_shape(v), v.dtype, "carry") for v in initial]
    steps = [SymbolicTensor((None, *x.shape[2:]), x.dtype, "step") for x in sequences]
    found = f(packed(init, carried), packed(xs, steps) if sequences else None)
    if not isinstance(found, tuple) or len(found) != 2:
        raise invalid("scan expects its function to return a carry and what is stacked.", returned=found)
    new, result = found
    news = [as_value(leaf, dtype) for leaf in flatten(new)]
    if len(news) != len(carried):
        raise invalid(f"scan expects its function to return a carry of {len(carried)} tensors.", carry=new)
    results = [] if result is None else [as_value(leaf, dtype) for leaf in flatten(result)]
    body = Body(carried, steps, news, results)
    outputs = Scan(body, turns, checks.boolean("scan", "reverse", reverse))(*initial, *sequences, *body.captured)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    last, stacked = outputs[: len(carried)], outputs[len(carried) :]
    return packed(init, last), None if result is None else packed(result, stacked)


def _batched_shape(value: Value) -> tuple:
    return value.shape if value.batched else (None, *value.shape)
