"""With the trackers' own packages installed, importing refunc and finding its plugins imports none of them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

BACKENDS = ["mlflow", "wandb", "prometheus_client", "slack_sdk", "sqlalchemy", "requests", "pandas", "numpy"]


@pytest.mark.trackers
@pytest.mark.parametrize(
    "code",
    [
        "import refunc.logging",
        "from refunc.logging import MLflowIntegration, WandBIntegration, PrometheusIntegration, SlackIntegration",
        "from refunc.logging import MLLogger, auto_configure_integrations as a; MLLogger('x').add_integrations(a())",
    ],
)
def test_no_backend_is_imported(code: str) -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    imported = re.findall(r"\|\s+([\w.]+)$", done.stderr, re.M)
    assert "refunc.logging" in imported
    assert [name for name in imported if name.partition(".")[0] in BACKENDS] == []
