"""
Whatever a stranger's run holds, no command does what it says, and every other run is answered as without it.

What may not happen is watched by Python's audit events, in the process that runs the commands; see `stranger`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.crash, pytest.mark.extras, pytest.mark.timeout(3600)]

SCRIPT = Path(__file__).with_name("stranger.py")


def test_no_command_obeys_a_strangers_run(
    times: Callable[[float, float], int], chance: random.Random, own_folder: Path
) -> None:
    (own_folder / "beside.py").write_text("raise SystemExit('imported')")
    metadata = own_folder / "sender-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sender\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[refunc.integrations]\nsender = sender:SenderIntegration\n")
    (own_folder / "sender.py").write_text(
        "from refunc.plugins import Integration, hookimpl, option\n"
        "import socket\n"
        "class SenderIntegration(Integration):\n"
        "    url: str = option(default='http://mine.example')\n"
        "    token: str | None = option(default=None, env='SENDER_TOKEN', secret=True)\n"
        "    @hookimpl\n"
        "    def on_run_start(self, run): socket.create_connection(('127.0.0.1', 9))\n"
    )
    # No bytecode: an installed plugin is imported, and where Python keeps that is no matter of the run.
    environ = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "SENDER_TOKEN": "mine",
        "PYTHONPATH": os.pathsep.join([str(own_folder), *_search_path()]),
    }
    wrong: dict[int, object] = {}
    for number in range(times(12, 600)):
        seed = chance.randrange(1 << 32)
        command = [sys.executable, str(SCRIPT), str(seed), str(own_folder / f"{number}")]
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=300)
        found = json.loads(done.stdout) if done.returncode == 0 else done.stderr[-2_000:]
        if found:
            wrong[seed] = found

    assert wrong == {}


def _search_path() -> list[str]:
    given = os.environ.get("PYTHONPATH", "")
    return [given] if given else []
