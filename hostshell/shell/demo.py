"""`hostshell --demo`: the demo fleet under the same prompt, and its tour where there is no terminal."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from hostshell.shell.commands import Shell
from hostshell.shell.launch import launch
from hostshell.shell.screen import BOLD, GREEN, RED

HINT = """\
Seven demo hosts run on this machine (h3 is off). No inventory or ssh_config of
yours is read. Tab helps, exit leaves. Try:
  batch_run -h h1,h2,h3 -g web_clusters,db_servers -cmd "cat notes.txt"
  batch_scp -g web_clusters -action put -local /etc/hosts -remote ~/"""


def demo(options: argparse.Namespace, *, start: bool = True) -> int:
    """Start the fleet, run what ``options`` ask for on it, end it; the exit code. ``start`` the workers at once."""
    from hostshell.demo.fleet import DemoFleet

    with DemoFleet() as fleet:
        options.sources = [*(options.sources or ()), fleet.inventory]
        options.known_hosts = options.known_hosts or fleet.known_hosts
        options.ssh_config = options.ssh_config or "none"  # the fleet is what it says it is, whatever stands there
        return launch(options, hint=HINT, before=tour, start=start)


def tour(shell: Shell) -> int:
    """Play the main things once, checking each: 0 when all went as it should, else 1."""
    with tempfile.TemporaryDirectory(prefix="hostshell-tour-") as folder:
        source = Path(folder, "motd.txt")
        source.write_text("greetings from the tour\n", encoding="utf-8")
        steps = [
            ("every host, before it is used", "hosts @web_clusters,@db_servers", None),
            (
                "a command on two groups, live",
                'batch_run -g web_clusters,db_servers -cmd "uname -n; ls"',
                None,
            ),
            ("identical outputs once", "batch_run -g web_clusters,db_servers -b -cmd 'echo same everywhere'", None),
            (
                "a file to two groups",
                f"batch_scp -g web_clusters,db_servers -action put -local {source} -remote '~/'",
                None,
            ),
            ("is it there?", "batch_run -g web_clusters,db_servers -cmd 'grep -c tour motd.txt'", None),
            (
                "and back, one folder a host",
                f"batch_scp -g web_clusters,db_servers -action get -remote motd.txt -local {folder}/out/",
                [f"{folder}/out/{host}/motd.txt" for host in ("web01", "web02", "db01", "db02")],
            ),
        ]
        for number, (what, line, files) in enumerate(steps, 1):
            screen = shell.screen
            screen.err(screen.paint(f"[{number}/{len(steps)}] {what}\n", BOLD) + f"hostshell> {line}\n")
            code = shell.line(line)
            missing = [name for name in files or () if Path(name).read_bytes() != source.read_bytes()]
            if code or missing:
                screen.err(screen.paint(f"the tour failed at step {number} (exit code {code})\n", BOLD, RED))
                return 1
        shell.screen.err(shell.screen.paint("the tour is done: every step worked\n", BOLD, GREEN))
        return 0
