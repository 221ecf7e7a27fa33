"""Figures of lesson 10: errors by range with intervals, the ways to a network side by side, crops of what went wrong.

As in `draw`, each comes with its ``alt_text``. Shares from 0 to 1 come in and are drawn in points, a hundredth each.

>>> row = {"from_m": 0, "to_m": 10, "abs_rel": 0.2, "abs_rel_interval": (0.1, 0.3), "count": 7}
>>> errors_by_range({"network": [row]}).alt_text
'Distance error by range, in percent, with 95 % intervals. network: 0 to 10 m 20 (10 to 30).'
"""

import numpy as np
from matplotlib.lines import Line2D

from . import draw

WAYS = {"streets": draw.LINES[0], "real": draw.LINES[2], "streets, then real": draw.LINES[1]}
"""How each way of :func:`recipes` is drawn: colour, line style, mark."""
MEASURES = (("ap50_moderate", "Car AP50, KITTI moderate, points", "higher is better →"),
            ("abs_rel", "distance error, AbsRel, points", "← lower is better"))  # fmt: skip
GRID = 2, 3
"""Rows and columns of :func:`crops`, always: a notebook's figure has the same size whatever is shown."""
CROP = 3 / 2
"""Width over height of a crop."""


def errors_by_range(series, title=None):
    """Mean relative distance error by range, a mark with its interval for each.

    Args:
        series: Dict of a name to rows with ``from_m``, ``to_m``, ``abs_rel``, ``abs_rel_interval`` and ``count``
            (`measures.summarise`, ``by_range``); ranges without an object are left out.
        title: Text above.

    Returns:
        Figure.

    Raises:
        ValueError: if there is no series, there are more than lines, or nothing was measured.
    """
    known = {name: [row for row in rows if row["abs_rel"] is not None] for name, rows in series.items()}
    if not 1 <= len(known) <= len(draw.LINES) or not all(known.values()):
        raise ValueError(f"series: wanted 1 to {len(draw.LINES)}, each with a range that was measured")
    ranges = sorted({(row["from_m"], row["to_m"]) for rows in known.values() for row in rows})
    figure = draw._new_figure(8.6, 3.9 if title else 3.6)
    axes = draw._add_axes(figure, 0.75, 0.6, 5.6, 2.9)
    words, step = [], 0.62 / len(known)
    for number, ((name, rows), (color, _, marker)) in enumerate(zip(known.items(), draw.LINES, strict=False)):
        places, texts = [], []
        for row in rows:
            place = ranges.index((row["from_m"], row["to_m"])) + step * (number - (len(known) - 1) / 2)
            places.append((place, 100 * row["abs_rel"]))
            text = f"{row['from_m']:g} to {row['to_m']:g} m {100 * row['abs_rel']:.0f}"
            if row["abs_rel_interval"]:
                low, high = (100 * end for end in row["abs_rel_interval"])
                axes.plot([place, place], [low, high], color=color, linewidth=1.6)
                text += f" ({low:.0f} to {high:.0f})"
            texts.append(text)
        axes.plot(*zip(*places, strict=True), color=color, marker=marker, markersize=7, linestyle="none", label=name)
        words.append(f"{name}: {', '.join(texts)}.")
    axes.set_xticks(range(len(ranges)), labels=[f"{low:g}–{high:g}" for low, high in ranges])
    axes.set(xlabel="true distance in m", ylabel="error in %", ylim=(0, None), xlim=(-0.5, len(ranges) - 0.5))
    for edge in range(1, len(ranges)):
        axes.axvline(edge - 0.5, color="#DDDDDD", linewidth=0.8, zorder=0)
    axes.set_title(title or "", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9.5, frameon=False, labelspacing=0.9)
    start = draw._sentence(title or "Distance error by range, in percent, with 95 % intervals")
    figure.alt_text = start + " ".join(words)
    return figure


def recipes(figures, title=None):
    """The ways to a network, a row each: average precision at the left, distance error at the right, with intervals.

    Args:
        figures: Dict of the name of a recipe (`roads.Recipe.name`) to what `measures.summarise` says of it.
        title: Text above.

    Returns:
        Figure. The mark says on what a network was trained.

    Raises:
        ValueError: if there is no recipe.
    """
    if not figures:
        raise ValueError("figures: wanted a recipe at least")
    tall = 0.34 * len(figures)
    figure = draw._new_figure(11.4, tall + (1.55 if title else 1.25))
    panels = [draw._add_axes(figure, left, 0.9, 2.2, tall) for left in (4.2, 7.85)]
    words = {name: [] for name in figures}
    for axes, (measure, label, side) in zip(panels, MEASURES, strict=True):
        for place, (name, each) in enumerate(figures.items()):
            color, _, marker = WAYS[_way(name)]
            value, interval = _measured(each, measure)
            text = "-"
            if value is not None:
                text = f"{100 * value:.1f}"
                axes.plot(100 * value, place, color=color, marker=marker, markersize=7.5, zorder=3)
            if interval:
                low, high = (100 * end for end in interval)
                axes.plot([low, high], [place, place], color=color, linewidth=1.8, zorder=2)
                text += f"  ({low:.0f} to {high:.0f})"
            axes.text(1.56, place, text, transform=axes.get_yaxis_transform(), fontsize=9.5, va="center", ha="right")
            words[name].append(text)
        axes.set_ylim(len(figures) - 0.4, -0.6)
        axes.set_yticks(range(len(figures)), labels=list(figures) if axes is panels[0] else [""] * len(figures))
        axes.tick_params(axis="y", length=0, labelsize=9.5)
        axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.margins(x=0.06)
        axes.set_xlabel(f"{label}\n{side}", fontsize=9.5)
    if title:
        panels[0].set_title(title, fontsize=11, loc="left", x=-1.75, pad=12)
    handles = [
        Line2D([], [], color=color, marker=marker, linestyle="none", markersize=7.5, label=f"trained on {way}")
        for way, (color, _, marker) in WAYS.items() if way in map(_way, figures)
    ]  # fmt: skip
    figure.legend(handles=handles, loc="lower center", ncols=3, fontsize=9.5, frameon=False, borderaxespad=0.1)
    texts = (f"{name}: {precision}; {error}." for name, (precision, error) in words.items())
    figure.alt_text = (
        f"{draw._sentence(title)}Car AP50 by KITTI's moderate rules and distance error, both in points, with 95 % "
        f"intervals. {' '.join(texts)}"
    )
    return figure


def _way(name):
    """On what a recipe trains, without the looks of its streets."""
    return name.split(";")[0].replace("varied ", "").replace("plain ", "")


def _measured(figures, measure):
    part = figures["detection"]["Car"] if measure.startswith("ap") else figures["distance"]["all"]
    return part[measure], part[f"{measure}_interval"]


def crops(found, title=None):
    """Parts of photos, each around one object with its box, and above it what was said and what is true.

    Args:
        found: Tuples of image (height, width, 3) uint8, object with ``name``, ``box`` and ``distance_m``, and its true
            distance in metres; the first six are shown.
        title: Text above.

    Returns:
        Figure. It has six places; those for which there is nothing stay empty.
    """
    rows, columns = GRID
    width, height, gap = 3.1, 3.1 / CROP, 0.34
    figure = draw._new_figure(columns * (width + 0.1), rows * (height + gap) + (0.3 if title else 0))
    words = []
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        place = 0.05 + column * (width + 0.1), (rows - 1 - row) * (height + gap)
        axes = draw._add_axes(figure, *place, width, height)
        axes.axis("off")
        if number >= len(found):
            continue
        image, each, true = found[number]
        left, top, right, bottom = _around(each.box, draw._checked_image(image).shape)
        axes.imshow(image[top:bottom, left:right], extent=(left - 0.5, right - 0.5, bottom - 0.5, top - 0.5),
                    aspect="auto", interpolation="bilinear")  # fmt: skip
        style = draw._style(each)
        draw._outline(axes, each.box, style["color"], style["line"], casing=draw.EDGE)
        text = f"{each.name}: says {each.distance_m:.1f} m, true {true:.1f} m"
        axes.set_title(text, fontsize=9.5, loc="left", pad=3)
        words.append(f"{text}.")
    if title:
        figure.text(0.005, 0.995, title, fontsize=11, va="top")
    figure.alt_text = f"{draw._sentence(title)}Crops of photos with boxes. {' '.join(words) or 'Nothing was found.'}"
    return figure


def _around(box, shape):
    """(left, top, right, bottom) of a crop around a box, twice as large, as far as the photo reaches."""
    left, top, right, bottom = box
    height = min(2.2 * max(bottom - top, (right - left) / CROP, 10), shape[0], shape[1] / CROP)
    sides = []
    for middle, size, limit in (((left + right) / 2, height * CROP, shape[1]), ((top + bottom) / 2, height, shape[0])):
        start = int(np.clip(middle - size / 2, 0, limit - size))
        sides.append((start, min(limit, start + max(2, round(size)))))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom
