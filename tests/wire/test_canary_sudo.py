"""sudo's password is nowhere but where it has to be: no argument, environment, file, history, output, JSON or repr."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.session import Session
from tests.support.accounts import Account, public_folder
from tests.support.keys import Key
from tests.support.running import collect, host_section, write_inventory, write_known_hosts
from tests.support.sshd import Sshd
from tests.support.sudo import stand_in
from tests.support.terminal import CTRL_D, ENTER, Terminal

CANARY = "sudo-c4nary;#100% 'q' é"
WRONG = "wr0ng-sudo-c4nary"
FORMS = [
    form
    for text in (CANARY, WRONG)
    for form in (text.encode(), json.dumps(text)[1:-1].encode(), repr(text)[1:-1].encode())
]


class Watch:
    """Looks at arguments and environments of all processes of this machine, those of the hosts too."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            self.looks += 1
            for pid in filter(str.isdecimal, os.listdir("/proc")):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        content = Path(f"/proc/{pid}/{name}").read_bytes()
                        if any(form in content for form in FORMS):
                            self.found.append(f"{pid}/{name}: {content!r}")


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))  # short: sockets lie below TMPDIR
    for name in ("home", "tmp"):
        (made / name).mkdir()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(tmp_path: Path, accounts: list[Account], client_key: Key) -> Iterator[Sshd]:
    programs = stand_in(public_folder("sudo") / "bin", CANARY, "lecture")
    with Sshd(tmp_path / "sshd", options={"SetEnv": f"PATH={programs}:/usr/bin:/bin"}) as started:
        started.authorize(accounts[0], client_key.public)
        yield started


def clean(data: bytes) -> bool:
    return not any(form in data for form in FORMS)


def test_a_password_typed_at_the_prompt(
    folder: Path, tmp_path: Path, server: Sshd, accounts: list[Account], client_key: Key
) -> None:
    inventory = write_inventory(tmp_path, *(host_section(name, server, accounts[0], client_key) for name in ("a", "b")))
    known = write_known_hosts(tmp_path, server.known_hosts_line)
    environ = {
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "HOSTSHELL_DEBUG": "1",
        "XDG_STATE_HOME": None,
    }
    words = [sys.executable, "-m", "hostshell", "-i", inventory, "--known-hosts", known]
    terminal = Terminal(words, folder, 80, environ)
    question = f"[sudo] password for {accounts[0].name}:"
    try:
        with Watch() as watch:
            for answer in (WRONG, CANARY):
                seen = terminal.raw.count(question)
                terminal.enter(
                    'batch_run -a --sudo -cmd \'cat; tr "\\0" "\\n" < /proc/self/environ; sleep 0.5; echo done\''
                )
                terminal.wait(lambda: terminal.raw.count(question) > seen, "the question")  # noqa: B023  # called at once
                terminal.type(answer + ENTER)
                terminal.wait_for_prompt()
            for line in ("batch_run -a --sudo --json -cmd 'echo again'", "show a", "history"):
                terminal.run(line)
            said = terminal.plain
            terminal.run(f'show "{CANARY}"')  # what is typed is echoed, of course; but it is not kept
            terminal.type(CTRL_D)
            terminal.wait_for_end()
    finally:
        terminal.close()
    assert "a: done" in said
    assert "sudo refused the password" in said
    assert said.count(question) == 2  # once for both hosts, and once more after the wrong one
    assert clean(said.encode())
    assert watch.looks
    assert watch.found == []
    for path in folder.rglob("*"):
        if path.is_file():
            assert clean(path.read_bytes()), path
    assert "show a" in (folder / "home/.local/state/hostshell/history").read_text()


@pytest.mark.parametrize("source", ["literal", "cmd"])
def test_a_password_of_the_inventory(
    folder: Path,
    tmp_path: Path,
    clean_home: Path,
    server: Sshd,
    accounts: list[Account],
    client_key: Key,
    source: str,
) -> None:
    kept = tmp_path / "kept"
    kept.touch(mode=0o600)
    kept.write_text(f"{CANARY}\n")
    known = {"sudo_password": CANARY} if source == "literal" else {"sudo_password_from": f"cmd:cat {kept}"}
    inventory = write_inventory(tmp_path, host_section("a", server, accounts[0], client_key, sudo="yes", **known))
    shown: list[str] = []
    with (
        Session(inventory, known_hosts=write_known_hosts(tmp_path, server.known_hosts_line)) as session,
        Watch() as watch,
    ):
        job = session.job(session.inputs.command("echo in; sleep 0.5; exit 3"), ["a"], label="x")
        found = collect(session.stream(job), lambda event: shown.append(repr(event)))
        assert (found.out, found.finished["a"].exit_code) == ({"a": ["in"]}, 3)
        shown += [repr(job), repr(session.inventory.settings("a")), repr(vars(session)), str(found)]
        assert CANARY in list(session.secrets())
    assert watch.found == []
    assert watch.looks
    assert clean("".join(shown).encode())
