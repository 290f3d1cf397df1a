"""What `doctor` shows, from replayed events: one walk for hosts that fail alike, one line for those that work."""

from __future__ import annotations

import io

from hostshell.core.events import Event, Examined, Failure, Finished, Started, Summary
from hostshell.core.steps import Fact, Step
from hostshell.core.turns import Note
from hostshell.shell.checkup import Checkup
from hostshell.shell.screen import Screen


def shown(*events: Event | Note) -> list[str]:
    out, err = io.StringIO(), io.StringIO()
    view = Checkup(Screen(out, err, environ={"TERM": "xterm"}))
    for event in events:
        view.show(event)
    assert out.getvalue() == ""
    assert "\x1b" not in err.getvalue()
    return err.getvalue().splitlines()


def test_hosts_that_fail_alike_share_a_walk_that_says_what_each_saw() -> None:
    refused = Finished(1, "", "unreachable", error=Failure("refused", "connection refused", "is sshd running?"))
    events: list[Event] = [Started(1, "doctor", ("db1", "db2", "web1"))]
    for host in ("db2", "db1"):
        events.append(Examined(1, host, Step("settings")))
        events.append(
            Examined(1, host, Step("port", "failed", 0.002, {"tried": (f"{host}: connection refused",)}, "no"))
        )
        events.append(Finished(1, host, "unreachable", error=refused.error))
    events += [Examined(1, "web1", Step("settings")), Examined(1, "web1", Step("login", seconds=0.25))]
    events += [Finished(1, "web1", "ok"), Summary(1, ok=1, unreachable=2, seconds=0.5, exit_code=4)]
    assert shown(*events) == [
        "db[1-2] (2): connection refused",
        "    is sshd running?",
        "  ok settings          0 ms",
        "  x  port              2 ms  db1: connection refused, db2: connection refused",
        "web1: all well; the longest step took 250 ms (login of web1)",
        "1 well, 2 not, in 0.50 s",
    ]


def test_a_connect_that_is_tried_again_is_shown_once_and_a_warning_makes_a_walk() -> None:
    warned = Step("command", "warning", 0.01, {"user": "deploy"}, "no space is left in /tmp", "make room")
    lines = shown(
        Started(1, "doctor", ("h1",)),
        Examined(1, "h1", Step("settings")),
        Examined(1, "h1", Step("banner", "failed", 0.1, {}, "the server closed the connection")),
        Examined(1, "h1", Step("settings")),
        Examined(1, "h1", warned),
        Finished(1, "h1", "ok"),
        Note("h1", "a note\x1b[2J"),
        Summary(1, ok=1, seconds=1.0),
    )
    assert lines == [
        "h1: no space is left in /tmp",
        "    make room",
        "  ok settings          0 ms",
        "  !  command          10 ms  user deploy; no space is left in /tmp",
        "0 well, 1 with a warning, in 1.00 s",
        "note: h1: a note^[[2J",
    ]


def test_what_is_the_matter_with_a_key_is_told_once() -> None:
    facts: dict[str, Fact] = {"user": "deploy", "unusable": ("k: no such file",), "certificate": ("c expired",)}
    lines = shown(
        Started(1, "doctor", ("h1",)),
        Examined(1, "h1", Step("settings", "warning", 0.0, facts, "the key k: no such file")),
        Finished(1, "h1", "ok"),
        Summary(1, ok=1, seconds=0.0),
    )
    assert lines[:2] == [
        "h1: the key k: no such file",
        "  !  settings          0 ms  user deploy; the key k: no such file",
    ]


def test_a_step_of_a_jump_host_carries_its_name_and_what_servers_say_is_cleaned() -> None:
    lines = shown(
        Started(1, "doctor", ("h1",)),
        Examined(1, "h1", Step("settings")),
        Examined(1, "h1", Step("banner", "failed", 0.0, {"banner": "\x1b]0;owned\x07"}, "no", via="gate")),
        Finished(1, "h1", "unreachable", error=Failure("refused", "jump host gate: \x1b[2J")),
        Summary(1, unreachable=1, seconds=0.0, exit_code=4),
    )
    assert lines[0] == "h1: jump host gate: ^[[2J"
    assert lines[2] == "  x  gate: banner     0 ms  ^[]0;owned^G"


def test_a_shared_walk_shows_each_fact_once_and_the_shortest_and_longest_time() -> None:
    events: list[Event] = [Started(1, "doctor", ("h1", "h2"))]
    for number in (1, 2):
        host = f"h{number}"
        facts: dict[str, Fact] = {"address": f"10.0.0.{number}", "port": 22}
        events.append(Examined(1, host, Step("settings", facts=facts)))
        events.append(Examined(1, host, Step("login", "failed", number / 1000, {"allowed": ("a", f"b{number}")}, "no")))
        events.append(Finished(1, host, "unreachable", error=Failure("auth", "refused")))
    assert shown(*events, Summary(1, unreachable=2, seconds=0.5, exit_code=4)) == [
        "h[1-2] (2): refused",
        "  ok settings          0 ms  address 10.0.0.1, 10.0.0.2; port 22",
        "  x  login           1-2 ms  allowed a, b1 / a, b2",
        "0 well, 2 not, in 0.50 s",
    ]


def test_hosts_that_were_cancelled_after_different_steps_keep_their_own() -> None:
    events: list[Event] = [
        Started(1, "doctor", ("black", "web01", "queued")),
        Examined(1, "black", Step("settings", facts={"address": "127.0.0.9"})),
        Examined(1, "black", Step("banner", "skipped", 3.0, message="stopped")),
        Examined(1, "web01", Step("settings", facts={"address": "127.0.0.11"})),
        Examined(1, "web01", Step("host key", "warning", 0.0, {"key": "K"}, "not known yet")),
    ]
    events += [Finished(1, host, "cancelled") for host in ("black", "web01", "queued")]
    assert shown(*events, Summary(1, cancelled=3, seconds=3.0, exit_code=130)) == [
        "black: cancelled",
        "  ok settings          0 ms  address 127.0.0.9",
        "  -  banner         3000 ms  stopped",
        "web01: cancelled",
        "  ok settings          0 ms  address 127.0.0.11",
        "  !  host key          0 ms  K; not known yet",
        "queued: cancelled",
        "0 well, 3 not, in 3.00 s",
    ]
