"""What sudo says before the command runs: its prompt, a lecture, a refusal. Bytes in, what they mean out.

Pure. sudo is asked with ``-S`` and a prompt that nobody else can print, and what it starts says so first; between the
two is sudo's own talk. Must not know channels.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from hostshell.core.clean import clean
from hostshell.core.records import dataclass

Heard: TypeAlias = Literal["nothing", "prompt", "again", "open"]

MOST_TALK = 64 * 1024  # bytes of sudo's talk that are kept
MOST_NAME = 256  # bytes of the name of the user whose password is wanted: the host says it, and a person reads it


@dataclass(frozen=True, slots=True)
class Tokens:
    """Whose rights are taken (``user``), and what marks the prompt and the beginning: ``token`` is used once."""

    user: str
    token: str

    @property
    def prompt(self) -> str:
        """For ``sudo -p``: it puts the name of the user whose password it wants for ``%p``."""
        return f"[hostshell-{self.token} password of %p]"

    @property
    def mark(self) -> str:
        """What the command prints first; the number of its process group and a bracket follow."""
        return f"[hostshell-{self.token} runs in "


class Talk:
    """Listens until the command runs. ``whose`` password was asked for, ``group`` is the command's process group."""

    def __init__(self, tokens: Tokens) -> None:
        token = re.escape(tokens.token.encode())
        self._prompt = re.compile(rb"\[hostshell-" + token + rb" password of ([^\]]{0,%d})\]" % MOST_NAME)
        self._mark = re.compile(rb"\[hostshell-" + token + rb" runs in ([0-9]{1,10})\]")
        self._kept = b""
        self._lecture: bytes | None = None  # what came before the prompt
        self.whose = ""
        self.group = 0
        self.is_open = False

    @property
    def unfinished(self) -> str:
        """The line that waits for an answer, as far as one does; that of our own prompt is none."""
        return clean(self._kept.rpartition(b"\n")[2].decode("utf-8", "replace").strip())

    def hear(self, data: bytes) -> tuple[Heard, bytes, bytes]:
        """A piece of what comes: what it means, what of it sudo tells the person, and what of it is the command's.

        ``again``: the password was wrong. Once it is ``open``, everything is for the person.
        """
        if self.is_open:
            return "nothing", b"", data
        self._kept += data
        mark = self._mark.search(self._kept)
        if mark is not None:
            self.is_open = True
            self.group = int(mark[1])
            # a warning is worth showing; a lecture is not, on a hundred hosts
            before = b"".join(line for line in (self._lecture or b"").splitlines(True) if line.startswith(b"sudo:"))
            rest = self._kept[: mark.start()]
            after, self._kept = self._kept[mark.end() :], b""
            return "open", before + (rest.lstrip(b"\r\n") if self._lecture is not None else rest), after
        prompt = self._prompt.search(self._kept)
        if prompt is None:
            self._kept = self._kept[-MOST_TALK:]  # only now: the mark may be torn between two pieces
            return "nothing", b"", b""
        self.whose = clean(prompt[1].decode("utf-8", "replace"))
        first = self._lecture is None
        if first:
            self._lecture = self._kept[: prompt.start()]
        self._kept = self._kept[prompt.end() :] if first else self._kept[: prompt.start()]
        return ("prompt" if first else "again"), b"", b""

    @property
    def wants_terminal(self) -> bool:
        """Whether it was refused for want of a terminal (``requiretty``); in many a language that is called tty."""
        return self._lecture is None and b"tty" in self._kept.lower()

    def last_words(self) -> str:
        """Why it did not come to the command, in sudo's own words, on one line."""
        lines = [line.strip() for line in self._kept.decode("utf-8", "replace").splitlines()]
        said = [clean(line.removeprefix("sudo: ")) for line in lines if line]
        return "; ".join(said)[-300:]
