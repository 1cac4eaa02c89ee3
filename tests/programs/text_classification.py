"""Praise or blame: a bidirectional LSTM on texts of unequal length, padded and masked."""

import numpy as np
from program_data import reviews

import jitnet as keras

keras.utils.set_random_seed(1)
layers = keras.layers

texts, y = reviews(256)
texts_test, y_test = reviews(100, seed=1)
x = keras.utils.pad_sequences(texts, maxlen=6, padding="post")
x_test = keras.utils.pad_sequences(texts_test, maxlen=6, padding="post")

inputs = keras.Input(shape=(None,), dtype="int32")
h = layers.Embedding(20, 8, mask_zero=True)(inputs)
h = layers.Bidirectional(layers.LSTM(8))(h)
outputs = layers.Dense(1, activation="sigmoid")(h)
model = keras.Model(inputs, outputs)
model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy", metrics=["accuracy"])
model.fit(x, y, batch_size=64, epochs=6, validation_split=0.1, verbose=0)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
# how many zeros stand behind a text doesn't matter
longer = keras.utils.pad_sequences(texts_test[:20], maxlen=8, padding="post")
np.testing.assert_allclose(model.predict(longer, verbose=0), model.predict(x_test[:20], verbose=0), atol=1e-5)
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}")
