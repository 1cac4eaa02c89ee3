"""A folder of checkpoints: ``step-000001234.safetensors`` after so many steps, each with a training's whole state."""

import contextlib
import itertools
import os
import re
import warnings

from . import model_file, training_state

_NAME = re.compile(r"step-(\d{9,18})\.safetensors")


def path_of(folder: str, step: int) -> str:
    return os.path.join(folder, f"step-{step:09d}.safetensors")


def steps_in(folder: str) -> list[int]:
    """The steps after which there are checkpoints, the last one first."""
    with contextlib.suppress(FileNotFoundError):
        found = (_NAME.fullmatch(name) for name in os.listdir(folder))
        return sorted((int(match[1]) for match in found if match), reverse=True)
    return []


def write(folder: str, step: int, tensors: dict, description: dict) -> None:
    """Write a checkpoint.  Raises OSError if that fails; then all others are as they were."""
    model_file.write(path_of(folder, step), tensors, description)


def read(folder: str, step: int) -> tuple[str, dict, dict]:
    """(path, tensors, description) of a checkpoint.

    Raises ValueError if it is damaged, or another's that has got its name, OSError if it can't be read.
    """
    path, tensors, description = model_file.read(path_of(folder, step))
    try:
        training_state.check(description)
        found = description["training"]["position"]["steps"]
        if found != step:
            raise ValueError(f"it was written after {found} steps, which its name does not say")
    except ValueError as error:
        raise ValueError(f"{path} is no checkpoint as jitnet writes them: {error}.") from None
    return path, tensors, description


def newest(folder: str) -> tuple[str, dict, dict] | None:
    """The last checkpoint that is sound; None if there is none at all.

    Warns of each that is not.  Raises ValueError if none is.
    """
    steps = steps_in(folder)
    for step, before in itertools.pairwise([*steps, None]):
        try:
            return read(folder, step)
        except (ValueError, OSError) as error:
            if before is None:
                raise ValueError(
                    f"None of the checkpoints in {folder} can be used. Remove them to begin anew. {error}"
                ) from error
            warnings.warn(f"{error} The training goes on from {path_of(folder, before)}.", stacklevel=6)
    return None


def keep(folder: str, steps) -> None:
    """Remove all checkpoints but those of ``steps``."""
    for step in set(steps_in(folder)).difference(steps):
        with contextlib.suppress(OSError):  # then it is there for longer
            os.remove(path_of(folder, step))
