"""Secrets that an integration was given are masked in every form in which they may stand in a text."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from refunc.values.secrets.given import GivenSecrets


@given(
    value=st.text("abcdefXYZ0123456789+/=_-.%&", min_size=8, max_size=40),
    before=st.binary(max_size=7),
    behind=st.binary(max_size=7),
)
def test_a_secret_that_was_given_is_masked_in_every_form(value: str, before: bytes, behind: bytes) -> None:
    known = GivenSecrets()
    known.remember(value)
    forms = [value, quote(value, safe=""), quote_plus(value)]
    forms += [encode(before + value.encode() + behind).decode() for encode in (b64encode, urlsafe_b64encode)]

    for form in forms:
        text = f"x {form} y"
        assert any(each in text for each in known.values()), (form, known.values())


def test_parts_of_an_address_that_was_given_are_masked_and_its_host_is_not() -> None:
    known = GivenSecrets()
    known.remember("https://ada:sesame%20pass@hooks.example.com/services/T00/B00/xyz")

    for text in (
        "sesame pass",
        "sesame%20pass",
        "POST /services/T00/B00/xyz",
        b64encode(b"ada:sesame%20pass").decode(),
    ):
        assert any(each in text for each in known.values()), text
    assert not any(each in "hooks.example.com" for each in known.values())
    assert not any(each in "ada" for each in known.values())


def test_however_many_secrets_are_given_each_is_masked_with_its_parts() -> None:
    known = GivenSecrets()
    addresses = [f"postgresql://user{n}name:pass%2Fword{n}x@host{n}/database{n}?ssl=require{n}" for n in range(50)]
    tokens = [f"plainslacktoken-{n}" for n in range(500)]
    for value in ("a first token", *addresses, *tokens, *addresses):
        known.remember(value)

    values = known.values()
    assert len(values) == len(set(values)) < 5_000
    assert sorted(values, key=len, reverse=True) == list(values)
    for n in range(50):
        wanted = {addresses[n], f"pass/word{n}x", f"pass%2Fword{n}x", f"user{n}name:pass/word{n}x", f"user{n}name"}
        assert wanted <= set(values), n
    assert {"a first token", *tokens} <= set(values)


def test_the_encoded_forms_of_fifty_addresses_are_masked() -> None:
    known = GivenSecrets()
    for n in range(50):
        known.remember(f"https://user{n}name:open sesame{n}@host/services")

    for n in range(50):
        for form in (
            f"open%20sesame{n}",
            f"open+sesame{n}",
            b64encode(f"user{n}name:open sesame{n}".encode()).decode(),
        ):
            assert any(each in f"x {form} y" for each in known.values()), form


def test_of_an_address_that_is_no_secret_only_the_credentials_are_masked() -> None:
    known = GivenSecrets()
    known.remember_credentials_of("https://ada:sesame-pass@tracker.example.com/api/2.0")

    assert set(known.values()) >= {"ada:sesame-pass", "sesame-pass"}
    assert not any(each in "https://tracker.example.com/api/2.0" for each in known.values())
