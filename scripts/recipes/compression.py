"""Compression: weights pruned, weights of 8 bits, and a small network that learns from a large one.

    python scripts/recipes/compression.py

Three ways to a smaller network. Pruning takes away the smallest weights of all layers together, and trains the others
on (Han et al. 2015), as the whole is trained on to compare; the zeros count in a file that is packed. Quantisation
keeps every weight, as an integer of 8 bits with a scale for each output. Distillation trains a small network on the
large one's probabilities, softened by a temperature, beside the labels (Hinton et al. 2015). Only the small one is
faster here: products take floats, and zeros.
"""

import gzip
import time

import numpy as np
from recipe import Remembered, arguments, claim, figure, mnist, save

import jitnet
from jitnet import layers, losses, ops
from jitnet.utils import prune

LEFT = (1.0, 0.2, 0.1, 0.05, 0.02)  # of all weights, none taken away to begin with
TEMPERATURE = 4.0


def large():
    convolutions = [layers.Conv2D(n, 3, activation="relu") for n in (16, 32)]
    stack = [convolutions[0], layers.MaxPooling2D(), convolutions[1], layers.MaxPooling2D(), layers.Flatten()]
    return jitnet.Sequential([layers.Input((28, 28, 1)), *stack, layers.Dense(128, "relu"), layers.Dense(10)])


def small():
    window = {"kernel_size": 3, "strides": 2, "activation": "relu"}
    stack = [layers.Conv2D(4, **window), layers.Conv2D(8, **window), layers.Flatten(), layers.Dense(10)]
    return jitnet.Sequential([layers.Input((28, 28, 1)), *stack])


def both(targets, logits):
    """The loss of Hinton et al. 2015, section 2, of probabilities that are soft, and labels, side by side."""
    soft, hard = (losses.CategoricalCrossentropy(from_logits=True, reduction=None) for _ in range(2))
    softened = soft(targets[:, :10], logits / TEMPERATURE)
    return 0.9 * TEMPERATURE**2 * softened + 0.1 * hard(targets[:, 10:], logits)


def train(model, x, y, epochs, loss=None):
    model.compile(jitnet.optimizers.Adam(1e-3), loss or losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model


def measured(model, x, y, folder):
    """[accuracy in %, bytes of the file, of the packed file, images per second]"""
    right, path = (model.predict(x, verbose=0).argmax(axis=1) == y).mean(), folder / "weights.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    model.save_weights(path)
    content, seconds = path.read_bytes(), []
    for _ in range(5):
        start = time.perf_counter()
        model.predict(x, batch_size=250, verbose=0)
        seconds.append(time.perf_counter() - start)
    return [100 * right, len(content), len(gzip.compress(content)), len(x) / min(seconds)]


def forms(seed, data, test, epochs, folder):
    """{form: what is measured of it}"""
    jitnet.utils.set_random_seed(seed)
    teacher = train(large(), *data, epochs)
    weights, found = teacher.get_weights(), {"whole": measured(teacher, *test, folder)}
    logits = teacher.predict(data[0], batch_size=250, verbose=0)
    for left in LEFT:
        model = large()
        model.set_weights(weights)
        kernels = [(layer, "kernel") for layer in model.layers if layer.count_params()]
        prune.global_unstructured(kernels, prune.L1Unstructured, amount=1 - left)
        train(model, *data, max(1, epochs // 2))
        for pair in kernels:
            prune.remove(*pair)
        found[f"{left}"] = measured(model, *test, folder)
        model.quantize("int8")
        found[f"{left} int8"] = measured(model, *test, folder)
    teacher.quantize("int8")
    found["int8"] = measured(teacher, *test, folder)
    found["small"] = measured(train(small(), *data, 3 * epochs), *test, folder)
    targets = np.concatenate([ops.softmax(logits / TEMPERATURE), np.eye(10, dtype=np.float32)[data[1]]], axis=1)
    found["distilled"] = measured(train(small(), data[0], targets, 3 * epochs, both), *test, folder)
    print(f"  seed {seed}: " + ", ".join(f"{name} {values[0]:.2f} %" for name, values in found.items()), flush=True)
    return found


def main():
    given = arguments(__doc__, epochs=(4, 1), samples=(20_000, 128), seeds=(15, 1))
    (x, y), test = mnist(given.quick)
    data = x[: given.samples], y[: given.samples]
    runs = Remembered(given.output / "compression.json", {"epochs": given.epochs, "samples": given.samples})
    seeds = range(given.seed, given.seed + given.seeds)
    every = [runs.get(f"{s}", lambda s=s: forms(s, data, test, given.epochs, given.output)) for s in seeds]
    found = {name: np.array([one[name] for one in every]) for name in every[0]}
    picture, ((axis,),) = figure(1, 1, 8, 4.6)
    lines = {"pruned, the rest trained on": [f"{left}" for left in LEFT], "small": ["small"], "whole": ["whole"],
             "pruned, then int8": [f"{left} int8" for left in LEFT], "int8": ["int8"], "distilled": ["distilled"]}
    for (label, names), marker in zip(lines.items(), "osD^vP", strict=True):
        sizes, accuracies = (np.array([found[name][:, i] for name in names]) for i in (2, 0))
        axis.errorbar(sizes.mean(axis=1) / 1000, accuracies.mean(axis=1), accuracies.std(axis=1), marker=marker,
                      linestyle="-" if len(names) > 1 else "", label=label)  # fmt: skip
    axis.set(xscale="log", xlabel="packed file, kB", ylabel="accuracy on the test, %")
    axis.legend()
    save(picture, given.output, "compression")
    shown = {"whole": "whole", "int8": "int8", "1.0": "whole, trained on", "0.1": "a tenth of it",
             "0.1 int8": "a tenth in int8", "small": "small", "distilled": "small, distilled"}  # fmt: skip
    means = {label: found[name].mean(axis=0) for name, label in shown.items()}
    print("; ".join(f"{label}: {right:.2f} %, {size / 1000:.0f} kB ({packed / 1000:.0f} packed), {speed:,.0f} images/s"
                    for label, (right, size, packed, speed) in means.items()))  # fmt: skip
    right = {name: values[:, 0] for name, values in found.items()}
    claim("With a tenth of its weights the network loses less than 0.2 points.", right["0.1"] - right["1.0"] + 0.2)
    claim("In int8, a quarter of the bytes, it loses less than 0.1 points.", right["int8"] - right["whole"] + 0.1)
    claim("Distilled, the small network is more accurate, in points.", right["distilled"] - right["small"])


if __name__ == "__main__":
    main()
