"""LeNet-5 on MNIST: 99 % of the test images within 12 epochs.

The network is that of Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86(11), 1998, figure 2 (99.05 % there), with ReLU, maximum pooling and Adam.

    python scripts/mnist_lenet.py

MNIST is looked for in $JITNET_DATA_DIR/mnist/ and downloaded otherwise.
"""

import jitnet as keras
from jitnet import layers

EPOCHS = 12
BATCH_SIZE = 128

keras.utils.set_random_seed(0)

(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
x_train = x_train[..., None].astype("float32") / 255
x_test = x_test[..., None].astype("float32") / 255

model = keras.Sequential(
    [
        keras.Input(shape=(28, 28, 1)),
        layers.Conv2D(6, kernel_size=5, padding="same", activation="relu"),
        layers.MaxPooling2D(pool_size=2),
        layers.Conv2D(16, kernel_size=5, activation="relu"),
        layers.MaxPooling2D(pool_size=2),
        layers.Flatten(),
        layers.Dense(120, activation="relu"),
        layers.Dense(84, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ],
    name="lenet5",
)
model.summary()

steps = EPOCHS * -(-len(x_train) // BATCH_SIZE)
learning_rate = keras.optimizers.schedules.CosineDecay(0.002, decay_steps=steps)
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(x_train, y_train, batch_size=BATCH_SIZE, epochs=EPOCHS)

loss, accuracy = model.evaluate(x_test, y_test, batch_size=256, verbose=0)
print(f"Test accuracy: {100 * accuracy:.2f} %, loss: {loss:.4f}")
model.save("lenet5.safetensors")
