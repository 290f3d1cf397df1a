"""What a command prints, to screen, JSON and files: no byte is lost, no name is forged, and nothing is obeyed."""

from __future__ import annotations

import base64
import io
import json
import re
import tempfile
import unicodedata
from pathlib import Path

import jsonschema
import pyte
from hypothesis import example, given
from hypothesis import strategies as st

from hostshell.core.clean import clean, decode
from hostshell.core.events import EXIT_CODES, Block, Event, Failure, Finished, Progress, Started, Status, Summary
from hostshell.core.lines import LineCutter
from hostshell.core.names import fold
from hostshell.core.recent import STATUS_GROUPS, LastCommand
from hostshell.core.turns import Note
from hostshell.shell.gather import Gatherer
from hostshell.shell.outdir import MOST_OPEN, OutputFiles
from hostshell.shell.render import Gathered, Json, Live
from hostshell.shell.screen import Screen
from tests.fuzz.effort import effort

HOSTS = ("web01", "web02", "db1")
_TRICKS = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b"web01: forged\n",
        b"\rweb02: forged",
        b"\x1b[2J",
        b"\x1b[1;1Hweb01: x",
        b"\x1b[8m",
        b"\x1b[0m",
        b"\x1b]0;t\x07",
        b"\x9b31m",
        b"\xc2\x9b2J",
        b"\xc2\x85web01: x",
        b"\xe2\x80\xa8web01: x",
        b"\xe2\x80\xae",
        b"\x0b",
        b"\x0c",
        b"\x1b[38;5;8m",
        b"\x1b[7m",
        b"\x1b[1;4;9m",
        b"\x1b[38;5",
        b"\x1b[4:3m",
        b"\xff",
        b"\xe2\x82",
        b"\x00",
        b"\x08\x08\x08",
        b"\x1bM",
        b"\x1bc",
        b"\x1b[" + b"1;" * 40 + b"m",
        b"\x1b(0",
        b"\x0e",
        b"\x1b7\x1b8",
        b"\x1b[s\x1b[u",
        b"\x1b[?25l",
        b"\x1bP+q\x1b\\",
        b"\x1b_G\x1b\\",
        "漢字́".encode(),
    ]
)
PRINTED = st.lists(
    _TRICKS | st.binary(max_size=6) | st.text(max_size=4).map(lambda text: text.encode()), max_size=8
).map(b"".join)
STREAMS = st.sampled_from(["stdout", "stderr"])
SAID = st.lists(st.tuples(st.sampled_from(HOSTS), STREAMS, PRINTED), max_size=10)


def blocks(said: list[tuple[str, str, bytes]]) -> list[Block]:
    """What the engine makes of pieces of output as they arrive, host by host and stream by stream."""
    cutters: dict[tuple[str, str], LineCutter] = {}
    found = []
    for host, stream, data in said:
        cutter = cutters.setdefault((host, stream), LineCutter())
        found += [Block(1, host, stream, raw, eol) for raw, eol in cutter.feed(data)]
    for (host, stream), cutter in cutters.items():
        found += [Block(1, host, stream, raw, eol) for raw, eol in cutter.end()]
    return found


def printed_lines(said: list[tuple[str, str, bytes]], host: str, stream: str) -> list[bytes]:
    whole = b"".join(data for name, where, data in said if (name, where) == (host, stream))
    found = re.split(rb"\r\n|\r|\n", whole)
    return found[:-1] if not found[-1] else found


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(view: type[Live], events: list[Event], *, colour: bool) -> tuple[str, str]:
    out, err = (_Terminal() if colour else io.StringIO() for _ in range(2))
    screen = Screen(out, err, colour=colour, environ={"TERM": "xterm"} if colour else {})
    view_of = view(screen)
    for event in events:
        view_of.show(event)
    return out.getvalue(), err.getvalue()


_SGR = re.compile(r"\x1b\[[0-9;:]*m")


# drawn and taken away by ourselves: rows, then back up to the first of them
_STATUS_ROWS = re.compile(r"\r\x1b\[J(?:((?:[^\r\n\x1b]*\r\n)*[^\r\n\x1b]*)\r(?:\x1b\[([0-9]+)A)?)?")


def _without_status_line(text: str) -> str:
    def rows(found: re.Match[str]) -> str:
        texts = (found[1] or "").split("\r\n")
        assert len(texts) - 1 == int(found[2] or 0)  # or what is written next would not stand in their place
        return "\n".join(texts)

    return _STATUS_ROWS.sub(rows, text)


def harmless(text: str) -> None:
    """Nothing in ``text`` but lines, tabs, colours and what can be seen."""
    for char in _SGR.sub("", text):
        assert char in "\t\n" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp"), repr(char)
        assert char not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@effort(80)
@given(SAID)
def test_each_line_stands_under_the_name_of_the_host_that_printed_it(said: list[tuple[str, str, bytes]]) -> None:
    out, err = shown(Live, [Started(1, "x", HOSTS), *blocks(said)], colour=False)
    for text, stream in ((out, "stdout"), (err, "stderr")):
        harmless(text)
        rows = text.split("\n")
        assert rows.pop() == ""
        for host in HOSTS:
            ours = [row for row in rows if row.startswith(f"{host}: ")]
            assert len(ours) == len(printed_lines(said, host, stream))
        assert all(row.startswith(tuple(f"{host}: " for host in HOSTS)) for row in rows)


@effort(60)
@given(SAID)
@example([("db1", "stdout", b"\x1b[1;1Hweb01: x\x1b[2Jy\n\rweb02: z")])
def test_on_a_terminal_each_row_begins_with_the_name_of_the_host_that_printed_it(
    said: list[tuple[str, str, bytes]],
) -> None:
    only_out = [(host, "stdout", data) for host, _, data in said]
    out, _ = shown(Live, [Started(1, "x", HOSTS), *blocks(only_out)], colour=True)
    harmless(out)
    wanted = [(host, len(printed_lines(only_out, host, "stdout"))) for host in HOSTS]
    terminal = pyte.Screen(2000, max(1, sum(count for _, count in wanted)) + 1)
    pyte.Stream(terminal).feed(out.replace("\n", "\r\n"))
    rows = [row.rstrip() for row in terminal.display]
    for host, count in wanted:
        assert sum(row.startswith(f"{host}:") for row in rows) == count
    for row in filter(None, rows):
        assert row.startswith(tuple(f"{host}:" for host in HOSTS))
    for number, row in enumerate(rows):
        if row:  # a colour of one line must not reach into the next one's name
            assert terminal.buffer[number][0].fg != "default"
            assert not terminal.buffer[number][0].reverse and not terminal.buffer[number][0].strikethrough


@effort(60)
@given(SAID, st.integers(0, 3))
def test_every_line_of_json_is_an_object_that_keeps_the_bytes(said: list[tuple[str, str, bytes]], split: int) -> None:
    out = io.StringIO()
    view = Json(Screen(out, io.StringIO(), colour=False, environ={}))
    for event in blocks(said):
        view.show(event)
    schema = json.loads((Path(__file__).parents[2] / "docs" / "events.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert out.getvalue().isascii()
    found: dict[tuple[str, str], list[bytes]] = {}
    for line in out.getvalue().splitlines():
        event = json.loads(line)
        validator.validate(event)
        raw = base64.b64decode(event["data_base64"]) if "data_base64" in event else event["data"].encode("utf-8")
        found.setdefault((event["host"], event["stream"]), []).append(raw)
    for host in HOSTS:
        for stream in ("stdout", "stderr"):
            assert found.get((host, stream), []) == printed_lines(said, host, stream)


ANY_TEXT = st.text(st.characters(), max_size=12)  # lone surrogates too
STATUSES: list[Status] = list(EXIT_CODES)


@effort(60)
@given(
    st.lists(
        st.builds(
            Finished,
            st.just(1),
            st.sampled_from(HOSTS),
            st.sampled_from(STATUSES),
            st.none() | st.integers(0, 2**32 - 1),
            st.none() | ANY_TEXT,
            st.floats(0, 1e6),
            st.none() | st.builds(Failure, st.sampled_from(["exit", "lost", "auth"]), ANY_TEXT, ANY_TEXT),
            st.booleans(),
        )
        | st.builds(
            Progress, st.just(1), st.sampled_from(HOSTS), ANY_TEXT, st.integers(0, 2**64), st.integers(0, 2**70)
        )
        | st.builds(Note, st.sampled_from(HOSTS), ANY_TEXT),
        max_size=6,
    ),
    st.booleans(),
)
def test_errors_notes_paths_and_signals_of_a_host_are_shown_and_never_obeyed(
    events: list[Event | Note], colour: bool
) -> None:
    everything = [Started(1, "x", HOSTS), *events, Summary(1, failed=1, seconds=1.0)]
    for view in (Live, Gathered):
        for text in shown(view, everything, colour=colour):
            harmless(_without_status_line(text))
            text.encode("utf-8")
    for text in shown(Json, everything, colour=colour):
        harmless(_without_status_line(text))
        text.encode("utf-8")


@effort(60)
@given(SAID, st.booleans())
def test_gathered_outputs_are_one_when_their_lines_are_the_same_and_only_then(
    said: list[tuple[str, str, bytes]], again: bool
) -> None:
    if again:
        said = said + [("db1", stream, data) for host, stream, data in said if host == "web01"]
    gatherer = Gatherer()
    for block in blocks(said):
        gatherer.add(block)
    for stream in ("stdout", "stderr"):
        seen = []
        for hosts, pieces in gatherer.groups(stream):
            text = b"".join(pieces)
            seen += hosts
            for host in hosts:
                assert text == b"".join(line + b"\n" for line in printed_lines(said, host, stream))
        outputs = {host: printed_lines(said, host, stream) for host in HOSTS}
        assert sorted(seen) == sorted(host for host in HOSTS if outputs[host])
        groups = [set(hosts) for hosts, _ in gatherer.groups(stream)]
        for one in seen:
            for other in seen:
                together = any({one, other} <= group for group in groups)
                assert together == (outputs[one] == outputs[other])
    gatherer.close()


@effort(60)
@given(SAID)
def test_a_gathered_view_names_each_host_once_above_what_it_printed(said: list[tuple[str, str, bytes]]) -> None:
    ended: list[Event] = [Finished(1, host, "ok", 0) for host in HOSTS]
    out, err = shown(Gathered, [Started(1, "x", HOSTS), *blocks(said), *ended, Summary(1, ok=3)], colour=False)
    harmless(out + err)
    outputs: dict[tuple[bytes, ...], list[str]] = {}
    for host in HOSTS:
        if lines := printed_lines(said, host, "stdout"):
            outputs.setdefault(tuple(lines), []).append(host)
    rows = out.splitlines()
    for lines, hosts in outputs.items():
        heading = rows.index(f"{fold(hosts)} ({len(hosts)})")
        assert rows[heading + 2 : heading + 2 + len(lines)] == [clean(decode(line)) for line in lines]
    assert len(rows) == sum(3 + len(lines) for lines in outputs)


@effort(60)
@given(st.lists(st.tuples(st.integers(0, MOST_OPEN + 20), STREAMS, PRINTED), max_size=20))
def test_files_hold_each_hosts_own_bytes_as_they_came(said: list[tuple[int, str, bytes]]) -> None:
    names = sorted({f"h{number}" for number, _, _ in said})
    with tempfile.TemporaryDirectory() as folder:
        with OutputFiles(f"{folder}/out", f"{folder}/err", names) as files:
            for number, stream, data in said:
                files.write(f"h{number}", stream, data)
        for stream, directory in (("stdout", "out"), ("stderr", "err")):
            assert sorted(path.name for path in Path(folder, directory).iterdir()) == names
            for name in names:
                wanted = b"".join(data for number, where, data in said if (f"h{number}", where) == (name, stream))
                assert Path(folder, directory, name).read_bytes() == wanted


@effort(60)
@given(
    st.lists(st.sampled_from(HOSTS), max_size=3, unique=True),
    st.lists(st.tuples(st.sampled_from(HOSTS), st.sampled_from(STATUSES)), max_size=6),
)
def test_every_host_of_the_last_command_is_in_one_group_of_its_end(
    hosts: list[str], ends: list[tuple[str, Status]]
) -> None:
    last = LastCommand()
    last.watch(Started(1, "before", HOSTS))
    for host in HOSTS:
        last.watch(Finished(1, host, "lost"))
    last.watch(Started(2, "x", tuple(hosts)))
    for host, status in ends:
        last.watch(Finished(2, host, status))
    latest = dict(ends)
    for host in hosts:
        assert host in last.hosts(latest.get(host, "cancelled"))
    found = [host for status in STATUS_GROUPS for host in last.hosts(status)]
    assert sorted(found) == sorted(hosts)
    assert sum(last.counts().values()) == len(hosts)
