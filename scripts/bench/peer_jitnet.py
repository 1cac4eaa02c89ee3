"""jitnet's form of the workloads: Keras-style models, trained by ``fit``."""

import time

import numpy as np
from networks import Encoder, is_state, walk
from peers import Case
from workloads import MOMENTUM, NORM_EPSILON, NORM_MOMENTUM, WEIGHT_DECAY

import jitnet
from jitnet import layers, losses, ops, optimizers, text
from jitnet.builder import Computation
from jitnet.core.values import placeholder
from jitnet.step import Step


class PaddedConv2D(layers.Layer):
    """A convolution without bias with the same padding on all sides, which is not what "same" means with strides."""

    def __init__(self, filters, size, stride, padding, **arguments):
        super().__init__(**arguments)
        self.filters, self.size, self.stride, self.padding = filters, size, stride, padding

    def build(self, input_shape):
        self.kernel = self.add_weight((self.size, self.size, input_shape[-1], self.filters), name="kernel")

    def call(self, inputs):
        return ops.conv(inputs, self.kernel, self.stride, ((self.padding,) * 2,) * 2)


class PaddedDepthwiseConv2D(layers.Layer):
    """A depthwise convolution without bias with the same padding on all sides."""

    def __init__(self, size, stride, padding, **arguments):
        super().__init__(**arguments)
        self.size, self.stride, self.padding = size, stride, padding

    def build(self, input_shape):
        self.kernel = self.add_weight((self.size, self.size, input_shape[-1], 1), name="kernel")

    def call(self, inputs):
        return ops.depthwise_conv(inputs, self.kernel, self.stride, ((self.padding,) * 2,) * 2)


class PaddedMaxPooling2D(layers.Layer):
    """Maximum of windows, with the same padding on all sides."""

    def __init__(self, size, stride, padding, **arguments):
        super().__init__(**arguments)
        self.size, self.stride, self.padding = size, stride, padding

    def call(self, inputs):
        return ops.max_pool(inputs, self.size, self.stride, ((self.padding,) * 2,) * 2)


class Shortcut(layers.Layer):
    """Every ``stride``-th pixel, and channels of zeros on both sides up to ``filters``."""

    def __init__(self, filters, stride, **arguments):
        super().__init__(**arguments)
        self.filters, self.stride = filters, stride

    def call(self, inputs):
        x = ops.average_pool(inputs, 1, self.stride)
        _, height, width, channels = x.shape
        before = (self.filters - channels) // 2
        # ops.pad pads height and width only: channels take the place of width
        x = ops.reshape(x, (-1, height * width, channels, 1))
        x = ops.pad(x, ((0, 0), (0, 0), (before, self.filters - channels - before), (0, 0)))
        return ops.reshape(x, (-1, height, width, self.filters))


class MinimalGatedUnit(layers.Layer):
    """A cell as a user writes it."""

    def __init__(self, units, **arguments):
        super().__init__(**arguments)
        self.state_size = units

    def build(self, input_shape):
        for gate in ("forget_", ""):
            for kind, rows in (("kernel", input_shape[-1]), ("recurrent", self.state_size)):
                setattr(self, gate + kind, self.add_weight((rows, self.state_size), name=gate + kind))
            setattr(self, f"{gate}bias", self.add_weight((self.state_size,), "zeros", name=f"{gate}bias"))

    def call(self, x, states):
        (h,) = states
        f = ops.sigmoid(x @ self.forget_kernel + h @ self.forget_recurrent + self.forget_bias)
        new = ops.tanh(x @ self.kernel + (f * h) @ self.recurrent + self.bias)
        h = (1 - f) * h + f * new
        return h, [h]


class _Layers:
    def conv(self, name, x, filters, size, padding, stride, bias):
        if padding and stride > 1:
            return PaddedConv2D(filters, size, stride, padding, name=f"{name}_convolution")(x)
        same = "same" if padding else "valid"
        kind = layers.Conv2D if len(x.shape) == 4 else layers.Conv1D
        return kind(filters, size, stride, same, use_bias=bias, name=f"{name}_convolution")(x)

    def depthwise(self, name, x, size, padding, stride):
        return PaddedDepthwiseConv2D(size, stride, padding, name=f"{name}_depthwise")(x)

    def norm(self, name, x):
        return layers.BatchNormalization(momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON, name=f"{name}_norm")(x)

    def relu(self, x):
        return layers.ReLU()(x)

    def tanh(self, x):
        return layers.Activation("tanh")(x)

    def gelu(self, x):
        return layers.Activation("gelu")(x)

    def layer_norm(self, name, x):
        return layers.LayerNormalization(epsilon=NORM_EPSILON, name=f"{name}_norm")(x)

    def pool(self, x, size, stride, padding):
        if padding:
            return PaddedMaxPooling2D(size, stride, padding)(x)
        return (layers.MaxPooling2D if len(x.shape) == 4 else layers.MaxPooling1D)(size, stride)(x)

    def flatten(self, x):
        return layers.Flatten()(x)

    def mean(self, x):
        return (layers.GlobalAveragePooling2D if len(x.shape) == 4 else layers.GlobalAveragePooling1D)()(x)

    def dense(self, name, x, units):
        return layers.Dense(units, name=f"{name}_dense")(x)

    def recurrent(self, name, x, kind, units, sequences):
        return getattr(layers, kind.upper())(units, return_sequences=sequences, name=name)(x)

    def own_cell(self, name, x, units):
        return layers.RNN(MinimalGatedUnit(units, name=f"{name}_cell"))(x)

    def shortcut(self, x, filters, stride):
        return Shortcut(filters, stride)(x)

    def add(self, x, y):
        return layers.Add()([x, y])

    def transposed(self, name, x, filters):
        return layers.Conv2DTranspose(filters, 2, 2, name=f"{name}_transposed")(x)

    def concatenate(self, x, y):
        return layers.Concatenate()([x, y])

    def encoder(self, name, x, heads, hidden):
        return layers.TransformerEncoder(
            hidden, heads, activation="gelu", layer_norm_epsilon=NORM_EPSILON, normalize_first=True, name=name
        )(x)


def _model(workload):
    inputs = jitnet.Input(workload.model.input_shape)
    model = jitnet.Model(inputs, walk(workload.model, _Layers(), inputs), name="benchmark")
    found = _in_order(model, model.weights, workload.weights())
    model.set_weights([array.reshape(v.shape) for array, v in zip(found, model.weights, strict=True)])
    return model


def _in_order(model, variables, by_name):
    """What the benchmark has by name, in the order of a model's variables: branches may come in another order."""
    blocks = [layer for layer in model.layers if isinstance(layer, layers.TransformerEncoder)]
    parts = {}
    for block in blocks:
        names = [f"{part}.{kind}" for part, kinds in Encoder.names(block.name).items() for kind in kinds]
        parts |= dict(zip(block.weights, names, strict=True))
    found = []
    for variable in variables:
        if variable in parts:
            found.append(by_name[parts[variable]])
            continue
        layer, kind = variable.name.split("/")
        name, _, role = layer.rpartition("_")
        found.append(by_name[f"{name}.{'depthwise' if role == 'depthwise' else kind.removeprefix('moving_')}"])
    return found


class Training(Case):
    def __init__(self, workload, ordinary=False):
        self.workload, self.ordinary = workload, ordinary
        self.x, self.y = workload.data()
        self.model = _model(workload)
        self.weights = self.model.get_weights()
        self._compile("auto")

    def _compile(self, jit_compile):
        rate = self.workload.learning_rate
        optimizer = {
            "sgd": lambda: optimizers.SGD(rate, MOMENTUM), "adam": lambda: optimizers.Adam(rate),
            "adamw": lambda: optimizers.AdamW(rate, WEIGHT_DECAY),
        }[self.workload.optimizer]()  # fmt: skip
        loss = losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer, loss, jit_compile=jit_compile)
        self.form = f"jit_compile={jit_compile}"

    def check(self, steps):
        batch = self.workload.batch
        parts = [slice(i * batch, (i + 1) * batch) for i in range(steps)]
        return [self.model.train_on_batch(self.x[part], self.y[part]) for part in parts]

    def tune(self):
        if self.ordinary:
            self.x = (self.x.astype(float) / self.workload.input_scale).astype(np.float32)
        found = {}
        for mode in (False, True):
            self._compile(mode)
            self.run(1)
            self.reset()
            times = []
            while sum(times) < 0.3 or len(times) < 2:
                start = time.perf_counter()
                self.run(1)
                times.append(time.perf_counter() - start)
            found[mode] = min(times)
        self._compile(min(found, key=found.get))

    def reset(self):
        self.model.set_weights(self.weights)

    def gradients(self, batch):
        part = slice(batch * self.workload.batch, (batch + 1) * self.workload.batch)
        self.reset()
        # with so large a step the weights become the gradients: what they were before is lost in rounding
        scale = 2.0**40
        self.model.compile(optimizers.SGD(scale), losses.SparseCategoricalCrossentropy(from_logits=True))
        self.model.train_on_batch(self.x[part], self.y[part])
        names = {name: name for name in self.workload.weights() if not is_state(name)}
        trained = self.model.trainable_weights
        return {
            name: -v.numpy() / scale for name, v in zip(_in_order(self.model, trained, names), trained, strict=True)
        }

    def run(self, count):
        epochs = max(1, round(count / self.workload.steps))
        self.model.fit(self.x, self.y, batch_size=self.workload.batch, epochs=epochs, verbose=0)
        return epochs * self.workload.steps


class Inference(Case):
    def __init__(self, workload):
        self.x = workload.data()[0]
        self.model = _model(workload)
        self.form = "predict_on_batch"

    def check(self, steps):
        return self.model.predict_on_batch(self.x).ravel()

    def run(self, count):
        for _ in range(count):
            self.model.predict_on_batch(self.x)
        return count


class Generation(Case):
    """A decoder that generates one sequence."""

    form = "text.generate"

    def __init__(self, workload):
        from operands import decoder_weights

        vocabulary, features, heads, hidden, blocks, self.new = workload.shape
        tokens = jitnet.Input((None,), dtype="int32")
        x = layers.TokenAndPositionEmbedding(vocabulary, self.new, features)(tokens)
        for _ in range(blocks):
            x = layers.TransformerDecoder(
                hidden, heads, activation="gelu", layer_norm_epsilon=NORM_EPSILON, normalize_first=True
            )(x)
        x = layers.LayerNormalization(epsilon=NORM_EPSILON)(x)
        self.model = jitnet.Model(tokens, layers.Dense(vocabulary)(x))
        arrays = zip(decoder_weights(workload.shape), self.model.weights, strict=True)
        self.model.set_weights([array.reshape(v.shape) for array, v in arrays])

    def check(self, steps):
        return text.generate(self.model, [1], self.new).astype(float)

    def run(self, count):
        for _ in range(count):
            text.generate(self.model, [1], self.new)
        return count


class Stream(Case):
    """Predictions for one step of a sequence after the other: the layer keeps its states."""

    def __init__(self, workload):
        self.x = workload.data()[0]
        recurrent, dense = workload.model.layers
        own = getattr(layers, recurrent.kind.upper())(recurrent.units, stateful=True, name="layer0")
        inputs = jitnet.Input(workload.model.input_shape, batch_size=1)
        self.model = jitnet.Sequential([inputs, own, layers.Dense(dense.units, name="layer1_dense")])
        variables = self.model.trainable_weights
        for variable, value in zip(variables, _in_order(self.model, variables, workload.weights()), strict=True):
            variable.assign(value)
        self.form = "predict_on_batch, stateful"

    def check(self, steps):
        self.model.layers[0].reset_states()
        return np.concatenate([self.model.predict_on_batch(self.x) for _ in range(steps)]).ravel()

    def run(self, count):
        for _ in range(count):
            self.model.predict_on_batch(self.x)
        return count


class Pointwise(Case):
    """A function and its gradient, as a step of their own."""

    def __init__(self, workload):
        from operands import gelu, pointwise_operands

        x, dy = pointwise_operands(workload.shape)
        inputs = {name: placeholder(name, x.shape[1:], "float32") for name in ("x", "dy")}
        y = gelu(inputs["x"], ops.tanh)
        computation = Computation(inputs, [y], seeds={y: inputs["dy"]}, wanted_inputs=[inputs["x"]])
        self.step = Step("Pointwise", computation)
        self.batch = len(x)
        self.arrays = {"x": x, "dy": dy, "seed": 0, "t": 0, "results": np.zeros(self.step.results)}
        for name in (*self.step.output_arguments, *self.step.gradient_arguments):
            self.arrays[name] = np.empty_like(x)

    def check(self, steps):
        self.run(1)
        return self.arrays[self.step.gradient_arguments[0]].ravel()[::9973]

    def run(self, count):
        self.step.run(self.batch, count, self.arrays, compiled=False)
        return count


def prepare(workload, threads, variant):
    jitnet.set_num_threads(threads)
    jitnet.set_dtype_policy("float32" if variant == "float32" else workload.policy)
    if workload.kind == "pointwise":
        return Pointwise(workload)
    if workload.kind == "generate":
        return Generation(workload)
    if workload.kind in ("train", "memory", "gradients", "cold"):
        return Training(workload, ordinary=variant == "ordinary")
    if workload.kind == "stream":
        return Stream(workload)
    if workload.kind in ("infer", "one_sample"):
        return Inference(workload)
    import kernels_jitnet

    return kernels_jitnet.prepare(workload, threads)
