"""Runs of many processes that are gone, made by hand; and how a folded file is made by hand."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from refunc.journal.codec import encode_line
from refunc.processes.opener import facts_of_this_process

START = 1_795_448_151.0


def ended_process() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def make_run(folder: Path, writers: int, lines: int = 3, *, ends: bool = True, pid: int = 0) -> Path:
    """Make the run *folder*, to which so many processes wrote so many lines each, all of them gone."""
    pid = pid or ended_process()
    (folder / "journal").mkdir(parents=True)
    facts = {**facts_of_this_process(os.stat(folder).st_dev), "pid": pid}
    birth = {"format": 1, "run_id": folder.name[-8:], "run_name": "many", "experiment_name": "x", "start_time": START}
    birth |= {"logger": "train", "host": platform.node(), "pid": pid, "opened_by": facts}
    (folder / "run.json").write_text(json.dumps(birth))
    for writer in range(writers):
        rows: list[dict[str, Any]] = [header(f"node-{writer}-a-{writer:05}", pid)]
        for seq in range(lines):
            moment = START + 1 + seq * writers + writer
            fields: dict[str, Any] = {"kind": "metrics", "step": seq, "metrics": {"loss": 1 / (1 + seq + writer)}}
            if seq % 3 == 2:
                fields = {"kind": "log", "level": "INFO", "message": f"{writer} {seq}"}
            rows.append({"seq": seq, "time": moment, **fields})
        if ends and writer == 0:
            rows.append({"seq": lines, "time": START + 1 + lines * writers, "kind": "end", "status": "completed"})
        path = folder / "journal" / f"node-{writer}-a-{writer:05}.000000.jsonl"
        path.write_bytes(b"".join(map(encode_line, rows)))
    return folder


def header(writer: str, pid: int) -> dict[str, Any]:
    """Return the first line of a segment of *writer*."""
    fields = {"kind": "segment", "format": 1, "writer": writer, "segment": 0, "time": START, "logger": "train"}
    return {**fields, "host": platform.node(), "pid": pid}


def join(journal: Path, paths: list[Path], name: str = "joined.folded") -> Path:
    """Put the segments *paths* into one folded file, as it is written down, and remove them."""
    sizes = [[path.name, path.stat().st_size] for path in paths]
    line = encode_line({"kind": "folded", "format": 1, "segments": sizes})
    newest = max(path.stat().st_mtime_ns for path in paths)
    (journal / name).write_bytes(line + b"".join(path.read_bytes() for path in paths))
    os.utime(journal / name, ns=(newest, newest))
    for path in paths:
        path.unlink()
    return journal / name
