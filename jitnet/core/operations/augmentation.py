"""Random changes of pictures (N, H, W, C), each a function of uniform numbers (N, k), a row for every picture.

``ranges``: (lowest, highest) of what the numbers are stretched to, as an array without a batch axis.
"""

from .. import checks
from ..errors import invalid
from ..program import Out
from .base import Operation, display, require_rank

FILL_MODES = ("constant", "nearest", "wrap", "reflect")  # in the order of the kernels' numbers
INTERPOLATIONS = ("nearest", "bilinear")
COLOURS = ("brightness", "contrast", "saturation", "hue", "grey")  # in the order in which they are changed
OF_THREE = ("saturation", "hue", "grey")


def _require_rows(operation: str, what: str, values, columns: int) -> None:
    if values.ndim != 2 or not values.batched or values.shape[1] != columns:
        raise ValueError(
            f"{operation} expects {what} of shape (None, {columns}). Received: shape={display(values.shape)}"
        )


def _require_ranges(operation: str, ranges, size: int) -> None:
    if ranges.batched or ranges.shape != (size,):
        raise ValueError(f"{operation} expects ranges of shape ({size},). Received: shape={display(ranges.shape)}")


def _require_pictures(operation: str, x) -> None:
    require_rank(operation, x, 4, "(batch, height, width, channels)")
    if not x.batched:
        raise ValueError(f"{operation} expects pictures with a batch axis. Received: shape={display(x.shape)}")


class WithoutGradient(Operation, registered=False):
    def backward(self, program, lowered):
        if lowered.needs(0):
            raise invalid(
                f"{self.name} passes no gradient on: put it before everything that is trained.", operation=self.name
            )


class AffineTransforms(Operation):
    """Where pictures of a size are read, (N, 8), from (N, 8) numbers: see ``augmentation.affine_transforms``."""

    differentiable = False
    whole_inputs = (1,)

    def __init__(self, size, out_size, same_zoom=False):
        self.size = checks.pair(self.name, "size", size)
        self.out_size = checks.pair(self.name, "out_size", out_size)
        self.same_zoom = checks.boolean(self.name, "same_zoom", same_zoom)

    def infer(self, draws, ranges):
        _require_rows(self.name, "draws", draws, 8)
        _require_ranges(self.name, ranges, 14)
        return [((None, 8), draws.dtype)]

    def forward(self, program, lowered):
        (height, width), (out_height, out_width) = self.size, self.out_size
        draws, ranges = lowered.inputs
        program.call(
            "augmentation.affine_transforms", draws=draws, ranges=ranges, transforms=Out(lowered.output), height=height,
            width=width, out_height=out_height, out_width=out_width, same_zoom=self.same_zoom,
        )  # fmt: skip


class PerspectiveTransforms(Operation):
    """Where pictures of a size are read whose corners move, (N, 8), from (N, 12) numbers."""

    differentiable = False
    whole_inputs = (1,)

    def __init__(self, size):
        self.size = checks.pair(self.name, "size", size)

    def infer(self, draws, ranges):
        _require_rows(self.name, "draws", draws, 12)
        _require_ranges(self.name, ranges, 4)
        return [((None, 8), draws.dtype)]

    def forward(self, program, lowered):
        draws, ranges = lowered.inputs
        program.call(
            "augmentation.perspective_transforms", draws=draws, ranges=ranges, transforms=Out(lowered.output),
            height=self.size[0], width=self.size[1],
        )  # fmt: skip


class Resample(Operation):
    """Pictures read where transforms (N, 8) say, with the height and width of ``size``."""

    def __init__(self, size, fill_mode="reflect", interpolation="bilinear", fill_value=0.0):
        self.size = checks.pair(self.name, "size", size)
        self.fill_mode = checks.one_of(self.name, "fill_mode", fill_mode, FILL_MODES)
        self.interpolation = checks.one_of(self.name, "interpolation", interpolation, INTERPOLATIONS)
        self.fill_value = checks.number(self.name, "fill_value", fill_value)

    def infer(self, x, transforms):
        _require_pictures(self.name, x)
        _require_rows(self.name, "transforms", transforms, 8)
        return [((None, *self.size, x.shape[3]), x.dtype)]

    def _options(self) -> dict:
        return {"fill_mode": FILL_MODES.index(self.fill_mode), "nearest": self.interpolation == "nearest"}

    def forward(self, program, lowered):
        x, transforms = lowered.inputs
        program.call(
            "augmentation.resample", x=x, transforms=transforms, y=Out(lowered.output), **self._options(),
            fill_value=self.fill_value,
        )  # fmt: skip

    def backward(self, program, lowered):
        if lowered.needs(1):
            raise invalid(f"{self.name} passes no gradient on to its transforms.", operation=self.name)
        dx = lowered.gradient(0)
        program.call(
            "augmentation.resample_backward", dy=lowered.d_output, transforms=lowered.inputs[1], dx=dx,
            **self._options(), accumulate=dx.accumulate,
        )  # fmt: skip


class FlipPictures(Operation):
    """Pictures mirrored where numbers (N, 4) are below a half."""

    def __init__(self, horizontal=True, vertical=True):
        self.horizontal = checks.boolean(self.name, "horizontal", horizontal)
        self.vertical = checks.boolean(self.name, "vertical", vertical)

    def infer(self, x, draws):
        _require_pictures(self.name, x)
        _require_rows(self.name, "draws", draws, 4)
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        x, draws = lowered.inputs
        program.call("augmentation.flip", x=x, draws=draws, y=Out(lowered.output), **vars(self))

    def backward(self, program, lowered):
        if not lowered.needs(0):
            return
        dx = lowered.gradient(0)
        arguments = {"dy": lowered.d_output, "draws": lowered.inputs[1], "dx": dx, **vars(self)}
        program.call("augmentation.flip_backward", **arguments, accumulate=dx.accumulate)


class Crop(Operation):
    """A part of each picture, of the height and width of ``size``, with so many zeros around the picture."""

    def __init__(self, size, padding=0):
        self.size = checks.pair(self.name, "size", size)
        self.padding = checks.integer(self.name, "padding", padding, least=0)

    def infer(self, x, draws):
        _require_pictures(self.name, x)
        _require_rows(self.name, "draws", draws, 4)
        if any(part > whole + 2 * self.padding for part, whole in zip(self.size, x.shape[1:3], strict=True)):
            raise invalid(
                f"{self.name} expects pictures of at least {self.size} with their padding of {self.padding}.",
                shape=display(x.shape),
            )
        return [((None, *self.size, x.shape[3]), x.dtype)]

    def forward(self, program, lowered):
        x, draws = lowered.inputs
        program.call("augmentation.crop", x=x, draws=draws, y=Out(lowered.output), padding=self.padding)

    def backward(self, program, lowered):
        if not lowered.needs(0):
            return
        dx = lowered.gradient(0)
        arguments = {"dy": lowered.d_output, "draws": lowered.inputs[1], "dx": dx, "padding": self.padding}
        program.call("augmentation.crop_backward", **arguments, accumulate=dx.accumulate)


class AdjustColour(WithoutGradient):
    """Colours of pictures changed by numbers (N, 8), within ranges (12,): see ``augmentation.adjust_colour``."""

    whole_inputs = (2,)

    def __init__(self, kinds, limited=True):
        if isinstance(kinds, str) or not hasattr(kinds, "__iter__"):
            raise invalid(f"{self.name} expects kinds to be a sequence of {', '.join(COLOURS)}.", kinds=kinds)
        self.kinds = tuple(checks.one_of(self.name, "kinds", kind, COLOURS) for kind in kinds)
        self.limited = checks.boolean(self.name, "limited", limited)

    def infer(self, x, draws, ranges):
        _require_pictures(self.name, x)
        _require_rows(self.name, "draws", draws, 8)
        _require_ranges(self.name, ranges, 12)
        if x.shape[3] != 3 and set(self.kinds) & set(OF_THREE):
            raise ValueError(
                f"{self.name} expects pictures of three channels, red, green and blue. "
                f"Received: shape={display(x.shape)}"
            )
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        x, draws, ranges = lowered.inputs
        flags = {kind: kind in self.kinds for kind in COLOURS}
        program.call(
            "augmentation.adjust_colour", x=x, draws=draws, ranges=ranges, y=Out(lowered.output), **flags,
            limited=self.limited,
        )  # fmt: skip


class GaussianBlur(WithoutGradient):
    """Pictures blurred over so many rows and columns, by numbers (N, 4), within ranges (6,)."""

    whole_inputs = (2,)

    def __init__(self, size):
        self.size = checks.pair(self.name, "size", size)
        if not all(length % 2 for length in self.size):
            raise invalid(f"{self.name} expects size to be odd.", size=size)

    def infer(self, x, draws, ranges):
        _require_pictures(self.name, x)
        _require_rows(self.name, "draws", draws, 4)
        _require_ranges(self.name, ranges, 6)
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        x, draws, ranges = lowered.inputs
        scratch = lowered.save("columns", lowered.output.shape, lowered.output.dtype)
        program.call(
            "augmentation.gaussian_blur", x=x, draws=draws, ranges=ranges, scratch=Out(scratch), y=Out(lowered.output),
            rows=self.size[0], columns=self.size[1],
        )  # fmt: skip


class Erase(WithoutGradient):
    """Pictures with a rectangle of other values, by numbers (N, 8), within ranges (4,)."""

    whole_inputs = (2,)

    def infer(self, x, draws, ranges, noise):
        _require_pictures(self.name, x)
        _require_rows(self.name, "draws", draws, 8)
        _require_ranges(self.name, ranges, 4)
        if not noise.batched or noise.shape != x.shape:
            raise ValueError(
                f"{self.name} expects noise of shape {display(x.shape)}. Received: shape={display(noise.shape)}"
            )
        return [(x.shape, x.dtype)]

    def forward(self, program, lowered):
        x, draws, ranges, noise = lowered.inputs
        program.call("augmentation.erase", x=x, draws=draws, ranges=ranges, noise=noise, y=Out(lowered.output))
