"""
The refunc plugin for Slack: a message for an error and for the end of a run, through an incoming webhook.

A webhook has no key by which it would know a message again, so delivery is at most once: the cursor moves before a
message is sent, and neither a crash nor an answer that got lost tells anybody twice. What is old is not worth a
message and is only counted.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.error import URLError

from refunc.plugins import FROM_ENV, Integration, LogLine, Pause, Reject, Retry, RunEnd, RunInfo, hookimpl, option
from refunc.plugins.integration import Delivery
from refunc.plugins.options import check_url
from refunc_slack.messages import digest_message, end_message, error_message

__all__ = ["SlackIntegration"]

#: Seconds between two messages: Slack takes one a second from a webhook (https://docs.slack.dev/apis/web-api/rate-limits).
INTERVAL = 1.0
#: Seconds after which an error, or a run's end, is not told any more.
STALE_ERROR, STALE_END = 15 * 60, 24 * 3_600
#: So many single messages in so many seconds; beyond, errors are put together into a digest.
STORM, STORM_SECONDS = 5, 60.0
_ERRORS = ("ERROR", "CRITICAL")

report = logging.getLogger("refunc.slack")


class SlackIntegration(Integration):
    """Tell a Slack channel of errors and of the end of runs."""

    delivery: ClassVar[Delivery] = "at-most-once"

    webhook_url: str = option(default=FROM_ENV, env="SLACK_WEBHOOK_URL", secret=True, help="The incoming webhook.")
    channel: str | None = option(default=None, env="SLACK_CHANNEL", help="Only old webhooks can choose one.")
    error_notifications: bool = option(default=True, help="Tell of lines at ERROR and above.")
    completion_notifications: bool = option(default=True, help="Tell how runs ended.")

    def check(self) -> None:
        """Refuse what is no address, without showing it."""
        check_url("slack", "webhook_url", self.webhook_url, ("https", "http"), secret=True)

    @property
    def target(self) -> str:
        """The channel, or just Slack."""
        return f"slack {self.channel}" if self.channel else "slack"

    def open(self) -> None:
        """Make the client. Its own repetitions are off: they would sleep where delivery's can be seen."""
        from slack_sdk.webhook import WebhookClient

        logging.getLogger("slack_sdk").setLevel(logging.WARNING)  # at DEBUG it writes the webhook down
        self._client = WebhookClient(self.webhook_url, timeout=10, retry_handlers=[])
        self._next_at = 0.0
        self._told: deque[float] = deque(maxlen=STORM)
        self._done: dict[str, set[tuple[str, int]]] = {}
        self._untold: dict[str, int] = {}
        self._results: dict[str, dict[str, Any]] = {}

    @hookimpl
    def on_log(self, run: RunInfo, records: Sequence[LogLine]) -> None:
        """Send a message for each error, or one for all of them when they storm."""
        done = self._done.setdefault(run.run_id, set())
        fresh = [line for line in records if (line.writer, line.seq) not in done]
        for line in fresh:
            if line.level == "RESULT":
                self._results.setdefault(run.run_id, {}).update({**line.metrics, **line.other})
        errors = [line for line in fresh if line.level in _ERRORS and self.error_notifications]
        news = [line for line in errors if time.time() - line.time < STALE_ERROR]
        if len(news) + self._recently() > STORM and len(news) > 1:
            self._send(digest_message(run, news))
        elif len(news) == 1 and self._recently() >= STORM:
            self._untold[run.run_id] = self._untold.get(run.run_id, 0) + 1
        else:
            for line in news:
                self._send(error_message(run, line))
                done.add((line.writer, line.seq))  # a message that fails behind this one must not bring it again
        stale = len(errors) - len(news)
        if stale:
            self._untold[run.run_id] = self._untold.get(run.run_id, 0) + stale
        done.clear()

    @hookimpl
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """Say how the run ended, what came of it, and how many errors nobody was told of."""
        if self.completion_notifications and time.time() - (run.start_time + record.duration) < STALE_END:
            results = {**record.metrics, **self._results.get(run.run_id, {})}
            self._send(end_message(run, record, results, self._untold.get(run.run_id, 0)))
        for kept in (self._results, self._untold, self._done):
            kept.pop(run.run_id, None)

    def _recently(self) -> int:
        """How many messages there were in the last minute, up to the number that makes a storm."""
        return sum(time.monotonic() - moment < STORM_SECONDS for moment in self._told)

    def _send(self, message: dict[str, Any]) -> None:
        """Send one message, a second after the last one at the earliest; raise what delivery is to do otherwise."""
        time.sleep(max(0.0, self._next_at - time.monotonic()))
        if self.channel:
            message = {**message, "channel": self.channel}
        self._next_at = time.monotonic() + INTERVAL
        try:
            answer = self._client.send_dict(message)
        except URLError as error:  # the request was not sent; what the error says may quote the webhook
            raise Retry(f"Slack cannot be reached ({type(error.reason).__name__})") from None
        except Exception as error:  # it was sent, and only the answer is missing
            self._told.append(time.monotonic())
            report.warning(
                "slack: no answer (%s); the message may have arrived, so it is not sent again", type(error).__name__
            )
            return
        if answer.status_code == 200:
            self._told.append(time.monotonic())
            return
        said = f"HTTP {answer.status_code}: {answer.body[:100].replace(self.webhook_url, '***')}"
        if answer.status_code == 429:
            raise Retry(said, after=_seconds(answer.headers))
        if answer.status_code in (403, 404, 410):  # the webhook is wrong or revoked, its channel is gone
            raise Pause(f"{said}. Set SLACK_WEBHOOK_URL to a webhook that exists.")
        if 400 <= answer.status_code < 500 and answer.status_code != 408:
            raise Reject(said)
        raise Retry(said)


def _seconds(headers: dict[str, Any]) -> float:
    """Return what `Retry-After` asks for; half a minute where it says nothing that is a number."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "30")
    try:
        return max(0.0, float(str(value).strip("[]'")))
    except ValueError:
        return 30.0
