"""Runs lessons and solutions and stores their outputs: python tests/regenerate.py [--table | --times] [NOTEBOOK ...]

Without a name: all of them. A notebook is written whole or not at all, and left alone if nothing but the bytes of its
pictures changed. One that writes to stderr or raises is refused.
"""

import argparse
import copy
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import lesson_rules
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

# Kernels get the environment that they have under pytest.
runpy.run_path(str(lesson_rules.ROOT / "conftest.py"))

TIMEOUT = 300
"""Seconds for a cell."""
METADATA = nbformat.from_dict({
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
})  # fmt: skip
"""All that a notebook says about itself: more would change with every machine."""


def regenerate(path):
    """Runs a notebook and stores its outputs.

    Args:
        path: The notebook.

    Returns:
        "written" or "unchanged".

    Raises:
        ValueError: if a cell raises, writes to stderr, or ends its kernel; names the cell. The file stays as it is.
    """
    path = Path(path)
    before = nbformat.read(path, as_version=4)
    after = run(path, before)
    if without_pictures(after) == without_pictures(before):
        return "unchanged"
    write(path, after)
    return "written"


def run(path, notebook, seconds=None, go_on=False):
    """A copy of a notebook with new outputs and its metadata cut to what every notebook needs.

    Args:
        path: Where the notebook is; it runs in that folder.
        notebook: What to run.
        seconds: A dict that receives, per index of a code cell, how long it ran.
        go_on: Whether to go on after a cell that raises; its output is the error then, and stderr is let be.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if cell.metadata.get("tags") else {})
    lesson, current, started = lesson_rules.Lesson(path, notebook), 0, 0.0

    def note(cell, cell_index):
        nonlocal current, started
        current, started = cell_index, time.monotonic()

    def take_time(cell, cell_index, execute_reply):
        if seconds is not None:
            seconds[cell_index] = time.monotonic() - started

    # The very Python of this process, whatever kernels are installed: as nbval's --nbval-current-env does it.
    manager = AsyncKernelManager(kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager())
    client = NotebookClient(notebook, km=manager, timeout=TIMEOUT, record_timing=False, coalesce_streams=True)
    client.allow_errors = go_on
    client.on_cell_start, client.on_cell_executed = note, take_time
    # ipykernel leaves the file descriptors alone when it sees this variable, as it does under pytest.
    environment = {**os.environ, "PYTEST_CURRENT_TEST": str(path)}
    try:
        client.execute(cleanup_kc=True, cwd=str(path.parent.resolve()), env=environment, stderr=subprocess.DEVNULL)
    except CellExecutionError as error:
        raise ValueError(lesson.say(f"raises {error.ename}: {error.evalue}", current)) from None
    except (DeadKernelError, TimeoutError) as error:
        reason = f"the kernel died, or {TIMEOUT} s were not enough ({type(error).__name__})"
        raise ValueError(lesson.say(reason, current)) from None
    loud = lesson_rules.is_quiet(lesson)
    if loud and not go_on:
        raise ValueError("\n".join(loud))
    notebook.metadata = METADATA
    return notebook


def times(paths, slowest=10):
    """Runs notebooks, stores nothing, and returns two Markdown tables: sizes and seconds, and the slowest cells.

    The first cell of a notebook's code pays for the imports, so its seconds are those of the machine's disk too.
    """
    lessons, totals, cells = [lesson_rules.read(path) for path in paths], [], []
    for lesson in lessons:
        seconds, started = {}, time.monotonic()
        run(lesson.path, lesson.notebook, seconds)
        totals.append(f"{time.monotonic() - started:.0f}")
        cells += [(each, lesson.say("", index).rstrip(": ")) for index, each in seconds.items()]
    rows = [f"| {each:.1f} | {where} |" for each, where in sorted(cells, reverse=True)[:slowest]]
    sizes = lesson_rules.table(lessons, {"run s": totals})
    return "\n".join([sizes, "", "| seconds | cell |", "| ---: | --- |", *rows])


def without_pictures(notebook):
    """A copy in which pictures have no bytes; their alt texts and everything else stay."""
    bare = copy.deepcopy(notebook)
    for cell in bare.cells:
        for output in cell.get("outputs", []):
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    output.data[kind] = ""
    return bare


def write(path, notebook):
    """Writes a notebook under a temporary name first, so that an interrupted run leaves the old one whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def main(arguments=None):
    """The command. Returns 1 if a notebook was refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--table", action="store_true", help="run nothing, print a table of sizes")
    kind.add_argument("--times", action="store_true", help="store nothing, print sizes, seconds and the slowest cells")
    options = parser.parse_args(arguments)
    paths = options.notebooks or lesson_rules.paths()
    for path in paths:
        if path.suffix != ".ipynb" or not path.is_file():
            parser.error(f"{path} is not a notebook")
    if options.table:
        print(lesson_rules.table([lesson_rules.read(path) for path in paths]))
        return 0
    if options.times:
        print(times(paths))
        return 0
    refused = 0
    for path in paths:
        started = time.monotonic()
        try:
            outcome = regenerate(path)
        except ValueError as error:
            outcome, refused = f"REFUSED, left as it was\n{error}", 1
        print(f"{path.name}: {time.monotonic() - started:.0f} s, {outcome}", flush=True)
    return refused


if __name__ == "__main__":
    sys.exit(main())
