"""How Numba compiles, caches and links CPU code: the one place that sets its options.

Numba is the reference of jitnet's own compiler, compiles what calls users' own functions, and lets these call kernels.

Compiled code lives in the user's cache directory, in folders named by a hash of the sources that it is made of
(``hashes``): Numba's own cache does not notice that an imported function changed, a new folder does.

A kernel is compiled once and called through a symbol of its own.  Numba would otherwise copy it into each caller and
optimise it again there, which costs seconds, and a kernel optimised twice does not give the same bits.
"""

import functools
import hashlib
import importlib
import itertools
import pickle
import re
import sys
import weakref
from pathlib import Path
from types import FunctionType

import llvmlite.binding
import numba
import numpy
from numba import types
from numba.core import cgutils, sigutils
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps
from numba.core.typing import signature as make_signature
from numba.extending import overload

from ...compiler import machine  # noqa: F401 (lets llvmlite free its pass managers)
from ...compiler.emitter import FLAGS
from ...locks import across_forks
from . import cache, exceptions, machine_code, pool
from .generated import living_module
from .hashes import source_hash
from .lazily import numba_is_here
from .users import identity_of

FASTMATH = set(FLAGS.split())
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": FASTMATH, "no_cfunc_wrapper": True}

# symbol -> (module, function, argument types); the key in ``_users`` of a user's own, None where that has none
_KERNELS: dict[str, tuple | None] = {}
_NUMBERS: dict[int, str] = {}  # exceptions.number_of(symbol) -> the kernel's name in the step
across_forks(global_compiler_lock)
_users = weakref.WeakValueDictionary()  # users' own functions by their identity, or what the user has, and name
_UNKNOWN = itertools.count()  # numbers of those without an identity


# ---- cache


class _Locator:
    """Where Numba's messages say that a function is; the files are ``_OverloadFiles``'s business."""

    def __init__(self, function):
        self._py_file = function.__code__.co_filename

    def ensure_cache_path(self):
        """The folder is made with its first file."""

    def get_cache_path(self):
        return f"kernels/{Path(self._py_file.strip('<>')).stem}-{source_hash(self._py_file)}"

    def get_source_stamp(self):
        return source_hash(self._py_file)


class _CacheImpl(CompileResultCacheImpl):
    """Names the files by the function and its line; Numba's own constructor would ask the environment for places."""

    def __init__(self, function):
        self._locator = _Locator(function)
        self._home = machine_code.home_of(function)
        self._lineno = function.__code__.co_firstlineno
        module = Path(self._locator._py_file.strip("<>")).stem
        version = f"py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"
        self._filename_base = f"{module}.{re.sub('[<>]', '', function.__qualname__)}-{self._lineno}.{version}"

    def rebuild(self, target_context, payload):
        codegen = machine_code.codegen(target_context.codegen(), self._home)
        compiled = super().rebuild(target_context.subtarget(_internal_codegen=codegen), payload)
        return compiled._replace(target_context=target_context)


class _UsersImpl(_CacheImpl):
    """A user's function, in a folder named by its identity."""

    def __init__(self, home: dict):
        self._home = home

    def check_cachable(self, cres):
        # code that refers to an address of this process, or goes on in Python, is compiled in every one
        return not cres.lifted and not cres.library.has_dynamic_globals


class _OverloadFiles:
    """One file per compiled overload, named by its key: several processes write at once without an index to lose."""

    def __init__(self, folder: str, base: str):
        self._prefix = f"{folder}/{base}"

    def _name(self, key) -> str:
        return f"{self._prefix}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"

    def load(self, key):
        content = cache.read(self._name(key))
        if content is None:
            return None
        try:
            text, data = pickle.loads(content)
        except Exception:  # what another version wrote may fail in any way; it is compiled anew
            return None
        return data if text == repr(key) else None

    def save(self, key, data) -> None:
        cache.write(self._name(key), dumps((repr(key), data)))

    def contains(self, key) -> bool:
        return cache.contains(self._name(key))

    def flush(self) -> None:
        """What ``recompile`` wants gone; a file of that name would be the same again."""


class _Cache(FunctionCache):
    """Numba's cache of one function on files of ours."""

    _impl_class = _CacheImpl

    def __init__(self, py_func):
        super().__init__(py_func)
        self._cache_file = _OverloadFiles(self._cache_path, self._impl.filename_base)

    def contains(self, arguments: tuple, codegen) -> bool:
        """Whether the overload for these types is on the disk."""
        return self._cache_file.contains(self._index_key(arguments, codegen))


class _UsersCache(FunctionCache):
    """Of a user's own function."""

    def __init__(self, function, identity: str, home: dict):
        self._name, self._identity = repr(function), identity
        self._impl = _UsersImpl(home)
        self._cache_file = _OverloadFiles(f"kernels/own-{identity[:16]}", "own")
        self.enable()

    def _save_overload(self, sig, data):
        if self._impl.check_cachable(data):
            self._cache_file.save(self._index_key(sig, data.codegen), self._impl.reduce(data))

    def _index_key(self, sig, codegen):
        return sig, codegen.magic_tuple(), self._identity


# ---- memory


def _forget_intermediate_code(dispatcher, arguments, linked: bool) -> None:
    """Free what Numba needed to compile a function, but for its machine code.

    linked: whether what calls it may yet copy its code, which is then kept in LLVM's compact form.
    """
    compiled = dispatcher.overloads.get(arguments)
    if compiled is None:  # kept under other types than it was asked for
        return
    library = compiled.library
    if library._shared_module is None and library._final_module is None:
        return
    machine_code.connect(compiled)
    dispatcher.overloads[arguments] = compiled._replace(
        type_annotation="", metadata=None, call_helper=None, target_context=dispatcher.targetctx
    )
    if linked:
        bitcode = library._get_module_for_linking().as_bitcode()
        library._get_module_for_linking = functools.partial(llvmlite.binding.parse_bitcode, bitcode)
    machine_code.free_modules(library)


def forget(dispatcher) -> None:
    """Break what Numba ties to a function of a module that has ended: its functions would hold each other for ever."""
    dispatcher._make_finalizer()()
    for symbol in vars(dispatcher).get("symbols", ()):
        _KERNELS.pop(symbol, None)
        _NUMBERS.pop(exceptions.number_of(symbol), None)
    machine_code.free_later(compiled.library for compiled in dispatcher.overloads.values())
    dispatcher.overloads.clear()


def _after_compiling(dispatcher, act):
    """``dispatcher``, which calls ``act(arguments)`` for every overload that it compiles or finds in the cache.

    Another thread comes in before both or after both.
    """
    compile_overload = dispatcher.compile

    def compile(signature):
        with global_compiler_lock:
            machine_code.free_what_ended()
            entry_point = compile_overload(signature)
            arguments, _ = sigutils.normalize_signature(signature)
            act(arguments)
        return entry_point

    dispatcher.compile = compile
    return dispatcher


def _forgetful(dispatcher):
    """A dispatcher that keeps no intermediate code but what callers link."""

    def act(arguments):
        _note_module(dispatcher)
        _forget_intermediate_code(dispatcher, arguments, True)

    return _after_compiling(dispatcher, act)


# ---- what machine code from a disk needs


class _Need:
    """A constant of a compiled function that is kept with its machine code: ``function(*arguments)`` when that is read.

    Machine code from a disk, be it from jitnet's cache or that of a user's ``@njit(cache=True)``, is linked when it is
    loaded: what it names must be there by then.  ``function`` returns the need again, or raises OSError where the code
    fits no more; Numba takes that as a file that is missing, and compiles anew.

    kept: what must not end as long as that machine code.  Before it is on a disk, Numba holds the functions that it
    calls, which hold their modules' contents.
    """

    def __init__(self, function, *arguments, kept=None):
        self._call = function, arguments
        self.kept = kept

    def __reduce__(self):
        return self._call


def _need_kernel(symbol: str, kernel: tuple | None) -> _Need:
    """That a kernel has its symbol; kernel: what ``_KERNELS`` said of it."""
    if symbol not in _KERNELS and kernel is not None and len(kernel) == 3:
        module, function, arguments = kernel
        try:
            getattr(importlib.import_module(module), function).compile(arguments)
        except Exception as error:  # another version's kernel may fail in any way
            raise OSError(f"{module}.{function} takes no {arguments} any more") from error
    if kernel is None or symbol not in _KERNELS:
        raise OSError(f"{kernel or symbol} is another kernel now")
    kept = living_module(kernel[0]) if len(kernel) == 3 else _users[kernel]
    return _Need(_need_kernel, symbol, kernel, kept=kept)


def _need_module(name: str) -> _Need:
    """That there is a generated module; another one, that of a model which has changed, has another name."""
    if name not in sys.modules:
        raise OSError(f"{name} does not exist")
    return _Need(_need_module, name)


def _note_module(dispatcher) -> None:
    """Callers that Numba keeps need the generated module of the function that they call."""
    for compiled in dispatcher.overloads.values():
        compiled.environment.consts.append(_Need(_need_module, dispatcher.py_func.__module__))


# ---- kernels as symbols


def _publish(dispatcher, arguments, name: str, user: tuple | None) -> None:
    """Give an overload of a kernel its symbol, and let callers call that."""
    compiled = dispatcher.overloads[arguments]
    function = dispatcher.py_func
    identity = f"{function.__module__} {function.__qualname__} {arguments} "
    identity += source_hash(function.__code__.co_filename) if user is None else str(user)
    symbol = f"jitnet_kernel_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
    if symbol in _KERNELS:
        return
    descriptor = compiled.fndesc
    address = compiled.library.get_pointer_to_function(descriptor.llvm_func_name)
    llvmlite.binding.add_symbol(symbol, address)
    if user is None:
        _KERNELS[symbol] = function.__module__, function.__name__, arguments
    else:  # one without an identity may be another one next time, under the same number
        _KERNELS[symbol] = user if user in _users else None
    _NUMBERS[exceptions.number_of(symbol)] = name
    vars(dispatcher).setdefault("symbols", []).append(symbol)

    def call_symbol(context, builder, sig, args):
        function_type = context.call_conv.get_function_type(descriptor.restype, descriptor.argtypes)
        target = cgutils.get_or_insert_function(builder.module, function_type, symbol)
        context.environment.consts.append(_Need(_need_kernel, symbol, _KERNELS[symbol]))
        status, _ = context.call_conv.call_function(builder, target, descriptor.restype, descriptor.argtypes, args)
        exceptions.propagate(context, builder, status, symbol)
        return context.get_dummy_value()

    call_symbol.signature = make_signature(descriptor.restype, *descriptor.argtypes)
    call_symbol.libs = ()
    selector = compiled.target_context._defns[compiled.entry_point]
    selector.versions.clear()
    selector._cache.clear()
    selector.append(call_symbol, call_symbol.signature.args)


def raised_by() -> str | None:
    """The name of the kernel that raised the last exception in this thread, once."""
    return _NUMBERS.get(exceptions.take_last())


def _called_by_symbol(dispatcher, name: str, user: tuple | None = None):
    """name: what steps call the kernel; user: the identity of a user's function, or its number, and the name."""

    def publish(arguments):
        # another thread's caller finds the kernel with its symbol or not at all
        _publish(dispatcher, arguments, name, user)
        _forget_intermediate_code(dispatcher, arguments, linked=False)

    call_template = dispatcher.get_call_template

    def get_call_template(arguments, keywords):
        # a literal 5 in the caller is an integer like any other: no overload of its own
        return call_template(tuple(types.unliteral(a) for a in arguments), keywords)

    dispatcher.get_call_template = get_call_template
    return _after_compiling(dispatcher, publish)


def _dispatcher(function, options=OPTIONS, part: bool = False):
    pipeline = machine_code.pipeline(machine_code.home_of(function), part)
    return numba.njit(**options, pipeline_class=pipeline)(function)


class UserKernel:
    """A user's own function as a kernel: Numba's dispatcher of it, which ends with this."""

    def __init__(self, dispatcher):
        self._dispatcher = dispatcher
        weakref.finalize(self, forget, dispatcher).atexit = False

    @property
    def _numba_type_(self):
        return self._dispatcher._numba_type_

    def __call__(self, *arguments):
        return self._dispatcher(*arguments)

    def compile(self, types_) -> None:
        self._dispatcher.compile(types_)


def user_kernel(dispatcher, name: str) -> UserKernel:
    """A user's own ``@njit`` function as a kernel; ``name``: what the step calls it.

    The user's options count, and ours where the user gives none.  Functions that are made of the same are one, which
    ends with the last step that calls it.
    """
    identity = identity_of(dispatcher)
    key = dispatcher if identity is None else identity, name
    found = _users.get(key)
    if found is None:
        home = {}
        options = {**OPTIONS, **{key: value for key, value in dispatcher.targetoptions.items() if key != "nopython"}}
        own = numba.njit(**options, pipeline_class=machine_code.pipeline(home))(dispatcher.py_func)
        found = UserKernel(_called_by_symbol(own, name, (next(_UNKNOWN) if identity is None else identity, name)))
        if identity is not None:
            own._cache = _UsersCache(dispatcher.py_func, identity, home)
        _users[key] = found
    return found


def array_type(dtype: str, axes: int):
    """Numba's type of a C-contiguous array."""
    return types.Array(numba.from_dtype(numpy.dtype(dtype)), axes, "C")


# ---- what the decorators of ``jit`` stand for


def _kernel(function):
    options = {**OPTIONS, "fastmath": FASTMATH if function.compiled_with["fastmath"] else False}
    dispatcher = _dispatcher(function, options)
    dispatcher._cache = _Cache(function)
    return _called_by_symbol(dispatcher, function.__name__)


def _function(function):
    dispatcher = _dispatcher(function)
    dispatcher._cache = _Cache(function)
    return _forgetful(dispatcher)


def _uncached(function):
    dispatcher = _dispatcher(function)

    def act(arguments):
        _note_module(dispatcher)
        machine_code.connect(dispatcher.overloads[arguments])

    return _after_compiling(dispatcher, act)


def _part(function):
    dispatcher = _dispatcher(function, {**OPTIONS, "no_cpython_wrapper": True}, part=True)
    return _after_compiling(dispatcher, lambda arguments: _note_module(dispatcher))


DISPATCHERS = {"kernel": _kernel, "function": _function, "uncached": _uncached, "part": _part}


def overload_scalar(function, inline: bool, **options) -> None:
    """Let Numba's code call a plain scalar function; see ``jit.scalar``."""

    @overload(function, jit_options={**({"forceinline": True} if inline else {}), **options}, strict=False)
    def choose(*arguments, **keywords):
        if "real" not in function.__code__.co_names:
            return function
        given = (*arguments, *keywords.values())
        real = next((argument for argument in given if isinstance(argument, types.Float)), given[0])
        scope = {**function.__globals__, "real": real}
        return FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)


pool.load()  # whose symbols cached code names
numba_is_here()
