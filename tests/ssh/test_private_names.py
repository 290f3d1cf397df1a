"""paramiko's private names that hostshell/ssh stands on: an upgrade that moves one fails here, with its name."""

from __future__ import annotations

import inspect

import paramiko
from paramiko.agent import AgentSSH
from paramiko.auth_handler import AuthHandler
from paramiko.buffered_pipe import BufferedPipe
from paramiko.channel import Channel
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_REQUEST
from paramiko.packet import Packetizer
from paramiko.transport import Transport


def test_the_pinned_release_is_the_one_that_runs() -> None:
    assert paramiko.__version__.startswith("5.1.")


def test_channel_requests_are_dispatched_through_a_table_that_an_instance_may_replace() -> None:
    assert Transport._channel_handler_table[MSG_CHANNEL_REQUEST] is Channel._handle_request
    assert "self._channel_handler_table[ptype](chan, m)" in inspect.getsource(Transport.run)


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


def test_a_user_message_is_sent_by_the_name_that_we_call() -> None:
    assert list(inspect.signature(Transport._send_user_message).parameters) == ["self", "data"]


def test_the_agents_request_is_the_method_that_we_lock() -> None:
    assert list(inspect.signature(AgentSSH._send_message).parameters) == ["self", "msg"]
    assert "self.agent._send_message(msg)" in inspect.getsource(paramiko.agent.AgentKey.sign_ssh_data)


def test_the_classic_transport_makes_its_event_before_it_asks() -> None:
    # ServiceRequestingTransport sends first and stalls some logins at a fan-out of 32
    source = inspect.getsource(Transport.auth_password)
    assert source.index("threading.Event()") < source.index(".auth_password(username")


def test_the_wait_for_bytes_takes_our_sockets_time_out_and_errors() -> None:
    source = inspect.getsource(Packetizer.read_all)
    assert "except socket.timeout" in source
    assert "except socket.error" in source


def test_a_login_attempt_asks_for_the_service_by_the_methods_that_we_override() -> None:
    for attempt in (AuthHandler.auth_password, AuthHandler.auth_publickey, AuthHandler.auth_interactive):
        assert "self._request_auth()" in inspect.getsource(attempt)
    assert list(inspect.signature(AuthHandler._parse_service_accept).parameters) == ["self", "m"]
    assert list(inspect.signature(AuthHandler.wait_for_response).parameters) == ["self", "event"]


def test_every_packet_comes_through_the_methods_that_we_bound() -> None:
    assert "self.packetizer.read_message()" in inspect.getsource(Transport.run)
    source = inspect.getsource(Packetizer.read_message)
    assert "self.read_all(" in source
    assert ".recv(" not in source
    assert list(inspect.signature(Packetizer.read_all).parameters) == ["self", "n", "check_rekey"]


def test_a_transport_keeps_what_it_reads_packets_with() -> None:
    assert "self.packetizer = (packetizer_class or Packetizer)(sock)" in inspect.getsource(Transport.__init__)


def test_data_of_a_channel_goes_through_a_table_and_into_buffers_whose_size_is_known() -> None:
    assert Transport._channel_handler_table[MSG_CHANNEL_DATA] is Channel._feed
    assert Transport._channel_handler_table[MSG_CHANNEL_EXTENDED_DATA] is Channel._feed_extended
    pipe = BufferedPipe()
    pipe.feed(b"four")
    assert len(pipe) == 4
    assert "self.in_window_size = window_size" in inspect.getsource(Channel._set_window)


def test_the_answer_to_a_request_is_a_flag_and_a_refusal_closes_the_channel() -> None:
    assert "self.event_ready = True" in inspect.getsource(Channel._request_success)
    assert "self.event.set()" in inspect.getsource(Channel._request_success)
    assert "self._close_internal()" in inspect.getsource(Channel._request_failed)
