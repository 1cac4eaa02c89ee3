"""Attention without projections: Attention, AdditiveAttention."""

import numpy as np

from .. import _seed, ops
from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import display
from ..core.operations.random import Dropout
from ..core.values import Constant
from ..ops.attention import attention
from .attention import as_bool, both
from .base import Layer


class Attention(Layer):
    """The mean of values, weighted by softmax of the products of a query with keys (Luong et al. 2015).

    Input [query (batch, queries, features), value (batch, keys, width), key (batch, keys, features), or without it the
    value], output (batch, queries, width); weights: scale (), concat_score_weight (), where there are any.

    Arguments:
        use_scale: whether scores are multiplied by a weight.
        score_mode: "dot", or "concat" for the sum of tanh(query + key), times a weight.
        dropout: which part of the probabilities is dropped in training.
        seed: of dropout, an int, or None for the global seed.

    Called with ``mask``, a list of masks (batch, queries) and (batch, keys) or None; with use_causal_mask, query i sees
    keys 0 to i; with return_attention_scores, the probabilities (batch, queries, keys) are returned, too.
    """

    example = {"arguments": {"use_scale": True, "score_mode": "concat"}, "input_shape": [(4, 3), (5, 3)]}

    def __init__(self, use_scale=False, score_mode="dot", dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.use_scale = checks.boolean(kind, "use_scale", use_scale)
        self.score_mode = checks.one_of(kind, "score_mode", score_mode, ("dot", "concat"))
        self.dropout = checks.number(kind, "dropout", dropout, least=0, below=1)
        self.seed = None if seed is None else _seed.checked_seed(seed)
        self._stream = _seed.next_stream() if seed is None else 0
        self.scale = self.concat_score_weight = None

    def build(self, input_shape):
        self._check_inputs(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def _check_inputs(self, shapes) -> None:
        kind = type(self).__name__
        if not isinstance(shapes, list | tuple) or not 2 <= len(shapes) <= 3 or not isinstance(shapes[0], list | tuple):
            raise invalid(f"{kind} is called on a list [query, value] or [query, value, key].", inputs=shapes)
        query, value, key = shapes[0], shapes[1], shapes[-1]
        named = {"query": display(query), "value": display(value), "key": display(key)}
        if any(len(shape) != 3 for shape in shapes):
            raise invalid(f"{kind} expects query, value and key (batch, steps, features).", **named)
        if query[2] != key[2] or value[1] != key[1]:
            raise invalid(
                f"{kind} expects a key of as many features as the query, and of as many steps as the value.", **named
            )

    def _scores(self, query, key):
        """(batch, queries, keys)"""
        if self.score_mode == "dot":
            scores = ops.einsum("bqd,bkd->bqk", query, key)
            return scores if self.scale is None else scores * self.scale
        together = ops.expand_dims(query, 2) + ops.expand_dims(key, 1)
        together = together if self.scale is None else self.scale * together
        return self.concat_score_weight * ops.sum(ops.tanh(together), axis=-1)

    def call(self, inputs, mask=None, training=False, return_attention_scores=False, use_causal_mask=False):
        self._check_inputs([tuple(x.shape) for x in inputs])
        query, value, key = inputs[0], inputs[1], inputs[-1]
        query_mask, value_mask = self._masks(mask, query, value)
        dropout = (self.dropout, self.seed, self._stream) if training and self.dropout else None
        if self.score_mode == "dot" and not return_attention_scores and type(self) is Attention:
            scaled = query if self.scale is None else query * self.scale
            heads = [ops.expand_dims(x, 2) for x in (scaled, key, value)]
            seen = None if value_mask is None else ops.expand_dims(value_mask, (1, 2))
            found, scores = attention(*heads, None, seen, 1.0, use_causal_mask, dropout)
            found = ops.squeeze(found, 2)
        else:
            scores = self._scores(query, key)
            seen = None if value_mask is None else ops.expand_dims(value_mask, 1)
            if use_causal_mask:
                seen = both(seen, Constant(np.tri(query.shape[1], key.shape[1], dtype=bool)[None]))
            if seen is not None:
                scores = ops.where(seen, scores, -1e9)
            scores = ops.softmax(scores)
            kept = scores if dropout is None else Dropout(*dropout)(scores)
            found = ops.matmul(kept, value)
        if query_mask is not None:
            found = ops.where(ops.expand_dims(query_mask, 2), found, 0.0)
        return (found, scores) if return_attention_scores else found

    def _masks(self, mask, query, value) -> list:
        if mask is None:
            return [None, None]
        kind = type(self).__name__
        if not isinstance(mask, list | tuple) or not 2 <= len(mask) <= 3:
            raise invalid(f"{kind} takes a list of masks, [of the query, of the value].", mask=mask)
        found = [as_bool(part) for part in mask[:2]]
        for name, part, x in zip(("query", "value"), found, (query, value), strict=True):
            if part is not None and (part.ndim != 2 or part.shape[1] != x.shape[1]):
                raise invalid(
                    f"{kind} expects a mask of the {name} of shape (batch, {x.shape[1]}).", mask=display(part.shape)
                )
        return found

    def get_config(self):
        return {
            **super().get_config(), "use_scale": self.use_scale, "score_mode": self.score_mode, "dropout": self.dropout,
            "seed": self.seed,
        }  # fmt: skip


class AdditiveAttention(Attention):
    """The same with scores that are sums of scale * tanh(query + key) (Bahdanau et al. 2015).

    Weights: scale (features,).

    Arguments:
        use_scale: whether there are weights.
        dropout, seed: as of Attention.
    """

    example = {"arguments": {}, "input_shape": [(4, 3), (5, 3)]}

    def __init__(self, use_scale=True, dropout=0.0, **kwargs):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape):
        self._check_inputs(input_shape)
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def _scores(self, query, key):
        found = ops.tanh(ops.expand_dims(query, 2) + ops.expand_dims(key, 1))
        return ops.sum(found if self.scale is None else self.scale * found, axis=-1)

    def get_config(self):
        config = super().get_config()
        del config["score_mode"]
        return config
