"""Getting a secret from where the inventory says it is: the environment, a command, a key store, or a person.

Each place in the inventory is asked once. No message here ever holds a secret, nor a command's output.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from hostshell.core.clean import clean
from hostshell.core.errors import SecretError
from hostshell.core.model import Place, Secret, SecretSource
from hostshell.inventory.keyfiles import needs_passphrase, opens

TRIES = 3  # passphrases that a person may type for one key
COMMAND_PATIENCE = 60.0  # seconds for a `cmd:`: it may ask a person to unlock something

AskSecret = Callable[[str], str]


class SecretDesk:
    """Gets secrets, and remembers each by its place until `forget`.

    ``ask`` puts one question without echo and gives the answer; None where there is nobody to ask.
    """

    def __init__(self, ask: AskSecret | None = None) -> None:
        self._ask = ask
        self._known: dict[tuple[Place, str], Secret] = {}
        self._declined: set[str] = set()  # key files whose passphrase nobody gave

    def forget(self) -> None:
        """Ask again next time."""
        self._known.clear()
        self._declined.clear()

    def known(self) -> list[Secret]:
        """The secrets that have been got so far, so that nobody writes one down."""
        return list(self._known.values())

    def get(self, source: SecretSource, what: str) -> Secret:
        """The secret itself. ``what`` is "password" or "passphrase". Raises `SecretError`."""
        if source.literal is not None:
            return source.literal
        key = (source.place, what)
        secret = self._known.get(key)
        if secret is None:
            secret = Secret(self._fetch(source, what))
            self._known[key] = secret
        return secret

    def passphrase(self, path: str, agent: str | None, *, needed: bool) -> Secret | None:
        """The passphrase of a key file, asked for once; None where it needs none, or where the person gives none.

        Not ``needed`` is a key that others may stand in for: without a terminal it is passed over. ``agent`` is the
        socket of an agent that may have it. Raises `SecretError`.
        """
        key = (Place(path), "passphrase")
        if key in self._known:
            return self._known[key]
        if path in self._declined or not needs_passphrase(path, agent):
            return None
        if self._ask is None:
            if not needed:
                return None
            raise SecretError(
                f"the key {path} is encrypted, and there is no terminal to ask for its passphrase at",
                "ssh-add it to the agent, or set `passphrase_from` in the inventory",
            )
        for _ in range(TRIES):
            text = self._ask(f"Passphrase for the key {clean(path)}: ")
            if not text:
                break
            if opens(path, text):
                self._known[key] = Secret(text)
                return self._known[key]
        if needed:
            raise SecretError(f"the key {path} was not opened; nothing was run")
        self._declined.add(path)
        return None

    def _fetch(self, source: SecretSource, what: str) -> str:
        where = str(source.place)
        match source.kind:
            case "env":
                value = os.environ.get(source.argument)
                if value is None:
                    raise SecretError(
                        f"{where}: the environment has no variable {source.argument}",
                        f"export {source.argument} before you start hostshell",
                    )
                return value
            case "cmd":
                return _from_command(source.argument, where)
            case "keyring":
                return _from_keyring(source.argument, where)
            case _:
                if self._ask is None:
                    raise SecretError(
                        f"{where}: the {what} is to be asked for, and there is no terminal to ask at",
                        "use `env:NAME`, `cmd:COMMAND` or `keyring:SERVICE/USER` for runs without a person",
                    )
                section = f" for {source.place.section}" if source.place.section else ""
                return self._ask(f"{what.capitalize()}{section} ({where}): ")


def _from_command(command: str, where: str) -> str:
    try:
        done = subprocess.run(  # noqa: S602  # the person wrote this command into their own inventory
            command, shell=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=COMMAND_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise SecretError(f"{where}: the `cmd:` command did not end within {COMMAND_PATIENCE:g} s") from None
    except OSError as error:
        raise SecretError(f"{where}: the `cmd:` command cannot run: {error.strerror}") from None
    if done.returncode != 0:
        raise SecretError(
            f"{where}: the `cmd:` command ended with exit code {done.returncode}", "run it by hand to see what it says"
        )
    try:
        text = done.stdout.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError(f"{where}: what the `cmd:` command printed is not UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretError(f"{where}: the `cmd:` command printed nothing")
    return text


def _from_keyring(argument: str, where: str) -> str:
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise SecretError(
            f"{where}: `keyring:` needs the keyring package", "pip install 'hostshell[keyring]'"
        ) from None
    service, _, user = argument.rpartition("/")
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise SecretError(f"{where}: the key store did not answer ({type(error).__name__})") from None
    if value is None:
        raise SecretError(f"{where}: the key store has nothing for {argument}", f"keyring set {service} {user}")
    return str(value)
