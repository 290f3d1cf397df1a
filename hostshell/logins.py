"""Hosts as the engine needs them: what the inventory says of each, with its secrets, its limits and its policy.

Must not know jobs or how anything is run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from hostshell.core.errors import NotGiven, SecretDeclined, SecretError, UsageError
from hostshell.core.keyformat import DEFAULT_KEYS
from hostshell.core.model import DEFAULT_PORT, Host, HostKeyPolicy, Login, Secret, SecretSource
from hostshell.core.names import check_port, check_user
from hostshell.core.targets import parse_moment
from hostshell.inventory.keyfiles import locked_alone
from hostshell.inventory.model import Inventory
from hostshell.inventory.secrets import AskSecret, SecretDesk

NOTHING_SAID = Login()


class Logins:
    """Makes hosts ready to be logged in to, and remembers what was asked for and what was refused until `forget`.

    ``known_hosts`` and ``host_keys`` beat what the inventory says. ``default_host_keys`` is the policy of hosts for
    which nobody has said any. ``ask`` puts one question without echo.
    """

    def __init__(
        self,
        *,
        known_hosts: str | None = None,
        host_keys: HostKeyPolicy | None = None,
        default_host_keys: HostKeyPolicy = "strict",
        ask: AskSecret | None = None,
    ) -> None:
        self._known_hosts = known_hosts
        self._host_keys = host_keys
        self._default_host_keys = default_host_keys
        self._desk = SecretDesk(None if ask is None else _given_up(ask))
        self._ask = ask
        self._typed: list[Secret] = []  # given for one job only, and never to be written down
        self._answers: dict[str, Secret] = {}
        self._offered: dict[str, str | None] = {}  # host to the user whose password the inventory knows
        self._refused: set[tuple[str, str]] = set()  # host and user
        self._looked_up: dict[tuple[str, str | None, bool], Secret | None] = {}  # passphrases, for one job
        self._default_keys: dict[str | None, list[str]] = {}  # those to be asked for, by the agent; for one job
        self._not_got: dict[object, SecretError] = {}  # for one job: what failed is not tried host by host

    def refused(self, name: str) -> None:
        """A host has said no to its password: it is not offered there again."""
        user = self._offered.get(name)
        if user is not None:
            self._refused.add((name, user))

    def asked(self, login: Login) -> Login:
        """``login`` with its password, asked for where it is to be. Raises `SecretError` and `UsageError`."""
        try:
            check_user(login.user or "root")
            check_port(login.port or DEFAULT_PORT)
        except ValueError as error:
            raise UsageError(f"cannot log in like that: {error}") from None
        password = login.password
        if login.ask_password and password is None:
            if self._ask is None:
                what = "-k asks for a password, and there is no terminal to ask at"
                raise SecretError(what, "`password_from` in the inventory works without a person")
            whose = f" of {login.user}" if login.user else ""
            try:
                password = Secret(self._ask(f"Password{whose}: "))
            except (EOFError, KeyboardInterrupt) as end:
                raise _not_given("no password was given", end) from None
        if password is not None and password not in self._typed:
            self._typed.append(password)
        return replace(login, password=password)

    def answer(self, key: str, question: str) -> Secret | None:
        """What a turn wants to know from a person, such as sudo's password: asked once, and kept until `sudo_refused`.

        None where nobody gives one. Raises `KeyboardInterrupt`.
        """
        known = self._answers.get(key)
        if known is None and self._ask is not None:
            try:
                known = Secret(self._ask(question))
            except EOFError:
                return None
            self._answers[key] = known
            self._typed.append(known)
        return known

    def sudo_refused(self) -> None:
        """sudo did not like something: the next command asks again."""
        self._answers.clear()

    def forget(self) -> None:
        """Ask again for what was asked, and offer again what was refused."""
        self._desk.forget()
        self._refused.clear()
        self._typed.clear()
        self._answers.clear()

    def secrets(self) -> Iterator[str]:
        """What has been got so far, so that none of it is ever written down."""
        for secret in (*self._desk.known(), *self._typed):
            yield secret.reveal()

    def new_job(self) -> None:
        """Keys come and go in the agent."""
        self._looked_up.clear()
        self._default_keys.clear()
        self._not_got.clear()

    def examined(
        self,
        inventory: Inventory,
        name: str,
        connect_timeout: float | None = None,
        login: Login = NOTHING_SAID,
    ) -> Host:
        """As `host`, for a job that is to say what is wrong: a secret that cannot be got is what the host ``lacks``.

        One that a person did not give is still a `SecretError`.
        """
        try:
            return self.host(inventory, name, connect_timeout, login)
        except SecretDeclined:
            raise
        except SecretError as error:
            lacks = (error.message.removesuffix("; nothing was run"), error.hint)
            host = _of(inventory, name, login)
            return replace(
                host, lacks=lacks, jump=(), password_from=None, passphrase_from=None, sudo_password_from=None
            )

    def host(
        self,
        inventory: Inventory,
        name: str,
        connect_timeout: float | None = None,
        login: Login = NOTHING_SAID,
        *,
        sudo: bool | None = None,
    ) -> Host:
        """Everything that it takes to log in to ``name``. Raises `TargetError` and `SecretError`.

        ``connect_timeout`` (seconds) and ``login`` (as `asked` gives it) beat the inventory. ``sudo``: its password is
        wanted too, where the inventory says where it is (False: on hosts whose settings say sudo; None: on none).
        """
        host = _of(inventory, name, login)
        host = self._ready(host, connect_timeout, login.password, sudo=sudo)
        way = tuple(self._ready(hop, connect_timeout) for hop in host.jump)
        return replace(host, jump=way) if way else host

    def _ready(
        self, host: Host, connect_timeout: float | None, password: Secret | None = None, *, sudo: bool | None = None
    ) -> Host:
        """One host, or one jump host on the way to it. ``password`` is one that was given for this job."""
        name, passphrase = host.name, None
        withheld = host.password_from is not None and (name, host.user) in self._refused
        self._offered[name] = host.user if password is None else None
        if host.password_from is not None and not withheld:
            password = self._secret(host.password_from, "password", name)
        if host.passphrase_from is not None:
            passphrase = self._secret(host.passphrase_from, "passphrase", name)
        elif host.key is not None and host.pubkey_authentication:
            passphrase = self._of_key(host.key, host, needed=True)
        opened = []
        for path in self._further_keys(host, password) if host.pubkey_authentication else ():
            found = self._of_key(path, host, needed=False)
            opened += [(path, found)] if found is not None else []
        sudo_password = None
        if host.sudo_password_from is not None and sudo is not None and (sudo or host.sudo):
            sudo_password = self._secret(host.sudo_password_from, "sudo password", name)
        return replace(
            host,
            password=password,
            passphrase=passphrase,
            passphrases=tuple(opened),
            password_withheld=withheld,
            password_advice=_advice(host.password_from, typed=password is not None and host.password_from is None),
            password_from=None,
            passphrase_from=None,
            sudo_password=sudo_password,
            sudo_password_from=None,
            sudo_password_known=host.sudo_password_from is not None,
            known_hosts=self._known_hosts or host.known_hosts,
            host_keys=self._host_keys or host.host_keys or self._default_host_keys,
            connect_timeout=connect_timeout if connect_timeout is not None else host.connect_timeout,
        )

    def _further_keys(self, host: Host, password: Secret | None) -> Iterable[str]:
        """The key files beside the inventory's own whose passphrase may be asked for.

        Of the default ones nobody is asked where something else may do: ssh would try that first, or has no need to.
        """
        if host.identity_files is not None:
            return host.identity_files
        if host.key is not None or password is not None:
            return ()
        agent = "none" if host.identities_only else host.identity_agent  # what else it has would not be offered
        if agent not in self._default_keys:
            self._default_keys[agent] = locked_alone(DEFAULT_KEYS, agent)
        return self._default_keys[agent]

    def _secret(self, source: SecretSource, what: str, name: str) -> Secret:
        with self._once((source.place, what)):
            try:
                return self._desk.get(source, what)
            except EOFError as end:
                raise _not_given(f"no {what} was given for {name}", end) from None

    def _of_key(self, path: str, host: Host, *, needed: bool) -> Secret | None:
        """The passphrase of a key file. What a job for many hosts needs to know of one is looked up once a job."""
        place = (path, host.identity_agent, needed)
        if place not in self._looked_up:
            with self._once(place):
                try:
                    self._looked_up[place] = self._desk.passphrase(path, host.identity_agent, needed=needed)
                except EOFError as end:
                    raise _not_given(f"no passphrase was given for {path}", end) from None
        return self._looked_up[place]

    @contextlib.contextmanager
    def _once(self, what: object) -> Iterator[None]:
        """What this block could not get is not tried again in this job, but raised."""
        if what in self._not_got:
            raise self._not_got[what]
        try:
            yield
        except SecretError as error:
            self._not_got[what] = error
            raise


class _Interrupted(EOFError):
    """The end of a question by Ctrl-C."""


def _not_given(what: str, end: BaseException) -> SecretError:
    kind = NotGiven if isinstance(end, (KeyboardInterrupt, _Interrupted)) else SecretDeclined
    return kind(f"{what}; nothing was run")


def _given_up(ask: AskSecret) -> AskSecret:
    """``ask``, whose question a Ctrl-C ends as Ctrl-D does. One that comes while nothing is asked ends the job."""

    def question(text: str) -> str:
        try:
            return ask(text)
        except KeyboardInterrupt:
            raise _Interrupted from None

    return question


def _advice(source: SecretSource | None, *, typed: bool) -> str:
    """What a person can do when a host has refused its password."""
    if source is None:
        return "give it once more, as with -k" if typed else ""
    section = f" [{source.place.section}]" if source.place.section else ""
    place = f"{source.place}{section}"
    match source.kind:
        case "literal":
            return f"correct it in {place}, then `reload`"
        case "ask":
            return f"`reload` has it asked for again ({place})"
        case _:
            return f"correct what `password_from` gives ({place}), then `reload`"


def _of(inventory: Inventory, name: str, login: Login) -> Host:
    host = inventory.host(name)
    return host if login == NOTHING_SAID else _laid_over(host, login, known=name in inventory.host_names)


def _laid_over(host: Host, login: Login, *, known: bool) -> Host:
    """``host`` with what was said for this job. ``known``: to the inventory; else its name may say more itself."""
    moment = None if known else parse_moment(host.name)
    user, port = login.user or host.user, login.port or host.port
    if moment is not None:
        user, port = moment.user or user, moment.port or port
    key = login.key or host.key
    return replace(
        host,
        user=user,
        port=port,
        key=key,
        of_this_job=(user, port) != (host.user, host.port),
        # what the inventory knows is another user's, or opens another key
        password_from=host.password_from if user == host.user and login.password is None else None,
        passphrase_from=host.passphrase_from if key == host.key else None,
        sudo_password_from=host.sudo_password_from if user == host.user else None,
    )
