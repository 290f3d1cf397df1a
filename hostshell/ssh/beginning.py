"""How an upload begins: under a new temporary name, or with the partial that an earlier try of the same copy left.

A partial is gone on with only where it is a plain file of the login's own that nobody else may write, and where what is
in it is how the source begins, by SHA-256. Must not know trees, nor how an upload goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from dataclasses import dataclass

from hostshell.core import paths
from hostshell.ssh import localdigests
from hostshell.ssh.partials import CANNOT_GO_ON, LEAST, Claim, Claims
from hostshell.ssh.plan import Ledger
from hostshell.ssh.remotefiles import RemoteFiles, SftpGone, SftpStopped, Unsettled, Upload
from hostshell.ssh.sftpwire import Attributes, SftpError


@dataclass(slots=True)
class Begun:
    """An upload under way to ``path``. ``start`` bytes were there already; ``before`` is their running SHA-256.

    ``claim``: where a later try may go on with it, unless ``anew``: the same copy again would not. ``arrived``: bytes
    that are known to be there.
    """

    path: bytes
    upload: Upload
    claim: Claim | None = None
    start: int = 0
    before: hashlib._Hash | None = None
    arrived: int = 0
    anew: bool = False

    @property
    def worth_keeping(self) -> bool:
        """Whether a later try would go on with it."""
        return self.claim is not None and not self.anew and self.arrived >= LEAST

    def settle(self, *, left: bool) -> None:
        """It is over. ``left``: its file may still be there under ``path``."""
        if self.claim is not None:
            self.claim.settle(left=left)


class Beginner:
    """Begins uploads to one host.

    ``leftovers``, temporary files that may be there now, and ``kept``, those with which a later try goes on, are kept
    by whoever owns them.
    """

    def __init__(
        self, files: RemoteFiles, claims: Claims, ledger: Ledger, leftovers: set[bytes], kept: set[bytes]
    ) -> None:
        self._files = files
        self._claims = claims
        self._ledger = ledger
        self._leftovers = leftovers
        self._kept = kept

    async def begin(
        self, descriptor: int, source: bytes, target: bytes, info: os.stat_result, name: bytes, *, anew: bool
    ) -> Begun:
        """Begin with a file of ``info``, open as ``descriptor`` (-1: it is short, and read already).

        ``anew``: not with what an earlier try left. Raises `SftpError`.
        """
        claim = None
        if info.st_size >= LEAST and descriptor >= 0:
            version = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
            claim = self._claims.claim(os.path.abspath(source), target, version)
        if claim is None:
            return await self._create(temporary_name(target))
        try:
            await self._clear(claim)
            begun = await self._first(claim)
            if begun is None and not anew:
                with contextlib.suppress(SftpError):
                    begun = await self._go_on(claim, descriptor, info.st_size, name)
            if begun is None:
                with contextlib.suppress(SftpError):
                    await self._files.remove(claim.path)
                    begun = await self._create(claim.path, claim)
        except BaseException as error:
            claim.settle(left=not isinstance(error, SftpError))
            raise
        if begun is None:  # somebody else's file has that name, and stays
            claim.settle(left=False)
            return await self._create(temporary_name(target))
        begun.anew = anew
        if begun.start:
            self._ledger.resumed(name, begun.start)
        return begun

    async def clean(self) -> None:
        """Remove what is left over on the host of copies for which nobody came back."""
        for claim in self._claims.left_over():
            try:
                await self._clear(claim)
            finally:
                claim.settle(left=False)

    async def _clear(self, claim: Claim) -> None:
        """Remove what tries with other versions of the source left."""
        for path in list(claim.former):
            with contextlib.suppress(SftpError):  # gone, or no longer ours to remove
                await self._files.remove(path)
            claim.forget(path)

    async def _create(self, path: bytes, claim: Claim | None = None) -> Begun:
        """Make a new file; what stands at ``path`` is an error."""
        self._leftovers.add(path)  # from the moment that the request is out
        try:
            return Begun(path, await self._files.create(path), claim)
        except Unsettled:
            raise
        except (SftpError, SftpStopped):
            self._leftovers.discard(path)
            raise

    async def _first(self, claim: Claim) -> Begun | None:
        """A new file at the claim's path; None where something stands there."""
        try:
            return await self._create(claim.path, claim)
        except SftpError:
            if await self._files.stat(claim.path, follow=False) is None:
                raise
            return None

    async def _go_on(self, claim: Claim, descriptor: int, size: int, name: bytes) -> Begun | None:
        """The partial at the claim's path, open at its end; None where it must not be gone on with."""
        found = await self._files.stat(claim.path, follow=False)
        if found is None or not _plain(found) or found.uid is None or found.uid != await self._own_uid(claim.path):
            return None
        upload: Upload | None = await self._files.reopen(claim.path)
        assert upload is not None
        try:
            # the file that is open now must be such a one too, and not what a link leads to; it may have grown since,
            # by what the server had still to write of an earlier try
            now = await upload.stat()
            start = now.size or 0
            if now.uid != found.uid or not _plain(now) or not LEAST <= start <= size:
                return None
            with self._ledger.comparing(start, name):
                here = localdigests.Start(descriptor, start, lambda: self._files.stopping)
                there = await self._files.digest_of_start(claim.path, start, here.read)
                self._files.heed()  # or nothing has been seen that speaks against the partial
            if there is None:
                self._ledger.note(CANNOT_GO_ON)
            before = here.digest
            if before is None or there != before.digest():
                return None
            begun = Begun(claim.path, upload, claim, start, before, start)
            self._leftovers.add(claim.path)
            upload = None
            return begun
        except (SftpGone, SftpStopped):
            self._kept.add(claim.path)
            raise
        finally:
            if upload is not None:
                upload.abandon()

    async def _own_uid(self, beside: bytes) -> int | None:
        """The number of the login's user, as the host stamps it on a new file: the protocol has no other way to ask."""
        begun = await self._create(temporary_name(beside))
        try:
            return (await begun.upload.stat()).uid
        finally:
            begun.upload.abandon()
            await self._files.remove(begun.path)
            self._leftovers.discard(begun.path)


def temporary_name(target: bytes) -> bytes:
    """A hidden path beside ``target`` that nobody else has."""
    directory, name = paths.split(target)
    return paths.join(directory, paths.part_name(name, secrets.token_hex(6)))


def _plain(found: Attributes) -> bool:
    """A regular file that only its owner may write."""
    return not (found.is_directory or found.is_link or found.is_special) and (
        found.mode is not None and not found.mode & 0o022
    )
