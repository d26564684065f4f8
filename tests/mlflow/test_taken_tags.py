"""Tags that were taken away, at the edge of MLflow's client: which requests are made."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from refunc.plugins import Tags
from refunc.plugins.testing import sample_run
from refunc_mlflow import MLflowIntegration
from refunc_mlflow.names import tag_of


class Client:
    """The part of MLflow's client that tags runs; a tag that is not there cannot be deleted."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.deleted: list[str] = []

    def get_run(self, run_id: str) -> Any:
        return SimpleNamespace(data=SimpleNamespace(tags=dict(self.tags)))

    def log_batch(self, run_id: str, tags: list[Any]) -> None:
        self.tags.update((tag.key, tag.value) for tag in tags)

    def delete_tag(self, run_id: str, key: str) -> None:
        del self.tags[key]
        self.deleted.append(key)


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def integration(client: Client) -> MLflowIntegration:
    made = MLflowIntegration(tracking_uri="http://nowhere")
    made._client = client
    made._entities = SimpleNamespace(RunTag=lambda key, value: SimpleNamespace(key=key, value=value))
    made._runs, made._originals = {"r1234567": "0"}, {}
    return made


def test_a_tag_that_was_taken_away_is_deleted_once(
    integration: MLflowIntegration, client: Client, tmp_path: Path
) -> None:
    run = sample_run(tmp_path, run_id="r1234567", params={}, tags={})
    odd = "a name: with/ characters\n"

    integration.on_tags(run, Tags(tags={"best": "yes", "team": "vision", odd: "x"}))
    integration.on_tags(run, Tags(tags={"team": "text"}, taken=("best", odd, "never there")))
    integration.on_tags(run, Tags(tags={"team": "text"}, taken=("best", odd, "never there")))

    assert client.deleted == ["best", tag_of(odd)]
    assert {name: value for name, value in client.tags.items() if not name.startswith("refunc.")} == {"team": "text"}


def test_tags_without_any_taken_away_ask_for_nothing(
    integration: MLflowIntegration, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "get_run", lambda run_id: pytest.fail("the run was asked for"))

    integration.on_tags(sample_run(tmp_path, run_id="r1234567", params={}, tags={}), Tags(tags={"team": "vision"}))

    assert client.tags == {"team": "vision"}
