"""One record as one sealed line: it is read back as it was written, and a damaged line is no record."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.journal import codec
from refunc.journal.codec import decode_line, encode_line, seal

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=("Cs",)))
)
_KEYS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.sampled_from(
    ["/", "~", "~1", "a/b", "0", ""]
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=20
)


def strict(line: bytes) -> Any:
    """Parse *line* as any strict reader of JSON does."""

    def refuse(name: str) -> Any:
        raise ValueError(name)

    return json.loads(line, parse_constant=refuse)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, with NaN equal to itself, and 1, 1.0 and True not to one another."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


@given(st.dictionaries(st.sampled_from(["metrics", "extra", "message"]), _VALUES, min_size=1))
def test_every_value_survives_the_round_trip(fields: dict[str, Any]) -> None:
    line = encode_line(fields)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    strict(line)
    assert same(decode_line(line[:-1]), fields)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["loss", "a/b", "~", "", "x~1y/0"])
def test_a_number_that_json_lacks_is_null_and_named_beside_it(name: str, value: float) -> None:
    line = encode_line({"metrics": {name: value, "other": 1.5}})

    assert strict(line)["metrics"] == {name: None, "other": 1.5}
    decoded = decode_line(line[:-1])
    assert decoded is not None
    assert same(decoded, {"metrics": {name: value, "other": 1.5}})


def test_a_lone_surrogate_is_spelled_out() -> None:
    """Strict readers refuse its escape, so it stands as its own spelling."""
    line = encode_line({"message": "a\ud800b"})

    assert decode_line(line[:-1]) == {"message": "a\\ud800b"}


@pytest.mark.parametrize("text", ["\u009b31m", "\u202e", "\x7f", "\x1b[0m", "line\nbreak", "\u2028", "\x00", "\x85"])
def test_control_characters_never_stand_raw_in_a_line(text: str) -> None:
    line = encode_line({"message": text})

    assert line.count(b"\n") == 1
    assert line.isascii()
    assert b"\x1b" not in line
    assert b"\x00" not in line
    assert decode_line(line[:-1]) == {"message": text}


def test_no_single_flipped_bit_goes_unnoticed() -> None:
    """In the checksum's own digits too: `A` for `a` is damage as well."""
    line = encode_line({"seq": 7, "time": 1.5, "kind": "metrics", "metrics": {"loss": 0.25, "nan": math.nan}})[:-1]

    for bit in range(len(line) * 8):
        flipped = bytearray(line)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decode_line(bytes(flipped)) is None, bit


def test_no_beginning_of_a_line_is_taken_for_a_record() -> None:
    line = encode_line({"seq": 7, "message": 'quoted "crc":"00000000"} inside'})[:-1]

    assert all(decode_line(line[:length]) is None for length in range(len(line)))


@pytest.mark.parametrize(
    "body",
    [b"[1]", b'"text"', b"7", b"null", b"{", b'{"a":NaN}', b'{"a":1}trailing', b"[" * 100_000, b'{"a":' * 50_000],
)
def test_a_sealed_line_that_is_no_object_is_none(body: bytes) -> None:
    assert decode_line(seal(body)[:-1]) is None


def test_a_number_that_is_too_large_is_recognised_whatever_the_error_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wording of another library is no contract."""

    def decode(text: bytes) -> Any:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise msgspec.DecodeError("worded differently") from None

    monkeypatch.setattr(codec, "_decode", decode)

    assert decode_line(seal(b'{"seq":1,"x":[1e400,-2.5]}')[:-1]) == {"seq": 1, "x": [None, -2.5]}


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":1e400,"y":"\\ud800"}',
        b'{"x":1e400,"y":"\xff"}',
        b'{"x":1e400,"y":NaN}',
        b'{"x":1e400,}',
        '{"x":1e400}'.encode("utf-16-le"),
        '{"x":"\ud800"}'.encode("utf-8", "surrogatepass"),
    ],
)
def test_a_number_that_is_too_large_hides_no_other_fault(body: bytes) -> None:
    assert decode_line(seal(body)[:-1]) is None


@pytest.mark.parametrize(
    "pointers",
    [
        *({"/metrics/none": "NaN"}, {"": "NaN"}, {"/metrics/0/1": "NaN"}, {"x": "NaN"}, {"/metrics/loss": "what"}),
        *({"/metrics/acc": "NaN"}, {"/steps/1": "NaN"}),
    ],
)
def test_a_pointer_to_nowhere_harms_nothing(pointers: dict[str, str]) -> None:
    fields = {"metrics": {"loss": None, "acc": 1.5}, "steps": [None, 2]}
    line = encode_line({**fields, "nonfinite": pointers})

    assert decode_line(line[:-1]) == fields


@pytest.mark.parametrize("pointers", [[1], "text", 7, {"/metrics/loss": ["NaN"]}, {"/metrics/loss": None}])
def test_a_forged_nonfinite_member_raises_nothing(pointers: Any) -> None:
    """Anybody can compute a checksum."""
    body = json.dumps({"metrics": {"loss": None}, "nonfinite": pointers}).encode()

    decoded = decode_line(seal(body)[:-1])
    assert decoded is None or decoded["metrics"]["loss"] is None


def test_random_bytes_are_no_record() -> None:
    seed = 77
    chance = random.Random(seed)
    for _ in range(2_000):
        assert decode_line(chance.randbytes(chance.randrange(200))) is None, seed
