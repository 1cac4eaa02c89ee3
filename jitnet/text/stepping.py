"""A model that is run on one new step of its sequences after the other, with what it keeps between them.

While a step is traced, every layer is called by ``_Tracer``: what depends on other steps, as causal attention and
recurrent layers do, reads and leaves a state; what would need other steps in another way is no such model.
"""

import contextlib
import weakref

import numpy as np

from .. import layers, ops
from .._fixed import KeepsSteps, fix, tracing
from .._structures import flatten, packed
from ..builder import Computation
from ..config import choices, device
from ..core import trace
from ..core.errors import invalid
from ..core.locks import building
from ..core.operations.base import Operation
from ..core.operations.comparison import Compare, Select
from ..core.operations.decoding import CacheStore
from ..core.operations.dense import BiasAdd, Matmul
from ..core.operations.elementwise import Binary, Cast, Unary
from ..core.operations.shape import StopGradient
from ..core.values import SymbolicTensor, placeholder
from ..layers.attention import as_bool, both
from ..layers.base import Layer
from ..layers.transformer import cached_attention
from ..models import Model, Sequential
from ..step import Step, target_of

CHUNK = 32  # steps of a prompt that are read at once
KEPT_SHAPES = 16  # numbers of tokens at once and lengths, for which a model keeps its steps (a guess)
_CACHE = 64  # a cache has room for a multiple of so many steps

# layers that do the same with each step, whatever their arguments
_EACH_STEP = (
    layers.Activation, layers.ActivityRegularization, layers.Dense, layers.Dropout, layers.ELU, layers.Embedding,
    layers.GaussianDropout, layers.GaussianNoise, layers.Identity, layers.LeakyReLU, layers.Maxout, layers.ReLU,
    layers.Rescaling, layers.AlphaDropout, layers.SpatialDropout1D, layers.InputLayer,
)  # fmt: skip
_ALONG_FEATURES = (
    layers.BatchNormalization, layers.LayerNormalization, layers.RMSNormalization, layers.Softmax,
    layers.UnitNormalization, layers.Concatenate,
)  # fmt: skip
_MERGES = (layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply, layers.Subtract)
_CELLS = (layers.SimpleRNNCell, layers.LSTMCell, layers.GRUCell)  # whose output is their first state
_CONTAINERS = (layers.Residual, layers.TransformerDecoder, layers.TransformerEncoder)
_OPERATIONS = (BiasAdd, Binary, Cast, Compare, Select, StopGradient, Unary)


class NotStepwise(Exception):
    """Why a model can't go step by step."""


class _State:
    """What a layer keeps: ``old``, an input of the step, becomes ``new``; None: the step writes into ``old`` itself."""

    def __init__(self, old: SymbolicTensor):
        self.old, self.new = old, None


class _Tracer:
    """Calls layers on new steps of sequences.

    trusted: whether layers and operations that are not known count as doing the same with each step.
    """

    def __init__(self, tokens, position, length: int, trusted: bool):
        self._tokens, self._position, self._length, self._trusted = tokens, position, length, trusted
        self.states: list[_State] = []
        self.longest = length  # how many positions the model has
        self.masked = False  # whether attention has a mask of steps
        self._depend = {tokens: True, position: True}  # what changes from step to step
        self._in_place = device() == "cpu"

    def depends(self, value) -> bool:
        """Whether a value depends on the tokens."""
        if not isinstance(value, SymbolicTensor) or value.producer is None:
            return self._depend.get(value, False)
        stack = [value]
        while stack:
            top = stack[-1]
            inputs = [x for x in top.producer.inputs if isinstance(x, SymbolicTensor)] if top.producer else []
            waiting = [x for x in inputs if x not in self._depend]
            if top in self._depend or not waiting:
                self._depend.setdefault(top, any(self._depend[x] for x in inputs))
                stack.pop()
            else:
                stack.extend(waiting)
        return self._depend[value]

    def _state(self, shape, dtype) -> _State:
        state = _State(placeholder(f"state_{len(self.states) + 1}", shape, dtype))
        self.states.append(state)
        self._depend[state.old] = True
        return state

    def __call__(self, layer: Layer):
        """What is called for ``layer``."""

        def call(*arguments, **keywords):
            given = flatten([*arguments, *keywords.values()])
            if not any(self.depends(x) for x in given):
                with trace.calling_by(None):
                    return layer.call(*arguments, **keywords)
            return self._handler(layer)(layer, *arguments, **keywords)

        return call

    def _handler(self, layer):
        for kinds, handler in self._handlers():
            if isinstance(layer, kinds):
                return handler
        if _is_known(layer) or self._is_trusted(layer):
            return type(layer).call
        raise NotStepwise(f"it is not known to do the same with each step what the layer {layer.name!r} does")

    def _is_trusted(self, layer) -> bool:
        """Whether a layer or a model of the user's own is said to go step by step."""
        own = type(layer).__module__.partition(".")[0] != "jitnet"
        return own and (self._trusted or getattr(type(layer), "stepwise", False))

    def _handlers(self) -> list:
        from ..layers.attention import _Heads

        return [
            (_Heads, self._attention),
            (layers.RNN, self._recurrent),
            (layers.TokenAndPositionEmbedding, self._positions),
            ((layers.PositionEmbedding, layers.SinePositionEncoding, layers.RotaryEmbedding), self._positions),
            (Model, self._model),
        ]

    # ---- what depends on other steps

    def _attention(
        self, layer, query, value, key=None, query_mask=None, value_mask=None, key_mask=None, attention_mask=None,
        return_attention_scores=False, training=None, use_causal_mask=False,
    ):  # fmt: skip
        if not self.depends(value) and not self.depends(key):
            return layer.call(
                query, value, key, query_mask, value_mask, key_mask, attention_mask, return_attention_scores, False,
                use_causal_mask,
            )  # fmt: skip
        same = query is value and key in (None, query)
        key_heads, size, width = layer._sizes[1:]
        plain = size == width and query.ndim == 3 and layer.sliding_window is None and not layer.use_gate
        steps = attention_mask is None or (attention_mask.ndim == 3 and attention_mask.shape[1] == 1)
        if not (same and plain and use_causal_mask and steps) or return_attention_scores:
            raise NotStepwise(
                f"the attention of {layer.name!r} is not causal self-attention, without masks but those of steps"
            )
        mask = both(both(as_bool(value_mask), as_bool(key_mask)), self._of_steps(as_bool(attention_mask)))
        state = self._state((2, self._length, key_heads, size), query.dtype)
        seen = None if mask is None else self._seen(mask, query.dtype)
        y, new = cached_attention(layer, query, state.old, self._position, seen, self._in_place)
        state.new = None if self._in_place else new
        return y

    def _of_steps(self, mask):
        """A mask (batch, 1, steps) as (batch, steps)."""
        return None if mask is None else ops.squeeze(mask, 1)

    def _seen(self, mask, dtype):
        """The mask (batch, 1, length) of all steps so far; what new ones have, (batch, steps), is kept like keys."""
        self.masked = True
        state = self._state((2, self._length, 1, 1), dtype)
        new = ops.reshape(ops.cast(mask, dtype), (-1, mask.shape[1], 1, 1))
        kept = CacheStore(self._in_place)(state.old, new, new, self._position)
        state.new = None if self._in_place else kept
        return ops.not_equal(ops.reshape(ops.slice_axis(kept, 1, 0, 1), (-1, 1, self._length)), 0)

    def _recurrent(self, layer, sequences, initial_state=None, mask=None, training=False):
        if layer.go_backwards:
            raise NotStepwise(f"the recurrent layer {layer.name!r} goes backwards")
        if mask is not None and not isinstance(layer.cell, _CELLS):
            raise NotStepwise(f"the recurrent layer {layer.name!r} goes over masked steps by a cell of another kind")
        sizes = layer.state_size if isinstance(layer.state_size, list | tuple) else [layer.state_size]
        shapes = [size if isinstance(size, tuple) else (size,) for size in flatten(list(sizes))]
        states = [self._state(shape, sequences.dtype) for shape in shapes]
        old = [state.old for state in states]
        if initial_state is not None:
            first = ops.equal(self._position, 0)
            pairs = zip(old, flatten(initial_state), strict=True)
            old = [ops.where(ops.reshape(first, (-1, *[1] * (x.ndim - 1))), given, x) for x, given in pairs]
        attributes = vars(layer)
        wanted, attributes["return_state"] = attributes["return_state"], True
        try:
            given = packed(list(sizes), old)
            output, *new = layer.call(sequences, initial_state=given, mask=mask, training=False)
        finally:
            attributes["return_state"] = wanted
        for state, value in zip(states, flatten(new), strict=True):
            state.new = value
        if mask is not None and not layer.zero_output_for_mask:
            output = self._shown(layer, output, old[0], mask)
        return [output, *new] if wanted else output

    def _shown(self, layer, output, h, mask):
        """The output of a recurrent layer in steps that don't count: that of the last one that did, in an earlier part.

        The layer itself gives 0 before the first of its steps that counts; h: the output of the last one before them.
        """
        begun = self._state((1,), h.dtype)
        counted = ops.cumsum(ops.cast(mask, h.dtype), axis=1)
        steps = counted.shape[1]
        last = ops.slice_axis(counted, 1, steps - 1, steps)
        begun.new = ops.maximum(begun.old, ops.minimum(last, 1.0))
        waits = ops.equal(counted if layer.return_sequences else last, 0)
        earlier = h * begun.old
        if layer.return_sequences:
            waits, earlier = ops.expand_dims(waits, -1), ops.expand_dims(earlier, 1)
        return ops.where(waits, earlier, output)

    def _positions(self, layer, inputs, start_index=0, positions=None):
        along = getattr(layer, "sequence_axis", 1)
        if positions is not None or not isinstance(start_index, int) or along % inputs.ndim != 1:
            raise NotStepwise(f"the positions of {layer.name!r} are given, or along another axis than 1")
        self.longest = min(self.longest, getattr(layer, "sequence_length", self.longest) - start_index)
        return layer.call(inputs, start_index=self._position + start_index)

    def _model(self, model, inputs, training=None, mask=None):
        """A model, whose inputs may have another length than the steps that it is called on."""
        if not model._connected:
            if not (type(model) is Sequential or self._is_trusted(model)):
                raise NotStepwise(f"what the call of {type(model).__name__} does is not known")
            return model.call(inputs, **({"training": False} if model._accepts_training() else {}))
        given = model._matched_inputs(inputs, "inputs")
        values = dict(zip(model._graph_inputs, given, strict=True))
        self._check_operations(model, values)
        model._apply_nodes(values, False)
        return packed(model._output_structure, [values[x] for x in model._graph_outputs])

    def _check_operations(self, model, values: dict) -> None:
        """Of the operations between layers, those that depend on tokens must do the same with each step."""
        dependent = {x for x, given in values.items() if self.depends(given)}
        for node in model._nodes:
            if dependent.isdisjoint(node.inputs):
                continue
            dependent.update(node.outputs)
            if isinstance(node.layer, Operation) and not isinstance(node.layer, _OPERATIONS) and not self._trusted:
                plain = isinstance(node.layer, Matmul) and node.inputs[1] not in dependent
                if not plain:
                    raise NotStepwise(f"an operation {node.layer.name!r} stands between its layers")


def _is_known(layer) -> bool:
    """Whether a layer does the same with each step."""
    if isinstance(layer, _ALONG_FEATURES):
        return layer.axis in (-1, [-1], 2, [2])
    if isinstance(layer, layers.EinsumDense):
        steps = layer._input[1:2]
        return layer._left or (steps not in layer._kernel and layer._output[1:2] == steps)
    return isinstance(layer, _EACH_STEP + _MERGES + _CONTAINERS)


class _Traced:
    """A step for some tokens at once, and what it needs before."""

    def __init__(self, model, steps: int, length: int, trusted: bool):
        tensors = model.inputs
        tokens = placeholder("tokens", (steps,), tensors[-1].dtype)
        position = placeholder("position", (), "int64")
        others = [placeholder(f"x_{i + 1}", x.shape[1:], x.dtype) for i, x in enumerate(tensors[:-1])]
        tracer = _Tracer(tokens, position, length, trusted)
        inputs = packed(model._input_structure, [*others, tokens])
        with trace.training_mode(False), trace.calling_by(tracer):
            logits = flatten(model(inputs))
        if len(logits) != 1 or logits[0].ndim != 3 or logits[0].shape[1] != steps:
            raise NotStepwise("it does not map tokens (batch, steps) to logits (batch, steps, vocabulary)")
        self.states, self.longest, self.masked = tracer.states, tracer.longest, tracer.masked
        (self.logits,) = logits
        outputs = [self.logits, *(state.new for state in self.states if state.new is not None)]
        self.before, self.first = _apart(tracer, others, outputs)
        known = {f"known_{i + 1}": x for i, x in enumerate(self.first)}
        given = {"tokens": tokens, "position": position, **{s.old.name: s.old for s in self.states}, **known}
        self.others = [x.name for x in others]
        self.step = Step(
            f'Generation by "{model.name}", {steps} tokens.', Computation(given, outputs), target=target_of(device())
        )


def _apart(tracer: _Tracer, others: list, outputs: list):
    """The step that computes what depends on the other inputs alone, or None; and its results, now inputs of the rest.

    The values of each: those that something which depends on tokens reads.
    """
    if not others:
        return None, []
    reached = set(others)
    needed = {}
    for application in trace.topological_order(outputs):
        dependent = any(tracer.depends(x) for x in application.inputs)
        if not dependent and any(x in reached for x in application.inputs):
            reached.update(application.outputs)
        elif dependent:
            needed.update(dict.fromkeys(x for x in application.inputs if x in reached))
    needed = list(needed)
    if not needed:
        return None, []
    before = Step(
        "What a generation needs once.", Computation({x.name: x for x in others}, needed), target=target_of(device())
    )
    for value in needed:
        value.producer = None
    return before, needed


class Stepper(KeepsSteps):
    """The steps by which a model generates, made when they are first needed.

    trusted: see ``_Tracer``.
    """

    def __init__(self, model, trusted: bool):
        self._model, self._trusted = weakref.ref(model), trusted
        self._choices = choices()
        self._forget_steps()

    def _forget_steps(self) -> None:
        super()._forget_steps()
        self._traced: dict = {}

    def traced(self, steps: int, length: int) -> _Traced:
        """For so many tokens at once, and sequences of up to ``length``; NotStepwise if there can't be one."""
        if choices() is not self._choices:
            self._forget_steps()
            self._choices = choices()
        length = -(-length // _CACHE) * _CACHE
        if (steps, length) not in self._traced:
            if len(self._traced) >= KEPT_SHAPES:
                self._forget_steps()
            model = self._model()
            with building, tracing():
                if (steps, length) not in self._traced:
                    found = _Traced(model, steps, length, self._trusted)
                    fix(self, [model])
                    self._traced[steps, length] = found
                    self._steps[steps, length] = found.step
        return self._traced[steps, length]

    def check(self, tokens: np.ndarray) -> None:
        """Raise ValueError for tokens that the model has not, or more than it has positions for."""
        found = self.traced(1, tokens.shape[1])
        if tokens.shape[1] - 1 > found.longest:
            raise invalid(
                f"The model {self._model().name!r} has {found.longest} positions: prompt and new tokens are more.",
                tokens=tokens.shape[1],
            )
        found.step.check_indices({"tokens": tokens})

    @contextlib.contextmanager
    def running(self, rows: int, others: list, length: int):
        """A ``_Sequences`` of so many rows; others: arrays for the model's other inputs."""
        with contextlib.ExitStack() as stack:
            yield _Sequences(self, stack, rows, others, length)


class _Sequences:
    """Sequences that are being read: states and results, in arrays that the steps read and write."""

    def __init__(self, stepper: Stepper, stack: contextlib.ExitStack, rows: int, others: list, length: int):
        self._stepper, self._stack, self._rows, self._length = stepper, stack, rows, length
        traced = stepper.traced(1, length)
        self._arrays = {s.old.name: np.zeros((rows, *s.old.shape[1:]), s.old.dtype) for s in traced.states}
        self._position = np.zeros(rows, np.int64)
        self._others = others
        self._open: dict = {}  # {tokens at once: (run, tokens, logits, [(state, its new value)])}

    def _opened(self, steps: int):
        if steps not in self._open:
            traced, rows = self._stepper.traced(steps, self._length), self._rows
            tokens = np.zeros((rows, steps), traced.step.inputs["tokens"].dtype)
            arrays = {**self._arrays, "tokens": tokens, "position": self._position}
            if traced.before is not None:
                shapes = [(rows, *x.shape[1:]) for x in traced.first]
                known = [np.empty(shape, x.dtype) for shape, x in zip(shapes, traced.first, strict=True)]
                given = dict(zip(traced.others, self._others, strict=True))
                given.update(zip(traced.before.output_arguments, known, strict=True))
                given.update(seed=0, t=0, results=np.zeros(traced.before.results))
                traced.before.run(rows, 1, given, compiled=False)
                arrays.update((f"known_{i + 1}", x) for i, x in enumerate(known))
            computed = [s for s in traced.states if s.new is not None]
            outputs = [traced.logits, *(s.new for s in computed)]
            results = [np.empty((rows, *x.shape[1:]), x.dtype) for x in outputs]
            arrays.update(zip(traced.step.output_arguments, results, strict=True))
            run = self._stack.enter_context(traced.step.repeated(rows, arrays))
            pairs = [(self._arrays[s.old.name], new) for s, new in zip(computed, results[1:], strict=True)]
            self._open[steps] = run, tokens, results[0], pairs
        return self._open[steps]

    def _read(self, given: np.ndarray) -> np.ndarray:
        run, tokens, logits, pairs = self._opened(given.shape[1])
        tokens[:] = given
        run()
        for old, new in pairs:
            np.copyto(old, new)
        self._position += given.shape[1]
        return logits

    def read(self, tokens: np.ndarray) -> None:
        """Go over tokens (rows, any number of them)."""
        at = 0
        while tokens.shape[1] - at >= CHUNK:
            self._read(tokens[:, at : at + CHUNK])
            at += CHUNK
        for place in range(at, tokens.shape[1]):
            self._read(tokens[:, place : place + 1])

    def next(self, tokens: np.ndarray) -> np.ndarray:
        """The logits (rows, vocabulary) after one more token for each row, (rows,); overwritten by the next call."""
        return self._read(tokens[:, None])[:, 0]

    def reorder(self, parents: np.ndarray) -> None:
        """Go on with other rows' sequences."""
        if not np.array_equal(parents, np.arange(len(parents))):
            for array in self._arrays.values():
                array[:] = array[parents]


_steppers = weakref.WeakKeyDictionary()


def stepper_of(model, length: int, trusted: bool) -> Stepper:
    """The stepper of a model; NotStepwise if it can't go step by step, with a reason."""
    found = _steppers.setdefault(model, {})
    if trusted not in found:
        found[trusted] = Stepper(model, trusted)
    if found[trusted].traced(1, length).masked:
        found[trusted].traced(CHUNK, length)  # one step cannot tell a mask of pairs from one of steps
    return found[trusted]
