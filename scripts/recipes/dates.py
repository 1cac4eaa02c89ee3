"""Dates in any form to ISO form, by an encoder-decoder with Bahdanau's attention; and what it looks at.

    JITNET_DATA_DIR=FOLDER python scripts/recipes/dates.py

"september 27, 1994" goes in and "1994-09-27" comes out, letter by letter. Each letter is written from the decoder's
state and from a mean of the encoder's outputs, which the scores of Bahdanau et al. 2015 weigh anew for every letter
(Deep Learning from Scratch 2, chapter 8). FOLDER/text/dates.txt has 50,000 lines like
"september 27, 1994           _1994-09-27".
"""

import numpy as np
from recipe import arguments, claim, data_file, exact_answers, figure, numbers_of_characters, save

import jitnet
from jitnet import layers, ops, optimizers

ASKED, ANSWERED = 29, 10  # letters


def networks(characters: int, units: int):
    """The model, and one of the same layers that returns the weights of the attention."""
    question, answer = layers.Input((ASKED,), dtype="int64"), layers.Input((ANSWERED,), dtype="int64")
    reader = layers.Bidirectional(layers.LSTM(units // 2, return_sequences=True, return_state=True))
    read, *states = reader(layers.Embedding(characters, 16)(question))
    states = [ops.concatenate(states[i::2], axis=-1) for i in range(2)]
    x = layers.LSTM(units, return_sequences=True)(layers.Embedding(characters, 16)(answer), initial_state=states)
    query, keys = layers.Dense(units)(x), layers.Dense(units)(read)
    seen, scores = layers.AdditiveAttention()([query, read, keys], return_attention_scores=True)
    logits = layers.Dense(characters)(ops.concatenate([x, seen], axis=-1))
    return jitnet.Model([question, answer], logits), jitnet.Model([question, answer], scores)


def main():
    given = arguments(__doc__, epochs=(6, 1), lines=(50_000, 500), units=(128, 16))
    lines = data_file("text/dates.txt").read_text().splitlines()
    lines = [lines[i] for i in np.random.default_rng(given.seed).permutation(len(lines))[: given.lines]]
    numbers, vocabulary = numbers_of_characters(lines)
    questions, answers, test = numbers[:, :ASKED], numbers[:, ASKED:], len(lines) // 10
    model, maps = networks(len(vocabulary), given.units)
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(2e-3, global_clipnorm=5.0), loss)
    curve = []
    for epoch in range(given.epochs):
        model.fit([questions[test:], answers[test:, :-1]], answers[test:, 1:], batch_size=128, verbose=0)
        count = test if epoch == given.epochs - 1 else min(test, 1000)
        curve.append(100 * exact_answers(model, questions[:count], answers[:count]).mean())
    weights = maps.predict([questions[:3], answers[:3, :-1]], verbose=0)
    picture, ((learning, *axes),) = figure(1, 4, 13, 4)
    learning.plot(range(1, given.epochs + 1), curve, "o-")
    learning.set(xlabel="epoch", ylabel="exact dates, held out, %", ylim=(0, 102))
    learning.grid(alpha=0.3)
    for axis, line, seen in zip(axes, lines[:3], weights, strict=True):
        asked = line[:ASKED].rstrip()
        axis.imshow(seen[:, : len(asked)].T, cmap="Greys", aspect="auto", vmin=0)
        axis.set_xticks(range(ANSWERED), line[ASKED + 1 :])
        axis.set_yticks(range(len(asked)), asked, fontsize=7)
        axis.set_xlabel("answer")
    axes[0].set_ylabel("attention to the question")
    save(picture, given.output, "dates")
    print(f"Exact dates, held out, after {given.epochs} epochs: {curve[-1]:.2f} % of {test}")
    claim("With attention, at least 99 % of the dates that were held out are exact.", curve[-1] >= 99)


if __name__ == "__main__":
    main()
