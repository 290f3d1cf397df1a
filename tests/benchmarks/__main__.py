"""``python -m tests.benchmarks [--full] [--write] [--only NAME]...``: do the works, print the table.

``--write`` writes docs/benchmarks.md and docs/benchmarks.svg. The exit code is 0 although a bar is missed (the table
says so): this measures, it is no test. ``--strict`` makes a missed bar an exit code of 1.
"""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from tests.benchmarks import report
from tests.benchmarks.chart import chart
from tests.benchmarks.machine import machine, others_busy, versions
from tests.benchmarks.registry import WORKS
from tests.benchmarks.stage import built
from tests.benchmarks.work import Done, carry_out

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
QUIET = 0.1  # share of the cores that others may use without a word


def main() -> int:
    """Do what argv says; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="hostshell's benchmarks")
    parser.add_argument("--full", action="store_true", help="larger sizes and more rounds")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and its chart")
    parser.add_argument("--only", action="append", choices=list(WORKS), help="this work only; repeatable")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a bar is missed")
    options = parser.parse_args()
    try:
        return _measure(parser, options)
    except KeyboardInterrupt:
        _tell("interrupted")
        return 130


def _measure(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.write and options.only:
        parser.error("--write needs all works: docs/benchmarks.md is of one run")
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("these benchmarks read /proc and need Linux 4.14 or newer")
    signal.signal(signal.SIGTERM, _interrupt)
    begun = time.monotonic()

    def say(text: str) -> None:
        _tell(f"[{time.monotonic() - begun:5.0f} s] {text}")

    done: list[Done] = []
    busy = [others_busy()]
    with built(options.full, say) as stage:
        for name, reason in stage.peers.absent.items():
            say(f"{name} takes no part. {reason}")
        for name in options.only or WORKS:
            with WORKS[name](stage) as work:
                say(work.title)
                done.append(carry_out(work, lambda text: say(f"    {text}")))
    busy.append(others_busy())
    say("done")
    if max(busy) > QUIET:
        _tell(report.busy_text(busy))
    print(report.table(done))  # what this program is for
    if not options.full:
        print(report.QUICK)
    for one in done:
        print("\n" + "\n".join(report.details(one)).rstrip())
    if options.write:
        date = datetime.date.today().isoformat()
        text = report.page(
            done,
            full=options.full,
            date=date,
            machine=machine(),
            versions=versions(),
            busy=busy,
            peers=stage.peers,
        )
        PAGE.write_text(text, encoding="utf-8")
        PAGE.with_name(report.CHART).write_text(chart(done), encoding="utf-8")
        _tell(f"written: docs/{PAGE.name} and docs/{report.CHART}")
    missed = any(not figure.met for one in done for figure in one.figures())
    return 1 if missed and options.strict else 0


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # as an exception, so that accounts, servers and files are taken away
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
