"""Several processes, on one machine or on many, that train one network together.

The engine is Keras's own, `keras.distribution` on the JAX backend: every process holds all weights, takes its part of
every batch, and the gradients are summed over all of them before a step is made. Here is what a program needs around
it: who is who, who reads what, that all were started alike, and what is said when one of them stops.

>>> Processes(count=2, index=1).shards(4)
range(2, 4)
>>> ALONE.shards(4)
range(0, 4)
"""

import hashlib
import json
import os
import re
import sys
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Processes:
    """The processes of one training, as one of them sees them.

    Args:
        count: How many there are.
        index: Which of them this one is, from 0 on.
    """

    count: int = 1
    index: int = 0

    @property
    def first(self):
        """Whether this is the one that writes files for all of them."""
        return self.index == 0

    @property
    def devices(self):
        """How many devices all processes have: every batch is shared evenly among them."""
        import keras

        return len(keras.distribution.list_devices())

    def shards(self, count):
        """Which of `count` shards of the data this process reads, a range; neighbours, so that parts keep their order.

        Raises:
            ValueError: if the shards can't be shared evenly among the processes.
        """
        if count % self.count:
            raise ValueError(f"{count} shards can't be shared evenly among {self.count} processes")
        each = count // self.count
        return range(each * self.index, each * (self.index + 1))

    def gather(self, values):
        """The values of all processes: an array of the same shape in each becomes (count, ...), float32, the same in
        all. Waits for the slowest.
        """
        values = np.asarray(values, np.float32)
        if self.count == 1:
            return values[None]
        from jax.experimental import multihost_utils  # jax is there only where several processes are

        return np.asarray(multihost_utils.process_allgather(values))

    def agree(self, what, value):
        """Sees to it that a value, of JSON's types, is the same in all processes. Waits for the slowest.

        Raises:
            ValueError: if it is not, in all of them; names `what` and the processes that differ from process 0.
        """
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
        digests = self.gather(np.frombuffer(digest, np.uint8))
        others = [index for index in range(self.count) if not np.array_equal(digests[index], digests[0])]
        if others:
            named = ", ".join(map(str, others))
            raise ValueError(f"{what}: not the same in process 0 and in process {named}; here: {_short(value)}")


ALONE = Processes()
"""The one process of an ordinary run."""


@contextmanager
def joined(job_addresses, count, index):
    """Joins this process to the others, for as long as the block runs. To be called before anything is computed.

    A process whose block fails says why and ends at once with exit code 2, as do then all the others: a network can't
    be trained by what is left of them, and the usual farewell would wait for the one that is gone.

    Args:
        job_addresses: "host:port" of process 0, or of all processes, with commas between them. It is process 0 that
            listens there.
        count: How many processes.
        index: Which of them this is, 0 to count - 1.

    Yields:
        A `Processes`.

    Raises:
        ValueError: if the arguments don't fit together, or the backend is not JAX.
        RuntimeError: if JAX is not installed.
    """
    check_job(job_addresses, count, index)
    os.environ["JAX_CPU_COLLECTIVES_IMPLEMENTATION"] = "gloo"  # read when jax is imported; GPUs have their own
    import keras

    if keras.backend.backend() != "jax":
        raise ValueError(f"{keras.backend.backend()} is running: {_NEEDS_JAX}")
    keras.distribution.initialize(job_addresses, num_processes=count, process_id=index)
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    try:
        yield Processes(count, index)
    except BaseException as error:
        said = "interrupted; what was finished is kept" if isinstance(error, KeyboardInterrupt) else _said(error, count)
        print(f"\nerror: process {index} of {count}: {said}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(130 if isinstance(error, KeyboardInterrupt) else 2)


_NEEDS_JAX = "several processes train together on the JAX backend of Keras only; set KERAS_BACKEND=jax"


def check_job(job_addresses, count, index, backend=None):
    """Finds out, before Keras is imported, what can't work.

    Args:
        job_addresses, count, index: See :func:`joined`.
        backend: The backend that will run, if it is known already.

    Raises:
        ValueError: if the arguments don't fit together, or if the backend is not JAX.
    """
    if None in (job_addresses, count, index):
        raise ValueError("several processes need all three: --job-addresses HOST:PORT, --processes N and --process I")
    if not 0 <= index < count:
        raise ValueError(f"--process must be 0 to {count - 1}, since --processes is {count}; got {index}")
    addresses = job_addresses.split(",")
    wrong = [each for each in addresses if not re.fullmatch(r"[^:,\s]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}", each)]
    if wrong:
        raise ValueError(f"--job-addresses: wanted HOST:PORT, got {wrong[0]!r}")
    if len(addresses) not in (1, count):
        raise ValueError(
            f"--job-addresses names {len(addresses)} of {count} processes; wanted the address of process 0, or of all"
        )
    if backend not in (None, "jax"):
        raise ValueError(f"the backend is {backend}: {_NEEDS_JAX}")


def _said(error, count):
    """What to say of an error: of a broken connection, what it means."""
    text = _short(str(error) or repr(error), 600)
    if type(error).__name__ not in ("JaxRuntimeError", "XlaRuntimeError"):
        return text
    return (
        "another process has stopped, or the connection to it is broken; its own message says more. Start all "
        f"{count} again with the same command: training goes on from the last checkpoint ({_short(text)})"
    )


def _short(value, width=200):
    return textwrap.shorten(str(value), width)
