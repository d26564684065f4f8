"""Names of every kind, as users have them: W&B's own reader finds each, and the config explains it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from tests.names import NAMES, any_name
from tests.wandb.conftest import config_in

from refunc.journal.codec import encodable
from refunc.plugins import Artifact, LogLine, Metrics, Params, Tags, text_of
from refunc.plugins.testing import opened, sample_run
from refunc_wandb import WandBIntegration
from refunc_wandb.names import artifact_of, metric_of, param_of, path_of, project_of, tag_of, text_tag_of, type_of

pytestmark = [pytest.mark.trackers, pytest.mark.filterwarnings("default")]
#: As they stand in a journal, which has no half characters.
JOURNALED = list(dict.fromkeys(map(encodable, NAMES)))
Read = Callable[[Path], list[dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path) -> Any:
    return sample_run(tmp_path / "run", run_id="r1234567", params={}, tags={})


def original(spelt: str, config: dict[str, Any]) -> str:
    """Return the name that was logged, as a reader finds it."""
    mark = re.search(r"--([0-9a-f]{8})(?:\.\w+)*$", spelt)
    return str(config[f"refunc/name/{mark[1]}"]) if mark else spelt


@given(name=any_name)
def test_what_comes_out_passes_the_clients_own_checks(name: str) -> None:
    import wandb
    from wandb.sdk.artifacts import _validators as validators

    artifact, kind = f"{artifact_of(name)}-r1234567", type_of(name)
    validators.validate_artifact_name(artifact)
    validators.validate_artifact_types([kind])
    for each in (kind, "code", "run_table"):
        validators.validate_artifact_type(each, artifact)
    assert validators.validate_artifact_path(path_of(name)) == path_of(name)
    validators.validate_project_name(project_of(name))
    wandb.Settings(project=project_of(name), run_tags=(tag_of(name, name), text_tag_of(name)))
    assert param_of(name).strip("-") == param_of(name)


def test_metrics_params_and_tags_arrive_under_every_name(run: Any, read_offline: Read) -> None:
    numbers = {each: float(number) for number, each in enumerate(JOURNALED)}
    values = {each: f"{number} {each}" for number, each in enumerate(JOURNALED)}
    with opened(WandBIntegration(project="p", tags=[*NAMES[:40], "x" * 90], config={"tags": 5})) as hooks:
        hooks.on_metrics(run=run, records=[Metrics(metrics=numbers, step=1, time=1.7e9, writer="w", seq=1)])
        hooks.on_hyperparams(run=run, record=Params(params={**values, "nested": values}))
        tagged = attrs.evolve(run, tags=values)
        hooks.on_tags(run=tagged, record=Tags(tags=values))
        hooks.on_log(run=run, records=[LogLine(level="RESULT", message="r", metrics=numbers, other=values)])

    records = read_offline(run.folder)
    config = config_in(records)
    [row] = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert {each: row[metric_of(each)] for each in JOURNALED} == numbers
    assert row["refunc/record"] == "w:1"
    assert {each: config[param_of(each)] for each in JOURNALED if each != "tags"} == {
        each: text_of(value) for each, value in values.items() if each != "tags"
    }
    assert config[param_of("tags")] == text_of(values["tags"])
    assert config["nested"] == config["tags"] == {text_of(each): text_of(value) for each, value in values.items()}
    assert "_wandb" not in config or isinstance(config["_wandb"], dict)
    for each in JOURNALED:
        assert original(metric_of(each), config) == original(param_of(each), config) == text_of(each)
    tags = [record["run"]["tags"] for record in records if record["type"] == "run"][-1]
    assert len(tags) == len(set(tags)) == len(JOURNALED) + 41


@pytest.mark.parametrize(
    "value",
    ["wandb-artifact://a/b", {"_type": "artifactVersion", "x": 1}, ["wandb-artifact://a"], {"a": {"b": "\udce9"}}],
)
def test_values_that_wandb_would_look_up_arrive_as_text(value: Any, run: Any, read_offline: Read) -> None:
    with opened(WandBIntegration(project="p")) as hooks:
        hooks.on_hyperparams(run=run, record=Params(params={"odd": value, "inside": {"odd": value}, "lr": 0.1}))

    config = config_in(read_offline(run.folder))
    assert config["lr"] == 0.1
    assert re.sub(r"\W", "", json.dumps(config["inside"]["odd"])) == re.sub(r"\W", "", json.dumps(config["odd"]))


@pytest.mark.parametrize(
    "experiment", ["vision/resnet50", "lr: 0.1", "top 5%", "x" * 129, "caf\udce9", "..", "a\nb", "ok"]
)
def test_an_experiment_of_any_name_is_a_project(experiment: str, run: Any, read_offline: Read) -> None:
    run = attrs.evolve(run, experiment_name=experiment, run_name=f"{experiment}\x00{'y' * 200}")
    with opened(WandBIntegration(group="g" * 300, notes="\udce9")) as hooks:
        hooks.on_metrics(run=run, records=[Metrics(metrics={"a": 1.0}, time=1.7e9, writer="w", seq=0)])

    records = read_offline(run.folder)
    found = next(record["run"] for record in records if record["type"] == "run")
    config = config_in(records)
    assert found["project"] == project_of(experiment)
    assert original(found["project"], config) == text_of(experiment)
    assert config["refunc/run_name"] == text_of(run.run_name)
    assert len(found["display_name"]) == len(found["run_group"]) == 128


def test_files_types_and_metadata_of_any_kind_arrive(run: Any, read_offline: Read) -> None:
    (run.folder / "artifacts").mkdir(exist_ok=True)
    (run.folder / "artifacts" / "stored").write_text("x")
    names = [each for each in JOURNALED if each and "/" not in each and len(each) != 2][:40]
    odd = {"nan": math.nan, "deep": [{"inf": math.inf}], **{f"k{n}": n for n in range(150)}}
    record = Artifact(name="", stored="artifacts/stored", size=1, mtime=1.0, metadata=odd)
    with opened(WandBIntegration(project="p")) as hooks:
        for each in names:
            hooks.on_artifact(run=run, record=attrs.evolve(record, name=each, type=each))

    found = [each["artifact"] for each in read_offline(run.folder) if each["type"] == "artifact"]
    assert [each["name"] for each in found] == [f"{artifact_of(each)}-{run.run_id}" for each in names]
    assert [each["type"] for each in found] == [type_of(each) for each in names]
    assert len({each["name"] for each in found}) == len(names)
    for name, each in zip(names, found, strict=True):
        metadata = json.loads(each["metadata"])
        assert (
            original(each["name"].removesuffix(f"-{run.run_id}"), metadata) == original(each["type"], metadata) == name
        )
        assert json.loads(metadata["metadata"])["nan"] == "nan"


def test_spellings_are_those_of_the_readme_in_every_version() -> None:
    assert project_of("vision/resnet50") == "vision_resnet50--0acfcdb7"
    assert metric_of("_step") == "metric_step--97d58337"
    assert param_of("tags") == "param_tags--978c2f89"


@pytest.mark.parametrize("name", ["source", "run", "source-x", "run-x"])
def test_names_that_wandb_reserves_with_the_runs_id_behind_them_are_respelt(name: str) -> None:
    from wandb.sdk.artifacts import _validators as validators

    for kind in ("code", "run_table"):
        validators.validate_artifact_type(kind, f"{artifact_of(name)}-r1234567")
