"""Diagrams of ROI depth: what they say in words is what was given, and what is drawn lies where it should."""

import io

import numpy as np
import pytest
from PIL import Image

from roidepth_lessons import draw, draw_windows

PHOTO = np.random.default_rng(0).integers(60, 190, size=(128, 416, 3), dtype=np.uint8)


def rendered(figure):
    """The picture as it will be stored, (height, width, 3)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB")).astype(int)


def outlines(axes):
    """Corner and size, (x, y, width, height), of every rectangle on the axes."""
    return [(*each.get_xy(), each.get_width(), each.get_height()) for each in axes.patches]


def test_maps_say_and_show_their_ranges():
    depth = np.array([[4.0, 10.0], [0.0, 40.0]])
    panels = [
        ("photo", "photo", PHOTO[:2, :2]), ("near", "depth", depth), ("far", "depth", 2 * depth),
        ("off", "error", [[0.02, 4.4]]), ("mask", "mask", [[0.5, 1.0]]),
    ]  # fmt: skip
    figure = draw_windows.maps(panels)
    assert figure.alt_text == (
        "5 panels. photo: a photo of 2x2 pixels. near: from 4.0 m to 40 m. far: from 8.0 m to 80 m. "
        "off: from 2 % to 440 %. mask: from 0.5 to 1.0."
    )
    rendered(figure)
    shown = {axes.get_title(): axes.get_images()[0] for axes in figure.axes if axes.get_title()}
    assert list(shown) == ["photo", "near", "far", "off", "mask"]
    assert (shown["near"].norm.vmin, shown["near"].norm.vmax) == (4, 80)
    assert shown["far"].norm is not shown["photo"].norm
    assert (shown["far"].norm.vmin, shown["far"].norm.vmax) == (4, 80)  # all depths share a scale
    assert shown["near"].get_array().mask.tolist() == [[False, False], [True, False]]  # 0: not known
    assert (shown["off"].norm.vmin, shown["off"].norm.vmax) == (0, 1)
    bars = [text.get_text() for axes in figure.axes for text in axes.get_xticklabels()]
    assert "≥ 100 %" in bars
    assert {"4.0 m", "80 m", "0.0", "1.0"} <= set(bars)


def test_maps_keep_proportions():
    figure = draw_windows.maps([("low", "error", np.eye(3, 12)), ("high", "error", np.eye(8, 6))], width=6.0)
    for axes in figure.axes:
        if axes.get_title():
            extent, shape = axes.get_window_extent(), axes.get_images()[0].get_array().shape
            assert extent.height / extent.width == pytest.approx(shape[0] / shape[1], rel=0.01)


def test_rows_of_maps_are_as_high_as_they_need_and_do_not_overlap():
    low, high = np.eye(2, 20), np.eye(20)
    figure = draw_windows.maps([("a", "mask", low), ("b", "mask", low), ("c", "mask", high)], columns=2, width=4.0)
    a, b, c = (axes.get_window_extent() for axes in figure.axes if axes.get_title())
    assert (a.y0, a.height) == (b.y0, b.height)
    assert a.x1 < b.x0
    assert c.y1 < a.y0
    assert c.height == pytest.approx(10 * a.height)
    assert a.y1 < figure.bbox.y1 < a.y1 + 30
    assert 0 < c.y0 < 30


def test_maps_of_nothing_and_of_unknown_kinds():
    assert draw_windows.maps([("d", "depth", np.zeros((2, 3)))]).alt_text == "1 panel. d: nothing known."
    rendered(draw_windows.maps([("e", "error", np.zeros((2, 3)))]))
    for panels in ([], [("x", "warmth", np.ones((2, 2)))]):
        with pytest.raises(ValueError, match="panels"):
            draw_windows.maps(panels)


def test_receptive_field_is_outlined_where_it_is():
    influence = np.zeros((7, 7))
    influence[2:5, 1:6] = 0.5
    figure = draw_windows.receptive_field(PHOTO, influence, (10, 40))
    assert "7x7 cells outlined" in figure.alt_text
    assert "3x5 cells in the middle change the pixel, 15 in all" in figure.alt_text
    tried, needed = outlines(figure.axes[0])
    assert tried == (4 * 37 - 0.5, 4 * 7 - 0.5, 28, 28)
    assert needed == (4 * 38 - 0.5, 4 * 9 - 0.5, 20, 12)
    rendered(figure)


def test_a_window_shrinks_around_itself():
    figure = draw_windows.shrinking(PHOTO, (5, 8, 8, 12), _stages(3, 4), halo=3)
    assert figure.alt_text == (
        "Part of a street with nested outlines, from the outer to the inner one. features: 36x40 pixels; "
        "first, doubled: 28x32 pixels; last: 12x16 pixels."
    )
    sizes = [(height, width) for *_, width, height in outlines(figure.axes[0])]
    assert sizes == [(36, 40), (28, 32), (12, 16)]
    corners = np.array([(x, y) for x, y, *_ in outlines(figure.axes[0])])
    np.testing.assert_array_equal(corners - corners[-1], [[-12, -12], [-8, -8], [0, 0]])
    rendered(figure)
    for wrong in ((3, 3, 4), (11, 12, 4)):  # lopsided; more than the halo around it
        with pytest.raises(ValueError, match="'first' covers"):
            draw_windows.shrinking(PHOTO, (5, 8, 8, 12), {"first": wrong}, halo=3)


def _stages(rows, columns):
    """Sizes on the way up for a window, as a head with a kernel of 3 and one of 9 on cells would leave them."""
    return {
        "features": (rows + 6, columns + 6, 4),
        "first": (rows + 4, columns + 4, 4),
        "doubled": (2 * rows + 8, 2 * columns + 8, 2),
        "last": (4 * rows, 4 * columns, 1),
    }


def test_plans_count_the_work_and_dim_the_rest():
    ways = {"two": [(0, 0, 4, 8), (20, 50, 28, 60)], "all": [(0, 0, 32, 104)], "none": []}
    figure = draw_windows.plans(PHOTO, [(3, 2, 20, 11)], ways, lambda rows, columns: rows * columns)
    share = (4 * 8 + 8 * 10) / (32 * 104)
    assert figure.alt_text == (
        f"The same street 3 times, with 1 box. two: 2 windows, {share:.0%} of the work; "
        "all: 1 window, 100% of the work; none: 0 windows, 0% of the work."
    )
    lit = figure.axes[0].get_images()[0].get_array()
    np.testing.assert_allclose(lit[:16, :32], PHOTO[:16, :32] / 255)
    assert np.ptp(lit[16:, :100], axis=-1).max() == 0  # grey
    np.testing.assert_allclose(figure.axes[1].get_images()[0].get_array(), PHOTO / 255)
    rendered(figure)


def test_amdahl_s_lines_marks_and_ranges():
    run = {"head_share": 0.4, "head_work": 0.2, "roi_over_full": 0.75, "roi_over_full_range": [0.6, 1.2]}
    figure = draw_windows.amdahl({"large": run, "small": {**run, "head_share": 0.25}})
    lines = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in figure.axes[0].lines]
    assert lines[0] == ([0, 100], [60, 100])
    assert lines[1] == ([20], [75])
    assert ([0, 100], [75, 100]) in lines
    for bars in figure.axes[0].containers:
        ((bar,),) = (each.get_segments() for each in bars.lines[2])
        np.testing.assert_allclose(bar, [[20, 60], [20, 120]])
    assert figure.axes[0].get_ylim()[1] > 120
    names = [text.get_text().replace("\n", " ") for text in figure.axes[0].get_legend().get_texts()]
    assert names[:2] == ["large: by the clock, median, 5 to 95 %", "large: head 40%, never under 60%"]
    assert len(names) == 4
    assert "large: the head takes 40% of a full frame's time, so no saving in it can bring the frame under 60%" in (
        figure.alt_text
    )
    assert "measured 75% with 20% of the head's work, a bar from 60% to 120%" in figure.alt_text
    rendered(figure)


def test_outlines_differ_in_dashes_and_brightness():
    (one, solid), (other, dashed) = draw_windows.OUTLINES
    assert solid != dashed
    assert one != other
    assert other == draw.STYLES["Cyclist"]["color"]
