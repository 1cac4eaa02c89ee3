"""Attention's kernels, plain and of blocks, against the definition with all scores and central differences."""

import numpy as np
import pytest
from naive.attention import CASES, Case
from naive.differences import gradient

from jitnet.kernels.cpu import attention
from jitnet.kernels.cpu.fast.attention import attention_kernel, attention_supports
from jitnet.kernels.cpu.fast.key_groups import add_key_groups
from jitnet.kernels.cpu.runtime import vectors

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-11}
every_case = pytest.mark.parametrize("arguments", CASES, ids=lambda case: " ".join(map(str, case)))


def reference(case, first=0):
    """y, log_sums, dquery, dkey, dvalue of the plain kernels."""
    y, log_sums = case.results()
    attention.attention_forward(*case.inputs(), y, log_sums, *case.numbers(first))
    gradients = case.gradients()
    attention.attention_backward(*case.inputs(), y, log_sums, case.dy, *gradients, *case.numbers(first))
    return [y, log_sums, *gradients]


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward(arguments, dtype):
    case = Case(*arguments, dtype=dtype)
    for found, expected in zip(reference(case), case.forward(), strict=False):
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@every_case
def test_backward(arguments):
    case = Case(*arguments)
    for index, found in enumerate(reference(case)[2:]):

        def of_one(x, index=index):
            given = [None] * 3
            given[index] = x
            return case.forward(*given)[0]

        expected = gradient(of_one, (case.query, case.key, case.value)[index].copy(), case.dy)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


# ---- kernels of blocks

FAST = [
    (1, 1, 1, 1, 1, 1, 1, ""),
    (2, 70, 133, 4, 2, 24, 5, ""),
    (1, 65, 131, 2, 2, 33, 80, "causal"),  # widths of three vectors of 16 lanes, and of an odd number of them
    (2, 133, 70, 2, 1, 64, 64, "causal padding bias"),
    (2, 30, 40, 2, 2, 16, 48, "pairs causal zeros"),
    (1, 66, 129, 2, 2, 8, 8, "biases rows"),
    (2, 66, 131, 2, 1, 5, 1, "dropout"),
    (1, 67, 132, 2, 2, 8, 3, "dropout causal pairs"),
    (1, 333, 290, 2, 1, 7, 6, "causal"),  # several blocks of keys, of which queries see parts
    (1, 290, 270, 1, 1, 7, 6, "causal bias dropout"),
]


def of_kernel(case, first=0, parts=1, target=None, groups=1):
    """What ``reference`` returns, of the kernels of blocks; parts: calls that share the work; groups: of keys."""
    named = dict(
        query=case.query, key=case.key, value=case.value, mask=case.mask, bias=case.bias, scale=case.scale,
        mask_strides=case.mask_strides, bias_strides=case.bias_strides, mean=case.mean, sample=first,
        **dict(zip(("rate", "seed", "stream", "step"), case.random, strict=True)),
    )  # fmt: skip
    named["y"], named["log_sums"] = case.results()
    gradients = dict(zip(("dquery", "dkey", "dvalue"), case.gradients(), strict=True))
    flags = dict(
        causal=case.causal, masked=case.mask.size > 1, biased=case.bias.size > 1, dropped=case.rate > 0,
        shared=parts > 1,
    )  # fmt: skip
    for template in ("attention_forward", "attention_backward"):
        chosen = attention_kernel(template, case.query.shape[3], case.value.shape[3], **flags, target=target)
        groups = min(groups, -(-case.key.shape[1] // chosen.keys))
        n, queries, heads, size = case.query.shape
        partials = np.full((n, max(1, (groups - 1) * queries * heads * size)), np.nan, np.float32)
        heads = case.key.shape[2] if template.endswith("backward") else heads
        pieces = chosen.pieces(queries, heads, groups)
        workspace = np.full(parts * chosen.workspace_elements, np.nan, np.float32)
        for share in reversed(range(parts)):
            given = {
                **named, **gradients, "dy": case.dy, "workspace": workspace, "share": share,
                "partials": partials, "groups": groups,
                "first": pieces * share // parts, "last": pieces * (share + 1) // parts,
            }  # fmt: skip
            chosen.kernel()(*(given[name] for name in chosen.parameters))
    if groups > 1:
        add_key_groups(partials, gradients["dquery"])
    return [named["y"], named["log_sums"], *gradients.values()]


@pytest.mark.parametrize("arguments", FAST, ids=lambda case: " ".join(map(str, case)))
def test_blocks(arguments):
    case = Case(*arguments, dtype=np.float32)
    exact = reference(Case(*arguments, dtype=np.float64))
    found = of_kernel(case)
    for ours, right in zip(found, exact, strict=True):
        np.testing.assert_allclose(ours, right, rtol=2e-5, atol=2e-6 * max(1, np.nanmax(np.abs(right[right < 1e9]))))
    for ours, shared in zip(found, of_kernel(case, parts=3), strict=True):
        np.testing.assert_array_equal(ours, shared)  # whoever does what
    if case.key.shape[1] > 256:
        for ours, right in zip(of_kernel(case, parts=3, groups=2), exact, strict=True):
            largest = max(1, np.nanmax(np.abs(right[right < 1e9])))
            np.testing.assert_allclose(ours, right, rtol=2e-5, atol=2e-6 * largest)


@pytest.mark.parametrize("name", ["avx2", "neon"])
def test_other_vectors(name):
    target = vectors._TARGETS[name]
    for arguments in FAST[2], FAST[7]:
        exact = reference(Case(*arguments, dtype=np.float64))
        found = of_kernel(Case(*arguments, dtype=np.float32), target=target)
        for ours, right in zip(found, exact, strict=True):
            np.testing.assert_allclose(ours, right, rtol=2e-5, atol=1e-5)


def test_a_sample_is_the_same_in_any_chunk():
    case = Case(2, 66, 131, 2, 1, 5, 1, "dropout", dtype=np.float32)
    found = of_kernel(case)
    case.query, case.key, case.value, case.dy = (x[1:] for x in (case.query, case.key, case.value, case.dy))
    case.shape = (1, *case.shape[1:])
    for whole, alone in zip(found, of_kernel(case, first=1), strict=True):
        np.testing.assert_array_equal(whole[1:], alone)


def test_extremes():
    """Large scores, infinite biases and NaN do to their own rows what they do in the plain kernels."""
    case = Case(1, 5, 9, 1, 1, 8, 8, "bias", dtype=np.float32)
    case.query *= 100
    case.bias[:, 0] = -np.inf  # no key counts
    case.bias[:, 1, :4] = -np.inf
    case.query[0, 2, 0, 3] = np.nan
    for ours, right in zip(of_kernel(case)[:2], reference(case)[:2], strict=True):
        np.testing.assert_allclose(ours, right, rtol=2e-4, atol=1e-5)


def test_what_has_kernels_of_blocks():
    assert attention_supports("float32", 256, 1)
    assert not attention_supports("float32", 8, 257)
    assert not attention_supports("float64", 8, 8)
