"""What is needless where a batch is one chunk: sums of a single part, and copies of what is there already."""

from ...core.program import Buffer, Call, Out, Program
from ...core.rewrites.dataflow import replace


def write_in_place(program: Program) -> None:
    """Let partial sums be written where their sum goes, and sums that become a gradient where that lies."""
    _remove_sums(program)
    _remove_copies_to_gradients(program)


_NORMALIZATION = [
    "normalization.batch_norm_statistics", "training.chunk_counts", "normalization.batch_norm_combine",
    "normalization.batch_norm_update_moving",
]  # fmt: skip


def join_moments(program: Program) -> None:
    """Let what follows the statistics of a chunk, if it is the batch, be done where they are put together."""
    from ...kernels.cuda.normalization import _batch_norm_moments

    users = program.users()
    replaced: dict[Call, list[Call]] = {}
    for block in program.blocks:
        for at in range(len(block.calls)):
            calls = block.calls[at : at + len(_NORMALIZATION)]
            if [call.opcode for call in calls] != _NORMALIZATION:
                continue
            statistics, counts, combine, update = calls
            passed = statistics["mean"].root, statistics["m2"].root, counts["counts"].root
            read = combine["means"].root, combine["m2s"].root, combine["counts"].root
            if passed != read or any(len(users[root]) != 2 for root in passed) or update["mean"] is not combine["mean"]:
                continue
            given = {
                "x": statistics["x"],
                **{name: combine.arguments[name] for name in ("mean", "variance", "rstd", "epsilon")},
                **{name: update.arguments[name] for name in ("moving_mean", "moving_variance", "momentum")},
            }
            joined = statistics.replaced_by("normalization.batch_norm_moments", given, kernel=_batch_norm_moments)
            replaced |= {statistics: [joined], counts: [], combine: [], update: []}
    replace(program, replaced)


def _remove_sums(program: Program) -> None:
    users, places = program.users(), {call: place for place, call in enumerate(program.calls)}
    moved: dict[Buffer, Buffer] = {}
    dropped: dict[Call, list[Call]] = {}
    for call in program.calls:
        if call.opcode != "training.sum_partials":
            continue
        partials, out = call["partials"].root, call.outputs[0]
        writers = users[partials][:-1]
        if out.accumulate or users[partials][-1] is not call or any(partials not in w.writes for w in writers):
            continue
        first = min(places[writer] for writer in writers)
        if not any(first <= places[user] < places[call] for user in users[out.buffer.root]):
            moved[partials] = out.buffer
            dropped[call] = []
    _move(program, moved, dropped)


def _remove_copies_to_gradients(program: Program) -> None:
    """A gradient that is zero until one sum is added to it is that sum."""
    users = program.users()
    moved: dict[Buffer, Buffer] = {}
    dropped: dict[Call, list[Call]] = {}
    for fill in program.calls:
        if fill.opcode != "shape.fill" or fill["value"] != 0.0 or fill["y"].kind != "gradient":
            continue
        gradient = fill["y"]
        copy = next((user for user in users[gradient.root] if user is not fill), None)
        if copy is None or copy.opcode != "shape.copy_backward" or not copy["accumulate"]:
            continue
        total = copy["dy"]
        writers = [user for user in users[total.root] if total.root in user.writes]
        if total.root.kind == "whole" and total.root.size == gradient.size and len(writers) == 1:
            moved[total.root] = gradient
            dropped[fill] = dropped[copy] = []
    _move(program, moved, dropped)


def _move(program: Program, moved: dict[Buffer, Buffer], dropped: dict[Call, list[Call]]) -> None:
    """Let calls use other memory; ``dropped`` are no longer there."""

    def elsewhere(argument):
        if isinstance(argument, Out):
            return Out(elsewhere(argument.buffer), argument.accumulate)
        target = moved.get(argument.root) if isinstance(argument, Buffer) else None
        return argument if target is None else target.like(argument)

    replaced = dict(dropped)
    for call in program.calls:
        if call not in dropped and any(root in moved for root in call.reads | call.writes):
            replaced[call] = [call.with_arguments(**{name: elsewhere(a) for name, a in call.arguments.items()})]
    replace(program, replaced)
