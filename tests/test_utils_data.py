"""Helpers for data: pictures, folders, downloads, parts, sequences, progress and drawings."""

import doctest
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_networks import perceptron, two_outputs

import jitnet
from jitnet import layers, preprocessing, utils
from jitnet.utils import batches_in_turn

RANDOM = np.random.default_rng(3)


def text_of(path):
    return Path(path).read_text()


# ---- numbers


def test_normalize_and_one_hot():
    x = RANDOM.normal(size=(3, 4))
    for axis, order in ((-1, 2), (0, 1)):
        np.testing.assert_allclose(np.linalg.norm(utils.normalize(x, axis, order), order, axis), 1.0)
    assert utils.normalize(np.zeros((2, 3))).tolist() == np.zeros((2, 3)).tolist()
    with pytest.raises(ValueError, match="order=0"):
        utils.normalize(x, order=0)
    assert utils.one_hot([[0, 2], [5, -1]], 3).tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]]
    with pytest.raises(ValueError, match="must hold integers"):
        utils.one_hot([0.5], 3)


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
        ({"padding": "post", "value": 9}, [[1, 9, 9], [2, 3, 9], [4, 5, 6]]),
        ({"maxlen": 2}, [[0, 1], [2, 3], [5, 6]]),
        ({"maxlen": 2, "truncating": "post"}, [[0, 1], [2, 3], [4, 5]]),
        ({"maxlen": 5, "padding": "post"}, [[1, 0, 0, 0, 0], [2, 3, 0, 0, 0], [4, 5, 6, 0, 0]]),
    ],
)
def test_pad_sequences(options, expected):
    found = utils.pad_sequences([[1], [2, 3], [4, 5, 6]], **options)
    assert found.tolist() == expected and found.dtype == np.int32
    assert preprocessing.sequence.pad_sequences is utils.pad_sequences


def test_pad_sequences_of_vectors_and_refusals():
    found = utils.pad_sequences([np.ones((2, 3)), np.zeros((0, 3))], maxlen=3, dtype="float32", value=2)
    assert found.shape == (2, 3, 3) and found[0, 0].tolist() == [2, 2, 2] and (found[1] == 2).all()
    with pytest.raises(ValueError, match="padding='left'"):
        utils.pad_sequences([[1]], padding="left")
    with pytest.raises(ValueError, match="sequences=3"):
        utils.pad_sequences(3)
    with pytest.raises(ValueError, match="need one shape"):
        utils.pad_sequences([np.ones((2, 3)), np.ones((2, 4))])


# ---- parts


def test_train_test_split():
    x, labels = np.arange(60), np.repeat([0, 1, 2], [30, 20, 10])
    x_train, x_test, y_train, y_test = utils.train_test_split(x, labels, test_size=0.3, stratify=labels, seed=1)
    assert np.bincount(y_test).tolist() == [9, 6, 3] and np.bincount(y_train).tolist() == [21, 14, 7]
    assert sorted([*x_train, *x_test]) == list(range(60))
    np.testing.assert_array_equal(labels[x_test], y_test)
    again = utils.train_test_split(x, test_size=0.3, stratify=labels, seed=1)[0]
    np.testing.assert_array_equal(again, x_train)
    # sizes are kept where shares are no whole numbers
    odd = utils.train_test_split(labels, test_size=7, train_size=11, stratify=labels, seed=2)
    assert [len(part) for part in odd] == [11, 7]
    assert (np.abs(np.bincount(odd[1]) - np.array([3.5, 7 / 3, 7 / 6])) < 1).all()
    kept, held = utils.train_test_split(x, shuffle=False)
    assert kept.tolist() == list(range(45)) and held.tolist() == list(range(45, 60))
    for arguments, message in (
        ({"test_size": 1.5}, "test_size=1.5"), ({"test_size": 60}, "at least one of the 60"),
        ({"test_size": 40, "train_size": 40}, "can't have more than all 60"),
        ({"stratify": labels, "shuffle": False}, "needs shuffle=True"), ({"stratify": x}, "two samples of each class"),
        ({"stratify": labels, "test_size": 2}, "needs a sample of each of 3 classes"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            utils.train_test_split(x, **arguments)
    with pytest.raises(ValueError, match="same number of samples"):
        utils.train_test_split(x, labels[:5])


def test_split_dataset():
    data = {"a": np.arange(10), "b": [np.arange(20).reshape(10, 2)]}
    left, right = utils.split_dataset(data, left_size=0.7)
    assert left["a"].tolist() == list(range(7)) and right["b"][0].tolist() == [[14, 15], [16, 17], [18, 19]]
    left, right = utils.split_dataset(np.arange(10), right_size=3, shuffle=True, seed=4)
    assert len(left) == 7 and sorted([*left, *right]) == list(range(10)) and left.tolist() != list(range(7))
    batches = utils.timeseries_dataset_from_array(np.arange(20), None, 2, batch_size=4)
    first, second = utils.split_dataset(batches, left_size=2)
    assert len(first) == 2 and len(second) == 3
    np.testing.assert_array_equal(second[0], batches[2])
    with pytest.raises(ValueError, match="At least one of left_size and right_size"):
        utils.split_dataset(np.arange(3))


def test_timeseries_windows():
    series, targets = np.arange(20.0), np.arange(20) * 10
    found = utils.timeseries_dataset_from_array(series, targets, 3, sequence_stride=4, sampling_rate=2, batch_size=3)
    windows = [window for x, _ in found for window in x.tolist()]
    labels = [label for _, y in found for label in y.tolist()]
    starts = list(range(0, 16, 4))
    assert windows == [[s, s + 2.0, s + 4.0] for s in starts] and labels == [10 * s for s in starts]
    assert len(found) == 2 and found[1][0].shape == (1, 3)
    part = utils.timeseries_dataset_from_array(series, None, 2, batch_size=None, start_index=5, end_index=8)
    assert [window.tolist() for window in part] == [[5.0, 6.0], [6.0, 7.0]]
    shuffled = utils.timeseries_dataset_from_array(series, None, 2, shuffle=True, seed=3)[0][:, 0]
    assert sorted(shuffled) == list(range(19)) and shuffled.tolist() != list(range(19))
    for arguments, message in (
        ({"sequence_length": 0}, "sequence_length=0"), ({"sequence_length": 21}, "A window takes 21 steps"),
        ({"sequence_length": 2, "end_index": 30}, "end_index=30"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            utils.timeseries_dataset_from_array(series, None, **arguments)


# ---- pictures


@pytest.fixture
def pictures():
    return pytest.importorskip("PIL.Image")


def test_pictures_to_arrays_and_back(pictures, tmp_path):
    image = RANDOM.integers(0, 256, (5, 7, 3)).astype("uint8")
    image[0, 0, 0], image[0, 0, 1] = 0, 255
    utils.save_img(tmp_path / "a.png", image, scale=False)
    loaded = utils.load_img(tmp_path / "a.png")
    array = utils.img_to_array(loaded)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, image)
    np.testing.assert_array_equal(utils.img_to_array(loaded, "channels_first"), image.transpose(2, 0, 1))
    for seed in range(20):  # whatever the rounding, the largest is 255: bytes, which every format takes
        grey = np.random.default_rng(seed).random((3, 4, 1), dtype=np.float32)
        assert utils.array_to_img(grey).mode == "L"
    scaled = utils.array_to_img(array / 255 * 4 - 1)  # from 0 to 255 again, cut to whole numbers
    assert np.abs(np.asarray(scaled).astype(int) - image).max() <= 1
    grey = utils.load_img(tmp_path / "a.png", color_mode="grayscale", target_size=(4, 6), interpolation="bilinear")
    assert utils.img_to_array(grey).shape == (4, 6, 1)
    cut = utils.load_img(str(tmp_path / "a.png"), target_size=(5, 5), keep_aspect_ratio=True)
    np.testing.assert_array_equal(np.asarray(cut), image[:, 1:6])
    memory = io.BytesIO((tmp_path / "a.png").read_bytes())
    assert utils.load_img(memory, "rgba").mode == "RGBA"
    with pytest.warns(UserWarning, match="no transparency"):
        utils.save_img(tmp_path / "a.jpg", np.full((3, 4, 4), 9.0))
    assert utils.load_img(tmp_path / "a.jpg").size == (4, 3)
    assert preprocessing.image.load_img is utils.load_img
    for wrong, message in (
        (lambda: utils.load_img(tmp_path / "a.png", "cmyk"), "Unknown color mode 'cmyk'"),
        (lambda: utils.load_img(tmp_path / "a.png", interpolation="cubic"), "Did you mean 'bicubic'"),
        (lambda: utils.array_to_img(np.ones((3, 4))), r"shape=\(3, 4\)"),
        (lambda: utils.array_to_img(np.ones((3, 4, 2))), "1, 3 or 4 channels"),
        (lambda: utils.img_to_array(np.ones(3)), r"shape=\(3,\)"),
        (lambda: utils.img_to_array(image, "middle"), "data_format='middle'"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(TypeError, match="path=3"):
        utils.load_img(3)


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'jitnet\[images\]'"):
        utils.load_img("a.png")


@pytest.fixture
def folder(pictures, tmp_path):
    """Two classes of 6 and 4 pictures, whose grey level is their number."""
    for name, count, first in (("cats", 6, 0), ("dogs", 4, 6)):
        (tmp_path / name).mkdir()
        for i in range(count):
            utils.save_img(tmp_path / name / f"{i}.png", np.full((6, 4, 3), float(first + i)), scale=False)
    (tmp_path / "cats" / "notes.txt").write_text("no picture")
    return tmp_path


def test_image_dataset_from_directory(folder, capsys):
    found = utils.image_dataset_from_directory(folder, image_size=(3, 4), batch_size=4, shuffle=False)
    assert capsys.readouterr().out == "Found 10 pictures of 2 classes.\n"
    assert found.class_names == ["cats", "dogs"] and len(found) == 3 and len(found.file_paths) == 10
    images, labels = zip(*found, strict=True)
    levels = np.concatenate(images)
    assert levels.shape == (10, 3, 4, 3) and levels.dtype == np.float32
    np.testing.assert_array_equal(levels[:, 0, 0, 0], np.arange(10))
    assert np.concatenate(labels).tolist() == [0] * 6 + [1] * 4 and labels[0].dtype == np.int32
    options = {"image_size": 4, "batch_size": 10, "verbose": False}
    rows = utils.image_dataset_from_directory(folder, label_mode="categorical", shuffle=False, **options)[0][1]
    assert rows.tolist() == [[1, 0]] * 6 + [[0, 1]] * 4
    binary = utils.image_dataset_from_directory(
        folder, label_mode="binary", class_names=["dogs", "cats"], shuffle=False, **options
    )[0][1]
    assert binary.shape == (10, 1) and binary[:, 0].tolist() == [0] * 4 + [1] * 6
    alone = utils.image_dataset_from_directory(
        folder, labels=None, color_mode="grayscale", data_format="channels_first", **options
    )
    assert alone[0].shape == (10, 1, 4, 4)
    own = utils.image_dataset_from_directory(folder, labels=list(range(10)), shuffle=False, **options)
    assert own[0][1].tolist() == list(range(10))
    one = utils.image_dataset_from_directory(folder, image_size=4, batch_size=None, shuffle=False, verbose=False)
    assert one[7][0].shape == (4, 4, 3) and one[7][1] == 1
    assert preprocessing.image_dataset_from_directory is utils.image_dataset_from_directory


def test_parts_of_an_image_folder_share_nothing(folder):
    options = {"image_size": 4, "batch_size": 4, "verbose": False, "validation_split": 0.3, "seed": 5}
    train, held = utils.image_dataset_from_directory(folder, subset="both", **options)
    assert len(train.file_paths) == 7 and not set(train.file_paths) & set(held.file_paths)
    alone = utils.image_dataset_from_directory(folder, subset="validation", **options)
    assert alone.file_paths == held.file_paths
    first = [labels for _, labels in train]
    levels = np.concatenate([images[:, 0, 0, 0] for images, _ in train])
    train.on_epoch_end()
    again = np.concatenate([images[:, 0, 0, 0] for images, _ in train])
    assert sorted(levels) == sorted(again) and levels.tolist() != again.tolist() and len(first) == 2


def test_pictures_of_another_ratio(pictures, tmp_path):
    image = np.zeros((4, 8, 3))
    image[:, 2:6] = 200.0
    (tmp_path / "a").mkdir()
    utils.save_img(tmp_path / "a" / "1.png", image, scale=False)
    options = {"image_size": 8, "batch_size": 1, "verbose": False, "labels": None}
    cut = utils.image_dataset_from_directory(tmp_path, crop_to_aspect_ratio=True, **options)[0]
    assert (cut == 200).all()
    filled = utils.image_dataset_from_directory(tmp_path, pad_to_aspect_ratio=True, **options)[0][0]
    assert (filled[2:6, 2:6] == 200).all() and filled.sum() == 200 * 4 * 4 * 3
    nearest = utils.image_dataset_from_directory(tmp_path, interpolation="nearest", **options)[0][0]
    np.testing.assert_array_equal(nearest, np.repeat(image, 2, axis=0))


def test_bilinear_resizing_is_torchs():
    torch = pytest.importorskip("torch")
    from jitnet.utils.image_folders import resized

    image = RANDOM.normal(size=(5, 7, 2)).astype("float32")
    for size in ((3, 4), (11, 9), (5, 13)):
        batch = torch.from_numpy(image.transpose(2, 0, 1))[None]
        expected = torch.nn.functional.interpolate(batch, size, mode="bilinear")[0].numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(resized(image, size, False), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"label_mode": "float"}, "label_mode='float'"),
        ({"labels": "none"}, "labels='none'"),
        ({"labels": [1]}, "has 10 pictures. Received: 1 labels"),
        ({"class_names": ["cats", "birds"]}, "lacks folders for the classes birds"),
        ({"interpolation": "lanczos3"}, "interpolation='lanczos3'"),
        ({"validation_split": 0.2}, "go together"),
        ({"validation_split": 0.2, "subset": "training"}, "one `seed`"),
        ({"image_size": (3,)}, r"image_size=\(3,\)"),
        ({"label_mode": "binary", "class_names": ["cats"]}, "needs two classes"),
        ({"directory": "nowhere"}, "directory='nowhere'"),
    ],
)
def test_image_folders_that_are_refused(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        utils.image_dataset_from_directory(**{"directory": folder, "verbose": False, **arguments})


# ---- files of the web


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A folder that is the web, and an empty cache."""
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "web").mkdir()
    return tmp_path / "web"


def packed(path, files, kind):
    with zipfile.ZipFile(path, "w") if kind == "zip" else tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            if kind == "zip":
                archive.writestr(name, text)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))


def test_get_file(web, tmp_path):
    (web / "words.txt").write_text("one")
    origin = (web / "words.txt").as_uri()
    path = utils.get_file(origin=origin)
    assert path == str(tmp_path / "cache" / "datasets" / "words.txt") and text_of(path) == "one"
    (web / "words.txt").write_text("two")
    assert text_of(utils.get_file("words.txt", origin)) == "one"  # from the cache
    assert text_of(utils.get_file("words.txt", origin, force_download=True)) == "two"
    (web / "words.txt").write_text("three")
    for name in ("sha256", "md5"):
        digest = hashlib.new(name, b"three").hexdigest()
        assert text_of(utils.get_file("words.txt", origin, file_hash=digest)) == "three"
    other = utils.get_file("w", origin, md5_hash=digest, cache_dir=tmp_path, cache_subdir="mine")
    assert other == str(tmp_path / "mine" / "w")
    with pytest.raises(ValueError, match=r"wrong checksum: expected MD5 0{32}, received"):
        utils.get_file("words.txt", origin, file_hash="0" * 32)
    assert [p.name for p in (tmp_path / "cache" / "datasets").iterdir()] == ["words.txt"]
    with pytest.raises(OSError, match="could not be downloaded"):
        utils.get_file("a", (web / "nothing").as_uri())
    for arguments, message in (
        ({}, "origin=None"), ({"fname": "../a", "origin": origin}, "fname='../a'"),
        ({"origin": "http://a.b/"}, "fname=''"), ({"origin": origin, "hash_algorithm": "crc"}, "hash_algorithm='crc'"),
        ({"origin": origin, "archive_format": "rar"}, "archive_format='rar'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            utils.get_file(**arguments)


@pytest.mark.parametrize("kind, suffix", [("zip", "zip"), ("tar", "tar.gz")])
def test_get_file_extracts(web, tmp_path, kind, suffix):
    packed(web / f"data.{suffix}", {"data/a.txt": "one", "data/b/c.txt": "two"}, kind)
    origin = (web / f"data.{suffix}").as_uri()
    path = utils.get_file(f"data.{suffix}", origin, extract=True)
    assert path == str(tmp_path / "cache" / "datasets" / "data_extracted")
    assert text_of(f"{path}/data/b/c.txt") == "two"
    assert utils.get_file(f"data.{suffix}", origin, extract=True) == path
    unnamed = utils.get_file(origin=origin, extract=True, cache_dir=tmp_path)
    assert unnamed == str(tmp_path / "datasets" / f"data.{suffix}")
    packed(web / f"data.{suffix}", {"data/d.txt": "three"}, kind)
    utils.get_file(f"data.{suffix}", origin, extract=True, force_download=True)
    assert [p.name for p in (tmp_path / "cache" / "datasets" / "data_extracted" / "data").iterdir()] == ["d.txt"]
    with pytest.raises(ValueError, match="is no archive of the expected kind"):
        utils.get_file("x", origin, extract=True, archive_format="zip" if kind == "tar" else "tar")


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/jitnet-out.txt", "a/../../out.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_that_lead_outside_are_refused(web, tmp_path, kind, name):
    packed(web / "evil", {name: "bad"}, kind)
    if kind == "tar" and name.startswith("/"):
        path = utils.get_file("evil", (web / "evil").as_uri(), extract=True)  # taken as a path within
        assert (tmp_path / "cache" / "datasets" / "evil" / name[1:]).read_text() == "bad" and path
    else:
        with pytest.raises(ValueError, match=r"outside|refused"):
            utils.get_file("evil", (web / "evil").as_uri(), extract=True)
        assert not (tmp_path / "cache" / "datasets" / "evil").exists()
    assert not list(tmp_path.rglob("out.txt")) and not list((tmp_path / "cache").rglob("*.part"))


def test_links_that_lead_outside_are_refused(web, tmp_path):
    with tarfile.open(web / "evil.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
    with pytest.raises(ValueError, match="refused or damaged archive"):
        utils.get_file("evil.tar", (web / "evil.tar").as_uri(), extract=True)


# ---- progress and drawings


def test_progbar(capsys):
    bar = utils.Progbar(4, verbose=1, interval=0, stateful_metrics=["rate"])
    for loss, rate in ((1.0, 5.0), (3.0, 6.0)):
        bar.add(2, [("loss", loss), ("rate", rate)])
    shown = capsys.readouterr().out
    assert "2/4 ━━━━━━━━━━           " in shown and shown.endswith("loss: 2.0000 - rate: 6.0000\n")
    quiet = utils.Progbar(None, verbose=2)
    quiet.update(3, [("a", 1.0)])
    assert capsys.readouterr().out == ""
    quiet.update(7, [("a", 2.0)], finalize=True)
    assert capsys.readouterr().out.endswith("- a: 1.5714\n")
    utils.Progbar(1, verbose=0).update(1)
    assert capsys.readouterr().out == ""


def test_model_to_dot(tmp_path, monkeypatch):
    model = two_outputs()
    text = utils.model_to_dot(model, show_shapes=True, show_dtype=True, show_layer_activations=True).to_string()
    assert text.startswith("digraph model {") and text.count("->") == 3 and text.count("[label=") == 4
    assert r'"kind (Dense)\nactivation: softmax\nin: (None, 3)\nout: (None, 3)\ndtype: float32"' in text
    inner = perceptron()
    x = jitnet.Input((4,), name='the "x"')
    outer = jitnet.Model(x, layers.Dense(2, name="last")(inner(x)))
    whole = utils.model_to_dot(outer, rankdir="LR").to_string()
    assert whole.count("->") == 2 and 'the \\"x\\" (InputLayer)' in whole
    nested = utils.model_to_dot(outer, expand_nested=True, show_trainable=True).to_string()
    assert nested.count("subgraph") == 1 and "hidden (Dense)\\ntrainable" in nested
    assert nested.count("->") == 4
    utils.plot_model(model, tmp_path / "model.dot")
    assert (tmp_path / "model.dot").read_text().startswith("digraph model {")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"program dot of Graphviz .* suffix \"\.dot\""):
        utils.model_to_dot(model).write(tmp_path / "model.png")
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\n/bin/cat > "$3"\n')
    program.chmod(0o755)
    utils.model_to_dot(model).write(tmp_path / "model.svg")
    assert (tmp_path / "model.svg").read_text().startswith("digraph model {")
    with pytest.raises(ValueError, match="is not built"):
        utils.model_to_dot(jitnet.Sequential([layers.Dense(2)]))
    with pytest.raises(ValueError, match="rankdir='XY'"):
        utils.model_to_dot(model, rankdir="XY")


def ragged(lengths, features=()):
    generator = np.random.default_rng(len(lengths))
    return [generator.integers(1, 9, (length, *features)) for length in lengths]


def test_batches_of_sequences_of_like_lengths():
    lengths = [*range(1, 40), 5, 5]
    x = ragged(lengths)
    y = np.array([sequence.sum() for sequence in x])
    batches = utils.SequenceBatches(x, y, sample_weight=y / 10, batch_size=4, seed=3, pool=3)
    assert len(batches) == 11
    epochs = []
    for _ in range(3):
        batches.on_epoch_begin()
        sums = []
        for numbers, targets, weights in batches:
            np.testing.assert_array_equal(numbers.sum(axis=1), targets)
            np.testing.assert_allclose(weights, targets / 10, rtol=1e-6)
            there = (numbers > 0).sum(axis=1)
            assert numbers.dtype == np.int64 and numbers.shape[1] == there.max()
            assert (numbers[:, 1:] > 0).sum() == (there - 1).sum()  # zeros come last
            sums += targets.tolist()
        assert sorted(sums) == sorted(y.tolist())
        epochs.append(sums)
    assert epochs[0] != epochs[1] != epochs[2]
    again = utils.SequenceBatches(x, y, batch_size=4, seed=3, pool=3)
    assert [int(t) for _, targets in again for t in targets] == epochs[0]
    padded = sum(x.size for x, _ in utils.SequenceBatches(x, y, batch_size=4, seed=3))
    assert sum(lengths) <= padded < 1.15 * sum(lengths) < len(lengths) * max(lengths)
    sorted_ones = [x.shape[1] for x in utils.SequenceBatches(x, batch_size=4, shuffle=False)]
    assert sorted_ones == sorted(sorted_ones)


def test_batches_of_several_sequences_and_of_targets_of_steps():
    x, other = ragged([3, 1, 2]), [sequence.astype(float) for sequence in ragged([2, 2, 4], (2,))]
    y = [sequence % 3 for sequence in other]
    options = {"batch_size": 2, "shuffle": False, "padding": "pre"}
    batches = utils.SequenceBatches({"a": x, "b": other}, y, sample_weight=[1, 2, 3], **options)
    (inputs, targets, weights), last = batches
    assert inputs["a"].shape == (2, 2) and inputs["b"].shape == (2, 4, 2) and targets.shape == (2, 4, 2)
    assert inputs["b"].dtype == np.float32 and weights.tolist() == [[0, 0, 3, 3], [4.5] * 4]
    assert inputs["a"][0].tolist() == [0, *x[1]] and last[2].tolist() == [[0.75, 0.75]]
    assert len(utils.SequenceBatches((x, other), **options)[0]) == 1  # ([x, other],)
    pair = utils.SequenceBatches((x, other), np.arange(3), maxlen=2, value=7, **options)[0]
    assert [part.shape for part in pair[0]] == [(2, 2), (2, 2, 2)] and pair[0][0][0].tolist() == [7, *x[1]]


def test_losses_are_means_over_steps_however_they_are_padded():
    model = jitnet.Sequential([jitnet.Input((None,), dtype="int64"), jitnet.layers.Embedding(10, 3)])
    model.compile(
        loss=jitnet.losses.SparseCategoricalCrossentropy(from_logits=True), weighted_metrics=["accuracy"]
    )  # fmt: skip
    x = ragged([3, 1, 8, 2, 5])
    y = [sequence % 3 for sequence in x]
    steps, targets = np.concatenate(x), np.concatenate(y)
    expected = model.evaluate(steps[None], targets[None], verbose=0)
    for size in (1, 2, 5):
        found = model.evaluate(utils.SequenceBatches(x, y, batch_size=size), verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_predictions_come_in_the_order_of_the_sequences():
    model = jitnet.Sequential([jitnet.Input((None, 1)), jitnet.layers.Dense(1, use_bias=False)])
    model.layers[0].set_weights([np.ones((1, 1))])
    x = ragged([4, 1, 7, 2, 2, 3, 1], (1,))
    for options in ({}, {"shuffle": False}, {"padding": "pre"}):
        found = model.predict(utils.SequenceBatches(x, batch_size=3, **options), verbose=0)
        np.testing.assert_array_equal(found, utils.pad_sequences(x, padding=options.get("padding", "post")))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"x": []}, "at least one"),
        ({"x": [[1]], "y": [1, 2]}, "as many sequences as targets"),
        ({"x": [1, 2]}, "lists of sequences"),
        ({"x": [[1, 2], [1]], "y": [[1], [1]]}, "lists of 1, 1, ... targets"),
        ({"x": [[1, 2], [1]], "y": [[1, 2], [1]], "maxlen": 1}, "cuts off no targets.*maxlen=1"),
        ({"x": [[1]], "batch_size": 0}, "batch_size=0"),
        ({"x": [[1]], "padding": "left"}, "padding"),
        ({"x": [[1]], "pool": 0}, "pool=0"),
    ],
)
def test_batches_of_sequences_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        utils.SequenceBatches(**arguments)


def test_targets_belong_to_the_part_of_the_series():
    """As in Keras, whose targets are cut as the series is."""
    series = np.arange(20)
    (windows, targets), *_ = utils.timeseries_dataset_from_array(
        series, 10 * series, 2, start_index=5, end_index=12, batch_size=4
    )
    assert windows.tolist() == [[5, 6], [6, 7], [7, 8], [8, 9]] and targets.tolist() == [50, 60, 70, 80]
    with pytest.raises(ValueError, match="7 steps, 0 targets"):
        utils.timeseries_dataset_from_array(series, series[:3], 2, start_index=5, end_index=12)


@pytest.fixture
def letters(tmp_path):
    for kind, texts in (("glad", ["good", "fine day"]), ("sad", ["bad", "", "so so"])):
        (tmp_path / kind).mkdir()
        for number, text in enumerate(texts):
            (tmp_path / kind / f"{number}.txt").write_text(text, encoding="utf-8")
        (tmp_path / kind / "notes.md").write_text("not this")
    return tmp_path


def test_text_dataset_from_directory(letters, capsys):
    found = utils.text_dataset_from_directory(letters, batch_size=3, shuffle=False)
    assert capsys.readouterr().out == "Found 5 texts of 2 classes.\n" and found.class_names == ["glad", "sad"]
    assert [texts.tolist() for texts, _ in found] == [["good", "fine day", "bad"], ["", "so so"]]
    assert [labels.tolist() for _, labels in found] == [[0, 0, 1], [1, 1]]
    options = {"verbose": False, "seed": 2}
    short = utils.text_dataset_from_directory(letters, labels=None, max_length=2, batch_size=9, **options)
    assert sorted(short[0]) == ["", "ba", "fi", "go", "so"]
    one = utils.text_dataset_from_directory(letters, batch_size=None, shuffle=False, verbose=False)
    assert one[1] == ("fine day", 0)
    both = utils.text_dataset_from_directory(letters, validation_split=0.4, subset="both", **options)
    assert [len(part.file_paths) for part in both] == [3, 2]
    assert preprocessing.text_dataset_from_directory is utils.text_dataset_from_directory
    with pytest.raises(ValueError, match="max_length=0"):
        utils.text_dataset_from_directory(letters, max_length=0)
    (letters / "sad" / "0.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"0\.txt is not UTF-8"):
        list(utils.text_dataset_from_directory(letters, **options))


def test_feature_space_is_refused():
    with pytest.raises(AttributeError, match="Give each column its layer"):
        utils.FeatureSpace  # noqa: B018


# ---- batches that methods take and change


def windows():
    return utils.timeseries_dataset_from_array(np.arange(13.0), None, 2, batch_size=2)


def firsts(dataset):
    """The first step of the first window of each batch."""
    return [float(batch[0, 0]) for batch in dataset]


def test_batches_by_methods():
    assert doctest.testmod(batches_in_turn, extraglobs={"np": np}).failed == 0
    data = windows()
    assert data.cardinality() == len(data) == 6 and firsts(data) == [0, 2, 4, 6, 8, 10]
    assert firsts(data.take(2)) == [0, 2] and firsts(data.take(-1)) == firsts(data.take(9)) == firsts(data)
    assert firsts(data.skip(4)) == [8, 10] and len(data.skip(9)) == 0 and firsts(data.skip(1).take(2)) == [2, 4]
    assert firsts(data.prefetch(3)) == firsts(data) and len(list(data.as_numpy_iterator())) == 6
    doubled = data.map(lambda x: (2 * x, x[:, -1]), num_parallel_calls=-1)
    assert [y.tolist() for _, y in doubled.map(lambda x, y: (x, -y)).take(1)] == [[-1, -2]]
    parts = utils.split_dataset(data, left_size=2)
    assert firsts(parts[0].take(1)) == [0]


def test_batches_in_a_drawn_order():
    data = windows()
    shuffled, same = data.shuffle(100, seed=2), data.shuffle(100, seed=2)
    first, second = firsts(shuffled), firsts(shuffled)
    assert sorted(first) == sorted(second) == firsts(data) and first != second and first == firsts(same)
    fixed = data.shuffle(seed=2, reshuffle_each_iteration=False)
    assert firsts(fixed) == firsts(fixed) == first


def test_batches_are_kept():
    made = []

    def counted(x):
        made.append(len(x))
        return x, x[:, :1]

    data = windows().map(counted).cache()
    model = jitnet.Sequential([jitnet.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(data, epochs=3, validation_data=data.take(1), verbose=0)
    assert len(made) == 6 and len(history.history["val_loss"]) == 3


def test_a_pipeline_of_texts(tmp_path):
    for kind in ("bad", "good"):
        (tmp_path / kind).mkdir()
        for number in range(4):
            (tmp_path / kind / f"{number}.txt").write_text(f"a {kind} film")
    texts = utils.text_dataset_from_directory(tmp_path, batch_size=3, seed=1)
    words = layers.TextVectorization(output_mode="multi_hot")
    words.adapt(texts.map(lambda x, y: x))
    assert set(words.get_vocabulary()) == {"[UNK]", "a", "film", "good", "bad"}
    model = jitnet.Sequential([jitnet.Input((5,)), layers.Dense(1, "sigmoid")])
    model.compile(jitnet.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
    model.fit(texts.map(lambda x, y: (words(x), y)).cache().prefetch(1), epochs=15, verbose=0)
    assert model.evaluate(texts.map(lambda x, y: (words(x), y)), verbose=0)[1] == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda data: data.map(3), "Received: map_func=3"), (lambda data: data.take(-2), "Received: count=-2"),
        (lambda data: data.skip(-1), "Received: count=-1"), (lambda data: data.cache("file"), "filename='file'"),
    ],
)  # fmt: skip
def test_refusals_of_methods_of_batches(call, message):
    with pytest.raises(ValueError, match=message):
        call(windows())
