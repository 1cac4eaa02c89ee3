"""Tiles of depthwise convolution: every channel is convolved by itself, so vectors run along the channels.

A tile makes one row of the result, some neighbouring pixels at a time: what it reads of the source serves all taps.
Where a column of the source is missing it reads zeros from a constant instead, so that the edges of an image take the
same instructions as its inside.
"""

import functools

from llvmlite import ir

from jitnet.kernels.cpu.tiles.simd import _INT, _tile_of_type


def _opaque(emitter, pointer):
    """``pointer``, of which LLVM knows no more: it would make each address of a loop a variable of its own.

    Nor does it load from here on any earlier, for which there would be too few registers.
    """
    function_type = ir.FunctionType(pointer.type, [pointer.type])
    return emitter.builder.asm(function_type, "", "=r,0,~{memory}", [pointer], True)


def _blocks(emitter, channels):
    """Vectors that hold ``channels``."""
    return emitter.builder.sdiv(emitter.builder.add(channels, _INT(emitter.lanes - 1)), _INT(emitter.lanes))


class _Columns:
    """The columns of a source, ``distance`` elements apart; those that don't exist are zero."""

    def __init__(self, emitter, distance):
        self.e, self.distance = emitter, distance
        name = f"jitnet_zeros_{emitter.lanes}_{emitter.itemsize}"
        self.zeros = emitter.function.module.globals.get(name)
        if self.zeros is None:
            self.zeros = ir.GlobalVariable(emitter.function.module, emitter.vector, name)
            self.zeros.initializer = emitter.zero
            self.zeros.global_constant = True
            self.zeros.linkage = "internal"

    def pointer(self, base, index, exists=None):
        """To column ``index`` counted from ``base``, or to zeros unless it ``exists``."""
        pointer = self.e.advance(base, self.e.builder.mul(index, self.distance))
        return pointer if exists is None else self.or_zeros(exists, pointer)

    def or_zeros(self, condition, pointer):
        return self.e.builder.select(condition, pointer, self.zeros)


def _readers(tile_pixels, taps, stride, apart=1):
    """For each column of a tile of ``tile_pixels`` results: the taps and results (tap, result) that read it."""
    readers = {}
    for i in range(tile_pixels):
        for s in range(taps):
            if (i * stride + s) % apart == 0:
                readers.setdefault((i * stride + s) // apart, []).append((s, i))
    return dict(sorted(readers.items()))


def depthwise_tile(*, target, taps, stride, tile_pixels, apart=1, masked=False):
    """result[first + i] (+)= sum of source[r, start + (i * stride + s * step) / apart] * weights[r, s].

    The sum is over rows r and taps s.  Terms whose column is not a whole number are left out.
    Arguments: source, source_row, extent, column; start, stride, step; weights, tap_row, tap_column, rows, taps;
    result, result_pixel, first, pixels; channels, add: addresses of column 0 of the first row, of its first weight and
    of result 0; distances in elements; numbers of columns that exist, of rows, of taps, of the first and of all
    results, and of channels, which make up whole vectors unless ``masked``.  A ``first`` of -1 is not written.
    ``taps`` and ``stride`` are literals, with ``step`` 1, or both None; ``tile_pixels`` results are in registers.
    """
    tile_taps = taps or 1
    readers = _readers(tile_pixels, tile_taps, stride or 1, apart)

    def emit(
        e, source, source_row, extent, column, start, stride_now, step, weights, tap_row, tap_column, rows, taps_now,
        result, result_pixel, first, pixels, channels, add,
    ):  # fmt: skip
        builder = e.builder
        columns = _Columns(e, column)
        adds = builder.zext(builder.icmp_signed("!=", add, _INT(0)), _INT)
        if taps:
            offsets = [_INT(c) for c in readers]
            span, advance = _INT(max(readers) + 1), _INT(tile_pixels * stride // apart)
        else:
            offsets = [builder.mul(_INT(c), stride_now) for c in readers]
            span = builder.add(builder.add(offsets[-1], builder.mul(builder.sub(taps_now, _INT(1)), step)), _INT(1))
            advance = builder.mul(_INT(tile_pixels), stride_now)

        def tile(first, index, edge):
            there = [builder.icmp_unsigned("<", builder.add(first, _INT(i)), pixels) for i in range(tile_pixels)]

            def block(carried):
                left, x, w, y = carried
                mask = e.lane_mask(left) if masked else None
                places = [e.advance(y, builder.mul(_INT(i), result_pixel)) for i in range(tile_pixels)]

                def old(_):
                    reads = [columns.or_zeros(t, p) if edge else p for t, p in zip(there, places, strict=True)]
                    return [e.load(pointer, 0, mask) for pointer in reads]

                def some_taps(carried):
                    x_now, index_now, w_now, *sums = carried
                    x_now, w_now = _opaque(e, x_now), _opaque(e, w_now)
                    factors = [e.load(w_now, builder.mul(_INT(s), tap_column), mask) for s in range(tile_taps)]
                    for offset, users in zip(offsets, readers.values(), strict=True):
                        # unsigned, so that columns before the first are too large
                        exists = builder.icmp_unsigned("<", builder.add(index_now, offset), extent) if edge else None
                        value = e.load(columns.pointer(x_now, offset, exists), 0, mask)
                        for s, i in users:
                            sums[i] = e.multiply_add(value, factors[s], sums[i])
                    x_next = e.advance(x_now, builder.mul(step, column))
                    return [x_next, builder.add(index_now, step), e.advance(w_now, tap_column), *sums]

                def row(carried):
                    x_now, w_now, *sums = carried
                    inner = [x_now, index, w_now, *sums]
                    sums = (some_taps(inner) if taps else e.loop(taps_now, inner, some_taps))[3:]
                    return [e.advance(x_now, source_row), e.advance(w_now, tap_row), *sums]

                sums = e.loop(adds, [e.zero] * tile_pixels, old)
                sums = e.loop(rows, [x, w, *sums], row)[2:]
                for total, place, condition in zip(sums, places, there, strict=True):
                    if edge:
                        with builder.if_then(condition):
                            e.store(total, place, 0, mask)
                    else:
                        e.store(total, place, 0, mask)
                return [builder.sub(left, _INT(e.lanes)), *(e.advance(pointer, e.lanes) for pointer in (x, w, y))]

            x = columns.pointer(e.pointer(source), index)
            y = e.advance(e.pointer(result), builder.mul(first, result_pixel))
            e.loop(_blocks(e, channels), [channels, x, e.pointer(weights), y], block)

        def tiles(carried):
            first, index = carried
            after = builder.add(first, _INT(tile_pixels))
            conditions = [
                builder.icmp_signed(">=", first, _INT(0)),
                builder.icmp_signed("<=", after, pixels),
                builder.icmp_signed(">=", index, _INT(0)),
                builder.icmp_signed("<=", builder.add(index, span), extent),
            ]
            with builder.if_else(functools.reduce(builder.and_, conditions)) as (interior, edge):
                with interior:
                    tile(first, index, False)
                with edge:
                    tile(first, index, True)
            return [after, builder.add(index, advance)]

        count = builder.sdiv(builder.add(builder.sub(pixels, first), _INT(tile_pixels - 1)), _INT(tile_pixels))
        e.loop(count, [first, start], tiles)

    constants = dict(taps=taps, stride=stride, tile_pixels=tile_pixels, apart=apart, masked=masked)
    return _tile_of_type("depthwise", target.lanes, 18, emit, constants, target.hardware_masks)


def depthwise_filter_tile(*, target, rows, taps, stride, tile_pixels, masked=False):
    """sums[r, s] += sum over results i of source[r, start + i * stride + s] * other[i].

    Arguments: source, source_row, extent, column; start, stride, first_row, end_row; other, other_pixel, before, tiles,
    after; sums, tap_row, tap_column; channels: as those of ``depthwise_tile``.  Rows of the source before ``first_row``
    and from ``end_row`` on are missing.  ``before`` and ``after`` results may read what is missing, unlike ``tiles``
    of ``tile_pixels`` results between them.  All parameters are literals; only ``stride`` may be None.
    """
    size = rows * taps
    copies = max(1, min(tile_pixels, 8 // size))  # of few sums, to hide latency

    def emit(
        e, source, source_row, extent, column, start, stride_now, first_row, end_row, other, other_pixel, before, tiles,
        after, sums, tap_row, tap_column, channels,
    ):  # fmt: skip
        builder = e.builder
        columns = _Columns(e, column)
        stride_now = stride_now if stride is None else _INT(stride)
        extents = []  # a row that is missing has no columns
        for r in range(rows):
            exists = builder.and_(
                builder.icmp_signed("<=", first_row, _INT(r)), builder.icmp_signed("<", _INT(r), end_row)
            )  # fmt: skip
            extents.append(builder.select(exists, extent, _INT(0)))

        def some(count, edge, mask):
            """Body of a loop that adds the products of ``count`` results."""

            def body(carried):
                x_now, other_now, index, *sums = carried
                x_now, other_now = _opaque(e, x_now), _opaque(e, other_now)
                factors = [e.load(other_now, builder.mul(_INT(i), other_pixel), mask) for i in range(count)]
                for r in range(rows):
                    x_row = _opaque(e, e.advance(x_now, builder.mul(_INT(r), source_row)))
                    for place, users in _readers(count, taps, stride or 1).items():
                        offset = builder.mul(_INT(place), stride_now) if stride is None else _INT(place)
                        exists = None
                        if edge:
                            exists = builder.icmp_unsigned("<", builder.add(index, offset), extents[r])
                        value = e.load(columns.pointer(x_row, offset, exists), 0, mask)
                        for s, i in users:
                            at = i % copies * size + r * taps + s
                            sums[at] = e.multiply_add(value, factors[i], sums[at])
                step = builder.mul(_INT(count), stride_now)
                x_now = columns.pointer(x_now, step)
                other_now = e.advance(other_now, builder.mul(_INT(count), other_pixel))
                return [x_now, other_now, builder.add(index, step), *sums]

            return body

        def block(carried):
            left, x, other_now, sums_now = carried
            mask = e.lane_mask(left) if masked else None
            places = [
                e.advance(sums_now, builder.add(builder.mul(_INT(r), tap_row), builder.mul(_INT(s), tap_column)))
                for r in range(rows) for s in range(taps)
            ]  # fmt: skip
            totals = [e.load(place, 0, mask) for place in places] + [e.zero] * (size * (copies - 1))

            def segment(carried):
                edges, insides, *inner = carried
                inner = e.loop(edges, inner, some(1, True, mask))
                return [after, _INT(0), *e.loop(insides, inner, some(tile_pixels, False, mask))]

            totals = e.loop(2, [before, tiles, x, other_now, start, *totals], segment)[5:]
            for at, place in enumerate(places):
                total = totals[at]
                for copy in range(1, copies):
                    total = builder.fadd(total, totals[copy * size + at])
                e.store(total, place, 0, mask)
            after_block = (e.advance(pointer, e.lanes) for pointer in (x, other_now, sums_now))
            return [builder.sub(left, _INT(e.lanes)), *after_block]

        x = columns.pointer(e.pointer(source), start)
        e.loop(_blocks(e, channels), [channels, x, e.pointer(other), e.pointer(sums)], block)

    constants = dict(rows=rows, taps=taps, stride=stride, tile_pixels=tile_pixels, masked=masked)
    return _tile_of_type("depthwise_filter", target.lanes, 17, emit, constants, target.hardware_masks)
