"""Writes CATALOGUE.md: everything that jitnet has, where it comes from, what it is checked against, and how well.

    python scripts/catalogue.py [--check]

Errors are measured: the largest difference from Keras over random configurations, relative to the largest number, or
that between gradients and central differences in float64.  With ``--check`` nothing is measured or written; it is an
error if the file would differ in anything but errors.  Needs Keras with PyTorch, as the extra ``dev`` has them.
"""

import argparse
import ast
import importlib
import inspect
import math
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
FILE = ROOT / "CATALOGUE.md"

# heading, module of jitnet, table of tests/keras_cases.py or keras_small_cases.py, function there
KINDS = (
    ("Layers", "layers", "LAYERS", "compare_layer"),
    ("Activations", "activations", None, None),
    ("Losses", "losses", "LOSSES", "compare_loss"),
    ("Metrics", "metrics", "METRICS", "compare_metric"),
    ("Optimizers", "optimizers", "OPTIMIZERS", "compare_optimizer"),
    ("Schedules", "schedules", "SCHEDULES", "compare_schedule"),
    ("Initializers", "initializers", None, None),
    ("Regularizers", "regularizers", "REGULARIZERS", "compare_regularizer"),
    ("Constraints", "constraints", "CONSTRAINTS", "compare_constraint"),
    ("Callbacks", "callbacks", None, None),
    ("Functions", "ops", None, None),
    ("Random numbers", "random", None, None),
    ("Utilities", "utils", None, None),
    ("Data sets", "datasets", None, None),
)
# what has no numbers of its own: bases, and what finds, writes and reads the others
PLUMBING = {
    "Callback", "Constraint", "CustomOperation", "Initializer", "Input", "InputLayer", "KerasTensor", "Layer",
    "LearningRateSchedule", "Loss", "Metric", "MetricVariable", "Optimizer", "Regularizer", "deserialize", "get",
    "schedules", "serialize",
}  # fmt: skip
UNSPECIFIC = {
    "both_compilers.py", "cuda_cases.py", "keras_cases.py", "saved_models.py", "test_compile.py", "test_copies.py",
    "test_names.py",
}  # fmt: skip
PAPER = re.compile(r"\(?((?:[A-Z][\w'-]+(?:,? (?:and|&) [A-Z][\w'-]+| et al\.)?,? (?:19|20)\d\d))")
NAMESPACES = (
    "layers", "activations", "losses", "metrics", "optimizers", "optimizers.schedules", "initializers", "regularizers",
    "constraints", "callbacks", "models", "ops", "ops.image", "ops.linalg", "random", "utils", "datasets", "saving",
    "config", "tree", "visualization", "wrappers", "export", "distribution", "quantizers", "dtype_policies",
    "applications", "preprocessing", "mixed_precision",
)  # fmt: skip
# what jitnet.core.refused calls the things of a namespace
REFUSED_AS = {
    "layers": "layer", "optimizers": "optimizer", "initializers": "initializer", "callbacks": "callback",
    "ops": "function", "ops.image": "function", "ops.linalg": "function", "utils": "function", "random": "function",
    "saving": "function", "config": "setting", "mixed_precision": "policy",
}  # fmt: skip
OUTSIDE = {
    **dict.fromkeys(
        ("distribution", "applications", "dtype_policies"),
        "not of jitnet's field: one machine, float weights, none of others to download",
    ),
    "quantizers": "model.quantize knows int8 alone, by the largest magnitude of each channel",
    "export": "model.export writes C libraries, model.save safetensors, which any program reads",
    "visualization": "galleries and boxes are a few lines of matplotlib; utils.plot_model draws models",
    "wrappers": "fit and predict take arrays as scikit-learn's do; its estimators need scikit-learn",
}


def public(module) -> list[str]:
    """The public names of a module that have a meaning of their own, an alias under its first name."""
    known = list(module.KNOWN) if module.__name__.endswith(".activations") else None
    names = known or getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    if module.__name__.endswith((".losses", ".metrics")):
        names = sorted({cls.__name__ for cls in module.KNOWN.values() if inspect.isclass(cls)})
    found = {}
    for name in names:
        if name not in PLUMBING and not name.startswith("_"):
            value = getattr(module, name, None) or importlib.import_module(f"{module.__name__}.{name}")
            home = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", module.__name__)
            if home.startswith(module.__name__) or names is known:
                own = getattr(value, "__name__", name)
                found.setdefault(id(value), own if own in names else name)
    return sorted(found.values(), key=str.lower)


def named_in_tests() -> dict[str, set[str]]:
    """{name: the test files whose code uses it}."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").glob("*.py")):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.Name | ast.FunctionDef):
                names.add(node.id if isinstance(node, ast.Name) else node.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
            elif isinstance(node, ast.alias):
                names |= set(node.name.split("."))
        for name in names:
            found.setdefault(name, set()).add(path.name)
    return found


class Checks:
    """What every item is checked against."""

    def __init__(self):
        import keras_cases
        import keras_small_cases
        import operation_cases
        import test_layers
        import test_ops_arrays

        self.keras, self.operations, self.layers = (keras_cases, keras_small_cases), operation_cases, test_layers
        self.arrays = test_ops_arrays
        self.named = named_in_tests()
        self.naive = {p.stem: set(ast_functions(p)) for p in (ROOT / "tests" / "naive").glob("*.py")}

    def cases(self, name: str) -> list:
        """The cases of an operation among tests/operation_cases.py."""
        found = []
        for case in self.operations.suite.cases:
            code = getattr(case.function, "__code__", None)
            names = {getattr(case.function, "__name__", None), *(code.co_names if code else ())}
            if name in names:
                found.append(case)
        return found

    def of_keras(self, table: str | None, name: str):
        """The file of tests/ whose table has the item, or None."""
        return next((file for file in self.keras if name in getattr(file, table or "", ())), None)

    def against(self, module: str, name: str, table: str | None) -> str:
        """Words for the column, or "" if nothing checks the item."""
        found = []
        if self.of_keras(table, name):
            found.append("Keras 3")
        if module == "layers" and name in self.layers.EXAMPLES:
            found.append("central differences")
            if name in self.layers.TORCH:
                found.append("PyTorch")
        if module in ("ops", "activations"):
            cases = self.cases(name)
            if any(draw.wanted for case in cases for draw in case.draws):
                found.append("central differences")
            if any(case.torch for case in cases):
                found.append("PyTorch")
        if module == "ops" and name in self.arrays.SAME:
            found.append("NumPy")
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        if any({name, snake} & functions for functions in self.naive.values()):
            found.append("NumPy, written out")
        if not found:
            # a file of the kind's own first; tables that only save or pickle everything prove nothing
            files = self.named.get(name, set()) - UNSPECIFIC
            files = sorted(files, key=lambda file: (module[:-1] not in file, file))
            found = [f"`{file}`" for file in files[:2]]
        return ", ".join(found)

    def error(self, keras, module: str, name: str, table: str | None, compare: str | None) -> float | None:
        """The largest difference that was measured; None where the check is not one of numbers."""
        if file := self.of_keras(table, name):
            return max(getattr(file, compare)(keras, name, index) for index in range(10))
        suite, cases = self.operations.suite, self.cases(name) if module in ("ops", "activations") else []
        if module == "layers":
            suite = self.layers.suite
            cases = [case for case in suite.cases if case.name.split(" ")[0] == name]
        found = [
            abs(numerical - analytic) / max(scale, 1e-3)
            for case in cases
            if any(draw.wanted for draw in case.draws)
            for _, numerical, analytic, scale in suite.differences(suite.group_of(case), 33)[case]
        ]
        if not found and module == "ops" and name in self.arrays.SAME:
            self.arrays.test_what_numpy_has_is_numpys(name)
            return 0.0  # or it has raised
        return max(found, default=None)


def ast_functions(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def source(item, keras_names: set[str], name: str) -> str:
    """The paper that the item's documentation names, else whose name it has."""
    paper = PAPER.search(" ".join((inspect.getdoc(item) or "").split()))
    if paper:
        return paper[1]
    if name in keras_names:
        return "Keras 3"
    return "jitnet"


def rounded(error: float | None) -> str:
    """One significant digit, upwards."""
    if error is None:
        return ""
    if error == 0:
        return "0"
    exponent = math.floor(math.log10(error))
    digit = math.ceil(error / 10.0**exponent)
    return f"{digit}e{exponent}" if digit < 10 else f"1e{exponent + 1}"


def first_table(keras, measure: bool) -> list[str]:
    lines, missing, checks = [], [], Checks()
    for heading, module_name, table, compare in KINDS:
        module = importlib.import_module(f"jitnet.{module_name}")
        theirs = getattr(keras, module_name, None) or keras.optimizers.schedules
        names = {n for n in dir(theirs) if not n.startswith("_")}
        lines += ["", f"## {heading}", "", "| name | source | checked against | largest error |", "|---|---|---|---|"]
        for name in public(module):
            item = getattr(module, name, None) or importlib.import_module(f"jitnet.{module_name}.{name}")
            against = checks.against(module_name, name, table)
            if not against:
                missing.append(f"jitnet.{module_name}.{name}")
            error = checks.error(keras, module_name, name, table, compare) if measure else None
            lines.append(f"| `{name}` | {source(item, names, name)} | {against} | {rounded(error)} |")
    if missing:
        raise SystemExit(f"Nothing checks {', '.join(missing)}.")
    return lines


def second_table(keras) -> list[str]:
    import jitnet
    from jitnet.core.refused import why_refused

    lines = ["", f"## Keras {keras.__version__}'s public names", ""]
    lines += ["| namespace | names | in jitnet | refused | absent |", "|---|---|---|---|---|"]
    details = []
    for namespace in NAMESPACES:
        theirs, ours = keras, jitnet
        for part in namespace.split("."):
            theirs = getattr(theirs, part)
            try:
                ours = getattr(ours, part, None)
            except ImportError:
                ours = None
        names = sorted(n for n in dir(theirs) if not n.startswith("_"))
        refused: dict[str, list[str]] = {}
        absent, present = [], 0
        for name in names:
            reason = OUTSIDE.get(namespace) or why_refused(REFUSED_AS.get(namespace, ""), name)
            if ours is not None and has(ours, name):
                present += 1
            elif reason:
                refused.setdefault(reason, []).append(name)
            else:
                absent.append(name)
        count = sum(map(len, refused.values()))
        lines.append(f"| `{namespace}` | {len(names)} | {present} | {count} | {len(absent)} |")
        for why, which in refused.items():
            shown = "all" if len(which) == len(names) else ", ".join(f"`{n}`" for n in which)
            details.append(f"- `{namespace}` refused ({why.rstrip('.')}): {shown}.")
        if absent:
            details.append(f"- `{namespace}` absent: {', '.join(f'`{n}`' for n in absent)}.")
    return [*lines, "", *details]


def has(module, name: str) -> bool:
    try:
        return hasattr(module, name)
    except ImportError:
        return False


def markdown(keras, measure: bool) -> str:
    head = [
        "# Catalogue",
        "",
        "Written by `python scripts/catalogue.py`. An error is the largest difference from Keras over ten random",
        "configurations in float32, relative to the largest number, or else that of gradients from central differences",
        "in float64, or 0 where arrays are NumPy's to the bit; where there is none of these, the test file compares",
        "other things than numbers.",
    ]
    return "\n".join([*head, *first_table(keras, measure), *second_table(keras), ""])


def without_errors(text: str) -> str:
    return re.sub(r"\| [^|]*\|$", "|", text, flags=re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    arguments = parser.parse_args()
    import keras_cases

    keras = keras_cases.load_keras()
    if keras is None:
        raise SystemExit("This needs Keras with its torch backend: pip install 'jitnet[dev]', KERAS_BACKEND=torch")
    text = markdown(keras, measure=not arguments.check)
    if not arguments.check:
        FILE.write_text(text, encoding="utf-8")
    elif without_errors(text) != without_errors(FILE.read_text(encoding="utf-8")):
        raise SystemExit("CATALOGUE.md is not current: run python scripts/catalogue.py")


if __name__ == "__main__":
    main()
