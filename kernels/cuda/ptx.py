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


_SHARED = 3  # LLVM's number of the address space


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


def _shared(context, builder, types, array_type, array, index_type, index):
    """The address of an element of a flat array within shared memory, (i32)"""
    from llvmlite import ir

    made = context.make_array(array_type)(context, builder, array)
    word = ir.IntType(32)
    near = builder.addrspacecast(made.data, ir.PointerType(made.data.type.pointee, addrspace=_SHARED))
    size = ir.Constant(word, context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
    position = builder.mul(context.cast(builder, index, index_type, types.int32), size)
    return builder.add(builder.ptrtoint(near, word), position)


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


def _define_load_matrices():
    ir, types, _, intrinsic, signature = _numba()

    def load_matrices(context, tile, at):
        def generate(context, builder, signature, arguments):
            tile, at = signature.args
            address = _shared(context, builder, types, tile, arguments[0], at, arguments[1])
            word = ir.IntType(32)
            kind = ir.FunctionType(ir.LiteralStructType([word] * 4), [word])
            text = "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {$0,$1,$2,$3}, [$4];"
            load = ir.InlineAsm(kind, text, "=r,=r,=r,=r,r,~{memory}", side_effect=True)
            found = builder.call(load, [address])
            parts = [builder.extract_value(found, i) for i in range(4)]
            return context.make_tuple(builder, signature.return_type, parts)

        return signature(types.UniTuple(types.uint32, 4), tile, at), generate

    return intrinsic(load_matrices)


# (tile, at) -> 4 words: lane i gives the row of 16 bytes at tile[at], row i % 8 of matrix i // 8, and gets as word j
# that of row g of matrix j, element t
load_matrices = Intrinsic("load_matrices", _define_load_matrices)


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
        if not {low, high} <= {types.float32, types.uint32}:
            return None

        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(ir.IntType(32), [ir.FloatType()] * 2)
            numbers = [builder.bitcast(argument, ir.FloatType()) for argument in arguments]
            return builder.call(ir.InlineAsm(kind, "cvt.rn.bf16x2.f32 $0, $2, $1;", "=r,f,f"), numbers)

        return signature(types.uint32, low, high), generate

    return intrinsic(pack_bf16)


# two float32, or their bits, rounded to bfloat16, as one word
pack_bf16 = Intrinsic("pack_bf16", _define_pack_bf16)


def _define_copy_async():
    ir, types, cgutils, intrinsic, signature = _numba()

    def copy_async(context, tile, place, source, at, inside):
        def generate(context, builder, signature, arguments):
            tile, place, source, at, inside = signature.args
            target = _shared(context, builder, types, tile, arguments[0], place, arguments[1])
            origin = _pointer(context, builder, cgutils, types, source, arguments[2], at, arguments[3])
            inside = context.cast(builder, arguments[4], inside, types.boolean)
            word = ir.IntType(32)
            size = builder.select(inside, ir.Constant(word, 16), ir.Constant(word, 0))
            kind = ir.FunctionType(ir.VoidType(), [word, ir.IntType(64), word])
            text = "cp.async.cg.shared.global [$0], [$1], 16, $2;"
            copy = ir.InlineAsm(kind, text, "r,l,r,~{memory}", side_effect=True)
            builder.call(copy, [target, origin, size])
            return context.get_dummy_value()

        return signature(types.void, tile, place, source, at, inside), generate

    return intrinsic(copy_async)


# (tile, place, source, at, inside): 16 bytes from source[at] on are on their way to tile[place] on, or zeros are
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


def _define_worked_out():
    ir, types, _, intrinsic, signature = _numba()

    def worked_out(context, number):
        if number != types.int32:
            return None

        def generate(context, builder, signature, arguments):
            kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32)])
            return builder.call(ir.InlineAsm(kind, "mov.b32 $0, $1;", "=r,r", side_effect=True), arguments)

        return signature(number, number), generate

    return intrinsic(worked_out)


# an int32 as it is, which a compiler doesn't work out again where it is used: NVVM does so to save registers, and puts
# divisions into loops
worked_out = Intrinsic("worked_out", _define_worked_out)


def _load_vector(name: str, size: int):
    """(array, at) -> array[at .. at + size - 1] of float32, in one load, aligned to as many bytes as it has."""

    def define():
        ir, types, cgutils, intrinsic, signature = _numba()

        def typer(context, array, at):
            if array.dtype != types.float32:
                return None

            def generate(context, builder, signature, arguments):
                array, at = signature.args
                address = _pointer(context, builder, cgutils, types, array, arguments[0], at, arguments[1])
                vector = ir.VectorType(ir.FloatType(), size)
                found = builder.load(builder.inttoptr(address, vector.as_pointer()), align=4 * size)
                parts = [builder.extract_element(found, ir.Constant(ir.IntType(32), i)) for i in range(size)]
                return context.make_tuple(builder, signature.return_type, parts)

            return signature(types.UniTuple(types.float32, size), array, at), generate

        typer.__name__ = name
        return intrinsic(typer)

    return Intrinsic(name, define)


def _store_vector(name: str, size: int):
    """(array, at, values): array[at .. at + size - 1] = float32, in one store, aligned to as many bytes as it has."""

    def define():
        ir, types, cgutils, intrinsic, signature = _numba()

        def typer(context, array, at, values):
            if array.dtype != types.float32 or values != types.UniTuple(types.float32, size):
                return None

            def generate(context, builder, signature, arguments):
                array, at, _ = signature.args
                address = _pointer(context, builder, cgutils, types, array, arguments[0], at, arguments[1])
                vector = ir.VectorType(ir.FloatType(), size)
                found = ir.Constant(vector, ir.Undefined)
                for i, value in enumerate(cgutils.unpack_tuple(builder, arguments[2])):
                    found = builder.insert_element(found, value, ir.Constant(ir.IntType(32), i))
                builder.store(found, builder.inttoptr(address, vector.as_pointer()), align=4 * size)
                return context.get_dummy_value()

            return signature(types.void, array, at, values), generate

        typer.__name__ = name
        return intrinsic(typer)

    return Intrinsic(name, define)


load_pair, load_quad = _load_vector("load_pair", 2), _load_vector("load_quad", 4)
store_pair, store_quad = _store_vector("store_pair", 2), _store_vector("store_quad", 4)
