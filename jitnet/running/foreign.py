"""Data of other libraries as NumPy's arrays: frames and series of pandas and Polars, tensors of any library.

None of these libraries is imported here: data of a library can only come from whoever has imported it.
"""

import sys

import numpy as np


def _kinds(module: str, *names: str) -> tuple:
    """Classes of a library, () where it was not imported."""
    library = sys.modules.get(module)
    return tuple(getattr(library, name) for name in names if hasattr(library, name))


def as_array(x, what: str):
    """A frame, series or tensor of the host as an array, of the same memory where that is possible; or x itself.

    Raises ValueError for what is no array of numbers, with the way to make it one.
    """
    if isinstance(x, np.ma.MaskedArray):
        return _masked_values(x, what)
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, _kinds("pandas", "DataFrame")):
        return _pandas_frame(x, what)
    if isinstance(x, _kinds("pandas", "Series", "Index")):
        return _pandas_values(x, what)
    if isinstance(x, _kinds("polars", "DataFrame")):
        return _side_by_side([_polars_values(x[name], f"{what}[{name!r}]") for name in x.columns], what)
    if isinstance(x, _kinds("polars", "Series")):
        return _polars_values(x, what)
    if isinstance(x, _kinds("polars", "LazyFrame")):
        raise ValueError(f"{what} is a query that was not run: pass {what}.collect(). Received: LazyFrame")
    if isinstance(x, _kinds("pyarrow", "Table", "RecordBatch")):
        raise ValueError(f"{what} must be an array or a frame: pass {what}.to_pandas(). Received: {type(x).__name__}")
    if isinstance(x, _kinds("torch", "Tensor")):
        return _torch_values(x, what)
    if gives_samples(x):
        raise ValueError(
            f"{what} gives single samples: pass torch.utils.data.DataLoader({what}, batch_size=32, shuffle=True), "
            f"which makes batches of them. Received: {what}={type(x).__name__}"
        )
    if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
        try:
            return np.from_dlpack(x)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            message = f"{what} can't be read through DLPack: {error}. Received: {what}={type(x).__name__}"
            raise ValueError(message) from None
    return x


def gives_samples(x) -> bool:
    """Whether ``x`` is a data set of PyTorch, which gives single samples."""
    return isinstance(x, _kinds("torch.utils.data", "Dataset"))


def columns(x):
    """A frame as {name: column}, for several inputs or outputs; or x itself."""
    if isinstance(x, _kinds("pandas", "DataFrame") + _kinds("polars", "DataFrame")):
        return {str(name): x[name] for name in x.columns}
    return x


def _masked_values(x, what: str) -> np.ndarray:
    masked = np.ma.getmaskarray(x)
    if masked.any():
        place = tuple(int(i) for i in np.unravel_index(np.argmax(masked), x.shape))
        raise ValueError(
            f"{what} has masked values, which no step leaves out: fill them, {what}.filled(0) say, or leave samples "
            f"out by sample_weight. Received: a masked value at index {place}"
        )
    return x.data


def _side_by_side(values: list, what: str) -> np.ndarray:
    if not values:
        raise ValueError(f"{what} has no columns. Received: shape=(.., 0)")
    return np.stack(values, axis=1)


def _pandas_frame(frame, what: str) -> np.ndarray:
    if not frame.columns.is_unique:
        repeated = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"The columns of {what} need different names. Received: {repeated!r} twice")
    return _side_by_side([_pandas_values(frame[name], f"{what}[{name!r}]") for name in frame.columns], what)


def _pandas_values(series, what: str) -> np.ndarray:
    dtype = series.dtype
    kind = getattr(dtype, "kind", "O")
    if not isinstance(dtype, np.dtype):  # a kind of pandas's own
        kind = kind if kind in "fiub" and hasattr(dtype, "numpy_dtype") else "O"
    if kind not in "fiub":
        raise _no_numbers(what, str(dtype), getattr(dtype, "categories", None) is not None, f"{what}.cat.codes")
    missing = series.isna()
    if missing.any():
        raise _missing(what, int(np.argmax(np.asarray(missing))), "fillna", "dropna")
    return series.to_numpy() if isinstance(dtype, np.dtype) else series.to_numpy(dtype.numpy_dtype)


def _polars_values(series, what: str) -> np.ndarray:
    dtype = series.dtype
    name = str(dtype)
    if not (dtype.is_numeric() or name == "Boolean"):
        if name.startswith(("List", "Array")):
            raise ValueError(
                f"{what} has lists: pass {what}.to_numpy() of an Array, or numpy.stack({what}). Received: dtype={name}"
            )
        raise _no_numbers(what, name, name.startswith(("Categorical", "Enum")), f"{what}.to_physical()")
    if series.null_count():
        raise _missing(what, int(series.is_null().arg_max()), "fill_null", "drop_nulls")
    if dtype.is_float() and series.is_nan().any():
        raise _missing(what, int(series.is_nan().arg_max()), "fill_nan", "drop_nans")
    return series.cast(_kinds("polars", "Float64")[0]).to_numpy() if dtype.is_decimal() else series.to_numpy()


def _no_numbers(what: str, dtype: str, is_categorical: bool, codes: str) -> ValueError:
    way = codes if is_categorical else f"layers.StringLookup()({what}) of strings, or leave the column out"
    return ValueError(f"{what} must hold numbers: pass {way}. Received: dtype={dtype}")


def _missing(what: str, row: int, fill: str, drop: str) -> ValueError:
    return ValueError(f"{what} lacks the value of row {row}: use {fill} or {drop} of the frame. Received: NaN or null")


def _torch_values(tensor, what: str) -> np.ndarray:
    if tensor.requires_grad:
        raise ValueError(
            f"{what} belongs to PyTorch's record of gradients: pass {what}.detach(). Received: requires_grad=True"
        )
    if tensor.layout is not sys.modules["torch"].strided:
        raise ValueError(f"{what} must be dense: pass {what}.to_dense(). Received: layout={tensor.layout}")
    if tensor.device.type != "cpu":
        raise ValueError(f"{what} must lie on the host: pass {what}.cpu(). Received: device={tensor.device}")
    try:
        return tensor.resolve_conj().resolve_neg().numpy()
    except TypeError:
        raise ValueError(f"NumPy lacks the dtype of {what}: pass {what}.float(). Received: {tensor.dtype}") from None
