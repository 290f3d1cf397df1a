"""One command of one turn: from what the person asked for to how it ended on this host.

Must not know workers or pipes.
"""

from __future__ import annotations

from collections.abc import Callable

from hostshell.core.events import Failure, Stream
from hostshell.core.explain import why_it_failed
from hostshell.core.model import Host, Run, Terminal
from hostshell.core.remote import remote_line
from hostshell.core.turns import Ended
from hostshell.ssh.execute import Around, Ending, Execution
from hostshell.ssh.feeding import Feed, InputChanged
from hostshell.ssh.gate import Gate, NeedsTerminal, Rights, SudoRefused
from hostshell.ssh.sessions import Refused, Sessions
from hostshell.ssh.stopping import Stopper

END_OF_INPUT = b"\x04"  # what a terminal takes for it
PLAIN_TERMINAL = Terminal(80, 24)  # for a sudo that wants one


def carry_out(
    run: Run,
    host: Host,
    sessions: Sessions,
    turn: int,
    *,
    emit: Callable[[Stream, bytes], None],
    stopped: Stopper,
    silent: Callable[[], None],
    ask: Callable[[str], object],
) -> Ended:
    """Run it on ``host``, for which ``run`` is meant; how it ended. ``ask`` is for sudo's password, see `Rights`.

    Raises `LinkLost`, `Refused` and `TurnStopped`.
    """

    def attempt(*, over_terminal: bool = False) -> Ending:
        line, around = _prepared(run, host, ask, over_terminal=over_terminal)
        execution = Execution(
            sessions,
            line,
            emit,
            stopped,
            patience=host.connect_timeout,
            silent=silent,
            around=around,
        )
        return execution.run()

    try:
        try:
            ending = attempt()
        except NeedsTerminal:
            ending = attempt(over_terminal=True)
    except SudoRefused as error:
        return Ended(turn, "failed", failure=error.failure)
    except InputChanged as error:
        hint = "every host gets the same bytes or none; run it again once the file stays as it is"
        return Ended(turn, "failed", failure=Failure("transfer", str(error), hint), may_still_run=error.started)
    return command_ended(turn, ending)


def _prepared(run: Run, host: Host, ask: Callable[[str], object], *, over_terminal: bool) -> tuple[bytes, Around]:
    """The line to send and what is around it."""
    files = [file for file in (run.script.file if run.script else None, run.stdin) if file is not None]
    gate = None
    if run.sudo or host.sudo:
        user = run.sudo_user or host.sudo_user or "root"
        rights = Rights(user, host.user, host.sudo_password, host.password, ask)  # type: ignore[arg-type]  # a secret
        gate = Gate(rights, over_terminal=over_terminal or run.terminal is not None)
    try:
        line = remote_line(run, host.encoding, gate.tokens if gate else None, over_terminal=over_terminal)
    except UnicodeEncodeError as error:
        what = f"{host.encoding}, which this host speaks, has no {error.object[error.start]!r}"
        raise Refused(f"the command cannot be sent: {what}") from None
    if run.terminal is not None:
        return line, Around(Feed(files, END_OF_INPUT), gate, run.terminal)
    if over_terminal:
        return line, Around(Feed(files, b""), gate, PLAIN_TERMINAL, raw=True)
    return line, Around(Feed(files) if files or gate else None, gate)


def command_ended(number: int, ending: Ending) -> Ended:
    """A command's end as the end of turn ``number``."""
    if ending.stopped:
        return Ended(number, "cancelled", ending.exit_code, ending.signal, may_still_run=ending.may_still_run)
    if ending.signal is not None:
        failure = Failure("signal", f"killed by signal {ending.signal}")
        return Ended(number, "failed", signal=ending.signal, failure=failure)
    if ending.exit_code != 0:
        hint = why_it_failed(ending.exit_code, ending.head)
        return Ended(number, "failed", ending.exit_code, failure=Failure("exit", f"exit code {ending.exit_code}", hint))
    return Ended(number, "ok", 0)
