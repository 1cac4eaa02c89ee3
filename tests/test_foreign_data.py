"""Data of other libraries: frames and series of pandas and Polars, tensors, PyTorch's DataLoader, CSV files."""

import subprocess
import sys

import numpy as np
import pytest
from small_networks import data, digest, perceptron, two_outputs

import jitnet
from jitnet import layers
from jitnet.targets.cuda import dlpack
from jitnet.utils import csv_dataset

X, Y = data(21)
NAMES = ["a", "b", "c", "d"]


def trained(*arguments, model=perceptron, **options):
    jitnet.utils.set_random_seed(0)
    model = model("adam")
    history = model.fit(*arguments, **{"batch_size": 4, "epochs": 2, "verbose": 0, **options}).history
    return digest(model), history


def named_inputs(optimizer):
    """The sum of dense layers of two named inputs."""
    inputs = {"a": jitnet.Input((1,), name="a"), "b": jitnet.Input((1,), name="b")}
    outputs = {"size": layers.Dense(1, name="first")(layers.Concatenate(name="both")(list(inputs.values())))}
    outputs["kind"] = layers.Dense(2, name="second")(outputs["size"])
    model = jitnet.Model(inputs, outputs, name="named")
    model.compile(optimizer, "mse")
    return model


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame, labels = pandas.DataFrame(X, columns=NAMES, index=np.arange(21)[::-1]), pandas.Series(Y, index=range(5, 26))
    expected = trained(X, Y, sample_weight=np.arange(21.0), validation_data=(X, Y))
    given = {"sample_weight": pandas.Series(np.arange(21)), "validation_data": (frame, labels)}
    assert trained(frame, labels, **given) == expected
    assert trained(frame, labels.to_frame(), **given) == expected
    assert trained(frame.astype({"a": "Float32"}), labels.astype("Int16"), **given) == expected
    model = perceptron()
    np.testing.assert_array_equal(model.predict(frame, verbose=0), model.predict(X, verbose=0))
    np.testing.assert_array_equal(model.predict_on_batch(frame[:3]), model.predict_on_batch(X[:3]))
    assert model.evaluate(frame, labels, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert model.train_on_batch(frame, labels) == perceptron().train_on_batch(X, Y)
    # columns by the names of inputs and outputs, which are no axes of one array
    table = pandas.DataFrame({"b": X[:, 1], "a": X[:, 0], "size": X[:, 2]})
    expected = trained({"a": X[:, 0], "b": X[:, 1]}, {"size": X[:, 2], "kind": X[:, 2:]}, model=named_inputs)
    targets = {"size": table["size"], "kind": frame[["c", "d"]]}
    assert trained(table[["b", "a"]], targets, model=named_inputs) == expected
    assert trained(dict(table[["b", "a"]]), targets, model=named_inputs) == expected
    with pytest.raises(ValueError, match=r"x of the model 'named'.*Unknown input 'size'"):
        named_inputs("sgd").fit(table, targets)
    with pytest.raises(ValueError, match=r"x of the model 'named' lacks the input 'b'"):
        named_inputs("sgd").fit(table[["a"]], targets)

    text = pandas.Series(["x", "y"] * 10 + ["x"])
    for bad, message in (
        (frame.assign(b=frame["b"].where(frame["b"] > -1)), r"x\['b'\] lacks the value of row \d+: use fillna or drop"),
        (frame.assign(b=pandas.array([None] + [1] * 20, "Int64")), r"x\['b'\] lacks the value of row 0"),
        (frame.assign(b=text), r"x\['b'\] must hold numbers: .*StringLookup.* Received: dtype=(str|object)"),
        (frame.assign(b=text.astype(object)), r"x\['b'\] must hold numbers.*Received: dtype=object"),
        (frame.assign(b=text.astype("category").values), r"pass x\['b'\]\.cat\.codes.*Received: dtype=category"),
        (frame.assign(b=pandas.Timestamp(0)), r"x\['b'\] must hold numbers.*Received: dtype=datetime64"),
        (frame[[]], r"x has no columns"),
        (frame.set_axis(["a", "b", "b", "d"], axis=1), r"columns of x need different names\. Received: 'b' twice"),
        (frame[["a", "b"]], r"expects shape \(None, 4\).*Received: shape=\(21, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            perceptron().fit(bad, labels)
    with pytest.raises(ValueError, match=r"y must hold numbers"):
        perceptron().fit(frame, text)
    with pytest.raises(ValueError, match=r"y needs 21 samples, as its x has\. Received: shape=\(20,\)"):
        perceptron().fit(frame, labels[:20])


def test_polars():
    polars = pytest.importorskip("polars")
    frame, labels = polars.DataFrame(X, NAMES), polars.Series("label", Y)
    expected = trained(X, Y, validation_split=0.3)
    assert trained(frame, labels, validation_split=0.3) == expected
    assert trained(frame.with_columns(polars.col("a").cast(polars.Float64)), labels, validation_split=0.3) == expected
    model = two_outputs()
    assert [p.shape for p in model.predict(frame, verbose=0)] == [(21, 1), (21, 3)]
    table = polars.DataFrame({"b": X[:, 1], "a": X[:, 0], "size": X[:, 2]})
    expected = trained({"a": X[:, 0], "b": X[:, 1]}, {"size": X[:, 2], "kind": X[:, 2:]}, model=named_inputs)
    targets = {"size": table["size"], "kind": frame[["c", "d"]]}
    assert trained(table[["b", "a"]], targets, model=named_inputs) == expected
    text = polars.Series("b", ["x", "y"] * 10 + ["x"])
    for bad, message in (
        (frame.with_columns(b=text), r"x\['b'\] must hold numbers: .*StringLookup.* Received: dtype=String"),
        (frame.with_columns(b=text.cast(polars.Categorical)), r"pass x\['b'\]\.to_physical\(\)"),
        (frame.with_columns(b=polars.lit(None, polars.Int8)), r"x\['b'\] lacks the value of row 0: use fill_null"),
        (frame.with_columns(b=polars.lit(np.nan)), r"x\['b'\] lacks the value of row 0: use fill_nan"),
        (frame.with_columns(b=polars.lit([1, 2])), r"x\['b'\] has lists"),
        (frame.lazy(), r"x is a query that was not run: pass x\.collect\(\)\. Received: LazyFrame"),
    ):
        with pytest.raises(ValueError, match=message):
            perceptron().fit(bad, labels)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    expected = trained(X, Y)
    assert trained(x, y) == trained(x.double(), y.int()) == trained(x.T.contiguous().T, y) == expected
    (prepared,) = perceptron()._prepare_inputs(x).values()
    assert prepared.ctypes.data == x.data_ptr()
    for bad, message in (
        (x.clone().requires_grad_(), r"pass x\.detach\(\)\. Received: requires_grad=True"),
        (x.bfloat16(), r"NumPy lacks the dtype of x: pass x\.float\(\)\. Received: torch\.bfloat16"),
        (x.to_sparse(), r"pass x\.to_dense\(\)\. Received: layout=torch\.sparse_coo"),
        (torch.utils.data.TensorDataset(x, y), r"gives single samples: pass torch\.utils\.data\.DataLoader"),
    ):
        with pytest.raises(ValueError, match=message):
            perceptron().predict(bad, verbose=0)


class Foreign:
    """What has DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return dlpack.CPU, 0

    def __dlpack__(self, **options):
        return dlpack.capsule(self.array, self.array.ctypes.data, self.array.shape, self.array.dtype, (dlpack.CPU, 0))


class Unreadable(Foreign):
    def __dlpack__(self, **options):
        raise BufferError("it is elsewhere")


def test_dlpack_of_any_library():
    assert trained(Foreign(X), Foreign(Y)) == trained(X, Y)
    (prepared,) = perceptron()._prepare_inputs(Foreign(X)).values()
    assert prepared.ctypes.data == X.ctypes.data
    with pytest.raises(ValueError, match=r"x can't be read through DLPack: it is elsewhere\. Received: x=Unreadable"):
        perceptron().fit(Unreadable(X), Y)


def test_jax_arrays():
    jax = pytest.importorskip("jax")
    assert trained(jax.numpy.asarray(X), jax.numpy.asarray(Y)) == trained(X, Y)
    with pytest.raises(ValueError, match=r"Convert them: x\.astype\('float32'\)\. Received: dtype=bfloat16"):
        perceptron().fit(jax.numpy.asarray(X, "bfloat16"), Y)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_data_loader():
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

    samples = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))

    class Endless(IterableDataset):
        def __iter__(self):
            return iter(samples)

    expected = trained(X, Y, shuffle=False, validation_data=(X, Y))
    loader = DataLoader(samples, 4)
    for given in (loader, DataLoader(Endless(), 4), DataLoader(samples, 4, num_workers=1)):
        assert trained(given, validation_data=loader) == expected
    model = perceptron()
    model.fit(loader, verbose=0)
    assert model.optimizer.iterations == 6
    np.testing.assert_array_equal(model.predict(loader, verbose=0), model.predict(X, 4, verbose=0))
    alone = DataLoader(TensorDataset(torch.from_numpy(X)), 4)
    np.testing.assert_array_equal(model.predict(alone, verbose=0), model.predict(X, 4, verbose=0))
    shuffled = perceptron()
    shuffled.fit(DataLoader(samples, 4, shuffle=True, generator=torch.Generator().manual_seed(1)), verbose=0)
    assert digest(shuffled) != digest(model)

    class Named(Dataset):
        def __len__(self):
            return 21

        def __getitem__(self, index):
            return {"image": X[index], "label": Y[index]}

    with pytest.raises(ValueError, match=r"lacks targets.*by their keys.*Received: a dict with image, label"):
        perceptron().fit(DataLoader(Named(), 4), verbose=0)
    for bad in (samples, Endless(), Named()):
        with pytest.raises(ValueError, match=r"x gives single samples: pass .*DataLoader\(x, batch_size=32"):
            perceptron().fit(bad, verbose=0)
    with pytest.raises(ValueError, match=r"y must be left out.*Received: x=DataLoader"):
        perceptron().fit(loader, Y)


def test_jitnet_imports_none_of_them():
    code = """
import sys, numpy as np, jitnet
model = jitnet.Sequential([jitnet.Input((4,)), jitnet.layers.Dense(1)])
model.compile("sgd", "mse")
model._prepare(np.zeros((4, 4)), np.zeros(4))
print([name for name in ("pandas", "polars", "pyarrow", "torch", "jax") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- CSV


def written(path, columns, names=True, end="\n"):
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_bytes((end.join([",".join(columns), *lines][not names :]) + end).encode())
    return path


def test_csv(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    columns = {name: X[:, i].astype("float64").tolist() for i, name in enumerate(NAMES)}
    texts = ['"say ""hi"",\nyou"', "x", ""] * 7
    path = written(tmp_path / "table.csv", {"text": texts, "label": Y, **columns}, end="\r\n")
    expected = trained(X, Y, shuffle=False)
    for memory, workers in ((1 << 28, 1), (48 * 100, 1), (48 * 100, 3)):
        made = csv_dataset(path, "label", 4, NAMES, memory=memory, workers=workers)
        assert len(made) == 6 and made.column_names == ["text", "label", *NAMES]
        assert trained(made, shuffle=False) == expected
        assert [y.dtype for _, y in made] == ["int64"] * 6
    first = trained(csv_dataset(path, "label", 4, NAMES, memory=48 * 100))
    assert first == trained(csv_dataset(path, "label", 4, NAMES, memory=48 * 100, workers=3)) != expected
    # several files, without names, with empty lines and true, false
    parts = []
    for i in range(3):
        some = {name: values[7 * i : 7 * i + 7] for name, values in columns.items()}
        parts.append(written(tmp_path / f"{i}.csv", some, names=False))
    parts[1].write_text(parts[1].read_text().replace("\n", "\n\n"))
    made = csv_dataset(parts, "d", 5, column_names=NAMES, header=False)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in made]), X[:, :3])
    np.testing.assert_array_equal(np.concatenate([y for _, y in made]), X[:, 3])
    made = csv_dataset(written(tmp_path / "flags.csv", {"p": ["true", "false"], "q": [1, 2]}), by_column=True)
    assert {name: values.tolist() for name, values in next(iter(made)).items()} == {"p": [1, 0], "q": [1, 2]}
    assert csv_dataset(tmp_path / "0.csv", header=False).column_names == ["0", "1", "2", "3"]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'jitnet\[csv\]'"):
        csv_dataset(path, "label", select_columns=NAMES)


def test_what_is_wrong_in_csv(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "table.csv"

    def made(text, *arguments, **options):
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return list(csv_dataset(path, *arguments, **options))

    for text, message in (
        ("a,b\n1,2\n3,\n", r"table\.csv lacks a finite number in the column 'b', row #2.*Received: nothing"),
        ("a,b\n1,2\n3,inf\n", r"the column 'b', row #2 after the names\. Received: inf"),
        ("a,b\n1,2\n3,4,5\n", r"no table of numbers.*Row #2: Expected 2 columns, got 3"),
        ('a,b\n1,2\n3,"4\n', "quotation mark that is not closed"),
        ("a,b\n", "There are no rows"),
        ("", "has no line with the names"),
        ("a,b\n1,x\n", r"The column 'b' of .* must hold numbers.*select_columns.*Received: 'x'"),
        ("a,b\n1,\n2,\n", "The column 'b' of .* lacks values in all of its first rows"),
        ("a,a\n1,2\n", "need different names"),
        (b"\x1f\x8b\x00\xff", "is no CSV file in UTF-8.*compressed"),
    ):
        with pytest.raises(ValueError, match=message):
            made(text)
    good = "a,b\n" + "1,2\n" * 9 + "3,4\n"
    for options, message in (
        ({"label_name": "c"}, r"Unknown column 'c'"),
        ({"select_columns": ["a", "A"]}, r"Unknown column 'A'"),
        ({"select_columns": ["a"], "label_name": "a"}, "without that of the label"),
        ({"column_names": ["a"]}, r"has 2 columns\. Received: column_names=\['a'\]"),
        ({"field_delim": ", "}, "field_delim to be one character"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"header": "yes"}, "Received: header='yes'"),
        ({"by_column": None}, "Received: by_column=None"),
    ):
        with pytest.raises(ValueError, match=message):
            made(good, **options)
    # past the first block, whose types are known
    with pytest.raises(ValueError, match=r"Row #10: CSV conversion error to double: invalid value 'x'"):
        made(good.replace("3", "x"), memory=48 * 8)
    with pytest.raises(ValueError, match=r"Row #10: CSV conversion error to int64: invalid value '3\.5'"):
        made(good.replace("3", "3.5"), "a", memory=48 * 8)
    dataset = csv_dataset(path, memory=48 * 8)
    path.write_text(good.replace("3,4", "3\n4"))
    with pytest.raises(ValueError, match=r"no table of numbers|has changed since its \d rows from row #\d"):
        list(dataset)
    other = tmp_path / "other.csv"
    other.write_text("b,a\n1,2\n")
    path.write_text(good)
    with pytest.raises(ValueError, match=r"other\.csv needs the columns of the first file, \['a', 'b'\]"):
        csv_dataset([path, other])
    with pytest.raises(ValueError, match=r"Received: file_paths=\[\]"):
        csv_dataset([])
