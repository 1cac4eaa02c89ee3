"""Digits of 4 x 4 pixels made twice as large by a sub-pixel convolution (Shi et al. 2016)."""

import numpy as np
from program_data import digits

import jitnet as keras

keras.utils.set_random_seed(1)
layers, ops = keras.layers, keras.ops

FACTOR = 2


class DepthToSpace(layers.Layer):
    """(batch, height, width, channels * factor^2) to (batch, height * factor, width * factor, channels)."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        _, height, width, depth = ops.shape(inputs)
        f, channels = self.factor, depth // self.factor**2
        x = ops.reshape(inputs, (-1, height, width, f, f, channels))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height * f, width * f, channels))


def small(images):
    n, height, width, channels = images.shape
    return images.reshape(n, height // FACTOR, FACTOR, width // FACTOR, FACTOR, channels).mean(axis=(2, 4))


(x, _), (x_test, _) = digits()
model = keras.Sequential(
    [
        layers.Input((4, 4, 1)),
        layers.Conv2D(32, 3, activation="relu", padding="same", kernel_initializer="orthogonal"),
        layers.Conv2D(32, 3, activation="relu", padding="same", kernel_initializer="orthogonal"),
        layers.Conv2D(FACTOR**2, 3, padding="same", kernel_initializer="orthogonal"),
        DepthToSpace(FACTOR),
    ]
)
model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=keras.losses.MeanSquaredError())
model.fit(small(x), x, batch_size=32, epochs=8, verbose=0)
loss = model.evaluate(small(x_test), x_test, verbose=0)
repeated = small(x_test).repeat(FACTOR, axis=1).repeat(FACTOR, axis=2)
print(f"loss {loss:.4f}; by repetition {np.mean((repeated - x_test) ** 2):.4f}")
