"""Sphinx configuration: MyST pages; the API reference is made of docstrings, the case reference by a script."""

from __future__ import annotations

import tomllib
from pathlib import Path

_project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "thermal"
author = "The thermal developers"
copyright = author
version = release = _project["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other packages, and names that docstrings mention in passing

html_theme = "furo"
html_title = f"thermal {version}"
html_show_copyright = False
exclude_patterns = ["_build", "images"]
