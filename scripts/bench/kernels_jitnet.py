"""jitnet's kernels alone, shared out over the threads as a step does it: convolutions and products of matrices.

A convolution reads buffers with the halo that its plan asks for, as the activations of a network could have it.
"""

import numpy as np
from numpy import float32
from operands import convolution_operands, matrix_operands
from peers import Case

from jitnet.kernels.compiler import type_of
from jitnet.kernels.compiler.sources import source_hash
from jitnet.kernels.cpu.fast.convolution_direct import (
    conv2d_backward_data_kernel,
    conv2d_backward_filter_kernel,
    conv2d_forward_kernel,
)
from jitnet.kernels.cpu.fast.matrix_multiply import matrix_multiply_kernel, matrix_multiply_transposed_kernel
from jitnet.kernels.cpu.fast.transpose import transpose_kernel
from jitnet.kernels.cpu.fast.winograd import (
    winograd_backward_data_kernel,
    winograd_backward_filter_kernel,
    winograd_forward_kernel,
    winograd_outputs,
)
from jitnet.kernels.cpu.runtime import native, workers
from jitnet.kernels.cpu.runtime.arrays import view
from jitnet.kernels.cpu.runtime.jit import compile_part, written
from jitnet.kernels.cpu.runtime.parallel import parallel_for
from jitnet.targets.cpu.thresholds import ROWS_PER_HEAVY_CHUNK


class _Kernel(Case):
    def __init__(self, form, function, result):
        self.form, self.function, self.result = form, function, result

    def check(self, steps):
        self.function()
        flat = self.result.ravel()
        return flat[np.linspace(0, flat.size - 1, 99).astype(int)]

    def run(self, count):
        with workers.running(self.threads):
            for _ in range(count):
                self.function()
        return count


def _launcher(body):
    """run(chunks, threads, arguments), which calls body(chunk, chunks, *arguments) for every chunk, as a step does."""
    made = {}

    def run(chunks, threads, arguments):
        key = chunks, threads, *map(id, arguments)
        if key not in made:
            values = {"chunks": chunks, "threads": threads, **_named(arguments)}
            made[key] = _bound("parallel_for(called, chunks, threads, ({},))", body, values, len(arguments))
        made[key]()

    return run


def _named(arguments):
    return {f"a{i}": argument for i, argument in enumerate(arguments)}


def _kernel_call(kernel, *arguments):
    """A call of a kernel with these arguments."""
    return _bound("called({})", kernel, _named(arguments), len(arguments))


def _bound(text, called, values, count):
    """A call of a compiled function of ``values``, by name, which passes the last ``count`` of them on."""
    given = ", ".join(list(values)[-count:])
    source = f"def run({', '.join(values)}):\n    {text.format(given)}\n"
    scope = {"parallel_for": parallel_for, "called": called}
    exec(source, scope)
    function = written(scope["run"], source)
    identity = source + source_hash(called.py_func).hex()
    entry = native.entry("run", lambda: function, identity, list(values), list(map(type_of, values.values())))
    return native.Bound(entry, values)


def _haloed(images, left, right):
    return np.pad(images, ((0, 0), (0, 0), (left, right), (0, 0)))


def _image_chunks(kernel):
    """The images of a chunk from one buffer to another; workspaces: (chunks, elements)."""

    @compile_part
    def body(chunk, chunks, source, weights, target, workspaces, pad, left, height, width):
        first = len(source) * chunk // chunks
        n = len(source) * (chunk + 1) // chunks - first
        rows, columns, channels = source.shape[1:]
        x = view(source, first * rows * columns * channels * 4, (n, rows, columns, channels), float32)
        filters = target.shape[3]
        y = view(target, first * height * width * filters * 4, (n, height, width, filters), float32)
        kernel(x, weights, y, workspaces[chunk], pad, pad, 0, left, 0, 0, height, width)

    return _launcher(body)


def _filter_chunks(kernel):
    """The images of a chunk into the chunk's own sum."""

    @compile_part
    def body(chunk, chunks, x, dy, sums, workspaces, pad, left):
        first = len(x) * chunk // chunks
        n = len(x) * (chunk + 1) // chunks - first
        rows, columns, channels = x.shape[1:]
        height, width, filters = dy.shape[1:]
        x_part = view(x, first * rows * columns * channels * 4, (n, rows, columns, channels), float32)
        dy_part = view(dy, first * height * width * filters * 4, (n, height, width, filters), float32)
        _, taps_h, taps_w, _, _ = sums.shape
        size = taps_h * taps_w * channels * filters
        out = view(sums, chunk * size * 4, (taps_h, taps_w, channels, filters), float32)
        kernel(x_part, dy_part, out, workspaces[chunk], pad, pad, 0, left, 0, 0, height, width, False)

    return _launcher(body)


def _winograd_weights(plan):
    """run(chunks, threads, (kernel, out)), and the number of elements of ``out``."""
    transform = plan.weights().kernel()

    @compile_part
    def body(chunk, chunks, kernel, out):
        transform(kernel, out, chunk, chunks)

    return _launcher(body), plan.weights().elements


@compile_part
def _sum_chunk(chunk, chunks, sums, total):
    first = total.size * chunk // chunks
    last = total.size * (chunk + 1) // chunks
    for i in range(first, last):
        total[i] = sums[0, i]
    for k in range(1, len(sums)):
        for i in range(first, last):
            total[i] += sums[k, i]


def _convolution(workload, threads):
    images, _, height, width, *_, stride, pad = workload.shape
    x, kernel, dy = convolution_operands(workload.shape)
    rows, columns = dy.shape[1:3]
    chunks = max(1, images // ROWS_PER_HEAVY_CHUNK)
    strides = (stride, stride)
    if workload.sweep == "backward_filter":
        return _backward_filter(x, kernel, dy, strides, pad, chunks, threads)
    source, target, shape, size = x, np.empty_like(dy), kernel.shape, (rows, columns)
    if workload.sweep == "backward_data":
        source, target, shape, size = dy, np.empty_like(x), (*shape[:2], shape[3], shape[2]), (height, width)
    outputs = winograd_outputs(workload.sweep, kernel.shape, *size, strides, (1, 1))
    if outputs:
        make = winograd_forward_kernel if workload.sweep == "forward" else winograd_backward_data_kernel
        plan = make(kernel.shape, outputs)
        left, elements = 0, plan.workspace_elements
    else:
        make = conv2d_forward_kernel if workload.sweep == "forward" else conv2d_backward_data_kernel
        plan = make(kernel.shape, size[1], strides)
        left, right = plan.halo(source.shape[2], pad)
        source, elements = _haloed(source, left, right), 0  # the halo makes a workspace needless
    run, workspaces = _image_chunks(plan.kernel()), np.zeros((chunks, elements), np.float32)
    transpose, transposed = transpose_kernel().kernel(), np.empty(kernel.size, np.float32)
    turn = _kernel_call(transpose, kernel, transposed, stride, stride) if workload.sweep == "backward_data" else None
    weights = kernel if turn is None else transposed
    if outputs:
        transform, elements = _winograd_weights(plan)
        shaped, weights = weights.reshape(shape), np.empty(elements, np.float32)

    def convolution():
        if turn is not None:
            turn()
        if outputs:
            transform(chunks, threads, (shaped, weights))
        run(chunks, threads, (source, weights, target, workspaces, pad, left, *size))

    return _Kernel(plan.name, convolution, target)


def _backward_filter(x, kernel, dy, strides, pad, chunks, threads):
    rows, columns = dy.shape[1:3]
    outputs = winograd_outputs("backward_filter", kernel.shape, rows, columns, strides, (1, 1))
    if outputs:
        plan = winograd_backward_filter_kernel(kernel.shape, outputs)
        left, elements = 0, plan.workspace_elements
    else:
        plan = conv2d_backward_filter_kernel(kernel.shape, columns, strides)
        left, right = plan.halo(x.shape[2], pad)
        x, elements = _haloed(x, left, right), 0
    workspaces = np.zeros((chunks, elements), np.float32)
    sums, total = np.empty((chunks, *kernel.shape), np.float32), np.empty(kernel.size, np.float32)
    flat = sums.reshape(chunks, -1)
    run, add = _filter_chunks(plan.kernel()), _launcher(_sum_chunk)

    def backward_filter():
        run(chunks, threads, (x, dy, sums, workspaces, pad, left))
        add(threads, threads, (flat, total))

    return _Kernel(plan.name, backward_filter, total)


def _matrix(workload, threads):
    a, b = matrix_operands(workload.shape)
    if workload.sweep == "transposed":
        return _matrix_transposed(a, b, workload.shape, threads)
    c = np.empty((len(a), b.shape[1]), np.float32)
    plan = matrix_multiply_kernel(*workload.shape)
    kernel, elements = plan.kernel(), max(1, plan.workspace_elements)
    workspaces = np.empty((threads, elements), np.float32)

    @compile_part
    def body(chunk, chunks, a, b, c, workspaces):
        first = len(a) * chunk // chunks
        n = len(a) * (chunk + 1) // chunks - first
        depth, columns = b.shape
        part = view(a, first * depth * 4, (n, depth), float32)
        out = view(c, first * columns * 4, (n, columns), float32)
        size = workspaces.shape[1]
        kernel(part, b, out, view(workspaces, chunk * size * 4, (size,), float32))

    run = _launcher(body)
    if workload.sweep == "by-transposed":  # as dense layers go backward: the weights are turned once per step
        turned = np.empty(b.shape[::-1], np.float32)
        turn = _kernel_call(transpose_kernel().kernel(), b.reshape(1, 1, *b.shape), turned.reshape(-1), 1, 1)

        def by_transposed():
            turn()
            run(threads, threads, (a, turned, c, workspaces))

        return _Kernel(plan.name, by_transposed, c)
    return _Kernel(plan.name, lambda: run(threads, threads, (a, b, c, workspaces)), c)


def _matrix_transposed(a, b, shape, threads):
    c = np.empty((a.shape[1], b.shape[1]), np.float32)
    plan = matrix_multiply_transposed_kernel(*shape)
    kernel = plan.kernel()

    @compile_part
    def body(chunk, chunks, a, b, c):
        kernel(a, b, c, a.shape[1] * chunk // chunks, a.shape[1] * (chunk + 1) // chunks)

    run = _launcher(body)
    return _Kernel(plan.name, lambda: run(threads, threads, (a, b, c)), c)


class _Peak(Case):
    """Every thread multiplies two small matrices of its own again and again; a step is one product on each thread."""

    def __init__(self, workload, threads):
        rows, depth, columns = workload.shape
        self.threads = threads
        generator = np.random.default_rng(3)
        shapes = (rows, depth), (depth, columns), (rows, columns)
        self.arrays = [generator.standard_normal((threads, *shape), np.float32) for shape in shapes]
        kernel = matrix_multiply_kernel(*workload.shape).kernel()

        @compile_part
        def body(chunk, chunks, count, a, b, c):
            a_part = view(a, chunk * rows * depth * 4, (rows, depth), float32)
            b_part = view(b, chunk * depth * columns * 4, (depth, columns), float32)
            c_part = view(c, chunk * rows * columns * 4, (rows, columns), float32)
            for _ in range(count):
                kernel(a_part, b_part, c_part, c_part.reshape(rows * columns))

        self.launch = _launcher(body)

    def run(self, count):
        with workers.running(self.threads):
            self.launch(self.threads, self.threads, (count, *self.arrays))
        return count


def prepare(workload, threads):
    """A convolution or a product of matrices, in chunks of images or of rows."""
    if workload.kind == "peak":
        return _Peak(workload, threads)
    kernel = _convolution(workload, threads) if workload.kind == "convolution" else _matrix(workload, threads)
    kernel.threads = threads
    return kernel
