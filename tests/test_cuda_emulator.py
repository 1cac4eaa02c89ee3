"""The emulator finds planted bugs, and nothing in kernels that are right."""

import math
from pathlib import Path

import numpy as np
import pytest
from cuda_emulator import EmulationError, Emulator, emulation

from jitnet.kernels.cuda._api import (
    CudaError,
    Intrinsic,
    cuda,
    function,
    kernel,
    launch,
    over,
    row_block,
    types_of,
    using,
    workspace,
)
from jitnet.kernels.cuda._blocks import block_max, block_sum
from jitnet.kernels.scalar import activations, real

gelu = activations.gelu_tanh
TILE = 4


def run(kernel, grid, block, *arguments, seed=0):
    """The arrays after a launch; numpy arrays are copied to the emulated device, None is an unwritten array like it."""
    backend = Emulator(seed)
    given = [backend.to_device(a) if isinstance(a, np.ndarray) else a for a in arguments]
    given = [backend.empty(a[1:], np.float32) if isinstance(a, tuple) and a[0] == "empty" else a for a in given]
    with using(backend):
        launch(kernel, grid, block, *given)
    return [backend.to_host(a) for a in given if hasattr(a, "memory")]


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


# ---- kernels that are right


@kernel
def _add_gelu(x, y, factor):
    scale = real(factor[0])
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] = gelu(x[i]) * scale


@kernel
def _product(a, b, c):
    a_tile = cuda.shared.array((TILE, TILE), real)
    b_tile = cuda.shared.array((TILE, TILE), real)
    column, row = cuda.grid(2)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    depth = a.shape[1]
    total = real(0)
    for first in range(0, depth, TILE):
        a_tile[y, x] = a[row, first + x] if row < a.shape[0] and first + x < depth else real(0)
        b_tile[y, x] = b[first + y, column] if column < b.shape[1] and first + y < depth else real(0)
        cuda.syncthreads()
        for k in range(TILE):
            total += a_tile[y, k] * b_tile[k, x]
        cuda.syncthreads()
    if row < c.shape[0] and column < c.shape[1]:
        c[row, column] = total


@kernel
def _softmax_rows(x, y):
    row, columns = cuda.blockIdx.x, x.shape[1]
    largest = real(-math.inf)
    for c in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        largest = max(largest, x[row, c])
    largest = block_max(largest)
    total = real(0)
    for c in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        total += math.exp(x[row, c] - largest)
    total = block_sum(total)
    for c in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
        y[row, c] = math.exp(x[row, c] - largest) / total


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_that_are_right(seed, dtype):
    x = numbers(37).astype(dtype)
    _, y, _ = run(_add_gelu, *over(x.size, 32), x, np.zeros_like(x), np.array([0.5]), seed=seed)
    assert y.dtype == dtype
    expected = [0.5 * gelu(float(value)) for value in x]
    np.testing.assert_allclose(y, expected, rtol=2e-6 if dtype == np.float32 else 1e-14, atol=1e-7)
    a, b = numbers(5, 7).astype(dtype), numbers(7, 6).astype(dtype)
    *_, c = run(_product, (2, 2), (TILE, TILE), a, b, np.zeros((5, 6), dtype), seed=seed)
    np.testing.assert_allclose(c, a @ b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("columns", [1, 33, 70])
def test_reductions_of_blocks(seed, columns):
    x = numbers(3, columns)
    _, y = run(_softmax_rows, 3, row_block(columns, 64), x, np.zeros_like(x), seed=seed)
    e = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(y, e / e.sum(1, keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(y, run(_softmax_rows, 3, row_block(columns, 64), x, y, seed=seed + 2)[1])


@kernel
def _all_exchanges(x, y):
    lane = cuda.threadIdx.x
    value = x[lane]
    y[0, lane] = cuda.shfl_sync(0xFFFFFFFF, value, 5)
    y[1, lane] = cuda.shfl_up_sync(0xFFFFFFFF, value, 2)
    y[2, lane] = cuda.shfl_down_sync(0xFFFFFFFF, value, 2)
    y[3, lane] = cuda.shfl_xor_sync(0xFFFFFFFF, value, 3)
    y[4, lane] = cuda.ballot_sync(0xFFFFFFFF, lane % 2 == 0) == 0x55555555
    y[5, lane] = cuda.any_sync(0xFFFFFFFF, lane == 7)
    y[6, lane] = cuda.all_sync(0xFFFFFFFF, lane == 7)
    y[7, lane] = cuda.syncthreads_count(lane < 9)
    if lane < 16:  # half a warp, named in the mask
        y[0, lane] += cuda.shfl_xor_sync(0xFFFF, value, 1)


def test_exchanges_of_a_warp():
    x = np.arange(32, dtype=np.float32)
    _, y = run(_all_exchanges, 1, 32, x, np.zeros((8, 32), np.float32))
    lanes = np.arange(32)
    np.testing.assert_array_equal(y[0], 5 + np.where(lanes < 16, lanes ^ 1, 0))
    np.testing.assert_array_equal(y[1], np.where(lanes < 2, lanes, lanes - 2))
    np.testing.assert_array_equal(y[2], np.where(lanes > 29, lanes, lanes + 2))
    np.testing.assert_array_equal(y[3], lanes ^ 3)
    assert y[4:, 0].tolist() == [1, 1, 0, 9]


# ---- planted bugs: (kernel, grid, block, arrays, what is said)


@kernel
def _no_barrier(x, y):
    shared = cuda.shared.array(64, real)
    i = cuda.threadIdx.x
    shared[i] = x[i]
    y[i] = shared[63 - i]


@kernel
def _no_second_barrier(x, y):
    shared = cuda.shared.array(32, real)
    i = cuda.threadIdx.x
    for first in range(0, 64, 32):
        shared[i] = x[first + i]
        cuda.syncthreads()
        y[i] = shared[31 - i]


@kernel
def _warp_barrier_for_two_warps(x, y):
    shared = cuda.shared.array(64, real)
    i = cuda.threadIdx.x
    shared[i] = x[i]
    cuda.syncwarp()
    y[i] = shared[63 - i]


@kernel
def _one_place_for_all(x, y):
    y[0] = x[cuda.grid(1)]


@kernel
def _neighbour_of_another_block(x, y):
    i = cuda.grid(1)
    y[i] = x[i]
    cuda.syncthreads()
    if i > 0:
        x[i - 1] = y[i]


@kernel
def _overlapping_in_place(x, y):
    i = cuda.grid(1)
    if i < 63:
        x[i] = x[i + 1]


@kernel
def _some_return(x, y):
    i = cuda.threadIdx.x
    if i < 50:
        cuda.syncthreads()
        y[i] = x[i]


@kernel
def _two_barriers(x, y):
    if cuda.threadIdx.x < 32:
        cuda.syncthreads()
    else:
        cuda.syncthreads()


@kernel
def _exchange_of_some(x, y):
    i = cuda.threadIdx.x
    if i < 40:
        y[i] = cuda.shfl_down_sync(0xFFFFFFFF, x[i], 1)


@kernel
def _no_guard(x, y):
    y[cuda.grid(1) + 1] = x[cuda.grid(1)]


@kernel
def _negative(x, y):
    y[cuda.grid(1)] = x[cuda.grid(1) - 1]


@kernel
def _shared_outside(x, y):
    shared = cuda.shared.array((8, 8), real)
    shared[cuda.threadIdx.x // 8, cuda.threadIdx.x % 8 + 1] = x[0]


@kernel
def _uninitialised_shared(x, y):
    shared = cuda.shared.array(64, real)
    i = cuda.threadIdx.x
    if i > 0:
        shared[i] = x[i]
    cuda.syncthreads()
    y[i] = shared[i]


@kernel
def _uninitialised_local(x, y):
    local = cuda.local.array(4, real)
    local[1] = x[0]
    y[cuda.grid(1)] = local[cuda.grid(1) % 2]


@kernel
def _adds_to_nothing(x, y):
    y[cuda.grid(1)] += x[cuda.grid(1)]


@kernel
def _too_much_shared(x, y):
    first = cuda.shared.array((1024, 8), real)
    second = cuda.shared.array((512, 9), real)
    first[cuda.threadIdx.x, 0] = second[cuda.threadIdx.x, 0] = x[0]


@kernel
def _wrong_rank(x, y):
    y[0, cuda.grid(1)] = x[0]


@kernel
def _atomic_float(x, y):
    cuda.atomic.add(y, 0, x[0])


BUGS = {
    _no_barrier: r"race: element \(\d+,\) of a shared array|of a shared array .*never written",
    _no_second_barrier: "race: element",
    _warp_barrier_for_two_warps: "race: element",
    _one_place_for_all: r"race: element \(0,\) of a global array of shape \(64,\) is written, and was written in line",
    _neighbour_of_another_block: "race: element",
    _overlapping_in_place: "race: element",
    _some_return: "14 of 64 threads never come to the barrier in line",
    _two_barriers: "different barriers",
    _exchange_of_some: "different barriers",
    _no_guard: r"index \(64,\) is outside of an array|index \(64,\) is outside of a global array",
    _negative: r"index \(-1,\) is outside",
    _shared_outside: r"index \(\d, 8\) is outside of a shared array of shape \(8, 8\)",
    _uninitialised_shared: r"element \(0,\) of a shared array of shape \(64,\) is read, and was never written",
    _uninitialised_local: "of a local array .*never written",
    _adds_to_nothing: "of a global array .*is read, and was never written",
    _too_much_shared: "a block has 49152 bytes of shared memory",
    _wrong_rank: "of 1 dimensions has an index of 2",
    _atomic_float: "no fixed order",
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bugs_are_found(bug, seed):
    shape = {_neighbour_of_another_block: (2, 32), _no_second_barrier: (1, 32)}.get(bug, (1, 64))
    y = ("empty", 64) if bug is _adds_to_nothing else np.zeros(64, np.float32)
    with pytest.raises(EmulationError, match=BUGS[bug]) as error:
        run(bug, *shape, np.arange(64, dtype=np.float32), y, seed=seed)
    assert bug.name in str(error.value)


def test_where_a_bug_is():
    with pytest.raises(EmulationError, match=r"_negative, block \(0, 0, 0\): thread \(0, .*, line \d+: index") as error:
        run(_negative, 1, 64, numbers(64), numbers(64))
    line = int(str(error.value).split("line ")[1].split(":")[0])
    assert "x[cuda.grid(1) - 1]" in Path(__file__).read_text().splitlines()[line - 1]


# ---- host and device


def test_the_host_cannot_reach_what_the_device_has():
    backend = Emulator()
    x = backend.to_device(numbers(2, 3))
    for touch in (lambda: x[0], lambda: np.asarray(x), lambda: list(x), lambda: bool(x)):
        with pytest.raises(EmulationError, match="the host"):
            touch()
    with using(backend), pytest.raises(EmulationError, match="array of the host"):
        launch(_negative, 1, 32, numbers(3), x)
    assert x.reshape(-1).shape == (6,) and x.reshape(3, -1).shape == (3, 2)


def test_arguments_are_arrays_and_whole_numbers():
    x = Emulator().to_device(numbers(2, 3))
    assert types_of((x, 3, True, (1, 2))) == (("float32", 2), "int64", "bool", ("int64", "int64"))
    with pytest.raises(CudaError, match=r"floats are arrays of one element.*Received: 0\.5"):
        types_of((0.5,))


def test_what_runs_where():
    with pytest.raises(CudaError, match="using"):
        launch(_negative, 1, 32, None, None)
    with pytest.raises(CudaError, match="launch"):
        _negative(1, 2)
    with pytest.raises(CudaError, match="bodies of kernels"):
        cuda.grid(1)
    launched = Emulator()
    with using(launched):
        launch(_negative, 0, 32, None, None)  # no block, nothing happens
    assert launched.launched == {}


def test_workspaces_views_and_copies():
    backend = Emulator()
    arena = backend.empty(32, np.uint8)
    x = backend.view(arena, 8, (2, 3), np.float32)
    with using(backend):
        space = workspace(6, np.float32)
        with pytest.raises(EmulationError, match="never written"):
            launch(_copy, *over(6), x.reshape(-1), space)
        backend.copy(x, numbers(2, 3))
        launch(_copy, *over(6), x.reshape(-1), space)
    np.testing.assert_array_equal(backend.to_host(space).reshape(2, 3), numbers(2, 3))
    backend.memset(arena, 0)
    assert not backend.to_host(x).any()


@kernel
def _copy(x, y):
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        y[i] = x[i]


# ---- instructions that Python has no name for

_twice = Intrinsic("twice_of_a_test", lambda: None)


@emulation("twice_of_a_test")
def _emulated_twice(x):
    return x + x


@function
def _helper(x):
    return _twice(x)


@kernel
def _use_intrinsic(x, y):
    y[cuda.grid(1)] = _helper(x[cuda.grid(1)])


def test_intrinsics_have_emulations():
    x = numbers(32)
    np.testing.assert_array_equal(run(_use_intrinsic, 1, 32, x, x.copy())[1], x + x)
