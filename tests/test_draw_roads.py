"""Figures of lesson 10: marks and intervals stand where the figures are, crops show the object, alt texts say it."""

from types import SimpleNamespace

import numpy as np
import pytest

from roidepth_lessons import draw, draw_roads


def by_range(*rows):
    return [
        {"from_m": 10 * number, "to_m": 10 * number + 10, "abs_rel": error, "abs_rel_interval": interval, "count": 3}
        for number, (error, interval) in enumerate(rows)
    ]


def figures(precision, interval, error, error_interval):
    return {
        "detection": {"Car": {"ap50_moderate": precision, "ap50_moderate_interval": interval}},
        "distance": {"all": {"abs_rel": error, "abs_rel_interval": error_interval}},
    }


def marks(axes):
    return [tuple(line.get_xydata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]


def bars(axes):
    return [line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]


# Errors by range -----------------------------------------------------------------------------------------------------


def test_errors_stand_in_their_range_in_percent_with_their_intervals():
    series = {
        "network": by_range((0.2, (0.1, 0.3)), (0.1, None)),
        "LiDAR": by_range((0.05, (0.02, 0.08)), (None, None)),
    }
    figure = draw_roads.errors_by_range(series, "Here")
    (axes,) = figure.axes
    network, lidar = (line for line in axes.lines if line.get_linestyle() == "None")
    assert network.get_ydata() == pytest.approx([20, 10])
    assert lidar.get_ydata() == pytest.approx([5])
    assert network.get_xdata().round().tolist() == [0, 1]
    assert network.get_xdata()[0] < lidar.get_xdata()[0]  # beside one another
    assert network.get_marker() != lidar.get_marker()
    ends = [bar[:, 1].tolist() for bar in bars(axes) if bar[0, 1] > 1]
    assert ends == [pytest.approx([10, 30]), pytest.approx([2, 8])]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0–10", "10–20"]
    assert figure.alt_text == "Here. network: 0 to 10 m 20 (10 to 30), 10 to 20 m 10. LiDAR: 0 to 10 m 5 (2 to 8)."


@pytest.mark.parametrize(
    "series", [{}, {"a": []}, {"a": by_range((None, None))}, dict.fromkeys("abcdefg", by_range((0.1, None)))]
)
def test_errors_that_cannot_be_drawn_are_named(series):
    with pytest.raises(ValueError, match=r"series: wanted 1 to 6"):
        draw_roads.errors_by_range(series)


# Recipes -------------------------------------------------------------------------------------------------------------


def test_recipes_have_a_row_each_and_the_mark_of_what_they_were_trained_on():
    rows = {
        "varied streets; residual; plain": figures(0.5, (0.4, 0.6), 0.2, (0.1, 0.3)),
        "real; residual; plain": figures(None, None, None, None),
        "plain streets, then real; residual; strong": figures(0.75, None, 0.1, (0.05, 0.2)),
    }
    figure = draw_roads.recipes(rows, "All")
    precision, error = figure.axes
    assert marks(precision) == [pytest.approx((50, 0)), pytest.approx((75, 2))]
    assert marks(error) == [pytest.approx((20, 0)), pytest.approx((10, 2))]
    assert [bar[:, 0].tolist() for bar in bars(error)] == [pytest.approx([10, 30]), pytest.approx([5, 20])]
    looks = [line.get_marker() for line in precision.lines if len(line.get_xdata()) == 1]
    assert looks == [draw_roads.WAYS["streets"][2], draw_roads.WAYS["streets, then real"][2]]
    assert [text.get_text() for text in precision.get_yticklabels()] == list(rows)
    assert "real; residual; plain: -; -." in figure.alt_text
    assert "strong: 75.0; 10.0  (5 to 20)." in figure.alt_text


def test_numbers_beside_the_marks_cover_nothing_and_stay_on_the_paper():
    rows = {"plain streets, then real; efficientnet-lite0; strong": figures(0.751, (0.612, 0.828), 0.101, (0.1, 0.2))}
    figure = draw_roads.recipes(rows)
    figure.canvas.draw()
    first, second = figure.axes
    (numbers,), (others,) = ([text.get_window_extent() for text in axes.texts] for axes in (first, second))
    assert numbers.x0 > first.get_window_extent().x1
    assert numbers.x1 < second.get_window_extent().x0
    assert others.x1 < figure.bbox.x1
    assert first.get_yticklabels()[0].get_window_extent().x0 > 0


def test_recipes_without_any_are_refused():
    with pytest.raises(ValueError, match="wanted a recipe"):
        draw_roads.recipes({})


# Crops ---------------------------------------------------------------------------------------------------------------


def found(left, top, right, bottom, size=(128, 416)):
    image = np.zeros((*size, 3), np.uint8)
    image[int(top) : int(bottom), int(left) : int(right)] = 200
    return image, SimpleNamespace(name="Car", box=(left, top, right, bottom), distance_m=12.34), 10.0


@pytest.mark.parametrize(
    "box", [(0, 60, 20, 80), (380, 90, 415, 127), (200, 50, 204, 53), (0, 0, 415, 127), (150, 0, 180, 127)]
)
def test_a_crop_holds_the_object_and_its_surroundings_and_stays_inside_the_photo(box):
    image, each, true = found(*box)
    axes = draw_roads.crops([(image, each, true)]).axes[0]
    left, right, bottom, top = axes.get_images()[0].get_extent()
    assert left >= -0.5
    assert top >= -0.5
    assert right <= 415.5
    assert bottom <= 127.5
    if box[2] - box[0] < 192:  # else wider than a crop can be in so low a photo
        assert left - 1 <= box[0] - 0.5
        assert right + 1 >= box[2] + 0.5
    shown = axes.get_images()[0].get_array()
    assert shown.shape[:2] == (round(bottom - top), round(right - left))
    assert np.array_equal(shown, image[round(top + 0.5) : round(bottom + 0.5), round(left + 0.5) : round(right + 0.5)])
    assert axes.get_title(loc="left") == "Car: says 12.3 m, true 10.0 m"


@pytest.mark.parametrize("count", [0, 1, 6, 9])
def test_a_figure_of_crops_has_one_size_whatever_is_in_it(count):
    figure = draw_roads.crops([found(100, 50, 140, 80)] * count, "Worst")
    assert len(figure.axes) == 6
    assert repr(figure) == repr(draw_roads.crops([], "Worst"))
    assert figure.alt_text.count("says 12.3 m") == min(count, 6)
    assert sum(bool(axes.get_images()) for axes in figure.axes) == min(count, 6)


def test_draw_knows_all_three_ways_apart():
    assert len({look[2] for look in draw_roads.WAYS.values()}) == 3
    assert set(draw_roads.WAYS.values()) <= set(draw.LINES)
