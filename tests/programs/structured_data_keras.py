"""The twin of structured_data for Keras on PyTorch: the lookups are NumPy's."""

import keras
import numpy as np
from program_data import loans

keras.utils.set_random_seed(1)
layers = keras.layers

frame, paid = loans(1500)
frame_test, paid_test = loans(1000, seed=1)
words = {name: np.unique(frame[name]) for name in ("purpose", "years")}


def encoded(frame):
    rows = {name: (frame[name][:, None] == words[name]).astype("float32") for name in words}
    return {**rows, **{name: frame[name][:, None] for name in ("income", "amount")}}


def encode_numerical_feature(feature, name):
    normalizer = layers.Normalization()
    normalizer.adapt(frame[name][:, None])
    return normalizer(feature)


purpose = keras.Input(shape=(len(words["purpose"]),), name="purpose")
years = keras.Input(shape=(len(words["years"]),), name="years")
income = keras.Input(shape=(1,), name="income")
amount = keras.Input(shape=(1,), name="amount")
all_inputs = [purpose, years, income, amount]
all_features = layers.concatenate(
    [purpose, years, encode_numerical_feature(income, "income"), encode_numerical_feature(amount, "amount")]
)
x = layers.Dense(32, activation="relu")(all_features)
x = layers.Dropout(0.5)(x)
output = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(all_inputs, output)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(encoded(frame), paid, batch_size=32, epochs=5, validation_split=0.1, verbose=0)
loss, accuracy = model.evaluate(encoded(frame_test), paid_test, verbose=0)
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}")
