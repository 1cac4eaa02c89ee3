"""JAX's best form: one jitted step with donated state, or ``lax.scan`` over the steps of an epoch."""

from functools import partial

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp
from networks import is_state, walk
from peers import Case
from workloads import ADAM_EPSILON, MOMENTUM, NORM_EPSILON, NORM_MOMENTUM


class _Operations:
    """The operations of a walk over ``weights``; training collects new moving statistics in ``states``."""

    def __init__(self, weights, training):
        self.weights, self.training, self.states = weights, training, {}
        self.first = self.last = None  # states of a recurrent layer, where they are kept

    def conv(self, name, x, filters, size, padding, stride, bias):
        y = lax.conv_general_dilated(
            x, self.weights[f"{name}.kernel"], (stride, stride), [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        return y + self.weights[f"{name}.bias"] if bias else y

    def depthwise(self, name, x, size, padding, stride):
        return lax.conv_general_dilated(
            x, self.weights[f"{name}.depthwise"].transpose(0, 1, 3, 2), (stride, stride), [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=x.shape[3],
        )  # fmt: skip

    def norm(self, name, x):
        gamma, beta, mean, variance = (self.weights[f"{name}.{k}"] for k in ("gamma", "beta", "mean", "variance"))
        if self.training:
            found = {"mean": x.mean((0, 1, 2)), "variance": x.var((0, 1, 2))}
            for key, moving in (("mean", mean), ("variance", variance)):
                self.states[f"{name}.{key}"] = NORM_MOMENTUM * moving + (1 - NORM_MOMENTUM) * found[key]
            mean, variance = found["mean"], found["variance"]
        return (x - mean) * (gamma * lax.rsqrt(variance + NORM_EPSILON)) + beta

    def relu(self, x):
        return jax.nn.relu(x)

    def tanh(self, x):
        return jnp.tanh(x)

    def gelu(self, x):
        return jax.nn.gelu(x, approximate=False)

    def layer_norm(self, name, x):
        centred = x - x.mean(-1, keepdims=True)
        scale = lax.rsqrt((centred * centred).mean(-1, keepdims=True) + NORM_EPSILON)
        return centred * scale * self.weights[f"{name}.gamma"] + self.weights[f"{name}.beta"]

    def pool(self, x, size, stride, padding):
        if (size, stride, padding) != (2, 2, 0):
            around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), around)
        # faster than lax.reduce_window, whose gradient is slow on CPUs
        images, height, width, channels = x.shape
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        return x.reshape(images, height // 2, 2, width // 2, 2, channels).max((2, 4))

    def flatten(self, x):
        return x.reshape(len(x), -1)

    def mean(self, x):
        return x.mean((1, 2))

    def dense(self, name, x, units):
        return x @ self.weights[f"{name}.kernel"] + self.weights[f"{name}.bias"]

    def recurrent(self, name, x, kind, units, sequences):
        kernel, recurrent, bias = (self.weights[f"{name}.{k}"] for k in ("kernel", "recurrent_kernel", "bias"))
        z = (x @ kernel + (bias if kind == "lstm" else bias[0])).swapaxes(0, 1)  # of all steps at once

        def lstm(states, z):
            h, c = states
            i, f, g, o = jnp.split(z + h @ recurrent, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h if sequences else None

        def gru(states, z):
            (h,) = states
            k = h @ recurrent + bias[1]
            u, r = (jax.nn.sigmoid(z[:, g] + k[:, g]) for g in (slice(0, units), slice(units, 2 * units)))
            h = u * h + (1 - u) * jnp.tanh(z[:, 2 * units :] + r * k[:, 2 * units :])
            return (h,), h if sequences else None

        first = (jnp.zeros((len(x), units)),) * (2 if kind == "lstm" else 1)
        first = self.first or first
        last, found = lax.scan(lstm if kind == "lstm" else gru, first, z)
        self.last = last
        return found.swapaxes(0, 1) if sequences else last[0]

    def own_cell(self, name, x, units):
        kinds = [f"{name}.{gate}{kind}" for gate in ("forget_", "") for kind in ("kernel", "recurrent", "bias")]
        forget_kernel, forget_recurrent, forget_bias, kernel, recurrent, bias = (self.weights[k] for k in kinds)

        def turn(h, step):
            f = jax.nn.sigmoid(step @ forget_kernel + h @ forget_recurrent + forget_bias)
            new = jnp.tanh(step @ kernel + (f * h) @ recurrent + bias)
            return (1 - f) * h + f * new, None

        return lax.scan(turn, jnp.zeros((len(x), units)), x.swapaxes(0, 1))[0]

    def shortcut(self, x, filters, stride):
        before = (filters - x.shape[3]) // 2
        return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (before, filters - x.shape[3] - before)))

    def add(self, x, y):
        return x + y


class Training(Case):
    def __init__(self, workload, variant):
        self.workload = workload
        self.x, self.y = (jax.device_put(array) for array in workload.data())
        self.initial = workload.weights()
        self.samples = len(self.y)
        self.generator = np.random.default_rng(0)
        self.scan = variant == "scan"
        self.form = "lax.scan of an epoch" if self.scan else "jit of a step"
        self.step = partial(jax.jit, donate_argnums=(0,))(self._step)
        self.epoch = partial(jax.jit, donate_argnums=(0,))(self._epoch)
        self.reset()

    def _loss(self, trained, states, x, y):
        operations = _Operations({**trained, **states}, True)
        logits = walk(self.workload.model, operations, x)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
        return -chosen.mean(), operations.states

    def _step(self, carry, x, y, index):
        trained, states, first, second, t = carry
        differentiated = jax.value_and_grad(self._loss, has_aux=True)
        (loss, states), gradients = differentiated(trained, states, x[index], y[index])
        rate, t = self.workload.learning_rate, t + 1
        if self.workload.optimizer == "sgd":
            first = jax.tree.map(lambda v, g: MOMENTUM * v - rate * g, first, gradients)
            trained = jax.tree.map(jnp.add, trained, first)
        else:
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
            alpha = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            trained = jax.tree.map(lambda p, m, v: p - alpha * m / (jnp.sqrt(v) + ADAM_EPSILON), trained, first, second)
        return (trained, states, first, second, t), loss

    def _epoch(self, carry, x, y, order):
        carry, losses = lax.scan(lambda carry, index: self._step(carry, x, y, index), carry, order)
        return carry, losses.mean()

    def reset(self):
        weights = {name: jnp.asarray(array) for name, array in self.initial.items()}
        trained = {name: w for name, w in weights.items() if not is_state(name)}
        states = {name: w for name, w in weights.items() if is_state(name)}
        zeros = {name: jnp.zeros_like(w) for name, w in trained.items()}
        second = {name: jnp.zeros_like(w) for name, w in trained.items()} if self.workload.optimizer == "adam" else {}
        self.carry = jax.block_until_ready((trained, states, zeros, second, jnp.float32(0)))

    def _order(self, order):
        return order.astype(np.int32).reshape(-1, self.workload.batch)

    def check(self, steps):
        found = []
        for index in self._order(np.arange(self.samples))[:steps]:
            self.carry, loss = self.step(self.carry, self.x, self.y, index)
            found.append(float(loss))
        return found

    def run(self, count):
        done = 0
        while done < count:
            order = self._order(self.generator.permutation(self.samples))
            if self.scan:
                self.carry, loss = self.epoch(self.carry, self.x, self.y, order)
                done += len(order)
            else:
                for index in order[: count - done]:
                    self.carry, loss = self.step(self.carry, self.x, self.y, index)
                    done += 1
        jax.block_until_ready((self.carry, loss))
        return done


class Inference(Case):
    form = "jit"

    def __init__(self, workload):
        self.x = workload.data()[0]
        weights = {name: jnp.asarray(array) for name, array in workload.weights().items()}
        function = jax.jit(lambda weights, x: walk(workload.model, _Operations(weights, False), x))
        self.function = partial(function, weights)

    def check(self, steps):
        return np.asarray(self.function(self.x)).ravel()

    def run(self, count):
        for _ in range(count):
            np.asarray(self.function(self.x))
        return count


class Stream(Case):
    form = "jit"

    def __init__(self, workload):
        self.x = workload.data()[0]
        self.units = workload.model.layers[0].units

        def predict(weights, states, x):
            operations = _Operations(weights, False)
            operations.first = states
            return walk(workload.model, operations, x), operations.last

        function = partial(jax.jit, donate_argnums=(1,))(predict)
        self.function = partial(function, {name: jnp.asarray(array) for name, array in workload.weights().items()})
        self.reset()

    def reset(self):
        self.states = tuple(jnp.zeros((1, self.units)) for _ in range(2))

    def step(self):
        y, self.states = self.function(self.states, self.x)
        return np.asarray(y)

    def check(self, steps):
        self.reset()
        return np.concatenate([self.step() for _ in range(steps)]).ravel()

    def run(self, count):
        for _ in range(count):
            self.step()
        return count


def prepare(workload, threads, variant):
    if workload.kind == "stream":
        return Stream(workload)
    return Training(workload, variant) if workload.kind not in ("infer", "one_sample") else Inference(workload)
