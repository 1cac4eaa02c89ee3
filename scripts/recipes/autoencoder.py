"""Autoencoders: a bottleneck against PCA, denoising, and a convolutional one.

    python scripts/recipes/autoencoder.py

A network that must give back its input through a few units learns a code. With linear units that is PCA (Baldi & Hornik
1989); with non-linear ones the same number of units keeps more (Hinton & Salakhutdinov 2006). Given noisy digits and
asked for clean ones, it takes the noise away (Vincent et al. 2008).
"""

import numpy as np
from recipe import arguments, claim, figure, mnist, save

import jitnet
from jitnet import layers


def dense(bottleneck: int):
    return jitnet.Sequential(
        [layers.Input((784,)), layers.Dense(256, "relu"), layers.Dense(64, "relu"), layers.Dense(bottleneck),
         layers.Dense(64, "relu"), layers.Dense(256, "relu"), layers.Dense(784, "sigmoid")]
    )  # fmt: skip


def convolutional():
    return jitnet.Sequential(
        [layers.Input((28, 28, 1)), layers.Conv2D(16, 3, 2, "same", activation="relu"),
         layers.Conv2D(8, 3, 2, "same", activation="relu"),
         layers.Conv2DTranspose(8, 3, 2, "same", activation="relu"),
         layers.Conv2DTranspose(16, 3, 2, "same", activation="relu"),
         layers.Conv2D(1, 3, padding="same", activation="sigmoid")]
    )  # fmt: skip


def trained(model, x, target, epochs, loss="mean_squared_error"):
    model.compile("adam", loss)
    model.fit(x, target, batch_size=128, epochs=epochs, verbose=0)
    return model


def error(given, wanted) -> float:
    return float(np.mean((given - wanted) ** 2))


def pca(x, x_test, directions: int):
    """The test pictures from their first so many principal components."""
    mean = x.mean(axis=0)
    axes = np.linalg.eigh(np.cov(x.T, dtype=np.float64))[1][:, ::-1][:, :directions].astype(x.dtype)
    return (x_test - mean) @ axes @ axes.T + mean


def main():
    given = arguments(__doc__, epochs=(12, 1), seeds=(3, 1), samples=(20_000, 256))
    (x, _), (x_test, _) = mnist(given.quick)
    x, x_test = x[: given.samples], x_test[:2000]
    flat, flat_test = x.reshape(-1, 784), x_test.reshape(-1, 784)
    sizes = (2, 8, 32) if given.quick else (2, 4, 8, 16, 32, 64)
    linear = [error(pca(flat, flat_test, size), flat_test) for size in sizes]
    deep = np.empty((given.seeds, len(sizes)))
    for seed in range(given.seeds):
        jitnet.utils.set_random_seed(given.seed + seed)
        for i, size in enumerate(sizes):
            model = trained(dense(size), flat, flat, given.epochs)
            deep[seed, i] = error(model.predict(flat_test, verbose=0), flat_test)
            if size == 8:
                eight = model

    random = np.random.default_rng(given.seed)
    noisy, noisy_test = (np.clip(p + random.normal(0, 0.4, p.shape), 0, 1).astype("float32") for p in (x, x_test))
    # with squared errors the one for noisy digits stays where every pixel is black
    crossed = given.epochs, "binary_crossentropy"
    coded = trained(convolutional(), x, x, *crossed).predict(x_test, verbose=0)
    cleaning = []
    for seed in range(given.seeds):
        jitnet.utils.set_random_seed(given.seed + seed)
        cleaned = trained(convolutional(), noisy, x, *crossed).predict(noisy_test, verbose=0)
        cleaning.append(error(cleaned, x_test))

    picture, axes = figure(6, 9, 13, 6.5)
    grid = axes[0, 0].get_gridspec()
    rows = {
        "test": x_test, "PCA, 8": pca(flat, flat_test, 8), "network, 8": eight.predict(flat_test, verbose=0),
        "convolutional": coded, "noisy": noisy_test, "cleaned": cleaned,
    }  # fmt: skip
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line[:5], pictures, strict=False):
            axis.imshow(image.reshape(28, 28), cmap="gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for axis in line[5:]:
            axis.remove()
    curve = picture.add_subplot(grid[:, 5:])
    curve.loglog(sizes, linear, "o-", label="PCA")
    curve.errorbar(sizes, deep.mean(axis=0), deep.std(axis=0), fmt="o-", label="network 784-256-64-n-64-256-784")
    curve.set_xticks(sizes, [str(size) for size in sizes])
    curve.set_yticks([0.01, 0.02, 0.05], ["0.01", "0.02", "0.05"])
    curve.minorticks_off()
    curve.set(xlabel="n, units of the bottleneck", ylabel="mean squared error on test digits")
    curve.legend()
    curve.grid(alpha=0.3)
    save(picture, given.output, "autoencoder")
    table = "; ".join(f"{n}: {a:.4f} {b:.4f}" for n, a, b in zip(sizes, linear, deep.mean(axis=0), strict=True))
    print(f"Error of PCA and of the network by units: {table}; noise {error(noisy_test, x_test):.4f}, "
          f"cleaned {np.mean(cleaning):.4f}")  # fmt: skip
    at = sizes.index(8)
    claim("With eight units, the network's error is lower than PCA's.", linear[at] - deep[:, at])
    claim("The noise is taken away: less than a quarter of it is left.",
          error(noisy_test, x_test) / 4 - np.array(cleaning))  # fmt: skip
    gain = np.array(linear) / deep.mean(axis=0)
    claim("The gain over PCA is larger at few units than at the most.", bool(gain[:-1].max() > gain[-1]))


if __name__ == "__main__":
    main()
