"""Identical outputs once, under the folded names of the hosts that gave them.

Output waits in one spooled file, so memory stays bounded whatever the hosts print. Imports core only.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, cast

from hostshell.core.encodings import UTF_8, decode, encode
from hostshell.core.events import Block

PIECE = 256 * 1024  # bytes read back at once
IN_MEMORY = 32 * 1024 * 1024  # bytes kept in memory before all goes to a temporary file (deleted at once, never seen)


@dataclass(slots=True)
class _Kept:
    """What one host printed on one stream: where it lies in the file, and its digest so far."""

    host: str
    extents: list[tuple[int, int]] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)


class Gatherer:
    """Keeps blocks of many hosts, and gives each different output once."""

    def __init__(self) -> None:
        self._file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=IN_MEMORY))  # noqa: SIM115  # lives as long as we do
        self._size = 0
        self._kept: dict[tuple[str, str], _Kept] = {}

    def add(self, block: Block) -> None:
        """Keep a block."""
        kept = self._kept.setdefault((block.stream, block.host), _Kept(block.host))
        raw = block.raw if block.eol else block.raw + b"\n"
        if block.encoding != UTF_8:  # the same text is the same output, whatever its bytes are
            raw = encode(decode(raw, block.encoding))
        self._file.write(raw)
        kept.digest.update(raw)
        if kept.extents and sum(kept.extents[-1]) == self._size:
            start, length = kept.extents[-1]
            kept.extents[-1] = (start, length + len(raw))
        else:
            kept.extents.append((self._size, len(raw)))
        self._size += len(raw)

    def groups(self, stream: str) -> Iterator[tuple[list[str], Iterator[bytes]]]:
        """(hosts, pieces of whole lines) for each different output of ``stream``, that of the most hosts first."""
        same: dict[bytes, list[_Kept]] = {}
        for (where, _), kept in self._kept.items():
            if where == stream:
                same.setdefault(kept.digest.digest(), []).append(kept)
        for alike in sorted(same.values(), key=len, reverse=True):
            yield [kept.host for kept in alike], self._read(alike[0])

    def _read(self, kept: _Kept) -> Iterator[bytes]:
        """Pieces of whole lines, each small, so that a large answer needs little memory and can be interrupted."""
        for start, length in kept.extents:
            rest = b""
            while length:
                self._file.seek(start)
                piece = self._file.read(min(PIECE, length))
                start += len(piece)
                length -= len(piece)
                whole, newline, rest = (rest + piece).rpartition(b"\n")
                if newline:
                    yield whole + newline

    def close(self) -> None:
        """Give the file back."""
        self._file.close()
