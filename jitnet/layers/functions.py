"""Identity, and Lambda, a user's function as a layer."""

import inspect

from .. import _registry, ops
from .._structures import mapped
from ..core import checks
from ..core.errors import invalid
from .base import Layer


class Identity(Layer):
    """The input as it is: (batch, ...) to the same."""

    supports_masking = True
    example = {"arguments": {}, "input_shape": (3, 2)}

    def call(self, inputs):
        return inputs


class Lambda(Layer):
    """A function of tensors, made of ``jitnet.ops``, as a layer.

    Input (batch, ...), or a list of such; output what the function returns.

    Arguments:
        function: called with the input, with ``arguments`` by their names, and with ``training`` if it takes that.
            A model with a lambda can't be saved: a file holds names.  A function of ``jitnet.ops`` is saved by its
            name, and so is one that is decorated with ``@jitnet.saving.register_keras_serializable()``.
        output_shape: None, or the shape of a sample of the output, or a function that returns the output's shape with
            the batch axis, given the input's (a list of shapes for a list of inputs); the output is checked against it.
        mask: None, or a function (inputs, mask) that returns the output's mask.  The input's mask is passed on to a
            ``function`` that takes it.
        arguments: a dict of further arguments of the function.
    """

    example = {"arguments": {"function": ops.tanh}, "input_shape": (3, 2)}

    def __init__(self, function, output_shape=None, mask=None, arguments=None, **kwargs):
        super().__init__(**kwargs)
        known = {name: getattr(ops, name) for name in ops.__all__}
        self.function = _registry.get(function, known, kind="function")
        if self.function is None or inspect.isclass(self.function):
            raise invalid("Lambda expects a function.", function=function)
        self.output_shape = output_shape
        if isinstance(output_shape, str | dict) or callable(output_shape):
            self.output_shape = _registry.get(output_shape, {}, kind="function")
        elif output_shape is not None:
            self.output_shape = checks.sizes("Lambda", "output_shape", output_shape)
        self.mask = _registry.get(mask, known, kind="function")
        self.supports_masking = mask is not None
        if arguments is not None and not isinstance(arguments, dict):
            raise invalid("Lambda expects arguments to be a dict or None.", arguments=arguments)
        self.arguments = dict(arguments or {})
        parameters = inspect.signature(self.function).parameters
        self._takes_training = "training" in parameters and "training" not in self.arguments
        self._takes_mask = "mask" in parameters and "mask" not in self.arguments

    def call(self, inputs, mask=None, training=False):
        told = {"training": training} if self._takes_training else {}
        told |= {"mask": mask} if self._takes_mask else {}
        output = self.function(inputs, **self.arguments, **told)
        expected = self.output_shape
        if callable(expected):
            shape = expected(mapped(lambda x: tuple(x.shape), inputs))
            expected = checks.sizes("Lambda", "output_shape", tuple(shape)[1:])
        if expected is not None and tuple(output.shape[1:]) != expected:
            raise invalid(f"The function's output has the shape {output.shape}.", output_shape=expected)
        return output

    def compute_mask(self, inputs, mask=None):
        return None if self.mask is None else self.mask(inputs, mask)

    def get_config(self):
        shape = self.output_shape
        return {
            **super().get_config(),
            "function": _registry.serialize(self.function),
            "output_shape": _registry.serialize(shape) if callable(shape) else shape,
            "mask": _registry.serialize(self.mask),
            "arguments": self.arguments,
        }
