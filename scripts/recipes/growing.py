"""A network that grows: layers added while it trains, what was learned kept, parts frozen.

    python scripts/recipes/growing.py

A ReLU layer whose kernel is the identity passes on what the one before gives: put in between, it changes nothing (Chen
et al. 2016, Net2Net), and training goes on from where it was. Once with what was there frozen for the first epochs
after each addition, once without, against the deep network from the start, all for the same number of epochs.
"""

import numpy as np
from recipe import arguments, claim, figure, mnist, save

import jitnet
from jitnet import layers, optimizers

UNITS, STAGES = 128, 4


def hidden(identity=False):
    return layers.Dense(UNITS, "relu", kernel_initializer="identity" if identity else "he_normal")


def compiled(stack, head):
    model = jitnet.Sequential([layers.Input((784,)), *stack, head])
    model.compile(optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def grown(freezes: bool, data, test, epochs: int):
    """The test's losses after every epoch, and by how much each addition changed the loss."""
    stack, head = [hidden()], layers.Dense(10, "softmax")
    losses, jumps = [], []
    for stage in range(STAGES):
        if stage:
            stack.append(hidden(identity=True))
        model = compiled(stack, head)
        if stage:
            jumps.append(abs(model.evaluate(*test, verbose=0)[0] - losses[-1]))
        for epoch in range(epochs // STAGES):
            for layer in stack[:-1]:
                layer.trainable = not (freezes and stage and epoch == 0)
            losses.append(model.fit(*data, batch_size=128, validation_data=test, verbose=0).history["val_loss"][0])
    return losses, max(jumps), model.evaluate(*test, verbose=0)[1]


def from_the_start(data, test, epochs: int):
    model = compiled([hidden() for _ in range(STAGES)], layers.Dense(10, "softmax"))
    history = model.fit(*data, batch_size=128, epochs=epochs, validation_data=test, verbose=0).history
    return history["val_loss"], 0.0, history["val_accuracy"][-1]


def main():
    given = arguments(__doc__, epochs=(16, 4), samples=(10_000, 256), seeds=(5, 1))
    (x, y), (x_test, y_test) = mnist(given.quick)
    data = x[: given.samples].reshape(-1, 784), y[: given.samples]
    test = x_test.reshape(-1, 784), y_test
    ways = {
        "grown": lambda: grown(False, data, test, given.epochs),
        "grown, earlier layers frozen for an epoch": lambda: grown(True, data, test, given.epochs),
        "deep from the start": lambda: from_the_start(data, test, given.epochs),
    }
    picture, ((axis,),) = figure(1, 1, 7, 4.2)
    accuracies, jumps = {name: [] for name in ways}, []
    for name, way in ways.items():
        runs = []
        for seed in range(given.seeds):
            jitnet.utils.set_random_seed(given.seed + seed)
            losses, jump, accuracy = way()
            runs.append(losses)
            jumps.append(jump)
            accuracies[name].append(100 * accuracy)
        runs = np.array(runs)
        line = axis.plot(range(1, given.epochs + 1), runs.mean(axis=0), "o-", markersize=3, label=name)[0]
        low, high = runs.min(axis=0), runs.max(axis=0)
        axis.fill_between(range(1, given.epochs + 1), low, high, alpha=0.2, color=line.get_color())
    for stage in range(1, STAGES):
        axis.axvline(stage * given.epochs // STAGES + 0.5, color="grey", linewidth=0.7, linestyle=":")
    axis.set_xlabel("epoch (dotted: a layer is added)")
    axis.set_ylabel("loss on the test")
    axis.legend()
    axis.grid(alpha=0.3)
    save(picture, given.output, "growing")
    print("Test accuracy: " + "; ".join(f"{n} {np.mean(a):.2f} % ± {np.std(a):.2f}" for n, a in accuracies.items())
          + f"; an addition changes the loss by at most {max(jumps):.1e}")  # fmt: skip
    claim("What was learned is kept: an added layer changes nothing.", bool(max(jumps) < 1e-4))
    unfrozen, _, deep = (np.array(values) for values in accuracies.values())
    claim("The grown network ends as accurate as the deep one from the start, or better.", unfrozen - deep)


if __name__ == "__main__":
    main()
