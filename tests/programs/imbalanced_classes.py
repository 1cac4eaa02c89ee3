"""One sample in fifty is a fault: class weights, and metrics that see more than the accuracy."""

import numpy as np
from program_data import rare

import jitnet as keras

keras.utils.set_random_seed(1)
layers, metrics = keras.layers, keras.metrics

x, y = rare(4000)
x_test, y_test = rare(2000, seed=1)
counts = np.bincount(y.astype(int))

model = keras.Sequential(
    [
        layers.Input((12,)),
        layers.Dense(32, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(32, activation="relu"),
        layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(1e-2),
    loss="binary_crossentropy",
    metrics=[
        metrics.FalseNegatives(name="fn"), metrics.FalsePositives(name="fp"), metrics.TrueNegatives(name="tn"),
        metrics.TruePositives(name="tp"), metrics.Precision(name="precision"), metrics.Recall(name="recall"),
        metrics.AUC(name="auc"),
    ],
)  # fmt: skip
model.fit(x, y, batch_size=256, epochs=15, verbose=0, class_weight={0: 1 / counts[0], 1: 1 / counts[1]})
results = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
loss, auc, recall = results["loss"], float(results["auc"]), float(results["recall"])
assert results["fn"] + results["fp"] + results["tn"] + results["tp"] == len(y_test)
print(f"loss {loss:.3f}, auc {auc:.3f}, recall {recall:.3f}")
