"""Loops over time."""

import numpy as np

from .._structures import flatten, packed
from ..core import checks
from ..core.errors import invalid
from ..core.operations.scan import Body, Scan
from ..core.values import SymbolicTensor, Value, as_value
from ._calls import publisher

__all__ = []
public = publisher(__all__)


@public
def scan(f, init, xs=None, length=None, reverse=False, unroll=1):
    """Apply ``f`` to one step of a sequence after the other: ``carry, y = f(carry, x)``.

    f: a function of what is carried and of one step of ``xs``, which returns the new carry, of the same shapes, and
        what is stacked; made of jitnet.ops and layers.
    init: what is carried at first, (batch, ...) or the same for all samples (...); a tensor or a structure of them.
        Where all are arrays, one that is as long as the batch is taken to have its axis.
    xs: sequences (batch, steps, ...), a tensor or a structure of them; None: there are ``length`` steps without data.
    reverse: from the last step to the first; the results are stacked in the order of ``xs``.
    unroll: accepted for Keras's sake; must be 1: a turn costs no more than its kernels.

    Returns the last carry, and the results (batch, steps, ...), None where ``f`` returns None.

    The loop is one in the step's source, whatever its length, and its gradient another: JAX's ``lax.scan``, with the
    steps along the axis after the batch.
    """
    if unroll != 1:
        raise invalid("A scan is one loop: unroll must be 1.", unroll=unroll)
    sequences = flatten(xs) if xs is not None else []
    if not any(isinstance(value, Value) for value in [*sequences, *flatten(init)]):
        return _on_arrays(f, init, xs, length, reverse)
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


def _on_arrays(f, init, xs, length, reverse):
    """``scan`` of arrays (batch, steps, ...), computed at once."""
    from ..eager import evaluate_function

    arrays = [np.asarray(x) for x in flatten(xs)] if xs is not None else []
    if not arrays or any(array.ndim < 2 for array in arrays):
        raise invalid("scan expects xs to be arrays (batch, steps, ...).", xs=xs)
    initial, kinds = [np.asarray(leaf) for leaf in flatten(init)], []
    batched = [array.ndim > 0 and len(array) == len(arrays[0]) for array in initial]

    def function(*tensors):
        given = iter(tensors[len(arrays) :])
        start = [next(given) if is_batched else array for array, is_batched in zip(initial, batched, strict=True)]
        found = scan(f, packed(init, start), packed(xs, tensors[: len(arrays)]), length, reverse)
        kinds.append(found)
        return flatten(found[0]) + ([] if found[1] is None else flatten(found[1]))

    values = evaluate_function(function, *arrays, *(a for a, b in zip(initial, batched, strict=True) if b))
    last, stacked = kinds[0]
    count = len(initial)
    return packed(last, values[:count]), None if stacked is None else packed(stacked, values[count:])
