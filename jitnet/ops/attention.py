"""Attention (Vaswani et al. 2017, section 3.2.1)."""

import math

import numpy as np

from ..core import checks
from ..core.errors import invalid
from ..core.operations.attention import DotProductAttention
from ..core.operations.base import display
from ..core.operations.random import Dropout
from ..core.values import Constant, Value, as_value
from ._calls import is_symbolic, publisher
from .comparisons import logical_and, not_equal, where
from .nn import softmax
from .products import einsum
from .shapes import repeat

__all__ = []
public = publisher(__all__)

MASKED = -1e9  # the score of a key that a query may not see, as in Keras: where it may see none, all count alike


@public
def dot_product_attention(
    query, key, value, bias=None, mask=None, scale=None, is_causal=False, flash_attention=None,
    attn_logits_soft_cap=None,
):  # fmt: skip
    """softmax(query key^T scale + bias) value, for each head by itself.

    query: (batch, queries, heads, size); key: (batch, keys, key heads, size); value: (batch, keys, key heads, width).
        There are as many heads as key heads, or a multiple: then neighbouring heads share keys and values.
    bias: added to the scores, mask: true where a query may see a key; one of both, of a shape that can be repeated to
        (batch, heads, queries, keys).
    scale: None for 1 / sqrt(size).
    is_causal: whether query i may see keys 0 to i only.
    flash_attention: False: the scores are kept in memory; None, True: they are not, and memory grows with the lengths
        alone.
    attn_logits_soft_cap: must be None.

    Where a query may see no key, all keys count alike.  Returns (batch, queries, heads, width).

    Raises ValueError for shapes that don't fit together.
    """
    owner = "dot_product_attention"
    if attn_logits_soft_cap is not None:
        raise invalid(f"{owner} has no attn_logits_soft_cap: it is None.", attn_logits_soft_cap=attn_logits_soft_cap)
    if bias is not None and mask is not None:
        raise invalid(f"{owner} takes a bias or a mask: add {MASKED:g} to the bias of what is masked.", bias=bias.shape)
    checks.boolean(owner, "is_causal", is_causal)
    if flash_attention is not None:
        checks.boolean(owner, "flash_attention", flash_attention)
    if scale is not None:
        scale = checks.number(owner, "scale", scale)
    extra = mask if bias is None else bias
    if not is_symbolic(query, key, value, extra):
        return _on_arrays(query, key, value, bias, mask, scale, is_causal, flash_attention)
    return attention(query, key, value, bias, mask, scale, is_causal, one_pass=flash_attention is not False)[0]


def _on_arrays(query, key, value, bias, mask, scale, is_causal, flash_attention):
    """``dot_product_attention`` of arrays, computed at once."""
    from ..eager import evaluate_function

    arrays = [np.asarray(x) for x in (query, key, value)]
    dtype = "float64" if any(x.dtype == np.float64 for x in arrays) else None
    if dtype is not None:
        arrays = [x.astype(dtype) for x in arrays]
    extra = mask if bias is None else bias
    if extra is not None:
        extra = np.asarray(extra)
        if extra.ndim == 4 and len(extra) not in (1, len(arrays[0])):
            raise invalid(
                f"dot_product_attention expects a mask or a bias for 1 or {len(arrays[0])} samples.", shape=extra.shape
            )

    def function(query, key, value, *rest):
        given = rest[0] if rest else extra
        given = {"bias": given} if bias is not None else {"mask": given}
        return dot_product_attention(
            query, key, value, **given, scale=scale, is_causal=is_causal, flash_attention=flash_attention
        )

    own = extra is not None and extra.ndim == 4 and len(extra) == len(arrays[0])
    return evaluate_function(function, *arrays, *([extra] if own else []))


def attention(
    query, key, value, bias=None, mask=None, scale=None, causal=False, dropout=None, one_pass=True, mean=True
):
    """What ``dot_product_attention`` does, with dropout of the probabilities; and these, where ``one_pass`` is False.

    dropout: (rate, seed, stream) or None.
    mean: whether a query that may see no key gets the mean of all values, or zeros.
    """
    query, key, value, bias, mask = checked(query, key, value, bias, mask)
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    # a bias that is learned has a gradient, and what has no batch axis is the same for all samples
    plain = isinstance(bias, Constant | None) and all(x.batched and min(x.shape[1:]) > 0 for x in (query, key, value))
    if one_pass and plain:
        rest = dropout if dropout is not None else (0.0,)
        return DotProductAttention(scale, causal, mean, *rest)(query, key, value, mask, bias), None
    return _composed(query, key, value, bias, mask, scale, causal, dropout, mean)


def checked(query, key, value, bias, mask) -> list:
    """The values, of shapes that fit together; bias and mask have 4 axes."""
    known = [x.dtype for x in (query, key, value) if isinstance(x, Value) and x.dtype.startswith("float")]
    query, key, value = (as_value(x, known[0] if known else None) for x in (query, key, value))
    shapes = query.shape, key.shape, value.shape
    names = ("(batch, queries, heads, size)", "(batch, keys, key heads, size)", "(batch, keys, key heads, width)")
    for name, shape, axes in zip(("query", "key", "value"), shapes, names, strict=True):
        if len(shape) != 4:
            raise invalid(f"Attention expects a {name} {axes}.", shape=display(shape))
    if shapes[0][3] != shapes[1][3]:
        raise invalid(
            "Attention expects query and key of one size, the last axis.",
            query=display(shapes[0]), key=display(shapes[1]),
        )  # fmt: skip
    if shapes[1][1:3] != shapes[2][1:3]:
        raise invalid(
            "Attention expects a value of as many steps and heads as the key.",
            key=display(shapes[1]), value=display(shapes[2]),
        )  # fmt: skip
    if shapes[0][2] % shapes[1][2]:
        raise invalid(
            "Attention expects a query of as many heads as the key, or a multiple.",
            query=display(shapes[0]), key=display(shapes[1]),
        )  # fmt: skip
    wanted = (shapes[0][0], shapes[0][2], shapes[0][1], shapes[1][1])
    return [query, key, value, _spread("bias", bias, wanted, query.dtype), _spread("mask", mask, wanted, None)]


def _spread(name: str, x, wanted: tuple, dtype):
    """A bias or a mask, of bool, with 4 axes that can be repeated to those of ``wanted``."""
    if x is None:
        return None
    if not isinstance(x, Value):
        x = np.asarray(x)
        x = Constant(x.astype(dtype) if dtype is not None else x != 0)
    elif dtype is None and x.dtype != "bool":
        x = not_equal(x, 0)
    shape = tuple(x.shape)
    padded = (1,) * (4 - len(shape)) + shape
    fits = len(padded) == 4 and all(
        size == other or size == 1 for size, other in zip(padded[1:], wanted[1:], strict=True)
    )
    if not fits or (padded[0] is not None and padded[0] != 1) or (x.batched and len(shape) < 4):
        axes = "(batch, heads, queries, keys)"
        raise invalid(f"Attention expects a {name} of the shape {axes} = {display(wanted)}, or 1 for an axis.",
                      **{name: display(shape)})  # fmt: skip
    if len(shape) == 4:
        return x
    if isinstance(x, Constant):
        return Constant(x.array.reshape(padded))
    from .shapes import reshape

    return reshape(x, padded)


def _composed(query, key, value, bias, mask, scale, causal, dropout, mean):
    """Attention of operations that keep all scores: the output, and the probabilities without dropout."""
    shared = query.shape[2] // key.shape[2]
    if shared > 1:
        key, value = repeat(key, shared, axis=2), repeat(value, shared, axis=2)
    scores = einsum("bqhd,bkhd->bhqk", query * scale, key)
    if bias is not None:
        scores = scores + bias
    if causal:
        seen = Constant(np.tri(query.shape[1], key.shape[1], dtype=bool)[None, None])
        mask = seen if mask is None else logical_and(mask, seen)
    if mask is not None:
        scores = where(mask, scores, MASKED)
    probabilities = softmax(scores)
    if mask is not None and not mean:
        probabilities = where(mask, probabilities, 0.0)
    kept = probabilities if dropout is None else Dropout(*dropout)(probabilities)
    return einsum("bhqk,bkhd->bqhd", kept, value), probabilities
