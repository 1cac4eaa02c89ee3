"""Sine, saw tooth or square wave: a 1-D convolutional network on noisy series of any length."""

import numpy as np
from program_data import waves

import jitnet as keras

keras.utils.set_random_seed(1)
layers = keras.layers

x, y = waves(1200)
x_test, y_test = waves(400, seed=1)

inputs = layers.Input((None, 1))
h = inputs
for _ in range(3):
    h = layers.Conv1D(filters=24, kernel_size=5, padding="same")(h)
    h = layers.BatchNormalization()(h)
    h = layers.ReLU()(h)
h = layers.GlobalAveragePooling1D()(h)
outputs = layers.Dense(3, activation="softmax")(h)
model = keras.Model(inputs=inputs, outputs=outputs)
model.compile(
    optimizer=keras.optimizers.Adam(3e-3),
    loss="sparse_categorical_crossentropy",
    metrics=["sparse_categorical_accuracy"],
)
model.fit(x, y, batch_size=32, epochs=15, verbose=0)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
longer = model.predict(np.concatenate([x_test, x_test], axis=1), verbose=0)
assert longer.shape == (400, 3)
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}")
