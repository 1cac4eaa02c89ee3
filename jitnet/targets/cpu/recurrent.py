"""Which kernels run recurrent layers: by what the program reads of what the reference writes."""

from ...core.program import Call, Out
from ...kernels.cpu.fast.recurrent import recurrent_backward_kernel, recurrent_forward_kernel
from ...kernels.cpu.fast.template import parameters_of

_NAMES = {
    "activated": "extra", "candidate_kernel": "candidate_weights", "candidates": "extra", "recurrent_bias": "bias",
    "recurrent_kernel": "weights",
}  # fmt: skip


def _cell(call: Call) -> str:
    name = call.opcode.removeprefix("recurrent.").removesuffix("_forward").removesuffix("_backward")
    return f"{name}_relu" if call.arguments.get("relu") else name


def forward(call: Call, selection) -> Call:
    """The call of a specialised kernel, which leaves out what nobody reads."""
    y, kernel = call["y"], call["recurrent_kernel"]
    keep = any(selection.is_read(call, call[name]) for name in ("gates", "before"))
    sequences = selection.is_read(call, y)
    chosen = recurrent_forward_kernel(_cell(call), y.shape[1], y.dtype, call["masked"], keep, sequences)
    name = f"{y.name}_states"
    size = chosen.own_states * y.shape[1]
    states = selection.program.temporary(name, (size,), y.dtype, "batch", batches=y.batches)
    weights = selection.recurrent_weights(call, kernel, chosen.weights)
    given = {**call.arguments, "recurrent_kernel": weights, "states": Out(states)}
    if "candidate_kernel" in given:
        kernel = call["candidate_kernel"]
        given["candidate_kernel"] = selection.recurrent_weights(call, kernel, chosen.candidate_weights)
    return _replaced(call, chosen, given)


def backward(call: Call, selection) -> Call:
    """Likewise; the gradients of the first states may be what nobody reads."""
    dh, kernel = call["dh_first"], call["recurrent_kernel"]
    states = selection.is_read(call, dh)
    chosen = recurrent_backward_kernel(_cell(call), dh.shape[0], dh.dtype, call["masked"], call["sequences"], states)
    weights = selection.transposed_panels(call, kernel, chosen.weights.panel)
    given = {**call.arguments, "recurrent_kernel": weights}
    if "candidate_kernel" in given:
        kernel = call["candidate_kernel"]
        given["candidate_kernel"] = selection.transposed_panels(call, kernel, chosen.weights.panel)
    earlier = {"lstm": "cells", "gru": "before"}.get(chosen.cell)
    if earlier:
        given["earlier"] = given.pop(earlier)
    return _replaced(call, chosen, given)


def _replaced(call: Call, chosen, given: dict) -> Call:
    named = {_NAMES.get(name, name): argument for name, argument in given.items()}
    arguments = {name: named[name] for name in parameters_of(chosen.template) if name not in chosen.unused}
    both = call.in_place is not None and set(call.in_place) <= arguments.keys()
    changes = {"in_place": call.in_place if both else None, "attributes": {"recurrent": True}}
    return call.replaced_by(chosen.name, arguments, kernel=chosen, **changes)
