"""Submits jobs to this machine with submitit: of one task, of two, and one that is preempted and queued again."""

from __future__ import annotations

import time
from pathlib import Path

import submitit
from submitit.helpers import Checkpointable, DelayedSubmission


def train(name: str) -> None:
    from refunc.logging import experiment_context, get_logger

    rank = submitit.JobEnvironment().global_rank
    with experiment_context(name) as run:
        run.log_metrics({"loss": float(rank)}, step=0)
        get_logger("train").info("INFO of rank %d", rank)


class Training(Checkpointable):
    """Goes on with its run, and waits in its first start until it is preempted."""

    def checkpoint(self) -> DelayedSubmission:
        Path("preempted").touch()
        return super().checkpoint()

    def __call__(self) -> None:
        import os
        import time
        from pathlib import Path

        from refunc.logging import experiment_context

        attempt = int(Path("preempted").exists())
        with experiment_context("preempted", resume="auto") as run:
            run.log_metrics({"attempt": attempt}, step=0)
            run.flush()
            Path(f"{submitit.JobEnvironment().global_rank}.pid").write_text(str(os.getpid()))
            while not Path("preempted").exists():
                time.sleep(0.01)


if __name__ == "__main__":
    import os
    import signal

    executor = submitit.LocalExecutor("jobs")
    executor.update_parameters(timeout_min=10, tasks_per_node=1)
    jobs = [executor.submit(train, "one")]
    executor.update_parameters(timeout_min=10, tasks_per_node=2)
    jobs += [executor.submit(train, "two"), executor.submit(Training())]
    while not all(Path(f"{rank}.pid").exists() and Path(f"{rank}.pid").read_text() for rank in range(2)):
        time.sleep(0.01)
    os.kill(int(Path("0.pid").read_text()), signal.SIGUSR2)
    for job in jobs:
        job.results()
