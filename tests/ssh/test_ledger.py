"""The account of one copy: how often it is told."""

from __future__ import annotations

import itertools

from hostshell.ssh.plan import TOLD, Ledger


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


def test_a_long_comparison_is_told_as_it_begins_and_not_any_more_once_bytes_move() -> None:
    now = [0.0]
    told: list[tuple[str, int, int, int, int]] = []
    ledger = Ledger(lambda *told_of: told.append(told_of), clock=lambda: now[0])
    ledger.total = TOLD
    with ledger.comparing(TOLD - 1):
        pass
    assert told == []
    with ledger.comparing(TOLD, b"name"):
        assert told == [("name", 0, TOLD, 0, TOLD)]
        now[0] = 5.0
    ledger.moved(1)
    assert told[1:] == [("name", 1, TOLD, 0, 0)]
