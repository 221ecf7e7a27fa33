"""Diagrams of an experiment: every run, paired differences with intervals, and what two tasks cost one another.

As in `draw`, every figure has its ``alt_text``; `draw.show` displays it. Figures come in as shares, from 0 to 1, and
are drawn in points, a hundredth each.

>>> runs({"a": {1: 0.25, 2: 0.27}, "b": {1: 0.26, 2: 0.30}}, "AP50").alt_text
'Every run, AP50 in points. a: mean 26.0, 25.0 to 27.0. b: mean 28.0, 26.0 to 30.0.'
"""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from . import draw

LIMIT = 0.05
"""A corrected p below it counts as told apart."""
VERDICTS = {"better": draw.LINES[3], "worse": draw.LINES[4], "not told apart": draw.LINES[0]}
"""How each verdict of :func:`forest` is drawn: colour, line style, mark; the last one hollow."""


def runs(values, measure, title=None):
    """A row per arm and a mark per run: seeds keep their mark in all rows, so that good and bad luck can be followed.

    Args:
        values: Dict of an arm to a dict of its seeds to figures from 0 to 1; at most six seeds.
        measure: What the figures are, such as "AP50".
        title: Text above.

    Returns:
        Figure. A vertical stroke is the mean of the row.

    Raises:
        ValueError: if there is no arm, an arm has no figure, or there are more seeds than marks.
    """
    seeds = sorted({seed for row in values.values() for seed in row})
    if not values or not all(values.values()):
        raise ValueError("values: wanted an arm at least, and a figure at least of every arm")
    if len(seeds) > len(draw.LINES):
        raise ValueError(f"values: {len(seeds)} seeds, but only {len(draw.LINES)} marks that can be told apart")
    tall = 0.28 * len(values)
    figure = draw._new_figure(8.2, tall + (1.2 if title else 0.9))
    axes = draw._add_axes(figure, 2.35, 0.55, 4.7, tall)
    words = []
    for place, (arm, row) in enumerate(values.items()):
        points = {seed: 100 * value for seed, value in row.items()}
        mean = np.mean(list(points.values()))
        axes.plot([mean, mean], [place - 0.36, place + 0.36], color=draw.EDGE, linewidth=2.5, zorder=2)
        for seed, value in points.items():
            index = seeds.index(seed)
            color, _, marker = draw.LINES[index]
            height = place + 0.13 * (index - (len(seeds) - 1) / 2)  # beside one another where figures are alike
            axes.plot(value, height, color=color, marker=marker, markersize=7, markeredgecolor="white",
                      markeredgewidth=0.5, zorder=3)  # fmt: skip
        low, high = min(points.values()), max(points.values())
        words.append(f"{arm}: mean {mean:.1f}, {low:.1f} to {high:.1f}.")
    _name_rows(axes, list(values))
    axes.set_xlabel(f"{measure} in points")
    axes.set_title(title or "", fontsize=11, loc="left")
    handles = [
        Line2D([], [], color=color, marker=marker, linestyle="none", markersize=6, label=f"seed {seed}")
        for seed, (color, _, marker) in zip(seeds, draw.LINES, strict=False)
    ]
    handles.append(Line2D([], [], color=draw.EDGE, marker="|", markersize=11, markeredgewidth=2.5, linestyle="none"))
    handles[-1].set_label("mean")
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9.5, frameon=False)
    figure.alt_text = f"{draw._sentence(title)}Every run, {measure} in points. {' '.join(words)}"
    return figure


def verdict(row, higher_is_better=True):
    """What a comparison says: "better" or "worse" than the baseline, or "not told apart".

    Args:
        row: A dict with ``mean`` and, of `study_answers.compare`, ``p_holm``; without a p the ``interval`` decides,
            which tells apart if it does not cover 0.
        higher_is_better: Whether a positive mean is good.
    """
    low, high = row["interval"]
    told_apart = row["p_holm"] < LIMIT if "p_holm" in row else low > 0 or high < 0
    if not told_apart:
        return "not told apart"
    return "better" if (row["mean"] > 0) == higher_is_better else "worse"


def in_words(rows, higher_is_better=True):
    """Differences as text, a line per row: points, interval, corrected p if there is one, verdict.

    Args:
        rows: As for :func:`forest`.
        higher_is_better: Whether a positive difference is good.
    """
    lines = []
    for row in rows:
        mean, *others = _numbers(row)
        p = f"  p {others[0]:<9}" if others else "  "
        lines.append(f"  {row['arm']:<{28 if others else 36}}{mean:>26}{p}{verdict(row, higher_is_better)}")
    return "\n".join(lines)


def forest(rows, measure, baseline, title=None, higher_is_better=True):
    """Differences from a baseline, a row each, with their intervals and the numbers beside them.

    Args:
        rows: Of `study_answers.compare`: dicts with ``arm``, ``mean``, ``interval``, ``bootstrap_interval``,
            ``p_holm`` and ``smallest_effect``, differences from -1 to 1. Without the last three (`roads.compare`),
            the interval is the bootstrap's own and decides what is told apart, and all rows are shown to their ends.
        measure: What is compared, such as "AP50".
        baseline: Name of what every row is compared with: the line at 0.
        title: Text above.
        higher_is_better: Whether a positive difference is good.

    Returns:
        Figure. A thin line is Student's interval, a thick one the bootstrap's; the mark says what is told apart.
        A row more than three times as far away as the middle one is cut off at the rim, its numbers stay.

    Raises:
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("rows: nothing to compare")
    students, tall = "p_holm" in rows[0], 0.34 * len(rows)
    figure = draw._new_figure(9.6, tall + (1.75 if title else 1.45))
    axes = draw._add_axes(figure, *((2.25, 0.95, 3.6) if students else (2.75, 0.95, 4.5)), tall)
    reaches = np.array([max(map(abs, row["interval"])) for row in rows])
    limit = 108 * max(reaches[reaches <= 3 * np.median(reaches)] if students else reaches)
    axes.axvline(0, color=draw.EDGE, linewidth=1.2, zorder=1)
    words = []
    columns = dict(zip(("difference  (95 %)", "p, Holm", "visible"), COLUMNS if students else (1.5,), strict=False))
    for place, row in enumerate(rows):
        said = verdict(row, higher_is_better)
        color, _, marker = VERDICTS[said]
        mean = 100 * row["mean"]
        if students:
            axes.plot([100 * end for end in row["interval"]], [place, place], color=color, linewidth=1.4, zorder=2)
        bootstrap = row["bootstrap_interval" if students else "interval"]
        axes.plot([100 * end for end in bootstrap], [place, place], color=color, linewidth=6,
                  alpha=0.35, solid_capstyle="butt", zorder=2)  # fmt: skip
        if abs(mean) < limit:
            face = "white" if said == "not told apart" else color
            axes.plot(mean, place, color=color, marker=marker, markersize=7.5, markerfacecolor=face, zorder=3)
        else:
            arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 1.6}
            rim = np.copysign(limit, mean)
            axes.annotate("", (rim, place), xytext=(0.82 * rim, place), arrowprops=arrow)
        cells = _numbers(row)
        for text, column in zip(cells, columns.values(), strict=True):
            axes.text(column, place, text, transform=axes.get_yaxis_transform(), fontsize=9.5, va="center", ha="right")
        p = f"p {cells[1]}, " if students else ""
        words.append(f"{row['arm']}: {cells[0]}, {p}{said}.")
    _name_rows(axes, [row["arm"] for row in rows])
    axes.set_xlim(-limit, limit)
    for text, column in columns.items():
        axes.text(column, -0.75, text, transform=axes.get_yaxis_transform(), fontsize=9.5, va="bottom", ha="right",
                  color="#444444")  # fmt: skip
    sides = ("worse", "better") if higher_is_better else ("better", "worse")
    axes.set_xlabel(f"← {sides[0]}    {measure} minus that of {baseline}, points    {sides[1]} →")
    if title:
        axes.set_title(title, fontsize=11, loc="left", pad=22, x=-0.6)
    handles = [
        Line2D([], [], color=color, marker=marker, linestyle="none", markersize=7.5, label=name,
               markerfacecolor="white" if name == "not told apart" else color)
        for name, (color, _, marker) in VERDICTS.items()
    ]  # fmt: skip
    if students:
        handles.append(Line2D([], [], color="#555555", linewidth=1.4, label="Student's interval"))
    handles.append(Line2D([], [], color="#555555", linewidth=6, alpha=0.35, label="the bootstrap's"))
    if not students:
        handles[-1].set_label("95 % interval")
    figure.legend(handles=handles, loc="lower center", ncols=5, fontsize=9.5, frameon=False, borderaxespad=0.3)
    whose = "Student's" if students else "its"
    figure.alt_text = (
        f"{draw._sentence(title)}{measure} minus that of {baseline}, in points, with "
        f"{whose} 95 % interval. " + " ".join(words)
    )
    return figure


COLUMNS = (1.58, 1.78, 2.0)
"""Right ends of the columns of numbers in :func:`forest`, as shares of the axes' width."""


def tradeoff(sweep, ways, corner, title=None):
    """Two tasks against one another: depth error to the right, AP50 upwards, so the upper left is best.

    Args:
        sweep: Dict of a weight to (abs_rel, AP50), means from 0 to 1, in the order of the weights: joined by a line.
        ways: Dict of a name to (abs_rel, AP50): at most four other ways, each with its own mark.
        corner: (abs_rel, AP50) of two networks, one per task.
        title: Text above.

    Returns:
        Figure. What lies above and left of the dotted lines is better than two networks at both tasks.

    Raises:
        ValueError: if the sweep is empty or there are too many ways.
    """
    if not sweep or len(ways) > len(draw.LINES) - 2:
        raise ValueError(f"wanted a sweep, and at most {len(draw.LINES) - 2} other ways; got {len(sweep)}, {len(ways)}")
    figure = draw._new_figure(8.2, 4.1 if title else 3.8)
    axes = draw._add_axes(figure, 0.75, 0.6, 4.6, 3.1)
    (color, line, marker), *looks = draw.LINES[:-1]
    across, up = 100 * np.array(list(sweep.values())).T
    axes.plot(across, up, color=color, linestyle=line, marker=marker, markersize=6, linewidth=1.6,
              label="joint, fixed weight\nof the depth loss")  # fmt: skip
    for (name, place), (color, _, marker) in zip(ways.items(), looks, strict=False):
        axes.plot(*(100 * np.array(place)), color=color, marker=marker, markersize=8, linestyle="none", label=name)
    color, _, marker = draw.LINES[-1]
    x, y = 100 * np.array(corner)
    axes.plot(x, y, color=color, marker=marker, markersize=10, linestyle="none", label="two networks")
    axes.axvline(x, color=color, linestyle=":", linewidth=1, zorder=1)
    axes.axhline(y, color=color, linestyle=":", linewidth=1, zorder=1)
    axes.margins(0.12, 0.14)
    _name_marks(axes, [f"{name:g}" for name in sweep], list(zip(across, up, strict=True)), draw.LINES[0][0])
    axes.set(xlabel="← better    depth error, AbsRel in points", ylabel="AP50 in points    better →")
    axes.set_title(title or "", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9.5, frameon=False, labelspacing=0.9)
    places = [*((f"weight {name:g}", place) for name, place in sweep.items()), *ways.items(), ("two networks", corner)]
    words = " ".join(f"{name}: AP50 {100 * up:.1f}, depth error {100 * across:.1f}." for name, (across, up) in places)
    figure.alt_text = f"{draw._sentence(title)}AP50 against depth error, in points; upper left is best. {words}"
    return figure


def epochs(curves, measure, title=None):
    """A line per seed, epoch by epoch, with a ring around the best epoch of each.

    Args:
        curves: Dict of a seed to its figures, from 0 to 1, one per epoch; at most six seeds.
        measure: What the figures are, such as "AP50": higher is better.
        title: Text above.

    Returns:
        Figure.

    Raises:
        ValueError: if there is no seed, there are more than marks, or one has no epoch.
    """
    if not 1 <= len(curves) <= len(draw.LINES) or not all(len(figures) for figures in curves.values()):
        raise ValueError(f"curves: wanted 1 to {len(draw.LINES)} seeds with an epoch or more each, got {len(curves)}")
    figure = draw._new_figure(7.4, 3.6 if title else 3.3)
    axes = draw._add_axes(figure, 0.75, 0.6, 4.9, 2.6)
    words = []
    for (seed, figures), (color, line, marker) in zip(curves.items(), draw.LINES, strict=False):
        points = 100 * np.asarray(figures, dtype=float)
        number, best = np.arange(1, len(points) + 1), int(points.argmax())
        axes.plot(number, points, color=color, linestyle=line, marker=marker, markersize=5, linewidth=1.8,
                  label=f"seed {seed}")  # fmt: skip
        axes.plot(best + 1, points[best], color=color, marker="o", markersize=13, markerfacecolor="none",
                  markeredgewidth=1.6, linestyle="none", zorder=4)  # fmt: skip
        words.append(f"seed {seed}: last {points[-1]:.1f}, best {points[best]:.1f} in epoch {best + 1}.")
    axes.set(xlabel="epoch", ylabel=f"{measure} in points")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title or "", fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.7)
    ring = Line2D([], [], color="#555555", marker="o", markersize=11, markerfacecolor="none", linestyle="none")
    ring.set_label("best epoch")
    handles, _ = axes.get_legend_handles_labels()
    axes.legend(handles=[*handles, ring], loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9.5, frameon=False,
                handlelength=3)  # fmt: skip
    figure.alt_text = f"{draw._sentence(title)}{measure} in points, epoch by epoch. {' '.join(words)}"
    return figure


def _name_rows(axes, names):
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=9.5)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _name_marks(axes, names, places, color):
    """Writes a short name beside each place, on the side that lies farthest from all marks and other names."""
    axes.autoscale_view()
    marks = [point for line in axes.lines[:-2] for point in line.get_xydata()]
    between = [np.add(start, share * np.subtract(end, start)) for start, end in zip(places, places[1:], strict=False)
               for share in np.linspace(0.05, 0.95, 19)]  # fmt: skip
    taken = [axes.transData.transform(point) for point in [*marks, *between]]
    for name, place in zip(names, places, strict=True):
        here = axes.transData.transform(place)
        others = [each for each in taken if np.hypot(*(each - here)) > 1e-6]
        sides = [here + side for side in ((0, 16), (0, -16), (18, 0), (-18, 0))]
        best = max(sides, key=lambda side: min([99.0, *(np.hypot(*(side - each)) for each in others)]))
        taken.append(best)
        axes.text(*axes.transData.inverted().transform(best), name, fontsize=9.5, ha="center", va="center", color=color,
                  path_effects=[withStroke(linewidth=2.5, foreground="white")], zorder=5)  # fmt: skip


def _numbers(row):
    """Difference with interval and, where they are known, corrected p and smallest effect of a row, as texts."""
    mean, low, high = (100 * value for value in (row["mean"], *row["interval"]))
    difference = f"{mean:+.2f}  ({low:+.2f} to {high:+.2f})"
    if "p_holm" not in row:
        return (difference,)
    p = row["p_holm"]
    return difference, "< 0.001" if p < 0.0005 else f"{p:.3f}", f"{100 * row['smallest_effect']:.1f}"
