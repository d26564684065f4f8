"""The packages whose pages are compared: how each writes runs, trains on, and shows its page, all by its own means."""

from __future__ import annotations

import math
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

#: Adds one point to a run that goes on.
Log = Callable[[int, float], None]


@dataclass(frozen=True)
class Package:
    """
    A package: how runs are written for it, how its page is started, and how it shows that it is drawn.

    `table` and `chart` are conditions in the page. Where a package draws its charts at another address than its table,
    `chart_address` is an expression for it, which the page comes to once it has its table.
    """

    name: str
    write: Callable[[Path, int, int], None]
    live: Callable[[Path], Log]
    command: Callable[[Path, int], list[str]]
    address: str
    table: str
    chart: str
    chart_address: str | None = None
    variables: Callable[[Path], dict[str, str]] = field(default=lambda folder: {})


def name_of(run: int) -> str:
    """Return the name of a run, the same for every package."""
    return f"run-{run:03d}"


def values(run: int, points: int) -> list[float]:
    """Return the points of a run, the same for every package."""
    noise = random.Random(run)
    return [math.exp(-3 * step / points) + noise.gauss(0, 0.03) for step in range(points)]


# -- refunc ------------------------------------------------------------------------------------------------------------


def write_refunc(folder: Path, runs: int, points: int) -> None:
    from refunc.logging import MLLogger, experiment_context

    os.environ["REFUNC_DIR"] = str(folder / "experiments")
    logger = MLLogger("train", "CRITICAL")
    for run in range(runs):
        with experiment_context("digits", name_of(run), logger=logger):
            for step, value in enumerate(values(run, points)):
                logger.log_metrics({"loss": value}, step=step)


def live_refunc(folder: Path) -> Log:
    from refunc.logging import ExperimentTracker

    os.environ["REFUNC_DIR"] = str(folder / "experiments")
    tracker = ExperimentTracker("digits", "run-live")
    tracker.start_run()
    return lambda step, value: tracker.log_metrics({"loss": value}, step=step)


# -- trackio -----------------------------------------------------------------------------------------------------------


def write_trackio(folder: Path, runs: int, points: int) -> None:
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    import trackio

    for run in range(runs):
        trackio.init(project="digits", name=name_of(run), embed=False)
        for step, value in enumerate(values(run, points)):
            trackio.log({"loss": value}, step=step)
        trackio.finish()


def live_trackio(folder: Path) -> Log:
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    import trackio

    trackio.init(project="digits", name="run-live", embed=False)
    return lambda step, value: trackio.log({"loss": value}, step=step)


# -- TensorBoard -------------------------------------------------------------------------------------------------------


def write_tensorboard(folder: Path, runs: int, points: int) -> None:
    from tensorboardX import SummaryWriter

    for run in range(runs):
        with SummaryWriter(str(folder / "logs" / name_of(run))) as writer:
            for step, value in enumerate(values(run, points)):
                writer.add_scalar("loss", value, step)


def live_tensorboard(folder: Path) -> Log:
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder / "logs" / "run-live"), flush_secs=1)
    return lambda step, value: writer.add_scalar("loss", value, step)


# -- MLflow ------------------------------------------------------------------------------------------------------------


def write_mlflow(folder: Path, runs: int, points: int) -> None:
    import mlflow
    from mlflow.entities import Metric

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("digits")
    client = mlflow.MlflowClient()
    for run in range(runs):
        with mlflow.start_run(run_name=name_of(run)) as started:
            now = int(time.time() * 1000)
            metrics = [Metric("loss", value, now, step) for step, value in enumerate(values(run, points))]
            for at in range(0, points, 1_000):
                client.log_batch(started.info.run_id, metrics=metrics[at : at + 1_000])


def live_mlflow(folder: Path) -> Log:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("digits")
    mlflow.start_run(run_name="run-live")
    return lambda step, value: mlflow.log_metric("loss", value, step=step)


# -- aim ---------------------------------------------------------------------------------------------------------------


def write_aim(folder: Path, runs: int, points: int) -> None:
    from aim import Run

    for number in range(runs):
        run = Run(repo=str(folder), experiment="digits", system_tracking_interval=None, capture_terminal_logs=False)
        run.name = name_of(number)
        for step, value in enumerate(values(number, points)):
            run.track(value, name="loss", step=step)
        run.close()


def live_aim(folder: Path) -> Log:
    from aim import Run

    run = Run(repo=str(folder), experiment="digits", system_tracking_interval=None, capture_terminal_logs=False)
    run.name = "run-live"
    return lambda step, value: run.track(value, name="loss", step=step)


# -- all ---------------------------------------------------------------------------------------------------------------

PACKAGES = (
    Package(
        "refunc",
        write_refunc,
        live_refunc,
        lambda folder, port: [
            *(sys.executable, "-m", "refunc", "--store", str(folder / "experiments"), "ui"),
            *("--port", str(port), "--token", "t", "--no-open"),
        ],
        "?token=t",
        "document.querySelector('#table tbody .name a') !== null",
        "[...document.querySelectorAll('.chart')]"
        ".some(e => e.chart.plot && e.chart.caption.textContent.includes('points'))",
        variables=lambda folder: {"REFUNC_CACHE": str(folder / "cache")},
    ),
    Package(
        "trackio",
        write_trackio,
        live_trackio,
        lambda folder, port: [sys.executable, "-m", "trackio.cli", "show", "--project", "digits"],
        "?project=digits",
        "document.body.innerText.includes('run-0')",
        "document.querySelector('canvas.marks, .vega-embed canvas, .vega-embed svg') !== null",
        variables=lambda folder: {"TRACKIO_DIR": str(folder / "trackio")},
    ),
    Package(
        "TensorBoard",
        write_tensorboard,
        live_tensorboard,
        lambda folder, port: [
            *(sys.executable, "-m", "tensorboard.main", "--logdir", str(folder / "logs"), "--port", str(port)),
        ],
        "#timeseries",
        "document.body.innerText.includes('run-0')",
        # Its chart is there before its curves, with an axis from 0 to 1.
        "document.querySelector('scalar-card mat-spinner') === null && "
        "[...document.querySelectorAll('line-chart text')].some(e => /\\d{3}|\\dk/i.test(e.textContent))",
    ),
    Package(
        "MLflow",
        write_mlflow,
        live_mlflow,
        lambda folder, port: [
            *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
            *("--port", str(port), "--workers", "1"),
        ],
        "#/experiments/1/runs?compareRunsMode=CHART",
        "document.body.innerText.includes('run-0')",
        "document.querySelector('.js-plotly-plot .scatterlayer path, .js-plotly-plot canvas') !== null",
    ),
    Package(
        "aim",
        write_aim,
        live_aim,
        lambda folder, port: [
            *(sys.executable, "-c", "from aim.cli.cli import cli_entry_point; cli_entry_point()"),
            *("up", "--repo", str(folder), "--port", str(port), "--yes"),
        ],
        "runs",
        "document.body.innerText.includes('run-0')",
        "document.querySelector('svg .Line, svg path.Line, .LineChart svg path, .Visualizer svg path') !== null",
        chart_address="document.querySelector('a[href*=\"/runs/\"]').href + '/metrics'",
    ),
)
