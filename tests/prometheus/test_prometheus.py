"""The Prometheus plugin: a real server scrapes it, a real gateway takes its pushes, promtool checks what it says."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from refunc.plugins import ConfigurationError, LogLine, Metrics, Retry, RunEnd
from refunc.plugins.testing import IntegrationContract, deliver, opened, sample_records, sample_run
from refunc_prometheus import PrometheusIntegration
from refunc_prometheus.exposition import MAX_NAMES, name_of, names_of

pytestmark = pytest.mark.trackers
MadeWith = Callable[..., PrometheusIntegration]
INSTALL = "apt-get install prometheus prometheus-pushgateway"


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def answers(url: str) -> bool:
    try:
        return bool(get(url)) or True
    except OSError:
        return False


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
        process.wait(10)


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


class TestContract(IntegrationContract):
    @pytest.fixture
    def integration(self, made_with: MadeWith) -> PrometheusIntegration:
        return made_with()


def test_a_real_server_scrapes_it(
    start: Callable[..., None], run: Any, tmp_path: Path, made_with: MadeWith, tools: Any
) -> None:
    made, port = made_with(), tools.free_port()
    scrape_config = {
        "scrape_configs": [
            {"job_name": "refunc", "static_configs": [{"targets": [f"127.0.0.1:{made.port}"]}]},
        ],
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(scrape_config))  # JSON is YAML
    with opened(made) as hooks:
        hooks.on_run_start(run=run)
        hooks.on_metrics(
            run=run, records=points({"train/loss": 0.5, "bad": math.nan, "big": math.inf}, step=7, epoch=2)
        )
        hooks.on_log(run=run, records=[LogLine(level="ERROR", message="x")] * 3)
        start(
            "prometheus",
            f"http://127.0.0.1:{port}/-/ready",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
        )

        def ask(query: str) -> dict[str, Any] | None:
            text = get(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}")
            found = json.loads(text)["data"]["result"]
            return found[0] if found else None

        loss = tools.until(lambda: ask("ml_train_loss"))
        assert loss["value"][1] == "0.5"
        labels = {name: loss["metric"][name] for name in ("experiment", "run", "run_id")}
        assert labels == {"experiment": "digits", "run": "baseline", "run_id": run.run_id}
        expected = {
            "ml_step": "7",
            "ml_epoch": "2",
            "ml_bad": "NaN",
            "ml_big": "+Inf",
            'ml_run_status{status="running"}': "1",
            'ml_log_lines_total{level="ERROR"}': "3",
            "ml_records_dropped_total": "0",
            "ml_run_info": "1",
        }

        def values(*queries: str) -> dict[str, str | None]:
            return {query: (ask(query) or {"value": [0, None]})["value"][1] for query in queries}

        tools.until(lambda: values(*expected) == expected)  # a scrape that takes too long leaves gaps

        hooks.on_run_end(run=run, record=RunEnd(status="failed", dropped=4))
        ended = {'ml_run_status{status="failed"}': "1", "ml_records_dropped_total": "4"}
        tools.until(lambda: values(*ended) == ended)


def test_what_it_says_passes_promtool(require: Callable[[bool, str], None], run: Any, made_with: MadeWith) -> None:
    require(shutil.which("promtool") is not None, INSTALL)
    made = made_with()
    with opened(made) as hooks:
        deliver(hooks, run, sample_records())
        text = scrape(made)

    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr + text


def test_a_gateway_takes_a_short_job(start: Callable[..., None], run: Any, made_with: MadeWith, tools: Any) -> None:
    port = tools.free_port()
    gateway = f"http://127.0.0.1:{port}"
    start("prometheus-pushgateway", f"{gateway}/-/ready", f"--web.listen-address=127.0.0.1:{port}")
    other = attrs.evolve(run, run_id="another")

    with opened(made_with(push_gateway=gateway)) as hooks:
        for number, each in enumerate((run, other)):
            hooks.on_metrics(run=each, records=points({"loss": float(number)}))
            hooks.on_run_end(run=each, record=RunEnd(status="completed"))

    text = get(f"{gateway}/metrics")
    lines = [line for line in text.splitlines() if line.startswith("ml_loss{")]
    assert sorted(line.rpartition(" ")[2] for line in lines) == ["0", "1"]
    assert all('job="refunc"' in line for line in lines)


def test_a_gateway_that_is_not_there_is_tried_again(run: Any, made_with: MadeWith, tools: Any) -> None:
    with opened(made_with(push_gateway=f"http://127.0.0.1:{tools.free_port()}")) as hooks, pytest.raises(OSError):
        hooks.on_run_start(run=run)


def test_a_port_that_somebody_else_has_is_reported_with_the_next_step(run: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        made = PrometheusIntegration(port=port)
        with pytest.raises(Retry, match=rf"port {port} cannot be opened .* pass PrometheusIntegration\(port=...\)"):
            made.open()
    made.open()  # as delivery does when it is free again
    made.close()


def test_integrations_of_one_process_share_a_port(run: Any, tools: Any) -> None:
    port = tools.free_port()
    one, other = PrometheusIntegration(port=port, namespace="a"), PrometheusIntegration(port=port, namespace="b")
    with opened(one) as first:
        with opened(other) as second:
            first.on_metrics(run=run, records=points({"loss": 1.0}))
            second.on_metrics(run=run, records=points({"loss": 2.0}))
            text = scrape(one)
        assert "a_loss{" in text
        assert "b_loss{" in text
        assert "b_loss{" not in scrape(one)
    assert not answers(f"http://127.0.0.1:{port}/metrics")


def test_names_are_valid_and_never_meet() -> None:
    names = [
        "train/loss",
        "train_loss",
        "train.loss",
        "step",
        "1st",
        "λ",
        "λ ",
        "a b",
        "",
        "run_info",
        "x" * 500,
        "a\nb",
    ]
    found = names_of(names)

    assert found["train_loss"] == "train_loss"
    assert name_of("val/acc") == "val_acc"
    assert len(set(found.values())) == len(names)
    assert all(name.replace("_", "a").isascii() and name.replace("_", "a").isalnum() for name in found.values())
    assert found == names_of(reversed(names))


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


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"port": 0}, "prometheus: port is 0. Expected: a number from 1 to 65535."),
        ({"port": 70_000}, "prometheus: port is 70000"),
        ({"port": "8000"}, "prometheus: port is '8000'. Expected: a whole number."),
        ({"namespace": "a-b"}, "prometheus: namespace is 'a-b'. Expected: letters"),
        ({"push_gateway": "host"}, "prometheus: push_gateway is 'host', which is no address"),
    ],
)
def test_a_mistake_is_told(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PrometheusIntegration(**options)

    assert str(caught.value).startswith(text)


def test_importing_the_plugin_imports_no_client() -> None:
    code = "import sys, refunc_prometheus as p; p.PrometheusIntegration(); print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout == "False\n", done.stderr
