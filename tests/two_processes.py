"""Two processes beside one, and one of them killed: python tests/two_processes.py

What tests/test_distributed.py tests, on other streets, with the logs of both stored in data/results/two_processes.json:
one process trains; two train together, the second is killed (SIGKILL) in the third epoch, and both are started again
with the same commands. Needs JAX. So that it takes a minute, `tiny.toy_network` takes the place of the network, and
compiled code is not optimised; seconds in the logs are mostly compilation.
"""

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
from test_distributed import Run, ends, start, start_pair

from roidepth_lessons import DATA_FOLDER, kitti, streets, train
from roidepth_lessons.study_book import facts

RESULTS = DATA_FOLDER / "results" / "two_processes.json"
STREETS = 9
"""An odd number: one process reads a frame more than the other."""
COMMAND = (
    "python -m roidepth_lessons train --data STREETS --out out.keras --epochs 3 --batch-size 4 --height 64 --width 128"
)
TOGETHER = "--job-addresses 127.0.0.1:PORT --processes 2 --process"


def frames_read(said):
    """How many training frames a process says it has read."""
    return int(said.split(" frames")[0].split("read ")[-1].split(" of ")[0])


def logs_of(out):
    return list(train.read_log(out.parent / "out_run").values())


def largest_difference(logs, others):
    names = set(logs[0]) - {"seconds", "epoch"}
    return max(abs(one[name] - other[name]) for one, other in zip(logs, others, strict=True) for name in names)


def main():
    """Trains, compares, prints and writes the figures."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache, *outs = (Path(folder) / name for name in ("streets", "cache", "one/out.keras", "two/out.keras"))
        streets.write_streets(root, STREETS, 5, 64, 128, workers=1, progress=False)
        alone = ends([start(root, outs[0], cache)])
        broken = ends(start_pair(root, outs[1], cache, killed=1))
        before = logs_of(outs[1])
        again = ends(start_pair(root, outs[1], cache))
        codes = [[each[0] for each in ended] for ended in (alone, broken, again)]
        if codes != [[0], [2, -9], [0, 0]]:
            raise RuntimeError(f"ended with {codes}: {alone} {broken} {again}")
        one, two = Run.of(outs[0], alone), Run.of(outs[1], again)
        logs = [logs_of(out) for out in outs]
    result = {
        **facts("python tests/two_processes.py"),
        "versions": {name: version(name) for name in ("keras", "jax")},
        "one_process": {"command": COMMAND, "log": logs[0]},
        "two_processes": {
            "commands": [f"{COMMAND} {TOGETHER} {index}" for index in range(2)],
            "frames_read": [frames_read(each[1]) for each in again],
            "killed": {
                "exit_codes": codes[1],
                "said_by_the_other": broken[0][2].strip().split(" (")[0],
                "epochs_kept": [line["epoch"] for line in before],
            },
            "log": logs[1],
            "log_of_epochs_before_the_kill_is_kept": before == logs[1][: len(before)],
        },
        "largest_loss_difference": largest_difference(*logs),
        "loss_decimals": 5,
        "largest_weight_difference": float(
            max(np.abs(a - b).max() for a, b in zip(one.weights, two.weights, strict=True))
        ),
        "weight_arrays": len(one.weights),
    }
    kitti.write_json(RESULTS, result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
