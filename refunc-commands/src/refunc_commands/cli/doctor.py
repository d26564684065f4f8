"""`refunc doctor`: check the installation and the store for problems."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import click
from rich.text import Text

from refunc_commands.cli.failure import Number
from refunc_commands.cli.finding import the_store
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.screen import INDENT, print_json, print_lines, window_width
from refunc_commands.cli.streams import shown, stdout_on_stderr
from refunc_commands.upkeep.checks import examine
from refunc_commands.upkeep.findings import Finding

_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}

_EXAMPLES = """\b
Examples:
  refunc doctor
  refunc doctor --all-runs
  refunc doctor --json | jq '.findings[] | select(.state == "problem")'"""


@click.command(epilog=_EXAMPLES)
@click.option(
    "--runs", "count", type=Number(0), default=20, show_default=True, metavar="N", help="Check the newest N runs."
)
@click.option("--all-runs", is_flag=True, help="Check all runs of the store; slow if it is large.")
@json_option()
@store_option
@click.pass_context
def doctor(ctx: click.Context, /, count: int, all_runs: bool, as_json: bool, store: str | None) -> None:
    """
    Check versions, environment, plugins, the store, its disk and locks, and its runs for problems.

    Runs are checked for damaged and missing lines, for records that their integrations have not received yet, and for
    ranks that wrote to another store.
    Nothing is changed, except that a hidden file is created and removed to test whether the store is writable.

    Exit code 0: no problems. 1: there are problems; each is shown with a hint on how to fix it.
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
        print_lines(
            [Text(f"{count} problem{'s' * (count > 1)}", "red") if count else Text("no problems found", "green")]
        )
    if problems:
        ctx.exit(1)


def _lines(finding: Finding, width: int | None) -> Iterator[Text]:
    """Yield the finding and its hint: on one line, or below it in a narrow window, since a hint may be a command."""
    line = Text.assemble((f"{finding.state:<8}", _STYLES[finding.state]), f" {finding.check:<12} {shown(finding.text)}")
    hint = Text(f"→ {shown(finding.hint)}" if finding.hint else "", "dim")
    if hint and width is not None and line.cell_len + 2 + hint.cell_len > width:
        yield line
        yield Text(INDENT).append_text(hint)
    else:
        yield line.append("  " if hint else "").append_text(hint)
