"""Answers for names of W&B that have no meaning here: an AttributeError that says what exists, and what to use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

_RUNS: Final = "refunc.runs.open_store() reads the runs of the store"
_SWEEPS: Final = "a search is the work of a library such as Optuna, for which refunc.frameworks has a callback"
_FILE: Final = "write it to a file, and call log_artifact(path)"
_INTEGRATION: Final = "refunc.frameworks has a logger or callback for each framework"

#: Names of the module, of a run and of an artifact that need more of an answer than the nearest name.
ADVICE: Final[Mapping[str, str]] = {
    "Api": _RUNS,
    "PublicApi": _RUNS,
    "InternalApi": _RUNS,
    "apis": _RUNS,
    "sweep": _SWEEPS,
    "agent": _SWEEPS,
    "controller": _SWEEPS,
    "launch": "refunc starts no jobs",
    "restore": 'use_artifact("name:latest").download() copies the files of an artifact',
    "link_artifact": "there is no registry: log_artifact(artifact, aliases=[...]) gives it an alias",
    "link_model": "there is no registry: log_model(path, name, aliases=[...]) gives it an alias",
    "link": "there is no registry: log_artifact(artifact, aliases=[...]) gives it an alias",
    "upsert_artifact": "a distributed artifact is not supported: log_artifact(...) in one process",
    "finish_artifact": "a distributed artifact is not supported: log_artifact(...) in one process",
    "log_code": 'call log_artifact("train.py", type="code") for a file, or with a folder',
    "Object3D": _FILE,
    "Molecule": _FILE,
    "Graph": _FILE,
    "Plotly": "give the figure itself to log(), or call Html(figure.to_html())",
    "JoinedTable": "join the tables before you make a Table of them",
    "Classes": "give the classes to Image, or log them with the config",
    "roc_curve": "compute the curve, and draw it with plot.line(Table(...), ...)",
    "pr_curve": "compute the curve, and draw it with plot.line(Table(...), ...)",
    "integration": _INTEGRATION,
    "keras": _INTEGRATION,
    "sklearn": _INTEGRATION,
    "xgboost": _INTEGRATION,
    "lightgbm": _INTEGRATION,
    "catboost": _INTEGRATION,
    "tensorboard": "`refunc import` reads TensorBoard's event files",
    "gym": "log the videos that Gymnasium writes, as Video(path)",
    "trace_tree": "refunc keeps no traces of calls",
    "settings": "the arguments of init are attributes of the run",
    "attach": "a child of multiprocessing logs to the run of its parent by refunc.logging",
    "status": "the run's folder is in `dir`, and refunc.runs reads its status",
    "to_html": "`refunc report` writes a run as a page",
    "display": "`refunc report` writes a run as a page",
    "save": "log_artifact(artifact) keeps it",
    "delete": "remove the run's folder",
    "verify": "`refunc doctor` checks the files of a run",
    "get_path": "local_files() has the paths of all files by their names",
    "get_entry": "local_files() has the paths of all files by their names",
    "manifest": "local_files() has the paths of all files by their names",
    "checkout": "download(root) copies the files",
}


def no_such(owner: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error for a *name* that *owner* does not have."""
    if name.startswith("_"):
        return AttributeError(f"{owner} has no attribute {name!r}")
    if name in ADVICE:
        return AttributeError(f"{owner} has no {name!r}: {ADVICE[name]}.")
    public = [each for each in known if not each.startswith("_")]
    by_letters = {each.lower(): each for each in public}
    near = difflib.get_close_matches(name.lower(), by_letters, n=1, cutoff=0.5)
    hint = f" Did you mean {by_letters[near[0]]!r}?" if near else f" It has {', '.join(sorted(public))}."
    return AttributeError(f"{owner} has no {name!r}.{hint}")
