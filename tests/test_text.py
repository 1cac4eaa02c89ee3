"""Layers of texts: words, characters, n-grams and byte pairs as numbers, alone and at the start of a model."""

import itertools

import numpy as np
import pytest

import jitnet
from jitnet import layers
from jitnet.layers.byte_pairs import learned_merges

TEXTS = ["The cat sat, the CAT ran.", "a dog", "", "The dog's cat!"]


def again(layer):
    """The layer, saved and read."""
    return layers.deserialize(layers.serialize(layer))


@jitnet.saving.register_keras_serializable("texts")
def without_vowels(texts):
    for vowel in "aeiou":
        texts = np.char.replace(texts, vowel, "")
    return texts


@jitnet.saving.register_keras_serializable("texts")
def at_commas(texts):
    return [text.split(",") for text in texts]


def test_the_example_of_keras_documentation():
    layer = layers.TextVectorization(max_tokens=5000, output_mode="int", output_sequence_length=4)
    layer.adapt(["foo bar", "bar baz", "baz bada boom"])
    assert layer([["foo qux bar"], ["qux baz"]]).tolist() == [[2 + 2, 1, 3, 0], [1, 2, 0, 0]]
    layer = layers.TextVectorization(vocabulary=["earth", "wind", "and", "fire"])
    assert layer.get_vocabulary() == ["", "[UNK]", "earth", "wind", "and", "fire"]
    assert layer.get_vocabulary(include_special_tokens=False) == ["earth", "wind", "and", "fire"]


def test_words_by_their_counts():
    layer = layers.TextVectorization()
    with pytest.raises(ValueError, match="has no vocabulary yet"):
        layer(TEXTS)
    layer.adapt(TEXTS)
    # by their counts, the last of the alphabet first
    assert layer.get_vocabulary() == ["", "[UNK]", "the", "cat", "sat", "ran", "dogs", "dog", "a"]
    found = layer(TEXTS)
    assert found.dtype == np.int64
    assert found.tolist() == [[2, 3, 4, 2, 3, 5], [8, 7] + 4 * [0], 6 * [0], [2, 6, 3, 0, 0, 0]]
    for same in (np.array(TEXTS), np.array(TEXTS)[:, None], [text.encode() for text in TEXTS], np.array(TEXTS, object)):
        np.testing.assert_array_equal(layer(same), found)
    assert layer("the cow").tolist() == [2, 1] and layer([]).shape == (0, 0)
    in_batches = layers.TextVectorization()
    in_batches.adapt(iter([TEXTS[:1], TEXTS[1:], ["not used"]]), steps=2)
    assert in_batches.get_vocabulary() == layer.get_vocabulary()
    np.testing.assert_array_equal(again(layer)(TEXTS), found)
    few = layers.TextVectorization(max_tokens=4, output_sequence_length=3)
    few.adapt(TEXTS)
    assert few(TEXTS).tolist() == [[2, 3, 1], [1, 1, 0], [0, 0, 0], [2, 1, 3]]


@pytest.mark.parametrize(
    "options, text, expected",
    [
        ({"standardize": "lower"}, "An ÄRGER, [x]!\tY", ["an", "Ärger,", "[x]!", "y"]),
        ({"standardize": "strip_punctuation"}, "An, [x]! Don't_go", ["An", "x", "Dontgo"]),
        ({"standardize": None}, " An,\n x\v\f\rB  c", ["An,", "x", "B", "c"]),
        ({"standardize": None}, "a b\x1cc", ["a", "b\x1cc"]),
        ({"split": "character"}, "Aé, 😀", ["a", "é", " ", "😀"]),
        ({"split": None}, "The cat", ["the cat"]),
        ({"split": at_commas, "standardize": None}, "a b,c,,d", ["a b", "c", "", "d"]),
        ({"standardize": without_vowels}, "once upon", ["nc", "pn"]),
        ({"ngrams": 2}, "a b c", ["a", "b", "c", "a b", "b c"]),
        ({"ngrams": (3, 2)}, "a b c d", ["a b c", "b c d", "a b", "b c", "c d"]),
        ({"ngrams": (2,), "split": "character"}, "abc", ["a b", "b c"]),
    ],
)
def test_standardize_split_ngrams(options, text, expected):
    layer = layers.TextVectorization(**options)
    layer.adapt([text])
    known = set(expected) - {""}
    assert set(layer.get_vocabulary(False)) == known
    words = np.array(layer.get_vocabulary())[layer([text])[0] if layer.split else layer([text])]
    assert words.reshape(-1).tolist() == expected
    np.testing.assert_array_equal(again(layer)([text]), layer([text]))


def test_rows_of_words():
    texts = ["a b a", "c", "q a", ""]
    hot = layers.TextVectorization(vocabulary=["a", "b", "c"], output_mode="multi_hot")
    assert hot.get_vocabulary() == ["[UNK]", "a", "b", "c"]
    found = hot(texts)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 1, 1, 0], [0, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]]
    wide = layers.TextVectorization(6, vocabulary=["a", "b", "c"], output_mode="count", pad_to_max_tokens=True)
    assert wide(texts).tolist() == [[0, 2, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [1, 1, 0, 0, 0, 0], [0] * 6]
    assert wide("a a").tolist() == [0, 2, 0, 0, 0, 0]
    weighted = layers.TextVectorization(output_mode="tf_idf")
    weighted.adapt(texts)
    assert weighted.get_vocabulary() == ["[UNK]", "a", "q", "c", "b"]
    weights = np.log(1 + 4 / (1 + np.array([2, 1, 1, 1])))
    np.testing.assert_allclose(weighted(["a z a b"])[0], [weights.mean(), 2 * weights[0], 0, 0, weights[3]], rtol=1e-6)
    np.testing.assert_array_equal(again(weighted)(texts), weighted(texts))
    given = layers.TextVectorization(output_mode="tf_idf", vocabulary=["a", "b"], idf_weights=[0.5, 2.0])
    np.testing.assert_allclose(given(["a b b"]), [[0, 0.5, 4]])
    words = layers.TextVectorization(split=None, vocabulary=["a", "b"], output_mode="count")
    assert words([["a", "a"], ["b", "z"]]).tolist() == [[0, 2, 0], [1, 0, 1]]


def test_words_of_rows_that_are_split_already():
    layer = layers.TextVectorization(split=None, output_sequence_length=3)
    layer.adapt([["a", "b"], ["a", "c"]])
    assert layer([["a", "b"], ["d", "c"]]).tolist() == [[2, 4, 0], [1, 3, 0]]
    layer = layers.TextVectorization(split=None, ngrams=2, vocabulary=["a", "a b"])
    assert layer([["a", "b"]]).tolist() == [[2, 1, 3]]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.TextVectorization(ragged=True), "ragged must be False.*Received: ragged=True"),
        (lambda: layers.TextVectorization(sparse=True), "sparse must be False"),
        (lambda: layers.TextVectorization(standardize="upper"), "standardize.*'upper'"),
        (lambda: layers.TextVectorization(split=3), "split.*Received: split=3"),
        (lambda: layers.TextVectorization(ngrams=0), "ngrams=0"),
        (lambda: layers.TextVectorization(output_mode="one_hot"), "output_mode"),
        (lambda: layers.TextVectorization(output_mode="count", output_sequence_length=3), "output_sequence_length"),
        (lambda: layers.TextVectorization(output_sequence_length=0), "output_sequence_length=0"),
        (lambda: layers.TextVectorization(encoding="no"), "encoding='no'"),
        (lambda: layers.TextVectorization(pad_to_max_tokens=True), "needs max_tokens"),
        (lambda: layers.TextVectorization(vocabulary=["a", "a"]), r"repeated=\['a'\]"),
        (lambda: layers.TextVectorization(vocabulary=["a"]).adapt(["b"]), "was given its vocabulary"),
        (lambda: layers.TextVectorization(vocabulary=["a"])([1, 2]), "takes strings: number 0.*Received: given=1"),
        (lambda: layers.TextVectorization(vocabulary=["a"])([["a", "b"]]), r"\(batch, 1\).*shape=\(1, 2\)"),
        (lambda: layers.TextVectorization(vocabulary=["a"])([b"\xff"]), "encoding='utf-8': text 0"),
        (lambda: layers.TextVectorization(vocabulary=["a"], split=lambda t: ["a"])(["a", "b"]), "texts=2"),
        (lambda: layers.TextVectorization(vocabulary=["a"], standardize=lambda t: "a")(["a", "b"]), r"given=\(2,\)"),
        (lambda: layers.TextVectorization(split=None, output_sequence_length=2, vocabulary=["a"])(["a"]), "rows of"),
        (lambda: layers.BytePairTokenizer(256), "max_tokens.*257.*Received: max_tokens=256"),
        (lambda: layers.BytePairTokenizer(merges=[(1, 300)]), "merges"),
        (lambda: layers.BytePairTokenizer(merges=[(1, 2, 3)]), r"list of pairs.*merges=\[\(1, 2, 3\)\]"),
        (lambda: layers.BytePairTokenizer(merges=[(1, 2), (1, 2)]), "without repetitions"),
        (lambda: layers.BytePairTokenizer(merges=[(i, i) for i in range(256, 300)]), "128 bytes"),
        (lambda: layers.BytePairTokenizer(merges=[]).adapt(["a"]), "was given its merges"),
        (lambda: layers.BytePairTokenizer(merges=[]).detokenize([5, 257]), "number=257, place=1"),
        (lambda: layers.BytePairTokenizer(merges=[]).token_to_id("ab"), "token=b'ab'"),
        (lambda: layers.BytePairTokenizer()(["a"]), "has no merges yet"),
        (lambda: layers.BytePairTokenizer(special_tokens=["a", "a"]), "different"),
        (lambda: layers.BytePairTokenizer(merges=[])(["\ud800"]), "whole Unicode"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", [layers.TextVectorization, layers.StringLookup])
def test_a_description_names_no_file(kind, tmp_path):
    (tmp_path / "words.txt").write_text("a\nb\n")
    path = str(tmp_path / "words.txt")
    described = {"class_name": kind.__name__, "config": {**kind(vocabulary=path).get_config(), "vocabulary": path}}
    with pytest.raises(ValueError, match=r"has the words themselves.*words\.txt"):
        layers.deserialize(described)


# ---- byte pairs


def test_merges_are_the_papers():
    """The example of Sennrich et al. 2016, section 3.2: es, est, lo, low are the first, in either order of equals."""
    words = {b"low": 5, b"lower": 2, b"newest": 6, b"widest": 3}

    def slowly(count):
        spelled = {tuple(bytes([b]) for b in word): often for word, often in words.items()}
        found = []
        for _ in range(count):
            pairs = {}
            for word, often in spelled.items():
                for pair in itertools.pairwise(word):
                    pairs[pair] = pairs.get(pair, 0) + often
            best = max(pairs.values())
            rank = {bytes([i]): i for i in range(256)} | {a + b: 256 + i for i, (a, b) in enumerate(found)}
            a, b = min((p for p in pairs if pairs[p] == best), key=lambda pair: (rank[pair[0]], rank[pair[1]]))
            found.append((a, b))
            joined = {}
            for word, often in spelled.items():
                new, i = [], 0
                while i < len(word):
                    both = word[i : i + 2] == (a, b)
                    new.append(a + b if both else word[i])
                    i += 1 + both
                joined[tuple(new)] = often
            spelled = joined
        return [a + b for a, b in found]

    tokens = [bytes([i]) for i in range(256)]
    for a, b in learned_merges(words, 0, 9):
        tokens.append(tokens[a] + tokens[b])
    assert tokens[256:] == slowly(9)
    assert {b"es", b"est", b"lo", b"low"} <= set(tokens[256:])


def test_byte_pairs_give_back_every_byte(monkeypatch):
    layer = layers.BytePairTokenizer(290, special_tokens=["<end>", "<end>>"])
    corpus = ["the theatre is there, 22 times; don't   go\n\n", "Thé 猫 then 1999 thé"] * 3
    layer.adapt(corpus)
    assert layer.vocabulary_size() == 290 and layer.get_vocabulary()[:3] == [b"", b"<end>", b"<end>>"]
    assert {b"he", b" the"} <= set(layer.get_vocabulary())
    assert layer.id_to_token(layer.token_to_id(" the")) == b" the" and layer.token_to_id("<end>>") == 2
    found = layer(corpus)
    assert found.dtype == np.int64 and layer.detokenize(found) == corpus
    assert layer(["the<end>the<end>>"])[0].tolist().count(2) == 1
    generator = np.random.default_rng(0)
    for length in (0, 1, 7, 300):
        raw = generator.integers(0, 256, length).astype(np.uint8).tobytes()
        assert layer.detokenize(layer([raw])[0], as_bytes=True) == raw
    assert layer.detokenize(layer("猫")[:1]) == "\ufffd"
    long = "the" * 500 + " " * 1500 + "1" * 600 + "-" * 600
    assert layer.detokenize(layer(long)) == long
    np.testing.assert_array_equal(again(layer)(corpus), found)
    monkeypatch.setattr("jitnet.layers.byte_pairs._REMEMBERED", 2)
    np.testing.assert_array_equal(again(layer)(corpus), found)
    short = layers.BytePairTokenizer(merges=layer.merges, sequence_length=4, special_tokens=["<end>", "<end>>"])
    np.testing.assert_array_equal(short(corpus), found[:, :4])
    alone = layers.BytePairTokenizer()
    alone.adapt(["aaaa bb"])  # until no pair is there twice
    assert alone.get_vocabulary()[257:] == [b"aa"]


# ---- at the start of a model


def of_texts(first):
    return jitnet.Sequential(
        [first, layers.Embedding(first.vocabulary_size(), 4), layers.GlobalAveragePooling1D(), layers.Dense(1)]
    )


@pytest.mark.parametrize("kind", [layers.TextVectorization, layers.BytePairTokenizer])
def test_a_model_of_texts(kind, tmp_path):
    texts, y = np.array(["good film", "a bad film", "good", "so bad it is not", "", "bad bad"]), np.arange(6) % 2
    first = kind()
    first.adapt(texts)
    model = of_texts(first)
    model.compile("adam", "mse")
    model.fit(texts, y, epochs=2, verbose=0, validation_split=0.5)
    found = model.predict(texts, verbose=0)
    rest = jitnet.Sequential(model.layers[1:])
    np.testing.assert_array_equal(rest.predict(first(texts), verbose=0), found)
    for same in (model.predict_on_batch(texts), model.predict_on_batch(list(texts)), model(texts)):
        np.testing.assert_array_equal(same, found)
    assert model.predict(["a film that is longer than all before"], verbose=0).shape == (1, 1)
    assert model.evaluate(texts, y, verbose=0) == model.test_on_batch(texts, y)
    batches = [(texts[:2], y[:2]), (texts[2:], y[2:])]
    model.fit(iter(batches), verbose=0)
    found = [model.predict(x, verbose=0) for x, _ in batches]
    np.testing.assert_array_equal(model.predict(iter([x for x, _ in batches]), verbose=0), np.concatenate(found))
    model.save(tmp_path / "model.safetensors")
    loaded = jitnet.models.load_model(tmp_path / "model.safetensors")
    assert loaded.layers[0].get_vocabulary() == first.get_vocabulary()
    np.testing.assert_array_equal(loaded.predict(texts, verbose=0), model.predict(texts, verbose=0))
    copy = jitnet.models.clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.predict(texts, verbose=0), model.predict(texts, verbose=0))
    with pytest.raises(ValueError, match=r"takes a list or an array of texts\. Received: x='good'"):
        model.predict("good", verbose=0)
    with pytest.raises(ValueError, match="takes strings"):
        model.predict(np.ones((2, 3)), verbose=0)
    with pytest.raises(ValueError, match=r"begins with.*which works on arrays"):
        model(jitnet.Input((3,)))


def test_a_model_of_integers_at_the_start_of_a_model():
    """Its input's dtype is that of the whole, as its shape is."""
    tokens = jitnet.Input((3,), dtype="int64")
    body = jitnet.Model(tokens, layers.Embedding(7, 2)(tokens))
    model = jitnet.Sequential([body, layers.Dense(1)])
    assert model.input_shape == (None, 3) and model.predict([[1, 2, 6]], verbose=0).shape == (1, 3, 1)


def test_strings_are_no_numbers_of_a_step():
    with pytest.raises(ValueError, match=r"A model's step has no strings: .*TextVectorization make numbers of them"):
        jitnet.Sequential([jitnet.Input((1,), dtype="string"), layers.Dense(1)])


def test_an_input_after_a_table():
    numbers = layers.Discretization([0.0, 1.0], output_mode="one_hot")
    model = jitnet.Sequential([numbers, jitnet.Input((3,)), layers.Dense(2)])
    assert model.count_params() == 8
    x = np.array([[-1.0], [0.5], [3.0]], np.float32)
    np.testing.assert_array_equal(model.predict_on_batch(x), model.predict_on_batch(x))
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.layers[1](numbers(x)))
