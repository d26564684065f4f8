"""The reference's claims about each tracker: its options, and the records that arrive there, by real clients."""

from __future__ import annotations

import http.server
import importlib.util
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import (
    MLflowIntegration,
    MLLogger,
    PrometheusIntegration,
    SlackIntegration,
    WandBIntegration,
)

OPTIONS: dict[str, tuple[type, dict[str, Any]]] = {
    '`tracking_uri="http://localhost:5000"`': (MLflowIntegration, {"tracking_uri": "http://localhost:5000"}),
    '`experiment_name="my_experiment"`': (
        MLflowIntegration,
        {"tracking_uri": "http://localhost:5000", "experiment_name": "my_experiment"},
    ),
    '`project="my_project"`': (WandBIntegration, {"project": "my_project"}),
    '`entity="my_team"`': (WandBIntegration, {"entity": "my_team"}),
    '`config={"lr": 0.001, "batch_size": 32}`': (WandBIntegration, {"config": {"lr": 0.001, "batch_size": 32}}),
    "`port=8000`": (PrometheusIntegration, {"port": 8000}),
    '`namespace="ml_training"`': (PrometheusIntegration, {"namespace": "ml_training"}),
    '`webhook_url="https://hooks.slack.com/..."`': (SlackIntegration, {"webhook_url": "https://hooks.slack.com/..."}),
    '`channel="#ml-alerts"`': (SlackIntegration, {"webhook_url": "https://h/", "channel": "#ml-alerts"}),
    "`error_notifications=True`": (SlackIntegration, {"webhook_url": "https://h/", "error_notifications": True}),
    "`completion_notifications=True`": (
        SlackIntegration,
        {"webhook_url": "https://h/", "completion_notifications": True},
    ),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_is_taken_as_it_is_written_and_one_that_is_none_is_told(option: str) -> None:
    """`MLflowIntegration(`, `WandBIntegration(`, `PrometheusIntegration(`, `SlackIntegration(`."""
    kind, options = OPTIONS[option]
    name = option.strip("`").partition("=")[0]

    assert getattr(kind(**options), name) == options[name]
    with pytest.raises(TypeError, match=f"{name}_"):
        kind(**options, **{f"{name}_": 1})


@pytest.fixture
def delivered(tools: Any) -> Callable[[MLLogger], None]:
    """Wait until all that a logger has logged was delivered."""

    def wait(logger: MLLogger) -> None:
        logger.flush()

        def is_done() -> bool:
            return all(each.delivered and not each.waiting for each in logger.health().values())

        tools.until(is_done, 100)

    return wait


# -- MLflow


@pytest.mark.trackers
@pytest.mark.filterwarnings("default")
def test_all_logging_is_sent_to_mlflow(user: Any, delivered: Any, require: Any) -> None:
    """`mlflow_integration = MLflowIntegration(`: "All logging will now be sent to MLflow"."""
    require(all(importlib.util.find_spec(name) for name in ("mlflow", "sqlalchemy")), "pip install mlflow")
    Path("model.pkl").write_text("weights")
    logger = MLLogger("training")
    uri = f"sqlite:///{user.folder}/mlflow.db"
    logger.add_integration(MLflowIntegration(tracking_uri=uri, experiment_name="my_experiment"))
    logger.start_experiment("image_classification", "resnet_v1")
    logger.info("Starting training process")
    logger.log_hyperparams({"lr": 0.001})
    logger.log_metrics({"loss": 0.5}, step=100)
    logger.set_tag("model", "resnet50")
    logger.log_artifact("model.pkl", artifact_type="model")
    logger.error("Training failed!")
    logger.log_result("final_accuracy", 0.945, metadata={"dataset": "test"})
    logger.end_experiment(final_metrics={"accuracy": 0.95})
    delivered(logger)

    from mlflow.tracking import MlflowClient

    client: Any = MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("my_experiment").experiment_id])
    assert (run.info.run_name, run.info.status) == ("resnet_v1", "FINISHED")
    assert run.data.params == {"lr": "0.001"}
    assert run.data.metrics == {"loss": 0.5, "accuracy": 0.95, "final_accuracy": 0.945}
    assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")] == [(100, 0.5)]
    assert run.data.tags["model"] == "resnet50"
    said = json.dumps(run.data.tags)
    assert all(text in said for text in ("Training failed!", "dataset", '"model"'))
    files = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert "model.pkl" in files
    (lines,) = [name for name in files if name.endswith(".txt")]
    text = Path(client.download_artifacts(run.info.run_id, lines)).read_text()
    assert all(line in text for line in ("Starting training process", "Training failed!", "final_accuracy"))


# -- Weights & Biases


@pytest.mark.trackers
@pytest.mark.filterwarnings("default")
def test_logging_syncs_to_wandb(user: Any, delivered: Any, require: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`wandb_integration = WandBIntegration(`: "Logging automatically syncs to W&B"."""
    require(importlib.util.find_spec("wandb") is not None, "pip install wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = MLLogger("training")
    logger.add_integration(
        WandBIntegration(project="my_project", entity="my_team", config={"lr": 0.001, "batch_size": 32})
    )
    logger.start_experiment("image_classification", "resnet_v1")
    logger.log_hyperparams({"epochs": 100})
    logger.log_metrics({"accuracy": 0.92}, step=100)
    logger.end_experiment()
    delivered(logger)

    (kept,) = user.folder.rglob("*.wandb")
    content = kept.read_bytes()
    names = (b"my_project", b"my_team", b"batch_size", b"epochs", b"accuracy", b"0.92", b"resnet_v1")
    assert [name for name in names if name not in content] == []


# -- Prometheus


@pytest.mark.trackers
@pytest.mark.filterwarnings("default")
def test_metrics_are_exported_to_be_scraped(user: Any, delivered: Any, require: Any, tools: Any) -> None:
    """`prometheus = PrometheusIntegration(`: "Export metrics to Prometheus", "Metrics are automatically exported"."""
    require(importlib.util.find_spec("prometheus_client") is not None, "pip install prometheus-client")
    port = tools.free_port()
    logger = MLLogger("training")
    logger.add_integration(PrometheusIntegration(port=port, namespace="ml_training"))
    logger.start_experiment("image_classification", "resnet_v1")
    logger.log_metrics({"loss": 0.75, "accuracy": 0.5})
    logger.log_metrics({"loss": 0.5, "accuracy": 0.92})
    delivered(logger)

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        samples = [line for line in answer.read().decode().splitlines() if line.startswith("ml_training_")]
    values = {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in samples}
    assert {name: value for name, value in values.items() if name.endswith(("_loss", "_accuracy"))} == {
        "ml_training_loss": 0.5,
        "ml_training_accuracy": 0.92,
    }
    assert all('experiment="image_classification"' in line for line in samples if "_loss{" in line)
    logger.end_experiment()
    delivered(logger)


# -- Slack


@pytest.fixture
def slack(require: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a receiver of messages at `url`; `messages` are those that came."""
    require(importlib.util.find_spec("slack_sdk") is not None, "pip install slack-sdk")
    import refunc_slack

    monkeypatch.setattr(refunc_slack, "INTERVAL", 0.0)

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *given: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.messages = []  # type: ignore[attr-defined]
    server.url = f"http://127.0.0.1:{server.server_port}/services/x"  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.trackers
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("is_started", [True, False], ids=["started", "implicit"])
@pytest.mark.parametrize("errors", [True, False])
@pytest.mark.parametrize("completions", [True, False])
def test_errors_and_completions_are_sent_to_slack(
    errors: bool,
    completions: bool,
    is_started: bool,
    slack: Any,
    user: Any,
    delivered: Any,
    tools: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`slack = SlackIntegration(`: "Errors and completion messages sent to Slack", each unless switched off."""
    monkeypatch.setenv("REFUNC_DELIVERY", "thread")
    logger = MLLogger("training")
    logger.add_integration(
        SlackIntegration(
            webhook_url=slack.url,
            channel="#ml-alerts",
            error_notifications=errors,
            completion_notifications=completions,
        )
    )
    if is_started:
        logger.start_experiment("image_classification", "resnet_v1")
    logger.info("not important")
    logger.error("Training failed!")
    logger.log_result("Training completed", {"final_accuracy": 0.95})
    logger.end_experiment()
    delivered(logger)
    tools.until(lambda: len(slack.messages) >= errors + completions)  # delivery counts a message before it is sent

    texts = [json.dumps(message) for message in slack.messages]
    assert len(texts) == errors + completions
    assert all(message["channel"] == "#ml-alerts" for message in slack.messages)
    assert not any("not important" in text for text in texts)
    if errors:
        assert "Training failed!" in texts[0]
    if completions:
        assert all(word in texts[-1] for word in ("completed", "Training completed", "final_accuracy"))
        assert "0.95" in texts[-1]
