"""[tune]: what a search varies, by the keys of ``--set``, how good a trial is, and how many there are.

``[tune.space]`` has a table for each key: ``{low = 1e-4, high = 1e-1, log = true}``, ``{low = 16, high = 128, step =
16}`` or ``{choices = [...]}``. Whole numbers as ``low`` and ``high`` give whole numbers.
"""

import json
import math
from decimal import Decimal

from jitnet.configuration import datasets, resolving, values

_DEFAULTS = {"monitor": "val_loss", "mode": "auto", "trials": 20, "workers": 1, "pruner": "MedianPruner"}
_RANGE = ("low", "high", "step", "log")
# what would make trials that can't be compared, or says nothing about a model
_FIXED = (
    "callbacks", "checkpoint_every", "data", "dataset", "device", "metrics", "seed", "threads", "validation_split",
)  # fmt: skip


def resolve_search(given: dict, settings: dict) -> tuple[dict, dict]:
    """(configuration, search): the configuration of ``resolve``, and [tune] with its defaults.

    ``settings`` may have keys of [tune], as tune.trials. Every end and every choice of the spaces is tried on the
    configuration, by itself, so that a mistake in one is found before anything is trained.

    Raises ValueError as ``resolve`` does.
    """
    given = resolving.with_settings(given, settings)
    search = _completed(values.table("tune", given.pop("tune", {})))
    config = resolving.resolve(given, {})
    if not datasets.has_validation(config):
        raise ValueError("A search goes by validation data, which there are none of: set validation_split.")
    for key, space in search["space"].items():
        for value in space.get("choices", [space.get("low"), space.get("high")]):
            try:
                resolving.resolve(config, {key: value})
            except ValueError as error:
                raise ValueError(f"tune.space.{key}: {error}") from error
    return config, search


def _completed(given: dict) -> dict:
    for key in given:
        if key not in (*_DEFAULTS, "space"):
            raise values.unknown_key(f"tune.{key}", [f"tune.{name}" for name in (*_DEFAULTS, "space")])
    found = {**_DEFAULTS, **given}
    for key in ("trials", "workers"):
        values.integer(f"tune.{key}", found[key], 1)
    values.name("tune.mode", found["mode"], ("auto", "min", "max"))
    if not values.text("tune.monitor", found["monitor"]).startswith("val_"):
        raise values.wrong('tune.monitor must be of the validation, as "val_loss".', "tune.monitor", found["monitor"])
    pruner = found["pruner"]
    if not isinstance(pruner, dict):
        found["pruner"] = {"class": values.text("tune.pruner", pruner)}
    elif not isinstance(pruner.get("class"), str):
        raise values.wrong("tune.pruner must be the name of a class of optuna.pruners, or a table with a class.",
                           "tune.pruner", pruner)  # fmt: skip
    spaces = dict(_flat(values.table("tune.space", found.pop("space", {}))))
    if not spaces:
        raise ValueError('[tune.space] names nothing to vary, as "optimizer.learning_rate" = {low = 1e-4, high = 0.1}.')
    for key in spaces:
        part = key.partition(".")[0]
        if part in _FIXED or (part == "loss" and found["monitor"] == "val_loss"):
            raise values.wrong(f"A search can't vary {part}: its trials could not be compared.", "tune.space", key)
    return {**found, "space": {key: _space(f"tune.space.{key}", space) for key, space in spaces.items()}}


def _flat(table: dict, prefix: str = ""):
    """(dotted key, space) of tables in tables, as TOML makes them of keys without quotes."""
    for key, value in table.items():
        if isinstance(value, dict) and not {"choices", *_RANGE} & value.keys():
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _space(key: str, given) -> dict:
    """A space, checked."""
    expected = f"{key} must be {{low = , high = }}, with log = true or a step where wanted, or {{choices = []}}."
    if not isinstance(given, dict):
        raise values.wrong(expected, key, given)
    if "choices" in given:
        choices = given["choices"]
        if len(given) > 1 or not isinstance(choices, list) or not choices:
            raise values.wrong(expected, key, given)
        if len({encoded(choice) for choice in choices}) != len(choices):
            raise values.wrong(f"{key}.choices must be different from each other.", f"{key}.choices", choices)
        return {"choices": choices}
    if not {"low", "high"} <= given.keys() or not given.keys() <= set(_RANGE):
        raise values.wrong(expected, key, given)
    for name in ("low", "high", "step"):
        number = given.get(name, 1)
        if type(number) not in (int, float) or not math.isfinite(number) or abs(number) > 2**53:
            raise values.wrong(f"{key}.{name} must be a number.", f"{key}.{name}", number)
    low, high, step = given["low"], given["high"], given.get("step")
    log = values.boolean(f"{key}.log", given.get("log", False))
    if not low < high:
        raise values.wrong(f"{key}.low must be below its high, {high}.", f"{key}.low", low)
    if log and low <= 0:
        raise values.wrong(f"{key}.low must be above 0 where log is true.", f"{key}.low", low)
    if step is not None:
        if log or step <= 0 or (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)):
            raise values.wrong(
                f"{key}.step must lead from {low} to {high} in equal steps, without log.", f"{key}.step", step
            )
    elif all(type(number) is int for number in (low, high)):
        return {"low": low, "high": high, "log": log}
    if all(type(number) is int for number in (low, high, step)):
        return {"low": low, "high": high, "step": step}
    found = {"low": float(low), "high": float(high)}
    return {**found, "log": log} if step is None else {**found, "step": float(step)}


def encoded(choice):
    """A choice as Optuna takes it: a list or a table as JSON."""
    return json.dumps(choice, default=str) if isinstance(choice, list | dict) else choice
