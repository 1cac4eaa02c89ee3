"""LSTM, GRU and SimpleRNN by kernels of their own: against the loop over their cells, PyTorch, and themselves."""

import numpy as np
import pytest

import jitnet
from jitnet import layers, ops

# units, features, steps, batch, and what is asked for: one of each, primes, units and samples beyond a tile's
CASES = {
    "one": (1, 1, 1, 1, {}),
    "states": (5, 3, 4, 3, {"states": True}),
    "last": (17, 3, 2, 11, {"return_sequences": False}),
    "masked": (33, 7, 5, 9, {"states": True, "counts": 0.7}),
    "masked, backwards": (
        16, 2, 3, 2, {"states": True, "counts": 0.6, "go_backwards": True, "zero_output_for_mask": True},
    ),
    "masked, last": (6, 5, 3, 5, {"counts": 0.5, "go_backwards": True, "return_sequences": False}),
    "masked, last, states": (
        3, 2, 5, 6, {"counts": 0.5, "states": True, "go_backwards": True, "return_sequences": False},
    ),
    "masked, last, zero": (3, 2, 4, 7, {"counts": 0.5, "zero_output_for_mask": True, "return_sequences": False}),
}  # fmt: skip


def results(layer, arguments, factors, states, masked):
    """Everything a layer returns, and the gradients of a sum of it by its inputs and weights."""

    def loss(x, *others):
        others = list(others)
        initial = [others.pop(0) for _ in range(states)] or None
        found = layer(x, initial_state=initial, mask=others.pop(0) if masked else None)
        parts = [
            ops.sum(ops.reshape(value * factor, (-1, factor.size)), axis=-1)
            for value, factor in zip(found, factors, strict=True)
        ]
        return ops.sum(sum(parts[1:], parts[0])), found

    gradients = jitnet.value_and_grad(loss, tuple(range(1 + states)), has_aux=True, variables=layer.cell.weights)
    (_, found), (by_inputs, by_weights) = gradients(*arguments)
    return [*found, *by_inputs, *by_weights]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "GRU, reset first", "SimpleRNN"])
@pytest.mark.parametrize("case", CASES)
def test_the_same_as_the_loop_over_the_cell(kind, case):
    units, features, steps, batch, options = CASES[case]
    options = {"return_sequences": True, "return_state": True, **options}
    counts, given = options.pop("counts", None), options.pop("states", False)
    own = {"activation": "relu"} if (kind, case) == ("SimpleRNN", "states") else {}
    own |= {"use_bias": False} if kind[:3] == "GRU" and case == "last" else {}
    own |= {"reset_after": False} if kind == "GRU, reset first" else {}
    kind = kind.partition(",")[0]
    draw = np.random.default_rng(3).standard_normal
    layer = getattr(layers, kind)(units, **options, **own)
    loop = layers.RNN(getattr(layers, f"{kind}Cell")(units, **own), **options)
    for each in (layer, loop):
        each.build((None, steps, features))
    values = [draw(w.shape).astype("float32") * 0.4 for w in layer.cell.weights]
    count = 2 if kind == "LSTM" else 1
    arguments = [draw((batch, steps, features)), *(draw((batch, units)) for _ in range(count * given))]
    if counts is not None:
        mask = np.random.default_rng(4).random((batch, steps)) < counts
        mask[0] = False
        arguments.append(mask)
    first = (steps, units) if options["return_sequences"] else (units,)
    factors = [draw(first).astype("float32"), *(draw((units,)).astype("float32") for _ in range(count))]
    found = []
    for each in (layer, loop):
        each.cell.set_weights(values)
        typed = [a.astype("float32") for a in arguments]
        found.append(results(each, typed, factors, count * given, counts is not None))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6 * max(1e-3, np.abs(theirs).max()))


def source_of(layer, steps=4):
    model = jitnet.Sequential([jitnet.Input((steps, 3)), layer, layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.zeros((2, steps, 3), "float32")
    model.train_on_batch(x, np.zeros((2, 2), "float32"))
    return model.step_source()


def test_which_layers_have_kernels():
    assert "lstm_steps_keep_last(" in source_of(layers.LSTM(5))
    assert "simple_rnn_relu_steps_keep_last(" in source_of(layers.SimpleRNN(5, "relu"))
    assert "gru_steps_keep_last(" in source_of(layers.GRU(5, dropout=0.5))
    assert "gru_reset_first_steps_keep_last(" in source_of(layers.GRU(5, reset_after=False))
    for layer in (layers.LSTM(5, "softsign"), layers.GRU(5, recurrent_dropout=0.5)):
        assert "_steps_keep" not in source_of(layer)


def test_dropout_of_the_inputs_is_that_of_the_loop():
    found = []
    for layer in (layers.LSTM(5, dropout=0.5, seed=1), layers.RNN(layers.LSTMCell(5, dropout=0.5, seed=1))):
        jitnet.utils.set_random_seed(2)
        model = jitnet.Sequential([jitnet.Input((4, 3)), layer, layers.Dense(2)])
        model.compile("sgd", "mse")
        model.set_weights([np.cos(np.arange(w.size).reshape(w.shape)) / 3 for w in model.weights])
        x = np.random.default_rng(0).standard_normal((6, 4, 3)).astype("float32")
        for _ in range(3):
            model.train_on_batch(x, x[:, 0, :2])
        found.append(model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def deep(steps=None):
    """Layers of several kinds on top of one another, some of them in both directions."""
    jitnet.utils.set_random_seed(3)
    model = jitnet.Sequential(
        [
            jitnet.Input((steps, 6)), layers.LSTM(20, return_sequences=True),
            layers.Bidirectional(layers.GRU(16, return_sequences=True)), layers.SimpleRNN(20, return_sequences=True),
            layers.Bidirectional(layers.LSTM(16)), layers.Dense(3),
        ]
    )  # fmt: skip
    model.compile("adam", "mse")
    return model


def data(steps, count=70):
    x = np.random.default_rng(0).standard_normal((count, steps, 6)).astype("float32")
    return x, x[:, :, :3].sum(1)


def trained(threads, compiled):
    before = jitnet.get_num_threads()
    jitnet.set_num_threads(threads)
    try:
        model = deep(6)
        model.compile("adam", "mse", jit_compile=compiled)
        model.fit(*data(6), batch_size=35, epochs=2, verbose=0)
        return b"".join(w.tobytes() for w in model.get_weights())
    finally:
        jitnet.set_num_threads(before)


def test_the_same_bits_in_both_modes_and_with_any_threads():
    assert len({trained(threads, compiled) for threads in (1, 2) for compiled in (False, True)}) == 1


def test_sequences_of_other_lengths_compile_nothing(monkeypatch, tmp_path):
    from jitnet.kernels.compiler import machine

    made, compiled = [], machine.object_code
    monkeypatch.setattr(machine, "object_code", lambda t, *a: made.append(t.symbol) or compiled(t, *a))
    monkeypatch.setenv("JITNET_CACHE_DIR", str(tmp_path))
    model = deep()
    for steps in (3, 1, 50):
        x, y = data(steps, 10)
        model.fit(x, y, batch_size=4, verbose=0)
        assert model.predict(x, verbose=0).shape == (10, 3)
        assert bool(made) == (steps == 3)
        made.clear()


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_torch(kind):
    """Two layers and a head, in float32 no farther from float64 than a few roundings: values and gradients."""
    torch = pytest.importorskip("torch")
    units, features, steps, batch = 37, 5, 11, 19
    gates = 4 if kind == "LSTM" else 3
    model = jitnet.Sequential(
        [
            jitnet.Input((steps, features)), getattr(layers, kind)(units, return_sequences=True),
            getattr(layers, kind)(units, return_sequences=True),
        ]
    )  # fmt: skip
    other = getattr(torch.nn, kind)(features, units, 2, batch_first=True).double()
    generator = np.random.default_rng(5)
    values = [generator.uniform(-0.3, 0.3, w.shape) for w in model.weights]
    model.set_weights(values)
    # PyTorch has r before z, and every product has a bias of its own
    order = range(gates) if kind == "LSTM" else (1, 0, 2)

    def turned(weight):
        return np.concatenate([np.split(weight, gates, axis=-1)[g] for g in order], axis=-1).T

    for number in range(2):
        kernel, recurrent, bias = values[3 * number : 3 * number + 3]
        biases = (bias, 0 * bias) if kind == "LSTM" else bias
        for name, value in zip(
            ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), (kernel, recurrent, *biases), strict=True
        ):
            getattr(other, f"{name}_l{number}").data = torch.tensor(turned(value))
    x = generator.standard_normal((batch, steps, features)).astype("float32")
    factor = generator.standard_normal((steps, units)).astype("float32")
    value_and_grad = jitnet.value_and_grad(
        lambda x: (ops.sum(ops.sum(ops.reshape(model(x) * factor, (-1, factor.size)), axis=-1)), model(x)),
        0, has_aux=True, variables=model.trainable_variables,
    )  # fmt: skip
    (_, y), (dx, by_weights) = value_and_grad(x)
    given = torch.tensor(x.astype("float64"), requires_grad=True)
    expected = other(given)[0]
    (expected * torch.tensor(factor.astype("float64"))).sum().backward()
    pairs = [(y, expected.detach().numpy()), (dx, given.grad.numpy())]
    for number in range(2):
        of_layer = by_weights[3 * number : 3 * number + 3]
        names = ("weight_ih", "weight_hh", "bias_ih")
        pairs += [
            (turned(ours if ours.ndim < 2 or len(ours) > 2 or kind == "LSTM" else ours[0]),
             getattr(other, f"{name}_l{number}").grad.numpy())
            for ours, name in zip(of_layer, names, strict=True)
        ]  # fmt: skip
        if kind == "GRU":
            pairs.append((turned(of_layer[2][1]), getattr(other, f"bias_hh_l{number}").grad.numpy()))
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6 * np.abs(theirs).max())
