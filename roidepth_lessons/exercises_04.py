"""What is known about the exercises of lesson 04: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise


def _peaks(around=2, border=2, lowest=0.3, above=np.greater_equal):
    """Cells that no other cell of a window exceeds, right or with a mistake."""

    def peaks(heat):
        padded = np.pad(heat, border)
        return [
            (row, column)
            for row, column in np.ndindex(heat.shape)
            if above(heat[row, column], lowest)
            and heat[row, column] == padded[row : row + 2 * around + 1, column : column + 2 * around + 1].max()
        ]

    return peaks


def _overlaps(least_side=0.0, least_area=-np.inf, wider=0, union=True, turned=False, corners=lambda boxes: boxes):
    """Intersection over union of every box with every other, right or with a mistake."""

    def overlaps(boxes, others):
        boxes, others = corners(boxes), corners(others)
        sides = np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - np.maximum(
            boxes[:, None, :2], others[None, :, :2]
        )
        shared = np.maximum(np.prod(np.maximum(sides + wider, least_side), axis=-1), least_area)
        area, other_area = (np.prod(each[:, 2:] - each[:, :2] + wider, axis=-1) for each in (boxes, others))
        both = area[:, None] + other_area - (shared if union else 0)
        return (shared / both).T if turned else shared / both

    return overlaps


def _overlaps_in_loops(boxes, others):
    rows = []
    for left, top, right, bottom in boxes:
        row = []
        for other in others:
            across = max(min(right, other[2]) - max(left, other[0]), 0)
            down = max(min(bottom, other[3]) - max(top, other[1]), 0)
            area, other_area = (right - left) * (bottom - top), (other[2] - other[0]) * (other[3] - other[1])
            row.append(across * down / (area + other_area - across * down))
        rows.append(row)
    return rows


EXERCISES["04.1"] = Exercise(
    asks="an area, between 0 and 1",
    right=[0.625, np.float32(0.25 * (1 + 0.75 + 0.75))],
    mistakes={
        "Those are the precisions at the three hits. Raise each to the best that is still to come: 2/3 becomes 3/4.": (
            0.25 * (1 + 2 / 3 + 0.75)
        ),
        "There are 4 cars, though only 3 were found: each hit adds 1/4 of recall.": (1 + 0.75 + 0.75) / 3,
        "That is the mean of all five precisions: only hits move on along recall.": (1 + 1 / 2 + 2 / 3 + 3 / 4 + 3 / 5)
        / 5,
        "That is the precision after all five: the area asks about the whole way.": 0.6,
        "That is the recall after all five. The area is at most that.": 0.75,
        "That is the ranking of By hand; here it is hit, miss, hit, hit, miss.": 0.6875,
        "That is the mean over 101 recalls, as the library does it; asked are the rectangles, as in By hand.": (
            (26 * 1 + 50 * 0.75) / 101
        ),
    },
)
_TWO_NEAR = np.array([[0.1, 0.2, 0.1, 0.2, 0.1], [0.2, 0.9, 0.4, 0.8, 0.2], [0.1, 0.2, 0.1, 0.2, 0.1]])
_APART = np.zeros((5, 6))
_APART[[0, 1, 4, 4], [0, 4, 1, 5]] = [0.7, 0.3, 0.5, 0.2]
_IN_CORNER = np.array([[0.2, 0.1, 0.0, 0.0], [0.1, 0.35, 0.2, 0.6], [0.1, 0.1, 0.1, 0.1], [0.4, 0.0, 0.1, 0.45]])
EXERCISES["04.2"] = Exercise(
    asks="peaks(heat), a list of (row, column)",
    cases=[(_TWO_NEAR,), (_APART,), (_IN_CORNER,)],
    right=[
        _peaks(),
        lambda heat: [
            (r, c)
            for r in range(heat.shape[0])
            for c in range(heat.shape[1])
            if heat[r, c] >= 0.3 and heat[r, c] >= heat[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3].max()
        ],
    ],
    mistakes={
        "That is still the window of 3x3.": _peaks(1, 1),
        "The border has 2 rows now, so the window must begin and end elsewhere: row : row + 5.": _peaks(1, 2),
        "That is a window of 7x7: three cells each way, two are wanted.": _peaks(3, 3),
        "Leave the lowest score as it is: a cell with exactly 0.3 counts.": _peaks(above=np.greater),
        "The window is right, the lowest score went: 0.3 or more.": _peaks(lowest=0.0),
        "The window has 5 cells, the border still 1: two rows and columns of zeros are wanted on each side.": _peaks(
            2, 1
        ),
        "Row first, then column.": lambda heat: [(column, row) for row, column in _peaks()(heat)],
        "The right cells in another order: leave it as np.ndindex gives it, row by row.": (
            lambda heat: sorted(_peaks()(heat), key=lambda cell: -heat[cell])
        ),
    },
)
EXERCISES["04.3"] = Exercise(
    asks="overlaps(boxes, others), an array (n, m) of numbers from 0 to 1",
    cases=[
        (
            np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 40.0, 30.0]]),
            np.array(
                [[5.0, 0.0, 15.0, 10.0], [0.0, 0.0, 10.0, 10.0], [52.0, 40.0, 60.0, 50.0], [13.0, 2.0, 18.0, 9.0]]
            ),
        ),
        (np.array([[1.0, 2.0, 4.0, 9.0]]), np.array([[2.0, 1.0, 9.0, 4.0], [1.0, 2.0, 4.0, 9.0]])),
    ],
    right=[_overlaps(), _overlaps_in_loops],
    mistakes={
        "Boxes that lie apart share sides below 0, so their IoU is not 0: cut each side off at 0, then multiply.": (
            _overlaps(least_side=-np.inf)
        ),
        "You cut off the product, too late: minus times minus is plus. Cut each side off at 0, then multiply.": (
            _overlaps(least_side=-np.inf, least_area=0.0)
        ),
        "The union counts what both share twice: subtract it once.": _overlaps(union=False),
        "These boxes are edges, not rows of pixels: a side is right - left, without 1.": _overlaps(wider=1),
        "It is transposed: a row belongs to one of `boxes`.": _overlaps(turned=True),
        "These boxes are left, top, right, bottom: you read the last two as width and height.": (
            _overlaps(corners=lambda boxes: np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1))
        ),
    },
)
