"""Pruned weights: which elements go, and that they stay away."""

import copy
import pickle

import numpy as np
import pytest
from small_networks import data, perceptron

import jitnet
from jitnet import constraints, layers, optimizers, saving
from jitnet.utils import prune

X, Y = data()


def test_which_elements_go():
    torch_prune = pytest.importorskip("torch.nn.utils.prune")
    import torch

    model = perceptron()
    hidden = model.layers[-2]
    linear = torch.nn.Linear(4, 5)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(hidden.kernel.numpy().T))
    for amount in (0.3, 4, 0.5):  # each of what is left
        assert prune.l1_unstructured(hidden, "kernel", amount) is hidden
        torch_prune.l1_unstructured(linear, "weight", amount)
        np.testing.assert_array_equal(hidden.kernel_mask.value, linear.weight_mask.numpy().T != 0)
        np.testing.assert_array_equal(hidden.kernel.value, linear.weight.detach().numpy().T)
    scores = np.arange(20.0).reshape(4, 5)
    again = perceptron().layers[-2]
    prune.l1_unstructured(again, "kernel", 7, importance_scores=scores)
    np.testing.assert_array_equal(again.kernel_mask.value, scores >= 7)


def test_all_together_at_random_and_by_a_mask():
    model = perceptron()
    pairs = [(layer, "kernel") for layer in model.layers[-2:]]
    before = np.concatenate([layer.kernel.numpy().ravel() for layer, _ in pairs])
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=0.4)
    after = np.concatenate([layer.kernel.numpy().ravel() for layer, _ in pairs])
    gone = after == 0
    assert gone.sum() == 14
    assert np.abs(before[gone]).max() < np.abs(before[~gone]).min()
    np.testing.assert_array_equal(after[~gone], before[~gone])

    masks = []
    for seed in (1, 1, 2):
        jitnet.utils.set_random_seed(seed)
        layer = perceptron().layers[-2]
        assert not prune.is_pruned(layer)
        prune.random_unstructured(layer, "kernel", 9)
        assert prune.is_pruned(layer)
        masks.append(layer.kernel_mask.numpy())
    assert (~masks[0]).sum() == (~masks[2]).sum() == 9
    np.testing.assert_array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])
    mask = np.ones((4, 5))
    mask[0] = 0
    prune.custom_from_mask(layer, "kernel", mask)
    np.testing.assert_array_equal(layer.kernel_mask.value, masks[2] & (mask != 0))


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (optimizers.Adam, {}),
        (optimizers.Adam, dict(gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.5)),
        (optimizers.SGD, dict(clipnorm=0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)),
        (optimizers.Adafactor, {}),  # updated by operations
    ],
    ids=["adam", "accumulated", "overwritten", "adafactor"],
)
def test_masks_hold_through_training(make, options, jit_compile):
    """Against a network whose weights are set to 0 after every step."""
    model, free = (perceptron(make(0.1, **options), jit_compile) for _ in range(2))
    model.fit(X, Y, verbose=0, shuffle=False)  # with a step that knows no mask
    free.fit(X, Y, verbose=0, shuffle=False)
    hidden, other = model.layers[-2], free.layers[-2]
    prune.l1_unstructured(hidden, "kernel", 0.5)
    mask = hidden.kernel_mask.numpy()
    assert mask.sum() == 10
    other.kernel.assign(other.kernel.value * mask)
    model.fit(X, Y, epochs=5, verbose=0, shuffle=False)
    for _ in range(5):
        free.fit(X, Y, verbose=0, shuffle=False)
        other.kernel.assign(other.kernel.value * mask)
    np.testing.assert_array_equal(hidden.kernel.value, other.kernel.value)
    np.testing.assert_array_equal(model.predict(X, verbose=0), free.predict(X, verbose=0))
    assert hidden.kernel_mask in model.non_trainable_weights

    # whatever is assigned, a rewinding, too
    hidden.kernel.assign(np.ones((4, 5)))
    np.testing.assert_array_equal(hidden.kernel.value, mask)
    prune.remove(hidden, "kernel")
    assert not prune.is_pruned(model)
    assert not hasattr(hidden, "kernel_mask")
    assert len(model.weights) == 4
    np.testing.assert_array_equal(hidden.kernel.value, mask)
    model.fit(X, Y, epochs=2, verbose=0)
    assert (hidden.kernel.value != 0).all()


def test_masks_are_a_part_of_the_update():
    """A block of a weight is pruned while it is in the cache; neighbours whose masks lie elsewhere stay apart."""
    model = perceptron("adam")
    assert "prune_update" not in model.step_source()
    joined = model.step_source().count("    adam_update(")
    for layer in model.layers[-2:]:
        prune.l1_unstructured(layer, "kernel", 0.5)
        prune.l1_unstructured(layer, "bias", 1)
    source = model.step_source()
    update = source[source.index("def update_chunk") : source.index("def update(")]
    assert source.count("    prune_update(") == update.count("    prune_update(") == 4
    assert update.count("    adam_update(") == 4 > joined
    assert "select_forward" not in source


def test_a_constraint_holds_beside_the_mask():
    model = jitnet.Sequential(
        [layers.Input((4,)), layers.Dense(3, kernel_constraint=constraints.UnitNorm(), name="unit")]
    )
    layer = model.get_layer("unit")
    prune.random_unstructured(layer, "kernel", 0.25)
    model.compile(optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    model.fit(X, Y, epochs=3, verbose=0)
    kernel, mask = layer.kernel.value, layer.kernel_mask.value
    assert (kernel[~mask] == 0).all()
    np.testing.assert_allclose(np.sqrt((kernel**2).sum(axis=0)), 1, rtol=1e-5)


def test_masks_are_saved_and_copied(tmp_path):
    model = perceptron("adam")
    model.fit(X, Y, verbose=0)
    prune.l1_unstructured(model.layers[-2], "kernel", 0.5)
    prune.l1_unstructured(model.layers[-1], "bias", 1)
    path = tmp_path / "pruned.safetensors"
    model.fit(X, Y, verbose=0)
    model.save(path)
    copies = [saving.load_model(path), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    model.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    for other in copies:
        other.fit(X, Y, epochs=2, verbose=0, shuffle=False)
        for own, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(own, theirs)
    zeros = model.layers[-2].kernel.value == 0
    assert zeros.sum() == 10
    # another mask and its weights at once: what the first one took away is there again
    second = perceptron("adam")
    for layer, name in ((second.layers[-2], "kernel"), (second.layers[-1], "bias")):
        prune.random_unstructured(layer, name, 0.7)
    second.set_weights(model.get_weights())
    np.testing.assert_array_equal(second.layers[-2].kernel.value, model.layers[-2].kernel.value)
    second.load_weights(path)
    np.testing.assert_array_equal(second.layers[-2].kernel.value == 0, zeros)
    # pruned, then quantised
    model.quantize("int8")
    assert not prune.is_pruned(model.layers[-2])
    np.testing.assert_array_equal(model.layers[-2].kernel.value[zeros], 0)


def test_what_is_refused():
    layer = perceptron().layers[-2]
    with pytest.raises(ValueError, match=r"no such weight of floats; its weights are bias, kernel. Received: name='w'"):
        prune.l1_unstructured(layer, "w", 0.5)
    with pytest.raises(ValueError, match="it is not built yet"):
        prune.l1_unstructured(layers.Dense(2), "kernel", 0.5)
    for amount in (1.5, -1, 21, True, "half", float("nan")):
        with pytest.raises(ValueError, match=r"a share from 0 to 1, or an int up to the 20 elements left"):
            prune.l1_unstructured(layer, "kernel", amount)
    with pytest.raises(ValueError, match=r"shape \(4, 5\).*Received: shape=\(5, 4\)"):
        prune.l1_unstructured(layer, "kernel", 0.5, np.ones((5, 4)))
    with pytest.raises(ValueError, match=r"mask of hidden/kernel's shape \(4, 5\). Received: shape=\(4,\)"):
        prune.custom_from_mask(layer, "kernel", np.ones(4))
    with pytest.raises(ValueError, match=r"no pruned weight of this name. Received: name='kernel'"):
        prune.remove(layer, "kernel")
    with pytest.raises(ValueError, match="pairs of a layer and a name"):
        prune.global_unstructured([layer], prune.L1Unstructured, amount=0.5)
    with pytest.raises(ValueError, match="Received: pruning_method='l1'"):
        prune.global_unstructured([(layer, "kernel")], "l1", amount=0.5)
    assert not prune.is_pruned(layer)


class Own(layers.Layer):
    """A layer whose configuration knows of no masks, with a layer in it that it makes itself."""

    def __init__(self, units):
        super().__init__()
        self.units, self.inner = units, layers.Dense(units)

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def call(self, inputs):
        return self.inner(inputs @ self.kernel)


def test_weights_anywhere_in_a_model_are_saved_as_they_are(tmp_path):
    model = jitnet.Sequential([layers.Input((3, 4)), layers.LSTM(5, name="memory"), Own(2)])
    cell, own = model.get_layer("memory").cell, model.layers[-1]
    for layer in (cell, own, own.inner):
        prune.l1_unstructured(layer, "kernel", 0.5)
    own.inner.quantize("int8")
    model.save(tmp_path / "own.safetensors")
    loaded = saving.load_model(tmp_path / "own.safetensors", custom_objects={"Own": Own})
    assert prune.is_pruned(loaded.get_layer("memory"))
    assert [w.dtype for w in loaded.weights] == [w.dtype for w in model.weights]
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_that_describes_other_masks_is_refused(tmp_path, monkeypatch):
    model = perceptron()
    twice = [[1, "kernel", "int8"]] * 2
    for wrong in ([[9, "kernel", "mask"]], [[1, "w", "mask"]], [[1, "bias", "int8"]], twice, [3], 3):
        monkeypatch.setattr(saving._quantized, "compressions", lambda found, wrong=wrong: wrong)
        model.save(tmp_path / "wrong.safetensors")
        with pytest.raises(ValueError, match=r"describes a model that cannot be made.*Received: (weight|name)="):
            saving.load_model(tmp_path / "wrong.safetensors")
