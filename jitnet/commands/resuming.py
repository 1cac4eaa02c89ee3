"""What ``jitnet train --resume RUN`` goes on with."""

import warnings
from pathlib import Path

from jitnet import configuration
from jitnet.commands import runs

# what the run has of its own
_OPTIONS = (
    "source", "model", "epochs", "batch_size", "optimizer", "learning_rate", "seed", "device", "out", "settings"
)  # fmt: skip


def requested(options) -> tuple[Path, dict]:
    """(folder, configuration) of the run, with the threads and the frequency of checkpoints that are asked for.

    Raises ValueError for other options, FileNotFoundError if there is no run.
    """
    given = [name for name in _OPTIONS if getattr(options, name) not in (None, [])]
    if given:
        names = ", ".join("--set" if name == "settings" else f"--{name.replace('_', '-')}" for name in given)
        names = names.replace("--source", str(options.source))
        raise ValueError(
            "--resume goes on with a run as it was configured; only --threads and --checkpoint-every may differ. "
            f"Received: {names}"
        )
    folder = Path(options.resume)
    if not (folder / runs.CONFIG).is_file():
        raise FileNotFoundError(f"{folder} is no folder of a run: it has no {runs.CONFIG}.")
    settings = {"threads": options.threads, "checkpoint_every": frequency(options.checkpoint_every)}
    settings = {key: value for key, value in settings.items() if value is not None}
    return folder, configuration.resolve(configuration.read_config(folder / runs.CONFIG), settings)


def frequency(text: str | None):
    """The value of --checkpoint-every: a number of steps, or "epoch"."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 20 else text


def is_finished(folder: Path) -> bool:
    """Whether the run has ended: its model is there, and no checkpoint from which it would go on."""
    from jitnet.files import checkpoints

    if not (folder / runs.WEIGHTS).is_file():
        return False
    place = str(folder / runs.CHECKPOINTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the training says the same again
        found = checkpoints.newest(place)
    return found is None or found[2]["training"]["position"]["finished"]
