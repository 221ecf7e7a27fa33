"""Settings for every test: a quiet backend, and a package that kernels find."""

import os
from pathlib import Path

ROOT = Path(__file__).parent
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "agg")


def pytest_configure(config):
    """The sanitize file is named by its whole path: pytest looks it up from the current folder otherwise."""
    config.option.nbval_sanitize_with = str(ROOT / "tests" / "nbval_sanitize.cfg")
