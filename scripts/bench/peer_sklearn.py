"""scikit-learn's MLPClassifier: one call of ``partial_fit`` is an epoch of minibatches."""

import numpy as np
from peers import Case
from sklearn.neural_network import MLPClassifier
from workloads import MOMENTUM


class Training(Case):
    form = "partial_fit of an epoch"

    def __init__(self, workload):
        self.workload = workload
        self.x, self.y = workload.data()
        hidden = [layer.units for layer in workload.model.layers[:-1]]
        self.model = MLPClassifier(
            hidden, "relu", solver="sgd", alpha=0, batch_size=workload.batch, momentum=MOMENTUM,
            nesterovs_momentum=False, learning_rate_init=workload.learning_rate,
        )  # fmt: skip
        first = slice(workload.batch)
        self.model.partial_fit(self.x[first], self.y[first], classes=np.arange(workload.model.classes))
        self.reset()
        for velocity in self.model._optimizer.velocities:
            velocity[...] = 0

    def reset(self):
        weights = list(self.workload.weights().values())
        for ours, theirs in ((weights[::2], self.model.coefs_), (weights[1::2], self.model.intercepts_)):
            for array, target in zip(ours, theirs, strict=True):
                target[...] = array

    def check(self, steps):
        found, batch = [], self.workload.batch
        for i in range(steps):
            part = slice(i * batch, (i + 1) * batch)
            self.model.partial_fit(self.x[part], self.y[part])
            found.append(self.model.loss_)
        return found

    def run(self, count):
        epochs = max(1, round(count / self.workload.steps))
        for _ in range(epochs):
            self.model.partial_fit(self.x, self.y)
        return epochs * self.workload.steps


def prepare(workload, threads, variant):
    return Training(workload)
