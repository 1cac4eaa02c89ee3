"""Recurrent layers over whole sequences, step after step in one kernel."""

from .. import checks
from ..program import Buffer, Out
from .base import REFUSED, Operation, display


class _Recurrent(Operation, registered=False):
    """Inputs: z (None, steps, gates x units), of which the units of one gate lie side by side; recurrent_kernel (units,
    gates x units); GRU's recurrent_bias; with ``initial`` the states (None, units); with ``masked`` the mask
    (None, steps), 0 where a step keeps the states.

    Outputs: the state h after each step (None, steps, units), and the last states.  ``reverse``: from the last step on.
    """

    integers = REFUSED
    whole_inputs = (1,)
    gates = 1
    states = ("h",)
    weights = ("recurrent_kernel",)
    further = ()  # inputs between z and the weights
    _read: tuple  # by the backward kernel, of what the forward one keeps
    _made: tuple  # by the backward kernel
    _products = {"recurrent_kernel": ("before", "dz")}  # {weight: (what it multiplies, the product's gradient)}

    def __init__(self, initial: bool = False, masked: bool = False, reverse: bool = False):
        self.initial = checks.boolean(self.name, "initial", initial)
        self.masked = checks.boolean(self.name, "masked", masked)
        self.reverse = checks.boolean(self.name, "reverse", reverse)

    def _named(self, inputs) -> dict:
        """The inputs by name."""
        names = ["z", *self.further, *self.weights]
        names += [f"{state}_first" for state in self.states] if self.initial else []
        return dict(zip([*names, "mask"] if self.masked else names, inputs, strict=True))

    def infer(self, *inputs):
        try:
            given = self._named(inputs)
        except ValueError:
            raise ValueError(f"{self.name} takes other inputs. Received: {len(inputs)}") from None
        z, kernel = given["z"], given["recurrent_kernel"]
        if z.ndim != 3 or not z.batched or 0 in z.shape:
            raise ValueError(
                f"{self.name} expects an input (batch, steps, {self.gates} x units). Received: shape={display(z.shape)}"
            )
        steps, width = z.shape[1:]
        units = width // self.gates
        expected = self._shapes(steps, units) | {"recurrent_kernel": (units, width), "mask": (None, steps)}
        expected |= {f"{state}_first": (None, units) for state in self.states}
        for name, value in given.items():
            if name != "z" and (value.shape != expected[name] or width != units * self.gates):
                raise ValueError(
                    f"{self.name} expects, for an input {display(z.shape)}, a {name} {display(expected[name])}. "
                    f"Received: shape={display(value.shape)}"
                )
        return [((None, steps, units), kernel.dtype), *(((None, units), kernel.dtype) for _ in self.states)]

    def _shapes(self, steps: int, units: int) -> dict:
        """Of inputs that other cells have not."""
        return {}

    def _kept(self, units: int) -> dict[str, int]:
        """What the forward pass keeps for each step: {name: elements}."""
        return {"gates": self.gates * units, "before": units}

    def _options(self) -> dict:
        return {}

    def _work(self, lowered) -> int:
        given = self._named(lowered.inputs)
        return 2 * lowered.output.size * sum(given[name].shape[1] for name in self._products)

    def _zeros(self, program, lowered) -> Buffer:
        output = lowered.output
        zeros = program.temporary(f"{output.name}_zeros", output.shape[1:], output.dtype, "batch")
        program.call("shape.fill", y=Out(zeros), value=0.0)
        return zeros

    def forward(self, program, lowered):
        given = self._named(lowered.inputs)
        steps, units = lowered.output.shape
        if not self.initial:
            given |= dict.fromkeys((f"{state}_first" for state in self.states), self._zeros(program, lowered))
        given.setdefault("mask", given["h_first"])  # which is not read then
        names = "z", *self.further, *self.weights, *(f"{state}_first" for state in self.states), "mask"
        kept = {
            name: Out(lowered.save(name, (steps, size), lowered.output.dtype))
            for name, size in self._kept(units).items()
        }
        last = {f"{state}_last": Out(b) for state, b in zip(self.states, lowered.outputs[1:], strict=True)}
        program.call(
            f"recurrent.{self.name}_forward", **{name: given[name] for name in names}, **kept,
            y=Out(lowered.output), **last, reverse=self.reverse, masked=self.masked, **self._options(),
            in_place=("z", "gates"), work=self._work(lowered),
        )  # fmt: skip

    def backward(self, program, lowered):
        given, saved = self._named(lowered.inputs), lowered.saved
        dy, *d_last = [lowered.lowering.gradients.of(value) for value in lowered.application.outputs]
        zeros = self._zeros(program, lowered) if None in d_last else None
        d_last = [zeros if d is None else d for d in d_last]
        places = {name: index for index, name in enumerate(given)}
        made = {f"d{name}": name for name in ("z", *self.further)}
        made |= {f"d{state}_first": f"{state}_first" for state in self.states}
        outs, sums = {}, []
        for name, source in made.items():
            index = places.get(source)
            target = lowered.gradient(index) if index is not None and lowered.needs(index) else None
            if target is None or target.accumulate:
                shape = lowered.output.shape[1:] if source.endswith("_first") else given[source].shape
                name_of_buffer = f"{lowered.output.name}_{name}"
                outs[name] = Out(program.temporary(name_of_buffer, shape, lowered.output.dtype, "batch"))
                sums += [] if target is None else [(outs[name].buffer, target)]
            else:
                outs[name] = target
        if "dk" in self._made:
            name_of_buffer = f"{lowered.output.name}_dk"
            outs["dk"] = Out(program.temporary(name_of_buffer, given["z"].shape, lowered.output.dtype, "batch"))
        program.call(
            f"recurrent.{self.name}_backward", dy=saved["before"] if dy is None else dy,  # which is not read then
            **{f"d{state}_last": d for state, d in zip(self.states, d_last, strict=True)},
            **{name: given[name] for name in self._products}, **{name: saved[name] for name in self._read},
            mask=given.get("mask", d_last[0]), **{name: outs[name] for name in self._made},
            reverse=self.reverse, masked=self.masked, sequences=dy is not None, **self._options(),
            in_place=("gates", "dz"), work=self._work(lowered),
        )  # fmt: skip
        for found, target in sums:
            program.call("shape.copy_backward", dy=found, dx=target, accumulate=True)
        for weight, (kept, product) in self._products.items():
            if not lowered.needs(places[weight]):
                continue
            dkernel, (units, width) = lowered.gradient(places[weight]), given[weight].shape
            program.call(
                "dense.dense_backward_filter", x=program.as_rows(saved[kept], units),
                dy=program.as_rows(outs[product].buffer, width), dkernel=dkernel, accumulate=dkernel.accumulate,
                work=2 * lowered.output.size * width,
            )  # fmt: skip
        if "recurrent_bias" in given and lowered.needs(2):
            dbias = lowered.gradient(2)
            program.call("dense.bias_add_backward", dy=outs["dk"].buffer, dbias=dbias, accumulate=dbias.accumulate)


class LSTMSteps(_Recurrent):
    """LSTM with sigmoid gates i, f, o and tanh: the states are h and c."""

    name = "lstm"
    gates = 4
    states = ("h", "c")
    _read = ("gates", "cells", "activated")
    _made = ("dz", "dh_first", "dc_first")

    def _kept(self, units):
        return {**super()._kept(units), "cells": units, "activated": units}


class GRUSteps(_Recurrent):
    """GRU with sigmoid gates and tanh, which resets after the product with the state: see ``gru_forward``."""

    name = "gru"
    gates = 3
    whole_inputs = (1, 2)
    weights = ("recurrent_kernel", "recurrent_bias")
    _read = ("gates", "before", "candidates")
    _made = ("dz", "dk", "dh_first")
    _products = {"recurrent_kernel": ("before", "dk")}

    def _shapes(self, steps, units):
        return {"recurrent_bias": (3 * units,)}

    def _kept(self, units):
        return {**super()._kept(units), "candidates": units}


class ResetFirstGRUSteps(_Recurrent):
    """GRU that resets before the product with the state: see ``gru_reset_first_forward``.

    Inputs: z (None, steps, 2 x units) of the gates, z_candidate (None, steps, units), recurrent_kernel
    (units, 2 x units) and candidate_kernel (units, units); the others as above.
    """

    name = "gru_reset_first"
    gates = 2
    whole_inputs = (2, 3)
    further = ("z_candidate",)
    weights = ("recurrent_kernel", "candidate_kernel")
    _read = ("gates", "candidate", "before")
    _made = ("dz", "dz_candidate", "dh_first")
    _products = {"recurrent_kernel": ("before", "dz"), "candidate_kernel": ("reset", "dz_candidate")}

    def _shapes(self, steps, units):
        return {"z_candidate": (None, steps, units), "candidate_kernel": (units, units)}

    def _kept(self, units):
        return {"gates": 2 * units, "candidate": units, "before": units, "reset": units}


class SimpleRNNSteps(_Recurrent):
    """SimpleRNN with tanh, or relu."""

    name = "simple_rnn"
    _read = ("gates",)
    _made = ("dz", "dh_first")

    def __init__(self, initial=False, masked=False, reverse=False, relu=False):
        super().__init__(initial, masked, reverse)
        self.relu = checks.boolean(self.name, "relu", relu)

    def _options(self):
        return {"relu": self.relu}
