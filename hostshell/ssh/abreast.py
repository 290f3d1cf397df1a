"""The parts of a tree side by side on one `Crew`: what is refused costs its part alone.

Must not know which way a copy goes.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hostshell.ssh.crew import Crew
from hostshell.ssh.plan import Ledger, Refused
from hostshell.ssh.remotefiles import RemoteFiles

OPEN_LOAD = 1024 * 1024  # bytes that a file counts for at least, while it stays open here


class Abreast:
    """Starts parts on ``crew`` and enters into ``ledger`` what is refused."""

    def __init__(self, crew: Crew, files: RemoteFiles, ledger: Ledger) -> None:
        self._crew = crew
        self._files = files
        self._ledger = ledger

    async def start(self, name: bytes, step: Coroutine[Any, Any, None], size: int = 0) -> None:
        """Let ``step`` go on beside the others, once there is room for its file of ``size`` bytes."""

        async def guarded() -> None:
            if self._crew.ending:
                step.close()
                return
            try:
                await step
            except Refused as refused:
                self._ledger.fail(name, refused)

        try:
            await self._crew.start(guarded(), size if size <= self._files.small else max(size, OPEN_LOAD))
        except BaseException:
            step.close()
            raise
