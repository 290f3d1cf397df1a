"""Commands on a demo host: a real local shell behind an SSH session, its bytes, its end and its signals as they are.

Must not know users, files or listeners.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import cast

import asyncssh

SHELL = "/bin/sh"
CANNOT_START = 126  # what a shell says of a command that is there but cannot be run
LINGER = 0.5  # seconds of quiet after the command's end, while a background child still holds its output open
HANGUP_PATIENCE = 1.0  # seconds between HUP and KILL for a command whose client has gone

# What RFC 4254, section 6.10, lists. Others are told with a domain of ours, as it asks.
SIGNALS = ("ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2")


class Commands:
    """All commands under way, so that none outlives the fleet."""

    def __init__(self) -> None:
        self._running: set[Command] = set()
        self._left: set[int] = set()  # process groups whose command has ended but left children behind
        self.closing = False

    def add(self, command: Command) -> None:
        self._running.add(command)

    def ended(self, command: Command, group: int | None) -> None:
        self._running.discard(command)
        self._left = {left for left in self._left if _children_left(left)}
        if group is not None and _children_left(group):
            self._left.add(group)

    async def kill(self, patience: float) -> None:
        """Kill every process group, and wait up to ``patience`` seconds for the commands to be gone."""
        self.closing = True
        for group in self._left:
            if _children_left(group):
                _signal_group(group, signal.SIGKILL)
        deadline = asyncio.get_running_loop().time() + patience
        while self._running:
            for command in list(self._running):
                command.signal(signal.SIGKILL)
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.01)


class Command(asyncio.SubprocessProtocol):
    """One command: its own session and process group, real pipes, and no reading while the client is slow."""

    def __init__(
        self, channel: asyncssh.SSHServerChannel[bytes], commands: Commands, home: str, environment: dict[str, str]
    ) -> None:
        self._channel = channel
        self._commands = commands
        self._home = home
        self._environment = environment
        self._loop = asyncio.get_running_loop()
        self._process: asyncio.SubprocessTransport | None = None
        self._code: int | None = None
        self._early: list[signal.Signals] = []  # signals that came before the process was there
        self._input = _Input(channel)
        self._outputs = {1, 2}
        self._moved = False
        self._paused = False
        self._gone = False  # the client
        self._finished = False
        commands.add(self)
        self._task = self._loop.create_task(self._start())

    async def _start(self) -> None:
        command = self._channel.get_command()
        words = [SHELL] if command is None else [SHELL, "-c", command]
        try:
            reading, writing = os.pipe()
        except OSError as error:
            self._refuse(error)
            return
        try:
            await self._loop.subprocess_exec(
                lambda: self,
                *words,
                stdin=reading,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self._home,
                env=self._environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # too long, a NUL in it, no more processes
            os.close(writing)
            self._refuse(error)
            return
        finally:
            os.close(reading)
        await self._input.connect(writing)

    def _refuse(self, error: OSError | ValueError) -> None:
        """The command could not be started: say why, as a shell would."""
        reason = error.strerror if isinstance(error, OSError) else str(error)
        with contextlib.suppress(OSError):
            self._channel.write_stderr(f"{SHELL}: {reason}\n".encode())
        self._code = CANNOT_START
        self._outputs.clear()
        self._finish()

    def feed(self, data: bytes) -> None:
        """Bytes for the command's standard input."""
        self._input.write(data)

    def feed_eof(self) -> None:
        """The end of the command's standard input."""
        self._input.end()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command's whole process group; kept until there is one."""
        if self._process is None:
            self._early.append(number)
            return
        group = self._process.get_pid()
        if self._code is None or _children_left(group):
            _signal_group(group, number)

    def pause(self) -> None:
        """The client takes no more for now: the pipes fill, and the command waits."""
        self._paused = True
        for pipe in self._pipes():
            pipe.pause_reading()

    def resume(self) -> None:
        """The client takes more."""
        self._paused = False
        for pipe in self._pipes():
            pipe.resume_reading()

    def client_gone(self) -> None:
        """Nobody is left to hear the command: it gets HUP, then KILL. What it left in the background stays."""
        self._gone = True
        self._input.abandon()
        self.resume()
        if self._code is None:
            self.signal(signal.SIGHUP)
            self._loop.call_later(HANGUP_PATIENCE, self._end_for_good)

    def _end_for_good(self) -> None:
        if self._code is None:
            self.signal(signal.SIGKILL)

    def _pipes(self) -> list[asyncio.ReadTransport]:
        if self._process is None:
            return []
        pipes = [self._process.get_pipe_transport(descriptor) for descriptor in self._outputs]
        return [cast(asyncio.ReadTransport, pipe) for pipe in pipes if pipe is not None]

    # --- what asyncio tells us of the process ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._process = cast(asyncio.SubprocessTransport, transport)
        early, self._early = self._early, []
        if self._commands.closing:
            early = [signal.SIGKILL]
        for number in early:
            self.signal(number)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._moved = True
        if self._gone:
            return
        with contextlib.suppress(OSError):  # the client has closed the channel; `client_gone` follows
            self._channel.write(data, asyncssh.EXTENDED_DATA_STDERR if fd == 2 else None)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._outputs.discard(fd)
        self._finish_when_drained()

    def process_exited(self) -> None:
        assert self._process is not None
        self._code = self._process.get_returncode()
        self._input.abandon()
        self._finish_when_drained()
        self._look_again()

    def _look_again(self) -> None:
        if not self._finished:
            self._moved = False
            self._loop.call_later(LINGER, self._linger)

    def _linger(self) -> None:
        if self._moved or self._paused:
            self._look_again()
        else:
            self._finish()

    def _finish_when_drained(self) -> None:
        if self._code is not None and not self._outputs:
            self._finish()

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        group = None
        if self._process is not None:
            group = self._process.get_pid()
            self._process.close()
        self._commands.ended(self, group)
        code = self._code
        if self._gone or code is None:
            return
        if code >= 0:
            self._channel.exit(code)
        else:
            name = signal.Signals(-code).name.removeprefix("SIG") if -code in _KNOWN else f"{-code}"
            self._channel.exit_with_signal(name if name in SIGNALS else f"{name}@hostshell")


_KNOWN = {number.value for number in signal.Signals}


class _Input(asyncio.BaseProtocol):
    """The command's standard input: keeps what comes before the pipe is there, holds the client while it is full."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = channel
        self._pipe: asyncio.WriteTransport | None = None
        self._waiting: list[bytes] = []  # at most the channel's window
        self._ended = False
        self._abandoned = False

    async def connect(self, descriptor: int) -> None:
        stream = os.fdopen(descriptor, "wb", 0)
        if self._abandoned:
            stream.close()
            return
        # not in connection_made: asyncio watches a pipe only after that, and would go on watching one that is closed
        # there, whose number then belongs to somebody else
        pipe, _ = await asyncio.get_running_loop().connect_write_pipe(lambda: self, stream)
        if self._abandoned:
            _abort(pipe)
            return
        self._pipe = pipe
        pipe.write(b"".join(self._waiting))
        self._waiting.clear()
        if self._ended:
            pipe.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._abandoned = True
        self._pipe = None  # a transport that has ended cannot even be aborted
        self._resume_soon()

    def pause_writing(self) -> None:
        self._channel.pause_reading()

    def resume_writing(self) -> None:
        self._resume_soon()

    def _resume_soon(self) -> None:
        # not now: asyncio would lose the last bytes of a pipe that is filled and closed inside this call
        asyncio.get_running_loop().call_soon(self._channel.resume_reading)

    def write(self, data: bytes) -> None:
        if self._abandoned or self._ended:
            return
        if self._pipe is None:
            self._waiting.append(data)
        elif not self._pipe.is_closing():
            self._pipe.write(data)

    def end(self) -> None:
        self._ended = True
        if self._pipe is not None:
            self._pipe.close()  # after what is still to be written

    def abandon(self) -> None:
        """Nobody reads it any more."""
        self._abandoned = True
        self._waiting.clear()
        if self._pipe is not None:
            _abort(self._pipe)


def _abort(pipe: asyncio.WriteTransport) -> None:
    """End a pipe now. asyncio would end it twice, and fail, when its close has nothing more to write."""
    if pipe.get_write_buffer_size() or not pipe.is_closing():
        pipe.abort()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _children_left(group: int) -> bool:
    """Whether an ended command's process group still has members.

    The system gives a group's number to no new process while the group has members, so a process of that number is
    a stranger's, and then the group is not ours any more.
    """
    try:
        os.kill(group, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    else:
        return False
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
