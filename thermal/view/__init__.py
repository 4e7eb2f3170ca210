"""Pictures of runs and anatomies.

What there is to see: ``cells``, ``grids``, ``surfaces``, ``treated`` and ``scene``; on slices ``planes``, ``painting``
and ``outlines``; over time ``film``. Sheets set with matplotlib: ``pictures``, ``slices``, ``panels``,
``side_by_side``. A run in a renderer is a ``panel``, several are a ``player``, which ``window``, ``web`` and ``movie``
move and ``spin`` takes from.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thermal.view.interactive import show as show
    from thermal.view.pictures import draw as draw
    from thermal.view.rendering import RenderingError as RenderingError
    from thermal.view.rendering import rendering_problem as rendering_problem

_HOMES = {"show": "interactive", "draw": "pictures", "RenderingError": "rendering", "rendering_problem": "rendering"}

__all__ = ["RenderingError", "draw", "rendering_problem", "show"]


def __getattr__(name: str) -> Any:
    """Import on first use: who only wants words and colours does not wait for VTK."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
