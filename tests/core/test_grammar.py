"""Lines to what they mean: the contract's forms, its errors, and the line as it was probably meant."""

from __future__ import annotations

import pickle
import shlex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hostshell.core.commands import COMMANDS
from hostshell.core.errors import UsageError
from hostshell.core.grammar import Unfinished, join_lines, parse_line, parse_words, render
from hostshell.core.invocations import (
    BatchRun,
    BatchScp,
    ChangeSetting,
    ConnectHost,
    Disconnect,
    Exit,
    GetWords,
    Invocation,
    ListConnections,
    ListGroups,
    ListHosts,
    LocalCommand,
    PingHosts,
    PutWords,
    Reload,
    RunLine,
    ShowHelp,
    ShowHistory,
    ShowInventory,
    ShowName,
    UseTargets,
)
from hostshell.core.targets import Targets
from hostshell.core.words import quote, scan


def refused(line: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse_line(line)
    return caught.value


def suggestion(line: str) -> str:
    """The line that an error proposes."""
    hint = refused(line).hint
    assert hint.startswith("did you mean: "), hint
    return hint.removeprefix("did you mean: ")


# --- what lines mean ---

WEB = Targets(groups=("web",))


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        (
            'batch_run -h h1,h2,h3 -g web_clusters,db_servers -cmd "df -h"',
            BatchRun(Targets(("h1,h2,h3",), ("web_clusters,db_servers",)), "df -h"),
        ),
        (
            "batch_scp -h h1,h2,h3 -g web_clusters,db_servers -action put -local test.py -remote /tmp/",
            BatchScp(Targets(("h1,h2,h3",), ("web_clusters,db_servers",)), "put", "test.py", "/tmp/"),
        ),
        (
            "batch_scp -g web -action get -remote /etc/hostname -local ./out/",
            BatchScp(WEB, "get", "./out/", "/etc/hostname"),
        ),
        (
            "batch_scp --groups=web --action=put --local=a --remote=b --parents -p -f 3 -t 2.5 --connect-timeout .5",
            BatchScp(WEB, "put", "a", "b", True, True, 3, 2.5, 0.5),
        ),
        ("batch_run -cmd uptime", BatchRun(Targets(), "uptime")),
        (
            "batch_run -g web -l root -p 2222 -i ~/.ssh/k -k -cmd id",
            BatchRun(WEB, "id", user="root", port=2222, key="~/.ssh/k", ask_password=True),
        ),
        (
            "ping -g web --user=root --port=2222 --key=k --ask-password",
            PingHosts(WEB, user="root", port=2222, key="k", ask_password=True),
        ),
        (
            "batch_scp -g web -action put -local a -remote b -p --port 2222 -l root",
            BatchScp(WEB, "put", "a", "b", preserve=True, port=2222, user="root"),
        ),
        ("batch_run -a -x h1 -x h2 --cmd uptime", BatchRun(Targets((), (), ("h1", "h2"), True), "uptime")),
        ("batch_run -h a --hosts b --hosts=c -cmd x", BatchRun(Targets(("a", "b", "c")), "x")),
        (
            "batch_run -g web --cmd=x --fanout 7 --timeout 3 --connect-timeout 4 --gather --json",
            BatchRun(WEB, "x", 7, 3.0, 4.0, True, True),
        ),
        ("batch_run -g web -f 10000 -t 0.001 -b -cmd x", BatchRun(WEB, "x", 10000, 0.001, None, True)),
        (
            "batch_run -g web -N -q --rc max --outdir ~/out --errdir=./err -cmd x",
            BatchRun(WEB, "x", no_prefix=True, quiet=True, rc="max", outdir="~/out", errdir="./err"),
        ),
        ("batch_run -g web --no-prefix --quiet -cmd x", BatchRun(WEB, "x", no_prefix=True, quiet=True)),
        ("ping -a -q", PingHosts(Targets(everything=True), quiet=True)),
        (
            "batch_scp -g web -action put -local a -remote b --quiet",
            BatchScp(WEB, "put", "a", "b", quiet=True),
        ),
        ("put a b", PutWords(Targets(), "put", "a", "b")),
        ("put -g web 'a b' ~/x/ --parents -p -q", PutWords(WEB, "put", "a b", "~/x/", True, True, quiet=True)),
        ("get /etc/hosts ./out/ -x h1", GetWords(Targets(exclude=("h1",)), "get", "./out/", "/etc/hosts")),
        ("get - ./a:b", GetWords(Targets(), "get", "./a:b", "-")),
        ("put a log:2026", PutWords(Targets(), "put", "a", "log:2026")),
        ("batch_run -g web --cmd=-b", BatchRun(WEB, "-b")),
        ("batch_run -g web -cmd -foo", BatchRun(WEB, "-foo")),
        ("batch_run -g web --cmd=a=b", BatchRun(WEB, "a=b")),
        (
            r"""batch_run -g web -cmd "awk '{print $1}' f; find -printf '%h' ! -name *.c" """,
            BatchRun(WEB, "awk '{print $1}' f; find -printf '%h' ! -name *.c"),
        ),
        ("batch_run -g web -cmd 'echo # no comment'", BatchRun(WEB, "echo # no comment")),
        ('batch_run -g web -cmd "echo “quoted” – dash"', BatchRun(WEB, "echo “quoted” – dash")),
        ("batch_run\t-g web\r\n-cmd\nuptime\r\n", BatchRun(WEB, "uptime")),
        ("batch_run -h web[0-10/2] -cmd x", BatchRun(Targets(("web[0-10/2]",)), "x")),
        ("batch_run -a -g web -cmd uptime", BatchRun(Targets((), ("web",), (), True), "uptime")),
        ("run df -h | sort", RunLine("df -h | sort")),
        ('  run   echo  "a  b"  # don\'t  ', RunLine('echo  "a  b"  # don\'t')),
        ("run df -h --json", RunLine("df -h --json")),
        ("run echo 'a\nb'", RunLine("echo 'a\nb'")),
        ("'run' df -h", RunLine("df -h")),
        ("ping -a", PingHosts(Targets(everything=True))),
        ("ping -g web -f 2 -t 1 --connect-timeout 3 --json", PingHosts(WEB, 2, 1.0, 3.0, True)),
        ("use -g web -x web1", UseTargets(Targets((), ("web",), ("web1",)))),
        ("use", UseTargets(Targets())),
        ("use --clear", UseTargets(Targets(), clear=True)),
        ("hosts", ListHosts(Targets())),
        ("hosts web* @db -x db1 -h h1", ListHosts(Targets(("h1", "web*", "@db"), (), ("db1",)))),
        ("hosts 'h1, h2' --json", ListHosts(Targets(("h1, h2",)), json=True)),
        ("groups --json", ListGroups(json=True)),
        ("show h1", ShowName("h1")),
        ("set", ChangeSetting()),
        ("set timeout", ChangeSetting("timeout")),
        ("set fanout 12", ChangeSetting("fanout", 12, True)),
        ("set timeout 1.5", ChangeSetting("timeout", 1.5, True)),
        ("set timeout off", ChangeSetting("timeout", None, True)),
        ("set connect_timeout 3 --json", ChangeSetting("connect_timeout", 3.0, True, True)),
        ("set idle_timeout 1800", ChangeSetting("idle_timeout", 1800.0, True)),
        ("set idle_timeout off", ChangeSetting("idle_timeout", None, True)),
        ("connections", ListConnections(Targets())),
        ("connections web* -g db -x db1 --json", ListConnections(Targets(("web*",), ("db",), ("db1",)), json=True)),
        ("disconnect", Disconnect(Targets())),
        ("disconnect h1,h2", Disconnect(Targets(("h1,h2",)))),
        ("disconnect -a -x db1", Disconnect(Targets((), (), ("db1",), True))),
        ("set gather on", ChangeSetting("gather", True, True)),
        ("set color off", ChangeSetting("color", False, True)),
        ("set color auto", ChangeSetting("color", None, True)),
        ("reload", Reload()),
        ("inventory --json", ShowInventory(json=True)),
        ("history", ShowHistory()),
        ("history 20", ShowHistory(20)),
        ("help", ShowHelp()),
        ("help batch_run", ShowHelp("batch_run")),
        ("help !", ShowHelp("!")),
        ("help quit", ShowHelp("exit")),
        ("exit", Exit()),
        ("quit", Exit()),
        ("!ls -l | wc", LocalCommand("ls -l | wc")),
        (" ! date ", LocalCommand("date")),
        ("!echo it\\'s # isn't it", LocalCommand("echo it\\'s # isn't it")),
        ("batch_run -h", ShowHelp("batch_run")),
        ("batch_run --help", ShowHelp("batch_run")),
        ("batch_run -g web --help", ShowHelp("batch_run")),
        ("hosts -h", ShowHelp("hosts")),
        ("show -h", ShowHelp("show")),
        ("run -h", ShowHelp("run")),
        ("run --help", ShowHelp("run")),
        ("", None),
        (" \t\r\n", None),
        ("# batch_run -g web -cmd reboot", None),
        ("#!/usr/bin/env hostshell", None),
    ],
)
def test_a_line_means_what_the_contract_says(line: str, meaning: Invocation | None) -> None:
    assert parse_line(line) == meaning


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        (["batch_run", "-g", "web", "-cmd", "df -h | sort"], BatchRun(WEB, "df -h | sort")),
        (["batch_run", "-g", "web", "-cmd", "it's"], BatchRun(WEB, "it's")),
        (["batch_run", "-g", "web", "-cmd", "echo \\"], BatchRun(WEB, "echo \\")),
        (["run", "df", "-h"], RunLine("df -h")),
        (["run", "echo 'a  b' | wc"], RunLine("echo 'a  b' | wc")),
        (["run", "-h"], ShowHelp("run")),
        (["!ls", "-l"], LocalCommand("ls -l")),
        (["!", "ls", "-l"], LocalCommand("ls -l")),
        (["show", "two words"], ShowName("two words")),
        ([], None),
    ],
)
def test_words_that_a_shell_has_split_mean_the_same(words: list[str], meaning: Invocation | None) -> None:
    assert parse_words(words) == meaning


@given(st.text(alphabet="ab \t\n\r\"'\\#é\u00a0", max_size=20))
def test_words_are_those_of_shlex(line: str) -> None:
    words, open_end = scan(line)
    try:
        expected = shlex.split(line, comments=False, posix=True)
    except ValueError:
        assert open_end
        return
    assert not open_end
    assert [word.text for word in words] == expected
    assert [shlex.split(line[word.start : word.end]) for word in words] == [[text] for text in expected]


@given(st.text())
def test_a_quoted_word_is_one_word_again(text: str) -> None:
    words, open_end = scan(quote(text))
    assert ([word.text for word in words], open_end) == ([text], "")


@given(st.text(max_size=60))
def test_any_line_means_something_or_is_refused_in_words(line: str) -> None:
    try:
        parse_line(line)
    except UsageError as error:
        assert error.message
        assert error.exit_code == 2


_VOCABULARY = st.sampled_from(
    [
        "batch_run",
        "batch_scp",
        "run",
        "ping",
        "use",
        "hosts",
        "groups",
        "show",
        "set",
        "history",
        "help",
        "exit",
        "!",
        "-h",
        "-g",
        "-x",
        "-a",
        "-cmd",
        "--cmd=df",
        "-f",
        "-t",
        "-b",
        "-N",
        "-q",
        "--json",
        "--rc",
        "max",
        "--clear",
        "--outdir",
        "-action",
        "put",
        "get",
        "-local",
        "-remote",
        "--connect-timeout",
        "--help",
        "--",
        "-",
        "=",
        "#",
        "web",
        "h[1-2]",
        "@db",
        "h1,h2",
        "/tmp",
        "5",
        "0.5",
        "fanout",
        "timeout",
        "off",
        "'a b'",
        '"',
        "\\",
        "\x1b[2J",
    ]
)
_LINES = st.lists(_VOCABULARY | st.text(max_size=3), max_size=9).map(" ".join)


@settings(deadline=None)
@given(_LINES)
def test_any_words_of_the_language_mean_something_or_are_refused_in_a_short_sentence(line: str) -> None:
    try:
        meaning = parse_line(line)
    except UsageError as error:
        assert error.message
        assert len(error.message) < 200 + len(line)
        return
    if meaning is None:
        assert line.startswith("#") or not line.strip()


@settings(deadline=None)
@given(_LINES)
def test_a_line_that_means_something_means_the_same_as_it_is_rendered(line: str) -> None:
    try:
        meaning = parse_line(line)
    except UsageError:
        return
    if meaning is not None:
        again = render(meaning)
        assert parse_line(again) == meaning
        assert render(meaning) == again


@settings(deadline=None)
@given(st.lists(_VOCABULARY | st.text(max_size=5), max_size=8))
def test_any_words_that_a_shell_has_split_mean_something_or_are_refused(words: list[str]) -> None:
    try:
        found = parse_words(words)
    except UsageError as error:
        assert error.message
        return
    assert (found is None) == (words == [])


@given(st.text(alphabet="ab \n'\"\\#$", min_size=1, max_size=20).filter(lambda text: text.strip()))
def test_a_quoted_command_in_several_lines_is_put_together_again(command: str) -> None:
    first, *rest = f"batch_run -g web -cmd {quote(command)}".split("\n")
    for line in rest:
        with pytest.raises(Unfinished):
            parse_line(first)
        # inside quotes a backslash at the end belongs to the text
        first = join_lines(first, line)
    assert parse_line(first) == BatchRun(WEB, command)


_WORD = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() and "\0" not in text)
_PATH = _WORD.filter(lambda text: text[0] != "-" and ":" not in text)
_NAME = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
_LISTS = st.lists(_NAME, max_size=2).map(tuple)
_TARGETS = st.builds(Targets, _LISTS, _LISTS, _LISTS, st.just(False))
_SECONDS = st.none() | st.integers(1, 10**6).map(float) | st.floats(0.001, 10**6)


@given(
    st.builds(BatchRun, _TARGETS, _WORD, st.none() | st.integers(1, 10_000), _SECONDS, _SECONDS, st.booleans())
    | st.builds(
        BatchRun,
        _TARGETS,
        _WORD,
        no_prefix=st.booleans(),
        quiet=st.booleans(),
        rc=st.sampled_from([None, "max"]),
        outdir=st.none() | _WORD,
        errdir=st.none() | _WORD,
    )
    | st.builds(PingHosts, _TARGETS, quiet=st.booleans())
    | st.builds(BatchScp, _TARGETS, st.sampled_from(["put", "get"]), _WORD, _WORD, st.booleans(), st.booleans())
    | st.builds(PutWords, _TARGETS, st.just("put"), _PATH, _PATH, st.booleans(), st.booleans())
    | st.builds(GetWords, _TARGETS, st.just("get"), _PATH, _PATH, st.booleans(), st.booleans())
    | st.builds(UseTargets, _TARGETS)
    | st.builds(ListHosts, _TARGETS)
)
def test_what_a_line_means_can_be_written_as_a_line_again(invocation: Invocation) -> None:
    # --help is a word of its own wherever it stands, and a document's quotes are refused
    line = render(invocation)
    if "--help" not in line and line.isascii():
        assert parse_line(line) == invocation


@pytest.mark.parametrize(
    "line",
    [
        "run echo 'a  b'",
        "!ls -l",
        "set timeout 0.5",
        "set timeout off",
        "set color auto",
        "set gather on",
        "set gather",
        "history 5",
        "help batch_run",
        "show h1",
        "use --clear",
        "ping -a --connect-timeout 3 --json",
        "exit",
        "batch_run -g web --cmd=-b",
        "batch_run -h h1 -g web -x h2 -cmd 'echo $HOME' -f 5 -t 10 -b",
    ],
)
def test_a_line_in_its_plain_form_is_rendered_as_it_was(line: str) -> None:
    meaning = parse_line(line)
    assert meaning is not None
    assert render(meaning) == line


# --- lines that go on ---


@pytest.mark.parametrize(
    ("first", "second", "meaning"),
    [
        ("batch_run -g web -cmd 'a", "b'", BatchRun(WEB, "a\nb")),
        ('batch_run -g web -cmd "a \\', '# b"', BatchRun(WEB, "a \\\n# b")),
        ("batch_run -g web \\", "-cmd uptime", BatchRun(WEB, "uptime")),
        ("run awk '{", "print $1}'", RunLine("awk '{\nprint $1}'")),
        ("run echo a \\", "b", RunLine("echo a b")),
        ("!echo 'a", "b'", LocalCommand("echo 'a\nb'")),
    ],
)
def test_an_open_quote_or_a_backslash_goes_on_in_the_next_line(first: str, second: str, meaning: Invocation) -> None:
    with pytest.raises(Unfinished):
        parse_line(first)
    assert parse_line(join_lines(first, second)) == meaning


def test_a_line_that_never_ends_is_a_usage_error_that_survives_pickling() -> None:
    error = refused("batch_run -cmd 'a")
    assert isinstance(error, Unfinished)
    assert "'" in error.message
    copy = pickle.loads(pickle.dumps(error))  # our own bytes
    assert (type(copy), str(copy)) == (Unfinished, str(error))


# --- errors ---


@pytest.mark.parametrize(
    ("line", "says", "hint"),
    [
        ("batchrun -g web -cmd x", "batchrun", "batch_run?"),
        ("Batch_Run -g web -cmd x", "Batch_Run", "batch_run?"),
        ("scp a b", "scp", "batch_scp?"),
        ("upload a b", "upload", "put?"),
        ("put", "put needs two paths", "put LOCAL... REMOTE"),
        ("put -g web", "put needs two paths", "put LOCAL... REMOTE"),
        ("put 'a b' -g web", "put needs two paths", 'it is: put "a b" ~/ -g web'),
        ("get /etc/hosts", "get needs two paths", "it is: get /etc/hosts ./"),
        ("put a ''", "an empty path", "~/"),
        ("put a web1:/tmp/ --parents", "in the path web1:/tmp/", "put a /tmp/ --parents -h web1"),
        ("get root@web1:~/x ./", "in the path root@web1:~/x", "get ~/x ./ -h root@web1"),
        ("put -r a b", "no such option: -r", "a directory is copied with all that is in it"),
        ("batch_scp -g web -action put -r -local a -remote b", "-r", "a directory is copied with all"),
        ("get -remote a -local b", "-remote", "get REMOTE... LOCAL"),
        ("ls -l", "no such command: ls", "`help`"),
        ("  # not a comment", "#", "first character"),
        ("'hosts web1'", "hosts web1", "-c"),
        ("help batchrun", "batchrun", "batch_run?"),
        ("batch_run -g web -command uptime", "-command", "-cmd?"),
        ("batch_run -g web --command uptime", "--command", "--cmd?"),
        ("batch_run -g web --become o -cmd uptime", "--become", "help batch_run"),
        ("batch_run -g web --grops x -cmd uptime", "--grops", "--groups?"),
        ("batch_run -g web --time 5 -cmd uptime", "--time", "--timeout?"),
        ("batch_scp -g web -f5 -action put -local a -remote b", "-f5", "-f 5?"),
        ("batch_run -g web -cmd=uptime", "=", "-cmd uptime, or --cmd=uptime"),
        ("batch_run -g web --json=yes -cmd x", "--json takes no value", "--json"),
        ("batch_run -g web --rc min -cmd x", "--rc needs max, not min", ""),
        ("batch_run -g web --rc", "--rc needs max", ""),
        ("batch_run -g web --outdir -q -cmd x", "--outdir needs a local path", "--outdir=-q"),
        ("ping -a -N", "no such option: -N", ""),
        ("batch_run -g web -f 0 -cmd x", "-f needs a number from 1 to 10000, not 0", ""),
        ("batch_run -g web -f 10001 -cmd x", "-f needs", ""),
        ("batch_run -g web -f -1 -cmd x", "-f needs", ""),
        ("batch_run -g web -f 1_0 -cmd x", "-f needs", ""),
        ("batch_run -g web -f 2.5 -cmd x", "-f needs", ""),
        ("batch_run -g web -f ٣ -cmd x", "-f needs", ""),
        ("batch_run -g web -t 0 -cmd x", "-t needs a number of seconds above 0", ""),
        ("batch_run -g web -t nan -cmd x", "-t needs", ""),
        ("batch_run -g web -t inf -cmd x", "-t needs", ""),
        ("batch_run -g web -t -5 -cmd x", "-t needs", ""),
        (f"batch_run -g web -t {'9' * 500} -cmd x", "-t needs", ""),
        ("ping -a --connect-timeout 5s", "--connect-timeout needs", ""),
        ("batch_run -g web", "needs -cmd", "batch_run -g web -cmd COMMAND"),
        ("batch_run", "needs -cmd", ""),
        ("batch_run -g web -cmd", "-cmd needs a command", ""),
        ("batch_run -g web -cmd ''", "-cmd needs a command", ""),
        ("batch_run -g web --cmd=", "--cmd needs a command", ""),
        ("batch_run -g web -cmd ' '", "-cmd needs a command", ""),
        ("batch_run -g web -cmd -b", "-cmd needs a command", "--cmd=-b"),
        ("batch_run -g web -cmd 'a\0b'", "NUL", ""),
        ("batch_run -h -g web -cmd x", "-h needs a host list", ""),
        ("batch_run -h '' -cmd x", "-h needs a host list", ""),
        ("batch_run -h --json -cmd x", "-h needs a host list", ""),
        ("batch_run -h /tmp -cmd 'df -h'", "-h needs a host list, not /tmp", ""),
        ("batch_run -g", "-g needs a group list", ""),
        ("batch_run -g web -b --gather -cmd x", "-b / --gather is given twice", "-x and --env may be repeated"),
        ("batch_run -g web -cmd 'a b' -cmd c", "given twice", ""),
        ("batch_run -g web -f 1 --fanout 2 -cmd x", "given twice", ""),
        ("batch_scp -g web -action putt -local a -remote b", "put or get", "put?"),
        ("batch_scp -g web -local a -remote b", "needs -action", "-action put|get"),
        ("batch_scp -g web -action put -remote b", "needs -local", "-local PATH"),
        ("batch_scp -g web -action put -local a", "needs -remote", "-remote PATH"),
        ("batch_scp -g web -action put -local '' -remote b", "-local needs a local path", ""),
        ("use --clear -g web", "--clear", "alone"),
        ("show", "show needs the name", "show h1"),
        ("show a b", "the word b", "show NAME"),
        ("reload now", "the word now", "reload"),
        ("quit now", "the word now", "exit"),
        ("set tiemout 5", "tiemout", "timeout?"),
        ("set connect-timeout 5", "connect-timeout", "connect_timeout?"),
        ("set fanout 0", "1 to 10000", ""),
        ("set timeout -5", "above 0, or off", ""),
        ("set gather maybe", "on or off", ""),
        ("set color always", "auto or on or off", ""),
        ("history x", "no number", "history 20"),
        ("history 0", "no number", ""),
        ("run", "run needs a command", "run df"),
        ("run a\0b", "NUL", ""),
        ("!", "! needs a command", "!ls"),
        ("'!'", "! needs a command", "!ls"),
    ],
)
def test_a_wrong_line_is_refused_with_what_to_do(line: str, says: str, hint: str) -> None:
    error = refused(line)
    assert says in error.message
    assert hint in error.hint
    assert error.exit_code == 2
    assert len(str(error).splitlines()) <= 2


def test_an_error_shows_no_control_character_and_no_endless_word() -> None:
    error = refused("batch\x1b]0;x\x07" + "y" * 10_000)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 300


def test_a_megabyte_is_one_value() -> None:
    text = "x" * 1_000_000
    assert parse_line(f"batch_run -g web -cmd {text}") == BatchRun(WEB, text)


def test_a_very_long_wrong_line_is_refused_without_guessing() -> None:
    assert "did you mean" not in refused("batch_run -g web -cmd " + "ls -l " * 10_000).hint


# --- the line as it was probably meant ---


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("batch_run -g web -cmd df -h", 'batch_run -g web -cmd "df -h"'),
        ("batch_run -cmd df -h -g web", 'batch_run -cmd "df -h" -g web'),
        ("batch_run -cmd df /tmp -g web", 'batch_run -cmd "df /tmp" -g web'),
        ("batch_run -cmd df -h / -g web", 'batch_run -cmd "df -h /" -g web'),
        ("batch_run -cmd df -h /tmp web -g x", 'batch_run -cmd "df -h /tmp web" -g x'),
        ("batch_run -g web -cmd ls -l", 'batch_run -g web -cmd "ls -l"'),
        ("batch_run -g web -cmd rm -rf /tmp/x -f 5", 'batch_run -g web -cmd "rm -rf /tmp/x" -f 5'),
        ("batch_run -g web -cmd tail -n 5 -f log", 'batch_run -g web -cmd "tail -n 5 -f log"'),
        ("batch_run -g web -cmd uname -a", 'batch_run -g web -cmd "uname -a"'),
        ("batch_run -cmd uname -a -g web", 'batch_run -cmd "uname -a" -g web'),
        ("batch_run -g web -cmd grep 'a  b' f", "batch_run -g web -cmd \"grep 'a  b' f\""),
        ('batch_run -g web -cmd grep "a b" f', "batch_run -g web -cmd 'grep \"a b\" f'"),
        ("batch_run -g web -cmd echo $HOME x", "batch_run -g web -cmd 'echo $HOME x'"),
        ("batch_run -g web -cmd ls -l /tmp", 'batch_run -g web -cmd "ls -l /tmp"'),
        ("batch_run -h h1 --script check.sh -v", "batch_run -h h1 --script check.sh -- -v"),
        ("batch_run --script a.sh b -v 'c d' -g web", 'batch_run --script a.sh b -g web -- -v "c d"'),
        ("batch_run -g web --script=a.sh --verbose -t 5 x", "batch_run -g web --script=a.sh -t 5 -- --verbose x"),
        ("batch_run -g web --script a.sh -v -t no -f", "batch_run -g web --script a.sh -- -v -t no -f"),
        ("batch_run -g web df -h", 'batch_run -g web -cmd "df -h"'),
        ("batch_run -g web uptime", "batch_run -g web -cmd uptime"),
        ("batch_run web01 -cmd uptime", "batch_run -h web01 -cmd uptime"),
        ("batch_run web01 -cmd df -h", 'batch_run -h web01 -cmd "df -h"'),
        ("batch_run -cmd 'df -h' web01", "batch_run -cmd 'df -h' -h web01"),
        ("batch_run -h h1, h2 -cmd uptime", "batch_run -h h1,h2 -cmd uptime"),
        ("batch_run -h h1 , h2 -cmd uptime", "batch_run -h h1,h2 -cmd uptime"),
        ("batch_run -h h1 h2 h3 -cmd uptime", "batch_run -h h1,h2,h3 -cmd uptime"),
        ("batch_run -h h1, h2 -cmd df -h", 'batch_run -h h1,h2 -cmd "df -h"'),
        ("batch_run -g web db -cmd uptime", "batch_run -g web,db -cmd uptime"),
        ("batch_scp -g web -action put -local my file -remote /tmp/",
         'batch_scp -g web -action put -local "my file" -remote /tmp/'),
        ("batch_scp -g web put a /tmp/", "batch_scp -g web -action put -local a -remote /tmp/"),
        ("batch_scp -g web -action get /etc/hosts out/", "batch_scp -g web -action get -remote /etc/hosts -local out/"),
        ("batch_run -g web -cmd “df -h”", 'batch_run -g web -cmd "df -h"'),
        ("batch_run -g web -cmd “uptime”", 'batch_run -g web -cmd "uptime"'),
        ("batch_run -g web -cmd ‘df -h’", "batch_run -g web -cmd 'df -h'"),
        ("batch_run -g web -cmd “it's”", 'batch_run -g web -cmd "it\'s"'),
        ("batch_run –g web –cmd uptime", "batch_run -g web -cmd uptime"),
        ("batch_run –g web —timeout 5 –cmd df –h", 'batch_run -g web --timeout 5 -cmd "df -h"'),
        ("ｂａｔｃｈ_run －ｇ web -cmd uptime", "batch_run -g web -cmd uptime"),
        ("batch_run\u00a0-g web -cmd uptime", "batch_run -g web -cmd uptime"),
    ],
)  # fmt: skip
def test_a_stray_word_shows_the_line_as_it_was_probably_meant(line: str, meant: str) -> None:
    assert suggestion(line) == meant
    assert parse_line(meant) is not None


def test_a_command_without_quotes_is_blamed_and_not_what_looks_like_an_option_of_ours() -> None:
    for line in ("batch_run -g web -cmd df -h", "batch_run -cmd ps -ef -g web", "batch_run -h h1 -cmd ls -l /tmp"):
        assert refused(line).message.startswith("batch_run: after -cmd a command of several words stands in quotes: ")


def test_a_mistyped_option_behind_a_script_may_be_ours_or_the_scripts() -> None:
    error = refused("batch_run -g web --script a.sh --fanot 3")
    assert error.message == "batch_run: no such option: --fanot; the script's own go after --"
    assert error.hint.splitlines() == ["did you mean --fanout?", "or: batch_run -g web --script a.sh -- --fanot 3"]
    assert parse_line(error.hint.partition("or: ")[2]) is not None


def test_typographic_characters_are_named_as_the_reason() -> None:
    assert "document" in refused("batch_run -g web -cmd “df -h”").message


@settings(deadline=None)  # no test asserts a time
@given(st.lists(st.sampled_from(["-h", "-g", "-a", "-cmd", "-f", "df", "-l", "h1,", "web", "/tmp", '"a b"', "“x"])))
@example(["“x", "“x", "-cmd", "“x", "-h"])
def test_whatever_is_suggested_is_a_right_line(words: list[str]) -> None:
    try:
        parse_line(" ".join(["batch_run", *words]))
    except Unfinished:
        pass
    except UsageError as error:
        if error.hint.startswith("did you mean: "):
            assert parse_line(error.hint.removeprefix("did you mean: ")) is not None


def test_a_mistake_made_in_a_local_shell_is_shown_as_well() -> None:
    with pytest.raises(UsageError) as caught:
        parse_words(["batch_run", "-g", "web", "-cmd", "grep", "a b", "file"])
    assert caught.value.hint == "did you mean: batch_run -g web -cmd 'grep \"a b\" file'"


# --- the table ---


def test_no_name_stands_for_two_things() -> None:
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))
    for command in COMMANDS:
        options = command.option_names()
        assert len(options) == len(set(options)), command.name


def test_every_form_shows_what_is_required() -> None:
    for command in COMMANDS:
        for option in command.options:
            if option.required:
                assert f" {option.names[0]} {option.metavar}" in command.form


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ping -a -p 0", "ping: -p needs a port, 1 to 65535, not 0"),
        ("ping -a -p 65536", "ping: -p needs a port, 1 to 65535, not 65536"),
        ("ping -a -p2222", "ping: no such option: -p2222"),
        ("ping -a --user=-oX", "ping: --user: -oX is no user's name: it starts with `-`"),
        ("ping -a -l 'a b'", 'ping: -l: "a b" is no user\'s name: it holds a blank'),
        ("ping -a -l a -l b", "ping: -l / --user is given twice"),
    ],
)
def test_users_and_ports_that_cannot_be_are_errors(line: str, message: str) -> None:
    assert refused(line).message == message


@pytest.mark.parametrize("line", ["run -b id", "run -t 1 sleep 5", "run --json df"])
def test_run_takes_no_options_and_says_what_does(line: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_line(line)
    assert "batch_run" in caught.value.hint


@pytest.mark.parametrize("verb", ["use", "ping"])
def test_a_bare_target_is_told_both_ways_to_name_it(verb: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_line(f"{verb} web")
    assert caught.value.hint == "a host is named with -h web, a group with -g web"


def test_a_comment_behind_a_command_is_told_where_comments_begin() -> None:
    with pytest.raises(UsageError) as caught:
        parse_line("use -g web  # the web")
    assert caught.value.hint == "# begins a comment only as the first character of a line"


# --- connect ---


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("connect h1", ConnectHost("h1")),
        ("connect root@10.0.0.5:2222", ConnectHost("root@10.0.0.5:2222")),
        ("connect -l root -p 22 h1 id -l", ConnectHost("h1", "id -l", user="root", port=22)),
        ("connect h1 top -b", ConnectHost("h1", "top -b")),
        ("connect --connect-timeout 3 h1 ls --help", ConnectHost("h1", "ls --help", 3.0)),
        ("connect h1 'cd /tmp; exec bash'", ConnectHost("h1", "cd /tmp; exec bash")),
        ("connect h1 ''", ConnectHost("h1")),
        ("connect --help", ShowHelp("connect")),
    ],
)
def test_all_that_follows_the_host_of_connect_is_its_command(line: str, meant: object) -> None:
    found = parse_line(line)
    assert found == meant
    assert found is not None
    if not isinstance(found, ShowHelp):
        assert parse_line(render(found)) == found


@pytest.mark.parametrize(
    ("line", "says", "hint"),
    [
        ("connect --tty h1", "no such option: --tty", "`help connect` lists its options"),
        ("connect h1 --tty", "no such option: --tty", "`help connect` lists its options"),
        ("connect -g web", "no such option: -g", "it takes one host, without an option: connect h1"),
        ("connect h1 -g web", "no such option: -g", "it takes one host, without an option: connect h1"),
        ("connect h1 --usr root", "no such option: --usr", "did you mean --user? options stand before the host"),
        ("connect h1 -l root", "-l is none", "options stand before the host: connect -l … h1"),
        ("connect h1 -k", "-k is none", "options stand before the host: connect -k h1"),
        ("connect h1 -- ls -l", "-- is none", "it stands there without --: connect h1 ls -l"),
    ],
)
def test_an_option_behind_the_host_of_connect_is_told_to_be_none_or_to_move(line: str, says: str, hint: str) -> None:
    error = refused(line)
    assert says in error.message
    assert error.hint == hint


@pytest.mark.parametrize(
    "line", ["connect", "connect -h h1", "connect h1 -l root", "connect ''", "connect --connect-timeout h1"]
)
def test_connect_needs_a_host(line: str) -> None:
    with pytest.raises(UsageError, match=r"connect"):
        parse_line(line)


def test_the_sources_of_a_copy_may_be_repeated_and_patterns_too() -> None:
    line = "batch_scp -g web -action put -local a -local 'b c' -remote d/ --exclude-files *.pyc --exclude-files tmp/"
    asked = parse_line(line)
    assert isinstance(asked, BatchScp)
    assert (asked.local, asked.also, asked.remote) == ("a", ("b c",), "d/")
    assert asked.exclude_files == ("*.pyc", "tmp/")
    assert parse_line(render(asked)) == asked
    asked = parse_line("get /a '/var/log/*.log' out/ -h h1 --verify --dry-run --backup --sync --force --follow")
    assert isinstance(asked, BatchScp)
    assert (asked.remote, asked.also, asked.local) == ("/a", ("/var/log/*.log",), "out/")
    assert asked.verify and asked.dry_run and asked.backup and asked.sync and asked.force and asked.follow
    assert parse_line(render(asked)) == asked


@pytest.mark.parametrize(("action", "twice", "once"), [("put", "-remote", "-local"), ("get", "-local", "-remote")])
def test_the_place_of_a_copy_may_not_be_repeated(action: str, twice: str, once: str) -> None:
    error = refused(f"batch_scp -g web -action {action} {once} a {twice} b {twice} c")
    assert "given twice" in error.message
    assert f"{once} may be repeated" in error.hint


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("batch_run web -cmd date", "batch_run -g web -cmd date"),
        ("batch_run web,db -cmd date", "batch_run -g web,db -cmd date"),
        ("batch_run web db -cmd date", "batch_run -g web,db -cmd date"),
        ("batch_run -g web db -cmd date", "batch_run -g web,db -cmd date"),
        ("batch_run h1 -cmd date", "batch_run -h h1 -cmd date"),
        ("batch_run h1,web -cmd date", "batch_run -h h1,@web -cmd date"),
        ("batch_run -h h1 web -cmd date", "batch_run -h h1,@web -cmd date"),
        ("batch_run web h1 -cmd date", "batch_run -g web -h h1 -cmd date"),
        ("batch_run web -cmd df -h", 'batch_run -g web -cmd "df -h"'),
        ("batch_run “web” -cmd date", 'batch_run -g "web" -cmd date'),
    ],
)
def test_a_group_without_its_option_is_meant_as_a_group(line: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_line(line, {"web", "db"}.__contains__)
    assert caught.value.hint == f"did you mean: {meant}"


def test_a_variable_without_a_value_is_told_so_once() -> None:
    error = refused("batch_run -g web -cmd x --env A")
    assert str(error) == "batch_run: --env needs a variable and its value, as in LANG=C"
    assert refused("batch_run -g web -cmd x --env 1A=b").hint == "letters, digits and _, as in LANG=C"
