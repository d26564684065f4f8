"""An adapter without its framework, or with one that is too old, names the command that installs it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import refunc.frameworks

ADAPTERS = [
    path.stem
    for path in sorted(Path(refunc.frameworks.__file__).parent.glob("*.py"))
    if "imported_for(" in path.read_text("utf-8") and path.stem != "packages"
]
FRAMEWORKS = (
    *("accelerate", "catboost", "clu", "composer", "hydra", "ignite", "joblib", "keras", "lightgbm", "lightning"),
    *("lightning_utilities", "numpy", "omegaconf", "optuna", "ray", "sklearn", "torchtune", "transformers", "xgboost"),
)


def test_every_adapter_is_asked() -> None:
    assert len(ADAPTERS) == 15


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_missing_framework_is_named_with_the_command_that_installs_it(
    adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in FRAMEWORKS:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"refunc.frameworks.{adapter}", raising=False)

    with pytest.raises(ModuleNotFoundError) as raised:
        importlib.import_module(f"refunc.frameworks.{adapter}")

    said = str(raised.value)
    assert said.startswith(f"refunc.frameworks.{adapter} needs ")
    assert ', which is not installed: pip install "' in said
    assert "\n" not in said


def package(folder: Path, name: str, version: str, **modules: str) -> None:
    """Write a package, with its version as pip would."""
    for module, code in {"__init__": "", **modules}.items():
        path = folder / name / f"{module}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    facts = folder / f"{name}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("3.3.5", "needs lightgbm 4.4 or newer, and 3.3.5 is installed: pip install --upgrade"),
        ("4.10", "cannot import name 'Booster'"),
    ],
)
def test_an_old_framework_is_told_by_its_version(tmp_path: Path, version: str, said: str) -> None:
    package(tmp_path, "lightgbm", version, basic="", callback="")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import refunc.frameworks.lightgbm"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert said in last
