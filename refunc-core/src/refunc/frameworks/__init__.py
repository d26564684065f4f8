"""
Loggers and callbacks for ML frameworks, one module for each. Importing a module imports its framework.

    from refunc.frameworks.lightning import RefuncLogger

Each is a thin user of `refunc.logging`, and reads as an example of an adapter of your own.

    accelerate    a tracker for `Accelerator(log_with=...)`
    clu           a metric writer of clu, for JAX and Flax
    composer      a logger for Composer's Trainer
    ignite        a logger for PyTorch-Ignite's engines
    ray           callbacks of Ray Tune and Ray Train
    torchtune     a metric logger for torchtune's recipes
    training      the run of a training that a framework drives
    transformers  a callback for transformers' Trainer, and TRL's
"""

from __future__ import annotations

from refunc.frameworks.training import Training, caller

__all__ = ["Training", "caller"]
