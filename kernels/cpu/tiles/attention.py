"""Tiles of attention: products whose store does what comes after them, and the softmax of a block of scores.

A block of scores lies as keys x queries: what is computed for a query runs along lanes, and nothing is summed across
them.  Scores are logarithms to the base 2.
"""

from llvmlite import ir

from jitnet.kernels.cpu.tiles.simd import _INT, _tile

_INDEX = ir.IntType(32)
# 2^r for |r| <= 1/2 to a relative 8e-8, highest power first
_POWERS = (
    0.0013266970388445083, 0.00967545974556847, 0.05550742615997532, 0.2402212175356034, 0.6931469491610642,
    1.0000000710297008,
)  # fmt: skip
_LEAST = -126.0  # below, 2^x is no normal number
LOWEST = -1e30  # the score of what is not seen


def _constant(e, value):
    return ir.Constant(e.vector, [e.element(value)] * e.lanes)


def _maximum(e, a, b):
    return e.builder.select(e.builder.fcmp_ordered(">", a, b), a, b)


def _exp2(e, x):
    """2^x for x <= 127, 0 below 2^-126; float32."""
    builder = e.builder
    integers = ir.VectorType(_INDEX, e.lanes)
    least = _constant(e, _LEAST)
    below = builder.fcmp_ordered("<", x, least)  # of NaN it is not true
    x = builder.select(below, least, x)
    # what an addition of 1.5 * 2^23 would do, too, where no flag of fast arithmetic lets LLVM take it off again
    whole = builder.call(e._external(f"llvm.rint.{e._suffix}", e.vector, [e.vector]), [x])
    rest = builder.fsub(x, whole)
    value = _constant(e, _POWERS[0])
    for power in _POWERS[1:]:
        value = e.multiply_add(value, rest, _constant(e, power))
    exponent = builder.shl(builder.fptosi(whole, integers), ir.Constant(integers, [_INDEX(23)] * e.lanes))
    value = builder.bitcast(builder.add(builder.bitcast(value, integers), exponent), e.vector)
    return builder.select(below, e.zero, value)


def _sees(e, v, first):
    """Lanes of vector v, which are queries, that see key ``first``; both are counted from the first query."""
    indices = ir.VectorType(_INT, e.lanes)
    numbers = ir.Constant(indices, [_INT(v * e.lanes + i) for i in range(e.lanes)])
    return e.builder.icmp_signed(">=", numbers, e.splat(first, indices))


def product_tile(*, dtype, lanes, rows, vectors, contiguous, add, finish, causal=False):
    """C[i, j] = finish(sum over k of A[i, k] B[k, j]) for ``rows`` rows and ``vectors`` vectors of columns.

    Arguments: a, a_row, a_step, b, b_row, c, c_row, depth, valid_rows, column, diagonal: addresses, and distances in
    elements.  ``contiguous`` says that ``a_step`` is 1.  Rows from ``valid_rows`` on repeat the last valid one.
    With ``add`` sums go on from C.

    finish: store; exp2: 2^(sum - column[j]), with ``causal`` zero where j < i + diagonal; gradient: C (sum - column[j]).
    """

    def emit(e, a, a_row, a_step, b, b_row, c, c_row, depth, valid_rows, column, diagonal):
        builder = e.builder
        last = builder.sub(valid_rows, _INT(1))
        index = [_INT(0)] + [e.minimum(_INT(i), last) for i in range(1, rows)]
        a_rows = [e.advance(e.pointer(a), builder.mul(i, a_row)) for i in index]
        pointers = [e.advance(e.pointer(c), builder.mul(i, c_row)) for i in index]
        places = [(i, v) for i in range(rows) for v in range(vectors)]
        step = _INT(1) if contiguous else a_step

        def multiply(carried, count):
            offset, b_now, *sums = carried
            for _ in range(count):
                b_values = [e.load(b_now, v * e.lanes) for v in range(vectors)]
                for i in range(rows):
                    a_value = e.broadcast(a_rows[i], offset)
                    for v in range(vectors):
                        at = i * vectors + v
                        sums[at] = e.multiply_add(a_value, b_values[v], sums[at])
                offset = builder.add(offset, step)
                b_now = e.advance(b_now, b_row)
            return [offset, b_now, *sums]

        def present():
            return [e.load(pointers[i], v * e.lanes) for i, v in places]

        carried = [_INT(0), e.pointer(b), *(present() if add else [e.zero] * len(places))]
        carried = e.loop(builder.sdiv(depth, _INT(2)), carried, lambda values: multiply(values, 2))
        _, _, *sums = e.loop(builder.srem(depth, _INT(2)), carried, lambda values: multiply(values, 1))
        if finish != "store":
            columns = [e.load(e.pointer(column), v * e.lanes) for v in range(vectors)]
            sums = [builder.fsub(value, columns[v]) for value, (_, v) in zip(sums, places, strict=True)]
        if finish == "gradient":
            sums = [builder.fmul(factor, value) for factor, value in zip(present(), sums, strict=True)]
        if finish == "exp2":
            sums = [_exp2(e, value) for value in sums]
        if causal:
            sums = [
                builder.select(_sees(e, v, builder.add(index[i], diagonal)), value, e.zero)
                for value, (i, v) in zip(sums, places, strict=True)
            ]
        for value, (i, v) in zip(sums, places, strict=True):
            e.store(value, pointers[i], v * e.lanes)

    constants = dict(
        rows=rows, vectors=vectors, contiguous=contiguous, add=add, finish=finish, causal=causal
    )
    return _tile("attention_product", dtype, lanes, 11, emit, constants)


def softmax_tile(*, dtype, lanes, vectors, causal):
    """A block of scores of some queries becomes 2^(score - maximum), of all keys so far.

    Arguments: s, s_row, rows, largest, total, factor, resume, diagonal.  ``largest`` and ``total`` hold the maxima and
    the sums of all keys so far, if ``resume``; ``factor`` gets what is to be multiplied to results so far.
    ``causal``: query j does not see key i where j < i + diagonal.
    """

    def emit(e, s, s_row, rows, largest, total, factor, resume, diagonal):
        builder = e.builder
        first = e.pointer(s)
        places = [v * e.lanes for v in range(vectors)]
        again = builder.zext(builder.icmp_signed("!=", resume, _INT(0)), _INT)

        def earlier(address, otherwise):
            return e.loop(again, [otherwise] * vectors, lambda _: [e.load(e.pointer(address), at) for at in places])

        def seen(row, values, otherwise):
            if not causal:
                return values
            key = builder.add(row, diagonal)
            return [builder.select(_sees(e, v, key), value, otherwise) for v, value in enumerate(values)]

        def find(carried):
            now, row, *most = carried
            values = seen(row, [e.load(now, at) for at in places], _constant(e, LOWEST))
            most = [_maximum(e, a, b) for a, b in zip(values, most, strict=True)]
            return [e.advance(now, s_row), builder.add(row, _INT(1)), *most]

        before = earlier(largest, _constant(e, LOWEST))
        most = e.loop(rows, [first, _INT(0), *before], find)[2:]

        def power(carried):
            now, row, *sums = carried
            values = [_exp2(e, builder.fsub(e.load(now, at), m)) for at, m in zip(places, most, strict=True)]
            values = seen(row, values, e.zero)
            for value, at in zip(values, places, strict=True):
                e.store(value, now, at)
            sums = [builder.fadd(a, b) for a, b in zip(sums, values, strict=True)]
            return [e.advance(now, s_row), builder.add(row, _INT(1)), *sums]

        sums = e.loop(rows, [first, _INT(0)] + [e.zero] * vectors, power)[2:]
        scale = [_exp2(e, builder.fsub(a, b)) for a, b in zip(before, most, strict=True)]
        old = earlier(total, e.zero)
        for v, at in enumerate(places):
            e.store(most[v], e.pointer(largest), at)
            e.store(e.multiply_add(old[v], scale[v], sums[v]), e.pointer(total), at)
            e.store(scale[v], e.pointer(factor), at)

    return _tile("attention_softmax", dtype, lanes, 8, emit, dict(vectors=vectors, causal=causal))


def power_tile(*, dtype, lanes, vectors):
    """2^(score - column[j]) in the place of scores.  Arguments: s, s_row, rows, column."""

    def emit(e, s, s_row, rows, column):
        columns = [e.load(e.pointer(column), v * e.lanes) for v in range(vectors)]

        def row(carried):
            for v, value in enumerate(columns):
                power = _exp2(e, e.builder.fsub(e.load(carried[0], v * e.lanes), value))
                e.store(power, carried[0], v * e.lanes)
            return [e.advance(carried[0], s_row)]

        e.loop(rows, [e.pointer(s)], row)

    return _tile("attention_power", dtype, lanes, 4, emit, dict(vectors=vectors))


def pack_tile(*, dtype, lanes, hardware_masks, size, vectors, scaled):
    """Rows of ``size`` elements side by side, each as ``vectors`` vectors that end in zeros; ``scaled``: times a factor.

    Arguments: source, source_row, target, rows, factor: addresses, the distance in elements.
    """

    def emit(e, source, source_row, target, rows, factor):
        whole, rest = divmod(size, e.lanes)
        masks = [None] * whole + ([e.constant_mask(rest)] if rest else [])
        scale = e.broadcast(e.pointer(factor)) if scaled else None

        def row(carried):
            source_now, target_now = carried
            values = [e.load(source_now, v * e.lanes, mask) for v, mask in enumerate(masks)]
            values = [e.builder.fmul(value, scale) for value in values] if scaled else values
            for v, value in enumerate(values + [e.zero] * (vectors - len(values))):
                e.store(value, target_now, v * e.lanes)
            return [e.advance(source_now, source_row), e.advance(target_now, vectors * e.lanes)]

        e.loop(rows, [e.pointer(source), e.pointer(target)], row)

    constants = dict(size=size, vectors=vectors, scaled=scaled)
    return _tile("attention_pack", dtype, lanes, 5, emit, constants, hardware_masks)
