"""How a journal record appears in a log file: as the stdlib record that formatters take, and as text."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from refunc.journal import kinds
from refunc.logging.arguments import known
from refunc.logging.banner import ended_line, start_line
from refunc.logging.formatters import ColoredFormatter
from refunc.logging.formatters.fields import EMPTY, Fields, carry
from refunc.values.levels import EXPERIMENT, WARNING, written_level

if TYPE_CHECKING:
    from refunc.logging.active.run import ActiveRun


class Passed(NamedTuple):
    """A record on its way to a log file."""

    row: Any  # the record as encoded for the journal: a struct, a `Line`, or a dict of fields; its secrets are masked
    level: int
    logger: str
    run: ActiveRun | None
    left_out: int = 0  # points of the same metrics that were left out since the previous one


class DatedFormatter(ColoredFormatter):
    """Formats records for a text log file: without colour, with the full local time and its offset."""

    def __init__(self) -> None:
        super().__init__(colored=False)
        self._dated: tuple[int, str, str] = (-1, "", "")

    def line(self, record: logging.LogRecord) -> str:
        """Return the line, with the number of points that were left out before it."""
        left_out = getattr(record, "left_out", 0)
        return super().line(record) + (f"  ({left_out:,} more since)" if left_out else "")

    def _clock(self, created: float, colored: bool) -> str:
        second, millisecond = divmod(round(created * 1000), 1000)
        known_second, moment, offset = self._dated
        if known_second != second:
            local = time.localtime(second)
            moment = time.strftime("%Y-%m-%dT%H:%M:%S", local)
            hours, minutes = divmod(abs(local.tm_gmtoff) // 60, 60)
            offset = f"{'-' if local.tm_gmtoff < 0 else '+'}{hours:02d}:{minutes:02d}"
            self._dated = (second, moment, offset)
        return f"{moment}.{millisecond:03d}{offset} "


def level_of(row: Any) -> int:
    """Return the level of a record without metrics: that of a line, and EXPERIMENT for records that describe a run."""
    if type(row) is not dict:
        return written_level(row.level)
    if row["kind"] == kinds.LOG:
        return written_level(str(row.get("level")))
    return WARNING if row["kind"] in (kinds.GAP, kinds.DAMAGED) else EXPERIMENT


def record_of(passed: Passed) -> logging.LogRecord:
    """Return *passed* as a record with the attributes that formatters use."""
    row, level, logger, run, left_out = passed
    record = logging.LogRecord.__new__(logging.LogRecord)
    record.name = logger
    record.levelno = level
    record.args = ()
    record.exc_info = None
    record.left_out = left_out
    try:
        if type(row) is dict:
            message, fields, record.exc_text, record.stack_info = _fields(row, run)
            record.created = row["time"]
        elif hasattr(row, "level"):
            values = {**(row.metrics or EMPTY), **(row.other or EMPTY)}
            message, record.exc_text, record.stack_info = row.message, row.exception, row.stack
            tags, artifacts, extra = row.tags or EMPTY, tuple(row.artifacts or ()), row.extra or EMPTY
            fields = Fields(row.step, row.epoch, values, tags, artifacts, extra)
            record.created = row.time
        else:
            values = {**values_of(row.metrics), **(row.other or EMPTY)}
            message, record.exc_text, record.stack_info = ", ".join(values), None, None
            fields = Fields(row.step, row.epoch, values)
            record.created = row.time
    except Exception as error:  # a record that was made by hand; the journal marks it as damaged
        message, fields = f"a record that cannot be shown: {error!r}", Fields()
        record.exc_text = record.stack_info = None
        record.created = time.time()
    record.msg = message
    ids = (None, None) if run is None else (run.experiment_id, run.run_id)
    record.relativeCreated = 0.0
    carry(record, fields._replace(experiment_id=ids[0], run_id=ids[1]))
    return record


def values_of(metrics: Any) -> dict[str, Any]:
    """Return the names and values of a record of metrics, which may be a struct."""
    if type(metrics) is dict:
        return metrics
    fields = zip(metrics.__struct_encode_fields__, metrics.__struct_fields__, strict=True)
    return {name: getattr(metrics, field) for name, field in fields}


def _end_message(row: dict[str, Any], run: ActiveRun | None) -> str:
    if run is None:
        return f"run {row['status']}"
    return ended_line(run, row["status"], row["duration"], row.get("size", 0), row.get("dropped", 0))


def _fields(row: dict[str, Any], run: ActiveRun | None) -> tuple[str, Fields, str | None, str | None]:
    """Return message, fields, traceback and stack of a record that is a dict."""
    get = row.get
    match row["kind"]:
        case kinds.LOG:
            values = {**(get("metrics") or EMPTY), **(get("other") or EMPTY)}
            tags, artifacts, extra = get("tags") or EMPTY, tuple(get("artifacts") or ()), get("extra") or EMPTY
            fields = Fields(get("step"), get("epoch"), values, tags, artifacts, extra)
            return row["message"], fields, get("exception"), get("stack")
        case kinds.PARAMS:
            return "params", Fields(members={"params": row["params"]}), None, None
        case kinds.TAGS:
            return "tags", Fields(tags=row["tags"]), None, None
        case kinds.ARTIFACT:
            facts = known(**{key: get(key) for key in ("type", "size", "sha256", "stored", "source")})
            facts.update(get("metadata") or EMPTY)
            return "artifact", Fields(artifacts=(row["name"],), extra=facts), None, None
        case kinds.DEFINE:
            words = known(**{key: get(key) for key in ("goal", "step_metric", "summary")})
            return f"metric {row['name']} defined", Fields(extra=words), None, None
        case kinds.ATTACH:
            return f"delivering to {get('target') or row['name']}", Fields(), None, None
        case kinds.START | kinds.END:
            return _of_run(row, run)
        case kinds.GAP:
            count = row["dropped"]
            return f"{count} records were dropped here", Fields(members={"dropped": count}), None, None
        case _:
            rest = {key: value for key, value in row.items() if key not in ("seq", "time", "kind", "logger")}
            return str(row["kind"]), Fields(extra=rest), None, None


def _of_run(row: dict[str, Any], run: ActiveRun | None) -> tuple[str, Fields, str | None, str | None]:
    """Return the same for a run's start or end."""
    if row["kind"] == kinds.START:
        names = known(**{key: row.get(key) for key in ("run_name", "experiment_name", "parent_id")})
        message = start_line(run) if run is not None else "run started"
        return message, Fields(members={"status": kinds.RUNNING, **names}), None, None
    facts = {"status": row["status"], "duration": row["duration"]}
    fields = Fields(metrics=row.get("metrics") or EMPTY, members=facts)
    return _end_message(row, run), fields, row.get("error"), None
