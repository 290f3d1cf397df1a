"""One job from its first event to its exit code, with Ctrl-C in between."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from hostshell.core.events import Summary
from hostshell.core.model import Job
from hostshell.session import Session
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

    @contextmanager
    def caught(self) -> Iterator[None]:
        """While the block runs, they are ours."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self.over or self._count > PATIENT_INTERRUPTS:
            raise KeyboardInterrupt
        self._cancel()


def carry_out(session: Session, job: Job, view: View) -> int:
    """Run ``job``, show it, and give its exit code."""
    code = 130
    interrupts = Interrupts(session.cancel)
    with interrupts.caught(), contextlib.closing(session.stream(job)) as events:
        for event in events:
            if isinstance(event, Summary):
                code = event.exit_code
                interrupts.over = True
            view.show(event)
    return code
