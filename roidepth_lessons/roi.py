"""Depth only where an object is: plan the windows, gather them, decode them, read one number per object.

A window is (top, left, bottom, right) in cells of the features, 4 pixels each; bottom and right are exclusive.

>>> plan = plan_windows([[8, 8, 30, 30], [20, 12, 40, 34]], rows=32, columns=104, work=lambda r, c: (r + 6) * (c + 6))
>>> len(plan.windows), plan.share < 0.1
(1, True)
"""

from dataclasses import dataclass

import numpy as np
from keras import ops

STRIDE = 4
FARTHEST_EDGE = 1e9
"""Pixels. An edge beyond, at infinity even, is as far outside of every image."""


@dataclass(frozen=True)
class Plan:
    """What to decode.

    Args:
        kind: "windows", "bounding window", "full frame" or "nothing".
        windows: (k, 4) integers, cells.
        window_of: (n,) which window holds the i-th box; -1 for a box wholly outside the image.
        regions: (n, 4) the boxes themselves, widened and snapped to cells; each lies inside its window.
        work: Operations for these windows.
        full_work: Operations for the whole frame.
    """

    kind: str
    windows: np.ndarray
    window_of: np.ndarray
    regions: np.ndarray
    work: float
    full_work: float

    @property
    def share(self):
        """The work as a share of the whole frame's, 0 to 1."""
        return self.work / self.full_work


def snap_boxes(boxes, rows, columns, widen=0.1):
    """Boxes in pixels to windows in cells.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels.
        rows, columns: Size of the features in cells; what lies outside is cut off.
        widen: Share of its width and height by which a box grows on every side.

    Returns:
        (n, 4) integers: top, left, bottom, right in cells. Empty (bottom <= top or right <= left) where a box lies
        wholly outside.

    Raises:
        ValueError: if `boxes` has another shape, holds a NaN or a box whose right or bottom comes before its left or
            top; if `rows` or `columns` is not positive, or `widen` negative or not finite.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    if rows < 1 or columns < 1:
        raise ValueError(f"rows and columns must be at least 1, got {rows} and {columns}")
    if not 0 <= widen < np.inf:
        raise ValueError(f"widen must be a share of at least 0, got {widen}")
    if boxes.size == 0:
        return np.zeros((0, 4), np.int64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or np.isnan(boxes).any():
        raise ValueError(f"boxes must be (n, 4) numbers without NaN, got shape {boxes.shape}")
    if (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError("boxes must be left, top, right, bottom: one's right or bottom comes before its left or top")
    boxes = np.clip(boxes, -FARTHEST_EDGE, FARTHEST_EDGE)
    extra = widen * (boxes[:, 2:] - boxes[:, :2])
    low = np.floor((boxes[:, :2] - extra + 0.5) / STRIDE)
    high = np.ceil((boxes[:, 2:] + extra + 0.5) / STRIDE)
    high = np.maximum(high, low + 1)  # a box without width on the edge between two cells
    cells = np.stack([low[:, 1], low[:, 0], high[:, 1], high[:, 0]], axis=1)
    return np.clip(cells, 0, [rows, columns, rows, columns]).astype(np.int64)


def plan_windows(boxes, rows, columns, work, widen=0.1, allow_full=True, overhead=0.0):
    """The cheapest way to decode the depth of all boxes.

    Windows are merged greedily, the most profitable pair first, while one window costs less than two. The result is
    then compared with one window around everything and with the whole frame, so no plan costs more than full
    decoding.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels; may overlap, repeat, or reach outside the image.
        rows, columns: Size of the features in cells.
        work: Function of a window's rows and columns (numbers or arrays) that gives its operations.
        widen: Share of its size by which a box grows on every side.
        allow_full: Whether the whole frame may be chosen where that is cheaper.
        overhead: What each window costs besides, however small it is, in operations that take as long:
            `benchmark_boxes.calibrate` measures it. The more, the fewer and larger windows are cheapest.

    Returns:
        A `Plan`; its work is without the overhead.
    """

    def cost(rows, columns):
        return work(rows, columns) + overhead

    regions = snap_boxes(boxes, rows, columns, widen)
    window_of = np.full(len(regions), -1)
    inside = np.flatnonzero((regions[:, 2] > regions[:, 0]) & (regions[:, 3] > regions[:, 1]))
    full_work = float(work(rows, columns))
    if len(inside) == 0:
        return Plan("nothing", np.zeros((0, 4), np.int64), window_of, regions, 0.0, full_work)
    windows, members = _merge_greedily(regions[inside], cost)
    for number, boxes_inside in enumerate(members):
        window_of[inside[boxes_inside]] = number
    around = np.concatenate([regions[inside, :2].min(axis=0), regions[inside, 2:].max(axis=0)])[None]
    plans = [("windows", windows), ("bounding window", around)]
    if allow_full:
        plans.insert(1, ("full frame", np.array([[0, 0, rows, columns]])))
    best = int(np.argmin([float(_cost(each, cost).sum()) for _, each in plans]))
    if best > 0:
        window_of[inside] = 0
    kind, windows = plans[best]
    return Plan(kind, windows, window_of, regions, float(_cost(windows, work).sum()), full_work)


def full_frame(boxes, rows, columns, work, widen=0.1):
    """The plan that decodes everything, with the regions of the boxes, so that they are read in the same way."""
    regions = snap_boxes(boxes, rows, columns, widen)
    outside = (regions[:, 2] <= regions[:, 0]) | (regions[:, 3] <= regions[:, 1])
    full_work = float(work(rows, columns))
    window = np.array([[0, 0, rows, columns]])
    return Plan("full frame", window, np.where(outside, -1, 0), regions, full_work, full_work)


def _cost(windows, work):
    return work(windows[:, 2] - windows[:, 0], windows[:, 3] - windows[:, 1])


def _merge_greedily(windows, work):
    """Merges pairs, the most profitable first, until no merger pays. Returns windows and the members of each.

    Forty boxes are planned for every photo, so each round makes few and small operations.
    """
    count, members = len(windows), {index: [index] for index in range(len(windows))}
    top, left, bottom, right = (edge.copy() for edge in windows.T)

    def cost_with(window):
        """Of what is around this window and each other one."""
        around = [np.minimum(window[0], top), np.minimum(window[1], left)]
        return work(np.maximum(window[2], bottom) - around[0], np.maximum(window[3], right) - around[1])

    cost = work(bottom - top, right - left).astype(np.float64)
    gain = cost[:, None] + cost - np.array([cost_with(window) for window in windows])
    np.fill_diagonal(gain, -np.inf)
    gone = np.zeros(count)
    while True:
        keep, drop = divmod(int(gain.argmax()), count)  # the gains are symmetric, and the first of two is taken
        if gain[keep, drop] <= 0:
            break
        for edges, outer in ((top, min), (left, min), (bottom, max), (right, max)):
            edges[keep] = outer(edges[keep], edges[drop])
        members[keep] += members.pop(drop)
        gone[drop], gain[drop], gain[:, drop] = -np.inf, -np.inf, -np.inf
        # Only what the grown window gains with others has changed.
        cost[keep] = work(bottom[keep] - top[keep], right[keep] - left[keep])
        gain[keep] = cost[keep] + cost - cost_with((top[keep], left[keep], bottom[keep], right[keep])) + gone
        gain[keep, keep] = -np.inf
        gain[:, keep] = gain[keep]
    return np.stack([top, left, bottom, right], axis=1)[list(members)], list(members.values())


def gather_window(padded_features, window, halo):
    """The features of one window with the surroundings that the head eats.

    Args:
        padded_features: (batch, rows + 2 * halo, columns + 2 * halo, channels): the whole image's, padded once.
        window: top, left, bottom, right in cells of the unpadded features.
        halo: Cells of surroundings on every side.

    Returns:
        (batch, height + 2 * halo, width + 2 * halo, channels), a view where the input is a NumPy array.

    Raises:
        ValueError: if the window is empty or reaches outside the image.
    """
    rows, columns = (size - 2 * halo for size in ops.shape(padded_features)[1:3])
    top, left, bottom, right = check_window(window, rows, columns)
    return padded_features[:, top : bottom + 2 * halo, left : right + 2 * halo]


def check_window(window, rows, columns):
    """The edges of a window as ints. Raises ValueError if it is empty or reaches outside the cells."""
    top, left, bottom, right = (int(edge) for edge in window)
    if not (0 <= top < bottom <= rows and 0 <= left < right <= columns):
        raise ValueError(f"window {(top, left, bottom, right)} does not lie inside the {rows}x{columns} cells")
    return top, left, bottom, right


def cut_region(decoded, window, region):
    """The pixels of `region` (cells) out of a decoded `window` (cells): (..., height, width, channels)."""
    top, left = (region[:2] - window[:2]) * STRIDE
    bottom, right = (region[2:] - window[:2]) * STRIDE
    return decoded[top:bottom, left:right]


def box_within_region(box, region):
    """The rows and columns, as slices into the region's pixels, that a box in pixels covers: at least one each."""
    left, top, right, bottom = np.asarray(box) - np.tile(region[:2][::-1] * STRIDE, 2)
    height, width = (region[2:] - region[:2]) * STRIDE
    first_row = int(np.clip(np.rint(top), 0, height - 1))
    first_column = int(np.clip(np.rint(left), 0, width - 1))
    last_row = int(np.clip(np.rint(bottom), first_row, height - 1))
    last_column = int(np.clip(np.rint(right), first_column, width - 1))
    return slice(first_row, last_row + 1), slice(first_column, last_column + 1)


def box_patches(boxes, plan, decoded):
    """What was decoded for each box, out of the window that its plan put it in.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels: those that were planned.
        plan: A `Plan`.
        decoded: For every window of the plan, an array (height, width, ...) of its pixels.

    Returns:
        A list of n arrays (height, width, ...), at least one pixel each; None for a box wholly outside the image.

    Raises:
        ValueError: if there are more or fewer boxes than regions, or arrays than windows, or if one has another size.
    """
    if len(boxes) != len(plan.regions) or len(decoded) != len(plan.windows):
        counts = f"{len(boxes)} boxes, {len(decoded)} arrays"
        raise ValueError(f"{counts}: the plan is for {len(plan.regions)} boxes in {len(plan.windows)} windows")
    sizes = (plan.windows[:, 2:] - plan.windows[:, :2]) * STRIDE
    for number, (values, size) in enumerate(zip(decoded, sizes.tolist(), strict=True)):
        if list(np.shape(values)[:2]) != size:
            raise ValueError(f"decoded[{number}] has shape {np.shape(values)}, its window {size[0]}x{size[1]} pixels")
    patches = []
    for box, region, number in zip(boxes, plan.regions, plan.window_of, strict=True):
        if number < 0:
            patches.append(None)
        else:
            patch = cut_region(decoded[number], plan.windows[number], region)
            patches.append(patch[box_within_region(box, region)])
    return patches


def weighted_quantile(values, weights, quantile=0.5):
    """The smallest value that has at least the share `quantile` of the weight at or below it.

    Args:
        values: (n,) numbers.
        weights: (n,) not negative; if all are 0 every value counts the same.
        quantile: 0 to 1, or an array of them. 0.5 gives the weighted median.

    Returns:
        One value per quantile.

    Raises:
        ValueError: if there is no value, or one is not finite, or a weight is negative, or a quantile not 0 to 1.
    """
    values, weights = np.ravel(values), np.ravel(weights)
    if len(values) == 0 or len(values) != len(weights):
        raise ValueError(f"values and weights: as many of each and at least one, got {len(values)} and {len(weights)}")
    if not np.isfinite(values).all() or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("values must be finite, weights finite and not negative")
    if not ((np.asarray(quantile) >= 0) & (np.asarray(quantile) <= 1)).all():
        raise ValueError(f"quantile must be 0 to 1, got {quantile}")
    order = np.argsort(values, kind="stable")
    largest = float(weights.max())
    # As shares of the largest, so that no sum overflows.
    below = np.cumsum(weights[order] / largest if largest > 0 else np.ones(len(values)), dtype=np.float64)
    return values[order][np.minimum(np.searchsorted(below, np.asarray(quantile) * below[-1]), len(values) - 1)]
