"""Runs jitnet and a peer in turns, each in its own process."""

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peers import PEERS, environment
from workloads import PEAK, Workload

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-3  # relative to the largest value: float32 sums in another order, over three steps
ROUNDED_TOLERANCE = 1e-2  # where operands are rounded to bfloat16
STEPS_CHECKED = 3
AGREEMENT = 0.1  # the interquartile range of the ratios to reach by repeating, relative to their median
REST = 0.05  # seconds for the other process's threads to stop spinning
TOO_MANY_CORES = 0.25  # tolerance of the count of busy cores, which the timer's own steps blur


class WorkerError(RuntimeError):
    """A process failed, or two disagree."""


@dataclass(frozen=True)
class Effort:
    """How often and for how long (seconds) a pair is run; kernels alone are run for a shorter time."""

    pairs: int
    most_pairs: int
    seconds: float
    kernel_seconds: float


THOROUGH = Effort(7, 21, 1.0, 0.2)
QUICK = Effort(3, 3, 0.3, 0.1)


class Process:
    """A running worker.

    folder: that with the benchmark's modules; variables: the process's environment, by default the peer's.
    """

    def __init__(self, peer: str, threads: int, folder: Path = HERE, variables: dict | None = None):
        self.peer = peer
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [sys.executable, str(folder / "worker.py"), peer], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, text=True, env=variables or environment(PEERS[peer], threads),
        )  # fmt: skip
        self.prepared = None

    def ask(self, what: str, **arguments) -> dict:
        try:
            self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer will be missing, too
        answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            self.log.seek(0)
            raise WorkerError(f"{self.peer}: {what} failed\n{self.log.read()[-2000:]}")
        return json.loads(answer)

    def close(self):
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Processes:
    """The running workers by peer; jitnet's stays while one peer after the other meets it."""

    def __init__(self, threads: int):
        self.threads = threads
        self.running: dict[str, Process] = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def get(self, peer: str) -> Process:
        if peer not in self.running:
            self.running[peer] = Process(peer, self.threads)
        return self.running[peer]

    def close(self, *peers: str):
        for peer in peers or list(self.running):
            if peer in self.running:
                self.running.pop(peer).close()

    def finish(self, workload: Workload):
        """Ends the processes after a workload; kernels alone may share them."""
        if workload.kind not in ("convolution", "matrix"):
            self.close()

    def prepare(self, peer: str, workload: Workload) -> Process:
        """A worker with a workload checked and ready to be timed."""
        process = self.get(peer)
        if process.prepared != workload.name:
            try:
                process.digest = process.ask("prepare", workload=workload.name, threads=self.threads)["digest"]
                process.values = np.array(process.ask("check", steps=STEPS_CHECKED)["values"])
                process.form = process.ask("tune")["form"]
            except WorkerError:
                self.close(peer)
                raise
            process.prepared = workload.name
        return process


def difference(ours, theirs) -> float:
    """The largest difference of two lists of numbers, relative to the largest number; inf if they don't match."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def spread(values) -> float:
    """The interquartile range relative to the median."""
    low, middle, high = np.percentile(values, (25, 50, 75))
    return float((high - low) / middle)


def pairs(ours, theirs, effort: Effort) -> tuple[list, list]:
    """What ``ours()`` and ``theirs()`` return in turns, until their ratios agree."""
    first, second = [], []
    while len(first) < effort.most_pairs:
        first.append(ours())
        second.append(theirs())
        ratios = [b / a for a, b in zip(first, second, strict=True)]
        if len(first) >= effort.pairs and spread(ratios) < AGREEMENT:
            break
    return first, second


def _summary(values, form="", cores=None) -> dict:
    found = {"median": statistics.median(values), "spread": spread(values), "samples": list(values), "form": form}
    return found if cores is None else {**found, "cores": cores}


def _record(workload, peer, ours: dict, theirs: dict, unit: str, **more) -> dict:
    ratios = [b / a for a, b in zip(ours["samples"], theirs["samples"], strict=True)]
    return {
        "workload": workload.name, "peer": peer, "unit": unit, "jitnet": ours, "theirs": theirs,
        "ratio": statistics.median(ratios), "ratio_spread": spread(ratios), "operations": workload.operations, **more,
    }  # fmt: skip


def measure(workload: Workload, peer: str, processes: Processes, threads: int, effort: Effort) -> dict:
    """One row: jitnet against one peer."""
    special = {"cold": _cold, "memory": _memory, "gradients": _gradients}
    if workload.kind in special:
        return special[workload.kind](workload, peer, processes, threads, effort)
    ours = processes.prepare("jitnet", workload)
    theirs = processes.prepare(peer, workload)
    if ours.digest != theirs.digest:
        raise WorkerError(f"{workload.name}: weights or data of jitnet and {peer} differ")
    found = difference(ours.values, theirs.values)
    allowed = TOLERANCE if workload.policy == "float32" else ROUNDED_TOLERANCE
    if found > allowed:
        raise WorkerError(
            f"{workload.name}: jitnet and {peer} differ by {found:.2g} (relative, at most {allowed:g} is allowed): "
            f"{ours.values[:3]} and {theirs.values[:3]}"
        )
    seconds = effort.kernel_seconds if workload.kind in ("convolution", "matrix") else effort.seconds
    cores = {ours: [], theirs: []}

    def timed(process):
        time.sleep(REST)
        answer = process.ask("time", seconds=seconds)
        cores[process].append(answer["cores"])
        return answer["seconds"]

    samples = pairs(lambda: timed(ours), lambda: timed(theirs), effort)
    summaries = []
    for process, values in zip((ours, theirs), samples, strict=True):
        busy = statistics.median(cores[process])
        if busy > threads + TOO_MANY_CORES:
            raise WorkerError(f"{workload.name}: {process.peer} kept {busy:.1f} cores busy, {threads} are allowed")
        summaries.append(_summary(values, process.form, busy))
    record = _record(workload, peer, *summaries, "s", difference=found)
    if workload.kind not in ("convolution", "matrix"):
        processes.close(peer)
    return record


def _cold(workload, peer, processes, threads, effort):
    """Seconds from the start of a process to its end, one step done."""
    empty = workload.name.endswith("empty")
    processes.close()
    with tempfile.TemporaryDirectory() as folder:

        def variables(name, number):
            cache = {"JITNET_CACHE_DIR": f"{folder}/jitnet{number if empty or workload.after else ''}"}
            if workload.after:
                shutil.copytree(f"{folder}/after", cache["JITNET_CACHE_DIR"])
            if name == "jax-cached":
                cache["JAX_COMPILATION_CACHE_DIR"] = f"{folder}/jax"
                cache["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
                cache["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
            return {**environment(PEERS[name], threads), **cache}

        losses, runs = {}, []

        def run(name, environment, workload=workload.name):
            command = [sys.executable, str(HERE / "cold.py"), name, workload, str(threads)]
            return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

        if workload.after:
            filled = {**environment(PEERS["jitnet"], threads), "JITNET_CACHE_DIR": f"{folder}/after"}
            run("jitnet", filled, workload.after)

        def timed(name):
            runs.append(name)
            chosen = variables(name, len(runs))
            start = time.perf_counter()
            done = run(name, chosen)
            elapsed = time.perf_counter() - start
            if done.returncode:
                raise WorkerError(done.stderr[-2000:])
            losses[name] = [float(done.stdout.split()[-1])]
            return elapsed

        for name in ("jitnet", peer):  # fills the caches, the system's of files, too
            timed(name)
        found = difference(losses["jitnet"], losses[peer])
        if found > TOLERANCE:
            raise WorkerError(f"{workload.name}: jitnet and {peer} differ by {found:.2g}: {losses}")
        ours, theirs = pairs(lambda: timed("jitnet"), lambda: timed(peer), effort)
    caches = {"jax-cached": "persistent cache", "jax-uncached": "no cache"}
    form = "empty cache" if empty else "cache of another network" if workload.after else "warm cache"
    return _record(
        workload, peer, _summary(ours, form), _summary(theirs, caches.get(peer, "")), "s", difference=found
    )  # fmt: skip


def _memory(workload, peer, processes, threads, effort):
    """Peak resident bytes of fresh processes that train for a while; jitnet's kernels are in the cache."""
    processes.close()

    def used(name):
        process = Process(name, threads)
        try:
            process.ask("prepare", workload=workload.name, threads=threads)
            process.ask("check", steps=STEPS_CHECKED)
            process.ask("time", seconds=effort.seconds)
            return process.ask("memory")["bytes"]
        finally:
            process.close()

    used("jitnet")  # compiling takes memory, too
    runs = Effort(3, 3, effort.seconds, effort.kernel_seconds)
    ours, theirs = pairs(lambda: used("jitnet"), lambda: used(peer), runs)
    return _record(workload, peer, _summary(ours), _summary(theirs), "bytes")


def _gradients(workload, peer, processes, threads, effort):
    """The worst relative error of a weight's gradient against PyTorch in float64, batch by batch."""
    with tempfile.TemporaryDirectory() as folder:
        errors = {"jitnet": [], peer: []}
        batches = range(min(effort.pairs, workload.steps))
        files = {}
        for name in ("torch-float64", "jitnet", peer):
            processes.close()
            process = processes.get(name)
            process.ask("prepare", workload=workload.name, threads=threads)
            for batch in batches:
                files[name, batch] = f"{folder}/{name}-{batch}.npz"
                process.ask("gradients", batch=batch, path=files[name, batch])
        for batch in batches:
            exact = np.load(files["torch-float64", batch])
            for name, found in errors.items():
                gradients = np.load(files[name, batch])
                if set(gradients.files) != set(exact.files):
                    raise WorkerError(f"{workload.name}: {name} has gradients of other weights")
                found.append(max(_distance(gradients[key], exact[key]) for key in exact.files))
    return _record(workload, peer, _summary(errors["jitnet"]), _summary(errors[peer]), "relative")


def _distance(found, exact) -> float:
    return float(np.linalg.norm(found.astype(np.float64) - exact) / np.linalg.norm(exact))


def peak(processes: Processes, threads: int) -> float:
    """Floating-point operations a second that products of small matrices, all in the first caches, reach."""
    process = processes.get("jitnet")
    process.ask("prepare", workload=PEAK.name, threads=threads)
    process.ask("tune")
    seconds = min(process.ask("time", seconds=0.3)["seconds"] for _ in range(5))
    processes.close()
    return threads * PEAK.operations / seconds


