"""Adding numbers letter by letter: an encoder-decoder, its input reversed, and with the encoder's state at each step.

    JITNET_DATA_DIR=FOLDER python scripts/recipes/addition.py

"16+75" goes in as letters, "91" comes out as letters (Sutskever et al. 2014): an LSTM reads the question, its last
state is the first one of an LSTM that writes the answer. Reversed, the question's first letters are nearer to the
answer's, and a decoder that sees the encoder's state at every step ("peeky", Cho et al. 2014) doesn't have to remember
it. Deep Learning from Scratch 2, chapter 7, has the experiment: about 10 %, 55 % and more than 90 % of exact answers
after 25 epochs; for the sake of time, there are 20 here. It begins with normal weights of variance 1 / inputs and
biases of zero ("the book's" below), Keras with orthogonal recurrent weights and forget gates that are open: of these,
12 epochs are run. FOLDER/text/addition.txt has 50,000 lines like "16+75  _91  ".
"""

import numpy as np
from recipe import arguments, claim, data_file, exact_answers, figure, numbers_of_characters, save

import jitnet
from jitnet import initializers, layers, ops, optimizers

WAYS = {"plain": (False, False), "reversed": (True, False), "reversed, state at each step": (True, True)}
UNITS = 128


def book() -> dict:
    """The arguments of an LSTM's weights as the book has them."""
    normal = initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
    return {"kernel_initializer": normal, "recurrent_initializer": normal, "unit_forget_bias": False}


BEGINNINGS = {"the book's weights": (book, 1.0), "Keras's": (dict, 0.6)}  # and the fraction of the epochs


def network(characters: int, peeky: bool, beginning) -> jitnet.Model:
    question, answer = layers.Input((7,), dtype="int64"), layers.Input((4,), dtype="int64")
    _, h, c = layers.LSTM(UNITS, return_state=True, **beginning())(layers.Embedding(characters, 16)(question))
    x = layers.Embedding(characters, 16)(answer)
    seen = layers.RepeatVector(4)(h)
    if peeky:
        x = ops.concatenate([x, seen], axis=-1)
    x = layers.LSTM(UNITS, return_sequences=True, **beginning())(x, initial_state=[h, c])
    if peeky:
        x = ops.concatenate([x, seen], axis=-1)
    return jitnet.Model([question, answer], layers.Dense(characters)(x))


def exact(reverse: bool, peeky: bool, beginning, data, epochs: int):
    """The fraction of exact answers to the questions that were held out, after each epoch."""
    questions, answers, characters, test = data
    questions = questions[:, ::-1].copy() if reverse else questions
    model = network(characters, peeky, beginning)
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(1e-3, global_clipnorm=5.0), loss)
    found = []
    for epoch in range(epochs):
        model.fit([questions[test:], answers[test:, :4]], answers[test:, 1:], batch_size=128, verbose=0)
        count = test if epoch == epochs - 1 else min(test, 1000)
        found.append(exact_answers(model, questions[:count], answers[:count]).mean())
    return found


def main():
    given = arguments(__doc__, epochs=(20, 1), lines=(50_000, 1_000), seeds=(3, 1))
    lines = data_file("text/addition.txt").read_text().splitlines()
    lines = [lines[i] for i in np.random.default_rng(given.seed).permutation(len(lines))[: given.lines]]
    numbers, vocabulary = numbers_of_characters(lines)
    data = numbers[:, :7], numbers[:, 7:], len(vocabulary), len(lines) // 10
    picture, (axes,) = figure(1, len(BEGINNINGS))
    for axis, (beginning, (weights, fraction)) in zip(axes, BEGINNINGS.items(), strict=True):
        results, ends, count = [], [], max(1, round(fraction * given.epochs))
        for name, (reverse, peeky) in WAYS.items():
            found = []
            for seed in range(given.seed, given.seed + given.seeds):
                jitnet.utils.set_random_seed(seed)
                found.append(exact(reverse, peeky, weights, data, count))
            found, epochs = 100 * np.array(found), range(1, count + 1)
            line = axis.plot(epochs, found.mean(axis=0), "o-", markersize=3, label=name)[0]
            axis.fill_between(epochs, found.min(axis=0), found.max(axis=0), alpha=0.2, color=line.get_color())
            ends.append(found[:, -1])
            results.append(f"{name} {found[:, -1].mean():.1f} % ({found[:, -1].min():.1f} to {found[:, -1].max():.1f})")
        axis.set(title=beginning, xlabel="epoch", ylabel="exact answers, held out, %", ylim=(0, 100))
        axis.legend()
        axis.grid(alpha=0.3)
        print(f"{beginning}, {count} epochs, {given.seeds} seeds, exact answers: " + ", ".join(results))
        claim(f"{beginning}: reversed questions are answered better, in %.", ends[1] - ends[0])
        claim(f"{beginning}: the state at each step helps again.", ends[2] - ends[1])
    save(picture, given.output, "addition")


if __name__ == "__main__":
    main()
