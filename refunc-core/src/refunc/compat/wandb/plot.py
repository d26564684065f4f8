"""`wandb.plot`: tables with a word on how they are drawn. refunc keeps them, and draws none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from refunc.compat.wandb.table import Chart, Table

__all__ = ["bar", "confusion_matrix", "histogram", "line", "line_series", "plot_table", "scatter"]


def line(table: Table, x: str, y: str, stroke: str | None = None, title: str = "", split_table: bool = False) -> Chart:
    """Return a line through the columns *x* and *y*."""
    return Chart(table, chart="line", x=x, y=y, stroke=stroke, title=title)


def scatter(table: Table, x: str, y: str, title: str = "", split_table: bool = False) -> Chart:
    """Return points at the columns *x* and *y*."""
    return Chart(table, chart="scatter", x=x, y=y, title=title)


def bar(table: Table, label: str, value: str, title: str = "", split_table: bool = False) -> Chart:
    """Return a bar for each row."""
    return Chart(table, chart="bar", label=label, value=value, title=title)


def histogram(table: Table, value: str, title: str = "", split_table: bool = False) -> Chart:
    """Return the distribution of a column."""
    return Chart(table, chart="histogram", value=value, title=title)


def line_series(
    xs: Any, ys: Any, keys: Sequence[Any] | None = None, title: str = "", xname: str = "x", split_table: bool = False
) -> Chart:
    """
    Return several lines; *xs* are those of all lines, or of each line.

    Raises:
        ValueError: The lines differ in number.
    """
    lines = [list(each) for each in ys]
    places = list(xs)
    of_lines = [list(each) for each in places] if places and hasattr(places[0], "__len__") else [places] * len(lines)
    names = [str(key) for key in keys] if keys is not None else [f"line_{number}" for number in range(len(lines))]
    if not len(of_lines) == len(lines) == len(names):
        raise ValueError(f"line_series: {len(of_lines)} xs, {len(lines)} ys and {len(names)} keys.")
    rows = [
        [at, name, value]
        for name, xs_of, ys_of in zip(names, of_lines, lines, strict=True)
        for at, value in zip(xs_of, ys_of, strict=False)
    ]
    return Chart(Table(["step", "lineKey", "lineVal"], rows), chart="line_series", x=xname, title=title)


def confusion_matrix(
    probs: Any = None,
    y_true: Any = None,
    preds: Any = None,
    class_names: Sequence[str] | None = None,
    title: str = "Confusion Matrix Curve",
    split_table: bool = False,
) -> Chart:
    """
    Return how often each class was taken for each: of *preds*, or of *probs*, whose highest is the prediction.

    Raises:
        ValueError: Neither or both are given, or their number differs from that of *y_true*.
    """
    if (probs is None) == (preds is None):
        raise ValueError("confusion_matrix: give probs or preds.")
    taken = [max(range(len(row)), key=list(row).__getitem__) for row in probs] if preds is None else list(preds)
    actual = list(y_true if y_true is not None else ())
    if len(actual) != len(taken):
        raise ValueError(f"confusion_matrix: {len(actual)} classes in y_true, and {len(taken)} predictions.")
    pairs = [(int(was), int(said)) for was, said in zip(actual, taken, strict=True)]
    most = max((max(pair) for pair in pairs), default=-1) + 1
    names = list(class_names) if class_names is not None else [f"Class_{number}" for number in range(1, most + 1)]
    if most > len(names):
        raise ValueError(f"confusion_matrix: there are {most} classes, and {len(names)} class_names.")
    counts = dict.fromkeys(((was, said) for was in range(len(names)) for said in range(len(names))), 0)
    for pair in pairs:
        counts[pair] += 1
    rows = [[names[was], names[said], number] for (was, said), number in counts.items()]
    return Chart(Table(["Actual", "Predicted", "nPredictions"], rows), chart="confusion_matrix", title=title)


def plot_table(
    vega_spec_name: str,
    data_table: Table,
    fields: Mapping[str, Any],
    string_fields: Mapping[str, Any] | None = None,
    split_table: bool = False,
) -> Chart:
    """Return a table for a drawing of one's own, of which the name is kept."""
    return Chart(data_table, chart=vega_spec_name, fields=dict(fields), texts=dict(string_fields or {}))
