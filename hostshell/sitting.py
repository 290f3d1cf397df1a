"""The composition root: inventory, engine and settings in one object, and one stream of events for each job.

Knows nothing of how anything is shown. The prompt and one-shot calls go through here, and so does the Python API.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from hostshell.core.encodings import UTF_8
from hostshell.core.errors import EngineError, HostshellError, TargetError
from hostshell.core.events import Block, Event, Finished, Stream
from hostshell.core.lines import LineCutter
from hostshell.core.model import Examine, Get, Host, HostKeyPolicy, Job, Login, Put, Run, Task
from hostshell.core.names import fold
from hostshell.core.recent import STATUS_GROUPS, LastCommand, WithLast
from hostshell.core.settings import Settings
from hostshell.core.targets import ALL, Targets, resolve
from hostshell.core.traffic import Glanced, OpenConnection, Opened
from hostshell.core.turns import Note, PasswordRefused
from hostshell.engine.attach import Keyboard
from hostshell.engine.pool import Chunk, News, Pool
from hostshell.engine.questions import AskKeys, AskPrompts
from hostshell.inputs import Inputs
from hostshell.inventory import sshlayer
from hostshell.inventory.load import load
from hostshell.inventory.model import Inventory
from hostshell.inventory.secrets import AskSecret
from hostshell.inventory.sshconfig.config import SshConfig
from hostshell.localfiles import absolute, check_destinations, check_key, check_sources
from hostshell.logins import NOTHING_SAID, Logins

RawOutput: TypeAlias = Callable[[str, Stream, bytes], None]


class Sitting:
    """An inventory, a pool of workers with warm connections, and the defaults of one sitting.

    ``inventory`` is a path, several (later wins, key by key), an `Inventory`, or None for an empty one.
    ``known_hosts`` and ``host_keys`` beat what the inventory says. ``default_host_keys`` is the policy of hosts for
    which nobody has said any. ``ssh_config`` is a file in place of ``~/.ssh/config`` and the system's, or ``none``.
    ``ask_keys`` shows new host keys to a person, ``ask_prompts`` what a server asks at a login, and ``ask_secret`` asks
    without echo.
    """

    def __init__(
        self,
        inventory: str | Sequence[str] | Inventory | None = None,
        *,
        known_hosts: str | None = None,
        host_keys: HostKeyPolicy | None = None,
        default_host_keys: HostKeyPolicy = "strict",
        ask_keys: AskKeys | None = None,
        ask_prompts: AskPrompts | None = None,
        ask_secret: AskSecret | None = None,
        pool: Pool | None = None,
        ssh_config: str | None = None,
    ) -> None:
        self._paths: list[str] = []
        self._ssh = SshConfig(ssh_config)
        if inventory is None:
            self.inventory = Inventory.empty()
        elif isinstance(inventory, Inventory):
            self.inventory = inventory
        else:
            self._paths = [inventory] if isinstance(inventory, str) else list(inventory)
            self.inventory = load(self._paths, self._ssh)
        self.inventory.lay_over(self._ssh)
        self.settings = Settings()
        self.defaults = Targets()
        self.last = LastCommand()
        self._logins = Logins(
            known_hosts=known_hosts, host_keys=host_keys, default_host_keys=default_host_keys, ask=ask_secret
        )
        self.inputs = Inputs()
        self._ask_keys = ask_keys
        self._ask_prompts = ask_prompts
        self._pool = pool or Pool()
        self._jobs = 0
        self.settings.told = self._keep
        self._keep()

    # --- life ---

    def start(self) -> None:
        """Start the workers in the background, so that the first command finds them ready."""
        self._pool.start()

    def close(self) -> None:
        """End the workers and their connections."""
        self._pool.close()
        self.inputs.close()

    def reload(self) -> None:
        """Read the inventory and the ssh_config again, close warm connections, forget secrets and refused passwords.

        When the inventory cannot be read, the error is raised and everything stays as it was.
        """
        ssh = self._ssh.again()
        inventory = load(self._paths, ssh) if self._paths else self.inventory
        inventory.lay_over(ssh)
        self.inventory, self._ssh = inventory, ssh
        self._logins.forget()
        self._pool.forget()

    # --- warm connections ---

    def _keep(self) -> None:
        self._pool.keep(self.settings.idle_timeout)

    def survey(self, named: Targets, *, close: bool = False) -> tuple[list[OpenConnection], EngineError | None]:
        """What is open to the hosts of ``named``, in their order; and which workers did not say what they have.

        ``-a`` is every connection, those of hosts of the moment too, and so is naming nobody. With ``close`` those that
        nobody uses are closed, and naming nobody means the default targets. Raises `TargetError` and `EngineError`.
        """
        if close and not named.named and not self.defaults.named:
            raise TargetError("no hosts to disconnect from", "name some with -h or -g, or -a for all connections")
        if named.everything or not (close or named.named):
            whole = named == Targets(everything=True)
            found, silent = self._pool.survey(close=close and whole)
            moments = sorted({one.host for one in found}.difference(self.inventory.host_names))
            named = replace(named, hosts=(*named.hosts, *moments), everything=True)
            names = self._resolve(named)[0] if found else ()
            done = whole or not close
        else:
            names, done = self.targets(named), False
        if not done:
            found, silent = self._pool.survey(names, close=close)
        order = {name: place for place, name in enumerate(names)}
        found = sorted((one for one in found if one.host in order), key=lambda one: order[one.host])
        if not silent:
            return found, None
        who = ", ".join(f"worker {number}" for number in silent)
        return found, EngineError(f"no answer from {who}: what is open there is not known")

    def glance(self, named: Targets, directory: str, begun: str) -> tuple[Glanced, ...]:
        """Which names begin with ``begun`` in a ``directory`` of a few hosts that a command would be for.

        Asked over connections that are open: none is made for it. From any thread, and it waits no longer than Tab may.
        """
        try:
            names = self.targets(named)
        except HostshellError:
            return ()
        return self._pool.glance(names, directory, begun)

    # --- targets ---

    def targets(self, named: Targets) -> tuple[str, ...]:
        """The hosts that a command is for: those that it names, else the session's defaults. Raises `TargetError`."""
        if not named.named and self.defaults.named:
            named = replace(self.defaults, exclude=self.defaults.exclude + named.exclude)
        return self._resolve(named)[0]

    def settled(self, named: Targets) -> Targets:
        """``named`` for later use: `@failed` and its kin, which the next command changes, become the hosts' names.

        Raises `TargetError` when it does not name hosts that can be had.
        """
        names, changing = self._resolve(named)
        return Targets((fold(names),)) if changing else named

    def _resolve(self, named: Targets) -> tuple[tuple[str, ...], bool]:
        """The hosts, and whether `@failed` or its kin had to do with it."""
        catalog = WithLast(self.inventory, self.last)
        try:
            return resolve(named, catalog), bool(catalog.used)
        except TargetError as error:
            elsewhere = self.elsewhere(error.unknown)
            hint = elsewhere or error.hint or catalog.explain()
            if error.unknown and self._ssh.is_none and not hint.startswith("did you mean"):
                hint += "; no ssh_config is read here"
            better = TargetError(error.message, hint)
            better.group = "" if elsewhere else error.group
            raise better from None

    def is_group(self, name: str) -> bool:
        """Whether ``name`` alone is rather a group's, of the inventory or of the last command, than a host's."""
        if name in self.inventory.host_names:
            return False
        return name == ALL or name in self.inventory.groups or name in STATUS_GROUPS

    def elsewhere(self, names: Sequence[str]) -> str:
        """What to do about hosts that the inventory does not know, where the ssh_config knows one; else ""."""
        try:
            return sshlayer.elsewhere(self._ssh, names, self.inventory.local_user)
        except HostshellError:
            return ""  # what is wrong with it is told where it is used

    def secrets(self) -> Iterator[str]:
        """Every secret that is known by now, so that none is ever written down."""
        for secret in self.inventory.secrets():
            yield secret.reveal()
        yield from self._logins.secrets()

    # --- jobs ---

    def job(
        self,
        task: Task,
        names: Sequence[str],
        *,
        label: str = "",
        fanout: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        login: Login = NOTHING_SAID,
    ) -> Job:
        """A job for `stream`, with the session's settings where the call says nothing.

        Raises `TargetError`, `SecretError` (after asking for what is to be asked) and `LocalFileError`.
        """
        if not names:
            raise TargetError("no hosts to run on", "name some with -h or -g, or set defaults with `use`")
        task = absolute(task)
        if isinstance(task, Put):
            check_sources(task, names)
        elif isinstance(task, Get):
            check_destinations(task, names)
        limit = connect_timeout if connect_timeout is not None else self.settings.connect_timeout
        self._logins.new_job()
        login = self._logins.asked(check_key(login))
        sudo = task.sudo if isinstance(task, Run) else None  # nothing else needs its password
        ready = partial(self._logins.host, sudo=sudo) if not isinstance(task, Examine) else self._logins.examined
        self._jobs += 1
        return Job(
            hosts=tuple(_fit(ready(self.inventory, name, limit, login), task) for name in names),
            task=task,
            label=label or type(task).__name__.lower(),
            fanout=fanout if fanout is not None else self.settings.fanout,
            timeout=timeout if timeout is not None else self.settings.timeout,
            number=self._jobs,
        )

    def stream(self, job: Job, raw: RawOutput | None = None) -> Generator[Event | Note, None, None]:
        """Carry out a job: its events as they happen, output in `Block`s, and notes for a person between them.

        ``raw`` gets (host, stream, bytes) of each piece of output as it came, before its lines; what it raises ends the
        job. Closing the iterator cancels the job.
        """
        self._keep()  # the settings may have been replaced as a whole
        try:
            for host in job.hosts:
                yield from (Note(host.name, text) for text in host.concerns)
            with contextlib.closing(
                self._pool.run(job, self._ask_keys, ask_prompts=self._ask_prompts, ask_secret=self._logins.answer)
            ) as news:
                for event in self._events(job, news, raw):
                    if isinstance(event, Event):
                        self.last.watch(event)
                    yield event
        finally:
            self.inputs.forget()

    def _events(self, job: Job, news: Iterable[News], raw: RawOutput | None) -> Iterator[Event | Note]:
        """The engine's news as events: pieces of output cut into lines, refused passwords kept in mind."""
        cutters: dict[tuple[str, str], LineCutter] = {}
        encodings = {host.name: host.encoding for host in job.hosts if host.encoding != UTF_8}
        for item in news:
            match item:
                case Chunk(host, stream, data):
                    if raw is not None:
                        raw(host, stream, data)
                    cutter = cutters.get((host, stream))
                    if cutter is None:
                        cutter = cutters[host, stream] = LineCutter()
                    for lines, eol in cutter.feed(data):
                        yield Block(job.number, host, stream, lines, eol, encodings.get(host, UTF_8))
                case PasswordRefused(host):
                    self._logins.refused(host)
                case Opened():
                    pass  # for `interact` alone
                case Finished():
                    if item.error is not None and item.error.kind == "sudo":
                        self._logins.sudo_refused()
                    for stream in ("stdout", "stderr"):
                        cutter = cutters.pop((item.host, stream), None)
                        for lines, eol in cutter.end() if cutter is not None else ():
                            yield Block(job.number, item.host, stream, lines, eol, encodings.get(item.host, UTF_8))
                    yield item
                case _:
                    yield item

    def interact(self, job: Job, keyboard: Keyboard) -> Generator[Event | Note | Chunk | Opened, None, None]:
        """Carry out a `Connect` job of one host: its output as it came, from its `Opened` on, among the other news.

        ``keyboard`` is listened to from there on. Closing the iterator hangs up. @failed and its kin stay as they are.
        """
        self._keep()
        with contextlib.closing(self._pool.run(job, self._ask_keys, keyboard, self._ask_prompts)) as news:
            for item in news:
                if isinstance(item, PasswordRefused):
                    self._logins.refused(item.host)
                else:
                    yield item

    def wake(self) -> None:
        """Have an interactive job look whether its terminal has another size. Safe from a signal handler."""
        self._pool.wake()

    def cancel(self) -> None:
        """Stop the job under way; a second call does not wait. Safe from a signal handler."""
        self._pool.cancel()


def _fit(host: Host, task: Task) -> Host:
    """``host`` for ``task``: not to be used where sudo would have to guess whose rights are meant."""
    if host.no_sudo is None or host.unusable is not None:
        return host
    named = isinstance(task, Run) and task.sudo_user is not None
    if named or not isinstance(task, (Run, Examine)) or not (task.sudo or host.sudo):
        return host
    return replace(host, unusable=host.no_sudo)
