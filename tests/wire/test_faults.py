"""What a fleet does to us besides refusing: odd logins, hostile text, huge lines, shells that are none."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from hostshell.engine.pool import Pool
from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.faulty import IDENT, EscapeBanner, Faulty, OnlyRetired, Slam, kexinit, packet
from tests.support.keys import Key, make_key
from tests.support.running import host_section, ping, run, session_on, write_inventory, write_known_hosts
from tests.support.sshd import Sshd, free_port, loopback_address
from tests.support.standin import StandIn

PATIENCE = 60.0  # seconds for a process to end; far more than it takes
HOSTSHELL = [sys.executable, "-m", "hostshell"]
EVIL = (
    r"\033]0;owned\007\033[2J\033[1;1H\033]52;c;cm0gLXJm\007\033Pq\033\\\302\2331m\033[8mhidden\rforged: x\342\200\256"
)


def section(name: str, address: str, port: int, **more: str) -> str:
    """One host of an inventory at any place."""
    settings = {"address": address, "port": str(port), "user": "somebody", "connect_timeout": "2", **more}
    return f"[host:{name}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()) + "\n"


def unclean(data: bytes) -> list[str]:
    """What of ``data`` a terminal would obey, besides colour, TAB and the end of a line."""
    text = re.sub(r"\x1b\[[0-9;:]*m", "", data.decode("utf-8", "surrogateescape").replace("\r\n", "\n"))
    found: list[str] = re.findall(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\u2066-\u2069\udc80-\udcff]", text
    )
    return found


# --- logins ---


@pytest.mark.parametrize(
    "cipher", [OnlyRetired.CIPHERS, "\x1b]0;owned\x07,\x1b[2Jevil"], ids=["retired", "full of escapes"]
)
def test_a_server_with_only_retired_algorithms_is_told_as_such(tmp_path: Path, clean_home: Path, cipher: str) -> None:
    with OnlyRetired(cipher) as server:  # row 10
        inventory = write_inventory(tmp_path, section("a", server.address, server.port, password="x"))
        words = [*HOSTSHELL, "-i", inventory, "--known-hosts", write_known_hosts(tmp_path)]
        with Session(inventory, known_hosts=write_known_hosts(tmp_path)) as session:
            found = ping(session, "a")
        done = subprocess.run([*words, "ping", "-h", "a"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert (found.finished["a"].status, found.kind("a")) == ("unreachable", "algorithms")
    error = found.finished["a"].error
    assert error is not None
    assert f"(offered: {cipher.replace(',', ', ')})" in error.message
    assert "retired" in error.hint
    assert done.returncode == 4
    assert unclean(done.stdout + done.stderr) == []


class _Asks(asyncssh.SSHServer):
    """Asks for the password in a keyboard-interactive dialogue; no other method is allowed."""

    prompts: tuple[tuple[str, bool], ...] = (("Password: ", False),)

    def __init__(self, accounts: dict[str, Account], heard: list[list[str]]) -> None:
        self._accounts = accounts
        self._heard = heard
        self._account: Account | None = None

    def public_key_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, *_: str) -> tuple[str, str, str, list[tuple[str, bool]]]:
        self._account = self._accounts.get(username)
        return "Please \x1b[2Jlog in", "Answer\x1b]0;owned\x07 this", "en", list(self.prompts)

    def validate_kbdint_response(self, _username: str, responses: list[str]) -> bool:
        self._heard.append(list(responses))
        return self._account is not None and list(responses) == [self._account.password]


class _AsksForMore(_Asks):
    """Wants a code that only a person can give."""

    prompts = (("Password: ", False), ("One-time code: ", True))


class Asking(StandIn):
    """A server that asks; ``heard`` is what it was answered, dialogue by dialogue."""

    def __init__(self, folder: Path, accounts: list[Account], kind: type[_Asks]) -> None:
        super().__init__(folder, accounts)
        self.heard: list[list[str]] = []
        self._kind = kind

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self.address,
            0,
            server_host_keys=[str(key.path) for key in self.host_keys.values()],
            server_factory=lambda: self._kind(self.accounts, self.heard),
            process_factory=self._serve,
            encoding=None,
        )


@contextlib.contextmanager
def typed(line: bytes) -> Iterator[int]:
    """A pipe in which ``line`` waits, for a standard input; nobody may have read of it."""
    reader, writer = os.pipe()
    try:
        os.write(writer, line)
        yield reader
        assert select.select([reader], [], [], 0)[0], "standard input was read"
        assert os.read(reader, 4096) == line
    finally:
        os.close(reader)
        os.close(writer)


def test_a_keyboard_interactive_password_prompt_is_answered_with_the_password_and_never_from_our_input(
    tmp_path: Path, clean_home: Path, accounts: list[Account]
) -> None:  # row 11
    account = Account("asked", accounts[4].password, accounts[4].home, real=False)
    with Asking(tmp_path / "server", [account], _Asks) as server:
        place = section("a", server.address, server.port, user=account.name, password=account.password)
        words = [*HOSTSHELL, "-i", write_inventory(tmp_path, place)]
        words += ["--known-hosts", write_known_hosts(tmp_path, server.known_hosts_line)]
        with typed(b"what a person typed\n") as stdin:
            done = subprocess.run(
                [*words, "batch_run", "-h", "a", "-cmd", "echo in"], stdin=stdin, capture_output=True, timeout=PATIENCE
            )
        assert (done.returncode, done.stdout) == (0, b"a: in\n"), done.stderr
        assert [answer for answer in server.heard if answer] == [[account.password]]


def test_a_question_for_more_than_a_password_is_refused_and_the_password_not_given(
    tmp_path: Path, clean_home: Path, accounts: list[Account]
) -> None:  # row 11
    account = Account("asked", accounts[4].password, accounts[4].home, real=False)
    with Asking(tmp_path / "server", [account], _AsksForMore) as server:
        place = section("a", server.address, server.port, user=account.name, password=account.password)
        words = [*HOSTSHELL, "-i", write_inventory(tmp_path, place)]
        words += ["--known-hosts", write_known_hosts(tmp_path, server.known_hosts_line)]
        with typed(b"123456\n") as stdin:
            done = subprocess.run([*words, "ping", "-h", "a"], stdin=stdin, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 4
        assert b"  unreachable a: " in done.stderr
        assert b"Traceback" not in done.stderr
        assert unclean(done.stdout + done.stderr) == []
        assert not any(account.password in answer for answer in server.heard)


def test_thirty_two_hosts_that_are_learned_at_once_give_thirty_two_whole_lines(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:  # row 14
    servers: list[Sshd] = []
    with contextlib.ExitStack() as stack:
        for number in range(2):  # a server listens at 16 addresses at most
            addresses = sorted({loopback_address(100 + 16 * number + index) for index in range(16)})
            server = Sshd(tmp_path / f"sshd{number}")
            server.port = free_port("127.0.0.1")
            server.options["ListenAddress"] = [f"{address}:{server.port}" for address in addresses]
            servers.append(stack.enter_context(server))
            server.authorize(accounts[0], client_key.public)
        places = [(servers[number // 16], loopback_address(100 + number)) for number in range(32)]
        inventory = write_inventory(
            tmp_path,
            *(
                host_section(f"n{number:02}", server, accounts[0], client_key, address=address, connect_timeout="60")
                for number, (server, address) in enumerate(places)
            ),
        )
        known = tmp_path / "known_hosts"
        first = f"elsewhere.example {make_key(tmp_path / 'elsewhere').public}"
        known.write_text(first)  # without a newline at its end
        with Session(inventory, known_hosts=str(known), host_keys="accept-new", pool=Pool(4)) as session:
            assert set(ping(session, "n[00-31]").status().values()) == {"ok"}
        lines = known.read_text().splitlines()
        learned = {server.known_as(address, server.port) for server, address in places}
        assert lines[0] == first
        assert sorted(lines[1:]) == sorted(learned)
        with Session(inventory, known_hosts=str(known), host_keys="strict") as session:
            assert set(ping(session, "n[00-31]").status().values()) == {"ok"}


# --- output ---


def peak_memory(pid: int) -> int:
    """The most memory that a process has had so far, in bytes."""
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


def test_a_line_of_a_hundred_megabytes_is_whole_bounded_and_every_part_stands_under_its_name(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:  # row 25
    inventory = write_inventory(
        tmp_path, *(host_section(name, sshd, accounts[0], client_key) for name in ("long", "other"))
    )
    command = "case {host} in other) echo short; exit;; esac; head -c 100000000 /dev/zero | tr '\\0' x"
    words = [*HOSTSHELL, "-i", inventory, "--known-hosts", write_known_hosts(tmp_path, sshd.known_hosts_line)]
    received = longest = peak = 0
    others = []
    with subprocess.Popen(
        [*words, "batch_run", "-h", "long,other", "-cmd", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            name, _, text = line.rstrip(b"\n").partition(b": ")
            if name == b"other":
                others.append(text)
                continue
            assert name == b"long"
            assert text.count(b"x") == len(text)
            assert line.endswith(b"\n")
            received += len(text)
            longest = max(longest, len(text))
            if received > 90_000_000 and not peak:
                peak = peak_memory(process.pid)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert received == 100_000_000
    assert longest <= 65536
    assert 0 < peak < 150_000_000
    assert others == [b"short"]


def test_progress_bars_and_a_last_line_without_its_end_stand_under_their_hosts_name(
    tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key
) -> None:  # row 25
    inventory = write_inventory(tmp_path, *(host_section(name, sshd, accounts[0], client_key) for name in ("a", "b")))
    words = [*HOSTSHELL, "-i", inventory, "--known-hosts", write_known_hosts(tmp_path, sshd.known_hosts_line)]
    command = "printf '10%%\\r50%%\\r100%%\\r\\ndos\\r\\n\\rend of {host}'"
    done = subprocess.run(
        [*words, "batch_run", "-h", "a,b", "-cmd", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0
    for name in ("a", "b"):
        mine = [line for line in done.stdout.split(b"\n") if line.startswith(name.encode())]
        shown = [line.partition(b": ")[2] for line in mine]
        assert [text for text in shown if text] == [b"10%", b"50%", b"100%", b"dos", b"end of " + name.encode()]
    assert done.stdout.endswith(b"\n")
    assert b"\r" not in done.stdout


def bad_disconnect(text: bytes) -> bytes:
    """A server's SSH_MSG_DISCONNECT (RFC 4253, section 11.1) that says ``text``."""
    return packet(b"\x01" + (2).to_bytes(4, "big") + len(text).to_bytes(4, "big") + text + bytes(4))


class _EvilEnd(asyncssh.SSHServer):
    """Lets everybody in, and refuses sessions with words full of terminal control."""

    def begin_auth(self, _username: str) -> bool:
        return False

    def session_requested(self) -> bool:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "\x1b]0;owned\x07\x1b[2J")


class EvilEnd(StandIn):
    """Its every refusal is full of terminal control."""

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self.address,
            0,
            server_host_keys=[str(key.path) for key in self.host_keys.values()],
            server_factory=_EvilEnd,
        )


@contextlib.contextmanager
def hostile(folder: Path, accounts: list[Account], client_key: Key) -> Iterator[list[str]]:
    """How to call hostshell on hosts that send terminal control in every place they can."""
    noisy = f"printf '{EVIL}\\n'; printf '{EVIL}\\n' >&2; exit 3"
    banner = folder / "banner"
    banner.write_bytes(EscapeBanner.TEXT)
    scripted: dict[str, Faulty] = {
        "no-ssh": EscapeBanner(),
        "version": Slam(b"SSH-2.0-\x1b]0;owned\x07\x1b[2J\r\n" + kexinit()),
        "disconnect": Slam(IDENT + bad_disconnect(b"\x1b]0;owned\x07\x1b[2Jgo away\r\ngood: forged")),
    }
    with (
        Sshd(folder / "sshd", options={"Banner": str(banner)}) as server,
        EvilEnd(folder / "evil-end", []) as evil,
        scripted["no-ssh"],
        scripted["version"],
        scripted["disconnect"],
    ):
        server.authorize(accounts[0], client_key.public)
        sections = [section(name, faulty.address, faulty.port, password="x") for name, faulty in scripted.items()]
        sections.append(host_section("output", server, accounts[0], client_key))
        sections.append(host_section("login", server, accounts[0], make_key(folder / "unknown")))
        sections.append(section("end", evil.address, evil.port, password="x"))
        yield [
            *(*HOSTSHELL, "-i", write_inventory(folder, *sections), "--known-hosts"),
            write_known_hosts(folder, server.known_hosts_line, evil.known_hosts_line),
            *("-c", f"batch_run -a -t 30 -cmd {shlex.quote(noisy)}"),
            *("-c", "ping -a"),
        ]


def test_nothing_that_a_host_sends_reaches_a_pipe_unclean(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:  # row 26
    with hostile(tmp_path, accounts, client_key) as words:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
    assert unclean(done.stdout) == []
    assert unclean(done.stderr) == []
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr
    assert b"output: ^[]0;owned^G" in done.stdout
    assert b"output: ^[]0;owned^G" in done.stderr
    assert {line.partition(b": ")[0] for line in done.stdout.splitlines()} == {b"output"}
    for name in (b"no-ssh", b"version", b"disconnect", b"login", b"end"):
        assert re.search(rb"^  (unreachable|failed|lost) \S*" + name, done.stderr, re.M), done.stderr


def test_nothing_that_a_host_sends_reaches_a_terminal_but_colour(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key
) -> None:  # row 26
    with hostile(tmp_path, accounts, client_key) as words:
        ours, theirs = pty.openpty()
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            try:
                while piece := os.read(ours, 65536):
                    shown += piece
            except OSError:  # Linux says so when the last writer has closed
                pass
            process.wait(timeout=PATIENCE)
        os.close(ours)
    assert b"owned" in shown
    assert unclean(shown) == []
    assert b"\x1b[8m" not in shown


# --- shells that are none, and commands that are too much ---


def test_a_shell_that_refuses_and_a_forced_command_are_shown_as_they_answer_and_explained(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_keys: dict[str, Key]
) -> None:  # row 27
    refusing, forced, closed = client_keys["ed25519"], client_keys["ecdsa"], make_key(tmp_path / "id_third")
    nologin = shutil.which("nologin", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    with Sshd(tmp_path / "sshd") as server:
        server.authorize(accounts[0], refusing.public, f'command="{nologin}"')
        server.authorize(accounts[0], forced.public, 'command="echo only this"')
        server.authorize(accounts[0], closed.public, 'command="echo down until noon >&2; exit 254"')
        inventory = write_inventory(
            tmp_path,
            host_section("nologin", server, accounts[0], refusing),
            host_section("forced", server, accounts[0], forced),
            host_section("closed", server, accounts[0], closed),
        )
        with Session(inventory, known_hosts=write_known_hosts(tmp_path, server.known_hosts_line)) as session:
            found = run(session, "hostname", "nologin,forced,closed")
            again = run(session, "hostname", "forced")
    assert found.out["forced"] == ["only this"]
    assert found.status() == {"nologin": "failed", "forced": "ok", "closed": "failed"}
    errors = {name: finished.error for name, finished in found.finished.items()}
    assert errors["nologin"] is not None and "login shell is nologin" in errors["nologin"].hint
    assert errors["closed"] is not None and "/etc/nologin" in errors["closed"].hint
    assert any("a command of its own" in note.text for note in found.notes if note.host == "forced")
    assert again.out["forced"] == ["only this"]
    assert again.notes == []  # once a connection is enough


@pytest.fixture
def one(tmp_path: Path, clean_home: Path, sshd: Sshd, accounts: list[Account], client_key: Key) -> Iterator[Session]:
    with session_on(tmp_path, sshd, accounts[0], client_key, ["a", "b"]) as session:
        yield session


@pytest.mark.parametrize("size", [200_000, 1_000_000])
def test_a_command_that_is_too_long_for_the_server_is_one_sentence_and_the_next_one_works(
    one: Session, size: int
) -> None:  # row 40
    found = run(one, "true " + "x" * size, "a")
    end = found.finished["a"]
    assert end.status == "failed"  # never ok: neither a shell (128 KiB) nor a packet (256 KiB) takes it
    assert end.error is not None
    assert "\n" not in end.error.message
    assert len(end.error.message) < 200
    assert run(one, "echo next", "a,b").out == {"a": ["next"], "b": ["next"]}


@pytest.mark.parametrize("command", ["", "   ", "a\0b"], ids=["empty", "blank", "NUL"])
def test_a_command_that_no_shell_can_take_is_refused_before_any_host_is_touched(
    sshd: Sshd, clean_home: Path, command: str
) -> None:  # row 40
    done = subprocess.run(
        HOSTSHELL,
        input=f"batch_run -h somebody@{sshd.address}:{sshd.port} -cmd '{command}'\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: batch_run: -cmd")
    assert done.stderr.count("\n") == 1
