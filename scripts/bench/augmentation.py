"""Times random changes of pictures: jitnet's layers on arrays, Keras's layers, torchvision's v2 transforms in a loop.

    python scripts/bench/augmentation.py [--keras PYTHON] [--torchvision PYTHON] [--batch 128] [--rounds 5]

PYTHON: an interpreter of an environment that has Keras (with its torch backend), or torchvision (its CPU build,
matching torch); a peer without one is left out.  Each runs in a process of its own, in turns; jitnet with two threads,
a peer with the number, one or two, that is faster.  A figure is the median of the rounds' medians, in microseconds for
a batch of float32 pictures in [0, 1].  torchvision's transforms draw once for whatever they are given, so that a batch
is a loop over its pictures.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

SHAPES = ((28, 28, 1), (32, 32, 3))
COLOURS = ("saturation", "hue", "grayscale", "jitter")  # of three channels
SECONDS = 0.15  # of one measurement


def of_layers(layers, height: int, width: int, crop_padding: dict) -> dict:
    """{name: layer} of jitnet's or Keras's."""
    values = {"value_range": (0, 1)}
    return {
        "flip": layers.RandomFlip("horizontal"),
        "crop": layers.RandomCrop(height - 4 * (not crop_padding), width - 4 * (not crop_padding), **crop_padding),
        "translation": layers.RandomTranslation(0.1, 0.1),
        "rotation": layers.RandomRotation(0.1),
        "zoom": layers.RandomZoom(0.2),
        "shear": layers.RandomShear(0.2, 0.2),
        "perspective": layers.RandomPerspective((1.0, 1.0), 0.5),
        "brightness": layers.RandomBrightness(0.2, **values),
        "contrast": layers.RandomContrast(0.2, **values),
        "saturation": layers.RandomSaturation((0.3, 0.7), **values),
        "hue": layers.RandomHue(0.2, **values),
        "grayscale": layers.RandomGrayscale(0.5),
        "jitter": layers.RandomColorJitter((0, 1), 0.2, 0.2, (0.3, 0.7), 0.1),
        "blur": layers.RandomGaussianBlur((1.0, 1.0), 3, (0.5, 1.0), **values),
        "erasing": layers.RandomErasing((1.0, 1.0), **values),
    }


def jitnet_calls(pictures):
    from jitnet import layers, set_num_threads

    set_num_threads(2)
    _, height, width, _ = pictures.shape
    made = of_layers(layers, height, width, {"padding": 4})
    return {name: (lambda layer=layer: layer(pictures, training=True)) for name, layer in made.items()}


def keras_calls(pictures):
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    _, height, width, _ = pictures.shape
    made = of_layers(keras.layers, height, width, {})
    return {name: (lambda layer=layer: layer(pictures, training=True)) for name, layer in made.items()}


def torchvision_calls(pictures):
    import torch

    try:
        from torchvision.transforms import v2
    except RuntimeError:  # a build for CUDA lacks two operators on a CPU, which no transform needs
        torchvision_calls.library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            torchvision_calls.library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        from torchvision.transforms import v2

    _, height, width, _ = pictures.shape
    samples = list(torch.from_numpy(pictures.transpose(0, 3, 1, 2).copy()))
    between = {"interpolation": v2.InterpolationMode.BILINEAR}
    made = {
        "flip": v2.RandomHorizontalFlip(0.5),
        "crop": v2.RandomCrop((height, width), padding=4),
        "translation": v2.RandomAffine(0, translate=(0.1, 0.1), **between),
        "rotation": v2.RandomRotation(36, **between),
        "zoom": v2.RandomAffine(0, scale=(0.8, 1.2), **between),
        "shear": v2.RandomAffine(0, shear=(-11, 11, -11, 11), **between),
        "perspective": v2.RandomPerspective(0.5, 1.0),
        "brightness": v2.ColorJitter(brightness=0.2),
        "contrast": v2.ColorJitter(contrast=0.2),
        "saturation": v2.ColorJitter(saturation=0.2),
        "hue": v2.ColorJitter(hue=0.1),
        "grayscale": v2.RandomGrayscale(0.5),
        "jitter": v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
        "blur": v2.GaussianBlur(3, (0.5, 1.0)),
        "erasing": v2.RandomErasing(1.0),
    }

    def loop(transform):
        return torch.stack([transform(sample) for sample in samples])

    return {name: (lambda transform=transform: loop(transform)) for name, transform in made.items()}


PEERS = {"jitnet": jitnet_calls, "keras": keras_calls, "torchvision": torchvision_calls}


def best(call, peer: str) -> float:
    """The median time of a call, with the better number of threads."""
    if peer == "jitnet":
        return microseconds(call)
    import torch

    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(microseconds(call))
    return min(found)


def microseconds(call) -> float:
    """The median time of a call."""
    call()
    times, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 2:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def measure(peer: str, batch: int) -> dict:
    """{shape and change: microseconds} of one peer, here; what it cannot do is left out."""
    import numpy as np

    found = {}
    for shape in SHAPES:
        pictures = np.random.default_rng(0).uniform(size=(batch, *shape)).astype("float32")
        for name, call in PEERS[peer](pictures).items():
            if shape[2] == 3 or name not in COLOURS:
                found[f"{'x'.join(map(str, shape))} {name}"] = best(call, peer)
    if peer == "jitnet":
        large = np.random.default_rng(0).integers(0, 256, (8192, 32, 32, 3)).astype("uint8")
        copy, flip = np.empty_like(large), jitnet_calls(large)["flip"]
        found["large flip"], found["large copy"] = microseconds(flip), microseconds(lambda: np.copyto(copy, large))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keras", metavar="PYTHON")
    parser.add_argument("--torchvision", metavar="PYTHON")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.batch)))
        return
    interpreters = {"jitnet": sys.executable, "keras": options.keras, "torchvision": options.torchvision}
    interpreters = {peer: python for peer, python in interpreters.items() if python}
    rounds = {peer: [] for peer in interpreters}
    for _ in range(options.rounds):
        for peer, python in interpreters.items():
            command = [python, "-W", "ignore", __file__, "--worker", peer, "--batch", str(options.batch)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rounds[peer].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        peer: {name: statistics.median(one[name] for one in found) for name in found[0]}
        for peer, found in rounds.items()
    }
    ours = medians.pop("jitnet")
    flip, copy = ours.pop("large flip"), ours.pop("large copy")
    print(f"{'batch of ' + str(options.batch):<24}{'jitnet us':>10}" + "".join(f"{p:>14}{'ratio':>8}" for p in medians))
    for name, time_ in ours.items():
        cells = [
            f"{found[name]:>14.0f}{found[name] / time_:>8.1f}" if name in found else f"{'':>22}"
            for found in medians.values()
        ]
        print(f"{name:<24}{time_:>10.0f}" + "".join(cells))
    for peer, found in medians.items():
        ratios = [found[name] / ours[name] for name in found if name in ours]
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f"jitnet is {mean:.1f} times as fast as {peer} (geometric mean of {len(ratios)})")
    print(f"flip of 8,192 colour pictures of 32x32 bytes: {flip:.0f} us, numpy.copyto of them: {copy:.0f} us")


if __name__ == "__main__":
    main()
