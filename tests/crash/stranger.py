"""
Runs as a stranger might make them, from a grammar of hostile names, values, records and files; and their use.

Run as a script, it makes a store with a good run and a hostile one, runs every command on it in this process, and
prints as JSON each act of theirs that a run must not cause. Chance has a seed, the first argument.
"""

from __future__ import annotations

import json
import os
import random
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

from refunc.journal.codec import seal

#: Modules that no command has a use for, so that an import of them was asked for by a run.
MODULES = ("antigravity", "this", "idlelib", "turtle", "beside", "lib2to3")
HOSTS = ("http://127.0.0.1:9/x", "http://evil.example/", "https://evil.example", "sqlite:////var/planted.db", "0.0.0.0")
NAMES = (
    "", ".", "..", "../../outside", "/etc/passwd", "a" * 5_000, "\x00", "\x1b[2J", "²", "nän", "\u202eabc", "a\nb",
    "*" * 60,     "params.lr", "<script>", "=cmd()", "%s%n", "{x}", "loss", "val/loss", "status", "-o", "\ud800",
)  # fmt: skip
#: The contents of the file outside. Its name may be shown: a record of an artifact has it.
OUTSIDE = "for other eyes"
PLUGINS = ("mlflow", "wandb", "slack", "prometheus", "sender", "nothing", "../x", "")
#: Names of segments, of which the first is always there.
SEGMENTS = (
    b"w-1-a-b.000000.jsonl", b"w-1-a-b.000001.jsonl", b"\xff.000000.jsonl", "w-1-a-b.²00000.jsonl".encode(),
    b"w-1-a-bbbb_r0.000000.jsonl", b"w-2-a-bbbb_r3a2.000000.jsonl", b"w-3-a-bbbb_r1a999999.000000.jsonl",
    b"w-1-a-b.99999999999999999999.jsonl", b".hidden", b"x" * 200 + b".000000.jsonl", b"f.folded", b"g.folded",
)  # fmt: skip
#: Names of files of ranks.
RANKS = (
    b"1.0.json", b"1.1.json", b"1.3.json", b"2.0.json", b"3.3.json", b"999999.9999999.json", b"01.1.json", b"0.0.json",
    "1.².json".encode(), b"1.1.json.bak", b"1.-1.json", b".1.0.json.abcdefgh.refunc.tmp", b"\xff.1.json", b"1..json",
)  # fmt: skip
KINDS = (
    "log",
    "metrics",
    "params",
    "tags",
    "define",
    "artifact",
    "attach",
    "start",
    "end",
    "rewind",
    "gap",
    "damaged",
    "odd",
    "",
)


class Stranger:
    """Makes one hostile run."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def name(self) -> str:
        return self.chance.choice(NAMES)

    def value(self, depth: int = 0) -> Any:
        numbers = (0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 1e308, -0.0, 1e-320, True, None)
        match self.chance.randrange(6 if depth < 3 else 3):
            case 0:
                return self.chance.choice(numbers)
            case 1:
                return self.name()
            case 2:
                return self.chance.choice(HOSTS)
            case 3:
                return [self.value(depth + 1) for _ in range(self.chance.randrange(4))]
            case _:
                return {self.name(): self.value(depth + 1) for _ in range(self.chance.randrange(5))}

    def moment(self) -> Any:
        return self.chance.choice([1795448152.0, 0, -1e9, 1e18, 1e308, 1795448152.5])

    def attach(self) -> dict[str, Any]:
        plugin = self.chance.choice(PLUGINS)
        path = self.chance.choice([*(f"{module}:X" for module in MODULES), "sender:SenderIntegration", "os:system", ""])
        options = {key: self.chance.choice(HOSTS) for key in ("tracking_uri", "base_url", "url", "push_gateway", "dir")}
        if plugin == "prometheus":
            options = {"addr": "0.0.0.0", "port": 18_998}  # type: ignore[dict-item]
        key = self.chance.choice(["k1", "k2", plugin, "..", self.name()])
        return {"name": plugin, "key": key, "path": path, "options": options, "target": self.name(), "mac": "0" * 32}

    def record(self) -> dict[str, Any]:
        kind = self.chance.choice(KINDS)
        fields: dict[str, Any] = {}
        match kind:
            case "attach":
                fields = self.attach()
            case "metrics" | "log":
                metrics = {self.name(): self.chance.choice([1.0, None, 2**70, 1e308]) for _ in range(3)}
                fields = {
                    "metrics": metrics,
                    "message": self.name(),
                    "level": self.chance.choice(["INFO", "ERROR", "RESULT"]),
                }
                fields["step"] = self.chance.choice([0, 1, 2**63, -5, 1e300, None])
            case "params" | "tags":
                fields = {kind: {self.name(): self.value() for _ in range(4)}}
            case "define":
                fields = {"name": self.name(), "goal": self.chance.choice(["min", "max", "x"]), "summary": self.name()}
            case "artifact":
                stored = self.chance.choice(
                    ["artifacts/a", "artifacts/pipe", "artifacts/list.files.json", "../../secret", None]
                )
                fields = {
                    "name": self.name(),
                    "source": self.chance.choice(["/etc/passwd", self.name()]),
                    "stored": stored,
                }
                fields |= {"size": self.chance.choice([0, 7, 2**62]), "mtime": self.chance.choice([1.0, None])}
            case "gap":
                fields = {"dropped": self.chance.choice([0, -1, 2**62, 2**64])}
            case "rewind":
                fields = {
                    "step": self.chance.choice([0, 3, -1, 1e300, 2**63]),
                    "attempt": self.chance.choice([1, 2, -1]),
                }
            case "end":
                fields = {"status": self.name(), "duration": self.moment(), "metrics": {"loss": 1.0}}
            case _:
                fields = {self.name(): self.value()}
        for key in list(fields):
            if self.chance.random() < 0.1:
                fields[key] = self.value()
        seq = self.chance.choice([self.chance.randrange(50), self.chance.randrange(50), 2**62, -1, 2**63])
        return {"seq": seq, "time": self.moment(), "kind": kind, **fields}

    def line(self, fields: dict[str, Any]) -> bytes:
        line = seal(json.dumps(fields, separators=(",", ":")).encode())
        if self.chance.random() < 0.05:
            line = line[: self.chance.randrange(len(line))]
        return line

    def segment(self, run_id: str) -> bytes:
        header = {"kind": "segment", "format": 1, "run": run_id, "writer": "w-1-a-b", "segment": 0, "time": 1.0}
        lines = [self.line({**header, **({self.name(): self.value()} if self.chance.random() < 0.3 else {})})]
        return b"".join([*lines, *(self.line(self.record()) for _ in range(self.chance.randrange(30)))])

    def folded(self) -> bytes:
        parts = [self.segment("eeeeeeee") for _ in range(self.chance.randrange(4))]
        names = ["w-1-a-b.000000.jsonl", "w-2-a-b.000000.jsonl", "w-2-a-b.000001.jsonl", "../../secret", self.name()]
        said: list[Any] = [[self.chance.choice(names), len(part)] for part in parts]
        if self.chance.random() < 0.5:
            sizes = (-1, 0, 5, 2**31, 2**62, 2**64, 7.5, None)
            said.append(self.chance.choice([self.value(), [self.chance.choice(names), self.chance.choice(sizes)]]))
        fields = {"kind": "folded", "format": 1, "segments": said, **({"x": self.value()} if len(parts) == 1 else {})}
        return b"".join([self.line(fields), *parts])

    def birth(self) -> bytes:
        fields = {"format": 1, "run_id": "eeeeeeee", "run_name": self.name(), "experiment_name": self.name()}
        fields |= {"start_time": 1795448151.0, "logger": "l", "host": "h", "pid": 1}
        for key in list(fields):
            if self.chance.random() < 0.12:
                fields[key] = self.value()
        if self.chance.random() < 0.05:
            return b"\xff{"
        return json.dumps(fields).encode()

    def facts_of_rank(self) -> bytes:
        if self.chance.random() < 0.2:
            return self.chance.choice(
                [b"[" * 60_000, b"1" * 60_000, b'{"world_size": ' + b"9" * 5_000 + b"}", b"", b"null"]
            )
        names = ("attempt", "rank", "world_size", "key", "start", "restarts", "host", "pid", "time", "opened_by")
        fields = {name: self.value() for name in names if self.chance.random() < 0.8}
        fields["world_size"] = self.chance.choice([2, 4, 10**6, 2**70, -1, "4"])
        return json.dumps(fields).encode()

    def put_ranks(self, base: bytes, outside: Path) -> None:
        """Mostly put a folder of ranks."""
        if self.chance.random() < 0.4:
            return
        if self.chance.random() < 0.1:
            self.put(base + b"/ranks", b"", outside)
            return
        if self.chance.random() < 0.1:
            os.symlink(outside, base + b"/ranks")
            return
        os.makedirs(base + b"/ranks")
        for name in RANKS:
            if self.chance.random() < 0.4:
                self.put(base + b"/ranks/" + name, self.facts_of_rank(), outside)

    def put(self, path: bytes, data: bytes, outside: Path) -> None:
        """Put something at *path*: mostly a file with *data*."""
        if os.path.lexists(path):
            return
        try:
            match self.chance.randrange(14):
                case 0:
                    os.mkfifo(path)
                case 1:
                    os.symlink(outside / "secret", path)
                case 2:
                    os.symlink("/dev/zero", path)
                case 3:
                    os.mkdir(path)
                case 4:
                    with open(path, "wb") as file:
                        file.truncate(1 << 33)
                case 5:
                    Path(os.fsdecode(path)).write_bytes(self.chance.randbytes(2_000))
                case 6:
                    os.symlink(path, path)
                case _:
                    Path(os.fsdecode(path)).write_bytes(data)
        except OSError:  # a name that no file can have
            pass

    def make(self, folder: Path, outside: Path) -> None:
        """Make the run in *folder*, which is about to exist."""
        base = os.fsencode(folder)
        for part in (b"journal", b"delivery", b"artifacts"):
            os.makedirs(base + b"/" + part)
        (folder / "run.json").write_bytes(self.birth())
        for name in SEGMENTS:
            if self.chance.random() < (1.0 if name.startswith(b"w-1-a-b.000000") else 0.25):
                data = self.folded() if name.endswith(b".folded") else self.segment("eeeeeeee")
                self.put(base + b"/journal/" + name, data, outside)
        self.put_ranks(base, outside)
        cursor = {"format": 2, "key": "k1", "name": "slack", "params": {}, "tags": {}}
        position = [self.value(), self.value(), self.value(), *(self.value() for _ in range(self.chance.randrange(4)))]
        cursor |= {
            "positions": {"w-1-a-b": position, self.name(): self.value()},
            "state": self.value(),
            "end": self.value(),
        }
        for name in (b"k1.json", b"k1.dead.jsonl", b"k2.json", b"k1.lock", b"process.log", b"mlflow.json"):
            if self.chance.random() < 0.5:
                self.put(base + b"/delivery/" + name, self.line(cursor), outside)
        listing = [{"path": self.name(), "stored": "../../secret", "source": "/etc/passwd", "size": 1, "mtime": 1.0}]
        for name, data in (
            (b"a", b"weights"),
            (b"pipe", b""),
            (b"list.files.json", json.dumps([*listing, self.value()]).encode()),
        ):
            self.put(base + b"/artifacts/" + name, data, outside)


def _good(store: Path) -> None:
    folder = store / "20261128-110000_good_gggggggg"
    (folder / "journal").mkdir(parents=True)
    birth = {"format": 1, "run_id": "gggggggg", "run_name": "good", "experiment_name": "x", "start_time": 1795440000.0}
    (folder / "run.json").write_text(json.dumps(birth))
    header = {
        "kind": "segment",
        "format": 1,
        "run": "gggggggg",
        "writer": "g-1-a-b",
        "segment": 0,
        "time": 1795440000.0,
    }
    points = [
        {"seq": n, "time": 1795440000.0 + n, "kind": "metrics", "step": n, "metrics": {"loss": 1 / (n + 1)}}
        for n in range(5)
    ]
    end = {"seq": 5, "time": 1795440006.0, "kind": "end", "status": "completed", "duration": 6.0}
    lines = [seal(json.dumps(each, separators=(",", ":")).encode()) for each in (header, *points, end)]
    (folder / "journal" / "g-1-a-b.000000.jsonl").write_bytes(b"".join(lines))


class Watch:
    """Notes each act of a command that a run must not cause, by Python's own audit events."""

    def __init__(self, allowed: list[str]) -> None:
        self.found: list[str] = []
        self.is_on = False
        self._allowed = tuple(allowed)
        sys.addaudithook(self._see)

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        try:
            self._judge(event, args)
        except Exception as error:  # in an audit hook, an error would change the command that is watched
            self.found.append(f"cannot judge {event}: {error!r}")

    def _judge(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "import":
            if args[0].partition(".")[0] in MODULES:
                self.found.append(f"import {args[0]}")
        elif event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "webbrowser.open", "os.system"):
            address = args[1] if event in ("socket.connect", "socket.bind") else args
            if getattr(args[0], "family", None) != getattr(socket, "AF_UNIX", None):
                self.found.append(f"{event} {address!r}")
        elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork"):
            if event != "subprocess.Popen" or "refunc" not in str(args[1]):
                self.found.append(f"{event} {args[1:2]!r}")
        elif event == "open" and isinstance(args[0], (str, bytes)):
            flags = args[2] or 0
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                path = os.fsdecode(args[0])
                # The event comes before the system's answer, which is an error if the name is a link.
                real = _name_itself(path) if flags & os.O_NOFOLLOW else os.path.realpath(path)
                self._must_be_allowed(event, real)
        elif event in ("os.truncate", "os.chmod"):
            path = f"/proc/self/fd/{args[0]}" if isinstance(args[0], int) else os.fsdecode(args[0])
            self._must_be_allowed(event, os.path.realpath(path))
        elif event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link"):
            for path in args[:2]:
                if isinstance(path, (str, bytes)):
                    # These act on the name itself: a link in its place is replaced or removed, and not followed.
                    self._must_be_allowed(event, _name_itself(os.fsdecode(path)))

    def _must_be_allowed(self, event: str, real: str) -> None:
        if not real.startswith(self._allowed) and real not in ("/dev/null", "/dev/tty"):
            self.found.append(f"{event} {real}")


def _name_itself(path: str) -> str:
    """Return *path* with the links of its folder resolved, but for its own."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def _peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _commands(hostile: str, written: Path) -> list[list[str]]:
    out = str(written / "out")
    return [
        ["ls"], ["ls", "--json"], ["ls", "--where", "metrics.loss < 2"],
        ["show", "gggggggg", "--json"], ["show", hostile], ["show", hostile, "--json"],
        ["logs", hostile], ["tail", hostile], ["compare", "gggggggg", hostile],
        ["plot", hostile], ["plot", "gggggggg"], ["export", "-o", f"{out}.csv", "--to", "csv"],
        ["export", hostile, "--entries", "--to", "jsonl", "-o", f"{out}.jsonl"],
        ["report", hostile, "-o", f"{out}.html"],
        ["doctor"], ["doctor", "--json"], ["sync", "--patience", "0.3"], ["sync", "--json", "--patience", "0.3"],
        ["sync", hostile, "--trust", "--patience", "0.3"], ["gc", "--older-than", "1s"], ["gc", "--drafts", "--json"],
        ["show", hostile, "--rank", "mean", "--all-ranks"], ["show", hostile, "--rank", "3", "--json"],
        ["logs", hostile, "--rank", "3", "--all"], ["plot", hostile, "-m", "loss", "--rank", "all"],
        ["export", hostile, "--rank", "all", "--attempts", "all", "-o", f"{out}.ranks.csv"],
        ["report", hostile, "--rank", "max", "-o", f"{out}.ranks.html"],
        ["merge", hostile, "--into", f"{written}/merged", "--running"],
        ["gc", "--fold", "--dry-run"], ["gc", "--fold", "--yes", "--json"], ["ls"], ["show", hostile, "--json"],
    ]  # fmt: skip


def main(seed: int, base: Path) -> None:
    """Make the store of *seed* below the folder *base*, use it, and print the problems."""
    from click.testing import CliRunner

    from refunc_commands.cli.root import refunc

    store, outside, written = base / "store", base / "outside", base / "written"
    for each in (store, outside, written):
        each.mkdir(parents=True)
    (outside / "secret").write_text(OUTSIDE)
    _good(store)
    before = CliRunner().invoke(refunc, ["--store", str(store), "show", "gggggggg", "--json"]).stdout
    hostile = store / "20261128-120000_evil_eeeeeeee"
    Stranger(random.Random(seed)).make(hostile, outside)
    allowed = [str(store), str(written), os.environ["REFUNC_CACHE"], os.environ["XDG_STATE_HOME"]]
    watch, wrong, began_with = Watch([os.path.realpath(each) for each in allowed]), [], _peak()
    for command in _commands(str(hostile), written):
        arguments = ["--store", str(store), *command]
        began, worked = time.monotonic(), time.process_time()
        watch.is_on = True
        result = CliRunner().invoke(refunc, arguments)
        watch.is_on = False
        took, worked = time.monotonic() - began, time.process_time() - worked
        problems = [*watch.found]
        watch.found.clear()
        if not isinstance(result.exception, (SystemExit, type(None))):
            problems.append(f"{type(result.exception).__name__}: {result.exception}")
        if took > 60 or worked > 10:  # a busy machine may take long, for the same work
            problems.append(f"took {took:.0f} s, {worked:.0f} s of a processor")
        if OUTSIDE in result.output:
            problems.append("shows a file from outside")
        if command[:2] == ["show", "gggggggg"] and result.stdout != before:
            problems.append("the good run is shown otherwise")
        if command == ["ls"] and "good" not in result.stdout:
            problems.append("the good run is not listed")
        wrong += [[" ".join(command), problem] for problem in problems]
    if _peak() - began_with > 300 << 20:
        wrong.append(["all", f"{(_peak() - began_with) >> 20} MB"])
    print(json.dumps(wrong))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
