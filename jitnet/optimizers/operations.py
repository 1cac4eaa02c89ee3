"""Optimizers whose updates are no functions of single elements: written in operations, compiled into the step."""

import re

from .. import ops
from ..core import checks
from .base import Optimizer, _pattern

_BETA = {"least": 0, "below": 1}


def _length(x):
    """The norm of all elements."""
    return ops.sqrt(ops.sum(ops.square(x)))


def _root_mean_square(x):
    return ops.sqrt(ops.mean(ops.square(x)))


class Lamb(Optimizer):
    """Steps in Adam's direction, as long as each layer's weights are (You et al. 2020, algorithm 2).

    update = m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon); parameter -= learning_rate * |parameter| /
    |update| * update, where the factor of the norms is 1 if either is 0.
    """

    own_slots = ("m", "v")
    hyperparameter_names = ("learning_rate", "beta_1", "beta_2", "epsilon")
    bounds = {"beta_1": _BETA, "beta_2": _BETA}

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, *, name="lamb", **options):
        numbers = dict(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        super().__init__(name=name, **numbers, **options)

    def update(self, parameter, gradient, m, v, learning_rate, beta_1, beta_2, epsilon, step):
        m = m + (1 - beta_1) * (gradient - m)
        v = v + (1 - beta_2) * (ops.square(gradient) - v)
        change = (m / (1 - beta_1**step)) / (ops.sqrt(v / (1 - beta_2**step)) + epsilon)
        of_parameter, of_change = _length(parameter), _length(change)
        both = ops.sign(of_parameter) * ops.sign(of_change)
        ratio = both * of_parameter / (of_change + (1 - both)) + (1 - both)
        return parameter - learning_rate * ratio * change, m, v


class Muon(Optimizer):
    """Momentum whose matrices are made nearly orthogonal (Jordan et al. 2024), for kernels of two axes; Adam elsewhere.

    m = momentum * m + gradient, with ``nesterov`` looking ahead by momentum * m; ``ns_steps`` times x = a x + (b A +
    c A A) x with A = x x^T, from x of norm 1 (Newton-Schulz; a, b, c are muon_a, muon_b, muon_c); parameter -=
    learning_rate * rms_rate * sqrt(larger side) * x (Liu et al. 2025; rms_rate None: without this factor).

    exclude_layers: regular expressions; variables whose names have one are updated by Adam, too, and so are those with
        "embedding" in their names (exclude_embeddings).  Adam's learning rate is learning_rate * adam_lr_ratio; it has
        the hyperparameters adam_beta_1, adam_beta_2 and epsilon, and a decay of its own, adam_weight_decay or None.
    """

    own_slots = ("m", "v")
    hyperparameter_names = ("learning_rate", "adam_beta_1", "adam_beta_2", "epsilon", "momentum")
    bounds = {"adam_beta_1": _BETA, "adam_beta_2": _BETA, "momentum": {"least": 0, "most": 1}}

    def __init__(
        self, learning_rate=0.001, adam_beta_1=0.9, adam_beta_2=0.999, adam_weight_decay=0.004, epsilon=1e-7,
        weight_decay=0.004, *, name="muon", exclude_layers=None, exclude_embeddings=True, muon_a=3.4445, muon_b=-4.7750,
        muon_c=2.0315, adam_lr_ratio=1, momentum=0.95, ns_steps=5, nesterov=True, rms_rate=0.2, **options,
    ):  # fmt: skip
        self.exclude_layers = tuple(_pattern("Muon", "exclude_layers", name) for name in exclude_layers or ())
        self.exclude_embeddings = checks.boolean("Muon", "exclude_embeddings", exclude_embeddings)
        self.muon_a = checks.number("Muon", "muon_a", muon_a)
        self.muon_b = checks.number("Muon", "muon_b", muon_b)
        self.muon_c = checks.number("Muon", "muon_c", muon_c)
        self.adam_lr_ratio = checks.number("Muon", "adam_lr_ratio", adam_lr_ratio, least=0)
        self.ns_steps = checks.integer("Muon", "ns_steps", ns_steps, least=0, most=100)
        self.nesterov = checks.boolean("Muon", "nesterov", nesterov)
        self.rms_rate = None if rms_rate is None else checks.number("Muon", "rms_rate", rms_rate, least=0)
        if adam_weight_decay is not None:
            self.hyperparameter_names = (*self.hyperparameter_names, "adam_weight_decay")
            options["adam_weight_decay"] = adam_weight_decay
        super().__init__(
            name=name, learning_rate=learning_rate, adam_beta_1=adam_beta_1, adam_beta_2=adam_beta_2, epsilon=epsilon,
            momentum=momentum, weight_decay=weight_decay, **options,
        )  # fmt: skip

    def _takes_adam(self, variable) -> bool:
        excluded = self.exclude_embeddings and "embedding" in variable.name.lower()
        patterns = (re.search(pattern, variable.name) for pattern in self.exclude_layers)
        return len(variable.shape) != 2 or excluded or any(patterns)

    def decay_of(self, variable):
        decay = super().decay_of(variable)
        if not self._takes_adam(variable):
            return decay
        asked = "adam_weight_decay" in self.hyperparameter_names and not self._is_undecayed(variable)
        return "adam_weight_decay" if asked else None

    def update(
        self, parameter, gradient, m, v, learning_rate, adam_beta_1, adam_beta_2, epsilon, momentum, step
    ):
        if self._takes_adam(parameter):
            m = m + (1 - adam_beta_1) * (gradient - m)
            v = v + (1 - adam_beta_2) * (ops.square(gradient) - v)
            rate = self.adam_lr_ratio * learning_rate * ops.sqrt(1 - adam_beta_2**step) / (1 - adam_beta_1**step)
            return parameter - rate * m / (ops.sqrt(v) + epsilon), m, v
        m = momentum * m + gradient
        x = self._orthogonal(gradient + momentum * m if self.nesterov else m)
        factor = 1.0 if self.rms_rate is None else self.rms_rate * max(parameter.shape) ** 0.5
        return parameter - learning_rate * factor * x, m, v

    def _orthogonal(self, x):
        rows, columns = x.shape
        x = ops.transpose(x, (1, 0)) if rows > columns else x
        x = x / (_length(x) + 1e-7)
        for _ in range(self.ns_steps):
            square = ops.matmul(x, ops.transpose(x, (1, 0)))
            polynomial = self.muon_b * square + self.muon_c * ops.matmul(square, square)
            x = self.muon_a * x + ops.matmul(polynomial, x)
        return ops.transpose(x, (1, 0)) if rows > columns else x

    def get_config(self):
        kept = (
            "exclude_layers", "exclude_embeddings", "muon_a", "muon_b", "muon_c", "adam_lr_ratio", "ns_steps",
            "nesterov", "rms_rate",
        )  # fmt: skip
        config = super().get_config()
        config.setdefault("weight_decay", None)
        config.setdefault("adam_weight_decay", None)
        return {**config, **{name: getattr(self, name) for name in kept}, "exclude_layers": list(self.exclude_layers)}


class Adafactor(Optimizer):
    """Adam's second moments kept as means of rows and of columns (Shazeer and Stern 2018, algorithms 4 and 5).

    Of a kernel (..., rows, columns) the slots ``rows`` (..., rows) and ``columns`` (..., columns) hold moving averages
    of gradient^2 + epsilon_1, with beta_2 = 1 - t^beta_2_decay, and v = rows / mean(rows) * columns; of a vector,
    ``rows`` is v itself.  u = gradient / sqrt(v); parameter -= max(epsilon_2, rms(parameter)) * min(learning_rate,
    1 / sqrt(t)) * u / max(1, rms(u) / clip_threshold), where rms is the root of the mean square.

    relative_step: accepted as Keras has it; there the rate is limited by 1 / sqrt(t) either way.
    """

    own_slots = ("rows", "columns")
    hyperparameter_names = ("learning_rate", "beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold")
    bounds = {"beta_2_decay": {"most": 0}}

    def __init__(
        self, learning_rate=0.001, beta_2_decay=-0.8, epsilon_1=1e-30, epsilon_2=1e-3, clip_threshold=1.0,
        relative_step=True, *, name="adafactor", **options,
    ):  # fmt: skip
        self.relative_step = checks.boolean("Adafactor", "relative_step", relative_step)
        super().__init__(
            name=name, learning_rate=learning_rate, beta_2_decay=beta_2_decay, epsilon_1=epsilon_1,
            epsilon_2=epsilon_2, clip_threshold=clip_threshold, **options,
        )  # fmt: skip

    def slot_shape(self, slot, shape):
        if slot not in self.own_slots:
            return shape
        if len(shape) < 2:
            return shape if slot == "rows" else ()
        return shape[:-1] if slot == "rows" else (*shape[:-2], shape[-1])

    def update(
        self, parameter, gradient, rows, columns, learning_rate, beta_2_decay, epsilon_1, epsilon_2, clip_threshold,
        step,
    ):  # fmt: skip
        beta_2 = 1 - step**beta_2_decay
        squares = ops.square(gradient) + epsilon_1
        if len(parameter.shape) < 2:
            rows = beta_2 * rows + (1 - beta_2) * squares
            u = gradient / ops.sqrt(rows)
        else:
            rows = beta_2 * rows + (1 - beta_2) * ops.mean(squares, axis=-1)
            columns = beta_2 * columns + (1 - beta_2) * ops.mean(squares, axis=-2)
            share = rows / ops.mean(rows, axis=-1, keepdims=True)
            *outer, height, width = parameter.shape
            # two roots: the product is too small for a float where neither a row nor a column had a gradient
            u = gradient / ops.reshape(ops.sqrt(share), (*outer, height, 1))
            u = u / ops.reshape(ops.sqrt(columns), (*outer, 1, width))
        rate = ops.minimum(learning_rate, 1 / ops.sqrt(step))
        u = u / ops.maximum(_root_mean_square(u) / clip_threshold, 1.0)
        size = ops.maximum(_root_mean_square(parameter), epsilon_2)
        return parameter - size * rate * u, rows, columns

    def get_config(self):
        return {**super().get_config(), "relative_step": self.relative_step}


class Eve(Optimizer):
    """Adam whose rate is divided by how much the loss changes (Koushik and Hayashi 2016, algorithm 1).

    With f the loss of this step and s the smoothed loss, at first f: c is f / s within [k + 1, K + 1] where f >= s,
    else within [1 / (K + 1), 1 / (k + 1)]; r = |c s - s| / min(c s, s); s = c s; d = beta_3 * d + (1 - beta_3) * r, at
    first 1; parameter -= learning_rate / d * m_hat / (sqrt(v_hat) + epsilon).

    It needs the loss, which ``fit`` and ``apply(..., loss=loss)`` give it, and which must be above 0.

    lower, upper: k and K.
    """

    own_slots = ("m", "v", "smoothed_loss", "d")
    hyperparameter_names = ("learning_rate", "beta_1", "beta_2", "beta_3", "lower", "upper", "epsilon")
    bounds = {"beta_1": _BETA, "beta_2": _BETA, "beta_3": _BETA}

    def __init__(
        self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, beta_3=0.999, lower=0.1, upper=10.0, epsilon=1e-8, *,
        name="eve", **options,
    ):  # fmt: skip
        super().__init__(
            name=name, learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, beta_3=beta_3, lower=lower,
            upper=upper, epsilon=epsilon, **options,
        )  # fmt: skip

    def slot_shape(self, slot, shape):
        return () if slot in ("smoothed_loss", "d") else shape

    def first_value(self, slot):
        return 1.0 if slot in ("smoothed_loss", "d") else 0.0

    def update(
        self, parameter, gradient, m, v, smoothed_loss, d, learning_rate, beta_1, beta_2, beta_3, lower, upper,
        epsilon, step, loss,
    ):  # fmt: skip
        first = ops.maximum(2 - step, 0.0)  # 1 in the first step, then 0
        rises = 1 - ops.maximum(-ops.sign(loss - smoothed_loss), 0.0)
        least = rises * (lower + 1) + (1 - rises) / (upper + 1)
        most = rises * (upper + 1) + (1 - rises) / (lower + 1)
        smoothed = smoothed_loss * ops.minimum(ops.maximum(loss / smoothed_loss, least), most)
        change = ops.absolute(smoothed - smoothed_loss) / ops.minimum(smoothed, smoothed_loss)
        d = first + (1 - first) * (beta_3 * d + (1 - beta_3) * change)
        smoothed = first * loss + (1 - first) * smoothed
        m = m + (1 - beta_1) * (gradient - m)
        v = v + (1 - beta_2) * (ops.square(gradient) - v)
        rate = learning_rate / d / (1 - beta_1**step)
        new = parameter - rate * m / (ops.sqrt(v / (1 - beta_2**step)) + epsilon)
        return new, m, v, smoothed, d
