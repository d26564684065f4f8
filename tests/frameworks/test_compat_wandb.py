"""
Frameworks that import W&B themselves, unchanged, on `refunc.compat.wandb` with the one line that its page shows.

verl and torchtune bring gigabytes that these classes have no use for, so each class is run from its package's own file.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import accelerate
import lightning
import lightning.pytorch.loggers.wandb as loggers
import omegaconf
import pytest
import torch
import transformers
from accelerate.tracking import WandBTracker
from tests.frameworks.stored import only_run
from torch.utils.data import DataLoader

import refunc.compat.wandb
from refunc.runs import open_store

#: verl's tables: one that is logged as a whole, and one of which the rows that are new are.
TABLES = ("val/generations", "training/filter_groups/filtered_reward_counts")
Require = Callable[[bool, str], None]


@pytest.fixture
def wandb(own_folder: Path, clean_process: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Write the documented line for one test."""
    for name in ("WANDB_PROJECT", "WANDB_MODE", "WANDB_DISABLED", "WANDB_LOG_MODEL", "WANDB_WATCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "wandb", refunc.compat.wandb)
    yield refunc.compat.wandb
    refunc.compat.wandb.finish()
    for name in [name for name in sys.modules if name.startswith("wandb.")]:
        del sys.modules[name]


def module_of(package: str, path: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a module of an installed package, loaded without the package's own imports; None if it is missing."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    spec = importlib.util.spec_from_file_location(f"only_{package}", Path(found.submodule_search_locations[0], path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


def test_verl_tracks(wandb: Any, require: Require, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of("verl", "utils/tracking.py", monkeypatch)
    require(module is not None, "pip install --no-deps verl")
    config = {"trainer": {"wandb_proxy": "http://proxy:1"}, "actor": {"lr": 1e-6}}
    tracking = module.Tracking("verl", "grpo", default_backend=["wandb"], config=config)
    samples = module.ValidationGenerationsLogger(project_name="verl", experiment_name="grpo")
    rewards = module.DapoFilteredRewardTableLogger(project_name="verl", experiment_name="grpo")
    for step in range(1, 4):
        rewards.log(["wandb"], {0.0: 3, 1.0: step}, step)
        tracking.log({"actor/loss": 1.0 / step, "critic/score/mean": float(step)}, step=step)
        samples.log(["wandb"], [("question", "answer", 0.5)], step)
    tracking.finish(exit_code=0)

    run = only_run()
    assert (run.experiment_name, run.run_name, run.status, run.params) == ("verl", "grpo", "completed", config)
    assert list(run.metrics("actor/loss").steps) == [1, 2, 3]
    rows = {name: [a.metadata["rows"] for a in run.artifacts if a.metadata["key"] == name] for name in TABLES}
    assert rows == {"val/generations": [1, 2, 3], "training/filter_groups/filtered_reward_counts": [1, 1, 1]}
    assert wandb.run is None


def test_torchtune_logs(wandb: Any, require: Require, monkeypatch: pytest.MonkeyPatch, own_folder: Path) -> None:
    utils = types.ModuleType("torchtune.utils")
    utils.get_logger = logging.getLogger  # type: ignore[attr-defined]
    utils.get_world_size_and_rank = lambda: (1, 0)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchtune.utils", utils)
    module = module_of("torchtune", "training/metric_logging.py", monkeypatch)
    require(module is not None, "pip install --no-deps torchtune")

    logger = module.WandBLogger(project="tune", group="g", log_dir="logs", name="lora")
    logger.log_config(omegaconf.OmegaConf.create({"output_dir": str(own_folder), "lr": 0.1, "model": {"rank": 8}}))
    for step in range(0, 30, 10):
        logger.log("lr", 0.1, step)
        logger.log_dict({"loss": torch.tensor(0.5), "tokens": 10}, step)
    logger.close()

    [run] = open_store("logs/experiments")
    assert (run.experiment_name, run.run_name, run.status) == ("tune", "lora", "completed")
    assert (run.params["model"], run.tags) == ({"rank": 8}, {"group": "g"})
    assert list(run.metrics("loss").x) == list(run.metrics("lr").x) == [0, 10, 20]
    assert [artifact.name for artifact in run.artifacts] == ["torchtune_config.yaml"]


def test_accelerate_tracks(wandb: Any) -> None:
    accelerator = accelerate.Accelerator(cpu=True, log_with=WandBTracker("vision", name="a run"))
    accelerator.init_trackers("not asked", config={"lr": 0.1})
    for step in range(3):
        accelerator.log({"loss": 1.0}, step=step)
    accelerator.end_training()

    run = only_run()
    assert (run.experiment_name, run.run_name, run.status, run.params) == ("vision", "a run", "completed", {"lr": 0.1})
    assert list(run.metrics("loss").steps) == [0, 1, 2]


class TinyConfig(transformers.PretrainedConfig):
    model_type = "tiny"


class Tiny(transformers.PreTrainedModel):
    config_class = TinyConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.layer = torch.nn.Linear(4, 1)
        self.post_init()

    def forward(self, x: Any = None, labels: Any = None) -> dict[str, Any]:
        out = self.layer(x)
        return {"loss": ((out - labels) ** 2).mean(), "logits": out}


def test_transformers_reports(wandb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_LOG_MODEL", "checkpoint")
    monkeypatch.setenv("WANDB_WATCH", "all")
    rows = [{"x": torch.randn(4), "labels": torch.randn(1)} for _ in range(32)]
    arguments = transformers.TrainingArguments(
        "out",
        report_to="wandb",
        run_name="a run",
        num_train_epochs=2,
        logging_steps=4,
        eval_strategy="epoch",
        save_strategy="epoch",
        use_cpu=True,
        disable_tqdm=True,
    )
    transformers.Trainer(Tiny(TinyConfig()), arguments, train_dataset=rows, eval_dataset=rows).train()
    wandb.finish()

    run = only_run()
    assert (run.experiment_name, run.run_name, run.status) == ("huggingface", "a run", "completed")
    assert (run.params["learning_rate"], run.params["model/num_parameters"]) == (5e-05, 5)
    assert list(run.metrics("train/loss").x) == list(run.metrics("eval/loss").x) == [4, 8]
    assert "train_runtime" in run.results
    models = [artifact for artifact in run.artifacts if artifact.type == "model"]
    assert [artifact.metadata["version"] for artifact in models] == [f"v{number}" for number in range(len(models))]
    assert len(models) >= 3


class Module(lightning.LightningModule):
    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch: Any, number: int) -> Any:
        loss = self.layer(batch).pow(2).mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_lightning_logs_if_it_takes_wandb_for_installed(wandb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "_WANDB_AVAILABLE", True)
    logger = loggers.WandbLogger(name="a run", project="vision", log_model=True)
    trainer = lightning.Trainer(
        max_epochs=2, logger=logger, log_every_n_steps=2, accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Module(), DataLoader(torch.randn(16, 4), batch_size=4))
    logger.log_table("table", columns=["a"], data=[[1]])
    logger.log_image("images", [torch.rand(3, 4, 4)])
    wandb.finish()

    run = only_run()
    assert (run.experiment_name, run.run_name, run.status, run.params) == ("vision", "a run", "completed", {"lr": 0.1})
    assert (list(run.metrics("loss").x), list(run.metrics("loss").epochs)) == ([1, 3, 5, 7], [0, 0, 1, 1])
    kept = {artifact.type: artifact for artifact in run.artifacts}
    assert set(kept) == {"model", "table", "image"}
    assert "best" in kept["model"].metadata["aliases"]
