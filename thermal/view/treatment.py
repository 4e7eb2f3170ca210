"""A run among others."""

from __future__ import annotations

from dataclasses import dataclass

from thermal.store import Run


@dataclass(frozen=True)
class Treatment:
    """A run in a comparison: its ``title``, ``modality`` in words and ``colour`` in all figures."""

    run: Run
    title: str
    modality: str
    colour: str
