"""Models on CUDA, emulated: whole training steps leave the weights that the CPU's leave."""

import numpy as np
import pytest
from cuda_cases import ON_DEVICE, emulator

import jitnet
from jitnet import layers, training
from jitnet.cli import main
from jitnet.layers.base import clear_names
from jitnet.losses import SparseCategoricalCrossentropy
from jitnet.running import stored
from jitnet.targets.cuda import devices, staging
from jitnet.targets.cuda.arrays import DeviceArray
from jitnet.targets.cuda.devices import checked_name


@pytest.fixture(autouse=True)
def emulated():
    backend = emulator(0)
    devices.install("cuda:0", backend)
    yield backend
    jitnet.set_device("cpu")
    jitnet.set_float32_matmul_precision("highest")
    devices.install("cuda:0", None)


def draw(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def dense(**optimizer):
    clear_names()
    jitnet.utils.set_random_seed(3)
    drop = layers.Dropout(0.25)
    model = jitnet.Sequential([jitnet.Input((5,)), layers.Dense(7, "relu"), drop, layers.Dense(3)])
    loss = SparseCategoricalCrossentropy(from_logits=True)
    model.compile(jitnet.optimizers.Adam(0.01, **optimizer), loss, metrics=["accuracy"])
    return model


def residual():
    clear_names()
    jitnet.utils.set_random_seed(3)
    x = images = jitnet.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(x))
    x = shortcut = layers.ReLU()(x)
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(x))
    x = layers.ReLU()(layers.Add()([x, shortcut]))
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    model = jitnet.Model(images, layers.Dense(10)(x))
    model.compile(jitnet.optimizers.Adam(0.01), SparseCategoricalCrossentropy(from_logits=True))
    return model


def joined():
    """A batch of twice as many samples inside, normalised together."""
    clear_names()
    jitnet.utils.set_random_seed(3)
    x = jitnet.Input((5,))
    both = layers.BatchNormalization()(layers.Concatenate(axis=0)([x, 2.0 * x]))
    one, two = jitnet.ops.split(layers.Dropout(0.3, seed=1)(layers.Dense(4, "relu")(both)), 2)
    model = jitnet.Model(x, layers.Dense(3)(one - two))
    model.compile(jitnet.optimizers.SGD(0.1), SparseCategoricalCrossentropy(from_logits=True))
    return model


def lenet5():
    clear_names()
    jitnet.utils.set_random_seed(3)
    model = jitnet.Sequential(
        [
            jitnet.Input((28, 28, 1)),
            layers.Conv2D(6, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, "relu"),
            layers.Dense(84, "relu"),
            layers.Dense(10),
        ]
    )
    model.compile(jitnet.optimizers.Adam(0.01), SparseCategoricalCrossentropy(from_logits=True))
    return model


def trained(make, x, device, epochs=1, batch_size=2):
    model = make()
    y = np.arange(len(x)) % 3
    history = model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, device=device).history
    return model, history, model.predict(x, verbose=0, device=device)


@pytest.mark.parametrize(
    ("make", "shape", "epochs"),
    [(dense, (7, 5), 2), (residual, (5, 6, 6, 3), 1), (joined, (7, 5), 1), (lenet5, (2, 28, 28, 1), 1)],
)
def test_training_leaves_the_weights_of_the_cpu(make, shape, epochs):
    x = draw(*shape)
    ours, history, outputs = trained(make, x, "cuda", epochs)
    theirs, expected, predictions = trained(make, x, "cpu", epochs)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5)
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-4, atol=1e-5, err_msg=weight.name)
    np.testing.assert_allclose(outputs, predictions, rtol=1e-4, atol=1e-5)
    assert ours.optimizer.iterations == theirs.optimizer.iterations
    for key, values in ours.optimizer.state().items():
        other = theirs.optimizer.state()
        same = next(v for (slot, variable), v in other.items() if (slot, variable.name) == (key[0], key[1].name))
        np.testing.assert_allclose(values, same, rtol=1e-3, atol=1e-6)


def test_statistics_are_complete_after_two_launches():
    """What is known of a batch is known of its chunks: there is one."""
    jitnet.set_device("cuda")
    source = residual().step_source()
    assert source.count("batch_norm_moments(") == 2
    assert not any(f"batch_norm_{name}(" in source for name in ("statistics", "combine", "update_moving"))


def test_data_in_a_file(tmp_path, monkeypatch):
    """Portions of two batches, each in memory of its own, train as the array does."""
    x = draw(14, 5)
    np.save(tmp_path / "x", x)
    arrays, _, outputs = trained(dense, x, "cuda")
    monkeypatch.setattr(stored, "PORTION", 150)
    mapped, _, predictions = trained(dense, np.load(tmp_path / "x.npy", mmap_mode="r"), "cuda")
    for weight, other in zip(mapped.get_weights(), arrays.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
    np.testing.assert_array_equal(predictions, outputs)


def test_a_run_begun_on_one_device_goes_on_on_the_other(tmp_path):
    x = draw(6, 5)
    y = np.arange(6) % 3
    mixed, alone = dense(), dense()
    for number, device in enumerate(("cuda", "cpu", "cuda")):
        assert mixed.fit(x, y, batch_size=4, verbose=0, device=device).epoch == [0]
        alone.fit(x, y, batch_size=4, verbose=0)
        assert mixed.optimizer.iterations == 2 * (number + 1)
    for weight, other in zip(mixed.weights, alone.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)
    # what the device has is saved, and a write of the host's reaches the device
    mixed.save(tmp_path / "model.safetensors")
    loaded = jitnet.models.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), mixed.predict(x, verbose=0))
    mixed.layers[0].kernel.assign(np.zeros((5, 7)))
    alone.layers[0].kernel.assign(np.zeros((5, 7)))
    np.testing.assert_allclose(
        mixed.predict(x, verbose=0, device="cuda"), alone.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_blocks_with_conditions():
    """Accumulated gradients, moving averages that replace the weights: other launches in some steps than in others."""
    options = dict(gradient_accumulation_steps=2, use_ema=True, ema_overwrite_frequency=3)
    x, y = draw(6, 5), np.arange(6) % 3
    ours, theirs = dense(**options), dense(**options)
    ours.fit(x, y, batch_size=1, verbose=0, device="cuda")
    theirs.fit(x, y, batch_size=1, verbose=0)
    for weight, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


def test_an_interruption_leaves_the_weights_of_the_steps_that_are_counted(emulated, monkeypatch):
    x, y = draw(6, 5), np.arange(6) % 3
    model, expected = dense(), dense()
    record, steps = emulated.record, []

    def interrupted(launches, stream):
        replay = record(launches, stream)

        def run():
            if len(steps) == 2:
                raise KeyboardInterrupt
            steps.append(replay())

        return run

    monkeypatch.setattr(emulated, "record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=2, verbose=0, shuffle=False, device="cuda")
    assert model.optimizer.iterations == 2
    expected.fit(x[:4], y[:4], batch_size=2, verbose=0, shuffle=False)
    for weight, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


def test_sgd_with_momentum():
    """One of the optimizers whose numbers decide what it does."""
    x, y, found = draw(6, 5), np.arange(6) % 3, {}
    for device in ("cpu", "cuda"):
        model = dense()
        model.compile(jitnet.optimizers.SGD(0.1, momentum=0.9, nesterov=True), model.loss)
        model.fit(x, y, batch_size=2, verbose=0, device=device)
        found[device] = [weight.numpy() for weight in model.weights]
    for ours, theirs in zip(*found.values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_evaluate_and_single_batches():
    x, y = draw(5, 5), np.arange(5) % 3
    model, other = dense(), dense()
    np.testing.assert_allclose(
        model.evaluate(x, y, batch_size=2, verbose=0, device="cuda"), other.evaluate(x, y, batch_size=2, verbose=0),
        rtol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(model.train_on_batch(x, y, device="cuda"), other.train_on_batch(x, y), rtol=1e-5)
    other.predict_on_batch(x[:2])
    jitnet.set_device("cuda")
    assert jitnet.device() == "cuda:0"
    ours = model.predict_on_batch(x[:2])
    assert "dense.dense_forward(x=" in model.step_source() and "cuda:0" in model.step_source()
    jitnet.set_device("cpu")
    np.testing.assert_allclose(ours, other.predict_on_batch(x[:2]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.predict_on_batch(x[:2]), model.predict(x[:2], verbose=0))


def test_data_are_copied_once_per_fit(emulated, monkeypatch):
    copied = []
    copy = emulated.copy

    def noting(target, source, stream=None):
        copied.append(source)
        copy(target, source)

    monkeypatch.setattr(emulated, "copy", noting)
    x, y = draw(6, 5), np.arange(6) % 3
    model = dense()
    model.fit(x, y, batch_size=4, epochs=3, verbose=0, device="cuda")
    assert sum(getattr(array, "shape", None) == x.shape and array.dtype == np.float32 for array in copied) == 1
    x[:] = 0  # the next call sees it
    expected = dense()
    expected.set_weights(model.get_weights())
    ours = model.evaluate(x, y, batch_size=4, verbose=0, device="cuda")
    np.testing.assert_allclose(ours, expected.evaluate(x, y, batch_size=4, verbose=0), rtol=1e-6)


def test_a_data_set_that_does_not_fit(emulated, monkeypatch):
    """Batches are brought to the device part by part, with the same result."""
    x, y = draw(14, 5), np.arange(14) % 3
    expected = dense()
    expected.fit(x, y, batch_size=3, epochs=2, verbose=0)
    monkeypatch.setattr(type(emulated), "free_memory", lambda self: 2 * x.nbytes)
    monkeypatch.setattr(staging, "BYTES", 2 * 3 * (x[:1].nbytes + 8 + 4))  # two steps to a part
    taken = []
    monkeypatch.setattr(staging.np, "take", lambda *a, take=np.take, **k: taken.append(len(a[1])) or take(*a, **k))
    model = dense()
    model.fit(x, y, batch_size=3, epochs=2, verbose=0, device="cuda")
    assert {6, 2} <= set(taken)
    for weight, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


# ---- devices


def test_names_of_devices(monkeypatch):
    assert [checked_name(name) for name in ("cpu", "cuda", "gpu", "gpu:1", "cuda:12")] == [
        "cpu", "cuda:0", "cuda:0", "cuda:1", "cuda:12"
    ]  # fmt: skip
    for name in ("tpu", "cuda:", "cuda:-1", "cpu:1", "cuda:0\n", "", None, 0):
        with pytest.raises(ValueError, match=r'A device is "cpu", "cuda"'):
            jitnet.set_device(name)
    monkeypatch.setattr(jitnet.config, "_device", None)
    monkeypatch.setenv("JITNET_DEVICE", "gpu")
    assert jitnet.device() == "cuda:0"
    monkeypatch.setenv("JITNET_DEVICE", "tpu")
    with pytest.raises(ValueError, match="Received: device='tpu'"):
        jitnet.device()


def test_no_device(capsys):
    """On a machine without a GPU there is one message, at the place where the user asked for it."""
    if ON_DEVICE:
        pytest.skip("this machine has a GPU")
    for ask in (lambda: jitnet.set_device("cuda:1"), lambda: dense().fit(draw(2, 5), [0, 1], device="cuda:1")):
        with pytest.raises(RuntimeError, match="CUDA needs"):
            ask()
    devices.install("cuda:0", None)
    assert main(["info"]) == 0
    assert "CUDA:            no: CUDA needs" in capsys.readouterr().out
    assert main(["train", "digits", "--device", "cuda"]) == 2
    assert "CUDA needs" in capsys.readouterr().err


# ---- precision


def test_precision(monkeypatch):
    x, found = draw(4, 8), {}
    model = jitnet.Sequential([jitnet.Input((8,)), layers.Dense(8, "relu"), layers.Dense(4)])
    exact = model.predict(x, verbose=0)
    for precision in ("highest", "high", "medium"):
        jitnet.set_float32_matmul_precision(precision)
        assert jitnet.float32_matmul_precision() == precision
        found[precision] = np.abs(model.predict(x, verbose=0, device="cuda") - exact).max()
    jitnet.set_float32_matmul_precision("highest")
    assert found["highest"] < 1e-6 < found["high"] < found["medium"] < 3e-2
    with pytest.raises(ValueError, match="Received: precision='low'"):
        jitnet.set_float32_matmul_precision("low")


def test_mixed_bfloat16():
    """Weights stay float32, operands of products are bfloat16; a GPU needs no AMX for it."""
    jitnet.set_device("cuda")
    jitnet.set_dtype_policy("mixed_bfloat16")
    mixed = dense()
    jitnet.set_dtype_policy("float32")
    x, y = draw(4, 5), np.arange(4) % 3
    expected = dense().predict(x, verbose=0)
    error = np.abs(mixed.predict(x, verbose=0) - expected).max()
    assert 1e-4 < error < 3e-2
    assert "bfloat16)" in mixed._step("predict").source
    mixed.fit(x, y, batch_size=4, verbose=0)
    assert {w.dtype for w in mixed.weights} == {"float32"}


# ---- arrays of a GPU


class Tensor:
    """What PyTorch or CuPy have: an array of the device that other libraries can read.

    strides: that it claims, though its memory is contiguous.
    """

    def __init__(self, backend, array, strides=None):
        self.array = backend.to_device(array)
        address = backend.address(self.array) or 1 << 20  # memory that is emulated starts at 0
        self.__cuda_array_interface__ = {
            "shape": array.shape, "typestr": array.dtype.str, "data": (address, False), "strides": strides,
            "version": 3,
        }  # fmt: skip


def test_arrays_of_the_device_are_used_where_they_are(emulated, monkeypatch):
    x, y = draw(6, 5), np.arange(6) % 3
    there = Tensor(emulated, x), Tensor(emulated, y)
    model, expected = dense(), dense()
    expected.fit(x, y, batch_size=4, epochs=2, verbose=0)
    copied = []
    copy = emulated.copy

    def noting(target, source, stream=None):
        copied.append(source)
        copy(target, source)

    monkeypatch.setattr(emulated, "copy", noting)
    model.fit(*there, batch_size=4, epochs=2, verbose=0, device="cuda")
    assert not any(getattr(array, "shape", None) == x.shape for array in copied)
    for weight, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)
    found = model.predict(there[0], batch_size=4, verbose=0, device="cuda")
    np.testing.assert_allclose(found, expected.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


def test_predictions_that_stay_on_the_device(emulated):
    x = draw(5, 5)
    model = dense()
    there = model.predict(x, batch_size=2, verbose=0, device="cuda", as_numpy=False)
    assert there.__cuda_array_interface__["shape"] == there.shape == (5, 3)
    found = emulated.to_host(emulated.adopt(there))
    np.testing.assert_array_equal(np.asarray(there), found)
    np.testing.assert_array_equal(np.asarray(there[1:3], np.float64), found[1:3])
    with pytest.raises(ValueError, match=r"slices can be taken.*numpy\.asarray copies it.*index=0"):
        there[0]
    with pytest.raises(ValueError, match="copy=False"):
        np.array(there, copy=False)
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    # they are data of the next model
    again = jitnet.Sequential([jitnet.Input((3,)), layers.Dense(2)])
    np.testing.assert_allclose(
        again.predict(there, verbose=0, device="cuda"), again.predict(found, verbose=0), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ValueError, match="as_numpy=False is for device='cuda'"):
        model.predict(x, verbose=0, as_numpy=False)


def test_arrays_of_the_device_that_cannot_be_used(emulated):
    x, y = draw(6, 5), np.arange(6) % 3
    model = dense()
    with pytest.raises(ValueError, match="x lies on a GPU: pass device='cuda'"):
        model.predict(Tensor(emulated, x), verbose=0)
    for given, expected in (
        ((Tensor(emulated, x.astype(np.float64)), y), "x on a GPU is used as it is, and must be float32"),
        ((x, Tensor(emulated, y.astype(np.int32))), "y on a GPU is used as it is, and must be int64"),
        ((Tensor(emulated, x, (4, 24)), y), "C-contiguous: call contiguous"),
        ((Tensor(emulated, x[:, :4]), y), "expects shape"),
    ):
        with pytest.raises(ValueError, match=expected):
            model.fit(*given, verbose=0, device="cuda")


def test_labels_on_the_device_are_checked_once_for_a_run(emulated, monkeypatch):
    x, y, model = draw(6, 5), np.arange(6), dense()
    there = Tensor(emulated, x), Tensor(emulated, y)
    for run, what in (
        (lambda: model.fit(*there, device="cuda"), "y"),
        (lambda: model.evaluate(*there, device="cuda"), "y"),
        (lambda: model.fit(x, y % 3, validation_data=there, device="cuda"), "the y of validation_data"),
    ):
        expected = f"expects labels from 0 to 2, because .* Received: {what} with labels from 0 to 5"
        with pytest.raises(ValueError, match=expected):
            run()
    copied, copy = [], DeviceArray.__array__
    monkeypatch.setattr(DeviceArray, "__array__", lambda *arguments: copied.append(0) or copy(*arguments))
    right = there[0], Tensor(emulated, y % 3)
    model.fit(*right, batch_size=2, epochs=2, verbose=0, device="cuda")
    assert len(copied) == 1
    model.train_on_batch(*right, device="cuda")  # which doesn't wait for that
    assert len(copied) == 1


def test_arrays_of_the_device_where_arrays_of_the_host_belong(emulated):
    """What jitnet returned is copied, as a library that has a way to the host does; without one there is a reason."""
    model, x = dense(), draw(5, 7)
    there = DeviceArray(Tensor(emulated, x))
    np.testing.assert_array_equal(jitnet.ops.relu(there), np.maximum(x, 0))
    np.testing.assert_array_equal(jitnet.Variable(there).numpy(), x)
    weights = model.get_weights()
    model.set_weights([there, *weights[1:]])
    np.testing.assert_array_equal(model.get_weights()[0], x)
    without = Tensor(emulated, x)
    for use in (
        lambda: jitnet.ops.relu(without), lambda: jitnet.Variable(without), lambda: model.weights[0].assign(without),
        lambda: model.set_weights([without, *weights[1:]]), lambda: jitnet.ops.add(jitnet.Input((7,)), without),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r": copy an array on a GPU to the host first\. Received: "):
            use()


def words():
    clear_names()
    jitnet.utils.set_random_seed(3)
    parts = [jitnet.Input((3,), dtype="int32"), layers.Embedding(6, 2), layers.Flatten(), layers.Dense(3)]
    model = jitnet.Sequential(parts)
    model.compile("sgd", SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def test_indices_and_weights_that_lie_on_the_device(emulated):
    """Indices are checked, and weights of samples multiplied with those of their classes, as the host's are."""
    x, y, weights = np.arange(18, dtype=np.int32).reshape(6, 3) % 6, np.arange(6) % 3, np.linspace(0.1, 1, 6)
    found = []
    for given in ((x, y, weights), [Tensor(emulated, array) for array in (x, y, weights)]):
        model = words()
        options = {"sample_weight": given[2], "class_weight": {0: 2.0, 2: 0.5}, "validation_data": tuple(given)}
        history = model.fit(*given[:2], batch_size=4, verbose=0, device="cuda", **options).history
        prediction = model.predict(given[0], batch_size=4, verbose=0, device="cuda")
        found.append([*model.get_weights(), *history.values(), prediction])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    x[4, 1] = 6
    there = Tensor(emulated, x)
    for use in (lambda: model.fit(there, y, verbose=0, device="cuda"), lambda: model.predict(there, device="cuda")):
        with pytest.raises(ValueError, match=r"'embedding' takes 'x' as indices from 0 to 5.*index=6, place=\(4, 1\)"):
            use()


def test_a_step_of_ones_own_takes_arrays_of_the_device(emulated):
    class Own(jitnet.Model):
        def train_step(self, data):
            x, y = data
            weights = self.trainable_variables
            loss = jitnet.value_and_grad(lambda: jitnet.ops.mean((self(x, training=True) - y) ** 2), variables=weights)
            value, gradients = loss()
            self.optimizer.apply(gradients, weights)
            return {"loss": value}

    x, y, found = draw(6, 5), draw(6, 2), []
    for given in ((x, y), (Tensor(emulated, x), Tensor(emulated, y))):
        clear_names()
        jitnet.utils.set_random_seed(3)
        inputs = jitnet.Input((5,))
        model = Own(inputs, layers.Dense(2)(inputs))
        model.compile("sgd")
        model.fit(*given, batch_size=4, verbose=0, device="cuda")
        found.append(model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="x on a GPU is used as it is, and must be float32"):
        model.fit(Tensor(emulated, x.astype(np.float64)), y, verbose=0, device="cuda")


def keeping(**options):
    """Recurrent layers that keep their states, behind a mask."""
    clear_names()
    jitnet.utils.set_random_seed(3)
    steps = layers.GRU(2, stateful=True, return_sequences=True)
    parts = [jitnet.Input((3, 2), batch_size=4), layers.Masking(), steps, layers.Dense(1)]
    model = jitnet.Sequential(parts)
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def test_masks_and_states_are_the_cpus():
    x, y = draw(8, 3, 2), draw(8, 3, 1)
    x[::3, 1:] = 0
    found = []
    for device in ("cpu", "cuda:0"):
        jitnet.set_device(device)
        model = keeping()
        logs = [model.predict(x, verbose=0), *model.fit(x, y, epochs=2, shuffle=False, verbose=0).history.values()]
        logs += [model.evaluate(x, y, verbose=0), *(state.numpy() for state in model.layers[1].states)]
        found.append([*logs, *model.get_weights()])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prompts", [[[1, 2], [3]], [[1, 2], [0, 3]]], ids=["whole", "padded"])
def test_generation(prompts):
    """States come back from the device and go there again: nothing is written in place."""
    clear_names()
    jitnet.utils.set_random_seed(3)
    tokens = jitnet.Input((None,), dtype="int32")
    x = layers.TokenAndPositionEmbedding(5, 8, 4, mask_zero=0 in prompts[1])(tokens)
    x = layers.GRU(3, return_sequences=True)(layers.TransformerDecoder(3, 2)(x))
    model = jitnet.Model(tokens, layers.Dense(5)(x))
    generator = np.random.default_rng(0)
    model.set_weights([generator.standard_normal(w.shape).astype(np.float32) for w in model.get_weights()])
    expected = jitnet.text.generate(model, prompts, 3)
    jitnet.set_device("cuda:0")
    for ours, theirs in zip(jitnet.text.generate(model, prompts, 3, cache=True), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_epochs_in_one_call(monkeypatch):
    """What is counted in each of them is the CPU's."""
    x, y, model = draw(12, 5), np.arange(12) % 3, dense()
    expected = model.fit(x, y, batch_size=4, epochs=6, verbose=0).history
    joined_epochs, run = [], training.run_epochs

    def noting(*given):
        epoch = run(*given)
        joined_epochs.append(epoch - given[6])
        return epoch

    monkeypatch.setattr(training, "run_epochs", noting)
    monkeypatch.setattr(training, "PROGRESS_SECONDS", 1000)  # which the emulator takes
    history = dense().fit(x, y, batch_size=4, epochs=6, verbose=0, device="cuda").history
    assert joined_epochs == [5]  # all but the last, which is shown
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)
