"""Settings that the MLflow plugin refuses before it is ever used, and the stores that it may use."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.names import NAMES

from refunc.journal.codec import encodable
from refunc.plugins import (
    Artifact,
    ConfigurationError,
    Metrics,
    NotConfigured,
    Params,
)
from refunc.plugins.testing import deliver, opened, sample_records
from refunc_mlflow import MLflowIntegration, addresses
from refunc_mlflow.names import PARAMS, experiment_of, key_of, path_of, tag_of

pytestmark = [pytest.mark.trackers, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]


@pytest.mark.parametrize("value", ["http://", "https://:80", "http://host:99999", ""])
def test_a_malformed_address_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow: tracking_uri is .*Expected: http://host"):
        MLflowIntegration(tracking_uri=value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("mlflow.lab.example:80/path", "http://mlflow.lab.example:80/path"),
        ("http:/localhost:5000", "http://host or https://host"),
        ("htp://host", "http://host, https://host, databricks, a database"),
    ],
)
def test_an_address_without_its_scheme_is_refused_with_the_right_one(value: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        MLflowIntegration(tracking_uri=value)

    assert str(caught.value).startswith(f"mlflow: tracking_uri is {value!r}, ")
    assert f"Expected: {meant}" in str(caught.value)


def test_a_password_in_a_malformed_address_does_not_show() -> None:
    with pytest.raises(ConfigurationError) as caught:
        MLflowIntegration(tracking_uri="ada:hunter2@localhost:5000")

    assert "hunter2" not in str(caught.value)


ADDRESSES = (
    *("databricks", "databricks://profile", "uc", "sqlite:///a.db", "postgresql+psycopg2://u:p@host/db"),
    *("mlruns", "./mlruns", "/data/mlruns", "file:///data/mlruns", "file:mlruns", "C:\\mlruns", "C:/mlruns"),
)


@pytest.mark.parametrize("value", ADDRESSES)
def test_addresses_of_servers_databases_and_folders_are_taken(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_has_stores", lambda: True)

    assert MLflowIntegration(tracking_uri=value).tracking_uri == value


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow: tracking_uri is 5\. Expected: text or None\."):
        MLflowIntegration(tracking_uri=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("uri", [None, "sqlite:///local.db"])
def test_without_the_full_package_a_local_store_is_not_configured(
    uri: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_has_stores", lambda: False)

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


def test_names_and_values_that_no_store_takes_arrive_in_a_local_one(
    parts: Any, name: str, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/local.db"
    names = list(map(encodable, NAMES[:120]))
    with opened(MLflowIntegration(tracking_uri=uri, experiment_name=f"{name}\udce9", tags={"\udce9": "\x00"})) as hooks:
        hooks.on_metrics(run=run, records=[Metrics(metrics=dict.fromkeys(names, 1.0), step=1, time=1.7e9)])
        hooks.on_hyperparams(run=run, record=Params(params=dict.fromkeys(names, "\x00 é" * 3_000)))
        for each in ("fig #1.png", "fig #2.png", "a%20b.txt", "refunc-log.txt"):
            stored = run.folder / "artifacts" / "0123456789abcdef-model.txt"
            record = Artifact(name=each, stored=f"artifacts/{stored.name}", size=7, mtime=1.0)
            hooks.on_artifact(run=run, record=record)

    import mlflow

    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name(experiment_of(f"{name}\udce9"))
    [found] = client.search_runs([experiment.experiment_id])
    assert set(found.data.metrics) == set(found.data.params) == {key_of(each) for each in names}
    assert found.data.tags[tag_of("\udce9")] == "\\u0000"
    files = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert files == {PARAMS, *map(path_of, ("fig #1.png", "fig #2.png", "a%20b.txt", "refunc-log.txt"))}


def test_requests_stay_below_a_megabyte() -> None:
    from refunc_mlflow.limits import in_batches

    class Item(NamedTuple):
        key: str
        value: str

    items = [Item("検" * 250, "🙂" * 5_000)] * 250 + [Item("a", "b")] * 250
    batches = list(in_batches(items, 100))

    assert [item for batch in batches for item in batch] == items
    assert max(map(len, batches)) == 100
    assert max(len(json.dumps([item._asdict() for item in batch], indent=2)) for batch in batches) < 1_000_000


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
