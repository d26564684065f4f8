"""Calls by mistake: none of them raises, and the run has the part of their values that JSON can hold."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import LogEntry, MLLogger, experiment_context
from refunc.logging.bars.epochs import EpochTracker
from refunc.logging.bars.loops import ProgressTracker
from refunc.runs.run import Run


class Hostile:
    """Raises wherever it can be touched."""

    def _raise(self, *args: object) -> Any:
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __float__ = __index__ = _raise
    __getattr__ = __fspath__ = _raise


class HostileClass:
    """Raises where its class is asked for."""

    @property  # type: ignore[misc]  # this makes it hostile
    def __class__(self) -> Any:
        raise RuntimeError("hostile")


class HostileText(str):
    def _raise(self, *args: object) -> Any:
        raise RuntimeError("hostile")

    __len__ = __str__ = __repr__ = __mod__ = _raise  # type: ignore[assignment]


class HostileMapping(Mapping[str, Any]):
    """Says that it is a mapping, and raises when it is to be one."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("hostile")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("hostile")

    def __len__(self) -> int:
        return 1

    def items(self) -> Any:
        raise RuntimeError("hostile")


class Ambiguous:
    """An array, as numpy's: neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array with more than one element is ambiguous.")

    def __eq__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def tolist(self) -> list[int]:
        return [1, 2]


THINGS: list[Callable[[], Any]] = [
    lambda: None, lambda: 7, lambda: "text", lambda: b"bytes", lambda: [1, 2], list, object, Hostile,
    HostileClass, HostileMapping, Ambiguous, lambda: HostileText("name"), lambda: {1: Hostile()},
    lambda: {HostileText("name"): 2.0}, lambda: float("nan"), lambda: 10**400, itertools.count,
]  # fmt: skip


@pytest.fixture
def entries() -> Iterator[Callable[[], list[LogEntry]]]:
    """Bind a run to the test; its entries are read from its file, which has to be whole and undamaged."""
    with experiment_context("hostile", logger=MLLogger("quiet", "CRITICAL")) as run:
        assert run.folder is not None
        folder = run.folder

        def read() -> list[LogEntry]:
            run.flush()
            found = Run.open(folder)
            assert (found.summary.account.dropped, found.summary.account.damaged) == (0, 0)
            return [entry for entry in found.entries() if entry.message != "run started"]

        yield read


def _calls(log: MLLogger, thing: Any) -> Iterator[Callable[[], Any]]:
    for field in ("metrics", "tags", "artifacts", "extra", "step", "epoch", "exc_info", "stack_info", "stacklevel"):
        yield lambda field=field: log.info("line", **{field: thing})
    yield lambda: log.info(thing)
    yield lambda: log.info("%s", thing)
    yield lambda: log.error("line", thing)  # noqa: PLE1205  # which is the point
    for ml in (log.metric, log.result, log.experiment, log.progress):
        yield lambda ml=ml: ml("line", thing)
        yield lambda ml=ml: ml("line", {"loss": 0.5}, metrics=thing, extra=thing)
    yield lambda: log.log_metrics(thing)
    yield lambda: log.log_metrics({"loss": thing}, step=thing, epoch=thing)
    yield lambda: log.log_metric(thing, thing)
    yield lambda: log.log_hyperparams(thing)
    yield lambda: log.log_hyperparams({"lr": thing})
    yield lambda: log.add_tags(thing)
    yield lambda: log.set_tag(thing, thing)
    yield lambda: log.log_result(thing, thing, metadata=thing, step=thing)
    yield lambda: log.log_result("accuracy", thing)
    yield lambda: log.log_artifact(thing)
    yield lambda: log.log_artifact("model.bin", thing, name=thing, metadata=thing)
    yield lambda: log.log_artifact("model.bin", copy=thing)
    if type(thing) is not itertools.count:  # a list of paths without end is stored without end
        yield lambda: log.log_artifacts(thing, thing)
    yield lambda: log.set_step(thing)
    yield lambda: log.set_epoch(thing)


@pytest.mark.parametrize("make", THINGS)
def test_no_call_raises_whatever_it_is_given(make: Callable[[], Any], entries: Callable[[], list[LogEntry]]) -> None:
    Path("model.bin").write_bytes(b"weights")
    log = MLLogger("train", "TRACE")

    for call in _calls(log, make()):
        call()

    found = entries()
    assert sum(entry.message == "line" for entry in found if entry.level == "INFO") >= 9
    assert sum(entry.level == "METRIC" and entry.message == "metrics" for entry in found) == 3
    assert sum(entry.message == "artifact" for entry in found) >= 2


@pytest.mark.parametrize("make", THINGS)
def test_no_epoch_tracker_raises_whatever_it_is_given(make: Callable[[], Any]) -> None:
    epochs = EpochTracker(2, logger=MLLogger("train"))
    thing = make()

    epochs.start_epoch(thing)
    epochs.update(thing)
    epochs.update_step(1, thing)
    epochs.update_step(thing, {"loss": thing})
    epochs.update_step({"loss": 0.5}, thing, accuracy=thing)
    epochs.log(thing)
    with ProgressTracker(10, logger=MLLogger("train")) as progress:
        progress.update(thing)
        progress.update(1, thing)
        progress.log_progress()
    epochs.end_epoch(thing)
    epochs.finish()


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"metrics": [1]}, {"metrics": {"value": [1]}}),
        ({"metrics": "loss"}, {"metrics": {"value": "loss"}}),
        ({"metrics": Ambiguous()}, {"metrics": {"value": [1, 2]}}),
        ({"metrics": {"loss": 0.5, 3: Ambiguous()}}, {"metrics": {"loss": 0.5, "3": [1, 2]}}),
        ({"tags": Ambiguous()}, {"tags": {"value": "[1, 2]"}}),
        ({"tags": {"phase": Path("a") / "b"}}, {"tags": {"phase": str(Path("a") / "b")}}),
        ({"extra": Ambiguous()}, {"extra": {"value": [1, 2]}}),
        ({"artifacts": 5}, {"artifacts": ["5"]}),
        ({"artifacts": "model.bin"}, {"artifacts": ["model.bin"]}),
        ({"artifacts": [Path("model.bin"), Hostile()]}, {"artifacts": ["model.bin", "<Hostile without a repr>"]}),
        ({"metrics": {HostileText("loss"): 0.5}}, {"metrics": {"loss": 0.5}}),
        ({"step": Ambiguous(), "epoch": 2.0}, {"step": None, "epoch": 2}),
    ],
)
def test_a_line_keeps_what_json_can_say_of_its_fields(
    fields: dict[str, Any], kept: dict[str, Any], entries: Callable[[], list[LogEntry]]
) -> None:
    MLLogger("train").info("line", **fields)

    [entry] = entries()
    assert {name: getattr(entry, name) for name in kept} == kept


def test_arguments_that_can_be_shown_are_kept_beside_one_that_cannot(entries: Callable[[], list[LogEntry]]) -> None:
    MLLogger("train").info("%s and %s", "this", Hostile())

    [entry] = entries()
    assert entry.message == "'%s and %s' ('this', <Hostile without a repr>)"


def test_numpy_arrays_are_neither_true_nor_false(entries: Callable[[], list[LogEntry]]) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.array([1, 2])

    MLLogger("train").info("line", metrics=array, tags=array, extra=array, artifacts=array)

    [entry] = entries()
    assert (entry.metrics, entry.tags) == ({"value": [1, 2]}, {"value": "[1, 2]"})
    assert (entry.extra, entry.artifacts) == ({"value": [1, 2]}, ["1", "2"])


@pytest.mark.parametrize(
    ("name", "text"),
    [(None, "None"), (3, "3"), ([], "[]"), (HostileText("loss"), "loss")],
    ids=["none", "number", "list", "hostile"],
)
def test_names_become_text(name: Any, text: str, entries: Callable[[], list[LogEntry]]) -> None:
    log = MLLogger("train")

    log.log_metric(name, 0.5)
    log.set_tag(name, 1)
    log.log_result(name, 0.25)

    metrics, tags, result = entries()
    assert (metrics.metrics, tags.tags) == ({text: 0.5}, {text: "1"})
    assert (result.message, result.metrics) == (text, {text: 0.25})


def test_a_mapping_that_raises_costs_nothing_but_itself(entries: Callable[[], list[LogEntry]]) -> None:
    log = MLLogger("train")

    log.log_metrics(HostileMapping(), step=4)
    log.log_result("accuracy", HostileMapping())

    metrics, result = entries()
    assert metrics.step == 4
    assert "HostileMapping" in metrics.metrics["value"]
    assert result.message == "accuracy"


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (Path("weights"), "weights"),
        (7, "7"),
        (Hostile(), "<Hostile without a repr>"),
        (HostileText("weights"), "weights"),
        ("w" * 2_000, "w" * 1_000 + "… [cut: 2000 characters]"),
    ],
    ids=["path", "number", "hostile", "hostile text", "long"],
)
def test_an_artifacts_name_and_type_become_text(thing: Any, text: str, entries: Callable[[], list[LogEntry]]) -> None:
    Path("model.bin").write_bytes(b"weights")

    MLLogger("train").log_artifact("model.bin", thing, name=thing)

    [entry] = entries()
    assert (entry.artifacts, entry.extra["type"]) == ([text], text)


def test_an_artifact_that_is_no_path_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    log = MLLogger("train")

    log.log_artifact(Hostile())  # type: ignore[arg-type]
    log.log_artifacts(7)  # type: ignore[arg-type]

    assert [record.levelname for record in caplog.records if record.name == "refunc.runs"] == ["WARNING"] * 2


def test_one_warning_a_key_for_a_metric_that_is_no_number(caplog: pytest.LogCaptureFixture) -> None:
    log = MLLogger("train")

    def warnings() -> int:
        return sum(record.levelno == logging.WARNING for record in caplog.records)

    log.log_metrics({"loss": "bad", "accuracy": 0.5})
    log.log_metrics({"loss": "worse"})
    assert warnings() == 1
    log.info("line", metrics={"loss": None})
    assert warnings() == 1

    log.log_metrics({"stage": "train"})
    assert warnings() == 2


def test_one_warning_for_metrics_that_are_no_mapping(caplog: pytest.LogCaptureFixture) -> None:
    log = MLLogger("train")

    log.log_metrics([1, 2])  # type: ignore[arg-type]
    log.info("line", metrics="loss")  # type: ignore[arg-type]

    assert sum(record.levelno == logging.WARNING for record in caplog.records) == 1


def test_what_cannot_have_been_meant_raises_at_once() -> None:
    log = MLLogger("train")

    with pytest.raises(TypeError, match="colour"):
        log.info("line", colour="red")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="'LOUD' is not a log level"):
        log.log("LOUD", "line")
