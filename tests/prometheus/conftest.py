"""The programs of Prometheus, and the plugin on a free port."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.plugins import Metrics
from refunc.plugins.testing import sample_run
from refunc_prometheus import PrometheusIntegration

MadeWith = Callable[..., PrometheusIntegration]

INSTALL = "apt-get install prometheus prometheus-pushgateway"


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def said_by(url: str) -> str | None:
    """Return the answer of *url*; None where nothing listens, or not for long enough."""
    try:
        return get(url)
    except OSError:
        return None


def answers(url: str) -> bool:
    return said_by(url) is not None


@pytest.fixture(autouse=True)
def client(require: Callable[[bool, str], None]) -> None:
    require(importlib.util.find_spec("prometheus_client") is not None, "pip install prometheus-client")


@pytest.fixture
def start(require: Callable[[bool, str], None], tmp_path: Path, tools: Any) -> Iterator[Callable[..., None]]:
    """Start one of Debian's programs and wait until it answers; it is stopped by its own id."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str, ready: str, *options: str) -> None:
        require(shutil.which(program) is not None, INSTALL)
        with open(tmp_path / f"{program}.log", "wb") as log:
            process = subprocess.Popen([program, *options], cwd=tmp_path, stdout=log, stderr=log)
        started.append(process)
        tools.until(lambda: answers(ready))

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def run(tmp_path: Path) -> Any:
    return sample_run(tmp_path / "run")


@pytest.fixture
def made_with(tools: Any) -> MadeWith:
    """Make the integration with some options, on a free port."""
    return lambda **options: PrometheusIntegration(**{"port": tools.free_port(), "namespace": "ml", **options})


def scrape(made: PrometheusIntegration) -> str:
    return get(f"http://127.0.0.1:{made.port}/metrics")


def points(values: dict[str, float], **fields: Any) -> list[Metrics]:
    return [Metrics(metrics=values, **fields)]
