"""Whatever a user passes, as a value, a key or a name: no exception comes out, and every line opens in other tools."""

from __future__ import annotations

import decimal
import fractions
import json
import logging
import math
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from refunc.journal.reader import Account, read_journal
from refunc.journal.record import Metrics
from refunc.logging import ExperimentTracker, MLLogger

np = pytest.importorskip("numpy")
duckdb = pytest.importorskip("duckdb")
polars = pytest.importorskip("polars")

pytestmark = [
    pytest.mark.crash,
    pytest.mark.extras,
    pytest.mark.timeout(7200),
    pytest.mark.usefixtures("clean_process"),
]


def _raise(self: Any, *args: object) -> Any:
    raise RuntimeError("hostile")


class Hostile:
    """Raises wherever it can be touched."""

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = __index__ = _raise
    __getattr__ = __fspath__ = __format__ = __lt__ = __call__ = _raise  # type: ignore[assignment]


class Endless:
    """Is longer than any memory, and contains itself."""

    def __iter__(self) -> Any:
        while True:
            yield self

    def __len__(self) -> int:
        return 1 << 62

    def tolist(self) -> Any:
        return self

    def item(self) -> Any:
        return self

    def _asdict(self) -> Any:
        return {"self": self}


class LyingText(str):
    __str__ = __repr__ = __len__ = __hash__ = __eq__ = _raise  # type: ignore[assignment]


class LyingFloat(float):
    __float__ = __repr__ = __eq__ = __add__ = __sub__ = __lt__ = _raise  # type: ignore[assignment]


class LyingInt(int):
    __int__ = __index__ = __repr__ = __eq__ = __le__ = __ge__ = bit_length = _raise  # type: ignore[assignment]


class LyingDict(dict):  # type: ignore[type-arg]
    keys = items = __iter__ = __getitem__ = _raise  # type: ignore[assignment]


class Exits:
    """Ends the process, if it is let."""

    def __repr__(self) -> str:
        raise RecursionError

    def __str__(self) -> str:
        raise MemoryError

    def __float__(self) -> float:
        raise StopIteration


def _cycle() -> Any:
    found: list[Any] = [1]
    found.append({"again": found})
    return found


def _deep() -> Any:
    found: Any = []
    for _ in range(5_000):
        found = [found]
    return found


def _objects(thing: Any) -> Any:
    array = np.empty(2, dtype=object)
    array[0] = thing
    return array


#: Things that hypothesis, which compares and shows its values, cannot have in its hands: a word stands for each.
THINGS: dict[str, Callable[[], Any]] = {
    "hostile": Hostile, "endless": Endless, "exits": Exits, "cycle": _cycle, "deep": _deep, "class": lambda: Hostile,
    "lying text": lambda: LyingText("text"), "lying float": lambda: LyingFloat(0.5), "lying int": lambda: LyingInt(3),
    "lying dict": lambda: LyingDict(a=1), "huge int": lambda: 10**100_000, "long": lambda: "x\ud800\u202e" * 40_000,
    "lambda": lambda: _cycle, "decimal": lambda: decimal.Decimal("sNaN"), "fraction": lambda: fractions.Fraction(1, 3),
    "float32": lambda: np.float32("nan"), "int64": lambda: np.int64(2**62), "uint64": lambda: np.uint64(2**64 - 1),
    "bool_": lambda: np.bool_(True), "complex64": lambda: np.complex64(1j),
    "longdouble": lambda: np.longdouble("1e4000"),
    "array": lambda: np.arange(12.0).reshape(3, 4), "nan array": lambda: np.array([np.nan, np.inf]),
    "0-d": lambda: np.array(1.5), "empty array": lambda: np.zeros((0, 3)),
    "object array": lambda: _objects(Hostile()),
    "big array": lambda: np.zeros(100_000), "datetime64": lambda: np.datetime64("NaT", "s"),
    "bytes_": lambda: np.bytes_(b"\xff"),
    "structured": lambda: np.zeros(2, dtype=[("a", "f4"), ("b", "S3")]), "masked": lambda: np.ma.masked,
    "memory": lambda: memoryview(bytearray(b"\x00\xff")), "many": lambda: dict.fromkeys(range(20_000), 0.5),
    "set": lambda: {frozenset({1}), "a", 2}, "exception": lambda: ValueError(Hostile()), "generator": lambda: iter([1]),
}  # fmt: skip

_TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | st.binary(max_size=12) | st.complex_numbers()
    | st.integers(-(2**70), 2**70) | st.sampled_from(sorted(THINGS)).map(lambda word: ("thing", word))
)  # fmt: skip
_KEYS = _TEXT | st.integers() | st.floats() | st.none() | st.tuples(_TEXT) | st.binary(max_size=4)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3) | st.tuples(inner),
    max_leaves=6,
)


def _with_things(value: Any) -> Any:
    match value:
        case ("thing", word):
            return THINGS[word]()
        case dict():
            return {key: _with_things(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(_with_things(item) for item in value)
        case _:
            return value


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except Exception:
        return False
    return True


#: A metric's name that hypothesis does not come upon, as it does on `n`.
OWN = "the number of the example"


class _Bench:
    """One run that many examples log into: making a folder for each would be all that the test does."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.examples = 0
        self.numbers: list[float] = []
        self.run: ExperimentTracker | None = None

    def tracker(self) -> ExperimentTracker:
        if self.run is None:
            self.logs = tempfile.mkdtemp(prefix="logs")
            self.log = MLLogger("fuzzed", "INFO", log_dir=self.logs)
            logging.getLogger("fuzzed").handlers[:] = [logging.NullHandler()]
            self.store = Path(tempfile.mkdtemp(prefix="values"))
            self.run = ExperimentTracker("e", log_dir=self.store, logger=self.log)
            self.run.start_run()
        return self.run

    def close(self) -> None:
        """End the run and have every reader read it."""
        if self.run is None:
            return
        run, self.run = self.run, None
        deadline = time.monotonic() + 600
        while not run.flush():  # it waits a second for another thread's drain; a line of 20 MB may take longer
            assert time.monotonic() < deadline
        run.end_run()
        assert run.folder is not None
        account = Account()
        records = list(read_journal(run.folder, account))
        assert account == Account()
        points = [record.metrics for record in records if isinstance(record, Metrics)]
        assert [metrics[OWN] for metrics in points if OWN in metrics] == self.numbers
        lines = 0
        for path in sorted(run.folder.glob("journal/*.jsonl")):
            for line in path.read_bytes().split(b"\n")[:-1]:
                assert isinstance(json.loads(line, parse_constant=pytest.fail), dict)
                lines += 1
        files = str(run.folder / "journal" / "*.jsonl")
        columns = "columns = {kind: 'VARCHAR', metrics: 'MAP(VARCHAR, DOUBLE)', params: 'JSON', other: 'JSON'}"
        assert duckdb.sql(f"SELECT count(kind) FROM read_ndjson('{files}', {columns})").fetchall() == [(lines,)]
        schema = {"kind": polars.String, "metrics": polars.String, "params": polars.String, "other": polars.String}
        assert polars.read_ndjson(files, schema=schema)["kind"].count() == lines
        self.numbers = []
        self.log.close()
        shutil.rmtree(self.store)
        shutil.rmtree(self.logs)


def test_no_value_raises_and_every_line_parses(times: Callable[[float, float], int], chance: random.Random) -> None:
    """With json, DuckDB and polars."""
    bench = _Bench()

    @settings(max_examples=500, database=None, suppress_health_check=list(HealthCheck))
    @given(values=st.dictionaries(_KEYS, _VALUES, max_size=3), name=_LEAVES, step=_LEAVES)
    def log_all(values: dict[Any, Any], name: Any, step: Any) -> None:
        run, log = bench.tracker(), bench.log
        hostile, name, step = _with_things(values), _with_things(name), _with_things(step)
        run.log_metrics({OWN: float(bench.examples)})
        bench.numbers.append(float(bench.examples))
        run.log_metrics(hostile, step, epoch=step)
        run.log_metrics({name: 1.0} if _is_hashable(name) else name)
        run.log_metric(name, step)
        log.info("line %s", hostile, extra=hostile, metrics=hostile, tags=hostile, step=step)
        log.info(name, name)
        log.metric(name, hostile)
        run.log_hyperparams(hostile)
        run.log_hyperparams({"value": name})
        run.add_tags(hostile)
        run.set_tag(name, name)
        run.log_result(name, hostile, metadata=hostile, step=step)
        run.log_artifact(name, step, name=name, metadata=hostile, copy=False)
        bench.examples += 1

    while bench.examples < times(2_000, 100_000):
        seed(chance.randrange(1 << 32))(log_all)()
        bench.close()


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Warn of nothing: a warning for each name that hypothesis thinks of would be all that the test does."""
    logging.getLogger("refunc").setLevel("CRITICAL")


@pytest.mark.parametrize("word", sorted(THINGS))
def test_each_thing_may_stand_anywhere(word: str) -> None:
    bench = _Bench()
    run, log = bench.tracker(), bench.log
    for thing in (THINGS[word](), {"a": THINGS[word]()}, [THINGS[word]()], {"a": {"b": [THINGS[word]()]}}):
        run.log_metrics(thing, thing, epoch=thing)
        run.log_metric(thing, thing)
        run.log_metrics({"loss": thing, "acc": 0.5})
        run.log_hyperparams(thing)
        run.add_tags(thing)
        run.set_tag("tag", thing)
        run.log_result("r", thing, metadata=thing)
        run.log_artifact(thing, thing, name=thing, metadata=thing)
        run.log_artifacts(thing if word != "endless" else [thing])
        log.info(thing, thing, extra=thing, metrics=thing, tags=thing, artifacts=thing, step=thing, epoch=thing)
        log.error("%s %d", thing, thing)
        log.set_step(thing)
        log.set_epoch(thing)
        MLLogger("fuzzed").log_hyperparams({"x": thing})
    bench.close()


def test_a_record_that_no_reader_would_take_is_cut_and_says_so() -> None:
    """Names have no bound of their own: a line of 20 MB is more than DuckDB takes, and would hide from readers here."""
    bench = _Bench()
    run = bench.tracker()
    run.log_metrics({f"name {n}": float(n) for n in range(1_000_000)})
    run.log_metrics({"x" * 20_000_000: math.nan})
    run.log_metrics({OWN: 1.0})
    bench.numbers.append(1.0)
    bench.close()
