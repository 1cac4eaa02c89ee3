"""Kernels made from templates: modules of ``fast/templates``, in which a specialisation gives the constants its values.

A template is an ordinary module with one kernel.  Its constants, names in capitals that stand for literals, have the
values of an example; the specialised module is the same text with other values.  Arguments that a specialisation does
without, a bias say, become None there: the branches that read them are left out when the kernel is compiled.
"""

import ast
import functools
import textwrap
from pathlib import Path
from typing import NamedTuple

from jitnet.kernels import literals
from jitnet.kernels.cpu.runtime.generated import GeneratedKernel

_FOLDER = Path(__file__).parent / "templates"

ITEMSIZE = {"float32": 4, "float64": 8}


def even(count: int, most: int) -> int:
    """The larger of the sizes when ``count`` things go into as few groups of at most ``most`` as can be, evenly."""
    groups = -(-count // most)
    return -(-count // groups)


def unused_by(epilogue: str) -> set[str]:
    """Which arguments of a template do nothing with this epilogue: see ``tiles.simd._finish``."""
    unused = set()
    if not epilogue.startswith("bias"):
        unused.add("bias")
    if not epilogue.startswith("bias_add"):
        unused.add("residual")
    if epilogue != "relu_mask":
        unused |= {"activation", "activation_top", "activation_left"}
    return unused


def suffix(epilogue: str) -> str:
    """What the name of a kernel says of its epilogue."""
    return "" if epilogue == "store" else f"_{epilogue}"


class TemplateKernel(GeneratedKernel):
    """A specialisation whose source is that of ``template`` with ``constants``, and without ``unused`` arguments.

    ``title`` says in a line what the kernel is for.
    """

    @property
    def file(self) -> str:
        """Where the template is, from the folder of jitnet's kernels on."""
        return f"cpu/fast/templates/{self.template}.py"

    @property
    def unused(self) -> set[str]:
        """Parameters of the template's kernel that the specialised one has not."""
        return unused_by(getattr(self, "epilogue", "store"))

    @property
    def widest_vectors(self) -> dict:
        """Constants of a template that uses the widest vectors of the target."""
        lanes = self.target.lanes(self.dtype)
        return dict(DTYPE=self.dtype, LANES=lanes, HARDWARE_MASKS=self.target.hardware_masks)

    @functools.cached_property
    def source(self) -> str:
        """The module that holds the kernel."""
        title = f"{self.title}: written for {self.target.name} by jitnet, from kernels/{self.file}"
        return _specialised(_template(self.template), title, self.name, self.constants, self.unused)


class _Template(NamedTuple):
    lines: list[str]
    docstring: tuple[int, int]  # first line, line after the last one
    constants: dict[tuple[str, ...], tuple[int, int]]  # names of an assignment -> its lines, likewise
    parameters: list[str]
    signature: tuple[int, int]


@functools.cache
def _template(name: str) -> _Template:
    text = (_FOLDER / f"{name}.py").read_text(encoding="utf-8")
    docstring, *statements = ast.parse(text).body
    constants = {}
    for statement in statements:
        if isinstance(statement, ast.Assign) and _is_literal(statement.value):
            (target,) = statement.targets
            names = tuple(t.id for t in (target.elts if isinstance(target, ast.Tuple) else [target]))
            constants[names] = statement.lineno - 1, statement.end_lineno
    kernel = next(s for s in statements if isinstance(s, ast.FunctionDef) and s.decorator_list[0].id == "kernel")
    parameters = [argument.arg for argument in kernel.args.args]
    signature = kernel.lineno - 1, kernel.body[0].lineno - 1
    return _Template(text.splitlines(), (0, docstring.end_lineno), constants, parameters, signature)


def parameters_of(template: str) -> list[str]:
    """What the template's kernel is given, in order, before a specialisation does without some of it."""
    return _template(template).parameters


def _is_literal(node) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def _literal(value) -> str:
    if value is None:
        return "None"
    return repr(literals.name(value)) if isinstance(value, str) else literals.literal(value)


def _specialised(template: _Template, title: str, name: str, constants: dict, unused: set) -> str:
    known = {name for names in template.constants for name in names}
    if known != constants.keys():
        raise ValueError(f"The template has other constants. Received: {sorted(known.symmetric_difference(constants))}")
    absent = [parameter for parameter in template.parameters if parameter in unused]
    kept = ", ".join(parameter for parameter in template.parameters if parameter not in unused)
    wrapped = textwrap.wrap(kept, 114, initial_indent="    ", subsequent_indent="    ")
    signature = [f"def {literals.name(name)}({kept}):"]
    if len(signature[0]) > 120:
        signature = [f"def {name}(", *wrapped, "):"]
    replaced = {template.docstring: [literals.docstring(title)], template.signature: signature}
    for names, lines in template.constants.items():
        values = ", ".join(_literal(constants[name]) for name in names)
        comment = template.lines[lines[1] - 1].partition("  # ")
        replaced[lines] = [f"{', '.join(names)} = {values}{comment[1]}{comment[2]}"]
    if absent:
        replaced[list(template.constants.values())[-1]] += [f"{' = '.join(absent)} = None  # not used here"]
    result = list(template.lines)
    for (first, last), lines in sorted(replaced.items(), reverse=True):
        result[first:last] = lines
    return "\n".join(result) + "\n"
