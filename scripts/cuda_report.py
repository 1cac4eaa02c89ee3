"""What a compiler makes of the CUDA kernels, without a GPU or a driver: registers, spills, shared memory, instructions.

    python scripts/cuda_report.py [--all] [--arch 80 90] [--json FILE] [--markdown FILE]
    python scripts/cuda_report.py [--all] --mlir

Needs the extra ``test-cuda``.  The emulated tests say which kernels there are and what types they are called with: they
run first, a sample of them or, with ``--all``, all.  Every kernel is then compiled to PTX and assembled for the
architectures.  Exit status 1 if one does what it must not: spill registers, need so many that a processor runs few of
its threads, or calculate in float64 without being in the list below.

With ``--mlir`` numba-cuda-mlir, the successor of numba-cuda, compiles them to PTX instead, all but those with
instructions of ``ptx.py``: it needs ``numba-cuda-mlir[cu13]`` in an environment without numba-cuda.
"""

import argparse
import contextlib
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
# a few of each kind: pointwise, a row of a block, sums over many blocks, random numbers, an optimizer, products
SAMPLE = "gelu or [tanh] or divide or shape5 or 301 or truncated or adam or permutation or totals or primes or narrow "
SAMPLE += "or whole_tf32 or whole_bf16"
THREADS = 256  # of a block of a kernel that takes as many as it has work for
FIXED = 128  # threads: a block of so many or more was meant to be that large
REGISTERS = 65_536 // 512  # that a thread may have, so that a processor runs 512 of them
OF_RESULTS = 65_536 // 256  # of products and attention, whose threads hold a large part of the result, and of float64
# of one multiprocessor: (registers, threads, blocks, bytes of shared memory; of each block the driver takes some)
PROCESSORS = {80: (65_536, 2048, 32, 164 * 1024), 90: (65_536, 2048, 32, 228 * 1024)}
RESERVED = 1024  # bytes of shared memory of every block

# kernels of float32 that calculate in float64, and why; so do all that call sin or cos, whose angles libdevice reduces
# with it
_SAME_BITS = "the CPU's bits: the number is worked out in float64 there, too"
_CONTRACT = "sums over a batch or over parameters are float64 by contract"
FLOAT64 = {
    "random._uniform": _SAME_BITS,
    "random._dropout_forward": _SAME_BITS,
    "random._dropout_backward": _SAME_BITS,
    **dict.fromkeys(("attention._forward", "attention._backward_queries", "attention._backward_keys"), _SAME_BITS),
    "optimizers._adam_update": "the bias correction is 1 - beta^t, which cancels",
    **dict.fromkeys(
        (f"optimizers._{name}_update" for name in (
            "adadelta", "adam_amsgrad", "adamax", "ftrl", "lion", "nadam", "rmsprop", "rmsprop_centered",
            "rmsprop_centered_momentum", "rmsprop_momentum",
        )),
        "what all elements share is worked out in float64, once per block: 1 - beta and its like cancel",
    ),
    "training._spread": _SAME_BITS,
    "training._add_numbers": _CONTRACT,
    "training._keep_largest": _CONTRACT,
    "training._total": _CONTRACT,
    "training._weighted_total": _CONTRACT,
    "training._penalties": _CONTRACT,
    "training._sum_of_squares": _CONTRACT,
}

_FLOAT64_ARITHMETIC = re.compile(
    r"^\s*(?:@!?%p\d+\s+)?((?:add|sub|mul|div|fma|mad|sqrt|rcp|rsqrt|neg|abs|min|max|setp|selp|ex2|lg2)\S*\.f64)\s",
    re.M,
)
INSTRUCTIONS = {
    "mma": r"\b(wg)?mma\S*",
    "ldmatrix": r"\bldmatrix\S*",
    "cp.async": r"\bcp\.async\.c\S*",
    "vector loads": r"\bld\.global\S*\.v[24]\S*",
    "vector stores": r"\bst\.global\S*\.v[24]\S*",
    "shared vector loads": r"\bld\.shared\S*\.v[24]\S*",
    "fma": r"\bfma\.rn\S*\.f32",
    "exact divisions": r"\bdiv\.rn\S*\.f32",
    "shuffles": r"\bshfl\S*",
    "barriers": r"\bbar\.sync\S*|\bbarrier\S*",
}


def launched(everything: bool) -> list:
    """[(kernel, types of its arguments, threads of a block)] of the emulated tests, in the order of their names."""
    import pytest

    sys.path.insert(0, str(TESTS))
    from cuda_cases import LAUNCHED

    files = sorted(str(path) for path in TESTS.glob("test_cuda_*.py") if path.stem not in _OTHERS)
    chosen = [] if everything else ["-k", SAMPLE]
    with contextlib.redirect_stdout(sys.stderr):
        status = pytest.main([*files, *chosen, "-q", "-n", "0", "-p", "no:cacheprovider", "--rootdir", str(ROOT)])
    if status:
        raise SystemExit(f"the emulated tests ended with status {int(status)}")
    # where the tests' small arrays need few threads, larger ones need more
    found = [(kernel, kinds, most if most >= FIXED else THREADS) for (kernel, kinds), most in LAUNCHED.items()]
    return sorted(found, key=lambda item: (label(item[0]), str(item[1])))


_OTHERS = (
    "test_cuda_emulator", "test_cuda_contract", "test_cuda_compile", "test_cuda_host", "test_cuda_machine_code"
)  # fmt: skip


def label(kernel) -> str:
    """A kernel by its family and name, with the functions that it was made for."""
    cells = [cell.cell_contents for cell in kernel.function.__closure__ or ()]
    bodies = filter(is_body, (getattr(cell, "function", cell) for cell in cells))
    # what those were made for, in turn: of functions within functions the names say little
    functions = dict.fromkeys(inner for body in bodies for inner in ([body] if is_named(body) else reached(body)))
    made_for = [function.__name__.lstrip("_") for function in functions if is_named(function)]
    name = f"{kernel.function.__module__.rpartition('.')[2]}.{kernel.name}"
    return f"{name}[{', '.join(made_for)}]" if made_for else name


def reached(function) -> dict:
    """{function: None} of a kernel's body and all that it calls, in order."""
    found, ahead = {}, [function]
    while ahead:
        function = ahead.pop(0)
        if function not in found:
            found[function] = None
            scope = function.__globals__
            named = [scope[name] for name in function.__code__.co_names if name in scope]
            inner = named + [cell.cell_contents for cell in function.__closure__ or ()]
            ahead += [body for body in (getattr(value, "function", value) for value in inner) if is_body(body)]
    return found


def is_named(function) -> bool:
    """Whether it stands in a module for itself."""
    return "<locals>" not in function.__qualname__


def is_body(value) -> bool:
    """Whether it is a Python function of the kernels."""
    return hasattr(value, "__code__") and value.__module__.startswith("jitnet.kernels.")


def types_in_words(kinds) -> str:
    """The types of arguments, those that follow each other as one."""
    words = [kind if isinstance(kind, str) else _in_words(kind) for kind in kinds]
    found = []
    for word in words:
        if found and found[-1][0] == word:
            found[-1][1] += 1
        else:
            found.append([word, 1])
    return ", ".join(f"{count} {word}" if count > 1 else word for word, count in found)


def _in_words(kind: tuple) -> str:
    return f"{kind[0]}[{kind[1]}]" if isinstance(kind[-1], int) else f"({types_in_words(kind)})"


def assemble(ptx: str, architecture: int) -> dict:
    """What the assembler says of a kernel: registers, bytes of stack and of spills."""
    from cuda.bindings import nvjitlink

    link = nvjitlink.create(3, [f"-arch=sm_{architecture}", "-verbose", "-O3"])
    try:
        source = ptx.encode() + b"\0"
        nvjitlink.add_data(link, nvjitlink.InputType.PTX, source, len(source), "kernel")
        nvjitlink.complete(link)
        text = bytearray(nvjitlink.get_info_log_size(link))
        nvjitlink.get_info_log(link, text)
    finally:
        nvjitlink.destroy(link)
    log = text.decode()

    def largest(pattern):
        return max(map(int, re.findall(pattern, log)), default=0)

    return {
        "registers": largest(r"Used (\d+) registers"),
        "stack": largest(r"(\d+) bytes stack frame"),
        "spills": largest(r"(\d+) bytes spill stores") + largest(r"(\d+) bytes spill loads"),
    }


def occupancy(registers: int, shared: int, threads: int, architecture: int) -> float:
    """The share of a multiprocessor's threads that blocks of ``threads`` can occupy."""
    all_registers, most, blocks, memory = PROCESSORS[architecture]
    of_a_warp = -(-registers * 32 // 256) * 256  # registers are given out by 256
    fit = min(blocks, most // threads, all_registers // (of_a_warp * threads // 32), memory // (shared + RESERVED))
    return fit * threads / most


def examine(kernel, kinds, threads: int, architecture: int) -> dict:
    """One row of the report."""
    from jitnet.kernels.cuda import _api

    try:
        ptx = _api.compile_ptx(kernel, kinds, divmod(architecture, 10))
        found = assemble(ptx, architecture)
    except Exception as error:  # of any kind: it is others' compilers
        raise SystemExit(f"{label(kernel)} ({types_in_words(kinds)}) for sm_{architecture}: {error}") from error
    alignments = re.findall(r"\.shared \.align (\d+) \.b8 \w+\[(\d+)\]", ptx)
    shared = sum(int(size) for _, size in alignments)
    of_float32 = any(isinstance(kind, tuple) and "float32" in kind for kind in kinds)
    float64 = Counter(_FLOAT64_ARITHMETIC.findall(ptx)) if of_float32 and _api.real_of(kinds) == np.float32 else {}
    names = {name for function in reached(kernel.function) for name in function.__code__.co_names}
    return {
        "kernel": label(kernel),
        "types": types_in_words(kinds),
        "architecture": architecture,
        "threads": threads,
        **found,
        "shared": shared,
        "alignment": min((int(alignment) for alignment, _ in alignments), default=0),
        "occupancy": occupancy(found["registers"], shared, threads, architecture),
        "of": _api.real_of(kinds).__name__,
        "circle": bool({"sin", "cos"} & names),
        "float64": dict(float64),
        "instructions": {
            name: count for name, pattern in INSTRUCTIONS.items() if (count := len(re.findall(pattern, ptx)))
        },
    }


def _plain(row: dict) -> str:
    """The name of a kernel, whatever it was made for and however many elements it takes at a time."""
    return row["kernel"].partition("[")[0].removesuffix("_quads")


def faults(row: dict) -> list[str]:
    """What a kernel does that it must not."""
    found = []
    if row["spills"]:
        found.append(f"spills {row['spills']} bytes of registers")
    name = _plain(row)
    large = name.endswith(".product") or name.startswith("attention.") or row["of"] == "float64"
    most = OF_RESULTS if large else REGISTERS
    if row["registers"] > most:
        found.append(f"needs {row['registers']} registers, more than {most}")
    if row["float64"] and not row["circle"] and name not in FLOAT64:
        found.append(f"calculates in float64: {row['float64']}")
    if {"cp.async", "ldmatrix"} & row["instructions"].keys() and row["alignment"] % 16:
        found.append(f"copies 16 bytes at once to shared memory that is aligned to {row['alignment']}")
    return found


def markdown(rows: list[dict]) -> str:
    """The report as a table, and the list of those that calculate in float64."""
    lines = [
        "| kernel | types | sm | threads | registers | stack | spills | shared | occupancy | instructions |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        told = ", ".join(f"{count} {name}" for name, count in row["instructions"].items())
        numbers = f"{row['registers']} | {row['stack']} | {row['spills']} | {row['shared']} | {row['occupancy']:.0%}"
        lines.append(
            f"| {row['kernel']} | {row['types']} | {row['architecture']} | {row['threads']} | {numbers} | {told} |"
        )
    lines += ["", "Kernels of float32 that calculate in float64:", ""]
    for name, circle in {_plain(row): row["circle"] for row in rows if row["float64"]}.items():
        why = "libdevice reduces the angles of sin and cos with it" if circle else "WITHOUT A REASON"
        lines.append(f"- {name}: {FLOAT64.get(name, why)}")
    return "\n".join(lines) + "\n"


class _InlineAssembly(Exception):
    """A kernel calls an instruction of ``ptx.py``, which is written for numba-cuda."""


def by_mlir(kernels, architecture: int) -> int:
    """Compile kernels by numba-cuda-mlir and print what became of them; 1 if one failed that has no inline PTX."""
    from numba_cuda_mlir import cuda, tools

    from jitnet.kernels.cuda import _api, ptx

    def refuse():
        raise _InlineAssembly

    # the other compiler in numba-cuda's place; it would ask a driver what it compiles for
    _api.numba_cuda = lambda: cuda
    ptx._numba = refuse
    capability = divmod(architecture, 10)
    tools.get_gpu_compute_capability = lambda kind=tuple: capability if kind is tuple else f"sm_{architecture}"
    found = Counter()
    for kernel, kinds, _ in kernels:
        try:
            signature = cuda.types.void(*map(_api._numba_type, kinds))
            body = _api._numba_body(kernel.function, _api.real_of(kinds))
            cuda.compile_ptx(body, signature, cc=capability, device=False, **_api._OPTIONS)
            found["compiled"] += 1
        except _InlineAssembly:
            found["with inline PTX"] += 1
        except Exception as error:  # of any kind: it is another compiler
            found["failed"] += 1
            print(f"{label(kernel)} ({types_in_words(kinds)}): {type(error).__name__}: {str(error).strip()[:300]}")
    print("numba-cuda-mlir:", ", ".join(f"{count} {what}" for what, count in found.items()))
    return int(bool(found["failed"] or not found["compiled"]))


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="all kernels, not a sample")
    parser.add_argument("--arch", type=int, nargs="+", choices=PROCESSORS, default=[90], help="compute capabilities")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    parser.add_argument("--mlir", action="store_true", help="compile with numba-cuda-mlir, without a report")
    options = parser.parse_args(arguments)
    kernels = launched(options.all)
    if options.mlir:
        return max(by_mlir(kernels, architecture) for architecture in options.arch)
    rows = [examine(*item, architecture) for architecture in options.arch for item in kernels]
    if options.json:
        options.json.write_text(json.dumps(rows))
    if options.markdown:
        options.markdown.write_text(markdown(rows))
    wrong = [(row, fault) for row in rows for fault in faults(row)]
    for row, fault in wrong:
        print(f"{row['kernel']} ({row['types']}) for sm_{row['architecture']} {fault}")
    with_stack = sum(row["stack"] > 0 for row in rows)
    most = max((row["registers"] for row in rows), default=0)
    print(f"{len(rows)} compiled; at most {most} registers; {with_stack} with a stack; {len(wrong)} faults")
    return int(bool(wrong) or not rows)


if __name__ == "__main__":
    os.chdir(ROOT)
    raise SystemExit(main())
