"""Which kernel runs a call: where a specialised one exists for its shapes, that takes the reference's place."""

from ...core.program import Batch, Buffer, Call, Out, Program, Scalar
from ...core.rewrites.dataflow import replace
from ...core.rewrites.pointwise import OPCODE as CHAIN
from ...kernels.cpu.fast.attention import attention_kernel, attention_supports
from ...kernels.cpu.fast.bfloat16 import (
    conv2d_backward_filter_bfloat16_kernel,
    conv2d_bfloat16_kernel,
    matrix_multiply_bfloat16_kernel,
    rounding_pays,
)
from ...kernels.cpu.fast.column_sums import bias_add_backward_kernel
from ...kernels.cpu.fast.convolution_direct import (
    conv2d_backward_data_kernel,
    conv2d_backward_filter_kernel,
    conv2d_forward_kernel,
    supports,
)
from ...kernels.cpu.fast.convolution_rows import conv2d_row_forward_kernel, row_weights_kernel
from ...kernels.cpu.fast.matrix_multiply import (
    matrix_multiply_kernel,
    matrix_multiply_panels_kernel,
    matrix_multiply_transposed_kernel,
)
from ...kernels.cpu.fast.pointwise import PointwiseKernel
from ...kernels.cpu.fast.transpose import panels_kernel, transpose_kernel
from ...kernels.cpu.fast.winograd import (
    winograd_backward_data_kernel,
    winograd_backward_filter_kernel,
    winograd_forward_kernel,
    winograd_outputs,
)
from ..axes import Shares
from . import recurrent, thresholds


class Scratch:
    """One scratch buffer per chunk and dtype, shared by all calls along the batch; and one per dtype for the others."""

    def __init__(self, program: Program):
        self.buffers: dict[tuple, Buffer] = {}
        self.program = program
        self.sizes: dict[tuple, int] = {}

    def get(self, dtype: str, elements: int, kind: str = "partial") -> Out:
        key = dtype, kind
        if key not in self.buffers:
            self.buffers[key] = self.program.temporary("workspace", (1,), dtype, kind)
        self.sizes[key] = max(self.sizes.get(key, 16), elements)
        return Out(self.buffers[key])

    def finish(self) -> None:
        for key, buffer in self.buffers.items():
            buffer.shape = (self.sizes[key],)


def is_specialised(call: Call) -> bool:
    """Whether there are specialised kernels for what the call does with these arguments."""
    if not call.opcode.startswith("conv."):
        return True
    stride, dilation = (call["stride_h"], call["stride_w"]), (call["dilation_h"], call["dilation_w"])
    return supports(call.opcode.removeprefix("conv.conv2d_"), stride, dilation)


def specialise(program: Program, scratch: Scratch, algorithm: str, few: bool = False) -> None:
    """Give convolutions, dense layers, max pooling and pointwise chains specialised kernels.

    algorithm: how convolutions are computed (see ``config.set_conv_algorithm``); few: for a prediction of few images.
    """
    selection = _Selection(program, scratch, algorithm, few)
    replaced: dict[Call, list[Call]] = {}
    before: dict[Call, list[Call]] = {}
    for call in program.calls:
        if call.opcode == CHAIN:
            call.kernel = _pointwise(call.attributes["chain"])
        elif call.opcode.startswith("normalization.batch_norm_fold"):
            call.phase = "prepare"
            selection.first.append(call)  # weights, too
            replaced[call] = []
        elif call.opcode == "dense.dense_forward" and call.phase == "update" and not call.batched:
            replaced[call] = [_whole_product(call, selection)]
        elif call.opcode in _SELECTORS and call.batched and is_specialised(call) and not _changes(call):
            selection.before = before[call] = []
            found = _SELECTORS[call.opcode](call, selection)
            replaced[call] = found if isinstance(found, list) else [found]
    for call, prepares in selection.later().items():
        before[call] = [*prepares, *before.get(call, [])]
    replace(program, replaced, before)
    program.blocks[0].calls[:0] = selection.first


def _changes(call: Call) -> bool:
    """Whether its weights are others in each turn of a loop, where copies of them cannot be made before it."""
    return any(buffer.step is not None and not buffer.batched for buffer in call.buffers)


def _pointwise(chain) -> PointwiseKernel:
    return PointwiseKernel(chain.functions, chain.arrays, chain.singles, chain.scalars, chain.statements, chain.rows)


class _Selection:
    """What the choices for one program share: scratch memory, and copies of weights in other layouts.

    first: calls that copy weights, before all others; before: those right before the present call, or its loop.
    """

    UNWRITTEN = -1

    def __init__(self, program: Program, scratch: Scratch, algorithm: str, few: bool):
        self.program, self.scratch, self.algorithm, self.few = program, scratch, algorithm, few
        self.first: list[Call] = []
        self.before: list[Call] = []
        self._copies: dict = {}
        self._users = program.users()
        self._places = {call: place for place, call in enumerate(program.calls)}
        self.loops = program.loops()
        self._writes: dict[Buffer, list[int]] = {}  # of weights, where
        for call, place in self._places.items():
            for root in call.writes:
                if root.kind == "variable":
                    self._writes.setdefault(root, []).append(place)
        self._after: dict[int, list[Call]] = {}  # {place of a write: copies of what it wrote}
        self._write_of: dict[Buffer, int] = {}  # {copy: the place of that write}

    def workspace_of_shares(self, dtype: str, elements: int) -> Out:
        """Scratch memory for calls of which each does a share; so many elements for each."""
        found = self.scratch.get(dtype, 0, "whole")
        self.scratch.get(dtype, thresholds.SHARES * elements, "whole")
        return found

    def later(self) -> dict[Call, list[Call]]:
        """Copies of weights that the program changes: {the first call along the batch after a change: copies}."""
        found: dict[Call, list[Call]] = {}
        always = {call for block in self.program.blocks if block.condition is None for call in block.calls}
        for write, copies in sorted(self._after.items()):
            reader = next(c for c, place in self._places.items() if place > write and c.batched and c in always)
            found.setdefault(reader, []).extend(copies)
        return found

    def _last_write(self, call: Call, weights: Buffer) -> int | None:
        """Where weights were last written before ``call``; None for what is computed from something else."""
        if weights in self._write_of:
            return self._write_of[weights]
        if weights.kind == "variable":
            return max((w for w in self._writes.get(weights, ()) if w < self._places[call]), default=self.UNWRITTEN)
        return self.UNWRITTEN if any(weights in c.writes for c in self.first) else None

    def transposed_kernel(self, call: Call, kernel: Buffer, stride, groups: int = 1) -> Buffer:
        """The transposed copy of weights, made once per step."""
        shape = kernel.shape if len(kernel.shape) == 4 else (1, 1, *kernel.shape)
        source, chosen = self.program.reshaped(kernel, shape), transpose_kernel(kernel.dtype, groups=groups)
        strides = {"stride_h": stride[0], "stride_w": stride[1]}
        return self._copy(call, source, chosen, f"{kernel.name}_transposed", kernel.size, False, **strides)

    def transposed_matrix(self, call: Call, kernel: Buffer) -> Buffer:
        """The transposed copy of a dense layer's weights, likewise."""
        return self.program.reshaped(self.transposed_kernel(call, kernel, (1, 1)), kernel.shape[::-1])

    def row_weights(self, call: Call, kernel: Buffer, chosen) -> Buffer:
        """Weights transformed along rows, likewise."""
        writer = row_weights_kernel(kernel.dtype)
        return self._copy(call, kernel, writer, f"{kernel.name}_winograd_rows", chosen.weight_elements, False)

    def winograd_weights(self, call: Call, kernel: Buffer, chosen) -> Buffer:
        """Weights transformed once per step, of which every chunk does a part."""
        writer = chosen.weights()
        return self._copy(call, kernel, writer, f"{kernel.root.name}_winograd", writer.elements, True)

    def bfloat16_weights(self, call: Call, kernel: Buffer, chosen) -> Buffer:
        """Weights rounded and packed in pairs, likewise."""
        kernel = self.program.reshaped(kernel, (chosen.taps, chosen.depth, chosen.columns))
        name = f"{kernel.root.name}_bfloat16"
        return self._copy(call, kernel, chosen.weights(), name, chosen.weight_elements, True, padded=chosen.padded)

    def transposed_panels(self, call: Call, kernel: Buffer, panel: int) -> Buffer:
        """The transposed copy of a dense layer's weights, in panels of so many columns, likewise."""
        chosen = panels_kernel(panel, kernel.dtype)
        elements = chosen.elements(*kernel.shape)
        return self._copy(call, kernel, chosen, f"{kernel.root.name}_transposed", elements, True)

    def recurrent_weights(self, call: Call, kernel: Buffer, writer) -> Buffer:
        """Recurrent weights with the gates side by side, likewise."""
        elements = writer.elements(kernel.shape[0])
        return self._copy(call, kernel, writer, f"{kernel.root.name}_packed", elements, True)

    def is_read(self, call: Call, buffer: Buffer) -> bool:
        """Whether anything but ``call`` sees what it writes into a buffer."""
        return buffer.root.kind != "batch" or any(user is not call for user in self._users[buffer.root])

    def _copy(self, call: Call, kernel: Buffer, chosen, name: str, elements: int, in_parts: bool, **numbers) -> Buffer:
        """What the kernel that was chosen makes of weights, once per step; ``in_parts``: every chunk does a part."""
        write = self._last_write(call, kernel.root)
        key = (kernel.root, write, kernel.shape, chosen, *numbers.values())
        if key not in self._copies:
            copy = self.program.temporary(name, (elements,), kernel.dtype, "whole")
            parts = {"chunk": Scalar("chunk"), "chunks": Scalar("chunks")} if in_parts else {}
            arguments = {"kernel": kernel, "out": Out(copy), **numbers, **parts}
            axis = Batch() if in_parts else None
            prepare = call.replaced_by(chosen.name, arguments, phase="prepare", work=0, kernel=chosen, axis=axis)
            # copies of weights are made first, or as soon as these have changed
            if write is None:
                self.before.append(prepare)
            else:
                (self.first if write == self.UNWRITTEN else self._after.setdefault(write, [])).append(prepare)
                self._write_of[copy] = write
            self._copies[key] = copy
        return self._copies[key]


def _new(call: Call, chosen, **arguments) -> Call:
    return call.replaced_by(chosen.name, arguments, kernel=chosen)


def _epilogue_arguments(call: Call) -> dict:
    """What the epilogue reads, under the shape of what the call writes."""
    out = call.outputs[0].buffer
    found = {name: call[name] for name in ("bias", "residual", "mask") if name in call.arguments}
    return {name: buffer if name == "bias" else buffer.like(out) for name, buffer in found.items()}


def _geometry(call: Call) -> tuple:
    return (call["stride_h"], call["stride_w"]), (call["dilation_h"], call["dilation_w"])


_NO_OFFSETS = dict.fromkeys(("source_top", "source_left", "target_top", "target_left"), 0)


def _sizes(selection: _Selection, height: int, width: int) -> tuple:
    """What kernels may be made for: height and width to choose an algorithm by, and the width of a direct one."""
    if selection.program.any_size:
        return thresholds.TYPICAL_IMAGE, thresholds.TYPICAL_IMAGE, None
    return height, width, width


def _rows(selection: _Selection, x: Buffer) -> int:
    """Rows of a chunk's matrix, likewise."""
    return thresholds.TYPICAL_ROWS * (1 if selection.program.any_size else x.rows)


def _rounds(call: Call, kind: str, kernel_shape, dilation, groups: int, winograd: int) -> bool:
    bfloat16 = call.attributes.get("bfloat16", False)
    return bfloat16 and groups == 1 and rounding_pays(kind, kernel_shape, dilation, winograd)


def _conv2d_forward(call: Call, selection: _Selection) -> Call:
    x, kernel, out, groups = call["x"], call["kernel"], call.outputs[0], call["groups"]
    stride, dilation = _geometry(call)
    padding = {"pad_top": call["pad_top"], "pad_left": call["pad_left"]}
    left = call["pad_left"]
    height, width, _ = out.buffer.shape
    epilogue = call.epilogue or "store"
    extra = _epilogue_arguments(call)
    algorithm = selection.algorithm if groups == 1 else "direct"
    *sizes, for_width = _sizes(selection, height, width)
    shape = kernel.shape, *sizes
    outputs = winograd_outputs("forward", *shape, stride, dilation, x.dtype, algorithm, selection.few)
    if for_width is not None and _rounds(call, "forward", kernel.shape, dilation, groups, outputs):
        chosen = conv2d_bfloat16_kernel("forward", kernel.shape, width, stride, epilogue)
        workspace = selection.scratch.get(x.dtype, chosen.workspace_elements(*x.shape[:2], left))
        packed = selection.bfloat16_weights(call, kernel, chosen)
        return _new(call, chosen, x=x, kernel=packed, **extra, y=out, workspace=workspace, **padding)
    rows = conv2d_row_forward_kernel(kernel.shape, x.shape[1], width, left, x.dtype, epilogue)
    plain = (stride, dilation, x.dtype) == ((1, 1), (1, 1), "float32") and "residual" not in extra
    if algorithm != "direct" and plain and not outputs and rows.pays and for_width is not None:
        workspace = selection.scratch.get(x.dtype, rows.workspace_elements(x.shape[0]))
        weights = selection.row_weights(call, kernel, rows)
        return _new(call, rows, x=x, kernel=weights, **extra, y=out, workspace=workspace, pad_top=call["pad_top"])
    if outputs:
        chosen = winograd_forward_kernel(kernel.shape, outputs, x.dtype, epilogue)
        kernel, elements = selection.winograd_weights(call, kernel, chosen), chosen.workspace_elements
    else:
        edges = left, x.shape[1]
        chosen = conv2d_forward_kernel(
            kernel.shape, for_width, stride, dilation, x.dtype, epilogue, edges=edges, groups=groups
        )
        elements = chosen.workspace_elements(x.shape[0], x.shape[1], left, 0, width)
    workspace = selection.scratch.get(x.dtype, elements)
    new = _new(
        call, chosen, x=x, kernel=kernel, **extra, y=out, workspace=workspace, **padding, **_NO_OFFSETS, height=height,
        width=width,
    )  # fmt: skip
    if "residual" in extra and extra["residual"].root is not x.root:
        new.in_place = "residual", "y"  # each element is read before it is written
    return new


def _conv2d_backward_data(call: Call, selection: _Selection) -> Call:
    dy, kernel, out, groups = call["dy"], call["kernel"], call.outputs[0], call["groups"]
    stride, dilation = _geometry(call)
    padding = {"pad_top": call["pad_top"], "pad_left": call["pad_left"]}
    left = call["pad_left"]
    height, width, _ = out.buffer.shape
    epilogue = call.epilogue or ("accumulate" if call["accumulate"] else "store")
    extra = _epilogue_arguments(call)
    transposed = selection.transposed_kernel(call, kernel, stride, groups)
    algorithm = selection.algorithm if groups == 1 else "direct"
    *sizes, for_width = _sizes(selection, height, width)
    outputs = winograd_outputs("backward_data", kernel.shape, *sizes, stride, dilation, dy.dtype, algorithm)
    if for_width is not None and _rounds(call, "backward_data", kernel.shape, dilation, groups, outputs):
        chosen = conv2d_bfloat16_kernel("backward_data", kernel.shape, width, stride, epilogue)
        workspace = selection.scratch.get(dy.dtype, chosen.workspace_elements(*dy.shape[:2], left))
        packed = selection.bfloat16_weights(call, transposed, chosen)
        return _new(call, chosen, dy=dy, kernel=packed, **extra, dx=out, workspace=workspace, **padding)
    if outputs:
        chosen = winograd_backward_data_kernel(kernel.shape, outputs, dy.dtype, epilogue)
        *taps, channels, filters = kernel.shape
        transposed = selection.program.reshaped(transposed, (*taps, filters, channels))
        transposed, elements = selection.winograd_weights(call, transposed, chosen), chosen.workspace_elements
    else:
        edges = left, dy.shape[1]
        chosen = conv2d_backward_data_kernel(
            kernel.shape, for_width, stride, dilation, dy.dtype, epilogue, edges=edges, groups=groups
        )
        elements = chosen.workspace_elements(dy.shape[0], dy.shape[1], left, 0, width)
    workspace = selection.scratch.get(dy.dtype, elements)
    origin = {"mask_top": 0, "mask_left": 0} if "mask" in extra else {}
    return _new(
        call, chosen, dy=dy, kernel=transposed, **extra, dx=out, workspace=workspace, **padding, **_NO_OFFSETS,
        **origin, height=height, width=width,
    )  # fmt: skip


def _conv2d_backward_filter(call: Call, selection: _Selection) -> Call:
    x, dy, out, groups = call["x"], call["dy"], call.outputs[0], call["groups"]
    stride, dilation = _geometry(call)
    left, shape = call["pad_left"], out.buffer.shape
    padding = {"pad_top": call["pad_top"], "pad_left": left}
    height, width, _ = dy.shape
    algorithm = selection.algorithm if groups == 1 else "direct"
    *sizes, for_width = _sizes(selection, height, width)
    outputs = winograd_outputs("backward_filter", shape, *sizes, stride, dilation, x.dtype, algorithm)
    if for_width is not None and _rounds(call, "backward_filter", shape, dilation, groups, outputs):
        chosen = conv2d_backward_filter_bfloat16_kernel(shape, width, stride)
        workspace = selection.scratch.get(x.dtype, chosen.workspace_elements(x.shape[0], height))
        return _new(
            call, chosen, x=x, dy=dy, dkernel=out, workspace=workspace, **padding, accumulate=call["accumulate"]
        )
    if outputs:
        chosen = winograd_backward_filter_kernel(shape, outputs, x.dtype)
        elements = chosen.workspace_elements
    else:
        chosen = conv2d_backward_filter_kernel(shape, for_width, stride, dilation, x.dtype, groups=groups)
        elements = chosen.workspace_elements(x.shape[0], x.shape[1], left, 0, width)
    workspace = selection.scratch.get(x.dtype, elements)
    return _new(
        call, chosen, x=x, dy=dy, dkernel=out, workspace=workspace, **padding, **_NO_OFFSETS, height=height,
        width=width, accumulate=call["accumulate"],
    )  # fmt: skip


def _dense_forward(call: Call, selection: _Selection) -> Call:
    x, kernel, out = call["x"], call["kernel"], call.outputs[0]
    depth, columns = kernel.shape
    epilogue = call.epilogue or "store"
    if call.attributes.get("bfloat16") and rounding_pays("dense", (1, 1, depth, columns)):
        chosen = matrix_multiply_bfloat16_kernel(depth, columns, epilogue)
        kernel = selection.bfloat16_weights(call, kernel, chosen)
    else:
        chosen = matrix_multiply_kernel(_rows(selection, x), depth, columns, x.dtype, epilogue)
    workspace = selection.scratch.get(x.dtype, chosen.workspace_elements)
    new = _new(call, chosen, x=x, kernel=kernel, **_epilogue_arguments(call), y=out, workspace=workspace)
    if "residual" in call.arguments and call["residual"].root is not x.root:
        new.in_place = "residual", "y"  # each element is read before it is written
    return new


def _whole_product(call: Call, selection: _Selection) -> Call:
    """The product of two matrices without a batch, in an optimizer's update."""
    x, kernel = call["x"], call["kernel"]
    chosen = matrix_multiply_kernel(*x.shape, kernel.shape[1], x.dtype, "store")
    workspace = selection.scratch.get(x.dtype, chosen.workspace_elements, "whole")
    return _new(call, chosen, x=x, kernel=kernel, y=call.outputs[0], workspace=workspace)


def _dense_backward_data(call: Call, selection: _Selection) -> Call:
    dy, kernel, out = call["dy"], call["kernel"], call.outputs[0]
    columns, depth = kernel.shape
    epilogue = call.epilogue or ("accumulate" if call["accumulate"] else "store")
    if call.attributes.get("bfloat16") and rounding_pays("dense", (1, 1, depth, columns)):
        chosen = matrix_multiply_bfloat16_kernel(depth, columns, epilogue)
        transposed = selection.bfloat16_weights(call, selection.transposed_matrix(call, kernel), chosen)
    elif kernel.size >= thresholds.PANEL_KERNEL and columns >= 64:
        chosen = matrix_multiply_panels_kernel(dy.dtype, epilogue)
        transposed = selection.transposed_panels(call, kernel, chosen.panels)
    else:
        chosen = matrix_multiply_kernel(_rows(selection, dy), depth, columns, dy.dtype, epilogue)
        transposed = selection.transposed_matrix(call, kernel)
    workspace = selection.scratch.get(dy.dtype, chosen.workspace_elements)
    return _new(call, chosen, dy=dy, kernel=transposed, **_epilogue_arguments(call), dx=out, workspace=workspace)


def _dense_backward_filter(call: Call, selection: _Selection) -> Call:
    x, dy, out = call["x"], call["dy"], call.outputs[0]
    epilogue = "accumulate" if call["accumulate"] else "store"
    chosen = matrix_multiply_transposed_kernel(_rows(selection, x), *out.buffer.shape, x.dtype, epilogue)
    return _new(call, chosen, x=x, dy=dy, dkernel=out, first=0, last=out.buffer.shape[0])


def _bias_add_backward(call: Call, selection: _Selection) -> Call:
    return _new(call, bias_add_backward_kernel(call["dy"].dtype), **call.arguments)


def halves(call: Call) -> bool:
    """Whether a call of max pooling has windows of 2 x 2 side by side, from the first pixel to the last whole one."""
    window = tuple(call[name] for name in ("window_h", "window_w", "stride_h", "stride_w", "pad_top", "pad_left"))
    image, pooled = (call[name].shape for name in (("x", "y") if "x" in call.arguments else ("dx", "dy")))
    size = pooled[:2] == (image[0] // 2, image[1] // 2)
    return size and window == (2, 2, 2, 2, 0, 0) and call["argmax"].dtype == "uint8"


def _halves_always(call: Call, selection: _Selection) -> bool:
    """Whether images of an odd size, too, would have such windows, if any size may come."""
    return not selection.program.any_size or call.attributes["padding"] == "valid"


def _max_pool2d_forward(call: Call, selection: _Selection) -> Call:
    if not halves(call) or not _halves_always(call, selection):
        return call
    given = {name: call.arguments[name] for name in ("x", "y", "argmax")}
    return call.replaced_by("fast.pool.max_pool2d_2x2_forward", given)


def _max_pool2d_backward(call: Call, selection: _Selection) -> Call:
    if not halves(call) or not _halves_always(call, selection) or call["accumulate"]:
        return call
    given = {name: call.arguments[name] for name in ("dy", "argmax", "dx")}
    return call.replaced_by("fast.pool.max_pool2d_2x2_backward", given)


def _depthwise(call: Call, selection: _Selection) -> Call:
    kernel = call["dkernel" if "dkernel" in call.arguments else "kernel"]
    one_filter = kernel.shape[3] == 1
    return call.replaced_by(f"fast.{call.opcode}", call.arguments) if one_filter else call


def _attention(call: Call, selection: _Selection) -> Call | list[Call]:
    query, value, direction = call["query"], call["value"], call.opcode.rpartition(".")[2]
    (queries, heads, size), (keys, key_heads, width) = query.shape, value.shape
    if not attention_supports(query.dtype, size, width):
        return call
    apart = call.work >= thresholds.ATTENTION_WORK and call not in selection.loops
    shared = apart or selection.program.any_size  # other lengths, for which it is apart, run the same kernels
    flags = {"masked": call["mask"].shape != (1,), "biased": call["bias"].shape != (1,)}
    flags |= {"causal": call["causal"], "dropped": call["rate"] != 0, "shared": shared}
    chosen = attention_kernel(direction, size, width, **flags)
    backward = direction == "attention_backward"
    groups = chosen.groups(keys, key_heads) if backward and apart else 1
    pieces = chosen.pieces(queries, key_heads if backward else heads, groups)
    given = {**call.arguments, "sample": call["first"], "share": Scalar("chunk"), "groups": groups}
    axis, elements = None, chosen.workspace_elements
    given["workspace"] = selection.scratch.get(query.dtype, elements)
    if shared and backward:
        of_groups = max(1, (groups - 1) * query.size)
        partials = selection.program.temporary(f"{query.name}_groups", (of_groups,), query.dtype, "batch")
        given["partials"] = Out(partials)
    if shared and not apart:
        given |= {"share": 0, "first": 0, "last": pieces}
    if apart:
        axis = Shares(pieces)
        given |= {"first": Scalar("first"), "last": Scalar("last"), "sample": 0}
        given["workspace"] = selection.workspace_of_shares(query.dtype, elements)
    result = call.replaced_by(chosen.name, {name: given[name] for name in chosen.parameters}, kernel=chosen, axis=axis)
    if apart:
        for buffer in result.buffers:
            buffer.root.in_one_piece = buffer.root.kind == "batch"
    if groups == 1:
        return result
    arguments = {"partials": partials, "dquery": Out(call["dquery"], True)}
    return [result, call.replaced_by("fast.key_groups.add_key_groups", arguments, work=query.size * groups)]


_SELECTORS = {
    "attention.attention_forward": _attention,
    "attention.attention_backward": _attention,
    "conv.conv2d_forward": _conv2d_forward,
    "conv.conv2d_backward_data": _conv2d_backward_data,
    "conv.conv2d_backward_filter": _conv2d_backward_filter,
    "dense.dense_forward": _dense_forward,
    "dense.dense_backward_data": _dense_backward_data,
    "dense.dense_backward_filter": _dense_backward_filter,
    "dense.bias_add_backward": _bias_add_backward,
    "depthwise.depthwise_conv2d_forward": _depthwise,
    "depthwise.depthwise_conv2d_backward_data": _depthwise,
    "depthwise.depthwise_conv2d_backward_filter": _depthwise,
    "pool.max_pool2d_forward": _max_pool2d_forward,
    "pool.max_pool2d_backward": _max_pool2d_backward,
    "recurrent.gru_backward": recurrent.backward,
    "recurrent.gru_forward": recurrent.forward,
    "recurrent.gru_reset_first_backward": recurrent.backward,
    "recurrent.gru_reset_first_forward": recurrent.forward,
    "recurrent.lstm_backward": recurrent.backward,
    "recurrent.lstm_forward": recurrent.forward,
    "recurrent.simple_rnn_backward": recurrent.backward,
    "recurrent.simple_rnn_forward": recurrent.forward,
}
