"""Checks of descriptions that come from files: JSON values, of which nothing is known.

A check is a function of (value, place): it raises ValueError, which names the place, unless the value is as described.
"""

import math
import reprlib


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
tensor = record(
    name=text, shape=items(whole(1, 2**31 - 1)), dtype=one_of("float32", "float64", "int32", "int64")
)
sequential = record(name=optional(text), trainable=flag, input=optional(tensor), layers=items(described))
_functional = record(
    name=optional(text), trainable=flag, inputs=items(tensor), layers=items(described), nodes=items(record()),
    outputs=items(record()), several=items(flag),
)  # fmt: skip


def functional(config, place: str) -> None:
    """The configuration of a model made from inputs and outputs; every reference is to what comes before it."""
    _functional(config, place)
    inputs, layers = len(config["inputs"]), len(config["layers"])
    if len(config["several"]) != 2:
        raise wrong(f"{place}.several", "two truth values", config["several"])
    for key, several in zip(("inputs", "outputs"), config["several"], strict=True):
        if not config[key] or (len(config[key]) > 1 and not several):
            raise wrong(f"{place}.{key}", f"{'one or more' if several else 'one'}", config[key])

    def references(structure, place, known):
        if isinstance(structure, list | tuple):
            for index, item in enumerate(structure):
                references(item, f"{place}[{index}]", known)
            return
        if not isinstance(structure, dict) or not {"tensor", "constant"} & structure.keys():
            raise wrong(place, "a list, or a dict with 'tensor' or 'constant'", structure)
        if "constant" in structure:
            return
        match structure["tensor"]:
            case ["input", int(index)] if 0 <= index < inputs:
                return
            case ["node", int(index), int(output)] if 0 <= index < known and output >= 0:
                return
        raise wrong(
            f"{place}.tensor", f"['input', 0 to {inputs - 1}] or ['node', 0 to {known - 1}, number of its output]",
            structure["tensor"],
        )  # fmt: skip

    for index, node in enumerate(config["nodes"]):
        at = f"{place}.nodes[{index}]"
        record(inputs=lambda value, place, known=index: references(value, place, known))(node, at)
        optional(flag)(node.get("training"), f"{at}.training")
        if "layer" in node:
            whole(0, layers - 1)(node["layer"], f"{at}.layer")
        else:
            record(operation=record(class_name=text, config=record()))(node, at)
    for index, output in enumerate(config["outputs"]):
        references(output, f"{place}.outputs[{index}]", len(config["nodes"]))
        if "tensor" not in output:
            raise wrong(f"{place}.outputs[{index}]", "a tensor", output)
