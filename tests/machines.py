"""What another process brings, in images and bytes a second: python tests/machines.py [--rounds N]

Three ways to train on drawn streets take turns, so that a busy machine slows all alike: one process on one core,
two processes on a core each, and one process on two cores. All run the command ``train`` on JAX; the first epoch, which
compiles, does not count. Then one process and two read the same frames. Needs Linux, two cores and JAX.
"""

import argparse
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from roidepth_lessons import DATA_FOLDER, kitti, streets
from roidepth_lessons.study_book import facts

RESULTS = DATA_FOLDER / "results" / "machines.json"
WAYS = {"one_core": ({0},), "two_processes": ({0}, {1}), "two_cores": ({0, 1},)}
"""The cores of each process."""

TRAIN = """
import os, sys


class Hidden:
    def find_spec(self, name, *rest):
        if name == "tensorflow":
            raise ModuleNotFoundError(name)


os.sched_setaffinity(0, map(int, sys.argv.pop(1).split(",")))  # XLA makes as many threads as there are cores for it
sys.meta_path.insert(0, Hidden())  # it isn't needed, and is slow to import
from roidepth_lessons.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
READ = """
import os, sys, time
os.sched_setaffinity(0, map(int, sys.argv[1].split(",")))
from roidepth_lessons import kitti
root, shard, shards, times = sys.argv[2], *map(int, sys.argv[3:])
ids = kitti.frame_ids(root)[shard::shards]
print("ready", flush=True)
sys.stdin.readline()
begin = time.monotonic()
for _ in range(times):
    for each in ids:
        kitti.read_frame(root, each)
print(len(ids) * times, time.monotonic() - begin)
"""


def run(program, arguments, cores):
    """Starts a process for each set of cores; `arguments`: of each."""
    return [
        subprocess.Popen(
            [sys.executable, "-c", program, ",".join(map(str, sorted(own))), *map(str, more)],
            env=os.environ | {"KERAS_BACKEND": "jax"},
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
        for process in processes:
            _, error = process.communicate(timeout=3600)
            if process.returncode:
                raise RuntimeError(f"{way}: train failed: {error[-2000:]}")
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


def main():
    """Measures, prints, and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2, help="that count, after the first (default %(default)s)")
    parser.add_argument("--streets", type=int, default=64, help="default %(default)s")
    parser.add_argument("--batch-sizes", default="4,16", help="of all processes together (default %(default)s)")
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=416)
    parser.add_argument("--busy", action="store_true", help="note that other work ran on the machine")
    parser.add_argument("--json", default=str(RESULTS))
    options = parser.parse_args()
    sizes = [int(each) for each in options.batch_sizes.split(",")]
    with tempfile.TemporaryDirectory() as root:
        streets.write_streets(root, options.streets, 7, options.height, options.width, progress=False)
        files = [path for path in (Path(root) / "training").rglob("*") if path.is_file()]
        bytes_of_frame = sum(path.stat().st_size for path in files) / options.streets
        speeds = {size: {way: [] for way in WAYS} for size in sizes}
        reading = {"one_process": [], "two_processes": []}
        for number in range(options.rounds):
            for size in sizes:
                for way in (list(WAYS), list(WAYS)[::-1])[number % 2]:
                    speeds[size][way] += trained(root, way, options, size)
                    print(f"round {number + 1}, batch {size}, {way}: {speeds[size][way][-1]:.2f} images/s", flush=True)
            for name, cores in (("one_process", ({0},)), ("two_processes", ({0}, {1}))):
                reading[name].append(read(root, cores, times=3))
    given = " ".join(sys.argv[1:])
    result = {
        **facts(f"python tests/machines.py {given}".strip()),
        "versions": {name: importlib.metadata.version(name) for name in ("keras", "jax")},
        "other_work_on_the_machine": options.busy,
        "size": [options.height, options.width],
        "streets": options.streets,
        "bytes_of_a_frame": bytes_of_frame,
        "images_per_second": {
            str(size): {way: spread(values) for way, values in ways.items()} for size, ways in speeds.items()
        },
        "two_processes_over_one_core": {
            str(size): spread(np.divide(ways["two_processes"], ways["one_core"])) for size, ways in speeds.items()
        },
        "two_processes_over_two_cores": {
            str(size): spread(np.divide(ways["two_processes"], ways["two_cores"])) for size, ways in speeds.items()
        },
        "training_reads_bytes_per_second": {
            str(size): {way: float(np.median(values)) * bytes_of_frame for way, values in ways.items()}
            for size, ways in speeds.items()
        },
        "frames_read_per_second": {name: spread(values) for name, values in reading.items()},
        "bytes_read_per_second": {name: float(np.median(each)) * bytes_of_frame for name, each in reading.items()},
        "reading_over_training": float(np.median(reading["one_process"]) / np.median(speeds[sizes[-1]]["one_core"])),
    }
    text = json.dumps(result, indent=2) + "\n"
    kitti.write_text(options.json, text)
    print(text, end="")


if __name__ == "__main__":
    main()
