"""Results as tables: aligned in a terminal, or in Markdown."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time

from families import FAMILIES
from rounds import Results

PACKAGES = (
    "refunc-core",
    "loguru",
    "structlog",
    "picologging",
    "rich",
    "tqdm",
    "tensorboardX",
    "trackio",
    "wandb",
    "mlflow",
    "aim",
    "dvclive",
    "msgspec",
    "orjson",
)


def machine(rounds: int) -> str:
    """Return the day, the machine and the versions of figures that were measured just now, in so many *rounds*."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    installed = {each.name: each.version for each in importlib.metadata.distributions()}
    versions = ", ".join(f"{name} {installed.get(name, '(not installed)')}" for name in PACKAGES)
    # Of the last quarter of an hour: with more than one it was no quiet machine.
    load = f"load {os.getloadavg()[2]:.1f}"
    kernel = f"{platform.system()} {platform.release().split('-')[0]}"
    day = time.strftime("%Y-%m-%d")
    return f"{day}, {python}, {os.cpu_count()} virtual cores, {kernel}, {load}; {rounds} rounds\n{versions}"


def family_table(family: str, results: Results) -> list[list[str]]:
    """Return minimum / median of each figure of each case, in the units of the headings."""
    columns = FAMILIES[family].columns
    table = [[FAMILIES[family].title, *(heading for heading, _ in columns.values())]]
    for name, found in results[family].items():
        cells = [
            _cell([each[figure] * scale for each in found if figure in each]) for figure, (_, scale) in columns.items()
        ]
        table.append([name, *cells])
    return table


def _cell(found: list[float]) -> str:
    if not found:
        return "–"
    least, middle = number(min(found)), number(statistics.median(found))
    return least if len(found) == 1 else f"{least} / {middle}"


def number(value: float) -> str:
    """Return *value* with three digits or so."""
    if value == float("inf"):
        return "never"
    return f"{value:,.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def text(table: list[list[str]], *, markdown: bool) -> str:
    """Return *table*, whose first row has the headings."""
    if markdown:
        lines = [f"| {' | '.join(row)} |" for row in table]
        lines.insert(1, "|" + " --- |" * len(table[0]))
        return "\n".join(lines)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )
