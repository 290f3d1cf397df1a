"""Programs that stay and do the same again on connections that they keep: our prompt, and the peers' scripts.

Must not know what is measured with them.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from types import TracebackType

from tests.benchmarks.stage import Stage
from tests.benchmarks.terminal import Terminal

PROMPT = b"hostshell>"
READS = b"\x1b[?2004h"  # bracketed paste is on: the prompt takes keys
TYPING = 1.0  # seconds that a quick typist takes for a line
PATIENCE = 120.0


class Prompt:
    """hostshell at a terminal of its own, from when a person would have typed the first line on."""

    def __init__(self, stage: Stage, words: Sequence[str], pause: float = TYPING) -> None:
        self.terminal = Terminal(words, cwd=stage.folder, environment=stage.environment)
        try:
            self.terminal.moment_of(PROMPT)
        except BaseException:
            self.terminal.close()
            raise
        time.sleep(pause)

    def __enter__(self) -> Prompt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.terminal.leave("\x04", PATIENCE)
        finally:
            self.terminal.close()

    @property
    def pid(self) -> int:
        """The process above all others of it."""
        return self.terminal.process.pid

    def turn(self, line: str, says: str) -> float:
        """Seconds from the keys of ``line`` until the terminal ``says`` that it is done; the prompt is back then.

        What it says otherwise, such as a host that failed, is an error at once.
        """
        terminal = self.terminal
        mark, reading = len(terminal.raw), terminal.raw.count(READS)
        begun = time.monotonic()
        terminal.type(line + "\r")
        moment = terminal.moment_when(
            lambda: says.encode() in terminal.plain(mark) or terminal.raw.count(READS) > reading, PATIENCE
        )
        terminal.moment_when(lambda: terminal.raw.count(READS) > reading, PATIENCE)
        said = terminal.plain(mark)
        if says.encode() not in said:
            raise RuntimeError(f"`{line}` did not say `{says}`: {said[-500:].decode(errors='replace')}")
        return moment - begun


class Script:
    """A script of a peer: works once for every line that it reads, and answers with how many hosts are ok."""

    def __init__(self, stage: Stage, words: Sequence[str]) -> None:
        self.words = words
        self._process = subprocess.Popen(
            words, cwd=stage.folder, env=stage.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._expect("ready")

    def __enter__(self) -> Script:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()

    @property
    def pid(self) -> int:
        """The process above all others of it."""
        return self._process.pid

    def turn(self, hosts: int) -> float:
        """Seconds until it has answered that so many hosts are ok; any other answer is an error."""
        assert self._process.stdin is not None
        begun = time.monotonic()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._expect(str(hosts))
        return time.monotonic() - begun

    def _expect(self, answer: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if said != answer:
            raise RuntimeError(f"`{self.words[1]}` answered `{said}`, not `{answer}`")
