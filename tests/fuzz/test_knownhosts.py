"""Keys of servers and lines from anywhere: what is not whole counts for nothing, and what is written reads back."""

from __future__ import annotations

import base64
import hashlib
import struct
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.model import HOST_KEY_POLICIES
from hostshell.ssh.failures import ConnectFailed
from hostshell.ssh.hostkeys import algorithm_order, decide
from hostshell.ssh.keystore import KeyNotSaved, KeyStore
from hostshell.ssh.knownhosts import HostKey, known_name, parse
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort


def key(number: int) -> HostKey:
    blob = struct.pack(">I11sI32s", 11, b"ssh-ed25519", 32, hashlib.sha256(b"%d" % number).digest())
    return HostKey("ssh-ed25519", base64.b64encode(blob).decode())


KEYS = [key(number) for number in range(3)]
NAMES = ["h1", "[h1]:2222", "h*", "!h1,*", "|1|AAAA|BBBB", "10.0.0.1", "*", "h2,h1", "[::1]:22"]
LINES = st.builds(
    lambda marker, name, which, comment: f"{marker}{name} {KEYS[which]}{comment}".encode(),
    st.sampled_from(["", "", "", "@revoked ", "@cert-authority ", "@x "]),
    st.sampled_from(NAMES),
    st.integers(0, 2),
    st.sampled_from(["", " comment", "\r", "\t\xff"]),
)
TORN = st.builds(
    lambda at, junk: f"h1 {KEYS[0].type} {KEYS[0].blob[:at]}{junk}{KEYS[0].blob[at:]}".encode(),
    st.integers(1, 60),
    st.sampled_from(["!", "-", "\x00", "=", "\xe9", ","]),
)
FILES = st.lists(LINES | TORN | LINES.flatmap(damaged) | st.binary(max_size=20), max_size=6).map(b"\n".join)
# what a server can show as its key: any type and any blob, and what is nearly one
OFFERED = (
    st.sampled_from(KEYS)
    | st.builds(HostKey, st.text(max_size=12), st.binary(max_size=40).map(lambda blob: base64.b64encode(blob).decode()))
    | st.builds(
        lambda blob: HostKey("ssh-ed25519", base64.b64encode(blob).decode()),
        damaged(base64.b64decode(KEYS[0].blob)),
    )
)
ADDRESSES = st.sampled_from(["h1", "H1", "10.0.0.1", "::1", "h2"]) | st.text(max_size=8)


@effort(200)
@given(FILES, ADDRESSES, st.sampled_from([22, 2222]), OFFERED, st.sampled_from(HOST_KEY_POLICIES))
def test_a_key_is_trusted_only_where_a_whole_line_holds_it(
    data: bytes, address: str, port: int, offered: HostKey, policy: str
) -> None:
    known = parse(data).lookup(address, port)
    decision = decide(policy, known, offered)
    if decision.verdict == "trusted":
        assert f" {offered}".encode() in data.replace(b"\t", b" ") or offered.type == "ssh-rsa"
        assert any(entry.key == offered for entry in (*known.entries, *known.plain))
    if any(entry.key == offered for entry in known.revoked):
        assert decision.verdict == "revoked"
    assert (decision.failure is None) == (decision.verdict in ("trusted", "new", "learn"))
    if decision.failure is not None:
        for sentence in (decision.failure.message, decision.failure.hint):
            assert "\n" not in clean(sentence) and len(sentence) < 5000
    for entry in (*known.entries, *known.plain, *known.revoked, *known.authorities):
        assert entry.key.fingerprint.startswith("SHA256:")
        assert entry.key.line("h1", 22)  # a key that was read can be written
    assert sorted(algorithm_order(known, ["ssh-ed25519", "rsa-sha2-512"])) == ["rsa-sha2-512", "ssh-ed25519"]


@effort(200)
@given(ADDRESSES, st.integers(0, 65535), OFFERED)
def test_a_line_that_is_written_says_that_key_for_that_endpoint_and_nothing_else(
    address: str, port: int, offered: HostKey
) -> None:
    try:
        line = offered.line(address, port)
    except ValueError:
        return
    assert "\n" not in line and "\r" not in line
    assert parse(line).lookup(address, port).keys == (offered,)
    for other in ("h3", "10.0.0.2"):
        if known_name(other, port) != known_name(address, port):
            assert parse(line).lookup(other, port).keys == ()


@effort(60)
@given(FILES, ADDRESSES, st.sampled_from([22, 2222]), OFFERED)
def test_learning_adds_one_line_at_the_end_and_changes_no_byte_before_it(
    data: bytes, address: str, port: int, offered: HostKey
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "known_hosts")
        path.write_bytes(data)
        store = KeyStore([str(path)], str(path))
        before = decide("accept-new", store.lookup(address, port), offered).verdict
        try:
            store.learn(address, port, offered)
        except KeyNotSaved:  # what cannot stand in a line
            assert path.read_bytes() == data
            return
        except ConnectFailed:
            assert before in ("changed", "revoked")
            assert path.read_bytes() == data
            return
        after = path.read_bytes()
        if before == "trusted":
            assert after == data
            return
        added = after.removeprefix(data)
        assert after.startswith(data) and added.strip(b"\n") == offered.line(address, port).encode()
        for each in (store, KeyStore([str(path)], str(path))):
            assert decide("strict", each.lookup(address, port), offered).verdict == "trusted"


@effort(60)
@given(st.lists(st.tuples(st.sampled_from(["append", "replace"]), FILES), max_size=4))
def test_a_file_that_changes_is_read_as_if_for_the_first_time(changes: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "known_hosts")
        store = KeyStore([str(path)], str(path))
        for how, data in changes:
            with path.open("ab" if how == "append" else "wb") as file:
                file.write(data)
            if how == "replace":  # what has the same size and the same time as before is taken for the same
                replaced = path.with_name("new")
                replaced.write_bytes(data)
                replaced.replace(path)
            for address in ("h1", "10.0.0.1"):
                assert store.lookup(address, 2222) == parse(path.read_bytes(), str(path)).lookup(address, 2222)
