"""A small network of dense layers on the bundled digits of 8x8 pixels.

    python scripts/digits_mlp.py
"""

import jitnet as keras
from jitnet import layers

keras.utils.set_random_seed(0)

(x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
x_train = x_train.astype("float32") / 16
x_test = x_test.astype("float32") / 16

model = keras.Sequential(
    [
        keras.Input(shape=(8, 8)),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
learning_rate = keras.optimizers.schedules.ExponentialDecay(0.003, decay_steps=450, decay_rate=0.5)
# a step of so small a network takes less time than a call from Python: run many of them in one compiled call
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
    jit_compile=True,
)
model.fit(x_train, y_train, batch_size=32, epochs=30, verbose=2)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"Test accuracy: {100 * accuracy:.2f} %, loss: {loss:.4f}")
print("First images:", model.predict(x_test[:10]).argmax(axis=1), "labels:", y_test[:10])
