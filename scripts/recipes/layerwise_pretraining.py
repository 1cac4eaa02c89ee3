"""Layer by layer: what made deep sigmoid networks trainable in 2006, and why ReLU made it unnecessary.

    python scripts/recipes/layerwise_pretraining.py

Eight sigmoid layers from small random weights learn nothing for long: the gradient that reaches the first ones is tiny.
Each layer trained before as an autoencoder of the one below (Hinton et al. 2006; Bengio et al. 2007) gives weights from
which the whole can be fine-tuned. ReLU with He's variance (He et al. 2015) starts without.
"""

import numpy as np
from recipe import arguments, claim, figure, mnist, save

import jitnet
from jitnet import initializers, layers, optimizers

DEPTH, UNITS = 8, 64


def network(activation, initializer):
    stack = [layers.Dense(UNITS, activation, kernel_initializer=initializer) for _ in range(DEPTH)]
    return jitnet.Sequential([layers.Input((784,)), *stack, layers.Dense(10, "softmax")])


def pretrain(model, x, epochs):
    """Train every hidden layer as the encoder of an autoencoder, on what the layers before it give."""
    for layer in model.layers[:DEPTH]:
        code = layers.Dense(UNITS, "sigmoid")
        coder = jitnet.Sequential([layers.Input(x.shape[1:]), code, layers.Dense(x.shape[1], "sigmoid")])
        coder.compile(optimizers.Adam(0.003), "mean_squared_error")
        coder.fit(x, x, batch_size=128, epochs=epochs, verbose=0)
        layer.set_weights(code.get_weights())
        x = np.asarray(code(x))


def main():
    given = arguments(__doc__, epochs=(15, 1), pretraining=(10, 1), seeds=(3, 1), samples=(10_000, 256))
    (x, y), (x_test, y_test) = mnist(given.quick)
    x, y, x_test = x[: given.samples].reshape(-1, 784), y[: given.samples], x_test.reshape(-1, 784)
    small = initializers.RandomNormal(0.0, 0.05)
    ways = {
        "sigmoid, small random weights": ("sigmoid", small, False),
        "sigmoid, pretrained": ("sigmoid", small, True),
        "ReLU, He": ("relu", "he_normal", False),
    }
    picture, ((loss, accuracy),) = figure(1, 2, 10, 4)
    found = {name: [] for name in ways}
    for name, (activation, initializer, pretrained) in ways.items():
        for seed in range(given.seed, given.seed + given.seeds):
            jitnet.utils.set_random_seed(seed)
            model = network(activation, initializer)
            if pretrained:
                pretrain(model, x, given.pretraining)
            model.compile(optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
            history = model.fit(
                x, y, batch_size=128, epochs=given.epochs, validation_data=(x_test, y_test), verbose=0
            ).history
            found[name].append(100 * history["val_accuracy"][-1])
        epochs = range(1, given.epochs + 1)
        loss.semilogy(epochs, history["loss"], "o-", markersize=3, label=name)
        accuracy.plot(epochs, 100 * np.array(history["val_accuracy"]), "o-", markersize=3, label=name)
    for axis, label in ((loss, "training loss"), (accuracy, "accuracy on the test, %")):
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    loss.legend()
    save(picture, given.output, "layerwise_pretraining")
    print(f"Test accuracy, {DEPTH} layers: " + "; ".join(
        f"{name} {np.mean(values):.1f} % ({min(values):.1f} to {max(values):.1f})" for name, values in found.items()
    ))  # fmt: skip
    random, pretrained, relu = (np.array(values) for values in found.values())
    claim("Pretraining layer by layer makes the deep sigmoid network trainable.", pretrained - random)
    claim("ReLU with He's weights makes it unnecessary.", relu - pretrained)


if __name__ == "__main__":
    main()
