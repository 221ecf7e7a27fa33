"""Diagrams of detection: cells with their numbers, maps of a photo, photos with boxes, precision against recall.

Boxes are (left, top, right, bottom) in pixels; a cell is 4 pixels wide, as in `detection`.

>>> figure = cells({"heat map": [[1.0, 0.25]]})
>>> figure.alt_text
'1 grid of cells with numbers. heat map, 1x2 cells: 1.00 in row 0, column 0; 0.25 in row 0, column 1.'
"""

from types import SimpleNamespace

import numpy as np
from matplotlib.patches import Rectangle

from . import detection, draw
from .detection import STRIDE

HEAT_COLORS = "magma_r"
"""High is dark, on a light ground: brightness alone tells the order."""


def cells(grids, boxes=(), decimals=2):
    """Small grids side by side with the number in every cell; cells that hold 0 stay empty.

    Args:
        grids: Dict of title to (rows, columns) numbers, 0 to 1.
        boxes: Boxes to outline in every grid, in pixels of the image that the cells divide.
        decimals: Of the numbers.

    Returns:
        Figure.

    Raises:
        ValueError: if there is no grid, or one has not two dimensions.
    """
    grids = {title: _two_dimensional(values, title) for title, values in grids.items()}
    if not grids:
        raise ValueError("grids: there must be at least one")
    side = min(3.4, 9.6 / len(grids) - 0.2)
    high = side * max(values.shape[0] / values.shape[1] for values in grids.values())
    figure = draw._new_figure(len(grids) * (side + 0.4) + 0.2, high + 0.65)
    for number, (title, values) in enumerate(grids.items()):
        axes = draw._add_axes(figure, 0.35 + number * (side + 0.4), 0.1, side, high)
        axes.imshow(values, cmap=HEAT_COLORS, vmin=0, vmax=1.25, aspect="auto")
        axes.set_title(title, fontsize=11, pad=20)
        _rule(axes, values.shape)
        for (row, column), value in np.ndenumerate(values):
            text = f"{value:.{decimals}f}" if value else ""
            axes.text(
                column, row, text, ha="center", va="center", fontsize=10, color="white" if value > 0.6 else "black"
            )
        for box, (color, line, _) in zip(boxes, draw.LINES, strict=False):
            left, top, right, bottom = ((float(edge) + 0.5) / STRIDE - 0.5 for edge in box)
            size = right - left, bottom - top
            axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor=color, linestyle=line, linewidth=2))
    words = " ".join(_cells_in_words(title, values, decimals) for title, values in grids.items())
    outlined = f" {draw._count(len(boxes), 'box')} outlined." if len(boxes) else ""
    figure.alt_text = f"{len(grids)} grid{'s' if len(grids) > 1 else ''} of cells with numbers. {words}{outlined}"
    return figure


def maps(maps, size, objects=(), width=6.4, span=(None, None)):
    """Maps of one view, one below the other, as large as the photos of :func:`photos`; dark is high.

    Args:
        maps: Dict of title to (rows, columns) numbers.
        size: Height and width in pixels of the photo that the cells divide.
        objects: Things with ``name`` and ``box``, to outline in every map.
        width: Of the figure in inches.
        span: The numbers that are lightest and darkest. Default: in each map its lowest and its highest.

    Returns:
        Figure.

    Raises:
        ValueError: if there is no map, one has not two dimensions, or a box is not finite.
    """
    maps, objects = {title: _two_dimensional(each, title) for title, each in maps.items()}, list(objects)
    if not maps:
        raise ValueError("maps: there must be at least one")
    objects, (height, across) = draw._without_regions(objects), size
    high = draw._fitting_size(size, width)[1] + 0.32
    figure = draw._new_figure(width, len(maps) * high)
    for number, (title, values) in enumerate(maps.items(), start=1):
        axes = draw._add_axes(figure, 0, (len(maps) - number) * high, width, high - 0.32)
        edges = (-0.5, across - 0.5, height - 0.5, -0.5)
        look = {"cmap": HEAT_COLORS, "vmin": span[0], "vmax": span[1], "interpolation": "nearest"}
        axes.imshow(values, aspect="auto", extent=edges, **look)
        for each in objects:
            draw._outline(axes, each.box, *draw.LINES[0][:2], casing="white")
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10.5, loc="left", x=0.005, pad=4)
    words = " ".join(_map_in_words(title, values) for title, values in maps.items())
    outlined = f" Outlined in each: {draw._objects_in_words(objects)}" if objects else ""
    figure.alt_text = f"{draw._count(len(maps), 'map')} of one view. {words}{outlined}"
    return figure


def cell_shares(mask, rows, columns):
    """How much of each cell a mask fills.

    Args:
        mask: (height, width) bool, a multiple of rows and columns.
        rows, columns: How many cells divide it.

    Returns:
        (rows, columns), 0 to 1.

    Raises:
        ValueError: if the mask's size does not suit.
    """
    height, width = np.shape(mask)
    if height % rows or width % columns:
        raise ValueError(f"mask: {height}x{width} pixels do not make {rows}x{columns} cells")
    return np.reshape(mask, (rows, height // rows, columns, width // columns)).mean(axis=(1, 3))


def telling_channel(features, mask):
    """Of features, the channel that stands out most where the mask is True; the one worth showing.

    Args:
        features: (rows, columns, channels).
        mask: (height, width) bool, a multiple of rows and columns; a cell counts if any of its pixels does.

    Returns:
        (rows, columns), its mean in the cells that count, and its mean in the others.

    Raises:
        ValueError: if the mask's size does not suit, or if it is the same in all cells.
    """
    seen = cell_shares(mask, *features.shape[:2]) > 0
    if seen.all() or not seen.any():
        raise ValueError("mask must be True in some cells and False in others")
    inside, outside = features[seen].mean(axis=0), features[~seen].mean(axis=0)
    best = np.argmax((inside - outside) / (features.std(axis=(0, 1)) + 1e-6))
    return features[..., best], inside[best], outside[best]


def objects(found, class_names, lowest=0.0):
    """Detections as objects to draw.

    Args:
        found: ``boxes`` (n, 4), ``labels`` (n,) and ``scores`` (n,) of one photo, as from `detection.decode`.
        class_names: The classes, in the order of the labels.
        lowest: Detections with a lower score are left out.

    Returns:
        A list of objects with ``name``, ``box`` and ``score``.
    """
    rows = zip(found["labels"], found["boxes"], found["scores"], strict=True)
    return [
        SimpleNamespace(name=class_names[int(label)], box=tuple(box), score=float(score))
        for label, box, score in rows
        if score >= lowest
    ]


def objects_of_targets(targets, index, class_names):
    """The objects that the targets of one photo stand for, read back from the maps: what the network is taught.

    Args:
        targets: Batches of the maps ``heatmap`` and ``box``, as from `detection.encode_targets`.
        index: Which photo of the batch.
        class_names: The classes, in the order of the channels.

    Returns:
        A list of objects with ``name`` and ``box``.
    """
    peaks, distances = (np.asarray(targets[name][index : index + 1])[..., :-1] for name in ("heatmap", "box"))
    (found,) = detection.per_image(detection.decode(detection.outputs_of(peaks == 1, distances)))
    return [SimpleNamespace(name=each.name, box=each.box) for each in objects(found, class_names, lowest=0.5)]


def photos(panels, width=6.4):
    """Photos with boxes, one below the other.

    Args:
        panels: Tuples of title, image (height, width, 3) uint8, and objects with ``name`` and ``box``; a ``score`` is
            written where there is no distance. Labels find their places from the top downwards, because they stand
            above their boxes: of boxes that overlap, the upper one keeps its corner.
        width: Of the figure in inches.

    Returns:
        Figure.

    Raises:
        ValueError: if an image has another shape or type, or a box is not finite.
    """
    panels = [(title, draw._checked_image(image), draw._without_regions(each)) for title, image, each in panels]
    heights = [draw._fitting_size(image.shape, width)[1] + 0.32 for _, image, _ in panels]
    figure = draw._new_figure(width, sum(heights))
    for number, (title, image, objects) in enumerate(panels):
        bottom = sum(heights[number + 1 :])
        axes = draw._add_axes(figure, 0, bottom, width, heights[number] - 0.32)
        draw._draw_photo(axes, image, sorted(objects, key=lambda each: each.box[1]))
        axes.set_title(title, fontsize=10.5, loc="left", x=0.005, pad=4)
    words = (f"{title}: road photo with {draw._objects_in_words(each)}" for title, _, each in panels)
    figure.alt_text = " ".join(words)
    return figure


def precision_recall(recall, precision, area):
    """Precision against recall, a numbered mark per detection, and the area under the best that is still to come.

    Args:
        recall: (n,) after the first, the second, ... detection; never falling.
        precision: (n,) likewise.
        area: The average precision, for the title.

    Returns:
        Figure.

    Raises:
        ValueError: if the two differ in length or are empty.
    """
    recall, precision = np.asarray(recall, float), np.asarray(precision, float)
    if recall.ndim != 1 or recall.shape != precision.shape or recall.size == 0:
        raise ValueError(f"recall {recall.shape} and precision {precision.shape} must be rows of equal length")
    best = np.maximum.accumulate(precision[::-1])[::-1]
    figure = draw._new_figure(5.6, 3.4)
    axes = draw._add_axes(figure, 0.7, 0.6, 4.6, 2.4)
    (color, line, marker), (other, other_line, _) = draw.LINES[:2]
    edges = np.concatenate([[0], recall])
    axes.fill_between(edges, np.concatenate([best[:1], best]), step="pre", color="#DDDDDD", linewidth=0)
    axes.step(edges, np.concatenate([best[:1], best]), color=other, linestyle=other_line, linewidth=2)
    axes.plot(recall, precision, color=color, linestyle=line, marker=marker, markersize=6)
    for number, (x, y, top) in enumerate(zip(recall, precision, best, strict=True), start=1):
        beside = (6, 5) if y == top else (-13, -10)  # off the line
        axes.annotate(str(number), (x, y), xytext=beside, textcoords="offset points", fontsize=11)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.15), xlabel="recall", ylabel="precision")
    axes.set_title(f"grey: the area, {area:.4f}", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    points = ", ".join(f"{x:.2f} and {y:.2f}" for x, y in zip(recall, precision, strict=True))
    figure.alt_text = (
        f"Recall and precision after each of {draw._count(len(recall), 'detection')}: {points}. Above them the best "
        f"precision that is still to come, as steps; the area under it is {area:.4f}."
    )
    return figure


def _two_dimensional(values, title):
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"{title!r} must be (rows, columns), got shape {values.shape}")
    return values


def _rule(axes, shape):
    """Lines between the cells, and their numbers."""
    rows, columns = shape
    axes.set_xticks(range(columns))
    axes.set_yticks(range(rows))
    axes.tick_params(length=0, labelsize=9, labeltop=True, labelbottom=False)
    axes.hlines(np.arange(1, rows) - 0.5, -0.5, columns - 0.5, color="#BBBBBB", linewidth=0.8)
    axes.vlines(np.arange(1, columns) - 0.5, -0.5, rows - 0.5, color="#BBBBBB", linewidth=0.8)


def _cells_in_words(title, values, decimals, most=4):
    highest = np.argsort(-values, axis=None, kind="stable")[:most]
    places = [(*divmod(int(index), values.shape[1]), values.flat[index]) for index in highest]
    words = "; ".join(f"{value:.{decimals}f} in row {row}, column {column}" for row, column, value in places if value)
    return f"{title}, {values.shape[0]}x{values.shape[1]} cells: {words or 'all 0'}."


def _map_in_words(title, values):
    row, column = divmod(int(np.argmax(values)), values.shape[1])
    where = f"highest in row {row}, column {column}" if np.ptp(values) else "the same everywhere"
    return f"{title}, {values.shape[0]}x{values.shape[1]} cells: {where}."
