"""The trials of ``jitnet tune``: each a run in a folder of its own, with what Optuna proposes, told to its journal."""

import csv
import io
import math
import multiprocessing
import os
import shutil
import sys
import time
import warnings
from pathlib import Path

from jitnet import configuration
from jitnet.callbacks import Callback, CSVLogger, OptunaPruningCallback
from jitnet.commands import runs, train
from jitnet.configuration import tuning
from jitnet.files import atomic

try:
    import optuna
except ImportError as error:
    # an OSError, as what is wrong with the machine: the command says it in one line
    raise OSError("A search is made by Optuna, which is missing: pip install 'jitnet[tune]'") from error

FOLDER, JOURNAL = "trials", "journal.log"
_NAME = "jitnet"
_STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "interrupted"}


class _SeededByTrial(optuna.samplers.BaseSampler):
    """Optuna's estimators by trees (TPE), seeded for each trial: a search that goes on is as one in one go."""

    def __init__(self, seed: int):
        self._seed, self._sampler = seed, None

    def before_trial(self, study, trial):
        import numpy as np

        seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
        self._sampler = optuna.samplers.TPESampler(seed=seed)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study, trial):
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study, trial, search_space):
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


class _Watch(Callback):
    """Ends a training that nobody waits for any more, or that doesn't measure what the search goes by."""

    def __init__(self, monitor: str):
        super().__init__()
        self.monitor = monitor

    def on_epoch_end(self, epoch, logs=None):
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise SystemExit(1)
        if self.monitor not in logs:
            known = [name for name in logs if name.startswith("val_")]
            raise configuration.values.unknown_name("quantity of the validation", self.monitor, known)


def study(folder: Path, config: dict, search: dict):
    """The study of a search's folder, made if there is none.

    Raises ValueError for a pruner that Optuna doesn't have, or that refuses its arguments.
    """
    path = str(folder / JOURNAL)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Windows lets few make symbolic links
    lock = optuna.storages.journal.JournalFileOpenLock(path) if os.name == "nt" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.create_study(
            storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path, lock)),
            study_name=_NAME,
            sampler=_SeededByTrial(config["seed"]),
            pruner=pruner(search["pruner"]),
            direction=direction(search),
            load_if_exists=True,
        )


def pruner(table: dict):
    """The object of [tune]'s pruner."""
    known = {name: getattr(optuna.pruners, name) for name in optuna.pruners.__all__ if name != "BasePruner"}
    name = configuration.values.name("tune.pruner", table["class"], known)
    try:
        return known[name](**{key: value for key, value in table.items() if key != "class"})
    except (TypeError, ValueError) as error:
        raise ValueError(f"tune.pruner: {name}: {error}") from error


def direction(search: dict) -> str:
    """"minimize" or "maximize".

    Raises ValueError if the monitored quantity's name doesn't tell, and no mode is given.
    """
    from jitnet.callbacks.monitors import Monitor

    higher = Monitor(search["monitor"], search["mode"])._higher_is_better
    return "maximize" if higher else "minimize"


def repair(folder: Path) -> None:
    """Make a journal whole that a killed process left in the middle of a line. Nobody may be writing it."""
    path = folder / JOURNAL
    Path(f"{path}.lock").unlink(missing_ok=True)
    if path.is_file():
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            path.write_bytes(content[: content.rfind(b"\n") + 1])


def make(folder: Path, config: dict, search: dict, count, again: list[int], command_line: list[str]) -> None:
    """Make trials until there are enough, beside other processes that do.

    count: shared by them: how many trials were begun; again: numbers of trials that were interrupted, to be made first.
    """
    from jitnet.layers import base
    from jitnet.running import interrupts

    found, data, names = study(folder, config, search), {}, base.used_names()
    while True:
        base.set_used_names(names)  # as a process has them that makes this run alone
        with count.get_lock():
            index, count.value = count.value, count.value + 1
        if index < len(again):
            # as `ask` makes one, but of a number that there is
            trial = optuna.trial.Trial(found, found.get_trials(deepcopy=False)[again[index]]._trial_id)
        elif index < search["trials"]:
            trial = found.ask()
        else:
            return
        _make(folder, config, search, found, trial, data, command_line)
        interrupts.check()


def _make(folder: Path, base: dict, search: dict, found, trial, data: dict, command_line: list[str]) -> None:
    """Make one trial and tell the study."""
    start = time.perf_counter()
    settings = {key: _value(space, _suggested(trial, key, space)) for key, space in search["space"].items()}
    place = folder / FOLDER / f"{trial.number:04d}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    state = optuna.trial.TrialState
    value = None
    try:
        value = _trained(place, base, settings, search["monitor"], trial, data, command_line)
        told, said = state.COMPLETE, f"{search['monitor']} {value:.6g}"
        if not math.isfinite(value):
            value, told, said = None, state.FAIL, f"failed: {search['monitor']} is {value}"
    except optuna.TrialPruned as error:
        told, said = state.PRUNED, f"{error}"
    except (_NotMade, MemoryError) as error:
        told, said = state.FAIL, f"failed: {error}"
    found.tell(trial, value, state=told)
    seconds = time.perf_counter() - start
    # in one piece, among those of other processes
    sys.stdout.write(f"Trial {trial.number}: {described(trial, search)}: {said} ({seconds:.1f} s)\n")
    sys.stdout.flush()


class _NotMade(ValueError):
    """Settings that don't go together."""


def _trained(place: Path, base: dict, settings: dict, monitor: str, trial, data: dict, command_line: list) -> float:
    """Train a run in the folder; the monitored value of the model as it is saved."""
    import jitnet

    try:
        config = configuration.resolve(base, settings)
    except ValueError as error:
        raise _NotMade(f"{error}") from error
    jitnet.utils.set_random_seed(config["seed"])
    if config["shift"] not in data:  # nothing else of the data is varied
        data[config["shift"]] = configuration.load_data(config), config.get("data")
    (training, validation, test), described = data[config["shift"]]
    if described is not None:
        config["data"] = described
    try:
        model = train.build(config, training, validation, test)
    except configuration.DataError:
        raise
    except ValueError as error:
        raise _NotMade(f"{error}") from error
    train.prepare_folder(place, config, model, command_line)
    with warnings.catch_warnings():
        # of a trial that was interrupted and is made again
        warnings.filterwarnings("ignore", "The reported value is ignored because this")
        model.fit(
            *training,
            batch_size=config["batch_size"],
            epochs=config["epochs"],
            validation_data=validation,
            verbose=0,
            callbacks=[
                *configuration.build_callbacks(config, place), CSVLogger(place / runs.HISTORY), _Watch(monitor),
                OptunaPruningCallback(trial, monitor),
            ],
        )  # fmt: skip
    model.save(place / runs.WEIGHTS)
    found = model.evaluate(*validation, batch_size=config["batch_size"], verbose=0, return_dict=True)
    return float(found[monitor.removeprefix("val_")])


def _suggested(trial, key: str, space: dict):
    """The trial's value of a space, as Optuna has it."""
    if "choices" in space:
        return trial.suggest_categorical(key, [tuning.encoded(choice) for choice in space["choices"]])
    suggest = trial.suggest_int if type(space["low"]) is int else trial.suggest_float
    return suggest(key, space["low"], space["high"], **{name: space[name] for name in ("step", "log") if name in space})


def _value(space: dict, suggested):
    """Optuna's value as a configuration has it."""
    return next((c for c in space.get("choices", []) if tuning.encoded(c) == suggested), suggested)


def described(trial, search: dict) -> str:
    """The trial's values of all spaces."""
    values = [(key, trial.params[key]) for key in search["space"]]
    return ", ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values)


def write_table(folder: Path, found, search: dict) -> None:
    """Write trials.csv: a line for each trial."""
    keys = list(search["space"])
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["trial", "state", search["monitor"], "epochs", *keys])
    for trial in found.get_trials(deepcopy=False):
        value = "" if trial.value is None else trial.value
        settings = [trial.params.get(key, "") for key in keys]
        state = _STATES[trial.state.name]
        table.writerow([trial.number, state, value, len(trial.intermediate_values), *settings])
    atomic.write(str(folder / "trials.csv"), text.getvalue().encode())


def importances(found) -> dict[str, float]:
    """{key: part of the differences between trials that it explains}; empty where there are too few finished trials."""
    finished = found.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    if len(finished) < 4 or len({trial.value for trial in finished}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.importance.get_param_importances(found)
