"""
Answers for names that other libraries have and refunc does not: an AttributeError that says which call to use.

A descriptor on the class for each, and no `__getattr__`: that would slow down every access to an attribute. `hasattr`
is False as before, so code that asks for a method gets a true answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_Kind = TypeVar("_Kind", bound=type)

_FILE = 'write it to a file and call log_artifact("{}"{})'

#: On loggers and trackers.
OF_RECORDERS: Mapping[str, str] = {
    "log_param": 'call log_params({"lr": 0.1})',
    "log_config": 'call log_params({"lr": 0.1})',
    "set_tags": 'call add_tags({"team": "vision"}), or set_tag("team", "vision") for one',
    "log_text": "for a line, call info(text) of a logger; for a file, write it and call log_artifact(path)",
    "log_dict": 'call log_params({...}) for params; for a file, write it and call log_artifact("values.json")',
    "log_figure": 'save it, figure.savefig("plot.png"), and call log_artifact("plot.png", artifact_type="plot")',
    "log_image": _FILE.format("image.png", ', artifact_type="image"'),
    "log_table": _FILE.format("table.csv", ', artifact_type="table"'),
    "log_histogram": 'call log_metrics({"weights/mean": ..., "weights/p95": ...}) with the statistics that you need',
    "log_model": 'save it and call log_artifact("model.pt", artifact_type="model")',
    "watch": 'call log_metrics({"grad_norm": ...}, step=step) with the values that you need',
}
OF_LOGGERS: Mapping[str, str] = {
    "finish": "end_experiment() ends the run",
    "end_run": "end_experiment() ends the run",
    "start_run": 'start_experiment("experiment", "run") starts a run, and so does `with experiment_context(...)`',
    "init": 'start_experiment("experiment", "run") starts a run, and so does `with experiment_context(...)`',
}
_LINE = "for a line, call run.logger.info(text) or your own MLLogger's info(text)"
OF_TRACKERS: Mapping[str, str] = {
    "finish": "end_run() ends the run",
    "end_experiment": "end_run() ends the run",
    "start_experiment": "start_run() starts the run",
    "log": f'call log_metrics({{"loss": 0.5}}, step=3); {_LINE}',
    "config": "params has the params that log_params recorded",
    "summary": 'log_result("accuracy", 0.9) records an outcome; context.metrics has the last values',
    **dict.fromkeys(("trace", "debug", "info", "warning", "error", "critical", "exception"), _LINE),
    **dict.fromkeys(("metric", "experiment", "progress", "result"), _LINE),
}
_SNAPSHOT = "a context is a snapshot of the run; call the logger's own {}(...)"
OF_CONTEXTS: Mapping[str, str] = {
    name: _SNAPSHOT.format(name)
    for name in ("info", "log_metrics", "log_metric", "log_params", "log_hyperparams", "log_artifact", "log_result")
} | {"finish": "the logger's end_experiment() ends the run", "end_run": "the logger's end_experiment() ends the run"}


class _Missing:
    """An attribute that does not exist."""

    def __init__(self, name: str, advice: str) -> None:
        self.name, self.advice = name, advice

    def __repr__(self) -> str:
        return f"<not there: {self.advice}>"

    def __get__(self, instance: object, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__} has no {self.name}: {self.advice}.")


def answers(*tables: Mapping[str, str]) -> Callable[[_Kind], _Kind]:
    """Make a class answer for the names in *tables* that it does not define itself."""

    def answer(kind: _Kind) -> _Kind:
        missing = {name: advice for table in tables for name, advice in table.items() if not hasattr(kind, name)}
        for name, advice in missing.items():
            setattr(kind, name, _Missing(name, advice))
        all_names: Callable[[object], Iterable[str]] = kind.__dict__.get("__dir__", object.__dir__)

        def names(self: object) -> list[str]:
            return [name for name in all_names(self) if name not in missing]

        type.__setattr__(kind, "__dir__", names)
        return kind

    return answer
