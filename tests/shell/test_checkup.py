"""What `doctor` shows, from replayed events: one walk for hosts that fail alike, one line for those that work."""

from __future__ import annotations

import io

from hostshell.core.events import Event, Examined, Failure, Finished, Started, Summary
from hostshell.core.steps import Step
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


def test_hosts_that_fail_alike_share_the_walk_of_the_first() -> None:
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
        "  x  port              2 ms  db1: connection refused",
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
