"""The solids of a street as what rays are cast at: planes, and the part of the image that each solid can cover."""

from dataclasses import dataclass

import numpy as np

from .street_solids import NOBODY

SKY, GROUND = 0, 1
"""The first two rows of the table of surfaces."""

NEAR = 0.3
"""Metres: nothing is drawn nearer to the camera plane."""


@dataclass
class Scene:
    """Surfaces (one row per face or crown) and the parts that they belong to, ready to be cast."""

    extents: np.ndarray  # (parts, 4) pixels: left, top, right, bottom
    owners: np.ndarray  # (parts,) index of the object, or NOBODY
    first: np.ndarray  # (parts,) first surface of a part, entry planes before exit planes
    entries: np.ndarray  # (parts,) number of entry planes
    counts: np.ndarray  # (parts,) number of planes
    slopes: np.ndarray  # (surfaces, 3) n / d
    normals: np.ndarray  # (surfaces, 3)
    colours: np.ndarray  # (surfaces, 3)
    materials: np.ndarray  # (surfaces,)
    surface_owner: np.ndarray  # (surfaces,)


def build_scene(street, camera):
    """Planes and extents of everything in the street, as a `Scene`. Boxes come first, then discs, then crowns."""
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
        no_numbers, no_vectors = np.zeros((2, 0), dtype=np.int64), np.zeros((2, 0, 1, 3))
        tables.append(_table(np.zeros((0, 4)), *no_numbers, *no_vectors, np.zeros((0, 1)), 2))
    parts, surfaces = (
        [np.concatenate(each) for each in zip(*group, strict=True)] for group in zip(*tables, strict=True)
    )
    no_vector, nobody = np.zeros((2, 3)), np.full(2, NOBODY)
    sky_and_ground = no_vector, no_vector, no_vector, nobody, nobody  # the columns of `surfaces`
    slopes, normals, colours, materials, owner = (
        np.concatenate(pair) for pair in zip(sky_and_ground, surfaces, strict=True)
    )
    return Scene(*parts, slopes.astype(np.float32), normals, colours, materials.astype(np.int8), owner)


def _table(extents, owner, material, colour, normals, offsets, start):
    """What `Scene` needs of n parts of k planes each: columns per part and columns per plane, entry planes first."""
    count = offsets.shape[1]
    offsets = np.where(np.abs(offsets) < 1e-6, 1e-6, offsets)  # the camera is in no plane
    order = np.argsort(offsets > 0, axis=1, kind="stable")
    normals = np.take_along_axis(normals, order[..., None], axis=1).reshape(-1, 3)
    slopes = normals / np.take_along_axis(offsets, order, axis=1).reshape(-1, 1)
    first = start + count * np.arange(len(owner))
    parts = extents, owner, first, (offsets < 0).sum(axis=1), np.full(len(owner), count)
    repeated = (np.repeat(each, count, axis=0) for each in (colour.reshape(-1, 3), material, owner))
    return parts, (slopes, normals, *repeated)


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


def _crown_corners(rows):
    """(n, 6) crowns to (n, 2, 4, 3) corners of the boxes round them."""
    signs = np.array([[(i, j, k) for j in (-1, 1) for k in (-1, 1)] for i in (-1, 1)])
    return rows[:, None, None, :3] + signs * rows[:, None, None, 3:]


def _planes(vertices):
    """(n, 2, k, 3) vertices to (n, k + 2, 3) outward unit normals and (n, k + 2) offsets of the faces."""
    low, high = vertices[:, 0], vertices[:, 1]
    low_next, high_next = np.roll(low, -1, axis=1), np.roll(high, -1, axis=1)
    side = _cross(high_next - low, high - low_next)
    point = (low + low_next + high + high_next) / 4
    half = vertices.shape[2] // 2
    caps = [_cross(ring[:, half] - ring[:, 0], ring[:, half + half // 2] - ring[:, half // 2]) for ring in (low, high)]
    normals = np.concatenate([side, np.stack(caps, axis=1)], axis=1)
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
