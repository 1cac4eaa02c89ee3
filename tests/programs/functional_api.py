"""Two inputs, two outputs: a digit's image and its ink give its label and the ink of its upper half."""

from program_data import digits

import jitnet as keras

keras.utils.set_random_seed(1)
layers = keras.layers

(x, y), (x_test, y_test) = digits()


def inputs_and_targets(x, y):
    ink, upper = x.mean(axis=(1, 2)), x[:, :4].mean(axis=(1, 2))
    return {"image": x, "ink": ink}, {"digit": y, "upper": upper}


image = keras.Input((8, 8, 1), name="image")
ink = keras.Input((1,), name="ink")
features = layers.Conv2D(16, 3, activation="relu", padding="same")(image)
features = layers.MaxPooling2D(2)(features)
features = layers.Flatten()(features)
features = layers.concatenate([features, layers.Dense(4, activation="relu")(ink)])
shared = layers.Dense(32, activation="relu")(features)
digit = layers.Dense(10, name="digit")(shared)
upper = layers.Dense(1, name="upper")(shared)

model = keras.Model(inputs=[image, ink], outputs={"digit": digit, "upper": upper})
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss={
        "digit": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "upper": keras.losses.MeanSquaredError(),
    },
    loss_weights={"digit": 1.0, "upper": 0.5},
    metrics={"digit": ["accuracy"]},
)
model.fit(*inputs_and_targets(x, y), batch_size=32, epochs=8, validation_split=0.1, verbose=0)
results = model.evaluate(*inputs_and_targets(x_test, y_test), verbose=0, return_dict=True)
loss, accuracy = results["loss"], results["digit_accuracy"]
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}")
