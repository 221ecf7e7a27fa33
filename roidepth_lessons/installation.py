"""Says in plain words what is installed, which versions were tried, and what is missing."""

import platform
import sys
from importlib import metadata

from . import DATA_FOLDER

TRIED_PYTHON = ((3, 11), (3, 13))


def report():
    """Prints the report. Returns 0 if everything is there, 1 if something is missing."""
    problems = []
    version = sys.version_info[:2]
    print(f"Python {platform.python_version()}", "(tried: 3.11 to 3.13)")
    if not TRIED_PYTHON[0] <= version <= TRIED_PYTHON[1]:
        problems.append("Python: use 3.11, 3.12 or 3.13")
    for name, tried in requirements():
        try:
            print(f"{name} {metadata.version(name)} (tried: {tried})")
        except metadata.PackageNotFoundError:
            problems.append(f"{name} is missing: python -m pip install -r requirements.txt")
    for what, path in (
        ("shipped weights", DATA_FOLDER / "weights" / "streets.keras"),
        ("sample of streets", DATA_FOLDER / "sample" / "training" / "image_2"),
    ):
        if path.exists():
            print(f"{what}: {path}")
        else:
            problems.append(f"{what}: {path} is missing: get the repository again")
    print("\n".join(f"MISSING  {each}" for each in problems) or "everything is there")
    return 1 if problems else 0


def requirements():
    """(name, version range) of every package in requirements.txt."""
    lines = (DATA_FOLDER.parent / "requirements.txt").read_text().splitlines()
    rows = [line.split("#")[0].strip() for line in lines]
    rows = [row for row in rows if row and not row.startswith("-")]
    return [_split(row) for row in rows]


def _split(row):
    place = min((row.find(sign) for sign in "<>=!~" if sign in row), default=len(row))
    return row[:place].strip(), row[place:].strip() or "any"
