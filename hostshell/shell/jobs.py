"""One job from its first event to its exit code, with Ctrl-C in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import FrameType

from hostshell.core.events import Summary
from hostshell.core.model import Job
from hostshell.session import Session
from hostshell.shell.interrupts import on_interrupt
from hostshell.shell.render import View

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


def carry_out(session: Session, job: Job, view: View) -> int:
    """Run ``job``, show it, and give its exit code."""
    code = 130
    interrupts = Interrupts(session.cancel)
    with on_interrupt(interrupts), contextlib.closing(session.stream(job)) as events:
        for event in events:
            if isinstance(event, Summary):
                code = event.exit_code
                interrupts.over = True
            view.show(event)
    return code
