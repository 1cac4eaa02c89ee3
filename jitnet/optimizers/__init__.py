"""Optimizers: updates of single elements over all parameters in one pass, and others in operations.

Every hyperparameter may be a number or a schedule (``jitnet.optimizers.schedules``), a function of the step number.
Names, arguments, defaults and formulas are Keras 3's.
"""

import sys

from .. import _registry, schedules
from ..core.errors import module_dir, module_getattr
from .base import Optimizer
from .elementwise import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Ftrl, Lion, Nadam, RMSprop
from .operations import Adafactor, Eve, Lamb, Muon

# Keras's name of the module of schedules
sys.modules[f"{__name__}.schedules"] = schedules

__all__ = [
    "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Eve", "Ftrl", "Lamb", "Lion", "Muon",
    "Nadam", "Optimizer", "RMSprop", "deserialize", "get", "schedules", "serialize",
]  # fmt: skip

_KNOWN = _registry.by_name(
    [SGD, Adam, AdamW, Adamax, Nadam, RMSprop, Adagrad, Adadelta, Ftrl, Lion, Lamb, Muon, Adafactor, Eve],
    adamw=AdamW, rmsprop=RMSprop,
)  # fmt: skip


def serialize(optimizer: Optimizer) -> dict:
    """``{"class_name": ..., "config": {...}}``"""
    return _registry.serialize(optimizer)


def deserialize(config: dict, custom_objects: dict | None = None) -> Optimizer:
    """The optimizer that ``serialize`` described."""
    return _registry.deserialize(config, _KNOWN, custom_objects, kind="optimizer")


def get(identifier) -> Optimizer:
    """An optimizer from an instance, a class, a config or a name such as "adam"."""
    return _registry.get(identifier, _KNOWN, kind="optimizer", base=Optimizer)


__getattr__ = module_getattr(__name__, "optimizer")
__dir__ = module_dir(__name__)
