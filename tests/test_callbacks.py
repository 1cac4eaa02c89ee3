"""Callbacks, driven by a loop that plays back given logs over a model that only counts."""

import csv
import io
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_networks
from small_networks import convolutional, perceptron

import jitnet
from jitnet import callbacks, schedules
from jitnet.callbacks import progress


class FakeModel:
    """Its one weight is the number of epochs that it was trained for."""

    def __init__(self):
        self.optimizer = SimpleNamespace(learning_rate=0.1)
        self.stop_training = False
        self.trained = 0.0
        self.saved = []

    def get_weights(self):
        return [np.array([self.trained])]

    def set_weights(self, weights):
        self.trained = float(weights[0][0])

    def save(self, path):
        self.saved.append(("model", path, self.trained))

    def save_weights(self, path):
        self.saved.append(("weights", path, self.trained))


def fit(epoch_logs, given, model=None, batches=2, verbose=0):
    """The part of ``fit`` that callbacks see.  ``epoch_logs``: the logs of every epoch."""
    model = model or FakeModel()
    params = {"epochs": len(epoch_logs), "steps": batches, "verbose": verbose}
    hooks = callbacks.CallbackList(given, add_history=True, add_progbar=verbose != 0, model=model, **params)
    model.stop_training = False
    hooks.on_train_begin()
    for epoch, logs in enumerate(epoch_logs):
        hooks.on_epoch_begin(epoch)
        for batch in range(batches):
            hooks.on_train_batch_begin(batch)
            hooks.on_train_batch_end(batch, {"loss": logs.get("loss", 0.0)})
            if hooks.progbar:
                hooks.progbar.update(batch + 1, {"loss": logs.get("loss", 0.0)})
        model.trained += 1
        hooks.on_test_begin()
        hooks.on_test_end(logs)
        hooks.on_epoch_end(epoch, dict(logs))
        if model.stop_training:
            break
    hooks.on_train_end(dict(logs))
    return model


def losses(*values, name="val_loss"):
    return [{name: value} for value in values]


# --- Callback, CallbackList, History


class Recorder(callbacks.Callback):
    """Records every call of every hook."""

    def __init__(self):
        super().__init__()
        self.calls = []


def record(name):
    def hook(self, *arguments):
        self.calls.append((name, *arguments))

    return hook


HOOKS = [name for name in vars(callbacks.Callback) if name.startswith("on_")]
for name in HOOKS:
    setattr(Recorder, name, record(name))


def test_every_hook_reaches_every_callback_with_the_same_logs():
    both = [Recorder(), Recorder()]
    hooks = callbacks.CallbackList(both)
    for name in set(HOOKS) - {"on_batch_begin", "on_batch_end"}:
        arguments = (3,) if "epoch" in name or "batch" in name else ()
        logs = {"loss": 1.0}
        getattr(hooks, name)(*arguments, logs)
        for callback in both:
            assert callback.calls[-1] == (name, *arguments, logs)
            assert callback.calls[-1][-1] is logs
        getattr(hooks, name)(*arguments)
        assert both[0].calls[-1] == (name, *arguments, {})
        assert both[0].calls[-1][-1] is both[1].calls[-1][-1]


def test_older_names_of_batch_hooks_are_called():
    seen = []

    class Older(callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append((batch, logs))

    hooks = callbacks.CallbackList([Older()])
    hooks.on_train_batch_end(4, {"loss": 2.0})
    assert seen == [(4, {"loss": 2.0})] and hooks.batch_hooks


def test_model_and_params_are_given():
    model = FakeModel()
    callback = callbacks.Callback()
    hooks = callbacks.CallbackList(callback, add_history=True, add_progbar=True, model=model, epochs=3, steps=5)
    assert callback.model is model and callback.params == {"epochs": 3, "steps": 5}
    assert [type(each) for each in hooks.callbacks] == [callbacks.Callback, callbacks.ProgbarLogger, callbacks.History]
    assert model.history is hooks.history
    mine = callbacks.History()
    assert callbacks.CallbackList([mine], add_history=True).history is mine
    assert callbacks.CallbackList().history is None and callbacks.CallbackList().progbar is None


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_test_end", "on_train_end"])
def test_a_callback_that_raises_ends_the_training_of_all(hook, tmp_path):
    def fails(*arguments):
        raise OSError("no room")

    first, last = Recorder(), Recorder()
    log = callbacks.CSVLogger(tmp_path / "log.csv")
    failing = callbacks.LambdaCallback(**{hook: fails})
    model, (x, y) = perceptron(), small_networks.data()
    with pytest.raises(OSError, match="no room"):
        validation = {"validation_data": (x, y)} if hook == "on_test_end" else {}
        model.fit(x, y, verbose=0, callbacks=[first, log, failing, last], **validation)
    assert log._file.closed
    ends = [[name for name, *_ in callback.calls].count("on_train_end") for callback in (first, last)]
    assert ends == ([1, 0] if hook == "on_train_begin" else [1, 1])  # the last one has not begun
    twice = callbacks.CallbackList([callbacks.LambdaCallback(on_train_end=fails) for _ in range(2)])
    with pytest.raises(OSError, match="no room") as error:
        twice.on_train_end()
    assert error.value.__notes__ == ["LambdaCallback.on_train_end failed, too: OSError('no room')"]


def test_what_callbacks_say_stands_above_the_bar(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    rates = callbacks.LearningRateScheduler(lambda epoch, rate: 0.5, verbose=1)
    fit(LOGS, [callbacks.TerminateOnNaN(), rates], verbose=1)
    lines = [line.split("\r")[-1] for line in sys.stdout.getvalue().split("\n")]
    assert lines[:2] == ["Epoch 1: learning rate 0.5", "Epoch 2: learning rate 0.5"]
    assert lines[2].startswith("Epoch 2/2: 100%")


@pytest.mark.parametrize("bad", [[print], callbacks.History, ["EarlyStopping"]])
def test_what_is_no_callback_is_rejected(bad):
    with pytest.raises(TypeError, match=r"`callbacks` must hold `Callback` objects\..* Received: "):
        callbacks.CallbackList(bad)


@pytest.mark.parametrize(
    "callback, expected",
    [
        (callbacks.ProgbarLogger(), False),
        (callbacks.History(), False),
        (callbacks.EarlyStopping(), False),
        (callbacks.ReduceLROnPlateau(), False),
        (callbacks.LearningRateScheduler(abs), False),
        (callbacks.CSVLogger("x.csv"), False),
        (callbacks.ModelCheckpoint("x"), False),
        (callbacks.ModelCheckpoint("x", save_freq=3), True),
        (callbacks.TerminateOnNaN(), True),
        (callbacks.LambdaCallback(on_epoch_end=print), False),
        (callbacks.LambdaCallback(on_test_batch_end=print), True),
        (Recorder(), True),
    ],
)
def test_batch_hooks(callback, expected):
    assert callbacks.CallbackList([callbacks.Callback(), callback]).batch_hooks is expected


def test_history():
    model = fit([{"loss": 3.0}, {"loss": 2.0, "val_loss": 5.0}], [])
    assert model.history.history == {"loss": [3.0, 2.0], "val_loss": [5.0]}
    assert model.history.epoch == [0, 1]


# --- ProgbarLogger


class Terminal(io.StringIO):
    def isatty(self):
        return True


LOGS = [{"loss": 0.5, "accuracy": 0.25}, {"loss": 0.00001, "accuracy": 1.0}]


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_progress_is_one_line_per_epoch_where_there_is_no_terminal(verbose, capsys):
    fit(LOGS, None, verbose=verbose)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Epoch 1/2 - ")
    assert first.endswith("s - loss: 0.5000 - accuracy: 0.2500 - learning_rate: 0.1000")
    assert second.startswith("Epoch 2/2 - ")
    assert second.endswith("s - loss: 1.0000e-05 - accuracy: 1.0000 - learning_rate: 0.1000")


def test_progress_of_verbose_0_is_silent(capsys):
    fit(LOGS, callbacks.ProgbarLogger(), verbose=0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", ["auto", 1])
def test_progress_bar_on_a_terminal(verbose, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(progress, "SHORT_SECONDS", 0.0)
    fit(LOGS, None, verbose=verbose)
    lines = [line.split("\r")[-1] for line in sys.stdout.getvalue().strip().split("\n")]
    assert len(lines) == 2
    assert lines[0].startswith("Epoch 1/2: 100%") and "2/2" in lines[0]
    assert "loss: 0.5000 - accuracy: 0.2500 - learning_rate: 0.1000" in lines[0]
    assert lines[1].startswith("Epoch 2/2: 100%") and "loss: 1.0000e-05 - accuracy: 1.0000" in lines[1]
    # epochs that nobody can read share a line
    sys.stdout = Terminal()
    monkeypatch.setattr(progress, "SHORT_SECONDS", 1e9)
    fit([*LOGS, *LOGS], None, verbose=verbose)
    (line,) = sys.stdout.getvalue().strip().split("\n")
    assert line.split("\r")[-1].startswith("Epoch 4/4: 100%")
    sys.stdout = Terminal()
    hooks = callbacks.CallbackList(add_progbar=True, verbose=1, epochs=9, steps=1)
    hooks.on_train_begin()
    hooks.on_epoch_begin(0)
    hooks.on_epoch_end(0, {"loss": 0.5})
    hooks.on_train_end({"loss": 0.5})  # something has ended the training
    assert sys.stdout.getvalue().endswith("\n") and "loss: 0.5" in sys.stdout.getvalue().split("\n")[-2]


def test_progress_says_how_fast_and_how_long(monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr(progress, "SHORT_SECONDS", 0.0)
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now, time=lambda: clock.now))
    monkeypatch.setattr("tqdm.std.time", lambda: clock.now)
    for model, unit in ((perceptron(), "samples"), (convolutional(), "images")):
        monkeypatch.setattr(sys, "stdout", Terminal())
        hooks = callbacks.CallbackList(add_progbar=True, model=model, verbose=1, epochs=1, steps=8)
        hooks.on_train_begin()
        hooks.on_epoch_begin(0)
        clock.now += 30
        hooks.progbar.compiling(0, 1)
        hooks.progbar.compiling(1, 1)
        clock.now += 2
        hooks.progbar.update(2, {"loss": 0.5}, samples=3000)
        shown = sys.stdout.getvalue().split("\r")[-1]
        assert re.search(rf"2/8 \[00:02<00:06, loss: 0.5000 - learning_rate: \S+, 1,500 {unit}/s\]", shown)
        clock.now += 6
        hooks.progbar.update(8, {"loss": 0.5}, samples=12000)
        clock.now += 50  # validation
        hooks.on_epoch_end(0, {"loss": 0.5, "learning_rate": 7.0})
        last = sys.stdout.getvalue().rstrip().split("\r")[-1]
        assert f"loss: 0.5000 - learning_rate: 7.0000, 1,500 {unit}/s]" in last
        hooks.on_train_end()


def test_epochs_that_are_run_in_one_call_are_shown(monkeypatch, capsys):
    """Each has its line, with the learning rate and the speed, and the weights are those of a silent training."""
    x, y = small_networks.data(8)
    model, silent = perceptron(jit_compile=True), perceptron(jit_compile=True)
    model.fit(x, y, batch_size=4, epochs=40, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 40
    for number, line in enumerate(lines, 1):
        assert re.match(rf"Epoch {number}/40 - \S+s - \S+ samples/s - loss: \S+ - accuracy: ", line), line
    plain = silent.fit(x, y, batch_size=4, epochs=40, verbose=0)
    assert small_networks.digest(model) == small_networks.digest(silent)
    monkeypatch.setattr(sys, "stdout", Terminal())
    model = perceptron(jit_compile=True)
    history = model.fit(x, y, batch_size=4, epochs=40, verbose=1)
    assert history.history == plain.history and history.epoch == plain.epoch == list(range(40))
    assert small_networks.digest(model) == small_networks.digest(silent)
    assert sys.stdout.getvalue().split("\r")[-1].startswith("Epoch 40/40: 100%")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize("rows, columns", [(0, 0), (24, 0), (0, 100), (24, 100)])
def test_progress_bar_on_a_terminal_without_a_size(rows, columns):
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    script = (
        "from jitnet import callbacks\n"
        "bar = callbacks.CallbackList(add_progbar=True, verbose=1, epochs=1, steps=2)\n"
        "bar.on_epoch_begin(0)\n"
        "bar.on_epoch_end(0, {'loss': 0.5})\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with os.fdopen(ours, "rb", buffering=0) as terminal, os.fdopen(theirs, "wb", buffering=0) as screen:
        subprocess.run([sys.executable, "-c", script], stdout=screen, env={**environment, "COLUMNS": "0"}, check=True)
        shown = terminal.read(10_000).decode()
    last = shown.rstrip().split("\r")[-1]
    assert last.startswith("Epoch 1/1: 100%") and "2/2" in last and "loss: 0.5000" in last


def test_compilation_is_said_aloud(monkeypatch, tmp_path):
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path))  # nothing is compiled yet
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stdout", Terminal())
    parts = [jitnet.layers.Conv2D(11, (2, 3)), jitnet.layers.Flatten(), jitnet.layers.Dense(2)]  # no other test's
    model = jitnet.Sequential([jitnet.Input((5, 7, 3)), *parts])
    model.compile("sgd", "mse")
    x = np.zeros((6, 5, 7, 3))
    model.fit(x, np.zeros((6, 2)), batch_size=3, verbose=1)
    shown = sys.stdout.getvalue()
    said = re.findall(r"compiling (\d+) of (\d+) kernels, first run only", shown)
    assert said and {total for _, total in said} == {said[0][1]}
    assert [int(number) for number, _ in said] == sorted({int(number) for number, _ in said})
    assert shown.rstrip().split("\r")[-1].startswith("Epoch 1/1: 100%")
    sys.stdout = Terminal()
    model.fit(x, np.zeros((6, 2)), batch_size=3, verbose=1)
    assert "compiling" not in sys.stdout.getvalue()


def test_verbose_2_has_no_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    fit(LOGS, None, verbose=2)
    assert len(sys.stdout.getvalue().splitlines()) == 2 and "\r" not in sys.stdout.getvalue()


def test_an_interrupted_bar_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(progress, "SHORT_SECONDS", 0.0)
    hooks = callbacks.CallbackList(add_progbar=True, verbose=1, epochs=1, steps=None)
    hooks.on_train_begin()
    hooks.on_epoch_begin(0)
    hooks.progbar.update(3, {"loss": math.nan})
    hooks.on_train_end()
    assert sys.stdout.getvalue().endswith("\n") and "3step" in sys.stdout.getvalue()


@pytest.mark.parametrize("kind, title", [("test", "Evaluation"), ("predict", "Prediction")])
def test_evaluation_and_prediction_alone_show_progress(kind, title, capsys):
    hooks = callbacks.CallbackList(add_progbar=True, verbose=1, steps=2)
    getattr(hooks, f"on_{kind}_begin")()
    hooks.progbar.update(2)
    getattr(hooks, f"on_{kind}_end")({"loss": 0.5})
    out = capsys.readouterr().out
    assert out.startswith(title) and out.endswith("loss: 0.5000\n")


# --- EarlyStopping


@pytest.mark.parametrize(
    "values, arguments, epochs_run",
    [
        ([3, 2, 1, 2, 2, 2], {}, 4),
        ([3, 2, 1, 2, 2, 2], {"patience": 2}, 5),
        ([3, 2, 1, 2, 0.5, 2], {"patience": 2}, 6),
        ([1, 2, 3, 4], {"mode": "max"}, 4),
        ([1, 2, 2, 4], {"mode": "max"}, 3),
        ([3, 2.95, 2.9, 2.5], {"min_delta": 0.2}, 2),
        ([3, 2.95, 2.9, 2.5], {"min_delta": -0.2}, 2),  # the sign of min_delta does not matter
        ([3, 2.5, 2.2, 2.1], {"baseline": 1.0, "patience": 1}, 4),  # an epoch that is the best never stops
        ([3, 2.5, 2.6, 2.1], {"baseline": 1.0, "patience": 1}, 3),
        ([3, 2.5, 2.6, 2.7], {"baseline": 1.0, "patience": 4}, 4),
        ([3, 4, 5, 6, 7], {"start_from_epoch": 2}, 4),
        ([1, math.nan, 0.5], {}, 2),
        ([math.nan, 1, 2, 3], {}, 3),  # the first epoch never stops
    ],
)
def test_early_stopping(values, arguments, epochs_run):
    model = fit(losses(*values), callbacks.EarlyStopping(**arguments))
    assert model.trained == epochs_run


def test_early_stopping_restores_the_best_weights(capsys):
    stopping = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
    model = fit(losses(3, 1, 2, 2, 2), stopping)
    assert (model.trained, stopping.best_epoch, stopping.stopped_epoch) == (2, 1, 3)
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 4: early stopping",
        "Restoring the weights of the best epoch: 2",
    ]
    # also where training ends before patience does, and where the baseline is never reached
    assert fit(losses(3, 1, 2), callbacks.EarlyStopping(patience=9, restore_best_weights=True)).trained == 2
    below = callbacks.EarlyStopping(patience=9, restore_best_weights=True, baseline=0.1)
    assert fit(losses(3, 1, 2), below).trained == 2
    # with nothing but NaN, the first monitored epoch is the best
    assert fit(losses(*[math.nan] * 3), callbacks.EarlyStopping(patience=9, restore_best_weights=True)).trained == 1


def test_early_stopping_starts_anew_with_every_training():
    stopping = callbacks.EarlyStopping()
    fit(losses(1, 2), stopping)
    assert fit(losses(9, 8, 7, 8), stopping).trained == 4


def test_a_missing_quantity_is_a_warning():
    with pytest.warns(UserWarning, match=r"EarlyStopping monitors 'val_loss', which is not .*\. Available: loss"):
        fit([{"loss": 1.0}], callbacks.EarlyStopping())


@pytest.mark.parametrize(
    "monitor, up",
    [
        ("val_accuracy", True),
        ("acc", True),
        ("val_auc", True),
        ("out_f1_score", True),
        ("val_loss", False),
        ("accuracy_loss", False),
        ("mean_absolute_error", False),
        ("val_binary_crossentropy", False),
    ],
)
def test_mode_is_told_from_the_name(monitor, up):
    model = fit(losses(1, 2, 3, name=monitor), callbacks.EarlyStopping(monitor))
    assert model.trained == (3 if up else 2)


def test_monitor_errors():
    with pytest.raises(ValueError, match=r"pass mode='min' or mode='max'\. Received: monitor='luck'$"):
        callbacks.EarlyStopping("luck")
    callbacks.EarlyStopping("luck", mode="max")
    with pytest.raises(ValueError, match=r"`mode` must be 'auto', 'min' or 'max'\. Received: mode='up'$"):
        callbacks.ReduceLROnPlateau(mode="up")


# --- ModelCheckpoint


def test_checkpoint_every_epoch(tmp_path):
    pattern = tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.safetensors"
    model = fit(losses(3, 1.234), callbacks.ModelCheckpoint(pattern))
    folder = tmp_path / "new"
    assert model.saved == [
        ("model", str(folder / "01-3.00.safetensors"), 1),
        ("model", str(folder / "02-1.23.safetensors"), 2),
    ]
    assert folder.is_dir()


def test_checkpoint_only_the_best(capsys):
    best = callbacks.ModelCheckpoint("best", save_best_only=True, save_weights_only=True, verbose=1)
    model = fit(losses(3, 4, 2, 2), best)
    assert model.saved == [("weights", "best", 1), ("weights", "best", 3)]
    assert capsys.readouterr().out == "Epoch 1: saved best\nEpoch 3: saved best\n"
    up = callbacks.ModelCheckpoint("best", "val_accuracy", save_best_only=True, initial_value_threshold=0.5)
    assert [trained for *_, trained in fit(losses(0.4, 0.6, 0.5, name="val_accuracy"), up).saved] == [2]


def test_checkpoint_every_so_many_batches():
    callback = callbacks.ModelCheckpoint("{epoch}-{batch}", save_freq=3)
    model = fit(losses(3, 2, 1), callback, batches=4)
    assert [path for _, path, _ in model.saved] == ["1-3", "2-2", "3-1", "3-4"]


def test_checkpoint_saves_where_the_quality_is_unknown():
    with pytest.warns(UserWarning, match="ModelCheckpoint monitors 'val_loss'"):
        model = fit([{"loss": 1.0}], callbacks.ModelCheckpoint("best", save_best_only=True))
    assert len(model.saved) == 1


def test_checkpoint_errors():
    with pytest.raises(ValueError, match=r"names 'val_loss', .* Available: epoch, loss\. Received: filepath="):
        fit([{"loss": 1.0}], callbacks.ModelCheckpoint("{val_loss}"))
    for bad in (0, 1.5, "batch", True):
        with pytest.raises(ValueError, match=r"'epoch' or a positive integer\. Received: save_freq="):
            callbacks.ModelCheckpoint("x", save_freq=bad)
    callbacks.ModelCheckpoint("x", monitor="luck")
    with pytest.raises(ValueError, match=r"Received: monitor='luck'$"):
        callbacks.ModelCheckpoint("x", monitor="luck", save_best_only=True)


# --- CSVLogger


def rows(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    fit([{"loss": 0.5, "val_loss": 1.0}, {"loss": 0.25}], callbacks.CSVLogger(path))
    assert rows(path) == [["epoch", "loss", "val_loss"], ["0", "0.5", "1.0"], ["1", "0.25", "NA"]]
    fit([{"loss": 2.0}], callbacks.CSVLogger(path, separator=";"))
    assert rows(path, ";") == [["epoch", "loss"], ["0", "2.0"]]


def test_csv_append_keeps_the_header(tmp_path):
    path = Path(tmp_path / "log.csv")
    for _ in range(2):
        fit([{"loss": 0.5, "accuracy": 1.0}], callbacks.CSVLogger(path, append=True))
    fit([{"accuracy": 0.0, "loss": 2.0}], callbacks.CSVLogger(path, append=True))
    assert rows(path) == [["epoch", "loss", "accuracy"], ["0", "0.5", "1.0"], ["0", "0.5", "1.0"], ["0", "2.0", "0.0"]]


def test_csv_append_to_another_kind_of_file(tmp_path):
    path = tmp_path / "log.csv"
    for content in (b"\xff\xfe\x00loss", b"x" * 200_000):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"log\.csv is not a CSV file"):
            fit([{"loss": 0.5}], callbacks.CSVLogger(path, append=True))
        assert path.read_bytes() == content


def test_csv_of_names_that_come_later_and_of_several_values(tmp_path):
    path = tmp_path / "log.csv"
    logs = [{"loss": 1.0}, {"loss": 2.0, "val_loss": 3.0}, {"loss": 4.0, "val_loss": np.array([0.5, 0.25])}]
    fit(logs, callbacks.CSVLogger(path))
    expected = [["epoch", "loss", "val_loss"], ["0", "1.0", "NA"], ["1", "2.0", "3.0"], ["2", "4.0", "[0.5, 0.25]"]]
    assert rows(path) == expected and [file.name for file in tmp_path.iterdir()] == ["log.csv"]
    fit([{"loss": 5.0, "accuracy": 1.0}], callbacks.CSVLogger(path, append=True))
    assert rows(path) == [["epoch", "loss", "val_loss", "accuracy"], *([*row, "NA"] for row in expected[1:]),
                          ["0", "5.0", "NA", "1.0"]]  # fmt: skip


def test_csv_is_written_after_every_epoch(tmp_path):
    path = tmp_path / "log.csv"
    seen = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(len(rows(path))))
    fit([{"loss": 1.0}, {"loss": 2.0}], [callbacks.CSVLogger(path), look])
    assert seen == [2, 3]


# --- learning rates


def test_learning_rate_scheduler(capsys):
    model = fit(losses(1, 1, 1), callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1))
    assert model.optimizer.learning_rate == 0.0125
    assert model.history.history["learning_rate"] == [0.05, 0.025, 0.0125]
    assert capsys.readouterr().out.splitlines()[0] == "Epoch 1: learning rate 0.05"


@pytest.mark.parametrize("schedule", [lambda epoch: np.float32(0.5) ** epoch, schedules.ExponentialDecay(1.0, 1, 0.5)])
def test_learning_rate_scheduler_of_the_epoch_alone(schedule):
    model = fit(losses(1, 1, 1), callbacks.LearningRateScheduler(schedule))
    assert model.optimizer.learning_rate == 0.25 and type(model.optimizer.learning_rate) is float


def test_learning_rate_scheduler_errors():
    with pytest.raises(ValueError, match=r"must return a number\. Received: learning_rate=None$"):
        fit(losses(1), callbacks.LearningRateScheduler(lambda epoch, rate: None))

    def broken(epoch, rate):
        raise TypeError("from within")

    with pytest.raises(TypeError, match="from within"):
        fit(losses(1), callbacks.LearningRateScheduler(broken))


@pytest.mark.parametrize(
    "values, arguments, expected",
    [
        # the logs hold the learning rate that the epoch was trained with
        ([5, 4, 4, 4, 4], {"patience": 2}, [1, 1, 1, 1, 0.1]),
        ([5, 4, 4, 4, 4], {"patience": 1, "factor": 0.5}, [1, 1, 1, 0.5, 0.25]),
        ([5, 4, 4, 4, 4, 4], {"patience": 1, "factor": 0.5, "cooldown": 2}, [1, 1, 1, 0.5, 0.5, 0.25]),
        ([5, 4, 4, 4, 4], {"patience": 1, "factor": 0.1, "min_lr": 0.05}, [1, 1, 1, 0.1, 0.05]),
        ([5, 4.9, 4.8, 4.7], {"patience": 1, "factor": 0.5, "min_delta": 0.15}, [1, 1, 0.5, 0.5]),
        ([1, 2, 2, 2], {"patience": 1, "factor": 0.5, "mode": "max"}, [1, 1, 1, 0.5]),
    ],
)
def test_reduce_on_plateau(values, arguments, expected):
    model = FakeModel()
    model.optimizer.learning_rate = 1.0
    fit(losses(*values), callbacks.ReduceLROnPlateau(**arguments), model)
    assert model.history.history["learning_rate"] == pytest.approx(expected, rel=1e-12)


def test_reduce_on_plateau_prints_and_rejects(capsys):
    fit(losses(1, 1), callbacks.ReduceLROnPlateau(patience=1, factor=0.5, verbose=1))
    assert capsys.readouterr().out == "Epoch 2: learning rate reduced to 0.05\n"
    for bad in (1, 1.5, 0):
        with pytest.raises(ValueError, match=rf"`factor` must be above 0 and below 1\. Received: factor={bad}$"):
            callbacks.ReduceLROnPlateau(factor=bad)


# --- the rest


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_terminate_on_nan(bad, capsys):
    assert fit(losses(1, bad, 1, name="loss"), callbacks.TerminateOnNaN()).trained == 2
    assert "training stops" in capsys.readouterr().out


def test_lambda_callback():
    seen = []
    callback = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)), on_train_end=None)
    fit(losses(5), callback)
    assert seen == [(0, {"val_loss": 5})]
    with pytest.raises(ValueError, match=r"Unknown hook 'on_epoch_ends'\. Did you mean 'on_epoch_end'\?"):
        callbacks.LambdaCallback(on_epoch_ends=print)
