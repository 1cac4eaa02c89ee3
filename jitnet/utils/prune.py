"""Pruning, under the names of ``torch.nn.utils.prune``: weights of which some elements are 0 and stay it.

A layer whose weight ``kernel`` is pruned has another weight, ``kernel_mask`` (bool): what is False there is 0 in the
kernel, after every update and whatever is assigned, until ``remove``.  Masks are saved with the model.  Other than in
PyTorch there is no second weight with the elements that were taken away: those are gone.

    for layer in model.layers[1:]:
        prune.l1_unstructured(layer, "kernel", amount=0.5)
    model.fit(...)  # the other half
"""

import numbers

import numpy as np

from jitnet import _masks, _seed
from jitnet.core.errors import invalid, module_dir
from jitnet.files.saved_weights import walk

__all__ = [
    "L1Unstructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "is_pruned", "l1_unstructured",
    "random_unstructured", "remove",
]  # fmt: skip


class L1Unstructured:
    """The elements of the smallest magnitude go; of equal ones the first."""

    @staticmethod
    def scores(values):
        """How important elements are, of an array's shape: the least important ones go."""
        return np.abs(values)

    @classmethod
    def apply(cls, module, name, amount, importance_scores=None):
        """Prune a weight: see ``l1_unstructured``; returns the layer."""
        _prune([(module, name)], cls, amount, [importance_scores])
        return module


class RandomUnstructured(L1Unstructured):
    """Elements drawn at random go, by the seed of ``jitnet.utils.set_random_seed``."""

    @staticmethod
    def scores(values):
        """How important elements are: a random number each."""
        draw = np.random.default_rng([_seed.global_seed(), _seed.next_draws()])
        return draw.random(values.shape)


def l1_unstructured(module, name, amount, importance_scores=None):
    """Take away the elements of a weight that have the smallest magnitude; returns the layer.

    module: a built layer; name: the attribute that is its weight, as "kernel".
    amount: a share of the elements that are left, from 0 to 1, or an int: how many of them.
    importance_scores: None, or an array of the weight's shape: what counts instead of magnitudes.

    Raises:
        ValueError: no such weight, another amount (more than there are, too), or scores of another shape.
    """
    return L1Unstructured.apply(module, name, amount, importance_scores)


def random_unstructured(module, name, amount):
    """Take away elements of a weight at random; arguments, errors and result as of ``l1_unstructured``."""
    return RandomUnstructured.apply(module, name, amount)


def global_unstructured(parameters, pruning_method, importance_scores=None, amount=None) -> None:
    """Take away the least important elements of several weights together: of some more, of others fewer.

    parameters: pairs of a layer and a weight's name; pruning_method: ``L1Unstructured`` or ``RandomUnstructured``.
    importance_scores: None, or {pair: array}; amount: as of ``l1_unstructured``, of all together.
    """
    pairs = list(parameters)
    if not pairs or any(not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs):
        raise invalid("global_unstructured expects parameters to be pairs of a layer and a name.", parameters=pairs)
    if not (isinstance(pruning_method, type) and issubclass(pruning_method, L1Unstructured)):
        raise invalid(
            "global_unstructured expects pruning_method to be L1Unstructured or RandomUnstructured.",
            pruning_method=pruning_method,
        )
    given = importance_scores or {}
    _prune(pairs, pruning_method, amount, [given.get(tuple(pair)) for pair in pairs])


def custom_from_mask(module, name, mask):
    """Take away the elements of a weight where ``mask``, an array of its shape, is 0; returns the layer.

    What was pruned before stays it.
    """
    weight, mask = _masks.weight_of(module, name), np.asarray(mask)
    if mask.shape != weight.shape:
        raise invalid(f"custom_from_mask expects a mask of {weight.name}'s shape {weight.shape}.", shape=mask.shape)
    kept = _masks.mask_of(module, name)
    kept.assign(kept.value & (mask != 0))
    weight.assign(weight.value)
    return module


def remove(module, name):
    """End the pruning of a weight, whose values stay as they are and may all change again; returns the layer.

    Raises:
        ValueError: the weight is not pruned.
    """
    if _masks.weight_of(module, name).kept is None:
        raise invalid(f"The layer {module.name!r} has no pruned weight of this name.", name=name)
    _masks.drop_mask(module, name)
    return module


def is_pruned(module) -> bool:
    """Whether a layer or model, or a layer in it, has a pruned weight."""
    return any(_masks.masked_names(layer) for layer in walk(module))


def _prune(pairs, method, amount, importance_scores) -> None:
    """Take away elements of the weights of ``pairs``, by one ranking."""
    weights = [_masks.weight_of(module, name) for module, name in pairs]
    left = [np.ones(w.shape, bool) if w.kept is None else w.kept.numpy() for w in weights]
    count = _count(amount, sum(int(mask.sum()) for mask in left))
    scores = []
    for weight, given in zip(weights, importance_scores, strict=True):
        found = method.scores(weight.value) if given is None else np.asarray(given)
        if found.shape != weight.shape:
            raise invalid(f"Importance scores have the shape {weight.shape} of {weight.name}.", shape=found.shape)
        scores.append(found)
    ranked = np.concatenate([np.where(mask, s, np.inf).ravel() for mask, s in zip(left, scores, strict=True)])
    kept = np.concatenate([mask.ravel() for mask in left])
    kept[np.argsort(ranked, kind="stable")[:count]] = False
    ends = np.cumsum([mask.size for mask in left])[:-1]
    for (module, name), weight, part in zip(pairs, weights, np.split(kept, ends), strict=True):
        custom_from_mask(module, name, part.reshape(weight.shape))


def _count(amount, left: int) -> int:
    """How many of ``left`` elements ``amount`` says."""
    whole = isinstance(amount, numbers.Integral) and not isinstance(amount, bool)
    share = isinstance(amount, numbers.Real) and not isinstance(amount, bool) and not whole
    if not (whole and 0 <= amount <= left) and not (share and 0 <= amount <= 1):
        expected = f"Pruning expects amount to be a share from 0 to 1, or an int up to the {left} elements left."
        raise invalid(expected, amount=amount)
    return int(amount) if whole else round(float(amount) * left)


__dir__ = module_dir(__name__)
