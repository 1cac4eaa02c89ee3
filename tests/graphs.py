"""Many small graphs computed, differentiated and checked in one generated step.

A step costs a compilation, whatever it holds; so the cases of a test file share one step per dtype.
"""

import functools
from dataclasses import dataclass

import numpy as np

from jitnet.builder import Computation
from jitnet.core.values import SymbolicTensor, Variable, placeholder
from jitnet.step import Step
from jitnet.targets.reference import Reference

TOLERANCE = 1e-6  # of gradients, relative to their size
ROUNDING = 2.0**-50  # of an output after a few operations, relative to its size; sums of many are random walks
STEP = 1e-6  # of the central differences: small enough to stay on one side of a kink


@dataclass(frozen=True)
class Draw:
    """Random values for an input or a variable; ``shape`` has no batch axis.

    kind: "normal", "wide" (-5 to 5), "positive" (0.5 to 2), "probabilities" (rows sum to 1), "one hot", or a number of
        classes: labels.
    wanted: whether a gradient is checked.
    """

    shape: tuple
    kind: object = "normal"
    wanted: bool = True

    @property
    def is_label(self):
        return isinstance(self.kind, int)

    def array(self, generator, leading=()):
        shape = (*leading, *self.shape)
        if self.is_label:
            return generator.integers(0, self.kind, shape)
        if self.kind == "wide":
            return generator.uniform(-5, 5, shape)
        if self.kind == "positive":
            return generator.uniform(0.5, 2, shape)
        if self.kind == "probabilities":
            values = generator.uniform(0.1, 1, shape)
            return values / values.sum(-1, keepdims=True)
        if self.kind == "one hot":
            return np.eye(shape[-1])[generator.integers(0, shape[-1], shape[:-1])]
        return generator.standard_normal(shape)


def normal(*shape):
    return Draw(shape)


def wide(*shape):
    return Draw(shape, "wide")


def positive(*shape):
    return Draw(shape, "positive")


def probabilities(*shape, wanted=True):
    return Draw(shape, "probabilities", wanted)


def labels(classes, *shape):
    return Draw(shape, classes, False)


@dataclass(eq=False)
class Case:
    """``function`` of symbolic tensors for ``inputs``, then of Variables for ``variables``; returns one tensor.

    torch: the same of PyTorch tensors, called with the module first; None where PyTorch lacks it.
    """

    name: str
    function: object
    inputs: tuple
    variables: tuple = ()
    torch: object = None

    @property
    def draws(self):
        return (*self.inputs, *self.variables)

    def __repr__(self):
        return self.name


@dataclass
class Result:
    output: np.ndarray
    gradients: list  # per draw, None where not wanted


class Graphs:
    """All ``cases`` in one step of one dtype, for a target: the CPU if None."""

    def __init__(self, cases, dtype, fuse=False, target=None):
        self.cases, self.dtype = list(cases), dtype
        generator = np.random.default_rng(0)
        self.inputs, self.variables, self.outputs = {}, {}, {}
        for number, case in enumerate(self.cases):
            for i, draw in enumerate(case.inputs):
                kind = "int64" if draw.is_label else dtype
                self.inputs[case, i] = placeholder(f"case_{number}_x_{i}", draw.shape, kind)
            for i, draw in enumerate(case.variables, start=len(case.inputs)):
                value = draw.array(generator).astype(dtype)
                self.variables[case, i] = Variable(value, name=f"case_{number}_w_{i}", trainable=draw.wanted)
            output = case.function(*(self._value(case, i) for i in range(len(case.draws))))
            assert isinstance(output, SymbolicTensor) and output.batched, case
            self.outputs[case] = output
        differentiable = [c for c in self.cases if any(d.wanted for d in c.draws)]
        self.seeds = {
            c: placeholder(f"d_{x.name}_{n}", x.shape[1:], dtype)
            for n, (c, x) in enumerate(self.outputs.items())
            if c in differentiable
        }
        self.wanted = [key for key in self.inputs if key[0].inputs[key[1]].wanted]
        self.trainable = {key: v for key, v in self.variables.items() if v.trainable}
        named = [*self.inputs.values(), *self.seeds.values()]
        computation = Computation(
            {x.name: x for x in named},
            outputs=list(self.outputs.values()),
            seeds={self.outputs[c]: seed for c, seed in self.seeds.items()},
            trainable=list(self.trainable.values()),
            wanted_inputs=[self.inputs[key] for key in self.wanted],
        )
        self.step = Step("Many small graphs.", computation, fuse=fuse, regions=True, target=target)

    def _value(self, case, i):
        return self.inputs[case, i] if i < len(case.inputs) else self.variables[case, i]

    def draw(self, batch, seed=1):
        """({(case, i): array of every input and variable}, {case: gradient of the output})."""
        arrays, gradients = {}, {}
        for case in self.cases:
            generator = np.random.default_rng([seed, batch, *case.name.encode()])
            for i, draw in enumerate(case.draws):
                array = draw.array(generator, (batch,) if i < len(case.inputs) else ())
                arrays[case, i] = np.ascontiguousarray(array if draw.is_label else array.astype(self.dtype))
            if case in self.seeds:
                shape = (batch, *self.outputs[case].shape[1:])
                gradients[case] = np.ascontiguousarray(generator.standard_normal(shape).astype(self.dtype))
        return arrays, gradients

    def run(self, arrays, gradients, reference=False):
        """{case: Result}; neither the inputs nor the incoming gradients may change.

        reference: by the reference target, instead of the generated step.
        """
        batch = len(next(arrays[key] for key in self.inputs))
        for key, variable in self.variables.items():
            variable.assign(arrays[key].reshape(variable.shape))
        data = {x.name: arrays[key] for key, x in self.inputs.items()}
        data.update({seed.name: gradients[case] for case, seed in self.seeds.items()})
        before = {name: array.copy() for name, array in data.items()}
        outputs = {}
        for name, (case, x) in zip(self.step.output_arguments, self.outputs.items(), strict=True):
            outputs[case] = data[name] = np.full((batch, *x.shape[1:]), 7, self.dtype)
        found = {}
        for name, key in zip(self.step.gradient_arguments, self.wanted, strict=True):
            found[key] = data[name] = np.full_like(arrays[key], 7)
        if reference:
            numbers = dict(zip(self.step.hyperparameters, self.step.hyperparameter_table(0, 1)[0], strict=True))
            by_variable = Reference().run(self.step.program, batch, data, {**numbers, "seed": 0, "t": 0}).gradients
        else:
            own = {"seed": 0, "t": 0, "results": np.zeros(self.step.results)}
            self.step.run(batch, 1, {**data, **own}, compiled=False)
            by_variable = self.step.variable_gradients()
        for name, array in before.items():
            np.testing.assert_array_equal(data[name], array, err_msg=f"{name} was written to")
        found.update({key: by_variable[v].copy() for key, v in self.trainable.items()})
        return {c: Result(outputs[c], [found.get((c, i)) for i in range(len(c.draws))]) for c in self.cases}

    def central_differences(self, batch, directions=3):
        """{case: [(index of the input or variable, numerical, by the gradient, scale)]} along random directions."""
        arrays, gradients = self.draw(batch)
        results = self.run(arrays, gradients)
        found = {case: [] for case in self.cases}
        generator = np.random.default_rng(batch)
        for i in range(max(len(case.draws) for case in self.cases)):
            active = [case for case in self.seeds if i < len(case.draws) and case.draws[i].wanted]
            for _ in range(directions):
                along = {case: generator.uniform(-1, 1, arrays[case, i].shape) for case in active}
                above, below = (
                    self.run({**arrays, **{(c, i): arrays[c, i] + sign * STEP * along[c] for c in active}}, gradients)
                    for sign in (1, -1)
                )
                for case in active:
                    difference = (above[case].output - below[case].output) / (2 * STEP)
                    numerical = (difference * gradients[case]).sum()
                    products = results[case].gradients[i] * along[case]
                    # what roundings of the outputs make of the difference, where the gradient is as good as zero
                    outputs = np.linalg.norm(results[case].output * gradients[case])
                    scale = max(np.linalg.norm(products), ROUNDING / STEP / TOLERANCE * outputs)
                    found[case].append((i, numerical, products.sum(), scale))
        return found


class Suite:
    """The cases of a test file, in groups of one step each."""

    def __init__(self):
        self.groups: dict[str, list[Case]] = {}

    def add(self, group, name, function, inputs, variables=(), torch=None):
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        variables = variables if isinstance(variables, tuple) else (variables,)
        self.groups.setdefault(group, []).append(Case(name, function, inputs, variables, torch))

    @property
    def cases(self):
        return [case for cases in self.groups.values() for case in cases]

    def group_of(self, case):
        return next(name for name, cases in self.groups.items() if case in cases)

    @functools.cache  # noqa: B019 (one suite per test file)
    def graphs(self, group, dtype):
        return Graphs(self.groups[group], dtype)

    @functools.cache  # noqa: B019
    def differences(self, group, batch):
        return self.graphs(group, "float64").central_differences(batch)

    @functools.cache  # noqa: B019
    def results(self, group, dtype, batch):
        graphs = self.graphs(group, dtype)
        arrays, gradients = graphs.draw(batch)
        return arrays, gradients, graphs.run(arrays, gradients)

    def check_differences(self, case, batch):
        """Gradients of every wanted input and variable to a relative 1e-6 of the central differences."""
        found = self.differences(self.group_of(case), batch)[case]
        assert {i for i, *_ in found} == {i for i, draw in enumerate(case.draws) if draw.wanted}
        for i, numerical, analytic, scale in found:
            assert np.isfinite(analytic)
            assert abs(numerical - analytic) <= TOLERANCE * max(scale, 1e-3), f"draw {i}: {numerical} is not {analytic}"

    def check_torch(self, torch, case, batch):
        """Output and gradients in float32 to a relative 1e-4 of PyTorch's."""
        arrays, gradients, results = self.results(self.group_of(case), "float32", batch)
        given = [torch.tensor(arrays[case, i], requires_grad=d.wanted) for i, d in enumerate(case.draws)]
        expected = case.torch(torch, *given)
        assert_close(results[case].output, expected.detach().numpy(), f"output of {case}")
        if case in gradients:
            expected.backward(torch.tensor(gradients[case]))
            for i, tensor in enumerate(given):
                if tensor.requires_grad:
                    assert_close(results[case].gradients[i], tensor.grad.numpy(), f"gradient {i} of {case}")


def assert_close(actual, expected, message=""):
    """To a relative 1e-4, and what cancellation leaves of the largest."""
    assert actual.shape == expected.shape, message
    largest = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * largest + 1e-30, err_msg=message)
