"""The picture of imports: which folder imports which, and which files import each other in a circle.

    python scripts/imports.py [ROOT] [--mermaid]

ROOT is a checkout of any state of jitnet, by default this one.  Prints what each folder imports, and the circles of
folders and of files; with ``--mermaid``, a graph for Markdown instead.  A number says how many files of the folder
import from the other one.  Imports within functions count like any other.
"""

import argparse
import ast
import importlib.util
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# where the packages lie: (folder, name)
PACKAGES = (("jitnet", "jitnet"), ("kernels", "jitnet.kernels"), ("datasets", "jitnet.datasets"))


def files(root: Path) -> dict[str, Path]:
    """{module: its file}; a package is its ``__init__.py``."""
    found = {}
    for folder, package in PACKAGES:
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """{module: what it imports}: modules of jitnet by their full names, others by their first one.

    ``from package import name`` is an import of the module ``package.name`` where there is one, else of ``package``.
    """
    paths = files(root)
    found = {}
    for module, path in paths.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        names = found[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                names.update(f"{base}.{a.name}" if f"{base}.{a.name}" in paths else base for a in node.names)
        found[module] = {name if name in paths else name.partition(".")[0] for name in names} - {module}
    return found


def circles(found) -> list[list[str]]:
    """Groups that import each other, directly or by way of others of the group (Tarjan 1972).

    found: {module or folder: those that it imports}.
    """
    number, low, stack, groups = {}, {}, [], []

    def visit(module):
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in sorted(found.keys() & found[module]):
            if other not in number:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], number[other])
        if low[module] == number[module]:
            at = stack.index(module)
            groups.append(sorted(stack[at:]))
            del stack[at:]

    for module in found:
        if module not in number:
            visit(module)
    return [group for group in groups if len(group) > 1]


def by_folder(root: Path = ROOT) -> dict[str, dict[str, int]]:
    """{folder: {folder that it imports from: number of files that do}}."""
    paths = files(root)
    folders = {module: path.parent.relative_to(root).as_posix() for module, path in paths.items()}
    found = {folder: Counter() for folder in sorted(set(folders.values()))}
    for module, names in imports(root).items():
        here = folders[module]
        found[here].update({folders[name] for name in names if name in paths} - {here})
    return found


def table(root: Path) -> str:
    """The picture as text."""
    folders = by_folder(root)
    width = max(map(len, folders))
    lines = [
        f"{folder:{width}}  {', '.join(f'{other} {count}' for other, count in sorted(others.items())) or '-'}"
        for folder, others in folders.items()
    ]
    for kind, found in (("folders", folders), ("files", imports(root))):
        groups = circles(found)
        lines += ["", f"circles of {kind}: {len(groups) or 'none'}"]
        lines += [f"  {len(group)}: {', '.join(group)}" for group in groups]
    return "\n".join(lines)


def mermaid(root: Path) -> str:
    """The picture as a graph for Markdown; folders in a circle are drawn with thick arrows."""
    folders = by_folder(root)
    groups = circles(folders)
    lines = ["```mermaid", "graph TD"]
    for folder, others in folders.items():
        for other, count in sorted(others.items()):
            together = any(folder in group and other in group for group in groups)
            lines.append(f"    {folder} {'==>' if together else '-->'}|{count}| {other}")
    return "\n".join([*lines, "```"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="a checkout (default: this one)")
    parser.add_argument("--mermaid", action="store_true", help="a graph for Markdown")
    arguments = parser.parse_args()
    print((mermaid if arguments.mermaid else table)(arguments.root.resolve()))


if __name__ == "__main__":
    main()
