"""Checks of descriptions that come from files: JSON values, of which nothing is known.

A check is a function of (value, place): it raises ValueError, which names the place, unless the value is as described.
"""

import math
import reprlib

from .._structures import flatten


def wrong(place: str, expected: str, value) -> ValueError:
    """The error of a value at ``place`` that is not as ``expected``."""
    # a value from a file may be as long or as deep as it likes
    return ValueError(f"{place} must be {expected}. Received: {reprlib.repr(value)}")


def text(value, place: str) -> None:
    """A string."""
    if not isinstance(value, str):
        raise wrong(place, "a string", value)


def flag(value, place: str) -> None:
    """True or False."""
    if not isinstance(value, bool):
        raise wrong(place, "true or false", value)


def number(value, place: str) -> None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise wrong(place, "a finite number", value)


def whole(least: int, largest: int):
    """A whole number from ``least`` to ``largest``."""

    def check(value, place):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= largest:
            raise wrong(place, f"a whole number from {least} to {largest}", value)

    return check


def one_of(*known: str):
    """One of the strings ``known``."""

    def check(value, place):
        if not isinstance(value, str) or value not in known:
            raise wrong(place, f"one of {', '.join(map(repr, known))}", value)

    return check


def optional(inner):
    """None, or what ``inner`` describes."""

    def check(value, place):
        if value is not None:
            inner(value, place)

    return check


def items(inner):
    """A list of what ``inner`` describes."""

    def check(value, place):
        if not isinstance(value, list | tuple):
            raise wrong(place, "a list", value)
        for index, item in enumerate(value):
            inner(item, f"{place}[{index}]")

    return check


def record(**fields):
    """A dict with at least these keys; their values are as described."""

    def check(value, place):
        if not isinstance(value, dict):
            raise wrong(place, f"a dict with {', '.join(map(repr, fields))}", value)
        for key, inner in fields.items():
            if key not in value:
                raise ValueError(f"{place} lacks {key!r}. Received: {reprlib.repr(sorted(map(str, value)))}")
            inner(value[key], f"{place}.{key}")

    return check


# ---- what saved models consist of

described = record(class_name=text)
_DTYPES = ("float32", "float64", "int32", "int64")
_tensor = record(name=text, shape=items(optional(whole(1, 2**31 - 1))), dtype=one_of(*_DTYPES, "string"))


def tensor(value, place: str) -> None:
    """An input."""
    _tensor(value, place)
    optional(whole(1, 2**31 - 1))(value.get("batch_size"), f"{place}.batch_size")


def structure(count: int):
    """A number, or lists and dicts of structures, with the numbers from 0 to ``count`` - 1 in order, as leaves."""

    def check(value, place):
        found = flatten(value)
        if not all(type(leaf) is int for leaf in found) or found != list(range(count)):
            raise wrong(place, f"a structure of the numbers from 0 to {count - 1}", value)

    return check


def plain(value, place: str) -> None:
    """A value without parts."""
    if not isinstance(value, bool | int | float | str | None):
        raise wrong(place, "a number, a string, true, false or null", value)


sequential = record(name=optional(text), trainable=flag, input=optional(tensor), layers=items(described))
_functional = record(
    name=optional(text), trainable=flag, inputs=items(tensor), layers=items(described), nodes=items(record()),
    outputs=items(record()),
)  # fmt: skip
_KINDS = ("tensor", "constant", "weight", "value", "tuple", "dict")  # of what a layer is applied to


def functional(config, place: str) -> None:
    """The configuration of a model made from inputs and outputs; every reference is to what comes before it."""
    _functional(config, place)
    inputs, layers = len(config["inputs"]), len(config["layers"])
    if "structures" in config:
        items(lambda value, place: None)(config["structures"], f"{place}.structures")
        if len(config["structures"]) != 2:
            raise wrong(f"{place}.structures", "two structures", config["structures"])
        for key, part in zip(("inputs", "outputs"), config["structures"], strict=True):
            if not config[key]:
                raise wrong(f"{place}.{key}", "one or more", config[key])
            structure(len(config[key]))(part, f"{place}.structures")
    else:
        _several(config, place)

    def references(part, place, known):
        if isinstance(part, list | tuple):
            for index, item in enumerate(part):
                references(item, f"{place}[{index}]", known)
            return
        kinds = [kind for kind in _KINDS if isinstance(part, dict) and kind in part]
        if len(kinds) != 1:
            raise wrong(place, f"a list, or a dict with one of {', '.join(map(repr, _KINDS))}", part)
        (kind,), value = kinds, part[kinds[0]]
        at = f"{place}.{kind}"
        match kind:
            case "constant":
                one_of(*_DTYPES)(part.get("dtype", _DTYPES[0]), f"{place}.dtype")
            case "value":
                plain(value, at)
            case "tuple":
                items(lambda item, at: references(item, at, known))(value, at)
            case "dict":
                record()(value, at)
                references(list(value.values()), at, known)
            case "weight":
                items(whole(0, 2**31 - 1))(value, at)
                if len(value) != 2 or value[0] >= layers:
                    raise wrong(at, f"[layer from 0 to {layers - 1}, number of its weight]", value)
            case "tensor":
                match value:
                    case ["input", int(index)] if 0 <= index < inputs:
                        return
                    case ["node", int(index), int(output)] if 0 <= index < known and output >= 0:
                        return
                raise wrong(
                    at, f"['input', 0 to {inputs - 1}] or ['node', 0 to {known - 1}, number of its output]", value
                )

    for index, node in enumerate(config["nodes"]):
        at = f"{place}.nodes[{index}]"
        record(inputs=lambda value, place, known=index: references(value, place, known))(node, at)
        optional(flag)(node.get("training"), f"{at}.training")
        if "layer" in node:
            whole(0, layers - 1)(node["layer"], f"{at}.layer")
            arguments, keywords = node.get("arguments", []), node.get("keywords", {})
            items(lambda value, place, known=index: references(value, place, known))(arguments, f"{at}.arguments")
            record()(keywords, f"{at}.keywords")
            references(list(keywords.values()), f"{at}.keywords", index)
            if "training" in keywords:
                raise wrong(f"{at}.keywords", "without 'training'", sorted(keywords))
        else:
            record(operation=record(class_name=text, config=record()))(node, at)
    for index, output in enumerate(config["outputs"]):
        references(output, f"{place}.outputs[{index}]", len(config["nodes"]))
        if "tensor" not in output:
            raise wrong(f"{place}.outputs[{index}]", "a tensor", output)


def _several(config, place: str) -> None:
    """What format 2 has instead of structures: whether inputs and outputs are lists."""
    record(several=items(flag))(config, place)
    if len(config["several"]) != 2:
        raise wrong(f"{place}.several", "two truth values", config["several"])
    for key, several in zip(("inputs", "outputs"), config["several"], strict=True):
        if not config[key] or (len(config[key]) > 1 and not several):
            raise wrong(f"{place}.{key}", f"{'one or more' if several else 'one'}", config[key])
