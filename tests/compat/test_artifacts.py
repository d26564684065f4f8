"""Artifacts: put together, logged under a version, found again, and downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.compat.wandb.stored import Versions
from refunc.runs import Run, open_store

pytestmark = pytest.mark.once

Stored = Callable[[], Run]


@pytest.fixture
def files(own_folder: Path) -> Path:
    folder = own_folder / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b.txt").write_text("b")
    return folder


def test_files_of_all_kinds_go_in_and_come_back(wandb: Any, files: Path, stored: Stored) -> None:
    artifact = wandb.Artifact("data", type="dataset", description="why", metadata={"rows": 2})
    artifact.add_file("data/a.txt")
    artifact.add_file(files / "a.txt", name="renamed.txt", policy="immutable")
    artifact.add_dir(files, name="all")
    with artifact.new_file("made.txt", mode="w") as file:
        file.write("made")
    artifact.add(wandb.Table(columns=["x"], data=[[1], [2]]), "table")
    artifact.add_file(files / "a.txt", name="gone.txt")
    artifact.remove("gone.txt")
    (files / "a.txt").write_text("changed")
    (files / "deep" / "b.txt").unlink()
    with wandb.init(project="p") as run:
        returned = run.log_artifact(artifact, aliases=["best", "latest"])
        assert (returned, artifact.wait(), artifact.name) == (artifact, artifact, "data:v0")
        assert (artifact.version, artifact.aliases, artifact.is_draft()) == ("v0", ("best",), False)
        with pytest.raises(wandb.UsageError, match="is logged, and cannot be changed"):
            artifact.add_file("data/a.txt")

    with wandb.init(project="p") as run:
        found = run.use_artifact("data:best", type="dataset")
        assert (found.version, found.metadata, found.description) == ("v0", {"rows": 2}, "why")
        top = Path(found.download())
    assert top == Path("artifacts/data:v0")
    kept = {path.relative_to(top).as_posix(): path.read_text() for path in top.rglob("*") if path.is_file()}
    table = kept.pop("table.table.json")
    assert (table, found.get("table").data) == ('{"columns": ["x"], "data": [[1], [2]]}', [[1], [2]])
    assert kept == {
        "a.txt": "a", "renamed.txt": "changed", "all/a.txt": "a", "all/deep/b.txt": "b", "made.txt": "made"
    }  # fmt: skip
    assert sorted(found.files()) == sorted([*kept, "table.table.json"])
    assert found.size == sum(map(len, [*kept.values(), table]))
    assert list(open_store())[1].tags == {"uses/data": "data:v0"}


def test_versions_count_over_the_runs_of_a_project(wandb: Any, own_folder: Path) -> None:
    def logged(project: str, text: str, *aliases: str) -> str:
        (own_folder / "model.pt").write_text(text)
        with wandb.init(project=project) as run:
            return str(run.log_artifact("model.pt", name="model", type="model", aliases=aliases).version)

    assert [logged("p", "0", "best"), logged("p", "1", "best"), logged("p", "2"), logged("q", "3")] == [
        "v0", "v1", "v2", "v0"
    ]  # fmt: skip
    with wandb.init(project="p") as run:

        def text_of(name: str) -> str:
            return Path(run.use_artifact(name).file(root=own_folder / "back")).read_text()

        names = ("model", "model:latest", "model:v0", "model:best", "q/model:v0", "team/q/model:latest")
        assert [text_of(name) for name in names] == ["2", "2", "0", "1", "3", "3"]
        assert Path(run.use_model("model:v1")).read_text() == "1"
        assert run.log_model("model.pt", "model").version == "v3"


def test_a_version_is_found_without_reading_older_runs(wandb: Any, own_folder: Path, monkeypatch: Any) -> None:
    """Of runs that were changed long before the artifact that is found, only `run.json` is read."""
    (own_folder / "model.pt").write_text("0")
    for number in range(8):
        with wandb.init(project="p") as run:
            run.log_artifact("model.pt", name="model", type="model")
            folder = Path(run._tracker.folder)
        for entry in (folder / "journal").iterdir():
            os.utime(entry, (number, number))
    read: list[Path] = []
    real = Run.content
    monkeypatch.setattr(Run, "content", lambda run: [read.append(run.folder), real(run)][1])
    monkeypatch.setattr("refunc.compat.wandb.artifact_calls._versions", Versions())
    with wandb.init(project="p") as run:
        assert run.log_artifact("model.pt", name="model", type="model").version == "v8"
        looked_at = len(set(read))
        assert run.log_artifact("model.pt", name=f"model-{run.id}", type="model").version == "v0"
        assert run.use_artifact("model").version == "v8"
        assert (looked_at, len(set(read))) == (2, 2), "the open run, and the last one that has the name"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("nothing:latest", None, "has no artifact nothing:latest. Names there: data."),
        ("data:v7", None, "It has v0, best."),
        ("data:best", "model", "is of the type 'dataset', not 'model'"),
    ],
)
def test_what_is_not_there_is_told_with_what_there_is(
    name: str, kind: str | None, said: str, wandb: Any, files: Path
) -> None:
    with wandb.init(project="p") as run:
        run.log_artifact(files, name="data", type="dataset", aliases=["best"])
        with pytest.raises(wandb.UsageError, match=said):
            run.use_artifact(name, type=kind)


def test_references_stay_where_they_are(wandb: Any, files: Path, caplog: Any) -> None:
    artifact = wandb.Artifact("data", "dataset")
    artifact.add_reference("s3://bucket/rows.parquet")
    artifact.add_reference(f"file://{files}/a.txt", name="near.txt")
    with wandb.init(project="p") as run:
        run.log_artifact(artifact)
        found = run.use_artifact("data")
        top = Path(found.download("back"))

    assert found.references == {"rows.parquet": "s3://bucket/rows.parquet", "near.txt": f"file://{files}/a.txt"}
    assert [path.name for path in top.iterdir()] == ["near.txt"]
    assert "is a reference to s3://bucket/rows.parquet, which is not fetched" in caplog.text


def test_its_own_copies_go_when_it_is_logged_or_forgotten(wandb: Any, files: Path, monkeypatch: Any) -> None:
    scratch = files.parent / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("WANDB_DATA_DIR", str(scratch))
    artifact, forgotten = wandb.Artifact("data", "dataset"), wandb.Artifact("other", "dataset")
    artifact.add_dir(files)
    forgotten.add_dir(files)
    assert len(list(scratch.iterdir())) == 2
    with wandb.init(project="p") as run:
        run.log_artifact(artifact)
    del forgotten

    assert list(scratch.iterdir()) == []


def test_a_file_that_is_not_there_does_not_stop_the_training(wandb: Any, caplog: Any, stored: Stored) -> None:
    with wandb.init(project="p") as run:
        assert run.log_artifact("gone.pt", type="model").is_draft()
        assert run.log_artifact("s3://bucket/x").references == {"x": "s3://bucket/x"}

    assert "gone.pt was not stored" in caplog.text
    assert [artifact.name for artifact in stored().artifacts] == [f"run-{stored().run_id}-x"]


def test_wrong_parts_are_refused_at_once(wandb: Any, files: Path) -> None:
    artifact = wandb.Artifact("data", "dataset")
    for call in (
        lambda: artifact.add_file("gone.txt"),
        lambda: artifact.add_dir("gone"),
        lambda: artifact.add_file(files / "a.txt", name="../out.txt"),
        lambda: artifact.add("text", "name"),
        lambda: wandb.Artifact("a/b", "x"),
        lambda: wandb.Artifact("a:b", "x"),
        lambda: wandb.Artifact("", "x"),
    ):
        with pytest.raises(ValueError, match=r"^(add_file|add_dir|add|Artifact): "):
            call()
    with pytest.raises(AttributeError, match="has no version before it is logged"):
        _ = artifact.version
    with pytest.raises(AttributeError, match=r"local_files\(\) has the paths"):
        _ = artifact.manifest


def test_saved_files_are_kept_at_once_and_again_if_they_change(wandb: Any, stored: Stored, own_folder: Path) -> None:
    (own_folder / "out").mkdir()
    for name in ("a.pt", "b.pt"):
        (own_folder / "out" / name).write_text("1")
    run = wandb.init(project="p")
    assert [os.path.basename(path) for path in wandb.save("out/*.pt")] == ["a.pt", "b.pt"]
    wandb.save(str(own_folder / "out" / "a.pt"), base_path=own_folder / "out", policy="now")
    (own_folder / "out" / "a.pt").write_text("changed")
    (own_folder / "out" / "late.pt").write_text("1")
    with pytest.raises(ValueError, match="policy='never' is unknown"):
        wandb.save("out/*.pt", policy="never")
    run.finish()

    kept = [artifact.name for artifact in stored().artifacts]
    assert kept == ["out/a.pt", "out/b.pt", "a.pt", "out/a.pt", "out/late.pt"]


def test_files_in_the_folder_of_the_run_are_artifacts_without_a_copy(wandb: Any, stored: Stored) -> None:
    with wandb.init(project="p") as run:
        Path(run.dir, "deep").mkdir()
        Path(run.dir, "deep", "model.h5").write_text("weights")

    [artifact] = stored().artifacts
    assert (artifact.name, artifact.stored) == ("deep/model.h5", None)
    assert Path(artifact.source).read_text() == "weights"
    assert Path(artifact.source).is_relative_to(stored().folder)
