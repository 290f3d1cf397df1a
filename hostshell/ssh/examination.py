"""What `doctor` looks at beyond a connect: local causes before it; session, command, SFTP and sudo after it.

Must not know turns or events. The connect itself is `connect.Connector`'s, which tells the same `Trace`.
"""

from __future__ import annotations

import os
import secrets
import socket
import stat
import threading
import time
from pathlib import Path
from shlex import quote

from hostshell.core import diagnosis
from hostshell.core.clean import clean
from hostshell.core.encodings import encode
from hostshell.core.events import Failure, Stream
from hostshell.core.explain import why_it_failed
from hostshell.core.model import Host
from hostshell.ssh.connect import Connection
from hostshell.ssh.deadlines import DEADLINES
from hostshell.ssh.execute import Ending, Execution
from hostshell.ssh.failures import TurnStopped
from hostshell.ssh.remotefiles import SftpGone, SftpStopped
from hostshell.ssh.sessions import Refused
from hostshell.ssh.sftp import Sftp
from hostshell.ssh.sftpwire import SftpError
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import Taking, Trace

MOST = 16 * 1024  # bytes of a probe's output that are looked at
AGENT_PATIENCE = 1.0  # seconds for an agent to take a connection
AGENT_FRESH = 5.0  # seconds for which what was found about it counts for other hosts
_SHOWN = 80  # characters of a host's text in a sentence


# --- before the connect ---


def look_around(host: Host, trace: Trace) -> None:
    """What this machine has for the host: settings, key file, agent."""
    with trace.step("settings") as step:
        step.say(address=host.address, port=host.port, user=host.user)
        if host.jump:
            step.say(jump=tuple(hop.name for hop in host.jump))
        if host.key is not None:
            _look_at_key(host.key, step)
        step.say(password="withheld" if host.password_withheld else "set" if host.password is not None else "none")
        step.say(agent=_agent(host.identity_agent))


def _look_at_key(key: str, step: Taking) -> None:
    path = Path(key).expanduser()
    step.say(key=key)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        step.warn(f"the key {key}: {(error.strerror or str(error)).lower()}", "check `key` in the inventory")
        return
    step.say(key_mode=f"{mode:04o}")
    if mode & 0o077:
        step.warn(f"others may read the key {key} (mode {mode:04o})", f"chmod 600 {path}: ssh refuses such a key")


_agents: dict[str, tuple[float, str]] = {}  # socket: when it was tried, what came of it
_agents_lock = threading.Lock()


def _agent(identity_agent: str | None) -> str:
    """What is with the agent: "answers", or why not."""
    if identity_agent == "none":
        return "none (IdentityAgent none)"
    place = identity_agent or os.environ.get("SSH_AUTH_SOCK", "")
    if not place:
        return "none (SSH_AUTH_SOCK is not set)"
    with _agents_lock:  # one look serves hundreds of hosts
        tried, said = _agents.get(place, (0.0, ""))
        if not said or time.monotonic() - tried > AGENT_FRESH:
            said = _try_agent(place)
            _agents[place] = time.monotonic(), said
    return said


def _try_agent(place: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.settimeout(AGENT_PATIENCE)
        try:
            agent.connect(place)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return f"no answer at {place}: {reason.lower()}"
    return f"answers at {place}"


# --- after the connect ---


class Examination:
    """Walks on from a login. ``patience``: seconds for each step."""

    def __init__(self, connection: Connection, trace: Trace, stopped: Stopper, patience: float) -> None:
        self._connection = connection
        self._trace = trace
        self._stopped = stopped
        self._patience = patience

    def run(self, sudo: str | None) -> Failure | None:
        """The first thing that is wrong, or None. ``sudo``: whose rights it is to give, None to leave it alone.

        Raises `LinkLost` and `TurnStopped`.
        """
        for step in (self._session, self._command, self._sftp):
            failure = step()
            if failure is not None:
                return failure
        return self._sudo(sudo) if sudo is not None else None

    def _session(self) -> Failure | None:
        with self._trace.step("session") as step:
            try:
                self._connection.sessions.prove(self._patience)
            except Refused as error:
                hint = "is MaxSessions 0, or the account only for forwarding?"
                return _failed(step, Failure("exit", clean(str(error)), hint))
        return None

    def _command(self) -> Failure | None:
        with self._trace.step("command") as step:
            mark = f"hostshell-{secrets.token_hex(8)}"
            ending, output = self._execute(diagnosis.probe(mark), step)
            if ending is None:
                return None if self._stopped() else _failed(step, _no_end(self._patience))
            probed = diagnosis.read_probe(output, mark, time.time())
            if not probed.answered:
                return _failed(step, self._no_answer(ending, output))
            step.facts.update(probed.facts)
            for number, (message, hint) in enumerate(probed.warnings):
                step.warn(clean(message), hint)
                if number:
                    step.add("also", message)
        return None

    def _no_answer(self, ending: Ending, output: str) -> Failure:
        """A command ran, or should have run, and it was not ours."""
        why = why_it_failed(ending.exit_code, ending.head)
        first = clean(next((line for line in output.splitlines() if line.strip()), "").strip()[:_SHOWN])
        said = f': "{first}"' if first else ""
        if self._connection.transport.has_own_command:
            return Failure(
                "exit",
                f"authorized_keys binds this key to a command of its own, which ran in place of ours{said}",
                "log in with another key (`key`), or take its command= out of authorized_keys there",
            )
        if ending.exit_code:
            return Failure("exit", f"no command can run: exit code {ending.exit_code}{said}", why or _LOGIN_SHELL)
        if ending.signal:
            return Failure("exit", f"no command can run: killed by signal {clean(ending.signal)}{said}", _LOGIN_SHELL)
        return Failure(
            "exit",
            f"what ran is not what was asked for{said}",
            "a ForceCommand of its sshd_config, or a login shell that is no shell, stands in place of the command",
        )

    def _sftp(self) -> Failure | None:
        with self._trace.step("sftp") as step:
            own = Stopper()
            alarm = DEADLINES.set(time.monotonic() + self._patience, own.stop)
            try:
                with self._stopped.calling(own.stop):
                    sftp = Sftp.over(self._connection.sessions, own)
            except SftpStopped:
                if self._stopped():
                    raise TurnStopped from None
                what = f"SFTP did not start within {self._patience:g} s"
                return _failed(step, Failure("transfer", what, "does the program of its `Subsystem sftp` line hang?"))
            except SftpGone as gone:
                return _failed(step, Failure("transfer", clean(gone.message), gone.hint or "copies need SFTP"))
            except SftpError:
                return _failed(step, Failure("transfer", "the host broke the SFTP protocol"))
            finally:
                alarm.drop()
            step.say(extensions=tuple(clean(name.decode("utf-8", "replace")) for name in sftp.extensions))
            sftp.close()
        return None

    def _sudo(self, user: str) -> Failure | None:
        with self._trace.step("sudo") as step:
            ending, output = self._execute("sudo -n true" if user == "root" else f"sudo -n -u {quote(user)} true", step)
            if ending is None:
                return None if self._stopped() else _failed(step, _no_end(self._patience))
            text = output.lower()
            if ending.exit_code == 0:
                step.say(sudo="works, and asks for no password")
            elif ending.exit_code == 127:
                return _failed(step, Failure("sudo", "there is no sudo on it", "install it, or log in as root"))
            elif "password is required" in text or "terminal is required" in text:
                step.say(sudo="asks for a password")
            else:
                first = clean(output.strip().partition("\n")[0][:_SHOWN])
                return _failed(step, Failure("sudo", f"sudo refuses: {first}", "its sudoers decides that"))
        return None

    def _execute(self, command: str, step: Taking) -> tuple[Ending | None, str]:
        """Run a command of ours: how it ended (None: not in time, or we were stopped), and its output, bounded."""
        pieces: list[bytes] = []
        own = Stopper()

        def keep(_stream: Stream, data: bytes) -> None:
            if sum(map(len, pieces)) < MOST:
                pieces.append(data)

        alarm = DEADLINES.set(time.monotonic() + self._patience, own.stop)
        try:
            with self._stopped.calling(own.stop):
                ending = Execution(self._connection.sessions, encode(command), keep, own, patience=self._patience).run()
        except Refused as error:
            step.say(refused=clean(str(error)))
            return Ending(exit_code=255), str(error)
        finally:
            alarm.drop()
        text = b"".join(pieces)[:MOST].decode("utf-8", "replace").replace("\r\n", "\n")
        return (None if ending.stopped else ending), text


_LOGIN_SHELL = "is the account's login shell there, and a shell?"


def _no_end(patience: float) -> Failure:
    hint = "do start-up files of its login shell wait for something, or is the home directory (NFS) out of reach?"
    return Failure("exit", f"a command did not end within {patience:g} s", hint)


def _failed(step: Taking, failure: Failure) -> Failure:
    step.fail(failure)
    return failure
