"""Training on a data set of ten times the memory that the process may take for it: the disk, the step, and both.

    python streaming.py [--megabytes 2000] [--memory 200] [--hidden 128] [--batch 32] [--workers 1] [--slowed MB/s]

Images of 784 bytes ("--dtype float32": of four times as many) in .npy files of a temporary folder (--folder) are
trained on by a multilayer perceptron.  Printed are: MB/s of reading the files alone, of which the system holds
nothing (posix_fadvise), and again from the system's cache; steps/s on arrays in memory; steps/s on the files, both
ways; which is slower alone, and what share of its speed both together reach.  --slowed makes a slow disk of a quick
one: it gives no more than so many MB/s, beside what a system reads ahead of a program in a tenth of a second.  The
process limits itself (RLIMIT_AS) to what it has mapped when the model has run once, and --memory megabytes more.
"""

import argparse
import os
import resource
import tempfile
import threading
import time

os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # each arena of the C library counts 64 MB of addresses, used or not

import numpy as np

import jitnet
from jitnet import layers
from jitnet.utils import DiskBatches, disk_batches

PIXELS = 784
SHARDS = 8


def written(folder: str, samples: int, dtype: str) -> tuple[list, list]:
    """The paths of images and labels, written by parts so that none is in memory as a whole."""
    generator = np.random.default_rng(0)
    paths = [[], []]
    for number in range(SHARDS):
        rows = samples // SHARDS
        for which, (name, kind, shape) in enumerate((("x", dtype, (rows, PIXELS)), ("y", "uint8", (rows,)))):
            path = os.path.join(folder, f"{name}{number}.npy")
            with open(path, "wb") as file:
                header = {"descr": np.dtype(kind).str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for begin in range(0, shape[0], 8192):
                    part = (min(8192, shape[0] - begin), *shape[1:])
                    file.write(generator.integers(0, 10, part, "uint8").astype(kind).tobytes())
                os.fsync(file.fileno())
            paths[which].append(path)
    return paths[0], paths[1]


def forget(paths) -> None:
    """Ask the system to hold nothing of the files."""
    for path in paths:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class SlowDisk:
    """Bytes come no faster than at a rate, but for those that a disk would have read ahead in a tenth of a second."""

    def __init__(self, rate: float):
        self.rate, self._ready, self._lock = rate, 0.0, threading.Lock()

    def wait(self, nbytes: int) -> None:
        with self._lock:
            now = time.perf_counter()
            self._ready = max(self._ready, now - 0.1) + nbytes / self.rate
            pause = self._ready - now
        time.sleep(max(0.0, pause))


def read(paths, slow) -> float:
    """Seconds to read the files, a megabyte at a time."""
    buffer = bytearray(1 << 20)
    start = time.perf_counter()
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                if slow is not None:
                    slow.wait(count)
    return time.perf_counter() - start


def slow_down(slow: SlowDisk) -> None:
    """Let DiskBatches read from a slow disk."""
    quick = disk_batches._NpyFile.__getitem__

    def wait(file, rows):
        array = quick(file, rows)
        slow.wait(array.nbytes)
        return array

    disk_batches._NpyFile.__getitem__ = wait


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def rate_from_memory(model, batch: int) -> float:
    """Steps per second on arrays."""
    generator = np.random.default_rng(1)
    x = generator.integers(0, 10, (512 * batch, PIXELS), "uint8").astype("float32")
    y = generator.integers(0, 10, len(x))
    model.fit(x, y, batch, verbose=0)
    return 3 * 512 / seconds(lambda: model.fit(x, y, batch, epochs=3, verbose=0))


def mapped() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("megabytes", 2000), ("memory", 200), ("hidden", 128), ("batch", 32), ("workers", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dtype", choices=("uint8", "float32"), default="uint8")
    parser.add_argument("--folder", default=None)
    parser.add_argument("--slowed", type=float, default=None)
    options = parser.parse_args()
    slow = None
    if options.slowed is not None:
        slow = SlowDisk(options.slowed * 1e6)
        slow_down(slow)
    row = PIXELS * np.dtype(options.dtype).itemsize + 1
    samples = options.megabytes * 1_000_000 // row // SHARDS * SHARDS
    batch = options.batch

    model = jitnet.Sequential(
        [
            jitnet.Input((PIXELS,)), layers.Rescaling(1 / 255), layers.Dense(options.hidden, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy")
    rate = rate_from_memory(model, batch)
    memory = options.memory * 1_000_000
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        images, labels = written(folder, samples, options.dtype)
        files = [*images, *labels]
        size = sum(os.path.getsize(path) for path in files)
        before = mapped()
        resource.setrlimit(resource.RLIMIT_AS, (before + memory,) * 2)
        try:
            held = [np.load(path) for path in files]
        except MemoryError:
            loads = "no"
        else:
            loads = f"yes, all {len(held)} files"
        print(f"data: {size / 1e6:.0f} MB, limit: {options.memory} MB more than the process has; np.load fits: {loads}")
        steps = -(-samples // batch)
        bytes_per_step = size / steps
        print(f"steps/s from memory alone: {rate:.0f} ({rate * bytes_per_step / 1e6:.0f} MB/s of these data)")
        made = DiskBatches(images, labels, batch_size=batch, memory=memory // 3, workers=options.workers)
        for kind, prepare in (("the disk", forget), ("the system's cache", lambda paths: read(paths, None))):
            prepare(files)
            alone = size / read(files, slow)
            prepare(files)
            both = steps / seconds(lambda: model.fit(made, verbose=0))
            limit = min(rate, alone / bytes_per_step)
            slower = "the step" if limit == rate else "reading"
            print(
                f"{kind}: alone {alone / 1e6:.0f} MB/s; trained on: {both:.0f} steps/s, "
                f"{both * bytes_per_step / 1e6:.0f} MB/s: {both / limit:.0%} of {slower} alone"
            )
        print(f"mapped in the end: {(mapped() - before) / 1e6:+.0f} MB")


if __name__ == "__main__":
    main()
