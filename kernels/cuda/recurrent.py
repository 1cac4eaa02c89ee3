"""Recurrent layers over whole sequences: one launch for each step, a thread for each unit of each sample."""

from ..scalar import real
from ..scalar.activations import sigmoid, tanh
from ._api import cuda, function, kernel, launch, over


@kernel
def _begin(first, before, last, t, steps, units):
    """The states at the beginning: those before step t, and the last ones so far."""
    for i in range(cuda.grid(1), last.size, cuda.gridsize(1)):
        before[(i // units * steps + t) * units + i % units] = first[i]
        last[i] = first[i]


@kernel
def _copy(source, target):
    for i in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        target[i] = source[i]


@function
def _product(h, first, matrix, column, columns, units):
    """A row of the states times a column of a matrix."""
    total = real(0)
    for k in range(units):
        total += h[first + k] * matrix[k * columns + column]
    return total


@function
def _transposed_product(dz, first, matrix, row, columns):
    total = real(0)
    for j in range(columns):
        total += dz[first + j] * matrix[row * columns + j]
    return total


def _steps(steps, backwards):
    """(step, the one that follows it or -1), in order."""
    order = list(range(steps))[::-1] if backwards else list(range(steps))
    return list(zip(order, [*order[1:], -1], strict=True))


@kernel
def _lstm_step(
    z, recurrent_kernel, mask, gates, before, cells, activated, y, h_last, c_last, t, following, steps, units, masked
):  # fmt: skip
    for i in range(cuda.grid(1), h_last.size, cuda.gridsize(1)):
        step, u = i // units * steps + t, i % units
        at, first, width = step * units + u, step * 4 * units + u, 4 * units
        h, c = before[at], c_last[i]
        cells[at] = c
        if masked and mask[step] == 0:
            for g in range(4):
                gates[first + g * units] = real(0)
            activated[at] = real(0)
        else:
            h_row = step * units
            now_i = sigmoid(z[first] + _product(before, h_row, recurrent_kernel, u, width, units))
            now_f = sigmoid(z[first + units] + _product(before, h_row, recurrent_kernel, units + u, width, units))
            now_g = tanh(z[first + 2 * units] + _product(before, h_row, recurrent_kernel, 2 * units + u, width, units))
            now_o = sigmoid(
                z[first + 3 * units] + _product(before, h_row, recurrent_kernel, 3 * units + u, width, units)
            )
            c = now_f * c + now_i * now_g
            shown = tanh(c)
            h = now_o * shown
            gates[first], gates[first + units] = now_i, now_f
            gates[first + 2 * units], gates[first + 3 * units] = now_g, now_o
            activated[at] = shown
        y[at], h_last[i], c_last[i] = h, h, c
        if following >= 0:
            before[(i // units * steps + following) * units + u] = h


def lstm_forward(
    z, recurrent_kernel, h_first, c_first, mask, gates, before, cells, activated, y, h_last, c_last, reverse, masked
):  # fmt: skip
    """c = f c + i g; h = o tanh(c), of the gates i, f, g, o of z + h @ recurrent_kernel: see ``kernels.cpu``."""
    steps, units = y.shape[1], y.shape[2]
    order = _steps(steps, reverse)
    flat = [array.reshape(-1) for array in (z, recurrent_kernel, mask, gates, before, cells, activated, y, h_last)]
    h_last, c_last = flat[-1], c_last.reshape(-1)
    grid = over(h_last.size)
    launch(_begin, *grid, h_first.reshape(-1), flat[4], h_last, order[0][0], steps, units)
    launch(_copy, *grid, c_first.reshape(-1), c_last)
    for t, following in order:
        launch(_lstm_step, *grid, *flat, c_last, t, following, steps, units, masked)


@kernel
def _lstm_step_back(
    dy, recurrent_kernel, gates, cells, activated, mask, dz, dh_first, dc_first, t, earlier, steps, units, masked,
    sequences,
):  # fmt: skip
    """earlier: the step whose gradients were computed before these, or -1."""
    one = real(1)
    for i in range(cuda.grid(1), dh_first.size, cuda.gridsize(1)):
        step, u = i // units * steps + t, i % units
        at, first, width = step * units + u, step * 4 * units + u, 4 * units
        dh, dc = dh_first[i], dc_first[i]
        if earlier >= 0:
            dh += _transposed_product(dz, (i // units * steps + earlier) * width, recurrent_kernel, u, width)
        if sequences:
            dh += dy[at]
        if masked and mask[step] == 0:
            for g in range(4):
                dz[first + g * units] = real(0)
            dh_first[i] = dh
        else:
            now_i, now_f = gates[first], gates[first + units]
            now_g, now_o = gates[first + 2 * units], gates[first + 3 * units]
            shown = activated[at]
            total = dc + dh * now_o * (one - shown * shown)
            dz[first] = total * now_g * now_i * (one - now_i)
            dz[first + units] = total * cells[at] * now_f * (one - now_f)
            dz[first + 2 * units] = total * now_i * (one - now_g * now_g)
            dz[first + 3 * units] = dh * shown * now_o * (one - now_o)
            dh_first[i] = real(0)
            dc_first[i] = total * now_f


@kernel
def _add_transposed_products(dz, recurrent_kernel, dh_first, t, steps, units, columns):
    """What the gradients of the first step's products give that of the first state."""
    for i in range(cuda.grid(1), dh_first.size, cuda.gridsize(1)):
        first = (i // units * steps + t) * columns
        dh_first[i] += _transposed_product(dz, first, recurrent_kernel, i % units, columns)


def lstm_backward(
    dy, dh_last, dc_last, recurrent_kernel, gates, cells, activated, mask, dz, dh_first, dc_first, reverse, masked,
    sequences,
):  # fmt: skip
    """The gradients of z and of the first states.  dz: (n, steps, 4 units), may be the memory of the gates."""
    steps, units = cells.shape[1], cells.shape[2]
    flat = [a.reshape(-1) for a in (dy, recurrent_kernel, gates, cells, activated, mask, dz, dh_first, dc_first)]
    grid = over(dh_first.size)
    launch(_copy, *grid, dh_last.reshape(-1), flat[-2])
    launch(_copy, *grid, dc_last.reshape(-1), flat[-1])
    earlier = -1
    for t, _ in _steps(steps, not reverse):
        launch(_lstm_step_back, *grid, *flat, t, earlier, steps, units, masked, sequences)
        earlier = t
    launch(_add_transposed_products, *grid, flat[6], flat[1], flat[7], earlier, steps, units, 4 * units)


@kernel
def _gru_step(
    z, recurrent_kernel, recurrent_bias, mask, gates, before, candidates, y, h_last, t, following, steps, units, masked
):  # fmt: skip
    for i in range(cuda.grid(1), h_last.size, cuda.gridsize(1)):
        step, j = i // units * steps + t, i % units
        at, first, width = step * units + j, step * 3 * units + j, 3 * units
        h = before[at]
        if masked and mask[step] == 0:
            for g in range(3):
                gates[first + g * units] = real(0)
            candidates[at] = real(0)
        else:
            h_row = step * units
            of_u = recurrent_bias[j] + _product(before, h_row, recurrent_kernel, j, width, units)
            of_r = recurrent_bias[units + j] + _product(before, h_row, recurrent_kernel, units + j, width, units)
            candidate = recurrent_bias[2 * units + j]
            candidate += _product(before, h_row, recurrent_kernel, 2 * units + j, width, units)
            u = sigmoid(z[first] + of_u)
            r = sigmoid(z[first + units] + of_r)
            new = tanh(z[first + 2 * units] + r * candidate)
            h = u * h + (real(1) - u) * new
            gates[first], gates[first + units], gates[first + 2 * units] = u, r, new
            candidates[at] = candidate
        y[at], h_last[i] = h, h
        if following >= 0:
            before[(i // units * steps + following) * units + j] = h


def gru_forward(
    z, recurrent_kernel, recurrent_bias, h_first, mask, gates, before, candidates, y, h_last, reverse, masked
):  # fmt: skip
    """h = u h + (1 - u) tanh(z_n + r k_n), u and r = sigmoid(z + k), of k = h @ recurrent_kernel + recurrent_bias."""
    steps, units = y.shape[1], y.shape[2]
    order = _steps(steps, reverse)
    arrays = z, recurrent_kernel, recurrent_bias, mask, gates, before, candidates, y, h_last
    flat = [array.reshape(-1) for array in arrays]
    grid = over(h_last.size)
    launch(_begin, *grid, h_first.reshape(-1), flat[5], flat[-1], order[0][0], steps, units)
    for t, following in order:
        launch(_gru_step, *grid, *flat, t, following, steps, units, masked)


@kernel
def _gru_step_back(
    dy, recurrent_kernel, gates, before, candidates, mask, dz, dk, dh_first, t, earlier, steps, units, masked, sequences
):  # fmt: skip
    one = real(1)
    for i in range(cuda.grid(1), dh_first.size, cuda.gridsize(1)):
        step, j = i // units * steps + t, i % units
        at, first, width = step * units + j, step * 3 * units + j, 3 * units
        dh = dh_first[i]
        if earlier >= 0:
            dh += _transposed_product(dk, (i // units * steps + earlier) * width, recurrent_kernel, j, width)
        if sequences:
            dh += dy[at]
        if masked and mask[step] == 0:
            for g in range(3):
                dz[first + g * units] = real(0)
                dk[first + g * units] = real(0)
            dh_first[i] = dh
        else:
            u, r, new = gates[first], gates[first + units], gates[first + 2 * units]
            d_new = dh * (one - u) * (one - new * new)
            du = dh * (before[at] - new) * u * (one - u)
            dr = d_new * candidates[at] * r * (one - r)
            dz[first], dz[first + units], dz[first + 2 * units] = du, dr, d_new
            dk[first], dk[first + units], dk[first + 2 * units] = du, dr, d_new * r
            dh_first[i] = dh * u


def gru_backward(
    dy, dh_last, recurrent_kernel, gates, before, candidates, mask, dz, dk, dh_first, reverse, masked, sequences
):  # fmt: skip
    """The gradients of z, of k and of the first state.  dz, dk: (n, steps, 3 units), dz may be the memory of gates."""
    steps, units = before.shape[1], before.shape[2]
    flat = [a.reshape(-1) for a in (dy, recurrent_kernel, gates, before, candidates, mask, dz, dk, dh_first)]
    grid = over(dh_first.size)
    launch(_copy, *grid, dh_last.reshape(-1), flat[-1])
    earlier = -1
    for t, _ in _steps(steps, not reverse):
        launch(_gru_step_back, *grid, *flat, t, earlier, steps, units, masked, sequences)
        earlier = t
    launch(_add_transposed_products, *grid, flat[7], flat[1], flat[8], earlier, steps, units, 3 * units)


@kernel
def _reset_first_gates(z, recurrent_kernel, mask, gates, before, reset, h_last, t, steps, units, masked):
    for i in range(cuda.grid(1), h_last.size, cuda.gridsize(1)):
        step, j = i // units * steps + t, i % units
        at, first, h_row = step * units + j, step * 2 * units + j, step * units
        u, r, left = real(0), real(0), real(0)
        if not (masked and mask[step] == 0):
            u = sigmoid(z[first] + _product(before, h_row, recurrent_kernel, j, 2 * units, units))
            r = sigmoid(z[first + units] + _product(before, h_row, recurrent_kernel, units + j, 2 * units, units))
            left = r * before[at]
        gates[first], gates[first + units], reset[at] = u, r, left


@kernel
def _reset_first_candidate(
    z_candidate, candidate_kernel, mask, gates, candidate, before, reset, y, h_last, t, following, steps, units, masked
):  # fmt: skip
    for i in range(cuda.grid(1), h_last.size, cuda.gridsize(1)):
        step, j = i // units * steps + t, i % units
        at, u = step * units + j, gates[step * 2 * units + j]
        h, new = before[at], real(0)
        if not (masked and mask[step] == 0):
            new = tanh(z_candidate[at] + _product(reset, step * units, candidate_kernel, j, units, units))
            h = u * h + (real(1) - u) * new
        candidate[at], y[at], h_last[i] = new, h, h
        if following >= 0:
            before[(i // units * steps + following) * units + j] = h


def gru_reset_first_forward(
    z, z_candidate, recurrent_kernel, candidate_kernel, h_first, mask, gates, candidate, before, reset, y, h_last,
    reverse, masked,
):  # fmt: skip
    """h = u h + (1 - u) tanh(z_candidate + (r h) @ candidate_kernel), u and r = sigmoid(z + h @ recurrent_kernel)."""
    steps, units = y.shape[1], y.shape[2]
    order = _steps(steps, reverse)
    before, reset, h_last, mask, gates = (a.reshape(-1) for a in (before, reset, h_last, mask, gates))
    of_gates = z.reshape(-1), recurrent_kernel.reshape(-1), mask, gates, before, reset, h_last
    others = z_candidate.reshape(-1), candidate_kernel.reshape(-1), mask, gates, candidate.reshape(-1)
    grid = over(h_last.size)
    launch(_begin, *grid, h_first.reshape(-1), before, h_last, order[0][0], steps, units)
    for t, following in order:
        launch(_reset_first_gates, *grid, *of_gates, t, steps, units, masked)
        launch(
            _reset_first_candidate, *grid, *others, before, reset, y.reshape(-1), h_last, t, following, steps, units,
            masked,
        )  # fmt: skip


@kernel
def _reset_first_candidate_back(
    dy, recurrent_kernel, gates, candidate, before, mask, dz, dz_candidate, dh_first, t, earlier, steps, units, masked,
    sequences,
):  # fmt: skip
    one = real(1)
    for i in range(cuda.grid(1), dh_first.size, cuda.gridsize(1)):
        step, j = i // units * steps + t, i % units
        at, first, width = step * units + j, step * 2 * units + j, 2 * units
        dh = dh_first[i]
        if earlier >= 0:
            dh += _transposed_product(dz, (i // units * steps + earlier) * width, recurrent_kernel, j, width)
        if sequences:
            dh += dy[at]
        if masked and mask[step] == 0:
            dz[first], dz_candidate[at], dh_first[i] = real(0), real(0), dh
        else:
            u, new = gates[first], candidate[at]
            dz[first] = dh * (before[at] - new) * u * (one - u)
            dz_candidate[at] = dh * (one - u) * (one - new * new)
            dh_first[i] = dh * u


@kernel
def _reset_first_gates_back(
    candidate_kernel, gates, before, mask, dz, dz_candidate, dh_first, t, steps, units, masked
):  # fmt: skip
    for i in range(cuda.grid(1), dh_first.size, cuda.gridsize(1)):
        step, j = i // units * steps + t, i % units
        place = step * 2 * units + units + j
        if masked and mask[step] == 0:
            dz[place] = real(0)
        else:
            r = gates[place]
            d_reset = _transposed_product(dz_candidate, step * units, candidate_kernel, j, units)
            dz[place] = d_reset * before[step * units + j] * r * (real(1) - r)
            dh_first[i] += d_reset * r


def gru_reset_first_backward(
    dy, dh_last, recurrent_kernel, candidate_kernel, gates, candidate, before, mask, dz, dz_candidate, dh_first,
    reverse, masked, sequences,
):  # fmt: skip
    """The gradients of z, of z_candidate and of the first state: they may be the memory of gates and of candidate."""
    steps, units = before.shape[1], before.shape[2]
    gates, before, mask, dz, d_new, dh = (a.reshape(-1) for a in (gates, before, mask, dz, dz_candidate, dh_first))
    recurrent_kernel, candidate_kernel = recurrent_kernel.reshape(-1), candidate_kernel.reshape(-1)
    first = dy.reshape(-1), recurrent_kernel, gates, candidate.reshape(-1), before, mask, dz, d_new, dh
    second = candidate_kernel, gates, before, mask, dz, d_new, dh
    grid = over(dh.size)
    launch(_copy, *grid, dh_last.reshape(-1), dh)
    earlier = -1
    for t, _ in _steps(steps, not reverse):
        launch(_reset_first_candidate_back, *grid, *first, t, earlier, steps, units, masked, sequences)
        launch(_reset_first_gates_back, *grid, *second, t, steps, units, masked)
        earlier = t
    launch(_add_transposed_products, *grid, dz, recurrent_kernel, dh, earlier, steps, units, 2 * units)


@kernel
def _simple_rnn_step(
    z, recurrent_kernel, mask, gates, before, y, h_last, t, following, steps, units, masked, relu
):  # fmt: skip
    for i in range(cuda.grid(1), h_last.size, cuda.gridsize(1)):
        step, u = i // units * steps + t, i % units
        at = step * units + u
        h, now = before[at], real(0)
        if not (masked and mask[step] == 0):
            now = z[at] + _product(before, step * units, recurrent_kernel, u, units, units)
            if not relu:
                now = tanh(now)
            elif now < real(0):
                now = real(0)
            h = now
        gates[at], y[at], h_last[i] = now, h, h
        if following >= 0:
            before[(i // units * steps + following) * units + u] = h


def simple_rnn_forward(z, recurrent_kernel, h_first, mask, gates, before, y, h_last, reverse, masked, relu):
    """h = tanh(z + h @ recurrent_kernel), or relu of it.  gates: (n, steps, units), may be z's memory"""
    steps, units = y.shape[1], y.shape[2]
    order = _steps(steps, reverse)
    flat = [array.reshape(-1) for array in (z, recurrent_kernel, mask, gates, before, y, h_last)]
    grid = over(h_last.size)
    launch(_begin, *grid, h_first.reshape(-1), flat[4], flat[-1], order[0][0], steps, units)
    for t, following in order:
        launch(_simple_rnn_step, *grid, *flat, t, following, steps, units, masked, relu)


@kernel
def _simple_rnn_step_back(
    dy, recurrent_kernel, gates, mask, dz, dh_first, t, earlier, steps, units, masked, sequences, relu
):  # fmt: skip
    for i in range(cuda.grid(1), dh_first.size, cuda.gridsize(1)):
        step, u = i // units * steps + t, i % units
        at = step * units + u
        dh = dh_first[i]
        if earlier >= 0:
            dh += _transposed_product(dz, (i // units * steps + earlier) * units, recurrent_kernel, u, units)
        if sequences:
            dh += dy[at]
        if masked and mask[step] == 0:
            dz[at], dh_first[i] = real(0), dh
        else:
            value = gates[at]
            slope = real(1) - value * value
            if relu:
                slope = real(1) if value > real(0) else real(0)
            dz[at], dh_first[i] = dh * slope, real(0)


def simple_rnn_backward(
    dy, dh_last, recurrent_kernel, gates, mask, dz, dh_first, reverse, masked, sequences, relu
):  # fmt: skip
    """The gradients of z and of the first state.  dz: (n, steps, units), may be the memory of the gates."""
    steps, units = gates.shape[1], gates.shape[2]
    flat = [a.reshape(-1) for a in (dy, recurrent_kernel, gates, mask, dz, dh_first)]
    grid = over(dh_first.size)
    launch(_copy, *grid, dh_last.reshape(-1), flat[-1])
    earlier = -1
    for t, _ in _steps(steps, not reverse):
        launch(_simple_rnn_step_back, *grid, *flat, t, earlier, steps, units, masked, sequences, relu)
        earlier = t
    launch(_add_transposed_products, *grid, flat[4], flat[1], flat[5], earlier, steps, units, units)
