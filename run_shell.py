"""The same as the `hostshell` command, from a checkout."""

from __future__ import annotations

from hostshell.__main__ import main

if __name__ == "__main__":
    main()
