"""The cost of delivery: from a journal to an integration that does nothing, and beside a training that logs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from measuring import Figures


def from_journal(records: int = 200_000) -> Figures:
    """Deliver a finished run, by the courier's own thread in this process."""
    from trackers import FirstIntegration

    from refunc.delivery.courier import Courier
    from refunc.logging import MLLogger, experiment_context
    from refunc.plugins.integration import passport_of

    logger = MLLogger("delivery", "CRITICAL")
    with experiment_context("delivery", "full") as run:
        for step in range(records):
            logger.log_metrics({"loss": 0.5 + step, "accuracy": 0.25}, step=step)
    integration = FirstIntegration()
    courier = Courier(passport_of(integration), lambda: integration)
    courier.deliver(run.folder)
    cpu, began = time.process_time(), time.perf_counter()
    courier.start()
    while not courier.subscriptions[0].is_done:
        time.sleep(0.005)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    courier.stop(5)
    assert integration._count == records
    return {"record": wall / records, "cpu": cpu / records}


def beside_training(rate: int = 10_000, seconds: float = 3.0) -> Figures:
    """Log at *rate* with one integration in the delivery process, which notes how old records are that it gets."""
    from trackers import FirstIntegration

    from refunc.logging import MLLogger, experiment_context

    notes = Path("notes").absolute()
    logger = MLLogger("delivery", "CRITICAL")
    logger.add_integration(FirstIntegration(notes=str(notes)))
    with experiment_context("delivery", "live"):
        logger.log_metrics({"loss": 0.0, "accuracy": 0.0}, step=0)
        while sum(health.waiting for health in logger.health().values()):
            time.sleep(0.05)  # the delivery process starts, which takes longer than the rest
        began, step = time.perf_counter(), 1
        while step < rate * seconds:
            due = int((time.perf_counter() - began) * rate)
            while step <= due:
                logger.log_metrics({"loss": 0.5 + step, "accuracy": 0.25}, step=step)
                step += 1
            time.sleep(0.001)
    deadline = time.monotonic() + 20
    while not notes.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    middle, late, latest, count = map(float, notes.read_text().split())
    assert count == step - 1, f"{count} of {step - 1} records"
    return {"age": middle, "age99": late, "oldest": latest}


CASES = {"from a journal": from_journal, "beside a training, 10,000/s": beside_training}


def measure(name: str) -> Figures:
    return with_path(CASES[name])


def with_path(work: Callable[[], Figures]) -> Figures:
    """Do *work* where the delivery process finds the integrations of `trackers`."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    return work()
