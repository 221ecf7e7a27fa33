"""Runs the experiment of lesson 09 and keeps its book: a JSON line per run, so that a killed study goes on.

``python -m roidepth_lessons study`` goes through four stages, each of which needs the lines of those before:

1. *tuning*: every arm with four learning rates, half as long, on a seed that is not reported, looked at on the
   validation streets only: every arm gets the same effort;
2. *main*: every arm, every seed, the same number of images;
3. *labels*: the ways that can do without both labels on every street, where half or nine tenths have boxes only;
4. *budgets*: where the same number of images is not the same number of updates, or not the same time: again with those.

This module needs no Keras: the runs are made by worker processes, a thread each, so that every one of them can be
repeated to the bit on the same kind of processor.
"""

import json
import platform
import queue
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from . import DATA_FOLDER, __version__
from .kitti import clear_temporaries, write_text
from .processes import lines_from_parent, only_run
from .session import ProgressLine

RESULTS = DATA_FOLDER / "results" / "study.jsonl"
BOTH, HALVES, NINE_TO_ONE = "both", "halves", "9 to 1"
REGIMES = {BOTH: 1.0, HALVES: 0.5, NINE_TO_ONE: 0.9}
"""Share of the streets that have boxes; except for "both", the rest has depth."""

JOINT, DETECTION, DEPTH = "joint, weight 1", "detection alone", "depth alone"
BY_TURNS = ("by turns, one Adam", "by turns, an Adam per task")
WATCHED = (DETECTION, JOINT)
"""Arms whose main runs are measured after every epoch: to see what a choice of the best epoch does."""
PARTLY = (DETECTION, DEPTH, JOINT, *BY_TURNS)
"""Arms that can train where no street has both labels."""
EQUAL_TIME = (DETECTION, DEPTH, "joint, learnt weights", "joint, gradient surgery", *BY_TURNS)
"""Arms that may train longer or shorter than the joint one in the same time."""
KEY = ("stage", "arm", "regime", "budget", "seed", "rate", "steps")


@dataclass(frozen=True)
class Settings:
    """What the whole study depends on.

    Args:
        height, width: Size of the streets in pixels, multiples of 32.
        streets: Training streets of each seed.
        steps: Steps of `batch_size` images of a run; what is not tuning, nor of another budget, makes so many.
        batch_size: Images per step.
        seeds: How many seeds are reported: 1, 2, …; seed 0 tunes.
        rates: Learning rates that are tried.
        validation_streets, test_streets: Held-out streets, the same for all runs.
        channels, neck_channels, depth_channels: Of the network, see `encoder.build_encoder`, `depth.build_depth_head`.
    """

    height: int = 64
    width: int = 192
    streets: int = 640
    steps: int = 320
    batch_size: int = 16
    seeds: int = 5
    rates: tuple = (0.002, 0.004, 0.008, 0.016)
    validation_streets: int = 200
    test_streets: int = 400
    channels: tuple = (16, 24, 32, 48, 64)
    neck_channels: int = 32
    depth_channels: tuple = (24, 12)


QUICK = Settings(
    streets=8, steps=4, batch_size=4, seeds=2, rates=(0.001, 0.002), validation_streets=4, test_streets=4,
    channels=(8, 8, 8, 8, 8), neck_channels=16, depth_channels=(8, 8),
)  # fmt: skip
"""Shows in a minute or two that everything runs; its figures mean nothing."""


@dataclass(frozen=True)
class Job:
    """One run. `stage`, `budget` and `regime` are words of this module, `arm` is a key of ``study.ARMS``."""

    stage: str
    arm: str
    regime: str
    budget: str
    seed: int
    rate: float
    steps: int


def key_of(line):
    """What tells a job from another: a `Job` or the line of its result to a tuple."""
    return tuple(line[name] if isinstance(line, dict) else getattr(line, name) for name in KEY)


# What is to be done --------------------------------------------------------------------------------------------------


def stages(settings, arms):
    """The stages in order: ``(name, function from the lines so far to the jobs of the stage)``."""
    return {
        "tuning": lambda lines: tuning_jobs(settings, arms),
        "main": lambda lines: main_jobs(settings, arms, lines),
        "labels": lambda lines: label_jobs(settings, lines),
        "budgets": lambda lines: budget_jobs(settings, lines),
    }


def tuning_jobs(settings, arms):
    """Every arm with every rate, half as long, with seed 0."""
    steps = settings.steps // 2
    return [Job("tuning", arm, BOTH, "images", 0, rate, steps) for arm in arms for rate in settings.rates]


def chosen_rate(lines, arm):
    """The rate of an arm: where, on the validation streets, AP50 minus the depth error is highest.

    Both are shares, from 0 to 1: a point of precision is worth a percent of depth. What an arm doesn't train counts 0.
    """
    scores = {}
    for line in lines:
        if (line["stage"], line["arm"]) == ("tuning", arm):
            scores[line["rate"]] = score_of(line["validation"])
    if not scores:
        raise ValueError(f"{arm}: no rate was tried yet")
    return max(scores, key=scores.get)


def score_of(measured):
    """AP50 minus the depth error of what `study.measure` returned; what was not trained counts 0.

    None, of a training that diverged, is worse than any figure.
    """
    if measured is None:
        return -np.inf
    return (measured["ap50"] or 0) - (measured["abs_rel"] or 0)


def main_jobs(settings, arms, lines):
    """Every arm with every seed; a seed's arms one after the other, since they share its streets."""
    return [
        Job("main", arm, BOTH, "images", seed, chosen_rate(lines, arm), settings.steps)
        for seed in _seeds(settings)
        for arm in arms
    ]


def label_jobs(settings, lines):
    """The arms of `PARTLY` with half of the labels each, and with nine to one; rates as with both labels."""
    return [
        Job("labels", arm, regime, "images", seed, chosen_rate(lines, arm), settings.steps)
        for seed in _seeds(settings)
        for regime in (HALVES, NINE_TO_ONE)
        for arm in PARTLY
    ]


def budget_jobs(settings, lines):
    """As many updates per task as the joint arm makes; and as much time as it takes."""
    longer = [(arm, "updates", 2 * settings.steps) for arm in BY_TURNS]
    joint = step_seconds(lines, JOINT)
    same_time = [(arm, "time", round(settings.steps * joint / step_seconds(lines, arm))) for arm in EQUAL_TIME]
    return [
        Job("budgets", arm, BOTH, budget, seed, chosen_rate(lines, arm), steps)
        for seed in _seeds(settings)
        for arm, budget, steps in longer + same_time
    ]


def step_seconds(lines, arm):
    """Median over the seeds of an arm's seconds per step."""
    seconds = [line["seconds_per_step"] for line in lines if (line["stage"], line["arm"]) == ("main", arm)]
    if not seconds:
        raise ValueError(f"{arm}: no run of the main stage yet")
    return float(np.median(seconds))


def _seeds(settings):
    return range(1, settings.seeds + 1)


# The book ------------------------------------------------------------------------------------------------------------


def read_lines(path, settings=None):
    """All runs that are in the book.

    Args:
        path: The ``.jsonl`` file; one that isn't there has no lines.
        settings: If given, the book must be of these; the number of seeds may have grown since.

    Returns:
        ``(settings, lines)``. A last line that was cut short is left out.

    Raises:
        ValueError: if the file is not a book of this module, or of other settings.
    """
    path = Path(path)
    if not path.is_file():
        return settings, []
    texts = path.read_text(errors="replace").splitlines()
    lines = []
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(json.loads(text))
        except (ValueError, RecursionError) as error:
            if number < len(texts) or number == 1:
                raise ValueError(f"{path}, line {number}: not JSON; restore the file or name another one") from error
    sound = bool(lines) and all(isinstance(line, dict) for line in lines)
    if not sound or "settings" not in lines[0] or any(not set(KEY) <= set(line) for line in lines[1:]):
        raise ValueError(f"{path}: not a book of `study`: wanted its settings in line 1, and a run in every other")
    try:
        found = _settings_of(lines[0]["settings"])
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{path}, line 1: no settings of `study` ({error})") from error
    if settings is not None and replace(found, seeds=settings.seeds) != settings:
        raise ValueError(f"{path} is a book of other settings ({found}); name another file with --out")
    return settings or found, lines[1:]


def _settings_of(row):
    """`Settings` from what JSON made of them: its lists were tuples."""
    return Settings(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})


def write_lines(path, settings, lines):
    """Writes the book, whole or not at all."""
    rows = [{"settings": asdict(settings)}, *lines]
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    write_text(path, text)


def facts(command):
    """Where and by what a line was made."""
    return {
        "commit": _commit(),
        "command": command,
        "package": __version__,
        "python": platform.python_version(),
        "processor": _processor(),
    }


def _commit():
    """The commit of the package's checkout; "+" behind it if files of the package differ from it; None without git."""
    root = str(DATA_FOLDER.parent)
    try:
        head = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        changed = subprocess.run(
            ["git", "-C", root, "status", "--porcelain", "--", "roidepth_lessons"], capture_output=True
        )
    except OSError:
        return None
    return head.stdout.strip() + ("+" if changed.stdout else "") if head.returncode == 0 else None


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


# Running -------------------------------------------------------------------------------------------------------------


def run_study(path, settings, arms, workers=2, command="study"):
    """Makes all runs that are not in the book yet, and puts each into it as soon as it is done.

    Args:
        path: The book.
        settings: `Settings`.
        arms: Names of all arms.
        workers: Processes, a thread each.
        command: For the record.

    Raises:
        ValueError: if the book is of other settings.
        RuntimeError: if a worker failed (what was finished is kept), or if another process writes into the book.
    """
    path = Path(path)
    with only_run(path.parent, path.name):
        clear_temporaries(path)
        return _run_stages(path, settings, arms, workers, command)


def _run_stages(path, settings, arms, workers, command):
    _, lines = read_lines(path, settings)
    record = facts(command)
    for stage, jobs_of in stages(settings, arms).items():
        done = {key_of(line) for line in lines}
        jobs = [job for job in jobs_of(lines) if key_of(job) not in done]
        with ProgressLine() as progress:
            for count, result in enumerate(run_jobs(jobs, settings, workers), start=1):
                lines.append(result | record)
                write_lines(path, settings, lines)
                progress.show(f"{stage}: {count} of {len(jobs)} runs, last: {result['arm']}, seed {result['seed']}")
            progress.end(f"{stage}: all runs are there")
    return lines


def run_jobs(jobs, settings, workers=2):
    """Yields the result of each job, in the order in which they end.

    Plain processes that read a job per line and write a result per line: when this process is killed, they end by
    themselves.
    """
    waiting, results = queue.SimpleQueue(), queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    processes = [_start_worker(settings) for _ in range(min(workers, len(jobs)))]
    try:
        for process in processes:
            threading.Thread(target=_feed, args=(process, waiting, results), daemon=True).start()
        for _ in jobs:
            result = results.get()
            if isinstance(result, Exception):
                raise RuntimeError(f"a run of the study failed ({result}); see its message above")
            yield result
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


WORKER = f"from {__name__} import work; work()"
"""What the processes run that make the runs."""


def _start_worker(settings):
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=DATA_FOLDER.parent
    )
    process.stdin.write(json.dumps(asdict(settings)) + "\n")
    process.stdin.flush()
    return process


def _feed(process, waiting, results):
    """Hands jobs to one worker, one at a time."""
    try:
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            process.stdin.write(json.dumps(asdict(job)) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                raise RuntimeError(f"the worker of {job} ended")
            results.put(json.loads(answer))
    except (OSError, ValueError, RuntimeError) as error:
        results.put(error)


def work():
    """What a worker does: reads the settings, then jobs, from stdin, and writes results to stdout."""
    from .session import start

    start(threads=1)
    from .study import run

    lines = lines_from_parent()
    settings = _settings_of(json.loads(next(lines)))
    for text in lines:
        job = Job(**json.loads(text))
        print(json.dumps(asdict(job) | run(job, settings)), flush=True)
