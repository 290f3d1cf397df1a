"""paramiko's private names that hostshell/ssh stands on: an upgrade that moves one fails here, with its name."""

from __future__ import annotations

import inspect
import socket
import subprocess
import sys
import zlib

import paramiko
import pytest
from paramiko.auth_handler import AuthHandler
from paramiko.buffered_pipe import BufferedPipe
from paramiko.channel import Channel
from paramiko.common import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
)
from paramiko.packet import Packetizer

from hostshell.ssh.link import Link
from hostshell.ssh.packets import PACKET_LIMIT, Packets
from hostshell.ssh.transport import CIPHERS, DIGESTS, Inflate, Transport


def test_the_pinned_release_is_the_one_that_runs() -> None:
    assert paramiko.__version__.startswith("5.1.")


def test_messages_of_channels_are_dispatched_through_a_table_that_a_subclass_may_replace() -> None:
    assert paramiko.Transport._channel_handler_table[MSG_CHANNEL_REQUEST] is Channel._handle_request
    assert "self._channel_handler_table[ptype](chan, m)" in inspect.getsource(paramiko.Transport.run)
    assert Transport._channel_handler_table is not paramiko.Transport._channel_handler_table
    assert Transport._channel_handler_table.keys() == paramiko.Transport._channel_handler_table.keys()


def test_a_message_can_be_read_again_from_a_place() -> None:
    message = paramiko.Message(b"\x00\x00\x00\x01xrest")
    start = message.packet.tell()
    assert message.get_binary() == b"x"
    message.packet.seek(start)
    assert message.get_binary() == b"x"


def test_a_channel_has_what_we_look_at() -> None:
    channel = Channel(0)
    assert channel.exit_status == -1
    assert not channel.eof_received
    assert isinstance(channel.in_buffer, BufferedPipe)
    assert isinstance(channel.in_stderr_buffer, BufferedPipe)
    assert "self.status_event.set()" in inspect.getsource(Channel._set_closed)
    assert "self.remote_chanid = chanid" in inspect.getsource(Channel._set_remote_channel)


def test_a_buffer_sets_our_bell_when_something_comes_and_when_it_closes() -> None:
    class Bell:
        rung = 0

        def set(self) -> None:
            self.rung += 1

        def clear(self) -> None:
            pass

    bell, pipe = Bell(), BufferedPipe()
    pipe.set_event(bell)
    pipe.feed(b"x")
    assert bell.rung == 1
    pipe.close()
    assert bell.rung == 2


def test_a_pipe_keeps_what_it_was_fed_in_a_buffer_that_a_subclass_may_replace() -> None:
    assert hasattr(BufferedPipe(), "_buffer")
    assert "self._buffer_frombytes(" in inspect.getsource(BufferedPipe.feed)
    for verb in (BufferedPipe.read, BufferedPipe.empty):
        assert "self._buffer_tobytes(" in inspect.getsource(verb)
        assert "del self._buffer[:]" in inspect.getsource(verb)


def test_a_user_message_is_sent_by_the_name_that_we_call() -> None:
    assert list(inspect.signature(Transport._send_user_message).parameters) == ["self", "data"]


def test_a_key_is_offered_by_what_it_says_of_itself() -> None:
    source = inspect.getsource(AuthHandler._get_key_type_and_bits)
    assert 'public_blob := getattr(key, "public_blob", None)' in source
    assert "return key.get_name(), key" in source
    assert "self.private_key.sign_ssh_data(blob, algorithm)" in inspect.getsource(AuthHandler._parse_service_accept)
    assert "MSG_USERAUTH_INFO_REQUEST: self._parse_userauth_info_request" in inspect.getsource(AuthHandler)
    assert list(inspect.signature(AuthHandler._parse_userauth_info_request).parameters) == ["self", "m"]
    assert list(inspect.signature(Transport._send_message).parameters) == ["self", "data"]


def test_the_order_of_host_key_algorithms_and_the_kinds_of_compression_are_ours_to_say() -> None:
    with socket.socketpair()[0] as ours:
        transport = Transport(Link(ours))
        assert any(name.endswith("-cert-v01@openssh.com") for name in transport.preferred_keys)
        transport.host_key_order = ("ssh-ed25519",)
        assert transport.preferred_keys == ("ssh-ed25519",)
        transport.compress()
        assert transport.preferred_compression == ("zlib@openssh.com", "none")
    assert "self.preferred_keys" in inspect.getsource(paramiko.Transport._parse_kex_init)
    assert "self._compression_info[self.remote_compression][1]" in inspect.getsource(paramiko.Transport)
    assert 'self.remote_compression != "zlib@openssh.com" or self.authenticated' in " ".join(
        inspect.getsource(paramiko.Transport._activate_inbound).split()
    )


def test_a_compressed_packet_has_a_bound() -> None:
    inflate = Inflate()
    assert inflate(zlib.compress(b"x" * PACKET_LIMIT)) == b"x" * PACKET_LIMIT
    with pytest.raises(paramiko.SSHException, match="impossible size"):
        Inflate()(zlib.compress(b"x" * (PACKET_LIMIT + 1)))


def test_a_login_attempt_asks_for_the_service_by_the_methods_that_we_override() -> None:
    for attempt in (AuthHandler.auth_password, AuthHandler.auth_publickey, AuthHandler.auth_interactive):
        assert "self._request_auth()" in inspect.getsource(attempt)
    assert list(inspect.signature(AuthHandler._parse_service_accept).parameters) == ["self", "m"]
    assert list(inspect.signature(AuthHandler.wait_for_response).parameters) == ["self", "event"]


def test_every_packet_comes_and_goes_through_the_methods_that_we_override() -> None:
    assert "self.packetizer.read_message()" in inspect.getsource(paramiko.Transport.run)
    assert "self.packetizer.readline(" in inspect.getsource(paramiko.Transport._check_banner)
    reading, writing = inspect.getsource(Packetizer.read_message), inspect.getsource(Packetizer.send_message)
    assert "self.read_all(" in reading
    assert ".recv(" not in reading
    assert "self.write_all(out)" in writing
    assert ".send(" not in writing
    for name in ("read_all", "readline", "write_all", "start_handshake", "handshake_timed_out", "complete_handshake"):
        ours, theirs = getattr(Packets, name), getattr(Packetizer, name)
        assert inspect.signature(ours).parameters.keys() == inspect.signature(theirs).parameters.keys()


def test_a_transport_keeps_what_it_reads_packets_with() -> None:
    assert "self.packetizer = (packetizer_class or Packetizer)(sock)" in inspect.getsource(paramiko.Transport.__init__)


def test_a_session_is_asked_for_as_paramiko_does_it() -> None:
    source = inspect.getsource(paramiko.Transport.open_channel)
    for line in (
        "chanid = self._next_channel()",
        "self._channels.put(chanid, chan)",
        "self.channel_events[chanid] = event = threading.Event()",
        "self.channels_seen[chanid] = True",
        "chan._set_transport(self)",
        "chan._set_window(window_size, max_packet_size)",
        "self._send_user_message(m)",
    ):
        assert line in source
    assert "self.channel_events[chanid].set()" in inspect.getsource(paramiko.Transport._parse_channel_open_success)
    assert "self.channel_events[chanid].set()" in inspect.getsource(paramiko.Transport._parse_channel_open_failure)
    assert "for event in self.channel_events.values():" in inspect.getsource(paramiko.Transport.run)
    assert not Channel(0).active
    assert "self.active = 1" in inspect.getsource(Channel._set_remote_channel)


def test_paramiko_ends_a_session_that_the_host_ends_and_not_one_of_a_dead_connection() -> None:
    assert not Channel(0).eof_sent
    assert "self._close_internal()" in inspect.getsource(Channel._request_failed)
    assert "self._close_internal()" in inspect.getsource(Channel._handle_close)
    assert "self._send_eof()" in inspect.getsource(Channel._close_internal)
    for dying in (Channel._unlink, Channel._set_closed):
        assert "eof" not in inspect.getsource(dying)


def test_a_tunnel_is_woken_and_a_refusal_told_by_what_paramiko_calls() -> None:
    plain = paramiko.Transport
    assert list(inspect.signature(plain._parse_channel_open_failure).parameters) == ["self", "m"]
    assert "MSG_CHANNEL_OPEN_FAILURE: self._parse_channel_open_failure" in inspect.getsource(plain.__init__)
    waiting = inspect.getsource(Channel._wait_for_send_window)
    assert "if self.closed or self.eof_sent:" in waiting
    assert "self.out_buffer_cv.wait(timeout)" in waiting
    assert "if self.eof_sent:" in inspect.getsource(Channel._send_eof)
    assert hasattr(Channel(0), "lock")


def test_the_handshake_ends_with_an_event_whatever_becomes_of_it() -> None:
    assert list(inspect.signature(paramiko.Transport.start_client).parameters) == ["self", "event", "timeout"]
    assert "self.completion_event.set()" in inspect.getsource(paramiko.Transport.run)
    assert "self.completion_event.set()" in inspect.getsource(paramiko.Transport._parse_newkeys)


def test_what_paramiko_logs_and_chooses_from_goes_through_names_that_we_override() -> None:
    plain = paramiko.Transport
    assert list(inspect.signature(plain._log).parameters)[:3] == ["self", "level", "msg"]
    assert '"_preferred_{}".format(type_)' in inspect.getsource(plain._filter_algorithm)
    assert "self._parse_debug(m)" in inspect.getsource(plain.run)
    assert set(CIPHERS) <= set(plain._preferred_ciphers)
    assert set(DIGESTS) <= set(plain._preferred_macs)
    with socket.socketpair()[0] as ours:
        options = Transport(Link(ours)).get_security_options()
        assert (options.ciphers, options.digests) == (CIPHERS, DIGESTS)


def test_a_credential_may_follow_the_service_request_at_once() -> None:
    source = inspect.getsource(AuthHandler._parse_service_accept)
    assert "m.add_byte(cMSG_USERAUTH_REQUEST)" in source
    assert "self.transport._send_message(m)" in source
    for name in ("auth_method", "private_key"):
        assert hasattr(AuthHandler(paramiko.Transport(socket.socketpair()[0])), name)


def test_data_of_a_channel_goes_through_a_table_and_into_buffers_whose_size_is_known() -> None:
    assert paramiko.Transport._channel_handler_table[MSG_CHANNEL_DATA] is Channel._feed
    assert paramiko.Transport._channel_handler_table[MSG_CHANNEL_EXTENDED_DATA] is Channel._feed_extended
    assert paramiko.Transport._channel_handler_table[MSG_CHANNEL_WINDOW_ADJUST] is Channel._window_adjust
    pipe = BufferedPipe()
    pipe.feed(b"four")
    assert len(pipe) == 4
    assert "self.in_window_size = window_size" in inspect.getsource(Channel._set_window)


def test_the_answer_to_a_request_is_a_flag_and_a_refusal_closes_the_channel() -> None:
    assert "self.event_ready = True" in inspect.getsource(Channel._request_success)
    assert "self.event.set()" in inspect.getsource(Channel._request_success)
    assert "self._close_internal()" in inspect.getsource(Channel._request_failed)


def test_paramiko_does_without_invoke_which_is_a_third_of_its_import() -> None:
    look = "import sys, hostshell.ssh.connect; print('invoke' in sys.modules, 'paramiko' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    importable = "import hostshell.ssh, invoke"  # whoever wants it himself gets it
    assert subprocess.run([sys.executable, "-c", importable], capture_output=True).returncode == 0


def test_it_asks_for_its_own_version_in_the_way_that_our_import_of_it_answers() -> None:
    assert 'metadata.version("paramiko")' in inspect.getsource(paramiko)
    code = "import hostshell.ssh, paramiko, importlib.metadata as m; print(paramiko.__version__, m.version('paramiko'))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert told == [paramiko.__version__] * 2
