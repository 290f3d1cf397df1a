"""argv to the prompt, one-shot or a script; the only place that ends the process.

Loads little: a one-shot call must not pay for the prompt.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import hostshell
from hostshell.core.errors import HostshellError, UsageError
from hostshell.shell.interrupts import held_back

_EPILOG = """\
without -c and COMMAND: the prompt on a terminal, else a script of lines from standard input.
examples:
  hostshell                                      open the prompt on ./hosts.ini
  hostshell --demo                               try it on seven hosts that it starts itself
  hostshell batch_run -g web -cmd uptime         run one command and exit
  hostshell -c 'use -g web' -c 'run df -h | sort'
exit codes: 0 ok, 1 failed, 2 usage, 3 timed out, 4 unreachable or lost, 130 interrupted; the largest counts.
"""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run hostshell and end the process with its exit code."""
    _open_streams()
    # a terminal that cannot show it; a line of a script that is no text here: its bytes reach the host as they are
    for stream, errors in (
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
        (sys.stdin, "surrogateescape"),
    ):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors=errors)  # type: ignore[union-attr]  # what has no such call is suppressed
    try:
        code = _main(sys.argv[1:] if argv is None else argv)
    except HostshellError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except SystemExit as leave:  # argparse
        code = leave.code if isinstance(leave.code, int) else 2
    except Exception as error:
        if os.environ.get("HOSTSHELL_DEBUG"):
            traceback.print_exc()
        print(f"error: hostshell itself failed: {type(error).__name__}: {error}", file=sys.stderr)
        print("  HOSTSHELL_DEBUG=1 shows where", file=sys.stderr)
        code = 1
    _leave(code, at_once=argv is None)


def _open_streams() -> None:
    """Python has no stream where the caller has closed the descriptor (``<&-``, some daemons): then it is /dev/null."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115  # for the whole run
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # for the whole run
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # for the whole run


def _leave(code: int, *, at_once: bool) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            # the interpreter would flush once more at its end and complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if not isinstance(error, BrokenPipeError) and stream is sys.stdout:
                print(f"error: cannot write the output: {error.strerror}", file=sys.stderr)
                code = max(code, 1)
    if at_once:
        # everything is closed by now; to take a large inventory apart object by object is what a person would wait for
        atexit._run_exitfuncs()
        os._exit(code)
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hostshell",
        description="an interactive management shell for fleets of hosts over SSH",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "-i",
        dest="sources",
        metavar="SOURCE",
        action="append",
        help="hosts.ini, an inventory of Ansible, a program that prints one, a list of hosts, "
        "ssh for those of ~/.ssh/config, or - for standard input; "
        "repeatable, later wins",
    )
    parser.add_argument(
        "-F", dest="ssh_config", metavar="FILE", help="in place of ~/.ssh/config and the system's; none: neither"
    )
    parser.add_argument("--known-hosts", metavar="FILE", help="in place of your own and the system's known_hosts")
    parser.add_argument(
        "--host-keys",
        metavar="POLICY",
        choices=("ask", "strict", "accept-new"),
        help="unknown host keys: ask (default at the prompt), strict (default otherwise), accept-new",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.add_argument("--demo", action="store_true", help="start a fleet of seven hosts on this machine to try it on")
    parser.add_argument("-c", dest="lines", metavar="LINE", action="append", help="run LINE and exit; repeatable")
    parser.add_argument("--version", action="version", version=f"hostshell {hostshell.__version__}")
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="one command as separate words")
    return parser


def _main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    if options.lines and options.command:
        raise UsageError("-c LINE and COMMAND do not go together", "put the command into another -c")
    signal.signal(signal.SIGTERM, _terminate)
    with contextlib.suppress(AttributeError):
        signal.signal(signal.SIGHUP, _terminate)
    gc.disable()  # while modules and the inventory are loaded there is no garbage to be found
    _stand_somewhere()
    start = not _answers_only(options.command)
    with held_back():
        if start:
            from hostshell.engine import process

            with contextlib.suppress(OSError):  # it is tried again, and told, when a worker is started
                process.prepare()
        if options.demo:
            from hostshell.shell.demo import demo as begin
        else:
            from hostshell.shell.launch import launch as begin
    return begin(options, start=start)


def _stand_somewhere() -> None:
    """Where the current directory was removed, hardly anything of Python starts; what needs no local file can run."""
    try:
        os.getcwd()
    except OSError:
        os.chdir("/")
        print("note: the current directory is no longer there; local paths begin at / now", file=sys.stderr)


def _answers_only(command: Sequence[str]) -> bool:
    """Whether a one-shot call surely runs nothing on hosts, so that no worker need be started for it."""
    return bool(command) and command[0] in ("help", "hosts", "groups", "inventory", "show", "history", "set", "use")


def _terminate(number: int, _frame: FrameType | None) -> None:
    # as an exception, so that everything that was opened is closed on the way out
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
