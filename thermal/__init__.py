"""Nanoparticle-mediated tumour ablation: one case file from anatomy to ablation zone.

For research, not for clinical decisions.

>>> from thermal import load_case, simulate, compare
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thermal.batch import run_batch as run_batch
    from thermal.case import load_case as load_case
    from thermal.comparison import compare as compare
    from thermal.simulation import simulate as simulate

_HOMES = {
    "load_case": "thermal.case",
    "simulate": "thermal.simulation",
    "compare": "thermal.comparison",
    "run_batch": "thermal.batch",
}

__all__ = ["__version__", "compare", "load_case", "run_batch", "simulate"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``import thermal`` stays fast."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("thermal")
        except PackageNotFoundError:
            return "0+unknown"
    if name in _HOMES:
        found = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
