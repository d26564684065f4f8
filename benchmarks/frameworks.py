"""
The cost of the adapters of refunc.frameworks: by profiles of the examples, and by step over plain `log_metrics`.

    python benchmarks/frameworks.py
    python benchmarks/frameworks.py profile train_lightning train_keras
    python benchmarks/frameworks.py steps

In the environment of `tox -e frameworks`. All is processor time of the training thread, so it stands on a busy machine
too. A profile is of trainings behind a first one in the process, so without imports: the own time of each function, the
least of several trainings. A step is the least of many batches.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import runpy
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples/frameworks"
PROFILED = {
    "train_transformers": ["--epochs", "8"],
    "train_lightning": ["--epochs", "8"],
    "train_hydra": ["-m", "lr=0.1,0.2,0.4"],
    "train_sklearn": [],
    "train_xgboost": [],
    "train_keras": [],
}
#: Calls in a batch, and batches.
CALLS, BATCHES = 500, 30
#: Trainings that are profiled.
TRAININGS = 3


# -- profiles --------------------------------------------------------------------------------------------------------


#: Its file, line and name, as cProfile has it.
Function = tuple[str, int, str]


def profile_of(name: str) -> tuple[float, list[tuple[float, str]]]:
    """Profile an example in a process of its own; return the whole time, and each function with its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--run", name]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{name} has failed:\n{done.stderr}")
        profiles = [own_times(Path(folder, f"profile{number}")) for number in range(TRAININGS)]
    own = Counter({function: min(each[function] for each in profiles) for function in set().union(*profiles)})
    return sum(own.values()), [(seconds, shown(function)) for function, seconds in own.most_common()]


def own_times(path: Path) -> Counter[Function]:
    stats: Any = pstats.Stats(str(path))
    return Counter({function: seconds for function, (_, _, seconds, _, _) in stats.stats.items()})


def shown(function: Function) -> str:
    path, line, name = function
    return f"{'/'.join(Path(path).parts[-3:])}:{line} {name}"


def run_often(name: str) -> None:
    """Run an example, and leave a profile of each time but the first."""
    sys.argv = [name, *PROFILED.get(name, [])]
    for number in range(-1, TRAININGS):
        os.makedirs(f"training{number}")
        os.chdir(f"training{number}")
        profile = cProfile.Profile(time.thread_time_ns, 1e-9)
        if number >= 0:
            profile.enable()
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        profile.disable()
        os.chdir("..")
        profile.dump_stats(f"profile{number}")


def show_profile(name: str) -> None:
    whole, functions = profile_of(name)
    ranks = [(rank, *each) for rank, each in enumerate(functions, start=1) if "refunc/" in each[1]]
    of_refunc = sum(seconds for _, seconds, _ in ranks)
    share = of_refunc / whole
    print(f"{name}: {whole:.2f} s, of these {of_refunc * 1000:.1f} ms in refunc ({share:.1%}). Its first functions:")
    for rank, seconds, function in ranks[:4]:
        print(f"  {rank:4}.  {seconds * 1000:7.2f} ms  {function}")


# -- a step ----------------------------------------------------------------------------------------------------------

Call = Callable[[int], object]
#: The values that the adapters and a case's own calls log; each call takes the step.
VALUES = {"loss": 0.5, "accuracy": 0.25}


def lightning_step(tracker: Any) -> Call:
    from refunc.frameworks.lightning import RefuncLogger

    logger = RefuncLogger(experiment=tracker)

    def call(step: int) -> None:
        logger.log_metrics({"loss": 0.5, "accuracy": 0.25, "epoch": 0}, step)
        logger.save()

    return call


def transformers_step(tracker: Any) -> Call:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from refunc.frameworks.transformers import RefuncCallback

    callback, state = RefuncCallback(), TrainerState(is_world_process_zero=True)
    arguments, control = TrainingArguments("out", report_to="none", use_cpu=True), TrainerControl()
    callback._tracker = tracker

    def call(step: int) -> None:
        state.global_step = step
        callback.on_log(arguments, state, control, logs={"loss": 0.5, "accuracy": 0.25, "epoch": 0.5})

    return call


def accelerate_step(tracker: Any) -> Call:
    from refunc.frameworks.accelerate import RefuncTracker

    adapter = RefuncTracker()
    adapter._tracker = tracker
    return lambda step: adapter.log(VALUES, step)


def xgboost_step(tracker: Any) -> Call:
    from refunc.frameworks.xgboost import RefuncCallback

    callback, scores = RefuncCallback(tracker=tracker), [0.5] * (CALLS * (BATCHES + 1) + 2)
    callback._tracker, callback._columns = tracker, [("loss", scores), ("accuracy", scores)]
    results = {"valid": {"loss": scores, "accuracy": scores}}
    return lambda step: callback.after_iteration(None, step + 1, results)  # the first one logs params


def lightgbm_step(tracker: Any) -> Call:
    from lightgbm.callback import CallbackEnv

    from refunc.frameworks.lightgbm import RefuncCallback

    callback = RefuncCallback(tracker=tracker)
    callback._tracker, callback._names = tracker, ["loss", "accuracy"]
    results = [("valid", "loss", 0.5, False), ("valid", "accuracy", 0.25, True)]
    return lambda step: callback(CallbackEnv(None, {}, step, 0, -1, results))  # type: ignore[arg-type]


def catboost_step(tracker: Any) -> Call:
    from refunc.frameworks.catboost import RefuncCallback

    callback, results = RefuncCallback(tracker=tracker), {"learn": {"loss": [0.5], "accuracy": [0.25]}}
    callback._tracker, callback._model = tracker, object()

    def call(step: int) -> None:
        for scores in results["learn"].values():
            scores.append(0.5)
        callback.after_iteration(SimpleNamespace(iteration=step + 1, metrics=results))

    return call


def keras_step(tracker: Any) -> Call:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    from refunc.frameworks.keras import RefuncCallback

    callback = RefuncCallback(tracker=tracker, log_every=1)
    callback._tracker = tracker
    return lambda step: callback.on_train_batch_end(step, VALUES)


def ignite_step(tracker: Any) -> Call:
    from ignite.engine import Events

    from refunc.frameworks.ignite import OutputHandler, RefuncLogger

    logger, engine = RefuncLogger(tracker=tracker), ignite_engine()
    handler = OutputHandler("train", output_transform=lambda output: output)

    def call(step: int) -> None:
        engine.state.iteration = step
        handler(engine, logger, Events.ITERATION_COMPLETED)

    return call


def ignite_plain(tracker: Any) -> Call:
    """Return the step of a handler that its user wrote: Ignite's base class finds the values and the step."""
    from ignite.engine import Events

    from refunc.frameworks.ignite import OutputHandler

    engine, base = ignite_engine(), OutputHandler("train", output_transform=lambda output: output)

    def call(step: int) -> None:
        engine.state.iteration = step
        values = base._setup_output_metrics_state_attrs(engine, key_tuple=False)
        tracker.log_metrics(values, base.global_step_transform(engine, Events.ITERATION_COMPLETED))

    return call


def ignite_engine() -> Any:
    from ignite.engine import Engine

    engine = Engine(lambda engine, batch: None)
    engine.state.output, engine.state.epoch = VALUES, 1  # type: ignore[assignment]
    return engine


def ray_step(tracker: Any) -> Call:
    from refunc.frameworks.ray import RefuncLoggerCallback

    callback, trial = RefuncLoggerCallback(), SimpleNamespace(trial_id="a")
    callback._trials["a"] = SimpleNamespace(tracker=tracker)  # type: ignore[assignment]
    return lambda step: callback.log_trial_result(step, trial, {**VALUES, "training_iteration": step, "done": False})


def torchtune_step(tracker: Any) -> Call:
    from refunc.frameworks.torchtune import RefuncLogger

    logger = RefuncLogger.__new__(RefuncLogger)
    logger.tracker = tracker
    return lambda step: logger.log_dict(VALUES, step)


def wandb_step(tracker: Any) -> Call:
    import refunc.compat.wandb as wandb

    run = wandb.init(project="costs", mode="offline", reinit="create_new")
    run._tracker.shows_metrics = False
    return lambda step: run.log(VALUES, step=step)


STEPS = {name.removesuffix("_step"): make for name, make in list(globals().items()) if name.endswith("_step")}


def least(call: Call) -> float:
    """Return the microseconds of a call, the least of many batches."""
    for step in range(CALLS):
        call(step)
    batches = []
    for batch in range(1, BATCHES + 1):
        start = time.thread_time_ns()
        for step in range(batch * CALLS, (batch + 1) * CALLS):
            call(step)
        batches.append(time.thread_time_ns() - start)
        time.sleep(0.06)  # the writer's turn
    return min(batches) / CALLS / 1_000


def costs(name: str) -> dict[str, float]:
    """Return the microseconds of a step of an adapter, and of plain `log_metrics`."""
    from refunc.logging import ExperimentTracker

    tracker = ExperimentTracker("costs")
    tracker.start_run()
    tracker.shows_metrics = False
    log_metrics = tracker.log_metrics
    if name == "ignite":
        plain = least(ignite_plain(tracker))
    else:
        plain = least(lambda step: log_metrics({"loss": 0.5, "accuracy": 0.25}, step))
    adapter = least(STEPS[name](tracker))
    tracker.end_run()
    return {"plain": plain, "adapter": adapter}


def show_steps(names: list[str]) -> None:
    print(f"{'':12}{'log_metrics':>12}{'adapter':>12}{'more':>8}   µs a step, two metrics")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--cost", name]
            done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode:
            print(f"{name:12}{done.stderr.strip().splitlines()[-1]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{name:12}{found['plain']:12.2f}{found['adapter']:12.2f}{found['adapter'] - found['plain']:8.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=("profile", "steps"))
    parser.add_argument("names", nargs="*", help="examples or frameworks; default all")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--cost", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_often(options.run)
    elif options.cost:
        print(json.dumps(costs(options.cost)))
    else:
        if options.kind != "steps":
            for name in options.names or PROFILED:
                show_profile(name)
        if options.kind != "profile":
            show_steps(options.names or list(STEPS))


if __name__ == "__main__":
    main()
