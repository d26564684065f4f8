"""The Python blocks of docs/how-to/frameworks run, each page in a process of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.installed import missing_in
from tests.pages import OF_FRAMEWORKS, page_name, run_page, script_of


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", OF_FRAMEWORKS, ids=page_name)
def test_examples_of_a_page_run(
    page: Path, own_folder: Path, require: Callable[[bool, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = missing_in(script_of(page))
    require(not missing, f"pip install --group frameworks (it has {', '.join(missing)})")
    if page.stem == "clu":
        from tests.frameworks.imported_clu import SEARCH_PATH

        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*SEARCH_PATH, os.environ.get("PYTHONPATH", "")]))

    said = run_page(page, own_folder)

    # An uncaught exception of a thread or a child; frameworks warn of themselves.
    assert not re.search(r"^(Traceback|--- Logging error)", said, re.MULTILINE), said
    assert script_of(page).strip(), "a page shows its one line of Python, and it is run"
