"""The turn of `doctor`: a connect of its own and what follows, each step told as it is taken.

Must not know processes or pipes: it is given how to connect and whom to tell.
"""

from __future__ import annotations

from collections.abc import Callable

from hostshell.core.diagnosis import advise, marked
from hostshell.core.events import Failure
from hostshell.core.model import Examine, Host
from hostshell.core.steps import Step
from hostshell.ssh.agent import asked_by
from hostshell.ssh.connect import Connection
from hostshell.ssh.examination import Examination
from hostshell.ssh.failures import ConnectFailed
from hostshell.ssh.provisions import look_around
from hostshell.ssh.stopping import Stopper
from hostshell.ssh.trace import Trace


def examine(
    host: Host,
    task: Examine,
    stopped: Stopper,
    connect: Callable[[Trace], Connection],
    tell: Callable[[Step], None],
) -> Failure | None:
    """The first thing that is wrong after the login, or None.

    ``connect`` makes a new connection and says that it stands. Raises as it does: `ConnectFailed` with the best advice
    that the steps give, `NewHostKey`, `LinkLost`, `TurnStopped`.
    """
    steps: list[Step] = []

    def keep(step: Step) -> None:
        step = marked(step)
        steps.append(step)
        tell(step)

    trace = Trace(keep)
    with asked_by(stopped):
        look_around(host, trace)
    try:
        connection = connect(trace)
    except ConnectFailed as error:
        error.failure = advise(error.failure, steps, host)
        raise
    sudo = task.sudo or host.sudo  # where commands go through it, it belongs to what has to work
    return Examination(connection, trace, stopped, host.connect_timeout).run(host.sudo_user or "root" if sudo else None)
