"""The tables in README.md and docs/explanation/performance.md, between marks that say which they are."""

from __future__ import annotations

import re
from pathlib import Path

import goals
import tables
from families import FAMILIES
from rounds import Results

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs" / "explanation" / "performance.md")

#: The part of a family that the README shows: its cases, and its figures.
SHORT = {
    "metrics": (
        [
            "refunc",
            "refunc `process`",
            "trackio",
            "tensorboardX",
            "W&B offline",
            "aim",
            "dvclive",
            "MLflow async",
            "MLflow",
        ],
        ["p50", "p99", "cpu"],
    ),
    "lines": (
        ["refunc journal", "refunc text file", "structlog", "picologging file", "logging file", "loguru file"],
        ["p50", "p99", "cpu"],
    ),
}


def update(results: Results, machine: str) -> None:
    """Write the tables of *results* into the pages, with the *machine* that they hold for; other text is left alone."""
    parts = {"machine": f"{machine}.".replace("\n", "; ")}
    parts["goals"] = tables.text([goals.HEADINGS, *goals.rows(results)], markdown=True)
    for family, found in results.items():
        if any(found.values()):
            parts[family] = tables.text(tables.family_table(family, results), markdown=True)
    for family, (cases, figures) in SHORT.items():
        parts[f"{family}-short"] = tables.text(_short(family, results, cases, figures), markdown=True)
    for page in PAGES:
        text = page.read_text()
        for name, part in parts.items():
            mark = f"<!-- speed: {name} -->"
            text = re.sub(f"(?s){mark}\n.*?{mark}", lambda _, new=f"{mark}\n{part}\n{mark}": new, text)
        page.write_text(text)


def _short(family: str, results: Results, cases: list[str], figures: list[str]) -> list[list[str]]:
    columns = FAMILIES[family].columns
    table = [[FAMILIES[family].title, *(columns[figure][0] for figure in figures)]]
    for case in cases:
        values = [goals.value(results, (family, case), figure) for figure in figures]
        cells = [
            "–" if value is None else tables.number(value * columns[figure][1])
            for value, figure in zip(values, figures, strict=True)
        ]
        table.append([case, *cells])
    return table
