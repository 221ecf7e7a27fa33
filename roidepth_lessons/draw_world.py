"""Diagrams of the world: 3D boxes on a photo, and a street from above as several sensors see it."""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Circle, Polygon
from matplotlib.patheffects import withStroke

from . import draw
from .world import EDGES, covariance_from_above, ellipse

NEAREST = 0.1
"""Metres: an edge of a 3D box is cut off where it comes nearer to the camera than this."""


def wireframes(image, camera, boxes, title=None):
    """3D boxes on a photo, each group in a colour and a line of its own.

    Args:
        image: (height, width, 3) uint8.
        camera: The camera that took it: anything with ``project``.
        boxes: Dict of a group's name to its boxes, each (8, 3) corners in metres as `world.box_corners` gives them. At
            most four groups.
        title: Text above the photo.

    Returns:
        Figure.

    Raises:
        ValueError: if the image has another shape or type, there are too many groups, or a box is not (8, 3).
    """
    image = draw._checked_image(image)
    styles = [*draw.STYLES.values(), draw.OTHER_STYLE]
    if len(boxes) > len(styles):
        raise ValueError(f"boxes must come in at most {len(styles)} groups, so that they can be told apart")
    width, height = draw._fitting_size(image.shape)
    figure = draw._new_figure(width, height + 0.55)
    axes = draw._add_axes(figure, 0, 0.27, width, height)
    axes.imshow(image, aspect="auto", interpolation="bilinear")
    axes.axis("off")
    for (name, group), style in zip(boxes.items(), styles, strict=False):
        lines = LineCollection(
            [line for corners in group for line in _seen_edges(corners, camera)],
            colors=style["color"], linestyles=[style["line"]], linewidths=1.8, label=name,
        )  # fmt: skip
        lines.set_path_effects([withStroke(linewidth=3.2, foreground=draw.EDGE)])
        axes.add_collection(lines, autolim=False)
    axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    legend = figure.legend(
        *axes.get_legend_handles_labels(), loc="lower left", ncols=len(styles), fontsize=9, handlelength=3,
        borderpad=0.2, facecolor="#777777", labelcolor="white",
    )  # fmt: skip
    legend.set_in_layout(False)
    if title:
        axes.set_title(title, fontsize=11, loc="left", x=0.005)
    groups = "; ".join(f"{name}: {draw._count(len(group), 'box')}" for name, group in boxes.items())
    figure.alt_text = f"{draw._sentence(title)}Road photo with 3D boxes drawn as wires. {groups}."
    return figure


def from_above(marks, outlines=(), truth=(), ahead=(0, 50), title=None):
    """A part of a street from above: marks of several sensors, outlines of what is uncertain, labelled footprints.

    Args:
        marks: Dict of a sensor's name to (n, 2) places (x, z) in metres. At most six sensors.
        outlines: Dict of a sensor's name, one of those of `marks`, to outlines, each (k, 2) metres.
        truth: Labels with ``corners`` (8, 3) in metres: their footprints are outlined.
        ahead: (nearest, farthest) z that is shown, metres. As many metres are shown to the sides.
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
    figure = draw._new_figure(6.4, 6.0)
    axes = draw._add_axes(figure, 0.6, 0.5, 5.6, 5.2)
    reach = ahead[1] - ahead[0]
    axes.set(xlim=np.array([-0.5, 0.5]) * reach * 5.6 / 5.2, ylim=ahead, facecolor="#F7F7F7")
    for radius in range(10, 10 * int(ahead[1] // 5), 10):
        axes.add_patch(Circle((0, 0), radius, fill=False, edgecolor="#CCCCCC", linewidth=0.8, zorder=1))
    shown = [each for each in truth if ahead[0] <= each.distance <= ahead[1]]
    for each in shown:
        footprint = np.asarray(each.corners)[:4, [0, 2]]
        axes.add_patch(Polygon(footprint, fill=False, edgecolor="#888888", linewidth=1.2, zorder=2))
    if shown:
        axes.plot([], [], color="#888888", linewidth=1.2, label="labelled")
    for (name, points), (color, line, marker) in zip(places.items(), draw.LINES, strict=False):
        look = {"marker": marker, "markersize": 5, "color": color, "markeredgecolor": "white"}
        axes.plot(points[:, 0], points[:, 1], linestyle="none", zorder=4, label=name, clip_on=True, **look)
        for outline in outlines.get(name, ()):
            axes.plot(*np.asarray(outline).T, color=color, linestyle=line, linewidth=1.4, zorder=3)
    axes.set_xlabel("metres to the right", fontsize=9)
    axes.set_ylabel("metres ahead", fontsize=9)
    axes.legend(loc="lower right", fontsize=8.5, framealpha=0.9)
    axes.set_title(title or "", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.alt_text = (
        f"{draw._sentence(title)}The street from above, {ahead[0]:g} to {ahead[1]:g} m ahead. "
        f"{_marks_in_words(places, outlines, ahead)} The footprints of {draw._count(len(shown), 'label')} are outlined."
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


def _seen_edges(corners, camera):
    """The edges of a 3D box in pixels, (2, 2) each; what lies behind the camera is cut off."""
    corners = np.asarray(corners, np.float64)
    if corners.shape != (8, 3):
        raise ValueError(f"the corners of a box must be (8, 3), got {corners.shape}")
    for start, end in (corners[list(edge)] for edge in EDGES):
        if start[2] > end[2]:
            start, end = end, start
        if end[2] <= NEAREST:
            continue
        if start[2] < NEAREST:
            start = start + (end - start) * (NEAREST - start[2]) / (end[2] - start[2])
        yield camera.project(np.stack([start, end]))[0]


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
