"""`refunc sync`: deliver the remaining records of runs to their integrations."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import click
from rich.text import Text

from refunc.delivery.origin import asked_by
from refunc.delivery.sync import Target, sync, target_at, targets_of
from refunc.journal.alive import is_alive
from refunc.plugins.discovery import configure
from refunc.plugins.errors import ConfigurationError
from refunc.plugins.files import also_in
from refunc.runs.run import Run
from refunc.runs.unreadable import Faults
from refunc.values.secrets import without_secrets
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import chosen
from refunc_commands.cli.live_line import LiveLine, live_line
from refunc_commands.cli.next_step import next_steps
from refunc_commands.cli.options import json_option, plugins_option, store_option
from refunc_commands.cli.screen import print_json, print_lines
from refunc_commands.cli.streams import error_line, left_out, shown

_EXAMPLES = """\b
Examples:
  refunc sync
  refunc sync resnet_v1 --patience 300
  refunc sync resnet_v1 --dead-letters
  refunc sync --follow --json"""

#: The countdown is shown in the last so many seconds only; earlier it would just alarm.
GIVING_UP = 25.0


def _seconds(ctx: click.Context, option: click.Parameter, value: float) -> float:
    if math.isnan(value):  # NaN passes any range check, and no time is ever later
        raise click.BadParameter("nan is not a valid number of seconds.")
    return value


@click.command("sync", epilog=_EXAMPLES)
@choosing()
@click.option("--follow", is_flag=True, help="Continue until all runs have ended and are delivered.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    callback=_seconds,
    help="Give up on a tracker that has accepted nothing for this long.",
)
@click.option("--dead-letters", "revives", is_flag=True, help="Retry records that a tracker refused for good.")
@click.option("--trust", "trusts", is_flag=True, help="Deliver runs of other users, or copies, as they ask.")
@click.option(
    "--to", "names", multiple=True, metavar="PLUGIN", help="Deliver to this plugin with your own settings; repeatable."
)
@json_option("Print one JSON array instead.")
@plugins_option
@store_option
@click.pass_context
def sync_command(
    ctx: click.Context,
    choice: Choice,
    follow: bool,
    patience: float,
    revives: bool,
    trusts: bool,
    names: tuple[str, ...],
    as_json: bool,
    folders: tuple[str, ...],
    store: str | None,
) -> None:
    """
    Deliver the remaining records of runs to their integrations: after an outage, a crash, or on another machine.
    Trackers with tags also get what `refunc tag`, `note`, `rename` and `rm` have said about a run since its end.

    RUN is an id, a name or a folder; without RUN, all runs of the store are delivered. Secrets, such as a token or a
    webhook, are not in the run: they come from the environment variables that `refunc plugins` lists. A run that its
    training is delivering right now is left alone. On a terminal, a line shows the progress.

    Runs of other users are held, because a run may name any host. --trust delivers the named RUNs as they ask, but
    only to addresses that your environment names too. --to ignores the requests of runs, and delivers to a plugin with
    the settings of your environment.

    Exit code 0: everything is delivered. 1: something is left, including dead letters, or a run cannot be read. The
    last column gives the reason, and the last line the next step.
    """
    if trusts and not choice.names:
        raise click.UsageError("--trust needs the RUN to trust: name it. `refunc sync` shows what each run asks for.")
    listing = chosen(ctx, store, choice).listable()
    faults = Faults(listing.unreadable)
    with also_in(folders):
        asked = partial(_asked, plugins=[_configured(name) for name in names], trusts=trusts)
        targets = list(faults.each(listing.runs, asked))
        done = [target for target in targets if _has_nothing_left(target, revives=revives)]
        left = [target for target in targets if target not in done]
        with _deliveries_told() as line:
            watch = None if line is None else partial(_show, line, revives=revives)
            settled = sync(left, patience=patience, follow=follow, revives=revives, watch=watch)
        steps = next_steps([*done, *settled], revives=revives)
    if as_json:
        print_json([_fields(target) for target in (*done, *settled)])
    elif not targets:
        error_line("no run here has an integration.")
    else:
        print_lines(_lines([*(target for target in done if target.dead_letters), *settled], len(targets)))
        for step in steps:
            error_line(step)
    left_out(faults.found)
    if faults.found or any(not target.is_done or target.dead_letters for target in (*done, *settled)):
        ctx.exit(1)


def _asked(run: Run, *, plugins: list[Any], trusts: bool) -> list[Target]:
    """Return the targets of *run*: the *plugins* of the command line, else those that the run asks for."""
    targets = [target_at(run.folder, each) for each in plugins] if plugins else targets_of(run.folder)
    return [attrs.evolve(target, is_trusted=True) for target in targets] if trusts else targets


def _has_nothing_left(target: Target, *, revives: bool) -> bool:
    return target.is_done and not target.health.aside and not (revives and target.dead_letters)


def _configured(name: str) -> Any:
    """Return the plugin *name* with the settings of the environment."""
    try:
        return configure(name, {})
    except ConfigurationError as error:
        raise click.UsageError(f"--to {name}: {error}") from error


class _Told(logging.Handler):
    """Shows the messages of delivery as lines on stderr, without tracebacks; repeated ones once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line; a closed stderr does not stop delivery."""
        try:
            line = without_secrets(record.getMessage())
            self._said[line] += 1
            if self._said[line] == 1:
                error_line(line)
        except Exception:  # as stdlib's own handlers do
            self.handleError(record)

    def say_how_often(self) -> None:
        """Print the repeated messages with their counts: a tracker may refuse each of a million records."""
        for line, count in self._said.items():
            if count > 1:
                error_line(f"{line} ({count:,} times)")


@contextmanager
def _deliveries_told() -> Iterator[LiveLine | None]:
    report, handler = logging.getLogger("refunc.delivery"), _Told()
    report.addHandler(handler)
    try:
        with live_line() as line:
            yield line
    finally:
        report.removeHandler(handler)
        handler.say_how_often()


def _show(line: LiveLine, targets: list[Target], left: float, *, revives: bool) -> None:
    """Show in one line how many records wait for which tracker, the time left, and the trackers' errors."""
    by_name: dict[str, list[Target]] = {}
    for target in targets:
        by_name.setdefault(target.passport.name, []).append(target)
    parts = ["; ".join(_waiting(name, of_name, revives) for name, of_name in by_name.items())]
    if left < GIVING_UP:
        parts.append(f"giving up in {max(0.0, left):.0f} s")
    for name, of_name in by_name.items():
        trouble = next((each.health for each in of_name if each.health.state not in ("ok", "stopped")), None)
        parts += [f"{name} is {trouble.state}: {trouble.last_error}"] if trouble is not None else []
    line.show(" · ".join(parts))


def _waiting(name: str, targets: list[Target], revives: bool) -> str:
    waiting = sum(target.health.waiting + (target.health.dead if revives else 0) for target in targets)
    runs = f" in {len(targets):,} runs" if len(targets) > 1 else ""
    return f"{name}: {waiting:,} record{'s' * (waiting != 1)} wait{'s' * (waiting == 1)}{runs}"


def _fields(target: Target) -> dict[str, Any]:
    health = target.health
    return {
        "run": target.folder.name,
        "integration": target.passport.name,
        "target": asked_by(target.passport) if target.is_held else target.passport.target,
        "is_done": target.is_done,
        "state": "held" if target.is_held else "delivered elsewhere" if target.is_taken else health.state,
        "delivered": health.delivered,
        "waiting": health.waiting,
        "aside": health.aside,
        "dead": health.dead,
        "last_error": health.last_error,
        "dead_letters": str(target.dead_letters) if target.dead_letters else None,
    }


def _lines(settled: list[Target], count: int) -> Iterator[Text]:
    if not settled:
        yield Text(f"nothing to do: {count} deliver{'ies are' if count != 1 else 'y is'} complete")
    for target in settled:
        health = target.health
        if target.is_held:
            mark, said = (
                Text("held", "yellow"),
                f"asks to be delivered to {asked_by(target.passport)}",
            )
        elif target.is_taken:
            mark, said = Text("busy", "yellow"), "another process is delivering it"
        elif target.is_done:
            mark, said = Text("done", "green"), f"{health.delivered:,} records delivered"
        else:
            count = health.waiting
            waits = f"{count:,} record{'s wait' if count != 1 else ' waits'}"
            left = waits if count or health.state == "ok" else "annotations wait"
            mark, said = Text("left", "red"), f"{left} ({health.state}): {_reason(target)}"
        if target.dead_letters is not None:
            kinds = [f"{health.dead:,} dead letter{'s' * (health.dead != 1)}"] * bool(health.dead or not health.aside)
            kinds += [f"{health.aside:,} set aside ({health.last_error})"] * bool(health.aside)
            letters = f"{', '.join(kinds)} in {os.path.relpath(target.dead_letters)}"
            mark, said = Text("dead", "red") if target.is_done else mark, f"{said}; {letters}"
        yield Text.assemble(mark, f"  {shown(target.folder.name)}  {shown(target.passport.name)}  {shown(said)}")


def _reason(target: Target) -> str:
    if not target.health.waiting and is_alive(target.folder):
        return "the run has not ended yet"
    return target.health.last_error or "no answer in time"
