"""From this machine to a host: a file, or a tree of them. Each file whole, under a temporary name first.

Must not know the engine. Remote names are bytes, and come from the request and from the local tree only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat

from hostshell.core import paths
from hostshell.core.model import Put
from hostshell.ssh.exchange import SftpGone, SftpStopped
from hostshell.ssh.pipeline import FileShrank, send_bytes
from hostshell.ssh.plan import MAX_DEPTH, Copied, Ledger, Refused, local_reason, refused_write, remote_reason, shown
from hostshell.ssh.sftp import Sftp
from hostshell.ssh.sftpwire import CREATE, EXCLUSIVE, PERMISSION_DENIED, WRITE, Attributes, SftpError

MAX_LINKS = 40  # symlinks in a row before we call it a circle; the kernel's own limit


class Putting:
    """One put to one host. ``leftover`` is the temporary file that may have stayed there, "" for none."""

    def __init__(self, sftp: Sftp, task: Put, ledger: Ledger) -> None:
        self._sftp = sftp
        self._task = task
        self._ledger = ledger
        self._made: list[bytes] = []  # directories made for --parents
        self.leftover = b""

    def run(self) -> Copied:
        """Carry it out. Raises `Refused` for the whole, `TransferError` for a part, `SftpGone`, `SftpStopped`."""
        source = os.fsencode(self._task.local)
        try:
            info = os.stat(source)
            name = paths.source_name(self._task.local, os.path.realpath(self._task.local))
        except OSError as error:
            raise Refused(f"cannot read {self._task.local}: {local_reason(error)}") from None
        is_directory = stat.S_ISDIR(info.st_mode)
        if not is_directory and not stat.S_ISREG(info.st_mode):
            raise Refused(f"{self._task.local} is neither a file nor a directory")
        shown_as = os.fsencode(name) or b"/"
        try:
            target = self._aim(name, is_directory)
            if is_directory:
                self._ledger.total = self._measure(source)
                self._tree(source, target, shown_as)
            else:
                self._ledger.total = info.st_size
                self._file(source, target, shown_as)
            return self._ledger.close()
        except BaseException:
            if not self._ledger.files:
                self._take_back()
            raise

    def _aim(self, name: str, is_directory: bool) -> bytes:
        """The remote path that the source becomes; directories above it are there, or are made."""
        remote = self._task.remote
        path = paths.wire_path(remote)
        try:
            found = self._sftp.stat(path)
        except SftpError as error:
            raise Refused(f"cannot look at {remote} on the host: {remote_reason(error)}") from None
        there: paths.There = "missing" if found is None else "directory" if found.is_directory else "file"
        target = paths.remote_destination(remote, name, is_directory, there)
        if found is None:
            above = path if paths.names_directory(remote) else paths.split(path)[0]
            if self._task.parents:
                self._make(above, 0)
            elif (paths.names_directory(remote) or is_directory) and not self._is_directory(above):
                raise Refused(f"no such directory on the host: {shown(above)}", "--parents makes it")
        return target

    def _is_directory(self, path: bytes) -> bool:
        try:
            found = self._sftp.stat(path)
        except SftpError:
            return True  # it may be there; what follows will tell better
        return found is not None and (found.is_directory or found.mode is None)

    def _make(self, path: bytes, depth: int) -> None:
        """Make a directory and those above it that are missing."""
        try:
            found = self._sftp.stat(path)
            if found is not None:
                if not found.is_directory:
                    raise Refused(f"not a directory on the host: {shown(path)}")
                return
            above = paths.split(path)[0]
            if above != path and depth < MAX_DEPTH:
                self._make(above, depth + 1)
            try:
                self._sftp.mkdir(path)
            except SftpError:
                # another host's copy may see the same disk and have been quicker
                if not self._is_directory(path):
                    raise
            else:
                self._made.append(path)
        except SftpError as error:
            raise Refused(f"cannot make the directory {shown(path)} on the host: {remote_reason(error)}") from None

    def _take_back(self) -> None:
        """Remove the directories that were made for a copy that did not come about."""
        try:
            with self._sftp.last_words():
                for path in reversed(self._made):
                    self._sftp.rmdir(path)
        except (SftpError, SftpGone):
            pass  # no longer empty, or out of reach
        self._made.clear()

    # --- trees ---

    def _measure(self, source: bytes) -> int:
        """The bytes of all files below ``source``, as far as it can be read; for the progress line only."""
        total = 0
        for directory, _, files in os.walk(source):
            if self._sftp.stopping:
                raise SftpStopped
            for name in files:
                with contextlib.suppress(OSError):
                    info = os.lstat(paths.join(directory, name))
                    total += info.st_size if stat.S_ISREG(info.st_mode) else 0
        return total

    def _tree(self, source: bytes, target: bytes, name: bytes) -> None:
        try:
            self._directory(source, target, name, 0)
        except Refused as refused:
            if not self._ledger.begun:
                raise
            self._ledger.fail(name, refused)

    def _directory(self, source: bytes, target: bytes, name: bytes, depth: int) -> None:
        """Copy what is in ``source`` into ``target``, which is made if missing. ``name`` is for people."""
        try:
            info = os.stat(source)
            with os.scandir(source) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise Refused(f"the local file cannot be read: {local_reason(error)}") from None
        if depth > MAX_DEPTH:
            raise Refused(f"more than {MAX_DEPTH} directories deep")
        new = self._make_for_tree(target)
        for entry in entries:
            below = paths.join(name, entry.name)
            try:
                self._entry(entry, paths.join(target, entry.name), below, depth, new)
            except Refused as refused:
                self._ledger.fail(below, refused)
        if new or self._task.preserve:
            # last of all: filling a directory changes its times, and a read-only one cannot be filled
            try:
                self._sftp.setstat(target, Attributes(mode=info.st_mode & 0o1777, **_times(info)))
            except SftpError as error:
                raise Refused(f"its mode and times could not be set: {remote_reason(error)}") from None

    def _entry(self, entry: os.DirEntry[bytes], target: bytes, name: bytes, depth: int, new: bool) -> None:
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                self._link(os.readlink(entry.path), target)
            elif stat.S_ISDIR(mode):
                self._directory(entry.path, target, name, depth + 1)
            elif stat.S_ISREG(mode):
                self._file(entry.path, target, name, new=new, follow=False)
            else:
                self._ledger.leave_out(name)
        except OSError as error:
            raise Refused(f"the local file cannot be read: {local_reason(error)}") from None

    def _make_for_tree(self, path: bytes) -> bool:
        """Make a directory of a tree, open to us alone until it is whole; False when it was there before."""
        try:
            self._sftp.mkdir(path, 0o700)
        except SftpError as error:
            try:
                found = self._sftp.stat(path)
            except SftpError:
                found = None
            if found is None:
                if self._sftp.stat(path, follow=False) is not None:
                    raise Refused("a symlink that leads nowhere is in the way on the host") from None
                raise self._cannot_write(error, paths.split(path)[0], 0) from None
            if not found.is_directory:
                raise Refused("a file of that name is in the way on the host") from None
            return False
        return True

    def _link(self, text: bytes, target: bytes) -> None:
        """Make a link that says ``text``, in place of a link or file that is there."""
        try:
            found = self._sftp.stat(target, follow=False)
            if found is None:
                self._sftp.symlink(text, target)
                return
            if found.is_directory or found.is_special:
                raise Refused("a directory or a device of that name is in the way on the host")
            self.leftover = self._temporary(target)
            self._sftp.symlink(text, self.leftover)
            self._sftp.replace(self.leftover, target)
            self.leftover = b""
        except SftpError as error:
            raise self._cannot_write(error, paths.split(target)[0], 0) from None
        finally:
            self._remove_leftover()

    # --- one file ---

    def _file(self, source: bytes, target: bytes, name: bytes, *, new: bool = False, follow: bool = True) -> None:
        """Copy one file to exactly ``target``. ``new``: nothing can be there. Raises `Refused`."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        try:
            descriptor = os.open(source, flags)
        except OSError as error:
            raise Refused(f"the local file cannot be read: {local_reason(error)}") from None
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise Refused("what is there is no longer a file")
            self._ledger.begin(name)
            existing = None
            if not new:
                target, existing = self._resolve(target)
            self._write(descriptor, info, target, existing)
        finally:
            os.close(descriptor)
        self._ledger.files += 1

    def _resolve(self, path: bytes) -> tuple[bytes, Attributes | None]:
        """Where a chain of links at ``path`` ends, and what stands there: the links themselves survive."""
        for _ in range(MAX_LINKS):
            try:
                found = self._sftp.stat(path, follow=False)
                if found is None or not found.is_link:
                    break
                # not tidied up: a `..` after a directory that is itself a link means what the host's kernel says
                text = self._sftp.readlink(path)
            except SftpError as error:
                raise Refused(f"cannot look at {shown(path)} on the host: {remote_reason(error)}") from None
            path = text if text.startswith(b"/") else paths.join(paths.split(path)[0], text)
        else:
            raise Refused("a circle of symlinks stands there on the host")
        if found is not None and found.is_directory:
            raise Refused(f"{shown(path)} is a directory on the host")
        if found is not None and found.is_special:
            raise Refused(f"{shown(path)} is a device, a FIFO or a socket on the host")
        return path, found

    def _write(self, descriptor: int, info: os.stat_result, target: bytes, existing: Attributes | None) -> None:
        directory = paths.split(target)[0]
        temporary = self._temporary(target)
        self.leftover = temporary  # from the moment that the request is out
        try:
            try:
                handle = self._sftp.open(temporary, WRITE | CREATE | EXCLUSIVE, Attributes(mode=0o600))
            except SftpError as error:
                self.leftover = b""
                raise self._cannot_write(error, directory, info.st_size) from None
            try:
                self._fill(handle, descriptor, info, existing)
            except SftpError as error:
                raise self._cannot_write(error, directory, info.st_size) from None
            try:
                self._sftp.replace(temporary, target)
            except SftpError as error:
                if error.code == PERMISSION_DENIED:
                    # a file could be made there, so it is the old one that may not go: a sticky directory such as /tmp
                    what = f"no permission to replace {shown(target)} on the host"
                    raise Refused(what, error.text or "it belongs to somebody else there") from None
                raise self._cannot_write(error, directory, info.st_size) from None
            self.leftover = b""
        finally:
            self._remove_leftover()

    def _fill(self, handle: bytes, descriptor: int, info: os.stat_result, existing: Attributes | None) -> None:
        """Write, dress and close the temporary file. Every status counts, the close's too."""

        def read(length: int, offset: int) -> bytes:
            try:
                return os.pread(descriptor, length, offset)
            except OSError as error:
                raise Refused(f"the local file cannot be read: {local_reason(error)}") from None

        try:
            send_bytes(self._sftp, handle, read, info.st_size, self._ledger.moved)
            self._dress(handle, info, existing)
        except FileShrank:
            self._sftp.drop_handle(handle)
            raise Refused("the local file became shorter while it was read") from None
        except (SftpError, Refused):
            self._sftp.drop_handle(handle)
            raise
        self._sftp.close_handle(handle)

    def _dress(self, handle: bytes, info: os.stat_result, existing: Attributes | None) -> None:
        """Owner, mode and times of the new file, in this order: a change of owner may clear mode bits."""
        same_owner = True
        if existing is not None and existing.uid is not None:
            now = self._sftp.fstat(handle)
            same_owner = (now.uid, now.gid) == (existing.uid, existing.gid)
            for uid, gid in ((existing.uid, existing.gid), (now.uid, existing.gid)):
                if same_owner:
                    break
                try:
                    self._sftp.fsetstat(handle, Attributes(uid=uid, gid=gid))
                except SftpError:
                    continue  # not permitted: only root gives files away
                same_owner = uid == existing.uid
                break
        mode = paths.mode_for(
            info.st_mode,
            existing.mode if existing is not None else None,
            preserve=self._task.preserve,
            same_owner=same_owner,
        )
        self._sftp.fsetstat(handle, Attributes(mode=mode, **_times(info)))

    def _temporary(self, target: bytes) -> bytes:
        directory, name = paths.split(target)
        return paths.join(directory, paths.part_name(name, secrets.token_hex(6)))

    def _remove_leftover(self) -> None:
        """Remove the temporary file, if one is there, even when we have been told to stop."""
        if not self.leftover:
            return
        try:
            with self._sftp.last_words():
                self._sftp.remove(self.leftover)
        except SftpError as error:
            if error.missing:
                self.leftover = b""
        except SftpGone:
            pass  # it keeps its name in `leftover`
        else:
            self.leftover = b""

    def _cannot_write(self, error: SftpError, directory: bytes, needed: int) -> Refused:
        """The reason in words, with a look at the disk while the unfinished file still fills it."""
        return refused_write(error, directory, self._sftp.file_system(directory), needed)


def _times(info: os.stat_result) -> dict[str, int]:
    return {"atime": int(info.st_atime), "mtime": int(info.st_mtime)}
