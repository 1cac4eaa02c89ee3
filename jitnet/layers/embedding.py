"""Embedding."""

import warnings

import numpy as np

from .. import initializers, ops, regularizers
from ..core import checks
from ..core.errors import invalid
from ..core.operations.indexed import Take
from ..core.values import is_integer
from .base import Layer


class Embedding(Layer):
    """Vectors that are learned, one for each of so many integers (Bengio et al. 2003).

    Input (batch, ...) of integers from 0 to input_dim - 1, output (batch, ..., output_dim); weights: embeddings
    (input_dim, output_dim).  Floats are cut off at the point.

    A number of the data that is outside raises a ValueError that names it, before a step runs; one that was computed
    in the model gives NaN, and below 0 it counts from the end.

    Arguments:
        input_dim: how many integers there are.
        output_dim: the size of a vector.
        embeddings_initializer, embeddings_regularizer: names or objects.
        mask_zero: False; masks are not there yet.

    ``weights``, a list of the array of the vectors, is what they start from; ``input_length`` means nothing, as in
    Keras 3; ``lora_rank``, ``lora_alpha``, ``quantization_config`` and ``embeddings_constraint`` are None.
    """

    example = {"arguments": {"input_dim": 7, "output_dim": 3}, "input_shape": (4,), "integers": 7}

    def __init__(
        self, input_dim, output_dim, embeddings_initializer="uniform", embeddings_regularizer=None, mask_zero=False,
        **kwargs,
    ):  # fmt: skip
        for name in ("lora_rank", "lora_alpha", "quantization_config", "embeddings_constraint"):
            if kwargs.pop(name, None) is not None:
                raise invalid(f"Embedding has no {name} yet: it is None.", **{name: "not None"})
        if kwargs.pop("input_length", None) is not None:
            warnings.warn("Embedding: input_length means nothing, the input says its length.", stacklevel=2)
        given = kwargs.pop("weights", None)
        super().__init__(**kwargs)
        self.input_dim = checks.integer("Embedding", "input_dim", input_dim, least=1)
        self.output_dim = checks.integer("Embedding", "output_dim", output_dim, least=1)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.mask_zero = checks.boolean("Embedding", "mask_zero", mask_zero)
        if self.mask_zero:
            raise invalid("Embedding makes no masks yet: mask_zero is False.", mask_zero=mask_zero)
        self._given = given

    def build(self, input_shape=None):
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim), self.embeddings_initializer, regularizer=self.embeddings_regularizer,
            name="embeddings",
        )  # fmt: skip
        if self._given is not None:
            self.embeddings.assign(np.asarray(self._given[0] if isinstance(self._given, list | tuple) else self._given))
            self._given = None

    def call(self, inputs):
        indices = inputs if is_integer(inputs) else ops.cast(inputs, "int64")
        return Take(0, negative=False)(self.embeddings, indices)

    def get_config(self):
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
            "mask_zero": self.mask_zero,
        }
