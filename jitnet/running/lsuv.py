"""Initialisation by data: ``jitnet.initializers.lsuv``."""

import math

import numpy as np

from ..core import checks
from ..core.errors import invalid
from ..initializers import Orthogonal
from ..models import Model


def lsuv(model, x, tolerance=0.01, max_iterations=10, gain=1.0, seed=None) -> dict[str, float]:
    """Layer-sequential unit-variance initialisation: kernels by what comes out of them for a batch of data.

    Layer after layer, in the order of the model: the kernel becomes orthogonal, and is then divided by the standard
    deviation of what the layer makes of the batch before its activation, until that is ``gain``.

    Source: Mishkin & Matas 2016, "All you need is a good init", algorithm 1.

    Args:
        model: a built model whose layers were each applied once, such as a ``Sequential``.
        x: a batch of its input (n, ...), or a list of them, of at least two samples.
        tolerance: how far from 1 the variance, divided by gain**2, may be.
        max_iterations: divisions of a kernel, at least 1.
        gain: the standard deviation that is wanted, above 0.
        seed: of the orthogonal kernels: an integer, or None for the global seed.

    Returns:
        {name of a layer: the variance that it ends with}, of the layers that have a kernel and an activation of theirs
        to be left out, such as ``Dense`` and convolutions.

    Raises:
        ValueError: a model without such layers or not built, another argument, or outputs that don't vary.
    """
    tolerance, gain = (checks.positive("lsuv", name, v) for name, v in (("tolerance", tolerance), ("gain", gain)))
    max_iterations = checks.integer("lsuv", "max_iterations", max_iterations, least=1)
    layers = [layer for layer in getattr(model, "layers", []) if np.ndim(getattr(layer, "kernel", None)) >= 2]
    if not layers:
        raise invalid("lsuv expects a built model with layers that have kernels.", model=model)
    found = {}
    for number, layer in enumerate(layers):
        inputs = layer.input
        direct = any(inputs is tensor for tensor in model.inputs)
        given = x if direct and not isinstance(x, list) else Model(model.inputs, inputs).predict(x, verbose=0)
        config = layer.get_config() | ({"activation": None} if hasattr(layer, "activation") else {})
        twin = type(layer).from_config(config)  # without the activation
        twin(np.asarray(given)[:1])
        others = [v.numpy() for v in layer.weights]
        kernel = Orthogonal(seed=None if seed is None else seed + number)(layer.kernel.shape, layer.kernel.dtype)
        for _ in range(max_iterations + 1):
            twin.set_weights([kernel if v is layer.kernel else o for v, o in zip(layer.weights, others, strict=True)])
            variance = float(np.var(twin(np.asarray(given)), dtype=np.float64)) / gain**2
            found[layer.name] = variance * gain**2
            if abs(variance - 1) < tolerance:
                break
            if not variance > 0 or not math.isfinite(variance):
                raise invalid(f"The layer {layer.name!r} makes the same of all of this batch.", variance=variance)
            kernel = kernel / np.sqrt(np.asarray(variance, kernel.dtype))
        layer.kernel.assign(kernel)
    return found
