"""Calls with several arguments, and models of lists and dicts: in graphs, in files, at once."""

import copy
import json
import pickle

import numpy as np
import pytest
from saved_models import read, write

import jitnet
from jitnet import layers, models, ops
from jitnet.layers.base import clear_names

GENERATOR = np.random.default_rng(4)
A, B, MASK = (GENERATOR.normal(size=(7, 3)).astype("float32") for _ in range(3))
FIXED = np.float32([1, 0, -2])
KERNEL = GENERATOR.normal(size=(3, 3)).astype("float32")
OFFSET = np.float32([0.5, -1, 2])


@pytest.fixture(autouse=True)
def start_anew():
    clear_names()
    jitnet.utils.set_random_seed(7)


@jitnet.saving.register_keras_serializable(package="Calls")
class Blend(layers.Layer):
    """scale * mask * (query @ kernel + value), and all that ``extras`` has, added."""

    def build(self, query_shape, value_shape):
        self.shapes = query_shape, value_shape
        self.kernel = self.add_weight((query_shape[-1], value_shape[-1]), name="kernel")
        self.kernel.assign(KERNEL)

    def call(self, query, value, *, mask=None, scale=1.0, extras=None, training=None):
        self._seen = {"mask": mask, "scale": scale, "extras": extras, "training": training}
        y = (ops.matmul(query, self.kernel) + value) * scale
        if mask is not None:
            y = y * mask
        if extras is not None:
            for name in extras["names"]:
                y = y + extras[name]
        return y


def blended(query, value, mask=1.0, scale=1.0, added=0.0):
    return (query @ KERNEL + value) * scale * mask + added


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def inputs(*names):
    return [jitnet.Input((3,), name=name) for name in names]


def rejects(call, *parts, error=ValueError):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "Received: " in message, message
    for part in parts:
        assert part in message, message


def everywhere(model, x):
    """Predictions of a model, which a copy of each kind repeats to the bit."""
    expected = model.predict(x, verbose=0)
    config = json.loads(json.dumps(model.get_config()))
    for other in (
        copy.deepcopy(model), pickle.loads(pickle.dumps(model)), models.clone_model(model),
        models.Model.from_config(config),
    ):  # fmt: skip
        other.set_weights(model.get_weights())
        found = other.predict(x, verbose=0)
        assert type(found) is type(expected)
        for a, b in zip(leaves(found), leaves(expected), strict=True):
            np.testing.assert_array_equal(a, b)
        assert json.loads(json.dumps(other.get_config())) == config
    return expected


def leaves(structure):
    if isinstance(structure, dict):
        structure = list(structure.values())
    return [x for item in structure for x in leaves(item)] if isinstance(structure, list) else [structure]


# ---- layers


def test_arguments_in_a_graph_and_at_once():
    a, b, mask = inputs("a", "b", "mask")
    layer = Blend()
    tensor = jitnet.Variable(OFFSET)
    extras = {"names": ["first", "second"], "first": b, "second": FIXED}
    outputs = [
        layer(a, b),
        layer(value=b, query=a, scale=0.5),
        layer(a, b, mask=mask, scale=np.float32(2)),
        layer(a, b, mask=FIXED, extras=extras),  # an array beside tensors has no batch axis
        layer(a, b, mask=[True, False, True]),
        layer(a, tensor),
        layer(a, OFFSET, mask=FIXED.astype("int64")),
    ]
    assert layer.shapes == ((None, 3), (None, 3)) and len(layer.weights) == 1
    expected = [
        blended(A, B), blended(A, B, scale=0.5), blended(A, B, MASK, 2), blended(A, B, FIXED, 1, B + FIXED),
        blended(A, B, np.float32([1, 0, 1])), blended(A, OFFSET), blended(A, OFFSET, FIXED),
    ]  # fmt: skip
    predictions = models.Model([a, b, mask], outputs).predict([A, B, MASK], verbose=0)
    for found, right in zip(predictions, expected, strict=True):
        close(found, right)
    assert layer.input == [a, b] and layer.output is outputs[0]
    at_once = [
        layer(A, B),
        layer(value=B, query=A.tolist(), scale=0.5),
        layer(A, B, mask=MASK, scale=np.float32(2)),
        layer(A, B, mask=jitnet.Variable(FIXED), extras={**extras, "first": B, "second": jitnet.Variable(FIXED)}),
        layer(A, B, mask=[True, False, True]),
        layer(A, tensor),
        layer(A, jitnet.Variable(OFFSET), mask=jitnet.Variable(FIXED)),
    ]
    for found, right in zip(at_once, expected, strict=True):
        close(found, right)


def test_a_mask_without_a_batch_axis():
    class Masked(layers.Layer):
        def call(self, scores, mask):
            return scores + (1.0 - ops.cast(mask, "float32")) * -1e9

    scores, causal = GENERATOR.normal(size=(2, 3, 3)).astype("float32"), np.tri(3, dtype=bool)
    expected = np.where(causal, scores, -1e9)
    x, layer = jitnet.Input((3, 3), name="x"), Masked(name="masked")
    model = models.Model(x, layer(x, causal))
    np.testing.assert_allclose(model.predict(scores, verbose=0), expected, rtol=1e-6)
    np.testing.assert_allclose(layer(scores, mask=jitnet.Variable(np.tri(3, dtype="float32"))), expected, rtol=1e-6)


def test_what_a_layer_returns_keeps_its_structure():
    class Parts(layers.Layer):
        def call(self, both):
            return {"z": both["x"] + both["y"], "rest": [both["x"], (both["y"] * 2.0,)]}

    (a, b), layer = inputs("a", "b"), Parts(name="parts")
    found = layer({"y": b, "x": a})
    assert list(found) == ["z", "rest"] and type(found["rest"]) is list and type(found["rest"][1]) is tuple
    assert found["rest"][0] is not a and found["rest"][0].history.layer is layer  # passed on under a new name
    arrays = layer({"y": B, "x": A})
    close(arrays["z"], A + B)
    close(arrays["rest"][0], A)
    close(arrays["rest"][1][0], 2 * B)
    assert layer.compute_output_shape({"x": (None, 3), "y": (None, 1)}) == {
        "z": (None, 3), "rest": [(None, 3), [(None, 1)]]
    }  # fmt: skip
    assert Blend().compute_output_shape((None, 3), (None, 3), mask_shape=(1,)) == (None, 3)
    assert Blend().compute_output_shape(value_shape=(None, 3), query_shape=(None, 3)) == (None, 3)
    assert layers.Add().compute_output_shape(input_shape=[(None, 3), (3,)]) == (None, 3)
    model = models.Model({"x": a, "y": b}, found)
    assert model.output_names == ["rest_0", "rest_1_0", "z"]
    assert set(model.predict({"x": A, "y": B}, verbose=0)) == {"z", "rest"}


def test_shapes_that_build_takes():
    class First(layers.Layer):
        def build(self, input_shape):
            self.seen = input_shape

        def call(self, x, others=None):
            return x["a"] if isinstance(x, dict) else x[0]

    a, b = inputs("a", "b")
    for given, seen in (({"b": b, "a": a}, {"b": (None, 3), "a": (None, 3)}), ((a, FIXED), [(None, 3), (3,)])):
        layer = First()
        layer(given, others=b)
        assert layer.seen == seen

    class Optional(First):
        def build(self, x_shape, others_shape=None):
            self.seen = x_shape, others_shape

    for arguments, seen in (([[a]], None), ([[a], b], (None, 3))):
        layer = Optional()
        layer(*arguments)
        assert layer.seen == ([(None, 3)], seen)

    class More(First):
        def build(self, shape, *more, **others):
            self.seen = shape, more, others

    layer = More()
    layer([a], b)
    assert layer.seen == ([(None, 3)], (), {})

    class Wrong(First):
        def build(self, x_shape, other_shape):
            pass

    expected = "Layer 'wrong' (Wrong): build takes the shape of one argument, or those of several by the names <arg"
    rejects(lambda: Wrong(name="wrong")([a], b), expected, "Missing: other_shape", "x_shape, others_shape")


def test_training_beside_other_arguments():
    class Last(Blend):
        def call(self, query, value, training, mask=None):
            self._seen = {"training": training, "mask": mask}
            return query + value

    a, b = inputs("a", "b")
    layer = Last()
    for call, training in (
        (lambda: layer(a, b), False), (lambda: layer(a, b, True), True), (lambda: layer(a, b, training=True), True),
        (lambda: layer(a, b, None, FIXED), False), (lambda: layer(A, B, True), True),
    ):  # fmt: skip
        call()
        assert layer._seen["training"] is training
    told = models.Model([a, b], layer(a, b, True, FIXED))
    told._trace(False)
    assert layer._seen["training"] is True and layer._seen["mask"].shape == (3,)
    rejects(lambda: layer(a, b, training=b), "'last' (Last) expects training to be True or False")
    rejects(lambda: layer(a, b, True, training=True), "multiple values for argument 'training'", error=TypeError)


def test_arguments_that_call_does_not_take():
    a, b = inputs("a", "b")
    layer = Blend(name="mine")
    for call, part in (
        (lambda: layer(a), "missing a required argument: 'value'. Received: 1 positional arguments"),
        (lambda: layer(a, b, a), "(query, value, *, mask=None, scale=1.0, extras=None, training=None) of its call"),
        (lambda: layer(a, b, maks=a), "has no argument 'maks'. Did you mean 'mask'? Received: maks=<SymbolicTensor a"),
        (lambda: layer(A, B, maks=A), "has no argument 'maks'. Did you mean 'mask'? Received: maks=<class 'numpy.nd"),
        (lambda: layers.Dense(2, name="mine")(a, b), "too many positional arguments. Received: 2 positional"),
        (lambda: layer(None, 3.0), "is called on tensors or arrays. Received: {'query': None, 'value': 3.0}"),
        (lambda: layer(a, np.array(["text"])), "takes tensors and arrays of numbers. Received: dtype=<U4"),
    ):
        rejects(call, "Layer 'mine' (", part, error=TypeError)
    expected = "called on arrays, it needs the same number of samples in each; what has no batch axis is passed as a"
    rejects(lambda: layer(A, B, mask=MASK[:3]), "Layer 'mine' (Blend): ", expected, "lengths=[3, 7]")
    rejects(lambda: layer(A, B, mask=jitnet.Variable(np.ones(4, "f"))), "Layer 'mine' (Blend): multiply cannot combine")


# ---- in graphs, copies and files


@jitnet.saving.register_keras_serializable(package="Calls")
class Tied(layers.Layer):
    """inputs @ kernel, a weight of another layer."""

    def call(self, inputs, kernel, options=()):
        self._seen = options
        return ops.matmul(inputs, kernel)


def graph():
    """Arguments of all kinds, a weight of another layer among them, between inputs and outputs by name."""
    a, b, mask = inputs("a", "b", "mask")
    first = Blend(name="first")
    y = first(a, b, mask=mask, scale=2)
    extras = {"names": ["other", "fixed"], "other": b, "fixed": FIXED}
    z = Blend(name="second")(y, OFFSET, scale=0.5, mask=[True, False, True], extras=extras, training=False)
    tied = Tied(name="tied")(z, kernel=first.kernel, options=("sum", [2, None]))
    outputs = {"y": y, "rest": [z, layers.Concatenate(name="both")([tied * 2.0, z])]}
    return models.Model({"first": a, "second": b, "mask": mask}, outputs, name="graph")


def by_numpy(kernel=KERNEL, second=KERNEL):
    y = (A @ kernel + B) * 2 * MASK
    z = (y @ second + OFFSET) * 0.5 * np.float32([1, 0, 1]) + B + FIXED
    return {"y": y, "rest": [z, np.concatenate([2 * z @ kernel, z], 1)]}


X = {"first": A, "second": B, "mask": MASK}


def test_graphs_are_saved_copied_and_trained(tmp_path):
    model = graph()
    assert model.input_names == ["first", "mask", "second"] and model.output_names == ["rest_0", "rest_1", "y"]
    assert [v.name for v in model.weights] == ["first/kernel", "second/kernel"]
    for found, right in zip(leaves(model.predict(X, verbose=0)), leaves(by_numpy()), strict=True):
        close(found, right)
    for found, right in zip(leaves(model(X)), leaves(by_numpy()), strict=True):
        close(found, right)

    # the gradient of a kernel with two uses, of which one is an argument, by central differences
    def loss(*kernels):
        found = by_numpy(*kernels)
        return sum(np.mean(x.astype("float64") ** 2) for x in (found["y"], *found["rest"]))

    kernels = [w.astype("float64") for w in model.get_weights()]
    expected = [np.zeros((3, 3)) for _ in kernels]
    for number, gradient in enumerate(expected):
        for place in np.ndindex(3, 3):
            ends = []
            for step in (1e-4, -1e-4):
                moved = [k.copy() for k in kernels]
                moved[number][place] += step
                ends.append(loss(*moved))
            gradient[place] = (ends[0] - ends[1]) / 2e-4
    zeros = {"y": np.zeros((7, 3)), "rest": [np.zeros((7, 3)), np.zeros((7, 6))]}
    model.compile(jitnet.optimizers.SGD(0.01), "mse")
    model.train_on_batch(X, zeros)
    for weight, kernel, gradient in zip(model.get_weights(), kernels, expected, strict=True):
        np.testing.assert_allclose(weight, kernel - 0.01 * gradient, rtol=1e-4, atol=1e-4)

    model.save(tmp_path / "model")
    again = jitnet.load_model(tmp_path / "model")
    assert again.get_config() == model.get_config() and again.get_layer("tied")._seen == ("sum", [2, None])
    assert again.get_layer("second")._seen["extras"]["names"] == ["other", "fixed"]
    assert again.get_layer("second")._seen["scale"] == 0.5 and len(again.weights) == 2
    for other in (again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for found, right in zip(leaves(other.predict(X, verbose=0)), leaves(model.predict(X, verbose=0)), strict=True):
            np.testing.assert_array_equal(found, right)
    histories = [m.fit(X, zeros, batch_size=4, verbose=0).history for m in (model, again)]
    assert histories[0] == histories[1] and list(histories[0]) == ["loss", "rest_0_loss", "rest_1_loss", "y_loss"]
    clone = models.clone_model(model)
    assert clone.get_layer("tied")._seen == ("sum", [2, None]) and len(clone.weights) == 2
    clone.set_weights(model.get_weights())
    for found, right in zip(leaves(clone.predict(X, verbose=0)), leaves(model.predict(X, verbose=0)), strict=True):
        np.testing.assert_array_equal(found, right)


def test_clones_and_models_in_models():
    a, b = inputs("a", "b")
    inner = models.Model({"q": a, "v": b}, {"y": Blend(name="blend")(a, b, scale=3.0), "v": b}, name="inner")
    assert inner.output_names == ["v", "y"]
    x, y = inputs("x", "y")
    found = inner({"v": y, "q": x})
    outer = models.Model([x, y], [found["y"], inner({"q": found["v"], "v": x})["y"]], name="outer")
    expected = everywhere(outer, [A, B])
    close(expected[0], blended(A, B, scale=3))
    close(expected[1], blended(B, A, scale=3))
    named = outer.predict({"y": B, "x": A}, verbose=0)  # a dict by the names of the inputs
    np.testing.assert_array_equal(named[0], expected[0])
    one = models.Sequential([jitnet.Input((3,), name="x"), layers.Dense(2, name="dense")], name="one")
    np.testing.assert_array_equal(one.predict({"x": A}, verbose=0), one.predict([A], verbose=0))
    kept = models.clone_model(inner)
    assert kept.get_layer("blend") is not inner.get_layer("blend") and kept.get_config() == inner.get_config()


OLD = json.loads("""{
 "weights": ["dense/kernel", "dense/bias"], "format_version": 2, "compile": null, "floatx": "float32",
 "inputs": [{"name": "a", "shape": [2], "dtype": "float32"}, {"name": "b", "shape": [2], "dtype": "float32"}],
 "random_streams": [0],
 "model": {"class_name": "Model", "config": {
  "name": "old", "trainable": true,
  "inputs": [{"name": "a", "shape": [2], "dtype": "float32"}, {"name": "b", "shape": [2], "dtype": "float32"}],
  "layers": [
   {"class_name": "Dense", "config": {"name": "dense", "trainable": true, "units": 2, "activation": "linear"}},
   {"class_name": "Dropout", "config": {"name": "drop", "trainable": true, "rate": 0.5, "seed": 1}},
   {"class_name": "Add", "config": {"name": "add", "trainable": true}},
   {"class_name": "Concatenate", "config": {"name": "both", "trainable": true, "axis": -1}}],
  "nodes": [
   {"inputs": {"tensor": ["input", 0]}, "layer": 0},
   {"inputs": [{"tensor": ["node", 0, 0]}, {"constant": [2.0]}],
    "operation": {"class_name": "Binary", "config": {"function": "multiply"}}},
   {"inputs": {"tensor": ["input", 1]}, "layer": 1, "training": false},
   {"inputs": [{"tensor": ["node", 1, 0]}, {"tensor": ["node", 2, 0]}], "layer": 2},
   {"inputs": [{"tensor": ["node", 0, 0]}, {"tensor": ["node", 3, 0]}], "layer": 3}],
  "outputs": [{"tensor": ["node", 3, 0]}, {"tensor": ["node", 4, 0]}], "several": [true, true]}}}""")


def test_files_of_the_second_format(tmp_path):
    tensors = {"weights/dense/kernel": np.float32([[1, 2], [3, 4]]), "weights/dense/bias": np.float32([5, 6])}
    write(tmp_path / "old", tensors, OLD)
    x = [np.ones((1, 2)), np.full((1, 2), 2.0)]
    model = jitnet.load_model(tmp_path / "old")
    total, both = model.predict(x, verbose=0)
    np.testing.assert_array_equal(total, [[20, 26]])
    np.testing.assert_array_equal(both, [[9, 12, 20, 26]])
    model.save(tmp_path / "new")
    assert read(tmp_path / "new")[1]["model"]["config"]["structures"] == [[0, 1], [0, 1]]
    np.testing.assert_array_equal(jitnet.load_model(tmp_path / "new").predict(x, verbose=0)[1], both)
    single = json.loads(json.dumps(OLD))
    config = single["model"]["config"]
    config.update(inputs=config["inputs"][:1], outputs=[{"tensor": ["node", 0, 0]}], several=[False, False])
    config.update(nodes=config["nodes"][:1], layers=config["layers"][:1])
    single.update(inputs=single["inputs"][:1], random_streams=[])
    write(tmp_path / "single", tensors, single)
    np.testing.assert_array_equal(jitnet.load_model(tmp_path / "single").predict(x[0], verbose=0), [[9, 12]])


def test_what_cannot_be_saved(tmp_path):
    (a,) = inputs("a")
    free = models.Model(a, Tied()(a, jitnet.Variable(KERNEL, name="free")))
    with pytest.raises(TypeError, match="is used outside of its layer, before that layer is applied, or belongs to"):
        free.save(tmp_path / "model")
    with pytest.raises(ValueError, match="cannot be cloned: it uses 'free' outside of its layer"):
        models.clone_model(free)
    with pytest.raises(TypeError, match=r"graph cannot be saved: an argument of a layer is .* Received: \{1, 2\}"):
        models.Model(a, Tied()(a, np.eye(3), {1, 2}), name="graph").get_config()


# ---- models by name


def two(name="two"):
    """Inputs "a" and "b"; "size", of both, and "kind", of the first, by name."""
    a, b = inputs("a", "b")
    hidden = layers.Dense(3, name="hidden")(a)
    outputs = {"size": layers.Dense(1, name="last")(layers.Add(name="sum")([hidden, b])), "kind": hidden}
    return models.Model({"x": a, "extra": b}, outputs, name=name)


SIZES, KINDS = GENERATOR.normal(size=(7, 1)).astype("float32"), np.abs(MASK)
GIVEN, WANTED = {"extra": B, "x": A}, {"size": SIZES, "kind": KINDS}


def test_models_of_dicts_train_like_models_of_lists(tmp_path):
    model, other = two(), two()
    listed = models.Model(other.inputs[::-1], other.outputs[::-1], name="two")  # x, extra; size, kind
    assert [x.name for x in other.inputs] == ["b", "a"] and [x.shape[1] for x in other.outputs] == [3, 1]
    assert [v.name for v in model.weights] == [v.name for v in listed.weights]
    listed.set_weights(model.get_weights())
    by_name = dict(loss={"size": "mse", "kind": "mae"}, loss_weights={"kind": 0.5}, metrics={"kind": ["mse", "mae"]})
    model.compile("sgd", **by_name)
    listed.compile("sgd", ["mse", "mae"], loss_weights=[1, 0.5], metrics=[None, ["mse", "mae"]])
    weights = np.linspace(0, 2, 7)
    arguments = dict(batch_size=4, epochs=2, verbose=0, validation_split=0.3, sample_weight=weights)
    found = model.fit(GIVEN, WANTED, **arguments).history
    right = listed.fit([A, B], [SIZES, KINDS], **arguments).history
    names = ["loss", "kind_loss", "size_loss", "kind_mse", "kind_mae"]
    assert list(found) == [*names, *(f"val_{name}" for name in names)]
    swapped = {"kind": "hidden", "size": "last"}
    for name, values in found.items():
        output = next((key for key in swapped if key in name), "")
        assert values == pytest.approx(right[name.replace(output, swapped.get(output, ""))], rel=1e-6)
    for a, b in zip(model.get_weights(), listed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert set(model.evaluate(GIVEN, WANTED, verbose=0, return_dict=True)) == set(names)
    assert model.test_on_batch(GIVEN, WANTED)[0] == model.evaluate(GIVEN, WANTED, 7, 0)[0]
    assert len(model.train_on_batch(GIVEN, WANTED, weights)) == 5
    model.fit(GIVEN, WANTED, verbose=0, validation_data=(GIVEN, WANTED, weights))
    for predict in (model.predict, model.predict_on_batch, model):
        assert {name: x.shape for name, x in predict(GIVEN).items()} == {"size": (7, 1), "kind": (7, 3)}
    assert model.input_shape == {"x": (None, 3), "extra": (None, 3)}
    assert model.output_shape == {"size": (None, 1), "kind": (None, 3)}
    model.save(tmp_path / "model")
    again = jitnet.load_model(tmp_path / "model")
    assert again.train_on_batch(GIVEN, WANTED) == model.train_on_batch(GIVEN, WANTED)
    everywhere(model, GIVEN)
    model.summary(print_fn=lambda line: None)


def test_weights_of_the_samples_of_each_output():
    size, kind = np.linspace(0, 2, 7), np.linspace(3, 1, 7)
    results, start = [], None
    for weights in ({"kind": kind, "size": size}, {"size": size[:, None]}, {"kind": kind}, None):
        model = two()
        start = model.get_weights() if start is None else start
        model.set_weights(start)
        model.compile("sgd", "mse", metrics={"size": ["mae"]})
        found = model.predict(GIVEN, verbose=0)
        errors = {"size": ((found["size"] - SIZES) ** 2)[:, 0], "kind": ((found["kind"] - KINDS) ** 2).mean(1)}
        given = {"size": np.ones(7), "kind": np.ones(7), **(weights or {})}
        expected = {f"{name}_loss": np.mean(errors[name] * given[name].reshape(7)) for name in errors}
        logs = model.evaluate(GIVEN, WANTED, 4, 0, weights, return_dict=True)
        assert {name: logs[name] for name in expected} == pytest.approx(expected, rel=1e-5)
        assert logs["size_mae"] == pytest.approx(np.abs(found["size"] - SIZES).mean(), rel=1e-5)
        history = model.fit(GIVEN, WANTED, 7, verbose=0, sample_weight=weights, shuffle=False).history
        assert history["loss"][0] == pytest.approx(sum(expected.values()), rel=1e-5)
        results.append(model.get_weights())
    model = two()
    listed = models.Model(model.inputs, model.outputs)
    listed.set_weights(start)
    listed.compile("sgd", "mse")
    listed.fit([B, A], [KINDS, SIZES], 7, verbose=0, sample_weight=[None, size], shuffle=False)
    for a, b in zip(listed.get_weights(), results[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    model.compile("sgd", "mse")

    def fit(weights):
        return lambda: model.fit(GIVEN, WANTED, verbose=0, sample_weight=weights)

    rejects(fit({"siz": size}), "sample_weight of the model 'two': Unknown output 'siz'. Did you mean 'size'?")
    rejects(fit({"size": size[:3]}), "sample_weight of 'size' expects shape (7,)", "shape=(3,)")
    rejects(fit([size, kind]), "sample_weight of the model 'two' must be a dict with the keys 'size', 'kind'", "list")


@jitnet.saving.register_keras_serializable(package="Calls")
class Own(models.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blend = Blend(name="blend")
        self.last = layers.Dense(1, name="last")

    def call(self, inputs, scale=1.0, mask=None, training=None):
        y = self.blend(inputs["q"], inputs["v"], mask=mask, scale=scale)
        return {"y": y, "parts": (self.last(y), inputs["v"] * 2.0)}


def test_models_with_a_call_of_their_own(tmp_path):
    model, x = Own(name="own"), {"v": B, "q": A}
    found = model.predict(x, verbose=0)
    assert model.input_names == ["q", "v"] and model.output_names == ["parts_0", "parts_1", "y"]
    assert list(found) == ["y", "parts"] and type(found["parts"]) is list
    close(found["y"], blended(A, B))
    close(found["parts"][1], 2 * B)
    close(model(x)["y"], blended(A, B))
    close(model(x, 3.0, mask=MASK)["y"], blended(A, B, MASK, 3))
    fresh = Own(name="fresh")
    close(fresh(x, mask=MASK)["y"], blended(A, B, MASK))  # not built by predict before
    q, v, mask = inputs("q", "v", "mask")
    outer = models.Model([q, v, mask], model({"q": q, "v": v}, mask=mask, scale=2.0)["y"])
    close(outer.predict([A, B, MASK], verbose=0), blended(A, B, MASK, 2))
    model.compile("sgd", {"y": "mse", "parts_0": "mae", "parts_1": "mse"}, metrics={"y": ["mae"]})
    targets = {"y": B, "parts": [B[:, :1], B]}
    first = model.evaluate(x, targets, verbose=0, return_dict=True)
    assert list(first) == ["loss", "parts_0_loss", "parts_1_loss", "y_loss", "y_mae"]
    assert first["y_mae"] == pytest.approx(np.abs(blended(A, B) - B).mean(), rel=1e-5)
    named = {"y": B, "parts_0": B[:, :1], "parts_1": B}
    assert model.evaluate(x, named, verbose=0, return_dict=True) == first
    assert model.fit(x, targets, verbose=0).history["loss"] == [pytest.approx(first["loss"], rel=1e-6)]
    model.save(tmp_path / "model")
    again = jitnet.load_model(tmp_path / "model")
    assert again.train_on_batch(x, targets) == model.train_on_batch(x, targets)
    assert again.input_names == model.input_names


def test_structures_that_do_not_fit():
    model = two()
    model.compile("sgd", "mse")
    x = "x of the model 'two'"
    rejects(lambda: model.predict({"x": A}), f"{x} lacks the input 'extra'. Received: x for x")
    rejects(lambda: model.predict({**GIVEN, "extr": A}), f"{x}: Unknown input 'extr'. Did you mean 'extra'?")
    rejects(lambda: model.predict([A, B]), f"{x} must be a dict with the keys 'x', 'extra'", "Received: list")
    rejects(lambda: model.predict({}), "x has no arrays", "{}")
    rejects(lambda: model.predict({"x": A, "extra": B[:2]}), "All arrays of x need the same number", "[2, 7]")
    rejects(lambda: model.predict({"x": A, "extra": B[:, :2]}), "The input 'b' of the model 'two'", "shape=(7, 2)")
    rejects(lambda: model({"x": A}), "inputs of the model 'two' lacks the input 'extra'")
    y = "y of the model 'two'"
    rejects(lambda: model.fit(GIVEN, {"size": SIZES}), f"{y} lacks the output 'kind'. Received: y for size")
    rejects(lambda: model.fit(GIVEN, {**WANTED, "kin": B}), f"{y}: Unknown output 'kin'. Did you mean 'kind'?")
    rejects(lambda: model.fit(GIVEN, [KINDS, SIZES]), f"{y} must be a dict with the keys 'size', 'kind'", "list")
    rejects(lambda: model.compile("sgd", {"size": "mse"}), "a loss for every output", "Missing: kind")
    (a, b) = inputs("a", "b")
    rejects(lambda: model({"x": a, "extra": None}), "The input 'extra' of the model 'two' is a tensor", error=TypeError)
    rejects(lambda: model({"x": a, "extra": FIXED}), "two expects an input of shape (None, 3)", "shape=(3,)")
    nested = models.Model([[a], b], a * 2.0, name="nested")
    nested.predict([[A], B], verbose=0)
    rejects(lambda: nested.predict([A, [B, B]]), "x[0] of the model 'nested' must be a list of 1 parts")
    rejects(lambda: models.Model({1: a}, a * 2.0), "has strings as keys", "keys=[1]", error=TypeError)
    whole = Tied()(jitnet.Variable(KERNEL), jitnet.Variable(KERNEL))
    rejects(lambda: models.Model(a, whole), "Model expects outputs with a batch axis", "(3, 3)")


# ---- inputs


@pytest.mark.parametrize("size", [{"shape": (3,), "batch_size": 4}, {"batch_shape": (4, 3)}], ids=repr)
def test_a_batch_of_fixed_size(size):
    made = jitnet.Input(**size, name="x")
    assert made.shape == (None, 3) and made.history.layer.batch_size == 4
    model = models.Model(made, layers.Dense(1, name="last")(made), name="fixed")
    model.compile("sgd", "mse")
    x, y = np.tile(A, (2, 1))[:12], np.ones((12, 1))
    model.fit(x, y, verbose=0, validation_data=(x[:4], y[:4]))
    assert model.optimizer.iterations == 3  # the size is the default of batch_size
    assert model.predict(x, verbose=0).shape == (12, 1) and model.predict_on_batch(x[:4]).shape == (4, 1)
    assert model(x[:4]).shape == (4, 1) and model.evaluate(x, y, verbose=0) >= 0
    expected = "The inputs of the model 'fixed' have batches of 4 samples: batch_size must be that, and the number of"
    for call, received in (
        (lambda: model.predict(x[:6]), "batch_size=4, samples=6"),
        (lambda: model.predict(x, batch_size=6), "batch_size=6, samples=12"),
        (lambda: model.predict_on_batch(x[:1]), "batch_size=1, samples=1"),
        (lambda: model(x[:3]), "batch_size=3, samples=3"),
        (lambda: model.fit(x[:11], y[:11], verbose=0), "batch_size=4, samples=11"),
        (lambda: model.fit(x, y, verbose=0, validation_data=(x[:3], y[:3])), "batch_size=3, samples=3"),
        (lambda: model.evaluate(x, y, 3, 0), "batch_size=3, samples=12"),
        (lambda: model.train_on_batch(x, y), "batch_size=12, samples=12"),
        (lambda: model.profile(x, y, 3), "batch_size=3, samples=3"),
    ):
        rejects(call, expected, received)
    config = json.loads(json.dumps(model.get_config()))
    for other in (models.Model.from_config(config), models.clone_model(model), copy.deepcopy(model)):
        rejects(lambda other=other: other.predict(x[:6]), expected)
    again = models.Sequential.from_config(models.Sequential([made, layers.Dense(1)]).get_config())
    rejects(lambda: again.predict(x[:6]), "have batches of 4 samples")
    second = jitnet.Input((3,), batch_size=2)
    rejects(lambda: models.Model([made, second], made + second), "inputs of one batch size", "batch_size=[4, 2]")
    assert jitnet.Input(batch_shape=(None, 3)).history.layer.batch_size is None


def test_other_arguments_of_input():
    from jitnet.core.values import placeholder

    given = placeholder("given", (3,), "int64")
    made = jitnet.Input(tensor=given, name="mine")
    assert made is given and made.name == "mine" and made.history.layer.shape == (3,)
    np.testing.assert_array_equal(models.Model(made, made + 1).predict({"mine": [[1, 2, 3]]}, verbose=0), [[2, 3, 4]])
    rejects(lambda: jitnet.Input(tensor=made), "a symbolic tensor that nothing computes", "SymbolicTensor mine")
    rejects(lambda: jitnet.Input((3,), optional=True), "optional must be False", "optional=True")
    rejects(lambda: jitnet.Input((3,), batch_shape=(2, 3)), "batch_shape, or shape and batch_size")
    rejects(lambda: jitnet.Input(batch_shape=()), "batch_shape to be (batch_size, ...)", "batch_shape=()")
    rejects(lambda: jitnet.Input((3,), batch_size=0), "batch_size to be a positive integer", "batch_size=0")
