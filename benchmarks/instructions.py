"""
How many instructions refunc's hot paths take: a regression is seen on a noisy machine too.

    python benchmarks/instructions.py            count, and print beside the recorded counts
    python benchmarks/instructions.py --check    fail where a path takes over 5 % more than is recorded
    python benchmarks/instructions.py --record   count, and record for this interpreter

valgrind's callgrind counts; it has to be installed. All paths run in one process. A call of `getpgid` closes the count
before it, so start-up is in none, and of 512 and 1,024 calls the difference is taken. The garbage collector is off.
Counts hold for one build of the interpreter and one version of msgspec, which are recorded with them: for any other,
nothing is compared.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from itertools import repeat
from pathlib import Path

from hot_paths import HOT_PATHS, without_writer

RECORDED = Path(__file__).with_name("instructions.json")
CALLS = 512
#: Part by which a count may grow.
TOLERANCE = 0.05


def work(names: list[str]) -> None:
    """Make CALLS calls of each path, or handle as many records, then twice as many; mark where each begins and ends."""
    without_writer()
    time.monotonic = lambda: 0.0  # so that nothing depends on how fast it goes: a tracker looks now and then
    gc.disable()  # nor on other garbage
    for name in names:
        calls = CALLS // HOT_PATHS[name].records
        call = HOT_PATHS[name].prepare()
        for _ in repeat(None, calls):  # the interpreter specialises its byte code within the first few
            call()
        for count in (calls, 2 * calls):
            os.getpgid(0)
            for _ in repeat(None, count):
                call()
            os.getpgid(0)
    os._exit(0)  # without the records that are queued: they are not counted


def count(names: list[str]) -> dict[str, float]:
    """Return the instructions of one call of each path, or of one record of several that it handles at once."""
    with tempfile.TemporaryDirectory(prefix="refunc-instructions-") as folder:
        command = ["valgrind", "--tool=callgrind", "--dump-before=getpgid", "--callgrind-out-file=counted"]
        subprocess.run(
            [*command, sys.executable, __file__, "--work", *names],
            check=True,
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "REFUNC_DIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        dumps = sorted(Path(folder).glob("counted.*"), key=lambda path: int(path.suffix[1:]))
        # One before the first mark, then, for each path: once, between, twice, between.
        totals = [_total(dump) for dump in dumps]
    once, twice = totals[1::4], totals[3::4]
    return {name: round((b - a) / CALLS, 1) for name, a, b in zip(names, once, twice, strict=True)}


def _total(dump: Path) -> int:
    lines = dump.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(("totals:", "summary:")))


def interpreter() -> dict[str, str]:
    """Return the interpreter and the packages that the counts hold for."""
    return {
        "python": " ".join([sys.version.replace("\n", " "), *platform.python_build()]),
        "built": _digest(sysconfig.get_config_var("CONFIG_ARGS"), sysconfig.get_config_var("PY_CFLAGS")),
        "machine": platform.machine(),
        "msgspec": importlib.metadata.version("msgspec"),
        "attrs": importlib.metadata.version("attrs"),
    }


def _digest(*settings: object) -> str:
    """Return a digest that tells builds apart and names no folder of anybody's machine."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:12]


def main() -> int:
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--only", action="append", choices=HOT_PATHS)
    given = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed, so nothing is counted: apt-get install valgrind")
    version = "{}.{}".format(*sys.version_info)
    recorded = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    mine = recorded.get(version)
    same = mine is not None and mine["interpreter"] == interpreter()
    if given.check and not same:
        print(f"Nothing was compared: {_why(mine, version)}")
        return 0
    names = given.only or list(HOT_PATHS)
    counted = count(names)
    grown = []
    print(f"{'instructions a call':34} {'now':>8} {'recorded':>9}")
    for name, now in counted.items():
        before = mine["instructions"].get(name) if same else None
        change = f"{now / before - 1:+7.1%}" if before else ""
        print(f"{name:34} {now:8,.0f} {f'{before:,.0f}' if before else '–':>9} {change}")
        if before and now > before * (1 + TOLERANCE):
            grown.append(name)
    if given.record:
        kept = mine["instructions"] if same else {}
        recorded[version] = {"interpreter": interpreter(), "instructions": {**kept, **counted}}
        RECORDED.write_text(json.dumps(recorded, indent=2) + "\n")
    elif not same:
        print(f"Nothing was compared: {_why(mine, version)}")
    if grown and given.check:
        print(f"More than {TOLERANCE:.0%} above what is recorded: {', '.join(grown)}.")
        print("If that has its reason, record it: python benchmarks/instructions.py --record")
        return 1
    return 0


def _why(mine: dict[str, dict[str, str]] | None, version: str) -> str:
    if mine is None:
        return f"no counts are recorded for Python {version}."
    differ = [
        f"{name} {mine['interpreter'].get(name)!r}"
        for name, is_now in interpreter().items()
        if mine["interpreter"].get(name) != is_now
    ]
    return f"the counts of Python {version} were recorded with {', '.join(differ)}."


if __name__ == "__main__":
    sys.exit(main())
