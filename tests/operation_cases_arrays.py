"""Cases for functions of jitnet.ops that compare, choose, index, reorder, pad and multiply: see operation_cases.py."""

import numpy as np
from graphs import Draw, labels, normal, positive, wide

from jitnet import ops

SMALL = Draw((3, 4), "probabilities")  # between 0 and 1


def add_all(add) -> None:
    """Add all of them."""
    _elementwise(add)
    _comparisons(add)
    _shapes(add)
    _indices(add)
    _reductions(add)
    _products(add)
    _networks(add)
    _pieces(add)


def _pieces(add):
    group = "pieces"
    add(
        group,
        "pictures",
        lambda x, y: (
            ops.sum(ops.image.extract_patches(x, 2, 1) ** 2, (1, 2, 3))
            * ops.image.ssim(ops.sigmoid(x), ops.sigmoid(y), filter_size=3)
            + ops.sum(ops.image.affine_transform(x, [0.9, 0.1, 0.3, -0.2, 1.1, 0.1, 0.0, 0.0]) ** 3, (1, 2, 3))
            + ops.sum(
                ops.image.perspective_transform(
                    y, [[0, 0], [0, 3], [3, 0], [3, 3]], [[0.2, 0.1], [0.1, 2.9], [3.0, 0.3], [2.7, 2.8]]
                ) ** 3, (1, 2, 3)
            )
        ),
        (normal(4, 4, 2), normal(4, 4, 2)),
    )  # fmt: skip
    add(
        group,
        "cbrt, fmod and others",
        lambda x, y: (
            ops.cbrt(x) * ops.fmod(x, y) + ops.logaddexp2(x, y) * ops.sinc(x) + ops.divide_no_nan(y, ops.round(x))
            + ops.ldexp(ops.fabs(x), 2) + ops.erfc(y)
        ),
        (normal(3), positive(3)),
        torch=lambda t, x, y: (
            x.sign() * x.abs() ** (1 / 3) * t.fmod(x, y) + t.logaddexp2(x, y) * t.sinc(x)
            + t.where(t.round(x) == 0, 0.0, y / t.where(t.round(x) == 0, 1.0, t.round(x))) + 4 * x.abs() + t.erfc(y)
        ),
    )  # fmt: skip
    add(
        group,
        "without NaN",
        lambda x, w: (
            ops.nansum(_gaps(x), 1) * ops.nanmean(_gaps(x), 1) + ops.nanmax(_gaps(x), 1) * ops.nanmin(_gaps(x), 1)
            + ops.nanstd(_gaps(x), 1) + ops.nancumsum(_gaps(x), 1)[:, -1] * w
            + ops.fmax(_gaps(x), -1.0)[:, 0] * ops.fmin(_gaps(x), 2.0)[:, 1] + ops.nanargmax(_gaps(x), 1)
            - ops.nanargmin(_gaps(x), 1) + ops.nancumprod(_gaps(x), 1)[:, -1] * ops.nanprod(_gaps(x), 1)
            + ops.nanvar(_gaps(x), 1)
        ),
        (normal(6), Draw((), "normal", True)),
    )  # fmt: skip
    add(
        group,
        "quantile",
        lambda x: ops.quantile(x, 0.3, (1, 2)) * ops.percentile(x, [10, 75], -1, "midpoint")[:, 1, 0]
        + ops.quantile(x, [0.2, 0.9], 1, "nearest", True)[:, 0, 0, 1] + ops.ptp(x, (1, 2)),
        normal(4, 3),
        torch=lambda t, x: x.flatten(1).quantile(0.3, 1) * x.quantile(0.75, 2, interpolation="midpoint")[:, 0]
        + x.quantile(0.2, 1, interpolation="nearest")[:, 1] + x.amax((1, 2)) - x.amin((1, 2)),
    )  # fmt: skip
    add(
        group,
        "cross, kron and cdist",
        lambda x, y, w: ops.cross(x, y) @ ops.kron(w, w)[:3] + ops.sum(ops.cdist(x + 9.0, w), (1, 2))[:, None, None],
        (normal(2, 3), normal(2, 3)),
        normal(2, 3),
        torch=lambda t, x, y, w: t.linalg.cross(x, y) @ t.kron(w, w)[:3]
        + (x[:, :, None] + 9 - w).square().sum(-1).sqrt().sum((1, 2))[:, None, None],
    )  # fmt: skip
    add(
        group,
        "adaptive pooling",
        lambda x: ops.adaptive_average_pool(x, (3, 2)) * ops.adaptive_max_pool(x, (3, 2)),
        normal(5, 4, 2),
        torch=lambda t, x: t.permute(
            t.nn.functional.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), (3, 2))
            * t.nn.functional.adaptive_max_pool2d(x.permute(0, 3, 1, 2), (3, 2)), (0, 2, 3, 1)
        ),
    )  # fmt: skip
    add(
        group,
        "unfold",
        lambda x: ops.unfold(x, (3, 2), padding=1, stride=2),
        normal(2, 4, 5),
        torch=lambda t, x: t.nn.functional.unfold(x, (3, 2), padding=1, stride=2),
    )
    add(
        group,
        "fold",
        lambda x: ops.fold(x, (4, 5), (3, 2), padding=1, stride=2),
        normal(12, 6),
        torch=lambda t, x: t.nn.functional.fold(x, (4, 5), (3, 2), padding=1, stride=2),
    )
    add(
        group,
        "parts",
        lambda x, y: ops.rearrange(ops.extract_sequences(x, 3, 2), "b c n l -> b (n c) l")
        * ops.trapezoid(y)[:, None, None]
        + ops.array_split(x, 3, 2)[0][:, :1, :3] * ops.trapezoid(y, np.array([0.0, 1.0, 3.0]))[:, None, None]
        + ops.isin(ops.round(y), [1, 2])[:, None] * ops.fliplr(y)[:, None],
        (normal(2, 7), normal(3)),
        torch=lambda t, x, y: x.unfold(2, 3, 2).transpose(1, 2).reshape(len(x), 6, 3) * t.trapezoid(y)[:, None, None]
        + x[:, :1, :3] * t.trapezoid(y, t.tensor([0.0, 1, 3]))[:, None, None]
        + t.isin(t.round(y.detach()), t.tensor([1.0, 2]).to(y.dtype))[:, None] * y.flip(1)[:, None],
    )  # fmt: skip
    add(
        group,
        "colours",
        lambda x: ops.image.hsv_to_rgb(ops.image.rgb_to_hsv(x) * np.array([1.0, 0.5, 0.9], "float32"))
        * ops.image.rgb_to_grayscale(x),
        Draw((3, 2, 3), "probabilities"),
    )
    add(
        group,
        "blurred edges",
        lambda x: ops.image.sobel_edges(ops.image.gaussian_blur(x, (3, 5), (0.7, 1.5)))[..., 0] * ops.image.pad_images(
            ops.image.crop_images(x, 1, 0, 1, 2), 1, 0, 1, 2
        ),
        normal(5, 6, 2),
        torch=_torch_edges,
    )  # fmt: skip


def _gaps(x):
    """NaN where x is above 0.5, but for the first two."""
    return ops.where((x > 0.5) & np.array([False, False, True, True, True, True]), np.nan, x)


def _torch_edges(t, x):
    bells = [t.exp(-0.5 * ((t.arange(n) - n // 2) / s) ** 2).to(x.dtype) for n, s in ((3, 0.7), (5, 1.5))]
    window = t.outer(*(bell / bell.sum() for bell in bells)).expand(2, 1, 3, 5)
    images = x.permute(0, 3, 1, 2)
    blurred = t.nn.functional.conv2d(images, window, padding=(1, 2), groups=2)
    down = t.tensor([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]]).to(x.dtype).expand(2, 1, 3, 3)
    edges = t.nn.functional.conv2d(blurred, down, padding=1, groups=2)
    return (edges * t.nn.functional.pad(images[:, :, 1:-1, :-2], (0, 2, 1, 1))).permute(0, 2, 3, 1)


def _elementwise(add):
    group = "more elementwise"
    for name in ("rsqrt", "exp2", "log2", "log10", "tan", "sinh", "cosh", "arcsinh", "ceil", "trunc", "round"):
        draw = positive(3) if name in ("rsqrt", "log2", "log10") else normal(3)
        add(group, name, getattr(ops, name), draw, torch=lambda t, x, name=name: getattr(t, name)(x))
    for name in ("arcsin", "arccos", "arctanh"):
        add(group, name, getattr(ops, name), SMALL, torch=lambda t, x, name=name: getattr(t, name)(x))
    add(group, "arccosh", lambda x: ops.arccosh(x + 1.0), positive(3), torch=lambda t, x: t.arccosh(x + 1))
    for name in ("arctan2", "logaddexp", "hypot"):
        add(group, name, getattr(ops, name), (normal(3), normal(3)), torch=lambda t, *x, n=name: getattr(t, n)(*x))
    add(group, "clip", lambda x: ops.clip(x, -0.5, 0.7), normal(3), torch=lambda t, x: t.clip(x, -0.5, 0.7))
    add(
        group,
        "round to digits",
        lambda x: ops.round(x, 1) * x,
        normal(3),
        torch=lambda t, x: t.round(x, decimals=1) * x,
    )
    add(group, "mod", lambda x: x % 0.75, normal(3), torch=lambda t, x: t.remainder(x, 0.75))
    add(
        group,
        "floor_divide",
        lambda x, y: x // y * x + ops.divmod(x, y)[1],
        (wide(3), positive(3)),
        torch=lambda t, x, y: t.floor(x / y).detach() * x + t.remainder(x, y),
    )
    add(
        group,
        "mod of integers",
        lambda x, i: x * (i % 3) + x * (i // 4),
        (normal(3), labels(9, 3)),
        torch=lambda t, x, i: x * (i % 3) + x * (i // 4),
    )
    add(group, "deg2rad", lambda x: ops.rad2deg(ops.deg2rad(x) * x), normal(3), torch=lambda t, x: x * x)
    add(
        group,
        "nan_to_num",
        lambda x: ops.nan_to_num(ops.log(x), 7.0, neginf=3.0) + ops.nan_to_num(x / 0.0) * 1e-37,
        Draw((5,), "one hot", False),
        torch=lambda t, x: t.nan_to_num(t.log(x), 7.0, neginf=3) + t.nan_to_num(x / 0) * 1e-37,
    )
    add(
        group,
        "heaviside",
        lambda x: ops.heaviside(ops.round(x), 0.5) * x,
        normal(3),
        torch=lambda t, x: t.heaviside(t.round(x.detach()), t.tensor(0.5)) * x,
    )
    add(group, "saturate_cast", lambda x: x * ops.saturate_cast(x * 200.0, "uint8"), normal(3))
    add(
        group,
        "stop_gradient",
        lambda x, y: ops.stop_gradient(x * x) * y,
        (Draw((3,), "normal", False), normal(3)),
        torch=lambda t, x, y: x * x * y,
    )


def _comparisons(add):
    group = "comparisons"
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
        torch_name = {"equal": "eq", "not_equal": "ne"}.get(name, name)
        function = getattr(ops, name)
        add(
            group,
            name,
            lambda x, i, j, f=function: x * f(i, j),
            (normal(3), labels(3, 3), labels(3, 1)),
            torch=lambda t, x, i, j, n=torch_name: x * getattr(t, n)(i, j),
        )
    for name in ("logical_and", "logical_or", "logical_xor"):
        function = getattr(ops, name)
        add(
            group,
            name,
            lambda x, y, f=function: x * f(x > 0, y > 0.5) + f(ops.round(x), y < 0),
            (normal(3), Draw((3,), "normal", False)),
            torch=lambda t, x, y, n=name: (
                x * getattr(t, n)(x > 0, y > 0.5) + getattr(t, n)(t.round(x), y < 0).to(x.dtype)
            ),
        )
    add(
        group,
        "operators of bool",
        lambda x: x * ((x > 0.5) | ~(x >= -0.5)) + ((x < 1) & (x <= 0) ^ (x > -1)) * x,
        normal(3),
        torch=lambda t, x: x * ((x > 0.5) | ~(x >= -0.5)) + ((x < 1) & (x <= 0) ^ (x > -1)) * x,
    )
    add(
        group,
        "logical_not",
        lambda x: x * ops.logical_not(ops.isnan(ops.log(x))) + ops.isfinite(x / 0.0) + ops.isinf(x),
        Draw((3,), "normal", True),
        torch=lambda t, x: x * (x >= 0),
    )
    add(
        group,
        "isclose",
        lambda x, y: x * ops.isclose(ops.round(x), ops.round(y)),
        (normal(3), Draw((3,), "normal", False)),
        torch=lambda t, x, y: x * t.isclose(t.round(x), t.round(y)),
    )
    add(
        group,
        "where",
        lambda x, y: ops.where(x > y, x * y, ops.exp(x)),
        (normal(2, 3), normal(2, 3)),
        torch=lambda t, x, y: t.where(x > y, x * y, t.exp(x)),
    )
    add(
        group,
        "where of numbers",
        lambda x: ops.where(x > 0, 1.5, x) + ops.where(x > 1, 2, 3),
        normal(3),
        torch=lambda t, x: t.where(x > 0, 1.5, x) + t.where(x > 1, 2, 3),
    )
    add(
        group,
        "where, broadcast",
        lambda x, y, w: ops.where(np.array([True, False, True]), x, y) + ops.where(y > 0, w, x),
        (normal(2, 3), normal(2, 1)),
        normal(3),
        torch=lambda t, x, y, w: t.where(t.tensor([True, False, True]), x, y) + t.where(y > 0, w, x),
    )
    add(
        group,
        "select",
        lambda x: ops.select([x > 1, x > 0], [x * x, -x], 0.5),
        normal(3),
        torch=lambda t, x: t.where(x > 1, x * x, t.where(x > 0, -x, 0.5)),
    )
    add(
        group,
        "tril",
        lambda x: ops.tril(x, 1) * ops.triu(x, -1) + ops.tril(x),
        normal(2, 4, 3),
        torch=lambda t, x: t.tril(x, 1) * t.triu(x, -1) + t.tril(x),
    )


def _shapes(add):
    group = "more shapes"
    for name, key in {
        "a row": np.s_[:, 1],
        "from the end": np.s_[:, -1, ..., -2],
        "a step": np.s_[:, ::2, 1:],
        "back": np.s_[..., ::-2],
        "a new axis": np.s_[:, None, 1:3, ..., None],
        "a part": np.s_[:, 1:3],
        "all": np.s_[:],
        "back to 1": np.s_[:, 3:0:-1],
    }.items():

        def torch_part(t, x, key=key):
            place = np.arange(x.numel()).reshape(x.shape)[key]
            return x.flatten()[t.tensor(place.copy())]

        add(
            group,
            f"index, {name}",
            lambda x, key=key: x[key] * 2.0,
            normal(4, 3, 2),
            torch=lambda t, x, f=torch_part: f(t, x) * 2,
        )
    add(
        group,
        "index of a variable",
        lambda x, w: x * w[1] + w[-1, ::-1],
        normal(3),
        normal(4, 3),
        torch=lambda t, x, w: x * w[1] + w[-1].flip(0),
    )
    add(
        group,
        "parts of a variable",
        lambda x, w: sum(x * row for row in w),
        normal(3),
        normal(2, 3),
        torch=lambda t, x, w: x * w[0] + x * w[1],
    )
    add(
        group,
        "flip",
        lambda x: ops.flip(x, (1, -1)) * ops.flip(x),
        normal(4, 3),
        torch=lambda t, x: x.flip(1, 2) * x.flip(1, 2),
    )
    add(
        group,
        "roll",
        lambda x: ops.roll(x, 2, 1) * ops.roll(x, (-1, 5), (1, 2)),
        normal(4, 3),
        torch=lambda t, x: x.roll(2, 1) * x.roll((-1, 5), (1, 2)),
    )
    add(group, "tile", lambda x: ops.tile(x, (1, 3, 2)), normal(4, 3), torch=lambda t, x: x.tile(1, 3, 2))
    add(group, "repeat", lambda x: ops.repeat(x, 3, 1), normal(4, 3), torch=lambda t, x: x.repeat_interleave(3, 1))
    add(
        group,
        "broadcast_to",
        lambda x, w: ops.broadcast_to(x, (None, 4, 3)) + ops.broadcast_to(w, (None, 4, 3)),
        normal(4, 1),
        normal(3),
        torch=lambda t, x, w: x.expand(-1, 4, 3) + w,
    )
    add(
        group,
        "stack",
        lambda x, y: ops.stack([x, y, x * y], axis=2),
        (normal(4, 3), normal(4, 3)),
        torch=lambda t, x, y: t.stack([x, y, x * y], 2),
    )
    add(
        group,
        "split",
        lambda x: ops.split(x, 2, 1)[1] * ops.split(x, (1, 3), 1)[1],
        normal(4, 3),
        torch=lambda t, x: x.split(2, 1)[1] * x[:, 1:3],
    )
    add(
        group,
        "unstack",
        lambda x: ops.unstack(x, axis=-1)[2] * ops.unstack(x, 3, -1)[0],
        normal(4, 3),
        torch=lambda t, x: x[..., 2] * x[..., 0],
    )
    add(
        group,
        "expand_dims",
        lambda x: ops.expand_dims(x, (1, -1)) * ops.expand_dims(x, 3)[:, None],
        normal(4, 3),
        torch=lambda t, x: x[:, None, :, :, None] ** 2,
    )
    add(
        group,
        "squeeze",
        lambda x: ops.squeeze(x) * ops.squeeze(x, (1, 3)) * ops.squeeze(x, -1)[:, 0],
        normal(1, 3, 1),
        torch=lambda t, x: x[:, 0, :, 0] ** 3,
    )
    add(
        group,
        "swapaxes",
        lambda x: ops.swapaxes(x, 1, -1) * ops.moveaxis(x, -1, 1)[:, :, ::-1],
        normal(4, 3),
        torch=lambda t, x: x.mT * x.mT.flip(2),
    )
    add(
        group,
        "moveaxis",
        lambda x: ops.moveaxis(x, (1, 3), (-1, 1)),
        normal(2, 3, 4, 5),
        torch=lambda t, x: x.movedim((1, 3), (-1, 1)),
    )
    add(
        group,
        "transpose of seven axes",
        lambda x: ops.transpose(x, (0, 4, 2, 6, 1, 3, 5)),
        normal(2, 3, 1, 2, 3, 2),
        torch=lambda t, x: x.permute(0, 4, 2, 6, 1, 3, 5),
    )
    add(
        group,
        "pad with a number",
        lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=3.0),
        normal(4, 3),
        torch=lambda t, x: t.nn.functional.pad(x, (0, 1, 1, 2), value=3),
    )
    add(
        group,
        "pad by a mirror",
        lambda x: ops.pad(x, ((0, 0), (0, 0), (2, 1)), "reflect"),
        normal(2, 4),
        torch=lambda t, x: t.nn.functional.pad(x, (2, 1), "reflect"),
    )
    add(
        group,
        "diagonal",
        lambda x: ops.diagonal(x, 1, 1, 2) * ops.diagonal(x, -1, -2, -1)[:, :2],
        normal(4, 3),
        torch=lambda t, x: x.diagonal(1, 1, 2) * x.diagonal(-1, 1, 2)[:, :2],
    )
    add(
        group,
        "diag",
        lambda x, w: x @ (ops.diag(w) + ops.diag(w[1:], 1) + ops.diag(w[:2], -1)) + ops.diag(ops.outer(w, w)),
        normal(3),
        normal(3),
        torch=lambda t, x, w: x @ (t.diag(w) + t.diag(w[1:], 1) + t.diag(w[:2], -1)) + w * w,
    )
    add(
        group,
        "ravel",
        lambda x, w: x * ops.ravel(w) + ops.transpose(w)[0, 0],
        normal(6),
        normal(2, 3),
        torch=lambda t, x, w: x * w.ravel() + w[0, 0],
    )
    add(
        group,
        "append",
        lambda x: ops.append(ops.hstack([x, x * x]), x, 1),
        normal(4, 3),
        torch=lambda t, x: t.cat([x, x * x, x], 1),
    )
    add(
        group,
        "vstack",
        lambda x, w: x @ ops.vstack([w, w[0]]),
        normal(3),
        normal(2, 3),
        torch=lambda t, x, w: x @ t.vstack([w, w[0]]),
    )
    add(
        group,
        "rot90",
        lambda x: ops.rot90(x, 1, (1, 2)) * ops.rot90(x, 3, (1, 2)) + ops.rot90(x, 2, (2, 1)),
        normal(3, 3),
        torch=lambda t, x: t.rot90(x, 1, (1, 2)) * t.rot90(x, 3, (1, 2)) + t.rot90(x, 2, (1, 2)),
    )
    add(
        group,
        "zeros_like",
        lambda x: x * ops.ones_like(x) + ops.zeros_like(x) + ops.full_like(x, 2) + ops.empty_like(x),
        normal(3),
        torch=lambda t, x: x + 2,
    )
    add(
        group,
        "full",
        lambda x: x * (ops.full((ops.shape(x)[0], 3), 2.0, x.dtype) + ops.ones((None, 1), x.dtype) + ops.zeros((3,))),
        normal(3),
        torch=lambda t, x: x * 3,
    )
    add(group, "slice", lambda x: ops.slice(x, (0, 1, 2), (None, 3, 1)), normal(4, 3), torch=lambda t, x: x[:, 1:4, 2:])
    add(
        group,
        "slice_update",
        lambda x, y: ops.slice_update(x, (0, 1, 1), y),
        (normal(4, 3), normal(2, 2)),
        torch=lambda t, x, y: t.slice_scatter(x, t.slice_scatter(x[:, 1:3], y, 2, 1, 3), 1, 1, 3),
    )


def _indices(add):
    group = "indices"
    places = np.array([[2, 0], [-1, 2]])
    add(group, "take", lambda x: ops.take(x, places, 1), normal(3, 2), torch=lambda t, x: x[:, t.tensor(places)])
    add(
        group,
        "take of the last axis",
        lambda x: ops.take(x, [1, 1, 0], -1),
        normal(3, 2),
        torch=lambda t, x: x[..., [1, 1, 0]],
    )
    add(
        group, "take of a table", lambda i, w: ops.take(w, i, 0), labels(5, 3), normal(5, 2), torch=lambda t, i, w: w[i]
    )
    add(
        group,
        "take of a computed table",
        lambda i, w: ops.take(ops.tanh(w), i, 0),
        labels(5),
        normal(5, 2),
        torch=lambda t, i, w: t.tanh(w)[i],
    )
    add(
        group,
        "take_along_axis",
        lambda x, i: ops.take_along_axis(x, i, 1),
        (normal(3, 2), labels(3, 4, 2)),
        torch=lambda t, x, i: t.take_along_dim(x, i, 1),
    )
    add(
        group,
        "take_along_axis of one",
        lambda x, i, w: ops.take_along_axis(x, [[[1, 0]]], 1) + ops.take_along_axis(w, i, -1),
        (normal(3, 2), labels(4, 1, 2)),
        normal(1, 4),
        torch=lambda t, x, i, w: t.stack([x[:, 1, 0], x[:, 0, 1]], 1)[:, None] + w[0][i],
    )
    add(
        group,
        "argmax",
        lambda x: ops.take_along_axis(x, ops.argmax(x, 1, True), 1) + ops.argmin(x, -1, keepdims=True),
        normal(5),
        torch=lambda t, x: x.amax(1, True) + x.argmin(1, keepdim=True),
    )
    add(
        group,
        "sort",
        lambda x: ops.sort(x, 1) * x + ops.argsort(x, 1),
        normal(5, 2),
        torch=lambda t, x: x.sort(1).values * x + x.argsort(1),
    )
    add(
        group,
        "top_k",
        lambda x: ops.top_k(x, 3)[0] * ops.top_k(x, 3)[1],
        normal(5),
        torch=lambda t, x: x.topk(3).values * x.topk(3).indices,
    )
    add(
        group,
        "in_top_k",
        lambda x, i: ops.cast(ops.in_top_k(i, x, 2), x.dtype),
        (Draw((5,), "normal", False), labels(5)),
        torch=lambda t, x, i: (x.topk(2).indices == i[:, None]).any(-1).to(x.dtype),
    )
    add(
        group,
        "one_hot",
        lambda x, i: x * ops.one_hot(i, 4, dtype=x.dtype),
        (normal(4), labels(5)),
        torch=lambda t, x, i: x * t.nn.functional.one_hot(i, 5)[:, :4],
    )
    add(
        group,
        "multi_hot",
        lambda x, i: x * ops.multi_hot(i, 5, dtype=x.dtype),
        (normal(5), labels(5, 2)),
        torch=lambda t, x, i: x * t.nn.functional.one_hot(i, 5).amax(1),
    )
    add(
        group,
        "digitize",
        lambda x: x * ops.digitize(x, [-0.5, 0.1, 0.7]) + ops.searchsorted(np.array([0.0, 0.3]), x),
        normal(3),
        torch=lambda t, x: (
            x * t.bucketize(x.detach(), t.tensor([-0.5, 0.1, 0.7]), right=True)
            + t.bucketize(x.detach(), t.tensor([0.0, 0.3]))
        ),
    )
    add(
        group,
        "segment_sum",
        lambda x, w: x @ ops.segment_sum(w, [1, 0, 1, 2], 3),
        normal(3),
        normal(4, 2),
        torch=lambda t, x, w: x @ t.stack([w[1], w[0] + w[2], w[3]]),
    )


def _reductions(add):
    group = "more reductions"
    for name in ("min", "prod", "var", "std", "logsumexp", "median"):

        def torch_of(t, x, axis, keep, name=name):
            if name in ("var", "std"):
                return getattr(x, name)(axis, correction=0, keepdim=keep)
            found = {"min": "amin"}.get(name, name)
            if name == "median":
                return x.quantile(0.5, axis, keep)
            return getattr(x, found)(axis, keep)

        function = getattr(ops, name)
        for axis, keep in ((1, False), (-1, True)):
            add(
                group,
                f"{name} {axis}",
                lambda x, f=function, a=axis, k=keep: f(x, a, k),
                normal(4, 3),
                torch=lambda t, x, f=torch_of, a=axis, k=keep: f(t, x, a, k),
            )
    add(
        group,
        "prod with zeros",
        lambda x: ops.prod(ops.relu(x + 0.5), (1, 2)),
        normal(2, 3),
        torch=lambda t, x: t.relu(x + 0.5).prod(1).prod(1),
    )
    add(
        group,
        "std over the batch",
        lambda x: x * ops.std(x * x) + ops.var(x * x, 0) + ops.mean(x) + x,
        normal(3),
        torch=lambda t, x: x * (x * x).std(correction=0) + (x * x).var(0, correction=0) + x.mean() + x,
    )
    add(
        group,
        "any",
        lambda x: x * ops.any(x > 1, 1, True) + ops.all(x > -1, 1, True) + ops.count_nonzero(x > 0, 1)[:, None],
        normal(3),
        torch=lambda t, x: x * (x > 1).any(1, True) + (x > -1).all(1, True) + (x > 0).sum(1, True),
    )
    add(
        group,
        "max of integers",
        lambda x, i: x * ops.max(i, 1, True) + ops.min(i, (1,), initial=1)[:, None],
        (normal(3), labels(9, 3)),
        torch=lambda t, x, i: x * i.amax(1, True) + i.amin(1, True).clip(max=1),
    )
    add(
        group,
        "average",
        lambda x: ops.average(x, 1, np.array([1.0, 2.0, 4.0])) + ops.average(x, -1, x * x),
        normal(3),
        torch=lambda t, x: (x * t.tensor([1.0, 2, 4])).sum(1) / 7 + (x**3).sum(1) / (x * x).sum(1),
    )
    for name in ("cumsum", "cumprod"):
        function = getattr(ops, name)
        for axis in (1, -1):
            add(
                group,
                f"{name} {axis}",
                lambda x, f=function, a=axis: f(x, a),
                normal(4, 3),
                torch=lambda t, x, name=name, a=axis: getattr(x, name)(a),
            )
    add(group, "diff", lambda x: ops.diff(x, 2, 1), normal(5, 2), torch=lambda t, x: x.diff(n=2, dim=1))
    for order in (None, 1, 3, np.inf, -np.inf):
        add(
            group,
            f"norm {order}",
            lambda x, order=order: ops.norm(x, order, 1),
            normal(4, 3),
            torch=lambda t, x, order=order: t.linalg.vector_norm(x, 2 if order is None else order, 1),
        )
    add(
        group,
        "norm of matrices",
        lambda x: ops.norm(x, "fro", (1, 2)) * ops.norm(x[:, 0], 0, 1),
        normal(4, 3),
        torch=lambda t, x: t.linalg.matrix_norm(x) * 3,
    )
    add(
        group,
        "moments",
        lambda x: ops.moments(x, (1, 2))[0] + ops.moments(x, (1, 2), True)[1][:, 0, 0],
        normal(4, 3),
        torch=lambda t, x: x.mean((1, 2)) + x.var((1, 2), correction=0),
    )


def _products(add):
    group = "products"
    add(group, "matmul of each sample", ops.matmul, (normal(3, 4), normal(4, 5)), torch=lambda t, x, y: x @ y)
    add(
        group,
        "matmul, broadcast",
        lambda x, y: x @ y[:, None],
        (normal(2, 3, 4), normal(4, 2)),
        torch=lambda t, x, y: x @ y[:, None],
    )
    add(
        group, "matmul with matrices", lambda x, w: x @ w, normal(2, 3, 4), normal(2, 4, 5), torch=lambda t, x, w: x @ w
    )
    add(
        group,
        "matmul of matrices",
        lambda x, w: ops.matmul(w, x),
        normal(4, 3),
        normal(5, 4),
        torch=lambda t, x, w: w @ x,
    )
    add(
        group,
        "matmul with a vector",
        lambda x, w: ops.matmul(x, w[0]) + ops.dot(x, w[1]),
        normal(3, 4),
        normal(2, 4),
        torch=lambda t, x, w: x @ w[0] + x @ w[1],
    )
    for subscripts in ("bij,bjk->bik", "bij,bkj->bki", "bhqd,bhkd->bhqk", "bij,bij->b", "bi,bj->bij", "...i,...i->..."):
        left, right = subscripts.split("->")[0].split(",")
        sizes = {"b": 0, "i": 3, "j": 4, "k": 2, "h": 2, "q": 3, "d": 4}
        draws = tuple(normal(*(sizes[x] for x in term[1:] if x in sizes)) for term in (left, right))
        if "..." in subscripts:
            draws = normal(2, 3), normal(2, 3)
        add(
            group,
            f"einsum {subscripts}",
            lambda x, y, s=subscripts: ops.einsum(s, x, y),
            draws,
            torch=lambda t, x, y, s=subscripts: t.einsum(s, x, y),
        )
    for subscripts, sizes in {
        "bij,jk->bik": (4, 2),
        "bij,ijk->bk": (3, 4, 2),
        "bij,kj->bki": (2, 4),
        "bij,k->bijk": (2,),
        "jk,bij->bik": (4, 2),
        "bij,ik->bikj": (3, 2),
    }.items():

        def either(x, w, s=subscripts):
            return ops.einsum(s, *((w, x) if s.startswith("jk") else (x, w)))

        add(
            group,
            f"einsum {subscripts}",
            either,
            normal(3, 4),
            normal(*sizes),
            torch=lambda t, x, w, s=subscripts: t.einsum(s, *((w, x) if s.startswith("jk") else (x, w))),
        )
    add(
        group,
        "einsum of one",
        lambda x: ops.einsum("bii->bi", x) * ops.einsum("bij->b", x)[:, None],
        normal(3, 3),
        torch=lambda t, x: t.einsum("bii->bi", x) * t.einsum("bij->b", x)[:, None],
    )
    add(
        group,
        "einsum of three",
        lambda x, v, w: ops.einsum("bi,ij,jk->bk", x, v, w),
        normal(3),
        (normal(3, 4), normal(4, 2)),
        torch=lambda t, x, v, w: x @ v @ w,
    )
    add(
        group,
        "tensordot",
        lambda x, w: ops.tensordot(x, w, 2) + ops.tensordot(x, w, ((2, 1), (1, 0))),
        normal(3, 4),
        normal(3, 4, 2),
        torch=lambda t, x, w: 2 * t.tensordot(x, w, 2),
    )
    add(
        group,
        "inner",
        lambda x, w: ops.inner(x, w) * ops.vdot(w, w) + ops.trace(ops.outer(w[0], w[1])),
        normal(2, 4),
        normal(3, 4),
        torch=lambda t, x, w: t.inner(x, w) * (w * w).sum() + (w[0] * w[1]).sum(),
    )


def _networks(add):
    group = "networks"
    add(
        group,
        "normalize",
        lambda x: ops.normalize(x) + ops.normalize(x, 1, 1),
        normal(4, 3),
        torch=lambda t, x: t.nn.functional.normalize(x, dim=-1) + t.nn.functional.normalize(x, 1.0, 1),
    )
    add(
        group,
        "batch_normalization",
        lambda x, m, v, o, s: ops.batch_normalization(x, m, v, -1, o, s),
        normal(4, 3),
        (normal(3), positive(3), normal(3), normal(3)),
        torch=lambda t, x, m, v, o, s: (x - m) / (v + 1e-3).sqrt() * s + o,
    )
    add(
        group,
        "binary_crossentropy",
        lambda x, y: ops.binary_crossentropy(y, x, True) + ops.binary_crossentropy(y, ops.sigmoid(x)),
        (normal(3), Draw((3,), "probabilities", False)),
        torch=lambda t, x, y: 2 * t.nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none"),
    )
    add(
        group,
        "categorical_crossentropy",
        lambda x, y: ops.categorical_crossentropy(y, x, True) + (ops.categorical_crossentropy(y, ops.softmax(x))),
        (normal(4), Draw((4,), "one hot", False)),
        torch=lambda t, x, y: -2 * (y * t.log_softmax(x, -1)).sum(-1),
    )
    add(
        group,
        "sparse_categorical_crossentropy",
        lambda x, y: (
            ops.sparse_categorical_crossentropy(y, x, True) + ops.sparse_categorical_crossentropy(y, ops.softmax(x))
        ),
        (normal(4), labels(4, 1)),
        torch=lambda t, x, y: 2 * t.nn.functional.cross_entropy(x, y[:, 0], reduction="none"),
    )
    add(
        group,
        "depth_to_space",
        lambda x: ops.depth_to_space(x, 2),
        normal(2, 3, 8),
        torch=lambda t, x: x.reshape(-1, 2, 3, 2, 2, 2).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 6, 2),
    )
    add(
        group,
        "space_to_depth",
        lambda x: ops.space_to_depth(x, 2),
        normal(4, 2, 3),
        torch=lambda t, x: x.reshape(-1, 2, 2, 1, 2, 3).permute(0, 1, 3, 2, 4, 5).reshape(-1, 2, 1, 12),
    )
    add(
        group,
        "psnr",
        lambda x, y: x * ops.psnr(x, y, 2.0),
        (normal(3), normal(3)),
        torch=lambda t, x, y: x * (20 * np.log10(2) - 10 * t.log10(((x - y) ** 2).mean())),
    )
