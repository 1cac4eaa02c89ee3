"""A training that is one of Optuna's trials, and ends where it promises less than the others."""

from jitnet.callbacks.monitors import Monitor, higher_is_better, is_positive
from jitnet.core.errors import invalid


class OptunaPruningCallback(Monitor):
    """Tells an Optuna trial after every epoch how good it is; raises ``optuna.TrialPruned`` when its pruner says so.

    For an objective that trains with ``fit``; what is better is the study's direction. As ``KerasPruningCallback`` of
    ``optuna-integration``.

    Args:
        trial: the ``optuna.Trial`` that the objective was given.
        monitor: name of the quantity in the logs.
        interval: number of epochs from one question to the pruner to the next.

    Raises:
        ValueError: ``trial`` is none; a study of several objectives, which Optuna doesn't prune; one that minimizes
            what is better the higher it is (as accuracies), or the other way around; ``interval`` isn't a positive
            integer.
    """

    def __init__(self, trial, monitor="val_loss", interval=1):
        if not callable(getattr(trial, "report", None)) or not callable(getattr(trial, "should_prune", None)):
            raise invalid("OptunaPruningCallback expects the trial that Optuna gives an objective.", trial=trial)
        if not is_positive(interval):
            raise invalid("OptunaPruningCallback expects interval to be a positive integer.", interval=interval)
        study = getattr(trial, "study", None)  # a FixedTrial has none, and is never pruned
        directions = [direction.name.lower() for direction in study.directions] if study is not None else ["minimize"]
        if len(directions) != 1:
            raise invalid("Optuna prunes trials of a single objective.", directions=directions)
        super().__init__(monitor, "max" if directions == ["maximize"] else "min")
        if study is not None and higher_is_better(monitor) not in (None, self._higher_is_better):
            better = "higher" if higher_is_better(monitor) else "lower"
            raise invalid(f"{monitor} is better the {better} it is, but the study would {directions[0]} it.",
                          monitor=monitor, direction=directions[0])  # fmt: skip
        self.trial = trial
        self.interval = interval

    def get_state(self) -> dict:
        """Nothing: what was reported is in the trial."""
        return {}

    def set_state(self, state: dict) -> None:
        """Nothing to go on with."""

    def on_epoch_end(self, epoch, logs=None):
        """Report the quantity; end the training if the trial is to be pruned."""
        if (epoch + 1) % self.interval:
            return
        value = self._monitored(logs)
        if value is None:
            return
        self.trial.report(float(value), epoch)
        if self.trial.should_prune():
            from optuna import TrialPruned

            raise TrialPruned(f"Pruned after epoch {epoch + 1}: {self.monitor} was {float(value):.6g}.")
