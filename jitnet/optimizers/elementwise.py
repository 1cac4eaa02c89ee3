"""Optimizers whose updates are functions of single elements: over all parameters in one pass.

The functions are in ``kernels/scalar/optimizers.py``; names, arguments, defaults and formulas are Keras 3's.
"""

from .._settings import Adjustable, described
from ..core import checks
from ..core.settings import Setting
from .base import Optimizer, WithMomentum

_BELOW_ONE = {"least": 0, "below": 1}


class SGD(WithMomentum):
    """Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov momentum (Sutskever et al. 2013).

    velocity = momentum * velocity - learning_rate * gradient; parameter += velocity.  With ``nesterov``:
    parameter += momentum * velocity - learning_rate * gradient.

    learning_rate, momentum: numbers or schedules; options: see ``Optimizer``.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, *, name="SGD", **options):
        self.nesterov = nesterov
        super().__init__(name=name, learning_rate=learning_rate, momentum=momentum, **options)

    hyperparameter_names = ("learning_rate", "momentum")
    nesterov = Adjustable(checks.boolean)

    def scalar_sources(self):
        return super().scalar_sources() | ({} if self._plain else {"nesterov": Setting(self, "nesterov")})

    @property
    def function(self):
        return "sgd" if self._plain else "sgd_momentum"

    @property
    def own_slots(self):
        return () if self._plain else ("velocity",)

    def get_config(self):
        return {**super().get_config(), "nesterov": described(self.nesterov)}


class RMSprop(WithMomentum):
    """Gradients divided by the root of their recent mean square (Tieleman and Hinton 2012, lecture 6.5).

    v = rho * v + (1 - rho) * gradient^2; step = learning_rate * gradient / sqrt(v + epsilon), which ``momentum`` adds
    up: velocity = momentum * velocity + step.  With ``centered``, v less the square of a moving average of the
    gradients stands in the place of v (Graves 2013).
    """

    hyperparameter_names = ("learning_rate", "rho", "momentum", "epsilon")
    bounds = {"rho": {"least": 0, "most": 1}}

    def __init__(
        self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, *, name="rmsprop", **options
    ):
        self.centered = checks.boolean("RMSprop", "centered", centered)
        numbers = dict(learning_rate=learning_rate, rho=rho, momentum=momentum, epsilon=epsilon)
        super().__init__(name=name, **numbers, **options)

    @property
    def function(self):
        return "rmsprop" + "_centered" * self.centered + "_momentum" * (not self._plain)

    @property
    def own_slots(self):
        return ("v", *(("average_gradient",) * self.centered), *(("velocity",) * (not self._plain)))

    def get_config(self):
        return {**super().get_config(), "centered": self.centered}


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), algorithm 1 in its efficient form, as Keras has it.

    alpha = learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t); parameter -= alpha * m / (sqrt(v) + epsilon).

    amsgrad: divide by the largest v so far (Reddi et al. 2018).
    """

    hyperparameter_names = ("learning_rate", "beta_1", "beta_2", "epsilon")
    bounds = {"beta_1": _BELOW_ONE, "beta_2": _BELOW_ONE}

    def __init__(
        self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, *, name="adam", **options
    ):
        self.amsgrad = checks.boolean(type(self).__name__, "amsgrad", amsgrad)
        numbers = dict(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        super().__init__(name=name, **numbers, **options)

    @property
    def function(self):
        return "adam_amsgrad" if self.amsgrad else "adam"

    @property
    def own_slots(self):
        return ("m", "v", "largest") if self.amsgrad else ("m", "v")

    def get_config(self):
        return {**super().get_config(), **({"amsgrad": True} if self.amsgrad else {})}


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019, algorithm 2).

    Before each step, parameter -= learning_rate * weight_decay * parameter.  See ``exclude_from_weight_decay``.
    """

    def __init__(
        self, learning_rate=0.001, weight_decay=0.004, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, *,
        name="adamw", **options,
    ):  # fmt: skip
        if weight_decay is None:
            raise ValueError("AdamW expects weight_decay to be a number or a schedule. Received: weight_decay=None")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, name=name, **options
        )


class Adamax(Optimizer):
    """Adam with the largest gradient of the past in the place of the mean square (Kingma and Ba 2015, algorithm 2).

    m as in Adam; u = max(beta_2 * u, |gradient|); parameter -= learning_rate / (1 - beta_1^t) * m / (u + epsilon).
    """

    function = "adamax"
    own_slots = ("m", "u")
    hyperparameter_names = ("learning_rate", "beta_1", "beta_2", "epsilon")
    bounds = {"beta_1": _BELOW_ONE, "beta_2": _BELOW_ONE}

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, *, name="adamax", **options):
        numbers = dict(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        super().__init__(name=name, **numbers, **options)


class Nadam(Optimizer):
    """Adam with Nesterov momentum (Dozat 2016, algorithm 8), whose momentum starts at half of beta_1.

    With mu_i = beta_1 * (1 - 0.96^i / 2) and P_t the product of the first t of these: m_hat = mu_(t+1) * m / (1 -
    P_(t+1)) + (1 - mu_t) * gradient / (1 - P_t); parameter -= learning_rate * m_hat / (sqrt(v / (1 - beta_2^t)) +
    epsilon).  Where beta_1 is a schedule, the product is that of its present value.
    """

    function = "nadam"
    own_slots = ("m", "v")
    hyperparameter_names = ("learning_rate", "beta_1", "beta_2", "epsilon")
    bounds = {"beta_1": _BELOW_ONE, "beta_2": _BELOW_ONE}

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, *, name="nadam", **options):
        numbers = dict(learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        super().__init__(name=name, **numbers, **options)


class Adagrad(Optimizer):
    """Gradients divided by the root of the sum of all squares so far (Duchi et al. 2011).

    squares += gradient^2; parameter -= learning_rate * gradient / sqrt(squares + epsilon).

    initial_accumulator_value: what the squares are at first.
    """

    function = "adagrad"
    own_slots = ("squares",)
    hyperparameter_names = ("learning_rate", "epsilon")

    def __init__(
        self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, *, name="adagrad", **options
    ):
        first = initial_accumulator_value
        self.initial_accumulator_value = checks.number("Adagrad", "initial_accumulator_value", first, least=0)
        super().__init__(name=name, learning_rate=learning_rate, epsilon=epsilon, **options)

    def first_value(self, slot):
        return self.initial_accumulator_value if slot == "squares" else 0.0

    def get_config(self):
        return {**super().get_config(), "initial_accumulator_value": self.initial_accumulator_value}


class Adadelta(Optimizer):
    """Steps in the parameters' own units (Zeiler 2012, algorithm 1; its learning rate is 1).

    squares = rho * squares + (1 - rho) * gradient^2; step = sqrt(squared_steps + epsilon) / sqrt(squares + epsilon) *
    gradient; squared_steps = rho * squared_steps + (1 - rho) * step^2; parameter -= learning_rate * step.
    """

    function = "adadelta"
    own_slots = ("squares", "squared_steps")
    hyperparameter_names = ("learning_rate", "rho", "epsilon")
    bounds = {"rho": {"least": 0, "most": 1}}

    def __init__(self, learning_rate=0.001, rho=0.95, epsilon=1e-7, *, name="adadelta", **options):
        super().__init__(name=name, learning_rate=learning_rate, rho=rho, epsilon=epsilon, **options)


class Ftrl(Optimizer):
    """Follow the regularised leader, for sparse models (McMahan et al. 2013, algorithm 1).

    With a = squares, b = a + gradient^2 and p = -learning_rate_power: linear += gradient + 2 * l2_shrinkage * parameter
    - (b^p - a^p) / learning_rate * parameter; parameter = (clip(linear, -l1, l1) - linear) / (b^p / learning_rate +
    2 * l2 + beta / learning_rate).

    initial_accumulator_value: what the squares are at first; the strengths of l1 and l2: at least 0.
    """

    function = "ftrl"
    own_slots = ("squares", "linear")
    hyperparameter_names = (
        "learning_rate", "learning_rate_power", "l1_regularization_strength", "l2_regularization_strength",
        "l2_shrinkage_regularization_strength", "beta",
    )  # fmt: skip
    bounds = {"learning_rate_power": {"most": 0}}

    def __init__(
        self, learning_rate=0.001, learning_rate_power=-0.5, initial_accumulator_value=0.1,
        l1_regularization_strength=0.0, l2_regularization_strength=0.0, l2_shrinkage_regularization_strength=0.0,
        beta=0.0, *, name="ftrl", **options,
    ):  # fmt: skip
        first = initial_accumulator_value
        self.initial_accumulator_value = checks.number("Ftrl", "initial_accumulator_value", first, least=0)
        super().__init__(
            name=name, learning_rate=learning_rate, learning_rate_power=learning_rate_power,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
            l2_shrinkage_regularization_strength=l2_shrinkage_regularization_strength, beta=beta, **options,
        )  # fmt: skip

    def first_value(self, slot):
        return self.initial_accumulator_value if slot == "squares" else 0.0

    def get_config(self):
        return {**super().get_config(), "initial_accumulator_value": self.initial_accumulator_value}


class Lion(Optimizer):
    """Lion (Chen et al. 2023): every element moves by ``learning_rate``, in the direction of a moving average.

    parameter -= learning_rate * sign(beta_1 * m + (1 - beta_1) * gradient); m = beta_2 * m + (1 - beta_2) * gradient.
    """

    function = "lion"
    own_slots = ("m",)
    hyperparameter_names = ("learning_rate", "beta_1", "beta_2")
    bounds = {"beta_1": {"least": 0, "most": 1}, "beta_2": {"least": 0, "most": 1}}

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.99, *, name="lion", **options):
        super().__init__(name=name, learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, **options)
