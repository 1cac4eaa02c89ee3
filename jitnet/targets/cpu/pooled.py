"""A convolution before 2 x 2 max pooling, forward and backward, on kernels that know of both."""

import itertools

from ...core.program import Call, Out, Program
from ...core.rewrites.dataflow import Dataflow, replace
from ...kernels.cpu.fast.convolution_pooled import (
    conv2d_pooled_backward_data_kernel,
    conv2d_pooled_backward_filter_kernel,
    conv2d_pooled_forward_kernel,
    pooled_weights_kernel,
)
from ...kernels.cpu.fast.winograd import winograd_outputs
from .select import Scratch, halves

_PLAIN = dict(stride_h=1, stride_w=1, dilation_h=1, dilation_w=1, groups=1)


def _is_plain(call: Call) -> bool:
    """Whether a convolution has no strides, dilation and groups."""
    return all(call[name] == 1 for name in _PLAIN)


def fuse_pool_forward(program: Program, scratch: Scratch) -> None:
    """Convolution of one channel, bias, max pooling and ReLU as one kernel, where its vectors are better filled."""
    flow = Dataflow(program)
    replaced: dict[Call, list[Call]] = {}
    for call in () if program.any_size else program.calls:  # these kernels are made for sizes
        if call.opcode != "conv.conv2d_forward" or call.epilogue != "bias":
            continue
        x, kernel = call["x"], call["kernel"]
        pool = flow.follower(call)
        if pool is None or pool.opcode != "pool.max_pool2d_forward" or not halves(pool) or not _is_plain(call):
            continue
        y, argmax = pool.arguments["y"], pool.arguments["argmax"]
        relu = flow.follower(pool, y, by=call)
        relu = relu if relu is not None and relu.opcode == "elementwise.relu_forward" else None
        padding = call["pad_top"], call["pad_left"]
        result = y if relu is None else relu.arguments["y"]
        chosen = conv2d_pooled_forward_kernel(
            kernel.shape, x.shape[:2], y.buffer.shape[:2], padding, relu is not None, x.dtype
        )
        if not chosen.pays:
            continue
        workspace = scratch.get(x.dtype, chosen.workspace_elements)
        arguments = {
            "x": x, "kernel": kernel, "bias": call["bias"], "y": result, "argmax": argmax, "workspace": workspace,
        }  # fmt: skip
        replaced[call] = [call.replaced_by(chosen.name, arguments, kernel=chosen)]
        replaced[pool] = []
        if relu is not None:
            replaced[relu] = []
    replace(program, replaced)


def fuse_pool_backward(program: Program, scratch: Scratch, algorithm: str) -> None:
    """The passes that read the gradient which pooling spreads out read the pooled one, where that takes less work.

    If all do, it is never spread out.  The gradient of a bias is the sum of either.

    algorithm: how convolutions are computed (see ``config.set_conv_algorithm``).
    """
    flow, loops = Dataflow(program), program.loops()
    replaced: dict[Call, list[Call]] = {}
    first: list[Call] = []
    for pool in () if program.any_size else program.calls:
        if pool.opcode != "pool.max_pool2d_backward" or not halves(pool):
            continue
        spread = pool["dx"].root
        if pool in loops or not flow.in_one_block(spread):
            continue
        readers = [call for call in flow.users[spread] if call is not pool]
        if pool.arguments["dx"].accumulate or any(spread in call.writes for call in readers):
            continue
        new = {call: _replacement(program, call, pool, scratch, algorithm, first) for call in readers}
        if not any(calls and calls[-1].kernel for calls in new.values()):
            continue  # nothing but the sum for the bias
        replaced.update({call: calls for call, calls in new.items() if calls})
        if all(new.values()):
            replaced[pool] = []
    replace(program, replaced)
    program.blocks[0].calls[:0] = first


def _replacement(program, call: Call, pool: Call, scratch: Scratch, algorithm: str, first: list) -> list[Call]:
    """What computes the same as ``call`` from the pooled gradient; [] if nothing does or it would take longer."""
    dy, argmax, spread = pool["dy"], pool["argmax"], pool["dx"].root
    if call.opcode == "dense.bias_add_backward":
        return [call.with_arguments(dy=dy)] if call["dy"].root is spread else []
    if call.opcode not in ("conv.conv2d_backward_filter", "conv.conv2d_backward_data") or not _is_plain(call):
        return []
    kind = call.opcode.removeprefix("conv.conv2d_")
    out = call.outputs[0]
    if kind == "backward_filter":
        x, kernel_shape = call["x"], out.buffer.shape
        spread_out = call["dy"].root is spread and x.root is not spread
        size = call["dy"].shape[:2]
    else:
        x, kernel_shape = out.buffer, call["kernel"].shape
        spread_out = call["dy"].root is spread and call["kernel"].root is not spread
        size = x.shape[:2]
    (height, width, _), (pooled_height, pooled_width, _) = x.shape, dy.shape
    if not spread_out or winograd_outputs(kind, kernel_shape, *size, (1, 1), (1, 1), x.dtype, algorithm):
        return []
    top, left = call["pad_top"], call["pad_left"]
    if kind == "backward_filter":
        chosen = conv2d_pooled_backward_filter_kernel(kernel_shape, width, pooled_width, left, x.dtype)
    else:
        epilogue = call.epilogue or ("accumulate" if call["accumulate"] else "store")
        chosen = conv2d_pooled_backward_data_kernel(kernel_shape, width, pooled_width, left, x.dtype, epilogue)
    if not chosen.pays:
        return []
    workspace = scratch.get(x.dtype, chosen.workspace_elements(height, pooled_height, top))
    if kind == "backward_filter":
        arguments = {
            "x": x, "dy": dy, "argmax": argmax, "dkernel": out, "workspace": workspace, "pad_top": top,
            "accumulate": call["accumulate"],
        }  # fmt: skip
        return [call.replaced_by(chosen.name, arguments, kernel=chosen)]
    kernel = call["kernel"]
    weights = program.temporary(f"{kernel.name}_pooled", (chosen.weight_elements,), x.dtype, "whole")
    writer = pooled_weights_kernel(x.dtype)
    prepared = {"kernel": kernel, "out": Out(weights), "row": chosen.weight_row}
    prepare = call.replaced_by(writer.name, prepared, phase="prepare", work=0, kernel=writer)
    extra = {"mask": call["mask"]} if "mask" in call.arguments else {}
    arguments = {
        "dy": dy, "argmax": argmax, "kernel": weights, **extra, "dx": out, "workspace": workspace, "pad_top": top,
    }  # fmt: skip
    main = call.replaced_by(chosen.name, arguments, kernel=chosen)
    before = itertools.takewhile(lambda other: other is not call, program.calls)
    if kernel.root.kind == "variable" and not any(kernel.root in other.writes for other in before):
        first.append(prepare)  # what nothing has changed in this step is prepared first
        return [main]
    return [prepare, main]
