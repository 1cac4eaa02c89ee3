"""The processor that Numba compiles for: the host's or what Numba's environment variables say.

Asked as Numba asks it (``numba.core.config``, ``JITCPUCodegen`` in ``numba.core.codegen``), but without importing it.
``NUMBA_CPU_NAME`` alone changes the scheduling and little else: Numba then adds the host's features, unless the name is
"generic".  An empty ``NUMBA_CPU_FEATURES`` leaves a processor those that it has by its name.
"""

import functools
import os
import re

import llvmlite.binding as llvm

from ...compiler.machine import Machine


def settings() -> tuple[str | None, str | None, bool]:
    """Name and features that the user gave, and whether features named avx... of the host count."""
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    if features is None and str(name).lower() == "generic":
        features = ""
    try:
        avx = int(os.environ.get("NUMBA_ENABLE_AVX", 1)) != 0
    except ValueError:
        avx = True  # as Numba does, with a warning
    return name, features, avx


def name() -> str:
    """LLVM's name of the processor."""
    given = settings()[0]
    return llvm.get_host_cpu_name() if given is None else given


def is_arm64() -> bool:
    """Whether code is compiled for aarch64, whatever features LLVM reports: vectors of 16 bytes belong to it."""
    return re.match("aarch64|arm64", llvm.get_process_triple()) is not None


def _host_features(avx: bool):
    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM doesn't know how to ask here
        features = llvm.FeatureMap()
    if not avx:
        features.update({feature: False for feature in features if feature.startswith("avx")})
    return features


def feature_text() -> str:
    """The features as Numba hands them to LLVM."""
    _, given, avx = settings()
    return _host_features(avx).flatten() if given is None else given


def machine() -> Machine:
    """What code is compiled for."""
    return _machine(settings(), llvm.get_host_cpu_features)


@functools.cache  # LLVM takes as long to say it as a kernel to run
def _machine(given, features_of_host) -> Machine:
    return Machine(name(), feature_text(), llvm.get_process_triple())


def has(*features: str) -> bool:
    """Whether the processor has all of these ``features``, of those that jitnet's kernels differ by."""
    _, given, avx = settings()
    known = _host_features(avx) if given is None else _named_features(name(), given)
    return all(known.get(feature) for feature in features)


_PROBES = """
declare <8 x float> @llvm.fmuladd.v8f32(<8 x float>, <8 x float>, <8 x float>)
define <8 x float> @fma(<8 x float> %a, <8 x float> %b) #0 {
  %r = call <8 x float> @llvm.fmuladd.v8f32(<8 x float> %a, <8 x float> %b, <8 x float> %a)
  ret <8 x float> %r
}
define <8 x i32> @avx2(<8 x i32> %a, <8 x i32> %b) #0 {
  %r = add <8 x i32> %a, %b
  ret <8 x i32> %r
}
define <16 x float> @avx512f(<16 x float> %a, <16 x float> %b) #0 {
  %r = fadd <16 x float> %a, %b
  ret <16 x float> %r
}
define <64 x i8> @avx512bw(<64 x i8> %a, <64 x i8> %b) #0 {
  %r = add <64 x i8> %a, %b
  ret <64 x i8> %r
}
define <8 x float> @avx512vl(<8 x float> %a, <8 x float> %b) #0 {
  %c = fcmp olt <8 x float> %a, %b
  %r = select <8 x i1> %c, <8 x float> %b, <8 x float> zeroinitializer
  ret <8 x float> %r
}
define <16 x bfloat> @avx512bf16(<16 x float> %a) #0 {
  %r = fptrunc <16 x float> %a to <16 x bfloat>
  ret <16 x bfloat> %r
}
attributes #0 = { "prefer-vector-width"="512" }
"""
_INSTRUCTIONS = {  # that LLVM takes where the processor has them
    "fma": r"vfn?madd\w+ps\s.*%ymm",
    "avx2": r"vpaddd\s.*%ymm",
    "avx512f": r"vaddps\s.*%zmm",
    "avx512bw": r"vpaddb\s.*%zmm",
    "avx512vl": r"vcmp\w+\s.*%ymm\d+, %k",
    "avx512bf16": r"vcvtneps2bf16\s.*%zmm",
}


@functools.cache
def _named_features(cpu: str, given: str) -> dict[str, bool]:
    """Features of the processor of that name with the ``given`` ones: llvmlite doesn't tell, so LLVM compiles a few."""
    known = {feature: True for feature in re.findall(r"\+([\w.-]+)", given)}  # AMX and others that are not seen below
    triple = llvm.get_process_triple()
    if triple.startswith("x86_64"):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=given)
        assembly = machine.emit_assembly(llvm.parse_assembly(_PROBES))
        for feature, pattern in _INSTRUCTIONS.items():
            (body,) = re.findall(rf"^_?{feature}:(.*?)\sret", assembly, re.DOTALL | re.MULTILINE)
            known[feature] = re.search(pattern, body) is not None
    return known
