"""Masked words: a small BERT, pre-trained on texts without labels, and what that is worth for tagging with few labels.

    JITNET_DATA_DIR=FOLDER python scripts/recipes/masked_pretraining.py

A Transformer's encoder first learns to guess words that were hidden (Devlin et al. 2019): 15 % of them, of Shakespeare
and of the English Web Treebank without its tags. Then it learns the tags of 1 %, 10 % and all of the treebank's
sentences, beside the same network that begins with random weights. FOLDER has the files of character_model.py and
tagging.py.
"""

import re

import numpy as np
from recipe import arguments, claim, data_file, figure, flat, save, sentences

import jitnet
from jitnet import layers, ops, optimizers
from jitnet.utils import SequenceBatches

STEPS, HIDDEN = 64, 10  # words in a row, and how many of them are hidden
EPOCHS = {1: 60, 10: 20, 100: 4}  # labels in %: epochs
LOSS = jitnet.losses.SparseCategoricalCrossentropy(from_logits=True)


def encoder(words: int, width: int) -> jitnet.Model:
    tokens = layers.Input((None,), dtype="int64")
    x = layers.TokenAndPositionEmbedding(words, STEPS, width)(tokens)
    for _ in range(3):
        block = layers.TransformerEncoder(2 * width, num_heads=4, dropout=0.1, activation="gelu", normalize_first=True)
        x = block(x, padding_mask=ops.not_equal(tokens, 0))
    return jitnet.Model(tokens, layers.LayerNormalization()(x))


def hidden(rows, words: int, random):
    """(rows with hidden words, places of those (N, HIDDEN)), and the words."""
    places = random.random(rows.shape).argsort(axis=1)[:, :HIDDEN]
    right, rows = np.take_along_axis(rows, places, axis=1), rows.copy()
    # most become the mask, which is the last word, some another word, and some stay as they are
    kind, others = random.random(places.shape), random.integers(2, words - 1, places.shape)
    np.put_along_axis(rows, places, np.where(kind < 0.8, words - 1, np.where(kind < 0.9, others, right)), axis=1)
    return [rows, places], right


def pretrained(body, rows, words: int, epochs: int, seed: int):
    """The weights after learning to guess hidden words, and the losses."""
    tokens, places = layers.Input((STEPS,), dtype="int64"), layers.Input((HIDDEN,), dtype="int64")
    of_places = ops.matmul(ops.one_hot(places, STEPS), body(tokens))
    model = jitnet.Model([tokens, places], layers.Dense(words)(of_places))
    steps = epochs * -(-len(rows) // 64)
    rate = optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1e-3, warmup_steps=steps // 10 + 1)
    model.compile(optimizers.AdamW(rate, weight_decay=0.01), LOSS)
    random = np.random.default_rng(seed)
    fits = [model.fit(*hidden(rows, words, random), batch_size=64, verbose=0) for _ in range(epochs)]
    return body.get_weights(), [fit.history["loss"][0] for fit in fits]


def accuracy(body, train, test, tags: int, epochs: int, seed: int) -> float:
    """Of the test's words, after learning the tags of ``train``."""
    model = jitnet.Sequential([body, layers.Dropout(0.2), layers.Dense(tags)])
    model.compile(optimizers.Adam(1e-3), LOSS)
    model.fit(SequenceBatches(*train, batch_size=16, seed=seed), epochs=epochs, verbose=0)
    guesses = model.predict(SequenceBatches(test[0], batch_size=64), verbose=0).argmax(axis=-1)
    return float(np.concatenate([g[: len(tags)] == tags for g, tags in zip(guesses, test[1], strict=True)]).mean())


def pieces(rows) -> list:
    """Sentences in pieces of as many words as the encoder takes."""
    return [np.array(row[i : i + STEPS]) for row in rows for i in range(0, len(row), STEPS)]


def texts(given):
    """Rows of words without labels, and (sentences, their tags) to train with and to test with, all as numbers."""
    parts = [sentences(f"en_ewt_{part}.tsv.gz", given.sentences) for part in ("train", "test")]
    play = re.findall(r"\w+|[^\w\s]", data_file("text/tinyshakespeare.txt").read_text(encoding="utf-8"))
    lookup = layers.StringLookup(max_tokens=given.words - 1, mask_token="")
    unlabelled = [word.lower() for word in [*flat(parts[0][0]), *play[: 5000 if given.quick else None]]]
    lookup.adapt(unlabelled)
    rows = lookup(unlabelled)[: len(unlabelled) // STEPS * STEPS].reshape(-1, STEPS)
    known = {tag: number for number, tag in enumerate(sorted({tag for _, tags in parts for tag in flat(tags)}))}
    numbered = [([lookup([w.lower() for w in s]) for s in words], [[known[t] for t in s] for s in tags])
                for words, tags in parts]  # fmt: skip
    return rows, *(tuple(map(pieces, pair)) for pair in numbered), len(known)


def main():
    given = arguments(__doc__, epochs=(15, 1), width=(96, 8), words=(8000, 300), sentences=(0, 200), seeds=(3, 1))
    rows, train, test, tags = texts(given)
    weights, losses = pretrained(encoder(given.words, given.width), rows, given.words, given.epochs, given.seed)
    found = {"from random weights": [], "pre-trained": []}
    for percent, epochs in EPOCHS.items():
        count = max(16, percent * len(train[0]) // 100)
        for name, table in found.items():
            table.append([])
            for seed in range(given.seed, given.seed + given.seeds):
                chosen = np.random.default_rng(seed).permutation(len(train[0]))[:count]
                part = tuple([rows[i] for i in chosen] for rows in train)
                jitnet.utils.set_random_seed(seed)
                body = encoder(given.words, given.width)
                body.set_weights(weights if name == "pre-trained" else body.get_weights())
                table[-1].append(100 * accuracy(body, part, test, tags, 1 if given.quick else epochs, seed))
    picture, ((left, right),) = figure(1, 2, 9, 3.6)
    left.plot(range(1, given.epochs + 1), losses)
    left.set(xlabel="epoch of the pre-training", ylabel="cross-entropy of hidden words")
    for name, table in found.items():
        right.errorbar(EPOCHS.keys(), np.mean(table, axis=1), np.std(table, axis=1), fmt="o-", label=name)
    right.set(xscale="log", xlabel="labels, %", ylabel="accuracy of tags, %")
    right.legend()
    left.grid(alpha=0.3)
    right.grid(alpha=0.3)
    save(picture, given.output, "masked_pretraining")
    said = [f"{name} {', '.join(f'{np.mean(a):.1f} ± {np.std(a):.1f} %' for a in t)}" for name, t in found.items()]
    print(f"Accuracy with 1 %, 10 % and 100 % of the labels: {'; '.join(said)}")
    for percent, random, better in zip(EPOCHS, *found.values(), strict=True):
        claim(f"With {percent} % of the labels pre-training gives a better accuracy.", np.subtract(better, random))


if __name__ == "__main__":
    main()
