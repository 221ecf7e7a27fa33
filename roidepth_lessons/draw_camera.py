"""Diagrams of the camera: similar triangles, rays and boxes, 3D boxes on a photo, and the layers of a frame.

As in `draw`, every function returns a matplotlib `Figure` with its ``alt_text``; `draw.show` displays it.

>>> similar_triangles(1.65, [10.0, 20.0], focal_length=4.0).alt_text.split(". ")[1]
'The point 10 m ahead is seen 0.66 below the middle of the image'
"""

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke

from .draw import (
    DEPTH_COLORS,
    DOTS_PER_INCH,
    EDGE,
    LINES,
    NEAREST_DEPTH,
    OTHER_STYLE,
    STYLES,
    UNKNOWN,
    _checked_image,
    _count,
    _outline,
)
from .world import EDGES

FARTHEST_DEPTH = 80.0
"""Metres at the dark end of the colours."""
GREY = "#666666"
NEAREST = 0.1
"""Metres: an edge of a 3D box is cut off where it comes nearer to the camera than this."""
KEY = 0.27
"""Inches below a photo for the names of groups."""


def similar_triangles(height, depths, focal_length):
    """Points on a flat road, seen from the side: each makes a large and a small triangle with the camera.

    Args:
        height: Metres from the road up to the camera.
        depths: How far ahead the points are, metres; at most six, farther than `focal_length`.
        focal_length: Where the image is drawn: metres ahead of the camera. A real one is a few millimetres.

    Returns:
        Figure.

    Raises:
        ValueError: if there are too many points, or one does not lie behind the image.
    """
    if not 1 <= len(depths) <= len(LINES) or min(depths) <= focal_length:
        raise ValueError(f"1 to {len(LINES)} depths beyond the focal length {focal_length} are needed, got {depths}")
    figure, axes = _new_figure(8.0, 2.6, (0.01, 0.02, 0.98, 0.96))
    end = 1.2 * max(depths)
    axes.plot([0, end], [0, 0], color=GREY, linewidth=1)
    axes.plot([0, end], [height, height], color="#999999", linewidth=4)
    axes.plot([focal_length] * 2, [-0.35 * height, 1.05 * height], color=EDGE, linewidth=2)
    words = []
    for depth, (color, line, marker) in sorted(zip(depths, LINES, strict=False)):
        seen = focal_length * height / depth
        axes.plot([0, depth], [0, height], color=color, linestyle=line, linewidth=2)
        axes.plot([depth, depth], [0, height], color=color, linewidth=1)
        axes.plot([focal_length] * 2, [0, seen], color=color, linewidth=4, zorder=2.5)
        axes.plot([focal_length, depth], [seen, height], color=color, linestyle="none", marker=marker, markersize=8)
        sides = f"Z = {depth:g} m\nY = {height:g} m"
        axes.text(depth + 0.15, 0.4 * height, sides, color=color, fontsize=11, va="center")
        words.append(f"The point {depth:g} m ahead is seen {seen:.2g} below the middle of the image.")
    axes.plot(0, 0, color=EDGE, marker=">", markersize=13)
    axes.text(0.1, -0.12 * height, "camera", fontsize=11, va="bottom")
    axes.text(focal_length, -0.38 * height, "image", fontsize=11, va="bottom", ha="center")
    axes.text(focal_length + 0.15, 0.1 * height, "seen height", fontsize=10, va="center")
    axes.text(end, -0.06 * height, "optical axis", fontsize=10, color=GREY, va="bottom", ha="right")
    axes.text(end, 0.95 * height, "road", fontsize=10, color=GREY, va="bottom", ha="right")
    axes.annotate("", (0, 1.16 * height), (focal_length, 1.16 * height), arrowprops={"arrowstyle": "<->"})
    axes.text(focal_length / 2, 1.2 * height, "f", fontsize=12, va="top", ha="center", style="italic")
    axes.set(xlim=(-0.4, end + 0.1), ylim=(1.45 * height, -0.6 * height))
    axes.axis("off")
    figure.alt_text = (
        f"Similar triangles: a camera {height:g} m above the road, seen from the side, and its image, drawn "
        f"{focal_length:g} m ahead of it. {' '.join(words)}"
    )
    return figure


def ray_and_box(low, high, rays):
    """Rays from the camera and a box, from above: where each ray goes in.

    Args:
        low, high: (3,) opposite corners of the box, x, y, z in metres.
        rays: Dict of name to ``(direction, depth)``: a direction (x, y, 1), and the depth where the ray meets the box
            or None. At most six.

    Returns:
        Figure.
    """
    figure, axes = _new_figure(8.0, 3.2, (0.08, 0.16, 0.9, 0.75))
    end = 1.7 * high[2]
    side = 1.35 * high[0]
    box = Polygon([(low[2], low[0]), (high[2], low[0]), (high[2], high[0]), (low[2], high[0])])
    box.set(facecolor="#DDDDDD", edgecolor=EDGE, linewidth=2)
    axes.add_patch(box)
    for depth in (low[2], high[2]):
        axes.axvline(depth, color=GREY, linewidth=0.8, linestyle=":")
    for x in (low[0], high[0]):
        axes.axhline(x, color=GREY, linewidth=0.8, linestyle=":")
    words = []
    for (name, (direction, depth)), (color, line, marker) in zip(rays.items(), LINES, strict=False):
        reach = min(end, side / max(abs(direction[0]), 1e-9))
        axes.plot([0, reach], [0, reach * direction[0]], color=color, linestyle=line, linewidth=2)
        if depth is not None:
            axes.plot(depth, depth * direction[0], color=color, marker=marker, markersize=10, markeredgecolor="white")
        end_of_ray = 0.97 * reach, 0.97 * reach * direction[0]
        axes.annotate(name, end_of_ray, (0, 4), textcoords="offset points", color=color, fontsize=11, ha="right")
        words.append(f"{name} {'misses it' if depth is None else f'meets it {depth:.2f} m ahead'}")
    axes.plot(0, 0, color=EDGE, marker=">", markersize=13, clip_on=False)
    axes.set(xlim=(-0.1, end), ylim=(side, -0.15), xlabel="z, metres ahead", ylabel="x, metres to the right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("from above: y is left out", fontsize=11, loc="left")
    figure.alt_text = (
        f"From above: a box {low[2]:g} to {high[2]:g} m ahead and {low[0]:g} to {high[0]:g} m to the right, and rays "
        f"from the camera: {', '.join(words)}."
    )
    return figure


def projected_box(corners, camera):
    """A 3D box on an empty image: its twelve edges, with the pixels at the rim.

    Args:
        corners: (8, 3) as `world.box_corners` orders them, metres.
        camera: A `Camera`.

    Returns:
        Figure.
    """
    figure, axes = _new_figure(4.6, 3.9, (0.14, 0.05, 0.83, 0.82))
    pixels = camera.project(corners)[0]
    color, line, marker = LINES[0]
    _draw_lines(axes, _seen_edges(corners, camera), color, line)
    axes.plot(*pixels.T, color=color, linestyle="none", marker=marker, markersize=6)
    axes.plot(*camera.center, color=EDGE, marker="+", markersize=14)
    axes.annotate("centre of the image", camera.center, (0, 8), textcoords="offset points", ha="center", va="bottom")
    axes.set(xlim=(-0.5, camera.width - 0.5), ylim=(camera.height - 0.5, -0.5), aspect="equal")
    axes.set(xlabel="u, column", ylabel="v, row")
    axes.xaxis.set(ticks_position="top", label_position="top")
    axes.grid(color="#E2E2E2", linewidth=0.7)
    axes.set_axisbelow(True)
    listed = ", ".join(f"({u:.4g}, {v:.4g})" for u, v in pixels)
    figure.alt_text = f"A wire box on an image of {camera.width} by {camera.height} pixels. Its corners: {listed}."
    return figure


def photo_in_3d(image, camera, objects, points=None, title=None, width=10.0):
    """A photo with 3D boxes and LiDAR points, all through the camera that is given.

    If boxes and cars do not meet, the camera is not the one that took the photo. What lies behind the camera is cut
    off.

    Args:
        image: (height, width, 3) uint8.
        camera: A `Camera`, right or wrong.
        objects: Things with ``name`` and ``corners``, (8, 3) metres: each class has a colour and a line of its own. Or
            a dict of a group's name to its boxes, (8, 3) corners each: then each group has, and a key says which. At
            most four groups.
        points: (n, 3) metres, coloured by depth; None for no points.
        title: Text above the photo.
        width: Inches. The height follows the photo, to a tenth of an inch.

    Returns:
        Figure.

    Raises:
        ValueError: if the image has another shape or type, there are too many groups, or a box is not (8, 3).
    """
    image = _checked_image(image)
    top, bottom = 0.3 if title else 0.0, KEY if isinstance(objects, dict) else 0.0
    height = round(width * image.shape[0] / image.shape[1], 1) + top + bottom
    figure, axes = _new_figure(width, height, (0, bottom / height, 1, 1 - (top + bottom) / height))
    _show_image(axes, image)
    if points is not None:
        _draw_points(axes, points, camera, size=1)
    words = _draw_boxes(axes, objects, camera)
    axes.set_title(title or "", fontsize=11, loc="left", x=0.005)
    figure.alt_text = (
        f"{title + '. ' if title else ''}Road photo of {image.shape[0]} rows and {image.shape[1]} columns with the "
        f"edges of {words}."
        + ("" if points is None else " LiDAR points lie over it, light where near and dark where far.")
    )
    return figure


def photos_in_3d(image, camera, panels, width=8.8):
    """One photo several times, one below the other, each time with other 3D boxes.

    Args:
        image: (height, width, 3) uint8.
        camera: A `Camera`.
        panels: Dict of a title to what :func:`photo_in_3d` takes for `objects`, all of one sort.
        width: Inches.

    Returns:
        Figure.

    Raises:
        ValueError: as :func:`photo_in_3d`, and if there is no panel.
    """
    image = _checked_image(image)
    if not panels:
        raise ValueError("panels must hold one or more titles with their boxes")
    top, bottom = 0.3, KEY if isinstance(next(iter(panels.values())), dict) else 0.0
    photo = round(width * image.shape[0] / image.shape[1], 1)
    height = len(panels) * (top + photo + bottom)
    size = [round(length * DOTS_PER_INCH) / DOTS_PER_INCH for length in (width, height)]
    figure, words = Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor="white"), []
    for place, (title, objects) in enumerate(panels.items()):
        low = bottom + (len(panels) - 1 - place) * (top + photo + bottom)
        axes = figure.add_axes((0, low / height, 1, photo / height))
        _show_image(axes, image)
        words.append(f"{title}: the edges of {_draw_boxes(axes, objects, camera)}.")
        axes.set_title(title, fontsize=11, loc="left", x=0.005)
    figure.alt_text = (
        f"A road photo of {image.shape[0]} rows and {image.shape[1]} columns, {len(panels)} times, one below the "
        f"other. {' '.join(words)}"
    )
    return figure


def layers(frame):
    """What is known about a frame, in four panels: photo and boxes, depth, instances, LiDAR.

    Args:
        frame: A `Frame` with depth, instances and points, as `streets.draw_street` returns it.

    Returns:
        Figure.

    Raises:
        ValueError: if the frame lacks a layer.
    """
    lacking = [name for name in ("depth", "instances", "points") if getattr(frame, name) is None]
    if lacking:
        raise ValueError(f"frame {frame.name} has no {', no '.join(lacking)}; a street of draw_street has all three")
    width, gap = 5.95, 0.275
    height = round(width * frame.size[0] / frame.size[1], 1)
    figure = Figure(figsize=(2 * width + 0.1, 2 * (height + gap)), dpi=DOTS_PER_INCH, facecolor="white")
    titles = (
        "boxes: blue car, orange person, yellow cyclist, white dotted others",
        "depth map: near is light, far is dark, grey is not known",
        "instances: a colour for each object",
        "LiDAR points, drawn larger than a pixel",
    )
    panels = [
        figure.add_axes((
            (i % 2) * (width + 0.1) / (2 * width + 0.1), (1 - i // 2) / 2,
            width / (2 * width + 0.1), height / (2 * (height + gap)),
        ))
        for i in range(4)
    ]  # fmt: skip
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=11, loc="left", x=0.005, pad=4)
    objects = [each for each in frame.objects if each.name != "DontCare"]
    _show_image(panels[0], frame.image)
    for each in objects:
        style = STYLES.get(each.name, OTHER_STYLE)
        _outline(panels[0], each.box, style["color"], style["line"], casing=EDGE)
    _show_image(panels[1], _colored_depth(frame.depth))
    # Flat colours: objects that touch would run together in the photo's own.
    colors = np.array([to_rgb(color) for color, _, _ in LINES])
    instances = np.where(frame.instances[..., None] > 0, colors[(frame.instances - 1) % len(LINES)], 1.0)
    _show_image(panels[2], np.rint(255 * instances).astype(np.uint8))
    _show_image(panels[3], np.full_like(frame.image, 255))
    _draw_points(panels[3], frame.points, frame.camera, size=1.5)
    share = 100 * np.mean(frame.depth > 0)
    figure.alt_text = (
        f"Four panels of one street. The image with {len(objects)} boxes: "
        f"{', '.join(f'{each.name} at {each.distance:.0f} m' for each in objects) or 'none'}. "
        f"The depth map, light where near, dark where far, grey where not known: {share:.0f} % of the pixels are "
        f"known. {int(frame.instances.max())} instances, each in one colour on white. "
        f"{len(frame.points)} LiDAR points on white, in lines, none in the sky."
    )
    return figure


def three_depths(each, points, depths):
    """One object from above, with lines at depths that may be meant by "its distance".

    Args:
        each: An object with ``corners``, (8, 3) metres.
        points: (n, 3) LiDAR points in camera coordinates, metres; those that do not lie near the object are left out.
        depths: Dict of name to metres; at most six.

    Returns:
        Figure.
    """
    footprint = np.asarray(each.corners)[:4, [0, 2]]
    middle = footprint.mean(axis=0)
    # Twelve metres wide and five deep, always, so that objects may be compared.
    (left, right), (near, far) = (middle[0] - 4.5, middle[0] + 7.5), (middle[1] - 2.8, middle[1] + 2.6)
    figure, axes = _new_figure(8.0, 3.9, (0.08, 0.13, 0.9, 0.83))
    axes.add_patch(Polygon(footprint, facecolor="#EEEEEE", edgecolor=EDGE, linewidth=2))
    x, y, z = np.asarray(points).T
    shown = (np.abs(x - middle[0]) < 3.2) & (z > near) & (z < far)
    # Neither the road below nor what hangs above.
    shown &= (y < each.corners[0, 1] - 0.15) & (y > each.corners[4, 1] - 0.3)
    axes.plot(x[shown], z[shown], linestyle="none", marker="o", markersize=2, color=LINES[4][0], zorder=3)
    axes.plot(*middle, marker="+", markersize=12, color=EDGE, zorder=4)
    axes.text(middle[0] + 3.7, far - 0.3, "dots: LiDAR,  +: centre", color=LINES[4][0], fontsize=10, va="center")
    ends = sorted(depths.items(), key=lambda pair: pair[1])
    lowest = near
    for (name, depth), (color, line, _) in zip(ends, LINES, strict=False):
        lowest = max(lowest + 0.42, depth)
        axes.plot([left, middle[0] + 3.2], [depth, depth], color=color, linestyle=line, linewidth=2)
        axes.plot([middle[0] + 3.2, middle[0] + 3.6], [depth, lowest], color=color, linewidth=1)
        axes.text(middle[0] + 3.7, lowest, f"{name} {depth:.1f} m", color=color, fontsize=12, va="center")
    axes.annotate("to the camera", (left + 1.1, near + 0.1), (left + 1.1, near + 1.3), ha="center", fontsize=10,
                  arrowprops={"arrowstyle": "->"})  # fmt: skip
    axes.set(xlim=(left, right), ylim=(near, far), aspect="equal")
    axes.set(xlabel="x, metres to the right", ylabel="z, metres ahead")
    axes.spines[["top", "right"]].set_visible(False)
    listed = ", ".join(f"{name} {depth:.1f} m" for name, depth in ends)
    figure.alt_text = (
        f"One {each.name} from above, its footprint and {int(shown.sum())} LiDAR points near it. Depths: {listed}."
    )
    return figure


def _new_figure(width, height, axes):
    """A figure of whole pixels with axes in it, (left, bottom, width, height) as parts of the figure."""
    size = [round(length * DOTS_PER_INCH) / DOTS_PER_INCH for length in (width, height)]
    figure = Figure(figsize=size, dpi=DOTS_PER_INCH, facecolor="white")
    return figure, figure.add_axes(axes)


def _show_image(axes, image):
    axes.imshow(image, aspect="auto", interpolation="bilinear")
    axes.axis("off")


def _draw_boxes(axes, objects, camera):
    """The edges of 3D boxes on a photo, as :func:`photo_in_3d` takes them; returns how many of what, in words."""
    if isinstance(objects, dict):
        return _draw_groups(axes, objects, camera)
    objects, listed = [each for each in objects if each.name != "DontCare"], []
    for each in objects:
        style, (pixels, _) = STYLES.get(each.name, OTHER_STYLE), camera.project(each.corners)
        _draw_lines(axes, _seen_edges(each.corners, camera), style["color"], style["line"], casing=EDGE)
        middle = np.nanmean(pixels, axis=0) if np.isfinite(pixels).any() else np.full(2, np.nan)
        place = f"around column {middle[0]:.0f}, row {middle[1]:.0f}" if np.isfinite(middle).all() else "not seen"
        listed.append(f"{each.name} at {each.corners[:, 2].mean():.0f} m {place}")
    return f"{len(objects)} 3D boxes: {'; '.join(listed) or 'none'}"


def _draw_groups(axes, groups, camera):
    styles = [*STYLES.values(), OTHER_STYLE]
    if len(groups) > len(styles):
        raise ValueError(f"boxes must come in at most {len(styles)} groups, so that they can be told apart")
    for (name, boxes), style, width in zip(groups.items(), styles, (3.6, 1.6, 1.6, 1.6), strict=False):
        for corners in boxes:  # the first group is wider: it shows beside one that lies right on it
            _draw_lines(axes, _seen_edges(corners, camera), style["color"], style["line"], casing=EDGE, width=width)
        look = {"color": style["color"], "linestyle": style["line"], "linewidth": width}
        (key,) = axes.plot([], [], label=name, scalex=False, scaley=False, **look)
        key.set_path_effects([withStroke(linewidth=width + 1.6, foreground=EDGE, alpha=0.75)])
    if groups:
        axes.legend(
            loc="upper left", bbox_to_anchor=(0, 0), ncols=len(styles), fontsize=9, handlelength=3, borderpad=0.2,
            borderaxespad=0.2, facecolor="#777777", labelcolor="white",
        )  # fmt: skip
    return "3D boxes, " + (
        "; ".join(f"{name}: {_count(len(boxes), 'box')}" for name, boxes in groups.items()) or "none"
    )


def _seen_edges(corners, camera):
    """The edges of a 3D box in pixels, (2, 2) each; what lies behind the camera is cut off."""
    corners = np.asarray(corners, np.float64)
    if corners.shape != (8, 3):
        raise ValueError(f"the corners of a box must be (8, 3), got {corners.shape}")
    for ends in (corners[list(edge)] for edge in EDGES):
        depth = ends[:, 2]
        if depth.max() <= NEAREST:
            continue
        if depth.min() < NEAREST:
            behind, before = np.argmin(depth), np.argmax(depth)
            share = (NEAREST - depth[behind]) / (depth[before] - depth[behind])
            ends[behind] += share * (ends[before] - ends[behind])
        yield camera.project(ends)[0]


def _draw_lines(axes, lines, color, line, casing=None, width=2.0):
    for ends in lines:
        (drawn,) = axes.plot(*ends.T, color=color, linestyle=line, linewidth=width, scalex=False, scaley=False)
        if casing:
            drawn.set_path_effects([withStroke(linewidth=width + 1.6, foreground=casing, alpha=0.75)])


def _depth_norm():
    return LogNorm(NEAREST_DEPTH, FARTHEST_DEPTH, clip=True)


def _colored_depth(depth):
    """A depth map as a picture: (height, width, 3) uint8, grey where it is not known."""
    known = depth > 0
    colored = matplotlib.colormaps[DEPTH_COLORS](_depth_norm()(np.where(known, depth, 1.0)))[..., :3]
    colored[~known] = [int(UNKNOWN[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.rint(255 * colored).astype(np.uint8)


def _draw_points(axes, points, camera, size):
    """Points in the colours of their depth, far ones first."""
    pixels, depth = camera.project(points)
    order = np.argsort(-depth)
    axes.scatter(
        *pixels[order].T, c=depth[order], s=size, linewidths=0, cmap=DEPTH_COLORS, norm=_depth_norm(), marker="s"
    )
    axes.set(xlim=(-0.5, camera.width - 0.5), ylim=(camera.height - 0.5, -0.5))
