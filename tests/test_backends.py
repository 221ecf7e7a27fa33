"""What a reader may copy runs on every backend of Keras: the same tests again, under JAX and under PyTorch.

The course itself needs neither; ``pip install -e .[jax,torch]`` brings them.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = ["tests/test_toys.py", "tests/test_multitask.py", "tests/test_weighing.py"]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_toys_and_multitask_on(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed here (see the extras in pyproject.toml)")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert int(passed[1]) > 50
    assert "skipped" not in done.stdout
    asked = subprocess.run(
        [sys.executable, "-c", "import keras; print(keras.backend.backend())"],
        env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert asked.stdout.split()[-1] == backend
