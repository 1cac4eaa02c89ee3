"""What a GPU should take for a step, launch by launch: writes CUDA-expected.md, to hold measurements against.

    python scripts/bench/gpu_expected.py

A launch takes the longest of three: its bytes at the bandwidth of the memory, its operations at the peak of what
multiplies them, and what any kernel of a recorded graph takes.  No GPU is needed; the programs are those that run.
"""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from workloads import choose

import jitnet
from jitnet.core.values import ITEMSIZE
from jitnet.targets.cuda import devices

HERE = Path(__file__).resolve().parent
NETWORKS = (("lenet5", 64), ("lenet5", 1024), ("resnet20", 128), ("resnet20", 1024))


@dataclass(frozen=True)
class Machine:
    """Bytes and operations per second, and the seconds of the smallest kernel of a graph (a guess)."""

    name: str
    bandwidth: float
    float32: float
    tensor: float
    launch: float


# NVIDIA H100 Tensor Core GPU data sheet, SXM; TF32 without sparsity
H100 = Machine("H100 SXM", 3.35e12, 67e12, 494e12, 1.5e-6)


class NoDevice:
    """In the place of a device: steps are written for it, nothing runs."""

    tensor_cores = True


def launches(workload) -> list[tuple]:
    """(opcode, bytes, operations, whether it multiplies matrices) of a training step."""
    import peer_jitnet

    devices.install("cuda:0", NoDevice())
    jitnet.set_device("cuda")
    try:
        model = peer_jitnet.Training(workload).model
        layouts = model._step("train", ((),)).schedule
    finally:
        jitnet.set_device("cpu")
        devices.install("cuda:0", None)
    found = []
    for _, calls in layouts.blocks:
        for call in calls:
            size = 0
            for buffer in call.buffers:
                count = buffer.size * (workload.batch if buffer.batched else 1)
                if call.opcode == "memory.gather" and buffer.kind == "argument":
                    count = call.outputs[0].buffer.size * workload.batch  # of the data set, what it reads
                size += count * ITEMSIZE[buffer.dtype]
            multiplies = call.opcode.startswith(("conv.conv2d", "dense.dense"))
            found.append((call.opcode, size, call.work * workload.batch, multiplies))
    return found


def expected(found: list[tuple], machine: Machine, tensor: bool) -> list[float]:
    """Seconds of every launch."""
    peaks = {True: machine.tensor if tensor else machine.float32, False: machine.float32}
    return [
        max(size / machine.bandwidth, operations / peaks[multiplies], machine.launch)
        for _, size, operations, multiplies in found
    ]


def written(machine: Machine = H100) -> str:
    """The estimates as Markdown."""
    lines = [
        f"# What an {machine.name} should take", "",
        f"{machine.bandwidth / 1e12} TB/s, {machine.float32 / 1e12:.0f} TFLOP/s in float32 and "
        f"{machine.tensor / 1e12:.0f} in TF32, {1e6 * machine.launch} µs for the smallest kernel of a recorded graph. "
        "By `scripts/bench/gpu_expected.py`; nothing here was measured.", "",
        "| training step | launches | bytes | operations | float32 | TF32 | the longest, in TF32 |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, batch in NETWORKS:
        (workload,) = choose([name])
        found = launches(replace(workload, batch=batch, steps=1))
        exact, quick = (expected(found, machine, tensor) for tensor in (False, True))
        shares = Counter()
        for (opcode, *_), seconds in zip(found, quick, strict=True):
            shares[opcode.rpartition(".")[2]] += seconds
        longest = ", ".join(f"{opcode} {1e6 * seconds:.0f} µs" for opcode, seconds in shares.most_common(4))
        size, operations = sum(f[1] for f in found), sum(f[2] for f in found)
        lines.append(
            f"| {workload.network}, batch {batch} | {len(found)} | {size / 1e6:.1f} MB | {operations / 1e9:.2f} G | "
            f"{1e6 * sum(exact):.0f} µs | {1e6 * sum(quick):.0f} µs | {longest} |"
        )
    size = 4096
    operations, nbytes = 2 * size**3, 3 * 4 * size**2
    times = [max(operations / peak, nbytes / machine.bandwidth) for peak in (machine.float32, machine.tensor)]
    lines.append(
        f"| GEMM {size} | 1 | {nbytes / 1e6:.0f} MB | {operations / 1e9:.0f} G | {1e6 * times[0]:.0f} µs | "
        f"{1e6 * times[1]:.0f} µs | |"
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (HERE / "CUDA-expected.md").write_text(written(), encoding="utf-8")
    print(written())
