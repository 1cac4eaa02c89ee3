"""Recurrent layers: all steps of some samples at once, on the tiles of ``jitnet.kernels.cpu.tiles.recurrent``.

The product of all inputs is made before, and the weights' gradients after, by the kernels of dense layers.  The kernels
take any number of samples, steps and units.
"""

from dataclasses import dataclass

from jitnet.kernels.cpu.fast.template import TemplateKernel
from jitnet.kernels.cpu.fast.transpose import PanelsKernel, panels_kernel
from jitnet.kernels.cpu.runtime.vectors import VectorTarget, vector_target

GATES = {"lstm": 4, "gru": 3, "gru_reset_first": 2, "simple_rnn": 1, "simple_rnn_relu": 1}  # of recurrent_kernel


@dataclass(frozen=True)
class RecurrentWeights(TemplateKernel):
    """``kernel(kernel, out, chunk, chunks)``: what ``RecurrentForward`` reads, made of the recurrent kernel."""

    dtype: str
    target: VectorTarget
    gates: int
    template = "recurrent_weights"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return f"recurrent_weights_{self.gates}"

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"Recurrent weights of {self.gates} gates in {self.dtype}"

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        return dict(DTYPE=self.dtype, LANES=self.target.lanes(self.dtype), GATES=self.gates)

    def elements(self, units: int) -> int:
        """Size of ``out``."""
        lanes = self.target.lanes(self.dtype)
        return -(-units // lanes) * lanes * units * self.gates


@dataclass(frozen=True)
class _Recurrent(TemplateKernel):
    cell: str
    dtype: str
    target: VectorTarget
    whole: bool
    masked: bool
    sequences: bool

    @property
    def title(self) -> str:
        """What the kernel is for."""
        return f"All steps of {self.cell} in {self.dtype}"

    @property
    def _of_cell(self) -> dict:
        of_cell = {} if self.cell == "gru_reset_first" else dict(CELL=self.cell, GATES=GATES[self.cell])
        given = dict(WHOLE=self.whole, MASKED=self.masked, SEQUENCES=self.sequences)
        return self.widest_vectors | of_cell | given

    @property
    def template(self) -> str:
        """The template's name."""
        return f"{'reset_first' if self.cell == 'gru_reset_first' else 'recurrent'}_{self.direction}"

    @property
    def _unused(self) -> set[str]:
        unused = set() if self.masked else {"mask"}
        if self.cell != "lstm":
            unused |= {"c_first", "c_last", "cells", "dc_first", "dc_last"}
        if self.cell != "gru":
            unused |= {"bias", "dk"}
        if self.cell not in ("lstm", "gru"):
            unused |= {"extra", "earlier"}
        return unused

    def _named(self, *words) -> str:
        said = ("masked", self.masked), ("last", not self.sequences)
        return "_".join([self.cell, *words, *(word for word, holds in said if holds)])


@dataclass(frozen=True)
class RecurrentForward(_Recurrent):
    """``kernel(z, weights, ..., states, reverse)``, of which it has the arguments that it needs: see the template.

    keep: it writes what the backward pass reads.
    """

    keep: bool
    direction = "forward"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return self._named("steps", *(["keep"] if self.keep else []))

    @property
    def unused(self) -> set[str]:
        """Parameters of the template's kernel that the specialised one has not."""
        of_keeping = set() if self.keep else {"gates", "candidate", "before", "cells", "extra", "reset"}
        return self._unused | of_keeping | (set() if self.sequences else {"y"})

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        many = self.target.registers >= 32
        rows = {"lstm": 4 if many else 2, "gru": 8 if many else 3, "gru_reset_first": 8 if many else 4}
        rows = rows.get(self.cell, 8)
        return self._of_cell | dict(ROWS=rows, KEEP=self.keep)

    @property
    def weights(self) -> RecurrentWeights:
        """The kernel that makes its weights."""
        return RecurrentWeights(self.dtype, self.target, GATES[self.cell])

    @property
    def candidate_weights(self) -> RecurrentWeights:
        """The kernel that makes those of its candidate, where they are apart."""
        return RecurrentWeights(self.dtype, self.target, 1)

    @property
    def own_states(self) -> int:
        """How many numbers of its own it needs for each unit."""
        return 4 if self.cell == "gru_reset_first" else 2


@dataclass(frozen=True)
class RecurrentBackward(_Recurrent):
    """``kernel(dy, ..., dz, ..., reverse)``, likewise; states: the gradients of the first states are wanted."""

    vectors: int
    states: bool
    direction = "backward"

    @property
    def name(self) -> str:
        """Name of the kernel, as the step's source shows it."""
        return self._named("steps_backward", *(["states"] if self.states else []))

    @property
    def unused(self) -> set[str]:
        """Parameters of the template's kernel that the specialised one has not."""
        return self._unused | (set() if self.sequences else {"dy"})

    @property
    def constants(self) -> dict:
        """Values of the template's constants."""
        rows = 8 if self.target.registers >= 32 else 4
        return self._of_cell | dict(ROWS=rows, VECTORS=self.vectors, STATES=self.states)

    @property
    def weights(self) -> PanelsKernel:
        """The kernel that makes its weights."""
        return panels_kernel(self.vectors * self.target.lanes(self.dtype), self.dtype, self.target)


def recurrent_forward_kernel(cell, units, dtype="float32", masked=False, keep=True, sequences=True, target=None):
    """All steps of a cell, one of ``GATES``."""
    target = target or vector_target()
    return RecurrentForward(cell, dtype, target, units % target.lanes(dtype) == 0, masked, sequences, keep)


def recurrent_backward_kernel(cell, units, dtype="float32", masked=False, sequences=True, states=True, target=None):
    """The same backward through time."""
    target = target or vector_target()
    lanes = target.lanes(dtype)
    return RecurrentBackward(
        cell, dtype, target, units % lanes == 0, masked, sequences, 1 if units <= lanes else 2, states
    )
