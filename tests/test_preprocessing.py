"""The functions of jitnet.preprocessing that older scripts use: by their examples, and against Keras's own."""

import doctest
import json
import random

import keras_cases
import numpy as np
import pytest

import jitnet
from jitnet.preprocessing import sequence, text

keras = keras_cases.load_keras()
TEXTS = ["The cat sat on the mat.", "The dog, a big dog, ate my homework!", "", "a-b\tcat\nDOG"]


def keras_module(name):
    if keras is None:
        pytest.skip("needs Keras with its torch backend")
    import importlib

    return importlib.import_module(f"keras.src.legacy.preprocessing.{name}")


@pytest.mark.parametrize("module", [sequence, text])
def test_examples(module):
    found = doctest.testmod(module, extraglobs={"np": np})
    assert found.attempted > 2 and found.failed == 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_words": 4},
        {"num_words": 5, "oov_token": "<unk>"},
        {"oov_token": "<unk>", "lower": False},
        {"char_level": True, "num_words": 6},
        {"filters": "t.", "split": "a"},
        {"analyzer": str.split},
    ],
)
def test_tokenizer_against_keras(options):
    theirs, ours = keras_module("text").Tokenizer(**options), text.Tokenizer(**options)
    for tokenizer in (theirs, ours):
        tokenizer.fit_on_texts(TEXTS[:2])
        tokenizer.fit_on_texts(TEXTS[2:])
    for name in ("word_index", "index_word", "word_counts", "word_docs", "index_docs", "document_count"):
        assert getattr(ours, name) == getattr(theirs, name), name
    seen = [*TEXTS, "the zebra and the dog", ["The", "mat", "zebra"]]
    rows = ours.texts_to_sequences(seen)
    assert rows == theirs.texts_to_sequences(seen)
    numbers = [*rows, [0, 1, 2, 999]]
    assert ours.sequences_to_texts(numbers) == theirs.sequences_to_texts(numbers)
    for mode in ("binary", "count", "freq", "tfidf"):
        found = ours.texts_to_matrix(seen, mode)
        np.testing.assert_allclose(found, theirs.texts_to_matrix(seen, mode), rtol=1e-12)
        assert found.dtype == np.float64
    again = text.tokenizer_from_json(theirs.to_json(indent=1))
    assert json.loads(again.to_json())["config"] == json.loads(ours.to_json())["config"]
    if "analyzer" not in options:
        assert again.texts_to_sequences(seen) == rows


def test_a_tokenizer_of_sequences():
    tokenizer = text.Tokenizer(num_words=4)
    rows = [[1, 2, 2, 7], [3], [2]]
    assert tokenizer.sequences_to_matrix(rows, "count").tolist() == [[0, 1, 2, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    assert tokenizer.sequences_to_matrix(rows, "freq")[0].tolist() == [0, 0.25, 0.5, 0]
    tokenizer.fit_on_sequences(rows)
    expected = (1 + np.log(2)) * np.log(1 + 3 / 3)
    assert tokenizer.sequences_to_matrix(rows, "tfidf")[0, 2] == pytest.approx(expected)


def test_words_as_remainders():
    assert text.text_to_word_sequence("A b,C", filters=",", lower=False) == ["A", "b", "C"]
    hashed = text.hashing_trick("the cat the", 50, "md5")
    assert hashed == keras_module("text").hashing_trick("the cat the", 50, "md5") and hashed[0] == hashed[2]
    assert text.one_hot("a b", 9) == [hash("a") % 8 + 1, hash("b") % 8 + 1]
    assert text.hashing_trick("aa bbb", 5, len, analyzer=str.split) == [3, 4]


@pytest.mark.parametrize(
    "options",
    [
        {"length": 3},
        {"length": 4, "sampling_rate": 2, "batch_size": 3},
        {"length": 5, "sampling_rate": 2, "stride": 3, "batch_size": 2, "start_index": 2},
        {"length": 2, "end_index": 9, "batch_size": 4, "reverse": True},
    ],
)
def test_windows_against_keras(options):
    data = np.arange(40).reshape(20, 2)
    theirs = keras_module("sequence").TimeseriesGenerator(data, data[:, 0], **options)
    ours = sequence.TimeseriesGenerator(data, data[:, 0], **options)
    assert len(ours) == len(theirs)
    for index in range(len(theirs)):
        for found, expected in zip(ours[index], theirs[index], strict=True):
            np.testing.assert_array_equal(found, expected)


def test_windows_at_random_and_in_a_training():
    data = np.arange(30.0)
    windows = sequence.TimeseriesGenerator(data, data, length=4, shuffle=True, batch_size=8)
    x, y = windows[0]
    assert x.shape == (8, 4) and (x[:, -1] + 1 == y).all() and len(set(y)) > 1
    model = jitnet.Sequential([jitnet.Input((4,)), jitnet.layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(sequence.TimeseriesGenerator(data / 30, data / 30, 4, batch_size=8), epochs=5, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize("options", [{}, {"window_size": 2, "categorical": True}, {"negative_samples": 0.5}])
def test_skipgrams_against_keras(options):
    words, found = [3, 0, 1, 4, 4, 2, 9, 5], []
    for module in (keras_module("sequence"), sequence):
        random.seed(3)
        table = module.make_sampling_table(12, sampling_factor=0.1)
        found.append(module.skipgrams(words, 12, sampling_table=table, seed=7, **options))
    assert found[0] == found[1] and len(found[1][0]) > 0
    tables = [module.make_sampling_table(100) for module in (keras_module("sequence"), sequence)]
    np.testing.assert_allclose(*tables, rtol=1e-12)


def test_skipgrams_without_a_seed():
    random.seed(3)
    pairs, labels = sequence.skipgrams([3, 1, 2], 4, window_size=1)
    positive = [pair for pair, label in zip(pairs, labels, strict=True) if label]
    assert sorted(positive) == [[1, 2], [1, 3], [2, 1], [3, 1]] and len(labels) == 8
    assert sequence.skipgrams([3, 1, 2], 4, window_size=1) != (pairs, labels)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: text.Tokenizer().sequences_to_matrix([[1]]), r"needs num_words.*Received: num_words=None"),
        (lambda: text.Tokenizer(5).sequences_to_matrix([[1]], "tfidf"), "needs fit_on_texts"),
        (lambda: text.Tokenizer(5).sequences_to_matrix([[1]], "sum"), "Received: mode='sum'"),
        (lambda: text.Tokenizer().fit_on_texts("a b"), "a list of texts. Received: texts='a b'"),
        (lambda: text.hashing_trick("a", 1), "Received: n=1"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1], 1), "2 steps, 1 targets"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1, 2], 2), "No window of 2 steps"),
        (lambda: sequence.TimeseriesGenerator([1, 2], [1, 2], 1, stride=0), "Received: stride=0"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
