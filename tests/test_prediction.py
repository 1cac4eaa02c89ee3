"""predict_on_batch: repeated calls with small batches take a short way, which must give what ``predict`` gives."""

import numpy as np
import pytest

import jitnet
from jitnet import layers


def dense():
    hidden = layers.Dense(133, activation="relu")  # one row of several vectors and a tail
    return jitnet.Sequential([jitnet.Input((7,)), hidden, layers.Dense(3, activation="softmax")])


def images():
    return jitnet.Sequential(
        [
            jitnet.Input((6, 5, 2)),
            layers.Conv2D(3, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(4),
        ]
    )


def draw(model, samples, seed=0):
    return np.random.default_rng(seed).standard_normal((samples, *model.input_shape[1:])).astype("float32")


@pytest.mark.parametrize("build", [dense, images])
@pytest.mark.parametrize("samples", [1, 3, 5])
def test_the_short_way_gives_the_same_bits(build, samples):
    model = build()
    x = draw(model, samples)
    expected = model.predict(x, verbose=0)
    assert (model.predict_on_batch(x) == expected).all()
    assert model._quick.takes(x)
    again = model.predict_on_batch(x)
    assert (again == expected).all()
    other = model.predict_on_batch(draw(model, samples, seed=1))
    assert (again == expected).all() and not (other == expected).any(), "every call has an array of its own"
    # a row does not depend on the size of its batch
    assert (model.predict(np.repeat(x[:1], 16, axis=0), verbose=0) == expected[0]).all()


def test_the_short_way_sees_new_weights():
    model = dense()
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = draw(model, 2)
    model.predict_on_batch(x)
    model.set_weights([w + 0.5 for w in model.get_weights()])
    assert (model.predict_on_batch(x) == model.predict(x, verbose=0)).all()
    model.fit(x, np.array([0, 2]), batch_size=2, verbose=0)
    assert (model.predict_on_batch(x) == model.predict(x, verbose=0)).all()
    model.add(layers.Dense(2))
    assert model.predict_on_batch(x).shape == (2, 2)


def test_other_inputs_take_the_long_way():
    model = dense()
    x = draw(model, 4)
    expected = model.predict(x, verbose=0)
    model.predict_on_batch(x)
    quick = model._quick
    wide = np.repeat(x, 2, axis=1)[:, ::2]
    assert not quick.takes(wide) and not quick.takes(x.astype("float64")) and not quick.takes(x.tolist())
    frozen = x.copy()
    frozen.flags.writeable = False
    for same in (wide, x.astype("float64"), x.tolist(), frozen):
        assert (model.predict_on_batch(same) == expected).all()
    assert (model.predict_on_batch(x[:2]) == expected[:2]).all()
    with pytest.raises(ValueError, match="Received"):
        model.predict_on_batch(x[:, :3])
    assert len(model.predict_on_batch(x)) == 4
    jitnet.set_conv_algorithm("direct")
    try:
        assert not model._quick.takes(x)
    finally:
        jitnet.set_conv_algorithm("auto")


def test_several_outputs_have_no_short_way_and_large_batches_have():
    x = jitnet.Input((5,))
    model = jitnet.Model(x, [layers.Dense(2)(x), layers.Dense(3)(x)])
    first, second = model.predict_on_batch(np.ones((2, 5), "float32"))
    assert first.shape == (2, 2) and second.shape == (2, 3)
    assert model._quick is None
    model = dense()
    x = draw(model, 20000)
    expected = model.predict_on_batch(x)
    for threads in (2, 1, 3):  # the short way takes as many threads as there are now
        jitnet.set_num_threads(threads)
        assert model._quick.takes(x) and (model.predict_on_batch(x) == expected).all()
