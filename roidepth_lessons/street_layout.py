"""What stands where in a street, and in what light: a function of the seed alone, whatever the size of the image.

Number, distance, lateral position, direction and size of what is labelled follow the statistics of KITTI's labels.
"""

import bisect
import functools
import math
from dataclasses import dataclass

import numpy as np

from .frames import RoadObject
from .label_statistics import DISTANCE_EDGES, LEVELS, SIDE_EDGES, YAW_BINS, kitti_statistics
from .street_scenery import add_scenery
from .street_shapes import BUILDERS
from .street_solids import Solids, area, is_free

OVERSAMPLING = {"Car": 1.0, "Pedestrian": 2.0, "Cyclist": 4.0, "Van": 1.0, "Truck": 1.0}
"""How many times more often than in KITTI a class appears: people and cyclists are rare there."""


PLAIN_LOOK = {
    "sun": np.array((-0.5, -0.71, -0.5)), "sun_strength": 0.9, "ambient": 0.45,
    "cloud": 0.3, "dusk": False, "haze": 600.0,
    "sky_top": np.array((0.28, 0.48, 0.8)), "sky_low": np.array((0.85, 0.9, 0.95)),
    "walk_colour": np.array((0.42, 0.41, 0.4)), "grass": np.array((0.21, 0.25, 0.11)),
    "asphalt": np.array((0.34, 0.34, 0.345)),
    "exposure": 0.44, "contrast": 1.0, "balance": np.ones(3), "noise": 1.0, "blur": 0.05,
}  # fmt: skip
"""One light, one weather and one camera, in the middle of what `_style` draws: for streets that all look alike."""
LOOKS = ("varied", "plain")


@dataclass
class Street:
    """A street before it is drawn: what stands where, in camera coordinates (metres), and the light.

    Args:
        projection: (3, 4) for an image of 375x1242.
        ground: (height, slope): the ground is y = height + slope * z.
        objects: `RoadObject` without boxes: what can be labelled.
        solids: The `Solids` of objects and scenery.
        style: Numbers for shading: road, light, weather, sensor.
    """

    projection: np.ndarray
    ground: tuple
    objects: list
    solids: Solids
    style: dict

    def ground_y(self, z):
        """Height of the ground (y, metres) at depth z."""
        return self.ground[0] + self.ground[1] * z


def lay_out(seed, looks="varied"):
    """The street of a seed, before it is drawn: independent of any image size.

    Args:
        seed: An int or a sequence of ints.
        looks: "varied": light, weather, road surface and camera are drawn at random too; "plain": they are always
            `PLAIN_LOOK`. What stands where is the same.

    Returns:
        The `Street`.

    Raises:
        ValueError: if `looks` is neither.
    """
    if looks not in LOOKS:
        raise ValueError(f"looks must be one of {', '.join(LOOKS)}, got {looks!r}")
    rng = np.random.default_rng(seed)
    focal = 721.5 * rng.uniform(0.98, 1.005)
    center = np.array((609.6, 172.9)) + rng.normal(0, (4, 3))
    projection = np.array([[focal, 0, center[0], 0], [0, focal, center[1], 0], [0, 0, 1.0, 0]])
    ground = (float(np.clip(rng.normal(1.667, 0.05), 1.5, 1.85)), float(np.clip(rng.normal(0.001, 0.007), -0.02, 0.02)))
    street = Street(projection, ground, [], Solids(), _style(rng))
    rows = [side * rng.uniform(2.5, 5) if rng.random() < 0.75 else None for side in (-1, 1)]
    taken = _place_objects(rng, street, rows, street.style["heading"])
    add_scenery(rng, street, taken)
    if looks == "plain":
        street.style |= PLAIN_LOOK
    return street


def _style(rng):
    """Numbers for the road, the light and the camera. The order of the keys is the order of the draws."""
    sun_height, sun_way = np.deg2rad(rng.uniform(18, 65)), rng.uniform(0, 2 * np.pi)
    level = np.cos(sun_height)
    sun = np.array([level * np.cos(sun_way), -np.sin(sun_height), level * np.sin(sun_way)])
    dusk, overcast = rng.random() < 0.07, rng.random() < 0.3
    crossing = rng.uniform(12, 50) if rng.random() < 0.35 else None
    return {
        # The road: its bend, and lateral positions and depths in metres.
        "heading": rng.normal(0, 0.03),
        "curvature": rng.normal(0, 0.0012),
        "edges": (-rng.uniform(4.5, 9.5), rng.uniform(2.6, 6.0)),
        "middle": -rng.uniform(1.4, 2.2),
        "marked": rng.random() < 0.6,
        "dash": rng.uniform(4, 12),
        "edge_line": rng.random() < 0.35,
        "crossing": (crossing, crossing + rng.uniform(6, 10)) if crossing else None,
        # Beside the road: pavement, with slabs for two kinds of three, and grass, pavement or asphalt beyond.
        "walk": rng.uniform(1.5, 3.5),
        "walk_colour": np.array((0.42, 0.41, 0.4)) * rng.uniform(0.6, 1.3),
        "walk_kind": rng.integers(3),
        "verge": (0, 0, 1, 2)[rng.integers(4)],
        "grass": np.array((0.21, 0.25, 0.11)) * rng.uniform(0.6, 1.4),
        "asphalt": np.array((0.34, 0.34, 0.345)) * rng.uniform(0.65, 1.3),
        # Light and weather: the direction towards the sun, strengths, colours; haze in metres.
        "sun": sun,
        "sun_strength": rng.uniform(0.02, 0.15) if overcast or dusk else rng.uniform(0.6, 1.2),
        "ambient": rng.uniform(*((0.3, 0.45) if dusk else (0.6, 0.95) if overcast else (0.3, 0.55))),
        "sky_top": np.array((0.75, 0.78, 0.82) if overcast else (0.28, 0.48, 0.8)) * rng.uniform(0.8, 1.15),
        "sky_low": np.array((0.85, 0.9, 0.95)) * (0.6 if dusk else 1.0),
        "cloud": rng.uniform(0, 1.0),
        "dusk": dusk,
        "haze": rng.uniform(150, 1200),
        # The camera: mean brightness, contrast, white balance, noise in grey levels, weight of neighbours in the blur.
        "exposure": rng.uniform(0.36, 0.52) * (0.7 if dusk else 1.0),
        "contrast": rng.uniform(0.85, 1.2),
        "balance": 1 + rng.normal(0, 0.025, 3),
        "noise": rng.uniform(0.5, 2.2),
        "blur": rng.uniform(0.0, 0.12),
        "backdrop": 1 - 0.8 * rng.random() ** 2,  # share of the horizon that woods hide
        "salt": int(rng.integers(1 << 30)),  # for noise
    }


def _place_objects(rng, street, rows, heading):
    """Add labelled objects, disjoint on the ground, to the street; return the areas that are taken.

    Large ones come first, as they find no room later; an object that finds none in 12 tries is left out.
    """
    taken = [area(0, 0, np.pi / 2, 5.0, 2.2)]  # the car that carries the camera
    for name in ("Truck", "Van", "Car", "Cyclist", "Pedestrian"):
        for _ in range(_count(rng, name)):
            for _ in range(12):
                size, x, z, yaw = _sample_object(rng, name, heading)
                if name in ("Car", "Van") and abs(np.sin(yaw)) > 0.9:
                    x, z = _join_row(rng, street, rows[int(x > 0)], x, z, size[2])
                wanted = area(x, z, yaw, size[2], size[1], 0.2)
                if z > 1.5 and is_free(wanted, taken):
                    taken.append(wanted)
                    _add_object(rng, street, name, size, x, z, yaw)
                    break
    return taken


def _count(rng, name):
    """How many objects of a class: as in a real frame, more often non-empty by the oversampling."""
    return _choose(rng, _distributions(name)["count"])


def _sample_object(rng, name, heading):
    """(dimensions, x, z, yaw) of one object, as the real labels have them."""
    facts = _distributions(name)
    z = float(np.interp(rng.random(), LEVELS, facts["z"]))
    x = float(np.interp(rng.random(), LEVELS, facts["x"][bisect.bisect(DISTANCE_EDGES[1:-1], z)]))
    chance = facts["yaw"][bisect.bisect(SIDE_EDGES[1:-1], x)]
    yaw = (_choose(rng, chance) + rng.random()) * 2 * np.pi / YAW_BINS - np.pi
    along = math.copysign(np.pi / 2, yaw)
    if name != "Pedestrian" and abs(yaw - along) < 0.3:  # traffic follows the road
        yaw = along + heading + rng.normal(0, 0.02 if name == "Car" else 0.06)
    deviation = np.minimum(np.maximum(rng.standard_normal(3), -2.2), 2.2)
    return np.maximum(deviation @ facts["spread"] + facts["dimensions"], (1.0, 0.4, 0.4)), x, z, yaw


@functools.cache
def _distributions(name):
    """What `kitti_statistics` says of a class, ready to draw from: z, x and dimensions, cumulated yaw and counts."""
    facts = kitti_statistics()["classes"][name]
    share = np.array(facts["per_frame"])
    share[1:] *= OVERSAMPLING[name]
    share[0] = max(0.0, 1 - share[1:].sum())
    return {
        "count": _cumulated(share),
        "z": np.array(facts["z"]),
        "x": np.array(facts["x"]),
        "yaw": [_cumulated(np.array(each)) for each in facts["yaw"]],
        "dimensions": np.array(facts["dimensions_mean"]),
        "spread": np.linalg.cholesky(facts["dimensions_covariance"]).T,
    }


def _cumulated(share):
    total = np.cumsum(share / share.sum())
    return total / total[-1]


def _choose(rng, cumulated):
    """A bin, by its share; as ``rng.choice(bins, p=...)``, without the checks that cost more than the draw."""
    return int(cumulated.searchsorted(rng.random(), side="right"))


def _join_row(rng, street, row, x, z, length):
    """Move a car to a row of parked or queueing cars at lateral position `row`, often right behind one of them."""
    if row is None or rng.random() > 0.75:
        return x, z
    heading = street.style["heading"]
    others = [each for each in street.objects if abs(each.location[0] - row - heading * each.location[2]) < 0.6]
    if others and rng.random() < 0.6:
        other = others[rng.integers(len(others))]
        gap = (length + other.dimensions[2]) / 2 + rng.uniform(0.6, 2.0)
        z = other.location[2] + (gap if rng.random() < 0.5 else -gap)
    return row + heading * z + rng.normal(0, 0.12), z


def _add_object(rng, street, name, size, x, z, yaw):
    """Build the parts of an object; its dimensions are the tight box of those parts."""
    solids, owner = street.solids, len(street.objects)
    first_box, first_disc = len(solids.boxes), len(solids.discs)
    BUILDERS[name](solids.at(x, street.ground_y(z), z, yaw, owner), rng, size.tolist())
    boxes, discs = np.array(solids.boxes[first_box:]), np.array(solids.discs[first_disc:]).reshape(-1, 5)
    along = np.concatenate([boxes[:, [0, 1, 4, 5]].ravel(), discs[:, 0] - discs[:, 2], discs[:, 0] + discs[:, 2]])
    across = np.concatenate([boxes[:, [2, 3, 6, 7]].ravel(), discs[:, 3:].ravel()])
    # Move the parts so that their tight box stands on the ground, with its centre at the object's place.
    middle_x, middle_z = (along.min() + along.max()) / 2, (across.min() + across.max()) / 2
    lift = min([boxes[:, 8].min(), *(discs[:, 1] - discs[:, 2]).tolist()])
    boxes[:, [0, 1, 4, 5]] -= middle_x
    boxes[:, [2, 3, 6, 7]] -= middle_z
    boxes[:, 8:] -= lift
    discs -= (middle_x, lift, 0, middle_z, middle_z)
    solids.boxes[first_box:], solids.discs[first_disc:] = boxes.tolist(), discs.tolist()
    dimensions = (float(boxes[:, 9].max()), float(np.ptp(across)), float(np.ptp(along)))
    location = (float(x), float(street.ground_y(z)), float(z))
    yaw = float((yaw + np.pi) % (2 * np.pi) - np.pi)
    street.objects.append(RoadObject(name, (0, 0, 0, 0), dimensions=dimensions, location=location, yaw=yaw))
    solids.shadow(x, z, yaw, dimensions[2] / 2, dimensions[1] / 2, 0, dimensions[0], 1.0, owner)
