"""Object files for programs without Python: a step, all that it calls and what it reads, in one.

A function of such a file fills the record that a step is called with (see ``sections``), most of which never changes.
"""

import struct
from typing import NamedTuple

import numpy as np

from .machine import Machine, linked_code
from .translation import Translation, translate
from .types import in_memory, is_signed

ALIGNMENT = 64  # bytes, of what arrays lie in


class Argument(NamedTuple):
    """An address that a function is called with, or one behind it.

    offset: bytes; None: the address itself, else from the first multiple of ``ALIGNMENT`` that it may begin at.
    """

    number: int
    offset: int | None = None


def with_calls(step: Translation) -> list[Translation]:
    """The translations of a step and of every kernel that it or one of them calls."""
    found, waiting = {step.symbol: step}, [step]
    while waiting:
        for symbol, (function, types_) in waiting.pop().calls.items():
            if symbol not in found:
                found[symbol] = translate(function, types_, symbol)
                waiting.append(found[symbol])
    return list(found.values())


def object_file(
    step: Translation, others: list[Translation], texts: list[str], shown: list[str], target: Machine
) -> bytes:
    """The object file of a step, of the kernels that it calls, and of functions around it that are ``shown``."""
    translations = [(step, 0), *((translation, 3) for translation in others)]  # a step has nothing to be made faster
    return linked_code(translations, "\n".join(texts), shown, target)


def constant(name: str, content) -> str:
    """An array of bytes that can't be written, as LLVM's text."""
    content = np.frombuffer(content, np.uint8)
    if not content.any():
        value = "zeroinitializer"
    else:
        digits = np.frombuffer(b"0123456789ABCDEF", np.uint8)
        escaped = np.full((len(content), 3), ord("\\"), np.uint8)
        escaped[:, 1], escaped[:, 2] = digits[content >> 4], digits[content & 15]
        value = f'c"{escaped.tobytes().decode("ascii")}"'
    return f"@{name} = internal constant [{len(content)} x i8] {value}, align {ALIGNMENT}\n"


class Limits(NamedTuple):
    """Between which numbers all elements of an array must lie that a function is called with.

    number: of the argument; dtype, size: of the array; status: what is returned where one doesn't.
    """

    number: int
    dtype: str
    size: int
    least: int
    largest: int
    status: int


def function(name: str, arguments: int, step: str, record: list, limits: list[Limits]) -> str:
    """A function of so many addresses that runs a step and returns its status, as LLVM's text.

    record: that of the step: integers, floats, names of constants, and ``Argument`` for addresses.
    """
    lines = [f"  %record = alloca [{len(record)} x i64], align 16"]
    for n, dtype, size, least, largest, status in limits:
        given = f"ptr %given{n}, i64 {size}, double {least - 1:.1f}, double {largest + 1:.1f}"
        lines += [
            f"  %within{n} = call i1 @within.{dtype}({given})", f"  br i1 %within{n}, label %right{n}, label %wrong{n}",
            f"wrong{n}:", f"  ret i32 {status}", f"right{n}:",
        ]  # fmt: skip
    for at, value in enumerate(record):
        if isinstance(value, Argument):
            text, more = _address(value, at)
            lines += more
        elif isinstance(value, str):
            text = f"ptr @{value}"
        elif isinstance(value, float):
            text = f"double 0x{struct.pack('>d', value).hex().upper()}"
        else:
            text = f"i64 {int(value)}"
        lines += [f"  %slot{at} = getelementptr i64, ptr %record, i64 {at}", f"  store {text}, ptr %slot{at}"]
    lines += [f"  %status = call i32 @{step}(ptr %record)", "  ret i32 %status"]
    given = ", ".join(f"ptr %given{number}" for number in range(arguments))
    checks = [_within(dtype) for dtype in sorted({found.dtype for found in limits})]
    head = [f"declare i32 @{step}(ptr)", *checks, f"define i32 @{name}({given}) nounwind {{"]
    return "\n".join([*head, *lines, "}", ""])


def _within(dtype: str) -> str:
    """A function that says whether all elements lie between two numbers; NaN doesn't."""
    type_ = in_memory(dtype)
    convert = {"float32": "fpext", "float64": ""}.get(dtype, "sitofp" if is_signed(dtype) else "uitofp")
    value = f"%value = {convert} {type_} %element to double" if convert else "%value = fadd double %element, 0.0"
    return f"""
define internal i1 @within.{dtype}(ptr %values, i64 %count, double %low, double %high) nounwind {{
entry:
  br label %look
look:
  %at = phi i64 [0, %entry], [%next, %inside]
  %more = icmp slt i64 %at, %count
  br i1 %more, label %element.at, label %all
element.at:
  %place = getelementptr {type_}, ptr %values, i64 %at
  %element = load {type_}, ptr %place
  {value}
  %above = fcmp ogt double %value, %low
  %below = fcmp olt double %value, %high
  %both = and i1 %above, %below
  br i1 %both, label %inside, label %outside
inside:
  %next = add i64 %at, 1
  br label %look
all:
  ret i1 true
outside:
  ret i1 false
}}
"""


def _address(argument: Argument, at: int) -> tuple[str, list[str]]:
    given = f"ptr %given{argument.number}"
    if argument.offset is None:
        return given, []
    return f"ptr %inside{at}", [
        f"  %number{at} = ptrtoint {given} to i64",
        f"  %above{at} = add i64 %number{at}, {argument.offset + ALIGNMENT - 1}",
        f"  %aligned{at} = and i64 %above{at}, {-ALIGNMENT}",
        f"  %inside{at} = inttoptr i64 %aligned{at} to ptr",
    ]


def copying(name: str, content: str, size: int) -> str:
    """A function that writes a constant to where its argument allows, as LLVM's text."""
    text, lines = _address(Argument(0, 0), 0)
    copy = "llvm.memcpy.p0.p0.i64"
    return "\n".join([
        f"declare void @{copy}(ptr, ptr, i64, i1)", f"define void @{name}(ptr %given0) nounwind {{", *lines,
        f"  call void @{copy}({text}, ptr @{content}, i64 {size}, i1 false)", "  ret void", "}", "",
    ])  # fmt: skip


def messages(name: str, texts: dict[int, str], otherwise: str) -> str:
    """A function that returns the text of a status, as LLVM's text."""
    known = {status: f"{name}.{at}" for at, status in enumerate(texts)}
    lines = [_text(known[status], text) for status, text in texts.items()] + [_text(f"{name}.otherwise", otherwise)]
    cases = " ".join(f"i32 {status}, label %status{status}" for status in texts)
    lines += [f"define ptr @{name}(i32 %status) nounwind {{", f"  switch i32 %status, label %otherwise [{cases}]"]
    for status, text in known.items():
        lines += [f"status{status}:", f"  ret ptr @{text}"]
    return "\n".join([*lines, "otherwise:", f"  ret ptr @{name}.otherwise", "}", ""])


def _text(name: str, text: str) -> str:
    """A text as C has them, in ASCII."""
    return constant(name, text.encode("ascii", "backslashreplace") + b"\0")
