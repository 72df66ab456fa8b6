"""What a wheel and a source distribution have to hold: `python -m tests.packaging dist`, after they were built there.

A source distribution holds every file that is committed, because the documentation and CONTRIBUTING.md name many of
them. A wheel holds the package, and nothing else.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

__all__ = ["main", "missing_in_sdist", "missing_in_wheel"]

ROOT = Path(__file__).parents[1]
PACKAGE = "pynamodb_alternator"
NOT_PUBLISHED = {".gitignore", ".gitattributes"}


def committed() -> set[str]:
    """The files of the repository, by their paths from its root. Raises OSError or CalledProcessError where this is not
    a git work tree."""
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()} - NOT_PUBLISHED


def missing_in_sdist(archive: Path) -> list[str]:
    """The committed files that a source distribution has not."""
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    return sorted(committed() - names)


def missing_in_wheel(archive: Path) -> list[str]:
    """The committed files of the package that are missing in the wheel, and the files of the wheel that do not belong
    to the package."""
    with zipfile.ZipFile(archive) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    ours = {name for name in committed() if name.startswith(f"{PACKAGE}/")}
    return sorted(ours ^ names)


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    faults = [f"{sdist.name} has not {name}" for name in missing_in_sdist(sdist)]
    faults += [f"{wheel.name} and the repository differ in {name}" for name in missing_in_wheel(wheel)]
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{wheel.name} and {sdist.name} have all that they should have.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
