"""Which calls of a program only need to run when weights have changed: those that copy them into kernels' layouts."""

from ..core.program import Batch, Block, Call, Program, Scalar

HOISTED = "hoisted"  # the attribute of such a call
_OF_A_RUN = {"batch", "begin", "first", "last", "t", "seed"}  # other names are hyperparameters


def hoist(program: Program) -> None:
    """Mark the calls that depend on variables and hyperparameters alone, if the program trains no variable.

    Of one that keeps states, those that depend on what is trained: states have a storage of their own.
    """
    writers: dict = {}
    for call in program.calls:
        for root in call.writes:
            writers.setdefault(root, []).append(call)
    states = [root for root in writers if root.kind == "variable"]
    if any(root.source.trainable for root in states):
        return
    known: set = set()
    for block in program.blocks:
        if type(block) is not Block or block.condition is not None:
            continue
        for call in block.calls:
            if _is_constant(call, known, bool(states)) and all(len(writers[root]) == 1 for root in call.writes):
                call.attributes = {**call.attributes, HOISTED: True}
                known |= call.writes


def _is_constant(call: Call, known: set, trained_alone: bool) -> bool:
    numbers = {name for a in call.arguments.values() if isinstance(a, Scalar) for name in a.names()}
    in_parts = isinstance(call.axis, Batch)  # each chunk does a part
    if numbers & (_OF_A_RUN if in_parts else _OF_A_RUN | {"chunk", "chunks"}) or not (in_parts or call.axis is None):
        return False

    def is_constant(root):
        if root.kind == "variable":
            return root.source.trainable or not trained_alone
        return root.kind == "constant" or root in known

    return all(map(is_constant, call.reads)) and bool(call.writes) and all(root.kind == "whole" for root in call.writes)
