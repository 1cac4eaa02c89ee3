"""Layers around layers: ways around blocks, the same weights several times, weights of bounded norm."""

import math

from .. import initializers, ops
from ..core import checks
from ..core.errors import invalid
from ..core.operations.effects import Replaced
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


class Wrapper(_Around):
    """A base of layers around a layer: ``self.layer``; a subclass says in ``call`` what it does with it.

    Arguments:
        layer: a layer or a model.
    """

    example = {"arguments": {"layer": {"class_name": "Dense", "config": {"units": 3}}}, "input_shape": (4,)}
    _inner = ("layer",)

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self.layer = self._checked("layer", base.get(layer))

    def call(self, inputs):
        return self.layer(inputs)


class Pipeline(_Around):
    """Layers one after the other, as a layer: of changes of pictures, say.

    Arguments:
        layers: a list of layers.
    """

    example = {"arguments": {"layers": [{"class_name": "Dense", "config": {"units": 3}}, "ReLU"]}, "input_shape": (4,)}

    def __init__(self, layers, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        if not isinstance(layers, list | tuple):
            raise invalid("Pipeline expects a list of layers.", layers=layers)
        self.layers = [self._checked("layers", base.get(layer)) for layer in layers]

    def call(self, inputs):
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "layers": [base.deserialize(layer) for layer in config["layers"]]})

    def get_config(self):
        return {**super().get_config(), "layers": [base.serialize(layer) for layer in self.layers]}


class Residual(_Around):
    """block(x) + x, or block(x) + shortcut(x) (He et al. 2015, equations 1 and 2).

    Arguments:
        block: a layer or a model.
        shortcut: None for x itself, which then has the shape of the block's output; or a layer or a model.
    """

    supports_masking = True
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


class SpectralNormalization(_Around):
    """A layer whose kernel is divided by its largest singular value whenever it trains (Miyato et al. 2018).

    As in Keras, the kernel itself is overwritten before it is used, and its gradient is that of the new one.  The
    singular value is u W v of power iterations that go on from step to step.  Weights: vector_u (1, columns), then the
    layer's; W is the kernel as a matrix of its last axis.

    Arguments:
        layer: one with a ``kernel`` or ``embeddings``.
        power_iterations: in each step, at least one.
    """

    example = {
        "arguments": {"layer": {"class_name": "Dense", "config": {"units": 4}}, "power_iterations": 2},
        "input_shape": (3,),
    }
    _inner = ("layer",)

    def __init__(self, layer, power_iterations=1, **kwargs):
        super().__init__(**kwargs)
        self.layer = self._checked("layer", base.get(layer))
        self.power_iterations = checks.integer("SpectralNormalization", "power_iterations", power_iterations, least=1)

    def build(self, input_shape):
        if not self.layer.built:
            self.layer.build(input_shape)
        self._attribute = next((name for name in ("kernel", "embeddings") if hasattr(self.layer, name)), None)
        if self._attribute is None:
            raise invalid("SpectralNormalization expects a layer with a kernel or embeddings.", layer=self.layer.name)
        columns = getattr(self.layer, self._attribute).shape[-1]
        start = initializers.TruncatedNormal(stddev=0.02)
        self.vector_u = self.add_weight((1, columns), start, trainable=False, name="vector_u")

    def call(self, inputs, training=False):
        if not training or not self.trainable:
            return self.layer(inputs)
        kernel = getattr(self.layer, self._attribute)
        attributes = vars(self.layer)
        attributes[self._attribute] = Replaced()(*self._normalized(kernel), kernel, self.vector_u)
        try:
            return self.layer(inputs)
        finally:
            attributes[self._attribute] = kernel

    def _normalized(self, kernel):
        """The new kernel, and the new vector u."""
        matrix = ops.reshape(kernel, (math.prod(kernel.shape[:-1]), kernel.shape[-1]))
        transposed, u = ops.transpose(matrix, (1, 0)), self.vector_u
        for _ in range(self.power_iterations):
            v = ops.normalize(ops.matmul(u, transposed), (0, 1))
            u = ops.normalize(ops.matmul(v, matrix), (0, 1))
        largest = ops.matmul(ops.matmul(v, matrix), ops.transpose(u, (1, 0)))
        is_zero = 1.0 - ops.sign(ops.absolute(largest))  # then both stay as they are
        return ops.reshape(matrix / (largest + is_zero), kernel.shape), u + self.vector_u * is_zero

    def get_config(self):
        return {**super().get_config(), "power_iterations": self.power_iterations}
