"""One job from its first event to its exit code, with Ctrl-C in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from hostshell.core.events import EXIT_CODES, Event, Finished, Summary
from hostshell.core.model import Job
from hostshell.core.turns import Note
from hostshell.session import Session
from hostshell.shell.interrupts import on_interrupt
from hostshell.shell.render import View
from hostshell.sitting import RawOutput

MOST_REMOTE = 255  # a process of ours can end with no larger code
PATIENT_INTERRUPTS = 2  # Ctrl-Cs that the engine answers itself; one more breaks out of whatever blocks


class Interrupts:
    """What Ctrl-C does while a job runs: it calls ``cancel`` instead of raising in the middle of anything.

    Once the job is ``over`` and only its answer is being shown, it raises as usual.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self.over = False
        self._cancel = cancel
        self._count = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self._count += 1
        if self.over or self._count > PATIENT_INTERRUPTS:
            raise KeyboardInterrupt
        self._cancel()


@dataclass(slots=True)
class Ending:
    """How a job ended: ``code`` by the contract, ``largest`` with the hosts' own exit codes (0 to 255) in it."""

    code: int = 130
    largest: int = 0
    interrupted: bool = True

    def watch(self, event: Event | Note) -> None:
        """One more event of the job."""
        match event:
            case Finished():
                remote = min(max(event.exit_code or 0, 0), MOST_REMOTE)
                self.largest = max(self.largest, remote, EXIT_CODES[event.status])
            case Summary():
                self.code = event.exit_code
                self.interrupted = bool(event.cancelled)


def carry_out(session: Session, job: Job, view: View, raw: RawOutput | None = None) -> Ending:
    """Run ``job``, show it, and say how it ended. ``raw`` gets the output as it came, see `Session.stream`."""
    ending = Ending()
    interrupts = Interrupts(session.cancel)
    with on_interrupt(interrupts), contextlib.closing(session.stream(job, raw)) as events:
        for event in events:
            ending.watch(event)
            if isinstance(event, Summary):
                interrupts.over = True
            view.show(event)
    return ending
