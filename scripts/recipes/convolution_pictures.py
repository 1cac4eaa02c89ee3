"""What convolutions see: averaging and edges, learned filters, what pooling does to a shift, and what a class rests on.

    python scripts/recipes/convolution_pictures.py

A convolution with equal weights blurs, one with weights of both signs answers to edges in its direction. Those that a
network learns on digits look alike. Maximum pooling makes of a shift by one pixel a smaller change. Which pixels a
class rests on is the gradient of its score, before softmax, with respect to them (saliency, Simonyan et al. 2014).
"""

import numpy as np
from recipe import arguments, claim, figure, mnist, photographs, save

import jitnet
from jitnet import layers, ops

EDGE = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float32)
FILTERS = {"averaging, 7 x 7": np.full((7, 7), 1 / 49, np.float32), "edges, upright": EDGE, "edges, level": EDGE.T}


def photograph():
    """A grey photograph, (H, W) from 0 to 1."""
    from PIL import Image

    return np.asarray(Image.open(photographs(["astronaut.png"])[0]).convert("L"), np.float32)[:320, 60:380] / 255


def convolved(picture, kernel):
    layer = layers.Conv2D(1, kernel.shape, padding="same", use_bias=False)
    layer.build((None, *picture.shape, 1))
    layer.set_weights([kernel[..., None, None]])
    return np.asarray(layer(picture[None, ..., None]))[0, ..., 0]


def main():
    given = arguments(__doc__, epochs=(2, 1))
    (x, y), (x_test, y_test) = mnist(given.quick)
    first = layers.Conv2D(8, 5, activation="relu", padding="same")
    pool = layers.MaxPooling2D(2)
    model = jitnet.Sequential(
        [layers.Input(x.shape[1:]), first, pool, layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D(2),
         layers.Flatten(), layers.Dense(10, name="scores"), layers.Softmax()]
    )  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=given.epochs, verbose=0)
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]

    digits = x_test[:200]
    shifted = np.roll(digits, 1, axis=2)
    maps, moved = np.asarray(first(digits)), np.asarray(first(shifted))
    pooled, pooled_moved = np.asarray(pool(maps)), np.asarray(pool(moved))

    def change(before, after):
        """How far a shift moves each picture, in parts of its size."""
        axes = (1, 2, 3)
        return np.sqrt(((after - before) ** 2).sum(axes) / (before**2).sum(axes))

    change_of_maps, change_of_pooled = change(maps, moved), change(pooled, pooled_moved)

    scores = jitnet.Model(model.input, model.get_layer("scores").output)
    of_labels = jitnet.value_and_grad(lambda images, labels: ops.sum(ops.one_hot(labels, 10) * scores(images)))
    saliency = np.abs(of_labels(digits, y_test[:200])[1]).max(axis=-1)

    picture, axes = figure(4, 9, 13, 6.4)
    for axis in axes.flat:
        axis.axis("off")
    photo = photograph()
    shown = {"photograph": photo, **{name: convolved(photo, kernel) for name, kernel in FILTERS.items()}}
    for axis, (name, image) in zip(axes[0, :8:2], shown.items(), strict=True):
        axis.imshow(image, cmap="gray")
        axis.set_title(name, fontsize=9)
    kernel = first.get_weights()[0][:, :, 0]
    rows = {"learned filters": np.moveaxis(kernel, -1, 0), "of a digit": np.moveaxis(maps[0], -1, 0),
            "pooled": np.moveaxis(pooled[0], -1, 0)}  # fmt: skip
    for line, (name, images) in zip(axes[1:], rows.items(), strict=True):
        line[0].set_title(name, fontsize=9, loc="left")
        for axis, image in zip(line[:8], images, strict=True):
            signs = {"cmap": "RdBu", "vmin": -np.abs(image).max(), "vmax": np.abs(image).max()}
            axis.imshow(image, **(signs if image.min() < 0 else {"cmap": "gray"}))
    for axis, image in zip(axes[:, 8], [digits[0], saliency[0], digits[1], saliency[1]], strict=True):
        axis.imshow(image, cmap="gray")
        axis.set_title("a digit" if image.ndim == 3 else "its saliency", fontsize=9, loc="left")
    save(picture, given.output, "convolution_pictures")
    print(
        f"Accuracy {100 * accuracy:.1f} %; a shift by a pixel changes feature maps by "
        f"{100 * change_of_maps.mean():.0f} % of their size, pooled ones by {100 * change_of_pooled.mean():.0f} %"
    )
    share = (change_of_pooled < change_of_maps).mean()
    claim(f"Maximum pooling lessens what a shift changes (in {100 * share:.0f} % of the digits).", bool(share > 0.95))


if __name__ == "__main__":
    main()
