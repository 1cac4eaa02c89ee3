"""Early stopping, a learning rate that falls on a plateau, the best weights on disk, a callback of one's own."""

import tempfile
from pathlib import Path

from program_data import digits

import jitnet as keras

keras.utils.set_random_seed(1)
layers, callbacks = keras.layers, keras.callbacks


class Rates(callbacks.Callback):
    """Remembers the learning rate of every epoch."""

    def on_train_begin(self, logs=None):
        self.rates = []

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


(x, y), (x_test, y_test) = digits()
model = keras.Sequential(
    [
        layers.Input((8, 8, 1)),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
rates = Rates()
with tempfile.TemporaryDirectory() as folder:
    best = Path(folder) / "best.weights.h5"
    if keras.__name__ == "jitnet":
        best = best.with_name("best.safetensors")
    history = model.fit(
        x, y, batch_size=32, epochs=25, validation_split=0.2, verbose=0,
        callbacks=[
            callbacks.EarlyStopping(monitor="val_loss", patience=6, restore_best_weights=True),
            callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.3, patience=2),
            callbacks.ModelCheckpoint(str(best), monitor="val_loss", save_best_only=True, save_weights_only=True),
            rates,
        ],
    )  # fmt: skip
    model.load_weights(str(best))
assert len(rates.rates) == len(history.history["loss"])
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"loss {loss:.3f}, accuracy {accuracy:.3f} after {len(rates.rates)} epochs, rate {rates.rates[-1]:.2g}")
