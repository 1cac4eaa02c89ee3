"""Tiles of Winograd's convolution along rows: two neighbouring outputs of five taps take 6 products instead of 10.

F(2, 5) of Lavin & Gray 2016 (arXiv 1509.09308), with the points 0, 1, -1, 2, -2 and infinity, in one dimension only:
rows of taps are summed like channels.  Its rounding error is about that of a direct convolution.
"""

import functools
from fractions import Fraction

from jitnet.kernels.cpu.runtime.jit import inlined
from jitnet.kernels.cpu.tiles.simd import _finish, _tile
from jitnet.kernels.cpu.tiles.winograd import _MATRICES, _multiply

PRODUCTS = 6  # of two outputs
TAPS = 5
_INPUT = _MATRICES[4][0]  # F(4, 3) has the same points
_OUTPUT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 1]]
_SCALES = Fraction(1, 4), Fraction(-1, 6), Fraction(-1, 6), Fraction(1, 24), Fraction(1, 24)
_POINTS = 0, 1, -1, 2, -2
# products of the weights: float(matrix[j][s]) times tap s
WEIGHTS = tuple(
    tuple(float(scale * point**s) for s in range(TAPS)) for scale, point in zip(_SCALES, _POINTS, strict=True)
) + ((0.0, 0.0, 0.0, 0.0, 1.0),)


@functools.partial(inlined, fastmath=False)
def weighted_sum(weights, taps):
    """The sum of ``TAPS`` products in this order, whatever passes it undergoes."""
    a, b, c, d, e = weights
    first, second, third, fourth, fifth = taps
    return a * first + b * second + c * third + d * fourth + e * fifth


def row_input_tile(*, dtype, lanes, hardware_masks, channels, width, pad_left, pairs):
    """Transforms rows of an image: ``PRODUCTS`` vectors of channels for each of the ``pairs`` of outputs.

    Arguments: x, transformed, rows.  ``width``: columns of the image, of which ``pad_left`` are missing before.
    """

    def emit(e, x, transformed, rows):
        mask = e.constant_mask(channels) if channels < lanes else None

        def row(carried):
            x_now, out = carried
            columns = [e.zero] * pad_left + [e.load(x_now, w * channels, mask) for w in range(width)]
            columns += [e.zero] * max(0, 2 * pairs + TAPS - 1 - len(columns))
            for pair in range(pairs):
                for j, value in enumerate(_multiply(e, _INPUT, columns[2 * pair : 2 * pair + PRODUCTS])):
                    e.store(value, out, (pair * PRODUCTS + j) * lanes)
            return [e.advance(x_now, width * channels), e.advance(out, pairs * PRODUCTS * lanes)]

        e.loop(rows, [e.pointer(x), e.pointer(transformed)], row)

    constants = dict(channels=channels, width=width, pad_left=pad_left, pairs=pairs)
    return _tile("row_input", dtype, lanes, 3, emit, constants, hardware_masks)


def row_output_tile(
    *, dtype, lanes, hardware_masks, pairs, pairs_per_tile, input_lanes, channels, filters, outputs, epilogue
):  # fmt: skip
    """One row of ``outputs`` outputs of one vector of filters, ``pairs_per_tile`` at a time.

    Arguments: transformed, kernel, tap_rows, y, valid_filters, bias: addresses of the first row of transformed inputs,
    of transformed weights (tap rows, channels, ``PRODUCTS``, filters), of the output and of the bias.
    """

    def emit(e, transformed, kernel, tap_rows, y, valid_filters, bias):
        bias = e.pointer(bias)

        def some(masks, start, first, out, count):
            """``count`` pairs from ``start`` on, if that is known; else no output is missing."""

            def channel(carried):
                x_now, kernel_now, *sums = carried
                weights = [e.load(kernel_now, j * filters, masks[0]) for j in range(PRODUCTS)]
                for at in range(count * PRODUCTS):
                    value = e.broadcast(x_now, at * input_lanes)
                    sums[at] = e.multiply_add(value, weights[at % PRODUCTS], sums[at])
                return [e.advance(x_now, 1), e.advance(kernel_now, PRODUCTS * filters), *sums]

            def tap_row(carried):
                _, kernel_now, *sums = e.loop(channels, carried, channel)
                return [e.advance(carried[0], pairs * PRODUCTS * input_lanes), kernel_now, *sums]

            sums = e.loop(tap_rows, [first, e.pointer(kernel)] + [e.zero] * (count * PRODUCTS), tap_row)[2:]
            results = []
            for pair in range(count):
                results += _multiply(e, _OUTPUT, sums[pair * PRODUCTS : (pair + 1) * PRODUCTS])
            if start is not None:
                results = results[: outputs - 2 * start]
            pointers = [e.advance(out, i * filters) for i in range(len(results))]
            _finish(e, [[value] for value in results], epilogue, pointers, bias, pointers, masks)

        def row(masks):
            def body(carried):
                some(masks, None, *carried, pairs_per_tile)
                step = pairs_per_tile * PRODUCTS * input_lanes
                return [e.advance(carried[0], step), e.advance(carried[1], 2 * pairs_per_tile * filters)]

            # the last ones apart: there may be fewer, and the last of them may have one output only
            whole, places = (pairs - 1) // pairs_per_tile, [e.pointer(transformed), e.pointer(y)]
            if whole:
                places = e.loop(whole, places, body)
            some(masks, whole * pairs_per_tile, *places, pairs - whole * pairs_per_tile)

        e.over_masks(1, valid_filters, filters, row)

    constants = dict(
        pairs=pairs, pairs_per_tile=pairs_per_tile, input_lanes=input_lanes, channels=channels, filters=filters,
        outputs=outputs, epilogue=epilogue,
    )  # fmt: skip
    return _tile("row_output", dtype, lanes, 6, emit, constants, hardware_masks)
