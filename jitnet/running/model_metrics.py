"""The metrics of a model: the mean of its loss, those that ``compile`` was given, and those of its parts."""

from .._structures import flatten
from ..core import trace
from ..losses import symbolic_targets, takes_targets_as_given
from ..metrics import Mean
from . import compilation


def numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}_{i + 1}" for i in range(count)]


class CompileMetrics:
    """The metrics that ``compile`` was given, as one of a model's ``metrics``, for a ``train_step`` of one's own."""

    name = "compile_metrics"

    def __init__(self, model):
        self._model = model
        self._results: dict = {}  # of the step that is being traced
        self.names: list = []
        self.logs: dict = {}  # that were read last

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Compare targets with predictions, symbolic tensors in the structures of the data and the outputs."""
        if not trace.collects_effects():
            raise ValueError(
                "The metrics that compile was given are updated in a train_step or test_step. In a loop of your own, "
                "make metrics of jitnet.metrics, and update those."
            )
        found = self._model._compile_metrics(y_true, y_pred, sample_weight)
        self.names, self._results = list(found), found

    def result(self) -> dict:
        """{name: result}"""
        if trace.collects_effects():
            return dict(self._results)
        return {name: self.logs[name] for name in self.names if name in self.logs}

    def reset_state(self) -> None:
        self.logs = {}


class ModelMetrics:
    """The metrics of a model.  Mixed into ``ModelSteps``."""

    _own_trackers: tuple = (None, ())  # what compile was given, and the metrics that were made for it

    def _trackers(self) -> tuple:
        """The mean of the loss, and the metrics that ``compile`` was given as one, of the model as it is compiled."""
        compiled, found = self._own_trackers
        if compiled is not self._compiled:
            found = Mean("loss"), CompileMetrics(self)
            vars(self)["_own_trackers"] = self._compiled, found
        return found

    @property
    def metrics(self) -> list:
        """The metrics that a step updates and reports.

        Once the model is compiled, those are first the mean of the loss, ``"loss"``, and what ``compile`` was given as
        one, ``"compile_metrics"``; then those in attributes of the model and of its layers.  A class may say others.
        """
        loss_tracker, *compiled = self._trackers() if self._compiled else [None]
        given = self._compiled and (self._compiled["metrics"] or self._compiled["weighted_metrics"])
        first = [loss_tracker] if self._compiled else []
        return [*first, *(compiled if given else []), *super().metrics]

    def _own_metrics(self, updated) -> list:
        """Those of ``metrics`` that are neither the loss nor ``compile``'s, and that a step has updated."""
        of_compile = self._trackers()
        return [m for m in self.metrics if m in updated and m not in of_compile] if updated else []

    def get_metrics_result(self) -> dict:
        """{name: result} of all ``metrics``: in a ``train_step``, of what it updated; elsewhere, of the last steps."""
        found = {}
        for metric in self.metrics:
            result = metric.result()
            found |= result if isinstance(result, dict) else {metric.name: result}
        return found

    def reset_metrics(self) -> None:
        """Let all ``metrics`` start anew; ``fit`` and ``evaluate`` do that by themselves."""
        for metric in self.metrics:
            metric.reset_state()

    def compute_metrics(self, x=None, y=None, y_pred=None, sample_weight=None) -> dict:
        """{name: result} of the metrics that ``compile`` was given, and of those that the step has updated."""
        _, compile_metrics = self._trackers()
        compile_metrics.update_state(y, y_pred, sample_weight)
        own = {metric.name: metric.traced() for metric in self._own_metrics(trace.updated_so_far())}
        return {**compile_metrics.result(), **own}

    def _compile_metrics(self, y, y_pred, sample_weight) -> dict:
        """{name: result} of those that ``compile`` was given, in a step."""
        if not self._compiled or not (self._compiled["metrics"] or self._compiled["weighted_metrics"]):
            return {}
        outputs, targets = flatten(y_pred), flatten(y)
        names = numbered("output", len(outputs))
        used = compilation.losses_by_output(self._compiled, names) if self._compiled["losses"] else [None] * len(names)
        found = compilation.metrics_by_output(self._compiled, names, used, outputs, targets)
        logs = {}
        for metric, i, name, is_weighted in found:
            weight = [sample_weight] if is_weighted and sample_weight is not None else []
            target = targets[i]
            if not takes_targets_as_given(metric):
                target = symbolic_targets(metric, target, outputs[i])
            logs[name] = metric.traced(target, outputs[i], *weight)
        return logs

    def _metric_list(self, used, targets=None) -> list[tuple]:
        """[(metric, index of its output, its name in the logs, whether samples are weighed)]; used: the losses."""
        return compilation.metrics_by_output(self._compiled, self.output_names, used, self._graph_outputs, targets)
