"""Instructions of the device that Python has no name for: the only file with inline PTX (NVIDIA's PTX ISA 9.0).

Each is a ``_api.Intrinsic``: what kernels call, made by numba.cuda when it is first compiled, and known to emulators by
its name.  A *fragment* is what one lane of a warp holds of a small matrix; g = lane // 4, t = lane % 4.
"""

from ._api import Intrinsic, numba_cuda


def _numba():
    """numba.cuda's module of types, and what makes an instruction of inline assembly."""
    from llvmlite import ir

    module = numba_cuda()
    return ir, module.types, module.cgutils, module.extending.intrinsic, module.typing.signature


def _pointer(context, builder, cgutils, types, array_type, array, index_type, index):
    """The address of an element, (i64)"""
    from llvmlite import ir

    made = context.make_array(array_type)(context, builder, array)
    single = not isinstance(index_type, types.BaseTuple)
    indices = [index] if single else cgutils.unpack_tuple(builder, index)
    kinds = [index_type] if single else list(index_type)
    indices = [context.cast(builder, i, kind, types.intp) for i, kind in zip(indices, kinds, strict=True)]
    pointer = cgutils.get_item_pointer(context, builder, array_type, made, indices, wraparound=False)
    return builder.ptrtoint(pointer, ir.IntType(64))


def _shared(context, builder, cgutils, types, array_type, array, index_type, index):
    """The address of an element within shared memory, (i32): what is 32 bits wide needs half as many registers."""
    from llvmlite import ir

    made = context.make_array(array_type)(context, builder, array)
    word = ir.IntType(32)
    text = "{ .reg .u64 wide; cvta.to.shared.u64 wide, $1; cvt.u32.u64 $0, wide; }"
    kind = ir.FunctionType(word, [ir.IntType(64)])
    base = builder.call(ir.InlineAsm(kind, text, "=r,l"), [builder.ptrtoint(made.data, ir.IntType(64))])
    lengths = [builder.trunc(length, word) for length in cgutils.unpack_tuple(builder, made.shape)]
    position = ir.Constant(word, 0)
    for i, kind, length in zip(cgutils.unpack_tuple(builder, index), index_type, lengths, strict=True):
        position = builder.add(builder.mul(position, length), context.cast(builder, i, kind, types.int32))
    size = ir.Constant(word, context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
    return builder.add(base, builder.mul(position, size))


def _multiply(name: str, instruction: str):
    """(c, a, b) -> c + a b: fragments of 4 float32, of 4 words and of 2 words."""

    def define():
        ir, types, cgutils, intrinsic, signature = _numba()
        word, number = ir.IntType(32), ir.FloatType()

        def typer(context, c, a, b):
            tuples = (
                types.UniTuple(types.float32, 4),
                types.UniTuple(types.uint32, 4),
                types.UniTuple(types.uint32, 2),
            )
            if (c, a, b) != tuples:
                return None

            def generate(context, builder, signature, arguments):
                c, a, b = (cgutils.unpack_tuple(builder, argument) for argument in arguments)
                result = ir.LiteralStructType([number] * 4)
                text = f"{instruction} {{$0,$1,$2,$3}}, {{$4,$5,$6,$7}}, {{$8,$9}}, {{$10,$11,$12,$13}};"
                constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)
                kind = ir.FunctionType(result, [word] * 6 + [number] * 4)
                found = builder.call(ir.InlineAsm(kind, text, constraints), [*a, *b, *c])
                parts = [builder.extract_value(found, i) for i in range(4)]
                return context.make_tuple(builder, signature.return_type, parts)

            return signature(c, c, a, b), generate

        typer.__name__ = name
        return intrinsic(typer)

    return Intrinsic(name, define)


# Fragments of a (16, 8) in TF32, words: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4); of b (8, 8): (t, g),
# (t + 4, g); of c (16, 8): (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).  In bfloat16 a is (16, 16) and b
# (16, 8), and each word holds two neighbours in k: for t read 2t and 2t + 1, for t + 4 read 2t + 8 and 2t + 9.
multiply_tf32 = _multiply("multiply_tf32", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")
multiply_bf16 = _multiply("multiply_bf16", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")


def _load_matrices(name: str, transposed: str):
    """(tile, index) -> 4 words: lane i gives the row of 16 bytes at tile[index], row i % 8 of matrix i // 8.

    Word j of a lane is row g of matrix j, words t; if transposed, of 16-bit numbers: rows 2t and 2t + 1, column g.
    """

    def define():
        ir, types, cgutils, intrinsic, signature = _numba()

        def typer(context, tile, index):
            made = signature(types.UniTuple(types.uint32, 4), tile, index)

            def generate(context, builder, signature, arguments):
                tile, index = signature.args
                address = _shared(context, builder, cgutils, types, tile, arguments[0], index, arguments[1])
                word = ir.IntType(32)
                kind = ir.FunctionType(ir.LiteralStructType([word] * 4), [word])
                text = f"ldmatrix.sync.aligned.m8n8.x4{transposed}.shared.b16 {{$0,$1,$2,$3}}, [$4];"
                load = ir.InlineAsm(kind, text, "=r,=r,=r,=r,r,~{memory}", side_effect=True)
                found = builder.call(load, [address])
                parts = [builder.extract_value(found, i) for i in range(4)]
                return context.make_tuple(builder, signature.return_type, parts)

            return made, generate

        typer.__name__ = name
        return intrinsic(typer)

    return Intrinsic(name, define)


load_matrices = _load_matrices("load_matrices", "")
load_matrices_transposed = _load_matrices("load_matrices_transposed", ".trans")


def _define_to_tf32():
    ir, types, _, intrinsic, signature = _numba()

    def to_tf32(context, value):
        if value not in (types.float32, types.uint32):
            return None

        def generate(context, builder, signature, arguments):
            number = builder.bitcast(arguments[0], ir.FloatType())
            kind = ir.FunctionType(ir.IntType(32), [ir.FloatType()])
            return builder.call(ir.InlineAsm(kind, "fma.rn.f32 $0, $1, 0f39C00000, $1;", "=r,f"), [number])

        return signature(types.uint32, value), generate

    return intrinsic(to_tf32)


# a float32, or its bits, with about half a unit of TF32's last digit added (3 * 2**-13 of it, between 0.38 and 0.75
# units), so that cutting off the other digits, as products do, rounds it: to the nearest or, seldom, the next;
# what TF32 has exactly stays.  cvt.rna.tf32 rounds exactly, in three instructions
to_tf32 = Intrinsic("to_tf32", _define_to_tf32)


def _define_pack_bf16():
    ir, types, _, intrinsic, signature = _numba()

    def pack_bf16(context, low, high):
        if (low, high) != (types.float32, types.float32):
            return None

        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(ir.IntType(32), [ir.FloatType()] * 2)
            return builder.call(ir.InlineAsm(kind, "cvt.rn.bf16x2.f32 $0, $2, $1;", "=r,f,f"), arguments)

        return signature(types.uint32, low, high), generate

    return intrinsic(pack_bf16)


# two float32 rounded to bfloat16, as one word
pack_bf16 = Intrinsic("pack_bf16", _define_pack_bf16)


def _define_copy_async():
    ir, types, cgutils, intrinsic, signature = _numba()

    def copy_async(context, tile, index, source, at, inside):
        def generate(context, builder, signature, arguments):
            tile, index, source, at, inside = signature.args
            target = _shared(context, builder, cgutils, types, tile, arguments[0], index, arguments[1])
            origin = _pointer(context, builder, cgutils, types, source, arguments[2], at, arguments[3])
            inside = context.cast(builder, arguments[4], inside, types.boolean)
            word = ir.IntType(32)
            size = builder.select(inside, ir.Constant(word, 16), ir.Constant(word, 0))
            kind = ir.FunctionType(ir.VoidType(), [word, ir.IntType(64), word])
            text = "cp.async.cg.shared.global [$0], [$1], 16, $2;"
            copy = ir.InlineAsm(kind, text, "r,l,r,~{memory}", side_effect=True)
            builder.call(copy, [target, origin, size])
            return context.get_dummy_value()

        return signature(types.void, tile, index, source, at, inside), generate

    return intrinsic(copy_async)


# (tile, index, source, at, inside): 16 bytes from source[at] on are on their way to tile[index] on, or zeros are
copy_async = Intrinsic("copy_async", _define_copy_async)


def _wait(name: str, text: str):
    """An instruction without operands."""

    def define():
        ir, types, _, intrinsic, signature = _numba()

        def typer(context):
            def generate(context, builder, signature, arguments):
                kind = ir.FunctionType(ir.VoidType(), [])
                builder.call(ir.InlineAsm(kind, text, "~{memory}", side_effect=True), [])
                return context.get_dummy_value()

            return signature(types.void), generate

        typer.__name__ = name
        return intrinsic(typer)

    return Intrinsic(name, define)


# the copies of this thread since the last one belong together, as those of a step
end_step_of_copies = _wait("end_step_of_copies", "cp.async.commit_group;")
# the copies of all steps of this thread but the last have arrived, for itself; a barrier makes them so for others
await_copies_but_one_step = _wait("await_copies_but_one_step", "cp.async.wait_group 1;")
await_copies_but_two_steps = _wait("await_copies_but_two_steps", "cp.async.wait_group 2;")


def _define_load_quad():
    ir, types, cgutils, intrinsic, signature = _numba()

    def load_quad(context, array, at):
        if array.dtype != types.float32:
            return None

        def generate(context, builder, signature, arguments):
            array, at = signature.args
            address = _pointer(context, builder, cgutils, types, array, arguments[0], at, arguments[1])
            vector = ir.VectorType(ir.FloatType(), 4)
            found = builder.load(builder.inttoptr(address, vector.as_pointer()), align=16)
            parts = [builder.extract_element(found, ir.Constant(ir.IntType(32), i)) for i in range(4)]
            return context.make_tuple(builder, signature.return_type, parts)

        return signature(types.UniTuple(types.float32, 4), array, at), generate

    return intrinsic(load_quad)


# (array, at) -> array[at .. at + 3] of float32, in one load; array[at] is aligned to 16 bytes
load_quad = Intrinsic("load_quad", _define_load_quad)


def _define_store_quad():
    ir, types, cgutils, intrinsic, signature = _numba()

    def store_quad(context, array, at, values):
        if array.dtype != types.float32 or values != types.UniTuple(types.float32, 4):
            return None

        def generate(context, builder, signature, arguments):
            array, at, _ = signature.args
            address = _pointer(context, builder, cgutils, types, array, arguments[0], at, arguments[1])
            vector = ir.VectorType(ir.FloatType(), 4)
            found = ir.Constant(vector, ir.Undefined)
            for i, value in enumerate(cgutils.unpack_tuple(builder, arguments[2])):
                found = builder.insert_element(found, value, ir.Constant(ir.IntType(32), i))
            builder.store(found, builder.inttoptr(address, vector.as_pointer()), align=16)
            return context.get_dummy_value()

        return signature(types.void, array, at, values), generate

    return intrinsic(store_quad)


# (array, at, values): array[at .. at + 3] = four float32, in one store; array[at] is aligned to 16 bytes
store_quad = Intrinsic("store_quad", _define_store_quad)
