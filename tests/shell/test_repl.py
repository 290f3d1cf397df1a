"""The prompt over a pipe: what is typed, pasted and interrupted, and that nothing ends it but leaving."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyte
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.application.current import set_app
from prompt_toolkit.data_structures import Size
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output

from hostshell.core.targets import Targets
from hostshell.session import Session
from hostshell.shell.history import open_history
from hostshell.shell.repl import Repl, shown
from hostshell.shell.screen import Screen

PATIENCE = 10.0  # seconds for something to be drawn; far more than it takes
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")
ENTER = "\r"
CTRL_A, CTRL_C, CTRL_D, CTRL_R, RIGHT, TAB, UP = "\x01", "\x03", "\x04", "\x12", "\x1b[C", "\t", "\x1b[A"
INVENTORY = """\
[host:h1]
[host:h2]
[group:web_clusters]
hosts = web[01-12]
[group:db_servers]
hosts = db[01-02]
"""


def paste(text: str) -> str:
    """``text`` as a terminal sends a paste: with CR for every newline."""
    return "\x1b[200~" + text.replace("\n", "\r") + "\x1b[201~"


@dataclass
class Sitting:
    """What one prompt did with what was typed."""

    code: int
    out: str
    err: str
    session: Session
    history: list[str] = field(default_factory=list)


Type = Callable[..., Sitting]


@pytest.fixture
def session(tmp_path: Path, clean_home: Path) -> Iterator[Session]:
    path = tmp_path / "hosts.ini"
    path.write_text(INVENTORY)
    made = Session(str(path))
    with contextlib.closing(made):
        yield made


@pytest.fixture
def sit(session: Session) -> Type:
    """Type texts at a prompt and then leave with Ctrl-D: what came of it."""

    def type_at_prompt(*texts: str, leave: str = CTRL_D, **more: Any) -> Sitting:
        out, err = io.StringIO(), io.StringIO()
        history = more.pop("history", None) or InMemoryHistory()
        with create_pipe_input() as pipe:
            for text in (*texts, leave):
                pipe.send_text(text)
            repl = Repl(
                session, Screen(out, err, environ={}), input=pipe, output=DummyOutput(), history=history, **more
            )
            code = repl.loop()
        return Sitting(code, out.getvalue(), err.getvalue(), session, list(history.get_strings()))

    return type_at_prompt


class Drawn(io.StringIO):
    """A terminal of 120 columns on which prompt_toolkit draws, and somebody who looks at the line of its cursor."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._terminal = pyte.Screen(120, 24)
        self._stream = pyte.Stream(self._terminal)

    def write(self, text: str) -> int:
        with self._changed:
            self._stream.feed(text)
            self._changed.notify_all()
            return super().write(text)

    def line(self) -> str:
        return self._terminal.display[self._terminal.cursor.y].rstrip()

    def wait_for(self, line: str) -> None:
        """Wait until the line of the cursor is ``line``."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.line() == line, PATIENCE), (
                f"{line!r} never came: {self.line()!r}"
            )


def watched(session: Session, *steps: tuple[str, str], history: History | None = None) -> str:
    """Type each text as soon as the line that the one before it makes is there; what came on standard output."""
    out, drawn = io.StringIO(), Drawn()
    output = Vt100_Output(drawn, lambda: Size(rows=24, columns=120), term="xterm", enable_cpr=False)
    trouble: list[BaseException] = []

    def type_steps() -> None:
        try:
            drawn.wait_for("hostshell>")
            for text, expected in steps:
                pipe.send_text(text)
                drawn.wait_for(f"hostshell> {expected}".rstrip())
        except BaseException as error:
            trouble.append(error)
        finally:
            pipe.send_text(CTRL_C + CTRL_D)

    with create_pipe_input() as pipe, create_app_session(input=pipe, output=output):
        screen = Screen(out, io.StringIO(), environ={})
        repl = Repl(session, screen, input=pipe, output=output, history=history or InMemoryHistory())
        typist = threading.Thread(target=type_steps)
        typist.start()
        repl.loop()
        typist.join()
    if trouble:
        raise trouble[0]
    return out.getvalue()


def screen_of(session: Session, *lines: str) -> str:
    """What is drawn while ``lines`` are typed, without the control sequences."""
    drawn = Drawn()
    output = Vt100_Output(drawn, lambda: Size(rows=24, columns=120), term="xterm", enable_cpr=False)
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=output):
        for line in (*lines, CTRL_D):
            pipe.send_text(line)
        screen = Screen(io.StringIO(), io.StringIO(), environ={})
        Repl(session, screen, input=pipe, output=output, history=InMemoryHistory()).loop()
    return _CONTROL.sub("", drawn.getvalue())


# --- signals ---


def test_an_interrupt_that_comes_when_the_line_is_over_does_no_harm(session: Session) -> None:
    """The library hands it on later than it came; what it then raised would be printed by the event loop."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        screen = Screen(io.StringIO(), io.StringIO(), environ={})
        app = Repl(session, screen, input=pipe, output=DummyOutput(), history=InMemoryHistory())._prompt.app

        async def late() -> None:
            with set_app(app):
                app.key_processor.send_sigint()
            app.key_processor.send_sigint()

        asyncio.run(late())


# --- lines ---


def test_lines_run_in_their_order(sit: Type) -> None:
    done = sit("set fanout 3\r", "set fanout 4\r", "use -h h1\r")
    assert done.out == "fanout is 3\nfanout is 4\n-h h1  (1 host: h1)\n"
    assert (done.code, done.err) == (0, "")


def test_lines_that_were_typed_ahead_in_one_go_are_all_run(sit: Type) -> None:
    assert sit("set fanout 3\rset fanout 4\rset fanout 5\r").out == "fanout is 3\nfanout is 4\nfanout is 5\n"


def test_what_fails_is_said_and_the_prompt_goes_on(sit: Type) -> None:
    done = sit("batch_rum -a\r", "batch_run -h nope -cmd x\r", "batch_run -a\r", "set fanout 3\r")
    assert done.err.count("error: ") == 3
    assert "did you mean batch_run?" in done.err
    assert done.out == "fanout is 3\n"
    assert done.code == 0


def test_a_fault_of_ours_in_one_line_does_not_end_the_prompt(sit: Type, session: Session) -> None:
    session.inventory = None  # as if something of ours were broken
    done = sit("hosts\r", "groups\r", "set fanout 3\r")
    assert done.err.count("error: hostshell itself failed: ") == 2
    assert "Traceback" not in done.err
    assert done.out == "fanout is 3\n"


def test_an_interrupt_while_a_line_runs_does_not_end_the_prompt(sit: Type) -> None:
    done = sit("!kill -INT $PPID\r", "set fanout 3\r")
    assert done.out.endswith("fanout is 3\n")


@pytest.mark.parametrize("line", ["", "   ", "# batch_run -a -cmd x"])
def test_blank_lines_and_comments_do_nothing(sit: Type, line: str) -> None:
    done = sit(line + ENTER, "set fanout 3\r")
    assert (done.out, done.err) == ("fanout is 3\n", "")


def test_json_at_the_prompt_is_one_object_a_line(sit: Type) -> None:
    assert sit("set fanout 3\r", json=True).out == (
        '{"event": "result", "command": "set fanout 3", "data": {"fanout": 3}}\n'
    )


# --- leaving ---


@pytest.mark.parametrize("word", ["exit", "quit", "  exit "])
def test_exit_leaves_with_0_and_runs_nothing_more(sit: Type, word: str) -> None:
    done = sit("nonsense\r", f"{word}\r", "set fanout 3\r")
    assert (done.code, done.out) == (0, "")


def test_ctrl_d_leaves_with_0_whatever_the_lines_did(sit: Type) -> None:
    assert sit("nonsense\r", "!exit 3\r").code == 0


def test_ctrl_d_in_a_line_does_not_leave(sit: Type) -> None:
    assert sit("set fanout 3", CTRL_D, ENTER).out == "fanout is 3\n"


# --- Ctrl-C ---


def test_ctrl_c_clears_the_line_and_never_leaves(sit: Type) -> None:
    done = sit("set fanout 9", CTRL_C, CTRL_C, CTRL_C, "set fanout 3\r")
    assert (done.out, done.err) == ("fanout is 3\n", "")


def test_ctrl_c_drops_an_unfinished_quote(sit: Type) -> None:
    done = sit("batch_run -h h1 -cmd 'one\r", "two", CTRL_C, "set fanout 3\r")
    assert (done.out, done.err) == ("fanout is 3\n", "")


# --- lines that go on ---


def test_an_open_quote_goes_on_in_the_next_line(sit: Type) -> None:
    done = sit("!printf '%s-' 'a\r", "b' >&2; true 'c\r", "d'\r", "show 'h\r", "1'\r")
    assert done.err.count("error: ") == 1  # that name has a newline in it
    assert "h^J1" in done.err


def test_a_backslash_at_the_end_joins_the_next_line(sit: Type) -> None:
    assert sit("set fan\\\r", "out 3\r").out == "fanout is 3\n"


def test_the_second_part_of_a_line_is_asked_for_with_another_question(session: Session) -> None:
    seen = screen_of(session, "set \\\r", "fanout 3\r")
    assert "> fanout" in seen.replace("hostshell> ", "")


# --- pastes ---


def test_three_pasted_lines_are_three_commands(sit: Type) -> None:
    done = sit(paste("set fanout 3\nset fanout 4\nuse -h h1\n"))
    assert done.out == "fanout is 3\nfanout is 4\n-h h1  (1 host: h1)\n"


def test_an_unfinished_fourth_line_stays_to_be_edited(sit: Type) -> None:
    done = sit(paste("set fanout 3\nset fanout 4\nset fanout 5\nset fanout"), " 6", ENTER)
    assert done.out == "fanout is 3\nfanout is 4\nfanout is 5\nfanout is 6\n"


def test_an_unfinished_fourth_line_is_not_run_by_itself(sit: Type) -> None:
    done = sit(paste("set fanout 3\nset fanout 4\nset fanout 5\nset fanout 6"), CTRL_C)
    assert done.out == "fanout is 3\nfanout is 4\nfanout is 5\n"


def test_a_paste_without_a_newline_is_only_inserted(sit: Type) -> None:
    assert sit("set ", paste("fanout"), " 3\r").out == "fanout is 3\n"
    assert sit("set ", paste("fanout 3"), CTRL_C).out == ""


def test_a_paste_in_the_middle_of_a_line_keeps_what_stands_on_both_sides(sit: Type) -> None:
    done = sit("set  3", "\x1b[D\x1b[D", paste("fanout"), ENTER)
    assert done.out == "fanout is 3\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_kind_of_newline_ends_a_pasted_line(sit: Type, newline: str) -> None:
    done = sit("\x1b[200~" + newline.join(["set fanout 3", "set fanout 4", ""]) + "\x1b[201~")
    assert done.out == "fanout is 3\nfanout is 4\n"


def test_pasted_lines_are_shown_as_if_they_had_been_typed(sit: Type) -> None:
    done = sit(paste("use -h h1\nset fanout 4\n"))
    assert "hostshell h1 (1)> set fanout 4\n" in done.err


def test_an_open_quote_in_a_paste_goes_on_in_its_next_line(sit: Type) -> None:
    done = sit(paste("show 'h\n1'\nset fanout 4\n"))
    assert done.err.count("error: ") == 1
    assert done.out == "fanout is 4\n"


def test_an_error_in_a_paste_does_not_stop_what_follows(sit: Type) -> None:
    done = sit(paste("nonsense\nset fanout 4\n"))
    assert "no such command: nonsense" in done.err
    assert done.out == "fanout is 4\n"


def test_exit_in_a_paste_leaves(sit: Type) -> None:
    done = sit(paste("set fanout 3\nexit\nset fanout 4\n"), leave="")
    assert (done.code, done.out) == (0, "fanout is 3\n")


def test_control_characters_of_a_paste_do_not_reach_the_terminal(sit: Type) -> None:
    assert "\x1b]0;" not in sit(paste("set fanout 3\n# \x1b]0;evil\x07\nset fanout 4\n")).err


def test_pasted_lines_enter_the_history(sit: Type) -> None:
    assert sit(paste("set fanout 3\nset fanout 4\n")).history == ["set fanout 3", "set fanout 4"]


# --- history ---


def test_what_was_typed_before_can_be_called_again(session: Session) -> None:
    out = watched(
        session,
        ("set fanout 3", "set fanout 3"),
        (ENTER, ""),
        ("set fanout 4", "set fanout 4"),
        (ENTER, ""),
        (UP + UP, "set fanout 3"),
        (ENTER, ""),
    )
    assert out == "fanout is 3\nfanout is 4\nfanout is 3\n"


def test_what_was_typed_in_an_earlier_launch_can_be_called_again(sit: Type, session: Session) -> None:
    sit("set fanout 3\r", history=open_history(session.secrets))
    out = watched(session, (UP, "set fanout 3"), (ENTER, ""), history=open_history(session.secrets))
    assert out == "fanout is 3\n"


def test_a_command_of_several_lines_is_one_entry_and_can_be_called_again(sit: Type, session: Session) -> None:
    history = open_history(session.secrets)
    done = sit("!echo 'one\r", "two' >/dev/null\r", "set \\\r", "fanout 3\r", history=history)
    assert done.history == ["!echo 'one\ntwo' >/dev/null", "set fanout 3"]
    assert sit(UP + UP + ENTER, history=history).history[-1] == "!echo 'one\ntwo' >/dev/null"


def test_a_blank_before_the_first_line_keeps_the_others_out_too(sit: Type, session: Session) -> None:
    done = sit(" !true 'one\r", "two'\r", "set fanout 3\r", history=open_history(session.secrets))
    assert done.history == ["set fanout 3"]


def test_a_line_that_was_given_up_is_not_remembered(sit: Type, session: Session) -> None:
    done = sit("!true 'one\r", "two\r", "\x03", "set fanout 3\r", history=open_history(session.secrets))
    assert done.history == ["set fanout 3"]


def test_ctrl_r_searches_backwards(session: Session) -> None:
    out = watched(
        session,
        ("set fanout 3", "set fanout 3"),
        (ENTER, ""),
        ("set timeout 4", "set timeout 4"),
        (ENTER, ""),
        (CTRL_R + "fan" + ENTER, "set fanout 3"),
        (ENTER, ""),
    )
    assert out == "fanout is 3\ntimeout is 4\nfanout is 3\n"


def test_what_was_typed_before_is_suggested_while_typing(session: Session) -> None:
    out = watched(
        session, ("set fanout 3", "set fanout 3"), (ENTER, ""), ("set f", "set fanout 3"), (RIGHT + ENTER, "")
    )
    assert out == "fanout is 3\nfanout is 3\n"


def test_the_verb_history_lists_them(sit: Type) -> None:
    assert sit("set fanout 3\r", "history\r").out == "fanout is 3\n    1  set fanout 3\n    2  history\n"


def test_lines_with_a_leading_blank_and_secrets_stay_out(sit: Type, session: Session, tmp_path: Path) -> None:
    path = tmp_path / "hosts.ini"
    path.chmod(0o600)
    path.write_text(INVENTORY + "[host:db03]\npassword = s3cret;#100%\n")
    session.reload()
    done = sit(
        " set fanout 3\r",
        "!true 's3cret;#100%'\r",
        paste(" set fanout 5\n!true 's3cret;#100%'\nset fanout 6\n"),
        "set fanout 4\r",
        history=open_history(session.secrets),
    )
    assert done.history == ["set fanout 6", "set fanout 4"]


# --- Tab ---


def test_tab_completes_a_unique_command_and_option_with_a_blank(session: Session) -> None:
    out = watched(
        session, ("hos", "hos"), (TAB, "hosts"), ("h1 --js", "hosts h1 --js"), (TAB, "hosts h1 --json"), (ENTER, "")
    )
    assert out.startswith('{"event": "result", "command": "hosts')


# --- the question ---


def test_the_question_shows_the_default_targets_and_how_many_hosts_they_are(session: Session) -> None:
    seen = screen_of(session, "use -g web_clusters\r", "use --clear\r")
    assert seen.index("hostshell> ") < seen.index("hostshell web_clusters (12)> ") < seen.rindex("hostshell> ")


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ("use -g web_clusters,db_servers", "hostshell web_clusters,db_servers (14)> "),
        ("use -g web_clusters -x web01,web02", "hostshell web_clusters!web01,web02 (10)> "),
        ("use -a", "hostshell all (16)> "),
        ("use -h h1,root@10.0.0.5", "hostshell h1,root@10.0.0.5 (2)> "),
        ("use -h @db_servers", "hostshell @db_servers (2)> "),
        (
            "use -h web01,web02,web03,web04,web05,web06,web07,web08",
            "hostshell web01,web02,web03,web04,web05,web06,web… (8)> ",
        ),
    ],
)
def test_the_question_says_what_is_set(session: Session, line: str, question: str) -> None:
    assert question in screen_of(session, f"{line}\r")


def test_default_targets_that_are_gone_after_a_reload_are_no_hosts_and_no_error(
    session: Session, tmp_path: Path
) -> None:
    session.defaults = Targets(groups=("web_clusters",))
    (tmp_path / "hosts.ini").write_text("[host:h1]\n")
    assert "hostshell web_clusters (0)> " in screen_of(session, "reload\r")


def test_control_characters_do_not_get_into_the_question() -> None:
    assert "\x1b" not in shown(Targets(hosts=("\x1b]0;evil\x07",)))


def test_a_hint_stands_above_the_first_question(session: Session) -> None:
    err = io.StringIO()
    with create_pipe_input() as pipe:
        pipe.send_text(CTRL_D)
        screen = Screen(io.StringIO(), err, environ={})
        Repl(session, screen, input=pipe, output=DummyOutput(), history=InMemoryHistory()).loop("try this")
    assert err.getvalue() == "try this\n"


def test_a_line_that_is_interrupted_before_it_has_begun_is_not_run(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = io.StringIO(), io.StringIO()
    with create_pipe_input() as pipe:
        repl = Repl(session, Screen(out, err, environ={}), input=pipe, output=DummyOutput(), history=InMemoryHistory())
        entered: list[str] = []

        def remember(text: str) -> None:
            entered.append(text)
            if len(entered) == 1:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(repl, "_remember", remember)
        pipe.send_text(f"set fanout 3{ENTER}set fanout 4{ENTER}{CTRL_D}")
        assert repl.loop() == 0
    assert entered == ["set fanout 3", "set fanout 4"]
    assert "fanout is 3" not in out.getvalue() + err.getvalue()
    assert session.settings.fanout == 4


def test_an_interrupt_between_two_prompts_ends_none_and_the_next_line_runs(session: Session) -> None:
    with create_pipe_input() as pipe:
        repl = Repl(
            session, Screen(io.StringIO(), io.StringIO(), environ={}), input=pipe, output=DummyOutput(),
            history=InMemoryHistory(),
        )  # fmt: skip
        question = repl._question
        asked: list[int] = []

        def interrupted() -> str:
            asked.append(len(asked))
            if len(asked) == 1:
                signal.raise_signal(signal.SIGINT)
            elif len(asked) == 2:
                pipe.send_text(f"set fanout 5{ENTER}{CTRL_D}")
            return question()

        repl._question = interrupted  # type: ignore[method-assign]  # to know when a prompt is about to be drawn
        assert repl.loop() == 0
    assert session.settings.fanout == 5
