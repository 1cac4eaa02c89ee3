"""Super-resolution by one convolution applied again and again: DRCN with 9 and 16 recursions, against SRCNN.

    python scripts/recipes/super_resolution_drcn.py [--set5 FOLDER]

Kim et al. 2016: features of a picture enlarged by bicubic interpolation go through the same convolution up to 16 times;
every result is made a picture, each is compared with the sharp one while training, and their weighted mean is the
answer. Published on Set5, twofold: bicubic 33.66 dB, SRCNN 36.66, DRCN 37.63, with 256 filters and 91 pictures; here 32
filters, and pictures that scikit-image ships. SRCNN gets five times as many steps. Stopped, it goes on where it was.
"""

import functools
from pathlib import Path

import numpy as np
from recipe import Remembered, arguments, claim, figure, photographs, save

import jitnet
from jitnet import initializers, layers, ops, optimizers, schedules

TRAINING = ("brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png",
            "motorcycle_left.png", "retina.jpg", "rocket.jpg")  # fmt: skip
HELD_OUT = ("astronaut.png", "camera.png", "coins.png", "page.png", "moon.png")
FILTERS, PART = 32, (slice(100, 220), slice(180, 300))  # the part of a picture that is drawn


def halved(path):
    """The luminance of a picture (H, W) from 0 to 1, with even sides, and the same made small and enlarged again."""
    from PIL import Image

    image = Image.open(path).convert("YCbCr").split()[0]
    width, height = (side // 2 for side in image.size)
    image = image.crop((0, 0, 2 * width, 2 * height))
    blurred = image.resize((width, height), Image.Resampling.BICUBIC).resize(image.size, Image.Resampling.BICUBIC)
    return tuple(np.asarray(each, np.float32) / 255 for each in (image, blurred))


def convolution(filters, size=3, activation="relu"):
    return layers.Conv2D(filters, size, padding="same", activation=activation, kernel_initializer="he_normal")


def srcnn():
    """Dong et al. 2014: three layers, 9-1-5."""
    x = layers.Input((None, None, 1))
    return jitnet.Model(x, convolution(1, 5, None)(convolution(32, 1)(convolution(64, 9)(x))))


def drcn(recursions: int):
    """The answer, and the picture after every recursion."""
    x = layers.Input((None, None, 1))
    features = convolution(FILTERS)(convolution(FILTERS)(x))
    every = layers.Repeat(convolution(FILTERS), recursions, return_intermediates=True)(features)
    first, second = convolution(FILTERS), convolution(1, activation=None)
    seen = [second(first(each)) + x for each in every]
    # weights that are learned, the same for all pictures
    mean = layers.Conv2D(1, 1, use_bias=False, kernel_initializer=initializers.Constant(1 / recursions))
    return jitnet.Model(x, [mean(ops.concatenate(seen, axis=-1)), *seen])


def psnr(given, wanted):
    """In dB, without a margin of four pixels."""
    return -10 * np.log10(np.mean((np.clip(given, 0, 1) - wanted)[4:-4, 4:-4] ** 2))


def trained(kind, seed, data, steps, side=32, batch=16):
    jitnet.utils.set_random_seed(seed)
    model, steps = (srcnn(), 5 * steps) if kind == "SRCNN" else (drcn(int(kind.split()[1])), steps)
    random = np.random.default_rng(seed)
    x, y = np.empty((2, steps * batch // 4, side, side, 1), np.float32)  # every patch is seen four times
    for i in range(len(x)):
        sharp, blurred = data[random.integers(len(data))]
        top, left = (random.integers(length - side) for length in sharp.shape)
        x[i, ..., 0], y[i, ..., 0] = (p[top : top + side, left : left + side] for p in (blurred, sharp))
    others = len(model.outputs) - 1
    weights = [0.5, *[0.5 / others] * others] if others else None
    rate = optimizers.Adam(schedules.CosineDecay(1e-3, steps), clipnorm=1.0)
    model.compile(rate, "mean_squared_error", loss_weights=weights)
    model.fit(x, [y] * (1 + others) if others else y, batch_size=batch, epochs=4, verbose=0)
    return jitnet.Model(model.input, model.outputs[0])


def measured(kind, seed, data, held_out, steps):
    """The PSNR of every picture, and a part of the first one as the network answers it."""
    model = trained(kind, seed, data, steps)
    answers = [model.predict(blurred[None, ..., None], verbose=0)[0, ..., 0] for _, blurred in held_out]
    noise = [float(psnr(answer, sharp)) for answer, (sharp, _) in zip(answers, held_out, strict=True)]
    return noise, np.round(answers[0][PART], 3).tolist()


def main():
    given = arguments(__doc__, steps=(1500, 4), seeds=(3, 1), set5=("", ""))
    held_out = sorted(Path(given.set5).glob("*.png")) if given.set5 else photographs(HELD_OUT)
    data, held_out = ([halved(path) for path in paths] for paths in (photographs(TRAINING), held_out))
    held_out = held_out[:1] if given.quick else held_out
    runs = Remembered(given.output / "super_resolution_drcn.json", {"steps": given.steps, "set5": given.set5})
    bicubic = np.array([psnr(blurred, sharp) for sharp, blurred in held_out])
    kinds, seeds = ("SRCNN", "DRCN 9", "DRCN 16"), range(given.seed, given.seed + given.seeds)
    found = {}
    for kind in kinds:
        todo = functools.partial(measured, kind, data=data, held_out=held_out, steps=given.steps)
        results = [runs.get(f"{kind} {seed}", functools.partial(todo, seed)) for seed in seeds]
        found[kind] = np.array([np.mean(noise) for noise, _ in results])
    view, (axes,) = figure(1, 4, 13, 3.8)
    (sharp, blurred), (noise, answer) = held_out[0], results[0]
    names = "sharp", f"bicubic, {bicubic[0]:.2f} dB", f"DRCN, 16 recursions, {noise[0]:.2f} dB"
    for axis, name, image in zip(axes, names, (sharp[PART], blurred[PART], answer), strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    values = [bicubic.mean(), *map(np.mean, found.values())]
    axes[3].bar(["bicubic", *kinds], values, yerr=[0, *map(np.std, found.values())])
    axes[3].set(ylim=(min(values) - 1, max(values) + 0.5), ylabel="PSNR of held-out pictures, dB")
    save(view, given.output, "super_resolution_drcn")
    said = ", ".join(f"{kind} {noise.mean():.2f} ± {noise.std():.2f}" for kind, noise in found.items())
    print(f"PSNR twofold, {len(held_out)} pictures: bicubic {bicubic.mean():.2f} dB, {said}")
    claim("DRCN with 16 recursions beats SRCNN, in dB.", found["DRCN 16"] - found["SRCNN"])
    claim("16 recursions beat 9, in dB.", found["DRCN 16"] - found["DRCN 9"])


if __name__ == "__main__":
    main()
