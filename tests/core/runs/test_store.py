"""A folder of runs: where it is, which runs are in it, and which run a name means."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker, experiment_context
from refunc.runs import Store, open_store
from refunc.runs.errors import RunFormatError, RunNotFoundError, StrangeStoreError
from refunc.runs.store_folder import find_store
from refunc.values.paths import store_path

WriteRun = Callable[..., Path]


def names(store: Store) -> list[str]:
    return [run.run_name for run in store]


# -- where ------------------------------------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners there")
@pytest.mark.parametrize("start", [".", "a/b/c"])
@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize(
    ("user", "sudo", "is_taken"),
    [("owner", None, True), ("root", None, False), ("root", "owner", True), ("root", "another", False),
     ("another", None, False), ("another", "owner", False)],
)  # fmt: skip
def test_a_store_that_is_found_belongs_to_the_user_or_is_named(
    user: str, sudo: str | None, is_taken: bool, link: bool, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / start).mkdir(parents=True, exist_ok=True)
    (store := tmp_path / "experiments").mkdir()
    if link:
        store.rename(tmp_path / "elsewhere")
        store.symlink_to(tmp_path / "elsewhere")
    owner = 4_242
    real = os.stat
    monkeypatch.setattr("refunc.runs.store.os.stat", lambda path, **options: _of_user(real(path, **options), owner))
    numbers = {"owner": owner, "root": 0, "another": 4_243}
    monkeypatch.setattr(os, "geteuid", lambda: numbers[user])
    if sudo is not None:
        monkeypatch.setenv("SUDO_UID", str(numbers[sudo]))

    if is_taken:
        assert find_store(tmp_path / start) == store
    else:
        with pytest.raises(
            StrangeStoreError, match=f"{store} belongs to the user with the number 4242, .*--store {store}"
        ):
            find_store(tmp_path / start)
    monkeypatch.setenv("REFUNC_DIR", str(store))
    assert find_store(tmp_path / start) == store


def _of_user(info: os.stat_result, owner: int) -> os.stat_result:
    return os.stat_result((*info[:4], owner, *info[5:10]))


def test_the_store_is_the_argument_else_refunc_dir_else_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store_path() == tmp_path / "experiments"
    monkeypatch.setenv("REFUNC_DIR", "elsewhere")
    assert store_path() == tmp_path / "elsewhere"
    assert store_path("mine") == tmp_path / "mine"


def test_the_command_line_looks_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments" / "run").mkdir(parents=True)
    (tmp_path / "src" / "deep").mkdir(parents=True)

    for start in ("src/deep", "experiments/run", "."):
        assert find_store(tmp_path / start) == tmp_path / "experiments"

    monkeypatch.chdir(tmp_path / "src" / "deep")
    assert find_store() == tmp_path / "experiments"


def test_refunc_dir_that_is_not_there_is_an_error_and_not_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiments").mkdir()
    monkeypatch.setenv("REFUNC_DIR", "mistyped")

    with pytest.raises(FileNotFoundError, match="REFUNC_DIR=mistyped"):
        find_store()


def test_no_store_anywhere_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--store or REFUNC_DIR"):
        find_store(tmp_path)


# -- the runs in it ---------------------------------------------------------------------------------------------------


def test_a_store_that_does_not_exist_yet_is_empty() -> None:
    assert list(open_store()) == []


def test_a_run_of_a_store_that_does_not_exist_says_that(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match=r"no run 'x' in .*nowhere\. This is not a store: no such folder\."):
        open_store(tmp_path / "nowhere")["x"]
    with pytest.raises(FileNotFoundError, match=r"no store at .*nowhere: no such folder\."):
        "x" in open_store(tmp_path / "nowhere")  # noqa: B015


def test_what_is_no_store_is_told_with_the_place_of_the_runs(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("one")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"no store at .*file: it is a file, not a folder\.$"):
        list(open_store(tmp_path / "file"))
    with pytest.raises(NotADirectoryError, match=r"no store at .*one: it is a run, and its store is .*experiments\.$"):
        open_store(run).find()
    with pytest.raises(RunNotFoundError, match=r"This is not a store: it is a run, and its store is .*experiments\.$"):
        open_store(run)["one"]
    with pytest.raises(RunNotFoundError, match=r"no run 'one' in .*\. There are runs in .*experiments\.$"):
        open_store(tmp_path)["one"]
    write_run(run / "inner")
    assert names(open_store(run)) == ["inner"]  # a run's folder may be a store


def test_a_run_is_shown_by_its_names(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("20260101-000000_one_abcd1234", run_name="one\x1b")

    assert repr(list(open_store(tmp_path / "experiments"))) == r"[Run('one\x1b', 'abcd1234', experiment='by-hand')]"


def test_a_store_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "experiments").write_text("")

    with pytest.raises(NotADirectoryError):
        list(open_store())


def test_runs_come_by_their_start_whatever_their_folders_are_called(write_run: WriteRun) -> None:
    write_run("zzz", start_time=1.0)
    write_run("20260101-000000_b_bbbbbbbb", start_time=3.0)
    write_run("20261231-000000_a_aaaaaaaa", start_time=2.0)

    assert [run.start_time for run in open_store()] == [1.0, 2.0, 3.0]


def test_foreign_folders_and_files_are_left_out(tmp_path: Path, write_run: WriteRun) -> None:
    write_run("mine")
    (tmp_path / "experiments" / "notes").mkdir()
    (tmp_path / "experiments" / "run.json").write_text("{}")
    (tmp_path / "experiments" / "broken-link").symlink_to("nowhere")
    (tmp_path / "experiments" / "loop").symlink_to("loop")
    (tmp_path / "experiments" / "odd" / "run.json").mkdir(parents=True)

    assert names(open_store()) == ["mine"]


def test_a_damaged_run_is_left_out_and_told(tmp_path: Path, write_run: WriteRun) -> None:
    write_run("good")
    (write_run("bad") / "run.json").write_text("{")
    write_run("new", format=2)

    listing = open_store().listing()

    assert [run.run_name for run in listing.runs] == names(open_store()) == ["good"]
    assert sorted(error.folder.name for error in listing.unreadable) == ["bad", "new"]


def test_a_link_to_a_run_elsewhere_counts_and_one_to_a_run_here_does_not(tmp_path: Path, write_run: WriteRun) -> None:
    """Runs are moved to bigger disks and linked back; `latest` is a second name for a run that is here."""
    write_run(tmp_path / "big-disk" / "moved")
    write_run("here")
    (tmp_path / "experiments" / "a-link").symlink_to(tmp_path / "big-disk" / "moved")
    (tmp_path / "experiments" / "same-again").symlink_to(tmp_path / "big-disk" / "moved")
    (tmp_path / "experiments" / "latest").symlink_to("here")

    assert sorted(names(open_store())) == ["here", "moved"]
    assert open_store()["latest"].run_name == "here"


def test_a_store_behind_a_link_lists_each_run_once(tmp_path: Path, write_run: WriteRun) -> None:
    write_run("one")
    (tmp_path / "link").symlink_to("experiments")
    (tmp_path / "experiments" / "latest").symlink_to("one")

    assert names(open_store("link")) == ["one"]


def test_of_a_thousand_runs_no_more_is_read_than_how_each_began(write_run: WriteRun) -> None:
    for number in range(1_000):
        write_run(f"run_{number:08}", start_time=float(number))
    before = _reads()

    runs = list(open_store())

    assert (len(runs), runs[-1].run_id) == (1_000, "00000999")
    assert _reads() - before < 2 * 1_000 + 100


def _reads() -> int:
    """Return how often this process has asked the system to read."""
    said = Path("/proc/self/io").read_text().split()
    return int(said[said.index("syscr:") + 1])


# -- which run a name means -------------------------------------------------------------------------------------------


@pytest.fixture
def store(write_run: WriteRun) -> Store:
    """Four runs, two of one name."""
    write_run("1_resnet_abcd1111", run_id="abcd1111", run_name="resnet", start_time=1.0)
    write_run("2_resnet_abcd2222", run_id="abcd2222", run_name="resnet", start_time=2.0)
    write_run("3_vgg_efgh3333", run_id="efgh3333", run_name="vgg", start_time=3.0)
    write_run("4_none_ijkl4444", run_id="ijkl4444", run_name=None, start_time=4.0, experiment_name="sweep")
    return open_store()


@pytest.mark.parametrize(
    ("name", "run_id"),
    [
        ("abcd1111", "abcd1111"),
        ("1_resnet_abcd1111", "abcd1111"),
        ("resnet", "abcd2222"),
        ("vgg", "efgh3333"),
        ("by-hand", "efgh3333"),
        ("sweep", "ijkl4444"),
        ("sweep/ijkl4444", "ijkl4444"),
        ("ijkl", "ijkl4444"),
        ("abcd1", "abcd1111"),
    ],
)
def test_a_run_answers_to_its_id_folder_name_and_beginning(store: Store, name: str, run_id: str) -> None:
    assert store[name].run_id == run_id


def test_a_store_has_the_runs_that_it_finds(store: Store, tmp_path: Path) -> None:
    run = store.runs()[0]
    assert run.run_id in store
    assert run.folder.name in store
    assert run in store
    for other in ("no such run", "", None, 0):
        assert other not in store
    with ExperimentTracker("digits", log_dir=tmp_path / "elsewhere"):
        pass
    assert open_store(tmp_path / "elsewhere").runs()[0] not in store
    for position in (0, -1, None, slice(2)):
        with pytest.raises(TypeError, match=r"found by its id or name, not by .*; list"):
            store[position]  # type: ignore[index]


def test_a_run_name_comes_before_an_experiment_of_that_name(write_run: WriteRun) -> None:
    write_run("old_aaaaaaaa", run_name="mnist", start_time=1.0)
    write_run("new_bbbbbbbb", run_name="other", experiment_name="mnist", start_time=2.0)

    assert open_store()["mnist"].run_id == "aaaaaaaa"


def test_a_beginning_of_several_ids_lists_them(store: Store) -> None:
    with pytest.raises(
        RunNotFoundError, match=r"'abcd' is ambiguous: 2 run ids begin with it: abcd2222 \(resnet\)"
    ) as caught:
        store["abcd"]

    assert len(caught.value.candidates) == 2


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "nothing-like-it", "../experiments/1_resnet_abcd1111", "x" * 5_000]
)
def test_a_name_that_no_run_has_is_not_found(store: Store, name: str) -> None:
    for folder in (store.path, store.path.parent):  # no run of this store, whatever they hold
        (folder / "run.json").write_text('{"run_id": "outside", "format": 1}')

    with pytest.raises(RunNotFoundError):
        store[name]


def test_a_misspelt_name_brings_the_nearest(store: Store) -> None:
    with pytest.raises(RunNotFoundError, match="Did you mean resnet") as caught:
        store["resnt"]

    assert caught.value.candidates[0] == "resnet"


@pytest.mark.parametrize("name", ["late_abcdefgh", "abcdefgh"])
def test_a_run_of_a_newer_format_is_named_and_not_unknown(write_run: WriteRun, name: str) -> None:
    write_run("late_abcdefgh", format=2)

    with pytest.raises(RunFormatError, match="newer"):
        open_store()[name]


def test_a_nested_run_knows_its_parent() -> None:
    with experiment_context("outer") as outer, experiment_context("inner") as inner:
        pass

    assert outer.run_id is not None
    assert open_store()[inner.run_id or ""].parent_id == outer.run_id


def test_reruns_of_a_name_are_runs_of_their_own() -> None:
    first = ExperimentTracker("again", "same")
    ids = []
    for _ in range(3):
        ids.append(first.start_run())
        first.end_run()

    assert sorted(run.run_id for run in open_store()) == sorted(ids)
    assert open_store()["same"].run_id in ids


@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_a_store_may_have_any_name(tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "métriques [bold] 100%"
    with ExperimentTracker("x", "y", folder):
        pass

    assert names(open_store(folder)) == ["y"]


def test_a_store_that_was_named_and_is_not_there_says_so_at_its_first_use(own_folder: Path) -> None:
    (own_folder / "experiments").mkdir()
    store = open_store("experments")

    for use in (list, Store.to_rows, Store.find, Store.runs):
        with pytest.raises(FileNotFoundError, match=r"no store at .*experments: no such folder. Did you mean .*nts\?"):
            use(store)
    with pytest.raises(RunNotFoundError, match="no such folder"):
        store["x"]
    (own_folder / "experiments").rmdir()
    assert list(open_store()) == []
