"""A report stays below 2 MB whatever the run is, and names the parts that it does not show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_line
from refunc.runs.run import Run
from refunc_commands.report.content import content_of
from refunc_commands.report.curves import Drawing
from refunc_commands.report.page import page
from refunc_commands.report.room import encoded

pytestmark = pytest.mark.once

#: As long as text becomes in the page: six bytes a letter.
LONG = "<" * 2_000


def hostile(folder: Path, *, step: int = 0) -> Run:
    """Return a run that has much of everything, each of it as long as it may be."""
    lines: list[dict[str, Any]] = [
        {"kind": "params", "params": {f"{LONG}{at}": LONG for at in range(100)}},
        {"kind": "tags", "tags": {f"{LONG}{at}": LONG for at in range(100)}},
        *(
            {"kind": "metrics", "step": step + at, "metrics": {f"{LONG}{m}": 1e-300 for m in range(100)}}
            for at in (1, 2)
        ),
        *(
            {"kind": "metrics", "step": step + at, "metrics": {f"{m}": 1.23456789e-300 for m in range(3_000)}}
            for at in (3, 4)
        ),
        *({"kind": "log", "level": LONG, "logger": LONG, "message": LONG, "extra": {}} for _ in range(100)),
        *({"kind": "artifact", "name": LONG, "type": LONG, "source": LONG, "size": 1} for _ in range(100)),
        {"kind": "end", "status": LONG, "duration": 1.0, "error": "\n".join([LONG] * 10)},
    ]
    (folder / "journal").mkdir(parents=True)
    birth = dict.fromkeys(("run_name", "experiment_name", "script", "host", "python", "refunc"), LONG)
    (folder / "run.json").write_text(json.dumps({"format": 1, "run_id": LONG, "start_time": 1.0, **birth}))
    data = b"".join(encode_line({"seq": seq, "time": 1.0 + seq, **line}) for seq, line in enumerate(lines))
    (folder / "journal" / "main.000000.jsonl").write_bytes(data)
    return Run.open(folder)


@pytest.mark.parametrize("count", [1, 3])
def test_no_run_makes_a_report_larger(tmp_path: Path, count: int) -> None:
    runs = [hostile(tmp_path / str(number), step=10**11 + number) for number in range(count)]

    content = content_of(runs, title=LONG[:300], made="now")
    document = page(content["title"], content).encode()

    assert 200_000 < len(document) < 2_000_000
    for run in content["runs"]:
        assert [text.split()[2:4] for text in run["left_out"]] == [
            *(["100", "params"], ["100", "tags"], ["3,100", "values"], ["100", "artifacts"])
        ]
        assert run["lines_of"] == 100 > len(run["lines"]) > 0
        assert run["params"]
        assert run["error"]
    assert content["charts"]["list"]
    assert content["charts"]["left_out"] == 3_100 - len(content["charts"]["list"])


def test_many_runs_leave_room_for_the_curves_of_their_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heads of all runs were in the page, however many there are."""
    monkeypatch.setattr("refunc_commands.report.content._HEADS", 40_000)
    runs = [hostile(tmp_path / str(number)) for number in range(6)]

    content = content_of(runs, title="many", made="now", drawing=Drawing(groups=("start_time",)))

    assert len(page(content["title"], content).encode()) < 2_000_000
    assert 0 < len(content["runs"]) == 6 - content["runs_left_out"] < 6
    assert all(len(encoded(run)) > 1_000 for run in content["runs"])
    assert " (6 runs)" in content["charts"]["list"][0]["curves"][0]["label"]


def test_an_ordinary_run_is_shown_whole(tmp_path: Path) -> None:
    (tmp_path / "run" / "journal").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text(json.dumps({"format": 1, "run_id": "a", "start_time": 1.0}))
    lines: list[dict[str, Any]] = [
        {"kind": "params", "params": {"lr": 0.1}},
        {"kind": "metrics", "step": 1, "metrics": {"loss": 0.5, "acc": 1.0}},
        {"kind": "end", "status": "failed", "duration": 1.0, "error": "Traceback\n  line\nValueError: x\n"},
    ]
    data = b"".join(encode_line({"seq": seq, "time": 1.0 + seq, **line}) for seq, line in enumerate(lines))
    (tmp_path / "run" / "journal" / "main.000000.jsonl").write_bytes(data)

    (run,) = content_of([Run.open(tmp_path / "run")], title="a", made="now")["runs"]

    assert run["left_out"] == []
    assert run["params"] == {"lr": "0.1"}
    assert list(run["values"]) == ["acc", "loss"]
    assert run["error"] == "Traceback\n  line\nValueError: x\n"
