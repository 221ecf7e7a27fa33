"""Says in plain words what is installed, which versions are allowed, and what is missing."""

import platform
import re
import sys
import tomllib
from importlib import metadata

from . import DATA_FOLDER, LARGE_STREET_WEIGHTS, LEAN_STREET_WEIGHTS, SHIPPED_WEIGHTS

TRIED_PYTHON = ((3, 11), (3, 13))
OPTIONAL_EXTRA, OPTIONAL_USE = "imagenet", "train --encoder efficientnet-lite0"
"""The extra in pyproject.toml that a reader of the course may want, and what it is for."""


def report():
    """Prints the report. Returns 0 if everything is there, 1 if something is missing."""
    problems = []
    version = sys.version_info[:2]
    print(f"Python {platform.python_version()}", "(allowed and tried: 3.11 to 3.13)")
    if not TRIED_PYTHON[0] <= version <= TRIED_PYTHON[1]:
        problems.append("Python: use 3.11, 3.12 or 3.13")
    for name, allowed in requirements():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            problems.append(f"{name}: python -m pip install -r requirements.txt")
            continue
        verdict = compare(installed, allowed)
        note = {"newer": "; newer than what is allowed, it may work", "older": "; too old", "allowed": ""}[verdict]
        print(f"{name} {installed} (allowed: {allowed}{note})")
        if verdict == "older":
            problems.append(f"{name} {allowed}: {installed} is too old: python -m pip install -r requirements.txt")
    for name, allowed in optional_requirements():
        try:
            print(f"{name} {metadata.version(name)} (optional, allowed: {allowed})")
        except metadata.PackageNotFoundError:
            print(f"{name}: not installed (optional, for {OPTIONAL_USE}): python -m pip install {name}{allowed}")
    for what, path in (
        ("shipped weights", DATA_FOLDER / "weights" / SHIPPED_WEIGHTS.name),
        ("weights for photos", DATA_FOLDER / "weights" / LARGE_STREET_WEIGHTS.name),
        ("weights with the lean encoder", DATA_FOLDER / "weights" / LEAN_STREET_WEIGHTS.name),
        ("sample of streets", DATA_FOLDER / "sample" / "training" / "image_2"),
    ):
        if path.exists():
            print(f"{what}: {path}")
        else:
            problems.append(f"{what}: {path} is missing: get the repository again")
    print("\n".join(f"MISSING  {each}" for each in problems) or "everything is there")
    return 1 if problems else 0


def compare(installed, allowed):
    """Whether a version, "2.4.1", is "older" or "newer" than a range, ">=2.0,<3", or "allowed"."""
    version = _numbers(installed)
    for bound in allowed.split(","):
        if bound.startswith(">=") and version < _numbers(bound):
            return "older"
        if bound.startswith("<") and version >= _numbers(bound):
            return "newer"
    return "allowed"


def _numbers(version):
    """Turns "<2.22" and "2.22.0rc1" into numbers that compare, at least four of them."""
    numbers = [int(each) for each in re.findall(r"\d+", re.split(r"(?<=\d)(?:a|b|rc|\.dev|\+)", version)[0])]
    return numbers + [0] * (4 - len(numbers))


def requirements():
    """(name, version range) of every package in requirements.txt."""
    lines = (DATA_FOLDER.parent / "requirements.txt").read_text().splitlines()
    rows = [line.split("#")[0].strip() for line in lines]
    rows = [row for row in rows if row and not row.startswith("-")]
    return [_split(row) for row in rows]


def optional_requirements():
    """(name, version range) of what the extra with weights from ImageNet needs."""
    path = DATA_FOLDER.parent / "pyproject.toml"
    if not path.exists():
        return []
    extras = tomllib.loads(path.read_text())["project"]["optional-dependencies"]
    return [_split(row) for row in extras[OPTIONAL_EXTRA]]


def _split(row):
    place = min((row.find(sign) for sign in "<>=!~" if sign in row), default=len(row))
    return row[:place].strip(), row[place:].strip() or "any"
