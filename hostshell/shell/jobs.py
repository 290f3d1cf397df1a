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


@contextmanager
def interrupts(cancel: Callable[[], None]) -> Iterator[None]:
    """While the block runs, Ctrl-C calls ``cancel`` instead of raising in the middle of anything."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    count = 0

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > PATIENT_INTERRUPTS:
            raise KeyboardInterrupt
        cancel()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def carry_out(session: Session, job: Job, view: View) -> int:
    """Run ``job``, show it, and give its exit code."""
    code = 130
    with interrupts(session.cancel), contextlib.closing(session.stream(job)) as events:
        for event in events:
            if isinstance(event, Summary):
                code = event.exit_code
            view.show(event)
    return code
