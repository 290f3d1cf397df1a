"""What a line means: one dataclass for each command, with what the person gave. None is "not given".

Plain data. Must not know the settings that fill what was not given, nor how anything is carried out.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from hostshell.core.model import Login
from hostshell.core.records import dataclass
from hostshell.core.targets import Targets

Action: TypeAlias = Literal["put", "get"]
ExitCodeOf: TypeAlias = Literal["max"]
SettingValue: TypeAlias = int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsIn:
    """What every verb that logs in to hosts has in common: the ``key`` as it was typed, ``~/`` still in it."""

    user: str | None = None
    port: int | None = None
    key: str | None = None
    ask_password: bool = False

    @property
    def login(self) -> Login:
        """How to log in, on top of what the inventory says."""
        return Login(self.user, self.port, self.key, self.ask_password)


@dataclass(frozen=True, slots=True)
class BatchRun(LogsIn):
    """``batch_run``: ``timeout`` and ``connect_timeout`` in seconds. ``gather`` False leaves it to the setting.

    ``rc`` None: the exit code by status. ``outdir``, ``errdir``, ``script``, ``stdin`` and ``cwd`` as they were typed,
    ``~/`` still in them. Either ``cmd`` or ``script``, which has ``arguments``. ``env`` is of the form ``NAME=VALUE``.
    """

    targets: Targets
    cmd: str | None = None
    fanout: int | None = None
    timeout: float | None = None
    connect_timeout: float | None = None
    gather: bool = False
    json: bool = False
    no_prefix: bool = False
    quiet: bool = False
    rc: ExitCodeOf | None = None
    outdir: str | None = None
    errdir: str | None = None
    script: str | None = None
    arguments: tuple[str, ...] = ()
    stdin: str | None = None
    cwd: str | None = None
    env: tuple[str, ...] = ()
    tty: bool = False
    sudo: bool = False
    sudo_user: str | None = None

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """The variables by name."""
        return tuple((name, value) for name, _, value in (text.partition("=") for text in self.env))


@dataclass(frozen=True, slots=True)
class BatchScp(LogsIn):
    """``batch_scp``: paths as they were typed, ``{host}`` and ``~/`` still in them.

    ``also`` are further sources: local paths of a put, remote ones of a get.
    """

    targets: Targets
    action: Action
    local: str
    remote: str
    parents: bool = False
    preserve: bool = False
    fanout: int | None = None
    timeout: float | None = None
    connect_timeout: float | None = None
    json: bool = False
    quiet: bool = False
    also: tuple[str, ...] = ()
    follow: bool = False
    exclude_files: tuple[str, ...] = ()
    force: bool = False
    backup: bool = False
    sync: bool = False
    verify: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class PutWords(BatchScp):
    """``put LOCAL REMOTE``: what `BatchScp` means, typed in short."""


@dataclass(frozen=True, slots=True)
class GetWords(BatchScp):
    """``get REMOTE LOCAL``: what `BatchScp` means, typed in short."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """``run``: ``cmd`` is all of the line after the verb, on the default targets."""

    cmd: str


@dataclass(frozen=True, slots=True)
class PingHosts(LogsIn):
    """``ping``."""

    targets: Targets
    fanout: int | None = None
    timeout: float | None = None
    connect_timeout: float | None = None
    json: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class ExamineHosts(LogsIn):
    """``doctor``: bare words are host lists as well."""

    targets: Targets
    sudo: bool = False
    fanout: int | None = None
    timeout: float | None = None
    connect_timeout: float | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class ConnectHost(LogsIn):
    """``connect``: ``host`` as it was typed, which has to mean one; ``cmd`` None is the login shell."""

    host: str
    cmd: str | None = None
    connect_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class UseTargets:
    """``use``: without targets and without ``clear`` it shows the defaults."""

    targets: Targets
    clear: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True)
class ListHosts:
    """``hosts``: bare words are host lists as well."""

    targets: Targets
    json: bool = False


@dataclass(frozen=True, slots=True)
class ListGroups:
    """``groups``."""

    json: bool = False


@dataclass(frozen=True, slots=True)
class ShowName:
    """``show NAME``: a host or a group."""

    name: str
    json: bool = False


@dataclass(frozen=True, slots=True)
class ListConnections:
    """``connections``: bare words are host lists as well; without any, all that is open."""

    targets: Targets
    json: bool = False


@dataclass(frozen=True, slots=True)
class Disconnect:
    """``disconnect``: as above; without any, the default targets."""

    targets: Targets
    json: bool = False


@dataclass(frozen=True, slots=True)
class ChangeSetting:
    """``set``: all settings (``name`` None), one (``change`` False), or a change of it to ``value``.

    ``value`` is an int for fanout; seconds or None (off) for the three limits; a bool for gather; a bool or None (auto)
    for color.
    """

    name: str | None = None
    value: SettingValue = None
    change: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True)
class ShowInventory:
    """``inventory``."""

    json: bool = False


@dataclass(frozen=True, slots=True)
class Reload:
    """``reload``."""

    json: bool = False


@dataclass(frozen=True, slots=True)
class ShowHistory:
    """``history``: the last ``count`` lines, or all of them."""

    count: int | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class ShowHelp:
    """``help``: an overview, or one command."""

    command: str | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class LocalCommand:
    """``!``: the rest of the line, for a shell on this machine."""

    command: str


@dataclass(frozen=True, slots=True)
class Exit:
    """``exit`` and ``quit``."""

    json: bool = False


Invocation: TypeAlias = (
    BatchRun
    | BatchScp
    | RunLine
    | PingHosts
    | ConnectHost
    | ExamineHosts
    | UseTargets
    | ListHosts
    | ListGroups
    | ShowName
    | ListConnections
    | Disconnect
    | ChangeSetting
    | ShowInventory
    | Reload
    | ShowHistory
    | ShowHelp
    | LocalCommand
    | Exit
)
