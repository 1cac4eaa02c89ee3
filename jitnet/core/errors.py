"""Messages of errors: what was expected, what is nearest, what is planned, and what was received."""

import difflib
import functools
import inspect
import opcode
import sys
from collections.abc import Callable, Iterable, Mapping

from .planned import is_planned, plain
from .refused import why_refused


def invalid(expected: str, **received) -> ValueError:
    """A ``ValueError`` of the form ``<expected> Received: units=-3``.

    Args:
        expected: a sentence that says what was expected, with its full stop.
        **received: the arguments that broke the expectation, by name.
    """
    return ValueError(f"{expected} Received: {_listed(received)}")


class SamplesPairedError(ValueError):
    """Broadcasting would pair each sample of a batch with all others, by tensors with a batch axis of other ranks."""


def unknown_name(kind: str, given: str, known: Iterable[str]) -> ValueError:
    """A ``ValueError`` for a name that no ``kind`` has; it names the nearest known one, or all if none is near.

    Args:
        kind: what the name should have named, as it is called in prose: ``"initializer"``.
        given: the name that was given.
        known: the names that exist.
    """
    received = _listed({kind.replace(" ", "_"): given})
    return ValueError(f"Unknown {kind} {given!r}. {_hint(kind, given, known)} Received: {received}")


def unknown_arguments(owner: str, unknown: Mapping[str, object], known: Iterable[str]) -> TypeError:
    """A ``TypeError`` for keyword arguments that the constructor of the class ``owner`` does not have."""
    name = next(iter(unknown))
    return TypeError(f"{owner} has no argument {name!r}. {_hint('argument', name, known)} Received: {_listed(unknown)}")


class noted:
    """Within it an exception gets a note: what ``text()`` returns, beside its message and traceback."""

    __slots__ = ("_text",)

    def __init__(self, text: Callable[[], str]):
        self._text = text

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, Exception):
            error.add_note(self._text())


class NamesArguments:
    """Base of classes whose constructors say what they know when they are given an argument that they don't."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _checked(cls.__init__)


def _checked(constructor):
    known = list(inspect.signature(constructor).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known):
        return constructor
    known = [parameter.name for parameter in known]

    @functools.wraps(constructor)
    def checked(self, *arguments, **keywords):
        unknown = {name: value for name, value in keywords.items() if name not in known}
        if unknown:
            raise unknown_arguments(type(self).__name__, unknown, known)
        constructor(self, *arguments, **keywords)

    return checked


def module_getattr(module: str, kind: str) -> Callable:
    """The ``__getattr__`` of a module of public objects, each called a ``kind`` in prose."""

    def __getattr__(name):
        raise missing_name(module, kind, name)

    return __getattr__


def module_dir(module: str, also: Iterable[str] = (), without: Iterable[str] = ()) -> Callable:
    """The ``__dir__`` of a module: its public names alone, for whoever looks what there is.

    They are those of its ``__all__``, or else of what it defines, ``also`` others, ``without`` what only jitnet calls.
    """

    def __dir__():
        return sorted({*_public(sys.modules[module]), *also}.difference(without))

    return __dir__


def missing_name(module: str, kind: str, name: str, known: Iterable[str] | None = None) -> AttributeError | ImportError:
    """What a module's ``__getattr__``, from which this is called, raises for a name that the module lacks.

    ``known`` are by default the names of the module's ``__all__``, or else of what it defines.  It is an ImportError
    where the name was asked for by ``from module import name``: Python's own would say only that it can't be imported.
    """
    if name.startswith("_"):  # asked for by tools, which take no for an answer
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    known = _public(sys.modules[module]) if known is None else known
    message = f"{module} has no {name!r}. {_hint(kind, name, known, as_given=True)} Received: name={name!r}"
    frame = sys._getframe(2)
    if frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == opcode.opmap["IMPORT_FROM"]:
        return ImportError(message, name=module)
    return AttributeError(message)


def _public(module) -> list[str]:
    if hasattr(module, "__all__"):
        return module.__all__
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return [name for name in own if not name.startswith("_")]


def _hint(kind: str, given: str, known: Iterable[str], as_given: bool = False) -> str:
    """as_given: of a class and a function of one name, the nearest is that which begins like ``given``."""
    refused = why_refused(kind, given)
    if refused is not None:
        return refused
    # spellings that differ only in case and underscores count once
    names = sorted(name for name in known if not name.startswith("_"))
    spellings = {plain(name): name for name in names}
    nearest = difflib.get_close_matches(plain(given), spellings, n=1)
    if nearest and as_given:
        alike = [name for name in names if name[0].isupper() == given[0].isupper()]
        spellings |= {plain(name): name for name in alike}
    nearest = [spellings[name] for name in nearest]
    listed = f"Known: {', '.join(sorted(spellings.values()))}."
    if is_planned(kind, given):
        return f"It is planned, but not there yet. {f'The nearest is {nearest[0]!r}.' if nearest else listed}"
    return f"Did you mean {nearest[0]!r}?" if nearest else listed


def _listed(received: dict) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in received.items())
