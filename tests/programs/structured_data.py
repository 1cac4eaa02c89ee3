"""A table whose columns are inputs of their own, numbers and words, as in Keras's guide to structured data.

Its twin is structured_data_keras, because Keras's lookups need TensorFlow.
"""

from program_data import loans

import jitnet as keras

keras.utils.set_random_seed(1)
layers = keras.layers

frame, paid = loans(1500)
frame_test, paid_test = loans(1000, seed=1)


def encode_numerical_feature(feature, name):
    normalizer = layers.Normalization()
    normalizer.adapt(frame[name][:, None])
    return normalizer(feature)


def encode_categorical_feature(feature, name, is_string):
    lookup_class = layers.StringLookup if is_string else layers.IntegerLookup
    lookup = lookup_class(output_mode="multi_hot")
    lookup.adapt(frame[name])
    return lookup(feature)


purpose = keras.Input(shape=(1,), name="purpose", dtype="string")
years = keras.Input(shape=(1,), name="years", dtype="int64")
income = keras.Input(shape=(1,), name="income")
amount = keras.Input(shape=(1,), name="amount")
all_inputs = [purpose, years, income, amount]
all_features = layers.concatenate(
    [
        encode_categorical_feature(purpose, "purpose", True),
        encode_categorical_feature(years, "years", False),
        encode_numerical_feature(income, "income"),
        encode_numerical_feature(amount, "amount"),
    ]
)
x = layers.Dense(32, activation="relu")(all_features)
x = layers.Dropout(0.5)(x)
output = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(all_inputs, output)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(frame, paid, batch_size=32, epochs=5, validation_split=0.1, verbose=0)
loss, accuracy = model.evaluate(frame_test, paid_test, verbose=0)
sample = {"purpose": ["car"], "years": [10], "income": [30000.0], "amount": [5000.0]}
(probability,) = model.predict(sample, verbose=0)[0]
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}, of a sample {probability:.2f}")
