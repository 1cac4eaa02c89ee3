"""Kernels of recurrent layers, the reference and the specialised ones, against their oracle and one another."""

import inspect

import naive.recurrent as naive
import numpy as np
import pytest
from naive import assert_close, draw

from jitnet.kernels.cpu import recurrent
from jitnet.kernels.cpu.fast.recurrent import GATES, recurrent_backward_kernel, recurrent_forward_kernel
from jitnet.kernels.cpu.runtime.vectors import _TARGETS, vector_target

TOLERANCE = {"float32": 3e-6, "float64": 1e-12}
# samples, steps, units: one of each, primes, units at and about the end of a vector, more samples than a tile
SIZES = [(1, 1, 1), (3, 2, 5), (1, 3, 17), (9, 2, 16), (11, 3, 37), (2, 4, 48)]
cells = pytest.mark.parametrize("cell", GATES)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


class Operands:
    """Arrays for kernels by the names of their parameters, and what they must become."""

    def __init__(self, cell, rows, steps, units, dtype, masked, reverse, sequences=True):
        def values(*shape, seed):
            return draw(*shape, dtype=np.dtype(dtype).type, seed=seed)

        self.cell, self.dtype = cell, dtype
        width = GATES[cell] * units
        mask = np.random.default_rng(1).random((rows, steps)) < (0.6 if masked else 2)
        mask[0] = not masked  # a sample without a step
        self.given = given = {
            "z": values(rows, steps, width, seed=2), "recurrent_kernel": values(units, width, seed=3) * 0.5,
            "recurrent_bias": values(width, seed=4), "h_first": values(rows, units, seed=5),
            "c_first": values(rows, units, seed=6), "mask": mask.astype(dtype),
            "z_candidate": values(rows, steps, units, seed=10), "candidate_kernel": values(units, units, seed=11) * 0.5,
            "dy": values(rows, steps, units, seed=7), "dh_last": values(rows, units, seed=8),
            "dc_last": values(rows, units, seed=9), "reverse": reverse,
            "masked": masked, "sequences": sequences, "relu": cell.endswith("relu"),
        }  # fmt: skip
        given = {k: v.astype("float64") if isinstance(v, np.ndarray) else v for k, v in given.items()}
        kernel, dy = given["recurrent_kernel"], given["dy"] * sequences
        first = given["recurrent_bias"], given["h_first"], given["c_first"]
        candidate = given["candidate_kernel"]
        expected = naive.forward(cell, given["z"], kernel, *first, mask, reverse, given["z_candidate"], candidate)
        last = given["dh_last"], given["dc_last"]
        self.expected = expected | naive.backward(cell, expected, kernel, dy, *last, mask, reverse, candidate)
        kept = ("gates", "before", "cells", "activated", "candidates", "candidate")
        self.kept = {name: expected[name].astype(dtype) for name in kept}

    def run(self, kernel, also=None, forward=False):
        """{name: array} that a kernel wrote, after comparing them; also: parameters of its own."""
        names = list(inspect.signature(kernel.py_func).parameters)
        given = self.given | ({} if forward else self.kept) | (also or {})
        outs = {n: np.full(self.expected[n].shape, np.nan, self.dtype) for n in names if n not in given}
        before = {k: v.copy() for k, v in given.items() if isinstance(v, np.ndarray)}
        kernel(*((given | outs)[name] for name in names))
        for name, found in outs.items():
            assert_close(found, self.expected[name], TOLERANCE[self.dtype])
        for name, copy in before.items():
            if name not in ("states", "dh_first"):  # memory of the kernel's own
                np.testing.assert_array_equal(given[name], copy)
        return outs


def reference(cell, direction):
    return getattr(recurrent, f"{cell.removesuffix('_relu')}_{direction}")


@cells
@dtypes
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_reference(cell, dtype, masked):
    for number, size in enumerate(SIZES[:3]):
        operands = Operands(cell, *size, dtype, masked, bool(number % 2), number != 1)
        operands.run(reference(cell, "forward"), forward=True)
        operands.run(reference(cell, "backward"))


def packed_weights(chosen, given):
    """The weights of the states, and of GRU's candidate, as a forward kernel reads them."""
    found = []
    for writer, name in ((chosen.weights, "recurrent_kernel"), (chosen.candidate_weights, "candidate_kernel")):
        matrix = given[name]
        found.append(np.full(writer.elements(len(matrix)), np.nan, matrix.dtype))
        for part in range(2):
            writer.kernel()(matrix, found[-1], part, 2)
    return found


def run_specialised(operands, masked, keep=True, sequences=True, states=True, target=None):
    cell, given = operands.cell, operands.given
    kernel, dtype = given["recurrent_kernel"], operands.dtype
    units = kernel.shape[0]
    names = {"lstm": ("cells", "activated"), "gru": ("before", "candidates")}.get(cell, ("before", "before"))
    chosen = recurrent_forward_kernel(cell, units, dtype, masked, keep, sequences, target)
    packed, candidate = packed_weights(chosen, given)
    states_of = np.full((len(given["h_first"]), chosen.own_states * units), np.nan, dtype)
    operands.expected["extra"] = operands.expected[names[1]]
    operands.kept |= {"earlier": operands.kept[names[0]], "extra": operands.kept[names[1]]}
    also = {"weights": packed, "candidate_weights": candidate, "bias": given["recurrent_bias"], "states": states_of}
    found = operands.run(chosen.kernel(), also, forward=True)
    chosen = recurrent_backward_kernel(cell, units, dtype, masked, sequences, states, target)
    weights = {}
    for name, matrix in (("weights", kernel), ("candidate_weights", given["candidate_kernel"])):
        weights[name] = np.full(chosen.weights.elements(*matrix.shape), np.nan, dtype)
        chosen.weights.kernel()(matrix, weights[name], 0, 1)
    own = {} if states else {"dh_first": np.full_like(given["h_first"], np.nan)}
    return found | operands.run(chosen.kernel(), weights | own)


@cells
@dtypes
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_specialised(cell, dtype, masked):
    for number, size in enumerate(SIZES):
        run_specialised(Operands(cell, *size, dtype, masked, bool(number % 2)), masked)


@pytest.mark.parametrize("name", [name for name in _TARGETS if name != vector_target().name])
def test_other_vectors(name):
    for cell in ("lstm", "gru", "gru_reset_first", "simple_rnn_relu"):
        for size in ((3, 2, 5), (7, 2, 24)):
            run_specialised(Operands(cell, *size, "float32", True, False), True, target=_TARGETS[name])


@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_first"])
def test_what_is_left_out(cell):
    """Predictions keep nothing; the gradient of the last output alone needs no others, nor that of the first state."""
    operands = Operands(cell, 3, 4, 5, "float32", False, False, sequences=False)
    found = run_specialised(operands, False, keep=False, sequences=False, states=False)
    assert not {"y", "gates", "before", "reset"} & found.keys()
    assert {"h_last", "dz"} < found.keys()


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_first"])
def test_bits_do_not_depend_on_the_chunk(cell):
    operands = Operands(cell, 9, 3, 21, "float32", False, False)
    whole = run_specialised(operands, False)
    weights = ("recurrent_kernel", "recurrent_bias", "candidate_kernel")
    for first, last in ((0, 1), (1, 9), (4, 6)):
        part = Operands(cell, 9, 3, 21, "float32", False, False)
        for table in (part.given, part.kept, part.expected):
            for name, value in table.items():
                if isinstance(value, np.ndarray) and name not in weights:
                    table[name] = value[first:last].copy()
        for name, found in run_specialised(part, False).items():
            np.testing.assert_array_equal(found, whole[name][first:last])


@cells
def test_nan_spreads_from_its_step_on(cell):
    operands = Operands(cell, 2, 3, 5, "float32", False, False)
    operands.given["z"][1, 1, 0] = np.nan
    given, chosen = operands.given, recurrent_forward_kernel(cell, 5, keep=False)
    packed, candidate = packed_weights(chosen, given)
    y, last, c_last = np.zeros((2, 3, 5), "float32"), np.zeros((2, 5), "float32"), np.zeros((2, 5), "float32")
    values = given | {
        "weights": packed, "candidate_weights": candidate, "bias": given["recurrent_bias"], "y": y, "h_last": last,
        "c_last": c_last, "states": np.zeros((2, 5 * chosen.own_states), "float32"),
    }  # fmt: skip
    chosen.kernel()(*(values[name] for name in inspect.signature(chosen.kernel().py_func).parameters))
    assert np.isfinite(y[0]).all() and np.isfinite(y[1, 0]).all()
    assert np.isnan(y[1, 1, 0]) and np.isnan(y[1, 2]).all()


def test_extreme_values_saturate():
    operands = Operands("lstm", 2, 2, 3, "float32", False, False)
    operands.given["z"][:] = np.where(operands.given["z"] > 0, 300, -300)
    given = {k: v.astype("float64") if isinstance(v, np.ndarray) else v for k, v in operands.given.items()}
    with np.errstate(over="ignore"):
        expected = naive.forward(
            "lstm", given["z"], given["recurrent_kernel"], None, given["h_first"], given["c_first"],
            np.ones((2, 2), bool), False,
        )  # fmt: skip
    operands.expected |= expected
    chosen = recurrent_forward_kernel("lstm", 3)
    packed = np.zeros(chosen.weights.elements(3), "float32")
    chosen.weights.kernel()(operands.given["recurrent_kernel"], packed, 0, 1)
    operands.expected["extra"] = expected["activated"]
    found = operands.run(chosen.kernel(), {"weights": packed, "states": np.zeros((2, 6), "float32")}, forward=True)
    assert np.abs(found["extra"]).max() <= 1
