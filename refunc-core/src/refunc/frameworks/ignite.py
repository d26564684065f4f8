"""The logger of PyTorch-Ignite, with its handlers."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from types import TracebackType
from typing import Any

from refunc.frameworks import Resume, Training
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker

with imported_for(__name__, "pytorch-ignite>=0.5", "ignite"):
    from ignite.engine import Engine, Events
    from ignite.handlers.base_logger import (
        BaseLogger,
        BaseOptimizerParamsHandler,
        BaseOutputHandler,
        BaseWeightsScalarHandler,
    )

__all__ = [
    "GradsScalarHandler",
    "OptimizerParamsHandler",
    "OutputHandler",
    "RefuncLogger",
    "WeightsScalarHandler",
]


class RefuncLogger(BaseLogger):
    """
    Logs the values of engines: `with RefuncLogger("vision") as logger: logger.attach_output_handler(trainer, ...)`.

    The run is the one that is open around, or one of its own, from here to `close()` or the end of the `with` block. It
    is `completed`, or `failed` or `interrupted` if an exception ends the block. Without either, it ends with the
    process. The tracker's calls, such as `log_params` and `log_artifact`, are calls of the logger too.
    """

    def __init__(
        self,
        experiment_name: str = "ignite",
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        tracker: ExperimentTracker | None = None,
        resume: Resume = None,
    ) -> None:
        """
        Open the run, if none is open around.

        Args:
            tracker: The run to log to, whatever is open; it stays open.
            resume: The run to go on with, such as the `state_dict()` of a tracker that a checkpoint has.

        Raises:
            ValueError: *resume* cannot be continued.
        """
        self._training = Training(
            experiment_name, run_name, log_dir, tracker=tracker, resume=resume, has_end=False, lines_of=("ignite",)
        )
        #: The tracker of the run, for calls of your own.
        self.tracker: ExperimentTracker = self._training.begin()

    def __getattr__(self, name: str) -> Any:
        """Return the tracker's method of that name, as other loggers of Ignite do with their clients."""
        if name.startswith("_") or "tracker" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.tracker, name)

    def state_dict(self) -> dict[str, Any]:
        """Return the run and its step, for a `Checkpoint` of Ignite."""
        return self.tracker.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint's step in the run that is open. Raises ValueError if it is of another run."""
        self.tracker.load_state_dict(state_dict)

    def close(self) -> None:
        """End the run, if it is the logger's own; by the exception that is being handled, if there is one."""
        self._training.end(error=self._training.error())

    def __exit__(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._training.end(error=value)

    def _create_output_handler(self, *args: Any, **kwargs: Any) -> OutputHandler:
        return OutputHandler(*args, **kwargs)

    def _create_opt_params_handler(self, *args: Any, **kwargs: Any) -> OptimizerParamsHandler:
        return OptimizerParamsHandler(*args, **kwargs)


class OutputHandler(BaseOutputHandler):
    """
    Logs outputs, metrics and attributes of an engine's state as `tag/name`.

    The step is that of *global_step_transform*. Without one, it is the number of the engine's event, with its epoch.
    """

    def __init__(
        self,
        tag: str,
        metric_names: str | list[str] | None = None,
        output_transform: Callable[..., Any] | None = None,
        global_step_transform: Callable[[Engine, Any], int] | None = None,
        state_attributes: list[str] | None = None,
    ) -> None:
        """Prepare; the arguments are those of Ignite's own output handlers."""
        super().__init__(tag, metric_names, output_transform, global_step_transform, state_attributes)
        self._has_epoch = global_step_transform is None

    def __call__(self, engine: Engine, logger: RefuncLogger, event_name: str | Events) -> None:
        """Log; Ignite calls this at the event."""
        metrics = self._setup_output_metrics_state_attrs(engine, key_tuple=False)
        step = self.global_step_transform(engine, event_name)
        logger.tracker.log_metrics(metrics, step, epoch=engine.state.epoch if self._has_epoch else None)


class OptimizerParamsHandler(BaseOptimizerParamsHandler):
    """Logs a param of the optimizer's groups, such as the learning rate, as `tag/lr/group_0`."""

    def __call__(self, engine: Engine, logger: RefuncLogger, event_name: str | Events) -> None:
        """Log; Ignite calls this at the event."""
        step = engine.state.get_event_attrib_value(event_name)
        prefix = f"{self.tag}/" if self.tag else ""
        groups = enumerate(self.optimizer.param_groups)
        rates = {f"{prefix}{self.param_name}/group_{number}": float(group[self.param_name]) for number, group in groups}
        logger.tracker.log_metrics(rates, step, epoch=engine.state.epoch)


class WeightsScalarHandler(BaseWeightsScalarHandler):
    """Logs one number for each parameter of a model, by default its norm, as `tag/weights_norm/layer/weight`."""

    _kind = "weights"

    def __call__(self, engine: Engine, logger: RefuncLogger, event_name: str | Events) -> None:
        """Log; Ignite calls this at the event."""
        step = engine.state.get_event_attrib_value(event_name)
        prefix = f"{self.tag}/" if self.tag else ""
        prefix += f"{self._kind}_{getattr(self.reduction, '__name__', 'reduced')}"
        values = ((name, self._values_of(param)) for name, param in self.weights)
        reduced = {
            f"{prefix}/{name.replace('.', '/')}": self.reduction(value) for name, value in values if value is not None
        }
        logger.tracker.log_metrics(reduced, step, epoch=engine.state.epoch)

    def _values_of(self, param: Any) -> Any:
        return param.data


class GradsScalarHandler(WeightsScalarHandler):
    """Logs one number for the gradient of each parameter of a model, as `tag/grads_norm/layer/weight`."""

    _kind = "grads"

    def _values_of(self, param: Any) -> Any:
        return param.grad
