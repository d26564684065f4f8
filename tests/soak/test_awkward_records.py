"""
A training whose records are awkward in every way that users' are, delivered to all trackers at once.

`SOAK_RECORDS` sets how many ordinary points it logs, and `SOAK_AWKWARD` how many awkward records among them; the long
form, 100,000 and 200, takes ten minutes: `SOAK_RECORDS=100000 SOAK_AWKWARD=200 tox -e trackers-py313 -- tests/soak`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery.dead_letters import DeadLetters
from refunc.delivery.sync import targets_of
from refunc.runs.store import open_store

RECORDS, AWKWARD = int(os.environ.get("SOAK_RECORDS", "500")), int(os.environ.get("SOAK_AWKWARD", "42"))
pytestmark = [pytest.mark.trackers, pytest.mark.timeout(1800), pytest.mark.filterwarnings("default")]

TRAINING = Path(__file__).with_name("training.py")


def test_everything_else_arrives_once_and_each_awkward_record_is_there_or_told_of(
    sqlite_server: Any,
    postgresql_server: Any,
    gateway: Any,
    slack: Any,
    own_folder: Path,
    read_offline: Callable[[Path], list[dict[str, Any]]],
    tools: Any,
) -> None:
    uris = {
        "mlflow": [sqlite_server.uri, postgresql_server.uri, f"sqlite:///{own_folder}/local.db"],
        "port": tools.free_port(),
        "gateway": gateway.url,
        "slack": slack.url,
    }
    waits = {"REFUNC_EXIT_WAIT": "900", "REFUNC_DELIVERY_LINGER": "60"}
    command = [sys.executable, str(TRAINING), str(RECORDS), str(AWKWARD), json.dumps(uris)]
    done = subprocess.run(
        command, cwd=own_folder, env={**os.environ, **waits}, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr

    [run] = list(open_store(own_folder / "experiments"))
    targets = tools.until(
        lambda: (found := targets_of(run.folder)) and all(each.is_done for each in found) and found, deadline=120
    )
    told = [(each.passport.target, each.health.dead, each.health.aside, each.health.last_error) for each in targets]
    print("\n".join(map(str, told)))
    for target in targets:
        for letter in DeadLetters(run.folder, target.passport.key).lines():
            assert json.loads(letter)["reason"], letter
            print(target.passport.name, json.loads(letter)["hook"], json.loads(letter)["reason"][:150])
    for server in (sqlite_server, postgresql_server):
        [found] = _runs(server)
        assert found["info"]["status"] == "FINISHED"
        steps = Counter(int(row["step"]) for row in server.history(found["info"]["run_id"], "loss"))
        assert set(range(RECORDS)) <= set(steps)
        assert max(steps[step] for step in range(RECORDS)) <= 2  # an awkward point may have the step of an ordinary one
    with sqlite3.connect(own_folder / "local.db") as database:
        rows = database.execute("select step, count(*) from metrics where key = 'loss' group by step").fetchall()
        assert {step for step, _ in rows} >= set(range(RECORDS))
        assert database.execute("select status from runs").fetchall() == [("FINISHED",)]
    items = [each["history"]["item"] for each in read_offline(run.folder) if each["type"] == "history"]
    wandb_steps = [item["refunc/step"] for item in items if "loss" in item]
    assert [step for step in wandb_steps if step in range(RECORDS)] == list(range(RECORDS))
    assert "final" in slack.messages[-1]["text"] or "run #1" in json.dumps(slack.messages[-1], ensure_ascii=False)
    assert not slack.refused


def _runs(server: Any) -> list[Any]:
    found = server.post("experiments/search", max_results=100)["experiments"]
    ids = [each["experiment_id"] for each in found]
    return list(server.post("runs/search", experiment_ids=ids, max_results=10).get("runs", []))
