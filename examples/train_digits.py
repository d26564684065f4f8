"""
Train a classifier on scikit-learn's handwritten digits and track it with refunc: no server, no download, some seconds.

    python examples/train_digits.py

Lines and bars go to the terminal, the text log to ./logs, and the run, complete, to a folder in ./experiments.
"""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from refunc.logging import MLLogger, epoch_context, experiment_context

mpl.use("Agg")  # a picture file, no window

PARAMS = {
    "epochs": 15,
    "batch_size": 32,
    "optimizer": {"name": "adam", "learning_rate": 0.002},
    "hidden_layers": [64, 32],
    "seed": 7,
}

logger = MLLogger("train_digits")


def main() -> None:
    with experiment_context("digits", "mlp", tags={"data": "sklearn-digits", "model": "mlp"}) as run:
        logger.log_hyperparams(PARAMS)
        train, test = load_data()
        model = make_model()
        history = fit(model, train, test)
        keep(model, history)
        logger.log_result("test_accuracy", max(history), metadata={"samples": len(test[1])})
    print(f"\nThe run is in {run.folder}\nRead it:  refunc show {run.run_id}   (or: python -m refunc ls)")


def load_data() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the images as rows of numbers from 0 to 1, with their digits: 1,437 to train on, 360 to test with."""
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.data / 16, digits.target, test_size=0.2, random_state=PARAMS["seed"], stratify=digits.target
    )
    logger.info("digits loaded", extra={"train": len(y_train), "test": len(y_test)})
    return (x_train, y_train), (x_test, y_test)


def make_model() -> MLPClassifier:
    return MLPClassifier(
        hidden_layer_sizes=PARAMS["hidden_layers"],
        learning_rate_init=PARAMS["optimizer"]["learning_rate"],
        random_state=PARAMS["seed"],
    )


def fit(model: MLPClassifier, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> list[float]:
    """Train in mini-batches and return the test accuracy after each epoch."""
    x_train, y_train = train
    x_test, y_test = test
    shuffle = np.random.default_rng(PARAMS["seed"])
    starts = range(0, len(y_train), PARAMS["batch_size"])
    history: list[float] = []
    step = 0
    with epoch_context(PARAMS["epochs"], steps_per_epoch=len(starts), logger=logger) as epochs:
        for epoch in epochs:
            order = shuffle.permutation(len(y_train))
            for start in starts:
                batch = order[start : start + PARAMS["batch_size"]]
                model.partial_fit(x_train[batch], y_train[batch], classes=np.arange(10))
                step += 1
                logger.log_metrics({"train/loss": model.loss_}, step=step)
                epochs.update_step({"train/epoch_loss": model.loss_})
            chances = model.predict_proba(x_test)
            accuracy = accuracy_score(y_test, chances.argmax(axis=1))
            epochs.log({"val/accuracy": accuracy, "val/loss": log_loss(y_test, chances)})
            if history and accuracy < max(history) - 0.01:
                logger.warning("epoch %d: accuracy fell to %.3f", epoch, accuracy)
            history.append(accuracy)
    return history


def keep(model: MLPClassifier, history: list[float]) -> None:
    """Keep the model and a picture of its learning with the run."""
    from matplotlib import pyplot

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.pkl")
        path.write_bytes(pickle.dumps(model))
        logger.log_artifact(path, artifact_type="model")

        figure, axes = pyplot.subplots(figsize=(6, 3.5), layout="constrained")
        axes.plot(history, marker="o")
        axes.set(title="Handwritten digits, 64-32 perceptron", xlabel="epoch", ylabel="test accuracy")
        axes.grid(alpha=0.3)
        path = Path(folder, "accuracy.png")
        figure.savefig(path, dpi=120)
        logger.log_artifact(path, artifact_type="plot")
    logger.info("model and plot kept with the run")


if __name__ == "__main__":
    main()
