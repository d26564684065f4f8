"""Names of every kind, as users have them: all arrive in MLflow, each under a name of its own, which a tag explains."""

from __future__ import annotations

import re
import time
from typing import Any

import attrs
import pytest
from hypothesis import given
from tests.names import NAMES, any_name

from refunc.journal.codec import encodable
from refunc.plugins import Artifact, Metrics, Params, Tags, text_of
from refunc.plugins.testing import opened
from refunc_mlflow import MLflowIntegration
from refunc_mlflow.names import experiment_of, key_of, path_of, tag_of

pytestmark = [pytest.mark.trackers, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]
#: As they stand in a journal, which has no half characters.
JOURNALED = list(dict.fromkeys(map(encodable, NAMES)))


def texts(pairs: list[Any]) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in pairs}


def original(spelt: str, tags: dict[str, str]) -> str:
    """Return the name that was logged, as a reader finds it."""
    mark = re.search(r"--([0-9a-f]{8})(?:\.\w+)*$", spelt)
    return tags[f"refunc.name.{mark[1]}"] if mark else spelt


@given(name=any_name)
def test_what_comes_out_passes_mlflows_own_checks(name: str) -> None:
    from mlflow.utils import validation
    from mlflow.utils.uri import validate_path_is_safe

    for kind, key in (("metric", key_of(name)), ("param", key_of(name)), ("tag", tag_of(name))):
        validation._validate_metric_name(key)
        validation._validate_length_limit(kind, validation.MAX_ENTITY_KEY_LENGTH, key)
    validation._validate_experiment_name(experiment_of(name))
    path = path_of(name)
    assert validate_path_is_safe(path) == path
    assert not validation.path_not_unique(path)
    assert max(len(part.encode()) for part in path.split("/")) <= 255


def test_params_metrics_and_tags_arrive_under_every_name(server: Any, name: str, run: Any) -> None:
    numbers = {each: float(number) for number, each in enumerate(JOURNALED)}
    given_texts = {each: f"{number} {each}" for number, each in enumerate(JOURNALED)}
    with opened(MLflowIntegration(tracking_uri=server.uri, experiment_name=name)) as hooks:
        hooks.on_metrics(run=run, records=[Metrics(metrics=numbers, step=1, time=1.7e9, writer="w", seq=1)])
        hooks.on_hyperparams(run=run, record=Params(params=given_texts))
        hooks.on_tags(run=run, record=Tags(tags=given_texts))

    [found] = server.runs(name)
    data, tags = found["data"], texts(found["data"]["tags"])
    assert {each["key"]: each["value"] for each in data["metrics"]} == {
        key_of(each): numbers[each] for each in JOURNALED
    }
    assert texts(data["params"]) == {key_of(each): text_of(given_texts[each]) for each in JOURNALED}
    assert tags["refunc.run_id"] == run.run_id
    for each in JOURNALED:
        assert tags[tag_of(each)] == text_of(given_texts[each])
        assert original(tag_of(each), tags) == original(key_of(each), tags) == text_of(each)


def test_files_arrive_under_every_name(lone_server: Any, name: str, run: Any) -> None:
    (run.folder / "artifacts").mkdir(exist_ok=True)
    given_names = [each for each in JOURNALED if "/" not in each and len(each) not in (0, 2)]
    stored = run.folder / "artifacts" / "stored"
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        for number, each in enumerate(given_names):
            stored.write_text("x" * (number + 1))
            hooks.on_artifact(
                run=run, record=Artifact(name=each, stored="artifacts/stored", size=number + 1, mtime=1.0)
            )

    [found] = lone_server.runs(name)
    tags = texts(found["data"]["tags"])
    files = lone_server.ask("artifacts/list", run_id=found["info"]["run_id"])["files"]
    sizes = {path_of(each): number + 1 for number, each in enumerate(given_names)}
    assert {file["path"]: int(file["file_size"]) for file in files} == sizes
    assert [original(path_of(each), tags) for each in given_names] == list(map(text_of, given_names))


def test_runs_and_experiments_have_every_name(server: Any, run: Any) -> None:
    odd = [f"{time.time_ns()}{each}"[-len(each) - 6 :] for each in NAMES[::6]]
    with opened(MLflowIntegration(tracking_uri=server.uri)) as hooks:
        for number, each in enumerate(odd):
            named = attrs.evolve(run, run_id=f"{run.run_id}n{number}", experiment_name=each, run_name=each)
            hooks.on_run_start(run=named)

    made = {
        each["name"]: each["experiment_id"]
        for each in server.post("experiments/search", max_results=5000)["experiments"]
    }
    ids = [made[experiment_of(each)] for each in odd]
    assert len(set(ids)) == len(odd)
    runs = server.post("runs/search", experiment_ids=ids, max_results=1000)["runs"]
    tagged = {texts(each["data"]["tags"])["refunc.run_id"]: each for each in runs}
    for number, each in enumerate(odd):
        found = tagged[f"{run.run_id}n{number}"]
        tags = texts(found["data"]["tags"])
        assert found["info"]["run_name"] == text_of(each, 250)
        assert tags.get("refunc.run_name") == (text_of(each) if text_of(each, 250) != each else None)
        assert original(experiment_of(each), tags) == text_of(each)


def test_the_spelling_is_that_of_the_readme_in_every_version() -> None:
    assert key_of("acc@5") == "acc_5--c4e871ab"
    assert path_of("plots/fig #1.png").startswith("plots/fig _1--")
