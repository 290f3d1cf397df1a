"""The prompt: reading lines with history, suggestions and Tab; nothing that is typed ends it but `exit` and Ctrl-D."""

from __future__ import annotations

import contextlib
import signal
from collections import deque
from types import FrameType

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.filters import to_filter
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import get_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.controls import SearchBufferControl
from prompt_toolkit.output import ColorDepth, DummyOutput, Output
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import DynamicStyle, Style

from hostshell.core.clean import clean
from hostshell.core.errors import HostshellError
from hostshell.core.grammar import goes_on, join_lines
from hostshell.core.targets import Targets
from hostshell.session import Session
from hostshell.shell.answers import shorten
from hostshell.shell.ask import read_line
from hostshell.shell.background import suspend
from hostshell.shell.commands import Leave, Shell
from hostshell.shell.complete import HostshellCompleter
from hostshell.shell.history import ReadOnly, open_history
from hostshell.shell.interrupts import on_interrupt
from hostshell.shell.remotepaths import RemotePaths
from hostshell.shell.screen import BOLD, Screen

MOST_IN_PROMPT = 40  # characters of the default targets, and never more than half of the terminal's width
_WITHOUT_COLOUR = Style.from_dict({"auto-suggestion": "dim"})  # a suggestion must not look as if it had been typed


class Repl:
    """Reads lines and hands them to a `Shell`. ``input`` and ``output``: a pipe instead of the terminal, for tests."""

    def __init__(
        self,
        session: Session,
        screen: Screen,
        *,
        json: bool = False,
        input: Input | None = None,
        output: Output | None = None,
        history: History | None = None,
    ) -> None:
        self._session = session
        self._screen = screen
        self._history = history if history is not None else open_history(session.secrets)
        self._shell = Shell(
            session, screen, json=json, history=lambda: self._history.get_strings(), ahead=self._typed_ahead
        )
        self._pasted: deque[str] = deque()  # lines of one paste that are still to be run
        self._typed = ""  # the beginning of a line that a paste has left
        self._interrupted = False  # by a signal that no prompt has seen yet
        # a terminal that cannot be drawn on, or none: the terminal itself edits the line
        self._plain = input is None and output is None and (screen.dumb or not screen.drawable)
        if output is None:
            # standard output is for what hosts print: where it is a file or a pipe, the prompt stands beside it
            output = DummyOutput() if self._plain else create_output(always_prefer_tty=True)
        self._remote = RemotePaths(session.glance)
        self._remote.arrived = self._offer_soon
        self._completer = completer = HostshellCompleter(lambda: session.inventory, session.last.counts, self._remote)
        self._prompt: PromptSession[str] = PromptSession(
            history=ReadOnly(self._history),
            auto_suggest=AutoSuggestFromHistory(),
            completer=completer,
            complete_while_typing=False,
            complete_style=CompleteStyle.COLUMN,
            key_bindings=self._keys(),
            enable_history_search=True,
            style=DynamicStyle(lambda: None if screen.err_colour else _WITHOUT_COLOUR),
            input=input,
            output=output,
        )
        # once the prompt is there: a person first types
        self._prompt.app.after_render += lambda _: completer.prepare()
        for window in self._prompt.layout.find_all_windows():
            if isinstance(window.content, SearchBufferControl):
                window.wrap_lines = to_filter(True)  # what is found would lie beyond the edge of a narrow terminal

    def loop(self, hint: str = "") -> int:
        """Read and run lines until the person leaves; the exit code is 0, whatever the lines did."""
        with on_interrupt(self._on_interrupt):
            return self._loop(hint)

    def _loop(self, hint: str) -> int:
        if hint:
            self._screen.err(f"{hint}\n")
        waiting = ""
        while True:
            try:
                line = self._read("> " if waiting else self._question())
            except KeyboardInterrupt:
                waiting = ""
                self._pasted.clear()
                continue
            except EOFError:
                if waiting:  # only the line that was begun is given up
                    waiting = ""
                    continue
                return 0
            text = join_lines(waiting, line) if waiting else line
            waiting = text if goes_on(text) else ""
            if waiting:
                continue
            self._remember(text)
            try:
                with on_interrupt(signal.default_int_handler):
                    self._heed()
                    self._shell.line(text)
                if self._shell.interrupted:
                    self._pasted.clear()
            except Leave:
                return 0
            except KeyboardInterrupt:
                self._pasted.clear()
                self._screen.err("\n")

    def _remember(self, text: str) -> None:
        """One entry for one command, also where it took several lines: a blank before the first keeps all of it out."""
        if text.strip() and self._history.get_strings()[-1:] != [text]:
            self._history.append_string(text)

    def _offer_soon(self) -> None:
        """What stands on the hosts is known: offer it, if the line still waits for it. From any thread."""
        loop = self._prompt.app.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the line has been entered just now
                loop.call_soon_threadsafe(self._offer)

    def _offer(self) -> None:
        buffer = self._prompt.default_buffer
        if self._prompt.app.is_running and buffer.document.text_before_cursor == self._completer.awaited:
            buffer.start_completion(insert_common_part=True)

    def _read(self, question: str) -> str:
        self._remote.forget()
        if self._pasted:
            self._heed()
            line = self._pasted.popleft()
            self._screen.err(f"{question}{clean(line)}\n")
            return line
        if self._plain:
            return self._read_plainly(question)
        typed, self._typed = self._typed, ""
        self._prompt.color_depth = None if self._screen.err_colour else ColorDepth.DEPTH_1_BIT
        shown = ANSI(self._screen.paint(question.rstrip(), BOLD) + " ")
        # again: a Ctrl-C at the end of a command may have kept the handler from being put back
        with on_interrupt(self._on_interrupt):
            # prompt_toolkit's own handler is there for a part of the time, and asyncio's for another: between them an
            # exception in the midst of either leaves it useless for the next prompt
            line = self._prompt.prompt(shown, default=typed, handle_sigint=False, pre_run=self._begun)
            self._heed()
        return line

    def _heed(self) -> None:
        """Where an interrupt came that no prompt has seen, what was about to be run is not."""
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    def _begun(self) -> None:
        """The prompt is there: what came before it has left ^C on the line, so another one is begun below."""
        loop = self._prompt.app.loop
        if self._interrupted and loop is not None:
            loop.call_soon(self._clear)

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """SIGINT while no command runs: from elsewhere, or in between. At the prompt itself Ctrl-C is a key."""
        self._interrupted = True
        loop = self._prompt.app.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed by now
                loop.call_soon_threadsafe(self._clear)

    def _clear(self) -> None:
        app = self._prompt.app
        if app.future is not None and not app.future.done():
            self._interrupted = False
            app.key_processor.send_sigint()

    def _typed_ahead(self) -> bytes:
        """What was typed behind the line under way, before the terminal was lent to a host. It is given once."""
        keys = get_typeahead(self._prompt.app.input)
        typed = "".join(key.data for key in keys if key.key is not Keys.CPRResponse)
        return typed.encode("utf-8", "surrogateescape")

    def _read_plainly(self, question: str) -> str:
        self._interrupted = False
        try:
            with on_interrupt(signal.default_int_handler):
                return read_line(self._screen, question)
        except (EOFError, KeyboardInterrupt):
            self._screen.err("\n")
            raise

    def _question(self) -> str:
        """``hostshell web_clusters (12)> ``: the default targets, and how many hosts they are."""
        defaults = self._session.defaults
        if not defaults.named:
            return "hostshell> "
        try:
            count = str(len(self._session.targets(Targets())))
        except HostshellError:
            count = "0"
        most = max(1, min(MOST_IN_PROMPT, self._screen.width // 2))
        return f"hostshell {shorten(shown(defaults), most)} ({count})> "

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add(Keys.ControlZ)
        def stop(event: KeyPressEvent) -> None:
            """Back to the shell, until `fg`."""
            run_in_terminal(lambda: suspend(lambda end: event.app.exit(exception=end)))

        @keys.add(Keys.BracketedPaste)
        def paste(event: KeyPressEvent) -> None:
            """Several pasted lines are several commands; what follows the last newline stays to be edited."""
            text = event.data.replace("\r\n", "\n").replace("\r", "\n")
            first, *rest = text.split("\n")
            event.current_buffer.insert_text(first)
            if rest:
                self._typed = rest.pop()
                self._pasted.extend(rest)
                event.current_buffer.validate_and_handle()

        @keys.add(Keys.SIGINT)
        def interrupt(event: KeyPressEvent) -> None:
            """As the library does, which fails where a second signal comes while the line is being given up already."""
            future = event.app.future
            if future is not None and not future.done():
                event.app.exit(exception=KeyboardInterrupt(), style="class:aborting")

        return keys


def shown(targets: Targets) -> str:
    """Default targets as the prompt says them: ``web_clusters,h1!h2``."""
    names = ["all"] if targets.everything else []
    names += [group.removeprefix("@") for group in targets.groups]
    names += targets.hosts
    text = ",".join(names)
    if targets.exclude:
        text += "!" + ",".join(targets.exclude)
    return clean(text)
