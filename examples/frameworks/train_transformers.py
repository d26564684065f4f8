"""
A tiny language model, trained by transformers' Trainer, as a run of refunc.

    python examples/frameworks/train_transformers.py
    torchrun --nproc-per-node 2 examples/frameworks/train_transformers.py
    refunc show tiny

It learns to count to nine. Start it again with --resume: the same run goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from refunc.frameworks.transformers import RefuncCallback


class Counting(torch.utils.data.Dataset):
    """Texts such as `3 4 5 6 7 8 9 0`."""

    def __init__(self, texts: int) -> None:
        self.texts = [torch.tensor([(text + place) % 10 for place in range(8)]) for text in range(texts)]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.texts[index], "labels": self.texts[index]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args()

    config = LlamaConfig(
        vocab_size=10, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    trainer = Trainer(
        model=LlamaForCausalLM(config),
        args=TrainingArguments(
            "checkpoints",
            num_train_epochs=options.epochs,
            per_device_train_batch_size=8,
            learning_rate=1e-2,
            logging_steps=5,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=2,
            report_to="none",
            use_cpu=True,
        ),
        train_dataset=Counting(160),
        eval_dataset=Counting(20),
        callbacks=[RefuncCallback("counting", "tiny")],
    )
    trainer.train(resume_from_checkpoint=options.resume)
    trainer.evaluate()


if __name__ == "__main__":
    main()
