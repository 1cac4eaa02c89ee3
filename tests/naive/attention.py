"""Attention as its definition says, with all scores, in NumPy; and the arguments of kernels for random cases."""

import numpy as np


def place(strides, shape):
    """The places of the elements of a mask or a bias, of shape (n, heads, queries, keys)."""
    return sum(np.arange(size).reshape([-1 if a == axis else 1 for a in range(4)]) * strides[axis]
               for axis, size in enumerate(shape))  # fmt: skip


class Case:
    """Random arguments of attention for a batch ``n``; which: what kinds of masks and biases there are.

    which: some of "padding", "pairs" (a mask for each head), "rows" (one of whole rows), "bias", "biases" (for each
    sample), "causal", "zeros" (instead of means), "dropout".
    """

    def __init__(self, n, queries, keys, heads, key_heads, size, width, which="", dtype=np.float64, seed=0):
        random = np.random.default_rng(seed)
        draw = lambda *shape: random.standard_normal(shape).astype(dtype)  # noqa: E731
        self.which, self.words = which, which.split()
        self.query, self.key = draw(n, queries, heads, size), draw(n, keys, key_heads, size)
        self.value, self.dy = draw(n, keys, key_heads, width), draw(n, queries, heads, width)
        self.shape = n, heads, queries, keys
        self.mask, self.mask_strides = np.ones(1, bool), (0, 0, 0, 0)
        if "padding" in self.words:
            self.mask, self.mask_strides = np.arange(keys) < random.integers(0, keys + 1, (n, 1)), (keys, 0, 0, 1)
            self.mask[0] = False
        if "pairs" in self.words:
            self.mask = random.random(self.shape) < 0.6
            self.mask_strides = heads * queries * keys, queries * keys, keys, 1
        if "rows" in self.words:
            self.mask, self.mask_strides = random.random((queries, 1)) < 0.7, (0, 0, 1, 0)
        self.bias, self.bias_strides = np.zeros(1, dtype), (0, 0, 0, 0)
        if "bias" in self.words:
            self.bias, self.bias_strides = draw(heads, queries, keys), (0, queries * keys, keys, 1)
        if "biases" in self.words:
            self.bias, self.bias_strides = draw(n, keys), (keys, 0, 0, 1)
        self.scale, self.causal, self.mean = 0.7 / size**0.5, "causal" in self.words, "zeros" not in self.words
        self.rate = 0.3 if "dropout" in self.words else 0.0
        self.random = self.rate, 5, 3, 11  # seed, stream, step

    def kept(self):
        """What probabilities are multiplied by: as dropout of an array of all of them does."""
        from jitnet.kernels.cpu.random import dropout_forward

        ones = np.ones(self.shape, self.query.dtype)
        found, mask = np.empty_like(ones), np.empty(self.shape, np.uint8)
        dropout_forward(ones, found, mask, *self.random, 0)
        return found

    def forward(self, query=None, key=None, value=None):
        """y, in float64, and the logarithms of the sums."""
        given = zip((query, key, value), (self.query, self.key, self.value), strict=True)
        query, key, value = (own.astype(float) if x is None else x for x, own in given)
        shared = query.shape[2] // key.shape[2]
        key, value = np.repeat(key, shared, 2), np.repeat(value, shared, 2)
        scores = np.einsum("bqhd,bkhd->bhqk", query, key) * self.scale
        scores += self.bias.reshape(-1)[place(self.bias_strides, self.shape)]
        seen = self.mask.reshape(-1)[place(self.mask_strides, self.shape)]
        seen = seen & np.tri(*self.shape[2:], dtype=bool) if self.causal else seen
        none = ~(seen & np.ones(self.shape, bool)).any(-1, keepdims=True)
        scores = np.where(seen, scores, -np.inf)
        with np.errstate(invalid="ignore", divide="ignore"):
            most = np.where(none, 0, scores.max(-1, keepdims=True))
            exponentials = np.exp(scores - most)
            sums = exponentials.sum(-1, keepdims=True)
            log_sums = np.where(none, np.inf, most + np.log(sums))
            probabilities = np.where(none, 0, exponentials / sums)
        if self.rate:
            probabilities = probabilities * self.kept()
        probabilities = np.where(none, self.mean / self.shape[3], probabilities)
        return np.einsum("bhqk,bkhd->bqhd", probabilities, value), log_sums[..., 0]

    # ---- arguments of kernels

    def results(self):
        """y and log_sums, to be written."""
        n, heads, queries, _ = self.shape
        dtype = self.query.dtype
        return np.full((n, queries, heads, self.value.shape[3]), 7, dtype), np.full((n, heads, queries), 7, dtype)

    def inputs(self):
        return self.query, self.key, self.value, self.mask, self.bias

    def numbers(self, first=0):
        return self.mask_strides, self.bias_strides, self.scale, self.causal, self.mean, *self.random, first

    def gradients(self):
        """dquery, dkey, dvalue, to be written."""
        return tuple(np.full_like(x, 7) for x in (self.query, self.key, self.value))


CASES = [
    (2, 5, 7, 4, 2, 3, 6, ""),
    (1, 1, 1, 1, 1, 1, 1, "causal"),
    (2, 7, 5, 2, 2, 5, 4, "causal"),
    (2, 3, 11, 2, 1, 8, 3, "padding bias"),
    (2, 5, 5, 3, 3, 2, 2, "padding causal zeros"),
    (2, 6, 9, 2, 2, 4, 5, "pairs biases"),
    (2, 6, 9, 2, 1, 4, 5, "rows causal"),
    (2, 5, 6, 4, 2, 3, 3, "dropout"),
    (2, 5, 7, 2, 2, 3, 3, "dropout pairs causal bias"),
]
