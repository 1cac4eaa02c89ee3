"""A small U-Net of separable convolutions that finds a digit's strokes in a noisy image of 16 x 16."""

import numpy as np
from program_data import digits

import jitnet as keras

keras.utils.set_random_seed(1)
layers = keras.layers


def scene(images, seed):
    random = np.random.default_rng(seed)
    large = np.kron(images[..., 0], np.ones((2, 2)))[..., None]
    return (large + 0.5 * random.standard_normal(large.shape)).astype("float32"), (large > 0.5).astype("float32")


def block(x, filters):
    for _ in range(2):
        x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
    return x


def unet(size):
    inputs = keras.Input(shape=(*size, 1))
    x = layers.Conv2D(12, 3, padding="same", activation="relu")(inputs)
    kept = []
    for filters in (16, 32):
        x = block(x, filters)
        kept.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = block(x, 32)
    for filters in (32, 16):
        x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation="relu")(x)
        x = layers.Concatenate()([x, kept.pop()])
        x = block(x, filters)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


(x, _), (x_test, _) = digits()
(x, y), (x_test, y_test) = scene(x[:640], 2), scene(x_test[:200], 3)
model = unet((16, 16))
model.compile(keras.optimizers.Adam(3e-3), loss="binary_crossentropy", metrics=["accuracy"])
model.fit(x, y, batch_size=16, epochs=6, validation_split=0.1, verbose=0)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}")
