"""Host certificates (`@cert-authority`) against a real sshd: who is let in without a known key, and who is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hostshell.session import Session
from tests.support.accounts import Account
from tests.support.keys import Key, make_key, sign
from tests.support.running import Outcome, host_section, ping, write_inventory, write_known_hosts
from tests.support.sshd import Sshd, known_hosts_name


class Certified:
    """A server whose host key is certified as a test says, and logins to it with what known_hosts says."""

    def __init__(self, folder: Path, account: Account, client: Key, kind: str = "ed25519") -> None:
        self.folder, self.account, self.client = folder, account, client
        self.authority = make_key(folder / "authority")
        self.server = Sshd(folder / "sshd", host_key_types=(kind,))
        self.kind = kind

    def start(self, **certificate: object) -> None:
        key = make_key(self.folder / "sshd" / f"host_{self.kind}", self.kind)
        self.server.host_keys[self.kind] = key
        authority = certificate.pop("authority", self.authority)
        path = sign(authority, key, **{"host": True, **certificate})  # type: ignore[arg-type]  # of the callers' choice
        self.server.options["HostCertificate"] = str(path)
        self.server.start()
        self.server.authorize(self.account, self.client.public)

    def line(self, patterns: str = "127.0.0.1", key: Key | None = None, marker: str = "@cert-authority") -> str:
        return f"{marker} {patterns} {(key or self.authority).public}"

    def ping(self, *lines: str, host_keys: str = "strict", **more: str) -> Outcome:
        known = write_known_hosts(self.folder, *lines)
        inventory = write_inventory(
            self.folder, host_section("h1", self.server, self.account, self.client, host_keys=host_keys, **more)
        )
        with Session(inventory, known_hosts=known) as session:
            return ping(session, "h1")

    def refusal(self, *lines: str, **more: str) -> str:
        found = self.ping(*lines, **more)
        error = found.finished["h1"].error
        assert error is not None
        assert error.kind == "hostkey"
        assert "userauth" not in self.server.log.read_text(errors="replace")
        assert "Accepted" not in self.server.log.read_text(errors="replace")
        return error.message


@pytest.fixture
def certified(tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key) -> Iterator[Certified]:
    made = Certified(tmp_path, accounts[0], client_key)
    yield made
    made.server.stop()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_known_authority_vouches_for_a_host_with_a_key_of_any_kind(
    tmp_path: Path, clean_home: Path, accounts: list[Account], client_key: Key, kind: str
) -> None:
    made = Certified(tmp_path, accounts[0], client_key, kind)
    made.start(principals="127.0.0.1")
    try:
        assert made.ping(made.line()).status() == {"h1": "ok"}
        name = known_hosts_name(made.server.address, made.server.port)
        assert made.ping(made.line(name)).status() == {"h1": "ok"}  # with its port
        assert made.ping(made.line("127.0.0.*")).status() == {"h1": "ok"}
        elsewhere = made.ping(made.line("elsewhere.example.net"))
        assert elsewhere.kind("h1") == "hostkey"
    finally:
        made.server.stop()


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        ({"principals": "other.example.net"}, "it is for other.example.net"),
        ({"principals": "127.0.0.1", "validity": "-2d:-1d"}, "it has expired"),
        ({"principals": "127.0.0.1", "validity": "+1d:+2d"}, "it is not valid yet"),
        ({"principals": "127.0.0.1", "more": ("-O", "critical:x@example.net=y")}, "it has a critical option"),
    ],
)
def test_a_bad_certificate_of_a_known_authority_is_refused_even_where_the_key_is_known(
    certified: Certified, certificate: dict[str, object], says: str
) -> None:
    certified.start(**certificate)
    message = certified.refusal(certified.line("*"), certified.server.known_hosts_line)
    assert message.startswith("the host certificate of [127.0.0.1]:")
    assert says in message
    assert says in certified.refusal(certified.line("*"), host_keys="accept-new")


def test_wildcards_of_principals_count_and_none_at_all_means_every_host(certified: Certified) -> None:
    certified.start(principals="10.*,127.0.?.1")
    assert certified.ping(certified.line()).status() == {"h1": "ok"}
    certified.server.kill()
    certified.start()
    assert certified.ping(certified.line()).status() == {"h1": "ok"}


def test_a_certificate_of_an_unknown_authority_counts_as_its_plain_key(certified: Certified, tmp_path: Path) -> None:
    certified.start(authority=make_key(tmp_path / "stranger"), principals="127.0.0.1")
    assert "is not known" in certified.refusal(certified.line())
    assert certified.ping(certified.line(), certified.server.known_hosts_line).status() == {"h1": "ok"}
    assert certified.ping(certified.line(), host_keys="accept-new").status() == {"h1": "ok"}


def test_a_revoked_authority_or_key_is_refused(certified: Certified) -> None:
    certified.start(principals="127.0.0.1")
    revoked = certified.line("*", marker="@revoked")
    assert "is revoked" in certified.refusal(certified.line(), revoked)
    key = next(iter(certified.server.host_keys.values()))
    assert "is revoked" in certified.refusal(certified.line(), certified.line("*", key, "@revoked"))


def test_a_host_without_a_certificate_says_what_the_authority_would_have_been(certified: Certified) -> None:
    certified.server.start()
    assert "it shows no certificate of the authority in" in certified.refusal(certified.line("*"))
