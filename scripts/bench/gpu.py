"""jitnet on a GPU beside PyTorch on the same GPU, in the same process; writes cuda.json and RESULTS-cuda.md.

    python scripts/bench/gpu.py [--parts machine networks ...] [--only PATTERN ...] [--output FOLDER] [--dry]

Times are medians of several runs, after runs that compile; what both compute is compared first.  Several processes may
write into one folder: they compile side by side and measure one at a time.  ``--dry`` does the same on tiny sizes with
the emulator in the GPU's place and PyTorch on the CPU: its figures mean nothing.
"""

import argparse
import contextlib
import dataclasses
import datetime
import fcntl
import importlib.metadata
import json
import platform
import re
import statistics
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
from workloads import CONVOLUTIONS, choose

import jitnet
from jitnet.kernels.cuda import _api
from jitnet.targets.cuda import devices

HERE = Path(__file__).resolve().parent
PARTS = "machine", "networks", "products", "bandwidth", "convolutions", "launches"
SECONDS = 0.4  # of every measurement
NETWORKS = (("mlp-mnist-128", 64), ("mlp-mnist-128", 1024), ("lenet5", 64), ("lenet5", 1024), ("resnet20", 128),
            ("resnet20", 1024))  # fmt: skip
SAMPLES, LARGE_SAMPLES = 16_384, 4096  # of the data that a network is trained on, and of ResNet-20's
MATRICES = (512, 1024, 2048, 4096)
PRECISIONS = ("highest", "high", "medium")


class Bench:
    """What is measured on, and what was found so far."""

    def __init__(self, output: Path, dry: bool, only: list[str] = ()):
        self.output, self.dry, self.only = output, dry, only
        self.seconds_of_a_measurement = SECONDS
        self.file = output / "cuda.json"
        output.mkdir(parents=True, exist_ok=True)
        if dry:
            sys.path.insert(0, str(HERE.parent.parent / "tests"))
            from cuda_cases import emulator

            devices.install("cuda:0", emulator(0))
        self.device = devices.backend("cuda:0")
        self.torch = _torch()
        self.place = "cpu" if dry else "cuda"

    def wants(self, title: str) -> bool:
        """Whether a case was asked for."""
        return not self.only or any(re.search(text, title) for text in self.only)

    @contextlib.contextmanager
    def alone(self, lock: str = "device.lock"):
        """Meanwhile no other process of this benchmark measures."""
        with (self.output / lock).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def add(self, part: str, name: str, ours: float, theirs: float | None, **more) -> None:
        """A row, in place of an earlier one of the same name: seconds of jitnet and of the peer."""
        row = {"part": part, "name": name, "jitnet": ours, "peer": theirs, **more}
        ratio = "" if theirs is None else f", peer {1e6 * theirs:.1f} us, ratio {theirs / ours:.2f}"
        print(f"{part}: {name}: {1e6 * ours:.1f} us{ratio} {more}", flush=True)
        self.write(row=row)

    def write(self, machine: dict | None = None, row: dict | None = None) -> None:
        """Add what was found to the files."""
        with self.alone("files.lock"):
            found = json.loads(self.file.read_text()) if self.file.exists() else {"machine": {}, "rows": []}
            if machine is not None:
                found["machine"] = machine
            if row is not None:
                others = [r for r in found["rows"] if (r["part"], r["name"]) != (row["part"], row["name"])]
                found["rows"] = [*others, row]
            self.file.write_text(json.dumps(found, indent=1))
            (self.output / "RESULTS-cuda.md").write_text(written(found), encoding="utf-8")

    def seconds(self, function, synchronize, least: int = 5) -> float:
        """The median time of a call, of runs that are long enough to be timed."""
        with self.alone():  # the first one, too, for PyTorch tries its algorithms in it
            function()
            synchronize()
            count, start = 1, time.perf_counter()
            function()
            synchronize()
            once = max(time.perf_counter() - start, 1e-6)
            if not self.dry:
                count = max(1, int(self.seconds_of_a_measurement / least / once))
            times = []
            for _ in range(1 if self.dry else least):
                start = time.perf_counter()
                for _ in range(count):
                    function()
                synchronize()
                times.append((time.perf_counter() - start) / count)
        return statistics.median(times)

    def torch_seconds(self, function) -> float | None:
        if self.torch is None:
            return None
        return self.seconds(function, (lambda: None) if self.dry else self.torch.cuda.synchronize)

    def device_seconds(self, function) -> float:
        """Of launches, by a recorded graph: without Python's share."""
        stream = self.device.new_stream()
        with _api.using(self.device, stream, _api.precision()):
            replay = self.device.record(function, stream)
            return self.seconds(replay, lambda: self.device.synchronize(stream))


def _torch():
    try:
        import torch
    except ImportError:
        return None
    return torch


# ---- parts


def machine(bench: Bench) -> None:
    """What it runs on."""
    versions = {"python": platform.python_version()}
    for name in ("jitnet", "numba", "numba-cuda", "llvmlite", "torch", "cuda-bindings"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    description = "an emulator: the figures mean nothing" if bench.dry else bench.device.description
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")
    found = {"device": description, "versions": versions, "date": date}
    if not bench.dry:
        module = _api.numba_cuda()
        found["driver"] = ".".join(map(str, module.cudadrv.driver.driver.get_version()))
    print(json.dumps(found, indent=1))
    bench.write(machine=found)


def networks(bench: Bench) -> None:
    """Training steps of networks: batches drawn anew in each epoch, data on the device."""
    chosen = (("mlp-tiny", 2),) if bench.dry else NETWORKS
    for name, batch in chosen:
        samples = 4 if bench.dry else LARGE_SAMPLES if name == "resnet20" else SAMPLES
        steps = samples // batch
        (workload,) = choose([name])
        workload = dataclasses.replace(workload, batch=batch, steps=steps)
        for precision in PRECISIONS[:2] if name == "resnet20" else PRECISIONS[:1]:
            title = f"{workload.network}, batch {batch}, {precision}"
            if not bench.wants(title):
                continue
            with guarded(title):
                ours, losses = _jitnet_network(bench, workload, precision)
                theirs = {}
                if bench.torch is not None:
                    theirs = _torch_network(bench, workload, precision, losses)
                best = min(theirs.values(), default=None)
                forms = {form: f"{1e6 * seconds:.1f} us" for form, seconds in theirs.items()}
                bench.add("networks", title, ours, best, **forms, loss=losses[-1])


def _jitnet_network(bench: Bench, workload, precision: str) -> tuple[float, list]:
    import peer_jitnet

    jitnet.set_device("cuda")
    jitnet.set_float32_matmul_precision(precision)
    try:
        case = peer_jitnet.Training(workload)
        model, (x, y) = case.model, workload.data()
        losses = [float(model.train_on_batch(x[: workload.batch], y[: workload.batch])) for _ in range(2)]

        def epochs(count):
            model.fit(x, y, batch_size=workload.batch, epochs=count, verbose=0)

        epochs(1)
        with bench.alone():
            count = 1
            if not bench.dry:
                start = time.perf_counter()
                epochs(2)
                count = max(3, int(SECONDS / ((time.perf_counter() - start) / 2)))
            times = []
            for _ in range(1 if bench.dry else 3):
                start = time.perf_counter()
                epochs(count)
                times.append((time.perf_counter() - start) / (count * workload.steps))
        return statistics.median(times), losses
    finally:
        jitnet.set_device("cpu")
        jitnet.set_float32_matmul_precision("highest")


def _torch_network(bench: Bench, workload, precision: str, losses: list) -> dict[str, float]:
    import peer_torch
    from workloads import ADAM_EPSILON
    from workloads import MOMENTUM as momentum

    torch, place, batch = bench.torch, bench.place, workload.batch
    _torch_precision(torch, precision)
    x, y = (torch.from_numpy(a).to(place) for a in workload.data())
    network = peer_torch.Network(workload).to(place)
    parameters, rate = list(network.parameters()), workload.learning_rate
    options = {"capturable": True} if place == "cuda" and workload.optimizer != "sgd" else {}
    if workload.optimizer == "sgd":
        optimizer = torch.optim.SGD(parameters, rate, momentum, fused=True)
    else:
        optimizer = torch.optim.Adam(parameters, rate, eps=ADAM_EPSILON, fused=True, **options)

    def step(index):
        loss = torch.nn.functional.cross_entropy(network(x.index_select(0, index)), y.index_select(0, index))
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
        return loss.detach()

    first = torch.arange(batch, device=place)
    found = [float(step(first)) for _ in range(2)]
    np.testing.assert_allclose(losses, found, rtol=1e-3 if precision == "highest" else 3e-2)
    orders = torch.randperm(batch * workload.steps, device=place).split(batch)
    count = 0

    def eager():
        nonlocal count
        count = (count + 1) % len(orders)
        step(orders[count])

    times = {"eager": bench.torch_seconds(eager)}
    if place == "cuda":
        with contextlib.suppress(RuntimeError):
            index = first.clone()
            side = torch.cuda.Stream()
            with torch.cuda.stream(side):
                for _ in range(3):
                    step(index)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step(index)

            def graphed():
                nonlocal count
                count = (count + 1) % len(orders)
                index.copy_(orders[count])
                graph.replay()

            times["graphed"] = bench.torch_seconds(graphed)
    return times


def _torch_precision(torch, precision: str) -> None:
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision != "highest"
    torch.backends.cudnn.benchmark = True


def launches(bench: Bench) -> None:
    """What the kernels of a training step take, by PyTorch's profiler, in launches.txt."""
    if bench.dry or bench.torch is None:
        return
    for name, batch in NETWORKS:
        for precision in PRECISIONS[:2] if name == "resnet20" else PRECISIONS[:1]:
            (workload,) = choose([name])
            workload = dataclasses.replace(workload, batch=batch, steps=LARGE_SAMPLES // batch)
            title = f"{workload.network}, batch {batch}, {precision}"
            if bench.wants(title):
                with guarded(title):
                    _profile(bench, title, workload, precision)


def _profile(bench: Bench, title: str, workload, precision: str) -> None:
    import peer_jitnet

    activities = [bench.torch.profiler.ProfilerActivity.CUDA]
    jitnet.set_device("cuda")
    jitnet.set_float32_matmul_precision(precision)
    try:
        model, (x, y) = peer_jitnet.Training(workload).model, workload.data()
        model.fit(x, y, batch_size=workload.batch, verbose=0)
        with bench.alone(), bench.torch.profiler.profile(activities=activities) as profile:
            model.fit(x, y, batch_size=workload.batch, verbose=0)
            bench.torch.cuda.synchronize()
    finally:
        jitnet.set_device("cpu")
        jitnet.set_float32_matmul_precision("highest")
    times: dict[str, list] = {}
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        for event in json.loads(trace.read_text())["traceEvents"]:
            if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset"):
                times.setdefault(event["name"].partition("[abi")[0], []).append(event["dur"])
    lines = [f"== {title}: microseconds of a step, launches of a step, name"]
    for name, each in sorted(times.items(), key=lambda item: -sum(item[1]))[:40]:
        lines.append(f"{sum(each) / workload.steps:9.2f} {len(each) / workload.steps:6.2f}  {name[:100]}")
    with (bench.output / "launches.txt").open("a") as file:
        file.write("\n".join(lines) + "\n\n")


def products(bench: Bench) -> None:
    """Products of square matrices."""
    from jitnet.kernels.cuda.dense import dense_forward

    generator = np.random.default_rng(0)
    for size in (20,) if bench.dry else MATRICES:
        a, b = (generator.standard_normal((size, size)).astype(np.float32) for _ in range(2))
        for precision in PRECISIONS:
            title = f"GEMM {size}, {precision}"
            if not bench.wants(title):
                continue
            with guarded(title):
                x, y = bench.device.to_device(a), bench.device.to_device(b)
                c = bench.device.empty((size, size), np.float32)
                with _api.using(bench.device, None, precision):
                    ours = bench.device_seconds(lambda x=x, y=y, c=c: dense_forward(x, y, c))
                scale, error = np.abs(a @ b).max(), {"highest": 1e-5, "high": 3e-3, "medium": 3e-2}[precision]
                assert np.abs(bench.device.to_host(c) - a @ b).max() < error * scale, "another product"
                theirs = None
                if bench.torch is not None:
                    _torch_precision(bench.torch, precision)
                    tx, ty = (bench.torch.from_numpy(m).to(bench.place) for m in (a, b))
                    theirs = bench.torch_seconds(lambda tx=tx, ty=ty: tx @ ty)
                bench.add("products", title, ours, theirs, tflops=round(2e-12 * size**3 / ours, 2))


def bandwidth(bench: Bench) -> None:
    """Kernels that do little but read and write, against a copy of as many bytes."""
    from jitnet.kernels.cuda import elementwise, normalization, optimizers, shape, softmax

    size = 64 if bench.dry else 1 << 26
    rows, columns = (4, 16) if bench.dry else (1 << 16, 1 << 10)
    device, generator = bench.device, np.random.default_rng(0)
    host = generator.standard_normal(size).astype(np.float32)
    x, y, z, w = (device.to_device(host) for _ in range(4))
    channels = [device.to_device(generator.standard_normal(columns).astype(np.float32)) for _ in range(4)]
    numbers = [device.to_device(np.array([value])) for value in (1e-3, 0.9, 0.999, 1e-7)]
    t = device.to_device(np.array([1], np.int64))
    matrix = x.reshape((rows, columns)), y.reshape((rows, columns))
    lines = x.reshape((rows, columns, 1)), y.reshape((rows, columns, 1))
    cases = {  # name: (launches, arrays that pass)
        "copy": (lambda: shape.copy_forward(x, y), 2),
        "relu": (lambda: elementwise.relu_forward(x, y), 2),
        "gelu": (lambda: elementwise.gelu_forward(x, y), 2),
        "adam": (lambda: optimizers.adam_update(x, y, z, w, *numbers, t), 7),
        "softmax of rows of 1024": (lambda: softmax.softmax_forward(*lines, columns, 1), 2),
        "batch normalisation, applied": (
            lambda: normalization.batch_norm_apply(matrix[0], *channels, matrix[1]), 2
        ),
    }  # fmt: skip
    for name, (launches, arrays) in cases.items():
        if not bench.wants(name):
            continue
        with guarded(name):
            ours, theirs = bench.device_seconds(launches), None
            if bench.torch is not None:
                source = bench.torch.from_numpy(host).to(bench.place)
                target = bench.torch.empty_like(source)
                copied = bench.torch_seconds(lambda source=source, target=target: target.copy_(source))
                theirs = copied * arrays / 2
            bench.add("bandwidth", name, ours, theirs, gbytes_per_s=round(arrays * 4e-9 * size / ours, 1))


def convolutions(bench: Bench) -> None:
    """The convolutions of the benchmark, all three passes."""
    from jitnet.kernels.cuda import conv

    chosen = ((2, 3, 6, 6, 4, 3, 1, 1),) if bench.dry else CONVOLUTIONS
    generator, device = np.random.default_rng(0), bench.device
    for images, channels, height, width, filters, size, stride, padding in chosen:
        rows, columns = ((n + 2 * padding - size) // stride + 1 for n in (height, width))
        shapes = (images, height, width, channels), (size, size, channels, filters), (images, rows, columns, filters)
        host = [generator.standard_normal(s).astype(np.float32) for s in shapes]
        geometry = stride, stride, padding, padding, 1, 1, 1
        for precision in PRECISIONS[:2]:
            for kind in ("forward", "backward_data", "backward_filter"):
                title = f"{images}x{height}x{width} {channels}->{filters} {size}x{size}/{stride} {kind}, {precision}"
                if not bench.wants(title):
                    continue
                with guarded(title):
                    x, kernel, y = (device.to_device(a) for a in host)
                    calls = {
                        "forward": lambda: conv.conv2d_forward(x, kernel, y, *geometry),  # noqa: B023
                        "backward_data": lambda: conv.conv2d_backward_data(y, kernel, x, *geometry, False),  # noqa: B023
                        "backward_filter": lambda: conv.conv2d_backward_filter(x, y, kernel, *geometry, False),  # noqa: B023
                    }
                    with _api.using(device, None, precision):
                        ours = bench.device_seconds(calls[kind])
                    theirs = _torch_convolution(bench, kind, host, stride, padding, precision)
                    operations = 2e-12 * images * rows * columns * size * size * channels * filters
                    bench.add("convolutions", title, ours, theirs, tflops=round(operations / ours, 2))


def _torch_convolution(bench: Bench, kind: str, host, stride: int, padding: int, precision: str) -> float | None:
    torch = bench.torch
    if torch is None:
        return None
    _torch_precision(torch, precision)
    x, kernel, dy = (torch.from_numpy(a).to(bench.place) for a in host)
    x, dy = (a.permute(0, 3, 1, 2) for a in (x, dy))  # channels_last in memory
    kernel = kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    if kind == "forward":
        return bench.torch_seconds(lambda: torch.nn.functional.conv2d(x, kernel, None, stride, padding))
    wanted = [kind == "backward_data", kind == "backward_filter", False]

    def run():
        sizes = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1
        torch.ops.aten.convolution_backward(dy, x, kernel, None, *sizes, wanted)

    return bench.torch_seconds(run)


@contextlib.contextmanager
def guarded(title: str):
    """A case that fails says so, and the others go on."""
    try:
        yield
    except Exception:
        print(f"{title} failed:\n{traceback.format_exc(limit=-3)}", flush=True)


# ---- report


def written(found: dict) -> str:
    """The results as Markdown."""
    machine = found["machine"]
    lines = ["# CUDA", "", "By `scripts/gpu_check.sh`; ratio: the peer's time / jitnet's.", ""]
    lines += [f"- {key}: {value}" for key, value in machine.items()]
    notes = HERE / "cuda-notes.md"
    if notes.exists():
        lines += ["", notes.read_text(encoding="utf-8").strip()]
    for part in PARTS[1:-1]:
        rows = sorted((row for row in found["rows"] if row["part"] == part), key=_place)
        if not rows:
            continue
        peer = "a copy of as many bytes by PyTorch" if part == "bandwidth" else "PyTorch"
        lines += ["", f"## {part}", "", f"| | jitnet | {peer} | ratio | |", "|---|---|---|---|---|"]
        for row in rows:
            more = {k: v for k, v in row.items() if k not in ("part", "name", "jitnet", "peer")}
            theirs, ratio = "", ""
            if row["peer"] is not None:
                theirs, ratio = f"{1e6 * row['peer']:.1f} µs", f"**{row['peer'] / row['jitnet']:.2f}**"
            extra = ", ".join(f"{k} {v}" for k, v in more.items())
            lines.append(f"| {row['name']} | {1e6 * row['jitnet']:.1f} µs | {theirs} | {ratio} | {extra} |")
    return "\n".join(lines) + "\n"


def _place(row: dict) -> list:
    """By name, numbers in it by size."""
    return [int(word) if word.isdigit() else word for word in re.split(r"(\d+)", row["name"])]


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--only", nargs="+", default=[], help="cases whose name has one of these patterns")
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--dry", action="store_true", help="tiny sizes, emulated")
    options = parser.parse_args(arguments)
    bench = Bench(options.output, options.dry, options.only)
    for part in options.parts:
        globals()[part](bench)


if __name__ == "__main__":
    main()
