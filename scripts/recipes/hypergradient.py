"""Learning rate and weight decay that adjust themselves by the validation loss's gradient.

    python scripts/recipes/hypergradient.py

After a step w' = w - rate (g + decay w), the validation loss changes with the rate by -v (g + decay w) and with the
decay by -rate v w, where v is its gradient at w' (Baydin et al. 2018, who take the training loss; the texts' "automatic
adjustment"). Both move by factors, as the angles between these vectors say: a bad rate mends itself.
"""

import numpy as np
from recipe import arguments, claim, digits, figure, save

import jitnet
from jitnet import layers, losses


def flat(arrays):
    return np.concatenate([np.asarray(array).ravel() for array in arrays])


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-12))


def train(rate, decay, adjusts, data, validation, steps, seed, speed=0.05):
    """(validation losses, rates, decays) of every step."""
    jitnet.utils.set_random_seed(seed)
    model = jitnet.Sequential([layers.Input((64,)), layers.Dense(64, "relu"), layers.Dense(10)])
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    gradient = jitnet.value_and_grad(lambda x, y: loss(y, model(x)), None, False, model.trainable_weights)
    random = np.random.default_rng(seed)
    found = []
    for _ in range(steps):
        batch = random.choice(len(data[0]), 64, replace=False)
        _, gradients = gradient(data[0][batch], data[1][batch])
        weights = [np.array(weight.numpy()) for weight in model.trainable_weights]
        move = [g + decay * w for g, w in zip(gradients, weights, strict=True)]
        for weight, value, change in zip(model.trainable_weights, weights, move, strict=True):
            weight.assign(value - rate * change)
        held = random.choice(len(validation[0]), 64, replace=False)
        value, slopes = gradient(validation[0][held], validation[1][held])
        if adjusts:
            slope = flat(slopes)
            rate = float(np.clip(rate * np.exp(speed * cosine(slope, flat(move))), 1e-5, 3.0))
            decay = float(np.clip(decay * np.exp(speed * cosine(slope, flat(weights))), 1e-6, 0.1))
        found.append((float(value), rate, decay))
    on_all = float(gradient(*validation)[0])
    return np.array(found), on_all


def main():
    given = arguments(__doc__, steps=(2000, 30), seeds=(5, 2))
    (x, y), _ = digits()
    y = y.astype("int64")
    data, validation = (x[:800], y[:800]), (x[800:], y[800:])
    rates = (0.001, 0.01, 0.1, 1.0)
    picture, (axes,) = figure(1, 3, 13, 3.8)
    ends = {True: np.empty((given.seeds, len(rates))), False: np.empty((given.seeds, len(rates)))}
    for adjusts in (False, True):
        for i, rate in enumerate(rates):
            for seed in range(given.seeds):
                path, ends[adjusts][seed, i] = train(
                    rate, 1e-4, adjusts, data, validation, given.steps, given.seed + seed
                )
            if adjusts:
                axes[0].semilogy(path[:, 1], label=f"from {rate:g}")
                axes[1].semilogy(path[:, 2], label=f"from {rate:g}")
    axes[0].set_ylabel("learning rate")
    axes[1].set_ylabel("weight decay")
    for axis in axes[:2]:
        axis.set_xlabel("step")
        axis.legend(fontsize=8, title="learning rate")
    for adjusts, name in ((False, "fixed"), (True, "adjusted")):
        axes[2].errorbar(rates, ends[adjusts].mean(axis=0), ends[adjusts].std(axis=0), fmt="o-", label=name)
    axes[2].set_xscale("log")
    axes[2].set_yscale("log")
    axes[2].set_xlabel("learning rate at the start")
    axes[2].set_ylabel("validation loss at the end")
    axes[2].legend()
    for axis in axes:
        axis.grid(alpha=0.3)
    save(picture, given.output, "hypergradient")
    for adjusts, name in ((False, "fixed"), (True, "adjusted")):
        print(f"{name}, validation loss by first rate: " + ", ".join(
            f"{r:g}: {v:.3f}" for r, v in zip(rates, ends[adjusts].mean(axis=0), strict=True)
        ))  # fmt: skip
    claim("From a rate that is far too small, adjusting ends lower.", ends[False][:, 0] - ends[True][:, 0])
    best = ends[False].mean(axis=0).argmin()
    claim("From the best fixed rate, adjusting ends lower.", (ends[False] - ends[True])[:, best])


if __name__ == "__main__":
    main()
