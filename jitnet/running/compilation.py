"""What ``compile`` was given: checked, assigned to the model's outputs, and named as in Keras's logs."""

import numpy as np

from .. import losses, metrics, schedules
from .._settings import is_schedule
from ..core import checks
from ..core.errors import invalid, unknown_name
from ..core.operations.base import display
from ..core.settings import Setting


def check(loss, loss_weights, given_metrics, weighted_metrics, jit_compile, memory) -> dict:
    """The arguments of ``compile`` that say what is computed; losses as objects, the rest as given.

    Whether they fit the outputs is checked where these are known.
    """
    if jit_compile not in (True, False, "auto"):
        raise invalid('compile expects jit_compile to be True, False or "auto".', jit_compile=jit_compile)
    if memory not in ("normal", "low"):
        raise invalid('compile expects memory to be "normal" or "low".', memory=memory)
    for argument, given in (("metrics", given_metrics), ("weighted_metrics", weighted_metrics)):
        if given is not None and not isinstance(given, list | tuple | dict):
            raise invalid("compile expects a list of metrics, or a dict of them by output name.", **{argument: given})
        for identifier in _leaves(given):
            if isinstance(identifier, str):
                metrics.get(identifier)  # an unknown name is reported here, not at the first step
    loss_weights = checked_weights(loss_weights)
    if isinstance(loss, dict):
        found = {name: losses.get(x) for name, x in loss.items()}
    else:
        several = isinstance(loss, list | tuple)
        found = [losses.get(x) for x in (loss if several else [loss]) if several or x is not None]
    given = list(found.values() if isinstance(found, dict) else found)
    if given and not any(given):
        raise invalid("compile expects a loss for at least one output.", loss=loss)
    for x in given:
        if x is not None:
            _check_reduction(x)
    return {
        "losses": found,
        "metrics": _copied(given_metrics or []),
        "weighted_metrics": _copied(weighted_metrics or []),
        "loss_weights": loss_weights,
        "jit_compile": jit_compile,
        "memory": memory,
    }


def _leaves(structure) -> list:
    if isinstance(structure, dict) and "class_name" not in structure:  # a dict by output, not a metric's config
        structure = list(structure.values())
    if isinstance(structure, list | tuple):
        return [leaf for item in structure for leaf in _leaves(item)]
    return [] if structure is None else [structure]


def _check_reduction(loss) -> None:
    if loss.reduction == "none":
        raise invalid(
            f'A model trains on one number: the loss {loss.name!r} needs reduction "sum_over_batch_size", "sum" or '
            '"mean_with_sample_weight".',
            reduction=loss.reduction,
        )  # fmt: skip


def _copied(structure):
    if isinstance(structure, dict):
        return {name: _copied(item) for name, item in structure.items()}
    return [_copied(item) for item in structure] if isinstance(structure, list | tuple) else structure


def checked_weights(loss_weights):
    """``loss_weights`` as given, or a copy with schedules in the place of their configs."""
    found = _with_schedules(loss_weights)
    given = found.values() if isinstance(found, dict) else found if isinstance(found, list | tuple) else [found]
    try:
        weights = [schedules.evaluate(w, [0])[0] if is_schedule(w) else w for w in given if w is not None]
    except TypeError:  # a metric is no function of the step
        weights = [None]
    if any(not isinstance(w, int | float | np.number | np.ndarray) for w in weights):
        raise invalid(
            "compile takes loss_weights third, as in Keras 3, and they are numbers or schedules: pass metrics by name, "
            "compile(optimizer, loss, metrics=[...]).",
            loss_weights=loss_weights,
        )
    if any(isinstance(w, bool | np.ndarray) or not np.isfinite(w) for w in weights):
        raise invalid("compile expects loss_weights to be finite numbers.", loss_weights=loss_weights)
    return found


def _with_schedules(structure):
    if isinstance(structure, list) and any(isinstance(x, dict | str) for x in structure):
        return [schedules.given(x) for x in structure]
    return schedules.given(structure) if isinstance(structure, dict) and "class_name" in structure else structure


class LossWeight(Setting):
    """The factor of an output's loss: what the loss weights of a compilation are at present.

    index, output: of the output, its place and its name.
    """

    def __init__(self, compiled: dict, index: int, output: str):
        super().__init__(compiled, f"loss_weights[{index}]")
        self.index, self.output = index, output

    @property
    def value(self):
        found = self.owner["loss_weights"]
        if isinstance(found, dict):
            found = found.get(self.output)
        elif isinstance(found, list | tuple):
            found = found[self.index]
        return 1.0 if found is None else found if is_schedule(found) else float(found)

    def check(self, number):
        checks.number("The model", f"the loss weight of {self.output}", number)


# ---- by output


def losses_by_output(compiled: dict, names: list[str]) -> list:
    """The loss of every output, None for outputs that are not trained."""
    found = compiled["losses"]
    if isinstance(found, dict):
        missing = [name for name in names if name not in found]
        found = _ordered("loss", found, names)
        if missing:
            raise ValueError(
                f"compile expects a loss for every output, None for those that are not trained. Missing: "
                f"{', '.join(missing)}. Received: loss for {', '.join(compiled['losses'])}"
            )
    if len(found) == 1:
        found = found * len(names)
    if len(found) != len(names):
        raise ValueError(f"The model has {len(names)} outputs. Received: {len(found)} losses")
    for loss in found:
        if loss is not None:
            _check_reduction(loss)  # it may have been assigned since compile
    return found


def weights_by_output(compiled: dict, names: list[str]) -> list[LossWeight]:
    """The factor of every output's loss."""
    given = compiled["loss_weights"]
    if given is None:
        found = [1.0] * len(names)
    elif isinstance(given, dict):
        found = _ordered("loss_weights", given, names)
    else:
        found = given if isinstance(given, list | tuple) else [given]
    if len(found) != len(names):
        raise ValueError(f"loss_weights needs {len(names)} numbers, one per output. Received: {given}")
    return [LossWeight(compiled, index, name) for index, name in enumerate(names)]


def as_lists(compiled: dict, model) -> dict:
    """``compiled`` with a list in the order of the model's outputs for each dict by their names."""
    return {
        key: _ordered(key, value, model.output_names) if isinstance(value, dict) else value
        for key, value in compiled.items()
    }


def metrics_by_output(compiled: dict, names: list[str], used, outputs, targets=None) -> list[tuple]:
    """[(metric, index of its output, its name in the logs, whether samples are weighed)].

    used: the loss of every output; outputs: the symbolic outputs; targets: likewise, where they are known.
    """
    found: list[tuple] = []
    for argument in ("metrics", "weighted_metrics"):
        weighted, taken = argument != "metrics", [name for _, _, name, _ in found]
        for i, identifier in _by_output(argument, compiled[argument], names):
            if used[i] is None and any(used):
                raise invalid(
                    f"The output {names[i]!r} has no loss, and so no targets that a metric could be computed of.",
                    **{argument: identifier},
                )
            metric = metrics.get(identifier, used[i], outputs[i].shape, getattr(targets and targets[i], "shape", None))
            if not metrics.takes_targets(metric):
                raise invalid(f"compile takes no {type(metric).__name__}, which has no targets.", **{argument: metric})
            name = identifier if isinstance(identifier, str) else metric.name
            prefix = f"{names[i]}_" if len(names) > 1 else ""
            repeats = weighted and f"{prefix}{name}" in taken
            found.append((metric, i, f"{prefix}weighted_{name}" if repeats else f"{prefix}{name}", weighted))
    return found


def _by_output(argument: str, given, names: list[str]):
    """(index of an output, identifier) of each metric."""
    if isinstance(given, dict):
        given = _ordered(argument, given, names)
    elif len(names) == 1:
        given = [given]
    elif given and len(given) != len(names):
        raise ValueError(
            f"compile expects {argument} to be a list with one entry per output ({', '.join(names)}), each None, a "
            f"metric or a list of metrics, or a dict by output name. Received: {argument}={given!r}"
        )
    return [(i, identifier) for i, entry in enumerate(given) for identifier in _leaves(entry)]


def _ordered(argument: str, given: dict, names: list[str]) -> list:
    """The values of a dict by output name, in the order of the outputs; None where there is none."""
    for name in given:
        if name not in names:
            raise unknown_name(f"output in {argument}", str(name), names)
    return [given.get(name) for name in names]


def distinct(names: list[str]) -> list[str]:
    """``names`` with ``_1``, ``_2``, ... where they repeat, as in Keras."""
    found = []
    for name in names:
        unique, number = name, 0
        while unique in found:
            number += 1
            unique = f"{name}_{number}"
        found.append(unique)
    return found


# ---- in a step


def as_metric_target(metric, loss, target, output):
    """A metric sees the loss's targets; labels cannot serve a metric that compares whole rows.

    A user's metric that updates its own state knows what it does with them, and a user's loss does not say what they
    are.
    """
    if losses.takes_targets_as_given(metric) or losses.leaves_targets_open(loss):
        return target
    if metric.sparse and not loss.sparse:
        raise ValueError(
            f"The metric {metric.name!r} expects integer labels, but the loss {loss.name!r} takes one target per "
            f'class. Use metrics=["accuracy"], or a loss for integer labels. Received: metric={metric.name!r}'
        )
    if loss.sparse and not metric.sparse:
        raise ValueError(
            f"The metric {metric.name!r} expects targets of shape {display(output.shape)}, but the loss "
            f'{loss.name!r} takes integer labels. Use metrics=["accuracy"]. Received: metric={metric.name!r}'
        )
    return target
