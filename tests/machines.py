"""From one laptop to many machines, in images and bytes a second: python tests/machines.py [train] [load] [read]

``train``: three ways to train on drawn streets, one after the other: one process on one core, two processes on a core
each, and one process on two cores. All run the command ``train`` on JAX with the course's network; the first epoch,
which compiles, does not count, and the rounds after the first run the other way round.

``load``: on one core, what feeds a training step beside the step itself: frames read from files (once a run), batches
made of them (every epoch, zoomed and coloured at random), and steps on a batch that is there already.

``read``: 1, 2 and 4 processes read the files together, each its own shard, on as many cores as the machine has.

Needs Linux, two cores and JAX. Figures go to data/results/machines.json; what is not measured again is kept there. What
JAX compiles is kept in data/cache/compiled, so that a second run is shorter.
"""

import argparse
import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from roidepth_lessons import DATA_FOLDER, kitti, streets
from roidepth_lessons.study_book import facts

RESULTS = DATA_FOLDER / "results" / "machines.json"
ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    "JAX_COMPILATION_CACHE_DIR": str(DATA_FOLDER / "cache" / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
WAYS = {"one_core": ({0},), "two_processes": ({0}, {1}), "two_cores": ({0, 1},)}
"""The cores of each process."""
SEED = 7
"""Of the streets."""

BEGIN = """
import os, sys, time


class Hidden:
    def find_spec(self, name, *rest):
        if name == "tensorflow":
            raise ModuleNotFoundError(name)


os.sched_setaffinity(0, map(int, sys.argv.pop(1).split(",")))  # XLA makes as many threads as there are cores for it
sys.meta_path.insert(0, Hidden())  # it isn't needed, and is slow to import
"""
TRAIN = (
    BEGIN
    + """
from roidepth_lessons.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
)
READ = (
    BEGIN
    + """
from roidepth_lessons import kitti
root, shard, shards, times = sys.argv[1], *map(int, sys.argv[2:])
ids = kitti.frame_ids(root)[shard::shards]
print("ready", flush=True)
sys.stdin.readline()
begin = time.monotonic()
for _ in range(times):
    for each in ids:
        kitti.read_frame(root, each)
print(len(ids) * times, time.monotonic() - begin)
"""
)
STEP = (
    BEGIN
    + """
import json
import keras
from roidepth_lessons import augmentation, dataset, model, train

root, batch_size, height, width, seconds = sys.argv[1], *map(int, sys.argv[2:])


def rate(work, count):  # images a second in each of three equal parts of the time; count: images of one piece of work
    rates = []
    for _ in range(3):
        begin, done = time.monotonic(), 0
        while time.monotonic() < begin + seconds / 3:
            work()
            done += count
        rates.append(done / (time.monotonic() - begin))
    return rates


examples = train.read_examples(root, height, width)
batches = dataset.Batches(examples, batch_size, ranges=augmentation.STRENGTHS["tilted"])
network = model.build_network()
train.compile_network(network, 1000, 1e-4)
inputs, targets = batches[0]
network.train_on_batch(inputs, targets)
turn = iter(range(1_000_000_000))
print(json.dumps({
    "batches": rate(lambda: batches[next(turn) % len(batches)], batch_size),
    "steps": rate(lambda: network.train_on_batch(inputs, targets), batch_size),
    "parameters": sum(int(each.size) for each in map(keras.ops.convert_to_numpy, network.trainable_variables)),
}))
"""
)


def run(program, arguments, cores):
    """Starts a process for each set of cores; `arguments`: of each."""
    return [
        subprocess.Popen(
            [sys.executable, "-c", program, ",".join(map(str, sorted(own))), *map(str, more)],
            env=os.environ | ENVIRONMENT,
            cwd=DATA_FOLDER.parent,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        for own, more in zip(cores, arguments, strict=True)
    ]


def trained(root, way, options, batch_size):
    """Images a second of the epochs after the first, one number for each."""
    cores = WAYS[way]
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        out = Path(folder) / "out.keras"
        command = ["train", f"--data={root}", f"--out={out}", f"--height={options.height}", f"--width={options.width}"]
        command += [f"--epochs={options.epochs + 1}", f"--batch-size={batch_size}", "--shards=2"]
        together = [f"--processes={len(cores)}", f"--job-addresses={address}"] if len(cores) > 1 else []
        arguments = [[*command, *together, *[f"--process={i}"] * bool(together)] for i in range(len(cores))]
        processes = run(TRAIN, arguments, cores)
        try:
            for process in processes:
                _, error = process.communicate(timeout=3600)
                if process.returncode:
                    raise RuntimeError(f"{way}: train failed: {error[-2000:]}")
        finally:
            for process in processes:
                process.kill()
        lines = (Path(folder) / "out_run" / "log.jsonl").read_text().splitlines()[1:]
        images = options.streets // batch_size * batch_size
        return [images / json.loads(line)["seconds"] for line in lines]


def read(root, cores, times):
    """Frames a second that processes read together, each its own shard, all starting at the same moment."""
    processes = run(READ, [[root, shard, len(cores), times] for shard in range(len(cores))], cores)
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    counts, seconds = zip(*(map(float, process.communicate()[0].split()) for process in processes), strict=True)
    return sum(counts) / max(seconds)


def spread(values):
    """Median and range."""
    return {"median": float(np.median(values)), "range": [float(min(values)), float(max(values))]}


def measure_training(root, options, _):
    """Images a second of the three ways, for each size of the whole batch."""
    sizes = [int(each) for each in options.batch_sizes.split(",")]
    speeds = {size: {way: [] for way in WAYS} for size in sizes}
    for number in range(options.rounds):
        for size in sizes:
            for way in (list(WAYS), list(WAYS)[::-1])[number % 2]:
                speeds[size][way] += trained(root, way, options, size)
                print(f"round {number + 1}, batch {size}, {way}: {speeds[size][way][-1]:.2f} images/s", flush=True)
    return {
        "streets": options.streets,
        "images_per_second": {
            str(size): {way: spread(values) for way, values in ways.items()} for size, ways in speeds.items()
        },
        **{
            f"two_processes_over_{way}": {
                str(size): float(np.median(ways["two_processes"]) / np.median(ways[way]))
                for size, ways in speeds.items()
            }
            for way in ("one_core", "two_cores")
        },
    }


def measure_loading(root, options, _):
    """What feeds a step, beside the step, on one core."""
    size = int(options.batch_sizes.split(",")[-1])
    arguments = [root, size, options.height, options.width, options.seconds]
    said, error = run(STEP, [arguments], ({0},))[0].communicate(timeout=3600)
    if not said:
        raise RuntimeError(error[-2000:])
    found = json.loads(said.splitlines()[-1])
    once = [read(root, ({0},), times=8) for _ in range(3)]
    steps, batches, files = (np.median(each) for each in (found["steps"], found["batches"], once))
    return {
        "batch_size": size,
        "images_per_second_on_one_core": {
            "steps": spread(found["steps"]),
            "batches": spread(found["batches"]),
            "files": spread(once),
            "batches_over_steps": float(batches / steps),
            "files_over_steps": float(files / steps),
        },
        "parameters": found["parameters"],
        "gradient_bytes_per_step": 4 * found["parameters"],
    }


def measure_reading(root, options, bytes_of_frame):
    """Frames and bytes read a second by number of processes, which take turns."""
    everyone = set(range(os.cpu_count()))
    reading = {processes: [] for processes in (1, 2, 4)}
    for _ in range(5):
        for processes, found in reading.items():
            found.append(read(root, [everyone] * processes, times=12))
    return {
        "cores": len(everyone),
        "frames_read_per_second": {str(number): spread(values) for number, values in reading.items()},
        "bytes_read_per_second": {
            str(number): float(np.median(values)) * bytes_of_frame for number, values in reading.items()
        },
        "over_one_process": {
            str(number): spread(np.divide(values, reading[1])) for number, values in reading.items() if number > 1
        },
    }


PARTS = {"train": measure_training, "load": measure_loading, "read": measure_reading}


def main():
    """Measures, prints, and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2, help="that count, after the first (default %(default)s)")
    parser.add_argument("--streets", type=int, default=16, help="default %(default)s")
    parser.add_argument("--batch-sizes", default="8", help="of all processes together (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=12, help="for batches, and for steps (default %(default)s)")
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=416)
    parser.add_argument("--json", default=str(RESULTS))
    options = parser.parse_intermixed_args()
    signal.signal(signal.SIGTERM, lambda *rest: sys.exit(1))  # so that no child is left
    results = kitti.read_json(options.json) if Path(options.json).is_file() else {}
    given = " ".join(sys.argv[1:])
    about = {
        **facts(f"python tests/machines.py {given}".strip()),
        "versions": {name: importlib.metadata.version(name) for name in ("keras", "jax")},
        "size": [options.height, options.width],
    }
    with tempfile.TemporaryDirectory() as root:
        streets.write_streets(root, options.streets, SEED, options.height, options.width, progress=False)
        files = [path for path in (Path(root) / "training").rglob("*") if path.is_file()]
        about["bytes_of_a_frame"] = sum(path.stat().st_size for path in files) / options.streets
        for part in options.parts or PARTS:
            figures = PARTS[part](root, options, about["bytes_of_a_frame"])
            results[part] = {**about, **figures}
            kitti.write_json(options.json, results)
            print(json.dumps(results[part], indent=1), flush=True)


if __name__ == "__main__":
    main()
