"""Embedding."""

import warnings

import numpy as np

from .. import constraints, initializers, ops, regularizers
from ..core import checks
from ..core.errors import invalid
from ..core.operations.indexed import Take
from ..core.values import is_integer
from ._quantized import check_untrained
from .base import Layer


class Embedding(Layer):
    """Vectors that are learned, one for each of so many integers (Bengio et al. 2003).

    Input (batch, ...) of integers from 0 to input_dim - 1, output (batch, ..., output_dim); weights: embeddings
    (input_dim, output_dim).  Floats are cut off at the point.

    The gradient of a large table is summed over the rows that a batch used.  With SGD without momentum and with Adagrad
    the update, too, touches no other rows: they would not change.  It does where all rows may: with weight decay,
    clipping, moving averages, accumulated gradients, a regularizer or a constraint, and with optimizers whose
    averages of gradients go on without one, as Adam's moments, RMSprop's mean square and momentum.

    A number of the data that is outside raises a ValueError that names it, before a step runs; one that was computed
    in the model gives NaN, and below 0 it counts from the end.

    Arguments:
        input_dim: how many integers there are.
        output_dim: the size of a vector.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: names or objects.
        mask_zero: whether the integer 0 stands for no more data: the output's mask says where others are.
        weights: None, or a list of the array of the vectors that the layer starts from.
        lora_rank, lora_alpha, quantization_config: None.

    ``input_length`` means nothing, as in Keras 3.
    """

    quantized_weight = "embeddings"
    example = {"arguments": {"input_dim": 7, "output_dim": 3}, "input_shape": (4,), "integers": 7}

    def __init__(
        self, input_dim, output_dim, embeddings_initializer="uniform", embeddings_regularizer=None,
        embeddings_constraint=None, mask_zero=False, weights=None, lora_rank=None, lora_alpha=None,
        quantization_config=None, **kwargs,
    ):  # fmt: skip
        refused = {"lora_rank": lora_rank, "lora_alpha": lora_alpha, "quantization_config": quantization_config}
        for name, value in refused.items():
            if value is not None:
                raise invalid(f"Embedding has no {name} yet: it is None.", **{name: value})
        if kwargs.pop("input_length", None) is not None:
            warnings.warn("Embedding: input_length means nothing, the input says its length.", stacklevel=2)
        super().__init__(**kwargs)
        self.input_dim = checks.integer("Embedding", "input_dim", input_dim, least=1)
        self.output_dim = checks.integer("Embedding", "output_dim", output_dim, least=1)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = checks.boolean("Embedding", "mask_zero", mask_zero)
        self.supports_masking = self.mask_zero
        self._given = weights

    def build(self, input_shape=None):
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim), self.embeddings_initializer, regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint, name="embeddings",
        )  # fmt: skip
        if self._given is not None:
            self.embeddings.assign(np.asarray(self._given[0] if isinstance(self._given, list | tuple) else self._given))
            self._given = None

    def quantized_axes(self):
        """The axes of the embeddings that have one scale together."""
        return (1,)

    def call(self, inputs):
        indices = inputs if is_integer(inputs) else ops.cast(inputs, "int64")
        rows = Take(0, negative=False)(self.embeddings, indices)
        if self.embeddings.dtype != "int8":
            return rows
        check_untrained(self)
        scale = Take(0, negative=False)(self.embeddings_scale, indices)
        return ops.cast(rows, self.dtype) / ops.expand_dims(scale, -1)

    def compute_mask(self, inputs, mask=None):
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def get_config(self):
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
            "embeddings_constraint": constraints.serialize(self.embeddings_constraint),
            "mask_zero": self.mask_zero,
            "weights": None,
            "lora_rank": None,
            "lora_alpha": None,
            "quantization_config": None,
        }
