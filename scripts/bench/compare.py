"""Times two states of jitnet in turns: did a change make anything slower?

    python scripts/bench/compare.py OLD NEW [--workloads NAME ...] [--threads 2]

OLD and NEW are commits, or folders that hold a checkout.  Every workload of the benchmark that both have runs in a
process of each, jitnet alone, A B A B ...; a row is the median of the ratios old / new, pair by pair: more than 1 means
that NEW is faster.  All of them take about ten minutes.  Exit status 1: the geometric mean is under 0.98, or a row is
under 0.93.  A row that falls through once may be the machine's doing: run that workload again.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import REST, STEPS_CHECKED, Effort, Process, WorkerError, pairs, spread
from peers import PEERS, environment
from workloads import choose

ROOT = Path(__file__).resolve().parent.parent.parent
LEAST_MEAN, LEAST_ROW = 0.98, 0.93
EFFORT = Effort(7, 13, 0.3, 0.08)
COLD_EFFORT = Effort(3, 5, 0.0, 0.0)


def parse(arguments=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", help="a commit, or a folder with a checkout")
    parser.add_argument("new", help="likewise")
    parser.add_argument("--workloads", nargs="+", default=[], metavar="NAME", help="names or families; all by default")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    try:
        options.chosen = [w for w in choose(options.workloads) if w.kind not in ("peak", "gradients")]
    except ValueError as error:
        parser.error(str(error))
    return options


def checkout(state: str, folder: Path) -> Path:
    """The folder with a state of the project; a commit is unpacked below ``folder``."""
    if (Path(state) / "scripts" / "bench" / "worker.py").is_file():
        return Path(state).resolve()
    target = folder / state.replace("/", "-")
    target.mkdir(exist_ok=True)
    archive = subprocess.run(["git", "-C", ROOT, "archive", state], capture_output=True, check=False)
    if archive.returncode:
        sys.exit(f"{state} is neither a folder with a checkout nor a commit: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", target], input=archive.stdout, check=True)
    return target


class Side:
    """One of the two states: its folder, and the process that runs its workload."""

    def __init__(self, root: Path, cache: Path, threads: int):
        self.bench = root / "scripts" / "bench"
        self.threads = threads
        self.cache = cache
        self.environment = {
            **environment(PEERS["jitnet"], threads), "PYTHONPATH": str(root), "JITNET_CACHE_DIR": str(cache),
        }  # fmt: skip
        self.process = None

    def prepare(self, workload) -> np.ndarray:
        """Start on a workload; the numbers that it computes first."""
        if self.process is None:
            self.process = Process("jitnet", self.threads, self.bench, self.environment)
        self.process.ask("prepare", workload=workload.name, threads=self.threads)
        if workload.kind == "memory":
            self.process.ask("check", steps=STEPS_CHECKED)
            return np.zeros(0)
        values = self.process.ask("check", steps=STEPS_CHECKED)["values"]
        self.process.ask("tune")
        return np.array(values)

    def time(self, seconds: float) -> float:
        time.sleep(REST)
        return self.process.ask("time", seconds=seconds)["seconds"]

    def memory(self, workload) -> float:
        """Peak bytes of a process of its own."""
        self.close()
        self.prepare(workload)
        self.process.ask("time", seconds=EFFORT.seconds)
        used = self.process.ask("memory")["bytes"]
        self.close()
        return used

    def cold(self, workload) -> float:
        """Seconds that a fresh process takes to its first step."""
        with contextlib.ExitStack() as stack:
            variables = self.environment
            if workload.name.endswith("empty"):
                empty = stack.enter_context(tempfile.TemporaryDirectory())
                variables = {**variables, "JITNET_CACHE_DIR": empty}
            command = [sys.executable, str(self.bench / "cold.py"), "jitnet", workload.name, str(self.threads)]
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
            elapsed = time.perf_counter() - start
        if done.returncode:
            raise WorkerError(done.stderr[-2000:])
        return elapsed

    def close(self):
        if self.process is not None:
            self.process.close()
            self.process = None


def compare(workload, old: Side, new: Side) -> tuple[list, list, str]:
    """Samples of both sides, in turns, and what there is to say about them."""
    if workload.kind in ("cold", "memory"):
        measured = Side.cold if workload.kind == "cold" else Side.memory
        for side in (old, new):
            measured(side, workload)  # fills the caches
        return *pairs(lambda: measured(old, workload), lambda: measured(new, workload), COLD_EFFORT), ""
    same = np.array_equal(old.prepare(workload), new.prepare(workload))
    seconds = EFFORT.kernel_seconds if workload.kind in ("convolution", "matrix") else EFFORT.seconds
    samples = pairs(lambda: old.time(seconds), lambda: new.time(seconds), EFFORT)
    return *samples, "same bits" if same else "OTHER BITS"


def main(arguments=None) -> int:
    options = parse(arguments)
    ratios = {}
    started = time.perf_counter()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    with tempfile.TemporaryDirectory() as folder:
        sides = []
        for name, state in (("old", options.old), ("new", options.new)):
            sides.append(Side(checkout(state, Path(folder)), Path(folder) / f"{name}-cache", options.threads))
        for workload in options.chosen:
            try:
                first, second, remark = compare(workload, *sides)
            except WorkerError as error:  # a workload that one of them lacks, say
                print(f"{workload.name}: left out\n{error}", file=sys.stderr)
                for side in sides:
                    side.close()
                continue
            finally:
                if workload.kind not in ("convolution", "matrix"):
                    for side in sides:
                        side.close()
            by_pair = [a / b for a, b in zip(first, second, strict=True)]
            ratio = ratios[workload.name] = statistics.median(by_pair)
            unit, factor = ("MiB", 2**-20) if workload.kind == "memory" else ("us", 1e6)
            before, after = (factor * statistics.median(samples) for samples in (first, second))
            print(
                f"{workload.name:<48} {before:>12.1f} {after:>12.1f} {unit:<3} {ratio:6.3f} "
                f"+-{100 * spread(by_pair) / 2:3.0f} %  {remark}{'  SLOWER' if ratio < LEAST_ROW else ''}",
                flush=True,
            )
        for side in sides:
            side.close()
    if not ratios:
        return 1
    mean = statistics.geometric_mean(ratios.values())
    worst = min(ratios, key=ratios.get)
    print(
        f"geometric mean of {len(ratios)} rows {mean:.3f}; least {ratios[worst]:.3f} ({worst}); "
        f"{time.perf_counter() - started:.0f} s"
    )
    return int(mean < LEAST_MEAN or ratios[worst] < LEAST_ROW)


if __name__ == "__main__":
    sys.exit(main())
