"""A layer of one's own that asks for sparse activations by ``add_loss``, in a subclassed model."""

from program_data import digits

import jitnet as keras

keras.utils.set_random_seed(1)
layers, ops = keras.layers, keras.ops


class Sparse(layers.Layer):
    """Passes its inputs on, and adds the mean of their absolute values to the loss."""

    def __init__(self, rate=1e-2, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def call(self, inputs):
        self.add_loss(self.rate * ops.mean(ops.abs(inputs)))
        return inputs


class Linear(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="w")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b


class Classifier(keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten = layers.Flatten()
        self.hidden = Linear(48)
        self.sparse = Sparse(0.1)
        self.top = Linear(10)

    def call(self, inputs):
        hidden = ops.relu(self.hidden(self.flatten(inputs)))
        return self.top(self.sparse(hidden))


(x, y), (x_test, y_test) = digits()
model = Classifier()
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(x, y, batch_size=32, epochs=10, verbose=0)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"loss {loss:.3f}, accuracy {accuracy:.3f}")
