"""Schedules against values written out step by step, vectorised against scalar, configs, errors."""

import json
import math

import numpy as np
import pytest

from jitnet import schedules

STEPS = [0, 1, 2, 3, 5, 7, 10, 11, 13, 20, 29, 30, 31, 70, 71, 1000]


def exponential(step):
    return 0.1 * 0.5 ** (step / 10)


def exponential_staircase(step):
    return 0.1 * 0.5 ** (step // 10)


def piecewise(step):
    return 1.0 if step <= 3 else 0.5 if step <= 10 else 0.1


def polynomial(step):
    return 0.2 if step >= 10 else (1.0 - 0.2) * (1 - step / 10) ** 2 + 0.2


def polynomial_cycle(step):
    length = 10
    while length < step:
        length += 10
    return (1.0 - 0.2) * (1 - step / length) + 0.2


def inverse_time(step):
    return 0.1 / (1 + 0.5 * step / 10)


def inverse_time_staircase(step):
    return 0.1 / (1 + 0.5 * (step // 10))


def cosine(step):
    if step >= 10:
        return 0.5 * 0.1
    return 0.5 * (0.9 * (1 + math.cos(math.pi * step / 10)) / 2 + 0.1)


def cosine_warmup(step):
    if step < 3:
        return 0.1 + (0.7 - 0.1) * step / 3
    return 0.0 if step >= 13 else 0.7 * (1 + math.cos(math.pi * (step - 3) / 10)) / 2


def restarts(multiplier, height):
    def value(step):
        length, top = 10.0, 1.0
        while step >= length:
            step, length, top = step - length, length * multiplier, top * height
        return 0.5 * ((1 - 0.2) * top * (1 + math.cos(math.pi * step / length)) / 2 + 0.2)

    return value


CASES = [
    (schedules.ExponentialDecay(0.1, 10, 0.5), exponential),
    (schedules.ExponentialDecay(0.1, 10, 0.5, staircase=True), exponential_staircase),
    (schedules.PiecewiseConstantDecay([3, 10], [1.0, 0.5, 0.1]), piecewise),
    (schedules.PolynomialDecay(1.0, 10, 0.2, power=2), polynomial),
    (schedules.PolynomialDecay(1.0, 10, 0.2, cycle=True), polynomial_cycle),
    (schedules.InverseTimeDecay(0.1, 10, 0.5), inverse_time),
    (schedules.InverseTimeDecay(0.1, 10, 0.5, staircase=True), inverse_time_staircase),
    (schedules.CosineDecay(0.5, 10, alpha=0.1), cosine),
    (schedules.CosineDecay(0.1, 10, warmup_target=0.7, warmup_steps=3), cosine_warmup),
    (schedules.CosineDecay(0.1, 10, alpha=0.1, warmup_target=0.5), cosine),
    (schedules.CosineDecayRestarts(0.5, 10, t_mul=1, m_mul=0.5, alpha=0.2), restarts(1, 0.5)),
    (schedules.CosineDecayRestarts(0.5, 10, alpha=0.2), restarts(2, 1)),
    (schedules.CosineDecayRestarts(0.5, 10, t_mul=3, m_mul=0.9, alpha=0.2), restarts(3, 0.9)),
]
NAMES = [f"{type(schedule).__name__}-{reference.__name__}" for schedule, reference in CASES]


@pytest.mark.parametrize("schedule, reference", CASES, ids=NAMES)
def test_values(schedule, reference):
    expected = [reference(step) for step in STEPS]
    values = schedule(np.array(STEPS))
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=1e-13, atol=1e-15)
    scalars = [schedule(step) for step in STEPS]
    assert all(type(value) is float for value in scalars)
    np.testing.assert_allclose(scalars, expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(schedules.evaluate(schedule, STEPS), values)


def test_every_class_has_a_case():
    assert {type(schedule) for schedule, _ in CASES} == set(schedules.KNOWN.values())


@pytest.mark.parametrize("multiplier", [2, 3, 5, 10, 1.5])
def test_restarts_are_at_the_top(multiplier):
    # log(243) / log(3) rounds to below 5: a restart must not be taken for the end of the period before
    schedule = schedules.CosineDecayRestarts(1.0, 64, t_mul=multiplier)
    start, length = 0.0, 64.0
    for _ in range(6):
        assert schedule(start) == pytest.approx(1.0, abs=1e-12)
        start, length = start + length, length * multiplier


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in CASES], ids=NAMES)
def test_config_round_trip(schedule):
    config = json.loads(json.dumps(schedules.serialize(schedule)))
    loaded = schedules.deserialize(config)
    assert type(loaded) is type(schedule)
    assert loaded.get_config() == schedule.get_config()
    np.testing.assert_array_equal(loaded(np.array(STEPS)), schedule(np.array(STEPS)))


class Halving(schedules.LearningRateSchedule):
    """Works on single steps only."""

    def __init__(self, first):
        self.first = first

    def __call__(self, step):
        return self.first if step < 2 else self.first / 2

    def get_config(self):
        return {"first": self.first}


class Doubled(schedules.ExponentialDecay):
    """Overrides the formula of a built-in schedule."""

    def __call__(self, step):
        return 2 * super().__call__(step)


def test_evaluate_numbers_and_users_schedules():
    np.testing.assert_array_equal(schedules.evaluate(0.5, np.arange(3)), [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(schedules.evaluate(Halving(1.0), np.arange(4)), [1.0, 1.0, 0.5, 0.5])
    np.testing.assert_allclose(schedules.evaluate(Doubled(0.1, 10, 0.5), [0, 10]), [0.2, 0.1], rtol=1e-15)
    assert schedules.evaluate(Halving(1.0), []).shape == (0,)


def test_users_schedules_are_saved():
    config = schedules.serialize(Halving(0.25))
    assert schedules.deserialize(config, custom_objects={"Halving": Halving}).first == 0.25
    with pytest.raises(ValueError, match=r"schedule 'Custom>Halving' is unknown\. Pass `custom_objects="):
        schedules.deserialize(config)


def test_errors():
    for bad in (0, -5):
        for make in (
            lambda n: schedules.ExponentialDecay(0.1, n, 0.5),
            lambda n: schedules.PolynomialDecay(0.1, n),
            lambda n: schedules.InverseTimeDecay(0.1, n, 0.5),
            lambda n: schedules.CosineDecay(0.1, n),
        ):
            with pytest.raises(ValueError, match=rf"expects decay_steps to be above 0\. Received: decay_steps={bad}$"):
                make(bad)
    with pytest.raises(ValueError, match=r"expects first_decay_steps to be above 0\. Received: first_decay_steps=0$"):
        schedules.CosineDecayRestarts(0.1, 0)
    with pytest.raises(ValueError, match=r"expects t_mul to be a finite number from 1 up\. Received: t_mul=0\.5$"):
        schedules.CosineDecayRestarts(0.1, 10, t_mul=0.5)
    with pytest.raises(ValueError, match=r"to be a finite number, not negative\. Received: warmup_steps=-1$"):
        schedules.CosineDecay(0.1, 10, warmup_steps=-1)
    with pytest.raises(ValueError, match=r"one longer than .* Received: boundaries=\[3\], values=\[1\.0\]$"):
        schedules.PiecewiseConstantDecay([3], [1.0])
    with pytest.raises(ValueError, match=r"strictly increasing\. Received: boundaries=\[3, 3\]$"):
        schedules.PiecewiseConstantDecay([3, 3], [1.0, 0.5, 0.1])
    with pytest.raises(ValueError, match=r"Did you mean 'CosineDecay'\? Received: schedule='CosineDekay'$"):
        schedules.deserialize({"class_name": "CosineDekay", "config": {}})
    with pytest.raises(TypeError, match=r"must be a number or a Schedule\. Received: 'fast'"):
        schedules.evaluate("fast", [0])
    with pytest.raises(TypeError, match=r"Halving must return a number\. Received: Halving\(0\)='x'"):
        schedules.evaluate(Halving("x"), [0])
    with pytest.raises(NotImplementedError, match="Schedule must define `__call__"):
        schedules.Schedule()(0)
    with pytest.raises(NotImplementedError, match="Schedule must define `get_config"):
        schedules.serialize(schedules.Schedule())
