"""
Messages in Slack's Block Kit, inside its documented limits (https://docs.slack.dev/reference/block-kit/blocks).

Texts of a training are escaped: `<!channel>` in a message does not notify a channel.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from refunc.plugins import LogLine, RunEnd, RunInfo

MAX_HEADER, MAX_SECTION, MAX_FIELDS = 150, 3_000, 10
#: The most characters of one result; Slack allows 2,000 in a field.
MAX_RESULT = 600
#: The most characters of a traceback, and of the text of an error; together they stay below Slack's limit.
MAX_TRACE, MAX_TEXT = 2_500, 1_000
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MARKS = {
    "completed": ":white_check_mark:",
    "failed": ":x:",
    "crashed": ":skull:",
    "interrupted": ":octagonal_sign:",
    "preempted": ":hourglass_flowing_sand:",
    "pruned": ":scissors:",
    "exited": ":grey_question:",
}
_SAID = {"crashed": "crashed (its process is gone)", "exited": "exited with an unknown code"}


def error_message(run: RunInfo, line: LogLine) -> dict[str, Any]:
    """Return the message for one error."""
    blocks = [_header(f"{line.level}: {run.name}"), _section(escaped(cut(line.message, MAX_TEXT)))]
    if line.exception:
        blocks.append(_code(line.exception))
    blocks.append(_context(run, [f"step {line.step}" * (line.step is not None), f"logger {line.logger}"]))
    return {"text": escaped(cut(f"{run.name}: {line.message}", 300)), "blocks": blocks}


def digest_message(run: RunInfo, lines: Sequence[LogLine]) -> dict[str, Any]:
    """Return one message for many errors: their number, the first ones and the last ones."""
    shown = [*lines[:3], *lines[-2:]] if len(lines) > 5 else list(lines)
    texts = [f"• {escaped(cut(' '.join(line.message.split()), 200))}" for line in shown]
    if len(lines) > 5:
        texts.insert(3, f"… {len(lines) - 5} more …")
    head = f"{len(lines)} errors: {run.name}"
    last = next((line.exception for line in reversed(lines) if line.exception), None)
    blocks = [_header(head), _section("\n".join(texts)), *([_code(last)] if last else []), _context(run, [])]
    return {"text": escaped(cut(head, 300)), "blocks": blocks}


def end_message(run: RunInfo, end: RunEnd, results: Mapping[str, Mapping[str, Any]], untold: int) -> dict[str, Any]:
    """
    Return the message for a run's end: status, duration, at most ten results, the traceback that ended it.

    Args:
        results: The values of each result by its name, as in `{"Training completed": {"accuracy": 0.94}}`.
    """
    said = _SAID.get(end.status, end.status)
    head = f"{run.name} {said} after {duration(end.duration)}"
    blocks = [
        _header(head),
        _section(f"{_MARKS.get(end.status, ':information_source:')} {escaped(cut(head, MAX_TEXT))}"),
    ]
    told = {metric for values in results.values() for metric in values}
    finals = {name: {name: value} for name, value in end.metrics.items() if name not in told}
    if results or finals:
        texts = [_result(name, values) for name, values in (*results.items(), *finals.items())]
        fields = [{"type": "mrkdwn", "text": text} for text in texts[:MAX_FIELDS]]
        blocks.append({"type": "section", "fields": fields})
    if end.error:
        blocks.append(_code(end.error))
    notes = [f"{untold:,} errors were not sent" * bool(untold), f"{end.dropped:,} records dropped" * bool(end.dropped)]
    blocks.append(_context(run, notes))
    return {"text": escaped(cut(head, 300)), "blocks": blocks}


def _result(name: str, values: Mapping[str, Any]) -> str:
    """Return a result's name, and below it its values, each with its own name unless it equals the result's."""
    told = [
        escaped(cut(figure(value) if metric == name else f"{metric} {figure(value)}", 100))
        for metric, value in values.items()
    ]
    return "\n".join([f"*{escaped(cut(name, 80))}*", *told])[:MAX_RESULT]


def escaped(text: str) -> str:
    """Return *text* with Slack's markup and control characters escaped."""
    return _CONTROLS.sub("", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """Return at most *limit* characters of *text*, without its middle: the end of a traceback matters most."""
    if len(text) <= limit:
        return text
    tail = limit * 2 // 3
    return f"{text[: limit - tail - 3]} … {text[-tail:]}"


def figure(value: Any) -> str:
    """Return a result as text for people."""
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def duration(seconds: float) -> str:
    """Return a duration as people write it: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7_200:
        return f"{whole // 60} min"
    if whole < 48 * 3_600:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def _header(text: str) -> dict[str, Any]:
    # A header is plain text without markup, so it is not escaped.
    return {"type": "header", "text": {"type": "plain_text", "text": cut(_CONTROLS.sub("", text), MAX_HEADER)}}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:MAX_SECTION] or " "}}


def _code(text: str) -> dict[str, Any]:
    # Escaping turns one character into up to five, and three backticks would end the block.
    safe = escaped(text.replace("```", "'''"))
    if len(safe) > MAX_TRACE:
        safe = re.sub(r"^[a-z]{0,4};|&[a-z]{0,3}$", "", cut(safe, MAX_TRACE))
    return _section(f"```{safe}```")


def _context(run: RunInfo, notes: Sequence[str]) -> dict[str, Any]:
    facts = [f"experiment {run.experiment_name}", f"run {run.run_id}", *filter(None, notes)]
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": escaped(cut(" · ".join(facts), 1_000))}]}
