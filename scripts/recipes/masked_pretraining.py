"""Masked words: a small BERT, pre-trained on texts without labels, and what that is worth for tagging with few labels.

    JITNET_DATA_DIR=FOLDER python scripts/recipes/masked_pretraining.py

A Transformer's encoder first learns to guess words that were hidden (Devlin et al. 2019): 15 % of them, of Shakespeare
and of the English Web Treebank without its tags. Then it learns the tags of 1 %, 10 % and all of the treebank's
sentences, beside the same network that begins with random weights. FOLDER has the files of character_model.py and
tagging.py.
"""

import re

import numpy as np
from recipe import arguments, data_file, figure, save
from tagging import flat, sentences

import jitnet
from jitnet import layers, ops, optimizers
from jitnet.utils import SequenceBatches

STEPS, HIDDEN = 64, 10  # words in a row, and how many of them are hidden
EPOCHS = {0.01: 60, 0.1: 20, 1.0: 6}  # fraction of the labels: epochs


def encoder(words: int, width: int, blocks: int) -> jitnet.Model:
    tokens = layers.Input((None,), dtype="int64")
    there = ops.not_equal(tokens, 0)
    x = layers.TokenAndPositionEmbedding(words, STEPS, width)(tokens)
    for _ in range(blocks):
        x = layers.TransformerEncoder(2 * width, num_heads=4, dropout=0.1, activation="gelu", normalize_first=True)(
            x, padding_mask=there
        )
    return jitnet.Model(tokens, layers.LayerNormalization()(x))


def hidden(rows, words: int, generator):
    """(rows with hidden words, places of those (N, HIDDEN)), and the words."""
    places = generator.random(rows.shape).argsort(axis=1)[:, :HIDDEN]
    right = np.take_along_axis(rows, places, axis=1)
    # most become the mask, which is the last word, some another word, and some stay as they are
    kind = generator.random(places.shape)
    shown = np.where(kind < 0.8, words - 1, np.where(kind < 0.9, generator.integers(2, words - 1, places.shape), right))
    rows = rows.copy()
    np.put_along_axis(rows, places, shown, axis=1)
    return [rows, places], right


def pretrained(body, rows, words: int, epochs: int, seed: int):
    """The weights after learning to guess hidden words, and the losses."""
    tokens, places = layers.Input((STEPS,), dtype="int64"), layers.Input((HIDDEN,), dtype="int64")
    x = ops.matmul(ops.one_hot(places, STEPS), body(tokens))  # of the hidden places alone
    model = jitnet.Model([tokens, places], layers.Dense(words)(x))
    steps = epochs * -(-len(rows) // 64)
    rate = optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1e-3, warmup_steps=steps // 10 + 1)
    loss = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.AdamW(rate, weight_decay=0.01), loss)
    generator, losses = np.random.default_rng(seed), []
    for _ in range(epochs):
        model.fit(*hidden(rows, words, generator), batch_size=64, verbose=0)
        losses.append(model.evaluate(*hidden(rows[:512], words, generator), verbose=0))
    return body.get_weights(), losses


def accuracy(body, train, test, tags: int, epochs: int, seed: int) -> float:
    """Of the test's words, after learning the tags of ``train``."""
    model = jitnet.Sequential([body, layers.Dropout(0.2), layers.Dense(tags)])
    model.compile(optimizers.Adam(1e-3), jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(SequenceBatches(*train, batch_size=16, seed=seed), epochs=epochs, verbose=0)
    guesses = model.predict(SequenceBatches(test[0], batch_size=64), verbose=0).argmax(axis=-1)
    right = [guess[: len(tags)] == tags for guess, tags in zip(guesses, test[1], strict=True)]
    return float(np.concatenate(right).mean())


def pieces(rows) -> list:
    """Sentences in pieces of as many words as the encoder takes."""
    return [row[i : i + STEPS] for row in rows for i in range(0, len(row), STEPS)]


def main():
    given = arguments(
        __doc__, epochs=(15, 1), width=(96, 8), blocks=(3, 1), words=(8000, 300), sentences=(0, 200), seeds=(3, 1)
    )
    train, test = (sentences(f"en_ewt_{part}.tsv.gz", given.sentences) for part in ("train", "test"))
    play = re.findall(r"\w+|[^\w\s]", data_file("text/tinyshakespeare.txt").read_text(encoding="utf-8"))
    lookup = layers.StringLookup(max_tokens=given.words - 1, mask_token="")
    unlabelled = [word.lower() for word in [*flat(train[0]), *play[: 5000 if given.quick else None]]]
    lookup.adapt(unlabelled)
    numbers = lookup(unlabelled)
    rows = numbers[: len(numbers) // STEPS * STEPS].reshape(-1, STEPS)
    known = {tag: number for number, tag in enumerate(sorted({*flat(train[1]), *flat(test[1])}))}
    train, test = (
        (
            pieces([lookup([word.lower() for word in row]) for row in words]),
            pieces([np.array([known[tag] for tag in row]) for row in tags]),
        )
        for words, tags in (train, test)
    )

    jitnet.utils.set_random_seed(given.seed)
    body = encoder(given.words, given.width, given.blocks)
    weights, losses = pretrained(body, rows, given.words, given.epochs, given.seed)
    found = {"from random weights": [], "pre-trained": []}
    for fraction, epochs in EPOCHS.items():
        of_seeds = {name: [] for name in found}
        for seed in range(given.seed, given.seed + given.seeds):
            chosen = np.random.default_rng(seed).permutation(len(train[0]))[: max(16, int(fraction * len(train[0])))]
            part = [train[0][i] for i in chosen], [train[1][i] for i in chosen]
            for name, values in of_seeds.items():
                jitnet.utils.set_random_seed(seed)
                body = encoder(given.words, given.width, given.blocks)
                if name == "pre-trained":
                    body.set_weights(weights)
                values.append(accuracy(body, part, test, len(known), 1 if given.quick else epochs, seed))
        for name, values in of_seeds.items():
            found[name].append(100 * np.mean(values))
    picture, ((left, right),) = figure(1, 2, 9, 3.6)
    left.plot(range(1, given.epochs + 1), losses)
    left.set_xlabel("epoch of the pre-training")
    left.set_ylabel("cross-entropy of hidden words")
    for name, accuracies in found.items():
        right.semilogx([100 * fraction for fraction in EPOCHS], accuracies, "o-", label=name)
    right.set_xlabel("labels, %")
    right.set_ylabel("accuracy of tags, %")
    right.legend()
    for axis in (left, right):
        axis.grid(alpha=0.3)
    save(picture, given.output, "masked_pretraining")
    said = [f"{name} {', '.join(f'{a:.1f} %' for a in accuracies)}" for name, accuracies in found.items()]
    print(f"Accuracy with 1 %, 10 % and 100 % of the labels: {'; '.join(said)}")


if __name__ == "__main__":
    main()
