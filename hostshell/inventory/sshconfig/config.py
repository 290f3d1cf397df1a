"""The front of this package: one configuration, read when it is first asked and kept until the next `reload`.

Costs nothing where there is no file: what reads one is loaded only then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hostshell.core.errors import InventoryError

if TYPE_CHECKING:
    from hostshell.inventory.sshconfig.answer import Answer
    from hostshell.inventory.sshconfig.choose import Asked, Choosing, Names
    from hostshell.inventory.sshconfig.files import Section, Surroundings

VARIABLE = "HOSTSHELL_SSH_CONFIG"
NONE = "none"
SYSTEM = "/etc/ssh/ssh_config"
EXEC_PATIENCE = 30.0  # seconds for a command of `Match exec`


class SshConfig:
    """``~/.ssh/config`` and the system's, or one named file in place of both; ``none`` is no configuration at all.

    ``named`` None means ``$HOSTSHELL_SSH_CONFIG``, and without that the usual two. ``~`` is ``$HOME``.
    """

    def __init__(
        self, named: str | None = None, *, environ: Mapping[str, str] | None = None, system: str = SYSTEM
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._named = named if named is not None else self._environ.get(VARIABLE) or None
        self._system = system
        self._choosing: Choosing | None = None
        self._sections: Sequence[Section] = ()
        self._around: Surroundings | None = None
        self._read = False
        self._ran: dict[str, bool] = {}

    def again(self) -> SshConfig:
        """The same configuration, to be read anew. Raises `InventoryError` when it cannot be."""
        fresh = SshConfig(self._named, environ=self._environ, system=self._system)
        fresh._load()
        return fresh

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it that could say something of a host. Reads it."""
        self._load()
        return self._choosing is None

    @property
    def sections(self) -> Sequence[Section]:
        """All that was read, in order; nothing where there is no configuration. Raises `InventoryError`."""
        self._load()
        return self._sections

    @property
    def is_none(self) -> bool:
        """Whether it was said that none is to be read."""
        return self._named is not None and self._named.lower() == NONE

    def place_of(self, name: str) -> str:
        """Where a `Host` line has ``name`` itself and no pattern, as ``FILE:LINE``; "" where none has."""
        if not self.sections:
            return ""
        from hostshell.inventory.sshconfig.parse import HostLine

        for section in self.sections:
            if isinstance(section.condition, HostLine) and name in section.condition.wanted:
                return f"{section.file}:{section.condition.line}"
        return ""

    @property
    def work(self) -> Mapping[str, int]:
        """How much was done, by kind: patterns compiled, hosts held against them, answers put together."""
        return {} if self._choosing is None else self._choosing.work

    def ask(
        self,
        name: str,
        local_user: str,
        *,
        address: str | None = None,
        user: str | None = None,
        port: int | None = None,
        match_exec: bool = False,
    ) -> Answer | None:
        """What ssh would do with ``name``; None where there is no configuration. Raises `InventoryError`.

        ``address``, ``user`` and ``port`` are known from elsewhere and beat the configuration. ``match_exec`` lets
        `Match exec` run its commands.
        """
        self._load()
        if self._choosing is None or self._around is None:
            return None
        from hostshell.inventory.sshconfig.answer import Answer
        from hostshell.inventory.sshconfig.choose import Asked

        asked = Asked(name, local_user, address, user, port, self._run if match_exec else None)
        return Answer(asked, self._choosing.choose(asked), self._around)

    def _load(self) -> None:
        if self._read:
            return
        home = self._environ.get("HOME", "")
        if self._named is None:
            paths = [self._system, *([home.rstrip("/") + "/.ssh/config"] if home else ())]
            if not any(os.path.exists(path) for path in paths):
                self._read = True
                return
        elif self.is_none:
            self._read = True
            return
        from hostshell.inventory.sshconfig.answer import canonical
        from hostshell.inventory.sshconfig.choose import Choosing
        from hostshell.inventory.sshconfig.files import Surroundings, read_named, read_standard

        around = Surroundings(home, self._environ)
        sections = read_standard(around, self._system) if self._named is None else read_named(self._named, around)
        self._sections = sections
        if any(section.items for section in sections):
            self._choosing = Choosing(sections, canonical)
        self._around = around
        self._read = True

    def _run(self, command: str, names: Names, asked: Asked) -> bool:
        """Whether a command of `Match exec` ends well. Each is run once, until the next `reload`."""
        from hostshell.inventory.sshconfig.answer import tokens_of
        from hostshell.inventory.sshconfig.tokens import replace_tokens

        assert self._around is not None
        try:
            text = replace_tokens(command, tokens_of(names, asked, self._around))
        except ValueError as error:
            raise InventoryError(f"`Match exec` of the ssh_config: {error}") from None
        if text not in self._ran:
            shell = self._environ.get("SHELL") or "/bin/sh"
            try:
                self._ran[text] = _ends_well([shell, "-c", text], EXEC_PATIENCE)
            except subprocess.TimeoutExpired:
                raise InventoryError(
                    f"a command of `Match exec` in the ssh_config did not end within {EXEC_PATIENCE:g} s"
                ) from None
            except (OSError, ValueError) as error:
                raise InventoryError(f"a command of `Match exec` in the ssh_config cannot run: {error}") from None
        return self._ran[text]


def _ends_well(command: Sequence[str], patience: float) -> bool:
    """Whether a program ends with exit code 0. Raises `subprocess.TimeoutExpired` when its time is over.

    Whatever it has started ends with it then, and with Ctrl-C.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        try:
            return child.wait(patience) == 0
        except BaseException:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
