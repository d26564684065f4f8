"""Options: where a value comes from, which values are refused and how, and that a secret shows nowhere."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest

from refunc.plugins import ConfigurationError, Integration, NotConfigured, hookimpl, option
from refunc.plugins.integration import build, passport_of
from refunc.plugins.naming import name_of
from refunc.plugins.options import check_url


class SampleIntegration(Integration):
    token: str = option(env="SAMPLE_TOKEN", secret=True)
    port: int = option(default=8000, env="SAMPLE_PORT")
    ratio: float = option(default=0.5)
    on: bool = option(default=True, env="SAMPLE_ON")
    tags: list[str] | None = option(default=None, env="SAMPLE_TAGS")
    mode: Literal["a", "b"] = option(default="a")
    config: dict[str, Any] = option(default={})

    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        """Take lines."""


def test_a_value_comes_from_the_caller_else_the_environment_else_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_TOKEN", "from-env")
    monkeypatch.setenv("SAMPLE_PORT", "81")
    monkeypatch.setenv("SAMPLE_ON", "no")
    monkeypatch.setenv("SAMPLE_TAGS", "a, b")

    made = SampleIntegration(port=9)

    assert (made.token, made.port, made.ratio, made.on, made.tags) == ("from-env", 9, 0.5, False, ["a", "b"])


def test_a_default_that_can_change_is_nobody_elses() -> None:
    one, other = SampleIntegration(token="t"), SampleIntegration(token="t")
    one.config["x"] = 1

    assert other.config == {}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "sample: token is not set. Pass SampleIntegration(token=...) or set SAMPLE_TOKEN."),
        ({"token": 5}, "sample: token is ***. Expected: text."),
        ({"token": "t", "port": "8"}, "sample: port is '8'. Expected: a whole number."),
        ({"token": "t", "port": True}, "sample: port is True. Expected: a whole number."),
        ({"token": "t", "ratio": "x"}, "sample: ratio is 'x'. Expected: a number."),
        ({"token": "t", "on": 1}, "sample: on is 1. Expected: True or False."),
        ({"token": "t", "tags": "a"}, "sample: tags is 'a'. Expected: a list of text or None."),
        ({"token": "t", "mode": "c"}, "sample: mode is 'c'. Expected: 'a' or 'b'."),
        ({"token": "t", "prt": 1}, "sample: unknown option 'prt'. Did you mean port? Options: "),
    ],
)
def test_a_mistake_names_plugin_option_and_what_is_expected(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SampleIntegration.from_mapping(options)

    assert str(caught.value).startswith(text)
    assert caught.value.__cause__ is None  # cattrs' own error may quote a secret


def test_a_wrong_value_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_PORT", "eighty")

    with pytest.raises(ConfigurationError, match=r"sample: port is 'eighty' \(from SAMPLE_PORT\)"):
        SampleIntegration(token="t")


def test_what_is_not_set_is_not_configured_and_all_else_is_wrong() -> None:
    with pytest.raises(NotConfigured):
        SampleIntegration()
    with pytest.raises(ConfigurationError) as caught:
        SampleIntegration(token="t", port="8")  # type: ignore[arg-type]
    assert not isinstance(caught.value, NotConfigured)


def test_options_have_to_be_a_mapping() -> None:
    with pytest.raises(ConfigurationError, match="sample: its options are 'x'"):
        build(SampleIntegration, "sample", "x")  # type: ignore[arg-type]


def test_secrets_are_in_no_repr_and_no_journal() -> None:
    made = SampleIntegration(token="hunter2", config={"uri": "https://user:hunter2@host/"})
    passport = passport_of(made)

    assert "hunter2" not in repr(made).replace("https://user:hunter2@host/", "")
    assert "hunter2" not in str(passport.public)
    assert passport.options is not None
    assert passport.options["token"] == "hunter2"


def test_another_target_has_another_key_and_the_same_one_the_same() -> None:
    one = passport_of(SampleIntegration(token="t"))

    assert one.key == passport_of(SampleIntegration(token="t")).key
    assert one.key != passport_of(SampleIntegration(token="other")).key
    assert one.key != passport_of(SampleIntegration(token="t", port=1)).key


class Plain:
    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        """Take lines."""


class Keeper:
    """An object as any script may have one: its state is in no option."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: list[Any] = []

    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        """Take lines."""


def stay_here() -> list[tuple[object, object]]:
    """Give pairs of integrations that cannot travel, and that are not the same."""

    def local() -> type:
        class Local(Integration):
            @hookimpl
            def on_log(self, run: Any, records: Any) -> None:
                """Take lines."""

        return Local

    class Calls(Integration):
        call: Any = option(default=None)

        @hookimpl
        def on_log(self, run: Any, records: Any) -> None:
            """Take lines."""

    with_state = Plain(), Plain()
    for each in with_state:
        each.kept = []  # type: ignore[attr-defined]
    return [
        (Keeper(), Keeper()),
        with_state,
        (local()(), local()()),  # as a notebook's cell that was run again
        (Calls(call=lambda: 1), Calls(call=lambda: 2)),
    ]


@pytest.mark.parametrize("number", range(4), ids=["slots", "attributes", "class again", "callable option"])
def test_another_object_that_stays_in_this_process_is_another_target(number: int) -> None:
    """Its state may be anything: taken for the first one, the second would get nothing, without a word."""
    one, other = stay_here()[number]
    first, second = passport_of(one).key, passport_of(other).key

    assert (first, second) == (passport_of(one).key, passport_of(other).key)
    assert second != first


class Named(Integration):
    name: ClassVar[str] = "Some Name"

    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        """Take lines."""


def test_names_come_from_the_class() -> None:
    assert name_of(SampleIntegration(token="t")) == "sample"
    assert name_of(Plain()) == "plain"
    assert name_of(Named()) == "some-name"


def test_a_plain_object_travels_if_nothing_is_in_it() -> None:
    full = Plain()
    full.handle = open  # type: ignore[attr-defined]

    assert passport_of(Plain()).options == {}
    assert passport_of(full).options is None


def test_a_class_that_no_other_process_can_import_does_not_travel() -> None:
    class Local(Integration):
        @hookimpl
        def on_log(self, run: Any, records: Any) -> None:
            """Take lines."""

    assert passport_of(Local()).options is None


@pytest.mark.parametrize("value", ["", "hooks", "ftp://host", "https://", "https://host:99999", "https://[::1"])
def test_a_malformed_address_is_refused_and_a_secret_one_not_shown(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"slack: url is .*Expected: http://host or https://host"):
        check_url("slack", "url", value, ("http", "https"))
    with pytest.raises(ConfigurationError) as caught:
        check_url("slack", "url", f"{value}hunter2", ("gopher",), secret=True)
    assert "hunter2" not in str(caught.value)


def test_a_good_address_passes() -> None:
    check_url("slack", "url", "https://hooks.slack.com/...", ("http", "https"))


class ServerIntegration(Integration):
    server: str = option(default="", env="SAMPLE_SERVER")
    headers: dict[str, Any] | None = option(default=None)
    credentials: dict[str, Any] | None = option(default=None)
    notes: list[str] = option(default=[])

    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        """Take lines."""


@pytest.mark.parametrize(
    ("given", "public", "withheld"),
    [
        ({"server": "https://host/x?version=2"}, {"server": "https://host/x?version=2"}, ()),
        ({"server": "https://host/?token=c0rrect-h0rse1"}, {}, ("server",)),
        ({"server": "host=h password=c0rrect-h0rse1"}, {}, ("server",)),
        ({"server": "ghp_" + "a1" * 18}, {}, ("server",)),
        ({"credentials": {"user": "ada", "key": "c0rrect-h0rse1"}}, {}, ("credentials",)),
        (
            {"headers": {"Authorization": "Bearer c0rrect-h0rse1", "Accept": "text/html"}},
            {"headers": {"Authorization": "***", "Accept": "text/html"}},
            (),
        ),
        ({"headers": {"deep": [{"api_key": "c0rrect-h0rse1"}]}}, {"headers": {"deep": [{"api_key": "***"}]}}, ()),
        ({"notes": ["a", "password=c0rrect-h0rse1"]}, {"notes": ["a", "password=***"]}, ()),
    ],
)
def test_a_secret_in_an_option_that_is_not_declared_as_one_is_in_no_journal(
    given: dict[str, Any], public: dict[str, Any], withheld: tuple[str, ...]
) -> None:
    passport = passport_of(ServerIntegration(**given))

    assert {name: value for name, value in passport.for_journal()["options"].items() if value} == public
    assert passport.withheld == withheld
    assert passport.options is not None
    assert passport.options.items() >= given.items()  # the training's own process has it through the pipe


def test_an_error_about_an_option_quotes_no_secret_in_it() -> None:
    with pytest.raises(ConfigurationError, match=r"server is \['password=\*\*\*'\]"):
        ServerIntegration(server=["password=c0rrect-h0rse1"])  # type: ignore[arg-type]
