"""``jitnet train --resume``: runs that were killed or stopped."""

import os
import signal
import time

import pytest
from resumed_trainings import ended, forked, needs_fork, state_of

import jitnet
from jitnet.cli import main
from jitnet.files import checkpoints, folder_lock

SMALL = ["digits", "--model", "mlp", "--set", "model.units=[12]", "--set", "shift=false"]
LONG = [*SMALL, "--epochs", "12", "--checkpoint-every", "7", "--set", "validation_split=0.1"]


def outcome(folder):
    """Weights, optimizer and history of a finished run."""
    model = jitnet.load_model(folder / "model.safetensors")
    return state_of(model) | {"csv": (folder / "history.csv").read_text()}


@needs_fork
def test_runs_of_the_command_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *LONG, "--out", "whole"]) == 0
    expected = outcome(tmp_path / "whole")
    assert expected["csv"].count("\n") == 13
    steps = checkpoints.steps_in(tmp_path / "whole" / "checkpoints")
    assert steps[0] == 12 * 21 and len(steps) in (2, 3)
    for number, stops in enumerate(([signal.SIGKILL] * 3, [signal.SIGTERM, signal.SIGKILL], [signal.SIGINT])):
        out, command = tmp_path / str(number), ["train", *LONG, "--out", str(number)]
        for sent in stops:
            # each later than the one before
            wanted = max([-1, *checkpoints.steps_in(out / "checkpoints")]) + 14
            child = forked(lambda command=command: main(command))
            deadline = time.monotonic() + 60
            while max([-1, *checkpoints.steps_in(out / "checkpoints")]) < wanted:
                assert time.monotonic() < deadline and os.waitpid(child, os.WNOHANG) == (0, 0)
            os.kill(child, sent)
            status = ended(child)
            assert status == {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}[sent]
            command = ["train", "--resume", str(number), "--threads", str(1 + number % 2)]
            if sent != signal.SIGKILL:
                assert main(["evaluate", str(number)]) == 0  # what was trained so far
        assert main(command) == 0
        assert outcome(out) == expected
        assert {path.name for path in out.iterdir()} == {
            "checkpoints", "config.toml", "environment.json", "history.csv", "model.safetensors"
        }  # fmt: skip
    # killed after its last checkpoint: the end of it is done again
    (out / "model.safetensors").unlink()
    capsys.readouterr()
    assert main(["train", "--resume", str(number)]) == 0
    assert outcome(out) == expected and "Test accuracy" in capsys.readouterr().out
    assert main(["train", "--resume", str(number)]) == 0
    assert capsys.readouterr().out == f"{number} is finished: there is nothing to do.\n"


def test_what_resume_refuses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def failure(*arguments):
        assert main(["train", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and "Traceback" not in captured.err
        return captured.err

    assert "only --threads and --checkpoint-every may differ. Received: digits, --seed, --set" in failure(
        "digits", "--resume", "run", "--seed", "0", "--set", "epochs=3"
    )
    assert "is no folder of a run: it has no config.toml" in failure("--resume", "run")
    with pytest.raises(SystemExit, match="2"):
        main(["train"])
    assert "what to train is missing: DATASET or CONFIG.toml, or --resume RUN" in capsys.readouterr().err
    for bad in ("0", "never", "-3", "1.5", "9" * 30):
        assert 'checkpoint_every must be "epoch" or a number' in failure("digits", f"--checkpoint-every={bad}")
    (tmp_path / "run").mkdir()
    assert main(["train", *SMALL, "--epochs", "1", "--out", "run"]) == 0
    (tmp_path / "run" / "model.safetensors").unlink()
    capsys.readouterr()
    with folder_lock.held(str(tmp_path / "run")):
        assert "Another process is training there" in failure("--resume", "run")
    assert "Another process" not in capsys.readouterr().err
