"""Statistics of KITTI's labels, which streets are laid out from: how many objects, where, how turned, how large.

``python -m roidepth_lessons.label_statistics LABEL_FOLDER OUT.json`` makes them from a folder of real labels;
``data/kitti_statistics.json`` holds those of KITTI's training labels.
"""

import argparse
import functools
import json
from pathlib import Path

import numpy as np

from . import CLASSES, DATA_FOLDER
from .kitti import read_calibration, read_labels, write_text

COUNTED_CLASSES = (*CLASSES, "Van", "Truck")
"""The classes that streets are made of: those the network knows, and what resembles them."""

LEVELS = np.linspace(0, 1, 41)
"""The levels of the stored quantiles."""

DISTANCE_EDGES = (0.0, 10.0, 20.0, 30.0, 45.0, 100.0)
"""Ranges of distance (metres) with lateral positions of their own."""

SIDE_EDGES = (-1e3, -6.0, -1.5, 1.5, 6.0, 1e3)
"""Ranges of the lateral position (metres) with directions of their own."""

YAW_BINS = 24
"""Bins of the histograms of yaw, from -pi to pi."""


def label_statistics(labels_folder):
    """The statistics that streets draw from, made from KITTI label files.

    Args:
        labels_folder: Folder of ``ID.txt`` files in KITTI's label format.

    Returns:
        Dictionary, ready for JSON. Per class: `per_frame` (share of frames with 0, 1, 2 ... objects), `z` (quantiles
        of the distance), `x` (quantiles of the lateral position for each range of distance), `yaw` (histogram for
        each range of the lateral position), `dimensions_mean` and `dimensions_covariance` (height, width, length;
        metres).

    Raises:
        FileNotFoundError: if there is no label file. ValueError: if a row can't be read; names file and line.
    """
    paths = sorted(Path(labels_folder).glob("*.txt"))
    if not paths:
        raise FileNotFoundError(f"no label files (*.txt) in {labels_folder}")
    rows = [(index, *row) for index, path in enumerate(paths) for row in _label_rows(path)]
    classes = {name: _class_statistics(rows, name, len(paths)) for name in COUNTED_CLASSES}
    return {"frames": len(paths), "classes": classes, "ground": _ground_statistics(rows)}


def _label_rows(path):
    """Name, height, width, length, x, y, z, yaw of every row."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        name, *values = line.split() or [""]
        try:
            height, width, length, x, y, z, yaw = (float(value) for value in values[7:14])
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not a row of KITTI labels: {line!r}") from error
        yield name, height, width, length, x, y, z, yaw


def _class_statistics(rows, name, frames):
    chosen = np.array([(row[0], *row[2:]) for row in rows if row[1] == name])  # the name, row[1], is left out
    if len(chosen) < 50:
        raise ValueError(f"only {len(chosen)} objects of class {name}; at least 50 are needed for statistics")
    index, dimensions, (x, z, yaw) = chosen[:, 0].astype(int), chosen[:, 1:4], chosen[:, [4, 6, 7]].T
    counts = np.bincount(np.bincount(index, minlength=frames))
    by_distance = []
    for i in range(len(DISTANCE_EDGES) - 1):
        there = _between(z, DISTANCE_EDGES, i)
        by_distance.append(np.quantile(x[there] if there.sum() >= 20 else x, LEVELS))
    yaws = [
        np.histogram(yaw[_between(x, SIDE_EDGES, i)], YAW_BINS, (-np.pi, np.pi))[0] for i in range(len(SIDE_EDGES) - 1)
    ]
    return {
        "objects": len(chosen),
        "per_frame": np.round(counts / frames, 6).tolist(),
        "z": np.quantile(z, LEVELS).round(2).tolist(),
        "x": np.round(by_distance, 2).tolist(),
        "yaw": [np.round((each + 0.2) / (each + 0.2).sum(), 4).tolist() for each in yaws],
        "dimensions_mean": dimensions.mean(axis=0).round(4).tolist(),
        "dimensions_covariance": np.cov(dimensions.T).round(6).tolist(),
    }


def _between(values, edges, index):
    return (values >= edges[index]) & (values < edges[index + 1])


def _ground_statistics(rows):
    """Fit y = height + slope * z to the cars of every frame that has at least five of them over 15 m of depth."""
    cars = np.array([(row[0], row[6], row[7]) for row in rows if row[1] in ("Car", "Van", "Truck")])
    fits = []
    for chosen in np.split(cars, np.flatnonzero(np.diff(cars[:, 0])) + 1):
        if len(chosen) >= 5 and np.ptp(chosen[:, 2]) > 15:
            fits.append(np.polyfit(chosen[:, 2], chosen[:, 1], 1)[::-1])
    if not fits:
        raise ValueError("no frame has five cars over 15 m of depth: the ground can't be fitted")
    height, slope = np.quantile(fits, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0).T
    return {
        "levels": [0.05, 0.25, 0.5, 0.75, 0.95],
        "height": height.round(4).tolist(),
        "slope": slope.round(5).tolist(),
    }


def apparent_heights(labels_folder, calibration_folder):
    """How high objects look: the median of ``z * box_height / focal_length`` per class, in metres.

    Only labels that are neither occluded nor cut off by the image count. Used in ``z = f H / h``, it makes a fairer
    baseline than the mean height in 3D, since a box shows an object's near side.

    Args:
        labels_folder: Folder of ``ID.txt`` files in KITTI's label format.
        calibration_folder: Folder of KITTI calibration files with the same names: each frame has its own ``P2``.

    Returns:
        Dictionary from class to metres.

    Raises:
        FileNotFoundError: if a frame has no calibration. ValueError: if a file can't be read, or if a class has fewer
            than 50 such objects.
    """
    heights = {name: [] for name in COUNTED_CLASSES}
    for path in sorted(Path(labels_folder).glob("*.txt")):
        focal_length = read_calibration(Path(calibration_folder) / path.name).projection[1, 1]
        for each in read_labels(path):
            if each.name in heights and each.occlusion == each.truncation == 0 and each.distance > 0:
                heights[each.name].append(each.distance * (each.box[3] - each.box[1]) / focal_length)
    if few := [name for name, values in heights.items() if len(values) < 50]:
        raise ValueError(f"{labels_folder}: fewer than 50 fully visible objects of class {few[0]}")
    return {name: round(float(np.median(values)), 4) for name, values in heights.items()}


@functools.cache
def kitti_statistics():
    """The stored statistics of the real labels: ``data/kitti_statistics.json``."""
    path = DATA_FOLDER / "kitti_statistics.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it belongs to the repository: run `git checkout {path}`")
    return json.loads(path.read_text())


def main(arguments=None):
    """``python -m roidepth_lessons.label_statistics LABEL_FOLDER OUT.json``: write the statistics of real labels.

    The calibration files are those in the folder ``calib`` beside LABEL_FOLDER.
    """
    parser = argparse.ArgumentParser(prog="python -m roidepth_lessons.label_statistics", description=main.__doc__)
    parser.add_argument("labels_folder", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args(arguments)
    about = {
        "source": "KITTI object benchmark, official training labels (Geiger, Lenz, Urtasun, CVPR 2012)",
        "licence": "Only aggregated statistics; the labels themselves (CC BY-NC-SA 3.0) are not part of this file.",
        "command": "python -m roidepth_lessons.label_statistics LABEL_FOLDER data/kitti_statistics.json",
    }
    statistics = {**about, **label_statistics(options.labels_folder)}
    for name, height in apparent_heights(options.labels_folder, options.labels_folder.parent / "calib").items():
        statistics["classes"][name]["apparent_height"] = height
    text = json.dumps(statistics) + "\n"
    write_text(options.output, text)


if __name__ == "__main__":
    main()
