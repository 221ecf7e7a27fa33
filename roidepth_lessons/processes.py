"""Processes that don't get into each other's way: one run at a time in a folder, and no child outlives its parent.

A run that is killed can't tidy up, so nothing here relies on that: the lock of a process that is gone counts for
nothing, and a child notices by itself that nobody holds the other end of its pipe.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     with only_run(folder):
...         os.listdir(folder) == [_lock_name()]
...     os.listdir(folder)
True
[]
"""

import contextlib
import os
import queue
import random
import re
import socket
import sys
import threading
import time
from pathlib import Path

LOCK = re.compile(
    r"\.(?P<what>.+)@(?P<host>[^@]*)-(?P<process>\d+)-(?P<start>\d+)(-share(?P<share>\d+)of(?P<shares>\d+))?\.lock"
)
ATTEMPTS = 5
"""How often a run that finds another one looks again: two that begin at once both step back, and then one is first."""


@contextlib.contextmanager
def only_run(folder, what="run", share=None):
    """A context in which no other process is in such a context for the same folder.

    A process puts a file into the folder whose *name* says who it is, and then looks for files of others: of two
    processes the later one sees the earlier one's. No file is shared, so none is ever half written, and one that a
    killed process left is simply removed. (With a single lock file, two processes that both find it stale can remove
    each other's new one.) A process may enter the context of a folder that it holds already.

    Args:
        folder: Is made if it is not there.
        what: What in the folder is held, for instance the name of a file; default: the folder itself.
        share: ``(index, count)``, if only this share of it is held: who holds another share of equally many is let in
            at the same time, who wants all of it, or shares it otherwise, is not.

    Raises:
        RuntimeError: if another process, or one of another machine, holds the folder; names the process and its file.
        OSError: if nothing can be written there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / _lock_name(what, share)
    if own.exists() or (folder / _lock_name(what)).exists():
        yield
        return
    for attempt in range(ATTEMPTS):
        own.touch()
        other = _other_run(own, what, share)
        if other is None:
            break
        own.unlink()
        if attempt + 1 < ATTEMPTS:
            time.sleep(random.SystemRandom().uniform(0.02, 0.2))
    else:
        host, process = LOCK.fullmatch(other.name).group("host", "process")
        where = "" if host == _host() else f" on {host}"
        raise RuntimeError(
            f"{folder if what == 'run' else folder / what}: process {process}{where} is at work on it; wait for it, or "
            f"choose another one (if there is no such process, remove {other})"
        )
    try:
        yield
    finally:
        own.unlink(missing_ok=True)


def clear_dead_locks(folder):
    """Removes the locks that killed processes left in a folder, for who has nothing to do there but look.

    What may not be removed, in a folder that is read-only, stays: it holds nobody up.
    """
    with contextlib.suppress(OSError):
        _other_run(Path(folder) / _lock_name(), "run")


def _other_run(own, what, share=None):
    """The lock of a process that is in the way and may be alive, or None; those of the dead are removed."""
    for path in sorted(own.parent.glob(".*.lock")):
        found = LOCK.fullmatch(path.name)
        if path == own or not found or found.group("what") != what:
            continue
        host, process, start = found.group("host", "process", "start")
        if host == _host() and not is_alive(int(process), int(start)):
            path.unlink(missing_ok=True)
        elif not _apart(share, found):
            return path
    return None


def _apart(share, found):
    """Whether a share and that of a lock have nothing in common: they are different ones of equally many."""
    if share is None or found.group("share") is None:
        return False
    other, others = int(found.group("share")), int(found.group("shares"))
    return others == share[1] and other != share[0]


def _lock_name(what="run", share=None):
    part = f"-share{share[0]}of{share[1]}" if share else ""
    return f".{what}@{_host()}-{os.getpid()}-{_start_of(os.getpid()) or 0}{part}.lock"


def _host():
    return re.sub(r"[^\w.-]", "_", socket.gethostname())


def is_alive(process, start=None):
    """Whether a process of this machine runs; where nobody can say, True.

    Args:
        process: Its number.
        start: When it began, in ticks since the machine did, if it must be that one.
    """
    if os.name == "nt":  # there, a signal 0 is Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another user
    now = _start_of(process)
    return not start or now is None or now == start


def _start_of(process):
    """When a process began, in ticks since the machine did: numbers of processes come round again. None without /proc.

    The 22nd field of ``/proc/N/stat`` (proc(5)); the second is a name in brackets that may hold anything. -1 for a
    process that has ended and whose parent has not asked how.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return -1 if fields[0] == "Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def end_with_parent():
    """Ends this process as soon as the other end of its standard input is closed, as a killed parent's is.

    For a child that was started with ``stdin=subprocess.PIPE`` and has nothing more to read there.
    """

    def wait():
        while os.read(0, 1):  # not sys.stdin, whose lock this thread would hold when Python ends
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def lines_from_parent():
    """Goes through the lines of standard input, for a child that is given work so until it is killed.

    As with :func:`end_with_parent`, the process ends when the parent is gone, even while it works.

    Yields:
        Each line.
    """
    lines = queue.SimpleQueue()

    def read():
        for line in sys.stdin:
            lines.put(line)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield lines.get()
