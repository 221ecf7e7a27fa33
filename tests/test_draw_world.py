"""Streets from above: what is drawn lies where it should, and the alt text says it."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.patches import Polygon

from roidepth_lessons import draw_world, world
from roidepth_lessons.camera import Camera
from roidepth_lessons.frames import RoadObject

CAMERA = Camera.from_focal_length(240.0, 128, 416)
LABEL = RoadObject("Car", (0, 0, 9, 9), dimensions=(1.5, 1.7, 4.2), location=(2.0, 1.65, 24.0), yaw=1.6)


def test_marks_and_outlines_from_above():
    outline = world.ellipse((2.0, 24.0), [[0.25, 0], [0, 4.0]])
    figure = draw_world.from_above(
        {"camera": [[2.0, 24.0]], "radar": [[1.0, 25.0], [0.0, 70.0]]}, {"camera": [outline]}, [LABEL]
    )
    assert figure.alt_text == (
        "The street from above, 0 to 50 m ahead. camera: 1 mark with outlines, the first 1.0 m across and 4.0 m ahead. "
        "radar: 1 mark. The footprints of 1 label are outlined, the centres marked."
    )
    lines = {line.get_label(): line for line in figure.axes[0].lines if line.get_linestyle() == "None"}
    assert np.allclose(lines["radar"].get_xydata(), [[1, 25], [0, 70]])
    assert lines["radar"].get_color() != lines["camera"].get_color()
    assert any(np.allclose(line.get_xydata(), outline) for line in figure.axes[0].lines if len(line.get_xdata()) == 60)
    (footprint,) = [patch for patch in figure.axes[0].patches if type(patch) is Polygon]
    assert np.allclose(footprint.get_xy()[:4], LABEL.corners[:4, [0, 2]])
    (camera,) = [line for line in figure.axes[0].lines if line.get_marker() == "^"]
    assert np.array_equal(camera.get_xydata(), [[0, 0]])
    figure.canvas.draw()
    legend, shown = (each.get_window_extent() for each in (figure.axes[0].get_legend(), figure.axes[0]))
    assert legend.y1 < shown.y0  # it hides no mark
    (center,) = [line for line in figure.axes[0].lines if line.get_marker() == "+" and len(line.get_xdata())]
    assert np.allclose(center.get_xydata(), [[LABEL.location[0], LABEL.location[2]]])
    assert center.get_zorder() > footprint.get_zorder()


def test_a_metre_is_as_long_across_as_ahead():
    axes = draw_world.from_above({"camera": [[0, 10]]}, ahead=(5, 30)).axes[0]
    assert not [line for line in axes.lines if line.get_marker() == "^"]  # the camera is out of sight
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


def test_outlines_of_echoes():
    radar = world.Radar(range_spread=0.5, azimuth_spread=0.03)
    places, outlines = draw_world.echo_outlines([[20.0, 0.0], [10.0, -0.5]], radar)
    assert np.allclose(places, [[0, 20], [10 * np.sin(-0.5), 10 * np.cos(-0.5)]])
    assert np.allclose(np.ptp(outlines[0], axis=0), [4 * 20 * 0.03, 4 * 0.5], rtol=0.01)  # two spreads to either side
    assert draw_world.echo_outlines([], radar)[0].shape == (0, 2)
