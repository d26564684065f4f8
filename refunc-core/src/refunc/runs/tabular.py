"""Results that can be had as a table of other libraries."""

from __future__ import annotations

from typing import Any, Protocol


class _WithRows(Protocol):
    def to_rows(self) -> list[dict[str, Any]]: ...


class Tabular:
    """The part of a result with `to_rows` that makes tables of its rows."""

    __slots__ = ()

    def to_pandas(self: _WithRows) -> Any:
        """Return the rows as a pandas DataFrame. Raises ModuleNotFoundError without pandas."""
        from refunc.runs.table import to_pandas

        return to_pandas(self.to_rows())

    def to_polars(self: _WithRows) -> Any:
        """Return the rows as a polars DataFrame. Raises ModuleNotFoundError without polars."""
        from refunc.runs.table import to_polars

        return to_polars(self.to_rows())

    def to_arrow(self: _WithRows) -> Any:
        """Return the rows as a pyarrow Table. Raises ModuleNotFoundError without pyarrow."""
        from refunc.runs.table import to_arrow

        return to_arrow(self.to_rows())
