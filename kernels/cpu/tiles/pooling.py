"""Tiles of max pooling with windows of 2 x 2 side by side, a row of windows at a time; lanes are channels.

A vector that is wider than a pixel runs over into the next one, which is written later: behind the row there must be
memory of ``lanes`` - 1 elements that may be read, and of the results written.
"""

from llvmlite import ir

from jitnet.kernels.cpu.tiles.simd import _INT, _tile_of_type

_BYTE = ir.IntType(8)


def first_maximum(e, values):
    """The maximum of four vectors and the number of the one that has it: the first maximum, or the first NaN."""
    builder = e.builder
    number = ir.VectorType(ir.IntType(8 * e.itemsize), e.lanes)
    best = [(value, ir.Constant(number, [i] * e.lanes)) for i, value in enumerate(values)]

    def better(a, b):
        wins = builder.fcmp_unordered(">", b[0], a[0])
        wins = builder.and_(wins, builder.fcmp_ordered("ord", a[0], a[0]))
        return tuple(builder.select(wins, second, first) for first, second in zip(a, b, strict=True))

    return better(better(best[0], best[1]), better(best[2], best[3]))


def _over_channels(e, channels, pointers, body):
    """``body(pointers)`` for vectors that cover ``channels``; the last one ends with them, if they fill it."""
    builder = e.builder
    last = e.maximum(builder.sub(channels, _INT(e.lanes)), _INT(0))

    def vector(carried):
        (index,) = carried
        offset = e.minimum(builder.mul(index, _INT(e.lanes)), last)
        body([e.advance(pointer, offset) for pointer in pointers[:-1]], _bytes_on(e, pointers[-1], offset))
        return [builder.add(index, _INT(1))]

    e.loop(builder.sdiv(builder.add(channels, _INT(e.lanes - 1)), _INT(e.lanes)), [_INT(0)], vector)


def _bytes_on(e, pointer, count):
    return e.builder.gep(pointer, [count], source_etype=_BYTE)


def max_pool_tile(*, lanes, one_vector):
    """The maximum of each window of a row and the number of the pixel that has it.

    Arguments: x, x_row, y, argmax, windows, channels: addresses of the upper row of pixels and of the results, the
    distance to the lower row, the number of windows.  ``one_vector``: a pixel has no more channels than lanes.
    """

    def emit(e, x, x_row, y, argmax, windows, channels):
        builder = e.builder
        winners = ir.VectorType(_BYTE, lanes)

        def window(carried):
            def channels_of_it(pointers, argmax_now):
                x_now, y_now = pointers
                below = e.advance(x_now, x_row)
                pixels = [x_now, e.advance(x_now, channels), below, e.advance(below, channels)]
                value, winner = first_maximum(e, [e.load(pixel) for pixel in pixels])
                e.store(value, y_now)
                builder.store(builder.trunc(winner, winners), argmax_now, align=1)

            if one_vector:
                channels_of_it(carried[:2], carried[2])
            else:
                _over_channels(e, channels, carried, channels_of_it)
            x_now, y_now, argmax_now = carried
            x_next = e.advance(x_now, builder.shl(channels, _INT(1)))
            return [x_next, e.advance(y_now, channels), _bytes_on(e, argmax_now, channels)]

        e.loop(windows, [e.pointer(x), e.pointer(y), e.pointer(argmax)], window)

    return _tile_of_type("max_pool", lambda dtype: lanes, 6, emit, dict(one_vector=one_vector))


def max_pool_gradient_tile(*, lanes, one_vector):
    """One row of pixels of the gradient: that of a window where the pixel won, else 0.

    Arguments: dy, argmax, row, dx, windows, channels: addresses; ``row``: 0 or 1, which one of the windows' rows.
    """

    def emit(e, dy, argmax, row, dx, windows, channels):
        builder = e.builder
        winners = ir.VectorType(_BYTE, lanes)
        first = builder.trunc(builder.shl(row, _INT(1)), _BYTE)
        taps = [e.splat(builder.add(first, _BYTE(column)), winners) for column in range(2)]

        def window(carried):
            def channels_of_it(pointers, argmax_now):
                dy_now, dx_now = pointers
                gradient, winner = e.load(dy_now), builder.load(argmax_now, typ=winners, align=1)
                for pixel, tap in zip((dx_now, e.advance(dx_now, channels)), taps, strict=True):
                    e.store(builder.select(builder.icmp_unsigned("==", winner, tap), gradient, e.zero), pixel)

            if one_vector:
                channels_of_it(carried[:2], carried[2])
            else:
                _over_channels(e, channels, carried, channels_of_it)
            dy_now, dx_now, argmax_now = carried
            dx_next = e.advance(dx_now, builder.shl(channels, _INT(1)))
            return [e.advance(dy_now, channels), dx_next, _bytes_on(e, argmax_now, channels)]

        e.loop(windows, [e.pointer(dy), e.pointer(dx), e.pointer(argmax)], window)

    return _tile_of_type("max_pool_gradient", lambda dtype: lanes, 6, emit, dict(one_vector=one_vector))
