"""The parts that cars, vans, trucks, pedestrians and cyclists are built of.

A builder takes `Parts`, a random generator and (height, width, length) in metres, and builds round its place: the front
points along +x, the ground is at height 0. Bare numbers are metres, or shares of the size they are multiplied by.
Labels stay right when they are changed: an object's dimensions are measured on what was built.
"""

import numpy as np

from .street_solids import PAINT, PLAIN, WALL, WALLS, palette, pick, span

CAR_SHAPES = ((0.01, 0.2, 0.1), (0.15, 0.25, 0.13), (0.0, 0.23, 0.05), (0.03, 0.18, 0.13), (0.12, 0.26, 0.15))
"""Hatchback, saloon, estate, small car, coupe: boot, bonnet and slant of the rear window, as shares of the length."""

CAR_COLOURS = palette(
    "17171a 0f0f12 333638 57595e 8c8f94 a3a6a8 d6d6d4 ccccc7"
    " 1a2138 2b3d5c 6b0f0f 8c1712 142b1f 665e4c 4c1a1a 1f1f21 b2b2b5 42474f"
)
CLOTHES = palette("14141a 1f212e 293357 38476b 4c4742 736654 a8a69e d1cfc7 801f1f 294c33 8c4c66 336b8c 59595e 9e8033")
SKIN = palette("c79478 b28061 9e7054 6b4733 472e21")
HAIR = palette("0f0d0a 291a0f 4c331a 806638 8c8a85")
TYRE, RUBBER, BLACK_GLASS = np.array(((0.035, 0.035, 0.04), (0.05, 0.05, 0.05), (0.05, 0.06, 0.07)))
LAMPS = ((1, (0.75, 0.76, 0.74)), (-1, (0.4, 0.03, 0.03)))
"""White ones in front, red ones behind."""


def car(parts, rng, size):
    """Body, cabin, glass, lights, plates and wheels."""
    height, width, length = size
    half, side, colour = length / 2, width / 2, pick(rng, CAR_COLOURS)
    clearance, sill, nose = 0.13 * height, 0.3 * height, height * rng.uniform(0.46, 0.52)
    belt = height * rng.uniform(0.57, 0.62)
    rear, hood, lean_rear = (length * share for share in CAR_SHAPES[rng.integers(len(CAR_SHAPES))])
    lean_front = length * rng.uniform(0.15, 0.2)
    glass = np.array((0.06, 0.07, 0.08)) * rng.uniform(0.6, 2.5)
    # The body in three layers that narrow at both ends, then the cabin, which leans in on all four sides.
    bottom, widest = span(-half + 0.06, half - 0.1, side - 0.06), span(-half, half, side - 0.02)
    bonnet, shoulder = span(-half + 0.04, half - 0.12, side - 0.03), span(-half + 0.1, half - hood - 0.02, side - 0.1)
    parts.box(colour * 0.6, bottom, widest, clearance, sill, PAINT)
    parts.box(colour, widest, bonnet, sill, nose, PAINT)
    parts.box(colour, bonnet, shoulder, nose, belt, PAINT)
    low = np.array(span(-half + rear + 0.06, half - hood, side - 0.1))
    high = low + np.array((lean_rear, -lean_front, 0.14, -0.14))
    parts.box(colour * 1.05, low, high, belt, height, PAINT)
    _windows(parts, rng, glass, low, high, belt, height)
    for sign, lamp in LAMPS:
        face = sorted((sign * (half - 0.3), sign * (half - (0.07 if sign > 0 else 0.02))))
        for across in (-1, 1):
            edges = sorted((across * (side - 0.09), across * (side - 0.09 - 0.2 * width)))
            parts.block(np.array(lamp), *face, *edges, 0.38 * height, 0.46 * height)
        plate = sorted((sign * (half - 0.3), sign * (half - 0.004)))
        parts.block(np.array((0.7, 0.7, 0.68)), *plate, -0.25, 0.25, 0.31 * height, 0.31 * height + 0.1)
        parts.block(np.array((0.05, 0.05, 0.05)), *plate, -0.3 * width, 0.3 * width, 0.2 * height, 0.27 * height)
    _wheels(parts, rng, half, side, 0.21 * height)


def _windows(parts, rng, glass, low, high, belt, height):
    """Two panes on each side, and one through the cabin for windscreen and rear window, a finger proud of it."""

    def pane(x_start, x_end, z_inset, x_out, z_out):
        levels = []
        for share in (0.1, 0.86):  # of the cabin's height
            x0, x1, _, z1 = (low + share * (high - low)).tolist()
            ends = x0 + x_start * (x1 - x0) - x_out, x0 + x_end * (x1 - x0) + x_out
            levels.append(span(*ends, z1 - z_inset + z_out))
        parts.box(glass, *levels, belt + 0.1 * (height - belt), belt + 0.86 * (height - belt), PAINT)

    middle = rng.uniform(0.42, 0.52)
    pane(0.07, middle, 0, 0, 0.012)
    pane(middle + 0.04, 0.94, 0, 0, 0.012)
    pane(0, 1, 0.09, 0.012, 0)


def _wheels(parts, rng, half, side, radius):
    rim = np.array((0.42, 0.43, 0.45)) * rng.uniform(0.3, 1.4)
    for along in (-0.6, 0.62):
        for across in (-1, 1):
            tyre = sorted((across * (side - 0.01), across * (side - 0.22)))
            hub = sorted((across * side, across * (side - 0.1)))
            parts.disc(TYRE, along * half, radius, radius, *tyre)
            parts.disc(rim, along * half, radius, 0.6 * radius, *hub)


def van(parts, rng, size):
    """A lower and an upper body of almost the whole length; half of the vans have windows all along."""
    height, width, length = size
    half, side, colour = length / 2, width / 2, pick(rng, CAR_COLOURS[3:10])
    belt = 0.5 * height
    glass = BLACK_GLASS * rng.uniform(0.6, 1.8)
    lower, upper = span(-half, half, side - 0.02), span(-half, half - 0.1, side - 0.03)
    parts.box(colour, lower, upper, 0.12 * height, belt, PAINT)
    lower = span(-half, half - 0.1 - 0.12 * length, side - 0.03)
    upper = span(-half + 0.05, half - 0.1 - 0.25 * length, side - 0.12)
    parts.box(colour, lower, upper, belt, height, PAINT)
    front = half - 0.1 - 0.14 * length
    windscreen = span(half - 0.6 * length, front + 0.06, side - 0.1)
    above = span(half - 0.6 * length, front - 0.08 * length, side - 0.16)
    parts.box(glass, windscreen, above, belt + 0.05, 0.85 * height, PAINT)
    back = half - (0.9 if rng.random() < 0.5 else 0.45) * length
    windows = (back, front - 0.1, -side + 0.02, side - 0.02)
    above = span(half - 0.42 * length, front - 0.12 * length, side - 0.09)
    parts.box(glass, windows, above, belt + 0.1, 0.85 * height, PAINT)
    parts.block(glass, -half - 0.01, -half + 0.3, -side + 0.2, side - 0.2, belt + 0.1, 0.8 * height)
    for sign, lamp in LAMPS:
        for across in (-1, 1):
            face = sorted((sign * (half - 0.3), sign * (half + 0.01)))
            edges = sorted((across * (side - 0.05), across * (side - 0.25)))
            parts.block(np.array(lamp), *face, *edges, 0.32 * height, 0.4 * height)
    _wheels(parts, rng, half, side, 0.17 * height)


def truck(parts, rng, size):
    """Cab, windscreen, side windows, load and chassis on six wheels. What is as large on every truck is in metres."""
    height, width, length = size
    half, side, colour = length / 2, width / 2, pick(rng, CAR_COLOURS[6:])
    cab, load = half - 1.9, pick(rng, WALLS)
    parts.block(colour, cab, half, -side + 0.05, side - 0.05, 0.4, min(height, 2.7), PAINT)
    parts.block(BLACK_GLASS, cab + 0.5, half + 0.01, -side + 0.15, side - 0.15, 1.5, 2.3, PAINT)
    parts.block(BLACK_GLASS, cab + 0.9, half - 0.2, -side, side, 1.5, 2.2, PAINT)
    parts.block(load, -half, cab - 0.15, -side, side, 0.95, height, WALL if rng.random() < 0.3 else PLAIN)
    parts.block(np.array((0.08, 0.08, 0.08)), -half + 0.1, cab, -side + 0.3, side - 0.3, 0.45, 0.95)
    for along in (-0.75, -0.5, 0.75):
        for across in (-1, 1):
            parts.disc(TYRE, along * half, 0.5, 0.5, *sorted((across * side, across * (side - 0.3))))


def _limb(parts, colour, low, high, thickness, across, across_high=None):
    """A slanted limb from (x, height) `low` to (x, height) `high`, at `across` below and `across_high` above."""
    half, above = thickness / 2, across if across_high is None else across_high
    foot = (low[0] - half, low[0] + half, across - half, across + half)
    head = (high[0] - half, high[0] + half, above - half, above + half)
    parts.box(colour, foot, head, low[1], high[1])


def _head(parts, rng, x, chin, top, skin):
    """A face that widens upwards, under hair that narrows, and hair down the back of the head."""
    r = 0.5 * (top - chin)
    hair = pick(rng, HAIR)
    cover = chin + (top - chin) * rng.uniform(0.5, 0.75)
    parts.box(skin, span(x - 0.5 * r, x + 0.7 * r, 0.5 * r), span(x - 0.75 * r, x + 0.8 * r, 0.7 * r), chin, cover)
    parts.box(hair, span(x - 0.85 * r, x + 0.8 * r, 0.75 * r), span(x - 0.5 * r, x + 0.4 * r, 0.45 * r), cover, top)
    parts.block(hair, x - 0.88 * r, x + 0.1 * r, -0.72 * r, 0.72 * r, cover - 0.3 * r, cover)


def pedestrian(parts, rng, size):
    """Legs in mid-stride, arms that swing against them, coat, head, and on some a rucksack."""
    height, width, length = size
    stride = max(0.02, length / 2 - 0.13) * rng.uniform(0.85, 1.15) if rng.random() < 0.9 else 0.02
    hip, shoulder, chin = 0.47 * height, 0.82 * height, 0.86 * height
    coat, trousers, skin = pick(rng, CLOTHES), pick(rng, CLOTHES[:7]), pick(rng, SKIN)
    body, reach = rng.uniform(0.15, 0.19), np.clip(width / 2 - 0.05, 0.22, 0.42)
    for across, way in ((-0.09, 1), (0.09, -1)):
        foot, left, right = way * stride, across - 0.05, across + 0.05
        sole, ankle = (foot - 0.09, foot + 0.17, left, right), (foot - 0.07, foot + 0.05, left, right)
        parts.box(np.array((0.06, 0.05, 0.05)), sole, ankle, 0, 0.09)
        knee = (foot * 0.45 + 0.05 * (1 - way) / 2 + 0.04, 0.26 * height)
        _limb(parts, trousers, (foot, 0.07), knee, 0.12, across)
        _limb(parts, trousers, knee, (0.0, hip), 0.16, across)
        hand = (-way * stride * 0.7, 0.46 * height)
        elbow = (-way * stride * 0.3 - 0.03, 0.62 * height)
        out, in_ = np.sign(across) * reach, np.sign(across) * (body + 0.03)
        _limb(parts, skin if rng.random() < 0.4 else coat, hand, elbow, 0.08, out * 0.95, out)
        _limb(parts, coat, elbow, (0.0, shoulder), 0.1, out, in_)
    hem = hip - (0.2 * height * rng.random() if rng.random() < 0.3 else 0.02)
    parts.box(coat, span(-0.12, 0.13, body - 0.01), (-0.11, 0.12, -body, body), hem, 0.74 * height)
    parts.box(coat, span(-0.11, 0.12, body + 0.03), span(-0.07, 0.08, body - 0.06), 0.74 * height, 0.84 * height)
    parts.block(skin * 0.85, -0.05, 0.06, -0.06, 0.06, 0.83 * height, 0.88 * height)
    _head(parts, rng, 0.02, chin, height, skin)
    if rng.random() < 0.3:
        parts.block(pick(rng, CLOTHES), -0.27, -0.1, -body + 0.04, body - 0.04, 0.55 * height, 0.8 * height)


def cyclist(parts, rng, size):
    """A bicycle and its rider, whose back is bent more or less and whose pedals are anywhere on their turn."""
    height, width, length = size
    radius = 0.34
    front, back = length / 2 - radius - 0.03, -length / 2 + radius + 0.03
    frame, coat, trousers, skin = pick(rng, CAR_COLOURS), pick(rng, CLOTHES), pick(rng, CLOTHES[:7]), pick(rng, SKIN)
    saddle, crank, stem = (back + 0.28, 0.52 * height), (back + 0.45, 0.29), (front - 0.16, 0.56 * height)
    grip = min(width / 2, 0.32)
    _bicycle(parts, frame, front, back, radius, saddle, crank, stem, grip)
    hip, lean = (saddle[0] + 0.02, saddle[1] + 0.05), rng.uniform(0.12, 0.38)
    shoulder = (hip[0] + lean, 0.83 * height)
    waist, chest = span(hip[0] - 0.12, hip[0] + 0.13, 0.16), span(shoulder[0] - 0.1, shoulder[0] + 0.09, 0.21)
    parts.box(coat, waist, chest, hip[1], shoulder[1])
    parts.block(skin, shoulder[0], shoulder[0] + 0.1, -0.05, 0.05, shoulder[1], 0.88 * height)
    _head(parts, rng, shoulder[0] + 0.06, 0.865 * height, height, skin)
    turn = rng.uniform(0, 2 * np.pi)
    for sign in (-1, 1):
        middle = 0.11 * sign  # of this leg, across
        pedal = (crank[0] + 0.15 * sign * np.cos(turn), crank[1] + 0.13 * sign * np.sin(turn))
        knee = (hip[0] + 0.36, 0.5 * (hip[1] + pedal[1]) + 0.08)
        _limb(parts, trousers, pedal, knee, 0.11, middle)
        below = (knee[0] - 0.08, knee[0] + 0.05, middle - 0.07, middle + 0.07)
        above = (hip[0] - 0.1, hip[0] + 0.12, middle - 0.08, middle + 0.08)
        parts.box(trousers, below, above, knee[1] - 0.06, hip[1] + 0.02)
        shoe = (pedal[0] - 0.08, pedal[0] + 0.16, middle - 0.05, middle + 0.05)
        parts.block(RUBBER, *shoe, pedal[1] - 0.06, pedal[1] + 0.02)
        hand, arm = (stem[0] - 0.03, stem[1]), (shoulder[0], shoulder[1] - 0.06)
        _limb(parts, coat, hand, arm, 0.1, (grip - 0.06) * sign)


def _bicycle(parts, colour, front, back, radius, saddle, crank, stem, grip):
    """Wheels, frame, saddle and handlebar; `saddle`, `crank` and `stem` are (x, height)."""
    _ring(parts, front, radius, RUBBER)
    _ring(parts, back, radius, RUBBER)
    _limb(parts, colour, (front, radius), stem, 0.05, 0)
    _limb(parts, colour, crank, (stem[0] + 0.04, stem[1] - 0.2), 0.05, 0)
    _limb(parts, colour, crank, saddle, 0.05, 0)
    _limb(parts, colour, (saddle[0], saddle[1] - 0.2), (stem[0], stem[1] - 0.15), 0.05, 0)
    parts.block(colour, back, crank[0], -0.02, 0.02, 0.27, 0.33)
    parts.block(RUBBER, saddle[0] - 0.12, saddle[0] + 0.14, -0.07, 0.07, saddle[1], saddle[1] + 0.06)
    parts.block(RUBBER, stem[0] - 0.05, stem[0], -grip, grip, stem[1] - 0.02, stem[1] + 0.02)


def _ring(parts, x, radius, colour):
    """A bicycle wheel: eight short pieces of tyre, as one can look through it."""
    angle = np.arange(9) * np.pi / 4 + np.pi / 8
    points = np.stack([x + radius * np.cos(angle), radius * (1 + np.sin(angle) / np.cos(np.pi / 8))], axis=-1)
    for first, second in zip(points[:-1], points[1:], strict=True):
        low, high = (first, second) if first[1] < second[1] else (second, first)
        t = 0.028
        if high[1] - low[1] < 0.02:  # a level piece has no height to slant over: a block
            x0, x1 = sorted((low[0], high[0]))
            y0 = min(low[1], 2 * radius - 0.05)
            parts.block(colour, x0, x1, -0.022, 0.022, max(0.0, y0), max(0.0, y0) + 0.05)
        else:
            parts.box(
                colour, span(low[0] - t, low[0] + t, 0.022), span(high[0] - t, high[0] + t, 0.022), low[1], high[1]
            )


BUILDERS = {"Car": car, "Van": van, "Truck": truck, "Pedestrian": pedestrian, "Cyclist": cyclist}
