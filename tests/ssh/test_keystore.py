"""known_hosts files: what is read again and when, and that no learned key is lost, torn or written twice."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hostshell.ssh import keystore
from hostshell.ssh.failures import ConnectFailed
from hostshell.ssh.keystore import KeyNotSaved, KeyStore, KeyStores, default_files
from hostshell.ssh.knownhosts import HostKey


def ed25519(number: int) -> HostKey:
    blob = struct.pack(">I11sI32s", 11, b"ssh-ed25519", 32, hashlib.sha256(b"%d" % number).digest())
    return HostKey("ssh-ed25519", base64.b64encode(blob).decode())


ONE, TWO, THREE = ed25519(1), ed25519(2), ed25519(3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


@pytest.fixture
def store(path: Path) -> KeyStore:
    return KeyStore([str(path)], str(path))


# ----------------------------------------------------------------------------------------------------------- reading


def test_a_missing_file_knows_nothing_until_it_appears(store: KeyStore, path: Path) -> None:
    assert store.lookup("h1", 22).keys == ()
    path.write_text(f"h1 {ONE}\n")
    assert store.lookup("h1", 22).keys == (ONE,)
    path.unlink()
    assert store.lookup("h1", 22).keys == ()


def test_a_file_under_what_is_no_directory_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    name = str(tmp_path / "file" / "known_hosts")
    assert KeyStore([name], name).lookup("h1", 22).keys == ()


def test_the_users_and_the_systems_files_add_up_and_say_which_is_which(tmp_path: Path) -> None:
    own, system = tmp_path / "own", tmp_path / "system"
    own.write_text(f"h1 {ONE}\n")
    system.write_text(f"# all\n* {TWO}\n@revoked * {THREE}\n")
    known = KeyStore([str(own), str(system)], str(own)).lookup("h1", 22)
    assert [str(entry.place) for entry in known.entries] == [f"{own}:1", f"{system}:2"]
    assert [str(entry.place) for entry in known.revoked] == [f"{system}:3"]


def test_the_file_that_receives_keys_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "b").write_text(f"h1 {ONE}\n")
    assert KeyStore([str(tmp_path / "a")], str(tmp_path / "b")).lookup("h1", 22).keys == (ONE,)


@pytest.mark.parametrize("first", ["", f"h1 {ONE}\n", f"# torn\nh1 {ONE}"])
def test_lines_appended_by_others_are_seen_under_their_own_numbers(store: KeyStore, path: Path, first: str) -> None:
    path.write_text(first)
    store.lookup("h1", 22)
    with path.open("a") as file:
        file.write(f"\n\nh2 {TWO}\n")
    (entry,) = store.lookup("h2", 22).entries
    assert entry.key == TWO
    assert path.read_text().splitlines()[entry.place.line - 1] == f"h2 {TWO}"


def test_the_rest_of_a_line_that_was_read_half_written_is_seen(store: KeyStore, path: Path) -> None:
    line = f"h1 {ONE}\n"
    path.write_text(line[:30])
    assert store.lookup("h1", 22).keys == ()
    with path.open("a") as file:
        file.write(line[30:])
    assert store.lookup("h1", 22).keys == (ONE,)


@pytest.mark.parametrize("more", ["", f"h2 {ONE}\n" * 9])
def test_a_file_written_anew_in_place_is_read_anew(store: KeyStore, path: Path, more: str) -> None:
    path.write_text(f"h1 {ONE}\n")
    assert store.lookup("h1", 22).keys == (ONE,)
    path.write_text(f"h1 {TWO}\n" + more)
    os.utime(path, ns=(1, 1))  # whatever the clock's steps, this is a change
    assert store.lookup("h1", 22).keys == (TWO,)


def test_a_file_put_in_its_place_is_read_anew(store: KeyStore, path: Path) -> None:
    path.write_text(f"h1 {ONE}\nh2 {TWO}\n")
    assert store.lookup("h1", 22).keys == (ONE,)
    subprocess.run(["ssh-keygen", "-R", "h1", "-f", path], check=True, capture_output=True)
    assert store.lookup("h1", 22).keys == ()
    assert store.lookup("h2", 22).keys == (TWO,)


def test_an_unchanged_file_is_not_opened_again(store: KeyStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(f"h1 {ONE}\n")
    store.lookup("h1", 22)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened again"))
    assert store.lookup("h1", 22).keys == (ONE,)


def test_a_file_that_only_grew_is_not_parsed_from_its_beginning(path: Path) -> None:
    path.write_text(f"h1 {ONE}\n")
    file = keystore._KnownHostsFile(str(path))
    book = file.read()
    with path.open("a") as end:
        end.write(f"h2 {TWO}\n")
    assert file.read() is book and book.lookup("h2", 22).keys == (TWO,)
    path.write_text(f"h3 {ONE}\nh2 {TWO}\nh1 {THREE}\n")
    assert file.read() is not book


def test_bytes_that_are_no_text_are_read_past(store: KeyStore, path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00\n" + f"h1 {ONE} ".encode() + b"\xe9\n")
    assert store.lookup("h1", 22).keys == (ONE,)


def test_dev_null_knows_nothing_and_keeps_nothing() -> None:
    store = KeyStore([os.devnull], os.devnull)
    store.learn("h1", 22, ONE)
    assert store.lookup("h1", 22).keys == ()


def test_a_directory_in_place_of_the_file_is_a_clear_failure(tmp_path: Path) -> None:
    store = KeyStore([str(tmp_path)], str(tmp_path))
    with pytest.raises(ConnectFailed) as caught:
        store.lookup("h1", 22)
    failure = caught.value.failure
    assert failure.kind == "hostkey" and not caught.value.retriable
    assert str(tmp_path) in failure.message and "directory" in failure.message and "--known-hosts" in failure.hint


def test_a_pipe_in_place_of_the_file_fails_and_does_not_wait(store: KeyStore, path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ConnectFailed, match="not a regular file"):
        store.lookup("h1", 22)
    with pytest.raises(KeyNotSaved, match="not a regular file"):
        store.learn("h1", 22, ONE)


def test_a_failure_to_read_passes_when_its_cause_does(store: KeyStore, path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConnectFailed):
        store.lookup("h1", 22)
    path.rmdir()
    path.write_text(f"h1 {ONE}\n")
    assert store.lookup("h1", 22).keys == (ONE,)


# ----------------------------------------------------------------------------------------------------------- learning


def test_a_learned_key_is_known_here_to_others_and_to_ssh(store: KeyStore, path: Path) -> None:
    store.learn("H1.Example.net", 2222, ONE)
    assert path.read_text() == f"[h1.example.net]:2222 {ONE}\n"
    assert store.lookup("h1.example.net", 2222).keys == (ONE,)
    assert KeyStore([str(path)], str(path)).lookup("h1.example.net", 2222).keys == (ONE,)
    subprocess.run(["ssh-keygen", "-l", "-F", "[h1.example.net]:2222", "-f", path], check=True, capture_output=True)


def test_the_file_and_its_directory_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    files, own = default_files(str(tmp_path))
    before = os.umask(0)
    try:
        KeyStore(files[:2], own).learn("h1", 22, ONE)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".ssh").stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(own).stat().st_mode) == 0o600


def test_an_existing_file_keeps_its_mode_its_place_and_all_its_bytes(store: KeyStore, path: Path) -> None:
    before = b"# mine\r\nbroken \xff line\n@revoked * nothing\n"
    path.write_bytes(before)
    path.chmod(0o644)
    number = path.stat().st_ino
    store.learn("h1", 22, ONE)
    assert path.read_bytes() == before + f"h1 {ONE}\n".encode()
    assert (path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) == (number, 0o644)


def test_a_link_to_the_file_stays_a_link(store: KeyStore, path: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles"
    path.symlink_to(target)
    store.learn("h1", 22, ONE)
    assert path.is_symlink() and target.read_text() == f"h1 {ONE}\n"


def test_a_last_line_without_its_newline_is_ended_first(store: KeyStore, path: Path) -> None:
    path.write_text(f"h1 {ONE}")
    store.learn("h2", 22, TWO)
    assert path.read_text() == f"h1 {ONE}\nh2 {TWO}\n"
    assert store.lookup("h1", 22).keys == (ONE,) and store.lookup("h2", 22).keys == (TWO,)


def test_a_key_is_written_once(store: KeyStore, path: Path) -> None:
    for other in (store, store, KeyStore([str(path)], str(path))):
        other.learn("h1", 22, ONE)
    assert path.read_text() == f"h1 {ONE}\n"


def test_what_the_system_knows_is_not_written_again(tmp_path: Path) -> None:
    system, own = tmp_path / "system", tmp_path / "own"
    system.write_text(f"* {ONE}\n")
    KeyStore([str(own), str(system)], str(own)).learn("h1", 22, ONE)
    assert own.read_text() == ""


@pytest.mark.parametrize("line", [f"h1 {TWO}\n", f"@revoked * {ONE}\n"])
def test_a_key_that_became_wrong_meanwhile_is_neither_saved_nor_trusted(store: KeyStore, path: Path, line: str) -> None:
    store.lookup("h1", 22)
    path.write_text(line)  # another process, between our look-up and our learning
    with pytest.raises(ConnectFailed) as caught:
        store.learn("h1", 22, ONE)
    assert caught.value.failure.kind == "hostkey" and f"{path}:1" in caught.value.failure.message
    assert path.read_text() == line


def test_a_file_replaced_while_we_wait_for_its_lock_gets_the_line(store: KeyStore, path: Path, tmp_path: Path) -> None:
    path.write_text(f"h1 {ONE}\n")
    with path.open() as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        learner = threading.Thread(target=store.learn, args=("h2", 22, TWO))
        learner.start()
        (tmp_path / "new").write_text(f"h3 {THREE}\n")
        (tmp_path / "new").rename(path)
    learner.join()
    assert path.read_text() == f"h3 {THREE}\nh2 {TWO}\n"


def test_a_lock_that_is_never_given_back_is_not_waited_for_for_ever(
    store: KeyStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystore, "LOCK_WAIT", 0.0)
    path.write_text("")
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(KeyNotSaved, match="locked"):
            store.learn("h1", 22, ONE)
    assert path.read_text() == ""


def test_a_directory_that_cannot_be_made_is_a_reason_with_the_files_name(tmp_path: Path) -> None:
    name = str(tmp_path / "no" / "such" / "known_hosts")
    with pytest.raises(KeyNotSaved) as caught:
        KeyStore([name], name).learn("h1", 22, ONE)
    assert name in caught.value.strerror and "No such file" in caught.value.strerror


def test_an_address_that_cannot_stand_in_the_file_is_not_written(store: KeyStore, path: Path) -> None:
    with pytest.raises(KeyNotSaved, match="address"):
        store.learn("h1\n*", 22, ONE)
    assert not path.exists()


AS_NOBODY = """
import os, sys
from hostshell.ssh.failures import ConnectFailed
from hostshell.ssh.knownhosts import HostKey
from hostshell.ssh.keystore import KeyNotSaved, KeyStore
store = KeyStore([sys.argv[1]], sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setresuid(65534, 65534, 65534)
try:
    print("known", len(store.lookup("h1", 22).keys))
    store.learn("h2", 22, HostKey(*sys.argv[2].split()))
except ConnectFailed as error:
    print(error.failure.kind, error.failure.message)
except KeyNotSaved as error:
    print("not saved:", error.strerror)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter (pytest's own are closed to others)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o000, ["hostkey cannot read the known host keys: {path}: Permission denied"]),
        (0o444, ["known 1", "not saved: {path}: Permission denied"]),
    ],
)
def test_a_file_without_permission_is_named_with_the_reason(open_folder: Path, mode: int, said: list[str]) -> None:
    path = open_folder / "known_hosts"
    path.write_text(f"h1 {ONE}\n")
    path.chmod(mode)
    ran = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(path), str(TWO)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == [line.format(path=path) for line in said]


# ---------------------------------------------------------------------------------------------------- many at a time

LEARNER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from tests.ssh.test_keystore import learn_share
name, process, threads, each = sys.argv[1], *map(int, sys.argv[2:])
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(lambda thread: learn_share(name, process * threads + thread, each), range(threads)))
"""
PROCESSES, THREADS, EACH = 8, 4, 12


def learn_share(name: str, worker: int, each: int, store: KeyStore | None = None) -> None:
    """What one of many workers learns: keys of its own, and one that all of them meet."""
    store = store or KeyStore([name], name)
    for number in range(each):
        store.learn(f"w{worker}n{number}", 2222, ed25519(worker * each + number))
        store.learn(f"all{number}", 22, ed25519(-number))


def expected_lines(workers: int, each: int) -> list[str]:
    lines = [f"[w{worker}n{n}]:2222 {ed25519(worker * each + n)}" for worker in range(workers) for n in range(each)]
    return sorted([*lines, *(f"all{n} {ed25519(-n)}" for n in range(each))])


def test_32_workers_in_processes_and_threads_lose_and_tear_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".ssh" / "known_hosts"  # neither exists: all of them want to make it
    root = Path(__file__).parents[2]
    learners = [
        subprocess.Popen(
            [sys.executable, "-c", LEARNER, str(path), str(process), str(THREADS), str(EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
        )
        for process in range(PROCESSES)
    ]
    try:
        for learner in learners:
            assert learner.stdout is not None and learner.stdout.readline() == b"ready\n"
        for learner in learners:
            assert learner.stdin is not None
            learner.stdin.close()  # go
        assert [learner.wait(120) for learner in learners] == [0] * PROCESSES
    finally:
        for learner in learners:
            learner.kill()
            learner.wait()
            assert learner.stdout is not None
            learner.stdout.close()
    assert sorted(path.read_text().splitlines()) == expected_lines(PROCESSES * THREADS, EACH)
    assert path.read_text().endswith("\n")


def test_32_threads_of_one_store_lose_and_tear_nothing(store: KeyStore, path: Path) -> None:
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda worker: learn_share(str(path), worker, 4, store), range(32)))
    assert sorted(path.read_text().splitlines()) == expected_lines(32, 4)
    assert all(store.lookup(f"w{worker}n3", 2222).keys == (ed25519(worker * 4 + 3),) for worker in range(32))


def test_what_ssh_appends_without_our_lock_survives(store: KeyStore, path: Path) -> None:
    def as_ssh_does() -> None:
        for number in range(50):
            with path.open("a") as file:
                file.write(f"ssh{number} {ONE}\n")

    other = threading.Thread(target=as_ssh_does)
    other.start()
    for number in range(50):
        store.learn(f"ours{number}", 22, TWO)
    other.join()
    wanted = [f"{who}{number} {key}" for who, key in (("ssh", ONE), ("ours", TWO)) for number in range(50)]
    assert sorted(path.read_text().split("\n")) == sorted([*wanted, ""])


# ------------------------------------------------------------------------------------------------------------- settings


def test_default_files_are_those_of_ssh(tmp_path: Path) -> None:
    assert default_files("/home/me") == (
        [
            "/home/me/.ssh/known_hosts",
            "/home/me/.ssh/known_hosts2",
            "/etc/ssh/ssh_known_hosts",
            "/etc/ssh/ssh_known_hosts2",
        ],
        "/home/me/.ssh/known_hosts",
    )


def test_a_setting_replaces_the_users_and_the_systems_files_and_receives_new_keys(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"h1 {ONE}\n")
    stores = KeyStores(str(tmp_path))
    assert stores.of(None).lookup("h1", 22).keys == (ONE,)
    own = stores.of(str(tmp_path / "own"))
    assert own.lookup("h1", 22).keys == ()
    own.learn("h1", 22, TWO)
    assert (tmp_path / "own").read_text() == f"h1 {TWO}\n"
    assert stores.of(None).lookup("h1", 22).keys == (ONE,)


def test_one_store_serves_all_hosts_of_a_setting(tmp_path: Path) -> None:
    stores = KeyStores(str(tmp_path))
    assert stores.of(None) is stores.of(None)
    assert stores.of("/a") is stores.of("/a") is not stores.of("/b")


def test_a_tilde_is_the_home_directory(clean_home: Path) -> None:
    KeyStores().of("~/known").learn("h1", 22, ONE)
    assert (clean_home / "known").read_text() == f"h1 {ONE}\n"
    KeyStores().of(None).learn("h1", 22, ONE)
    assert (clean_home / ".ssh" / "known_hosts").exists()
