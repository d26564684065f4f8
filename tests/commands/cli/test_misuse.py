"""Mistakes of a user in the command, or faults around it: one line on stderr, exit code 2, nothing half done."""

from __future__ import annotations

import os
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.pieces import segments
from refunc.logging import ExperimentTracker

pytestmark = [pytest.mark.once, pytest.mark.extras]


@pytest.fixture
def run(own_folder: Path) -> Path:
    """Return the folder of a run `resnet` that fills more than a pipe when it is exported."""
    with ExperimentTracker("images", "resnet") as tracker:
        for step in range(2_000):
            tracker.log_metrics({"loss": 1 / (step + 1)}, step=step)
    assert tracker.folder is not None
    return tracker.folder


def line_of(result: Any) -> str:
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.stderr
    assert result.stderr.startswith("refunc: ")
    return str(result.stderr)


# -- the line itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ls", "--jsn"], "--json"),
        (["ls", "--whree", "x"], "no such option '--whree'. Did you mean --where\\?"),
        (["logs", "--group", "x"], "no such option '--group'. It is an option of ls, compare, plot, export, report. "),
        (["ls", "--unheard-of"], "no such option '--unheard-of'. Options: --json, --where, "),
        (["ls", "--where", "params.a < 1", "--where", "params.a > 0"], "--where.* 2 times. Join the expressions with"),
        (["plot", "--experiment", "a", "--experiment", "b"], r"--experiment.* Write --where \"experiment_name in"),
        (["ls", "--store", "a", "--store", "b"], "--store.* it is given 2 times. Name runs of another store"),
        (["export", "-n", "1", "-n", "2"], "-n.* it is given 2 times"),
        (["show", "--since", "1d", "--since", "2d"], "--since.* it is given 2 times"),
        (["ls", "--nonsense"], "--nonsense.* Options: --json, --where, .* -n, --number, "),
        (["ls", "-n", "many"], r"'many' is not a whole number of 1 or more\."),
        (["ls", "-n", "0"], r"'0' is not a whole number of 1 or more\."),
        (["ls", "--json=3"], "'--json' does not take a value"),
        (["show", "resnet", "vit"], r"unexpected extra argument \(vit\)\."),
        (["plot", "resnet", "-m"], "'-m' requires an argument"),
        (["plot", "resnet", "-m", "loss", "--height", "2"], "'2' is not a whole number from 5 to 200"),
        (["export", "--to", "xlsx"], "'xlsx' is not one of 'parquet', 'csv', 'jsonl', 'json'"),
        (["logs", "resnet", "--level", "loud"], "'loud' is not a log level. Allowed: TRACE, "),
        (["logs", "resnet", "--since", "soon"], "'soon' is not a valid time. Write it as 10m"),
        (["gc", "--older-than", "old"], "'old' is not a valid age. Write it as 90s"),
        (["import"], "missing argument 'SOURCE...'"),
        (["import", "x", "--from", "aim"], "'aim' is not one of 'mlflow'"),
    ],
)
def test_a_command_that_is_misused_says_so_in_one_line(arguments: list[str], says: str, invoke: Any) -> None:
    line = line_of(invoke(*arguments))

    assert re.search(says, line)
    assert line.endswith(f" See `refunc {arguments[0]} --help`.\n")


def test_an_option_before_the_command_is_told_its_place(invoke: Any) -> None:
    line = line_of(invoke("--where", "True", "ls"))

    assert "'--where'. Write it after the command, as in `refunc ls --where`. It is an option of ls, show, " in line
    assert line.endswith(" See `refunc --help`.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["shw", "resnet"], "no command 'shw'. Did you mean show"),
        (["baseline"], "no command 'baseline'. Commands: ls, show, compare, "),
        (["--stor", "x", "ls"], "--store"),
        (["--store"], "'--store' requires an argument"),
    ],
)
def test_refunc_itself_too(arguments: list[str], says: str, invoke: Any) -> None:
    line = line_of(invoke(*arguments))

    assert says in line
    assert line.endswith(" See `refunc --help`.\n")


def test_nothing_at_all_is_the_help(invoke: Any) -> None:
    result = invoke()

    assert "Commands:\n  ls " in result.stdout + result.stderr


# -- the store, the output and the terminal ---------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_store_that_is_a_file(by: str, invoke: Any, own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_folder / "runs.csv").touch()
    if by == "variable":
        monkeypatch.setenv("REFUNC_DIR", "runs.csv")

    assert "it is a file, not a folder" in line_of(invoke("ls", *(["--store", "runs.csv"] if by == "option" else [])))


def test_a_run_that_cannot_be_read_is_named_where_a_name_is_unknown(run: Path, invoke: Any) -> None:
    (run / "run.json").write_text("{")

    assert f"no run 'resnet' in {run.parent}. 1 cannot be read, such as {run}: run.json" in line_of(
        invoke("show", "resnet")
    )


def test_one_journal_that_cannot_be_read_leaves_the_other_runs(
    run: Path, invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faked, because root may read everything."""
    with ExperimentTracker("images", "other"):
        pass

    def denied(folder: Path) -> Any:
        if folder == run:
            raise PermissionError(13, "Permission denied", str(folder))
        return segments(folder)

    monkeypatch.setattr("refunc.runs.read_on.segments", denied)

    result = invoke("ls", "--where", "True")

    assert (result.exit_code, "other" in result.stdout, "resnet" in result.stdout) == (0, True, False)
    assert result.stderr == f"refunc: left out: {run}: its journal cannot be read (Permission denied)\n"


@pytest.mark.parametrize("command", [["export", "resnet", "--to", "csv"], ["report", "resnet"]])
def test_an_output_that_cannot_be_written(command: list[str], run: Path, invoke: Any, own_folder: Path) -> None:
    (own_folder / "file").touch()

    assert f"{own_folder}/file: File exists" in line_of(invoke(*command, "-o", "file/x.csv"))
    assert "experiments: Is a directory" in line_of(invoke(*command, "-o", "experiments"))
    assert "File name too long" in line_of(invoke(*command, "-o", "x" * 300))


@pytest.mark.parametrize(
    "command",
    [
        ["export", "--to", "csv", "-o", "points"],
        ["export", "--to", "parquet", "-o", "points"],
        ["export", "--entries", "--to", "json", "-o", "points"],
        ["report", "resnet", "-o", "points"],
    ],
)
def test_a_disk_that_takes_no_more_leaves_what_was_there(
    command: list[str], run: Path, running: Any, own_folder: Path
) -> None:
    (own_folder / "points").write_text("of yesterday")

    # -B: byte code would be a file, too, and Python up to 3.11 leaves a part of it for all that come after.
    done = subprocess.run(
        [sys.executable, "-B", "-m", "refunc", *command],
        capture_output=True,
        text=True,
        env={**os.environ, "REFUNC_CACHE": "off"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, 4_096)),
    )

    assert (done.returncode, done.stdout, done.stderr) == (1, "", "refunc: points: File too large\n")
    assert (own_folder / "points").read_text() == "of yesterday"
    assert sorted(path.name for path in own_folder.iterdir()) == ["experiments", "logs", "points"]


@pytest.mark.parametrize(
    "command",
    [
        "ls",
        "ls --json",
        "show resnet",
        "export --to csv -o -",
        "export --to csv -o /dev/full",
        "report resnet -o -",
        "--help",
    ],
)
def test_a_full_disk_is_no_mistake_in_the_question(command: str, run: Path, require: Any) -> None:
    require(os.path.exists("/dev/full"), "a Linux with /dev/full")

    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "refunc", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=buffered,
        )

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert re.fullmatch(r"refunc: (/dev/full: )?No space left on device\n", done.stderr)


def test_stdout_that_is_a_file_with_something_in_it_is_written_behind_that(run: Path, own_folder: Path) -> None:
    command = f"{sys.executable} -m refunc export resnet --to"

    done = subprocess.run(f"(echo first; {command} csv -o -; {command} jsonl -o -) >> out", shell=True)

    lines = (own_folder / "out").read_text().splitlines()
    assert (done.returncode, len(lines), lines[0]) == (0, 1 + 2_001 + 2_000, "first")


@pytest.mark.parametrize("command", ["ls", "export --to parquet -o -", "export --to csv -o -", "report resnet -o -"])
def test_closed_streams_are_no_streams(command: str, run: Path, own_folder: Path) -> None:
    """The next file that is opened gets the number of a closed one: the index did, and was written into."""
    script = f"{sys.executable} -m refunc {command}"

    assert subprocess.run(f"{script} >&-", shell=True, capture_output=True).stderr == b""
    assert subprocess.run(f"{script} >&- 2>&-", shell=True).returncode == 0
    assert subprocess.run(f"{script} 2>&-", shell=True, capture_output=True).returncode == 0
    assert sorted(path.name for path in own_folder.iterdir()) == ["experiments", "logs"]


def test_ctrl_c_in_the_middle_ends_it_with_130(run: Path, running: Callable[..., Any]) -> None:
    process = running("export", "resnet", "--to", "csv", "-o", "-")
    assert process.stdout.read(1) == "r"  # the rest is more than a pipe holds, so it is not over

    process.send_signal(signal.SIGINT)

    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 130


def test_no_answer_to_a_question_is_no_and_ends_it_with_130(run: Path) -> None:
    """Ctrl-D, which is the same to click as Ctrl-C."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    os.write(ours, b"\x04")
    command = [sys.executable, "-m", "refunc", "gc", "--status", "completed", "--delete"]

    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60)
    os.close(ours)
    os.close(theirs)

    assert done.returncode == 130, done.stderr
    assert re.search(r"\nRemove 1 run and 0 other files, .*\? \[y/N\]: ?\n$", done.stderr)
    assert run.is_dir()


def test_ctrl_c_leaves_no_half_file(own_folder: Path) -> None:
    from refunc.runs.entries_file import whole_file

    def interrupted() -> None:
        with whole_file("points.csv") as file:
            file.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert not list(own_folder.iterdir())


def test_a_terminal_without_our_letters_gets_plain_ones(run: Path) -> None:
    command = [sys.executable, "-m", "refunc", "plot", "resnet", "-m", "loss", "--height", "6"]

    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"})

    *chart, axis, _, legend = done.stdout.decode("ascii").splitlines()[1:]
    assert all(re.fullmatch(r" *\S* \|[* ]*", line) for line in chart)
    assert re.fullmatch(r" *\+-+", axis)
    assert legend.startswith("  == resnet ")


# -- completion -------------------------------------------------------------------------------------------------------


def test_bash_completes_commands_runs_and_metrics(run: Path, require: Any, own_folder: Path) -> None:
    require(shutil.which("bash") is not None, "apt-get install bash")
    script = """
        eval "$(_REFUNC_COMPLETE=bash_source refunc)"
        offered() {
            COMP_WORDS=(refunc "$@"); COMP_CWORD=$#; COMPREPLY=()
            _refunc_completion refunc
            echo "${COMPREPLY[*]}"
        }
        offered sh
        offered show resne
        offered plot resnet -m lo
        offered export --to ""
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env={**os.environ, "PATH": path}
    )

    assert done.stdout.splitlines() == ["show", "resnet", "loss", "parquet csv jsonl json"]


@pytest.fixture
def typed_into_bash(require: Any, own_folder: Path) -> Callable[[str], list[str]]:
    """Return the arguments that a line, typed into a bash with its tabs, calls `refunc` with."""
    require(shutil.which("bash") is not None, "apt-get install bash")
    pty = pytest.importorskip("pty")
    (own_folder / ".bashrc").write_text(
        f"""PATH={Path(sys.executable).parent}:$PATH
        bind 'set bell-style none'
        eval "$(_REFUNC_COMPLETE=bash_source refunc)"
        refunc() {{ printf '%s\\n' "$@" > {own_folder}/called; exit; }}
        """
    )

    def type_(line: str) -> list[str]:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvp("bash", ["bash", "--rcfile", str(own_folder / ".bashrc"), "-i"])
        os.write(terminal, f"{line}\n".encode())
        try:
            while select.select([terminal], [], [], 30)[0] and os.read(terminal, 65_536):
                pass
        except OSError:  # Linux: the other side is closed
            pass
        os.close(terminal)  # which ends a bash that is still there
        os.waitpid(pid, 0)
        words = (own_folder / "called").read_text().splitlines()
        (own_folder / "called").unlink()
        return words

    return type_


def test_what_bash_completes_is_one_word_and_no_pattern(typed_into_bash: Any, own_folder: Path) -> None:
    (own_folder / "a file of the folder").touch()
    with ExperimentTracker("images", "weird names") as weird:
        weird.log_metrics({"*": 1.0, "two words": 0.5, "ndcg@10": 0.5, "größe": 1.0})

    assert typed_into_bash("refunc show wei\t") == ["show", str(weird.run_id)]
    assert typed_into_bash(f"refunc plot {weird.run_id} -m gr\t") == ["plot", str(weird.run_id), "-m", "größe"]
    assert typed_into_bash(f"refunc plot {weird.run_id} -m ndc\t") == ["plot", str(weird.run_id), "-m", "ndcg@10"]
    assert typed_into_bash(f"refunc plot {weird.run_id} -m tw\t") == ["plot", str(weird.run_id), "-m", "tw"]
    assert typed_into_bash(f"refunc plot {weird.run_id} -m \\*\t") == ["plot", str(weird.run_id), "-m", "*"]
