"""Classes and functions that Keras has, too, take all arguments that it knows, or say why they don't."""

import inspect

import keras_cases as cases
import pytest

import jitnet
from jitnet.core import planned, refused
from jitnet.core.errors import NamesArguments

keras = cases.load_keras()
pytestmark = pytest.mark.skipif(keras is None, reason="needs Keras with its torch backend")
NAMESPACES = (
    "layers", "activations", "losses", "metrics", "optimizers", "optimizers.schedules", "initializers", "regularizers",
    "constraints", "callbacks", "models", "ops", "random", "saving", "utils",
)  # fmt: skip
# its subclasses name its hyperparameters
WITHOUT = {"optimizers.Optimizer"}
# arguments of functions that only read or write files, of which jitnet has one kind
OF_FILES = {"safe_mode", "zipped", "max_shard_size"}


def found(root, namespace):
    for part in namespace.split("."):
        root = getattr(root, part)
    return root


def parameters(obj) -> list[str]:
    """The names of what a function or a constructor takes, but for what stands for any others."""
    try:
        signature = inspect.signature(obj.__init__ if inspect.isclass(obj) else obj)
    except (TypeError, ValueError):
        return []
    known = [p for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [p.name for p in known if p.name != "self"]


def with_bases(cls) -> set[str]:
    """What a constructor takes, and what it may hand on to its bases'."""
    return {name for base in cls.__mro__ if "__init__" in vars(base) for name in parameters(base)}


def defaults(function) -> dict:
    signature = inspect.signature(function.__init__ if inspect.isclass(function) else function)
    return {p.name: p.default for p in signature.parameters.values() if p.default is not p.empty}


def alike(value):
    """(1, 1) and 1 say the same, and so do "Zeros" and "zeros"."""
    if isinstance(value, tuple) and len(set(value)) == 1:
        return value[0]
    return value.lower() if isinstance(value, str) else value


def pairs():
    for namespace in NAMESPACES if keras else ():
        theirs, ours = found(keras, namespace), found(jitnet, namespace)
        for name in sorted(vars(theirs)):
            if f"{namespace}.{name}" in WITHOUT:
                continue
            if not name.startswith("_") and callable(getattr(theirs, name)) and hasattr(ours, name):
                yield pytest.param(getattr(ours, name), getattr(theirs, name), id=f"{namespace}.{name}")


@pytest.mark.parametrize("ours, theirs", list(pairs()))
def test_arguments(ours, theirs):
    wanted = parameters(theirs)
    known = with_bases(ours) if inspect.isclass(ours) else set(parameters(ours))
    missing = [name for name in wanted if name not in known and name not in OF_FILES]
    assert [name for name in missing if refused.why_refused("argument", name) is None] == []
    # those that both have come in the same order, as far as they are given by position
    own = parameters(ours)
    first = next((i for i, name in enumerate(wanted) if name not in own), len(wanted))
    assert own[:first] == wanted[:first] or inspect.isclass(ours)


METHODS = ("compile", "evaluate", "fit", "load_weights", "predict", "quantize", "save", "summary", "train_on_batch")
FUNCTIONS = [
    *pairs(),
    *(pytest.param(getattr(jitnet.Model, n), getattr(keras.Model, n), id=n) for n in METHODS if keras),
]


@pytest.mark.parametrize("ours, theirs", FUNCTIONS)
def test_defaults(ours, theirs):
    try:
        wanted, known = defaults(theirs), defaults(ours)
    except (TypeError, ValueError):  # a few built-in functions have no signature
        return
    both = wanted.keys() & known.keys() - {"name"}
    assert {name: alike(known[name]) for name in both} == {name: alike(wanted[name]) for name in both}


def test_what_is_refused_is_said():
    with pytest.raises(TypeError, match=r"^Dense has no argument 'lora_rank'\. Low-rank .*Received: lora_rank=4$"):
        jitnet.layers.Dense(1, lora_rank=4)
    with pytest.raises(AttributeError, match=r"Images have two dimensions: .*name='Conv3D'$"):
        _ = jitnet.layers.Conv3D
    with pytest.raises(AttributeError, match="Factorisations are LAPACK's"):
        _ = jitnet.ops.svd
    assert issubclass(jitnet.Loss, NamesArguments)


def test_nothing_is_refused_that_there_is_or_will_be():
    modules = {"layer": "layers", "optimizer": "optimizers", "initializer": "initializers", "callback": "callbacks",
               "function": "ops", "policy": "mixed_precision", "setting": "config", "name": None}  # fmt: skip
    assert modules.keys() == refused.NAMES.keys()
    for kind, module in modules.items():
        within = getattr(jitnet, module) if module else jitnet
        assert [name for name in refused.NAMES[kind] if hasattr(within, name)] == []
        assert set(refused.NAMES[kind]) & set(planned.NAMES.get(kind, ())) == set()
