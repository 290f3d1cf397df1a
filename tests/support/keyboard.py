"""A keyboard at which nobody types, for sessions without a terminal. Must not know what is tested."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class Nobody:
    """A keyboard at which nobody types."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def read(self) -> bytes:
        return b""

    def ahead(self) -> bytes:
        return b""

    def resized(self) -> tuple[int, int] | None:
        return None


@contextmanager
def nobody() -> Iterator[Nobody]:
    hears, types = os.pipe()
    try:
        yield Nobody(hears)
    finally:
        os.close(hears)
        os.close(types)
