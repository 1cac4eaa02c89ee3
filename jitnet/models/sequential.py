"""``Sequential``: layers one after the other."""

import itertools

from .. import _registry
from .._layer_graph import described_input, input_of
from .._places import calling
from .._structures import flatten
from ..core import checks
from ..core.errors import invalid
from ..core.values import SymbolicTensor, Value
from ..files import schema
from ..layers.base import REGISTRY, Layer, unique_layer_name
from ..layers.input import InputLayer
from .model import Model


def _leading(layers) -> list:
    """The layers at the start of a list that work on arrays."""
    return list(itertools.takewhile(lambda layer: layer.before_the_step, layers))


class Sequential(Model):
    """Layers one after the other.

    It may begin with layers of texts and tables (TextVectorization, StringLookup, ...), which work on arrays, before
    the step: then its data are what they take. An Input before them says nothing, one after them what they return.

    Arguments:
        layers: a list, the first one optionally ``Input(shape=...)``; or add them with ``add``.
        trainable: False freezes all layers.
    """

    def __init__(self, layers=None, trainable=True, name=None):
        trainable = checks.boolean("Sequential", "trainable", trainable)
        super().__init__(name=name or unique_layer_name("sequential"))
        self._sequence: list[Layer] = []
        self._start: SymbolicTensor | None = None
        for layer in layers or []:
            self._append(layer)
        self._rebuild()
        if not trainable:
            self.trainable = False

    def add(self, layer) -> None:
        """Append a layer."""
        self._append(layer)
        self._rebuild()

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        if not self._sequence:
            raise invalid("The model has no layers.", layers=[])
        layer = self._sequence.pop()
        self._rebuild()
        return layer

    def _append(self, layer) -> None:
        if isinstance(layer, SymbolicTensor) and layer.history is not None:
            layer = layer.history.layer
        if isinstance(layer, InputLayer):
            if len(self._sequence) > len(self._leading()) or self._start is not None:
                raise ValueError("Sequential takes Input only at its start.")
            self._start = layer.output
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential expects layers. Received: {layer!r} of type {type(layer).__name__}")
        if any(layer.name == other.name for other in self._sequence if other is not layer):
            raise ValueError(f"All layers of a model need different names. Received: two named {layer.name!r}")
        at_start = len(self._leading()) == len(self._sequence)
        if layer.before_the_step and at_start:
            self._start = None  # an Input before it says nothing of what it returns
        elif at_start and self._start is None:
            if layer.input_spec_shape is not None:
                self._start = InputLayer(layer.input_spec_shape).output
            elif isinstance(layer, Model) and layer._graph_inputs is not None:
                first = layer._graph_inputs[0]
                self._start = InputLayer(first.shape[1:], dtype=first.dtype).output
        self._sequence.append(layer)

    def _assemble(self, start, layers) -> None:
        """Of layers, with an input, or None, after those that work on arrays."""
        count = len(_leading(layers))
        for part in [*layers[:count], *([] if start is None else [start]), *layers[count:]]:
            self._append(part)
        self._rebuild()

    def _rebuild(self) -> None:
        self._graph_inputs, self._nodes = None, []
        self._forget_steps()
        if self._start is not None and self._sequence:
            x = self._start
            with calling(self):
                for layer in self._sequence[len(self._leading()) :]:
                    x = layer(x)
            self._connect(self._start, x)

    def _leading(self):
        return _leading(self._sequence)

    @property
    def layers(self):
        return list(self._sequence)

    def sublayers(self):
        return list(self._sequence)

    def build(self, input_shape=None) -> None:
        """Build for inputs of ``input_shape``, with None for the batch."""
        if self._start is None:
            if input_shape is None:
                raise invalid("Sequential needs an input shape, with None for the batch.", input_shape=input_shape)
            self._shape_of_use = True
            self._start = InputLayer(tuple(input_shape)[1:]).output
            self._rebuild()

    def _build_with(self, shapes):
        self._start = InputLayer(shapes[0][1:], dtype=self._start.dtype, name=self._start.name).output
        self._rebuild()

    def _build_from_arrays(self, arrays):
        if self._graph_inputs is None:
            if not self._sequence:
                raise invalid(f"The model {self.name!r} has no layers: add some first.", layers=[])
            if leading := self._leading():
                dtype = "int64" if arrays.dtype.kind in "iub" else None
                self._start = InputLayer(leading[-1].result_shape(arrays), dtype=dtype).output
                self._rebuild()
            self.build((None, *flatten(arrays)[0].shape[1:]))

    def _build_from_tensors(self, tensors):
        self.build(flatten(tensors)[0].shape)

    def __call__(self, inputs, training=None, mask=None):
        leading = self._leading()
        if leading and getattr(inputs, "history", None) is not None:
            raise invalid(
                f"The model {self.name!r} begins with {type(leading[0]).__name__}, which works on arrays: it can't be "
                "a part of another model.",
                inputs=inputs,
            )
        if self._graph_inputs is None and self._sequence and isinstance(inputs, Value):
            self.build(inputs.shape)
        if not isinstance(inputs, Value):
            inputs = self._before_the_step(inputs)
        masks = {} if mask is None else {"mask": mask}
        return super().__call__(inputs, training=training, **masks)

    def saved_arguments(self):
        if type(self).from_config.__func__ is not Sequential.from_config.__func__:
            return super().saved_arguments()
        return (), {"name": self.name}

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "input": None if self._start is None else described_input(self._start),
            "layers": [_registry.serialize(layer) for layer in self._sequence],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model that ``get_config`` described, with new weights; custom_objects as in ``Model.from_config``."""
        schema.sequential(config, cls.__name__)
        model = cls(name=config["name"])
        with _registry.custom_object_scope(custom_objects):
            layers = [_registry.deserialize(layer, REGISTRY, kind="layer") for layer in config["layers"]]
        model._assemble(None if config["input"] is None else input_of(config["input"]), layers)
        # the layers know for themselves whether they are trainable
        model._trainable = config["trainable"]
        return model
