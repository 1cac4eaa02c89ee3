"""Reports on runs: the content of the pages, what they say of damaged folders, and how a browser shows them."""

import importlib.util
import json
import re
import shutil

import numpy as np
import pytest
from pages import Page, page_of, pixels
from small_networks import Reference, convolutional, data, images, initial_weights, perceptron, two_outputs

import jitnet
from jitnet import configuration, layers
from jitnet.cli import main
from jitnet.reports import files, measure, pictures, report, svg
from jitnet.reports.compare import Comparison
from jitnet.reports.text import number, plain

EPOCHS = 3
SECTIONS = [
    "training", "schedules", "confusion", "mistakes", "filters", "features", "weights", "model", "environment",
    "configuration",
]  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A small convolutional network, trained badly on purpose: it has mistakes."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    settings = ["model.filters=[[3]]", "shift=false", "validation_split=0.2", "model.units=[]", "seed=1"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    assert main(["train", "digits", "--epochs", str(EPOCHS), *arguments, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def folder(run_folder, tmp_path):
    return shutil.copytree(run_folder, tmp_path / "small")


def failure(capsys, arguments, status=2):
    """The message of a command that must fail."""
    capsys.readouterr()
    assert main(list(map(str, arguments))) == status
    captured = capsys.readouterr()
    assert captured.err.startswith(f"jitnet {arguments[0]}: error: ")
    assert "Traceback" not in captured.err and captured.out == ""
    return captured.err


# ---- the report on a run


def test_report(folder, capsys):
    capsys.readouterr()
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"Saved: {folder / 'report.html'} (")
    page = page_of(folder / "report.html")
    assert [attributes["id"] for _, tag, attributes in page.elements if tag == "section"] == SECTIONS
    assert [attributes["href"] for attributes in page.of("", "a")] == [f"#{section}" for section in SECTIONS]

    # what it should say, worked out from the model
    model = jitnet.load_model(folder / "model.safetensors")
    (_, _), (x, y) = jitnet.datasets.digits.load_data()
    x = x[..., None].astype("float32") / 16
    probabilities = model.predict(x, verbose=0)
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != y)
    assert 0 < len(wrong) < len(y)
    right = len(y) - len(wrong)
    assert f"{100 * right / len(y):.2f}\u202f% Parameters {model.count_params():,}" in page.texts[""].replace("  ", " ")

    curves = dict(page.curves("training"))
    assert set(curves) == {"loss", "val_loss", "accuracy", "val_accuracy"}
    assert [[len(piece) for piece in pieces] for pieces in curves.values()] == [[EPOCHS]] * 4
    assert len(page.of("training", "path", class_="change")) == 2 * EPOCHS  # the cosine's, and one that explains them
    ((name, (schedule,)),) = page.curves("schedules")
    assert name == "learning_rate" and len(schedule) == min(400, model.optimizer.iterations)
    assert all(after[1] > before[1] for before, after in zip(schedule[::9], schedule[9::9], strict=False))  # downwards
    assert "Adam; constant: beta 1 0.9, beta 2 0.999, epsilon 1e\u22127." in page.texts["schedules"]

    counts = np.zeros((10, 10), int)
    np.add.at(counts, (y, predicted), 1)
    assert f"{right} of {len(y)} test samples are right." in page.texts["confusion"]
    for i in range(10):
        for j in range(10):
            said = f"true {i}, predicted {j}: {counts[i, j]} of {counts[i].sum()} "
            assert (said in page.texts["confusion"]) == bool(counts[i, j])
    shares = np.array(
        [float(found["fill-opacity"]) for found in page.of("confusion", "rect") if "fill-opacity" in found]
    )
    np.testing.assert_allclose(shares, np.sqrt(counts / counts.sum(axis=1, keepdims=True))[counts > 0], atol=6e-4)

    worst = wrong[np.argsort(probabilities[wrong, y[wrong]], kind="stable")][:24]
    assert len(page.of("mistakes", "img")) == len(worst) == len(page.of("mistakes", "figure"))
    for place, i in enumerate(worst):
        assert page.of("mistakes", "img")[place]["alt"] == f"test sample {i}, {y[i]}"
        np.testing.assert_array_equal(
            pixels(page.of("mistakes", "img")[place]["src"]), np.round(255.0 * x[i, ..., 0]).astype(np.uint8)
        )
    share = f"{100 * probabilities[worst[0], y[worst[0]]]:.1f}\u202f%"
    assert f"true predicted {y[worst[0]]} {predicted[worst[0]]} {share}" in page.texts["mistakes"]

    assert len(page.of("filters", "img")) == 3 and "Layer conv2d: 3 filters of 3\u00d73." in page.texts["filters"]
    layers_shown = ["conv2d (Conv2D): 3 maps of 8\u00d78"]
    assert [said for said in layers_shown if said not in page.texts["features"]] == []
    assert len(page.of("features", "img")) == 1 + 3
    assert len(page.of("features", "path", class_="bars s2")) == 1  # the true class's bar

    assert len(page.of("weights", "figure")) == len(model.trainable_variables) == 4
    assert len(page.of("weights", "svg")) == 8
    for variable in model.trainable_variables:
        assert variable.name in page.texts["weights"]

    convolution, dense = 8 * 8 * 3 * 9 * 2, 192 * 10 * 2
    bias_relu, bias_softmax = 2 * 8 * 8 * 3, 2 * 10
    for operations in (convolution + bias_relu, dense + bias_softmax, convolution + dense + bias_relu + bias_softmax):
        assert f" {operations:,} " in page.texts["model"]
    assert f" {model.count_params():,} " in page.texts["model"]
    environment = json.loads((folder / "environment.json").read_text())
    assert f"versions.jitnet {environment['versions']['jitnet']} " in page.texts["environment"].replace("  ", " ")
    assert " ".join(environment["command_line"]) in page.texts["environment"]
    assert 'dataset = "digits"' in page.texts["configuration"]

    # the same run, the same page
    assert main(["report", str(folder), "--out", str(folder / "again.html")]) == 0
    assert (folder / "again.html").read_bytes() == (folder / "report.html").read_bytes()
    (folder / "environment.json").unlink()  # as older runs
    assert main(["report", str(folder)]) == 0
    page = page_of(folder / "report.html")
    assert "has no environment.json. Its configuration was written by jitnet" in page.texts["environment"]


def test_pictures():
    generator = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (2, 7, 3)):
        values = generator.integers(0, 256, shape).astype(np.uint8)
        source = re.search('src="(.*?)"', pictures.image(values, "noise"))[1]
        np.testing.assert_array_equal(pixels(source), values)
    values = np.array([[[0.0], [1.0], [2.0], [np.nan], [-1.0]]])
    assert pictures.photograph(values, 0.0, 2.0).tolist() == [[0, 128, 255, 0, 0]]
    assert pictures.RISING[pictures.rising(np.array([[1.0, 3.0]]))].tolist() == [[[68, 1, 84], [253, 231, 37]]]
    assert pictures.rising(np.full((1, 1), 7.0)).tolist() == [[0]]
    source = re.search('src="(.*?)"', pictures.image(np.array([[63, 0]], np.uint8), "two", pictures.RISING))[1]
    assert pixels(source).tolist() == [[[253, 231, 37], [68, 1, 84]]]
    small = np.ones((64, 5, 3))
    assert pictures.shrunk(small) is small
    large = np.arange(130.0 * 3).reshape(130, 3)  # of a factor of 3
    np.testing.assert_array_equal(pictures.shrunk(large)[:2], [[large[:3].mean()], [large[3:6].mean()]])
    assert pictures.shrunk(large).shape == (43, 1)
    assert pictures.shrunk(np.zeros((100, 65, 3))).shape == (50, 32, 3)
    assert pictures.signed(np.array([[-2.0, 0.0, 2.0, 9.0]]), 2.0)[0].tolist() == [
        [0, 90, 160], [247, 247, 247], [190, 70, 0], [190, 70, 0]
    ]  # fmt: skip


def test_texts_of_users_are_escaped(folder, capsys):
    bad = "<script>alert(1)</script>&amp;\"'<img src=http://x onerror=y>"
    model = jitnet.load_model(folder / "model.safetensors")
    config, history = folder / "config.toml", folder / "history.csv"
    config.write_text(f"{config.read_text()}\n# {bad}\n")
    history.write_text(history.read_text().replace("val_accuracy", f'"{bad.replace(chr(34), chr(34) * 2)}"'))
    (folder / "environment.json").write_text(json.dumps({bad: [bad, None], "of": {"it": bad, "no": "\x00\ud800"}}))
    # no name of a layer may hold a "/"
    odd = bad.replace("/", "")
    twin = jitnet.Sequential(
        [jitnet.Input((8, 8, 1)), *(type(layer).from_config({**layer.get_config(), "name": f"{i}{odd}"})
                                    for i, layer in enumerate(model.layers))],
        name=odd,
    )  # fmt: skip
    twin.set_weights(model.get_weights())
    twin.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    twin.save(folder / "model.safetensors")
    folder = folder.rename(folder.parent / odd)
    assert main(["report", str(folder)]) == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text and "<img src=http" not in text
    page = Page(text)
    page.is_self_contained()
    assert bad in page.texts["configuration"] and bad in page.texts["training"]
    assert page.texts["environment"].count(bad) == 3 and "of.no \ufffd\ufffd" in page.texts["environment"]
    assert f"0{odd}/kernel" in page.texts["weights"] and f"model {odd}," in page.texts[""]
    assert f"0{odd} (Conv2D)" in page.texts["model"]

    assert main(["compare", str(folder), str(folder), "--out", str(folder / "two.html")]) == 0
    assert "Settings\nno setting differs\n" in capsys.readouterr().out
    Page((folder / "two.html").read_text(encoding="utf-8")).is_self_contained()


# ---- what a run or a model lacks


def small_run(tmp_path, history="epoch,loss\n0,1.5\n1,0.5\n"):
    (tmp_path / "config.toml").write_text('dataset = "digits"\n[model]\nname = "mlp"\n')
    if history is not None:
        (tmp_path / "history.csv").write_text(history)
    return files.read(tmp_path)


def test_models_that_lack_parts(tmp_path):
    run = small_run(tmp_path)
    model, (x, y) = perceptron(), data()
    page = Page(report.made(run, model, (x, y), (x, y)))
    for section, expected in {
        "mistakes": "The samples are not pictures.",
        "filters": "The model does not take pictures.",
        "features": "The samples are not pictures.",
        "schedules": "No schedule governs a hyperparameter.",
    }.items():
        assert expected in page.texts[section], section
    assert page.of("confusion", "svg")

    number_of = perceptron(loss="mse", metrics=[])
    page = Page(report.made(run, number_of, (x, np.eye(3)[y] / 2), (x, np.eye(3)[y] / 2)))
    assert "The model is no classifier" in page.texts["confusion"] and "no classifier" in page.texts["mistakes"]
    assert len(page.of("weights", "svg")) == 8

    pair = two_outputs()
    targets = [np.ones((len(x), 1)), y]
    page = Page(report.made(run, pair, None, None, missing="The data are not here: <no mirror>"))
    assert "The data are not here: <no mirror>" in page.texts["confusion"]
    assert "no gradients" in page.texts["weights"] and len(page.of("weights", "svg")) == len(pair.trainable_variables)
    with pytest.raises(measure.Absent, match="no classifier"):
        measure.classified(pair, (x, targets))

    bare = jitnet.Sequential([jitnet.Input((4,)), layers.Flatten()])
    page = Page(report.made(small_run(tmp_path, ""), bare, (x, y), (x, y)))
    assert "saved without its optimizer" in page.texts["schedules"]
    assert "no trainable weights" in page.texts["weights"]
    assert "ended before its first epoch" in page.texts["training"]
    (tmp_path / "history.csv").unlink()
    page = Page(report.made(small_run(tmp_path, None), bare, (x, y), (x, y)))
    assert "There is no history.csv" in page.texts["training"]

    channels, (x, y) = convolutional(), images()  # of two channels
    page = Page(report.made(run, channels, (x, y), (x, y)))
    assert "The samples are not pictures." in page.texts["features"]
    assert "4 filters of 3\u00d73" in page.texts["filters"] and len(page.of("filters", "img")) == 4


def test_data_that_are_not_here(folder, monkeypatch):
    def missing(config):
        with configuration.bad_data():
            raise OSError("no mirror delivers")

    monkeypatch.setattr(configuration, "load_data", missing)
    assert main(["report", str(folder)]) == 0
    page = page_of(folder / "report.html")
    for section in ("confusion", "mistakes", "features", "weights"):
        assert "The data are not here: no mirror delivers" in page.texts[section]
    assert len(page.of("filters", "img")) == 3 and len(page.curves("training")) == 4


def test_classes_of_all_kinds_of_targets():
    model, (x, y) = perceptron(), data()
    found = measure.classified(model, (x, y))
    _, right = Reference().losses(x, y)
    assert np.trace(found.counts) == right.sum() and found.counts.sum() == len(y)
    again = measure.classified(model, (x, np.eye(3)[y]))
    np.testing.assert_array_equal(found.counts, again.counts)
    again = measure.classified(model, (x, y[:, None]))
    np.testing.assert_array_equal(found.counts, again.counts)
    for wrong in (y + 1, np.full((len(x), 3), 0.5), y - 0.5):
        with pytest.raises(measure.Absent):
            measure.classified(model, (x, wrong))

    scores = jitnet.Sequential([jitnet.Input((4,), name="features"), layers.Dense(3, name="scores")], name="scores")
    weights = initial_weights()[0][:, :3]
    scores.set_weights([weights, np.zeros(3)])
    scores.compile("sgd", jitnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    expected = np.exp(x @ weights)
    found = measure.classified(scores, (x, y)).probabilities
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)

    kernel = np.array([[1.0], [-2.0], [0.5], [0.0]])
    one = jitnet.Sequential([jitnet.Input((4,), name="features"), layers.Dense(1, name="score")], name="one")
    one.set_weights([kernel, np.zeros(1)])
    one.compile("sgd", jitnet.losses.BinaryCrossentropy(from_logits=True))
    found = measure.classified(one, (x, y > 0))
    np.testing.assert_allclose(found.probabilities[:, 1], 1 / (1 + np.exp(-x @ kernel[:, 0])), rtol=1e-5)
    np.testing.assert_array_equal(found.predicted, (x @ kernel[:, 0] > 0).astype(int))
    one.compile("sgd", "mse")
    with pytest.raises(measure.Absent):
        measure.classified(one, (x, y > 0))


def test_gradients_and_maps_against_numpy(run_folder):
    model, (x, y) = perceptron(), data()
    rows = measure.weights_and_gradients(model, (x, y))
    for (name, shape, _, found), weights, expected in zip(
        rows, model.trainable_variables, Reference().gradients(x, y), strict=True
    ):
        assert (name, shape) == (weights.name, expected.shape)
        np.testing.assert_allclose([found.low, found.high], [expected.min(), expected.max()], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose([found.mean, found.deviation], [expected.mean(), expected.std()], atol=1e-6)
        assert sum(found.counts) == expected.size and found.missing == 0
    found = measure.spread(np.array([1.0, np.nan, np.inf, 3.0]))
    assert (found.low, found.high, found.mean, sum(found.counts), found.missing) == (1.0, 3.0, 2.0, 2, 2)
    assert measure.spread(np.full(3, np.nan)).missing == 3

    model = jitnet.load_model(run_folder / "model.safetensors")
    picture = np.random.default_rng(0).random((8, 8, 1), np.float32)
    (name, kind, maps), (_, _, last) = measure.feature_maps(model, picture)
    kernel, bias = (np.asarray(w, np.float64) for w in model.get_weights()[:2])
    padded = np.pad(picture[..., 0].astype(np.float64), 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    expected = np.maximum(np.einsum("hwij,ijc->hwc", windows, kernel[:, :, 0]) + bias, 0)
    assert (name, kind) == ("conv2d", "Conv2D")
    np.testing.assert_allclose(maps, expected, atol=1e-5)
    np.testing.assert_allclose(last, model.predict(picture[None], verbose=0)[0], rtol=1e-5)
    _, filters = measure.first_filters(model)
    np.testing.assert_array_equal(filters, model.get_weights()[0].transpose(3, 0, 1, 2))
    dense = jitnet.Sequential([jitnet.Input((2, 3, 1)), layers.Flatten(), layers.Dense(4)])
    _, filters = measure.first_filters(dense)
    np.testing.assert_array_equal(filters[1, ..., 0], dense.get_weights()[0][:, 1].reshape(2, 3))
    depthwise = [layers.Rescaling(2.0), layers.DepthwiseConv2D(2, depth_multiplier=2)]
    depthwise = jitnet.Sequential([jitnet.Input((3, 3, 3)), *depthwise])
    _, filters = measure.first_filters(depthwise)
    np.testing.assert_array_equal(filters[3, ..., 0], depthwise.get_weights()[0][:, :, 1, 1])
    with pytest.raises(measure.Absent, match="no filters that are pictures"):
        stack = [layers.BatchNormalization(), layers.Conv2D(2, 2)]
        measure.first_filters(jitnet.Sequential([jitnet.Input((3, 3, 3)), *stack]))


# ---- charts


def test_curves_with_odd_values(tmp_path):
    nan, inf = np.nan, np.inf
    for values, pieces in (
        ([1.0, nan, 3.0, 4.0], [1, 2]),
        ([nan, 1.0, inf, -inf], [1]),
        ([0.0, 0.0], [2]),
        ([-1e299, 1e299, 5e-324], [3]),
        ([0.3], [1]),
        ([1e-300 * 2, 1e299], [2]),
        ([1.0, 1.0 + 1e-15], [2]),
        (list(np.arange(5000.0) + 1), [1000]),
    ):
        for logarithmic in (False, True):
            if logarithmic and not all(value > 0 for value in values if np.isfinite(value)):
                continue
            curve = svg.Curve("y", list(range(1, len(values) + 1)), values)
            chart = Page(f'<section id="a">{svg.lines([curve], "chart", "epoch", logarithmic)}</section>')
            ((_, found),) = chart.curves("a")
            assert [len(piece) for piece in found] == pieces, values
            for x, y in (point for piece in found for point in piece):
                assert 0 <= x <= 480 and 0 <= y <= 280
    tiny = svg.lines([svg.Curve("y", [1, 2, 3], [1.0, 5e-324, 2.0])], "chart", "epoch", True)
    ((_, found),) = Page(f'<section id="a">{tiny}</section>').curves("a")
    assert [len(piece) for piece in found] == [1, 1]
    assert "not finite" in svg.lines([svg.Curve("y", [1, 2], [nan, inf])], "chart", "epoch")
    rows = "\n".join(f"{i},{value}" for i, value in enumerate((1.0, "nan", -3.0, "NA", "inf")))
    run = small_run(tmp_path, f"epoch,loss\n{rows}\n")
    page = Page(report.made(run, perceptron(), None, None, missing="none"))
    assert page.texts["training"].startswith("Training Loss training ")  # no logarithms of negative values
    assert [[len(piece) for piece in pieces] for _, pieces in page.curves("training")] == [[1, 1]]


def test_changes_of_the_learning_rate(tmp_path):
    def training(rates):
        rows = "\n".join(f"{i},{1 / (i + 1)},{rate}" for i, rate in enumerate(rates))
        run = small_run(tmp_path, f"epoch,loss,learning_rate\n{rows}\n")
        return Page(report.made(run, perceptron(), None, None, missing="none"))

    page = training([0.1, 0.1, 0.01, 0.01, 0.001])
    lines = page.of("training", "path", class_="change")[1:]  # the first explains them
    assert len(lines) == 2 and not page.of("training", "path", class_="mark")
    (points,) = dict(page.curves("training"))["loss"]
    assert [float(re.match(r"M([\d.]+)", line["d"])[1]) for line in lines] == [points[2][0], points[4][0]]
    assert "learning rate 0.01" in page.texts["training"]
    ((name, _),) = page.curves("schedules")  # by a callback: over epochs
    assert name == "learning_rate"
    page = training([0.5**i for i in range(9)])
    assert len(page.of("training", "path", class_="mark")) == 1 + 8
    page = training([0.1, "NA", 0.1, 0.01])
    assert len(page.of("training", "path", class_="change")) == 1 + 1
    page = training([0.1] * 4)
    assert "learning rate changed" not in page.texts["training"]


def test_numbers():
    for value, expected in (
        (0.0123456, "0.01235"), (12345.0, "12,345"), (1234.5, "1,234"), (1e-5, "1e\u22125"), (-2.5, "\u22122.5"),
        (float("nan"), "NaN"), (float("-inf"), "\u2212\u221e"), (0.0, "0"), (1e20, "1e20"),
    ):  # fmt: skip
        assert number(value) == expected
    assert plain("a\u202fb\x1b[31m\n", 20) == "a b?[31m?" and plain("x" * 9, 8) == "xxxxx..."


# ---- damaged folders


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("history.csv", b"epoch,loss\n0,1\n1\n", "line 3 must have 2 values. Received: 1"),
        ("history.csv", b"epoch,loss\n0,one\n", "line 2 must have numbers. Received: 'one'"),
        ("history.csv", b"loss\n1\n", "must name the columns, epoch among them"),
        ("history.csv", b"epoch,loss,loss\n0,1,1\n", "must name the columns, epoch among them"),
        ("history.csv", b"epoch,loss\n0.5,1\n", "an epoch is a whole number from 0 up"),
        ("history.csv", b"epoch,loss\n1e99,1\n", "an epoch is a whole number from 0 up"),
        ("history.csv", b"\xff\xfe", "it is no CSV file"),
        ("history.csv", b'epoch,"' + b"x" * 200_000, "it is no CSV file"),
        ("environment.json", b"{", "it is not JSON"),
        ("environment.json", b"[" * 100_000, "it is not JSON"),
        ("environment.json", b"[1]", "must hold a table of values. Received: list"),
        ("environment.json", b" " * (1 << 20) + b"{}", "is too large"),
        ("config.toml", b"dataset = ", "is not a TOML file"),
        ("model.safetensors", b"", "model.safetensors"),
        ("model.safetensors", b"\xff" * 64, "model.safetensors"),
    ],
    ids=range(15),
)
def test_damaged_files(folder, capsys, name, content, expected):
    (folder / name).write_bytes(content)
    status = 2 if name == "config.toml" else 3
    said = failure(capsys, ["report", folder], status)
    assert expected in said and name in said
    assert not (folder / "report.html").exists()
    if name != "model.safetensors":
        assert expected in failure(capsys, ["compare", folder, folder], status)


def test_folders_that_are_no_runs(folder, tmp_path, capsys):
    assert "is no folder of a run: it has no config.toml" in failure(capsys, ["report", tmp_path / "nothing"])
    assert "at least two runs" in failure(capsys, ["compare", folder])
    assert "at most 18 runs" in failure(capsys, ["compare", *[folder] * 19])
    assert "cannot be written to" in failure(capsys, ["report", folder, "--out", tmp_path])
    assert "cannot be written to" in failure(capsys, ["report", folder, "--out", tmp_path / "no" / "where.html"])
    (folder / "model.safetensors").unlink()
    assert "it has no model.safetensors" in failure(capsys, ["report", folder])


# ---- several runs


def test_compare(folder, tmp_path, capsys):
    other = tmp_path / "other" / "small"
    other.mkdir(parents=True)
    config = (folder / "config.toml").read_text()
    (other / "config.toml").write_text(
        config.replace("seed = 1", "seed = 2") + '[extra]\n"odd key" = [1, 2]\n[[many]]\na = 1\n'
    )
    (other / "history.csv").write_text(
        "epoch,loss,accuracy,seconds\n0,2,0.5,3\n1,0.25,0.75,1\n2,1,0.5,2\n3,nan,0.5,2\n"
    )
    capsys.readouterr()
    assert main(["compare", str(folder), str(other)]) == 0
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["small (1)", "small (2)"]
    rows = {row[0]: row[1:] for row in lines[1:]}
    settings = [row[0] for row in lines[lines.index(["Settings"]) + 1 : lines.index(["Figures"]) - 1]]
    assert settings == ["seed", "extra.odd key", "many.0.a"]
    assert rows["seed"] == ["1", "2"] and rows["extra.odd key"] == ["-", "[1, 2]"]
    assert rows["epochs"] == ["3", "4"]
    assert rows["Loss, last epoch"][1] == "NaN" and rows["Loss, best epoch"][1] == "0.25 (epoch 2)"
    assert rows["Accuracy, best epoch"][1] == "75.00 % (epoch 2)" and rows["Loss (validation), last epoch"][1] == "-"
    assert rows["Time per epoch"] == ["-", "2 s"]
    _, history = files._read_history(folder / "history.csv")
    assert rows["Accuracy, last epoch"][0] == f"{100 * history['accuracy'][-1]:.2f} %"

    assert main(["compare", str(folder), str(other), "--out", str(tmp_path / "two.html")]) == 0
    page = page_of(tmp_path / "two.html")
    assert list(page.texts) == ["", "figures", "curves", "settings"]
    found = [(name, [len(piece) for piece in pieces]) for name, pieces in page.curves("curves")]
    both = [("small (1)", [EPOCHS]), ("small (2)", [3])], [("small (1)", [EPOCHS]), ("small (2)", [4])]
    alone = [("small (1)", [EPOCHS])]
    assert found == [*both[0], *alone, *both[1], *alone, *alone]  # loss, its validation, accuracy, ..., learning rate

    (other / "history.csv").unlink()
    assert Comparison([other, other]).text().count("epochs") == 1
    assert "None of the runs has a history" in Comparison([other, other]).page()


# ---- in a browser


def chromium():
    """A Chromium that playwright can drive, opened; skips the test where there is none."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed, which drives the browser")
    from playwright.sync_api import Error, sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next((found for found in map(shutil.which, names) if found), None)
    driver = sync_playwright().start()
    try:
        return driver, driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
    except Error as error:
        driver.stop()
        if path is None:
            pytest.skip("no Chromium was found")
        raise error


def test_pages_in_a_browser(folder, tmp_path):
    driver, browser = chromium()
    try:
        assert main(["report", str(folder)]) == 0
        assert main(["compare", str(folder), str(folder), "--out", str(tmp_path / "two.html")]) == 0
        for path, least in ((folder / "report.html", 60), (tmp_path / "two.html", 5)):
            for width in (1280, 400):
                view = browser.new_page(viewport={"width": width, "height": 900})
                said, asked = [], []
                view.on("console", lambda message, said=said: said.append(message.text))
                view.on("pageerror", lambda error, said=said: said.append(str(error)))
                view.on("request", lambda request, asked=asked: asked.append(request.url))
                view.goto(path.as_uri())
                assert said == []
                assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
                boxes = [found.bounding_box() for found in view.query_selector_all("figure, svg, img, table, pre")]
                assert len(boxes) >= least
                assert all(box is not None and box["width"] >= 8 and box["height"] >= 8 for box in boxes)
                loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
                assert view.evaluate(loaded)
                assert view.evaluate("document.documentElement.scrollWidth") <= width  # nothing beside the page
                view.close()
    finally:
        browser.close()
        driver.stop()
