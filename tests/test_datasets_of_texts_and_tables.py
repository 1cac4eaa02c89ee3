"""Loaders of texts, tables and CIFAR-100: hand-made files, and downloads from a local server."""

import gzip
import hashlib
import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from test_datasets import Server

from jitnet.datasets import boston_housing, california_housing, cifar100, imdb, reuters
from jitnet.datasets._arrays import read_arrays, unpickled

RANDOM = np.random.default_rng(8)
MODULES = (boston_housing, california_housing, cifar100, imdb, reuters)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """No mirror, an empty cache, and a folder of one's own files."""
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("JITNET_DATA_DIR", str(tmp_path / "own"))
    for module in MODULES:
        monkeypatch.setattr(module, "MIRRORS", ())
    return tmp_path


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


def own(tmp_path, module, name):
    folder = tmp_path / "own" / module.__name__.rpartition(".")[2]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def lists(*sequences):
    found = np.empty(len(sequences), object)
    found[:] = sequences
    return found


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


REVIEWS = {
    "x_train": lists([1, 5, 9], [2, 3], [7, 7, 7, 7], [4]), "y_train": np.array([1, 0, 1, 0]),
    "x_test": lists([8, 1], [3]), "y_test": np.array([0, 1]),
}  # fmt: skip


def order(count, seed=113):
    numbers = np.arange(count)
    np.random.RandomState(seed).shuffle(numbers)
    return numbers


def test_imdb(places, server, monkeypatch):
    data = npz(**REVIEWS)
    index = gzip.compress(json.dumps({"the": 1, "film": 2}).encode())
    server.files |= {"/imdb.npz": data, "/imdb_word_index.json": index}
    monkeypatch.setattr(imdb, "MIRRORS", (server.url,))
    monkeypatch.setattr(imdb, "SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(imdb, "INDEX_MD5", hashlib.md5(index).hexdigest())
    (x_train, y_train), (x_test, y_test) = imdb.load_data()
    # as in Keras: shuffled, counted from 3 on after a 1, and the highest word is one too many
    expected = [[1, *(word + 3 for word in REVIEWS["x_train"][n])] for n in order(4)]
    expected = [[word if word < 12 else 2 for word in sequence] for sequence in expected]
    assert x_train.tolist() == expected and x_train.dtype == object
    assert y_train.tolist() == REVIEWS["y_train"][order(4)].tolist()
    assert len(x_test) == 2 and y_test.shape == (2,)
    assert imdb.get_word_index() == {"the": 1, "film": 2}
    imdb.load_data()
    assert server.requests == ["/imdb.npz", "/imdb_word_index.json"]  # then from the cache


def test_imdb_options(places):
    own(places, imdb, "imdb.npz").write_bytes(npz(**REVIEWS))
    plain = {"start_char": None, "index_from": 0, "num_words": 99}
    (x_train, _), _ = imdb.load_data(**plain)
    assert sorted(map(tuple, x_train)) == [(1, 5, 9), (2, 3), (4,), (7, 7, 7, 7)]
    (x_train, y_train), _ = imdb.load_data(**plain, maxlen=3, seed=5)
    assert sorted(map(tuple, x_train)) == [(2, 3), (4,)] and y_train.tolist() == [0, 0]
    cut = {**plain, "num_words": 8, "skip_top": 2}
    (x_train, _), _ = imdb.load_data(**cut)
    assert sorted(map(tuple, x_train)) == [(2, 3), (2, 5, 2), (4,), (7, 7, 7, 7)]
    (x_train, _), _ = imdb.load_data(**cut, oov_char=None)
    assert sorted(map(tuple, x_train)) == [(2, 3), (4,), (5,), (7, 7, 7, 7)]
    elsewhere = places / "mine.npz"
    elsewhere.write_bytes(npz(**REVIEWS))
    assert len(imdb.load_data(str(elsewhere))[0][0]) == 4
    with pytest.raises(ValueError, match="maxlen=1"):
        imdb.load_data(maxlen=1)
    with pytest.raises(ValueError, match=r"Received: path='a/b\.npz'"):
        imdb.load_data("a/b.npz")
    with pytest.raises(OSError, match=r"no mirror delivered imdb_word_index\.json"):
        imdb.get_word_index()


def test_reuters(places):
    x, y = lists(*([n, n + 1] for n in range(1, 11))), np.arange(10)
    own(places, reuters, "reuters.npz").write_bytes(npz(x=x, y=y))
    (x_train, y_train), (x_test, y_test) = reuters.load_data(num_words=100)
    assert y_train.tolist() == order(10)[:8].tolist() and y_test.tolist() == order(10)[8:].tolist()
    assert [*x_train, *x_test] == [[1, n + 4, n + 5] for n in order(10)]
    assert len(reuters.load_data(test_split=0.5)[1][0]) == 5
    own(places, reuters, "reuters_word_index.json").write_text('{"oil": 3}')
    assert reuters.get_word_index() == {"oil": 3}
    own(places, reuters, "reuters_word_index.json").write_text("[3]")
    with pytest.raises(ValueError, match="words and their numbers in JSON"):
        reuters.get_word_index()
    names = reuters.get_label_names()
    assert len(names) == 46 and names[3:5] == ("earn", "acq")


@pytest.mark.parametrize(
    "module, columns, options", [(boston_housing, 13, {}), (california_housing, 8, {"version": "small"})]
)
def test_tables(places, server, monkeypatch, module, columns, options):
    name = f"{module.__name__.rpartition('.')[2]}.npz"
    x, y = RANDOM.normal(size=(700, columns)), RANDOM.normal(size=700)
    data = npz(x=x, y=y)
    server.files[f"/{name}"] = data
    monkeypatch.setattr(module, "MIRRORS", (server.url,))
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(data).hexdigest())
    (x_train, y_train), (x_test, y_test) = module.load_data(**options)
    rows = 600 if options else 700
    chosen = order(rows)
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), x[chosen])
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), y[chosen])
    assert len(x_train) == rows * 4 // 5
    assert (module.load_data(seed=3)[0][1] == y[order(700, 3)[:560]]).all()
    if options:
        with pytest.raises(ValueError, match="version='medium'"):
            module.load_data("medium")
    with pytest.raises(ValueError, match="test_split=1"):
        module.load_data(test_split=1)
    own(places, module, name).write_bytes(npz(x=x[:, 1:], y=y))
    with pytest.raises(ValueError, match=rf"expected finite numbers x \(n, {columns}\) and y \(n,\)"):
        module.load_data()


@pytest.fixture
def photographs(monkeypatch):
    """Parts of three and two pictures."""
    monkeypatch.setattr(cifar100, "_PARTS", {"train": 3, "test": 2})
    return {
        part: {
            b"data": RANDOM.integers(0, 256, (count, 3072)).astype(np.uint8),
            b"fine_labels": RANDOM.integers(0, 100, count).tolist(),
            b"coarse_labels": RANDOM.integers(0, 20, count).tolist(),
        }
        for part, count in (("train", 3), ("test", 2))
    }


def archive(parts, folder="cifar-100-python"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as found:
        for name, content in parts.items():
            data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            found.addfile(member, io.BytesIO(data))
    return file.getvalue()


def test_cifar100(places, photographs, server, monkeypatch):
    data = archive({**photographs, "meta": b"ignored"})
    server.files["/cifar-100-python.tar.gz"] = data
    monkeypatch.setattr(cifar100, "MIRRORS", (server.url,))
    monkeypatch.setattr(cifar100, "SHA256", hashlib.sha256(data).hexdigest())
    for mode, key in (("fine", b"fine_labels"), ("coarse", b"coarse_labels")):
        found = cifar100.load_data(mode)
        for (x, y), part in zip(found, ("train", "test"), strict=True):
            pixels = photographs[part][b"data"]
            assert x.shape == (len(pixels), 32, 32, 3) and x.dtype == np.uint8 and x.flags.c_contiguous
            np.testing.assert_array_equal(x[1, 4, 7], pixels[1].reshape(3, 32, 32)[:, 4, 7])
            assert y.tolist() == [[label] for label in photographs[part][key]]
    assert len(server.requests) == 1
    with pytest.raises(ValueError, match="label_mode='all'"):
        cifar100.load_data("all")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda parts: parts.pop("test"), "no test"),
        (lambda parts: parts["train"].pop(b"data"), "a dict with data"),
        (lambda parts: parts["train"].update({b"data": parts["test"][b"data"]}), r"expected bytes \(3, 3072\)"),
        (lambda parts: parts["test"].update({b"fine_labels": [1, 100]}), "2 labels from 0 to 99"),
        (lambda parts: parts.update({"train": b"\x80\x02damaged"}), "a pickle of arrays and lists"),
    ],
)
def test_cifar100_that_is_not(places, photographs, change, message):
    change(photographs)
    own(places, cifar100, "cifar-100-python.tar.gz").write_bytes(archive(photographs))
    with pytest.raises(ValueError, match=message):
        cifar100.load_data()


class Evil:
    def __reduce__(self):
        return (open, ("/tmp/jitnet-evil", "w"))


def test_pickles_run_nothing(places):
    path = places / "evil.npz"
    for evil in (Evil(), lists(Evil()), [np.array([Evil()], object)]):
        with pytest.raises(ValueError, match=r"_?io\.open, which is no array"):
            unpickled(pickle.dumps(evil, protocol=2), "evil")
        path.write_bytes(npz(x=lists(evil), y=np.arange(1)))
        with pytest.raises(ValueError, match="expected a pickle of arrays and lists"):
            read_arrays(path, ("x",))
    encoded = b"c_codecs\nencode\n(Va\nVrot13\ntR."
    with pytest.raises(ValueError, match="an encoding is named"):
        unpickled(encoded, "evil")
    # bytes as Python 2's pickles hold them
    assert unpickled(pickle.dumps({b"a": [b"\xff", 1.5, None]}, protocol=2), "good") == {b"a": [b"\xff", 1.5, None]}


ARRAYS = [
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(3, dtype=">i4"),
    np.array([True, False]), lists([1, 2], [], [70_000]), np.array(2.5, np.float32),
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(2, 5))
def test_pickled_arrays(protocol):
    for array in ARRAYS:
        found = unpickled(pickle.dumps({b"data": array}, protocol), "good")[b"data"]
        np.testing.assert_array_equal(found, array, strict=True)
        assert found.flags.writeable and found.flags.f_contiguous == array.flags.f_contiguous


def test_pickles_that_lie_about_what_is_there():
    """NumPy would read beyond the values, and the unpickler make memory for places, before anybody sees."""
    sequences = pickle.dumps(ARRAYS[4], protocol=2)
    assert sequences.count(b"K\x03\x85") == 1
    for count in (b"J\x00\x00\x00\x08", b"K\x02", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f"):
        with pytest.raises(ValueError, match="lie: expected a pickle of arrays and lists"):
            unpickled(sequences.replace(b"K\x03\x85", count + b"\x85"), "lie")
    for dtype in (b"f8", b"M8", b"V9"):
        with pytest.raises(ValueError, match="lie: expected a pickle"):
            unpickled(sequences.replace(b"O8", dtype), "lie")
    with pytest.raises(ValueError, match="lie: expected a pickle"):
        unpickled(pickle.dumps(ARRAYS[0], protocol=2).replace(b"f8", b"O8"), "lie")
    for place in (b"r\x00\x00\x00\x01", b"p16777216\n"):
        for before in (b"", b"X\x02\x00\x00\x00r.0", b"T\x01\x00\x00\x00.0", b"I5\n0"):
            with pytest.raises(ValueError, match="an object is kept at place 16777216"):
                unpickled(b"\x80\x02" + before + b"]" + place + b".", "lie")
    assert unpickled(b"\x80\x02]r\x03\x00\x00\x00.", "good") == []


@pytest.mark.parametrize("seed", range(30))
def test_damaged_archives_are_value_errors(places, seed):
    data = bytearray(npz(**REVIEWS))
    generator = np.random.default_rng(seed)
    for place in generator.integers(0, len(data), 1 + seed % 5):
        data[place] = generator.integers(0, 256)
    path = own(places, imdb, "imdb.npz")
    path.write_bytes(bytes(data[: -seed * 7] if seed % 3 == 0 and seed else data))
    try:
        imdb.load_data()
    except ValueError as error:
        assert "Received" in str(error)


def test_sequences_are_checked(places):
    path = own(places, reuters, "reuters.npz")
    for x, y, message in (
        (lists([1], [-2]), np.arange(2), "another at position 1"),
        (lists([1], ["a"]), np.arange(2), "another at position 1"),
        (lists([1], [2]), np.arange(3), "integer label for each of 2"),
        (lists([1], [2]), np.arange(2.0), "dtype=float64"),
    ):
        path.write_bytes(npz(x=x, y=y))
        with pytest.raises(ValueError, match=message):
            reuters.load_data()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", b"")
    with pytest.raises(ValueError, match="expected an array of NumPy"):
        reuters.load_data()
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="archive of arrays"):
        reuters.load_data()


def test_hashes_are_those_of_their_kind():
    for module in MODULES:
        assert len(module.SHA256) == 64
    assert len(imdb.INDEX_MD5) == len(reuters.INDEX_MD5) == 32
