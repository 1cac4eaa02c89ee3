"""Parts of speech: a bidirectional LSTM over words and their characters, and what each of these is worth.

    JITNET_DATA_DIR=FOLDER python scripts/recipes/tagging.py

FOLDER/tagging has the English Web Treebank (Silveira et al. 2014, universaldependencies.org) as a word and its tag a
line: en_ewt_train.tsv.gz, en_ewt_test.tsv.gz. A word is a learned vector, and what convolutions make of its characters'
vectors (Ma and Hovy 2016). Accuracy per word, and of the words that the training does not have, against the tag that
each word has most often, and against an LSTM that reads from left to right alone.
"""

from collections import Counter, defaultdict

import numpy as np
from recipe import arguments, claim, figure, flat, save, sentences

import jitnet
from jitnet import layers, ops, optimizers
from jitnet.utils import SequenceBatches

LETTERS = 12  # of a longer word, the first and the last half of as many
READERS = ("from left to right", "both ways", "both ways, no characters")


class Numbers:
    """Words, their characters and tags as numbers."""

    def __init__(self, words, tags):
        counts = Counter(flat(words))
        # words that are there once teach what to do with those that are not known
        self.words = layers.StringLookup(mask_token="", vocabulary=[word for word in counts if counts[word] > 1])
        self.characters = layers.TextVectorization(None, None, "character", output_sequence_length=LETTERS)
        self.characters.adapt(list(counts))
        self.tags = sorted(set(flat(tags)))

    def inputs(self, words):
        ends = np.cumsum([len(sentence) for sentence in words])[:-1]
        all_words, half = flat(words), LETTERS // 2
        short = [word if len(word) <= LETTERS else word[:half] + word[-half:] for word in all_words]
        return np.split(self.words(all_words), ends), np.split(self.characters(short), ends)

    def targets(self, tags):
        numbers = {tag: number for number, tag in enumerate(self.tags)}
        return [np.array([numbers[tag] for tag in sentence]) for sentence in tags]


def network(numbers: Numbers, reader: str, units: int) -> jitnet.Model:
    words, letters = layers.Input((None,), dtype="int64"), layers.Input((None, LETTERS), dtype="int64")
    x = layers.Embedding(numbers.words.vocabulary_size(), units)(words)
    if "no characters" not in reader:
        spelled = layers.Embedding(numbers.characters.vocabulary_size(), 16)(letters)
        spelled = ops.max(layers.Conv2D(32, (1, 3), padding="same", activation="relu")(spelled), axis=2)
        x = ops.concatenate([x, spelled], axis=-1)
    x = layers.Dropout(0.5)(x)
    lstm = layers.LSTM(units, return_sequences=True)
    # padding comes last: what reads from the end must not see it
    x = layers.Bidirectional(lstm)(x, mask=ops.not_equal(words, 0)) if "both" in reader else lstm(x)
    x = layers.Dense(len(numbers.tags))(layers.Dropout(0.3)(x))
    model = jitnet.Model([words, letters], x)
    model.compile(optimizers.Adam(2e-3), jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def tags_by_network(reader, numbers, train, test, units, epochs, seed):
    """The tags of the test's words, one after the other."""
    jitnet.utils.set_random_seed(seed)
    model = network(numbers, reader, units)
    batches = SequenceBatches(numbers.inputs(train[0]), numbers.targets(train[1]), batch_size=32, seed=seed)
    model.fit(batches, epochs=epochs, verbose=0)
    found = model.predict(SequenceBatches(numbers.inputs(test[0]), batch_size=64), verbose=0).argmax(-1)
    return [numbers.tags[number] for row, words in zip(found, test[0], strict=True) for number in row[: len(words)]]


def most_frequent_tags(train, test):
    """Each word's most frequent tag; of one that is not known, that of the words that are there once."""
    tags = defaultdict(Counter)
    for word, tag in zip(flat(train[0]), flat(train[1]), strict=True):
        tags[word][tag] += 1
    once = sum((counts for counts in tags.values() if counts.total() == 1), Counter())
    return [tags.get(word, once).most_common(1)[0][0] for word in flat(test[0])]


def main():
    given = arguments(__doc__, epochs=(6, 1), seeds=(3, 1), units=(100, 8), sentences=(0, 200))
    train, test = (sentences(f"en_ewt_{part}.tsv.gz", given.sentences) for part in ("train", "test"))
    numbers, known = Numbers(*train), set(flat(train[0]))
    right = np.array(flat(test[1]))
    unknown = np.array([word not in known for word in flat(test[0])])

    def accuracies(tags):
        """Of all words and of those that the training does not have, in percent."""
        found = np.array(tags) == right
        return 100 * found.mean(), 100 * found[unknown].mean()

    guesses = {"most frequent tag": [most_frequent_tags(train, test)]}
    for reader in READERS:
        guesses[reader] = [
            tags_by_network(reader, numbers, train, test, given.units, given.epochs, seed)
            for seed in range(given.seed, given.seed + given.seeds)
        ]
    found = {name: np.array([accuracies(tags) for tags in seeds]) for name, seeds in guesses.items()}
    picture, ((axis,),) = figure(1, 1, 7, 3.6)
    for shift, (name, values) in enumerate(found.items()):
        axis.bar(np.arange(2) + 0.2 * shift, values.mean(axis=0), 0.18, yerr=values.std(axis=0), label=name)
    axis.set_xticks([0.3, 1.3], ["all words", f"words not in the training ({unknown.mean():.0%})"])
    axis.set(ylabel="accuracy, %", ylim=(0, 100))
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3, axis="y")
    save(picture, given.output, "tagging")
    print(f"Accuracy, {given.seeds} seeds: " + "; ".join(
        f"{name} {of[:, 0].mean():.1f} ± {of[:, 0].std():.1f} % ({of[:, 1].mean():.1f} % of unknown words)"
        for name, of in found.items()
    ))  # fmt: skip
    counted, onward, both, wordwise = found.values()
    claim("Reading both ways beats reading from left to right.", both[:, 0] - onward[:, 0])
    claim("Characters help with words that the training does not have.", both[:, 1] - wordwise[:, 1])
    claim("Every network beats the most frequent tag.", np.min([onward, both, wordwise], 0)[:, 0] - counted[0, 0])


if __name__ == "__main__":
    main()
