"""The vanishing gradient: norms by depth, sigmoid against ReLU, with and without batch normalisation.

    python scripts/recipes/vanishing_gradient.py

Backpropagation multiplies by the derivative of every layer's activation. Sigmoid's is at most 0.25, so that the
gradient of the first layers all but vanishes (Hochreiter 1991); ReLU's is 1 where it is active (Glorot et al. 2011).
"""

import numpy as np
from recipe import arguments, claim, digits, figure, save

import jitnet
from jitnet import layers, losses

KINDS = {
    "sigmoid": ("sigmoid", "glorot_normal", False),
    "sigmoid, batch normalisation": ("sigmoid", "glorot_normal", True),
    "ReLU": ("relu", "he_normal", False),
    "ReLU, batch normalisation": ("relu", "he_normal", True),
}


def gradient_norms(activation, initializer, normalised, depth, x, y):
    """The norm of the loss's gradient by each layer's kernel, at initialisation: (depth,)."""
    parts = [layers.Input((x.shape[1],))]
    for _ in range(depth):
        parts.append(layers.Dense(64, kernel_initializer=initializer, use_bias=not normalised))
        parts += [layers.BatchNormalization()] if normalised else []
        parts.append(layers.Activation(activation))
    model = jitnet.Sequential([*parts, layers.Dense(10)])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    kernels = [layer.kernel for layer in model.layers if isinstance(layer, layers.Dense)][:depth]
    _, gradients = jitnet.value_and_grad(lambda x, y: loss(y, model(x, training=True)), None, False, kernels)(x, y)
    return np.array([np.linalg.norm(gradient) for gradient in gradients])


def main():
    given = arguments(__doc__, depth=(20, 6))
    (x, y), _ = digits(256)
    norms = {kind: gradient_norms(*how, given.depth, x, y.astype("int64")) for kind, how in KINDS.items()}
    picture, ((axis,),) = figure(1, 1, 7, 4)
    for kind, values in norms.items():
        axis.semilogy(np.arange(1, given.depth + 1), values, "o-", label=kind)
    bound = norms["sigmoid"][-1] * 0.25 ** np.arange(given.depth - 1, -1, -1)
    axis.semilogy(np.arange(1, given.depth + 1), bound, "k:", label="a quarter per layer")
    axis.set_xlabel("layer, from the input")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_ylabel("norm of the gradient by its kernel")
    axis.legend()
    axis.grid(alpha=0.3)
    save(picture, given.output, "vanishing_gradient")
    shares = ", ".join(f"{kind} {values[0] / values[-1]:.1e}" for kind, values in norms.items())
    print(f"Gradient of the first layer over that of the last, {given.depth} layers: {shares}")
    shrinking = norms["sigmoid"][:-1] / norms["sigmoid"][1:]
    claim("With sigmoid every layer leaves less than half of the gradient to the one before it.", shrinking.max() < 0.5)
    mildest = {kind: min(values[0] / values[-1], values[-1] / values[0]) for kind, values in norms.items()}
    claim("With ReLU it stays within a factor of 10 through all layers.", mildest["ReLU"] > 0.1)
    claim("Batch normalisation keeps it so with sigmoid.", mildest["sigmoid, batch normalisation"] > 0.1)


if __name__ == "__main__":
    main()
