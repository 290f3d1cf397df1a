"""Names: their characters, expanding and folding."""

from __future__ import annotations

from random import Random

import pytest
from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet
from hypothesis import given, settings
from hypothesis import strategies as st

from hostshell.core.names import MOST_NAMES, check_address, check_name, check_user, expand, fold, split

# --- characters ---


@pytest.mark.parametrize(
    "name", ["h1", "web01.example.net", "10.0.0.5", "_x", "::1", "fe80::1%eth0", "büro1", "a+b", "1"]
)
def test_a_name_that_openssh_takes_is_a_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("-oX", "starts with `-`"),
        ("$(id)", "`$`"),
        ("a`id`", "backquote"),
        ("a;b", "`;`"),
        ("a|b", "`|`"),
        ("a&b", "`&`"),
        ("a<b", "`<`"),
        ('a"b', '`"`'),
        ("a'b", "`'`"),
        ("a\\b", "`\\`"),
        ("a{b}", "`{`"),
        ("a b", "blank"),
        ("a\tb", "blank"),
        ("a\nb", "control"),
        ("a\x1b[31m", "control"),
        ("a\x7f", "control"),
        ("a\u202eb", "control"),
        ("a\u2028b", "control"),
        ("web[1-2]", "`[`"),
        ("web*", "`*`"),
        ("web?", "`?`"),
        ("a,b", "`,`"),
        ("a!b", "`!`"),
        ("a^b", "`^`"),
        ("@web", "`@`"),
        ("a/b", "`/`"),
        ("..", "directory"),
        (".", "directory"),
        ("h1:22", "`:`"),
        ("web٢", "digit"),
        ("a" * 256, "longer"),
    ],
)
def test_a_name_is_refused_with_the_reason_in_words(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match="it ") as caught:
        check_name(name)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("user", ["root", "www-data", "deploy.x", "CORP\\jane", "jane@corp.example", "jörg", "a/b"])
def test_a_user_that_openssh_takes_is_a_user(user: str) -> None:
    check_user(user)


@pytest.mark.parametrize(
    "user", ["", "-oX", "$(id)", "$HOME", "a;b", "a b", "a\nb", "a`b", "a|b", "a'b", 'a"b', "a\\", "a\0", "a{b}", "a<b"]
)
def test_a_user_with_blanks_or_shell_characters_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="it "):
        check_user(user)


@pytest.mark.parametrize("address", ["192.0.2.1", "::1", "fe80::1%eth0", "h1.example.net", "localhost", "a_b", "büro"])
def test_an_address_may_be_a_name_or_a_literal(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    ["", "-oX", "$(id)", "a b", "a\nb", "h1:22", "[::1]", "[::1]:22", "root@h1", "a/b", "a,b", "{host", "1::2::3"],
)
def test_an_address_that_is_something_else_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="it "):
        check_address(address)


_CHECKED = st.sampled_from(
    ["h1", "-", "::1", "%eth0", "[", "]", "@", ":", "/", "$", ";", "\x1b", "\u202e", "٢", "é", " "]
)


@given(st.lists(_CHECKED | st.text(max_size=3), max_size=5).map("".join))
def test_any_text_is_a_name_a_user_an_address_or_is_refused_in_a_printable_sentence(text: str) -> None:
    for check in (check_name, check_user, check_address):
        try:
            check(text)
        except ValueError as error:
            assert str(error).startswith("it ") and str(error).isprintable()
            continue
        # ssh takes it for no option, a shell for no command, a terminal for nothing at all
        assert text and not text.startswith("-") and text.isprintable()
        assert not set(text) & set(" \t\n`$;|&<>\"'(){}")
        if check is check_name:
            assert text not in (".", "..") and "/" not in text  # a download makes a folder of this name
            assert expand(text) == [text]
            assert fold([text]) == text


# --- expanding ---


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("h1", ["h1"]),
        (" h1 ", ["h1"]),
        ("h3,h1", ["h3", "h1"]),
        ("h1,h1", ["h1"]),
        ("web[01-03]", ["web01", "web02", "web03"]),
        ("web[3,1]", ["web1", "web3"]),
        ("web[9-11]", ["web9", "web10", "web11"]),
        ("web[1,01]", ["web1", "web01"]),
        ("web[0-10/5]", ["web0", "web5", "web10"]),
        ("web[1-2].example.net", ["web1.example.net", "web2.example.net"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("web0[1-2]", ["web01", "web02"]),
        ("web[1-2]0", ["web10", "web20"]),
        ("10.0.0.[1-2]", ["10.0.0.1", "10.0.0.2"]),
        ("[::1]:2222", ["[::1]:2222"]),
        ("root@[::1]:22,h[1-2]", ["root@[::1]:22", "h1", "h2"]),
        ("root@web[1-2]:22", ["root@web1:22", "root@web2:22"]),
        ("@web", ["@web"]),
        ("web[ 1-2 , 4 ]", ["web1", "web2", "web4"]),
    ],
)
def test_a_pattern_stands_for_its_names_in_order(pattern: str, names: list[str]) -> None:
    assert expand(pattern) == names


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "names nothing"),
        ("h1,,h2", "nothing between `,` and `,`"),
        ("h1,", "nothing after `,`"),
        (",h1", "nothing before `,`"),
        (",", "nothing before `,`"),
        ("web[1-2", "`[` without `]`"),
        ("web1-2]", "`]` without `[`"),
        ("web[[1]]", "inside brackets"),
        ("web[]", "no range"),
        ("web[x]", "no range"),
        ("web[-3]", "no range"),
        ("web[1_0]", "no range"),
        ("web[1٢]", "no range"),
        ("web[3-1]", "backwards"),
        ("web[01-3]", "number of digits"),
        ("web[1-3/0]", "step of 0"),
        ("web[1-2][3-4]", "side by side"),
        ("web[1-999999999]", "more than 1,000,000"),
        ("web[1-999999999999999999]", "more than 1,000,000"),
        ("r[1-1001]n[1-1000]", "more than 1,000,000"),
        ("a[1-600000],b[1-600000]", "more than 1,000,000"),
        ("web[" + "9" * 5000 + "]", "no range"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason_in_words(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        expand(pattern)
    assert reason in str(caught.value)


def test_the_largest_pattern_is_expanded() -> None:
    assert len(expand(f"web[1-{MOST_NAMES}]")) == MOST_NAMES


_range = st.tuples(st.integers(0, 200), st.integers(0, 12), st.integers(1, 3), st.integers(1, 4)).map(
    lambda r: f"{r[0]:0{r[2]}}-{r[0] + r[1]:0{r[2]}}/{r[3]}" if len(str(r[0])) == len(str(r[0] + r[1])) else str(r[0])
)
_pattern = st.lists(
    st.tuples(st.sampled_from(["web", "db-", "r.x"]), st.lists(_range, min_size=1, max_size=3).map(",".join)),
    min_size=1,
    max_size=3,
).map(lambda parts: "".join(f"{head}[{ranges}]" for head, ranges in parts))


@given(_pattern)
def test_expanding_agrees_with_clustershell(pattern: str) -> None:
    assert set(expand(pattern)) == set(NodeSet(pattern, resolver=RESOLVER_NOGROUP))


def test_splitting_leaves_brackets_whole_and_trims_blanks() -> None:
    assert split("a[1,2] ! b&c", ",!&^") == [("", "a[1,2]"), ("!", "b"), ("&", "c")]


_PIECE = st.sampled_from(
    ["web", "[1-3]", "[01-10/2]", "[9,7]", "[", "]", ",", "-", "/", "1", "[::1]", "[1-99999999]", " "]
)


@settings(deadline=None)
@given(st.lists(_PIECE | st.text(max_size=2), max_size=6).map("".join))
def test_any_pattern_is_names_each_once_or_is_refused_with_a_reason(text: str) -> None:
    try:
        names = expand(text)
    except ValueError as error:
        assert str(error)
        return
    assert names and len(names) == len(set(names)) <= MOST_NAMES


# --- folding ---


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["h1"], "h1"),
        (["h1", "h1"], "h1"),
        (["web03", "web07"], "web[03,07]"),
        ([f"web{n:02}" for n in range(1, 21)] + ["db1"], "db1,web[01-20]"),
        (["web9", "web10", "web11"], "web[9-11]"),
        (["web1", "web01", "web2", "web02"], "web[1-2,01-02]"),
        (["web10", "web9", "a", "db2"], "a,db2,web[9-10]"),
        (["10.0.0.1", "10.0.0.2", "10.0.0.3"], "10.0.0.[1-3]"),
        (["10.0.1.1", "10.0.2.1", "10.0.3.1"], "10.0.[1-3].1"),
        (["r1n1", "r1n2", "r2n1", "r2n2"], "r1n[1-2],r2n[1-2]"),
        (["a1-ib0", "a2-ib0"], "a[1-2]-ib0"),
        (["10.0.9.4", "10.0.10.2"], "10.0.9.4,10.0.10.2"),
        (["[::1]:22", "[::1]:23"], "[::1]:22,[::1]:23"),
        (["root@web1", "root@web2"], "root@web[1-2]"),
    ],
)
def test_names_fold_in_one_number_and_in_natural_order(names: list[str], text: str) -> None:
    assert fold(names) == text


def test_the_order_of_the_names_does_not_change_the_folded_text() -> None:
    names = ["web2", "db1", "web10", "web1", "db3", "r1n2", "r2n1"]
    assert fold(names) == fold(reversed(names)) == fold(set(names))


def test_thousands_of_unrelated_addresses_fold() -> None:
    # 7919 is a prime: no two of these share three of their four numbers
    names = [f"10.{n * 7919 % 251}.{n * 7919 % 241}.{n * 7919 % 239}" for n in range(2000)]
    assert set(expand(fold(names))) == set(names)


_word = st.sampled_from(["web", "db", "-", ".", "n", ""])
_number = st.one_of(
    st.integers(0, 25).map(str), st.integers(0, 25).map("{:02}".format), st.just("9" * 20), st.just("0007")
)
_name = st.lists(st.tuples(_word, _number), min_size=1, max_size=4).map(
    lambda parts: "h" + "".join(word + number for word, number in parts)
)
_plain = st.text("abc019.-_", min_size=1, max_size=8).filter(lambda text: text[0] != "-")


@given(st.lists(st.one_of(_name, _plain, st.sampled_from(["[::1]:22", "root@h1", "::1", "10.0.0.5:22"])), min_size=1))
def test_what_is_folded_expands_to_the_same_names(names: list[str]) -> None:
    assert set(expand(fold(names))) == set(names)


@given(st.lists(_name | _plain, min_size=1), st.randoms())
def test_the_order_of_any_names_does_not_change_the_folded_text(names: list[str], random: Random) -> None:
    shuffled = names + names[:1]
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(names)
