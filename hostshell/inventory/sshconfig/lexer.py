"""Lines of an ssh_config cut into words, with the two ways of quoting that OpenSSH has in one line.

Pure text. Must not know keywords. Oddities are OpenSSH's own (strdelim and argv_split of its misc.c): the keyword, and
the words of `Match`, end at a blank or at one ``=`` and know double quotes only; the words of everything else know both
quotes and a backslash before a quote, a backslash or a blank.
"""

from __future__ import annotations

import re

BLANKS = " \t\r\n"
_END = re.compile(r'[ \t\r\n"=]')


def lines(text: str) -> list[str]:
    """The lines of a file. A NUL ends a line's content, as in C."""
    return [line.partition("\0")[0] for line in text.split("\n")]


def first_word(text: str | None) -> tuple[str | None, str | None]:
    """The first word and what follows it; (None, None) for a quote that is not closed, or where there is no text.

    What follows is None where the word was the last. A leading blank gives an empty word.
    """
    if text is None:
        return None, None
    found = _END.search(text)
    if found is None:
        return text, None
    at = found.start()
    if found[0] == '"':
        unquoted = text[:at] + text[at + 1 :]
        closing = unquoted.find('"', at)
        if closing < 0:
            return None, None
        return unquoted[:closing], unquoted[closing + 1 :].lstrip(BLANKS)
    rest = text[at + 1 :].lstrip(BLANKS)
    if found[0] != "=" and rest.startswith("="):
        rest = rest[1:].lstrip(BLANKS)
    return text[:at], rest


def keyword(line: str) -> tuple[str, str] | None:
    """A line's keyword in lower case and what follows it; None for an empty line, a comment, and one cut by a quote.

    What follows is "" where there is nothing.
    """
    line = line[:1] + line[1:].rstrip(BLANKS + "\f")
    word, rest = first_word(line)
    if word == "":
        word, rest = first_word(rest)
    if not word or word.startswith("#"):
        return None
    return lower(word), (rest or "").lstrip(BLANKS)


def words(text: str) -> list[str]:
    """The words of ``text`` up to a comment. Raises ValueError for a quote that is not closed."""
    found: list[str] = []
    at, end = 0, len(text)
    while at < end:
        char = text[at]
        if char in " \t":
            at += 1
            continue
        if char == "#":
            break
        word: list[str] = []
        quote = ""
        while at < end:
            char = text[at]
            if char == "\\" and at + 1 < end and (text[at + 1] in "'\"\\" or (not quote and text[at + 1] == " ")):
                at += 1
                word.append(text[at])
            elif not quote and char in " \t":
                break
            elif not quote and char in "'\"":
                quote = char
            elif quote and char == quote:
                quote = ""
            else:
                word.append(char)
            at += 1
        if quote:
            raise ValueError(f"a quote ({quote}) is not closed")
        found.append("".join(word))
    return found


def lower(text: str) -> str:
    """``text`` with A-Z in lower case, and nothing else changed."""
    return text.lower() if text.isascii() else "".join(char.lower() if char.isascii() else char for char in text)
