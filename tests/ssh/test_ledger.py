"""The account of one copy: how often it is told."""

from __future__ import annotations

import itertools

from hostshell.ssh.plan import Ledger


def test_progress_is_told_four_times_a_second_at_the_most_and_at_the_end() -> None:
    now = [0.0]
    told: list[tuple[float, int]] = []
    ledger = Ledger(lambda *told_of: told.append((now[0], told_of[1])), clock=lambda: now[0])
    ledger.begin(b"name")
    for _ in range(10_000):
        now[0] += 0.001
        ledger.moved(1)
    ledger.close()
    times = [time for time, _ in told]
    assert 30 <= len(told) <= 41
    assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(times[:-1]))
    assert told[-1] == (now[0], 10_000)
