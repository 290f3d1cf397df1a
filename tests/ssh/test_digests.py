"""Digests that a host never gives: whoever waits can be stopped. What it does give is in test_transfer_options.py."""

from __future__ import annotations

import threading

import paramiko
import pytest

from hostshell.ssh import digests
from hostshell.ssh.remotefiles import SftpStopped
from tests.support.rude import PASSWORD, NeverAnswers


def test_a_host_that_never_answers_the_request_for_the_tool_can_be_left() -> None:
    stopped = threading.Event()

    def heed() -> None:
        if stopped.is_set():
            raise SftpStopped

    with NeverAnswers() as rude:
        transport = paramiko.Transport((rude.address, rude.port))
        try:
            transport.connect(username="u", password=PASSWORD)
            threading.Timer(0.3, stopped.set).start()
            cut = threading.Timer(20, transport.close)  # else a wait without an end would be one here
            cut.start()
            with pytest.raises(SftpStopped):
                digests.of_files(transport, [b"file"], heed, lambda: None)
            cut.cancel()
        finally:
            transport.close()
