"""Gradients of tables of which a step reads some rows, as of an Embedding."""

from ...core.program import Buffer, Call, Out, Program, Scalar
from ...core.rewrites.dataflow import replace
from ..axes import Rows
from . import thresholds

_OF_USED_ROWS = ("optimizers.sgd_update", "optimizers.adagrad_update")  # those that ``fast.embedding`` has


def sum_rows_in_update(program: Program) -> None:
    """The gradient of a large table over the whole batch, some rows of it per block of the optimizer's update.

    A gradient per chunk of the batch would be as large as the table, and zeros for the most part.  A row is summed over
    the batch in order, whoever does it.
    """
    users, loops = program.users(), program.loops()
    replaced: dict[Call, list[Call]] = {}
    for call in program.calls:
        if call.opcode != "indexed.take_backward" or call in loops or call["accumulate"]:
            continue
        indices, dy, partial = call["indices"], call["dy"], call["dx"].root
        if partial.source is None or partial.size < thresholds.SMALL_KERNEL or len(users[partial]) != 2:
            continue
        table, total = call["dx"].shape, users[partial][1]
        if len(table) != 2 or call["axis_size"] != table[0] or total.opcode != "training.sum_partials":
            continue
        given = (indices, dy)
        if any(buffer.kind not in ("batch", "external") or buffer.step is not None for buffer in given):
            continue
        written = {root for other in program.calls[program.calls.index(call) :] for root in other.writes}
        if not written.isdisjoint({indices.root, dy.root}):
            continue
        for buffer in given:
            buffer.root.in_one_piece = buffer.kind == "batch"
        own = {}
        for name in ("order", "rows", "spare_order", "spare_rows"):
            full = f"{indices.root.name}_{name}"
            own[name] = program.temporary(full, indices.shape, "int64", "batch", batches=indices.batches)
            own[name].rows, own[name].in_one_piece = indices.rows, True
        own["counts"] = program.temporary(f"{indices.root.name}_counts", (2048,), "int64", "whole")
        part = {"first": Scalar("first"), "last": Scalar("last")}
        found = {"indices": indices, **{name: Out(buffer) for name, buffer in own.items()}, "size": table[0], **part}
        sums = {"order": own["order"], "rows": own["rows"], "dy": dy, "dx": total.outputs[0], **part}
        replaced[call] = [call.replaced_by("fast.embedding.order_rows", found, work=1, axis=Rows(1, 1))]
        update = _of_used_rows(program, users, total)
        rows = {"phase": "gradients", "axis": Rows(table[0], 1)}
        if update is None:
            replaced[total] = [call.replaced_by("fast.embedding.add_rows", sums, **rows)]
            continue
        arrays = {name: _shaped(a, table) for name, a in update.arguments.items() if name != "gradient"}
        given = {name: sums[name] for name in ("order", "rows", "dy", "dx")} | arrays | part
        replaced[total], name = [], update.opcode.removeprefix("optimizers.").removesuffix("_update")
        replaced[update] = [call.replaced_by(f"fast.embedding.add_rows_{name}", given, **rows)]
    replace(program, replaced)


def _of_used_rows(program: Program, users: dict, total: Call) -> Call | None:
    """The update by a gradient that changes nothing where this is 0, if nothing else reads or changes the gradient."""
    gradient = total.outputs[0].buffer
    touching = users[gradient.root]
    if gradient.kind != "gradient" or total.outputs[0].accumulate or len(touching) != 2:
        return None
    update, blocks = touching[1], [block for block in program.blocks if touching[1] in block.calls]
    if update.opcode not in _OF_USED_ROWS or total not in blocks[0].calls or blocks[0].condition is not None:
        return None
    # a decay or a moving average would need all rows
    parameter = update["parameter"].root
    changes = [c for c in users[parameter] if parameter in c.writes]
    return update if changes == [update] and users[parameter][-1] is update else None


def _shaped(argument, shape: tuple):
    if isinstance(argument, Out):
        return Out(_shaped(argument.buffer, shape), argument.accumulate)
    return argument.viewed(shape) if isinstance(argument, Buffer) else argument
