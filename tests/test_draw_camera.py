"""Diagrams of the camera: what is drawn lies where the camera says, and the text says what is drawn."""

import io
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
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


PHOTO = np.full((81, 101, 3), 90, np.uint8)
NEAR = RoadObject("Car", (0, 0, 9, 9), dimensions=(1.5, 1.6, 4.0), location=(2.0, 1.65, 1.0), yaw=np.pi / 2)


@pytest.mark.parametrize("boxes", [[NEAR], {"near": [NEAR.corners]}])
def test_a_box_that_reaches_behind_the_camera_is_cut_off_there(boxes):
    """Of twelve edges four lie behind, and four end where the camera is: on their rays, not anywhere."""
    drawn = [line for line in lines(draw_camera.photo_in_3d(PHOTO, CAMERA, boxes)) if len(line)]
    assert len(drawn) == 8
    assert np.isfinite(drawn).all()
    front = CAMERA.project(NEAR.corners[NEAR.corners[:, 2] > 0])[0]
    ends = np.concatenate(drawn)
    assert all(np.isclose(ends, corner).all(axis=1).sum() == 3 for corner in front)
    cut = ends[~np.isclose(ends[:, None], front).all(axis=2).any(axis=1)]
    sides = {tuple(corner[:2]) for corner in NEAR.corners.round(9)}
    wanted = [CAMERA.project([x, y, draw_camera.NEAREST])[0] for x, y in sides]
    assert len(cut) == 4
    assert np.allclose(sorted(map(tuple, cut)), sorted(map(tuple, wanted)))


def test_a_box_behind_the_camera_is_not_drawn():
    behind = {"behind": [CAR.corners - [0, 0, 30]]}
    assert not [line for line in lines(draw_camera.photo_in_3d(PHOTO, CAMERA, behind)) if len(line)]


def test_groups_of_boxes_have_a_key_and_lie_where_the_camera_says():
    groups = {"labelled": [CAR.corners], "placed": [CAR.corners - [9, 0, 0], CUBE]}
    figure = draw_camera.photo_in_3d(PHOTO, CAMERA, groups, title="Two ways")
    assert figure.alt_text == (
        "Two ways. Road photo of 81 rows and 101 columns with the edges of 3D boxes, labelled: 1 box; placed: 2 boxes."
    )
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["labelled", "placed"]
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 100.5), (80.5, -0.5))  # the photo, wherever boxes reach
    drawn = [line for line in axes.get_lines() if len(line.get_xdata())]
    pixels = CAMERA.project(CAR.corners)[0]
    found = {tuple(sorted(map(tuple, line.get_xydata().round(6)))) for line in drawn[:12]}
    assert found == {tuple(sorted(tuple(pixels[k].round(6)) for k in edge)) for edge in world.EDGES}
    assert len(drawn) == 36
    assert drawn[0].get_color() != drawn[12].get_color()
    assert drawn[0].get_linestyle() != drawn[12].get_linestyle()
    key = axes.get_legend().get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert figure.bbox.y0 <= key.y0 < key.y1 <= axes.bbox.y0 + 1  # below the photo, and not over the figure's rim


def test_photos_one_below_the_other_hold_the_boxes_of_their_title():
    panels = {"0 rounds": {"placed": [CUBE]}, "4 rounds": {"placed": [CAR.corners]}}
    figure = draw_camera.photos_in_3d(PHOTO, CAMERA, panels)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(panels)
    for axes, corners in zip(figure.axes, (CUBE, CAR.corners), strict=True):
        drawn = [line.get_xydata() for line in axes.get_lines() if len(line.get_xdata())]
        pixels = CAMERA.project(corners)[0]
        ends = [[pixels[a], pixels[b]] for a, b in world.EDGES]
        assert np.allclose(
            sorted(map(sorted, np.round(drawn, 6).tolist())), sorted(map(sorted, np.round(ends, 6).tolist()))
        )
    upper, lower = (axes.get_window_extent() for axes in figure.axes)
    assert upper.y0 > lower.y1
    assert np.isclose(upper.width / upper.height, 101 / 81, rtol=0.02)
    assert "0 rounds: the edges of 3D boxes, placed: 1 box. 4 rounds: the edges" in figure.alt_text
    assert draw._encoded(figure)[0] == "image/jpeg"


def test_photos_in_3d_refuse_what_is_no_box_or_too_much():
    for draw_boxes in (draw_camera.photo_in_3d, lambda *given: draw_camera.photos_in_3d(*given[:2], {"one": given[2]})):
        with pytest.raises(ValueError, match=r"must be \(8, 3\), got \(4, 3\)"):
            draw_boxes(PHOTO, CAMERA, {"labelled": [CUBE[:4]]})
        with pytest.raises(ValueError, match="at most 4 groups"):
            draw_boxes(PHOTO, CAMERA, dict.fromkeys("abcde", [CUBE]))
        with pytest.raises(ValueError, match="image must be"):
            draw_boxes(PHOTO[..., 0], CAMERA, {})
    with pytest.raises(ValueError, match="one or more titles"):
        draw_camera.photos_in_3d(PHOTO, CAMERA, {})


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
