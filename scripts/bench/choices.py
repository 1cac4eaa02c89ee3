"""How good the model of costs is (``kernels/cpu/fast/costs.py``): every algorithm's time, and what the cheapest loses.

    python choices.py [--json FILE]

One thread; the minimum of at least ten calls, which another process disturbs the least.  A call from Python takes
CALL of it.  The weights' transform is not in it: a step makes it once for all images.  ``choices.json`` is what
``tests/test_costs.py`` holds the model to; a machine of another kind gives other figures.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np

from jitnet.kernels.cpu.fast.convolution_direct import (
    conv2d_backward_data_kernel,
    conv2d_backward_filter_kernel,
    conv2d_forward_kernel,
)
from jitnet.kernels.cpu.fast.transpose import transpose_kernel
from jitnet.kernels.cpu.fast.winograd import (
    winograd_backward_data_kernel,
    winograd_backward_filter_kernel,
    winograd_forward_kernel,
)

WINOGRAD = {
    "forward": winograd_forward_kernel,
    "backward_data": winograd_backward_data_kernel,
    "backward_filter": winograd_backward_filter_kernel,
}

# 3x3, stride 1, padding 1: (height = width, channels, filters)
SHAPES = [
    (32, 3, 16), (32, 8, 8), (32, 8, 16), (32, 16, 16), (32, 16, 32), (16, 16, 16), (16, 32, 32), (8, 32, 32),
    (8, 64, 64), (4, 64, 64), (32, 64, 64), (56, 64, 64), (28, 128, 128), (16, 128, 128), (14, 256, 256), (8, 256, 256),
    (7, 512, 512), (4, 512, 512), (4, 256, 256), (2, 512, 512), (64, 12, 24), (112, 64, 64), (13, 24, 48), (10, 40, 80),
    (24, 12, 24), (48, 24, 24), (20, 24, 40), (112, 32, 64), (28, 96, 128), (6, 128, 256), (3, 256, 256), (5, 64, 96),
    (7, 256, 512), (12, 48, 48), (9, 128, 128), (32, 8, 12), (16, 64, 20), (16, 20, 64), (64, 32, 32), (28, 24, 24),
    (1, 512, 512), (1, 128, 128),
]  # fmt: skip
IMAGES = 1, 4, 16
MOST_PRODUCTS = 2.2e9
PASSES = "forward", "backward_data", "backward_filter"
SECONDS, CALLS = 0.05, 10  # of every measurement, at least
CALL, UNIT = 33.5e-6, 0.28e-9  # seconds


def least_time(function) -> float:
    """Seconds of the quickest call."""
    function()
    found, end, calls = float("inf"), time.perf_counter() + SECONDS, 0
    while calls < CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        found, calls = min(found, time.perf_counter() - start), calls + 1
    return found


def plan_of(kind: str, size: int, channels: int, filters: int, outputs: int, target=None):
    """The kernel of a pass: with F(outputs, 3x3), or direct."""
    shape = 3, 3, channels, filters
    if outputs:
        return WINOGRAD[kind](shape, outputs, target=target)
    if kind == "backward_filter":
        return conv2d_backward_filter_kernel(shape, size, target=target)
    maker = conv2d_forward_kernel if kind == "forward" else conv2d_backward_data_kernel
    return maker(shape, size, edges=(1, size), target=target)


def runs(kind: str, size: int, channels: int, filters: int, images: int, outputs: int):
    """A function that computes a pass with F(outputs, 3x3), or directly."""
    generator = np.random.default_rng(0)
    shape = 3, 3, channels, filters
    x, dy = (generator.random((images, size, size, n), np.float32) for n in (channels, filters))
    weights = generator.random(shape, np.float32)
    offsets = (1, 1, 0, 0, 0, 0, size, size)
    plan = plan_of(kind, size, channels, filters, outputs)
    elements = plan.workspace_elements if outputs else plan.workspace_elements(size, size, 1, 0)
    workspace, call = np.empty(max(elements, 1), np.float32), plan.kernel()
    if kind == "backward_filter":
        return lambda: call(x, dy, weights, workspace, *offsets, False)
    source, target = (x, np.empty_like(dy)) if kind == "forward" else (dy, np.empty_like(x))
    if kind == "backward_data":
        transposed = np.empty(weights.size, np.float32)
        transpose_kernel("float32").kernel()(weights, transposed, 1, 1)
        weights = transposed
    if outputs:
        packed = np.empty(plan.weights().elements, np.float32)
        order = (3, 3, filters, channels) if kind == "backward_data" else shape
        plan.weights().kernel()(weights.reshape(order), packed, 0, 1)
        weights = packed
    return lambda: call(source, weights, target, workspace, *offsets)


def allowed(kind: str, channels: int, filters: int) -> tuple[int, ...]:
    """Among what is chosen: forward, F(4x4, 3x3) with few channels is too inexact, see ``winograd_outputs``."""
    return (0, 2) if kind == "forward" and min(channels, filters) < 32 else (0, 2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", help="also write the times to this file")
    arguments = parser.parse_args()
    found, losses, errors = [], [], []
    for kind, (size, channels, filters), images in itertools.product(PASSES, SHAPES, IMAGES):
        if 9 * images * size * size * channels * filters > MOST_PRODUCTS:
            continue
        case = kind, size, channels, filters
        times = {m: least_time(runs(*case, images, m)) for m in (0, 2, 4)}
        estimates = {m: CALL + UNIT * plan_of(*case, m).cost(images, size, size) for m in times}
        choice = allowed(kind, channels, filters)
        cheapest = min(choice, key=estimates.get)
        losses.append(times[cheapest] / min(times[m] for m in choice))
        errors += [np.log(estimates[m] / times[m]) for m in times]
        found.append({"kind": kind, "shape": [size, channels, filters], "images": images, "times": times})
        shown = ", ".join(
            f"{'F' + str(m) if m else 'direct'} {1e6 * t:.0f} us (estimated {1e6 * estimates[m]:.0f})"
            for m, t in times.items()
        )
        print(f"{kind} {images} x {size}x{size} {channels} -> {filters}: {shown}: {losses[-1]:.2f}", flush=True)
    print(f"estimates: standard deviation {100 * np.std(errors):.1f} %, mean {100 * np.mean(errors):.1f} %")
    mean = np.exp(np.mean(np.log(losses)))
    print(f"the cheapest one's time / the quickest one's: geometric mean {mean:.4f}, largest {max(losses):.2f}")
    if arguments.json:
        lines = ",\n".join(json.dumps(row, default=float) for row in rounded(found))
        Path(arguments.json).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def rounded(found: list) -> list:
    """Times in whole tenths of microseconds."""
    return [{**row, "times": {m: round(t, 7) for m, t in row["times"].items()}} for row in found]


if __name__ == "__main__":
    main()
