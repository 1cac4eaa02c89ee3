"""jitnet tune: searches that are reproducible, stopped, gone on with, made by several processes, or wrong."""

import csv
import importlib.util
import os
import signal
import sys
import tomllib

import pytest
import small_networks

import jitnet
from jitnet import callbacks, commands, configuration
from jitnet.cli import main
from jitnet.files import atomic

needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="needs optuna")

ASKED = """
dataset = "digits"
epochs = 3
validation_split = 0.2
shift = false
model = {name = "mlp", units = [12]}

[tune]
trials = 7
pruner = {class = "MedianPruner", n_startup_trials = 2}

[tune.space]
optimizer.learning_rate = {low = 1e-4, high = 1e-1, log = true}
batch_size = {low = 64, high = 128, step = 32}
"model.units" = {choices = [[8], [12]]}
"model.dropout" = {low = 0, high = 0.5}
"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "asked.toml"
    path.write_text(ASKED)
    return path


def rows(folder):
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(folder):
    return [w.tobytes() for w in jitnet.load_model(folder / "model.safetensors").get_weights()]


def failure(capsys, arguments):
    capsys.readouterr()
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


class Stops(callbacks.OptunaPruningCallback):
    """Ctrl-C in the second epoch of trial 4."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self.trial.number == 4 and epoch == 1:
            signal.raise_signal(signal.SIGINT)


@needs_optuna
def test_a_search_is_reproducible_goes_on_and_its_best_is_repeated(asked, tmp_path, capsys, monkeypatch):
    from jitnet.commands import trials

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    written, write = [], atomic.write
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write", lambda path, content: written.append(path) or write(path, content))
        assert main(["tune", "asked.toml", "--out", "whole"]) == 0
    assert {os.path.join("whole", name) for name in ("tune.toml", "trials.csv")} <= {*written}
    said = capsys.readouterr().out
    found = rows(whole)
    assert [row["trial"] for row in found] == [str(i) for i in range(7)]
    assert {row["state"] for row in found} == {"finished", "pruned"}
    assert {row["batch_size"] for row in found} <= {"64", "96", "128"}
    assert {row["model.units"] for row in found} == {"[8]", "[12]"}
    assert all(1e-4 <= float(row["optimizer.learning_rate"]) <= 1e-1 for row in found)
    finished = [row for row in found if row["state"] == "finished"]
    best = min(finished, key=lambda row: float(row["val_loss"]))
    assert f"Best: trial {best['trial']}, val_loss {float(best['val_loss']):.6g}" in said
    for row in found:  # what is in the table is what was trained
        folder = whole / "trials" / f"{int(row['trial']):04d}"
        config = tomllib.loads((folder / "config.toml").read_text())
        assert str(config["batch_size"]) == row["batch_size"] and str(config["model"]["units"]) == row["model.units"]
        assert config["optimizer"]["learning_rate"] == float(row["optimizer.learning_rate"])
        assert config["model"]["dropout"] == float(row["model.dropout"])
        with (folder / "history.csv").open(newline="") as file:
            history = list(csv.DictReader(file))
        assert len(history) == int(row["epochs"]) and float(history[-1]["val_loss"]) == pytest.approx(
            float(row["val_loss"]), rel=1e-6
        )
        assert (folder / "model.safetensors").is_file() == (row["state"] == "finished")

    # the best is a run: repeated by train to the bit, evaluated
    assert main(["train", "whole/best/config.toml", "--out", "again"]) == 0
    assert (tmp_path / "again" / "history.csv").read_text() == (whole / "best" / "history.csv").read_text()
    assert weights(tmp_path / "again") == weights(whole / "best")
    assert main(["evaluate", "whole/best"]) == 0

    # stopped within a trial, with a journal as a killed process leaves it
    with monkeypatch.context() as patch:
        patch.setattr(trials, "OptunaPruningCallback", Stops)
        assert main(["tune", "asked.toml", "--out", "stopped", "--set", "tune.pruner=NopPruner"]) == 130
        assert [row["state"] for row in rows(stopped)] == ["finished"] * 4 + ["interrupted"]
    assert main(["tune", "asked.toml", "--out", "unstopped", "--set", "tune.pruner=NopPruner"]) == 0
    with (stopped / "journal.log").open("ab") as file:
        file.write(b'{"op_code":')
    (stopped / "journal.log.lock").symlink_to("journal.log")
    assert main(["tune", "--resume", "stopped"]) == 0
    assert rows(stopped) == rows(tmp_path / "unstopped")
    assert weights(stopped / "best") == weights(tmp_path / "unstopped" / "best")
    # more trials than were asked for at first
    capsys.readouterr()
    plotted = ["--plot", "search.png"] if importlib.util.find_spec("matplotlib") else []
    assert main(["tune", "--resume", "stopped", "--trials", "8", *plotted]) == 0
    if plotted:
        assert "Picture: search.png\n" in capsys.readouterr().out
        assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
    assert rows(stopped)[:7] == rows(tmp_path / "unstopped") and len(rows(stopped)) == 8


@needs_optuna
def test_several_processes_share_a_journal(asked, tmp_path, capfd):
    assert main(["tune", "asked.toml", "--workers", "2", "--trials", "5", "--set", "tune.monitor=val_accuracy"]) == 0
    folder = tmp_path / "runs" / "digits-mlp-seed0-tune"
    found = rows(folder)
    assert [row["trial"] for row in found] == [str(i) for i in range(5)]
    # as Optuna begins by chance, which is of each trial alone, one process would have tried the same
    assert len({row["optimizer.learning_rate"] for row in found}) == 5
    finished = [row for row in found if row["state"] == "finished"]
    best = max(finished, key=lambda row: float(row["val_accuracy"]))
    (line,) = (line for line in capfd.readouterr().out.splitlines() if line.startswith("Best: "))
    assert line.startswith(f"Best: trial {best['trial']}, val_accuracy {float(best['val_accuracy']):.6g}")
    # what is wrong in a process ends the others, and is said once
    capfd.readouterr()
    wrong = ["--workers", "2", "--set", "tune.monitor=val_acuracy", "--set", "tune.mode=max"]
    assert main(["tune", "asked.toml", *wrong]) == 2
    said = capfd.readouterr().err
    assert "Unknown quantity of the validation 'val_acuracy'. Did you mean 'val_accuracy'?" in said
    assert "Traceback" not in said


@needs_optuna
def test_settings_that_do_not_go_together_are_trials_that_fail(asked, tmp_path, capsys):
    asked.write_text(ASKED + '"model.name" = {choices = ["lenet5"]}\n')  # which has no units
    capsys.readouterr()
    assert main(["tune", "asked.toml", "--trials", "2", "--out", "search"]) == 2
    captured = capsys.readouterr()
    assert "No trial came to an end with a finite value" in captured.err
    assert captured.out.count("failed: Unknown configuration key 'model.units'") == 2
    assert [row["state"] for row in rows(tmp_path / "search")] == ["failed"] * 2


@needs_optuna
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ('"optimizer.learning_rte" = {low = 0.1, high = 0.2}', "Did you mean 'optimizer.learning_rate'?"),
        ('"model.layers.0.units" = {low = 1, high = 2}', "tune.space.model.layers.0.units"),
        ("seed = {low = 1, high = 2}", "A search can't vary seed"),
        ("validation_split = {low = 0.1, high = 0.2}", "A search can't vary validation_split"),
        ('loss = {choices = ["mse"]}', "A search can't vary loss"),
        ("epochs = {low = 3, high = 3}", "tune.space.epochs.low must be below its high, 3"),
        ("epochs = {low = 1, high = 4, step = 2}", "tune.space.epochs.step must lead from 1 to 4 in equal steps"),
        ("epochs = {low = 0, high = 4}", "epochs must be a whole number from 1 up"),
        ("epochs = {low = 1, hi = 4}", "tune.space.epochs must be {low = , high = }"),
        ("epochs = 3", "tune.space.epochs must be {low = , high = }"),
        ("epochs = {choices = []}", "tune.space.epochs must be {low = , high = }"),
        ("epochs = {choices = [2, 2]}", "tune.space.epochs.choices must be different"),
        ("epochs = {choices = [2, 0]}", "epochs must be a whole number from 1 up"),
        ("epochs = {low = 0, high = 2, log = true}", "tune.space.epochs.low must be above 0 where log is true"),
        ('"model.dropout" = {low = 0.0, high = "x"}', "tune.space.model.dropout.high must be a number"),
        ('"model.dropout" = {low = 0.0, high = 1.5}', "model.dropout must be from 0 to below 1"),
        ("tune.trials=0", "tune.trials must be a whole number from 1 up"),
        ("tune.trails=3", "Did you mean 'tune.trials'?"),
        ("tune.monitor=loss", "tune.monitor must be of the validation"),
        ("tune.monitor=val_thing", "Whether more of the monitored quantity is better can't be told"),
        ("tune.mode=up", "Unknown mode 'up'. Known: auto, max, min"),
        ("tune.pruner=MedianPrunr", "Did you mean 'MedianPruner'?"),
        ("tune.pruner={class = 'MedianPruner', patience = 3}", "tune.pruner: MedianPruner: "),
        ("tune.pruner=[1]", "tune.pruner must be"),
        ("tune.space={}", "[tune.space] names nothing to vary"),
        ("validation_split=0", "A search goes by validation data"),
    ],
)  # fmt: skip
def test_mistakes(asked, tmp_path, capsys, change, expected):
    text = ASKED.partition("optimizer.learning_rate")[0] + "batch_size = {choices = [64, 128]}\n"
    is_setting = "=" in change.partition(" ")[0]
    asked.write_text(text if is_setting else f"{text}{change}\n")
    settings = ["--set", change] if is_setting else []
    assert expected in failure(capsys, ["tune", "asked.toml", *settings])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asked.toml"]


def test_mistakes_without_a_search(asked, tmp_path, capsys, monkeypatch):
    assert "[tune] describes a search, which is made by: jitnet tune" in failure(capsys, ["train", "asked.toml"])
    assert "has no tune.toml" in failure(capsys, ["tune", "--resume", str(tmp_path)])
    assert "only --trials, --workers and --threads may differ" in failure(
        capsys, ["tune", "--resume", str(tmp_path), "--seed", "3"]
    )
    # without Optuna
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "jitnet.commands.trials", raising=False)
    monkeypatch.delattr(commands, "trials", raising=False)
    assert "pip install 'jitnet[tune]'" in failure(capsys, ["tune", "asked.toml"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asked.toml"]


@needs_optuna
def test_a_picture_that_cannot_be_written_is_refused_before_the_search(asked, tmp_path, capsys, monkeypatch):
    if importlib.util.find_spec("matplotlib"):
        assert "the suffix says which. Received: path='a.txt'" in failure(
            capsys, ["tune", "asked.toml", "--plot", "a.txt"]
        )
        assert "there is no folder nowhere" in failure(capsys, ["tune", "asked.toml", "--plot", "nowhere/a.png"])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    expected = "jitnet tune --plot needs matplotlib: pip install 'jitnet[plots]'"
    assert expected in failure(capsys, ["tune", "asked.toml", "--plot", "a.png"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asked.toml"]


@needs_optuna
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_the_picture_shows(tmp_path, direction):
    pytest.importorskip("matplotlib")
    import optuna

    from jitnet.commands import tune_picture

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=1))
    values = [3.0, 1.0, 2.0, None, 4.0, 0.5, 9.0]
    for number, value in enumerate(values):
        trial = study.ask()
        trial.suggest_float("batch_size", 0, 1)
        trial.suggest_float("seed", 0, 1)
        if number == 6:
            trial.report(value, 0)
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, value, state=None if value else optuna.trial.TrialState.FAIL)
    search = {"monitor": "val_quantity", "mode": direction[:3]}
    picture = tune_picture.Picture(str(tmp_path / "search.svg"))
    picture.write(study, search)
    bars, course = picture._figure.axes
    assert {label.get_text() for label in bars.get_yticklabels()} == {"batch_size", "seed"}
    assert sum(bar.get_width() for bar in bars.patches) == pytest.approx(1)
    lines = {line.get_label(): line.get_xydata().tolist() for line in course.lines}
    assert lines["trained to the end"] == [[0, 3], [1, 1], [2, 2], [4, 4], [5, 0.5]]
    assert lines["pruned"] == [[6, 9]]
    best = [3, 1, 1, 1, 0.5, 0.5] if direction == "minimize" else [3, 3, 3, 4, 4, 4]
    assert lines["best so far"] == [list(pair) for pair in zip([0, 1, 2, 4, 5, 6], best, strict=True)]
    assert course.get_yscale() == ("log" if direction == "minimize" else "linear")
    assert course.get_ylabel() == "val_quantity"
    # too few for importances
    few = optuna.create_study(direction=direction)
    few.tell(few.ask(), 0.5)
    picture = tune_picture.Picture(str(tmp_path / "few.svg"))
    picture.write(few, search)
    assert "too few finished trials" in (text.get_text() for text in picture._figure.axes[0].texts)


@needs_optuna
def test_pruning_in_a_training_of_ones_own():
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    x, y = small_networks.data(41)

    def objective(trial):
        model = small_networks.perceptron()
        seen = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["val_loss"]))
        used = [seen, callbacks.OptunaPruningCallback(trial, "val_loss", interval=2)]
        model.fit(x, y, 8, epochs=5, verbose=0, validation_data=(x, y), callbacks=used)
        return losses[-1]

    for upper, state, trained, reported in ((0.0, "PRUNED", 2, (1,)), (1e9, "COMPLETE", 5, (1, 3))):
        losses = []
        study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=upper))
        study.optimize(objective, n_trials=1)
        (trial,) = study.trials
        assert trial.state.name == state and len(losses) == trained
        assert trial.intermediate_values == {epoch: losses[epoch] for epoch in reported}

    study = optuna.create_study(direction="maximize")
    with pytest.raises(ValueError, match=r"val_loss is better the lower it is, but the study would maximize it\. Rec"):
        callbacks.OptunaPruningCallback(study.ask())
    assert callbacks.OptunaPruningCallback(study.ask(), "val_accuracy").mode == "max"
    with pytest.raises(ValueError, match=r"interval to be a positive integer\. Received: interval=0"):
        callbacks.OptunaPruningCallback(study.ask(), "val_accuracy", 0)
    with pytest.raises(ValueError, match=r"expects the trial that Optuna gives an objective\. Received: trial=3"):
        callbacks.OptunaPruningCallback(3)
    with pytest.raises(ValueError, match=r"a single objective\. Received: directions=\['minimize', 'minimize'\]"):
        callbacks.OptunaPruningCallback(optuna.create_study(directions=["minimize"] * 2).ask())
    with pytest.warns(UserWarning, match="OptunaPruningCallback monitors 'val_loss', which is not in the logs"):
        callbacks.OptunaPruningCallback(optuna.create_study().ask()).on_epoch_end(0, {"loss": 1.0})


def test_a_search_is_complete_and_its_toml_gives_it_again(asked):
    config, search = configuration.resolve_search(configuration.read_config(asked), {"tune.workers": 3})
    assert search["workers"] == 3 and search["monitor"] == "val_loss" and search["mode"] == "auto"
    assert search["space"] == {
        "optimizer.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "batch_size": {"low": 64, "high": 128, "step": 32},
        "model.units": {"choices": [[8], [12]]},
        "model.dropout": {"low": 0.0, "high": 0.5, "log": False},
    }
    text = configuration.to_toml({**config, "tune": search})
    assert configuration.resolve_search(tomllib.loads(text), {}) == (config, search)
