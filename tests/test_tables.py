"""Layers of columns of tables, and the hashes that they use."""

import numpy as np
import pytest

import jitnet
from jitnet import layers
from jitnet.core.values import placeholder
from jitnet.layers._fingerprints import farmhash64, siphash64

WORDS = ["b", "c", "a", "b", "b", "c", "d"]


def again(layer):
    """The layer, saved and read."""
    return layers.deserialize(layers.serialize(layer))


def test_siphash_is_the_papers():
    key = tuple(int.from_bytes(bytes(range(i, i + 8)), "little") for i in (0, 8))
    assert siphash64(bytes(range(15)), key) == 0xA129CA6149BE45E5  # appendix A
    # the first of the reference implementation's vectors
    assert siphash64(b"", key) == 0x726FDB47DD0E0E31
    assert siphash64(b"\0", key) == 0x74F839C593DC67FD


def test_hashes_are_keras():
    """The examples of Keras's and TensorFlow's documentation."""
    letters = [["A"], ["B"], ["C"], ["D"], ["E"]]
    assert layers.Hashing(3)(letters).tolist() == [[1], [0], [1], [1], [2]]
    assert layers.Hashing(3, mask_value="")([["A"], ["B"], [""], ["C"], ["D"]]).tolist() == [[1], [1], [0], [2], [2]]
    assert layers.Hashing(3, salt=[133, 137])(letters).tolist() == [[1], [2], [1], [0], [2]]
    assert layers.Hashing(3, salt=133)(letters).tolist() == [[0], [0], [2], [1], [0]]
    assert layers.Hashing(3)(["Hello", "TensorFlow", "2.x"]).tolist() == [0, 2, 2]


@pytest.mark.parametrize(
    "length, expected",
    [
        (0, 0x9AE16A3B2F90404F), (3, 0x897FE40EDA7BE786), (5, 0xFD446CEAD56F974F), (8, 0xF9A6E00A68CBF625),
        (16, 0xD0C2A5527D6EF3DE), (17, 0x4348EEA8E8F678D9), (32, 0x1917893EF5FE67E5), (33, 0x116371D1E5F4C91F),
        (64, 0x2017E76151936593), (65, 0xDCF485E8C19672B), (100, 0x665A025DD57E9728), (128, 0x11FB32AC5FFCAFE6),
        (200, 0x92FC60BEC88F18BD),
    ],
)  # fmt: skip
def test_farmhash_is_the_librarys(length, expected):
    """Google's, by way of pyfarmhash 0.5.1."""
    assert farmhash64(("jitnet " * 40)[:length].encode()) == expected


def test_hashing():
    layer = layers.Hashing(5, output_mode="count")
    found = layer([[1, 2, 1], [3, 3, 3]])
    assert found.shape == (2, 5) and found.sum(axis=1).tolist() == [3, 3]
    np.testing.assert_array_equal(layers.Hashing(5)([10, 20]), layers.Hashing(5)(["10", "20"]))
    np.testing.assert_array_equal(again(layers.Hashing(7, "x", 3))(["x", "y"]), layers.Hashing(7, "x", 3)(["x", "y"]))
    assert np.bincount(layers.Hashing(4)(np.arange(4000))).min() > 900
    for wrong, message in (({"num_bins": 0}, "num_bins=0"), ({"num_bins": 2, "salt": (1, 2, 3)}, "salt=")):
        with pytest.raises(ValueError, match=message):
            layers.Hashing(**wrong)


def test_category_encoding():
    indices = [[0, 1], [0, 0], [1, 2], [3, 1]]
    multi = layers.CategoryEncoding(4)(indices)
    assert multi.tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1]] and multi.dtype == np.float32
    count = layers.CategoryEncoding(4, "count")
    weights = [[0.1, 0.2], [0.1, 0.1], [0.2, 0.3], [0.4, 0.2]]
    np.testing.assert_allclose(
        count(indices, count_weights=weights),
        [[0.1, 0.2, 0, 0], [0.2, 0, 0, 0], [0, 0.2, 0.3, 0], [0, 0.2, 0, 0.4]],
        rtol=1e-6,
    )
    assert layers.CategoryEncoding(3, "one_hot")([2, 0]).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert layers.CategoryEncoding(3, "one_hot")([[2], [0]]).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert again(count).output_mode == "count"
    with pytest.raises(ValueError, match=r"integers from 0 to 3\. Received: smallest=0, largest=4"):
        count([0, 4])
    with pytest.raises(ValueError, match="num_tokens=None"):
        layers.CategoryEncoding()
    with pytest.raises(ValueError, match="sparse must be False"):
        layers.CategoryEncoding(3, sparse=True)
    with pytest.raises(ValueError, match="counts without weights"):
        count(placeholder("x", (3,)), count_weights=np.ones(3))


@pytest.mark.parametrize("mode", ["multi_hot", "count", "one_hot"])
def test_categories_in_a_model(mode):
    layer, indices = layers.CategoryEncoding(4, mode), np.array([[0, 1, 1], [0, 0, 3], [1, 2, 3]])
    model = jitnet.Sequential([jitnet.Input((3,), dtype="int64"), layer])
    np.testing.assert_array_equal(model.predict(indices, verbose=0), layer(indices))
    column = indices[:, :1]
    model = jitnet.Sequential([jitnet.Input((1,), dtype="int64"), layer])
    np.testing.assert_array_equal(model.predict(column, verbose=0), layer(column))


def test_discretization():
    layer = layers.Discretization([0.0, 1.0, 2.0])
    assert layer([[-1.5, 1.0, 3.4], [0.5, 0.0, 1.3]]).tolist() == [[0, 2, 3], [1, 1, 2]]
    rows = layers.Discretization([0.0, 1.0], output_mode="one_hot")(np.array([[-1.0], [5.0]]))
    assert rows.tolist() == [[1, 0, 0], [0, 0, 1]]
    learned = layers.Discretization(num_bins=4)
    with pytest.raises(ValueError, match="call adapt first"):
        learned([1.0])
    values = np.random.default_rng(3).normal(size=4000)
    learned.adapt(iter(np.split(values, 8)))
    assert len(learned.bin_boundaries) == 3
    assert np.bincount(learned(values)).tolist() == pytest.approx([1000] * 4, abs=2)
    np.testing.assert_array_equal(again(learned)(values), learned(values))
    for wrong, message in (({}, "either"), ({"bin_boundaries": [2.0, 1.0]}, "ascending"), ({"num_bins": 0}, "num_b")):
        with pytest.raises(ValueError, match=message):
            layers.Discretization(**wrong)


def test_string_lookup():
    layer = layers.StringLookup()
    with pytest.raises(ValueError, match="has no vocabulary yet"):
        layer(["a"])
    layer.adapt(WORDS)
    # by their counts, the last of the alphabet first
    assert layer.get_vocabulary() == ["[UNK]", "b", "c", "d", "a"] and layer.vocabulary_size() == 5
    assert layer([["a", "b"], ["z", "c"]]).tolist() == [[4, 1], [0, 2]]
    np.testing.assert_array_equal(again(layer)(WORDS), layer(WORDS))
    inverse = layers.StringLookup(vocabulary=layer.get_vocabulary(), invert=True)
    assert inverse(layer(["a", "z", "b"])).tolist() == ["a", "[UNK]", "b"] and inverse([99]).tolist() == ["[UNK]"]
    masked = layers.StringLookup(mask_token="", vocabulary=["x", "y"])
    assert masked(["", "y", "q"]).tolist() == [0, 3, 1] and masked.get_vocabulary() == ["", "[UNK]", "x", "y"]
    assert masked.get_vocabulary(include_special_tokens=False) == ["x", "y"]
    several = layers.StringLookup(num_oov_indices=3, vocabulary=["x"])
    expected = [farmhash64(word.encode()) % 3 for word in "abcdefg"]
    assert several([*"abcdefg", "x"]).tolist() == [*expected, 3]
    few = layers.StringLookup(max_tokens=3)
    few.adapt(WORDS)
    assert few.get_vocabulary() == ["[UNK]", "b", "c"]
    assert layers.StringLookup(vocabulary=["a"])(np.array([b"a", b"b"])).tolist() == [1, 0]


def test_rows_of_words(tmp_path):
    hot = layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")
    assert hot([["a", "a"], ["z", "b"]]).tolist() == [[0, 1, 0], [1, 0, 1]]
    wide = layers.StringLookup(max_tokens=5, vocabulary=["a"], output_mode="count", pad_to_max_tokens=True)
    assert wide([["a", "a"], ["z", "a"]]).tolist() == [[0, 2, 0, 0, 0], [1, 1, 0, 0, 0]]
    weighted = layers.StringLookup(vocabulary=["a", "b"], idf_weights=[0.5, 1.5], output_mode="tf_idf")
    np.testing.assert_allclose(weighted([["a", "a", "z"]]), [[1.0, 1.0, 0.0]])
    learned = layers.StringLookup(output_mode="tf_idf")
    learned.adapt(np.array([["a", "b"], ["a", "a"], ["c", "a"]]))
    assert learned.get_vocabulary() == ["[UNK]", "a", "c", "b"]
    weights = np.log(1 + 3 / (1 + np.array([3, 1, 1])))
    np.testing.assert_allclose(learned([["a", "c"]])[0], [0, weights[0], weights[1], 0], rtol=1e-6)
    np.testing.assert_allclose(again(learned)([["a", "q"]]), learned([["a", "q"]]))
    (tmp_path / "words.txt").write_text("x\ny\n")
    assert layers.StringLookup(vocabulary=str(tmp_path / "words.txt"))(["y"]).tolist() == [2]


def test_integer_lookup():
    layer = layers.IntegerLookup()
    layer.adapt(np.array([12, 1138, 42, 42, 1000, 1138, 42]))
    assert layer.get_vocabulary() == [-1, 42, 1138, 1000, 12]
    assert layer([[42, 7]]).tolist() == [[1, 0]]
    several = layers.IntegerLookup(num_oov_indices=3, vocabulary=[10])
    assert several([10, 4, 5, 6]).tolist() == [3, 1, 2, 0]
    hashed = layers.IntegerLookup(num_oov_indices=3, vocabulary=[10], oov_method="farmhash")
    assert hashed([4, 6]).tolist() == [farmhash64(b"4") % 3, farmhash64(b"6") % 3]
    masked = layers.IntegerLookup(mask_token=0, vocabulary=[5, 6])
    assert masked([0, 6, 9]).tolist() == [0, 3, 1]
    np.testing.assert_array_equal(again(masked)([0, 6, 9]), [0, 3, 1])
    inverse = layers.IntegerLookup(vocabulary=[5, 6], invert=True)
    assert inverse([2, 0]).tolist() == [6, -1]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), r"repeated=\['a'\]"),
        (lambda: layers.StringLookup(vocabulary=["a"]).adapt(["b"]), "was given its vocabulary"),
        (lambda: layers.StringLookup(num_oov_indices=0, vocabulary=["a"])(["b"]), "num_oov_indices=0"),
        (lambda: layers.StringLookup(max_tokens=2, vocabulary=["a", "b"]), "2 words at most"),
        (lambda: layers.StringLookup(invert=True, output_mode="count"), "invert=True"),
        (lambda: layers.StringLookup(output_mode="tf_idf", vocabulary=["a"]), "weight for each word"),
        (lambda: layers.StringLookup(pad_to_max_tokens=True), "needs max_tokens"),
        (lambda: layers.StringLookup(encoding="latin-1"), "encoding='latin-1'"),
        (lambda: layers.StringLookup(vocabulary=[1, 2]), "type str"),
        (lambda: layers.IntegerLookup(vocabulary=["a"]), "type int"),
        (lambda: layers.IntegerLookup(salt=3), "salt=3"),
        (lambda: layers.StringLookup(vocabulary=["a"])([None]), "takes strings or integers"),
    ],
)
def test_lookups_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_table_becomes_a_models_input():
    town, age = layers.StringLookup(output_mode="one_hot"), layers.Discretization(num_bins=3, output_mode="one_hot")
    towns, ages = np.array(["x", "y", "x", "z"]), np.array([3.0, 50.0, 20.0, 90.0])
    town.adapt(towns)
    age.adapt(ages)
    columns = np.concatenate([town(towns), age(ages)], axis=1)
    assert columns.shape == (4, 7) and columns.sum() == 8
    model = jitnet.Sequential([jitnet.Input((7,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(columns, np.zeros((4, 1)), verbose=0)


def test_a_sequential_that_starts_with_tables(tmp_path):
    lookup = layers.StringLookup(vocabulary=["red", "green", "blue"])
    parts = [layers.Embedding(4, 2), layers.Flatten(), layers.Dense(1)]
    model = jitnet.Sequential([lookup, *parts])
    words = np.array([["red", "blue"], ["green", "mauve"], ["blue", "blue"]])
    model.compile("sgd", "mse")
    targets = np.array([1.0, 0.0, 2.0])
    history = model.fit(words, targets, batch_size=2, epochs=2, verbose=0, validation_data=(words, targets))
    assert np.isfinite(history.history["val_loss"]).all()
    after = jitnet.Sequential([layers.Input((2,)), *parts])
    expected = after.predict(lookup(words), verbose=0)
    calls = [model.predict(words, verbose=0), model.predict_on_batch(words), np.asarray(model(words))]
    for found in calls:
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    model.train_on_batch(words, targets)
    assert np.isfinite(model.test_on_batch(words, targets))
    assert len(model.layers) == 4 and "string_lookup" in model.to_json()
    expected = model.predict(words, verbose=0)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(jitnet.load_model(tmp_path / "model").predict(words, verbose=0), expected)
    copy = jitnet.models.clone_model(model)
    assert copy.predict(words, verbose=0).shape == (3, 1)


def test_tables_of_numbers_at_the_start_of_a_sequential():
    bins = layers.Discretization(bin_boundaries=[0.0, 1.0], output_mode="one_hot")
    model = jitnet.Sequential([layers.Input((1,)), bins, layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    found = model.predict(np.float32([[-1], [0.5], [3]]), verbose=0)
    np.testing.assert_array_equal(found, np.ones((3, 1)))
    with pytest.raises(ValueError, match="begins with Discretization, which works on arrays"):
        model(layers.Input((1,)))
    with pytest.raises(ValueError, match="follows an Input, or layers of its kind"):
        jitnet.Sequential([layers.Input((1,)), layers.ReLU(), layers.Discretization(bin_boundaries=[0.0])])
