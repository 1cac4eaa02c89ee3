"""Overfitting, and what closes the gap: weight decay, dropout, augmentation, early stopping.

    python scripts/recipes/overfitting.py

A network that is too large for a hundred and fifty digits learns them by heart. Which of these close the gap between
the losses of training and test, and what each does to the accuracy.
"""

import numpy as np
from recipe import arguments, claim, digits, figure, save

import jitnet
from jitnet import callbacks, layers, regularizers


def network(depth=3, dropout=None, augment=False, hidden=None, output=None):
    """Layers of 256 units for digits (64,), compiled; hidden, output: more arguments of these and of the last one."""
    parts = [layers.Input((64,))]
    if augment:
        parts += [layers.Reshape((8, 8, 1)), layers.RandomRotation(0.04, fill_mode="constant"), layers.Flatten()]
    for _ in range(depth):
        parts.append(layers.Dense(256, activation="relu", **(hidden or {})))
        parts += [] if dropout is None else [layers.Dropout(dropout)]
    model = jitnet.Sequential([*parts, layers.Dense(10, activation="softmax", **(output or {}))])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=True)
    return model


METHODS = {
    "none": ({}, False),
    "weight decay": ({"hidden": {"kernel_regularizer": regularizers.L2(3e-3)}}, False),
    "dropout": ({"dropout": 0.5}, False),
    "augmentation": ({"augment": True}, False),
    "early stopping": ({}, True),
    "dropout, augmentation": ({"dropout": 0.3, "augment": True}, False),
}


def train(options, stops: bool, epochs: int, data, test):
    """The history of losses, and (loss, accuracy) on what was trained with and on the test."""
    model = network(**options)
    watching = [callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True)] if stops else []
    history = model.fit(
        *data, batch_size=32, epochs=epochs, validation_data=test, verbose=0, callbacks=watching
    )  # fmt: skip
    return history.history, model.evaluate(*data, verbose=0), model.evaluate(*test, verbose=0)


def main():
    given = arguments(__doc__, epochs=(100, 2), seeds=(3, 1))
    data, test = digits(150)
    picture, axes = figure(2, 3, 12, 6)
    lines, every = [], {}
    for axis, (name, (options, stops)) in zip(axes.flat, METHODS.items(), strict=True):
        gaps, accuracies = [], []
        for seed in range(given.seeds):
            jitnet.utils.set_random_seed(given.seed + seed)
            history, (loss, _), (test_loss, accuracy) = train(options, stops, given.epochs, data, test)
            gaps.append(test_loss - loss)
            accuracies.append(accuracy)
        every[name] = np.array(gaps)
        axis.semilogy(history["loss"], label="training")
        axis.semilogy(history["val_loss"], label="test")
        axis.set_title(f"{name}: gap {np.mean(gaps):.2f}, test {100 * np.mean(accuracies):.1f} %", fontsize=9)
        axis.set_ylim(1e-4, 5)
        axis.set_xlabel("epoch")
        axis.set_ylabel("loss")
        axis.grid(alpha=0.3)
        lines.append(f"{name} {np.mean(gaps):.2f}, {100 * np.mean(accuracies):.1f} % ± {100 * np.std(accuracies):.1f}")
    axes.flat[0].legend()
    save(picture, given.output, "overfitting")
    print(f"Test loss less training loss, and test accuracy, {given.seeds} seeds: " + "; ".join(lines))
    without = every.pop("none")
    for name, gaps in every.items():
        claim(f"{name.capitalize()} closes a part of the gap.", without - gaps)


if __name__ == "__main__":
    main()
