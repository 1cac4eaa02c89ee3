"""A whole configuration, from what the user gave in a file and on the command line."""

import copy
import re

from jitnet.configuration import datasets, models, recipes, training, values

_GENERAL = {
    "seed": 0,
    "epochs": 10,
    "batch_size": 32,
    "threads": 0,  # 0: all cores
    "device": "cpu",
    "validation_split": 0.0,  # the last part of the training data, held out of training
    "checkpoint_every": "epoch",  # or a number of steps
    "shift": False,  # whether to add copies of the training images, moved by a pixel to each of the four sides
}
_LEAST = {"seed": 0, "epochs": 1, "batch_size": 1, "threads": 0}
_TABLES = ("data", "model", "optimizer")
_LISTS = ("augmentation", "callbacks")
_KEYS = ("dataset", *_GENERAL, "loss", "metrics", *_TABLES, *_LISTS)
_DEVICES = ("cpu", "cuda")


def resolve(given: dict, settings: dict) -> dict:
    """The whole configuration.

    given: a configuration that may lack anything but the data, and for a described model the loss.
    settings: {dotted key: value}, which override it; numbers in keys count the tables of lists from 0.

    A model or an optimizer of another name or class in ``settings`` replaces the given one with all its values.
    Raises ValueError for an unknown key or name, with the nearest known one, and for a value of the wrong kind; nothing
    is read but the configuration.
    """
    try:
        return _resolved(given, settings)
    except RecursionError:
        raise ValueError("The configuration's values are nested too deep.") from None


def _resolved(given: dict, settings: dict) -> dict:
    given = _with_settings(given, settings)
    for key in given:
        if key not in _KEYS:
            raise values.unknown_key(key, _KEYS)
    dataset = given.get("dataset")
    if dataset is None and "data" not in given:
        raise ValueError(f"The configuration has no dataset. Known: {', '.join(datasets.NAMES)}; or files in [data].")
    if dataset is not None:
        values.name("dataset", dataset, datasets.NAMES)
    tables = {key: values.table(key, given.get(key, {})) for key in _TABLES}
    described = "layers" in tables["model"]

    found = {} if dataset is None else {"dataset": dataset}
    general = {**_GENERAL, **({} if described else recipes.general(dataset))}
    found |= {key: _general(key, given.get(key, default)) for key, default in general.items()}
    parts = {"data": datasets.completed(tables["data"], dataset)}
    if not parts["data"]:
        del parts["data"]
    if found["shift"] and not datasets.are_images({**found, **parts}):
        raise values.wrong("shift is for pictures.", "shift", True)
    if found["validation_split"] and datasets.has_validation({**found, **parts, "validation_split": 0}):
        raise values.wrong(
            "There are files for validation already.", "validation_split", found["validation_split"]
        )
    pictures = datasets.are_images({**found, **parts}) or "x" in parts.get("data", {})
    parts["model"] = models.completed(tables["model"], dataset, pictures)
    parts["optimizer"] = training.optimizer(tables["optimizer"], dataset, described)
    if described and "loss" not in given:
        raise ValueError("The configuration has no loss, which a model of [[model.layers]] needs.")
    loss = training.loss(given.get("loss", "sparse_categorical_crossentropy"))
    metrics = training.metrics(given.get("metrics", [] if described else ["accuracy"]))
    augmentation = models.augmentation(given.get("augmentation", []))
    callbacks = training.callbacks(
        given.get("callbacks", []),
        datasets.has_validation({**found, **parts}),
        training.follows_schedule(parts["optimizer"]),
    )
    return {
        **found, "loss": loss, "metrics": metrics, **parts, "augmentation": augmentation, "callbacks": callbacks,
    }  # fmt: skip


def _general(key: str, value):
    if key == "shift":
        return values.boolean(key, value)
    if key in _LEAST:
        return values.integer(key, value, _LEAST[key])
    if key == "validation_split":
        return values.number(key, value, below=1)
    if key == "checkpoint_every":
        if value != "epoch" and (type(value) is not int or not 0 < value <= values.LARGEST_INTEGER):
            raise values.wrong(f'{key} must be "epoch" or a number of steps from 1 up.', key, value)
        return value
    value = values.text(key, value)
    if not re.fullmatch(r"cuda:\d{1,3}", value):  # among several
        values.name(key, value, _DEVICES)
    return value


def _with_settings(given: dict, settings: dict) -> dict:
    """What was given, with the settings in it."""
    found = copy.deepcopy(given)
    for key, value in settings.items():
        part, _, name = key.rpartition(".")
        if name == "class" or key in ("model.name", "optimizer.name"):
            _replace(found, part, name, value)
    for key, value in settings.items():
        _assign(found, key, value)
    return found


def _replace(found: dict, part: str, name: str, value) -> None:
    """Empty the table ``part``, if its name or class becomes another."""
    table = found
    for step in part.split("."):
        table = _entry(table, step)
    if not isinstance(table, dict) or table.get(name) == value:
        return
    # a described model may have any name; one of a recipe's is that recipe
    if part == "model" and ("layers" in table or name not in table) and value not in recipes.model_names():
        return
    is_recipe = part in ("model", "optimizer") and "name" in table
    if is_recipe or name in table or "class" in table or "layers" in table:
        table.clear()


def _entry(table, step: str):
    if isinstance(table, list):
        return table[int(step)] if step.isdecimal() and len(step) < 6 and int(step) < len(table) else None
    return table.get(step) if isinstance(table, dict) else None


def _assign(found: dict, key: str, value) -> None:
    """Set a dotted key; tables on the way are made, entries of lists must be there."""
    steps = key.split(".")
    table = found
    for count, step in enumerate(steps[:-1], 1):
        inner = _entry(table, step)
        if not isinstance(inner, dict | list):
            if isinstance(table, list):
                raise values.wrong(f"{'.'.join(steps[: count - 1])} has {len(table)} entries, from 0.", "set", key)
            table[step] = inner = {}
        table = inner
    last = steps[-1]
    if isinstance(table, dict):
        table[last] = value
    elif _entry(table, last) is None:
        raise values.wrong(f"{'.'.join(steps[:-1])} has {len(table)} entries, from 0.", "set", key)
    else:
        table[int(last)] = value
