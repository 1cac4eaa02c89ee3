"""Bad input is one clear error before any kernel runs: what was expected, of whom, and what was received."""

import numpy as np
import pytest
from small_networks import data, perceptron

import jitnet
from jitnet import callbacks, initializers, layers, losses, metrics, ops, optimizers, regularizers, schedules
from jitnet import step as steps
from jitnet.targets.cpu import run as runs

X, Y = data()
IMAGE = (4, 6, 3)


@pytest.fixture(autouse=True)
def no_kernel_runs(monkeypatch):
    def run(*arguments, **named):
        raise AssertionError("a kernel was run")

    monkeypatch.setattr(steps.Step, "run", run)
    monkeypatch.setattr(runs, "load", run)


def rejects(function, *parts, error=ValueError):
    """``function`` raises ``error`` with all ``parts`` in its message, the last one after "Received: ", at the end."""
    with pytest.raises(error) as caught:
        function()
    message = str(caught.value)
    expected, separator, received = message.rpartition("Received: ")
    assert separator and received.endswith(parts[-1]), message
    for part in parts[:-1]:
        assert part in expected, message
    assert len(message) < 500 and "numba" not in message.lower() and caught.value.__cause__ is None


def regression():
    return perceptron(loss="mse", metrics=["mae"])


def with_value(array, value):
    array = array.astype("float64")
    array.flat[6] = value
    return array


# ---- x


METHODS = {
    "fit": lambda x: perceptron().fit(x, Y),
    "evaluate": lambda x: perceptron().evaluate(x, Y),
    "predict": lambda x: perceptron().predict(x),
    "train_on_batch": lambda x: perceptron().train_on_batch(x, Y),
    "test_on_batch": lambda x: perceptron().test_on_batch(x, Y),
    "predict_on_batch": lambda x: perceptron().predict_on_batch(x),
    "validation_data": lambda x: perceptron().fit(X, Y, validation_data=(x, Y)),
}


@pytest.mark.parametrize("method", METHODS)
def test_inputs(method):
    call = METHODS[method]
    shape = "The input 'features' of the model 'perceptron' expects shape (None, 4)."
    rejects(lambda: call(X[..., None, None]), shape, "shape=(9, 4, 1, 1)")
    rejects(lambda: call(X[:, :3]), shape, "shape=(9, 3)")
    rejects(lambda: call(X[:0]), "has no samples: an empty batch cannot be used.", "shape=(0, 4)")
    for value in ("nan", "inf", "-inf"):
        rejects(lambda value=value: call(with_value(X, float(value))), f"contains {value} at index (1, 2)", "(9, 4)")
    rejects(lambda: call(with_value(X, 1e39)), "contains inf at index (1, 2)", "shape=(9, 4)")
    rejects(lambda: call(np.full(X.shape, "a")), "must hold numbers.", "dtype=<U1")
    rejects(lambda: call(np.full(X.shape, None)), "must hold numbers.", "dtype=object")
    objects = "If its objects are numbers, convert them: "
    rejects(lambda: call(np.full(X.shape, None)), objects, ".astype('float32')", "dtype=object")
    rejects(lambda: call(X * 1j), "must hold numbers.", "dtype=complex64")
    masked = np.ma.masked_array(X, mask=X.flat[6] == X)
    rejects(lambda: call(masked), "is a masked array, and 1 of its 36 values are masked: pass ", "MaskedArray")
    rejects(lambda: call([[1, 2], [3]]), "must be an array: the parts of a nested list need the same length.", "list")
    where = "the x of validation_data" if method == "validation_data" else "x"
    rejects(lambda: call([X, X]), "The model 'perceptron' has 1 inputs.", f"2 arrays in {where}")
    rejects(lambda: call(3.0), "needs a batch axis.", "a single number")


def test_a_masked_array_that_hides_nothing_is_an_array():
    shown = jitnet.data.as_structure(np.ma.masked_array(X, mask=False))
    assert type(shown) is np.ndarray
    np.testing.assert_array_equal(shown, X)


def test_a_function_in_the_place_of_its_batches():
    def batches():
        yield X, Y

    rejects(lambda: perceptron().fit(batches), "x must hold numbers.", "is called first: x=batches()", "dtype=object")


def test_hints_about_the_shape():
    hint = "The first axis is the batch: for a single sample pass x[None]."
    rejects(lambda: perceptron().predict(X[0]), hint, "shape=(4,)")


def test_several_inputs():
    inputs = [jitnet.Input((4,), name="left"), jitnet.Input((4,), name="right")]
    model = jitnet.Model(inputs, layers.Add()(inputs), name="sum")
    rejects(lambda: model.predict(X), "The model 'sum' has 2 inputs.", "1 arrays in x")
    rejects(lambda: model.predict([X, X[:8]]), "the same number of samples", "lengths=[8, 9]")
    rejects(lambda: model.predict([X, X[:, :2]]), "The input 'right' of the model 'sum'", "shape=(9, 2)")


def test_a_layer_called_on_arrays():
    dense = layers.Dense(3, name="mine")
    expected = "Layer 'mine' (Dense): Dense expects an input (batch, ..., features)."
    rejects(lambda: dense(np.ones(4)), expected, "shape=(None,)")
    built = layers.Conv2D(2, 3, name="second")
    built(jitnet.Input(IMAGE))
    expected = "Layer 'second' (Conv2D): conv2d expects 3 input channels"
    rejects(lambda: built(np.ones((1, 4, 6, 2))), expected, "shape=(None, 4, 6, 2)")


# ---- y and weights


def labels(value):
    return with_value(Y, value)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch", "validation_data"])
def test_labels(method):
    def call(y, model=None):
        model = model or perceptron()
        if method == "validation_data":
            return model.fit(X, Y, validation_data=(X, y))
        return getattr(model, method)(X, y)

    name = "the y of validation_data" if method == "validation_data" else "y"

    expected = "sparse_categorical_crossentropy expects labels from 0 to 2, because the predictions have 3 classes."
    low, high = Y.min(), Y.max()
    rejects(lambda: call(Y - 1), expected, f"labels from {low - 1} to {high - 1}")
    rejects(lambda: call(Y + 1), expected, f"labels from {low + 1} to {high + 1}")
    rejects(lambda: call(labels(1e30)), expected, f"labels from {float(low)} to 1e+30")
    rejects(lambda: call(np.full(9, 2**64 - 1, "uint64")), expected, "18446744073709551615")
    rejects(lambda: call(labels(0.5)), "sparse_categorical_crossentropy expects integer labels.", "a label of 0.5")
    rejects(lambda: call(labels(np.nan)), f"{name} contains nan at index (6,)", "shape=(9,)")
    rejects(lambda: call(labels(np.inf)), f"{name} contains inf at index (6,)", "shape=(9,)")
    masked = np.ma.masked_array(Y, mask=Y == 1)
    rejects(lambda: call(masked), f"{name} is a masked array", f"{name}.filled(value)", "MaskedArray")
    rejects(lambda: call(["a"] * 9), f"{name} must hold numbers.", "dtype=<U1")
    rejects(lambda: call([[1, 2], [3]]), f"{name} must be an array", "list")
    rejects(lambda: call(Y[:8]), f"{name} needs 9 samples, as its x has.", "shape=(8,)")
    hint = "For one-hot targets use CategoricalCrossentropy."
    shape = f"expects {name} of shape (None,) for predictions of shape (None, 3)"
    rejects(lambda: call(np.eye(3)[Y]), shape, hint, "(9, 3)")


def test_targets_that_are_no_labels():
    for value in (np.nan, -np.inf):
        y = with_value(np.eye(3)[Y], value)
        rejects(lambda y=y: regression().fit(X, y), f"y contains {value} at index (2, 0)", "shape=(9, 3)")
    shape = "mean_squared_error expects y of shape (None, 3) for predictions of shape (None, 3)."
    rejects(lambda: regression().fit(X, np.ones((9, 2))), shape, "shape=(9, 2)")
    one_hot = perceptron(loss="categorical_crossentropy")
    hint = "For integer labels use SparseCategoricalCrossentropy."
    rejects(lambda: one_hot.fit(X, Y), "categorical_crossentropy expects y of shape (None, 3)", hint, "shape=(9,)")
    rejects(lambda: one_hot.fit(X, Y[:, None]), "expects y of shape (None, 3)", hint, "shape=(9, 1)")
    rejects(lambda: one_hot.fit(X, np.eye(4)[Y]), "expects y of shape (None, 3)", "shape=(9, 4)")
    rejects(lambda: perceptron().fit(X), "y is missing", "y=None")
    rejects(lambda: perceptron().fit(None, Y), "x must hold numbers.", "dtype=object")


def test_sample_weight():
    def fit(weights):
        return lambda: perceptron().fit(X, Y, sample_weight=weights)

    rejects(fit(np.ones(8)), "sample_weight expects shape (9,).", "shape=(8,)")
    rejects(fit(np.ones((9, 2))), "sample_weight expects shape (None,), or the first axes", "shape=(None, 2)")
    rejects(fit(labels(np.nan)), "sample_weight contains nan at index (6,)", "shape=(9,)")
    rejects(fit(labels(1e39)), "sample_weight contains inf at index (6,)", "shape=(9,)")
    rejects(fit(np.ma.masked_array(np.ones(9), mask=Y == 1)), "sample_weight is a masked array", "MaskedArray")
    rejects(fit(["a"] * 9), "sample_weight must hold numbers.", "dtype=<U1")


def as_arrays(*parts):
    return parts


def as_batches(*parts):
    return iter([parts])


@pytest.mark.parametrize("given", [as_arrays, as_batches])
def test_errors_name_the_validation_data(given, monkeypatch):
    model = perceptron()
    if given is as_batches:  # which are checked when they come
        monkeypatch.setattr(jitnet.Model, "_run_batches", lambda *arguments, **named: 0)

    def fit(x=X, y=Y, *weights, model=model):
        return lambda: model.fit(X, Y, verbose=0, validation_data=given(x, y, *weights))

    rejects(fit(X[:, :3]), "expects shape (None, 4).", "the x of validation_data with shape=(9, 3)")
    rejects(fit(with_value(X, np.nan)), "the x of validation_data contains nan at index (1, 2)", "shape=(9, 4)")
    rejects(fit(y=labels(np.nan)), "the y of validation_data contains nan at index (6,)", "shape=(9,)")
    rejects(fit(y=Y + 1), "expects labels from 0 to 2", f"the y of validation_data with labels from 1 to {Y.max() + 1}")
    rejects(fit(y=labels(0.5)), "expects integer labels.", "the y of validation_data with a label of 0.5")
    rejects(fit(y=Y[:8]), "the y of validation_data needs 9 samples, as its x has.", "shape=(8,)")
    rejects(fit(y=np.eye(3)[Y]), "expects the y of validation_data of shape (None,)", "shape=(9, 3)")
    rejects(fit(X, Y, np.ones(8)), "the sample_weight of validation_data expects shape (9,).", "shape=(8,)")
    rejects(fit(X, Y, labels(np.inf)), "the sample_weight of validation_data contains inf", "shape=(9,)")
    missing = "A batch of validation_data lacks targets" if given is as_batches else "the y of validation_data is miss"
    rejects(fit(y=None), missing, "y=None")

    class Own(jitnet.Model):
        def test_step(self, data):
            raise AssertionError("the step was traced")

    own = Own(model.inputs, model.outputs)
    own.compile("sgd", "sparse_categorical_crossentropy")
    rejects(fit(y=Y[:8], model=own), "the y of validation_data needs 9 samples, as its x has.", "shape=(8,)")
    rejects(fit(y=labels(np.nan), model=own), "the y of validation_data contains nan at index (6,)", "shape=(9,)")


def test_class_weight():
    def fit(weights, model=None, y=Y):
        return lambda: (model or perceptron()).fit(X, y, class_weight=weights)

    rejects(fit({3: 1.0}), "class_weight expects labels from 0 to 2.", "label=3")
    rejects(fit({-1: 1.0}), "class_weight expects labels from 0 to 2.", "label=-1")
    rejects(fit({"cat": 1.0}), "class_weight expects labels from 0 to 2.", "label='cat'")
    rejects(fit({1: float("nan")}), "class_weight expects a finite number for label 1.", "weight=nan")
    rejects(fit({1: "much"}), "class_weight expects a finite number for label 1.", "weight='much'")
    rejects(fit([1, 2, 3]), "class_weight is a dict {label: weight}.", "class_weight=[1, 2, 3]")
    image = jitnet.Sequential([jitnet.Input((4,)), layers.Reshape((2, 2))])
    image.compile("sgd", "mse")
    fractions = np.full((9, 2, 2), 0.5)
    rejects(fit({0: 2}, image, fractions), "class_weight needs targets with one class per sample.", "y=(9, 2)")


# ---- names


@pytest.mark.parametrize(
    "make, kind, given, nearest",
    [
        (lambda name: layers.Dense(3, activation=name), "activation", "rleu", "relu"),
        (lambda name: layers.Activation(name), "activation", "sigmod", "sigmoid"),
        (lambda name: layers.Dense(3, kernel_initializer=name), "initializer", "he_norml", "he_normal"),
        (lambda name: layers.Conv2D(3, 1, kernel_regularizer=name), "regularizer", "l1_12", "l1l2"),
        (lambda name: perceptron(name), "optimizer", "adm", "adam"),
        (lambda name: perceptron(loss=name), "loss", "mean_square_error", "mean_squared_error"),
        (lambda name: perceptron(metrics=[name]), "metric", "acuracy", "accuracy"),
        (optimizers.get, "optimizer", "SDG", "SGD"),
        (losses.get, "loss", "MeanSquareError", "mean_squared_error"),
        (metrics.get, "metric", "binary_acc", "binary_accuracy"),
        (initializers.get, "initializer", "glorot", "glorot_normal"),
        (regularizers.get, "regularizer", "L3", "l2"),
        (layers.get, "layer", "conv_2d", "Conv2D"),
    ],
)
def test_unknown_names(make, kind, given, nearest):
    with pytest.raises(ValueError) as caught:
        make(given)
    message = str(caught.value)
    assert message.startswith(f"Unknown {kind} {given!r}. ") and message.endswith(f"Received: {kind}={given!r}")
    hint = message.partition(f"{given!r}. ")[2].lower()
    assert nearest.lower().replace("_", "") in hint.replace("_", "")


# ---- arguments of layers, optimizers, losses, metrics


@pytest.mark.parametrize(
    "make, expected, received",
    [
        (lambda: layers.Dense(0), "Dense expects units to be a positive integer.", "units=0"),
        (lambda: layers.Dense(-3), "Dense expects units to be a positive integer.", "units=-3"),
        (lambda: layers.Dense(2.5), "Dense expects units to be a positive integer.", "units=2.5"),
        (lambda: layers.Dense("3"), "Dense expects units to be a positive integer.", "units='3'"),
        (lambda: layers.Conv2D(0, 3), "Conv2D expects filters to be a positive integer.", "filters=0"),
        (lambda: layers.Conv2D(2, 0), "Conv2D expects kernel_size", "kernel_size=0"),
        (lambda: layers.Conv2D(2, (3, 3, 3)), "Conv2D expects kernel_size", "kernel_size=(3, 3, 3)"),
        (lambda: layers.Conv2D(2, 3, strides=0), "Conv2D expects strides", "strides=0"),
        (lambda: layers.Conv2D(2, 3, strides=(1, -1)), "Conv2D expects strides", "strides=(1, -1)"),
        (lambda: layers.Conv2D(2, 3, dilation_rate=0.5), "Conv2D expects dilation_rate", "dilation_rate=0.5"),
        (lambda: layers.Conv2D(2, 3, padding="full"), 'Conv2D expects padding "valid" or "same".', "padding='full'"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), "DepthwiseConv2D expects depth", "depth_multiplier=0"),
        (lambda: layers.DepthwiseConv2D(3, padding="full"), "DepthwiseConv2D expects padding", "padding='full'"),
        (lambda: layers.Conv2D(3, 3, groups=2), "Conv2D expects filters to be a multiple of groups=2.", "filters=3"),
        (lambda: layers.MaxPooling2D(0), "MaxPooling2D expects pool_size", "pool_size=0"),
        (lambda: layers.MaxPooling2D(2, strides=0), "MaxPooling2D expects strides", "strides=0"),
        (lambda: layers.Dropout(1), "Dropout expects rate to be a finite number from 0 up to,", "rate=1"),
        (lambda: layers.Dropout(-0.1), "Dropout expects rate to be a finite number from 0 up to,", "rate=-0.1"),
        (lambda: layers.Dropout(float("nan")), "Dropout expects rate", "rate=nan"),
        (lambda: layers.BatchNormalization(momentum=2), "BatchNormalization expects momentum", "momentum=2"),
        (lambda: layers.ZeroPadding2D(-1), "ZeroPadding2D expects padding", "padding=-1"),
        (lambda: optimizers.SGD(float("nan")), "SGD expects learning_rate to be finite", "learning_rate=nan"),
        (lambda: optimizers.Adam(float("inf")), "Adam expects learning_rate to be finite", "learning_rate=inf"),
        (lambda: optimizers.Adam(-1), "Adam expects learning_rate to be finite and not neg", "learning_rate=-1.0"),
        (lambda: optimizers.Adam("fast"), "Adam expects learning_rate to be a number or", "learning_rate='fast'"),
        (lambda: optimizers.SGD(0.1, momentum=1.5), "SGD expects momentum from 0 to 1.", "momentum=1.5"),
        (lambda: optimizers.Adam(0.1, beta_2=1), "Adam expects beta_2 to be a finite number from 0", "beta_2=1.0"),
        (lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=2), "SGD expects ema_momentum", "ema_momentum=2.0"),
        (lambda: schedules.PiecewiseConstantDecay(5, [1, 2]), "`boundaries` must be a sequence", "boundaries=5"),
        (lambda: schedules.PiecewiseConstantDecay([5], "ab"), "`values` must be a sequence", "values='ab'"),
        (lambda: callbacks.EarlyStopping(patience="2"), "EarlyStopping expects patience", "patience='2'"),
        (lambda: callbacks.EarlyStopping(patience=float("nan")), "EarlyStopping expects patience", "patience=nan"),
        (lambda: callbacks.EarlyStopping(min_delta=None), "EarlyStopping expects min_delta", "min_delta=None"),
        (lambda: callbacks.EarlyStopping(start_from_epoch=[1]), "EarlyStopping expects start_from_epoch", "=[1]"),
        (lambda: callbacks.ReduceLROnPlateau(factor="a"), "ReduceLROnPlateau expects factor", "factor='a'"),
        (lambda: callbacks.ReduceLROnPlateau(patience=()), "ReduceLROnPlateau expects patience", "patience=()"),
        (lambda: callbacks.ReduceLROnPlateau(cooldown=0.5), "ReduceLROnPlateau expects cooldown", "cooldown=0.5"),
        (lambda: callbacks.ReduceLROnPlateau(min_lr="0"), "ReduceLROnPlateau expects min_lr", "min_lr='0'"),
        (lambda: jitnet.utils.to_categorical([0, 1], 2.5), "to_categorical expects num_classes", "num_classes=2.5"),
        (lambda: losses.MeanSquaredError(reduction="avg"), "A loss expects reduction", "reduction='avg'"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=2), "a finite number from 0 to 1.", "smoothing=2"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=-1), "a finite number from 0 to 1.", "smoothing=-1"),
        (lambda: metrics.SparseTopKCategoricalAccuracy(k=0), "expects k to be a positive integer.", "k=0"),
        (lambda: jitnet.set_num_threads(0), "set_num_threads expects a positive integer.", "number=0"),
        (lambda: jitnet.set_floatx("float16"), 'set_floatx expects "float32" or "float64".', "dtype='float16'"),
    ],
)
def test_arguments(make, expected, received):
    rejects(make, expected, received)


@pytest.mark.parametrize(
    "shape, layer, expected",
    [
        (IMAGE, layers.Conv2D(2, 5, name="c"), "conv2d: the window of size 5 (with dilation 1) is larger than"),
        (IMAGE, layers.Conv2D(2, (1, 3), dilation_rate=3, name="c"), "conv2d: the window of size 7 (with dilation 3)"),
        (IMAGE, layers.MaxPooling2D(5, name="c"), "max_pool2d: the window of size 5"),
        (IMAGE, layers.Conv2D(4, 3, groups=2, name="c"), "Conv2D expects input channels to be a multiple of groups=2."),
        ((4,), layers.DepthwiseConv2D(3, name="c"), "DepthwiseConv2D expects an input (batch, height, width"),
        ((4,), layers.Conv2D(2, 3, name="c"), "Conv2D expects an input (batch, height, width, channels)."),
        ((4,), layers.MaxPooling2D(name="c"), "rank 4 with axes (batch, height, width, channels)"),
        ((4,), layers.ZeroPadding2D(name="c"), "rank 4 with axes (batch, height, width, channels)"),
        ((4,), layers.Reshape((3,), name="c"), ""),
    ],
)
def test_layers_that_do_not_fit_their_input(shape, layer, expected):
    with pytest.raises(ValueError, match=r"Layer 'c' \(\w+\): .*Received: ") as caught:
        jitnet.Sequential([jitnet.Input(shape), layer])
    assert expected in str(caught.value)


# ---- compile and fit


def test_compile():
    rejects(lambda: perceptron(jit_compile="yes"), 'jit_compile to be True, False or "auto".', "jit_compile='yes'")
    rejects(lambda: perceptron(metrics="accuracy"), "compile expects a list of metrics", "metrics='accuracy'")
    rejects(lambda: perceptron(run_eagerly=True), "run_eagerly must be False.", "run_eagerly=True")
    rejects(lambda: perceptron(loss_weights=[1, 2]).fit(X, Y), "loss_weights needs 1 numbers", "[1, 2]")
    rejects(lambda: perceptron(loss=["mse", "mse"]).fit(X, Y), "The model has 1 outputs.", "2 losses")
    wrong_kind = perceptron(metrics=["categorical_accuracy"])
    hint = 'Use metrics=["accuracy"].'
    rejects(lambda: wrong_kind.fit(X, Y), "The metric 'categorical_accuracy' expects", hint, "='categorical_accuracy'")
    wrong_kind = perceptron(loss="mse", metrics=["sparse_categorical_accuracy"])
    rejects(lambda: wrong_kind.fit(X, np.eye(3)[Y]), "expects integer labels", "='sparse_categorical_accuracy'")


def test_losses_of_the_users_own():
    def of_one_number(y_true, y_pred):
        return 0.0

    def with_numpy(y_true, y_pred):
        return np.mean(y_pred)

    def of_a_weight(y_true, y_pred):
        return ops.square(model.weights[1])

    model = perceptron(loss=of_one_number, metrics=None)
    y = np.ones((9, 3))
    rejects(lambda: model.fit(X, y), "The loss 'of_one_number' must be made of jitnet.ops.", "0.0", error=TypeError)
    model.compile("sgd", with_numpy)
    with pytest.raises(TypeError, match=r"is symbolic and cannot become a NumPy array; use jitnet\.ops"):
        model.fit(X, y)
    model.compile("sgd", of_a_weight)
    rejects(lambda: model.fit(X, y), "The loss 'of_a_weight' must return one value per sample", "shape=(5,)")
    model.compile("sgd", "mse", metrics=[of_one_number])
    rejects(lambda: model.fit(X, y), "The metric 'of_one_number' must be made of jitnet.ops.", "0.0", error=TypeError)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
def test_a_model_without_a_loss(method):
    model = jitnet.Sequential([jitnet.Input((4,)), layers.Dense(3)], name="new")
    expected = f"The model 'new' needs a loss before {method}: call model.compile(optimizer, loss)."
    rejects(lambda: getattr(model, method)(X, Y), expected, "loss=None")
    model.compile("sgd")
    rejects(lambda: getattr(model, method)(X, Y), expected, "loss=None")


def test_models_that_are_not_complete():
    empty = jitnet.Sequential(name="empty")
    empty.compile("sgd", "mse")
    for use in (lambda: empty.predict(X), lambda: empty.fit(X, Y), lambda: empty.evaluate(X, Y)):
        with pytest.raises(ValueError, match="The model 'empty' has no layers: add some first"):
            use()
    unbuilt = jitnet.Sequential([layers.Dense(3)], name="unbuilt")
    with pytest.raises(ValueError, match="The model 'unbuilt' is not built: its input shape is unknown"):
        _ = unbuilt.inputs
    rejects(lambda: unbuilt.set_weights([np.ones((4, 3))]), "unbuilt has 0 weights (the layer is not built", "1 arrays")
    # but data tell the shape
    rejects(lambda: unbuilt.predict(X[:0]), "has no samples", "shape=(0, 4)")


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "a", True])
def test_batch_size(batch_size):
    for call in (perceptron().fit, perceptron().evaluate):
        rejects(lambda call=call: call(X, Y, batch_size), "batch_size is an integer from 1 up.", f"={batch_size!r}")
    rejects(lambda: perceptron().predict(X, batch_size), "batch_size is an integer from 1 up.", f"={batch_size!r}")


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({"epochs": -1}, "epochs is an integer from 0 up."),
        ({"epochs": 2.5}, "epochs is an integer from 0 up."),
        ({"initial_epoch": -2}, "initial_epoch is an integer from 0 up."),
        ({"steps_per_epoch": 0}, "steps_per_epoch is an integer from 1 up."),
        ({"validation_freq": 0}, "validation_freq is an integer from 1 up."),
        ({"validation_freq": 1.5}, "validation_freq is an integer from 1 up."),
        ({"validation_batch_size": 0}, "validation_batch_size is an integer from 1 up."),
        ({"validation_split": 1.5}, "validation_split is between 0 and 1."),
        ({"validation_split": -0.5}, "validation_split is between 0 and 1."),
        ({"validation_split": "0.5"}, "validation_split is between 0 and 1."),
        ({"validation_split": float("nan")}, "validation_split is between 0 and 1."),
        ({"verbose": 3}, 'verbose is "auto", 0, 1 or 2.'),
    ],
)
def test_arguments_of_fit(arguments, expected):
    ((name, value),) = arguments.items()
    rejects(lambda: perceptron().fit(X, Y, **arguments), expected, f"{name}={value!r}")


def test_other_arguments_of_fit():
    rejects(lambda: perceptron().fit(X, Y, validation_freq=[2, 0]), "validation_freq is an integer from 1", "_freq=0")
    expected = "validation_split leaves no samples for one of the parts."
    rejects(lambda: perceptron().fit(X, Y, validation_split=0.99), expected, "validation_split=0.99 for 9 samples")
    rejects(lambda: perceptron().fit(X, Y, validation_data=X), "validation_data expects (x, y)", "ndarray")
    rejects(lambda: perceptron().fit(X, Y, callbacks=[3]), "must hold `Callback` objects.", "3", error=TypeError)
    rejects(lambda: perceptron().step_source("test"), 'mode "train", "evaluate" or "infer".', "mode='test'")


# ---- losses and metrics on arrays


def test_losses_and_metrics_on_arrays():
    loss, metric = losses.SparseCategoricalCrossentropy(), metrics.SparseCategoricalAccuracy()
    probabilities = np.full((2, 3), 1 / 3)
    for call in (lambda y: loss(y, probabilities), lambda y: metric(y, probabilities)):
        rejects(lambda call=call: call(np.array([0, 5])), "expects labels from 0 to 2", "labels from 0 to 5")
        rejects(lambda call=call: call(np.array([0, 0.5])), "expects integer labels.", "a label of 0.5")
        rejects(lambda call=call: call(probabilities), "targets of shape (None,)", "shape=(None, 3)")
    rejects(lambda: losses.MeanSquaredError()(np.ones((2, 3)), np.ones((3, 2))), "targets of shape", "shape=(None, 3)")
