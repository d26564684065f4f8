"""RefuncCallback in trainings of Keras, on torch: steps and epochs, ends, checkpoints, and Keras' own bar."""

from __future__ import annotations

import copy
import gc
import pickle
import re
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from keras.callbacks import CallbackList
from tests.frameworks.stored import runs

from refunc.frameworks.keras import RefuncCallback
from refunc.logging import ExperimentTracker, MLLogger, experiment_context

pytestmark = pytest.mark.usefixtures("clean_process")

_random = numpy.random.default_rng(0)
X = _random.random((32, 3)).astype("float32")
Y = (X[:, :1] > 0.5).astype("float32")


class Mistake(Exception):
    """Raised in a training."""


class Fault(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        raise Mistake


def model(rate: float = 0.001) -> Any:
    keras.utils.set_random_seed(7)
    made = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    made.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return made


def fit(*callbacks: Any, on: Any = None, **options: Any) -> Any:
    trained = on or model()
    given = {"epochs": 2, "batch_size": 8, "verbose": 0, **options}
    return trained.fit(X, Y, callbacks=list(callbacks), **given)


def test_an_epoch_has_its_metrics_at_the_epoch_and_the_number_of_batches() -> None:
    history = fit(RefuncCallback("vision", "first"), validation_data=(X, Y), epochs=3).history

    (run,) = runs()
    loss = run.metrics("val_loss")
    assert (run.experiment_name, run.run_name) == ("vision", "first")
    assert (list(loss.steps), list(loss.epochs), list(loss.values)) == ([4, 8, 12], [0, 1, 2], history["val_loss"])
    assert list(run.metrics("loss").values) == history["loss"]
    assert list(run.metrics("learning_rate").values) == [0.001] * 3
    assert "test/loss" not in run.summary.metrics


def test_params_are_the_models_config_the_optimizers_and_those_of_fit() -> None:
    fit(RefuncCallback())

    params = runs()[0].params
    assert (params["epochs"], params["steps"], params["parameters"], params["loss"]) == (2, 4, 4, "binary_crossentropy")
    assert (params["optimizer"]["class"], params["optimizer"]["learning_rate"]) == ("Adam", 0.001)
    assert params["model"]["layers"][1]["config"]["activation"] == "sigmoid"


def test_metrics_of_batches_come_at_their_global_step() -> None:
    fit(RefuncCallback(log_every=2))

    loss = runs()[0].metrics("batch/loss")
    assert (list(loss.steps), list(loss.epochs)) == ([2, 4, 6, 8], [0, 0, 1, 1])


def test_batches_may_be_told_from_other_threads() -> None:
    """As Keras does with backends that allow it; the torch backend does not."""
    callback = RefuncCallback(log_every=1)
    everything = CallbackList([callback], model=model(), epochs=1, steps=40, verbose=0)
    everything._async_train = True
    everything.on_train_begin()
    everything.on_epoch_begin(0)
    for batch in range(40):
        everything.on_train_batch_end(batch, {"loss": float(batch)})
    everything.on_epoch_end(0, {"loss": 1.0})
    everything.on_train_end()
    callback._tracker.flush()

    loss = runs()[0].metrics("batch/loss")
    assert sorted(zip(loss.steps, loss.values, strict=True)) == [(batch + 1, batch) for batch in range(40)]


def test_an_evaluation_afterwards_is_in_the_run_and_the_next_training_is_another() -> None:
    callback, trained = RefuncCallback(), model()
    fit(callback, on=trained)
    result = trained.evaluate(X, Y, verbose=0, callbacks=[callback], return_dict=True)
    fit(RefuncCallback("next"))

    first, second = runs()
    assert (first.status, first.results) == ("completed", {f"test/{name}": value for name, value in result.items()})
    assert second.experiment_name == "next"


def test_an_evaluation_alone_is_a_run_too() -> None:
    callback = RefuncCallback()
    model().evaluate(X, Y, verbose=0, callbacks=[callback])
    fit(callback)

    first, _ = runs()
    assert (first.status, "test/loss" in first.results) == ("completed", True)


def test_early_stopping_is_completed_and_a_fault_is_failed() -> None:
    fit(RefuncCallback("stopped"), keras.callbacks.EarlyStopping("loss", patience=0, min_delta=9), epochs=9)
    with pytest.raises(Mistake):
        fit(RefuncCallback("failed"), Fault())
    gc.collect()
    fit(RefuncCallback("next"))

    assert [(run.experiment_name, run.status) for run in runs()][:2] == [("stopped", "completed"), ("failed", "failed")]
    assert len(runs()[0].metrics("loss").values) == 2


def test_in_a_block_the_training_is_a_part_of_its_run() -> None:
    tracker = ExperimentTracker("given")
    with experiment_context("study"):
        fit(RefuncCallback())
        fit(RefuncCallback(tracker=tracker))
    tracker.end_run()

    assert [(run.experiment_name, run.status) for run in runs()] == [("study", "completed"), ("given", "completed")]


def test_a_training_that_goes_on_goes_on_in_its_steps_and_its_run() -> None:
    trained = model()
    fit(RefuncCallback("vision", "mine"), on=trained, epochs=2)
    trained.save("checkpoint.keras")
    fit(RefuncCallback("vision", resume=True), on=trained, epochs=3, initial_epoch=2)
    fit(
        RefuncCallback("vision", resume=True), on=keras.models.load_model("checkpoint.keras"), epochs=4, initial_epoch=2
    )

    (run,) = runs()
    loss = run.metrics("loss")
    assert (run.attempt, list(loss.steps), list(loss.epochs)) == (3, [4, 8, 12, 16], [0, 1, 2, 3])


@pytest.mark.parametrize("kept", [False, "checkpoint"])
def test_checkpoints_are_artifacts(kept: Any) -> None:
    each = keras.callbacks.ModelCheckpoint("at-{epoch}-{loss:.1f}.weights.h5", save_weights_only=True)
    best = keras.callbacks.ModelCheckpoint("best.keras", monitor="loss", save_best_only=True)
    fit(RefuncCallback(log_model=kept), each, best, on=model(0.1))

    artifacts = runs()[0].artifacts
    names = [re.sub(r"-\d\.\d", "", artifact.name) for artifact in artifacts]
    assert set(names) == {"at-1.weights.h5", "at-2.weights.h5", "best.keras"}
    assert names.count("best.keras") == (2 if kept else 1)
    assert all((artifact.stored is not None) == bool(kept) for artifact in artifacts)
    assert artifacts[0].metadata == {"epoch": 0}


def test_the_model_at_the_end_is_an_artifact() -> None:
    trained = model()
    with experiment_context("study") as tracker:
        fit(RefuncCallback(log_model="end"), on=trained)

    (artifact,) = runs()[0].artifacts
    assert tracker.folder is not None
    kept = Path("kept.keras")
    kept.write_bytes((tracker.folder / str(artifact.stored)).read_bytes())
    assert numpy.allclose(keras.models.load_model(kept).predict(X, verbose=0), trained.predict(X, verbose=0))


def test_a_callback_is_pickled_and_copied_before_and_after() -> None:
    callback = RefuncCallback("pickled")
    fit(pickle.loads(pickle.dumps(callback)))
    fit(callback)
    fit(copy.deepcopy(callback))
    fit(pickle.loads(pickle.dumps(callback)))

    assert [run.experiment_name for run in runs()] == ["pickled"] * 4


@pytest.mark.parametrize("wrong", [{"log_every": 0}, {"log_every": "epoch"}, {"log_model": True}])
def test_what_is_not_allowed_is_told_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RefuncCallback(**wrong)


def test_metrics_are_shown_once_and_no_line_is_glued_to_keras_bar(capfd: pytest.CaptureFixture[str]) -> None:
    logger = MLLogger("script")

    class Says(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            logger.info("batch %s", batch)

    fit(RefuncCallback(), Says(), verbose=2)
    shown = capfd.readouterr()
    fit(RefuncCallback())

    assert "METRIC" not in shown.err
    assert re.findall(r"^\d\d:\d\d:\d\d INFO +script +batch \d$", shown.err, re.MULTILINE)
    assert capfd.readouterr().err.count("METRIC") == 2


class Written(keras.Model):  # type: ignore[misc]
    """A model that is written as a class has no config."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1, activation="sigmoid")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def get_config(self) -> Any:
        raise NotImplementedError


def test_a_model_without_a_config_has_the_rest() -> None:
    written = Written()
    written.compile("sgd", "mse")
    fit(RefuncCallback(), on=written)

    (run,) = runs()
    assert "model" not in run.params
    assert run.params["optimizer"]["class"] == "SGD"
