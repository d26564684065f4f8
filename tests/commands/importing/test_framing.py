"""Files of messages with checksums: read whole where they are, and around damaged parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.commands.importing.framed import event, wandb_file

from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.framing import masked_crc32c, read_events, read_wandb
from refunc_commands.importing.wire import Message, WireError

pytestmark = pytest.mark.once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_the_checksum_is_that_of_tfrecords() -> None:
    """The CRC-32C of 32 zero bytes and of these digits are given in RFC 3720 and in the tables of CRCs."""
    unmasked = [((masked_crc32c(data) - 0xA282EAD8) & 0xFFFFFFFF) for data in (bytes(32), b"123456789")]

    assert [((crc << 15) | (crc >> 17)) & 0xFFFFFFFF for crc in unmasked] == [0x8A9136AA, 0xE3069283]


def test_events_are_read_around_damage(path: Path) -> None:
    whole = [event(b"one"), event(b"two"), event(b"three")]
    damaged = whole[1].replace(b"two", b"tWo")
    path.write_bytes(whole[0] + damaged + whole[2] + whole[0][:-1])
    problems: list[str] = []

    assert list(read_events(SourceFiles(path), path, problems.append)) == [b"one", b"three"]
    assert problems == ["an event fails its checksum", "the file ends in the middle of an event"]


def test_a_length_that_was_made_up_costs_no_memory(path: Path) -> None:
    path.write_bytes(event(b"one") + b"\xff" * 40)
    problems: list[str] = []

    assert list(read_events(SourceFiles(path), path, problems.append)) == [b"one"]
    assert problems == ["a length fails its checksum; the 28 bytes after it are lost"]


@given(st.lists(st.binary(max_size=100) | st.integers(0, 100_000).map(bytes), max_size=20))
def test_records_of_wandb_come_back_across_blocks(tmp_path_factory: pytest.TempPathFactory, data: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("wandb") / "run.wandb"
    path.write_bytes(wandb_file(*data))
    problems: list[str] = []

    assert list(read_wandb(SourceFiles(path), path, problems.append)) == data
    assert problems == []


def test_a_torn_file_of_wandb_gives_what_is_whole(path: Path) -> None:
    path.write_bytes(wandb_file(b"one", b"two" * 20_000)[:-5])
    problems: list[str] = []

    assert list(read_wandb(SourceFiles(path), path, problems.append)) == [b"one"]
    assert problems == ["the file ends in the middle of a record"]


def test_a_damaged_block_costs_no_other(path: Path) -> None:
    records = [bytes([n]) * 1_000 for n in range(1, 100)]
    data = bytearray(wandb_file(*records))
    data[40_000] ^= 0xFF
    path.write_bytes(data)
    problems: list[str] = []

    found = list(read_wandb(SourceFiles(path), path, problems.append))

    assert problems == ["a block fails its checksum"]
    assert found == [record for record in records if record in found]
    assert found[0] == records[0]
    assert found[-1] == records[-1]
    assert len(found) >= 60


def test_what_is_no_file_of_wandb_is_refused(path: Path) -> None:
    path.write_bytes(b"something else")

    with pytest.raises(ValueError, match="does not begin like a file of W&B"):
        list(read_wandb(SourceFiles(path), path, print))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_wire_error(data: bytes) -> None:
    try:
        message = Message(data)
        for number in range(20):
            message.integer(number), message.zigzag(number), message.text(number)
            for read in (message.double, message.float, message.message):
                try:
                    read(number)
                except WireError:
                    continue
    except WireError:
        return
