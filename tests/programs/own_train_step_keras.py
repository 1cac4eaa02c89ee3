"""The twin of own_train_step for Keras on PyTorch."""

import keras
import torch
from program_data import digits

keras.utils.set_random_seed(1)
layers, ops = keras.layers, keras.ops


class Cautious(keras.Model):
    def train_step(self, data):
        x, y = data
        self.zero_grad()
        logits = self(x, training=True)
        smooth = 0.9 * ops.one_hot(y, 10) + 0.01
        loss = -ops.mean(ops.sum(smooth * ops.log_softmax(logits), axis=-1))
        loss = loss + 1e-3 * ops.mean(ops.sum(ops.square(logits), axis=-1))
        loss.backward()
        with torch.no_grad():
            self.optimizer.apply([v.value.grad for v in self.trainable_weights], self.trainable_weights)
        self.mean_loss.update_state(loss)
        return {"loss": self.mean_loss.result()}


(x, y), (x_test, y_test) = digits()
inputs = layers.Input((8, 8, 1))
hidden = layers.Dense(48, activation="relu")(layers.Flatten()(inputs))
model = Cautious(inputs, layers.Dense(10)(hidden))
model.mean_loss = keras.metrics.Mean(name="mean_loss")
model.compile(optimizer=keras.optimizers.Adam(3e-3))
history = model.fit(x, y, batch_size=32, epochs=8, verbose=0)
loss = float(history.history["loss"][-1])
accuracy = (model.predict(x_test, verbose=0).argmax(-1) == y_test).mean()
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}")
