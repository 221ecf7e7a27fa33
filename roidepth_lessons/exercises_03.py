"""What is known about the exercises of lesson 03: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise
from .world import box_corners, tight_box

PLACES = ("twice as far", "twice as far and twice as large", "twice the focal length", "camera 1 m to the right")


def _places(*pixels):
    return dict(zip(PLACES, pixels, strict=True))


EXERCISES["03.1"] = Exercise(
    asks="four pixels, such as (30, 40), in the dictionary my_answer",
    right=[
        _places((60, 45), (70, 50), (90, 60), (60, 50)),
        _places((60.0, 45.0), np.array([70, 50]), [90.0, 60.0], (50 + 100 * (2 - 1) / 10, 40 + 100 * 1 / 10)),
    ],
    mistakes={
        "Distances from the centre shrink and grow, not the pixel itself: the centre (50, 40) stays where it is.": (
            _places((35, 25), (70, 50), (140, 100), (60, 50))
        ),
        "You left the centre out: it is added after the division.": _places((10, 5), (20, 10), (40, 20), (10, 10)),
        "Twice as far is half as far from the centre: divide by z.": _places((90, 60), (70, 50), (90, 60), (60, 50)),
        "Twice as far and twice as large: both numbers double, and their quotient stays.": (
            _places((60, 45), (90, 60), (90, 60), (60, 50))
        ),
        "A longer focal length enlarges: the point moves away from the centre.": (
            _places((60, 45), (70, 50), (60, 45), (60, 50))
        ),
        "The camera goes to the right, so the point goes to the left: its x becomes 1.": (
            _places((60, 45), (70, 50), (90, 60), (80, 50))
        ),
        "One metre is not one pixel: x becomes 1 m, and 1 m at 10 m is 10 pixels.": (
            _places((60, 45), (70, 50), (90, 60), (69, 50))
        ),
    },
)


def _cropped_and_resized(crop_center=True, crop_first=True, half=True, scale_focal=True, scale_center=True, swap=False):
    """The exercise's function, right or with a mistake."""

    def camera_after(focal_length, center_u, center_v, scale, left, top):
        if swap:
            left, top = top, left

        def move(center, start):
            shift = 0.5 if half else 0.0
            center = center - start * (crop_center and crop_first)
            center = (center + shift) * scale - shift if scale_center else center
            return center - start * (crop_center and not crop_first)

        focal_length = focal_length * scale if scale_focal else focal_length
        return focal_length, move(center_u, left), move(center_v, top)

    return camera_after


EXERCISES["03.2"] = Exercise(
    asks="camera_after(focal_length, center_u, center_v, scale, left, top), which returns the three numbers after it",
    cases=[
        (700.0, 600.0, 180.0, 0.5, 0, 75),
        (720.0, 609.5, 172.5, 0.25, 100, 40),
        (240.0, 207.5, 63.5, 2.0, 16, 8),
    ],
    right=[
        _cropped_and_resized(),
        lambda focal_length, center_u, center_v, scale, left, top: (
            focal_length * scale,
            (center_u - left) * scale + (scale - 1) / 2,
            (center_v - top) * scale + (scale - 1) / 2,
        ),
    ],
    mistakes={
        "That is the resize alone: left and top are not used yet.": _cropped_and_resized(crop_center=False),
        "left and top count pixels of the large photo: subtract them before you scale.": (
            _cropped_and_resized(crop_first=False)
        ),
        "The half pixel is gone: (center + 0.5) * scale - 0.5.": _cropped_and_resized(half=False),
        "The focal length is a length in pixels, too: a resize scales it.": _cropped_and_resized(scale_focal=False),
        "That crops and does not scale the centre.": _cropped_and_resized(scale_center=False),
        "left belongs to u, the column; top belongs to v, the row.": _cropped_and_resized(swap=True),
    },
)


class _Pinhole:
    """As much of a camera as `world.tight_box` needs."""

    def __init__(self, focal_length, center_u, center_v):
        self._focal_length, self._center = focal_length, (center_u, center_v)

    def project(self, points):
        points = np.asarray(points)
        return self._focal_length * points[:, :2] / points[:, 2:] + self._center, points[:, 2]


def _box_around(corners, focal_length, center_u, center_v, height, width):
    box = tight_box(corners, _Pinhole(focal_length, center_u, center_v))
    return np.clip(box, 0, np.array([width - 1, height - 1] * 2))


def _box_by_loop(corners, focal_length, center_u, center_v, height, width):
    columns = [min(max(focal_length * x / z + center_u, 0), width - 1) for x, _, z in corners]
    rows = [min(max(focal_length * y / z + center_v, 0), height - 1) for _, y, z in corners]
    return min(columns), min(rows), max(columns), max(rows)


EXERCISES["03.3"] = Exercise(
    asks="box_around(corners, focal_length, center_u, center_v, height, width), which returns left, top, right, bottom",
    cases=[
        (box_corners((-2.0, 1.65, 12.0), (1.5, 1.6, 4.0), 0.6), 720.0, 610.0, 172.0, 375, 1242),
        (box_corners((5.5, 1.7, 7.0), (1.5, 1.7, 4.2), -1.5), 720.0, 610.0, 172.0, 375, 1242),
        (box_corners((-5.0, 1.6, 8.0), (1.8, 0.6, 0.8), 0.1), 360.0, 200.0, 86.0, 128, 416),
    ],
    right=[_box_around, _box_by_loop],
    mistakes={
        "The box leaves the image: cut it off at 0, at width - 1 and at height - 1, as a label does.": (
            lambda corners, focal_length, center_u, center_v, height, width: tight_box(
                corners, _Pinhole(focal_length, center_u, center_v)
            )
        ),
        "The last column is width - 1 and the last row height - 1.": (
            lambda corners, focal_length, center_u, center_v, height, width: _box_around(
                corners, focal_length, center_u, center_v, height + 1, width + 1
            )
        ),
        "The order is left, top, right, bottom: columns and rows have changed places.": (
            lambda *case: _box_around(*case)[[1, 0, 3, 2]]
        ),
        "Asked are the corners of the box, left, top, right, bottom, and not its width and height.": (
            lambda *case: np.concatenate([_box_around(*case)[:2], _box_around(*case)[2:] - _box_around(*case)[:2]])
        ),
        "left and top are smallest values: use min for them, and max for right and bottom.": (
            lambda *case: _box_around(*case)[[2, 3, 0, 1]]
        ),
        "That forgets to divide by z.": (
            lambda corners, focal_length, center_u, center_v, height, width: _box_around(
                np.asarray(corners) * [1, 1, 0] + [0, 0, 1], focal_length, center_u, center_v, height, width
            )
        ),
        "Every corner has a depth of its own: don't divide by the mean depth.": (
            lambda corners, *camera: _box_around(
                np.concatenate([corners[:, :2], np.full((8, 1), corners[:, 2].mean())], axis=1), *camera
            )
        ),
        "Add the centre of the image, center_u and center_v.": (
            lambda corners, focal_length, center_u, center_v, height, width: _box_around(
                corners, focal_length, 0.0, 0.0, height, width
            )
        ),
    },
)
