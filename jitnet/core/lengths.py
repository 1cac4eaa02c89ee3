"""Lengths that are not known before data comes, such as the height and width of images of any size, or the batch's.

While a model is built, such a length is an integer like others, so that layers can compute with it; what is computed
from it is no known length either.  When data comes the model is traced again with the sizes that it has.
"""

from .errors import invalid

# halved ten times, or divided by 3 and 5, it leaves nothing over: branches that meet again agree in their lengths
STAND_IN = 15 << 10


class Length(int):
    """An integer in the place of a length that is not known yet."""

    def __repr__(self):
        return "None"

    __str__ = __repr__

    def __format__(self, specification):
        return format("None", specification)

    def __reduce__(self):
        return Length, (int(self),)


def _computed(name: str):
    compute = getattr(int, name)

    def method(self, *others):
        result = compute(self, *others)
        return Length(result) if type(result) is int else result

    return method


for _name in ("add", "sub", "mul", "floordiv", "mod"):
    setattr(Length, f"__{_name}__", _computed(f"__{_name}__"))
    setattr(Length, f"__r{_name}__", _computed(f"__r{_name}__"))
Length.__neg__ = _computed("__neg__")


class Samples:
    """How many samples a symbolic tensor has: as many as ``batches`` batches, the first of which is ``tensor``'s.

    As a size it counts as None, which other sizes of batches are; a part of a tensor that joins several batches is told
    by it, and operations take it as a number.
    """

    def __init__(self, tensor, batches: int):
        self.tensor, self.batches = tensor, batches

    def __repr__(self):
        return "None" if self.batches == 1 else f"<{self.batches} batches>"

    def __eq__(self, other):
        return other is None or (isinstance(other, Samples) and self.batches == other.batches)

    def __hash__(self):
        return hash(None)

    def _times(self, batches: int) -> "Samples":
        return Samples(self.tensor, batches)

    def __add__(self, other):
        return self._times(self.batches + other.batches) if isinstance(other, Samples) else self._refuse("+", other)

    def __sub__(self, other):
        return self._times(self.batches - other.batches) if isinstance(other, Samples) else self._refuse("-", other)

    def __mul__(self, other):
        return self._times(self.batches * other) if type(other) is int else self._refuse("*", other)

    __rmul__ = __mul__

    def __floordiv__(self, other):
        whole = type(other) is int and other != 0 and self.batches % other == 0
        return self._times(self.batches // other) if whole else self._refuse("//", other)

    def __neg__(self):
        return self._times(-self.batches)

    def _refuse(self, operator: str, other):
        if type(other).__module__.startswith("jitnet."):
            return NotImplemented  # a tensor, which takes it as a number
        raise TypeError(
            "The number of samples in a batch is known only when a step runs: it is multiplied by integers, divided "
            'where that leaves whole batches; jitnet.ops.cast(size, "float32") is a number for everything else. '
            f"Received: {self!r} {operator} {other!r}"
        )

    def __truediv__(self, other):
        return self._refuse("/", other)

    __rtruediv__ = __radd__ = __rsub__ = __mod__ = __truediv__

    def __index__(self):
        raise TypeError("The number of samples in a batch is known only when a step runs; it is no index.")

    __int__ = __float__ = __index__


def batches_in(size) -> int:
    """How many batches a size of the first axis stands for: None and -1 are one."""
    return size.batches if isinstance(size, Samples) else 1


def opened(shape) -> tuple:
    """A shape with a ``Length`` for every None."""
    return tuple(Length(STAND_IN) if size is None else size for size in shape)


def shown(shape) -> tuple:
    """A shape with None for every ``Length``, as users and files have it."""
    return tuple(None if isinstance(size, Length) else size for size in shape)


def unknown(shape) -> bool:
    """Whether a length of the shape is not known."""
    return any(isinstance(size, Length) for size in shape)


def fits(shape, expected) -> bool:
    """Whether a shape has the ``expected`` sizes; any from 1 up where these are not known."""
    return len(shape) == len(expected) and all(
        size == other or (isinstance(other, Length) and size > 0) for size, other in zip(shape, expected, strict=True)
    )


def check_known(owner: str, what: str, shape) -> None:
    """Raise ValueError if ``what`` would depend on a length that is not known."""
    if unknown(shape):
        raise invalid(
            f"{owner} cannot make {what}: its size depends on a length of the input that is None. Give Input the "
            "length, or reduce that axis before, for example by GlobalAveragePooling2D.",
            shape=tuple(shape),
        )  # fmt: skip
