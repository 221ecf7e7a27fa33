"""Makes other examples of an example: nearer or farther as through another lens, and in another light.

A zoom is what a camera in the same place with another focal length would have seen, so the scene stays what it is in
metres. What the network is asked for does not: its depths are canonical, ``metres * 240 / focal length``, and shrink as
the image grows. That is the gain: a car twice as high in pixels stands at half the canonical depth, and the network
sees both though nobody drove there.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from PIL import Image

from .frames import renumber_instances

LEAST_SHARE = 0.5
"""An object of whose box less stays in the image is neither object nor background: KITTI, too, counts no object that is
cut off by more than half."""

LARGEST_ZOOM = 8.0
"""No zoom goes further, in or out."""

RIM = 127
"""Grey level around a picture that does not fill its image: that of `Frame.fitted` and of prediction."""

DENSE = 0.8
"""From this share of known pixels with a known one below them on, a depth map is a surface and not single points.
Measured: 0.97 and more for streets, at most 0.34 for KITTI's LiDAR in images of 128x416 or larger (0.63 at 96x320)."""

UNBOUNDED = np.iinfo(np.uint16).max
"""A stored depth that means "at least 256 canonical metres"."""

STILL_FAR = 1.7
"""Divided by no more than this, 256 m is still beyond `depth.FARTHEST`, where targets end."""


@dataclass(frozen=True)
class Augmentation:
    """How far examples may be changed. Zoom, gamma and contrast are drawn evenly in their logarithm, the others evenly.

    Args:
        zoom: Smallest and largest factor of `zoom`, within 1 / `LARGEST_ZOOM` and `LARGEST_ZOOM`.
        gamma: Smallest and largest exponent of the grey levels, as shares of 255; below 1 the dark gets lighter.
        contrast: Smallest and largest factor of the distance from a middle grey.
        tint: The same for the factor of red, green and blue, each by itself.
        saturation: The same for the distance of the colours from their grey; 0 is without colour.
        brightness: Most grey levels to add or to take away.
        blur: Largest standard deviation of the blur in pixels, at most 0.8: as far as three pixels in a row can go.
        noise: Largest standard deviation of the sensor's noise in grey levels.
        tilt: Largest angle in degrees by which the camera is turned up or down, at most 5.

    Raises:
        ValueError: if a range is empty or a number out of what is said here.
    """

    zoom: tuple = (0.7, 1.5)
    gamma: tuple = (0.7, 1.4)
    contrast: tuple = (0.65, 1.35)
    tint: tuple = (0.9, 1.1)
    saturation: tuple = (0.2, 1.6)
    brightness: float = 35.0
    blur: float = 0.8
    noise: float = 8.0
    tilt: float = 0.0

    def __post_init__(self):
        bounds = {"zoom": (1 / LARGEST_ZOOM, LARGEST_ZOOM), "gamma": (0.1, 10), "saturation": (0, 10)}
        for name in ("zoom", "gamma", "contrast", "tint", "saturation"):
            lowest, highest = bounds.get(name, (0.1, 10))
            low, high = getattr(self, name)
            if not lowest <= low <= high <= highest:
                raise ValueError(f"{name} must be (low, high) within {lowest} to {highest}, got {(low, high)}")
        for name, most in (("tilt", 5), ("brightness", 255), ("blur", 0.8), ("noise", 255)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must lie within 0 to {most}, got {getattr(self, name)}")


STRENGTHS = {"plain": None, "strong": Augmentation(), "tilted": Augmentation(tilt=1.5)}
"""What ``train --augmentation`` may be. "plain" is mirroring and `dataset.change_light` alone; "tilted" tilts, too."""


# Zoom ----------------------------------------------------------------------------------------------------------------


def zoom(example, factor, row, column, tilt=0.0):
    """The example as a camera in the same place with `factor` times the focal length would have given it.

    One point of the image, (`row`, `column`), stays where it is; every other one moves away from it, or towards it.
    Then everything moves down by `tilt` rows, as if the camera had been turned up a little: as nobody measures such
    turns on a road, `camera` does not tell. (A turn by an angle moves all by focal length * tan(angle) rows, but for
    terms that are small together with the angle.)

    - Image: bilinear; beyond its border a rim of grey.
    - Camera: both focal lengths times `factor`; the principal point moves as every point does.
    - What is in metres stays: `distances`, dimensions, the step from surface to centre. So does alpha.
    - What is in canonical metres is divided by `factor`: `depth` and the log distance of `properties`. With the new
      camera it stands for the same metres. "At least 256" stays that as long as it makes no difference for the targets,
      then it is not known any more.
    - Depth: no value is mixed from two. A surface takes the nearest pixel's; of single points (LiDAR) each moves to its
      new place, so that there are never more of them, and where several meet, the nearest to the camera counts. The
      rim is not known.
    - Boxes are cut off at the image's border. Objects of which less than `LEAST_SHARE` stays become ignored boxes,
      and in `instances` background, as in `make_example`. Objects and ignored boxes of which nothing stays are gone.
    - `maps` with two axes or more take the nearest pixel's value, and 0 in the rim. The values themselves, and numbers
      per image, stay: what is in canonical metres there is for you to divide.

    Args:
        example: `dataset.Example`.
        factor: Above 1 things get larger, below 1 smaller; 1 gives the example itself.
        row, column: In pixels, within the image: its edges are -0.5 and height - 0.5 or width - 0.5.
        tilt: Rows, less than half the height; below 0 upwards.

    Raises:
        ValueError: if the factor is beyond `LARGEST_ZOOM`, the point not within the image, the tilt too large, or one
            of `maps` with two axes or more not as high and wide as the image.
    """
    height, width = example.image.shape[:2]
    _check_zoom(example, factor, row, column, tilt)
    if factor == 1 and tilt == 0:
        return example
    move = _Move(factor, np.array([column, row], dtype=np.float64), np.array([0.0, tilt]))
    boxes, share = _move_boxes(example.boxes, move, (width, height))
    ignored_boxes, ignored_share = _move_boxes(example.ignored_boxes, move, (width, height))
    kept = share >= LEAST_SHARE
    pick = _Nearest(move, (height, width))
    depth, instances = _move_maps(example, move, pick)
    return replace(
        example,
        image=_move_image(example.image, move),
        camera=_move_camera(example.camera, move),
        boxes=boxes[kept],
        labels=example.labels[kept],
        distances=example.distances[kept],
        properties=example.properties[kept] - np.array([math.log(factor), 0, 0, 0, 0, 0, 0]),
        ignored_boxes=np.concatenate([ignored_boxes[ignored_share > 0], boxes[~kept & (share > 0)]]),
        depth=depth,
        instances=None if instances is None else renumber_instances(instances, np.flatnonzero(kept)),
        maps={name: pick(np.asarray(each)) if np.ndim(each) > 1 else each for name, each in example.maps.items()},
    )


def random_zoom(example, augmentation, generator):
    """:func:`zoom` by a factor from ``augmentation.zoom``, around a point anywhere in the image."""
    height, width = example.image.shape[:2]
    factor = _draw_factor(augmentation.zoom, generator)
    row, column = generator.uniform(-0.5, [height - 0.5, width - 0.5])
    if augmentation.tilt == 0:  # nothing is drawn: runs from before there was a tilt can be made again
        return zoom(example, factor, row, column)
    angle = math.radians(generator.uniform(-augmentation.tilt, augmentation.tilt))
    return zoom(example, factor, row, column, factor * float(example.camera[1]) * math.tan(angle))


class _Move(NamedTuple):
    """Where a pixel of the old image goes: ``(place - fixed) * factor + fixed + shift``, for (column, row)."""

    factor: float
    fixed: np.ndarray
    shift: np.ndarray

    def __call__(self, places, axis=slice(None)):
        return (places - self.fixed[axis]) * self.factor + self.fixed[axis] + self.shift[axis]

    def back(self, places, axis=slice(None)):
        """Where it came from."""
        return (places - self.shift[axis] - self.fixed[axis]) / self.factor + self.fixed[axis]


def _check_zoom(example, factor, row, column, tilt):
    height, width = example.image.shape[:2]
    # Written so that NaN fails too.
    if not 1 / LARGEST_ZOOM <= factor <= LARGEST_ZOOM:
        raise ValueError(f"factor must lie within 1/{LARGEST_ZOOM:g} and {LARGEST_ZOOM:g}, got {factor}")
    if not (-0.5 <= row <= height - 0.5 and -0.5 <= column <= width - 0.5):
        raise ValueError(f"row {row}, column {column} lie outside the image of {height}x{width} pixels")
    if not -height / 2 < tilt < height / 2:
        raise ValueError(f"tilt must be less than half the image's {height} rows, got {tilt}")
    for name, each in example.maps.items():
        if np.ndim(each) > 1 and np.shape(each)[:2] != (height, width):
            raise ValueError(
                f"maps: {name!r} has shape {np.shape(each)}, the image {height}x{width}; only a map as high and wide "
                "as the image, or numbers per image with one axis, can be zoomed"
            )


def _move_camera(camera, move):
    """The camera does not know of a shift."""
    camera, move = np.asarray(camera, dtype=np.float64), move._replace(shift=np.zeros(2))
    return np.concatenate([camera[:2] * move.factor, move(camera[2:])]).astype(np.float32)


def _move_boxes(boxes, move, size):
    """The boxes (n, 4) in the new image of (width, height) pixels, and (n,) shares of what was seen of them before."""
    low, high = np.tile([-0.5, -0.5], 2), np.tile(np.array(size) - 0.5, 2)
    before = np.clip(boxes, low, high)  # a box may reach beyond the image; beyond it, nothing was seen
    moved = move(before.reshape(-1, 2, 2)).reshape(-1, 4)
    after = np.clip(moved, low, high)
    whole = np.prod(moved[:, 2:] - moved[:, :2], axis=1)
    left = np.prod(after[:, 2:] - after[:, :2], axis=1)
    return after, np.where(whole > 0, left / np.where(whole > 0, whole, 1), 0)


def _move_image(image, move):
    """Cuts the window that fills the new image, padded where it reaches beyond the old one, and resizes it."""
    size = np.array(image.shape[:2])
    # Pillow counts from the corner of the first pixel, not from its centre.
    corner = move.fixed[::-1] + 0.5
    low = corner - (corner + move.shift[::-1]) / move.factor
    high = low + size / move.factor
    before = np.ceil(np.maximum(-low, 0)).astype(int)
    after = np.ceil(np.maximum(high - size, 0)).astype(int)
    padded = np.pad(image, [*zip(before, after, strict=True), (0, 0)], constant_values=RIM)
    top, left = low + before
    bottom, right = np.minimum(high + before, padded.shape[:2])
    window = Image.fromarray(padded).resize(
        tuple(size[::-1].tolist()), Image.Resampling.BILINEAR, (left, top, right, bottom)
    )
    return np.array(window)


class _Nearest:
    """Picks, for every pixel of the new image, the pixel of an old map that lies nearest; 0 in the rim."""

    def __init__(self, move, size):
        (self.rows, self.source_rows), (self.columns, self.source_columns) = (
            self._sources(move, axis, count) for axis, count in zip((1, 0), size, strict=True)
        )

    @staticmethod
    def _sources(move, axis, count):
        source = np.floor(move.back(np.arange(count), axis) + 0.5).astype(np.int64)
        inside = np.flatnonzero((source >= 0) & (source < count))
        return slice(inside[0], inside[-1] + 1) if len(inside) else slice(0), source[inside]

    def __call__(self, array):
        picked = np.zeros_like(array)
        picked[self.rows, self.columns] = array[self.source_rows[:, None], self.source_columns]
        return picked


def _move_maps(example, move, pick):
    """Depth and instances (or None) of the new image. Where both are of LiDAR points, they move together."""
    stored, instances = example.depth, example.instances
    known = stored > 0
    scaled = np.where(known, np.clip(np.rint(stored / move.factor), 1, UNBOUNDED), 0).astype(np.uint16)
    scaled[stored == UNBOUNDED] = 0 if move.factor > STILL_FAR else UNBOUNDED
    owned = example.sparse and instances is not None
    below = np.count_nonzero(known[1:] & known[:-1])
    if not owned and below >= DENSE * np.count_nonzero(known[:-1]):
        return pick(scaled), None if instances is None else pick(instances)
    # The depth in the upper digits decides which point wins.
    values = scaled.astype(np.int32) * 256 + (instances if owned else 0)
    moved = _move_points(values, scaled > 0, move)
    others = None if instances is None else pick(instances)
    return (moved // 256).astype(np.uint16), (moved % 256).astype(np.uint8) if owned else others


def _move_points(values, known, move):
    """Every known pixel of a sparse map to its new place; the smallest value wins, 0 where there is none."""
    rows, columns = np.nonzero(known)
    to_row, to_column = (
        np.floor(move(places, axis) + 0.5).astype(np.int64) for places, axis in ((rows, 1), (columns, 0))
    )
    inside = (to_row >= 0) & (to_row < values.shape[0]) & (to_column >= 0) & (to_column < values.shape[1])
    none = np.iinfo(np.int32).max
    moved = np.full(values.shape, none, np.int32)
    np.minimum.at(moved, (to_row[inside], to_column[inside]), values[rows, columns][inside])
    return np.where(moved == none, 0, moved)


# Colours -------------------------------------------------------------------------------------------------------------


def change_colours(image, augmentation, generator):
    """Another light, another lens and another sensor, as far as `augmentation` allows.

    Args:
        image: (height, width, 3) uint8.
        augmentation: `Augmentation`.
        generator: NumPy's random generator. How much it is asked for does not depend on the ranges.

    Returns:
        (height, width, 3) float32 within 0 to 255.
    """
    gamma = _draw_factor(augmentation.gamma, generator)
    contrast = _draw_factor(augmentation.contrast, generator)
    tint = generator.uniform(*augmentation.tint, size=3).astype(np.float32)
    saturation = np.float32(generator.uniform(*augmentation.saturation))
    brightness = generator.uniform(-1, 1) * augmentation.brightness
    blur, noise = generator.uniform(0, 1, size=2) * (augmentation.blur, augmentation.noise)
    # What looks at one pixel alone goes through a table: 256 powers instead of hundreds of thousands.
    levels = (255 * (np.arange(256) / 255) ** gamma - 110) * contrast + 110 + brightness
    light = levels.astype(np.float32)[image]
    light *= tint
    light += (saturation - 1) * (light - (light @ np.array([0.299, 0.587, 0.114], np.float32))[..., None])
    light = _blurred(light, np.float32(blur**2 / 2))
    light += np.float32(noise) * generator.standard_normal(light.shape, dtype=np.float32)
    return np.clip(light, 0, 255, out=light)


def _draw_factor(bounds, generator):
    low, high = bounds
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def _blurred(light, weight):
    """Takes this share of each neighbour along both axes: a variance of 2 * weight. A border is its own neighbour."""
    for axis in (0, 1):
        before = np.moveaxis(light, axis, 0)
        light = light * (1 - 2 * weight)
        after = np.moveaxis(light, axis, 0)  # the same numbers as `light`
        after[1:] += weight * before[:-1]
        after[:-1] += weight * before[1:]
        after[[0, -1]] += weight * before[[0, -1]]
    return light
