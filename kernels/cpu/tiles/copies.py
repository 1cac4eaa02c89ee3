"""Tiles that copy: rows, panels of a matrix, transposes."""

from llvmlite import ir

from jitnet.kernels.cpu.tiles.simd import _BIT, _INT, _POINTER, _tile


def panel_tile(*, dtype, lanes, hardware_masks, vectors):
    """Copies ``rows`` rows of ``vectors`` vectors, of which ``columns`` elements exist, to contiguous memory.

    Arguments: source, source_row, target, rows, columns.  Elements of the target that none of the source's goes to get
    any value.
    """

    def emit(e, source, source_row, target, rows, columns):
        masks = [e.lane_mask(e.builder.sub(columns, _INT(v * lanes))) for v in range(vectors)]

        def row(carried, masks=masks):
            source_now, target_now = carried
            for v in range(vectors):
                e.store(e.load(source_now, v * lanes, masks[v]), target_now, v * lanes)
            return [e.advance(source_now, source_row), e.advance(target_now, vectors * lanes)]

        carried = [e.pointer(source), e.pointer(target)]
        if not hardware_masks:
            whole = e.rows_read_whole(rows, source_row, vectors, columns)
            carried = e.loop(whole, carried, lambda values: row(values, [None] * vectors))
            rows = e.builder.sub(rows, whole)
        e.loop(rows, carried, row)

    return _tile("panel", dtype, lanes, 5, emit, dict(vectors=vectors), hardware_masks)


def transpose_tile(*, dtype, lanes):
    """C = A.T, ``lanes`` x ``lanes`` elements at a time.

    Arguments: a, c, rows, columns, a_row, c_row: addresses, the size of A, distances between rows in elements.
    """

    def emit(e, a, c, rows, columns, a_row, c_row):
        builder = e.builder

        def block(carried):
            a_now, c_now = carried
            values = e.transposed([e.load(e.advance(a_now, builder.mul(_INT(i), a_row))) for i in range(lanes)])
            for j, value in enumerate(values):
                e.store(value, e.advance(c_now, builder.mul(_INT(j), c_row)))
            return [e.advance(a_now, lanes), e.advance(c_now, builder.mul(_INT(lanes), c_row))]

        def element(carried):
            a_now, c_now = carried
            builder.store(builder.load(a_now, typ=e.element, align=e.itemsize), c_now, align=e.itemsize)
            return [e.advance(a_now, 1), e.advance(c_now, c_row)]

        def row(carried):
            e.loop(rest_columns, carried, element)
            return [e.advance(carried[0], a_row), e.advance(carried[1], 1)]

        def rows_of_blocks(carried):
            e.loop(lanes, e.loop(whole_columns, carried, block), row)
            return [e.advance(carried[0], builder.mul(_INT(lanes), a_row)), e.advance(carried[1], lanes)]

        whole_columns = builder.sdiv(columns, _INT(lanes))
        rest_columns = builder.srem(columns, _INT(lanes))
        carried = [e.pointer(a), e.pointer(c)]
        carried = e.loop(builder.sdiv(rows, _INT(lanes)), carried, rows_of_blocks)
        rest_columns = columns
        e.loop(builder.srem(rows, _INT(lanes)), carried, row)

    return _tile("transpose", dtype, lanes, 6, emit, {})


def pad_rows_tile(*, dtype):
    """Copies ``rows`` rows into wider ones and zeroes what is left and right of them.

    Arguments: source, source_row, target, target_row, rows, before, count: addresses, and numbers of elements.
    """

    def emit(e, source, source_row, target, target_row, rows, before, count):
        builder = e.builder
        size = _INT(e.itemsize)
        byte = ir.IntType(8)
        clear = e._external("llvm.memset.p0.i64", ir.VoidType(), [_POINTER, byte, _INT, _BIT])
        copy = e._external("llvm.memcpy.p0.p0.i64", ir.VoidType(), [_POINTER, _POINTER, _INT, _BIT])
        after = builder.sub(builder.sub(target_row, before), count)

        def row(carried):
            source_now, target_now = carried
            middle = e.advance(target_now, before)
            builder.call(clear, [target_now, byte(0), builder.mul(before, size), _BIT(0)])
            builder.call(copy, [middle, source_now, builder.mul(count, size), _BIT(0)])
            builder.call(clear, [e.advance(middle, count), byte(0), builder.mul(after, size), _BIT(0)])
            return [e.advance(source_now, source_row), e.advance(target_now, target_row)]

        e.loop(rows, [e.pointer(source), e.pointer(target)], row)

    return _tile("pad_rows", dtype, 1, 7, emit, {})


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


def copy_bytes_tile():
    """Copies memory.  Arguments: source, target, bytes."""

    def emit(e, source, target, count):
        copy = e._external("llvm.memcpy.p0.p0.i64", ir.VoidType(), [_POINTER, _POINTER, _INT, _BIT])
        e.builder.call(copy, [e.pointer(target), e.pointer(source), count, _BIT(0)])

    return _tile("copy_bytes", "float32", 1, 3, emit, {})
