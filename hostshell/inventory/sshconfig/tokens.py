"""Tokens (``%h``) and variables (``${NAME}``) in values of an ssh_config, as ssh_config(5) says under TOKENS.

Pure text. Must not know keywords.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(r"%(.?)", re.DOTALL)
_EITHER = re.compile(r"%(?P<token>.?)|\$\{(?P<name>[^}]*)(?P<closed>\}?)", re.DOTALL)


def replace_tokens(text: str, tokens: Mapping[str, str]) -> str:
    """``text`` with each token replaced. Raises ValueError for one that is not known."""
    return _TOKEN.sub(lambda found: _token(found[1], tokens), text) if "%" in text else text


def replace_all(text: str, tokens: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """The same, and the variables of the environment. Raises ValueError also for one that is not set."""

    def value(found: re.Match[str]) -> str:
        if found["name"] is None:
            return _token(found["token"], tokens)
        if not found["closed"]:
            raise ValueError("`${` without `}`")
        variable = environ.get(found["name"])
        if variable is None:
            raise ValueError(f"the environment has no variable {found['name']}")
        return variable

    return _EITHER.sub(value, text) if "%" in text or "$" in text else text


def _token(letter: str, tokens: Mapping[str, str]) -> str:
    if letter == "%":
        return "%"
    if letter not in tokens:
        raise ValueError(f"there is no token `%{letter}` here")
    return tokens[letter]
