"""Where the time of a step goes."""

import time

import numpy as np


def profile(step, run_once, batch: int, repeat: int, print_fn) -> list[tuple]:
    """[(function of the step, seconds, GFLOP/s)], the slowest first, also printed: medians of ``repeat`` runs.

    run_once: runs ``step``, which has no regions, for a batch of ``batch`` samples.
    """
    step.runner.by_section = True
    run_once()  # compiles
    module, spent = step.runner.module, {}

    def timed(name, function):
        def run(*arguments):
            start = time.perf_counter()
            function(*arguments)
            spent.setdefault(name, []).append(time.perf_counter() - start)

        return run

    sections = step.schedule.sections
    names = [s.name for s in sections]
    functions = {name: getattr(module, name) for name in names if hasattr(module, name)}
    try:
        for name, function in functions.items():
            setattr(module, name, timed(name, function))
        for _ in range(repeat):
            run_once()
    finally:
        step.runner.by_section = False
        for name, function in functions.items():
            setattr(module, name, function)
    along = [s for s in sections if s.axis is not None and s.count != "blocks"]
    work = {s.name: sum(call.work for call in s.calls) * batch for s in along}
    rows = [(name, float(np.median(times)), work.get(name, 0.0)) for name, times in spent.items()]
    rows = sorted(((n, t, w / t / 1e9) for n, t, w in rows), key=lambda row: -row[1])
    total = sum(t for _, t, _ in rows)
    for name, seconds, rate in rows:
        print_fn(f"{seconds * 1e6:9.1f} us {100 * seconds / total:5.1f} % {rate:7.1f} GFLOP/s  {name}")
    print_fn(f"{total * 1e6:9.1f} us in all, batch {batch}")
    return rows
