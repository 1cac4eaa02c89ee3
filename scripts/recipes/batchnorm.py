"""Batch normalisation: learning rates that diverge without it (Ioffe and Szegedy 2015).

    python scripts/recipes/batchnorm.py

The same deep network on digits, trained by gradient descent at rates from 0.01 to 10, with and without it.
"""

import warnings

import numpy as np
from recipe import arguments, claim, digits, figure, save

import jitnet
from jitnet import layers, optimizers

RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def final_loss(rate: float, normalised: bool, epochs: int, data) -> float:
    """The training loss after ``epochs``; inf where it is no number any more."""
    parts = [layers.Input((64,))]
    for _ in range(6):
        parts.append(layers.Dense(48, kernel_initializer="he_normal", use_bias=not normalised))
        parts += [layers.BatchNormalization(momentum=0.9)] if normalised else []
        parts.append(layers.ReLU())
    model = jitnet.Sequential([*parts, layers.Dense(10, activation="softmax")])
    model.compile(optimizers.SGD(rate), "sparse_categorical_crossentropy", jit_compile=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that the loss is no number is what is looked for
        history = model.fit(*data, batch_size=64, epochs=epochs, verbose=0)
    loss = history.history["loss"][-1]
    return loss if np.isfinite(loss) else np.inf


def main():
    given = arguments(__doc__, epochs=(10, 1), seeds=(3, 1))
    data, _ = digits(None if not given.quick else 256)
    losses = {normalised: [] for normalised in (False, True)}
    for normalised, found in losses.items():
        for rate in RATES:
            seeds = []
            for seed in range(given.seeds):
                jitnet.utils.set_random_seed(given.seed + seed)
                seeds.append(final_loss(rate, normalised, given.epochs, data))
            found.append(seeds)
    picture, ((axis,),) = figure(1, 1, 6, 4)
    for normalised, found in losses.items():
        shown = np.minimum(np.median(found, axis=1), 10)
        axis.loglog(RATES, shown, "o-", label="with batch normalisation" if normalised else "without")
    axis.axhline(np.log(10), color="k", linestyle=":", label="guessing")
    axis.set_xlabel("learning rate")
    axis.set_ylabel(f"training loss after {given.epochs} epochs")
    axis.set_title("10 stands for more, and for no number", fontsize=9)
    axis.legend()
    axis.grid(alpha=0.3)
    save(picture, given.output, "batchnorm")
    # of every seed the largest rate that trains below a loss of 0.5
    best = {n: np.where(np.array(f) < 0.5, np.array(RATES)[:, None], 0).max(axis=0) for n, f in losses.items()}
    said = {n: ", ".join(f"{rate:g}" for rate in rates) for n, rates in best.items()}
    print(f"Largest rates that train below a loss of 0.5: {said[False]} without, {said[True]} with normalisation")
    claim("With it larger rates train.", np.subtract(best[True], best[False]))


if __name__ == "__main__":
    main()
