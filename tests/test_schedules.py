"""Schedules against values written out step by step, vectorised against scalar, configs, errors."""

import json
import math
import sys

import numpy as np
import pytest

import jitnet
from jitnet import layers, optimizers, saving, schedules

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


def one_cycle(step):
    # 40 steps, of which 0.3 * 40 - 1 = 11 go up
    if step <= 11:
        return 0.04 + (1 - 0.04) * (1 - math.cos(math.pi * step / 11)) / 2
    return 4e-6 + (1 - 4e-6) * (1 + math.cos(math.pi * (min(step, 39) - 11) / 28)) / 2


def cyclic(height):
    def value(step):
        cycle, within = step // 8, step % 8
        return 0.1 + 0.4 * (within / 4 if within <= 4 else 2 - within / 4) * height(cycle, step)

    return value


def warmup(step):
    return 0.1 + (1.0 - 0.1) * step / 5 if step < 5 else 1.0


def warmup_and_decay(step):
    return step / 5 * 0.1 if step < 5 else exponential(step - 5)


def chained(step):
    return 0.3 if step < 3 else exponential(step - 3) if step < 13 else halved(step - 13)


def product(step):
    return 2.0 * exponential(step) * halved(step)


def halved(step):
    """A function of the step alone."""
    return 1 / (2 + step)


def of_epochs(step, epoch):
    return 1 / (1 + epoch) + step / 1000


@saving.register_keras_serializable("Schedules")
def registered(step, epoch):
    return of_epochs(step, epoch)


saving.register_keras_serializable("Schedules")(halved)
DECAY = schedules.ExponentialDecay(0.1, 10, 0.5)
CASES = [
    (schedules.ConstantSchedule(0.25), lambda step: 0.25),
    (schedules.StepDecay(0.1, 10, 0.5), exponential_staircase),
    (schedules.OneCycle(1.0, 40), one_cycle),
    (schedules.CyclicSchedule(0.1, 0.5, 4), cyclic(lambda cycle, step: 1)),
    (schedules.CyclicSchedule(0.1, 0.5, 4, "triangular2"), cyclic(lambda cycle, step: 0.5**cycle)),
    (schedules.CyclicSchedule(0.1, 0.5, 4, "exp_range", 0.9), cyclic(lambda cycle, step: 0.9**step)),
    (schedules.FunctionSchedule(registered, 7), lambda step: of_epochs(step, step // 7)),
    (schedules.LinearWarmup(1.0, 5, 0.1), warmup),
    (schedules.LinearWarmup(DECAY, 5), warmup_and_decay),
    (schedules.Chained([0.3, DECAY, halved], [3, 10]), chained),
    (2.0 * (DECAY * halved), product),
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
NAMES = [f"{type(schedule).__name__}-{reference.__name__}-{i}" for i, (schedule, reference) in enumerate(CASES)]


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


def test_cycles_against_pytorch():
    torch = pytest.importorskip("torch")
    kinds = torch.optim.lr_scheduler
    for make, arguments, ours in [
        (kinds.OneCycleLR, {"max_lr": 0.7, "total_steps": 50}, schedules.OneCycle(0.7, 50)),
        (kinds.CyclicLR, {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 7, "mode": "triangular2"},
         schedules.CyclicSchedule(0.1, 0.5, 7, "triangular2")),
        (kinds.CyclicLR, {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 7, "mode": "exp_range", "gamma": 0.99},
         schedules.CyclicSchedule(0.1, 0.5, 7, "exp_range", 0.99)),
    ]:  # fmt: skip
        sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
        theirs = make(sgd, **arguments)
        for step in range(49):
            np.testing.assert_allclose(ours(step), theirs.get_last_lr()[0], rtol=1e-12)
            sgd.step()
            theirs.step()


def test_history_and_other_hyperparameters():
    """What schedules govern is in the history, for whichever hyperparameter, also where epochs run in one call."""
    x = np.ones((8, 2), "float32")
    momentum = schedules.Chained([0.0, 0.5], [3])
    found = []
    for jit_compile in (False, True):
        model = jitnet.Sequential([jitnet.Input((2,)), layers.Dense(1, name="dense")], name="scheduled")
        rate = schedules.ExponentialDecay(0.1, 4, 0.5)
        optimizer = optimizers.SGD(rate, momentum, weight_decay=lambda step: step / 100)
        model.compile(optimizer, "mse", jit_compile=jit_compile)
        history = model.fit(x, x[:, :1], batch_size=2, epochs=3, verbose=0).history
        found.append({name: values for name, values in history.items() if name != "loss"})
    assert found[0] == found[1]
    np.testing.assert_allclose(found[0]["learning_rate"], [0.05, 0.025, 0.0125])
    assert found[0]["momentum"] == [0.5, 0.5, 0.5] and found[0]["weight_decay"] == [0.04, 0.08, 0.12]
    # of plain numbers, nothing is said
    model.compile("sgd", "mse", jit_compile=False)
    assert list(model.fit(x, x[:, :1], verbose=0).history) == ["loss"]


def test_plot(monkeypatch):
    class Axes:
        def plot(self, x, y, label):
            self.drawn = x, y, label

        def set_xlabel(self, text):
            self.text = text

    axes = DECAY.plot(20, Axes())
    np.testing.assert_array_equal(axes.drawn[1], DECAY(np.arange(20)))
    assert axes.drawn[2] == "ExponentialDecay" and axes.text == "step"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"schedule.plot needs matplotlib: pip install 'jitnet\[plots\]'"):
        DECAY.plot()


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
    for make, received in [
        (lambda: schedules.Chained([0.1, 0.2], []), r"steps=\[\]"),
        (lambda: schedules.Chained([0.1, "fast"], [3]), r"schedules='fast'"),
        (lambda: schedules.LinearWarmup(0.1, 0), r"warmup_steps=0"),
        (lambda: schedules.OneCycle(0.1, 1), r"total_steps=1"),
        (lambda: schedules.CyclicSchedule(0.1, 0.2, 3, "sine"), r"mode_of_CyclicSchedule='sine'"),
        (lambda: schedules.FunctionSchedule(0.1, 3), r"function=0\.1"),
    ]:
        with pytest.raises(ValueError, match=f"Received: .*{received}$"):
            make()
    with pytest.raises(TypeError, match=r"<lambda> must return a number\. Received: <lambda>\(0\)='x'"):
        schedules.evaluate(schedules.FunctionSchedule(lambda step, epoch: "x", 3), [0])
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


def test_a_product_is_a_schedule():
    product = schedules.ConstantSchedule(2.0) * schedules.StepDecay(3.0, 10)
    assert type(product) is schedules.Product
    assert product(0) == 6.0
