"""The cost of an import over a bare interpreter, in new processes that take turns with the bare one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from measuring import Figures

PAIRS = 2

CASES = {
    "logging": "import logging",
    "refunc.logging": "import refunc.logging",
    "refunc.logging, and one metric": "from refunc.logging import MLLogger; MLLogger('x').log_metrics({'loss': 1.0})",
    "picologging": "import picologging",
    "tqdm": "import tqdm",
    "loguru": "import loguru",
    "structlog": "import structlog",
    "tensorboardX": "import tensorboardX",
    "wandb": "import wandb",
    "dvclive": "import dvclive",
    "trackio": "import trackio",
    "aim": "import aim",
    "mlflow": "import mlflow",
}


def measure(name: str) -> Figures:
    start("pass"), start(CASES[name])  # the first only fills the byte-code caches
    pairs = [(start("pass"), start(CASES[name])) for _ in range(PAIRS)]
    return {"import": min(taken for _, taken in pairs) - min(bare for bare, _ in pairs)}


def start(code: str) -> float:
    """Return the seconds of an interpreter that runs *code*."""
    environment = {**os.environ, "REFUNC_DIR": str(Path.cwd())}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began
