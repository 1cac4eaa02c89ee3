"""The generator of vector micro-kernels: register tiles written as LLVM IR, called from Numba as intrinsics.

A *tile* is a small function that keeps a block of the result in vector registers while it runs over the reduction.
Here are ``matrix_tile`` (products of matrices), ``convolution_tile`` (convolution forward, and backward to its input),
``filter_tile`` (convolution backward to its weights) and ``column_sum_tile``; others lie in ``simd_*.py``.  Tiles take
addresses and element counts as integers; what is a constant is said by the keyword arguments that make the tile.  The
loops around a tile are Numba code.

Where a row ends within a vector, vectors of 32 and 64 bytes take instructions with a mask.  Those of 16 bytes have none
(``hardware_masks`` is False): LLVM would make a branch for each lane.  There such a vector is read and written in parts
whose sizes are constants or, where the row's length is not one, lane by lane at addresses that never lie past the last
element.  Inside loops over the rows of a matrix even that is left to the last rows: what a vector reads past the end of
any other is the beginning of the next one, and belongs to lanes that are never written.

Sums run over the reduction in one order that does not depend on a tile's size or place, so a result's bits do not
depend on how the work is split.
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import llvmlite.binding
from llvmlite import ir

from jitnet.kernels.compiler.intrinsics import Tile

_POINTER = ir.PointerType()
_INT = ir.IntType(64)
_INDEX = ir.IntType(32)
_BIT = ir.IntType(1)
# of arithmetic: without "reassoc", tiles add in the order in which they are written, whatever passes they undergo
_FLAGS = "nsz", "arcp", "contract", "afn"


def _integer(value):
    return value if isinstance(value, ir.Value) else ir.Constant(_INT, value)


@dataclass(frozen=True)
class _FirstLanes:
    """The mask of the first lanes without instructions that take one.

    count: how many, if that is a constant; places: else where each lane lies, those past the last one where it does.
    """

    count: int | None
    places: tuple = ()


class Emitter:
    """Writes the body of one function over vectors of ``lanes`` elements of ``dtype`` (float32 or float64)."""

    def __init__(self, function, dtype, lanes, hardware_masks=True):
        self.function = function
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.lanes = lanes
        self.hardware_masks = hardware_masks
        self.element, self.itemsize = {"float32": (ir.FloatType(), 4), "float64": (ir.DoubleType(), 8)}[dtype]
        self.vector = ir.VectorType(self.element, lanes)
        self.zero = ir.Constant(self.vector, [self.element(0.0)] * lanes)
        self._suffix = f"v{lanes}f{8 * self.itemsize}"

    def _external(self, name, result, arguments):
        declared = self.function.module.globals.get(name)
        return declared or ir.Function(self.function.module, ir.FunctionType(result, arguments), name)

    def pointer(self, address):
        return self.builder.inttoptr(address, _POINTER)

    def advance(self, pointer, elements):
        if isinstance(elements, int) and elements == 0:
            return pointer
        return self.builder.gep(pointer, [_integer(elements)], source_etype=self.element)

    def load(self, pointer, offset=0, mask=None):
        pointer = self.advance(pointer, offset)
        if mask is None:
            return self.builder.load(pointer, typ=self.vector, align=self.itemsize)
        if isinstance(mask, _FirstLanes):
            return self._load_lanes(pointer, mask)
        # masked off lanes are not touched, so a tail never reads past the end of an array
        if llvmlite.binding.llvm_version_info[0] >= 22:
            types_, extra = [_POINTER, mask.type, self.vector], []
        else:
            types_, extra = [_POINTER, _INDEX, mask.type, self.vector], [_INDEX(self.itemsize)]
        function = self._external(f"llvm.masked.load.{self._suffix}.p0", self.vector, types_)
        return self.builder.call(function, [pointer, *extra, mask, self.zero])

    def store(self, value, pointer, offset=0, mask=None):
        pointer = self.advance(pointer, offset)
        if mask is None:
            self.builder.store(value, pointer, align=self.itemsize)
            return
        if isinstance(mask, _FirstLanes):
            self._store_lanes(value, pointer, mask)
            return
        if llvmlite.binding.llvm_version_info[0] >= 22:
            types_, extra = [self.vector, _POINTER, mask.type], []
        else:
            types_, extra = [self.vector, _POINTER, _INDEX, mask.type], [_INDEX(self.itemsize)]
        function = self._external(f"llvm.masked.store.{self._suffix}.p0", ir.VoidType(), types_)
        self.builder.call(function, [value, pointer, *extra, mask])

    def _pieces(self, count):
        """(first lane, lanes) of the largest vectors that make up the first ``count`` lanes."""
        first = 0
        while count:
            size = 1 << (count.bit_length() - 1)
            yield first, size
            first, count = first + size, count - size

    def _load_lanes(self, pointer, mask):
        builder, value = self.builder, self.zero
        if mask.count is None:
            for lane, place in enumerate(mask.places):
                element = builder.load(self.advance(pointer, place), typ=self.element, align=self.itemsize)
                value = builder.insert_element(value, element, _INDEX(lane))
            return value
        for first, size in self._pieces(mask.count):
            part = ir.VectorType(self.element, size)
            piece = builder.load(self.advance(pointer, first), typ=part, align=self.itemsize)
            # as wide as the others, then in its place
            order = ir.VectorType(_INDEX, self.lanes)
            wide = [_INDEX(min(i, size - 1)) for i in range(self.lanes)]
            piece = builder.shuffle_vector(piece, ir.Constant(part, ir.Undefined), ir.Constant(order, wide))
            lanes = range(first, first + size)
            place = [_INDEX(self.lanes + i - first if i in lanes else i) for i in range(self.lanes)]
            value = builder.shuffle_vector(value, piece, ir.Constant(order, place))
        return value

    def _store_lanes(self, value, pointer, mask):
        builder = self.builder
        if mask.count is None:
            # the last lane first: what lanes that do not exist leave in the last place that does is overwritten
            for lane, place in reversed(list(enumerate(mask.places))):
                element = builder.extract_element(value, _INDEX(lane))
                builder.store(element, self.advance(pointer, place), align=self.itemsize)
            return
        for first, size in self._pieces(mask.count):
            order = ir.Constant(ir.VectorType(_INDEX, size), [_INDEX(first + i) for i in range(size)])
            piece = builder.shuffle_vector(value, value, order)
            builder.store(piece, self.advance(pointer, first), align=self.itemsize)

    def store_row(self, values, pointer, masks):
        """Store neighbouring vectors, of which the last ones may exist in part or not at all."""
        row = list(enumerate(zip(values, masks, strict=True)))
        # without hardware masks those that do not exist leave traces in the last element that does
        for v, (value, mask) in row if self.hardware_masks else reversed(row):
            self.store(value, pointer, v * self.lanes, mask)

    def splat(self, value, type_):
        undefined = ir.Constant(type_, ir.Undefined)
        first = self.builder.insert_element(undefined, value, _INDEX(0))
        lanes = ir.Constant(ir.VectorType(_INDEX, self.lanes), [_INDEX(0)] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def broadcast(self, pointer, offset=0):
        scalar = self.builder.load(self.advance(pointer, offset), typ=self.element, align=self.itemsize)
        return self.splat(scalar, self.vector)

    def inputs(self, pointer, offset, count, groups_per_vector, depth, filters):
        """Yield, for ``count`` neighbouring channels, a vector of what its lanes, which are filters, read.

        A vector holds ``filters`` filters of each of ``groups_per_vector`` groups, whose channels lie ``depth`` apart.
        """
        if groups_per_vector == 1:
            for channel in range(count):
                yield self.broadcast(pointer, offset + channel)
            return
        existing = (groups_per_vector - 1) * depth + count
        loaded = self.load(pointer, offset, None if existing == self.lanes else self.constant_mask(existing))
        for channel in range(count):
            order = [
                _INDEX(min(lane // filters, groups_per_vector - 1) * depth + channel) for lane in range(self.lanes)
            ]
            order = ir.Constant(ir.VectorType(_INDEX, self.lanes), order)
            yield self.builder.shuffle_vector(loaded, ir.Constant(self.vector, ir.Undefined), order)

    def transposed(self, values):
        """The rows of the matrix whose columns are ``values``, at most as many as lanes: as many vectors as lanes."""
        size, distance = values[0].type.count, 1
        rows = list(values) + [ir.Constant(values[0].type, ir.Undefined)] * (size - len(values))
        while distance < size:  # swap the off-diagonal blocks of size 1, 2, 4, ...
            high = [bool(j & distance) for j in range(size)]
            first = [j + size - distance if high[j] else j for j in range(size)]
            second = [j + size if high[j] else j + distance for j in range(size)]
            for i in range(size):
                if not i & distance:
                    pair = rows[i], rows[i + distance]
                    for at, order in ((i, first), (i + distance, second)):
                        order = ir.Constant(ir.VectorType(_INDEX, size), [_INDEX(j) for j in order])
                        rows[at] = self.builder.shuffle_vector(*pair, order)
            distance *= 2
        return rows

    def lane_mask(self, count):
        """Mask of the first ``count`` lanes (none if negative, all if there are no more lanes).

        Without hardware masks an element before the first lane must exist if ``count`` is not positive.
        """
        if not self.hardware_masks:
            last = self.builder.sub(count, _INT(1))
            return _FirstLanes(None, tuple(self.minimum(_INT(i), last) for i in range(self.lanes)))
        indices = ir.VectorType(_INT, self.lanes)
        numbers = ir.Constant(indices, [_INT(i) for i in range(self.lanes)])
        return self.builder.icmp_signed("<", numbers, self.splat(count, indices))

    def constant_mask(self, count):
        """Mask of the first ``count`` lanes, a constant."""
        if not self.hardware_masks:
            return _FirstLanes(count)
        return ir.Constant(ir.VectorType(_BIT, self.lanes), [_BIT(i < count) for i in range(self.lanes)])

    def over_masks(self, vectors, valid, size, body):
        """``body(masks)`` for ``vectors`` vectors of a row of ``size`` elements, of which ``valid`` are left."""
        rest, block = size % self.lanes, vectors * self.lanes
        if size % block == 0:
            body([None] * vectors)
        elif self.hardware_masks:
            last = self.lane_mask(self.builder.sub(valid, _INT((vectors - 1) * self.lanes)))
            body([None] * (vectors - 1) + [last])
        elif size < block:
            body([None] * (vectors - 1) + [self.constant_mask(rest)])
        else:
            with self.builder.if_else(self.builder.icmp_signed(">=", valid, _INT(block))) as (whole, end):
                with whole:
                    body([None] * vectors)
                with end:
                    body([None] * (vectors - 1) + [self.constant_mask(rest)])

    def rows_read_whole(self, rows, row, vectors, valid):
        """How many of ``rows`` rows, ``row`` elements apart, go on for ``vectors`` vectors or are followed by others.

        The array ends ``valid`` elements after the last row's beginning.
        """
        builder = self.builder
        missing = self.maximum(builder.sub(_INT(vectors * self.lanes), valid), _INT(0))
        row = self.maximum(row, _INT(1))  # of a single row, any number
        others = builder.sdiv(builder.add(missing, builder.sub(row, _INT(1))), row)
        return self.maximum(builder.sub(rows, others), _INT(0))

    def multiply_add(self, a, b, c):
        # fmuladd, not fma: without hardware support the latter would be a library call
        function = self._external(f"llvm.fmuladd.{self._suffix}", self.vector, [self.vector] * 3)
        return self.builder.call(function, [a, b, c])

    def relu(self, value):
        return self.builder.select(self.builder.fcmp_ordered("<", value, self.zero), self.zero, value)

    def where_positive(self, condition, value):
        return self.builder.select(self.builder.fcmp_ordered(">", condition, self.zero), value, self.zero)

    def minimum(self, a, b):
        return self.builder.select(self.builder.icmp_signed("<", a, b), a, b)

    def maximum(self, a, b):
        return self.builder.select(self.builder.icmp_signed(">", a, b), a, b)

    def loop(self, count, carried, body):
        """``count`` times ``carried = body(carried)``; returns the last ``carried`` (values, as a list)."""
        builder = self.builder
        before = builder.block
        head, inside, after = (self.function.append_basic_block(name) for name in ("head", "inside", "after"))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(_INT)
        index.add_incoming(_INT(0), before)
        values = [builder.phi(value.type) for value in carried]
        for value, first in zip(values, carried, strict=True):
            value.add_incoming(first, before)
        builder.cbranch(builder.icmp_signed("<", index, _integer(count)), inside, after)
        builder.position_at_end(inside)
        results = body(list(values))
        index.add_incoming(builder.add(index, _INT(1)), builder.block)
        for value, result in zip(values, results, strict=True):
            value.add_incoming(result, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return values


@functools.cache
def _sources_hash() -> bytes:
    """Hash of the recipes' sources, and of LLVM's version, which they ask for."""
    digest = hashlib.sha256(repr(llvmlite.binding.llvm_version_info).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def _tile_function(module, name, dtype, lanes, arguments, emit, constants, hardware_masks=True):
    """The function of ``module`` with ``arguments`` integers whose body is ``emit(emitter, *arguments)``."""
    digest = hashlib.sha256(repr((dtype, lanes, hardware_masks, sorted(constants.items()))).encode()).hexdigest()[:16]
    symbol = f"jitnet_{name}_{digest}"
    function = module.globals.get(symbol)
    if function is None:
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_INT] * arguments), symbol)
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("nounwind")
        # without it LLVM halves vectors of 64 bytes on processors whose clock they slow down
        set.add(function.attributes, '"prefer-vector-width"="512"')
        emitter = Emitter(function, dtype, lanes, hardware_masks)
        emit(emitter, *function.args)
        emitter.builder.ret_void()
        for block in function.blocks:
            for instruction in block.instructions:
                if instruction.opname in ("fadd", "fsub", "fmul", "fdiv", "fcmp"):
                    instruction.flags = list(_FLAGS)
    return function


def _tile(name, dtype, lanes, arguments, emit, constants, hardware_masks=True):
    """``tile((argument, ...))`` of integers whose body is ``emit(emitter, *arguments)``."""

    def recipe(module, _):
        return _tile_function(module, name, dtype, lanes, arguments, emit, constants, hardware_masks)

    identity = repr((name, dtype, lanes, hardware_masks, sorted(constants.items()))).encode() + _sources_hash()
    return Tile(name, arguments, recipe, identity)


def _tile_of_type(name, lanes, arguments, emit, constants, hardware_masks=True):
    """``tile(like, (argument, ...))``: vectors have ``lanes(dtype)`` elements like the array ``like``."""

    def recipe(module, dtype):
        return _tile_function(module, name, dtype, lanes(dtype), arguments, emit, constants, hardware_masks)

    widths = lanes("float32"), lanes("float64")
    identity = repr((name, widths, hardware_masks, sorted(constants.items()))).encode() + _sources_hash()
    return Tile(name, arguments, recipe, identity, typed=True)


def _finish(emitter, results, epilogue, pointers, bias, auxiliary, masks):
    """Write a block of results.  ``results[i][v]`` goes to ``pointers[i]`` after v vectors.

    epilogue: store; accumulate (add what is there); bias, bias_relu (that at ``bias``); bias_add, bias_add_relu (and
    the residual at ``auxiliary[i]``); relu_mask (zero where the activation at ``auxiliary[i]`` is not positive).
    """
    vectors = len(results[0])
    offsets = [v * emitter.lanes for v in range(vectors)]
    if epilogue.startswith("bias"):
        biases = [emitter.load(bias, offsets[v], masks[v]) for v in range(vectors)]
        results = [[emitter.builder.fadd(row[v], biases[v]) for v in range(vectors)] for row in results]
    # every load before the first store: rows past the end repeat the last row and must write the same again
    if epilogue in ("accumulate", "relu_mask", "bias_add", "bias_add_relu"):
        sources = pointers if epilogue == "accumulate" else auxiliary
        combine = emitter.where_positive if epilogue == "relu_mask" else emitter.builder.fadd
        old = [[emitter.load(p, offsets[v], masks[v]) for v in range(vectors)] for p in sources]
        results = [
            [combine(o, value) for o, value in zip(old_row, row, strict=True)]
            for old_row, row in zip(old, results, strict=True)
        ]
    if epilogue in ("bias_relu", "bias_add_relu"):
        results = [[emitter.relu(value) for value in row] for row in results]
    for pointer, row in zip(pointers, results, strict=True):
        emitter.store_row(row, pointer, masks)


def matrix_tile(
    *, dtype, lanes, hardware_masks, rows, vectors, masked, epilogue, unroll, contiguous, in_parts=False
):  # fmt: skip
    """C[i, j] = epilogue(sum over k of A[i, k] B[k, j]) for ``rows`` rows and ``vectors`` vectors of columns.

    Arguments: a, a_row, a_step, b, b_row, c, c_row, depth, valid_rows, valid_columns, resume, finish, bias, auxiliary,
    auxiliary_row: addresses, and distances in elements.  ``a_step`` is from A[i, k] to A[i, k + 1]; ``contiguous`` says
    that it is 1.  Rows from ``valid_rows`` on repeat the last valid one; with ``masked``, columns from
    ``valid_columns`` on are left alone.  With the epilogue "accumulate" sums go on from C.  With ``in_parts`` they
    do so if ``resume``, and are stored as they are unless ``finish``: a sum in parts has the same bits as in one.
    ``auxiliary``: for epilogues that read an array like C besides, in the place of the tile.
    """

    def emit(
        e, a, a_row, a_step, b, b_row, c, c_row, depth, valid_rows, valid_columns, resume, finish, bias, auxiliary,
        auxiliary_row,
    ):  # fmt: skip
        builder = e.builder
        last = builder.sub(valid_rows, _INT(1))
        index = [_INT(0)] + [e.minimum(_INT(i), last) for i in range(1, rows)]
        a_rows = [e.advance(e.pointer(a), builder.mul(i, a_row)) for i in index]
        pointers = [e.advance(e.pointer(c), builder.mul(i, c_row)) for i in index]
        masks = [None] * vectors
        if masked:
            masks = [e.lane_mask(builder.sub(valid_columns, _INT(v * e.lanes))) for v in range(vectors)]
        step = _INT(1) if contiguous else a_step

        def multiply(carried, count, masks):
            offset, b_now, *sums = carried
            for _ in range(count):
                b_values = [e.load(b_now, v * e.lanes, masks[v]) for v in range(vectors)]
                for i in range(rows):
                    a_value = e.broadcast(a_rows[i], offset)
                    for v in range(vectors):
                        at = i * vectors + v
                        sums[at] = e.multiply_add(a_value, b_values[v], sums[at])
                offset = builder.add(offset, step)
                b_now = e.advance(b_now, b_row)
            return [offset, b_now, *sums]

        def old():
            return [e.load(p, v * e.lanes, masks[v]) for p in pointers for v in range(vectors)]

        sums = [e.zero] * (rows * vectors)
        if epilogue == "accumulate":
            sums = old()
        elif in_parts:
            sums = e.loop(builder.zext(builder.icmp_signed("!=", resume, _INT(0)), _INT), sums, lambda _: old())
        carried = [_INT(0), e.pointer(b), *sums]
        if masked and not hardware_masks:
            whole = builder.sdiv(e.rows_read_whole(depth, b_row, vectors, valid_columns), _INT(unroll))
            carried = e.loop(whole, carried, lambda values: multiply(values, unroll, [None] * vectors))
            rest = builder.sub(depth, builder.mul(whole, _INT(unroll)))
            carried = e.loop(rest, carried, lambda values: multiply(values, 1, masks))
        elif unroll > 1:
            carried = e.loop(builder.sdiv(depth, _INT(unroll)), carried, lambda values: multiply(values, unroll, masks))
            carried = e.loop(builder.srem(depth, _INT(unroll)), carried, lambda values: multiply(values, 1, masks))
        else:
            carried = e.loop(depth, carried, lambda values: multiply(values, 1, masks))
        sums = carried[2:]
        results = [sums[i * vectors : (i + 1) * vectors] for i in range(rows)]
        auxiliaries = [e.advance(e.pointer(auxiliary), builder.mul(i, auxiliary_row)) for i in index]
        if epilogue in ("store", "accumulate"):
            _finish(e, results, "store", pointers, None, None, masks)
        elif not in_parts:
            _finish(e, results, epilogue, pointers, e.pointer(bias), auxiliaries, masks)
        else:
            with builder.if_else(builder.icmp_signed("!=", finish, _INT(0))) as (last_part, other_part):
                with last_part:
                    _finish(e, results, epilogue, pointers, e.pointer(bias), auxiliaries, masks)
                with other_part:
                    _finish(e, results, "store", pointers, None, None, masks)

    constants = dict(
        rows=rows, vectors=vectors, masked=masked, epilogue=epilogue, unroll=unroll, contiguous=contiguous,
        in_parts=in_parts,
    )  # fmt: skip
    return _tile("matrix", dtype, lanes, 15, emit, constants, hardware_masks)


def _uses(pixels, taps, stride, dilation, edges=None):
    """Columns of input that ``pixels`` outputs read, each with the (tap, pixel) pairs that read it.

    edges: (columns missing before the first that exists, number of those that exist), or None if all exist.
    """
    missing, existing = edges or (0, pixels * stride + taps * dilation)
    uses = {}
    for pixel in range(pixels):
        for tap in range(taps):
            column = pixel * stride + tap * dilation - missing
            if 0 <= column < existing:
                uses.setdefault(column, []).append((tap, pixel))
    return sorted(uses.items())


def convolution_tile(
    *, dtype, lanes, hardware_masks, pixels, vectors, taps, stride, dilation, channels, filters, step, narrow, epilogue,
    edges=None, groups=1, groups_per_vector=1, rest=False,
):  # fmt: skip
    """One row of outputs, ``pixels`` x ``vectors`` vectors of filters at a time: an input is read once for all taps.

    Arguments: x, x_row, kernel, tap_rows, y, tiles, narrow_tiles, single_pixels, valid_filters, bias, auxiliary:
    addresses of the first input that the first tap row reads, of its weights and of the output; the distance between
    the inputs of consecutive tap rows; the number of tiles of ``pixels``, of ``pixels - 1`` (with ``narrow``) and of
    one pixel (with ``rest``) in the row; for epilogues, the address of the bias and of what an array like the output
    has in the output's place.
    ``kernel`` is (tap rows, taps, channels / groups, filters); outputs lie ``step`` pixels apart.  With ``edges`` (see
    ``_uses``) one tile is a whole row, x is the address of the first column that exists, and no zero is multiplied.
    Of ``groups`` of channels and filters the tile computes one, or ``groups_per_vector`` in one vector.
    """
    depth, group_filters = channels // groups, filters // groups

    def emit(e, x, x_row, kernel, tap_rows, y, tiles, narrow_tiles, single_pixels, valid_filters, bias, auxiliary):
        def tile(count, masks):
            def channel(carried):
                x_now, kernel_now, *sums = carried
                weights = [
                    [e.load(kernel_now, s * depth * filters + v * lanes, masks[v]) for v in range(vectors)]
                    for s in range(taps)
                ]
                for column, readers in _uses(count, taps, stride, dilation, edges):
                    (value,) = e.inputs(x_now, column * channels, 1, groups_per_vector, depth, group_filters)
                    for s, pixel in readers:
                        for v in range(vectors):
                            at = pixel * vectors + v
                            sums[at] = e.multiply_add(value, weights[s][v], sums[at])
                return [e.advance(x_now, 1), e.advance(kernel_now, filters), *sums]

            def tap_row(carried):
                sums = e.loop(depth, carried, channel)[2:]
                return [e.advance(carried[0], x_row), e.advance(carried[1], taps * depth * filters), *sums]

            def body(carried):
                x_now, y_now, auxiliary_now = carried
                sums = e.loop(tap_rows, [x_now, e.pointer(kernel)] + [e.zero] * (count * vectors), tap_row)[2:]
                results = [sums[i * vectors : (i + 1) * vectors] for i in range(count)]
                pointers = [e.advance(y_now, i * step * filters) for i in range(count)]
                auxiliaries = [e.advance(auxiliary_now, i * step * filters) for i in range(count)]
                _finish(e, results, epilogue, pointers, e.pointer(bias), auxiliaries, masks)
                outputs = count * step * filters
                return [
                    e.advance(x_now, count * stride * channels), e.advance(y_now, outputs),
                    e.advance(auxiliary_now, outputs),
                ]  # fmt: skip

            return body

        def row(masks):
            carried = e.loop(tiles, [e.pointer(x), e.pointer(y), e.pointer(auxiliary)], tile(pixels, masks))
            if narrow and pixels > 1:
                carried = e.loop(narrow_tiles, carried, tile(pixels - 1, masks))
            if rest:
                e.loop(single_pixels, carried, tile(1, masks))

        e.over_masks(vectors, valid_filters, groups_per_vector * group_filters, row)

    constants = dict(
        pixels=pixels, vectors=vectors, taps=taps, stride=stride, dilation=dilation, channels=channels,
        filters=filters, step=step, narrow=narrow, epilogue=epilogue, edges=edges, groups=groups,
        groups_per_vector=groups_per_vector, rest=rest,
    )  # fmt: skip
    return _tile("convolution", dtype, lanes, 11, emit, constants, hardware_masks)


def filter_tile(
    *, dtype, lanes, hardware_masks, channel_block, vectors, taps, stride, dilation, channels, filters, pixels, narrow,
    copies, groups=1, groups_per_vector=1,
):  # fmt: skip
    """Adds one image's part to the gradient of one row of taps.

    The tile has ``channel_block`` channels and ``vectors`` vectors of filters.
    Arguments: x, x_row, dy, dy_row, dkernel, rows, blocks, narrow_blocks, valid_filters: addresses, distances between
    the inputs (and gradients) of consecutive output rows, the number of output rows and of the blocks of ``pixels``
    (and, with ``narrow``, of ``pixels - 1``) that make up such a row.  ``copies`` partial sums hide latency.
    ``groups`` and ``groups_per_vector`` are those of ``convolution_tile``.
    """
    depth, group_filters = channels // groups, filters // groups

    def emit(e, x, x_row, dy, dy_row, dkernel, rows, blocks, narrow_blocks, valid_filters):
        places = [(c, s, v) for c in range(channel_block) for s in range(taps) for v in range(vectors)]
        offsets = [s * depth * filters + c * filters + v * lanes for c, s, v in places]

        def block(count, masks):
            def body(carried):
                x_now, dy_now, *sums = carried
                gradients = {}
                for column, readers in _uses(count, taps, stride, dilation):
                    for _, pixel in readers:
                        if pixel not in gradients:
                            gradients[pixel] = [
                                e.load(dy_now, pixel * filters + v * lanes, masks[v]) for v in range(vectors)
                            ]
                    values = e.inputs(x_now, column * channels, channel_block, groups_per_vector, depth, group_filters)
                    for c, value in enumerate(values):
                        for s, pixel in readers:
                            for v in range(vectors):
                                at = (pixel % copies) * len(places) + (c * taps + s) * vectors + v
                                sums[at] = e.multiply_add(value, gradients[pixel][v], sums[at])
                return [e.advance(x_now, count * stride * channels), e.advance(dy_now, count * filters), *sums]

            return body

        def image(masks):
            def row(carried):
                inside = e.loop(blocks, carried, block(pixels, masks))
                if narrow:
                    inside = e.loop(narrow_blocks, inside, block(pixels - 1, masks))
                return [e.advance(carried[0], x_row), e.advance(carried[1], dy_row), *inside[2:]]

            target = e.pointer(dkernel)
            sums = [e.load(target, offset, masks[v]) for offset, (_, _, v) in zip(offsets, places, strict=True)]
            sums += [e.zero] * (len(places) * (copies - 1))
            sums = e.loop(rows, [e.pointer(x), e.pointer(dy), *sums], row)[2:]
            for at, (offset, (_, _, v)) in enumerate(zip(offsets, places, strict=True)):
                total = sums[at]
                for copy in range(1, copies):
                    total = e.builder.fadd(total, sums[at + copy * len(places)])
                e.store(total, target, offset, masks[v])

        e.over_masks(vectors, valid_filters, groups_per_vector * group_filters, image)

    constants = dict(
        channel_block=channel_block, vectors=vectors, taps=taps, stride=stride, dilation=dilation, channels=channels,
        filters=filters, pixels=pixels, narrow=narrow, copies=copies, groups=groups,
        groups_per_vector=groups_per_vector,
    )  # fmt: skip
    return _tile("filter", dtype, lanes, 9, emit, constants, hardware_masks)


def column_sum_tile(*, dtype, lanes, hardware_masks, vectors, masked):
    """out[j] = the sum over i of A[i, j], added to out[j] if ``accumulate``, for ``vectors`` vectors of columns.

    Arguments: a, a_row, out, rows, columns, accumulate.  With ``masked``, columns from ``columns`` on are left alone.
    """

    def emit(e, a, a_row, out, rows, columns, accumulate):
        builder, target = e.builder, e.pointer(out)
        masks = [e.lane_mask(builder.sub(columns, _INT(v * lanes))) if masked else None for v in range(vectors)]

        def load(pointer, masks=masks):
            return [e.load(pointer, v * lanes, masks[v]) for v in range(vectors)]

        def add(a, b):
            return [builder.fadd(x, y) for x, y in zip(a, b, strict=True)]

        def four_rows(carried, masks=masks):
            pointers = [e.advance(carried[0], builder.mul(_INT(i), a_row)) for i in range(4)]
            first, second, third, fourth = (load(pointer, masks) for pointer in pointers)
            total = add(add(first, second), add(third, fourth))
            return [e.advance(pointers[3], a_row), *add(carried[1:], total)]

        def row(carried):
            return [e.advance(carried[0], a_row), *add(carried[1:], load(carried[0]))]

        sums = [e.zero] * vectors
        sums = e.loop(builder.zext(builder.icmp_signed("!=", accumulate, _INT(0)), _INT), sums, lambda _: load(target))
        fours, carried = builder.sdiv(rows, _INT(4)), [e.pointer(a), *sums]
        if masked and not hardware_masks:
            whole = builder.sdiv(e.rows_read_whole(rows, a_row, vectors, columns), _INT(4))
            carried = e.loop(whole, carried, lambda values: four_rows(values, [None] * vectors))
            fours = builder.sub(fours, whole)
        carried = e.loop(fours, carried, four_rows)
        carried = e.loop(builder.srem(rows, _INT(4)), carried, row)
        e.store_row(carried[1:], target, masks)

    return _tile("column_sum", dtype, lanes, 6, emit, dict(vectors=vectors, masked=masked), hardware_masks)
