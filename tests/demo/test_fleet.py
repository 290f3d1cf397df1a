"""The demo fleet as a stranger meets it: what it is made of, and who gets in."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import paramiko
import pytest

from hostshell.demo.fleet import DemoFleet
from tests.demo.visitor import NAMES, RUNNING, entries, groups, home, login, run


def test_the_inventory_names_seven_hosts_in_three_groups(fleet: DemoFleet) -> None:
    assert groups(fleet) == {
        "web_clusters": ["web01", "web02"],
        "db_servers": ["db01", "db02"],
        "lab": ["h1", "h2", "h3"],
    }
    assert sorted(entries(fleet)) == sorted(NAMES)


def test_hosts_differ_in_user_port_and_credential(fleet: DemoFleet) -> None:
    found = entries(fleet)
    assert len({(entry.address, entry.port) for entry in found.values()}) == 7
    assert len({entry.user for entry in found.values()}) >= 4
    passwords = {entry.password for entry in found.values() if entry.password}
    assert len(passwords) >= 3
    assert any(entry.key for entry in found.values())
    assert any(mark in password for password in passwords for mark in ";#%")


def test_everything_lies_in_one_private_folder(fleet: DemoFleet) -> None:
    root = Path(fleet.root)
    assert root.parent == Path(tempfile.gettempdir()).resolve()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    for path in (fleet.inventory, fleet.known_hosts, entries(fleet)["web01"].key or ""):
        assert Path(path).is_relative_to(root)
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_known_hosts_has_one_line_for_each_host(fleet: DemoFleet) -> None:
    places = [line.split()[0] for line in Path(fleet.known_hosts).read_text().splitlines()]
    assert sorted(places) == sorted(f"[{entry.address}]:{entry.port}" for entry in entries(fleet).values())


def test_no_secret_stands_in_the_servers_arguments_or_environment(fleet: DemoFleet) -> None:
    assert fleet.pid is not None
    shown = subprocess.run(["ps", "eww", "-o", "command=", "-p", str(fleet.pid)], capture_output=True, text=True).stdout
    assert "hostshell.demo.server" in shown
    for entry in entries(fleet).values():
        assert entry.password is None or entry.password not in shown


def listening(pid: int) -> list[tuple[str, int]]:
    """Where a process listens."""
    descriptors = Path(f"/proc/{pid}/fd")
    if not descriptors.exists():
        lines = subprocess.run(
            ["lsof", "-nP", "-iTCP", "-sTCP:LISTEN", "-a", "-p", str(pid), "-Fn"], capture_output=True, text=True
        ).stdout.splitlines()
        return [(line[1:].rpartition(":")[0], int(line.rpartition(":")[2])) for line in lines if line.startswith("n")]
    sockets = {str(path.readlink()) for path in descriptors.iterdir() if path.is_symlink()}
    found = []
    for family, size in (("tcp", 4), ("tcp6", 16)):
        table = Path(f"/proc/net/{family}")
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                address, port = words[1].split(":")
                packed = bytes.fromhex(address)
                assert len(packed) == size
                swapped = b"".join(packed[at : at + 4][::-1] for at in range(0, size, 4))
                if sys.byteorder == "big":
                    swapped = packed
                found.append((str(ipaddress.ip_address(swapped)), int(port, 16)))
    return found


def test_it_listens_on_loopback_only(fleet: DemoFleet) -> None:
    assert fleet.pid is not None
    found = listening(fleet.pid)
    assert sorted(port for _, port in found) == sorted(entries(fleet)[name].port for name in RUNNING)
    assert all(ipaddress.ip_address(address).is_loopback for address, _ in found)


# --- logging in ---


@pytest.mark.parametrize("name", RUNNING)
def test_a_host_takes_its_own_credential_and_answers_with_its_name_and_user(fleet: DemoFleet, name: str) -> None:
    client = login(fleet, name)
    try:
        _, out, _ = client.exec_command("hostname; uname -n; whoami; echo $USER $LOGNAME; pwd; echo ~")
        words = out.read().decode().split()
    finally:
        client.close()
    user, place = entries(fleet)[name].user, str(home(fleet, name))
    assert words == [name, name, user, user, user, place, place]


def test_uname_tells_all_else_of_the_machine_itself(fleet: DemoFleet) -> None:
    assert run(fleet, "uname -s -m").stdout.decode() == " ".join((os.uname().sysname, os.uname().machine)) + "\n"


def test_the_host_that_is_off_refuses_the_connection(fleet: DemoFleet) -> None:
    entry = entries(fleet)["h3"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((entry.address, entry.port), timeout=20).close()


def test_the_port_of_the_host_that_is_off_is_nobody_elses(fleet: DemoFleet) -> None:
    entry = entries(fleet)["h3"]
    with socket.socket() as other, pytest.raises(OSError):
        other.bind((entry.address, entry.port))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("db01", {"password": "wrong"}),
        ("db01", {"username": "root"}),
        ("web01", {"username": "root"}),
        ("web01", {"key_filename": None, "password": "any"}),
    ],
)
def test_a_wrong_credential_is_refused(fleet: DemoFleet, name: str, changed: dict[str, object]) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        login(fleet, name, **changed).close()


def test_one_hosts_password_opens_no_other(fleet: DemoFleet) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        login(fleet, "db02", password=entries(fleet)["db01"].password).close()


def test_another_key_is_refused(fleet: DemoFleet) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        login(fleet, "web01", key_filename=None, pkey=paramiko.ECDSAKey.generate()).close()


def test_forwarding_is_refused(fleet: DemoFleet) -> None:
    client = login(fleet, "web01")
    try:
        transport = client.get_transport()
        assert transport is not None
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", ("127.0.0.1", 9), ("127.0.0.1", 9))
        with pytest.raises(paramiko.SSHException):
            transport.request_port_forward("127.0.0.1", 0)
    finally:
        client.close()
