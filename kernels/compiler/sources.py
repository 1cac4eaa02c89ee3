"""The source of a function as a tree, and a hash of all that its machine code is made of."""

import ast
import functools
import hashlib
import linecache
import textwrap
import types
import weakref
from pathlib import Path

import numpy as np

from .intrinsics import Intrinsic, Tile
from .types import TranslationError


def python_function(value):
    """The Python function of a kernel or a scalar function, None for anything else."""
    value = getattr(value, "py_func", value)
    return value if isinstance(value, types.FunctionType) else None


def options_of(function) -> dict:
    """What ``kernel`` or ``scalar`` said of a function."""
    return getattr(function, "compiled_with", {})


@functools.lru_cache(64)
def _definition(text: str, name: str, line: int) -> ast.FunctionDef | None:
    """The definition of a function in the text of a file, from this line on."""
    lines = text.splitlines(keepends=True)[line - 1 :]
    indent = len(lines[0]) - len(lines[0].lstrip()) if lines else 0
    end = next((at for at, given in enumerate(lines) if given.lstrip().startswith("def ")), 0) + 1
    while end < len(lines) and (lines[end][: indent + 1].isspace() or lines[end][indent : indent + 1] in tuple("\n)#")):
        end += 1
    try:  # its own lines, which is quick
        (node,) = ast.parse("\n" * (line - 1) + textwrap.dedent("".join(lines[:end]))).body
    except (SyntaxError, ValueError):  # a text in it begins further left
        found = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
        first = {min([n.lineno, *(decorator.lineno for decorator in n.decorator_list)]): n for n in found}
        node = first.get(line)
    return node if isinstance(node, ast.FunctionDef) and node.name == name else None


def tree_of(function) -> tuple[ast.FunctionDef, str]:
    """The definition of a function, and the file that it is in."""
    code = function.__code__
    file, written = code.co_filename, getattr(function, "source", None)
    if written is not None:  # of a template: its lines are counted from its beginning
        line = next(n for n, text in enumerate(written.split("\n"), 1) if text.startswith(f"def {code.co_name}("))
        return _definition(written, code.co_name, line), f"{file} ({code.co_name})"
    node = _definition("".join(linecache.getlines(file)), code.co_name, code.co_firstlineno)
    if node is None:
        raise TranslationError(f"{file}:{code.co_firstlineno}: the source of {code.co_name} is not there")
    return node, file


@functools.cache
def compiler_hash() -> bytes:
    """Hash of this compiler's own source."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


_hashes = weakref.WeakKeyDictionary()


def source_hash(function) -> bytes:
    """Hash of a function, and of all that it reads and calls: what two compilations have in common."""
    if function not in _hashes:
        digest = hashlib.sha256()
        _add_function(digest, function, set())
        _hashes[function] = digest.digest()
    return _hashes[function]


def _add_function(digest, function, seen) -> None:
    if function in seen:
        digest.update(f"again {function.__qualname__}".encode())
        return
    seen.add(function)
    digest.update(repr((function.__qualname__, sorted(options_of(function).items(), key=str))).encode())
    digest.update(repr(function.__defaults__).encode())
    _add_code(digest, function.__code__)
    for cell in function.__closure__ or ():
        _add_value(digest, cell.cell_contents, function.__code__, seen)
    for name in function.__code__.co_names:
        if name in function.__globals__:
            digest.update(name.encode())
            _add_value(digest, function.__globals__[name], function.__code__, seen)
    if (single := getattr(function, "single", None)) is not None:
        _add_function(digest, single, seen)


def _add_code(digest, code) -> None:
    digest.update(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars, code.co_argcount)).encode())
    for constant in code.co_consts[1 if code.co_consts[:1] and isinstance(code.co_consts[0], str) else 0 :]:
        digest.update(repr(constant).encode())


def _add_value(digest, value, code, seen) -> None:
    function = python_function(value)
    if function is not None:
        _add_function(digest, function, seen)
    elif isinstance(value, Tile):
        digest.update(value.identity)
    elif isinstance(value, Intrinsic):
        digest.update(value.name.encode())
    elif isinstance(value, types.ModuleType):
        digest.update(value.__name__.encode())
        for name in code.co_names:
            attribute = getattr(value, name, None)
            if attribute is not None and not isinstance(attribute, types.ModuleType):
                if python_function(attribute) is not None or isinstance(attribute, Intrinsic):
                    _add_value(digest, attribute, code, seen)
                elif isinstance(attribute, (int, float, str, tuple, np.generic)):
                    digest.update(repr((type(attribute), attribute)).encode())
    else:
        digest.update(repr((type(value), value)).encode())
