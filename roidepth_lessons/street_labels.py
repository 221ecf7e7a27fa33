"""What is known about a drawn street: labels as KITTI has them, and the points of a LiDAR."""

import functools
from dataclasses import replace

import numpy as np

from .frames import DONT_CARE, RoadObject

SMALLEST_BOX = 25 / 721.5
"""Lower boxes than this share of the focal length are DontCare: KITTI's 25 pixels at its full resolution."""

SMALLEST_VISIBLE = 0.25
"""An object of which less than this share of its pixels is visible is DontCare."""

LIDAR_RANGE = 80.0
"""Metres."""


def label_objects(street, scene, rays, camera):
    """What of the street's objects can be seen, and where.

    Returns:
        A tuple of `RoadObject` with boxes, DontCare last, and the (height, width) uint8 map of instances.
    """
    owner_of = np.take(scene.surface_owner, rays.surface)
    visible = np.bincount(owner_of.reshape(-1) + 1, minlength=len(street.objects) + 1)[1:]
    kept, ignored, numbers = [], [], np.zeros(len(street.objects) + 1, dtype=np.uint8)
    for index, each in enumerate(street.objects):
        whole = scene.extents[scene.owners == index]
        whole = np.concatenate([whole[:, :2].min(axis=0), whole[:, 2:].max(axis=0)])
        if not np.isfinite(whole).all():
            continue
        box = np.clip(whole, 0, np.array([camera.width - 1, camera.height - 1] * 2))
        if box[2] - box[0] < 1 or box[3] - box[1] < 1 or not visible[index]:
            continue
        fraction = visible[index] / rays.covered[index]
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
        facts = {"truncation": float(round(truncation, 6)), "occlusion": occlusion, "alpha": alpha}
        kept.append(replace(each, box=box, **facts))
        numbers[index] = len(kept)
    return tuple(kept + ignored), np.take(numbers, owner_of)


def lidar_points(depth, rays, camera, rng):
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
    return np.stack([rays.x[columns] * z, rays.y[rows] * z, z], axis=-1)


@functools.cache
def _beams():
    """(2, n) x / z and y / z of the beams of a Velodyne HDL-64E towards the front: 64 beams, every 0.17 degrees."""
    elevation = np.deg2rad(np.concatenate([np.linspace(2, -8.33, 32), np.linspace(-8.83, -24.8, 32)]))
    azimuth = np.deg2rad(np.arange(-45, 45, 0.17))
    up, across = np.meshgrid(elevation, azimuth, indexing="ij")
    ways = np.stack([np.tan(across), -np.tan(up) / np.cos(across)]).reshape(2, -1)
    return ways[:, ways[1] < 0.36]  # the camera sees no steeper ones
