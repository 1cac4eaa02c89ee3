"""Networks as ONNX models, written with onnx.helper, and what the peers that run them have in common."""

import time

import numpy as np
from networks import walk
from onnx import TensorProto, helper, numpy_helper
from peers import Case
from workloads import NORM_EPSILON


class _Graph:
    """The operations of a walk: each adds a node and returns the name of its output and its shape (C, H, W)."""

    def __init__(self, weights):
        self.weights, self.nodes, self.initializers = weights, [], []
        self.flattened = None  # (H, W, C) of what the next dense layer reads, flattened as (C, H, W)

    def _node(self, kind, inputs, **attributes):
        output = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def conv(self, name, x, filters, size, padding, stride, bias):
        kernel = self.weights[f"{name}.kernel"].transpose(3, 2, 0, 1)
        inputs = [x[0], self._constant(f"{name}.kernel", kernel)]
        if bias:
            inputs.append(self._constant(f"{name}.bias", self.weights[f"{name}.bias"]))
        output = self._node("Conv", inputs, strides=[stride] * 2, pads=[padding] * 4, kernel_shape=[size] * 2)
        return output, (filters, *((n + 2 * padding - size) // stride + 1 for n in x[1][1:]))

    def depthwise(self, name, x, size, padding, stride):
        kernel = self._constant(f"{name}.depthwise", self.weights[f"{name}.depthwise"].transpose(2, 3, 0, 1))
        channels, *sizes = x[1]
        settings = {"strides": [stride] * 2, "pads": [padding] * 4, "kernel_shape": [size] * 2, "group": channels}
        shape = (channels, *((n + 2 * padding - size) // stride + 1 for n in sizes))
        return self._node("Conv", [x[0], kernel], **settings), shape

    def norm(self, name, x):
        names = [self._constant(f"{name}.{k}", self.weights[f"{name}.{k}"]) for k in _NORM]
        return self._node("BatchNormalization", [x[0], *names], epsilon=NORM_EPSILON), x[1]

    def relu(self, x):
        return self._node("Relu", [x[0]]), x[1]

    def tanh(self, x):
        return self._node("Tanh", [x[0]]), x[1]

    def pool(self, x, size, stride, padding):
        settings = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
        sizes = ((n + 2 * padding - size) // stride + 1 for n in x[1][1:])
        return self._node("MaxPool", [x[0]], **settings), (x[1][0], *sizes)

    def flatten(self, x):
        channels, height, width = x[1]
        self.flattened = height, width, channels
        return self._node("Flatten", [x[0]]), (channels * height * width,)

    def mean(self, x):
        return self._node("Flatten", [self._node("GlobalAveragePool", [x[0]])]), x[1][:1]

    def layer_norm(self, name, x):
        names = [self._constant(f"{name}.{k}", self.weights[f"{name}.{k}"]) for k in ("gamma", "beta")]
        return self._node("LayerNormalization", [x[0], *names], axis=-1, epsilon=NORM_EPSILON), x[1]

    def encoder(self, name, x, heads, hidden):
        steps, features = x[1]
        size = features // heads
        apart = self._constant(f"{name}.apart", np.array([0, steps, heads, size], np.int64))
        together = self._constant(f"{name}.together", np.array([0, steps, features], np.int64))
        y = self.layer_norm(f"{name}_attention_norm", x)
        query, key, value = (
            self._node("Reshape", [self.dense(f"{name}_{part}", y, features)[0], apart])
            for part in ("query", "key", "value")
        )
        query, value = (self._node("Transpose", [part], perm=[0, 2, 1, 3]) for part in (query, value))
        scores = self._node("MatMul", [query, self._node("Transpose", [key], perm=[0, 2, 3, 1])])
        scale = self._constant(f"{name}.scale", np.array(size**-0.5, np.float32))
        weights = self._node("Softmax", [self._node("Mul", [scores, scale])], axis=-1)
        y = self._node("Transpose", [self._node("MatMul", [weights, value])], perm=[0, 2, 1, 3])
        y = self.dense(f"{name}_output", (self._node("Reshape", [y, together]), x[1]), features)
        x = self.add(x, y)
        y = self.dense(f"{name}_inner", self.layer_norm(f"{name}_dense_norm", x), hidden)
        half, root, one = (
            self._constant(f"{name}.{key}", np.array(number, np.float32))
            for key, number in (("half", 0.5), ("root", 2**0.5), ("one", 1))
        )
        # the form that both peers know as GELU
        error = self._node("Add", [self._node("Erf", [self._node("Div", [y[0], root])]), one])
        y = self._node("Mul", [self._node("Mul", [y[0], error]), half]), y[1]
        return self.add(x, self.dense(f"{name}_outer", y, features))

    def dense(self, name, x, units):
        kernel = self.weights[f"{name}.kernel"]
        if self.flattened:
            kernel = kernel.reshape(*self.flattened, units).transpose(2, 0, 1, 3).reshape(-1, units)
            self.flattened = None
        names = [self._constant(f"{name}.kernel", kernel), self._constant(f"{name}.bias", self.weights[f"{name}.bias"])]
        if len(x[1]) > 1:
            return self._node("Add", [self._node("MatMul", [x[0], names[0]]), names[1]]), (*x[1][:-1], units)
        return self._node("Gemm", [x[0], *names]), (units,)

    def shortcut(self, x, filters, stride):
        channels, height, width = x[1]
        number = len(self.nodes)
        ends = [np.iinfo(np.int64).max] * 2
        slices = [
            self._constant(f"{key}{number}", np.array(values, np.int64))
            for key, values in (("starts", [0, 0]), ("ends", ends), ("axes", [2, 3]), ("steps", [stride] * 2))
        ]
        before = (filters - channels) // 2
        pads = np.array([0, before, 0, 0, 0, filters - channels - before, 0, 0], np.int64)
        output = self._node("Pad", [self._node("Slice", [x[0], *slices]), self._constant(f"pads{number}", pads)])
        return output, (filters, -(-height // stride), -(-width // stride))

    def add(self, x, y):
        return self._node("Add", [x[0], y[0]]), x[1]


_NORM = ("gamma", "beta", "mean", "variance")


def model_bytes(workload) -> bytes:
    """The network as an ONNX file, images as (N, C, H, W)."""
    graph = _Graph(workload.weights())
    shape = workload.model.input_shape
    shape = (shape[2], *shape[:2]) if len(shape) == 3 else shape
    output, _ = walk(workload.model, graph, ("x", shape))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (workload.batch, *shape))]
    outputs = [
        helper.make_tensor_value_info(
            output, TensorProto.FLOAT, (workload.batch, *workload.model.labelled, workload.model.classes)
        )
    ]
    made = helper.make_graph(graph.nodes, "benchmark", inputs, outputs, graph.initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


class Inference(Case):
    """Predictions by an ONNX model: a peer says how it is opened, for so many threads, and run."""

    def __init__(self, workload, threads):
        x = workload.data()[0]
        self.x = np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x
        self.model = model_bytes(workload)
        self.threads = threads
        self.open(threads)

    def open(self, threads: int) -> None:
        """Be ready to predict with so many threads."""
        raise NotImplementedError

    def predict(self) -> np.ndarray:
        """The outputs for ``x``."""
        raise NotImplementedError

    def check(self, steps):
        return np.array(self.predict()).ravel()

    def tune(self):
        found = {}
        for threads in {1, self.threads}:
            self.open(threads)
            self.run(5)
            times = []  # the fastest counts: another program's turn on a core must not choose the form
            while sum(times) < 0.3 or len(times) < 5:
                start = time.perf_counter()
                self.run(1)
                times.append(time.perf_counter() - start)
            found[threads] = min(times)
        self.open(min(found, key=found.get))

    def run(self, count):
        for _ in range(count):
            self.predict()
        return count
