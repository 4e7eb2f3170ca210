"""Is this installation able to run cases and to draw pictures?"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from thermal.machine import free_memory

MIN_PYTHON = (3, 11)
LOW_DISK = 1e9  # bytes, a run folder of the flagship takes some tens of megabytes
LOW_MEMORY = 1.5e9  # bytes, the flagship stays below 2 GB


@dataclass(frozen=True)
class Finding:
    """Result of one check; ``needed`` when cases cannot run without it."""

    name: str
    good: bool
    text: str
    needed: bool = True


def examine() -> Iterator[Finding]:
    """Run all checks, one after the other."""
    checks: tuple[Callable[[], Finding], ...] = (_python, _packages, _compiled, _rendering, _data, _disk, _memory)
    for check in checks:
        yield check()


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= MIN_PYTHON, f"{found} at {sys.executable}")


def _packages() -> Finding:
    from thermal.store.provenance import package_versions

    versions = package_versions()
    missing = [name for name, version in versions.items() if version == "missing"]
    if missing:
        return Finding("packages", False, f"missing: {', '.join(missing)}; run: pip install {' '.join(missing)}")
    return Finding("packages", True, ", ".join(f"{name} {version}" for name, version in versions.items()))


def _compiled() -> Finding:
    given = os.environ.get("NUMBA_CACHE_DIR")
    folders = [Path(given)] if given else [Path(__file__).parent / "engines" / "__pycache__", _user_cache()]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return Finding("compiled kernels", True, f"kept in {folder}", needed=False)
        except OSError:
            continue
    text = "no folder can hold compiled kernels, every start compiles them again; set NUMBA_CACHE_DIR to a writable one"
    return Finding("compiled kernels", False, text, needed=False)


def _user_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home else Path.home() / ".cache") / "numba"


def _rendering() -> Finding:
    try:
        from thermal.view.rendering import rendering_problem
    except ImportError as error:
        return Finding("pictures", False, f"{error}; runs go on without pictures", needed=False)
    problem = rendering_problem()
    return Finding("pictures", problem is None, problem or "off-screen rendering works", needed=False)


def _data() -> Finding:
    from thermal import library
    from thermal.anatomy.data import data_folders

    try:
        entries = {kind: len(library.names(kind)) for kind in library.KINDS}
    except (OSError, ValueError) as error:
        return Finding("data", False, f"the library of the package cannot be read ({error}); install thermal again")
    counted = ", ".join(f"{count} {kind}" for kind, count in entries.items())
    folders = data_folders()
    images = [path for folder in folders if folder.is_dir() for path in folder.glob("*.nii.gz")]
    looked = " and ".join(map(str, folders))
    text = f"images in {images[0].parent}" if images else f"no images in {looked} (run meshes/fetch_body_ct.py)"
    return Finding("data", True, f"library with {counted}; {text}")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    remedy = "" if free >= LOW_DISK else "; run folders may not fit"
    return Finding("disk", free >= LOW_DISK, f"{free / 1e9:.1f} GB free here{remedy}", needed=False)


def _memory() -> Finding:
    free = free_memory()
    if free is None:
        return Finding("memory", True, "free memory is not known on this system", needed=False)
    remedy = "" if free >= LOW_MEMORY else "; use larger voxels"
    return Finding("memory", free >= LOW_MEMORY, f"{free / 1e9:.1f} GB free{remedy}", needed=False)
