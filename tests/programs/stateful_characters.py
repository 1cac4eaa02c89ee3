"""The next character of a text that is read in pieces: a GRU that keeps its state from piece to piece."""

import numpy as np
from program_data import rhymes

import jitnet as keras

keras.utils.set_random_seed(3)
layers = keras.layers
STREAMS, STEPS = 16, 5

text = rhymes(801)
characters = ["", *sorted(set(text))]  # 0 stands for no more of them
numbers = np.array([characters.index(c) for c in text])


def built(streams, steps):
    return keras.Sequential(
        [
            keras.Input(batch_shape=(streams, steps), dtype="int32"),
            layers.Embedding(len(characters), 6, mask_zero=True),
            layers.GRU(16, return_sequences=True, stateful=True),
            layers.Dense(len(characters), activation="softmax"),
        ]
    )


def pieces(numbers):
    """(batches * STREAMS, STEPS): each batch goes on where the one before it ended."""
    streams = numbers[: len(numbers) // (STREAMS * STEPS) * STREAMS * STEPS].reshape(STREAMS, -1, STEPS)
    return streams.transpose(1, 0, 2).reshape(-1, STEPS).astype("int32")


def forget(model):
    for layer in model.layers:
        if hasattr(layer, "reset_states"):
            layer.reset_states()


x, y = pieces(numbers[:-1]), pieces(numbers[1:])
model = built(STREAMS, STEPS)
model.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
for _ in range(8):
    forget(model)
    model.fit(x, y, batch_size=STREAMS, shuffle=False, verbose=0)
forget(model)
loss = model.evaluate(x, y, batch_size=STREAMS, verbose=0)

writer = built(1, 1)
writer.set_weights(model.get_weights())
written = "red blu"
for c in written[:-1]:
    writer.predict(np.array([[characters.index(c)]]), verbose=0)
for _ in range(10):
    p = writer.predict(np.array([[characters.index(written[-1])]]), verbose=0)
    written += characters[int(p[0, 0].argmax())]
assert written == "red blue green re", written
print(f"loss {loss:.3f}: {written}")
