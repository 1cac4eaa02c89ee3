"""Model files that are damaged, or that lie: nothing is loaded silently wrong, and nothing undocumented is raised."""

import json
import os
import re
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import jitnet
from jitnet import layers, models
from jitnet.layers.base import clear_names

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))
import file_mutants  # noqa: E402


def compiled_model():
    """Of two layers, with an optimizer's state."""
    model = models.Sequential(
        [layers.Input((5,), name="x"), layers.Dense(4, "tanh", name="hidden"), layers.Dense(3, name="output")], name="m"
    )
    optimizer = jitnet.optimizers.Adam(0.01)
    model.compile(optimizer, "mse")
    optimizer.set_state({("m", v): np.ones(v.shape, "float32") for v in model.weights})
    return model


def graph_model():
    x = layers.Input((5,), name="x")
    return models.Model(x, layers.Dense(3, name="hidden")(x) * 2.0, name="graph")


def rewritten(path, change, model=None):
    """Save a model, with a change of its description and the right checksum."""
    (model or compiled_model()).save(path)
    tensors, description = file_mutants._parts(path.read_bytes())
    change(description)
    path.write_bytes(file_mutants._written(json.dumps(description), tensors))


@pytest.mark.skipif(os.name != "posix", reason="the script waits for its processes as POSIX does")
def test_mutants(tmp_path):
    """A few of what ``scripts/fuzz_files.py`` makes; run that with more after changes to what is read."""
    command = [sys.executable, SCRIPTS / "fuzz_files.py", "--mutants", "300", "--others", "100", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "default"})
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(" mutants")[0] for line in lines] == [
        "model: 300 of 300", "npy: 100 of 100", "toml: 100 of 100", "run: 100 of 100", "idx: 100 of 100",
        "idx_gz: 100 of 100", "cifar: 100 of 100", "digits: 100 of 100", "npz: 100 of 100", "cifar100: 100 of 100",
        "texts: 100 of 100", "table: 100 of 100", "checkpoint: 100 of 100",
    ]  # fmt: skip
    assert all(("DataError" if line.startswith("run") else "ValueError") in line for line in lines)
    assert "loaded" in lines[0] and all("read" in line for line in lines[1:] if not line.startswith("digits"))


@pytest.mark.skipif(os.name != "posix", reason="the script waits for its processes as POSIX does")
def test_searched_mutants(tmp_path):
    """Those that Hypothesis chooses; ``scripts/fuzz_files.py --search --minutes 10`` tries more."""
    command = [sys.executable, SCRIPTS / "fuzz_files.py", "--search", "--mutants", "30", "--out", tmp_path]
    done = subprocess.run([*command, "--readers", "model,npy,toml,npz"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("30 of 30 mutants") == 4 and not list(tmp_path.iterdir())


def test_a_search_ends_with_the_smallest_that_is_bad(tmp_path, capsys, monkeypatch):
    import fuzz_files

    class Fussy(file_mutants.Reader):
        def samples(self):
            return [b"1234567890" * 10]

        def read(self, folder, data, rng):
            if len(data) > 100:
                raise ZeroDivisionError("longer than before")
            return "read"

    monkeypatch.chdir(tmp_path)
    reader = Fussy()
    with open("report", "w") as report:
        fuzz_files.search("fussy", reader, reader.samples(), 0, 0, 200, tmp_path / "out", report)
    *_, start, end = Path("report").read_text().splitlines()
    kept = tmp_path / "out" / "fussy-0-0-search"
    assert start == "start 199"
    assert end == f"end 199 BAD ZeroDivisionError: longer than before (the smallest: {kept})"
    assert len(kept.read_bytes()) == 101


# ---- the checksum


def test_every_byte_of_the_header_counts(tmp_path):
    path = tmp_path / "model"
    compiled_model().save(path)
    data = path.read_bytes()
    expected = jitnet.load_model(path)
    size = int.from_bytes(data[:8], "little")
    silent = 0
    for at in range(0, 8 + size, 5):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            model = jitnet.load_model(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            silent += 1
            assert model.get_config() == expected.get_config()
    assert silent < 10  # spaces at its end


def test_another_configuration_of_the_same_weights_is_seen(tmp_path):
    path = tmp_path / "model"
    compiled_model().save(path)
    data = path.read_bytes()
    assert data.count(b'\\"tanh\\"') == 1
    path.write_bytes(data.replace(b'\\"tanh\\"', b'\\"relu\\"'))
    with pytest.raises(ValueError, match="damaged: its values do not match their checksum"):
        jitnet.load_model(path)


@pytest.mark.parametrize("change", [{"weights/hidden/bias": "weights/hidden/bia"}, "float64", (4, 1)])
def test_names_dtypes_and_shapes_are_seen(tmp_path, change):
    path = tmp_path / "model"
    compiled_model().save(path)
    data = path.read_bytes()
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    tensors = safetensors.numpy.load(data)
    bias = tensors.pop("weights/hidden/bias")
    if isinstance(change, dict):
        tensors["weights/hidden/bia"] = bias
    else:
        tensors["weights/hidden/bias"] = bias.astype(change) if isinstance(change, str) else bias.reshape(change)
    path.write_bytes(safetensors.numpy.save(tensors, metadata=metadata))
    with pytest.raises(ValueError, match="checksum"):
        jitnet.load_model(path)


def test_files_of_the_first_format(tmp_path):
    path = tmp_path / "model"
    model = compiled_model()
    model.save(path)
    path.write_bytes(file_mutants._as_format_1(path.read_bytes()))
    loaded = jitnet.load_model(path)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.optimizer.state().keys() == {("m", v) for v in loaded.weights}
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match="checksum"):
        jitnet.load_model(path)


# ---- descriptions that ask for too much


def ask_for_units(description):
    description["model"]["config"]["layers"][0]["config"]["units"] = 2**31 - 1


def ask_for_inputs(description):
    description["model"]["config"]["input"]["shape"] = [2**31 - 1]


def ask_for_channels_without_weights(description):
    normalisation = {"class_name": "BatchNormalization", "config": {"name": "n", "scale": False, "center": False}}
    description["model"]["config"]["layers"].insert(0, normalisation)
    description["model"]["config"]["input"]["shape"] = [2**31 - 1]


@pytest.mark.parametrize("change", [ask_for_units, ask_for_inputs, ask_for_channels_without_weights])
def test_weights_that_the_file_does_not_hold(tmp_path, change):
    path = tmp_path / "model"
    rewritten(path, change)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="weights have 39 elements in all, fewer than the model"):
            jitnet.load_model(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_models_that_double_at_every_level(tmp_path):
    """30 models in one another, each of which uses the next one twice: 1,000 million operations in 10 kB."""
    path = tmp_path / "model"
    described = {"name": "x", "shape": [2], "dtype": "float32"}
    model = {"class_name": "Activation", "config": {"name": "a", "activation": "tanh"}}
    for level in range(30):
        model = {
            "class_name": "Model",
            "config": {
                "name": f"m{level}", "trainable": True, "inputs": [described], "layers": [model],
                "nodes": [
                    {"inputs": {"tensor": ["input", 0]}, "layer": 0},
                    {"inputs": {"tensor": ["node", 0, 0]}, "layer": 0},
                ],
                "outputs": [{"tensor": ["node", 1, 0]}], "several": [False, False],
            },
        }  # fmt: skip
    rewritten(path, lambda description: description.update(model=model, compile=None))
    with pytest.raises(ValueError, match="more than 20,000 operations"):
        jitnet.load_model(path)


class Headless(models.Model):
    """Keeps one layer of a larger model, whose other weights are not saved."""

    def __init__(self, units=2000, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.part = models.Sequential([layers.Input((5,)), layers.Dense(3), layers.Dense(units)]).layers[0]

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    def call(self, inputs):
        return self.part(inputs)


def test_constructors_of_users_may_make_more(tmp_path):
    path = tmp_path / "model"
    model = Headless()
    model.compute_output_shape((None, 5))
    model.save(path)
    assert len(jitnet.load_model(path, {"Headless": Headless}).get_weights()) == 2
    rewritten(path, at("model", "config", "units", value=2**30), model)
    with pytest.raises(ValueError, match="weights have 18 elements in all, fewer than the model"):
        jitnet.load_model(path, {"Headless": Headless})


# ---- descriptions that are wrong


def at(*keys, value):
    def change(description):
        for key in keys[:-1]:
            description = description[key]
        if value is KeyError:
            del description[keys[-1]]
        else:
            description[keys[-1]] = value

    return change


LAYERS = ("model", "config", "layers")
WRONG = [
    (at("weights", value=5), "description.weights must be a list"),
    (at("weights", 1, value="hidden/kernel"), "two of its weights have one name"),
    (at("weights", 0, value="\ud800"), "doesn't list"),
    (at("format_version", value="2"), "format_version must be a whole number"),
    (at("format_version", value=True), "format_version must be a whole number"),
    (at("model", value=[]), "description.model must be a dict"),
    (at("model", value=KeyError), "weights alone"),
    (at("floatx", value="float16"), "floatx must be one of"),
    (at("random_streams", value=[1]), "cannot be made"),
    (at("random_streams", value=[-1]), r"random_streams\[0\] must be a whole number"),
    (at("random_streams", value=[2**32]), r"random_streams\[0\] must be a whole number"),
    (at("iterations", value=-1), "iterations must be a whole number from 0"),
    (at("iterations", value=2**60), "iterations must be a whole number from 0"),
    (at("iterations", value=True), "iterations must be a whole number from 0"),
    (at("iterations", value=KeyError), "lacks 'iterations'"),
    (at("compile", "loss_weights", value=[float("nan")]), "finite number"),
    (at("compile", "jit_compile", value=[]), "jit_compile must be"),
    (at("compile", "metrics", value=None), "metrics must be a list"),
    (at("compile", "optimizer", "config", "learning_rate", value=-1.0), "finite and not negative"),
    (at("compile", "optimizer", "config", "x", value=1), "TypeError"),
    (at("compile", "losses", 0, "class_name", value="Dense"), "Unknown loss 'Dense'"),
    (at("inputs", value=[{"name": "x"}]), r"inputs\[0\] lacks 'shape'"),
    (at(*LAYERS, value={}), "layers must be a list"),
    (at(*LAYERS, 0, "class_name", value=None), "class_name must be a string"),
    (at(*LAYERS, 0, "class_name", value="Layer"), "Unknown layer 'Layer'"),
    (at(*LAYERS, 0, "config", value=7), "TypeError"),
    (at(*LAYERS, 0, "config", "units", value=[4]), "units"),
    (at(*LAYERS, 0, "config", "dtype", value="int8"), "dtype"),
    (at(*LAYERS, 0, "config", "dtype", value=["float32"]), "dtype"),
    (at("model", "config", "input", "shape", value=[-5]), "shape"),
    (at("model", "config", "name", value=KeyError), "lacks 'name'"),
    (at("model", "class_name", value="Dense"), "cannot be made"),
]  # fmt: skip
NODES = ("model", "config", "nodes")
WRONG_GRAPH = [
    (at(*NODES, 0, "inputs", value={"tensor": ["node", 0, 0]}), r"nodes\[0\].inputs.tensor must be"),
    (at(*NODES, 0, "inputs", value={"tensor": ["input", 9]}), r"nodes\[0\].inputs.tensor must be"),
    (at(*NODES, 0, "layer", value=-1), r"nodes\[0\].layer must be a whole number"),
    (at(*NODES, 1, "operation", value="Binary"), "operation must be a dict"),
    (at("model", "config", "outputs", 0, value={"tensor": ["node", 1, 7]}), "IndexError"),
    (at("model", "config", "outputs", value=[]), "outputs must be one"),
    (at("model", "config", "structures", value=[]), "structures must be two"),
    (at("model", "config", "structures", value=[0, [0, 0]]), "structures must be a structure of the numbers"),
    (at("model", "config", "structures", value=[True, 0]), "structures must be a structure of the numbers"),
    (at("model", "config", "structures", value=KeyError), "lacks 'several'"),
    (at("input_structure", value=[1]), "input_structure must be a structure"),
    (at("model", "config", "inputs", 0, "batch_size", value=0), "batch_size must be a whole number"),
    (at(*NODES, 0, "inputs", value={"constant": [1], "value": 2}), "with one of 'tensor', 'constant'"),
    (at(*NODES, 0, "inputs", value={"value": [1]}), "inputs.value must be a number, a string"),
    (at(*NODES, 0, "inputs", value={"constant": [1.0], "dtype": "object"}), "dtype must be one of"),
    (at(*NODES, 0, "inputs", value={"tuple": {"value": 1}}), "inputs.tuple must be a list"),
    (at(*NODES, 0, "inputs", value={"dict": []}), "inputs.dict must be a dict"),
    (at(*NODES, 0, "inputs", value={"weight": [1, 0]}), r"weight must be \[layer from 0 to 0"),
    (at(*NODES, 0, "inputs", value={"weight": [0, 7]}), "IndexError"),
    (at(*NODES, 0, "arguments", value={"value": 1}), r"nodes\[0\].arguments must be a list"),
    (at(*NODES, 0, "arguments", value=[{"value": 1}]), "too many positional arguments"),
    (at(*NODES, 0, "keywords", value=[]), r"nodes\[0\].keywords must be a dict"),
    (at(*NODES, 0, "keywords", value={"mask": {"tensor": ["node", 0, 0]}}), r"keywords\[0\].tensor must be"),
    (at(*NODES, 0, "keywords", value={"mask": {"value": None}}), "has no argument 'mask'"),
    (at(*NODES, 0, "keywords", value={"training": {"value": True}}), "keywords must be without 'training'"),
]


def message_of(path, change, model):
    rewritten(path, change, model)
    with pytest.raises(ValueError) as raised:
        jitnet.load_model(path)
    assert type(raised.value) is ValueError
    return str(raised.value)


@pytest.mark.parametrize("kind", ["sequential", "graph"])
def test_wrong_descriptions_name_the_place(tmp_path, kind):
    make, cases = (compiled_model, WRONG) if kind == "sequential" else (graph_model, WRONG_GRAPH)
    for change, expected in cases:
        message = message_of(tmp_path / "model", change, make())
        assert re.search(expected, message), (expected, message)
        assert str(tmp_path / "model") in message


def test_the_input_of_a_sequential_model_is_there_twice(tmp_path):
    """Once in its own configuration, where it is missing."""
    path = tmp_path / "model"
    rewritten(path, at("model", "config", "input", value=None))
    model, x = compiled_model(), np.ones((2, 5), "float32")
    model.set_weights(jitnet.load_model(path).get_weights())
    np.testing.assert_array_equal(jitnet.load_model(path).predict(x, verbose=0), model.predict(x, verbose=0))


def test_json_that_no_parser_likes(tmp_path):
    path = tmp_path / "model"
    compiled_model().save(path)
    tensors, description = file_mutants._parts(path.read_bytes())
    text = json.dumps(description)
    for broken in ("[" * 200_000, text[:-1], text.replace('"weights"', '"x": ' + "9" * 9000 + ', "weights"'),
                   text.replace('"weights"', '"weights": [], "weights"'), "null", '"x"'):  # fmt: skip
        path.write_bytes(file_mutants._written(broken, tensors))
        for load in (jitnet.load_model, compiled_model().load_weights):
            with pytest.raises(ValueError, match="is damaged") as raised:
                load(path)
            assert type(raised.value) is ValueError


def test_headers_that_lie_about_size(tmp_path):
    path = tmp_path / "model"
    compiled_model().save(path)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    lies = [struct.pack("<Q", n) + data[8:] for n in (0, size - 1, size + 1, len(data), 2**40, 2**64 - 1)]
    for dtype, shape in (("F32", [2**35]), ("F32", [0, 2**62]), ("F8_E4M3", [16]), ("BF16", [8]), ("F32", [1] * 60)):
        changed = json.loads(json.dumps(header))
        changed["weights/hidden/bias"].update(dtype=dtype, shape=shape)
        text = json.dumps(changed).encode()
        lies.append(struct.pack("<Q", len(text)) + text + data[8 + size :])
    for lie in lies:
        path.write_bytes(lie)
        for load in (jitnet.load_model, compiled_model().load_weights):
            with pytest.raises(ValueError, match="damaged") as raised:
                load(path)
            assert type(raised.value) is ValueError


def test_values_of_another_kind_are_no_weights(tmp_path):
    path = tmp_path / "model"
    compiled_model().save(path)
    tensors, description = file_mutants._parts(path.read_bytes())
    model = compiled_model()
    before = model.get_weights()
    for name, value in (("hidden/kernel", before[0].astype("float64")), ("output/bias", np.zeros(3, "float16"))):
        path.write_bytes(file_mutants._written(json.dumps(description), {**tensors, f"weights/{name}": value}))
        model.load_weights(path)

    class Counter(layers.Layer):
        def build(self, input_shape):
            self.count = self.add_weight((3,), "zeros", dtype="int64", trainable=False, name="count")

        def call(self, inputs):
            return inputs * 1.0

    counter = models.Sequential([layers.Input((3,)), Counter(name="counter")])
    counter.save_weights(path)
    tensors, description = file_mutants._parts(path.read_bytes())
    path.write_bytes(file_mutants._written(json.dumps(description), {"weights/counter/count": np.ones(3, "float32")}))
    with pytest.raises(ValueError, match=r"counter/count .* expects values of dtype int64.*dtype=float32"):
        counter.load_weights(path)


# ---- whose fault it is


def test_what_a_users_class_raised_stays_visible(tmp_path):
    class Picky(layers.Layer):
        wanted = "right"

        def __init__(self, table, **kwargs):
            super().__init__(**kwargs)
            self.table = table
            self.value = {"right": 1}[table]

        def call(self, inputs):
            return inputs * self.value

        def get_config(self):
            return {**super().get_config(), "table": self.table}

    path = tmp_path / "model"
    model = models.Sequential([layers.Input((5,)), Picky("right", name="picky")])
    rewritten(path, at("model", "config", "layers", 0, "config", "table", value="wrong"), model)
    with pytest.raises(ValueError, match="KeyError: 'wrong'") as raised:
        jitnet.load_model(path, {"Picky": Picky})
    assert isinstance(raised.value.__cause__, KeyError)


def test_a_load_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "model"

    def change(description):
        description["floatx"] = "float64"
        inner = description["model"]["config"]["layers"]
        inner[0]["config"].pop("name")
        inner[1]["config"]["units"] = 4

    def made_after(attempt):
        clear_names()
        jitnet.utils.set_random_seed(3)
        if attempt:
            with pytest.raises(ValueError, match="cannot be made"):
                jitnet.load_model(path)
        model = models.Sequential([layers.Input((5,)), layers.Dense(4), layers.Dropout(0.5)])
        return jitnet.floatx(), [layer.name for layer in model.layers], model.get_weights()[0].tobytes()

    rewritten(path, change)
    assert made_after(True) == made_after(False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_rights(tmp_path):
    path = tmp_path / "model"
    compiled_model().save(path)
    path.chmod(0)
    with pytest.raises(PermissionError):
        jitnet.load_model(path)
