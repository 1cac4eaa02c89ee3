"""A tag for each word, of which what comes after it decides: a bidirectional GRU, and a loss of the words alone."""

import numpy as np
from program_data import tagged

import jitnet as keras

keras.utils.set_random_seed(2)
layers = keras.layers
STEPS = 6


def padded(lists):
    return keras.utils.pad_sequences(lists, maxlen=STEPS, padding="post")


texts, tags = tagged(256)
texts_test, tags_test = tagged(100, seed=1)
x, y, x_test, y_test = padded(texts), padded(tags), padded(texts_test), padded(tags_test)

model = keras.Sequential(
    [
        keras.Input((STEPS,), dtype="int32"),
        layers.Embedding(12, 8, mask_zero=True),
        layers.Bidirectional(layers.GRU(12, return_sequences=True), merge_mode="concat"),
        layers.Dropout(0.05),
        layers.TimeDistributed(layers.Dense(3, activation="softmax")),
    ]
)
model.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, batch_size=64, epochs=16, verbose=0)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
# the loss and the accuracy are those of the words
p = model.predict(x_test, verbose=0)
words = x_test != 0
of_tags = np.take_along_axis(p, y_test[..., None].astype("int64"), 2)[..., 0]
np.testing.assert_allclose(loss, -np.log(of_tags[words]).mean(), rtol=0.02)
np.testing.assert_allclose(accuracy, (p.argmax(-1) == y_test)[words].mean(), rtol=0.02)
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}")
