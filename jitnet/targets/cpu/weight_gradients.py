"""Gradients of convolutions' weights that are too large for a copy per chunk of the batch."""

import dataclasses

from ...core.program import Buffer, Call, Out, Program, Scalar
from ...core.rewrites.dataflow import replace
from ...kernels.cpu.fast.convolution_direct import ConvolutionKernel
from ...kernels.cpu.fast.winograd import WinogradFilterKernel
from ..axes import Shares
from . import thresholds


def share_large_gradients(program: Program) -> None:
    """The largest gradients over the whole batch at once, each falling into pieces that the threads share.

    Otherwise every chunk has a copy of every gradient, and there may be many chunks.  The largest leave it first, until
    what remains is little beside the parameters, or little at all.  A piece is summed over the batch in order, whoever
    computes it.
    """
    users, loops = program.users(), program.loops()
    places = {call: index for index, call in enumerate(program.calls)}
    copied = {root: root.nbytes for root in users if root.kind == "partial" and root.source is not None}
    parameters = sum(root.nbytes for root in users if root.kind == "variable" and root.source.trainable)
    allowed = max(parameters // thresholds.MAXIMUM_CHUNKS, thresholds.COPIED_GRADIENTS)
    workspaces: dict[str, Buffer] = {}
    replaced: dict[Call, list[Call]] = {}
    # of equal ones the last: its operands die soonest
    for partial in sorted(copied, key=lambda root: (-root.nbytes, -places[users[root][0]])):
        call = users[partial][0]
        if sum(copied.values()) <= allowed:
            break
        if len(users[partial]) != 2 or not _can_be_shared(call, loops):
            continue
        del copied[partial]
        total = users[partial][1]
        x, dy, chosen = call["x"], call["dy"], dataclasses.replace(call.kernel, shared=True)
        for root in (x.root, dy.root):
            root.in_one_piece = root.kind == "batch"
        elements = _workspace_elements(chosen, x, call)
        workspace = workspaces.get(x.dtype)
        if workspace is None:
            workspace = program.temporary("workspace_of_shares", (1,), x.dtype, "whole")
            workspaces[x.dtype] = workspace
        workspace.shape = (max(thresholds.SHARES * elements, *workspace.shape),)
        given = {
            **call.arguments, "dkernel": total.outputs[0], "workspace": Out(workspace), "share": Scalar("chunk"),
            "first": Scalar("first"), "last": Scalar("last"),
        }  # fmt: skip
        replaced[call] = [call.replaced_by(chosen.name, given, kernel=chosen, axis=Shares(chosen.pieces))]
        replaced[total] = []
    replace(program, replaced)


def _can_be_shared(call: Call, loops: dict) -> bool:
    known = isinstance(call.kernel, WinogradFilterKernel | ConvolutionKernel) and "dkernel" in call.arguments
    if not known or call in loops or call["accumulate"]:
        return False
    return all(call[name].kind in ("batch", "external") and call[name].step is None for name in ("x", "dy"))


def _workspace_elements(kernel, x: Buffer, call: Call) -> int:
    if isinstance(kernel, WinogradFilterKernel):
        return kernel.workspace_elements
    return kernel.workspace_elements(x.shape[0], x.shape[1], call["pad_left"], 0, call["width"])
