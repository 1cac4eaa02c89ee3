"""Products of vectors, matrices and tensors."""

import numpy as np

from ..core import checks
from ..core.errors import invalid
from ..core.operations.base import display
from ..core.operations.dense import Matmul
from ..core.operations.matrices import MatrixProduct
from ..core.operations.strided import BroadcastTo, Diagonal
from ..core.policy import floatx
from ..core.values import Value, as_value
from ._calls import apply, on_arrays, publisher
from .comparisons import broadcast_shapes
from .elementwise import multiply, sqrt, square
from .reductions import sum
from .shapes import concatenate, expand_dims, moveaxis, reshape, squeeze, transpose

__all__ = []
public = publisher(__all__)


def _value(x):
    """A value of x; arrays get their dtype from the operation that they go to."""
    return x if isinstance(x, Value) else as_value(x, floatx() if np.asarray(x).dtype.kind == "f" else "int64")


@public
@on_arrays(np.matmul)
def matmul(x1, x2):
    """x1 (..., M, K) times x2 (..., K, N): (..., M, N), with NumPy's broadcasting of the axes before.

    x1 (batch, K) times a matrix (K, N) is (batch, N): each sample is a row.  A vector is a row of x1 or a column of x2.
    """
    sizes = [x.shape if isinstance(x, Value) else np.shape(x) for x in (x1, x2)]
    if len(sizes[1]) == 2 and None not in sizes[1] and len(sizes[0]) >= 2:
        return apply(Matmul(), x1, x2)
    x1, x2 = _value(x1), _value(x2)
    if x1.ndim == 1 and not x1.batched:
        return squeeze(matmul(expand_dims(x1, 0), x2), -2)
    if x2.ndim == 1 and not x2.batched:
        return squeeze(matmul(x1, expand_dims(x2, -1)), -1)
    for x in (x1, x2):
        if x.ndim - x.batched < 2:
            raise ValueError(
                "matmul multiplies matrices (M, K) and (K, N) of each sample, or rows (batch, K) by a matrix (K, N) "
                f"without a batch axis. Received: shapes {display(x1.shape)} and {display(x2.shape)}"
            )
    return MatrixProduct()(*_paired(x1, x2))


def _paired(x1, x2):
    """Both with the same axes before those of the matrices, or the one without a batch axis with the last of them."""
    batched = x1.batched or x2.batched
    ndim = max(x1.ndim, x2.ndim)
    leading = []
    for x in (x1, x2):
        shape = x.shape[:-2]
        if batched and x.ndim == ndim and not x.batched:
            if shape[0] != 1:
                raise invalid("matmul pairs the batch axis with a fixed size.", shapes=(x1.shape, x2.shape))
            shape = shape[1:]
        if x.batched and x.ndim < ndim:
            raise invalid("matmul needs a batch axis in front of all others.", shapes=(x1.shape, x2.shape))
        leading.append(shape[1:] if x.batched else shape)
    try:
        common = broadcast_shapes(*leading)
    except ValueError:
        raise invalid("matmul cannot broadcast the axes before the matrices.", shapes=(x1.shape, x2.shape)) from None
    found = []
    for x, shape in zip((x1, x2), leading, strict=True):
        if x.ndim - 2 - x.batched > len(shape):
            x = squeeze(x, 0)
        # one without a batch axis may have the last of these axes: it repeats
        suffix = not x.batched and shape == common[len(common) - len(shape) :]
        found.append(x if shape == common or suffix else BroadcastTo((*common, *x.shape[-2:]), x.batched)(x))
    return found


@public
@on_arrays(np.dot)
def dot(x1, x2):
    """The sum of products over the last axis of x1 and the last but one of x2, or its only one."""
    sizes = [len(x.shape) if isinstance(x, Value) else np.ndim(x) for x in (x1, x2)]
    if 0 in sizes:
        return multiply(x1, x2)
    if sizes[1] <= 2:
        return matmul(x1, x2)
    return tensordot(x1, x2, ([-1], [-2]))


@public
@on_arrays(np.inner)
def inner(x1, x2):
    """The sum of products over the last axes of both."""
    return tensordot(x1, x2, ([-1], [-1]))


@public
@on_arrays(np.vdot)
def vdot(x1, x2):
    """The sum of the products of all elements of two values without a batch axis."""
    return sum(multiply(x1, x2))


@public
@on_arrays(np.outer)
def outer(x1, x2):
    """Each element of x1 times each of x2, neither with a batch axis: (size of x1, size of x2)."""
    if any(x.batched for x in (x1, x2) if isinstance(x, Value)):
        raise invalid(
            'ops.outer would join the batch with other axes; of each sample there is ops.einsum("bi,bj->bij", x1, x2).',
            x1=x1, x2=x2,
        )  # fmt: skip
    return multiply(reshape(x1, (-1, 1)), reshape(x2, (1, -1)))


@public
@on_arrays(lambda x1, x2, axes: np.tensordot(x1, x2, axes))
def tensordot(x1, x2, axes=2):
    """The sum of products over axes of both, not the batch's: so many of the last of x1 and the first of x2, or
    those of two lists.
    """
    first, second = (x.ndim if isinstance(x, Value) else np.ndim(x) for x in (x1, x2))
    if isinstance(axes, int | np.integer):
        pair = list(range(first - axes, first)), list(range(axes))
    else:
        pair = [[a] if isinstance(a, int | np.integer) else list(a) for a in axes]
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    left = [next(letters) for _ in range(first)]
    right = [next(letters) for _ in range(second)]
    for a, b in zip(*pair, strict=True):
        right[b] = left[a]
    kept = [letter for letter in left + right if (letter in left) != (letter in right)]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", x1, x2)


@public
@on_arrays(np.trace)
def trace(x, offset=0, axis1=0, axis2=1):
    """The sum of the diagonal of two axes, not the batch's."""
    return sum(Diagonal(offset, axis1, axis2)(x), axis=-1)


@public
@on_arrays(np.einsum)
def einsum(subscripts, *operands):
    """Sums of products by Einstein's convention, as ``einsum("bij,bjk->bik", x, y)``: letters name axes.

    Letters that the result lacks are summed over; ``...`` stands for further axes.  The batch axis of an operand is its
    first, and the first of the result, or its letter is the first of all that have one and is summed over, too.
    """
    checks.text("ops.einsum", "subscripts", subscripts)
    values = [_value(x) for x in operands]
    terms, result = _parsed(subscripts, values)
    samples = {term[0] for term, value in zip(terms, values, strict=True) if value.batched} - set(result)
    if samples:
        return sum(_contracted(terms, [*samples, *result], values), 0)
    return _contracted(terms, result, values)


def _contracted(terms, result, values):
    """The sum of products with the axes ``result``, of which the batch's is one, if there is one."""
    while len(values) > 1:
        rest = set(result).union(*terms[2:])
        term, value = _product(terms[0], values[0], terms[1], values[1], rest, result)
        terms, values = [term, *terms[2:]], [value, *values[2:]]
    term, value = _summed(terms[0], values[0], set(result))
    order = [term.index(letter) for letter in result]
    return value if order == list(range(len(order))) else transpose(value, order)


def _parsed(subscripts: str, values) -> tuple[list[list[str]], list[str]]:
    """The letters of each operand and of the result, of further axes too."""
    text = subscripts.replace(" ", "")
    given, arrow, result = text.partition("->")
    terms = given.split(",")
    allowed = {",", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    if len(terms) != len(values) or set((given + result).replace("...", "")) - allowed or "," in result:
        raise invalid(f"ops.einsum expects letters for the axes of {len(values)} operands.", subscripts=subscripts)
    further = [v.ndim - len(t.replace("...", "")) for t, v in zip(terms, values, strict=True)]
    most = max([n for t, n in zip(terms, further, strict=True) if "..." in t], default=0)
    names = [f"...{n}" for n in range(most)]
    found = []
    for term, value, n in zip(terms, values, further, strict=True):
        if n < 0 or ("..." not in term and n) or term.count("...") > 1:
            raise invalid(
                f"ops.einsum expects a letter for each axis of {display(value.shape)}.", subscripts=subscripts
            )
        before, dots, after = term.partition("...")
        found.append([*before, *(names[most - n :] if dots else []), *after])
    if arrow:
        before, dots, after = result.partition("...")
        letters = [*before, *(names if dots else []), *after]
    else:
        every = [letter for term in found for letter in term]
        letters = names + sorted(x for x in set(every) if every.count(x) == 1 and x not in names)
    if len(set(letters)) < len(letters) or not set(letters) <= {x for term in found for x in term}:
        raise invalid("ops.einsum expects each letter of the result once, and in an operand.", subscripts=subscripts)
    sizes: dict = {}
    for term, value in zip(found, values, strict=True):
        for letter, size in zip(term, value.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise invalid(
                    f"ops.einsum expects one size of the axis {letter!r}.", subscripts=subscripts,
                    sizes=(sizes[letter], size),
                )  # fmt: skip
    firsts = {term[0] for term, value in zip(found, values, strict=True) if value.batched}
    if firsts and {letters[0] if letters else None} != firsts and (len(firsts) > 1 or firsts & set(letters)):
        raise invalid(
            "ops.einsum keeps the batch axis, the first of an operand, as the first of the result, or sums over it.",
            subscripts=subscripts, shapes=[value.shape for value in values],
        )  # fmt: skip
    return found, letters


def _summed(term, value, kept: set):
    """Without the letters that nothing else has, and without letters that are there twice."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            one, two = [i for i, x in enumerate(term) if x == letter][:2]
            value = Diagonal(0, one, two)(value)
            term = [x for i, x in enumerate(term) if i not in (one, two)] + [letter]
    axes = tuple(i for i, letter in enumerate(term) if letter not in kept)
    if axes:
        value = sum(value, axes)
    return [letter for letter in term if letter in kept], value


def _product(one, x, two, y, rest: set, result):
    """The product of two operands, summed over the letters that only they have: its letters, and the value."""
    one, x = _summed(one, x, rest | set(two))
    two, y = _summed(two, y, rest | set(one))
    if y.batched and not x.batched:  # samples come first
        one, x, two, y = two, y, one, x
    sizes = dict(zip([*one, *two], [*x.shape, *y.shape], strict=True))
    summed = [letter for letter in one if letter in two and letter not in rest]
    shared = [letter for letter in one if letter in two and letter in rest]
    left = [letter for letter in one if letter not in two]
    right = [letter for letter in two if letter not in one]
    # the batch, of x alone, is one more axis that y's matrices repeat along
    first = [letter for letter in left if sizes[letter] is None]
    if not shared and not y.batched:
        order = [*left, *summed]  # every axis of x is a row
        product = _rows_by_matrix(_order(one, x, order), _order(two, y, [*summed, *right]), len(summed), sizes, right)
        return [*left, *right], product
    left = [letter for letter in left if letter not in first]
    a = _matrices(_order(one, x, [*first, *shared, *left, *summed]), len(left), len(summed))
    b = _matrices(_order(two, y, [*shared, *summed, *right]), len(summed), len(right))
    product = MatrixProduct()(a, b)
    letters = [*first, *shared, *left, *right]
    shape = [sizes[letter] for letter in letters]
    if len(shape) == product.ndim:
        return letters, product
    return letters, reshape(product, tuple(-1 if size is None else size for size in shape))


def _order(letters, value, order):
    places = [letters.index(letter) for letter in order]
    return value if places == list(range(len(places))) else transpose(value, places)


def _rows_by_matrix(x, y, summed: int, sizes, right):
    """x (..., summed...) times y (summed..., right...)."""
    depth = int(np.prod(x.shape[x.ndim - summed :]))
    columns = int(np.prod(y.shape[summed:]))
    kept = tuple(-1 if size is None else size for size in x.shape[: x.ndim - summed])
    rows = reshape(x, (*(kept or (1,)), depth))
    product = apply(Matmul(), rows, reshape(y, (depth, columns)))
    return reshape(product, (*kept, *(sizes[letter] for letter in right)))


def _matrices(value, rows: int, columns: int):
    """The last ``rows`` and ``columns`` axes as those of matrices."""
    if rows == columns == 1:
        return value
    before = value.shape[: value.ndim - rows - columns]
    kept = tuple(-1 if size is None else size for size in before)
    down = int(np.prod(value.shape[len(before) : len(before) + rows]))
    return reshape(value, (*kept, down, int(np.prod(value.shape[len(before) + rows :]))))


@public
@on_arrays(lambda x1, x2, axisa, axisb, axisc, axis: np.cross(x1, x2, axisa, axisb, axisc, axis))
def cross(x1, x2, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """The vector product along axes of three elements, not the batch's."""
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    first, second = (moveaxis(_value(x), a, -1) for x, a in ((x1, axisa), (x2, axisb)))
    if first.shape[-1] != 3 or second.shape[-1] != 3:
        raise invalid("ops.cross multiplies vectors of three elements.", shapes=(first.shape, second.shape))
    a, b = ([x[..., i : i + 1] for i in range(3)] for x in (first, second))
    parts = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    return moveaxis(concatenate(parts, -1), -1, axisc)


@public
@on_arrays(np.kron)
def kron(x1, x2):
    """Kronecker's product of two matrices without a batch axis: (rows of both, columns of both)."""
    first, second = _value(x1), _value(x2)
    if first.batched or second.batched or first.ndim != 2 or second.ndim != 2:
        raise invalid("ops.kron takes matrices without a batch axis.", shapes=(first.shape, second.shape))
    (m, n), (p, q) = first.shape, second.shape
    products = reshape(first, (m * n, 1)) * reshape(second, (1, p * q))
    return reshape(transpose(reshape(products, (m, n, p, q)), (0, 2, 1, 3)), (m * p, n * q))


@public
@on_arrays(lambda x, y: np.sqrt(np.square(np.asarray(x)[..., :, None, :] - np.asarray(y)[..., None, :, :]).sum(-1)))
def cdist(x, y):
    """The distances between each of x (..., m, d) and each of y (..., n, d): (..., m, n)."""
    return sqrt(sum(square(expand_dims(x, -2) - expand_dims(y, -3)), axis=-1))
