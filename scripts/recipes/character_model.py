"""A model of characters: what comes next in Shakespeare, by an LSTM and a GRU; and by PyTorch's, trained alike.

    JITNET_DATA_DIR=FOLDER python scripts/recipes/character_model.py [--compare torch]

FOLDER/text/tinyshakespeare.txt (Karpathy 2015) is cut into windows of 64 characters; the last tenth of the text is held
out, and measured in bits per character. PyTorch's networks begin with the same weights and see the same batches, so
that only rounding tells them from jitnet's.
"""

import numpy as np
from recipe import arguments, data_file, figure, save

import jitnet
from jitnet import layers, optimizers

STEPS, BATCH, RATE = 64, 64, 2e-3
CELLS = {"LSTM": layers.LSTM, "GRU": layers.GRU}


def windows(numbers):
    """Windows of characters (N, STEPS), and of those that follow each of them."""
    count = (len(numbers) - 1) // STEPS // BATCH * BATCH
    return tuple(numbers[i : i + count * STEPS].reshape(count, STEPS) for i in (0, 1))


def orders(count: int, epochs: int, seed: int):
    generator = np.random.default_rng(seed)
    return [generator.permutation(count) for _ in range(epochs)]


def network(cell, characters: int, units: int) -> jitnet.Model:
    model = jitnet.Sequential(
        [
            layers.Input((None,), dtype="int64"),
            layers.Embedding(characters, 32),
            cell(units, return_sequences=True),
            layers.Dense(characters),
        ]
    )
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(RATE), loss)
    return model


def trained(model, data, held, epochs: int, seed: int):
    """Bits per character of what was held out, after each epoch."""
    bits = []
    for order in orders(len(data[0]), epochs, seed):
        model.fit(data[0][order], data[1][order], batch_size=BATCH, shuffle=False, verbose=0)
        bits.append(model.evaluate(*held, batch_size=BATCH, verbose=0) / np.log(2))
    return bits


def trained_by_torch(weights, name: str, data, held, epochs: int, seed: int):
    """The same, by PyTorch, from the same weights."""
    import torch

    vectors, kernel, recurrent, bias, out, out_bias = map(torch.tensor, weights)
    units = recurrent.shape[0]
    embedding = torch.nn.Embedding.from_pretrained(vectors, freeze=False)
    rnn = getattr(torch.nn, name)(vectors.shape[1], units, batch_first=True)
    dense = torch.nn.Linear(units, out.shape[1])
    if name == "GRU":  # PyTorch's gates are r, z, n
        kernel, recurrent, bias = (
            torch.cat([part[..., units : 2 * units], part[..., :units], part[..., 2 * units :]], -1)
            for part in (kernel, recurrent, bias)
        )
    else:  # one bias is enough
        bias = torch.stack([bias, torch.zeros_like(bias)])
        rnn.bias_hh_l0.requires_grad_(False)
    with torch.no_grad():
        pairs = (rnn.weight_ih_l0, kernel.T), (rnn.weight_hh_l0, recurrent.T), (rnn.bias_ih_l0, bias[0])
        for parameter, value in (*pairs, (rnn.bias_hh_l0, bias[1]), (dense.weight, out.T), (dense.bias, out_bias)):
            parameter.copy_(value)
    network = torch.nn.ModuleList([embedding, rnn, dense])
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], RATE, eps=1e-7)
    data, held = ([torch.tensor(part) for part in parts] for parts in (data, held))

    def loss_of(x, y):
        logits = dense(rnn(embedding(x))[0])
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())

    bits = []
    for order in orders(len(data[0]), epochs, seed):
        for chosen in torch.tensor(order).split(BATCH):
            optimizer.zero_grad()
            loss_of(data[0][chosen], data[1][chosen]).backward()
            optimizer.step()
        with torch.no_grad():
            parts = [loss_of(x, y) for x, y in zip(held[0].split(BATCH), held[1].split(BATCH), strict=True)]
        bits.append(float(torch.stack(parts).mean()) / np.log(2))
    return bits


def sample(model, vocabulary: list, length: int, seed: int) -> str:
    """A text that the model makes up."""
    start = [vocabulary.index("\n")]
    found = jitnet.text.generate(model, start, length, method="sample", temperature=0.7, seed=seed)
    return "".join(vocabulary[number] for number in found[1:])


def main():
    given = arguments(__doc__, epochs=(10, 1), seeds=(3, 1), units=(128, 16), characters=(0, 60_000), compare=("", ""))
    text = data_file("text/tinyshakespeare.txt").read_text(encoding="utf-8")
    text = text[: given.characters or None]
    vectorize = layers.TextVectorization(standardize=None, split="character")
    vectorize.adapt([text])
    numbers, vocabulary = vectorize(text), vectorize.get_vocabulary()
    data, held = windows(numbers[: -len(numbers) // 10]), windows(numbers[-len(numbers) // 10 :])
    picture, axes = figure(1, 2, 9, 3.6)
    results = []
    for (name, cell), axis in zip(CELLS.items(), axes[0], strict=True):
        found = {"jitnet": []} | ({"PyTorch": []} if given.compare == "torch" else {})
        for seed in range(given.seed, given.seed + given.seeds):
            jitnet.utils.set_random_seed(seed)
            model = network(cell, len(vocabulary), given.units)
            weights = model.get_weights()
            found["jitnet"].append(trained(model, data, held, given.epochs, seed))
            if "PyTorch" in found:
                found["PyTorch"].append(trained_by_torch(weights, name, data, held, given.epochs, seed))
        print(f"--- {name}:\n{sample(model, vocabulary, 300 if not given.quick else 20, given.seed)}\n---")
        said = []
        for who, curves in found.items():
            axis.plot(range(1, given.epochs + 1), np.mean(curves, axis=0), "-" if who == "jitnet" else "--", label=who)
            last = [curve[-1] for curve in curves]
            said.append(f"{who} {np.mean(last):.3f} ± {np.std(last):.3f}")
        results.append(f"{name}: {', '.join(said)}")
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("epoch")
        axis.set_ylabel("bits per character, held out")
        axis.legend()
        axis.grid(alpha=0.3)
    save(picture, given.output, "character_model")
    print(f"Bits per character, held out, {given.seeds} seeds. {'; '.join(results)}")


if __name__ == "__main__":
    main()
