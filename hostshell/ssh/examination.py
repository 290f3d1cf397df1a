"""What `doctor` looks at after a connect: session, command, SFTP and sudo. What lies before it is `provisions`.

Must not know turns or events. The connect itself is `connect.Connector`'s, which tells the same `Trace`.
"""

from __future__ import annotations

import secrets
import time
from shlex import quote

from hostshell.core import diagnosis
from hostshell.core.clean import clean
from hostshell.core.encodings import encode
from hostshell.core.events import Failure, Stream
from hostshell.core.explain import why_it_failed
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
_SHOWN = 80  # characters of a host's text in a sentence


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
        by = self._connection.transport.bound_by
        if by:
            what = f"{by} binds this key to a command of its own, which ran in place of ours{said}"
            way = "take its command= out of authorized_keys there"
            if by == "the certificate":
                way = "have a certificate made without force-command (ssh-keygen -L -f shows what it has)"
            return Failure("exit", what, f"log in with another key (`key`), or {way}")
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
                host = self._connection.host
                if not host.sudo_password_known and host.password is None:  # that of the login is tried, too
                    hint = "a person at a terminal is asked for it once; without one set `sudo_password_from`"
                    step.warn("sudo asks for a password, and the inventory has none", hint)
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
