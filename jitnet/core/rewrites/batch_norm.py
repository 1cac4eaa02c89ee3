"""Batch normalisation: folded into the weights before it, or joined with the ReLU and the residual after it."""

from ..program import Call, Out, Program
from .dataflow import Dataflow, replace
from .epilogues import FORWARD


def fold_batch_norm(program: Program, fuses) -> None:
    """Batch normalisation by moving statistics as part of the weights and the bias of the layer before it.

    The weights are folded once per step.  fuses(call, epilogue): whether the target has a kernel for that.
    """
    flow = Dataflow(program)
    replaced: dict[Call, list[Call]] = {}
    before: dict[Call, list[Call]] = {}
    for call in program.calls:
        if call.opcode not in FORWARD or not fuses(call, "bias"):
            continue
        bias = None
        follower = flow.only_reader(call)
        if follower is not None and follower.opcode == "dense.bias_add_forward":
            bias = follower
            follower = flow.only_reader(bias)
        if follower is None or follower.opcode != "normalization.batch_norm_apply":
            continue
        rstd = follower["rstd"]
        inverse = next(c for c in flow.users[rstd.root] if rstd.root in c.writes)
        if inverse.opcode != "normalization.batch_norm_rstd":
            continue
        kernel, mean = call["kernel"], follower["mean"]
        given = {} if bias is None else {"bias": bias["bias"]}
        weights = {"mean": mean, "variance": inverse["variance"], "gamma": follower["gamma"], "beta": follower["beta"]}
        if flow.are_written([kernel, *given.values(), *weights.values()], follower):
            continue
        folded = program.temporary(f"{kernel.name}_folded", kernel.shape, kernel.dtype, "whole")
        shift = program.temporary(f"{kernel.name}_folded_bias", mean.shape, kernel.dtype, "whole")
        fold = follower.replaced_by(
            "normalization.batch_norm_fold_bias" if given else "normalization.batch_norm_fold",
            {
                "kernel": kernel, **given, **weights, "epsilon": inverse["epsilon"], "folded": Out(folded),
                "folded_bias": Out(shift),
            },
            work=1,
        )  # fmt: skip
        layer = call.with_arguments(kernel=folded)
        before[call], replaced[call] = [fold], [layer]
        add = {"x": call["y"], "bias": shift, "y": Out(follower["y"])}
        replaced[follower] = [follower.replaced_by("dense.bias_add_forward", add)]
        if bias is not None:
            replaced[bias] = []
        if len(flow.users[rstd.root]) == 2:  # nothing else needs it, a backward pass say
            replaced[inverse] = []
    replace(program, replaced, before)


def fuse_batch_norm(program: Program) -> None:
    """Batch normalisation with the ReLU after it, forward and backward, and with the residual that is added between."""
    flow = Dataflow(program)
    for call in program.calls:
        if call.opcode == "normalization.batch_norm_apply":
            follower = flow.follower(call)
            if follower is not None and follower.opcode == "elementwise.relu_forward":
                flow.merge(call, follower, follower["y"])
                call.opcode = "normalization.batch_norm_relu_apply"
            elif follower is not None and follower.opcode == "elementwise.add_forward":
                _fuse_residual(flow, call, follower)
        elif call.opcode == "elementwise.relu_backward":
            _fuse_relu_backward(flow, call)
    flow.finish()


def _fuse_residual(flow: Dataflow, call: Call, add: Call) -> None:
    """relu(batch_norm(x) + residual), where both terms have the same shape."""
    relu = flow.follower(add, by=call)
    residual = flow.added_to(call, add)
    if relu is None or relu.opcode != "elementwise.relu_forward" or residual is None:
        return
    flow.merge(call, add, add["y"], residual=residual.like(call["y"]))
    flow.merge(call, relu, relu["y"])
    arguments = call.arguments
    call.arguments = {"x": arguments["x"], "residual": arguments["residual"], **arguments}  # in the kernel's order
    call.opcode = "normalization.batch_norm_add_relu_apply"


def _fuse_relu_backward(flow: Dataflow, call: Call) -> None:
    """The mask of a ReLU whose gradient goes only into a batch normalisation in training."""
    y, dy, root = call["y"], call["dy"], call["dx"].root
    touching = flow.users[root]
    opcodes = [c.opcode for c in touching]
    expected = [call.opcode, "normalization.batch_norm_backward_statistics", "normalization.batch_norm_backward_data"]
    if opcodes != expected or not flow.in_one_block(root):
        return
    for reader in touching[1:]:
        reader.opcode = reader.opcode.replace("batch_norm_", "batch_norm_relu_")
        gradient = reader["dy"]
        first = {"x": reader["x"], "y": y.like(gradient), "dy": dy.like(gradient)}
        reader.arguments = {**first, **{k: a for k, a in reader.arguments.items() if k not in first}}
    flow.removed.add(call)
