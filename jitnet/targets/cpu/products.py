"""Dense layers with many weights: each core keeps to its own rows of them, in the product and in the update."""

import dataclasses

from ...core.program import Buffer, Call, Out, Program, Scalar
from ...core.rewrites.dataflow import replace
from ...core.values import ITEMSIZE
from ...kernels.cpu.fast.matrix_multiply import (
    MatrixMultiply,
    MatrixMultiplyTransposed,
    matrix_multiply_part_kernel,
)
from ..axes import Rows
from . import thresholds

_PART = {"first": Scalar("first"), "last": Scalar("last")}


def compute_in_update(program: Program) -> None:
    """Gradients of large dense weights as one product over the batch, some rows per block of the optimizer's update.

    A gradient per chunk would be written and read once per chunk; so it stays in the cache until it is used.
    """
    users, loops = program.users(), program.loops()
    places = {call: index for index, call in enumerate(program.calls)}
    replaced: dict[Call, list[Call]] = {}
    products = [c for c in program.calls if isinstance(c.kernel, MatrixMultiplyTransposed) and c not in loops]
    copied = sum(call["dkernel"].nbytes for call in products)
    for call in products:
        x, dy, partial, chosen = call["x"], call["dy"], call["dkernel"].root, call.kernel
        if chosen.epilogue != "store" or partial.source is None or len(users[partial]) != 2:
            continue
        if partial.size < thresholds.SMALL_KERNEL:
            continue
        if copied <= thresholds.COPIED_PRODUCTS and _is_worth_a_copy(program, x):
            continue
        if (program.any_size or x.rows > 1) and not chosen.narrow:  # of many rows, which each part reads once
            chosen = dataclasses.replace(chosen, packed=True)
        total = users[partial][1]
        written = [c for root in (x.root, dy.root) for c in users[root] if root in c.writes]
        if any(places[c] > places[call] for c in written) or "partial" in (x.kind, dy.kind):
            continue
        if x.step is not None or dy.step is not None:  # of which every chunk has its own, between others
            continue
        for root in (x.root, dy.root):
            root.in_one_piece = root.kind == "batch"
        gradient = Out(total.outputs[0].buffer.like(call["dkernel"]), total.outputs[0].accumulate)
        axis = Rows(gradient.buffer.shape[0], chosen.tile_rows)
        product = {"x": x, "dy": dy, "dkernel": gradient, **_PART}
        replaced[call] = []
        replaced[total] = [call.replaced_by(chosen.name, product, phase="gradients", kernel=chosen, axis=axis)]
    replace(program, replaced)


def _is_worth_a_copy(program: Program, x: Buffer) -> bool:
    """Whether a chunk computes enough of a gradient, from samples of many rows, to write a copy of its own.

    The products of the whole batch would be computed when its activations have left the cache.
    """
    rows = x.rows * (thresholds.ROWS_PER_HEAVY_CHUNK if x.rows > 1 else 1)
    operations_per_byte = 2 * rows / ITEMSIZE[x.dtype]
    return program.any_size or operations_per_byte >= thresholds.WORK_PER_COPIED_BYTE


def add_products(program: Program) -> None:
    """A sum of two products: the second is added to the first where that lies."""
    users, blocks = program.users(), {call: block for block in program.blocks for call in block.calls}
    places = {call: index for index, call in enumerate(program.calls)}
    moved: dict[Buffer, Buffer] = {}  # {what was a sum: where it is now}
    replaced: dict[Call, list[Call]] = {}
    for call in program.calls:
        if call.opcode != "elementwise.add_forward" or call["a_strides"] != call["b_strides"]:
            continue
        products = [_only_product(users, call, name) for name in ("a", "b")]
        if None in products or products[0] is products[1]:
            continue
        first, second = sorted(products, key=places.get)
        one, target = call["a" if first is products[0] else "b"], call["y"]
        between = program.calls[places[first] : places[call]]
        if second.epilogue is not None or blocks[second] is not blocks[call]:
            continue
        if blocks[first] is blocks[call]:
            touched = [b for c in between for b in c.buffers] + [call["a"], call["b"]]
            if any(b.overlaps(target) for b in touched):
                continue
            first.arguments = {**first.arguments, "y": Out(target.like(first["y"]))}
        else:  # a product of all turns, before the loop
            new = users[target.root][0] is call and target.step is None and target.root.kind == "batch"
            if not new or any(blocks[c] is not blocks[call] for c in users[target.root]):
                continue
            moved[target.root] = target = one
        second.arguments = {**second.arguments, "y": Out(target.like(second["y"]), True)}
        second.attributes = {**second.attributes, "epilogue": "accumulate"}
        replaced[call] = []
    replace(program, replaced)
    for call in program.calls if moved else ():
        call.arguments = {name: _moved(moved, argument) for name, argument in call.arguments.items()}


def _only_product(users: dict, add: Call, name: str) -> Call | None:
    """The product that ``add`` alone reads as ``name``."""
    buffer, touching = add[name], users[add[name].root]
    if buffer.root.kind != "batch" or len(touching) != 2 or touching[1] is not add:
        return None
    product = touching[0]
    known = product.opcode == "dense.dense_forward" and product.epilogue in (None, "bias")
    return product if known and buffer.root in product.writes and not product.outputs[0].accumulate else None


def _moved(moved: dict, argument):
    if isinstance(argument, Out):
        return Out(_moved(moved, argument.buffer), argument.accumulate)
    if not isinstance(argument, Buffer) or argument.root not in moved:
        return argument
    return moved[argument.root].like(argument)


def split_products_of_few(program: Program) -> None:
    """Forward products with large dense weights in parts along the rows of these: a sample gives all cores work.

    Each core reads its own part of the weights, from one end to the other.
    """
    replaced: dict[Call, list[Call]] = {}
    for call in program.calls:
        if not isinstance(call.kernel, MatrixMultiply) or call.kernel.epilogue not in ("bias", "bias_relu"):
            continue
        if call["kernel"].size >= thresholds.SPLIT_KERNEL and call["x"].rows == 1 and call["x"].step is None:
            replaced[call] = _in_parts(program, call, None, thresholds.PARTS_OF_FEW)
    replace(program, replaced)


def _in_parts(program: Program, call: Call, axis: Rows | None, count: int) -> list[Call]:
    """A product as partial sums, and their sum; axis: along which rows of the weights."""
    x, kernel, out = call["x"], call["kernel"], call.outputs[0]
    chosen = matrix_multiply_part_kernel(x.dtype)
    sums = program.temporary(f"{out.buffer.name}_parts", (count, kernel.shape[1]), x.dtype, "batch", batches=x.batches)
    sums.in_one_piece = True
    given = {"a": x, "b": kernel, "c": Out(sums), "part": Scalar("chunk"), **_PART}
    part = call.replaced_by(chosen.name, given, kernel=chosen, axis=axis or Rows(kernel.shape[0], 1))
    relu = call.kernel.epilogue == "bias_relu"
    summed = {"parts": sums, "bias": call["bias"], "y": out, "relu": relu}
    return [part, call.replaced_by("fast.split_products.parts_sum", summed, work=sums.size)]


def split_products(program: Program) -> None:
    """Forward products with large dense weights in parts along the rows of the weights, for the whole batch.

    The update gives a core the same rows, which it has in its cache then: instead of half of the weights, partial sums
    go from core to core.  The samples are gathered column by column, too, where nothing else reads them.
    """
    axes = {call["x"].root: call.axis for call in program.calls if isinstance(call.axis, Rows)}
    users, loops = program.users(), program.loops()
    replaced: dict[Call, list[Call]] = {}
    for call in program.calls:
        if not isinstance(call.kernel, MatrixMultiply) or call.kernel.epilogue not in ("bias", "bias_relu"):
            continue
        x, kernel = call["x"], call["kernel"]
        axis = axes.get(x.root)
        if axis is None or axis.rows != kernel.shape[0] or kernel.size < thresholds.SPLIT_KERNEL:
            continue
        if x.rows != 1 or x.step is not None or call in loops:
            continue
        replaced[call] = _in_parts(program, call, axis, thresholds.PARTS)
        gather = users[x.root][0]
        # besides: the layer's own gradient, which is computed for the whole batch
        if gather.opcode == "memory.gather" and len(users[x.root]) == 3:
            given = {"source": gather["source"], "order": gather["order"], "out": Out(x), **_PART}
            columns = gather.replaced_by("fast.split_products.gather_columns", given, work=0, axis=axis)
            replaced[gather] = [columns]
    replace(program, replaced)
