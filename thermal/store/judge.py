"""What a run folder holds already, and whether a run may begin or go on in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from thermal.case.describe import differences
from thermal.case.schema import Case, case_hash
from thermal.errors import CaseError
from thermal.store.checkpoint import has_checkpoint
from thermal.store.files import read_json
from thermal.store.names import RESOLVED, STATUS
from thermal.store.seal import RESULTS, changed, sealed

_ABOUT_FILES = ("library", "input_files")
"""Keys of resolved.json that are not part of the case."""


def _foreign(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith(".") and name != "lock")


def judge(path: Path, case: Case, files: Mapping[str, str], *, resume: bool, force: bool) -> tuple[bool, bool]:
    """Whether the folder holds this case finished, and whether to resume. Raises ``CaseError`` for a refusal."""
    if not (path / STATUS).exists():
        present = _foreign(os.listdir(path))
        if present:
            raise CaseError(
                f'{path}: holds other files ("{present[0]}" ...) and no run; choose an empty or a new folder with --out'
            )
        return False, False
    if force:
        return False, False
    status = read_json(path / STATUS)
    state = status.get("state")
    if status.get("case_hash") != case_hash(case, files):
        difference = _changes(path, case, files)
        raise CaseError(
            f"{path}: holds a run of another case ({difference}); choose another folder with --out, or replace it "
            "with --force"
        )
    if state == "done":
        seals = sealed(path, status)
        lost = [name for name in dict.fromkeys((*RESULTS, *seals)) if not (path / name).is_file()]
        damaged = changed(path, seals, seals)
        for names, what in ((lost, "gone"), (damaged, "damaged or has been changed")):
            if names:
                raise CaseError(
                    f"{path}: this case is done, but of its results {', '.join(names)} is {what}; run it again with "
                    "--force"
                )
        return True, False
    if resume:
        return False, has_checkpoint(path)
    reason = f" ({status['message']})" if status.get("message") else ""
    words = "failed" if state == "failed" else "was interrupted"
    raise CaseError(
        f"{path}: holds an unfinished run of this case that {words}{reason}; go on with --resume, or start again with "
        "--force"
    )


def _changes(path: Path, case: Case, files: Mapping[str, str]) -> str:
    try:
        old = read_json(path / RESOLVED)
    except CaseError:
        return "its resolved.json cannot be read"
    old_files = old.get("input_files", {})
    plain = {key: value for key, value in old.items() if key not in _ABOUT_FILES}
    found = list(differences(plain, case.resolved()))
    found += [f"{name}: the file has changed" for name in files if old_files.get(name) != files[name]]
    return "; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else "") or "unknown difference"
