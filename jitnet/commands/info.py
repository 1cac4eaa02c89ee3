"""jitnet info: what jitnet runs on."""

import os
from pathlib import Path

from jitnet import __version__


def run(options) -> int:
    """Print what jitnet runs on."""
    import platform
    from importlib.metadata import version

    from jitnet.files.cache import cache_directory
    from jitnet.kernels.cpu.runtime import native, processor, threads
    from jitnet.kernels.cpu.runtime.vectors import bfloat16_target
    from jitnet.targets.cuda import devices

    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "llvmlite", "safetensors"))
    vectors = [name for name in _VECTOR_FEATURES if processor.has(name)]
    target = bfloat16_target()
    lines = {
        "jitnet": f"{__version__} in {Path(__file__).parent.parent}",
        "Python": f"{platform.python_version()} on {platform.platform()}",
        "packages": packages,
        "CPU": f"{processor.name()}, {_cores(threads.usable_cores())}",
        "vector features": ", ".join(vectors) or "none that jitnet knows",
        "compiler": _COMPILERS[native.compiler()],
        "threads": f"{threads.get_num_threads()} of jitnet's own pool",
        "mixed_bfloat16": f"with {target.name}" if target else "no: neither AMX nor AVX512-BF16",
        "cache": str(cache_directory()),
        "data": os.environ.get("JITNET_DATA_DIR") or "JITNET_DATA_DIR is not set",
        "CUDA": devices.description(),
    }
    for name, value in lines.items():
        print(f"{name + ':':<17}{value}")
    return 0


def _cores(usable: int) -> str:
    """The machine's cores, and how many of them the process may use."""
    cores = os.cpu_count() or usable
    return f"{cores} cores" if usable == cores else f"{usable} of {cores} cores"


_COMPILERS = {"jitnet": "jitnet's own", "numba": "Numba, which JITNET_COMPILER says"}
_VECTOR_FEATURES = (
    "sse2", "sse4.2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512bf16", "amx-tile", "amx-bf16",
    "neon", "sve",
)  # fmt: skip
