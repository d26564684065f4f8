"""
Loggers and callbacks for ML frameworks, one module for each. Importing a module imports its framework.

    from refunc.frameworks.lightning import RefuncLogger

Each is a thin user of `refunc.logging`, and reads as an example of an adapter of your own.

    accelerate    a tracker for `Accelerator(log_with=...)`
    boosting      the shared parts of the callbacks of XGBoost, LightGBM and CatBoost
    callers       the objects of a framework that call an adapter
    catboost      a callback for CatBoost's `fit`
    clu           a metric writer of clu, for JAX and Flax
    composer      a logger for Composer's Trainer
    hydra         a callback for Hydra's config: each job is a run
    ignite        a logger for PyTorch-Ignite's engines
    keras         a callback for Keras' `fit` and `evaluate`
    lightgbm      a callback for LightGBM, and its log lines
    lightning     a logger for Lightning's Trainer, and for Fabric
    models        keeping a framework's model with a run
    optuna        an objective whose trials are runs
    packages      what to install, where a framework is missing or too old
    ray           callbacks of Ray Tune and Ray Train
    sklearn       calls for estimators, scores and searches of scikit-learn
    torchtune     a metric logger for torchtune's recipes
    training      the run of a training that a framework drives
    transformers  a callback for transformers' Trainer, and TRL's
    xgboost       a callback for XGBoost
"""

from __future__ import annotations

from refunc.frameworks.callers import caller
from refunc.frameworks.models import log_model
from refunc.frameworks.training import Resume, Training, run_around

__all__ = ["Resume", "Training", "caller", "log_model", "run_around"]
