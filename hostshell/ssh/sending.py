"""One file or link on its way to a host: whole, under a temporary name first, then in place of what is there.

Must not know trees. Many may be under way at once on one `Crew`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from dataclasses import dataclass

from hostshell.core import paths
from hostshell.core.model import Put
from hostshell.ssh.beginning import Beginner, Begun, temporary_name
from hostshell.ssh.partials import Claims
from hostshell.ssh.plan import Ledger, Refused, local_reason, refused_write, remote_reason, typed
from hostshell.ssh.remotefiles import FileShrank, RemoteFiles, SftpGone, SftpStopped, Upload
from hostshell.ssh.sftpwire import PERMISSION_DENIED, Attributes, SftpError

MAX_LINKS = 40  # symlinks in a row before we call it a circle; the kernel's own limit
SYNCED = 8 * 1024 * 1024  # bytes from which a file is always brought to the disk: that costs about 2 ms


@dataclass(slots=True)
class Item:
    """A local file and where it goes. ``name`` is for people. ``new``: nothing can be there.

    ``existing``: what stands at ``target``, if that was looked at.
    """

    source: bytes
    target: bytes
    name: bytes
    info: os.stat_result
    new: bool = False
    follow: bool = False
    existing: Attributes | None = None
    digest: bytes | None = None  # of what was sent, where it is to be verified


class Sender:
    """Sends files to one host.

    ``leftovers`` are temporary files that may be there at the moment, ``kept`` those with which a later try goes on.
    """

    def __init__(self, files: RemoteFiles, task: Put, ledger: Ledger, claims: Claims) -> None:
        self._files = files
        self._task = task
        self._ledger = ledger
        self._stamp = time.strftime("%Y%m%d-%H%M%S")
        self.leftovers: set[bytes] = set()
        self.kept: set[bytes] = set()
        self._beginner = Beginner(files, claims, ledger, self.leftovers, self.kept)

    async def clean(self) -> None:
        """Remove what earlier copies left on the host and nobody came back for."""
        await self._beginner.clean()

    async def look(self, item: Item) -> None:
        """See what stands at the target. Links there survive: the item then goes where they lead. Raises `Refused`."""
        if not item.new:
            item.target, item.existing = await self._resolve(item.target)
            item.new = item.existing is None

    async def send(self, item: Item) -> None:
        """Copy one file, after `look`. Raises `Refused`."""
        if self._task.dry_run:
            self._ledger.would(item.name, item.info.st_size, replace=item.existing is not None)
            return
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if item.follow else os.O_NOFOLLOW)
        try:
            descriptor = os.open(item.source, flags)
        except OSError as error:
            raise Refused(f"the local file cannot be read: {local_reason(error)}") from None
        try:
            item.info = info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise Refused("what is there is no longer a file")
            self._ledger.begin(item.name)
            reader = _Reader(descriptor, verify=self._task.verify)
            if 0 < info.st_size <= self._files.small:
                reader.hold(info.st_size)
                descriptor, held = -1, descriptor
                os.close(held)
            await self._write(reader, item)
            item.digest = reader.digest()
        except OSError as error:
            raise Refused(f"the local file cannot be read: {local_reason(error)}") from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        self._ledger.files += 1

    async def freshen(self, item: Item) -> None:
        """The content is there already: times as of the source's, and the mode where it was asked for."""
        old = item.existing
        assert old is not None
        self._ledger.unchanged(item.info.st_size)
        if self._task.dry_run:
            return
        mode = paths.mode_for(item.info.st_mode, old.mode, preserve=self._task.preserve, same_owner=True)
        if self._task.preserve and old.mode is not None and mode is not None and mode != old.mode & 0o7777:
            try:
                await self._files.setstat(item.target, Attributes(mode=mode, **times_of(item.info)))
            except SftpError as error:
                raise Refused(f"its mode could not be set: {remote_reason(error)}") from None
        elif old.mtime != int(item.info.st_mtime):
            with contextlib.suppress(SftpError):  # somebody else's file: its times are not ours to set
                await self._files.setstat(item.target, Attributes(**times_of(item.info)))

    async def link(self, text: bytes, target: bytes, name: bytes) -> None:
        """Make a link that says ``text``, in place of a link or file that is there. Raises `Refused`."""
        directory = paths.split(target)[0]
        try:
            found = await self._files.stat(target, follow=False)
            if found is not None and found.is_link and await self._files.readlink(target) == text:
                return
            if self._task.dry_run:
                self._ledger.would(name, 0, replace=found is not None)
                return
            if found is None:
                await self._files.symlink(text, target)
                self._ledger.links += 1
                return
            if found.is_directory or found.is_special:
                raise Refused("a directory or a device of that name is in the way on the host")
            temporary = temporary_name(target)
            self.leftovers.add(temporary)
            try:
                await self._files.symlink(text, temporary)
                await self._files.replace(temporary, target)
                self._ledger.links += 1
                self.leftovers.discard(temporary)
            finally:
                await self._remove(temporary)
        except SftpError as error:
            if error.code == PERMISSION_DENIED and error.text:  # it may be what the link says, and not the directory
                raise Refused(f"the host refuses this link: {error.text}") from None
            raise await self._cannot_write(error, directory, 0) from None

    async def _resolve(self, path: bytes) -> tuple[bytes, Attributes | None]:
        """Where a chain of links at ``path`` ends, and what stands there: the links themselves survive."""
        for _ in range(MAX_LINKS):
            try:
                found = await self._files.stat(path, follow=False)
                if found is None or not found.is_link:
                    break
                # not tidied up: a `..` after a directory that is itself a link means what the host's kernel says
                text = await self._files.readlink(path)
            except SftpError as error:
                raise Refused(f"cannot look at {typed(path)} on the host: {remote_reason(error)}") from None
            path = text if text.startswith(b"/") else paths.join(paths.split(path)[0], text)
        else:
            raise Refused("a circle of symlinks stands there on the host")
        if found is not None and found.is_directory:
            raise Refused(f"{typed(path)} is a directory on the host")
        if found is not None and found.is_special:
            raise Refused(f"{typed(path)} is a device, a FIFO or a socket on the host")
        return path, found

    # --- writing ---

    async def _write(self, reader: _Reader, item: Item) -> None:
        directory = paths.split(item.target)[0]
        size = item.info.st_size
        begun: Begun | None = None
        try:
            try:
                begun = await self._beginner.begin(
                    reader.descriptor, item.source, item.target, item.info, item.name, anew=self._task.force
                )
                await self._fill(begun, reader, item)
            except SftpError as error:
                raise await self._cannot_write(error, directory, size) from None
            await self._give_name(begun.path, item)
            self.leftovers.discard(begun.path)
        except (SftpGone, SftpStopped):
            if begun is not None and begun.worth_keeping:
                self.leftovers.discard(begun.path)
                self.kept.add(begun.path)
            raise
        finally:
            if begun is not None:
                try:
                    await self._remove(begun.path)
                finally:
                    begun.settle(left=begun.path in self.leftovers or begun.path in self.kept)

    async def _fill(self, begun: Begun, reader: _Reader, item: Item) -> None:
        """Write, dress and close the temporary file. Every status counts, the close's too."""
        size = item.info.st_size
        upload = begun.upload

        def moved(count: int) -> None:
            begun.arrived += count
            self._ledger.moved(count)

        try:
            reader.go_on(begun.before)
            await upload.fill(reader.read, begun.start, size, moved, begun.before)
            attributes = await self._dress(upload, item)
            await upload.finish(attributes, sync=self._task.sync or size > SYNCED)
        except FileShrank:
            raise Refused("the local file became shorter while it was read") from None
        finally:
            upload.abandon()

    async def _give_name(self, temporary: bytes, item: Item) -> None:
        target = item.target
        directory, name = paths.split(target)
        kept = b""
        if self._task.backup and item.existing is not None:
            kept = paths.join(directory, paths.backup_name(name, self._stamp))
            try:
                await self._files.keep(target, kept)
            except SftpError as error:
                raise Refused(f"the old file cannot be kept as {typed(kept)}: {remote_reason(error)}") from None
        try:
            await self._files.replace(temporary, target)
        except SftpError as error:
            if kept:
                await self._put_back(kept, target)
            if error.code == PERMISSION_DENIED:
                # a file could be made there, so it is the old one that may not go: a sticky directory such as /tmp
                what = f"no permission to replace {typed(target)} on the host"
                raise Refused(what, error.text or "it belongs to somebody else there") from None
            raise await self._cannot_write(error, directory, item.info.st_size) from None

    async def _put_back(self, kept: bytes, target: bytes) -> None:
        try:
            if await self._files.stat(target, follow=False) is None:
                await self._files.replace(kept, target)
            else:
                await self._files.remove(kept)
        except SftpError:
            self._ledger.note(f"the old file is at {typed(kept)}")

    async def _dress(self, upload: Upload, item: Item) -> Attributes:
        """Give the file its old owner, where that is permitted; the mode and times that come after it."""
        existing = item.existing
        same_owner = True
        if existing is not None and existing.uid is not None and existing.gid is not None:
            now = await upload.stat()
            same_owner = (now.uid, now.gid) == (existing.uid, existing.gid)
            for uid in (existing.uid, now.uid):
                if same_owner or uid is None:
                    break
                try:
                    await upload.chown(uid, existing.gid)
                except SftpError:
                    continue  # not permitted: only root gives files away
                same_owner = uid == existing.uid
                break
        mode = paths.mode_for(
            item.info.st_mode,
            existing.mode if existing is not None else None,
            preserve=self._task.preserve,
            same_owner=same_owner,
        )
        return Attributes(mode=mode, **times_of(item.info))

    async def _remove(self, temporary: bytes) -> None:
        """Remove a temporary file, if it is there, even when we have been told to stop."""
        if temporary not in self.leftovers:
            return
        try:
            await self._files.remove(temporary)
        except SftpError as error:
            if error.missing:
                self.leftovers.discard(temporary)
        except SftpGone:
            pass  # it keeps its name in `leftovers`
        else:
            self.leftovers.discard(temporary)

    async def _cannot_write(self, error: SftpError, directory: bytes, needed: int) -> Refused:
        """The reason in words, with a look at the disk while the unfinished file still fills it."""
        return refused_write(error, directory, await self._files.file_system(directory), needed)


class _Reader:
    """Reads a local file from its start to its end, and keeps its digest where it is to be verified.

    ``descriptor`` is -1 once all of it has been read.
    """

    def __init__(self, descriptor: int, *, verify: bool) -> None:
        self.descriptor = descriptor
        self._data: bytes | None = None
        self._digest = hashlib.sha256() if verify else None

    def hold(self, size: int) -> None:
        """Read all of it now, so that the file need not stay open. Raises OSError."""
        self._data = os.pread(self.descriptor, size, 0)
        self.descriptor = -1

    def go_on(self, before: hashlib._Hash | None) -> None:
        """What is read is what comes after the bytes that ``before`` is the digest of, if any."""
        if self._digest is not None and before is not None:
            self._digest = before.copy()

    def read(self, length: int, offset: int) -> bytes:
        """``length`` bytes from ``offset`` on, in order. Raises OSError."""
        if self._data is not None:
            data = self._data[offset : offset + length]
        else:
            data = os.pread(self.descriptor, length, offset)
        if self._digest is not None:
            self._digest.update(data)
        return data

    def digest(self) -> bytes | None:
        return None if self._digest is None else self._digest.digest()


def times_of(info: os.stat_result) -> dict[str, int]:
    """The source's times, as `Attributes` takes them."""
    return {"atime": int(info.st_atime), "mtime": int(info.st_mtime)}
