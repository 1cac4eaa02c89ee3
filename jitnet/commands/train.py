"""jitnet train: train a model, and keep the run in a folder."""

import contextlib
import itertools
import os
import re
import shutil
import sys
from pathlib import Path

from jitnet import __version__, configuration
from jitnet.commands import environment, resuming, runs
from jitnet.files import atomic, folder_lock

KEPT_CHECKPOINTS = 2  # the last ones; the one before the last is for a file that is damaged


def run(options) -> int:
    """Train, save the run, print the accuracy on the test set."""
    if options.resume is None:
        folder, config = None, _requested_config(options)
    else:
        folder, config = resuming.requested(options)
        if resuming.is_finished(folder):
            print(f"{folder} is finished: there is nothing to do.")
            return 0

    import jitnet

    runs.use_device(config)
    runs.use_threads(config)
    jitnet.utils.set_random_seed(config["seed"])
    training, validation, test = configuration.load_data(config)
    model = build(config, training, validation, test)
    is_new = folder is None
    if is_new:
        folder = new_folder(options.out, config)
    with folder_lock.held(str(folder)):
        if is_new:
            prepare_folder(folder, config, model, options.command_line)
        else:
            # that of the interruption; from here on it would be taken for that of a finished run
            (folder / runs.WEIGHTS).unlink(missing_ok=True)
            atomic.clear(folder)
        print(_described(config, {"training": training, "validation": validation, "test": test}))
        model.summary()
        print(f"Run: {folder}", flush=True)
        status = _fit(model, training, validation, config, folder, options.debug_nan)
    if status:
        print(
            f"Interrupted after {model.optimizer.iterations:,} steps; what was trained is in {folder / runs.WEIGHTS}. "
            f"Go on with: jitnet train --resume {folder}",
            file=sys.stderr,
        )
        return status
    if test is not None:
        runs.report(model, test)
    print(f"Saved: {folder}{os.sep} ({runs.CONFIG}, {runs.HISTORY}, {runs.WEIGHTS}, {runs.ENVIRONMENT})")
    return 0


def build(config: dict, training, validation, test):
    """The model of a run on these data, before any training."""
    x, y = training
    model = configuration.build_model(config, x.shape[1:], len(x), configuration.count_classes(config, y))
    configuration.adapt(model, config, x)
    configuration.check_data(model, training, validation, test)
    return model


def _described(config: dict, parts: dict) -> str:
    """A line that says how many samples there are."""
    kind = "images" if configuration.are_images(config) else "samples"
    counts = [f"{len(part[0]):,} {name} {kind}" for name, part in parts.items() if part is not None]
    return f"{configuration.label(config)}: {', '.join(counts)}"


def _requested_config(options) -> dict:
    """The configuration that the command line asks for, complete."""
    source = Path(options.source)
    if source.suffix == ".toml":
        given = configuration.read_config(source)
    else:
        given = {"dataset": options.source}
    flags = {
        "model.name": options.model,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "optimizer.name": options.optimizer,
        "optimizer.learning_rate": options.learning_rate,
        "seed": options.seed,
        "threads": options.threads,
        "device": options.device,
        "checkpoint_every": resuming.frequency(options.checkpoint_every),
    }
    settings = {key: value for key, value in flags.items() if value is not None}
    settings.update(configuration.parse_setting(text) for text in options.settings)
    return configuration.resolve(given, settings)


def new_folder(out: str | None, config: dict, suffix: str = "") -> Path:
    """The folder of a new run, created; no earlier run is ever overwritten."""
    if out is not None:
        folder = Path(out)
        if folder.is_dir() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty: --out expects a new or an empty folder.")
        _make_folder(folder, exist_ok=True)
        return folder
    model = re.sub(r"[^\w.-]", "-", config["model"]["name"])[:40]
    name = f"{configuration.label(config)}-{model}-seed{config['seed']}{suffix}"
    _make_folder(Path("runs"), exist_ok=True)
    for number in itertools.count(1):
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        # mkdir itself is the test, so that two runs that start together get two folders
        with contextlib.suppress(FileExistsError):
            _make_folder(folder)
            return folder


def _make_folder(folder: Path, exist_ok: bool = False) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError:
        if not exist_ok:
            raise
        raise NotADirectoryError(f"The run cannot be saved in {folder}: it is a file.") from None
    except OSError as error:
        raise OSError(f"The run cannot be saved in {folder}: {error.strerror}.") from error


def prepare_folder(folder: Path, config: dict, model, command_line: list[str]) -> None:
    """Write the configuration and the environment, and see that there is room for the rest, before any training."""
    import numpy as np

    versions = f"jitnet {__version__}, NumPy {np.__version__}, Python {sys.version.split()[0]}"
    header = f"# Written by {versions}.\n# Repeat this run: jitnet train {runs.CONFIG}\n\n"
    try:
        atomic.write(str(folder / runs.CONFIG), (header + configuration.to_toml(config)).encode())
        environment.write(folder, command_line)
        # weights, and as much twice again for an optimizer's state
        needed = 3 * sum(weight.nbytes for weight in model.get_weights())
        probe = folder / f".{runs.WEIGHTS}.probe"
        try:
            with probe.open("wb") as file:
                file.write(bytes(needed))
                file.flush()
                os.fsync(file.fileno())
        finally:
            probe.unlink(missing_ok=True)
    except (OSError, UnicodeError) as error:
        # nothing was trained: leave nothing behind
        shutil.rmtree(folder, ignore_errors=True)
        reason = error.strerror if isinstance(error, OSError) else None
        raise OSError(f"The run cannot be saved in {folder}: {reason or error}.") from error


def _fit(model, training, validation, config: dict, folder: Path, debug_nan: bool) -> int:
    """Train, save the model; returns the status of what ended it early: 130 (Ctrl-C), 143 (SIGTERM), else 0."""
    from jitnet.callbacks import BackupAndRestore, CSVLogger, TerminateOnNaN
    from jitnet.running import interrupts

    backup = BackupAndRestore(
        folder / runs.CHECKPOINTS, config["checkpoint_every"], delete_checkpoint=False, keep=KEPT_CHECKPOINTS,
        monitor="loss" if validation is None else "val_loss",
    )  # fmt: skip
    debugging = [TerminateOnNaN(debug=True)] if debug_nan else []
    added = configuration.build_callbacks(config, folder)
    status = 0
    with interrupts.held(terminates=True, notice=b"\nStopping after this step; Ctrl-C again stops at once.\n"):
        try:
            model.fit(
                *training,
                batch_size=config["batch_size"],
                epochs=config["epochs"],
                validation_data=validation,
                # the history after them: it has what they add to the logs
                callbacks=[*debugging, *added, CSVLogger(folder / runs.HISTORY), backup],
            )
        except interrupts.Interrupted:
            status = 130
        except interrupts.Terminated as error:
            status = error.code
        model.save(folder / runs.WEIGHTS)
    return status
