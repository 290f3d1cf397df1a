"""What hostshell works on: hosts, secrets, tasks and jobs, as plain picklable data.

Must not know where any of it came from or how it is carried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

from hostshell.core.records import dataclass

HostKeyPolicy: TypeAlias = Literal["ask", "strict", "accept-new"]
AddressFamily: TypeAlias = Literal["any", "inet", "inet6"]
HOST_KEY_POLICIES: tuple[HostKeyPolicy, ...] = ("ask", "strict", "accept-new")

DEFAULT_PORT = 22
DEFAULT_CONNECT_TIMEOUT = 10.0  # seconds: name, connect, handshake and login together
DEFAULT_KEEPALIVE = 30.0  # seconds between keepalive messages on an idle connection; 0 is none
DEFAULT_FANOUT = 256  # connections are cheap here, and an endpoint that cannot bear so many is spared (core/pacing.py)


class Secret:
    """A secret text that shows itself to nobody: ``repr``, ``str`` and ``format`` give ``***``."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Call it at the last moment and keep no copy."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return (Secret, (self._text,))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: ``file`` as it was given, ``line`` counted from 1 (0: nowhere in particular)."""

    file: str
    line: int = 0
    section: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


SecretKind: TypeAlias = Literal["literal", "env", "cmd", "keyring", "ask"]


@dataclass(frozen=True, slots=True)
class SecretSource:
    """How to get a secret: ``literal``, or ``env:NAME``, ``cmd:COMMAND``, ``keyring:SERVICE/USER``, ``ask``.

    ``argument`` is what follows the colon. ``place`` is where it stands in the inventory: a secret is got once for each
    place.
    """

    kind: SecretKind
    place: Place
    argument: str = ""
    literal: Secret | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """One host as the engine needs it. Live connections exist only inside workers.

    ``connect_timeout`` and ``keepalive`` are seconds. ``known_hosts`` is a file that replaces the user's and the
    system's known_hosts; None leaves those. ``host_keys`` None means the session's policy. ``accepted_key`` is a host
    key (``type base64``) that a person has just accepted for this host. ``password_withheld``: its password was refused
    before, and is not offered again. ``password_advice``: what a person can do about a password that is refused.
    ``moment``: it is in no inventory.

    ``jump``: the hosts through which it is reached, the first hop first, each with credentials and policy of its own.
    ``proxy_command``: a command of this machine whose streams are the connection, with its tokens replaced; set only
    where the person allowed it. What follows says what ssh_config(5) says of the keywords of the same names; paths are
    absolute, and None is "not set". ``identity_agent``: a socket's path, or ``none``. ``passphrases`` are those of
    ``identity_files``, by path.

    ``unusable``: why this host cannot be reached at all, in words; no connection is tried. ``no_sudo``: the same for
    sudo where the task names no user, because the one that is meant is not known.
    """

    name: str
    address: str
    port: int = DEFAULT_PORT
    user: str = ""
    password: Secret | None = None
    password_from: SecretSource | None = None
    key: str | None = None
    passphrase: Secret | None = None
    passphrase_from: SecretSource | None = None
    connect_timeout: float = DEFAULT_CONNECT_TIMEOUT
    keepalive: float = DEFAULT_KEEPALIVE
    known_hosts: str | None = None
    host_keys: HostKeyPolicy | None = None
    accepted_key: str | None = None
    password_withheld: bool = False
    password_advice: str = ""
    moment: bool = False
    jump: tuple[Host, ...] = ()
    proxy_command: str | None = field(default=None, repr=False)  # in which a password may stand
    identity_files: tuple[str, ...] | None = None
    identities_only: bool = False
    certificate_files: tuple[str, ...] = ()
    identity_agent: str | None = None
    user_known_hosts: tuple[str, ...] | None = None
    global_known_hosts: tuple[str, ...] | None = None
    host_key_alias: str | None = None
    pubkey_authentication: bool = True
    password_authentication: bool = True
    preferred_authentications: tuple[str, ...] | None = None
    address_family: AddressFamily = "any"
    bind_address: str | None = None
    compression: bool = False
    passphrases: tuple[tuple[str, Secret], ...] = ()
    unusable: str | None = None
    kbd_interactive_authentication: bool = True
    keepalive_count: int | None = None  # ServerAliveCountMax
    of_this_job: bool = False  # its user or its port was given for one job: not what the name means otherwise
    lacks: tuple[str, str] | None = None  # a secret that could not be got, and what to do; `doctor` alone goes on so
    concerns: tuple[str, ...] = ()  # what a person should know before a job: what is set for this host and not obeyed
    # of SendEnv and SetEnv, asked of the server for each session: secrets of ours may be among the values
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    encoding: str = "utf-8"  # of commands, output and file names, as Python calls it
    sudo: bool = False
    sudo_user: str | None = None
    no_sudo: str | None = None
    sudo_password: Secret | None = None
    sudo_password_from: SecretSource | None = None
    sudo_password_known: bool = False  # whether the inventory says where it is, also where a job does not want it


def login_of(host: Host) -> Host:
    """``host`` without what does not matter once a connection to it stands: limits, policies, where secrets are from.

    Two hosts of which this is equal are served by the same connection.
    """
    return replace(
        host,
        connect_timeout=0.0,
        host_keys=None,
        accepted_key=None,
        password_advice="",
        moment=False,
        password_from=None,
        passphrase_from=None,
        encoding="utf-8",
        sudo=False,
        sudo_user=None,
        no_sudo=None,
        sudo_password=None,
        sudo_password_from=None,
        sudo_password_known=False,
        jump=tuple(login_of(hop) for hop in host.jump) if host.jump else (),
    )


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in for one job, on top of what the inventory says. None leaves it at that; nothing of it is kept.

    A user or a port that was typed with a host's name beats these. ``password`` is that of the user who logs in;
    ``ask_password``: it is to be asked for, once, before the job.
    """

    user: str | None = None
    port: int | None = None
    key: str | None = None
    ask_password: bool = False
    password: Secret | None = None


CopyTask = TypeVar("CopyTask", "Put", "Get")
HOST_FIELD = "{host}"  # stands for the host's name in a task's texts


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine, by its absolute path, as it was when the job was made: ``size`` in bytes.

    ``inode`` and ``changed`` (nanoseconds) tell whether it is still the same, so that every host gets the same bytes.
    """

    path: str
    size: int
    inode: int
    changed: int


@dataclass(frozen=True, slots=True)
class Script:
    """A local script: what runs it (the words after ``#!``), and its arguments."""

    file: LocalFile
    interpreter: tuple[str, ...]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terminal:
    """The size of a terminal, in characters."""

    columns: int
    lines: int


@dataclass(frozen=True, slots=True)
class Run:
    """Run ``command`` in the host's login shell, or ``script``.

    ``stdin``: what it reads; without, its standard input is at its end. ``environment`` and ``directory`` (a leading
    ``~/`` is the home there) hold for it alone. ``terminal``: it gets one. ``sudo``: with the rights of ``sudo_user``
    (None: as the inventory says, else root).
    """

    command: str = ""
    stdin: LocalFile | None = None
    script: Script | None = None
    environment: tuple[tuple[str, str], ...] = ()
    directory: str | None = None
    terminal: Terminal | None = None
    sudo: bool = False
    sudo_user: str | None = None

    def for_host(self, name: str) -> Run:
        """The task as it is for one host: ``{host}`` becomes its name, and nothing else is ever rewritten."""
        return replace(self, command=self.command.replace(HOST_FIELD, name))


@dataclass(frozen=True, slots=True)
class Ping:
    """Log in and run nothing."""

    def for_host(self, name: str) -> Ping:  # noqa: ARG002  # the same for every host
        """The task as it is for one host."""
        return self


@dataclass(frozen=True, slots=True)
class Put:
    """Copy ``local`` (an absolute path of an existing file or directory of this machine) to ``remote``.

    ``also``: more sources, each like ``local``; ``remote`` is then the directory that takes them all. A source that
    does not exist under its own name is a glob. ``preserve``: existing files get the source's mode as well. ``force``:
    what is there already with the same content is sent nevertheless. ``verify``: compare with what is on the host's
    disk afterwards. ``sync``: every file reaches the disk before it gets its name. ``backup``: the old file stays
    beside the new one. ``dry_run``: change nothing and say what would be done. ``follow``: symlinks are copied as what
    they point to. ``exclude``: patterns (`core.patterns.LeftOut`) of what is left out of trees.
    """

    local: str
    remote: str
    parents: bool = False
    preserve: bool = False
    also: tuple[str, ...] = ()
    force: bool = False
    verify: bool = False
    sync: bool = False
    backup: bool = False
    dry_run: bool = False
    follow: bool = False
    exclude: tuple[str, ...] = ()

    def for_host(self, name: str) -> Put:
        """The task as it is for one host: ``{host}`` in its paths becomes the host's name."""
        also = tuple(path.replace(HOST_FIELD, name) for path in self.also)
        local, remote = self.local.replace(HOST_FIELD, name), self.remote.replace(HOST_FIELD, name)
        return replace(self, local=local, remote=remote, also=also)

    @property
    def sources(self) -> tuple[str, ...]:
        """All that is copied, on this machine."""
        return (self.local, *self.also)


@dataclass(frozen=True, slots=True)
class Get:
    """Copy ``remote`` to this machine: to ``local/<host>/``, or where ``{host}`` in ``local`` says.

    The other fields as of `Put`; ``also`` are more paths of the host.
    """

    remote: str
    local: str
    parents: bool = True
    preserve: bool = False
    also: tuple[str, ...] = ()
    force: bool = False
    verify: bool = False
    sync: bool = False
    backup: bool = False
    dry_run: bool = False
    follow: bool = False
    exclude: tuple[str, ...] = ()

    def for_host(self, name: str) -> Get:
        """The task as it is for one host: ``{host}`` in its paths becomes the host's name."""
        also = tuple(path.replace(HOST_FIELD, name) for path in self.also)
        local, remote = self.local.replace(HOST_FIELD, name), self.remote.replace(HOST_FIELD, name)
        return replace(self, local=local, remote=remote, also=also)

    @property
    def sources(self) -> tuple[str, ...]:
        """All that is copied, on the host."""
        return (self.remote, *self.also)


@dataclass(frozen=True, slots=True)
class Connect:
    """An interactive session: ``command`` in it, or the login shell where that is None.

    What the person's terminal is: ``term`` (its TERM), its size, and its ``modes`` as RFC 4254 (section 8) has them.
    """

    command: str | None = None
    term: str = "dumb"
    rows: int = 24
    columns: int = 80
    modes: bytes = b""

    def for_host(self, name: str) -> Connect:
        """The task as it is for one host: ``{host}`` becomes its name, and nothing else is ever rewritten."""
        return self if self.command is None else replace(self, command=self.command.replace(HOST_FIELD, name))


@dataclass(frozen=True, slots=True)
class Examine:
    """Log in anew, step by step, and look whether commands and copies work; with ``sudo`` also whether that does.

    Where a host's own settings say sudo it is looked at in any case.
    """

    sudo: bool = False

    def for_host(self, name: str) -> Examine:  # noqa: ARG002  # the same for every host
        """The task as it is for one host."""
        return self


class CopyOptions(TypedDict, total=False):
    """What `Put` and `Get` have in common, as keywords; ``exclude_files`` is their ``exclude``."""

    preserve: bool
    force: bool
    verify: bool
    sync: bool
    backup: bool
    dry_run: bool
    follow: bool
    exclude_files: Sequence[str]


def with_options(task: CopyTask, options: CopyOptions) -> CopyTask:
    """The copy with these options. Raises `TypeError` for a keyword that is none."""
    given: dict[str, Any] = dict(options)
    unknown = set(given) - set(CopyOptions.__annotations__)
    if unknown:
        raise TypeError(f"no such option of a copy: {', '.join(sorted(unknown))}")
    if "exclude_files" in given:
        patterns = given.pop("exclude_files")
        given["exclude"] = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    return replace(task, **given)


Task: TypeAlias = Run | Ping | Put | Get | Connect | Examine


@dataclass(frozen=True, slots=True)
class Job:
    """One task on many hosts. ``timeout`` is a host's whole turn in seconds (None: no limit).

    ``label`` is the line as it was meant, for display and history. ``{host}`` in the task's texts stands for the name
    of each host.
    """

    hosts: tuple[Host, ...]
    task: Task
    label: str = ""
    fanout: int = DEFAULT_FANOUT
    timeout: float | None = None
    number: int = 0
