"""Views over a saved stream of events: what a person and a program see of the same run."""

from __future__ import annotations

import io
import json

import pytest

from hostshell.core.events import (
    Block,
    CopyCounts,
    Event,
    Failure,
    Finished,
    Planned,
    Progress,
    Started,
    Summary,
)
from hostshell.core.outcome import Tally
from hostshell.core.turns import Note
from hostshell.shell.gather import PIECE, Gatherer
from hostshell.shell.progress import Flow, ProgressLine, size
from hostshell.shell.render import Gathered, Json, Live
from hostshell.shell.screen import OutputClosed, OutputFailed, Screen
from hostshell.shell.summary import duration

BY_TIME = "size and time"
RUN: list[Event | Note] = [
    Started(1, "df", ("web1", "web2", "web3", "db1", "db2")),
    Block(1, "web1", "stdout", b"same\n"),
    Block(1, "web2", "stdout", b"same\n"),
    Block(1, "web3", "stdout", b"other\nunfinished", eol=False),
    Block(1, "web3", "stderr", b"warning: \x1b]0;evil\x07\n"),
    Finished(1, "web1", "ok", 0, seconds=0.1),
    Finished(1, "web2", "ok", 0, seconds=0.1),
    Finished(1, "web3", "failed", 1, seconds=0.1, error=Failure("exit", "exit code 1")),
    Note("web1", "left out /dev/x"),
    Finished(1, "db1", "unreachable", error=Failure("refused", "connection refused (port 22)", "is sshd running?")),
    Finished(1, "db2", "unreachable", error=Failure("refused", "connection refused (port 22)", "is sshd running?")),
    Summary(1, ok=2, failed=1, unreachable=2, seconds=0.5, exit_code=4),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(view_class: type, *, terminal: bool = False, **options: str) -> tuple[str, str]:
    kind = Terminal if terminal else io.StringIO
    out, err = kind(), kind()
    view = view_class(Screen(out, err, environ={"TERM": "xterm"}), **options)
    for event in RUN:
        view.show(event)
    return out.getvalue(), err.getvalue()


def test_live_lines_stand_under_their_hosts_name_and_only_standard_output_goes_there() -> None:
    out, err = play(Live)
    assert out == "web1: same\nweb2: same\nweb3: other\nweb3: unfinished\n"
    assert err.startswith("web3: warning: ^[]0;evil^G\n")


def test_the_summary_counts_and_folds_the_hosts_that_failed_alike_with_reason_and_hint() -> None:
    _, err = play(Live)
    assert "2 ok, 1 failed, 2 unreachable in 0.50 s\n" in err
    assert "  failed web3: exit code 1\n" in err
    assert "  unreachable db[1-2]: connection refused (port 22)\n    is sshd running?\n" in err
    assert "  note: web1: left out /dev/x\n" in err


def test_hosts_that_failed_alike_share_a_line_and_each_keeps_what_is_said_to_it_alone() -> None:
    err = io.StringIO()
    view = Live(Screen(io.StringIO(), err))
    view.show(Started(1, "put", ("a1", "a2", "b")))
    for host, hint in (("a1", "only ~a can be written"), ("a2", "only ~a can be written"), ("b", "only ~b can")):
        view.show(Finished(1, host, "failed", error=Failure("transfer", "no permission", hint)))
    view.show(Summary(1, failed=3))
    assert err.getvalue().splitlines()[1:] == [
        "  failed a[1-2],b: no permission",
        "    a[1-2]: only ~a can be written",
        "    b: only ~b can",
    ]


def test_of_many_different_hints_a_few_are_shown() -> None:
    err = io.StringIO()
    view = Live(Screen(io.StringIO(), err))
    for number in range(100):
        view.show(Finished(1, f"h{number}", "failed", error=Failure("transfer", "no", f"hint {number}")))
    view.show(Summary(1, failed=100))
    assert err.getvalue().splitlines()[1:3] == ["  failed h[0-99]: no", "    h0: hint 0"]
    assert err.getvalue().endswith("    h4: hint 4\n    and for 95 hosts in other words, which --json has\n")


def test_names_are_coloured_on_a_terminal_and_plain_in_a_pipe() -> None:
    out, _ = play(Live, terminal=True)
    assert "\x1b[" in out
    assert "\x1b" not in "".join(play(Live))


def test_no_color_is_honoured() -> None:
    out, err = Terminal(), Terminal()
    view = Live(Screen(out, err, environ={"TERM": "xterm", "NO_COLOR": "1"}))
    for event in RUN:
        view.show(event)
    assert "\x1b[3" not in out.getvalue() + err.getvalue()


def test_gathered_shows_identical_outputs_once_under_folded_names() -> None:
    out, err = play(Gathered)
    rule = "-" * 15
    assert out == f"{rule}\nweb[1-2] (2)\n{rule}\nsame\n{rule}\nweb3 (1)\n{rule}\nother\nunfinished\n"
    assert "warning" in err


def test_gathered_output_that_differs_only_at_the_end_is_not_folded() -> None:
    out = io.StringIO()
    view = Gathered(Screen(out, io.StringIO()))
    view.show(Started(1, "x", ("a", "b")))
    view.show(Block(1, "a", "stdout", b"1\n"))
    view.show(Block(1, "b", "stdout", b"1\n"))
    view.show(Block(1, "b", "stdout", b"2\n"))
    view.show(Summary(1, ok=2))
    assert out.getvalue().count("(1)") == 2


def test_json_is_one_object_a_line_with_the_fields_of_the_contract() -> None:
    out, _ = play(Json)
    found = [json.loads(line) for line in out.splitlines()]
    assert [item["event"] for item in found][:2] == ["started", "output"]
    assert found[1] == {"event": "output", "job": 1, "host": "web1", "stream": "stdout", "data": "same"}
    unfinished = [item for item in found if item.get("eol") is False]
    assert [item["data"] for item in unfinished] == ["unfinished"]
    assert found[-1]["exit_code"] == 4
    failed = next(item for item in found if item["event"] == "finished" and item["host"] == "db1")
    assert failed["error"] == {
        "kind": "refused",
        "message": "connection refused (port 22)",
        "hint": "is sshd running?",
    }


def test_json_keeps_bytes_that_are_not_text() -> None:
    out = io.StringIO()
    Json(Screen(out, io.StringIO())).show(Block(1, "a", "stdout", b"caf\xe9\n"))
    assert json.loads(out.getvalue())["data_base64"] == "Y2Fm6Q=="


def test_a_status_line_is_taken_away_before_anything_else_is_written() -> None:
    err = Terminal()
    screen = Screen(io.StringIO(), err, environ={"TERM": "xterm"})
    screen.status("working")
    screen.err("line\n")
    assert err.getvalue() == "\r\x1b[Jworking\r\r\x1b[Jline\n"


def test_no_status_line_is_drawn_into_a_pipe() -> None:
    err = io.StringIO()
    Screen(io.StringIO(), err).status("working")
    assert err.getvalue() == ""


def test_progress_says_bytes_rate_time_left_and_hosts() -> None:
    now = [0.0]
    line = ProgressLine(Screen(io.StringIO(), io.StringIO()), ("a", "b"), clock=lambda: now[0])
    now[0] = 2.0
    line.moved(Progress(1, "a", "big.bin", 20_000_000, 50_000_000))
    assert line.text() == "20.0 MB of 100.0 MB, 20%, 10.0 MB/s, 8.00 s left, 0 of 2 hosts  big.bin"


def test_with_few_hosts_each_has_a_bar_above_the_sum() -> None:
    now = [0.0]
    line = ProgressLine(Screen(io.StringIO(), io.StringIO()), ("a", "web01"), clock=lambda: now[0])
    now[0] = 2.0
    line.moved(Progress(1, "web01", "dir/\x1b]0;big.bin", 20_000_000, 50_000_000))
    waits = "a     [....................]"
    assert line.rows(79, 24) == [
        waits,
        "web01 [########............]  40%, 20.0 MB, 10.0 MB/s  dir/^[]0;big.bin",
        "20.0 MB of 100.0 MB, 20%, 10.0 MB/s, 8.00 s left, 0 of 2 hosts",
    ]
    assert len(line.rows(79, 8)) == 1  # of a low terminal more is left to what hosts say
    assert len(line.rows(39, 24)) == 1
    line.host_done("web01")
    assert line.rows(79, 24)[:-1] == [waits.replace("a    ", "a")]


def test_what_was_there_already_counts_as_done_and_not_for_the_rate() -> None:
    now = [0.0]
    line = ProgressLine(Screen(io.StringIO(), io.StringIO()), ("a",), clock=lambda: now[0])
    now[0] = 2.0
    line.moved(Progress(1, "a", "x", 60_000_000, 100_000_000, saved=40_000_000))
    assert line.rows(79, 24) == [
        "a [############........]  60%, 60.0 MB, 10.0 MB/s  x",
        "60.0 MB of 100.0 MB, 60%, 10.0 MB/s, 4.00 s left, 0 of 1 hosts",
    ]


def test_while_all_that_have_begun_compare_the_line_says_so() -> None:
    now = [0.0]
    line = ProgressLine(Screen(io.StringIO(), io.StringIO()), ("a", "b"), clock=lambda: now[0])
    line.moved(Progress(1, "a", "big.bin", 0, 50_000_000, comparing=50_000_000))
    assert line.text() == "comparing 50.0 MB, 0 of 2 hosts  big.bin"
    assert line.text(20) == "comparing, 0 of 2 hosts"
    assert line.rows(79, 24)[0] == "a [....................]   0%, 0 B, comparing 50.0 MB  big.bin"
    line.moved(Progress(1, "b", "big.bin", 10_000_000, 50_000_000))
    assert line.text() == "10.0 MB of 100.0 MB, 10%, 0 of 2 hosts, 1 comparing  big.bin"
    line.host_done("b")
    assert line.text() == "comparing 50.0 MB, 1 of 2 hosts  big.bin"
    line.moved(Progress(1, "a", "big.bin", 50_000_000, 50_000_000))
    assert "comparing" not in line.text()


def test_a_comparison_is_drawn_at_once_because_nothing_may_follow_for_long() -> None:
    now = [1.0]
    err = Terminal()
    line = ProgressLine(Screen(io.StringIO(), err, environ={"TERM": "xterm"}), ("a", "b"), clock=lambda: now[0])
    line.moved(Progress(1, "b", "x", 1, 2))
    line.moved(Progress(1, "a", "x", 0, 2, comparing=2_000))
    assert "comparing 2.0 kB" in err.getvalue()


def test_the_time_of_a_comparison_does_not_count_for_the_rate() -> None:
    now = [0.0]
    line = ProgressLine(Screen(io.StringIO(), io.StringIO()), ("a",), clock=lambda: now[0])
    line.moved(Progress(1, "a", "x", 0, 100_000_000, comparing=40_000_000))
    now[0] = 4.0
    line.moved(Progress(1, "a", "x", 42_000_000, 100_000_000, saved=40_000_000))
    assert line.text() == "42.0 MB of 100.0 MB, 42%, 0 of 1 hosts  x"
    now[0] = 5.0
    line.moved(Progress(1, "a", "x", 62_000_000, 100_000_000, saved=40_000_000))
    assert line.rows(79, 24) == [
        "a [############........]  62%, 62.0 MB, 20.0 MB/s  x",
        "62.0 MB of 100.0 MB, 62%, 20.0 MB/s, 1.90 s left, 0 of 1 hosts",
    ]


def test_many_hosts_have_the_sum_alone() -> None:
    line = ProgressLine(Screen(io.StringIO(), io.StringIO()), ("a", "b", "c", "d", "e"))
    line.moved(Progress(1, "a", "x", 1, 2))
    assert len(line.rows(79, 60)) == 1


def test_the_rate_is_that_of_the_last_seconds() -> None:
    flow = Flow(0.0)
    for second in range(1, 11):
        flow.add(second, second * 100)
    flow.add(15.0, 1000)
    assert flow.rate(15.0) == 0
    assert Flow(0.0).rate(0.1) == 0


def test_bars_are_drawn_again_below_the_line_of_a_host_that_has_ended() -> None:
    err = Terminal()
    view = Live(Screen(io.StringIO(), err, environ={"TERM": "xterm"}), each="sent")
    view.show(Started(1, "put", ("a", "b")))
    view.show(Progress(1, "a", "x", 1, 2))
    view.show(Progress(1, "b", "x", 1, 2))
    view.show(Finished(1, "a", "ok"))
    after = err.getvalue().partition("sent")[2]
    assert "b [####" in after
    assert "1 of 2 hosts" in after
    assert "a [" not in after


@pytest.mark.parametrize(
    ("copied", "line", "sum_of_it"),
    [
        (CopyCounts(2, 2_000), "sent 2 files, 2.0 kB", "2 files, 2.0 kB"),
        (
            CopyCounts(1, 5, 3, 900, ("sha256sum",), landed="/x"),
            "sent 1 file, 5 B -> /x",
            "1 file, 5 B; 3 unchanged by sha256sum, 900 B saved",
        ),
        (
            CopyCounts(0, 0, 3, 900, ("sha256sum",), landed="~/x"),
            "unchanged: ~/x",
            "3 unchanged by sha256sum, 900 B saved",
        ),
        (
            CopyCounts(0, 0, 3, 900, (BY_TIME,), links=1),
            "sent 1 link",
            "1 link; 3 unchanged by size and time, 900 B saved",
        ),
        (CopyCounts(directories=1), "sent 1 new directory", "1 new directory"),
        (CopyCounts(), "unchanged", ""),
        (
            CopyCounts(planned=Planned(3, 0, 12), landed="\x1b[2J"),
            "would copy 3 files -> ^[[2J",
            "would copy 3 files, 12 B",
        ),
        (CopyCounts(planned=Planned(0, 1, 12)), "would replace 1 file", "would replace 1 file, 12 B"),
        (
            CopyCounts(0, 0, 2, 7, ("sha256sum",), planned=Planned(1, 2, 12)),
            "would copy 1 file, replace 2",
            "would copy 1 file, replace 2, 12 B; 2 unchanged by sha256sum, 7 B saved",
        ),
        (CopyCounts(planned=Planned()), "would change nothing", ""),
    ],
)
def test_the_line_of_a_hosts_copy_and_its_summary_say_what_became_of_it(
    copied: CopyCounts, line: str, sum_of_it: str
) -> None:
    err = io.StringIO()
    view = Live(Screen(io.StringIO(), err), each="sent")
    tally = Tally()
    finished = Finished(1, "a", "ok", seconds=0.04, copied=copied)
    tally.add(finished)
    for event in (Started(1, "put", ("a",)), finished, tally.summary(1, 0.05)):
        view.show(event)
    found = err.getvalue().splitlines()
    assert found == [f"a: {line} (0.04 s)", "1 ok in 0.05 s", *([f"  {sum_of_it}"] if sum_of_it else [])]


def test_the_counts_of_several_hosts_are_one_and_a_plan_among_them_is_kept() -> None:
    one = CopyCounts(1, 10, 2, 20, ("sha256sum",), links=1, directories=2, landed="/x")
    two = CopyCounts(0, 0, 1, 5, ("shasum",), planned=Planned(1, 2, 3))
    both = CopyCounts(1, 10, 3, 25, ("sha256sum", "shasum"), 1, 2, Planned(1, 2, 3))
    assert one + two == two + one == both
    assert (one + one).planned is None


def test_json_has_every_progress_event_and_a_pipe_has_nothing_of_it() -> None:
    out, err = io.StringIO(), io.StringIO()
    for view in (Json(Screen(out, err)), Live(Screen(io.StringIO(), err))):
        view.show(Started(1, "put", ("a",)))
        view.show(Progress(1, "a", "x", 1, 2))
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["started", "progress"]
    assert err.getvalue() == ""


def test_a_reader_that_has_gone_is_told_apart_from_other_errors() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(OutputClosed):
        Screen(Gone(), io.StringIO()).out("x")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.314, "0.31 s"), (12.4, "12 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")]
)
def test_durations_read_as_a_person_says_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_sizes_read_as_a_person_says_them() -> None:
    assert [size(n) for n in (0, 999, 1500, 2_500_000, 3_000_000_000)] == ["0 B", "999 B", "1.5 kB", "2.5 MB", "3.0 GB"]


def test_a_large_gathered_output_is_read_back_in_small_pieces_of_whole_lines() -> None:
    gatherer = Gatherer()
    line = b"x" * 99 + b"\n"
    for _ in range(100):
        gatherer.add(Block(1, "a", "stdout", line * 1000))
    (hosts, pieces), *more = gatherer.groups("stdout")
    found = list(pieces)
    assert (hosts, more) == (["a"], [])
    assert b"".join(found) == line * 100_000
    assert max(map(len, found)) <= PIECE + len(line)
    assert all(piece.endswith(b"\n") for piece in found)
    gatherer.close()


def test_after_a_cancel_only_the_beginning_of_a_gathered_output_is_shown() -> None:
    out, err = io.StringIO(), io.StringIO()
    view = Gathered(Screen(out, err))
    view.show(Started(1, "yes", ("a",)))
    for _ in range(100):
        view.show(Block(1, "a", "stdout", b"y\n" * 50_000))
    view.show(Finished(1, "a", "cancelled", error=Failure("cancelled", "cancelled")))
    view.show(Summary(1, cancelled=1, exit_code=130))
    assert len(out.getvalue()) < 2_000_000
    assert "the rest of what a printed is left out" in err.getvalue()
    assert "1 cancelled in" in err.getvalue()


def test_what_may_still_run_is_named_beside_json_too() -> None:
    out, err = io.StringIO(), io.StringIO()
    Json(Screen(out, err)).show(Finished(1, "a", "cancelled", may_still_run=True))
    assert err.getvalue() == "may still run on a\n"


def test_a_full_disk_is_told_apart_from_a_reader_that_has_gone() -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputFailed, match="no space left on device"):
        Screen(Full(), io.StringIO()).out("x")
