"""Which devices there are: names such as "cuda:1", and what runs kernels on them."""

import re
import threading

from ...core.errors import invalid

_opening = threading.Lock()
_open: dict[str, object] = {}  # {name: backend of kernels.cuda._api}


def checked_name(name: str) -> str:
    """ "cpu", "cuda:0", "cuda:1" ...; "cuda" and "gpu" are the first one.

    Raises:
        ValueError: another name.
    """
    found = re.fullmatch(r"(cpu|cuda|gpu)(?::(\d{1,3}))?", name) if isinstance(name, str) else None
    if found is None or (found[1] == "cpu" and found[2] not in (None, "0")):
        raise invalid('A device is "cpu", "cuda" or, among several, "cuda:1" and so on.', device=name)
    return "cpu" if found[1] == "cpu" else f"cuda:{int(found[2] or 0)}"


def backend(name: str):
    """What runs kernels on a device.

    Raises:
        kernels.cuda._api.CudaError: there is none, or it can't be used; the message says why.
    """
    with _opening:
        if name not in _open:
            from ...kernels.cpu.runtime import cache
            from ...kernels.cuda._api import Device

            _open[name] = Device(int(name.partition(":")[2]), cache)
        return _open[name]


def opened(name: str) -> str:
    """The whole name of a device that can be used.

    Raises:
        ValueError: no name of a device.
        kernels.cuda._api.CudaError: it can't be used.
    """
    name = checked_name(name)
    if name != "cpu":
        backend(name)
    return name


def install(name: str, made) -> None:
    """Let ``made`` run what is for the device of this name, or nothing if None: for emulators."""
    with _opening:
        _open.pop(name, None)
        if made is not None:
            _open[name] = made


def description() -> str:
    """The first device in words, or "no" and why it can't be used."""
    try:
        return backend("cuda:0").description
    except RuntimeError as error:
        return f"no: {error}"
