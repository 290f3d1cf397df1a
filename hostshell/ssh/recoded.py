"""A far side whose names are not UTF-8: paths and names are translated both ways, so that put and get need not know.

Here names are UTF-8, there they are in the host's encoding. Whatever is no valid text in either travels byte for byte.
Must not know what is copied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from hostshell.core.clean import clean
from hostshell.core.encodings import decode, encode
from hostshell.ssh.remotefiles import Digests, Download, RemoteFiles, Upload
from hostshell.ssh.sftpwire import FAILURE, Attributes, Entry, FileSystem, SftpError


class Names:
    """Names between here (UTF-8) and a host that has them in ``encoding``. ASCII is the same on both sides.

    A name that would not come back as it was is kept in mind, so that the host gets its own bytes again.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._kept: dict[bytes, bytes] = {}  # here to there, for names that say it only so
        self._met: set[bytes] = set()  # names of the host's that come back by themselves

    def there(self, path: bytes) -> bytes:
        """A path of ours as the host's bytes. Raises `SftpError` where its encoding lacks a character."""
        if path.isascii():
            return path
        return b"/".join(self._kept.get(part) or self._plain(part) for part in path.split(b"/"))

    def here(self, path: bytes) -> bytes:
        """A path of the host's as ours. Raises `SftpError` where two names of the host's would be one here."""
        if path.isascii():
            return path
        return b"/".join(self._ours(part) for part in path.split(b"/"))

    def _plain(self, part: bytes) -> bytes:
        try:
            return encode(decode(part), self._encoding)
        except UnicodeEncodeError:
            raise SftpError(FAILURE, f"the name {clean(decode(part))} cannot be said in {self._encoding}") from None

    def _ours(self, part: bytes) -> bytes:
        ours = encode(decode(part, self._encoding))
        try:
            same = self._plain(ours) == part
        except SftpError:
            same = False
        # one name here must not stand for two of the host's
        if ours in self._kept if same else (ours in self._met or self._kept.get(ours, part) != part):
            raise SftpError(FAILURE, f"two names of the host would be one here: {clean(decode(ours))}")
        if same:
            self._met.add(ours)
        else:
            self._kept[ours] = part
        return ours


class Recoded:
    """`RemoteFiles` over another one, with names as `Names` says."""

    def __init__(self, files: RemoteFiles, encoding: str) -> None:
        self._files = files
        self._names = Names(encoding)

    # --- as they are ---

    @property
    def stopping(self) -> bool:
        """As below."""
        return self._files.stopping

    def heed(self) -> None:
        """As below."""
        self._files.heed()

    def next_reply(self) -> tuple[int, Any]:
        """As below."""
        return self._files.next_reply()

    def keep_reply(self, number: int, reply: Any) -> None:
        """As below."""
        self._files.keep_reply(number, reply)

    @property
    def small(self) -> int:
        """As below."""
        return self._files.small

    def close(self) -> None:
        """As below."""
        self._files.close()

    def foresee_digests(self) -> None:
        """As below."""
        self._files.foresee_digests()

    # --- names that come from the host ---

    async def list(self, path: bytes, expected: int = 0) -> list[Entry]:
        """The entries of a directory."""
        here = self._names.here
        listed = await self._files.list(self._names.there(path), expected)
        found = [Entry(here(one.name), one.attributes) for one in listed]
        if len({one.name for one in found}) < len(found):
            raise SftpError(FAILURE, "two names of the host would be one here")
        return found

    async def readlink(self, path: bytes) -> bytes:
        """The text of a symbolic link."""
        return self._names.here(await self._files.readlink(self._names.there(path)))

    async def canonical(self, path: bytes) -> bytes:
        """The path without symlinks."""
        return self._names.here(await self._files.canonical(self._names.there(path)))

    async def digests(self, paths: Sequence[bytes], meanwhile: Callable[[], None] = lambda: None) -> Digests | None:
        """SHA-256 of many files; one whose name cannot be said is not among them."""
        asked: dict[bytes, bytes] = {}
        for path in paths:
            try:
                asked[self._names.there(path)] = path
            except SftpError:
                continue
        found = await self._files.digests(list(asked), meanwhile)
        return found and Digests(found.tool, {asked[path]: digest for path, digest in found.of.items()})

    # --- names that go to the host ---

    def foresee_list(self, path: bytes) -> None:
        """Begin to list; a name that cannot be said is refused later."""
        with contextlib.suppress(SftpError):
            self._files.foresee_list(self._names.there(path))

    def never_mind(self, path: bytes) -> None:
        """It is not listed."""
        with contextlib.suppress(SftpError):
            self._files.never_mind(self._names.there(path))

    async def stat(self, path: bytes, *, follow: bool = True) -> Attributes | None:
        """What stands at ``path``."""
        return await self._files.stat(self._names.there(path), follow=follow)

    async def file_system(self, path: bytes) -> FileSystem | None:
        """The file system that holds ``path``."""
        return await self._files.file_system(self._names.there(path))

    async def create(self, path: bytes) -> Upload:
        """Make a new file."""
        return await self._files.create(self._names.there(path))

    async def reopen(self, path: bytes) -> Upload:
        """Go on with a file."""
        return await self._files.reopen(self._names.there(path))

    async def open(self, path: bytes) -> Download:
        """Open a file for reading."""
        return await self._files.open(self._names.there(path))

    async def setstat(self, path: bytes, attributes: Attributes) -> None:
        """Set attributes."""
        await self._files.setstat(self._names.there(path), attributes)

    async def mkdir(self, path: bytes, mode: int | None = None) -> None:
        """Make a directory."""
        await self._files.mkdir(self._names.there(path), mode)

    async def make(self, path: bytes, mode: int) -> Attributes | None:
        """Make a directory, or see what stands there."""
        return await self._files.make(self._names.there(path), mode)

    async def rmdir(self, path: bytes) -> None:
        """Remove an empty directory."""
        await self._files.rmdir(self._names.there(path))

    async def remove(self, path: bytes) -> None:
        """Remove a file or a link."""
        await self._files.remove(self._names.there(path))

    async def symlink(self, text: bytes, path: bytes) -> None:
        """Make a link."""
        await self._files.symlink(self._names.there(text), self._names.there(path))

    async def replace(self, source: bytes, target: bytes) -> None:
        """Rename over what is there."""
        await self._files.replace(self._names.there(source), self._names.there(target))

    async def keep(self, path: bytes, backup: bytes) -> None:
        """Let a file be found at another name too."""
        await self._files.keep(self._names.there(path), self._names.there(backup))

    async def digest_of_start(
        self, path: bytes, size: int, meanwhile: Callable[[], None] = lambda: None
    ) -> bytes | None:
        """SHA-256 of the first bytes of a file."""
        return await self._files.digest_of_start(self._names.there(path), size, meanwhile)
