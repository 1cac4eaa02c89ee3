"""Full batch, minibatch, single samples: noise of the loss, time, and where the loss ends; steps down of the rate.

    python scripts/recipes/minibatch.py

All three see every digit equally often. The full batch's loss falls smoothly and slowly, for it takes one step an
epoch; single samples take a thousand noisy ones; minibatches are nearly as quick in epochs, and quicker in seconds.
Where the steps' noise holds the loss up, as in a network of few units at a high rate, each cut of the learning rate
shows as a drop on a logarithmic scale.
"""

import time

import numpy as np
from recipe import arguments, claim, digits, figure, save

import jitnet
from jitnet import callbacks, layers, optimizers, schedules


class Losses(callbacks.Callback):
    """The loss of every step, from the epoch's means so far, and the epochs' times."""

    def __init__(self):
        super().__init__()
        self.steps, self.seconds = [], []

    def on_train_begin(self, logs=None):
        self.start = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        self.before = 0.0

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append((batch + 1) * logs["loss"] - self.before)
        self.before = (batch + 1) * logs["loss"]

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def network(rate, units=64):
    model = jitnet.Sequential([layers.Input((64,)), layers.Dense(units, "relu"), layers.Dense(10, "softmax")])
    model.compile(optimizers.SGD(rate), "sparse_categorical_crossentropy")
    return model


def main():
    given = arguments(__doc__, epochs=(60, 2), samples=(1024, 128), seeds=(5, 2))
    (x, y), _ = digits(given.samples)
    # for each size of batch the largest power of two at which it doesn't diverge
    sizes = {"full batch": (given.samples, 0.5), "minibatches of 32": (32, 0.25), "single samples": (1, 0.0625)}
    picture, axes = figure(1, 3, 13, 3.8)
    final = {name: [] for name in sizes}
    noise, seconds = {}, {}
    for name, (size, rate) in sizes.items():
        network(rate).fit(x, y, size, epochs=1, verbose=0)  # compiles
        for seed in range(given.seed, given.seed + given.seeds):
            jitnet.utils.set_random_seed(seed)
            model, watch = network(rate), Losses()
            history = model.fit(x, y, size, epochs=given.epochs, verbose=0, callbacks=[watch]).history["loss"]
            final[name].append(model.evaluate(x, y, verbose=0))
        steps = np.array(watch.steps)
        noise[name], seconds[name] = np.std(np.diff(steps)) / np.sqrt(2) / steps.mean(), watch.seconds[-1]
        # the noisiest lie behind the others
        epochs = np.linspace(0, given.epochs, len(steps))
        axes[0, 0].semilogy(epochs, steps, linewidth=0.6, label=name, zorder=2 + size / given.samples)
        axes[0, 1].loglog(watch.seconds, history, label=name)

    steps = given.epochs * (given.samples // 4)
    cuts = [steps // 2, steps * 3 // 4]
    rates = {"constant": 0.25, "cut to a fifth, twice": schedules.PiecewiseConstantDecay(cuts, [0.25, 0.05, 0.01])}
    losses = {name: [] for name in rates}
    for name, rate in rates.items():
        for seed in range(given.seed, given.seed + given.seeds):
            jitnet.utils.set_random_seed(seed)
            losses[name].append(network(rate, 8).fit(x, y, 4, epochs=given.epochs, verbose=0).history["loss"])
        axes[0, 2].semilogy(range(1, given.epochs + 1), losses[name][0], label=f"learning rate {name}")
    axes[0, 0].set_ylim(1e-4, 20)
    axes[0, 2].set_title("8 units, minibatches of 4", fontsize=10)
    for axis, label in zip(axes[0], ("epoch", "seconds", "epoch"), strict=True):
        axis.set_xlabel(label)
        axis.set_ylabel("loss of a step" if axis is axes[0, 0] else "loss of an epoch")
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    save(picture, given.output, "minibatch")
    lines = (f"{n} {np.mean(final[n]):.4f}, noise {noise[n]:.2f}, {seconds[n]:.2f} s" for n in sizes)
    print(f"Loss after {given.epochs} epochs, noise of a step's loss over its mean, time: " + "; ".join(lines))
    full, mini = np.array(final["full batch"]), np.array(final["minibatches of 32"])
    claim("At equal epochs minibatches reach a lower loss than the full batch.", full - mini)
    claim(
        "The loss's noise grows from the full batch to single samples.",
        bool(np.all(np.diff([noise[name] for name in sizes]) > 0)),
    )
    constant, dropping = (np.log(losses[name])[:, -1] for name in rates)
    claim("Cut twice, the learning rate leads to a lower loss than constant, in logarithms.", constant - dropping)


if __name__ == "__main__":
    main()
