"""Multilayer perceptrons written out in NumPy: what a user would write without any library."""

import numpy as np
from networks import Dense
from peers import Case
from workloads import ADAM_EPSILON

_FORWARD = {"relu": lambda z: np.maximum(z, 0, out=z), "tanh": lambda z: np.tanh(z, out=z), None: lambda z: z}
_BACKWARD = {"relu": lambda a: a > 0, "tanh": lambda a: 1 - a * a}


class _Perceptron:
    def __init__(self, workload):
        assert all(isinstance(layer, Dense) for layer in workload.model.layers)
        self.activations = [layer.activation for layer in workload.model.layers]
        arrays = workload.weights().values()
        self.flat = np.concatenate([array.ravel() for array in arrays])
        ends = np.cumsum([array.size for array in arrays])
        self.weights = self._views(self.flat, arrays, ends)
        self.gradient = np.empty_like(self.flat)
        self.gradients = self._views(self.gradient, arrays, ends)

    @staticmethod
    def _views(flat, arrays, ends):
        return [flat[end - a.size : end].reshape(a.shape) for a, end in zip(arrays, ends, strict=True)]

    def forward(self, x):
        """The activations of all layers, the input first."""
        found = [x]
        for kernel, bias, name in zip(self.weights[::2], self.weights[1::2], self.activations, strict=True):
            z = found[-1] @ kernel
            z += bias
            found.append(_FORWARD[name](z))
        return found

    def backward(self, activations, y):
        """Writes the gradients of the mean cross-entropy, which it returns."""
        scores = activations[-1]
        scores -= scores.max(1, keepdims=True)
        rows = np.arange(len(y))
        chosen = scores[rows, y]
        d = np.exp(scores, out=scores)
        total = d.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - chosen).mean()
        d /= total
        d[rows, y] -= 1
        d /= len(y)
        for i in reversed(range(len(self.activations))):
            np.matmul(activations[i].T, d, out=self.gradients[2 * i])
            d.sum(0, out=self.gradients[2 * i + 1])
            if i:
                d = d @ self.weights[2 * i].T
                d *= _BACKWARD[self.activations[i - 1]](activations[i])
        return loss


class Training(Case):
    form = "by hand, Adam"

    def __init__(self, workload):
        assert workload.optimizer == "adam"
        self.workload = workload
        self.x, self.y = workload.data()
        self.network = _Perceptron(workload)
        self.initial = self.network.flat.copy()
        self.m, self.v = np.zeros_like(self.initial), np.zeros_like(self.initial)
        self.t = 0
        self.generator = np.random.default_rng(0)

    def _step(self, index):
        loss = self.network.backward(self.network.forward(self.x[index]), self.y[index])
        gradient = self.network.gradient
        self.t += 1
        self.m += 0.1 * (gradient - self.m)
        self.v += 0.001 * (gradient * gradient - self.v)
        alpha = self.workload.learning_rate * (1 - 0.999**self.t) ** 0.5 / (1 - 0.9**self.t)
        self.network.flat -= alpha * self.m / (np.sqrt(self.v) + ADAM_EPSILON)
        return loss

    def reset(self):
        self.network.flat[...] = self.initial

    def check(self, steps):
        order = np.arange(len(self.x)).reshape(-1, self.workload.batch)
        return [self._step(index) for index in order[:steps]]

    def run(self, count):
        done = 0
        while done < count:
            for index in self.generator.permutation(len(self.x)).reshape(-1, self.workload.batch)[: count - done]:
                self._step(index)
                done += 1
        return done


class Inference(Case):
    form = "by hand"

    def __init__(self, workload):
        self.x = workload.data()[0]
        self.network = _Perceptron(workload)

    def check(self, steps):
        return self.network.forward(self.x)[-1].ravel()

    def run(self, count):
        for _ in range(count):
            self.network.forward(self.x)
        return count


def prepare(workload, threads, variant):
    return Training(workload) if workload.kind == "train" else Inference(workload)
