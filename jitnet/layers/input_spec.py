"""InputSpec."""

from ..core import checks
from ..core.errors import invalid


class InputSpec:
    """What a layer of one's own expects of its input: ``self.input_spec = InputSpec(min_ndim=2, axes={-1: 8})``.

    The layer's calls are refused for other inputs; a list of them is for a list of inputs.

    Arguments:
        dtype: a dtype, or None for any.
        shape: sizes with the batch, None for any.
        ndim, max_ndim, min_ndim: the number of axes, the batch's included, or its bounds.
        axes: {axis: size} of those that have a size.
        allow_last_axis_squeeze: whether a last axis of one element may be there or not.
        name: a name.
        optional: whether the input may be None.
    """

    def __init__(
        self, dtype=None, shape=None, ndim=None, max_ndim=None, min_ndim=None, axes=None,
        allow_last_axis_squeeze=False, name=None, optional=False,
    ):  # fmt: skip
        self.dtype, self.name = dtype, name
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = checks.boolean("InputSpec", "allow_last_axis_squeeze", allow_last_axis_squeeze)
        self.optional = checks.boolean("InputSpec", "optional", optional)

    def check(self, x) -> None:
        """Raise ValueError unless a tensor is as it says."""
        shape, expected = tuple(x.shape), self.shape
        if self.allow_last_axis_squeeze and expected is not None and len(shape) != len(expected):
            shape = shape[:-1] if len(shape) == len(expected) + 1 and shape[-1] == 1 else shape
            expected = expected[:-1] if len(expected) == len(shape) + 1 and expected[-1] == 1 else expected
        ndim = None if self.ndim is None else (self.ndim if expected is None else len(expected))
        axes = dict(self.axes) if expected is None else {**dict(enumerate(expected)), **self.axes}
        wrong = (
            (ndim is not None and len(shape) != ndim)
            or (self.max_ndim is not None and len(shape) > self.max_ndim)
            or (self.min_ndim is not None and len(shape) < self.min_ndim)
            or (self.dtype is not None and x.dtype != self.dtype)
            or any(
                size is not None and (not -len(shape) <= axis < len(shape) or shape[axis] not in (size, None))
                for axis, size in axes.items()
            )
        )
        if wrong:
            given = {name: value for name, value in self.get_config().items() if value not in (None, {}, False)}
            raise invalid(f"The layer's input_spec expects an input of {given}.", shape=shape, dtype=x.dtype)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        config = {"dtype": self.dtype, "shape": self.shape, "ndim": None if self.shape is not None else self.ndim}
        config |= {name: getattr(self, name) for name in ("max_ndim", "min_ndim", "axes", "allow_last_axis_squeeze")}
        return {**config, "name": self.name, "optional": self.optional}

    @classmethod
    def from_config(cls, config: dict) -> "InputSpec":
        return cls(**config)

    def __repr__(self):
        given = (f"{name}={value!r}" for name, value in self.get_config().items() if value not in (None, {}, False))
        return f"InputSpec({', '.join(given)})"


def check_inputs(spec, given: list) -> None:
    """Raise ValueError unless the tensors of a call are as an InputSpec, or a list of them, says."""
    specs = list(spec) if isinstance(spec, list | tuple) else [spec] * len(given[:1])
    if len(specs) > len(given):
        raise invalid(f"The layer's input_spec is of {len(specs)} inputs.", inputs=len(given))
    for each, x in zip(specs, given, strict=False):
        if each is not None and not (x is None and each.optional):
            each.check(x)
