"""Tensors whose batch axis comes after others, as ``ops.transpose`` and ``ops.stack`` may be asked for them."""

from ..core.errors import invalid
from ..core.operations.base import display
from ..core.operations.shape import Transpose


class Turned:
    """A symbolic tensor with the batch axis at ``place``: it is indexed or turned until the batch comes first again.

    One product gives queries, keys and values, (3, batch, heads, steps, units), of which each is one place of the first
    axis.  Only ``transpose``, ``swapaxes``, ``moveaxis``, ``split``, ``unstack``, ``squeeze``, ``softmax`` and
    ``log_softmax`` of jitnet.ops take it.

    tensor: the same with the batch axis first, the others in their order.
    """

    batched = False  # its first axis

    def __init__(self, tensor, place: int):
        self.tensor, self.place = tensor, place
        self.dtype, self.name = tensor.dtype, tensor.name

    @property
    def shape(self) -> tuple:
        sizes = self.tensor.shape[1:]
        return (*sizes[: self.place], None, *sizes[self.place :])

    @property
    def ndim(self) -> int:
        return self.tensor.ndim

    def inner(self, axis: int) -> int:
        """Which axis of ``tensor`` one is, that is not the batch's."""
        if not -self.ndim <= axis < self.ndim or axis % self.ndim == self.place:
            raise invalid(f"{self!r} has other axes than the batch's.", axis=axis)
        axis %= self.ndim
        return axis + 1 if axis < self.place else axis

    def __len__(self):
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        key = key if isinstance(key, tuple) else (key,)
        at = next((i for i, part in enumerate(key) if part is Ellipsis), len(key))
        rest = key[at + 1 :]
        key = (*key[:at], *[slice(None)] * (self.ndim - at - len(rest)), *rest)
        if len(key) != self.ndim or any(part is None or part is Ellipsis for part in key):
            raise invalid(f"{self!r} takes an integer or a slice for each axis.", index=key)
        if key[self.place] != slice(None):
            raise invalid(f"The batch axis of {self!r} stays whole.", index=key)
        before, after = key[: self.place], key[self.place + 1 :]
        place = sum(isinstance(part, slice) for part in before)
        return _placed(self.tensor[(slice(None), *before, *after)], place)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            f"{self!r} has axes before its batch axis: take it apart, x[i], or turn it back, by ops.transpose, before "
            "anything else."
        )

    __array_ufunc__ = None

    def __repr__(self):
        return f"<Turned {self.name}, shape={display(self.shape)}, dtype={self.dtype}>"


def _placed(tensor, place: int):
    return Turned(tensor, place) if place else tensor


def transposed(x, order):
    """The axes of a tensor, or of a turned one, in another order."""
    if not isinstance(x, Turned) and (not x.batched or order[:1] == [0] or sorted(order) != list(range(x.ndim))):
        return Transpose(order)(x)
    batch = x.place if isinstance(x, Turned) else 0
    if sorted(order) != list(range(x.ndim)):
        raise invalid(f"ops.transpose expects each axis of {x!r} once.", axes=order)
    inner = [0, *(x.inner(axis) if batch else axis for axis in order if axis != batch)]
    tensor = x.tensor if batch else x
    tensor = tensor if inner == list(range(x.ndim)) else Transpose(inner)(tensor)
    return _placed(tensor, order.index(batch))


def along(function, x, axis):
    """A function of a turned tensor along one of its axes: turned, too."""
    return Turned(function(x.tensor, x.inner(axis)), x.place)
