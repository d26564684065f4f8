"""`wandb.Table`, which becomes a JSON file of columns and rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from refunc.compat.wandb.arrays import plain
from refunc.compat.wandb.media import Media


class Table(Media):
    """
    Rows under named columns; a cell may be a medium, which becomes a file of its own.

    Each `log` keeps the whole table as it is then; with `log_mode="INCREMENTAL"` the rows that are new since the last
    one.
    """

    kind = "table"

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: Any = True,
        allow_mixed_types: bool = False,
        log_mode: Literal["IMMUTABLE", "MUTABLE", "INCREMENTAL"] | None = "IMMUTABLE",
    ) -> None:
        """
        Make a table of *columns* and rows of *data*, or of a *dataframe* of pandas or the like.

        Args:
            columns: By default `Input`, `Output` and `Expected`.
            data: Lists, an array of two dimensions, or a dataframe. *rows* is an older name for it.
            dtype: As *optional* and *allow_mixed_types*, of no meaning here: a cell may hold any value.

        Raises:
            ValueError: A row has another number of cells than there are columns.
        """
        super().__init__(b"", ".table.json")
        given = data if data is not None else rows
        frame = dataframe if dataframe is not None else given
        self.columns: list[Any] = list(columns) if columns is not None else ["Input", "Output", "Expected"]
        self.data: list[list[Any]] = []
        self.log_mode = log_mode
        self._logged = 0
        if hasattr(frame, "columns") and hasattr(frame, "__getitem__"):
            self.columns = list(frame.columns)
            cells = [list(frame[column]) for column in self.columns]
            self.data = [list(row) for row in zip(*cells, strict=True)]
        elif given is not None:
            for row in given.tolist() if hasattr(given, "tolist") else given:
                self.add_data(*row)

    def add_data(self, *data: Any) -> None:
        """Add a row. Raises ValueError for another number of cells than there are columns."""
        if len(data) != len(self.columns):
            raise ValueError(f"Table: a row has {len(data)} cells, and there are {len(self.columns)} columns.")
        self.data.append(list(data))

    def add_row(self, *row: Any) -> None:
        """Add a row; the same as `add_data`."""
        self.add_data(*row)

    def add_column(self, name: Any, data: Any, optional: bool = False) -> None:
        """Add a column. Raises ValueError for another number of cells than there are rows."""
        cells = list(data)
        if self.data and len(cells) != len(self.data):
            raise ValueError(f"Table: the column {name!r} has {len(cells)} cells, and there are {len(self.data)} rows.")
        self.data = self.data or [[] for _ in cells]
        self.columns.append(name)
        for row, cell in zip(self.data, cells, strict=True):
            row.append(cell)

    def get_column(self, name: Any, convert_to: Literal["numpy"] | None = None) -> Any:
        """Return the cells of a column as a list, or as an array of numpy."""
        place = self.columns.index(name)
        cells = [row[place] for row in self.data]
        if convert_to is None:
            return cells
        import numpy

        return numpy.array(cells)

    def get_index(self) -> list[int]:
        """Return the numbers of the rows."""
        return list(range(len(self.data)))

    def get_dataframe(self) -> Any:
        """Return a DataFrame of pandas."""
        from refunc.runs.packages import needed

        return needed("pandas", "get_dataframe()").DataFrame(self.data, columns=self.columns)

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield the number of each row, and the row."""
        yield from enumerate(self.data)

    def document(self, keep: Callable[[Media], Any]) -> dict[str, Any]:
        """Return the content of the file; *keep* returns the entry for a medium. Counts as a log of the table."""
        rows = self.data[self._logged :] if self.log_mode == "INCREMENTAL" else self.data
        self._logged = len(self.data)
        cells = [[keep(cell) if isinstance(cell, Media) else plain(cell) for cell in row] for row in rows]
        return {"columns": [plain(column) for column in self.columns], "data": cells}

    def read(self) -> bytes:
        """Return the content of the file, with a text for each medium."""
        return json.dumps(self.document(lambda media: f"<{media.kind}>")).encode()

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Table:
        """Return the table of a file that was kept."""
        return cls(columns=document["columns"], data=document["data"])


class Chart(Table):
    """A table, and the plot that is to be drawn of it."""

    kind = "chart"

    def __init__(self, table: Table, **facts: Any) -> None:
        """
        Take a table.

        Args:
            facts: The facts of the plot: its kind, its title, and the columns of its axes.
        """
        super().__init__(columns=table.columns, data=table.data)
        self.suffix = ".chart.json"
        self.table = table
        self.drawn = {name: value for name, value in facts.items() if value is not None}

    def document(self, keep: Callable[[Media], Any]) -> dict[str, Any]:
        """Return the content of the file."""
        return {**self.drawn, **super().document(keep)}
