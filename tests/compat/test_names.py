"""The page on W&B's names and the module agree; other names are told; the import costs next to nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.once

PAGE = (Path(__file__).parents[2] / "docs/reference/compat-wandb.md").read_text("utf-8")


def rows_under(heading: str) -> str:
    """Return the first cells of the tables under *heading*."""
    part = PAGE.split(f"\n{heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"^\|([^|]*)\|", part, re.MULTILINE))


def words(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def members(kind: type) -> set[str]:
    return {name for base in kind.__mro__ for name in vars(base) if not name.startswith("_")}


def test_the_page_has_every_public_name_and_no_other(wandb: Any) -> None:
    said = words(rows_under("## Functions")) | words(rows_under("## Values and classes"))

    assert said == set(wandb.__all__)
    assert set(wandb.__all__) <= set(dir(wandb))


def test_the_page_has_every_member_of_runs_and_artifacts(wandb: Any) -> None:
    with wandb.init(mode="disabled") as run:
        assert words(rows_under("## The run")) - {"Run"} == members(wandb.Run) | set(vars(run)) - {
            name for name in vars(run) if name.startswith("_")
        }
        artifact = wandb.Artifact("a", "b")
        own = {name for name in vars(artifact) if not name.startswith("_")}
        assert words(rows_under("## Artifacts")) - {"Artifact"} == members(wandb.Artifact) | own


def test_the_page_has_every_argument_of_init(wandb: Any) -> None:
    import inspect

    said = words(rows_under("## `init`")) - {"None", "True"}
    assert said == set(inspect.signature(wandb.init).parameters)


def test_the_page_has_every_variable_that_is_read() -> None:
    from refunc.compat.wandb.environment import OTHERS, SOURCES

    read = {variable for _, variable in SOURCES.values()} | set(OTHERS)
    assert set(re.findall(r"`(WANDB_\w+)`", rows_under("## Variables"))) == read
    source = "".join(
        path.read_text("utf-8")
        for path in (Path(sys.modules["refunc.compat.wandb"].__file__ or "").parent).glob("*.py")
    )
    assert set(re.findall(r'"(WANDB_[A-Z_]+)"', source)) == read


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Api", "refunc.runs.open_store"),
        ("sweep", "Optuna"),
        ("agent", "Optuna"),
        ("Object3D", "log_artifact"),
        ("integration", "refunc.frameworks"),
        ("loog", "Did you mean 'log'"),
        ("artefact", "Did you mean 'Artifact'"),
        ("save_file", "Did you mean 'save'"),
    ],
)
def test_a_name_that_does_not_exist_is_told_with_what_does(name: str, said: str, wandb: Any) -> None:
    assert not hasattr(wandb, name)
    with pytest.raises(AttributeError, match=rf"refunc.compat.wandb has no '{name}'.*{said}"):
        getattr(wandb, name)


def test_members_that_do_not_exist_are_told_too(wandb: Any) -> None:
    with wandb.init(mode="disabled") as run:
        for owner, name, said in (
            (run, "log_artefact", "Did you mean 'log_artifact'"),
            (run, "settings", "attributes of the run"),
            (wandb.Artifact("a", "b"), "add_fil", "Did you mean 'add_file'"),
            (wandb.Artifact("a", "b"), "link", "there is no registry"),
        ):
            assert not hasattr(owner, name)
            with pytest.raises(AttributeError, match=said):
                getattr(owner, name)


def test_frameworks_find_what_they_import_from_inside(own_folder: Path) -> None:
    """With the documented line; the classes are the same under both names."""
    script = """
import sys
import refunc.compat.wandb
sys.modules["wandb"] = refunc.compat.wandb
import importlib.util, wandb
assert importlib.util.find_spec("wandb") is not None and wandb.run is None
from wandb.sdk.lib.config_util import ConfigError
from wandb.sdk.lib import RunDisabled
from wandb.wandb_run import Run
from wandb.errors import UsageError, CommError
from wandb import Table, plot
import wandb.plot
assert Run is RunDisabled is wandb.Run and UsageError is wandb.UsageError is wandb.errors.UsageError
wandb.init(config={"lr": 1}, mode="disabled")
assert isinstance(wandb.run, Run)
try:
    wandb.config.lr = 2
    raise SystemExit(1)
except ConfigError:
    pass
wandb.log({"chart": wandb.plot.line(Table(["x", "y"], [[1, 2]]), "x", "y")})
assert wandb.summary["chart"]["_type"] == "chart-file", wandb.summary
wandb.run._label(code="transformers_trainer")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_import_loads_nothing_and_leaves_wandb_alone() -> None:
    script = """
import sys
before = set(sys.modules)
import refunc.compat.wandb as wandb
new = set(sys.modules) - before
assert {name for name in new if name.startswith("refunc")} == {"refunc", "refunc.compat", "refunc.compat.wandb"}, new
assert "wandb" not in sys.modules
wandb.init, wandb.Image, wandb.Table, wandb.plot, wandb.Artifact
heavy = {"numpy", "PIL", "pandas", "tqdm", "yaml", "wandb", "torch"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
