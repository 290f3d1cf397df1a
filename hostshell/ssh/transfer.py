"""A copy on one connection, over SFTP or without it: put and get, and what they raise.

Must not know turns or events; it is told whom to report to, and when to stop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hostshell.core.encodings import UTF_8
from hostshell.core.errors import UsageError
from hostshell.core.model import Get, Put
from hostshell.ssh.get import Getting
from hostshell.ssh.partials import Claims, pattern
from hostshell.ssh.plan import NAMED, Copied, CopyStopped, Ledger, Refused, Reporter, TransferError, typed
from hostshell.ssh.put import Putting
from hostshell.ssh.recoded import Recoded
from hostshell.ssh.remotefiles import NoSftp, RemoteFiles, SftpGone, SftpStopped
from hostshell.ssh.sftp import OpensSessions, Sftp
from hostshell.ssh.sftpwire import SftpError
from hostshell.ssh.shellfiles import ShellFiles

__all__ = ["Copied", "CopyStopped", "TransferError", "get", "put"]


def put(
    connection: OpensSessions,
    task: Put,
    host: str,
    *,
    report: Reporter,
    stopped: Callable[[], bool],
    encoding: str = UTF_8,
    partials: Path | None = None,
    login: str = "",
) -> Copied:
    """Copy ``task.local`` to ``task.remote`` on ``host``, whose names are in ``encoding``; ``{host}`` in both has been
    replaced. ``partials`` is the folder of this machine that records what cut copies left on hosts, made when there is
    something to record; without one no copy goes on where an earlier try stopped. ``login`` tells those who log in on
    one host apart.

    ``report(path, bytes done, bytes in all, those of the bytes done that were there already, bytes that are being
    compared now)`` is called at most four times a second while bytes move, once as a long comparison begins, and once
    at the end.
    Raises `TransferError`, `CopyStopped` once ``stopped()`` is true, and `LinkLost` (not started) where the connection
    was dead before anything was copied.
    """
    claims = Claims(partials, host, login)
    return _carry_out(
        connection, task, lambda files: Putting(files, task, host, Ledger(report), claims), stopped, encoding
    )


def get(
    connection: OpensSessions,
    task: Get,
    host: str,
    *,
    report: Reporter,
    stopped: Callable[[], bool],
    encoding: str = UTF_8,
    partials: Path | None = None,  # noqa: ARG001  # of puts: what a get leaves lies where it looks for it
    login: str = "",  # noqa: ARG001  # as well
) -> Copied:
    """Copy ``task.remote`` of ``host`` to ``task.local``.

    ``task.local`` is a `core.paths.local_layout` in which ``{host}`` has been replaced. Reports and raises as `put`.
    """
    ledger = Ledger(report, verb="fetch")
    return _carry_out(connection, task, lambda files: Getting(files, task, host, ledger), stopped, encoding)


def _carry_out(
    connection: OpensSessions,
    task: Put | Get,
    make: Callable[[RemoteFiles], Putting | Getting],
    stopped: Callable[[], bool],
    encoding: str,
) -> Copied:
    try:
        if any(b"\0" in os.fsencode(path) for path in (task.local, *task.also)):
            raise TransferError("a path cannot hold a NUL character")
    except UnicodeEncodeError:
        raise TransferError("the local path is no valid text") from None
    try:
        files, note = _far_side(connection, stopped)
    except SftpStopped:
        raise CopyStopped from None
    except SftpGone as gone:
        raise TransferError(gone.message, gone.hint) from None
    except SftpError:
        raise TransferError("the host broke the SFTP protocol") from None
    copy = make(files if encoding == UTF_8 else Recoded(files, encoding))
    try:
        copied = copy.run()
        stayed = _stayed(copy)
        return replace(copied, notes=(*copied.notes, *filter(None, (stayed, note))))
    except SftpStopped:
        raise CopyStopped(_left(copy, "stopped")) from None
    except SftpGone as gone:
        raise TransferError(_left(copy, gone.message) or gone.message, gone.hint) from None
    except SftpError as error:
        raise TransferError(error.text or "the host broke the SFTP protocol") from None
    except Refused as refused:
        raise TransferError(_left(copy, refused.reason) or refused.reason, refused.hint) from None
    except TransferError as error:
        raise TransferError(_left(copy, error.message) or error.message, error.hint) from None
    except UsageError as error:
        raise TransferError(error.message, error.hint) from None
    finally:
        files.close()


def _far_side(connection: OpensSessions, stopped: Callable[[], bool]) -> tuple[RemoteFiles, str]:
    """What carries out the verbs on the host, and what is to be said of it. Raises as `Sftp.over` does."""
    try:
        return Sftp.over(connection, stopped), ""
    except NoSftp as gone:
        try:
            return ShellFiles(connection, stopped), f"{gone.message}: copied with its shell's tools instead"
        except (SftpGone, SftpError) as other:
            hint = other.hint if isinstance(other, SftpGone) else ""
            what = f"{gone.message}, and no POSIX shell answers that could copy instead"
            raise SftpGone(what, hint or gone.hint) from None


def _left(copy: Putting | Getting, message: str) -> str:
    """The sentence with the unfinished files that are still there, or "" where there is none."""
    parts = [message]
    if copy.kept:
        where = "on the host" if isinstance(copy, Putting) else "here"
        parts.append(f"the same copy again goes on from {_some(copy.kept)} {where}")
    if copy.leftovers:
        parts.append(_stayed(copy))
    return "; ".join(parts) if len(parts) > 1 else ""


def _stayed(copy: Putting | Getting) -> str:
    """The temporary files that the host did not remove, "" where there is none."""
    return f"{_some(copy.leftovers)} may have stayed on the host" if copy.leftovers else ""


def _some(names: Sequence[bytes]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(_plain(path) for path in names[:NAMED]) + more


def _plain(path: bytes) -> str:
    """A path as a person types it; without the hash in a partial's name all hosts say the same."""
    return typed(pattern(path))
