"""Run folders come from others: what lies in them is read and written as files, so nothing there may lead elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from thermal.errors import CaseError


def check_ordinary(folder: Path) -> None:
    """Look at everything in a run folder, not into it. Raises ``CaseError`` for a link, a pipe or a device: what is
    written to a link changes a file elsewhere, what is read from a pipe never comes."""
    todo = [str(folder)]
    while todo:
        place = todo.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    elif not entry.is_file(follow_symlinks=False):
                        raise CaseError(
                            f"{entry.path}: is a link, a pipe or a device; a run folder holds files and folders alone: "
                            "put the file itself there, or remove it"
                        )
        except FileNotFoundError:  # what another process has just removed
            continue
        except OSError as error:
            raise CaseError(f"{place}: cannot be read ({error.strerror})") from None
