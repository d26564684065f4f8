"""Scripts that log while the interpreter ends, and the records that each has to leave, for `test_hostile_ends.py`."""

from __future__ import annotations

from typing import NamedTuple

HEAD = """
import asyncio, atexit, gc, logging, os, sys, threading, time, weakref
{before}
from refunc.logging import AsyncHandler, MLLogger, RunHandler, experiment_context, progress_context
log = MLLogger("train")
SCRIPT = sys.argv[0]

class Late:
    def __init__(self, call):
        self.call = call
    def __del__(self):
        self.call()
"""


class End(NamedTuple):
    """The code of a script, and the lines, records and exit code that it has to leave."""

    code: str
    before: str = ""  # the import
    returned: int = 0
    lines: tuple[str, ...] = ()  # in the log file, once each
    run_lines: tuple[str, ...] = ()  # in a run's journal
    late: int = 0  # records of the metric `late` in the journals
    statuses: tuple[str, ...] = ()
    said: str = ""
    on_terminal: bool = False
    environment: dict[str, str] = {}  # noqa: RUF012  # never changed


ENDS = {
    "a generator's finally, the first line": End(
        """
        def batches():
            try:
                yield 1
            finally:
                log.info("closed")
        loader = batches()
        next(loader)
        """,
        lines=("closed",),
    ),
    "a generator's finally, in a run": End(
        """
        def batches():
            try:
                yield 1
            finally:
                log.info("closed"); log.log_metrics({"late": 1})
        log.start_experiment("e")
        loader = batches()
        next(loader)
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "a block in a generator that is never closed": End(
        """
        def batches():
            with experiment_context("e"):
                yield 1
                log.info("never")
        loader = batches()
        next(loader)
        """,
        statuses=("completed",),
    ),
    "__del__, the first line": End('late = Late(lambda: log.error("closed"))', lines=("closed",)),
    "__del__, the first record of a run": End(
        'late = Late(lambda: (log.log_metrics({"late": 1}), log.log_result("r", 1), log.set_tag("a", "b")))',
        said="its records are not kept",
    ),
    "__del__, a block of a run, the first one": End(
        """
        def call():
            with experiment_context("e", parameters={"lr": 1}) as run:
                run.log_metrics({"late": 1}); run.log_artifact(SCRIPT); log.info("in the block")
        late = Late(call)
        """,
        lines=("in the block",),
        said="its records are not kept",
    ),
    "__del__, data calls of every kind behind a block": End(
        """
        def call():
            log.log_metrics({"late": 1}); log.log_metrics({"late": 1, "other": "text"})
            log.log_result("r", 1); log.set_tag("a", "b"); log.log_hyperparams({"lr": 1})
            log.define_metric("late", goal="max"); log.log_artifact(SCRIPT); log.info("é %d", 1)
        with experiment_context("e"):
            log.info("in the block")
        late = Late(call)
        """,
        lines=("in the block", "é 1"),
        run_lines=("in the block", "é 1"),
        late=2,
        statuses=("completed", "completed"),
    ),
    "__del__ in a cycle": End(
        """
        log.start_experiment("e")
        late = Late(lambda: (log.info("closed"), log.log_metrics({"late": 1})))
        late.me = late
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "__del__, another logger, a new one": End(
        """
        log.info("early")
        late = Late(lambda: MLLogger("train.other").info("closed"))
        """,
        lines=("early",),
    ),
    "__del__, an AsyncHandler's first record": End(
        """
        handler = AsyncHandler(target=logging.FileHandler("handled.log"))
        log.add_handler(handler)
        late = Late(lambda: log.info("closed"))
        """,
        lines=("closed",),
    ),
    "__del__, a stdlib logger whose lines go to runs": End(
        """
        logging.getLogger("library").addHandler(RunHandler())
        log.start_experiment("e")
        late = Late(lambda: logging.getLogger("library").warning("closed"))
        """,
        run_lines=("closed",),
        statuses=("completed",),
    ),
    "__del__, a bar": End(
        """
        def call():
            with progress_context("late", total=2) as bar:
                bar.update(1); log.info("beside the bar"); log.log_metrics({"late": 1})
        log.log_metrics({"early": 1})
        with progress_context("early", total=1) as bar:
            bar.update(1)
        late = Late(call)
        """,
        lines=("beside the bar",),
        late=1,
        statuses=("completed",),
        on_terminal=True,
    ),
    "__del__, the first bar": End(
        """
        def call():
            with progress_context("late", total=2) as bar:
                bar.update(1); log.info("beside the bar")
        late = Late(call)
        """,
        lines=("beside the bar",),
        on_terminal=True,
    ),
    "an integration attached by an atexit handler": End(
        """
        from refunc.plugins import hookimpl
        class Probe:
            @hookimpl
            def on_log(self, run, records):
                pass
        log.add_integration(Probe())
        atexit.register(lambda: log.error("closed"))
        """,
        lines=("closed",),
        run_lines=("closed",),
        statuses=("completed",),
        environment={"REFUNC_DELIVERY": "thread", "REFUNC_EXIT_WAIT": "0"},
    ),
    "an atexit handler from before the import": End(
        "",
        before='atexit.register(lambda: (log.info("closed"), log.log_metrics({"late": 1})))',
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "an atexit handler from behind the import": End(
        """
        atexit.register(lambda: (log.info("closed"), log.log_metrics({"late": 1})))
        log.start_experiment("e")
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "weakref.finalize": End(
        """
        log.start_experiment("e")
        late = Late(lambda: None)
        weakref.finalize(late, lambda: (log.info("closed"), log.log_metrics({"late": 1})))
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("completed",),
    ),
    "a thread that begins to log when the main thread is over": End(
        """
        def work():
            threading.main_thread().join()
            with progress_context("late", total=200) as bar:
                for n in range(200):
                    log.log_metrics({"late": n}); bar.update(1)
            log.info("closed")
        threading.Thread(target=work).start()
        """,
        lines=("closed",),
        run_lines=("closed",),
        late=200,
        statuses=("completed",),
        on_terminal=True,
    ),
    "sys.exit in a thread": End(
        """
        log.start_experiment("e")
        def work():
            log.log_metrics({"late": 1})
            sys.exit(3)
        thread = threading.Thread(target=work); thread.start(); thread.join()
        """,
        late=1,
        statuses=("completed",),
    ),
    "os._exit": End(
        """
        log.start_experiment("e")
        log.log_metrics({"late": 1}); log.error("closed")
        os._exit(7)
        """,
        returned=7,
        lines=("closed",),
        run_lines=("closed",),
        late=1,
        statuses=("crashed",),
    ),
    "an exception hook that raises": End(
        """
        def hook(*error):
            log.error("in the hook")
            raise RuntimeError("of the hook")
        log.info("early")
        sys.excepthook = hook
        log.start_experiment("e")
        raise ValueError("no data")
        """,
        returned=1,
        lines=("in the hook",),
        run_lines=("in the hook",),
        statuses=("failed",),
    ),
    "a __del__ that raises, and a hook for it that logs": End(
        """
        log.start_experiment("e")
        def call(log=log):
            log.log_metrics({"late": 1})
            raise ValueError("of __del__")
        sys.unraisablehook = lambda args, log=log: log.info("unraisable")
        late = Late(call)
        del late
        """,
        run_lines=("unraisable",),
        late=1,
        statuses=("completed",),
    ),
    "a loop of asyncio that is left open, with a task in it": End(
        """
        logging.getLogger("asyncio").addHandler(RunHandler())
        log.start_experiment("e")
        async def work():
            try:
                await asyncio.sleep(60)
            finally:
                log.log_metrics({"late": 1})
        loop = asyncio.new_event_loop()
        task = loop.create_task(work())
        loop.run_until_complete(asyncio.sleep(0))
        """,
        late=1,
        statuses=("completed",),
    ),
    "tasks of an executor that nobody waits for": End(
        """
        from concurrent.futures import ThreadPoolExecutor
        def work(n):
            time.sleep(0.05)
            log.log_metrics({"late": n}); log.info("task %d", n)
        pool = ThreadPoolExecutor(2)
        for n in range(4):
            pool.submit(work, n)
        """,
        lines=("task 0", "task 1", "task 2", "task 3"),
        run_lines=("task 3",),
        late=4,
        statuses=("completed",),
    ),
    "daemon threads in the middle of logging": End(
        """
        log.start_experiment("e")
        def work():
            while True:
                log.info("again"); log.log_metrics({"n": 1})
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        late = Late(lambda: (log.log_metrics({"late": 1}), log.error("closed")))
        time.sleep(0.1)
        """,
        statuses=("completed",),
    ),
    "daemon threads that open the first run": End(
        """
        begin = threading.Event()
        def work():
            begin.wait()
            log.log_metrics({"n": 1}); log.info("a line")
        for _ in range(8):
            threading.Thread(target=work, daemon=True).start()
        late = Late(lambda: log.info("closed"))
        begin.set()
        """,
    ),
}
