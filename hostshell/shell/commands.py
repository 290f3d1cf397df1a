"""One handler a verb: what a line means → the session → a view or an answer. Gives each line's exit code.

No error ends the shell, and no traceback reaches a person.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO

from hostshell.core.clean import clean
from hostshell.core.commands import command_named
from hostshell.core.errors import INTERRUPTED, HostshellError, NotGiven, TargetError, UsageError
from hostshell.core.grammar import join_lines, parse_line, parse_words, render
from hostshell.core.invocations import (
    BatchRun,
    BatchScp,
    ChangeSetting,
    ConnectHost,
    Disconnect,
    ExamineHosts,
    Exit,
    Invocation,
    ListConnections,
    ListGroups,
    ListHosts,
    LocalCommand,
    PingHosts,
    Reload,
    RunLine,
    ShowHelp,
    ShowHistory,
    ShowInventory,
    ShowName,
    UseTargets,
)
from hostshell.core.model import CopyOptions, Examine, Get, Job, LocalFile, Ping, Put, Run, Task, with_options
from hostshell.core.targets import Targets
from hostshell.core.words import Unfinished
from hostshell.session import Session
from hostshell.shell import answers, help, inventories
from hostshell.shell.answers import Answer
from hostshell.shell.interrupts import on_interrupt
from hostshell.shell.jobs import Ending, carry_out
from hostshell.shell.outdir import OutputFiles
from hostshell.shell.render import Gathered, Json, Live, View
from hostshell.shell.screen import BOLD, DIM, RED, OutputClosed, Screen
from hostshell.shell.summary import FETCHED
from hostshell.sitting import RawOutput


class Leave(Exception):
    """The person wants to leave."""


class Shell:
    """Carries lines out, one after the other.

    ``json`` makes every verb print JSON. ``history`` gives the lines typed before, for the verb of that name.
    ``ahead`` gives what has been typed beyond the line that is carried out, for `connect`.
    ``input`` is our standard input where no lines come from it.
    """

    def __init__(
        self,
        session: Session,
        screen: Screen,
        *,
        json: bool = False,
        history: Callable[[], Sequence[str]] = lambda: (),
        ahead: Callable[[], bytes] = lambda: b"",
        input: BinaryIO | None = None,
    ) -> None:
        self.session = session
        self.screen = screen
        self.interrupted = False  # whether Ctrl-C ended the last line
        self._json = json
        self._input = input
        self._own: LocalFile | None = None
        self._history = history
        self._ahead = ahead

    # --- lines ---

    def line(self, text: str) -> int:
        """Carry out one line (or several, where a quote spans them); its exit code. Raises `Leave` and `Unfinished`."""
        try:
            invocation = parse_line(text, self.session.is_group)
        except Unfinished:
            raise
        except HostshellError as error:
            return self.complain(error)
        return 0 if invocation is None else self._guarded(invocation)

    def words(self, words: Sequence[str]) -> int:
        """The same for words that a shell has split already."""
        try:
            invocation = parse_words(words, self.session.is_group)
        except HostshellError as error:
            return self.complain(error)
        return 0 if invocation is None else self._guarded(invocation)

    def script(self, lines: Iterable[str]) -> int:
        """Carry out every line, whatever the ones before did; the largest exit code. ``exit`` and Ctrl-C end it."""
        worst = 0
        waiting = ""
        try:
            for line in lines:
                text = join_lines(waiting, line) if waiting else line
                try:
                    waiting = ""
                    code = self.line(text)
                    worst = max(worst, code)
                    if self.interrupted:
                        return worst
                    if code and text.split(None, 1)[:1] == ["use"]:
                        # nobody is there to notice; what follows must not run on the targets of before
                        self.session.defaults = Targets()
                except Unfinished:
                    waiting = text
            if waiting:
                try:
                    self.line(waiting)
                except Unfinished as error:
                    worst = max(worst, self.complain(error))
        except Leave:
            pass
        return worst

    def complain(self, error: HostshellError) -> int:
        """Show an error for people; its exit code."""
        message, *more = error.message.split("\n")
        line = f"{self.screen.paint('error:', BOLD, RED)} {clean(message)}"
        lines = [self.screen.wrapped(line, "") if self.screen.overflows(line) else line]
        lines += [self._hint(clean(line)) for line in (*more, *error.hint.split("\n")) if line]
        self.screen.err("\n".join(lines) + "\n")
        return error.exit_code

    def _hint(self, text: str) -> str:
        """One line of a hint, broken between words; but a line to be typed stays whole, for the terminal to break.

        It is there to be copied: half of it, pasted, would run, and without what was to be left out.
        """
        wrapped = self.screen.wrapped(text, "  ")
        head, colon, line = text.partition(": ")
        if "\n" not in wrapped or not colon or command_named(line.partition(" ")[0]) is None:
            return wrapped
        return f"{self.screen.wrapped(f'{head}:', '  ')}\n{line}"

    def _guarded(self, invocation: Invocation) -> int:
        self.interrupted = False
        try:
            return self.carry_out(invocation)
        except HostshellError as error:
            self.interrupted = isinstance(error, NotGiven)
            return self.complain(error)
        except (Leave, OutputClosed):
            raise
        except KeyboardInterrupt:
            self.screen.err("\n")
            self.interrupted = True
            return INTERRUPTED
        except Exception as error:  # a fault of ours must not end the shell
            if os.environ.get("HOSTSHELL_DEBUG"):
                traceback.print_exc()
            what = HostshellError(
                f"hostshell itself failed: {type(error).__name__}: {error}", "HOSTSHELL_DEBUG=1 shows where"
            )
            self.complain(what)
            return 1

    # --- verbs ---

    def carry_out(self, invocation: Invocation) -> int:  # mypy holds the match to be exhaustive
        """Carry out what a line means; its exit code."""
        screen, session = self.screen, self.session
        match invocation:
            case BatchRun():
                return self._batch_run(invocation)
            case RunLine(cmd):
                job = session.job(Run(cmd), session.targets(Targets()), label=render(invocation))
                return self._show(job, self._view(json=False, gather=session.settings.gather)).code
            case BatchScp():  # put and get are short for it
                return self._run(_copy(invocation), invocation, _COPY_WORDS[invocation.action])
            case PingHosts():
                return self._run(Ping(), invocation, "logged in")
            case ExamineHosts():
                from hostshell.shell.checkup import Checkup

                view = Json(screen) if self._json or invocation.json else Checkup(screen)
                return self._show(self._job(Examine(invocation.sudo), invocation), view).code
            case ConnectHost():
                if self._json:
                    raise UsageError("connect gives no JSON: it is a terminal for a person", "leave out --json")
                from hostshell.shell.connect import connect

                return connect(session, screen, invocation, self._ahead)
            case UseTargets():
                return self._answer(invocation, answers.use(session, invocation.targets, invocation.clear))
            case ListHosts():
                return self._answer(
                    invocation, answers.hosts(session, invocation.targets, self._width(), screen.out_colour)
                )
            case ListGroups():
                return self._answer(invocation, answers.groups(session, self._width(), screen.out_colour))
            case ShowName(name):
                return self._answer(invocation, answers.show(session, name, self._width(), screen.out_colour))
            case ListConnections(targets):
                said, trouble = answers.connections(session, targets, self._width(), screen.out_colour)
                return self._answer(invocation, said, trouble)
            case Disconnect(targets):
                return self._answer(invocation, *answers.disconnect(session, targets))
            case ChangeSetting():
                said = answers.settings(session, invocation, self._width(), screen.out_colour)
                screen.choose_colour(session.settings.color)
                return self._answer(invocation, said)
            case Reload():
                return self._answer(invocation, inventories.reload(session))
            case ShowInventory():
                return self._answer(invocation, inventories.inventory(session, self._width(), screen.out_colour))
            case ShowHistory(count):
                return self._answer(invocation, answers.history(self._history(), count))
            case ShowHelp(command):
                width = min(help.WIDTH, self._width())
                text = help.overview(width) if command is None else help.command_help(command, width)
                return self._answer(invocation, Answer(text, text))
            case LocalCommand(command):
                return self._local(command)
            case Exit():
                raise Leave

    def _batch_run(self, asked: BatchRun) -> int:
        job = self._job(self._command(asked), asked)
        gather = asked.gather or self.session.settings.gather
        view = self._view(json=asked.json, gather=gather, prefix=not asked.no_prefix, quiet=asked.quiet)
        if asked.outdir is None and asked.errdir is None:
            ending = self._show(job, view)
        else:
            with OutputFiles(asked.outdir, asked.errdir, [host.name for host in job.hosts]) as files:
                ending = self._show(job, view, files.write)
        return ending.largest if asked.rc == "max" else ending.code

    def _command(self, asked: BatchRun) -> Run:
        inputs, stdin = self.session.inputs, asked.stdin
        return inputs.command(
            asked.cmd,
            script=asked.script,
            arguments=asked.arguments,
            stdin=self._own_input() if stdin == "-" else stdin,
            env=asked.environment,
            cwd=asked.cwd,
            tty=asked.tty,
            sudo=asked.sudo,
            sudo_user=asked.sudo_user,
        )

    def _own_input(self) -> LocalFile:
        """Our standard input, to its end. Several commands get the same bytes."""
        if self._input is None:
            what = "--stdin -: standard input is where the lines come from"
            raise UsageError(what, "it works in one-shot calls, as in: hostshell batch_run … --stdin - < FILE")
        if self._own is None:
            self._own = self.session.inputs.of_stream(self._input, forget=False)
        return self._own

    def _run(self, task: Ping | Put | Get, asked: BatchScp | PingHosts, each: str) -> int:
        return self._show(self._job(task, asked), self._view(json=asked.json, each=each, quiet=asked.quiet)).code

    def _job(self, task: Task, asked: BatchRun | BatchScp | PingHosts | ExamineHosts) -> Job:
        try:
            names = self.session.targets(asked.targets)
        except TargetError as error:
            if isinstance(asked, BatchScp) and asked.targets.exclude and self._well_without_exclude(asked.targets):
                raise TargetError(error.message, f"{error.hint}\n--exclude-files leaves out files".strip()) from None
            raise
        return self.session.job(
            task,
            names,
            label=render(asked),
            fanout=asked.fanout,
            timeout=asked.timeout,
            connect_timeout=asked.connect_timeout,
            login=asked.login,
        )

    def _well_without_exclude(self, targets: Targets) -> bool:
        """Whether what is wrong with ``targets`` is what they leave out."""
        try:
            self.session.targets(replace(targets, exclude=()))
        except TargetError:
            return False
        return True

    def _view(
        self, *, json: bool, gather: bool = False, each: str = "", prefix: bool = True, quiet: bool = False
    ) -> View:
        if json or self._json:
            return Json(self.screen)
        kind = Gathered if gather else Live
        return kind(self.screen, each=each, prefix=prefix, quiet=quiet)

    def _show(self, job: Job, view: View, raw: RawOutput | None = None) -> Ending:
        try:
            ending = carry_out(self.session, job, view, raw)
            self.interrupted = ending.interrupted  # not by its code: with --rc max a host may have given 130
            return ending
        finally:
            self.screen.done()

    def _answer(self, asked: Invocation, said: Answer, trouble: HostshellError | None = None) -> int:
        if self._json or getattr(asked, "json", False):
            result = {"event": "result", "command": render(asked), "data": said.data}
            self.screen.out(json.dumps(result, ensure_ascii=True) + "\n")
        else:
            self.screen.out(said.text)
        return 0 if trouble is None else self.complain(trouble)

    def _width(self) -> int:
        return self.screen.width if sys.stdout.isatty() else answers.UNBOUNDED

    def _local(self, command: str) -> int:
        # Ctrl-C is the command's: a handler of ours is gone in the child, where an ignored signal would stay ignored
        with on_interrupt(lambda *_: None):
            done = subprocess.run(command, shell=True, check=False)  # noqa: S602  # what was typed after "!"
        if done.returncode:
            how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
            self.screen.err(self.screen.paint(f"{how}\n", DIM))
            return 1
        return 0


_COPY_WORDS = {"put": "sent", "get": FETCHED}


def _copy(asked: BatchScp) -> Put | Get:
    """The task that a copy's line means."""
    options = CopyOptions(
        preserve=asked.preserve,
        force=asked.force,
        verify=asked.verify,
        sync=asked.sync,
        backup=asked.backup,
        dry_run=asked.dry_run,
        follow=asked.follow,
        exclude_files=asked.exclude_files,
    )
    if asked.action == "put":
        return with_options(Put(asked.local, asked.remote, asked.parents, also=asked.also), options)
    return with_options(Get(asked.remote, asked.local, also=asked.also), options)
