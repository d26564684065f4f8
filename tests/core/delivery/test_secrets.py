"""Secrets of integrations, and secrets that were logged: no argument, no file and no integration has them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

Calls = Callable[..., list[dict[str, Any]]]
Finished = Callable[..., tuple[int, str, str]]
Script = Callable[..., subprocess.Popen[str]]


def test_a_secret_is_in_no_argument_and_no_file(script: Script, own_folder: Path, calls: Calls, tools: Any) -> None:
    training = script("""
        log.add_integration(ProbeIntegration(token="hunter2"))
        with experiment_context("exp", "secret"):
            log.log_metrics({"loss": 1.0}); log.flush(); time.sleep(60)
    """)
    tools.until(lambda: calls("metrics"))

    [pid] = tools.delivery_pids(own_folder)

    assert calls("metrics")[0]["token"] == "hunter2"
    assert b"hunter2" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()
    training.kill()
    training.wait()
    left = tools.left_in(own_folder)
    assert [path for path in left if path.name.startswith("probe-")]
    assert {path.name for path, content in left.items() if b"hunter2" in content} == {"script0.py", "calls.jsonl"}


def test_a_secret_that_was_logged_reaches_no_integration_and_no_log_file(
    finished: Finished, calls: Calls, own_folder: Path, tools: Any
) -> None:
    code, _, _ = finished(
        """
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "masked"):
            log.log_hyperparams({"api_key": "hunter2-a", "db": {"url": "postgresql://ada:hunter2-b@db/x"}})
            log.set_tag("token", "hunter2-c3")
            log.info("login with password=hunter2-d", extra={"client_secret": "hunter2-e"})
            log.warning("using %s", os.environ["MY_TOKEN"])
            raise RuntimeError("401 for https://ada:hunter2-f@host/")
        """,
        MY_TOKEN="hunter2-plain",
    )

    assert code == 1
    tools.until(lambda: calls("end"))
    left = tools.left_in(own_folder)
    assert {"calls.jsonl", "logs", "experiments"} <= {path.relative_to(own_folder).parts[0] for path in left}
    assert [path.name for path, content in left.items() if b"hunter2" in content] == ["script0.py"]
    assert calls("params")[0]["params"] == {"api_key": "***", "db": {"url": "postgresql://***@db/x"}}
