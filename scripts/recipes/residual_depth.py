"""Depth and shortcuts: plain and residual networks of 8, 20, 32 and 56 layers on small pictures.

    JITNET_DATA_DIR=FOLDER python scripts/recipes/residual_depth.py

A deeper plain network has a higher training loss, which is no overfitting: it is harder to train. He et al. 2016
(section 4.2, whose networks of 6 n + 2 layers with 16, 32 and 64 filters these are) found that with shortcuts it is
not. So that this shows within twelve epochs, blocks with a shortcut begin as the shortcut alone: their last
normalisation is multiplied by zero at first (Goyal et al. 2017, section 5.1). The pictures are CIFAR-10's, made half as
wide and high. Stopped, it goes on where it was.
"""

import functools

import numpy as np
from recipe import Remembered, arguments, claim, figure, save, small_pictures

import jitnet
from jitnet import layers, optimizers, schedules

BATCH = 32


def unit(filters, stride=1, gamma="ones"):
    return [
        layers.Conv2D(filters, 3, stride, "same", use_bias=False, kernel_initializer="he_normal"),
        layers.BatchNormalization(gamma_initializer=gamma),
    ]


def block(filters, stride, residual):
    """Two convolutions; with a shortcut around them, 1x1 where the shape changes."""
    body = [*unit(filters, stride), layers.ReLU(), *unit(filters, gamma="zeros" if residual else "ones")]
    if not residual:
        return [*body, layers.ReLU()]
    around = layers.Conv2D(filters, 1, stride, use_bias=False) if stride > 1 else None
    return [layers.Residual(jitnet.Sequential(body), around), layers.ReLU()]


def network(depth, residual):
    stack = [*unit(16), layers.ReLU()]
    for filters in (16, 32, 64):
        for number in range((depth - 2) // 6):
            stack += block(filters, 2 if filters > 16 and number == 0 else 1, residual)
    return jitnet.Sequential(
        [layers.Input((16, 16, 3)), *stack, layers.GlobalAveragePooling2D(), layers.Dense(10, "softmax")]
    )


def run(depth, residual, seed, data, test, epochs):
    jitnet.utils.set_random_seed(seed)
    model = network(depth, residual)
    steps = epochs * -(-len(data[0]) // BATCH)
    rate = schedules.CosineDecay(0.0, steps, warmup_target=0.05, warmup_steps=steps // 20)
    model.compile(optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(*data, batch_size=BATCH, epochs=epochs, validation_data=test, verbose=0).history
    print(f"  {'residual' if residual else 'plain'} {depth}, seed {seed}: {history['loss'][-1]:.4f}", flush=True)
    return history


def main():
    given = arguments(__doc__, epochs=(12, 1), seeds=(3, 1), samples=(10_000, 128))
    # every 2 x 2 pixels become one
    (x, y), test = ((p.reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4)), y) for p, y in small_pictures(given.quick))
    mean = x.mean(axis=(0, 1, 2))
    data, test = (x[: given.samples] - mean, y[: given.samples]), (test[0] - mean, test[1])
    depths = (8, 14) if given.quick else (8, 20, 32, 56)
    settings = {"epochs": given.epochs, "samples": len(data[0]), "batch": BATCH}
    runs = Remembered(given.output / "residual_depth.json", settings)
    picture, (axes,) = figure(1, 3, 13, 4)
    ends = {}
    for axis, (residual, kind) in zip(axes, ((False, "plain"), (True, "residual")), strict=False):
        for depth in depths:
            found = []
            for seed in range(given.seed, given.seed + given.seeds):
                todo = functools.partial(run, depth, residual, seed, data, test, given.epochs)
                found.append(runs.get(f"{kind} {depth} {seed}", todo))
            losses = np.array([history["loss"] for history in found])
            axis.semilogy(range(1, given.epochs + 1), losses.mean(axis=0), label=f"{depth} layers")
            ends[kind, depth] = losses[:, -1], np.array([h["val_accuracy"][-1] for h in found])
        axis.set_title(kind)
        axis.set_xlabel("epoch")
        axis.set_ylabel("training loss")
        axis.sharey(axes[0])
        axis.legend()
    for kind in ("plain", "residual"):
        losses = np.array([ends[kind, depth][0] for depth in depths])
        axes[2].errorbar(depths, losses.mean(axis=1), losses.std(axis=1), fmt="o-", label=kind)
    axes[2].set_xticks(depths)
    axes[2].set_xlabel("layers")
    axes[2].set_ylabel("training loss at the end")
    axes[2].set_yscale("log")
    axes[2].legend()
    for axis in axes:
        axis.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    save(picture, given.output, "residual_depth")
    for kind in ("plain", "residual"):
        print(f"{kind}, training loss and test accuracy by layers: " + "; ".join(
            f"{d}: {ends[kind, d][0].mean():.4f}, {100 * ends[kind, d][1].mean():.1f} %" for d in depths
        ))  # fmt: skip
    second, deepest = depths[1 if len(depths) > 2 else 0], depths[-1]
    rise = {kind: ends[kind, deepest][0] - ends[kind, second][0] for kind in ("plain", "residual")}
    claim(f"Plain, {deepest} layers have a higher training loss than {second}.", rise["plain"])
    claim(f"Residual, {deepest} layers have no higher training loss than {second}.", -rise["residual"])
    claim("With shortcuts the loss rises less with depth than without.", rise["plain"] - rise["residual"])


if __name__ == "__main__":
    main()
