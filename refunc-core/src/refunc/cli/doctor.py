"""`refunc doctor`: whether everything is all right here."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import click
from rich.text import Text

from refunc.cli.failure import Number
from refunc.cli.finding import store_option, the_store
from refunc.cli.screen import INDENT, print_json, print_lines, shown, stdout_on_stderr, window_width
from refunc.upkeep.checks import Finding, examine

_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}

_EXAMPLES = """\b
Examples:
  refunc doctor
  refunc doctor --all-runs
  refunc doctor --json | jq '.findings[] | select(.state == "problem")'"""


@click.command(short_help="Say whether everything is all right here.", epilog=_EXAMPLES)
@click.option("--runs", "count", type=Number(0), default=20, show_default=True, metavar="N", help="Read the newest N.")
@click.option("--all-runs", is_flag=True, help="Read all runs of the store, which takes as long as that is big.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@store_option
@click.pass_context
def doctor(ctx: click.Context, /, count: int, all_runs: bool, as_json: bool, store: str | None) -> None:
    """
    Say whether everything is all right here: versions, environment, plugins, the store, its disk and locks, its runs.

    Runs are read for damaged and missing lines, and for what their integrations have not received yet. Nothing is
    changed; to see whether the store can be written to, a hidden file is made in it and removed.

    Exit code 0: all is well. 1: there are problems, and behind each stands what to do.
    """
    with stdout_on_stderr():
        findings = list(examine(lambda: the_store(ctx, store), runs=None if all_runs else count))
    problems = [finding for finding in findings if finding.state == "problem"]
    if as_json:
        print_json({"is_fine": not problems, "findings": [attrs.asdict(finding) for finding in findings]})
    else:
        width = window_width()
        print_lines(line for finding in findings for line in _lines(finding, width))
        count = len(problems)
        print_lines([Text(f"{count} problem{'s' * (count > 1)}", "red") if count else Text("all is well", "green")])
    if problems:
        ctx.exit(1)


def _lines(finding: Finding, width: int | None) -> Iterator[Text]:
    """Yield what was found, and behind it what to do; below it where the window is too narrow: it may be a command."""
    line = Text.assemble((f"{finding.state:<8}", _STYLES[finding.state]), f" {finding.check:<12} {shown(finding.text)}")
    hint = Text(f"→ {shown(finding.hint)}" if finding.hint else "", "dim")
    if hint and width is not None and line.cell_len + 2 + hint.cell_len > width:
        yield line
        yield Text(INDENT).append_text(hint)
    else:
        yield line.append("  " if hint else "").append_text(hint)
