"""Commands are loaded when they are used, and others can add some."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from refunc.annotations import remove
from refunc.logging import ExperimentTracker
from refunc.runs import open_store
from refunc_commands.cli import root

pytestmark = pytest.mark.extras

FINE = """
import click

@click.command(short_help="What mytool does.")
@click.argument("word")
def command(word):
    click.echo(f"mytool says {word}")
"""


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install commands of others: `others(mytool=source)`, a module with the object `command`."""
    site = tmp_path / "commands"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(**sources: str) -> None:
        for name, source in sources.items():
            (site / f"cmd_{name}.py").write_text(source)
            info = site / f"cmd_{name}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: cmd-{name}\nVersion: 1.0\n")
            (info / "entry_points.txt").write_text(f"[refunc.commands]\n{name} = cmd_{name}:command\n")
            monkeypatch.delitem(sys.modules, f"cmd_{name}", raising=False)

    return install


def test_a_command_of_others_is_one_like_the_rest(others: Callable[..., None], invoke: Any) -> None:
    others(mytool=FINE)

    assert invoke("mytool", "hello").stdout == "mytool says hello\n"
    assert "mytool   What mytool does." in invoke("--help").stdout
    assert invoke("mytool").exit_code == 2


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise RuntimeError('not today')", "RuntimeError: not today"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("command = 3", "TypeError: cmd_broken:command is not a click command"),
        ("def", "SyntaxError: "),
    ],
)
def test_a_broken_one_says_so_and_breaks_no_other(
    source: str, says: str, others: Callable[..., None], invoke: Any
) -> None:
    others(broken=source, mytool=FINE)

    result = invoke("broken", "--any", "thing")

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert f"refunc: the command 'broken' of cmd-broken cannot be loaded: {says}" in result.stderr
    assert invoke("mytool", "hello").stdout == "mytool says hello\n"
    assert "(broken: " in invoke("--help").stdout
    assert invoke("ls", "--help").exit_code == 0


def test_nobody_takes_the_place_of_a_command_of_refunc(others: Callable[..., None], invoke: Any) -> None:
    others(ls=FINE)

    assert "mytool" not in invoke("ls", "x").stdout


def test_a_command_pays_for_nothing_that_others_need() -> None:
    code = (
        "import sys; sys.argv = ['refunc', 'ls', '--help']\n"
        "from refunc_commands.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "unwanted = {'refunc_commands.cli.sync', 'refunc.delivery', 'cattrs', 'pluggy', 'numpy', 'pandas', 'pyarrow'}\n"
        "assert not unwanted & set(sys.modules), unwanted & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


# -- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ls", "--where", "params.lr <"], "the expression is not valid: it is incomplete (column 12)"),
        (
            ["ls", "--where", "lr < 1"],
            "unknown name 'lr'. Write params.lr for a param, or metrics.lr for a metric. Known: params",
        ),
        (["ls", "--sort", "params"], "params needs a name after it: params.lr or params['lr']. (column 1)"),
    ],
)
def test_a_bad_expression_is_one_line(arguments: list[str], says: str, own_folder: Path, invoke: Any) -> None:
    (own_folder / "experiments").mkdir()

    result = invoke(*arguments)

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"refunc: {says}")


# -- on a terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize(
    "command", ["plugins", "doctor", "gc --status failed", "show failed", "plot failed -m loss --height 6", "export"]
)
def test_what_is_wider_than_the_window_goes_on_below_and_no_word_is_cut(
    command: str, columns: int, in_terminal: Callable[..., str], invoke: Any
) -> None:
    cells = pytest.importorskip("rich.cells")
    long = f"/data/{'x' * 100}"
    with suppress(ValueError), ExperimentTracker("images", "failed") as tracker:
        tracker.log_hyperparams({"prompt": "a few words " * 20, "path": long})
        tracker.log_metrics({"loss": math.nan}, step=1)
        tracker.log_metrics({"loss": 0.123456}, step=2)
        raise ValueError(f"wörter und 言葉 {long} " * 5)
    arguments = ["export", "-o", "p" * 100, "--to", "csv"] if command == "export" else command.split()

    shown = in_terminal(*arguments, columns=columns, NO_COLOR="1").splitlines()

    too_wide = [line for line in shown if cells.cell_len(line) > columns]
    assert [line for line in too_wide if len(line.split()) > 1] == []
    if command in (
        "plugins",
        "gc --status failed",
        "export",
    ):  # others have a clock, a chart, or a table that gives way
        assert " ".join(shown).split() == invoke(*arguments).stdout.split()


def test_what_to_do_stands_on_a_line_of_its_own_where_there_is_no_room(in_terminal: Callable[..., str]) -> None:
    assert "        → The first run creates it.\n" in in_terminal("doctor", columns=60, NO_COLOR="1")


# -- completion -------------------------------------------------------------------------------------------------------


def completed(line: str, own_folder: Path) -> list[str]:
    """Return the words that bash is offered behind *line*."""
    words = line.split(" ")
    done = subprocess.run(
        [Path(sys.executable).with_name("refunc")],
        env={**os.environ, "_REFUNC_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        capture_output=True,
        text=True,
        cwd=own_folder,
    )
    return [item.partition(",")[2] for item in done.stdout.splitlines()]


def test_a_shell_completes_commands_and_runs(own_folder: Path) -> None:
    for name in ("resnet_v1", "resnet_v2", "other"):
        with ExperimentTracker("images", name):
            pass

    assert completed("refunc sh", own_folder) == ["show"]
    assert completed("refunc show resnet", own_folder) == ["resnet_v2", "resnet_v1"]
    assert "resnet_v1" in completed(f"refunc --store {own_folder}/experiments show re", own_folder)
    assert completed("refunc ls --wh", own_folder) == ["--where"]


@pytest.mark.once
def test_a_shell_completes_the_values_of_the_options_that_choose_runs(own_folder: Path) -> None:
    for name in ("resnet", "gone"):
        with ExperimentTracker("images", name) as tracker:
            tracker.log_params({"lr": 1, "layers": {"depth": 2}})
            tracker.log_metrics({"val/loss": 1.0, "loss": 1.0}, step=1)
            tracker.log_tags({"team": "vision"})
    remove(open_store()["gone"])

    assert completed("refunc restore ", own_folder)[0] == "gone"
    assert "gone" not in completed("refunc show ", own_folder)
    assert completed("refunc plot -m ", own_folder) == completed("refunc plot resnet -m ", own_folder)[::-1]
    assert completed("refunc export -m v", own_folder) == ["val/loss"]
    assert completed("refunc ls --sort metrics.val/loss.mi", own_folder) == [
        "metrics.val/loss.min",
        "metrics.val/loss.min_step",
    ]
    assert completed("refunc ls --columns params.lr,par", own_folder) == ["params.lr,params."]
    assert completed("refunc plot --group params.layers.", own_folder) == ["params.layers.depth"]
    assert completed("refunc report --where tags.", own_folder) == ["tags.team"]
    assert completed("refunc sync --experiment ", own_folder) == ["images"]
    for name in completed("refunc ls --where metrics.", own_folder):  # each can be used as it is
        assert open_store().find(f"{name} > 0")


def test_a_shell_completes_names_behind_a_minus_and_behind_an_equals_sign(own_folder: Path) -> None:
    with ExperimentTracker("images", "odd") as tracker:
        tracker.log_params({"lr": 1})
        tracker.log_metrics({"loss": 0.5, "-x": 1.0}, step=1)

    assert completed("refunc ls --sort -metrics.lo", own_folder) == ["-metrics.loss"]
    assert completed("refunc ls --sort -metrics.loss.mi", own_folder) == ["-metrics.loss.min", "-metrics.loss.min_step"]
    assert completed("refunc ls --where -params.", own_folder) == ["-params.lr"]
    assert "-params." in completed("refunc ls --sort -", own_folder)
    assert completed("refunc ls --json --sor", own_folder) == ["--sort"]
    assert "--where" in completed("refunc ls --json --", own_folder)
    # bash takes `--sort=…` apart at the sign.
    for before in ("refunc ls --sort =", "refunc --store experiments ls --sort ="):
        assert completed(f"{before} metrics.lo", own_folder) == ["metrics.loss"]
        assert completed(f"{before} -metrics.lo", own_folder) == ["-metrics.loss"]
        assert "metrics." in completed(before, own_folder)
    assert completed("refunc --store = experiments show od", own_folder) == ["odd"]


@pytest.mark.once
def test_a_shell_completes_a_metric_with_the_name_of_a_statistic_as_that_metric(own_folder: Path) -> None:
    with ExperimentTracker("images", "odd") as tracker:
        tracker.log_metrics({"acc": 0.5, "acc.min": 7.0}, step=1)

    for option in ("--sort", "--where", "--columns"):
        assert completed(f"refunc ls {option} metrics.a", own_folder) == ["metrics.acc", "metrics.acc.min.last"]
    assert open_store().find("metrics.acc.min.last == 7 and metrics.acc.min == 0.5")


@pytest.mark.parametrize(
    ("shell", "offered"), [("zsh", {"two words", "a,b", "*"}), ("fish", {"two words", "*"}), ("bash", {"a,b"})]
)
def test_a_shell_is_offered_what_its_script_brings_into_the_line(
    shell: str, offered: set[str], own_folder: Path
) -> None:
    with ExperimentTracker("images", "odd") as tracker:
        tracker.log_metrics({"two words": 1.0, "a,b": 1.0, "*": 1.0, "-x": 1.0, "\x1b[2J": 1.0, "loss": 1.0})
    # fish names the word to complete by its text, and the others by its place.
    place = "" if shell == "fish" else "4"

    done = subprocess.run(
        [Path(sys.executable).with_name("refunc")],
        env={
            **os.environ,
            "_REFUNC_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": "refunc plot odd -m ",
            "COMP_CWORD": place,
        },
        capture_output=True,
        text=True,
        cwd=own_folder,
    )

    names = {"two words", "a,b", "*", "-x", "\x1b[2J", "loss"}
    words = {word for line in done.stdout.splitlines() for word in (line, line.partition(",")[2])}
    assert words & names == {*offered, "loss"}


def test_the_table_of_own_commands_is_that_of_the_entry_points() -> None:
    found = {
        entry.name: entry.value for entry in entry_points(group=root.GROUP) if entry.dist.name == "refunc-commands"
    }  # type: ignore[union-attr]

    assert found == {name: f"refunc_commands.cli.{place}" for name, (place, _) in root._OWN.items()}


def test_help_is_a_word_as_well(invoke: Any) -> None:
    assert invoke("help").stdout == invoke("--help").stdout
    assert invoke("help", "ls").stdout == invoke("ls", "--help").stdout
    assert "no command 'lss'. Did you mean ls?" in invoke("help", "lss").stderr


def test_a_command_of_a_distribution_that_is_not_installed_names_it(
    invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root, "_foreign", lambda ctx: {})

    assert "no command 'ui'. It is in refunc-ui, which is not installed (pip install ./refunc-ui" in invoke("ui").stderr
