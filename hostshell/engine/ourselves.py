"""How a new interpreter finds the very hostshell that starts it, whichever else is installed, and no stranger's module.

Must not know what the interpreter is started for.
"""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_PACKAGE = os.path.join(ROOT, "hostshell", "__init__.py")

# by its file and not by a path: in front of the path, what else lies beside it would shadow Python's own modules
_LOAD = """\
import sys, importlib.util
spec = importlib.util.spec_from_file_location("hostshell", {package!r})
sys.modules["hostshell"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["hostshell"])
"""
_LOOK = """\
import os, sys
sys.path[:] = {path!r}
os.environ.update({environ!r})
"""


def search_path() -> list[str]:
    """Where our helpers look for modules: where we do, but for the folders of others.

    Those are the current one, which Python looks through first for ``-m`` and ``-c``, and that of the caller's script.
    """
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        here = "/"
    strangers = {here}
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script:
        strangers.add(os.path.dirname(os.path.join(here, script)))
    found = [os.path.normpath(os.path.join(here, path)) for path in sys.path]
    return [path for path in found if path == ROOT or path not in strangers]


@contextlib.contextmanager
def found_by_helpers(environ: Mapping[str, str]) -> Iterator[None]:
    """In this block what multiprocessing starts as a new interpreter has our package loaded before all else.

    It finds ``environ`` in its environment. Ours stays as it is: other threads read it meanwhile.

    ``-I``, with which helpers are started, forgets PYTHONPATH and the folder of a checkout: another hostshell that is
    installed would be the worker then, and nothing that the two say to each other need mean the same.
    """
    plain = multiprocessing.util.spawnv_passfds
    first = _LOOK.format(path=search_path(), environ=dict(environ))
    if os.path.exists(_PACKAGE):  # else it comes from an archive, and has to be found by the path
        first += _LOAD.format(package=_PACKAGE)

    def start(path: str, args: Sequence[str], descriptors: Sequence[int]) -> int:
        at = args.index("-c") + 1
        return plain(path, [*args[:at], first + args[at], *args[at + 1 :]], descriptors)  # type: ignore[arg-type]  # of what it takes, what it gets

    multiprocessing.util.spawnv_passfds = start  # type: ignore[assignment]  # of what it takes, what it gets
    try:
        yield
    finally:
        multiprocessing.util.spawnv_passfds = plain
