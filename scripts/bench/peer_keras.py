"""Keras as users write it: ``train_on_batch`` of a functional model, or ``predict_on_batch``."""

import keras
from networks import walk
from peers import Case
from workloads import ADAM_EPSILON, MOMENTUM, NORM_EPSILON, NORM_MOMENTUM


class _Layers:
    def conv(self, name, x, filters, size, padding, stride, bias):
        x = keras.layers.ZeroPadding2D(padding)(x) if padding else x
        return keras.layers.Conv2D(filters, size, stride, use_bias=bias, name=f"{name}_convolution")(x)

    def norm(self, name, x):
        return keras.layers.BatchNormalization(momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, name=f"{name}_norm")(x)

    def relu(self, x):
        return keras.layers.ReLU()(x)

    def tanh(self, x):
        return keras.layers.Activation("tanh")(x)

    def gelu(self, x):
        return keras.layers.Activation("gelu")(x)

    def layer_norm(self, name, x):
        return keras.layers.LayerNormalization(epsilon=NORM_EPSILON, name=f"{name}_norm")(x)

    def pool(self, x, size, stride, padding):
        return keras.layers.MaxPooling2D(size, stride, "same" if padding else "valid")(x)

    def flatten(self, x):
        return keras.layers.Flatten()(x)

    def mean(self, x):
        return keras.layers.GlobalAveragePooling2D()(x)

    def dense(self, name, x, units):
        return keras.layers.Dense(units, name=f"{name}_dense")(x)

    def add(self, x, y):
        return keras.layers.Add()([x, y])


class FreshProcess(Case):
    form = "train_on_batch"

    def __init__(self, workload):
        self.workload = workload
        self.x, self.y = workload.data()
        inputs = keras.Input(workload.model.input_shape)
        self.model = keras.Model(inputs, walk(workload.model, _Layers(), inputs))
        by_name = workload.weights()
        for layer in self.model.layers:
            name = layer.name.rpartition("_")[0]
            layer.set_weights([by_name[f"{name}.{w.name.removeprefix('moving_')}"] for w in layer.weights])
        rate = workload.learning_rate
        adam = keras.optimizers.Adam(rate, epsilon=ADAM_EPSILON)
        optimizer = keras.optimizers.SGD(rate, MOMENTUM) if workload.optimizer == "sgd" else adam
        self.model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def check(self, steps):
        if self.workload.kind == "infer":
            return self.model.predict_on_batch(self.x).ravel()
        batch = self.workload.batch
        parts = [slice(i * batch, (i + 1) * batch) for i in range(steps)]
        return [float(self.model.train_on_batch(self.x[part], self.y[part])) for part in parts]


def prepare(workload, threads, variant):
    return FreshProcess(workload)
