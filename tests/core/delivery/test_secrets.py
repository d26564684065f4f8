"""Secrets of integrations, and secrets that were logged: no argument, no file and no integration has them."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fixture_types import Calls, Finished

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


def test_no_form_of_a_secret_option_is_in_anything_that_delivery_writes_or_says(
    finished: Finished, own_folder: Path, tools: Any
) -> None:
    token = "sesame0/with+signs="
    code, out, err = finished(f"""
        log.add_integration(LeakyIntegration(token={token!r}))
        with experiment_context("exp", "leaky"):
            log.log_metrics({{"loss": 1.0}}, step=1)
            log.info("a line"); log.flush()
            while not log.health()["leaky"].dead: time.sleep(0.01)
            print(log.health()["leaky"].last_error)
    """)

    assert code == 0, err
    assert out.startswith("refused: *** | ***"), out
    left = {path: content for path, content in tools.left_in(own_folder).items() if not path.suffix.startswith(".py")}
    assert any(path.name == "process.log" for path in left)
    assert any(path.name.endswith(".dead.jsonl") for path in left)
    said = [out.encode(), err.encode(), *(content for path, content in left.items() if path.name != "calls.jsonl")]
    forms = ["sesame", b64encode(f"x:{token}".encode()).decode()[4:20], b64encode(b"ada:sesame2-pass").decode()[:16]]
    assert not [form for form in forms if any(form.encode() in text for text in said)]


def test_no_character_of_a_servers_answer_acts_on_a_terminal(finished: Finished, own_folder: Path, tools: Any) -> None:
    code, out, err = finished("""
        log.add_integration(RudeIntegration())
        with experiment_context("exp", "rude"):
            log.info("a line"); log.flush()
            while not log.health()["rude"].dead: time.sleep(0.01)
            print(ascii(log.health()["rude"].last_error))
    """)

    assert code == 0, err
    assert "refused: \\\\x00" in out
    left = {path.name: content for path, content in tools.left_in(own_folder).items() if "delivery" in path.parts}
    assert {name if name == "process.log" else Path(name).suffix for name in left} >= {"process.log", ".json", ".jsonl"}
    said = [(name, content.decode()) for name, content in left.items()] + [("console", err)]
    assert [(n, ascii(c)) for n, text in said for c in set(text) if not c.isprintable() and c not in "\n\t"] == []
    lines = left["process.log"].decode().splitlines()
    assert [line for line in lines if "forged" in line and line.startswith("    2026-01-01")]
    assert not [line for line in lines if line.startswith("2026-01-01")]
