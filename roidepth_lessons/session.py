"""What the first cell of a lesson needs: a quiet TensorFlow, fixed threads, fixed seeds."""

import os
import sys
import tempfile
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
    with _held_stderr():
        if os.environ["KERAS_BACKEND"] == "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
            tf.add(1.0, 1.0)
        import keras

        keras.utils.set_random_seed(seed)
    _threads = threads


@contextmanager
def _held_stderr():
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
