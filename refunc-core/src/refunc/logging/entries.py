"""The calls that read a logger's entries back."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING

from refunc.logging.active.run import ActiveRun
from refunc.logging.levels import level_name, level_number

if TYPE_CHECKING:
    from refunc.runs import LogEntry


class Entries:
    """A logger's entries, as lists and files. Subclasses define which run is read."""

    def _run_to_read(self) -> ActiveRun | None:
        """Return the run that is read: the current one, or else the last."""
        raise TypeError(f"{type(self).__name__} does not say which run it is in.")

    def get_log_entries(
        self,
        level: int | str | None = None,
        last_n: int | None = None,
        experiment_id: str | None = None,
        start_time: float | None = None,
        end_time: float | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        run_id: str | None = None,
        min_level: int | str | None = None,
        contains: str | None = None,
    ) -> list[LogEntry]:
        """
        Return the matching entries, oldest first, of the current run, or of the last run and the time since.

        Everything logged before this call is included. Entries are read from the journal, newest first, so a small
        *last_n* is quick however long the run is.

        Args:
            level: Exactly this level; *min_level* takes this one and above.
            last_n: Return only the newest *last_n* that match.
            experiment_id: An experiment's id or name: all its runs are searched, in the default store and in those that
                this process has written to. *run_id* likewise.
            start_time: In seconds since 1970, inclusive; *end_time* exclusive.
            tags: The entry carries at least these, or its run does: a value that was set in the run counts from there
                to the next one of its name, and the first one from the run's beginning.
            contains: The message contains this text; upper and lower case are the same.
        """
        from refunc.logging.entry_sources import entries_for
        from refunc.runs.entry_filter import EntryFilter, newest

        query = EntryFilter(
            level=level_name(level_number(level)) if level is not None else None,
            min_level=level_number(min_level) if min_level is not None else None,
            experiment_id=experiment_id,
            run_id=run_id,
            start_time=start_time,
            end_time=end_time,
            tags=tags,
            contains=contains,
        )
        return newest(entries_for(self._run_to_read(), query, newest_first=True), last_n)

    def export_logs(self, path: str | PathLike[str], format: str | None = None) -> int:
        """
        Write all entries of the current run to *path* and return how many there were.

        Between runs, these are the entries of the last run and those logged since.

        Args:
            format: `json`, `jsonl` or `csv`; by default taken from the path's suffix. A CSV has one column a metric,
                and text in it that a spreadsheet would run as a formula is quoted.

        Raises:
            ValueError: Another format.
            OSError: The file cannot be written.
        """
        from refunc.logging.entry_sources import entries_for
        from refunc.runs.entries_file import check_format, export
        from refunc.runs.entry_filter import EntryFilter

        wanted = check_format(path, format)
        run = self._run_to_read()
        return export(lambda: entries_for(run, EntryFilter(), newest_first=False), path, wanted)
