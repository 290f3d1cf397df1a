"""One file or link on its way from a host: whole, under a temporary name first, then in place of what is there.

Must not know trees, and must not trust the host. Many may be under way at once on one `Crew`.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass

from hostshell.core import paths
from hostshell.core.model import Get
from hostshell.ssh.flushing import WORTH
from hostshell.ssh.landing import Folder
from hostshell.ssh.partials import CANNOT_GO_ON, LEAST, part_name
from hostshell.ssh.plan import Ledger, Refused, remote_reason
from hostshell.ssh.remotefiles import Download, FileShrank, RemoteFiles, SftpGone, SftpStopped
from hostshell.ssh.sending import SYNCED
from hostshell.ssh.sftpwire import Attributes, SftpError
from hostshell.ssh.unfinished import Unfinished


@dataclass(slots=True)
class Arrival:
    """A file of the host, and the name in a folder here that it gets.

    ``name`` is for people; ``called`` is how a sentence speaks of it. ``here``: the file of the same size that is here.
    """

    remote: bytes
    folder: Folder
    local: bytes
    name: bytes
    found: Attributes
    called: str = "the file"
    here: os.stat_result | None = None
    replaces: bool = False


class Receiver:
    """Fetches files from one host."""

    def __init__(self, files: RemoteFiles, task: Get, host: str, ledger: Ledger) -> None:
        self._files = files
        self._task = task
        self._host = host
        self._ledger = ledger
        self._stamp = time.strftime("%Y%m%d-%H%M%S")
        self.kept: set[bytes] = set()  # files here with which a later try goes on

    async def fetch(self, arrival: Arrival) -> None:
        """Copy one file to exactly its name. The folder is made once the host has opened the file. Raises `Refused`."""
        if self._task.dry_run:
            self._ledger.would(arrival.name, arrival.found.size or 0, replace=arrival.replaces)
            return
        try:
            download = await self._files.open(arrival.remote)
        except SftpError as error:
            raise Refused(f"{arrival.called} cannot be read: {remote_reason(error)}") from None
        try:
            found = await download.stat()
            if found.is_directory or found.is_special:
                raise Refused("what is there on the host is no longer a file")
            self._ledger.begin(arrival.name)
            await self._land(download, found, arrival)
        except FileShrank:
            raise Refused("the file became shorter on the host while it was read") from None
        except SftpError as error:
            raise Refused(f"{arrival.called} cannot be read: {remote_reason(error)}") from None
        finally:
            download.abandon()
        self._ledger.files += 1

    async def _land(self, download: Download, found: Attributes, arrival: Arrival) -> None:
        size = found.size or 0
        small = 0 < size <= self._files.small
        held = bytearray()
        if small:
            # it is here in one piece or not at all, so that nothing need be open here while others wait
            await download.fetch(lambda data, _: held.extend(data), 0, size, self._ledger.moved)
        arrival.folder.make()
        partial = self._partial(arrival, found) if size >= LEAST else b""
        with arrival.folder.file(arrival.local, partial) as unfinished:
            if small:
                unfinished.write(memoryview(held), 0)
            else:
                await self._fetch(download, unfinished, size, arrival)
            unfinished.finish(
                found.mode,
                None if found.atime is None or found.mtime is None else (found.atime, found.mtime),
                preserve=self._task.preserve,
                sync=self._syncs(size),
                backup=self._stamp if self._task.backup else "",
            )

    def _syncs(self, size: int) -> bool:
        return self._task.sync or size > SYNCED

    def _partial(self, arrival: Arrival, found: Attributes) -> bytes:
        host = self._host.encode("utf-8", "surrogateescape")
        where = os.path.abspath(paths.join(arrival.folder.path, arrival.local))
        return part_name(arrival.local, (host, arrival.remote, where), (found.size, found.mtime))

    async def _fetch(self, download: Download, unfinished: Unfinished, size: int, arrival: Arrival) -> None:
        """Fetch the content, from where an earlier try stopped where that is how the host's file begins."""
        try:
            if unfinished.start and not await self._goes_on(unfinished, size, arrival):
                unfinished.anew()
            if unfinished.start:
                self._ledger.resumed(arrival.name, unfinished.start)
            if size - unfinished.start >= WORTH and self._syncs(size):
                unfinished.flush()
            await download.fetch(unfinished.write, unfinished.start, size, self._ledger.moved)
            unfinished.flushed(self._files.heed)
        except (SftpGone, SftpStopped):
            if not self._task.force and (name := unfinished.leave()):  # with --force the same copy would not go on
                self.kept.add(paths.join(arrival.folder.path, name))
            raise

    async def _goes_on(self, unfinished: Unfinished, size: int, arrival: Arrival) -> bool:
        if self._task.force or unfinished.start > size:
            return False
        with self._ledger.comparing(unfinished.start, arrival.name):
            here = unfinished.before(lambda: self._files.stopping)
            there = await self._files.digest_of_start(arrival.remote, unfinished.start, here.read)
            self._files.heed()  # or nothing has been seen that speaks against the partial
        if there is None:
            self._ledger.note(CANNOT_GO_ON)
        return here.digest is not None and there == here.digest.digest()

    async def empty(self, arrival: Arrival) -> bool:
        """Whether a file that says it is empty really is: those of /proc say so, and hold something."""
        try:
            download = await self._files.open(arrival.remote)
        except SftpError:
            return False  # `fetch` says why
        try:
            await download.fetch(lambda *_: None, 0, 1, lambda _: None)
        except FileShrank:
            return True
        except SftpError:
            return False
        finally:
            download.abandon()
        return False

    def freshen(self, arrival: Arrival) -> None:
        """The content is here already: times as of the host's, and the mode where it was asked for."""
        here = arrival.here
        assert here is not None
        self._ledger.unchanged(here.st_size)
        if self._task.dry_run:
            return
        mode = None
        if self._task.preserve and arrival.found.mode is not None:
            mode = arrival.found.mode & 0o777
            mode = None if mode == stat.S_IMODE(here.st_mode) else mode
        times = None
        if arrival.found.mtime is not None and arrival.found.mtime != int(here.st_mtime):
            times = (arrival.found.atime or arrival.found.mtime, arrival.found.mtime)
        arrival.folder.freshen(arrival.local, mode, times)

    async def link(self, remote: bytes, folder: Folder, local: bytes, name: bytes) -> None:
        """Make a link here that says what the host's says. Raises `Refused`."""
        try:
            text = await self._files.readlink(remote)
        except SftpError as error:
            raise Refused(f"cannot be read: {remote_reason(error)}") from None
        if not text or b"\0" in text:
            raise Refused("refused: a link that leads to no name")
        if folder.has_link(text, local):
            return
        if self._task.dry_run:
            self._ledger.would(name, 0, replace=folder.look(local) is not None)
            return
        folder.link(text, local)
        self._ledger.links += 1
