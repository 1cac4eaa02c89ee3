"""Compilation ahead of time."""

import numpy as np

from .exclusive import trains
from .fit_arguments import checked_batch_size


@trains
def warmup(model, batch_size: int = 32, training: bool = True) -> None:
    """Compile what a model needs, so that neither it nor a later process with such a model waits for it.

    Every step runs once on zeros and on copies of all that it changes: weights, optimizer, metrics and random numbers
    stay as they are, to the bit.

    model: a built model; with ``training`` also compiled with ``model.compile``.
    batch_size: as in ``fit``.  Only the choice of ``jit_compile="auto"`` depends on it, not what is compiled.
    training: whether ``fit`` and ``evaluate`` will be used, or ``predict`` alone.

    Raises ValueError if the model's input shape is not known yet or has None in it, if training needs a loss, or if a
    ``train_step`` of the user's own has not been traced yet.
    """
    batch_size = checked_batch_size(batch_size)
    outputs = model.outputs
    model._require_sizes("warmup")
    if training:
        model._require_compiled("warmup")
        for mode in ("train", "evaluate"):
            if model._is_custom(mode):
                step = model._shown_step(mode)
            elif mode == "evaluate" and not model._compiled["losses"]:
                continue
            else:
                pairs = zip(model._loss_list(), outputs, strict=True)
                shapes = (None if loss is None else model._target_shape(loss, output) for loss, output in pairs)
                step = model._step(mode, tuple(shapes))
            _run(step, batch_size, compiled=False)
            if model._runs_compiled(step, batch_size):
                _run(step, batch_size, compiled=True)
        model._order(1, 0)  # the kernel that shuffles
    # one is for few samples, if the model computes much for each
    for step, samples in {model._prediction(1): 1, model._step("predict"): batch_size}.items():
        _run(step, samples, False, dict(zip(step.output_arguments, outputs, strict=True)))


def _run(step, batch: int, compiled: bool, outputs=()) -> None:
    """One step on zeros; outputs: {argument name: symbolic tensor}."""
    arrays = {"order": np.arange(batch), "seed": 0, "t": 0, "results": np.zeros(step.results)}
    for name, value in {**step.inputs, **dict(outputs)}.items():
        arrays[name] = np.zeros((batch, *value.shape[1:]), value.dtype)
    arrays["sample_weight"] = np.zeros(batch, next(iter(step.inputs.values())).dtype)
    for name, storage in step.storages.items():
        arrays[name] = step.target.zeros(storage.size, storage.dtype)
        arrays[name][:] = storage
    optimizers = [state.optimizer for state in step.states]
    for state in step.states:
        state.optimizer = state.optimizer.without_state()
    try:
        step.run(batch, 1, arrays, compiled)
    finally:
        for state, optimizer in zip(step.states, optimizers, strict=True):
            state.optimizer = optimizer
