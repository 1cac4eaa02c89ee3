"""Global settings."""

import pytest

import jitnet
from jitnet import layers
from jitnet.kernels import specialise


def test_dtype_policy():
    jitnet.set_dtype_policy("float64")
    assert jitnet.dtype_policy() == jitnet.floatx() == jitnet.config.dtype_policy() == "float64"
    assert jitnet.Sequential([jitnet.Input((3,)), layers.Dense(2)]).get_weights()[0].dtype == "float64"
    with pytest.raises(ValueError, match=r"\"float32\" or \"float64\".*policy=.float31."):
        jitnet.set_dtype_policy("float31")
    assert jitnet.floatx() == "float64"


@pytest.mark.parametrize("amx", [False, True])
@pytest.mark.parametrize(
    "ask", [jitnet.set_dtype_policy, lambda policy: layers.Dense(2, dtype=policy)], ids=["global", "layer"]
)
def test_mixed_bfloat16_is_refused(monkeypatch, ask, amx):
    features = {"amx-tile": amx, "amx-bf16": amx}
    monkeypatch.setattr(specialise.llvmlite.binding, "get_host_cpu_features", lambda: features)
    message = f"AMX: {'yes' if amx else 'no'}.*Use \"float32\". Received: policy='mixed_bfloat16'"
    with pytest.raises(ValueError, match=message):
        ask("mixed_bfloat16")
    assert jitnet.floatx() == "float32"


def test_amx_needs_both_features(monkeypatch):
    for features in ({}, {"amx-tile": True}, {"amx-bf16": True}):
        monkeypatch.setattr(specialise.llvmlite.binding, "get_host_cpu_features", lambda f=features: f)
        assert not specialise.host_has_amx()


def test_mixed_float16_is_refused():
    with pytest.raises(ValueError, match="'mixed_float16' is for GPUs"):
        jitnet.set_dtype_policy("mixed_float16")
