"""RefuncCallback in a trainer of TRL, whose loop is transformers'."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Dataset
from tests.frameworks.trainings import tiny_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from refunc.frameworks.transformers import RefuncCallback
from refunc.runs import open_store

pytestmark = pytest.mark.usefixtures("clean_process")

WORDS = ["<pad>", "<eos>", "<unk>", *"the model learns to count one two three".split()]


def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def test_a_fine_tuning_is_a_run() -> None:
    trainer = SFTTrainer(
        model=tiny_model(),
        args=SFTConfig(
            "out", max_length=8, max_steps=4, logging_steps=2, report_to="none", use_cpu=True, save_strategy="no",
            disable_tqdm=True, per_device_train_batch_size=2, log_level="info",
        ),
        train_dataset=Dataset.from_dict({"text": ["the model learns to count one two three"] * 8}),
        processing_class=tokenizer(),
        callbacks=[RefuncCallback("tuning", log_model="end")],
    )  # fmt: skip
    trainer.train()
    (run,) = open_store(Path("experiments")).runs()

    logged = {f"train/{name}" for entry in trainer.state.log_history for name in entry} - {"train/epoch", "train/step"}
    assert set(run.metric_summaries()) == logged
    assert {"train/loss", "train/mean_token_accuracy"} <= logged
    assert list(run.metrics("train/mean_token_accuracy").steps) == [2, 4]
    assert run.params["args"]["max_length"] == 8
    assert [each.name for each in run.artifacts] == ["model"]
