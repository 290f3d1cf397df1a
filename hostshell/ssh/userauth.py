"""Logins over paramiko's transport with one service request a connection, however many credentials are offered.

paramiko asks for the service ``ssh-userauth`` before every attempt. RFC 4253 (section 10) asks once: OpenSSH bears
more, other servers hang up.
Must not know hosts or failures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import paramiko
from paramiko.auth_handler import AuthHandler


class _Handler(AuthHandler):
    """Goes on at once where the service was accepted before. tests/ssh/test_private_names.py holds the names."""

    def _request_auth(self) -> None:
        if not getattr(self.transport, "hostshell_userauth", False):
            super()._request_auth()  # type: ignore[misc]
            return
        accepted = paramiko.Message()
        accepted.add_string("ssh-userauth")
        accepted.rewind()
        self._parse_service_accept(accepted)

    def _parse_service_accept(self, message: paramiko.Message) -> None:
        self.transport.hostshell_userauth = True  # type: ignore[attr-defined]
        super()._parse_service_accept(message)  # type: ignore[misc]


def attempt(transport: paramiko.Transport, begin: Callable[[AuthHandler, threading.Event], None]) -> list[str]:
    """One attempt; what the server still wants. Raises as `Transport.auth_password` does."""
    event = threading.Event()
    handler = transport.auth_handler = _Handler(transport)
    begin(handler, event)
    return list(handler.wait_for_response(event))
