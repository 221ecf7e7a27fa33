"""Baselines beside loops over pixels, points and frames."""

from dataclasses import replace

import numpy as np
import pytest

from roidepth_lessons import baselines
from roidepth_lessons.camera import Camera
from roidepth_lessons.frames import Frame


def frame_with(points):
    camera = Camera.from_focal_length(100.0, 60, 200)
    return Frame("", np.zeros((60, 200, 3), np.uint8), camera, points=points)


def found(distance, spread, frame=0):
    """A table of one object in the middle of the photo, a cube of 2 m that faces the camera."""
    return {
        "frame": np.array([frame]), "box": np.array([[90.0, 20.0, 110.0, 40.0]]), "distance": np.array([distance]),
        "surface": np.array([distance - 0.7]), "spread": np.array([spread]), "yaw": np.zeros(1),
        "position": np.array([[0, 0, distance]]), "dimensions": np.full((1, 3), 2.0),
    }  # fmt: skip


NEAR = np.array([[0, 0, z] for z in (8.0, 8.1, 8.2, 8.3, 8.4)], np.float32)
OWN = np.array([[0, 0, z] for z in (19.0, 19.2, 19.4)], np.float32)


def test_lidar_near_where_the_camera_expects_it():
    """Five points of something in front, three of the object: its surface is expected at 20 - 1 m."""
    frame = frame_with(np.concatenate([NEAR, OWN]))
    said = baselines.lidar_distances([frame], found(20.0, 0.5))
    assert (said["surface"], said["center"], said["speaks"]) == (pytest.approx(19.2), pytest.approx(20.2), [True])
    alone = baselines.lidar_distances([frame], found(20.0, 0.5), ask_camera=False)
    assert (alone["surface"], alone["center"]) == (pytest.approx(8.2), pytest.approx(9.2))


@pytest.mark.parametrize(("off", "speaks"), [(2.4, True), (2.6, False)])
def test_how_far_lidar_and_camera_may_be_apart(off, speaks):
    """Three standard deviations of a Laplace distribution of scale 0.55 m and of 0.3 m: 2.5 m."""
    points = np.array([[0, 0, 19 + off]] * 3, np.float32)
    said = baselines.lidar_distances([frame_with(points)], found(20.0, 0.55))
    assert said["speaks"] == [speaks]
    assert said["surface"] == pytest.approx(19 + off if speaks else 19.3)
    assert said["center"] == pytest.approx(20 + off if speaks else 20.0)


def test_frames_without_lidar_say_nothing():
    frames = [frame_with(OWN), frame_with(None)]
    said = baselines.lidar_distances(frames, found(20.0, 0.5, frame=1))
    assert np.isnan(said["surface"]).all()
    assert np.isnan(said["center"]).all()
    assert not said["speaks"].any()
    nothing = {name: values[:0] for name, values in found(20.0, 0.5).items()}
    assert baselines.lidar_distances(frames, nothing)["center"].shape == (0,)


@pytest.fixture(scope="module")
def depths():
    """Four frames of two drives, two sizes and focal lengths; half of the pixels known, none of the last frame."""
    generator = np.random.default_rng(4)
    frames = []
    for height, focal_length in ((40, 150.0), (60, 240.0), (60, 240.0), (50, 200.0)):
        depth = generator.uniform(5, 50, (height, 30)) * (generator.random((height, 30)) < 0.5)
        depth[:12] = 0
        frames.append((depth, Camera.from_focal_length(focal_length, height, 30)))
    frames[0][0][20, 3] = np.nan
    frames[3] = None, frames[3][1]
    return frames


def test_row_means_against_a_loop_over_pixels(depths):
    means = baselines.row_means_of_others([baselines.row_totals(*each) for each in depths], ["a", "b", "a", "c"])
    for drive, others in (("a", (1, 3)), ("b", (0, 2, 3)), ("c", (0, 1, 2))):
        pixels = {}
        for number in others:
            depth, camera = depths[number]
            for row, column in zip(*np.nonzero([[0]] if depth is None else depth > 0), strict=True):
                slope = (row - (camera.height - 1) / 2) / camera.focal_length[1]
                pixels.setdefault(round(slope * 240), []).append(depth[row, column])
        steps = sorted(pixels)
        np.testing.assert_allclose(means[drive][0] * 240, steps, atol=1e-9)
        np.testing.assert_allclose(means[drive][1], [np.mean(pixels[step]) for step in steps])


def test_nothing_is_learnt_from_the_own_drive(depths):
    changed = [(depth if number not in (0, 2) else 3 * depth, camera) for number, (depth, camera) in enumerate(depths)]
    before, after = (
        baselines.row_means_of_others([baselines.row_totals(*each) for each in frames], ["a", "b", "a", "c"])
        for frames in (depths, changed)
    )
    np.testing.assert_array_equal(before["a"], after["a"])
    np.testing.assert_allclose(3 * before["b"][1], after["b"][1])


def test_depth_between_and_beyond_known_rows():
    means = np.array([[0.1, 0.2], [20.0, 10.0]])
    np.testing.assert_allclose(baselines.depth_at(means, [0.0, 0.1, 0.15, 0.5]), [20, 20, 15, 10])
    assert np.isnan(baselines.depth_at(np.zeros((2, 0)), [0.1])).all()


def test_the_same_rows_in_a_photo_of_half_the_size():
    camera = Camera.from_focal_length(300.0, 100, 160)
    full, half = baselines.row_slopes([20.5, 80.5], camera), baselines.row_slopes([10, 40], camera.resized(50, 80))
    np.testing.assert_allclose(full, half)
    steep = baselines.row_totals(np.full((100, 160), 7.0), replace_focal(camera, 5.0))
    # Rows steeper than the steepest count as that: those 10 pixels or more from the middle.
    assert (steep[1][[0, -1]] == 40 * 160).all()
    assert steep[1].sum() == 100 * 160


def replace_focal(camera, focal_length):
    return replace(camera, projection=Camera.from_focal_length(focal_length, 100, 160).projection)


def test_errors_of_row_means_against_a_loop(depths):
    depth, camera = depths[1]
    means = np.array([[-0.1, 0.1], [30.0, 10.0]])
    inside = np.zeros(depth.shape, bool)
    inside[30:40, 5:20] = True
    errors = baselines.row_mean_errors(depth, camera, inside, means)
    relative = {"image": [], "inside_boxes": []}
    for row, column in zip(*np.nonzero(depth), strict=True):
        guess = 30 - 100 * (np.clip((row - 29.5) / 240, -0.1, 0.1) + 0.1)
        relative["image"].append(abs(guess / depth[row, column] - 1))
        if inside[row, column]:
            relative["inside_boxes"].append(relative["image"][-1])
    for part, values in relative.items():
        assert errors[part]["abs_rel"] == pytest.approx(np.mean(values))
        assert errors[part]["count"] == len(values)
    for nothing in (baselines.row_mean_errors(None, camera, None, means),
                    baselines.row_mean_errors(depth, camera, inside, means[:, :0])):  # fmt: skip
        assert [each["count"] for each in nothing.values()] == [0, 0]
