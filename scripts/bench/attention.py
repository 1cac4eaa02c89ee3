"""Attention alone, forward and with its gradients, beside PyTorch's ``scaled_dot_product_attention``.

    python scripts/bench/attention.py [--steps 1024 8192] [--batch 1] [--heads 8] [--size 64] [--rounds N] [--threads N]
    python scripts/bench/attention.py --memory [--steps 16384]

Both run by turns in one process; the minimum of all rounds counts.  PyTorch has the better of two layouts: heads as
they come out of a projection, (batch, steps, heads, size), and copied by head, (batch, heads, steps, size), of which
the copying is not counted; jitnet takes them as they come.  --memory: how much memory each way takes more than its
inputs, each in a process of its own; "scores kept" is jitnet with flash_attention=False.
"""

import argparse
import ctypes
import gc
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import jitnet
from jitnet import ops
from jitnet.builder import Computation
from jitnet.core.values import placeholder
from jitnet.kernels.cpu.runtime import workers
from jitnet.step import Step


def jitnet_step(shape, causal, gradients, flash=None):
    """A function that computes attention, and its gradients, in arrays that it keeps."""
    batch, *sizes = shape
    inputs = {name: placeholder(name, sizes) for name in ("query", "key", "value")}
    output = ops.dot_product_attention(*inputs.values(), is_causal=causal, flash_attention=flash)
    data = dict(zip(inputs, np.random.default_rng(0).standard_normal((3, *shape), np.float32), strict=True))
    seeds, wanted = {}, []
    if gradients:
        seeds, wanted = {output: placeholder("gradient", sizes)}, list(inputs.values())
        data["gradient"] = np.ones(shape, np.float32)
        inputs = {**inputs, "gradient": seeds[output]}
    step = Step("attention", Computation(inputs, [output], seeds=seeds, trainable=[], wanted_inputs=wanted))
    results = {name: np.empty(shape, np.float32) for name in (*step.output_arguments, *step.gradient_arguments)}
    data = {**data, **results, "seed": 0, "t": 0, "results": np.zeros(step.results)}
    return lambda: step.run(batch, 1, data, compiled=False, iteration=0)


def torch_function(shape, causal, gradients, by_head, threads):
    """The same of PyTorch."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    torch.set_num_threads(threads)
    arrays = np.random.default_rng(0).standard_normal((3, *shape), np.float32)
    tensors = [torch.tensor(array).transpose(1, 2) for array in arrays]
    tensors = [tensor.contiguous() if by_head else tensor for tensor in tensors]
    if not gradients:

        def forward():
            with torch.no_grad():
                scaled_dot_product_attention(*tensors, is_causal=causal)

        return forward
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    gradient = torch.ones(shape).transpose(1, 2)

    def both():
        torch.autograd.grad(scaled_dot_product_attention(*leaves, is_causal=causal), leaves, gradient)

    return both


def measure(shape, causal, gradients, rounds, threads) -> None:
    functions = {
        "jitnet": jitnet_step(shape, causal, gradients),
        "as projected": torch_function(shape, causal, gradients, False, threads),
        "by head": torch_function(shape, causal, gradients, True, threads),
    }
    best = dict.fromkeys(functions, np.inf)
    for turn in range(rounds + 1):
        for name, function in functions.items():
            time.sleep(0.02)  # the other's threads stop waiting actively
            start = time.perf_counter()
            function()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    batch, steps, heads, size = shape
    work = 4 * batch * heads * steps * steps * size * (0.5 if causal else 1) * (3.5 if gradients else 1)
    theirs = min(best["as projected"], best["by head"])
    what = ("forward and backward" if gradients else "forward") + (", causal" if causal else "")
    print(
        f"{steps:6} steps, {what:29} {1e3 * best['jitnet']:9.2f} ms {work / best['jitnet'] / 1e9:6.1f} GFLOP/s   "
        f"PyTorch {1e3 * theirs:9.2f} ms   {theirs / best['jitnet']:5.2f} times as fast",
        flush=True,
    )


WAYS = ("jitnet", "jitnet, scores kept", "PyTorch", "PyTorch, scores kept")


def memory_of(way: str, shape, gradients: bool) -> float:
    """MiB that a way takes at most, results included, more than its inputs; Linux only."""
    for steps in (16, shape[1]):  # what is loaded once, first
        now = (shape[0], steps, *shape[2:])
        if way.startswith("jitnet"):
            function = jitnet_step(now, False, gradients, False if "kept" in way else None)
        elif "kept" in way:
            function = _torch_kept(now, gradients)
        else:
            function = torch_function(now, False, gradients, True, 1)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
        before = _memory("VmRSS")
        function()
    return _memory("VmHWM") - before


def _memory(name: str) -> float:
    """MiB, from what Linux says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _torch_kept(shape, gradients):
    import torch

    arrays = np.random.default_rng(0).standard_normal((3, *shape), np.float32)
    query, key, value = (torch.tensor(array).transpose(1, 2).requires_grad_(gradients) for array in arrays)

    def function():
        y = torch.softmax((query * shape[-1] ** -0.5) @ key.transpose(-1, -2), -1) @ value
        if gradients:
            torch.autograd.grad(y.sum(), (query, key, value))

    return function


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[1024, 8192])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=jitnet.get_num_threads())
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--gradients", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    shapes = [(given.batch, steps, given.heads, given.size) for steps in given.steps]
    if given.way:
        print(memory_of(given.way, shapes[0], given.gradients))
    elif given.memory:
        print("| steps | what | " + " | ".join(WAYS) + " |\n|---|---|" + "---|" * len(WAYS))
        for shape in shapes:
            for gradients in (False, True):
                found = [_in_a_process(way, shape, gradients) for way in WAYS]
                what = "forward and backward" if gradients else "forward"
                print(f"| {shape[1]} | {what} | " + " | ".join(found) + " |", flush=True)
    else:
        jitnet.set_num_threads(given.threads)
        with workers.running(given.threads):
            pass
        for shape in shapes:
            for causal in (False, True):
                for gradients in (False, True):
                    measure(shape, causal, gradients, given.rounds, given.threads)


def _in_a_process(way: str, shape, gradients: bool) -> str:
    batch, steps, heads, size = map(str, shape)
    command = [
        sys.executable,
        __file__,
        "--way",
        way,
        "--batch",
        batch,
        "--steps",
        steps,
        "--heads",
        heads,
        "--size",
        size,
    ]
    done = subprocess.run(
        command + ["--gradients"] * gradients, capture_output=True, text=True, timeout=3600, check=False
    )
    return f"{float(done.stdout):,.0f} MiB" if done.returncode == 0 else "more than there is"


if __name__ == "__main__":
    main()
