"""From a host to this machine: a file, or a tree of them. Each file whole, under a temporary name first.

Must not know the engine, and must not trust the host: names in listings are checked, links are kept and not followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from hostshell.core import paths
from hostshell.core.model import Get
from hostshell.ssh.landing import Folder, Landing
from hostshell.ssh.pipeline import FileShrank, fetch_bytes
from hostshell.ssh.plan import MAX_DEPTH, Copied, Ledger, Refused, remote_reason
from hostshell.ssh.sftp import Sftp
from hostshell.ssh.sftpwire import READ, Attributes, Entry, SftpError

MAX_NAME = 255  # bytes; file systems take no longer one, and a server could send one of any length
MAX_MEASURED = 1_000_000  # names that are looked at before the copy begins: a server may show a tree without an end


class Getting:
    """One get from one host. ``leftover`` is there for symmetry with put: a get leaves nothing on the host."""

    leftover = b""

    def __init__(self, sftp: Sftp, task: Get, host: str, ledger: Ledger) -> None:
        self._sftp = sftp
        self._task = task
        self._host = host
        self._ledger = ledger

    def run(self) -> Copied:
        """Carry it out. Raises `Refused` for the whole, `TransferError` for a part, `SftpGone`, `SftpStopped`."""
        remote = paths.wire_path(self._task.remote)
        try:
            found = self._sftp.stat(remote)
        except SftpError as error:
            raise Refused(f"cannot look at {self._task.remote} on the host: {remote_reason(error)}") from None
        if found is None:
            raise Refused(f"no such file or directory on the host: {self._task.remote}")
        if found.is_special:
            raise Refused(f"{self._task.remote} is a device, a FIFO or a socket on the host")
        directory, name = self._aim(found.is_directory)
        landing = Landing(directory, os.fsencode(self._host))
        try:
            if found.is_directory:
                self._measure(remote, 0, MAX_MEASURED)
                self._tree(remote, landing, name, found)
            else:
                self._ledger.total = found.size or 0
                self._file(remote, landing.folder, name, name, self._task.remote)
            return self._ledger.close()
        except BaseException:
            if not self._ledger.files:
                landing.take_back()
            raise
        finally:
            landing.close()

    def _aim(self, is_directory: bool) -> tuple[bytes, bytes]:
        """The local directory and the name in it; "" for a tree whose contents go straight into the directory."""
        own_name = paths.own_name(self._task.remote)
        directory, name = (os.fsencode(part) for part in paths.landing(self._task.local, own_name))
        if is_directory:
            return directory, name
        if not self._task.local.endswith("/"):
            there = paths.join(directory, name)
            if os.path.isdir(there) and not os.path.islink(there):
                # as with put: a file aimed at a directory that is there goes into it
                directory, name = there, os.fsencode(own_name)
        if not name:
            raise Refused(f"{self._task.remote} is no directory on the host, and has no name of its own")
        return directory, name

    # --- trees ---

    def _tree(self, remote: bytes, landing: Landing, name: bytes, found: Attributes) -> None:
        def make() -> Folder:
            return landing.folder().child(name)

        try:
            if name:
                self._directory(remote, make, name, found, 0)
            else:
                self._contents(self._listing(remote), remote, landing.folder(), b"", 0)
        except Refused as refused:
            if not self._ledger.begun:
                raise
            self._ledger.fail(name or b"/", refused)

    def _directory(self, remote: bytes, make: Callable[[], Folder], name: bytes, found: Attributes, depth: int) -> None:
        """Copy the directory ``remote`` into the folder that ``make`` gives; the host must first show what is in it."""
        if depth > MAX_DEPTH:
            raise Refused(f"more than {MAX_DEPTH} directories deep")
        entries = self._listing(remote)
        folder = make()
        try:
            self._contents(entries, remote, folder, name, depth)
            if folder.new or self._task.preserve:
                # last of all: filling a folder changes its times, and a read-only one cannot be filled
                folder.dress(found.mode, _times(found))
        finally:
            folder.close()

    def _listing(self, remote: bytes) -> list[Entry]:
        try:
            return sorted(self._sftp.list(remote), key=lambda entry: entry.name)
        except SftpError as error:
            raise Refused(f"the directory cannot be read: {remote_reason(error)}") from None

    def _contents(self, entries: list[Entry], remote: bytes, folder: Folder, name: bytes, depth: int) -> None:
        for entry in entries:
            below = paths.join(name, entry.name) if name else entry.name
            try:
                unsafe = _unsafe(entry.name)
                if unsafe:
                    raise Refused(f"refused: {unsafe}")
                self._entry(entry, paths.join(remote, entry.name), folder, below, depth)
            except Refused as refused:
                self._ledger.fail(below, refused)

    def _entry(self, entry: Entry, remote: bytes, folder: Folder, name: bytes, depth: int) -> None:
        found: Attributes | None = entry.attributes
        try:
            if entry.attributes.mode is None:
                found = self._sftp.stat(remote, follow=False)
            if found is None:
                raise Refused("it is gone from the host")
            if found.is_link:
                text = self._sftp.readlink(remote)
                if not text or b"\0" in text:
                    raise Refused("refused: a link that leads to no name")
                folder.link(text, entry.name)
                return
        except SftpError as error:
            raise Refused(f"cannot be read: {remote_reason(error)}") from None
        if found.is_directory:
            self._directory(remote, lambda: folder.child(entry.name), name, found, depth + 1)
        elif found.is_special:
            self._ledger.leave_out(name)
        else:
            self._file(remote, lambda: folder, entry.name, name)

    def _measure(self, remote: bytes, depth: int, most: int) -> int:
        """Add up the sizes of the files in a tree, as far as it can be listed; for the progress line only.

        Looks at ``most`` names, about; how many of these are left is the result. Listing twice keeps no more than one
        path's directories in memory, and is little beside copying what is in them.
        """
        if depth > MAX_DEPTH or most <= 0:
            return most
        below: list[bytes] = []
        try:
            for entry in self._sftp.list(remote):
                most -= 1
                if entry.attributes.is_directory and not _unsafe(entry.name):
                    below.append(paths.join(remote, entry.name))
                elif not entry.attributes.is_link and not entry.attributes.is_special:
                    self._ledger.total += entry.attributes.size or 0
        except SftpError:
            return most
        for directory in below:
            most = self._measure(directory, depth + 1, most)
        return most

    # --- one file ---

    def _file(
        self, remote: bytes, folder: Callable[[], Folder], local: bytes, name: bytes, called: str = "the file"
    ) -> None:
        """Copy one file to exactly the name ``local`` in ``folder()``, asked for once the host has opened the file.

        ``called`` is how a sentence speaks of it.
        """
        try:
            handle = self._sftp.open(remote, READ)
        except SftpError as error:
            raise Refused(f"{called} cannot be read: {remote_reason(error)}") from None
        try:
            found = self._sftp.fstat(handle)
            if found.is_directory or found.is_special:
                raise Refused("what is there on the host is no longer a file")
            self._ledger.begin(name)
            with folder().file(local) as unfinished:
                fetch_bytes(self._sftp, handle, unfinished.write, found.size or 0, self._ledger.moved)
                unfinished.finish(found.mode, _times(found), preserve=self._task.preserve)
        except FileShrank:
            raise Refused("the file became shorter on the host while it was read") from None
        except SftpError as error:
            raise Refused(f"{called} cannot be read: {remote_reason(error)}") from None
        finally:
            if not self._sftp.stopping:
                self._sftp.drop_handle(handle)
        self._ledger.files += 1


def _unsafe(name: bytes) -> str:
    """Why a name in a listing must not become a local one, in words; "" for a good name."""
    if len(name) > MAX_NAME:
        return f"a name of more than {MAX_NAME} bytes"
    return paths.unsafe_name(name)


def _times(found: Attributes) -> tuple[int, int] | None:
    if found.atime is None or found.mtime is None:
        return None
    return found.atime, found.mtime
