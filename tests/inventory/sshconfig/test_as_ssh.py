"""Every configuration of ssh_configs/ is answered as `ssh -G` answers it, and refused where it refuses.

In a file ``# ask:`` names the hosts to ask for, ``# line:`` the line of the error, and ``@DIR@`` becomes the folder.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hostshell.core.errors import InventoryError
from hostshell.inventory.sshconfig.answer import Answer, canonical
from hostshell.inventory.sshconfig.choose import Asked, Choosing, Options
from hostshell.inventory.sshconfig.config import SshConfig
from hostshell.inventory.sshconfig.files import Surroundings, read_named

HERE = Path(__file__).with_name("ssh_configs")
CONFIGS = sorted(path.name for path in HERE.glob("*.conf"))
GOOD = [name for name in CONFIGS if not name.startswith("bad-")]
BAD = [name for name in CONFIGS if name.startswith("bad-")]
ENVIRON = {**os.environ, "MY_AGENT": "/run/my-agent", "HOME": pwd.getpwuid(os.getuid()).pw_dir}
DEFAULTS = {
    "identityfile": [
        f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa")
    ],
    "addressfamily": ["any"],
    "compression": ["no"],
    "connecttimeout": ["none"],
    "identitiesonly": ["no"],
    "kbdinteractiveauthentication": ["yes"],
    "passwordauthentication": ["yes"],
    "pubkeyauthentication": ["true"],
    "serveralivecountmax": ["3"],
    "serveraliveinterval": ["0"],
    "stricthostkeychecking": ["ask"],
    "globalknownhostsfile": ["/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"],
    "userknownhostsfile": [f"{ENVIRON['HOME']}/.ssh/known_hosts {ENVIRON['HOME']}/.ssh/known_hosts2"],
}
COMPARED = [
    "hostname",
    "user",
    "port",
    "addressfamily",
    "bindaddress",
    "certificatefile",
    "compression",
    "connecttimeout",
    "globalknownhostsfile",
    "hostkeyalias",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "kbdinteractiveauthentication",
    "passwordauthentication",
    "preferredauthentications",
    "proxycommand",
    "proxyjump",
    "pubkeyauthentication",
    "sendenv",
    "serveralivecountmax",
    "serveraliveinterval",
    "setenv",
    "stricthostkeychecking",
    "userknownhostsfile",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configurations with the folder's name in them, and nobody else's to write."""
    made = tmp_path_factory.mktemp("ssh_configs")
    shutil.copytree(HERE, made, dirs_exist_ok=True)
    for path in made.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"@DIR@", bytes(made)))
            path.chmod(0o600)
    return made


def marked(path: Path, mark: str) -> str:
    line = next(line for line in path.read_text().splitlines() if line.startswith(f"# {mark}:"))
    return line.partition(":")[2].strip()


def asked_for(path: Path) -> list[str]:
    return shlex.split(marked(path, "ask"))


def ssh_says(path: Path, target: str) -> dict[str, list[str]]:
    done = subprocess.run(["ssh", "-G", "-F", path, target], capture_output=True, text=True, env=ENVIRON)
    if done.returncode:
        raise InventoryError(done.stderr)
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        value = {"host-bound": "true", "unbound": "true"}.get(value, value)  # one and the same to us
        if key in COMPARED and value not in found.get(key, ()):  # a second pass says some things twice
            found.setdefault(key, []).append(value)
    return found


def choosing(path: Path) -> Choosing:
    return Choosing(read_named(str(path), Surroundings(ENVIRON["HOME"], ENVIRON)), canonical)


def we_say(path: Path, target: str) -> dict[str, list[str]]:
    user, _, name = target.rpartition("@")
    local = pwd.getpwuid(os.getuid()).pw_name
    asked = Asked(name, local, user=user or None)
    chosen = choosing(path).choose(asked)
    answer = Answer(asked, chosen, Surroundings(ENVIRON["HOME"], ENVIRON))
    options = chosen.options
    found = {key: list(value) for key, value in DEFAULTS.items()}
    found["port"] = ["22"]
    found.update((key, [text(options, key)]) for key in options.single if key in COMPARED)
    found.update((key, list(values)) for key, values in options.lists.items() if values)
    found["hostname"] = [chosen.host]
    found["user"] = [user or text(options, "user", local)]
    for key, files in (
        ("userknownhostsfile", answer.user_known_hosts),
        ("globalknownhostsfile", answer.global_known_hosts),
    ):
        if files is not None:
            found[key] = [" ".join(files) or "none"]
    if answer.identity_agent not in (None, "none") and not text(options, "identityagent").startswith("$M"):
        found["identityagent"] = [str(answer.identity_agent)]
    if answer.host_key_alias is not None:
        found["hostkeyalias"] = [answer.host_key_alias]
    if "proxyjump" in options.single:
        found["proxyjump"] = [",".join(str(hop) for hop in answer.jump)]
        if not answer.jump:
            del found["proxyjump"]
    if answer.proxy_command() is None:
        found.pop("proxycommand", None)
    return found


def text(options: Options, key: str, default: str = "") -> str:
    value = options.value(key)
    if value is None:
        return default
    if isinstance(value, bool):
        return {"pubkeyauthentication": ("false", "true")}.get(key, ("no", "yes"))[value]
    return {("stricthostkeychecking", "yes"): "true", ("stricthostkeychecking", "no"): "false"}.get(
        (key, str(value)), str(value)
    )


@pytest.mark.parametrize("name", GOOD)
def test_every_value_is_the_one_that_ssh_has(folder: Path, name: str) -> None:
    path = folder / name
    for target in asked_for(path):
        assert we_say(path, target) == ssh_says(path, target), target


@pytest.mark.parametrize("name", BAD)
def test_what_ssh_refuses_is_refused_with_file_and_line(folder: Path, name: str) -> None:
    path = folder / name
    (target,) = asked_for(path)
    with pytest.raises(InventoryError):
        ssh_says(path, target)
    file = "parts/bad.part" if "inactive" in name else name
    with pytest.raises(InventoryError, match=f"{file}:{marked(path, 'line')}: "):
        we_say(path, target)


@pytest.mark.parametrize(
    "test", ["%p = 2431", "%r = deploy", "%k = alias", "%k = web1", "%h = web1.example.net", "%n = web1"]
)
def test_what_match_exec_is_told_in_a_second_pass_is_what_ssh_tells_it(tmp_path: Path, test: str) -> None:
    path = tmp_path / "config"
    path.write_text(
        f'Match final exec "test {test}"\n  ConnectTimeout 7\nHost web1\n  Port 2431\n  User deploy\n'
        "  HostName web1.example.net\n  HostKeyAlias alias\n"
    )
    path.chmod(0o600)
    answer = SshConfig(str(path), environ=ENVIRON).ask("web1", "me", match_exec=True)
    assert answer is not None
    found = answer.connect_timeout()
    assert [f"{found[0]:g}" if found else "none"] == ssh_says(path, "web1")["connecttimeout"]


def test_a_tag_of_the_first_pass_holds_in_the_second(tmp_path: Path) -> None:
    path = tmp_path / "config"  # OpenSSH has tags since 9.4: the one here may know none
    path.write_text("Match final tagged slow\n  ConnectTimeout 7\nHost web1\n  Tag slow\nHost web2\n  Tag fast\n")
    path.chmod(0o600)
    config = SshConfig(str(path), environ=ENVIRON)
    found = [config.ask(name, "me") for name in ("web1", "web2")]
    assert [answer and answer.connect_timeout() for answer in found] == [(7.0, f"{path}:2"), None]
