"""Private keys as ssh-keygen and openssl write them: which are read, and what is said of the others."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import pytest

from hostshell.inventory import keyfiles
from hostshell.ssh.privatekey import Unreadable, load

PASSPHRASE = "secret pass; ñ"


def made(tmp_path: Path, *options: str, passphrase: str = PASSPHRASE) -> bytes:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-f", path, "-N", passphrase, *options], check=True)
    return path.read_bytes()


def public(tmp_path: Path) -> str:
    return (tmp_path / "key.pub").read_text().split()[1]


def why(data: bytes, passphrase: str | None = None) -> str:
    with pytest.raises(Unreadable) as caught:
        load(data, None if passphrase is None else passphrase.encode())
    assert caught.value.hint
    return caught.value.why


@pytest.mark.parametrize(
    "options",
    [
        ("-t", "ed25519"),
        ("-t", "ecdsa", "-b", "521"),
        ("-t", "rsa"),
        ("-t", "rsa", "-m", "PEM"),
        ("-t", "rsa", "-m", "PKCS8"),
        ("-t", "ecdsa", "-m", "PKCS8"),
        ("-t", "ed25519", "-Z", "aes256-cbc"),
        ("-t", "ed25519", "-Z", "aes256-gcm@openssh.com"),
    ],
    ids=" ".join,
)
def test_an_encrypted_key_is_opened_by_its_passphrase_alone(tmp_path: Path, options: tuple[str, ...]) -> None:
    data = made(tmp_path, *options)
    assert load(data, PASSPHRASE.encode()).get_base64() == public(tmp_path)
    assert why(data) == "it is encrypted"
    assert why(data, "wrong") == "the passphrase does not open it"
    assert keyfiles.opens(str(tmp_path / "key"), PASSPHRASE)
    assert not keyfiles.opens(str(tmp_path / "key"), "wrong")


@pytest.mark.parametrize(
    "options", [("-t", "ed25519"), ("-t", "rsa", "-m", "PEM"), ("-t", "ecdsa", "-m", "PKCS8")], ids=" ".join
)
def test_a_passphrase_that_is_not_needed_is_left_aside(tmp_path: Path, options: tuple[str, ...]) -> None:
    data = made(tmp_path, *options, passphrase="")
    for passphrase in (None, b"not needed"):
        assert load(data, passphrase).get_base64() == public(tmp_path)


def test_an_ed25519_key_of_openssl_is_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
    key = load(path.read_bytes(), None)
    assert key.get_name() == "ssh-ed25519"
    assert key.can_sign()


@pytest.mark.parametrize("cipher", ["chacha20-poly1305@openssh.com", "3des-cbc", "aes128-ctr"])
def test_a_cipher_that_nobody_here_reads_is_named(tmp_path: Path, cipher: str) -> None:
    data = made(tmp_path, "-t", "ed25519", "-Z", cipher)
    with pytest.raises(Unreadable, match=f"it is encrypted with {cipher}") as caught:
        load(data, PASSPHRASE.encode())
    assert "ssh-keygen -p -Z aes256-ctr" in caught.value.hint


@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
def test_a_dsa_key_is_refused_without_a_warning_of_a_library(tmp_path: Path, form: str) -> None:
    path = tmp_path / "key"
    if subprocess.run(["ssh-keygen", "-q", "-t", "dsa", "-m", form, "-N", "", "-f", path]).returncode:
        pytest.skip("this ssh-keygen makes no DSA keys any more: what is said of one is not tested")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert why(path.read_bytes()) == "it holds no usable private key"


@pytest.mark.parametrize("algorithm", ["ed448", "x25519"])
def test_what_ssh_has_no_name_for_is_refused(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "key"
    subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, "-out", path], check=True)
    assert why(path.read_bytes()) == "it holds no usable private key"


def test_junk_a_broken_key_and_a_public_one_are_refused(tmp_path: Path) -> None:
    data = made(tmp_path, "-t", "ed25519", passphrase="")
    for text in (
        b"",
        b"x" * 99,
        data[: len(data) // 2],
        data.replace(b"b3BlbnNzaC", b"AAAAAAAAAA"),
        (tmp_path / "key.pub").read_bytes(),
    ):
        assert why(text) == "it holds no usable private key"
