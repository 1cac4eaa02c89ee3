"""LeNet-5 on MNIST: more than 99 % of the test's digits within twelve epochs, and those that it mistakes.

    python scripts/recipes/lenet.py

The network of LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition" (1998,
figure 2), which had 99.05 %; here with ReLU, maximum pooling, and Adam along a cosine.
"""

import numpy as np
from recipe import arguments, claim, figure, mnist, save

import jitnet
from jitnet import layers, optimizers

BATCH_SIZE = 128


def network():
    return jitnet.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(6, kernel_size=5, padding="same", activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Conv2D(16, kernel_size=5, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="lenet5",
    )


def trained(x, y, epochs: int, test=None):
    """The network after so many epochs, and their losses and accuracies."""
    model = network()
    rate = optimizers.schedules.CosineDecay(0.002, decay_steps=epochs * -(-len(x) // BATCH_SIZE))
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=BATCH_SIZE, epochs=epochs, validation_data=test, verbose=0).history
    return model, history


def main():
    given = arguments(__doc__, epochs=(12, 2), seeds=(5, 1))
    train, test = mnist(given.quick)
    epochs = range(1, given.epochs + 1)
    picture, axes = figure(4, 10, 13, 5)
    grid = axes[0, 0].get_gridspec()
    for axis in axes[:, :4].flat:
        axis.remove()
    curves = picture.add_subplot(grid[:, :4])
    accuracies = []
    for seed in range(given.seeds):
        jitnet.utils.set_random_seed(given.seed + seed)
        model, history = trained(*train, given.epochs, test)
        accuracies.append(100 * history["val_accuracy"][-1])
        for name, colour, key in (("training", "tab:blue", "accuracy"), ("test", "tab:orange", "val_accuracy")):
            errors = 100 - 100 * np.array(history[key])
            curves.semilogy(epochs, errors, color=colour, alpha=0.7, label=None if seed else name)
        if seed == 0:
            probabilities = model.predict(test[0], batch_size=256, verbose=0)
    curves.axhline(1, color="k", linestyle=":", label="99 % right")
    curves.set(xlabel="epoch", ylabel="mistaken digits, %", title=f"{given.seeds} seeds")
    curves.legend()
    curves.grid(alpha=0.3, which="both")
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != test[1])
    wrong = wrong[np.argsort(-probabilities[wrong, answers[wrong]])]  # of what it was surest first
    for axis in axes[:, 4:].flat:
        axis.axis("off")
    for axis, i in zip(axes[:, 4:].flat, wrong, strict=False):
        axis.imshow(test[0][i, ..., 0], cmap="gray_r")
        axis.set_title(f"{test[1][i]} taken for {answers[i]}", fontsize=9)
    save(picture, given.output, "lenet")
    print(f"Test accuracy after {given.epochs} epochs: {np.mean(accuracies):.2f} ± {np.std(accuracies):.2f} %, "
          f"{given.seeds} seeds; {len(wrong)} digits of {len(answers)} mistaken with the first")  # fmt: skip
    claim("LeNet-5 gets beyond 99 % within 12 epochs, by so many points.", np.array(accuracies) - 99)


if __name__ == "__main__":
    main()
