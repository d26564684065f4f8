"""A regression in JAX with clu's metric writers, in a run: `python train_clu.py`, then `refunc ls`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from clu import metric_writers

from refunc.frameworks.clu import RefuncWriter


def loss(weights: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((weights[0] * x + weights[1] - y) ** 2)


def main(steps: int = 30) -> None:
    x = jnp.linspace(-1, 1, 64)
    y = 3 * x + 1
    weights, rate = jnp.zeros(2), 0.1
    gradient = jax.jit(jax.value_and_grad(loss))

    writer = metric_writers.AsyncMultiWriter([RefuncWriter("regression", "clu")])
    with metric_writers.ensure_flushes(writer):
        writer.write_hparams({"lr": rate, "steps": steps})
        for step in range(1, steps + 1):
            value, slope = gradient(weights, x, y)
            weights -= rate * slope
            writer.write_scalars(step, {"train/loss": value})
        writer.write_texts(steps, {"weights": str(weights)})
    writer.close()


if __name__ == "__main__":
    main()
