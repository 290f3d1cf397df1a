"""Passphrases and one-time codes typed at the prompt, looked for everywhere that a secret must never be."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import pytest

from tests.support.accounts import Account
from tests.support.keys import make_key
from tests.support.running import host_section, write_inventory, write_known_hosts
from tests.support.scripted import Scripted
from tests.support.sshd import Sshd
from tests.support.terminal import CTRL_C, ENTER, Terminal
from tests.wire.test_canary import Hunt, forms

PHRASE = "phr4se-canary;#100%-$HOME"
CODE = "c0de-canary-123456"


def test_what_is_typed_for_a_login_is_nowhere_and_ctrl_c_at_a_question_leaves_the_prompt(
    clean_home: Path, tmp_path: Path, sshd: Sshd, accounts: list[Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"HS_CANARY_{secrets.token_hex(8)}"
    monkeypatch.setenv(mark, "1")
    monkeypatch.setenv("HOSTSHELL_DEBUG", "1")
    folder = tmp_path / "keys"  # the key itself is no place where its phrase may be found, but it is none of ours
    locked = make_key(folder / "locked", "ed25519", PHRASE)
    sshd.authorize(accounts[0], locked.public)
    with Scripted(tmp_path / "server", questions=[[("Verification code: ", False, CODE)]]) as server:
        bastion = f"[host:bastion]\naddress = {server.address}\nport = {server.port}\nuser = u\n"
        behind = [host_section(name, sshd, accounts[0], locked, jump="bastion") for name in ("h1", "h2")]
        inventory = write_inventory(tmp_path, bastion, *behind)
        known = write_known_hosts(tmp_path, server.known_hosts_line, sshd.known_hosts_line)
        words = [sys.executable, "-m", "hostshell", "-i", inventory, "--known-hosts", known]
        canaries = [form for secret in (PHRASE, CODE) for form in forms(secret)]
        hunt = Hunt(clean_home, Path(inventory), Path(known), canaries, f"{mark}=1")
        terminal = Terminal(words, tmp_path, 80)
        try:
            terminal.enter("batch_run -h h[1-2] -cmd 'echo {host}-is-in'")
            terminal.wait_for("Passphrase for the key")
            terminal.type("wrong" + ENTER)
            terminal.wait(lambda: terminal.raw.count("Passphrase for the key") == 2, "the question again")
            terminal.decline(lambda: "no passphrase was given" in terminal.plain, "the end of the question")
            terminal.wait_for_prompt()
            terminal.enter("batch_run -h h[1-2] -cmd 'echo {host}-is-in'")
            terminal.wait(lambda: terminal.raw.count("Passphrase for the key") == 3, "the question once more")
            terminal.type(PHRASE + ENTER)
            terminal.wait_for("bastion: Verification code:")
            hunt.look_at_processes()
            terminal.type(CTRL_C)
            terminal.wait_for_prompt()
            assert server.answers == []
            terminal.enter("batch_run -h h[1-2] -cmd 'echo {host}-is-in'")
            terminal.wait(lambda: terminal.raw.count("bastion: Verification code:") == 2, "the question again")
            terminal.type(CODE + ENTER)
            terminal.wait_for("h2-is-in")
            for line in ("show h1", "connections", "batch_run -h h1 --json -cmd 'echo again'", "history"):
                terminal.run(line)
                hunt.look_at_processes()
            assert "via bastion" in terminal.raw
        finally:
            terminal.close()
    assert terminal.raw.count("Passphrase for the key") == 3
    hunt.said.append(terminal.raw.encode())
    hunt.look_at_what_was_said()
    hunt.look_at_files()
    assert hunt.seen
