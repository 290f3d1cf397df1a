"""The lines that a person has typed, kept between launches. Never one with a secret in it.

A line that begins with a blank stays out as well, as in bash with ``HISTCONTROL=ignorespace``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from hostshell.localfiles import state_path


def state_folder() -> Path:
    """``$XDG_STATE_HOME/hostshell``, made with mode 0700 when missing."""
    folder = state_path()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # it may have been there, open to others
    return folder


def open_history(secrets: Callable[[], Iterable[str]]) -> History:
    """The person's history; one in memory where no file can be had."""
    try:
        path = state_folder() / "history"
        descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError:
        return _MemoryLines(secrets)
    return _FileLines(str(path), secrets)


def keeps(line: str, secrets: Iterable[str]) -> bool:
    """Whether ``line`` may enter the history."""
    if not line.strip() or line[0].isspace():
        return False
    return not any(secret and secret in line for secret in secrets)


class _FileLines(FileHistory):
    def __init__(self, path: str, secrets: Callable[[], Iterable[str]]) -> None:
        super().__init__(path)
        self._secrets = secrets

    def append_string(self, string: str) -> None:
        if keeps(string, self._secrets()):
            super().append_string(string)


class _MemoryLines(InMemoryHistory):
    def __init__(self, secrets: Callable[[], Iterable[str]]) -> None:
        super().__init__()
        self._secrets = secrets

    def append_string(self, string: str) -> None:
        if keeps(string, self._secrets()):
            super().append_string(string)


class ReadOnly(History):
    """What a prompt may look through and not write to: it knows lines, and a command may take several."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    async def load(self) -> AsyncGenerator[str, None]:
        """The lines, the latest first."""
        async for line in self._history.load():
            yield line

    def get_strings(self) -> list[str]:
        """The lines, the oldest first."""
        return self._history.get_strings()

    def append_string(self, string: str) -> None:
        """Nothing: whoever knows where a line ends adds it."""

    def load_history_strings(self) -> Iterable[str]:
        """The lines, the latest first."""
        return self._history.load_history_strings()

    def store_string(self, string: str) -> None:
        """Nothing, as above."""
