"""Every figure of the course, each with its alt text. Boxes in pixels, distances in metres.

A function here returns a matplotlib `Figure` whose attribute ``alt_text`` says in words what it shows; :func:`show`
displays it in a notebook and :func:`save` writes it to a file, both with that text. Anything that has a ``name``, a
``box`` and a ``distance_m`` (or ``distance``) can be drawn: the network's objects and the labels alike.

The classes' colours are from the palette of Okabe and Ito ("Color Universal Design", 2008), chosen so that they differ
in brightness too, and every class and line has its own line style and mark: they survive colour blindness and a grey
printer.

>>> figure = curve({"loss": ([1, 2, 3], [4.0, 2.0, 1.0])}, "epoch", "loss")
>>> figure.alt_text
'Line figure: loss against epoch. loss: from 4 at epoch 1 to 1 at epoch 3, between 1 and 4.'
"""

import base64
import contextlib
import io
import os
import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from PIL import Image
from PIL.PngImagePlugin import PngInfo

STYLES = {
    "Car": {"color": "#56B4E9", "line": "-", "marker": "s"},
    "Pedestrian": {"color": "#D55E00", "line": (0, (4, 1.5)), "marker": "o"},
    "Cyclist": {"color": "#F0E442", "line": (0, (6, 1.5, 1.5, 1.5)), "marker": "^"},
}
"""How each class is drawn: colour, line style, mark. Text on these colours is black."""

OTHER_STYLE = {"color": "#FFFFFF", "line": ":", "marker": "D"}
EDGE = "#222222"
"""Outlines everything coloured, so that light colours show on white and on bright photos."""

LINES = (
    ("#1A0474", "-", "s"),
    ("#C62DC4", (0, (4, 1.5)), "o"),
    ("#47A665", ":", "D"),
    ("#592F09", "-.", "^"),
    ("#565463", (0, (8, 2)), "v"),
    ("#000000", (0, (1, 1)), "P"),
)
"""Colour, line style and mark of the lines in a :func:`curve`, for white paper: six steps of brightness (CIE L* 0 to
61) whose hues were searched to stay apart for every eye."""

UNKNOWN = "#BDBDBD"
"""The neutral grey of pixels without a depth."""

DEPTH_COLORS = "viridis_r"
"""Near is light, far is dark: brightness alone already tells the order."""

NEAREST_DEPTH = 4.0
DOTS_PER_INCH = 80

PARTS = {
    "image": ("image", 0, 0),
    "encoder": ("encoder", 1, 0),
    "neck": ("neck", 2, 0),
    "detection": ("detection\nhead", 3, 0),
    "boxes": ("boxes", 4, 0),
    "windows": ("plan\nwindows", 5, 0),
    "depth": ("depth head,\nthere only", 5, 1),
    "world": ("distance\nand place", 6, 1),
}
"""The parts of the pipeline: text, column, row."""


def photo_with_objects(image, objects, title=None):
    """The photo with a box around every object and a label such as "Car 23 m".

    Args:
        image: (height, width, 3) uint8.
        objects: Things with ``name``, ``box`` (left, top, right, bottom in pixels) and ``distance_m`` or ``distance``.
        title: Text above the photo.

    Returns:
        Figure.

    Raises:
        ValueError: if the image has another shape or type, or a box is not finite.
    """
    image, objects = _checked_image(image), _without_regions(objects)
    width, height = _fitting_size(image.shape)
    figure = _new_figure(width, height + (0.35 if title else 0))
    axes = _add_axes(figure, 0, 0, width, height)
    _draw_photo(axes, image, objects)
    if title:
        axes.set_title(title, fontsize=11, loc="left", x=0.005)
    figure.alt_text = f"{_sentence(title)}Road photo with {_objects_in_words(objects)}"
    return figure


def depth_panel(depth, valid=None, boxes=(), max_depth=80):
    """A depth map with its colour bar in metres: near is light, far is dark, unknown is grey.

    The single points of a large LiDAR map are drawn larger than they are.

    Args:
        depth: (height, width) metres; 0 or NaN where it is not known or was not decoded.
        valid: (height, width) bool, False where depth should count as unknown too.
        boxes: Boxes to outline, each (left, top, right, bottom) in pixels.
        max_depth: Metres at the dark end.

    Returns:
        Figure.

    Raises:
        ValueError: if `depth` is not a (height, width) array, or `valid` has another shape.
    """
    known = _known_depth(depth, valid)
    width, height = _fitting_size(known.shape, width=9.0)
    figure = _new_figure(width + 1.0, height)
    axes = _add_axes(figure, 0, 0, width, height)
    colors = _draw_depth(axes, _thickened(known), max_depth)
    for box in boxes:
        _outline(axes, box, "white", "-", casing=EDGE)
    bar = _add_axes(figure, width + 0.12, 0.08 * height, 0.16, 0.84 * height)
    color_bar(figure, colors, bar, _metre_ticks(max_depth))
    figure.alt_text = _depth_in_words(known) + (f" {_count(len(boxes), 'box')} outlined." if len(boxes) else "")
    return figure


def birds_eye_view(objects, truth=(), max_distance=60):
    """The scene from above: the camera at the bottom, a mark per object, a bar for how sure its distance is.

    Args:
        objects: Things with ``name``, ``position_m`` (x, y, z in metres) and ``distance_spread_m``; labels do as well.
        truth: Labels with ``corners`` (8, 3) in metres: their footprints are outlined.
        max_distance: What lies farther ahead than this is left out, metres.

    Returns:
        Figure.
    """
    objects, truth = _without_regions(objects), _without_regions(truth)
    figure = _new_figure(6.0, 6.0)
    axes = _add_axes(figure, 0.6, 0.5, 5.3, 5.4)
    _draw_from_above(axes, objects, truth, max_distance)
    figure.alt_text = f"Bird's-eye view: {_above_in_words(objects, truth, max_distance)}"
    return figure


def result(image, objects, roi_depth, full_depth=None, truth=()):
    """The course's main picture: boxes with distances, depth inside the boxes only, and the scene from above.

    Args:
        image: (height, width, 3) uint8.
        objects: The network's objects, as for :func:`photo_with_objects` and :func:`birds_eye_view`.
        roi_depth: (height, width) metres, 0 or NaN outside the boxes.
        full_depth: (height, width) metres: the whole map, to compare with.
        truth: Labels whose footprints are outlined in the view from above.

    Returns:
        Figure.

    Raises:
        ValueError: if the depth maps do not have the image's size.
    """
    image, objects, truth = _checked_image(image), _without_regions(objects), _without_regions(truth)
    maps = [("Depth, decoded only inside the boxes", roi_depth, True)]
    if full_depth is not None:
        maps.append(("Depth of every pixel, for comparison", full_depth, False))
    maps = [(title, _known_depth(each, None, image.shape[:2]), on_photo) for title, each, on_photo in maps]
    width, height = _fitting_size(image.shape, width=7.6, tallest=3.4)
    gap, margin, side = 0.36, 0.62, 3.6 if len(maps) == 1 else 4.2
    total = (len(maps) + 1) * (height + gap)
    figure = _new_figure(width + side + 0.35, total + margin)

    def panel(row, title):
        axes = _add_axes(figure, 0.1, total + margin - (row + 1) * (height + gap), width, height)
        axes.set_title(title, fontsize=10.5, loc="left", pad=5, fontweight="bold")
        return axes

    _draw_photo(panel(0, "What is there, and how far away"), image, objects)
    for row, (title, known, on_photo) in enumerate(maps, start=1):
        axes = panel(row, title)
        colors = _draw_depth(axes, known, 80, behind=_dimmed(image) if on_photo else None)
        for each in objects if on_photo else ():
            _outline(axes, each.box, "white", _style(each)["line"])
    bar = _add_axes(figure, 0.1 + 0.2 * width, margin - 0.22, 0.6 * width, 0.13)
    color_bar(figure, colors, bar, _metre_ticks(80), "horizontal")
    above = _add_axes(figure, width + 0.7, 0.5, side - 0.45, figure.get_figheight() - 0.5 - gap)
    above.set_title("Seen from above", fontsize=10.5, loc="left", pad=5, fontweight="bold")
    reach = _reach([*objects, *truth])
    _draw_from_above(above, objects, truth, reach)
    figure.alt_text = (
        f"The result in {2 + len(maps)} panels. Road photo with {_objects_in_words(objects)} Below it, the same "
        f"photo dimmed, with depth inside the boxes only. {_depth_in_words(maps[0][1])} "
        + ("Then the depth map of the whole photo. " if len(maps) > 1 else "")
        + f"At the side: {_above_in_words(objects, truth, reach)}"
    )
    return figure


def pipeline(active=()):
    """The course's pipeline, from the image to distances, with some of its parts lit.

    Args:
        active: Names of the parts to light: "image", "encoder", "neck", "detection", "boxes", "windows", "depth",
            "world".

    Returns:
        Figure.

    Raises:
        ValueError: if a name is not a part.
    """
    active = (active,) if isinstance(active, str) else tuple(active)
    unknown = [name for name in active if name not in PARTS]
    if unknown:
        raise ValueError(f"active: {unknown} are not parts of the pipeline; choose from {list(PARTS)}")
    figure = _new_figure(10.0, 1.9)
    axes = _add_axes(figure, 0, 0, 10.0, 1.9)
    axes.set(xlim=(-0.56, 6.56), ylim=(1.48, -0.48))
    axes.axis("off")
    for name, (text, column, row) in PARTS.items():
        _draw_part(axes, text, column, row, name in active)
    for start, end in zip(range(5), range(1, 6), strict=True):
        _arrow(axes, [(start + 0.41, 0), (end - 0.41, 0)])
    _arrow(axes, [(2, 0.31), (2, 1), (5 - 0.41, 1)])
    _arrow(axes, [(5, 0.31), (5, 1 - 0.31)])
    _arrow(axes, [(5 + 0.41, 1), (6 - 0.41, 1)])
    axes.text(3.3, 0.94, "the same features", fontsize=9.5, ha="center", va="bottom", color="#555555", style="italic")
    lit = [PARTS[name][0].replace("\n", " ") for name in PARTS if name in active]
    figure.alt_text = (
        "Pipeline: image, encoder, neck, detection head, boxes, plan windows; the depth head takes the neck's features "
        "and decodes those windows only, which gives distance and place. "
        + (f"Lit: {'; '.join(lit)}." if lit else "No part is lit.")
    )
    return figure


def curve(series, x_label, y_label, title=None, logarithmic=False):
    """Lines, each with its name at its end, its own line style and its own mark.

    Args:
        series: Dict of name to (x, y), two sequences of equal length; NaN leaves a gap. At most six lines.
        x_label: What the x axis shows, with its unit.
        y_label: Likewise for y.
        title: Text above.
        logarithmic: Whether the y axis is.

    Returns:
        Figure.

    Raises:
        ValueError: if there is no line or too many, x and y differ in length, a line has no finite point, or a
            logarithmic axis gets a value of 0 or less.
    """
    series = {name: _checked_line(name, *line) for name, line in series.items()}
    if not 1 <= len(series) <= len(LINES):
        raise ValueError(f"series must hold 1 to {len(LINES)} lines, so that they can be told apart; got {len(series)}")
    if logarithmic and any((y <= 0).any() for _, y in series.values()):
        raise ValueError("a logarithmic axis has no place for values of 0 or less")
    figure = _new_figure(7.0, 3.5)
    axes = _add_axes(figure, 0.8, 0.55, 4.5, 2.6 if title else 2.8)
    ends = []
    for (name, (x, y)), (color, line, marker) in zip(series.items(), LINES, strict=False):
        every = max(1, len(x) // 8)
        axes.plot(x, y, color=color, linestyle=line, marker=marker, markersize=5, linewidth=2, markevery=every)
        last = np.flatnonzero(np.isfinite(y))[-1]
        ends.append((name, color, x[last], y[last]))
    axes.set(xlabel=x_label, ylabel=y_label, yscale="log" if logarithmic else "linear")
    if all((x == np.rint(x)).all() for x, _ in series.values()):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title or "", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.7)
    _name_lines(axes, ends)
    words = " ".join(_line_in_words(name, x, y, x_label) for name, (x, y) in series.items())
    figure.alt_text = f"{_sentence(title)}Line figure: {y_label} against {x_label}. {words}"
    return figure


def color_bar(figure, shown, axes, ticks, orientation="vertical", text_size=9, gap=3.5):
    """What the colours of a picture mean, drawn on axes of its own.

    Args:
        figure: The `Figure` that holds both.
        shown: What ``imshow`` returned.
        axes: Where the bar goes.
        ticks: Dict of a value to the text beside it.
        orientation: "vertical" or "horizontal".
        text_size, gap: Of the texts, and between them and the bar, in points.
    """
    bar = figure.colorbar(shown, cax=axes, orientation=orientation)
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.minorticks_off()
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=text_size, length=2, pad=gap)


def show(figure):
    """Displays a figure in the notebook, once, with its alt text, and forgets it.

    The text goes where Jupyter's own convention puts it, ``metadata["image/png"]["alt"]`` of the output. Figures that
    hold a photo are sent as JPEG, which keeps notebooks small.

    Raises:
        ValueError: if the figure has no ``alt_text``.
    """
    # Here, so that figures can be drawn and saved where there is no notebook.
    from IPython.display import display

    kind, data = _encoded(figure)
    bundle = {kind: base64.b64encode(data).decode("ascii"), "text/plain": repr(figure)}
    display(bundle, metadata={kind: {"alt": _alt_text(figure)}}, raw=True)
    # A figure made with pyplot would be shown a second time at the end of the cell.
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)


def save(figure, path, dots_per_inch=DOTS_PER_INCH):
    """Writes a figure as PNG, with its alt text as the file's "Description". The file appears whole or not at all.

    Raises:
        ValueError: if `path` does not end in ".png", or the figure has no ``alt_text``.
        OSError: if it can't be written, for instance because the disk is full; names `path`.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: figures are saved as PNG, so the name must end in .png")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    metadata = {"Description": _alt_text(figure), "Software": None}
    try:
        figure.savefig(temporary, format="png", dpi=dots_per_inch, metadata=metadata)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, f"can't be written: {error.strerror or error}", str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # it may be the folder that is at fault
            temporary.unlink(missing_ok=True)


# The parts of the figures.


def _draw_photo(axes, image, objects):
    axes.imshow(image, aspect="auto", interpolation="bilinear")
    axes.axis("off")
    # Far objects first, so that the near ones lie on top; near ones choose the place of their label first.
    by_distance = sorted(objects, key=lambda each: _distance(each) or 0.0)
    for each in reversed(by_distance):
        _outline(axes, each.box, _style(each)["color"], _style(each)["line"], casing=EDGE)
    taken = []
    for each in by_distance:
        taken.append(_place_label(axes, each, taken))


def _outline(axes, box, color, line, casing=None):
    left, top, right, bottom = (float(edge) for edge in box)
    if not np.isfinite([left, top, right, bottom]).all():
        raise ValueError(f"box {tuple(box)} is not finite")
    # A pixel is a square around its centre; boxes are given between centres, as imshow draws them.
    rectangle = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=color, linestyle=line)
    rectangle.set(linewidth=2, joinstyle="miter", clip_on=True)
    if casing:
        rectangle.set_path_effects([withStroke(linewidth=3.8, foreground=casing, alpha=0.75)])
    axes.add_patch(rectangle)


def _place_label(axes, each, taken):
    """Writes the label where it covers no other label, if there is such a place; returns its extent on the screen."""
    style, renderer = _style(each), axes.figure.canvas.get_renderer()
    label = axes.text(
        0, 0, _label(each), fontsize=9, color="black", va="bottom", ha="left", transform=None, zorder=5,
        bbox={"facecolor": style["color"], "edgecolor": EDGE, "linewidth": 0.6, "pad": 1.6},
    )  # fmt: skip
    extent = label.get_window_extent(renderer)
    width, height = extent.width + 6, extent.height + 5
    frame = axes.get_window_extent(renderer)
    (left, bottom), (right, top) = axes.transData.transform([(each.box[0], each.box[3]), (each.box[2], each.box[1])])
    columns = [left, right - width, (left + right - width) / 2]
    rows = [top + 2, bottom - height - 2, *(top + 2 + step * height for step in (1, 2, 3, 4)), top - height]
    places = [
        (
            float(np.clip(x, frame.x0 + 1, max(frame.x0 + 1, frame.x1 - width - 1))),
            float(np.clip(y, frame.y0 + 1, max(frame.y0 + 1, frame.y1 - height - 1))),
        )
        for y in rows
        for x in columns
    ]
    x, y = min(places, key=lambda place: sum(_shared_area((*place, width, height), other) for other in taken))
    label.set_position((x + 3, y + 2.5))
    if y > top + height:
        _leader(axes, (x + width / 2, y), ((left + right) / 2, top), style["color"])
    return x, y, width, height


def _leader(axes, start, end, color):
    """A thin line from a label that had to move away to its box; both in screen coordinates."""
    ends = axes.transData.inverted().transform([start, end])
    (line,) = axes.plot(ends[:, 0], ends[:, 1], color=color, linewidth=1, scalex=False, scaley=False)
    line.set_path_effects([withStroke(linewidth=2.4, foreground=EDGE, alpha=0.75)])


def _shared_area(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def _draw_depth(axes, known, max_depth, behind=None):
    """Known depth in colour, over grey or over a picture; returns what a colour bar needs."""
    axes.set_facecolor(UNKNOWN)
    if behind is not None:
        axes.imshow(behind, aspect="auto", interpolation="bilinear")
    colors = matplotlib.colormaps[DEPTH_COLORS].with_extremes(bad=(0, 0, 0, 0))
    shown = axes.imshow(
        known, aspect="auto", interpolation="nearest", cmap=colors, norm=LogNorm(NEAREST_DEPTH, max_depth, clip=True)
    )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return shown


def _thickened(known):
    """Scattered points of a large map (LiDAR), grown to 3x3 pixels so that they can be seen; the nearest wins."""
    seen = ~np.ma.getmaskarray(known)
    scattered = (seen[1:] & seen[:-1]).sum() < 0.5 * seen.sum()
    if not scattered or known.shape[1] < 9 * DOTS_PER_INCH:
        return known
    padded = np.pad(known.filled(np.inf), 1, constant_values=np.inf)
    grown = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).min(axis=(-2, -1))
    return np.ma.masked_invalid(grown)


def _metre_ticks(max_depth):
    return {tick: f"{tick} m" for tick in (5, 10, 20, 40, 80, 160) if tick <= max_depth}


def _dimmed(image):
    grey = image.astype(np.float32).mean(axis=-1, keepdims=True) / 255
    return np.repeat(0.08 + 0.42 * grey, 3, axis=-1)


def _draw_from_above(axes, objects, truth, max_distance):
    shown = [each for each in objects if _is_ahead(each, max_distance)]
    shown_truth = [each for each in truth if _is_ahead(each, max_distance)]
    side = max([12.0, *(abs(_position(each)[0]) + 3 for each in [*shown, *shown_truth])])
    frame = axes.get_window_extent()
    # One metre is equally long across and ahead: whichever direction has room to spare shows more.
    metre = min(frame.width / (2 * side), frame.height / (max_distance + 4))
    across, ahead = frame.width / metre / 2, frame.height / metre
    axes.set(xlim=(-across, across), ylim=(-2, ahead - 2), facecolor="#F7F7F7")
    for radius in range(10, int(max_distance) + 1, 10):
        axes.add_patch(Circle((0, 0), radius, fill=False, edgecolor="#CCCCCC", linewidth=0.8, zorder=1))
        axes.text(0, radius, f"{radius} m", fontsize=8, color="#666666", ha="center", va="center", zorder=1.5,
                  bbox={"facecolor": "#F7F7F7", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    axes.add_patch(Polygon([(0, 0), (-1.1, -1.8), (1.1, -1.8)], facecolor="black", zorder=3))
    for each in shown_truth:
        footprint = np.asarray(each.corners)[:4, [0, 2]]
        axes.add_patch(Polygon(footprint, fill=False, edgecolor="#333333", linewidth=1.2, zorder=2))
    for each in shown:
        _draw_mark(axes, each)
    _draw_key(axes, shown, bool(shown_truth))
    axes.set_xlabel("metres to the right", fontsize=9)
    axes.set_ylabel("metres ahead", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_mark(axes, each):
    style, (x, _, z), spread = _style(each), _position(each), getattr(each, "distance_spread_m", None)
    if spread is not None and np.isfinite(spread) and spread > 0:
        # Not knowing the depth means not knowing where on the ray through the camera the object stands.
        scale = np.array([max(z - spread, 0), z + spread]) / z
        (bar,) = axes.plot(x * scale, z * scale, color=style["color"], linewidth=2.4, solid_capstyle="butt", zorder=3)
        bar.set_path_effects([withStroke(linewidth=4, foreground=EDGE)])
    axes.plot(x, z, marker=style["marker"], markersize=8, color=style["color"], markeredgecolor=EDGE, zorder=4)


def _draw_key(axes, objects, with_truth):
    for name in dict.fromkeys(each.name for each in objects):
        style = STYLES.get(name, OTHER_STYLE)
        axes.plot(
            [],
            [],
            linestyle="none",
            marker=style["marker"],
            markersize=7,
            color=style["color"],
            markeredgecolor=EDGE,
            label=name,
        )
    if with_truth:
        axes.plot([], [], color="#333333", linewidth=1.2, label="labelled")
    if objects or with_truth:
        axes.legend(loc="lower right", fontsize=8, framealpha=0.9, handlelength=1.2, borderpad=0.4)


def _draw_part(axes, text, column, row, lit):
    fill, edge, ink = ("#0072B2", "black", "white") if lit else ("#F2F2F2", "#9A9A9A", "#333333")
    box = FancyBboxPatch((column - 0.36, row - 0.26), 0.72, 0.52, boxstyle="round,pad=0.04,rounding_size=0.09")
    box.set(facecolor=fill, edgecolor=edge, linewidth=2.4 if lit else 1.0, zorder=3)
    axes.add_patch(box)
    axes.text(column, row, text, ha="center", va="center", fontsize=10.5, color=ink, zorder=4,
              fontweight="bold" if lit else "normal", linespacing=1.15)  # fmt: skip


def _arrow(axes, points):
    points = np.array(points, dtype=float)
    axes.plot(points[:-1, 0], points[:-1, 1], color="#555555", linewidth=1.5, solid_joinstyle="miter", zorder=2)
    look = {"arrowstyle": "-|>", "color": "#555555", "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
    axes.annotate("", xy=points[-1], xytext=points[-2], arrowprops=look)


def _name_lines(axes, ends):
    """Writes each line's name beside its end; names that would touch are moved apart."""
    axes.autoscale_view()  # matplotlib would only do it while drawing, and the places below depend on it
    lowest = -np.inf
    for name, color, x, y in sorted(ends, key=lambda end: end[3]):
        lowest = max(axes.transData.transform((x, y))[1], lowest + 15)
        place = axes.transAxes.inverted().transform((axes.get_window_extent().x1 + 8, lowest))
        axes.annotate(
            name, xy=(x, y), xytext=place, textcoords="axes fraction", va="center", fontsize=10, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.8},
        )  # fmt: skip


# Figures, axes and files.


def _new_figure(width, height):
    whole_pixels = [round(length * DOTS_PER_INCH) / DOTS_PER_INCH for length in (width, height)]
    figure = Figure(figsize=whole_pixels, dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _add_axes(figure, left, bottom, width, height):
    """Axes at a place given in inches."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def _fitting_size(shape, width=10.0, tallest=6.0):
    """(width, height) in inches that keep the picture's proportions."""
    scale = min(width / shape[1], tallest / shape[0])
    return shape[1] * scale, shape[0] * scale


def _encoded(figure):
    buffer = io.BytesIO()
    has_photo = any(np.ndim(shown.get_array()) == 3 for axes in figure.axes for shown in axes.get_images())
    if not has_photo:
        figure.savefig(buffer, format="png")
        return "image/png", _with_palette(buffer, _alt_text(figure))
    figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": 76, "optimize": True})
    return "image/jpeg", buffer.getvalue()


def _with_palette(png, text):
    """The same picture in at most 256 colours: of a diagram, a third of the bytes."""
    described, smaller = PngInfo(), io.BytesIO()
    described.add_itxt("Description", text)
    few = Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    few.save(smaller, "png", optimize=True, pnginfo=described)
    return smaller.getvalue()


def _alt_text(figure):
    text = getattr(figure, "alt_text", None)
    if not text:
        raise ValueError("this figure has no alt text: set figure.alt_text to a sentence that says what it shows")
    return text


# What is drawn, checked and in words.


def _checked_image(image):
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"image must be (height, width, 3) uint8, got {image.shape} {image.dtype}")
    return image


def _known_depth(depth, valid, size=None):
    """Depth as a masked array: unknown pixels are masked."""
    depth = np.asarray(depth, dtype=np.float64)
    if depth.ndim != 2 or depth.size == 0 or (size is not None and depth.shape != tuple(size)):
        raise ValueError(f"depth must be {size or '(height, width)'}, got {depth.shape}")
    known = np.isfinite(depth) & (depth > 0)
    if valid is not None:
        valid = np.asarray(valid, dtype=bool)
        if valid.shape != depth.shape:
            raise ValueError(f"valid has shape {valid.shape}, depth {depth.shape}: they must agree")
        known &= valid
    return np.ma.masked_array(np.where(known, depth, 1.0), mask=~known)


def _checked_line(name, x, y):
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not np.isfinite(y).any():
        raise ValueError(f"series {name!r}: x {x.shape} and y {y.shape} must be rows of equal length, y not all NaN")
    return x, y


def _without_regions(objects):
    return [each for each in objects if each.name != "DontCare"]


def _style(each):
    return STYLES.get(each.name, OTHER_STYLE)


def _distance(each):
    """Metres, or None when the object has none."""
    metres = getattr(each, "distance_m", None) if hasattr(each, "distance_m") else getattr(each, "distance", None)
    return float(metres) if metres is not None and np.isfinite(metres) and metres > 0 else None


def _position(each):
    return np.asarray(each.position_m if hasattr(each, "position_m") else each.location, dtype=np.float64)


def _is_ahead(each, max_distance):
    x, _, z = _position(each)
    return bool(np.isfinite(x) and 0 < z <= max_distance)


def _reach(objects):
    """Metres ahead that a view from above needs: 30 to 80, in tens."""
    farthest = max((_distance(each) or 0.0 for each in objects), default=0.0)
    return int(np.clip(10 * np.ceil(farthest / 10), 30, 80))


def _metres(value):
    return f"{value:.1f} m" if value < 9.95 else f"{value:.0f} m"


def _label(each):
    """Class and distance; the score of a detection that comes without any distance."""
    metres, score = _distance(each), getattr(each, "score", None)
    if metres is None:
        return each.name if score is None or hasattr(each, "distance_m") else f"{each.name} {score:.2f}"
    return f"{each.name} {_metres(metres)}"


def _count(number, what):
    plural = {"box": "boxes"}.get(what, f"{what}s")
    return f"{number} {what if number == 1 else plural}"


def _sentence(title):
    """A title as the start of an alt text."""
    return "" if not title else f"{title} " if title[-1] in ".?!" else f"{title}. "


def _objects_in_words(objects, most=10):
    if not objects:
        return "no objects."
    near_first = sorted(objects, key=lambda each: _distance(each) or np.inf)
    words = [
        _label(each).replace(f"{each.name} ", f"{each.name} {'at' if _distance(each) else 'with score'} ", 1)
        for each in near_first[:most]
    ]
    more = f", and {len(objects) - most} more" if len(objects) > most else ""
    return f"{_count(len(objects), 'object')}: {', '.join(words)}{more}."


def _depth_in_words(known):
    share = 100 * known.count() / known.size
    if known.count() == 0:
        return "Depth map: no pixel has a depth."
    low, high = _metres(float(known.min())), _metres(float(known.max()))
    return f"Depth map: {share:.0f} % of the pixels have a depth, from {low} (light) to {high} (dark)."


def _above_in_words(objects, truth, max_distance):
    shown = [each for each in objects if _is_ahead(each, max_distance)]
    places = []
    for each in sorted(shown, key=lambda each: _position(each)[2])[:10]:
        x, _, z = _position(each)
        aside = "straight ahead" if abs(x) < 0.5 else f"{abs(x):.0f} m to the {'right' if x > 0 else 'left'}"
        places.append(f"{each.name} {_metres(z)} ahead, {aside}")
    more = f"; and {len(shown) - 10} more" if len(shown) > 10 else ""
    words = f"the scene from above, {_count(len(shown), 'object')}" + (
        f": {'; '.join(places)}{more}." if places else "."
    )
    hidden = len(objects) - len(shown)
    if hidden:
        words += f" {_count(hidden, 'object')} not within {max_distance:g} m ahead left out."
    if truth:
        words += f" The footprints of {_count(len(truth), 'label')} are outlined."
    return words


def _line_in_words(name, x, y, x_label):
    known = np.flatnonzero(np.isfinite(y))
    first, last = known[0], known[-1]
    return (
        f"{name}: from {y[first]:.3g} at {x_label} {x[first]:g} to {y[last]:.3g} at {x_label} {x[last]:g}, "
        f"between {np.nanmin(y):.3g} and {np.nanmax(y):.3g}."
    )
