"""Dense layers with many weights: each core keeps to its own rows of them, in the product and in the update."""

from ...core.program import Call, Out, Program, Scalar
from ...core.rewrites.dataflow import replace
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
    for call in program.calls:
        if not isinstance(call.kernel, MatrixMultiplyTransposed) or call.kernel.epilogue != "store" or call in loops:
            continue
        x, dy, partial = call["x"], call["dy"], call["dkernel"].root
        if partial.source is None or partial.size < thresholds.SMALL_KERNEL or len(users[partial]) != 2:
            continue
        total = users[partial][1]
        written = [c for root in (x.root, dy.root) for c in users[root] if root in c.writes]
        if any(places[c] > places[call] for c in written) or "partial" in (x.kind, dy.kind):
            continue
        if x.step is not None or dy.step is not None:  # of which every chunk has its own, between others
            continue
        for root in (x.root, dy.root):
            root.in_one_piece = root.kind == "batch"
        gradient = Out(total.outputs[0].buffer.like(call["dkernel"]), total.outputs[0].accumulate)
        axis = Rows(gradient.buffer.shape[0], call.kernel.tile_rows)
        product = {"x": x, "dy": dy, "dkernel": gradient, **_PART}
        replaced[call] = []
        replaced[total] = [call.replaced_by(call.opcode, product, phase="gradients", kernel=call.kernel, axis=axis)]
    replace(program, replaced)


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
    sums = program.temporary(f"{out.buffer.name}_parts", (count, kernel.shape[1]), x.dtype, "batch")
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
