"""
The customer's API reference, block by block: the needs of each, and a process that runs it as it is written.

`blocks/` holds the blocks byte for byte, numbered as they stand in the reference. A block that is part of a page
presumes the code that the page has before it; `BLOCKS` has that code.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from refunc.journal import record as records
from refunc.runs import LogEntry, Run, Store

FOLDER = Path(__file__).parent / "blocks"

#: Blocks that no test here runs, by number, and why.
SIGNATURES = {2: "class MLLogger", 7: "class LogEntry", 9: "class ExperimentContext"}  # see test_signatures.py
#: Blocks that need the trackers' own packages; none of the servers that they name can be reached.
WITH_TRACKERS = (18, 19, 20, 21, 22, 23, 24, 34)

LOGGER = "from refunc.logging import MLLogger\nlogger = MLLogger('training', level='TRACE')\n"
IN_A_RUN = LOGGER + "logger.start_experiment('contract')\n"
CONTEXTS = "from refunc.logging import MLLogger, epoch_context, experiment_context, progress_context\n"
STUBS = """
def train_step(losses=iter(range(10**9))):
    return 1.0 / (1 + next(losses) % 1000)
def validate():
    return 0.9
validate_model = validate
current_loss, current_acc, current_lr, current_step = 0.5, 0.9, 0.001, 7
"""
#: No server: requests to other machines go to a port of this one without a listener.
NO_SERVER = """
import os
from refunc.logging import MLLogger
os.environ["HTTPS_PROXY"] = os.environ["HTTP_PROXY"] = "http://127.0.0.1:9"
os.environ["NO_PROXY"] = "localhost"
os.environ["NETRC"] = os.devnull
"""
CREDENTIALS = """
os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
os.environ["SLACK_WEBHOOK_URL"] = "https://hooks.slack.com/services/none"
from refunc.logging import MLflowIntegration, SlackIntegration, WandBIntegration
"""
PRINT_A_RECORD = """
import logging
logging.basicConfig(level=0)
logging.getLogger().handlers[0].setFormatter(formatter)
MLLogger("training").info("Epoch completed", step=1000, epoch=5, metrics={"loss": 0.234}, tags={"model": "resnet50"})
logging.getLogger("somebody.else").error("Disk full")
"""


@attrs.frozen
class Block:
    """The needs of a block: code before it, files, and the values that its literal `...` stands for."""

    before: str = ""
    after: str = ""
    files: tuple[str, ...] = ()
    values: str = "..."


BLOCKS = {
    1: Block(STUBS),
    3: Block(
        "from refunc.logging import MLLogger\n",
        "import os\nassert os.listdir() == ['block.py']\nlogger.debug('first')\nlogger.flush()\n",
    ),
    4: Block(IN_A_RUN),
    5: Block(LOGGER, files=("model.pkl", "plot1.png", "plot2.png")),
    6: Block(LOGGER),
    8: Block(
        "from refunc.logging import LogEntry\n",
        "import json\nassert json.loads(entry_json) == entry_dict\nprint(entry_json)\n",
        values="1700000000.25, 'INFO', 'Epoch completed', 'training', step=3, metrics={'loss': 0.5}",
    ),
    10: Block("from refunc.logging import MLLogger\n", PRINT_A_RECORD),
    11: Block("from refunc.logging import MLLogger\n", PRINT_A_RECORD),
    12: Block("from refunc.logging import MLLogger\n", PRINT_A_RECORD),
    13: Block(IN_A_RUN + STUBS),
    14: Block(STUBS),
    15: Block(IN_A_RUN + STUBS),
    16: Block(CONTEXTS + STUBS),
    17: Block(STUBS, files=("model.pkl", "training_plot.png")),
    18: Block(NO_SERVER),
    19: Block(NO_SERVER),
    20: Block(NO_SERVER),
    21: Block(NO_SERVER),
    22: Block(NO_SERVER + CREDENTIALS, values=""),
    23: Block(NO_SERVER, "logger.log_metrics({'loss': 0.5})\n"),
    24: Block(
        NO_SERVER + CREDENTIALS,
        "print(sorted(s.plugin.name for s in integrations.states if s.integration))\nlogger.error('x')\n",
    ),
    25: Block(IN_A_RUN),
    26: Block(IN_A_RUN),
    27: Block(
        LOGGER
        + "import time\nstart_timestamp = time.time()\n"
        + "logger.start_experiment('exp_001')\n"
        + "for number in range(12): logger.error('error %d', number)\n"
        + "logger.info('a training line', tags={'phase': 'training'})\n"
        + "logger.info('another phase', tags={'phase': 'test'})\n"
        + "logger.log_metrics({'loss': float('nan')}, step=1)\n",
        "print(len(entries), [entry.message for entry in recent_errors], [entry.message for entry in training_logs])\n",
    ),
    28: Block("from refunc.logging import MLLogger\n", "for number in range(3): logger.info('line %d', number)\n"),
    29: Block(IN_A_RUN + STUBS + "def risky_operation():\n    raise RuntimeError('out of memory')\n"),
    30: Block(LOGGER),
    31: Block(IN_A_RUN),
    32: Block(
        LOGGER + CONTEXTS + "params, epochs, metrics, final_acc = {'lr': 0.1}, 3, {'loss': 0.5}, 0.9\nglobal_step = 4\n"
    ),
    33: Block(IN_A_RUN + "metrics, result = {'loss': 0.5}, {'accuracy': 0.9}\n"),
    34: Block(
        NO_SERVER
        + CREDENTIALS
        + "os.environ['WANDB_API_KEY'] = 'k' * 40\nos.environ['WANDB_BASE_URL'] = 'http://127.0.0.1:9'\n",
        "print(*setup_experiment_logging('by_environment').integrations)\n",
        values="",
    ),
    35: Block(STUBS + "from pathlib import Path\ndef save_model(path):\n    Path(path).write_bytes(b'weights')\n"),
}


@attrs.frozen
class Outcome:
    """The output, files and runs that a block left behind."""

    folder: Path
    stdout: str
    stderr: str
    #: Every file, with its content.
    files: dict[Path, bytes] = attrs.field(repr=False)

    @property
    def runs(self) -> list[Run]:
        """Every run in the default store, oldest first."""
        return list(Store(self.folder / "experiments"))

    @property
    def run(self) -> Run:
        """The only run."""
        (run,) = self.runs
        assert run.summary.account.damaged == run.summary.account.missing == run.summary.account.torn == 0
        return run

    @property
    def lines(self) -> list[LogEntry]:
        """The run's log lines."""
        return [entry for entry in self.run.entries() if entry.message not in ("run started", "run ended: completed")]

    def points(self) -> list[records.Metrics]:
        """The run's metrics records."""
        return [record for record in self.run.records() if isinstance(record, records.Metrics)]


def file_of(number: int) -> Path:
    (path,) = FOLDER.glob(f"{number:02d}_*.py")
    return path


def run(number: int, folder: Path, tools: Any) -> Outcome:
    block = BLOCKS[number]
    for name in block.files:
        (folder / name).write_text(f"content of {name}")
    code = file_of(number).read_text("utf-8").replace("(...)", f"({block.values})")
    script = folder / "block.py"
    script.write_text(f"{block.before}\n{code}\n{block.after}", "utf-8")
    # Without a bound for the wait at exit, those with trackers would never end: there is no server.
    done = subprocess.run([sys.executable, "block.py"], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    # An uncaught exception, one shown by `logging.raiseExceptions`, or a warning; one that was logged is indented.
    assert not re.search(r"^(Traceback|--- Logging error|\S+:\d+: \w*Warning: )", done.stderr, re.MULTILINE), (
        done.stderr
    )
    return Outcome(folder, done.stdout, done.stderr, tools.left_in(folder))


class Reference:
    """Names that the tests of the blocks share; in importlib mode no test file can import another."""

    SIGNATURES = SIGNATURES
    WITH_TRACKERS = WITH_TRACKERS
    BLOCKS = BLOCKS


@pytest.fixture(scope="session")
def reference() -> type[Reference]:
    return Reference


@pytest.fixture
def run_block(own_folder: Path, tools: Any) -> Callable[[int], Outcome]:
    """Run the block of a number in the test's folder, and return its outcome."""
    return lambda number: run(number, own_folder, tools)


class User:
    """All that a user of a logger sees afterwards: the console, log files, and runs as they are read back."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def console(self) -> list[str]:
        """Return the lines on the console since this was asked last."""
        return self._capsys.readouterr().err.splitlines()

    def files(self, folder: str = "logs") -> list[str]:
        """Return the names of the files in *folder* that are not hidden; none where it does not exist."""
        return sorted(path.name for path in (self.folder / folder).glob("[!.]*"))

    def file(self, logger: Any, path: str) -> list[str]:
        """Return the lines of a file that *logger* writes."""
        logger.flush()
        return (self.folder / path).read_text("utf-8").splitlines()

    def runs(self, store: str = "experiments") -> list[Run]:
        """Return the runs in a store, oldest first."""
        return list(Store(self.folder / store))

    def run(self, store: str = "experiments") -> Run:
        """Return the only run in a store."""
        (run,) = self.runs(store)
        return run

    def points(self, run: Run | None = None) -> list[tuple[Any, Any, dict[str, Any]]]:
        """Return step, epoch and values of each record of metrics in *run*, by default the only one."""
        found = (record for record in (run or self.run()).records() if isinstance(record, records.Metrics))
        return [(record.step, record.epoch, record.metrics) for record in found]


@pytest.fixture
def user(own_folder: Path, clean_process: None, capsys: pytest.CaptureFixture[str]) -> User:
    """Return all that a user sees of the loggers in the test's own process."""
    return User(own_folder, capsys)
