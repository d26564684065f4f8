"""
The cost of a call: refunc beside every peer, in one run.

    tox -e speed
    python benchmarks/speed [--only metrics] [--case refunc] [--rounds 5] [--json results.json] [--markdown]
    python benchmarks/speed --from results.json --update-readme

Each case runs in a process and a folder of its own, and cases take turns within a round. Cells are minimum / median of
the rounds: on a shared machine the rest is other people's work, so ratios are those of minima, measured in one run.
Packages are used with their defaults; the network and everything that phones home are switched off. No benchmark leaves
out work: the record is complete, checked, and on disk in the end, and the processor time until then is counted in all
threads and child processes. The first table has the goals of refunc; `limits.py` explains its `limit:` rows.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))  # modules that it shares with the other benchmarks

import goals
import metrics
import pages
import rounds
import tables
from families import FAMILIES


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        family, name, answer = sys.argv[2:]
        figures = FAMILIES[family].measure(name)
        os.write(int(answer), json.dumps(figures).encode())
        os._exit(0)  # the work of packages at exit is not measured
    if sys.argv[1:2] == ["--die"]:
        metrics.log_and_die(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=FAMILIES, help="a family; may be given more than once")
    parser.add_argument("--case", action="append", help="begins a case's name; may be given more than once")
    parser.add_argument("--json", type=Path, help="write all figures of all rounds there")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--from", dest="known", type=Path, help="show what --json wrote instead of measuring")
    parser.add_argument("--update-readme", action="store_true", help="write the tables into README.md and the docs")
    given = parser.parse_args()
    chosen = {
        family: [name for name in FAMILIES[family].cases if not given.case or name.startswith(tuple(given.case))]
        for family in given.only or FAMILIES
    }
    if given.known:
        machine, results = json.loads(given.known.read_text())
    else:
        results = rounds.run(chosen, given.rounds)
        machine = tables.machine(rounds.count(results))
    if given.json:
        given.json.write_text(json.dumps([machine, results], indent=1))
    if given.update_readme:
        pages.update(results, machine)
    print(machine, end="\n\n")
    if found := goals.rows(results):
        print(tables.text([goals.HEADINGS, *found], markdown=given.markdown), end="\n\n")
    for family in results:
        if any(results[family].values()):
            print(tables.text(tables.family_table(family, results), markdown=given.markdown), end="\n\n")


if __name__ == "__main__":
    main()
