"""`refunc tag`, `refunc note` and `refunc rename`: annotating runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import attrs
import click
from rich.text import Text

from refunc.annotations import AnnotationError, Annotations, annotate
from refunc.runs.errors import RunFormatError
from refunc.runs.run import Run
from refunc.runs.store import Store
from refunc.values.near import nearest
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import chosen
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.finding import cut, named, run_argument, the_run, the_store
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.screen import print_json, print_lines
from refunc_commands.cli.streams import error_line, shown

_TAG_EXAMPLES = """\b
Examples:
  refunc tag resnet_v1 best=yes
  refunc tag k3f9 m2p7 phase=final checked=
  refunc tag k3f9 --remove best
  refunc tag --sort=-metrics.accuracy.max -n 1 best=yes"""

_NOTE_EXAMPLES = """\b
Examples:
  refunc note resnet_v1 "the first one with the new sampler"
  refunc note resnet_v1 --remove x8q1m2p7"""

_RENAME_EXAMPLES = """\b
Examples:
  refunc rename k3f9 baseline
  refunc rename k3f9 --original"""

#: The most ids of other runs that a line names.
_MOST_IDS: Final = 5


@click.command(epilog=_TAG_EXAMPLES)
@choosing()
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A tag; the same as NAME=VALUE after RUN….")
@click.option("--remove", "gone", multiple=True, metavar="NAME", help="Take this tag away, even a logged one.")
@json_option("Print one JSON array of the runs instead.")
@store_option
@click.pass_context
def tag(
    ctx: click.Context,
    /,
    choice: Choice,
    given: tuple[str, ...],
    gone: tuple[str, ...],
    as_json: bool,
    store: str | None,
) -> None:
    """
    Tag runs: RUN… NAME=VALUE….

    The first argument is a run, unless options choose the runs; of the others, those with a `=` are tags. The journal
    of a run is not changed: its tags lie in a file beside it, and all commands apply them. A running run can be tagged
    as well.

    Exit code 1: a run could not be changed.
    """
    words = choice.names if choice.searches else choice.names[1:]
    names = (*choice.names[: len(choice.names) - len(words)], *(each for each in words if "=" not in each))
    choice = attrs.evolve(choice, names=names)
    if not choice:
        raise Failure("no run is given. Write it before the tag: `refunc tag RUN best=yes`, or choose runs by --where.")
    tags = _tags(ctx, store, [each for each in words if "=" in each], given)
    if both := tags.keys() & set(gone):
        raise Failure(f"{sorted(both)[0]} is both given and removed. Choose one.")
    if not tags and not gone:
        run = next((shown(name) for name in names if "=" not in name), "RUN")
        raise Failure(f"no tag is given. Write it after the run: `refunc tag {run} best=yes`.")
    found = chosen(ctx, store, choice).runs
    for name in gone:
        _refuse_unknown(name, found)
    changes = {**tags, **dict.fromkeys(gone)}
    said = ", ".join(f"{name}={value}" if value is not None else f"{name} removed" for name, value in changes.items())
    tagging = partial(_tagged, changes)
    change_each(ctx, found, tagging, lambda run: f"tagged {named(run)}: {said}", as_json)


def _tagged(changes: dict[str, str | None], run: Run) -> Annotations:
    """Make those of *changes* that the run does not have yet, also from its journal."""
    known = run.tags
    return annotate(run, tags={name: value for name, value in changes.items() if known.get(name) != value})


def _tags(ctx: click.Context, store: str | None, words: list[str], given: tuple[str, ...]) -> dict[str, str]:
    if words:
        try:
            known = {run.run_name for run in the_store(ctx, store).runs()}
        except OSError:
            known = set()
        for word in words:
            if word in known:
                raise Failure(
                    f"{word!r} is a tag, but a run has this name. Name the run by its id, or write --set {word}."
                )
    tags = {}
    for word in (*words, *given):
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise Failure(f"{word!r} is not a tag. Write it as NAME=VALUE, such as best=yes.")
        tags[name] = value
    return tags


def _refuse_unknown(name: str, runs: Sequence[Run]) -> None:
    known = dict.fromkeys(tag for run in runs for tag in run.tags)
    if name not in known:
        near = nearest(name, known)
        hint = f" Did you mean {near[0]}?" if near else f" Tags: {', '.join(known) or 'none'}."
        raise Failure(f"{'the run has no' if len(runs) == 1 else 'none of the runs has a'} tag {name!r}.{hint}")


@click.command(epilog=_NOTE_EXAMPLES)
@run_argument()
@click.argument("text", required=False, metavar="TEXT")
@click.option("--remove", "gone", multiple=True, metavar="ID", help="Take the note with this id away.")
@json_option("Print one JSON array of the run instead.")
@store_option
@click.pass_context
def note(
    ctx: click.Context, /, run: str, text: str | None, gone: tuple[str, ...], as_json: bool, store: str | None
) -> None:
    """
    Write a note about a run: a sentence or several, in quotes.

    Notes add up, each with its time, author and id, and `refunc show` shows them. The journal is not changed.
    """
    if text is None and not gone:
        raise Failure('there is no text. Write it in quotes: `refunc note RUN "why it is the best"`.')
    found = [the_run(ctx, store, run)]
    done = "wrote a note about" if text is not None else "removed a note of"
    noting = partial(annotate, note=text, remove_notes=gone)
    change_each(ctx, found, noting, lambda run: f"{done} {named(run)}", as_json)


@click.command(epilog=_RENAME_EXAMPLES)
@run_argument()
@click.argument("name", required=False, metavar="NAME")
@click.option("--original", is_flag=True, help="Give it the name back that it was logged with.")
@json_option("Print one JSON array of the run instead.")
@store_option
@click.pass_context
def rename(ctx: click.Context, /, run: str, name: str | None, original: bool, as_json: bool, store: str | None) -> None:
    """
    Give a run another name.

    Its id and its folder stay, and so do the name in its journal and in trackers. Several runs may have one name; then
    it means the newest of them.
    """
    if (name is None) != original:
        raise Failure("give either a NAME or --original.")
    if name is not None and not name.strip():
        raise Failure("the name is empty. --original gives the run its own name back.")
    found = the_run(ctx, store, run)
    before = named(found)
    change_each(
        ctx,
        [found],
        partial(annotate, name=name or ""),
        lambda run: f"renamed {before} to {cut(run.run_name)}",
        as_json,
    )
    line = _shared_name(found)
    if line is not None:
        error_line(line)


def _shared_name(run: Run) -> str | None:
    """Return the sentence that the name of *run* is one of another run too, with the ids that tell them apart."""
    store, name = Store(run.folder.parent), run.run_name
    try:
        others = [each for each in store.runs() if each.run_name == name and each.folder != run.folder]
        meant = store[name]
    except (LookupError, RunFormatError, OSError):  # the run is a removed one, or its store has damage
        return None
    said = "another run has this name too" if len(others) == 1 else f"{len(others):,} other runs have this name too"
    if meant.folder != run.folder:
        said = said if others else "this is the id of another run"
        return f"{said}: `{cut(name)}` means {meant.run_id}, and {run.run_id} means this one"
    ids = ", ".join(each.run_id for each in others[:_MOST_IDS]) + (", …" if len(others) > _MOST_IDS else "")
    rest = f"the other has the id {ids}" if len(others) == 1 else f"the others have the ids {ids}"
    return f"{said}: `{cut(name)}` means this one, {run.run_id}; {rest}" if others else None


# -- shared by the commands -------------------------------------------------------------------------------------------


@attrs.frozen
class _Changed:
    run: Run
    changed: bool
    problem: str | None = None


def change_each(
    ctx: click.Context,
    runs: Sequence[Run],
    change: Callable[[Run], Annotations],
    done: Callable[[Run], str],
    as_json: bool,
) -> None:
    """
    Change each of *runs*, print the line that *done* returns for it, and exit with 1 if one could not be changed.

    A mistake in the command is the same for each run, so nothing is changed then.
    """
    results = []
    for run in runs:
        before = run.annotations.changes
        try:
            after = change(run)
        except ValueError as error:
            raise Failure(str(error)) from error
        except (AnnotationError, OSError) as error:
            results.append(_Changed(run, False, _reason(error)))
        else:
            results.append(_Changed(run, after.changes != before))
    if as_json:
        print_json([_fields(result) for result in results])
    else:
        print_lines(_lines(results, done))
    for result in results:
        if result.problem is not None:
            error_line(result.problem)
    if any(result.problem is not None for result in results):
        ctx.exit(1)


def _reason(error: Exception) -> str:
    where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    return f"{where}{getattr(error, 'strerror', None) or error}"


def _lines(results: list[_Changed], done: Callable[[Run], str]) -> Iterator[Text]:
    for result in results:
        if result.problem is None and result.changed:
            yield Text(shown(done(result.run)))
        elif result.problem is None:
            yield Text(shown(f"{named(result.run)} is so already"), "dim")


def _fields(result: _Changed) -> dict[str, Any]:
    run = result.run
    notes = [attrs.asdict(note) for note in run.notes]
    return {
        "run_id": run.run_id,
        "run_name": run.given_name,
        "tags": run.tags,
        "notes": notes,
        "is_removed": run.is_removed,
        "changed": result.changed,
        "problem": result.problem,
        "folder": str(run.folder),
    }
