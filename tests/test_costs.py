"""The model of what convolutions cost, against times that were measured with AVX-512."""

import json
from pathlib import Path

import numpy as np

from jitnet.kernels.cpu.fast.winograd import winograd_outputs
from jitnet.kernels.cpu.runtime.vectors import VectorTarget

AVX512 = VectorTarget("avx512", 64, 32)
BENCH = Path(__file__).resolve().parent.parent / "scripts" / "bench"


def test_costs_against_measurements(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    import choices

    rows = json.loads((BENCH / "choices.json").read_text(encoding="utf-8"))
    assert len(rows) == 372
    errors, losses = [], []
    for row in rows:
        size, channels, filters = row["shape"]
        times = {int(m): seconds for m, seconds in row["times"].items()}
        plans = {m: choices.plan_of(row["kind"], *row["shape"], m, AVX512) for m in times}
        costs = {m: plan.cost(row["images"], size, size) for m, plan in plans.items()}
        errors += [np.log((choices.CALL + choices.UNIT * costs[m]) / times[m]) for m in times]
        choice = choices.allowed(row["kind"], channels, filters)
        losses.append(times[min(choice, key=costs.get)] / min(times[m] for m in choice))
    assert np.std(errors) < 0.1 and abs(np.mean(errors)) < 0.05
    assert np.exp(np.mean(np.log(losses))) < 1.005 and max(losses) < 1.4


def test_a_choice_by_cost():
    """Where fixed limits on channels chose direct convolution, which took twice as long."""
    stride = dilation = (1, 1)
    for kind in ("forward", "backward_data", "backward_filter"):
        assert winograd_outputs(kind, (3, 3, 12, 24), 64, 64, stride, dilation) in (2, 4)
    assert winograd_outputs("forward", (3, 3, 3, 16), 32, 32, stride, dilation) == 0
