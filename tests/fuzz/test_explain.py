"""What the beginning of a command's output and a server's remarks are taken for, whatever they hold."""

from __future__ import annotations

import socket

import paramiko
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.explain import HEAD, why_it_failed
from hostshell.ssh.link import Link
from hostshell.ssh.packets import REMARK_LIMIT, TEXT_LIMIT
from hostshell.ssh.transport import Transport
from tests.fuzz.damage import damaged
from tests.fuzz.effort import effort

_SAYINGS = [b"This account is currently not available.\n", b'Please login as the user "a" rather than', b""]


@effort(100)
@given(st.none() | st.integers(-1, 2**32), st.sampled_from(_SAYINGS).flatmap(damaged) | st.binary(max_size=HEAD))
def test_a_hint_is_one_of_ours_and_never_the_hosts_own_words(code: int | None, head: bytes) -> None:
    hint = why_it_failed(code, head)
    assert hint == clean(hint)
    assert len(hint) < 200
    assert hint == "" or code


@effort(50)
@given(
    st.lists(
        st.binary(max_size=300) | st.just(b"/home/a/.ssh/authorized_keys:1: key options: command pty"), max_size=40
    )
)
def test_remarks_are_few_and_short_and_a_forced_command_is_found_in_them(said: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = Transport(Link(ours))
        for each in said:
            message = paramiko.Message(b"\x01" + len(each).to_bytes(4, "big") + each)
            transport.packets.look(4, message)  # SSH_MSG_DEBUG
        remarks = transport.packets.remarks
        assert len(remarks) <= REMARK_LIMIT
        assert all(len(each) <= TEXT_LIMIT for each in remarks)
        assert bool(transport.bound_by) == any(
            "command" in each.rpartition("key options:")[2].split() for each in remarks if "key options:" in each
        )
