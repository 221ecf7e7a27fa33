"""What distances and depth maps would be without the depth network: from box heights, from LiDAR, from the image row.

A network is worth what it adds to these. All take the objects that the detector found (`evaluate.found_objects`), so
that they are measured on the same ones.
"""

import numpy as np

from . import CLASSES, label_statistics, metrics, world

SLOPE_STEP = 1 / 240
"""Rows are told apart by their slope, (v - center_v) / focal_y, in steps of a row at the focal length of streets."""
STEEPEST = 2.0
"""Slope, up and down; rows that look more steeply count as those do."""
SLOPES = np.arange(-round(STEEPEST / SLOPE_STEP), round(STEEPEST / SLOPE_STEP) + 1) * SLOPE_STEP


def class_heights():
    """Metres per class, for distance = focal length * height / box height: fitted to KITTI's labels, not the mean."""
    statistics = label_statistics.kitti_statistics()["classes"]
    return [statistics[name]["apparent_height"] for name in CLASSES]


# LiDAR in the box -----------------------------------------------------------------------------------------------------


def lidar_distances(frames, table, ask_camera=True):
    """Late fusion: distances of found objects from the LiDAR points in their 2D boxes (`world.lidar_distance`).

    The rule of lesson 08: of a car behind another, most points belong to the one in front, so only points near where
    the camera sees the surface count: at most three standard deviations away, of the camera's distance (its spread is
    the scale b of a Laplace distribution, whose standard deviation is sqrt(2) b) and 0.3 m of the step from surface to
    centre. That step is `world.surface_to_center` of the predicted 3D box. Where LiDAR says nothing the camera speaks
    alone.

    Args:
        frames: `Frame`s.
        table: What `evaluate.found_objects` says of them, n objects.
        ask_camera: False: all points in the box count, whatever the camera's distance is.

    Returns:
        A dict of arrays (n,): ``center`` and ``surface`` in metres, NaN in frames without LiDAR; ``speaks``, bool,
        whether enough points do.
    """
    step = world.surface_to_center(table["position"], table["dimensions"], table["yaw"])
    expected, reach = table["distance"] - step, 3 * np.hypot(np.sqrt(2) * table["spread"], 0.3)
    if not ask_camera:
        reach = np.full_like(reach, np.inf)
    has_points = np.array([each.points is not None for each in frames], bool)[table["frame"]]
    measured, rows = np.full(len(step), np.nan), np.flatnonzero(has_points)
    ends = np.stack([expected - reach, expected + reach], axis=1)
    measured[rows] = world.lidar_distances(frames, table["frame"][rows], table["box"][rows], ends[rows])
    speaks = np.isfinite(measured)
    silent = np.where(has_points, 1, np.nan)
    return {
        "center": np.where(speaks, measured + step, table["distance"] * silent),
        "surface": np.where(speaks, measured, table["surface"] * silent),
        "speaks": speaks,
    }


# The mean depth of a row ----------------------------------------------------------------------------------------------


def row_slopes(rows, camera):
    """(n,) rows of a photo to slopes, (v - center_v) / focal_y: how steeply they look down, in photos of any size."""
    return (np.asarray(rows, np.float64) - camera.center[1]) / camera.focal_length[1]


def row_totals(depth, camera):
    """What one frame adds to the mean depth of rows.

    Args:
        depth: (height, width) metres, 0 or NaN where it is not known; None where nothing is.
        camera: Its `Camera`.

    Returns:
        (2, len(SLOPES)): sum of the known depths in metres, and how many they are.
    """
    totals = np.zeros((2, len(SLOPES)))
    if depth is not None:
        known = np.isfinite(depth) & (depth > 0)
        bins = np.rint(row_slopes(np.arange(len(depth)), camera) / SLOPE_STEP) + len(SLOPES) // 2
        bins = np.clip(bins, 0, len(SLOPES) - 1).astype(int)
        np.add.at(totals[0], bins, np.where(known, depth, 0).sum(axis=1, dtype=np.float64))
        np.add.at(totals[1], bins, known.sum(axis=1))
    return totals


def row_means_of_others(totals, groups):
    """The mean depth of every row as the *other* groups' frames have it: what is measured is never learnt from.

    Args:
        totals: (frames, 2, len(SLOPES)) of :func:`row_totals`.
        groups: (frames,) the drive of each frame: frames of one drive look alike.

    Returns:
        A dictionary from group to (2, m): the m slopes at which a depth is known, and its mean in metres; m is 0 where
        the others know nothing.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(names), 2, len(SLOPES)))
    np.add.at(sums, group_of, np.asarray(totals, np.float64).reshape(-1, 2, len(SLOPES)))
    # All groups before and all behind, added: to subtract a group's own sums from all would leave a trace of them.
    nothing = np.zeros((1, 2, len(SLOPES)))
    before = np.concatenate([nothing, np.cumsum(sums, axis=0)[:-1]])
    behind = np.concatenate([np.cumsum(sums[::-1], axis=0)[::-1][1:], nothing])
    means = {}
    for name, (depth, count) in zip(names.tolist(), before + behind, strict=True):
        known = count > 0
        means[name] = np.stack([SLOPES[known], depth[known] / count[known]])
    return means


def depth_at(means, slopes):
    """(n,) metres at slopes: between rows that are known by straight lines, beyond the last ones like those.

    Args:
        means: (2, m) of one group, of :func:`row_means_of_others`. For m = 0 the result is NaN.
        slopes: (n,).
    """
    slopes = np.asarray(slopes, np.float64)
    return np.interp(slopes, *means) if means.shape[1] else np.full(slopes.shape, np.nan)


def row_mean_errors(depth, camera, inside, means):
    """`metrics.depth_errors` of a depth map that says the mean depth of each row, over the image and inside boxes.

    Args:
        depth: (height, width) true depth, metres, 0 where it is not known; None where nothing is.
        camera: The `Camera`.
        inside: (height, width) bool.
        means: (2, m) of one group, of :func:`row_means_of_others`.

    Returns:
        ``{"image", "inside_boxes"}``; counts are 0 where nothing can be compared.
    """
    if depth is None or not means.shape[1]:
        return {part: metrics.depth_errors([], []) for part in ("image", "inside_boxes")}
    rows = depth_at(means, row_slopes(np.arange(len(depth)), camera))
    guess = np.broadcast_to(rows[:, None], depth.shape)
    return {"image": metrics.depth_errors(guess, depth), "inside_boxes": metrics.depth_errors(guess, depth, inside)}
