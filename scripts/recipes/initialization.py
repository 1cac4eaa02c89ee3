"""Initialisation: the variance of signals and gradients by depth.

    python scripts/recipes/initialization.py

Glorot and Bengio 2010 keep both variances with tanh, He et al. 2015 with ReLU; normal weights of a fixed deviation
make them vanish or explode.
"""

import numpy as np
from recipe import arguments, claim, figure, save

import jitnet
from jitnet import initializers, layers, ops

SCHEMES = {
    "tanh, N(0, 0.01)": ("tanh", lambda: initializers.RandomNormal(stddev=0.01)),
    "tanh, N(0, 0.2)": ("tanh", lambda: initializers.RandomNormal(stddev=0.2)),
    "tanh, Glorot": ("tanh", initializers.GlorotNormal),
    "ReLU, Glorot": ("relu", initializers.GlorotNormal),
    "ReLU, He": ("relu", initializers.HeNormal),
    "SELU, LeCun": ("selu", initializers.LecunNormal),
}


def variances(activation, initializer, depth, width, x):
    """Mean squares of every layer's output, and of the gradients by them: two arrays (depth,)."""
    inputs = layers.Input((width,))
    values, h = [], inputs
    for _ in range(depth):
        h = layers.Dense(width, activation=activation, kernel_initializer=initializer())(h)
        values.append(h)
    model = jitnet.Model(inputs, values)
    signals = [np.mean(np.square(value)) for value in model.predict(x, verbose=0)]
    probe = np.random.default_rng(1).standard_normal(x.shape).astype("float32")
    gradients, stack = [], model.layers[1:]
    # the gradient by a layer's output, of the last output times a random vector
    outputs = [x, *model.predict(x, verbose=0)]
    for start in range(1, depth + 1):

        def tail(value, probe, start=start):
            for layer in stack[start:]:
                value = layer(value)
            return ops.sum(value * probe)

        _, gradient = jitnet.value_and_grad(tail)(outputs[start], probe)
        gradients.append(np.mean(np.square(gradient)))
    return np.array(signals), np.array(gradients)


def main():
    given = arguments(__doc__, depth=(20, 4), width=(256, 32))
    x = np.random.default_rng(given.seed).standard_normal((128, given.width)).astype("float32")
    picture, ((left, right),) = figure(1, 2, 10, 4)
    spans = {}
    for name, (activation, initializer) in SCHEMES.items():
        signals, gradients = variances(activation, initializer, given.depth, given.width, x)
        places = np.arange(1, given.depth + 1)
        left.semilogy(places, signals, "o-", markersize=3, label=name)
        right.semilogy(places, gradients, "o-", markersize=3, label=name)
        spans[name] = signals[-1] / signals[0], gradients[0] / gradients[-1]
    left.set_ylabel("mean square of the output")
    right.set_ylabel("mean square of the gradient by it")
    for axis in (left, right):
        axis.set_xlabel("layer, from the input")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    left.legend(fontsize=7)
    save(picture, given.output, "initialization")
    shown = "; ".join(f"{name} {signal:.1e}, {gradient:.1e}" for name, (signal, gradient) in spans.items())
    print(f"Signals (last layer over first) and gradients (first over last), {given.depth} layers: {shown}")
    for name in ("ReLU, He", "ReLU, Glorot", "SELU, LeCun"):
        signal = spans[name][0]
        claim(f"{name}: signals stay within a factor of 2 from the first layer to the last.", 0.5 < signal < 2)


if __name__ == "__main__":
    main()
