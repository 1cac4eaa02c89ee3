"""A cache of keys and values, for a decoder that is run step by step."""

from .. import checks
from ..errors import invalid
from ..program import Out
from .base import KEPT, Operation, converted, display


class CacheStore(Operation, registered=False):
    """A cache with the keys and values of new steps from ``position`` on: inputs (cache, key, value, position).

    cache: (None, 2, length, heads, size); key, value: (None, steps, heads, size); position: (None,), integers.

    donated: whether the memory of the cache, an input, becomes that of the result, as nobody else reads it.
    """

    differentiable = False
    labels = (3,)

    def __init__(self, donated: bool = False):
        self.donated = checks.boolean("cache_store", "donated", donated)

    def infer(self, cache, key, value, position):
        fits = cache.batched and cache.ndim == 5 and cache.shape[1] == 2 and key.shape == value.shape
        if not fits or key.ndim != 4 or key.shape[2:] != cache.shape[3:] or not key.batched:
            raise invalid(
                "A cache (batch, 2, length, heads, size) takes keys and values (batch, steps, heads, size).",
                cache=display(cache.shape), key=display(key.shape), value=display(value.shape),
            )  # fmt: skip
        _check_position(position)
        return [(cache.shape, cache.dtype)]

    def forward(self, program, lowered):
        cache, key, value, position = lowered.inputs
        if self.donated:
            target = cache
            lowered.lowering.place(lowered.application.outputs[0], cache)
        else:
            target = lowered.output
            program.call("shape.copy_forward", x=cache, y=Out(target))
        program.call("decoding.cache_store", key=key, value=value, position=position, cache=Out(target, True))

    def get_config(self):
        raise TypeError("The store of a cache cannot be saved by itself: use it in the call of a layer of your own.")


class CachedAttention(Operation, registered=False):
    """Attention of new steps to those of a cache up to their own: inputs (query, cache, position[, mask]).

    query: (None, steps, heads, size), of which the first is at ``position``, (None,) integers; cache:
    (None, 2, length, key heads, size); mask: (None, 1 or steps, length), bool, false where a step is not seen.
    """

    differentiable = False
    integers = KEPT
    labels = (2,)

    def prepare(self, inputs):
        query, cache, position, *mask = inputs
        return *converted(self, (query, cache, position)), *mask

    def __init__(self, scale: float):
        self.scale = checks.number("cached_attention", "scale", scale)

    def infer(self, query, cache, position, mask=None):
        if query.ndim != 4 or query.shape[3] != cache.shape[4] or query.shape[2] % cache.shape[3]:
            raise invalid(
                "Attention to a cache (batch, 2, length, heads, size) takes a query (batch, steps, heads, size) of as "
                "many heads, or a multiple.",
                query=display(query.shape), cache=display(cache.shape),
            )  # fmt: skip
        _check_position(position)
        rows = (1, query.shape[1])
        if mask is not None and (
            mask.dtype != "bool" or mask.ndim != 3 or not mask.batched or mask.shape[1] not in rows
            or mask.shape[2] != cache.shape[2]
        ):
            raise invalid(
                "Attention to a cache takes a mask of bool (batch, steps, length), or with 1 for the steps: "
                f"{display((None, *rows[1:], cache.shape[2]))}.",
                mask=display(mask.shape), dtype=mask.dtype,
            )  # fmt: skip
        return [(query.shape, query.dtype)]

    def forward(self, program, lowered):
        query, cache, position, *mask = lowered.inputs
        steps, heads, size = query.shape
        length = cache.shape[1]
        name = f"{lowered.output.name}_probabilities"
        probabilities = program.temporary(name, (steps, heads, length), query.dtype, "batch")
        program.call(
            "decoding.cached_attention_forward", query=query, cache=cache, position=position,
            mask=mask[0] if mask else query,  # which is not read then
            probabilities=Out(probabilities), y=Out(lowered.output), scale=self.scale, masked=bool(mask),
            work=4 * steps * heads * size * length,
        )  # fmt: skip

    def get_config(self):
        raise TypeError("Attention to a cache cannot be saved by itself: use it in the call of a layer of your own.")


def _check_position(position) -> None:
    if position.shape != (None,):
        raise invalid("A cache's position is (batch,), an integer for each sample.", position=display(position.shape))
