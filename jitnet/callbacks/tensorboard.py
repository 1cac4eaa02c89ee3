"""Logs for TensorBoard, through the package tensorboardX."""

import contextlib
import functools
import os
import time
import warnings

import numpy as np

from jitnet.callbacks.base import Callback
from jitnet.core import checks
from jitnet.core.errors import invalid

PIXELS = 8  # the least width of a weight in a picture


class TensorBoard(Callback):
    """Writes event files that TensorBoard shows: ``tensorboard --logdir logs``.

    Scalars have Keras's names: ``epoch_loss``, ``epoch_learning_rate``, ... by the epoch, of the training in the folder
    ``train``, of the validation in ``validation``; ``batch_loss``, ... by the training step; of every evaluation
    ``evaluation_loss_vs_iterations``, ...

    Args:
        log_dir: the folder of the run.
        histogram_freq: every so many epochs histograms of all weights are written, 0: never.
        write_graph: whether the source of the training step and the model's summary are written, as texts.
        write_images: whether weights are written as pictures, with the histograms or, without them, after every epoch:
            the filters of a convolution of 1 or 3 channels in a grid, a matrix, a vector; others are left out.
        write_steps_per_second: whether every epoch's steps per second are written.
        update_freq: ``"epoch"``, or after how many batches the logs of the epoch so far are written, besides;
            ``"batch"`` is 1.  The loop then stops after every batch.
        profile_batch: must be 0: ``model.profile(x, y)`` says where the time of a step goes.
        embeddings_freq: every so many epochs the tables of ``Embedding`` layers are written for the projector.
        embeddings_metadata: a file with a line per row of the table, or a dict of them by names of layers.
        write_gradients: whether histograms of the last step's gradients are written with those of the weights.

    Raises:
        ImportError: there is no tensorboardX, or, for pictures, no Pillow: ``pip install 'jitnet[tensorboard]'``.
        ValueError: an argument that is none of these.

    Source: ``keras.callbacks.TensorBoard``.
    """

    def __init__(
        self, log_dir="logs", histogram_freq=0, write_graph=True, write_images=False, write_steps_per_second=False,
        update_freq="epoch", profile_batch=0, embeddings_freq=0, embeddings_metadata=None, *, write_gradients=False,
    ):  # fmt: skip
        super().__init__()
        kind = type(self).__name__
        if profile_batch not in (0, None):
            raise invalid(
                "TensorBoard profiles nothing: model.profile(x, y) says where the time of a step goes, by kernels; "
                "profile_batch must be 0.",
                profile_batch=profile_batch,
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = checks.integer(kind, "histogram_freq", histogram_freq, least=0)
        self.write_graph = checks.boolean(kind, "write_graph", write_graph)
        self.write_images = checks.boolean(kind, "write_images", write_images)
        self.write_steps_per_second = checks.boolean(kind, "write_steps_per_second", write_steps_per_second)
        self.update_freq = 1 if update_freq == "batch" else update_freq
        if self.update_freq != "epoch":
            checks.integer(kind, "update_freq", self.update_freq, least=1)
        self.embeddings_freq = checks.integer(kind, "embeddings_freq", embeddings_freq, least=0)
        self.embeddings_metadata = embeddings_metadata
        self.write_gradients = checks.boolean(kind, "write_gradients", write_gradients)
        if write_gradients and not histogram_freq:
            raise invalid(
                "Gradients are written with the weights: give histogram_freq.",
                write_gradients=write_gradients, histogram_freq=histogram_freq,
            )  # fmt: skip
        self._new_writer = _writers()
        self._writers: dict = {}
        self._in_training = self._failed = False

    @property
    def batch_hooks(self) -> bool:
        """Whether it writes after batches."""
        return self.update_freq != "epoch"

    def on_train_begin(self, logs=None):
        """See that the files can be written, and that metadata belong to layers."""
        self._in_training, self._texts_written, self._failed = True, False, False
        self._labels = self._read_labels() if self.embeddings_freq else {}
        self._writer("train")

    def on_train_end(self, logs=None):
        """Close the files."""
        self._in_training = False
        self._close()

    def on_epoch_begin(self, epoch, logs=None):
        """Remember when the epoch began."""
        self._began = time.perf_counter(), self.model.optimizer.iterations

    def on_train_batch_end(self, batch, logs=None):
        """Write the logs of the epoch so far, once in ``update_freq`` training steps."""
        iterations = self.model.optimizer.iterations
        if self.update_freq != "epoch" and iterations % self.update_freq == 0:
            self._go_on(self._scalars, "train", "batch_{}", logs, iterations)

    def on_test_end(self, logs=None):
        """Write the logs of the evaluation by the training step."""
        optimizer = self.model.optimizer
        iterations = 0 if optimizer is None else optimizer.iterations
        self._go_on(self._scalars, "validation", "evaluation_{}_vs_iterations", logs, iterations)
        if not self._in_training:
            self._close()

    def on_epoch_end(self, epoch, logs=None):
        """Write the logs of the epoch, and what else it is the epoch for."""
        self._go_on(self._write_epoch, epoch, logs)

    # ---- what is written

    def _go_on(self, write, *arguments) -> None:
        """``write``; where the disk takes no more, that is said once, and the training goes on."""
        if self._failed:
            return
        try:
            write(*arguments)
        except OSError as error:
            self._failed = True
            warnings.warn(
                f"The logs for TensorBoard in {self.log_dir} cannot be written: {error.strerror or error}. The "
                "training goes on, without them from here; this is said once.",
                stacklevel=5,
            )

    def _write_epoch(self, epoch: int, logs) -> None:
        logs, optimizer = dict(logs or {}), self.model.optimizer
        validation = {name[4:]: logs.pop(name) for name in list(logs) if name.startswith("val_")}
        rate = getattr(optimizer, "learning_rate", None)
        if rate is not None:
            logs.setdefault("learning_rate", float(rate))
        if self.write_steps_per_second:
            start, iterations = self._began
            logs["steps_per_second"] = (optimizer.iterations - iterations) / (time.perf_counter() - start)
        self._scalars("train", "epoch_{}", logs, epoch)
        if validation:
            self._scalars("validation", "epoch_{}", validation, epoch)
        if self.write_graph and not self._texts_written:
            self._texts_written = True
            self._write_texts()
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_histograms(epoch)
        if self.write_images and epoch % max(self.histogram_freq, 1) == 0:
            self._write_images(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            for layer in self._embeddings():
                labels = self._labels.get(layer.name)
                self._writer("train").add_embedding(layer.embeddings.numpy(), labels, tag=layer.name, global_step=epoch)
        for writer in self._writers.values():
            writer.flush()

    def _scalars(self, folder: str, form: str, logs, step: int) -> None:
        writer = self._writer(folder)
        for name, value in (logs or {}).items():
            if np.ndim(value) == 0:
                writer.add_scalar(form.format(name), float(value), step)
                continue
            for number, part in enumerate(np.ravel(value)):  # of a metric with a result for each class, say
                writer.add_scalar(f"{form.format(name)}/{number}", float(part), step)

    def _write_texts(self) -> None:
        lines: list[str] = []
        self.model.summary(print_fn=lines.append)
        texts = {"summary": "\n".join(lines), "step": _training_step(self.model).source}
        for name, text in texts.items():
            self._writer("train").add_text(name, "\n".join(f"    {line}" for line in text.splitlines()), 0)

    def _write_histograms(self, epoch: int) -> None:
        writer, gradients = self._writer("train"), {}
        if self.write_gradients:
            gradients = {v: g for v, g in _training_step(self.model).variable_gradients().items()}
        for weight in self.model.weights:
            found = {"histogram": weight.numpy()}
            if weight in gradients:
                found["gradient"] = np.asarray(gradients[weight])
            for kind, values in found.items():
                if np.isfinite(values).all():  # a histogram has no place for others
                    writer.add_histogram(f"{weight.name}/{kind}", np.ravel(values), epoch)

    def _write_images(self, epoch: int) -> None:
        for weight in self.model.weights:
            picture = as_picture(weight.numpy())
            if picture is not None:
                self._writer("train").add_image(f"{weight.name}/image", picture, epoch, dataformats="HWC")

    # ---- embeddings

    def _embeddings(self) -> list:
        from jitnet.layers import Embedding

        return [layer for layer in self.model._all_layers() if isinstance(layer, Embedding)]

    def _read_labels(self) -> dict:
        """{name of a layer: the lines of its file}"""
        names, given = [layer.name for layer in self._embeddings()], self.embeddings_metadata or {}
        files = dict.fromkeys(names, given) if isinstance(given, str | os.PathLike) else given
        unknown = [name for name in files if name not in names]
        if unknown:
            raise invalid(
                f"`embeddings_metadata` names layers that are no Embedding of the model. Known: {', '.join(names)}.",
                embeddings_metadata=unknown,
            )
        found = {}
        for name, path in files.items():
            with open(path, encoding="utf-8") as file:
                found[name] = file.read().splitlines()
            rows = next(layer.input_dim for layer in self._embeddings() if layer.name == name)
            if len(found[name]) != rows:
                raise ValueError(f"{path} needs a line for each of {rows} rows. Received: {len(found[name])} lines")
        return found

    # ---- files

    def _writer(self, folder: str):
        if folder not in self._writers:
            self._writers[folder] = self._new_writer(os.path.join(self.log_dir, folder))
        return self._writers[folder]

    def _close(self) -> None:
        for writer in self._writers.values():
            # what the disk refuses was said
            with contextlib.suppress(OSError):
                writer.close()
        self._writers = {}


def _writers():
    """What makes a writer for a folder."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError("TensorBoard needs tensorboardX: pip install 'jitnet[tensorboard]'.") from error
    # without a bound: a writer's thread that the disk has ended would let a full queue wait for ever
    return functools.partial(SummaryWriter, max_queue=0)


def _training_step(model):
    """The step that trains the model, as it was made last."""
    made = [step for key, step in model._steps.items() if key[0] == "train"]
    return made[-1] if made else model._shown_step("train")


def as_picture(weight: np.ndarray) -> np.ndarray | None:
    """A weight as a picture (height, width, 1 or 3) of numbers from 0 to 1; None where it has no such form.

    The filters (height, width, 1 or 3, filters) of a convolution stand in a grid, a matrix on its shorter side.
    """
    low, high = (float(weight.min()), float(weight.max())) if weight.size else (0.0, 0.0)
    if not weight.size or not np.isfinite([low, high]).all():
        return None
    scaled = (weight - low) / (high - low if high > low else 1.0)
    if weight.ndim == 4 and weight.shape[2] in (1, 3):
        height, width, channels, count = weight.shape
        columns = int(np.ceil(np.sqrt(count)))
        rows = -(-count // columns)
        grid = np.ones((rows * columns, height + 1, width + 1, channels), np.float32)  # a line between two filters
        grid[:count, :height, :width] = np.moveaxis(scaled, 3, 0)
        grid = grid.reshape(rows, columns, height + 1, width + 1, channels).swapaxes(1, 2)
        picture = grid.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]
    elif weight.ndim in (1, 2):
        picture = np.atleast_2d(scaled)
        picture = (picture.T if picture.shape[0] > picture.shape[1] else picture)[:, :, None]
    else:
        return None
    if max(picture.shape[:2]) < 32 * PIXELS:
        picture = picture.repeat(PIXELS, 0).repeat(PIXELS, 1)
    return picture.astype(np.float32)
