"""The Slack plugin: slack_sdk's own client against a local receiver that enforces Slack's documented limits."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import URLError

import attrs
import pytest
from tests.slack.conftest import SECRET, Receiver, problem_of

import refunc_slack
from refunc.plugins import ConfigurationError, LogLine, NotConfigured, Pause, Reject, Retry, RunEnd
from refunc.plugins.testing import IntegrationContract, Stored, opened
from refunc_slack import SlackIntegration
from refunc_slack.messages import digest_message, end_message, error_message

pytestmark = pytest.mark.trackers
KILLS = int(os.environ.get("OUTAGE_KILLS", "6"))


def lines(*messages: str, level: str = "ERROR", age: float = 0.0, **fields: Any) -> list[LogLine]:
    moment = time.time() - age
    return [
        LogLine(level=level, message=message, time=moment, writer="w", seq=n, logger="train", **fields)
        for n, message in enumerate(messages)
    ]


def raising(error: Exception) -> Callable[..., None]:
    def fail(*given: object) -> None:
        raise error

    return fail


class TestContract(IntegrationContract):
    secrets: ClassVar[tuple[str, ...]] = (SECRET, "hunter2")

    @pytest.fixture
    def integration(self, slack: Receiver) -> SlackIntegration:
        return SlackIntegration(webhook_url=slack.url, channel="#ml-alerts")

    @pytest.fixture
    def stored(self, slack: Receiver) -> Callable[[str], Stored]:
        """Return the errors that were told, and how the end was told; nothing in a message says a run's id."""

        def of(run_id: str) -> Stored:
            texts = [message["text"] for message in slack.messages]
            said = re.search(r"baseline.*?(completed|failed|gone|interrupted)", texts[-1]) if texts else None
            return Stored(lines=re.findall(r"line \d", " ".join(texts)), status=said and said[1])

        return of

    @pytest.fixture
    def failing(self, slack: Receiver, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
        @contextlib.contextmanager
        def fail(how: str) -> Iterator[None]:
            with monkeypatch.context() as patch:
                if how == "off":
                    patch.setattr("slack_sdk.webhook.WebhookClient.send_dict", raising(URLError(OSError())))
                elif how == "slow":
                    slack.answers_after = 1.0
                else:
                    patch.setattr(slack, "judge", lambda message: (int(how), "no"))
                yield
            slack.answers_after = 0.0

        return fail


def test_an_error_becomes_a_message(slack: Receiver, run: Any) -> None:
    with opened(SlackIntegration(webhook_url=slack.url, channel="#ml")) as hooks:
        hooks.on_log(run=run, records=lines("out of memory", step=7.5, exception="Traceback\nValueError: no"))
        hooks.on_log(run=run, records=lines("fine", level="INFO"))

    [message] = slack.messages
    assert message["channel"] == "#ml"
    shown = json.dumps(message)
    assert all(part in shown for part in ("ERROR: baseline", "out of memory", "ValueError: no", "step 7.5", "digits"))


def test_a_completion_has_duration_results_and_traceback(slack: Receiver, run: Any) -> None:
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        hooks.on_log(run=run, records=lines("done", level="RESULT", metrics={"accuracy": 0.95}))
        hooks.on_run_end(run=run, record=RunEnd(status="failed", duration=7_500, error="Traceback\nKeyError: 'x'"))

    [text] = slack.texts()
    assert all(part in text for part in ("baseline failed after 2 h 5 min", "accuracy", "0.95", "KeyError"))


def test_the_end_has_each_result_under_its_name(slack: Receiver, run: Any) -> None:
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        hooks.on_log(run=run, records=lines("Training completed", level="RESULT", metrics={"acc": 0.95, "f1": 0.9}))
        hooks.on_log(run=run, records=lines("test", level="RESULT", metrics={"acc": 0.8}))
        hooks.on_log(run=run, records=lines("auc", level="RESULT", metrics={"auc": 0.7}))
        hooks.on_log(run=run, records=lines("early stop", level="RESULT"))
        hooks.on_run_end(run=run, record=RunEnd(status="completed", duration=1, metrics={"acc": 0.8, "loss": 0.1}))

    [message] = slack.messages
    [fields] = [block["fields"] for block in message["blocks"] if "fields" in block]
    assert [field["text"] for field in fields] == [
        "*Training completed*\nacc 0.95\nf1 0.9",
        "*test*\nacc 0.8",
        "*auc*\n0.7",
        "*early stop*",
        "*loss*\n0.1",
    ]


def test_a_crash_says_what_it_is(slack: Receiver, run: Any) -> None:
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        hooks.on_run_end(run=run, record=RunEnd(status="crashed", duration=30))

    assert "crashed (its process is gone) after 30 s" in slack.texts()[0]


def test_notifications_can_be_switched_off(slack: Receiver, run: Any) -> None:
    quiet = SlackIntegration(webhook_url=slack.url, error_notifications=False, completion_notifications=False)
    with opened(quiet) as hooks:
        hooks.on_log(run=run, records=lines("no"))
        hooks.on_run_end(run=run, record=RunEnd(status="completed"))

    assert slack.messages == []


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "&<>" * 50_000, "`" * 10_000, "\x1b[31m\u202e\x00 red", "", "\n" * 9_000]
)
def test_whatever_is_logged_fits_the_limits_and_is_no_markup(text: str, slack: Receiver, run: Any) -> None:
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        hooks.on_log(run=run, records=lines(f"<!channel> {text}", exception=text, other={"a": text}))
        hooks.on_log(run=run, records=lines(*[f"<!here> {text}"] * 50, exception=text))
        end = RunEnd(status="failed", error=text, metrics={f"{text[:200]}{n}": text for n in range(30)})
        hooks.on_run_end(run=run, record=end)

    assert slack.refused == []
    assert len(slack.messages) == 3
    for message in slack.messages:
        texts = [part["text"] for block in message["blocks"] if block["type"] != "header" for part in _texts_in(block)]
        assert not [found for found in texts if "<!" in found or "\x1b" in found or "\u202e" in found]


def _texts_in(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in (block.get("text"), *block.get("fields", []), *block.get("elements", [])) if part]


def test_a_storm_of_errors_is_one_message_and_the_rest_is_counted(slack: Receiver, run: Any) -> None:
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        hooks.on_log(run=run, records=lines(*[f"error {n}" for n in range(500)]))
        for n in range(20):
            hooks.on_log(run=run, records=lines(f"another {n}"))
        hooks.on_run_end(run=run, record=RunEnd(status="completed"))

    texts = slack.texts()
    assert "500 errors" in texts[0]
    assert "error 0" in texts[0]
    assert "error 499" in texts[0]
    assert len(texts) <= 7
    assert "16 errors were not sent" in texts[-1]


def test_messages_keep_their_distance(slack: Receiver, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment at which the earlier one came: it may have been on its way for long."""
    monkeypatch.setattr(refunc_slack, "INTERVAL", 0.6)
    slack.rate = 0.6
    slack.delays.append(0.5)
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        hooks.on_log(run=run, records=lines("a", "b", "c"))

    assert len(slack.messages) == 3


@pytest.mark.parametrize(
    ("code", "kind"),
    [(429, Retry), (500, Retry), (503, Retry), (408, Retry), (400, Reject), (403, Pause), (404, Pause), (410, Pause)]
    + [(code, Pause) for code in (300, 301, 302, 303, 304, 307, 308)],
)
def test_what_an_answer_means(code: int, kind: type[Exception], slack: Receiver, run: Any) -> None:
    slack.answers.append((code, "no_service"))
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks, pytest.raises(kind) as caught:
        hooks.on_log(run=run, records=lines("a"))

    assert getattr(caught.value, "after", None) == (3.0 if code == 429 else None)
    assert slack.followed == []
    assert SECRET not in str(caught.value)


def test_a_server_that_shows_no_certificate_of_its_own_gets_nothing(slack: Receiver, run: Any, untrusted: Any) -> None:
    made = SlackIntegration(webhook_url=f"{untrusted.url}/services/{SECRET}")
    with opened(made) as hooks, pytest.raises(Retry, match="SSLCertVerificationError"):
        hooks.on_log(run=run, records=lines("a"))
    with pytest.raises(URLError):
        made.ping()

    assert untrusted.asked == []


def test_no_answer_is_tried_again_and_names_no_webhook(slack: Receiver, run: Any) -> None:
    slack.server.shutdown()
    slack.server.server_close()
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks, pytest.raises(Retry) as caught:
        hooks.on_log(run=run, records=lines("a"))

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_message_whose_answer_got_lost_is_not_sent_again(
    slack: Receiver, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        slack.hangs_up = True
        hooks.on_log(run=run, records=lines("taken"))
        slack.hangs_up = False
        hooks.on_run_end(run=run, record=RunEnd(status="completed"))

    assert ["taken" in text for text in slack.texts()] == [True, False]
    assert "may have arrived" in caplog.text
    assert SECRET not in caplog.text


def test_a_call_that_failed_halfway_does_not_send_twice(slack: Receiver, run: Any) -> None:
    records = lines("first", "second")
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        original = slack.judge

        def judge(message: dict[str, Any]) -> tuple[int, str]:
            return (503, "down") if "second" in json.dumps(message) and len(slack.messages) == 1 else original(message)

        slack.judge = judge  # type: ignore[method-assign]
        with pytest.raises(Retry):
            hooks.on_log(run=run, records=records)
        slack.judge = original  # type: ignore[method-assign]
        hooks.on_log(run=run, records=records)

    assert [("first" in text, "second" in text) for text in slack.texts()] == [(True, False), (False, True)]


@pytest.mark.timeout(1_200)
def test_delivery_killed_at_random_points_tells_nobody_twice(slack: Receiver, own_folder: Path, tools: Any) -> None:
    """Half of the kills come while a message is under way: taken by Slack, and not answered yet."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    slack.answers_after = 0.05
    (own_folder / "train.py").write_text(f"""
import os, time
from refunc.logging import MLLogger, SlackIntegration, experiment_context
log = MLLogger("train", "ERROR")
log.add_integration(SlackIntegration(webhook_url={slack.url!r}))
with experiment_context("exp", "kills"):
    number = 0
    while not os.path.exists("stop"):
        log.error("error number %d.", number)
        number += 1
        time.sleep(0.2)
""")
    process = subprocess.Popen([sys.executable, "train.py"], cwd=own_folder, stderr=subprocess.DEVNULL)
    kills = told = 0
    try:
        while kills < KILLS:
            # A storm is told in digests, one a second; each restarted process starts with single messages.
            tools.until(lambda told=told: len(slack.messages) > told, 60)
            told = len(slack.messages)
            time.sleep(chance.choice([0.0, chance.uniform(0, 0.05), chance.uniform(0, 1.5)]))
            kills += tools.kill_delivery(own_folder)
        (own_folder / "stop").touch()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    tools.until(lambda: not tools.delivery_pids(own_folder), 60)

    # A message says its text twice: in its blocks, and for notifications.
    numbers = [number for text in slack.texts() for number in set(re.findall(r"error number (\d+)\.", text))]
    assert len(numbers) >= kills // 2, f"seed {seed}"
    assert sorted(numbers) == sorted(set(numbers)), f"seed {seed}"
    assert sum("completed" in text for text in slack.texts()) <= 1, f"seed {seed}"


def test_what_is_old_is_not_told_but_counted(slack: Receiver, run: Any) -> None:
    with opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        hooks.on_log(run=run, records=lines("stale", "stale too", age=16 * 60))
        assert slack.messages == []
        hooks.on_run_end(run=run, record=RunEnd(status="completed"))

    assert "2 errors were not sent" in slack.texts()[0]


def test_the_webhook_is_in_no_log(slack: Receiver, run: Any, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("slack_sdk").setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG), opened(SlackIntegration(webhook_url=slack.url)) as hooks:
        hooks.on_log(run=run, records=lines("a"))

    assert SECRET not in caplog.text


@pytest.mark.parametrize("value", ["hooks.slack.com/hunter2", "ftp://hunter2/x", "https://", ""])
def test_a_malformed_webhook_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"slack: webhook_url is \*\*\*.*Expected: https://host") as caught:
        SlackIntegration(webhook_url=value)
    assert "hunter2" not in str(caught.value)


def test_without_a_webhook_it_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    text = r"slack: webhook_url is not set. Pass SlackIntegration\(webhook_url=...\) or set SLACK_WEBHOOK_URL."
    with pytest.raises(NotConfigured, match=text):
        SlackIntegration()


def test_importing_the_plugin_imports_no_slack() -> None:
    code = (
        "import sys, refunc_slack as p; p.SlackIntegration(webhook_url='https://h'); print('slack_sdk' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("name", ["\x00", "caf\udce9", "x" * 5_000, "<!channel> & 🙂", "a\nb\x1b[31m"])
def test_names_of_any_kind_make_a_message_that_slack_takes(name: str, run: Any) -> None:
    odd = attrs.evolve(run, run_name=name, experiment_name=name)
    line = LogLine(level="ERROR", message=name, logger=name, exception=name)
    messages = [
        error_message(odd, line),
        digest_message(odd, [line] * 9),
        end_message(odd, RunEnd(status=name, error=name), {name: {name: 1.0}}, 1),
    ]

    for message in messages:
        json.dumps(message, ensure_ascii=False).encode()  # text in every encoding
        assert problem_of(message) is None
