"""How a training of Lightning ends: errors, Ctrl-C, signals, SLURM's requeue."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.frameworks.lightning_trainings import At, Module, trainer_with
from tests.frameworks.stored import only_run

from refunc.frameworks.lightning import RefuncLogger
from refunc.logging import experiment_context

pytestmark = [pytest.mark.frameworks, pytest.mark.usefixtures("clean_process", "handlers")]


@pytest.fixture
def handlers() -> object:
    """Set back the signal handlers, after a Trainer that was cut off."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def fail() -> None:
    raise RuntimeError("a batch that fails")


def test_an_error_is_in_the_run_with_its_traceback() -> None:
    logger = RefuncLogger()
    with pytest.raises(RuntimeError, match="a batch that fails"):
        trainer_with(logger, At(3, fail)).fit(Module())

    run = only_run()
    assert run.status == "failed"
    assert run.summary.end is not None
    error = run.summary.end.error or ""
    assert "in fail\n" in error
    assert error.rstrip().endswith("RuntimeError: a batch that fails")

    trainer_with(logger).fit(Module())
    assert (only_run().status, only_run().attempt) == ("completed", 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_interrupt(number: int) -> None:
    with pytest.raises(SystemExit):
        trainer_with(RefuncLogger(), At(3, send(number)), max_epochs=50).fit(Module())
    assert only_run().status == "interrupted"


def test_early_stopping_completes() -> None:
    def stop() -> None:
        trainer.should_stop = True

    trainer = trainer_with(RefuncLogger(), At(3, stop), max_epochs=50, min_epochs=1)
    trainer.fit(Module())
    assert only_run().status == "completed"


@pytest.mark.parametrize(
    ("said", "status"),
    [("success", "completed"), ("failed", "failed"), ("aborted", "aborted"), ("finished", "running")],
)
def test_each_word_of_finalize(said: str, status: str) -> None:
    logger = RefuncLogger()
    logger.finalize(said)
    assert not Path("experiments").exists(), "a logger without a run has nothing to end"
    logger.log_metrics({"loss": 1.0}, 0)
    logger.finalize(said)
    assert only_run().status == status
    logger.finalize("success")


def test_failed_is_failed_also_in_the_handling_of_an_earlier_exception() -> None:
    """CatBoost leaves one behind, for instance."""
    try:
        raise KeyError("of another training")
    except KeyError:
        logger = RefuncLogger()
        logger.log_metrics({"loss": 1.0}, 0)
        logger.finalize("failed")
    assert only_run().status == "failed"


def test_an_end_within_a_run_around_is_no_end() -> None:
    with experiment_context("outer") as run:
        with pytest.raises(RuntimeError):
            trainer_with(RefuncLogger(), At(3, fail)).fit(Module())
        assert run.status == "running"


def test_a_requeue_goes_on_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM signals, Lightning writes a checkpoint and asks for a requeue, trains on, and is ended."""
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/asked\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    job = {"JOB_ID": "77", "JOB_NAME": "train", "STEP_ID": "0", "NTASKS": "1", "PROCID": "0", "LOCALID": "0"}
    for name, value in {**job, "NODEID": "0", "STEP_NUM_TASKS": "1"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)

    ends = [At(5, send(signal.SIGUSR1)), At(7, send(signal.SIGTERM))]
    first = RefuncLogger()
    with pytest.raises(SystemExit):
        trainer_with(first, *ends, max_epochs=50, default_root_dir=tmp_path).fit(Module())
    assert (only_run().status, only_run().attempt) == ("preempted", 1)
    assert (tmp_path / "asked").read_text() == "requeue 77\n"
    assert list(only_run().metrics("loss_step").steps) == [1, 3, 5]

    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    trainer_with(RefuncLogger(), default_root_dir=tmp_path, max_epochs=3).fit(Module())

    run = only_run()
    assert (run.status, run.attempt, first.version) == ("completed", 2, run.run_id)
    assert list(run.metrics("loss_step").steps) == [1, 3, 5, 7, 9, 11]
    assert list(run.metrics("loss_step", attempts="all").steps) == [1, 3, 5, 5, 7, 9, 11], "the checkpoint is of step 5"
