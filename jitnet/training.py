"""compile, fit, evaluate and predict."""

import contextlib
import math
import time
import warnings

import numpy as np

from . import _seed, data, optimizers
from ._structures import names_of, packed
from .callbacks import CallbackList, History, ProgbarLogger
from .core.errors import invalid
from .losses import target_shape
from .running import compilation, interrupts, stored, streams
from .running.course import Course
from .running.exclusive import trained_here, trains
from .running.fit_arguments import (
    check_frequency,
    check_integer,
    checked_batch_size,
    number_of_steps,
    returned,
    stream_of,
    validation,
)
from .running.inspection import Inspection
from .running.joined_epochs import run_epochs
from .running.logs import read_logs
from .running.model_data import NO_CLASS_WEIGHT, ModelData
from .running.model_steps import ModelSteps
from .running.placed import placed
from .step import QuickPrediction
from .targets.base import data_unchanged

SHUFFLE_STREAM = 2**32 - 1  # the random stream of the order of the samples
AUTO_COMPILED_WORK = 1e8  # operations of a step, below which a fit with jit_compile="auto" runs in compiled mode
PROGRESS_SECONDS = 0.1  # a compiled run returns about this often, for progress and for Ctrl-C

class Trainer(Inspection, ModelData, ModelSteps):
    """What a model does with data.  Mixed into ``Model``."""

    optimizer = None
    stop_training = False
    _compiled: dict | None = None
    _last_batch_size: int | None = None  # that fit used
    _kept_batch: list | None = None  # [mode and shapes of the targets, samples, arguments] of the last step, if wanted

    def compile(
        self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, weighted_metrics=None, run_eagerly=False,
        steps_per_execution=1, jit_compile="auto", auto_scale_loss=True, *, memory="normal",
    ):  # fmt: skip
        """Choose how to train.

        optimizer: a name or an object of ``jitnet.optimizers``.  An object keeps its state when its model is compiled
            with it again; another model's is refused.
        loss: a name, an object of ``jitnet.losses``, a function (y_true, y_pred); or one per output, as a list in the
            order of ``output_names`` or as a dict by them.  None: the output is not trained, and may lack targets.
        loss_weights: a number or a schedule per output, as a list or a dict.
        metrics: a list of names, objects of ``jitnet.metrics`` or functions (y_true, y_pred); for several outputs a
            list or dict of such lists, one per output.  A function returns values (batch,) or (batch, ...), or one
            number for the batch, of which the mean over batches is taken, as in Keras.  Logs have the name that was
            given, or an object's own, with ``_1``, ``_2``, ... where names repeat, after ``{name of the output}_``
            where there are several outputs.
        weighted_metrics: likewise, of which samples count by their weights; where a name is among ``metrics``, too,
            logs have it with ``weighted_`` before it.
        run_eagerly: accepted for Keras's sake; must be False.
        steps_per_execution: accepted for Keras's sake: jitnet chooses how many steps run in one call.
        jit_compile: True: many minibatches run in one compiled call; False: one call per part of each step; "auto":
            jitnet chooses.  All give the same bits.
        auto_scale_loss: accepted for Keras's sake: no dtype of jitnet needs a scaled loss.
        memory: "normal", or "low": activations that the backward pass needs are computed again, alone or by blocks of
            layers (gradient checkpointing), where that lowers the peak; up to one more forward pass.  The same bits.

        Raises ValueError for what is unknown or doesn't fit the model's outputs.
        """
        if run_eagerly:
            raise invalid("jitnet always compiles its kernels: run_eagerly must be False.", run_eagerly=run_eagerly)
        check_integer("steps_per_execution", steps_per_execution, 1)
        compiled = compilation.check(loss, loss_weights, metrics, weighted_metrics, jit_compile, memory)
        optimizer = optimizers.get(optimizer)
        if self._graph_inputs is not None:
            if optimizer is not None:
                optimizer.check_owner(self.trainable_weights)
            names = self.output_names
            if compiled["losses"]:
                used = compilation.losses_by_output(compiled, names)
                for loss, output in zip(used, self._graph_outputs, strict=True):
                    if loss is not None:
                        target_shape(loss, output.shape)  # raises for an axis that the output lacks
                compilation.metrics_by_output(compiled, names, used, self._graph_outputs)
            compilation.weights_by_output(compiled, names)
        self._forget_steps()
        self.optimizer = optimizer
        self._compiled = compiled

    @property
    def compiled(self) -> bool:
        """Whether ``compile`` was called."""
        return self._compiled is not None

    @property
    def loss(self):
        """The loss that the model was compiled with: an object, or a list or dict of them; ``compile`` sets it."""
        found = self._compiled["losses"] if self._compiled else []
        return found[0] if isinstance(found, list) and len(found) == 1 else (found or None)

    @loss.setter
    def loss(self, value):
        raise invalid("compile sets the loss: call it again.", loss=value)

    @property
    def loss_weights(self):
        """The loss weights as ``compile`` was given them; they, and their entries, may be assigned at any time."""
        return self._compiled["loss_weights"] if self._compiled else None

    @loss_weights.setter
    def loss_weights(self, value):
        if self._compiled is None:
            raise invalid(f"The model {self.name!r} is not compiled: pass loss_weights to compile.", loss_weights=value)
        value = compilation.checked_weights(value)
        if self._graph_inputs is not None:
            compilation.weights_by_output({"loss_weights": value}, self.output_names)
        self._compiled["loss_weights"] = value

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, by which losses, metrics, their weights and targets can be given, as in logs.

        They are the keys of the dict that the model returns; without one, the names of the layers that return them, or
        ``output_1``, ``output_2``, ... of a model with a call of its own; with ``_1``, ``_2``, ... where they repeat.
        """
        self._input_tensors()  # raises if the model is not built

        def own(number, tensor):
            layer = None if tensor.history is None else tensor.history.layer
            return tensor.name if layer is None else f"output_{number + 1}" if layer is self else layer.name

        return compilation.distinct(names_of(self._output_structure, own))

    @property
    def metrics_names(self) -> list[str]:
        """What ``evaluate`` returns, by name."""
        return self._record_names() if self._compiled and self._compiled["losses"] and self.built else []

    def _forget_steps(self) -> None:
        self._steps = {}
        self._recent_sizes: dict[tuple, None] = {}  # of inputs of any size, the last one last
        self._sized_outputs: dict[tuple, list] = {}
        self._quick = None
        self._written_from = {}

    def _settings_changed(self, structure: bool) -> None:
        """A number that steps read was assigned; ``structure``: another step is needed for it."""
        self._quick = None
        if structure:
            self._forget_steps()

    def _iteration(self) -> int:
        return 0 if self.optimizer is None else self.optimizer.iterations

    # ---- running steps

    def _seed(self) -> int:
        return _seed.global_seed()

    def _run_batches(
        self, step, which, arrays, order, batch_size, results, on_progress=None, on_begin=None, course=None
    ) -> int:  # fmt: skip
        """Run the minibatches of ``order``, the last one may be smaller; the number of samples done.

        which: mode and shapes of the targets, of which ``step`` is the step.
        on_progress(steps done, samples done) is called about every PROGRESS_SECONDS; True from it ends the run.
        on_begin(step) is called before every step, and on_progress then after every step.
        course: begins where it is, and returns at the latest where its next checkpoint is due.
        """
        if stored.are_stored(arrays) and not isinstance(arrays, stored.Portions):
            with contextlib.closing(stored.Portions(arrays, order, batch_size)) as read:
                return self._run_batches(
                    step, which, read, order, batch_size, results, on_progress, on_begin, course
                )
        compiled, steps = self._runs_compiled(step, batch_size), self._steps
        full, rest = divmod(len(order), batch_size)
        seed = self._seed()
        done, end = (0, 0) if course is None else (course.done, course.seen)
        has_run, in_portions = step.has_run, isinstance(arrays, stored.Portions)
        while done < full + (rest > 0):
            batch, count = (batch_size, full - done) if done < full else (rest, 1)
            if on_begin is not None:
                on_begin(done)
                count = 1
            else:
                count = min(count, max(1, int(PROGRESS_SECONDS / step.seconds_per_step)))
                if course is not None:
                    count = min(count, course.steps_left() or count)
            if steps is not self._steps:  # a callback has assigned what needs another step
                steps, other = self._steps, self._step(*which, arrays=arrays)
                step = other if other.results == step.results else step  # another compilation counts in the next epoch
            begin = done * batch_size
            count = min(count, (arrays.until(begin) - begin) // batch) if in_portions else count
            end = begin + count * batch
            values = arrays.part(begin, end) if in_portions else {**arrays, "order": order[begin:end]}
            values |= {"seed": seed, "results": results}
            if step.optimizer is None:
                values["t"] = _seed.next_draws(count) if step.random else 0
            else:
                values["t"] = self._taken(step)
            if self._kept_batch is not None:
                self._kept_batch[:] = which, batch, values
            start = time.perf_counter()
            count = step.run(batch, count, values, compiled, iteration=self._iteration())
            if has_run:  # the first call may compile
                step.seconds_per_step = (time.perf_counter() - start) / count
            has_run = True
            done, end = done + count, begin + count * batch
            if on_progress is not None:
                if on_progress(done, end):
                    break
                interrupts.check()
        return end

    def _runs_compiled(self, step, batch_size: int) -> bool:
        """Whether minibatches run many to a call; "auto": where Python between the steps would cost noticeable time.

        Of a model of any size all: sizes decide neither, so that one compilation serves them.
        """
        choice = self._compiled["jit_compile"]
        if choice != "auto":
            return choice
        return step.program.any_size or step.work(batch_size) < AUTO_COMPILED_WORK

    @placed
    @trains
    def fit(
        self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, validation_split=0.0,
        validation_data=None, shuffle=True, class_weight=None, sample_weight=None, initial_epoch=0,
        steps_per_epoch=None, validation_steps=None, validation_batch_size=None, validation_freq=1,
    ):  # fmt: skip
        """Train for a number of epochs; returns the History callback.

        x: array (samples, ...), for several inputs a list, or a dict by ``input_names``; y: targets, for several
            outputs a list, or a dict by ``output_names``.  An array is NumPy's or has ``__dlpack__``, as a PyTorch
            tensor; a frame or series of pandas or Polars, of numbers, whose columns may be inputs by their names; or
            memory-mapped: then samples are read as they are needed, and never as a whole.
            Or x is a generator, an iterable, a PyTorch ``DataLoader`` or a ``utils.PyDataset`` of batches (x, y) or
            (x, y, sample_weight) of any sizes: then y, sample_weight and validation_split are left out, and batch_size
            doesn't count.
        batch_size: samples per step: by default that of ``Input``, or what makes ``steps_per_epoch`` of all samples, or
            32; the last batch of an epoch may be smaller.
        epochs: the epoch to stop at, counted from 0; initial_epoch: the one to start at.
        verbose: "auto" (1), 0: nothing, 1: a progress bar (a line per epoch where there is no terminal), 2: a line per
            epoch.
        validation_split: the last part of the data, not trained on; validation_data: (x, y) or (x, y, sample_weight),
            or batches of them, as x.
        shuffle: a new order of the samples, or of the batches of a ``PyDataset``, in every epoch.
        class_weight: {label: weight}, for training alone; sample_weight: (samples,), or (samples, ...) for positions,
            or a list or dict of them for the outputs, which validation_split divides like the data.
        steps_per_epoch: stop each epoch after so many steps, without which an endless generator has one epoch without
            an end; the next epoch goes on where it stopped.  validation_steps: stop each validation.
        validation_batch_size: by default batch_size; validation_freq: validate after every so many epochs, or a list of
            those after which to, counted from 1.

        A callback that sets ``model.stop_training`` ends the training after the epoch, or from a batch-level hook after
        the batch.  Ctrl-C ends it after the step, a second one at once; ``optimizer.iterations`` counts what was done.

        Raises RuntimeError while another thread trains this model, or one that shares weights or the optimizer with it.
        Other threads may predict and evaluate meanwhile: they see the weights as they are.
        """
        self._require_compiled("fit")
        checked_batch_size(batch_size)
        check_integer("epochs", epochs, 0)
        check_integer("initial_epoch", initial_epoch, 0)
        check_frequency(validation_freq)
        if steps_per_epoch is not None:
            check_integer("steps_per_epoch", steps_per_epoch, 1)
        if validation_steps is not None:
            check_integer("validation_steps", validation_steps, 1)
        if validation_batch_size is None:
            validation_batch_size = batch_size
        else:
            check_integer("validation_batch_size", validation_batch_size, 1)
        if class_weight is not None and self._is_custom("train"):
            raise invalid(NO_CLASS_WEIGHT, class_weight=class_weight)
        if streams.is_stream(x):
            streams.refuse("x", x, y=y, sample_weight=sample_weight, validation_split=validation_split or None)
            validate = validation(self, validation_data, validation_batch_size, validation_steps, validation_freq)
            return streams.fit(
                self, x, epochs, verbose, callbacks, validate, shuffle, class_weight, initial_epoch, steps_per_epoch
            )
        held = None
        if validation_split and validation_data is None:
            if self._is_custom("train") == self._is_custom("evaluate"):
                held = validation_split
            else:  # the two steps take data each in its own form
                (x, y, sample_weight), validation_data = data.split_structures((x, y, sample_weight), validation_split)
        arrays, samples, shapes = self._prepare(x, y, sample_weight)
        if held:
            kept, held = data.split(list(arrays.values()), validation_split)
            held = dict(zip(arrays, held, strict=True)), len(held[0]), shapes
            arrays, samples = dict(zip(arrays, kept, strict=True)), len(kept[0])
        validate = validation(
            self, validation_data, validation_batch_size, validation_steps, validation_freq, prepared=held
        )
        if class_weight is not None:
            self._weigh_classes(arrays, class_weight)
        step = self._step("train", shapes, arrays=arrays)
        batch_size = checked_batch_size(batch_size, self._fixed_batch_size, samples, steps_per_epoch)
        batch_size = self._last_batch_size = min(batch_size, samples)
        steps = math.ceil(samples / batch_size)
        if steps_per_epoch is not None:
            if steps_per_epoch > steps:
                warnings.warn(
                    f"{samples} samples make {steps} steps of {batch_size}: that is all an epoch has. "
                    f"Received: steps_per_epoch={steps_per_epoch}",
                    stacklevel=4,  # where fit was called
                )
            steps = min(steps, steps_per_epoch)
        self._check_batches(batch_size, min(samples, steps * batch_size))
        self.stop_training = False
        hooks = self._hooks(callbacks, verbose, steps, add_history=True, epochs=epochs)
        on_begin = hooks.on_train_batch_begin if hooks.batch_hooks else None
        validates = held is not None or validation_data is not None
        # with nothing to do between epochs but to show the last one, several of them run in one compiled call
        watched = [c for c in hooks.callbacks if type(c) not in (History, ProgbarLogger)]
        whole_batches = steps * batch_size <= samples
        joins = step.runner.always_many or self._runs_compiled(step, batch_size)
        joins = joins and whole_batches and not watched and not validates and not stored.are_stored(arrays)
        self._said_not_finite, self._finite_until = False, None
        logs: dict = {}
        course = Course(
            self, hooks, validate.streams, samples=samples, batch_size=batch_size, steps=steps, shuffle=bool(shuffle)
        )
        with course.running(), data_unchanged():
            hooks.on_train_begin()
            try:
                epoch = course.resumed(initial_epoch)
                while epoch < epochs:
                    silent = hooks.progbar is None or 2 * steps * step.seconds_per_step < PROGRESS_SECONDS
                    if joins and silent and epochs - epoch > 1:
                        epoch = run_epochs(
                            self, step, arrays, samples, batch_size, steps, epoch, epochs, shuffle, hooks,
                            PROGRESS_SECONDS,
                        )  # fmt: skip
                        continue
                    course.begin(epoch)
                    # what a callback may have changed
                    step = self._step("train", shapes, arrays=arrays)
                    step.runner.tell = hooks.progbar and hooks.progbar.compiling
                    results = course.counting(step, self._taken(step))
                    order = self._order(samples, course.first) if shuffle else np.arange(samples)
                    order = order[: steps * batch_size]

                    def on_progress(done, seen, step=step, results=results, epoch=epoch):
                        logs = read_logs(step, results, seen)
                        self._check_loss(logs, epoch, done, 7 + stored.are_stored(arrays))
                        if hooks.batch_hooks:
                            hooks.on_train_batch_end(done - 1, logs)
                        if hooks.progbar is not None:
                            hooks.progbar.update(done, logs, seen)
                        course.reached(done, seen)
                        return self.stop_training

                    which = "train", shapes
                    if not self.stop_training:  # it may go on where a callback had asked for that
                        self._run_batches(
                            step, which, arrays, order, batch_size, results, on_progress, on_begin, course
                        )
                    logs = read_logs(step, results, course.seen)
                    with course.validating():
                        logs.update(validate(hooks, epoch))
                    logs.update(self._scheduled(self._taken(step)))
                    hooks.on_epoch_end(epoch, logs)
                    course.epoch_ended(logs)
                    epoch += 1
                    if self.stop_training:
                        break
                course.finished()
            except interrupts.STOPS:
                course.interrupted()
                raise
            finally:
                hooks.on_train_end(logs)
        return hooks.history

    def _hooks(self, callbacks, verbose, steps, **arguments) -> CallbackList:
        """The callbacks of a run, with the progress bar unless ``verbose`` is 0."""
        if verbose not in ("auto", 0, 1, 2):
            raise invalid('verbose is "auto", 0, 1 or 2.', verbose=verbose)
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks, add_progbar=verbose != 0, model=self, steps=steps, verbose=verbose, **arguments
        )

    def _scheduled(self, iterations: int) -> dict:
        """What logs of an epoch say of the optimizer's schedules."""
        return {} if self.optimizer is None else self.optimizer.scheduled(iterations)

    def _check_loss(self, logs: dict, epoch: int, step: int | None = None, stacklevel: int = 6) -> None:
        """Warn, once in a run, if the loss is NaN or infinite.  step: of the epoch, up to which the logs are."""
        losses = {name: value for name, value in logs.items() if name == "loss" or name.endswith("_loss")}
        name = next((name for name, value in losses.items() if not math.isfinite(value)), None)
        if name is None:
            self._finite_until = epoch, step
        if name is None or self._said_not_finite:
            return
        self._said_not_finite = True
        known, until = self._finite_until or (None, 0)
        first = until + 1 if known == epoch and until is not None else 1
        place = "" if step is None else f", step {step}" if first == step else f", between the steps {first} and {step}"
        warnings.warn(
            f"The {name.replace('_', ' ')} became {logs[name]} in epoch {epoch + 1}{place}. Lower the learning rate, "
            "or check the targets and the loss; callbacks.TerminateOnNaN(debug=True) says where it begins.",
            RuntimeWarning,
            stacklevel=stacklevel,  # where fit was called
        )

    def _taken(self, step) -> int:
        """The training steps that were taken: those of the step's first optimizer."""
        optimizer = step.optimizer or self.optimizer
        return 0 if optimizer is None else optimizer.iterations

    def _order(self, samples: int, step: int, stream: int = SHUFFLE_STREAM) -> np.ndarray:
        """A permutation of the samples: a function of the seed and the steps taken alone."""
        from .kernels.cpu.random import random_permutation

        order = np.empty(samples, np.int64)
        random_permutation(order, self._seed(), stream, step)
        return order

    def _evaluate(self, arrays, samples, shapes, batch_size, hooks, steps=None, progbar=None) -> dict:
        if steps is not None:
            samples = min(samples, steps * batch_size)
        step = self._step("evaluate", shapes, arrays=arrays)
        results = step.first_results.copy()

        def on_progress(done, seen):
            logs = read_logs(step, results, seen)
            if hooks.batch_hooks:
                hooks.on_test_batch_end(done - 1, logs)
            if progbar is not None:
                progbar.update(done, logs, seen)

        on_begin = hooks.on_test_batch_begin if hooks.batch_hooks else None
        hooks.on_test_begin()
        batch_size = min(batch_size, samples)
        which, order = ("evaluate", shapes), np.arange(samples)
        self._run_batches(step, which, arrays, order, batch_size, results, on_progress, on_begin)
        logs = read_logs(step, results, samples)
        hooks.on_test_end(logs)
        return logs

    @placed
    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, steps=None, callbacks=None,
        return_dict=False,
    ):  # fmt: skip
        """Loss and metrics on data: a float, a list [loss, metrics...], or a dict with ``return_dict``.

        steps: stop after so many batches; other arguments as of ``fit``.  ``metrics_names`` has the names.
        """
        self._require_compiled("evaluate")
        if streams.is_stream(x):
            streams.refuse("x", x, y=y, sample_weight=sample_weight)
            stream, steps = stream_of(x, steps)
            hooks = self._hooks(callbacks, verbose, stream.steps() if steps is None else steps)
            with hooks.put_back():
                return returned(streams.evaluate(self, stream, hooks, steps, hooks.progbar), return_dict)
        arrays, samples, shapes = self._prepare(x, y, sample_weight, mode="evaluate")
        batch_size = checked_batch_size(batch_size, self._fixed_batch_size, samples, steps)
        used = min(samples, batch_size * number_of_steps(samples, batch_size, steps))
        self._check_batches(min(batch_size, used), used)
        hooks = self._hooks(callbacks, verbose, number_of_steps(samples, batch_size, steps))
        with hooks.put_back():
            found = self._evaluate(arrays, samples, shapes, batch_size, hooks, steps, hooks.progbar)
        return returned(found, return_dict)

    @placed
    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None, *, as_numpy=True):
        """The model's outputs for x (samples, ...): an array, or a list or dict for several outputs.

        x: as of ``fit``; of batches (x, y) that come one after the other, x alone is used.
        steps: stop after so many batches; as_numpy: on a GPU, False leaves the outputs there, as arrays with a
        ``__cuda_array_interface__`` and ``__dlpack__``, of which PyTorch and CuPy make their own without a copy.
        """
        if streams.is_stream(x):
            if not as_numpy:
                raise invalid("The outputs of several batches are joined as NumPy arrays.", as_numpy=as_numpy)
            stream, steps = stream_of(x, steps)
            hooks = self._hooks(callbacks, verbose, stream.steps() if steps is None else steps)
            with hooks.put_back():
                return streams.predict(self, stream, hooks, steps)
        return self._predict(x, batch_size, verbose, steps, callbacks, as_numpy)[1]

    def _predict(self, x, batch_size, verbose, steps=None, callbacks=None, as_numpy=True) -> tuple:
        """The step, and what ``predict`` returns."""
        inputs = self._prepare_inputs(x)
        samples = len(next(iter(inputs.values())))
        batch_size = min(checked_batch_size(batch_size, self._fixed_batch_size, samples, steps), samples)
        samples = min(samples, batch_size * number_of_steps(samples, batch_size, steps))
        self._check_batches(batch_size, samples)
        step = self._prediction(batch_size, inputs)
        if batch_size < samples:
            # all at once, for the right place in a message
            step.check_indices({name: a for name, a in inputs.items() if not stored.are_stored({name: a})})
        new = np.empty if as_numpy else step.runner.outside_array
        outputs = [new((samples, *o.shape[1:]), o.dtype) for o in self._outputs_for(inputs)]
        results = step.first_results.copy()
        hooks = self._hooks(callbacks, verbose, math.ceil(samples / batch_size))
        with hooks.put_back():
            hooks.on_predict_begin()
            for number, begin in enumerate(range(0, samples, batch_size)):
                hooks.on_predict_batch_begin(number)
                end = min(begin + batch_size, samples)
                values = {name: stored.loaded(a[begin:end]) for name, a in inputs.items()}
                values.update((n, o[begin:end]) for n, o in zip(step.output_arguments, outputs, strict=True))
                values["seed"], values["t"] = (self._seed(), _seed.next_draws()) if step.random else (0, 0)
                step.run(end - begin, 1, {**values, "results": results}, compiled=False, iteration=self._iteration())
                hooks.on_predict_batch_end(
                    number, {"outputs": packed(self._output_structure, [o[begin:end] for o in outputs])}
                )
                if hooks.progbar is not None:
                    hooks.progbar.update(number + 1, samples=end)
            hooks.on_predict_end()
        return step, packed(self._output_structure, outputs)

    def predict_on_batch(self, x):
        """The outputs for one batch.

        Repeated calls with float arrays of one small shape are quick: a few microseconds more than the kernels take.
        """
        quick = self._quick
        if quick is not None and quick.takes(x):
            return quick.call(x)
        step, result = self._predict(x, self._samples_of(x), 0)
        self._quick = None if self._leading() or self._front else QuickPrediction.of(step, result)
        return result

    @placed
    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One step on one batch; the batch's loss and metrics as ``evaluate`` returns them."""
        self._require_compiled("train_on_batch")
        arrays, samples, shapes = self._prepare(x, y, sample_weight, class_weight, whole=False)
        self._check_batches(samples, samples)
        step = self._step("train", shapes, arrays=arrays)
        results = step.first_results.copy()
        with trained_here(self, step.trainable):
            self._run_batches(step, ("train", shapes), arrays, np.arange(samples), samples, results)
        return returned(read_logs(step, results, samples), return_dict)

    @placed
    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Loss and metrics of one batch."""
        return self.evaluate(x, y, self._samples_of(x), 0, sample_weight, return_dict=return_dict)
