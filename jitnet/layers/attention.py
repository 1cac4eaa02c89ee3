"""Attention with projections: MultiHeadAttention, GroupQueryAttention."""

import math

import numpy as np

from .. import _seed, constraints, initializers, ops, regularizers
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import display
from ..core.values import Constant, Value
from ..ops.attention import attention
from .base import Layer
from .einsum_dense import EinsumDense

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OBJECTS = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}


def as_bool(mask):
    """A mask as bool, also one of numbers; None stays None."""
    if mask is None or (isinstance(mask, Value) and mask.dtype == "bool"):
        return mask
    return ops.not_equal(mask, 0) if isinstance(mask, Value) else Constant(np.asarray(mask) != 0)


def both(one, two):
    """Where both masks are true; None is true everywhere."""
    if one is None or two is None:
        return two if one is None else one
    return ops.logical_and(one, two)


class _Heads(Layer):
    """What both layers share: projections, masks, and attention between them.

    options: initializers, regularizers and constraints of kernels and biases, by their names in Keras.
    """

    def __init__(self, sizes, dropout, use_bias, sliding_window, flash_attention, use_gate, seed, options, **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self._sizes = sizes  # heads of queries, of keys; sizes of keys, of values
        self.dropout = checks.number(kind, "dropout", dropout, least=0, below=1)
        self.use_bias = checks.boolean(kind, "use_bias", use_bias)
        self.use_gate = checks.boolean(kind, "use_gate", use_gate)
        check = checks.optional(checks.integer)
        self.sliding_window = check(kind, "sliding_window", sliding_window, least=1)
        self.flash_attention = checks.optional(checks.boolean)(kind, "flash_attention", flash_attention)
        self.seed = None if seed is None else _seed.checked_seed(seed)
        self._stream = _seed.next_stream() if seed is None else 0
        # of each projection, also the penalty of what it returns
        self._options = {name: _OBJECTS[name.rpartition("_")[2]].get(value) for name, value in options.items()}

    def _project(self, name: str, rank: int, heads: int, size: int, activation=None) -> EinsumDense:
        """A layer from (batch, ..., features) to (batch, ..., heads, size)."""
        axes = _LETTERS[:rank]
        equation = f"{axes},{axes[-1]}yz->{axes[:-1]}yz"
        return self._dense(name, equation, (None,) * (rank - 2) + (heads, size), "yz", activation)

    def _dense(self, name, equation, shape, bias_axes, activation=None) -> EinsumDense:
        return EinsumDense(
            equation, shape, activation, bias_axes if self.use_bias else None, **self._options, dtype=self._policy,
            name=name,
        )  # fmt: skip

    def build(self, query_shape, value_shape, key_shape=None):
        heads, key_heads, size, width = self._sizes
        key_shape = value_shape if key_shape is None else key_shape
        self._check_shapes(query_shape, value_shape, key_shape)
        rank = len(query_shape)
        self.query_dense = self._project("query", rank, heads, size)
        self.key_dense = self._project("key", len(key_shape), key_heads, size)
        if self.use_gate:
            self.gate_dense = self._project("gate", rank, heads, width, "sigmoid")
        self.value_dense = self._project("value", len(value_shape), key_heads, width)
        self.output_dense = self._output(rank, self._output_sizes(query_shape))
        with_heads = (*query_shape[:-1], heads, width)
        shapes = {"query": query_shape, "key": key_shape, "gate": query_shape, "value": value_shape,
                  "output": with_heads}  # fmt: skip
        for name, shape in shapes.items():
            if name != "gate" or self.use_gate:
                getattr(self, f"{name}_dense").build(shape)

    def _output(self, rank: int, sizes: tuple) -> EinsumDense:
        axes, new = _LETTERS[: rank - 1], _LETTERS[rank - 1 : rank - 1 + len(sizes)]
        return self._dense("attention_output", f"{axes}yz,yz{new}->{axes}{new}", (None,) * (rank - 2) + sizes, new)

    def _output_sizes(self, query_shape) -> tuple:
        return (query_shape[-1],)

    def _check_shapes(self, query_shape, value_shape, key_shape) -> None:
        for name, shape in (("query", query_shape), ("value", value_shape), ("key", key_shape)):
            if len(shape) < 3 or len(shape) != len(query_shape):
                raise invalid(
                    f"{type(self).__name__} expects query, value and key of the same number of axes, "
                    "(batch, steps, features).",
                    **{name: display(shape)},
                )
        if value_shape[1:-1] != key_shape[1:-1]:
            raise invalid(
                f"{type(self).__name__} expects as many steps of the value as of the key.",
                value=display(value_shape), key=display(key_shape),
            )  # fmt: skip

    def call(
        self, query, value, key=None, query_mask=None, value_mask=None, key_mask=None, attention_mask=None,
        return_attention_scores=False, training=None, use_causal_mask=False,
    ):  # fmt: skip
        """Attention of each step of ``query`` (batch, queries, features) to those of ``key`` (batch, keys, features).

        key: None for ``value``.  query_mask (batch, queries), value_mask, key_mask (batch, keys), attention_mask
        (batch, queries, keys), or for each head (batch, heads, queries, keys): true where a step is one.
        return_attention_scores: whether to return the probabilities (batch, heads, queries, keys) too.
        use_causal_mask: whether step i of the query may see steps 0 to i only.
        """
        kind = type(self).__name__
        if self.flash_attention and return_attention_scores:
            raise invalid(
                f"{kind} with flash_attention keeps no scores that it could return.",
                return_attention_scores=return_attention_scores,
            )
        key = value if key is None else key
        self._check_shapes(query.shape, value.shape, key.shape)
        projected = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        queries, keys, values = (self._of_steps(x) for x in projected)
        steps, key_steps = queries.shape[1], keys.shape[1]
        query_mask = self._step_mask("query_mask", query_mask, steps, 2)
        mask = both(
            self._step_mask("value_mask", value_mask, key_steps, 3), self._step_mask("key_mask", key_mask, key_steps, 3)
        )
        mask = both(self._attention_mask(attention_mask, projected[0].shape, projected[1].shape), mask)
        if self.sliding_window is not None:
            near = np.abs(np.arange(steps)[:, None] - np.arange(key_steps)) < self.sliding_window
            mask = both(mask, Constant(near[None, None]))
        one_pass = self.flash_attention is not False and not return_attention_scores
        dropout = (self.dropout, self.seed, self._stream) if training and self.dropout else None
        seen = mask if one_pass else both(mask, query_mask)
        # where a step sees nothing, Keras returns zeros if it computes the scores, and else the mean of all values
        mean = one_pass and not self.dropout
        found, scores = attention(queries, keys, values, None, seen, None, use_causal_mask, dropout, one_pass, mean)
        if one_pass and query_mask is not None:
            other = 0.0
            if mean:
                other = ops.mean(values, axis=1, keepdims=True)
                shared = queries.shape[2] // keys.shape[2]
                other = other if shared == 1 else ops.repeat(other, shared, axis=2)
            found = ops.where(ops.reshape(query_mask, (-1, steps, 1, 1)), found, other)
        found = self._apart(found, projected[0].shape)
        if self.use_gate:
            found = found * self.gate_dense(query)
        y = self.output_dense(found)
        return (y, self._scores_apart(scores, projected[0].shape, projected[1].shape)) if return_attention_scores else y

    def _step_mask(self, name: str, mask, steps: int, axis: int):
        """A mask (batch, steps) as bool of four axes, of which ``axis`` is that of the steps."""
        mask = as_bool(mask)
        if mask is None:
            return None
        if mask.ndim < 2 or math.prod(mask.shape[1:]) != steps:
            raise invalid(
                f"{type(self).__name__} expects {name} of shape (batch, {steps}).", **{name: display(mask.shape)}
            )
        shape = [1, 1, 1]
        shape[axis - 1] = steps
        return ops.reshape(mask, (-1, *shape))

    def _attention_mask(self, mask, query_shape, key_shape):
        """A mask of pairs as (batch, heads, queries, keys), bool, or with axes of size 1."""
        if mask is None:
            return None
        mask = as_bool(mask)
        wanted = (query_shape[0], query_shape[2], query_shape[1], key_shape[1])
        fits = 2 <= mask.ndim <= 4 and all(
            size in (1, other) for size, other in zip(mask.shape[1:][::-1], wanted[1:][::-1], strict=False)
        )
        if not fits:
            raise invalid(
                f"{type(self).__name__} expects attention_mask of shape (batch, queries, keys) = "
                f"{display((wanted[0], *wanted[2:]))}, or for each head {display(wanted)}.",
                attention_mask=display(mask.shape),
            )
        return ops.expand_dims(mask, 1) if mask.ndim == 3 else mask

    # ---- several axes of steps: of MultiHeadAttention

    def _of_steps(self, x):
        """(batch, ..., heads, size) as (batch, steps, heads, size)."""
        return x

    def _apart(self, x, shape):
        """What ``_of_steps`` did, undone; shape: of its input."""
        return x

    def _scores_apart(self, scores, query_shape, key_shape):
        return scores

    def get_config(self):
        return {
            **super().get_config(), "dropout": self.dropout, "use_bias": self.use_bias,
            "sliding_window": self.sliding_window, "flash_attention": self.flash_attention, "use_gate": self.use_gate,
            **{name: _OBJECTS[name.rpartition("_")[2]].serialize(value) for name, value in self._options.items()},
            "seed": self.seed,
        }  # fmt: skip


class MultiHeadAttention(_Heads):
    """Attention of several heads at once (Vaswani et al. 2017, section 3.2.2).

    Query (batch, queries, features), value and key (batch, keys, features), output (batch, queries, features), or with
    more axes of steps; weights: query/kernel (features, heads, key_dim), query/bias (heads, key_dim), the same of key,
    [gate,] value, then attention_output/kernel (heads, value_dim, features), attention_output/bias (features,).

    Arguments:
        num_heads: how many heads.
        key_dim: size of a head's queries and keys.
        value_dim: of its values; None for ``key_dim``.
        dropout: which part of the probabilities is dropped in training.
        use_bias: whether the projections add biases.
        output_shape: an int or sizes that the output ends with; None: as many features as the query has.
        attention_axes: of several axes between the batch and the features those that attention runs over; None: all.
        sliding_window: None, or so many steps less one on either side may a step see.
        flash_attention: False: the scores are kept in memory, None: only if they are returned; True: they are not
            to be returned.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint: of all projections, names or objects.
        use_gate: whether the heads' results are multiplied by sigmoid of a projection of the query (Qiu et al. 2025).
        seed: of dropout, an int, or None for the global seed.
    """

    example = {
        "arguments": {"num_heads": 2, "key_dim": 3, "value_dim": 4, "use_bias": False},
        "input_shape": [(4, 5), (3, 6)], "apart": True,
    }  # fmt: skip

    def __init__(
        self, num_heads, key_dim, value_dim=None, dropout=0.0, use_bias=True, output_shape=None, attention_axes=None,
        sliding_window=None, flash_attention=None, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
        bias_constraint=None, use_gate=False, seed=None, **kwargs,
    ):  # fmt: skip
        kind = type(self).__name__
        self.num_heads = checks.integer(kind, "num_heads", num_heads, least=1)
        self.key_dim = checks.integer(kind, "key_dim", key_dim, least=1)
        self.value_dim = self.key_dim if value_dim is None else checks.integer(kind, "value_dim", value_dim, least=1)
        options = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "activity_regularizer": activity_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        }  # fmt: skip
        sizes = (self.num_heads, self.num_heads, self.key_dim, self.value_dim)
        super().__init__(sizes, dropout, use_bias, sliding_window, flash_attention, use_gate, seed, options, **kwargs)
        if isinstance(output_shape, int):
            output_shape = (output_shape,)
        self.output_shape = None if output_shape is None else checks.sizes(kind, "output_shape", output_shape)
        if isinstance(attention_axes, int):
            attention_axes = (attention_axes,)
        least = -checks.LARGEST
        self.attention_axes = (
            None if attention_axes is None else checks.sizes(kind, "attention_axes", attention_axes, least=least)
        )

    def _output_sizes(self, query_shape):
        return (query_shape[-1],) if self.output_shape is None else self.output_shape

    def _check_shapes(self, query_shape, value_shape, key_shape):
        super()._check_shapes(query_shape, value_shape, key_shape)
        axes, others = self._axes(len(query_shape))
        if any(query_shape[axis] != key_shape[axis] for axis in others):
            raise invalid(
                "MultiHeadAttention expects query and key to agree in the axes that attention does not run over.",
                query=display(query_shape), key=display(key_shape), attention_axes=axes,
            )  # fmt: skip

    def _axes(self, rank: int) -> tuple[tuple, tuple]:
        """Of an input, the axes that attention runs over, and the others between the batch and the features."""
        if self.attention_axes is None:
            return tuple(range(1, rank - 1)), ()
        axes = tuple(axis + rank if axis < 0 else axis for axis in self.attention_axes)
        if len(set(axes)) < len(axes) or not axes or any(not 0 < axis < rank - 1 for axis in axes):
            raise invalid(
                f"MultiHeadAttention expects attention_axes between the batch and the features, from 1 to {rank - 2}.",
                attention_axes=self.attention_axes,
            )
        return axes, tuple(axis for axis in range(1, rank - 1) if axis not in axes)

    def _of_steps(self, x):
        axes, others = self._axes(x.ndim - 1)
        if len(axes) == 1 and not others:
            return x
        # axes that attention does not run over are so many more heads
        order = [0, *axes, *others, x.ndim - 2, x.ndim - 1]
        moved = x if order == sorted(order) else ops.transpose(x, order)
        steps, more = (math.prod(x.shape[axis] for axis in group) for group in (axes, others))
        return ops.reshape(moved, (-1, steps, more * x.shape[-2], x.shape[-1]))

    def _apart(self, x, shape):
        axes, others = self._axes(len(shape) - 1)
        if len(axes) == 1 and not others:
            return x
        order = [*axes, *others]
        moved = ops.reshape(x, (-1, *(shape[axis] for axis in order), shape[-2], x.shape[-1]))
        back = [0, *(1 + order.index(axis) for axis in range(1, len(order) + 1)), moved.ndim - 2, moved.ndim - 1]
        return moved if back == sorted(back) else ops.transpose(moved, back)

    def _scores_apart(self, scores, query_shape, key_shape):
        axes, others = self._axes(len(query_shape) - 1)
        if len(axes) == 1 and not others:
            return scores
        sizes = [shape[axis] for shape in (query_shape, key_shape) for axis in axes]
        return ops.reshape(scores, (-1, *(query_shape[axis] for axis in others), self.num_heads, *sizes))

    def _step_mask(self, name, mask, steps, axis):
        if mask is not None and self._axes(len(mask.shape) + 1)[1]:
            raise invalid(
                f"MultiHeadAttention over some axes only takes an attention_mask, no {name}.",
                attention_axes=self.attention_axes,
            )
        return super()._step_mask(name, mask, steps, axis)

    def _attention_mask(self, mask, query_shape, key_shape):
        axes, others = self._axes(len(query_shape) - 1)
        if mask is None or (len(axes) == 1 and not others):
            return super()._attention_mask(mask, query_shape, key_shape)
        mask = as_bool(mask)
        sizes = [tuple(shape[axis] for axis in axes) for shape in (query_shape, key_shape)]
        if mask.shape[1:] != (*sizes[0], *sizes[1]):
            raise invalid(
                "MultiHeadAttention over several axes expects attention_mask to have those of the query, then those of "
                f"the key, {display((None, *sizes[0], *sizes[1]))}.",
                attention_mask=display(mask.shape),
            )
        pairs = (1, math.prod(sizes[0]), math.prod(sizes[1]))
        return ops.reshape(mask, (-1, *pairs))

    def get_config(self):
        return {
            **super().get_config(), "num_heads": self.num_heads, "key_dim": self.key_dim, "value_dim": self.value_dim,
            "output_shape": self.output_shape, "attention_axes": self.attention_axes,
        }  # fmt: skip


class GroupQueryAttention(_Heads):
    """Attention in which groups of neighbouring heads share keys and values (Ainslie et al. 2023).

    Query (batch, queries, features), value and key (batch, keys, features), output (batch, queries, features); weights
    as of MultiHeadAttention, those of key and value with num_key_value_heads.

    Arguments:
        head_dim: size of a head's queries, keys and values.
        num_query_heads, num_key_value_heads: how many heads there are; the first is a multiple of the second.
        dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, use_gate, seed: as of
            MultiHeadAttention.
    """

    example = {
        "arguments": {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, "use_bias": False},
        "input_shape": [(4, 5), (3, 5)], "apart": True,
    }  # fmt: skip

    def __init__(
        self, head_dim, num_query_heads, num_key_value_heads, dropout=0.0, use_bias=True, sliding_window=None,
        flash_attention=None, kernel_initializer="glorot_uniform", bias_initializer="zeros", kernel_regularizer=None,
        bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, use_gate=False,
        seed=None, **kwargs,
    ):  # fmt: skip
        kind = type(self).__name__
        self.head_dim = checks.integer(kind, "head_dim", head_dim, least=1)
        self.num_query_heads = checks.integer(kind, "num_query_heads", num_query_heads, least=1)
        self.num_key_value_heads = checks.integer(kind, "num_key_value_heads", num_key_value_heads, least=1)
        if num_query_heads % num_key_value_heads:
            raise invalid(
                f"{kind} expects num_query_heads to be a multiple of num_key_value_heads.",
                num_query_heads=num_query_heads, num_key_value_heads=num_key_value_heads,
            )  # fmt: skip
        options = {
            "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
            "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
            "activity_regularizer": activity_regularizer,
            "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
        }  # fmt: skip
        sizes = (self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim)
        super().__init__(sizes, dropout, use_bias, sliding_window, flash_attention, use_gate, seed, options, **kwargs)

    def get_config(self):
        return {
            **super().get_config(), "head_dim": self.head_dim, "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
        }  # fmt: skip
