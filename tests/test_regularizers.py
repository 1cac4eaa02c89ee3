"""Penalties against sums written out, configs, and errors."""

import json

import numpy as np
import pytest

from jitnet import regularizers

X = np.array([[1.0, -2.0], [0.0, 3.0], [-0.5, 0.25]], dtype=np.float32)
SUM_ABS = 6.75  # 1 + 2 + 0 + 3 + 0.5 + 0.25
SUM_SQUARES = 14.3125  # 1 + 4 + 0 + 9 + 0.25 + 0.0625


@pytest.mark.parametrize(
    "regularizer, expected",
    [
        (regularizers.L1(0.1), 0.1 * SUM_ABS),
        (regularizers.L2(0.1), 0.1 * SUM_SQUARES),
        (regularizers.L1L2(0.1, 0.2), 0.1 * SUM_ABS + 0.2 * SUM_SQUARES),
        (regularizers.L1(), 0.01 * SUM_ABS),
        (regularizers.L2(), 0.01 * SUM_SQUARES),
        (regularizers.L1L2(), 0.0),
    ],
)
def test_penalty(regularizer, expected):
    assert regularizer(X) == pytest.approx(expected, rel=1e-15)


def test_penalty_does_not_overflow_float16():
    assert regularizers.L2(1.0)(np.full(2, 60000, np.float16)) == pytest.approx(7.2e9, rel=1e-3)


@pytest.mark.parametrize("regularizer", list(dict.fromkeys(regularizers.KNOWN.values())))
def test_config_round_trip(regularizer):
    names = regularizer().get_config()
    given = {name: 0.125 * (i + 1) for i, name in enumerate(names)} | ({"mode": "columns"} if "mode" in names else {})
    original = regularizer(**given)
    config = json.loads(json.dumps(regularizers.serialize(original)))
    loaded = regularizers.deserialize(config)
    assert type(loaded) is regularizer
    assert loaded.get_config() == original.get_config() and loaded.get_config().items() >= given.items()
    assert regularizers.get(config)(X) == original(X)


@pytest.mark.parametrize(
    "name, l1, l2",
    [("l1", 0.01, 0.0), ("L1", 0.01, 0.0), ("l2", 0.0, 0.01), ("l1_l2", 0.01, 0.01), ("L1L2", 0.01, 0.01)],
)
def test_get_by_name(name, l1, l2):
    found = regularizers.get(name)
    assert (found.l1, found.l2) == (l1, l2)


def test_get_others():
    mine = regularizers.l2(0.5)
    assert regularizers.get(mine) is mine
    assert regularizers.get(regularizers.L1).l1 == 0.01
    assert regularizers.get(None) is None


def test_errors():
    with pytest.raises(ValueError, match=r"Unknown regularizer 'l3'\. .* Received: regularizer='l3'$"):
        regularizers.get("l3")
    with pytest.raises(ValueError, match=r"Expected a regularizer: .* Received: regularizer=0\.01$"):
        regularizers.get(0.01)
    for bad in (-0.1, float("nan"), float("inf"), "0.1", True):
        with pytest.raises(ValueError, match=r"L2 expects l2 to be a finite number, not negative\. Received: l2="):
            regularizers.L2(bad)
