"""Layers, losses, metrics and optimizers against Keras 3 on PyTorch: random configurations, the same numbers."""

import keras_cases as cases
import keras_sequences as sequences
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


@pytest.mark.parametrize("name", cases.OPTIMIZERS)
def test_optimizers(name):
    for index in range(6):
        assert cases.compare_optimizer(keras, name, index) < 1e-5, (name, index)
