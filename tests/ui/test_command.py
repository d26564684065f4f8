"""`refunc ui` and `show()`: the text printed, the port used, and the answer to a mistake."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ui


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


def test_one_line_with_the_address_and_a_token_of_its_own(store: Path, start: Callable[..., Any]) -> None:
    servers = [start(store, token=None) for _ in range(2)]

    tokens = set()
    for server in servers:
        found = re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=([\w-]{32})", server.address)
        assert found is not None, server.address
        tokens.add(found[1])
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"<html" in opener.open(server.address, timeout=20).read()
    assert len(tokens) == 2
    assert servers[0].stop() == ""


def run(store: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "refunc", "--store", str(store), "ui", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env={**os.environ, **environment})


def test_a_port_that_is_taken_is_told_and_another_one_used_unless_it_was_named(
    store: Path, start: Callable[..., Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(store, "--port", str(port))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (f"refunc: port {port} of 127.0.0.1 is taken. Choose another, or leave --port out.\n")
    try:
        usual = socket.create_server(("127.0.0.1", 8400))
    except OSError:  # another server of this machine has it
        usual = None
    server = start(store, "--port=0")  # which is any
    assert server.port != 8400
    moved = subprocess.Popen(
        [sys.executable, "-m", "refunc", "--store", str(store), "ui", "--no-open"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert moved.stdout is not None
        assert moved.stderr is not None
        address = moved.stdout.readline()
        port = int(address.split(":")[2].partition("/")[0])
        assert port > 8400
        assert moved.stderr.readline() == f"refunc: port 8400 is taken; the page is at {port}.\n"
    finally:
        moved.kill()
        moved.communicate()
        if usual is not None:
            usual.close()


def test_over_ssh_the_one_port_to_forward_is_told_and_no_browser_opened(store: Path, start: Callable[..., Any]) -> None:
    server = start(store, SSH_CONNECTION="10.0.0.1 1 10.0.0.2 22", BROWSER="false", DISPLAY=":0")

    said = server.stop()

    assert said == f"refunc: on your own machine: ssh -L {server.port}:localhost:{server.port} {socket.gethostname()}\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--host", "no.such.name.invalid"], "no.such.name.invalid"),
        (["--port", "70000"], "70000"),
        (["--port", "-1"], "-1"),
        (["extra"], "extra"),
    ],
)
def test_mistakes_are_one_line(store: Path, arguments: list[str], problem: str) -> None:
    done = run(store, *arguments)

    assert done.returncode in (1, 2)
    assert problem in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_a_store_that_does_not_exist_is_told(tmp_path: Path) -> None:
    done = run(tmp_path / "nowhere")

    assert (done.returncode, done.stderr) == (2, f"refunc: no store at {tmp_path}/nowhere: no such folder.\n")


def test_show_in_a_notebook_is_a_frame_on_a_server_that_ends_with_the_process(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    script = """
        import urllib.request
        from refunc.logging import MLLogger, experiment_context
        from refunc.runs import show

        with experiment_context("digits", "one"):
            MLLogger("training").log_metrics({"loss": 1.0}, step=1)
        one, two = show(height=300), show("experiments")
        assert one.src == two.src, "a store has one server"
        assert one.height == 300
        page = urllib.request.urlopen(one.src, timeout=20)
        assert b"<html" in page.read()
        assert "frame-ancestors" not in page.headers["content-security-policy"]
        assert b'"total":1' in urllib.request.urlopen(one.src + "api/runs", timeout=20).read()
        print("shown")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["shown"]), done.stderr


def test_without_the_page_show_says_how_to_install_it(tmp_path: Path) -> None:
    script = """
        import sys

        class Without:
            def find_spec(self, name, path, target=None):
                if name == "refunc_ui":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, Without())
        from refunc.runs import show
        show()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert "show() needs refunc_ui, which is not installed (pip install ./refunc-ui" in done.stderr.splitlines()[-1]


def test_importing_the_command_line_imports_no_server() -> None:
    code = "import sys, refunc_commands.cli.root, refunc.runs; print(*({'starlette', 'uvicorn'} & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout.strip()) == (0, "")
