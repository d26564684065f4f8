"""Names and labels as Prometheus takes them, and a bound on their number."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.names import NAMES, any_name
from tests.prometheus.conftest import MadeWith, get, points, scrape

from refunc.plugins import Metrics, text_of
from refunc.plugins.testing import opened, sample_run
from refunc_prometheus.exposition import MAX_NAMES, RunValues
from refunc_prometheus.names import LONGEST_LABEL

pytestmark = pytest.mark.trackers


@given(names=st.lists(any_name, unique=True, min_size=2, max_size=40))
def test_names_are_valid_never_meet_and_are_kept(names: list[str]) -> None:
    values, seen = RunValues(sample_run(Path())), {}
    for number, each in enumerate(names):
        values.take(Metrics(metrics={each: float(number)}))
        assert {**values.names, **seen} == values.names  # a series has one owner for good
        seen = dict(values.names)

    assert len(set(seen.values())) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_]{1,210}", name) for name in seen.values())


def test_a_series_never_goes_to_another_metric(run: Any, made_with: MadeWith) -> None:
    made = made_with()

    def shown() -> dict[str, str]:
        lines = [line for line in scrape(made).splitlines() if line.startswith("ml_val_loss")]
        return {re.findall('metric="(.*?)"', line)[0]: line.replace("{", " ").split()[0] for line in lines}

    with opened(made) as hooks:
        hooks.on_metrics(run=run, records=points({"val/loss": 0.25}))
        assert shown() == {"val/loss": "ml_val_loss"}
        hooks.on_metrics(run=run, records=points({"val_loss": 99.0, "val.loss": 3.0}))
        first = shown()
        assert first["val/loss"] == "ml_val_loss"
        assert len(set(first.values())) == 3

    with opened(made) as hooks:  # after a restart
        hooks.on_metrics(run=run, records=points({"val/loss": 0.25}))
        hooks.on_metrics(run=run, records=points({"val_loss": 99.0, "val.loss": 3.0}))
        assert shown() == first


def test_names_and_labels_of_all_kinds_pass_the_parser_and_reach_a_real_server(
    start: Callable[..., None], run: Any, tmp_path: Path, made_with: MadeWith, tools: Any
) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    made, port = made_with(), tools.free_port()
    names = [each for each in NAMES if len(each) != 2]
    scrape_config = {
        "scrape_configs": [{"job_name": "r", "static_configs": [{"targets": [f"127.0.0.1:{made.port}"]}]}],
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(scrape_config))
    with opened(made) as hooks:
        for number, each in enumerate(names):
            named = attrs.evolve(run, run_id=f"r{number}", run_name=each, experiment_name=each)
            hooks.on_metrics(run=named, records=points({each: float(number)}))
        hooks.on_metrics(run=run, records=points({each: float(number) for number, each in enumerate(names)}))
        samples = [
            sample
            for family in text_string_to_metric_families(scrape(made))
            for sample in family.samples
            if "metric" in sample.labels
        ]
        assert len(samples) == 2 * len(names)
        of_one = {sample.labels["metric"]: sample.value for sample in samples if sample.labels["run_id"] == run.run_id}
        assert of_one == {text_of(each, LONGEST_LABEL): float(number) for number, each in enumerate(names)}
        data, ready = "--storage.tsdb.path=data", f"http://127.0.0.1:{port}"
        start(
            "prometheus", f"{ready}/-/ready", "--config.file=prometheus.yml", data, f"--web.listen-address={ready[7:]}"
        )

        def count() -> int:
            query = urllib.parse.quote('count({metric!=""})')
            found = json.loads(get(f"{ready}/api/v1/query?query={query}"))["data"]["result"]
            return int(found[0]["value"][1]) if found else 0

        tools.until(lambda: count() == 2 * (len(names) - 1))  # an empty label is none


def test_hostile_names_and_labels_still_scrape(run: Any, made_with: MadeWith) -> None:
    made = made_with()
    odd = attrs.evolve(run, run_name='a"b\\c\nd', experiment_name="λ")
    with opened(made) as hooks:
        hooks.on_metrics(run=odd, records=points({'x"\n# HELP': 1.0, "λ": 2.0, "step": 3.0}))
        text = scrape(made)

    from prometheus_client.parser import text_string_to_metric_families

    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.value for sample in samples if sample.name.startswith(("ml_x", "ml__", "ml_step_"))} == {
        1.0,
        2.0,
        3.0,
    }
    assert samples[0].labels["run"] == 'a"b\\c\nd'


def test_names_without_end_are_bounded_and_counted(run: Any, made_with: MadeWith) -> None:
    made = made_with()
    with opened(made) as hooks:
        for number in range(MAX_NAMES + 50):
            hooks.on_metrics(run=run, records=points({f"m{number}": 1.0}))
        text = scrape(made)

    assert text.count("\nml_m") - text.count("\nml_metrics_ignored") == MAX_NAMES
    [ignored] = [line for line in text.splitlines() if line.startswith("ml_metrics_ignored_total")]
    assert ignored.endswith(" 50.0")


def test_ranks_are_values_of_one_metric_and_told_apart_by_a_label(run: Any, made_with: MadeWith) -> None:
    made = made_with()

    def of(rank: int, name: str, value: float) -> list[Metrics]:
        return [Metrics(metrics={name: value}, step=10 - rank, writer=f"node7-4711-mwtfezun-n6xe_r{rank}")]

    with opened(made) as hooks:
        hooks.on_metrics(run=run, records=of(0, "loss", 0.5))
        hooks.on_metrics(run=run, records=of(3, "rank_3/loss", 0.75))
        shown = [line for line in scrape(made).splitlines() if line.startswith("ml_loss{")]
        assert {(re.findall('rank="(.*?)"', line)[0], float(line.split()[-1])) for line in shown} == {
            ("0", 0.5),
            ("3", 0.75),
        }
        assert {re.findall('metric="(.*?)"', line)[0] for line in shown} == {"loss"}
        assert "ml_step{" in scrape(made)
        assert [line.split()[-1] for line in scrape(made).splitlines() if line.startswith("ml_step{")] == ["10.0"]
