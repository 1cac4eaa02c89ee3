"""PyTorch's best form: functional operations on channels_last tensors, fused optimizers, batches by index."""

import time

import numpy as np
import torch
from networks import is_state, walk
from peers import Case
from torch.nn import functional
from workloads import ADAM_EPSILON, MOMENTUM, NORM_EPSILON, NORM_MOMENTUM, WEIGHT_DECAY

_LAYOUT = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 3, 1, 0)}  # of weights: from PyTorch's to jitnet's


def _parameter(name, array):
    tensor = torch.from_numpy(array)
    if name.endswith(".depthwise"):  # (R, S, C, 1) to (C, 1, R, S)
        return tensor.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last)
    if array.ndim == 3:  # (S, C, K) to (K, C, S)
        return tensor.permute(2, 1, 0).contiguous()
    if array.ndim == 4:  # (R, S, C, K) to (K, C, R, S), channels_last in memory
        return tensor.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    return tensor.t().contiguous() if array.ndim == 2 else tensor.clone()


def _joined(weights: dict) -> dict:
    """The weights with those of queries, keys and values in one, as torch.nn.MultiheadAttention has them."""
    found = {}
    for name, array in weights.items():
        block, part = name.rpartition("_")[::2]
        if part in ("query.kernel", "query.bias"):
            parts = [weights[f"{block}_{part.replace('query', other)}"] for other in ("query", "key", "value")]
            found[f"{block}_{part.replace('query', 'joined')}"] = np.concatenate(parts, axis=-1)
        elif not part.startswith(("key.", "value.")):
            found[name] = array
    return found


def _reset_first(parameter):
    """GRU's weights with the columns of r before those of z, as PyTorch has them."""
    u, r, new = parameter.chunk(3)
    return torch.cat([r, u, new])


class Network(torch.nn.Module):
    """A network of the benchmark; images come as (N, H, W, C), which is what channels_last is in memory.

    as_images: whether sequences, (N, L, C), are images of one row.
    """

    as_images = False

    def __init__(self, workload):
        super().__init__()
        self.network = workload.model
        for name, array in _joined(workload.weights()).items():
            tensor = _parameter(name, array)
            attribute = name.replace(".", "_")
            if is_state(name):
                self.register_buffer(attribute, tensor)
            else:
                self.register_parameter(attribute, torch.nn.Parameter(tensor))

    def forward(self, x):
        if x.ndim == 3 and self.as_images:
            x = x.unsqueeze(1)
        order = None if self.network.is_transformer else {3: (0, 2, 1), 4: (0, 3, 1, 2)}.get(x.ndim)
        return walk(self.network, self, x.permute(order) if order else x)

    def conv(self, name, x, filters, size, padding, stride, bias):
        bias, kernel = getattr(self, f"{name}_bias") if bias else None, getattr(self, f"{name}_kernel")
        if kernel.ndim == 4:
            return functional.conv2d(x, kernel, bias, stride, padding)
        if x.ndim == 4:
            kernel = kernel.unsqueeze(2).contiguous(memory_format=torch.channels_last)
            return functional.conv2d(x, kernel, bias, (1, stride), (0, padding))
        return functional.conv1d(x, kernel, bias, stride, padding)

    def transposed(self, name, x, filters):
        return functional.conv_transpose2d(x, getattr(self, f"{name}_kernel"), getattr(self, f"{name}_bias"), 2)

    def concatenate(self, x, y):
        return torch.cat([x, y], 1)

    def depthwise(self, name, x, size, padding, stride):
        kernel = getattr(self, f"{name}_depthwise")
        return functional.conv2d(x, kernel, None, stride, padding, groups=kernel.shape[0])

    def norm(self, name, x):
        mean, variance, gamma, beta = (getattr(self, f"{name}_{k}") for k in ("mean", "variance", "gamma", "beta"))
        return functional.batch_norm(x, mean, variance, gamma, beta, self.training, 1 - NORM_MOMENTUM, NORM_EPSILON)

    def relu(self, x):
        return functional.relu(x)

    def tanh(self, x):
        return torch.tanh(x)

    def gelu(self, x):
        return functional.gelu(x)

    def layer_norm(self, name, x):
        gamma, beta = getattr(self, f"{name}_gamma"), getattr(self, f"{name}_beta")
        return functional.layer_norm(x, x.shape[-1:], gamma, beta, NORM_EPSILON)

    def pool(self, x, size, stride, padding):
        if x.ndim == 3:
            return functional.max_pool1d(x, size, stride, padding)
        if self.as_images:
            return functional.max_pool2d(x, (1, size), (1, stride), (0, padding))
        return functional.max_pool2d(x, size, stride, padding)

    def flatten(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)  # a view of a channels_last tensor

    def mean(self, x):
        return x.mean(tuple(range(2, x.ndim)))

    def dense(self, name, x, units):
        return functional.linear(x, getattr(self, f"{name}_kernel"), getattr(self, f"{name}_bias"))

    def encoder(self, name, x, heads, hidden):
        batch, steps, features = x.shape
        y = self.dense(f"{name}_joined", self.layer_norm(f"{name}_attention_norm", x), 3 * features)
        query, key, value = y.view(batch, steps, 3, heads, features // heads).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, steps, features)
        x = x + self.dense(f"{name}_output", y, features)
        y = functional.gelu(self.dense(f"{name}_inner", self.layer_norm(f"{name}_dense_norm", x), hidden))
        return x + self.dense(f"{name}_outer", y, features)

    def recurrent(self, name, x, kind, units, sequences):
        x = (x.squeeze(2) if x.ndim == 4 else x).transpose(1, 2)  # channels come first, as of images
        parameters = [getattr(self, f"{name}_{k}") for k in ("kernel", "recurrent_kernel", "bias")]
        kernel, recurrent, bias = parameters if kind == "lstm" else map(_reset_first, parameters)
        # PyTorch has two biases; of the LSTM's the benchmark has one
        biases = (bias, torch.zeros_like(bias)) if kind == "lstm" else bias.unbind(1)
        h = x.new_zeros(1, len(x), units)
        weights, options = [kernel, recurrent, *biases], (True, 1, 0.0, self.training, False, True)
        outputs, last = (
            torch.lstm(x, (h, h), weights, *options)[:2] if kind == "lstm" else torch.gru(x, h, weights, *options)
        )
        return outputs.transpose(1, 2) if sequences else last.squeeze(0)

    def own_cell(self, name, x, units):
        kernels = [getattr(self, f"{name}_{gate}kernel") for gate in ("forget_", "")]
        recurrent = [getattr(self, f"{name}_{gate}recurrent") for gate in ("forget_", "")]
        biases = [getattr(self, f"{name}_{gate}bias") for gate in ("forget_", "")]
        x = (x.squeeze(2) if x.ndim == 4 else x).transpose(1, 2)  # channels come first, as of images
        h = x.new_zeros(len(x), units)
        for step in x.unbind(1):
            f = torch.sigmoid(functional.linear(step, kernels[0], biases[0]) + functional.linear(h, recurrent[0]))
            new = torch.tanh(functional.linear(step, kernels[1], biases[1]) + functional.linear(f * h, recurrent[1]))
            h = (1 - f) * h + f * new
        return h

    def shortcut(self, x, filters, stride):
        before = (filters - x.shape[1]) // 2
        return functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, before, filters - x.shape[1] - before))

    def add(self, x, y):
        return x + y


class Training(Case):
    def __init__(self, workload, variant):
        self.workload = workload
        self.dtype = torch.float64 if variant == "float64" else torch.float32
        compiled = variant == "compiled"
        x, y = workload.data()
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.network = Network(workload)
        self.initial = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        parameters, rate = self.network.parameters(), workload.learning_rate
        if workload.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(parameters, rate, MOMENTUM, fused=True)
        elif workload.optimizer == "adamw":
            decay = {"eps": ADAM_EPSILON, "weight_decay": WEIGHT_DECAY}
            self.optimizer = torch.optim.AdamW(parameters, rate, **decay, fused=True)
        else:
            self.optimizer = torch.optim.Adam(parameters, rate, eps=ADAM_EPSILON, fused=True)
        self.loss = torch.compile(self._loss) if compiled else self._loss
        self.form = "compiled" if compiled else "eager"

    def _loss(self, x, y):
        logits = self.network(x)
        if self.network.network.is_transformer:
            return functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        return functional.cross_entropy(logits, y)

    def tune(self):
        if self.x.ndim != 3 or self.workload.model.is_transformer:
            return
        times = {}
        for self.network.as_images in (False, True):
            times[self.network.as_images] = _seconds(lambda: self.run(2))
        self.network.as_images = min(times, key=times.get)
        self.form = f"{self.form}, {'channels_last images' if self.network.as_images else 'conv1d'}"

    def _step(self, index):
        loss = self.loss(self.x.index_select(0, index), self.y.index_select(0, index))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def check(self, steps):
        batches = torch.arange(len(self.x)).split(self.workload.batch)
        return [self._step(index).item() for index in batches[:steps]]

    def reset(self):
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                tensor.copy_(self.initial[name])

    def gradients(self, batch):
        self.reset()
        index = torch.arange(len(self.x)).split(self.workload.batch)[batch]
        self.network.to(self.dtype)
        x = self.x.index_select(0, index).to(self.dtype)
        loss = self._loss(x, self.y.index_select(0, index))
        gradients = torch.autograd.grad(loss, self.network.parameters())
        names = [name for name in self.workload.weights() if not is_state(name)]
        found = {}
        for name, gradient in zip(names, gradients, strict=True):
            order = (2, 3, 0, 1) if name.endswith(".depthwise") else _LAYOUT[gradient.ndim]
            found[name] = gradient.permute(order).numpy()
        return found

    def run(self, count):
        done = 0
        while done < count:
            total = torch.zeros(())
            for index in torch.randperm(len(self.x)).split(self.workload.batch)[: count - done]:
                total += self._step(index)
                done += 1
            total.item()
        return done


class Inference(Case):
    def __init__(self, workload, compiled):
        self.x = torch.from_numpy(workload.data()[0])
        self.network = Network(workload).eval()
        self.forms = {"eager": self.network}
        if compiled:
            self.forms = {"compiled": torch.compile(self.network)}
        self.may_freeze = not compiled
        self.function = self.network

    def check(self, steps):
        with torch.inference_mode():
            return self.function(self.x).ravel().tolist()

    def tune(self):
        if self.may_freeze:
            import warnings

            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # torch.jit is deprecated, and still faster here
                traced = torch.jit.trace(self.network, self.x)
                self.forms["frozen"] = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        with torch.inference_mode():
            times = {name: _seconds(lambda f=f: f(self.x)) for name, f in self.forms.items()}
        self.form = min(times, key=times.get)
        self.function = self.forms[self.form]

    def run(self, count):
        with torch.inference_mode():
            for _ in range(count):
                self.function(self.x).numpy()
        return count


class Stream(Case):
    """One step of a sequence after the other, by PyTorch's module."""

    def __init__(self, workload):
        network = Network(workload)
        units = workload.model.layers[0].units
        self.x = torch.from_numpy(workload.data()[0])
        self.recurrent = torch.nn.LSTM(self.x.shape[2], units, batch_first=True)
        self.dense = torch.nn.Linear(units, workload.model.classes)
        with torch.no_grad():
            for name, value in (
                ("weight_ih_l0", network.layer0_kernel), ("weight_hh_l0", network.layer0_recurrent_kernel),
                ("bias_ih_l0", network.layer0_bias), ("bias_hh_l0", 0 * network.layer0_bias),
            ):
                getattr(self.recurrent, name).copy_(value)
            self.dense.weight.copy_(network.layer1_kernel)
            self.dense.bias.copy_(network.layer1_bias)
        self.states, self.form = None, "eager"

    def step(self):
        outputs, self.states = self.recurrent(self.x, self.states)
        return self.dense(outputs[:, -1]).numpy()

    def check(self, steps):
        self.states = None
        with torch.inference_mode():
            return np.concatenate([self.step() for _ in range(steps)]).ravel()

    def run(self, count):
        with torch.inference_mode():
            for _ in range(count):
                self.step()
        return count


def _seconds(function, least=0.1):
    """Seconds per call, roughly: the fastest of some calls after a few others."""
    for _ in range(3):
        function()
    found, begin = [], time.perf_counter()
    while len(found) < 3 or time.perf_counter() - begin < least:
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


class _Kernel(Case):
    """Calls of one operation; ``functions`` by layout, each returning the result in jitnet's layout when asked."""

    def __init__(self, functions, result):
        self.functions, self.result = functions, result
        self.function = next(iter(functions.values()))

    def check(self, steps):
        return _some(self.result(self.function()))

    def tune(self):
        times = {name: _seconds(function) for name, function in self.functions.items()}
        self.form = min(times, key=times.get)
        self.function = self.functions[self.form]

    def run(self, count):
        with torch.inference_mode():
            for _ in range(count):
                self.function()
        return count


def _some(tensor):
    flat = tensor.contiguous().ravel().numpy()
    return flat[np.linspace(0, flat.size - 1, 99).astype(int)]


def _convolution(workload):
    from operands import convolution_operands

    *_, stride, padding = workload.shape
    x, kernel, dy = convolution_operands(workload.shape)
    functions = {}
    for layout in ("channels_last", "contiguous"):
        memory = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        tensors = [torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(kernel).permute(3, 2, 0, 1)]
        tensors.append(torch.from_numpy(dy).permute(0, 3, 1, 2))
        xs, kernels, dys = (tensor.contiguous(memory_format=memory) for tensor in tensors)
        if workload.sweep == "forward":

            def function(xs=xs, kernels=kernels):
                return functional.conv2d(xs, kernels, None, stride, padding)
        else:
            data = workload.sweep == "backward_data"

            def function(xs=xs, kernels=kernels, dys=dys, data=data):
                return torch.ops.aten.convolution_backward(
                    dys, xs, kernels, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1,
                    [data, not data, False],
                )[0 if data else 1]  # fmt: skip

        functions[layout] = function
    order = (2, 3, 1, 0) if workload.sweep == "backward_filter" else (0, 2, 3, 1)
    return _Kernel(functions, lambda tensor: tensor.permute(order))


def _matrix(workload):
    from operands import matrix_operands

    a, b = (torch.from_numpy(array) for array in matrix_operands(workload.shape))
    if workload.sweep:
        a, b = (a.t(), b) if workload.sweep == "transposed" else (a, b.t())
    out = torch.empty(a.shape[0], b.shape[1])
    return _Kernel({"mm": lambda: torch.mm(a, b, out=out)}, lambda tensor: tensor)


class Generation(Case):
    """A decoder that generates one sequence, with its keys and values in memory that is there from the beginning.

    Eager, each step sees the keys that there are; compiled, it sees all that there may be, under a mask: shapes stay.
    """

    def __init__(self, workload, compiled):
        from operands import decoder_weights

        _, features, heads, _, blocks, self.new = workload.shape
        arrays = [torch.from_numpy(array) for array in decoder_weights(workload.shape)]
        self.tokens, self.positions, *rest = arrays
        self.blocks = []
        for _ in range(blocks):
            q, qb, k, kb, v, vb, o, ob, g1, b1, g2, b2, inner, inner_bias, outer, outer_bias = rest[:16]
            rest = rest[16:]
            joined = torch.cat([q, k, v], 1).t().contiguous(), torch.cat([qb, kb, vb])
            weights = *joined, o.t().contiguous(), ob, g1, b1, g2, b2
            self.blocks.append((*weights, inner.t().contiguous(), inner_bias, outer.t().contiguous(), outer_bias))
        self.gamma, self.beta, kernel, self.bias = rest
        self.kernel = kernel.t().contiguous()
        self.shape, self.form = (heads, features // heads), "compiled" if compiled else "eager"
        self.caches = torch.zeros(blocks, 2, 1, heads, self.new, features // heads)
        self.step = torch.compile(self._step_of_fixed_shapes) if compiled else self._step
        self.compiled = compiled

    def _block(self, x, weights, attend):
        joined, joined_bias, output, output_bias, g1, b1, g2, b2, inner, inner_bias, outer, outer_bias = weights
        y = functional.layer_norm(x, b1.shape, g1, b1, NORM_EPSILON)
        query, key, value = functional.linear(y, joined, joined_bias).view(3, 1, self.shape[0], 1, self.shape[1])
        x = x + functional.linear(attend(query, key, value).reshape(1, -1), output, output_bias)
        y = functional.layer_norm(x, b2.shape, g2, b2, NORM_EPSILON)
        y = functional.gelu(functional.linear(y, inner, inner_bias))
        return x + functional.linear(y, outer, outer_bias)

    def _logits(self, x):
        return functional.linear(
            functional.layer_norm(x, self.beta.shape, self.gamma, self.beta, NORM_EPSILON), self.kernel, self.bias
        )

    def _step(self, token, place):
        x = (self.tokens[token] + self.positions[place]).unsqueeze(0)
        for weights, (keys, values) in zip(self.blocks, self.caches, strict=True):

            def attend(query, key, value, keys=keys, values=values):
                keys[:, :, place : place + 1], values[:, :, place : place + 1] = key, value
                seen = slice(0, place + 1)
                return functional.scaled_dot_product_attention(query, keys[:, :, seen], values[:, :, seen])

            x = self._block(x, weights, attend)
        return self._logits(x).argmax()

    def _step_of_fixed_shapes(self, token, place):
        x = self.tokens[token] + self.positions[place]
        mask = torch.arange(self.new) <= place
        for number, weights in enumerate(self.blocks):
            keys, values = self.caches[number]

            def attend(query, key, value, keys=keys, values=values):
                keys.index_copy_(2, place, key)
                values.index_copy_(2, place, value)
                return functional.scaled_dot_product_attention(query, keys, values, mask[None, None, None])

            x = self._block(x, weights, attend)
        return self._logits(x).argmax()[None]

    def _generated(self):
        found = [1]
        with torch.inference_mode():
            token = torch.tensor([1]) if self.compiled else 1
            for place in range(self.new):
                token = self.step(token, torch.tensor([place]) if self.compiled else place)
                found.append(int(token))
                token = token if self.compiled else found[-1]
        return found

    def check(self, steps):
        return [float(token) for token in self._generated()]

    def run(self, count):
        for _ in range(count):
            self._generated()
        return count


class Pointwise(Case):
    """A function and its gradient by autograd."""

    def __init__(self, workload, compiled):
        from operands import gelu, pointwise_operands

        self.x, self.dy = (torch.from_numpy(array) for array in pointwise_operands(workload.shape))
        self.x.requires_grad_()
        self.function = torch.compile(gelu) if compiled else gelu

    def step(self):
        return torch.autograd.grad(self.function(self.x, torch.tanh), self.x, self.dy)[0]

    def check(self, steps):
        return self.step().ravel().numpy()[::9973]

    def run(self, count):
        for _ in range(count):
            self.step()
        return count


def prepare(workload, threads, variant):
    torch.set_num_threads(threads)
    assert torch.get_num_threads() == threads
    compiled = variant == "compiled"
    if workload.kind in ("train", "memory", "gradients", "cold"):
        return Training(workload, variant)
    if workload.kind == "stream":
        return Stream(workload)
    if workload.kind in ("infer", "one_sample"):
        return Inference(workload, compiled)
    if workload.kind == "pointwise":
        return Pointwise(workload, compiled)
    if workload.kind == "generate":
        return Generation(workload, compiled)
    return _convolution(workload) if workload.kind == "convolution" else _matrix(workload)
