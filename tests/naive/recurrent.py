"""Recurrent layers, step after step, in float64: what their kernels write, by name."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def steps_of(count, backwards):
    return reversed(range(count)) if backwards else range(count)


def forward(cell, z, kernel, bias, h, c, mask, reverse, z_candidate=None, candidate_kernel=None):
    """cell: lstm, gru, gru_reset_first, simple_rnn or simple_rnn_relu; mask: (n, steps) of booleans."""
    n, steps, width = z.shape
    units = kernel.shape[0]
    made = {name: np.zeros((n, steps, units)) for name in ("before", "y", "cells", "activated", "candidates")}
    made |= {name: np.zeros((n, steps, units)) for name in ("candidate", "reset")}
    made["gates"] = np.zeros((n, steps, width))
    for t in steps_of(steps, reverse):
        here = mask[:, t, None]
        made["before"][:, t], made["cells"][:, t] = h, c
        product = h @ kernel
        if cell == "lstm":
            i, f, g, o = np.split(z[:, t] + product, 4, axis=-1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            new_c = f * c + i * g
            new_h, gates = o * np.tanh(new_c), (i, f, g, o)
            c = np.where(here, new_c, c)
            made["activated"][:, t] = np.where(here, np.tanh(new_c), 0)
        elif cell == "gru":
            k = np.split(product + bias, 3, axis=-1)
            x = np.split(z[:, t], 3, axis=-1)
            u, r = sigmoid(x[0] + k[0]), sigmoid(x[1] + k[1])
            new = np.tanh(x[2] + r * k[2])
            new_h, gates = u * h + (1 - u) * new, (u, r, new)
            made["candidates"][:, t] = np.where(here, k[2], 0)
        elif cell == "gru_reset_first":
            u, r = gates = np.split(sigmoid(z[:, t] + product), 2, axis=-1)
            new = np.tanh(z_candidate[:, t] + (r * h) @ candidate_kernel)
            new_h = u * h + (1 - u) * new
            made["candidate"][:, t], made["reset"][:, t] = np.where(here, new, 0), np.where(here, r * h, 0)
        else:
            new_h = z[:, t] + product
            new_h = np.maximum(new_h, 0) if cell == "simple_rnn_relu" else np.tanh(new_h)
            gates = (new_h,)
        made["gates"][:, t] = np.where(here, np.concatenate(gates, axis=-1), 0)
        h = np.where(here, new_h, h)
        made["y"][:, t] = h
    return made | {"h_last": h, "c_last": c}


def backward(cell, made, kernel, dy, dh, dc, mask, reverse, candidate_kernel=None):
    """made: by ``forward``."""
    n, steps, units = dy.shape
    dz, dk = (np.zeros((n, steps, kernel.shape[1])) for _ in range(2))
    dz_candidate = np.zeros((n, steps, units))
    for t in steps_of(steps, not reverse):
        here, dh = mask[:, t, None], dh + dy[:, t]
        gates = np.split(made["gates"][:, t], kernel.shape[1] // units, axis=-1)
        if cell == "lstm":
            i, f, g, o = gates
            shown = made["activated"][:, t]
            total = dc + dh * o * (1 - shown**2)
            parts = total * g * i * (1 - i), total * made["cells"][:, t] * f * (1 - f), total * i * (1 - g**2)
            of_z = of_k = np.concatenate([*parts, dh * shown * o * (1 - o)], axis=-1)
            dc, direct = np.where(here, total * f, dc), 0.0
        elif cell == "gru":
            u, r, new = gates
            d_new = dh * (1 - u) * (1 - new**2)
            du, dr = dh * (made["before"][:, t] - new) * u * (1 - u), d_new * made["candidates"][:, t] * r * (1 - r)
            of_z, of_k = (np.concatenate([du, dr, last], axis=-1) for last in (d_new, d_new * r))
            direct = dh * u
        elif cell == "gru_reset_first":
            (u, r), new, h = gates, made["candidate"][:, t], made["before"][:, t]
            d_new = dh * (1 - u) * (1 - new**2)
            d_reset = d_new @ candidate_kernel.T
            of_z = of_k = np.concatenate([dh * (h - new) * u * (1 - u), d_reset * h * r * (1 - r)], axis=-1)
            dz_candidate[:, t] = np.where(here, d_new, 0)
            direct = dh * u + d_reset * r
        else:
            of_z = of_k = dh * ((gates[0] > 0) if cell == "simple_rnn_relu" else 1 - gates[0] ** 2)
            direct = 0.0
        dz[:, t], dk[:, t] = np.where(here, of_z, 0), np.where(here, of_k, 0)
        dh = np.where(here, direct + of_k @ kernel.T, dh)
    return {"dz": dz, "dk": dk, "dz_candidate": dz_candidate, "dh_first": dh, "dc_first": dc}
