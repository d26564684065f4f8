"""The log lines of a run that a command line selects, and printing them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import attrs
import click

from refunc.journal.reader import read_backwards, read_journal
from refunc.journal.record import Gap, LogLine, Record
from refunc.runs.around import Where
from refunc.runs.entry import LogEntry, entry_of
from refunc.runs.entry_filter import EntryFilter
from refunc.runs.line_records import records_without_metrics
from refunc.runs.run import Run
from refunc_commands.cli.finding import named
from refunc_commands.cli.lines import LinePrinter
from refunc_commands.cli.streams import error_line


@attrs.frozen(kw_only=True)
class LineChoice:
    """The selection of a run's records, and how they are shown."""

    run: Run
    query: EntryFilter
    text: str | None
    all_kinds: bool
    show: Callable[[LogEntry], None]

    @classmethod
    def of(
        cls,
        run: Run,
        *,
        level: int | None,
        grep: str | None,
        all_kinds: bool,
        as_json: bool,
        rank: int | None,
        since: float | None = None,
        until: float | None = None,
    ) -> LineChoice:
        """Return the selection for a command's options."""
        return cls(
            run=run,
            query=EntryFilter(min_level=level, start_time=since, end_time=until, rank=rank),
            text=grep.lower() if grep else None,
            all_kinds=all_kinds,
            show=_show_json if as_json else LinePrinter(run.start_time).print,
        )

    def print(self, entries: Iterable[LogEntry]) -> None:
        """Show *entries*, and say on stderr if there are none."""
        is_empty = True
        for entry in entries:
            is_empty = False
            self.show(entry)
        if is_empty:
            error_line(self._nothing())

    def _nothing(self) -> str:
        run = named(self.run)
        if self.all_kinds or self.text is not None or self.query != EntryFilter():
            return f"no lines of the run {run} match."
        return f"the run {run} has no lines; --all shows its metrics, params, start and end."

    def oldest_first(self) -> Iterator[Record]:
        """Return the run's records; without metrics, which most records are, if they are not selected."""
        return read_journal(self.run.folder) if self.all_kinds else records_without_metrics(self.run.folder)

    def newest_first(self) -> Iterator[Record]:
        """Return the same, newest first."""
        if self.all_kinds:
            return read_backwards(self.run.folder)
        return records_without_metrics(self.run.folder, newest_first=True)

    def around(self, metric: str, where: Where, steps: int | None) -> Iterator[LogEntry]:
        """Yield the selected entries around a point; see `Run.around`."""
        for entry in self.run.around(metric, where, steps=50 if steps is None else steps):
            if self.query.matches(entry) and (self.text is None or self.text in _searched(entry)):
                yield entry

    def of_records(self, source: Iterable[Record]) -> Iterator[tuple[Record, LogEntry]]:
        """Yield the selected records of *source*, each with its entry."""
        for record in source:
            if self.all_kinds or isinstance(record, (LogLine, Gap)):
                entry = entry_of(record, experiment_id=self.run.experiment_id, run_id=self.run.run_id)
                if self.query.matches(entry) and (self.text is None or self.text in _searched(entry)):
                    yield record, entry


def _searched(entry: LogEntry) -> str:
    extra = entry.extra or {}
    return f"{entry.message}\n{extra.get('exception') or ''}\n{extra.get('stack') or ''}".lower()


def _show_json(entry: LogEntry) -> None:
    click.echo(entry.to_json())
