"""known_hosts read as OpenSSH reads it, and what is decided about an offered key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shlex
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hostshell.core.model import HOST_KEY_POLICIES, Place
from hostshell.ssh.hostkeys import algorithm_order, decide
from hostshell.ssh.knownhosts import Entry, HostKey, Known, known_name, lookup, parse

TYPES = {"ed25519": (), "rsa": ("-b", "2048"), "ecdsa": ("-b", "384")}
SUPPORTED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "rsa-sha2-512", "rsa-sha2-256")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Public key files that ssh-keygen made, by type."""
    folder = tmp_path_factory.mktemp("keys")
    for name, size in TYPES.items():
        subprocess.run(["ssh-keygen", "-q", "-t", name, *size, "-N", "", "-C", "", "-f", folder / name], check=True)
    return {name: folder / f"{name}.pub" for name in TYPES}


@pytest.fixture(scope="module")
def keys(made: dict[str, Path]) -> dict[str, HostKey]:
    return {name: HostKey(*path.read_text().split()[:2]) for name, path in made.items()}


def blob(*fields: bytes) -> str:
    return base64.b64encode(b"".join(struct.pack(">I", len(field)) + field for field in fields)).decode()


def ed25519(number: int) -> HostKey:
    """A key of the right form, without the cost of making one."""
    return HostKey("ssh-ed25519", blob(b"ssh-ed25519", hashlib.sha256(b"%d" % number).digest()))


def hashed(name: str, salt: bytes = b"s" * 20) -> str:
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def known(*lines: str, address: str = "h1", port: int = 22) -> Known:
    return parse("".join(line + "\n" for line in lines), "/kh").lookup(address, port)


ONE, TWO, THREE = ed25519(1), ed25519(2), ed25519(3)

# ----------------------------------------------------------------------------------------- as OpenSSH reads the file


@pytest.mark.parametrize("name", TYPES)
def test_fingerprint_is_the_one_ssh_keygen_prints(name: str, made: dict[str, Path], keys: dict[str, HostKey]) -> None:
    printed = subprocess.run(["ssh-keygen", "-lf", made[name]], capture_output=True, text=True, check=True).stdout
    assert keys[name].fingerprint == printed.split()[1]


# {E}, {R} and {C} are an ed25519, an rsa and an ecdsa key
FILES = {
    "names and ports": """
        h1 {E}
        h1,h2.example.net,192.0.2.7 {R}
        [h1]:2222 {E}
        [h1]:22 {E}
        [::1]:2222 {C}
        ::1 {E} a comment
        H3.Example.NET {E}
        h1,h1 {C}
        h4,,h5 {E}""",
    "wildcards and negations": """
        *.example.net {E}
        h? {R}
        *,!h2 {C}
        !h1 {E}
        !h3,h? {E}
        [*]:2222 {E}
        [h?.example.net]:* {R}
        192.0.2.* {E}
        H*.EXAMPLE.net {R}
        **2*.?xample.** {C}
        h[12] {E}""",
    "hashes": """
        {hash:h1} {E}
        {hash:[h1]:2222} {R}
        {hash:h1},h2 {E}
        h2,{hash:h1} {E}
        |1|tooshort|{digest} {E}
        |2|{digest}|{digest} {E}
        |1|{digest} {E}
        {hash with a short salt} {E}
        | {E}
        {hash:h3.example.net} {C}""",
    "markers": """
        @revoked h1 {E}
        @revoked * {R}
        @cert-authority *.example.net {C}
        @cert-authority h1 {C}
        @unknown h1 {E}
        @revoked @revoked h1 {E}
        @ h1 {E}
        @REVOKED h1 {E}
        @revoked {hash:h2} {E}
        @revoked""",
    "broken lines": """
        h1
        h1 ssh-ed25519
        h1 ssh-ed25519 AAAA
        h1 ssh-ed25519 ====
        h1 {torn}
        h1 {E}A
        h1 ssh-rsa {e}
        h1 ssh-unheard-of {e}
        h1 rsa-sha2-512 {r}
        h1 ssh-ed25519 {r}
        h1 ssh-rsa {torn rsa}
        h1 ssh-rsa {small rsa}
        h1 ssh-ed25519 {short ed25519}
        h1 ecdsa-sha2-nistp256 {c}
        h1 1024 35 1234567890
        h1 # {E}
        # h1 {E}
          # h1 {E}
        {E}
        h1 {R}
        h2 {E}#no comment
        h2 {E} #comment
        , {E}""",
    "blanks": "  h1   {E}\n\th1\t{R}\n\n   \nh1 \t {C}\t \th2\n",
    "CRLF": "h1 {E}\r\n\r\n# h1\r\nh2,h1 {R} a comment\r\n@revoked h1 {C}\r\n",
    "no last newline": "h1 {E}\nh1 {R}",
    "not UTF-8": "h1 {E} caf\udce9\n\udcff\udcfeh1 {E}\nh1 {R}\ncaf\udce9 {E}\nh\udce9 {E}\n",
}
LOOKED_UP = [
    ("h1", 22),
    ("h2", 22),
    ("h5", 22),
    ("h3.example.net", 22),
    ("h2.example.net", 22),
    ("192.0.2.7", 22),
    ("::1", 22),
    ("h1", 2222),
    ("h2.example.net", 2222),
    ("::1", 2222),
    ("h1", 2022),
]


def filled(text: str, keys: dict[str, HostKey]) -> bytes:
    ed, rsa, ecdsa = keys["ed25519"], keys["rsa"], keys["ecdsa"]
    text = re.sub(r"{hash:([^}]+)}", lambda match: hashed(match[1]), text)
    for name, value in {
        "E": str(ed), "R": str(rsa), "C": str(ecdsa), "e": ed.blob, "r": rsa.blob, "c": ecdsa.blob,
        "torn": str(ed)[:-8], "torn rsa": rsa.blob[:-8], "small rsa": blob(b"ssh-rsa", b"\1\0\1", b"\x7f" * 127),
        "short ed25519": blob(b"ssh-ed25519", b"x" * 31), "digest": base64.b64encode(b"d" * 20).decode(),
        "hash with a short salt": hashed("h1", b"s" * 19),
    }.items():  # fmt: skip
        text = text.replace(f"{{{name}}}", value)
    return re.sub(r"^ {8}", "", text, flags=re.MULTILINE).encode("utf-8", "surrogateescape")


def as_ssh_keygen_finds(path: Path, name: str) -> set[tuple[int, str]]:
    """Line numbers and markers. ``-l`` has it read the keys too, as ssh does."""
    found = subprocess.run(["ssh-keygen", "-l", "-F", name, "-f", path], capture_output=True)
    matches = re.findall(r"^# Host .* found: line (\d+) (\w*)$", found.stdout.decode("utf-8", "replace"), re.MULTILINE)
    return {(int(line), marker) for line, marker in matches}


@pytest.mark.parametrize("case", FILES)
def test_the_lines_that_count_are_those_that_ssh_keygen_finds(
    case: str, keys: dict[str, HostKey], tmp_path: Path
) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(filled(FILES[case], keys))
    book = parse(path.read_bytes(), str(path))
    found_any = False
    for address, port in LOOKED_UP:
        found, revoked, authorities = book.find(known_name(address, port))
        ours = {(entry.place.line, "") for entry in found}
        ours |= {(entry.place.line, "REVOKED") for entry in revoked}
        ours |= {(entry.place.line, "CA") for entry in authorities}
        assert ours == as_ssh_keygen_finds(path, known_name(address, port)), (address, port)
        found_any = found_any or bool(ours)
    assert found_any


def test_a_file_that_ssh_keygen_hashed_is_understood(keys: dict[str, HostKey], tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"h1,h2 {keys['rsa']}\n[h1]:2222 {keys['ed25519']}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    book = parse(path.read_bytes())
    assert b"h1" not in path.read_bytes().split()
    assert book.lookup("h1", 22).keys == book.lookup("H2", 22).keys == (keys["rsa"],)
    assert book.lookup("h1", 2222).keys == (keys["ed25519"],)


def test_a_line_that_we_write_is_found_by_ssh_keygen(keys: dict[str, HostKey], tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    ends = [("h1", 22), ("Web.Example.NET", 2222), ("192.0.2.1", 22), ("2001:DB8:0::1", 22), ("fe80::1%eth0", 2222)]
    path.write_text("".join(keys["ecdsa"].line(*end) + "\n" for end in ends))
    for number, end in enumerate(ends, 1):
        assert as_ssh_keygen_finds(path, known_name(*end)) == {(number, "")}
        assert parse(path.read_bytes()).lookup(*end).keys == (keys["ecdsa"],)


# --------------------------------------------------------------------------------------------------------- look-ups


def test_names_are_looked_up_as_ssh_names_an_endpoint() -> None:
    assert known_name("h1", 22) == "h1"
    assert known_name("H1.Example.net", 2222) == "[h1.example.net]:2222"
    assert known_name("2001:DB8:0:0::1", 22) == "2001:db8::1"
    assert known_name("0:0:0:0:0:0:0:1", 2222) == "[::1]:2222"
    assert known_name("FE80:0::1%eth0", 22) == "fe80::1%eth0"
    assert known_name("a:b", 22) == "a:b"
    assert known_name("\N{KELVIN SIGN}1", 22) == "\N{KELVIN SIGN}1"


def test_case_of_names_does_not_matter_on_either_side() -> None:
    assert known(f"WEB1.example.NET {ONE}", address="web1.EXAMPLE.net").keys == (ONE,)
    assert known(f"WEB*.example.NET {ONE}", address="web1.EXAMPLE.net").keys == (ONE,)
    assert known(f"{hashed('web1')} {ONE}", address="WEB1").keys == (ONE,)


def test_an_entry_says_where_it_stands_and_whether_a_wildcard_named_the_host() -> None:
    found = known(f"h1 {ONE}", "broken", f"h* {TWO}", f"{hashed('h1')} {THREE}").entries
    assert found == (Entry(ONE, Place("/kh", 1)), Entry(TWO, Place("/kh", 3), True), Entry(THREE, Place("/kh", 4)))


def test_several_files_add_up_in_their_order() -> None:
    own, system = parse(f"h1 {ONE}\n", "own"), parse(f"# nothing\n* {TWO}\n@revoked h1 {THREE}\n", "system")
    both = lookup([own, system], "h1", 22)
    assert [str(entry.place) for entry in both.entries] == ["own:1", "system:2"]
    assert [str(entry.place) for entry in both.revoked] == ["system:3"]


def test_text_is_read_like_its_bytes() -> None:
    assert parse(f"h1 {ONE}\n").lookup("h1", 22) == parse(f"h1 {ONE}\n".encode()).lookup("h1", 22)


def test_authorities_are_kept_apart_and_make_nothing_known() -> None:
    found = known(f"@cert-authority * {ONE}")
    assert found.keys == () and [entry.key for entry in found.authorities] == [ONE]
    assert decide("strict", found, ONE).verdict == "refused"


def test_a_plain_name_stands_in_for_a_port_of_which_nothing_is_known() -> None:
    found = known(f"h1 {ONE}", port=2222)
    assert found.keys == () and [entry.key for entry in found.plain] == [ONE]
    assert decide("strict", found, ONE).verdict == "trusted"
    assert decide("ask", found, TWO).verdict == "new", "another server behind another port is not a changed one"


def test_a_plain_name_does_not_stand_in_for_a_port_whose_key_is_known() -> None:
    found = known(f"h1 {ONE}", f"[h1]:2222 {TWO}", port=2222)
    assert decide("accept-new", found, ONE).verdict == "changed"


def test_a_port_does_not_stand_in_for_a_plain_name() -> None:
    assert decide("ask", known(f"[h1]:2222 {ONE}"), ONE).verdict == "new"
    assert decide("ask", known(f"[h1]:22 {ONE}"), ONE).verdict == "new"


def test_lines_added_later_count_and_keep_their_numbers() -> None:
    book = parse(f"h1 {ONE}\n{hashed('h1')} {TWO}\n", "/kh")
    assert book.lookup("h1", 22).keys == (ONE, TWO)
    book.extend(f"# more\n{hashed('h1', b't' * 20)} {THREE}\n")
    book.extend(f"h? {ed25519(4)}\n")
    assert [(entry.key, entry.place.line) for entry in book.lookup("h1", 22).entries] == [
        (ONE, 1), (TWO, 2), (THREE, 4), (ed25519(4), 5),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["plain", "hashed", "wildcard"])
def test_ten_thousand_lines_with_broken_ones_between(form: str) -> None:
    lines = []
    for number in range(5000):
        name = f"host{number}.example.net"
        names = {"plain": name, "hashed": hashed(name, struct.pack(">20xI", number)[-20:]), "wildcard": f"{name[:-1]}?"}
        lines += [f"{names[form]} {ed25519(number % 50)}", f"host{number}.example.net ssh-ed25519 AAAAtorn"]
    book = parse("\n".join(lines))
    for number in (0, 7, 4999):
        found = book.lookup(f"host{number}.example.net", 22).entries
        assert [(entry.key, entry.place.line) for entry in found] == [(ed25519(number % 50), 2 * number + 1)]
    assert book.lookup("host5000.example.net", 22).entries == ()


def test_a_pattern_of_many_stars_ends() -> None:
    assert known(f"{'*a' * 400}*b {ONE}", address="a" * 1000).keys == ()


# ------------------------------------------------------------------------------------------------------- properties

patient = settings(deadline=None)  # a loaded machine is no defect
NAME = st.text("ab.", min_size=1, max_size=8)


@patient
@given(st.binary(max_size=400), st.text(max_size=12), st.integers(0, 70000))
@example(b"|1||| ssh-ed25519 AAAA\n@ \n@revoked\n\0", "\ud800", 22)
@example(b"* ssh-ed25519 " + b"\xff" * 9, "", 22)
def test_no_bytes_and_no_name_make_it_raise(data: bytes, address: str, port: int) -> None:
    parse(data).lookup(address, port)


@patient
@given(st.text(max_size=200))
@example("\ud800 ssh-ed25519 AAAA")
def test_no_text_makes_it_raise(text: str) -> None:
    parse(text).lookup("h1", 22)


@patient
@given(st.lists(st.binary(max_size=60), max_size=5), st.integers(0, 5))
def test_a_good_line_counts_whatever_stands_around_it(rubbish: list[bytes], at: int) -> None:
    lines = [b"@cert-authority x " + line for line in rubbish]
    lines.insert(at, f"good.example.net {ONE}".encode())
    assert ONE in parse(b"\n".join(lines)).lookup("good.example.net", 22).keys


@patient
@given(st.text("ab.*?", min_size=1, max_size=8), NAME)
def test_wildcards_match_as_the_regular_expression_would(pattern: str, name: str) -> None:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    matches = re.fullmatch(expression, name) is not None
    assert bool(known(f"{pattern} {ONE}", address=name).keys) == matches


@patient
@given(st.lists(st.sampled_from([f"h1 {ONE}", f"h* {TWO}", "", "h1 torn", f"@revoked h1 {THREE}"])), st.integers(0))
def test_a_file_read_in_two_pieces_says_the_same(lines: list[str], cut: int) -> None:
    whole = "".join(line + "\n" for line in lines)
    at = cut % (len(lines) + 1)
    book = parse("".join(line + "\n" for line in lines[:at]))
    book.lookup("h1", 22)
    book.extend("".join(line + "\n" for line in lines[at:]))
    assert book.lookup("h1", 22) == parse(whole).lookup("h1", 22)


@pytest.mark.parametrize(
    "address", ["", "a b", "a\nb", "a,b", "*", "h?", "!h", "#h", "@h", "[h]", "|1|x|y", "a\tb", "a\0"]
)
def test_an_address_that_would_mean_something_else_in_the_file_is_not_written(address: str) -> None:
    with pytest.raises(ValueError, match="known_hosts"):
        ONE.line(address, 22)


@pytest.mark.parametrize("key", [HostKey("ssh-ed25519", "x\ny"), HostKey("ssh-rsa", ONE.blob), HostKey("", "")])
def test_what_is_no_key_is_not_written(key: HostKey) -> None:
    with pytest.raises(ValueError, match="no host key"):
        key.line("h1", 22)


# --------------------------------------------------------------------------------------------------------- decisions


def test_a_known_key_is_trusted_under_every_policy() -> None:
    for policy in HOST_KEY_POLICIES:
        assert decide(policy, known(f"h1 {ONE}", f"h1 {TWO}"), TWO).verdict == "trusted"


def test_an_unknown_key_is_asked_about_learned_or_refused() -> None:
    nothing = Known("h1", 22)
    assert [decide(policy, nothing, ONE).verdict for policy in ("ask", "accept-new", "strict")] == [
        "new",
        "learn",
        "refused",
    ]


def test_an_accepted_key_is_learned_under_every_policy() -> None:
    for policy in HOST_KEY_POLICIES:
        assert decide(policy, Known("h1", 22), ONE, str(ONE)).verdict == "learn"


def test_another_key_than_the_accepted_one_is_refused_under_every_policy() -> None:
    for policy in HOST_KEY_POLICIES:
        decision = decide(policy, Known("h1", 22), TWO, str(ONE))
        assert decision.verdict == "changed"
        assert decision.failure is not None and TWO.fingerprint in decision.failure.message


def test_neither_policy_nor_person_makes_a_changed_key_good() -> None:
    for policy in HOST_KEY_POLICIES:
        assert decide(policy, known(f"h1 {ONE}"), TWO, str(TWO)).verdict == "changed"


def test_neither_policy_nor_person_nor_another_line_makes_a_revoked_key_good() -> None:
    for policy in HOST_KEY_POLICIES:
        for port in (22, 2222):
            found = known(f"h1,[h1]:2222 {ONE}", f"@revoked * {ONE}", port=port)
            assert decide(policy, found, ONE, str(ONE)).verdict == "revoked"


def test_a_key_revoked_for_the_plain_name_is_not_new_on_another_port() -> None:
    assert decide("accept-new", known(f"@revoked h1 {ONE}", port=2222), ONE).verdict == "revoked"


def test_a_revoked_key_says_nothing_about_other_keys() -> None:
    assert decide("ask", known(f"@revoked * {ONE}"), TWO).verdict == "new"


def test_a_key_of_another_type_than_the_known_ones_is_a_changed_key(keys: dict[str, HostKey]) -> None:
    decision = decide("accept-new", known(f"h1 {keys['rsa']}", f"h1 {keys['ecdsa']}"), keys["ed25519"])
    assert decision.verdict == "changed" and decision.failure is not None
    assert "another type" in decision.failure.message
    assert "ssh-rsa, ecdsa-sha2-nistp384 in /kh:1" in decision.failure.message


def test_only_refusals_carry_a_failure_and_it_is_about_the_host_key() -> None:
    nothing, one, revoked = Known("h1", 22), known(f"h1 {ONE}"), known(f"@revoked h1 {ONE}")
    for policy in HOST_KEY_POLICIES:
        for found in (nothing, one, revoked):
            for accepted in (None, str(ONE), str(TWO)):
                for offered in (ONE, TWO):
                    decision = decide(policy, found, offered, accepted)
                    if decision.verdict in ("trusted", "new", "learn"):
                        assert decision.failure is None
                    else:
                        assert decision.failure is not None and decision.failure.kind == "hostkey"
                        assert decision.failure.hint and "\n" not in decision.failure.message + decision.failure.hint


def test_the_refusal_of_an_unknown_key_shows_it_and_says_how_to_accept_it() -> None:
    failure = decide("strict", Known("h1", 2222), ONE).failure
    assert failure is not None
    assert "[h1]:2222" in failure.message and f"ssh-ed25519 {ONE.fingerprint}" in failure.message
    assert "--host-keys ask" in failure.hint and "--host-keys accept-new" in failure.hint


def test_the_refusal_of_a_changed_key_shows_both_and_the_line() -> None:
    failure = decide("ask", known("", f"[h1]:2222 {ONE}", port=2222), TWO).failure
    assert failure is not None
    assert failure.message == (
        f"the host key of [h1]:2222 has changed: it offers ssh-ed25519 {TWO.fingerprint}, "
        f"/kh:2 has ssh-ed25519 {ONE.fingerprint}"
    )


def test_the_remedy_for_a_changed_key_does_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "known hosts"
    path.write_text(f"h2 {ONE}\n[h1]:2222 {ONE}\n{hashed('[h1]:2222')} {THREE}\n")
    failure = decide("ask", parse(path.read_bytes(), str(path)).lookup("h1", 2222), TWO).failure
    assert failure is not None
    command = shlex.split(failure.hint[failure.hint.index("ssh-keygen") :])
    assert command == ["ssh-keygen", "-R", "[h1]:2222", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    assert path.read_text() == f"h2 {ONE}\n"


def test_the_remedy_names_every_file_and_spares_a_wildcards_line() -> None:
    books = [parse(f"h1 {ONE}\nh1 {THREE}\n", "/a"), parse(f"h* {ONE}\n", "/b"), parse(f"h1 {ONE}\n", "/c")]
    failure = decide("ask", lookup(books, "h1", 22), TWO).failure
    assert failure is not None
    assert failure.hint.endswith("ssh-keygen -R h1 -f /a; correct /b:1; ssh-keygen -R h1 -f /c")


def test_the_refusal_of_a_revoked_key_names_the_line() -> None:
    failure = decide("ask", known(f"@revoked * {ONE}", address="h1"), ONE).failure
    assert failure is not None and "/kh:1" in failure.message and ONE.fingerprint in failure.message


def test_an_authority_in_the_file_is_explained_where_it_cannot_help() -> None:
    failure = decide("strict", known(f"@cert-authority * {ONE}"), TWO).failure
    assert failure is not None and "/kh:1" in failure.message and "certificate" in failure.message


# -------------------------------------------------------------------------------------------------- order of algorithms


def test_algorithms_of_known_keys_come_first_in_the_order_of_the_file(keys: dict[str, HostKey]) -> None:
    found = known(f"h1 {keys['ecdsa']}", f"h1 {keys['rsa']}")
    assert algorithm_order(found, SUPPORTED) == [
        "ecdsa-sha2-nistp384", "rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519", "ecdsa-sha2-nistp256",
    ]  # fmt: skip


def test_nothing_known_leaves_the_order_of_algorithms() -> None:
    assert algorithm_order(Known("h1", 22), SUPPORTED) == list(SUPPORTED)


def test_an_algorithm_that_is_not_supported_is_not_offered_for_a_known_key(keys: dict[str, HostKey]) -> None:
    assert algorithm_order(known(f"h1 {keys['rsa']}"), SUPPORTED[:4])[0] == "rsa-sha2-512"
    assert "ssh-rsa" not in algorithm_order(known(f"h1 {keys['rsa']}"), SUPPORTED)


def test_keys_of_the_plain_name_order_the_algorithms_of_an_unknown_port(keys: dict[str, HostKey]) -> None:
    assert algorithm_order(known(f"h1 {keys['rsa']}", port=2222), SUPPORTED)[0] == "rsa-sha2-512"


def test_revoked_keys_and_authorities_do_not_order_the_algorithms(keys: dict[str, HostKey]) -> None:
    found = known(f"@revoked h1 {keys['rsa']}", f"@cert-authority h1 {keys['ecdsa']}")
    assert algorithm_order(found, SUPPORTED) == list(SUPPORTED)
