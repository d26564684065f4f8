"""clu's metric writer interface on a run, alone and inside clu's own writers."""

from __future__ import annotations

import pickle
from pathlib import Path

import clu  # noqa: F401  # without it, the file is skipped
import jax.numpy as jnp
import numpy as np
import pytest
from tests.frameworks.imported_clu import metric_writers, values
from tests.frameworks.stored import only_run, run_example, runs

from refunc.frameworks.clu import RefuncWriter
from refunc.logging import experiment_context


def test_scalars_texts_and_hyperparameters_through_an_asynchronous_writer() -> None:
    writer = metric_writers.AsyncMultiWriter([RefuncWriter("vision", "baseline"), metric_writers.LoggingWriter()])
    with metric_writers.ensure_flushes(writer):
        writer.write_hparams({"lr": 0.1, "model.depth": 3})
        for step in range(1, 4):
            writer.write_scalars(step, {"loss": jnp.float32(1.0) / step, "accuracy": np.float64(0.5)})
        writer.write_texts(3, {"sample": "a cat"})
    writer.close()

    run = only_run()
    assert (run.status, run.run_name, run.summary.params) == ("completed", "baseline", {"lr": 0.1, "model.depth": 3})
    assert list(run.metrics("loss").steps) == [1, 2, 3]
    assert list(run.metrics("loss").values) == pytest.approx([1, 0.5, 1 / 3])
    [line] = [entry for entry in run.entries() if entry.message == "sample: a cat"]
    assert line.step == 3


def test_what_is_left_out_is_said_once_for_each_kind() -> None:
    writer = RefuncWriter()
    image = np.zeros((2, 2, 3))
    for step in (1, 2):
        metric_writers.write_values(
            writer,
            step,
            {
                "loss": values.Scalar(0.5),
                "weights": values.Histogram(np.arange(4), num_buckets=2),
                "input": values.Image(image),
                "voice": values.Audio(np.zeros((1, 4, 1)), sample_rate=8),
                "raw": values.Summary(np.zeros(2), metadata=None),
            },
        )
        writer.write_videos(step, {"film": image[None]})
    writer.close()

    run = only_run()
    assert list(run.summary.metrics) == ["loss"]
    warnings = [entry.message for entry in run.entries() if entry.level == "WARNING"]
    for kind in ("images", "videos", "audio", "histograms", "summaries"):
        assert sum(kind in warning for warning in warnings) == 1
    assert len(warnings) == 5


def test_a_run_around_stays_open_and_an_exception_fails_a_run_of_its_own() -> None:
    with experiment_context("outer") as outer:
        writer = RefuncWriter()
        pickle.loads(pickle.dumps(writer)).write_scalars(4, {"loss": 1.0})
        writer.close()
        assert outer.status == "running"
    assert list(only_run().metrics("loss").steps) == [4]

    def train() -> None:
        writer = RefuncWriter("vision")
        try:
            raise FloatingPointError("nan")
        finally:
            writer.close()

    with pytest.raises(FloatingPointError):
        train()
    assert [run.status for run in runs()] == ["completed", "failed"]


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_example("train_clu")
    run = only_run()
    assert (run.experiment_name, run.run_name, run.status) == ("regression", "clu", "completed")
    losses = run.metrics("train/loss").values
    assert losses[-1] < losses[0] / 2
