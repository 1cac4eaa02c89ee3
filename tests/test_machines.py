"""The processor that kernels are made for, and networks trained for other processors than the host's."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
import small_networks
from numba.core import config
from numba.core.codegen import JITCPUCodegen

from jitnet.kernels.cpu.runtime import generated, processor, vectors
from jitnet.kernels.cpu.runtime.vectors import vector_target

x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors of this kind: none")
NUMBA = "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX"


@pytest.fixture
def environment(monkeypatch):
    """A function that sets Numba's variables, for Numba, too."""

    def choose(**variables):
        for name in NUMBA:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        config.reload_config()

    monkeypatch.delenv("JITNET_SIMD", raising=False)
    monkeypatch.delenv("JITNET_BFLOAT16", raising=False)
    yield choose
    monkeypatch.undo()
    config.reload_config()


@x86
def test_the_processor_is_that_of_numba(environment):
    host = "avx512" if processor.has("avx512f", "avx512vl") else None
    named = dict(NUMBA_CPU_FEATURES="")
    cases = [  # Numba's variables, and the vectors for them if they don't depend on the host's
        ({}, host),
        (dict(NUMBA_CPU_NAME="haswell"), host),  # Numba adds the host's features
        (dict(NUMBA_CPU_NAME="haswell", **named), "avx2"),
        (dict(NUMBA_CPU_NAME="x86-64", **named), "plain"),
        (dict(NUMBA_CPU_NAME="skylake-avx512", **named), "avx512"),
        (dict(NUMBA_CPU_NAME="skylake-avx512", NUMBA_CPU_FEATURES="-avx512vl"), "avx2"),
        (dict(NUMBA_CPU_NAME="generic"), "plain"),
        (dict(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="+avx2,+fma"), "avx2"),
        (dict(NUMBA_ENABLE_AVX="0"), "plain"),
    ]
    hashes = set()
    for variables, target in cases:
        environment(**variables)
        numba = JITCPUCodegen("processor")
        assert processor.name() == numba._get_host_cpu_name(), variables
        assert processor.feature_text() == numba._get_host_cpu_features(), variables
        if target is not None:
            assert vector_target().name == target, variables
        generated._generator_hash.cache_clear()
        hashes.add(generated.module_name("source"))
    generated._generator_hash.cache_clear()
    assert len(hashes) == len(cases)  # what is compiled for one is no other's


@x86
def test_bfloat16_is_multiplied_by_what_numba_may_use(environment):
    for name, expected in (("haswell", (False, False)), ("cooperlake", (True, False))):
        environment(NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES="")
        assert (vectors.host_has_avx512_bf16(), vectors.host_has_amx()) == expected
    environment(NUMBA_CPU_NAME="cooperlake", NUMBA_CPU_FEATURES="+amx-tile,+amx-bf16")
    assert vectors.host_has_amx()


def test_arm64_has_neon_whatever_llvm_says(environment, monkeypatch):
    environment()

    def unknown():
        raise RuntimeError("not implemented on this platform")

    for triple in ("arm64-apple-darwin24.1.0", "aarch64-unknown-linux-gnu"):
        for features in (dict, unknown):
            monkeypatch.setattr(llvm, "get_process_triple", lambda triple=triple: triple)
            monkeypatch.setattr(llvm, "get_host_cpu_features", features)
            vectors._target_of.cache_clear()
            assert vector_target().name == "neon"
            assert vectors.bfloat16_target() is None
    vectors._target_of.cache_clear()


_TRAIN = """
import sys
import numpy as np
import small_networks
from jitnet.kernels.cpu.runtime.vectors import vector_target

assert vector_target().name == sys.argv[2]
arrays = np.load(sys.argv[1])
model = small_networks.separable()
model.set_weights([arrays[f"start{i}"] for i in range(len(model.get_weights()))])
x, y = small_networks.images()
losses = [model.train_on_batch(x, y) for _ in range(4)]
np.testing.assert_allclose(losses, arrays["losses"], rtol=2e-5)
np.testing.assert_allclose(model.predict(x, verbose=0), arrays["predictions"], rtol=2e-4, atol=1e-6)
for i, weight in enumerate(model.get_weights()):
    np.testing.assert_allclose(weight, arrays[f"end{i}"], rtol=2e-4, atol=2e-6)
"""


@x86
@pytest.mark.parametrize("name,target", [("haswell", "avx2"), ("x86-64", "plain")])
def test_training_for_another_processor(name, target, tmp_path):
    if target == "avx2" and not processor.has("avx2", "fma"):
        pytest.skip("the host has no AVX2")
    x, y = small_networks.images()
    model = small_networks.separable()
    arrays = {f"start{i}": weight for i, weight in enumerate(model.get_weights())}
    arrays["losses"] = [model.train_on_batch(x, y) for _ in range(4)]
    assert arrays["losses"][-1] < arrays["losses"][0]
    arrays["predictions"] = model.predict(x, verbose=0)
    arrays |= {f"end{i}": weight for i, weight in enumerate(model.get_weights())}
    np.savez(tmp_path / "arrays.npz", **arrays)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JITNET_SIMD", "NUMBA_CPU"))}
    environment |= {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), environment.get("PYTHONPATH", "")])
    arguments = [sys.executable, "-W", "error", "-c", _TRAIN, str(tmp_path / "arrays.npz"), target]
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
