"""A table with numbers and words: will a loan be paid back?"""

import numpy as np
from program_data import loans

import jitnet as keras

keras.utils.set_random_seed(1)
layers = keras.layers

frame, paid = loans(3000)
frame_test, paid_test = loans(1000, seed=1)

purposes = np.unique(frame["purpose"])
encoding = layers.CategoryEncoding(num_tokens=len(purposes), output_mode="one_hot")
normalizers = {}
for name in ("income", "amount", "years"):
    normalizers[name] = layers.Normalization(axis=None, name=f"normalized_{name}")
    normalizers[name].adapt(np.log(frame[name].astype("float32")))


def columns(frame):
    numbers = {name: np.log(frame[name].astype("float32"))[:, None] for name in normalizers}
    return {**numbers, "purpose": np.searchsorted(purposes, frame["purpose"])[:, None]}


inputs = {name: keras.Input((1,), name=name) for name in normalizers}
inputs["purpose"] = keras.Input((1,), name="purpose", dtype="int64")
encoded = [normalizers[name](inputs[name]) for name in normalizers] + [encoding(inputs["purpose"])]
features = layers.concatenate(encoded)
h = layers.Dense(32, activation="relu")(features)
h = layers.Dropout(0.2)(h)
model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(h))
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(columns(frame), paid, batch_size=32, epochs=8, validation_split=0.1, verbose=0)
loss, accuracy = model.evaluate(columns(frame_test), paid_test, verbose=0)
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}")
