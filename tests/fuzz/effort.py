"""How many examples a fuzz test tries: few and always the same ones, or as many as are asked for, new ones each time.

``HOSTSHELL_FUZZ_EXAMPLES=20000 pytest tests/fuzz`` looks for what nobody has thought of yet.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_ASKED = os.environ.get("HOSTSHELL_FUZZ_EXAMPLES")


def effort(examples: int) -> settings:
    """Settings for a test that tries ``examples`` examples in an ordinary run."""
    return settings(
        max_examples=int(_ASKED) if _ASKED else examples,
        derandomize=not _ASKED,  # what failed in one run must fail in the next
        deadline=None,  # a loaded machine is no defect
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
    )
