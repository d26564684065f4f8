"""
The checks of `refunc doctor`. Each check yields findings, and none raises: an error becomes a finding.

Only the check of the store writes anything, a hidden file that it removes again; runs are only read.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from refunc import __version__
from refunc.annotations.file import ANNOTATIONS
from refunc.delivery.origin import asked_by
from refunc.delivery.sync import targets_of
from refunc.journal.alive import file_system, has_shared_locks, life_of
from refunc.journal.kinds import CRASHED, RUNNING, UNREADABLE
from refunc.journal.provenance import key_path, missing_key
from refunc.journal.reader import Account
from refunc.journal.record import Artifact
from refunc.outlets.locks import LockProbe
from refunc.outlets.replaced import Draft
from refunc.plugins.discovery import states
from refunc.runs.errors import RunFormatError, StrangeStoreError
from refunc.runs.run import Run
from refunc.runs.store import Store
from refunc.runs.unreadable import SEE_RIGHTS, containing
from refunc.values import settings
from refunc.values.near import nearest
from refunc.values.quantities import amount
from refunc_commands.upkeep.findings import Finding, State
from refunc_commands.upkeep.launches import launch_here, parts_of_runs, ranks_and_names

_PACKAGES = ("attrs", "cattrs", "msgspec", "pluggy", "tqdm", "click", "rich")
#: The free part of a disk below which artifacts are not copied; and the free bytes below which it is nearly full.
_FREE_SHARE, _FREE_BYTES = 0.05, 1 << 30
#: Seconds by which the clocks of this machine and of a file server may differ.
_CLOCK = 5.0


def examine(find: Callable[[], Store], *, runs: int | None) -> Iterator[Finding]:
    """
    Yield the findings for this installation and the store that *find* returns.

    Args:
        runs: How many of the newest runs are checked; None checks all.
    """
    yield from _versions()
    yield from _environment()
    yield from launch_here()
    yield from _plugins()
    yield from _key()
    try:
        store = find()
        if not store.path.is_dir():
            raise FileNotFoundError(f"{store.path}: no such folder.")
    except (StrangeStoreError, NotADirectoryError) as error:
        yield Finding("store", "problem", str(error), "Name a store with --store or REFUNC_DIR.")
        return
    except OSError as error:
        yield Finding("store", "note", str(error), "The first run creates it.")
        return
    yield from _store(store.path)
    yield from _runs(store, runs)


def _key() -> Iterator[Finding]:
    """Check for the key that proves which runs are this user's; it is created if possible."""
    if why := missing_key():
        hint = "Until it is fixed, `refunc sync` delivers a run as the run asks only with --trust."
        yield Finding("key", "problem", f"no key proves which runs are yours: {why}", hint)
    else:
        yield Finding("key", "ok", f"{key_path()} proves which runs are yours")


def _versions() -> Iterator[Finding]:
    yield Finding("refunc", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    python = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    yield Finding("python", "ok", f"{python}: {sys.executable}")
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("packages", "ok", ", ".join(found))
    if missing:
        yield Finding(
            "packages",
            "problem",
            f"not installed: {', '.join(missing)}",
            "Install refunc-core and refunc-commands again.",
        )


def _environment() -> Iterator[Finding]:
    given = sorted(name for name in os.environ if name.startswith("REFUNC_"))
    for name in given:
        setting = settings.SETTINGS.get(name)
        if setting is None:
            near = nearest(name, settings.SETTINGS)
            hint = f"Did you mean {near[0]}?" if near else "It has no effect. Remove it, or correct its name."
            yield Finding("environment", "problem", f"{name} is not a variable of refunc", hint)
        elif taken_for := setting.misread():
            state: State = "note" if taken_for == "on" else "problem"
            text = f"{setting.shown()} counts as {taken_for}"
            yield Finding("environment", state, text, f"Allowed: {setting.allowed()}.")
    if settings.MODE.choice() == "disabled":
        yield Finding("environment", "note", "REFUNC_MODE=disabled: trainings write nothing")
    known = [name for name in given if name in settings.SETTINGS]
    yield Finding("environment", "ok", f"set: {', '.join(known)}" if known else "no variable of refunc is set")


def _plugins() -> Iterator[Finding]:
    try:
        found = states()
    except Exception as error:  # raised by the metadata of any package
        yield Finding("plugins", "problem", f"the plugins cannot be listed: {error}", "See `pip check`.")
        return
    for state in found:
        text = f"{' '.join(filter(None, (state.plugin.name, state.plugin.version)))}: {state.state}"
        reason = f" ({state.reason})" if state.reason else ""
        broken = state.state == "broken"
        mend = "Repair or remove" if state.plugin.is_file else "Upgrade or uninstall"
        hint = f"{mend} {state.plugin.distribution}." if broken else ""
        yield Finding("plugins", "problem" if broken else "ok", text + reason, hint)
    if not found:
        yield Finding("plugins", "ok", "none is installed")


def _store(folder: Path) -> Iterator[Finding]:
    yield Finding("store", "ok", str(folder))
    try:
        draft = Draft(folder / "doctor", private=True)
    except OSError as error:
        hint = "Make it writable, or name another store with REFUNC_DIR."
        yield Finding("store", "problem", f"the store is not writable: {error.strerror}", hint)
    else:
        with draft:  # it is never put in place
            yield from _file_system(draft.fd, draft.path)
    usage = shutil.disk_usage(folder)
    text = f"{amount(usage.free)} of {amount(usage.total)} free"
    if usage.free < max(_FREE_BYTES, usage.total * _FREE_SHARE):
        hint = "`refunc gc` shows what uses the space. Artifacts are not copied into the last 5 %."
        yield Finding("disk", "problem", text, hint)
    else:
        yield Finding("disk", "ok", text)


def _file_system(fd: int, draft: Path) -> Iterator[Finding]:
    """Test the store's file system: writing, locks, and whether its clock agrees with this machine's."""
    os.write(fd, b"x")
    os.fsync(fd)
    probe = LockProbe(draft)
    try:
        works = probe.is_locked()
    finally:
        probe.close()
    yield _locks(os.fstat(fd).st_dev, works)
    difference = os.fstat(fd).st_mtime - time.time()
    if abs(difference) > _CLOCK:
        text = f"the store's clock and this machine's differ by {abs(difference):.0f} s"
        yield Finding(
            "clock", "problem", text, "Synchronize both by NTP: records of several machines are ordered by time."
        )
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


def _locks(device: int, works: bool | None) -> Finding:
    kind = file_system(device)[0].decode("ascii", "replace") or "this file system"
    if not works:
        text = f"no flock on {kind}: processes and files show whether a run without an end is still running"
        return Finding("locks", "note", text, "On another machine a run counts as crashed after an hour of silence.")
    if has_shared_locks(device):
        return Finding("locks", "ok", f"flock works on {kind} for all machines, so crashed runs are recognised")
    text = f"flock works on this machine; it is not known whether {kind} shares locks between machines"
    return Finding("locks", "ok", f"{text}: for runs of other machines, the files are checked as well")


def _runs(store: Store, most: int | None) -> Iterator[Finding]:
    listing = store.listing()
    found = listing.runs
    for error in listing.unreadable:
        yield Finding("runs", "problem", str(error), error.hint)
    future = [run for run in found if run.start_time > time.time() + 60]
    if future:
        text = f"{len(future):,} runs begin in the future, such as {future[-1].folder.name}"
        yield Finding("clock", "problem", text, "Check the clock: it was wrong when they ran, or is now.")
    chosen = found if most is None else found[max(0, len(found) - most) :]
    of = "" if len(chosen) == len(found) else f", of which the newest {len(chosen):,} were checked"
    yield Finding("runs", "ok", f"{len(found):,} runs{of}")
    if listing.removed:
        several = "s are" if len(listing.removed) > 1 else " is"
        text = f"{len(listing.removed):,} run{several} marked by `refunc rm`"
        yield Finding("runs", "note", text, "`refunc ls --removed` shows them, `refunc restore` takes it back.")
    yield from parts_of_runs(found)
    yield from ranks_and_names(chosen)
    for run in chosen:
        try:
            with containing(run.folder):
                findings = list(_run(run))
        except RunFormatError as error:
            findings = [Finding("runs", "problem", str(error), error.hint)]
        yield from findings


def _run(run: Run) -> Iterator[Finding]:
    name = run.folder.name
    account = Account()
    artifacts = [record for record in run.records(account) if isinstance(record, Artifact)]
    status = run.status
    targets = targets_of(run.folder)
    # The last line of a live writer is not finished yet, and the last line of a killed one never will be.
    lost = {"damaged": account.damaged, "missing": account.missing, "dropped": account.dropped}
    if any(lost.values()):
        text = ", ".join(f"{count:,} {what}" for what, count in lost.items() if count)
        yield Finding(
            "journal", "problem", f"{name}: {text}", "`refunc show` has details; the rest of the run is readable."
        )
    if problem := run.annotations.problem:
        text = f"{name}: {problem}; the run is shown without its annotations"
        yield Finding("annotations", "problem", text, f"Repair {ANNOTATIONS}, or move it away.")
    if status == UNREADABLE:
        yield Finding("runs", "problem", f"{name}: a part of its journal cannot be read", SEE_RIGHTS)
    doubt = life_of(run.folder).doubt if status in (CRASHED, RUNNING) else ""
    if doubt:
        yield Finding("locks", "note", f"{name} is shown as {status}: {doubt}")
    elif status == CRASHED:
        yield Finding("runs", "note", f"{name} crashed: its process is gone, and no end was recorded")
    yield from _artifacts(name, artifacts)
    if status == RUNNING:
        return
    for target in targets:
        health = target.health
        if target.is_held:
            text = f"{name}: another user's run, or a copy, asks to be delivered to {asked_by(target.passport)}"
            yield Finding("delivery", "note", text, f"refunc sync {shlex.quote(run.run_id)} shows how to deliver it.")
        elif not target.is_done:
            waiting = health.waiting - health.aside
            said = "1 record waits" if waiting == 1 else f"{waiting:,} records wait" if waiting else "annotations wait"
            text = f"{name}: {said} for {target.passport.name}"
            yield Finding(
                "delivery", "problem", text + _because(health.last_error), f"refunc sync {shlex.quote(run.run_id)}"
            )
        if health.aside:
            said = "1 record was" if health.aside == 1 else f"{health.aside:,} records were"
            text = f"{name}: {said} set aside by {target.passport.name}, which accepted others"
            yield Finding(
                "delivery", "problem", text + _because(health.last_error), f"refunc sync {shlex.quote(run.run_id)}"
            )
        if health.dead:
            text = f"{name}: {health.dead:,} records were refused by {target.passport.name}"
            yield Finding("delivery", "note", f"{text}; they are in its delivery folder")


def _artifacts(name: str, artifacts: list[Artifact]) -> Iterator[Finding]:
    """Report artifacts that the run refers to without a copy, and whether the files still exist unchanged."""
    sizes = {}
    for artifact in artifacts:
        if artifact.stored is None and artifact.source:
            sizes[artifact.source] = artifact.size
        sizes.update({os.path.join(artifact.source, path): size for path, size in artifact.largest_references.items()})
    gone = sum(_size_of(path) != size for path, size in sizes.items())
    count = sum(artifact.references or artifact.stored is None for artifact in artifacts)
    if count:
        total = sum(item.size if item.stored is None else item.reference_bytes for item in artifacts)
        state = f"; of these, {gone:,} are gone or have changed" if gone else "; all are unchanged in their places"
        text = f"{name}: {count:,} files of artifacts, {amount(total)}, were not copied{state}"
        yield Finding("artifacts", "note", text, "`log_artifact(…, copy=True)` copies files of any size.")
    left_out = sum(artifact.left_out for artifact in artifacts)
    if left_out:
        why = sorted({reason for artifact in artifacts for reason in artifact.left_out_paths.values()})
        text = f"{name}: {left_out:,} entries of logged folders were left out ({', '.join(why[:3])})"
        yield Finding("artifacts", "note", text, "`refunc show --json` names them; log those that you need separately.")


def _size_of(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):  # gone, or not a valid file name
        return None


def _because(error: str | None) -> str:
    return f" ({error})" if error else ""
