"""Makes docs/session.svg, the picture in the README, from a real session on the demo fleet; `--check` only plays it.

Must not know how hostshell works inside: it types at the prompt of run_shell.py and reads what the terminal shows.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType

import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

CHECKOUT = Path(__file__).resolve().parent.parent
PICTURE = CHECKOUT / "docs" / "session.svg"

COLUMNS, ROWS = 100, 100  # more rows than the session has: nothing may scroll out of the picture
PATIENCE = 90.0  # seconds for the fleet to start, and for the prompt to be back after a line; one is usual
FAREWELL = 20.0  # seconds for the session to end by itself
PROMPT = re.compile(r"hostshell( \S+ \(\d+\))?> ")


@dataclass(frozen=True)
class Step:
    """A line as it is typed, and texts that must be on the screen below it when the prompt is back."""

    line: str
    expected: tuple[str, ...]


STEPS = (
    Step(
        'batch_run -h h1,h2,h3 -g web_clusters,db_servers -cmd "tail -n 1 logs/app.log"',
        (
            *(f"{host}: 2024-05-01T23:30:00 {host} app " for host in ("h1", "h2", "web01", "web02", "db01", "db02")),
            "6 ok, 1 unreachable in ",
            "unreachable h3: connection refused",
            "is sshd running there",
        ),
    ),
    Step("use -g web_clusters,db_servers", ("-g web_clusters,db_servers", "4 hosts", "(4)> ")),
    Step(
        'batch_run -b -cmd "grep version app.conf"',
        ("db01,web[01-02] (3)", "version = 1.4.2", "db02 (1)", "version = 1.4.1", "4 ok in "),
    ),
    Step(
        "batch_scp -action put -local motd.txt -remote ~/",
        (*(f"{host}: sent" for host in ("web01", "web02", "db01", "db02")), "4 ok in "),
    ),
    Step('batch_rum -cmd "uptime"', ("no such command: batch_rum", "did you mean batch_run?")),
)


class Failed(Exception):
    """The session did not go as it should. The message says where; ``shown`` is the screen at that time."""

    def __init__(self, message: str, shown: str = "") -> None:
        super().__init__(message)
        self.shown = shown


class Terminal(pyte.Screen):
    """What a person would see. It answers the program's questions (where is the cursor?) through ``answers``."""

    def __init__(self) -> None:
        self.answers = bytearray()
        super().__init__(COLUMNS, ROWS)

    def write_process_input(self, data: str) -> None:
        self.answers += data.encode()

    def select_graphic_rendition(self, *attrs: int, **kwargs: bool) -> None:
        # pyte has no faint. Blink, which hostshell never sends, stands for it. In 38 and 48 a 2 means something else.
        if not {38, 48} & set(attrs):
            attrs = tuple(5 if attr == 2 else attr for attr in attrs)
        super().select_graphic_rendition(*attrs, **kwargs)


class Play:
    """`run_shell.py --demo` in a terminal of its own, from ``with`` to its end; ``folder`` is where it works."""

    def __init__(self, folder: Path) -> None:
        self.screen = Terminal()
        self._stream = pyte.ByteStream(self.screen)
        self._ended = False
        environment = _environment(folder)
        command = [sys.executable, str(CHECKOUT / "run_shell.py"), "--demo"]
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
                os.chdir(folder)
                os.execve(command[0], command, environment)
            finally:
                os._exit(127)
        os.set_blocking(self._master, False)

    def __enter__(self) -> Play:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the session, if it still runs: hang up, then by its process id."""
        os.close(self._master)
        for urge in (None, signal.SIGTERM, signal.SIGKILL):
            if urge is not None and not self._ended:
                os.kill(self._pid, urge)
            if self._wait(FAREWELL):
                return

    def _wait(self, seconds: float) -> bool:
        """Whether the session has ended, at most ``seconds`` from now."""
        deadline = time.monotonic() + seconds
        while not self._ended and time.monotonic() < deadline:
            self._ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
            if not self._ended:
                time.sleep(0.02)
        return self._ended

    def type(self, keys: str) -> None:
        """Send ``keys`` as the keyboard would."""
        self._send(keys.encode())

    def prompt(self, what: str, rows: range) -> None:
        """Wait until the prompt stands ready in one of ``rows``. Raises `Failed`, which names ``what``."""
        deadline = time.monotonic() + PATIENCE
        while not self._ready(rows):
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failed(f"{what}: no prompt within {PATIENCE:.0f} s", self.shown())
            if not self._read(min(left, 1.0)):
                raise Failed(f"{what}: the session ended", self.shown())
        while select.select([self._master], [], [], 0.2)[0] and self._read(0.0):
            pass  # what belongs to the prompt but comes after its text

    def leave(self) -> None:
        """Type exit and wait until the session has gone. Raises `Failed`."""
        self.type("exit\r")
        deadline = time.monotonic() + FAREWELL
        while self._read(0.2):
            if time.monotonic() > deadline:
                raise Failed(f"exit: the session has not ended within {FAREWELL:.0f} s", self.shown())
        if not self._wait(FAREWELL):
            raise Failed(f"exit: its process has not ended within {FAREWELL:.0f} s", self.shown())

    def shown(self) -> str:
        """The screen as text."""
        rows = self.screen.display[: self.screen.cursor.y + 1]
        return "\n".join(row.rstrip() for row in rows).strip("\n")

    def _ready(self, rows: range) -> bool:
        cursor = self.screen.cursor
        return cursor.y in rows and PROMPT.fullmatch(self.screen.display[cursor.y][: cursor.x]) is not None

    def _read(self, seconds: float) -> bool:
        """Show what comes within ``seconds``; False when the session has closed its terminal."""
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # how Linux says that the other end is closed
            return False
        self._stream.feed(data)
        if self.screen.answers:
            answers, self.screen.answers = bytes(self.screen.answers), bytearray()
            self._send(answers)
        return bool(data)

    def _send(self, data: bytes) -> None:
        try:
            os.write(self._master, data)  # some bytes only: they always fit
        except OSError:
            raise Failed("the session ended", self.shown()) from None


def _environment(home: Path) -> dict[str, str]:
    """A stranger's: nothing of the person's own settings, agent or history."""
    kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "SHELL": "/bin/sh",
    }


def play() -> list[list[Char]]:
    """Play every step; the rows of the screen at the end, cell by cell. Raises `Failed`."""
    with tempfile.TemporaryDirectory(prefix="hostshell-picture-") as folder:
        Path(folder, "motd.txt").write_text("greetings to all hosts\n", encoding="utf-8")
        with Play(Path(folder)) as session:
            session.prompt("the start", range(ROWS))
            session.type("\f")  # Ctrl-L, so that the picture begins with the first line
            session.prompt("Ctrl-L", range(1))
            for number, step in enumerate(STEPS, 1):
                what = f"step {number} ({step.line})"
                row = session.screen.cursor.y
                session.type(f"{step.line}\r")
                session.prompt(what, range(row + 1, ROWS))
                answer = "\n".join(session.screen.display[row + 1 :])
                for text in step.expected:
                    if text not in answer:
                        raise Failed(f"{what}: {text!r} is not in its answer", session.shown())
            screen = session.screen
            cells = [[screen.buffer[y][x] for x in range(COLUMNS)] for y in range(screen.cursor.y + 1)]
            cells[-1][screen.cursor.x] = cells[-1][screen.cursor.x]._replace(reverse=True)  # the cursor, as a block
            _refuse_local_paths("".join(screen.display), folder, session.shown())
            session.leave()
            return cells


def _refuse_local_paths(text: str, folder: str, shown: str) -> None:
    """Raises `Failed` when ``text`` (rows joined, so that a wrapped path counts) holds a path of this machine."""
    for path in (Path.home(), CHECKOUT, Path(tempfile.gettempdir()), Path(folder)):
        for name in {str(path), str(path.resolve())}:
            if len(name) > 1 and name in text:  # a home of "/" would be in every text
                raise Failed(f"the picture would hold a path of this machine: {name}", shown)


COLOURS = TerminalTheme(
    (24, 27, 34),
    (205, 211, 222),
    [
        (40, 44, 52),
        (240, 113, 120),
        (152, 204, 120),
        (232, 192, 108),
        (104, 170, 240),
        (205, 140, 235),
        (92, 200, 210),
        (205, 211, 222),
    ],
    [
        (110, 118, 132),
        (255, 140, 145),
        (180, 228, 150),
        (250, 215, 140),
        (140, 195, 255),
        (225, 170, 250),
        (130, 225, 232),
        (255, 255, 255),
    ],
)

# As rich's own, but with fonts that the reader has: nothing is loaded from another host.
SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- Made by docs/make_picture.py from a real session. -->
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
.{unique_id}-title {{ font: bold 17px system-ui, "DejaVu Sans", Helvetica, Arial, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(cells: list[list[Char]]) -> str:
    """The screen as an SVG."""
    console = Console(
        record=True,
        file=io.StringIO(),
        width=COLUMNS,
        height=len(cells) + 1,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
    )
    text = Text("\n").join([*map(_row, cells), Text(" ")])  # rich cuts the descenders of the last row
    console.print(text, soft_wrap=True, end="")
    svg = console.export_svg(
        title="hostshell", theme=COLOURS, code_format=SVG, font_aspect_ratio=0.602, unique_id="session"
    )
    # one element a line: a later picture differs only in the lines that differ; rich makes a text of each newline too
    svg = re.sub("<text [^>]*>\n</text>", "\n", svg)
    svg = svg.replace("</text><text", "</text>\n<text").replace("/><rect", "/>\n<rect")
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


def _row(row: list[Char]) -> Text:
    text = Text()
    width = max((x for x, cell in enumerate(row, 1) if cell.data != " " or cell.reverse), default=0)
    for style, cells in groupby(row[:width], key=_style):
        # blanks at an end are pieces of their own, which rich leaves out: some viewers drop or stretch them
        for piece in re.findall("^ +| +$|[^ ](?:.*[^ ])?", "".join(cell.data for cell in cells)):
            text.append(piece, style)
    return text


def _style(cell: Char) -> Style:
    return Style(
        color=_colour(cell.fg),  # "default" too: rich would join pieces that have no style at all
        bgcolor=_colour(cell.bg),
        bold=cell.bold,
        dim=cell.blink,
        italic=cell.italics,
        underline=cell.underscore,
        reverse=cell.reverse,
        strike=cell.strikethrough,
    )


def _colour(name: str) -> str:
    """pyte's name of a colour as rich's."""
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    name = name.replace("brown", "yellow").replace("bfight", "bright")  # the slip is in pyte's table
    return re.sub("^bright", "bright_", name)


def main() -> int:
    """0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="play the session and check each step; write nothing")
    options = parser.parse_args()
    try:
        cells = play()
    except Failed as failed:
        print(f"{failed.shown}\n\nThe session did not go as it should. {failed}", file=sys.stderr)
        return 1
    if options.check:
        print(f"the session of the picture went as it should: {len(STEPS)} steps")
        return 0
    PICTURE.write_text(draw(cells), encoding="utf-8")
    print(f"wrote {PICTURE.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
