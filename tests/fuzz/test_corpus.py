"""The inputs that the fuzzer has found are read again: each of its corpus, by the target that it was made for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = [pytest.mark.once, pytest.mark.extras]

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def targets() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_targets", HERE / "targets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_target_has_a_corpus(targets: ModuleType) -> None:
    assert {path.name for path in (HERE / "corpus").iterdir()} == set(targets.TARGETS)


@pytest.mark.parametrize("name", sorted(path.name for path in (HERE / "corpus").iterdir()))
def test_what_the_fuzzer_has_found_is_read(
    name: str, targets: ModuleType, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUNC_CACHE", "off")
    folder = own_folder / "folder"
    folder.mkdir()
    inputs = sorted((HERE / "corpus" / name).iterdir())

    for path in inputs:
        targets.check(name, path.read_bytes(), folder)

    assert inputs
