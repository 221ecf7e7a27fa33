"""Synthetic streets: a road photo with its boxes, exact depth and LiDAR-like points, from a seed.

The world is made of convex solids (six or ten planes each) and round tree crowns on a ground plane. A ray from the
camera is ``t * (x, y, 1)``; it meets the plane ``n . p = d`` at the inverse depth ``1 / t = (n / d) . (x, y, 1)``.
That is linear in the pixel, so casting rays at a solid takes one addition per plane and pixel: the smallest inverse
depth of the planes that face the camera is where the ray enters, the largest of the others where it leaves.

Everything is a function of (seed, height, width); the layout of the world is a function of the seed alone.
"""

import argparse
import bisect
import functools
import json
import math
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from . import DATA_FOLDER, __version__
from .camera import Calibration, Camera
from .frames import DONT_CARE, Frame, RoadObject
from .kitti import read_calibration, read_labels, write_atomically, write_frame

OVERSAMPLING = {"Car": 1.0, "Pedestrian": 2.0, "Cyclist": 4.0, "Van": 1.0, "Truck": 1.0}
"""How many times more often than in KITTI a class appears: people and cyclists are rare there."""

SMALLEST_BOX = 25 / 721.5
"""Lower boxes than this share of the focal length are DontCare: KITTI's 25 pixels at its full resolution."""

SMALLEST_VISIBLE = 0.25
"""An object of which less than this share of its pixels is visible is DontCare."""

LIDAR_RANGE = 80.0  # metres
NEAR = 0.3  # metres: nothing is drawn nearer to the camera plane
FARTHEST = 250.0  # metres: depth beyond is given as unknown, as KITTI's 16-bit depth files end at 256 m
SKY, GROUND = 0, 1  # the first two rows of the surface table
SMALL_PART = 120  # pixels: smaller parts are cast together
PLAIN, FACADE, FOLIAGE, WALL, PAINT = range(5)
LEVELS = np.linspace(0, 1, 41)
DISTANCE_EDGES = (0.0, 10.0, 20.0, 30.0, 45.0, 100.0)
SIDE_EDGES = (-1e3, -6.0, -1.5, 1.5, 6.0, 1e3)
YAW_BINS = 24


# --- statistics of the real labels ---------------------------------------------------------------------------------


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
    classes = {name: _class_statistics(rows, name, len(paths)) for name in OVERSAMPLING}
    return {"frames": len(paths), "classes": classes, "ground": _ground_statistics(rows)}


def _label_rows(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        name, *values = line.split() or [""]
        try:
            height, width, length, x, y, z, yaw = (float(value) for value in values[7:14])
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not a row of KITTI labels: {line!r}") from error
        yield name, height, width, length, x, y, z, yaw


def _class_statistics(rows, name, frames):
    chosen = np.array([(row[0], *row[2:]) for row in rows if row[1] == name])
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
    heights = {name: [] for name in OVERSAMPLING}
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


# --- the layout of the world: a function of the seed alone -----------------------------------------------------------


@dataclass
class Street:
    """A street before it is drawn: what stands where, in camera coordinates (metres), and the light.

    Args:
        projection: (3, 4) for an image of 375x1242.
        ground: (height, slope): the ground is y = height + slope * z.
        objects: `RoadObject` without boxes: what can be labelled.
        solids: The `Solids` of objects and scenery.
        style: Numbers for shading: road, light, weather, sensor.
    """

    projection: np.ndarray
    ground: tuple
    objects: list
    solids: "Solids"
    style: dict

    def ground_y(self, z):
        """Height of the ground (y, metres) at depth z."""
        return self.ground[0] + self.ground[1] * z


@dataclass
class Solids:
    """Convex solids, tree crowns and shadows, collected in plain lists.

    A solid is given in the coordinates of its place (x forward, height up, z across) by two rectangles or octagons.
    """

    places: list = field(default_factory=list)  # (x, y, z, yaw)
    boxes: list = field(default_factory=list)  # rows of 10: bottom x0 x1 z0 z1, top x0 x1 z0 z1, low, high
    discs: list = field(default_factory=list)  # rows of 5: centre x, centre height, radius, z0, z1
    crowns: list = field(default_factory=list)  # rows of 6: centre (camera coordinates), radii
    box_facts: list = field(default_factory=list)  # (place, owner, material, colour)
    disc_facts: list = field(default_factory=list)
    crown_facts: list = field(default_factory=list)
    shadows: list = field(default_factory=list)  # rows of 10: see `shadow`

    def place(self, x, y, z, yaw=0.0):
        self.places.append((x, y, z, yaw))
        return len(self.places) - 1

    def at(self, place, owner):
        """The three builders below for one place and owner."""
        return tuple(functools.partial(build, place, owner) for build in (self.box, self.block, self.disc))

    def box(self, place, owner, colour, bottom, top, low, high, material=PLAIN):
        self.boxes.append((*bottom, *top, low, high))
        self.box_facts.append((place, owner, material, colour))

    def block(self, place, owner, colour, x0, x1, z0, z1, low, high, material=PLAIN):
        self.box(place, owner, colour, (x0, x1, z0, z1), (x0, x1, z0, z1), low, high, material)

    def disc(self, place, owner, colour, x, height, radius, z0, z1, material=PLAIN):
        self.discs.append((x, height, radius, z0, z1))
        self.disc_facts.append((place, owner, material, colour))

    def shadow(self, x, z, yaw, half_length, half_width, low, high, strength, owner=-1, is_round=0):
        """What casts a shadow: a rectangle (or a circle) on the ground, carried from height `low` to `high`."""
        self.shadows.append((x, z, yaw, half_length, half_width, low, high, strength, owner, is_round))

    def crown(self, centre, radii, colour):
        self.crowns.append((*centre, *radii))
        self.crown_facts.append((-1, -1, FOLIAGE, colour))


def _palette(text):
    """Colours "rrggbb rrggbb ..." to (n, 3), between 0 and 1."""
    return np.array([tuple(bytes.fromhex(each)) for each in text.split()]) / 255


CAR_SHAPES = ((0.01, 0.2, 0.1), (0.15, 0.25, 0.13), (0.0, 0.23, 0.05), (0.03, 0.18, 0.13), (0.12, 0.26, 0.15))
"""Hatchback, saloon, estate, small car, coupe: boot, bonnet and slant of the rear window, as shares of the length."""
CAR_COLOURS = _palette(
    "17171a 0f0f12 333638 57595e 8c8f94 a3a6a8 d6d6d4 ccccc7"
    " 1a2138 2b3d5c 6b0f0f 8c1712 142b1f 665e4c 4c1a1a 1f1f21 b2b2b5 42474f"
)
CLOTHES = _palette("14141a 1f212e 293357 38476b 4c4742 736654 a8a69e d1cfc7 801f1f 294c33 8c4c66 336b8c 59595e 9e8033")
SKIN = _palette("c79478 b28061 9e7054 6b4733 472e21")
HAIR = _palette("0f0d0a 291a0f 4c331a 806638 8c8a85")
WALLS = _palette("c7bfad d9d4c9 b29e80 9e8066 805442 bfa66b 999999 757a80 a87a5c b8b8a3")


def _pick(rng, palette):
    """A colour of the palette, a little lighter or darker and of another hue."""
    colour = palette[rng.integers(len(palette))] * rng.uniform(0.8, 1.15) + rng.normal(0, 0.02, 3)
    return np.minimum(np.maximum(colour, 0.02), 0.95)


def _span(start, end, half_width):
    """A rectangle from x = start to x = end, as wide on both sides: x0, x1, z0, z1."""
    return start, end, -half_width, half_width


def _car(solids, rng, place, owner, size):
    """Body, cabin, glass, wheels, lights and plates; the front points along +x."""
    box, block, _ = solids.at(place, owner)
    height, width, length = size
    half, side, colour = length / 2, width / 2, _pick(rng, CAR_COLOURS)
    clearance, sill, nose = 0.13 * height, 0.3 * height, height * rng.uniform(0.46, 0.52)
    belt = height * rng.uniform(0.57, 0.62)
    rear, hood, lean_rear = (length * share for share in CAR_SHAPES[rng.integers(len(CAR_SHAPES))])
    lean_front = length * rng.uniform(0.15, 0.2)
    glass = np.array((0.06, 0.07, 0.08)) * rng.uniform(0.6, 2.5)
    box(
        colour * 0.6,
        _span(-half + 0.06, half - 0.1, side - 0.06),
        _span(-half, half, side - 0.02),
        clearance,
        sill,
        PAINT,
    )
    box(colour, _span(-half, half, side - 0.02), _span(-half + 0.04, half - 0.12, side - 0.03), sill, nose, PAINT)
    box(
        colour,
        _span(-half + 0.04, half - 0.12, side - 0.03),
        _span(-half + 0.1, half - hood - 0.02, side - 0.1),
        nose,
        belt,
        PAINT,
    )
    low = np.array(_span(-half + rear + 0.06, half - hood, side - 0.1))
    high = low + np.array((lean_rear, -lean_front, 0.14, -0.14))
    box(colour * 1.05, low, high, belt, height, PAINT)

    def pane(x_start, x_end, z_inset, x_out, z_out):
        """A pane of glass, a finger proud of the cabin, between 12 % and 86 % of its height."""
        levels = []
        for share in (0.1, 0.86):
            x0, x1, _, z1 = (low + share * (high - low)).tolist()
            ends = x0 + x_start * (x1 - x0) - x_out, x0 + x_end * (x1 - x0) + x_out
            levels.append(_span(*ends, z1 - z_inset + z_out))
        box(glass, *levels, belt + 0.1 * (height - belt), belt + 0.86 * (height - belt), PAINT)

    middle = rng.uniform(0.42, 0.52)
    pane(0.07, middle, 0, 0, 0.012)
    pane(middle + 0.04, 0.94, 0, 0, 0.012)
    pane(0, 1, 0.09, 0.012, 0)
    for sign, lamp in ((1, (0.75, 0.76, 0.74)), (-1, (0.4, 0.03, 0.03))):
        face = sorted((sign * (half - 0.3), sign * (half - (0.07 if sign > 0 else 0.02))))
        for across in (-1, 1):
            edges = sorted((across * (side - 0.09), across * (side - 0.09 - 0.2 * width)))
            block(np.array(lamp), *face, *edges, 0.38 * height, 0.46 * height)
        plate = sorted((sign * (half - 0.3), sign * (half - 0.004)))
        block(np.array((0.7, 0.7, 0.68)), *plate, -0.25, 0.25, 0.31 * height, 0.31 * height + 0.1)
        block(np.array((0.05, 0.05, 0.05)), *plate, -0.3 * width, 0.3 * width, 0.2 * height, 0.27 * height)
    _wheels(solids, rng, place, owner, half, side, 0.21 * height)


def _wheels(solids, rng, place, owner, half, side, radius):
    _, _, disc = solids.at(place, owner)
    rim = np.array((0.42, 0.43, 0.45)) * rng.uniform(0.3, 1.4)
    for along in (-0.6, 0.62):
        for across in (-1, 1):
            tyre = sorted((across * (side - 0.01), across * (side - 0.22)))
            hub = sorted((across * side, across * (side - 0.1)))
            disc(np.array((0.035, 0.035, 0.04)), along * half, radius, radius, *tyre)
            disc(rim, along * half, radius, 0.6 * radius, *hub)


def _van(solids, rng, place, owner, size):
    box, block, _ = solids.at(place, owner)
    height, width, length = size
    half, side, colour = length / 2, width / 2, _pick(rng, CAR_COLOURS[3:10])
    belt = 0.5 * height
    glass = np.array((0.05, 0.06, 0.07)) * rng.uniform(0.6, 1.8)
    box(colour, _span(-half, half, side - 0.02), _span(-half, half - 0.1, side - 0.03), 0.12 * height, belt, PAINT)
    box(
        colour,
        _span(-half, half - 0.1 - 0.12 * length, side - 0.03),
        _span(-half + 0.05, half - 0.1 - 0.25 * length, side - 0.12),
        belt,
        height,
        PAINT,
    )
    front = half - 0.1 - 0.14 * length
    box(
        glass,
        _span(half - 0.6 * length, front + 0.06, side - 0.1),
        _span(half - 0.6 * length, front - 0.08 * length, side - 0.16),
        belt + 0.05,
        0.85 * height,
        PAINT,
    )
    box(
        glass,
        (half - (0.9 if rng.random() < 0.5 else 0.45) * length, front - 0.1, -side + 0.02, side - 0.02),
        _span(half - 0.42 * length, front - 0.12 * length, side - 0.09),
        belt + 0.1,
        0.85 * height,
        PAINT,
    )
    block(glass, -half - 0.01, -half + 0.3, -side + 0.2, side - 0.2, belt + 0.1, 0.8 * height)
    for sign, lamp in ((1, (0.75, 0.76, 0.74)), (-1, (0.4, 0.03, 0.03))):
        for across in (-1, 1):
            face = sorted((sign * (half - 0.3), sign * (half + 0.01)))
            edges = sorted((across * (side - 0.05), across * (side - 0.25)))
            block(np.array(lamp), *face, *edges, 0.32 * height, 0.4 * height)
    _wheels(solids, rng, place, owner, half, side, 0.17 * height)


def _truck(solids, rng, place, owner, size):
    _, block, disc = solids.at(place, owner)
    height, width, length = size
    half, side, colour = length / 2, width / 2, _pick(rng, CAR_COLOURS[6:])
    cab = half - 1.9
    load = _pick(rng, WALLS)
    block(colour, cab, half, -side + 0.05, side - 0.05, 0.4, min(height, 2.7), PAINT)
    block(np.array((0.05, 0.06, 0.07)), cab + 0.5, half + 0.01, -side + 0.15, side - 0.15, 1.5, 2.3, PAINT)
    block(np.array((0.05, 0.06, 0.07)), cab + 0.9, half - 0.2, -side, side, 1.5, 2.2, PAINT)
    block(load, -half, cab - 0.15, -side, side, 0.95, height, WALL if rng.random() < 0.3 else PLAIN)
    block(np.array((0.08, 0.08, 0.08)), -half + 0.1, cab, -side + 0.3, side - 0.3, 0.45, 0.95)
    for along in (-0.75, -0.5, 0.75):
        for across in (-1, 1):
            disc(
                np.array((0.035, 0.035, 0.04)), along * half, 0.5, 0.5, *sorted((across * side, across * (side - 0.3)))
            )


def _limb(solids, place, owner, colour, low, high, thickness, across, across_high=None):
    """A slanted limb from (x, height) `low` to (x, height) `high`, at `across` below and `across_high` above."""
    box, _, _ = solids.at(place, owner)
    half, above = thickness / 2, across if across_high is None else across_high
    box(
        colour,
        (low[0] - half, low[0] + half, across - half, across + half),
        (high[0] - half, high[0] + half, above - half, above + half),
        low[1],
        high[1],
    )


def _head(solids, rng, place, owner, x, chin, top, skin):
    box, block, _ = solids.at(place, owner)
    r = 0.5 * (top - chin)
    hair = _pick(rng, HAIR)
    cover = chin + (top - chin) * rng.uniform(0.5, 0.75)
    box(skin, _span(x - 0.5 * r, x + 0.7 * r, 0.5 * r), _span(x - 0.75 * r, x + 0.8 * r, 0.7 * r), chin, cover)
    box(hair, _span(x - 0.85 * r, x + 0.8 * r, 0.75 * r), _span(x - 0.5 * r, x + 0.4 * r, 0.45 * r), cover, top)
    block(hair, x - 0.88 * r, x + 0.1 * r, -0.72 * r, 0.72 * r, cover - 0.3 * r, cover)


def _pedestrian(solids, rng, place, owner, size):
    box, block, _ = solids.at(place, owner)
    height, width, length = size
    stride = max(0.02, length / 2 - 0.13) * rng.uniform(0.85, 1.15) if rng.random() < 0.9 else 0.02
    hip, shoulder, chin = 0.47 * height, 0.82 * height, 0.86 * height
    coat, trousers, skin = _pick(rng, CLOTHES), _pick(rng, CLOTHES[:7]), _pick(rng, SKIN)
    body, reach = rng.uniform(0.15, 0.19), np.clip(width / 2 - 0.05, 0.22, 0.42)
    for across, way in ((-0.09, 1), (0.09, -1)):
        foot = way * stride
        box(
            np.array((0.06, 0.05, 0.05)),
            (foot - 0.09, foot + 0.17, across - 0.05, across + 0.05),
            (foot - 0.07, foot + 0.05, across - 0.05, across + 0.05),
            0,
            0.09,
        )
        knee = (foot * 0.45 + 0.05 * (1 - way) / 2 + 0.04, 0.26 * height)
        _limb(solids, place, owner, trousers, (foot, 0.07), knee, 0.12, across)
        _limb(solids, place, owner, trousers, knee, (0.0, hip), 0.16, across)
        hand = (-way * stride * 0.7, 0.46 * height)
        elbow = (-way * stride * 0.3 - 0.03, 0.62 * height)
        out, in_ = np.sign(across) * reach, np.sign(across) * (body + 0.03)
        _limb(solids, place, owner, skin if rng.random() < 0.4 else coat, hand, elbow, 0.08, out * 0.95, out)
        _limb(solids, place, owner, coat, elbow, (0.0, shoulder), 0.1, out, in_)
    hem = hip - (0.2 * height * rng.random() if rng.random() < 0.3 else 0.02)
    box(coat, _span(-0.12, 0.13, body - 0.01), (-0.11, 0.12, -body, body), hem, 0.74 * height)
    box(coat, _span(-0.11, 0.12, body + 0.03), _span(-0.07, 0.08, body - 0.06), 0.74 * height, 0.84 * height)
    block(skin * 0.85, -0.05, 0.06, -0.06, 0.06, 0.83 * height, 0.88 * height)
    _head(solids, rng, place, owner, 0.02, chin, height, skin)
    if rng.random() < 0.3:
        block(_pick(rng, CLOTHES), -0.27, -0.1, -body + 0.04, body - 0.04, 0.55 * height, 0.8 * height)


def _ring(solids, place, owner, x, radius, colour):
    """A bicycle wheel: eight short pieces of tyre."""
    box, block, _ = solids.at(place, owner)
    angle = np.arange(9) * np.pi / 4 + np.pi / 8
    points = np.stack([x + radius * np.cos(angle), radius * (1 + np.sin(angle) / np.cos(np.pi / 8))], axis=-1)
    for first, second in zip(points[:-1], points[1:], strict=True):
        low, high = (first, second) if first[1] < second[1] else (second, first)
        t = 0.028
        if high[1] - low[1] < 0.02:
            x0, x1 = sorted((low[0], high[0]))
            y0 = min(low[1], 2 * radius - 0.05)
            block(colour, x0, x1, -0.022, 0.022, max(0.0, y0), max(0.0, y0) + 0.05)
        else:
            box(colour, _span(low[0] - t, low[0] + t, 0.022), _span(high[0] - t, high[0] + t, 0.022), low[1], high[1])


def _cyclist(solids, rng, place, owner, size):
    box, block, _ = solids.at(place, owner)
    height, width, length = size
    radius = 0.34
    front, back = length / 2 - radius - 0.03, -length / 2 + radius + 0.03
    frame, tyre = _pick(rng, CAR_COLOURS), np.array((0.05, 0.05, 0.05))
    coat, trousers, skin = _pick(rng, CLOTHES), _pick(rng, CLOTHES[:7]), _pick(rng, SKIN)
    saddle, crank = (back + 0.28, 0.52 * height), (back + 0.45, 0.29)
    _ring(solids, place, owner, front, radius, tyre)
    _ring(solids, place, owner, back, radius, tyre)
    stem = (front - 0.16, 0.56 * height)
    _limb(solids, place, owner, frame, (front, radius), stem, 0.05, 0)
    _limb(solids, place, owner, frame, crank, (stem[0] + 0.04, stem[1] - 0.2), 0.05, 0)
    _limb(solids, place, owner, frame, crank, saddle, 0.05, 0)
    _limb(solids, place, owner, frame, (saddle[0], saddle[1] - 0.2), (stem[0], stem[1] - 0.15), 0.05, 0)
    block(frame, back, crank[0], -0.02, 0.02, 0.27, 0.33)
    block(tyre, saddle[0] - 0.12, saddle[0] + 0.14, -0.07, 0.07, saddle[1], saddle[1] + 0.06)
    grip = min(width / 2, 0.32)
    block(tyre, stem[0] - 0.05, stem[0], -grip, grip, stem[1] - 0.02, stem[1] + 0.02)
    hip, lean = (saddle[0] + 0.02, saddle[1] + 0.05), rng.uniform(0.12, 0.38)
    shoulder = (hip[0] + lean, 0.83 * height)
    box(
        coat,
        _span(hip[0] - 0.12, hip[0] + 0.13, 0.16),
        _span(shoulder[0] - 0.1, shoulder[0] + 0.09, 0.21),
        hip[1],
        shoulder[1],
    )
    block(skin, shoulder[0], shoulder[0] + 0.1, -0.05, 0.05, shoulder[1], 0.88 * height)
    _head(solids, rng, place, owner, shoulder[0] + 0.06, 0.865 * height, height, skin)
    turn = rng.uniform(0, 2 * np.pi)
    for sign in (-1, 1):
        pedal = (crank[0] + 0.15 * sign * np.cos(turn), crank[1] + 0.13 * sign * np.sin(turn))
        knee = (hip[0] + 0.36, 0.5 * (hip[1] + pedal[1]) + 0.08)
        _limb(solids, place, owner, trousers, pedal, knee, 0.11, 0.11 * sign)
        box(
            trousers,
            (knee[0] - 0.08, knee[0] + 0.05, 0.11 * sign - 0.07, 0.11 * sign + 0.07),
            (hip[0] - 0.1, hip[0] + 0.12, 0.11 * sign - 0.08, 0.11 * sign + 0.08),
            knee[1] - 0.06,
            hip[1] + 0.02,
        )
        block(
            tyre,
            pedal[0] - 0.08,
            pedal[0] + 0.16,
            0.11 * sign - 0.05,
            0.11 * sign + 0.05,
            pedal[1] - 0.06,
            pedal[1] + 0.02,
        )
        _limb(
            solids,
            place,
            owner,
            coat,
            (stem[0] - 0.03, stem[1]),
            (shoulder[0], shoulder[1] - 0.06),
            0.1,
            (grip - 0.06) * sign,
        )


BUILDERS = {"Car": _car, "Van": _van, "Truck": _truck, "Pedestrian": _pedestrian, "Cyclist": _cyclist}


@functools.cache
def _distributions(name):
    """What `kitti_statistics` says of a class, ready to draw from: z, x and dimensions, cumulated yaw and counts."""
    facts = kitti_statistics()["classes"][name]
    share = np.array(facts["per_frame"])
    share[1:] *= OVERSAMPLING[name]
    share[0] = max(0.0, 1 - share[1:].sum())
    return {
        "count": _cumulated(share),
        "z": np.array(facts["z"]),
        "x": np.array(facts["x"]),
        "yaw": [_cumulated(np.array(each)) for each in facts["yaw"]],
        "dimensions": np.array(facts["dimensions_mean"]),
        "spread": np.linalg.cholesky(facts["dimensions_covariance"]).T,
    }


def _cumulated(share):
    total = np.cumsum(share / share.sum())
    return total / total[-1]


def _choose(rng, cumulated):
    """A bin, by its share; as ``rng.choice(bins, p=...)``, without the checks that cost more than the draw."""
    return int(cumulated.searchsorted(rng.random(), side="right"))


def _count(rng, name):
    """How many objects of a class: as in a real frame, more often non-empty by the oversampling."""
    return _choose(rng, _distributions(name)["count"])


def _sample_object(rng, name, heading):
    """(dimensions, x, z, yaw) of one object, as the real labels have them."""
    facts = _distributions(name)
    z = float(np.interp(rng.random(), LEVELS, facts["z"]))
    x = float(np.interp(rng.random(), LEVELS, facts["x"][bisect.bisect(DISTANCE_EDGES[1:-1], z)]))
    chance = facts["yaw"][bisect.bisect(SIDE_EDGES[1:-1], x)]
    yaw = (_choose(rng, chance) + rng.random()) * 2 * np.pi / YAW_BINS - np.pi
    along = math.copysign(np.pi / 2, yaw)
    if name != "Pedestrian" and abs(yaw - along) < 0.3:  # traffic follows the road
        yaw = along + heading + rng.normal(0, 0.02 if name == "Car" else 0.06)
    deviation = np.minimum(np.maximum(rng.standard_normal(3), -2.2), 2.2)
    return np.maximum(deviation @ facts["spread"] + facts["dimensions"], (1.0, 0.4, 0.4)), x, z, yaw


def _area(x, z, yaw, length, width, margin=0.0):
    """A rectangle on the ground: (x, z, radius, its four corners (x, z), the directions (x, z) of its two axes)."""
    a, b = length / 2 + margin, width / 2 + margin
    cosine, sine = math.cos(yaw), math.sin(yaw)
    corners = [(x + p * cosine + q * sine, z - p * sine + q * cosine) for p, q in ((a, b), (a, -b), (-a, -b), (-a, b))]
    return x, z, math.hypot(a, b), corners, ((cosine, -sine), (sine, cosine))


def _free(area, taken):
    """Does an area overlap none of those taken? Circles first; where they meet, the rectangles decide."""
    x, z, radius, *_ = area
    near = (other for other in taken if math.hypot(x - other[0], z - other[1]) < radius + other[2])
    return not any(_overlap(area, other) for other in near)


def _overlap(first, second):
    """Do two rectangles overlap? They don't if an axis of one of them separates their corners."""
    for x, z in (*first[4], *second[4]):
        p = [x * corner[0] + z * corner[1] for corner in first[3]]
        q = [x * corner[0] + z * corner[1] for corner in second[3]]
        if min(p) > max(q) or min(q) > max(p):
            return False
    return True


def _place_objects(rng, street, rows, heading):
    """Add labelled objects, disjoint on the ground, to the street."""
    taken = [_area(0, 0, np.pi / 2, 5.0, 2.2)]  # the car that carries the camera
    for name in ("Truck", "Van", "Car", "Cyclist", "Pedestrian"):
        for _ in range(_count(rng, name)):
            for _ in range(12):
                size, x, z, yaw = _sample_object(rng, name, heading)
                if name in ("Car", "Van") and abs(np.sin(yaw)) > 0.9:
                    x, z = _join_row(rng, street, rows[int(x > 0)], x, z, size[2])
                area = _area(x, z, yaw, size[2], size[1], 0.2)
                if z > 1.5 and _free(area, taken):
                    taken.append(area)
                    _add_object(rng, street, name, size, x, z, yaw)
                    break
    return taken


def _join_row(rng, street, row, x, z, length):
    """Move a car to a row of parked or queueing cars at lateral position `row`, often right behind one of them."""
    if row is None or rng.random() > 0.75:
        return x, z
    heading = street.style["heading"]
    others = [each for each in street.objects if abs(each.location[0] - row - heading * each.location[2]) < 0.6]
    if others and rng.random() < 0.6:
        other = others[rng.integers(len(others))]
        gap = (length + other.dimensions[2]) / 2 + rng.uniform(0.6, 2.0)
        z = other.location[2] + (gap if rng.random() < 0.5 else -gap)
    return row + heading * z + rng.normal(0, 0.12), z


def _add_object(rng, street, name, size, x, z, yaw):
    """Build the parts of an object; its dimensions are the tight box of those parts."""
    solids, owner = street.solids, len(street.objects)
    place = solids.place(x, street.ground_y(z), z, yaw)
    first_box, first_disc = len(solids.boxes), len(solids.discs)
    BUILDERS[name](solids, rng, place, owner, size.tolist())
    boxes, discs = np.array(solids.boxes[first_box:]), np.array(solids.discs[first_disc:]).reshape(-1, 5)
    along = np.concatenate([boxes[:, [0, 1, 4, 5]].ravel(), discs[:, 0] - discs[:, 2], discs[:, 0] + discs[:, 2]])
    across = np.concatenate([boxes[:, [2, 3, 6, 7]].ravel(), discs[:, 3:].ravel()])
    middle_x, middle_z = (along.min() + along.max()) / 2, (across.min() + across.max()) / 2
    lift = min([boxes[:, 8].min(), *(discs[:, 1] - discs[:, 2]).tolist()])
    boxes[:, [0, 1, 4, 5]] -= middle_x
    boxes[:, [2, 3, 6, 7]] -= middle_z
    boxes[:, 8:] -= lift
    discs -= (middle_x, lift, 0, middle_z, middle_z)
    solids.boxes[first_box:], solids.discs[first_disc:] = boxes.tolist(), discs.tolist()
    dimensions = (float(boxes[:, 9].max()), float(np.ptp(across)), float(np.ptp(along)))
    location = (float(x), float(street.ground_y(z)), float(z))
    yaw = float((yaw + np.pi) % (2 * np.pi) - np.pi)
    street.objects.append(RoadObject(name, (0, 0, 0, 0), dimensions=dimensions, location=location, yaw=yaw))
    solids.shadow(x, z, yaw, dimensions[2] / 2, dimensions[1] / 2, 0, dimensions[0], 1.0, owner)


def _scenery(rng, street, taken):
    """Buildings, walls, hedges, trees and poles on both sides, clear of every object."""
    style = street.style
    for side in (-1, 1):
        edge = style["edges"][(side + 1) // 2]
        kind = rng.choice(["houses", "houses", "mixed", "trees", "open"])
        line = edge + side * (rng.uniform(2.0, 5.0) if kind == "houses" else rng.uniform(4, 11))
        z = rng.uniform(-6, 8)
        while z < 110 and kind in ("houses", "mixed"):
            length, height = rng.uniform(7, 22), rng.uniform(5.5, 15) if kind == "houses" else rng.uniform(3, 9)
            if rng.random() < (0.9 if kind == "houses" else 0.5):
                _building(rng, street, side, line + side * rng.uniform(0, 1.5), z, length, height, taken)
            z += length + (0 if rng.random() < 0.6 else rng.uniform(2, 12))
        if rng.random() < 0.4:
            _hedge(rng, street, side, line - side * rng.uniform(0.2, 0.8), taken)
        density = {"houses": 0.35, "mixed": 0.6, "trees": 1.0, "open": 0.25}[kind]
        for z in np.arange(rng.uniform(4, 14), 90, rng.uniform(7, 13)):
            if rng.random() < density:
                out = rng.uniform(0.8, 2.0) if kind == "houses" else rng.uniform(1, 9)
                _tree(rng, street, edge + side * out, z + rng.uniform(-2, 2), taken)
        for z in np.arange(rng.uniform(5, 25), 80, rng.uniform(9, 30)):
            _pole(rng, street, edge + side * rng.uniform(0.3, 1.0), z, side, taken)
    wood, tall = _leaf(rng) * 0.8, rng.uniform(3, 11)
    for x in np.arange(-130, 131, 20):  # a backdrop of woods
        z, radius = rng.uniform(110, 145), tall * rng.uniform(0.6, 1.4)
        if rng.random() < style["backdrop"]:
            centre = (x + rng.uniform(-4, 4), street.ground_y(z) - 0.4 * radius, z)
            street.solids.crown(centre, (rng.uniform(11, 22), radius, 6), wood * rng.uniform(0.8, 1.2))


def _leaf(rng):
    return np.array((0.16, 0.22, 0.08)) * rng.uniform(0.45, 1.5) + rng.uniform(0, 0.04, 3)


def _lateral(street, x, z):
    """The place beside the road axis that belongs to lateral position x at depth z."""
    style = street.style
    return x + style["heading"] * z + 0.5 * style["curvature"] * z * z


def _building(rng, street, side, line, z, length, height, taken):
    crossing = street.style["crossing"]
    if crossing and z < crossing[1] + 1 and z + length > crossing[0] - 1:
        return
    depth, heading = rng.uniform(8, 14), street.style["heading"]
    for _ in range(4):  # step back from whatever stands there
        x = _lateral(street, line + side * depth / 2, z + length / 2)
        area = _area(x, z + length / 2, np.pi / 2 + heading, length, depth, 0.3)
        if _free(area, taken):
            break
        line += side * 4
    else:
        return
    solids = street.solids
    place = solids.place(x, street.ground_y(z + length / 2), z + length / 2, np.pi / 2 + heading)
    wall = _pick(rng, WALLS)
    solids.block(place, -1, wall, -length / 2, length / 2, -depth / 2, depth / 2, -2.0, height, FACADE)
    solids.block(
        place, -1, wall * 0.6, -length / 2 - 0.03, length / 2 + 0.03, -depth / 2 - 0.03, depth / 2 + 0.03, -2.0, 0.6
    )
    if rng.random() < 0.7:
        tile = np.array((0.36, 0.2, 0.15)) * rng.uniform(0.5, 1.3) + rng.uniform(0, 0.05)
        solids.box(
            place,
            -1,
            tile,
            (-length / 2 - 0.3, length / 2 + 0.3, -depth / 2 - 0.5, depth / 2 + 0.5),
            _span(-length / 2 - 0.3, length / 2 + 0.3, 0.2),
            height,
            height + depth * rng.uniform(0.25, 0.5),
            WALL,
        )
    solids.shadow(x, z + length / 2, np.pi / 2 + heading, length / 2, depth / 2, 0, height, 1.0)


def _hedge(rng, street, side, line, taken):
    green = rng.random() < 0.6
    height, colour = rng.uniform(0.7, 2.2), _leaf(rng) if green else _pick(rng, WALLS)
    z = rng.uniform(2, 20)
    for _ in range(rng.integers(1, 5)):
        length = rng.uniform(5, 16)
        middle = z + length / 2
        area = _area(_lateral(street, line, middle), middle, np.pi / 2 + street.style["heading"], length, 0.6, 0.2)
        crossing = street.style["crossing"]
        if _free(area, taken) and not (crossing and z < crossing[1] and z + length > crossing[0]):
            place = street.solids.place(
                _lateral(street, line, middle), street.ground_y(middle), middle, np.pi / 2 + street.style["heading"]
            )
            street.solids.block(
                place, -1, colour, -length / 2, length / 2, -0.3, 0.3, -0.5, height, FOLIAGE if green else WALL
            )
            street.solids.shadow(area[0], middle, np.pi / 2 + street.style["heading"], length / 2, 0.3, 0, height, 0.9)
        z += length + rng.uniform(0.5, 6)


def _tree(rng, street, x, z, taken):
    x = _lateral(street, x, z)
    trunk = rng.uniform(0.1, 0.28)
    if z < 3 or abs(x) > 0.95 * z + 4 or not _free(_area(x, z, 0, 2 * trunk, 2 * trunk, 0.15), taken):
        return
    ground, crown = street.ground_y(z), rng.uniform(1.4, 3.6)
    bare = rng.uniform(1.8, 3.5)
    place = street.solids.place(x, ground, z)
    street.solids.box(
        place,
        -1,
        np.array((0.16, 0.13, 0.1)) * rng.uniform(0.6, 1.4),
        (-trunk, trunk, -trunk, trunk),
        (-0.6 * trunk, 0.6 * trunk, -0.6 * trunk, 0.6 * trunk),
        -0.3,
        bare + 0.7 * crown,
        WALL,
    )
    colour = _leaf(rng)
    for _ in range(3 if z < 25 else 2 if z < 50 else 1):
        dx, dz = rng.normal(0, 0.45 * crown, 2) if z < 50 else (0, 0)
        radii = (crown * rng.uniform(0.55, 1.0, 3)).tolist()
        street.solids.crown(
            (x + dx, ground - bare - crown * rng.uniform(0.7, 1.4), z + dz), radii, colour * rng.uniform(0.8, 1.2)
        )
    street.solids.shadow(x, z, 0, 0.9 * crown, 0.9 * crown, bare, bare + 1.6 * crown, 0.85, is_round=1)
    taken.append(_area(x, z, 0, 2 * trunk, 2 * trunk, 0.1))


def _pole(rng, street, x, z, side, taken):
    x, width = _lateral(street, x, z), rng.uniform(0.04, 0.1)
    if abs(x) > 0.95 * z + 2 or not _free(_area(x, z, 0, 2 * width, 2 * width, 0.1), taken):
        return
    place = street.solids.place(x, street.ground_y(z), z, street.style["heading"])
    colour = np.array((0.35, 0.36, 0.37)) * rng.uniform(0.4, 1.6)
    kind = rng.integers(3)
    height = (rng.uniform(5, 9), rng.uniform(2.2, 3.2), rng.uniform(0.8, 1.1))[kind]
    street.solids.block(place, -1, colour, -width, width, -width, width, 0, height)
    if kind == 0:
        reach = sorted((0, -side * rng.uniform(0.8, 2.5)))
        street.solids.block(place, -1, colour, *reach, -0.05, 0.05, height - 0.1, height)
    elif kind == 1:
        sign = np.array([(0.1, 0.2, 0.55), (0.75, 0.75, 0.75), (0.6, 0.1, 0.1), (0.75, 0.6, 0.1)][rng.integers(4)])
        street.solids.block(place, -1, sign, -0.32, 0.32, -width - 0.03, -width - 0.01, height - 0.65, height)
    taken.append(_area(x, z, 0, 2 * width, 2 * width, 0.1))


def lay_out(seed):
    """The street of a seed, before it is drawn: independent of any image size.

    Args:
        seed: An int or a sequence of ints.

    Returns:
        The `Street`.
    """
    rng = np.random.default_rng(seed)
    focal = 721.5 * rng.uniform(0.98, 1.005)
    center = np.array((609.6, 172.9)) + rng.normal(0, (4, 3))
    projection = np.array([[focal, 0, center[0], 0], [0, focal, center[1], 0], [0, 0, 1.0, 0]])
    ground = (float(np.clip(rng.normal(1.667, 0.05), 1.5, 1.85)), float(np.clip(rng.normal(0.001, 0.007), -0.02, 0.02)))
    street = Street(projection, ground, [], Solids(), _style(rng))
    rows = [side * rng.uniform(2.5, 5) if rng.random() < 0.75 else None for side in (-1, 1)]
    taken = _place_objects(rng, street, rows, street.style["heading"])
    _scenery(rng, street, list(taken))
    return street


def _style(rng):
    sun_height, sun_way = np.deg2rad(rng.uniform(18, 65)), rng.uniform(0, 2 * np.pi)
    level = np.cos(sun_height)
    sun = np.array([level * np.cos(sun_way), -np.sin(sun_height), level * np.sin(sun_way)])
    dusk, overcast = rng.random() < 0.07, rng.random() < 0.3
    crossing = rng.uniform(12, 50) if rng.random() < 0.35 else None
    # fmt: off
    return {
        "heading": rng.normal(0, 0.03), "curvature": rng.normal(0, 0.0012),
        "edges": (-rng.uniform(4.5, 9.5), rng.uniform(2.6, 6.0)), "middle": -rng.uniform(1.4, 2.2),
        "marked": rng.random() < 0.6, "dash": rng.uniform(4, 12), "edge_line": rng.random() < 0.35,
        "crossing": (crossing, crossing + rng.uniform(6, 10)) if crossing else None, "walk": rng.uniform(1.5, 3.5),
        "walk_colour": np.array((0.42, 0.41, 0.4)) * rng.uniform(0.6, 1.3), "walk_kind": rng.integers(3),
        "verge": (0, 0, 1, 2)[rng.integers(4)], "grass": np.array((0.21, 0.25, 0.11)) * rng.uniform(0.6, 1.4),
        "asphalt": np.array((0.34, 0.34, 0.345)) * rng.uniform(0.65, 1.3),
        "sun": sun,
        "sun_strength": rng.uniform(0.02, 0.15) if overcast or dusk else rng.uniform(0.6, 1.2),
        "ambient": rng.uniform(*((0.3, 0.45) if dusk else (0.6, 0.95) if overcast else (0.3, 0.55))),
        "sky_top": np.array((0.75, 0.78, 0.82) if overcast else (0.28, 0.48, 0.8)) * rng.uniform(0.8, 1.15),
        "sky_low": np.array((0.85, 0.9, 0.95)) * (0.6 if dusk else 1.0), "cloud": rng.uniform(0, 1.0), "dusk": dusk,
        "haze": rng.uniform(150, 1200), "exposure": rng.uniform(0.36, 0.52) * (0.7 if dusk else 1.0),
        "contrast": rng.uniform(0.85, 1.2), "balance": 1 + rng.normal(0, 0.025, 3), "noise": rng.uniform(0.5, 2.2),
        "blur": rng.uniform(0.0, 0.12), "backdrop": 1 - 0.8 * rng.random() ** 2, "salt": int(rng.integers(1 << 30)),
    }
    # fmt: on


# --- casting rays ----------------------------------------------------------------------------------------------------


def _world(points, places):
    """(n, ..., 3) local points (forward, up, across) to camera coordinates, with `places` (n, 4)."""
    x, y, z, yaw = (places[:, i].reshape(-1, *[1] * (points.ndim - 2)) for i in range(4))
    cosine, sine = np.cos(yaw), np.sin(yaw)
    along, up, across = np.moveaxis(points, -1, 0)
    return np.stack([cosine * along + sine * across + x, y - up, cosine * across - sine * along + z], axis=-1)


def _box_vertices(rows):
    """(n, 10) rows to (n, 2, 4, 3) local vertices: bottom ring, top ring."""
    x = np.stack([rows[:, [0, 1, 1, 0]], rows[:, [4, 5, 5, 4]]], axis=1)
    z = np.stack([rows[:, [2, 2, 3, 3]], rows[:, [6, 6, 7, 7]]], axis=1)
    return np.stack([x, np.broadcast_to(rows[:, 8:, None], x.shape), z], axis=-1)


def _disc_vertices(rows):
    """(n, 5) rows to (n, 2, 8, 3): the two faces of an octagonal disc that touches its circle from outside."""
    angle = np.arange(8) * np.pi / 4 + np.pi / 8
    radius = rows[:, 2:3] / np.cos(np.pi / 8)
    x = rows[:, 0:1] + radius * np.cos(angle)
    up = rows[:, 1:2] + radius * np.sin(angle)
    shape = (len(rows), 2, 8)
    z = np.broadcast_to(rows[:, 3:5, None], shape)
    return np.stack([np.broadcast_to(x[:, None], shape), np.broadcast_to(up[:, None], shape), z], axis=-1)


def _planes(vertices):
    """(n, 2, k, 3) vertices to (n, k + 2, 3) outward unit normals and (n, k + 2) offsets of the faces."""
    low, high = vertices[:, 0], vertices[:, 1]
    low_next, high_next = np.roll(low, -1, axis=1), np.roll(high, -1, axis=1)
    side = _cross(high_next - low, high - low_next)
    point = (low + low_next + high + high_next) / 4
    half = vertices.shape[2] // 2
    caps = np.stack(
        [_cross(ring[:, half] - ring[:, 0], ring[:, half + half // 2] - ring[:, half // 2]) for ring in (low, high)],
        axis=1,
    )
    normals = np.concatenate([side, caps], axis=1)
    points = np.concatenate([point, vertices.mean(axis=2)], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    outward = ((points - vertices.mean(axis=(1, 2))[:, None]) * normals).sum(axis=-1, keepdims=True)
    normals *= np.where(outward < 0, -1, 1)
    return normals, (normals * points).sum(axis=-1)


def _cross(a, b):
    """The cross product over the last axis; `np.cross` takes several times as long for a few hundred rows."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _extents(vertices, camera):
    """(n, 2, k, 3) vertices to (n, 4): left, top, right, bottom of the projection of what lies in front of NEAR.

    Infinite, and left > right, where nothing does.
    """
    ahead = vertices[..., 2] >= NEAR
    extents = _bounds(vertices, ahead, camera)
    partly = np.flatnonzero(~ahead.all(axis=(1, 2)) & ahead.any(axis=(1, 2)))
    if len(partly):  # where an edge passes through the plane z = NEAR there is one more corner
        low, high = vertices[partly, 0], vertices[partly, 1]
        turn = np.roll(np.arange(vertices.shape[2]), -1)
        first = np.stack([low, high, low], axis=1)  # the three edges that begin at a corner: along each ring, and up
        second = np.stack([low[:, turn], high[:, turn], high], axis=1)
        crossing = (first[..., 2] < NEAR) != (second[..., 2] < NEAR)
        rise = np.where(crossing, second[..., 2] - first[..., 2], 1)
        cut = first + ((NEAR - first[..., 2]) / rise)[..., None] * (second - first)
        more = _bounds(cut, crossing, camera)
        extents[partly, :2] = np.minimum(extents[partly, :2], more[:, :2])
        extents[partly, 2:] = np.maximum(extents[partly, 2:], more[:, 2:])
    return extents


def _bounds(points, valid, camera):
    """(n, ..., 3) points to (n, 4): left, top, right, bottom of the projection of those that are valid."""
    depth = np.maximum(points[..., 2], NEAR)
    axes = tuple(range(1, valid.ndim))
    pixels = [camera.focal_length[i] * points[..., i] / depth + camera.center[i] for i in range(2)]
    low = [np.where(valid, each, np.inf).min(axis=axes) for each in pixels]
    high = [np.where(valid, each, -np.inf).max(axis=axes) for each in pixels]
    return np.stack(low + high, axis=-1)


@dataclass
class _Scene:
    """Surfaces (one row per face or crown) and the parts that they belong to, ready to be cast."""

    extents: np.ndarray  # (parts, 4)
    owners: np.ndarray  # (parts,)
    first: np.ndarray  # (parts,) first surface of a part, entry planes before exit planes
    entries: np.ndarray  # (parts,) number of entry planes
    counts: np.ndarray  # (parts,)
    slopes: np.ndarray  # (surfaces, 3) n / d
    normals: np.ndarray
    colours: np.ndarray
    materials: np.ndarray
    surface_owner: np.ndarray


def _prepare(street, camera):
    """Planes and extents of everything in the street, as a `_Scene`. Boxes come first, then discs, then crowns."""
    solids, tables, start = street.solids, [], 2
    places = np.array(solids.places, dtype=np.float64).reshape(-1, 4)
    for rows, facts, build in (
        (solids.boxes, solids.box_facts, _box_vertices),
        (solids.discs, solids.disc_facts, _disc_vertices),
        (solids.crowns, solids.crown_facts, None),
    ):
        if rows:
            place, owner, material, colour = (np.array(each) for each in zip(*facts, strict=True))
            rows = np.array(rows, dtype=np.float64)
            vertices = _world(build(rows), places[place]) if build else _crown_corners(rows)
            normals, offsets = _planes(vertices) if build else (np.zeros((len(rows), 1, 3)), np.ones((len(rows), 1)))
            tables.append(_table(_extents(vertices, camera), owner, material, colour, normals, offsets, start))
            start += offsets.size
    if not tables:  # nothing but ground and sky
        tables.append(
            _table(np.zeros((0, 4)), *np.zeros((2, 0), dtype=np.int64), *np.zeros((2, 0, 1, 3)), np.zeros((0, 1)), 2)
        )
    parts, surfaces = (
        [np.concatenate(each) for each in zip(*group, strict=True)] for group in zip(*tables, strict=True)
    )
    sky_and_ground = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3)), np.full(2, -1), np.full(2, -1)
    slopes, *others = (np.concatenate(pair) for pair in zip(sky_and_ground, surfaces, strict=True))
    normals, colours, materials, surface_owner = others
    return _Scene(*parts, slopes.astype(np.float32), normals, colours, materials.astype(np.int8), surface_owner)


def _table(extents, owner, material, colour, normals, offsets, start):
    """What `_Scene` needs of n parts of k planes each: columns per part and columns per plane, entry planes first."""
    count = offsets.shape[1]
    offsets = np.where(np.abs(offsets) < 1e-6, 1e-6, offsets)  # the camera is in no plane
    order = np.argsort(offsets > 0, axis=1, kind="stable")
    normals = np.take_along_axis(normals, order[..., None], axis=1).reshape(-1, 3)
    slopes = normals / np.take_along_axis(offsets, order, axis=1).reshape(-1, 1)
    first = start + count * np.arange(len(owner))
    parts = extents, owner, first, (offsets < 0).sum(axis=1), np.full(len(owner), count)
    repeated = (np.repeat(each, count, axis=0) for each in (colour.reshape(-1, 3), material, owner))
    return parts, (slopes, normals, *repeated)


def _crown_corners(rows):
    """(n, 6) crowns to (n, 2, 4, 3) corners of the boxes round them."""
    signs = np.array([[(i, j, k) for j in (-1, 1) for k in (-1, 1)] for i in (-1, 1)])
    return rows[:, None, None, :3] + signs * rows[:, None, None, 3:]


def _cast(street, scene, camera):
    """Cast one ray per pixel at everything.

    Returns:
        Inverse depth, surface index, (objects,) pixels that each object would cover if nothing stood before it, and the
        ways of the rays: x / z per column, y / z per row.
    """
    height, width = camera.height, camera.width
    x = ((np.arange(width) - camera.center[0]) / camera.focal_length[0]).astype(np.float32)
    y = ((np.arange(height) - camera.center[1]) / camera.focal_length[1]).astype(np.float32)
    ground = np.maximum(0, (y - street.ground[1]) / street.ground[0]).astype(np.float32)
    inverse = np.repeat(ground[:, None], width, axis=1)
    surface = np.repeat(np.where(ground > 0, GROUND, SKY).astype(np.int32)[:, None], width, axis=1)
    low = np.maximum(0, np.ceil(scene.extents[:, :2]))
    high = np.minimum((width, height), np.floor(scene.extents[:, 2:]) + 1)
    high = np.where(np.isfinite(high), high, 0)
    size = np.where(np.isfinite(low), high - low, 0)
    seen = (size > 0).all(axis=1)
    small = seen & (size.prod(axis=1) <= SMALL_PART) & (scene.entries > 0)
    covers = []
    windows = np.concatenate([low, high], axis=1)[seen & ~small].astype(np.int64).tolist()
    for part, window in zip(np.flatnonzero(seen & ~small), windows, strict=True):
        _cast_part(street, scene, part, window, x, y, inverse, surface, covers)
    parts = np.flatnonzero(small)
    _cast_small_parts(
        scene, parts, low[parts].astype(np.int64), size[parts].astype(np.int64), x, y, inverse, surface, covers
    )
    covered = np.zeros(len(street.objects) * inverse.size, dtype=bool)
    covered[np.concatenate([np.zeros(0, np.int64), *covers])] = True  # a place per object and pixel
    return inverse, surface, [np.count_nonzero(each) for each in covered.reshape(-1, inverse.size)], x, y


def _cast_part(street, scene, part, window, x, y, inverse, surface, covers):
    """Cast the rays of a window (left, top, right, bottom) at one part."""
    left, top, right, bottom = window
    first, entries = int(scene.first[part]), int(scene.entries[part])
    columns, rows = x[left:right], y[top:bottom]
    view, index = inverse[top:bottom, left:right], surface[top:bottom, left:right]
    crown = part - len(scene.first) + len(street.solids.crowns)  # crowns are the last parts
    if crown >= 0:
        _cast_crown(street.solids.crowns[crown], columns, rows, view, index, first, street.style["salt"])
        return
    if entries == 0:
        return
    slopes = scene.slopes[first : first + scene.counts[part]]
    depths = (slopes[:, 1:2] * rows + slopes[:, 2:3])[:, :, None] + (slopes[:, 0:1] * columns)[:, None, :]
    entry = depths[0] if entries == 1 else np.minimum.reduce(depths[:entries])
    hit = (entry >= np.maximum.reduce(depths[entries:])) & (entry > 0)
    owner = int(scene.owners[part])
    if owner >= 0:
        v, u = np.divmod(np.flatnonzero(hit), np.intp(right - left))
        covers.append(v * inverse.shape[1] + u + (owner * inverse.size + top * inverse.shape[1] + left))
    hit &= entry > view
    np.copyto(view, entry, where=hit)
    np.copyto(index, first, where=hit)
    for other in range(1, entries):
        np.copyto(index, first + other, where=hit & (depths[other] == entry))


def _cast_small_parts(scene, parts, low, size, x, y, inverse, surface, covers):
    """The same for many parts of few pixels at once: one row per pair of part and pixel."""
    if not len(parts):
        return
    pixels = size.prod(axis=1)
    pair = np.repeat(np.arange(len(parts)), pixels)
    offset = np.arange(len(pair)) - np.repeat(np.cumsum(pixels) - pixels, pixels)
    u, v = low[pair, 0] + offset % size[pair, 0], low[pair, 1] + offset // size[pair, 0]
    plane = np.arange(scene.counts[parts].max())
    face = scene.first[parts][:, None] + np.minimum(
        plane, scene.counts[parts][:, None] - 1
    )  # repeats the last exit plane
    is_entry = (plane < scene.entries[parts][:, None])[pair]
    slopes = scene.slopes[face][pair]
    depths = slopes[..., 0] * x[u][:, None] + (slopes[..., 1] * y[v][:, None] + slopes[..., 2])
    entries = np.where(is_entry, depths, np.float32(np.inf))
    which = entries.argmin(axis=1)
    entry = entries[np.arange(len(pair)), which]
    hit = (entry >= np.where(is_entry, np.float32(-np.inf), depths).max(axis=1)) & (entry > 0)
    pair, entry, pixel, which = pair[hit], entry[hit], (v * inverse.shape[1] + u)[hit], which[hit]
    owner = scene.owners[parts][pair]
    covers.append((owner * inverse.size + pixel)[owner >= 0])
    flat, flat_surface = inverse.reshape(-1), surface.reshape(-1)
    np.maximum.at(flat, pixel, entry)
    front = (flat[pixel] == entry) & (entry > 0)
    flat_surface[pixel[front]] = face[pair[front], which[front]]


def _cast_crown(crown, x, y, view, index, surface, salt):
    """A round crown with a ragged edge: rays that graze it pass with a chance that depends on the place."""
    centre_x, centre_y, centre_z, *radii = crown
    cx, cy, cz = centre_x / radii[0], centre_y / radii[1], centre_z / radii[2]
    a = cx * cx + cy * cy + cz * cz - 1
    if a <= 0 or centre_z < radii[2] or view.min() > 1 / max(centre_z - radii[2], 1e-3):
        return
    direction = (y * y * radii[1] ** -2 + radii[2] ** -2)[:, None] + x * x * radii[0] ** -2
    b = (y * (cy / radii[1]) + cz / radii[2])[:, None] + x * (cx / radii[0])
    discriminant = b * b - a * direction
    grain = 8 * centre_z / min(1.5, radii[0])
    shift = salt + 31 * surface
    ragged = _noise_tile().take((_lattice(y * grain) + shift) & 127, axis=0)
    ragged = ragged.take((_lattice(x * grain) + shift // 128) & 127, axis=1)
    hit = discriminant > direction * (0.55 * ragged)
    entry = (b + np.sqrt(np.maximum(discriminant, 0))) * (1 / a)
    hit &= entry > view
    np.copyto(view, entry, where=hit)
    np.copyto(index, surface, where=hit)


def _hash(a, b, c):
    """Noise in [0, 1) for points (a, b, c) of the integer lattice: arrays of int32, c may be an int."""
    value = a.view(np.uint32) * np.uint32(374761393) + b.view(np.uint32) * np.uint32(668265263)
    value += (
        c.view(np.uint32) * np.uint32(2147483629)
        if isinstance(c, np.ndarray)
        else np.uint32(c * 2147483629 & 0xFFFFFFFF)
    )
    value ^= value >> np.uint32(13)
    value *= np.uint32(1274126177)
    value ^= value >> np.uint32(16)
    return (value & np.uint32(0xFFFF)).astype(np.float32) * np.float32(1 / 65536)


@functools.cache
def _noise_tile():
    """(128, 128) noise: a look-up is several times faster than :func:`_hash`, where a period of 128 does no harm."""
    across = np.arange(128, dtype=np.int32)
    return _hash(across[:, None] + np.zeros_like(across), across, 3)


def _tiled(a, b, shift):
    """Noise in [0, 1) for points (a, b) of the integer lattice, with period 128."""
    return _noise_tile().reshape(-1).take(((a + shift) & 127) << 7 | (b + (shift >> 7)) & 127)


def _lattice(values):
    return np.floor(values).astype(np.int32)


# --- shading ---------------------------------------------------------------------------------------------------------


def _outlines(rows, sun, casting):
    """Outlines on the ground of rows (n, 10) of `Solids.shadows`, carried along the sunlight where
    `casting` (n, 1) is 1 and not where it is 0.

    The outline of a convex area that is carried along a vector: its own sides, each pushed out as far as the vector
    goes, and two sides along the vector (a Minkowski sum).

    Returns:
        ``(sides, bounds)``: (n, 10, 3) half planes, a x + b z <= c inside; (n, 4) nearest and farthest z, and smallest
        and largest x / z.
    """
    x, z, yaw, half_length, half_width, low, high, _, _, is_round = (rows[:, i : i + 1] for i in range(10))
    reach = -np.array((sun[0], sun[2])) / max(-sun[1], 0.1)
    start, way = reach * low * casting, reach * (high - low) * casting
    end = np.arctan2(reach[0], reach[1]) + np.array([0, np.pi])  # of the sides along the sunlight
    turn = np.concatenate([yaw - np.arange(8) * np.pi / 4, np.broadcast_to(end, (len(rows), 2))], axis=1)
    normal = np.stack([np.cos(turn), -np.sin(turn)], axis=-1)
    axis = np.stack([np.cos(yaw), -np.sin(yaw)], axis=-1), np.stack([np.sin(yaw), np.cos(yaw)], axis=-1)
    across, along = (np.abs((normal * each).sum(axis=-1)) for each in (axis[1], axis[0]))
    support = np.where(is_round > 0, half_length, along * half_length + across * half_width)
    centre = np.concatenate([x, z], axis=1)[:, None]
    push = np.maximum(0, (normal * way[:, None]).sum(axis=-1))
    sides = np.concatenate(
        [normal, ((normal * (centre + start[:, None])).sum(axis=-1) + support + push)[..., None]], axis=-1
    )
    corners = [
        centre[:, 0] + carried + a * half_length * axis[0][:, 0] + b * half_width * axis[1][:, 0]
        for carried in (start, start + way)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    corners = np.stack(corners, axis=1)
    ways = corners[..., 0] / np.maximum(corners[..., 1], 1e-3)
    behind = corners[..., 1].min(axis=1) < 0.5
    bounds = [
        corners[..., 1].min(axis=1),
        corners[..., 1].max(axis=1),
        np.where(behind, -9, ways.min(axis=1)),
        np.where(behind, 9, ways.max(axis=1)),
    ]
    return sides, np.stack(bounds, axis=-1)


def _ground_light(street, x, s):
    """The light on the ground, where its inverse depth is s (rows,).

    Returns (rows, columns) shares of the sunlight and of all light that arrive, and which objects stand in the shade
    of the scenery.
    """
    light, contact = np.ones((2, len(s), len(x)), dtype=np.float32)
    shaded = np.zeros(len(street.objects), dtype=bool)
    rows = np.array(street.solids.shadows).reshape(-1, 10)
    rows = rows[rows[:, 1] - rows[:, 3] < 60]
    standing = rows[rows[:, 8] >= 0]
    casting = np.repeat((0.0, 1.0), (len(standing), len(rows)))[:, None]
    sides, bounds = _outlines(np.concatenate([standing, rows]), street.style["sun"], casting)
    for i, row in enumerate(standing):
        _darken(contact, sides[i, :8:2], bounds[i], x, s, 0.7 if row[3] + row[4] > 1.5 else 0.3)
    if street.style["sun_strength"] > 0.2:
        sides, bounds = sides[len(standing) :], bounds[len(standing) :]
        for i, row in enumerate(rows):
            _darken(light, sides[i] if row[9] else sides[i, [0, 2, 4, 6, 8, 9]], bounds[i], x, s, row[7])
        scenery = sides[rows[:, 8] < 0]
        places = np.array([(each.location[0], each.location[2], -1) for each in street.objects]).reshape(-1, 3)
        shaded = ((scenery[:, None] * places[None, :, None]).sum(axis=-1) <= 0).all(axis=-1).any(axis=0)
    return light, contact, shaded


def _darken(light, sides, bounds, x, s, strength):
    """Take `strength` of the light from the ground inside an outline: a x + b <= c s in inverse depth s."""
    nearest, farthest, left, right = bounds
    if farthest <= 0.5 or nearest >= 200:
        return
    first, last = s.searchsorted(1 / farthest), s.searchsorted(1 / max(nearest, 1e-3), side="right")
    left, right = x.searchsorted(left), x.searchsorted(right, side="right")
    if first >= last or left >= right:
        return
    a, b, c = sides.T.astype(np.float32)
    margin = (a[:, None] * x[left:right])[:, None, :] + (b[:, None] - c[:, None] * s[first:last])[:, :, None]
    light[first:last, left:right] *= np.where(np.maximum.reduce(margin) <= 0, np.float32(1 - strength), np.float32(1))


def _shade(street, scene, inverse, surface, x, y):
    """(height, width, 3) float32 colours between 0 and 1, and the road mask."""
    style = street.style
    s = np.maximum(0, (y - np.float32(street.ground[1])) / np.float32(street.ground[0]))
    horizon = int(np.argmax(s > 0)) if (s > 0).any() else len(y)
    light, contact, shaded = _ground_light(street, x, s[horizon:])
    image = np.take(_surface_colours(style, scene, shaded), surface, axis=0)
    road = np.zeros(surface.shape, dtype=bool)
    _shade_ground(street, image[horizon:], road[horizon:], surface[horizon:] == GROUND, x, s[horizon:], light, contact)
    _shade_scenery(street, scene, image, inverse, surface, x, y)
    sky = surface == SKY
    _shade_sky(style, image, sky, x, y)
    clear = np.exp(np.float32(-1 / style["haze"]) / np.maximum(inverse, np.float32(1e-4)))
    clear[sky] = 1
    lines = image.reshape(len(y), -1)  # whole rows: NumPy is slow where the last axis is short
    haze = np.tile((style["sky_low"] * 0.8).astype(np.float32), len(x))
    lines -= haze
    lines *= np.repeat(clear, 3, axis=1)
    lines += haze
    return image, road


def _surface_colours(style, scene, shaded):
    """(surfaces, 3) float32 colours in this light, before any texture. Which objects are `shaded` gets no sun."""
    strength, ambient = style["sun_strength"], style["ambient"]
    lit = np.append(np.where(shaded, 0.1, 1.0), 1.0)[scene.surface_owner]  # the last one is for what nobody owns
    upward = -scene.normals[:, 1]
    factor = ambient * (0.75 + 0.25 * upward) + strength * lit * np.maximum(0, scene.normals @ style["sun"])
    gloss = (scene.materials == PAINT) * np.maximum(0, upward) * 0.16 * (ambient + 0.3 * strength)
    return (scene.colours * factor[:, None] + gloss[:, None] * style["sky_low"]).astype(np.float32)


def _shade_ground(street, image, road, mask, x, s, light, contact):
    """Road, kerb, pavement and what lies beyond, in the rows below the horizon, where `mask` says that it is seen."""
    style, chosen = street.style, np.flatnonzero(mask)
    rows, columns = np.divmod(chosen, np.intp(len(x)))
    z = np.minimum(1 / s, 3e3)[rows]  # beyond lies nothing to be seen
    across = (x[columns] - np.float32(style["heading"]) - np.float32(0.5 * style["curvature"]) * z) * z
    pixel = z * (x[1] - x[0])  # metres across one pixel
    left, right = style["edges"]
    on_road = (across > left) & (across < right)
    if style["crossing"]:
        on_road |= (z > style["crossing"][0]) & (z < style["crossing"][1])
    beyond = np.abs(across - np.float32((left + right) / 2)) - np.float32((right - left) / 2)
    kind = np.where(on_road, 0, np.where(beyond < 0.16, 1, np.where(beyond < style["walk"], 2, 3)))
    beside = [style["grass"], style["walk_colour"] * 0.9, style["asphalt"] * 1.1][style["verge"]]
    palette = np.array([style["asphalt"], style["walk_colour"] * 1.25, style["walk_colour"], beside], dtype=np.float32)
    fine = (_tiled(_lattice(z * 16), _lattice(across * 16), style["salt"]) - 0.5) * np.minimum(0.12 / pixel, 1)
    shift = style["salt"] % 97 / 97
    patches = _tiled(_lattice(z * 0.4), _lattice(across * 1.1 + shift), style["salt"] + 1) - 0.5
    tone = 1 + 0.28 * fine + 0.1 * patches
    if style["walk_kind"] < 2:  # slabs
        walk = np.flatnonzero((kind == 2) & (pixel < 0.1))
        joint = (_fraction(z[walk] / 0.6) < 0.08) | (_fraction(across[walk] / 0.6) < 0.08)
        tone[walk[joint]] *= 0.75
    colour = np.take(palette, kind, axis=0)
    shade = np.take(contact, chosen) * (
        style["ambient"] - style["sun_strength"] * style["sun"][1] * np.take(light, chosen)
    )
    colour *= tone[:, None]
    for position, dashed in _road_lines(style):
        _paint_line(colour, position, style["dash"] if dashed else None, on_road, across, z, pixel, patches)
    colour *= shade.astype(np.float32)[:, None]
    _put(image, chosen, colour)
    road.reshape(-1)[chosen] = on_road


def _road_lines(style):
    """(lateral position, dashed) of every line on the road."""
    left, right = style["edges"]
    lines = [(style["middle"], True)] if style["marked"] else []
    return lines + ([(left + 0.35, False), (right - 0.35, False)] if style["edge_line"] else [])


def _paint_line(colour, position, dash, on_road, across, z, pixel, wear):
    """Mix white into the pixels of a line 14 cm wide by the share of the pixel that it covers."""
    off = np.abs(across - np.float32(position))
    near = np.flatnonzero(on_road & (off < 0.07 + pixel))
    cover = np.clip((0.07 - off[near]) / pixel[near] + 0.5, 0, 1) * np.minimum(1, 0.14 / pixel[near] + 0.1)
    if dash:
        cover = cover * (_fraction(z[near] / dash) < 0.45)
    before = np.take(colour, near, axis=0)
    _put(colour, near, before + (cover * (0.8 + wear[near]))[:, None].astype(np.float32) * (np.float32(0.75) - before))


def _fraction(values):
    return values - np.floor(values)


def _put(image, index, colours):
    """``image.reshape(-1, 3)[index] = colours``, three times as fast: each pixel is moved as one piece of 12 bytes."""
    pixel = np.dtype("V12")
    image.reshape(-1, 3).view(pixel)[index] = np.ascontiguousarray(colours, dtype=np.float32).view(pixel)


def _shade_scenery(street, scene, image, inverse, surface, x, y):
    """Leaves, walls, windows and gloss, from the place in the world that each pixel shows."""
    material = np.take(scene.materials, surface)
    walls = (material == FACADE) | (material == WALL)
    for mask, shade in ((material == FOLIAGE, _shade_leaves), (walls, _shade_walls), (material == PAINT, _shade_gloss)):
        chosen = np.flatnonzero(mask)
        if len(chosen):
            rows, columns = np.divmod(chosen, np.intp(len(x)))
            z = 1 / np.take(inverse, chosen)
            place = x[columns] * z, y[rows] * z, z
            up = np.float32(street.ground[0]) + np.float32(street.ground[1]) * z - place[1]
            before = np.take(image.reshape(-1, 3), chosen, axis=0)
            _put(image, chosen, shade(street.style, scene, before, np.take(surface, chosen), place, up, x[1] - x[0]))


def _shade_leaves(style, scene, colour, index, place, up, pixel):
    px, py, z = place
    clumps = np.sin(2.3 * px + 1.5 * np.sin(2.1 * py)) + np.sin(2.7 * z + 1.9 * py + style["salt"] % 7)
    fine = _hash(_lattice(px * 11), _lattice(py * 11), _lattice(z * 11))
    fade = np.clip(0.15 / (pixel * z), 0.3, 1)
    glow = style["ambient"] * 0.8 + style["sun_strength"] * np.clip(0.25 + 0.12 * (up - 2), 0.12, 0.8)
    tone = np.maximum(glow * (0.9 + 0.2 * clumps + fade * 1.2 * (fine - 0.5)), 0.05)
    return np.take(scene.colours, index, axis=0) * tone[:, None]


def _shade_walls(style, scene, colour, index, place, up, pixel):
    px, _, z = place
    normal = np.take(scene.normals, index, axis=0).astype(np.float32)
    along, upright = px * normal[:, 2] - z * normal[:, 0], np.abs(normal[:, 1]) < 0.5
    house = np.flatnonzero((np.take(scene.materials, index) == FACADE) & upright)
    tone = 0.8 + 0.4 * _hash(_lattice(along * 3), _lattice(up * 5), 11)
    salt = index[house] // 6
    varied = [_hash(salt, salt, number) for number in (7, 8, 9, 10)]
    pitch, storey, share = 2.2 + 1.6 * varied[0], 2.8 + 0.6 * varied[1], 0.35 + 0.3 * varied[2]
    across, level = along[house] / pitch, (up[house] - 0.3) / storey
    cell, floor = np.floor(across), np.floor(level)
    off, level = np.abs(across - cell - 0.5) * 2, level - floor
    frame = (off < share + 0.1) & (level > 0.26) & (level < 0.84)
    window = (off < share) & (level > 0.3) & (level < 0.8)
    tone[house] = np.where(frame, 1.25 - 0.5 * (varied[3] > 0.5), 0.92 + 0.2 * (tone[house] - 0.8))
    colour = colour * tone[:, None]
    seen = _hash(cell[window].astype(np.int32), floor[window].astype(np.int32), salt[window])
    dark = (0.06 + 0.25 * seen * seen) * (style["ambient"] + 0.3 * style["sun_strength"])
    colour[house[window]] = dark[:, None] * np.array((0.9, 1.0, 1.1), dtype=np.float32)
    return colour


def _shade_gloss(style, scene, colour, index, place, up, pixel):
    streak = np.clip(0.12 * np.sin(2.5 * up + 0.4 * place[0]) + 0.06, 0, 1)
    return colour + (streak * ((style["ambient"] + 0.2) * 0.35))[:, None]


def _shade_sky(style, image, sky, x, y):
    chosen = np.flatnonzero(sky)
    if not len(chosen):
        return
    rows, columns = np.divmod(chosen, np.intp(len(x)))
    low, top = (style[each].astype(np.float32) for each in ("sky_low", "sky_top"))
    cloud = np.zeros(len(rows), dtype=np.float32)
    for octave, share in ((4, 0.6), (11, 0.4)):
        cloud += share * _smooth_noise(x[columns] * octave, y[rows] * octave * 2.5, style["salt"] + octave)
    cover = np.clip((cloud - 0.75 + 0.5 * style["cloud"]) * 3, 0, 1)[:, None]
    white = np.array((0.95, 0.95, 0.96), dtype=np.float32) * (0.55 if style["dusk"] else 1.0)
    colour = np.take(low + (top - low) * np.clip(-y * 3.5, 0, 1)[:, None], rows, axis=0)
    colour += cover * (white - colour)
    _put(image, chosen, colour * np.float32(0.6 if style["dusk"] else 1.05))


def _smooth_noise(a, b, salt):
    """Value noise: random values on a lattice, blended in between."""
    i, j = _lattice(a), _lattice(b)
    p, q = a - i.astype(np.float32), b - j.astype(np.float32)
    p, q = p * p * (3 - 2 * p), q * q * (3 - 2 * q)
    top, bottom = _tiled(i, j, salt), _tiled(i, j + 1, salt)
    top += p * (_tiled(i + 1, j, salt) - top)
    bottom += p * (_tiled(i + 1, j + 1, salt) - bottom)
    return top + q * (bottom - top)


def _develop(image, style, rng):
    """Exposure towards a mean brightness, white balance, contrast, slight blur and noise: the camera."""
    gain = (style["exposure"] / max(float(image[::4, ::4].mean()), 0.02)) ** 0.8
    contrast = 255 * style["contrast"]
    lines = image.reshape(len(image), -1)
    lines *= np.tile((contrast * gain * style["balance"]).astype(np.float32), image.shape[1])
    lines += np.float32(0.42 * (255 - contrast))
    picture = Image.fromarray(np.clip(image, 0, 255, out=image).astype(np.uint8))
    edge = style["blur"]
    kernel = np.outer((edge, 1 - 2 * edge, edge), (edge, 1 - 2 * edge, edge)).ravel().tolist()
    picture = np.asarray(picture.filter(ImageFilter.Kernel((3, 3), kernel, 1.0))).astype(np.int16)
    grain = rng.integers(0, 256, (2, *picture.shape[:2]), dtype=np.uint8).astype(np.float32)
    noise = (grain[0] + grain[1] - 255) * np.float32(style["noise"] / 104)  # the sum of two has a deviation of 104
    lines = picture.reshape(len(picture), -1)
    lines += np.repeat(np.rint(noise).astype(np.int16), 3, axis=1)
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)


# --- labels and points -----------------------------------------------------------------------------------------------


def _labels(street, scene, camera, surface, covers):
    """Objects with boxes, DontCare last, and the instance map."""
    owner_of = np.take(scene.surface_owner, surface)
    visible = np.bincount(owner_of.reshape(-1) + 1, minlength=len(street.objects) + 1)[1:]
    kept, ignored, numbers = [], [], np.zeros(len(street.objects) + 1, dtype=np.uint8)
    for index, each in enumerate(street.objects):
        whole = scene.extents[scene.owners == index]
        whole = np.concatenate([whole[:, :2].min(axis=0), whole[:, 2:].max(axis=0)])
        if not np.isfinite(whole).all():
            continue
        box = np.clip(whole, 0, np.array([camera.width - 1, camera.height - 1] * 2))
        if box[2] - box[0] < 1 or box[3] - box[1] < 1:
            continue
        if not visible[index]:
            continue
        fraction = visible[index] / covers[index]
        box = tuple(float(value) for value in box)
        small = box[3] - box[1] < SMALLEST_BOX * camera.focal_length[1]
        if small or fraction < SMALLEST_VISIBLE or visible[index] < 4:
            ignored.append(RoadObject(DONT_CARE, box))
            continue
        area = (whole[2] - whole[0]) * (whole[3] - whole[1])
        truncation = 1 - (box[2] - box[0]) * (box[3] - box[1]) / area
        x, _, z = each.location
        alpha = float((each.yaw - np.arctan2(x, z) + np.pi) % (2 * np.pi) - np.pi)
        occlusion = 0 if fraction > 0.8 else 1 if fraction >= 0.4 else 2
        kept.append(
            RoadObject(
                each.name, box, float(round(truncation, 6)), occlusion, alpha, each.dimensions, each.location, each.yaw
            )
        )
        numbers[index] = len(kept)
    return tuple(kept + ignored), np.take(numbers, owner_of)


@functools.cache
def _beams():
    """(2, n) x / z and y / z of the beams of a Velodyne HDL-64E towards the front: 64 beams, every 0.17 degrees."""
    elevation = np.deg2rad(np.concatenate([np.linspace(2, -8.33, 32), np.linspace(-8.83, -24.8, 32)]))
    azimuth = np.deg2rad(np.arange(-45, 45, 0.17))
    up, across = np.meshgrid(elevation, azimuth, indexing="ij")
    ways = np.stack([np.tan(across), -np.tan(up) / np.cos(across)]).reshape(2, -1)
    return ways[:, ways[1] < 0.36]  # the camera sees no steeper ones


def _lidar(depth, camera, x, y, rng):
    """(n, 3) float32 points in camera coordinates: what the beams meet, with range noise and drop-outs.

    A beam is followed to the centre of the pixel it passes, so a point lies on the drawn surface.
    """
    ways = _beams()
    columns = np.rint(camera.focal_length[0] * ways[0] + camera.center[0]).astype(np.int32)
    rows = np.rint(camera.focal_length[1] * ways[1] + camera.center[1]).astype(np.int32)
    seen = np.flatnonzero((columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height))
    columns, rows = columns[seen], rows[seen]
    z = depth[rows, columns]
    met = (z > 0) & (z < LIDAR_RANGE) & (rng.random(len(z), dtype=np.float32) > 0.02)
    columns, rows, z = columns[met], rows[met], z[met]
    z = z + rng.standard_normal(len(z), dtype=np.float32) * np.float32(0.015)
    return np.stack([x[columns] * z, y[rows] * z, z], axis=-1)


def draw_street(seed, height=128, width=416):
    """Draw the street of a seed.

    Args:
        seed: An int or a sequence of ints.
        height, width: Size of the image in pixels.

    Returns:
        A `Frame` with image, camera, objects, exact depth (0 in the sky and beyond 250 m), instances, road, points and
        calibration. What is
        too small or too hidden is a DontCare region, last in `objects`, and 0 in `instances`; what is wholly hidden is
        left out.
    """
    street = lay_out(seed)
    camera = Camera(street.projection, 375, 1242).resized(height, width)
    scene = _prepare(street, camera)
    inverse, surface, covers, x, y = _cast(street, scene, camera)
    sensor = np.random.default_rng([street.style["salt"], 1])
    image, road = _shade(street, scene, inverse, surface, x, y)
    depth = np.where(inverse > 1 / FARTHEST, 1 / np.maximum(inverse, 1 / FARTHEST), 0).astype(np.float32)
    objects, instances = _labels(street, scene, camera, surface, covers)
    return Frame(
        name=str(seed),
        image=_develop(image, street.style, sensor),
        camera=camera,
        objects=objects,
        depth=depth,
        instances=instances,
        road=road,
        points=_lidar(depth, camera, x, y, sensor),
        calibration=Calibration(camera.projection),
    )


def write_streets(root, count, seed=0, height=128, width=416, workers=None, progress=True):
    """Write streets 0 to count - 1 as a KITTI-layout folder. Frame i is ``draw_street([seed, i], height, width)``.

    Frames that are there are left alone, so a run that was stopped, or killed, goes on where it was.

    Args:
        root: Folder; the frames go to ``root/training``, a note of what they are to ``root/streets.json``.
        count: Number of frames.
        seed: One int for the whole set.
        height, width: Size of the images in pixels.
        workers: Number of processes; None for one per core.
        progress: Whether to show a line of progress.

    Raises:
        ValueError: if `root` holds frames of another seed, size or package version, or frames that are no streets.
        RuntimeError: if a worker process failed.
    """
    root = Path(root)
    if count < 0 or (workers is not None and workers < 1):
        raise ValueError(f"count must not be negative and workers be at least 1, got {count} and {workers}")
    _claim_folder(root, {"seed": int(seed), "height": int(height), "width": int(width), "version": __version__}, count)
    labels = root / "training" / "label_2"
    missing = [i for i in range(count) if not (labels / f"{i:06d}.txt").is_file()]
    workers = max(1, min(workers or os.cpu_count() or 1, len(missing) // 2))
    if workers == 1:
        for done, index in enumerate(missing, count - len(missing)):
            _show_progress(done, count, progress)
            _write_street(root, index, seed, height, width)
    else:
        _run_workers(root, missing, seed, height, width, workers, count, progress)
    _show_progress(count, count, progress, end="\n")


def _claim_folder(root, facts, count):
    """Check that a folder is empty or holds the same streets; clear away what a killed run left; note what it holds."""
    note = root / "streets.json"
    if note.is_file():
        try:
            found = json.loads(note.read_text())
            differ = {key: found[key] for key in facts if found[key] != facts[key]}
            count = max(count, found["count"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{note} can't be read; delete {root} or choose another folder") from error
        if differ:
            raise ValueError(f"{root} holds streets with {differ}, not {facts}; choose another folder or delete it")
    elif any((root / "training").glob("*/*")):
        raise ValueError(f"{root} holds frames that are not streets (no {note.name}); choose another folder")
    for stale in root.glob("training/*/.*.tmp"):
        stale.unlink(missing_ok=True)
    text = json.dumps({**facts, "count": count}, indent=1) + "\n"
    write_atomically(note, lambda file: file.write(text.encode()))


def _write_street(root, index, seed, height, width):
    write_frame(root, replace(draw_street([seed, index], height, width), name=f"{index:06d}"))


def _run_workers(root, missing, seed, height, width, workers, count, progress):
    """Share the missing frames among processes of this module; each prints a line per frame that it has written.

    Plain processes rather than `multiprocessing`: they start fast, import neither Keras nor the caller's script, and
    end by themselves when the parent is killed, because nobody reads their lines any more.
    """
    path = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "OPENBLAS_NUM_THREADS": "1"}
    order = json.dumps({"root": str(root), "seed": int(seed), "height": height, "width": width})
    lines, started = queue.SimpleQueue(), []
    try:
        for k in range(workers):
            process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import _work; _work()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            started.append(process)
            process.stdin.write(order + "\n" + json.dumps(missing[k::workers]) + "\n")
            process.stdin.flush()
            threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True).start()
        done, open_pipes = count - len(missing), workers
        while open_pipes:
            _show_progress(done, count, progress)
            line = lines.get()
            done, open_pipes = (done, open_pipes - 1) if line is None else (done + 1, open_pipes)
        if any(process.wait() for process in started):
            raise RuntimeError(f"a process that draws streets failed; see its message. What is in {root} is whole")
    finally:
        for process in started:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


def _forward(pipe, lines):
    """Pass on every line of a worker, then None."""
    try:
        for line in pipe:
            lines.put(line)
    except ValueError:
        pass  # the pipe was closed because the run is being given up
    lines.put(None)


def _work():
    """What a worker process does: read the order and its frames from stdin, write them, report each."""
    order, indices = json.loads(sys.stdin.readline()), json.loads(sys.stdin.readline())
    try:
        for index in indices:
            _write_street(index=index, **order)
            print(index, flush=True)
    except BrokenPipeError:  # the parent was killed
        os._exit(1)


def _show_progress(done, count, progress, end=""):
    """One line that overwrites itself and always ends in the same text."""
    if progress:
        bar = "#" * (30 * done // max(count, 1))
        print(f"\r[{bar:<30}] {done:>6} of {count} streets", end=end, flush=True)


def main(arguments=None):
    """``python -m roidepth_lessons.streets LABEL_FOLDER OUT.json``: write the statistics of real labels.

    The calibration files are those in the folder ``calib`` beside LABEL_FOLDER.
    """
    parser = argparse.ArgumentParser(prog="python -m roidepth_lessons.streets", description=main.__doc__)
    parser.add_argument("labels_folder", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args(arguments)
    about = {
        "source": "KITTI object benchmark, official training labels (Geiger, Lenz, Urtasun, CVPR 2012)",
        "licence": "Only aggregated statistics; the labels themselves (CC BY-NC-SA 3.0) are not part of this file.",
        "command": "python -m roidepth_lessons.streets LABEL_FOLDER data/kitti_statistics.json",
    }
    statistics = {**about, **label_statistics(options.labels_folder)}
    for name, height in apparent_heights(options.labels_folder, options.labels_folder.parent / "calib").items():
        statistics["classes"][name]["apparent_height"] = height
    text = json.dumps(statistics) + "\n"
    write_atomically(options.output, lambda file: file.write(text.encode()))


if __name__ == "__main__":
    main()
