"""jitnet inspect: a kernel's Python, LLVM code or machine code."""

import re

from jitnet.kernels.literals import name as checked_name


def run(options) -> int:
    """Print a kernel: its Python, LLVM's intermediate code or the machine's instructions."""
    from importlib import import_module

    from jitnet.kernels.compiler import TranslationError, machine, translate
    from jitnet.kernels.cpu.runtime import processor
    from jitnet.kernels.cpu.runtime.jit import Function, kernel_source

    family, _, name = options.kernel.rpartition(".")
    try:
        kernel = getattr(import_module(f"jitnet.kernels.cpu.{checked_name(family)}"), checked_name(name))
    except (ImportError, AttributeError, ValueError):
        kernel = None
    if not isinstance(kernel, Function):
        raise ValueError(
            "A kernel is named by its file in kernels/cpu and its function, dense.dense_forward say. "
            f"Received: {options.kernel!r}"
        )
    if not (options.llvm or options.asm):
        if options.types:
            raise ValueError(
                f"Types are for the compiled kernel: add --llvm or --asm. Received: {' '.join(options.types)}"
            )
        print(kernel_source(kernel), end="")
        return 0
    parameters = kernel.py_func.__code__.co_varnames[: kernel.py_func.__code__.co_argcount]
    if len(options.types) != len(parameters):
        raise ValueError(
            f"{options.kernel} takes {', '.join(parameters)}: give the type of each, float32[:,:] for an array with "
            f"two axes, int64, float64 or bool for a number. Received: {' '.join(options.types) or 'no types'}"
        )
    try:
        translation, target = translate(kernel, tuple(map(_kernel_type, options.types))), processor.machine()
    except TranslationError as error:
        raise ValueError(f"{options.kernel} does not take these types: {error}") from None
    module = machine.optimised(translation, target)
    print(machine.target_machine(target, 3).emit_assembly(module) if options.asm else module)
    return 0


def _kernel_type(text: str):
    """A type of a kernel's argument."""
    from jitnet.kernels.compiler import ArrayType

    found = re.fullmatch(r"(bool|u?int(?:8|16|32|64)|float(?:32|64))(\[:(?:,:)*\])?", text)
    if found is None:
        raise ValueError(f"A type is float32[:,:], int64, float64, bool or the like. Received: {text!r}")
    return found[1] if found[2] is None else ArrayType(found[1], found[2].count(":"))
