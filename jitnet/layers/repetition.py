"""Depth: blocks with a way around them, and layers that are applied several times."""

from .. import ops
from ..core import checks
from ..core.errors import invalid
from . import base
from .base import Layer


class _Around(Layer):
    """A layer made of other layers, which are saved in its configuration."""

    _inner: tuple = ()  # the arguments that are layers

    @classmethod
    def from_config(cls, config):
        layers = {name: base.deserialize(config[name]) for name in cls._inner if config.get(name) is not None}
        return cls(**{**config, **layers})

    def get_config(self):
        inner = {name: getattr(self, name) for name in self._inner}
        return {**super().get_config(), **{n: None if v is None else base.serialize(v) for n, v in inner.items()}}

    def _checked(self, name: str, layer):
        if not isinstance(layer, Layer):
            raise invalid(f"{type(self).__name__} expects {name} to be a layer or a model.", **{name: layer})
        return layer


class Residual(_Around):
    """block(x) + x, or block(x) + shortcut(x) (He et al. 2015, equations 1 and 2).

    Arguments:
        block: a layer or a model.
        shortcut: None for x itself, which then has the shape of the block's output; or a layer or a model.
    """

    example = {"arguments": {"block": {"class_name": "Dense", "config": {"units": 4}}}, "input_shape": (4,)}
    _inner = ("block", "shortcut")

    def __init__(self, block, shortcut=None, **kwargs):
        super().__init__(**kwargs)
        self.block = self._checked("block", base.get(block))
        self.shortcut = None if shortcut is None else self._checked("shortcut", base.get(shortcut))

    def call(self, inputs):
        y = self.block(inputs)
        around = inputs if self.shortcut is None else self.shortcut(inputs)
        if tuple(around.shape) != tuple(y.shape):
            raise invalid(
                f"Residual expects its block to return the shape {tuple(around.shape)}; a shortcut may change that.",
                shape=tuple(y.shape),
            )
        return ops.add(y, around)


class Repeat(_Around):
    """A layer applied ``n`` times, each time to what it returned before, with the same weights (Kim et al. 2016).

    Returns what came last, or a list of all ``n`` results.

    Arguments:
        layer: a layer or a model that returns the shape of its input.
        n: how often, at least once.
        return_intermediates: whether to return the list.
    """

    example = {"arguments": {"layer": {"class_name": "Dense", "config": {"units": 4}}, "n": 3}, "input_shape": (4,)}
    _inner = ("layer",)

    def __init__(self, layer, n, return_intermediates=False, **kwargs):
        super().__init__(**kwargs)
        self.layer = self._checked("layer", base.get(layer))
        self.n = checks.integer("Repeat", "n", n, least=1)
        self.return_intermediates = checks.boolean("Repeat", "return_intermediates", return_intermediates)

    def call(self, inputs):
        found, x = [], inputs
        for _ in range(self.n):
            y = self.layer(x)
            if tuple(y.shape) != tuple(inputs.shape):
                raise invalid(
                    f"Repeat expects its layer to return the shape of its input, {tuple(inputs.shape)}.",
                    shape=tuple(y.shape),
                )
            found.append(x := y)
        return found if self.return_intermediates else x

    def get_config(self):
        return {**super().get_config(), "n": self.n, "return_intermediates": self.return_intermediates}
