"""The words of SFTP: any bytes are read or refused, nothing is believed that the packet does not hold."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.ssh.plan import refused_write, remote_reason
from hostshell.ssh.sftpwire import Answer, Attributes, FileSystem, Kind, Reader, SftpError, pack_string
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort

U32 = st.integers(0, 2**32 - 1)
ATTRIBUTES = st.builds(
    lambda size, owner, mode, times: Attributes(size, *owner, mode, *times),
    st.none() | st.integers(0, 2**64 - 1),
    st.just((None, None)) | st.tuples(U32, U32),
    st.none() | U32,
    st.just((None, None)) | st.tuples(U32, U32),
)
_STATUS = struct.pack(">I", 4) + pack_string(b"No \x1b[2Jspace left") + pack_string(b"en")
_LISTED = pack_string(b"name") + pack_string(b"-rw-r--r-- 1 u g 3 name") + Attributes(3, 1, 1, 0o100644, 1, 1).pack()
_EXTENDED = struct.pack(">IQI", 0x80000001, 9, 2) + (pack_string(b"a@b") + pack_string(b"c")) * 2
_DISK = struct.pack(">11Q", *range(11))
PACKETS = st.binary(max_size=100) | st.sampled_from([_STATUS, _LISTED, _EXTENDED, _DISK]).flatmap(damaged)


@effort(100)
@given(ATTRIBUTES)
def test_what_is_packed_is_read_again(found: Attributes) -> None:
    reader = Reader(found.pack())
    assert reader.attributes() == found
    assert reader.left() == 0


@effort(100)
@given(st.integers(), st.integers())
def test_any_time_can_be_packed(atime: int, mtime: int) -> None:
    read = Reader(Attributes(atime=atime, mtime=mtime).pack()).attributes()
    assert (read.atime, read.mtime) == tuple(min(max(time, 0), 2**32 - 1) for time in (atime, mtime))


@effort(300)
@given(PACKETS, st.lists(st.sampled_from(["number", "long", "string", "data", "attributes"]), max_size=6))
def test_any_packet_is_read_within_its_bounds_or_refused(packet: bytes, words: list[str]) -> None:
    reader = Reader(packet)
    left = reader.left()
    for word in words:
        try:
            found = getattr(reader, word)()
        except SftpError as error:
            assert "broke the SFTP protocol" in error.text
            return
        if word in ("string", "data"):
            assert bytes(found) in packet
        assert 0 <= reader.left() <= left
        left = reader.left()


@pytest.mark.parametrize("claimed", [2**32 - 1, 2**31, 2**20])
@pytest.mark.parametrize("word", ["string", "data", "attributes"])
def test_a_length_that_is_only_claimed_allocates_nothing(word: str, claimed: int) -> None:
    start = struct.pack(">I", 0x80000000) if word == "attributes" else b""
    with pytest.raises(SftpError, match="too early"):
        getattr(Reader(start + struct.pack(">I", claimed) + b"xyz"), word)()


@effort(300)
@given(st.integers(0, 255), PACKETS, st.sampled_from([Kind.DATA, Kind.NAME, Kind.ATTRS, Kind.HANDLE, None]))
def test_an_answer_of_any_kind_is_taken_or_refused_in_a_short_clean_sentence(
    kind: int, packet: bytes, wanted: Kind | None
) -> None:
    answer = Answer(1, kind, Reader(packet))
    try:
        if wanted is None:
            answer.settled()
        else:
            answer.expect(wanted)
        assert kind == (Kind.STATUS if wanted is None else wanted)
    except SftpError as error:
        for sentence in (error.text, remote_reason(error), refused_write(error, b"/d", None, 1).reason):
            assert sentence == clean(sentence)
            assert len(sentence) < 2000
        assert isinstance(error.missing, bool)


@effort(100)
@given(PACKETS)
def test_any_state_of_a_disk_is_read_or_refused(packet: bytes) -> None:
    try:
        disk = FileSystem.read(Reader(packet))
    except SftpError:
        return
    assert disk.free >= 0
    assert refused_write(SftpError(4), b"/d", disk, 1).reason
