"""Bars of what takes how long, part by part.

As in `draw`, a figure has its ``alt_text``; `draw.show` displays it.

>>> bars({"full": {"detection": 60, "depth": 40}, "ROI": {"detection": 60, "depth": 9}}, "ms").alt_text
'Bars, ms. full: detection 60, depth 40, in all 100. ROI: detection 60, depth 9, in all 69.'
"""

from matplotlib.patches import Patch

from . import draw

HATCHES = ("", "///", "...", "xx", "\\\\", "++")
"""Of the parts of a bar, besides the colours of `draw.LINES`."""


def bars(rows, unit, title=None):
    """A bar per row, its parts one behind the other, the sum at its end.

    Args:
        rows: Dict of a row's name to a dict of its parts, name to a number of at least 0; all rows name parts from the
            same six or fewer. A row may lack some.
        unit: What the numbers are, such as "ms".
        title: Text above.

    Returns:
        Figure.

    Raises:
        ValueError: if there is no row, a row has no part, a number is negative or not finite, or there are more parts
            than can be told apart.
    """
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    if not rows or not all(rows.values()) or len(parts) > len(draw.LINES):
        raise ValueError(f"rows: wanted one at least, each with a part, and at most {len(draw.LINES)} kinds of parts")
    if not all(0 <= value < float("inf") for row in rows.values() for value in row.values()):
        raise ValueError("rows: a bar is as long as its parts, which are finite numbers of at least 0")
    tall = 0.3 * len(rows)
    figure = draw._new_figure(8.2, tall + (1.3 if title else 1.05))
    axes = draw._add_axes(figure, 2.4, 0.8, 5.2, tall)
    for place, row in enumerate(rows.values()):
        _draw_bar(axes, place, row, parts)
    longest = max(sum(row.values()) for row in rows.values())
    axes.set_yticks(range(len(rows)), list(rows), fontsize=10)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1.12 * longest or 1), xlabel=unit)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title or "", fontsize=11, loc="left")
    if len(parts) > 1:
        _draw_key(figure, parts)
    words = " ".join(f"{name}: {_in_words(row)}." for name, row in rows.items())
    figure.alt_text = f"{draw._sentence(title)}Bars, {unit}. {words}"
    return figure


def _draw_bar(axes, place, row, parts):
    start = 0.0
    for part, length in row.items():
        number = parts.index(part)
        style = {"color": draw.LINES[number][0], "hatch": HATCHES[number], "edgecolor": "white"}
        axes.barh(place, length, left=start, height=0.72, linewidth=0.8, **style)
        start += length
    axes.annotate(_brief(start), (start, place), (4, 0), textcoords="offset points", va="center", fontsize=9.5)


def _draw_key(figure, parts):
    handles = [
        Patch(facecolor=color, hatch=hatch, edgecolor="white", label=part)
        for part, (color, *_), hatch in zip(parts, draw.LINES, HATCHES, strict=False)
    ]
    figure.legend(handles=handles, loc="lower right", ncols=len(parts), fontsize=9.5, frameon=False)


def _in_words(row):
    parts = ", ".join(f"{part} {_brief(length)}" for part, length in row.items())
    return f"{parts}, in all {_brief(sum(row.values()))}" if len(row) > 1 else parts


def _brief(value):
    return f"{value:.0f}" if value >= 20 else f"{value:.3g}"
