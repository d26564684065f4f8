"""
A small network for scikit-learn's handwritten digits, trained by Keras on torch, as a run of refunc.

    python examples/frameworks/train_keras.py
    refunc show network

Keras draws its bar; refunc has the metrics, the model's config, and the best model as an artifact.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from refunc.frameworks.keras import RefuncCallback


def main() -> None:
    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(digits.data / 16, digits.target, test_size=0.2, random_state=7)
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])

    callback = RefuncCallback("digits", "network", log_every=10, log_model="checkpoint")
    best = keras.callbacks.ModelCheckpoint("best.keras", monitor="val_accuracy", save_best_only=True)
    model.fit(
        x_train,
        y_train,
        validation_data=(x_test, y_test),
        epochs=3,
        batch_size=64,
        callbacks=[callback, best],
    )
    model.evaluate(x_test, y_test, callbacks=[callback], verbose=0)


if __name__ == "__main__":
    main()
