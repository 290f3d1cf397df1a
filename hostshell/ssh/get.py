"""From a host to this machine: files and trees of them, many under way at once, and nothing that is here already.

Must not know the engine, nor how the far side does what it is asked, and must not trust the host: names in listings are
checked, links are kept and not followed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from hostshell.core import paths
from hostshell.core.model import Get
from hostshell.core.patterns import LeftOut, is_glob, matcher
from hostshell.ssh import comparing
from hostshell.ssh.abreast import Abreast
from hostshell.ssh.crew import Crew
from hostshell.ssh.landing import Folder, Landing
from hostshell.ssh.plan import MAX_DEPTH, Copied, Ledger, Refused, remote_reason, shown
from hostshell.ssh.receiving import Arrival, Receiver
from hostshell.ssh.remotefiles import RemoteFiles
from hostshell.ssh.sftpwire import Attributes, Entry, SftpError

MAX_MATCHES = 100_000  # paths that a glob may mean
MAX_FOLDERS = 200_000  # of one tree: they wait in memory for their modes and times, and a server may never end


@dataclass(slots=True)
class _Directory:
    """A directory of the host and the folder for it; ``below`` is its path from the top of its tree."""

    remote: bytes
    name: bytes
    below: bytes
    found: Attributes | None
    parent: Folder
    local: bytes  # its name in ``parent``; "" for ``parent`` itself
    inside: frozenset[bytes] = frozenset()  # where it really is and those above it, once links are followed
    folder: Folder | None = None
    entries: list[Entry] = field(default_factory=list)


class Getting:
    """One get from one host. ``leftovers`` is there for symmetry with put: a get leaves nothing on the host."""

    leftovers: tuple[bytes, ...] = ()

    @property
    def kept(self) -> list[bytes]:
        """The files on this machine with which the same copy goes on."""
        return sorted(self._receiver.kept)

    def __init__(self, files: RemoteFiles, task: Get, host: str, ledger: Ledger) -> None:
        self._files = files
        self._task = task
        self._host = host
        self._ledger = ledger
        self._crew = Crew(files)
        self._abreast = Abreast(self._crew, files, ledger)
        self._receiver = Receiver(files, task, host, ledger)
        self._left_out = LeftOut(task.exclude)
        self._landings: dict[bytes, Landing] = {}
        self._alike: list[Arrival] = []
        self._got: list[Arrival] = []
        self._folders: list[list[_Directory]] = []
        self._count = 0

    def run(self) -> Copied:
        """Carry it out. Raises `Refused` for the whole, `TransferError` for a part, `SftpGone`, `SftpStopped`."""
        try:
            self._crew.run(self._main())
            return self._ledger.close(dry_run=self._task.dry_run)
        except BaseException:
            if not self._ledger.files:
                for landing in self._landings.values():
                    landing.take_back()
            raise
        finally:
            for landing in self._landings.values():
                landing.close()

    async def _main(self) -> None:
        try:
            sources: list[tuple[str, Attributes]] = []
            several = len(self._task.sources) > 1
            for text in self._task.sources:
                try:
                    found = await self._matches(text)
                except Refused as refused:
                    if not several:
                        raise
                    self._ledger.fail(os.fsencode(text), refused)
                    continue
                several = several or len(found) > 1
                sources += found
            if several:
                self._refuse_meeting([text for text, _ in sources])
            for text, attributes in sources:
                try:
                    await self._source(text, attributes, several=several)
                except Refused as refused:
                    if not several:
                        raise
                    self._ledger.fail(os.fsencode(text), refused)
            await self._crew.settled()
            await self._compare()
            await self._crew.settled()
            self._finish_folders()
            await self._verify()
        except BaseException:
            await self._crew.settled()
            raise

    def _refuse_meeting(self, sources: list[str]) -> None:
        """Several sources go side by side into a directory: no two may become the same path."""
        if not paths.names_directory(self._task.local):
            raise Refused(f"several files cannot all become {self._task.local}", "end -local in / to name a directory")
        taken: dict[str, str] = {}
        for text in sources:
            other = taken.setdefault(paths.own_name(text), text)
            if other != text:
                raise Refused(_shown(f"{other} and {text} would both be written as {paths.own_name(text)}"))

    async def _source(self, text: str, found: Attributes, *, several: bool) -> None:
        if found.is_special:
            raise Refused(f"{_shown(text)} is a device, a FIFO or a socket on the host")
        directory, name = self._aim(text, found.is_directory)
        if several and not name:
            raise Refused(f"{_shown(text)} has no name of its own on the host")
        self._ledger.lands(paths.join(directory, name), directory=found.is_directory)
        landing = self._landings.get(directory)
        if landing is None:
            landing = self._landings[directory] = Landing(directory, os.fsencode(self._host))
        remote = paths.wire_path(text)
        if found.is_directory:
            await self._tree(_Directory(remote, name, b"", found, landing.top(), name))
        else:
            self._ledger.total += found.size or 0
            arrival = Arrival(remote, landing.top(), name, name, found, called=_shown(text))
            if several:
                await self._abreast.start(name, self._file(arrival), found.size or 0)
            else:
                await self._file(arrival)
                await self._compare(alone=True)

    def _aim(self, text: str, is_directory: bool) -> tuple[bytes, bytes]:
        """The local directory and the name in it; "" for a tree whose contents go straight into the directory."""
        own_name = paths.own_name(text)
        directory, name = (os.fsencode(part) for part in paths.landing(self._task.local, own_name))
        if is_directory:
            return directory, name
        if not self._task.local.endswith("/"):
            there = paths.join(directory, name)
            if os.path.isdir(there) and not os.path.islink(there):
                # as with put: a file aimed at a directory that is there goes into it
                directory, name = there, os.fsencode(own_name)
        if not name:
            raise Refused(f"{text} is no directory on the host, and has no name of its own")
        return directory, name

    # --- what a path means on the host ---

    async def _matches(self, text: str) -> list[tuple[str, Attributes]]:
        """What ``text`` means: what has that very name, else what its glob matches. Never empty. Raises `Refused`."""
        try:
            found = await self._files.stat(paths.wire_path(text))
        except SftpError as error:
            raise Refused(f"cannot look at {text} on the host: {remote_reason(error)}") from None
        if found is not None:
            return [(text, found)]
        if not is_glob(text):
            raise Refused(f"no such file or directory on the host: {text}")
        matched = [one async for one in self._expand(text)]
        if not matched:
            raise Refused(f"nothing on the host matches {text}")
        return matched

    async def _expand(self, text: str) -> AsyncIterator[tuple[str, Attributes]]:
        """The paths that a glob means, in order, with what stands there."""
        top = "/" if text.startswith("/") else ""
        parts = [part for part in text.split("/") if part]
        if parts[:1] == ["~"]:
            top, parts = "~/", parts[1:]
        here = [top]
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            if not is_glob(part):
                here = [f"{path}{part}" + ("" if last else "/") for path in here]
                continue
            fits = matcher(part)
            matched: list[str] = []
            for path in here:
                with contextlib.suppress(SftpError):  # what cannot be listed matches nothing, as in a shell
                    names = sorted(entry.name for entry in await self._files.list(paths.wire_path(path or ".")))
                    matched += [
                        (path or "./" * name.startswith(b"~")) + os.fsdecode(name) + ("" if last else "/")
                        for name in names  # one that is called ~ is not the home directory
                        if fits(name) and not paths.unsafe_name(name)
                    ]
                if len(matched) > MAX_MATCHES:
                    raise Refused(f"{text} matches more than {MAX_MATCHES} paths on the host")
            here = matched
        for path in here:
            with contextlib.suppress(SftpError):
                found = await self._files.stat(paths.wire_path(path))
                if found is not None:
                    yield path, found

    # --- files ---

    async def _file(self, arrival: Arrival) -> None:
        """Fetch a file, or put it among those that must be compared first."""
        here = arrival.folder.look(arrival.local)
        arrival.replaces = here is not None
        arrival.here = here if here is not None and here.st_size == arrival.found.size else None
        alike = arrival.here is not None and not self._task.force
        if alike and arrival.found.size:
            self._alike.append(arrival)
        elif alike and await self._receiver.empty(arrival):
            self._receiver.freshen(arrival)
        else:
            await self._fetch(arrival)

    async def _fetch(self, arrival: Arrival) -> None:
        await self._receiver.fetch(arrival)
        if self._task.verify and not self._task.dry_run:
            self._got.append(arrival)

    async def _compare(self, *, alone: bool = False) -> None:
        """Fetch what is not the same; ``alone``: it is the whole copy, and what refuses it refuses all."""
        while self._alike:
            arrivals, self._alike = self._alike[: comparing.AT_ONCE], self._alike[comparing.AT_ONCE :]
            alike = await comparing.same(self._files, [self._pair(arrival) for arrival in arrivals], self._ledger)
            for arrival, same in zip(arrivals, alike, strict=True):
                if same:
                    self._receiver.freshen(arrival)
                elif alone:
                    await self._fetch(arrival)
                else:
                    await self._abreast.start(arrival.name, self._fetch(arrival), arrival.found.size or 0)

    def _pair(self, arrival: Arrival) -> comparing.Pair:
        def digest() -> bytes | None:
            return arrival.folder.digest(arrival.local, lambda: self._files.stopping)

        here, found = 0 if arrival.here is None else int(arrival.here.st_mtime), arrival.found
        return comparing.Pair(arrival.name, found.size or 0, arrival.remote, digest, found.mtime, here)

    async def _verify(self) -> None:
        """What is on this disk must be what is on the host's."""
        while self._got:
            arrivals, self._got = self._got[: comparing.AT_ONCE], self._got[comparing.AT_ONCE :]
            here: list[bytes | None] = []

            def read_here(arrivals: list[Arrival] = arrivals, here: list[bytes | None] = here) -> None:
                here.extend(one.folder.digest(one.local, lambda: self._files.stopping) for one in arrivals)

            with self._ledger.comparing(sum(one.found.size or 0 for one in arrivals)):
                digests = await self._files.digests([one.remote for one in arrivals], read_here)
            if digests is None:
                raise comparing.cannot_verify()
            for arrival, digest in zip(arrivals, here, strict=True):
                found = digests.of.get(arrival.remote)
                if found is None:
                    self._ledger.fail(arrival.name, Refused("copied, but the host could not read it to verify it"))
                elif found != digest:
                    what = "what came is not what is on the host's disk"
                    self._ledger.fail(arrival.name, comparing.differs(what, self._task, replaced=arrival.replaces))

    # --- trees ---

    async def _tree(self, top: _Directory) -> None:
        """Copy a tree level by level: all directories of one depth are listed at once."""
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
                        self._ledger.fail(directory.name or b"/", refused)
                else:
                    await self._abreast.start(directory.name, self._enter(directory))
            if level[0] is not top:
                await self._crew.settled()
            if depth == len(self._folders):
                self._folders.append([])
            below: list[_Directory] = []
            for directory in level:
                if directory.folder is None:
                    continue
                self._folders[depth].append(directory)
                for entry in directory.entries:
                    name = paths.join(directory.name, entry.name) if directory.name else entry.name
                    try:
                        unsafe = paths.unsafe_name(entry.name)
                        if unsafe:
                            raise Refused(f"refused: {unsafe}")
                        await self._entry(entry, directory, name, depth, below)
                    except Refused as refused:
                        self._ledger.fail(name, refused)
                directory.entries = []
            level = below
            depth += 1

    async def _enter(self, directory: _Directory) -> None:
        """List a directory of the host, then make the folder for it: the host must first show what is in it."""
        try:
            directory.entries = sorted(await self._files.list(directory.remote), key=lambda entry: entry.name)
        except SftpError as error:
            raise Refused(f"the directory cannot be read: {remote_reason(error)}") from None
        for entry in directory.entries:
            if not (entry.attributes.is_directory or entry.attributes.is_link or entry.attributes.is_special):
                self._ledger.total += entry.attributes.size or 0
        self._count += 1
        if self._count > MAX_FOLDERS:
            raise Refused(f"more than {MAX_FOLDERS} directories")
        mode = None if directory.found is None else directory.found.mode
        folder = directory.parent.below(directory.local, mode) if directory.local else directory.parent
        if not self._task.dry_run:
            folder.make()
            self._ledger.directories += folder.new
        directory.folder = folder

    async def _entry(
        self, entry: Entry, directory: _Directory, name: bytes, depth: int, below: list[_Directory]
    ) -> None:
        """Start with one name that the host lists. Raises `Refused`."""
        assert directory.folder is not None
        remote = paths.join(directory.remote, entry.name)
        path = paths.join(directory.below, entry.name) if directory.below else entry.name
        found: Attributes | None = entry.attributes
        followed = False
        try:
            if entry.attributes.mode is None:
                found = await self._files.stat(remote, follow=False)
            if found is not None and found.is_link and self._task.follow:
                found = await self._files.stat(remote)
                followed = True
        except SftpError as error:
            raise Refused(f"cannot be read: {remote_reason(error)}") from None
        if found is None:
            raise Refused("it is gone from the host" if not followed else "a symlink that leads nowhere")
        if self._left_out.has(path, found.is_directory):
            return
        if found.is_link:
            await self._abreast.start(name, self._receiver.link(remote, directory.folder, entry.name, name))
        elif found.is_directory:
            if depth >= MAX_DEPTH:
                raise Refused(f"more than {MAX_DEPTH} directories deep")
            inside = await self._inside(directory, remote) if self._task.follow else frozenset()
            below.append(_Directory(remote, name, path, found, directory.folder, entry.name, inside))
        elif found.is_special:
            self._ledger.leave_out(name)
        else:
            arrival = Arrival(remote, directory.folder, entry.name, name, found)
            await self._abreast.start(name, self._file(arrival), found.size or 0)

    async def _inside(self, directory: _Directory, remote: bytes) -> frozenset[bytes]:
        """Where a directory really is, and those that lead to it. Raises `Refused` for one that is in itself."""
        try:
            above = directory.inside or frozenset([await self._files.canonical(directory.remote)])
            here = await self._files.canonical(remote)
        except SftpError as error:
            raise Refused(f"cannot be read: {remote_reason(error)}") from None
        if here in above:
            raise Refused("a symlink that leads back to a directory in which it stands")
        return above | {here}

    def _finish_folders(self) -> None:
        """Modes and times last of all: filling a folder changes its times, and a read-only one cannot be filled."""
        if self._task.dry_run:
            return
        for level in reversed(self._folders):
            for directory in level:
                folder, found = directory.folder, directory.found
                if folder is None or found is None or not directory.local:
                    continue
                if folder.new or self._task.preserve:
                    try:
                        folder.dress(found.mode, times_of(found))
                    except Refused as refused:
                        self._ledger.fail(directory.name, refused)


def _shown(text: str) -> str:
    """Paths for a sentence: those of a glob were chosen by a host."""
    return shown(os.fsencode(text))


def times_of(found: Attributes) -> tuple[int, int] | None:
    """Times for `os.utime`, or None where the host does not say."""
    if found.atime is None or found.mtime is None:
        return None
    return found.atime, found.mtime
