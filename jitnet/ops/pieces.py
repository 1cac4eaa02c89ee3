"""Windows that aren't alike or overlap, as arrays: adaptive pooling, patches, parts of sequences; CTC's loss."""

import itertools

import numpy as np

from ..core import checks
from ..core.errors import invalid
from ..core.operations import losses
from ..core.values import Value
from ._calls import apply, is_symbolic, publisher
from .comparisons import less, where
from .indexing import take
from .nn import conv_transpose
from .reductions import max, mean
from .shapes import concatenate, expand_dims, pad, reshape, stack, transpose
from .tensors import cast

__all__ = []
public = publisher(__all__)


def _adaptive(name: str, reduce, inputs, output_size, data_format):
    checks.channels_last(f"ops.{name}", data_format)
    x = inputs if isinstance(inputs, Value) else np.asarray(inputs)
    if x.ndim not in (3, 4):
        raise invalid(f"ops.{name} expects inputs (batch, length, channels) or (batch, height, width, channels).",
                      shape=tuple(x.shape))  # fmt: skip
    sizes = checks.axes(f"ops.{name}", "output_size", output_size, x.ndim - 2, 1)
    for axis, parts in enumerate(sizes, 1):
        size = x.shape[axis]
        bounds = [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]
        rest = (slice(None),) * axis
        found = [reduce(x[(*rest, slice(*pair))], axis, True) for pair in bounds]
        x = found[0] if parts == 1 else concatenate(found, axis)
    return x


@public
def adaptive_average_pool(inputs, output_size, data_format=None):
    """The means of so many windows, whatever the size of inputs (N, L, C) or (N, H, W, C).

    Window i of n reaches from floor(i L / n) to ceil((i + 1) L / n).
    """
    return _adaptive("adaptive_average_pool", mean, inputs, output_size, data_format)


@public
def adaptive_max_pool(inputs, output_size, data_format=None):
    """The maxima of the windows of ``adaptive_average_pool``."""
    return _adaptive("adaptive_max_pool", max, inputs, output_size, data_format)


def _window_of(owner: str, kernel_size, dilation, padding, stride) -> list[tuple[int, int]]:
    given = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding, "stride": stride}
    least = {"padding": 0}
    return [checks.pair(f"ops.{owner}", name, value, least=least.get(name, 1)) for name, value in given.items()]


@public
def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """Windows of x (N, C, H, W), channels first as in PyTorch, as columns: (N, C * height * width, windows)."""
    size, steps, edges, strides = _window_of("unfold", kernel_size, dilation, padding, stride)
    x = x if isinstance(x, Value) else np.asarray(x)
    if x.ndim != 4:
        raise invalid("ops.unfold expects x (batch, channels, height, width).", shape=tuple(x.shape))
    x = pad(x, ((0, 0), (0, 0), *((n, n) for n in edges))) if any(edges) else x
    counts = [
        (length - step * (n - 1) - 1) // stride + 1
        for length, n, step, stride in zip(x.shape[2:], size, steps, strides, strict=True)
    ]
    if min(counts) < 1:
        raise invalid("ops.unfold expects windows that are not larger than x.", shape=tuple(x.shape), kernel_size=size)
    found = []
    for place in itertools.product(*map(range, size)):
        starts = [i * step for i, step in zip(place, steps, strict=True)]
        rows, columns = (
            slice(start, start + (count - 1) * stride + 1, stride)
            for start, count, stride in zip(starts, counts, strides, strict=True)
        )
        found.append(x[:, :, rows, columns])
    windows = stack(found, 2)
    return reshape(windows, (-1, x.shape[1] * len(found), counts[0] * counts[1]))


@public
def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The sums of columns (N, C * height * width, windows), each where ``unfold`` takes it: (N, C, H, W)."""
    size, steps, edges, strides = _window_of("fold", kernel_size, dilation, padding, stride)
    height, width = checks.pair("ops.fold", "output_size", output_size)
    x = x if isinstance(x, Value) else np.asarray(x)
    counts = [
        (length + 2 * edge - step * (n - 1) - 1) // stride + 1
        for length, edge, n, step, stride in zip((height, width), edges, size, steps, strides, strict=True)
    ]
    elements = size[0] * size[1]
    if x.ndim != 3 or x.shape[1] % elements or x.shape[2] != counts[0] * counts[1]:
        raise invalid(
            f"ops.fold expects columns (batch, channels * {elements}, {counts[0] * counts[1]}).", shape=tuple(x.shape)
        )
    channels = x.shape[1] // elements
    images = reshape(transpose(x, (0, 2, 1)), (-1, *counts, x.shape[1]))
    # each element of a column goes to one place of its window
    kernel = np.eye(channels * elements, dtype=str(x.dtype)).reshape(channels, *size, -1).transpose(1, 2, 0, 3)
    found = conv_transpose(images, np.ascontiguousarray(kernel), strides, "valid", dilation_rate=steps)
    ends = [edge + n for edge, n in zip(edges, (height, width), strict=True)]
    missing = [end - n if end > n else 0 for end, n in zip(ends, found.shape[1:3], strict=True)]
    found = pad(found, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0))) if any(missing) else found
    return transpose(found[:, edges[0] : ends[0], edges[1] : ends[1]], (0, 3, 1, 2))


@public
def extract_sequences(x, sequence_length, sequence_stride):
    """Parts of the last axis of x, ``sequence_stride`` apart: (..., parts, sequence_length)."""
    length = checks.integer("ops.extract_sequences", "sequence_length", sequence_length, least=1)
    stride = checks.integer("ops.extract_sequences", "sequence_stride", sequence_stride, least=1)
    size = x.shape[-1]
    if size is None or size < length:
        raise invalid(f"ops.extract_sequences expects at least {length} elements.", shape=tuple(x.shape))
    starts = np.arange(0, size - length + 1, stride)
    return take(x, starts[:, None] + np.arange(length), len(x.shape) - 1)


_NEVER = -1e4  # a logit: exp of it is 0 in float32


def _are_all(numbers, value) -> bool:
    return not is_symbolic(numbers) and bool(np.all(np.asarray(numbers) == value))


@public
def ctc_loss(target, output, target_length, output_length, mask_index=0):
    """-log of the probability of labels, summed over the ways to emit them (Graves et al. 2006): (N,).

    target: integers (N, length), of which target_length (N,) count; output: logits (N, steps, classes).
    output_length: how many of the steps count, (N,), each at least 1; None: all.  mask_index: the class of blank, 0.
    """
    if mask_index != 0:
        raise invalid("ops.ctc_loss has blank as class 0.", mask_index=mask_index)
    target = cast(target, "int64")  # y_true of a user's loss is of the predictions' dtype
    if target_length is not None:
        target = where(_first(target.shape[1], target_length), target, 0)
    if output_length is not None and not _are_all(output_length, output.shape[1]):
        # after its last step a sample emits blanks for certain, which changes no probability
        blanks = np.where(np.arange(output.shape[2]) == 0, 0.0, _NEVER).astype(str(output.dtype))
        output = where(expand_dims(_first(output.shape[1], output_length), -1), output, blanks)
    return apply(losses.CTC(), output, target)


@public
def ctc_decode(
    inputs, sequence_lengths, strategy="greedy", beam_width=100, top_paths=1, merge_repeated=True, mask_index=0
):
    """The labels that outputs of a network trained with ``ctc_loss`` say: (labels, scores), of arrays.

    inputs: (N, steps, classes), what the network returns; sequence_lengths (N,): how many of the steps count.
    strategy: "greedy", the class of each step, or "beam_search", which sums over the ways to emit a sequence
        (Graves 2006) and keeps ``beam_width`` sequences; inputs are logits or logarithms of probabilities then.
    top_paths: of how many best sequences of a beam search; merge_repeated: whether a greedy one drops what repeats.
    mask_index: the class of blank.

    labels: int32 (top_paths, N, steps), -1 after the last; scores: greedy (N, 1), minus the sum of the largest inputs;
    of a beam search (N, top_paths), logarithms of probabilities.

    Raises ValueError for another strategy, and for symbolic tensors: decoding comes after predictions.
    """
    if strategy not in ("greedy", "beam_search"):
        raise invalid('ops.ctc_decode expects the strategy "greedy" or "beam_search".', strategy=strategy)
    if is_symbolic(inputs, sequence_lengths):
        raise invalid("ops.ctc_decode takes arrays: decode what predict returns.", inputs=inputs)
    inputs, lengths = np.asarray(inputs), np.asarray(sequence_lengths).astype(int)
    paths = top_paths if strategy == "beam_search" else 1
    labels = np.full((paths, *inputs.shape[:2]), -1, np.int32)
    scores = np.full((len(inputs), paths), -np.inf, inputs.dtype)
    for sample, (x, length) in enumerate(zip(inputs, lengths, strict=True)):
        if strategy == "greedy":
            classes = np.argmax(x[:length], axis=-1)
            repeats = np.append(False, classes[1:] == classes[:-1])[: len(classes)]
            kept = (classes != mask_index) & ~(repeats & bool(merge_repeated))
            found = [(-np.sum(np.max(x[:length], axis=-1)), classes[kept])]
        else:
            found = _best_sequences(x[:length], beam_width, mask_index)[:paths]
        for path, (score, sequence) in enumerate(found):
            labels[path, sample, : len(sequence)], scores[sample, path] = sequence, score
    return labels, scores


def _best_sequences(x, beam_width: int, blank: int) -> list[tuple]:
    """[(logarithm of its probability, sequence)] of a beam search over logits (steps, classes), the best first."""
    logs = x - np.max(x, axis=-1, keepdims=True)
    logs = logs - np.log(np.sum(np.exp(logs), axis=-1, keepdims=True))
    beams = {(): (0.0, -np.inf)}  # {sequence: logarithms of ending in blank, and in its last label}
    for step in logs:
        grown: dict = {}

        def add(sequence, in_blank, in_label, grown=grown):
            blanks, labels = grown.get(sequence, (-np.inf, -np.inf))
            grown[sequence] = np.logaddexp(blanks, in_blank), np.logaddexp(labels, in_label)

        for sequence, (in_blank, in_label) in beams.items():
            total = np.logaddexp(in_blank, in_label)
            add(sequence, total + step[blank], in_label + step[sequence[-1]] if sequence else -np.inf)
            for label in range(len(step)):
                if label != blank:
                    before = in_blank if sequence[-1:] == (label,) else total
                    add((*sequence, label), -np.inf, before + step[label])
        best = sorted(grown.items(), key=lambda item: np.logaddexp(*item[1]), reverse=True)
        beams = dict(best[:beam_width])
    return [(np.logaddexp(*ends), sequence) for sequence, ends in beams.items()]


def _first(steps: int, lengths):
    """Which of so many steps are within each sample's length: (N, steps)."""
    lengths = lengths if is_symbolic(lengths) else np.asarray(lengths)
    return less(np.arange(steps), reshape(lengths, (-1, 1)))
