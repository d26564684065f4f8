"""`refunc plugins`: every installed plugin with its state and the reason, its options, and no secret."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.plugins import discovery

pytestmark = pytest.mark.extras

Install = Callable[..., Path]

HOSTILE = "[bold red]x[/] :smile: \\x1b[31m\\u202e\\ttab\\nline"
HEAD = "import os, sys\nfrom refunc.plugins import Integration, NotConfigured, hookimpl, option\n"
HOOK = "    @hookimpl\n    def on_log(self, run, records): pass\n"


def plugin(name: str, body: str) -> dict[str, str]:
    """Return, as `install` takes it, the module of a plugin called *name* whose class has *body*."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return {name: f"{HEAD}class {name.title()}Integration(Integration):\n{lines}{HOOK}"}


def facts(invoke: Any) -> dict[str, dict[str, Any]]:
    """Return the facts of `--json`, by the plugins' names; other plugins may be installed beside the test's own."""
    result = invoke("plugins", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert len({each["name"] for each in found}) == len(found)
    return {each["name"]: each for each in found}


def lines_of(invoke: Any, name: str) -> list[str]:
    """Return the lines about the plugin *name*: its own, and those of its options."""
    result = invoke("plugins")
    assert result.exit_code == 0
    found = re.search(rf"^{name}  .*\n(?:    .*\n)*", result.stdout, re.MULTILINE)
    assert found is not None, result.stdout
    return found[0].splitlines()


def test_each_state_stands_in_a_line_with_its_reason(
    invoke: Any, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("fine", "needy", "raiser", "quitter", "bomb", "empty")
    monkeypatch.setenv("REFUNC_PLUGINS", "-fine")
    assert lines_of(invoke, "fine")[0] == "fine  plug-fine 1.0  blocked  REFUNC_PLUGINS='-fine'"
    monkeypatch.delenv("REFUNC_PLUGINS")

    result = invoke("plugins")

    why = "needy: key is not set. Pass NeedyIntegration(key=...) or set NEEDY_KEY."
    assert {
        "fine  plug-fine 1.0  active",
        f"needy  plug-needy 1.0  not configured  {why}",
        "raiser  plug-raiser 1.0  broken  RuntimeError: not today",
        "quitter  plug-quitter 1.0  broken  SystemExit: 3",
        "bomb  plug-bomb 1.0  broken  OSError: boom",
        "empty  plug-empty 1.0  broken  EmptyIntegration has no hooks",
    } <= set(result.stdout.splitlines())
    assert (result.exit_code, result.stderr) == (0, "")
    names = [line.split()[0] for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert names == sorted(names)


def test_options_stand_below_with_type_variable_and_help(invoke: Any, install: Install) -> None:
    install(
        **plugin(
            "opted",
            """url: str = option(env="OPTED_URL", help="Where to.")
tags: list[str] | None = option(default=None)
token: str | None = option(default="hunter2", env="OPTED_TOKEN", secret=True, help="A token.")""",
        )
    )

    assert lines_of(invoke, "opted")[1:] == [
        "    url: text, required  (OPTED_URL)  Where to.",
        "    tags: a list of text or None, default None",
        "    token: text or None, secret, default '***'  (OPTED_TOKEN)  A token.",
    ]


def test_json_has_stable_keys(invoke: Any, install: Install) -> None:
    install("needy", "raiser")

    found = facts(invoke)

    assert found["needy"] == {
        "name": "needy",
        "distribution": "plug-needy",
        "version": "1.0",
        "state": "not configured",
        "reason": "needy: key is not set. Pass NeedyIntegration(key=...) or set NEEDY_KEY.",
        "target": "",
        "class": "NeedyIntegration",
        "hooks": ["on_log"],
        "options": [
            {
                "name": "key",
                "type": "text",
                "env": "NEEDY_KEY",
                "required": True,
                "secret": False,
                "default": None,
                "help": "",
            }
        ],
    }
    assert list(found["raiser"]) == list(found["needy"])
    assert (found["raiser"]["hooks"], found["raiser"]["options"]) == ([], [])


def test_an_active_plugin_says_where_it_delivers_to_and_connects_to_nothing(
    invoke: Any, install: Install, own_folder: Path
) -> None:
    install(
        **plugin(
            "aimed",
            """host: str = option(default="tracker.example")
def open(self): open("opened", "w").close()
@property
def target(self): return f"aimed {self.host}" """,
        )
    )

    assert lines_of(invoke, "aimed")[0] == "aimed  plug-aimed 1.0  active  aimed tracker.example"
    assert facts(invoke)["aimed"]["target"] == "aimed tracker.example"
    assert not (own_folder / "opened").exists()


@pytest.mark.parametrize(
    ("value", "states"),
    [
        (None, ("active", "active")),
        ("fine", ("active", "blocked")),
        ("-fine", ("blocked", "active")),
        ("fine, needy", ("active", "active")),
        ("fine,-fine", ("blocked", "blocked")),
        ("-fine,-needy", ("blocked", "blocked")),
        ("nobody", ("blocked", "blocked")),
        ("-nobody", ("active", "active")),
        ("", ("blocked", "blocked")),
        (" , ", ("blocked", "blocked")),
    ],
)
def test_the_environment_chooses(
    value: str | None, states: tuple[str, str], invoke: Any, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("fine", "needy")
    monkeypatch.setenv("NEEDY_KEY", "k")
    if value is not None:
        monkeypatch.setenv("REFUNC_PLUGINS", value)

    found = facts(invoke)

    assert (found["fine"]["state"], found["needy"]["state"]) == states
    blocked = {each["reason"] for each in found.values() if each["state"] == "blocked"}
    assert blocked <= {f"REFUNC_PLUGINS={value!r}"}
    # The options of a blocked plugin are shown all the same: that is how a user finds them.
    assert [option["env"] for option in found["needy"]["options"]] == ["NEEDY_KEY"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", r"AttributeError: module 'plug_odd' has no attribute 'OddIntegration'"),
        ("OddIntegration = 5", r"OddIntegration has no hooks"),
        ("def OddIntegration(): pass", r"OddIntegration has no hooks"),
        ("import refunc_nowhere", r"ModuleNotFoundError: No module named 'refunc_nowhere'"),
        ("def broken(:", r"SyntaxError: .*"),
        ("raise BaseException('odd')", r"BaseException: odd"),
        (
            f"{HEAD}class OddIntegration:\n    @hookimpl\n    def on_logs(self, run): pass",
            r"TypeError: OddIntegration.on_logs is marked as a hook, but there is no hook of this name\. Hooks: .*",
        ),
        (
            f"{HEAD}class OddIntegration:\n    def __init__(self, needed): pass\n{HOOK}",
            r"TypeError: .*missing 1 required positional argument: 'needed'",
        ),
    ],
)
def test_a_broken_plugin_costs_its_own_line_only(source: str, reason: str, invoke: Any, install: Install) -> None:
    install("fine", odd=source)

    found = facts(invoke)

    assert found["odd"]["state"] == "broken"
    assert re.fullmatch(reason, found["odd"]["reason"])
    assert found["fine"]["state"] == "active"
    assert lines_of(invoke, "odd")[0].startswith("odd  plug-odd 1.0  broken  ")


def test_a_target_that_raises_costs_only_itself(invoke: Any, install: Install) -> None:
    install("fine", **plugin("lost", '@property\ndef target(self): raise RuntimeError("where?")'))

    found = facts(invoke)

    assert (found["lost"]["state"], found["fine"]["state"]) == ("active", "active")
    assert found["lost"]["target"] == "its target is unknown: RuntimeError"


@pytest.mark.parametrize("metadata", [None, "", "Metadata-Version: 2.1\n"])
def test_a_distribution_that_is_half_removed_hides_no_other(
    metadata: str | None, invoke: Any, install: Install
) -> None:
    path = install("fine", "empty") / "plug_empty-1.0.dist-info" / "METADATA"
    path.unlink() if metadata is None else path.write_text(metadata)

    found = facts(invoke)

    assert found["fine"]["state"] == "active"
    assert (found["empty"]["distribution"], found["empty"]["version"]) == ("?", "?")


def test_one_distribution_found_twice_is_listed_once(
    invoke: Any, install: Install, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an editable install with an egg-info beside it, or lib64 linked to lib."""
    site = install("fine")
    (own_folder / "again").symlink_to(site)
    monkeypatch.syspath_prepend(str(own_folder / "again"))

    lines = [line for line in invoke("plugins").stdout.splitlines() if line.startswith("fine ")]

    assert lines == ["fine  plug-fine 1.0  active"]


def test_without_any_plugin_it_says_how_to_get_one(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "GROUP", "refunc.integrations.of.nobody")
    discovery.installed.cache_clear()

    result, as_json = invoke("plugins"), invoke("plugins", "--json")
    discovery.installed.cache_clear()

    assert (result.exit_code, result.stdout) == (0, "")
    assert re.fullmatch(
        r"refunc: no plugin is installed\. .*pip install \./refunc-core \./refunc-commands \./refunc-mlflow\n",
        result.stderr,
    )
    assert (as_json.exit_code, json.loads(as_json.stdout), as_json.stderr) == (0, [], "")


# -- texts that must not be in the output -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ("", "active"),
        ('other: str = option(env="SAFE_OTHER")', "not configured"),
        ('def check(self): raise NotConfigured("safe: not today")', "not configured"),
        ('pin: int = option(env="SAFE_TOKEN", secret=True)', "broken"),
        ('def check(self): raise OSError("cannot reach https://user:hunter2@tracker.example/api")', "broken"),
    ],
)
def test_a_secret_is_shown_in_no_state(
    body: str, state: str, invoke: Any, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(**plugin("safe", f'token: str = option(env="SAFE_TOKEN", secret=True)\n{body}'))
    monkeypatch.setenv("SAFE_TOKEN", "hunter2")

    found = facts(invoke)["safe"]

    assert found["state"] == state
    assert found["options"][0]["secret"] is True
    assert "hunter2" not in json.dumps(found) + "".join(lines_of(invoke, "safe"))


def test_what_a_plugin_prints_is_not_in_the_output(invoke: Any, install: Install) -> None:
    [(name, source)] = plugin("noisy", 'def check(self): print("checking", flush=True)').items()
    install(**{name: f"print('imported', flush=True)\n{source}"})

    result = invoke("plugins", "--json")

    assert "noisy" in [each["name"] for each in json.loads(result.stdout)]
    assert result.stderr == "imported\nchecking\n"


def test_what_a_plugin_says_cannot_act_on_the_terminal(invoke: Any, install: Install) -> None:
    body = f"""key: str = option(default="", env="{HOSTILE}", help="{HOSTILE}")
def check(self): raise OSError("{HOSTILE}")"""
    install(**plugin("rude", body))

    first, option = lines_of(invoke, "rude")

    spelled = r"[bold red]x[/] :smile: \x1b[31m\u202e\ttab\nline"
    assert first == f"rude  plug-rude 1.0  broken  OSError: {spelled}"
    assert option == f"    key: text, default ''  ({spelled})  {spelled}"


def test_colour_on_a_terminal_unless_unwanted(in_terminal: Callable[..., str], install: Install) -> None:
    site = str(install("fine", "raiser"))

    colored = in_terminal("plugins", PYTHONPATH=site)
    plain = in_terminal("plugins", PYTHONPATH=site, NO_COLOR="1")

    assert "\x1b[32mactive\x1b[0m" in colored
    assert "\x1b[31mbroken\x1b[0m" in colored
    assert "\x1b" not in plain
    assert "fine  plug-fine 1.0  active\n" in plain


@pytest.mark.parametrize("arguments", [["fine"], ["--nonsense"]])
def test_what_it_does_not_know_is_a_usage_error(arguments: list[str], invoke: Any) -> None:
    result = invoke("plugins", *arguments)

    assert (result.exit_code, result.stdout) == (2, "")


def test_it_needs_no_store(invoke: Any, install: Install) -> None:
    install("fine")

    result = invoke("--store", "nowhere", "plugins")

    assert result.exit_code == 0
    assert "fine  plug-fine 1.0  active" in result.stdout


# -- plugins that are files -------------------------------------------------------------------------------------------


def test_files_of_a_folder_that_the_line_names_are_listed(invoke: Any, own_folder: Path) -> None:
    folder = own_folder / "plugins"
    folder.mkdir()
    for name, body in (("aimed", "host: str = option(default='here')"), ("torn", "def broken(:")):
        (folder / f"{name}.py").write_text(plugin(name, body)[name])

    result = invoke("plugins", "--plugins-dir", "plugins")

    assert "aimed  plugins/aimed.py  active\n    host: text, default 'here'\n" in result.stdout
    assert re.search(
        r"^torn  plugins/torn\.py  broken  SyntaxError: .*\(torn\.py, line 4\)$", result.stdout, re.MULTILINE
    )
    assert "aimed" not in invoke("plugins").stdout
    assert (result.exit_code, invoke("plugins", "--plugins-dir", "gone").exit_code) == (0, 2)


def test_a_run_of_a_plugin_that_is_a_file_is_synced_where_the_line_names_it(
    invoke: Any, waiting: Callable[..., Any], own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_folder / "apart.py").write_text(plugin("apart", "")["apart"])
    with monkeypatch.context() as patch:
        patch.setenv("REFUNC_PLUGIN_PATH", "apart.py")
        integration = discovery.configure("apart", {})
    waiting(integration)

    without, result = invoke("sync"), invoke("sync", "--plugins-dir", "apart.py")

    last = "refunc: apart: name its plugin file with --plugins-dir or in REFUNC_PLUGIN_PATH."
    assert (without.exit_code, without.stderr.splitlines()[-1]) == (1, last)
    assert (result.exit_code, result.stdout.split()[0]) == (0, "done")
