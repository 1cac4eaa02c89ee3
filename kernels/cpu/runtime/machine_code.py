"""Machine code that ends with the generated module that it was compiled for.

Numba puts all that a process compiles into one engine of LLVM, which keeps machine code and object files for ever.
Here each generated module (of a step, of specialised kernels) has an engine of its own.  What can call a function
holds its library, and a library holds its engine; what has copied code of a step holds the step's contents, and those
the modules of its kernels: so no code is freed that could still be called.  The kernels of jitnet's own modules, whose
number is bounded, stay in Numba's engine.

What an architecture leaves behind that was compiled and let go: 0.1 to 0.3 MiB, of it llvmlite loses 1.4 KiB for each
function that is optimised (LLVM's PassInstrumentationCallbacks, to which it keeps no reference); the rest are Numba's
caches of types.  As long as it is one of the ``generated.KEPT`` used last, a specialised kernel takes 0.1 MiB.
"""

import functools
import types
import weakref

from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
from numba.core.compiler import Compiler

_HOME = "machine_code"  # what a generated module calls its own engine
_ended = []  # engines and libraries that nothing can call any more, perhaps found in the middle of a compilation


class Library(JITCodeLibrary):
    """One compiled function with what it was compiled from."""

    def _optimize_functions(self, ll_module):
        # Numba tries declarations, too: nothing is done, in a tenth of all the time, and 1.4 KiB are lost each time
        ll_module.data_layout = self._codegen._data_layout
        defined = [function for function in ll_module.functions if not function.is_declaration]
        super()._optimize_functions(types.SimpleNamespace(functions=defined))

    def _finalize_specific(self):
        code = self._compiled_object or self._codegen._tm.emit_object(self._final_module)
        self._compiled_object = code  # the engine takes it
        super()._finalize_specific()
        self._compiled_object = code


class Part(Library):
    """A function that its callers copy before it becomes machine code: it never does."""

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name):
        return 0

    @property
    def codegen(self):
        return _NoEngine


class _NoEngine:
    """An engine's only method that is asked for a function without machine code."""

    @staticmethod
    def set_env(name, environment):
        pass


class _Codegen(JITCPUCodegen):
    """Numba's compiler to machine code, with an engine of its own."""

    _library_class = Library

    def __init__(self, shared):
        self._features = shared._tm_features
        super().__init__("jitnet")
        # one for all: what optimises or emits code has half a MiB of tables
        self._tm = shared._tm
        weakref.finalize(self, _ended.append, self._engine._ee).atexit = False

    def _customize_tm_features(self):
        return self._features


def home_of(function) -> dict | None:
    """Where the engine for a function of a generated module is; None for Numba's engine."""
    contents = function.__globals__
    generated = contents.get("__file__") == f"<{contents.get('__name__')}>"
    return contents if generated else None


def codegen(shared, home: dict | None):
    """The compiler to machine code that ``home`` has, made when it is first asked for; without one, ``shared``."""
    if home is None:
        return shared
    if _HOME not in home:
        home[_HOME] = _Codegen(shared)
    return home[_HOME]


class _Pipeline(Compiler):
    def __init__(self, home, part, *arguments):
        super().__init__(*arguments)
        self._home = home
        self._class = Part if part else Library

    def compile_extra(self, func):
        self.state.library = self._class(codegen(self.state.targetctx.codegen(), self._home), func.__qualname__)
        self.state.library.enable_object_caching()
        return super().compile_extra(func)


def pipeline(home: dict | None, part: bool = False):
    """Numba's ``pipeline_class`` for functions whose machine code goes into the engine of ``home``."""
    return functools.partial(_Pipeline, home, part)


def connect(compiled) -> None:
    """Let the engine know the environments of the functions that were linked in."""
    for environment in compiled._find_referenced_environments():
        compiled.library.codegen.set_env(environment.env_name, environment)


def free_modules(library) -> None:
    """Free LLVM's modules of a library, and of the parts that belong to it alone."""
    for other in library._linking_libraries:
        if isinstance(other, Part):
            free_modules(other)
    final, shared = library._final_module, library._shared_module
    library._final_module = library._shared_module = library._compiled_object = None
    library._disable_inspection = True
    library._linking_libraries.clear()
    if final is not None:
        if final._owned:
            library.codegen._engine._ee.remove_module(final)  # machine code that was made stays
        final.close()
    if shared is not None and shared is not final:
        shared.close()


def free_later(libraries) -> None:
    """Free LLVM's modules of libraries that nothing calls any more, when nothing is being compiled."""
    _ended.extend(libraries)


def free_what_ended() -> None:
    """Between two compilations, under Numba's lock: LLVM's structures are common to all that is compiled."""
    while _ended:
        ended = _ended.pop()
        if isinstance(ended, JITCodeLibrary):
            free_modules(ended)
        else:
            ended.close()
        del ended  # perhaps the last of its engine, which then is in the list
