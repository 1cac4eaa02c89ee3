"""Tiles for the gradients of a convolution that is followed by max pooling, whose gradient is mostly zeros.

Each pooled pixel of each filter sends its gradient to one of 2 x 2 pixels, so a quarter of the products of the dense
passes suffice.  Which ones differs between filters, so lanes are what a filter's window covers in one row: taps times
channels, neighbours in memory.
"""

from llvmlite import ir

from jitnet.kernels.cpu.tiles.pooling import first_maximum
from jitnet.kernels.cpu.tiles.simd import _INDEX, _INT, _tile

_BYTE = ir.IntType(8)


def _winner(e, argmax, index):
    """Row and column, 0 or 1, of the pixel that won."""
    tap = e.builder.load(e.builder.gep(argmax, [_INT(index)], source_etype=_BYTE), typ=_BYTE, align=1)
    tap = e.builder.zext(tap, _INT)
    return e.builder.lshr(tap, _INT(1)), e.builder.and_(tap, _INT(1))


def pooled_filter_tile(*, dtype, lanes, filter_block, rows, vectors, row_stride, x_row, channels, filters, columns):
    """Adds one image's part to the gradient of ``rows`` rows of taps of ``filter_block`` filters.

    Arguments: x, dy, argmax, sums, pooled_rows: addresses of the first window's first row, of the pooled gradient and
    the winners, and of the sums: ``vectors`` vectors for each row of taps, filters ``row_stride`` such rows apart.
    Elements of vectors past a window's row belong to nobody, but must exist.
    """
    places = [(g, r, v) for g in range(filter_block) for r in range(rows) for v in range(vectors)]

    def emit(e, x, dy, argmax, sums, pooled_rows):
        builder = e.builder
        offsets = [((g * row_stride + r) * vectors + v) * lanes for g, r, v in places]

        def pixel(carried):
            x_now, dy_now, argmax_now, *totals = carried
            result = []
            for g in range(filter_block):
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
        filter_block=filter_block, rows=rows, vectors=vectors, row_stride=row_stride, x_row=x_row, channels=channels,
        filters=filters, columns=columns,
    )  # fmt: skip
    return _tile("pooled_filter", dtype, lanes, 5, emit, constants)


def pooled_data_tile(*, dtype, lanes, rows, vectors, table_rows, dx_row, channels, filters, columns):
    """Adds to ``rows`` rows of dx what a row of ``columns`` pooled pixels sends there; the next row, two rows below.

    Arguments: dy, argmax, weights, dx, pooled_rows: addresses of an image's first elements and of the weights.
    ``weights``: for each filter and each column of the winner, ``table_rows`` rows of ``vectors`` vectors: the filter's
    taps, with zeros around them, for a winner in the upper row from the address on, in the lower one a row before it.
    Vectors reach past the window, where they add 0.
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


def phases_tile(*, dtype, lanes, row, taps, columns, plane, rows):
    """Copies an image of one channel to ``taps + 1`` times 2 planes, so that pooled pixels are neighbours in each.

    Element (i, q) of plane (t, parity) is pixel (2 i + parity, 2 q + t).  Arguments: image, planes; ``rows`` is even,
    ``row`` elements are from one row of the image to the next, ``plane`` from one plane to the next.  The vectors that
    are read and written reach past a row's end.
    """
    order = [ir.Constant(ir.VectorType(_INDEX, lanes), [_INDEX(2 * i + odd) for i in range(lanes)]) for odd in (0, 1)]

    def emit(e, image, planes):
        builder = e.builder

        def two_rows(carried):
            image_now, planes_now = carried
            for parity in range(2):
                for t in range(0, taps + 1, 2):
                    for q in range(0, columns, lanes):
                        at = parity * row + t + 2 * q
                        pair = e.load(image_now, at), e.load(image_now, at + lanes)
                        for odd in range(min(2, taps + 1 - t)):
                            value = builder.shuffle_vector(*pair, order[odd])
                            e.store(value, planes_now, ((t + odd) * 2 + parity) * plane + q)
            return [e.advance(image_now, 2 * row), e.advance(planes_now, columns)]

        e.loop(rows // 2, [e.pointer(image), e.pointer(planes)], two_rows)

    constants = dict(row=row, taps=taps, columns=columns, plane=plane, rows=rows)
    return _tile("phases", dtype, lanes, 2, emit, constants)


def pooled_forward_tile(*, dtype, lanes, filter_block, tap_rows, taps, filters, columns, plane, relu):
    """Convolution of one channel, bias, and the maximum over 2 x 2 pixels; lanes are pooled pixels.

    Arguments: planes, kernel, bias, y, argmax, blocks: addresses (planes as ``phases_tile`` makes them) and the number
    of vectors of pooled pixels.  ``filter_block`` filters share an input.  y and argmax are written a vector of up to 8
    filters at a time, in the order of memory; the last one reaches past the end.
    """
    width = min(lanes, 8)  # filters that are written at once

    def emit(e, planes, kernel, bias, y, argmax, blocks):
        builder = e.builder
        kernel, bias = e.pointer(kernel), e.pointer(bias)

        def part(value, first):
            order = ir.Constant(ir.VectorType(_INDEX, width), [_INDEX(first + i) for i in range(width)])
            return builder.shuffle_vector(value, value, order)

        def block(carried):
            planes_now, y_now, argmax_now = carried

            def pixels(i, t):
                return e.load(planes_now, (t * 2 + i % 2) * plane + i // 2 * columns)

            results = []
            for first in range(0, filters, filter_block):
                members = range(first, min(first + filter_block, filters))
                sums = {(k, window): e.broadcast(bias, k) for k in members for window in range(4)}
                for r in range(tap_rows):
                    upper, lower = pixels(r, 0), pixels(r + 1, 0)
                    for s in range(taps):
                        values = [upper, pixels(r, s + 1), lower, pixels(r + 1, s + 1)]
                        for k in members:
                            weight = e.broadcast(kernel, (r * taps + s) * filters + k)
                            for window in range(4):
                                sums[k, window] = e.multiply_add(weight, values[window], sums[k, window])
                        upper, lower = values[1], values[3]
                results += [first_maximum(e, [sums[k, window] for window in range(4)]) for k in members]
            if relu:
                results = [(e.relu(value), winner) for value, winner in results]
            bytes_ = ir.VectorType(_BYTE, e.lanes)
            winners = [builder.trunc(winner, bytes_) for _, winner in results]
            for at in range(0, e.lanes, width):
                rows, marks = [], []
                for first in range(0, filters, width):
                    members = slice(first, first + width)
                    rows.append(e.transposed([part(value, at) for value, _ in results[members]]))
                    marks.append(e.transposed([part(winner, at) for winner in winners[members]]))
                for i in range(width):
                    for j, first in enumerate(range(0, filters, width)):
                        offset = (at + i) * filters + first
                        builder.store(rows[j][i], e.advance(y_now, offset), align=e.itemsize)
                        pointer = builder.gep(argmax_now, [_INT(offset)], source_etype=_BYTE)
                        builder.store(marks[j][i], pointer, align=1)
            following = builder.gep(argmax_now, [_INT(e.lanes * filters)], source_etype=_BYTE)
            return [e.advance(planes_now, e.lanes), e.advance(y_now, e.lanes * filters), following]

        e.loop(blocks, [e.pointer(planes), e.pointer(y), e.pointer(argmax)], block)

    constants = dict(
        filter_block=filter_block, tap_rows=tap_rows, taps=taps, filters=filters, columns=columns, plane=plane,
        relu=relu,
    )  # fmt: skip
    return _tile("pooled_forward", dtype, lanes, 6, emit, constants)
