"""The state of a training in checkpoints, from which it goes on."""

import os

from jitnet.callbacks.monitors import Monitor, check_saving
from jitnet.core.errors import invalid


class BackupAndRestore(Monitor):
    """Keeps the state of a training in a folder, from which the same call of ``fit`` goes on after an interruption.

    It goes on where the last checkpoint was written, in the middle of an epoch too, and ends with the bits of the
    training that was never interrupted: weights, optimizer, history, and the state of all callbacks (see
    ``Callback.get_state``), on any number of threads.  The checkpoints are ``step-000001234.safetensors``, named after
    the steps done, each written beside the earlier ones and renamed when it is complete.  A damaged one is named in a
    warning, and the one before it is used.  Ctrl-C and SIGTERM write one more after the step, then end the training
    (KeyboardInterrupt; SystemExit with 143).  Where no more can be written, say on a full disk, a warning says so once
    and the training goes on with the earlier ones.

    The script has to be the same: a model of the same layers, compiled likewise, the same data, batch_size and
    callbacks; a larger ``epochs`` trains on.  The seed is the checkpoint's, as are Python's, NumPy's and PyTorch's
    global generators.  Arrays and a ``PyDataset``, whose batches are a function of their number, go on without a
    detour; it is told of all epochs again by ``on_epoch_begin`` and ``on_epoch_end``.  Of a generator, or another
    iterable, the batches of the pass that were done are made again and left out: it must give the same ones again, from
    the same state of those global generators if it, and nothing else meanwhile, draws from them.  A model that its
    first data would build must be built before: start it with ``Input``.

    Args:
        backup_dir: the folder, made if there is none; of this training alone.  A file ``.lock`` in it keeps other
            processes out.
        save_freq: ``"epoch"``, or a number of batches, counted on from epoch to epoch.
        double_checkpoint: whether two checkpoints are kept, so that there is one before a damaged one.
        delete_checkpoint: whether the checkpoints are removed when the training has come to its end.
        keep: how many of the last checkpoints are kept, instead of ``double_checkpoint``.
        monitor: name of a quantity in the logs: the checkpoint at the end of the best epoch is kept, too.
        mode: ``"min"`` or ``"max"``: what is better; ``"auto"`` tells it from the name.

    Raises:
        ValueError: an empty ``backup_dir``, another ``save_freq`` or ``mode``, a ``keep`` that is not positive; from
            ``fit``: the checkpoints are of another model or training, or all are damaged.
        BlockingIOError: from ``fit``: another process is training with that folder.
    """

    _state = ("best", "best_step")

    def __init__(
        self, backup_dir, save_freq="epoch", double_checkpoint=False, delete_checkpoint=True, *, keep=None,
        monitor=None, mode="auto",
    ):  # fmt: skip
        super().__init__(monitor or "loss", mode)
        if not os.fspath(backup_dir):
            raise invalid("BackupAndRestore needs a folder.", backup_dir=backup_dir)
        check_saving(save_freq, keep)
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.keep = keep
        self._keeps_best = monitor is not None
        self.best_step = None  # after which the best checkpoint was written

    @property
    def kept(self) -> int:
        """How many of the last checkpoints are kept."""
        return self.keep or (2 if self.double_checkpoint else 1)

    def steps_left(self, steps: int) -> int | None:
        """How many steps there are from ``steps`` to the next checkpoint; None: it comes with the epoch's end."""
        return None if self.save_freq == "epoch" else self.save_freq - steps % self.save_freq

    def due(self, steps: int) -> bool:
        """Whether a checkpoint is to be written after so many steps."""
        return self.save_freq != "epoch" and steps % self.save_freq == 0

    def due_at_epoch_end(self, steps: int, logs: dict) -> bool:
        """Whether one is to be written after the epoch that has ended, which may be the best one."""
        best = False
        if self._keeps_best:
            current = self._monitored(logs)
            best = current is not None and self._improves(current, self.best)
            if best:
                self.best, self.best_step = current, steps
        return best or self.save_freq == "epoch" or self.due(steps)

    def to_keep(self, steps: list[int]) -> list[int]:
        """Which of the checkpoints, the last one first, are kept."""
        return [*steps[: self.kept], *([] if self.best_step is None else [self.best_step])]
