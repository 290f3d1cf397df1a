"""The groups that the last command makes: who is in them, in which order, and what is said when nobody is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from hostshell.core.errors import TargetError
from hostshell.core.events import Event, Finished, Started, Status, Summary
from hostshell.core.recent import STATUS_GROUPS, LastCommand, WithLast
from hostshell.core.targets import Targets, resolve


@dataclass
class Names:
    host_names: list[str]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


FLEET = Names(["w1", "w2", "w3", "db"], {"web": ("w1", "w2", "w3"), "fore": ("db",)})


def after(*events: Event) -> LastCommand:
    last = LastCommand()
    for event in events:
        last.watch(event)
    return last


def ended(**statuses: Status) -> LastCommand:
    """A command whose hosts ended in the opposite order."""
    ends = [Finished(1, host, status) for host, status in statuses.items()]
    return after(Started(1, "x", tuple(statuses)), *reversed(ends), Summary(1))


def hosts(last: LastCommand, *texts: str, groups: str = "", exclude: str = "", everything: bool = False) -> str:
    named = Targets(texts, (groups,) if groups else (), (exclude,) if exclude else (), everything)
    return " ".join(resolve(named, WithLast(FLEET, last)))


def test_every_status_is_a_group() -> None:
    assert STATUS_GROUPS == ("ok", "failed", "unreachable", "timeout", "lost", "cancelled")
    for status in STATUS_GROUPS:
        assert hosts(ended(w1=status, w2="ok" if status != "ok" else "lost"), f"@{status}") == "w1"


def test_hosts_keep_the_order_in_which_they_were_named() -> None:
    last = ended(w3="failed", db="ok", w1="failed", w2="failed")
    assert hosts(last, "@failed") == "w3 w1 w2"


def test_they_are_groups_in_every_place() -> None:
    last = ended(w1="failed", w2="unreachable", w3="ok")
    assert hosts(last, "@failed,@unreachable,@timeout") == "w1 w2"
    assert hosts(last, "@web!@ok") == "w1 w2"
    assert hosts(last, "@web&@ok") == "w3"
    assert hosts(last, groups="failed,ok") == "w1 w3"
    assert hosts(last, everything=True, exclude="@failed") == "w2 w3 db"


def test_hosts_of_the_moment_are_among_them() -> None:
    last = after(Started(1, "x", ("root@192.0.2.1:22",)), Finished(1, "root@192.0.2.1:22", "lost"))
    assert hosts(last, "@lost") == "root@192.0.2.1:22"


def test_the_next_command_changes_them() -> None:
    last = ended(w1="failed", w2="ok")
    last.watch(Started(2, "y", ("w1",)))
    last.watch(Finished(2, "w1", "ok"))
    assert last.counts() == {"ok": 1}
    assert hosts(last, "@ok") == "w1"


def test_hosts_of_which_no_end_was_heard_count_as_cancelled() -> None:
    last = after(Started(1, "x", ("w1", "w2", "w3")), Finished(1, "w2", "ok"))
    assert last.counts() == {"ok": 1, "cancelled": 2}
    assert hosts(last, "@cancelled") == "w1 w3"


def test_leaving_out_nobody_is_no_error() -> None:
    assert hosts(ended(w1="ok"), "@web", exclude="@failed") == "w1 w2 w3"


@pytest.mark.parametrize("text", ["@failed", "@web!@failed", "@ok"])
def test_before_the_first_command_the_error_says_so(text: str) -> None:
    with pytest.raises(TargetError, match="no command has run on hosts in this session yet"):
        hosts(LastCommand(), text)
    assert LastCommand().counts() == {}


def test_no_wildcard_finds_them() -> None:
    assert hosts(ended(db="ok", w1="failed"), "@f*") == "db"


def test_a_status_as_a_host_is_told_from_a_group() -> None:
    with pytest.raises(TargetError) as caught:
        hosts(ended(w1="failed"), "failed")
    assert caught.value.hint == "failed is a group: name it with -g failed"


def test_why_there_is_nobody_is_explained_by_who_there_is() -> None:
    catalog = WithLast(FLEET, ended(w1="ok", w2="ok", w3="unreachable"))
    with pytest.raises(TargetError, match="no hosts left"):
        resolve(Targets(("@failed,@lost",)), catalog)
    assert (
        catalog.explain()
        == "nobody of the last command is @failed or @lost; there is @ok (2 hosts), @unreachable (1 host)"
    )
    catalog = WithLast(FLEET, ended(w1="ok"))
    resolve(Targets(("@ok",)), catalog)
    assert (catalog.explain(), list(catalog.used)) == ("", ["ok"])
