"""Who wants to know each step of a connect: mostly nobody (`SILENT`), else `doctor`.

Must not know what becomes of a step. A step is told when it ends, also when it ends by an exception, which goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hostshell.core.events import Failure
from hostshell.core.steps import Fact, Result, Step, StepName
from hostshell.ssh.failures import ConnectFailed, LinkLost, NewHostKey, TurnStopped

MOST_OF_ONE = 50  # items of one fact that are kept: a server may offer and claim any number
LONGEST = 200  # characters of one text of a fact


class Taking:
    """A step that is being taken: what it has seen so far."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.ended: float | None = None  # set where the step ended before its block does
        self.facts: dict[str, Fact] = {}
        self.result: Result = "ok"
        self.message = ""
        self.hint = ""

    def say(self, **facts: Fact) -> None:
        """Something was seen; underscores in the names become blanks."""
        for name, fact in facts.items():
            self.facts[name.replace("_", " ")] = _bounded(fact)

    def add(self, fact: str, text: str) -> None:
        """One more item of a fact that has several."""
        items = self.facts.get(fact, ())
        assert isinstance(items, tuple)
        if len(items) < MOST_OF_ONE:
            self.facts[fact] = (*items, text[:LONGEST])

    def warn(self, message: str, hint: str = "") -> None:
        """The step went well, and yet a person should know of this. The first warning is the one that counts."""
        if self.result == "ok":
            self.result, self.message, self.hint = "warning", message, hint

    def fail(self, failure: Failure) -> None:
        """The step did not go well."""
        self.result, self.message, self.hint = "failed", failure.message, failure.hint

    def skip(self, why: str) -> None:
        """The step was not taken."""
        self.result, self.message = "skipped", why


class Trace:
    """Tells the steps of one connect to ``tell``. ``via``: they belong to the jump host of that name."""

    def __init__(self, tell: Callable[[Step], None] | None, via: str = "") -> None:
        self._tell = tell
        self._via = via

    @property
    def heard(self) -> bool:
        """Whether anybody listens: facts that cost something need not be gathered for nobody."""
        return self._tell is not None

    def through(self, via: str) -> Trace:
        """The trace of a jump host on the way."""
        return Trace(self._tell, via)

    @contextmanager
    def step(self, name: StepName) -> Iterator[Taking]:
        """The block is one step; an exception that leaves it is the step's failure, and goes on."""
        taking = Taking()
        try:
            yield taking
        except ConnectFailed as error:
            taking.fail(error.failure)
            raise
        except LinkLost as error:
            taking.fail(Failure("lost", str(error)))
            raise
        except NewHostKey:
            taking.warn("its host key is not known yet", "the question is asked when every other host has settled")
            raise
        except TurnStopped:
            taking.skip("stopped")
            raise
        finally:
            if self._tell is not None:
                ended = taking.ended if taking.ended is not None else time.monotonic()
                seconds = round(max(0.0, ended - taking.began), 4)
                self._tell(Step(name, taking.result, seconds, taking.facts, taking.message, taking.hint, self._via))


SILENT = Trace(None)


def _bounded(fact: Fact) -> Fact:
    if isinstance(fact, str):
        return fact[:LONGEST]
    if isinstance(fact, tuple):
        return tuple(item[:LONGEST] for item in fact[:MOST_OF_ONE])
    return fact
