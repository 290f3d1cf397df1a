"""The only room that imports paramiko."""

from __future__ import annotations

import sys

# paramiko imports invoke for one use only, `Match exec` of its own SSHConfig, which we do not use; it is a third of the
# time that the import takes, and paramiko does without where it is missing
_absent = "invoke" not in sys.modules
if _absent:
    sys.modules["invoke"] = None  # type: ignore[assignment]  # None: an import of it fails
try:
    import paramiko  # noqa: F401  # for the others: later it would find invoke
finally:
    if _absent:
        del sys.modules["invoke"]
