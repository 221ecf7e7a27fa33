"""Diagrams of ROI depth: what a pixel needs, windows that shrink, plans, Amdahl's law, and patches side by side.

Windows are (top, left, bottom, right) in cells of the features, 4 pixels each, as in `roi`.

>>> figure = maps([("error", "error", [[0.0, 0.5]])])
>>> figure.alt_text
'1 panel. error: from 0 % to 50 %.'
"""

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from . import draw
from .roi import STRIDE

KINDS = ("photo", "depth", "error", "mask", "influence")
"""What a panel of :func:`maps` may show: a photo, metres, or shares from 0 to 1."""

OUTLINES = ("#FFFFFF", "-"), (draw.STYLES["Cyclist"]["color"], (0, (5, 2)))
"""Light outlines on photos, drawn over a dark one: whole and dashed, so that they can be told apart without colour."""


def maps(panels, columns=None, width=9.0, title_size=10):
    """Small pictures of the same place side by side, each with its own bar.

    Args:
        panels: Tuples of title, kind (see `KINDS`) and array: (height, width, 3) uint8 for a photo, else (height,
            width): metres for "depth", 0 to 1 for the others. NaN where nothing is known.
        columns: Panels in a row; default: all.
        width: Width of the figure in inches.
        title_size: Of the titles, in points.

    Returns:
        Figure. All panels of one kind share their scale.

    Raises:
        ValueError: if there is no panel, or one is of a kind that does not exist.
    """
    panels = [(title, kind, np.asarray(values)) for title, kind, values in panels]
    unknown = [kind for _, kind, _ in panels if kind not in KINDS]
    if not panels or unknown:
        raise ValueError(f"panels: at least one, of the kinds {', '.join(KINDS)}; got {unknown or 'none'}")
    columns = columns or len(panels)
    gap, above, below = 0.12, 0.3, 0.34
    side = (width - gap * (columns + 1)) / columns
    extents = [draw._fitting_size(values.shape, side, 3.4) for *_, values in panels]
    rows = [max(tall for _, tall in extents[start : start + columns]) for start in range(0, len(panels), columns)]
    figure = draw._new_figure(width, sum(rows) + len(rows) * (above + below))
    for number, ((title, kind, values), (across, tall)) in enumerate(zip(panels, extents, strict=True)):
        row, column = divmod(number, columns)
        bottom = below + sum(rows[row + 1 :]) + (len(rows) - 1 - row) * (above + below) + (rows[row] - tall) / 2
        middle = gap + column * (side + gap) + side / 2
        axes = draw._add_axes(figure, middle - across / 2, bottom, across, tall)
        axes.set_title(title, fontsize=title_size, pad=4)
        axes.set(xticks=[], yticks=[])
        shown = _draw_map(axes, kind, values, _scale(kind, [each for _, other, each in panels if other == kind]))
        if shown is not None:
            length = min(0.72 * across, 2.0)
            _draw_bar(figure, shown, draw._add_axes(figure, middle - length / 2, bottom - 0.12, length, 0.08), kind)
    words = " ".join(f"{title}: {_range_in_words(kind, values)}." for title, kind, values in panels)
    figure.alt_text = f"{draw._count(len(panels), 'panel')}. {words}"
    return figure


def _scale(kind, arrays):
    """The norm of all panels of a kind."""
    if kind == "photo":
        return None
    known = np.concatenate([np.ravel(each) for each in arrays])
    known = known[np.isfinite(known) & (known > 0)]
    if kind == "depth":
        low, high = (known.min(), known.max()) if len(known) else (1, 2)
        return LogNorm(low, max(high, 1.05 * low), clip=True)
    if kind == "influence":
        high = known.max() if len(known) else 1.0
        return LogNorm(high / 1000, high, clip=True)
    return Normalize(0, 1 if kind == "mask" else np.clip(known.max(initial=0), 0.01, 1), clip=True)


def _draw_map(axes, kind, values, norm):
    if kind == "photo":
        axes.imshow(values, aspect="auto", interpolation="nearest")
        return None
    colors = {"depth": draw.DEPTH_COLORS, "error": "inferno", "mask": "cividis", "influence": "inferno"}[kind]
    blank = draw.UNKNOWN if kind != "error" else "black"
    hidden = ~np.isfinite(values) | ((values == 0) & (kind in ("depth", "influence")))
    axes.set_facecolor(blank)
    colors = matplotlib.colormaps[colors].with_extremes(bad=(0, 0, 0, 0))
    known = np.ma.masked_array(values, hidden)
    return axes.imshow(known, aspect="auto", interpolation="nearest", cmap=colors, norm=norm)


def _draw_bar(figure, shown, axes, kind):
    low, high = shown.norm.vmin, shown.norm.vmax
    middle = [np.sqrt(low * high)] if kind == "depth" else [] if kind == "influence" else [(low + high) / 2]
    ticks = {tick: _value(kind, tick) for tick in (low, *middle, high)}
    if kind == "error" and shown.get_array().max() > high:
        ticks[high] = f"≥ {ticks[high]}"
    draw.color_bar(figure, shown, axes, ticks, "horizontal", text_size=8, gap=1)


def _value(kind, number):
    if kind == "depth":
        return draw._metres(number)
    if kind == "mask":
        return f"{number:.1f}"
    return f"{100 * number:.0f} %" if number >= 0.1 else f"{100 * number:.2g} %"


def _range_in_words(kind, values):
    if kind == "photo":
        return f"a photo of {values.shape[0]}x{values.shape[1]} pixels"
    known = values[np.isfinite(values)]
    if kind == "depth":
        known = known[known > 0]
    if not len(known):
        return "nothing known"
    return f"from {_value(kind, float(known.min()))} to {_value(kind, float(known.max()))}"


def receptive_field(image, influence, cell):
    """What one pixel of the depth needs: a street with the cells that were tried, and how much each of them counts.

    Args:
        image: (height, width, 3) uint8.
        influence: (n, n) how much the pixel changes when a cell of features is disturbed, n odd; 0 where it does not.
        cell: (row, column) of the cell in the middle.

    Returns:
        Figure.
    """
    influence, reach = np.asarray(influence), len(influence) // 2
    needed = np.argwhere(influence > 0) - reach
    low, high = needed.min(axis=0), needed.max(axis=0) + 1
    width, height = draw._fitting_size(image.shape, width=5.2)
    figure = draw._new_figure(8.4, 2.7)
    axes = draw._add_axes(figure, 0.1, (2.7 - height) / 2, width, height)
    axes.imshow(image, aspect="auto", interpolation="bilinear")
    axes.axis("off")
    axes.set_title("dashed: the cells tried, whole: those that count", fontsize=10)
    tried = np.array([-reach, -reach, reach + 1, reach + 1])
    for window, style in ((tried, OUTLINES[1]), (np.r_[low, high], OUTLINES[0])):
        _outline_window(axes, window + np.tile(cell, 2), style)
    beside = draw._add_axes(figure, 5.8, 0.4, 2.0, 2.0)
    beside.set_title("how much each of them counts", fontsize=10)
    shown = _draw_map(beside, "influence", influence, _scale("influence", [influence]))
    edges = np.arange(-0.5, len(influence))
    beside.set(xticks=[], yticks=[])
    beside.hlines(edges, -0.5, len(influence) - 0.5, color="white", linewidth=0.6)
    beside.vlines(edges, -0.5, len(influence) - 0.5, color="white", linewidth=0.6)
    beside.plot(reach, reach, marker="s", markersize=4, color="white", markeredgecolor=draw.EDGE)
    _draw_bar(figure, shown, draw._add_axes(figure, 6.0, 0.26, 1.6, 0.08), "influence")
    size = high - low
    figure.alt_text = (
        f"A street with {len(influence)}x{len(influence)} cells outlined. Beside it a map of them: "
        f"{size[0]}x{size[1]} cells in the middle change the pixel, {int((influence > 0).sum())} in all; "
        f"the grey ones around them do not."
    )
    return figure


def shrinking(image, window, stages, halo):
    """A window that gets smaller on its way up: what it covers of the photo after each layer.

    Args:
        image: (height, width, 3) uint8.
        window: top, left, bottom, right in cells.
        stages: Dict of a name to (rows, columns, pixels of the photo per row), from the features to the depth.
        halo: Cells that the features have around the window on every side.

    Returns:
        Figure.

    Raises:
        ValueError: if the sizes do not fit the window.
    """
    window = np.asarray(window)
    size = window[2:] - window[:2]
    sizes = {name: np.array([rows, columns]) * pixels for name, (rows, columns, pixels) in stages.items()}
    kept = {}  # layers that leave the extent as it is share one outline
    for name, extent in sizes.items():
        margin = (extent - STRIDE * size) / 2
        if margin[0] != margin[1] or not 0 <= margin[0] <= halo * STRIDE:
            raise ValueError(f"stages: {name!r} covers {extent} pixels, which does not fit the window {window}")
        kept.setdefault(float(margin[0]), []).append(name)
    edge = halo * STRIDE + 2
    top, left, bottom, right = window * STRIDE
    low = max(top - edge, 0), max(left - edge, 0)
    part = image[low[0] : bottom + edge, low[1] : right + edge]
    width, height = draw._fitting_size(part.shape, width=4.2, tallest=2.6)
    figure = draw._new_figure(width + 3.6, height + 0.2)
    axes = draw._add_axes(figure, 0.1, 0.1, width, height)
    axes.imshow(part, aspect="auto", interpolation="bilinear")
    axes.set(xlim=(-0.5, part.shape[1] - 0.5), ylim=(part.shape[0] - 0.5, -0.5))
    axes.axis("off")
    words, middle = [], top - low[0] + STRIDE * size[0] / 2
    for number, (margin, names) in enumerate(kept.items()):
        corner = left - low[1] - margin - 0.5, top - low[0] - margin - 0.5
        extent = STRIDE * size + 2 * margin
        _outline(axes, corner, extent, OUTLINES[0] if margin in (max(kept), 0) else OUTLINES[1])
        text = f"{', '.join(names)}: {extent[0]:g}x{extent[1]:g} pixels"
        words.append(text)
        level = middle + (number - (len(kept) - 1) / 2) * 0.9 * STRIDE * size[0] / len(kept)
        side = min(corner[0] + extent[1], part.shape[1] - 0.5)
        (leader,) = axes.plot([side, part.shape[1] + 1], [level, level], color="white", marker="o", markevery=[0],
                              markersize=4, linewidth=1.2, clip_on=False)  # fmt: skip
        leader.set_path_effects([withStroke(linewidth=3, foreground=draw.EDGE)])
        axes.text(part.shape[1] + 2, level, text, fontsize=10, va="center")
    figure.alt_text = f"Part of a street with nested outlines, from the outer to the inner one. {'; '.join(words)}."
    return figure


def plans(image, boxes, ways, work):
    """The same boxes, decoded in several ways: what is decoded is shown as it is, the rest dimmed.

    Args:
        image: (height, width, 3) uint8.
        boxes: (n, 4) in pixels.
        ways: Dict of a name to windows (k, 4) in cells.
        work: Function of a window's rows and columns that gives its cost, such as `depth.HeadWork`.

    Returns:
        Figure.
    """
    width, height = draw._fitting_size(image.shape, width=3.6)
    rows = -(-len(ways) // 2)
    figure = draw._new_figure(7.5, rows * (height + 0.36))
    full_work, words = work(image.shape[0] // STRIDE, image.shape[1] // STRIDE), []
    for number, (name, windows) in enumerate(ways.items()):
        share = sum(work(low - top, right - left) for top, left, low, right in windows) / full_work
        row, column = divmod(number, 2)
        bottom = (rows - 1 - row) * (height + 0.36) + 0.04
        axes = draw._add_axes(figure, 0.1 + column * 3.7, bottom, width, height)
        axes.set_title(f"{name}: {share:.0%} of the work", fontsize=10.5, loc="left", pad=4)
        lit = draw._dimmed(image)
        for top, left, low, right in np.asarray(windows) * STRIDE:
            lit[top:low, left:right] = image[top:low, left:right] / 255
        axes.imshow(lit, aspect="auto", interpolation="bilinear")
        axes.axis("off")
        for left, top, right, low in boxes:
            _outline(axes, (left, top), (low - top, right - left), OUTLINES[1], 1.0)
        for window in windows:
            _outline_window(axes, window, OUTLINES[0], 2.2)
        words.append(f"{name}: {draw._count(len(windows), 'window')}, {share:.0%} of the work")
    figure.alt_text = f"The same street {len(ways)} times, with {draw._count(len(boxes), 'box')}. {'; '.join(words)}."
    return figure


def amdahl(runs):
    """Amdahl's law: the time of a frame against the work of the depth head, and what the clock said.

    Args:
        runs: Dict of a name to the dictionary of a benchmark: ``head_share``, ``head_work``, ``roi_over_full`` and
            ``roi_over_full_range``.

    Returns:
        Figure. A mark is the median of the paired times, its bar their range from 5 to 95 %.
    """
    figure = draw._new_figure(7.6, 3.5)
    axes = draw._add_axes(figure, 0.8, 0.55, 4.2, 2.8)
    work, words = np.array([0.0, 1.0]), []
    for (name, run), (color, line, marker) in zip(runs.items(), draw.LINES, strict=False):
        share = run["head_share"]
        axes.plot(100 * work, 100 * (1 - share + share * work), color=color, linestyle=line, linewidth=2,
                  label=f"{name}: head {share:.0%},\nnever under {1 - share:.0%}")  # fmt: skip
        low, high = run["roi_over_full_range"]
        spread = 100 * np.array([[run["roi_over_full"] - low], [high - run["roi_over_full"]]])
        axes.errorbar(100 * run["head_work"], 100 * run["roi_over_full"], spread, marker=marker, markersize=9,
                      color=color, markeredgecolor=draw.EDGE, linestyle="none", elinewidth=2, capsize=5,
                      label=f"{name}: by the clock,\nmedian, 5 to 95 %")  # fmt: skip
        words.append(
            f"{name}: the head takes {share:.0%} of a full frame's time, so no saving in it can bring the frame under "
            f"{1 - share:.0%}; measured {run['roi_over_full']:.0%} with {run['head_work']:.0%} of the head's work, "
            f"a bar from {low:.0%} to {high:.0%}"
        )
    axes.plot(100 * work, 100 * work, color="#8A8A8A", linewidth=1.2)
    axes.annotate("if a frame were the head alone", (62, 62), xytext=(44, 36), fontsize=9, color="#555555",
                  arrowprops={"arrowstyle": "-", "color": "#8A8A8A"})  # fmt: skip
    highest = max([1.0, *(run["roi_over_full_range"][1] for run in runs.values())])
    axes.set(xlabel="work of the depth head, % of full decoding", ylabel="time of a frame, % of full decoding",
             xlim=(0, 100), ylim=(0, 105 * highest))  # fmt: skip
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.7)
    handles, names = axes.get_legend_handles_labels()
    order = np.argsort(names)  # a line and its mark beside each other
    axes.legend([handles[i] for i in order], [names[i] for i in order], loc="center left", bbox_to_anchor=(1.04, 0.55),
                fontsize=9.5, frameon=False, labelspacing=1.0, handlelength=3)  # fmt: skip
    figure.alt_text = f"Amdahl's law. Time of a frame against work of the depth head. {'; '.join(words)}."
    return figure


def _outline_window(axes, window, style, linewidth=1.8):
    top, left, bottom, right = np.asarray(window) * STRIDE
    _outline(axes, (left - 0.5, top - 0.5), (bottom - top, right - left), style, linewidth)


def _outline(axes, corner, size, style, linewidth=1.8):
    """An outline over a photo. corner is (x, y), size is (height, width)."""
    color, line = style
    rectangle = Rectangle(corner, size[1], size[0], fill=False, edgecolor=color, linestyle=line, linewidth=linewidth)
    rectangle.set_path_effects([withStroke(linewidth=linewidth + 1.8, foreground=draw.EDGE, alpha=0.75)])
    axes.add_patch(rectangle)
