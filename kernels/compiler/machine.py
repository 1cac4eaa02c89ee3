"""From LLVM's text to an object file: the processor, the passes, the emission, all as in Numba."""

import ctypes
import functools
import threading
from typing import NamedTuple

import llvmlite.binding as llvm
from llvmlite.binding import ffi, newpassmanagers
from llvmlite.binding.context import create_context
from llvmlite.binding.ffi import ObjectRef


class Machine(NamedTuple):
    """A processor: LLVM's name of it, its features as LLVM takes them, and the system, as a triple."""

    name: str
    features: str
    triple: str


def _dispose_of_pass_managers() -> None:
    """Let llvmlite free LLVM's pass managers, of which each takes 16 to 55 KiB.

    Its classes inherit the method that does so behind an empty one of the same name (llvmlite 0.47 to 0.50).
    """
    for manager in (newpassmanagers.ModulePassManager, newpassmanagers.FunctionPassManager):
        if manager._dispose is ObjectRef._dispose:
            manager._dispose = newpassmanagers.NewPassManager._dispose


_dispose_of_pass_managers()


class Code:
    """An object file in memory, whose machine code ends with this object; other code finds its ``symbol`` there.

    called: other code that it calls, which lives as long as this.
    """

    def __init__(self, content: bytes, symbol: str, machine: Machine, called=()):
        # LLVM's engine takes what it is given and frees it: a target machine of its own, too
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _new_target_machine(machine, 3))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(content))
        self._engine.finalize_object()
        self._called = tuple(called)
        self.address = self.publish(symbol)

    def publish(self, symbol: str) -> int:
        """Let other code find one of its functions; the address."""
        address = self._engine.get_function_address(symbol)
        llvm.add_symbol(symbol, address)
        return address


@functools.cache
def host() -> Machine:
    """The processor that this process runs on."""
    return Machine(llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvm.get_process_triple())


_local = threading.local()


def target_machine(machine: Machine, level: int, linked: bool = False):
    """What emits code; one for each thread, because LLVM's has state.  linked: into programs and libraries."""
    made = vars(_local).setdefault("machines", {})
    if (machine, level, linked) not in made:
        made[machine, level, linked] = _new_target_machine(machine, level, linked)
    return made[machine, level, linked]


def _new_target_machine(machine: Machine, level: int, linked: bool = False):
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    reloc = "static" if machine.triple.startswith(("x86", "i686")) else "default"
    how = {"reloc": "pic"} if linked else {"reloc": reloc, "codemodel": "jitdefault", "jit": True}
    target = llvm.Target.from_triple(machine.triple)
    return target.create_target_machine(cpu=machine.name, features=machine.features, opt=level, **how)


def parsed(text: str, machine: Machine, context=None) -> llvm.ModuleRef:
    """LLVM's module of a text; context: what it shares with others, that of the thread alone where several compile."""
    module = llvm.parse_assembly(text, context)
    module.triple = machine.triple
    module.data_layout = str(target_machine(machine, 3).target_data)
    return module


def _at_once(function):
    """A function of LLVM's without the lock by which llvmlite lets threads wait for each other.

    LLVM itself asks for none where every thread has a context and a target machine of its own.
    """
    return getattr(function, "_cfn", function)


def _run_over_module(manager, module, builder) -> None:
    _at_once(ffi.lib.LLVMPY_RunNewModulePassManager)(manager, module, builder)
    manager.close()


def _run_passes(module, machine, level: int) -> None:
    options = llvm.PipelineTuningOptions(speed_level=level)
    options.loop_vectorization, options.slp_vectorization = True, False
    builder = llvm.PassBuilder(target_machine(machine, 3), options)
    _run_over_module(builder.getModulePassManager(), module, builder)


def _simplify(function, machine) -> None:
    """The passes over one function that come before those over the module.

    Loops are not unrolled: what Numba writes for those of Python is too long for that at this stage.
    """
    options = llvm.PipelineTuningOptions(speed_level=3)
    options.loop_vectorization, options.slp_vectorization, options.loop_unrolling = True, False, False
    builder = llvm.PassBuilder(target_machine(machine, 3), options)
    manager = builder.getFunctionPassManager()
    _at_once(ffi.lib.LLVMPY_RunNewFunctionPassManager)(manager, function, builder)
    manager.close()


def _emitted(module, machine, level: int, linked: bool = False) -> bytes:
    with ffi.OutputString() as error:
        emit = _at_once(ffi.lib.LLVMPY_TargetMachineEmitToMemory)
        memory = emit(target_machine(machine, level, linked), module, 1, error)
        if not memory:
            raise RuntimeError(str(error))
    try:
        return ctypes.string_at(ffi.lib.LLVMPY_GetBufferStart(memory), ffi.lib.LLVMPY_GetBufferSize(memory))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)


def _optimise(text, called, name, machine, level, context) -> llvm.ModuleRef:
    """A module after its passes.  called: the optimised modules of the parts that it calls; name: what others see."""
    module = parsed(text, machine, context)
    if level > 1:
        for function in module.functions:
            if not function.is_declaration:
                _simplify(function, machine)
    for part in called:
        module.link_in(part, preserve=True)
    for function in module.functions:
        if not function.is_declaration and function.name != name:
            function.linkage = "internal"
    if level:
        _run_passes(module, machine, level)
    return module


def _tile(name, text, machine, context) -> llvm.ModuleRef:
    """The module of a tile.

    It is written as it shall be: all passes would take longer than its emission, and not make it faster.
    """
    module = parsed(text, machine, context)
    module.get_function(name).linkage = "external"
    builder = llvm.PassBuilder(target_machine(machine, 3), llvm.PipelineTuningOptions(speed_level=1))
    manager = llvm.create_new_module_pass_manager()
    manager.add_instruction_combine_pass()
    manager.add_simplify_cfg_pass()
    _run_over_module(manager, module, builder)
    return module


def object_of(text: str, machine: Machine, level: int = 3) -> bytes:
    """The object file of a module's text."""
    module = parsed(text, machine)
    _run_passes(module, machine, level)
    return _emitted(module, machine, level)


def optimised(translation, machine: Machine, level: int = 3, context=None) -> llvm.ModuleRef:
    """LLVM's module of a translation, after its passes: as by Numba, parts have them before they come into others.

    Around tiles, where little time is spent, there are few.
    """
    if translation.tiles:
        level = min(level, 1)
    parts = {}
    for name, text, called in translation.parts:
        parts[name] = _optimise(text, [parts[part] for part in called], name, machine, level, context)
    called = [parts[part] for part in translation.called_parts]
    module = _optimise(translation.text, called, translation.symbol, machine, level, context)
    apart = {name: parts[name] for name in translation.apart}
    apart |= {name: _tile(name, text, machine, context) for name, text in translation.tiles.items()}
    for part in apart.values():
        module.link_in(part)
    for name in apart:  # now that all have found each other
        module.get_function(name).linkage = "internal"
    return module


def object_code(translation, machine: Machine | None = None, level: int = 3) -> bytes:
    """The object file of a translation; several threads may make some at once."""
    machine, context = machine or host(), create_context()
    module = optimised(translation, machine, level, context)
    code = _emitted(module, machine, level)
    module.close()  # before its context
    return code


def linked_code(translations, text: str, shown, machine: Machine) -> bytes:
    """The object file of ``text`` and of all that it calls, for the linker of other programs.

    translations: [(translation, level of its passes)]; shown: the symbols that other programs see.
    """
    context = create_context()
    module = parsed(text, machine, context)
    for translation, level in translations:
        module.link_in(optimised(translation, machine, level, context))
    for found in (*module.functions, *module.global_variables):
        if not found.is_declaration and found.name not in shown:
            found.linkage = "internal"
    builder = llvm.PassBuilder(target_machine(machine, 3), llvm.PipelineTuningOptions(speed_level=1))
    manager = llvm.create_new_module_pass_manager()
    manager.add_global_dead_code_eliminate_pass()
    _run_over_module(manager, module, builder)
    code = _emitted(module, machine, 3, linked=True)
    module.close()  # before its context
    return code
