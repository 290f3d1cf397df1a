"""hostshell: an interactive management shell for fleets of hosts over SSH."""

from __future__ import annotations

__version__ = "0.1.0"
