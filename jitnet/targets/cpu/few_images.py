"""Few images: calls run along blocks of an image's rows and of filters, so that one image gives every core work.

How many parts there are, shapes alone decide, never the threads.  The calls of neighbouring layers meet where one
reads rows that other blocks wrote, and only there.  Halos are not computed twice: meeting costs one to two
microseconds, less than the rows that a convolution of 3 x 3 would compute again.
"""

import math
from dataclasses import replace

from ...core.liveness import place
from ...core.program import Batch, Block, Buffer, Call, Out, Program, Scalar
from ...core.values import ITEMSIZE
from ..axes import ImageRows
from ..axes import Rows as RowsOfWeights
from . import thresholds

_FIRST, _LAST = Scalar("first"), Scalar("last")
_BY_WINDOWS = {  # kernels that take as many rows as their output has, from those of x that ``pad_top`` says
    "pool.max_pool2d_forward", "pool.average_pool2d_forward", "depthwise.depthwise_conv2d_forward",
    "fast.depthwise.depthwise_conv2d_forward",
}  # fmt: skip
_BY_ELEMENTS = {"pointwise.chain", "shape.copy_forward"}


def can_split(program: Program) -> bool:
    """Whether a program is one for few images: a prediction, in which nothing is added up over the batch."""
    roots = {b.root for call in program.calls for b in call.buffers}
    partial = [root for root in roots if root.kind == "partial"]
    return (
        not program.any_size  # whose steps share their code, whatever the sizes are
        and not any(call.opcode.startswith("attention") for call in program.calls)  # which is shared out otherwise
        and all(type(block) is Block and block.condition is None for block in program.blocks)
        and {root.kind for root in roots} <= {"batch", "external", "whole", "variable", "constant", "partial"}
        and all(_is_workspace(root, program) for root in partial)
        and all(root.batches == 1 for root in roots)
        and all(call.axis is None or isinstance(call.axis, Batch | RowsOfWeights) for call in program.calls)
    )


def _is_workspace(root: Buffer, program: Program) -> bool:
    """Whether no call sees what another left there."""
    names = {name for call in program.calls for name in call.arguments if getattr(call[name], "root", None) is root}
    return names == {"workspace"}


def split(calls: list[Call]) -> list[tuple[object, list[Call]]]:
    """[(axis, calls that run together along it)] for the calls of a program, in order."""
    found: list[_Together] = []
    for call in calls:
        if not found or not found[-1].takes(call):
            found.append(_Together(call))
    parts: list[tuple[object, list[Call]]] = []
    for axis, together in (item.along() for item in found):
        if isinstance(axis, Batch) and parts and parts[-1][0] == axis and _of_images(parts[-1][1] + together):
            parts[-1][1].extend(together)
        else:
            parts.append((axis, list(together)))
    return parts


def _of_images(calls: list[Call]) -> bool:
    """Whether no call writes something for all images."""
    return all(root.kind != "whole" for call in calls for root in call.writes)


class _Together:
    """Calls of which a part needs nothing that other parts have computed: rows of images, or whole images.

    height, tile: of parts that are rows of images: how many there are, and what blocks of them are a multiple of.
    """

    def __init__(self, call: Call):
        self.calls = [call]
        self.height, self.tile, self.parts = 0, 1, [call]
        self.alone = _is_heavy(call)
        if call.batched and (rows := _rows_of(call, 0)) is not None:
            self.height, self.tile, arguments = rows
            self.parts = [replace(call, arguments=arguments)]

    def takes(self, call: Call) -> bool:
        """Whether ``call`` could be added, and now is."""
        if self.alone or not call.batched or not self.calls[0].batched or _is_heavy(call):
            return False
        rows = _rows_of(call, self.height)
        if (rows is None) != (self.height == 0) or (rows and rows[0] != self.height):
            return False
        if rows and max(rows[1], self.tile) % min(rows[1], self.tile):
            return False
        part = replace(call, arguments=rows[2]) if rows else call
        if not self._is_independent(call, _own(part, bool(rows))):
            return False
        self.calls.append(call)
        self.parts.append(part)
        self.tile = max(self.tile, rows[1]) if rows else 1
        return True

    def _is_independent(self, call: Call, own: frozenset) -> bool:
        for other, part in zip(self.calls, self.parts, strict=True):
            shared = (call.reads & other.writes) | (call.writes & (other.reads | other.writes))
            theirs = _own(part, self.height > 0)
            if any(root.kind != "partial" and not (root in own and root in theirs) for root in shared):
                return False
        return True

    def along(self) -> tuple[object, list[Call]]:
        """(axis, the calls along it)"""
        if not self.calls[0].batched:
            return self.calls[0].axis, self.calls
        if not self.height:
            return Batch(), self.calls
        wanted = parts_of(sum(map(_operations, self.calls)))
        if len(self.parts) == 1 and (filters := _filters_of(self.parts[0])):
            axis = _rows_and_filters(self.height, self.tile, filters, self.parts[0], wanted)
        else:
            axis = ImageRows(self.height, self.tile, blocks(self.height, self.tile, wanted))
        if axis.parts == 1:
            return Batch(), self.calls
        parts = [_of_filters(part, axis.size) for part in self.parts] if axis.filters > 1 else self.parts
        return axis, [replace(part, axis=axis) for part in parts]


def _own(part: Call, rows: bool) -> frozenset:
    """What a part of a call touches in its own rows, or its own images, alone."""
    if not rows:
        return frozenset(b.root for b in part.buffers if b.batched)
    return frozenset({b.root for b in part.buffers if b.part} - {b.root for b in part.buffers if not b.part})


def _operations(call: Call) -> float:
    """Operations of a call for an image, as if all were those of products, which are some ten times as fast."""
    products = call.opcode.startswith(("conv", "matrix", "dense."))
    return call.work if products else 10 * call.work


def parts_of(work: float) -> int:
    """In how many parts so many operations go."""
    return min(thresholds.MAXIMUM_PARTS, max(1, round(work / thresholds.PART_WORK)))


def blocks(height: int, tile: int, wanted: int) -> int:
    """So many blocks of rows, or fewer, of about one size; each starts at a multiple of ``tile``."""
    groups = -(-height // tile)
    return -(-groups // -(-groups // wanted))


def _is_convolution(call: Call) -> bool:
    """Whether a call is a convolution, forward, whose kernel takes rows and filters."""
    kernel = call.kernel
    known = getattr(kernel, "template", None) in ("conv2d_direct", "winograd_convolution") and "x" in call.arguments
    return known and getattr(kernel, "groups", 1) == 1


def _is_heavy(call: Call) -> bool:
    """Whether a call has more weights than pixels: blocks of rows would all read all of them."""
    return _is_convolution(call) and call["kernel"].nbytes > call["x"].nbytes + call["y"].nbytes


def _filters_of(call: Call) -> list[int]:
    """The numbers of filters that a part may have, fewest first."""
    if not _is_convolution(call):
        return []
    filters, least = call["y"].shape[2], call.kernel.filters_of_parts
    return [size for size in range(least, filters, least) if filters % size == 0]


def _rows_and_filters(height: int, tile: int, sizes: list[int], call: Call, wanted: int) -> ImageRows:
    """Blocks of rows, and of these so many parts of the filters as are wanted; where weights are many, the reverse."""
    filters = call["y"].shape[2]
    if call.kernel.template == "winograd_convolution":
        nbytes = call.kernel.workspace_elements * ITEMSIZE[call["y"].dtype]
        wanted = min(wanted, max(1, thresholds.PARTS_BYTES // nbytes))

    def of_filters(most: int) -> int:
        """The size of a part."""
        return next((size for size in sizes if filters // size <= most), filters)

    if _is_heavy(call):
        size = of_filters(wanted)
        count = blocks(height, tile, max(1, wanted // (filters // size)))
    else:
        count = blocks(height, tile, wanted)
        size = of_filters(wanted // count)
    return ImageRows(height, tile, count, filters // size, size)


def _of_filters(call: Call, size: int) -> Call:
    """A convolution by parts of so many filters."""
    kernel, itemsize, filters = call.kernel, ITEMSIZE[call["y"].dtype], call["y"].shape[2]
    winograd = kernel.template == "winograd_convolution"
    column = kernel.bytes_per_filter if winograd else itemsize
    chosen = replace(kernel, filters=size, pitch=filters) if winograd else replace(kernel, part=size)
    columns = {"kernel": column, "bias": itemsize, "residual": itemsize, "y": itemsize}
    changed = {name: _from_column(a, columns[name]) for name, a in call.arguments.items() if name in columns}
    return replace(call, opcode=chosen.name, kernel=chosen, arguments={**call.arguments, **changed})


def _from_column(argument, nbytes: int):
    """A view that begins with a part's first filter."""
    if isinstance(argument, Out):
        return Out(_from_column(argument.buffer, nbytes), argument.accumulate)
    return replace(argument, name=f"{argument.name}_from_column", column=nbytes)


def _rows_of(call: Call, height: int) -> tuple[int, int, dict] | None:
    """(rows of the output, rows that a block is a multiple of, arguments for a block); None if it has no rows.

    height: those of the calls before, if any.
    """
    arguments = call.arguments
    out = call.outputs[0].buffer if call.outputs else None
    if out is None or not out.batched:
        return None
    if getattr(call.kernel, "template", None) in ("conv2d_direct", "winograd_convolution") and "x" in arguments:
        winograd = call.kernel.template == "winograd_convolution"
        tile, stride = (call.kernel.rows_of_block(out.shape[1]), 1) if winograd else (1, call.kernel.stride[0])
        changed = {name: _part(arguments[name]) for name in ("y", "residual") if name in arguments}
        changed |= {"pad_top": _below(call, stride), "height": _LAST - _FIRST}
        if not winograd and call.kernel.kernel_shape[0] == stride == 1 and call["pad_top"] == 0:
            changed |= {"x": _part(arguments["x"]), "pad_top": 0}  # each row is made of the same one
        return out.shape[0], tile, {**arguments, **changed}
    if call.opcode in _BY_WINDOWS:
        changed = {name: _part(arguments[name]) for name in ("y", "argmax") if name in arguments}
        return out.shape[0], 1, {**arguments, **changed, "pad_top": _below(call, arguments["stride_h"])}
    if call.opcode == "fast.pool.max_pool2d_2x2_forward":
        changed = {name: _part(arguments[name], 2 if name == "x" else 1) for name in ("x", "y", "argmax")}
        return out.shape[0], 1, {**arguments, **changed}
    if _is_by_elements(call):
        return _elements(call, height)
    return None


def _below(call: Call, stride: int) -> Scalar:
    """The padding with which a block's first row is row 0."""
    return Scalar("-", (call["pad_top"], stride * _FIRST))


def _is_by_elements(call: Call) -> bool:
    """Whether every row of what it writes is made of the same row of all that it reads."""
    family, _, name = call.opcode.partition(".")
    if call.opcode == "shape.pad2d_forward":
        return call["top"] == 0 and call["x"].shape[0] == call["y"].shape[0]
    by_channels = {"batch_norm_apply", "batch_norm_relu_apply", "batch_norm_add_relu_apply"}
    if (family, name) == ("dense", "bias_add_forward") or (family == "normalization" and name in by_channels):
        return True
    unary = family == "elementwise" and name.endswith("_forward") and len([b for b in call.buffers if b.batched]) == 2
    sizes = {b.size for b in call.buffers if b.batched}
    return (call.opcode in _BY_ELEMENTS or unary) and len(sizes) == 1 and "a_strides" not in call.arguments


def _elements(call: Call, height: int) -> tuple[int, int, dict] | None:
    """Of a call that any rows will do for: those of the calls before, or those that its arrays have."""
    # a single axis is that of the channels
    leading = [b.rows if len(b.shape) < 2 else b.shape[0] if b.rows == 1 else 1 for b in call.buffers if b.batched]
    if not height or any(count % height for count in leading):
        height = math.gcd(*leading)
    if height < 2:
        return None
    changed = {}
    for (name, argument), count in zip(
        [(n, a) for n, a in call.arguments.items() if isinstance(call[n], Buffer) and call[n].batched], leading,
        strict=True,
    ):  # fmt: skip
        changed[name] = _part(argument, count // height)
    return height, 1, {**call.arguments, **changed}


def _part(argument, times: int = 1):
    """The rows of an image that belong to a block: so many for each row of the axis."""
    if isinstance(argument, Out):
        return Out(_part(argument.buffer, times), argument.accumulate)
    return replace(argument, name=f"{argument.name}_part", part=times)


def place_between_sections(sections: list[list[Call]], roots: list[Buffer], size_of) -> tuple[dict[Buffer, int], int]:
    """Offsets of ``roots`` and their size: blocks of rows are done in any order, so a section is one point in time.

    An output takes over its input's memory only in a section of one call.
    """
    at = {call: number for number, calls in enumerate(sections) for call in calls}
    items = [call if len(calls) == 1 else replace(call, in_place=None) for calls in sections for call in calls]
    times = {item: at[call] for item, call in zip(items, (c for calls in sections for c in calls), strict=True)}
    return place(items, roots, size_of, at=times)

