"""Which tiles suit products and convolutions on a GPU: every shape in every tile, and in the one that jitnet takes.

    python scripts/bench/gpu_tiles.py PRECISION [--share I N] [--output FOLDER] [--dry]

Appends lines to FOLDER/tiles.txt.  Several processes may share the work: each takes every N-th shape, and they compile
side by side and measure one at a time.  ``--dry``: small shapes, emulated; the figures mean nothing.
"""

import argparse
from pathlib import Path

import numpy as np
from gpu import HERE, Bench, guarded

from jitnet.kernels.cuda import _api, _products, _tensor_cores, conv, dense

KINDS = {"highest": "float", "high": "tf32", "medium": "bf16"}
NAMES = "SMALL", "NARROWEST", "NARROW", "MEDIUM", "TALL", "LARGE"
_WARPS = {
    "64x64, 8 warps": _tensor_cores.Tile(64, 64, 32, 16),
    "128x128, 8 warps": _tensor_cores.Tile(128, 128, 64, 32),
    "64x128": _tensor_cores.Tile(64, 128, 32, 64),
}
OTHERS = {  # that jitnet does not take, to see whether it should
    "float": {"64x128": _products.Tile(64, 128, 16, 8, 4)},
    "tf32": _WARPS,
    "bf16": _WARPS,
}
# images, size, channels, filters, taps, stride: the layers of ResNet-20, larger ones, and those of LeNet-5
CONVOLUTIONS = (
    (128, 32, 3, 16, 3, 1), (128, 32, 16, 16, 3, 1), (128, 32, 16, 32, 3, 2), (128, 16, 32, 32, 3, 1),
    (128, 16, 32, 64, 3, 2), (128, 8, 64, 64, 3, 1), (64, 32, 64, 64, 3, 1), (32, 16, 128, 128, 3, 1),
    (32, 8, 256, 256, 3, 1), (16, 56, 64, 64, 3, 1), (16, 56, 64, 128, 3, 2),
    (64, 28, 1, 6, 5, 1), (64, 14, 6, 16, 5, 1), (1024, 28, 1, 6, 5, 1), (1024, 14, 6, 16, 5, 1),
)  # fmt: skip
DENSE = (400, 120), (120, 84), (84, 10), (784, 128)


def cases(bench: Bench) -> list[tuple]:
    """[(name, operations, launches, columns)]"""
    generator, found = np.random.default_rng(0), []

    def array(*shape):
        return bench.device.to_device(generator.standard_normal(shape).astype(np.float32))

    def add_dense(name, rows, depth, width):
        x, kernel, y = array(rows, depth), array(depth, width), array(rows, width)
        work = 2 * rows * depth * width
        found.append((f"{name} forward", work, lambda: dense.dense_forward(x, kernel, y), width))
        found.append((f"{name} data", work, lambda: dense.dense_backward_data(y, kernel, x, False), depth))
        found.append((f"{name} filter", work, lambda: dense.dense_backward_filter(x, y, kernel, False), width))

    for size in (20,) if bench.dry else (512, 1024, 2048, 4096):
        add_dense(f"GEMM {size}", size, size, size)
    for rows in () if bench.dry else (64, 1024):
        for depth, width in DENSE:
            add_dense(f"dense {rows} {depth}->{width}", rows, depth, width)
    for images, size, channels, filters, taps, stride in ((1, 4, 4, 4, 3, 1),) if bench.dry else CONVOLUTIONS:
        padding = taps // 2 if channels != 6 else 0
        out = (size + 2 * padding - taps) // stride + 1
        x, kernel = array(images, size, size, channels), array(taps, taps, channels, filters)
        y, geometry = array(images, out, out, filters), (stride, stride, padding, padding, 1, 1, 1)
        name, work = f"{images}x{size} {channels}->{filters}/{stride}", 2 * y.size * taps * taps * channels
        calls = (
            ("forward", lambda a=(x, kernel, y, *geometry): conv.conv2d_forward(*a), filters),
            ("data", lambda a=(y, kernel, x, *geometry): conv.conv2d_backward_data(*a, False), channels),
            ("filter", lambda a=(x, y, kernel, *geometry): conv.conv2d_backward_filter(*a, False), filters),
        )
        found += [(f"{name} {kind}", work, call, columns) for kind, call, columns in calls]
    return found


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("precision", choices=KINDS)
    parser.add_argument("--share", type=int, nargs=2, default=(0, 1), metavar=("I", "N"))
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--dry", action="store_true")
    options = parser.parse_args(arguments)
    bench, kind = Bench(options.output, options.dry), KINDS[options.precision]
    bench.seconds_of_a_measurement = 0.06
    module = _products if kind == "float" else _tensor_cores
    tiles = {name: getattr(module, name) for name in NAMES} | OTHERS[kind]
    taken = _products._tile_for
    share, shares = options.share
    for name, work, call, columns in cases(bench)[share::shares]:
        times = {}
        for title, tile in {"taken": None, **tiles}.items():
            if tile is not None and not columns / 64 < tile.columns < 4 * columns:
                continue

            def tile_for(rows, columns, depth, groups, kind_here, whole, classes, tile=tile):
                fits = tile is not None and kind_here == kind and (whole or tile.rows * tile.columns <= 64 * 64)
                return tile if fits else taken(rows, columns, depth, groups, kind_here, whole, classes)

            _products._tile_for = tile_for
            with guarded(f"{name}, {title}"), _api.using(bench.device, None, options.precision):
                times[title] = bench.device_seconds(call)
        best = min(times, key=times.get, default="none")
        each = ", ".join(f"{title} {1e6 * seconds:.1f}" for title, seconds in times.items())
        rate = 1e-12 * work / times[best] if times else 0
        line = f"{options.precision} {name}: {rate:.1f} TFLOP/s in {best}; us: {each}"
        print(line, flush=True)
        with (options.output / "tiles.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
