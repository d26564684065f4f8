"""Results that can be had as a table of other libraries."""

from __future__ import annotations

from typing import Any


class Tabular:
    """The part of a result with rows that makes tables of them."""

    __slots__ = ()

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the rows, each with the columns that it has."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """Return the rows as a pandas DataFrame. Raises ModuleNotFoundError without pandas."""
        from refunc.runs.table import to_pandas

        return to_pandas(self.to_rows())

    def to_polars(self) -> Any:
        """Return the rows as a polars DataFrame. Raises ModuleNotFoundError without polars."""
        from refunc.runs.table import to_polars

        return to_polars(self.to_rows())

    def to_arrow(self) -> Any:
        """Return the rows as a pyarrow Table. Raises ModuleNotFoundError without pyarrow."""
        from refunc.runs.table import to_arrow

        return to_arrow(self.to_rows())
