"""The data of a model: checked, and by the names of its steps' arguments."""

import numpy as np

from .. import data
from .._structures import flatten, mapped
from ..core.errors import invalid
from ..core.locks import building
from . import stored

NO_CLASS_WEIGHT = "A step of your own gets no class_weight: pass sample_weight, which it is given."


def _named(name: str, of: str) -> str:
    """What messages call a part of the data, "the y of validation_data"."""
    return f"the {name} of {of}" if of else name


class ModelData:
    """What a model makes of users' data before its steps.  Mixed into ``Model``."""

    _fixed_batch_size: int | None = None  # the only one that the inputs take

    def _build_once_from(self, arrays) -> None:
        """Build the model from its first data, in whichever thread comes first."""
        if self._graph_inputs is None:
            with building:
                self._build_from_arrays(arrays)

    def _leading(self) -> list:
        """The layers that work on arrays, before the step."""
        return []

    def _before_the_step(self, x):
        """What the leading layers make of data."""
        leading = self._leading()
        if leading and isinstance(x, str | bytes):
            raise invalid(f"The model {self.name!r} takes a list or an array of texts.", x=x)
        for layer in leading:
            x = layer(x)
        return x

    def _samples_of(self, x) -> int:
        return len(x) if self._leading() else data.samples_of(x)

    def _prepare_inputs(self, x, what="x") -> dict:
        """{argument of a step: checked array} of a structure of arrays, for which the model is built."""
        if self._graph_inputs is not None and len(self._graph_inputs) > 1:
            x = data.columns(x)
        arrays = data.as_structure(self._before_the_step(x), what)
        self._build_once_from(arrays)
        given = self._matched_inputs(arrays, what)
        self._take_shapes([array.shape for array in given])
        inputs = data.prepare_inputs(self.name, given, self._input_tensors(), what)
        return dict(zip(self._input_arguments(), inputs, strict=True))

    def _prepare(self, x, y, sample_weight=None, class_weight=None, mode="train", of="", whole=True):
        """Checked arrays: ({argument: array}, number of samples, target shapes).

        of: whose they are, for messages: "validation_data"; whole: whether they are all of a run's, and no batch.
        """
        if self._is_custom(mode):
            if class_weight is not None:
                raise invalid(NO_CLASS_WEIGHT, class_weight=class_weight)
            return self._prepare_custom(x, y, sample_weight, of)
        the_y, the_weight = _named("y", of), _named("sample_weight", of)
        found = self._prepare_inputs(x, _named("x", of))
        samples = len(next(iter(found.values())))
        outputs = self._outputs_for(found)
        used = self._loss_list()
        if y is None:
            raise invalid(f"{the_y} is missing: the targets to compare the predictions with.", y=y)
        ys = self._targets_of_outputs(y, used, the_y)
        own = self._outputs_with_own_targets(used)
        targets = [
            None if each[0] is None else data.prepare_target(*each, samples, the_y, whole)
            for each in zip(used, ys, outputs, own, strict=True)
        ]
        for i, target in enumerate(targets):
            if target is not None:
                found["y" if len(targets) == 1 else f"y_{i + 1}"] = target
        names, dtype = self.output_names, outputs[0].dtype
        owner = f"the model {self.name!r}"
        weights = data.weights_by_output(sample_weight, self._output_structure, names, owner, the_weight)
        one_step = [len(output.shape) > 2 and output.shape[1] == 1 for output in outputs]
        shared = weights[0] if len(weights) == 1 else None
        shared = data.prepare_weights(shared, samples, dtype, the_weight, one_step[0])
        if shared.ndim > 1:  # of positions: every output's own
            weights, shared = weights * len(outputs), data.prepare_weights(None, samples, dtype)
            for i, weight in enumerate(weights, start=1):
                found[f"sample_weight_{i}"] = data.prepare_weights(
                    weight, samples, outputs[i - 1].dtype, the_weight, one_step[i - 1]
                )
        found["sample_weight"] = shared
        if len(weights) > 1 and "sample_weight_1" not in found:
            for i, (name, weight) in enumerate(zip(names, weights, strict=True), start=1):
                what = f"{the_weight} of {name!r}"
                found[f"sample_weight_{i}"] = data.prepare_weights(
                    weight, samples, outputs[i - 1].dtype, what, one_step[i - 1]
                )
        if class_weight is not None:
            self._weigh_classes(found, class_weight)
        return found, samples, tuple(None if t is None else t.shape[1:] for t in targets)

    def _targets_of_outputs(self, y, used, what="y") -> list:
        """The targets of every output; where there are only those of outputs with a loss, None for the others."""
        names = self.output_names
        trained = [name for name, loss in zip(names, used, strict=True) if loss is not None]
        if len(trained) < len(names):
            given = y if isinstance(y, list | tuple) else [y]
            if isinstance(y, dict) and y.keys() == set(trained):
                return [y.get(name) for name in names]
            if not isinstance(y, dict) and len(given) == len(trained):
                remaining = iter(given)
                return [None if loss is None else next(remaining) for loss in used]
        ys = data.by_output(y, self._output_structure, names, f"the model {self.name!r}", what)
        if len(ys) != len(names):
            raise ValueError(f"The model has {len(names)} outputs. Received: {len(ys)} arrays in {what}")
        return ys

    def _prepare_custom(self, x, y, sample_weight, of=""):
        """The same for a step of the user's own, which knows what the arrays are."""
        parts, structure, samples = {"x": self._before_the_step(x), "y": y, "sample_weight": sample_weight}, [], None
        found: dict = {}
        for what, part in parts.items():
            if part is None:
                if what == "y" and sample_weight is not None:
                    structure.append(None)
                continue
            arrays = data.as_structure(part, _named(what, of))
            leaves = flatten(arrays)
            names = [what] if len(leaves) == 1 else [f"{what}_{i + 1}" for i in range(len(leaves))]
            for name, array in zip(names, leaves, strict=True):
                found[name] = data.prepare_any(array, _named(name, of))
                samples = len(array) if samples is None else samples
                if len(array) != samples:
                    what = _named(name, of)
                    raise ValueError(f"{what} needs {samples} samples, as its x has. Received: shape={array.shape}")
            remaining = iter(names)
            structure.append(mapped(lambda _, names=remaining: next(names), arrays))
        return found, samples, tuple(structure)

    def _weigh_classes(self, arrays: dict, class_weight) -> None:
        """Multiply the samples' weights with those of their classes."""
        if len(self._graph_outputs) > 1:
            raise ValueError(
                f"class_weight needs a model with one output. Received: {len(self._graph_outputs)} outputs"
            )
        parts = stored.parts(arrays["y"])
        weights = [data.class_weights(class_weight, part, self._graph_outputs[0]) for part in parts]
        arrays["sample_weight"] = arrays["sample_weight"] * np.concatenate(weights)

    def _check_batches(self, batch_size: int, samples: int) -> None:
        """Raise ValueError unless the model takes ``samples`` in batches of ``batch_size``."""
        fixed = self._fixed_batch_size
        if fixed is not None and (batch_size != fixed or samples % fixed):
            raise invalid(
                f"The inputs of the model {self.name!r} have batches of {fixed} samples: batch_size must be that, and "
                "the number of samples a multiple.",
                batch_size=batch_size, samples=samples,
            )  # fmt: skip
