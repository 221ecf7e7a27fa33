"""Figures of lesson 08: what is drawn lies where it should, and the alt text says it."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.patches import Polygon

from roidepth_lessons import draw, draw_world, world
from roidepth_lessons.camera import Camera
from roidepth_lessons.frames import RoadObject

CAMERA = Camera.from_focal_length(240.0, 128, 416)
IMAGE = np.full((128, 416, 3), 90, np.uint8)
CORNERS = world.box_corners((-2.0, 1.65, 15.0), (1.5, 1.7, 4.2), 0.4)
LABEL = RoadObject("Car", (0, 0, 9, 9), dimensions=(1.5, 1.7, 4.2), location=(2.0, 1.65, 24.0), yaw=1.6)


def wires(figure):
    return [np.array(lines.get_segments()) for lines in figure.axes[0].collections]


def test_the_wires_join_the_projected_corners():
    (lines,) = wires(draw_world.wireframes(IMAGE, CAMERA, {"labelled": [CORNERS]}))
    pixels = CAMERA.project(CORNERS)[0]
    found = {tuple(sorted(map(tuple, line.round(6)))) for line in lines}
    assert found == {tuple(sorted([tuple(pixels[a].round(6)), tuple(pixels[b].round(6))])) for a, b in world.EDGES}


def test_wires_end_where_the_camera_is():
    (lines,) = wires(
        draw_world.wireframes(IMAGE, CAMERA, {"near": [world.box_corners((2.5, 1.65, 1.0), (1.5, 1.7, 4.2), 1.57)]})
    )
    assert len(lines) == 8  # four lie behind, four are cut off
    assert np.isfinite(lines).all()
    assert len(wires(draw_world.wireframes(IMAGE, CAMERA, {"behind": [CORNERS - [0, 0, 30]]}))[0]) == 0


def test_groups_have_their_own_lines_and_the_alt_text_counts_them():
    figure = draw_world.wireframes(IMAGE, CAMERA, {"labelled": [CORNERS], "placed": [CORNERS, CORNERS]}, "Two ways")
    assert figure.alt_text == "Two ways. Road photo with 3D boxes drawn as wires. labelled: 1 box; placed: 2 boxes."
    first, second = figure.axes[0].collections
    assert not np.allclose(first.get_colors(), second.get_colors())
    assert first.get_linestyle() != second.get_linestyle()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["labelled", "placed"]
    assert draw._encoded(figure)[0] == "image/jpeg"


def test_wires_refuse_what_is_no_box_or_too_much():
    with pytest.raises(ValueError, match=r"must be \(8, 3\), got \(4, 3\)"):
        draw_world.wireframes(IMAGE, CAMERA, {"labelled": [CORNERS[:4]]})
    with pytest.raises(ValueError, match="at most 4 groups"):
        draw_world.wireframes(IMAGE, CAMERA, dict.fromkeys("abcde", [CORNERS]))
    with pytest.raises(ValueError, match="image must be"):
        draw_world.wireframes(IMAGE[..., 0], CAMERA, {})


def test_marks_and_outlines_from_above():
    outline = world.ellipse((2.0, 24.0), [[0.25, 0], [0, 4.0]])
    figure = draw_world.from_above(
        {"camera": [[2.0, 24.0]], "radar": [[1.0, 25.0], [0.0, 70.0]]}, {"camera": [outline]}, [LABEL]
    )
    assert figure.alt_text == (
        "The street from above, 0 to 50 m ahead. camera: 1 mark with outlines, the first 1.0 m across and 4.0 m ahead. "
        "radar: 1 mark. The footprints of 1 label are outlined."
    )
    lines = {line.get_label(): line for line in figure.axes[0].lines if line.get_linestyle() == "None"}
    assert np.allclose(lines["radar"].get_xydata(), [[1, 25], [0, 70]])
    assert lines["radar"].get_color() != lines["camera"].get_color()
    assert any(np.allclose(line.get_xydata(), outline) for line in figure.axes[0].lines if len(line.get_xdata()) == 60)
    (footprint,) = [patch for patch in figure.axes[0].patches if type(patch) is Polygon]
    assert np.allclose(footprint.get_xy()[:4], LABEL.corners[:4, [0, 2]])


def test_a_metre_is_as_long_across_as_ahead():
    axes = draw_world.from_above({"camera": [[0, 10]]}, ahead=(5, 30)).axes[0]
    corner, right, up = axes.transData.transform([(0, 10), (1, 10), (0, 11)])
    assert np.isclose(right[0] - corner[0], up[1] - corner[1])


def test_far_labels_are_left_out():
    figure = draw_world.from_above({"camera": []}, truth=[LABEL], ahead=(0, 20))
    assert "0 labels" in figure.alt_text
    assert not [patch for patch in figure.axes[0].patches if type(patch) is Polygon]


def test_from_above_refuses():
    with pytest.raises(ValueError, match="1 to 6 sensors"):
        draw_world.from_above({})
    with pytest.raises(ValueError, match=r"outlines of \['radar'\], which have no marks"):
        draw_world.from_above({"camera": [[0, 1]]}, {"radar": [[[0, 1], [1, 1]]]})


def test_outlines_of_what_the_camera_found():
    found = SimpleNamespace(position_m=(3.0, 1.0, 24.0), distance_spread_m=0.5)
    places, (outline,) = draw_world.camera_outlines([found], CAMERA, factor=2.0)
    assert places.tolist() == [[3.0, 24.0]]
    inverse = np.linalg.inv(world.covariance_from_above((3.0, 1.0, 24.0), 1.0, 2.0, 240.0))
    assert np.allclose([each @ inverse @ each for each in outline - places[0]], 4)
    assert draw_world.camera_outlines([], CAMERA)[0].shape == (0, 2)
