"""Shadows on the ground: which of its pixels and which objects the sun does not reach."""

import numpy as np


def ground_light(street, x, s):
    """The light on the ground.

    Args:
        street: The `Street`.
        x: (columns,) x / z of the rays.
        s: (rows,) inverse depth of the ground.

    Returns:
        (rows, columns) shares of the sunlight and of all light that arrive, and (objects,) which objects stand in the
        shade of the scenery.
    """
    light, contact = np.ones((2, len(s), len(x)), dtype=np.float32)
    shaded = np.zeros(len(street.objects), dtype=bool)
    rows = np.array(street.solids.shadows).reshape(-1, 10)
    rows = rows[rows[:, 1] - rows[:, 3] < 60]  # nearer than 60 m
    standing = rows[rows[:, 8] >= 0]  # labelled objects: it is dark under them in any weather
    casting = np.repeat((0.0, 1.0), (len(standing), len(rows)))[:, None]
    sides, bounds = _outlines(np.concatenate([standing, rows]), street.style["sun"], casting)
    for i, row in enumerate(standing):
        own = sides[i, :8:2]  # the four sides of the rectangle that it stands on
        _darken(contact, own, bounds[i], x, s, 0.7 if row[3] + row[4] > 1.5 else 0.3)
    if street.style["sun_strength"] > 0.2:
        sides, bounds = sides[len(standing) :], bounds[len(standing) :]
        for i, row in enumerate(rows):
            outline = sides[i] if row[9] else sides[i, [0, 2, 4, 6, 8, 9]]  # a circle is an octagon here
            _darken(light, outline, bounds[i], x, s, row[7])
        scenery = sides[rows[:, 8] < 0]
        places = np.array([(each.location[0], each.location[2], -1) for each in street.objects]).reshape(-1, 3)
        shaded = ((scenery[:, None] * places[None, :, None]).sum(axis=-1) <= 0).all(axis=-1).any(axis=0)
    return light, contact, shaded


def _outlines(rows, sun, casting):
    """Outlines on the ground of rows (n, 10) of `Solids.shadows`, carried along the sunlight where
    `casting` (n, 1) is 1 and not where it is 0.

    The outline of a convex area that is carried along a vector: its own sides, each pushed out as far as the vector
    goes, and two sides along the vector (a Minkowski sum).

    Returns:
        ``(sides, bounds)``: (n, 10, 3) half planes, a x + b z <= c inside; (n, 4) nearest and farthest z, and smallest
        and largest x / z.
    """
    x, z, yaw, half_length, half_width, low, high, _, _, is_round = (rows[:, i : i + 1] for i in range(10))
    reach = -np.array((sun[0], sun[2])) / max(-sun[1], 0.1)
    start, way = reach * low * casting, reach * (high - low) * casting
    end = np.arctan2(reach[0], reach[1]) + np.array([0, np.pi])  # of the sides along the sunlight
    turn = np.concatenate([yaw - np.arange(8) * np.pi / 4, np.broadcast_to(end, (len(rows), 2))], axis=1)
    normal = np.stack([np.cos(turn), -np.sin(turn)], axis=-1)
    axis = np.stack([np.cos(yaw), -np.sin(yaw)], axis=-1), np.stack([np.sin(yaw), np.cos(yaw)], axis=-1)
    across, along = (np.abs((normal * each).sum(axis=-1)) for each in (axis[1], axis[0]))
    support = np.where(is_round > 0, half_length, along * half_length + across * half_width)
    centre = np.concatenate([x, z], axis=1)[:, None]
    push = np.maximum(0, (normal * way[:, None]).sum(axis=-1))
    offset = (normal * (centre + start[:, None])).sum(axis=-1) + support + push
    sides = np.concatenate([normal, offset[..., None]], axis=-1)
    corners = [
        centre[:, 0] + carried + a * half_length * axis[0][:, 0] + b * half_width * axis[1][:, 0]
        for carried in (start, start + way)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    corners = np.stack(corners, axis=1)
    depths, ways = corners[..., 1], corners[..., 0] / np.maximum(corners[..., 1], 1e-3)
    nearest, farthest = depths.min(axis=1), depths.max(axis=1)
    behind = nearest < 0.5  # x / z says nothing there: take the whole width
    left, right = np.where(behind, -9, ways.min(axis=1)), np.where(behind, 9, ways.max(axis=1))
    return sides, np.stack([nearest, farthest, left, right], axis=-1)


def _darken(light, sides, bounds, x, s, strength):
    """Take `strength` of the light from the ground inside an outline: a x + b <= c s in inverse depth s."""
    nearest, farthest, left, right = bounds
    if farthest <= 0.5 or nearest >= 200:
        return
    first, last = s.searchsorted(1 / farthest), s.searchsorted(1 / max(nearest, 1e-3), side="right")
    left, right = x.searchsorted(left), x.searchsorted(right, side="right")
    if first >= last or left >= right:
        return
    a, b, c = sides.T.astype(np.float32)
    margin = (a[:, None] * x[left:right])[:, None, :] + (b[:, None] - c[:, None] * s[first:last])[:, :, None]
    light[first:last, left:right] *= np.where(np.maximum.reduce(margin) <= 0, np.float32(1 - strength), np.float32(1))
