"""The first cell of a lesson: quiet, repeatable, and harmless when it is run twice."""

import os
import subprocess
import sys

import pytest

from roidepth_lessons import session

SCRIPT = """
import random
from roidepth_lessons import session
session.start(seed=5)
import numpy as np, keras, tensorflow as tf
def draw():
    return [random.random(), float(np.random.rand()), float(keras.random.uniform(()))]
first = draw()
session.start(seed=5)
assert draw() == first
session.start(seed=6)
assert draw() != first
assert tf.config.threading.get_intra_op_parallelism_threads() == 2
try:
    session.start(threads=1)
except RuntimeError as error:
    assert "restart" in str(error)
else:
    raise AssertionError("other threads were accepted")
"""


def test_start_is_quiet_repeatable_and_may_be_called_again():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""


def test_start_after_keras_is_refused():
    import keras  # noqa: F401

    with pytest.raises(RuntimeError, match="restart the kernel"):
        session.start()


def test_held_text_is_shown_only_on_failure(capfd):
    with session._held_stderr():
        os.write(2, b"noise\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), session._held_stderr():  # noqa: PT012
        os.write(2, b"the reason\n")
        raise ImportError("gone")
    assert capfd.readouterr().err == "the reason\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
