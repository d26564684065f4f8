"""The metric writer of clu, for JAX and Flax."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from refunc.frameworks import Resume, Training
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker

with imported_for(__name__, "clu"):
    from clu.metric_writers import MetricWriter

__all__ = ["RefuncWriter"]


class RefuncWriter(MetricWriter):
    """
    Writes to a run: `writer = RefuncWriter("vision")`, alone, in a `MultiWriter`, or in an `AsyncWriter`.

    The run is the one that is open around, or one of its own, from here to `close()`. It has scalars and texts at their
    steps, and hyperparameters. Images, videos, audio, histograms and summaries are left out, with one warning for each
    kind. The run is `completed`, or ends by the exception in whose handling `close()` is called; without a `close()`,
    it ends with the process.
    """

    def __init__(
        self,
        experiment_name: str = "clu",
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        tracker: ExperimentTracker | None = None,
        resume: Resume = None,
    ) -> None:
        """
        Open the run, if none is open around.

        Args:
            tracker: The run to write to, whatever is open; it stays open.

        Raises:
            ValueError: *resume* cannot be continued.
        """
        self._training = Training(experiment_name, run_name, log_dir, tracker=tracker, resume=resume, has_end=False)
        #: The tracker of the run, for calls of your own.
        self.tracker: ExperimentTracker = self._training.begin()
        self._told: set[str] = set()

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Write values at a step."""
        self.tracker.log_metrics(scalars, step)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        """Write the hyperparameters."""
        self.tracker.log_params(hparams)

    def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
        """Write texts, each as a line of the run."""
        for name, text in texts.items():
            self.tracker.logger.info("%s: %s", name, text, step=step)

    def write_images(self, step: int, images: Mapping[str, Any]) -> None:
        """Leave the images out."""
        self._leave_out("images", images)

    def write_videos(self, step: int, videos: Mapping[str, Any]) -> None:
        """Leave the videos out."""
        self._leave_out("videos", videos)

    def write_audios(self, step: int, audios: Mapping[str, Any], *, sample_rate: int) -> None:
        """Leave the audio out."""
        self._leave_out("audio", audios)

    def write_histograms(
        self, step: int, arrays: Mapping[str, Any], num_buckets: Mapping[str, int] | None = None
    ) -> None:
        """Leave the histograms out."""
        self._leave_out("histograms", arrays)

    def write_summaries(self, step: int, values: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> None:
        """Leave the summaries out."""
        self._leave_out("summaries", values)

    def _leave_out(self, kind: str, values: Mapping[str, Any]) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self.tracker.logger.warning(
                "RefuncWriter: %s are not in the run (first: %s). Save them to a file, and keep it with "
                "writer.tracker.log_artifact(path).",
                kind,
                ", ".join(map(str, values)),
            )

    def flush(self) -> None:
        """Have everything on its way to the disk that was written before."""
        self.tracker.flush()

    def close(self) -> None:
        """End the run, if it is the writer's own; by the exception that is being handled, if there is one."""
        self._training.end(error=self._training.error())
