"""Processes of refunc's own: the line that starts one, and the variables in its environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixture_types import Finished

from refunc.processes import own_process as child

pytestmark = pytest.mark.skipif(os.name == "nt", reason="passes descriptors on")


def test_what_is_started_knows_it_and_tells_nothing_on(finished: Finished) -> None:
    _, out, _ = finished("""
        import subprocess
        from refunc.processes import own_process as child
        code = "import os; os.write(1, repr([name for name in os.environ if 'REFUNC_CHILD' in name]).encode())"
        line = child.command("builtins:exec", code)
        environment = child.environment()
        print(environment["_REFUNC_CHILD"] == "", subprocess.run(line, env=environment, stdout=-1).stdout)
    """)

    assert out.split() == ["True", "b'[]'"]


def test_it_begins_for_a_training_that_has_ended_meanwhile(tmp_path: Path) -> None:
    """Python may take longer to begin than such a training lives: then the pipe for its answer has no reader."""
    answer, answering = os.pipe()
    os.close(answer)
    line = child.command("builtins:print", "began")

    done = subprocess.run(
        line, env=child.environment(answering), pass_fds=(answering,), capture_output=True, text=True, cwd=tmp_path
    )

    os.close(answering)
    assert (done.stdout, done.stderr) == ("began\n", "")


@pytest.mark.parametrize("options", [["-I"], ["-E"], ["-S"]])
def test_it_keeps_out_what_this_process_keeps_out(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('customized')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = f"""
import os, subprocess, sys
sys.path[:] = {sys.path!r}
from refunc.processes import own_process as child
subprocess.run(child.command("builtins:print", "began"), env=child.environment(), check=True)
"""

    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("began\n", "")


@pytest.mark.parametrize("program", ["python", "python3.13", "pypy3", "/opt/x/bin/graalpy", "C:\\py\\pythonw.exe"])
def test_what_is_taken_for_python(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", program)

    assert child.command("a:b")[0] == program
