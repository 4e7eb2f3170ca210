"""The catalogue of checks (``data/verification.toml``), and where the cases of it are."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from pydantic import Field

import thermal
from thermal.errors import CaseError
from thermal.units import Spec
from thermal.verification.checks import Check

_HERE = Path(thermal.__file__).parent
_REPOSITORY = {"catalogue": "tests/catalogue", "published": "cases/published"}
"""What a wheel holds below ``data/`` -> where it stands in the repository, of which there is no second copy."""


def home(name: str) -> Path:
    """Folder of the catalogue's cases (``catalogue``) or of the published set-ups (``published``)."""
    for folder in (_HERE / "data" / name, _HERE.parent / _REPOSITORY[name]):
        if folder.is_dir():
            return folder
    raise CaseError(f"verify: {_HERE / 'data' / name} is missing; install thermal again")


class Catalogue(Spec):
    """All checks."""

    check: tuple[Check, ...] = Field(min_length=1)
    """in the order of the table"""

    def choose(self, names: Sequence[str], everything: bool) -> tuple[Check, ...]:
        """The named checks (by name, kind or case), else the quick ones or all. Raises ``CaseError``."""
        if not names:
            return tuple(check for check in self.check if everything or check.quick)
        known = {word for check in self.check for word in (check.name, check.kind, check.case)}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise CaseError(f'verify: "{unknown[0]}" is no check; known are: {", ".join(sorted(known))}')
        return tuple(check for check in self.check if {check.name, check.kind, check.case} & set(names))


def load_catalogue() -> Catalogue:
    """The catalogue of the package, and every published set-up."""
    text = (resources.files("thermal") / "data" / "verification.toml").read_text(encoding="utf-8")
    checks = [*tomllib.loads(text)["check"], *(_published(folder) for folder in sorted(home("published").iterdir()))]
    return Catalogue.model_validate({"check": checks})


def _published(folder: Path) -> dict[str, object]:
    """The check of a published set-up: what is in its folder."""
    case = tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))
    return {
        "kind": "published", "name": folder.name, "case": folder.name, "quick": False,
        "problem": case.get("title", folder.name), "source": f"cases/published/{folder.name}/README.md",
        "reason": "scatter of the experiment, and what its report leaves open",
    }  # fmt: skip
