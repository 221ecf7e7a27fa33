"""What stands beside the road and has no label: buildings, walls, hedges, trees, poles and woods behind them.

Everything keeps clear of the labelled objects, so that nobody stands in a wall.
"""

import numpy as np

from .street_solids import FACADE, FOLIAGE, WALL, WALLS, area, is_free, pick, span


def add_scenery(rng, street, taken):
    """Build both sides of a street.

    Args:
        rng: NumPy's random generator.
        street: The `Street`; gains solids and shadows.
        taken: The areas that objects stand on; gains those of trees and poles.
    """
    style = street.style
    for side in (-1, 1):
        edge = style["edges"][(side + 1) // 2]
        kind = rng.choice(["houses", "houses", "mixed", "trees", "open"])
        line = edge + side * (rng.uniform(2.0, 5.0) if kind == "houses" else rng.uniform(4, 11))
        z = rng.uniform(-6, 8)
        while z < 110 and kind in ("houses", "mixed"):
            length, height = rng.uniform(7, 22), rng.uniform(5.5, 15) if kind == "houses" else rng.uniform(3, 9)
            if rng.random() < (0.9 if kind == "houses" else 0.5):
                _building(rng, street, side, line + side * rng.uniform(0, 1.5), z, length, height, taken)
            z += length + (0 if rng.random() < 0.6 else rng.uniform(2, 12))
        if rng.random() < 0.4:
            _hedge(rng, street, line - side * rng.uniform(0.2, 0.8), taken)
        density = {"houses": 0.35, "mixed": 0.6, "trees": 1.0, "open": 0.25}[kind]
        for z in np.arange(rng.uniform(4, 14), 90, rng.uniform(7, 13)):
            if rng.random() < density:
                out = rng.uniform(0.8, 2.0) if kind == "houses" else rng.uniform(1, 9)
                _tree(rng, street, edge + side * out, z + rng.uniform(-2, 2), taken)
        for z in np.arange(rng.uniform(5, 25), 80, rng.uniform(9, 30)):
            _pole(rng, street, edge + side * rng.uniform(0.3, 1.0), z, side, taken)
    _woods(rng, street)


def _woods(rng, street):
    """A backdrop of wide crowns beyond everything else, which hides more or less of the horizon."""
    green, tall = _leaf(rng) * 0.8, rng.uniform(3, 11)
    for x in np.arange(-130, 131, 20):
        z, radius = rng.uniform(110, 145), tall * rng.uniform(0.6, 1.4)
        if rng.random() < street.style["backdrop"]:
            centre = (x + rng.uniform(-4, 4), street.ground_y(z) - 0.4 * radius, z)
            street.solids.crown(centre, (rng.uniform(11, 22), radius, 6), green * rng.uniform(0.8, 1.2))


def _leaf(rng):
    return np.array((0.16, 0.22, 0.08)) * rng.uniform(0.45, 1.5) + rng.uniform(0, 0.04, 3)


def _beside(street, x, z):
    """The x in camera coordinates of what stands `x` metres to the right of the bent axis of the road at depth z."""
    style = street.style
    return x + style["heading"] * z + 0.5 * style["curvature"] * z * z


def _building(rng, street, side, line, z, length, height, taken):
    """A house along the road from depth z on, with its front at lateral position `line`, and often a pitched roof."""
    crossing = street.style["crossing"]
    if crossing and z < crossing[1] + 1 and z + length > crossing[0] - 1:
        return
    depth, yaw, z = rng.uniform(8, 14), np.pi / 2 + street.style["heading"], z + length / 2
    for _ in range(4):  # step back from whatever stands there
        x = _beside(street, line + side * depth / 2, z)
        if is_free(area(x, z, yaw, length, depth, 0.3), taken):
            break
        line += side * 4
    else:
        return
    parts, wall = street.solids.at(x, street.ground_y(z), z, yaw), pick(rng, WALLS)
    a, b = length / 2, depth / 2
    parts.block(wall, -a, a, -b, b, -2.0, height, FACADE)  # from below the ground, which may slope
    parts.block(wall * 0.6, -a - 0.03, a + 0.03, -b - 0.03, b + 0.03, -2.0, 0.6)
    if rng.random() < 0.7:
        tile = np.array((0.36, 0.2, 0.15)) * rng.uniform(0.5, 1.3) + rng.uniform(0, 0.05)
        eaves, ridge = (-a - 0.3, a + 0.3, -b - 0.5, b + 0.5), span(-a - 0.3, a + 0.3, 0.2)
        parts.box(tile, eaves, ridge, height, height + depth * rng.uniform(0.25, 0.5), WALL)
    street.solids.shadow(x, z, yaw, a, b, 0, height, 1.0)


def _hedge(rng, street, line, taken):
    """A hedge or a garden wall at lateral position `line`, in up to four pieces."""
    green = rng.random() < 0.6
    height, colour = rng.uniform(0.7, 2.2), _leaf(rng) if green else pick(rng, WALLS)
    crossing, yaw = street.style["crossing"], np.pi / 2 + street.style["heading"]
    z = rng.uniform(2, 20)
    for _ in range(rng.integers(1, 5)):
        length = rng.uniform(5, 16)
        middle = z + length / 2
        x = _beside(street, line, middle)
        on_crossing = crossing and z < crossing[1] and z + length > crossing[0]
        if is_free(area(x, middle, yaw, length, 0.6, 0.2), taken) and not on_crossing:
            parts = street.solids.at(x, street.ground_y(middle), middle, yaw)
            parts.block(colour, -length / 2, length / 2, -0.3, 0.3, -0.5, height, FOLIAGE if green else WALL)
            street.solids.shadow(x, middle, yaw, length / 2, 0.3, 0, height, 0.9)
        z += length + rng.uniform(0.5, 6)


def _tree(rng, street, x, z, taken):
    """A trunk under a few round crowns: fewer where it is far away and nobody can tell."""
    x = _beside(street, x, z)
    trunk = rng.uniform(0.1, 0.28)
    if z < 3 or abs(x) > 0.95 * z + 4 or not is_free(area(x, z, 0, 2 * trunk, 2 * trunk, 0.15), taken):
        return  # in the way, or outside the picture
    ground, crown = street.ground_y(z), rng.uniform(1.4, 3.6)
    bare = rng.uniform(1.8, 3.5)
    parts, bark = street.solids.at(x, ground, z), np.array((0.16, 0.13, 0.1)) * rng.uniform(0.6, 1.4)
    root, tip = span(-trunk, trunk, trunk), span(-0.6 * trunk, 0.6 * trunk, 0.6 * trunk)
    parts.box(bark, root, tip, -0.3, bare + 0.7 * crown, WALL)
    colour = _leaf(rng)
    for _ in range(3 if z < 25 else 2 if z < 50 else 1):
        dx, dz = rng.normal(0, 0.45 * crown, 2) if z < 50 else (0, 0)
        radii = (crown * rng.uniform(0.55, 1.0, 3)).tolist()
        centre = (x + dx, ground - bare - crown * rng.uniform(0.7, 1.4), z + dz)
        street.solids.crown(centre, radii, colour * rng.uniform(0.8, 1.2))
    street.solids.shadow(x, z, 0, 0.9 * crown, 0.9 * crown, bare, bare + 1.6 * crown, 0.85, is_round=1)
    taken.append(area(x, z, 0, 2 * trunk, 2 * trunk, 0.1))


def _pole(rng, street, x, z, side, taken):
    """A lamp post with its arm over the road, a traffic sign or a bollard."""
    x, width = _beside(street, x, z), rng.uniform(0.04, 0.1)
    if abs(x) > 0.95 * z + 2 or not is_free(area(x, z, 0, 2 * width, 2 * width, 0.1), taken):
        return
    parts = street.solids.at(x, street.ground_y(z), z, street.style["heading"])
    colour = np.array((0.35, 0.36, 0.37)) * rng.uniform(0.4, 1.6)
    kind = rng.integers(3)
    height = (rng.uniform(5, 9), rng.uniform(2.2, 3.2), rng.uniform(0.8, 1.1))[kind]
    parts.block(colour, -width, width, -width, width, 0, height)
    if kind == 0:
        reach = sorted((0, -side * rng.uniform(0.8, 2.5)))
        parts.block(colour, *reach, -0.05, 0.05, height - 0.1, height)
    elif kind == 1:
        sign = np.array([(0.1, 0.2, 0.55), (0.75, 0.75, 0.75), (0.6, 0.1, 0.1), (0.75, 0.6, 0.1)][rng.integers(4)])
        parts.block(sign, -0.32, 0.32, -width - 0.03, -width - 0.01, height - 0.65, height)
    taken.append(area(x, z, 0, 2 * width, 2 * width, 0.1))
