"""The first cell of a lesson: quiet, repeatable, harmless when it is run twice; and the line that counts."""

import os
import subprocess
import sys

import numpy as np
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
    with session.held_stderr():
        os.write(2, b"noise\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), session.held_stderr():  # noqa: PT012
        os.write(2, b"the reason\n")
        raise ImportError("gone")
    assert capfd.readouterr().err == "the reason\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_counting_goes_through_all_and_ends_as_a_constant_line(monkeypatch, capsys):
    clock = iter(np.arange(0, 1000, 0.03))
    monkeypatch.setattr(session.time, "monotonic", lambda: next(clock))
    assert list(session.counted(range(100), "joint training")) == list(range(100))
    first, *shown, last = capsys.readouterr().out.split("\r")[1:]
    assert first.rstrip() == "joint training: 1 of 100, 3 s left"
    assert 20 <= len(shown) <= 60  # 6 seconds by this clock's two ticks a step, at most ten texts in each
    assert {len(each) for each in [first, *shown]} == {78}
    assert last == f"{'joint training: done':<78}\n"
    assert list(session.counted(iter("ab"), "letters")) == ["a", "b"]
    assert capsys.readouterr().out.startswith("\rletters: 1 ")


def test_a_long_text_is_cut_and_an_error_starts_on_its_own_line(capsys):
    line = session.ProgressLine()
    with pytest.raises(ZeroDivisionError), line:  # noqa: PT012
        line.show("long " * 40)
        raise ZeroDivisionError
    assert capsys.readouterr().out == "\r" + ("long " * 40)[:78] + "\n"
    with line:
        line.show("later")
        line.end("done")
    assert capsys.readouterr().out.endswith(f"{'done':<78}\n")


def test_fit_counts_and_ends_as_a_constant_line(monkeypatch, capsys):
    import keras

    monkeypatch.setattr(session.ProgressLine, "show", lambda line, text: print(text))
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.compile("sgd", "mse")
    progress = session.fit_progress("joint training")
    for _ in range(2):  # a callback may be used again
        network.fit(np.ones((6, 1)), np.ones(6), batch_size=2, epochs=2, verbose=0, callbacks=[progress])
        *steps, last = capsys.readouterr().out.split("\n")[:-1]
        assert [each.split(",")[0] for each in steps] == [f"joint training: step {i} of 6" for i in range(1, 7)]
        assert all("s left, loss " in each for each in steps)
        assert last == f"\r{'joint training: done':<78}"


def test_fit_counts_on_a_line_that_somebody_else_leaves(capsys):
    import keras

    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.compile("sgd", "mse")

    def stop(batch, logs=None):
        raise ZeroDivisionError

    callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=stop)]
    with pytest.raises(ZeroDivisionError), session.ProgressLine() as line:  # noqa: PT012
        callbacks.insert(0, session.fit_progress("joint training", line))
        network.fit(np.ones((6, 1)), np.ones(6), batch_size=2, verbose=0, callbacks=callbacks)
    said = capsys.readouterr().out
    assert said.startswith("\rjoint training: step 1 of 3")
    assert said.endswith(" \n")
