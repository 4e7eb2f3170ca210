"""Who computed what with which versions."""

from __future__ import annotations

import os
import platform
import resource
import socket
import sys
import time
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any


def thermal_version() -> str:
    """Version of this package; ``"0+unknown"`` when it runs from a folder that is not installed."""
    try:
        return version("thermal")
    except PackageNotFoundError:
        return "0+unknown"


def package_versions() -> dict[str, str]:
    """Versions of this package and of what it depends on."""
    names = []
    try:
        names = [requirement for requirement in requires("thermal") or [] if "extra ==" not in requirement]
    except PackageNotFoundError:
        names = list(_DEPENDENCIES)
    found = {"thermal": thermal_version()}
    for requirement in names:
        name = requirement.split(";")[0].split("[")[0]
        for sign in "<>=!~ (":
            name = name.split(sign)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return dict(sorted(found.items()))


_DEPENDENCIES = (
    "cyclopts", "h5py", "magpylib", "matplotlib", "meshio", "miepython", "nibabel", "numba", "numpy", "pint", "pyamg",
    "pydantic", "pyvista", "rich", "scikit-fem", "scipy",
)  # fmt: skip


def now() -> str:
    """The time with its zone, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def peak_memory() -> float:
    """Largest resident memory of this process so far, bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def describe_machine() -> dict[str, Any]:
    """Versions and platform, for ``provenance.json``."""
    return {
        "versions": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "host": socket.gethostname(),
    }
