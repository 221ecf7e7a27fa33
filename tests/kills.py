"""Kills runs at random moments and compares what they end with: python tests/kills.py [--moments 20] [RUN ...]

Each of ``streets``, ``train`` and ``study`` is first made without a break. Then it is begun in a new folder, killed
(SIGKILL) at a random moment of its work, begun again in the same folder at once, and so on until it gets
through; then the next folder, until it was killed as often as wanted. Every folder must end with what the unbroken run
has, to the bit but for measured times, and without a file that a killed process left. Stored in
``data/results/kills.json``.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from roidepth_lessons import DATA_FOLDER, kitti, study_book
from roidepth_lessons.processes import LOCK, is_alive

OUT = DATA_FOLDER / "results" / "kills.json"
HERE = Path(__file__).resolve().parent

STREETS = """
from roidepth_lessons.streets import write_streets
write_streets(folder, {count}, seed=3, height=64, width=128, workers=2, progress=False)
"""
TRAIN = """
from roidepth_lessons import session, streets
session.start(threads=1)
import tiny
from roidepth_lessons import model, train
model.build_network = tiny.toy_network
data = folder + "_streets"
streets.write_streets(data, 8, seed=5, height=64, width=128, workers=1, progress=False)
settings = train.Settings(data=data, epochs=6, batch_size=2, height=64, width=128)
train.train(settings, folder + "/run", folder + "/out.keras")
"""
STUDY = """
from dataclasses import replace
from roidepth_lessons import study_book
settings = replace(study_book.QUICK, seeds=1)
study_book.stages = lambda settings, arms: {{"tuning": lambda lines: study_book.tuning_jobs(settings, arms)}}
study_book.WORKER = {worker!r}
study_book.run_study(folder + "/book.jsonl", settings, {arms}, workers=2)
"""
STAND_IN = """
import sys, time, types
study = types.ModuleType("roidepth_lessons.study")
def run(job, settings):
    time.sleep(0.05)
    return {"weights": f"{job.arm} {job.rate} {job.seed}", "seconds": time.time()}
study.run = run
sys.modules["roidepth_lessons.study"] = study
from roidepth_lessons import session, study_book
session.start = lambda **settings: None
study_book.work()
"""
"""A worker that only seems to train: what is tried is the book, not the networks in it."""

RUNS = {
    "streets": STREETS.format(count=40),
    "train": TRAIN,
    "study": STUDY.format(worker=study_book.WORKER, arms=["detection alone", "joint, weight 1"]),
}
QUICK = {
    "streets": STREETS.format(count=12),
    "study": STUDY.format(worker=STAND_IN, arms=["detection alone", "joint, weight 1", "depth alone"]),
}


def begin(code, folder):
    """Starts a run; its folder is what it has in the variable ``folder``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    command = [sys.executable, "-c", f"folder = {str(folder)!r}\n{code}"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


# Other processes, for tests.

HOLD = """
import sys
from roidepth_lessons.processes import only_run
folder, what, *share = sys.argv[1:]
with only_run(folder, what, tuple(map(int, share)) or None):
    print("in", flush=True)
    sys.stdin.read()
"""


def start(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def another_run(folder, what="run", share=()):
    """Another process that holds a folder, or a file or a share of it."""
    with start(HOLD, folder, what, *share) as process:
        assert process.stdout.readline() == "in\n"
        yield process
        process.kill()


def wait_for_end(process, seconds=60):
    """Waits until the process of a number is gone; fails if it goes on."""
    until = time.monotonic() + seconds
    while is_alive(process):
        assert time.monotonic() < until, f"process {process} goes on"
        time.sleep(0.02)


def files_of(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def wait_for_work(folder, process):
    """Waits until a run holds its folder: before, Python imports, and a kill would prove little."""
    while process.poll() is None:
        locks = (LOCK.fullmatch(path.name) for path in Path(folder).rglob(".*.lock"))
        if any(lock and int(lock.group("process")) == process.pid for lock in locks):
            return
        time.sleep(0.02)


def finish(process):
    complaint = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(f"a run failed instead of going on: {complaint[-2000:]}")


def outcome(folder):
    """What a run has made, by file, without what differs between any two runs: measured times, the dates in a zip."""
    return {str(path.relative_to(folder)): _content(path) for path in sorted(files_of(folder))}


def _content(path):
    if path.suffix == ".keras":
        from roidepth_lessons import model, study

        return study.hash_of(model.RoiDepth.load(path).network)
    if path.name.endswith(".weights.h5"):
        import h5py

        values = []
        with h5py.File(path) as file:
            file.visititems(
                lambda name, each: values.append((name, each[()].tobytes())) if hasattr(each, "dtype") else 0
            )
        return hashlib.sha256(repr(values).encode()).hexdigest()
    if path.suffix in (".json", ".jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.suffix == ".jsonl" else None
        return _without_times(lines if lines is not None else json.loads(path.read_text()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_times(value):
    """Without what is measured or where it stands; lines of a book in the order of their runs."""
    if isinstance(value, dict):
        left = {name: each for name, each in value.items() if "seconds" not in name and name not in ("data", "command")}
        return {name: _without_times(each) for name, each in left.items()}
    if isinstance(value, list):
        return sorted((_without_times(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


def kill_and_compare(code, work, moments, seed=0):
    """Kills a run so often.

    Args:
        code: Of the run.
        work: Empty folder.
        moments: How often.
        seed: Of the moments.

    Returns:
        A dict: ``kills``, ``folders`` that were begun, ``seconds_unbroken`` of its work, and ``moments``, seconds
        after each start of work.

    Raises:
        RuntimeError: if a run fails or ends with something else.
    """
    whole, drawn = Path(work) / "whole", random.Random(seed)
    process = begin(code, whole)
    wait_for_work(whole, process)
    started = time.monotonic()
    finish(process)
    seconds = time.monotonic() - started
    wanted = outcome(whole)
    killed, folders = [], 0
    while len(killed) < moments:
        folder, ended = Path(work) / f"killed{folders}", False
        folders += 1
        while not ended:
            process = begin(code, folder)
            wait_for_work(folder, process)
            if len(killed) < moments:
                moment = drawn.uniform(0, seconds)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(moment)
            ended = process.poll() is not None or len(killed) == moments
            if ended:
                finish(process)
            else:
                process.kill()
                process.communicate()
                killed.append(round(moment, 3))
        got = outcome(folder)
        if got != wanted:
            names = sorted(name for name in {*got, *wanted} if got.get(name) != wanted.get(name))
            raise RuntimeError(f"{folder}: not as without a break, after {len(killed)} kills: {names}")
        shutil.rmtree(folder)
    return {"kills": len(killed), "folders": folders, "seconds_unbroken": round(seconds, 2), "moments": killed}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", choices=[[], *RUNS])
    parser.add_argument("--moments", type=int, default=20)
    options = parser.parse_args()
    results = kitti.read_json(OUT) if OUT.is_file() else {}
    for name in options.runs or RUNS:
        with tempfile.TemporaryDirectory() as work:
            results[name] = kill_and_compare(RUNS[name], work, options.moments)
        results[name] |= study_book.facts(f"python tests/kills.py {name} --moments {options.moments}")
        kitti.write_json(OUT, results)
        print(name, {key: value for key, value in results[name].items() if key != "moments"})


if __name__ == "__main__":
    main()
