"""
What `refunc doctor` looks at. Each check gives findings, and none raises: what goes wrong is what it has found.

Only the check of the store writes anything, a hidden file that it removes again; runs are read.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import Literal

import attrs

from refunc import __version__
from refunc.delivery.sync import targets_of
from refunc.journal.file import LockProbe, lock
from refunc.journal.kinds import CRASHED, RUNNING, UNREADABLE
from refunc.journal.reader import Account
from refunc.logging.quantities import amount
from refunc.plugins.discovery import states
from refunc.runs.run import SEE_RIGHTS, Run, RunFormatError
from refunc.runs.store import Store

State = Literal["ok", "note", "problem"]

#: What refunc asks the environment for.
VARIABLES = frozenset(
    "REFUNC_DIR REFUNC_MODE REFUNC_PLUGINS REFUNC_DELIVERY REFUNC_DELIVERY_LINGER REFUNC_EXIT_WAIT REFUNC_REDACT "
    "REFUNC_QUIET REFUNC_CACHE REFUNC_PARENT_RUN".split()
)
_PACKAGES = ("attrs", "cattrs", "msgspec", "pluggy", "tqdm", "click", "rich")
#: Below so much of a disk, artifacts are not copied any more; below so many bytes it will soon be full.
_FREE_SHARE, _FREE_BYTES = 0.05, 1 << 30
#: Seconds by which the clocks of this machine and of a file server may differ.
_CLOCK = 5.0


@attrs.frozen
class Finding:
    """One thing that was looked at. `hint` says what to do about a problem."""

    check: str
    state: State
    text: str
    hint: str = ""


def examine(find: Callable[[], Store], *, runs: int | None) -> Iterator[Finding]:
    """
    Yield what is found here, for the store that *find* gives.

    Args:
        runs: How many of the newest runs are read; None reads all.
    """
    yield from _versions()
    yield from _environment()
    yield from _plugins()
    try:
        store = find()
        if not store.path.is_dir():
            raise FileNotFoundError(f"{store.path}: there is no such folder.")
    except OSError as error:
        yield Finding("store", "note", str(error), "It is made by the first run.")
        return
    yield from _store(store.path)
    yield from _runs(store, runs)


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
        yield Finding("packages", "problem", f"not installed: {', '.join(missing)}", "Install refunc-core[cli] anew.")


def _environment() -> Iterator[Finding]:
    given = sorted(name for name in os.environ if name.startswith("REFUNC_"))
    for name in given:
        if name not in VARIABLES:
            near = get_close_matches(name, VARIABLES, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Nothing reads it."
            yield Finding("environment", "problem", f"{name} is no variable of refunc", hint)
    if os.environ.get("REFUNC_MODE", "").strip().lower() == "disabled":
        yield Finding("environment", "note", "REFUNC_MODE=disabled: trainings write nothing")
    known = [name for name in given if name in VARIABLES]
    yield Finding("environment", "ok", f"set: {', '.join(known)}" if known else "no variable of refunc is set")


def _plugins() -> Iterator[Finding]:
    try:
        found = states()
    except Exception as error:  # of the metadata of somebody's package
        yield Finding("plugins", "problem", f"they cannot be listed: {error}", "See `pip check`.")
        return
    for state in found:
        text = f"{state.plugin.name} {state.plugin.version}: {state.state}"
        reason = f" ({state.reason})" if state.reason else ""
        broken = state.state == "broken"
        hint = f"Upgrade or uninstall {state.plugin.distribution}." if broken else ""
        yield Finding("plugins", "problem" if broken else "ok", text + reason, hint)
    if not found:
        yield Finding("plugins", "ok", "none is installed")


def _store(folder: Path) -> Iterator[Finding]:
    yield Finding("store", "ok", str(folder))
    try:
        fd, draft = tempfile.mkstemp(prefix=".doctor-", dir=folder)
    except OSError as error:
        hint = "Give yourself the right to write there, or name another store with REFUNC_DIR."
        yield Finding("store", "problem", f"it cannot be written to: {error.strerror}", hint)
    else:
        try:
            yield from _file_system(fd, Path(draft))
        finally:
            os.close(fd)
            os.unlink(draft)
    usage = shutil.disk_usage(folder)
    text = f"{amount(usage.free)} of {amount(usage.total)} free"
    if usage.free < max(_FREE_BYTES, usage.total * _FREE_SHARE):
        hint = "`refunc gc` says what takes space. Artifacts are not copied into the last 5 %."
        yield Finding("disk", "problem", text, hint)
    else:
        yield Finding("disk", "ok", text)


def _file_system(fd: int, draft: Path) -> Iterator[Finding]:
    """Try what runs stand on: a write, locks, and a clock that agrees with this machine's."""
    os.write(fd, b"x")
    os.fsync(fd)
    lock(fd)
    probe = LockProbe(draft)
    try:
        works = probe.is_locked()
    finally:
        probe.close()
    if works:
        yield Finding("locks", "ok", "flock works here, so running and crashed runs can be told apart")
    else:
        yield Finding("locks", "note", "no flock on this file system: a crashed run reads as running")
    difference = os.fstat(fd).st_mtime - time.time()
    if abs(difference) > _CLOCK:
        text = f"the store's clock and this machine's differ by {abs(difference):.0f} s"
        yield Finding("clock", "problem", text, "Set both by NTP: records of several machines are ordered by time.")
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


def _runs(store: Store, most: int | None) -> Iterator[Finding]:
    unreadable: list[RunFormatError] = []
    found = store.runs(unreadable)
    for error in unreadable:
        yield Finding("runs", "problem", str(error), error.hint)
    future = [run for run in found if run.start_time > time.time() + 60]
    if future:
        text = f"{len(future):,} runs begin in the future, such as {future[-1].folder.name}"
        yield Finding("clock", "problem", text, "A clock was wrong when they ran, or is now.")
    chosen = found if most is None else found[max(0, len(found) - most) :]
    of = "" if len(chosen) == len(found) else f", of which the newest {len(chosen):,} were read"
    yield Finding("runs", "ok", f"{len(found):,} runs{of}")
    for run in chosen:
        yield from _run(run)


def _run(run: Run) -> Iterator[Finding]:
    name = run.folder.name
    account = Account()
    try:
        for _ in run.records(account):
            pass
        status = run.status
        targets = targets_of(run.folder)
    except OSError as error:
        yield Finding("runs", "problem", f"{name} cannot be read: {error.strerror or error}", SEE_RIGHTS)
        return
    # A live writer's last line is not finished yet, and that of one that was killed never will be.
    lost = {"damaged": account.damaged, "missing": account.missing, "dropped": account.dropped}
    if any(lost.values()):
        text = ", ".join(f"{count:,} {what}" for what, count in lost.items() if count)
        yield Finding("journal", "problem", f"{name}: {text}", "`refunc show` says more; the rest is read.")
    if status == UNREADABLE:
        yield Finding("runs", "problem", f"{name}: a part of its journal cannot be read", SEE_RIGHTS)
    if status == CRASHED:
        yield Finding("runs", "note", f"{name} has crashed: it has no end, and its process is gone")
    if status == RUNNING:
        return
    for target in targets:
        health = target.health
        if not target.is_done:
            text = f"{name}: {health.waiting:,} records wait for {target.passport.name}"
            yield Finding("delivery", "problem", text + _because(health.last_error), f"refunc sync {run.run_id}")
        if health.dead:
            text = f"{name}: {health.dead:,} records were refused by {target.passport.name}"
            yield Finding("delivery", "note", f"{text}; they are in its delivery folder")


def _because(error: str | None) -> str:
    return f" ({error})" if error else ""
