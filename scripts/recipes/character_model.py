"""A model of characters: what comes next in Shakespeare, by an LSTM and a GRU; and by PyTorch's, trained alike.

    JITNET_DATA_DIR=FOLDER python scripts/recipes/character_model.py [--compare torch]

FOLDER/text/tinyshakespeare.txt (Karpathy 2015) is cut into windows of 64 characters; the last tenth of the text is held
out, and measured in bits per character. PyTorch's networks begin with the same weights and see the same batches: only
rounding, and where Adam adds its epsilon, tell them from jitnet's.
"""

import numpy as np
from recipe import arguments, claim, data_file, figure, save

import jitnet
from jitnet import layers, optimizers

STEPS, BATCH, RATE = 64, 64, 2e-3
CELLS = {"LSTM": layers.LSTM, "GRU": layers.GRU}


def windows(numbers):
    """Windows of characters (N, STEPS), and of those that follow each of them."""
    count = (len(numbers) - 1) // STEPS // BATCH * BATCH
    return tuple(numbers[i : i + count * STEPS].reshape(count, STEPS) for i in (0, 1))


def network(cell, characters: int, units: int) -> jitnet.Model:
    stack = [layers.Embedding(characters, 32), cell(units, return_sequences=True), layers.Dense(characters)]
    model = jitnet.Sequential([layers.Input((None,), dtype="int64"), *stack])
    model.compile(optimizers.Adam(RATE), jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def trained(model, data, held, orders):
    """Bits per character of what was held out, after each epoch, which has its order of the windows."""
    bits = []
    for order in orders:
        model.fit(data[0][order], data[1][order], batch_size=BATCH, shuffle=False, verbose=0)
        bits.append(model.evaluate(*held, batch_size=BATCH, verbose=0) / np.log(2))
    return bits


def trained_by_torch(weights, name: str, data, held, orders):
    """The same, by PyTorch, from the same weights."""
    import torch

    vectors, kernel, recurrent, bias, out, out_bias = map(torch.tensor, weights)
    embedding = torch.nn.Embedding.from_pretrained(vectors, freeze=False)
    rnn = getattr(torch.nn, name)(vectors.shape[1], len(recurrent), batch_first=True)
    dense = torch.nn.Linear(*out.shape)
    if name == "GRU":  # PyTorch's gates are r, z, n
        parts = (part.chunk(3, -1) for part in (kernel, recurrent, bias))
        kernel, recurrent, bias = (torch.cat([r, z, n], -1) for z, r, n in parts)
    else:  # one bias is enough
        bias = torch.stack([bias, torch.zeros_like(bias)])
        rnn.bias_hh_l0.requires_grad_(False)
    with torch.no_grad():
        values = (kernel.T, recurrent.T, *bias, out.T, out_bias)
        for parameter, value in zip([*rnn.parameters(), *dense.parameters()], values, strict=True):
            parameter.copy_(value)
    learned = [*embedding.parameters(), *rnn.parameters(), *dense.parameters()]
    optimizer = torch.optim.Adam(learned, RATE, eps=1e-7)
    data, held = ([torch.tensor(part) for part in parts] for parts in (data, held))

    def loss_of(x, y):
        logits = dense(rnn(embedding(x))[0])
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())

    bits = []
    for order in orders:
        for chosen in torch.tensor(order).split(BATCH):
            optimizer.zero_grad()
            loss_of(data[0][chosen], data[1][chosen]).backward()
            optimizer.step()
        with torch.no_grad():
            bits.append(loss_of(*held).item() / np.log(2))
    return bits


def main():
    given = arguments(__doc__, epochs=(4, 1), seeds=(3, 1), units=(128, 16), characters=(0, 60_000), compare=("", ""))
    text = data_file("text/tinyshakespeare.txt").read_text(encoding="utf-8")[: given.characters or None]
    vectorize = layers.TextVectorization(standardize=None, split="character")
    vectorize.adapt([text])
    numbers, vocabulary = vectorize(text), vectorize.get_vocabulary()
    tenth = -len(numbers) // 10
    data, held = windows(numbers[:tenth]), windows(numbers[tenth:])
    picture, (axes,) = figure(1, 2, 9, 3.6)
    said, last = [], {}
    for (name, cell), axis in zip(CELLS.items(), axes, strict=True):
        found = {"jitnet": []} | ({"PyTorch": []} if given.compare == "torch" else {})
        for seed in range(given.seed, given.seed + given.seeds):
            jitnet.utils.set_random_seed(seed)
            model = network(cell, len(vocabulary), given.units)
            weights, random = model.get_weights(), np.random.default_rng(seed)
            orders = [random.permutation(len(data[0])) for _ in range(given.epochs)]
            found["jitnet"].append(trained(model, data, held, orders))
            if "PyTorch" in found:
                found["PyTorch"].append(trained_by_torch(weights, name, data, held, orders))
        start, length = [vocabulary.index("\n")], 20 if given.quick else 300
        sample = jitnet.text.generate(model, start, length, method="sample", temperature=0.7, seed=given.seed)
        print(f"  {name}:", *"".join(vocabulary[number] for number in sample[1:]).splitlines(), sep="\n  ")
        for (who, curves), line in zip(found.items(), ("-", "--"), strict=False):
            axis.plot(range(1, given.epochs + 1), np.mean(curves, axis=0), line, label=who)
            last[name, who] = np.array(curves)[:, -1]
            said.append(f"{name} {who} {last[name, who].mean():.3f} ± {last[name, who].std():.3f}")
        axis.set(title=name, xlabel="epoch", ylabel="bits per character, held out")
        axis.legend()
        axis.grid(alpha=0.3)
    save(picture, given.output, "character_model")
    print(f"Bits per character, held out, {given.seeds} seeds: {', '.join(said)}")
    claim("A GRU, of three quarters of an LSTM's weights, needs fewer bits.",
          last["LSTM", "jitnet"] - last["GRU", "jitnet"])  # fmt: skip
    for name in CELLS if given.compare else ():
        ours, theirs = last[name, "jitnet"], last[name, "PyTorch"]
        claim(f"{name}: PyTorch's bits are jitnet's within the seeds' noise.",
              abs(ours.mean() - theirs.mean()) < np.hypot(ours.std(), theirs.std()))  # fmt: skip


if __name__ == "__main__":
    main()
