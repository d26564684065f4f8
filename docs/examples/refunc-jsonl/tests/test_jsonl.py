"""The contract of every integration, and the promises of this one beyond it."""

import errno
import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from refunc_jsonl import JSONLIntegration

from refunc.plugins.testing import IntegrationContract, Stored, deliver, opened, sample_records, sample_run


class TestContract(IntegrationContract):
    @pytest.fixture
    def integration(self, tmp_path):
        return JSONLIntegration(path=str(tmp_path / "out.jsonl"))

    @pytest.fixture
    def stored(self, tmp_path):
        def of(run_id):
            found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
            kept = [line for line in found if line["run"] == run_id]
            metrics = [line for line in kept if line["kind"] == "metrics"]
            return Stored(
                metrics=[(name, line["step"], value) for line in metrics for name, value in line["metrics"].items()],
                params={name: value for line in kept for name, value in line.get("params", {}).items()},
                tags={name: value for line in kept if line["kind"] == "tags" for name, value in line["tags"].items()},
                lines=[line["message"] for line in kept if line["kind"] == "log"],
                status=next((line["status"] for line in kept if line["kind"] == "end"), None),
            )

        return of

    @pytest.fixture
    def failing(self, monkeypatch):
        @contextmanager
        def fail(how):
            def full(fd):
                raise OSError(errno.ENOSPC, "No space left on device")

            if how not in ("off", "500"):
                pytest.skip("a disk has no credentials, no rate and no time-out")
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", full)
                yield

        return fail


def test_a_record_that_comes_again_is_not_added_again(tmp_path):
    path = tmp_path / "out.jsonl"
    records = sample_records(5)
    for _ in range(2):
        with opened(JSONLIntegration(path=str(path))) as hooks:
            deliver(hooks, sample_run(tmp_path / "run"), records)

    ids = [(line["writer"], line["seq"]) for line in map(json.loads, path.read_text().splitlines())]
    assert len(ids) == len(set(ids)) == 11


def test_an_unfinished_line_is_ended(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text('{"run": "unfin')
    with opened(JSONLIntegration(path=str(path))) as hooks:
        deliver(hooks, sample_run(tmp_path / "run"), sample_records()[:1])

    assert json.loads(path.read_text().splitlines()[1])["kind"] == "params"


def test_installed_it_is_found_and_delivered_to(tmp_path):
    (tmp_path / "train.py").write_text(
        "from refunc.logging import JSONLIntegration, MLLogger, experiment_context\n"
        "log = MLLogger('train')\n"
        "log.add_integration(JSONLIntegration())\n"
        "with experiment_context('exp', 'run'):\n"
        "    for step in range(100): log.log_metrics({'loss': 0.5}, step=step)\n"
    )
    command = [sys.executable, "train.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "refunc.jsonl").read_text().splitlines()]
    assert kinds == ["metrics"] * 100 + ["end"]
