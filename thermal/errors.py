"""The error that a user sees: what is wrong with the input, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CaseError(ValueError):
    """Bad input, found before anything is solved.

    ``problems`` holds one line each: place, value, expectation, remedy. What would break a line or steer a terminal,
    such as a file's name or another library's words may hold, is replaced, and what nobody reads is cut.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(map(one_line, problems))
        super().__init__("\n".join(self.problems))


MOST_LETTERS = 4000
"""Of a line; a file may have a single line of millions of letters, which a message about it need not repeat."""


def one_line(text: str) -> str:
    """A text as one line that every terminal can show, its middle left out where it is too long."""
    if len(text) > MOST_LETTERS:
        text = f"{text[: MOST_LETTERS // 2]} ... {text[-MOST_LETTERS // 4 :]}"
    if text.isprintable():
        return text
    words = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def unknown(what: str, name: object, known: Iterable[str]) -> KeyError:
    """The error for a ``name`` that is none of the ``known``; ``what`` it should name."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return KeyError(one_line(f'"{name}" is no {what}; {meant}there are: {", ".join(names) or "none"}'))
