"""What Keras 3 has as well, against Keras on PyTorch: random configurations, the same numbers."""

import keras_cases as cases
import keras_sequences as sequences
import keras_small_cases as small
import pytest

keras = cases.load_keras()
pytestmark = [
    pytest.mark.skipif(keras is None, reason="needs Keras with its torch backend"),
    pytest.mark.filterwarnings("ignore:::keras"),  # its own
]


@pytest.mark.parametrize("name", cases.LAYERS)
def test_layers(name):
    for index in range(10):
        assert cases.compare_layer(keras, name, index) < 1e-5, (name, index)


@pytest.mark.filterwarnings("ignore")  # Keras's own, of the arrays that it is given
@pytest.mark.parametrize("begin", range(0, 60, 10))
def test_sequence_models(begin):
    for index in range(begin, begin + 10):
        assert sequences.compare(keras, index) < 1e-5, index


@pytest.mark.parametrize("name", cases.ATTENTION)
def test_attention(name):
    for index in range(25):
        assert cases.compare_attention(keras, name, index) < 1e-5, (name, index)


@pytest.mark.parametrize("name", cases.LOSSES)
def test_losses(name):
    for index in range(8):
        assert cases.compare_loss(keras, name, index) < 1e-5, (name, index)


@pytest.mark.parametrize("name", cases.METRICS)
def test_metrics(name):
    for index in range(6):
        assert cases.compare_metric(keras, name, index) < 1e-5, (name, index)


@pytest.mark.parametrize("name", small.METRICS)
def test_metrics_of_classes_and_columns(name):
    for index in range(6):
        assert small.compare_metric(keras, name, index) < 1e-5, (name, index)


@pytest.mark.parametrize("name", small.SCHEDULES)
def test_schedules(name):
    for index in range(10):
        assert small.compare_schedule(keras, name, index) < 1e-6, (name, index)


@pytest.mark.parametrize("name", small.REGULARIZERS)
def test_regularizers(name):
    for index in range(10):
        assert small.compare_regularizer(keras, name, index) < 1e-6, (name, index)


@pytest.mark.parametrize("name", small.CONSTRAINTS)
def test_constraints(name):
    for index in range(10):
        assert small.compare_constraint(keras, name, index) < 1e-6, (name, index)


@pytest.mark.parametrize("name", cases.OPTIMIZERS)
def test_optimizers(name):
    for index in range(6):
        assert cases.compare_optimizer(keras, name, index) < 1e-5, (name, index)
