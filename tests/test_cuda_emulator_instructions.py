"""The emulator finds planted bugs in the use of the device's own instructions."""

import cuda_instructions  # noqa: F401 (the emulator knows them)
import numpy as np
import pytest
from cuda_emulator import EmulationError, Emulator

from jitnet.kernels.cuda._api import cuda, kernel, launch, using
from jitnet.kernels.cuda.ptx import (
    await_copies_but_one_step,
    copy_async,
    end_step_of_copies,
    load_matrices,
    load_quad,
    multiply_tf32,
    to_tf32,
)
from jitnet.kernels.scalar import real


@kernel
def _copied(x, y, awaits, barrier, shift):
    tile = cuda.shared.array(64, real, 16)
    lane = cuda.threadIdx.x
    if lane < 8:
        copy_async(tile, 4 * lane, x, 4 * lane + shift, True)
    end_step_of_copies()
    if awaits:
        end_step_of_copies()
        await_copies_but_one_step()
    if barrier:
        cuda.syncthreads()
    y[lane] = tile[31 - lane]


def run(kernel, *arguments, threads=32):
    backend = Emulator()
    x = backend.to_device(np.arange(64, dtype=np.float32))
    y = backend.to_device(np.zeros(32, np.float32))
    with using(backend):
        launch(kernel, 1, threads, x, y, *arguments)
    return backend.to_host(y)


def test_copies_have_arrived_when_they_were_awaited():
    np.testing.assert_array_equal(run(_copied, True, True, 0), np.arange(31, -1, -1))
    assert np.isnan(run(_copied, False, True, 0)).all()
    with pytest.raises(EmulationError, match=r"race|never written"):
        run(_copied, True, False, 0)
    with pytest.raises(EmulationError, match="not aligned to 16 bytes"):
        run(_copied, True, True, 1)


@kernel
def _quad(x, y, at):
    values = load_quad(x, at)
    for i in range(4):
        y[i] = values[i]


def test_quads_are_aligned():
    np.testing.assert_array_equal(run(_quad, 8, threads=1)[:4], [8, 9, 10, 11])
    with pytest.raises(EmulationError, match="not aligned to 16 bytes"):
        run(_quad, 7, threads=1)
    with pytest.raises(EmulationError, match="outside"):
        run(_quad, 64, threads=1)


@kernel
def _matrices(x, y, line, lanes):
    tile = cuda.shared.array(32 * 8, real, 16)
    lane = cuda.threadIdx.x
    for i in range(line):
        tile[8 * lane + i] = real(1)
    cuda.syncwarp()
    if lane < lanes:
        words = load_matrices(tile, 8 * lane)
        sums = multiply_tf32((real(0), real(0), real(0), real(0)), words, (to_tf32(real(1)), to_tf32(real(1))))
        y[lane] = sums[0]


def test_matrices_are_whole_and_of_whole_warps():
    np.testing.assert_array_equal(run(_matrices, 4, 32), np.full(32, 8))
    with pytest.raises(EmulationError, match="never written"):
        run(_matrices, 3, 32)
    with pytest.raises(EmulationError):
        run(_matrices, 4, 31)
