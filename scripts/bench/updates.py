"""The update of 10 million parameters alone, by Adam, as a share of the memory's bandwidth.

    python scripts/bench/updates.py [--parameters N] [--threads N]

The bandwidth is measured in the same run, by turns with the update: a moving average over arrays of the same size,
which reads two numbers and writes one for every element.  Adam reads four (parameter, gradient, m, v) and writes three.
Both are shared out over the threads as a step does it.  Where PyTorch is installed, its fused Adam runs beside
them.
"""

import argparse
import time

import numpy as np
from kernels_jitnet import _launcher

import jitnet
from jitnet.kernels.cpu.optimizers import adam_update, moving_average_update
from jitnet.kernels.cpu.runtime import workers
from jitnet.kernels.cpu.runtime.arrays import view
from jitnet.kernels.cpu.runtime.jit import compile_part

ROUNDS = 40
BASE = "y = a y + (1 - a) x"


@compile_part
def _adam_chunk(chunk, chunks, parameters, gradients, m, v):
    first = parameters.size * chunk // chunks
    size = parameters.size * (chunk + 1) // chunks - first
    adam_update(
        view(parameters, 4 * first, (size,), np.float32), view(gradients, 4 * first, (size,), np.float32),
        view(m, 4 * first, (size,), np.float32), view(v, 4 * first, (size,), np.float32), 0.001, 0.9, 0.999, 1e-7, 3,
    )  # fmt: skip


@compile_part
def _average_chunk(chunk, chunks, parameters, averages):
    first = parameters.size * chunk // chunks
    size = parameters.size * (chunk + 1) // chunks - first
    moving_average_update(
        view(parameters, 4 * first, (size,), np.float32), view(averages, 4 * first, (size,), np.float32), 0.99
    )


def _torch_adam(parameters, threads):
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    tensor = torch.tensor(parameters, requires_grad=True)
    tensor.grad = torch.ones_like(tensor)
    return torch.optim.Adam([tensor], fused=True).step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parameters", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=jitnet.get_num_threads())
    given = parser.parse_args()
    generator = np.random.default_rng(0)
    arrays = [generator.random(given.parameters, np.float32) for _ in range(4)]
    adam, average = _launcher(_adam_chunk), _launcher(_average_chunk)
    others = tuple(array.copy() for array in arrays[:2])
    chunks = 8 * given.threads
    functions = {
        BASE: lambda: average(chunks, given.threads, others),
        "Adam": lambda: adam(chunks, given.threads, tuple(arrays)),
    }
    theirs = _torch_adam(arrays[0], given.threads)
    if theirs is not None:
        functions["PyTorch's fused Adam"] = theirs
    moved = {BASE: 3, "Adam": 7, "PyTorch's fused Adam": 7}
    seconds = {name: [] for name in functions}
    for turn in range(ROUNDS + 2):
        for name, function in functions.items():
            with workers.running(given.threads):
                start = time.perf_counter()
                function()
                if turn >= 2:  # the first ones compile, and touch the memory
                    seconds[name].append(time.perf_counter() - start)
    rates = {name: 4e-9 * given.parameters * moved[name] / np.array(found) for name, found in seconds.items()}
    print(f"{given.parameters:,} parameters, {given.threads} threads, {ROUNDS} rounds by turns")
    for name, rate in rates.items():
        share = np.median(rate / rates[BASE])
        print(f"{name:<22}{1e3 * min(seconds[name]):8.2f} ms{rate.max():8.1f} GB/s at best, median share {share:.0%}")


if __name__ == "__main__":
    main()
