"""The update of 10 million parameters alone, by Adam, as a share of the memory's bandwidth.

    python scripts/bench/updates.py [--parameters N] [--threads N]

The bandwidth is measured in the same run, by turns with the update: NumPy's ``x += y`` over arrays of the same size,
which reads two numbers and writes one for every element.  Adam reads four (parameter, gradient, m, v) and writes three.
The update is shared out over the threads as a step does it.  Where PyTorch is installed, its fused Adam runs beside
them.
"""

import argparse
import time
from multiprocessing.pool import ThreadPool

import numpy as np
from kernels_jitnet import _launcher

import jitnet
from jitnet.kernels.cpu.optimizers import adam_update
from jitnet.kernels.cpu.runtime import workers
from jitnet.kernels.cpu.runtime.arrays import view
from jitnet.kernels.cpu.runtime.jit import compile_part

ROUNDS = 15


@compile_part
def _adam_chunk(chunk, chunks, parameters, gradients, m, v):
    first = parameters.size * chunk // chunks
    size = parameters.size * (chunk + 1) // chunks - first
    adam_update(
        view(parameters, 4 * first, (size,), np.float32), view(gradients, 4 * first, (size,), np.float32),
        view(m, 4 * first, (size,), np.float32), view(v, 4 * first, (size,), np.float32), 0.001, 0.9, 0.999, 1e-7, 3,
    )  # fmt: skip


def _addition(x, y, threads):
    """NumPy's x += y, in as many threads."""
    pool, parts = ThreadPool(threads), [np.array_split(array, threads) for array in (x, y)]
    return lambda: pool.starmap(lambda a, b: np.add(a, b, out=a), zip(*parts, strict=True))


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
    adam = _launcher(_adam_chunk)
    chunks = 8 * given.threads
    functions = {
        "x += y": _addition(*(array.copy() for array in arrays[:2]), given.threads),
        "Adam": lambda: adam(chunks, given.threads, tuple(arrays)),
    }
    theirs = _torch_adam(arrays[0], given.threads)
    if theirs is not None:
        functions["PyTorch's fused Adam"] = theirs
    moved = {"x += y": 3, "Adam": 7, "PyTorch's fused Adam": 7}
    best = dict.fromkeys(functions, np.inf)
    for turn in range(ROUNDS + 2):
        for name, function in functions.items():
            with workers.running(given.threads):
                start = time.perf_counter()
                function()
                seconds = time.perf_counter() - start
            if turn >= 2:  # the first ones compile, and touch the memory
                best[name] = min(best[name], seconds)
    rates = {name: 4 * given.parameters * moved[name] / seconds / 1e9 for name, seconds in best.items()}
    print(f"{given.parameters:,} parameters, {given.threads} threads, best of {ROUNDS}")
    for name, rate in rates.items():
        print(f"{name:<22}{best[name] * 1e3:8.2f} ms{rate:8.1f} GB/s{rate / rates['x += y']:7.0%} of the bandwidth")


if __name__ == "__main__":
    main()
