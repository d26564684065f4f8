"""Small trainings with transformers: a model of a few hundred weights, and data made on the spot."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments


class Tokens(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Texts of 8 random tokens."""

    def __init__(self, texts: int) -> None:
        self.ids = torch.randint(0, 20, (texts, 8), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.ids[index], "labels": self.ids[index]}


def tiny_model(*_: object) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, head_dim=8
    )
    return LlamaForCausalLM(config)


def trainer_with(
    *callbacks: Any, kind: type[Trainer] = Trainer, texts: int = 12, arguments: Any = TrainingArguments, **options: Any
) -> Trainer:
    """Return a Trainer of 6 steps in 2 epochs that logs every second step, evaluates and saves after each epoch."""
    given = {
        "output_dir": "out",
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "logging_steps": 2,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        **options,
    }
    is_search = given.pop("is_search", False)
    return kind(
        model=None if is_search else tiny_model(),
        model_init=tiny_model if is_search else None,
        args=arguments(**given),
        train_dataset=Tokens(texts),
        eval_dataset=Tokens(4),
        callbacks=list(callbacks),
    )
