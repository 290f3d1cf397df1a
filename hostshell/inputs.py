"""What commands read: local files, scripts and streams, looked at (or kept) before any host is touched.

Must not know sessions. A file is sent from where it lies; what can be read only once is kept in a file of our own.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from hostshell.core.errors import LocalFileError, UsageError
from hostshell.core.model import LocalFile, Run, Script, Terminal
from hostshell.core.names import check_user
from hostshell.localfiles import absolute_path

_SHELL = ("/bin/sh",)  # what runs a script that does not say: so does a shell that is told to run such a file
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEAD = 4096  # bytes of a script that are looked at


class Inputs:
    """Makes local files of what commands are to read, and takes away those of its own at `forget` or `close`."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._forgettable: list[str] = []

    def of_file(self, path: str) -> LocalFile:
        """A file to be read by commands. A pipe (as ``<(…)`` of a shell makes one) is read now. `LocalFileError`."""
        full = absolute_path(path)
        try:
            with open(full, "rb") as stream:
                found = os.fstat(stream.fileno())
                if stat.S_ISREG(found.st_mode):
                    return LocalFile(full, found.st_size, found.st_ino, found.st_mtime_ns)
                return self.of_stream(stream)
        except OSError as error:
            raise LocalFileError(f"cannot read {path}: {_reason(error)}", "nothing was run") from None

    def of_stream(self, stream: BinaryIO, *, forget: bool = True) -> LocalFile:
        """All that comes from ``stream`` until its end. With ``forget`` it is kept for one job only."""
        try:
            number, path = tempfile.mkstemp(prefix="hostshell-input-")
            (self._forgettable if forget else self._kept).append(path)
            with open(number, "wb") as kept:
                shutil.copyfileobj(stream, kept, 1024 * 1024)
                kept.flush()
                found = os.fstat(number)
        except OSError as error:
            raise LocalFileError(f"cannot keep the input: {_reason(error)}", "nothing was run") from None
        return LocalFile(path, found.st_size, found.st_ino, found.st_mtime_ns)

    def of(self, source: str | bytes) -> LocalFile:
        """A path, or the bytes themselves."""
        return self.of_stream(io.BytesIO(source)) if isinstance(source, bytes) else self.of_file(source)

    def script(self, path: str, arguments: Sequence[str] = ()) -> Script:
        """A local script, with what its ``#!`` says. Raises `LocalFileError`."""
        file = self.of_file(path)
        with open(file.path, "rb") as stream:
            head = stream.read(_HEAD)
        if b"\0" in head:
            what = "it holds NUL bytes, so it is a program, not a script"
            raise LocalFileError(f"cannot run {path}: {what}", "copy it with batch_scp, then run it there")
        first = head.partition(b"\n")[0]
        if not first.startswith(b"#!"):
            return Script(file, _SHELL, tuple(arguments))
        if first.endswith(b"\r"):
            hint = "they stop its #! from working: take them away, as dos2unix does"
            raise LocalFileError(f"cannot run {path}: it has Windows line ends", hint)
        # as the kernel reads it: a program, and all of the rest as one argument (execve(2))
        words = os.fsdecode(first[2:].strip()).split(None, 1)
        if not words:
            raise LocalFileError(f"cannot run {path}: its #! names no program", "as in #!/bin/sh")
        return Script(file, tuple(words), tuple(arguments))

    def command(
        self,
        command: str | None = None,
        *,
        script: str | None = None,
        arguments: Sequence[str] = (),
        stdin: str | bytes | LocalFile | None = None,
        env: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        cwd: str | None = None,
        tty: bool = False,
        sudo: bool = False,
        sudo_user: str | None = None,
    ) -> Run:
        """What to run, with all that it needs of this machine. Raises `LocalFileError` and `UsageError`."""
        environment = tuple(env.items() if isinstance(env, Mapping) else env)
        if (command is None) == (script is None):
            raise UsageError("a command or a script is to be run", "one of the two")
        if tty and (script is not None or stdin is not None):
            raise UsageError(
                "a terminal would change the bytes that are sent", "no script and no input with a terminal"
            )
        for name, value in environment:
            if not _VARIABLE.fullmatch(name):
                raise UsageError(f"{name!r} is no name of a variable", "letters, digits and _, as in LANG")
            if "\0" in value:
                raise UsageError(f"the value of {name} holds a NUL character")
        if any("\0" in text for text in (cwd or "", *arguments)):
            raise UsageError("a directory or an argument holds a NUL character")
        try:
            check_user(sudo_user or "root")
        except ValueError as error:
            raise UsageError(f"sudo's user cannot be that: {error}") from None
        size = shutil.get_terminal_size()
        return Run(
            command or "",
            stdin if stdin is None or isinstance(stdin, LocalFile) else self.of(stdin),
            self.script(script, arguments) if script is not None else None,
            environment,
            cwd,
            Terminal(size.columns, size.lines) if tty else None,
            sudo,
            sudo_user,
        )

    def forget(self) -> None:
        """The job is over."""
        self._remove(self._forgettable)

    def close(self) -> None:
        """Nothing is needed any more."""
        self._remove(self._forgettable)
        self._remove(self._kept)

    @staticmethod
    def _remove(paths: list[str]) -> None:
        while paths:
            with contextlib.suppress(OSError):
                os.unlink(paths.pop())


def _reason(error: OSError) -> str:
    return str(error.strerror or error).lower()
