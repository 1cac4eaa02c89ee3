"""What the layers and operations compute, in PyTorch, with channels last; ``t`` is the torch module."""

import math


def same_padding(size, window, stride, dilation=1):
    """TensorFlow's rule: ceil(size / stride) outputs, and of an odd total the greater part after."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def sides(padding, height, width, window, strides, dilation=(1, 1)):
    """(left, right, top, bottom), as torch.nn.functional.pad takes them."""
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        vertical = same_padding(height, window[0], strides[0], dilation[0])
        horizontal = same_padding(width, window[1], strides[1], dilation[1])
        return *horizontal, *vertical
    return *padding[1], *padding[0]


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def torch_convolution(t, x, kernel, strides, padding, dilation, groups):
    around = sides(padding, x.shape[1], x.shape[2], kernel.shape[:2], strides, dilation)
    x = t.nn.functional.pad(nchw(x), around)
    return nhwc(t.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), None, strides, 0, dilation, groups))


def torch_transposed(t, x, kernel, strides, padding, extra=None, dilation=(1, 1)):
    """The whole of what PyTorch gives, cut to size; kernel: (R, S, filters, channels)."""
    taps = kernel.permute(3, 2, 0, 1).contiguous()
    whole = t.nn.functional.conv_transpose2d(nchw(x), taps, None, strides, dilation=dilation)
    around = []  # of the width first, negative where it is cut
    for axis in (1, 0):
        window, size = (kernel.shape[axis] - 1) * dilation[axis] + 1, whole.shape[2 + axis]
        rest, stride = (x.shape[1 + axis] - 1) * strides[axis], strides[axis]
        if extra is None:
            wanted = rest + (stride if padding == "same" else max(window, stride))
        else:
            wanted = rest + extra[axis] + (window % 2 if padding == "same" else window)
        before = max((size - wanted) // 2, 0) if padding == "same" else 0
        around += [-before, wanted - size + before]
    return nhwc(t.nn.functional.pad(whole, around))


def torch_resize(t, x, size, interpolation):
    mode = {"nearest": {"mode": "nearest-exact"}, "bilinear": {"mode": "bilinear", "align_corners": False}}
    return nhwc(t.nn.functional.interpolate(nchw(x), size, **mode[interpolation]))


def torch_max_pool(t, x, window, strides, padding):
    around = sides(padding, x.shape[1], x.shape[2], window, strides)
    x = t.nn.functional.pad(nchw(x), around, value=-math.inf)
    return nhwc(t.nn.functional.max_pool2d(x, window, strides))


def torch_average_pool(t, x, window, strides, padding):
    around = sides(padding, x.shape[1], x.shape[2], window, strides)
    x, inside = (t.nn.functional.pad(nchw(values), around) for values in (x, t.ones_like(x)))
    pool = t.nn.functional.avg_pool2d
    return nhwc(pool(x, window, strides) / pool(inside, window, strides))


def torch_batch_norm(t, x, gamma, beta, mean, variance, training, epsilon):
    moved = x.movedim(-1, 1)
    if training and moved.numel() == moved.shape[1]:
        return gamma * (x - x) + beta  # one value per channel is its own mean; PyTorch refuses it
    y = t.nn.functional.batch_norm(moved, mean.clone(), variance.clone(), gamma, beta, training, 0.5, epsilon)
    return y.movedim(1, -1)
