"""Two launches of products and convolutions each, for a profiler to look at; not recorded as a graph.

    ncu --clock-control none --set full -k regex:product -c 10 python scripts/bench/gpu_profile.py
"""

import numpy as np

from jitnet.kernels.cuda import _api, conv, dense

SIZE = 4096
IMAGES = (128, 32, 32, 16), (3, 3, 16, 16), (128, 32, 32, 16)  # x, kernel and y of the first layers of ResNet-20


def main() -> None:
    device, generator = _api.Device(0), np.random.default_rng(0)

    def array(*shape):
        return device.to_device(generator.standard_normal(shape).astype(np.float32))

    a, b, c = (array(SIZE, SIZE) for _ in range(3))
    x, kernel, y = (array(*shape) for shape in IMAGES)
    geometry = 1, 1, 1, 1, 1, 1, 1
    for precision in ("high", "highest", "medium"):
        with _api.using(device, None, precision):
            for _ in range(2):
                dense.dense_forward(a, b, c)
    with _api.using(device, None, "high"):
        for _ in range(2):
            conv.conv2d_forward(x, kernel, y, *geometry)
            conv.conv2d_backward_filter(x, y, kernel, *geometry, False)
    device.synchronize()


if __name__ == "__main__":
    main()
