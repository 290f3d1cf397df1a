"""What a probe of a host says, and what steps mean: texts in, sentences out."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostshell.core.diagnosis import SKEW, SLOW, advise, marked, probe, read_probe
from hostshell.core.events import Failure
from hostshell.core.model import Host
from hostshell.core.steps import Step

MARK = "hostshell-0123"
NOW = 1_700_000_000.0
GOOD = {
    "user": "deploy",
    "system": "Linux 6.1",
    "clock": "1700000000",
    "home": "/home/deploy",
    "homethere": "yes",
    "homewritable": "yes",
    "tmpwritable": "yes",
    "homespace": "/dev/sda1 1000000 500000 500000 50% /home",
    "tmpspace": "tmpfs 1000000 0 1000000 0% /tmp",
}


def said(before: str = "", after: str = "", **changed: str | None) -> list[str]:
    values = {**GOOD, **changed}
    inside = "".join(f"{name}={value}\n" for name, value in values.items() if value is not None)
    probed = read_probe(f"{before}{MARK}\n{inside}{MARK}\n{after}", MARK, NOW)
    assert probed.answered
    return [message for message, _ in probed.warnings]


def test_a_good_host_has_no_warnings() -> None:
    assert said() == []


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"homethere": None, "homewritable": None}, "the home directory /home/deploy is not there"),
        ({"homewritable": None}, "/home/deploy may not be written to"),
        ({"tmpwritable": None}, "/tmp may not be written to"),
        (
            {"homespace": "/dev/sda1 1048576 1048576 0 100% /home"},
            "no space is left in /home/deploy (100% of 1024 MiB)",
        ),
        ({"tmpspace": "a device with blanks 2048 2048 -3 100% /tmp"}, "no space is left in /tmp (100% of 2 MiB)"),
        ({"clock": str(int(NOW + SKEW) + 60)}, "its clock is 180 s ahead of ours"),
        ({"clock": str(int(NOW - SKEW) - 60)}, "its clock is 180 s behind ours"),
    ],
)
def test_each_thing_that_is_wrong_is_one_warning(changed: dict[str, str | None], wanted: str) -> None:
    assert said(**changed) == [wanted]


@pytest.mark.parametrize("line", ["", "no such thing", "% % %", "/dev/sda1 0 0 0 100% /proc", "/dev/sda1 9 1 8 12% /"])
def test_what_df_does_not_say_is_no_warning(line: str) -> None:
    assert said(homespace=line, tmpspace=line) == []


def test_noise_of_the_login_shell_is_told_first() -> None:
    wanted = 'the login shell prints text of its own around a command: "Welcome"'
    assert said(before="Welcome\nto a host\n", tmpwritable=None)[0] == wanted
    assert said(after="Welcome\n") == [wanted]


def test_an_output_without_both_marks_is_no_answer() -> None:
    assert not read_probe("something else", MARK, NOW).answered
    assert not read_probe(f"{MARK}\nuser=x\n", MARK, NOW).answered


@given(st.text(max_size=200))
def test_any_output_can_be_read(text: str) -> None:
    read_probe(text, MARK, NOW)
    read_probe(f"{MARK}\n{text}\n{MARK}\n", MARK, NOW)


def test_the_probe_runs_in_a_shell_and_is_read_back() -> None:
    done = subprocess.run(["/bin/sh", "-c", probe(MARK)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    probed = read_probe(done.stdout, MARK, NOW)
    assert probed.answered
    assert probed.facts["user"]


def test_a_step_that_takes_long_is_marked() -> None:
    slow = marked(Step("login", seconds=SLOW + 1))
    assert (slow.result, slow.message) == ("warning", "login: it took 3.0 s")
    assert "UseDNS" in slow.hint
    quick = Step("login", seconds=SLOW / 2)
    assert marked(quick) is quick
    failed = Step("login", "failed", SLOW + 1)
    assert marked(failed) is failed


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({"offered": ("the key k: accepted, and it wants password as well",)}, "wants password as well"),
        ({"offered": (), "allowed": ("password",)}, "password_from = ask"),
        (
            {
                "offered": ("nothing: the server does not take that method",),
                "allowed": ("keyboard-interactive", "password"),
            },
            "it would take a password, and none is set: password_from = ask, or -k",
        ),
        (
            {
                "offered": ("nothing: the server does not take that method",),
                "allowed": ("publickey", "password"),
            },
            "there is neither: set `key`, or password_from = ask, or -k",
        ),
        ({"offered": (), "allowed": ("gssapi-with-mic",)}, "it takes gssapi-with-mic"),
        ({"offered": ("the key k: refused",), "allowed": ("publickey", "password")}, "it would take a password too"),
    ],
)
def test_the_advice_for_a_login_follows_what_the_server_said(facts: dict[str, tuple[str, ...]], wanted: str) -> None:
    steps = [Step("settings"), Step("login", "failed", facts=facts)]
    failure = advise(Failure("auth", "login as x refused"), steps, Host("h1", "10.0.0.1", user="x"))
    assert failure.message == "login as x refused"
    assert wanted in failure.hint


@pytest.mark.parametrize(
    ("facts", "host", "wanted"),
    [
        ({"allowed": ("password",)}, Host("u@h1", "h1", moment=True), "none is set: -k asks for it"),
        ({"allowed": ("publickey",)}, Host("u@h1", "h1", moment=True), "nothing of that: -i KEY names one"),
        (
            {"allowed": ("publickey", "password")},
            Host("h1", "h1", password_withheld=True, password_advice="correct it in hosts.ini:3, then `reload`"),
            "correct it in hosts.ini:3, then `reload`",
        ),
        (
            {"offered": ("the password: refused",), "allowed": ("password",)},
            Host("h1", "h1", password_advice="`reload` has it asked for again (hosts.ini:3)"),
            "the password or `user` is wrong: `reload` has it asked for again (hosts.ini:3)",
        ),
    ],
)
def test_the_advice_for_a_login_follows_where_the_host_and_its_password_come_from(
    facts: dict[str, tuple[str, ...]], host: Host, wanted: str
) -> None:
    failure = advise(Failure("auth", "refused"), [Step("login", "failed", facts=dict(facts))], host)
    assert failure.hint.endswith(wanted)


def test_what_a_jump_host_failed_at_is_left_as_it_is() -> None:
    failure = Failure("auth", "jump host gate: login as x refused", "a hint")
    steps = [Step("login", "failed", facts={"allowed": ("password",)}, via="gate")]
    assert advise(failure, steps, Host("h1", "10.0.0.1", user="x")) is failure
