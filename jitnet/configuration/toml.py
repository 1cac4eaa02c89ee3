"""Configurations as TOML: read from files and from the command line, and written."""

import json
import re
import tomllib
from pathlib import Path

from jitnet.core.errors import invalid

_LARGEST_CONFIG = 1 << 17  # bytes
# the parser's time grows with the square of a dotted key's length
_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){65}""")


def read_config(path: Path) -> dict:
    """The table in a TOML file; paths of data in it, which count from its folder, are made absolute.

    Raises ValueError if the file is not TOML in UTF-8, FileNotFoundError if there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no configuration file {path}.")
    with path.open("rb") as file:
        content = file.read(_LARGEST_CONFIG + 1)
    if len(content) > _LARGEST_CONFIG:
        raise ValueError(f"{path} is not a configuration: it has more than {_LARGEST_CONFIG} bytes.")
    try:
        text = content.decode()
        if _LONG_KEY.search(text):
            raise ValueError("a dotted key has more than 64 parts")
        table = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{path} is not a configuration: its values are nested too deep.") from None
    except ValueError as error:  # of the decoder, of TOML, or a number of thousands of digits
        raise ValueError(f"{path} is not a TOML file: {error}") from None
    if isinstance(table.get("data"), dict):
        table["data"] = {key: absolute(key, value, path.parent) for key, value in table["data"].items()}
    return table


PATHS = tuple(f"{part}{kind}" for part in ("", "validation_", "test_") for kind in ("x", "y", "csv", "images"))
"""The keys of [data] that are paths."""


def absolute(key: str, value, folder: Path):
    """The value of a key of [data]: a path from ``folder`` as an absolute one, anything else as it is."""
    if key not in PATHS or not isinstance(value, str) or not value or "\0" in value:
        return value
    return str((folder / value).absolute())


def parse_setting(text: str) -> tuple[str, object]:
    """``key=value`` with a TOML value; a value that is no TOML is a string, so that names need no quotes."""
    key, separator, value = text.partition("=")
    key = key.strip()
    if not separator or not key:
        raise invalid("--set expects KEY=VALUE, as in --set optimizer.learning_rate=0.01.", set=text)
    try:
        if _LONG_KEY.search(value):
            raise ValueError("a dotted key has more than 64 parts")
        found = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        found = value.strip()
    except (RecursionError, ValueError) as error:
        raise invalid(f"--set {key} expects a simple value ({error}).", length=len(value)) from None
    table, _, name = key.rpartition(".")
    return key, absolute(name, found, Path()) if table == "data" else found


def to_toml(config: dict) -> str:
    """A resolved configuration in TOML: values first, then one section per table and per table of a list."""
    return "\n".join(_lines(config, "")).lstrip("\n") + "\n"


def _lines(table: dict, prefix: str) -> list[str]:
    sections = {key: value for key, value in table.items() if isinstance(value, dict) or _is_tables(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in sections]
    for key, value in sections.items():
        name = f"{prefix}{_key(key)}"
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *_lines(value, f"{name}.")]
            continue
        for item in value:
            # tables within are written in one line: a section would have to repeat the path to them
            lines += ["", f"[[{name}]]", *(f"{_key(inner)} = {_value(part)}" for inner, part in item.items())]
    return lines


def _is_tables(value) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _string(key)


def _value(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return _string(value)
    return repr(value)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but for one character that JSON leaves as it is
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
