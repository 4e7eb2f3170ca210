"""The error that a user sees: what is wrong with the input, where, and what to do."""

from __future__ import annotations


class CaseError(ValueError):
    """Bad input, found before anything is solved.

    ``problems`` holds one line each: place, value, expectation, remedy.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))
