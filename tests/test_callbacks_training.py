"""Callbacks that look into the model that is trained: averages in the weights' place, logs for TensorBoard."""

import errno
import math
import os
import signal
import struct
import threading

import numpy as np
import pytest
from small_networks import convolutional, data, images, perceptron

import jitnet
from jitnet import callbacks, layers, optimizers

# --- SwapEMAWeights


def averaged():
    return perceptron(optimizers.SGD(0.3, use_ema=True, ema_momentum=0.6))


def press(*arguments):
    raise KeyboardInterrupt


def averages(model):
    state = model.optimizer.state()
    return [state["average", v].copy() for v in model.trainable_variables]


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_averages_are_evaluated(swap_on_epoch):
    x, y = data()
    plain, model = averaged(), averaged()
    raw, means, losses, before, after, tested = [], [], [], [], [], []

    def keep(epoch, logs):
        raw.append(plain.get_weights())
        means.append(averages(plain))
        plain.set_weights(means[-1])
        losses.append(plain.evaluate(x, y, verbose=0)[0])
        plain.set_weights(raw[-1])

    plain.fit(x, y, 4, 3, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_end=keep)])

    def look(at):
        return callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: at.append(model.get_weights()))

    in_test = callbacks.LambdaCallback(on_test_end=lambda logs: tested.append(model.get_weights()))
    swap = callbacks.SwapEMAWeights(swap_on_epoch)
    history = model.fit(
        x, y, 4, 3, verbose=0, validation_data=(x, y), callbacks=[in_test, look(before), swap, look(after)]
    )
    np.testing.assert_allclose(history.history["val_loss"], losses, rtol=1e-6)
    for epoch in range(3):
        assert_same(before[epoch], raw[epoch])
        assert_same(tested[epoch], means[epoch])
        assert_same(after[epoch], means[epoch] if swap_on_epoch else raw[epoch])
    assert_same(model.get_weights(), means[-1])
    assert_same(averages(model), means[-1])
    # it goes on from there, and alone in evaluations it leaves everything as it was
    model.fit(x, y, 4, 1, verbose=0)
    kept, mean = model.get_weights(), averages(model)
    found = model.evaluate(x, y, verbose=0, callbacks=[swap])
    assert found != model.evaluate(x, y, verbose=0)
    assert not np.array_equal(model.predict(x, verbose=0, callbacks=[swap]), model.predict(x, verbose=0))
    assert_same(model.get_weights(), kept)
    assert_same(averages(model), mean)


def test_an_interrupted_training_keeps_its_weights():
    x, y = data()
    model, other = averaged(), averaged()

    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.epoch = epoch

        def on_test_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, 4, 2, verbose=0, validation_data=(x, y), callbacks=[callbacks.SwapEMAWeights(True), Stop()])
    other.fit(x, y, 4, 1, verbose=0)
    assert_same(model.get_weights(), other.get_weights())
    assert_same(averages(model), averages(other))
    # an evaluation or prediction that raises leaves the weights as well
    kept = model.get_weights()
    stop = callbacks.LambdaCallback(on_test_batch_end=press, on_predict_batch_end=press)
    for method, given in (("evaluate", (x, y)), ("predict", (x,)), ("evaluate", (iter([(x, y)]),)),
                          ("predict", (iter([x]),))):  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            getattr(model, method)(*given, verbose=0, callbacks=[callbacks.SwapEMAWeights(), stop])
        assert_same(model.get_weights(), kept)
    for method in ("fit", "evaluate"):
        with pytest.raises(ValueError, match=r"use_ema=True\. Received: use_ema=False"):
            getattr(perceptron(), method)(x, y, verbose=0, callbacks=[callbacks.SwapEMAWeights()])


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_averages_in_a_training_that_goes_on(swap_on_epoch, tmp_path):
    """Wherever it was cut off, in a validation with the averages too, it ends with the bits of the whole one."""
    x, y = data(8)

    class Press(callbacks.Callback):
        def __init__(self, hook, count):
            super().__init__()
            self.hook, self.left = hook, count

        def press(self, hook):
            self.left -= hook == self.hook
            if hook == self.hook and self.left == 0:
                signal.raise_signal(signal.SIGINT)

        def on_train_batch_end(self, batch, logs=None):
            self.press("train")

        def on_test_batch_end(self, batch, logs=None):
            self.press("test")

        def on_epoch_end(self, epoch, logs=None):
            self.press("epoch")

    def fit(folder, *extra):
        jitnet.utils.set_random_seed(2)
        model = averaged()
        backup = callbacks.BackupAndRestore(folder, delete_checkpoint=False)
        used = [callbacks.SwapEMAWeights(swap_on_epoch), backup, *extra]
        history = model.fit(x, y, 2, 3, verbose=0, validation_data=(x, y), callbacks=used)
        return [*model.get_weights(), *averages(model)], history.history, history._epochs

    whole, logs, epochs = fit(tmp_path / "whole")
    for hook, count in (("train", 5), ("test", 3), ("epoch", 1), ("epoch", 2)):
        folder = tmp_path / f"{hook}{count}"
        with pytest.raises(KeyboardInterrupt):
            fit(folder, Press(hook, count))
        found, history, numbers = fit(folder)
        assert_same(found, whole)
        assert history == logs and numbers == epochs


# --- TensorBoard

try:
    from tensorboardX.proto.event_pb2 import Event
except ImportError:
    Event = None

needs_board = pytest.mark.skipif(Event is None, reason="needs tensorboardX")


def events(folder):
    """[(tag, step, value)] of all files in a folder; a value is a number, or what kind of one it is."""
    found = []
    for path in sorted(folder.iterdir()):
        content, place = path.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            place += length + 16
            for value in event.summary.value:
                kind = value.WhichOneof("value")
                shown = {"simple_value": value.simple_value, "histo": value.histo, "image": value.image}
                found.append((value.tag, event.step, shown.get(kind, value)))
    return found


def scalars(folder, prefix):
    return {(tag, step): value for tag, step, value in events(folder) if tag.startswith(prefix)}


@needs_board
def test_scalars_and_histograms_for_tensorboard(tmp_path):
    x, y = data(8)
    model = perceptron(optimizers.SGD(0.5))
    board = callbacks.TensorBoard(
        tmp_path / "new" / "logs", histogram_freq=2, update_freq=2, write_steps_per_second=True, write_gradients=True
    )
    batches = []
    keep = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(logs["loss"]))
    history = model.fit(x, y, 2, 3, verbose=0, validation_split=0.25, callbacks=[keep, board]).history
    folder = tmp_path / "new" / "logs"
    by_epoch = scalars(folder / "train", "epoch_")
    assert {tag for tag, _ in by_epoch} == {
        "epoch_loss", "epoch_accuracy", "epoch_learning_rate", "epoch_steps_per_second"
    }  # fmt: skip
    by_step = scalars(folder / "train", "batch_")
    assert {tag for tag, _ in by_step} == {"batch_loss", "batch_accuracy"}
    assert sorted({step for _, step in by_step}) == [2, 4, 6, 8]
    assert by_step["batch_loss", 8] == pytest.approx(batches[7], rel=1e-6)
    validation = scalars(folder / "validation", "ep")
    at_steps = scalars(folder / "validation", "evaluation_loss_vs_iterations")
    for epoch in range(3):
        assert by_epoch["epoch_loss", epoch] == pytest.approx(history["loss"][epoch], rel=1e-6)
        assert by_epoch["epoch_learning_rate", epoch] == 0.5
        assert validation["epoch_accuracy", epoch] == pytest.approx(history["val_accuracy"][epoch], rel=1e-6)
        assert at_steps["evaluation_loss_vs_iterations", 3 * epoch + 3] == validation["epoch_loss", epoch]
    found = {(tag, step): value for tag, step, value in events(folder / "train")}
    assert 'Sequential "perceptron", train' in found["step/text_summary", 0].tensor.string_val[0].decode()
    assert "probabilities (Dense)" in found["summary/text_summary", 0].tensor.string_val[0].decode()
    for weight in model.weights:
        assert [step for tag, step in found if tag == f"{weight.name}/histogram"] == [0, 2]
        last = found[f"{weight.name}/histogram", 2]
        assert (last.num, last.min, last.max) == (weight.numpy().size, weight.numpy().min(), weight.numpy().max())
        assert found[f"{weight.name}/gradient", 2].num == weight.numpy().size
    # what the last step has subtracted
    again = perceptron(optimizers.SGD(0.5))
    again.fit(x[:6], y[:6], 2, 3, verbose=0, steps_per_epoch=2)
    board = callbacks.TensorBoard(tmp_path / "one", histogram_freq=1, write_gradients=True, write_graph=False)
    before = again.get_weights()
    again.fit(x[:6], y[:6], 6, 1, verbose=0, callbacks=board)
    found = {tag: value for tag, _, value in events(tmp_path / "one" / "train")}
    assert not [tag for tag in found if "text" in tag]
    for weight, old in zip(again.weights, before, strict=True):
        gradient = (old - weight.numpy()) / 0.5
        assert found[f"{weight.name}/gradient"].sum == pytest.approx(gradient.sum(), rel=1e-3, abs=1e-5)
        assert found[f"{weight.name}/gradient"].max == pytest.approx(gradient.max(), rel=1e-3, abs=1e-5)
    assert board._writers == {}
    board = callbacks.TensorBoard(tmp_path / "evaluated")
    again.evaluate(x, y, verbose=0, callbacks=[board])
    assert board._writers == {} and len(events(tmp_path / "evaluated" / "validation")) == 2


@needs_board
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of the package's own thread
def test_tensorboard_on_a_full_disk(tmp_path, monkeypatch):
    from tensorboardX.event_file_writer import EventsWriter, _EventLoggerThread

    write = EventsWriter.write_event

    def full(self, event=None):
        if event is not None and event.file_version:  # the first, when the file is made
            return write(self, event)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    started, start = [], threading.Thread.start
    x, y = data()
    monkeypatch.setattr(_EventLoggerThread, "start", lambda self: started.append(self) or start(self))
    monkeypatch.setattr(EventsWriter, "write_event", full)
    monkeypatch.setattr(EventsWriter, "flush", full)
    board = callbacks.TensorBoard(tmp_path, update_freq=1)  # more events than its queue used to hold
    model = perceptron("sgd")
    with pytest.warns(UserWarning, match="cannot be written: No space left on device. The training goes on") as said:
        history = model.fit(x, y, batch_size=1, epochs=3, verbose=0, callbacks=[board]).history
    assert len(history["loss"]) == 3 and len(said) == 1
    for thread in started:  # whose error is not to come in the next test
        thread.join(20)
    assert started and not any(thread.is_alive() for thread in started)


@needs_board
def test_pictures_and_embeddings_for_tensorboard(tmp_path):
    pytest.importorskip("PIL")
    x, y = images()
    x = np.concatenate([x, x[..., :1]], axis=-1)
    parts = [layers.Conv2D(5, (2, 3), name="first"), layers.Conv2D(3, 2, name="second"), layers.Flatten()]
    model = jitnet.Sequential([jitnet.Input((6, 5, 3)), *parts, layers.Dense(3, "softmax", name="last")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=1, verbose=0, callbacks=callbacks.TensorBoard(tmp_path / "a", write_images=True))
    found = {tag: (image.height, image.width, image.colorspace)
             for tag, _, image in events(tmp_path / "a" / "train") if tag.endswith("/image")}  # fmt: skip
    assert set(found) == {"first/kernel/image", "first/bias/image", "second/bias/image", "last/kernel/image",
                          "last/bias/image"}  # fmt: skip
    # 5 filters of 2 x 3 in 2 rows of 3, with lines of one between them, at 8 pixels
    assert found["first/kernel/image"] == (8 * 5, 8 * 11, 3)
    assert found["last/kernel/image"] == (8 * 3, 8 * model.layers[-1].kernel.shape[0], 3)

    words = jitnet.Sequential(
        [jitnet.Input((2,)), layers.Embedding(4, 3, name="words"), layers.Flatten(), layers.Dense(1)]
    )
    words.compile("sgd", "mse")
    (tmp_path / "names.tsv").write_text("a\nb\nc\nd\n")
    arguments = {"embeddings_freq": 1, "embeddings_metadata": str(tmp_path / "names.tsv"), "write_graph": False}
    codes, targets = np.array([[0, 1], [2, 3]]), np.zeros((2, 1))
    words.fit(codes, targets, verbose=0, callbacks=callbacks.TensorBoard(tmp_path / "b", **arguments))
    table = tmp_path / "b" / "train" / "00000" / "words"
    shown = np.array([line.split("\t") for line in (table / "tensors.tsv").read_text().splitlines()], float)
    np.testing.assert_allclose(shown, words.layers[0].embeddings.numpy(), rtol=1e-6)
    assert (table / "metadata.tsv").read_text() == "a\nb\nc\nd\n"
    (tmp_path / "names.tsv").write_text("a\nb\n")
    with pytest.raises(ValueError, match=r"a line for each of 4 rows\. Received: 2 lines"):
        words.fit(codes, targets, verbose=0, callbacks=callbacks.TensorBoard(tmp_path / "c", **arguments))
    arguments["embeddings_metadata"] = {"word": "x"}
    with pytest.raises(ValueError, match=r"Known: words\. Received: embeddings_metadata=\['word'\]"):
        words.fit(codes, targets, verbose=0, callbacks=callbacks.TensorBoard(tmp_path / "d", **arguments))


@needs_board
def test_tensorboard_errors(tmp_path, monkeypatch):
    for arguments, message in (
        ({"profile_batch": 2}, r"model\.profile\(x, y\) .*Received: profile_batch=2"),
        ({"update_freq": "step"}, r"update_freq"),
        ({"histogram_freq": -1}, r"histogram_freq"),
        ({"write_gradients": True}, r"give histogram_freq"),
    ):
        with pytest.raises(ValueError, match=message):
            callbacks.TensorBoard(tmp_path, **arguments)
    assert not callbacks.TensorBoard(tmp_path).batch_hooks and callbacks.TensorBoard(update_freq="batch").batch_hooks
    model, (x, y) = convolutional(), images()
    model.layers[0].bias.assign(np.full(4, math.nan))
    with pytest.warns(RuntimeWarning, match="became nan"):
        model.fit(x, y, verbose=0, callbacks=callbacks.TensorBoard(tmp_path, histogram_freq=1, write_images=True))
    tags = [tag for tag, _, _ in events(tmp_path / "train")]
    assert "epoch_loss" in tags and "convolution/bias/histogram" not in tags
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'jitnet\[tensorboard\]'"):
        callbacks.TensorBoard()
