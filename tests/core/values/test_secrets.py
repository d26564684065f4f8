"""Secrets masked in all that is written: a corpus of a hundred in a hundred places, and values of ordinary configs."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest

from refunc.values import masking
from refunc.values.masking import masked
from refunc.values.secrets import MASK, is_secret_name, without_secrets

CHANCE = random.Random(7)


def chars(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(CHANCE.choice(alphabet) for _ in range(count))


def token_of(prefix: str, count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return prefix + chars(count, alphabet)


UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJ{chars(30)}.{chars(43)}"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{chars(64)}\n{chars(64)}\n-----END RSA PRIVATE KEY-----"
#: Tokens that are known wherever they stand.
TOKENS = [
    token_of("ghp_", 36),
    token_of("gho_", 36),
    token_of("ghs_", 36),
    token_of("github_pat_", 60),
    token_of("glpat-", 20),
    token_of("hf_", 34),
    token_of("xoxb-123456789012-", 24),
    token_of("xoxp-123456789012-", 24),
    token_of("sk-", 48),
    token_of("sk-ant-api03-", 80),
    token_of("sk-proj-", 60),
    token_of("sk_live_", 24),
    token_of("AKIA", 16, UPPER),
    token_of("ASIA", 16, UPPER),
    token_of("AIza", 35),
    token_of("ya29.", 60),
    token_of("GOCSPX-", 28),
    token_of("npm_", 36),
    token_of("pypi-", 60),
    token_of("dop_v1_", 64, HEX),
    token_of("dapi", 32, HEX),
    f"SG.{chars(22)}.{chars(43)}",
    JWT,
    PEM,
]
PASSWORD = "c0rrect-Horse!battery"
#: Addresses and headers, each with the secret that has to be gone from it.
ADDRESSES = [
    (f"postgresql://ada:{PASSWORD}@db.example.com:5432/runs", PASSWORD),
    (f"mysql+pymysql://root:{PASSWORD}@localhost/mlflow", PASSWORD),
    (f"mongodb+srv://u:{PASSWORD}@cluster0.mongodb.net/?retryWrites=true", PASSWORD),
    (f"redis://:{PASSWORD}@10.0.0.1:6379/0", PASSWORD),
    (f"amqp://guest:{PASSWORD}@mq/vhost", PASSWORD),
    (f"https://user:{PASSWORD}@mlflow.example.com/api", PASSWORD),
    (f"https://{TOKENS[0]}@github.com/a/b.git", TOKENS[0]),
    (f"https://oauth2:{TOKENS[4]}@gitlab.com/a/b.git", TOKENS[4]),
    ("https://hooks.slack.com/services/T024BE7LD/B08ABCDEF/x9Yz8Xw7Vu6Ts5Rq4Po3Nm2L", "x9Yz8Xw7Vu6Ts5Rq4Po3Nm2L"),
    ("https://discord.com/api/webhooks/123456789012345678/AbCdEf-gh_IjKl0123456789", "AbCdEf-gh_IjKl0123456789"),
    ("https://example.webhook.office.com/webhookb2/1a2b3c4d-5e6f", "1a2b3c4d-5e6f"),
    (
        "https://s3.amazonaws.com/b/k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F&X-Amz-Signature=0a1b2c3d4e5f6071",
        "0a1b2c3d4e5f6071",
    ),
    ("https://a.blob.core.windows.net/c?sv=2022-11-02&sig=Zk9%2Bab12CD34ef56%3D&se=2030", "Zk9%2Bab12CD34ef56%3D"),
    ("https://api.example.com/v1?api_key=1f2e3d4c5b6a79880", "1f2e3d4c5b6a79880"),
    ("https://api.example.com/v1?access_token=1f2e3d4c5b6a79880&x=1", "1f2e3d4c5b6a79880"),
    (f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={chars(40)}4x==;EndpointSuffix=c", "4x=="),
    (f"Authorization: Bearer {chars(40)}9", None),
    (f"authorization: bearer {JWT}", JWT),
    ("Authorization: Basic dXNlcjpodW50ZXIyaHVudGVyMg==", "dXNlcjpodW50ZXIyaHVudGVyMg=="),
    (f"connecting with password={PASSWORD}", PASSWORD),
    (f"login failed for ada, password: '{PASSWORD}'", PASSWORD),
    (f'config = {{"api_key": "{chars(20)}1", "lr": 0.1}}', None),
    (f"--api-key {chars(20)}1 --epochs 3", None),
    (f"python train.py --db-password {PASSWORD} --lr 0.1", PASSWORD),
    (f"export WANDB_API_KEY={chars(40, HEX)}", None),
    (f"OPENAI_API_KEY: {chars(40)}7", None),
    ("client_secret=9vT8kq2LmX4pZ7", "9vT8kq2LmX4pZ7"),
    ("pwd=hunter2 accepted", "hunter2"),
]
#: Names, each with a value that only the name gives away.
NAMES = [
    *("password", "db_password", "PGPASSWORD", "smtp.passwd", "userPassword", "passphrase", "redis_pwd", "secret"),
    *("client_secret", "clientSecret", "SECRET_KEY", "secret_id", "aws_secret_access_key", "AWS_SESSION_TOKEN"),
    *("api_key", "apiKey", "API-KEY", "x-api-key", "openai_api_key", "wandb_key", "access_key", "private_key"),
    *("encryption_key", "signing_key", "storage_account_key", "ssh_key", "token", "auth_token", "accessToken"),
    *("refresh_token", "hf_token", "slack_bot_token", "GITHUB_TOKEN", "bearer_token", "session_token", "id_token"),
    *("credentials", "authorization", "webhook_url", "webhook", "cookie", "jwt", "dsn", "sas_token", "hmac_key"),
]


def in_places(secret: str, number: int) -> dict[str, Any]:
    """Return the fields of a record with *secret* in one of the places where people put them."""
    places: list[dict[str, Any]] = [
        {"message": f"using {secret} now"},
        {"params": {"model": "x", "value": secret}},
        {"params": {"nested": {"deep": [1, {"v": secret}]}}},
        {"extra": {"note": f"<{secret}>"}},
        {"tags": {"origin": secret}},
        {"exception": f"Traceback\n  File x\nValueError: bad value {secret}"},
        {"other": {"text": secret}},
        {"error": f"failed: {secret}"},
        {"metadata": {"source": secret}},
    ]
    return places[number % len(places)]


def corpus() -> list[tuple[dict[str, Any], str]]:
    """Return records, and of each the text that must not be left in it."""
    found = []
    for number, token in enumerate(TOKENS):
        gone = token.split("\n")[1] if token is PEM else token
        found += [(in_places(token, number), gone), (in_places(token, number + 4), gone)]
    found += [(in_places(text, number), gone) for number, (text, gone) in enumerate(ADDRESSES) if gone]
    for number, name in enumerate(NAMES):
        value = chars(12) + "9"
        place = ["params", "extra", "tags", "other"][number % 4]
        found.append(({place: {name: value} if number % 3 else {"group": {"lr": 0.1, name: value}}}, value))
    return found


def test_of_a_hundred_secrets_ninety_nine_are_masked() -> None:
    missed = []
    records = corpus()
    for fields, secret in records:
        masking.mask_record(fields)
        if secret in json.dumps(fields):
            missed.append((secret, fields))

    assert len(records) >= 95
    assert len(missed) <= len(records) // 100, missed


@pytest.mark.parametrize(("text", "gone"), ADDRESSES)
def test_running_text_loses_the_secret_only(text: str, gone: str | None) -> None:
    clean = without_secrets(text)

    assert MASK in clean
    assert gone is None or gone not in clean


def test_what_stands_around_a_secret_stays() -> None:
    assert (
        without_secrets(f"db is postgresql://ada:{PASSWORD}@db:5432/runs, ok")
        == "db is postgresql://***@db:5432/runs, ok"
    )
    assert (
        without_secrets("x https://hooks.slack.com/services/T0/B0/abc y") == "x https://hooks.slack.com/services/*** y"
    )
    assert without_secrets('{"api_key": "a1b2c3d4e5", "lr": 0.1}') == '{"api_key": "***", "lr": 0.1}'
    assert without_secrets(f"a\n{PEM}\nb") == "a\n-----BEGIN RSA PRIVATE KEY-----***\nb"


def test_a_secret_name_masks_all_below_it() -> None:
    params = {"credentials": {"user": "ada", "keys": ["abcd", "efgh"], "port": 5432, "tls": True}, "lr": 0.1}

    assert masked(params) == {
        "credentials": {"user": MASK, "keys": [MASK, MASK], "port": MASK, "tls": True},
        "lr": 0.1,
    }
    assert params["credentials"]["user"] == "ada"  # the caller's own object is left alone


#: Values in the configs of real trainings: Hugging Face's TrainingArguments and tokenizers, Lightning, Hydra, vLLM.
ORDINARY: list[tuple[str, Any]] = [
    ("max_tokens", 4096),
    ("num_tokens", "12345678"),
    ("pad_token", "<pad>"),
    ("eos_token", "</s>"),
    ("bos_token", "<s>"),
    ("unk_token", "[UNK]"),
    ("mask_token", "[MASK]"),
    ("sep_token", "[SEP]"),
    ("cls_token", "[CLS]"),
    ("stop_token", "END_OF_TEXT"),
    ("image_token", "<image>"),
    ("tokenizer", "meta-llama/Llama-3.1-8B"),
    ("tokenizer_name", "bert-base-uncased"),
    ("tokens_per_second", 12345.6),
    ("token_type_ids", [0, 1]),
    ("use_auth_token", True),
    ("token", None),
    ("token_dropout", "0.1"),
    ("additional_special_token", "<|assistant|>"),
    ("decoder_start_token", "begin_of_sentence"),
    ("token_embedding_dim", "768"),
    ("sort_key", "created_at"),
    ("primary_key", "sample_id"),
    ("foreign_key", "user_id"),
    ("key", "train/loss"),
    ("metric_key", "val/acc"),
    ("key_dim", "attention"),
    ("hash_key", "sha256"),
    ("num_key_value_heads", 8),
    ("query_key_norm", "rmsnorm"),
    ("keyboard", "qwerty"),
    ("monkey_patch", "enabled"),
    ("turkey", "a country"),
    ("password_file", "/run/secrets/db"),
    ("api_key_env", "OPENAI_API_KEY"),
    ("secret_name", "prod/db"),
    ("token_path", "/srv/ada/.cache/token"),
    ("private_key_path", "/srv/ada/.ssh/id_ed25519"),
    ("passes", "two passes"),
    ("bypass", "residual"),
    ("compass", "north-west"),
    ("n_passes", 3),
    ("pass_through", "identity"),
    ("author", "Ada Lovelace"),
    ("authors", "Ada, Charles"),
    ("authority", "example.com"),
    ("signature", "default"),
    ("design", "v2 layout"),
    ("sigma", "0.5 to 1.5"),
    ("assignment", "hungarian"),
    ("credit", "assignment"),
    ("accredited", "yes, by them"),
    ("session", "evening run"),
    ("learning_rate", "5e-5"),
    ("output_dir", "/data/checkpoints/resnet50-2026-11-25"),
    ("run_name", "resnet50_bs256_lr0.1_wd1e-4"),
    ("optimizer", "adamw_torch_fused"),
    ("lr_scheduler_type", "cosine_with_restarts"),
    ("dataset", "HuggingFaceFW/fineweb-edu"),
    ("model_name_or_path", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
    ("hub_model_id", "ada/my-model"),
    ("report_to", "mlflow,wandb"),
    ("dataset_url", "https://example.com/data/train.tar.gz?split=train&version=3"),
    ("git_remote", "git@github.com:ada/refunc.git"),
    ("git_url", "ssh://git@github.com/ada/refunc.git"),
    ("tracking_uri", "http://mlflow.internal:5000"),
    ("s3_path", "s3://bucket/prefix/key-0001"),
    ("commit", "9d4a117b324e4eab250acbf6dced3756a6c65179"),
    ("sha256", chars(64, HEX)),
    ("uuid", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
    ("checkpoint", "epoch=03-step=12000-val_loss=0.1234.ckpt"),
    ("hostname", "gpu-node-17.cluster.local"),
    ("device", "cuda:0"),
    ("cuda_version", "12.4.1"),
    ("command", "python train.py --epochs 3 --batch-size 64 --lr 0.001"),
    ("python", "3.11.7 (main, Jan 1 2024)"),
    ("prompt_template", "### Instruction:\n{instruction}\n### Response:"),
    ("system_prompt", "You are a helpful assistant."),
    ("loss", "cross_entropy"),
    ("activation", "silu"),
    ("dtype", "bfloat16"),
    ("strategy", "deepspeed_stage_3_offload"),
    ("precision", "16-mixed"),
    ("classes", ["cat", "dog", "keyboard", "compass"]),
    ("mean", [0.485, 0.456, 0.406]),
    ("notes", "baseline: token accuracy = 0.93, better"),
    ("base64_image", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg"),
    ("regex", r"^(?P<key>\w+)=(?P<value>.*)$"),
    ("sas", False),
]
SENTENCES = [
    "epoch 3: train_loss=0.1234 val_loss=0.2345 tokens/s=12345",
    "tokens: 1234567, padding token: <pad>, vocabulary size: 32000",
    "loss per token: 0.123456",
    "token accuracy = 0.9312, sequence accuracy = 0.5012",
    "generated token: understanding",
    "key: train/loss value: 0.1",
    "missing key 'encoder.layers.0.weight' in state_dict",
    "saved checkpoint to /data/checkpoints/epoch=03-step=12000.ckpt",
    "cache key: resnet50-imagenet-v2",
    "secret sauce is more data",
    "passed 12 of 12 tests",
    "signal 15 received, saving",
    "see https://huggingface.co/docs/transformers/main_classes/tokenizer#transformers.PreTrainedTokenizer",
    "KeyError: 'labels'",
    "unexpected keyword argument: use_cache",
    "rank 0: world_size=8 backend=nccl master_addr=10.0.0.1",
    "designated eval step: every 500",
    "author: Ada Lovelace",
    "basic authentication is used",
    "bearer of good news",
    "secret: key is a secret, and secrets are not stored in the run. Set SECRET_KEY.",
    "smtp password: required",
    "credentials: missing, set MY_TOKEN",
]


def test_a_list_that_became_text_as_the_value_of_a_tag_does_is_no_placeholder() -> None:
    assert masked({"api_key": "['c0rrect-h0rse']", "password": '["c0rrect-h0rse", 7]'}) == {
        "api_key": MASK,
        "password": MASK,
    }
    assert masked({"token": "[PAD]"}) == {"token": "[PAD]"}


def test_of_ordinary_configs_and_lines_at_most_one_in_a_hundred_is_touched() -> None:
    touched: list[Any] = [
        (name, masked({name: value})) for name, value in ORDINARY if masked({name: value}) != {name: value}
    ]
    touched += [(text, without_secrets(text)) for text in SENTENCES if without_secrets(text) != text]

    assert len(touched) <= (len(ORDINARY) + len(SENTENCES)) // 100, touched


@pytest.mark.parametrize(
    "text", ["", "=", ":", "--", "://@", "token=", "password:", "eyJ", "-----BEGIN", "a" * 100_000, "key=" * 20_000]
)
def test_what_only_begins_like_one_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_names_are_read_by_their_words() -> None:
    assert [name for name in NAMES if not is_secret_name(name)] == []


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, own_folder: Path) -> None:
    from refunc.logging import MLLogger, experiment_context

    logger = MLLogger("masks", "CRITICAL")
    for value, expected in [("", False), ("0", True)]:
        monkeypatch.setenv("REFUNC_REDACT", value)
        with experiment_context("exp", f"redact{value}") as run:
            logger.log_hyperparams({"api_key": "a1b2c3d4e5f6"})
        [journal] = (run.folder / "journal").glob("*.jsonl")
        assert (b"a1b2c3d4e5f6" in journal.read_bytes()) is expected


def test_names_made_up_without_end_fill_no_memory_and_are_looked_at_all_the_same() -> None:
    remembered = len(masking._known_sets)
    many = {f"name {number}": number for number in range(1_000)}

    assert masked({**many, "api_key": "abcdefgh1234"}) == {**many, "api_key": MASK}
    assert len(masking._known_sets) == remembered
    for number in range(1_000):
        assert masked({f"n{number}": 1, "api_key": "abcdefgh1234"})["api_key"] == MASK
    assert len(masking._known_sets) <= 512


def test_what_stands_behind_a_flag_in_a_copy_of_argv() -> None:
    given = [
        "train.py",
        "--api-key",
        "hunter2",
        "--lr",
        "0.1",
        "--token-file",
        "/run/key",
        "--pad-token",
        "eos",
        "--token",
    ]

    found = masked({"argv": given})

    assert found == {"argv": [*given[:2], MASK, *given[3:]]}
    assert masked(given[3:]) == given[3:]
