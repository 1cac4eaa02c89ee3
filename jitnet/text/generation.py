"""generate: sequences that a model goes on with."""

import contextlib

import numpy as np

from .. import _seed
from ..core import checks, lengths
from ..core.errors import invalid
from ..models import Model
from ..running import interrupts
from . import sampling
from .stepping import NotStepwise, Stepper, stepper_of

_PADDED = 32  # a whole sequence is padded to a multiple of it, so that few lengths are traced
_METHODS = ("greedy", "sample", "beam")


def generate(
    model, prompts, max_new_tokens, *, method="greedy", temperature=1.0, top_k=None, top_p=None, num_beams=4,
    length_penalty=0.0, stop_token=None, seed=None, inputs=None, cache=None,
):  # fmt: skip
    """The prompts and what the model goes on with: a list of arrays int64, or one array for one prompt.

    The model maps tokens (batch, steps), integers, to logits (batch, steps, vocabulary), those of step t being of the
    token after it; they must not depend on tokens behind t.  Where all its layers are known to work step by step
    (causal attention, recurrent layers, positions, and layers that do the same with each step), each new token costs
    one step: keys, values and states are kept.  Otherwise the whole sequence is computed again for each new token.
    Tokens that an Embedding masks are not seen: padding may stand on a prompt's left, but not at its end.

    model: with tokens as its input, or as the last of its inputs.
    prompts: one prompt, a sequence of integers, or a list of such, also of unequal lengths; no prompt is empty.
    max_new_tokens: how many tokens come after each prompt, unless it ends before.
    method: "greedy": the most probable token, the first of equal ones; "sample": one by chance; "beam": the best
        sequence that a search of ``num_beams`` alternatives finds, by the sum of the logarithms of the probabilities
        divided by (number of new tokens)^length_penalty (Wu et al. 2016, without coverage).
    temperature, top_k, top_p: of "sample", see ``jitnet.text.probabilities``.
    stop_token: a token, or several, that ends a sequence, and is its last one; None: none does.
    seed: of "sample": the same seed gives the same tokens, and a prompt the same ones whatever other prompts there are;
        None: the global seed, and other tokens in each call.
    inputs: the model's other inputs, one array or a list or dict of them, with a sample for each prompt.  What depends
        on them alone, as an encoder's output, is computed once.
    cache: True: the model does work step by step: what layers, models and operations of the user's own in it do with
        one step depends on others only by the library's layers; False: the whole sequence is computed again for each
        token; None: as above, where a class of the user's own is known by its attribute ``stepwise = True``.

    Raises ValueError for arguments that don't fit, and TypeError for a model that maps tokens to something else.
    """
    owner = "generate"
    if not isinstance(model, Model):
        raise TypeError(f"generate expects a model that maps tokens to logits. Received: {model!r}")
    if any(getattr(layer, "stateful", False) for layer in model._all_layers()):
        raise invalid("generate keeps states by itself: no layer of its model is stateful.", model=model.name)
    checks.one_of(owner, "method", method, _METHODS)
    new = checks.integer(owner, "max_new_tokens", max_new_tokens, least=1)
    beams = checks.integer(owner, "num_beams", num_beams, least=1) if method == "beam" else 1
    checks.number(owner, "length_penalty", length_penalty)
    single, prompts = _checked_prompts(prompts)
    stops = _stop_tokens(stop_token)
    count, longest = len(prompts), max(map(len, prompts))
    rows = np.repeat(np.arange(count), beams)
    others = _other_inputs(model, inputs, count)
    total = longest + new
    tokens = np.zeros((count * beams, total), np.int64)
    for row, number in enumerate(rows):
        tokens[row, : len(prompts[number])] = prompts[number]
    starts = np.array([len(prompts[number]) for number in rows])
    others = [array[rows] for array in others]
    with _reader(model, tokens, others, cache, starts.min()) as reader:
        if method == "beam":
            search = _Beams(count, beams, length_penalty)
        elif method == "sample":
            search = _Draws(seed, count, temperature, top_k, top_p)
        else:
            search = _Greedy()
        ends = _search(reader, search, tokens, starts, new, stops)
    chosen = search.best(ends - starts) if method == "beam" else range(count)
    found = [tokens[row, : ends[row]].copy() for row in chosen]
    return found[0] if single else found


def _search(reader, search, tokens: np.ndarray, starts: np.ndarray, new: int, stops: np.ndarray) -> np.ndarray:
    """Fill in the tokens after those of the prompts, which end at ``starts``; where each row ends."""
    ends = starts + new
    done = np.zeros(len(tokens), bool)
    for step in range(starts.min() - 1, ends.max() - 1):
        interrupts.check()
        logits = reader.logits(step)
        going = (step + 1 >= starts) & (step + 1 < ends) & ~done
        parents, chosen = search.choose(logits, going)
        if parents is not None:
            tokens[:], ends, done = tokens[parents], ends[parents], done[parents]
            going = going[parents]
            reader.reorder(parents)
        tokens[going, step + 1] = chosen[going]
        if len(stops):
            stopped = going & np.isin(chosen, stops)
            ends[stopped], done = step + 2, done | stopped
        if (done | (step + 2 >= ends)).all():
            break
    return ends


class _Greedy:
    def choose(self, logits, going):
        return None, sampling.checked(logits).argmax(axis=-1)


class _Draws:
    """A stream of random numbers for each prompt."""

    def __init__(self, seed, count: int, temperature, top_k, top_p):
        if seed is None:
            key = [_seed.global_seed(), _seed.next_draws()]
        else:
            key = [_seed.checked_seed(seed)]
        self._streams = [np.random.Generator(np.random.Philox(np.random.SeedSequence([*key, i]))) for i in range(count)]
        self._options = temperature, top_k, top_p

    def choose(self, logits, going):
        draws = np.zeros(len(going))
        for row in np.flatnonzero(going):
            draws[row] = self._streams[row].random()
        return None, sampling.sample(logits, draws, *self._options)


class _Beams:
    """For each prompt the alternatives with the largest sums of logarithms; one that has ended stays one of them."""

    def __init__(self, count: int, beams: int, length_penalty: float):
        self._count, self._beams, self._penalty = count, beams, length_penalty
        self._scores = np.full((count, beams), -np.inf)
        self._scores[:, 0] = 0  # at first all are the same

    def choose(self, logits, going):
        found = sampling.log_softmax(logits)
        vocabulary = found.shape[-1]
        parents, chosen = np.arange(len(going)), np.zeros(len(going), np.int64)
        for number in range(self._count):
            rows = slice(number * self._beams, (number + 1) * self._beams)
            if not going[rows].any():
                continue
            sums = self._scores[number][:, None] + found[rows]
            ended = ~going[rows]
            sums[ended] = -np.inf
            sums[ended, 0] = self._scores[number][ended]  # in the place of any token, once
            order = np.argsort(-sums.reshape(-1), kind="stable")[: self._beams]
            self._scores[number] = sums.reshape(-1)[order]
            parents[rows], chosen[rows] = rows.start + order // vocabulary, order % vocabulary
        return parents, chosen

    def best(self, sizes: np.ndarray) -> list:
        """The row of each prompt's best alternative, of these numbers of new tokens."""
        scores = self._scores / sizes.reshape(self._scores.shape) ** self._penalty
        return [number * self._beams + row for number, row in enumerate(scores.argmax(axis=1))]


@contextlib.contextmanager
def _reader(model, tokens: np.ndarray, others: list, cache, known: int):
    """What gives the logits of the token after a step; ``known``: how many tokens of all rows are there already."""
    if cache is not False:
        try:
            stepper = stepper_of(model, tokens.shape[1], trusted=checks.boolean("generate", "cache", cache or False))
        except NotStepwise as reason:
            if cache:
                raise invalid(f"The model {model.name!r} can't go step by step: {reason}.", cache=cache) from None
        else:
            with _Cached(stepper, tokens, others, known).opened() as reader:
                yield reader
            return
    yield _Whole(model, tokens, others)


class _Cached:
    """One step of a ``Stepper`` for each new token."""

    def __init__(self, stepper: Stepper, tokens: np.ndarray, others: list, known: int):
        self._stepper, self._tokens, self._known = stepper, tokens, known
        self._others = others
        stepper.check(tokens)

    @contextlib.contextmanager
    def opened(self):
        with self._stepper.running(len(self._tokens), self._others, self._tokens.shape[1]) as self._run:
            self._run.read(self._tokens[:, : self._known - 1])
            yield self

    def logits(self, step: int) -> np.ndarray:
        return self._run.next(self._tokens[:, step])

    def reorder(self, parents: np.ndarray) -> None:
        self._run.reorder(parents)


class _Whole:
    """The whole sequence for each new token."""

    def __init__(self, model, tokens: np.ndarray, others: list):
        self._model, self._tokens, self._others = model, tokens, others
        length = model.inputs[-1].shape[1]
        self._fixed = None if isinstance(length, lengths.Length) else length
        if self._fixed is not None and tokens.shape[1] - 1 > self._fixed:
            raise invalid(
                f"The model {model.name!r} takes sequences of {self._fixed} tokens: prompt and new tokens are more.",
                tokens=tokens.shape[1],
            )

    def logits(self, step: int) -> np.ndarray:
        length = self._fixed or min(-(-(step + 1) // _PADDED) * _PADDED, self._tokens.shape[1])
        known = np.zeros((len(self._tokens), length), self._model.inputs[-1].dtype)
        known[:, : step + 1] = self._tokens[:, : step + 1]
        found = self._model.predict_on_batch([*self._others, known] if self._others else known)
        check_logits(self._model, found.ndim, found.shape[1:2] == (length,))
        return found[:, step]

    def reorder(self, parents: np.ndarray) -> None:
        """The tokens are all that there is."""


def check_logits(model, axes: int, fits: bool) -> None:
    if axes != 3 or not fits:
        raise TypeError(
            f"generate expects the model {model.name!r} to map tokens (batch, steps) to logits "
            f"(batch, steps, vocabulary). Received: an output of shape {model.output_shape}"
        )


def _checked_prompts(prompts) -> tuple[bool, list[np.ndarray]]:
    """Whether there is one prompt only, and all of them as arrays."""
    single = isinstance(prompts, np.ndarray) and prompts.ndim == 1
    if isinstance(prompts, list | tuple):
        single = bool(prompts) and all(isinstance(x, int | np.integer) and not isinstance(x, bool) for x in prompts)
    elif not isinstance(prompts, np.ndarray):
        raise invalid("generate expects a prompt of integers, or a list of them.", prompts=prompts)
    found = [np.asarray(prompt) for prompt in ([prompts] if single else prompts)]
    if not found:
        raise invalid("generate expects at least one prompt.", prompts=prompts)
    for number, prompt in enumerate(found):
        if prompt.ndim != 1 or not prompt.size or prompt.dtype.kind not in "iu" or (prompt < 0).any():
            raise invalid(
                "generate expects each prompt to be integers from 0 on, at least one.", number=number, prompt=prompt
            )
    return single, found


def _stop_tokens(stop_token) -> np.ndarray:
    if stop_token is None:
        return np.zeros(0, np.int64)
    found = stop_token if isinstance(stop_token, list | tuple | set | np.ndarray) else [stop_token]
    return np.array([checks.integer("generate", "stop_token", token, least=0) for token in found])


def _other_inputs(model, inputs, count: int) -> list[np.ndarray]:
    """The arrays of all inputs but the last, the tokens, in the model's order."""
    tensors, names = model.inputs, model.input_names
    tensors, tokens = tensors[:-1], tensors[-1]
    if tokens.ndim != 2:
        raise TypeError(
            f"generate expects the last input of the model {model.name!r} to be tokens (batch, steps). "
            f"Received: shape={lengths.shown(tokens.shape)}"
        )
    if isinstance(inputs, dict):
        unknown = sorted(set(inputs) ^ set(names[:-1]))
        if unknown:
            raise invalid(f"generate expects inputs by the names {names[:-1]}.", inputs=sorted(inputs))
        inputs = [inputs[name] for name in names[:-1]]
    given = [] if inputs is None else list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    if len(given) != len(tensors):
        raise invalid(
            f"generate expects inputs for all inputs of the model {model.name!r} but the last, the tokens: "
            f"{len(tensors)}.",
            inputs=len(given),
        )
    found = []
    for tensor, name, array in zip(tensors, names, given, strict=False):
        array = np.asarray(array)
        if (
            len(array.shape) != tensor.ndim
            or not lengths.fits(array.shape[1:], tensor.shape[1:])
            or len(array) != count
        ):
            raise invalid(
                f"generate expects the input {name!r} of shape {(count, *lengths.shown(tensor.shape[1:]))}.",
                shape=array.shape,
            )
        found.append(array.astype(tensor.dtype))
    return found
