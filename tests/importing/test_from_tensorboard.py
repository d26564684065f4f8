"""Event files that TensorBoard's and tensorboardX's own writers have written."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import LogLine, Metrics
from refunc.runs import open_store

pytestmark = pytest.mark.trackers


@pytest.fixture
def logs(own_folder: Path) -> Path:
    """Return a folder with one run in it, and one of hyperparameters below that."""
    tensorboard = pytest.importorskip("tensorboardX")
    numpy = pytest.importorskip("numpy")
    with tensorboard.SummaryWriter(str(own_folder / "logs" / "a")) as writer:
        for step in range(100):
            writer.add_scalar("loss/train", 1 / (step + 1), step, walltime=1_700_000_000 + step)
        writer.add_scalar("odd", float("inf"), 100, walltime=1_700_000_100)
        writer.add_scalar("odd", float("nan"), 100, walltime=1_700_000_100)
        writer.add_text("note", "hello **world**", 3, walltime=1_700_000_100)
        writer.add_image("image", numpy.zeros((3, 8, 8), dtype=numpy.uint8), 1, walltime=1_700_000_100)
        writer.add_hparams({"lr": 0.1, "size": 32, "name": "adam", "amp": True}, {"acc": 0.5}, name="hp")
    return own_folder / "logs"


def points(run: Any, name: str) -> list[tuple[Any, Any]]:
    records = [record for record in run.records() if isinstance(record, Metrics) and name in record.metrics]
    return [(record.step, record.metrics[name]) for record in records]


@pytest.mark.filterwarnings("ignore")
def test_scalars_texts_and_hyperparameters_come(logs: Path, imported: Callable[..., Any]) -> None:
    result = imported(logs)

    assert (result.exit_code, result.said["is_whole"]) == (0, True)
    runs = {run.run_name: run for run in open_store()}
    run = runs["a"]
    assert points(run, "loss/train")[:2] == [(0, 1.0), (1, 0.5)]
    assert len(points(run, "loss/train")) == 100
    assert [repr(value) for _, value in points(run, "odd")] == ["inf", "nan"]
    assert run.start_time <= 1_700_000_000
    assert [record.message for record in run.records() if isinstance(record, LogLine)] == ["hello **world**", "acc"]
    assert "left out: image" in result.said["imported"][0]["problems"]
    assert list(runs) == ["a"], "the folder that add_hparams made is a part of it"
    assert run.params == {"lr": 0.1, "size": 32, "name": "adam", "amp": True}
    assert (run.status, run.results) == ("completed", {"acc": 0.5})


@pytest.mark.filterwarnings("ignore")
def test_scalars_as_tensors_come(own_folder: Path, imported: Callable[..., Any]) -> None:
    """As TensorFlow 2 writes them: the plugin's name stands with the first value of a tag only."""
    tensorboard = pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    assert tensorboard is not None
    writer = EventFileWriter(str(own_folder / "logs" / "tf"))
    for step in range(10):
        summary = scalar_pb("loss", 1 / (step + 1))
        if step:
            summary.value[0].ClearField("metadata")
        writer.add_event(Event(wall_time=1_700_000_000 + step, step=step, summary=summary))
    content = scalar_pb("packed", 0.0)
    content.value[0].tensor.ClearField("float_val")
    content.value[0].tensor.tensor_content = b"\x00\x00\x80\x3f"
    writer.add_event(Event(wall_time=1_700_000_020, step=1, summary=content))
    writer.close()

    imported("logs")

    (run,) = open_store()
    assert [step for step, _ in points(run, "loss")] == list(range(10))
    assert all(math.isclose(value, 1 / (step + 1), rel_tol=1e-6) for step, value in points(run, "loss"))
    assert points(run, "packed") == [(1, 1.0)]


def test_a_torn_file_gives_what_is_whole(logs: Path, imported: Callable[..., Any]) -> None:
    (file,) = (logs / "a").glob("*tfevents*")
    file.write_bytes(file.read_bytes()[:2_000])

    result = imported(logs)

    (run,) = [run for run in result.said["imported"] if run["run_name"] == "a"]
    assert run["problems"] == ["the file ends in the middle of an event"]
    assert run["read"] == run["wrote"]
    assert 10 < run["wrote"]["points"] < 100
