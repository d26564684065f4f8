"""What the MLflow plugin refuses before it is ever used, and the stores that it may use."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import refunc_mlflow
from refunc.plugins import (
    ConfigurationError,
    NotConfigured,
)
from refunc.plugins.testing import deliver, opened, sample_records
from refunc_mlflow import MLflowIntegration

pytestmark = [pytest.mark.trackers, pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("value", ["http://", "https://:80", "http://host:99999", ""])
def test_a_malformed_address_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow: tracking_uri is .*Expected: http://host"):
        MLflowIntegration(tracking_uri=value)


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow: tracking_uri is 5\. Expected: text or None\."):
        MLflowIntegration(tracking_uri=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("uri", [None, "sqlite:///local.db"])
def test_without_the_full_package_a_local_store_is_not_configured(
    uri: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refunc_mlflow, "_has_stores", lambda: False)

    with pytest.raises(NotConfigured, match=r"MLFLOW_TRACKING_URI, or: pip install mlflow"):
        MLflowIntegration(tracking_uri=uri)
    MLflowIntegration(tracking_uri="http://localhost:5000")


def test_a_local_store_is_used_where_the_full_package_is(parts: Any, name: str, run: Any, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/local.db"
    with opened(MLflowIntegration(tracking_uri=uri, experiment_name=name)) as hooks:
        deliver(hooks, run, sample_records()[:3])

    import mlflow

    found = mlflow.MlflowClient(uri).search_runs([mlflow.MlflowClient(uri).get_experiment_by_name(name).experiment_id])
    assert [each.data.params["lr"] for each in found] == ["0.01"]
    assert not math.isinf(found[0].data.metrics["val/acc"])


def test_the_target_of_a_local_store_is_its_address(parts: Any) -> None:
    assert MLflowIntegration(tracking_uri="sqlite:///runs.db").target == "mlflow sqlite:///runs.db"


def test_a_password_in_the_address_does_not_show() -> None:
    made = MLflowIntegration(tracking_uri="http://user:hunter2@host:5000")

    assert made.target == "mlflow http://***@host:5000"


def test_importing_the_plugin_imports_no_mlflow() -> None:
    code = (
        "import sys, refunc_mlflow as p; p.MLflowIntegration(tracking_uri='http://h'); print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout == "False\n", done.stderr
