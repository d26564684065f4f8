"""Stores that others have made, or that are not whole: hostile texts and paths, damage, one id twice, many runs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ui.conftest import multiply, wait_for

pytestmark = pytest.mark.ui

HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'`&\u2028\x00\x1b[31m"


def test_texts_of_a_hostile_store_come_as_they_are_and_never_as_html(
    tmp_path: Path, start: Callable[..., Any], train: Callable[..., None]
) -> None:
    store = tmp_path / "experiments"
    train(
        store,
        f"""
        text = {HTML!r}
        with run(text, text, tags={{text: text}}):
            logger.log_hyperparams({{text: text, "half": chr(0xd800)}})
            logger.log_metrics({{text: 1.0}}, step=1)
            logger.warning(text)
            open("page.html", "w").write("<script>alert(1)</script>")
            open("picture.svg", "w").write("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
            logger.log_artifact("page.html", artifact_type=text)
            logger.log_artifact("picture.svg")
        """,
    )
    server = start(store)
    (row,) = server.json("/api/runs")["rows"]

    answers = {
        "/api/runs": {"columns": f"params.{HTML[:40]}"},
        "/api/names": {},
        "/api/metrics": {"run": row["id"]},
        "/api/run": {"run": row["id"]},
        "/api/lines": {"run": row["id"]},
        "/api/artifacts": {"run": row["id"]},
        "/api/curves": {"run": row["id"], "metric": server.json("/api/names")["metrics"][0]},
    }
    for path, params in answers.items():
        answer = server.get(path, **params)
        kind = "application/octet-stream" if path == "/api/curves" else "application/json"
        assert (answer.status, answer.headers["content-type"]) == (200, kind)
        assert answer.headers["x-content-type-options"] == "nosniff"
        if kind == "application/json":
            assert "alert(1)" in json.dumps(answer.json)
    for name in ("page.html", "picture.svg"):
        answer = server.get("/api/artifact", run=row["id"], path=name)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["content-security-policy"].startswith("sandbox")
        kept = server.get("/api/artifact", run=row["id"], path=name, download=1)
        assert kept.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"
        assert kept.body == answer.body
    error = server.get("/api/runs", where=HTML)
    assert (error.status, error.headers["content-type"]) == (400, "application/json")


def test_paths_never_leave_the_folder_of_the_run(
    tmp_path: Path, start: Callable[..., Any], train: Callable[..., None]
) -> None:
    from refunc.journal.codec import encode_line

    store = tmp_path / "experiments"
    train(store, "with run('one'): logger.log_metrics({'loss': 1.0}, step=1)")
    (folder,) = [path for path in store.iterdir() if (path / "run.json").exists()]
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    places = {
        "outside": "../../secret.txt",
        "absolute": str(secret),
        "dots": "artifacts/../../../secret.txt",
        "link": "artifacts/link",
        "through": "artifacts/folder/secret.txt",
        "birth": "run.json",
        "pipe": "artifacts/pipe",
        "nothing": "artifacts",
        "nul": "artifacts/\0",
    }
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "link").symlink_to(secret)
    (folder / "artifacts" / "folder").symlink_to(tmp_path)

    os.mkfifo(folder / "artifacts" / "pipe")
    listing = [
        {"path": "inside", "stored": "../../secret.txt", "size": 6},
        {"path": "same", "stored": "artifacts/link"},
    ]
    (folder / "artifacts" / "x.files.json").write_text(json.dumps(listing))
    lines = [{"kind": "artifact", "name": name, "stored": stored, "size": 6} for name, stored in places.items()]
    lines.append({"kind": "artifact", "name": "list", "stored": "artifacts/x.files.json", "size": 6, "files": 2})
    with open(next((folder / "journal").iterdir()), "ab") as journal:
        journal.writelines(encode_line({"seq": 100 + number, "time": 1.0, **line}) for number, line in enumerate(lines))
    server = start(store)
    (run,) = server.ids().values()

    for path in (*places, "list/inside", "list/same", "list/../link", "../../secret.txt", str(secret), "unknown"):
        answer = server.get("/api/artifact", run=run, path=path)
        assert answer.status == 404, path
        assert b"secret" not in answer.body.replace(b"secret.txt", b""), path
    for run_name in ("..", "../..", str(tmp_path), "%2e%2e", ""):
        assert server.get("/api/run", run=run_name).status in (400, 404)


def test_one_damaged_run_hides_no_other(tmp_path: Path, start: Callable[..., Any], train: Callable[..., None]) -> None:
    store = tmp_path / "experiments"
    train(store, "for n in range(3):\n    with run(f'run-{n}'): logger.log_metrics({'loss': 1.0}, step=1)")
    folders = sorted(path for path in store.iterdir() if (path / "run.json").exists())
    (folders[0] / "run.json").write_text("{")
    shutil.rmtree(folders[1] / "journal")
    (folders[1] / "journal").write_text("not a folder")
    (store / "loop").symlink_to(store / "loop")
    (store / "pipe").mkdir()
    server = start(store)

    found = server.json("/api/runs", columns="metrics.loss")
    assert [each["folder"] for each in found["unreadable"]] == [folders[0].name]
    by_name = {row["name"]: row for row in found["rows"]}
    assert by_name["run-2"]["values"] == [1.0]
    curves = server.curves(metric="loss", run=[row["id"] for row in found["rows"]])
    assert [curve["run"] for curve in curves["curves"]] == [by_name["run-2"]["id"]]
    for path in ("/api/run", "/api/lines", "/api/metrics", "/api/artifacts"):
        assert server.get(path, run=by_name["run-1"]["id"]).status in (200, 404, 503), path


def test_a_run_whose_rights_are_mended_is_read_though_nothing_else_has_changed(
    tmp_path: Path,
    start: Callable[..., Any],
    train: Callable[..., None],
    listen: Callable[..., Any],
    require: Callable[[bool, str], None],
) -> None:
    require(os.geteuid() != 0 or shutil.which("setpriv") is not None, "apt-get install util-linux")
    without_powers = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]
    store = tmp_path / "experiments"
    train(store, "for n in range(2):\n    with run(f'run-{n}'): logger.log_metrics({'loss': 1.0}, step=1)")
    closed = min(store.glob("*/journal/*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    closed.chmod(0)
    server = start(store, before=without_powers if os.geteuid() == 0 else [])
    ids = server.ids()

    def losses() -> dict[str, Any]:
        return {row["name"]: row["values"][0] for row in server.json("/api/runs", columns="metrics.loss")["rows"]}

    wait_for(lambda: losses() == {"run-0": None, "run-1": 1.0})
    stream = listen(server)
    stream.until(lambda event: event.kind == "store")
    closed.chmod(0o644)

    stream.until(lambda event: ids["run-0"] in event.data["changed"])
    wait_for(lambda: losses() == {"run-0": 1.0, "run-1": 1.0})


def test_two_folders_with_one_id_are_told_apart_by_their_names(
    tmp_path: Path, start: Callable[..., Any], train: Callable[..., None]
) -> None:
    store = tmp_path / "experiments"
    train(store, "with run('one'): logger.log_metrics({'loss': 1.0}, step=1)")
    (folder,) = [path for path in store.iterdir() if (path / "run.json").exists()]
    shutil.copytree(folder, store / "copy")
    server = start(store)

    ids = {row["id"] for row in server.json("/api/runs")["rows"]}
    assert ids == {folder.name, "copy"}
    assert {server.json("/api/run", run=name)["folder"] for name in ids} == {str(folder), str(store / "copy")}


def test_a_page_of_very_many_runs(tmp_path: Path, start: Callable[..., Any], train: Callable[..., None]) -> None:
    store = tmp_path / "experiments"
    train(store, "with run('base', tags={'a': 'b'}): logger.log_metrics({'loss': 1.0}, step=1)")
    multiply(store, 10_000)
    server = start(store)

    page = server.json("/api/runs", limit=100, offset=5_000)
    assert (page["total"], len(page["rows"])) == (10_000, 100)
    assert page["rows"][0]["name"] == "run-4999"
    assert len(server.get("/api/runs", limit=100).body) < 60_000
    assert server.json("/api/runs", where="run_name == 'run-77'")["matched"] == 1
