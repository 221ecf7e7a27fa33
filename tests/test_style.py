"""Ruff's rules, set in pyproject.toml, for the package, the tests and the lessons."""

import subprocess
import sys

import pytest
from lesson_rules import ROOT

CHECK, FORMAT = ("check",), ("format", "--check", "--diff")


def ruff(arguments, *paths, folder=ROOT):
    """Runs ruff without its cache, with the repository's settings."""
    command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "--config", str(ROOT / "pyproject.toml"), *paths]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)


@pytest.mark.parametrize("arguments", [CHECK, FORMAT], ids=["check", "format"])
def test_package_tests_and_notebooks_are_in_style(arguments):
    done = ruff(arguments, ".")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_ruff_reads_notebooks_and_bites(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    cells = [nbformat.v4.new_code_cell("import os, sys\nx = {'a':1}\nprint(os.sep, sys.path, x)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "01_bad.ipynb")
    assert "E401" in ruff(CHECK, "01_bad.ipynb", folder=tmp_path).stdout
    done = ruff(FORMAT, "01_bad.ipynb", folder=tmp_path)
    assert done.returncode == 1
    assert '+x = {"a": 1}' in done.stdout
