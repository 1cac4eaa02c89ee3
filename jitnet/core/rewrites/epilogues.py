"""Pointwise calls around a product become part of its store: bias, residual and ReLU forward, ReLU's mask backward.

The call keeps its opcode and gets the attribute ``epilogue``, whose parts stand in the order in which they are computed
("bias", "bias_add", "bias_relu", "bias_add_relu", "relu_mask"), and the arguments ``bias``, ``residual``, ``mask``.
What a convolution does backward to its input is what a transposed one does forward.
"""

from ..program import Call, Program
from .dataflow import Dataflow

FORWARD = ("conv.conv2d_forward", "dense.dense_forward")
BACKWARD = ("conv.conv2d_backward_data", "dense.dense_backward_data")


def fuse_epilogues(program: Program, fuses) -> None:
    """fuses(call, epilogue): whether the target has a kernel for that."""
    flow = Dataflow(program)
    for call in program.calls:
        if call.opcode in FORWARD:
            _fuse_forward(flow, call, fuses)
        elif call.opcode in BACKWARD:
            if fuses(call, "relu_mask"):
                _fuse_mask(flow, call)
            if call.epilogue is None:
                _fuse_forward(flow, call, fuses)
    flow.finish()


def _fuse_forward(flow: Dataflow, call: Call, fuses) -> None:
    follower = flow.follower(call)
    if follower is None or follower.opcode != "dense.bias_add_forward" or not fuses(call, "bias"):
        return
    flow.merge(call, follower, follower["y"], bias=follower["bias"])
    epilogue = "bias"
    follower = flow.follower(call)
    residual = flow.added_to(call, follower)
    if residual is not None and fuses(call, "bias_add"):
        flow.merge(call, follower, follower["y"], residual=residual.like(call.outputs[0].buffer))
        epilogue = "bias_add"
        follower = flow.follower(call)
    if follower is not None and follower.opcode == "elementwise.relu_forward":
        flow.merge(call, follower, follower["y"])
        epilogue += "_relu"
    call.attributes["epilogue"] = epilogue


def _fuse_mask(flow: Dataflow, call: Call) -> None:
    follower = flow.follower(call)
    if follower is None or follower.opcode != "elementwise.relu_backward":
        return
    mask = follower["y"]
    if follower["accumulate"] or mask.root in call.writes:  # its own result is known too late to be the mask
        return
    flow.merge(call, follower, follower["dx"], mask=mask)
    call.attributes["epilogue"] = "relu_mask"
