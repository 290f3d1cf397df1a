"""Targets: the language of host lists, and who is meant."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pytest
from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hostshell.core.clean import clean
from hostshell.core.errors import TargetError
from hostshell.core.names import check_name, check_user
from hostshell.core.targets import Moment, Targets, parse_moment, resolve, unknown_host

WEB = tuple(f"web{number:02}" for number in range(1, 21))


@dataclass
class Known:
    """A catalog written down by hand."""

    host_names: Collection[str] = field(
        default_factory=lambda: dict.fromkeys((*WEB, "db1", "db2", "h1", "h2", "h3")).keys()
    )
    groups: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "web_clusters": WEB,
            "db_servers": ("db1", "db2"),
            "prod": (*WEB, "db1", "db2"),
            "rack1": ("h1",),
            "rack2": ("h2", "h1"),
            "nobody": (),
        }
    )


def hosts(*texts: str, exclude: tuple[str, ...] = ()) -> tuple[str, ...]:
    return resolve(Targets(hosts=texts, exclude=exclude), Known())


def groups(*texts: str) -> tuple[str, ...]:
    return resolve(Targets(groups=texts), Known())


def error(targets: Targets, catalog: Known | None = None) -> TargetError:
    with pytest.raises(TargetError) as caught:
        resolve(targets, catalog or Known())
    return caught.value


# --- lists ---


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("h1,h2,h3", ("h1", "h2", "h3")),
        ("h3,h1", ("h3", "h1")),
        ("h1, h2", ("h1", "h2")),
        ("h1,h1", ("h1",)),
        ("web[01-03]", WEB[:3]),
        ("db?", ("db1", "db2")),
        ("web0*", WEB[:9]),
        ("*", (*WEB, "db1", "db2", "h1", "h2", "h3")),
        ("web[01-02]*", WEB[:2]),
        ("@db_servers", ("db1", "db2")),
        ("@rack[1-2]", ("h1", "h2")),
        ("@rack*", ("h1", "h2")),
        ("@all!@prod", ("h1", "h2", "h3")),
        ("@*!@prod", ("h1", "h2", "h3")),
        ("@web_clusters!web[01-18]", ("web19", "web20")),
        ("web[01-05]&web[04-09]", ("web04", "web05")),
        ("web[01-03]^web[02-04]", ("web01", "web04")),
        ("h1^h2^h1", ("h2",)),
        ("h1,h2!h2,h2", ("h1", "h2")),
        ("h1,h2&h2,h3", ("h2", "h3")),
    ],
)
def test_a_host_list_means_its_hosts_from_left_to_right_in_the_order_typed(text: str, names: tuple[str, ...]) -> None:
    assert hosts(text) == names


_operand = st.sampled_from(["h1", "h2", "h3", "db[1-2]", "web[01-05]", "web[04-09]", "web20"])


@given(st.lists(st.tuples(st.sampled_from(",!&^"), _operand), min_size=1, max_size=6))
def test_operators_agree_with_clustershell(parts: list[tuple[str, str]]) -> None:
    text = "".join(operator + operand for operator, operand in parts)[1:]
    wanted = set(NodeSet(text, resolver=RESOLVER_NOGROUP))
    try:
        found = set(hosts(text))
    except TargetError as nothing:
        assert nothing.message.startswith("no hosts left")
        found = set()
    assert found == wanted


_TEXTS = st.lists(
    st.sampled_from(
        [*",!&^@*?[]-", "h1", "web", "[1-3]", "db", "all", "prod", "rack", "10.0.0.1", "[::1]:22", "root@", ":22"]
    )
    | st.text(max_size=3),
    max_size=6,
).map("".join)


@settings(deadline=None)
@example([], ["[\x1f]"], [], False)
@given(st.lists(_TEXTS, max_size=2), st.lists(_TEXTS, max_size=2), st.lists(_TEXTS, max_size=2), st.booleans())
def test_any_texts_are_hosts_each_once_or_one_short_clean_sentence(
    named: list[str], groups: list[str], exclude: list[str], everything: bool
) -> None:
    catalog = Known()
    targets = Targets(tuple(named), tuple(groups), tuple(exclude), everything)
    try:
        found = resolve(targets, catalog)
    except TargetError as error:
        for sentence in (error.message, error.hint):
            assert sentence == clean(sentence)
            assert len(sentence) < 1500
        return
    assert found and len(found) == len(set(found))
    assert all(name in catalog.host_names or parse_moment(name) is not None for name in found)
    # what is excluded as it stands is not there
    assert not set(exclude) & set(found)


_KNOWN_TEXTS = st.sampled_from(
    ["h1", "web[01-03]", "@prod!web*", "db?&db1", "h2,h1", "*", "@rack2^h1", "root@h1", "10.0.0.1"]
)


@given(st.lists(_KNOWN_TEXTS, min_size=1, max_size=4))
def test_several_options_are_the_sum_of_each_in_the_order_typed(texts: list[str]) -> None:
    alone = [name for text in texts for name in hosts(text)]
    assert hosts(*texts) == tuple(dict.fromkeys(alone))


@given(st.lists(_KNOWN_TEXTS, min_size=1, max_size=3), st.lists(_KNOWN_TEXTS, max_size=3))
def test_exclusion_leaves_the_others_in_their_order(texts: list[str], exclude: list[str]) -> None:
    gone = {name for text in exclude for name in hosts(text)}
    left = [name for name in hosts(*texts) if name not in gone and not (name == "root@h1" and "h1" in gone)]
    try:
        assert list(hosts(*texts, exclude=tuple(exclude))) == left
    except TargetError as error:
        assert not left and error.message.startswith("no hosts left")


@pytest.mark.parametrize(
    "text", ["h1,,h2", "h1,", ",h1", "h1!", "!h1", "", " ", "h1&,h2", "web[01-02", "web01]", "@", "h1,@"]
)
def test_a_missing_operand_or_bracket_is_an_error_as_with_clush(text: str) -> None:
    assert error(Targets(hosts=(text,))).message.startswith("-h")


def test_a_bad_range_is_an_error_that_says_why() -> None:
    assert "backwards" in error(Targets(hosts=("web[3-1]",))).message
    assert "more than 1,000,000" in error(Targets(hosts=("web[1-999999999]",))).message
    assert "wildcards" in error(Targets(hosts=("web[1-100000]*",))).message


def test_options_add_up_and_a_host_named_twice_runs_once() -> None:
    targets = Targets(hosts=("h2", "h1"), groups=("db_servers", "rack1"))
    assert resolve(targets, Known()) == ("h2", "h1", "db1", "db2")


def test_everything_is_every_host_in_the_inventorys_order() -> None:
    assert resolve(Targets(everything=True), Known()) == tuple(Known().host_names)
    assert resolve(Targets(everything=True, hosts=("10.0.0.5",)), Known())[-1] == "10.0.0.5"


def test_ten_thousand_hosts_resolve() -> None:
    names = tuple(f"n{number}" for number in range(10_000))
    catalog = Known(dict.fromkeys(names).keys(), {"g": names})
    assert resolve(Targets(everything=True), catalog) == names
    assert resolve(Targets(groups=("g",), exclude=("n[1-9999]",)), catalog) == ("n0",)
    assert error(Targets(hosts=("nn77",)), catalog).hint == "did you mean n77?"


# --- groups ---


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("db_servers", ("db1", "db2")),
        ("@db_servers", ("db1", "db2")),
        ("rack[2,1]", ("h1", "h2")),
        ("rack?", ("h1", "h2")),
        ("prod!web_clusters", ("db1", "db2")),
        ("rack1&rack2", ("h1",)),
        ("all!prod", ("h1", "h2", "h3")),
        ("rack1,db_servers", ("h1", "db1", "db2")),
    ],
)
def test_a_group_list_means_the_hosts_of_its_groups(text: str, names: tuple[str, ...]) -> None:
    assert groups(text) == names


# --- exclusion ---


def test_exclusion_takes_away_from_the_sum() -> None:
    targets = Targets(hosts=("h1,h2",), groups=("db_servers",), exclude=("h1", "@rack1,db2"))
    assert resolve(targets, Known()) == ("h2", "db1")


def test_excluding_a_known_host_that_is_not_in_the_set_is_fine() -> None:
    assert hosts("h1", exclude=("db1,10.0.0.9",)) == ("h1",)


def test_an_excluded_host_goes_under_all_its_names() -> None:
    assert hosts("root@h1,h1:22,h2", exclude=("h1",)) == ("h2",)
    assert hosts("root@10.0.0.5,h2", exclude=("10.0.0.5",)) == ("h2",)


def test_a_name_like_an_excluded_ones_stays() -> None:
    assert hosts("root@h1,h1", exclude=("root@h1",)) == ("h1",)


def test_an_unknown_exclusion_is_an_error() -> None:
    found = error(Targets(hosts=("h1",), exclude=("hh1",)))
    assert (found.message, found.hint) == ("unknown host hh1", "did you mean h1?")
    assert (
        error(Targets(hosts=("h1",), exclude=("web_clusters",))).hint
        == "web_clusters is a group: name it with @web_clusters"
    )
    assert error(Targets(hosts=("h1",), exclude=("x*",))).message == "no host matches x*"


# --- errors ---


@pytest.mark.parametrize(
    ("targets", "message", "hint"),
    [
        (Targets(hosts=("wbe01",)), "unknown host wbe01", "did you mean web01?"),
        (Targets(hosts=("web1",)), "unknown host web1", "did you mean web01?"),
        (Targets(hosts=("zzz",)), "unknown host zzz", "`hosts -a` shows every host"),
        (Targets(hosts=("h1 h2",)), "unknown host h1 h2", "names are separated by commas"),
        (Targets(hosts=("web[20-23]",)), "unknown hosts web[21-23]", "web21: did you mean web20?"),
        (Targets(hosts=("prod",)), "unknown host prod", "prod is a group: name it with -g prod"),
        (Targets(hosts=("all",)), "unknown host all", "all is a group: name it with -g all"),
        (
            Targets(hosts=("web_cluster",)),
            "unknown host web_cluster",
            "did you mean the group web_clusters? name it with -g web_clusters",
        ),
        (Targets(hosts=("@prdo",)), "unknown group prdo", "did you mean prod?"),
        (Targets(hosts=("@faild",)), "unknown group faild", "did you mean failed?"),
        (Targets(groups=("h1",)), "unknown group h1", "h1 is a host: name it with -h h1"),
        (Targets(groups=("web_cluster",)), "unknown group web_cluster", "did you mean web_clusters?"),
        (Targets(groups=("wbe01",)), "unknown group wbe01", "did you mean the host web01? name it with -h web01"),
        (Targets(groups=("x*",)), "no group matches x*", "`groups` shows every group"),
        (
            Targets(hosts=("zz1,zz2",), groups=("yy",)),
            "unknown hosts zz[1-2]; unknown group yy",
            "`hosts -a` shows every host",
        ),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest_right_one(targets: Targets, message: str, hint: str) -> None:
    found = error(targets)
    assert (found.message, found.hint) == (message, hint)


def test_many_unknown_names_make_one_short_sentence() -> None:
    found = error(Targets(hosts=(",".join(f"{letter}{other}x" for letter in "abcdefgh" for other in "abcdefgh"),)))
    assert found.message.endswith("and 44 more")


def test_control_characters_that_were_typed_do_not_reach_the_terminal() -> None:
    assert error(Targets(hosts=("a\x1bcb",))).message == "unknown host a^[cb"


def test_no_targets_is_an_error_that_says_how_to_name_some() -> None:
    found = error(Targets())
    assert found.message == "no hosts are named"
    assert all(word in found.hint for word in ("-h", "-g", "-a", "use"))


def test_exclusion_alone_names_nothing() -> None:
    assert "-x alone" in error(Targets(exclude=("h1",))).message


@pytest.mark.parametrize(
    "targets",
    [
        Targets(hosts=("h1",), exclude=("h1",)),
        Targets(hosts=("h1!h1",)),
        Targets(groups=("nobody",)),
        Targets(everything=True, exclude=("@all",)),
    ],
)
def test_no_hosts_left_is_an_error(targets: Targets) -> None:
    assert error(targets).message.startswith("no hosts left")


def test_without_an_inventory_the_hint_says_what_works() -> None:
    empty = Known({}.keys(), {})
    assert "user@host" in error(Targets(hosts=("h1",)), empty).hint
    nothing = error(Targets(everything=True), empty)
    assert nothing.message == "no hosts: the inventory has none"
    assert "user@host" in nothing.hint
    assert resolve(Targets(hosts=("root@h1",)), empty) == ("root@h1",)


def test_other_rooms_can_make_the_same_errors() -> None:
    assert unknown_host("wbe01", Known()).hint == "did you mean web01?"


# --- hosts of the moment ---


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("h1", None),
        ("web01.example.net", None),
        ("@web", None),
        ("1.2.3.400", None),
        ("root@h1", Moment("root", "h1", None)),
        ("root@h1:2222", Moment("root", "h1", 2222)),
        ("h1:2222", Moment(None, "h1", 2222)),
        ("10.0.0.5", Moment(None, "10.0.0.5", None)),
        ("10.0.0.5:22", Moment(None, "10.0.0.5", 22)),
        ("::1", Moment(None, "::1", None)),
        ("[::1]", Moment(None, "::1", None)),
        ("[::1]:2222", Moment(None, "::1", 2222)),
        ("user@[::1]:22", Moment("user", "::1", 22)),
        ("user@::1", Moment("user", "::1", None)),
        ("fe80::1%eth0", Moment(None, "fe80::1%eth0", None)),
        ("jane@corp.example@h1", Moment("jane@corp.example", "h1", None)),
    ],
)
def test_a_host_of_the_moment_is_told_by_its_form(name: str, moment: Moment | None) -> None:
    assert parse_moment(name) == moment


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("h1:0", "no port"),
        ("h1:65536", "no port"),
        ("h1:ssh", "no port"),
        ("h1:", "no port"),
        ("h1:٢٢", "no port"),
        ("[::1]:99999", "no port"),
        ("-oX@h1", "bad user"),
        ("$(id)@h1", "bad user"),
        ("../x@h1", "bad user"),
        ("root@-oX", "bad address"),
        ("root@", "bad address"),
        ("root@$(id)", "bad address"),
        ("root@a/b", "bad address"),
        ("root@a b", "bad address"),
        (":22", "bad address"),
        ("a:b:c", "no IPv6 address"),
        ("[x]:22", "no IPv6 address"),
        ("[::1]x", "no IPv6 address"),
        ("root@" + "a" * 255, "longer"),
    ],
)
def test_a_host_of_the_moment_that_cannot_be_is_an_error(name: str, says: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_moment(name)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("10.0.0.5,[::1]:2222,::1,user@[::1]:22", ("10.0.0.5", "[::1]:2222", "::1", "user@[::1]:22")),
        ("10.0.0.[1-3]", ("10.0.0.1", "10.0.0.2", "10.0.0.3")),
        ("root@web[01-02]:22", ("root@web01:22", "root@web02:22")),
        ("h1,root@h1!h1", ("root@h1",)),
    ],
)
def test_hosts_of_the_moment_stand_among_others(text: str, names: tuple[str, ...]) -> None:
    assert hosts(text) == names


def test_an_address_that_the_inventory_knows_is_its_host() -> None:
    assert resolve(Targets(hosts=("10.0.0.*",)), Known({"10.0.0.5": None}.keys(), {})) == ("10.0.0.5",)


# --- as options ---


def test_targets_are_true_when_they_name_something() -> None:
    assert not Targets()
    assert not Targets(exclude=("h1",)).named
    assert Targets(hosts=("h1",))
    assert Targets(groups=("g",)).named
    assert Targets(everything=True)


def test_targets_become_options_again() -> None:
    targets = Targets(("h1,h2", "web[01-20]!web03"), ("prod",), ("db1",), everything=True)
    assert targets.options() == "-a -h h1,h2 -h web[01-20]!web03 -g prod -x db1"
    assert Targets().options() == ""


@given(st.text(max_size=10))
def test_options_are_quoted_so_that_the_line_reads_back(text: str) -> None:
    assert shlex.split(Targets(hosts=(text,)).options(), posix=True) == ["-h", text]


_MOMENTS = st.builds(
    lambda user, address, port: (f"{user}@" if user else "") + address + (f":{port}" if port else ""),
    st.sampled_from(["", "root", "CORP\\\\jane", "-x", "a/b", "ü"]),
    st.sampled_from(["h1", "10.0.0.5", "[::1]", "[fe80::1%eth0]", "h1.example.net", "-x", "$(id)", "", "[", "::1"]),
    st.sampled_from(["", "22", "65535", "0", "70000", "x", "٢", "22:22"]),
)


@given(_MOMENTS | st.text(max_size=12))
def test_a_host_of_the_moment_has_a_name_and_a_port_that_can_be_or_is_refused(name: str) -> None:
    try:
        found = parse_moment(name)
    except TargetError as error:
        assert error.message == clean(error.message)
        return
    if found is not None:
        check_name(found.address)
        if found.user is not None:
            check_user(found.user)
        assert found.port is None or 1 <= found.port <= 65535
        assert found.address in name and (found.user or "") in name
