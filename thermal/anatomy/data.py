"""Where image and mesh files are looked for, and their hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from thermal.errors import CaseError

PREFIX = "data:"
VARIABLE = "THERMAL_DATA"
REMEDY = "run `python meshes/fetch_body_ct.py`"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's cache: ``$XDG_CACHE_HOME/thermal``, else ``~/.cache/thermal``."""
    home = environment.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".cache") / "thermal"


def data_folders(environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Folders in which ``"data:NAME"`` is looked for, in order: ``$THERMAL_DATA`` when set, then the cache."""
    given = environment.get(VARIABLE, "")
    return (*((_at_home(given),) if given else ()), cache_folder(environment))


def resolve(name: str, base: Path, place: str, environment: Mapping[str, str] = os.environ) -> Path:
    """The existing file, or folder of DICOM files, that ``name`` means: ``"data:..."``, an absolute path, or a path
    relative to ``base``.

    ``place`` is the key of the case file for the message. Raises ``CaseError`` that lists where was looked.
    """
    if name.startswith(PREFIX):
        bare = name.removeprefix(PREFIX)
        candidates = [folder / bare for folder in data_folders(environment)]
        remedy = f"{REMEDY} or set {VARIABLE} to the folder that holds it"
    else:
        candidates = [base / _at_home(name)]
        remedy = "paths are relative to the folder of the case file that names them"
    for candidate in candidates:
        try:
            if candidate.is_file() or candidate.is_dir():
                return candidate
            if candidate.exists():  # a pipe or a device, which may never end
                raise CaseError(f'{place} = "{name}": is no ordinary file')
        except OSError as error:
            raise CaseError(f'{place} = "{name}": cannot be looked for ({error.strerror})') from None
    looked = " and ".join(f'"{candidate}"' for candidate in candidates)
    raise CaseError(f'{place} = "{name}": no such file; looked for {looked}; {remedy}')


def _at_home(name: str) -> Path:
    """A path, a tilde at its beginning being the home folder of who is known here."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # of a user who is not
        return Path(name)


def sha256(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder, hexadecimal."""
    if path.is_dir():
        names = sorted(item for item in path.iterdir() if item.is_file())
        return hashlib.sha256("".join(item.name + sha256(item) for item in names).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
