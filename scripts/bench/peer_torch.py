"""PyTorch's best form: functional operations on channels_last tensors, fused optimizers, batches by index."""

import time

import numpy as np
import torch
from networks import is_state, walk
from peers import Case
from torch.nn import functional
from workloads import ADAM_EPSILON, MOMENTUM, NORM_EPSILON, NORM_MOMENTUM

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


class Network(torch.nn.Module):
    """A network of the benchmark; images come as (N, H, W, C), which is what channels_last is in memory.

    as_images: whether sequences, (N, L, C), are images of one row.
    """

    as_images = False

    def __init__(self, workload):
        super().__init__()
        self.network = workload.model
        for name, array in workload.weights().items():
            tensor = _parameter(name, array)
            attribute = name.replace(".", "_")
            if is_state(name):
                self.register_buffer(attribute, tensor)
            else:
                self.register_parameter(attribute, torch.nn.Parameter(tensor))

    def forward(self, x):
        if x.ndim == 3 and self.as_images:
            x = x.unsqueeze(1)
        order = {3: (0, 2, 1), 4: (0, 3, 1, 2)}.get(x.ndim)
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
        else:
            self.optimizer = torch.optim.Adam(parameters, rate, eps=ADAM_EPSILON, fused=True)
        self.loss = torch.compile(self._loss) if compiled else self._loss
        self.form = "compiled" if compiled else "eager"

    def _loss(self, x, y):
        return functional.cross_entropy(self.network(x), y)

    def tune(self):
        if self.x.ndim != 3:
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
    if workload.kind in ("infer", "one_sample"):
        return Inference(workload, compiled)
    if workload.kind == "pointwise":
        return Pointwise(workload, compiled)
    return _convolution(workload) if workload.kind == "convolution" else _matrix(workload)
