"""How a prediction of few images is shared out: independent parts, and what many cores would make of them.

    python scripts/bench/parts.py NETWORK [BATCH]

On paper: a part takes time in proportion to its operations, the cores meet after every section, and memory is no limit.
"""

import math
import sys

from workloads import Workload

CORES = (1, 2, 4, 16, 64)
OPERATIONS_PER_SECOND = 1e11  # of a core, as measured in whole networks
MEETING = 1.5e-6  # seconds


def parts(schedule, batch: int) -> list[tuple[str, int, float]]:
    """[(section, independent parts, operations)] of a schedule."""
    from jitnet.targets.cpu import thresholds

    found = []
    for section in schedule.sections:
        count = schedule.chunks(batch)
        if schedule.few:
            of_weights = section.count == "parts"
            count = thresholds.PARTS_OF_FEW if of_weights else batch * getattr(section.axis, "parts", 1)
        work = sum(call.work * (batch if call.batched or section.axis is not None else 1) for call in section.calls)
        found.append((section.name, count if section.axis is not None else 1, work))
    return found


def seconds(found, cores: int) -> float:
    """The time that so many cores take: each section as long as the core with the most parts."""
    return sum(
        work / OPERATIONS_PER_SECOND * math.ceil(count / cores) / count + MEETING * (cores > 1)
        for _, count, work in found
    )


def main(network: str, batch: int = 1) -> None:
    from peer_jitnet import _model

    model = _model(Workload("parts", "infer", "", (), network=network, batch=batch))
    found = parts(model._prediction(batch).schedule, batch)
    for name, count, work in found:
        print(f"{count:5} parts of {work / count / 1e6:8.3f} M operations  {name}")
    alone = seconds(found, 1)
    for cores in CORES:
        busy = sum(work * count / (cores * math.ceil(count / cores)) for _, count, work in found)
        busy *= 100 / sum(work for *_, work in found)
        print(f"{cores:3} cores: {alone / seconds(found, cores):5.1f} times as fast, {busy:3.0f} % busy in sections")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
