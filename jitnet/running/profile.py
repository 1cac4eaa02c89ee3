"""Where the time of a step goes."""

import contextlib
import re
import time
from typing import NamedTuple

import numpy as np

from .._places import paths_in_steps
from ..core.errors import invalid
from ..core.program import calls_of
from . import peak
from .kept import Kept

SCRATCH = r"workspace(_\d+)?"  # what kernels use inside


class ProfileLine(NamedTuple):
    """What a line of a step took.

    function: its name in the step; layer: whose line it is, with the models that it is in before it, as in
        ``outer/inner/dense``; "" of what is no layer's, such as the loss and the optimizer's update.
    phase: "input", "forward", "result" (losses, metrics), "backward", "gradients" or "update".
    seconds: the median; operations: floating-point operations; moved: bytes that are read and written.
    share: of what the machine reaches at most, in operations or in bytes, whichever is nearer: see ``limit``,
        "arithmetic" or "memory".
    """

    function: str
    layer: str
    phase: str
    seconds: float
    operations: float
    moved: float
    share: float
    limit: str

    @property
    def gflops(self) -> float:
        """Thousand million operations a second."""
        return self.operations / self.seconds / 1e9

    @property
    def gigabytes(self) -> float:
        """Thousand million bytes a second."""
        return self.moved / self.seconds / 1e9


def profile(step, run_once, batch: int, repeat: int, print_fn, model=None) -> list[ProfileLine]:
    """The lines of a step, the slowest first, also printed: medians of ``repeat`` runs.

    run_once: runs ``step``, which has no regions, for a batch of ``batch`` samples; model: whose layers' places are
    told.
    """
    if not hasattr(step.runner, "by_section"):
        raise invalid("profile times the steps of a CPU: call it under jitnet.set_device('cpu').", on=step.target.name)
    spent = _timed(step, run_once, repeat)
    layers = paths_in_steps(model) if model is not None else {}
    dtype = "float64" if any(v.dtype == "float64" for v in step.variables) else "float32"
    most, chunks = peak.operations_per_second(dtype), step.schedule.chunks(batch)
    rows = []
    for section in step.schedule.sections:
        if section.name not in spent:
            continue
        seconds = float(np.median(spent[section.name]))
        calls = section.calls
        operations = float(sum(c.work * (batch if c.batched or c.axis is not None else 1) for c in calls))
        moved, touched = _bytes(section.items, batch, chunks)
        shares = {"arithmetic": operations / most, "memory": moved / peak.bytes_per_second(touched)}
        limit = max(shares, key=shares.get)
        names = dict.fromkeys(layers.get(call.layer, call.layer) for call in calls if call.phase != "update")
        whose = ", ".join(name for name in names if name)
        phase = "update" if any(call.phase == "update" for call in calls) else calls[-1].phase
        rows.append(ProfileLine(section.name, whose, phase, seconds, operations, moved, shares[limit] / seconds, limit))
    rows.sort(key=lambda row: -row.seconds)
    for line in _table(rows, batch, most):
        print_fn(line)
    return rows


def _timed(step, run_once, repeat: int) -> dict[str, list[float]]:
    """{function of the step: seconds of every run}"""
    step.runner.by_section = True
    functions, spent = {}, {}

    def timed(name, function):
        def run(*arguments):
            start = time.perf_counter()
            function(*arguments)
            spent.setdefault(name, []).append(time.perf_counter() - start)

        return run

    try:
        run_once()  # compiles
        module = step.runner.module
        functions = {s.name: getattr(module, s.name) for s in step.schedule.sections if hasattr(module, s.name)}
        for name, function in functions.items():
            setattr(module, name, timed(name, function))
        for _ in range(repeat):
            run_once()
    finally:
        step.runner.by_section = False
        for name, function in functions.items():
            setattr(module, name, function)
    return spent


def _bytes(items, batch: int, chunks: int) -> tuple[int, int]:
    """What calls and loops read and write, in all their parts and turns; and of how much memory that is."""
    moved, touched = 0, {}
    for item in items:
        for call in calls_of([item]):
            for argument in call.arguments.values():
                buffer = getattr(argument, "buffer", argument)
                if not hasattr(buffer, "nbytes") or re.fullmatch(SCRATCH, buffer.root.name):
                    continue
                parts = batch * buffer.batches if buffer.batched else chunks if buffer.kind == "partial" else 1
                reads_too = getattr(argument, "accumulate", False)
                moved += getattr(item, "count", 1) * buffer.nbytes * parts * (2 if reads_too else 1)
                touched[buffer.root] = max(touched.get(buffer.root, 0), buffer.nbytes * parts)
            if call.opcode == "memory.gather":  # reads as much of the data as it writes
                moved += call["out"].nbytes * batch
    return moved, sum(touched.values())


def _table(rows: list[ProfileLine], batch: int, most: float) -> list[str]:
    total, width = sum(row.seconds for row in rows), max([5, *(len(row.layer) for row in rows)])
    lines = [f"{'time':>12}  share  GFLOP/s    GB/s  of peak  {'layer':<{width}}  phase      function"]
    for row in rows:
        lines.append(
            f"{row.seconds * 1e6:9.1f} us {100 * row.seconds / total:5.1f} % {row.gflops:8.1f} {row.gigabytes:7.1f} "
            f"{100 * row.share:6.1f} %{row.limit[0]} {row.layer:<{width}}  {row.phase:<9}  {row.function}"
        )
    lines.append(
        f"Peak, measured: {most / 1e9:.0f} GFLOP/s in products of matrices (a); copies of as much as a line moves (m)"
    )
    return [*lines, f"{total * 1e6:9.1f} us in all, batch {batch}"]


@contextlib.contextmanager
def restored(step):
    """What the runs of a step change inside, weights, states and optimizers' slots, is as before afterwards."""
    kept = Kept(step.variables, [state.optimizer for state in step.states])
    try:
        yield
    finally:
        kept.restore()
