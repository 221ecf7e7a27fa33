"""Diagrams of the camera: what is drawn lies where the camera says, and the text says what is drawn."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from roidepth_lessons import draw, draw_camera, streets, world
from roidepth_lessons.camera import Camera
from roidepth_lessons.frames import RoadObject

CAMERA = Camera.from_focal_length(100.0, height=81, width=101)
CUBE = world.box_corners((0.9, 1.2, 4.5), (1.0, 1.0, 1.0), 0.0)
CAR = RoadObject("Car", (0, 0, 9, 9), dimensions=(1.5, 1.6, 4.0), location=(2.0, 1.65, 12.0), yaw=0.7)
REGION = RoadObject("DontCare", (0, 0, 9, 9))


@pytest.fixture(scope="module")
def street():
    return streets.draw_street([22, 0])


def lines(figure, panel=0):
    """(n, 2) points of every line in a panel."""
    return [np.stack(line.get_data(), axis=1).astype(float) for line in figure.axes[panel].get_lines()]


def picture(figure):
    kind, data = draw._encoded(figure)
    with Image.open(io.BytesIO(data)) as image:
        return kind, np.asarray(image.convert("RGB")).astype(int)


def test_similar_triangles_cross_the_image_where_projection_says():
    figure = draw_camera.similar_triangles(1.65, [20.0, 10.0], focal_length=4.0)
    camera = Camera.from_focal_length(4.0, height=1, width=1)
    for depth in (10.0, 20.0):
        (_, seen), _ = camera.project([0.0, 1.65, depth])
        assert any(np.allclose(line, [(4.0, seen), (depth, 1.65)]) for line in lines(figure))
        assert any(np.allclose(line, [(0, 0), (depth, 1.65)]) for line in lines(figure))
        assert any(np.allclose(line, [(4.0, 0.0), (4.0, seen)]) for line in lines(figure))
        assert f"{depth:g} m ahead is seen {seen:.2g} below" in figure.alt_text
    assert "seen height" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("depths", [[], [3.0, 10.0], list(range(10, 17))])
def test_similar_triangles_refuse_points_before_the_image_and_too_many(depths):
    with pytest.raises(ValueError, match="depths beyond the focal length 4"):
        draw_camera.similar_triangles(1.65, depths, focal_length=4)


def test_rays_are_marked_where_they_meet_the_box():
    rays = {"A": ((0.2, 0.1, 1), 4.0), "C": ((0.05, 0.05, 1), None)}
    figure = draw_camera.ray_and_box(CUBE.min(axis=0), CUBE.max(axis=0), rays)
    marks = [line for line in lines(figure) if len(line) == 1]
    assert np.allclose(marks, [[(4.0, 0.8)], [(0.0, 0.0)]])  # one hit, and the camera
    assert "A meets it 4.00 m ahead, C misses it." in figure.alt_text
    assert "4 to 5 m ahead and 0.4 to 1.4 m to the right" in figure.alt_text


def test_a_projected_box_has_twelve_edges_between_its_pixels():
    figure = draw_camera.projected_box(CUBE, CAMERA)
    pixels, _ = CAMERA.project(CUBE)
    drawn = lines(figure)[:12]
    assert np.allclose(drawn, [[pixels[i], pixels[j]] for i, j in world.EDGES])
    # Every edge runs along one axis of the box only.
    assert all((np.abs(CUBE[i] - CUBE[j]) > 1e-9).sum() == 1 for i, j in world.EDGES)
    assert "(85, 70)" in figure.alt_text


def test_boxes_on_a_photo_lie_where_the_camera_says():
    image = np.zeros((375, 1242, 3), np.uint8)
    camera = Camera.from_focal_length(720.0, height=375, width=1242)
    figure = draw_camera.photo_in_3d(image, camera, [CAR, REGION], width=10.0)
    pixels, _ = camera.project(CAR.corners)
    assert np.allclose(lines(figure), [[pixels[i], pixels[j]] for i, j in world.EDGES])
    kind, shown = picture(figure)
    assert kind == "image/jpeg"
    rows, columns = np.nonzero(shown.sum(axis=2) > 200)
    left, top, right, bottom = world.tight_box(CAR.corners, camera) * 800 / 1242
    assert np.allclose([columns.min(), rows.min(), columns.max(), rows.max()], [left, top, right, bottom], atol=4)
    column, row = np.rint(pixels.mean(axis=0)).astype(int)
    assert f"1 3D boxes: Car at 12 m around column {column}, row {row}." in figure.alt_text


def test_a_box_that_reaches_behind_the_camera_loses_those_edges():
    image = np.zeros((81, 101, 3), np.uint8)
    near = RoadObject("Car", (0, 0, 9, 9), dimensions=(1.5, 1.6, 4.0), location=(2.0, 1.65, 1.0), yaw=np.pi / 2)
    drawn = lines(draw_camera.photo_in_3d(image, CAMERA, [near]))
    assert sum(np.isfinite(line).all() for line in drawn) == 4


@pytest.mark.parametrize("size", [(375, 1242), (370, 1224), (374, 1238), (376, 1241)])
def test_all_photos_of_kitti_make_figures_of_one_size(size):
    """A lesson shows one of them or a street; its stored output names the size of the figure."""
    image, camera = np.zeros((*size, 3), np.uint8), Camera.from_focal_length(720.0, *size)
    for width in (8.0, 10.0):
        wanted = draw_camera.photo_in_3d(
            np.zeros((375, 1242, 3), np.uint8), Camera.from_focal_length(720.0, 375, 1242), [], width=width
        )
        assert repr(draw_camera.photo_in_3d(image, camera, [], width=width)) == repr(wanted)


def test_layers_show_the_layers(street):
    figure = draw_camera.layers(street)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [re.split(r"\W", title)[0] for title in titles] == ["boxes", "depth", "instances", "LiDAR"]
    kept = [each for each in street.objects if each.name != "DontCare"]
    assert f"The image with {len(kept)} boxes" in figure.alt_text
    assert f"{len(street.points)} LiDAR points" in figure.alt_text
    depth, instances = (np.asarray(figure.axes[i].get_images()[0].get_array()) for i in (1, 2))
    assert (depth[street.depth == 0] == int(draw.UNKNOWN[1:3], 16)).all()
    brightness = depth.astype(int).sum(axis=2)
    near, far = (street.depth > 4) & (street.depth < 10), street.depth > 60
    assert brightness[near].min() > brightness[far].max()
    assert (instances[street.instances == 0] == 255).all()
    flat = [np.unique(instances[street.instances == i], axis=0) for i in np.unique(street.instances)]
    assert len(flat) > 6
    assert all(len(colors) == 1 for colors in flat)
    # Neighbours in the list, which may touch in the image, never share a colour.
    assert all((one != other).any() for one, other in zip(flat, flat[1:], strict=False))
    (points,) = figure.axes[3].collections
    pixels, _ = street.camera.project(street.points)
    assert np.allclose(np.sort(points.get_offsets(), axis=0), np.sort(pixels, axis=0))


def test_layers_ask_for_every_layer(street):
    from dataclasses import replace

    with pytest.raises(ValueError, match="frame x has no depth, no points"):
        draw_camera.layers(replace(street, name="x", depth=None, points=None))


def test_three_depths_are_lines_at_their_depths():
    points = np.array([CAR.corners[0] + [0, -0.5, 0], CAR.corners[1] + [0, -0.02, 0], [2.0, 1.0, 40.0]])
    figure = draw_camera.three_depths(CAR, points, {"centre": 12.0, "visible surface": 10.3, "nearest point": 10.1})
    level = [line[:, 1] for line in lines(figure) if len(line) == 2]
    for depth in (10.1, 10.3, 12.0):  # the first two are so near to one another that their names move apart
        assert any(np.allclose(line, depth) for line in level)
    heights = [text.get_position()[1] for text in figure.axes[0].texts if " m" in text.get_text()]
    assert np.diff(heights).min() > 0.4
    assert "1 LiDAR points near it. Depths: nearest point 10.1 m, visible surface 10.3 m, centre" in figure.alt_text
    (outline,) = figure.axes[0].patches
    assert np.allclose(outline.get_xy()[:4], CAR.corners[:4, [0, 2]])


def test_every_text_is_a_sentence_and_every_line_has_a_style_of_its_own(street):
    rays = {name: ((0.1 * k, 0.1, 1), None) for k, name in enumerate("ABC", start=1)}
    figures = [
        draw_camera.similar_triangles(1.65, [10.0, 20.0], 4.0),
        draw_camera.ray_and_box(CUBE.min(axis=0), CUBE.max(axis=0), rays),
        draw_camera.projected_box(CUBE, CAMERA),
        draw_camera.layers(street),
        draw_camera.photo_in_3d(street.image, street.camera, street.objects, street.points, title="Here"),
        draw_camera.three_depths(CAR, street.points, {"centre": 12.0}),
    ]
    for figure in figures:
        assert re.fullmatch(r"[A-Z].{30,}\.", figure.alt_text), figure.alt_text
    styles = [line.get_linestyle() for line in figures[1].axes[0].get_lines() if line.get_linewidth() == 2]
    assert len(set(map(str, styles))) == 3
