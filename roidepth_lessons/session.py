r"""What a running lesson needs: a quiet TensorFlow, fixed threads, fixed seeds, and a line that counts.

The line of progress is rewritten in place while something runs, in a terminal and in JupyterLab, and always ends as the
same text, so that a notebook stores the same output each time.

>>> import contextlib, io
>>> with contextlib.redirect_stdout(io.StringIO()) as written:
...     total = sum(counted([1, 2, 3], "adding"))
>>> total, written.getvalue().split("\r")[-1].strip()
(6, 'adding: done')
"""

import os
import sys
import tempfile
import time
from contextlib import contextmanager

_threads = None
"""What TensorFlow was started with; None before."""


def start(seed=1, threads=2):
    """Imports Keras and its backend without noise, and makes what follows repeatable.

    TensorFlow's C++ part writes to file descriptor 2 while it is imported, before any setting can stop it. That text
    is held back, and shown only if the import fails. A second call only sets the seeds again.

    Args:
        seed: For Python, NumPy and the backend.
        threads: For TensorFlow. Sums depend on their number, so it is fixed rather than the machine's.

    Raises:
        RuntimeError: if something else has imported Keras or TensorFlow before, or if `threads` is to change.
    """
    global _threads
    if _threads == threads:  # the cell is run a second time
        sys.modules["keras"].utils.set_random_seed(seed)
        return
    if {"keras", "tensorflow"} & set(sys.modules):
        raise RuntimeError("call start() before anything imports keras or tensorflow: restart the kernel")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with held_stderr():
        if os.environ["KERAS_BACKEND"] == "tensorflow":
            import tensorflow as tf

            # A lesson that decodes windows of many sizes is told else, once, that tracing is expensive.
            tf.get_logger().setLevel("ERROR")
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
            tf.add(1.0, 1.0)
        import keras

        keras.utils.set_random_seed(seed)
    _threads = threads


@contextmanager
def held_stderr():
    """Holds file descriptor 2 in a file; if the block fails, its text is let through."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


class ProgressLine:
    """A line of text that is rewritten at most ten times a second, and ends as a constant text.

    A context: if the block fails, the line is left, so that an error starts on a line of its own.
    """

    WIDTH = 78
    """Every text is padded to it, or the end of a longer one would stay behind a shorter one."""

    def __init__(self):
        self._shown, self._open = float("-inf"), False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._open:
            print(flush=True)

    def show(self, text):
        """Rewrites the line, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._shown >= 0.1:
            self._shown, self._open = now, True
            print(f"\r{text:<{self.WIDTH}.{self.WIDTH}}", end="", flush=True)

    def end(self, text):
        """Writes the line for the last time."""
        self._open = False
        print(f"\r{text:<{self.WIDTH}}", flush=True)


def counted(items, title):
    """Goes through some items with a line of progress that ends as "title: done".

    Args:
        items: Anything to go through; where it has a length, the seconds left are estimated.
        title: What is being done, "joint training".

    Yields:
        The items.
    """
    total = len(items) if hasattr(items, "__len__") else None
    started = time.monotonic()
    with ProgressLine() as line:
        for done, item in enumerate(items, start=1):
            yield item
            line.show(f"{title}: {_count(done, total, started)}")
        line.end(f"{title}: done")


def fit_progress(title, line=None):
    """A Keras callback for `fit(..., verbose=0)` with a line of progress that ends as "title: done".

    Args:
        title: What is being trained, "joint training".
        line: The `ProgressLine`, where somebody wants to be its context; default: one of its own.
    """
    import keras  # here, since start() must come before it

    line, started, done = line or ProgressLine(), 0.0, 0

    def begin(logs=None):
        nonlocal started, done
        started, done = time.monotonic(), 0

    def count(batch, logs=None):
        nonlocal done
        done += 1
        epochs, steps = callback.params.get("epochs"), callback.params.get("steps")
        total = epochs * steps if epochs and steps else None
        line.show(f"{title}: step {_count(done, total, started)}, loss {float((logs or {}).get('loss', 'nan')):.3g}")

    callback = keras.callbacks.LambdaCallback(
        on_train_begin=begin, on_train_batch_end=count, on_train_end=lambda logs=None: line.end(f"{title}: done")
    )
    return callback


def _count(done, total, started):
    """The words "3 of 12, 4 s left"."""
    if total is None:
        return str(done)
    left = (time.monotonic() - started) / done * (total - done)
    return f"{done} of {total}, {left:.0f} s left"
