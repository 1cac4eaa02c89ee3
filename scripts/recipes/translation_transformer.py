"""Dates in any form to ISO form by a Transformer, against an LSTM that hands on its last state.

    JITNET_DATA_DIR=FOLDER python scripts/recipes/translation_transformer.py

An encoder of two blocks and a decoder of two (Vaswani et al. 2017, normalised before each part) translate
"september 27, 1994" into "1994-09-27", beside an encoder-decoder of LSTMs of about as many weights. Both take the
likeliest letter each time. FOLDER/text/dates.txt is that of dates.py.
"""

import time

import numpy as np
from recipe import arguments, claim, data_file, exact_answers, figure, numbers_of_characters, save

import jitnet
from jitnet import layers, optimizers

ASKED, ANSWERED = 29, 10  # letters


def transformer(characters: int, width: int) -> jitnet.Model:
    question, answer = layers.Input((ASKED,), dtype="int64"), layers.Input((ANSWERED,), dtype="int64")
    x = layers.TokenAndPositionEmbedding(characters, ASKED, width)(question)
    for _ in range(2):
        x = layers.TransformerEncoder(2 * width, num_heads=4, normalize_first=True)(x)
    read = layers.LayerNormalization()(x)
    x = layers.TokenAndPositionEmbedding(characters, ANSWERED, width)(answer)
    for _ in range(2):
        x = layers.TransformerDecoder(2 * width, num_heads=4, normalize_first=True)(x, read)
    return jitnet.Model([question, answer], layers.Dense(characters)(layers.LayerNormalization()(x)))


def recurrent(characters: int, width: int) -> jitnet.Model:
    question, answer = layers.Input((ASKED,), dtype="int64"), layers.Input((ANSWERED,), dtype="int64")
    _, *states = layers.LSTM(2 * width, return_state=True)(layers.Embedding(characters, width)(question))
    lstm = layers.LSTM(2 * width, return_sequences=True)
    x = lstm(layers.Embedding(characters, width)(answer), initial_state=states)
    return jitnet.Model([question, answer], layers.Dense(characters)(x))


def main():
    given = arguments(__doc__, epochs=(10, 1), lines=(50_000, 500), width=(64, 8))
    lines = data_file("text/dates.txt").read_text().splitlines()
    lines = [lines[i] for i in np.random.default_rng(given.seed).permutation(len(lines))[: given.lines]]
    numbers, vocabulary = numbers_of_characters(lines)
    questions, answers, test = numbers[:, :ASKED], numbers[:, ASKED:], len(lines) // 10
    picture, ((axis,),) = figure(1, 1, 6, 4)
    said = []
    ends = []
    for name, make in (("Transformer", transformer), ("LSTM", recurrent)):
        jitnet.utils.set_random_seed(given.seed)
        model = make(len(vocabulary), given.width)
        loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizers.Adam(1e-3, global_clipnorm=5.0), loss)
        curve, seconds = [], 0.0
        for epoch in range(given.epochs):
            start = time.perf_counter()
            model.fit([questions[test:], answers[test:, :-1]], answers[test:, 1:], batch_size=128, verbose=0)
            seconds += time.perf_counter() - start
            count = test if epoch == given.epochs - 1 else min(test, 1000)
            right = exact_answers(model, questions[:count], answers[:count])
            curve.append(100 * right.mean())
        ends.append(right)
        axis.plot(
            range(1, given.epochs + 1), curve, "o-", markersize=3, label=f"{name}, {model.count_params():,} weights"
        )
        said.append(f"{name} {curve[-1]:.2f} % ({seconds / given.epochs:.0f} s an epoch)")
    axis.set(xlabel="epoch", ylabel="exact dates, held out, %", ylim=(0, 102))
    axis.legend()
    axis.grid(alpha=0.3)
    save(picture, given.output, "translation_transformer")
    print(f"Exact dates, held out, after {given.epochs} epochs: {', '.join(said)}")
    claim("The Transformer writes more dates without a fault, in %.", 100.0 * ends[0] - 100.0 * ends[1], "dates")


if __name__ == "__main__":
    main()
