"""The scripted faults themselves: each server fails as it says, the relay cuts where it says, and no thread stays."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.faulty import (
    IDENT,
    DripBanner,
    EndlessBanner,
    EscapeBanner,
    Faulty,
    Mute,
    Slam,
    StallAfterKex,
    SynDropper,
    kexinit,
)
from tests.support.relay import CutRelay


def connect(server: Faulty, timeout: float = 10.0) -> socket.socket:
    return socket.create_connection((server.address, server.port), timeout=timeout)


def read_all(link: socket.socket) -> bytes:
    return b"".join(iter(lambda: link.recv(65536), b""))


class TestFaulty:
    def test_a_dropped_syn_leaves_the_connect_hanging(self) -> None:
        with SynDropper() as server, pytest.raises(TimeoutError):
            connect(server, timeout=0.5)

    def test_a_mute_server_accepts_and_says_nothing(self) -> None:
        with Mute() as server, connect(server, timeout=0.3) as link, pytest.raises(TimeoutError):
            link.sendall(b"SSH-2.0-test\r\n")
            link.recv(1)

    def test_a_stalled_key_exchange_has_begun_properly(self) -> None:
        with StallAfterKex() as server, connect(server) as link:
            said = b""
            while len(said) < len(IDENT + kexinit()):
                said += link.recv(4096)
            assert said.startswith(IDENT)
            assert said[len(IDENT) + 5] == 20  # SSH_MSG_KEXINIT
            assert (len(said) - len(IDENT)) % 8 == 0
            link.settimeout(0.3)
            with pytest.raises(TimeoutError):
                link.recv(1)

    def test_an_endless_banner_goes_on(self) -> None:
        with EndlessBanner() as server, connect(server) as link:
            wanted = 4_000_000
            while wanted > 0:
                piece = link.recv(65536)
                assert piece
                wanted -= len(piece)

    def test_a_slam_closes_at_once(self) -> None:
        with Slam() as server, connect(server) as link:
            assert link.recv(1) == b""

    def test_a_slam_may_speak_before_and_reset(self) -> None:
        with Slam(IDENT, reset=True) as server, connect(server) as link:
            assert link.recv(4096) == IDENT
            link.sendall(b"SSH-2.0-test\r\n")
            with pytest.raises(ConnectionResetError):
                link.recv(1)

    def test_a_dripping_banner_arrives_a_byte_at_a_time(self) -> None:
        with DripBanner(pause=0.01) as server, connect(server) as link:
            said = b""
            while len(said) < 5:
                said += link.recv(1)
            assert said == b"xxxxx"

    def test_a_banner_with_escapes_is_sent_whole_and_closed(self) -> None:
        with EscapeBanner() as server, connect(server) as link:
            assert read_all(link) == EscapeBanner.TEXT

    @pytest.mark.parametrize(
        "kind",
        [SynDropper, Mute, StallAfterKex, EndlessBanner, Slam, DripBanner, EscapeBanner],
        ids=lambda k: k.__name__,
    )
    def test_no_thread_and_no_port_outlives_the_server(self, kind: type[Faulty]) -> None:
        before = set(threading.enumerate())
        with kind() as server:
            links = [] if kind is SynDropper else [connect(server) for _ in range(3)]
        assert set(threading.enumerate()) <= before
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        for link in links:
            link.close()


class Echo(Faulty):
    """Sends back what it gets."""

    def play(self, link: socket.socket) -> None:
        while piece := link.recv(65536):
            link.sendall(piece)


class TestCutRelay:
    @pytest.fixture
    def echo(self) -> Iterator[tuple[str, int]]:
        with Echo() as server:
            yield (server.address, server.port)

    def test_bytes_pass_both_ways_and_end_of_file_too(self, echo: tuple[str, int]) -> None:
        with CutRelay(echo) as relay, connect(relay) as link:
            sent = os.urandom(2_000_000)

            def write() -> None:
                link.sendall(sent)
                link.shutdown(socket.SHUT_WR)

            writer = threading.Thread(target=write)
            writer.start()
            assert read_all(link) == sent
            writer.join()
            assert (relay.up, relay.down, relay.cuts) == (len(sent), len(sent), 0)

    def test_the_link_is_cut_after_exactly_so_many_bytes_down(self, echo: tuple[str, int]) -> None:
        with CutRelay(echo, after_down=10) as relay, connect(relay) as link:
            link.sendall(b"0123456789abcdef")
            assert read_all(link) == b"0123456789"
            assert (relay.down, relay.cuts) == (10, 1)

    def test_the_link_is_cut_after_exactly_so_many_bytes_up(self, echo: tuple[str, int]) -> None:
        with CutRelay(echo, after_up=10) as relay, connect(relay) as link:
            link.sendall(b"0123456789abcdef")
            read_all(link)
            assert (relay.up, relay.cuts) == (10, 1)

    def test_a_limit_counts_from_when_it_is_set_and_is_spent_once(self, echo: tuple[str, int]) -> None:
        with CutRelay(echo) as relay:
            with connect(relay) as link:
                link.sendall(b"before")
                assert link.recv(6, socket.MSG_WAITALL) == b"before"
                relay.cut_after(down=3)
                link.sendall(b"after")
                assert read_all(link) == b"aft"
            with connect(relay) as link:
                link.sendall(b"once more, in full")
                link.shutdown(socket.SHUT_WR)
                assert read_all(link) == b"once more, in full"

    def test_a_cut_on_command_ends_every_link(self, echo: tuple[str, int]) -> None:
        with CutRelay(echo) as relay, connect(relay) as one, connect(relay) as other:
            for link in (one, other):
                link.sendall(b"x")
                assert link.recv(1) == b"x"
            relay.cut()
            assert (one.recv(1), other.recv(1)) == (b"", b"")

    def test_a_cut_may_be_a_reset(self, echo: tuple[str, int]) -> None:
        with CutRelay(echo, reset=True) as relay, connect(relay) as link:
            link.sendall(b"x")
            assert link.recv(1) == b"x"
            relay.cut()
            with pytest.raises(ConnectionResetError):
                link.recv(1)

    def test_nothing_passes_while_frozen_and_all_of_it_later(self, echo: tuple[str, int]) -> None:
        with CutRelay(echo) as relay, connect(relay, timeout=0.3) as link:
            link.sendall(b"x")
            assert link.recv(1) == b"x"
            relay.freeze()
            link.sendall(b"kept")
            with pytest.raises(TimeoutError):
                link.recv(1)
            relay.thaw()
            link.settimeout(10)
            assert link.recv(4, socket.MSG_WAITALL) == b"kept"

    def test_no_thread_outlives_the_relay(self, echo: tuple[str, int]) -> None:
        with CutRelay(echo) as relay:
            link = connect(relay)
            link.sendall(b"x")
            assert link.recv(1) == b"x"
            relay.freeze()
        assert not [thread for thread in threading.enumerate() if thread.name == "CutRelay"]
        link.close()
