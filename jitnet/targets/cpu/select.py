"""Rewrites of a program: which kernels run a convolution or a dense layer, and what is fused into their stores.

Every rewrite replaces calls by others of the same meaning; ``fuse=False`` leaves the program as it was lowered, which
is the reference that tests compare with.
"""

from ...config import conv_algorithm
from ...core.operations.convolution import MaxPool2D
from ...core.program import Buffer, Call, Expression, Out, Program, Split
from ...core.rewrites.pointwise import fuse_pointwise, remove_copies
from ...core.trace import Application
from ...core.values import SymbolicTensor
from ...kernels.cpu.fast.bfloat16 import (
    conv2d_backward_filter_bfloat16_plan,
    conv2d_bfloat16_plan,
    matrix_multiply_bfloat16_plan,
    rounding_pays,
)
from ...kernels.cpu.fast.column_sums import bias_add_backward_plan
from ...kernels.cpu.fast.convolution_direct import (
    conv2d_backward_data_plan,
    conv2d_backward_filter_plan,
    conv2d_forward_plan,
    supports,
)
from ...kernels.cpu.fast.convolution_rows import conv2d_row_forward_plan, row_weights_plan
from ...kernels.cpu.fast.matrix_multiply import (
    MatrixMultiply,
    MatrixMultiplyTransposed,
    matrix_multiply_panels_plan,
    matrix_multiply_part_plan,
    matrix_multiply_plan,
    matrix_multiply_transposed_plan,
)
from ...kernels.cpu.fast.transpose import panels_plan, transpose_plan
from ...kernels.cpu.fast.winograd import (
    winograd_backward_data_plan,
    winograd_backward_filter_plan,
    winograd_forward_plan,
    winograd_outputs,
)
from .pooled import fuse_pool_backward, fuse_pool_forward
from .sections import PARTS

SPLIT_KERNEL = 1 << 16  # elements of a dense layer's weights from which a core should keep to its own part of them
PANEL_KERNEL = 1 << 16  # elements of a dense layer's weights from which their transposed copy is made in panels
SMALL_KERNEL = 4096  # elements of a dense layer's weights below which a gradient per chunk costs next to nothing
TYPICAL_ROWS = 16  # samples of a chunk, where a choice of kernel depends on it


def optimise(program: Program) -> None:
    """Rewrite ``program`` for speed."""
    workspace = _Workspace(program)
    fold_batch_norm(program)
    fuse_epilogues(program)
    fuse_batch_norm(program)
    fuse_pool_forward(program, workspace)
    fuse_pool_backward(program, workspace)
    remove_copies(program)
    fuse_pointwise(program)
    specialise(program, workspace)
    workspace.finish()
    compute_in_update(program)
    split_products(program)


# ---- rewrites of the graph


def pool_before_relu(applications: list[Application], roots) -> list[Application]:
    """max_pool(relu(x)) becomes relu(max_pool(x)): the same values and gradients, on fewer elements.

    The maximum commutes with a monotonic function; where a window's maximum is cut to 0, no gradient passes anyway.
    The graph is changed in place.
    """
    readers: dict = {}
    for application in applications:
        for value in application.inputs:
            readers.setdefault(value, []).append(application)
    for pool in applications:
        if not isinstance(pool.operation, MaxPool2D):
            continue
        value = pool.inputs[0]
        relu = value.producer if isinstance(value, SymbolicTensor) else None
        if relu is None or relu.operation.name != "relu" or len(readers[value]) != 1 or value in roots:
            continue
        result = pool.outputs[0]
        pooled = SymbolicTensor(result.shape, result.dtype, result.name, pool)
        pool.inputs, pool.outputs = relu.inputs, [pooled]
        relu.inputs, relu.outputs, result.producer = (pooled,), [result], relu
        pool.index, relu.index = relu.index, pool.index
    return sorted(applications, key=lambda application: application.index)


# ---- fusion of pointwise calls into the store of a convolution or a matrix product


def fuse_epilogues(program: Program) -> None:
    """Bias, a residual after a convolution, and ReLU after a product; ReLU's mask after one of the backward pass."""
    calls = program.calls
    users = program.users()
    removed = set()
    for call in calls:
        if call.kernel in ("conv.conv2d_forward", "dense.dense_forward") and _specialised(call):
            follower = _only_reader(call, users)
            if follower is None or follower.kernel != "dense.bias_add_forward":
                continue
            _, bias, result = follower.arguments
            _merge(call, follower, result.buffer, users, removed)
            call.epilogue, call.extra = "bias", bias
            follower = _only_reader(call, users)
            residual = _residual(call, follower, calls, removed)
            if residual is not None and call.kernel == "conv.conv2d_forward" and not call.bfloat16:
                call.residual = _like(residual, _output(call).buffer)
                _merge(call, follower, _output(follower).buffer, users, removed)
                call.epilogue = "bias_add"
                follower = _only_reader(call, users)
            if follower is not None and follower.kernel == "elementwise.relu_forward":
                _merge(call, follower, follower.arguments[1].buffer, users, removed)
                call.epilogue += "_relu"
        elif call.kernel in ("conv.conv2d_backward_data", "dense.dense_backward_data") and _specialised(call):
            follower = _only_reader(call, users)
            if follower is None or follower.kernel != "elementwise.relu_backward":
                continue
            activation, d_output, result, accumulate = follower.arguments
            if accumulate or _output(call).accumulate or activation.root is _output(call).buffer.root:
                continue
            if d_output.root is activation.root:
                continue
            _merge(call, follower, result.buffer, users, removed)
            call.epilogue, call.extra = "relu_mask", activation
    program.calls = [call for call in calls if call not in removed]


def fold_batch_norm(program: Program) -> None:
    """Batch normalisation by moving statistics as part of the weights and the bias of the layer before it.

    The weights are folded once per step.
    """
    users = program.users()
    removed: set = set()
    replaced: dict[Call, list[Call]] = {}
    for call in program.calls:
        if call.kernel not in ("conv.conv2d_forward", "dense.dense_forward") or not _specialised(call):
            continue
        bias = None
        follower = _only_reader(call, users)
        if follower is not None and follower.kernel == "dense.bias_add_forward":
            bias = follower
            follower = _only_reader(bias, users)
        if follower is None or follower.kernel != "norm.batch_norm_apply":
            continue
        _, mean, rstd, gamma, beta, result = follower.arguments
        inverse = next(c for c in users[rstd.root] if rstd.root in c.writes)
        if inverse.kernel != "norm.batch_norm_rstd":
            continue
        variance, _, epsilon = inverse.arguments
        kernel = call.arguments[1]
        weights = [kernel, mean, variance, gamma, beta, *([bias.arguments[1]] if bias else [])]
        if any(w.root.kind not in ("variable", "constant") or _is_written(w.root, users) for w in weights):
            continue
        folded = program.temporary(f"{kernel.name}_folded", kernel.shape, kernel.dtype, "whole")
        shift = program.temporary(f"{kernel.name}_folded_bias", mean.shape, kernel.dtype, "whole")
        name, given = ("batch_norm_fold", ()) if bias is None else ("batch_norm_fold_bias", (bias.arguments[1],))
        fold = Call(
            f"norm.{name}", (kernel, *given, mean, variance, gamma, beta, epsilon, Out(folded), Out(shift)), False
        )
        x, _, *rest = call.arguments
        layer = Call(call.kernel, (x, folded, *rest), True, work=call.work, bfloat16=call.bfloat16)
        replaced[call] = [fold, layer]
        replaced[follower] = [Call("dense.bias_add_forward", (_output(call).buffer, shift, result), True)]
        removed.update({bias} if bias else ())
        if len(users[rstd.root]) == 2:  # nothing else needs it, a backward pass say
            removed.add(inverse)
    program.calls = [c for call in program.calls if call not in removed for c in replaced.get(call, [call])]


def fuse_batch_norm(program: Program) -> None:
    """Batch normalisation with the ReLU after it, forward and backward, and with the residual that is added between."""
    calls = program.calls
    users = program.users()
    removed = set()
    for call in calls:
        if call.kernel == "norm.batch_norm_apply":
            follower = _only_reader(call, users)
            if follower is not None and follower.kernel == "elementwise.relu_forward":
                _merge(call, follower, follower.arguments[1].buffer, users, removed)
                call.kernel = "norm.batch_norm_relu_apply"
            elif follower is not None and follower.kernel == "elementwise.add_forward":
                _fuse_residual(call, follower, calls, users, removed)
        elif call.kernel == "elementwise.relu_backward":
            _fuse_relu_backward(call, users, removed)
    program.calls = [call for call in calls if call not in removed]


def _fuse_residual(call: Call, add: Call, calls, users, removed) -> None:
    """relu(batch_norm(x) + residual), where both terms have the same shape."""
    relu = _only_reader(add, users)
    residual = _residual(call, add, calls, removed)
    if relu is None or relu.kernel != "elementwise.relu_forward" or residual is None:
        return
    rows = _like(residual, _output(call).buffer)
    _merge(call, add, _output(add).buffer, users, removed)
    _merge(call, relu, relu.arguments[1].buffer, users, removed)
    call.kernel = "norm.batch_norm_add_relu_apply"
    call.arguments = (call.arguments[0], rows, *call.arguments[1:])


def _residual(call: Call, add: Call | None, calls, removed) -> Buffer | None:
    """What ``add`` adds to the result of ``call``, if that has the same shape and is known when ``call`` runs."""
    if add is None or add.kernel != "elementwise.add_forward":
        return None
    a, b, _, _, a_strides, b_strides = add.arguments
    residual = b if a.root is _output(call).buffer.root else a
    if a_strides != b_strides or a.root is b.root:
        return None
    later = (c for c in calls[calls.index(call) :] if c not in removed)
    return None if any(residual.root in c.writes for c in later) else residual


def _fuse_relu_backward(call: Call, users, removed) -> None:
    """The mask of a ReLU whose gradient goes only into a batch normalisation in training."""
    y, dy, out, accumulate = call.arguments
    touching = users[out.buffer.root]
    kernels = [c.kernel for c in touching]
    if accumulate or kernels != [call.kernel, "norm.batch_norm_backward_statistics", "norm.batch_norm_backward_data"]:
        return
    for reader in touching[1:]:
        x, gradient, *others = reader.arguments
        reader.kernel = reader.kernel.replace("batch_norm_", "batch_norm_relu_")
        reader.arguments = (x, _like(y, gradient), _like(dy, gradient), *others)
        reader.reads = (reader.reads - {out.buffer.root}) | {y.root, dy.root}
    removed.add(call)


def _specialised(call: Call) -> bool:
    """Whether a generated kernel exists for the call."""
    if call.kernel.startswith("dense."):
        return True
    kind = call.kernel.removeprefix("conv.conv2d_")
    *_, stride_h, stride_w, _, _, dilation_h, dilation_w, _ = [a for a in call.arguments if type(a) is int]
    return supports(kind, (stride_h, stride_w), (dilation_h, dilation_w))


def _is_written(root: Buffer, users) -> bool:
    return any(root in call.writes for call in users.get(root, ()))


def _output(call: Call) -> Out:
    return next(a for a in call.arguments if isinstance(a, Out))


def _only_reader(call: Call, users) -> Call | None:
    """The call that reads what ``call`` wrote, if nothing else touches that buffer."""
    out = _output(call)
    touching = users[out.buffer.root]
    if out.accumulate or out.buffer.root.kind != "batch" or len(touching) != 2 or touching[0] is not call:
        return None
    follower = touching[1]
    return follower if out.buffer.root in follower.reads and out.buffer.root not in follower.writes else None


def _merge(call: Call, follower: Call, result: Buffer, users, removed: set) -> None:
    """Let ``call`` write ``result`` and take the place of ``follower``."""
    old = _output(call)
    target = result
    if result.shape != old.buffer.shape or result.rows != old.buffer.rows:
        target = Buffer(
            f"{result.name}_rows", old.buffer.shape, result.dtype, result.kind, result.root, old.buffer.rows
        )
    call.arguments = tuple(Out(target) if a is old else a for a in call.arguments)
    call.in_place = None
    extra_reads = follower.reads - {old.buffer.root}
    call.writes = (call.writes - {old.buffer.root}) | {target.root}
    call.reads = call.reads | extra_reads
    del users[old.buffer.root]
    for root in extra_reads | {target.root}:
        users[root] = [call if c is follower else c for c in users[root]]
    removed.add(follower)


# ---- generated kernels


class _Workspace:
    """One scratch buffer per chunk, shared by all calls."""

    def __init__(self, program: Program):
        self.buffers: dict[str, Buffer] = {}
        self.program = program
        self.sizes: dict[str, int] = {}

    def get(self, dtype: str, elements: int) -> Buffer:
        if dtype not in self.buffers:
            self.buffers[dtype] = self.program.temporary("workspace", (1,), dtype, "chunk")
        self.sizes[dtype] = max(self.sizes.get(dtype, 16), elements)
        return self.buffers[dtype]

    def finish(self) -> None:
        for dtype, buffer in self.buffers.items():
            buffer.shape = (self.sizes[dtype],)


def specialise(program: Program, workspace: _Workspace) -> None:
    """Replace the plain kernels of convolutions and dense layers by generated ones."""
    rewrites = {
        "conv.conv2d_forward": _conv2d_forward,
        "conv.conv2d_backward_data": _conv2d_backward_data,
        "conv.conv2d_backward_filter": _conv2d_backward_filter,
        "dense.dense_forward": _dense_forward,
        "dense.dense_backward_data": _dense_backward_data,
        "dense.dense_backward_filter": _dense_backward_filter,
        "dense.bias_add_backward": _bias_add_backward,
    }
    copies: dict = {}
    first: list[Call] = []
    result: list[Call] = []
    for call in program.calls:
        rewrite = rewrites.get(call.kernel)
        if call.kernel.startswith("norm.batch_norm_fold"):
            first.append(call)  # weights, too
            continue
        if rewrite is None or not call.batched or not _specialised(call):
            result.append(call)
            continue
        context = _Context(program, workspace, copies, first, result)
        result.append(rewrite(call, context))
    program.calls = first + result


class _Context:
    """What the rewrites of one program share."""

    def __init__(self, program, workspace, copies, first, result):
        self.program, self.workspace = program, workspace
        self.copies, self.first, self.result = copies, first, result
        self.algorithm = conv_algorithm()

    def transposed_kernel(self, kernel: Buffer, stride, groups: int = 1) -> Buffer:
        """The transposed copy of weights, made once per step."""
        shape = kernel.shape if len(kernel.shape) == 4 else (1, 1, *kernel.shape)
        source, plan = self.program.reshaped(kernel, shape), transpose_plan(kernel.dtype, groups=groups)
        return self._copy(source, plan, f"{kernel.name}_transposed", kernel.size, False, *stride)

    def transposed_matrix(self, kernel: Buffer) -> Buffer:
        """The transposed copy of a dense layer's weights, likewise."""
        return self.program.reshaped(self.transposed_kernel(kernel, (1, 1)), kernel.shape[::-1])

    def row_weights(self, kernel: Buffer, plan) -> Buffer:
        """Weights transformed along rows, likewise."""
        writer = row_weights_plan(kernel.dtype)
        return self._copy(kernel, writer, f"{kernel.name}_winograd_rows", plan.weight_elements, False)

    def winograd_weights(self, kernel: Buffer, plan) -> Buffer:
        """Weights transformed once per step, of which every chunk does a part."""
        return self._copy(kernel, plan.weights(), f"{kernel.root.name}_winograd", plan.weights().elements, True)

    def bfloat16_weights(self, kernel: Buffer, plan) -> Buffer:
        """Weights rounded and packed in pairs, likewise."""
        kernel = self.program.reshaped(kernel, (plan.taps, plan.depth, plan.columns))
        name = f"{kernel.root.name}_bfloat16"
        return self._copy(kernel, plan.weights(), name, plan.weight_elements, True, plan.padded)

    def transposed_panels(self, kernel: Buffer, panel: int) -> Buffer:
        """The transposed copy of a dense layer's weights, in panels of so many columns, likewise."""
        plan = panels_plan(panel, kernel.dtype)
        return self._copy(kernel, plan, f"{kernel.root.name}_transposed", plan.elements(*kernel.shape), True)

    def _copy(self, kernel: Buffer, plan, name: str, elements: int, in_parts: bool, *arguments) -> Buffer:
        """What the plan's kernel makes of weights, once per step; ``in_parts``: every chunk does a part."""
        key = (kernel.root, kernel.shape, plan, arguments)
        if key not in self.copies:
            copy = self.program.temporary(name, (elements,), kernel.dtype, "whole")
            parts = (Expression("chunk"), Expression("chunks")) if in_parts else ()
            call = Call(plan.name, (kernel, Out(copy), *arguments, *parts), in_parts, plan=plan)
            # weights don't change within a step, so their copies are made first
            known = kernel.root.kind == "variable" or any(kernel.root in c.writes for c in self.first)
            (self.first if known else self.result).append(call)
            self.copies[key] = copy
        return self.copies[key]


def _new(call: Call, plan, *arguments) -> Call:
    return Call(plan.name, arguments, True, work=call.work, plan=plan)


def _extra(call: Call) -> tuple:
    return () if call.extra is None else (call.extra,)


def _like(extra: Buffer, other: Buffer) -> Buffer:
    """``extra`` under the shape of ``other``."""
    if extra.shape == other.shape and extra.rows == other.rows:
        return extra
    return Buffer(f"{extra.name}_rows", other.shape, extra.dtype, extra.kind, extra.root, other.rows, extra.source)


def _algorithm(context: _Context, groups: int) -> str:
    """How a convolution is computed; with groups only directly."""
    return context.algorithm if groups == 1 else "direct"


def _rounds(call: Call, kind: str, kernel_shape, dilation, groups: int, winograd: int) -> bool:
    return call.bfloat16 and groups == 1 and rounding_pays(kind, kernel_shape, dilation, winograd)


def _conv2d_forward(call: Call, context: _Context) -> Call:
    x, kernel, out, *stride, top, left, dilation_h, dilation_w, groups = call.arguments
    height, width, _ = out.buffer.shape
    epilogue = call.epilogue or "store"
    algorithm = _algorithm(context, groups)
    geometry = tuple(stride), (dilation_h, dilation_w), x.dtype
    outputs = winograd_outputs("forward", kernel.shape, height, width, *geometry, algorithm)
    if _rounds(call, "forward", kernel.shape, geometry[1], groups, outputs):
        plan = conv2d_bfloat16_plan("forward", kernel.shape, width, stride, epilogue)
        workspace = context.workspace.get(x.dtype, plan.workspace_elements(*x.shape[:2], left))
        kernel = context.bfloat16_weights(kernel, plan)
        return _new(call, plan, x, kernel, *_extra(call), out, Out(workspace), top, left)
    rows = conv2d_row_forward_plan(kernel.shape, x.shape[1], width, left, x.dtype, epilogue)
    plain = geometry == ((1, 1), (1, 1), "float32") and call.residual is None
    if algorithm != "direct" and plain and not outputs and rows.pays:
        workspace = context.workspace.get(x.dtype, rows.workspace_elements(x.shape[0]))
        return _new(call, rows, x, context.row_weights(kernel, rows), *_extra(call), out, Out(workspace), top)
    if outputs:
        plan = winograd_forward_plan(kernel.shape, outputs, x.dtype, epilogue)
        kernel, elements = context.winograd_weights(kernel, plan), plan.workspace_elements
    else:
        plan = conv2d_forward_plan(kernel.shape, width, *geometry, epilogue, edges=(left, x.shape[1]), groups=groups)
        elements = plan.workspace_elements(x.shape[0], x.shape[1], left, 0)
    workspace = context.workspace.get(x.dtype, elements)
    extra = _extra(call) if call.residual is None else (call.extra, call.residual)
    new = _new(call, plan, x, kernel, *extra, out, Out(workspace), top, left, 0, 0, 0, 0, height, width)
    if call.residual is not None and call.residual.root is not x.root:
        new.in_place = call.residual, out.buffer  # each element is read before it is written
    return new


def _conv2d_backward_data(call: Call, context: _Context) -> Call:
    dy, kernel, out, *stride, top, left, dilation_h, dilation_w, groups, accumulate = call.arguments
    height, width, _ = out.buffer.shape
    epilogue = call.epilogue or ("accumulate" if accumulate else "store")
    geometry = tuple(stride), (dilation_h, dilation_w), dy.dtype
    transposed = context.transposed_kernel(kernel, tuple(stride), groups)
    algorithm = _algorithm(context, groups)
    outputs = winograd_outputs("backward_data", kernel.shape, height, width, *geometry, algorithm)
    if _rounds(call, "backward_data", kernel.shape, geometry[1], groups, outputs):
        plan = conv2d_bfloat16_plan("backward_data", kernel.shape, width, stride, epilogue)
        workspace = context.workspace.get(dy.dtype, plan.workspace_elements(*dy.shape[:2], left))
        packed = context.bfloat16_weights(transposed, plan)
        extra = () if call.extra is None else (_like(call.extra, out.buffer),)
        return _new(call, plan, dy, packed, *extra, out, Out(workspace), top, left)
    if outputs:
        plan = winograd_backward_data_plan(kernel.shape, outputs, dy.dtype, epilogue)
        *taps, channels, filters = kernel.shape
        transposed = context.program.reshaped(transposed, (*taps, filters, channels))
        transposed, elements = context.winograd_weights(transposed, plan), plan.workspace_elements
    else:
        edges = left, dy.shape[1]
        plan = conv2d_backward_data_plan(kernel.shape, width, *geometry, epilogue, edges=edges, groups=groups)
        elements = plan.workspace_elements(dy.shape[0], dy.shape[1], left, 0)
    workspace = context.workspace.get(dy.dtype, elements)
    extra, origin = (), ()
    if call.extra is not None:
        extra, origin = (_like(call.extra, out.buffer),), (0, 0)
    return _new(
        call, plan, dy, transposed, *extra, out, Out(workspace), top, left, 0, 0, 0, 0, *origin, height, width
    )  # fmt: skip


def _conv2d_backward_filter(call: Call, context: _Context) -> Call:
    x, dy, out, *stride, top, left, dilation_h, dilation_w, groups, accumulate = call.arguments
    height, width, _ = dy.shape
    geometry = tuple(stride), (dilation_h, dilation_w), x.dtype
    algorithm = _algorithm(context, groups)
    outputs = winograd_outputs("backward_filter", out.buffer.shape, height, width, *geometry, algorithm)
    if _rounds(call, "backward_filter", out.buffer.shape, geometry[1], groups, outputs):
        plan = conv2d_backward_filter_bfloat16_plan(out.buffer.shape, width, stride)
        workspace = context.workspace.get(x.dtype, plan.workspace_elements(x.shape[0], height))
        return _new(call, plan, x, dy, out, Out(workspace), top, left, accumulate)
    if outputs:
        plan = winograd_backward_filter_plan(out.buffer.shape, outputs, x.dtype)
        elements = plan.workspace_elements
    else:
        plan = conv2d_backward_filter_plan(out.buffer.shape, width, *geometry, groups=groups)
        elements = plan.workspace_elements(x.shape[0], x.shape[1], left, 0)
    workspace = context.workspace.get(x.dtype, elements)
    return _new(call, plan, x, dy, out, Out(workspace), top, left, 0, 0, 0, 0, height, width, accumulate)


def _dense_forward(call: Call, context: _Context) -> Call:
    x, kernel, out = call.arguments
    depth, columns = kernel.shape
    if call.bfloat16 and rounding_pays("dense", (1, 1, depth, columns)):
        plan = matrix_multiply_bfloat16_plan(depth, columns, call.epilogue or "store")
        kernel = context.bfloat16_weights(kernel, plan)
    else:
        plan = matrix_multiply_plan(TYPICAL_ROWS * x.rows, depth, columns, x.dtype, call.epilogue or "store")
    workspace = context.workspace.get(x.dtype, plan.workspace_elements)
    return _new(call, plan, x, kernel, *_extra(call), out, Out(workspace))


def _dense_backward_data(call: Call, context: _Context) -> Call:
    dy, kernel, out, accumulate = call.arguments
    columns, depth = kernel.shape
    epilogue = call.epilogue or ("accumulate" if accumulate else "store")
    if call.bfloat16 and rounding_pays("dense", (1, 1, depth, columns)):
        plan = matrix_multiply_bfloat16_plan(depth, columns, epilogue)
        transposed = context.bfloat16_weights(context.transposed_matrix(kernel), plan)
    elif kernel.size >= PANEL_KERNEL and columns >= 64:
        plan = matrix_multiply_panels_plan(dy.dtype, epilogue)
        transposed = context.transposed_panels(kernel, plan.panels)
    else:
        plan = matrix_multiply_plan(TYPICAL_ROWS * dy.rows, depth, columns, dy.dtype, epilogue)
        transposed = context.transposed_matrix(kernel)
    workspace = context.workspace.get(dy.dtype, plan.workspace_elements)
    extra = () if call.extra is None else (_like(call.extra, out.buffer),)
    return _new(call, plan, dy, transposed, *extra, out, Out(workspace))


def _dense_backward_filter(call: Call, context: _Context) -> Call:
    x, dy, out, accumulate = call.arguments
    epilogue = "accumulate" if accumulate else "store"
    plan = matrix_multiply_transposed_plan(TYPICAL_ROWS * x.rows, *out.buffer.shape, x.dtype, epilogue)
    return _new(call, plan, x, dy, out, 0, out.buffer.shape[0])


def _bias_add_backward(call: Call, context: _Context) -> Call:
    dy, *others = call.arguments
    return _new(call, bias_add_backward_plan(dy.dtype), dy, *others)


def compute_in_update(program: Program) -> None:
    """Gradients of large dense weights as one product over the batch, some rows per block of the optimizer's update.

    A gradient per chunk would be written and read once per chunk; so it stays in the cache until it is used.
    """
    written: dict = {}
    for call in program.calls:
        for root in call.writes:
            written.setdefault(root, []).append(call)
    places = {call: index for index, call in enumerate(program.calls)}
    for call in program.calls.copy():
        if not isinstance(call.plan, MatrixMultiplyTransposed) or call.plan.epilogue != "store":
            continue
        x, dy, out = call.arguments[:3]
        if out.buffer.kind != "gradient" or out.buffer.size < SMALL_KERNEL or written[out.buffer.root] != [call]:
            continue
        later = [places[c] > places[call] for root in (x.root, dy.root) for c in written.get(root, ())]
        if any(later) or x.kind == "chunk" or dy.kind == "chunk":
            continue
        for root in (x.root, dy.root):
            root.in_one_piece = root.kind == "batch"
        arguments = (x, dy, out, Expression("first"), Expression("last"))
        split = Split(out.buffer.shape[0], call.plan.tile_rows)
        program.products.append(Call(call.kernel, arguments, False, work=call.work, plan=call.plan, split=split))
        program.calls.remove(call)


def split_products(program: Program) -> None:
    """Forward products with large dense weights in parts along the rows of the weights, for the whole batch.

    The update gives a core the same rows, which it has in its cache then: instead of half of the weights, partial sums
    go from core to core.  The samples are gathered column by column, too, where nothing else reads them.
    """
    splits = {call.arguments[0].root: call.split for call in program.products}
    users = program.users()
    replaced: dict[Call, list[Call]] = {}
    for call in program.calls:
        if not isinstance(call.plan, MatrixMultiply) or call.plan.epilogue not in ("bias", "bias_relu"):
            continue
        x, kernel, bias, out, _ = call.arguments
        split = splits.get(x.root)
        if split is None or split.rows != kernel.shape[0] or kernel.size < SPLIT_KERNEL or x.rows != 1:
            continue
        plan = matrix_multiply_part_plan(x.dtype)
        sums = program.temporary(f"{out.buffer.name}_parts", (PARTS, kernel.shape[1]), x.dtype, "batch")
        sums.in_one_piece = True
        rows = Expression("first"), Expression("last")
        part = Call(plan.name, (x, kernel, Out(sums), Expression("chunk"), *rows), False, work=call.work, plan=plan)
        relu = call.plan.epilogue == "bias_relu"
        parts_sum = Call("dense.parts_sum", (sums, bias, out, relu), True, work=sums.size)
        part.split = split
        replaced[call] = [part, parts_sum]
        gather = users[x.root][0]
        if gather.kernel == "memory.gather" and len(users[x.root]) == 2:
            source = gather.arguments[0]
            columns = Call(
                "memory.gather_columns", (source, Expression("order[:batch]"), Out(x), *rows), False, split=split
            )
            replaced[gather] = [columns]
    program.calls = [c for call in program.calls for c in replaced.get(call, [call])]
