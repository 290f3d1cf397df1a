"""From this machine to a host: files and trees of them, many under way at once, and nothing that is there already.

Must not know the engine, nor how the far side does what it is asked. Remote names are bytes, and come from the request
and from the local tree only.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field

from hostshell.core import paths
from hostshell.core.model import Put
from hostshell.core.patterns import LeftOut
from hostshell.ssh import comparing, localdigests
from hostshell.ssh.abreast import Abreast
from hostshell.ssh.crew import Crew
from hostshell.ssh.parents import Parents, stands_there
from hostshell.ssh.partials import Claims
from hostshell.ssh.plan import MAX_DEPTH, Copied, Ledger, Refused, local_reason, refused_write, remote_reason, typed
from hostshell.ssh.remotefiles import RemoteFiles
from hostshell.ssh.sending import Item, Sender, times_of
from hostshell.ssh.sftpwire import Attributes, SftpError

MANY = 48  # names in a local directory from which on the host's is listed, instead of asked about each


@dataclass(slots=True)
class _Directory:
    """A local directory and where it goes; ``below`` is its path from the top of its tree, ``name`` is for people."""

    source: bytes
    target: bytes
    name: bytes
    below: bytes
    info: os.stat_result
    inside: frozenset[tuple[int, int]]  # the directories in which it is, to see a circle of links
    new: bool = False
    there: dict[bytes, Attributes] | None = None  # what the host's directory holds, where it was listed
    usable: bool = False
    entries: list[os.DirEntry[bytes]] = field(default_factory=list)


class Putting:
    """One put to one host."""

    def __init__(self, files: RemoteFiles, task: Put, host: str, ledger: Ledger, claims: Claims) -> None:
        self._files = files
        self._task = task
        self._host = host
        self._ledger = ledger
        self._crew = Crew(files)
        self._abreast = Abreast(self._crew, files, ledger)
        self._sender = Sender(files, task, ledger, claims)
        self._left_out = LeftOut(task.exclude)
        self._parents = Parents(files, ledger, dry_run=task.dry_run)
        self._alike: list[Item] = []  # files of the same size as what is there: to be compared
        self._sent: list[Item] = []  # to be verified
        self._dress: list[list[_Directory]] = []  # directories that get their mode and times at the end, by depth

    @property
    def leftovers(self) -> list[bytes]:
        """The temporary files that may have stayed on the host."""
        return sorted(self._sender.leftovers)

    @property
    def kept(self) -> list[bytes]:
        """The files on the host with which the same copy goes on."""
        return sorted(self._sender.kept)

    def run(self) -> Copied:
        """Carry it out. Raises `Refused` for the whole, `TransferError` for a part, `SftpGone`, `SftpStopped`."""
        self._crew.run(self._main())
        return self._ledger.close(dry_run=self._task.dry_run)

    async def _main(self) -> None:
        try:
            sources = self._task.sources
            several = len(sources) > 1
            for source in sources:
                try:
                    await self._source(source, several=several)
                except Refused as refused:
                    if not several:
                        raise
                    self._ledger.fail(os.fsencode(source), refused)
            await self._crew.settled()
            await self._compare()
            await self._crew.settled()
            await self._finish_directories()
            if not self._task.dry_run:
                await self._sender.clean()
            await self._verify()
        except BaseException:
            await self._crew.settled()
            if not self._ledger.files:
                await self._parents.take_back()
            raise

    async def _source(self, local: str, *, several: bool) -> None:
        source = os.fsencode(local)
        try:
            info = os.stat(source)
            name = paths.source_name(local, os.path.realpath(local))
        except OSError as error:
            raise Refused(f"cannot read {local}: {local_reason(error)}") from None
        is_directory = stat.S_ISDIR(info.st_mode)
        if not is_directory and not stat.S_ISREG(info.st_mode):
            raise Refused(f"{local} is neither a file nor a directory")
        shown_as = os.fsencode(name) or b"/"
        target = await self._aim(name, is_directory, several=several)
        self._ledger.lands(target, directory=is_directory)
        if is_directory:
            self._ledger.total += self._measure(source)
            await self._tree(_Directory(source, target, shown_as, b"", info, frozenset()))
        else:
            self._ledger.total += info.st_size
            item = Item(source, target, shown_as, info, follow=True)
            if several:
                await self._abreast.start(item.name, self._file(item), info.st_size)
            else:
                await self._file(item)
                await self._compare(alone=True)

    # --- where it goes ---

    async def _aim(self, name: str, is_directory: bool, *, several: bool) -> bytes:
        """The remote path that the source becomes; directories above it are there, or are made."""
        remote = self._task.remote
        path = paths.wire_path(remote)
        try:
            found = await self._files.stat(path)
        except SftpError as error:
            raise Refused(f"cannot look at {remote} on the host: {remote_reason(error)}") from None
        there: paths.There = "missing" if found is None else "directory" if found.is_directory else "file"
        into = paths.names_directory(remote)
        if several and not into:
            if there != "directory":
                hint = "" if found is not None else f"{remote}/ with --parents makes one"
                raise Refused(f"several sources need a directory, and {remote} is none on the host", hint)
            remote += "/"
        target = paths.remote_destination(remote, name, is_directory, there)
        if found is None:
            above = path if into else paths.split(path)[0]
            if self._task.parents:
                await self._parents.make(above)
            elif (into or is_directory) and not await stands_there(self._files, above):
                raise Refused(f"no such directory on the host: {typed(above)}", "--parents makes it")
        return target

    # --- files ---

    async def _file(self, item: Item) -> None:
        """Send a file, or put it among those that must be compared first."""
        if item.existing is None:
            await self._sender.look(item)
        if self._task.force or item.existing is None or item.existing.size != item.info.st_size:
            await self._send(item)
        else:
            self._alike.append(item)

    async def _send(self, item: Item) -> None:
        await self._sender.send(item)
        if self._task.verify and not self._task.dry_run:
            self._sent.append(item)

    async def _compare(self, *, alone: bool = False) -> None:
        """Send what is not the same; ``alone``: it is the whole copy, and what refuses it refuses all."""
        while self._alike:
            items, self._alike = self._alike[: comparing.AT_ONCE], self._alike[comparing.AT_ONCE :]
            alike = await comparing.same(self._files, [self._pair(item) for item in items], self._ledger)
            for item, same in zip(items, alike, strict=True):
                step = self._sender.freshen(item) if same else self._send(item)
                if alone:
                    await step
                else:
                    await self._abreast.start(item.name, step, 0 if same else item.info.st_size)

    def _pair(self, item: Item) -> comparing.Pair:
        def digest() -> bytes | None:
            if not item.follow and (known := localdigests.known(item.info)) is not None:
                return known
            return localdigests.of_path(item.source, lambda: self._files.stopping, follow=item.follow)

        there = None if item.existing is None else item.existing.mtime
        return comparing.Pair(item.name, item.info.st_size, item.target, digest, there, int(item.info.st_mtime))

    async def _verify(self) -> None:
        """What is on the host's disk must be what was sent."""
        while self._sent:
            items, self._sent = self._sent[: comparing.AT_ONCE], self._sent[comparing.AT_ONCE :]
            with self._ledger.comparing(sum(item.info.st_size for item in items)):
                digests = await self._files.digests([item.target for item in items])
            if digests is None:
                raise comparing.cannot_verify()
            for item in items:
                found = digests.of.get(item.target)
                if found is None:
                    self._ledger.fail(item.name, Refused("copied, but the host could not read it to verify it"))
                elif found != item.digest:
                    what = "what is on the host's disk is not what was sent"
                    self._ledger.fail(
                        item.name, comparing.differs(what, self._task, replaced=item.existing is not None)
                    )

    # --- trees ---

    def _measure(self, source: bytes) -> int:
        """The bytes of all files below ``source``, as far as it can be read; for the progress line only."""
        total = 0
        waiting = [source]
        while waiting and not self._files.stopping:
            with contextlib.suppress(OSError), os.scandir(waiting.pop()) as listing:
                for entry in listing:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        with contextlib.suppress(OSError):
                            total += entry.stat(follow_symlinks=False).st_size
        return total

    async def _tree(self, top: _Directory) -> None:
        """Copy a tree level by level: all directories of one depth are made at once."""
        level = [top]
        depth = 0
        while level:
            for directory in level:
                if directory is top:
                    try:
                        await self._enter(directory)
                    except Refused as refused:
                        if not self._ledger.begun:
                            raise
                        self._ledger.fail(directory.name, refused)
                else:
                    await self._abreast.start(directory.name, self._enter(directory))
            if directory is not top:
                await self._crew.settled()
            level = [directory for directory in level if directory.usable]
            dressed = [one for one in level if (one.new or self._task.preserve) and not self._task.dry_run]
            if depth == len(self._dress):
                self._dress.append([])
            self._dress[depth].extend(dressed)
            below: list[_Directory] = []
            for directory in level:
                for entry in directory.entries:
                    name = paths.join(directory.name, entry.name)
                    try:
                        await self._entry(entry, directory, name, depth, below)
                    except Refused as refused:
                        self._ledger.fail(name, refused)
                    except OSError as error:
                        reason = f"the local file cannot be read: {local_reason(error)}"
                        self._ledger.fail(name, Refused(reason))
                directory.entries = []
                directory.there = None
            level = below
            depth += 1

    async def _enter(self, directory: _Directory) -> None:
        """Read a local directory and make the host's, or see what is there."""
        try:
            with os.scandir(directory.source) as listing:
                directory.entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise Refused(f"the local file cannot be read: {local_reason(error)}") from None
        many = len(directory.entries) >= MANY
        if many and not directory.new:
            self._files.foresee_list(directory.target)  # before it is made, so that only one that was there is opened
        try:
            if not directory.new or not self._task.dry_run:
                directory.new = await self._make_for_tree(directory.target, directory.info.st_mode)
            if many and not directory.new:
                if not self._task.force:
                    self._files.foresee_digests()
                with contextlib.suppress(SftpError):  # too many names, or it may not be read: each is looked at then
                    listed = await self._files.list(directory.target, len(directory.entries))
                    directory.there = {one.name: one.attributes for one in listed}
        finally:
            if many:
                self._files.never_mind(directory.target)
        directory.usable = True

    async def _make_for_tree(self, path: bytes, mode: int) -> bool:
        """Make a directory of a tree that only we may write in until it is whole; False when it was there before."""
        try:
            if self._task.dry_run:
                found = await self._files.stat(path)
            else:
                found = await self._files.make(path, paths.unfinished_mode(mode))
                if found is None:
                    self._ledger.directories += 1
                    return True
        except SftpError as error:
            if await self._leads_nowhere(path):
                raise Refused("a symlink that leads nowhere is in the way on the host") from None
            directory = paths.split(path)[0]
            raise refused_write(error, directory, await self._files.file_system(directory), 0) from None
        if found is None:
            if await self._leads_nowhere(path):
                raise Refused("a symlink that leads nowhere is in the way on the host")
            return True
        if not found.is_directory:
            raise Refused("a file of that name is in the way on the host")
        return False

    async def _leads_nowhere(self, path: bytes) -> bool:
        """Whether something stands at a path of which a look that follows links says that nothing does."""
        try:
            return await self._files.stat(path, follow=False) is not None
        except SftpError:
            return False

    async def _entry(
        self, entry: os.DirEntry[bytes], directory: _Directory, name: bytes, depth: int, below: list[_Directory]
    ) -> None:
        """Start with one name of a local directory. Raises `Refused` and OSError."""
        info = entry.stat(follow_symlinks=False)
        path = paths.join(directory.below, entry.name) if directory.below else entry.name
        target = paths.join(directory.target, entry.name)
        followed = False
        if stat.S_ISLNK(info.st_mode) and self._task.follow:
            info = entry.stat(follow_symlinks=True)
            followed = True
        if self._left_out.has(path, stat.S_ISDIR(info.st_mode)):
            return
        if stat.S_ISLNK(info.st_mode):
            await self._abreast.start(name, self._sender.link(os.readlink(entry.path), target, name))
        elif stat.S_ISDIR(info.st_mode):
            if depth >= MAX_DEPTH:
                raise Refused(f"more than {MAX_DEPTH} directories deep")
            above = directory.inside | {(directory.info.st_dev, directory.info.st_ino)}
            if followed and (info.st_dev, info.st_ino) in above:
                raise Refused("a symlink that leads back to a directory in which it stands")
            below.append(_Directory(entry.path, target, name, path, info, above, new=directory.new))
        elif stat.S_ISREG(info.st_mode):
            item = Item(entry.path, target, name, info, new=directory.new, follow=followed)
            if directory.there is not None and not item.new:
                found = directory.there.get(entry.name)
                if found is None:
                    item.new = True
                elif found.mode is not None and stat.S_ISREG(found.mode) and found.size is not None:
                    item.existing = found
            if item.existing is not None and item.existing.size == info.st_size and not self._task.force:
                self._alike.append(item)
            else:
                await self._abreast.start(name, self._file(item), info.st_size)
        else:
            self._ledger.leave_out(name)

    async def _finish_directories(self) -> None:
        """Modes and times last of all: filling a directory changes its times, and a read-only one cannot be filled."""
        for level in reversed(self._dress):
            for directory in level:
                await self._abreast.start(directory.name, self._dress_directory(directory))
            await self._crew.settled()

    async def _dress_directory(self, directory: _Directory) -> None:
        info = directory.info
        try:
            await self._files.setstat(directory.target, Attributes(mode=info.st_mode & 0o1777, **times_of(info)))
        except SftpError as error:
            raise Refused(f"its mode and times could not be set: {remote_reason(error)}") from None
