"""The shipped weights on all backends of Keras that are installed: python tests/backends.py [--kitti ROOT]

The command ``predict`` runs in a process of its own per backend, on the sample's streets and, with ``--kitti``, on the
first frame of that folder. What each backend finds is compared with what TensorFlow finds.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from roidepth_lessons import DATA_FOLDER, kitti

BACKENDS = ("tensorflow", "jax", "torch")
RESULTS = DATA_FOLDER / "results" / "backends.json"
SAMPLE = DATA_FOLDER / "sample" / "training" / "image_2"
PIXELS, SHARE = 0.01, 1e-3
"""How far a box's edge (in pixels) and a distance or a score (as a part of it) may be from TensorFlow's."""

PROGRAM = """
import os, sys


class Hidden:
    def find_spec(self, name, *rest):
        if name == "tensorflow":
            raise ModuleNotFoundError(name)


if os.environ["KERAS_BACKEND"] != "tensorflow":
    sys.meta_path.insert(0, Hidden())  # it isn't needed, and is slow to import
from roidepth_lessons.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def installed():
    """The backends that can be run here."""
    return [backend for backend in BACKENDS if importlib.util.find_spec(backend)]


def predictions(backend, photos):
    """What ``predict`` writes for some photos (or folders of them) on a backend, as a list of dictionaries.

    Raises:
        RuntimeError: if the command fails; with what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = ["predict", *map(str, photos), "--json", str(out)]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *command], cwd=DATA_FOLDER.parent,
            env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, timeout=3600,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"predict on {backend} failed: {done.stderr[-2000:]}")
        return json.loads(out.read_text())


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


def compare(photos, backends):
    """Predicts on TensorFlow and on `backends`: ``{backend: differences}``, TensorFlow's own count among them."""
    reference = predictions("tensorflow", photos)
    return {
        backend: differences(reference, reference if backend == "tensorflow" else predictions(backend, photos))
        for backend in ("tensorflow", *backends)
    }


def main():
    """Compares, prints, and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kitti", help="folder in the KITTI layout: its first frame, too")
    parser.add_argument("--json", default=str(RESULTS), help="file to write (default: %(default)s)")
    options = parser.parse_args()
    photos, command = [SAMPLE], "python tests/backends.py"
    if options.kitti:
        photos.append(Path(options.kitti) / "training" / "image_2" / f"{kitti.frame_ids(options.kitti)[0]}.png")
        command += " --kitti KITTI"
    others = [backend for backend in installed() if backend != "tensorflow"]
    figures = compare(photos, others)
    for each in figures.values():  # no path of this machine
        each["photos_with_other_objects"] = [Path(path).name for path in each["photos_with_other_objects"]]
    result = {
        "command": command,
        "photos": len(list(SAMPLE.glob("*.png"))) + len(photos) - 1,
        "versions": {name: importlib.metadata.version(name) for name in ("keras", *figures)},
        "compared_with": "tensorflow",
        "backends": figures,
    }
    text = json.dumps(result, indent=2) + "\n"
    kitti.write_text(options.json, text)
    print(text, end="")
    return 0 if all(same_objects(each) for each in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
