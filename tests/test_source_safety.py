"""Nothing that a user or a file says becomes code: payloads in files, odd names, bad arguments of operations."""

import ast
import builtins
import inspect
import itertools
import keyword
import os
import re

import numpy as np
import pytest
import saved_models
from saved_models import changed, fields, read, write

import jitnet
from jitnet import initializers, layers, losses, metrics, ops, optimizers, regularizers, schedules
from jitnet.core.operations import (
    attention,
    augmentation,
    base,
    batch,
    comparison,
    convolution,
    cumulative,
    dense,
    elementwise,
    indexed,
    matrices,
    normalization,
    random,
    recurrent,
    reduction,
    resize,
    shape,
    softmax,
    strided,
    transposed,
)
from jitnet.core.operations import losses as losses_operations
from jitnet.core.program import Scalar
from jitnet.core.values import SymbolicTensor
from jitnet.kernels import literals
from jitnet.kernels.cpu import metrics as metric_kernels
from jitnet.kernels.cpu import reduction as reduction_kernels
from jitnet.kernels.cpu.fast import pointwise
from jitnet.kernels.cpu.fast.column_sums import bias_add_backward_kernel
from jitnet.kernels.cpu.runtime.dispatchers import (
    numba,  # with jitnet's settings, which must come before the first import
)
from jitnet.layers.base import REGISTRY as LAYERS

PAYLOADS = [
    'm"""\nimport pathlib; pathlib.Path("x").touch()\n"""',
    "m'\nimport pathlib; pathlib.Path('x').touch()\n'",
    "m\\",
    "\nimport pathlib; pathlib.Path('x').touch()\n#",
    ");import os#",
    '__import__("pathlib").Path("x").touch()',
]

NAMES = [
    '"', 'a"""b', "\\x", "\\0", "a\\d", "a\nb", "\0", "²", "class", "match", "batch", "min", "step", "range", "float32",
    "x", "view", "parameters", "learning_rate", "block_gradients", "a" * 10_000, "a" * 9_999 + "b", "µ", "μ", "größe",
    "слой", "🙂", "1", "_", "tanh", "relu_forward", "'); import os #", "{0}", "%s",
]  # fmt: skip


# ---- the source, word by word

STATEMENTS = (
    ast.ImportFrom, ast.alias, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.AugAssign, ast.Expr, ast.For,
)  # fmt: skip
EXPRESSIONS = (
    ast.Call, ast.Name, ast.Load, ast.Store, ast.Constant, ast.Tuple, ast.Subscript, ast.Slice, ast.BinOp, ast.Add,
    ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.UnaryOp, ast.USub,
)  # fmt: skip
MODULES = r"numpy|jitnet\.kernels\.cpu\.((fast|runtime)\.)?[a-z_0-9]+|k_[0-9a-f]{24}"


def check_source(source: str, functions=()) -> ast.Module:
    """Nothing but arithmetic and calls of kernels and of the source's own functions; one string, the docstring.

    functions: names that are defined elsewhere.
    """
    tree = ast.parse(source)
    docstring, *body = tree.body
    assert source.isascii() and all(line.isprintable() for line in source.split("\n"))
    assert isinstance(docstring.value.value, str) and docstring.lineno == docstring.end_lineno == 1
    known = {"min", "range", "compile_function", "compile_part", *functions}
    for node in body:
        if isinstance(node, ast.ImportFrom):
            assert re.fullmatch(MODULES, node.module) and not node.level
            known |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef):
            known.add(node.name)
        else:
            assert ast.unparse(node) == "step_compiled = compile_function(step)"
    for node in (node for part in body if not isinstance(part, ast.Assign) for node in ast.walk(part)):
        assert isinstance(node, (*STATEMENTS, *EXPRESSIONS)), ast.dump(node)
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name) and not node.keywords, ast.unparse(node)
            assert node.func.id in {*known, "step_compiled"}, ast.unparse(node)
        if isinstance(node, ast.Constant):
            assert type(node.value) in (bool, int, float), ast.unparse(node)
        if isinstance(node, ast.FunctionDef):
            assert all(isinstance(d, ast.Name) and d.id in known for d in node.decorator_list)
            assert not node.args.defaults and node.returns is None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            assert literals.identifier(node.id) == node.id and node.id not in known
    return tree


def sources(model) -> list[str]:
    custom = model._compiled is None or model.optimizer.needs_loss  # such a step is traced with data
    modes = ["infer"] if custom else ["infer", "train", "evaluate"]
    return [model.step_source(mode) for mode in modes]


# ---- files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, empty, in which a payload would leave a file; nothing is kept if the power fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return tmp_path


def described(model, folder):
    model.save(folder / "model")
    return read(folder / "model")


def loaded(folder, tensors, description):
    write(folder / "model", tensors, description)
    return jitnet.load_model(folder / "model")


def test_the_models_hold_every_part(folder):
    words = set()
    for model in [*saved_models.models().values(), saved_models.every_loss_and_metric()]:
        words |= {value for _, value in fields(described(model, folder)[1]) if isinstance(value, str)}
    parts = [name for name, layer in LAYERS.items() if layer.example is not None] + ["Sequential", "Model"]
    parts += base.REGISTRY
    demands = jitnet.constraints.KNOWN
    for known in (losses.KNOWN, metrics.KNOWN, initializers.KNOWN, regularizers.KNOWN, optimizers._KNOWN, demands):
        parts += [part.__name__ for part in known.values() if part not in (metrics.Mean, metrics.Sum)]  # no targets
    parts += schedules.KNOWN
    assert set(parts) - words == set()


def test_every_loss_and_metric_is_loaded(folder):
    model = saved_models.every_loss_and_metric()
    tensors, description = described(model, folder)
    found = loaded(folder, tensors, description)
    assert read(folder / "model")[1]["compile"] == description["compile"]
    assert len(found.loss) == len(set(losses.KNOWN.values()))
    found.save(folder / "again")
    assert read(folder / "again")[1]["compile"] == description["compile"]


@pytest.mark.parametrize("part", range(4))
def test_no_string_of_a_file_becomes_code(folder, part):
    texts = loads = 0
    for model in list(saved_models.models().values())[part::4]:
        tensors, description = described(model, folder)
        for number, (path, value) in enumerate(fields(description)):
            if not isinstance(value, str):
                continue
            is_key = path[-1] is None  # an unknown key is an unknown argument, whatever it says
            for payload in [PAYLOADS[number % len(PAYLOADS)]] if is_key else PAYLOADS:
                texts += 1
                try:
                    found = loaded(folder, tensors, changed(description, path, payload))
                except ValueError:  # all that load_model may raise
                    continue
                loads += 1
                for source in sources(found):
                    check_source(source)
    assert texts > 1000 and loads > texts // 10  # names may be anything, and must load
    assert os.listdir(folder) == ["model"]


def test_a_model_of_payloads_predicts(folder):
    """The names of the model, its layers, weights and inputs: it runs, and gives what it gave."""
    first = jitnet.Input((4,), name="a")
    model = jitnet.Model(first, layers.Dense(3, "tanh", name="b")(first), name="c")
    x = np.linspace(-1, 1, 20, dtype="float32").reshape(5, 4)
    expected = model.predict(x)
    tensors, description = described(model, folder)
    names = [path for path, value in fields(description) if path[-1] == "name" and value in ("a", "b", "c")]
    assert len(names) == 4  # the input's is there twice
    for path, payload in zip(names, PAYLOADS, strict=False):
        payload = PAYLOADS[0] if path[:3] == ("model", "config", "name") else payload.replace("/", "")
        description = changed(description, path, payload)
    np.testing.assert_array_equal(loaded(folder, tensors, description).predict(x), expected)
    assert os.listdir(folder) == ["model"]


# ---- honest names


def network(names):
    """Layers of the given names one after the other, and the difference of two inputs."""
    left, right = jitnet.Input((3,), name=names[0]), jitnet.Input((3,), name=names[1])
    x = left - right
    for number, name in enumerate(names[2:]):
        if number % 7 == 0:
            layer = layers.Dense(3, "tanh", kernel_initializer=initializers.Identity(1 + number / 8), name=name)
        elif number % 2:
            layer = layers.ReLU(negative_slope=0.5, name=name)
        else:
            layer = layers.Activation("tanh", name=name)
        x = layer(x)
    model = jitnet.Model([left, right], x, name=names[-1])
    model.compile("sgd", "mse")
    return model


def test_names_change_nothing(folder):
    odd = ["µ", "μ", *[name for name in NAMES if name not in "µμ"]]
    plain = [f"name_{number}" for number in range(len(odd))]
    generator = np.random.default_rng(0)
    x = [generator.normal(size=(6, 3)).astype("float32") for _ in range(2)]
    y = generator.normal(size=(6, 3)).astype("float32")
    results = []
    for names in (plain, odd):
        model = network(names)
        for source in sources(model):
            check_source(source)
        before = model.predict(x)
        model.train_on_batch(x, y)
        results.append([before, *model.get_weights()])
    for expected, found in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert np.abs(results[0][0]).max() > 0.1
    model.save(folder / "model")
    np.testing.assert_array_equal(jitnet.load_model(folder / "model").predict(x), model.predict(x))


def test_a_name_of_a_model_is_a_docstring():
    for name in NAMES:
        model = jitnet.Sequential([jitnet.Input((3,), name=name), layers.Dense(2, name=name)], name=name)
        tree = check_source(model.step_source("infer"))
        assert name[:200] in ast.get_docstring(tree, clean=False)


def test_half_a_character_is_no_name():
    for make in (layers.Dense, jitnet.Sequential, jitnet.Input):
        arguments = {layers.Dense: (2,), jitnet.Sequential: ([],), jitnet.Input: ((2,),)}[make]
        with pytest.raises(ValueError, match=r"whole Unicode characters\. Received: name='a\\ud800'"):
            make(*arguments, name="a\ud800")


@numba.njit
def plus_one(x, y):
    y[...] = x + 1


def test_names_of_custom_operations():
    def network(names):
        inputs = jitnet.Input((3,))
        y = ops.relu(ops.sum(inputs, axis=1, keepdims=True)) - inputs
        for name in names:
            function = numba.njit(plus_one.py_func)  # each one another function
            y = ops.CustomOperation(function, name=name)(y)
        model = jitnet.Model(inputs, y)
        step = model._step("predict")
        assert len(step.runner.source.functions) == len(names)
        check_source(step.source, step.runner.source.functions)
        return model

    network([*NAMES, "dense.dense", "shape.copy", "region_1", "forward"])
    names = ["sum", "elementwise.relu", "µ", "μ"]
    x = np.float32([[1, 2, 3], [-1, -2, -3]])
    expected = np.maximum(x.sum(1, keepdims=True), 0) - x + len(names)
    np.testing.assert_array_equal(network(names).predict(x), expected)
    with pytest.raises(ValueError, match=r"CustomOperation expects name to be a string\. Received: name=3"):
        ops.CustomOperation(plus_one, name=3)
    with pytest.raises(ValueError, match=r"output_shape to be a function or None\. Received: output_shape="):
        ops.CustomOperation(plus_one, output_shape=(3,))


def test_names_of_hyperparameters_and_slots():
    names = [*NAMES, *PAYLOADS, "learning-rate", "t", "slot", "gradients", "iterations"]

    def network(name):
        class Mine(optimizers.Optimizer):
            hyperparameter_names, own_slots = (name,), (f"{name} too",)

            def __init__(self):
                optimizers.Optimizer.__init__(self, "mine", **{name: 0.5})

            def update(self, parameter, gradient, **given):
                slot = given[f"{name} too"] + gradient
                return parameter - given[name] * slot, slot

        model = jitnet.Sequential([jitnet.Input((3,), name="x"), layers.Dense(2, kernel_initializer="ones", name="d")])
        model.compile(Mine(), "mse")
        return model

    for name in names:
        for source in sources(network(name)):
            check_source(source)
    x, y = np.float32([[1, 2, 3], [-1, 0, 1]]), np.float32([[1, 2], [3, 4]])
    for name in ("batch", "a b"):
        model = network(name)
        for _ in range(2):
            model.train_on_batch(x, y)
        plain = network("learning_rate")
        plain.compile(optimizers.SGD(0.5, momentum=1.0), "mse")
        for _ in range(2):
            plain.train_on_batch(x, y)
        for found, expected in zip(model.get_weights(), plain.get_weights(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# ---- the one place


def test_identifiers_and_docstrings():
    for text in [*NAMES, *PAYLOADS, "", "\ud800", "\ufb01", "\u212a", "\uff11", '"' * 7, "\\" * 3, '\\"""']:
        name = literals.identifier(text)
        assert name.isascii() and name.isidentifier() and len(name) <= literals.LONGEST_IDENTIFIER
        assert literals.identifier(name) == name
        assert not hasattr(builtins, name) and not keyword.iskeyword(name) and not keyword.issoftkeyword(name)
        docstring = literals.docstring(text)
        assert docstring.isascii() and docstring.isprintable()
        value = ast.literal_eval(docstring)
        assert value == text or (len(text) > 300 and text.startswith(value[:300]))


def test_long_names_stay_apart():
    assert len({literals.identifier("a" * size + end) for size in range(200, 300) for end in "bc"}) == 200


def test_literals():
    values = [True, 7, -3, 0.1, -0.0, 1e300, np.inf, -np.inf, (1, 2), (1,), (), (0.5, (True,))]
    for value in [*values, np.float32(0.1), np.int64(3), np.bool_(True)]:
        found = eval(literals.literal(value), {"__builtins__": {}})
        assert found == value and type(found) is type(getattr(value, "item", lambda v=value: v)())
    assert np.isnan(eval(literals.literal(np.nan), {"__builtins__": {}}))
    for value in ["a", b"a", None, [1], {}, 1j, object(), np.ones(1), ("a",), type("Int", (int,), {})(3)]:
        with pytest.raises(TypeError, match=r"takes numbers only\. Received: "):
            literals.literal(value)
    for text in ["a b", "a.b", "", "1", "class", "a\n", "µ", "a()", None, 3]:
        with pytest.raises(ValueError, match=r"takes names only\. Received: "):
            literals.name(text)


def test_scalars_are_arithmetic():
    t, batch = Scalar("t"), Scalar("batch")
    names = {"t": 7, "batch": 32}
    for scalar, value in (
        (t + 1, 8), (batch * 30, 960), (float("inf") / batch, np.inf), ((t - 3) * 2, 8), (2 * (t / 2), 7.0),
        (((t + 1) % 4).equals(0), True), (1 * t, 7), (batch, 32),
    ):  # fmt: skip
        assert scalar.value(names) == value and scalar.names() <= set(names)
    for text in ("f(x)", "a.b", "'a'", "a; b", "a\nb", "[1]", "(a, b)", "a if b else c", "a + b", "a[b.c]", "", 3):
        with pytest.raises(ValueError, match=r"takes names only\. Received: "):
            Scalar(text)
    for operator in ("if", "; import os #", "+ f(1) +", "", "**", "+ "):
        with pytest.raises(ValueError, match=r"no arithmetic of numbers\. Received: "):
            Scalar(operator, (t, 1))
    for operand in ("a", "f()", None, [1], np.ones(2)):
        with pytest.raises(TypeError, match=r"takes numbers only\. Received: "):
            t + operand


def test_plans_of_kernels_hold_names_and_numbers():
    with pytest.raises(ValueError, match=r"takes names only\. Received: 'a b'"):
        bias_add_backward_kernel("a b")
    for statement in ("v1 = os(x1[i])", "v1 = relu(x1[i]); v2 = 1", "v1 = 'a'", "v1 = relu.x(x1[i])"):
        with pytest.raises(ValueError, match=r"known functions of its arguments\. Received: "):
            pointwise.PointwiseKernel(("relu",), ("x1",), (), (), (statement,))
    with pytest.raises(ValueError, match=r"Received: \['os'\]"):
        pointwise.PointwiseKernel(("os",), ("x1",), (), (), ())


# ---- arguments of operations


def image():
    return SymbolicTensor((None, 4, 6, 2), "float32", "x")


def row(*sizes):
    return SymbolicTensor((None, *sizes), "float32", "x")


NO_INTEGER = [1.5, "1", None, True, [1], 2**40, np.nan]
NO_NUMBER = ["1", None, True, [1], np.nan, 10**400]
NO_BOOLEAN = ["True", None, 2, 0.5, []]
NO_NAME = ["", "relu_forward", PAYLOADS[0], 3, None, ["sum"], {}]
NO_AXES = [(1.5,), ("1",), "1", None, 1, (None,), (2**40,), {1.5: 1}]
NO_PAIR = [0, -1, (1, 0), (1, -1), (1, 1, 1), (1,), 1.5, "11", None, {}, (1, 1.5), (True, 2.5), 2**40]
NO_PADDING = ["full", "", -1, (-1, 0), ((0, 0), (0, -1)), ((0, 0),), ((0, 0, 0), (0, 0)), 1.5, None, ((0, 0), "ab")]
GEOMETRY = {"strides": NO_PAIR, "padding": NO_PADDING}

# {operation: (arguments that do, {argument: values that don't})}
ARGUMENTS = {
    elementwise.Unary: (
        {"function": "elu", "parameters": (1.0,)},
        {"function": NO_NAME, "parameters": [(), (1.0, 2.0), ("1",), (np.nan,), (True,), 1.0, "1", None, {0: 1}]},
    ),
    elementwise.Cast: ({"dtype": "int64"}, {"dtype": ["int8", "", "float99", PAYLOADS[0], None, 3, float]}),
    elementwise.Binary: ({"function": "add"}, {"function": NO_NAME}),
    reduction.Reduction: (
        {"function": "sum", "axis": 1}, {"function": NO_NAME, "axis": NO_INTEGER, "keepdims": NO_BOOLEAN},
    ),
    batch.BatchMax: ({}, {}),
    batch.BatchSum: ({}, {"mean": NO_BOOLEAN}),
    batch.SampleSum: ({}, {"mean": NO_BOOLEAN}),
    shape.Reshape: ({"shape": (3,)}, {"shape": [(-2,), (-1, -1), (1.5,), ("3",), "3", None, 3, {3: 1}, (2**40,)]}),
    shape.Regrouped: (
        {"shape": (3,), "batches": 2},
        {"shape": [(-2,), (-1,), (1.5,), ("3",), "3", None, 3, {3: 1}, (2**40,)], "batches": [*NO_INTEGER, 0, -1]},
    ),
    shape.Concatenate: ({}, {"axis": NO_INTEGER}),
    shape.Slice: (
        {"axis": 1, "start": 0, "stop": 1},
        {"axis": NO_INTEGER, "start": [*NO_INTEGER, -1], "stop": [*NO_INTEGER, 0, -1]},
    ),
    shape.Transpose: ({"axes": (0, 1)}, {"axes": [(0, -1), (0, 1.5), (0, "1"), "01", None, 1]}),
    shape.Pad2D: ({"padding": ((1, 0), (0, 1))}, {"padding": ["valid", *NO_PADDING], "value": NO_NUMBER}),
    recurrent.LSTMSteps: ({}, dict.fromkeys(("initial", "masked", "reverse"), NO_BOOLEAN)),
    recurrent.GRUSteps: ({}, dict.fromkeys(("initial", "masked", "reverse"), NO_BOOLEAN)),
    recurrent.ResetFirstGRUSteps: ({}, dict.fromkeys(("initial", "masked", "reverse"), NO_BOOLEAN)),
    recurrent.SimpleRNNSteps: ({}, dict.fromkeys(("initial", "masked", "reverse", "relu"), NO_BOOLEAN)),
    softmax.Softmax: ({}, {"axis": NO_INTEGER}),
    softmax.LogSoftmax: ({}, {"axis": NO_INTEGER}),
    softmax.Sparsemax: ({}, {"axis": NO_INTEGER}),
    convolution.Conv2D: ({}, {**GEOMETRY, "dilation": NO_PAIR, "groups": [*NO_INTEGER, 0, -1]}),
    convolution.DepthwiseConv2D: ({}, {**GEOMETRY, "dilation": NO_PAIR}),
    transposed.Conv2DTranspose: (
        {"strides": 2},
        {
            **GEOMETRY, "padding": [*NO_PADDING, (1, 1)], "dilation": NO_PAIR,
            "output_padding": [-1, 2, (1, 2), (1, -1), (1, 1, 1), 1.5, "11", {}, 2**40],
        },
    ),
    **dict.fromkeys(
        [resize.ResizeBilinear, resize.ResizeNearest],
        ({"height": 3, "width": 2}, {"height": [*NO_INTEGER, 0, -1], "width": [*NO_INTEGER, 0, -1]}),
    ),
    convolution.MaxPool2D: ({}, {**GEOMETRY, "pool_size": [*NO_PAIR, -2]}),
    convolution.AveragePool2D: ({}, {**GEOMETRY, "pool_size": [*NO_PAIR, -2]}),
    normalization.BatchNorm: (
        {},
        {"momentum": [*NO_NUMBER, -0.1, 1.1], "epsilon": [*NO_NUMBER, -1e-3, np.inf], "training": NO_BOOLEAN},
    ),
    **dict.fromkeys(
        [normalization.LayerNorm, normalization.RMSNorm], ({}, {"epsilon": [*NO_NUMBER, -1e-3, np.inf]})
    ),
    normalization.GroupNorm: (
        {"groups": 1}, {"groups": [*NO_INTEGER, 0, -1], "epsilon": [*NO_NUMBER, -1e-3, np.inf]},
    ),
    random.Dropout: (
        {"rate": 0.5},
        {"rate": [*NO_NUMBER, -0.1, 1.0], "seed": [-1, 1.5, "1", True, 2**63], "stream": [-1, *NO_INTEGER]},
    ),
    random.RandomValues: (
        {"distribution": "normal", "shape": (3,)},
        {
            "distribution": NO_NAME, "shape": [(-1,), (1.5,), ("3",), "3", None, 3, {3: 1}, (2**40,)],
            "a": [*NO_NUMBER, np.inf], "b": [*NO_NUMBER, np.inf], "dtype": ["int8", "float16", PAYLOADS[0], 3],
            "batched": NO_BOOLEAN, "seed": [-1, 1.5, "1", True, 2**63], "stream": [-1, *NO_INTEGER],
            "batches": [*NO_INTEGER, 0],
        },
    ),
    # random changes of pictures
    augmentation.AffineTransforms: (
        {"size": 3, "out_size": 3}, {"size": NO_PAIR, "out_size": NO_PAIR, "same_zoom": NO_BOOLEAN},
    ),
    augmentation.PerspectiveTransforms: ({"size": 3}, {"size": NO_PAIR}),
    augmentation.Resample: (
        {"size": 3},
        {"size": NO_PAIR, "fill_mode": NO_NAME, "interpolation": NO_NAME, "fill_value": [*NO_NUMBER, np.inf]},
    ),
    augmentation.FlipPictures: ({}, {"horizontal": NO_BOOLEAN, "vertical": NO_BOOLEAN}),
    augmentation.Crop: ({"size": 3}, {"size": NO_PAIR, "padding": [*NO_INTEGER, -1]}),
    augmentation.AdjustColour: (
        {"kinds": ("grey",)}, {"kinds": [None, 3, "grey", ("gray",), (3,), (PAYLOADS[0],)], "limited": NO_BOOLEAN},
    ),
    augmentation.GaussianBlur: ({"size": 3}, {"size": [*NO_PAIR, 2]}),
    augmentation.Erase: ({}, {}),
    losses_operations.Accuracy: (
        {"kernel": "binary_accuracy", "parameters": (0.5,)},
        {"kernel": [*NO_NAME, "first_largest"], "parameters": [(), (1.0, 2.0), ("1",), (np.nan,), 1.0, None]},
    ),
    losses_operations.CTC: ({}, {}),
    losses_operations.CircleLoss: (
        {}, {"gamma": [*NO_NUMBER, -1.0], "margin": [*NO_NUMBER, -0.1, 1.1], "remove_diagonal": NO_BOOLEAN},
    ),
    # comparisons, strides, indices and products of matrices
    comparison.Compare: ({"function": "less"}, {"function": NO_NAME}),
    cumulative.Cumulative: ({"function": "cumsum", "axis": 1}, {"function": NO_NAME, "axis": NO_INTEGER}),
    indexed.Take: ({}, {"axis": NO_INTEGER, "negative": NO_BOOLEAN}),
    indexed.TakeAlongAxis: ({}, {"axis": NO_INTEGER}),
    indexed.ArgMax: ({}, {"axis": NO_INTEGER, "keepdims": NO_BOOLEAN}),
    indexed.ArgSort: ({}, {"axis": NO_INTEGER}),
    shape.ExpandDims: ({"axes": (1,)}, {"axes": NO_AXES}),
    shape.Squeeze: ({"axes": (1,)}, {"axes": NO_AXES}),
    shape.Filled: (
        {"shape": (3,)},
        {
            "shape": [(0,), (1.5,), "3", None, 3], "value": NO_NUMBER[:4], "batches": [*NO_INTEGER, 0],
            "dtype": ["int8", "float16", PAYLOADS[0], 3],
        },
    ),
    shape.Joined: ({}, {}),
    shape.Part: ({"start": 0, "stop": 1}, {"start": [*NO_INTEGER, -1], "stop": [*NO_INTEGER, 0]}),
    strided.Index: (
        {"slices": ((0, 2, 1),)},
        {"slices": [((0, 2),), ((0, 2, 0),), ((0, "2", 1),), ((0, 1.5, 1),), "abc", None, 3, (3,), {0: 1}]},
    ),
    strided.Flip: ({"axes": (1,)}, {"axes": NO_AXES}),
    strided.BroadcastTo: (
        {"shape": (3,)},
        {"shape": [(0,), (1.5,), "3", None, 3], "batched": NO_BOOLEAN, "batches": [*NO_INTEGER, 0]},
    ),
    strided.Tile: ({"repeats": (2,)}, {"repeats": [(0,), (1.5,), "3", None, 3, (-1,)]}),
    strided.Repeat: ({"repeats": 2, "axis": 1}, {"repeats": [*NO_INTEGER, 0, -1], "axis": NO_INTEGER}),
    strided.Diagonal: ({}, {"offset": NO_INTEGER, "axis1": NO_INTEGER, "axis2": NO_INTEGER}),
    strided.Pad: (
        {"padding": ((1, 0),)},
        {"padding": [((-1, 0),), ((1,),), "ab", None, 3, ((1.5, 0),), (("a", 0),), {0: 1}], "value": NO_NUMBER},
    ),
    **dict.fromkeys([comparison.Select, matrices.MatrixProduct, shape.StopGradient], ({}, {})),
    dense.BiasAdd: ({}, {}),
    dense.Matmul: ({}, {"summed": [*NO_INTEGER, 0, -1, 33]}),
    attention.DotProductAttention: (
        {"scale": 0.5},
        {
            "scale": [*NO_NUMBER, np.inf], "causal": NO_BOOLEAN, "mean": NO_BOOLEAN, "rate": [*NO_NUMBER, -0.1, 1.0],
            "seed": [-1, 1.5, "1", True, 2**63], "stream": [-1, *NO_INTEGER],
        },
    ),
    **dict.fromkeys([convolution.GlobalAveragePool2D, convolution.GlobalMaxPool2D], ({}, {})),
    **{cls: ({}, {}) for cls in base.REGISTRY.values() if issubclass(cls, losses_operations.RowLoss)},
}  # fmt: skip


def test_every_argument_of_every_operation_has_bad_values():
    assert set(ARGUMENTS) == set(base.REGISTRY.values())
    for cls, (given, bad) in ARGUMENTS.items():
        own = set() if cls.__init__ is object.__init__ else set(inspect.signature(cls).parameters)
        assert set(bad) == own, cls
        assert set(given) <= own
        cls(**given)


def test_the_registry_holds_what_a_file_may_hold():
    class Mine(base.Operation):
        pass

    bases = {convolution.Windowed, convolution.Pool2D, resize.Resize2D}
    assert not {Mine, ops.CustomOperation, *bases} & set(base.REGISTRY.values())
    assert set(losses_operations.SCORES) == {name for name in vars(metric_kernels) if "accuracy" in name}
    for name in losses_operations.SCORES:
        parameters = list(inspect.signature(getattr(metric_kernels, name)).parameters)
        assert len(parameters) == 3 + len(losses_operations.SCORES[name])
    assert all(hasattr(reduction_kernels, f"{name}_forward") for name in reduction.FUNCTIONS)


@pytest.mark.parametrize("cls", ARGUMENTS, ids=lambda cls: cls.__name__)
def test_arguments_of_operations(cls):
    given, bad = ARGUMENTS[cls]
    for argument, values in bad.items():
        for value in values:
            with pytest.raises(ValueError, match="Received: ") as caught:
                cls(**{**given, argument: value})
            # the parameters of a score and of a distribution have names of their own
            own = {"parameters": "threshold", "a": "expects mean", "b": "expects stddev"}
            names = (argument, own[argument]) if argument == "parameters" else (own.get(argument, argument),)
            assert any(name in str(caught.value) for name in names), (argument, value)


WRONG_SHAPES = {
    "kernel of rank 3": (lambda: convolution.Conv2D()(image(), np.ones((3, 3, 2))), "expects a kernel"),
    "kernel with a batch": (lambda: convolution.Conv2D()(image(), image()), "without a batch axis"),
    "depthwise kernel of rank 2": (lambda: convolution.DepthwiseConv2D()(image(), np.ones((3, 3))), "expects a kernel"),
    "transposed kernel": (
        lambda: transposed.Conv2DTranspose()(image(), np.ones((3, 3, 2, 4))),
        "height, width, filters, 2",
    ),
    "gamma": (lambda: batch_norm(gamma=2), "gamma of shape .3,..*Received: gamma of shape .2,."),
    "beta": (lambda: batch_norm(beta=2), "beta of shape .3,..*Received: beta of shape .2,."),
    "moving mean": (lambda: batch_norm(moving_mean=1), "moving_mean of shape .3,"),
    "moving variance": (lambda: batch_norm(moving_variance=4), "moving_variance of shape .3,"),
    "layer's gamma": (lambda: ops.layer_normalization(row(3), np.ones(2)), "gamma of shape .2,."),
    "layer's beta": (lambda: ops.layer_normalization(row(3), np.ones(3), np.ones(2)), "gamma and beta of one shape"),
    "layer without a batch": (lambda: normalization.RMSNorm()(np.ones(3), np.ones(3)), "a batch axis"),
    "group's gamma": (lambda: normalization.GroupNorm(1)(image(), np.ones(9), np.ones(9)), "gamma of shape .9,."),
    "groups": (lambda: normalization.GroupNorm(5)(row(3), np.ones(3), np.ones(3)), "3 channels.*groups=5"),
    "bias": (lambda: ops.bias_add(row(3), np.ones(2)), "bias of shape .3,"),
    "bias of no channels": (lambda: ops.bias_add(row(), np.ones(2)), "bias of shape"),
    "bias with a batch": (lambda: ops.bias_add(row(), row()), "bias of shape"),
    "recurrent input": (lambda: recurrent.LSTMSteps()(row(8), np.ones((2, 8))), "batch, steps, 4 x units"),
    "recurrent kernel": (
        lambda: recurrent.GRUSteps()(ops.reshape(row(12), (-1, 2, 6)), np.ones((2, 8)), np.ones(6)),
        "recurrent_kernel .2, 6..*shape=.2, 8",
    ),
    "recurrent candidate": (
        lambda: recurrent.ResetFirstGRUSteps()(
            ops.reshape(row(8), (-1, 2, 4)), ops.reshape(row(6), (-1, 2, 3)), np.ones((2, 4)), np.ones((2, 2))
        ),
        "z_candidate .None, 2, 2..*shape=.None, 2, 3",
    ),
    "recurrent states": (
        lambda: recurrent.LSTMSteps(True)(ops.reshape(row(16), (-1, 2, 8)), np.ones((2, 8)), row(2), row(3)),
        "c_first .None, 2..*shape=.None, 3",
    ),
    "recurrent inputs": (lambda: recurrent.SimpleRNNSteps()(row(3)), "other inputs"),
    "no tensors": (lambda: shape.Concatenate()(), "at least one tensor"),
    "labels that are no integers": (lambda: losses_operations.SparseCrossEntropy()(row(3), row()), "dtype int64"),
}  # fmt: skip


def batch_norm(**sizes):
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return normalization.BatchNorm()(row(3), *(np.ones(sizes.get(name, 3)) for name in names))


@pytest.mark.parametrize("case", WRONG_SHAPES)
def test_shapes_that_do_not_fit(case):
    call, message = WRONG_SHAPES[case]
    with pytest.raises(ValueError, match=message):
        call()


# ---- numbers of a file

# {model of saved_models: {key: values}}: any number under the key, or in a list under it
NUMBERS = {
    "Conv2D": {
        "strides": [0, -1, 1.5, "1"], "kernel_size": [0, -3], "filters": [0, -4, 2**40], "groups": [0, -1, 3],
        "dilation_rate": [0, -1], "shape": [0, -5, 2**40, 1.5, "5"], "padding": ["full", [[-1, 0], [0, 0]]],
        "use_bias": ["x", 3], "dtype": ["float99", "int8", "m"],
    },
    "DepthwiseConv2D": {"strides": [0], "depth_multiplier": [0, -1], "dilation_rate": [0]},
    "MaxPooling2D": {"pool_size": [-2, 0], "strides": [0, -1]},
    "AveragePooling2D": {"pool_size": [-2, 0], "strides": [0, -1]},
    "GlobalMaxPooling2D": {"keepdims": ["x"]},
    "ZeroPadding2D": {"padding": [-1, 1.5, 2**40]},
    "BatchNormalization": {"momentum": [7, -1, "x"], "epsilon": [-1, "x"], "axis": [0, "x", 0.5, 9], "scale": ["x"]},
    # normalisation, regularising layers
    "LayerNormalization": {"epsilon": [-1, "x"], "axis": [0, "x", 0.5, 9], "center": ["x"]},
    "GroupNormalization": {"groups": [0, -2, 3, "x"], "axis": [0, "x", 9]},
    "Normalization": {"axis": [0, "x", 9], "mean": ["x", 1.0], "variance": ["x", 1.0], "invert": ["x"]},
    "MinMaxScaling": {"minimum": ["x", None], "feature_range": [[1], [2, 1], ["x", 3]]},
    "Rescaling": {"scale": ["x", None], "offset": ["x"]},
    "AlphaDropout": {"rate": [1, "x"], "noise_shape": [3, [5], [None, "x"], [None, 2]]},
    "GaussianNoise": {"stddev": [-1, "x"], "seed": [-1]},
    "Repeat": {"n": [0, "x"], "return_intermediates": ["x"]},
    "SpectralNormalization": {"power_iterations": [0, "x"]},
    "Dropout": {"rate": [1, -1, "x"], "seed": [-1, "x", 0.5]},
    "Dense": {
        "units": [0, -1, "x", 2**40], "first_decay_steps": [0, -1, "x"], "t_mul": [0.5, "x"], "alpha": ["x"],
        "trainable": ["x", 3, None], "loss_weights": [["x"], [[0.5]]],
    },
    "Conv1D": {"strides": [0], "kernel_size": [0, -1], "groups": [0, -1], "dilation_rate": [0], "padding": ["x"]},
    "Conv2DTranspose": {"strides": [0], "output_padding": [-1, 3, 1.5], "dilation_rate": [0], "padding": ["causal"]},
    "SeparableConv2D": {"depth_multiplier": [0, -1], "filters": [0, "x"]},
    "MaxPooling1D": {"pool_size": [-2, 0], "strides": [0, -1]},
    "UpSampling2D": {"size": [0, -1, 1.5], "interpolation": ["x", "bicubic"]},
    "Cropping2D": {"cropping": [-1, 1.5, 99]},
    "Resizing": {"height": [0, "x"], "fill_value": ["x"], "crop_to_aspect_ratio": [True, "x"]},
    "Conv2DTranspose alone": {"strides": [0, -1], "output_padding": [-1, 2], "dilation": [0]},
    "ResizeBilinear alone": {"height": [0, -1, "x"], "width": [0]},
    "Reshape": {"target_shape": [-2, "x", 2**40]},
    "Concatenate": {"axis": [0, 5, "x", 1.5]},
    "Embedding": {"input_dim": [0, -1, "x", 2**40], "output_dim": [0, "x"], "mask_zero": ["x"]},
    "Masking": {"mask_value": ["x", None]},
    "Permute": {"dims": [0, -1, 7, "x", 1.5]},
    "RepeatVector": {"n": [0, -1, "x", 2**40]},
    "Dot": {"axes": [0, 5, "x", 1.5], "normalize": ["x"]},
    "Index alone": {"slices": ["x", 1.5, 2**40]},
    "Flip alone": {"axes": [0, 5, "x"]},
    "BroadcastTo alone": {"shape": [0, -1, 2**40, 1.5]},
    "Tile alone": {"repeats": [0, -1, 2**40, 1.5]},
    "Repeat alone": {"repeats": [0, -1, 1.5], "axis": [0, 5, "x"]},
    "Diagonal alone": {"axis1": [0, 5, "x"]},
    "Take alone": {"axis": [0, 5, "x"]},
    "TakeAlongAxis alone": {"axis": [0, 5, "x"]},
    "ArgMax alone": {"axis": [0, 5, "x"]},
    "Cumulative alone": {"axis": [0, 5, "x"]},
    "Softmax": {"axis": [0, 5, "x"]},
    "ReLU": {"max_value": [-1, "x"], "negative_slope": [-1, "x"], "threshold": [-1, "x"]},
    "RandomNormal": {"stddev": [-1, "x"], "mean": ["x"], "seed": [-1]},
    "RandomUniform": {"minval": [1, "x"]},
    "VarianceScaling": {"scale": [0, -1, "x"], "mode": ["x"], "distribution": ["x"]},
    "Constant": {"value": ["x", [[1], [2, 3]]]},
    "Orthogonal": {"gain": ["x"]},
    "Zeros": {"max_value": [-1, "x"]},
    "Ones": {"rate": [2, "x"], "axis": ["x", 0.5]},
    "MaxPool2D alone": {"pool_size": [-2, 0], "strides": [0, -1], "padding": [-1]},
    "Conv2D alone": {"strides": [0, -1], "dilation": [0], "groups": [0, -1], "constant": [[1.0]]},
    "Pad2D alone": {"padding": [-1]},
    "Slice alone": {"start": [-1, 3], "stop": [0, 99]},
    "Transpose alone": {"axes": [-1, 7, 1.5]},
    "BatchNorm alone": {"constant": [[1.0], [1.0] * 2, 1.0], "momentum": [2]},
    "BiasAdd alone": {"constant": [[1.0], [1.0] * 4]},
    "Accuracy alone": {"kernel": ["first_largest"], "parameters": ["x"]},
}  # fmt: skip


@pytest.mark.parametrize("part", range(2))
def test_numbers_of_a_file_are_checked_as_a_users(folder, part):
    models = saved_models.models()
    words = {"constant": "shape", "parameters": "threshold", "axes": "ax[ei]s", "axis1": "axis"}
    for name in list(NUMBERS)[part::2]:
        tensors, description = described(models[name], folder)
        for key, values in NUMBERS[name].items():
            parts = {part: description[part] for part in ("model", "compile")}
            places = [path for path, _ in fields(parts) if key in path and path[-1] is not None]
            if isinstance(values[0], list):  # the value as a whole
                places = list(dict.fromkeys(path[: path.index(key) + 1] for path in places))
            assert places, (name, key)
            for path, value in itertools.product(places, values):
                with pytest.raises(ValueError, match=words.get(key, key)):
                    print(loaded(folder, tensors, changed(description, path, value)), path, value)
