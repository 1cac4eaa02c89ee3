"""A model's steps: what ``fit``, ``evaluate`` and ``predict`` run, made when they are first asked for."""

import re

from .. import ops
from .._fixed import Fixed, fix, noticed, tracing
from .._places import described, shapes
from .._registry import snake_case
from .._structures import flatten, mapped
from ..builder import Computation
from ..config import conv_algorithm, device, float32_matmul_precision
from ..core import checks, lengths, trace
from ..core.errors import invalid, noted
from ..core.locks import building
from ..core.operations.base import display
from ..core.settings import Setting
from ..core.trace import training_mode
from ..core.values import Value, placeholder
from ..gradients import value_and_grad
from ..losses import aligned, checked, step_values, symbolic_targets, takes_targets_as_given, target_shape
from ..metrics import LossMetric
from ..regularizers import is_pair, penalty
from ..step import Step, target_of
from . import compilation
from .logs import Logs
from .model_metrics import ModelMetrics, numbered

KEPT_SIZES = 8  # of inputs, for which a model of any size keeps its steps and their memory (a guess)


def unpack_x_y_sample_weight(data) -> tuple:
    """(x, y, sample_weight) of what a ``train_step`` is given, None where there is none."""
    data = data if isinstance(data, tuple) else (data,)
    return (*data, None, None)[:3]


def _listed(arguments: dict) -> str:
    return ", ".join(f"{name} {shapes(value)}" for name, value in arguments.items())


def _product(weight, own):
    """Weights (batch,) of all outputs times those of one, (batch, ...), if it has any."""
    return weight if own is None else aligned(weight, own) * own


def _as_numbers(losses) -> list[Value]:
    """What layers added to the loss, each as a single number."""
    return [ops.mean(value) if value.batched else value for value in losses]


def _penalties(variables) -> list[Value]:
    """What the regularizers of variables say."""
    return [penalty(v.regularizer, v) for v in variables if v.regularizer is not None]


def _demands(variables) -> list:
    """The regularizers and constraints of variables, but for functions."""
    found = [part for v in variables for part in (v.regularizer, v.constraint)]
    return [part for part in found if isinstance(part, Fixed)]


class ModelSteps(ModelMetrics):
    """The steps of a model.  Mixed into ``Trainer``."""

    _own_targets: tuple = (None, [])  # what compile was given, and what ``_outputs_with_own_targets`` found for it

    def _is_custom(self, mode: str) -> bool:
        """Whether the step of a mode is what ``train_step`` or ``test_step`` say.

        So is one of a model that was compiled without a loss, where layers add what is trained: its targets, if there
        are any, are no output's.
        """
        return self._has_own_step(mode) or (
            mode in ("train", "evaluate") and self._compiled is not None and not self._compiled["losses"]
        )

    def _has_own_step(self, mode: str) -> bool:
        if mode == "train" and self.optimizer is not None and self.optimizer.needs_loss:
            return True  # there the loss is a value
        name = {"train": "train_step", "evaluate": "test_step"}.get(mode)
        names = () if name is None else (name, "compute_loss", "compute_metrics")
        return any(getattr(type(self), name) is not getattr(ModelSteps, name) for name in names)

    def _require_compiled(self, method: str) -> None:
        if self._has_own_step("evaluate" if method == "evaluate" else "train"):
            if self._compiled is None:
                raise ValueError(f"The model {self.name!r} needs a call of model.compile before {method}.")
            return
        takes_data = method in ("fit", "evaluate", "train_on_batch")
        if self._compiled is None or not (self._compiled["losses"] or (takes_data and self._may_add_losses())):
            raise ValueError(
                f"The model {self.name!r} needs a loss before {method}: call model.compile(optimizer, loss). "
                "Received: loss=None"
            )
        compilation.checked_weights(self._compiled["loss_weights"])  # whose entries may have been assigned
        if self._graph_inputs is not None:
            compilation.weights_by_output(self._compiled, self.output_names)
        if self.optimizer is None and method != "evaluate":
            raise ValueError(
                f"The model {self.name!r} needs an optimizer before {method}: call model.compile(optimizer, loss). "
                "Received: optimizer=None"
            )

    def _may_add_losses(self) -> bool:
        """Whether layers add to the loss, or weights have penalties; True where that is not known before data come."""
        if self._graph_inputs is None:
            return True
        with trace.added_losses() as added:
            self._trace(True)
        return bool(added) or any(v.regularizer is not None for v in self.trainable_weights)

    def _step(
        self, mode: str, target_shapes=None, fuse: bool = True, regions: bool | None = None, arrays=(),
        few: bool = False,
    ) -> Step:  # fmt: skip
        """The step of a mode: "train", "evaluate" or "predict".

        arrays: its data by the names of its arguments; few: for few images, see ``Step``.
        """
        # the shapes of a sample's weights, where each output's samples have weights of their own
        weighted = tuple(a.shape[1:] for name, a in dict(arrays).items() if name.startswith("sample_weight_"))
        memory = self._compiled["memory"] if self._compiled else "normal"
        if self._is_custom(mode):
            return self._custom_step(mode, target_shapes, arrays, {"fuse": fuse, "regions": regions, "memory": memory})
        sizes = self._sizes(arrays)
        # a prediction does not depend on what is trained, and to find that takes longer than to predict one sample
        trainable = () if mode == "predict" else tuple(self.trainable_weights)
        update = self.optimizer.structure if mode == "train" else None  # SGD's depends on whether it has momentum
        penalties = tuple((v.regularizer, v.constraint) for v in trainable)
        where = device(), float32_matmul_precision()
        key = (
            mode, trainable, penalties, target_shapes, fuse, regions, update, conv_algorithm(), where, weighted, few,
            sizes,
        )  # fmt: skip
        steps = self._steps
        if key not in steps:
            with building, tracing():
                if key not in steps:
                    options = {"fuse": fuse, "regions": regions, "target": target_of(where[0], few), "memory": memory}
                    steps[key] = self._make_step(mode, trainable, target_shapes, options, weighted, sizes)
        return steps[key]

    def _prediction(self, batch: int, arrays=()) -> Step:
        """The prediction that is fastest for so many samples; arrays: see ``_step``."""
        step = self._step("predict", arrays=arrays)
        return self._step("predict", arrays=arrays, few=True) if step.runner.suits_few(batch) else step

    def _sizes(self, arrays) -> tuple | None:
        """The shapes of the samples in a step's data, where the inputs do not say all lengths; None where they do.

        Without data, those of the last ones.  Raises ValueError if there were none.
        """
        if not self._takes_any_size():
            return None
        if arrays:
            sizes = tuple(arrays[name].shape[1:] for name in self._input_arguments())
            self._keep_few_sizes(sizes)
            return sizes
        if not self._recent_sizes:
            raise invalid(
                f"The model {self.name!r} takes inputs of any size: its steps are made when data come. Call fit or "
                "predict first.",
                input_shape=self.input_shape,
            )  # fmt: skip
        return next(reversed(self._recent_sizes))

    def _takes_any_size(self) -> bool:
        """Whether the inputs do not say all lengths."""
        return any(lengths.unknown(x.shape) for x in self._input_tensors())

    def _require_sizes(self, method: str) -> None:
        if self._takes_any_size():
            raise invalid(
                f"{method} needs a model whose inputs have known sizes: give Input a shape without None.",
                input_shape=self.input_shape,
            )  # fmt: skip

    def _keep_few_sizes(self, sizes: tuple) -> None:
        """Forget the steps for what has not been used for long: each has memory of its own."""
        self._recent_sizes.pop(sizes, None)
        self._recent_sizes[sizes] = None
        while len(self._recent_sizes) > KEPT_SIZES:
            oldest = next(iter(self._recent_sizes))
            del self._recent_sizes[oldest]
            for key in [key for key in self._steps if key[-1] == oldest]:
                del self._steps[key]

    def _input_arguments(self) -> list[str]:
        """What a step calls the model's inputs."""
        count = len(self._input_tensors())
        return ["x"] if count == 1 else [f"x_{i + 1}" for i in range(count)]

    def _outputs_for(self, arrays: dict) -> list:
        """Symbolic outputs for data of these shapes."""
        sizes = self._sizes(arrays)
        if sizes is None:
            return self._graph_outputs
        if sizes not in self._sized_outputs:
            with building, tracing(), trace.added_losses():
                self._sized_outputs = {sizes: self._trace(False, sizes)[1]}  # those of the last data
        return self._sized_outputs[sizes]

    def _make_step(self, mode, trainable, target_shapes, options, weighted, sizes) -> Step:
        computation, logs, inputs = self._computation(mode, trainable, target_shapes, weighted, sizes)
        step = Step(self._step_title(mode, inputs), computation, **options)
        return step if logs is None else logs.attached_to(step, self._trackers()[1])

    def _computation(self, mode, trainable, target_shapes, weighted=(), sizes=None) -> tuple:
        """(computation of a mode, what it logs or None, its inputs)."""
        training = mode == "train"
        with trace.added_losses() as added, trace.updates() as updated:
            inputs, outputs = self._trace(training, sizes)
            added = _as_numbers(added)
            reported = [] if mode == "predict" else [(metric, metric.traced()) for metric in self._own_metrics(updated)]
        parts = self._parts()
        arguments = dict(zip(self._input_arguments(), inputs, strict=True))
        layer_names = self._names_in_source()
        if mode == "predict":
            fix(self, parts)
            return Computation(arguments, outputs, layer_names=layer_names, any_size=sizes is not None), None, inputs
        used = self._loss_list()
        targets = []
        for i, (loss, output) in enumerate(zip(used, outputs, strict=True)):
            if loss is None:
                targets.append(None)
                continue
            name = "y" if len(outputs) == 1 else f"y_{i + 1}"
            shape = self._target_shape(loss, output) if target_shapes is None else target_shapes[i]
            target = placeholder(name, shape, "int64" if loss.sparse else output.dtype)
            arguments[name] = target
            targets.append(target)
        sample_weight = placeholder("sample_weight", (), outputs[0].dtype)
        weights = compilation.weights_by_output(self._compiled, self.output_names)
        metrics = self._metric_list(used, targets)
        with training_mode(training):
            own = [None] * len(outputs)  # weights of each output's samples
            for i, shape in enumerate(weighted):
                name = f"sample_weight_{i + 1}"
                own[i] = arguments[name] = placeholder(name, shape, outputs[i].dtype)
            aligned_targets = [
                None if loss is None else symbolic_targets(loss, target, output)
                for loss, target, output in zip(used, targets, outputs, strict=True)
            ]
            found = []
            for loss, target, output, weight in zip(used, aligned_targets, outputs, own, strict=True):
                if loss is None:
                    continue
                with noted(lambda a=loss, y=target, p=output: self._noted("loss", a, y, p)):
                    found.append(step_values(loss, target, output, weight, sample_weight))
            values, reductions = zip(*found, strict=True)
            records = list(values) if len(values) > 1 else []
            loss_tracker, compile_metrics = self._trackers()
            logs = Logs(loss_tracker, records, self._loss_names(used))
            for metric, i, name, is_weighted in metrics:
                of_metric = targets if takes_targets_as_given(metric) else aligned_targets
                target = compilation.as_metric_target(metric, used[i], of_metric[i], outputs[i])
                weight = [_product(sample_weight, own[i])] if is_weighted else []
                with noted(lambda a=metric, y=target, p=outputs[i]: self._noted("metric", a, y, p)):
                    logs.add(name, metric.traced(target, outputs[i], *weight))
            compile_metrics.names = [name for _, _, name, _ in metrics]
            for metric, result in reported:
                logs.add(metric.name, result)
        # of what is trained, as in Keras
        pairs = [(variable, variable.regularizer) for variable in trainable if is_pair(variable.regularizer)]
        penalties = [(v, Setting(regularizer, "l1"), Setting(regularizer, "l2")) for v, regularizer in pairs]
        added += _penalties([v for v in trainable if not is_pair(v.regularizer)])
        weights = [weight for loss, weight in zip(used, weights, strict=True) if loss is not None]
        used = [loss for loss in used if loss is not None]
        parts += [*used, *(metric for metric, *_ in metrics + reported), *_demands(trainable)]
        parts += [metric.loss for metric, *_ in metrics if isinstance(metric, LossMetric)]
        fix(self, parts + [self.optimizer] if training and self.optimizer is not None else parts)
        computation = Computation(
            arguments, losses=list(zip(values, weights, strict=True)), added=added, records=logs.records,
            largest=logs.largest, reductions=list(reductions), trainable=list(trainable) if training else [],
            optimizer=self.optimizer if training and trainable else None, penalties=penalties, gathered=True,
            sample_weight=sample_weight, layer_names=layer_names, any_size=sizes is not None,
        )  # fmt: skip
        return computation, logs, inputs

    def _noted(self, kind: str, part, target, output) -> str:
        """What an error in a loss or a metric says besides."""
        return f"In the {kind} {part.name!r} of {described(self)}: y_true {shapes(target)}, y_pred {shapes(output)}."

    def _step_title(self, mode: str, inputs) -> str:
        """The first line of a step's source."""
        kind = type(self).__name__
        shapes = ", ".join(display(x.shape) for x in inputs)
        name = "" if re.fullmatch(r"(sequential|functional|model)(_\d+)?", self.name) else f' "{self.name}"'
        return f"{kind}{name}, {mode}, input {shapes}, {inputs[0].dtype}; {self.count_params():,} parameters"

    # ---- steps of the user's own

    def train_step(self, data):
        """What one step of ``fit`` does, for classes that do something else: traced once, and compiled like any step.

        data: x alone, (x, y) or (x, y, sample_weight): symbolic tensors, in the structure that ``fit`` was given.

        Layers that are called without ``training`` behave as in training, in ``test_step`` as in inference.

        It calls ``jitnet.value_and_grad`` and ``optimizer.apply``, may assign to variables, and returns
        {name: what is logged}: single numbers, values (batch,), results of metrics, or a dict of such.
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)

        def loss_of_batch():
            y_pred = self(x, training=True)
            return self.compute_loss(x, y, y_pred, sample_weight), y_pred

        variables = self.trainable_variables
        (loss, y_pred), gradients = value_and_grad(loss_of_batch, has_aux=True, variables=variables)()
        self.optimizer.apply(gradients, variables, loss=loss)
        return {"loss": loss, **self.compute_metrics(x, y, y_pred, sample_weight)}

    def test_step(self, data):
        """What one step of ``evaluate`` does; as ``train_step``, without updates."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        return {"loss": loss, **self.compute_metrics(x, y, y_pred, sample_weight)}

    @property
    def losses(self) -> list:
        """In a ``train_step`` or ``test_step``, what layers have added with ``add_loss`` so far, and the penalties of
        the weights' regularizers: symbolic numbers.  Elsewhere those of the model's last call on arrays.
        """
        if not trace.collects_losses():
            return super().losses
        return [*_as_numbers(trace.losses_added()), *_penalties(self.trainable_weights)]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss that ``compile`` was given, of a batch: a single number, with penalties and ``add_loss``'s."""
        terms = _as_numbers(trace.losses_added())
        if self._compiled and self._compiled["losses"]:
            outputs = flatten(y_pred)
            losses = compilation.losses_by_output(self._compiled, numbered("output", len(outputs)))
            weights = compilation.weights_by_output(self._compiled, numbered("output", len(outputs)))
            for loss, weight, target, output in zip(losses, weights, flatten(y), outputs, strict=True):
                if loss is None:
                    continue
                noticed(loss)
                target = symbolic_targets(loss, target, output)
                values = checked(loss, loss.compared(target, output))
                terms.append(loss.reduced(values, sample_weight, loss.counting(target, output, values)) * weight)
        terms += _penalties(self.trainable_weights)
        if not terms:
            raise ValueError(
                f"The model {self.name!r} has no loss: pass one to compile, or compute one in train_step, or add one "
                "in the call of a layer, by add_loss."
            )
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def _custom_step(self, mode: str, structure, arrays, options: dict) -> Step:
        """The step of a ``train_step`` or ``test_step`` of the user's own, for data of these shapes.

        structure: names of arguments in the structures of x, y and sample weights.
        """
        if not arrays:
            raise ValueError(f"A {mode}_step of your own is traced with data: call fit or train_on_batch first.")
        described = tuple((name, a.shape[1:], str(a.dtype)) for name, a in arrays.items())
        trainable = tuple(self.trainable_weights)
        penalties = tuple((v.regularizer, v.constraint) for v in trainable)
        where = device(), float32_matmul_precision()
        key = (mode, described, str(structure), *options.values(), trainable, penalties, conv_algorithm(), where)
        steps = self._steps
        if key not in steps or not steps[key].fits_optimizers():
            with building, tracing():
                if key not in steps or not steps[key].fits_optimizers():
                    options = {**options, "target": target_of(where[0])}
                    steps[key] = self._trace_custom(mode, structure, described, options)
        return steps[key]

    def _trace_custom(self, mode: str, structure, described, options: dict) -> Step:
        arguments = {name: placeholder(name, shape, dtype) for name, shape, dtype in described}
        tensors = tuple(mapped(lambda name: None if name is None else arguments[name], part) for part in structure)
        training, method = mode == "train", self.train_step if mode == "train" else self.test_step
        given = noted(lambda: f"In {type(self).__name__}.{method.__name__}, traced on {_listed(arguments)}.")
        with given, trace.effects() as effects, trace.added_losses(), trace.updates(), training_mode(training):
            found = method(tensors if len(tensors) > 1 else tensors[0])
        if not isinstance(found, dict):
            kind = type(self).__name__
            raise TypeError(f"{kind}.{method.__name__} returns a dict of logs by name. Received: {found!r}")
        logs = Logs()
        for name, value in found.items():
            for part, result in (value if isinstance(value, dict) else {name: value}).items():
                logs.add(part, result)
        computation = Computation(
            arguments, records=logs.records, largest=logs.largest, effects=effects, gathered=True,
            layer_names=self._names_in_source(),
            any_size=self._graph_inputs is not None and self._takes_any_size(),
        )  # fmt: skip
        inputs = [value for name, value in arguments.items() if name.startswith("x")]
        step = Step(self._step_title(mode, inputs), computation, **options)
        losses = self._compiled["losses"]
        losses = losses.values() if isinstance(losses, dict) else losses
        optimizers = [state.optimizer for state in step.states]
        losses = [loss for loss in losses if loss is not None]
        fix(self, [*self._parts(), *losses, *_demands(self.trainable_weights), *optimizers])
        return logs.attached_to(step, self._trackers()[1])

    # ---- names

    def _parts(self) -> list:
        """The model and all layers in it."""
        found, pending = {}, [self]
        while pending:
            layer = pending.pop()
            if layer not in found:
                found[layer] = None
                pending.extend(layer.sublayers())
        return list(found)

    def _names_in_source(self) -> dict:
        """Names of layers as the step's source has them: automatic ones are counted from the model's start.

        Two models of the same architecture so have the same source, and compile once.
        """
        names, counts, pending = {}, {}, list(self.sublayers())
        while pending:
            layer = pending.pop(0)
            base = snake_case(type(layer).__name__)
            if re.fullmatch(rf"{base}(_\d+)?", layer.name):
                number = counts[base] = counts.get(base, -1) + 1
                names[layer.name] = base if number == 0 else f"{base}_{number}"
            pending = layer.sublayers() + pending
        return names

    def _loss_list(self) -> list:
        """The loss of every output, None for outputs that are not trained."""
        return compilation.losses_by_output(self._compiled, self.output_names)

    def _outputs_with_own_targets(self, used) -> list[bool]:
        """Whether targets of each output stay in the shape that they have, for a user's own loss or metric."""
        compiled, found = self._own_targets
        if compiled is not self._compiled:  # once, not for every batch
            found = [loss is not None and takes_targets_as_given(loss) for loss in used]
            for metric, i, *_ in self._metric_list(used):
                found[i] = found[i] or takes_targets_as_given(metric)
            vars(self)["_own_targets"] = self._compiled, found
        return found

    @staticmethod
    def _target_shape(loss, output) -> tuple:
        found = target_shape(loss, output.shape)
        return output.shape[1:] if found is None else found

    def _record_names(self) -> list[str]:
        """Names of the results in logs."""
        used = self._loss_list()
        names = ["loss", *self._loss_names(used)]
        return compilation.distinct(names + [name for _, _, name, _ in self._metric_list(used)])

    def _loss_names(self, used) -> list[str]:
        """Names in logs of each output's loss, where there are several."""
        trained = [name for name, loss in zip(self.output_names, used, strict=True) if loss is not None]
        return [f"{name}_loss" for name in trained] if len(trained) > 1 else []

    def step_source(self, mode: str = "train", fuse: bool = True) -> str:
        """The Python source of the step that runs.

        mode: "train", "evaluate" or "infer".
        fuse: False shows the unfused step, one kernel after the other over reference buffers.
        """
        modes = {"train": "train", "evaluate": "evaluate", "infer": "predict", "predict": "predict"}
        if mode not in modes:
            raise invalid('step_source expects mode "train", "evaluate" or "infer".', mode=mode)
        if mode in ("train", "evaluate"):
            self._require_compiled("step_source")
        return self._shown_step(modes[mode], fuse).source

    def jitted_predict(self, batch_size: int = 1):
        """A prediction for your own ``@njit`` functions: ``(function, state)``.

        There, ``function(state, x, predictions)`` writes the outputs for x (batch_size, ...) into the array predictions
        (batch_size, ...), both C-contiguous and of the model's dtypes; of several inputs and outputs, each is an
        argument, the inputs first.  It allocates nothing and runs in the calling thread.  A function that calls it may
        be compiled with ``cache=True``.

        state: a tuple with the model's arrays, to be passed on as it is.  It sees the weights as they are when it is
        used, trained or assigned meanwhile; other numbers, say a slope of an activation that was assigned, as they are
        now.  The memory that the step computes in belongs to it, so threads that run at once need one each: another
        call of this method gives another state, for an equal function.

        Raises ValueError for a model that draws random numbers in predictions; in compiled code for arrays of another
        shape, and for a state that belongs to another function (Numba takes functions for constants).
        """
        step, given, values = self._alone("jitted_predict", batch_size)
        return step.runner.jitted(batch_size, given, step.output_arguments, values)

    def export(self, filepath, format="c", verbose=None, *, batch_size: int = 1):
        """Write the prediction as a C library, which needs neither Python nor Numba.

        Of ``export("build/digits")``, ``digits.h`` declares ``digits_predict(x, predictions, workspace)`` and says how
        it is called, ``digits.o`` is its machine code with the weights, and where there is a C compiler (``CC``, cc,
        gcc or clang) that is also linked as ``libdigits.so``.  It is for processors like this one, or like that which
        ``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` name; it allocates nothing, runs in the calling thread, and gives
        the bits of ``predict`` in batches of ``batch_size``, where that doesn't share out single samples among threads.

        filepath: where, without a suffix; its last part begins the names in C.  Missing folders are made.
        format: "c".
        verbose: False: no word about it.
        batch_size: of the samples in a call.

        A model that keeps states between batches (``stateful=True``) gives them to the caller: ``digits_reset`` begins
        them.  Weights and settings are those of the call.

        Raises:
            ValueError: a model that draws random numbers in predictions, works on strings, or has operations of your
                own, which Numba compiles; or a path whose last part is no name in C.
            OSError: the files can't be written, or not be linked.
        """
        from ..files import c_library  # which programs that only train don't wait for

        if format != "c":
            raise invalid('export writes C libraries: format="c".', format=format)
        folder, name = c_library.check_target(filepath)
        if self._leading() or self._front is not None:
            raise ValueError(
                f"The model {self.name!r} begins with layers that work on arrays before its step, as lookups of words "
                "do: export a model of what comes after them."
            )
        step, given, values = self._alone("export", batch_size)
        samples = "one sample" if batch_size == 1 else f"{batch_size} samples"
        title = f"The model {self.name!r}: predictions for {samples} at a time."
        inputs, outputs = list(step.inputs), step.output_arguments
        names = dict(zip(inputs, self.input_names, strict=True)) if len(inputs) > 1 else {}
        names |= dict(zip(outputs, self.output_names, strict=True)) if len(outputs) > 1 else {}
        made = step.runner.library(name, title, names, step.limits, batch_size, given, outputs, values)
        written = c_library.write(folder, name, made.header, made.code)
        if verbose or verbose is None:
            missing = "" if len(written) > 2 else " No C compiler was found to link a shared library."
            print(f"Exported: {', '.join(written)}.{missing}")

    def _alone(self, method: str, batch_size: int) -> tuple[Step, dict, dict]:
        """The prediction step for callers that are not Python: (step, the caller's arrays, the other arguments).

        See ``Runner.jitted``.
        """
        batch_size = checks.integer(type(self).__name__, "batch_size", batch_size, 1)
        self._require_sizes(method)
        self._check_batches(batch_size, batch_size)
        step = self._step("predict")
        if step.random:
            raise ValueError(f"The model {self.name!r} draws random numbers in predictions, with seeds from Python.")
        given = {name: (x.dtype, (batch_size, *x.shape[1:])) for name, x in step.inputs.items()}
        outputs = zip(step.output_arguments, self.outputs, strict=True)
        given |= {name: (x.dtype, (batch_size, *x.shape[1:])) for name, x in outputs}
        values = {"seed": 0, "t": 0, "results": step.first_results.copy()}
        values["hyperparameters"] = step.hyperparameter_table(0, 1, self._iteration())[0]
        return step, given, values

    def _shown_step(self, mode: str, fuse: bool = True) -> Step:
        """The step of a mode; of the user's own the one that ran last, which knows its data."""
        made = [step for key, step in self._steps.items() if self._is_custom(mode) and key[0] == mode]
        return made[-1] if made else self._step(mode, fuse=fuse)

    def kernel_source(self, name: str, mode: str = "train") -> str:
        """The Python source of a kernel that the step of a mode calls, by its name there."""
        if mode in ("train", "evaluate"):
            self._require_compiled("kernel_source")
        return self._shown_step("predict" if mode == "infer" else mode).kernel_source(name)
