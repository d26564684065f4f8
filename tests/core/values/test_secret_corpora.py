"""
Two corpora: texts with secrets, of which 99 of 100 are masked, and public configs and lines, of which 1 of 100 may be.

The files under `data/` are facts: how secrets look, as templates that are filled in by chance, and which names and
values stand in the configs of public projects.
"""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.values.masking import is_plain, mask_record, masked
from refunc.values.secrets import MASK, without_secrets

DATA = Path(__file__).with_name("data")
LETTERS = string.ascii_letters + string.digits
ALPHABETS = {
    "a": LETTERS,
    "l": string.ascii_lowercase + string.digits,
    "h": "0123456789abcdef",
    "u": string.ascii_uppercase + string.digits,
    "d": string.digits,
    "b": LETTERS + "+/",
    "w": LETTERS + "-_",
}
PASSWORDS = ("c0rrect-Horse", "hunter2!", "Tr0ub4dor&3x", "sUp3r.S3cret", "Winter2026!")

pytestmark = pytest.mark.once


def entries(name: str) -> Iterator[str]:
    for line in (DATA / name).read_text("utf-8").splitlines():
        if line and not line.startswith("#") and not re.fullmatch(r"\[[\w, -]+\]", line):
            yield line


def filled(template: str, chance: random.Random) -> tuple[str, list[str]]:
    """Return a text made of *template*, and the secrets that have to be gone from it."""

    def piece(found: re.Match[str]) -> str:
        if found[0] == "{p}":
            return chance.choice(PASSWORDS) + "".join(chance.choices(LETTERS, k=4))
        return "".join(chance.choices(ALPHABETS[found[1]], k=int(found[2])))

    text = re.sub(r"\{p\}|\{([alhudbw])(\d+)\}", piece, template)
    if not template.startswith(('{"', '"{')):  # in JSON it is an escape
        text = text.replace("\\n", "\n")
    return re.sub("[⟪⟫]", "", text), re.findall("⟪(.*?)⟫", text, re.DOTALL)


def leaked(clean: str, gone: list[str]) -> bool:
    return MASK not in clean or any(secret in clean for secret in gone)


@pytest.mark.parametrize("around", ["{}", "at first {} and then", "line\n{}\nline", "<{}>"], ids=repr)
def test_of_a_hundred_texts_with_secrets_ninety_nine_are_masked(around: str) -> None:
    templates = list(entries("secrets.txt"))
    missed = []
    for template in templates:
        for seed in range(3):
            text, gone = filled(template, random.Random(f"{template}{seed}"))
            clean = without_secrets(around.replace("{}", text))
            if leaked(clean, gone):
                missed.append((template, clean))

    assert len(templates) > 550
    assert len(missed) <= 3 * len(templates) // 100, missed


@pytest.mark.parametrize("place", ["message", "exception", "error", "params", "tags", "extra", "other", "metadata"])
def test_secrets_are_masked_in_each_field_of_a_record(place: str) -> None:
    missed = []
    templates = list(entries("secrets.txt"))
    for number, template in enumerate(templates):
        text, gone = filled(template, random.Random(template))
        values: list[Any] = [{"value": text}, {"deep": [1, {"value": text}]}, [text, 2]]
        fields: dict[str, Any] = {
            place: text if place in ("message", "exception", "error") else {"of": values[number % 3]}
        }
        mask_record(fields)
        if leaked(json.dumps(fields, ensure_ascii=False), [json.dumps(secret)[1:-1] for secret in gone]):
            missed.append((template, fields))

    assert len(missed) <= len(templates) // 100, missed


def ordinary() -> list[tuple[str, Any]]:
    found = []
    for line in entries("ordinary_configs.txt"):
        name, _, value = line.partition(" = ")
        found.append((name, json.loads(value)))
    return found


def test_of_a_hundred_values_of_public_configs_at_most_one_is_touched() -> None:
    configs = ordinary()

    touched = [(name, value) for name, value in configs if masked({name: value}) != {name: value}]

    assert len(configs) >= 700
    assert len(touched) <= len(configs) // 100, touched


@pytest.mark.parametrize(
    "form",
    [
        "{name}={value}",
        "{name}: {value}",
        "{name} = {value}",
        "--{name} {value}",
        "--{name}={value}",
        "Namespace({name}={value!r}, lr=0.1)",
        "{as_json}",
        "{in_json}",
        "{as_dict}",
        "{name}\t{value}",
    ],
)
def test_of_a_hundred_lines_that_say_such_a_config_at_most_one_is_touched(form: str) -> None:
    configs = ordinary()
    touched = []
    for name, value in configs:
        as_json = json.dumps({name: value})
        said = form.format(
            name=name, value=value, as_json=as_json, in_json=json.dumps({"config": as_json}), as_dict={name: value}
        )
        if without_secrets(said) != said:
            touched.append((said, without_secrets(said)))

    assert len(touched) <= len(configs) // 100, touched


@pytest.mark.parametrize("around", ["{}", "at first {} and then", "line\n{}\nline", "['{}', 1]"], ids=repr)
def test_of_a_hundred_ordinary_lines_at_most_one_is_touched(around: str) -> None:
    lines = [around.replace("{}", line.replace("\\n", "\n")) for line in entries("ordinary_lines.txt")]

    touched = [(line, without_secrets(line)) for line in lines if without_secrets(line) != line]

    assert len(lines) > 100
    assert len(touched) <= len(lines) // 100, touched


@pytest.mark.parametrize(
    "name",
    "class_token cls_token pad_token_id eos_token bos_token_id num_tokens key_padding_mask attn_key key_proj sort_key "
    "tokens_per_second max_new_tokens mask_token token_mixer license license_key n_tokens tokenizer key_dim".split(),
)
@pytest.mark.parametrize("value", ["avg", "true", "apache-2.0", "[CLS]", "128001", "linear", "mit"])
def test_words_of_trainings_are_no_secrets(name: str, value: str) -> None:
    values = {name: value, f"model.{name}": value, name.upper(): value}
    said = " ".join(f"{key}={value} {key}: {value}, --{key} {value} | {key} | {value} |" for key in values)

    assert masked(values) == values
    assert without_secrets(said) == said


@pytest.mark.parametrize(("name", "value"), [("name", "value"), ("key", "value"), ("Name", "Value")])
def test_a_field_that_says_the_name_of_the_other_one_masks_it(name: str, value: str) -> None:
    for fields in ({name: "DB_PASSWORD", value: "c0rrect-h0rse"}, {value: "c0rrect-h0rse", name: "api_key", "at": 1}):
        assert masked({"env": [fields]}) == {"env": [{**fields, value: MASK}]}
        assert not is_plain(fields, masks=True)
    assert masked({name: "pad_token", value: "<pad>"}) == {name: "pad_token", value: "<pad>"}
    assert masked({name: "tokens", value: 12}) == {name: "tokens", value: 12}


def test_all_data_of_a_kubernetes_secret_is_masked() -> None:
    manifest = {"kind": "Secret", "metadata": {"name": "x"}, "data": {"db": "aHVudGVyMg=="}, "stringData": {"a": "bcd"}}

    assert masked(manifest) == {**manifest, "data": {"db": MASK}, "stringData": {"a": MASK}}
    assert masked({**manifest, "kind": "ConfigMap"}) == {**manifest, "kind": "ConfigMap"}


def test_the_folder_of_a_process_is_no_secret_whatever_it_is_called() -> None:
    for folder in (
        "/workspace",
        "/content",
        "/srv/multirun/lr=0.1,bs=32",
        "/srv/project (copy)",
        "/srv/c++",
        "C:\\a b",
    ):
        for name in ("PWD", "OLDPWD", "pwd", "env.PWD"):
            assert masked({name: folder}) == {name: folder}
        assert without_secrets(f"PWD={folder} python train.py") == f"PWD={folder} python train.py"
    assert masked({"pwd": "hunter2!", "MYSQL_PWD": "/hunter2!"}) == {"pwd": MASK, "MYSQL_PWD": MASK}
