"""Attention whose scores are not kept."""

import numpy as np

from .. import checks
from ..errors import invalid
from ..program import Out, Scalar
from ..values import Constant
from .base import Operation, converted, display
from .random import checked_seed


class DotProductAttention(Operation):
    """dropout(softmax(scale query key^T + bias)) value, for each head by itself, over the keys that a query may see.

    Inputs: query (None, queries, heads, size), key (None, keys, key heads, size), value (None, keys, key heads, width),
    where heads is a multiple of key heads; mask, of bool, and bias, which has no gradient: of four axes that are those
    of (None, heads, queries, keys) or 1; what is not given is a constant (1,).

    causal: whether query i sees keys 0 to i only; mean: what becomes of a query that sees no key, the mean of all
    values or zeros; rate, seed, stream: of the dropout.
    """

    def __init__(self, scale, causal=False, mean=True, rate=0.0, seed=None, stream=0):
        owner = "dot_product_attention"
        self.scale = checks.number(owner, "scale", scale)
        self.causal = checks.boolean(owner, "causal", causal)
        self.mean = checks.boolean(owner, "mean", mean)
        self.rate = checks.number(owner, "rate", rate, least=0, below=1)
        self.seed, self.stream = checked_seed(owner, seed, stream)

    @property
    def random(self) -> bool:
        return self.rate != 0

    def prepare(self, inputs):
        query, key, value, *others = inputs
        mask, bias = [*others, None, None][:2]
        mask = Constant(np.ones(1, bool)) if mask is None else mask
        query, key, value, bias = converted(self, (query, key, value, np.zeros(1) if bias is None else bias))
        return query, key, value, mask, bias

    def infer(self, query, key, value, mask, bias):
        shapes = query.shape, key.shape, value.shape
        fits = (
            all(len(shape) == 4 and x.batched for shape, x in zip(shapes, (query, key, value), strict=True))
            and shapes[0][3] == shapes[1][3]
            and shapes[1][1:3] == shapes[2][1:3]
            and shapes[1][2] > 0
            and shapes[0][2] % shapes[1][2] == 0
            and min(shapes[0][1], shapes[1][1], shapes[0][3]) > 0
        )
        if not fits:
            raise ValueError(
                "dot_product_attention expects query, key and value (batch, steps, heads, size) that agree. "
                f"Received: shapes {', '.join(map(display, shapes))}"
            )
        if mask.dtype != "bool":
            raise invalid("dot_product_attention expects a mask of bool.", dtype=mask.dtype)
        wanted = (None, shapes[0][2], shapes[0][1], shapes[1][1])
        for x, nothing in ((mask, True), (bias, 0)):
            pairs = zip(x.shape[1:], wanted[1:], strict=False)
            if x.shape == (1,) and isinstance(x, Constant) and x.array[0] == nothing:
                continue
            if x.ndim != 4 or x.shape[0] not in (None, 1) or any(a not in (1, b) for a, b in pairs):
                raise ValueError(
                    f"dot_product_attention expects a mask and a bias of shape {display(wanted)}, or 1 for an axis. "
                    f"Received: shape={display(x.shape)}"
                )
        return [((*shapes[0][:3], shapes[2][3]), query.dtype)]

    def _arguments(self, program, lowered) -> dict:
        query, key = lowered.application.inputs[:2]
        seed = 0
        if self.random:
            seed = Scalar("seed") if self.seed is None else self.seed
        mask, bias = lowered.application.inputs[3:]
        heads, steps = query.shape[2], query.shape[1] * key.shape[1]
        return {
            "mask_strides": _strides(mask), "bias_strides": _strides(bias),
            "scale": self.scale, "causal": self.causal, "mean": self.mean, "rate": self.rate, "seed": seed,
            "stream": self.stream, "step": Scalar("t") if self.random else 0,
            "first": program.first_sample if self.random else 0,
            "work": 2 * heads * steps * (query.shape[3] + lowered.output.shape[-1]) // (2 if self.causal else 1),
        }  # fmt: skip

    def forward(self, program, lowered):
        names = ("query", "key", "value", "mask", "bias")
        log_sums = lowered.save("log_sums", (lowered.output.shape[1], lowered.output.shape[0]), lowered.output.dtype)
        program.call(
            "attention.attention_forward", **dict(zip(names, lowered.inputs, strict=True)), y=Out(lowered.output),
            log_sums=Out(log_sums), **self._arguments(program, lowered),
        )  # fmt: skip

    def backward(self, program, lowered):
        if lowered.needs(4):
            raise invalid("dot_product_attention has no gradient in its bias.", layer=lowered.application.scope)
        names, inputs = ("query", "key", "value"), lowered.application.inputs[:3]
        targets, summed = {}, []
        for index, name in enumerate(names):
            buffer = lowered.inputs[index]
            wanted = lowered.gradient(index) if lowered.needs(index) else None
            if wanted is None or wanted.accumulate or inputs.count(inputs[index]) > 1:
                own = program.temporary(f"d_{lowered.output.name}_{name}", buffer.shape, buffer.dtype, "batch")
                if wanted is not None:
                    summed.append((own, wanted))
                wanted = Out(own)
            targets[f"d{name}"] = wanted
        given = dict(zip((*names, "mask", "bias"), lowered.inputs, strict=True))
        arguments = self._arguments(program, lowered)
        arguments["work"] *= 2.5
        program.call(
            "attention.attention_backward", **given, y=lowered.output, log_sums=lowered.saved["log_sums"],
            dy=lowered.d_output, **targets, **arguments,
        )  # fmt: skip
        for own, wanted in summed:
            program.call("shape.copy_backward", dy=own, dx=wanted, accumulate=wanted.accumulate)


def _strides(x) -> tuple:
    """Of elements, 0 where a mask or a bias repeats."""
    if x.ndim == 1:
        return (0, 0, 0, 0)
    sizes = [1, *x.shape[1:]]
    found = [0] * 4
    distance = 1
    for axis in (3, 2, 1):
        found[axis] = distance if sizes[axis] > 1 else 0
        distance *= sizes[axis]
    found[0] = distance if x.batched else 0
    return tuple(found)
