"""The decorators of kernels and of generated code.

What they decorate is Python that two compilers take: jitnet's own, which runs kernels and steps, and Numba, the
reference, which compiles whatever calls a user's own functions and lets these call kernels.  Numba is imported when it
is first needed.
"""

import functools
import inspect
import threading

from ...compiler import intrinsic
from ...compiler.emitter import FLAGS
from ...locks import across_forks
from .lazily import numba, with_numba

FASTMATH = set(FLAGS.split())

_making = across_forks(threading.RLock())


class Function:
    """A decorated function: ``py_func``, and what Numba makes of it.

    What Numba's dispatchers have (``compile``, ``overloads``, ...) is asked of it; where Numba compiles a caller, it is
    that dispatcher.
    """

    def __init__(self, function, kind: str):
        functools.update_wrapper(self, function)
        self.py_func = function
        self.kind = kind
        self._made = None
        self._ours: dict = {}  # {types of arguments: what jitnet's own compiler made, None where it can't}

    @property
    def dispatcher(self):
        """Numba's dispatcher of it."""
        if self._made is None:
            from . import dispatchers

            with _making:
                if self._made is None:
                    self._made = dispatchers.DISPATCHERS[self.kind](self.py_func)
        return self._made

    @property
    def _numba_type_(self):
        return self.dispatcher._numba_type_

    def __call__(self, *arguments):
        from . import native

        call = native.function_of(self, arguments) if self.kind in ("kernel", "function") else None
        return self.dispatcher(*arguments) if call is None else call(*arguments)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.dispatcher, name)

    def forget(self) -> None:
        """The module of this function has ended."""
        if self._made is not None:
            from . import dispatchers

            dispatchers.forget(self._made)


def kernel(function) -> Function:
    """Decorator of every CPU kernel: a function without a result.  Its first line is ``kernel_attributes()``."""
    function.compiled_with = {"fastmath": True}
    return Function(function, "kernel")


def exact_kernel(function) -> Function:
    """A kernel whose own arithmetic is rounded operation by operation, unlike that of the functions it calls."""
    function.compiled_with = {"fastmath": False}
    return Function(function, "kernel")


def compile_function(function) -> Function:
    """Generated code that calls kernels, kept in the disk cache."""
    return Function(function, "function")


def compile_uncached(function) -> Function:
    """The same without the disk cache, for calls of users' functions that have no identity; it can be inspected."""
    return Function(function, "uncached")


def compile_part(function) -> Function:
    """Generated code that becomes part of its only caller: neither Python nor the disk cache meets it."""
    return Function(function, "part")


def scalar(function, inline: bool | None = None, **options):
    """A plain scalar function made callable from kernels.

    inline: True forces it into the caller's loop; False keeps it out, which compiles sooner where several call it.
    Its global ``real``, in which it writes its literals, is the type of its first floating-point argument there.
    options: Numba's, instead of those of the kernel.
    """
    function.compiled_with = {"inline": inline, **({"fastmath": bool(options["fastmath"])} if options else {})}

    def tell():
        from . import dispatchers

        dispatchers.overload_scalar(function, bool(inline), **options)

    with_numba(tell)
    return function


inlined, apart = functools.partial(scalar, inline=True), functools.partial(scalar, inline=False)


def forget_functions(contents: dict) -> None:
    """Free what was compiled of a generated module that has ended."""
    for value in list(contents.values()):
        if isinstance(value, Function) and value.py_func.__globals__ is contents:
            value.forget()


def written(function, source: str):
    """A function that was made of a template and keeps its ``source``, which ``inspect`` would look for in a file."""
    getattr(function, "py_func", function).source = source.strip() + "\n"
    return function


def kernel_source(kernel: Function) -> str:
    """The source of a kernel."""
    return getattr(kernel.py_func, "source", None) or inspect.getsource(kernel.py_func)


@intrinsic
def kernel_attributes(typingctx):
    """Lets LLVM use the widest vectors of the machine in the kernel."""

    def codegen(context, builder, signature, arguments):
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return numba.types.void(), codegen
