"""The Python blocks of docs/how-to/frameworks run, each page in a process of its own, some of which start warm."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.frameworks.warm import Warm
from tests.installed import missing_in
from tests.pages import OF_FRAMEWORKS, page_name, run_page, script_of, written

#: Pages whose framework takes seconds of a processor to import, and the modules that do.
HEAVY = {
    "accelerate": ["accelerate"],
    "ignite": ["ignite.engine", "ignite.handlers"],
    "keras": ["keras"],
    "lightgbm": ["lightgbm"],
    "lightning": ["lightning.pytorch"],
    "sklearn": ["sklearn.linear_model", "sklearn.metrics", "sklearn.model_selection"],
    "torchtune": ["torchtune"],
    "transformers": ["transformers.trainer"],
    "xgboost": ["xgboost"],
}


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with Warm() as warm:
        yield warm


@pytest.mark.parametrize("page", OF_FRAMEWORKS, ids=page_name)
def test_examples_of_a_page_run(
    page: Path, own_folder: Path, require: Callable[[bool, str], None], monkeypatch: pytest.MonkeyPatch, warm: Warm
) -> None:
    missing = missing_in(script_of(page))
    require(not missing, f"pip install --group frameworks (it has {', '.join(missing)})")
    if page.stem == "clu":
        from tests.frameworks.imported_clu import SEARCH_PATH

        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*SEARCH_PATH, os.environ.get("PYTHONPATH", "")]))

    said = warm.run(written(page, own_folder), HEAVY[page.stem]) if page.stem in HEAVY else run_page(page, own_folder)

    # An uncaught exception of a thread or a child; frameworks warn of themselves.
    assert not re.search(r"^(Traceback|--- Logging error)", said, re.MULTILINE), said
    assert script_of(page).strip(), "a page shows its one line of Python, and it is run"
