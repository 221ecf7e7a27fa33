"""Figures of lesson 09: marks stand where the figures are, verdicts follow the corrected p, the alt text says it."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from roidepth_lessons import comparison, draw, draw_study

VALUES = {"alone": {1: 0.25, 2: 0.27, 3: 0.30}, "joint": {1: 0.26, 3: 0.32}}


def row(arm="joint", mean=0.02, low=0.01, high=0.03, p_holm=0.2, visible=0.015):
    return {
        "arm": arm, "mean": mean, "interval": (low, high), "bootstrap_interval": (low + 0.002, high - 0.002),
        "p_holm": p_holm, "smallest_effect": visible,
    }  # fmt: skip


def marks(axes):
    """(x, y, mark, face, edge) of every mark that is drawn alone."""
    lines = [line for line in axes.lines if len(line.get_xdata()) == 1]
    return [
        (
            float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_marker(),
            to_hex(line.get_markerfacecolor()).upper(), to_hex(line.get_color()).upper(),
        )
        for line in lines
    ]  # fmt: skip


def written(axes):
    return [text.get_text() for text in axes.texts]


# Every run -----------------------------------------------------------------------------------------------------------


def test_every_run_has_the_mark_of_its_seed_in_the_row_of_its_arm():
    (axes,) = (figure := draw_study.runs(VALUES, "AP50", "All")).axes
    found = {(round(x, 6), round(y), mark) for x, y, mark, *_ in marks(axes)}
    looks = [mark for _, _, mark in draw.LINES]
    assert found == {(25, 0, looks[0]), (27, 0, looks[1]), (30, 0, looks[2]), (26, 1, looks[0]), (32, 1, looks[2])}
    assert [text.get_text() for text in axes.get_yticklabels()] == ["alone", "joint"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is on top
    strokes = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
    assert strokes == pytest.approx([82 / 3, 29])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["seed 1", "seed 2", "seed 3", "mean"]
    assert figure.alt_text == (
        "All. Every run, AP50 in points. alone: mean 27.3, 25.0 to 30.0. joint: mean 29.0, 26.0 to 32.0."
    )


def test_equal_figures_of_two_seeds_do_not_hide_one_another():
    (axes,) = draw_study.runs({"a": dict.fromkeys(range(1, 6), 0.5)}, "AP50").axes
    heights = [y for _, y, *_ in marks(axes)]
    assert len(set(heights)) == 5
    assert max(map(abs, heights)) < 0.4


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "wanted an arm"),
        ({"a": {1: 0.1}, "b": {}}, "wanted an arm"),
        ({"a": dict.fromkeys(range(7), 1)}, "7 seeds"),
    ],
)
def test_runs_that_cannot_be_drawn_are_named(values, said):
    with pytest.raises(ValueError, match=said):
        draw_study.runs(values, "AP50")


# Paired differences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "p", "higher", "said"),
    [
        (0.1, 0.049, True, "better"),
        (-0.1, 0.049, True, "worse"),
        (0.1, 0.049, False, "worse"),
        (-0.1, 0.049, False, "better"),
        (0.1, 0.05, True, "not told apart"),
        (-0.1, np.nan, True, "not told apart"),
    ],
)
def test_a_verdict_goes_by_the_corrected_p_and_the_side_that_is_better(mean, p, higher, said):
    assert draw_study.verdict(row(mean=mean, p_holm=p), higher) == said


def test_differences_intervals_and_numbers_stand_in_the_row_of_their_arm():
    rows = [row("up", 0.02, 0.01, 0.03, 0.01), row("down", -0.01, -0.02, 0.0, 0.0001), row("open", 0.001, -0.02, 0.022)]
    (axes,) = (figure := draw_study.forest(rows, "AP50", "alone", "Who?")).axes
    for place, (name, each) in enumerate(zip(("better", "worse", "not told apart"), rows, strict=True)):
        color, _, mark = draw_study.VERDICTS[name]
        face = "#FFFFFF" if name == "not told apart" else color
        assert (pytest.approx(100 * each["mean"]), place, mark, face, color) in marks(axes)
        thin, thick = [line for line in axes.lines if list(line.get_ydata()) == [place, place]]
        assert list(thin.get_xdata()) == pytest.approx([100 * end for end in each["interval"]])
        assert list(thick.get_xdata()) == pytest.approx([100 * end for end in each["bootstrap_interval"]])
        assert thick.get_linewidth() > 2 * thin.get_linewidth()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["up", "down", "open"]
    assert written(axes)[:6] == ["+2.00  (+1.00 to +3.00)", "0.010", "1.5", "-1.00  (-2.00 to +0.00)", "< 0.001", "1.5"]
    assert axes.get_xlabel() == "← worse    AP50 minus that of alone, points    better →"
    assert figure.alt_text == (
        "Who? AP50 minus that of alone, in points, with Student's 95 % interval. "
        "up: +2.00  (+1.00 to +3.00), p 0.010, better. down: -1.00  (-2.00 to +0.00), p < 0.001, worse. "
        "open: +0.10  (-2.00 to +2.20), p 0.200, not told apart."
    )


def test_the_text_says_what_the_picture_says():
    rows = [row("up", 0.02, 0.01, 0.03, 0.01), row("detection alone, wider head", -0.01, -0.02, 0.0, 0.0001)]
    assert draw_study.in_words(rows).splitlines() == [
        "  up                             +2.00  (+1.00 to +3.00)  p 0.010    better",
        "  detection alone, wider head    -1.00  (-2.00 to +0.00)  p < 0.001  worse",
    ]
    assert draw_study.in_words(rows, higher_is_better=False).splitlines()[0].endswith("worse")


def test_without_a_p_the_interval_decides():
    rows = [
        {"arm": "up", "mean": 0.02, "interval": (0.01, 0.03)},
        {"arm": "down", "mean": -0.02, "interval": (-0.03, -0.01)},
        {"arm": "open", "mean": 0.02, "interval": [0.0, 0.03]},
    ]
    assert [draw_study.verdict(each) for each in rows] == ["better", "worse", "not told apart"]
    assert [draw_study.verdict(each, higher_is_better=False) for each in rows] == ["worse", "better", "not told apart"]
    (axes,) = (figure := draw_study.forest(rows, "AP50", "the same without it", "What helps?")).axes
    assert written(axes) == [
        "+2.00  (+1.00 to +3.00)", "-2.00  (-3.00 to -1.00)", "+2.00  (+0.00 to +3.00)", "difference  (95 %)",
    ]  # fmt: skip
    for place, each in enumerate(rows):
        (thick,) = [line for line in axes.lines if list(line.get_ydata()) == [place, place]]
        assert list(thick.get_xdata()) == pytest.approx([100 * end for end in each["interval"]])
    assert axes.get_xlim()[1] > 3
    far = [rows[0] | {"mean": 0.5, "interval": (0.4, 0.6)}, *rows[1:]]
    assert draw_study.forest(far, "AP50", "nothing").axes[0].get_xlim()[1] > 60  # what brings most is not cut off
    assert "Student" not in figure.alt_text
    assert "with its 95 % interval. up: +2.00  (+1.00 to +3.00), better. down: " in figure.alt_text
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "95 % interval"
    assert draw_study.in_words(rows[:1]) == f"  {'up':<36}   +2.00  (+1.00 to +3.00)  better"


def test_of_an_error_the_better_side_is_the_left_one():
    figure = draw_study.forest([row(p_holm=0.01)], "depth error", "alone", higher_is_better=False)
    assert figure.axes[0].get_xlabel().startswith("← better")
    assert figure.alt_text.endswith("worse.")


def test_an_arm_far_away_does_not_squeeze_the_others():
    rows = [*(row(str(number), 0.01, 0.0, 0.02) for number in range(4)), row("far", -0.3, -0.31, -0.29, 0.001)]
    (axes,) = draw_study.forest(rows, "AP50", "alone").axes
    low, high = axes.get_xlim()
    assert (low, high) == (pytest.approx(-2.16), pytest.approx(2.16))
    assert len(marks(axes)) == 4
    (arrow,) = [text for text in axes.texts if getattr(text, "arrow_patch", None)]
    assert arrow.xy == (pytest.approx(-2.16), 4)
    assert "-30.00  (-31.00 to -29.00)" in written(axes)


@pytest.mark.parametrize("count", [1, 12])
def test_names_and_numbers_lie_inside_the_picture_and_on_nothing(count):
    rows = [row("detection alone, wider head", -0.1234, -0.2345, -0.0123) for _ in range(count)]
    figure = draw_study.forest(rows, "depth error", "detection alone", "A title", higher_is_better=False)
    (axes,) = figure.axes
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    texts = [*axes.texts, *axes.get_yticklabels(), axes.xaxis.label, *figure.legends[0].get_texts()]
    texts.append(next(text for text in axes.get_children() if getattr(text, "get_text", str)() == "A title"))
    extents = [text.get_window_extent(renderer) for text in texts]
    panel = axes.get_window_extent(renderer)
    for index, (text, extent) in enumerate(zip(texts, extents, strict=True)):
        assert 0 <= extent.x0 < extent.x1 <= figure.bbox.x1, text.get_text()
        assert 0 <= extent.y0 < extent.y1 <= figure.bbox.y1, text.get_text()
        assert not extent.overlaps(panel), text.get_text()
        assert not any(extent.overlaps(other) for other in extents[:index]), text.get_text()


def test_what_the_book_s_comparison_returns_can_be_drawn():
    result = comparison.paired([0.3, 0.31, 0.29], [0.28, 0.3, 0.29])
    whole = {"arm": "joint", **result, "bootstrap_interval": result["interval"], "p_holm": result["p"]}
    assert "joint: +1.00" in draw_study.forest([whole], "AP50", "alone").alt_text
    with pytest.raises(ValueError, match="nothing to compare"):
        draw_study.forest([], "AP50", "alone")


# Two tasks against one another ---------------------------------------------------------------------------------------

SWEEP = {0.1: (0.30, 0.29), 1.0: (0.27, 0.30), 10.0: (0.25, 0.28)}


def test_the_sweep_is_a_line_and_every_other_way_a_mark():
    (axes,) = (figure := draw_study.tradeoff(SWEEP, {"turns": (0.28, 0.26)}, (0.251, 0.281), "Cost")).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[30, 29], [27, 30], [25, 28]])
    assert [(x, y, mark) for x, y, mark, *_ in marks(axes)] == [
        (pytest.approx(28), pytest.approx(26), draw.LINES[1][2]),
        (pytest.approx(25.1), pytest.approx(28.1), draw.LINES[-1][2]),
    ]
    assert written(axes) == ["0.1", "1", "10"]
    assert "turns" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert figure.alt_text == (
        "Cost. AP50 against depth error, in points; upper left is best. weight 0.1: AP50 29.0, depth error 30.0. "
        "weight 1: AP50 30.0, depth error 27.0. weight 10: AP50 28.0, depth error 25.0. "
        "turns: AP50 26.0, depth error 28.0. two networks: AP50 28.1, depth error 25.1."
    )


def test_a_weight_is_written_beside_its_own_mark_and_on_no_other():
    (axes,) = draw_study.tradeoff(SWEEP, {"near": (0.253, 0.285)}, (0.25, 0.276)).axes
    drawn = [axes.transData.transform(place) for line in axes.lines[:-2] for place in line.get_xydata()]
    for text, own in zip(axes.texts, axes.lines[0].get_xydata(), strict=True):
        here = axes.transData.transform(text.get_position())
        assert min(np.hypot(*(here - each)) for each in drawn) > 10
        assert np.hypot(*(here - axes.transData.transform(own))) < 20


def test_a_weight_is_not_written_on_the_line_of_the_sweep():
    flat = {0.1: (0.30, 0.29), 1.0: (0.28, 0.29), 10.0: (0.26, 0.29)}
    (axes,) = draw_study.tradeoff(flat, {"turns": (0.28, 0.26)}, (0.27, 0.27)).axes
    line = axes.transData.transform((28, 29))[1]
    assert abs(axes.transData.transform(axes.texts[1].get_position())[1] - line) > 12


@pytest.mark.parametrize(("sweep", "ways"), [({}, {}), (SWEEP, {str(number): (0.1, 0.1) for number in range(5)})])
def test_a_picture_without_a_sweep_or_with_too_many_ways_is_refused(sweep, ways):
    with pytest.raises(ValueError, match="wanted a sweep"):
        draw_study.tradeoff(sweep, ways, (0.1, 0.1))


# Epoch by epoch ------------------------------------------------------------------------------------------------------


def test_every_seed_has_a_line_and_a_ring_around_its_best_epoch():
    curves = {1: [0.2, 0.3, 0.25], 4: np.array([0.1, 0.2, 0.28])}
    (axes,) = (figure := draw_study.epochs(curves, "AP50", "Choose")).axes
    for (seed, figures), index, best in zip(curves.items(), (0, 1), (1, 2), strict=True):
        line, ring = axes.lines[2 * index : 2 * index + 2]
        np.testing.assert_allclose(line.get_xydata(), list(zip((1, 2, 3), 100 * np.array(figures), strict=True)))
        np.testing.assert_allclose(ring.get_xydata(), [[best + 1, 100 * figures[best]]])
        assert line.get_label() == f"seed {seed}"
        assert (line.get_color(), line.get_marker()) == (draw.LINES[index][0], draw.LINES[index][2])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["seed 1", "seed 4", "best epoch"]
    assert figure.alt_text == (
        "Choose. AP50 in points, epoch by epoch. seed 1: last 25.0, best 30.0 in epoch 2. "
        "seed 4: last 28.0, best 28.0 in epoch 3."
    )
    extent = axes.get_legend().get_window_extent(figure.canvas.get_renderer())
    assert extent.x1 <= figure.bbox.x1
    assert not extent.overlaps(axes.get_window_extent())


@pytest.mark.parametrize("curves", [{}, {1: []}, dict.fromkeys(range(7), [0.1])])
def test_epochs_that_cannot_be_drawn_are_refused(curves):
    with pytest.raises(ValueError, match="wanted 1 to 6 seeds"):
        draw_study.epochs(curves, "AP50")
