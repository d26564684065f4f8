"""Run by `tox -e py311` before the tests: refunc-core imports where nothing but its own dependencies is installed."""

import importlib.util
import sys

extras = ["click", "rich", "numpy", "pandas", "polars", "duckdb", "mlflow", "wandb", "refunc_mlflow", "refunc_slack"]
present = [name for name in extras if importlib.util.find_spec(name)]
if present:
    sys.exit(f"this environment proves nothing about refunc-core alone: it also holds {', '.join(present)}")

import refunc.logging  # noqa: E402
import refunc.runs  # noqa: E402, F401
