"""
The refunc plugin for Slack: a message for an error and for the end of a run, through an incoming webhook.

A webhook cannot recognise a repeated message, so delivery is at most once: the cursor moves before a message is sent,
and neither a crash nor a lost answer sends it twice. Old errors and ends are not worth a message and are only counted.

    client    Slack's client, without redirects
    messages  messages in Slack's Block Kit
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.error import HTTPError, URLError
from urllib.request import Request

from refunc.plugins import (
    FROM_ENV,
    Delivery,
    Integration,
    LogLine,
    Pause,
    Reject,
    Retry,
    RunEnd,
    RunInfo,
    check_url,
    hookimpl,
    option,
)
from refunc_slack.messages import digest_message, end_message, error_message

__all__ = ["SlackIntegration"]

#: Seconds between two messages: Slack accepts one a second from a webhook (https://docs.slack.dev/apis/web-api/rate-limits).
INTERVAL = 1.0
#: Seconds after which an error, or a run's end, is too old for a message.
STALE_ERROR, STALE_END = 15 * 60, 24 * 3_600
#: The most single messages, and the seconds in which they are counted; further errors go into a digest.
STORM, STORM_SECONDS = 5, 60.0
_ERRORS = ("ERROR", "CRITICAL")

own_log = logging.getLogger("refunc.slack")


class SlackIntegration(Integration):
    """Send errors and the ends of runs to a Slack channel."""

    delivery: ClassVar[Delivery] = "at-most-once"
    address_options: ClassVar[Sequence[str] | None] = ("webhook_url",)

    webhook_url: str = option(default=FROM_ENV, env="SLACK_WEBHOOK_URL", secret=True, help="The incoming webhook.")
    channel: str | None = option(
        default=None, env="SLACK_CHANNEL", help="The channel; only legacy webhooks can choose one."
    )
    error_notifications: bool = option(default=True, help="Send lines at ERROR and above.")
    completion_notifications: bool = option(default=True, help="Send the status of ended runs.")

    def check(self) -> None:
        """Refuse an invalid address, without showing it."""
        check_url("slack", "webhook_url", self.webhook_url, ("https", "http"), secret=True)

    @property
    def target(self) -> str:
        """The channel, or just Slack."""
        return f"slack {self.channel}" if self.channel else "slack"

    def open(self) -> None:
        """Make the client. Its own retries are off: they would sleep invisibly, and delivery retries."""
        from refunc_slack.client import Client, opener

        logging.getLogger("slack_sdk").setLevel(logging.WARNING)  # at DEBUG it logs the webhook
        self._client = Client(self.webhook_url)
        self._opener = opener(self._client.proxy)
        self._next_at = 0.0
        self._told: deque[float] = deque(maxlen=STORM)
        self._done: dict[str, set[tuple[str, int]]] = {}
        self._untold: dict[str, int] = {}
        self._results: dict[str, dict[str, dict[str, Any]]] = {}

    def ping(self) -> None:
        """Return if Slack answers, with whatever status; no message is sent."""
        try:
            request = Request(self.webhook_url, method="HEAD")  # noqa: S310  # `check` ensures https or http
            self._opener.open(request, timeout=10).close()
        except HTTPError as answer:
            if answer.code >= 500:
                raise

    @hookimpl
    def on_log(self, run: RunInfo, records: Sequence[LogLine]) -> None:
        """Send a message for each error, or one digest if there are many."""
        done = self._done.setdefault(run.run_id, set())
        fresh = [line for line in records if (line.writer, line.seq) not in done]
        for line in fresh:
            if line.level == "RESULT":
                named = self._results.setdefault(run.run_id, {}).setdefault(line.message, {})
                named.update({**line.metrics, **line.other})
        errors = [line for line in fresh if line.level in _ERRORS and self.error_notifications]
        news = [line for line in errors if time.time() - line.time < STALE_ERROR]
        if len(news) + self._recently() > STORM and len(news) > 1:
            self._send(digest_message(run, news))
        elif len(news) == 1 and self._recently() >= STORM:
            self._untold[run.run_id] = self._untold.get(run.run_id, 0) + 1
        else:
            for line in news:
                self._send(error_message(run, line))
                done.add((line.writer, line.seq))  # if a later message fails, this one must not be sent again
        stale = len(errors) - len(news)
        if stale:
            self._untold[run.run_id] = self._untold.get(run.run_id, 0) + stale
        done.clear()

    @hookimpl
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """Send the run's status, its results, and the number of errors that were not sent."""
        if self.completion_notifications and time.time() - (run.start_time + record.duration) < STALE_END:
            results = self._results.get(run.run_id, {})
            self._send(end_message(run, record, results, self._untold.get(run.run_id, 0)))
        for kept in (self._results, self._untold, self._done):
            kept.pop(run.run_id, None)

    def _recently(self) -> int:
        """How many messages were sent in the last minute, up to the number that starts a digest."""
        return sum(time.monotonic() - moment < STORM_SECONDS for moment in self._told)

    def _send(self, message: dict[str, Any]) -> None:
        """Send one message, at least a second after the last one; raise an error for delivery if it fails."""
        time.sleep(max(0.0, self._next_at - time.monotonic()))
        if self.channel:
            message = {**message, "channel": self.channel}
        try:
            answer = self._client.send_dict(message)
        except URLError as error:  # the request was not sent; the error's text may quote the webhook
            raise Retry(f"Slack cannot be reached ({type(error.reason).__name__})") from None
        except Exception as error:  # it was sent, only the answer is missing
            self._told.append(time.monotonic())
            own_log.warning(
                "slack: no answer (%s); the message may have arrived, so it is not sent again", type(error).__name__
            )
            return
        finally:
            self._next_at = time.monotonic() + INTERVAL  # a message may be long on its way, and counts when it comes
        if answer.status_code == 200:
            self._told.append(time.monotonic())
            return
        said = f"HTTP {answer.status_code}: {answer.body[:100].replace(self.webhook_url, '***')}"
        if answer.status_code == 429:
            raise Retry(said, after=_seconds(answer.headers))
        # The webhook is wrong or revoked, or its channel is gone; Slack's webhooks do not redirect.
        if answer.status_code in (401, 403, 404, 410) or 300 <= answer.status_code < 400:
            raise Pause(f"{said}. Set SLACK_WEBHOOK_URL to a valid webhook.")
        if 400 <= answer.status_code < 500 and answer.status_code != 408:
            raise Reject(said)
        raise Retry(said)


def _seconds(headers: dict[str, Any]) -> float:
    """Return the seconds of `Retry-After`; half a minute if it is not a number."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "30")
    try:
        return max(0.0, float(str(value).strip("[]'")))
    except ValueError:
        return 30.0
