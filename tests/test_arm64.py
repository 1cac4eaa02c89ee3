"""Tiles for vectors of 16 bytes, compiled for arm64 on any machine: what the machine code must not contain.

LLVM takes apart what a processor does not have: a masked load becomes a branch per lane, an unknown operation a call.
"""

import re
import types
from pathlib import Path

import llvmlite.binding as llvm
import pytest
from llvmlite import ir

from jitnet.kernels.cpu.fast import depthwise, pool
from jitnet.kernels.cpu.fast.column_sums import bias_add_backward_kernel
from jitnet.kernels.cpu.fast.convolution_direct import (
    conv2d_backward_data_kernel,
    conv2d_backward_filter_kernel,
    conv2d_forward_kernel,
)
from jitnet.kernels.cpu.fast.convolution_pooled import (
    conv2d_pooled_backward_data_kernel,
    conv2d_pooled_backward_filter_kernel,
    conv2d_pooled_forward_kernel,
)
from jitnet.kernels.cpu.fast.convolution_rows import conv2d_row_forward_kernel
from jitnet.kernels.cpu.fast.matrix_multiply import (
    matrix_multiply_kernel,
    matrix_multiply_panels_kernel,
    matrix_multiply_part_kernel,
    matrix_multiply_transposed_kernel,
)
from jitnet.kernels.cpu.fast.transpose import panels_kernel, transpose_kernel
from jitnet.kernels.cpu.fast.winograd import (
    winograd_backward_data_kernel,
    winograd_backward_filter_kernel,
    winograd_forward_kernel,
)
from jitnet.kernels.cpu.runtime import jit as _jit
from jitnet.kernels.cpu.runtime.vectors import _TARGETS
from jitnet.kernels.cpu.tiles import (
    copies as simd_copies,
)
from jitnet.kernels.cpu.tiles import (
    depthwise as simd_depthwise,
)
from jitnet.kernels.cpu.tiles import (
    pooled as simd_pooled,
)
from jitnet.kernels.cpu.tiles import (
    pooling as simd_pooling,
)
from jitnet.kernels.cpu.tiles import (
    rows as simd_rows,
)
from jitnet.kernels.cpu.tiles import (
    simd,
)
from jitnet.kernels.cpu.tiles import (
    winograd as simd_winograd,
)

NEON = _TARGETS["neon"]
MACHINES = [("aarch64-unknown-linux-gnu", "neoverse-n1"), ("arm64-apple-darwin", "apple-m1")]
COPIES = ("pad_rows", "copy_bytes")  # tiles that are calls of the C library


def plans(dtype):
    """Of every kind, with and without an end within a vector, in one block and in several."""
    given = dict(dtype=dtype, target=NEON)
    for shape, width, stride, dilation, groups in (
        ((3, 3, 16, 16), 12, 1, 1, 1), ((3, 3, 16, 10), 12, 1, 1, 1), ((3, 3, 5, 6), 4, 2, 1, 1),
        ((3, 2, 3, 37), 5, 1, 1, 1), ((3, 3, 8, 33), 13, 1, 2, 1), ((3, 3, 4, 32), 13, 1, 1, 8),
        ((2, 3, 19, 166), 3, 1, 1, 2), ((3, 3, 2, 6), 6, 1, 1, 3),
    ):  # fmt: skip
        geometry = shape, width, (stride, stride), (dilation, dilation)
        yield conv2d_forward_kernel(*geometry, epilogue="bias_add_relu", groups=groups, **given)
        yield conv2d_forward_kernel(*geometry, epilogue="bias", edges=(1, width), groups=groups, **given)
        yield conv2d_backward_data_kernel(*geometry, epilogue="relu_mask", groups=groups, **given)
        yield conv2d_backward_filter_kernel(*geometry, groups=groups, **given)
    for outputs, filters in ((2, 16), (4, 16), (4, 33)):
        shape = (3, 3, 17, filters)
        forward = winograd_forward_kernel(shape, outputs, epilogue="bias_relu", **given)
        yield from (forward, forward.weights(), winograd_backward_filter_kernel(shape, outputs, **given))
        yield winograd_backward_data_kernel(shape, outputs, epilogue="accumulate", **given)
    yield conv2d_pooled_forward_kernel((5, 5, 1, 6), (28, 28), (14, 14), (2, 2), True, **given)
    yield conv2d_pooled_backward_filter_kernel((5, 5, 1, 6), 28, 14, 2, **given)
    yield conv2d_pooled_backward_data_kernel((5, 5, 2, 6), 28, 14, 2, **given)
    for channels, filters in ((6, 16), (3, 21), (2, 3)):
        yield conv2d_row_forward_kernel((5, 5, channels, filters), 14, 14, 2, epilogue="bias", **given)
    for columns in (10, 3, 4096):
        for epilogue in ("accumulate", "bias_relu", "relu_mask"):
            yield matrix_multiply_kernel(64, 4096, columns, epilogue=epilogue, **given)
        yield matrix_multiply_transposed_kernel(4096, 2048, columns, **given)
    yield matrix_multiply_transposed_kernel(5, 7, 10, epilogue="accumulate", **given)
    yield from (matrix_multiply_panels_kernel(**given), matrix_multiply_part_kernel(**given))
    yield from (bias_add_backward_kernel(**given), transpose_kernel(**given), panels_kernel(8, **given))


@pytest.fixture
def tiles(monkeypatch):
    """A function that lists the tiles of a dtype: {symbol: function of LLVM}."""

    def add(module, name, dtype, lanes, *rest):
        function = simd._tile_function(module, name, dtype, lanes, *rest)
        function.linkage = "external"
        return name

    def found(dtype):
        made = {}

        def tile(*arguments):
            module = ir.Module()
            name = add(module, *arguments)
            (symbol,) = (function.name for function in module.functions if not function.is_declaration)
            made[symbol] = name, module

        def tile_of_type(name, lanes, *rest):
            tile(name, dtype, lanes(dtype), *rest)

        for module in (simd, simd_copies, simd_pooled, simd_rows, simd_winograd):
            monkeypatch.setattr(module, "_tile", tile)
        monkeypatch.setattr(_jit, "kernel", lambda function: function)
        for plan in plans(dtype):
            exec(compile(plan.source, plan.name, "exec"), {})
        monkeypatch.setenv("JITNET_SIMD", "neon")
        for module, kernels in ((simd_depthwise, depthwise), (simd_pooling, pool)):
            monkeypatch.setattr(module, "_tile_of_type", tile_of_type)
            source = Path(kernels.__file__).read_text(encoding="utf-8")
            namespace = types.ModuleType(f"{kernels.__name__}_for_neon")
            namespace.__package__ = kernels.__package__
            exec(compile(source, kernels.__file__, "exec"), vars(namespace))
        return made

    return found


def machine_code(module, triple, cpu):
    """(LLVM's text before optimisation, assembly)"""
    module.triple = triple
    text = str(module)
    parsed = llvm.parse_assembly(text)
    parsed.verify()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features="", opt=3)
    builder = llvm.create_pass_builder(machine, llvm.PipelineTuningOptions(3))
    builder.getModulePassManager().run(parsed, builder)
    return text, machine.emit_assembly(parsed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_machine_code(tiles, dtype):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    found = tiles(dtype)
    names = {name for name, _ in found.values()}
    assert names >= {
        "matrix", "convolution", "filter", "column_sum", "panel", "transpose", "pad_rows", "copy_rows", "copy_bytes",
        "pooled_filter", "pooled_data", "phases", "pooled_forward", "row_input", "row_output", "winograd_image",
        "winograd_output", "winograd_weight", "winograd_filter_result", "depthwise", "depthwise_filter", "max_pool",
        "max_pool_gradient",
    }  # fmt: skip
    on_both = set()
    for symbol, (name, module) in found.items():
        for triple, cpu in MACHINES[: 1 if name in on_both else 2]:
            on_both.add(name)
            text, assembly = machine_code(module, triple, cpu)
            assert "llvm.masked" not in text, symbol
            calls = set(re.findall(r"\n\tbl\s+_?(\w+)", assembly))
            # a row of a convolution whose taps all lie outside of the image is cleared
            assert calls <= ({"memcpy", "memset"} if name in COPIES else {"memset"}), (name, symbol, calls)
            # LLVM repeats the body of a short loop, and its condition; a branch per lane would be many more
            written = len(re.findall(r"\n\s+br i1 ", text))
            branches = len(re.findall(r"\n\t(?:b\.\w+|cbn?z|tbn?z)\s", assembly))
            assert branches <= 12 * written, (name, symbol, branches, written)
            # arithmetic of a lane by itself is for one lane that is left
            lane, vector = (len(re.findall(pattern, assembly)) for pattern in (r"\n\tf\w+\t[sd]\d", r"\n\tf\S+\tv"))
            assert lane <= vector, (name, symbol, lane, vector)
            if "fmuladd" in text:
                assert "\tfmla" in assembly or "\tfmls" in assembly, (name, symbol)
