"""Keras's three backends: do the package's tests pass on each, and do the shipped weights find the same objects?

    python tests/backends.py weights [--kitti ROOT]
    python tests/backends.py tests [--backends jax,torch] [FILE ...]

The first runs the command ``predict`` in a process per backend, with all weights files, on the sample's streets and,
with ``--kitti``, on the first frames of that folder; what each finds is compared with what TensorFlow finds. The
second runs pytest on one test file after the other. What a test file or a single test needs TensorFlow for stands in
``TENSORFLOW_ONLY`` below. Both store their figures in data/results/backends.json.
"""

import argparse
import collections
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from pathlib import Path

import numpy as np

from roidepth_lessons import DATA_FOLDER, LARGE_STREET_WEIGHTS, LEAN_STREET_WEIGHTS, SHIPPED_WEIGHTS, kitti
from roidepth_lessons.study_book import facts

HERE = Path(__file__).resolve().parent
BACKENDS = ("tensorflow", "jax", "torch")
RESULTS = DATA_FOLDER / "results" / "backends.json"
SAMPLE = DATA_FOLDER / "sample" / "training" / "image_2"
REAL_FRAMES = 10
"""Of the folder `--kitti`: JAX compiles anew for every size of a window."""
WEIGHTS = (SHIPPED_WEIGHTS, LARGE_STREET_WEIGHTS, LEAN_STREET_WEIGHTS)
PIXELS, SHARE = 0.01, 1e-3
"""How far a box's edge (in pixels) and a distance or a score (as a part of it) may be from TensorFlow's."""

NOT_OF_THE_PACKAGE = {
    "test_backends.py": "runs other tests on other backends",
    "test_command_line.py": "the command line starts TensorFlow; what it calls is tested in the files of the modules",
    "test_lesson_machinery.py": "lessons run on TensorFlow",
    "test_lessons.py": "lessons run on TensorFlow",
    "test_readme.py": "README and stored figures",
    "test_seeds.py": "lessons run on TensorFlow",
    "test_style.py": "the style of the code",
}
"""Test files that are about something else, with the reason."""
TENSORFLOW_ONLY = {
    "test_checks.py::test_an_exercise_accepts_right_answers_and_names_mistakes[11.3]": "it looks at gradients",
    "test_export.py::test_a_failure_of_a_converter_leaves_nothing_and_is_one_line": "`export` writes with it",
    "test_export.py::test_the_drives_that_the_weights_have_seen_go_along": "`export` writes with it",
    "test_multitask.py::test_a_first_step_makes_no_variables_and_is_the_same_as_without": "others trace no steps",
    "test_session.py::test_start_is_quiet_repeatable_and_may_be_called_again": "it looks at TensorFlow's threads",
    "test_toys_tf1.py": "it is about graphs of TensorFlow 1",
}
"""What tests/conftest.py skips on other backends, a test file, a test or one of its cases, with the reason. Of the
package itself, only `export` needs TensorFlow, to write."""
QUICK = {
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    "JAX_COMPILATION_CACHE_DIR": str(DATA_FOLDER / "cache" / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""For JAX: tests compile much and compute little; nothing is compiled twice."""

PROGRAM = """
import json, os, sys


class Hidden:
    def find_spec(self, name, *rest):
        if name == "tensorflow":
            raise ModuleNotFoundError(name)


if os.environ["KERAS_BACKEND"] == "jax":
    sys.meta_path.insert(0, Hidden())  # it isn't needed, and is slow to import; PyTorch looks for it by itself
from roidepth_lessons.__main__ import main
for command in json.loads(sys.argv[1]):
    if code := main(command):
        sys.exit(code)
"""


def installed():
    """The backends that can be run here."""
    return [backend for backend in BACKENDS if importlib.util.find_spec(backend)]


def predictions(backend, photos, weights=WEIGHTS):
    """What ``predict`` writes for some photos (or folders of them) on a backend: for each weights file a list of dicts.

    Raises:
        RuntimeError: if the command fails; with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        outs = [Path(folder) / f"{number}.json" for number in range(len(weights))]
        commands = [
            ["predict", *map(str, photos), "--weights", str(file), "--json", str(out)]
            for file, out in zip(weights, outs, strict=True)
        ]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(commands)], cwd=DATA_FOLDER.parent,
            env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, timeout=3600,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"predict on {backend} failed: {done.stderr[-2000:]}")
        return [kitti.read_json(out) for out in outs]


def differences(reference, other):
    """How far the predictions of one backend are from those of another.

    Args:
        reference, other: Of the same photos, as from :func:`predictions`.

    Returns:
        A dictionary: ``objects`` found; ``photos_with_other_objects``, those whose number of objects or their classes
        differ; and over all others the largest differences: ``box_pixels``, of any edge; ``distance``, ``depth``
        (surface) and ``score`` as parts of the reference's; ``head_work`` of a share.

    Raises:
        ValueError: if they are not of the same photos.
    """
    if [each["image"] for each in reference] != [each["image"] for each in other]:
        raise ValueError("these are not predictions of the same photos")
    found = {"objects": sum(len(each["objects"]) for each in other), "photos_with_other_objects": []}
    largest = dict.fromkeys(("box_pixels", "distance", "depth", "score", "head_work"), 0.0)
    for before, now in zip(reference, other, strict=True):
        if _classes(before) != _classes(now):
            found["photos_with_other_objects"].append(before["image"])
            continue
        here = {"head_work": abs(now["head_work"] - before["head_work"])}
        if now["objects"]:
            here["box_pixels"] = np.abs(_values(now, "box") - _values(before, "box")).max()
            for name, key in (("distance", "distance_m"), ("depth", "surface_distance_m"), ("score", "score")):
                here[name] = np.abs(_values(now, key) / _values(before, key) - 1).max()
        largest |= {name: max(largest[name], float(value)) for name, value in here.items()}
    return {**found, **largest}


def _classes(row):
    return [each["class"] for each in row["objects"]]


def _values(row, key):
    return np.array([each[key] for each in row["objects"]], dtype=np.float64)


def same_objects(found):
    """Whether :func:`differences` are within `PIXELS` and `SHARE`, and nothing else was found."""
    near = found["box_pixels"] <= PIXELS and max(found["distance"], found["score"]) <= SHARE
    return near and not found["photos_with_other_objects"]


def compare(photos, backends, weights=WEIGHTS):
    """Predicts on TensorFlow and on `backends`: ``{name of a weights file: {backend: differences}}``; TensorFlow's own
    count is among them.
    """
    reference = predictions("tensorflow", photos, weights)
    found = {Path(file).name: {} for file in weights}
    for backend in ("tensorflow", *backends):
        other = reference if backend == "tensorflow" else predictions(backend, photos, weights)
        for figures, before, now in zip(found.values(), reference, other, strict=True):
            figures[backend] = differences(before, now)
    return found


def compare_weights(root=None):
    """What is stored of the shipped weights; `root`: a folder in the KITTI layout, to take its first frames, too."""
    photos, command = [SAMPLE], "python tests/backends.py weights"
    if root:
        frame_ids = kitti.frame_ids(root)[:REAL_FRAMES]
        photos += [Path(root) / "training" / "image_2" / f"{frame_id}.png" for frame_id in frame_ids]
        command += " --kitti KITTI"
    figures = compare(photos, [backend for backend in installed() if backend != "tensorflow"])
    for backends in figures.values():  # no path of this machine
        for each in backends.values():
            each["photos_with_other_objects"] = [Path(path).name for path in each["photos_with_other_objects"]]
            each["same_objects"] = same_objects(each)
    return {
        **facts(command),
        "versions": versions(*installed()),
        "photos": len(list(SAMPLE.glob("*.png"))) + len(photos) - 1,
        "real_photos": len(photos) - 1,
        "compared_with": "tensorflow",
        "files": figures,
    }


def versions(*names):
    return {name: importlib.metadata.version(name) for name in ("keras", "numpy", *names)}


def package_files():
    """The names of the package's test files."""
    return sorted({path.name for path in HERE.glob("test_*.py")} - set(NOT_OF_THE_PACKAGE))


def run_tests(backend, file):
    """Runs one test file on a backend. Returns a dictionary: ``passed``, ``skipped``, ``failed`` (errors are among
    them), ``seconds``, ``skipped_because`` {reason: how many}, ``failures`` [names].
    """
    environment = os.environ | {"KERAS_BACKEND": backend} | (QUICK if backend == "jax" else {})
    with tempfile.TemporaryDirectory() as folder:
        report, began = Path(folder) / "report.xml", time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", HERE / file],
            cwd=HERE.parent, env=environment, capture_output=True, text=True, timeout=3600,
        )  # fmt: skip
        seconds = time.monotonic() - began
        if not report.is_file():
            raise RuntimeError(f"{file} on {backend}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        cases = list(xml.etree.ElementTree.parse(report).iter("testcase"))
    skipped = [each.find("skipped").get("message") for each in cases if each.find("skipped") is not None]
    broken = [each.get("name") for each in cases if each.find("failure") is not None or each.find("error") is not None]
    return {
        "passed": len(cases) - len(skipped) - len(broken),
        "skipped": len(skipped),
        "failed": len(broken),
        "seconds": round(seconds, 1),
        "skipped_because": dict(collections.Counter(skipped)),
        "failures": broken,
    }


def summed(backend, files):
    """What is stored of a backend: its test files, as from :func:`run_tests`, and what they come to."""
    total = {kind: sum(each[kind] for each in files.values()) for kind in ("passed", "skipped", "failed", "seconds")}
    given = f"python tests/backends.py tests --backends {backend}"
    return {**facts(given), "versions": versions(backend), **total, "files": dict(sorted(files.items()))}


def main():
    """Compares or tests, prints, and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("weights", "tests"))
    parser.add_argument("files", nargs="*", help="test files (default: all of the package); others keep their figures")
    parser.add_argument("--kitti", help="folder in the KITTI layout: its first frames, too")
    parser.add_argument("--backends", default=",".join(installed()), help="to test (default: %(default)s)")
    parser.add_argument("--json", default=str(RESULTS), help="file to write (default: %(default)s)")
    options = parser.parse_intermixed_args()

    def stored():
        return kitti.read_json(options.json) if Path(options.json).is_file() else {}

    def keep(**figures):  # what another backend's run has written meanwhile stays
        kitti.write_json(options.json, {**stored(), **figures})

    if options.what == "weights":
        weights = compare_weights(options.kitti)
        keep(weights=weights)
        print(json.dumps(weights["files"], indent=1))
        return 0 if all(each["same_objects"] for file in weights["files"].values() for each in file.values()) else 1
    failed = 0
    for backend in options.backends.split(","):
        files = stored().get("tests", {}).get(backend, {}).get("files", {})
        files = {name: figures for name, figures in files.items() if name in package_files()}
        for name in [Path(file).name for file in options.files] or package_files():
            files[name] = run_tests(backend, name)
            figures = summed(backend, files)
            keep(tests={**stored().get("tests", {}), backend: figures}, tests_not_run=NOT_OF_THE_PACKAGE)
            print(backend, name, {kind: figures for kind, figures in files[name].items() if figures}, flush=True)
        failed += figures["failed"]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
