"""Names of files from names of fields and regions."""

from __future__ import annotations

import re


def file_name(name: str) -> str:
    """Letters, digits, - and _ of a name; each run of others becomes one _."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)
