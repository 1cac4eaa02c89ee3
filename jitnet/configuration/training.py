"""What trains a model: optimizer, loss, metrics and callbacks."""

import re
import string
from pathlib import Path, PurePosixPath, PureWindowsPath

from jitnet.configuration import objects, recipes, values

_PATHS = ("backup_dir", "filename", "filepath", "log_dir")  # arguments of callbacks
RESERVED = ("config.toml", "history.csv", "model.safetensors", "environment.json", "report.html", ".lock")
_FORM = re.compile(r"0?\d{0,3}(\.\d{1,2})?[defg]?")
_RATE = "learning_rate"


def optimizer(given: dict, dataset: str | None, described: bool) -> dict:
    """[optimizer], complete: with a ``class`` any of ``jitnet.optimizers``, else the recipe of its name.

    described: whether the model is, whose optimizer is by default Adam as it is.
    """
    if "class" not in given and ("name" in given or not described):
        return recipes.optimizer(given, dataset)
    return objects.completed("optimizer", {"class": "Adam", **given}, "optimizer")


def loss(given):
    """The loss, complete: a name, or a table."""
    if isinstance(given, dict):
        return objects.completed("loss", given, "loss")
    from jitnet import losses

    return values.name("loss", given, {name: None for name in losses.KNOWN})


def metrics(given) -> list:
    """The metrics, complete: names and tables."""
    if not isinstance(given, list):
        raise values.wrong("metrics must be a list of names and tables.", "metrics", given)
    from jitnet import losses, metrics

    known = {**dict.fromkeys(("accuracy", "acc")), **dict.fromkeys(metrics.KNOWN), **dict.fromkeys(losses.KNOWN)}
    found = []
    for index, item in enumerate(given):
        key = f"metrics.{index}"
        if isinstance(item, dict):
            found.append(objects.completed(key, item, "metric"))
        elif isinstance(item, str) and item not in known:
            raise values.unknown_name("metric", item, known)
        else:
            found.append(values.text(key, item))
    return found


def callbacks(given, validates: bool, rate_follows_schedule: bool) -> list[dict]:
    """[[callbacks]], complete; what would fail or do nothing in the training is an error now."""
    found = []
    for index, table in enumerate(values.tables("callbacks", given)):
        key = f"callbacks.{index}"
        for name in _PATHS:
            if name in table:
                _within(f"{key}.{name}", table[name])
        done = objects.completed(key, table, "callback")
        watched = done.get("monitor")
        if isinstance(watched, str) and watched.startswith("val_") and not validates and _watches(done):
            raise values.wrong(
                f"{done['class']} watches the validation, which there is none of: set validation_split.",
                f"{key}.monitor", watched,
            )  # fmt: skip
        if done["class"] == "ReduceLROnPlateau" and rate_follows_schedule:
            raise ValueError(
                f"{key}: ReduceLROnPlateau sets the learning rate, which a schedule governs already: give "
                f"optimizer.{_RATE} a number, or set optimizer.schedule=constant for a recipe's optimizer."
            )
        found.append(done)
    return found


def _watches(table: dict) -> bool:
    return table["class"] != "ModelCheckpoint" or table["save_best_only"]


def follows_schedule(part: dict) -> bool:
    """Whether the learning rate of a completed [optimizer] is a schedule's."""
    return isinstance(part[_RATE], dict) or part.get("schedule", "constant") != "constant"


def _within(key: str, value) -> None:
    """Raise ValueError for a path that would lead out of the run's folder, or be another of its files."""
    text = values.text(key, value)
    kinds = PurePosixPath(text), PureWindowsPath(text)
    outside = any(path.is_absolute() or path.drive or path.root or ".." in path.parts for path in kinds)
    if outside or not kinds[0].parts or "\0" in text:
        raise values.wrong(f"{key} must be a path within the run's folder.", key, value)
    for _, name, form, conversion in _pieces(key, text):
        # a format such as {epoch!s:.>2.0} would write dots
        if name is not None and (conversion or not name.isidentifier() or not _FORM.fullmatch(form)):
            raise values.wrong(f"{key} may name values alone, with formats such as {{epoch:02d}}.", key, value)
    if str(kinds[0]).lower() in RESERVED or kinds[0].parts[0].lower() == "checkpoints":
        raise values.wrong(f"{key} must be none of the run's own files, {', '.join(RESERVED)}.", key, value)


def _pieces(key: str, text: str) -> list:
    try:
        return list(string.Formatter().parse(text))
    except ValueError as error:
        raise values.wrong(f"{key} is no path with names in braces ({error}).", key, text) from None


# ---- what they are made of


def compilation(config: dict, steps_per_epoch: int) -> dict:
    """The arguments of ``compile``."""
    part, loss = config["optimizer"], config["loss"]
    if "class" in part:
        optimizer = objects.make("optimizer", part, "optimizer", steps_per_epoch)
    else:
        optimizer = recipes.make_optimizer(part, config["epochs"] * steps_per_epoch)
    return {
        "optimizer": optimizer,
        "loss": objects.make("loss", loss, "loss", steps_per_epoch) if isinstance(loss, dict) else loss,
        "metrics": [
            objects.make(f"metrics.{index}", item, "metric", steps_per_epoch) if isinstance(item, dict) else item
            for index, item in enumerate(config["metrics"])
        ],
    }


def build_callbacks(config: dict, folder: Path) -> list:
    """The callbacks of a run in ``folder``, within which their paths are."""
    made = []
    for index, table in enumerate(config["callbacks"]):
        inside = {name: str(Path(folder) / value) if name in _PATHS else value for name, value in table.items()}
        for name in set(inside) & set(_PATHS):
            Path(inside[name]).parent.mkdir(parents=True, exist_ok=True)
        made.append(objects.make(f"callbacks.{index}", inside, "callback", 1))
    return made
