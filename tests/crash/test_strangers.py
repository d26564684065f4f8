"""
Whatever a stranger's run holds, no command obeys it, and every other run is answered as without it.

Python's audit events show all that may not happen, in the process that runs the commands; see `stranger`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ranked import ranked

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


@pytest.mark.parametrize("name", ["2.{}.json", "{}.0.json", "x{}"], ids=["ranks", "attempts", "others"])
def test_very_many_files_of_ranks_cost_a_moment_and_hide_nothing(
    name: str, times: Callable[[float, float], int], own_folder: Path
) -> None:
    from click.testing import CliRunner

    from refunc_commands.cli.root import refunc

    folder = ranked()
    for number in range(times(50_000, 1_000_000)):
        os.mknod(folder / "ranks" / name.format(number + 10))
    slow = {}
    for command in (
        *(["ls"], ["show", "resnet"], ["show", "resnet", "--json"], ["show", "resnet", "--all-ranks"]),
        *(["logs", "resnet", "--rank", "3"], ["plot", "resnet", "-m", "loss", "--rank", "all"], ["report", "resnet"]),
        *(["export", "--rank", "all", "--attempts", "all", "-o", "points.csv"], ["doctor"], ["gc"], ["gc", "--fold"]),
    ):
        began = time.process_time()
        result = CliRunner().invoke(refunc, command)
        took = time.process_time() - began
        assert isinstance(result.exception, (SystemExit, type(None))), command
        if took > 20:
            slow[" ".join(command)] = took
    assert slow == {}
    with open("points.csv") as file:
        assert sum(1 for _ in file) == 1 + 4 * (15 + 10)


def _search_path() -> list[str]:
    given = os.environ.get("PYTHONPATH", "")
    return [given] if given else []
