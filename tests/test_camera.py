import numpy as np
import pytest
from PIL import Image

from roidepth_lessons.camera import Calibration, Camera, resize_nearest

# The numbers of a real KITTI P2: its fourth column is not zero.
P2 = np.array([[707.0493, 0, 604.0814, 45.75831], [0, 707.0493, 180.5066, -0.3454157], [0, 0, 1, 0.004981016]])


@pytest.fixture
def camera():
    return Camera(P2, height=375, width=1242)


@pytest.fixture
def points():
    random = np.random.default_rng(0)
    return random.uniform([-20, -3, 2], [20, 2, 80], size=(200, 3))


def random_rotation(random):
    q, _ = np.linalg.qr(random.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_project_worked_by_hand():
    camera = Camera([[700, 0, 600, 45], [0, 710, 180, -3], [0, 0, 1, 0.5]], 375, 1242)
    pixels, depth = camera.project([2, 1, 9.5])
    assert depth == pytest.approx(10.0)
    # u = (700 * 2 + 600 * 9.5 + 45) / 10, v = (710 * 1 + 180 * 9.5 - 3) / 10
    assert pixels.tolist() == pytest.approx([714.5, 241.7])


def test_unproject_is_the_inverse_of_project(camera, points):
    assert np.abs(camera.unproject(*camera.project(points)) - points).max() < 1e-9
    random = np.random.default_rng(1)
    pixels, depth = random.uniform(0, 300, size=(4, 5, 2)), random.uniform(1, 80, size=(4, 5))
    again, depth_again = camera.project(camera.unproject(pixels, depth))
    assert np.abs(again - pixels).max() < 1e-9
    assert np.abs(depth_again - depth).max() < 1e-9


def test_points_behind_the_camera_have_no_pixel(camera):
    pixels, depth = camera.project([[1.0, 1.0, -5.0], [0.0, 0.0, -P2[2, 3]], [1.0, 1.0, 5.0]])
    assert np.isnan(pixels[:2]).all()
    assert np.isfinite(pixels[2]).all()
    assert depth[0] < 0 < depth[2]


def test_from_focal_length_looks_at_the_middle_of_the_image():
    camera = Camera.from_focal_length(240, height=3, width=5)
    assert camera.project([0, 0, 7.0])[0].tolist() == [2, 1]
    assert camera.vector.tolist() == [240, 240, 2, 1]
    assert camera.vector.dtype == np.float32


def test_vector_tells_the_two_axes_apart():
    camera = Camera([[1, 0, 3, 0], [0, 2, 4, 0], [0, 0, 1, 0]], 8, 8)
    assert camera.vector.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("size", [(128, 416), (750, 2484), (100, 1242)])
def test_resized_moves_pixels_by_the_half_pixel_rule(camera, points, size):
    (before, depth), (after, same_depth) = camera.project(points), camera.resized(*size).project(points)
    expected = (before + 0.5) * [size[1] / 1242, size[0] / 375] - 0.5
    assert np.abs(after - expected).max() < 1e-9
    assert (depth == same_depth).all()
    assert camera.resized(*size).height == size[0]
    assert camera.resized(*size).width == size[1]


def test_resized_agrees_with_how_pillow_resizes_an_image():
    # In a picture whose every pixel holds its own column, the resized picture tells where each column went.
    columns = Image.fromarray(np.tile(np.arange(90, dtype=np.float32), (30, 1)))
    resized = np.asarray(columns.resize((30, 10), Image.Resampling.BILINEAR))[5]
    camera = Camera.from_focal_length(50, height=30, width=90)
    point = camera.unproject(np.array([resized[17], 15.0]), 10.0)
    assert camera.resized(10, 30).project(point)[0][0] == pytest.approx(17, abs=1e-4)


def test_cropped_moves_the_origin(camera, points):
    before, after = camera.project(points)[0], camera.cropped(30, 200, 100, 300).project(points)[0]
    assert np.abs(after - (before - [200, 30])).max() < 1e-9
    padded = camera.cropped(-4, -7, 400, 1300)
    assert np.abs(padded.project(points)[0] - (before + [7, 4])).max() < 1e-9
    assert (padded.height, padded.width) == (400, 1300)


def test_flipped_camera_sees_the_mirrored_world_in_the_mirrored_picture(camera, points):
    (before, depth), (after, same_depth) = camera.project(points), camera.flipped().project(points * [-1, 1, 1])
    assert np.abs(after[:, 0] - (1241 - before[:, 0])).max() < 1e-9
    assert np.abs(after[:, 1] - before[:, 1]).max() < 1e-9
    assert (depth == same_depth).all()
    assert np.abs(camera.flipped().flipped().projection - P2).max() < 1e-9


@pytest.mark.parametrize(
    ("projection", "size", "message"),
    [
        (np.eye(3), (10, 10), r"\(3, 4\)"),
        (np.where(P2 == 0, np.nan, P2), (10, 10), "finite"),
        (P2 * [[-1], [1], [1]], (10, 10), "focal lengths must be positive"),
        (P2 * [[1], [0], [1]], (10, 10), "focal lengths must be positive"),
        (P2 * [[1], [1], [2]], (10, 10), "last row"),
        (P2, (0, 10), "size must be positive"),
        (P2, (10, -1), "size must be positive"),
    ],
)
def test_impossible_cameras_are_refused(projection, size, message):
    with pytest.raises(ValueError, match=message):
        Camera(projection, *size)


def test_camera_keeps_its_own_copy_of_the_matrix():
    matrix = P2.copy()
    camera = Camera(matrix, 10, 10)
    matrix[:] = 0
    assert (camera.projection == P2).all()
    with pytest.raises(ValueError, match="read-only"):
        camera.projection[0, 0] = 1


def test_calibration_chain_is_a_product_of_4x4_matrices(points):
    random = np.random.default_rng(2)
    rectification, rotation = random_rotation(random), random_rotation(random)
    translation = random.normal(size=3)
    calibration = Calibration(P2, rectification, np.column_stack([rotation, translation]))

    rectify, move = np.eye(4), np.eye(4)
    rectify[:3, :3], move[:3, :3], move[:3, 3] = rectification, rotation, translation
    for point, result in zip(points, calibration.points_from_velodyne(points), strict=True):
        expected = rectify @ move @ np.append(point, 1)
        assert np.abs(result - expected[:3]).max() < 1e-9
        # The devkit's full chain, P2 R0_rect Tr_velo_to_cam, against our two steps.
        homogeneous = P2 @ expected
        if homogeneous[2] > 0.1:
            pixel = calibration.camera(375, 1242).project(result)[0]
            assert np.abs(pixel - homogeneous[:2] / homogeneous[2]).max() < 1e-6
    back = calibration.points_to_velodyne(calibration.points_from_velodyne(points))
    assert np.abs(back - points).max() < 1e-9


def test_default_calibration_turns_the_axes_as_on_kittis_car():
    calibration = Calibration(P2)
    ahead, left, up = calibration.points_from_velodyne([[10.0, 0, 0], [10, 3, 0], [10, 0, 2]])
    assert ahead.tolist() == pytest.approx([0, -0.08, 9.73])
    assert (left - ahead).tolist() == pytest.approx([-3, 0, 0])
    assert (up - ahead).tolist() == pytest.approx([0, -2, 0])


def test_the_camera_that_looks_straight_ahead_has_the_textbook_matrix():
    camera = Camera.from_focal_length(240, height=4, width=7)
    assert camera.projection.tolist() == [[240, 0, 3, 0], [0, 240, 1.5, 0], [0, 0, 1, 0]]
    assert (camera.focal_length, camera.center) == ((240, 240), (3, 1.5))


def test_a_camera_of_one_pixel_and_of_the_largest_numbers():
    assert Camera.from_focal_length(1e-6, height=1, width=1).vector.tolist() == pytest.approx([1e-6, 1e-6, 0, 0])
    assert Camera.from_focal_length(1e9, height=1, width=1).focal_length == (1e9, 1e9)
    for focal_length in (1e9 + 0.5, 0.9e-6):
        with pytest.raises(ValueError, match="focal lengths must be positive and nothing above 1e\\+09 pixels"):
            Camera.from_focal_length(focal_length, height=1, width=1)
    skewed = P2 + np.array([[0, -2e9, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    with pytest.raises(ValueError, match="nothing above"):
        Camera(skewed, 10, 10)


@pytest.mark.parametrize("size", [(3, 4), (10, 14), (9, 7), (1, 1), (5, 7)])
def test_a_map_is_resized_as_pillow_resizes_it(size):
    """Without a value in between: 4 rows to 3, 7 columns to 4 and so on; each takes the one its centre lies in."""
    values = np.arange(35, dtype=np.uint8).reshape(5, 7)
    expected = Image.fromarray(values).resize(size[::-1], Image.Resampling.NEAREST)
    np.testing.assert_array_equal(resize_nearest(values, *size), np.asarray(expected))
    pairs = np.stack([values, values + 100], axis=-1)
    np.testing.assert_array_equal(resize_nearest(pairs, *size)[..., 1], np.asarray(expected) + 100)
