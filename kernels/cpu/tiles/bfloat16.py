"""Tiles whose products take bfloat16 operands: packing with rounding, and sums in float32.

A product needs both operands as pairs along the reduction: A has rows of bfloat16 numbers, of which two neighbours make
a pair; B is packed, (reduction / 2, columns, 2).  ``vdpbf16ps`` (AVX512-BF16) and ``tdpbf16ps`` (AMX) read the same
layout, so packing is shared and only ``product_tile`` differs (Intel, "Architecture Instruction Set Extensions
Programming Reference", 319433, chapters on AVX512_BF16 and AMX).

Targets that are not native compute the same with ordinary instructions: any machine can test packing and loops.
"""

from llvmlite import ir

from jitnet.kernels.cpu.tiles.simd import _BIT, _INDEX, _INT, _POINTER, _finish, _tile

LANES = 16  # float32 sums in a vector or in a row of a tile
_BYTE = ir.IntType(8)
_HALF = ir.IntType(16)
_PAIR = ir.IntType(32)
_PAIRS = ir.VectorType(_PAIR, LANES)
_HALVES = ir.VectorType(_HALF, LANES)


class _BFloatType(ir.Type):
    """LLVM's bfloat, which llvmlite lacks."""

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, _BFloatType)

    def __hash__(self):
        return hash("bfloat")


_BFLOATS = ir.VectorType(_BFloatType(), LANES)
_BFLOAT_PAIRS = ir.VectorType(_BFloatType(), 2 * LANES)


def _constant(type_, value):
    return ir.Constant(type_, [type_.element(value)] * type_.count)


def _order(indices):
    return ir.Constant(ir.VectorType(_INDEX, len(indices)), [_INDEX(i) for i in indices])


def _halves_on(e, pointer, count):
    """The address ``count`` bfloat16 elements later."""
    if isinstance(count, int):
        count = _INT(count)
    return e.builder.gep(pointer, [count], source_etype=_HALF)


def _round(e, value, target):
    """float32 lanes as bfloat16 bits, to the nearest, ties to even.  AVX512-BF16 takes denormals as zero."""
    if target.native:
        name = "llvm.x86.avx512bf16.cvtneps2bf16.512"
        return e.builder.bitcast(e.builder.call(e._external(name, _BFLOATS, [e.vector]), [value]), _HALVES)
    builder = e.builder
    bits = builder.bitcast(value, _PAIRS)
    high = builder.lshr(bits, _constant(_PAIRS, 16))
    odd = builder.and_(high, _constant(_PAIRS, 1))
    rounded = builder.lshr(builder.add(bits, builder.add(odd, _constant(_PAIRS, 0x7FFF))), _constant(_PAIRS, 16))
    quiet = builder.or_(high, _constant(_PAIRS, 0x40))
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_nan, quiet, rounded), _HALVES)


def _pair_up(e, first, second, target):
    """Pairs (first, second) of bfloat16, as lanes of 32 bits."""
    if target.native:
        name = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
        both = e.builder.call(e._external(name, _BFLOAT_PAIRS, [e.vector] * 2), [second, first])
        both = e.builder.bitcast(both, ir.VectorType(_HALF, 2 * LANES))
        interleaved = _order([i // 2 + LANES * (i % 2) for i in range(2 * LANES)])
        return e.builder.bitcast(e.builder.shuffle_vector(both, both, interleaved), _PAIRS)
    high = e.builder.zext(_round(e, second, target), _PAIRS)
    low = e.builder.zext(_round(e, first, target), _PAIRS)
    return e.builder.or_(e.builder.shl(high, _constant(_PAIRS, 16)), low)


def _first_of_pairs(e, pairs):
    """The first numbers of pairs, as float32."""
    return e.builder.bitcast(e.builder.shl(pairs, _constant(_PAIRS, 16)), e.vector)


def _second_of_pairs(e, pairs):
    return e.builder.bitcast(e.builder.and_(pairs, _constant(_PAIRS, 0xFFFF0000)), e.vector)


def _multiply_pairs(e, total, a, b, target):
    """total + a[1] * b[1] + a[0] * b[0] in every lane, of 32-bit pairs."""
    if target.native:
        name = "llvm.x86.avx512bf16.dpbf16ps.512"
        function = e._external(name, e.vector, [e.vector, _BFLOAT_PAIRS, _BFLOAT_PAIRS])
        return e.builder.call(function, [total, *(e.builder.bitcast(v, _BFLOAT_PAIRS) for v in (a, b))])
    total = e.multiply_add(_second_of_pairs(e, a), _second_of_pairs(e, b), total)
    return e.multiply_add(_first_of_pairs(e, a), _first_of_pairs(e, b), total)


def _bfloat16_tile(name, arguments, emit, constants):
    return _tile(f"bfloat16_{name}", "float32", LANES, arguments, emit, constants)


# ---- packing


def round_tile(*, target):
    """Rows of float32 as rows of bfloat16, with zeros up to ``padded`` elements.

    Arguments: source, source_row, destination, destination_row, rows, count, padded.
    """

    def emit(e, source, source_row, destination, destination_row, rows, count, padded):
        builder = e.builder
        whole, rest = builder.sdiv(count, _INT(LANES)), builder.srem(count, _INT(LANES))
        mask = e.lane_mask(rest)
        parts = builder.alloca(_HALVES)
        clear = e._external("llvm.memset.p0.i64", ir.VoidType(), [_POINTER, _BYTE, _INT, _BIT])

        def vector(carried):
            source_now, now = carried
            builder.store(_round(e, e.load(source_now), target), now, align=2)
            return [e.advance(source_now, LANES), _halves_on(e, now, LANES)]

        def tail(carried):
            source_now, now = carried
            values = _round(e, e.load(source_now, 0, mask), target)
            # element by element, because what follows is another row
            builder.store(values, parts)

            def element(carried):
                at, now = carried
                builder.store(builder.load(at, typ=_HALF, align=2), now, align=2)
                return [_halves_on(e, at, 1), _halves_on(e, now, 1)]

            return [source_now, e.loop(rest, [parts, now], element)[1]]

        has_tail = builder.zext(builder.icmp_signed(">", rest, _INT(0)), _INT)

        def row(carried):
            end = e.loop(has_tail, e.loop(whole, carried, vector), tail)[1]
            bytes_left = builder.mul(builder.sub(padded, count), _INT(2))
            builder.call(clear, [end, _BYTE(0), bytes_left, _BIT(0)])
            return [e.advance(carried[0], source_row), _halves_on(e, carried[1], destination_row)]

        e.loop(rows, [e.pointer(source), e.pointer(destination)], row)

    return _bfloat16_tile("round", 7, emit, dict(target=target))


def pair_tile(*, target, vectors):
    """Packs B: rows 2k and 2k + 1 of float32 as pairs, ``vectors`` vectors wide; zeros where there are none.

    Arguments: source, source_row, destination, rows, columns, pairs: there are ``rows`` rows of ``columns`` elements,
    of which ``pairs`` rows of pairs are made.
    """

    def emit(e, source, source_row, destination, rows, columns, pairs):
        builder = e.builder
        masks = [e.lane_mask(builder.sub(columns, _INT(v * LANES))) for v in range(vectors)]
        nothing = e.lane_mask(_INT(0))

        def pair(carried):
            index, source_now, now = carried
            second = e.advance(source_now, source_row)
            exists = [builder.icmp_signed("<", builder.add(index, _INT(i)), rows) for i in (0, 1)]
            for v in range(vectors):
                values = [
                    e.load(pointer, v * LANES, builder.select(there, masks[v], nothing))
                    for pointer, there in zip((source_now, second), exists, strict=True)
                ]
                builder.store(_pair_up(e, *values, target), e.advance(now, v * LANES), align=4)
            return [builder.add(index, _INT(2)), e.advance(second, source_row), e.advance(now, vectors * LANES)]

        e.loop(pairs, [_INT(0), e.pointer(source), e.pointer(destination)], pair)

    return _bfloat16_tile("pair", 6, emit, dict(target=target, vectors=vectors))


def transpose_tile(*, target):
    """Rows of float32 as columns of bfloat16: 16 columns become rows of bfloat16.

    Arguments: source, source_row, destination, destination_row, first, rows, columns, blocks, pairs: the results have
    ``blocks`` times 32 elements, and ``pairs`` times 2 more, which are slow.  Of as many rows there are those from
    ``first`` to ``rows``, and of 16 columns ``columns``; what is missing counts as zero.
    """

    def emit(e, source, source_row, destination, destination_row, first_row, rows, columns, blocks, pairs):
        builder = e.builder
        mask, nothing = e.lane_mask(columns), e.lane_mask(_INT(0))

        def load_pair(index, source_now, i):
            pair = []
            for j in (2 * i, 2 * i + 1):
                place = builder.add(index, _INT(j))
                begun = builder.icmp_signed(">=", place, first_row)
                there = builder.and_(begun, builder.icmp_signed("<", place, rows))
                pointer = e.advance(source_now, builder.mul(_INT(j), source_row))
                pair.append(e.load(pointer, 0, builder.select(there, mask, nothing)))
            return _pair_up(e, *pair, target)

        def next_to(carried, count):
            index, source_now, now = carried
            source_next = e.advance(source_now, builder.mul(_INT(count), source_row))
            return [builder.add(index, _INT(count)), source_next, _halves_on(e, now, count)]

        def block(carried):
            index, source_now, now = carried
            values = e.transposed([load_pair(index, source_now, i) for i in range(LANES)])
            for i, value in enumerate(values):
                builder.store(value, _halves_on(e, now, builder.mul(_INT(i), destination_row)), align=2)
            return next_to(carried, 2 * LANES)

        def pair(carried):
            index, source_now, now = carried
            values = load_pair(index, source_now, 0)
            for i in range(LANES):
                pointer = _halves_on(e, now, builder.mul(_INT(i), destination_row))
                builder.store(builder.extract_element(values, _INDEX(i)), pointer, align=2)
            return next_to(carried, 2)

        e.loop(pairs, e.loop(blocks, [_INT(0), e.pointer(source), e.pointer(destination)], block), pair)

    return _bfloat16_tile("transpose", 9, emit, dict(target=target))


def clear_tile():
    """Zeros.  Arguments: destination, bytes."""

    def emit(e, destination, count):
        clear = e._external("llvm.memset.p0.i64", ir.VoidType(), [_POINTER, _BYTE, _INT, _BIT])
        e.builder.call(clear, [e.pointer(destination), _BYTE(0), count, _BIT(0)])

    return _bfloat16_tile("clear", 2, emit, {})


# ---- products


def product_tile(*, target, rows, vectors, a_row, step, epilogue):
    """C[i, j] = epilogue(sum over taps and k of A[tap, i, k] B[tap, k, j]): ``rows`` rows, ``vectors`` vectors.

    Arguments: a, a_tap, b, taps, steps, c, c_row, valid_rows, valid_columns, bias, auxiliary, auxiliary_row, scratch:
    addresses, distances in elements (of A: bfloat16, else float32) and counts.  A tap has ``steps`` times ``step``
    products; B is packed without gaps.  Rows of A lie ``a_row`` apart; ``rows`` of them are read, and ``valid_rows`` of
    C written.  scratch: float32 elements that the tile may write, a vector for each sum of a row, with AMX for all.
    """

    def emit(e, *arguments):
        (_emit_tiles if target.tiles else _emit_vectors)(e, target, rows, vectors, a_row, step, epilogue, *arguments)

    constants = dict(target=target, rows=rows, vectors=vectors, a_row=a_row, step=step, epilogue=epilogue)
    return _bfloat16_tile("product", 13, emit, constants)


def _emit_vectors(
    e, target, rows, vectors, a_row, step, epilogue,
    a, a_tap, b, taps, steps, c, c_row, valid_rows, valid_columns, bias, auxiliary, auxiliary_row, scratch,
):  # fmt: skip
    builder = e.builder

    def pairs(carried):
        a_now, b_now, *sums = carried
        for pair in range(step // 2):
            b_values = [
                builder.load(e.advance(b_now, (pair * vectors + v) * LANES), typ=_PAIRS, align=4)
                for v in range(vectors)
            ]
            for i in range(rows):
                pointer = _halves_on(e, a_now, i * a_row + 2 * pair)
                a_value = e.splat(builder.load(pointer, typ=_PAIR, align=2), _PAIRS)
                for v in range(vectors):
                    at = i * vectors + v
                    sums[at] = _multiply_pairs(e, sums[at], a_value, b_values[v], target)
        return [_halves_on(e, a_now, step), e.advance(b_now, step // 2 * vectors * LANES), *sums]

    def tap(carried):
        _, b_next, *sums = e.loop(steps, carried, pairs)
        return [_halves_on(e, carried[0], a_tap), b_next, *sums]

    sums = e.loop(taps, [e.pointer(a), e.pointer(b)] + [e.zero] * (rows * vectors), tap)[2:]
    results = [sums[i * vectors : (i + 1) * vectors] for i in range(rows)]
    masks = [e.lane_mask(builder.sub(valid_columns, _INT(v * LANES))) for v in range(vectors)]
    nowhere = e.pointer(scratch)

    def row_pointers(first, distance):
        found = []
        for i in range(rows):
            pointer = e.advance(e.pointer(first), builder.mul(_INT(i), distance))
            found.append(builder.select(builder.icmp_signed("<", _INT(i), valid_rows), pointer, nowhere))
        return found

    pointers = row_pointers(c, c_row)
    auxiliaries = row_pointers(auxiliary, auxiliary_row) if epilogue == "relu_mask" else None
    _finish(e, results, epilogue, pointers, e.pointer(bias), auxiliaries, masks)


# ---- AMX: eight tiles of 16 rows of 64 bytes; 0 to 3 hold sums, 4 and 5 rows of A, 6 and 7 columns of B

TILE_ROWS = 16


def configuration_bytes(rows, step) -> list[int]:
    """What ``ldtilecfg`` loads, for tiles of ``rows`` rows of A and ``step`` products."""
    row_bytes = [4 * LANES] * 4 + [2 * step] * 2 + [4 * LANES] * 2
    row_counts = [rows] * 6 + [step // 2] * 2
    columns = [byte for size in row_bytes for byte in (size & 255, size >> 8)]
    return [1, 0] + [0] * 14 + columns + [0] * 16 + row_counts + [0] * 8


def configure_tile(*, target, rows, step):
    """Before ``product_tile`` with tiles, once in a thread.  No arguments but a zero."""

    def emit(e, _):
        if target.tiles and target.native:
            _emit_configuration(e, rows, step)

    return _bfloat16_tile("configure", 1, emit, dict(target=target, rows=rows, step=step))


def release_tile(*, target):
    """After the last ``product_tile``: tiles in use would make the system save 8 KB at each switch of threads."""

    def emit(e, _):
        if target.tiles and target.native:
            _emit_release(e)

    return _bfloat16_tile("release", 1, emit, dict(target=target))


def _emit_configuration(e, rows, step):
    content = ir.Constant.literal_array([_BYTE(byte) for byte in configuration_bytes(rows, step)])
    memory = e.builder.alloca(content.type)
    memory.align = 64
    e.builder.store(content, memory)
    e.builder.call(e._external("llvm.x86.ldtilecfg", ir.VoidType(), [_POINTER]), [memory])


def _emit_release(e):
    e.builder.call(e._external("llvm.x86.tilerelease", ir.VoidType(), []), [])


class _Tiles:
    """The four instructions."""

    def __init__(self, e):
        self.e = e

    def _call(self, name, types, *arguments):
        function = self.e._external(f"llvm.x86.{name}", ir.VoidType(), types)
        self.e.builder.call(function, arguments)

    def zero(self, tile):
        self._call("tilezero", [_BYTE], _BYTE(tile))

    def load(self, tile, pointer, row_bytes):
        self._call("tileloadd64", [_BYTE, _POINTER, _INT], _BYTE(tile), pointer, _INT(row_bytes))

    def store(self, tile, pointer, row_bytes):
        self._call("tilestored64", [_BYTE, _POINTER, _INT], _BYTE(tile), pointer, _INT(row_bytes))

    def multiply(self, sums, a, b):
        self._call("tdpbf16ps", [_BYTE] * 3, _BYTE(sums), _BYTE(a), _BYTE(b))


class _EmulatedTiles:
    """The same on memory.  ``multiply`` adds the products of even and of odd places up on their own, as AMX does."""

    def __init__(self, e, target, rows, step):
        self.e, self.target = e, target
        self.shapes = [(rows, LANES)] * 4 + [(rows, step // 2)] * 2 + [(step // 2, LANES)] * 2  # in 32-bit lanes
        memory = [e.builder.alloca(_PAIR, n * m) for n, m in self.shapes]
        self.memory = [e.pointer(e.builder.ptrtoint(pointer, _INT)) for pointer in memory]

    def _for_rows(self, tile, pointers, distances, body):
        def row(carried):
            body(*carried)
            moves = zip(carried, distances, strict=True)
            return [self.e.builder.gep(pointer, [_INT(distance)], source_etype=_BYTE) for pointer, distance in moves]

        self.e.loop(self.shapes[tile][0], pointers, row)

    def _copy(self, tile, source, source_row, destination, destination_row):
        builder, size = self.e.builder, _INT(4 * self.shapes[tile][1])
        copy = self.e._external("llvm.memcpy.p0.p0.i64", ir.VoidType(), [_POINTER, _POINTER, _INT, _BIT])
        self._for_rows(
            tile, [destination, source], (destination_row, source_row),
            lambda to, from_: builder.call(copy, [to, from_, size, _BIT(0)]),
        )  # fmt: skip

    def zero(self, tile):
        clear = self.e._external("llvm.memset.p0.i64", ir.VoidType(), [_POINTER, _BYTE, _INT, _BIT])
        rows, columns = self.shapes[tile]
        self.e.builder.call(clear, [self.memory[tile], _BYTE(0), _INT(4 * rows * columns), _BIT(0)])

    def load(self, tile, pointer, row_bytes):
        self._copy(tile, pointer, row_bytes, self.memory[tile], 4 * self.shapes[tile][1])

    def store(self, tile, pointer, row_bytes):
        self._copy(tile, self.memory[tile], 4 * self.shapes[tile][1], pointer, row_bytes)

    def multiply(self, sums, a, b):
        e, builder = self.e, self.e.builder

        def row(sum_now, a_now):
            def pair(carried):
                a_at, b_at, even, odd = carried
                value = builder.load(a_at, typ=_PAIR, align=4)
                columns = builder.load(b_at, typ=_PAIRS, align=4)

                spread = e.splat(value, _PAIRS)
                even = e.multiply_add(_first_of_pairs(e, spread), _first_of_pairs(e, columns), even)
                odd = e.multiply_add(_second_of_pairs(e, spread), _second_of_pairs(e, columns), odd)
                return [e.advance(a_at, 1), e.advance(b_at, LANES), even, odd]

            start = [a_now, self.memory[b], e.zero, e.zero]
            *_, even, odd = e.loop(self.shapes[b][0], start, pair)
            total = builder.fadd(builder.load(sum_now, typ=e.vector, align=4), builder.fadd(even, odd))
            builder.store(total, sum_now, align=4)

        distances = 4 * LANES, 4 * self.shapes[a][1]
        self._for_rows(a, [self.memory[sums], self.memory[a]], distances, row)


def _emit_tiles(
    e, target, rows, vectors, a_row, step, epilogue,
    a, a_tap, b, taps, steps, c, c_row, valid_rows, valid_columns, bias, auxiliary, auxiliary_row, scratch,
):  # fmt: skip
    builder = e.builder
    blocks = -(-rows // TILE_ROWS)  # of rows, with a tile each
    tile_rows = rows // blocks
    tiles = _Tiles(e) if target.native else _EmulatedTiles(e, target, tile_rows, step)
    places = [(i, v) for i in range(blocks) for v in range(vectors)]
    for i, v in places:
        tiles.zero(i * vectors + v)

    def products(carried):
        a_now, b_now = carried
        for v in range(vectors):
            tiles.load(6 + v, e.advance(b_now, v * LANES), 4 * vectors * LANES)
        for i in range(blocks):
            tiles.load(4 + i, _halves_on(e, a_now, i * tile_rows * a_row), 2 * a_row)
            for v in range(vectors):
                tiles.multiply(i * vectors + v, 4 + i, 6 + v)
        return [_halves_on(e, a_now, step), e.advance(b_now, step // 2 * vectors * LANES)]

    def tap(carried):
        return [_halves_on(e, carried[0], a_tap), e.loop(steps, carried, products)[1]]

    e.loop(taps, [e.pointer(a), e.pointer(b)], tap)
    for i, v in places:
        at = (i * tile_rows * vectors + v) * LANES
        tiles.store(i * vectors + v, e.advance(e.pointer(scratch), at), 4 * vectors * LANES)
    masks = [e.lane_mask(builder.sub(valid_columns, _INT(v * LANES))) for v in range(vectors)]

    def row(carried):
        sums_now, c_now, auxiliary_now = carried
        results = [[e.load(sums_now, v * LANES) for v in range(vectors)]]
        _finish(e, results, epilogue, [c_now], e.pointer(bias), [auxiliary_now], masks)
        auxiliary_next = e.advance(auxiliary_now, auxiliary_row)
        return [e.advance(sums_now, vectors * LANES), e.advance(c_now, c_row), auxiliary_next]

    count = e.minimum(valid_rows, _INT(rows))
    e.loop(count, [e.pointer(scratch), e.pointer(c), e.pointer(auxiliary)], row)
