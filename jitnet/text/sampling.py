"""The next token from logits: by chance, from all or from the most probable ones."""

import numpy as np

from ..core import checks
from ..core.errors import invalid


def probabilities(logits, temperature=1.0, top_k=None, top_p=None) -> np.ndarray:
    """The probabilities (..., vocabulary), float64, that tokens are drawn with.

    logits: (..., vocabulary), unnormalised logarithms.
    temperature: by which they are divided: below 1 the probable ones become more probable.
    top_k: None, or how many of the most probable tokens are left (Fan et al. 2018); of equal ones the first.
    top_p: None, or what the probabilities of those that are left add up to at least, the most probable first
        (Holtzman et al. 2020), after ``top_k``; at least one is.

    Raises ValueError for arguments outside of their range, and for logits that are NaN.
    """
    owner = "probabilities"
    checks.positive(owner, "temperature", temperature)
    if top_k is not None:
        checks.integer(owner, "top_k", top_k, least=1)
    if top_p is not None and not 0 < checks.number(owner, "top_p", top_p) <= 1:
        raise invalid(f"{owner} expects top_p to be above 0, and at most 1.", top_p=top_p)
    scaled = np.asarray(logits, np.float64) / temperature
    largest = checked(scaled).max(axis=-1, keepdims=True)
    found = np.exp(scaled - np.where(np.isinf(largest), 0, largest))
    vocabulary = found.shape[-1]
    if (top_k is not None and top_k < vocabulary) or (top_p is not None and top_p < 1):
        order = np.argsort(-found, axis=-1, kind="stable")
        ordered = np.take_along_axis(found, order, axis=-1)
        if top_k is not None:
            ordered[..., top_k:] = 0
        if top_p is not None:
            before = np.cumsum(ordered, axis=-1) - ordered
            ordered[before >= top_p * ordered.sum(axis=-1, keepdims=True)] = 0
        np.put_along_axis(found, order, ordered, axis=-1)
    return found / found.sum(axis=-1, keepdims=True)


def sample(logits, draws, temperature=1.0, top_k=None, top_p=None) -> np.ndarray:
    """One token for each row of logits (batch, vocabulary): int64 (batch,).

    draws: (batch,), numbers from 0 up to, not including, 1, evenly distributed; the same number gives the same token.
    temperature, top_k, top_p: as in ``probabilities``.
    """
    reached = np.cumsum(probabilities(logits, temperature, top_k, top_p), axis=-1)
    draws = np.asarray(draws, np.float64)
    if draws.shape != reached.shape[:-1] or not ((draws >= 0) & (draws < 1)).all():
        raise invalid(f"sample expects draws from 0 up to 1, of shape {reached.shape[:-1]}.", draws=draws)
    # of the sum, which may miss 1 by a rounding error: no token of probability 0 is reached
    return (reached <= draws[..., None] * reached[..., -1:]).sum(axis=-1)


def checked(logits: np.ndarray) -> np.ndarray:
    """The logits; ValueError if one is NaN, as where a model has no more positions or has diverged."""
    if np.isnan(logits.sum()) and np.isnan(logits).any():
        raise invalid("The logits of the next token are NaN: nothing can be drawn.", logits=logits)
    return logits


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, float64, along the last axis."""
    logits = checked(logits).astype(np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
