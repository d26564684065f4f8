"""Plugins that are one file each: found by the environment, imported when they are asked for, delivered to anywhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import refunc.logging
from refunc.delivery.sync import remake
from refunc.logging import auto_configure_integrations, setup_logging
from refunc.plugins import ConfigurationError, files
from refunc.plugins.integration import Passport, passport_of

HEAD = "from refunc.plugins import Integration, hookimpl, option\n"
HOOK = "    @hookimpl\n    def on_log(self, run, records): pass\n"
ACME = f"{HEAD}class AcmeIntegration(Integration):\n    level: int = option(default=1, env='ACME_LEVEL')\n{HOOK}"

Drop = Callable[..., Path]


@pytest.fixture
def drop(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drop]:
    """Put files, by their names without `.py`, into a folder that the environment names, and return the folder."""
    folder = own_folder / "plugins"
    folder.mkdir()
    monkeypatch.setenv(files.VARIABLE, str(folder))
    known = set(vars(refunc.logging))

    def drop(**sources: str | bytes) -> Path:
        for name, source in sources.items():
            (folder / f"{name}.py").write_bytes(source if isinstance(source, bytes) else source.encode())
        return folder

    yield drop
    files._Finder.files.clear()
    for name in [name for name in sys.modules if name.startswith("refunc_plugin_")]:
        del sys.modules[name]
    for name in set(vars(refunc.logging)) - known:
        delattr(refunc.logging, name)


def found() -> list[tuple[str, str, str]]:
    """Return name, state and reason of each plugin that is a file."""
    states = auto_configure_integrations().states
    return [(state.plugin.name, state.state, state.reason) for state in states if state.plugin.is_file]


def test_a_file_is_a_plugin_wherever_an_installed_one_is(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(whatever=ACME)
    monkeypatch.setenv("ACME_LEVEL", "5")

    assert "AcmeIntegration" in dir(refunc.logging)
    assert "refunc_plugin_acme" not in sys.modules, "listing names has imported it"
    from refunc.logging import AcmeIntegration  # type: ignore[attr-defined]

    assert found() == [("acme", "active", "")]
    assert auto_configure_integrations().get_integration("acme").level == 5
    [configured] = setup_logging(integrations={"acme": {"level": 7}}).integrations
    assert (type(configured), configured.level) == (AcmeIntegration, 7)
    setup_logging()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (ACME, "acme"),
        (f"{HEAD}class AcmeIntegration(Integration):\n    name = 'My-Own'\n{HOOK}", "my-own"),
        (f"{HEAD}class _Base(Integration):\n{HOOK}\nclass Acme(_Base): pass\n", "acme"),
        (f"{HEAD}class Base(Integration):\n{HOOK}\nclass AcmeIntegration(Base): pass\nclass Other: pass\n", "acme"),
        (
            f"import refunc.plugins as p\nfrom refunc.plugins import hookimpl\nclass Acme(p.Integration):\n{HOOK}",
            "acme",
        ),
        (f"from refunc.plugins import hookimpl\nclass Plain:\n{HOOK}", "plain"),
        (f"# -*- coding: latin-1 -*-\n{ACME}# \xe9".encode("latin-1"), "acme"),
    ],
)
def test_the_plugin_is_called_after_its_class(source: str, name: str, drop: Drop) -> None:
    drop(some_file=source)

    assert found() == [(name, "active", "")]


@pytest.mark.parametrize(
    ("source", "name", "reason"),
    [
        ("def broken(:", "acme_file", r"SyntaxError: .*\(acme_file\.py, line 1\)"),
        (b"\x00", "acme_file", r"(SyntaxError|ValueError): .*null bytes.*"),
        (b"\xff\xfe", "acme_file", r"SyntaxError: .*"),
        ("(" * 5_000, "acme_file", r"(SyntaxError|MemoryError|RecursionError): .*"),
        ("", "acme_file", r"it has no class that derives from Integration or has hooks\. .*"),
        ("class Acme: pass", "acme_file", r"it has no class that .* start its name with _"),
        (
            f"{ACME}class Other(Integration):\n{HOOK}",
            "acme_file",
            r"it has several plugins: Acme\w+, Other\. .*",
        ),
        (f"{HEAD}class Acme(Integration): pass", "acme", r"TypeError: Acme has no hooks"),
        (f"{HEAD}class Acme(Integration):\n    def on_log(self, run): pass", "acme", r"TypeError: .* Put @hookimpl .*"),
        (f"{ACME}raise RuntimeError('not today')", "acme", r"RuntimeError: not today"),
        (f"{ACME}import sys; sys.exit(3)", "acme", r"SystemExit: 3"),
        (f"{ACME}import refunc_nowhere", "acme", r"ModuleNotFoundError: No module named 'refunc_nowhere'"),
        (f"{ACME}AcmeIntegration = 5", "acme", r"TypeError: AcmeIntegration has no hooks"),
    ],
)
def test_a_broken_file_costs_nothing_but_itself(
    source: str | bytes, name: str, reason: str, drop: Drop, match: Callable[[str, str], None]
) -> None:
    fine = ACME.replace("Acme", "Fine")
    drop(acme_file=source, fine=fine)

    (broken, state, said), other = found()

    assert (broken, state) == (name, "broken")
    match(reason, said)
    assert other == ("fine", "active", "")
    with pytest.raises(ConfigurationError, match=rf"{name}: plugins.acme_file\.py cannot be imported: "):
        setup_logging(integrations={name: {}})


@pytest.fixture
def match() -> Callable[[str, str], None]:
    import re

    def match(pattern: str, text: str) -> None:
        assert re.fullmatch(pattern, text, re.DOTALL), text

    return match


def test_whatever_else_is_named_is_told(drop: Drop, own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_folder / "empty").mkdir()
    (own_folder / "notes.txt").touch()
    single = drop(acme=ACME, _part="raise RuntimeError") / "acme.py"
    monkeypatch.setenv(files.VARIABLE, os.pathsep.join(["gone", "empty", "", "notes.txt", str(single), str(single)]))

    assert [(name, state) for name, state, _ in found()] == [
        ("gone", "broken"),
        ("empty", "broken"),
        ("notes", "broken"),
        ("acme", "active"),
    ]
    reasons = [reason for _, _, reason in found()]
    assert reasons[0].startswith("no such file or folder")
    assert reasons[1].startswith("this folder, which REFUNC_PLUGIN_PATH names, has no plugin file")
    assert reasons[2] == "it is not a Python file NAME.py"


def test_of_two_with_one_name_the_first_has_it_and_the_other_is_told(drop: Drop, install: Callable[..., Path]) -> None:
    install("fine")
    fine = ACME.replace("Acme", "Fine").replace("default=1", "default=99")
    drop(
        a=ACME,
        b=ACME.replace("default=1", "default=99"),
        c=fine,
        d=fine.replace("    level", "    name = 'd'\n    level"),
    )

    states = found()

    end = ". Choose another one for this class"
    assert states == [
        ("acme", "active", ""),
        ("acme", "broken", f"the name 'acme' is taken by plugins{os.sep}a.py{end}"),
        ("fine", "broken", f"the name 'fine' is taken by plug-fine{end}"),
        ("d", "broken", f"the class name 'FineIntegration' is taken by plug-fine{end}"),
    ]
    assert [setup_logging(integrations={name: {}}).integrations[0].level for name in ("acme", "fine")] == [1, 1]
    assert refunc.logging.FineIntegration().level == 1  # type: ignore[attr-defined]
    setup_logging()


def test_a_class_that_is_in_a_broken_file_says_why_it_is_not_found(drop: Drop) -> None:
    drop(acme="def broken(:")

    with pytest.raises(ImportError, match=r"no plugin has a class AcmeIntegration\. plugins.acme\.py: SyntaxError"):
        from refunc.logging import AcmeIntegration  # type: ignore[attr-defined]  # noqa: F401
    assert not hasattr(refunc.logging, "acme")


def test_a_journal_leads_to_no_file_but_those_that_the_environment_names(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drop(acme=ACME, _secret=f"raise SystemExit\n{ACME}")
    passport = passport_of(setup_logging(integrations={"acme": {"level": 3}}).integrations[0])
    setup_logging()
    written = passport.for_journal()
    assert str(folder) not in json.dumps(written)

    def made(**changes: str) -> Any:
        fields = {**written, **changes}
        return remake(Passport(public=fields["options"], **fields))

    assert made().level == 3
    for path in ("refunc_plugin_secret:AcmeIntegration", "refunc_plugin_acme:option", "refunc_plugin_os:system"):
        with pytest.raises(ConfigurationError, match="of a file that REFUNC_PLUGIN_PATH does not name"):
            made(path=path)
    monkeypatch.delenv(files.VARIABLE)
    with pytest.raises(
        ConfigurationError,
        match=r"AcmeIntegration is the plugin 'acme' of a file that REFUNC_PLUGIN_PATH does not name\..*--plugins-dir",
    ):
        made()


def test_the_script_that_runs_is_not_run_again_and_broken_files_are_told_by_their_names(
    drop: Drop, finished: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(acme=ACME, torn="def broken(:")
    monkeypatch.setenv(files.VARIABLE, os.pathsep.join([".", "plugins"]))

    code, out, err = finished(
        f"""
        from refunc.logging import auto_configure_integrations
        {HEAD.strip()}
        class Printer:
            @hookimpl
            def on_log(self, run, records): pass
        log.add_integrations(auto_configure_integrations())
        log.log_metrics({{"a": 1}})
        print("trained")
    """,
        REFUNC_PLUGINS="acme,torn,script0,probes",
    )

    assert (code, out) == (0, "trained\n"), err
    assert "script0.py: it is the running script. Move the class to a file of its own" in err
    assert f"plugins{os.sep}torn.py: SyntaxError: " in err
    assert "delivering to acme" in err


@pytest.mark.parametrize("how", ["", "thread"])
def test_its_class_travels_to_the_delivery_process(
    how: str, drop: Drop, script: Callable[..., Any], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its file: neither the working folder nor the environment need be as before."""
    drop(
        writer="from __future__ import annotations\nimport os\nfrom pathlib import Path\n" + HEAD + "OUT = 'said.txt'\n"
        "class WriterIntegration(Integration):\n    folder: str = option()\n    @hookimpl\n"
        "    def on_metrics(self, run, records):\n"
        "        with open(Path(self.folder, OUT), 'a') as file: file.write(f'{os.getpid()} {len(records)}\\n')\n"
    )
    monkeypatch.setenv(files.VARIABLE, "plugins")
    monkeypatch.setenv("REFUNC_DELIVERY", how)

    done = script(
        f"""
        from refunc.logging import WriterIntegration
        log.add_integration(WriterIntegration(folder={str(own_folder)!r}))
        (os.environ.pop("REFUNC_PLUGIN_PATH"), os.mkdir("elsewhere"), os.chdir("elsewhere"))
        with experiment_context("exp", "live"):
            log.log_metrics({{"a": 1}})
        print(os.getpid())
    """
    )
    out, err = done.communicate(timeout=60)

    pid, count = (own_folder / "said.txt").read_text().split()
    assert (count, pid == out.split()[-1]) == ("1", how == "thread"), err
