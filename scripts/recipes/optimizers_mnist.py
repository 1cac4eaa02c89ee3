"""One small network on MNIST with every optimizer at its default settings: one epoch each.

    python scripts/recipes/optimizers_mnist.py [--only NAME,NAME]

MNIST is looked for in $JITNET_DATA_DIR/mnist/ and downloaded otherwise.  Accuracy on the test images, batches of 32:

    97 % with the defaults: Muon 98.3, RMSprop 97.7, Nadam 97.7, Adam 97.5, AdamW 97.5, Eve 97.5, Lion 97.4
    less, for the rate that Keras's default is; then with another: SGD 93.3, 97.2 at 0.1; Adamax 95.9, 97.1 at 0.002;
        Lamb 96.8, 97.4 at 0.003; Adafactor 91.4, 97.3 at 0.01; Adagrad 77.4, 97.9 at 0.05; Adadelta 14.0, 97.7 at 1
    at no rate: Ftrl, 11.4, which forgets the first weights
"""

from recipe import arguments, claim, figure, mnist, save

import jitnet as keras
from jitnet import layers, optimizers

ENOUGH = 0.97
# of those that don't get there with their defaults: another learning rate, and why the default is too small
RATES = {
    "SGD": (0.1, "a rate of 0.01 without momentum: ten times as much is usual for networks of this size"),
    "Adagrad": (0.05, "Keras's 0.001 is divided by a sum that only grows; Duchi's papers take about 0.01 to 0.1"),
    "Adadelta": (1.0, "Keras's 0.001 multiplies steps that have the parameters' units: Zeiler's algorithm has 1"),
    "Adamax": (0.002, "the paper's rate; steps are divided by the largest gradient of the past"),
    "Ftrl": (0.1, "it starts from zero whatever the first weights are: made for linear models, which that suits"),
    "Lamb": (0.003, "a step is 0.001 of a layer's length: made for batches of thousands, with larger rates"),
    "Adafactor": (0.01, "a step is 0.001 of a parameter's root mean square: made for rates of 1 / sqrt(t)"),
    "Lion": (0.0003, "every element moves by the rate: a tenth to a third of Adam's is usual"),
}


def network(seed: int = 0) -> keras.Sequential:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def accuracy(optimizer, train, test, seed: int = 0) -> float:
    """Of the test images after one epoch."""
    model = network(seed)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*train, batch_size=32, epochs=1, verbose=0)
    return model.evaluate(*test, batch_size=256, verbose=0)[1]


def main() -> None:
    every = [name for name in optimizers.__all__ if name[0].isupper() and name != "Optimizer"]
    given = arguments(__doc__, only=(",".join(every), "SGD,Adam"))
    names = given.only.split(",")
    train, test = mnist(given.quick)
    defaults, others = {}, {}
    for name in names:
        make = getattr(optimizers, name)
        found = defaults[name] = accuracy(make(), train, test)
        said = f"{name} {100 * found:.1f} % at {float(make().learning_rate):g}"
        if found < ENOUGH and name in RATES:
            rate, why = RATES[name]
            others[name] = accuracy(make(rate), train, test)
            said += f", {100 * others[name]:.1f} % at {rate:g} ({why})"
        print(said, flush=True)
    names = sorted(names, key=defaults.get)
    picture, ((axis,),) = figure(1, 1, 7, 1.2 + 0.3 * len(names))
    axis.barh(names, [100 * defaults[name] for name in names], label="default rate")
    again = [name for name in names if name in others]
    axis.plot([100 * others[name] for name in again], again, "k>", label="another rate")
    axis.axvline(100 * ENOUGH, color="k", linestyle=":")
    axis.set_xlabel("accuracy on the test images after one epoch, %")
    axis.legend(loc="lower center")
    save(picture, given.output, "optimizers_mnist")
    enough = sum(found >= ENOUGH for found in defaults.values())
    print(f"{enough} of {len(names)} reach {ENOUGH:.0%} with their defaults")
    claim(f"Every optimizer reaches {ENOUGH:.0%} in one epoch with its defaults.", enough == len(names))


if __name__ == "__main__":
    main()
