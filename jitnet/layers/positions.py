"""Where in a sequence a step stands: fixed waves, learned vectors, rotations."""

import numpy as np

from .. import initializers, ops
from ..core import checks
from ..core.errors import invalid
from ..core.lengths import Length
from ..core.operations.indexed import Take
from ..core.operations.strided import BroadcastTo
from ..core.values import Constant, Value, is_integer
from .base import Layer
from .embedding import Embedding


def _positions(layer, length: int, start_index, positions):
    """The positions of so many steps: an array (length,), or integers (batch, length) that a step computes.

    start_index: that of the first step, a number, or integers (batch,) of each sample's own.
    positions: None, or all of them, (length,) or (batch, length).
    """
    kind = type(layer).__name__
    given = start_index if positions is None else positions
    name = "start_index" if positions is None else "positions"
    given = given.array if isinstance(given, Constant) else given
    if isinstance(given, Value):
        if not is_integer(given):
            given = ops.cast(given, "int64")
        if positions is None:
            if given.ndim != 1 or not given.batched:
                raise invalid(f"{kind} expects {name} to be a number or integers (batch,).", **{name: given.shape})
            return ops.reshape(ops.cast(given, "int64"), (-1, 1)) + np.arange(length)
        if given.ndim != 2 or given.shape[1] != length or not given.batched:
            expected = f"{kind} expects {name} of shape (batch, {length}) or ({length},)."
            raise invalid(expected, **{name: given.shape})
        return ops.cast(given, "int64")
    if positions is None:
        return checks.integer(kind, name, given, least=0) + np.arange(length)
    array = np.asarray(given)
    if array.shape != (length,) or array.dtype.kind not in "iu" or (array < 0).any():
        expected = f"{kind} expects {name}: integers from 0 on, of shape ({length},) or (batch, {length})."
        raise invalid(expected, **{name: given})
    return array.astype(np.int64)


def _check_steps(layer, inputs) -> None:
    if inputs.ndim < 3:
        raise invalid(f"{type(layer).__name__} expects an input (batch, ..., steps, features).", shape=inputs.shape)


def _spread(rows, inputs):
    """Rows (steps, features), or (batch, steps, features) of each sample's own, in the shape of ``inputs``."""
    if isinstance(rows, Value) and rows.batched:
        rows = ops.reshape(rows, (-1, *[1] * (inputs.ndim - 3), *rows.shape[1:]))
    return BroadcastTo(inputs.shape[1:], batches=inputs.batches)(rows)


class SinePositionEncoding(Layer):
    """Sines and cosines of each position, in waves whose lengths grow from 2 pi on (Vaswani et al. 2017, section 3.5).

    PE(position, 2 i) = sin(position / max_wavelength^(2 i / features)), PE(position, 2 i + 1) = cos of the same.

    Input (batch, ..., steps, features), of which the shape alone matters; output the same shape: what is to be added.
    A call takes ``start_index``, the position of the first step, a number or integers (batch,), or ``positions``,
    those of all steps, (steps,) or (batch, steps).

    Arguments:
        max_wavelength: the longest wave, divided by 2 pi.
    """

    supports_masking = True
    example = {"arguments": {"max_wavelength": 50.0}, "input_shape": (4, 5)}

    def __init__(self, max_wavelength=10000, **kwargs):
        super().__init__(**kwargs)
        self.max_wavelength = checks.number("SinePositionEncoding", "max_wavelength", max_wavelength, least=1)

    def call(self, inputs, start_index=0, positions=None):
        _check_steps(self, inputs)
        features = inputs.shape[-1]
        places = _positions(self, inputs.shape[-2], start_index, positions)
        even = np.arange(features) % 2 == 0
        rates = (1 / self.max_wavelength) ** (np.arange(features) // 2 * 2 / features)
        if isinstance(places, Value):
            angles = ops.expand_dims(ops.cast(places, self.dtype), -1) * rates.astype(self.dtype)
            rows = ops.sin(angles) * even.astype(self.dtype) + ops.cos(angles) * (~even).astype(self.dtype)
        else:
            angles = places[:, None] * rates
            rows = np.where(even, np.sin(angles), np.cos(angles)).astype(self.dtype)
        return _spread(rows, inputs)

    def get_config(self):
        return {**super().get_config(), "max_wavelength": self.max_wavelength}


class PositionEmbedding(Layer):
    """A vector that is learned for each position (Devlin et al. 2019).

    Input (batch, ..., steps, features), of which the shape alone matters; output the same shape: what is to be added.
    A call takes ``start_index`` and ``positions`` as SinePositionEncoding does.  Weights: embeddings
    (sequence_length, features).

    Arguments:
        sequence_length: how many positions there are; longer inputs are refused.
        initializer: a name or an object.
    """

    supports_masking = True
    example = {"arguments": {"sequence_length": 6}, "input_shape": (4, 3)}

    def __init__(self, sequence_length, initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.sequence_length = checks.integer("PositionEmbedding", "sequence_length", sequence_length, least=1)
        self.initializer = initializers.get(initializer)

    def build(self, input_shape):
        self.embeddings = self.add_weight((self.sequence_length, input_shape[-1]), self.initializer, name="embeddings")

    def call(self, inputs, start_index=0, positions=None):
        _check_steps(self, inputs)
        return _spread(self.rows(inputs.shape[-2], start_index, positions), inputs)

    def rows(self, length: int, start_index=0, positions=None):
        """The vectors of so many steps, (length, features), or (batch, length, features) of each sample's own."""
        if isinstance(length, Length):  # not known yet: any rows will do
            return BroadcastTo((length, self.embeddings.shape[1]), batched=False)(self.embeddings[:1])
        places = _positions(self, length, start_index, positions)
        if isinstance(places, Value):
            return Take(0, negative=False)(self.embeddings, places)
        if places.max() >= self.sequence_length:
            raise invalid(
                f"PositionEmbedding has the positions from 0 to {self.sequence_length - 1}.", position=int(places.max())
            )
        if positions is None:
            return self.embeddings[int(places[0]) : int(places[-1]) + 1]
        return ops.take(self.embeddings, places, axis=0)

    def get_config(self):
        own = {"sequence_length": self.sequence_length, "initializer": initializers.serialize(self.initializer)}
        return {**super().get_config(), **own}


class RotaryEmbedding(Layer):
    """Pairs of features turned by angles that grow with the position (Su et al. 2021, equation 34).

    Of n features, i and i + n / 2 make a pair, which is turned by position / scaling_factor / max_wavelength^(2 i / n):
    the product of two such vectors then depends on how far apart they are, not on where.

    Input (batch, ...), output the same; a call takes ``start_index`` and ``positions`` as SinePositionEncoding does.

    Arguments:
        max_wavelength: that of the slowest pair, divided by 2 pi.
        scaling_factor: by which positions are divided.
        sequence_axis: along which positions count.
        feature_axis: of the features, an even number of them.
    """

    supports_masking = True
    example = {"arguments": {"max_wavelength": 20.0, "scaling_factor": 2.0}, "input_shape": (3, 2, 4)}

    def __init__(self, max_wavelength=10000, scaling_factor=1.0, sequence_axis=1, feature_axis=-1, **kwargs):
        super().__init__(**kwargs)
        kind = "RotaryEmbedding"
        self.max_wavelength = checks.number(kind, "max_wavelength", max_wavelength, least=1)
        self.scaling_factor = checks.positive(kind, "scaling_factor", scaling_factor)
        self.sequence_axis = checks.integer(kind, "sequence_axis", sequence_axis)
        self.feature_axis = checks.integer(kind, "feature_axis", feature_axis)

    def call(self, inputs, start_index=0, positions=None):
        along, features = self._axes(inputs)
        half = inputs.shape[features] // 2
        places = _positions(self, inputs.shape[along], start_index, positions)
        rates = self.max_wavelength ** -(np.arange(half) / half) / self.scaling_factor
        cos, sin = self._turned(places, rates)
        first, second = ops.split(inputs, 2, axis=features)
        cos, sin = (self._placed(x, inputs.ndim, along, features) for x in (cos, sin))
        return ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=features)

    def _axes(self, inputs) -> tuple[int, int]:
        """The axes of the positions and of the features, checked."""
        found = []
        for name in ("sequence_axis", "feature_axis"):
            axis = getattr(self, name)
            if not -inputs.ndim <= axis < inputs.ndim or axis % inputs.ndim == 0:
                raise invalid(f"RotaryEmbedding expects an axis of {inputs.shape}, not the batch's.", **{name: axis})
            found.append(axis % inputs.ndim)
        if found[0] == found[1]:
            axes = {"sequence_axis": self.sequence_axis, "feature_axis": self.feature_axis}
            raise invalid("RotaryEmbedding expects two axes.", **axes)
        if inputs.shape[found[1]] % 2:
            raise invalid("RotaryEmbedding turns pairs of features: an even number.", features=inputs.shape[found[1]])
        return found[0], found[1]

    def _turned(self, places, rates):
        """Cosines and sines, (steps, features / 2) or (batch, steps, features / 2)."""
        if isinstance(places, Value):
            angles = ops.expand_dims(ops.cast(places, self.dtype), -1) * rates.astype(self.dtype)
            return ops.cos(angles), ops.sin(angles)
        angles = places[:, None] * rates
        return np.cos(angles).astype(self.dtype), np.sin(angles).astype(self.dtype)

    def _placed(self, x, ndim: int, along: int, features: int):
        """x with its last two axes at these of ``ndim``, and others of size 1."""
        own = isinstance(x, Value)
        if along > features:
            x = ops.transpose(x, (0, 2, 1)) if own else x.T
        sizes = [1] * (ndim - 1)
        for axis, size in zip(sorted((along, features)), x.shape[-2:], strict=True):
            sizes[axis - 1] = size
        return ops.reshape(x, (-1, *sizes)) if own else x.reshape(sizes)

    def get_config(self):
        names = ("max_wavelength", "scaling_factor", "sequence_axis", "feature_axis")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class ReversibleEmbedding(Embedding):
    """An Embedding that also goes back: from vectors to a number for each integer (Press and Wolf 2017).

    Input and output as of Embedding, or called with ``reverse=True``, (batch, ..., output_dim) to
    (batch, ..., input_dim): the products with all vectors.  Weights: embeddings (input_dim, output_dim), then, unless
    these are tied, reverse_embeddings (output_dim, input_dim).

    Arguments:
        input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero: as in
            Embedding.
        tie_weights: whether the way back has the same weights.
        reverse_dtype: that of the way back, "float32", "float64" or None for the layer's own.
        logit_soft_cap: None, or a number c: x becomes c tanh(x / c) on the way back.
    """

    quantized_weight = None  # the way back reads it too
    example = {"arguments": {"input_dim": 7, "output_dim": 3}, "input_shape": (4,), "integers": 7}

    def __init__(
        self, input_dim, output_dim, tie_weights=True, embeddings_initializer="uniform", embeddings_regularizer=None,
        embeddings_constraint=None, mask_zero=False, reverse_dtype=None, logit_soft_cap=None, **kwargs,
    ):  # fmt: skip
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero,
            **kwargs,
        )  # fmt: skip
        kind = "ReversibleEmbedding"
        self.tie_weights = checks.boolean(kind, "tie_weights", tie_weights)
        if reverse_dtype is not None:
            checks.one_of(kind, "reverse_dtype", reverse_dtype, ("float32", "float64"))
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = checks.optional(checks.positive)(kind, "logit_soft_cap", logit_soft_cap)

    def build(self, input_shape=None):
        super().build(input_shape)
        if not self.tie_weights:
            shape = self.output_dim, self.input_dim
            self.reverse_embeddings = self.add_weight(shape, self.embeddings_initializer, name="reverse_embeddings")

    def call(self, inputs, reverse=False):
        if not reverse:
            return super().call(inputs)
        kernel = ops.transpose(self.embeddings, (1, 0)) if self.tie_weights else self.reverse_embeddings
        if self.reverse_dtype is not None:
            inputs, kernel = (ops.cast(x, self.reverse_dtype) for x in (inputs, kernel))
        logits = ops.matmul(inputs, kernel)
        if self.logit_soft_cap is not None:
            logits = ops.tanh(logits / self.logit_soft_cap) * self.logit_soft_cap
        return logits

    def compute_mask(self, inputs, mask=None):
        return super().compute_mask(inputs, mask) if is_integer(inputs) else mask

    def get_config(self):
        names = ("tie_weights", "reverse_dtype", "logit_soft_cap")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class TokenAndPositionEmbedding(Layer):
    """The sum of a vector for each token and one for its position (Devlin et al. 2019).

    Input (batch, steps) of integers, output (batch, steps, embedding_dim); a call takes ``start_index`` and
    ``positions`` as SinePositionEncoding does.  Weights: those of ``token_embedding``, a ReversibleEmbedding, and of
    ``position_embedding``, a PositionEmbedding.

    Arguments:
        vocabulary_size: how many tokens there are.
        sequence_length: how many positions there are.
        embedding_dim: the size of a vector.
        tie_weights: as in ReversibleEmbedding.
        embeddings_initializer: of both, a name or an object.
        mask_zero: as in Embedding.
    """

    example = {
        "arguments": {"vocabulary_size": 7, "sequence_length": 5, "embedding_dim": 3}, "input_shape": (4,),
        "integers": 7,
    }  # fmt: skip

    def __init__(
        self, vocabulary_size, sequence_length, embedding_dim, tie_weights=True, embeddings_initializer="uniform",
        mask_zero=False, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.token_embedding = ReversibleEmbedding(
            vocabulary_size, embedding_dim, tie_weights, embeddings_initializer, mask_zero=mask_zero,
            name="token_embedding", dtype=self._policy,
        )  # fmt: skip
        self.position_embedding = PositionEmbedding(
            sequence_length, embeddings_initializer, name="position_embedding", dtype=self._policy
        )
        self.vocabulary_size = self.token_embedding.input_dim
        self.sequence_length = self.position_embedding.sequence_length
        self.embedding_dim = self.token_embedding.output_dim
        self.tie_weights, self.mask_zero = self.token_embedding.tie_weights, self.token_embedding.mask_zero
        self.embeddings_initializer = self.token_embedding.embeddings_initializer
        self.supports_masking = self.mask_zero

    def build(self, input_shape):
        self.token_embedding.build(input_shape)
        self.position_embedding.build((*input_shape, self.embedding_dim))

    def call(self, inputs, start_index=0, positions=None):
        tokens = self.token_embedding(inputs)
        if tokens.ndim != 3:
            raise invalid("TokenAndPositionEmbedding expects an input (batch, steps).", shape=inputs.shape)
        return tokens + self.position_embedding.rows(tokens.shape[1], start_index, positions)

    def compute_mask(self, inputs, mask=None):
        return self.token_embedding.compute_mask(inputs, mask)

    def get_config(self):
        names = ("vocabulary_size", "sequence_length", "embedding_dim", "tie_weights", "mask_zero")
        own = {name: getattr(self, name) for name in names}
        own["embeddings_initializer"] = initializers.serialize(self.embeddings_initializer)
        return {**super().get_config(), **own}
