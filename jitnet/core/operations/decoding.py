"""A cache of keys and values, for a decoder that is run step by step."""

from .. import checks
from ..errors import invalid
from ..program import Out
from .base import KEPT, Operation, display


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
    """Attention of new steps to those of a cache up to their own: inputs (query, cache, position).

    query: (None, steps, heads, size), of which the first is at ``position``, (None,) integers; cache:
    (None, 2, length, key heads, size).
    """

    differentiable = False
    integers = KEPT
    labels = (2,)

    def __init__(self, scale: float):
        self.scale = checks.number("cached_attention", "scale", scale)

    def infer(self, query, cache, position):
        if query.ndim != 4 or query.shape[3] != cache.shape[4] or query.shape[2] % cache.shape[3]:
            raise invalid(
                "Attention to a cache (batch, 2, length, heads, size) takes a query (batch, steps, heads, size) of as "
                "many heads, or a multiple.",
                query=display(query.shape), cache=display(cache.shape),
            )  # fmt: skip
        _check_position(position)
        return [(query.shape, query.dtype)]

    def forward(self, program, lowered):
        query, cache, position = lowered.inputs
        steps, heads, size = query.shape
        length = cache.shape[1]
        name = f"{lowered.output.name}_probabilities"
        probabilities = program.temporary(name, (steps, heads, length), query.dtype, "batch")
        program.call(
            "decoding.cached_attention_forward", query=query, cache=cache, position=position,
            probabilities=Out(probabilities), y=Out(lowered.output), scale=self.scale,
            work=4 * steps * heads * size * length,
        )  # fmt: skip

    def get_config(self):
        raise TypeError("Attention to a cache cannot be saved by itself: use it in the call of a layer of your own.")


def _check_position(position) -> None:
    if position.shape != (None,):
        raise invalid("A cache's position is (batch,), an integer for each sample.", position=display(position.shape))
