"""Three layers by hand: the worked forward pass of the text, and backpropagation written out beside jitnet's gradient.

    python scripts/recipes/three_layers_by_hand.py

Saito, Deep Learning from Scratch, section 3.4, has the numbers of a network 2-3-2-2 with sigmoids. Backpropagation goes
the same way backwards: each layer's error is the next one's, through its weights, times the sigmoid's slope y (1 - y).
"""

import numpy as np
from recipe import arguments, claim, figure, save

import jitnet
from jitnet import layers, ops

WEIGHTS = [
    [[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]], [0.1, 0.2, 0.3],
    [[0.1, 0.5], [0.2, 0.7], [0.3, 0.9]], [0.1, 0.2],
    [[0.1, 0.3], [0.2, 0.4]], [0.1, 0.2],
]  # fmt: skip
X, TARGET = np.array([[1.0, 0.5]]), np.array([[0.0, 1.0]])


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def by_hand(w1, b1, w2, b2, w3, b3):
    """The layers' outputs, and the gradients of half the squared error by all weights."""
    z1 = sigmoid(X @ w1 + b1)
    z2 = sigmoid(z1 @ w2 + b2)
    y = z2 @ w3 + b3
    error3 = y - TARGET
    error2 = error3 @ w3.T * z2 * (1 - z2)
    error1 = error2 @ w2.T * z1 * (1 - z1)
    return (z1, z2, y), [X.T @ error1, error1[0], z1.T @ error2, error2[0], z2.T @ error3, error3[0]]


def by_jitnet(weights):
    x = layers.Input((2,))
    first = layers.Dense(3, "sigmoid")(x)
    second = layers.Dense(2, "sigmoid")(first)
    model = jitnet.Model(x, [first, second, layers.Dense(2)(second)])
    model.set_weights(weights)
    half = jitnet.value_and_grad(lambda x, y: 0.5 * ops.sum(ops.square(model(x)[2] - y)), None, False, model.weights)
    return model.predict(X, verbose=0), half(X, TARGET)[1]


def draw(axis, values):
    """The network: its units with their values, its weights as lines."""
    columns = [X, *values]
    places = [[(i, (len(column[0]) - 1) / 2 - j) for j in range(len(column[0]))] for i, column in enumerate(columns)]
    for i, matrix in enumerate(WEIGHTS[::2]):
        for j, row in enumerate(matrix):
            for k, weight in enumerate(row):
                ends = zip(places[i][j], places[i + 1][k], strict=True)
                axis.plot(*ends, color="grey", linewidth=4 * weight, zorder=1)
    for column, positions in zip(columns, places, strict=True):
        for value, (x, y) in zip(column[0], positions, strict=True):
            axis.scatter(x, y, s=1400, color="white", edgecolors="tab:blue", zorder=2)
            axis.text(x, y, f"{value:.4f}", ha="center", va="center", fontsize=8)
    axis.set_xticks(range(4), ["input", "sigmoid", "sigmoid", "output"])
    axis.set_yticks([])
    axis.set_xlim(-0.4, 3.4)
    axis.set_ylim(-1.5, 1.5)


def main():
    given = arguments(__doc__)
    jitnet.set_floatx("float64")
    weights = [np.array(weight) for weight in WEIGHTS]
    values, gradients = by_hand(*weights)
    values_there, gradients_there = by_jitnet(weights)
    picture, ((network, comparison),) = figure(1, 2, 10, 4)
    draw(network, values)
    ours, theirs = (np.concatenate([g.ravel() for g in found]) for found in (gradients, gradients_there))
    comparison.plot(ours, theirs, "o", markersize=5)
    comparison.axline((0, 0), slope=1, color="grey", linewidth=0.8)
    comparison.set_xlabel("gradient by hand")
    comparison.set_ylabel("jitnet's gradient")
    save(picture, given.output, "three_layers_by_hand")
    difference = np.abs(ours - theirs).max()
    print(f"y = {np.round(values[2], 8).tolist()[0]}, largest difference of {len(ours)} gradients {difference:.1e}")
    forward = np.abs(np.concatenate(values, axis=1) - np.concatenate(values_there, axis=1)).max()
    claim("Values and gradients by hand are jitnet's to rounding.", bool(max(forward, difference) < 1e-14))


if __name__ == "__main__":
    main()
