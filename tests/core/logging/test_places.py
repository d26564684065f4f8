"""One training script in tmux, in a notebook, in a file and under a scheduler: the output that each reader sees."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TRAINING = """
import logging, sys, threading, time, warnings
from refunc.logging import MLLogger, epoch_context, experiment_context, progress_context

logger = MLLogger("train")

with experiment_context("digits", "places"):
    with epoch_context(total_epochs=3, steps_per_epoch=20, logger=logger) as epochs:
        for epoch in epochs:
            for step in range(20):
                epochs.update_step(loss=1 / (1 + step))
                time.sleep(0.02)
            logger.info("epoch %d is over", epoch)
            print("printed", epoch)
            logging.getLogger("library").warning("two\\nlines")
            epochs.log({"val_accuracy": 0.8 + epoch / 100})
    with progress_context("Export", total=1_000_000, logger=logger) as progress:
        for _ in range(1_000_000):
            progress.update()
"""


class Tmux:
    """A server of our own, with one window of 100 × 30."""

    def __init__(self, socket: Path) -> None:
        self._command = ["tmux", "-S", str(socket), "-f", os.devnull]

    def __call__(self, *arguments: str) -> str:
        return subprocess.run([*self._command, *arguments], capture_output=True, text=True, check=True).stdout

    @property
    def lines(self) -> list[str]:
        """Return the lines in the window and those that were scrolled out of it; wrapped lines are joined."""
        return [line.rstrip() for line in self("capture-pane", "-p", "-J", "-S", "-").splitlines() if line.strip()]


@pytest.fixture
def tmux(require: Callable[[bool, str], None], tmp_path: Path) -> Iterator[Tmux]:
    require(shutil.which("tmux") is not None, "apt-get install tmux")
    server = Tmux(tmp_path / "tmux")
    yield server
    subprocess.run([*server._command, "kill-server"], capture_output=True)


@pytest.mark.slow
def test_in_tmux_lines_stand_above_the_bars_and_narrowing_the_window_doubles_none(
    tmux: Tmux, own_folder: Path, tools: Any
) -> None:
    held = "            while os.path.exists(f'hold{epoch}'): time.sleep(0.02)\n            logger.info("
    (own_folder / "train.py").write_text("import os" + TRAINING.replace("            logger.info(", held))
    for epoch in (1, 2):
        (own_folder / f"hold{epoch}").touch()

    def bars_of(epoch: int) -> list[str]:
        bars = tmux.lines[-2:]
        return bars if [bar[:8] for bar in bars] == ["Epochs: ", f"Epoch {epoch}:"] else []

    # The window stays until the test has looked at it.
    tmux("new-session", "-d", "-x", "100", "-y", "30", f"{sys.executable} train.py; echo status $?; exec cat")
    tools.until(lambda: bars_of(1))
    tmux("resize-window", "-x", "50", "-y", "30")
    (own_folder / "hold1").unlink()
    tools.until(lambda: max(map(len, bars_of(2)), default=0) == 49)
    tmux("resize-window", "-x", "120", "-y", "30")
    (own_folder / "hold2").unlink()
    tools.until(lambda: "status 0" in tmux.lines)

    lines = tmux.lines
    for epoch in range(3):
        assert sum(f"train  epoch {epoch} is over" in line for line in lines) == 1
        assert lines.count(f"printed {epoch}") == 1
    assert lines.count("two") == lines.count("lines") == 3
    assert [line[:12] for line in lines if "|" in line] == ["Epochs: 100%", "Export: 100%"]


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", [{}, {"SLURM_JOB_ID": "1", "TERM": "dumb"}, {"CI": "true", "TERM": "xterm"}])
def test_a_file_gets_plain_lines_and_few_of_progress(own_folder: Path, scheduler: dict[str, str]) -> None:
    (own_folder / "train.py").write_text(TRAINING)
    with open("output", "wb") as output:
        subprocess.run(
            [sys.executable, "train.py"], stdout=output, stderr=output, env={**os.environ, **scheduler}, check=True
        )

    written = Path("output").read_bytes()
    assert b"\r" not in written
    assert b"\x1b" not in written
    lines = written.decode().splitlines()
    assert 1 <= sum("Export: " in line for line in lines) <= 25
    assert sum("is over" in line for line in lines) == 3


NOTEBOOK = """
import sys
from pathlib import Path
import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(Path(name).read_text()) for name in sys.argv[1:]])
# Of TCP it would choose ports that are free, and bind them later.
config = Config(KernelManager={"transport": "ipc"})
NotebookClient(book, timeout=60, kernel_name="python3", config=config).execute()
nbformat.write(book, "executed.ipynb")
"""


@pytest.fixture
def in_notebook(require: Callable[[bool, str], None], own_folder: Path) -> Callable[..., dict[str, Any]]:
    """Execute cells, and return the notebook; in a process of its own, which has an event loop and a kernel."""

    def execute(*cells: str) -> dict[str, Any]:
        require(importlib.util.find_spec("nbclient") is not None, "pip install nbclient ipykernel ipywidgets")
        for number, cell in enumerate(cells):
            (own_folder / f"cell{number}").write_text(cell)
        names = [f"cell{number}" for number in range(len(cells))]
        done = subprocess.run([sys.executable, "-c", NOTEBOOK, *names], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        book: dict[str, Any] = json.loads((own_folder / "executed.ipynb").read_text())
        return book

    return execute


@pytest.mark.once
@pytest.mark.extras
@pytest.mark.slow
def test_a_notebook_has_tqdms_widgets_and_calm_lines(in_notebook: Callable[..., dict[str, Any]]) -> None:
    book = in_notebook(TRAINING)

    outputs = book["cells"][-1]["outputs"]
    shown = "".join("".join(output["text"]) for output in outputs if output.get("name") == "stdout")
    errors = "".join("".join(output["text"]) for output in outputs if output.get("name") == "stderr")
    assert errors == "two\nlines\n" * 3
    assert "\r" not in shown
    assert all(f"epoch {epoch} is over" in shown and f"printed {epoch}" in shown for epoch in range(3))
    states = book["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    texts = [state["state"]["value"] for state in states if state["model_name"] == "HTMLModel"]
    assert any("3/3" in text and "val_accuracy=0.82" in text for text in texts)
    assert any("1000000/1000000" in text for text in texts)


@pytest.mark.once
@pytest.mark.extras
@pytest.mark.slow
def test_a_notebook_without_widgets_has_a_line_of_text_for_each_bar(in_notebook: Callable[..., dict[str, Any]]) -> None:
    book = in_notebook("import sys; sys.modules['ipywidgets'] = None", TRAINING)

    outputs = book["cells"][-1]["outputs"]
    errors = "".join("".join(output["text"]) for output in outputs if output.get("name") == "stderr")
    assert errors == "two\nlines\n" * 3
    bars = ["".join(output["data"]["text/plain"]) for output in outputs if output["output_type"] == "display_data"]
    assert [bar[:12] for bar in bars] == ["Epochs: 100%", "", "", "", "Export: 100%"]
