"""A metric of one's own, with state: how many digits of each class are recognised."""

import numpy as np
from program_data import digits

import jitnet as keras

keras.utils.set_random_seed(1)
layers, ops = keras.layers, keras.ops


class WorstRecall(keras.metrics.Metric):
    """The recall of the class that is recognised worst."""

    def __init__(self, classes, name="worst_recall", **kwargs):
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.right = self.add_variable(shape=(classes,), initializer="zeros", name="right")
        self.all = self.add_variable(shape=(classes,), initializer="zeros", name="all")

    def update_state(self, y_true, y_pred, sample_weight=None):
        wanted = ops.one_hot(ops.reshape(y_true, (-1,)), self.classes)
        found = ops.one_hot(ops.argmax(y_pred, axis=-1), self.classes)
        self.right.assign(self.right + ops.sum(wanted * found, axis=0))
        self.all.assign(self.all + ops.sum(wanted, axis=0))

    def result(self):
        return ops.min(self.right / (self.all + 1e-7))


(x, y), (x_test, y_test) = digits()
model = keras.Sequential(
    [layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)]
)
model.compile(
    optimizer=keras.optimizers.Adam(3e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy", WorstRecall(10)],
)
model.fit(x, y, batch_size=64, epochs=10, verbose=0)
results = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
loss, worst = results["loss"], float(results["worst_recall"])
predicted = model.predict(x_test, verbose=0).argmax(-1)
assert abs(worst - min(np.mean(predicted[y_test == c] == c) for c in range(10))) < 1e-4
print(f"loss {loss:.3f}, worst recall {worst:.3f}")
