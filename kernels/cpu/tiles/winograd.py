"""Tiles of Winograd's convolution: its transforms of images, weights and results, one vector of channels at a time.

Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308: m x m outputs of a 3x3
convolution are Y = A^T [(G g G^T) * (B^T d B)] A with d the (m + 2) x (m + 2) inputs that they read.  The elementwise
product of all channels and filters is one product of matrices for each of the (m + 2)^2 positions, which
``matrix_tile`` of ``tiles.simd`` computes.  The derivative of that by g is G^T [(B^T d B) * (A dY A^T)] G.
"""

import itertools
from fractions import Fraction

from llvmlite import ir

from jitnet.kernels.cpu.tiles.simd import _INT, _finish, _tile

# {m: (B^T, G, A^T)}, section 4.1 and 4.3 of the paper
_F = Fraction
_MATRICES = {
    2: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [_F(1, 2)] * 3, [_F(1, 2), _F(-1, 2), _F(1, 2)], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
    4: (
        [
            [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
        ],
        [
            [_F(1, 4), 0, 0], [_F(-1, 6)] * 3, [_F(-1, 6), _F(1, 6), _F(-1, 6)], [_F(1, 24), _F(1, 12), _F(1, 6)],
            [_F(1, 24), _F(-1, 12), _F(1, 6)], [0, 0, 1],
        ],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    ),
}  # fmt: skip


def _sum(e, coefficients, values):
    """The sum of coefficient * value; None if there is no term."""
    terms = [(c, v) for c, v in zip(coefficients, values, strict=True) if c]
    terms.sort(key=lambda term: abs(term[0]) != 1)  # a plain value first: the others are added to it in one step
    total = None
    for coefficient, value in terms:
        constant = ir.Constant(e.vector, [e.element(float(coefficient))] * e.lanes)
        if total is None:
            total = value if coefficient == 1 else e.builder.fmul(value, constant)
        elif abs(coefficient) == 1:
            total = (e.builder.fadd if coefficient == 1 else e.builder.fsub)(total, value)
        else:
            total = e.multiply_add(value, constant, total)
    return total


def _multiply(e, matrix, values):
    """``matrix`` times the column of ``values``.

    Rows (1, 2) and (3, 4), or columns, that differ only in signs are computed from a common sum and difference.
    """
    matrix, values = [list(row) for row in matrix], list(values)
    for a in range(1, len(values) - 1, 2):
        if all(abs(row[a]) == abs(row[a + 1]) for row in matrix):
            x, y = values[a : a + 2]
            values[a : a + 2] = e.builder.fadd(x, y), e.builder.fsub(x, y)
            for row in matrix:
                row[a : a + 2] = (row[a], 0) if row[a] == row[a + 1] else (0, row[a])
    results, at = [], 0
    while at < len(matrix):
        row, below = matrix[at], matrix[at + 1] if at % 2 and at + 1 < len(matrix) else None
        if below and all(abs(a) == abs(b) for a, b in zip(row, below, strict=True)):
            even = _sum(e, [a if a == b else 0 for a, b in zip(row, below, strict=True)], values)
            odd = _sum(e, [a if a != b else 0 for a, b in zip(row, below, strict=True)], values)
            results += [e.builder.fadd(even, odd), e.builder.fsub(even, odd)]
            at += 2
        else:
            results.append(_sum(e, row, values))
            at += 1
    return results


def _transposed(matrix):
    return [list(column) for column in zip(*matrix, strict=True)]


def _multiply_both_sides(e, matrix, values):
    """matrix @ square @ matrix^T, of which both squares are lists, row after row."""
    size = len(matrix[0])
    columns = [_multiply(e, matrix, values[j::size]) for j in range(size)]
    rows = [_multiply(e, matrix, row) for row in zip(*columns, strict=True)]
    return [value for row in rows for value in row]


def _over_vectors(e, most, masked, size, valid, body):
    """``body(offset, mask)`` for ``valid`` elements, up to the last of ``size``, but no more than ``most`` vectors."""
    if not e.hardware_masks:
        whole = e.minimum(e.builder.sdiv(valid, _INT(e.lanes)), _INT(most))

        def vectors(first, count, mask):
            def vector(carried):
                body(carried[0], mask)
                return [e.builder.add(carried[0], _INT(e.lanes))]

            return e.loop(count, [first], vector)[0]

        offset = vectors(_INT(0), whole, None)
        if size % e.lanes:
            end = e.minimum(valid, _INT(most * e.lanes))
            there = e.builder.zext(e.builder.icmp_signed("<", offset, end), _INT)
            vectors(offset, there, e.constant_mask(size % e.lanes))
        return
    count = e.builder.sdiv(e.builder.add(valid, _INT(e.lanes - 1)), _INT(e.lanes))

    def vector(carried):
        (offset,) = carried
        body(offset, e.lane_mask(e.builder.sub(valid, offset)) if masked else None)
        return [e.builder.add(offset, _INT(e.lanes))]

    e.loop(e.minimum(count, _INT(most)), [_INT(0)], vector)


def _pixels(e, first, row, column, size, rows, columns, otherwise):
    """Pointers to ``size`` x ``size`` pixels from ``first`` on; ``otherwise`` where outside rows and columns.

    ``rows``, ``columns``: from where to where pixels exist, counted from the first one; ``row``, ``column``: distances.
    """
    builder = e.builder

    def inside(i, bounds):
        low, high = bounds
        return builder.and_(builder.icmp_signed(">=", _INT(i), low), builder.icmp_signed("<", _INT(i), high))

    row_inside = [inside(i, rows) for i in range(size)]
    column_inside = [inside(j, columns) for j in range(size)]
    starts = [e.advance(first, builder.mul(_INT(i), row)) for i in range(size)]
    pointers = []
    for i, j in itertools.product(range(size), repeat=2):
        exists = builder.and_(row_inside[i], column_inside[j])
        pointers.append(builder.select(exists, e.advance(starts[i], j * column), otherwise))
    return pointers


def image_tile(*, dtype, lanes, hardware_masks, outputs, gradient, channels, pitch, vectors):
    """B^T d B of one tile of inputs or, as ``gradient``, A d A^T of one tile of outputs' gradients.

    Arguments: x, x_row, first_row, end_row, first_column, end_column, zeros, target, valid: the address of the tile's
    first pixel (which need not exist), the distance of rows, from where to where rows and columns of the tile exist,
    the address of zeros, that of the result, whose positions lie ``pitch`` elements apart, and how many channels of
    the ``vectors`` exist.  Pixels lie ``channels`` elements apart.
    """
    matrix = _transposed(_MATRICES[outputs][2]) if gradient else _MATRICES[outputs][0]

    def emit(e, x, x_row, first_row, end_row, first_column, end_column, zeros, target, valid):
        rows, columns = (first_row, end_row), (first_column, end_column)
        pointers = _pixels(e, e.pointer(x), x_row, channels, len(matrix[0]), rows, columns, e.pointer(zeros))
        target = e.pointer(target)

        def body(offset, mask):
            results = _multiply_both_sides(e, matrix, [e.load(pointer, offset, mask) for pointer in pointers])
            target_now = e.advance(target, offset)
            for position, result in enumerate(results):
                e.store(result, target_now, position * pitch, mask)

        _over_vectors(e, vectors, channels % lanes != 0, channels, valid, body)

    constants = dict(outputs=outputs, gradient=gradient, channels=channels, pitch=pitch, vectors=vectors)
    return _tile("winograd_image", dtype, lanes, 9, emit, constants, hardware_masks)


def output_tile(*, dtype, lanes, hardware_masks, outputs, filters, pitch, vectors, epilogue):
    """A^T M A of one tile, for ``vectors`` vectors of filters, and what is fused into the store.

    Arguments: source, y, y_row, rows, columns, nowhere, valid_filters, bias, auxiliary, auxiliary_row: the addresses of
    the sums, whose positions lie ``pitch`` elements apart, and of the tile's first output, the distance of rows, how
    many rows and columns of the tile exist, the address of elements that take the place of outputs that do not exist,
    and for epilogues the address of the bias, and address and distance of rows of an array like the output.
    """
    positions = (outputs + 2) ** 2

    def emit(e, source, y, y_row, rows, columns, nowhere, valid_filters, bias, auxiliary, auxiliary_row):
        nowhere = e.pointer(nowhere)
        bounds = (_INT(0), rows), (_INT(0), columns)
        pointers = _pixels(e, e.pointer(y), y_row, filters, outputs, *bounds, nowhere)
        source, bias, auxiliaries = e.pointer(source), e.pointer(bias), []
        if epilogue in ("relu_mask", "bias_add", "bias_add_relu"):
            auxiliaries = _pixels(e, e.pointer(auxiliary), auxiliary_row, filters, outputs, *bounds, nowhere)

        def body(offset, mask):
            source_now = e.advance(source, offset)
            sums = [e.load(source_now, position * pitch) for position in range(positions)]
            results = [[value] for value in _multiply_both_sides(e, _MATRICES[outputs][2], sums)]
            here = [e.advance(pointer, offset) for pointer in pointers]
            auxiliaries_here = [e.advance(pointer, offset) for pointer in auxiliaries]
            _finish(e, results, epilogue, here, e.advance(bias, offset), auxiliaries_here, [mask])

        _over_vectors(e, vectors, filters % lanes != 0, filters, valid_filters, body)

    constants = dict(outputs=outputs, filters=filters, pitch=pitch, vectors=vectors, epilogue=epilogue)
    return _tile("winograd_output", dtype, lanes, 10, emit, constants, hardware_masks)


def weight_tile(*, dtype, lanes, hardware_masks, outputs, channels, filters, columns):
    """G g G^T of some channels, for ``columns`` filters from one on; zeros take the place of filters that don't exist.

    Arguments: kernel, target, count, valid_filters: the addresses of the first of the weights and of the results, and
    the number of channels.  The weights are part of (3, 3, channels, filters), the results of (positions, channels,
    columns).
    """

    def emit(e, kernel, target, count, valid_filters):
        def channel(carried):
            kernel_now, target_now = carried

            def body(offset, mask):
                here, there = e.advance(kernel_now, offset), e.advance(target_now, offset)
                taps = [e.load(here, tap * channels * filters, mask) for tap in range(9)]
                for position, result in enumerate(_multiply_both_sides(e, _MATRICES[outputs][1], taps)):
                    e.store(result, there, position * channels * columns)

            _over_vectors(e, columns // lanes, filters % columns != 0, filters, valid_filters, body)
            return [e.advance(kernel_now, filters), e.advance(target_now, columns)]

        e.loop(count, [e.pointer(kernel), e.pointer(target)], channel)

    constants = dict(outputs=outputs, channels=channels, filters=filters, columns=columns)
    return _tile("winograd_weight", dtype, lanes, 4, emit, constants, hardware_masks)


def filter_result_tile(*, dtype, lanes, hardware_masks, outputs, channels, filters, pitch, vectors):
    """Adds G^T P G to the gradient of the weights of some channels, for ``vectors`` vectors of filters.

    Arguments: source, dkernel, count, valid_filters: the addresses of the first channel's sums, whose positions lie
    ``pitch`` elements apart, and of its part of the gradient (3, 3, channels, filters), and the number of channels.
    """
    positions = (outputs + 2) ** 2

    def emit(e, source, dkernel, count, valid_filters):
        def channel(carried):
            source_now, target_now = carried

            def body(offset, mask):
                here, there = e.advance(source_now, offset), e.advance(target_now, offset)
                sums = [e.load(here, position * pitch) for position in range(positions)]
                results = [[value] for value in _multiply_both_sides(e, _transposed(_MATRICES[outputs][1]), sums)]
                places = [e.advance(there, tap * channels * filters) for tap in range(9)]
                _finish(e, results, "accumulate", places, None, None, [mask])

            _over_vectors(e, vectors, filters % lanes != 0, filters, valid_filters, body)
            return [e.advance(source_now, vectors * lanes), e.advance(target_now, filters)]

        e.loop(count, [e.pointer(source), e.pointer(dkernel)], channel)

    constants = dict(outputs=outputs, channels=channels, filters=filters, pitch=pitch, vectors=vectors)
    return _tile("winograd_filter_result", dtype, lanes, 4, emit, constants, hardware_masks)
