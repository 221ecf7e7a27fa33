"""Casting rays at a street: what each pixel shows, and how far away it is.

The world is made of convex solids (six or ten planes each) and round tree crowns on a ground plane. A ray from the
camera is ``t * (x, y, 1)``; it meets the plane ``n . p = d`` at the inverse depth ``1 / t = (n / d) . (x, y, 1)``.
That is linear in the pixel, so casting rays at a solid takes one addition per plane and pixel: the smallest inverse
depth of the planes that face the camera is where the ray enters, the largest of the others where it leaves.
"""

from dataclasses import dataclass, field

import numpy as np

from .street_noise import lattice, noise_tile
from .street_scene import GROUND, SKY

SMALL_PART = 120
"""Pixels: smaller parts are cast together."""


@dataclass
class Rays:
    """One ray ``t * (x, y, 1)`` per pixel, and what it meets first."""

    x: np.ndarray  # (width,)
    y: np.ndarray  # (height,)
    inverse: np.ndarray  # (height, width) inverse depth in 1 / m, 0 in the sky
    surface: np.ndarray  # (height, width) row in the table of surfaces
    covered: list = field(default_factory=list)  # per object: pixels that it would cover if nothing stood before it

    def window(self, left, top, right, bottom):
        """The rays of a part of the image; what is written to them is written to the image."""
        columns, rows = slice(left, right), slice(top, bottom)
        return Rays(self.x[columns], self.y[rows], self.inverse[rows, columns], self.surface[rows, columns])


def cast_rays(street, scene, camera):
    """Cast one ray per pixel at everything: the `Rays`."""
    rays = _at_the_ground(street, camera)
    height, width = rays.inverse.shape
    low = np.maximum(0, np.ceil(scene.extents[:, :2]))
    high = np.minimum((width, height), np.floor(scene.extents[:, 2:]) + 1)
    high = np.where(np.isfinite(high), high, 0)
    size = np.where(np.isfinite(low), high - low, 0)
    crown = np.arange(len(scene.first)) >= len(scene.first) - len(street.solids.crowns)  # they are the last parts
    seen = (size > 0).all(axis=1) & (crown | (scene.entries > 0))
    small = seen & (size.prod(axis=1) <= SMALL_PART) & ~crown
    covered = np.zeros((len(street.objects), height, width), dtype=bool)
    large = np.flatnonzero(seen & ~small)
    windows = np.concatenate([low, high], axis=1)[large].astype(np.int64).tolist()
    for part, (left, top, right, bottom) in zip(large, windows, strict=True):
        window = rays.window(left, top, right, bottom)
        if crown[part]:
            row = street.solids.crowns[part - len(crown)]
            _cast_crown(row, int(scene.first[part]), street.style["salt"], window)
            continue
        hit = _cast_part(scene, part, window)
        if scene.owners[part] >= 0:
            covered[scene.owners[part], top:bottom, left:right] |= hit
    parts = np.flatnonzero(small)
    _cast_small_parts(scene, parts, low[parts].astype(np.int64), size[parts].astype(np.int64), rays, covered)
    rays.covered = [np.count_nonzero(each) for each in covered]
    return rays


def _at_the_ground(street, camera):
    """Rays that meet nothing but the ground and the sky."""
    x = ((np.arange(camera.width) - camera.center[0]) / camera.focal_length[0]).astype(np.float32)
    y = ((np.arange(camera.height) - camera.center[1]) / camera.focal_length[1]).astype(np.float32)
    ground = np.maximum(0, (y - street.ground[1]) / street.ground[0]).astype(np.float32)
    inverse = np.repeat(ground[:, None], camera.width, axis=1)
    surface = np.repeat(np.where(ground > 0, GROUND, SKY).astype(np.int32)[:, None], camera.width, axis=1)
    return Rays(x, y, inverse, surface)


def _cast_part(scene, part, rays):
    """Cast the rays of a window at one part; return (height, width) where they meet it, hidden or not."""
    first, entries = int(scene.first[part]), int(scene.entries[part])
    slopes = scene.slopes[first : first + scene.counts[part]]
    depths = (slopes[:, 1:2] * rays.y + slopes[:, 2:3])[:, :, None] + (slopes[:, 0:1] * rays.x)[:, None, :]
    entry = depths[0] if entries == 1 else np.minimum.reduce(depths[:entries])
    hit = (entry >= np.maximum.reduce(depths[entries:])) & (entry > 0)
    front = hit & (entry > rays.inverse)
    np.copyto(rays.inverse, entry, where=front)
    np.copyto(rays.surface, first, where=front)
    for other in range(1, entries):
        np.copyto(rays.surface, first + other, where=front & (depths[other] == entry))
    return hit


def _cast_small_parts(scene, parts, low, size, rays, covered):
    """The same for many parts of few pixels at once: one row per pair of part and pixel."""
    if not len(parts):
        return
    pixels = size.prod(axis=1)
    pair = np.repeat(np.arange(len(parts)), pixels)
    offset = np.arange(len(pair)) - np.repeat(np.cumsum(pixels) - pixels, pixels)
    u, v = low[pair, 0] + offset % size[pair, 0], low[pair, 1] + offset // size[pair, 0]
    plane, last = np.arange(scene.counts[parts].max()), scene.counts[parts][:, None] - 1
    face = scene.first[parts][:, None] + np.minimum(plane, last)  # repeats the last exit plane
    is_entry = (plane < scene.entries[parts][:, None])[pair]
    slopes = scene.slopes[face][pair]
    depths = slopes[..., 0] * rays.x[u][:, None] + (slopes[..., 1] * rays.y[v][:, None] + slopes[..., 2])
    entries = np.where(is_entry, depths, np.float32(np.inf))
    which = entries.argmin(axis=1)
    entry = entries[np.arange(len(pair)), which]
    hit = (entry >= np.where(is_entry, np.float32(-np.inf), depths).max(axis=1)) & (entry > 0)
    pair, entry, which, pixel = pair[hit], entry[hit], which[hit], (v * len(rays.x) + u)[hit]
    owner = scene.owners[parts][pair]
    inverse, surface, covered = (each.reshape(-1) for each in (rays.inverse, rays.surface, covered))
    covered[(owner * inverse.size + pixel)[owner >= 0]] = True
    np.maximum.at(inverse, pixel, entry)
    front = inverse[pixel] == entry
    surface[pixel[front]] = face[pair[front], which[front]]


def _cast_crown(row, surface, salt, rays):
    """A round crown with a ragged edge: rays that graze it pass with a chance that depends on the place."""
    centre_x, centre_y, centre_z, *radii = row
    cx, cy, cz = centre_x / radii[0], centre_y / radii[1], centre_z / radii[2]
    a = cx * cx + cy * cy + cz * cz - 1
    if a <= 0 or centre_z < radii[2] or rays.inverse.min() > 1 / max(centre_z - radii[2], 1e-3):
        return
    x, y = rays.x, rays.y
    direction = (y * y * radii[1] ** -2 + radii[2] ** -2)[:, None] + x * x * radii[0] ** -2
    b = (y * (cy / radii[1]) + cz / radii[2])[:, None] + x * (cx / radii[0])
    discriminant = b * b - a * direction
    grain = 8 * centre_z / min(1.5, radii[0])
    shift = salt + 31 * surface
    ragged = noise_tile().take((lattice(y * grain) + shift) & 127, axis=0)
    ragged = ragged.take((lattice(x * grain) + shift // 128) & 127, axis=1)
    hit = discriminant > direction * (0.55 * ragged)
    entry = (b + np.sqrt(np.maximum(discriminant, 0))) * (1 / a)
    hit &= entry > rays.inverse
    np.copyto(rays.inverse, entry, where=hit)
    np.copyto(rays.surface, surface, where=hit)
