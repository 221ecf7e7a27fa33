"""Diagrams of detection: what they draw, where, and that their alt text says what they show."""

from types import SimpleNamespace

import numpy as np
import pytest

from roidepth_lessons import detection, draw, draw_detection
from roidepth_lessons.frames import RoadObject

PHOTO = np.full((64, 224, 3), 120, np.uint8)


def texts(axes):
    return [each.get_text() for each in axes.texts]


def test_cells_write_every_number_but_0_where_it_is():
    values = np.zeros((2, 3))
    values[1, 2], values[0, 1] = 1, 0.25
    (axes,) = draw_detection.cells({"heat": values}).axes
    assert {tuple(map(int, each.get_position())): each.get_text() for each in axes.texts if each.get_text()} == {
        (2, 1): "1.00",
        (1, 0): "0.25",
    }


def test_boxes_are_outlined_in_pixels_of_the_cells():
    """Pixels 4 to 7 are cell 1, so a box from 3.5 to 7.5 is just that cell: from 0.5 to 1.5."""
    (axes,) = draw_detection.cells({"heat": np.zeros((3, 3))}, boxes=[[3.5, 7.5, 7.5, 11.5]]).axes
    (outline,) = axes.patches
    assert outline.get_bbox().extents.tolist() == [0.5, 1.5, 1.5, 2.5]


def test_alt_text_of_cells_names_the_highest():
    text = draw_detection.cells({"one": [[0.0, 0.5]], "two": np.zeros((2, 2))}, boxes=[[0, 0, 4, 4]]).alt_text
    assert text == (
        "2 grids of cells with numbers. one, 1x2 cells: 0.50 in row 0, column 1. two, 2x2 cells: all 0. 1 box outlined."
    )


def test_maps_stand_below_one_another_with_the_objects_outlined():
    values = {"fine": np.eye(4, 6), "coarse": np.zeros((2, 3))}
    objects = [RoadObject("Car", (10, 10, 40, 30)), RoadObject("DontCare", (0, 0, 5, 5))]
    figure = draw_detection.maps(values, PHOTO.shape[:2], objects)
    fine, coarse = figure.axes
    assert np.array_equal(fine.get_images()[0].get_array(), values["fine"])
    assert fine.get_title(loc="left") == "fine"
    assert fine.get_position().y0 > coarse.get_position().y1
    for axes in figure.axes:
        assert axes.get_images()[0].get_extent() == [-0.5, 223.5, 63.5, -0.5]
        (outline,) = axes.patches
        assert outline.get_bbox().extents.tolist() == [10, 10, 40, 30]
    assert figure.alt_text == (
        "2 maps of one view. fine, 4x6 cells: highest in row 0, column 0. coarse, 2x3 cells: the same everywhere. "
        "Outlined in each: 1 object: Car."
    )


def test_maps_share_a_span_if_one_is_given():
    values = {"high": np.array([[0.0, 1.0]]), "low": np.array([[0.0, 0.5]])}
    own = [axes.get_images()[0].get_clim() for axes in draw_detection.maps(values, (4, 8)).axes]
    shared = [axes.get_images()[0].get_clim() for axes in draw_detection.maps(values, (4, 8), span=(0, 1)).axes]
    assert own == [(0, 1), (0, 0.5)]
    assert shared == [(0, 1), (0, 1)]


def test_of_boxes_that_overlap_the_upper_one_keeps_the_corner_for_its_label():
    """Whatever the order."""
    upper = RoadObject("Car", (14, 32, 55, 47), score=0.41)
    lower = RoadObject("Car", (22, 33, 81, 62), score=0.5)
    for objects in ([upper, lower], [lower, upper]):
        (axes,) = draw_detection.photos([("found", PHOTO, objects)]).axes
        places = {each.get_text(): axes.transData.inverted().transform(each.get_position()) for each in axes.texts}
        assert places["Car 0.41"] == pytest.approx([14, 32], abs=3)
        assert places["Car 0.50"][0] > 33  # beside the other label


def test_cell_shares_say_how_full_each_cell_is():
    mask = np.zeros((4, 6), bool)
    mask[:2, :3], mask[3, 5] = True, True
    assert draw_detection.cell_shares(mask, 2, 3).tolist() == [[1, 0.5, 0], [0, 0, 0.25]]
    with pytest.raises(ValueError, match="do not make 3x3 cells"):
        draw_detection.cell_shares(mask, 3, 3)


def test_targets_lead_back_to_the_objects():
    boxes = [[10, 4, 30, 20], [40, 10, 50, 22]]
    one = detection.encode_targets(boxes, [1, 0], rows=8, columns=16, class_count=2)
    none = detection.encode_targets([], [], rows=8, columns=16, class_count=2)
    batch = {name: np.stack([none[name], one[name]]) for name in one}
    found = draw_detection.objects_of_targets(batch, 1, ["Car", "Cyclist"])
    boxes_of = {each.name: np.round(each.box, 3).tolist() for each in found}
    assert boxes_of == {"Cyclist": boxes[0], "Car": boxes[1]}
    assert draw_detection.objects_of_targets(batch, 0, ["Car", "Cyclist"]) == []


def test_photos_say_the_score_where_there_is_no_distance():
    found = [RoadObject("Car", (10, 10, 40, 30), score=0.834)]
    far = [SimpleNamespace(name="Cyclist", box=(60, 20, 70, 40), distance_m=12.0, score=0.5)]
    figure = draw_detection.photos([("found", PHOTO, found), ("far", PHOTO, far)])
    first, second = figure.axes
    assert "Car 0.83" in texts(first)
    assert "Cyclist 12 m" in texts(second)
    assert first.get_position().y0 > second.get_position().y1
    assert figure.alt_text == (
        "found: road photo with 1 object: Car with score 0.83. far: road photo with 1 object: Cyclist at 12 m."
    )


@pytest.mark.parametrize(("hits", "area"), [([1, 1, 0, 1, 0], 0.6875), ([0, 1, 1, 0, 1], 0.25 * (2 / 3 + 2 / 3 + 0.6))])
def test_the_grey_area_is_the_average_precision(hits, area):
    recall, precision = np.cumsum(hits) / 4, np.cumsum(hits) / np.arange(1, 6)
    figure = draw_detection.precision_recall(recall, precision, area)
    (axes,) = figure.axes
    corners = axes.collections[0].get_paths()[0].vertices
    x, y = corners[:, 0], corners[:, 1]
    assert abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2) == pytest.approx(area)
    assert texts(axes) == ["1", "2", "3", "4", "5"]
    assert "0.75 and 0.60" in figure.alt_text
    assert f"is {area:.4f}" in figure.alt_text


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        draw_detection.cells({})
    with pytest.raises(ValueError, match="'flat' must be"):
        draw_detection.cells({"flat": [1.0]})
    with pytest.raises(ValueError, match="'deep' must be"):
        draw_detection.maps({"deep": np.zeros((2, 2, 2))}, (64, 224))
    with pytest.raises(ValueError, match="at least one"):
        draw_detection.maps({}, (64, 224))
    with pytest.raises(ValueError, match="rows of equal length"):
        draw_detection.precision_recall([0.5], [1.0, 1.0], 0.5)


@pytest.mark.parametrize("title", ["", "a title"])
def test_a_photo_with_scores_reads_well_in_words(title):
    objects = [RoadObject("Car", (10, 10, 40, 30), score=0.5), RoadObject("Car", (60, 10, 90, 30))]
    text = draw.photo_with_objects(PHOTO, objects, title).alt_text
    assert text.endswith("2 objects: Car with score 0.50, Car.")


def test_the_telling_channel_is_high_where_the_mask_is():
    features = np.random.default_rng(0).normal(size=(4, 6, 5))
    mask = np.zeros((16, 24), bool)
    mask[9, 14] = True  # cell row 2, column 3
    features[2, 3, 1] += 20
    features[1, 1, 4] += 50  # stands out elsewhere
    values, inside, outside = draw_detection.telling_channel(features, mask)
    assert np.array_equal(values, features[..., 1])
    assert inside == values[2, 3]
    assert outside == pytest.approx((values.sum() - inside) / 23)
    with pytest.raises(ValueError, match="do not make 4x6 cells"):
        draw_detection.telling_channel(features, mask[:15])
    with pytest.raises(ValueError, match="some cells"):
        draw_detection.telling_channel(features, ~mask | True)


def test_detections_become_objects():
    found = {
        "labels": np.array([1, 0]),
        "boxes": np.array([[1, 2, 3, 4], [5, 6, 7, 8]]),
        "scores": np.array([0.9, 0.2]),
    }
    first, second = draw_detection.objects(found, ["Car", "Cyclist"])
    assert (first.name, first.box, first.score) == ("Cyclist", (1, 2, 3, 4), 0.9)
    assert second.name == "Car"
    assert [each.score for each in draw_detection.objects(found, ["Car", "Cyclist"], lowest=0.5)] == [0.9]
