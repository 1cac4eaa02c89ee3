"""A convolutional autoencoder that takes noise out of digits."""

import numpy as np
from program_data import digits

import jitnet as keras

keras.utils.set_random_seed(1)
layers = keras.layers

(x, _), (x_test, _) = digits()
random = np.random.default_rng(2)


def noisy(images):
    return np.clip(images + 0.4 * random.standard_normal(images.shape), 0, 1).astype("float32")


inputs = layers.Input(shape=(8, 8, 1))
# the encoder
h = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(inputs)
h = layers.MaxPooling2D((2, 2), padding="same")(h)
h = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(h)
h = layers.MaxPooling2D((2, 2), padding="same")(h)
# the decoder
h = layers.Conv2DTranspose(16, (3, 3), strides=2, activation="relu", padding="same")(h)
h = layers.Conv2DTranspose(16, (3, 3), strides=2, activation="relu", padding="same")(h)
outputs = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(h)

autoencoder = keras.Model(inputs, outputs)
autoencoder.compile(optimizer="adam", loss="binary_crossentropy")
autoencoder.fit(noisy(x), x, epochs=6, batch_size=32, shuffle=True, verbose=0)
test = noisy(x_test)
loss = autoencoder.evaluate(test, x_test, verbose=0)
before, after = np.mean((test - x_test) ** 2), np.mean((autoencoder.predict(test, verbose=0) - x_test) ** 2)
print(f"loss {loss:.3f}, mean squared error {before:.3f} before and {after:.3f} after")
