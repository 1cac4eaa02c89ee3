"""What ``fit``, ``evaluate`` and ``predict`` make of their arguments."""

import math

import numpy as np

from ..core.errors import invalid
from .streams import Stream, is_stream
from .streams import evaluate as evaluate_batches

_SEVERAL = list | tuple | set  # of epochs


def validation(model, given, batch_size, steps, frequency, prepared=None):
    """A function of the callbacks and an epoch that returns the logs of its validation, {} where there is none.

    Its attribute ``streams`` lists the streams that it draws from.

    given: as ``validation_data``; prepared: arrays instead of it.
    """
    streams = []
    if given is None and prepared is None:

        def evaluate(hooks):
            return {}
    elif prepared is None and is_stream(given):
        stream = Stream(given, "validation_data", again=True)
        streams = [stream]

        def evaluate(hooks):
            return evaluate_batches(model, stream, hooks, steps)
    else:
        if prepared is None:
            if not isinstance(given, list | tuple) or len(given) not in (2, 3):
                raise ValueError(
                    "validation_data expects (x, y) or (x, y, sample_weight), or batches of them. "
                    f"Received: {type(given).__name__}"
                )
            x, y, *weights = given
            prepared = model._prepare(x, y, *weights, mode="evaluate", of="validation_data")
        batch_size = checked_batch_size(batch_size, model._fixed_batch_size, prepared[1], steps)
        used = min(prepared[1], batch_size * number_of_steps(prepared[1], batch_size, steps))
        model._check_batches(min(batch_size, used), used)

        def evaluate(hooks):
            return model._evaluate(*prepared, batch_size, hooks, steps)

    def validate(hooks, epoch):
        several = isinstance(frequency, _SEVERAL)
        is_due = epoch + 1 in frequency if several else (epoch + 1) % frequency == 0
        found = evaluate(hooks) if is_due else {}
        return {f"val_{name}": value for name, value in found.items()}

    validate.streams = streams
    return validate


def stream_of(x, steps):
    """A stream of the batches of ``x``, and ``steps``, checked."""
    if steps is not None:
        check_integer("steps", steps, 1)
    return Stream(x, again=True), steps


def returned(logs: dict, return_dict: bool):
    """Logs as ``evaluate`` returns them."""
    values = list(logs.values())
    return logs if return_dict else (values[0] if len(values) == 1 else values)


def checked_batch_size(batch_size, fixed=None, samples=None, steps=None) -> int:
    """Samples per step: as given; by default ``fixed``, or what makes ``steps`` of all samples, as in Keras, or 32."""
    if batch_size is None:
        if steps is None or fixed:
            return fixed or 32
        check_integer("steps", steps, 1)
        return math.ceil(samples / steps)
    check_integer("batch_size", batch_size, 1)
    return int(batch_size)


def number_of_steps(samples: int, batch_size: int, most: int | None) -> int:
    """The number of batches, ``most`` at most."""
    if most is not None:
        check_integer("steps", most, 1)
    steps = math.ceil(samples / batch_size)
    return steps if most is None else min(steps, most)


def check_frequency(frequency) -> None:
    """Raise ValueError unless it says after which epochs there is a validation."""
    for each in frequency if isinstance(frequency, _SEVERAL) else [frequency]:
        check_integer("validation_freq", each, 1)


def check_integer(name: str, value, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise invalid(f"{name} is an integer from {least} up.", **{name: value})
