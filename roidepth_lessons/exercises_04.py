"""What is known about the exercises of lesson 04: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise, brief


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


def _peaks_before(heat):
    padded = np.pad(heat, 2)
    cells = np.ndindex(heat.shape)
    return [(r, c) for r, c in cells if heat[r, c] == padded[r - 2 : r + 3, c - 2 : c + 3].max() >= 0.3]


def _least(values):
    return np.maximum(values, 0)


def _as_they_are(values):
    return values


def _overlaps(
    sides=_least, shared=_as_they_are, union="both", end=_as_they_are, wider=0, corners=_as_they_are, turned=1, pairs=1
):
    """Intersection over union of every box with every other, right or with a mistake.

    Args:
        sides, shared, end: What is done to the sides of what both share, to its area, and to the result.
        union: What the shared area is divided by: "both", "sum", "first", or "row", with areas that meet in pairs only.
        wider: Added to every side.
        corners: What is done to the boxes first.
        turned: Of the shared sides: 1 right, -1 with the wrong sign, 0 those of the box around both.
        pairs: 1 each with each, 0 the first with the first only, the second with the second.
    """

    def overlaps(boxes, others):
        boxes, others = corners(boxes), corners(others)
        a, b = (boxes[:, None], others[None]) if pairs else (boxes, others)
        inner = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
        outer = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
        both = shared(np.prod(sides((turned * inner if turned else outer) + wider), axis=-1))
        rows = (boxes, others) if union == "row" else (a, b)
        area, other_area = (np.prod(each[..., 2:] - each[..., :2] + wider, axis=-1) for each in rows)
        return end(both / (area if union == "first" else area + other_area - (0 if union == "sum" else both)))

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


_AREA = 0.625
_NOT_THE_AREA = {
    "Those are the precisions at the three hits. Raise each to the best that is still to come: 2/3 becomes 3/4.": (
        0.604  # 0.25 * (1 + 2 / 3 + 3 / 4), rounded
    ),
    "There are 4 cars, though only 3 were found: each hit adds 1/4 of recall.": (1 + 0.75 + 0.75) / 3,
    "That is the mean of all five precisions: only hits move on along recall.": (1 + 1 / 2 + 2 / 3 + 3 / 4 + 3 / 5) / 5,
    "That is the precision after all five, and nearly what 2/3 at the second hit would give. Every hit counts, at the "
    "best precision that is still to come.": 0.6,
    "That is the recall after all five. The area is at most that.": 0.75,
    "That is the ranking of By hand; here it is hit, miss, hit, hit, miss.": 0.6875,
    "That is the mean over 101 recalls, as the library does it; asked are the rectangles, as in By hand.": (
        (26 * 1 + 50 * 0.75) / 101
    ),
    "That is rounded, or nearly right: give three decimals.": 0.62,
    "Recall ends at 3/4, so the area is at most that.": 0.9,
    "More than 1: give a share of 1, not percent.": 62.5,
    "Too large: at each hit the best precision from there on counts, none from before.": 0.66,
    "Too small: at each hit the best precision from there on counts, a later one too if it is higher.": 0.55,
}


def _area_fault(answer):
    """The sentence for an area that is not right: numbers may be rounded to three decimals."""
    try:
        area = float(answer)
    except (TypeError, ValueError):
        return f"A number is wanted, an area between 0 and 1; it is {brief(answer)}."
    if abs(area - _AREA) < 0.0006:
        return None
    *known, rounded, beyond, percent, large, small = _NOT_THE_AREA
    near = next((sentence for sentence in known if abs(area - _NOT_THE_AREA[sentence]) < 0.001), None)
    if near:
        return near
    if abs(area - _AREA) < 0.006:
        return rounded
    return percent if area > 1 else beyond if area > 0.75 else large if area > _AREA else small


EXERCISES["04.1"] = Exercise(
    asks="an area, between 0 and 1",
    right=[_AREA, np.float32(0.25 * (1 + 0.75 + 0.75))],
    test=_area_fault,
    mistakes=_NOT_THE_AREA,
)
_TWO_NEAR = np.array([[0.1, 0.2, 0.1, 0.2, 0.1], [0.2, 0.9, 0.4, 0.8, 0.2], [0.1, 0.2, 0.1, 0.2, 0.1]])
_APART = np.zeros((5, 6))
_APART[[0, 1, 4, 4], [0, 4, 1, 5]] = [0.7, 0.3, 0.5, 0.2]
_IN_CORNER = np.array([[0.2, 0.1, 0.0, 0.0], [0.1, 0.35, 0.2, 0.6], [0.1, 0.1, 0.1, 0.1], [0.4, 0.0, 0.1, 0.45]])
_BEGINS_TOO_EARLY = (
    "A window that begins at row - 2 is empty at the upper edge: -2 counts from the end. In `padded` every cell has "
    "moved by 2, so its window begins at row."
)
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
        _BEGINS_TOO_EARLY: _peaks_before,
    },
    tips={"zero-size array": _BEGINS_TOO_EARLY},
)
_MANY = np.array([[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 40.0, 30.0], [1.0, 2.0, 4.0, 9.0], [52.0, 40.0, 60.0, 50.0]])
_OTHERS = np.array([[5.0, 0.0, 15.0, 10.0], [0.0, 0.0, 10.0, 10.0], [2.0, 1.0, 9.0, 4.0], [13.0, 2.0, 18.0, 9.0]])
EXERCISES["04.3"] = Exercise(
    asks="overlaps(boxes, others), an array (n, m) of numbers from 0 to 1",
    cases=[  # single pairs first: a message about one of them is short
        (_MANY[:1], np.array([[5.0, 0.0, 15.0, 8.0]])),
        (_MANY[:1], np.array([[12.0, 2.0, 18.0, 9.0]])),  # apart across
        (_MANY[:1], np.array([[20.0, 20.0, 24.0, 30.0]])),  # apart across and down
        (_MANY, _OTHERS),  # as many as others: a missing [:, None] gives a result and no bare error
        (_MANY[2:3], _OTHERS[1:3]),
    ],
    right=[_overlaps(), _overlaps_in_loops],
    mistakes={
        "Boxes that lie apart share sides below 0, so their IoU is not 0: cut each side off at 0, then multiply.": (
            _overlaps(sides=_as_they_are)
        ),
        "You cut off too late, after multiplying: minus times minus is plus. Cut each side off at 0, then multiply.": (
            _overlaps(sides=_as_they_are, shared=_least)
        ),
        "You cut off the result, too late: where boxes lie apart across and down, minus times minus is plus. Cut each "
        "side off at 0, then multiply.": _overlaps(sides=_as_they_are, end=lambda iou: np.clip(iou, 0, 1)),
        "Without its sign a gap between boxes counts as overlap: cut each side off at 0 instead.": (
            _overlaps(sides=_as_they_are, shared=np.abs)
        ),
        "That is the box around both: what they share reaches from the greater left edge to the smaller right edge.": (
            _overlaps(turned=0)
        ),
        "The sides have the wrong sign: the smaller right edge less the greater left edge.": _overlaps(turned=-1),
        "You divide by the area of the first box alone: it is what both cover together.": _overlaps(union="first"),
        "The union counts what both share twice: subtract it once.": _overlaps(union="sum"),
        "The areas must meet each with each, too: area[:, None] + other_area.": _overlaps(union="row"),
        "Only the first meets the first, the second the second: `boxes[:, None]` and `others[None, :]` meet each with "
        "each.": _overlaps(pairs=0),
        "These boxes are edges, not rows of pixels: a side is right - left, without 1.": _overlaps(wider=1),
        "It is transposed: a row belongs to one of `boxes`.": _overlaps(end=np.transpose),
        "These boxes are left, top, right, bottom: you read the last two as width and height.": (
            _overlaps(corners=lambda boxes: np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1))
        ),
    },
)
