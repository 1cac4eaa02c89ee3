"""Random configurations of what Keras has as well and is no layer: schedules, regularizers, constraints, some metrics.

As in `keras_cases`: a configuration is drawn by a function of a random generator, and compared by numbers.
"""

import keras_cases
import numpy as np
from keras_cases import difference, flag, generator, pick, sizes

import jitnet


def choices(**values):
    """A configuration with one of the given values of each argument."""
    return lambda random: {name: pick(random, *some) for name, some in values.items()}


def pieces(random):
    boundaries = np.cumsum(random.integers(1, 30, int(random.integers(1, 4)))).tolist()
    return {"boundaries": boundaries, "values": random.random(len(boundaries) + 1).tolist()}


def cosine(random):
    warm = {"warmup_target": 0.3, "warmup_steps": 12} if flag(random) else {}
    return {**choices(initial_learning_rate=(0.1, 0.02), decay_steps=(20, 57), alpha=(0.0, 0.1))(random), **warm}


DECAY = {
    "initial_learning_rate": (0.1, 2.0), "decay_steps": (7, 30), "decay_rate": (0.5, 0.96), "staircase": (True, False),
}  # fmt: skip
SCHEDULES = {
    "CosineDecay": cosine,
    # with a t_mul of 1.5 Keras's logarithm in float32 takes the first step of a period for the last of the one before
    "CosineDecayRestarts": choices(
        initial_learning_rate=(0.1, 1.0), first_decay_steps=(5, 20), t_mul=(2.0, 1.0), m_mul=(1.0, 0.7),
        alpha=(0.0, 0.1),
    ),
    "ExponentialDecay": choices(**DECAY),
    "InverseTimeDecay": choices(**DECAY),
    "PiecewiseConstantDecay": pieces,
    "PolynomialDecay": choices(
        initial_learning_rate=(0.1, 1.0), decay_steps=(10, 40), end_learning_rate=(0.0, 0.01), power=(1.0, 2.0, 0.5),
        cycle=(False, True),
    ),
}  # fmt: skip
REGULARIZERS = {
    "L1": choices(l1=(0.01, 0.5)),
    "L2": choices(l2=(0.01, 0.5)),
    "L1L2": choices(l1=(0.01, 0.5), l2=(0.02, 0.3)),
    "OrthogonalRegularizer": choices(factor=(0.01, 0.2), mode=("rows", "columns")),
}
CONSTRAINTS = {
    "MaxNorm": choices(max_value=(1.0, 2.0), axis=(0, 1)),
    "MinMaxNorm": choices(min_value=(0.0, 1.0), max_value=(1.5, 2.0), rate=(1.0, 0.5), axis=(0, 1)),
    "NonNeg": choices(),
    "UnitNorm": choices(axis=(0, 1)),
}


def labels(one_hot=False, **values):
    """Classes of targets and predictions (batch, 4), or probabilities (batch, 4, classes)."""

    def draw(random):
        count = int(random.integers(2, 6))
        y, p = random.integers(count, size=(2, 7, 4))
        if one_hot:
            y, p = np.eye(count, dtype=np.float32)[y], random.random((7, 4, count), np.float32)
        arguments = {name: pick(random, *some) for name, some in values.items()}
        return {"num_classes": count, **arguments}, y, p

    return draw


def columns(**values):  # several: of one the correlation is NaN
    def draw(random):
        y, p = random.standard_normal((2, *sizes(random, 2, 2, 8))).astype(np.float32)
        return choices(**values)(random), y, p

    return draw


METRICS = {
    "ConcordanceCorrelation": columns(),
    "IoU": labels(target_class_ids=([0], [0, 1], [1])),
    "MeanIoU": labels(ignore_class=(None, 0)),
    "OneHotIoU": labels(True, target_class_ids=([0], [0, 1], [1])),
    "OneHotMeanIoU": labels(True),
    "PearsonCorrelation": columns(),
    "R2Score": columns(class_aggregation=("uniform_average", "variance_weighted_average", None)),
}


def compare_schedule(keras, name: str, index: int) -> float:
    """The difference of a schedule's values over 100 steps."""
    arguments = SCHEDULES[name](generator(name, index))
    ours = getattr(jitnet.schedules, name)(**arguments)
    theirs = getattr(keras.optimizers.schedules, name)(**arguments)
    steps = range(100)
    return difference([ours(step) for step in steps], [float(theirs(step)) for step in steps])


def _of_a_matrix(keras, module: str, name: str, index: int, table: dict) -> float:
    random = generator(name, index)
    arguments = table[name](random)
    ours, theirs = (getattr(getattr(library, module), name)(**arguments) for library in (jitnet, keras))
    x = random.standard_normal(sizes(random, 2, 2, 8)).astype(np.float32)
    return difference(ours(x), keras.ops.convert_to_numpy(theirs(keras.ops.convert_to_tensor(x))))


def compare_regularizer(keras, name: str, index: int) -> float:
    """The difference of a matrix's penalty."""
    return _of_a_matrix(keras, "regularizers", name, index, REGULARIZERS)


def compare_constraint(keras, name: str, index: int) -> float:
    """The difference of a matrix that a constraint has changed."""
    return _of_a_matrix(keras, "constraints", name, index, CONSTRAINTS)


def compare_metric(keras, name: str, index: int) -> float:
    return keras_cases.compare_metric(keras, name, index, METRICS)
