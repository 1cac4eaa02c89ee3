"""The command line: what runs leave behind, how they are repeated, and what wrong input is told."""

import csv
import errno
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
from faulty_files import FaultyFiles, failing

import jitnet
from jitnet import configuration
from jitnet.cli import main
from jitnet.files import atomic

# small and quick; the command's own recipes are tried by hand and in the README
SMALL = ["digits", "--model", "mlp", "--set", "model.units=[12]", "--set", "shift=false"]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights(folder):
    return [w.tobytes() for w in jitnet.load_model(folder / "model.safetensors").get_weights()]


def failure(capsys, arguments, status=2):
    """The message of a command that must fail with that status."""
    capsys.readouterr()
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"jitnet {arguments[0]}: error: ")
    assert "Traceback" not in captured.err
    return captured.err


# ---- train


def test_train_evaluate_predict(workplace, capsys):
    assert main(["train", *SMALL, "--epochs", "3"]) == 0
    said = capsys.readouterr().out
    folder = workplace / "runs" / "digits-mlp-seed0"
    names = {"checkpoints", "config.toml", "environment.json", "history.csv", "model.safetensors"}
    assert {path.name for path in folder.iterdir()} == names
    (accuracy_line,) = (line for line in said.splitlines() if line.startswith("Test accuracy"))
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[2]["loss"]) < float(rows[0]["loss"])
    assert "Epoch 3/3" in said
    assert f"loss: {float(rows[2]['loss']):.4f} - accuracy: {float(rows[2]['accuracy']):.4f}" in said

    assert main(["evaluate", str(folder)]) == 0
    assert capsys.readouterr().out == accuracy_line + "\n"

    _, (x, y) = jitnet.datasets.digits.load_data()
    np.save("images.npy", x)
    assert main(["predict", str(folder), "images.npy"]) == 0
    labels = np.array(capsys.readouterr().out.split(), int)
    assert f"({(labels == y).sum()} of {len(y)})" in accuracy_line
    assert main(["predict", str(folder), "images.npy", "--out", "found"]) == 0
    probabilities = np.load("found")
    assert probabilities.shape == (len(x), 10)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), labels)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)

    capsys.readouterr()
    np.save("one.npy", x[5].astype(np.float64))
    assert main(["predict", str(folder), "one.npy"]) == 0
    assert capsys.readouterr().out == f"{labels[5]}\n"


def test_export(workplace, capsys):
    assert main(["train", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    capsys.readouterr()
    assert main(["export", "run"]) == 0
    said = capsys.readouterr().out
    assert {"model.h", "model.o"} <= {path.name for path in (workplace / "run" / "library").iterdir()}
    assert "Exported: run/library/model.h, run/library/model.o" in said
    assert "values from 0 to 1: pixel values from 0 to 16, divided by 16." in said
    assert main(["export", "run", "--batch-size", "5", "--out", "build/digits"]) == 0
    assert "float[5][8][8][1]" in (workplace / "build" / "digits.h").read_text()
    assert "a path without a suffix" in failure(capsys, ["export", "run", "--out", "build/digits.so"])
    assert "batch_size=0" in failure(capsys, ["export", "run", "--batch-size", "0"])


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_config_of_a_run_repeats_it_bit_for_bit(model, workplace):
    small = "model.units=[12]" if model == "mlp" else "model.filters=[[3], [5]]"
    asked = ["digits", "--model", model, "--seed", "7", "--epochs", "2", "--batch-size", "50"]
    asked += ["--learning-rate", "0.01"]
    assert main(["train", *asked, "--set", small, "--set", "shift=false", "--out", "first"]) == 0
    assert main(["train", "first/config.toml", "--out", "second", "--threads", "1"]) == 0
    assert main(["train", "first/config.toml", "--out", "other", "--seed", "8"]) == 0
    assert weights(workplace / "first") == weights(workplace / "second")
    assert weights(workplace / "first") != weights(workplace / "other")
    first = tomllib.loads((workplace / "first" / "config.toml").read_text())
    second = tomllib.loads((workplace / "second" / "config.toml").read_text())
    assert second == {**first, "threads": 1}
    assert (first["seed"], first["epochs"], first["batch_size"]) == (7, 2, 50)
    assert first["optimizer"]["learning_rate"] == 0.01
    assert (workplace / "first" / "history.csv").read_text() == (workplace / "second" / "history.csv").read_text()


def test_runs_are_never_overwritten(workplace):
    for _ in range(3):
        assert main(["train", *SMALL, "--epochs", "1"]) == 0
    names = {path.name for path in (workplace / "runs").iterdir()}
    assert names == {"digits-mlp-seed0", "digits-mlp-seed0-2", "digits-mlp-seed0-3"}


def test_folder_of_out_must_be_empty(workplace, capsys):
    (workplace / "full").mkdir()
    (workplace / "full" / "model.safetensors").write_text("precious")
    assert "full is not empty" in failure(capsys, ["train", *SMALL, "--out", "full"])
    assert (workplace / "full" / "model.safetensors").read_text() == "precious"


def test_validation_part_is_in_the_history(workplace):
    assert main(["train", *SMALL, "--epochs", "1", "--set", "validation_split=0.25", "--out", "run"]) == 0
    assert "val_accuracy" in (workplace / "run" / "history.csv").read_text().splitlines()[0]


def test_what_a_run_is_repeated_from_is_written_as_a_whole(workplace, monkeypatch):
    written, write = [], atomic.write
    monkeypatch.setattr(atomic, "write", lambda path, content: written.append(path) or write(path, content))
    assert main(["train", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    assert {os.path.join("run", name) for name in ("config.toml", "environment.json")} <= {*written}


def test_no_number_of_threads_is_all_cores(workplace, capsys):
    assert main(["train", *SMALL, "--epochs", "1", "--threads", "0", "--out", "run"]) == 0
    used = json.loads((workplace / "run" / "environment.json").read_text())
    assert used["threads"] == used["machine"]["usable_cores"]
    capsys.readouterr()
    for command in ("train", "tune"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert re.search(r"--threads THREADS [^-]*0: all cores", " ".join(capsys.readouterr().out.split()))


def test_ctrl_c_keeps_what_was_trained(workplace, capsys):
    started = [sys.executable, "-m", "jitnet", "train", *SMALL, "--epochs", "1000000", "--out", "run"]
    process = subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    history = workplace / "run" / "history.csv"
    try:
        deadline = time.monotonic() + 120
        while not (history.exists() and len(history.read_text().splitlines()) > 2):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        # the pipe must be drained, or the process could wait for room in it
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Interrupted after" in said and "Traceback" not in said
    epochs = len(history.read_text().splitlines()) - 1
    steps = jitnet.load_model(workplace / "run" / "model.safetensors").optimizer.iterations
    assert epochs * 23 <= steps <= (epochs + 1) * 23  # 1,438 images in batches of 64
    assert main(["evaluate", "run"]) == 0
    assert float(capsys.readouterr().out.split()[2]) > 15


# ---- where runs cannot be saved


def test_out_below_a_file(workplace, capsys):
    (workplace / "file").write_text("")
    assert "cannot be saved in file/run" in failure(capsys, ["train", *SMALL, "--out", "file/run"])
    assert "it is a file" in failure(capsys, ["train", *SMALL, "--out", "file"])


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes")
def test_names_that_are_no_utf8(workplace):
    folder = os.fsdecode(b"b\xffd")
    command = [sys.executable, "-m", "jitnet"]
    done = subprocess.run(
        [*command, "train", *SMALL, "--epochs", "1", "--out", folder], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"Saved: b" in done.stdout
    for name in ("evaluate", "report"):
        done = subprocess.run([*command, name, folder], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_what_out_must_not_replace(workplace, capsys):
    assert main(["train", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    model, before = workplace / "run" / "model.safetensors", weights(workplace / "run")
    images = np.zeros((2, 8, 8), np.float32)
    np.save("images.npy", images)
    for command, expected in (
        (["report", "run"], "is no page: give another name"),
        (["compare", "run", "run"], "is no page: give another name"),
        (["predict", "run", "images.npy"], "is no .npy file: give another name"),
    ):
        capsys.readouterr()
        assert main([*command, "--out", str(model)]) == 2
        assert expected in capsys.readouterr().err
    assert "would replace the images themselves" in failure(
        capsys, ["predict", "run", "images.npy", "--out", os.path.join(".", "images.npy")]
    )
    np.testing.assert_array_equal(np.load("images.npy"), images)
    assert weights(workplace / "run") == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that takes nothing")
def test_probabilities_on_a_full_disk(workplace, capsys, monkeypatch):
    assert main(["train", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    np.save("images.npy", np.zeros((2, 8, 8), np.float32))
    arguments = ["predict", "run", "images.npy", "--out"]
    assert "No space left" in failure(capsys, [*arguments, "/dev/full"])
    assert main([*arguments, "found.npy"]) == 0
    before = (workplace / "found.npy").read_bytes()
    FaultyFiles(failing(errno.ENOSPC), names=("write",)).install(monkeypatch)
    assert "No space left" in failure(capsys, [*arguments, "found.npy"])
    assert (workplace / "found.npy").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("arguments", [["train", *SMALL, "--epochs", "1"], ["inspect", "dense.dense_forward"]])
def test_output_whose_reader_has_gone(arguments, workplace):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-u", "-m", "jitnet", *arguments], stdout=writing, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert done.returncode == 141
    expected = "jitnet train: error: nobody reads the output any more" if arguments[0] == "train" else ""
    assert done.stderr.startswith(expected) and "Errno" not in done.stderr
    assert bool(done.stderr) == bool(expected)


@pytest.mark.parametrize("out", [[], ["--out", "folder"]])
def test_read_only_folder(out, workplace, capsys, monkeypatch):
    # permissions would not stop root
    def read_only(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", read_only)
    assert "Read-only file system" in failure(capsys, ["train", *SMALL, *out])


def test_full_disk_is_seen_before_training(workplace, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in failure(capsys, ["train", *SMALL, "--out", "run"])
    assert not (workplace / "run").exists()


# ---- wrong input


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["digitz"], "Unknown dataset 'digitz'. Did you mean 'digits'?"),
        (["digits", "--model", "cnm"], "Unknown model 'cnm'. Did you mean 'cnn'?"),
        (["digits", "--optimizer", "adan"], "Unknown optimizer 'adan'. Did you mean 'adam'?"),
        (["digits", "--device", "cdua"], "Unknown device 'cdua'. Did you mean 'cuda'?"),
        (["digits", "--device", "gpu0"], "Unknown device 'gpu0'"),
        (["digits", "--set", "optimizer.learnin_rate=1"], "Did you mean 'optimizer.learning_rate'?"),
        (["digits", "--set", "optimizer.schedule=cosin"], "Unknown schedule 'cosin'. Did you mean 'cosine'?"),
        (["digits", "--model", "mlp", "--set", "model.filters=[[1]]"], "Unknown configuration key 'model.filters'"),
        (["digits", "--model", "mlp", "--set", "model.activation=rellu"], "'relu'"),
        (["digits", "--set", "epochs"], "--set expects KEY=VALUE"),
        (["digits", "--set", "epochs=2.5"], "epochs must be a whole number from 1 up. Received: epochs=2.5"),
        (["digits", "--set", "shift=1"], "shift must be true or false"),
        (["digits", "--set", "model.filters=[3]"], "model.filters must be a list of blocks"),
        (["digits", "--set", "model.dropout=1"], "model.dropout must be from 0 to below 1"),
        (["digits", "--epochs", "0"], "epochs must be a whole number from 1 up. Received: epochs=0"),
        (["digits", "--batch-size", "-1"], "batch_size must be a whole number from 1 up. Received: batch_size=-1"),
        (["digits", "--threads", "100000"], "at most"),
        (["digits", "--threads", "-1"], "threads must be a whole number from 0 up. Received: threads=-1"),
        (["digits", "--seed", "-3"], "seed must be a whole number from 0 up"),
        (["digits", "--learning-rate", "nan"], "optimizer.learning_rate must be a number"),
        (["digits", "--model", "lenet5"], "larger than the padded input"),
        (["digits", "--set", "validation_split=0.9999"], "validation_split leaves one part"),
        (["nowhere.toml"], "There is no configuration file nowhere.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_of_train(arguments, expected, workplace, capsys):
    assert expected in failure(capsys, ["train", *arguments])
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dataset = ", "is not a TOML file"),
        ("epochs = 3", "The configuration has no dataset"),
        ("dataset = 'digits'\n[optimizer]\nname = 'adamm'", "Did you mean 'adam'?"),
        ("dataset = 'digits'\nmodel = 'cnn'", "model must be a table. Received: model='cnn'"),
    ],
)
def test_wrong_config_file(text, expected, workplace, capsys):
    (workplace / "config.toml").write_text(text)
    assert expected in failure(capsys, ["train", "config.toml"])


@pytest.mark.parametrize("arguments", [[], ["train"], ["trian", "digits"], ["train", "digits", "--epochs", "many"]])
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def in_a_process(*arguments, **variables):
    """The command as a shell runs it, its output read as bytes."""
    command = [sys.executable, "-m", "jitnet", *arguments]
    return subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locale C and no SIGPIPE")
@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}],
    ids=["locale", "output"],
)
def test_names_that_the_encoding_lacks(variables, workplace):
    process = in_a_process("train", *SMALL, "--epochs", "1", "--out", "ünï ☃", **variables)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    found = json.loads((workplace / "ünï ☃" / "environment.json").read_text(encoding="utf-8"))
    assert found["command_line"][-1] == "ünï ☃"
    assert jitnet.load_model(workplace / "ünï ☃" / "model.safetensors").name


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locale C and no SIGPIPE")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads(unbuffered, workplace):
    process = in_a_process("data", "list", PYTHONUNBUFFERED=unbuffered)
    process.stdout.close()  # as `head` does when it has seen enough
    assert (process.stderr.read(), process.wait(60)) == (b"", 141)
    process.stderr.close()


def test_wrong_run(workplace, capsys):
    assert "it has no config.toml" in failure(capsys, ["evaluate", "nowhere"])
    assert main(["train", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    (workplace / "run" / "model.safetensors").write_bytes(b"no model at all")
    assert "model.safetensors" in failure(capsys, ["evaluate", "run"], 3)


def test_wrong_images(workplace, capsys):
    assert main(["train", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    wrong = {
        "shape (N, 8, 8, 1)": np.zeros((2, 9, 8)),
        "values from 0.0 to 255.0": np.full((2, 8, 8), 255.0) * np.array([[[0.0]], [[1.0]]]),
        "holds no images": np.zeros((0, 8, 8)),
        "array of numbers": np.zeros((2, 8, 8), "U1"),
        "not a .npy file of numbers": np.array([{}]),
        "contains nan": np.full((1, 8, 8), np.nan),
    }
    for expected, images in wrong.items():
        np.save("images.npy", images)
        assert expected in failure(capsys, ["predict", "run", "images.npy"], 3)
    for header, body, expected in (
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 8, 8), }", 8, "truncated, float64 of shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 8, 8), }", 513, "bytes after the array"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 8, 8), }", 512, "Received: shape=(-1, 8, 8)"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (2**9,), }", 512, "not a .npy file of numbers"),
        ("(" * 5000, 512, "not a .npy file of numbers"),
        ("{'descr': '<f8', 'fortran_order': 'x", 512, "not a .npy file of numbers"),
        ("\0", 512, "not a .npy file of numbers"),
        ("{1: 2, 'a': 3}", 512, "not a .npy file of numbers"),
    ):
        text = header.encode() + b"\n"
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(body)
        (workplace / "images.npy").write_bytes(content)
        assert expected in failure(capsys, ["predict", "run", "images.npy"], 3), header[:50]
    (workplace / "images.npy").write_bytes(b"")
    assert "not a .npy file of numbers" in failure(capsys, ["predict", "run", "images.npy"], 3)
    assert "nowhere.npy" in failure(capsys, ["predict", "run", "nowhere.npy"], 3)


def test_a_model_that_is_not_the_runs(workplace, capsys):
    assert main(["train", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    path = workplace / "run" / "model.safetensors"
    jitnet.load_model(path, compile=False).save(path)
    expected = "was not compiled with one loss and the metrics of its configuration, accuracy"
    assert expected in failure(capsys, ["evaluate", "run"], 3)
    layers = jitnet.layers
    jitnet.Sequential([jitnet.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)]).save(path)
    for arguments in (["evaluate", "run"], ["predict", "run", "images.npy"]):
        assert "must be a model from shape (None, 8, 8, 1) to (None, 10)" in failure(capsys, arguments, 3)


def test_memory_that_does_not_suffice(capsys, monkeypatch):
    def ask(options):
        raise MemoryError("192 GiB")

    monkeypatch.setattr("jitnet.commands.train.run", ask)
    assert "does not suffice. 192 GiB" in failure(capsys, ["train", "digits"])


# ---- configurations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'dataset = "digits"\nseed = ' + b"[" * 5000, "nested too deep"),
        (b'dataset = "digits"\n' + b"a." * 5000 + b"b = 1", "a dotted key has more than 64 parts"),
        (b"a." * 64 + b"b = 1", "Unknown configuration key 'a'"),
        (b'dataset = "digits"\nseed = ' + b"9" * 5000, "not a TOML file"),
        (b'dataset = "digits"\nseed = 0x' + b"f" * 5000, "seed must be at most .* more digits than Python writes"),
        (b'dataset = "digits"\n[optimizer]\nlearning_rate = ' + b"9" * 400, "learning_rate must be a number"),
        (b'dataset = "digits"\nepochs = 99999999999', "epochs must be at most"),
        (b"dataset = 0x" + b"f" * 5000, "dataset must be one of digits"),
        (b'dataset = [["digits"]]', "dataset must be one of digits"),
        (b'dataset = "digits"\nmodel = 3', "model must be a table. Received: model=3"),
        (b'dataset = "digits"\n[model]\nname = {a = 1}', "model.name must be one of mlp, cnn, lenet5"),
        (b'dataset = "digits"\n[model]\nname = "mlp"\nunits = [99999999999]', "list of positive integers"),
        (b'dataset = "digits" # ' + b"x" * 200_000, "more than 131072 bytes"),
        (b'dataset = "dig\xffits"', "not a TOML file"),
    ],
    ids=range(14),
)
def test_configurations_that_are_odd(text, expected, tmp_path, capsys):
    (tmp_path / "odd.toml").write_bytes(text)
    assert re.search(expected, failure(capsys, ["train", str(tmp_path / "odd.toml")]))


def test_settings_that_are_odd(capsys):
    for value in ("[" * 5000, "9" * 5000):
        assert "--set seed expects a simple value" in failure(capsys, ["train", "digits", "--set", f"seed={value}"])


@pytest.mark.parametrize("dataset", ["digits", "mnist", "fashion_mnist", "cifar10"])
@pytest.mark.parametrize("model", ["mlp", "cnn", "lenet5"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_resolved_config_is_complete(dataset, model, optimizer):
    config = configuration.resolve({"dataset": dataset}, {"model.name": model, "optimizer.name": optimizer})
    again = tomllib.loads(configuration.to_toml(config))
    assert again == config
    assert configuration.resolve(again, {}) == config


def test_another_model_or_optimizer_replaces_the_given_one():
    given = configuration.resolve({"dataset": "digits"}, {"model.dropout": 0.1, "optimizer.beta_1": 0.5})
    changed = configuration.resolve(given, {"model.name": "mlp", "optimizer.name": "sgd"})
    assert changed == configuration.resolve({"dataset": "digits"}, {"model.name": "mlp", "optimizer.name": "sgd"})
    assert configuration.resolve(given, {"model.name": "cnn"}) == given


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=0.01", ("a.b", 0.01)),
        ("a = true", ("a", True)),
        ("a=[[3, 4], [5]]", ("a", [[3, 4], [5]])),
        ("a=cosine", ("a", "cosine")),
        ('a="cosine"', ("a", "cosine")),
    ],
)
def test_setting(text, expected):
    assert configuration.parse_setting(text) == expected


def test_shifts():
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 2, 3, 1)
    images, labels = configuration.with_shifts(x, np.array([4]))
    assert labels.tolist() == [4] * 5
    expected = [
        [[1, 2, 3], [4, 5, 6]],
        [[0, 0, 0], [1, 2, 3]],
        [[4, 5, 6], [0, 0, 0]],
        [[0, 1, 2], [0, 4, 5]],
        [[2, 3, 0], [5, 6, 0]],
    ]
    np.testing.assert_array_equal(images[..., 0], expected)


# ---- info


def test_info(capsys):
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    expectations = "numba", "of jitnet's own pool", "mixed_bfloat16:", "CUDA:"
    for expected in (jitnet.__version__, *expectations):
        assert expected in said
    assert "jitnet's own\n" in said


def test_inspect(capsys):
    assert main(["inspect", "elementwise.relu_forward"]) == 0
    assert capsys.readouterr().out.startswith("def relu_forward(x, y):")
    types = ["float32[:]", "float32[:]"]
    assert main(["inspect", "elementwise.relu_forward", *types, "--llvm"]) == 0
    assert "@relu_forward_" in capsys.readouterr().out
    assert main(["inspect", "elementwise.relu_forward", *types, "--asm"]) == 0
    assert "relu_forward_" in capsys.readouterr().out
    for arguments, expected in (
        (["dense.dense"], "named by its file in kernels/cpu and its function"),
        (["os.system"], "named by its file in kernels/cpu and its function"),
        (["dense.dense_forward", "float32[:]", "--asm"], "takes x, kernel, y: give the type of each"),
        (["elementwise.relu_forward", "float32[:]", "list", "--asm"], "Received: 'list'"),
        (["elementwise.relu_forward", "float32[:]"], "add --llvm or --asm. Received: float32[:]"),
        (["elementwise.relu_forward", "float32", "float32", "--asm"], "relu_forward does not take these types: "),
    ):
        assert main(["inspect", *arguments]) == 2
        assert expected in capsys.readouterr().err
