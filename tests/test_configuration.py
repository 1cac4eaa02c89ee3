"""Configurations that describe data, layers, optimizer, schedules, loss, callbacks and augmentation."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from resumed_trainings import ended, forked, needs_fork

import jitnet
from jitnet import configuration, constraints, initializers, layers, optimizers, regularizers, schedules
from jitnet.cli import main
from jitnet.commands import environment
from jitnet.configuration import objects, training
from jitnet.files import checkpoints


def table_of(serialized):
    """What ``get_config`` says, as a configuration would say it: tables with a class, nothing that is None."""
    if isinstance(serialized, dict) and "class_name" in serialized:
        return {"class": serialized["class_name"], **table_of(serialized["config"])}
    if isinstance(serialized, dict):
        return {key: table_of(value) for key, value in serialized.items() if value is not None}
    if isinstance(serialized, list | tuple):
        return ["none" if item is None else table_of(item) for item in serialized]
    return serialized


def plain(config):
    """A config with lists for tuples."""
    return json.loads(json.dumps(config))


def examples():
    """An object of every class that a configuration can describe: (kind, object)."""
    for name in sorted({cls.__name__ for cls in objects.known("layer").values()}):
        cls = getattr(layers, name)
        if cls.example is not None and cls not in (layers.RNN, layers.Wrapper):
            yield "layer", lambda cls=cls: cls(**cls.example["arguments"])
    for cls in {*objects.known("optimizer").values()}:
        yield "optimizer", cls
    yield "schedule", lambda: schedules.CosineDecay(0.1, 30, warmup_target=0.2, warmup_steps=3)
    yield "schedule", lambda: schedules.Chained([0.1, schedules.StepDecay(0.1, 10)], [5])
    yield "schedule", lambda: schedules.LinearWarmup(schedules.ExponentialDecay(0.1, 9, 0.5), 4)
    yield "schedule", lambda: schedules.PiecewiseConstantDecay([3, 6], [0.3, 0.2, 0.1])
    yield "initializer", lambda: initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=3)
    yield "regularizer", lambda: regularizers.OrthogonalRegularizer(0.1)
    yield "constraint", lambda: constraints.MinMaxNorm(0.1)
    yield "layer", lambda: layers.Dense(
        3, kernel_initializer=initializers.RandomNormal(0, 0.1, seed=1), kernel_regularizer=regularizers.L2(0.1),
        bias_constraint=constraints.NonNeg(),
    )  # fmt: skip
    yield "layer", lambda: layers.Dropout(schedules.PolynomialDecay(0.5, 10, 0.1))
    yield "loss", lambda: jitnet.losses.CategoricalCrossentropy(label_smoothing=0.1)
    yield "metric", lambda: jitnet.metrics.SparseTopKCategoricalAccuracy(3)
    yield "optimizer", lambda: optimizers.SGD(0.1, 0.9, learning_rate_multipliers={"bias$": 2.0}, clipnorm=1.0)


def test_every_class_can_be_described():
    seen = 0
    for kind, make in examples():
        original = make()
        described = {"class": type(original).__name__, **table_of(original.get_config())}
        described = tomllib.loads(configuration.to_toml({"x": [described]}))["x"][0]
        complete = objects.completed("x", described, kind)
        again = tomllib.loads(configuration.to_toml({"x": [complete]}))["x"][0]
        assert again == complete
        assert objects.completed("x", again, kind) == complete, type(original).__name__
        made = objects.make("x", complete, kind, 10)
        assert type(made) is type(original)
        assert plain(made.get_config()) == plain(original.get_config())
        seen += 1
    assert seen > 100


# ---- training

DESCRIBED = """
dataset = "digits"
epochs = 3
batch_size = 64
validation_split = 0.2
loss = {class = "SparseCategoricalCrossentropy", name = "loss"}
metrics = ["accuracy", {class = "SparseTopKCategoricalAccuracy", k = 3, name = "top_3"}]
augmentation = [
    {class = "RandomTranslation", height_factor = 0.1, width_factor = 0.1, fill_mode = "constant"},
]

[model]
name = "small"

[[model.layers]]
class = "Conv2D"
filters = 4
kernel_size = 3
activation = "relu"
kernel_initializer = "he_normal"
kernel_regularizer = {class = "L2", l2 = 0.001}

[[model.layers]]
class = "Flatten"

[[model.layers]]
class = "Dropout"
rate = {class = "PolynomialDecay", initial_learning_rate = 0.3, decay_epochs = 2, end_learning_rate = 0.1}

[[model.layers]]
class = "Dense"
units = 10
activation = "softmax"

[optimizer]
class = "AdamW"

[optimizer.learning_rate]
class = "CosineDecay"
initial_learning_rate = 0.001
warmup_target = 0.01
warmup_epochs = 0.5
decay_epochs = 2.5

[[callbacks]]
class = "EarlyStopping"
monitor = "val_accuracy"
patience = 2
restore_best_weights = true

[[callbacks]]
class = "ModelCheckpoint"
filepath = "best/{epoch:02d}.safetensors"

[[callbacks]]
class = "CSVLogger"
filename = "log.csv"
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights_hash(path):
    return hashlib.sha256(b"".join(w.tobytes() for w in jitnet.load_model(path).get_weights())).hexdigest()


def failure(capsys, arguments, status=2):
    """The message of a command that must fail with that status, and leave no run behind."""
    capsys.readouterr()
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err and captured.out == ""
    return captured.err


def test_the_resolved_configuration_reproduces_the_weights(workplace, capsys):
    (workplace / "asked.toml").write_text(DESCRIBED)
    change = ["--set", "model.layers.0.filters=6", "--set", "optimizer.learning_rate.initial_learning_rate=0.002"]
    assert main(["train", "asked.toml", *change, "--out", "first"]) == 0
    said = capsys.readouterr().out
    (line,) = (line for line in said.splitlines() if line.startswith("Test loss"))
    assert main(["train", "first/config.toml", "--out", "second", "--threads", "1"]) == 0
    assert main(["train", "first/config.toml", "--out", "other", "--set", "augmentation.0.height_factor=0.2"]) == 0
    first, second, other = (workplace / name for name in ("first", "second", "other"))
    kept = [path.relative_to(first) for path in sorted(first.rglob("*.safetensors"))]
    kept = [path for path in kept if path.parts[0] != "checkpoints"]
    assert [str(path) for path in kept] == [
        "best/01.safetensors", "best/02.safetensors", "best/03.safetensors", "model.safetensors",
    ]  # fmt: skip
    for path in kept:
        assert weights_hash(first / path) == weights_hash(second / path)
    assert weights_hash(first / "model.safetensors") != weights_hash(other / "model.safetensors")
    for name in ("history.csv", "log.csv"):
        assert (first / name).read_text() == (second / name).read_text()

    config = tomllib.loads((first / "config.toml").read_text())
    assert tomllib.loads((second / "config.toml").read_text()) == {**config, "threads": 1}
    assert config["model"]["layers"][0]["filters"] == 6
    assert config["model"]["layers"][0]["padding"] == "valid"  # a default
    assert config["optimizer"]["learning_rate"]["decay_epochs"] == 2.5
    model = jitnet.load_model(first / "model.safetensors")
    assert isinstance(model.optimizer, optimizers.AdamW)
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    assert (schedule["decay_steps"], schedule["warmup_steps"]) == (round(2.5 * 18), 9)  # 1,150 images, batches of 64
    assert model.layers[3].rate.decay_steps == 2 * 18

    assert main(["evaluate", "first"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == line
    (x, _), _ = jitnet.datasets.digits.load_data()
    np.save("images.npy", x[:7])
    assert main(["predict", "first", "images.npy"]) == 0
    assert len(capsys.readouterr().out.split()) == 7

    described = json.loads((second / "environment.json").read_text())
    assert described["command_line"] == ["jitnet", "train", "first/config.toml", "--out", "second", "--threads", "1"]
    assert described["threads"] == 1 and described["device"] == "cpu"
    assert described["versions"]["numpy"] == np.__version__
    assert set(described["machine"]) == {"platform", "processor", "cores", "usable_cores"}


def test_layers_of_tables_come_before_the_step(workplace, capsys):
    x = np.random.default_rng(0).integers(3, 9, (40, 1))
    np.save("x.npy", x)
    np.save("y.npy", x[:, 0] * 1.5)
    (workplace / "asked.toml").write_text(
        REGRESSION.replace("layers = [", 'layers = [{class = "IntegerLookup", output_mode = "one_hot"}, ')
    )
    assert main(["train", "asked.toml", "--out", "run"]) == 0
    assert main(["train", "run/config.toml", "--out", "again"]) == 0
    assert weights_hash("run/model.safetensors") == weights_hash("again/model.safetensors")
    capsys.readouterr()
    assert main(["predict", "run", "x.npy"]) == 0
    said = np.array(capsys.readouterr().out.split(), "float32")
    assert [len(np.unique(said[x[:, 0] == value])) for value in range(3, 9)] == [1] * 6


def test_datasets_of_texts_and_tables(workplace, monkeypatch):
    monkeypatch.setenv("JITNET_DATA_DIR", str(workplace))
    generator = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 60), ("test", 20)):
        parts[f"y_{part}"] = generator.integers(0, 2, count)
        parts[f"x_{part}"] = np.empty(count, object)
        for number, label in enumerate(parts[f"y_{part}"]):
            words = generator.integers(1, 40, generator.integers(3, 30)) + 50 * label
            parts[f"x_{part}"][number] = words.tolist()
    x = generator.normal(size=(60, 13))
    for name, arrays in (("imdb", parts), ("boston_housing", {"x": x, "y": x.sum(1)})):
        (workplace / name).mkdir()
        np.savez(workplace / name / f"{name}.npz", **arrays)
    (workplace / "texts.toml").write_text("""
        dataset = "imdb"
        epochs = 2
        loss = "binary_crossentropy"
        metrics = ["accuracy"]
        data = {num_words = 80, length = 12}
        [model]
        layers = [
            {class = "Embedding", input_dim = 80, output_dim = 4, mask_zero = true},
            {class = "GlobalAveragePooling1D"},
            {class = "Dense", units = 1, activation = "sigmoid"},
        ]
        """)
    (workplace / "table.toml").write_text("""
        dataset = "boston_housing"
        epochs = 2
        loss = {class = "Huber", delta = 2.0}
        [model]
        layers = [{class = "Normalization"}, {class = "Dense", units = 1}]
        [optimizer]
        class = "SGD"
        [optimizer.learning_rate]
        class = "Chained"
        epochs = [1]
        [[optimizer.learning_rate.schedules]]
        class = "ConstantSchedule"
        value = 0.01
        [[optimizer.learning_rate.schedules]]
        class = "ExponentialDecay"
        initial_learning_rate = 0.01
        decay_epochs = 1
        decay_rate = 0.5
        """)
    for name in ("texts", "table"):
        assert main(["train", f"{name}.toml", "--out", name]) == 0
        assert main(["train", f"{name}/config.toml", "--out", f"{name}2"]) == 0
        assert weights_hash(f"{name}/model.safetensors") == weights_hash(f"{name}2/model.safetensors")
    schedule = jitnet.load_model("table/model.safetensors").optimizer.get_config()["learning_rate"]["config"]
    assert schedule["steps"] == [2] and schedule["schedules"][1]["config"]["decay_steps"] == 2  # 48 of 32
    assert jitnet.load_model("texts/model.safetensors").input_shape == (None, 12)


@needs_fork
def test_a_described_run_is_resumed_to_the_same_bits(workplace):
    (workplace / "asked.toml").write_text(DESCRIBED)
    asked = ["train", "asked.toml", "--epochs", "12", "--set", "callbacks.0.patience=20"]
    assert main([*asked, "--out", "whole"]) == 0
    child = forked(lambda: main([*asked, "--out", "killed"]))
    deadline = time.monotonic() + 60
    while max([-1, *checkpoints.steps_in(workplace / "killed" / "checkpoints")]) < 36:  # two epochs
        assert time.monotonic() < deadline and os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert main(["train", "--resume", "killed", "--threads", "1"]) == 0
    for name in ("model.safetensors", "best/12.safetensors"):
        assert weights_hash(f"whole/{name}") == weights_hash(f"killed/{name}")
    for name in ("history.csv", "log.csv"):
        assert (workplace / "whole" / name).read_text() == (workplace / "killed" / name).read_text()


def test_a_recipe_with_callbacks_and_augmentation_reproduces(workplace):
    asked = ["digits", "--model", "mlp", "--epochs", "2", "--set", "model.units=[12]", "--set", "validation_split=0.2"]
    asked += ["--set", 'augmentation=[{class = "RandomFlip", mode = "horizontal"}]', "--set", "shift=false"]
    asked += ["--set", "optimizer.schedule=constant", "--set", 'callbacks=[{class="ReduceLROnPlateau", patience=1}]']
    assert main(["train", *asked, "--out", "first"]) == 0
    assert main(["train", "first/config.toml", "--out", "second"]) == 0
    assert weights_hash("first/model.safetensors") == weights_hash("second/model.safetensors")
    assert "learning_rate" in (workplace / "first" / "history.csv").read_text()  # which the callback adds
    config = tomllib.loads((workplace / "first" / "config.toml").read_text())
    assert config["callbacks"][0]["factor"] == 0.1
    assert config["loss"] == "sparse_categorical_crossentropy"


# ---- files


TABLE = """
epochs = 2
loss = "sparse_categorical_crossentropy"
metrics = ["accuracy"]
[data]
csv = "table.csv"
target = "kind"
columns = ["b", "a"]
test_csv = "table.csv"
[model]
layers = [{class = "Normalization"}, {class = "Dense", units = 2, activation = "softmax"}]
"""


def write_table(path, rows):
    path.write_text("a,b,kind,note\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows))


def rows(count=40):
    values = np.random.default_rng(3).normal(size=(count, 2)).round(3)
    return [(a * 100 + 3, b, "left" if a < b else "right", "x") for a, b in values]


def test_a_table_of_classes(workplace, capsys):
    folder = workplace / "data"
    folder.mkdir()
    (folder / "table.toml").write_text(TABLE)
    write_table(folder / "table.csv", rows())
    assert main(["train", "data/table.toml"]) == 0
    run = workplace / "runs" / "table-model-seed0"
    config = tomllib.loads((run / "config.toml").read_text())
    assert config["data"]["csv"] == str(folder / "table.csv")
    assert config["data"]["classes"] == ["left", "right"]
    # what the first layer learnt: of column b, then of a
    found = np.array([(b, a) for a, b, *_ in rows()], "float32")
    mean, variance, _ = jitnet.load_model(run / "model.safetensors").layers[0].get_weights()
    np.testing.assert_allclose(mean.reshape(-1), found.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance.reshape(-1), found.var(axis=0), rtol=1e-5)
    capsys.readouterr()
    assert main(["train", str(run / "config.toml"), "--out", "again"]) == 0
    assert weights_hash(run / "model.safetensors") == weights_hash("again/model.safetensors")
    np.save("two.npy", found[:2])
    capsys.readouterr()
    assert main(["predict", str(run), "two.npy"]) == 0
    assert set(capsys.readouterr().out.split()) <= {"left", "right"}
    assert main(["evaluate", str(run)]) == 0

    damaged = {
        "lacks.csv": (["a,b\n1,2\n"], "has no column 'kind'. There are: a, b"),
        "short.csv": (["a,b,kind\n1,2,left\n3,4\n"], "line 3: expected 3 values, as the header has. Received: 2"),
        "text.csv": (["a,b,kind\n1,2,left\nx,4,left\n"], "must hold numbers; .* Received: 'x' in row 2"),
        "nan.csv": (["a,b,kind\n1,nan,left\n"], "the samples contain nan at [0, 0]"),
        "empty.csv": ([""], "must have a header of different names, and rows"),
        "mixed.csv": (["a,b,kind\n1,2,1\n1,2,left\n"], "or names of classes, .* Received: 'left' in row 2"),
        "missing.csv": ([], "There is no file"),
    }
    for name, (text, expected) in damaged.items():
        for content in text:
            (folder / name).write_text(content)
        said = failure(capsys, ["train", "data/table.toml", "--set", f"data.csv=data/{name}", "--out", "no"], 3)
        for part in expected.split(" .* "):
            assert part in said, name
        assert not (workplace / "no").exists()
    for name, part in (("quote.csv", b'a,b,kind\n1,2,"left\n'), ("bytes.csv", b"a,b,kind\n1,2,\xff\n")):
        (folder / name).write_bytes(part)
        said = failure(capsys, ["train", "data/table.toml", "--set", f"data.csv=data/{name}"], 3)
        assert "is not a table in UTF-8" in said


REGRESSION = """
epochs = 2
loss = "mse"
metrics = ["mae"]
[data]
x = "x.npy"
y = "y.npy"
validation_x = "x.npy"
validation_y = "y.npy"
[model]
layers = [{class = "Dense", units = 1}]
"""


def test_pairs_of_arrays(workplace, capsys):
    x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    np.save("x.npy", x)
    np.save("y.npy", x @ np.array([1, 2, 3, 4], "float32"))
    (workplace / "asked.toml").write_text(REGRESSION)
    assert main(["train", "asked.toml", "--out", "run"]) == 0
    assert "val_mae" in (workplace / "run" / "history.csv").read_text()
    np.save("three.npy", x[:3])
    capsys.readouterr()
    assert main(["predict", "run", "three.npy"]) == 0
    said = capsys.readouterr().out
    expected = jitnet.load_model("run/model.safetensors").predict(x[:3], verbose=0)
    np.testing.assert_array_equal(np.array(said.split(), "float32"), expected.reshape(-1))
    assert "has no test data" in failure(capsys, ["evaluate", "run"], 3)

    wrong = {
        "as many targets": ("y", np.zeros(29)),
        "the targets contain inf at [3]": ("y", np.where(np.arange(30) == 3, np.inf, 0)),
        "expected targets of shape (None, 1)": ("y", np.zeros((30, 2))),
        "the samples contain nan at [29, 1]": ("x", np.where(np.arange(120).reshape(30, 4) == 117, np.nan, 0)),
        "must hold samples of shape (3,)": ("x", np.zeros((30, 3))),
        "not a .npy file of numbers": ("x", np.array(["a"])),
    }
    for expected, (name, array) in wrong.items():
        np.save("wrong.npy", array)
        settings = ["--set", f"data.{name}=wrong.npy", "--out", "no"]
        assert expected in failure(capsys, ["train", "asked.toml", *settings], 3)
        assert not (workplace / "no").exists()
    np.save("wrong.npy", np.zeros((2, 3)))
    assert "samples of shape (None, 4)" in failure(capsys, ["predict", "run", "wrong.npy"], 3)


def test_folders_of_pictures(workplace, capsys):
    image = pytest.importorskip("PIL.Image")
    generator = np.random.default_rng(0)
    for name, level in (("dark", 0), ("light", 150)):
        (workplace / "pictures" / name).mkdir(parents=True)
        for number in range(9):
            pixels = (generator.integers(0, 90, (9, 9, 3)) + level).astype("uint8")
            image.fromarray(pixels).save(workplace / "pictures" / name / f"{number}.png")
    (workplace / "asked.toml").write_text("""
        epochs = 2
        validation_split = 0.3
        [data]
        images = "pictures"
        image_size = [8, 8]
        test_images = "pictures"
        [model]
        name = "mlp"
        units = [8]
        """)
    assert main(["train", "asked.toml", "--out", "run"]) == 0
    assert main(["train", "run/config.toml", "--out", "again"]) == 0
    assert weights_hash("run/model.safetensors") == weights_hash("again/model.safetensors")
    assert jitnet.load_model("run/model.safetensors").output_shape == (None, 2)
    assert main(["evaluate", "run"]) == 0
    np.save("one.npy", np.full((8, 8, 3), 200, "uint8"))
    capsys.readouterr()
    assert main(["predict", "run", "one.npy"]) == 0
    assert capsys.readouterr().out.strip() in ("dark", "light")
    (workplace / "pictures" / "dark" / "0.png").write_bytes(b"no picture")
    assert "0.png" in failure(capsys, ["train", "asked.toml"], 3)
    asked = ["train", "asked.toml", "--set", "data.images=nowhere"]
    assert "There is no folder" in failure(capsys, asked, 3)


# ---- examples


def test_the_readmes_example_trains(workplace, capsys):
    root = Path(__file__).parent.parent
    examples = sorted((root / "scripts" / "configs").glob("*.toml"))
    assert examples
    readme = (root / "README.md").read_text(encoding="utf-8")
    for path in examples:
        assert f"```toml\n{path.read_text(encoding='utf-8')}```" in readme
        assert main(["train", str(path), "--out", path.stem]) == 0
        (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Test accuracy"))
        assert float(line.split()[2]) > 90


# ---- environment and tables


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_of_a_checkout(workplace):
    assert environment.commit() is None

    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(["git", *names, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    (workplace / "file").write_text("one")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    assert environment.commit() == {"hash": git("rev-parse", "HEAD"), "changed": False}
    (workplace / "file").write_text("two")
    assert environment.commit()["changed"]


def test_lengths_and_paths_of_new_classes_are_known():
    for cls in objects.known("schedule").values():
        for name in objects._parameters(cls):
            assert name in objects._EPOCHS or "steps" not in name, f"{cls.__name__}: what is {name} in epochs?"
    for cls in objects.known("callback").values():
        for name in objects._parameters(cls):
            is_path = any(part in f"_{name}" for part in ("path", "_file", "dir"))  # "profile_batch" is none
            assert name in training._PATHS or not is_path, f"{cls.__name__}: {name} could lead out of the run's folder"


def test_help_lists_the_exit_statuses(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for status in ("  0 ", "  2 ", "  3 ", "  130 "):
        assert any(line.startswith(status) for line in said.splitlines())
