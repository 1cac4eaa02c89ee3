"""Mutants of the files that jitnet reads, and how each kind is read; ``fuzz_files.py`` runs them."""

import ast
import contextlib
import copy
import functools
import gzip
import io
import json
import os
import pickle
import random
import re
import shutil
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

PREDICT_EVERY = 20  # models that load
MARK = "a_payload_ran"
PAYLOADS = [
    f'm"""\nimport pathlib; pathlib.Path("{MARK}").touch()\n"""',
    f"__import__('pathlib').Path('{MARK}').touch()",
    f"relu(x)\n    __import__('pathlib').Path('{MARK}').touch()\n    ",
]
VALUES = [
    None, True, False, -1, 0, 1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**32, 2**63, 10**30, -(10**9), 10**9, 0.0, -0.0, 0.5,
    -1.5, 1e-320, 1e308, float("nan"), float("inf"), -float("inf"), "", "x", "relu", "softmax", "same", "float64",
    "float16", "int64", "Dense", "Conv2D", "Unary", "Custom>Thing", "a/b", "\0", "\\x", '"', "\ud800", "µ",
    "x" * 10_000,
    [], {}, [[]], [0], [-1, 3], [1, 1, 1, 1], [2**40, 2**40], [None], ["x"], {"class_name": "Dense"}, {"x": 1},
    {"class_name": "Dense", "config": {"units": 10**8}}, {"class_name": "Orthogonal", "config": {}},
    {"class_name": "Constant", "config": {"value": [[1.0, 2.0], [3.0]]}}, *PAYLOADS,
]  # fmt: skip


# ---- mutations


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes with bits flipped, a part lost, doubled, inserted or overwritten."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(data) + 1)
        length = min(rng.choice([1, 1, 2, 8, 100, 1000]), len(data) - at)
        kind = rng.randrange(7)
        if kind == 0 and data:
            for _ in range(rng.choice([1, 1, 8])):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.choice([1, 3, 40]))
        elif kind == 4:
            data[at:at] = data[at : at + length]
        elif kind == 5:
            data[at : at + length] = rng.choice([b"\0", b"\xff", b"\x7f", b"9"]) * length
        else:
            early = min(at, 32)
            data[early : early + 8] = struct.pack("<q", rng.choice([-1, 0, 1, 2**31, 2**40, 2**63 - 1, len(data)]))
    return bytes(data)


def places(tree) -> list[tuple]:
    """(container, key) of everything in a tree of dicts and lists."""
    found, stack = [], [tree]
    while stack:
        node = stack.pop()
        pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in pairs:
            found.append((node, key))
            stack.append(value)
    return found


def deep(rng: random.Random):
    value = copy.deepcopy(rng.choice(VALUES))
    for _ in range(rng.choice([5, 100, 400])):
        value = [value] if rng.random() < 0.5 else {"config": value, "class_name": "Sequential"}
    return value


def changed(rng: random.Random, tree) -> None:
    """One change somewhere in a tree."""
    found = places(tree)
    container, key = rng.choice(found)
    value = container[key]
    kind = rng.randrange(16)
    if kind > 9:
        # a value of the same kind gets furthest
        simple = [(c, k) for c, k in found if isinstance(c[k], int | float | str | bool)]
        container, key = rng.choice(simple or found)
        alike = [v for v in VALUES if type(v) is type(container[key])]
        container[key] = rng.choice([*alike, *(c[k] for c, k in simple if type(c[k]) is type(container[key]))])
    elif kind < 5:
        container[key] = copy.deepcopy(rng.choice(VALUES))
    elif kind == 5:
        del container[key]
    elif kind == 6:
        other, place = rng.choice(found)
        container[key] = json.loads(json.dumps(other[place]))
    elif kind == 7 and isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = rng.choice([value + 1, value - 1, -value, value * 2, value * 10**6, float(value), str(value)])
    elif kind == 8 and isinstance(container, dict):
        container[rng.choice(["name", "dtype", "units", "class_name", "tensor", "__init__", "x", key + "_"])] = value
    elif kind == 8:
        container.insert(key, json.loads(json.dumps(value)))
    else:
        container[key] = deep(rng)


# ---- readers: samples(folder) -> list of bytes; mutant(rng, samples) -> bytes; read(folder, data, rng)


class Reader:
    """A kind of file: samples of it, mutants, and how it is read."""

    documented: tuple = (ValueError, FileNotFoundError)

    def samples(self) -> list[bytes]:
        """Files that are right."""
        raise NotImplementedError

    def mutant(self, rng: random.Random, samples: list[bytes]) -> bytes:
        """One that is damaged."""
        return damaged(rng, rng.choice(samples))

    def read(self, folder: Path, data: bytes, rng: random.Random) -> str:
        """Read it; what came of it."""
        raise NotImplementedError


class Models(Reader):
    """Whole models and weights: load_model, load_weights, the steps' sources, some predictions."""

    def __init__(self):
        self._loaded = 0
        self._target = None

    def samples(self):
        found = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            for number, model in enumerate(_models()):
                model.save(path)
                found.append(path.read_bytes())
                if number == 0:
                    found.append(_as_format_1(found[0]))
                    model.save_weights(path)
                    found.append(path.read_bytes())
        return found

    def mutant(self, rng, samples):
        data = rng.choice(samples)
        kind = rng.random()
        if kind < 0.15:
            return damaged(rng, data)
        if kind < 0.25:
            return _changed_header(rng, data)
        tensors, description = _parts(data)
        if kind < 0.4:
            _change_tensors(rng, tensors, description)
        else:
            for _ in range(rng.choice([1, 1, 1, 2, 4])):
                changed(rng, description)
        with contextlib.suppress(UnicodeEncodeError, RecursionError):
            text = json.dumps(description)
            if kind > 0.95:
                text = damaged(rng, text.encode()).decode("utf-8", "replace")
            elif kind > 0.93:
                odd = rng.choice(["[" * 100_000, "9" * 10_000, '1, "units": '])
                text = text.replace('"units": ', f'"units": {odd}', 1)
            return _written(text, tensors)
        return damaged(rng, data)

    def read(self, folder, data, rng):
        import jitnet
        from jitnet import _seed
        from jitnet.layers import base

        path = folder / "model"
        path.write_bytes(data)
        before = jitnet.config.dtype_policy(), repr(base.used_names()), repr(_seed.streams())
        if self._target is None:
            self._target = _models()[0]
            before = jitnet.config.dtype_policy(), repr(base.used_names()), repr(_seed.streams())
        with contextlib.suppress(ValueError):
            self._target.load_weights(path)
        try:
            model = jitnet.load_model(path)
        except ValueError as error:
            if str(path) not in str(error):
                raise AssertionError(f"the error doesn't name the file: {error}") from error
            after = jitnet.config.dtype_policy(), repr(base.used_names()), repr(_seed.streams())
            if before != after:
                raise AssertionError(f"a failed load changed {before} to {after}") from None
            raise
        if model._graph_inputs is None:
            return "loaded, not built"
        source = model.step_source("infer")
        ast.parse(source)
        self._loaded += 1
        outcome = "loaded"
        if model.optimizer is not None and self._loaded % 10 == 0:
            ast.parse(model.step_source("train"))
            outcome = "loaded, training step written"
        sizes = [size for x in [*model.inputs, *model.outputs] for size in x.shape[1:]]
        batch = model._fixed_batch_size or 2
        if self._loaded % PREDICT_EVERY == 0 and max(batch, *sizes) < 1000 and len(sizes) < 30:
            import numpy as np

            try:
                arrays = [np.zeros((batch, *x.shape[1:]), x.dtype) for x in model.inputs]
                model.predict(dict(zip(model.input_names, arrays, strict=True)), verbose=0)
                outcome = "loaded, predicted"
            except MemoryError:  # what lies between small inputs and outputs may be as large as a file says
                outcome = "loaded, too large to predict"
        if Path(MARK).exists():
            raise AssertionError("a payload ran")
        return outcome


def _models() -> list:
    import numpy as np

    import jitnet
    from jitnet import layers, ops

    def compiled(model, loss, **arguments):
        schedule = jitnet.optimizers.schedules.CosineDecay(0.05, 100)
        optimizer = jitnet.optimizers.Adam(schedule)
        model.compile(optimizer, loss, metrics=["accuracy", jitnet.metrics.MeanSquaredError()], **arguments)
        weights = model.trainable_weights
        optimizer.set_state({(slot, v): np.ones(v.shape, v.dtype) for slot in ("m", "v") for v in weights})
        optimizer.iterations = 3
        return model

    def perceptron():
        return [
            layers.Input((5,), name="x"),
            layers.Dense(4, "tanh", kernel_regularizer="l2", name="hidden"),
            layers.BatchNormalization(name="normalisation"),
            layers.Dropout(0.25, name="dropout"),
            layers.Dense(3, "softmax", kernel_initializer=jitnet.initializers.Orthogonal(), name="output"),
        ]

    first = compiled(jitnet.Sequential(perceptron(), name="perceptron"), "sparse_categorical_crossentropy")
    images = jitnet.Sequential(
        [
            layers.Input((8, 7, 2), name="images"),
            layers.ZeroPadding2D(1, name="padding"),
            layers.Conv2D(4, 3, padding="same", activation="relu", groups=2, name="convolution"),
            layers.MaxPooling2D(2, name="maximum"),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise"),
            layers.BatchNormalization(scale=False, name="normalisation"),
            layers.ReLU(6.0, 0.1, name="relu"),
            layers.AveragePooling2D(2, padding="same", name="average"),
            layers.Reshape((-1, 8), name="reshape"),
            layers.Activation("gelu", name="activation"),
            layers.Flatten(name="flatten"),
            layers.Dense(3, name="output"),
        ],
        name="images",
    )
    a, b = layers.Input((6,), name="a"), layers.Input((3, 4), name="b")
    shared = layers.Dense(4, name="shared")
    nested = jitnet.Sequential([layers.Input((4,), name="n"), layers.Dense(4, name="inner")], name="nested")
    joined = layers.Add(name="add")([shared(a) * 2.0, nested(shared(a))])
    wide = ops.transpose(b, (0, 2, 1)) + np.ones((4, 3), "float32")
    cut = ops.slice_axis(ops.concatenate([joined, ops.mean(wide, axis=-1)], axis=-1), 1, 1, 7)
    tail = layers.Softmax(name="softmax")(ops.maximum(cut, 0.5) / 2.0)
    graph = jitnet.Model([a, b], [tail, layers.Dense(1, "sigmoid", name="last")(ops.reshape(cut, (-1, 2, 3)))])
    graph.compile("sgd", ["mse", "mae"], loss_weights=[1.0, 0.5])
    pooled = layers.GlobalAveragePooling2D(name="pooled")
    small = jitnet.Sequential([layers.Input((4, 4, 3), name="x"), pooled, layers.Dense(2, name="output")], name="small")
    whole = layers.Input((3,), dtype="int64", name="whole")
    normal = layers.BatchNormalization(name="normal")(layers.Dense(2, name="told")(whole * 3 - 1), training=False)
    dropped = layers.Dropout(0.5, name="dropped")(normal, training=True)
    integers = jitnet.Model(whole, [whole + 1, dropped], name="integers")
    jitnet.set_floatx("float64")
    try:
        double = compiled(jitnet.Sequential(perceptron(), name="double"), "categorical_crossentropy", jit_compile=True)
    finally:
        jitnet.set_floatx("float32")
    own, blend = _own_classes()
    own = own(4, name="own")
    own(np.zeros((1, 5), "float32"))
    left, right = layers.Input((4,), name="left"), layers.Input(batch_shape=(2, 4), name="right")
    others = {"of": [right, np.ones(4)]}
    tied = layers.Dense(4, name="tied")
    blended = blend(name="blend")(tied(left), others, scale=0.5, mode=("sum", None), mask=np.ones(4))
    again = blend(name="again")(blended, {"of": (left, left)}, mask=tied.bias, training=True)
    named = {"blended": blended, "again": [again, layers.Add(name="last")([tied(left), again])]}
    dicts = jitnet.Model({"left": left, "right": right}, named, name="dicts")
    return [first, images, graph, integers, compiled(small, "mse"), double, compiled(own, "mse"), dicts]


@functools.cache
def _own_classes():
    """A user's model with a call of its own and a layer of the user's in it, and a layer of several arguments."""
    import jitnet
    from jitnet import layers

    register = jitnet.saving.register_keras_serializable(package="Fuzz")

    @register
    class Scale(layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = {"two": 2.0}[factor]

        def build(self, input_shape):
            self.weight = self.add_weight((input_shape[-1],), "uniform", name="weight")

        def call(self, inputs):
            return inputs * self.weight * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": "two"}

    @register
    class Pair(jitnet.Model):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.hidden = [layers.Dense(units), Scale("two"), layers.Dropout(0.5)]
            self.last = jitnet.Sequential([layers.Input((units,)), layers.Dense(1)])

        def call(self, inputs):
            for layer in self.hidden:
                inputs = layer(inputs)
            return self.last(inputs)

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    @register
    class Blend(layers.Layer):
        def call(self, inputs, others, *, mask=None, scale=1.0, mode=(), training=None):
            y = (inputs + others["of"][0] * others["of"][1]) * scale
            return y if mask is None else y * mask

    return Pair, Blend


def _parts(data: bytes):
    import safetensors
    import safetensors.numpy

    tensors = safetensors.numpy.load(data)
    size = int.from_bytes(data[:8], "little")
    return tensors, json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["jitnet"])


def _written(text: str, tensors: dict) -> bytes:
    """A file with the right checksum."""
    import safetensors.numpy

    from jitnet.files import model_file

    metadata = {"jitnet": text, "jitnet_checksum": f"{model_file._checksum(text, tensors):08x}"}
    return safetensors.numpy.save(tensors, metadata=metadata)


def _as_format_1(data: bytes) -> bytes:
    import safetensors.numpy

    from jitnet.files import model_file

    tensors, description = _parts(data)
    checksum = 0
    for name in sorted(tensors):
        checksum = model_file._checksum_of_values(tensors[name], checksum)
    text = json.dumps({**description, "format_version": 1, "checksum": checksum})
    return safetensors.numpy.save(tensors, metadata={"jitnet": text})


def _changed_header(rng: random.Random, data: bytes) -> bytes:
    """Lies of the safetensors header: its length, and the dtypes, shapes and offsets in it."""
    size = int.from_bytes(data[:8], "little")
    if rng.random() < 0.3:
        lie = rng.choice([0, 1, size - 1, size + 1, size + 8, len(data), 10**8, 2**40, 2**63, 2**64 - 1])
        return struct.pack("<Q", lie) + data[8:]
    header = json.loads(data[8 : 8 + size])
    for _ in range(rng.choice([1, 1, 2])):
        entry = header[rng.choice(list(header))]
        if "shape" in entry and rng.random() < 0.7:
            entry["dtype"] = rng.choice([entry["dtype"], "F64", "I32", "BF16", "F8_E4M3", "BOOL", "U64", "X"])
            shape = rng.choice([[], [0], [0, 2**62, 2**62], [2**31, 6], [2**63], [-1], [1] * 70, [1] * 33])
            entry["shape"] = rng.choice([entry["shape"], shape])
            entry["data_offsets"][rng.randrange(2)] = rng.choice([*entry["data_offsets"], 0, 2**40, 2**63])
        else:
            changed(rng, header)
            break
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def _change_tensors(rng: random.Random, tensors: dict, description: dict) -> None:
    """Other dtypes, shapes, values or names, with the right checksum."""
    import numpy as np

    name = rng.choice(list(tensors))
    old = tensors[name]
    kinds = [
        old.astype("float64"), old.astype("int32"), old.astype("float16"), old.astype("bool"), old.reshape(-1),
        old[..., None], np.zeros((0, 3), "float32"), np.full_like(old, np.nan), np.zeros(1000, "float32"), old[:1],
    ]  # fmt: skip
    what = rng.randrange(4)
    if what < 2:
        tensors[name] = kinds[rng.randrange(len(kinds))]
    elif what == 2:
        other = rng.choice(["weights/x", "optimizer/m", "optimizer/velocity/hidden/kernel", "", "/", name + "\n", "µ"])
        tensors[other] = tensors.pop(name)
        if rng.random() < 0.5 and isinstance(description.get("weights"), list):
            description["weights"] = [n.removeprefix("weights/") for n in tensors if n.startswith("weights/")]
    else:
        del tensors[name]


class Checkpoints(Models):
    """Checkpoints of a training, which goes on from them for an epoch."""

    def samples(self):
        with tempfile.TemporaryDirectory() as folder:
            self._fit(folder, 1)
            (path,) = Path(folder).glob("*.safetensors")
            self._name = path.name
            return [path.read_bytes()]

    def _fit(self, folder, epochs: int) -> None:
        import numpy as np

        import jitnet
        from jitnet import callbacks, layers

        inner = [layers.Dense(3, name="hidden"), layers.BatchNormalization(name="n"), layers.Dropout(0.5, name="d")]
        model = jitnet.Sequential([layers.Input((4,), name="x"), *inner, layers.Dense(2, name="out")], name="model")
        model.compile(jitnet.optimizers.Adam(0.01), "mse", jit_compile=False)
        backup = callbacks.BackupAndRestore(folder, delete_checkpoint=False)
        hooks = [backup, callbacks.EarlyStopping("loss"), callbacks.ReduceLROnPlateau("loss")]
        data = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
        try:
            model.fit(*data, 4, epochs=epochs, verbose=0, callbacks=hooks)
        finally:
            np.random.seed(0)

    def read(self, folder, data, rng):
        directory = folder / "checkpoints"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        (directory / self._name).write_bytes(data)
        self._fit(str(directory), 2)
        return "read"


class Npy(Reader):
    """FILE.npy of ``jitnet predict``."""


    def samples(self):
        import numpy as np

        found = []
        one = np.arange(64, dtype="uint8").reshape(8, 8, 1) % 16
        for array in (np.ones((3, 8, 8)), one, np.ones((2, 8, 8), ">f4")):
            stream = io.BytesIO()
            np.save(stream, array)
            found.append(stream.getvalue())
        return found

    def mutant(self, rng, samples):
        data = rng.choice(samples)
        if rng.random() < 0.4:
            return damaged(rng, data)
        descr = ["'<f8'", "'|u1'", "'O'", "'|S9'", "'M8[s]'", "[('a', '<i4')]", "'<f16'", "'>f2'", "'V9999999999'", "5"]
        shape = [
            "(3, 8, 8)", "(8, 8)", "(-1, 8, 8)", "(99999999999, 8, 8)", "(0, 8, 8)", "(True, 8, 8)", "8", "(8.0, 8)",
            "(" * 300, "(" * 90 + ")" * 90, "(3, 8, 8", "9" * 5000, "(0x7fffffffffffffff, 4)", "(2**62,)", "None",
        ]  # fmt: skip
        order = ["False", "True", "1", "'x'", "__import__('os')", "\\", "'\\d'", "'''", "\x00", "\n  x", "f'{1}'"]
        keys = ["'descr': {}, 'fortran_order': {}, 'shape': {}, ", "'descr': {}, 'shape': {2}, ", "{0}: {1}, {2}: 3"]
        values = [c[0] if rng.random() < 0.5 else rng.choice(c) for c in (descr, order, shape)]
        with contextlib.suppress(ValueError, IndexError):
            header = ("{{" + rng.choice(keys) + "}}\n").format(*values).encode("latin-1", "replace")
            version = rng.choice([(1, 0), (1, 0), (2, 0), (3, 0), (9, 9)])
            length = rng.choice([len(header), len(header), len(header), 0, 60_000, 2])
            length = struct.pack("<H" if version[0] < 2 else "<I", length)
            return b"\x93NUMPY" + bytes(version) + length + header + data[128:]
        return damaged(rng, data)

    def read(self, folder, data, rng):
        from jitnet.commands import predict

        path = folder / "images.npy"
        path.write_bytes(data)
        predict.read_images(path, "digits", (8, 8, 1))
        return "read"


class Toml(Reader):
    """Configurations and --set."""

    def samples(self):
        from jitnet import configuration

        return [
            configuration.to_toml(configuration.resolve({"dataset": dataset}, {"model.name": model})).encode()
            for dataset, model in (("digits", "cnn"), ("mnist", "mlp"), ("cifar10", "lenet5"))
        ] + [
            text
            for path in sorted((Path(__file__).parent / "configs").glob("*.toml"))
            for text in (
                path.read_bytes(),
                configuration.to_toml(configuration.resolve(configuration.read_config(path), {})).encode(),
            )
        ]

    def mutant(self, rng, samples):
        data = rng.choice(samples)
        values = [
            "true", "-1", "0", "1e999", "nan", "-inf", "9" * 400, "9" * 5000, "0x" + "f" * 5000, '"x"', "'\\'", "[]",
            "[[]]", "[" * 2000, "[" * 150 + "]" * 150, "{a = {b = 1}}", "{a = " * 300, "1979-05-27T07:32:00Z",
            "2024-02-30", '"\\ud800"', "99:99:99", '"""', "1__0", "[[1, 99999999999999999999]]", "[1, [2]]",
            "3.5", '"' + "y" * 3000 + '"',
        ]  # fmt: skip
        lines = data.decode().splitlines()
        kind = rng.randrange(6)
        if kind == 0:
            return damaged(rng, data)
        at = rng.randrange(len(lines))
        if kind < 4 and "{" in lines[at] and rng.random() < 0.8:
            # a value within a table of one line
            pieces = re.split(r"(?<== )([^,{}]+)", lines[at])
            if len(pieces) > 2:
                pieces[rng.randrange(1, len(pieces), 2)] = rng.choice(values)
            lines[at] = "".join(pieces)
        elif kind < 4 and "=" in lines[at]:
            lines[at] = lines[at].partition("=")[0] + "= " + rng.choice(values)
        elif kind == 4:
            dotted = "a." * rng.choice([3, 500, 5000]) + "b = 1"
            lines.insert(at, rng.choice([dotted, "[a]", "[[model]]", "seed.x = 1", "x"]))
        else:
            lines[at] = rng.choice(lines)
        return "\n".join(lines).encode()

    def read(self, folder, data, rng):
        from jitnet import configuration

        path = folder / "config.toml"
        path.write_bytes(data)
        try:
            lines = data.decode("utf-8", "surrogateescape").splitlines()
            setting = configuration.parse_setting(rng.choice(lines or [""]))
            configuration.resolve({"dataset": "digits"}, dict([setting]))
        except ValueError:
            pass
        configuration.to_toml(configuration.resolve(configuration.read_config(path), {}))
        return "read"


class Idx(Reader):
    """MNIST's files, the user's own."""

    zipped = False

    def samples(self):
        return [b"\0\0\x08\x03" + struct.pack(">III", 5, 28, 28) + bytes(5 * 784), b"\0\0\x08\x01\0\0\0\x05" + bytes(5)]

    def mutant(self, rng, samples):
        data = rng.choice(samples)
        if rng.random() < 0.4:
            sizes = struct.pack(">I", rng.choice([0, 1, 4, 6, 28, 2**16, 2**31, 2**32 - 1]))
            at = 4 * rng.randrange(1, 1 + data[3])
            data = data[:at] + sizes + data[at + 4 :]
        else:
            data = damaged(rng, data)
        if self.zipped:
            data += bytes(50 << 20) if rng.randrange(64) == 33 else b""
            data = gzip.compress(data, 1, mtime=0)
            data = damaged(rng, data) if rng.random() < 0.4 else data
        return data

    def read(self, folder, data, rng):
        from jitnet.datasets import mnist

        directory = folder / "mnist"
        directory.mkdir(exist_ok=True)
        images, labels = self.samples()
        rank = rng.choice([1, 3])
        for part in ("train", "t10k"):
            (directory / f"{part}-images-idx3-ubyte").write_bytes(data if rank == 3 and part == "train" else images)
            (directory / f"{part}-labels-idx1-ubyte").write_bytes(data if rank == 1 and part == "train" else labels)
        os.environ["JITNET_DATA_DIR"] = str(folder)
        mnist.load_data()
        return "read"


class IdxGz(Idx):
    """The same, gzipped."""

    zipped = True


class Cifar(Reader):
    """CIFAR-10's archive and its loose batches, with batches of 3 records."""

    records = 3
    size = 3 * 3073

    def samples(self):
        names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
        found = []
        for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
                for name in names:
                    member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                    member.size = self.size
                    if form == tarfile.PAX_FORMAT:
                        member.pax_headers = {"comment": "µ", "size": str(self.size)}
                    archive.addfile(member, io.BytesIO(bytes(self.size)))
            found.append(stream.getvalue())
        return [*found, bytes(self.size)]

    def mutant(self, rng, samples):
        data = rng.choice(samples)
        if len(data) == self.size or rng.random() < 0.3:
            data = damaged(rng, data)
        else:
            data = bytearray(data)
            headers = [at for at in range(0, len(data), 512) if data[at + 257 : at + 262] == b"ustar"]
            at = rng.choice(headers)
            fields = [(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (345, 155), (386, 97)]
            field, length = rng.choice(fields)
            values = [b"\x80" + b"\xff" * 11, b"\xff" * 12, b"-0000000001\0", b"77777777777\0", b"x", b"L", b"S", b"\0"]
            value = rng.choice(values)[:length]
            data[at + field : at + field + len(value)] = value
            if rng.random() < 0.3:
                size = rng.choice([b"size=-512", b"size=9e99", b"size=0   "])
                data = bytearray(bytes(data).replace(f"size={self.size}".encode(), size))
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
        data = gzip.compress(bytes(data), 1, mtime=0) if rng.random() < 0.3 else bytes(data)
        return damaged(rng, data) if rng.random() < 0.1 else data

    def read(self, folder, data, rng):
        from jitnet.datasets import cifar10

        cifar10._RECORDS = self.records
        directory = folder / "cifar10"
        directory.mkdir(exist_ok=True)
        for path in directory.iterdir():
            path.unlink()
        if len(data) < 2 * self.size:
            for number in range(1, 6):
                (directory / f"data_batch_{number}.bin").write_bytes(data if number == 3 else bytes(self.size))
            (directory / "test_batch.bin").write_bytes(bytes(self.size))
        else:
            (directory / "cifar-10-binary.tar").write_bytes(data)
        os.environ["JITNET_DATA_DIR"] = str(folder)
        cifar10.load_data()
        return "read"


class Digits(Reader):
    """The bundled digits."""

    def samples(self):
        from jitnet.datasets import digits

        self._own = digits._FILE
        return [self._own.read_bytes()]

    def read(self, folder, data, rng):
        from jitnet.datasets import digits

        digits._FILE = folder / "digits"
        digits._FILE.write_bytes(data)
        try:
            digits.load_data()
        finally:
            digits._FILE = self._own
        return "read"


class Run(Reader):
    """The history and the environment of a run, compared with themselves and drawn."""

    @property
    def documented(self):
        from jitnet.configuration import DataError

        return (DataError,)

    def samples(self):
        names = "epoch,loss,val_loss,accuracy,learning_rate,seconds"
        rows = [f"{i},{1 / (i + 1)},{0.1 + i},0.5,{0.5 ** (i // 2)},2" for i in range(7)]
        environment = {"versions": {"jitnet": "0.1.0"}, "command_line": ["jitnet", "train"], "commit": None}
        return ["\n".join([names, *rows]).encode(), json.dumps(environment).encode()]

    def mutant(self, rng, samples):
        data = rng.choice(samples)
        if rng.random() < 0.5 or data.startswith(b"{"):
            return damaged(rng, data)
        values = data.split(b",")
        odd = [b"nan", b"-inf", b"NA", b"", b"1e308", b"-1e308", b"5e-324", b"-0", b"1_0", b'"', b"0\n1", b"9" * 400]
        values[rng.randrange(len(values))] = rng.choice(odd)
        return b",".join(values)

    def read(self, folder, data, rng):
        from jitnet.reports.compare import Comparison

        for name in ("history.csv", "environment.json"):
            (folder / name).unlink(missing_ok=True)
        (folder / "config.toml").write_text('dataset = "digits"\n')
        (folder / ("environment.json" if data.startswith(b"{") else "history.csv")).write_bytes(data)
        comparison = Comparison([folder, folder])
        comparison.text()
        comparison.page()
        return "read"


class Archives(Reader):
    """Tables and sequences in NumPy's archives: those of Boston's houses, and IMDB's reviews."""

    def samples(self):
        import numpy as np

        sequences = np.empty(3, object)
        sequences[:] = [[1, 2], [3], [70_000, 5]]
        labels = np.array([0, 1, 1])
        tables = {"x": np.arange(65.0).reshape(5, 13), "y": np.arange(5.0)}
        reviews = {"x_train": sequences, "y_train": labels, "x_test": sequences, "y_test": labels}
        found = []
        for arrays in (tables, reviews):
            stream = io.BytesIO()
            np.savez(stream, **arrays)
            found.append(stream.getvalue())
        return found

    def mutant(self, rng, samples):
        data = rng.choice(samples)
        if rng.random() < 0.3:
            return damaged(rng, data)
        stream = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
            names = old.namelist()
            chosen = rng.choice(names)
            for name in names:
                content = old.read(name)
                new.writestr(name, _changed_array(rng, content) if name == chosen else content)
        return stream.getvalue()

    def read(self, folder, data, rng):
        from jitnet.datasets import boston_housing, imdb

        path = folder / "arrays.npz"
        path.write_bytes(data)
        (imdb if b"x_train" in data else boston_housing).load_data(path)
        return "read"


def _changed_array(rng: random.Random, content: bytes) -> bytes:
    """An array's file with a lie in its header, or in the pickle of an array of lists."""
    at = content.index(b"\n") + 1
    header, values = content[:at], content[at:]
    if rng.random() < 0.3:
        old = rng.choice([b"(3,)", b"(5, 13)", b"(5,)", b"'|O'", b"'<f8'", b"'<i8'", b"False"])
        lies = [b"(9,)", b"()", b"(99999999999,)", b"'|O'", b"'<f4'", b"'<M8'", b"True", b"(-1,)", b"(True,)"]
        changed = header.replace(old, rng.choice(lies))
        return changed[: len(header) - 1].ljust(len(header) - 1) + b"\n" + values
    return header + _changed_pickle(rng, values)


LARGE = b"\xff" * 7 + b"\x7f"  # 2**63 - 1


def _changed_pickle(rng: random.Random, data: bytes) -> bytes:
    """A pickle in which numbers lie, or other opcodes stand."""
    kind = rng.randrange(4)
    if kind == 0:
        return damaged(rng, data)
    at = rng.randrange(len(data) + 1)
    opcodes = [
        b"r\xff\xff\xff\x7f", b"r\x00\x00\x00\x08", b"p99999999\n", b"q\xff", b"h\x00", b"2", b"0", b"]", b"}", b")",
        b"X\x01\x00\x00\x00M", b"U\x02M8", b".", b"t", b"\x87", b"e", b"a", b"\x8e" + LARGE, b"\x8a\x08" + LARGE,
        b"cos\nsystem\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"R", b"b", b"\x81", b"K\xff", b"J\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\x7f", b"B\xff\xff\xff\x7f",
    ]  # fmt: skip
    if kind == 1:  # a number for a number
        places = [i for i in range(len(data) - 1) if data[i : i + 1] == b"K"]
        if places:
            at = rng.choice(places)
            numbers = [b"J\x00\x00\x00\x08", b"K\x00", b"J\xff\xff\xff\xff", b"\x8a\x08" + LARGE, b"K\x09"]
            return data[:at] + rng.choice(numbers) + data[at + 2 :]
    if kind == 2:
        found = [dtype for dtype in (b"O8", b"i8", b"u1") if dtype in data]
        if found:
            return data.replace(rng.choice(found), rng.choice([b"O8", b"f8", b"M8", b"V9"]))
    return data[:at] + rng.choice(opcodes) + data[at + rng.choice([0, 0, 1, 2, 5]) :]


class Cifar100(Reader):
    """CIFAR-100's archive of pickles, with 3 and 2 records."""

    parts = {"train": 3, "test": 2}

    def samples(self):
        import numpy as np

        found = []
        for count in self.parts.values():
            labels = [1] * count
            content = {b"data": np.zeros((count, 3072), "uint8"), b"fine_labels": labels, b"coarse_labels": labels}
            found.append(pickle.dumps(content, 2))
        return found

    def mutant(self, rng, samples):
        pickles = list(samples)
        which = rng.randrange(2)
        pickles[which] = _changed_pickle(rng, pickles[which])
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, content in zip(self.parts, pickles, strict=True):
                member = tarfile.TarInfo(f"cifar-100-python/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        data = stream.getvalue()
        return damaged(rng, data) if rng.random() < 0.1 else data

    def read(self, folder, data, rng):
        from jitnet.datasets import cifar100

        cifar100._PARTS = self.parts
        (folder / "cifar100").mkdir(exist_ok=True)
        (folder / "cifar100" / "cifar-100-python.tar").write_bytes(data)
        os.environ["JITNET_DATA_DIR"] = str(folder)
        cifar100.load_data(rng.choice(["fine", "coarse"]))
        return "read"


class Table(Reader):
    """The data of a configuration: a table as CSV."""

    def samples(self):
        numbers = "a,b,target\n" + "".join(f"{i},{i / 3},{i % 2}\n" for i in range(7))
        classes = 'target,"a","b, c"\r\n' + "".join(f'"{"yes" if i % 2 else "µ"}",{i},-1e{i}\r\n' for i in range(5))
        return [numbers.encode(), classes.encode()]

    def mutant(self, rng, samples):
        data = rng.choice(samples)
        if rng.random() < 0.4:
            return damaged(rng, data)
        odd = [
            b"nan", b"-inf", b"", b"1e999", b"1_0", b'"', b'""', b"\0", b"\r", b"\xff", b"9" * 5000, b"x" * 200_000,
            b"," * 100_000, "\u0663".encode(), b"\xef\xbb\xbf", b"0x10", b"True", b"1" + b"0" * 400,
        ]  # fmt: skip
        values = data.split(b",")
        values[rng.randrange(len(values))] = rng.choice(odd)
        return b",".join(values)

    def read(self, folder, data, rng):
        from jitnet.configuration import files

        path = folder / "table.csv"
        path.write_bytes(data)
        files.load(files.completed({"csv": str(path), "target": "target", "shuffle": True}), 0)
        return "read"


class Texts(Reader):
    """A vocabulary, an index of words and a log of epochs that goes on."""

    def samples(self):
        return [b"epoch,loss,accuracy\n0,1.5,0.25\n1,1.25,0.5\n", b'{"the": 1, "film": 17}', "a\nword\nµ\n".encode()]

    def mutant(self, rng, samples):
        data = rng.choice(samples)
        odd = [b'"', b"\0", b"\r", b"[" * 50_000, b"9" * 5000, b"\xff", b"," * 200_000, b"{", b"null", b"1e999"]
        at = rng.randrange(len(data) + 1)
        return damaged(rng, data) if rng.random() < 0.5 else data[:at] + rng.choice(odd) + data[at:]

    def read(self, folder, data, rng):
        import jitnet
        from jitnet.datasets import imdb

        path = folder / "text"
        path.write_bytes(data)
        outcomes = []
        for read in (
            lambda: imdb.get_word_index(path),
            lambda: jitnet.layers.StringLookup(vocabulary=str(path)),
            lambda: self._log(jitnet, path),
        ):
            with contextlib.suppress(ValueError):
                read()
                outcomes.append("read")
        if not outcomes:
            raise ValueError("nobody takes it")
        return "read"

    def _log(self, jitnet, path) -> None:
        log = jitnet.callbacks.CSVLogger(path, append=True)
        log.on_train_begin()
        log.on_epoch_end(2, {"loss": 1.0})
        log.on_train_end()


READERS = {
    "model": Models, "npy": Npy, "toml": Toml, "run": Run, "idx": Idx, "idx_gz": IdxGz, "cifar": Cifar,
    "digits": Digits, "npz": Archives, "cifar100": Cifar100, "texts": Texts, "table": Table, "checkpoint": Checkpoints,
}  # fmt: skip
