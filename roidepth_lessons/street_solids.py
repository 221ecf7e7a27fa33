"""What a street is built of: convex solids and tree crowns, their colours, their shadows and the ground they take."""

import math
from dataclasses import dataclass, field

import numpy as np

PLAIN, FACADE, FOLIAGE, WALL, PAINT = range(5)
"""Materials."""

NOBODY = -1
"""The owner of what belongs to no labelled object."""


@dataclass
class Solids:
    """Convex solids, tree crowns and shadows, collected in plain lists.

    A solid stands in the coordinates of its place: x forward, height up, z across, all in metres.
    """

    places: list = field(default_factory=list)  # (x, y, z, yaw) in camera coordinates
    boxes: list = field(default_factory=list)  # rows of 10: bottom x0 x1 z0 z1, top x0 x1 z0 z1, low, high
    discs: list = field(default_factory=list)  # rows of 5: centre x, centre height, radius, z0, z1
    crowns: list = field(default_factory=list)  # rows of 6: centre (camera coordinates), radii
    box_facts: list = field(default_factory=list)  # (place, owner, material, colour)
    disc_facts: list = field(default_factory=list)
    crown_facts: list = field(default_factory=list)
    shadows: list = field(default_factory=list)  # rows of 10: see `shadow`

    def at(self, x, y, z, yaw=0.0, owner=NOBODY):
        """A new place, as `Parts` that build there. `owner` is the index of a labelled object, or NOBODY."""
        self.places.append((x, y, z, yaw))
        return Parts(self, len(self.places) - 1, owner)

    def crown(self, centre, radii, colour):
        """The round crown of a tree, in camera coordinates: it has no place, no direction and no owner."""
        self.crowns.append((*centre, *radii))
        self.crown_facts.append((-1, NOBODY, FOLIAGE, colour))

    def shadow(self, x, z, yaw, half_length, half_width, low, high, strength, owner=NOBODY, is_round=0):
        """What casts a shadow: a rectangle (or a circle) on the ground, carried from height `low` to `high`."""
        self.shadows.append((x, z, yaw, half_length, half_width, low, high, strength, owner, is_round))


@dataclass
class Parts:
    """Builds the parts of one thing: x forward, height up, z across from its place, in metres."""

    solids: Solids
    place: int
    owner: int

    def box(self, colour, bottom, top, low, high, material=PLAIN):
        """Between a rectangle x0, x1, z0, z1 at height `low` and another at height `high`."""
        self.solids.boxes.append((*bottom, *top, low, high))
        self.solids.box_facts.append((self.place, self.owner, material, colour))

    def block(self, colour, x0, x1, z0, z1, low, high, material=PLAIN):
        """A box with upright sides."""
        self.box(colour, (x0, x1, z0, z1), (x0, x1, z0, z1), low, high, material)

    def disc(self, colour, x, height, radius, z0, z1):
        """A wheel round (x, height), from z0 to z1."""
        self.solids.discs.append((x, height, radius, z0, z1))
        self.solids.disc_facts.append((self.place, self.owner, PLAIN, colour))


def span(start, end, half_width):
    """A rectangle from x = start to x = end, as wide on both sides: x0, x1, z0, z1."""
    return start, end, -half_width, half_width


def palette(text):
    """Colours "rrggbb rrggbb ..." to (n, 3), between 0 and 1."""
    return np.array([tuple(bytes.fromhex(each)) for each in text.split()]) / 255


WALLS = palette("c7bfad d9d4c9 b29e80 9e8066 805442 bfa66b 999999 757a80 a87a5c b8b8a3")
"""Colours of houses, garden walls and loads."""


def pick(rng, colours):
    """One of the colours, a little lighter or darker and of another hue."""
    colour = colours[rng.integers(len(colours))] * rng.uniform(0.8, 1.15) + rng.normal(0, 0.02, 3)
    return np.minimum(np.maximum(colour, 0.02), 0.95)


def area(x, z, yaw, length, width, margin=0.0):
    """A rectangle on the ground: (x, z, radius, its four corners (x, z), the directions (x, z) of its two axes)."""
    a, b = length / 2 + margin, width / 2 + margin
    cosine, sine = math.cos(yaw), math.sin(yaw)
    corners = [(x + p * cosine + q * sine, z - p * sine + q * cosine) for p, q in ((a, b), (a, -b), (-a, -b), (-a, b))]
    return x, z, math.hypot(a, b), corners, ((cosine, -sine), (sine, cosine))


def is_free(wanted, taken):
    """Does an area overlap none of those taken? Circles first; where they meet, the rectangles decide."""
    x, z, radius, *_ = wanted
    near = (other for other in taken if math.hypot(x - other[0], z - other[1]) < radius + other[2])
    return not any(_overlap(wanted, other) for other in near)


def _overlap(first, second):
    """Do two rectangles overlap? They don't if an axis of one of them separates their corners."""
    for x, z in (*first[4], *second[4]):
        p = [x * corner[0] + z * corner[1] for corner in first[3]]
        q = [x * corner[0] + z * corner[1] for corner in second[3]]
        if min(p) > max(q) or min(q) > max(p):
            return False
    return True
