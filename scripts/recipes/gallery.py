"""Run recipes in full, and write README.md here: every recipe's picture, figures, claims, time and command.

    python scripts/recipes/gallery.py [NAME ...] [--report]

Without names all that have no result yet are run, one after the other. --report: only write README.md, of what was run.
A run's figures are in gallery/results.json, its picture, made small, in gallery/NAME.png.
"""

import argparse
import ast
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "gallery"
LARGEST_PICTURE = 60_000  # bytes
FURTHER = {"character_model": ["--compare", "torch"]}  # arguments of a full run


def recipes() -> dict:
    """{name: its documentation} of the recipes here."""
    found = {}
    for path in sorted(HERE.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "\nfrom recipe import" in text:
            found[path.stem] = ast.get_docstring(ast.parse(text))
    return found


def run(name: str) -> dict:
    """Run a recipe in full; its result."""
    path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    # not of this process alone: a long recipe that was stopped goes on from what it left there
    output = Path(tempfile.gettempdir()) / f"jitnet-gallery-{os.getuid()}" / name
    start = time.perf_counter()
    command = [sys.executable, str(HERE / f"{name}.py"), "--output", str(output), *FURTHER.get(name, [])]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, text=True, capture_output=True, cwd=HERE)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    shrink(output / f"{name}.png", FOLDER / f"{name}.png")
    # news of single runs begin with a space
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("Picture:", "  "))]
    machine = f"{os.cpu_count()} cores"
    return {"date": f"{datetime.date.today()}", "seconds": round(seconds), "machine": machine, "lines": lines}


def shrink(source: Path, target: Path) -> None:
    """A picture of 800 pixels' width and at most LARGEST_PICTURE bytes."""
    from PIL import Image

    image = Image.open(source).convert("RGB")
    image = image.resize((800, round(image.height * 800 / image.width)), Image.Resampling.LANCZOS)
    target.parent.mkdir(exist_ok=True)
    for colours in (256, 128, 64, 32, 16, 8):
        image.quantize(colours, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size <= LARGEST_PICTURE:
            return
    raise SystemExit(f"{source} has no form of {LARGEST_PICTURE} bytes: draw less in it.")


def page(results: dict) -> str:
    """README.md."""
    lines = [
        "# Recipes",
        "",
        "Written by `python scripts/recipes/gallery.py`. Each is a short program on real data that shows a method, or",
        "puts a claim of the course texts to the test; `--quick` runs a small form of it in seconds. Those on MNIST or",
        "CIFAR-10 download them or take them from `$JITNET_DATA_DIR`.",
        "",
    ]
    for name, text in recipes().items():
        title, _, rest = text.partition("\n\n")
        command, _, story = rest.partition("\n\n")
        lines += [f"## [{name}]({name}.py)", "", f"**{title}**", "", " ".join(story.split()), ""]
        lines += ["```", command.strip(), "```", ""]
        if name in results:
            result = results[name]
            minutes = result["seconds"] / 60
            took = f"{minutes:.0f} minutes" if minutes >= 1.5 else f"{result['seconds']} s"
            lines += [f"![{title}](gallery/{name}.png)", ""]
            lines += [f"- {line.removeprefix('Claim: ')}" for line in result["lines"]]
            lines += [f"- {result['date']}, {took} on {result['machine']}.", ""]
        else:
            lines += ["Not run in full yet.", ""]
    return "\n".join(lines).rstrip() + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--report", action="store_true", help="only write README.md")
    given = parser.parse_args()
    known, path = recipes(), FOLDER / "results.json"
    unknown = sorted(set(given.names) - set(known))
    if unknown:
        parser.error(f"no such recipe: {', '.join(unknown)}")
    results = json.loads(path.read_text()) if path.is_file() else {}
    names = [] if given.report else given.names or [name for name in known if name not in results]
    for name in names:
        print(name, flush=True)
        results[name] = run(name)
        path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        (HERE / "README.md").write_text(page(results), encoding="utf-8")
    (HERE / "README.md").write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
