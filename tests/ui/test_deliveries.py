"""How far a run is delivered, as the page is told: by its cursors, and by the integrations that its journal names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery.cursor import Cursor
from refunc.delivery.custody import save_cursor
from refunc.journal.codec import encode_line

pytestmark = pytest.mark.ui


def test_each_integration_of_a_run_has_a_state_those_that_have_not_begun_too(
    tmp_path: Path, start: Callable[..., Any], train: Callable[..., None]
) -> None:
    store = tmp_path / "experiments"
    train(store, "with run('one'): logger.log_metrics({'loss': 1.0}, step=1)")
    [folder] = [path.parent for path in store.glob("*/run.json")]
    with open(next((folder / "journal").iterdir()), "ab") as journal:
        for seq, key in enumerate(("mlflow", "slack", "mlflow"), 100):
            journal.write(
                encode_line({"kind": "attach", "seq": seq, "time": 1.0, "name": key, "key": key, "path": "a:B"})
            )
    cursors = {
        "mlflow": {"started": True, "delivered": 3},
        "gone": {"started": True, "last_error": "no route"},
        "idle": {},
    }
    for key, facts in cursors.items():
        save_cursor(Cursor(folder, key, key, **facts))
    (folder / "delivery" / "broken.json").write_text("{")
    server = start(store)

    found = server.json("/api/run", run=server.ids()["one"])["delivery"]

    assert [(each["name"], each["state"]) for each in found] == [
        ("gone", "ok"),
        ("mlflow", "ok"),
        ("slack", "not begun"),
    ]
    assert [found[0]["last_error"], found[1]["delivered"], found[1]["is_done"]] == ["no route", 3, False]
    assert found[1]["waiting"] > 3
