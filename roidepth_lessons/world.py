"""From pixels and depth to places in metres, and what other sensors add: 3D boxes, uncertainty, late fusion.

Camera coordinates, unless something else is said: x to the right, y down, z forward, in metres. *Depth* and *distance*
are z, along the optical axis, as everywhere in this course; a *range* is the length of the way from above,
``hypot(x, z)``, as a radar measures it. A `camera` is anything with ``project`` and ``unproject``, for
:func:`place_box` also ``width`` and ``height`` in pixels; a `calibration` anything with ``points_from_velodyne`` and
``points_to_velodyne``: `camera.Camera` and `camera.Calibration` are.

>>> fused, spread = fuse([[20.0, 30.0], [22.0, np.nan]], [[1.0, 1.0], [2.0, 1.0]])
>>> fused.round(2).tolist(), spread.round(2).tolist()
([20.4, 30.0], [0.89, 1.0])
"""

from dataclasses import dataclass

import numpy as np


def velodyne_to_pixels(points, calibration, camera):
    """LiDAR points to pixels: the whole chain, LiDAR -> reference camera -> rectified camera -> pixels.

    Args:
        points: (..., 3) in LiDAR coordinates (x forward, y left, z up), metres.
        calibration: The chain's matrices.
        camera: The camera of the image that is meant. After a resize or a crop it is no longer the calibration's.

    Returns:
        ``(pixels, depth)``: (..., 2) columns and rows, NaN behind the camera, and (...) metres.
    """
    return camera.project(calibration.points_from_velodyne(points))


def pixels_to_velodyne(pixels, depth, calibration, camera):
    """The inverse of :func:`velodyne_to_pixels`: (..., 2) pixels and (...) metres to (..., 3) LiDAR coordinates."""
    return calibration.points_to_velodyne(camera.unproject(pixels, depth))


# 3D boxes ------------------------------------------------------------------------------------------------------------


def box_corners(bottom, dimensions, yaw):
    """The corners of a 3D box that stands upright.

    Args:
        bottom: (x, y, z) of the centre of the bottom face: a KITTI label's ``location``.
        dimensions: (height, width, length) in metres.
        yaw: Rotation about the y axis in radians, KITTI's ``rotation_y``: at 0 the length runs along x.

    Returns:
        (8, 3) metres: the four of the bottom face in the order of a walk around it, then the four above them.
    """
    height, width, length = dimensions
    x = length / 2 * np.array([1, 1, -1, -1, 1, 1, -1, -1])
    y = -height * np.array([0, 0, 0, 0, 1, 1, 1, 1])
    z = width / 2 * np.array([1, -1, -1, 1, 1, -1, -1, 1])
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.stack([cosine * x + sine * z, y, cosine * z - sine * x], axis=-1) + np.asarray(bottom)


EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
"""Pairs of corners that an edge of the box joins."""


def tight_box(corners, camera):
    """The 2D box around the corners of a 3D box: (left, top, right, bottom) in pixels, not cut off at the image's rim.

    Raises:
        ValueError: if a corner lies behind the camera: the picture of such a box has no bounds.
    """
    pixels, depth = camera.project(corners)
    if (depth <= 0).any():
        raise ValueError(f"{int((depth <= 0).sum())} of {len(depth)} corners lie behind the camera: no 2D box")
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


def place_box(box, distance, dimensions, yaw, camera, rounds=4):
    """A 3D box from a 2D box, the depth of its centre, its dimensions and its yaw.

    The centre of the 3D box is seen near the middle of the 2D box, not in it: what is nearer looks larger. So the
    centre is moved until the edges of the *projected* box lie where they should: `rounds` times by what is missing.
    0 rounds take the middle of the 2D box for the centre's pixel. An edge that lies on the image's rim (within a pixel)
    is where the picture ends, not the object: it doesn't count. Between two of those the place stays as it is.

    Args:
        box: (left, top, right, bottom) in pixels.
        distance: Depth of the centre of the 3D box, metres.
        dimensions: (height, width, length) in metres.
        yaw: As for :func:`box_corners`.
        camera: The camera.
        rounds: How often the place is corrected.

    Returns:
        ``(bottom, corners)``: (3,) centre of the bottom face and (8, 3) corners, metres. Where the box would reach
        behind the camera no correction is made.

    Raises:
        ValueError: if the distance or a dimension is not positive, or something is not finite.
    """
    box, dimensions = np.asarray(box, np.float64), np.asarray(dimensions, np.float64)
    if not np.isfinite([*box, distance, *dimensions, yaw]).all() or distance <= 0 or (dimensions <= 0).any():
        raise ValueError(
            f"box, distance, dimensions and yaw must be finite, distance and dimensions positive: got {box.tolist()}, "
            f"{distance}, {dimensions.tolist()}, {yaw}"
        )
    rim = np.array([0, 0, camera.width - 1, camera.height - 1])
    counts = (np.abs(box - rim) > 1).reshape(2, 2)  # (near or far edge, across or down)
    pixel = (box[:2] + box[2:]) / 2
    half_height = np.array([0, dimensions[0] / 2, 0])
    for _ in range(rounds + 1):
        bottom = camera.unproject(pixel, distance) + half_height
        corners = box_corners(bottom, dimensions, yaw)
        if (camera.project(corners)[1] <= 0).any():
            break
        missing = (box - tight_box(corners, camera)).reshape(2, 2) * counts
        pixel = pixel + missing.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    return bottom, corners


def surface_to_center(position, dimensions, yaw):
    """How much deeper an object's centre lies than the place where the camera's ray to it meets its 3D box, from above.

    Args:
        position: (..., 3) x, y, z of the centre, metres.
        dimensions: (..., 3) height, width, length, metres.
        yaw: (...) radians.

    Returns:
        (...) metres along the optical axis.
    """
    position, dimensions, yaw = (np.asarray(each, np.float64) for each in (position, dimensions, yaw))
    x, z = position[..., 0], position[..., 2]
    length_of_way = np.hypot(x, z)
    ray_x, ray_z = x / length_of_way, z / length_of_way
    along = np.abs(np.cos(yaw) * ray_x - np.sin(yaw) * ray_z)
    across = np.abs(np.sin(yaw) * ray_x + np.cos(yaw) * ray_z)
    tiny = np.finfo(np.float64).tiny  # a ray along one axis never meets the faces of the other
    way = np.minimum(
        dimensions[..., 2] / 2 / np.maximum(along, tiny), dimensions[..., 1] / 2 / np.maximum(across, tiny)
    )
    return way * np.abs(ray_z)


def surface_point(position, dimensions, yaw):
    """Where the camera's ray to an object's centre meets its 3D box, from above: (..., 3) metres.

    Arguments as for :func:`surface_to_center`. That the place is nearer by the same share in x, y and z keeps it on the
    ray.
    """
    position = np.asarray(position, np.float64)
    deeper = surface_to_center(position, dimensions, yaw)
    return position * (1 - deeper / position[..., 2])[..., None]


def reflections(objects):
    """Where labelled objects reflect a radar: (n, 3) metres, the :func:`surface_point` of each, without "DontCare".

    Args:
        objects: Labels with ``name``, ``location`` (bottom centre), ``dimensions`` and ``yaw``.
    """
    solid = [each for each in objects if each.name != "DontCare"]
    if not solid:
        return np.zeros((0, 3))
    return surface_point(*([getattr(each, what) for each in solid] for what in ("location", "dimensions", "yaw")))


def range_and_azimuth(position):
    """(..., 3) places to (..., 2): range from above in metres, azimuth in radians, 0 ahead, positive to the right."""
    position = np.asarray(position, np.float64)
    x, z = position[..., 0], position[..., 2]
    return np.stack([np.hypot(x, z), np.arctan2(x, z)], axis=-1)


# Uncertainty ---------------------------------------------------------------------------------------------------------


def covariance_from_above(position, distance_spread, pixel_spread, focal_length):
    """How uncertain a place is, seen from above: long along the ray, short across it.

    From ``x = (u - center) * z / focal_length``, by first-order propagation of errors in u and z that don't depend on
    each other.

    Args:
        position: (..., 3) x, y, z, metres.
        distance_spread: (...) standard deviation of z, metres.
        pixel_spread: (...) standard deviation of u, pixels.
        focal_length: Horizontal, pixels.

    Returns:
        (..., 2, 2) covariance of (x, z), square metres.
    """
    position = np.asarray(position, np.float64)
    x, z = position[..., 0], position[..., 2]
    along = np.stack([x / z, np.ones_like(z)], axis=-1) * np.asarray(distance_spread)[..., None]
    across = np.stack([np.broadcast_to(pixel_spread * z / focal_length, z.shape), np.zeros_like(z)], axis=-1)
    return _covariance(along, across)


def covariance_of_echo(distance, azimuth, range_spread, azimuth_spread):
    """How uncertain the place of a radar's echo is, seen from above: short along the ray, long across it when far.

    From ``x = range * sin(azimuth)`` and ``z = range * cos(azimuth)``, by first-order propagation of errors that don't
    depend on each other.

    Args:
        distance: (...) range, metres.
        azimuth: (...) radians, 0 ahead, positive to the right.
        range_spread: Standard deviation of the range, metres.
        azimuth_spread: Standard deviation of the azimuth, radians.

    Returns:
        (..., 2, 2) covariance of (x, z), square metres.
    """
    distance, azimuth = np.asarray(distance, np.float64), np.asarray(azimuth, np.float64)
    sine, cosine = np.sin(azimuth), np.cos(azimuth)
    along = np.stack([sine, cosine], axis=-1) * np.asarray(range_spread)[..., None]
    across = np.stack([cosine, -sine], axis=-1) * (distance * azimuth_spread)[..., None]
    return _covariance(along, across)


def _covariance(*spreads):
    """(..., 2, 2) of errors that don't depend on each other, each given as (..., 2): how far it moves x and z."""
    return sum(each[..., :, None] * each[..., None, :] for each in spreads)


def ellipse(center, covariance, deviations=1.0, count=60):
    """The outline of an uncertain place: where the Mahalanobis distance from the centre is `deviations`.

    Args:
        center: (2,) metres.
        covariance: (2, 2) square metres.
        deviations: 1 holds 39 % of a normal distribution in the plane, 2 holds 86 %.
        count: Points of the outline, the first again at the end.

    Returns:
        (count, 2) metres.

    Raises:
        ValueError: if the covariance is not symmetric or has a negative variance in some direction.
    """
    covariance = np.asarray(covariance, np.float64)
    variances, directions = np.linalg.eigh(covariance)
    if not np.allclose(covariance, covariance.T) or variances[0] < -1e-9 * max(variances[1], 1e-300):
        raise ValueError(f"covariance must be symmetric and not negative, got {covariance.tolist()}")
    angles = np.linspace(0, 2 * np.pi, count)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    return (directions * np.sqrt(np.maximum(variances, 0)) @ circle).T * deviations + np.asarray(center)


def bias_and_spread(errors):
    """Median of some errors, and their standard deviation as the median absolute deviation tells it.

    For normally distributed errors ``1.4826 * median(|error - median|)`` is the standard deviation; unlike that, it
    hardly moves when a few errors are huge, such as those of an object taken for another one (Huber, "Robust
    Statistics", 1981, section 5.1).

    Args:
        errors: (n,); NaN where there was no measurement.

    Returns:
        ``(bias, spread)``, floats, in the errors' unit.

    Raises:
        ValueError: if fewer than two errors are finite.
    """
    errors = np.asarray(errors, np.float64)
    errors = errors[np.isfinite(errors)]
    if errors.size < 2:
        raise ValueError(f"a spread needs two measurements or more, got {errors.size}")
    bias = np.median(errors)
    return float(bias), float(1.4826 * np.median(np.abs(errors - bias)))


def bias_and_spread_by_kind(errors, kinds, count):
    """:func:`bias_and_spread` of each kind of object by itself.

    Args:
        errors: (n,); NaN where there was no measurement.
        kinds: (n,) whole numbers, 0 to count - 1.
        count: How many kinds there are.

    Returns:
        ``(biases, spreads)``, (count,) each: index them with `kinds` to have one for every object.

    Raises:
        ValueError: if a kind has fewer than two finite errors.
    """
    errors, kinds = np.asarray(errors, np.float64), np.asarray(kinds)
    return np.array([bias_and_spread(errors[kinds == kind]) for kind in range(count)]).T


# Other sensors -------------------------------------------------------------------------------------------------------


def lidar_distance(points, box, camera, between=(0.0, np.inf), shrink=0.1, thickness=1.0, fewest=3):
    """Depth of an object's surface from the LiDAR points that are seen inside its 2D box.

    A box also shows the road before the object and what stands behind it. So the depths are sorted, the stretch of
    `thickness` metres that holds the most points is taken, the nearest such stretch if there are several, and its
    median is the result. Where something nearer hides most of the object, that stretch is of the wrong thing; whoever
    knows roughly how far the object is can say so by `between`.

    Args:
        points: (n, 3) camera coordinates, metres.
        box: (left, top, right, bottom) in pixels.
        camera: The camera.
        between: (nearest, farthest) in metres: points at other depths don't count.
        shrink: Share of its width and height by which the box is narrowed on every side: rims show the background.
        thickness: Metres.
        fewest: With fewer points in the stretch nothing is said.

    Returns:
        ``(distance, count)``: metres and how many points speak; NaN and that count where there are too few.

    Raises:
        ValueError: if the points are not (n, 3).
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must be (n, 3), got shape {points.shape}")
    pixels, depth = camera.project(points)
    box = np.asarray(box, np.float64)
    border = shrink * (box[2:] - box[:2])
    with np.errstate(invalid="ignore"):  # NaN pixels, behind the camera, are in no box
        inside = ((pixels >= box[:2] + border) & (pixels <= box[2:] - border)).all(axis=1)
    depth = np.sort(depth[inside & (depth >= between[0]) & (depth <= between[1])])
    counts = np.searchsorted(depth, depth + thickness, side="right") - np.arange(len(depth))
    count = int(counts.max(initial=0))
    if count < max(fewest, 1):
        return np.nan, count
    first = int(np.argmax(counts))
    return float(np.median(depth[first : first + count])), count


def lidar_distances(frames, which, boxes, between):
    """:func:`lidar_distance` of many objects in many frames: (n,) metres, NaN where too few points speak.

    Args:
        frames: Things with ``points``, (m, 3) camera coordinates in metres, and ``camera``.
        which: (n,) index into `frames` of each object.
        boxes: (n, 4) left, top, right, bottom in pixels.
        between: (n, 2) nearest and farthest depth that counts, metres.
    """
    rows = zip((frames[index] for index in which), boxes, between, strict=True)
    found = [lidar_distance(each.points, box, each.camera, ends)[0] for each, box, ends in rows]
    return np.array(found, np.float64)


@dataclass(frozen=True)
class Radar:
    """A simulated millimetre-wave radar beside the camera: how far and in which direction, not what and not how high.

    What it measures is made up from true positions; the figures are assumptions, of the size that automotive radars
    have. They are here to be changed.

    Args:
        range_spread: Standard deviation of a range, metres.
        azimuth_spread: Standard deviation of a direction, radians.
        hit_probability: How likely an object gives an echo at all.
        clutter: Mean number of echoes of nothing, per sweep (Poisson), spread evenly over range and azimuth.
        farthest: Metres.
        half_view: Half the angle that it sees, radians.

    Raises:
        ValueError: if a spread or distance is not positive, the clutter is negative, or the probability not 0 to 1.
    """

    range_spread: float = 0.3
    azimuth_spread: float = np.deg2rad(1.0)
    hit_probability: float = 0.85
    clutter: float = 3.0
    farthest: float = 100.0
    half_view: float = np.deg2rad(45.0)

    def __post_init__(self):
        if min(self.range_spread, self.azimuth_spread, self.farthest, self.half_view) <= 0 or self.clutter < 0:
            raise ValueError(f"spreads, farthest and half_view must be positive, clutter not negative: {self}")
        if not 0 <= self.hit_probability <= 1:
            raise ValueError(f"hit_probability must lie between 0 and 1: {self}")

    def sweep(self, positions, generator):
        """One sweep.

        Args:
            positions: (n, 3): what reflects, metres.
            generator: `numpy.random.Generator`.

        Returns:
            (m, 2) echoes, range in metres and azimuth in radians (0 ahead, positive to the right), in random order, so
            that nothing tells an echo of an object from clutter.
        """
        true = range_and_azimuth(np.reshape(np.asarray(positions, np.float64), (-1, 3)))
        echoes = true + generator.normal(size=true.shape) * [self.range_spread, self.azimuth_spread]
        seen = (true[:, 0] < self.farthest) & (np.abs(true[:, 1]) < self.half_view)
        echoes = echoes[seen & (generator.random(len(true)) < self.hit_probability)]
        false = generator.uniform(
            [0, -self.half_view], [self.farthest, self.half_view], (generator.poisson(self.clutter), 2)
        )
        return generator.permutation(np.concatenate([echoes, false]))


def match_echoes(echoes, expected, spreads, gate=3.0):
    """Which echo belongs to which object: the nearest pair first, each echo and each object at most once.

    Args:
        echoes: (m, 2) range in metres and azimuth in radians.
        expected: (n, 2) where the camera expects the objects, likewise.
        spreads: (n, 2) standard deviations of ``echo - expected``: camera and radar together.
        gate: Pairs that are more than this many standard deviations apart (the two squares added) don't match.

    Returns:
        (n,) indices into `echoes`, -1 where none matches.

    Raises:
        ValueError: if a spread is not positive.
    """
    echoes, expected, spreads = (
        np.reshape(np.asarray(each, np.float64), (-1, 2)) for each in (echoes, expected, spreads)
    )
    if not (spreads > 0).all():
        raise ValueError("spreads must be positive, for range and azimuth")
    apart = np.sqrt((((expected[:, None] - echoes[None]) / spreads[:, None]) ** 2).sum(axis=-1))
    match = np.full(len(expected), -1)
    for flat in np.argsort(apart, axis=None, kind="stable"):
        which, echo = np.unravel_index(flat, apart.shape)
        if apart[which, echo] > gate:
            break
        if match[which] < 0 and echo not in match:
            match[which] = echo
    return match


def match_sweeps(sweeps, which, expected, spreads, gate=3.0):
    """:func:`match_echoes` in many sweeps: the echo of each object.

    Args:
        sweeps: (m, 2) echoes each, range in metres and azimuth in radians.
        which: (n,) index into `sweeps` of each object.
        expected, spreads, gate: As for :func:`match_echoes`, (n, 2) each.

    Returns:
        (n, 2) range and azimuth; NaN where no echo matches.
    """
    which, found = np.asarray(which), np.full((len(which), 2), np.nan)
    for index, echoes in enumerate(sweeps):
        rows = np.flatnonzero(which == index)
        match = match_echoes(echoes, expected[rows], spreads[rows], gate)
        found[rows[match >= 0]] = echoes[match[match >= 0]]
    return found


def fuse(values, spreads):
    """Several measurements of the same things, weighted by the inverse of their variances.

    The weights give the least variance for errors that don't depend on each other and have no bias (Gauss and Markov's
    theorem). A sensor that says nothing is left out; so is an uncertainty that is infinite.

    Args:
        values: (sensors, n); NaN where a sensor says nothing.
        spreads: (sensors, n), or anything that spreads over it: standard deviations, positive.

    Returns:
        ``(fused, spread)``, both (n,). Where no sensor says anything: NaN and infinity.

    Raises:
        ValueError: if there is no sensor, or one says something and its spread is not positive.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"values must be (sensors, n), got shape {values.shape}")
    spreads = np.broadcast_to(np.asarray(spreads, np.float64), values.shape)
    says = np.isfinite(values)
    if not (spreads[says] > 0).all():
        raise ValueError("spreads must be positive wherever there is a value")
    weights = np.where(says, 1 / np.where(says, spreads, 1) ** 2, 0)
    total = weights.sum(axis=0)
    safe_total = np.where(total > 0, total, 1)
    fused = (weights * np.where(says, values, 0)).sum(axis=0) / safe_total
    return np.where(total > 0, fused, np.nan), np.where(total > 0, safe_total**-0.5, np.inf)
