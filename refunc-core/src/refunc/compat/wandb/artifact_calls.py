"""The calls of a run that log and use artifacts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refunc.compat.wandb.artifact import Artifact
from refunc.compat.wandb.nowhere import NoTracker
from refunc.compat.wandb.stored import StoredArtifact, Versions, find
from refunc.logging import ExperimentTracker

_versions = Versions()


class ArtifactCalls:
    """The artifacts of a run. None of these calls but `use_artifact` raises because of a file or a disk."""

    def __init__(self, tracker: ExperimentTracker | NoTracker, facts: Mapping[str, Any]) -> None:
        self._tracker = tracker
        self._facts = dict(facts)

    @property
    def id(self) -> str:
        """The id."""
        return str(self._tracker.run_id)

    @property
    def project(self) -> str:
        """The project, which is refunc's experiment."""
        return str(self._facts["project"])

    def log_artifact(
        self,
        artifact_or_path: StoredArtifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,
        aliases: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> StoredArtifact:
        """
        Keep an artifact, or a file or folder as one, as the next version of its name; it is stored when this returns.

        Its files are copied, however large.
        """
        artifact = artifact_or_path
        if not isinstance(artifact, StoredArtifact):
            artifact = self._artifact_of(artifact, name, type)
        if isinstance(artifact, Artifact) and artifact.is_draft():
            self._keep(artifact, [str(alias) for alias in aliases or () if alias != "latest"], tags)
        return artifact

    def _artifact_of(self, given: str | os.PathLike[str], name: str | None, type: str | None) -> Artifact:
        path = Path(given)
        artifact = Artifact(name or f"run-{self.id}-{path.name}", type or "unspecified")
        if path.is_dir():
            artifact.add_dir(path, policy="immutable")
        elif path.is_file():
            artifact.add_file(path, policy="immutable")
        elif "://" in str(given):
            artifact.add_reference(str(given))
        else:  # refunc says in a warning that there is no such file
            self._tracker.log_artifact(path, artifact.type, name=artifact.name)
        return artifact

    def _keep(self, artifact: Artifact, aliases: list[str], tags: Sequence[str] | None) -> None:
        folder = self._tracker.folder
        if folder is None or not (artifact.local_files() or artifact.references):
            return
        from refunc.runs import open_store

        version = _versions.next_of(open_store(folder.parent), self.project, artifact.name, self.id)
        facts = {
            "version": version,
            "aliases": aliases,
            "tags": list(tags or ()),
            "metadata": artifact.metadata,
            "references": artifact.references,
            "description": artifact.description,
        }
        before = self._kept()
        metadata = {key: value for key, value in facts.items() if value}
        self._tracker.log_artifact(artifact._folder, artifact.type, name=artifact.name, metadata=metadata, copy=True)
        if self._kept() > before:  # otherwise the disk has refused, and the artifact keeps its own copies
            artifact._was_logged(folder, version, aliases)

    def _kept(self) -> int:
        context = self._tracker.context
        return len(context.artifacts) if context is not None else 0

    def use_artifact(
        self, artifact_or_name: StoredArtifact | str, type: str | None = None, aliases: Any = None, use_as: Any = None
    ) -> StoredArtifact:
        """
        Return an artifact of the store by `name:alias`, and note in a tag that the run uses it.

        Raises:
            UsageError: There is none; the text names those that there are.
        """
        if isinstance(artifact_or_name, StoredArtifact):
            found = self.log_artifact(artifact_or_name)
        else:
            from refunc.runs import open_store

            folder = self._tracker.folder
            store = open_store(folder.parent if folder is not None else self._facts.get("store"))
            found = find(store, self.project, artifact_or_name, type)
        self._tracker.set_tag(f"uses/{found.name.partition(':')[0]}", found.name)
        return found

    def log_model(
        self, path: str | os.PathLike[str], name: str | None = None, aliases: Sequence[str] | None = None
    ) -> StoredArtifact:
        """Keep a file or folder as an artifact of the type `model`."""
        return self.log_artifact(path, name, "model", aliases)

    def use_model(self, name: str) -> str:
        """Copy the files of a model, and return the path of its only file, or else of the folder."""
        found = self.use_artifact(name)
        return found.file() if len(found.files()) == 1 else found.download()
