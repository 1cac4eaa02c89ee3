"""Small networks that several tests train, and the same multilayer perceptron written out in NumPy."""

import hashlib

import numpy as np

import jitnet
from jitnet import layers

SAMPLES, FEATURES, HIDDEN, CLASSES = 9, 4, 5, 3
WEIGHTS = ("hidden kernel", "hidden bias", "output kernel", "output bias")


def data(samples=SAMPLES, dtype="float32"):
    """x: (samples, 4), labels: (samples,)."""
    generator = np.random.default_rng(samples)
    return generator.normal(size=(samples, FEATURES)).astype(dtype), generator.integers(0, CLASSES, samples)


def initial_weights():
    """Weights of the perceptron, in float64."""
    generator = np.random.default_rng(5)
    shapes = ((FEATURES, HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,))
    return [generator.normal(size=shape) * 0.7 for shape in shapes]


def perceptron(optimizer="sgd", jit_compile=False, regularizers=(None, None), **arguments):
    """4 inputs, 5 tanh units, softmax of 3; always the same names, so that the same step is compiled once."""
    kernel, bias = regularizers
    model = jitnet.Sequential(
        [
            jitnet.Input((FEATURES,), name="features"),
            layers.Dense(HIDDEN, "tanh", kernel_regularizer=kernel, bias_regularizer=bias, name="hidden"),
            layers.Dense(CLASSES, "softmax", name="probabilities"),
        ],
        name="perceptron",
    )
    model.set_weights(initial_weights())
    arguments = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **arguments}
    model.compile(optimizer, jit_compile=jit_compile, **arguments)
    return model


def two_outputs(optimizer="sgd", jit_compile=False, **arguments):
    """4 inputs, 3 linear units, of these a number ("size") and a softmax of 3 ("kind")."""
    x = jitnet.Input((FEATURES,), name="features")
    hidden = layers.Dense(3, name="hidden")(x)
    outputs = [layers.Dense(1, name="size")(hidden), layers.Dense(CLASSES, "softmax", name="kind")(hidden)]
    model = jitnet.Model(x, outputs, name="two_outputs")
    arguments = {"loss": ["mse", "sparse_categorical_crossentropy"], **arguments}
    model.compile(optimizer, jit_compile=jit_compile, **arguments)
    return model


class Reference:
    """The perceptron in NumPy, in float64."""

    def __init__(self, l1=0.0, l2=0.0):
        self.weights = initial_weights()
        self.l2, self.l1 = l2, l1  # of the hidden layer: l2 of its kernel, l1 of its bias

    def forward(self, x):
        kernel1, bias1, kernel2, bias2 = self.weights
        hidden = np.tanh(x @ kernel1 + bias1)
        scores = np.exp(hidden @ kernel2 + bias2)
        return hidden, scores / scores.sum(axis=1, keepdims=True)

    def losses(self, x, y):
        """One value per sample, and whether each prediction is right."""
        probabilities = self.forward(x)[1]
        return -np.log(probabilities[np.arange(len(y)), y]), probabilities.argmax(axis=1) == y

    def penalty(self):
        return self.l2 * (self.weights[0] ** 2).sum() + self.l1 * np.abs(self.weights[1]).sum()

    def gradients(self, x, y, sample_weight=1.0):
        """Of the mean of the samples' weighted losses, and of the penalty."""
        hidden, probabilities = self.forward(x)
        d_scores = (probabilities - np.eye(CLASSES)[y]) * (np.ones(len(y)) * sample_weight)[:, None] / len(y)
        d_hidden = d_scores @ self.weights[2].T * (1 - hidden**2)
        return [
            x.T @ d_hidden + 2 * self.l2 * self.weights[0],
            d_hidden.sum(axis=0) + self.l1 * np.sign(self.weights[1]),
            hidden.T @ d_scores,
            d_scores.sum(axis=0),
        ]


def images(samples=21):
    """x: (samples, 6, 5, 2), labels: (samples,)."""
    generator = np.random.default_rng(samples)
    return generator.normal(size=(samples, 6, 5, 2)).astype("float32"), generator.integers(0, CLASSES, samples)


def convolutional(jit_compile=False, optimizer="adam"):
    """A network with everything that could depend on threads or on history: dropout, batch statistics, Adam."""
    model = jitnet.Sequential(
        [
            jitnet.Input((6, 5, 2), name="images"),
            layers.Conv2D(4, 3, padding="same", name="convolution"),
            layers.BatchNormalization(momentum=0.9, name="normalisation"),
            layers.ReLU(name="relu"),
            layers.MaxPooling2D(2, name="pooling"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.25, name="dropout"),
            layers.Dense(CLASSES, "softmax", name="probabilities"),
        ],
        name="convolutional",
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=jit_compile)
    return model


def digest(model) -> str:
    """A hash of all weights' bits."""
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


def separable(jit_compile=False):
    """A layer of each kind whose kernels depend on the machine's vectors, of sizes that no vector divides."""
    model = jitnet.Sequential(
        [
            jitnet.Input((6, 5, 2), name="images"),
            layers.Conv2D(10, 3, padding="same", name="convolution"),
            layers.BatchNormalization(momentum=0.9, name="normalisation"),
            layers.ReLU(name="relu"),
            layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
            layers.MaxPooling2D(2, name="pooling"),
            layers.Flatten(name="flatten"),
            layers.Dense(CLASSES, "softmax", name="probabilities"),
        ],
        name="separable",
    )
    model.compile(jitnet.optimizers.SGD(0.1, 0.9), "sparse_categorical_crossentropy", jit_compile=jit_compile)
    return model
