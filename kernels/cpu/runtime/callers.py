"""What compiled code of others may pass to a step: said when it is compiled, before memory is misread."""

from numba import types
from numba.core.errors import NumbaTypeError
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic


def _expected(array, dtype, sizes, written: bool):
    """The array itself; NumbaTypeError, where the caller is compiled, if the array is another one."""
    wanted = dtype.dtype, len(sizes), "C"
    fits = isinstance(array, types.Array) and (array.dtype, array.ndim, array.layout) == wanted
    if not fits or (written and not array.mutable):
        kind = "writable, C-contiguous" if written else "C-contiguous"
        raise NumbaTypeError(
            f"A model's jitted prediction takes a {kind} array of {dtype.dtype} with {len(sizes)} axes here. "
            f"Received: {array}"
        )

    def codegen(context, builder, signature, arguments):
        return impl_ret_borrowed(context, builder, array, arguments[0])

    return array(array, dtype, sizes), codegen


@intrinsic
def expect_input(typingctx, array, dtype, sizes):
    """A C-contiguous array of ``dtype`` with as many axes as there are ``sizes``."""
    return _expected(array, dtype, sizes, written=False)


@intrinsic
def expect_output(typingctx, array, dtype, sizes):
    """The same, which can be written."""
    return _expected(array, dtype, sizes, written=True)
