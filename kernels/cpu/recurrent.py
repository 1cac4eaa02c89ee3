"""Recurrent layers over whole sequences: LSTM, GRU and SimpleRNN with the activations that cuDNN gives them.

z is (n, steps, gates x units): what the inputs of all steps give, bias included, with the units of one gate side by
side; recurrent_kernel is (units, gates x units).  A step that the mask (n, steps) has 0 for keeps the states; unless
``masked``, the mask is not read.  With ``reverse``, the last step comes first.

For the backward pass a forward one keeps what every step began with: ``before``, the state h, and ``cells``, LSTM's c;
and its gates after their activations.  Where a step is masked, gates are 0.  y and dy are (n, steps, units), states and
their gradients (n, units); unless ``sequences``, dy is not read.  The gradients of the weights are products of what is
kept and of the gradients of z, over all steps at once.
"""

from ..scalar import activations
from .runtime.jit import kernel, kernel_attributes, scalar
from .runtime.vector_math import scalar_functions

_functions = scalar_functions(activations)
sigmoid, tanh = _functions["sigmoid"], _functions["tanh"]


@scalar
def _add_product(h, matrix, first, out):
    """out += h @ the columns of a matrix from ``first`` on"""
    for k in range(h.size):
        row = matrix[k, first : first + out.size]
        factor = h[k]
        for j in range(out.size):
            out[j] += factor * row[j]


@scalar
def _add_transposed_product(dz, matrix, out):
    """out += matrix @ dz"""
    for k in range(out.size):
        row = matrix[k]
        total = dz.dtype.type(0)
        for j in range(dz.size):
            total += row[j] * dz[j]
        out[k] += total


@kernel
def lstm_forward(
    z, recurrent_kernel, h_first, c_first, mask, gates, before, cells, activated, y, h_last, c_last, reverse, masked
):  # fmt: skip
    """c = f c + i g; h = o tanh(c), of the gates i, f, g, o of z + h @ recurrent_kernel.

    gates: (n, steps, 4 units), may be z's memory; activated: (n, steps, units): tanh(c).
    """
    kernel_attributes()
    steps, units = y.shape[1], y.shape[2]
    for n in range(y.shape[0]):
        h = h_last[n]
        c = c_last[n]
        for u in range(units):
            h[u] = h_first[n, u]
            c[u] = c_first[n, u]
        for turn in range(steps):
            t = steps - 1 - turn if reverse else turn
            now = gates[n, t]
            for u in range(units):
                before[n, t, u] = h[u]
                cells[n, t, u] = c[u]
            if masked and mask[n, t] == 0:
                now[:] = 0
                for u in range(units):
                    activated[n, t, u] = 0
                    y[n, t, u] = h[u]
                continue
            for j in range(4 * units):
                now[j] = z[n, t, j]
            _add_product(h, recurrent_kernel, 0, now)
            for u in range(units):
                i = sigmoid(now[u])
                f = sigmoid(now[units + u])
                g = tanh(now[2 * units + u])
                o = sigmoid(now[3 * units + u])
                c[u] = f * c[u] + i * g
                shown = tanh(c[u])
                h[u] = o * shown
                now[u] = i
                now[units + u] = f
                now[2 * units + u] = g
                now[3 * units + u] = o
                activated[n, t, u] = shown
                y[n, t, u] = h[u]


@kernel
def lstm_backward(
    dy, dh_last, dc_last, recurrent_kernel, gates, cells, activated, mask, dz, dh_first, dc_first, reverse, masked,
    sequences,
):  # fmt: skip
    """The gradients of z and of the first states.  dz: (n, steps, 4 units), may be the memory of the gates."""
    kernel_attributes()
    steps, units = cells.shape[1], cells.shape[2]
    one = gates.dtype.type(1)
    for n in range(cells.shape[0]):
        dh = dh_first[n]
        dc = dc_first[n]
        for u in range(units):
            dh[u] = dh_last[n, u]
            dc[u] = dc_last[n, u]
        for turn in range(steps):
            t = turn if reverse else steps - 1 - turn
            if sequences:
                for u in range(units):
                    dh[u] += dy[n, t, u]
            now = dz[n, t]
            if masked and mask[n, t] == 0:
                now[:] = 0
                continue
            for u in range(units):
                i = gates[n, t, u]
                f = gates[n, t, units + u]
                g = gates[n, t, 2 * units + u]
                o = gates[n, t, 3 * units + u]
                shown = activated[n, t, u]
                total = dc[u] + dh[u] * o * (one - shown * shown)
                now[u] = total * g * i * (one - i)
                now[units + u] = total * cells[n, t, u] * f * (one - f)
                now[2 * units + u] = total * i * (one - g * g)
                now[3 * units + u] = dh[u] * shown * o * (one - o)
                dc[u] = total * f
                dh[u] = 0
            _add_transposed_product(now, recurrent_kernel, dh)


@kernel
def gru_forward(
    z, recurrent_kernel, recurrent_bias, h_first, mask, gates, before, candidates, y, h_last, reverse, masked
):  # fmt: skip
    """h = u h + (1 - u) tanh(z_n + r k_n), u and r = sigmoid(z + k), of k = h @ recurrent_kernel + recurrent_bias.

    gates: (n, steps, 3 units): u, r and the tanh, may be z's memory; candidates: (n, steps, units): k_n.
    """
    kernel_attributes()
    steps, units = y.shape[1], y.shape[2]
    one = z.dtype.type(1)
    for n in range(y.shape[0]):
        h = h_last[n]
        for j in range(units):
            h[j] = h_first[n, j]
        for turn in range(steps):
            t = steps - 1 - turn if reverse else turn
            now = gates[n, t]
            candidate = candidates[n, t]
            for j in range(units):
                before[n, t, j] = h[j]
            if masked and mask[n, t] == 0:
                now[:] = 0
                candidate[:] = 0
                for j in range(units):
                    y[n, t, j] = h[j]
                continue
            for j in range(2 * units):
                now[j] = z[n, t, j] + recurrent_bias[j]
            for j in range(units):
                now[2 * units + j] = z[n, t, 2 * units + j]
                candidate[j] = recurrent_bias[2 * units + j]
            _add_product(h, recurrent_kernel, 0, now[: 2 * units])
            _add_product(h, recurrent_kernel, 2 * units, candidate)
            for j in range(units):
                u = sigmoid(now[j])
                r = sigmoid(now[units + j])
                new = tanh(now[2 * units + j] + r * candidate[j])
                h[j] = u * h[j] + (one - u) * new
                now[j] = u
                now[units + j] = r
                now[2 * units + j] = new
                y[n, t, j] = h[j]


@kernel
def gru_backward(
    dy, dh_last, recurrent_kernel, gates, before, candidates, mask, dz, dk, dh_first, reverse, masked, sequences
):  # fmt: skip
    """The gradients of z, of k and of the first state.  dz, dk: (n, steps, 3 units), dz may be the memory of gates."""
    kernel_attributes()
    steps, units = before.shape[1], before.shape[2]
    one = gates.dtype.type(1)
    for n in range(before.shape[0]):
        dh = dh_first[n]
        for j in range(units):
            dh[j] = dh_last[n, j]
        for turn in range(steps):
            t = turn if reverse else steps - 1 - turn
            if sequences:
                for j in range(units):
                    dh[j] += dy[n, t, j]
            now = dk[n, t]
            if masked and mask[n, t] == 0:
                now[:] = 0
                for j in range(3 * units):
                    dz[n, t, j] = 0
                continue
            for j in range(units):
                u = gates[n, t, j]
                r = gates[n, t, units + j]
                new = gates[n, t, 2 * units + j]
                d_new = dh[j] * (one - u) * (one - new * new)
                du = dh[j] * (before[n, t, j] - new) * u * (one - u)
                dr = d_new * candidates[n, t, j] * r * (one - r)
                dz[n, t, j] = du
                dz[n, t, units + j] = dr
                dz[n, t, 2 * units + j] = d_new
                now[j] = du
                now[units + j] = dr
                now[2 * units + j] = d_new * r
                dh[j] *= u
            _add_transposed_product(now, recurrent_kernel, dh)


@kernel
def gru_reset_first_forward(
    z, z_candidate, recurrent_kernel, candidate_kernel, h_first, mask, gates, candidate, before, reset, y, h_last,
    reverse, masked,
):  # fmt: skip
    """h = u h + (1 - u) tanh(z_candidate + (r h) @ candidate_kernel), u and r = sigmoid(z + h @ recurrent_kernel).

    recurrent_kernel: (units, 2 units); candidate_kernel: (units, units); gates: (n, steps, 2 units): u and r, may be
    z's memory; candidate: (n, steps, units): the tanh, may be z_candidate's; reset: (n, steps, units): r h.
    """
    kernel_attributes()
    steps, units = y.shape[1], y.shape[2]
    one = z.dtype.type(1)
    for n in range(y.shape[0]):
        h = h_last[n]
        for j in range(units):
            h[j] = h_first[n, j]
        for turn in range(steps):
            t = steps - 1 - turn if reverse else turn
            now = gates[n, t]
            new = candidate[n, t]
            left = reset[n, t]
            for j in range(units):
                before[n, t, j] = h[j]
            if masked and mask[n, t] == 0:
                now[:] = 0
                new[:] = 0
                left[:] = 0
                for j in range(units):
                    y[n, t, j] = h[j]
                continue
            for j in range(2 * units):
                now[j] = z[n, t, j]
            _add_product(h, recurrent_kernel, 0, now)
            for j in range(units):
                now[j] = sigmoid(now[j])
                now[units + j] = sigmoid(now[units + j])
                left[j] = now[units + j] * h[j]
                new[j] = z_candidate[n, t, j]
            _add_product(left, candidate_kernel, 0, new)
            for j in range(units):
                u = now[j]
                new[j] = tanh(new[j])
                h[j] = u * h[j] + (one - u) * new[j]
                y[n, t, j] = h[j]


@kernel
def gru_reset_first_backward(
    dy, dh_last, recurrent_kernel, candidate_kernel, gates, candidate, before, mask, dz, dz_candidate, dh_first,
    reverse, masked, sequences,
):  # fmt: skip
    """The gradients of z, of z_candidate and of the first state: they may be the memory of gates and of candidate."""
    kernel_attributes()
    steps, units = before.shape[1], before.shape[2]
    one = gates.dtype.type(1)
    for n in range(before.shape[0]):
        dh = dh_first[n]
        for j in range(units):
            dh[j] = dh_last[n, j]
        for turn in range(steps):
            t = turn if reverse else steps - 1 - turn
            if sequences:
                for j in range(units):
                    dh[j] += dy[n, t, j]
            now = dz[n, t]
            d_new = dz_candidate[n, t]
            if masked and mask[n, t] == 0:
                now[:] = 0
                d_new[:] = 0
                continue
            for j in range(units):
                u = gates[n, t, j]
                r = gates[n, t, units + j]
                new = candidate[n, t, j]
                d_new[j] = dh[j] * (one - u) * (one - new * new)
                now[j] = dh[j] * (before[n, t, j] - new) * u * (one - u)
                now[units + j] = r
                dh[j] *= u
            for j in range(units):
                d_reset = d_new.dtype.type(0)
                for k in range(units):
                    d_reset += candidate_kernel[j, k] * d_new[k]
                r = now[units + j]
                now[units + j] = d_reset * before[n, t, j] * r * (one - r)
                dh[j] += d_reset * r
            _add_transposed_product(now, recurrent_kernel, dh)


@kernel
def simple_rnn_forward(z, recurrent_kernel, h_first, mask, gates, before, y, h_last, reverse, masked, relu):
    """h = tanh(z + h @ recurrent_kernel), or relu of it.  gates: (n, steps, units), may be z's memory"""
    kernel_attributes()
    steps, units = y.shape[1], y.shape[2]
    zero = z.dtype.type(0)
    for n in range(y.shape[0]):
        h = h_last[n]
        for u in range(units):
            h[u] = h_first[n, u]
        for turn in range(steps):
            t = steps - 1 - turn if reverse else turn
            now = gates[n, t]
            for u in range(units):
                before[n, t, u] = h[u]
            if masked and mask[n, t] == 0:
                now[:] = 0
                for u in range(units):
                    y[n, t, u] = h[u]
                continue
            for u in range(units):
                now[u] = z[n, t, u]
            _add_product(h, recurrent_kernel, 0, now)
            for u in range(units):
                if relu:
                    h[u] = zero if now[u] < zero else now[u]
                else:
                    h[u] = tanh(now[u])
                now[u] = h[u]
                y[n, t, u] = h[u]


@kernel
def simple_rnn_backward(
    dy, dh_last, recurrent_kernel, gates, mask, dz, dh_first, reverse, masked, sequences, relu
):  # fmt: skip
    """The gradients of z and of the first state.  dz: (n, steps, units), may be the memory of the gates."""
    kernel_attributes()
    steps, units = gates.shape[1], gates.shape[2]
    zero, one = gates.dtype.type(0), gates.dtype.type(1)
    for n in range(gates.shape[0]):
        dh = dh_first[n]
        for u in range(units):
            dh[u] = dh_last[n, u]
        for turn in range(steps):
            t = turn if reverse else steps - 1 - turn
            if sequences:
                for u in range(units):
                    dh[u] += dy[n, t, u]
            now = dz[n, t]
            if masked and mask[n, t] == 0:
                now[:] = 0
                continue
            for u in range(units):
                value = gates[n, t, u]
                if relu:
                    now[u] = dh[u] if value > zero else zero
                else:
                    now[u] = dh[u] * (one - value * value)
                dh[u] = 0
            _add_transposed_product(now, recurrent_kernel, dh)
