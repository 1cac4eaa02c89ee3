"""Rewrites of a program: a convolution before 2 x 2 max pooling, forward and backward."""

from ...config import conv_algorithm
from ...core.program import Buffer, Call, Out, Program
from ...kernels.cpu.fast.convolution_pooled import (
    conv2d_pooled_backward_data_plan,
    conv2d_pooled_backward_filter_plan,
    conv2d_pooled_forward_plan,
    pooled_weights_plan,
)
from ...kernels.cpu.fast.winograd import winograd_outputs


def fuse_pool_forward(program: Program, workspace) -> None:
    """Convolution of one channel, bias, max pooling and ReLU as one kernel, where its vectors are better filled."""
    users = program.users()
    replaced: dict[Call, list[Call]] = {}

    def only_reader(result: Buffer, kernel: str) -> Call | None:
        touching = users[result.root]
        found = len(touching) == 2 and touching[1].kernel == kernel and result.root in touching[1].reads
        return touching[1] if found and result.root.kind == "batch" else None

    for call in program.calls:
        if call.kernel != "conv.conv2d_forward" or call.epilogue != "bias":
            continue
        x, kernel, out, *scalars = call.arguments
        stride_h, stride_w, top, left, dilation_h, dilation_w, groups = scalars
        pool = only_reader(out.buffer, "pool.max_pool2d_2x2_forward")
        if pool is None or (stride_h, stride_w, dilation_h, dilation_w, groups) != (1, 1, 1, 1, 1):
            continue
        _, y, argmax = pool.arguments
        relu = only_reader(y.buffer, "elementwise.relu_forward")
        result = y if relu is None else relu.arguments[1]
        plan = conv2d_pooled_forward_plan(
            kernel.shape, x.shape[:2], y.buffer.shape[:2], (top, left), relu is not None, x.dtype
        )
        if not plan.pays:
            continue
        scratch = Out(workspace.get(x.dtype, plan.workspace_elements))
        arguments = (x, kernel, call.extra, result, argmax, scratch)
        replaced[call] = [Call(plan.name, arguments, True, work=call.work, plan=plan)]
        replaced[pool] = []
        if relu is not None:
            replaced[relu] = []
    program.calls = [c for call in program.calls for c in replaced.get(call, [call])]


def fuse_pool_backward(program: Program, workspace) -> None:
    """The passes that read the gradient which pooling spreads out read the pooled one, where that takes less work.

    If all do, it is never spread out.  The gradient of a bias is the sum of either.
    """
    users = program.users()
    replaced: dict[Call, list[Call]] = {}
    first: list[Call] = []
    for pool in program.calls:
        if pool.kernel != "pool.max_pool2d_2x2_backward":
            continue
        dy, argmax, out = pool.arguments
        spread = out.buffer.root
        readers = [call for call in users[spread] if call is not pool]
        if out.accumulate or any(spread in call.writes for call in readers):
            continue
        new = {call: _replacement(program, call, dy, argmax, spread, workspace, first) for call in readers}
        if not any(calls and calls[-1].plan for calls in new.values()):
            continue  # nothing but the sum for the bias
        replaced.update({call: calls for call, calls in new.items() if calls})
        if all(new.values()):
            replaced[pool] = []
    program.calls = first + [c for call in program.calls for c in replaced.get(call, [call])]


def _replacement(program, call: Call, dy: Buffer, argmax: Buffer, spread: Buffer, workspace, first) -> list[Call]:
    """What computes the same as ``call`` from the pooled gradient; [] if nothing does or it would take longer."""
    if call.kernel == "dense.bias_add_backward":
        gradient, dbias, accumulate = call.arguments
        return [Call(call.kernel, (dy, dbias, accumulate), True)] if gradient.root is spread else []
    if call.kernel not in ("conv.conv2d_backward_filter", "conv.conv2d_backward_data"):
        return []
    a, b, out, stride_h, stride_w, top, left, dilation_h, dilation_w, groups, accumulate = call.arguments
    if (stride_h, stride_w, dilation_h, dilation_w, groups) != (1, 1, 1, 1, 1):
        return []
    kind = call.kernel.removeprefix("conv.conv2d_")
    if kind == "backward_filter":
        x, gradient, kernel_shape = a, b, out.buffer.shape
        spread_out = gradient.root is spread and x.root is not spread
        size = gradient.shape[:2]
    else:
        x, gradient, kernel_shape = out.buffer, a, b.shape
        spread_out = gradient.root is spread and b.root is not spread
        size = x.shape[:2]
    (height, width, _), (pooled_height, pooled_width, _) = x.shape, dy.shape
    if not spread_out or winograd_outputs(kind, kernel_shape, *size, (1, 1), (1, 1), x.dtype, conv_algorithm()):
        return []
    if kind == "backward_filter":
        plan = conv2d_pooled_backward_filter_plan(kernel_shape, width, pooled_width, left, x.dtype)
    else:
        epilogue = call.epilogue or ("accumulate" if accumulate else "store")
        plan = conv2d_pooled_backward_data_plan(kernel_shape, width, pooled_width, left, x.dtype, epilogue)
    if not plan.pays:
        return []
    scratch = Out(workspace.get(x.dtype, plan.workspace_elements(height, pooled_height, top)))
    if kind == "backward_filter":
        return [Call(plan.name, (x, dy, argmax, out, scratch, top, accumulate), True, work=call.work, plan=plan)]
    weights = program.temporary(f"{b.name}_pooled", (plan.weight_elements,), x.dtype, "whole")
    writer = pooled_weights_plan(x.dtype)
    prepare = Call(writer.name, (b, Out(weights), plan.weight_row), False, plan=writer)
    extra = () if call.extra is None else (call.extra,)
    main = Call(plan.name, (dy, argmax, weights, *extra, out, scratch, top), True, work=call.work, plan=plan)
    if b.root.kind == "variable":  # doesn't change within a step
        first.append(prepare)
        return [main]
    return [prepare, main]
