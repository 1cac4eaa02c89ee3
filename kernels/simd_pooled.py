"""Tiles for the gradients of a convolution that is followed by max pooling, whose gradient is mostly zeros.

Each pooled pixel of each filter sends its gradient to one of 2 x 2 pixels, so a quarter of the products of the dense
passes suffice.  Which ones differs between filters, so lanes are what a filter's window covers in one row: taps times
channels, neighbours in memory.
"""

from llvmlite import ir

from jitnet.kernels.simd import _INT, _tile

_BYTE = ir.IntType(8)


def _winner(e, argmax, index):
    """Row and column, 0 or 1, of the pixel that won."""
    tap = e.builder.load(e.builder.gep(argmax, [_INT(index)], source_etype=_BYTE), typ=_BYTE, align=1)
    tap = e.builder.zext(tap, _INT)
    return e.builder.lshr(tap, _INT(1)), e.builder.and_(tap, _INT(1))


def pooled_filter_tile(*, dtype, lanes, group, rows, vectors, row_stride, x_row, channels, filters, columns):
    """Adds one image's share to the gradient of ``rows`` rows of taps of ``group`` filters.

    Arguments: x, dy, argmax, sums, pooled_rows: addresses of the first window's first row, of the pooled gradient and
    the winners, and of the sums: ``vectors`` vectors for each row of taps, filters ``row_stride`` such rows apart.
    Elements of vectors past a window's row belong to nobody, but must exist.
    """
    places = [(g, r, v) for g in range(group) for r in range(rows) for v in range(vectors)]

    def emit(e, x, dy, argmax, sums, pooled_rows):
        builder = e.builder
        offsets = [((g * row_stride + r) * vectors + v) * lanes for g, r, v in places]

        def pixel(carried):
            x_now, dy_now, argmax_now, *totals = carried
            result = []
            for g in range(group):
                down, right = _winner(e, argmax_now, g)
                offset = builder.add(builder.mul(down, _INT(x_row)), builder.mul(right, _INT(channels)))
                window = e.advance(x_now, offset)
                gradient = e.broadcast(dy_now, g)
                for r in range(rows):
                    for v in range(vectors):
                        value = e.load(window, r * x_row + v * lanes)
                        result.append(e.multiply_add(gradient, value, totals[len(result)]))
            following = builder.gep(argmax_now, [_INT(filters)], source_etype=_BYTE)
            return [e.advance(x_now, 2 * channels), e.advance(dy_now, filters), following, *result]

        def row(carried):
            _, *rest = e.loop(columns, carried, pixel)
            return [e.advance(carried[0], 2 * x_row), *rest]

        target = e.pointer(sums)
        totals = [e.load(target, offset) for offset in offsets]
        totals = e.loop(pooled_rows, [e.pointer(x), e.pointer(dy), e.pointer(argmax), *totals], row)[3:]
        for offset, total in zip(offsets, totals, strict=True):
            e.store(total, target, offset)

    constants = dict(
        group=group, rows=rows, vectors=vectors, row_stride=row_stride, x_row=x_row, channels=channels,
        filters=filters, columns=columns,
    )  # fmt: skip
    return _tile("pooled_filter", dtype, lanes, 5, emit, constants)


def pooled_data_tile(*, dtype, lanes, rows, vectors, table_rows, dx_row, channels, filters, columns):
    """Adds to ``rows`` rows of dx what each row of ``columns`` pooled pixels sends there, two rows further for the next.

    Arguments: dy, argmax, weights, dx, pooled_rows: addresses of an image's first elements and of the weights.  ``weights``: for each filter and each column of the winner, ``table_rows`` rows of ``vectors`` vectors: the
    filter's taps, with zeros around them, for a winner in the upper row from the address on, in the lower one a row
    before it.  Vectors reach past the window, where they add 0.
    """
    row_elements = vectors * lanes

    def emit(e, dy, argmax, weights, dx, pooled_rows):
        builder = e.builder

        def one_filter(carried):
            dy_now, argmax_now, weights_now, *totals = carried
            down, right = _winner(e, argmax_now, 0)
            offset = builder.sub(
                builder.mul(right, _INT(table_rows * row_elements)), builder.mul(down, _INT(row_elements))
            )
            taps = e.advance(weights_now, offset)
            gradient = e.broadcast(dy_now)
            totals = [e.multiply_add(gradient, e.load(taps, i * lanes), total) for i, total in enumerate(totals)]
            following = builder.gep(argmax_now, [_INT(1)], source_etype=_BYTE)
            return [e.advance(dy_now, 1), following, e.advance(weights_now, 2 * table_rows * row_elements), *totals]

        def pixel(carried):
            dy_now, argmax_now, dx_now = carried
            start = [dy_now, argmax_now, e.pointer(weights)] + [e.zero] * (rows * vectors)
            dy_now, argmax_now, _, *totals = e.loop(filters, start, one_filter)
            for i, total in enumerate(totals):
                offset = i // vectors * dx_row + i % vectors * lanes
                e.store(builder.fadd(e.load(dx_now, offset), total), dx_now, offset)
            return [dy_now, argmax_now, e.advance(dx_now, 2 * channels)]

        def row(carried):
            following = e.loop(columns, carried, pixel)
            return [*following[:2], e.advance(carried[2], 2 * dx_row)]

        e.loop(pooled_rows, [e.pointer(dy), e.pointer(argmax), e.pointer(dx)], row)

    constants = dict(
        rows=rows, vectors=vectors, table_rows=table_rows, dx_row=dx_row, channels=channels, filters=filters,
        columns=columns,
    )  # fmt: skip
    return _tile("pooled_data", dtype, lanes, 5, emit, constants)


def copy_rows_tile(*, dtype, lanes, count):
    """Copies rows of ``count`` elements.  Arguments: source, source_row, target, target_row, rows."""

    def emit(e, source, source_row, target, target_row, rows):
        builder = e.builder

        def vector(carried):
            source_now, target_now = carried
            e.store(e.load(source_now), target_now)
            return [e.advance(source_now, lanes), e.advance(target_now, lanes)]

        def row(carried):
            if count < lanes:
                for i in range(count):
                    value = builder.load(e.advance(carried[0], i), typ=e.element, align=e.itemsize)
                    builder.store(value, e.advance(carried[1], i), align=e.itemsize)
            else:
                e.loop(count // lanes, carried, vector)
                e.store(e.load(carried[0], count - lanes), carried[1], count - lanes)
            return [e.advance(carried[0], source_row), e.advance(carried[1], target_row)]

        e.loop(rows, [e.pointer(source), e.pointer(target)], row)

    return _tile("copy_rows", dtype, lanes, 5, emit, dict(count=count))
