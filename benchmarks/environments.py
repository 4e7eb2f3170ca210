"""Environments of the peers, one virtual environment each in ``.bench/``.

    python benchmarks/environments.py                 make all that are not there yet
    python benchmarks/environments.py dolfinx ngsolve make these
    python benchmarks/environments.py --list          say what is there

Every environment is the peer's wheels from the package index and nothing else. What cannot be installed is said at the
end and shown as "not installed" in the table.
"""

from __future__ import annotations

import argparse
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("THERMAL_BENCH", ROOT / ".bench"))
"""Where the environments are; ``THERMAL_BENCH`` moves it, so that several copies of the project share them."""
DONE = "installed"
"""Mark of a complete environment: a file in it that names what was asked for."""


@dataclass(frozen=True)
class Environment:
    """Packages of one peer, the oldest Python that has wheels of them, and the modules that say the peer's version."""

    packages: tuple[str, ...]
    version_of: tuple[str, ...]
    python: tuple[int, int] = (3, 11)


ENVIRONMENTS = {
    "dolfinx": Environment(("dolfinx-solver-real", "mpich", "numpy"), ("dolfinx-solver-real",), (3, 12)),
    "ngsolve": Environment(("ngsolve", "numpy"), ("ngsolve",)),
    "scikit-fem": Environment(("scikit-fem", "scipy", "pyamg", "numpy"), ("scikit-fem", "scipy", "pyamg")),
    "sfepy": Environment(("sfepy", "numpy"), ("sfepy",)),
    "fipy": Environment(("fipy", "numpy"), ("fipy",)),
}


def python_of(name: str) -> Path:
    """The interpreter of an environment."""
    return HOME / name / "bin" / "python"


def installed(name: str) -> bool:
    """Whether an environment is complete and made for what is asked now."""
    mark = HOME / name / DONE
    return mark.is_file() and mark.read_text() == wanted(name)


def wanted(name: str) -> str:
    """What the mark of a complete environment holds."""
    return "\n".join(ENVIRONMENTS[name].packages) + "\n"


def version(name: str) -> str:
    """Names and versions of what does the work in an environment."""
    asked = ENVIRONMENTS[name].version_of
    code = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    found = subprocess.run([python_of(name), "-c", code, *asked], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def interpreters() -> Iterator[Path]:
    """Pythons that may be there: this one, those on the path, and those of pyenv and uv."""
    yield Path(sys.executable)
    for minor in (12, 13, 11, 14):
        found = shutil.which(f"python3.{minor}")
        if found:
            yield Path(found)
    home = Path.home()
    for pattern in (".pyenv/versions/3.1[1-4].*/bin/python3", ".local/share/uv/python/cpython-3.1[1-4]*/bin/python3"):
        yield from map(Path, sorted(glob.glob(str(home / pattern))))


def interpreter(oldest: tuple[int, int]) -> Path | None:
    """The first Python that is new enough and works."""
    code = f"import sys; sys.exit(not ((3, 14) > sys.version_info[:2] >= {oldest}))"
    for path in interpreters():
        if subprocess.run([path, "-c", code], capture_output=True).returncode == 0:
            return path
    return None


def make(name: str) -> str | None:
    """Make one environment; returns what went wrong."""
    environment = ENVIRONMENTS[name]
    python = interpreter(environment.python)
    if python is None:
        oldest = ".".join(map(str, environment.python))
        return f"needs Python {oldest} or newer, and none was found on the path, in pyenv or in uv"
    folder = HOME / name
    for command in (
        [python, "-m", "venv", "--clear", folder],
        [
            folder / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *environment.packages,
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return (done.stderr or done.stdout).strip().splitlines()[-1]
    (folder / DONE).write_text(wanted(name))
    return None


def main() -> int:
    """Make what is asked for; the exit code says whether all of it is there."""
    parser = argparse.ArgumentParser(description="Make the environments of the peers in .bench/.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ENVIRONMENTS)}; default: all")
    parser.add_argument("--list", action="store_true", help="say what is there")
    options = parser.parse_args()
    unknown = set(options.names) - set(ENVIRONMENTS)
    if unknown:
        parser.error(f"no environment is called {', '.join(sorted(unknown))}; there are {', '.join(ENVIRONMENTS)}")
    failed = False
    for name in options.names or ENVIRONMENTS:
        problem = None if installed(name) or options.list else make(name)
        there = installed(name)
        print(f"{name:12}", version(name) if there else f"not installed{': ' + problem if problem else ''}", flush=True)
        failed |= problem is not None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
