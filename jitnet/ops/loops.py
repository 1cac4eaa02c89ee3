"""Loops over time."""

import numpy as np

from .._structures import flatten, packed
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import normalize_axis
from ..core.operations.scan import Body, Scan
from ..core.values import SymbolicTensor, Value, as_value
from ._calls import publisher
from .shapes import concatenate, expand_dims, moveaxis, slice_axis, squeeze

__all__ = []
public = publisher(__all__)


@public
def scan(f, init, xs=None, length=None, reverse=False, unroll=1):
    """Apply ``f`` to one step of a sequence after the other: ``carry, y = f(carry, x)``.

    f: a function of what is carried and of one step of ``xs``, which returns the new carry, of the same shapes, and
        what is stacked; made of jitnet.ops and layers.
    init: what is carried at first, (batch, ...) or the same for all samples (...); a tensor or a structure of them.
        Where all are arrays, one that is as long as the batch is taken to have its axis; without ``xs`` all have it.
    xs: sequences (batch, steps, ...), a tensor or a structure of them; None: there are ``length`` steps without data.
    length: the number of steps, from 1 up; None: that of ``xs``.
    reverse: from the last step to the first; the results are stacked in the order of ``xs``.
    unroll: how many turns to write out, a number from 1 up or a boolean; accepted for Keras's sake: it is one loop in
        any case, a turn of which costs no more than its kernels.

    Returns the last carry, and the results (batch, steps, ...), None where ``f`` returns None.

    The loop is one in the step's source, whatever its length, and its gradient another: JAX's ``lax.scan``, with the
    steps along the axis after the batch.
    """
    if not isinstance(unroll, bool):
        checks.integer("scan", "unroll", unroll, least=1)
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


@public
def associative_scan(f, elems, reverse=False, axis=0):
    """What ``f`` makes of the first element, of the first two, of the first three, and so on, along an axis.

    f: an associative function of two elements, which returns one: ``f(f(a, b), c)`` is ``f(a, f(b, c))``.
    elems: tensors of one length along ``axis``, or a structure of them; an element has the length 1 there.
    reverse: of the last element, of the last two, and so on, in the order of ``elems``: f(last, the one before it).
    axis: not the batch's, axis 0.

    Returns the same structure, each of the shape that it has.  One element after the other, in the loop of a ``scan``:
    Keras's and JAX's function of this name, which need that ``f`` is associative.
    """
    leaves = flatten(elems)
    if not any(isinstance(leaf, Value) for leaf in leaves):
        from ..eager import evaluate_function

        values = evaluate_function(
            lambda *tensors: flatten(associative_scan(f, packed(elems, tensors), reverse, axis)), *leaves
        )
        return packed(elems, values)
    axes = [normalize_axis("associative_scan", axis, leaf) for leaf in leaves]
    lengths = {leaf.shape[place] for leaf, place in zip(leaves, axes, strict=True)}
    if len(lengths) != 1:
        raise invalid("associative_scan expects tensors of one length along the axis.", lengths=sorted(lengths))
    (length,) = lengths
    if length < 2:
        return elems
    begin = (length - 1, length) if reverse else (0, 1)
    rest = (0, length - 1) if reverse else (1, length)
    first = [slice_axis(leaf, place, *begin) for leaf, place in zip(leaves, axes, strict=True)]
    others = [moveaxis(slice_axis(leaf, place, *rest), place, 1) for leaf, place in zip(leaves, axes, strict=True)]

    def turn(carry, step):
        elements = [expand_dims(x, place) for x, place in zip(step, axes, strict=True)]
        new = flatten(f(packed(elems, carry), packed(elems, elements)))
        return new, new

    _, stacked = scan(turn, first, others, reverse=reverse)
    found = []
    for one, more, place in zip(first, stacked, axes, strict=True):
        more = moveaxis(squeeze(more, place + 1), 1, place)
        found.append(concatenate([more, one] if reverse else [one, more], axis=place))
    return packed(elems, found)


def _batched_shape(value: Value) -> tuple:
    return value.shape if value.batched else (None, *value.shape)


def _on_arrays(f, init, xs, length, reverse):
    """``scan`` of arrays (batch, steps, ...), computed at once."""
    from ..eager import evaluate_function

    arrays = [np.asarray(x) for x in flatten(xs)] if xs is not None else []
    if any(array.ndim < 2 for array in arrays):
        raise invalid("scan expects xs to be arrays (batch, steps, ...).", xs=xs)
    initial, kinds = [np.asarray(leaf) for leaf in flatten(init)], []
    if not arrays and (not initial or any(array.ndim == 0 or len(array) != len(initial[0]) for array in initial)):
        raise invalid("scan of arrays without xs expects init to be arrays (batch, ...) of one batch.", init=init)
    batched = [array.ndim > 0 and len(array) == len((arrays or initial)[0]) for array in initial]

    def function(*tensors):
        given = iter(tensors[len(arrays) :])
        start = [next(given) if is_batched else array for array, is_batched in zip(initial, batched, strict=True)]
        sequences = packed(xs, tensors[: len(arrays)]) if arrays else None
        found = scan(f, packed(init, start), sequences, length, reverse)
        kinds.append(found)
        return flatten(found[0]) + ([] if found[1] is None else flatten(found[1]))

    values = evaluate_function(function, *arrays, *(a for a, b in zip(initial, batched, strict=True) if b))
    last, stacked = kinds[0]
    count = len(initial)
    return packed(last, values[:count]), None if stacked is None else packed(stacked, values[count:])
