"""Diagrams of the world: a street from above as several sensors see it."""

import numpy as np
from matplotlib.patches import Circle, Polygon

from . import draw
from .world import covariance_from_above, covariance_of_echo, ellipse

LABELLED = {"color": "#666666", "marker": "+", "markersize": 9, "markeredgewidth": 1.6}
"""How labelled footprints and centres look."""


def from_above(marks, outlines=(), truth=(), ahead=(0, 50), title=None):
    """A part of a street from above: marks of several sensors, outlines of what is uncertain, labelled footprints.

    Args:
        marks: Dict of a sensor's name to (n, 2) places (x, z) in metres. At most six sensors.
        outlines: Dict of a sensor's name, one of those of `marks`, to outlines, each (k, 2) metres.
        truth: Labels with ``corners`` (8, 3) in metres: their footprints are outlined, their centres marked.
        ahead: (nearest, farthest) z that is shown, metres. As many metres are shown to the sides. From 0 on, the
            camera is drawn too.
        title: Text above.

    Returns:
        Figure.

    Raises:
        ValueError: if there is no sensor or too many, a place is not (x, z), or outlines belong to no sensor.
    """
    places = {name: np.reshape(np.asarray(each, np.float64), (-1, 2)) for name, each in marks.items()}
    outlines = dict(outlines)
    if not 1 <= len(places) <= len(draw.LINES):
        raise ValueError(f"marks must be of 1 to {len(draw.LINES)} sensors, so that they can be told apart")
    if set(outlines) - set(places):
        raise ValueError(f"outlines of {sorted(set(outlines) - set(places))}, which have no marks")
    figure = draw._new_figure(6.4, 6.3)
    axes = draw._add_axes(figure, 0.6, 0.8, 5.6, 5.2)
    reach = ahead[1] - ahead[0]
    axes.set(xlim=np.array([-0.5, 0.5]) * reach * 5.6 / 5.2, ylim=ahead, facecolor="#F7F7F7")
    for radius in range(10, 10 * int(ahead[1] // 5), 10):
        axes.add_patch(Circle((0, 0), radius, fill=False, edgecolor="#CCCCCC", linewidth=0.8, zorder=1))
    shown = [each for each in truth if ahead[0] <= each.distance <= ahead[1]]
    for each in shown:
        footprint = np.asarray(each.corners)[:4, [0, 2]]
        axes.add_patch(Polygon(footprint, fill=False, edgecolor=LABELLED["color"], linewidth=1.2, zorder=2))
        axes.plot(*footprint.mean(axis=0), zorder=3.5, **LABELLED)
    if shown:
        axes.plot([], [], linewidth=1.2, label="labelled, and its centre", **LABELLED)
    for (name, points), (color, line, marker) in zip(places.items(), draw.LINES, strict=False):
        look = {"marker": marker, "markersize": 3, "color": color}
        axes.plot(points[:, 0], points[:, 1], linestyle="none", zorder=4, label=name, clip_on=True, **look)
        for outline in outlines.get(name, ()):
            axes.plot(*np.asarray(outline).T, color=color, linestyle=line, linewidth=1.4, zorder=3)
    if ahead[0] == 0:
        axes.plot(0, 0, marker="^", markersize=11, color=LABELLED["color"], zorder=5, clip_on=False)
        axes.annotate("here the camera stands", (0, 0), (9, 5), textcoords="offset points", fontsize=8.5)
    axes.set_xlabel("metres to the right", fontsize=9)
    axes.set_ylabel("metres ahead", fontsize=9)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=4, fontsize=8.5, frameon=False)
    axes.set_title(title or "", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.alt_text = (
        f"{draw._sentence(title)}The street from above, {ahead[0]:g} to {ahead[1]:g} m ahead. "
        f"{_marks_in_words(places, outlines, ahead)} "
        f"The footprints of {draw._count(len(shown), 'label')} are outlined, the centres marked."
    )
    return figure


def camera_outlines(objects, camera, factor=1.0, pixel_spread=2.0):
    """What :func:`from_above` wants of the objects that a camera found.

    Args:
        objects: Things with ``position_m`` and ``distance_spread_m``.
        camera: The camera.
        factor: For the spreads.
        pixel_spread: How uncertain the middle of a box is, pixels.

    Returns:
        ``(places, outlines)``: (n, 2) x and z in metres, and for each the outline at two standard deviations.
    """
    positions = np.reshape([each.position_m for each in objects], (-1, 3))
    spreads = factor * np.array([each.distance_spread_m for each in objects])
    covariances = covariance_from_above(positions, spreads, pixel_spread, camera.focal_length[0])
    places = positions[:, [0, 2]]
    return places, [ellipse(*each, deviations=2) for each in zip(places, covariances, strict=True)]


def echo_outlines(echoes, radar):
    """What :func:`from_above` wants of a radar's echoes.

    Args:
        echoes: (n, 2) range in metres and azimuth in radians.
        radar: Anything with ``range_spread`` and ``azimuth_spread``, as a `world.Radar` has them.

    Returns:
        ``(places, outlines)``, as of :func:`camera_outlines`.
    """
    distance, azimuth = np.reshape(np.asarray(echoes, np.float64), (-1, 2)).T
    covariances = covariance_of_echo(distance, azimuth, radar.range_spread, radar.azimuth_spread)
    places = np.stack([distance * np.sin(azimuth), distance * np.cos(azimuth)], axis=1)
    return places, [ellipse(*each, deviations=2) for each in zip(places, covariances, strict=True)]


def _marks_in_words(places, outlines, ahead):
    """How many marks of each sensor are shown, and how large the first outline of each is."""
    words = []
    for name, points in places.items():
        count = int(((points[:, 1] >= ahead[0]) & (points[:, 1] <= ahead[1])).sum())
        text = f"{name}: {draw._count(count, 'mark')}"
        if len(outlines.get(name, ())):
            size = np.ptp(np.asarray(outlines[name][0]), axis=0)
            text += f" with outlines, the first {size[0]:.1f} m across and {size[1]:.1f} m ahead"
        words.append(f"{text}.")
    return " ".join(words)
