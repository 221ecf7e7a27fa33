"""What is known about the exercises of lesson 03: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise, brief, wrong_keys
from .world import box_corners, tight_box

RIGHT_PLACES = {
    "twice as far": (60, 45),
    "twice as far and twice as large": (70, 50),
    "twice the focal length": (90, 60),
    "camera 1 m to the right": (60, 50),
}
CENTER_STAYS = "Distances from the centre shrink and grow, not the pixel itself: the centre (50, 40) stays where it is."
CENTER_LACKS = "You left the centre out: it is added after the division."
COLUMN_FIRST = "A pixel is (u, v): first the column, then the row."
WRONG_PLACES = {
    "twice as far": {
        (35, 25): CENTER_STAYS,
        (90, 60): "Twice as far is half as far from the centre: divide by z.",
        (70, 50): "That is where it was: z has changed, so both numbers do.",
    },
    "twice as far and twice as large": {
        (90, 60): "Twice as far and twice as large: both numbers double, and their quotient stays.",
        (60, 45): "Its x and y double as well as its z.",
    },
    "twice the focal length": {
        (140, 100): CENTER_STAYS,
        (60, 45): "A longer focal length enlarges: the point moves away from the centre.",
        (70, 50): "That is where it was: f multiplies x / z and y / z.",
    },
    "camera 1 m to the right": {
        (80, 50): "The camera goes to the right, so the point goes to the left: its x becomes 1.",
        (69, 50): "One metre is not one pixel: x becomes 1 m, and 1 m at 10 m is 10 pixels.",
        (60, 45): "Only x changes: the camera goes neither up nor down.",
    },
}


def _wrong_place(place, answer):
    """What is wrong with one pixel, or None."""
    pixel = np.asarray(answer, dtype=float) if np.size(answer) == 2 else np.empty(0)
    if pixel.shape != (2,):
        return f"A pixel is a pair (u, v), such as (30, 40); it is {brief(answer)}."
    known = WRONG_PLACES[place] | {
        tuple(np.subtract(RIGHT_PLACES[place], (50, 40))): CENTER_LACKS,
        RIGHT_PLACES[place][::-1]: COLUMN_FIRST,
    }
    if np.allclose(pixel, RIGHT_PLACES[place], atol=1e-3):
        return None
    hint = "Start from u = 50 + f * X / Z and v = 40 + f * Y / Z."
    said = next((sentence for wrong, sentence in known.items() if np.allclose(pixel, wrong, atol=1e-3)), hint)
    return f"({pixel[0]:g}, {pixel[1]:g}) is not it. {said}"


def _wrong_places(answer):
    if sentence := wrong_keys(answer, RIGHT_PLACES):
        return sentence
    found = {place: _wrong_place(place, answer[place]) for place in RIGHT_PLACES}
    return " ".join(f"{place!r}: {fault}" for place, fault in found.items() if fault) or None


EXERCISES["03.1"] = Exercise(
    asks="four pixels, such as (30, 40), in the dictionary my_answer",
    right=[
        RIGHT_PLACES,
        dict(
            zip(
                RIGHT_PLACES,
                [(60.0, 45.0), np.array([70, 50]), [90.0, 60.0], (50 + 100 * (2 - 1) / 10, 40 + 100 * 1 / 10)],
                strict=True,
            )
        ),
    ],
    test=_wrong_places,
    mistakes={
        **{
            f"{place!r}: ({pixel[0]}, {pixel[1]}) is not it. {sentence}": RIGHT_PLACES | {place: pixel}
            for place, wrong in WRONG_PLACES.items()
            for pixel, sentence in wrong.items()
        },
        CENTER_LACKS: {place: (u - 50, v - 40) for place, (u, v) in RIGHT_PLACES.items()},
        COLUMN_FIRST: {place: (v, u) for place, (u, v) in RIGHT_PLACES.items()},
        "'twice the focal length': A pixel is a pair (u, v), such as (30, 40); it is 90.": (
            RIGHT_PLACES | {"twice the focal length": 90}
        ),
        "'twice as far': (61, 45) is not it. Start from u = 50": RIGHT_PLACES | {"twice as far": (61, 45)},
        "my_answer must be a dictionary with the keys 'twice as far'": {"twice": (60, 45)},
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


def _flattened(depth):
    """The box if all corners had one depth, depth(z)."""

    def box_around(corners, *camera):
        same = np.full((8, 1), depth(corners[:, 2]))
        return _box_around(np.concatenate([corners[:, :2], same], axis=1), *camera)

    return box_around


def _uncut(corners, focal_length, center_u, center_v, height, width):
    return tight_box(corners, _Pinhole(focal_length, center_u, center_v))


def _cut_at(sides):
    """The box cut off at the sides that `sides(height, width)` gives."""

    def box_around(corners, focal_length, center_u, center_v, height, width):
        lowest, highest = sides(height, width)
        return np.clip(_uncut(corners, focal_length, center_u, center_v, height, width), lowest, highest)

    return box_around


BOX_CASES = [
    (box_corners((-2.0, 1.65, 12.0), (1.5, 1.6, 4.0), 0.6), 720.0, 610.0, 172.0, 375, 1242),
    (box_corners((5.5, 1.7, 7.0), (1.5, 1.7, 4.2), -1.5), 720.0, 610.0, 172.0, 375, 1242),
    (box_corners((-5.0, 1.6, 8.0), (1.8, 0.6, 0.8), 0.1), 360.0, 200.0, 86.0, 128, 416),
    (box_corners((-3.0, 1.65, 6.0), (1.5, 1.6, 4.0), 1.2), 720.0, 610.0, 172.0, 375, 1242),
]
BOX_MISTAKES = {
    "The box leaves the image: cut it off at 0, at width - 1 and at height - 1.": _uncut,
    "The last column is width - 1 and the last row height - 1.": (
        _cut_at(lambda height, width: (0, [width, height] * 2))
    ),
    "width cuts off columns, left and right; height cuts off rows, top and bottom.": (
        _cut_at(lambda height, width: (0, [height - 1, width - 1] * 2))
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
        lambda corners, *camera: _box_around(np.asarray(corners) * [1, 1, 0] + [0, 0, 1], *camera)
    ),
    "Every corner has a depth of its own: don't divide by the mean depth.": _flattened(np.mean),
    "Every corner has a depth of its own: don't divide by the nearest.": _flattened(np.min),
    "Every corner has a depth of its own: don't divide by that of the first.": _flattened(lambda z: z[0]),
    "All eight corners count, not only the four nearest.": (
        lambda corners, *camera: _box_around(corners[np.argsort(corners[:, 2])[:4]], *camera)
    ),
    "All eight corners count: the first four are only the bottom.": (
        lambda corners, *camera: _box_around(corners[:4], *camera)
    ),
    "Don't round: a box may end between two pixels.": lambda *case: np.rint(_box_around(*case)),
    "Don't round down: a box may end between two pixels.": lambda *case: np.floor(_box_around(*case)),
    "Add the centre of the image, center_u and center_v.": (
        lambda corners, focal_length, center_u, center_v, height, width: _box_around(
            corners, focal_length, 0.0, 0.0, height, width
        )
    ),
}


def _wrong_sides(answer):
    """The sentence of a known mistake, or which sides are wrong; None if all are right."""
    found = []
    for case in BOX_CASES:
        box = np.ravel(answer(case[0].copy(), *case[1:]))
        if len(box) != 4:
            return f"Four numbers are wanted, left, top, right, bottom; there are {len(box)}."
        found.append(box.astype(float))

    def made_by(function):
        return np.allclose(found, [function(*case) for case in BOX_CASES], atol=1e-3)

    if made_by(_box_around):
        return None
    return next((sentence for sentence, function in BOX_MISTAKES.items() if made_by(function)), _sides(found))


def _sides(found):
    """The wrong sides of the first box that is wrong, in words."""
    right = [_box_around(*case) for case in BOX_CASES]
    k = next(k for k in range(len(right)) if not np.allclose(found[k], right[k], atol=1e-3))
    sides = zip(("left", "top", "right", "bottom"), found[k], right[k], strict=True)
    wrong = [
        f"{side} should be {wanted:.1f}, it is {it:.1f}" for side, it, wanted in sides if not abs(it - wanted) <= 1e-3
    ]
    return f"Box {k + 1} of {len(right)}, in a photo of {BOX_CASES[k][4]} x {BOX_CASES[k][5]}: {'; '.join(wrong)}."


EXERCISES["03.3"] = Exercise(
    asks="box_around(corners, focal_length, center_u, center_v, height, width), which returns left, top, right, bottom",
    cases=BOX_CASES,
    right=[_box_around, _box_by_loop],
    test=_wrong_sides,
    mistakes={
        **BOX_MISTAKES,
        "Box 1 of 4, in a photo of 375 x 1242: bottom should be ": lambda *case: _box_around(*case) + [0, 0, 0, 2],
        "Four numbers are wanted, left, top, right, bottom; there are 2.": lambda *case: _box_around(*case)[:2],
    },
)
