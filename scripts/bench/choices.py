"""How well the choice of a convolution's kernel by cost does: every algorithm's time, and what the chosen one loses.

    python choices.py [--images N] [--json FILE]

One thread; the minimum of several runs, which another process disturbs the least.  The weights' transform is not in it:
a step makes it once for all images.
"""

import argparse
import json
import time

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
    winograd_outputs,
)

# 3x3, stride 1, padding 1: (height = width, channels, filters)
SHAPES = [
    (32, 3, 16), (32, 8, 8), (32, 8, 16), (32, 16, 16), (32, 16, 32), (16, 16, 16), (16, 32, 32), (8, 32, 32),
    (8, 64, 64), (4, 64, 64), (32, 64, 64), (56, 64, 64), (28, 128, 128), (16, 128, 128), (14, 256, 256), (8, 256, 256),
    (7, 512, 512), (4, 512, 512), (4, 256, 256), (2, 512, 512), (64, 12, 24), (112, 64, 64), (13, 24, 48), (10, 40, 80),
]  # fmt: skip
PASSES = "forward", "backward_data", "backward_filter"
SECONDS = 0.1  # of every measurement


def least_time(function, seconds: float = SECONDS) -> float:
    """Seconds of the quickest of the calls that there is time for."""
    function()
    found, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        function()
        found = min(found, time.perf_counter() - start)
    return found


def runs(size: int, channels: int, filters: int, images: int, kind: str, outputs: int):
    """A function that computes a pass with F(outputs, 3x3), or directly."""
    generator = np.random.default_rng(0)
    shape = 3, 3, channels, filters
    x, dy = (generator.random((images, size, size, n), np.float32) for n in (channels, filters))
    weights = generator.random(shape, np.float32)
    offsets = (1, 1, 0, 0, 0, 0, size, size)
    if kind == "backward_filter":
        direct, winograd = conv2d_backward_filter_kernel(shape, size), winograd_backward_filter_kernel
    elif kind == "forward":
        direct, winograd = conv2d_forward_kernel(shape, size, edges=(1, size)), winograd_forward_kernel
    else:
        direct, winograd = conv2d_backward_data_kernel(shape, size, edges=(1, size)), winograd_backward_data_kernel
    plan = winograd(shape, outputs) if outputs else direct
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--json", help="also write the times to this file")
    arguments = parser.parse_args()
    found, losses = [], []
    for kind in PASSES:
        for size, channels, filters in SHAPES:
            case = size, channels, filters, arguments.images, kind
            times = {outputs: least_time(runs(*case, outputs)) for outputs in (0, 2, 4)}
            chosen = winograd_outputs(kind, (3, 3, channels, filters), size, size, (1, 1), (1, 1))
            losses.append(times[chosen] / min(times.values()))
            found.append({"kind": kind, "shape": [size, channels, filters], "times": times, "chosen": chosen})
            shown = ", ".join(f"{'F' + str(m) if m else 'direct'} {1e6 * t:.0f} us" for m, t in times.items())
            name = f"{kind} {size}x{size} {channels} -> {filters}"
            print(f"{name}: {shown}; chosen {chosen}: {losses[-1]:.2f}", flush=True)
    print(f"the chosen one's time / the best one's: geometric mean {np.exp(np.mean(np.log(losses))):.3f}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(found, file)


if __name__ == "__main__":
    main()
