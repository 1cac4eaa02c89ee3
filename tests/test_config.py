"""Global settings."""

import pytest

import jitnet
from jitnet import layers
from jitnet.kernels.cpu.runtime import processor, vectors


def test_dtype_policy():
    jitnet.set_dtype_policy("float64")
    assert jitnet.dtype_policy() == jitnet.floatx() == jitnet.config.dtype_policy() == "float64"
    assert jitnet.Sequential([jitnet.Input((3,)), layers.Dense(2)]).get_weights()[0].dtype == "float64"
    with pytest.raises(ValueError, match=r"\"float64\" or \"mixed_bfloat16\".*policy=.float31."):
        jitnet.set_dtype_policy("float31")
    assert jitnet.floatx() == "float64"


@pytest.mark.parametrize(
    "ask", [jitnet.set_dtype_policy, lambda policy: layers.Dense(2, dtype=policy)], ids=["global", "layer"]
)
def test_mixed_bfloat16_is_refused_without_hardware(monkeypatch, ask):
    monkeypatch.delenv("JITNET_BFLOAT16", raising=False)
    monkeypatch.setattr(processor.llvm, "get_host_cpu_features", dict)
    message = "needs a processor with AMX or AVX512-BF16.*Use \"float32\". Received: policy='mixed_bfloat16'"
    with pytest.raises(ValueError, match=message):
        ask("mixed_bfloat16")
    assert jitnet.dtype_policy() == "float32"


def test_bfloat16_weights_are_refused():
    with pytest.raises(ValueError, match=r"Use \"mixed_bfloat16\", with float32 weights\. Received: policy='bfloat16'"):
        jitnet.set_dtype_policy("bfloat16")


def test_amx_needs_both_features(monkeypatch):
    for features in ({}, {"amx-tile": True}, {"amx-bf16": True}):
        monkeypatch.setattr(processor.llvm, "get_host_cpu_features", lambda f=features: f)
        assert not vectors.host_has_amx()


def test_mixed_float16_is_refused():
    with pytest.raises(ValueError, match="'mixed_float16' is for GPUs"):
        jitnet.set_dtype_policy("mixed_float16")
