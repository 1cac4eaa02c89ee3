"""Loops over time; choices and loops that are known while a model is traced."""

import numpy as np

from .._structures import flatten, packed
from ..core import checks, trace
from ..core.errors import invalid
from ..core.operations.base import normalize_axis
from ..core.operations.scan import Body, Scan
from ..core.trace import effects_so_far
from ..core.values import SymbolicTensor, Value, as_value
from ._calls import is_symbolic, publisher
from .comparisons import equal, where
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
    batches = max(x.batches for x in [*initial, *sequences])
    carried = [SymbolicTensor(_batched_shape(v), v.dtype, "carry", batches=batches) for v in initial]
    steps = [SymbolicTensor((None, *x.shape[2:]), x.dtype, "step", batches=batches) for x in sequences]
    with trace.turn():
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


def _branches(owner: str, functions, arguments=()) -> list:
    """What each function returns, of which a step computes all."""
    before = len(effects_so_far())
    found = [function(*arguments) for function in functions]
    if len(effects_so_far()) > before:
        raise invalid(
            f"ops.{owner} of a symbolic value computes every branch: none may change a variable.", functions=functions
        )
    if len({len(flatten(result)) for result in found}) > 1:
        raise invalid(f"ops.{owner} expects functions that return the same structure.", returned=found)
    return found


def _single(owner: str, value) -> None:
    if value.batched or value.shape not in ((), (1,)):
        raise invalid(f"ops.{owner} expects one value; ops.where chooses element by element.", shape=value.shape)


@public
def cond(pred, true_fn, false_fn):
    """What ``true_fn()`` returns if ``pred``, else what ``false_fn()`` does: tensors of the same shapes.

    pred: of Python or an array, which calls one of the functions; or one symbolic bool: both are computed, so that
        neither may change a variable, and neither is undefined where the other counts.
    """
    if not isinstance(pred, Value):
        return true_fn() if np.asarray(pred).item() else false_fn()
    _single("cond", pred)
    chosen, other = _branches("cond", [true_fn, false_fn])
    pairs = zip(flatten(chosen), flatten(other), strict=True)
    return packed(chosen, [where(pred, a, b) for a, b in pairs])


@public
def switch(index, branches, *operands):
    """What ``branches[index](*operands)`` returns; an index that is outside counts as the first or the last.

    index: an integer, or one symbolic one: then every branch is computed, as by ``cond``.
    """
    branches = list(branches)
    if not isinstance(index, Value):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    _single("switch", index)
    found = _branches("switch", branches, operands)
    result = flatten(found[-1])
    for i, part in reversed(list(enumerate(found[:-1]))):
        leaves = flatten(part)
        here = index <= 0 if i == 0 else equal(index, i)
        result = [where(here, a, b) for a, b in zip(leaves, result, strict=True)]
    return packed(found[-1], result)


@public
def fori_loop(lower, upper, body_fun, init_val):
    """``val = body_fun(i, val)`` for i from ``lower`` to ``upper - 1``: written out in the step, turn by turn.

    lower, upper: integers of Python.  ``ops.scan`` is a loop that the step has once, whatever its length.
    """
    if isinstance(lower, Value) or isinstance(upper, Value):
        raise invalid("ops.fori_loop has bounds that are known when a model is traced.", lower=lower, upper=upper)
    value = init_val
    for i in range(int(lower), int(upper)):
        value = body_fun(i, value)
    return value


@public
def while_loop(cond, body, loop_vars, maximum_iterations=None):
    """``loop_vars = body(*loop_vars)`` while ``cond(*loop_vars)``, which depends on arrays and numbers alone.

    How often a loop of symbolic conditions runs is known only in a step: ``ops.scan`` runs a number of turns, and
    ``ops.where`` leaves alone what has ended.
    """
    several = isinstance(loop_vars, list | tuple)
    values, turns = tuple(loop_vars) if several else (loop_vars,), 0
    while maximum_iterations is None or turns < maximum_iterations:
        going = cond(*values)
        if isinstance(going, Value):
            raise invalid(
                "ops.while_loop expects a condition that is known when a model is traced: use ops.scan, with ops.where "
                "for what has ended.", condition=going,
            )  # fmt: skip
        if not np.asarray(going).item():
            break
        found = body(*values)
        values, turns = tuple(found) if several else (found,), turns + 1
    return type(loop_vars)(values) if several else values[0]


def _of_each(owner: str, function, xs):
    leaves = flatten(xs)
    if is_symbolic(*leaves):
        raise invalid(
            f"ops.{owner} is for arrays: operations on symbolic tensors work on every sample already, and ops.scan on "
            "every step.", xs=xs,
        )  # fmt: skip
    arrays = [np.asarray(x) for x in leaves]
    if not arrays or not len(arrays[0]) or len({len(array) for array in arrays}) > 1:
        raise invalid(f"ops.{owner} expects arrays of one length.", lengths=[len(array) for array in arrays])
    found = [function(packed(xs, [array[i] for array in arrays])) for i in range(len(arrays[0]))]
    columns = zip(*[flatten(part) for part in found], strict=True)
    columns = [np.stack([np.asarray(leaf) for leaf in column]) for column in columns]
    return packed(found[0], columns)


@public
def map(f, xs):
    """``f`` of each element of arrays along their first axis, stacked: in Python, one after the other."""
    return _of_each("map", f, xs)


@public
def vectorized_map(function, elements):
    """``map``: arrays have no other way to be gone through."""
    return _of_each("vectorized_map", function, elements)
