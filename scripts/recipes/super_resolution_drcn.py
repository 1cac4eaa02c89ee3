"""Super-resolution by one convolution applied again and again: DRCN with 9 and 16 recursions, against SRCNN.

    python scripts/recipes/super_resolution_drcn.py [--set5 FOLDER]

Kim et al. 2016: features of a picture enlarged by bicubic interpolation go through the same convolution up to 16 times;
every result is made a picture, each is compared with the sharp one while training, and their weighted mean is the
answer. Published on Set5, twofold: bicubic 33.66 dB, SRCNN 36.66, DRCN 37.63, with 256 filters and 91 pictures; here 32
filters, and pictures that scikit-image brings with it. An hour on two cores; stopped, it goes on where it was.
"""

import functools
from pathlib import Path

import numpy as np
from recipe import Remembered, arguments, claim, figure, photographs, save

import jitnet
from jitnet import layers, ops, optimizers, schedules

TRAINING = ("brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png",
            "motorcycle_left.png", "retina.jpg", "rocket.jpg")  # fmt: skip
HELD_OUT = ("astronaut.png", "camera.png", "coins.png", "page.png", "moon.png")
FILTERS, MARGIN = 32, 4


def halved(path):
    """The luminance of a picture (H, W) from 0 to 1, with even sides, and the same made small and enlarged again."""
    from PIL import Image

    image = Image.open(path).convert("YCbCr").split()[0]
    width, height = (side // 2 * 2 for side in image.size)
    image = image.crop((0, 0, width, height))
    small = image.resize((width // 2, height // 2), Image.Resampling.BICUBIC)
    blurred = small.resize(image.size, Image.Resampling.BICUBIC)
    return tuple(np.asarray(each, np.float32) / 255 for each in (image, blurred))


def convolution(filters, size=3, activation="relu"):
    return layers.Conv2D(filters, size, padding="same", activation=activation, kernel_initializer="he_normal")


def srcnn():
    """Dong et al. 2014: three layers, 9-1-5."""
    x = layers.Input((None, None, 1))
    return jitnet.Model(x, convolution(1, 5, None)(convolution(32, 1)(convolution(64, 9)(x))))


class WeightedMean(layers.Layer):
    """The mean of pictures, each with a weight that is learned."""

    def build(self, input_shape):
        self.share = self.add_weight((len(input_shape),), initializer="ones", name="share")

    def call(self, found):
        total = sum(self.share[i] * each for i, each in enumerate(found))
        return total / ops.sum(self.share)


def drcn(recursions: int):
    """The answer, and the picture after every recursion."""
    x = layers.Input((None, None, 1))
    features = convolution(FILTERS)(convolution(FILTERS)(x))
    every = layers.Repeat(convolution(FILTERS), recursions, return_intermediates=True)(features)
    first, second = convolution(FILTERS), convolution(1, activation=None)
    seen = [second(first(each)) + x for each in every]
    return jitnet.Model(x, [WeightedMean()(seen), *seen])


def psnr(given, wanted):
    """In dB, without a margin of a few pixels."""
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    return -10 * np.log10(np.mean((np.clip(given, 0, 1)[inner] - wanted[inner]) ** 2))


def answer(model, blurred):
    found = model.predict(blurred[None, ..., None], verbose=0)
    return (found[0] if isinstance(found, list) else found)[0, ..., 0]


def trained(kind, seed, data, steps, side=32, batch=16):
    jitnet.utils.set_random_seed(seed)
    model = srcnn() if kind == "SRCNN" else drcn(int(kind.split()[1]))
    random = np.random.default_rng(seed)
    count = steps * batch // 4  # every patch four times
    x, y = np.empty((2, count, side, side, 1), np.float32)
    for i in range(count):
        sharp, blurred = data[random.integers(len(data))]
        top, left = (random.integers(length - side) for length in sharp.shape)
        x[i, ..., 0], y[i, ..., 0] = (p[top : top + side, left : left + side] for p in (blurred, sharp))
    outputs = len(model.outputs)
    weights = [0.5, *[0.5 / (outputs - 1)] * (outputs - 1)] if outputs > 1 else None
    rate = optimizers.Adam(schedules.CosineDecay(1e-3, steps), clipnorm=1.0)
    model.compile(rate, "mean_squared_error", loss_weights=weights)
    model.fit(x, [y] * outputs if outputs > 1 else y, batch_size=batch, epochs=4, verbose=0)
    return model


def measured(kind, seed, data, held_out, steps):
    model = trained(kind, seed, data, steps)
    return [float(psnr(answer(model, blurred), sharp)) for sharp, blurred in held_out]


def main():
    given = arguments(__doc__, steps=(3000, 4), seeds=(3, 1), set5=("", ""))
    held_out = sorted(Path(given.set5).glob("*.png")) if given.set5 else photographs(HELD_OUT)
    data, held_out = ([halved(path) for path in paths] for paths in (photographs(TRAINING), held_out))
    held_out = [tuple(p[:64, :64] for p in pair) for pair in held_out[:2]] if given.quick else held_out
    runs = Remembered(given.output / "super_resolution_drcn.json", {"steps": given.steps, "set5": given.set5})
    bicubic = np.array([psnr(blurred, sharp) for sharp, blurred in held_out])
    kinds, seeds = ("SRCNN", "DRCN 9", "DRCN 16"), range(given.seed, given.seed + given.seeds)
    found = {}
    for kind in kinds:
        todo = {s: functools.partial(measured, kind, s, data, held_out, given.steps) for s in seeds}
        found[kind] = np.array([runs.get(f"{kind} {s}", function) for s, function in todo.items()])
    model, (sharp, blurred) = trained(kinds[-1], given.seed, data, given.steps), held_out[0]
    part = tuple(slice(side // 4, side // 4 + 120) for side in sharp.shape)
    view, (axes,) = figure(1, 4, 13, 3.8)
    restored = answer(model, blurred)
    shown = {
        "sharp": sharp, f"bicubic, {bicubic[0]:.2f} dB": blurred,
        f"DRCN, 16 recursions, {psnr(restored, sharp):.2f} dB": restored,
    }  # fmt: skip
    for axis, (name, image) in zip(axes, shown.items(), strict=False):
        axis.imshow(image[part], cmap="gray", vmin=0, vmax=1)
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    values = [bicubic.mean(), *(found[kind].mean() for kind in kinds)]
    axes[3].bar(["bicubic", *kinds], values, yerr=[0, *(found[kind].mean(axis=1).std() for kind in kinds)])
    axes[3].set_ylim(min(values) - 1, max(values) + 0.5)
    axes[3].set_ylabel("PSNR of held-out pictures, dB")
    save(view, given.output, "super_resolution_drcn")
    print(f"PSNR twofold, {len(held_out)} pictures: bicubic {bicubic.mean():.2f} dB, " + ", ".join(
        f"{kind} {table.mean():.2f} ± {table.mean(axis=1).std():.2f}" for kind, table in found.items()
    ))  # fmt: skip
    by_seed = {kind: table.mean(axis=1) for kind, table in found.items()}
    claim("DRCN with 16 recursions beats SRCNN.", by_seed["DRCN 16"] - by_seed["SRCNN"])
    claim("16 recursions beat 9.", by_seed["DRCN 16"] - by_seed["DRCN 9"])


if __name__ == "__main__":
    main()
