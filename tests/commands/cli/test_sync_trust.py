"""`refunc sync` of runs that another user wrote: they name no code, no host, no credential and no file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import MakeWaiting

from refunc.journal import provenance
from refunc.journal.codec import encode_line
from refunc.logging.active.run import ActiveRun
from refunc.plugins.integration import passport_of

pytestmark = pytest.mark.extras

_SENDER = """
from pathlib import Path
from refunc.plugins import Integration, hookimpl, option

class SenderIntegration(Integration):
    address_options = ("url",)
    url: str = option(default="https://mine.example", env="SENDER_URL")
    token: str | None = option(default=None, env="SENDER_TOKEN", secret=True)
    note: str = option(default="")

    @property
    def target(self): return f"sender {self.url}"

    @hookimpl
    def on_log(self, run, records):
        with open("sent.txt", "a") as file: file.write(f"{self.url} {self.token}\\n")
"""


@pytest.fixture
def sender(own_folder: Path, installed_from: Callable[[str], Any]) -> Any:
    (own_folder / "sender.py").write_text(_SENDER)
    return installed_from("sender").SenderIntegration


@pytest.fixture
def sent(own_folder: Path) -> Callable[[], list[str]]:
    """Return the addresses that records were sent to, each with the token."""
    file = own_folder / "sent.txt"
    return lambda: file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], ActiveRun]], ActiveRun]:
    """Have another user make a run: one with another key."""

    def make(run: Callable[[], ActiveRun]) -> ActiveRun:
        with monkeypatch.context() as patch:
            patch.setattr(provenance, "_key", b"k" * 32)
            patch.setattr(provenance, "_is_kept", True)
            return run()

    return make


def test_a_run_of_another_user_is_held_and_said(
    invoke: Any, waiting: MakeWaiting, theirs: Any, sender: Any, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDER_TOKEN", "mine")
    run = theirs(lambda: waiting(sender(url="https://evil.example")))
    own = waiting(sender())

    result = invoke("sync")

    assert result.exit_code == 1
    assert sent() == ["https://mine.example mine"]
    held, done = sorted(result.stdout.splitlines(), reverse=True)
    assert held.split(maxsplit=3)[3] == "asks to be delivered to sender (url='https://evil.example')"
    assert done.startswith(f"done  {own.folder.name}")
    assert f"`refunc sync {run.run_id} --to sender` delivers it with your own settings" in result.stderr
    assert [fact["state"] for fact in json.loads(invoke("sync", "--json").stdout)] == ["ok", "held"]


def test_the_target_that_a_run_names_for_people_is_not_believed(
    invoke: Any, waiting: MakeWaiting, theirs: Any, sender: Any
) -> None:
    asked = {**passport_of(sender(url="https://evil.example")).for_journal(), "target": "sender https://mine.example"}
    theirs(lambda: waiting(asked))

    assert "mine.example" not in invoke("sync").stdout
    assert "https://evil.example" in " ".join(invoke("doctor").stdout.split())


@pytest.mark.parametrize("token", ["", "mine"])
def test_trust_delivers_as_the_run_asks_to_an_address_that_the_user_says_as_well(
    token: str, invoke: Any, waiting: MakeWaiting, theirs: Any, sender: Any, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without credentials: a host that a run names may write files, or be one behind a firewall."""
    run = theirs(lambda: waiting(sender(url="https://theirs.example", note="a note of theirs")))
    monkeypatch.setenv("SENDER_TOKEN", token)

    refused = invoke("sync", run.run_id, "--trust", "--patience", "5")

    assert refused.exit_code == 1
    said = (
        "sender: the run asks for url='https://theirs.example', which is not in this machine's settings. "
        "Set SENDER_URL=https://theirs.example to allow it, or deliver with your own settings: "
    )
    assert said in refused.stdout
    assert sent() == []

    monkeypatch.setenv("SENDER_URL", "https://theirs.example")
    assert invoke("sync", run.run_id, "--trust").exit_code == 0
    assert sent() == [f"https://theirs.example {token or None}"]
    assert invoke("sync", "--trust").exit_code == 2  # of every run in the store


@pytest.mark.parametrize(
    "options",
    [{"url": "https://evil.example"}, {"note": "x"}, {"note": ["x"]}, {"note": {"x": "y"}}, {"url": None}],
    ids=str,
)
def test_of_a_plugin_that_does_not_say_which_options_are_addresses_each_one_is(
    options: dict[str, Any], invoke: Any, waiting: MakeWaiting, sender: Any, sent: Any, own_folder: Path
) -> None:
    (own_folder / "sender.py").write_text(_SENDER.replace('address_options = ("url",)', ""))
    run = waiting({**passport_of(sender()).for_journal(), "key": "sender-0", "options": options})
    segment = min((run.folder / "journal").iterdir())
    segment.write_bytes(segment.read_bytes().replace(b'"mac":"', b'"max":"'))
    segment.write_bytes(b"".join(map(_resealed, segment.read_bytes().splitlines())))

    from refunc.delivery.origin import check_addresses
    from refunc.delivery.sync import targets_of
    from refunc.plugins.errors import NotConfigured

    [target] = targets_of(run.folder)
    plain = type("PlainIntegration", (sender,), {"address_options": None})

    assert target.is_held
    with pytest.raises(NotConfigured, match="the run asks for "):
        check_addresses(plain, target.passport)


def _resealed(line: bytes) -> bytes:
    from refunc.journal.codec import CRC_LENGTH, seal

    return seal(line[:-CRC_LENGTH] + b"}")


def test_no_value_passes_for_an_option_and_no_name_for_a_command(
    invoke: Any, waiting: MakeWaiting, theirs: Any, sender: Any
) -> None:
    spoof = "x', url='https://mine.example')" + " " * 300
    asked = passport_of(sender(url="https://evil.example", note=spoof)).for_journal()
    theirs(lambda: waiting({**asked, "name": "x; touch PWNED"}, asked))

    said = " ".join((invoke("sync").output + invoke("doctor").output).split())

    assert "url='https://evil.example'" in said
    assert """note="x', url='https://mine.example')""" in said
    assert "touch PWNED delivers" not in said
    assert "--to x;" not in said


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to give a file away")
@pytest.mark.parametrize("what", ["run.json", "journal", "."])
def test_a_record_of_this_user_in_files_of_another_one_is_not_this_users(
    what: str, invoke: Any, waiting: MakeWaiting, sender: Any, sent: Any
) -> None:
    """A copy of it, behind a `run.json` with the id of this user's run, in a store that both write to."""
    run = waiting(sender())
    path = run.folder / what
    os.chown(next(path.iterdir()) if what == "journal" else path, 65_534, 65_534)

    result = invoke("sync", run.run_id)

    assert (result.exit_code, result.stdout.split()[0]) == (1, "held")
    assert sent() == []


def test_to_delivers_with_own_settings_whatever_the_run_asks(
    invoke: Any, waiting: MakeWaiting, theirs: Any, sender: Any, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a run that asks for nothing; a record that is delivered is not delivered again."""
    monkeypatch.setenv("SENDER_TOKEN", "mine")
    theirs(lambda: waiting(sender(url="https://evil.example")))
    waiting()

    assert invoke("sync", "--to", "sender").exit_code == 0
    assert invoke("sync", "--to", "sender").exit_code == 0

    assert sent() == ["https://mine.example mine"] * 2
    result = invoke("sync", "--to", "sendr")
    assert result.exit_code == 2
    assert "'sendr' is not installed. Installed: " in result.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"url": "https://evil.example", "note": ""}},
        {"target": "sender https://mine.example "},
        {"withheld": ["note"]},
        {"key": "sender-1"},
        {"path": "sender:Other"},
        {"name": "mlflow"},
        {"mac": ""},
        {"mac": "0" * 32},
        {"run": True},
    ],
    ids=str,
)
def test_a_record_that_was_changed_or_copied_is_not_this_users(
    change: dict[str, Any], invoke: Any, waiting: MakeWaiting, sender: Any, sent: Any
) -> None:
    """One in a run of this user's own does not stand for that one either, under the same key and before it."""
    own = waiting(sender())
    fields = passport_of(sender()).for_journal()
    fields["mac"] = provenance.mac_of_attach(own.run_id, fields)
    run = waiting() if change.pop("run", False) else waiting(ends=False)
    if change:
        fields["mac"] = provenance.mac_of_attach(run.run_id, fields)
    line = {"seq": 90, "time": 0.0, "kind": "attach", **fields, **change}
    segment = min((run.folder / "journal").iterdir())
    segment.write_bytes(segment.read_bytes() + encode_line(line))

    result = invoke("sync", run.run_id)

    assert (result.exit_code, result.stdout.split()[0]) == (1, "held")
    assert sent() == []


def test_what_another_user_put_under_the_key_of_ones_own_changes_nothing(
    invoke: Any, waiting: MakeWaiting, sender: Any, sent: Any, theirs: Any
) -> None:
    """The runs are found oldest first: theirs comes before one's own, and within one's own before one's record."""
    own = passport_of(sender()).for_journal()
    evil = {**own, "options": {**own["options"], "url": "https://evil.example"}}
    first = theirs(lambda: waiting(evil))
    second = waiting(ends=False)
    line = encode_line({"seq": 80, "time": 0.0, "kind": "attach", **evil})
    real = {**own, "mac": provenance.mac_of_attach(second.run_id, own)}
    segment = min((second.folder / "journal").iterdir())
    segment.write_bytes(segment.read_bytes() + line + encode_line({"seq": 81, "time": 0.0, "kind": "attach", **real}))
    second.end("completed")

    result = invoke("sync", first.run_id, second.run_id)

    assert result.exit_code == 1
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["held", first.folder.name],
        ["done", second.folder.name],
    ]
    assert sent() == ["https://mine.example None"]


def test_without_a_key_runs_are_held_and_the_reason_is_said(
    invoke: Any, waiting: MakeWaiting, sender: Any, sent: Any, monkeypatch: pytest.MonkeyPatch, own_folder: Path
) -> None:
    (own_folder / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(own_folder / "file"))
    monkeypatch.setattr(provenance, "_is_kept", False)
    monkeypatch.setattr(provenance, "_key", None)
    waiting(sender())
    monkeypatch.setattr(provenance, "_key", None)  # the training is over

    result = invoke("sync")

    assert (result.exit_code, sent()) == (1, [])
    assert "no key proves that it is yours" in result.stderr
    assert "no key proves which runs are yours" in " ".join(invoke("doctor").stdout.split())


def test_a_blocked_plugin_is_not_even_imported(
    invoke: Any, waiting: MakeWaiting, sender: Any, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting(sender())
    monkeypatch.setenv("REFUNC_PLUGINS", "")

    result = invoke("sync")

    assert (result.exit_code, sent()) == (1, [])
    assert "REFUNC_PLUGINS='' blocks it" in result.stdout
