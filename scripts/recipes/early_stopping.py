"""Early stopping: the test loss turns while the training loss falls on, and where to stop.

    python scripts/recipes/early_stopping.py

The best epoch lies before the last. ``EarlyStopping`` watches held-out data, waits for so many epochs and goes back to
the best weights (Prechelt 1998). What it saves in time and loss is measured on digits that neither training nor
stopping has seen.
"""

import numpy as np
from overfitting import network
from recipe import arguments, claim, digits, figure, save

import jitnet
from jitnet import callbacks


def main():
    given = arguments(__doc__, epochs=(150, 6), samples=(200, 100), seeds=(10, 2))
    (x, y), (x_test, y_test) = digits()
    picture, ((axis, times),) = figure(1, 2, 10, 4)
    full, stopped, epochs = [], [], []
    for seed in range(given.seeds):
        order = np.random.default_rng(given.seed + seed).permutation(len(x))
        chosen, held = order[: given.samples], order[given.samples : 2 * given.samples]
        data, validation = (x[chosen], y[chosen]), (x[held], y[held])
        jitnet.utils.set_random_seed(given.seed + seed)
        model = network()
        history = model.fit(*data, epochs=given.epochs, validation_data=validation, verbose=0).history
        full.append(model.evaluate(x_test, y_test, verbose=0))
        jitnet.utils.set_random_seed(given.seed + seed)
        model = network()
        stopping = callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True)
        model.fit(*data, epochs=given.epochs, validation_data=validation, verbose=0, callbacks=[stopping])
        stopped.append(model.evaluate(x_test, y_test, verbose=0))
        epochs.append(stopping.best_epoch + 1)
        if seed == 0:
            axis.semilogy(range(1, given.epochs + 1), history["loss"], label="training")
            axis.semilogy(range(1, given.epochs + 1), history["val_loss"], label="held out")
            axis.axvline(stopping.best_epoch + 1, color="grey", linestyle="--", label="best epoch")
    full, stopped = np.array(full), np.array(stopped)
    axis.set_xlabel("epoch")
    axis.set_ylabel("loss")
    axis.legend()
    times.plot(epochs, full[:, 0], "o", label="after all epochs")
    times.plot(epochs, stopped[:, 0], "o", label="stopped")
    times.set_xlabel("best epoch")
    times.set_ylabel("loss on the test")
    times.set_ylim(bottom=0)
    times.legend()
    for each in (axis, times):
        each.grid(alpha=0.3)
    save(picture, given.output, "early_stopping")
    print(
        f"Test loss and accuracy after {given.epochs} epochs {full[:, 0].mean():.3f}, {100 * full[:, 1].mean():.1f} %; "
        f"stopped, best epoch {np.mean(epochs):.0f} on average, {stopped[:, 0].mean():.3f}, "
        f"{100 * stopped[:, 1].mean():.1f} %"
    )
    claim("Stopping early gives a lower loss on the test.", full[:, 0] - stopped[:, 0])
    claim("It gives more accuracy.", 100 * (stopped[:, 1] - full[:, 1]))


if __name__ == "__main__":
    main()
