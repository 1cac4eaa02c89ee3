"""jitnet.ops on NumPy arrays: the functions that NumPy has are its, but for floats, which are of floatx."""

import colorsys

import numpy as np
import pytest

import jitnet
from jitnet import layers, ops

GENERATOR = np.random.default_rng(0)
X, Y = (GENERATOR.normal(size=(3, 4)).astype("float32") for _ in range(2))
P, Z = np.abs(X) + 1, np.tanh(X)  # from 1 on, between -1 and 1
N, J = GENERATOR.integers(-9, 10, (3, 4)), GENERATOR.integers(1, 5, (3, 4))
B = X > 0
G = np.where(X > 1, np.nan, X)  # with gaps
V = X[0]

ONE = (P,), (N,), (P.astype("float64"),)
TWO = (X, Y), (N, J), (X, J[0]), (X, 2), (2.5, J), (N, 3)
# {name: arguments of several calls}: of NumPy's function of that name
SAME = {
    **dict.fromkeys(
        ("exp", "sqrt", "square", "absolute", "negative", "sign", "sin", "cos", "log1p", "expm1", "arctan", "floor",
         "ceil", "trunc", "exp2", "tan", "sinh", "cosh", "arcsinh", "deg2rad", "rad2deg", "tanh", "isnan", "isinf",
         "isfinite", "logical_not", "ravel", "flip", "count_nonzero", "any", "all", "cumsum", "cumprod", "sort",
         "argsort", "argmax", "argmin", "median", "average", "sum", "mean", "max", "min", "prod", "var", "std", "round",
         "nan_to_num", "diff", "diagonal", "trace", "tril", "triu", "transpose", "diag", "squeeze", "rot90"),
        ONE,
    ),
    "log": [(P,), (np.array([0.0, 1.0]),)], "log2": [(P,)], "log10": [(P,), ([1.0, 2.0],)],
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), ((Z,),)), "arccosh": [(P,)],
    **dict.fromkeys(
        ("add", "subtract", "multiply", "divide", "maximum", "minimum", "mod", "floor_divide", "equal", "not_equal",
         "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor", "isclose"),
        TWO,
    ),
    **dict.fromkeys(("arctan2", "logaddexp", "hypot", "heaviside"), ((X, Y), (X, 2.0))),
    "divmod": [(N, J), (X, 0.7)], "power": [(P, Y), (P, 3), (J, 2)],
    "clip": [(X, -0.5, 0.5), (N, -2, None)],
    "where": [(B, X, Y), (B, X, 0.0), (B, 1, 2), (B,)], "select": [([X > 1, B], [X, -Y], 3.0)],
    "reshape": [(X, (2, 6)), (X, (-1,)), (X, 12)], "moveaxis": [(X[None], 0, -1)], "swapaxes": [(X, 0, 1)],
    "concatenate": [([X, Y],), ([X, N], 1)], "stack": [([X, Y],), ([X, Y], -1)], "append": [(X, Y), (X, Y, 1)],
    "vstack": [([X, V],)], "hstack": [([X, Y],)], "split": [(X, 3), (X, (1, 3), 1)],
    "expand_dims": [(X, 0), (X, (0, -1))], "roll": [(X, 2), (X, -1, 1)], "tile": [(X, (2, 1))],
    "repeat": [(X, 2), (X, (1, 2, 0), 0)], "broadcast_to": [(V, (5, 4))],
    "pad": [(X, ((1, 0), (0, 2))), (X, 1, "reflect"), (X, ((1, 1), (0, 0)), "edge")],
    "take": [(X, [0, -1]), (X, J - 1, 1), (X, 2)], "take_along_axis": [(X, J - 1, 1)],
    "matmul": [(X, Y.T), (X[None], Y.T), (V, V)], "dot": [(X, Y.T), (V, 3.0)], "inner": [(X, Y)], "outer": [(V, V)],
    "vdot": [(X, Y)], "tensordot": [(X, Y, 2), (X, Y, ([1], [1]))], "einsum": [("ij,kj->ik", X, Y), ("ij->j", X)],
    **dict.fromkeys(("fabs", "fliplr", "flipud", "ptp", "signbit", "copy", "diagflat", "isposinf", "isneginf"), ONE),
    **dict.fromkeys(("nanmax", "nanmin", "nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nancumsum", "nancumprod",
                     "nanargmax", "nanargmin", "nanmedian"), ((G,), (X, 1))),
    **dict.fromkeys(("fmax", "fmin", "fmod", "logaddexp2", "allclose"), ((X, Y), (X, 2.0))),
    "cbrt": [(X,), (N,)], "sinc": [(X,)], "ldexp": [(X, J)], "nextafter": [(X, Y)], "i0": [(X,)],
    "gcd": [(N, J)], "lcm": [(N, J)], "isin": [(N, [1, 2, 3]), (X, V, False, True)],
    "quantile": [(X, 0.3), (X, [0.1, 0.5], 1)], "percentile": [(X, 30.0, 1)],
    "nanquantile": [(G, 0.3)], "nanpercentile": [(G, 30.0, 1)],
    "array_split": [(X, 3, 1), (X, [1], 1)], "vsplit": [(X, 3)], "hsplit": [(X, 2)], "dsplit": [(X[None], 2)],
    "dstack": [([X, Y],), ([V, V],)], "array": [(X,)], "unravel_index": [(J, (3, 4))],
    "argpartition": [(V, 2)], "corrcoef": [(X,)], "correlate": [(V, V[:2])], "vander": [(V,), (V, 3, True)],
    "nonzero": [(B,)], "kron": [(X, Y)], "cross": [(X[:, :3], Y[:, :3])], "trapezoid": [(X,), (X, V)],
    "histogram": [(X, 4)], "geomspace": [(1, 8, 4)], "bincount": [(J[0],)],
    "bartlett": [(5,)], "blackman": [(5,)], "hamming": [(5,)], "hanning": [(5,)], "kaiser": [(5, 3.0)],
    "meshgrid": [(V, Y[0])], "digitize": [(X, np.array([-1.0, 0.0, 1.0]))],
    "zeros": [((2, 3),), (4,)], "ones": [((2, 3),)], "full": [((2, 3), 0.5), ((2, 4), V)],
    "zeros_like": [(X,), (N,)], "ones_like": [(X,)], "full_like": [(X, 3)], "eye": [(3,), (3, 4, 1)],
    "identity": [(3,)], "tri": [(3, 4, -1)], "arange": [(5,), (1, 7, 2), (0.0, 1.0, 0.25), (3, None)],
    "linspace": [(0, 1, 5), (0.0, 2.0, 4, False)], "logspace": [(0, 2, 4)], "size": [(X,)], "ndim": [(X,)],
    "shape": [(X,)],
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_what_numpy_has_is_numpys(name):
    for arguments in SAME[name]:
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(*arguments)
        found = getattr(ops, name)(*arguments)
        several = isinstance(expected, tuple | list)
        if name in ("shape", "size", "ndim"):
            assert found == expected
            continue
        wide = name in ("eye", "histogram") or any(getattr(x, "dtype", None) == np.float64 for x in arguments)
        for ours, theirs in zip(found if several else [found], expected if several else [expected], strict=True):
            theirs = np.asarray(theirs)
            kind = "float32" if theirs.dtype == np.float64 and not (wide and name != "eye") else theirs.dtype
            assert isinstance(ours, np.ndarray) and (ours.dtype == kind or name in ("digitize", "full_like")), name
            np.testing.assert_array_equal(ours, theirs.astype(ours.dtype))


def test_axes_and_flags_by_name():
    for name in ("sum", "mean", "max", "min", "var", "std", "any", "all", "median", "prod", "argmax"):
        given = {"axis": 1, "keepdims": True}
        np.testing.assert_array_equal(getattr(ops, name)(X, **given), getattr(np, name)(X, **given), err_msg=name)
    np.testing.assert_array_equal(ops.max(X, initial=9), np.max(X, initial=9))
    np.testing.assert_array_equal(ops.average(X, 1, Y + 9), np.average(X, 1, Y + 9).astype("float32"))
    np.testing.assert_array_equal(ops.cumsum(N, 1, "float64"), np.cumsum(N, 1, "float64"))
    np.testing.assert_allclose(ops.norm(X, axis=1), np.linalg.norm(X, axis=1))
    assert ops.isclose(np.nan, np.nan, equal_nan=True)


def test_floats_are_of_floatx():
    assert ops.exp(0.5).dtype == ops.add(1, 0.5).dtype == ops.divide(N, 2).dtype == ops.mean([1, 2]).dtype == np.float32
    assert ops.exp(N).dtype == ops.zeros(3).dtype == ops.linspace(0, 1, 3).dtype == np.float32
    jitnet.set_floatx("float64")
    assert ops.exp(0.5).dtype == ops.add(1, 0.5).dtype == ops.divide(N, 2).dtype == ops.zeros(3).dtype == np.float64


def test_the_others():
    np.testing.assert_allclose(ops.rsqrt(P), 1 / np.sqrt(P), rtol=1e-6)
    np.testing.assert_allclose(ops.reciprocal(np.array([2, 4])), [0.5, 0.25])
    np.testing.assert_allclose(ops.erf(np.float32([-1, 0, 0.5])), [-0.8427008, 0, 0.5204999], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ops.logsumexp(X, 1), np.log(np.exp(X).sum(1)), rtol=1e-6)
    np.testing.assert_array_equal(ops.logsumexp(np.full((2, 3), -np.inf), 1), [-np.inf] * 2)
    np.testing.assert_array_equal(ops.saturate_cast(X * 200, "uint8"), np.clip(X * 200, 0, 255).astype("uint8"))
    np.testing.assert_array_equal(ops.saturate_cast(np.array([3e9, -3e9]), "int32"), [2**31 - 128, -(2**31)])
    values, places = ops.top_k(X, 2)
    np.testing.assert_array_equal(values, -np.sort(-X, 1)[:, :2])
    np.testing.assert_array_equal(np.take_along_axis(X, places, 1), values)
    np.testing.assert_array_equal(ops.in_top_k(np.array([0, 1, 2]), X, 4), [True] * 3)
    rows = ops.one_hot(np.array([2, -1, 0, 5]), 3)
    np.testing.assert_array_equal(rows, [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(ops.one_hot([1, 0], 2, axis=0), [[0, 1], [1, 0]])
    np.testing.assert_array_equal(ops.multi_hot(np.array([[0, 2], [1, 1]]), 3), [[1, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(ops.searchsorted(np.array([0.0, 1.0]), X), np.searchsorted([0.0, 1.0], X))
    np.testing.assert_array_equal(ops.slice(X, (1, 2), (2, 1)), X[1:, 2:3])
    np.testing.assert_array_equal(ops.slice_update(X, (1, 2), np.ones((2, 1)))[1:, 2], [1, 1])
    np.testing.assert_array_equal(ops.scatter([[0], [2], [0]], np.array([1, 2, 3]), (4,)), [4, 0, 2, 0])
    np.testing.assert_array_equal(ops.scatter_update(V, [[1], [3]], [8, 9])[[1, 3]], [8, 9])
    np.testing.assert_array_equal(ops.segment_sum(N, [1, 0, 1]), [N[1], N[0] + N[2]])
    assert [part.shape for part in ops.unstack(X, axis=1)] == [(3,)] * 4
    np.testing.assert_allclose(ops.normalize(X), X / np.linalg.norm(X, axis=1, keepdims=True), rtol=1e-6)
    mean, variance = ops.moments(X, 0)
    np.testing.assert_allclose([mean, variance], [X.mean(0), X.var(0)], rtol=1e-5)
    normal = ops.batch_normalization(X, X.mean(0), X.var(0), -1, V, 2 * V)
    np.testing.assert_allclose(normal, (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-3) * 2 * V + V, rtol=1e-5)
    np.testing.assert_allclose(ops.psnr(X, Y, 2.0), 10 * np.log10(4 / ((X - Y) ** 2).mean()), rtol=1e-6)
    image = np.arange(24, dtype="float32").reshape(1, 2, 3, 4)
    blocks = ops.depth_to_space(image, 2)
    assert blocks.shape == (1, 4, 6, 1) and blocks[0, 1, 0, 0] == 2 and blocks[0, 0, 1, 0] == 1
    np.testing.assert_array_equal(ops.space_to_depth(blocks, 2), image)
    assert not ops.empty((2, 2)).any() and ops.empty_like(N).dtype == N.dtype


def test_pieces():
    found = ops.unique(np.array([3, 1, 3]), return_inverse=True, return_counts=True, size=3)
    for ours, expected in zip(found, ([1, 3, 1], [1, 0, 1], [1, 2, 0]), strict=True):
        np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(ops.unique(X), np.unique(X))
    labels, scores = ops.ctc_decode(np.float32([[[0, 3, 0], [0, 1, 0], [2, 0, 0], [0, 1, 0]]]), [4])
    np.testing.assert_array_equal(labels, [[[1, 1, -1, -1]]])
    np.testing.assert_array_equal(scores, [[-7]])
    np.testing.assert_array_equal(ops.bincount(J), [np.bincount(row, minlength=J.max() + 1) for row in J])
    for name, function in (("segment_max", np.max), ("segment_min", np.min), ("segment_prod", np.prod)):
        found = getattr(ops, name)(N, [1, 0, 1], 2)
        np.testing.assert_array_equal(found, [N[1], function(N[[0, 2]], axis=0)])
    assert ops.segment_max(X, [1, 1, 1])[0, 0] == -np.inf and ops.segment_min(N, [1, 1, 1])[0, 0] > 1e9
    assert ops.segment_prod(X, [1, 1, 1])[0, 0] == 1
    quotients = np.where(N > 3, X / np.where(N > 3, N, 1), 0)
    np.testing.assert_allclose(ops.divide_no_nan(X, N * (N > 3)), quotients, rtol=1e-6)
    np.testing.assert_allclose(ops.erfc(np.float32([0.5])), [0.4795001], rtol=1e-5)
    np.testing.assert_allclose(ops.cdist(X, Y), np.linalg.norm(X[:, None] - Y, axis=-1), rtol=1e-6)
    np.testing.assert_array_equal(ops.get_item(X, (0, slice(1, 3))), X[0, 1:3])
    np.testing.assert_array_equal(ops.view(V, "int32"), V.view("int32"))
    np.testing.assert_array_equal(ops.vectorize(lambda a, b: a + b)(N, 1), N + 1)
    np.testing.assert_array_equal(ops.extract_sequences(X, 2, 2), X.reshape(3, 2, 2))
    windows = ops.unfold(np.arange(16.0).reshape(1, 1, 4, 4), 2, stride=2)
    np.testing.assert_array_equal(windows[0].T, [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]])
    np.testing.assert_array_equal(ops.fold(windows, 4, 2, stride=2).ravel(), np.arange(16))
    sequence = np.arange(10.0).reshape(1, 5, 2)
    np.testing.assert_array_equal(ops.adaptive_average_pool(sequence, 2)[0], [[2, 3], [6, 7]])
    np.testing.assert_array_equal(ops.adaptive_max_pool(sequence, 3)[0], [[2, 3], [6, 7], [8, 9]])
    logits = np.zeros((2, 3, 4), "float32")
    losses = ops.ctc_loss(np.array([[1, 2], [3, 1]]), logits, np.array([2, 1]), np.array([3, 3]))
    np.testing.assert_allclose(losses, -np.log([5 / 64, 6 / 64]), rtol=1e-5)


def test_rearrange():
    image = np.arange(48).reshape(1, 4, 4, 3)
    found = ops.rearrange(image, "b (h p) (w q) c -> b (h w) (p q c)", p=2, q=2)
    np.testing.assert_array_equal(found, image.reshape(1, 2, 2, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(1, 4, 12))
    assert ops.rearrange(layers.Input((4, 6)), "b h (w q) -> b (h w) q", q=2).shape == (None, 12, 2)
    for pattern, sizes in (("b h -> h", {}), ("b (h w) c -> b c", {}), ("b (h w) c d -> b h w c d", {}), ("b+h", {}),
                           ("b (h p) w c -> b h p w c", {"p": 3})):  # fmt: skip
        with pytest.raises(ValueError, match=r"rearrange.*Received: "):
            ops.rearrange(image, pattern, **sizes)


def test_images():
    pictures, image = GENERATOR.random((2, 7, 6, 3)).astype("float32"), ops.image
    hsv = image.rgb_to_hsv(pictures)
    expected = [colorsys.rgb_to_hsv(*pixel) for pixel in pictures.reshape(-1, 3)]
    np.testing.assert_allclose(hsv.reshape(-1, 3), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(image.hsv_to_rgb(hsv), pictures, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(image.rgb_to_grayscale(pictures)[..., 0], pictures @ [0.2989, 0.587, 0.114], rtol=1e-6)
    cut = image.crop_images(pictures[0], top_cropping=1, target_height=4, left_cropping=2, right_cropping=1)
    np.testing.assert_array_equal(cut, pictures[0, 1:5, 2:5])
    padded = image.pad_images(pictures, top_padding=1, bottom_padding=0, left_padding=2, target_width=9)
    np.testing.assert_array_equal(padded, np.pad(pictures, ((0, 0), (1, 0), (2, 1), (0, 0))))
    patches = image.extract_patches(pictures, (3, 2), (2, 1))
    np.testing.assert_array_equal(patches[1, 2, 3], pictures[1, 4:7, 3:5].ravel())
    bell = np.exp([-0.5, 0, -0.5])
    dot = np.zeros((1, 5, 5, 1), "float32")
    dot[0, 2, 2] = 1
    blurred = image.gaussian_blur(dot)[0, 1:4, 1:4, 0]
    np.testing.assert_allclose(blurred, np.outer(bell, bell) / bell.sum() ** 2, rtol=1e-5)
    edges = image.sobel_edges(dot)
    assert edges.shape == (1, 5, 5, 1, 2)
    np.testing.assert_array_equal(edges[0, 1:4, 1:4, 0, 0], np.outer([1, 0, -1], [1, 2, 1]))
    np.testing.assert_array_equal(edges[0, 1:4, 1:4, 0, 1], np.outer([1, 2, 1], [1, 0, -1]))
    # a window as large as the picture, of nearly equal weights
    square, twin = pictures[:, :6], pictures[::-1, :6]
    assert abs(image.ssim(square, square, filter_size=5) - 1).max() < 1e-5
    a, b = square.reshape(2, 36, 3).astype("float64"), twin.reshape(2, 36, 3).astype("float64")
    m, n = a.mean(1), b.mean(1)
    top = (2 * m * n + 1e-4) * (2 * ((a * b).mean(1) - m * n) + 9e-4)
    bottom = (m**2 + n**2 + 1e-4) * ((a * a + b * b).mean(1) - m**2 - n**2 + 9e-4)
    flat = image.ssim(square, twin, filter_size=6, filter_sigma=1e4)
    np.testing.assert_allclose(flat, (top / bottom).mean(-1), rtol=1e-3)
    moved = image.affine_transform(pictures, [1, 0, 1, 0, 1, -2, 0, 0], fill_value=0.5)
    np.testing.assert_allclose(moved[:, 2:, :-1], pictures[:, :-2, 1:], rtol=1e-6)
    assert (moved[:, :2] == 0.5).all() and (moved[:, :, -1] == 0.5).all()
    corners = np.float32([[0, 0], [5, 0], [0, 6], [5, 6]])
    seen = image.perspective_transform(pictures[0], corners, corners[[1, 0, 3, 2]])
    np.testing.assert_allclose(seen, pictures[0, :, ::-1], rtol=1e-4, atol=1e-5)
    row = np.arange(4.0)
    for mode, expected in (("constant", [9, 0, 3, 9]), ("nearest", [0, 0, 3, 3]), ("wrap", [3, 0, 3, 0]),
                           ("mirror", [1, 0, 3, 2]), ("reflect", [0, 0, 3, 3])):  # fmt: skip
        np.testing.assert_array_equal(image.map_coordinates(row, [[-1, 0, 3, 4]], 0, mode, 9), expected)
    between = image.map_coordinates(X, [[0.5], [1.25]], 1)
    np.testing.assert_allclose(between, [X[:2, 1:3].mean(0) @ [0.75, 0.25]], rtol=1e-6)


def test_losses():
    q = np.exp(X) / np.exp(X).sum(1, keepdims=True)
    hot, labels = np.eye(4, dtype="float32")[[0, 3, 1]], np.array([0, 3, 1])
    expected = -np.log(q[np.arange(3), labels])
    for found in (
        ops.categorical_crossentropy(hot, q), ops.categorical_crossentropy(hot, X, True),
        ops.sparse_categorical_crossentropy(labels, q), ops.sparse_categorical_crossentropy(labels[:, None], X, True),
    ):  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    s = 1 / (1 + np.exp(-X))
    expected = -(hot * np.log(s) + (1 - hot) * np.log(1 - s))
    for found in (ops.binary_crossentropy(hot, s), ops.binary_crossentropy(hot, X, True)):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_tensors():
    tensor, weight = layers.Input((3, 2)), jitnet.Variable(np.ones((2, 2), "float32"))
    assert ops.shape(tensor) == (None, 3, 2) and ops.ndim(tensor) == 3
    assert ops.size(tensor).batches == 6 and ops.size(ops.sum(tensor)) == 1
    assert ops.size(weight) == 4 and ops.dtype(weight) == "float32" == ops.dtype(0.5) and ops.dtype(N) == "int64"
    assert ops.is_tensor(tensor) and ops.is_tensor(X) and not ops.is_tensor([1.0])
    found = ops.convert_to_tensor([0.5, 1])
    assert found.dtype == np.float32 and ops.convert_to_tensor(N, "float32").dtype == np.float32
    assert ops.convert_to_tensor(tensor) is tensor and ops.convert_to_tensor(tensor, "int32").dtype == "int32"
    assert ops.convert_to_tensor([weight, weight]).shape == (2, 2, 2)
    copy = ops.convert_to_numpy(weight)
    copy[:] = 5
    assert weight.numpy().max() == 1 and ops.cast(X, "bool").dtype == bool
    assert ops.cast(tensor > 0, "uint8").dtype == "uint8"
    with pytest.raises(TypeError, match="symbolic"):
        ops.convert_to_numpy(tensor)
    assert ops.stop_gradient(X) is X


def test_every_function_is_called():
    """Here, or in the table of test_eager, which is about those that the engine computes."""
    import test_eager

    aliases = {name for name in ops.__all__ if getattr(ops, name).__name__ != name}
    functions = (test_the_others, test_losses, test_tensors, test_axes_and_flags_by_name, test_floats_are_of_floatx,
                 test_pieces, test_images, test_rearrange)  # fmt: skip
    here = {name for function in functions for name in function.__code__.co_names}
    import test_choices

    functions = [f for name, f in vars(test_choices).items() if name.startswith("test_")]
    here |= {name for function in functions for name in function.__code__.co_names}
    elsewhere = {"CustomOperation", "associative_scan", "linalg", "scan"} | here | set(test_eager.calls(3))
    assert set(ops.__all__) - aliases - set(SAME) - elsewhere == set()
    assert len(set(ops.__all__) - aliases) >= 150


# ---- what symbolic tensors refuse

T = layers.Input((3, 2), name="given")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: T[0], r"batch axis stays first and whole.*Received: index=0$"),
        (lambda: T[None], "batch axis stays first and whole"),
        (lambda: T[1:], "batch axis stays first and whole"),
        (lambda: T[:, 3], r"Axis 1 has indices from -3 to 2\. Received: index=3$"),
        (lambda: T[:, 2:2], "leaves nothing"),
        (lambda: T[:, [0, 1]], "there is ops.take"),
        (lambda: T[:, :, :, 0], "takes as many indices at most"),
        (lambda: T[:, True], "made of integers, slices"),
        (lambda: ops.expand_dims(T, 0), "places from 1 to 3"),
        (lambda: ops.squeeze(T, 1), r"drops axes of one element.*\(None, 3, 2\)"),
        (lambda: ops.stack([T, T])[:, 0], "stays whole"),
        (lambda: ops.split(T, 2, 1), "a number that divides 3"),
        (lambda: ops.split(T, 2), r"a number of parts that divides 1: .*Received: indices_or_sections=2$"),
        (lambda: ops.ravel(T), "would join the batch axis"),
        (lambda: ops.roll(T, 1), "needs an axis"),
        (lambda: ops.tile(T, (1, 2, 1, 1)), r"up to 3 numbers\. Received: repeats=\(1, 2, 1, 1\)$"),
        (lambda: ops.pad(T, ((0, 0), (1, 1))), "3 pairs"),
        (lambda: ops.broadcast_to(T, (None, 5, 2)), r"cannot repeat \(None, 3, 2\) to \(None, 5, 2\)"),
        (lambda: ops.where(T > 0), "needs x1 and x2"),
        (lambda: ops.where(T > 0, np.ones((4, 2)), 0.0), "can't be broadcast"),
        (lambda: ops.cumsum(T), "needs an axis"),
        (lambda: ops.argmax(T), "needs an axis"),
        (lambda: ops.argsort(T, 0), "batch axis"),
        (lambda: ops.top_k(T, 3), "k to be an integer from 1 to 2"),
        (lambda: ops.prod(T), "an axis that is not the batch's"),
        (lambda: ops.matmul(T, T), "agree before these"),
        (lambda: ops.einsum("bij,cij->bc", T, T), "keeps the batch axis"),
        (lambda: ops.einsum("bij,bkl->bikl,", T, T), "expects letters"),
        (lambda: ops.einsum("bij,bkj->bikz", T, T), "in an operand"),
        (lambda: ops.einsum("bij,bik->bjk", T, T[:, :2]), "one size of the axis 'i'"),
        (lambda: ops.outer(T, T), "would join the batch"),
        (lambda: ops.arange(ops.shape(T)[0]), "not the size of the batch"),
        (lambda: ops.zeros((2, None)), "but for the first"),
        (lambda: ops.slice(T, (1, 0, 0), (None, 1, 1)), "all of a batch: it starts at 0"),
        (lambda: ops.scatter_update(T, [[0]], T), "takes arrays"),
        (lambda: ops.segment_sum(T, [0]), "without a batch axis"),
        (lambda: ops.norm(T, "nuc", (1, 2)), "'fro' only"),
        (lambda: ops.cast(T, "float16"), "Unknown dtype of cast"),
        (lambda: ops.categorical_crossentropy(T, T, axis=1), "on the last axis"),
        (lambda: ops.depth_to_space(T, 2), r"tensors \(batch, height, width, channels\)"),
        (lambda: ops.transpose(layers.Input((2,) * 7), range(8)[::-1])[..., 0], "stays whole"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.unique(T), "takes arrays, no symbolic tensors: the size of what it returns depends on values"),
        (lambda: ops.nonzero(T), "ops.where"),
        (lambda: ops.argpartition(T, 1), "ops.argsort sorts all"),
        (lambda: ops.quantile(T, 1.5, 1), "from 0 to 1"),
        (lambda: ops.quantile(T, 0.5), "not the batch's"),
        (lambda: ops.image.map_coordinates(T, [[0], [0]], 1), "takes arrays"),
        (lambda: ops.image.crop_images(layers.Input((4, 4, 3)), 1), "two of three numbers for the height"),
        (lambda: ops.image.rgb_to_hsv(layers.Input((4, 4, 2))), "three channels"),
        (lambda: ops.image.gaussian_blur(layers.Input((4, 4, 2)), (2, 3)), "odd kernel_size"),
        (lambda: ops.cross(T, T), "three elements"),
        (lambda: ops.segment_max(T, [0]), "ops.segment_sum"),
        (lambda: ops.ctc_loss(T, T, None, None, 1), "blank as class 0"),
    ],
)
def test_refusals_of_what_arrays_have(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "Received: " in str(caught.value)


def test_iteration():
    with pytest.raises(TypeError, match="has no parts to go through"):
        list(T)
    rows = list(jitnet.Variable(np.eye(3, dtype="float32")))
    assert [row.shape for row in rows] == [(3,)] * 3


def test_types_of_booleans():
    mask = T > 0
    assert mask.dtype == (mask & mask).dtype == ops.where(mask, mask, False).dtype == mask[:, 0].dtype == "bool"
    assert (mask * T).dtype == ops.mean(mask, 1).dtype == (mask / 2).dtype == "float32"
    assert (mask * 2).dtype == (mask + mask).dtype == ops.sum(mask, 1).dtype == (-mask).dtype == "int32"
    whole = layers.Input((3,), dtype="int64")
    assert (whole * (whole > 2)).dtype == ops.max(whole, 1).dtype == (whole // 2).dtype == (whole % 2).dtype == "int64"
    assert ops.argmax(T, 1).dtype == ops.argsort(T).dtype == "int32"
    # written out, == is elementwise; asked whether it is true, and in lists and dicts, it is identity
    assert (T == T + 0).dtype == (T != 2).dtype == (T == T).dtype == "bool" and (T == T).shape == T.shape
    assert T != T + 0 and T == T and bool(T == T + 0) is False and {T: 1}[T] == 1 and T in [1, T] and T not in [T + 0]
    with pytest.raises(ValueError, match="Received: "):
        ops.cast(whole == T, "float32")
    assert [T, 1] == [T, 1] and [T] != [T + 0] and (T == "T") is False and bool(whole == T) is False and T is not None


def test_a_model_of_booleans():
    x = layers.Input((3,), name="x")
    mask = layers.Input((3,), dtype="bool", name="mask")
    model = jitnet.Model([x, mask], [x * mask, mask, ops.any(mask & (x > 0), 1)])
    given, chosen = X[:, :3], B[:, :3]
    products, same, found = model.predict([given, chosen], verbose=0)
    assert same.dtype == found.dtype == bool
    np.testing.assert_array_equal(products, given * chosen)
    np.testing.assert_array_equal(same, chosen)
    np.testing.assert_array_equal(found, (chosen & (given > 0)).any(1))
    for ours, theirs in zip(model([given, chosen]), (products, same, found), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_stop_gradient():
    variable = jitnet.Variable(np.float32([1, 2, 3]))

    def function(w, x):
        return ops.mean(ops.stop_gradient(w * x) * w)

    value, (gradient,) = jitnet.value_and_grad(lambda x: function(variable, x), variables=[variable])(X[:, :3])
    expected = X[:, :3].mean(0) * [1, 2, 3] / 3
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    assert np.isfinite(value)


ROW = np.array([[1, 0, 2]])


@pytest.mark.parametrize(
    "repeated",
    [
        lambda batch: ops.tile(ROW, (batch, 1)),
        lambda batch: ops.tile(ROW.astype("float64"), ops.stack([batch, 1])),
        lambda batch: ops.tile(ROW, ops.concatenate([ops.expand_dims(batch, -1), ops.convert_to_tensor([1])], 0)),
        lambda batch: ops.repeat(ROW, batch, axis=0),
        lambda batch: ops.broadcast_to(ROW, (batch, 3)),
        lambda batch: ops.broadcast_to(ROW[0], ops.stack([batch, 3])),
        lambda batch: ops.tile(ROW, (ops.cast(batch, "int64"), 1)),
        lambda batch: ops.repeat(ROW, ops.cast(batch, "int32"), 0),
        lambda batch: ROW * ops.ones((ops.cast(ops.cast(batch, "float32"), "int32"), 1)),
        lambda batch: ROW * ops.reshape(ops.ones((batch, 1, 1)), (ops.cast(batch, "int32"), 1)),
    ],
)
def test_a_row_for_each_sample(repeated):
    x = layers.Input((3,))
    model = jitnet.Model(x, x * repeated(ops.shape(x)[0]))
    for samples in (1, 5):
        found = model.predict(X[:samples, :1] * np.ones((1, 3), "float32"), verbose=0)
        np.testing.assert_allclose(found, X[:samples, :1] * ROW, rtol=1e-6)


def test_sizes_of_a_batch():
    x = layers.Input((3,))
    batch = ops.shape(x)[0]
    sizes = ops.concatenate([ops.expand_dims(batch, 0), np.array([4, 1])])
    assert sizes == (None, 4, 1) and sizes[0] is batch and [type(size) for size in sizes[1:]] == [int, int]
    model = jitnet.Model(x, [x * ops.multiply(batch, 2), x + ops.subtract(0.5, batch)])
    doubled, less = model.predict(np.ones((5, 3)), verbose=0)
    assert (doubled == 10).all() and (less == -3.5).all()
    with pytest.raises(ValueError, match=r"one row for each sample.*Received: shape=\(2, 3\)"):
        ops.tile(np.ones((2, 3)), (batch, 1))


def test_ctc_of_samples_of_different_lengths():
    torch = pytest.importorskip("torch")
    output, target = GENERATOR.normal(size=(4, 7, 5)).astype("float32"), GENERATOR.integers(1, 5, (4, 3))
    labels, steps = np.array([3, 1, 2, 2]), np.array([7, 4, 5, 6])
    given = torch.tensor(output, requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        given.log_softmax(-1).transpose(0, 1), torch.tensor(target), torch.tensor(steps), torch.tensor(labels),
        reduction="none",
    )  # fmt: skip
    expected.sum().backward()
    np.testing.assert_allclose(ops.ctc_loss(target, output, labels, steps), expected.detach(), rtol=1e-5)
    loss = jitnet.value_and_grad(lambda x, *numbers: ops.sum(ops.ctc_loss(numbers[0], x, *numbers[1:])))
    value, gradient = loss(output, target, labels, steps)
    np.testing.assert_allclose(value, expected.sum().item(), rtol=1e-5)
    np.testing.assert_allclose(gradient, given.grad, rtol=1e-4, atol=1e-6)

    def of_a_model(y_true, y_pred):
        batch, count = ops.cast(ops.shape(y_true)[0], "int64"), ops.shape(y_true)[1]
        return ops.ctc_loss(y_true, y_pred, ops.squeeze(count * ops.ones((batch, 1), "int64")), None)

    x = layers.Input((7, 5))
    model = jitnet.Model(x, layers.Identity()(x))
    model.compile("sgd", of_a_model)
    expected = torch.nn.functional.ctc_loss(
        given.log_softmax(-1).transpose(0, 1), torch.tensor(target), [7] * 4, [3] * 4, reduction="none"
    )
    assert model.evaluate(output, target, verbose=0) == pytest.approx(expected.mean().item(), rel=1e-5)


@pytest.mark.parametrize("subscripts", ["ab,ab->", "ab,ac->bc", "ab,ab->b", "ab->b", "ab->", "ab,ac,ad->cdb"])
def test_einsum_over_the_batch(subscripts):
    operands = [P, np.abs(Y), np.abs(np.sin(Y))][: subscripts.count(",") + 1]
    tensors = [layers.Input((4,)) for _ in operands]
    total = ops.sum(ops.sin(ops.einsum(subscripts, *tensors)))
    model = jitnet.Model(tensors, sum(tensors) + total)
    expected = sum(operands) + np.sum(np.sin(np.einsum(subscripts, *operands)))
    np.testing.assert_allclose(model.predict(operands, verbose=0), expected, rtol=1e-4, atol=1e-4)
    squares = jitnet.value_and_grad(lambda *x: ops.sum(ops.square(ops.einsum(subscripts, *x))))
    value, gradient = squares(*operands)
    less, more = (
        np.square(np.einsum(subscripts, *np.float64([P + step * Y, *operands[1:]]))).sum() for step in (-1e-3, 1e-3)
    )
    np.testing.assert_allclose(value, (less + more) / 2, rtol=1e-4)
    np.testing.assert_allclose((gradient * Y).sum(), (more - less) / 2e-3, rtol=1e-3)


@pytest.mark.parametrize("axis", [-1, 0])
def test_softmax_of_a_vector(axis):
    expected = np.exp(V) / np.exp(V).sum()
    np.testing.assert_allclose(ops.softmax(V, axis), expected, rtol=1e-6)
    np.testing.assert_allclose(ops.log_softmax(V.tolist(), axis), np.log(expected), rtol=1e-5)
    assert ops.sparsemax(V, axis).sum() == pytest.approx(1, rel=1e-6)
