"""Synthetic streets: a road photo with its boxes, exact depth and LiDAR-like points, from a seed.

The world is made of convex solids (six or ten planes each) and round tree crowns on a ground plane. A ray from the
camera is ``t * (x, y, 1)``; it meets the plane ``n . p = d`` at the inverse depth ``1 / t = (n / d) . (x, y, 1)``. That is
linear in the pixel, so casting rays at a solid takes one addition per plane and pixel: the largest inverse depth that
is behind no entry plane, if it is in front of every exit plane.

Everything is a function of (seed, height, width); the layout of the world is a function of the seed alone.
"""

import argparse
import json
import math
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from . import CLASSES, DATA_FOLDER, __version__
from .camera import Calibration, Camera
from .frames import DONT_CARE, Frame, RoadObject
from .kitti import write_atomically, write_frame

OVERSAMPLING = {"Car": 1.0, "Pedestrian": 2.0, "Cyclist": 4.0, "Van": 1.0, "Truck": 1.0}
"""How many times more often than in KITTI a class appears: people and cyclists are rare there."""

SMALLEST_BOX = 25 / 721.5
"""Lower boxes than this share of the focal length are DontCare: KITTI's 25 pixels at its full resolution."""

SMALLEST_VISIBLE = 0.25
"""An object of which less than this share of its pixels is visible is DontCare."""

NEAR = 0.3  # metres: nothing is drawn nearer to the camera plane
FARTHEST = 250.0  # metres: depth beyond is given as unknown, as KITTI's 16-bit depth files end at 256 m
SKY, GROUND = 0, 1  # the first two rows of the surface table
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
        Dictionary, ready for JSON. Per class: `per_frame` (share of frames with 0, 1, 2 ... objects), `z` (quantiles of
        the distance), `x` (quantiles of the lateral position for each range of distance), `yaw` (histogram for each range
        of the lateral position), `dimensions_mean` and `dimensions_covariance` (height, width, length; metres).

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
        values = line.split()
        try:
            yield values[0], *(float(value) for value in values[8:15])
        except (IndexError, ValueError) as error:
            raise ValueError(f"{path}, line {number}: not a KITTI label row: {line!r}") from error


def _class_statistics(rows, name, frames):
    chosen = np.array([(row[0], *row[2:]) for row in rows if row[1] == name])
    if len(chosen) < 50:
        raise ValueError(f"only {len(chosen)} objects of class {name}; at least 50 are needed for statistics")
    index, dimensions, (x, z, yaw) = chosen[:, 0].astype(int), chosen[:, 1:4], chosen[:, [4, 6, 7]].T
    counts = np.bincount(np.bincount(index, minlength=frames))
    by_distance = [np.quantile(x[_between(z, DISTANCE_EDGES, i)], LEVELS) for i in range(len(DISTANCE_EDGES) - 1)]
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
    height, slope = np.quantile(fits, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0).T
    return {"levels": [0.05, 0.25, 0.5, 0.75, 0.95], "height": height.round(4).tolist(), "slope": slope.round(5).tolist()}


@cache
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
    shadows: list = field(default_factory=list)  # (footprint (n, 2), height, strength, owner)

    def place(self, x, y, z, yaw=0.0):
        self.places.append((x, y, z, yaw))
        return len(self.places) - 1

    def box(self, place, owner, colour, bottom, top, low, high, material=PLAIN):
        self.boxes.append((*bottom, *top, low, high))
        self.box_facts.append((place, owner, material, colour))

    def block(self, place, owner, colour, x0, x1, z0, z1, low, high, material=PLAIN):
        self.box(place, owner, colour, (x0, x1, z0, z1), (x0, x1, z0, z1), low, high, material)

    def disc(self, place, owner, colour, x, height, radius, z0, z1, material=PLAIN):
        self.discs.append((x, height, radius, z0, z1))
        self.disc_facts.append((place, owner, material, colour))

    def crown(self, centre, radii, colour):
        self.crowns.append((*centre, *radii))
        self.crown_facts.append((-1, -1, FOLIAGE, colour))


CAR_COLOURS = np.array(
    [
        (0.09, 0.09, 0.1), (0.06, 0.06, 0.07), (0.2, 0.21, 0.22), (0.34, 0.35, 0.37), (0.55, 0.56, 0.58), (0.64, 0.65, 0.66),
        (0.84, 0.84, 0.83), (0.8, 0.8, 0.78), (0.1, 0.14, 0.26), (0.14, 0.24, 0.42), (0.42, 0.06, 0.06), (0.55, 0.09, 0.07),
        (0.1, 0.22, 0.14), (0.4, 0.36, 0.28), (0.62, 0.5, 0.14),
    ]
)  # fmt: skip
CLOTHES = np.array(
    [
        (0.08, 0.08, 0.1), (0.12, 0.13, 0.18), (0.16, 0.2, 0.34), (0.22, 0.28, 0.42), (0.3, 0.28, 0.26), (0.45, 0.4, 0.33),
        (0.66, 0.65, 0.62), (0.82, 0.81, 0.78), (0.5, 0.12, 0.12), (0.16, 0.3, 0.2), (0.55, 0.3, 0.4), (0.2, 0.42, 0.55),
        (0.35, 0.35, 0.37), (0.62, 0.5, 0.2),
    ]
)  # fmt: skip
SKIN = np.array([(0.78, 0.58, 0.47), (0.7, 0.5, 0.38), (0.62, 0.44, 0.33), (0.42, 0.28, 0.2), (0.28, 0.18, 0.13)])
HAIR = np.array([(0.06, 0.05, 0.04), (0.16, 0.1, 0.06), (0.3, 0.2, 0.1), (0.5, 0.4, 0.22), (0.55, 0.54, 0.52)])
WALLS = np.array(
    [
        (0.78, 0.75, 0.68), (0.85, 0.83, 0.79), (0.7, 0.62, 0.5), (0.62, 0.5, 0.4), (0.5, 0.33, 0.26), (0.75, 0.65, 0.42),
        (0.6, 0.6, 0.6), (0.46, 0.48, 0.5), (0.66, 0.48, 0.36), (0.72, 0.72, 0.64),
    ]
)  # fmt: skip


def _pick(rng, palette, spread=0.04):
    return np.clip(palette[rng.integers(len(palette))] * rng.uniform(0.8, 1.15) + rng.normal(0, spread / 2, 3), 0.02, 0.95)


def _car(solids, rng, place, owner, size):
    """Body, cabin, glass, wheels, lights and plates; the front points along +x."""
    height, width, length = size
    half, side, colour = length / 2, width / 2, _pick(rng, CAR_COLOURS)
    clearance, belt = 0.13 * height, height * rng.uniform(0.54, 0.6)
    rear, hood = length * np.array([(0.03, 0.25), (0.16, 0.27), (0.02, 0.22), (0.06, 0.2)][rng.integers(4)])
    lean_front, lean_rear = length * rng.uniform(0.1, 0.15), length * rng.uniform(0.02, 0.09)
    glass = np.array((0.05, 0.06, 0.07)) * rng.uniform(0.6, 1.8)
    sill = 0.3 * height
    solids.box(place, owner, colour * 0.55, (-half + 0.06, half - 0.08, -side + 0.06, side - 0.06),
               (-half, half, -side + 0.02, side - 0.02), clearance, sill)  # fmt: skip
    solids.box(place, owner, colour, (-half, half, -side + 0.02, side - 0.02),
               (-half + 0.06, half - 0.16, -side + 0.06, side - 0.06), sill, belt, PAINT)  # fmt: skip
    low = np.array((-half + rear, half - hood, -side + 0.07, side - 0.07))
    high = low + np.array((lean_rear, -lean_front, 0.13, -0.13))
    solids.box(place, owner, colour * 1.05, low, high, belt, height, PAINT)

    def pane(x_start, x_end, z_inset, x_out, z_out):
        """A pane of glass, a finger proud of the cabin, between 12 % and 86 % of its height."""
        for_level = []
        for share in (0.1, 0.86):
            x0, x1, z0, z1 = low + share * (high - low)
            for_level.append((x0 + x_start * (x1 - x0) - x_out, x0 + x_end * (x1 - x0) + x_out,
                              z0 + z_inset - z_out, z1 - z_inset + z_out))  # fmt: skip
        solids.box(place, owner, glass, *for_level, belt + 0.1 * (height - belt), belt + 0.86 * (height - belt), PAINT)

    middle = rng.uniform(0.42, 0.52)
    pane(0.07, middle, 0, 0, 0.012)
    pane(middle + 0.04, 0.94, 0, 0, 0.012)
    pane(0, 1, 0.09, 0.012, 0)
    for sign, lamp in ((1, (0.75, 0.76, 0.74)), (-1, (0.4, 0.03, 0.03))):
        face = sorted((sign * (half - 0.3), sign * (half - 0.035)))
        for across in (-1, 1):
            edges = sorted((across * (side - 0.09), across * (side - 0.09 - 0.2 * width)))
            solids.block(place, owner, np.array(lamp), *face, *edges, 0.42 * height, 0.51 * height)
        plate = sorted((sign * (half - 0.3), sign * (half - 0.004)))
        solids.block(place, owner, np.array((0.7, 0.7, 0.68)), *plate, -0.25, 0.25, 0.3 * height, 0.3 * height + 0.1)
        solids.block(place, owner, np.array((0.05, 0.05, 0.05)), *plate, -0.3 * width, 0.3 * width, 0.2 * height, 0.27 * height)
    _wheels(solids, rng, place, owner, half, side, 0.21 * height)


def _wheels(solids, rng, place, owner, half, side, radius):
    rim = np.array((0.42, 0.43, 0.45)) * rng.uniform(0.3, 1.4)
    for along in (-0.6, 0.62):
        for across in (-1, 1):
            tyre = sorted((across * (side - 0.01), across * (side - 0.22)))
            hub = sorted((across * side, across * (side - 0.1)))
            solids.disc(place, owner, np.array((0.035, 0.035, 0.04)), along * half, radius, radius, *tyre)
            solids.disc(place, owner, rim, along * half, radius, 0.6 * radius, *hub)


def _van(solids, rng, place, owner, size):
    height, width, length = size
    half, side, colour = length / 2, width / 2, _pick(rng, CAR_COLOURS[3:10])
    belt = 0.5 * height
    glass = np.array((0.05, 0.06, 0.07)) * rng.uniform(0.6, 1.8)
    solids.box(place, owner, colour, (-half, half, -side + 0.02, side - 0.02), (-half, half - 0.1, -side + 0.03, side - 0.03),
               0.12 * height, belt, PAINT)  # fmt: skip
    solids.box(place, owner, colour, (-half, half - 0.1 - 0.12 * length, -side + 0.03, side - 0.03),
               (-half + 0.05, half - 0.1 - 0.25 * length, -side + 0.12, side - 0.12), belt, height, PAINT)  # fmt: skip
    front = half - 0.1 - 0.14 * length
    solids.box(place, owner, glass, (half - 0.6 * length, front + 0.06, -side + 0.1, side - 0.1),
               (half - 0.6 * length, front - 0.08 * length, -side + 0.16, side - 0.16), belt + 0.05, 0.85 * height, PAINT)  # fmt: skip
    solids.box(place, owner, glass, (half - (0.9 if rng.random() < 0.5 else 0.45) * length, front - 0.1, -side + 0.02, side - 0.02),
               (half - 0.42 * length, front - 0.12 * length, -side + 0.09, side - 0.09), belt + 0.1, 0.85 * height, PAINT)  # fmt: skip
    solids.block(place, owner, glass, -half - 0.01, -half + 0.3, -side + 0.2, side - 0.2, belt + 0.1, 0.8 * height)
    for sign, lamp in ((1, (0.75, 0.76, 0.74)), (-1, (0.4, 0.03, 0.03))):
        for across in (-1, 1):
            face = sorted((sign * (half - 0.3), sign * (half + 0.01)))
            edges = sorted((across * (side - 0.05), across * (side - 0.25)))
            solids.block(place, owner, np.array(lamp), *face, *edges, 0.32 * height, 0.4 * height)
    _wheels(solids, rng, place, owner, half, side, 0.17 * height)


def _truck(solids, rng, place, owner, size):
    height, width, length = size
    half, side, colour = length / 2, width / 2, _pick(rng, CAR_COLOURS[6:])
    cab = half - 1.9
    load = _pick(rng, WALLS)
    solids.block(place, owner, colour, cab, half, -side + 0.05, side - 0.05, 0.4, min(height, 2.7), PAINT)
    solids.block(place, owner, np.array((0.05, 0.06, 0.07)), cab + 0.5, half + 0.01, -side + 0.15, side - 0.15, 1.5, 2.3, PAINT)
    solids.block(place, owner, np.array((0.05, 0.06, 0.07)), cab + 0.9, half - 0.2, -side, side, 1.5, 2.2, PAINT)
    solids.block(place, owner, load, -half, cab - 0.15, -side, side, 0.95, height, WALL if rng.random() < 0.3 else PLAIN)
    solids.block(place, owner, np.array((0.08, 0.08, 0.08)), -half + 0.1, cab, -side + 0.3, side - 0.3, 0.45, 0.95)
    for along in (-0.75, -0.5, 0.75):
        for across in (-1, 1):
            solids.disc(place, owner, np.array((0.035, 0.035, 0.04)), along * half, 0.5, 0.5,
                        *sorted((across * side, across * (side - 0.3))))  # fmt: skip


def _limb(solids, place, owner, colour, low, high, thickness, across):
    """A slanted limb from (x, height) `low` to (x, height) `high`."""
    t, w = thickness / 2, thickness / 2
    solids.box(place, owner, colour, (low[0] - t, low[0] + t, across - w, across + w),
               (high[0] - t, high[0] + t, across - w, across + w), low[1], high[1])  # fmt: skip


def _head(solids, rng, place, owner, x, chin, top, skin):
    r = 0.5 * (top - chin)
    hair = _pick(rng, HAIR)
    cover = chin + (top - chin) * rng.uniform(0.5, 0.75)
    solids.box(place, owner, skin, (x - 0.5 * r, x + 0.7 * r, -0.5 * r, 0.5 * r), (x - 0.75 * r, x + 0.8 * r, -0.7 * r, 0.7 * r), chin, cover)
    solids.box(place, owner, hair, (x - 0.85 * r, x + 0.8 * r, -0.75 * r, 0.75 * r), (x - 0.5 * r, x + 0.4 * r, -0.45 * r, 0.45 * r), cover, top)
    solids.block(place, owner, hair, x - 0.88 * r, x + 0.1 * r, -0.72 * r, 0.72 * r, cover - 0.3 * r, cover)


def _pedestrian(solids, rng, place, owner, size):
    height, width, length = size
    stride = (length / 2 - 0.13) * rng.uniform(0.2, 1.0) if rng.random() < 0.8 else 0.02
    hip, shoulder, chin = 0.47 * height, 0.82 * height, 0.86 * height
    coat, trousers, skin = _pick(rng, CLOTHES), _pick(rng, CLOTHES[:7]), _pick(rng, SKIN)
    body = min(width / 2 - 0.06, 0.24) - 0.02
    for across, way in ((-0.09, 1), (0.09, -1)):
        foot = way * stride
        solids.box(place, owner, np.array((0.06, 0.05, 0.05)), (foot - 0.09, foot + 0.17, across - 0.05, across + 0.05),
                   (foot - 0.07, foot + 0.05, across - 0.05, across + 0.05), 0, 0.09)  # fmt: skip
        knee = (foot * 0.45 + 0.05 * (1 - way) / 2 + 0.04, 0.26 * height)
        _limb(solids, place, owner, trousers, (foot, 0.07), knee, 0.12, across)
        _limb(solids, place, owner, trousers, knee, (0.0, hip), 0.16, across)
        hand = (-way * stride * 0.7, 0.46 * height)
        elbow = (-way * stride * 0.3 - 0.03, 0.62 * height)
        side = np.sign(across) * (body + 0.05)
        _limb(solids, place, owner, skin if rng.random() < 0.4 else coat, hand, elbow, 0.09, side)
        _limb(solids, place, owner, coat, elbow, (0.0, shoulder), 0.11, side)
    hem = hip - (0.2 * height * rng.random() if rng.random() < 0.3 else 0.02)
    solids.box(place, owner, coat, (-0.12, 0.13, -body + 0.03, body - 0.03), (-0.11, 0.12, -body - 0.02, body + 0.02), hem, 0.74 * height)
    solids.box(place, owner, coat, (-0.11, 0.12, -body - 0.04, body + 0.04), (-0.07, 0.08, -body + 0.08, body - 0.08), 0.74 * height, 0.84 * height)
    solids.block(place, owner, skin * 0.85, -0.05, 0.06, -0.06, 0.06, 0.83 * height, 0.88 * height)
    _head(solids, rng, place, owner, 0.02, chin, height, skin)
    if rng.random() < 0.3:
        solids.block(place, owner, _pick(rng, CLOTHES), -0.27, -0.1, -body + 0.04, body - 0.04, 0.55 * height, 0.8 * height)


def _ring(solids, place, owner, x, radius, colour):
    """A bicycle wheel: eight short pieces of tyre."""
    angle = np.arange(9) * np.pi / 4 + np.pi / 8
    points = np.stack([x + radius * np.cos(angle), radius * (1 + np.sin(angle) / np.cos(np.pi / 8))], axis=-1)
    for first, second in zip(points[:-1], points[1:], strict=True):
        low, high = (first, second) if first[1] < second[1] else (second, first)
        t = 0.028
        if high[1] - low[1] < 0.02:
            x0, x1 = sorted((low[0], high[0]))
            y0 = min(low[1], 2 * radius - 0.05)
            solids.block(place, owner, colour, x0, x1, -0.022, 0.022, max(0.0, y0), max(0.0, y0) + 0.05)
        else:
            solids.box(place, owner, colour, (low[0] - t, low[0] + t, -0.022, 0.022), (high[0] - t, high[0] + t, -0.022, 0.022), low[1], high[1])


def _cyclist(solids, rng, place, owner, size):
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
    solids.block(place, owner, frame, back, crank[0], -0.02, 0.02, 0.27, 0.33)
    solids.block(place, owner, tyre, saddle[0] - 0.12, saddle[0] + 0.14, -0.07, 0.07, saddle[1], saddle[1] + 0.06)
    grip = min(width / 2, 0.32)
    solids.block(place, owner, tyre, stem[0] - 0.05, stem[0], -grip, grip, stem[1] - 0.02, stem[1] + 0.02)
    hip, lean = (saddle[0] + 0.02, saddle[1] + 0.05), rng.uniform(0.12, 0.38)
    shoulder = (hip[0] + lean, 0.83 * height)
    solids.box(place, owner, coat, (hip[0] - 0.12, hip[0] + 0.13, -0.16, 0.16), (shoulder[0] - 0.1, shoulder[0] + 0.09, -0.21, 0.21),
               hip[1], shoulder[1])  # fmt: skip
    solids.block(place, owner, skin, shoulder[0], shoulder[0] + 0.1, -0.05, 0.05, shoulder[1], 0.88 * height)
    _head(solids, rng, place, owner, shoulder[0] + 0.06, 0.865 * height, height, skin)
    turn = rng.uniform(0, 2 * np.pi)
    for sign in (-1, 1):
        pedal = (crank[0] + 0.15 * sign * np.cos(turn), crank[1] + 0.13 * sign * np.sin(turn))
        knee = (hip[0] + 0.36, 0.5 * (hip[1] + pedal[1]) + 0.08)
        _limb(solids, place, owner, trousers, pedal, knee, 0.11, 0.11 * sign)
        solids.box(place, owner, trousers, (knee[0] - 0.08, knee[0] + 0.05, 0.11 * sign - 0.07, 0.11 * sign + 0.07),
                   (hip[0] - 0.1, hip[0] + 0.12, 0.11 * sign - 0.08, 0.11 * sign + 0.08), knee[1] - 0.06, hip[1] + 0.02)  # fmt: skip
        solids.block(place, owner, tyre, pedal[0] - 0.08, pedal[0] + 0.16, 0.11 * sign - 0.05, 0.11 * sign + 0.05, pedal[1] - 0.06, pedal[1] + 0.02)
        _limb(solids, place, owner, coat, (stem[0] - 0.03, stem[1]), (shoulder[0], shoulder[1] - 0.06), 0.1, (grip - 0.06) * sign)


BUILDERS = {"Car": _car, "Van": _van, "Truck": _truck, "Pedestrian": _pedestrian, "Cyclist": _cyclist}


def _sample_object(rng, name, heading):
    """(dimensions, x, z, yaw) of one object, as the real labels have them."""
    facts = kitti_statistics()["classes"][name]
    z = float(np.interp(rng.random(), LEVELS, facts["z"]))
    bin_ = int(np.clip(np.searchsorted(DISTANCE_EDGES, z, side="right") - 1, 0, len(DISTANCE_EDGES) - 2))
    x = float(np.interp(rng.random(), LEVELS, facts["x"][bin_]))
    side = int(np.searchsorted(SIDE_EDGES, x, side="right") - 1)
    chance = np.asarray(facts["yaw"][side])
    yaw = (rng.choice(YAW_BINS, p=chance / chance.sum()) + rng.random()) * 2 * np.pi / YAW_BINS - np.pi
    along = np.sign(yaw) * np.pi / 2
    if name != "Pedestrian" and abs(yaw - along) < 0.3:  # traffic follows the road
        yaw = along + heading + rng.normal(0, 0.02 if name == "Car" else 0.06)
    size = np.clip(rng.standard_normal(3), -2.2, 2.2) @ np.linalg.cholesky(facts["dimensions_covariance"]).T
    size = np.maximum(size + facts["dimensions_mean"], (1.0, 0.4, 0.4))
    return size, x, z, yaw


def _footprint(x, z, yaw, length, width, margin=0.0):
    """(4, 2) corners (x, z) of a rectangle on the ground."""
    a, b = length / 2 + margin, width / 2 + margin
    corners = np.array([(a, b), (a, -b), (-a, -b), (-a, b)])
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return corners @ np.array([[cosine, -sine], [sine, cosine]]) + (x, z)


def _area(x, z, yaw, length, width, margin=0.0):
    """A rectangle on the ground for :func:`_free`: (x, z, radius, corners)."""
    radius = 0.5 * math.hypot(length + 2 * margin, width + 2 * margin)
    return x, z, radius, _footprint(x, z, yaw, length, width, margin)


def _free(area, taken):
    """Does an area overlap none of those taken? Circles first; where they meet, the rectangles decide."""
    x, z, radius, corners = area
    for other_x, other_z, other_radius, other_corners in taken:
        if math.hypot(x - other_x, z - other_z) < radius + other_radius and _overlap(corners, other_corners):
            return False
    return True


def _overlap(first, second):
    """Do two convex quadrilaterals (4, 2) overlap? Separating axes."""
    for a, b in ((first, second), (second, first)):
        edges = a - a[[3, 0, 1, 2]]
        normals = edges[:, ::-1] * (1, -1)
        p, q = a @ normals.T, b @ normals.T
        if ((p.min(axis=0) > q.max(axis=0)) | (q.min(axis=0) > p.max(axis=0))).any():
            return False
    return True


def _count(rng, name):
    """How many objects of a class: as in a real frame, more often non-empty by the oversampling."""
    share = np.array(kitti_statistics()["classes"][name]["per_frame"])
    share[1:] *= OVERSAMPLING[name]
    share[0] = max(0.0, 1 - share[1:].sum())
    return int(rng.choice(len(share), p=share / share.sum()))


def _place_objects(rng, street, rows, heading):
    """Add labelled objects, disjoint on the ground, to the street."""
    taken = [_area(0, 0, np.pi / 2, 5.0, 2.2)]  # the car that carries the camera
    for name in ("Truck", "Van", "Car", "Cyclist", "Pedestrian"):
        for _ in range(_count(rng, name)):
            for _ in range(12):
                size, x, z, yaw = _sample_object(rng, name, heading)
                side = int(x > 0)
                if name in ("Car", "Van") and rows[side] is not None and rng.random() < 0.6 and abs(np.sin(yaw)) > 0.9:
                    x = rows[side] + heading * z + rng.normal(0, 0.12)
                area = _area(x, z, yaw, size[2], size[1], 0.2)
                if z > 1.5 and _free(area, taken):
                    taken.append(area)
                    _add_object(rng, street, name, size, x, z, yaw)
                    break
    return taken


def _add_object(rng, street, name, size, x, z, yaw):
    """Build the parts of an object; its dimensions are the tight box of those parts."""
    solids, owner = street.solids, len(street.objects)
    place = solids.place(x, street.ground_y(z), z, yaw)
    first_box, first_disc = len(solids.boxes), len(solids.discs)
    BUILDERS[name](solids, rng, place, owner, size)
    boxes, discs = np.array(solids.boxes[first_box:]), np.array(solids.discs[first_disc:]).reshape(-1, 5)
    low_x = min(boxes[:, [0, 4]].min(), *(discs[:, 0] - discs[:, 2]), 1e9)
    high_x = max(boxes[:, [1, 5]].max(), *(discs[:, 0] + discs[:, 2]), -1e9)
    low_z, high_z = min(boxes[:, [2, 6]].min(), *discs[:, 3], 1e9), max(boxes[:, [3, 7]].max(), *discs[:, 4], -1e9)
    middle_x, middle_z, lift = (low_x + high_x) / 2, (low_z + high_z) / 2, min(boxes[:, 8].min(), *(discs[:, 1] - discs[:, 2]), 1e9)
    boxes[:, [0, 1, 4, 5]] -= middle_x
    boxes[:, [2, 3, 6, 7]] -= middle_z
    boxes[:, 8:] -= lift
    discs -= (middle_x, lift, 0, middle_z, middle_z)
    solids.boxes[first_box:], solids.discs[first_disc:] = boxes.tolist(), discs.tolist()
    dimensions = (float(boxes[:, 9].max()), float(high_z - low_z), float(high_x - low_x))
    location = (float(x), float(street.ground_y(z)), float(z))
    yaw = float((yaw + np.pi) % (2 * np.pi) - np.pi)
    street.objects.append(RoadObject(name, (0, 0, 0, 0), dimensions=dimensions, location=location, yaw=yaw))
    solids.shadows.append((_footprint(x, z, yaw, dimensions[2], dimensions[1]), dimensions[0], 1.0, owner))


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
        for z in np.arange(rng.uniform(4, 14), 90, rng.uniform(6, 11)):
            if rng.random() < density:
                out = rng.uniform(0.8, 2.0) if kind == "houses" else rng.uniform(1, 9)
                _tree(rng, street, edge + side * out, z + rng.uniform(-2, 2), taken)
        for z in np.arange(rng.uniform(5, 25), 80, rng.uniform(9, 30)):
            _pole(rng, street, edge + side * rng.uniform(0.3, 1.0), z, side, taken)
    for x in np.arange(-130, 130, 14):  # a backdrop of woods and houses
        z, radius = rng.uniform(105, 150), rng.uniform(5, 14)
        if rng.random() < style["backdrop"]:
            street.solids.crown((x, street.ground_y(z) - 0.5 * radius, z), (9, radius, 6), _leaf(rng) * 0.8)


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
    solids.block(place, -1, wall * 0.6, -length / 2 - 0.03, length / 2 + 0.03, -depth / 2 - 0.03, depth / 2 + 0.03, -2.0, 0.6)
    if rng.random() < 0.7:
        tile = np.array((0.36, 0.2, 0.15)) * rng.uniform(0.5, 1.3) + rng.uniform(0, 0.05)
        solids.box(place, -1, tile, (-length / 2 - 0.3, length / 2 + 0.3, -depth / 2 - 0.5, depth / 2 + 0.5),
                   (-length / 2 - 0.3, length / 2 + 0.3, -0.2, 0.2), height, height + depth * rng.uniform(0.25, 0.5), WALL)  # fmt: skip
    solids.shadows.append((area[3], height, 1.0, -1))


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
            place = street.solids.place(_lateral(street, line, middle), street.ground_y(middle), middle,
                                        np.pi / 2 + street.style["heading"])  # fmt: skip
            street.solids.block(place, -1, colour, -length / 2, length / 2, -0.3, 0.3, -0.5, height, FOLIAGE if green else WALL)
            street.solids.shadows.append((area[3], height, 0.9, -1))
        z += length + rng.uniform(0.5, 6)


def _tree(rng, street, x, z, taken):
    x = _lateral(street, x, z)
    trunk = rng.uniform(0.1, 0.28)
    if z < 3 or not _free(_area(x, z, 0, 2 * trunk, 2 * trunk, 0.15), taken):
        return
    ground, crown = street.ground_y(z), rng.uniform(1.4, 3.6)
    bare = rng.uniform(1.8, 3.5)
    place = street.solids.place(x, ground, z)
    street.solids.box(place, -1, np.array((0.16, 0.13, 0.1)) * rng.uniform(0.6, 1.4), (-trunk, trunk, -trunk, trunk),
                      (-0.6 * trunk, 0.6 * trunk, -0.6 * trunk, 0.6 * trunk), -0.3, bare + 0.7 * crown, WALL)  # fmt: skip
    colour = _leaf(rng)
    for _ in range(3):
        dx, dz = rng.normal(0, 0.45 * crown, 2)
        radii = crown * rng.uniform(0.55, 1.0, 3)
        street.solids.crown((x + dx, ground - bare - crown * rng.uniform(0.7, 1.4), z + dz), radii, colour * rng.uniform(0.8, 1.2))
    angle = np.arange(8) * np.pi / 4
    disc = np.stack([x + crown * 0.9 * np.cos(angle), z + crown * 0.9 * np.sin(angle)], axis=-1)
    street.solids.shadows.append((disc, (bare, bare + 1.6 * crown), 0.85, -1))
    taken.append(_area(x, z, 0, 2 * trunk, 2 * trunk, 0.1))


def _pole(rng, street, x, z, side, taken):
    x, width = _lateral(street, x, z), rng.uniform(0.04, 0.1)
    if not _free(_area(x, z, 0, 2 * width, 2 * width, 0.1), taken):
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
    rows = [-rng.uniform(2.6, 5.5) if rng.random() < 0.6 else None, rng.uniform(2.4, 4.5) if rng.random() < 0.6 else None]
    taken = _place_objects(rng, street, rows, street.style["heading"])
    _scenery(rng, street, list(taken))
    return street


def _style(rng):
    sun_height, sun_way = np.deg2rad(rng.uniform(18, 65)), rng.uniform(0, 2 * np.pi)
    dusk, overcast = rng.random() < 0.07, rng.random() < 0.3
    crossing = rng.uniform(12, 50) if rng.random() < 0.35 else None
    return {
        "heading": rng.normal(0, 0.03), "curvature": rng.normal(0, 0.0012),
        "edges": (-rng.uniform(4.5, 9.5), rng.uniform(2.6, 6.0)),
        "middle": -rng.uniform(1.4, 2.2), "marked": rng.random() < 0.6, "dash": rng.uniform(4, 12), "edge_line": rng.random() < 0.35,
        "crossing": (crossing, crossing + rng.uniform(6, 10)) if crossing else None,
        "walk": rng.uniform(1.5, 3.5), "walk_colour": np.array((0.42, 0.41, 0.4)) * rng.uniform(0.6, 1.3),
        "walk_kind": rng.integers(3), "verge": rng.integers(3), "grass": np.array((0.2, 0.26, 0.1)) * rng.uniform(0.6, 1.4),
        "asphalt": np.array((0.3, 0.3, 0.305)) * rng.uniform(0.6, 1.35),
        "sun": np.array([np.cos(sun_height) * np.cos(sun_way), -np.sin(sun_height), np.cos(sun_height) * np.sin(sun_way)]),
        "sun_strength": rng.uniform(0.02, 0.15) if overcast or dusk else rng.uniform(0.5, 1.1),
        "ambient": (rng.uniform(0.3, 0.45) if dusk else rng.uniform(0.6, 0.95)) if overcast or dusk else rng.uniform(0.25, 0.5),
        "sky_top": np.array((0.28, 0.48, 0.8)) * rng.uniform(0.7, 1.2) if not overcast else np.array((0.75, 0.78, 0.82)),
        "sky_low": np.array((0.85, 0.9, 0.95)) * (0.6 if dusk else 1.0), "cloud": rng.uniform(0, 1.0), "dusk": dusk,
        "haze": rng.uniform(150, 1200), "exposure": rng.uniform(0.75, 1.35), "contrast": rng.uniform(0.9, 1.35),
        "balance": 1 + rng.normal(0, 0.04, 3), "noise": rng.uniform(1.0, 4.0), "blur": rng.uniform(0.25, 0.6),
        "backdrop": rng.uniform(0.2, 1.0), "salt": int(rng.integers(1 << 30)), "tree_shadows": rng.random() < 0.8,
    }  # fmt: skip


# --- casting rays ----------------------------------------------------------------------------------------------------

_SIDES = np.array([(0, 1, 1, 0), (1, 2, 2, 1), (2, 3, 3, 2), (3, 0, 0, 3)])


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
    side = np.cross(high_next - low, high - low_next)
    point = (low + low_next + high + high_next) / 4
    half = vertices.shape[2] // 2
    caps = np.stack([np.cross(ring[:, half] - ring[:, 0], ring[:, half + half // 2] - ring[:, half // 2]) for ring in (low, high)], axis=1)
    normals = np.concatenate([side, caps], axis=1)
    points = np.concatenate([point, vertices.mean(axis=2)], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    outward = ((points - vertices.mean(axis=(1, 2))[:, None]) * normals).sum(axis=-1, keepdims=True)
    normals *= np.where(outward < 0, -1, 1)
    return normals, (normals * points).sum(axis=-1)


def _extents(vertices, camera):
    """(n, 2, k, 3) vertices to (n, 4): left, top, right, bottom of the projection of what lies in front of NEAR."""
    low, high, turn = vertices[:, 0], vertices[:, 1], np.roll(np.arange(vertices.shape[2]), -1)
    first = np.stack([low, high, low], axis=1)  # the three edges that begin at a corner: along each ring, and up
    second = np.stack([low[:, turn], high[:, turn], high], axis=1)
    share = (NEAR - first[..., 2]) / np.where(np.abs(second[..., 2] - first[..., 2]) < 1e-9, 1e-9, second[..., 2] - first[..., 2])
    cut = first + np.clip(share, 0, 1)[..., None] * (second - first)
    crossing = (first[..., 2] < NEAR) != (second[..., 2] < NEAR)
    points = np.concatenate([vertices, cut], axis=1)
    valid = np.concatenate([vertices[..., 2] >= NEAR, crossing], axis=1)
    depth = np.maximum(points[..., 2], NEAR)
    u = camera.focal_length[0] * points[..., 0] / depth + camera.center[0]
    v = camera.focal_length[1] * points[..., 1] / depth + camera.center[1]
    low = [np.where(valid, each, np.inf).min(axis=(1, 2)) for each in (u, v)]
    high = [np.where(valid, each, -np.inf).max(axis=(1, 2)) for each in (u, v)]
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
    solids = street.solids
    places = np.array(solids.places).reshape(-1, 4)
    parts, surfaces = [], []
    start = 2
    for rows, facts, build in ((solids.boxes, solids.box_facts, _box_vertices), (solids.discs, solids.disc_facts, _disc_vertices)):
        if not rows:
            continue
        place, owner, material = (np.array([fact[i] for fact in facts]) for i in range(3))
        colour = np.array([fact[3] for fact in facts])
        vertices = _world(build(np.array(rows, dtype=np.float64)), places[place])
        normals, offsets = _planes(vertices)
        offsets = np.where(np.abs(offsets) < 1e-6, 1e-6, offsets)
        order = np.argsort(offsets > 0, axis=1, kind="stable")
        normals = np.take_along_axis(normals, order[..., None], axis=1)
        offsets = np.take_along_axis(offsets, order, axis=1)
        count = normals.shape[1]
        parts.append((_extents(vertices, camera), owner, start + count * np.arange(len(rows)), (offsets < 0).sum(axis=1), np.full(len(rows), count)))
        surfaces.append((normals.reshape(-1, 3), offsets.reshape(-1), np.repeat(colour, count, axis=0), np.repeat(material, count), np.repeat(owner, count)))
        start += count * len(rows)
    if solids.crowns:
        crowns = np.array(solids.crowns)
        corners = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        boxes = (crowns[:, None, :3] + corners * crowns[:, None, 3:]).reshape(-1, 2, 4, 3)
        n = len(crowns)
        parts.append((_extents(boxes, camera), np.full(n, -1), start + np.arange(n), np.zeros(n, int), np.ones(n, int)))
        colour = np.array([fact[3] for fact in solids.crown_facts])
        surfaces.append((np.zeros((n, 3)), np.ones(n), colour, np.full(n, FOLIAGE), np.full(n, -1)))
    extents, owners, first, entries, counts = (np.concatenate(each) for each in zip(*parts, strict=True))
    normals, offsets, colours, materials, surface_owner = (np.concatenate(each) for each in zip(*surfaces, strict=True))
    pad = np.zeros((2, 3))
    normals = np.concatenate([pad, normals])
    slopes = np.concatenate([pad, normals[2:] / offsets[:, None]])
    none = np.full(2, -1)
    return _Scene(extents, owners, first, entries, counts, slopes.astype(np.float32), normals, np.concatenate([pad, colours]),
                  np.concatenate([none, materials]), np.concatenate([none, surface_owner]))  # fmt: skip


def _cast(street, scene, camera):
    """Inverse depth, surface index, and for every object its number of pixels with nothing in front."""
    height, width = camera.height, camera.width
    x = ((np.arange(width) - camera.center[0]) / camera.focal_length[0]).astype(np.float32)
    y = ((np.arange(height) - camera.center[1]) / camera.focal_length[1]).astype(np.float32)
    ground = np.maximum(0, (y - street.ground[1]) / street.ground[0]).astype(np.float32)
    inverse = np.repeat(ground[:, None], width, axis=1)
    surface = np.repeat(np.where(ground > 0, GROUND, SKY).astype(np.int32)[:, None], width, axis=1)
    left, top = np.maximum(0, np.ceil(scene.extents[:, :2])).T.astype(np.float64)
    right, bottom = np.minimum((width - 1, height - 1), np.floor(scene.extents[:, 2:])).T
    alone = {}
    for part in np.flatnonzero((left <= right) & (top <= bottom)):
        rows, columns = slice(int(top[part]), int(bottom[part]) + 1), slice(int(left[part]), int(right[part]) + 1)
        first, count, entries = scene.first[part], scene.counts[part], scene.entries[part]
        if count == 1:
            crown = street.solids.crowns[first - scene.first[-1] - 1]  # crowns come last
            _cast_crown(crown, x[columns], y[rows], inverse[rows, columns], surface[rows, columns], first, street.style["salt"])
            continue
        if entries == 0:
            continue
        slopes = scene.slopes[first : first + count]
        depths = (slopes[:, 1:2] * y[rows] + slopes[:, 2:3])[:, :, None] + (slopes[:, 0:1] * x[columns])[:, None, :]
        entry = depths[0] if entries == 1 else depths[:entries].min(axis=0)
        hit = (entry >= depths[entries:].max(axis=0)) & (entry > 0)
        owner = scene.owners[part]
        if owner >= 0:
            alone.setdefault(owner, []).append((rows, columns, hit.copy()))
        view, index = inverse[rows, columns], surface[rows, columns]
        hit &= entry > view
        np.copyto(view, entry, where=hit)
        np.copyto(index, first, where=hit)
        for other in range(1, entries):
            np.copyto(index, first + other, where=hit & (depths[other] == entry))
    return inverse, surface, alone, x, y


def _cast_crown(crown, x, y, view, index, surface, salt):
    """A round crown with a ragged edge: rays that graze it pass with a chance that depends on the place."""
    centre, radii = np.array(crown[:3]), np.array(crown[3:])
    c = centre / radii
    a = c @ c - 1
    if a <= 0:
        return
    direction = ((y / radii[1]) ** 2 + 1 / radii[2] ** 2)[:, None] + ((x / radii[0]) ** 2)[None]
    b = (c[1] * y / radii[1] + c[2] / radii[2])[:, None] + (c[0] * x / radii[0])[None]
    discriminant = b * b - a * direction
    grain = 3.0 / min(1.5, radii[0])
    columns, rows = np.floor(x * centre[2] * grain).astype(np.int64), np.floor(y * centre[2] * grain).astype(np.int64)
    ragged = _hash(columns[None], rows[:, None], salt + surface)
    hit = discriminant > direction * (0.55 * ragged)
    entry = ((b + np.sqrt(np.maximum(discriminant, 0))) / a).astype(np.float32)
    hit &= entry > view
    np.copyto(view, entry, where=hit)
    np.copyto(index, surface, where=hit)


def _hash(a, b, c):
    """Noise in [0, 1) for integer lattice points."""
    value = (a * 374761393 + b * 668265263 + c * 2147483629) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 1274126177) & 0xFFFFFFFF
    return (((value ^ (value >> 16)) & 0xFFFF) * (1 / 65536)).astype(np.float32)


# --- shading ---------------------------------------------------------------------------------------------------------


def _hull_edges(points):
    """Half planes (n, 3): a x + b z <= c inside the convex hull of points (n, 2)."""
    points = points[np.lexsort((points[:, 1], points[:, 0]))]
    chain = []
    for ordered in (points, points[::-1]):
        half = []
        for p in ordered:
            while len(half) > 1 and _turn(half[-2], half[-1], p) <= 0:
                half.pop()
            half.append(p)
        chain += half[:-1]
    ring = np.array(chain)
    edge = np.roll(ring, -1, axis=0) - ring
    normal = np.stack([edge[:, 1], -edge[:, 0]], axis=-1)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    return np.concatenate([normal, (normal * ring).sum(axis=-1, keepdims=True)], axis=-1)


def _turn(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _ground_light(street, x, s, horizon):
    """(rows, columns) share of sunlight, and of ambient light, that reaches the ground below the horizon; objects in shade."""
    style = street.style
    sun = style["sun"]
    reach = -np.array((sun[0], sun[2])) / max(-sun[1], 0.1)
    light = np.ones((len(s), len(x)), dtype=np.float32)
    contact = np.ones_like(light)
    shaded = np.zeros(len(street.objects), dtype=bool)
    places = np.array([(each.location[0], each.location[2]) for each in street.objects]).reshape(-1, 2)
    depth = 1 / np.maximum(s, 1e-4)
    for footprint, height, strength, owner in street.solids.shadows:
        low, high = height if isinstance(height, tuple) else (0.0, height)
        edges = _hull_edges(np.concatenate([footprint + reach * low, footprint + reach * high]))
        _darken(light, edges, x, s, depth, strength)
        if owner >= 0:
            _darken(contact, _hull_edges(footprint), x, s, depth, 0.75, grow=0.15)
        elif len(places):
            shaded |= (places @ edges[:, :2].T <= edges[:, 2]).all(axis=1)
    return light, contact, shaded


def _darken(light, edges, x, s, depth, strength, grow=0.0):
    """Multiply the ground inside a convex outline by 1 - strength. In inverse depth s: a x + b <= c s, per column and row."""
    a, b, c = edges.T
    inside_z = _depth_range(edges)
    rows = np.flatnonzero((depth >= inside_z[0] - grow) & (depth <= inside_z[1] + grow))
    if not len(rows):
        return
    rows = slice(rows[0], rows[-1] + 1)
    margin = (a[:, None] * x)[:, None, :] + (b[:, None] - (c[:, None] + grow) * s[rows])[:, :, None]
    light[rows][(margin <= 0).all(axis=0)] *= 1 - strength


def _depth_range(edges):
    """Nearest and farthest depth of a convex outline given by half planes: from the meeting points of its neighbours."""
    a, b, c = edges.T
    a2, b2, c2 = np.roll(edges, -1, axis=0).T
    det = a * b2 - a2 * b
    z = (a * c2 - a2 * c)[np.abs(det) > 1e-9] / det[np.abs(det) > 1e-9]
    return (z.min(), z.max()) if len(z) else (0.0, 0.0)


def _shade(street, scene, inverse, surface, x, y):
    """(height, width, 3) float32 colours between 0 and 1, and the road mask."""
    style = street.style
    sun, strength, ambient = style["sun"], style["sun_strength"], style["ambient"]
    s = np.maximum(0, (y - street.ground[1]) / street.ground[0])
    horizon = int(np.argmax(s > 0)) if (s > 0).any() else len(y)
    light, contact, shaded = _ground_light(street, x, s[horizon:], horizon)
    facing = np.maximum(0, scene.normals @ sun)
    up = 0.75 - 0.25 * scene.normals[:, 1]
    lit = np.ones(len(facing))
    owned = scene.surface_owner >= 0
    if owned.any():
        lit[owned] = np.where(shaded[scene.surface_owner[owned]], 0.1, 1.0)
    factor = ambient * up + strength * facing * lit
    painted = scene.materials == PAINT
    gloss = np.where(painted, np.maximum(0, -scene.normals[:, 1]) * 0.16 * (ambient + 0.3 * strength), 0)
    colours = (scene.colours * factor[:, None] + gloss[:, None] * style["sky_low"]).astype(np.float32)
    image = colours[surface]
    road = np.zeros(surface.shape, dtype=bool)
    _shade_ground(street, image, road, surface, x, s, horizon, light, contact)
    material = scene.materials[surface]
    _shade_scenery(street, scene, image, inverse, surface, material, x, y)
    _shade_sky(style, image, surface == SKY, x, y)
    distance_light = np.exp(-1 / (style["haze"] * np.maximum(inverse, 1e-4)))[..., None].astype(np.float32)
    haze = (style["sky_low"] * 0.8).astype(np.float32)
    solid = (surface != SKY)[..., None]
    image = np.where(solid, haze + (image - haze) * distance_light, image)
    return image, road


def _shade_ground(street, image, road, surface, x, s, horizon, light, contact):
    style = street.style
    rows, columns = np.nonzero(surface[horizon:] == GROUND)
    if not len(rows):
        return
    z = (1 / s[horizon:])[rows]
    across = x[columns] * z - style["heading"] * z - 0.5 * style["curvature"] * z * z
    pixel = (z * (x[1] - x[0])).astype(np.float32)  # metres across one pixel
    left, right = style["edges"]
    on_road = (across > left) & (across < right)
    if style["crossing"]:
        on_road |= (z > style["crossing"][0]) & (z < style["crossing"][1])
    beyond = np.where(across < left, left - across, across - right)
    walk = ~on_road & (beyond < style["walk"])
    z_lattice, x_lattice = np.floor(z * 4).astype(np.int64), np.floor(across * 4).astype(np.int64)
    fine = _hash(np.floor(z * 16).astype(np.int64), np.floor(across * 16).astype(np.int64), style["salt"]) - 0.5
    coarse = _hash(np.floor(z * 0.4).astype(np.int64), np.floor(across * 1.1).astype(np.int64), style["salt"] + 1) - 0.5
    fine *= np.clip(0.12 / pixel, 0, 1)
    colour = np.empty((len(z), 3), dtype=np.float32)
    colour[:] = style["asphalt"]
    ground_kind = [style["grass"], style["walk_colour"] * 0.9, style["asphalt"] * 1.1][style["verge"]]
    colour[~on_road] = ground_kind
    colour[walk] = style["walk_colour"]
    tone = 1 + 0.28 * fine + 0.12 * coarse
    if style["walk_kind"] < 2:  # slabs
        joint = (np.mod(z, 0.6) < 0.05) | (np.mod(across, 0.6) < 0.05)
        tone = np.where(walk & joint & (pixel < 0.1), tone * 0.75, tone)
    else:
        tone = np.where(walk, tone + 0.25 * (_hash(z_lattice, x_lattice, 5) - 0.5) * np.clip(0.2 / pixel, 0, 1), tone)
    colour *= tone[:, None]
    kerb = ~on_road & (beyond < 0.16)
    colour[kerb] = style["walk_colour"] * 1.25
    paint = np.zeros(len(z), dtype=np.float32)

    def stripe(position, dashed):
        cover = np.clip((0.07 - np.abs(across - position)) / pixel + 0.5, 0, 1) * np.minimum(1, 0.14 / pixel + 0.1)
        if dashed:
            cover = cover * (np.mod(z, style["dash"]) < 0.45 * style["dash"])
        return np.where(on_road, cover, 0)

    if style["marked"]:
        paint = np.maximum(paint, stripe(style["middle"], True))
    if style["edge_line"]:
        paint = np.maximum(paint, stripe(left + 0.35, False))
        paint = np.maximum(paint, stripe(right - 0.35, False))
    paint *= 0.8 + coarse
    colour += np.clip(paint, 0, 1)[:, None] * (0.75 - colour)
    shade = style["ambient"] * contact[rows, columns] + style["sun_strength"] * -style["sun"][1] * light[rows, columns] * contact[rows, columns]
    image[rows + horizon, columns] = colour * shade[:, None].astype(np.float32)
    road[rows + horizon, columns] = on_road


def _shade_scenery(street, scene, image, inverse, surface, material, x, y):
    style = street.style
    rows, columns = np.nonzero(material >= FACADE)
    if not len(rows):
        return
    kind, index = material[rows, columns], surface[rows, columns]
    z = 1 / inverse[rows, columns]
    px, py = x[columns] * z, y[rows] * z
    pixel = z * (x[1] - x[0])
    up = street.ground[0] + street.ground[1] * z - py
    tone = np.ones(len(z), dtype=np.float32)
    leaf = kind == FOLIAGE
    if leaf.any():
        grain = 5.0
        a, b, c = (np.floor(each[leaf] * grain).astype(np.int64) for each in (px, py, z))
        coarse = _hash(a // 4, b // 4, c // 4 + style["salt"])
        fine = _hash(a, b, c + style["salt"])
        fade = np.clip(0.35 / pixel[leaf], 0.25, 1)
        glow = style["ambient"] * 0.7 + style["sun_strength"] * np.clip(0.25 + 0.12 * (up[leaf] - 2), 0.1, 0.8)
        leaves = scene.colours[index[leaf]] * (glow * (0.65 + 0.55 * coarse + fade * 1.1 * (fine - 0.5)))[:, None]
        image[rows[leaf], columns[leaf]] = np.maximum(leaves, 0.01)
    facade = kind == FACADE
    normal = scene.normals[index]
    along = px * normal[:, 2] - z * normal[:, 0]
    if facade.any():
        salt = (index // 6).astype(np.int64)
        pitch = 2.2 + 1.6 * _hash(salt, salt, 7)
        storey = 2.8 + 0.6 * _hash(salt, salt, 8)
        cell, floor = np.floor(along / pitch), np.floor((up - 0.3) / storey)
        in_x, in_y = np.abs(along / pitch - cell - 0.5) * 2, (up - 0.3) / storey - floor
        share = 0.35 + 0.3 * _hash(salt, salt, 9)
        window = facade & (in_x < share) & (in_y > 0.3) & (in_y < 0.8) & (np.abs(normal[:, 1]) < 0.5)
        frame = facade & (in_x < share + 0.1) & (in_y > 0.26) & (in_y < 0.84) & ~window & (np.abs(normal[:, 1]) < 0.5)
        seen = _hash(cell.astype(np.int64), floor.astype(np.int64), salt)
        dark = (0.06 + 0.2 * seen * seen)[:, None] * np.array((0.9, 1.0, 1.1)) * (style["ambient"] + 0.3 * style["sun_strength"])
        image[rows[window], columns[window]] = dark[window]
        tone[frame] = 1.25 - 0.5 * (_hash(salt, salt, 10)[frame] > 0.5)
    grid_a, grid_b = np.floor(along * 3).astype(np.int64), np.floor(up * 5).astype(np.int64)
    rough = kind == WALL
    tone[rough] *= (0.8 + 0.4 * _hash(grid_a, grid_b, 11))[rough]
    plaster = facade
    tone[plaster] *= (0.94 + 0.12 * _hash(grid_a // 4, grid_b // 6, 12))[plaster]
    keep = kind != FOLIAGE
    image[rows[keep], columns[keep]] *= tone[keep, None]
    gloss = kind == PAINT
    if gloss.any():
        streak = np.clip(0.12 * np.sin(2.5 * up[gloss] + 0.4 * along[gloss]) + 0.06, 0, 1)
        image[rows[gloss], columns[gloss]] += (streak * (style["ambient"] + 0.2))[:, None] * 0.35


def _shade_sky(style, image, sky, x, y):
    rows, columns = np.nonzero(sky)
    if not len(rows):
        return
    climb = np.clip(-y[rows] * 3.5, 0, 1)[:, None]
    colour = style["sky_low"] + (style["sky_top"] - style["sky_low"]) * climb
    cloud = np.zeros(len(rows), dtype=np.float32)
    for octave, share in ((4, 0.6), (11, 0.4)):
        cloud += share * _smooth_noise(x[columns] * octave, y[rows] * octave * 2.5, style["salt"] + octave)
    cover = np.clip((cloud - 0.75 + 0.5 * style["cloud"]) * 3, 0, 1)[:, None]
    white = np.array((0.95, 0.95, 0.96)) * (0.55 if style["dusk"] else 1.0)
    image[rows, columns] = (colour + cover * (white - colour)) * (0.6 if style["dusk"] else 1.05)


def _smooth_noise(a, b, salt):
    """Value noise: random values on a lattice, blended in between."""
    i, j = np.floor(a), np.floor(b)
    p, q = a - i, b - j
    p, q = p * p * (3 - 2 * p), q * q * (3 - 2 * q)
    i, j = i.astype(np.int64), j.astype(np.int64)
    top = _hash(i, j, salt) * (1 - p) + _hash(i + 1, j, salt) * p
    return top * (1 - q) + (_hash(i, j + 1, salt) * (1 - p) + _hash(i + 1, j + 1, salt) * p) * q


def _develop(image, style, rng):
    """Exposure, white balance, contrast, blur and noise of the sensor."""
    image = image * (style["exposure"] * style["balance"]).astype(np.float32)
    image = np.clip(0.42 + (image - 0.42) * np.float32(style["contrast"]), 0, 1)
    picture = Image.fromarray((image * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(style["blur"]))
    noise = rng.standard_normal(image.shape[:2] + (1,), dtype=np.float32) * np.float32(style["noise"])
    return np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)


# --- labels and points -----------------------------------------------------------------------------------------------


def _labels(street, scene, camera, surface, alone):
    """Objects with boxes, DontCare last, and the instance map."""
    owner_of = np.append(scene.surface_owner, -1)[surface]
    visible = np.bincount(owner_of[owner_of >= 0], minlength=len(street.objects))
    kept, ignored, numbers = [], [], np.zeros(len(street.objects) + 1, dtype=np.uint8)
    for index, each in enumerate(street.objects):
        whole = scene.extents[scene.owners == index]
        whole = np.concatenate([whole[:, :2].min(axis=0), whole[:, 2:].max(axis=0)])
        if not np.isfinite(whole).all():
            continue
        box = np.clip(whole, 0, np.array([camera.width - 1, camera.height - 1] * 2))
        if box[2] - box[0] < 1 or box[3] - box[1] < 1:
            continue
        total = _union_size(alone.get(index, ()))
        fraction = visible[index] / total if total else 0.0
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
        kept.append(RoadObject(each.name, box, float(round(truncation, 6)), occlusion, alpha, each.dimensions, each.location, each.yaw))
        numbers[index] = len(kept)
    return tuple(kept + ignored), numbers[owner_of]


def _union_size(pieces):
    """Number of pixels in the union of masks, each given as (rows, columns, mask)."""
    if not pieces:
        return 0
    top, bottom = min(p[0].start for p in pieces), max(p[0].stop for p in pieces)
    left, right = min(p[1].start for p in pieces), max(p[1].stop for p in pieces)
    union = np.zeros((bottom - top, right - left), dtype=bool)
    for rows, columns, mask in pieces:
        union[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] |= mask
    return int(np.count_nonzero(union))


@cache
def _beams():
    """(n, 3) directions of a Velodyne HDL-64E in camera coordinates, over the field of view: 64 beams, every 0.17 degrees."""
    elevation = np.deg2rad(np.concatenate([np.linspace(2, -8.33, 32), np.linspace(-8.83, -24.8, 32)]))
    azimuth = np.deg2rad(np.arange(-50, 50, 0.17))
    up, across = np.meshgrid(elevation, azimuth, indexing="ij")
    return np.stack([np.sin(across) * np.cos(up), -np.sin(up), np.cos(across) * np.cos(up)], axis=-1).reshape(-1, 3)


def _lidar(depth, camera, rng):
    """(n, 3) float32 points in camera coordinates: what the beams meet, with range noise and drop-outs.

    A beam is followed to the centre of the pixel it passes, so a point lies on the drawn surface.
    """
    beams = _beams()
    columns = np.rint(camera.focal_length[0] * beams[:, 0] / beams[:, 2] + camera.center[0]).astype(np.int64)
    rows = np.rint(camera.focal_length[1] * beams[:, 1] / beams[:, 2] + camera.center[1]).astype(np.int64)
    kept = rng.random(len(beams)) > 0.06
    noise = rng.normal(0, 0.015, len(beams))
    seen = kept & (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    columns, rows, noise = columns[seen], rows[seen], noise[seen]
    z = depth[rows, columns].astype(np.float64)
    near = (z > 0) & (z < 80)
    columns, rows, z = columns[near], rows[near], z[near] + noise[near]
    return camera.unproject(np.stack([columns, rows], axis=-1), z).astype(np.float32)


def draw_street(seed, height=128, width=416):
    """Draw the street of a seed.

    Args:
        seed: An int or a sequence of ints.
        height, width: Size of the image in pixels.

    Returns:
        A `Frame` with image, camera, objects, exact depth (0 in the sky), instances, road, points and calibration. What is
        too small or too hidden is a DontCare region, last in `objects`, and 0 in `instances`.
    """
    street = lay_out(seed)
    camera = Camera(street.projection, 375, 1242).resized(height, width)
    scene = _prepare(street, camera)
    inverse, surface, alone, x, y = _cast(street, scene, camera)
    sensor = np.random.default_rng([street.style["salt"], 1])
    image, road = _shade(street, scene, inverse, surface, x, y)
    depth = np.where(inverse > 1 / FARTHEST, 1 / np.maximum(inverse, 1 / FARTHEST), 0).astype(np.float32)
    objects, instances = _labels(street, scene, camera, surface, alone)
    return Frame(
        name=str(seed), image=_develop(image, street.style, sensor), camera=camera, objects=objects, depth=depth,
        instances=instances, road=road, points=_lidar(depth, camera, sensor), calibration=Calibration(camera.projection),
    )  # fmt: skip


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

    Plain processes rather than `multiprocessing`: they start fast, import neither Keras nor the caller's script, and end
    by themselves when the parent is killed, because nobody reads their lines any more.
    """
    path = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "OPENBLAS_NUM_THREADS": "1"}
    order = json.dumps({"root": str(root), "seed": int(seed), "height": height, "width": width})
    lines, started = queue.SimpleQueue(), []
    try:
        for k in range(workers):
            process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import _work; _work()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            )  # fmt: skip
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
            raise RuntimeError(f"a process that draws streets failed; see its message above. What is in {root} is whole")
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
    """``python -m roidepth_lessons.streets LABEL_FOLDER OUT.json``: write the statistics of real labels."""
    parser = argparse.ArgumentParser(prog="python -m roidepth_lessons.streets", description=main.__doc__)
    parser.add_argument("labels_folder", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args(arguments)
    about = {
        "source": "KITTI object benchmark, official training labels (Geiger, Lenz, Urtasun, CVPR 2012)",
        "licence": "Aggregated statistics only; the labels themselves are CC BY-NC-SA 3.0 and are not part of this file.",
        "command": "python -m roidepth_lessons.streets LABEL_FOLDER data/kitti_statistics.json",
    }
    text = json.dumps({**about, **label_statistics(options.labels_folder)}) + "\n"
    write_atomically(options.output, lambda file: file.write(text.encode()))


if __name__ == "__main__":
    main()
