import math
import os
from dataclasses import replace

import numpy as np
import pytest

from roidepth_lessons import kitti
from roidepth_lessons.camera import Calibration, Camera
from roidepth_lessons.frames import Frame, RoadObject, depth_map

KITTI = os.environ.get("ROIDEPTH_KITTI")


def projected_box(each, camera):
    pixels = camera.project(each.corners)[0]
    return (*pixels.min(axis=0).tolist(), *pixels.max(axis=0).tolist())


def make_frame(height=96, width=300, seed=0):
    """Two objects whose 2D boxes are the bounds of their projected corners, painted bright in the image."""
    random = np.random.default_rng(seed)
    projection = [[200, 0, 140, 9], [0, 210, 40, -0.1], [0, 0, 1, 0.004]]
    camera = Camera(projection, height, width)
    objects = [
        RoadObject("Car", (0, 0, 1, 1), 0.0, 0, 1.8, (1.5, 1.7, 4.1), (-4.0, 1.6, 18.0), 0.4),
        RoadObject("Cyclist", (0, 0, 1, 1), 0.0, 1, -2.0, (1.7, 0.6, 1.8), (3.0, 1.65, 14.0), -2.7),
    ]
    objects = [replace(each, box=projected_box(each, camera)) for each in objects]
    image = random.integers(0, 60, (height, width, 3), dtype=np.uint8)
    instances = np.zeros((height, width), np.uint8)
    for i, each in enumerate(objects):
        left, top, right, bottom = np.rint(each.box).astype(int)
        image[top : bottom + 1, left : right + 1] = 255
        instances[top : bottom + 1, left : right + 1] = i + 1
    depth = random.uniform(1, 80, (height, width)).astype(np.float32) * (random.random((height, width)) < 0.1)
    return Frame(
        "toy",
        image,
        camera,
        (*objects, RoadObject("DontCare", (10.0, 20.0, 30.0, 40.0)), RoadObject("Car", (1.0, 2.0, 3.0, 4.0))),
        depth.astype(np.float32),
        instances,
        random.random((height, width)) < 0.5,
        random.uniform([-20, -3, 2], [20, 2, 80], size=(500, 3)).astype(np.float32),
        Calibration(projection),
    )


def test_corners_are_the_devkits():
    each = RoadObject("Car", (0, 0, 1, 1), dimensions=(1.5, 1.7, 4.1), location=(-4.0, 1.6, 18.0), yaw=0.7)
    h, w, l = each.dimensions  # noqa: E741
    # KITTI development kit, computeBox3D.m
    rotation = np.array([[math.cos(0.7), 0, math.sin(0.7)], [0, 1, 0], [-math.sin(0.7), 0, math.cos(0.7)]])
    x = [l / 2, l / 2, -l / 2, -l / 2, l / 2, l / 2, -l / 2, -l / 2]
    y = [0, 0, 0, 0, -h, -h, -h, -h]
    z = [w / 2, -w / 2, -w / 2, w / 2, w / 2, -w / 2, -w / 2, w / 2]
    expected = (rotation @ np.array([x, y, z])).T + each.location
    assert np.abs(each.corners - expected).max() < 1e-12
    assert each.distance == 18.0


def test_depth_map_against_a_slow_loop():
    random = np.random.default_rng(3)
    camera = Camera([[30, 0, 20, 4], [0, 30, 10, -0.2], [0, 0, 1, 0.01]], 24, 40)
    points = random.uniform([-15, -8, -5], [15, 8, 20], size=(3000, 3)).astype(np.float32)
    expected = np.zeros((24, 40))
    for x, y, z in points.astype(np.float64):
        depth = z + 0.01
        if depth <= 0:
            continue
        column, row = round((30 * x + 20 * z + 4) / depth), round((30 * y + 10 * z - 0.2) / depth)
        if 0 <= column < 40 and 0 <= row < 24 and (expected[row, column] == 0 or depth < expected[row, column]):
            expected[row, column] = depth
    result = depth_map(points, camera)
    assert result.dtype == np.float32
    assert (expected > 0).sum() > 300
    assert np.abs(result - expected).max() < 1e-5


def test_depth_map_without_points_and_with_points_beside_the_camera():
    camera = Camera.from_focal_length(30, 24, 40)
    assert not depth_map(np.zeros((0, 3)), camera).any()
    # Almost no depth: the pixel's number is far beyond any integer.
    assert not depth_map([[1.0, 1.0, 1e-30], [-1.0, 1.0, 1e-30], [0.0, 0.0, -1.0]], camera).any()


def test_with_lidar_depth():
    frame = make_frame()
    assert (frame.with_lidar_depth().depth == depth_map(frame.points, frame.camera)).all()
    with pytest.raises(ValueError, match="toy has no LiDAR points"):
        replace(frame, points=None).with_lidar_depth()


def test_flipped_twice_is_the_same_frame():
    frame = make_frame()
    again = frame.flipped().flipped()
    for what in ("image", "depth", "instances", "road", "points"):
        assert (getattr(again, what) == getattr(frame, what)).all()
        assert not (getattr(frame.flipped(), what) == getattr(frame, what)).all()
    assert np.abs(again.camera.projection - frame.camera.projection).max() < 1e-9
    for before, after in zip(frame.objects, again.objects, strict=True):
        assert after.box == pytest.approx(before.box)
        assert (after.location, after.name) == (before.location, before.name)
        assert after.yaw == pytest.approx(before.yaw)
        assert after.alpha == pytest.approx(before.alpha)


def test_flipped_moves_image_boxes_corners_and_angles_together():
    frame = make_frame()
    flipped = frame.flipped()
    assert (flipped.image[:, 5] == frame.image[:, 294]).all()
    for before, after in zip(frame.objects[:2], flipped.objects[:2], strict=True):
        assert after.box == pytest.approx((299 - before.box[2], before.box[1], 299 - before.box[0], before.box[3]))
        assert projected_box(after, flipped.camera) == pytest.approx(after.box)
        # The mirrored corners, as a set: a mirror swaps left and right ones.
        mirrored = before.corners * [-1, 1, 1]
        distances = np.linalg.norm(mirrored[:, None] - after.corners[None], axis=-1)
        assert distances.min(axis=1).max() < 1e-9
        # alpha = yaw - direction of the ray (KITTI), so their difference must change its sign with x.
        turn = (after.alpha - after.yaw) + (before.alpha - before.yaw)
        assert math.cos(turn) == pytest.approx(1)
        assert -math.pi <= after.yaw < math.pi
    # The front of a mirrored car: x of the heading changes its sign, z does not.
    assert math.cos(flipped.objects[0].yaw) == pytest.approx(-math.cos(0.4))
    assert math.sin(flipped.objects[0].yaw) == pytest.approx(math.sin(0.4))
    assert flipped.calibration is None


def test_flipped_leaves_unknown_places_and_angles_unknown():
    frame = make_frame()
    for before, after in zip(frame.objects[2:], frame.flipped().objects[2:], strict=True):
        assert (after.location, after.yaw, after.alpha) == (before.location, -10, -10)
        assert after.box[0] == 299 - before.box[2]
    placed = replace(frame.objects[0], alpha=-10.0)
    assert replace(frame, objects=(placed,)).flipped().objects[0].alpha == -10


def test_flipped_depth_is_the_depth_of_the_flipped_points():
    frame = make_frame().with_lidar_depth()
    flipped = frame.flipped()
    assert np.abs(depth_map(flipped.points, flipped.camera) - flipped.depth).max() < 1e-5


@pytest.mark.parametrize("size", [(64, 128), (32, 160), (128, 416), (96, 320), (200, 160)])
def test_fitted_moves_boxes_corners_and_image_together(size):
    frame = make_frame()
    fitted = frame.fitted(*size)
    assert fitted.size == size
    scale = min(size[0] / 96, size[1] / 300)
    for before, after in zip(frame.objects[:2], fitted.objects[:2], strict=True):
        assert projected_box(after, fitted.camera) == pytest.approx(after.box, abs=1e-9)
        assert after.box == pytest.approx((np.array(before.box) + 0.5) * scale - 0.5, abs=1)
        assert (after.location, after.dimensions) == (before.location, before.dimensions)
    # The brightest part of the picture is the objects: its edges must lie where the boxes' edges lie.
    rows, columns = np.nonzero(fitted.image.min(axis=2) > 160)
    boxes = np.array([each.box for each in fitted.objects[:2]])
    bounds = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert np.abs(bounds - np.array([*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)])).max() < 1.5


def test_fitted_fills_with_grey_and_unknown():
    fitted = make_frame().fitted(64, 128)
    # 96 x 300 at scale 128 / 300 becomes 41 x 128.
    assert (fitted.image[41:] == 127).all()
    assert not (fitted.image[40] == 127).all()
    for what in ("depth", "instances", "road"):
        assert not getattr(fitted, what)[41:].any()
        assert getattr(fitted, what)[:41].any()
        assert getattr(fitted, what).dtype == getattr(make_frame(), what).dtype


@pytest.mark.parametrize("size", [(64, 128), (50, 290), (31, 96)])
def test_fitted_keeps_depth_in_metres_and_of_several_the_nearest(size):
    frame = make_frame()
    inner = [round(side * min(size[0] / 96, size[1] / 300)) for side in (96, 300)]
    expected = np.zeros(size, np.float32)
    for row, column in zip(*np.nonzero(frame.depth), strict=True):
        place = int((row + 0.5) * inner[0] / 96), int((column + 0.5) * inner[1] / 300)
        if expected[place] == 0 or frame.depth[row, column] < expected[place]:
            expected[place] = frame.depth[row, column]
    assert (frame.fitted(*size).depth == expected).all()


def test_fitted_enlarges_a_dense_map_without_holes():
    frame = make_frame()
    dense = replace(frame, depth=np.arange(1, 96 * 300 + 1, dtype=np.float32).reshape(96, 300))
    enlarged = dense.fitted(192, 600)
    assert (enlarged.depth == np.repeat(np.repeat(dense.depth, 2, axis=0), 2, axis=1)).all()
    assert (enlarged.instances == np.repeat(np.repeat(frame.instances, 2, axis=0), 2, axis=1)).all()


def test_fitted_to_its_own_size_changes_nothing():
    frame = make_frame()
    assert frame.fitted(96, 300) is frame
    padded = frame.fitted(128, 300)
    assert (padded.image[:96] == frame.image).all()
    assert [each.box for each in padded.objects] == [pytest.approx(each.box) for each in frame.objects]
    assert np.abs(padded.camera.projection - frame.camera.projection).max() < 1e-9


def test_select():
    assert [each.name for each in make_frame().select("Car", "DontCare")] == ["Car", "DontCare", "Car"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((96, 300), np.uint8)}, "image must be"),
        ({"image": np.zeros((96, 300, 3), np.float32)}, "float32"),
        ({"image": np.zeros((95, 300, 3), np.uint8)}, "camera is for 96x300"),
        ({"depth": np.zeros((96, 299), np.float32)}, "depth has shape"),
        ({"instances": np.zeros((300, 96), np.uint8)}, "instances has shape"),
        ({"road": np.zeros((96, 300, 1), bool)}, "road has shape"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change, message):
    with pytest.raises(ValueError, match=f"frame toy: .*{message}"):
        replace(make_frame(), **change)


@pytest.mark.skipif(not KITTI, reason="ROIDEPTH_KITTI is not set")
def test_real_cars_corners_project_onto_their_boxes():
    overlaps = []
    for path in sorted(os.listdir(f"{KITTI}/training/label_2")):
        camera = kitti.read_calibration(f"{KITTI}/training/calib/{path}").camera(375, 1242)
        for each in kitti.read_labels(f"{KITTI}/training/label_2/{path}"):
            if each.name == "Car" and each.occlusion == 0 and each.truncation == 0:
                a, b = np.array(projected_box(each, camera)), np.array(each.box)
                inner = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
                overlaps.append(inner / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inner))
    assert len(overlaps) > 100
    # Measured: 110 cars, all above 0.8, median 0.98.
    assert np.mean(np.array(overlaps) > 0.8) > 0.97
