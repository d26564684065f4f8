"""
Messages in Slack's Block Kit, inside its documented limits (https://docs.slack.dev/reference/block-kit/blocks).

What comes from a training is text and nothing else: `<!channel>` in a message pings nobody.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from refunc.plugins import LogLine, RunEnd, RunInfo

MAX_HEADER, MAX_SECTION, MAX_FIELDS, MAX_FIELD = 150, 3_000, 10, 200
#: Characters of a traceback, and of the text of an error; together they stay below what Slack shows of a message.
MAX_TRACE, MAX_TEXT = 2_500, 1_000
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_MARKS = {"completed": ":white_check_mark:", "failed": ":x:", "crashed": ":skull:", "interrupted": ":octagonal_sign:"}


def error_message(run: RunInfo, line: LogLine) -> dict[str, Any]:
    """Return the message for one error."""
    blocks = [_header(f"{line.level}: {run.name}"), _section(escaped(cut(line.message, MAX_TEXT)))]
    if line.exception:
        blocks.append(_code(line.exception))
    blocks.append(_context(run, [f"step {line.step}" * (line.step is not None), f"logger {line.logger}"]))
    return {"text": escaped(cut(f"{run.name}: {line.message}", 300)), "blocks": blocks}


def digest_message(run: RunInfo, lines: Sequence[LogLine]) -> dict[str, Any]:
    """Return one message for many errors: how many, the first of them and the last."""
    shown = [*lines[:3], *lines[-2:]] if len(lines) > 5 else list(lines)
    texts = [f"• {escaped(cut(' '.join(line.message.split()), 200))}" for line in shown]
    if len(lines) > 5:
        texts.insert(3, f"… {len(lines) - 5} more …")
    head = f"{len(lines)} errors: {run.name}"
    last = next((line.exception for line in reversed(lines) if line.exception), None)
    blocks = [_header(head), _section("\n".join(texts)), *([_code(last)] if last else []), _context(run, [])]
    return {"text": escaped(cut(head, 300)), "blocks": blocks}


def end_message(run: RunInfo, end: RunEnd, results: Mapping[str, Any], untold: int) -> dict[str, Any]:
    """Return the message for a run's end: status, duration, at most ten results, the traceback that ended it."""
    said = "its process is gone" if end.status == "crashed" else end.status
    head = f"{run.name} {said} after {duration(end.duration)}"
    blocks = [
        _header(head),
        _section(f"{_MARKS.get(end.status, ':information_source:')} {escaped(cut(head, MAX_TEXT))}"),
    ]
    if results:
        pairs = [f"*{escaped(cut(name, 80))}*\n{escaped(cut(figure(value), 100))}" for name, value in results.items()]
        fields = [{"type": "mrkdwn", "text": text} for text in pairs[:MAX_FIELDS]]
        blocks.append({"type": "section", "fields": fields})
    if end.error:
        blocks.append(_code(end.error))
    notes = [f"{untold:,} errors were not sent" * bool(untold), f"{end.dropped:,} records dropped" * bool(end.dropped)]
    blocks.append(_context(run, notes))
    return {"text": escaped(cut(head, 300)), "blocks": blocks}


def escaped(text: str) -> str:
    """Return *text* with nothing in it that Slack takes for markup, nor a terminal for a command."""
    return _CONTROLS.sub("", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def cut(text: str, limit: int) -> str:
    """Return at most *limit* characters of *text*, the middle left out: the end of a traceback says most."""
    if len(text) <= limit:
        return text
    tail = limit * 2 // 3
    return f"{text[: limit - tail - 3]} … {text[-tail:]}"


def figure(value: Any) -> str:
    """Return a result for reading."""
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def duration(seconds: float) -> str:
    """Return seconds as a person says them: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7_200:
        return f"{whole // 60} min"
    if whole < 48 * 3_600:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def _header(text: str) -> dict[str, Any]:
    # A header is plain text: nothing in it is markup, so nothing is escaped.
    return {"type": "header", "text": {"type": "plain_text", "text": cut(_CONTROLS.sub("", text), MAX_HEADER)}}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:MAX_SECTION] or " "}}


def _code(text: str) -> dict[str, Any]:
    # Escaping makes up to five characters of one, and three backticks would end the block.
    safe = escaped(text.replace("```", "'''"))
    if len(safe) > MAX_TRACE:
        safe = re.sub(r"^[a-z]{0,4};|&[a-z]{0,3}$", "", cut(safe, MAX_TRACE))
    return _section(f"```{safe}```")


def _context(run: RunInfo, notes: Sequence[str]) -> dict[str, Any]:
    facts = [f"experiment {run.experiment_name}", f"run {run.run_id}", *filter(None, notes)]
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": escaped(cut(" · ".join(facts), 1_000))}]}
