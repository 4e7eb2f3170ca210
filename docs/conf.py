"""Sphinx configuration: MyST pages, no generated code but the case reference (see generate_reference.py)."""

from __future__ import annotations

import tomllib
from pathlib import Path

_project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "thermal"
author = "The thermal developers"
copyright = author
version = release = _project["version"]

extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = f"thermal {version}"
html_show_copyright = False
exclude_patterns = ["_build", "images"]
