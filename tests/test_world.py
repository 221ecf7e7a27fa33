"""Places in metres, 3D boxes, uncertainty and fusion, each beside something independent."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from roidepth_lessons import world
from roidepth_lessons.camera import Calibration, Camera
from roidepth_lessons.frames import RoadObject
from roidepth_lessons.kitti import points_inside
from roidepth_lessons.streets import draw_street

CAMERA = Camera([[240, 0, 207, 12.0], [0, 238, 63, -3.0], [0, 0, 1, 0.003]], 128, 416)


def turn(axis, angle):
    """Rotation by Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def chain():
    """A calibration in which no matrix is the identity."""
    velodyne = np.concatenate(
        [turn((0, 0, 1), 0.02) @ [[0, -1, 0], [0, 0, -1], [1, 0, 0]], [[0.01], [-0.08], [-0.27]]], 1
    )
    return Calibration(CAMERA.projection, turn((0, 1, 0), 0.01), velodyne)


# The calibration chain


def test_the_chain_agrees_with_four_by_four_matrices():
    calibration = chain()
    point = np.array([20.0, 3.0, -1.2])
    rectification = np.block([[calibration.rectification, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]])
    to_camera = np.concatenate([calibration.velodyne_to_camera, [[0, 0, 0, 1]]])
    u, v, w = calibration.projection @ rectification @ to_camera @ [*point, 1]
    pixels, depth = world.velodyne_to_pixels(point, calibration, CAMERA)
    assert np.allclose([*pixels, depth], [u / w, v / w, w], atol=1e-10)


@pytest.mark.parametrize("size", [None, (96, 320)])
def test_there_and_back_is_below_a_micrometre(size):
    calibration = chain()
    camera = calibration.camera(128, 416)
    camera = camera.resized(*size).cropped(7, 20, 60, 200) if size else camera
    points = np.random.default_rng(0).uniform([3, -30, -2], [90, 30, 3], (500, 3))
    back = world.pixels_to_velodyne(*world.velodyne_to_pixels(points, calibration, camera), calibration, camera)
    assert np.abs(back - points).max() < 1e-6


# 3D boxes


def random_object(generator, z=(6, 50)):
    depth = generator.uniform(*z)
    bottom = np.array([generator.uniform(-0.5, 0.5) * depth, 1.65, depth])
    return RoadObject(
        "Car",
        (0, 0, 1, 1),
        dimensions=tuple(generator.uniform([1.3, 1.5, 3.2], [1.9, 1.9, 4.8])),
        location=tuple(bottom),
        yaw=generator.uniform(-np.pi, np.pi),
    )


def test_the_edges_of_a_box_join_neighbours_and_have_its_dimensions():
    corners = world.box_corners((1.0, 1.65, 12.0), (1.5, 1.7, 4.2), 0.7)
    lengths = [np.linalg.norm(corners[a] - corners[b]) for a, b in world.EDGES]
    assert np.allclose(sorted(lengths), np.repeat([1.5, 1.7, 4.2], 4))
    assert len({frozenset(edge) for edge in world.EDGES}) == 12


def test_corners_lie_where_the_box_ends():
    each = random_object(np.random.default_rng(17))
    center = np.array(each.location) - [0, each.dimensions[0] / 2, 0]
    corners = world.box_corners(each.location, each.dimensions, each.yaw) - center
    assert points_inside(center + 0.99 * corners, each).all()
    assert not points_inside(center + 1.01 * corners, each).any()


def test_a_box_is_put_where_it_was_seen():
    generator = np.random.default_rng(1)
    wrong_without = []
    for _ in range(100):
        each = random_object(generator)
        box, distance = world.tight_box(each.corners, CAMERA), CAMERA.project(each.location)[1]
        bottom, corners = world.place_box(box, distance, each.dimensions, each.yaw, CAMERA)
        assert np.linalg.norm(bottom - each.location) < 0.01
        assert np.abs(corners - each.corners).max() < 0.01
        bottom, _ = world.place_box(box, distance, each.dimensions, each.yaw, CAMERA, rounds=0)
        wrong_without.append(np.linalg.norm(bottom - each.location))
    assert np.mean(wrong_without) > 0.05  # without the correction the same test would fail


@pytest.mark.parametrize("side", [-1, 1])
def test_a_box_that_the_rim_cuts_off_is_put_by_the_edge_that_is_seen(side):
    dimensions, location = (1.5, 1.7, 4.2), np.array([side * 6.0, 1.65, 7.5])
    whole = world.tight_box(world.box_corners(location, dimensions, 1.5), CAMERA)
    box = np.clip(whole, 0, [CAMERA.width - 1, CAMERA.height - 1] * 2)
    assert np.abs(whole - box)[[0, 2]].max() > 30  # a good part of it is outside
    assert whole[3] > box[3]  # and so are the wheels
    bottom, _ = world.place_box(box, location[2], dimensions, 1.5, CAMERA)
    assert np.abs(bottom - location).max() < 0.02


def test_between_two_rims_the_place_stays_as_it_is():
    box, dimensions = (0.0, 50.0, CAMERA.width - 1.0, 80.0), (1.5, 1.7, 4.2)
    bottom, _ = world.place_box(box, 20.0, dimensions, 1.2, CAMERA)
    uncorrected, _ = world.place_box(box, 20.0, dimensions, 1.2, CAMERA, rounds=0)
    assert bottom[0] == uncorrected[0]
    assert bottom[1] != uncorrected[1]


def test_place_box_keeps_the_depth_that_it_is_given():
    each = random_object(np.random.default_rng(2))
    bottom, corners = world.place_box(world.tight_box(each.corners, CAMERA), 20.0, each.dimensions, each.yaw, CAMERA)
    assert np.isclose(CAMERA.project(bottom)[1], 20.0)
    assert np.isclose(CAMERA.project(corners.mean(axis=0))[1], 20.0)


def test_without_a_correction_the_middle_of_the_box_is_the_center():
    box, dimensions = (100, 50, 140, 80), (1.5, 1.7, 4.2)
    bottom, corners = world.place_box(box, 20.0, dimensions, 0.3, CAMERA, rounds=0)
    assert np.allclose(CAMERA.project(bottom - [0, 0.75, 0])[0], [120, 65])
    assert np.allclose(corners, world.box_corners(bottom, dimensions, 0.3))


def test_a_box_that_would_reach_behind_the_camera_is_placed_uncorrected():
    bottom, corners = world.place_box((100, 20, 300, 120), 1.5, (1.5, 1.7, 4.2), np.pi / 2, CAMERA)
    assert np.isfinite(bottom).all()
    assert np.isfinite(corners).all()


@pytest.mark.parametrize(
    "change",
    [
        {"distance": 0.0},
        {"distance": np.nan},
        {"dimensions": (1.5, -1, 4)},
        {"yaw": np.inf},
        {"box": (0, 0, np.nan, 3)},
    ],
)
def test_place_box_refuses_what_makes_no_box(change):
    given = {"box": (100, 50, 140, 80), "distance": 20.0, "dimensions": (1.5, 1.7, 4.2), "yaw": 0.3} | change
    with pytest.raises(ValueError, match="must be finite"):
        world.place_box(**given, camera=CAMERA)


def test_tight_box_refuses_corners_behind_the_camera():
    with pytest.raises(ValueError, match="4 of 8 corners lie behind the camera"):
        world.tight_box(world.box_corners((0, 1.65, 0.5), (1.5, 1.7, 4.2), np.pi / 2), CAMERA)


def test_surface_to_center_agrees_with_walking_along_the_ray():
    generator = np.random.default_rng(3)
    for _ in range(30):
        each = random_object(generator)
        center = np.array(each.location) - [0, each.dimensions[0] / 2, 0]
        way = np.linspace(0, 1, 20001)[:, None]
        from_above = center * [1, 0, 1] * way + [0, center[1], 0]  # the ray, at the height of the centre
        first = np.argmax(points_inside(from_above, each))
        expected = center[2] * (1 - way[first, 0])
        assert abs(world.surface_to_center(center, each.dimensions, each.yaw) - expected) < 0.01


def test_surface_to_center_of_many_and_straight_ahead():
    found = world.surface_to_center([[0, 0, 10], [0, 0, 10], [5, 1, 0]], [[1, 2, 4]] * 3, [np.pi / 2, 0, 0])
    assert np.allclose(found, [2, 1, 0])


def test_the_surface_point_lies_on_the_ray_and_on_the_box():
    generator = np.random.default_rng(18)
    objects = [random_object(generator) for _ in range(20)]
    centers = np.array([np.array(each.location) - [0, each.dimensions[0] / 2, 0] for each in objects])
    points = world.surface_point(centers, [each.dimensions for each in objects], [each.yaw for each in objects])
    assert np.allclose(np.cross(points, centers), 0)
    for each, center, point in zip(objects, centers, points, strict=True):
        inner, outer = point + 1e-6 * center, point - 1e-6 * center
        level = [0, center[1], 0]  # at the height of the centre: from above, height doesn't count
        assert points_inside([inner * [1, 0, 1] + level, outer * [1, 0, 1] + level], each).tolist() == [True, False]


def test_range_and_azimuth():
    assert np.allclose(
        world.range_and_azimuth([[3.0, 9.0, 4.0], [-5.0, 0.0, 5.0]]), [[5, np.arctan(0.75)], [50**0.5, -np.pi / 4]]
    )
    assert world.range_and_azimuth(np.zeros((0, 3))).shape == (0, 2)


def test_the_step_from_surface_to_center_helps_on_streets():
    """Not exact (a car is no box), but better than no step."""
    without, with_step = [], []
    for seed in range(12):
        frame = draw_street([11, seed], 96, 320)
        for index, each in enumerate(frame.objects):
            seen = frame.depth[(frame.instances == index + 1) & (frame.depth > 0)]
            if each.name != "Car" or len(seen) < 3:
                continue
            surface = np.median(seen)
            without.append(each.distance - surface)
            with_step.append(
                each.distance - surface - world.surface_to_center(each.location, each.dimensions, each.yaw)
            )
    assert len(without) > 20
    assert np.mean(np.abs(with_step)) < np.mean(np.abs(without)) / 2


# Uncertainty


def test_covariance_agrees_with_many_draws():
    camera = Camera.from_focal_length(240.0, 128, 416)
    position = np.array([-6.0, 1.0, 24.0])
    generator = np.random.default_rng(4)
    pixel, depth = camera.project(position)
    drawn_depth = depth + generator.normal(size=200_000) * 0.8
    drawn_pixels = np.stack([pixel[0] + generator.normal(size=200_000) * 2, np.full(200_000, pixel[1])], axis=1)
    drawn = camera.unproject(drawn_pixels, drawn_depth)[:, [0, 2]]
    covariance = world.covariance_from_above(position, 0.8, 2.0, 240.0)
    assert np.abs(np.cov(drawn.T) - covariance).max() < 0.01


def test_covariance_of_an_echo_agrees_with_many_draws():
    generator = np.random.default_rng(14)
    distance, azimuth = 40 + generator.normal(size=200_000) * 0.3, 0.6 + generator.normal(size=200_000) * 0.02
    drawn = np.stack([distance * np.sin(azimuth), distance * np.cos(azimuth)])
    assert np.abs(np.cov(drawn) - world.covariance_of_echo(40.0, 0.6, 0.3, 0.02)).max() < 0.01
    assert world.covariance_of_echo(np.ones(3), np.zeros(3), 0.3, 0.02).shape == (3, 2, 2)


def test_bias_and_spread_of_normal_errors_with_and_without_wild_ones():
    errors = 0.5 + 2 * np.random.default_rng(15).normal(size=20_000)
    bias, spread = world.bias_and_spread(errors)
    assert np.isclose(bias, 0.5, atol=0.05)
    assert np.isclose(spread, errors.std(), rtol=0.03)
    errors[:400], errors[400:800] = 100, np.nan
    assert np.allclose(world.bias_and_spread(errors), [0.55, 2.05], atol=0.08)
    assert np.nanstd(errors) > 10
    assert world.bias_and_spread([1.0, 2.0, 4.0]) == (2.0, 1.4826)
    with pytest.raises(ValueError, match="needs two measurements or more, got 1"):
        world.bias_and_spread([1.0, np.nan])


def test_each_kind_has_its_own_bias_and_spread():
    generator = np.random.default_rng(18)
    errors, kinds = generator.normal(size=300), generator.permutation(np.repeat([0, 1, 2], 100))
    errors[:30] = np.nan
    biases, spreads = world.bias_and_spread_by_kind(errors, kinds, 3)
    for kind in range(3):
        assert (biases[kind], spreads[kind]) == world.bias_and_spread(errors[kinds == kind])
    with pytest.raises(ValueError, match="two measurements or more, got 0"):
        world.bias_and_spread_by_kind(errors, kinds, 4)


def test_covariance_is_long_along_the_ray():
    places = np.array([[-6.0, 1.0, 24.0], [0.0, 1.0, 10.0]])
    covariance = world.covariance_from_above(places, [2.0, 1.0], 1.0, 240.0)
    assert covariance.shape == (2, 2, 2)
    _, directions = np.linalg.eigh(covariance)
    longest = directions[:, :, 1]
    rays = places[:, [0, 2]] / np.linalg.norm(places[:, [0, 2]], axis=1, keepdims=True)
    assert (np.abs((longest * rays).sum(axis=1)) > 0.999).all()


def test_the_ellipse_is_where_the_mahalanobis_distance_is_one():
    covariance, center = np.array([[2.0, 0.7], [0.7, 1.0]]), np.array([3.0, 20.0])
    outline = world.ellipse(center, covariance, deviations=2) - center
    squared = (outline @ np.linalg.inv(covariance) * outline).sum(axis=1)
    assert np.allclose(squared, 4)
    assert np.allclose(outline[0], outline[-1])


@pytest.mark.parametrize("covariance", [[[1, 0.5], [0.0, 1]], [[1, 2], [2, 1]]])
def test_the_ellipse_refuses_what_is_no_covariance(covariance):
    with pytest.raises(ValueError, match="covariance must be symmetric and not negative"):
        world.ellipse((0, 0), covariance)


def test_the_ellipse_of_a_certain_direction_is_a_line():
    outline = world.ellipse((0, 0), [[0, 0], [0, 4]])
    assert np.allclose(outline[:, 0], 0)
    assert np.isclose(outline[:, 1].max(), 2, atol=0.01)


# LiDAR


def wall(z, count, generator):
    """Points in front of the camera at about this depth."""
    return generator.uniform([-0.3, -0.3, z - 0.1], [0.3, 0.3, z + 0.1], (count, 3))


BOX = (150, 20, 260, 110)


def test_lidar_distance_takes_the_object_not_what_is_behind_it_nor_a_post():
    generator = np.random.default_rng(5)
    points = np.concatenate([wall(20, 30, generator), wall(35, 20, generator), wall(12, 6, generator)])
    distance, count = world.lidar_distance(points, BOX, CAMERA)
    assert count == 30
    assert abs(distance - 20) < 0.1


def test_lidar_distance_of_a_hidden_object_needs_a_word_from_the_camera():
    generator = np.random.default_rng(16)
    points = np.concatenate([wall(20, 30, generator), wall(12, 60, generator), wall(35, 50, generator)])
    assert abs(world.lidar_distance(points, BOX, CAMERA)[0] - 12) < 0.1
    distance, count = world.lidar_distance(points, BOX, CAMERA, between=(15, 25))
    assert count == 30
    assert abs(distance - 20) < 0.1
    assert world.lidar_distance(points, BOX, CAMERA, between=(13, 18))[1] == 0
    ends = np.array([[0, 0, 20.0], [0, 0, 20.5], [0, 0, 21.0]])
    assert world.lidar_distance(ends, BOX, Camera.from_focal_length(240.0, 128, 416), between=(20, 21))[1] == 3


def test_lidar_distance_agrees_with_a_loop():
    generator = np.random.default_rng(6)
    for _ in range(20):
        points = generator.uniform([-6, -1, 5], [6, 1, 40], (300, 3))
        inside = []
        for point in points:
            (u, v), z = CAMERA.project(point)
            if 150 + 11 <= u <= 260 - 11 and 20 + 9 <= v <= 110 - 9:
                inside.append(z)
        groups = [[other for other in inside if each <= other <= each + 1] for each in sorted(inside)]
        best = max(groups, key=len)
        distance, count = world.lidar_distance(points, BOX, CAMERA)
        assert count == len(best)
        assert count < 3 or np.isclose(distance, np.median(best))


def test_a_stretch_holds_both_its_ends():
    points = np.array([[0, 0, 20.0], [0, 0, 20.5], [0, 0, 21.0]])
    camera = Camera.from_focal_length(240.0, 128, 416)
    assert world.lidar_distance(points, BOX, camera, thickness=1.0) == (20.5, 3)


def test_lidar_distance_says_nothing_of_too_few_points():
    generator = np.random.default_rng(7)
    assert world.lidar_distance(np.zeros((0, 3)), BOX, CAMERA) == (pytest.approx(np.nan, nan_ok=True), 0)
    distance, count = world.lidar_distance(wall(20, 2, generator), BOX, CAMERA)
    assert np.isnan(distance)
    assert count == 2
    assert np.isnan(world.lidar_distance(wall(-20, 50, generator), BOX, CAMERA)[0])  # behind the camera
    with pytest.raises(ValueError, match=r"points must be \(n, 3\)"):
        world.lidar_distance(np.zeros((4, 2)), BOX, CAMERA)


def test_lidar_distances_look_for_each_object_in_its_own_frame():
    generator = np.random.default_rng(19)
    frames = [
        SimpleNamespace(points=np.concatenate([wall(z, 40, generator), wall(z + 6, 60, generator)]), camera=CAMERA)
        for z in (12, 20, 30)
    ]
    which, between = [2, 0, 0, 1], np.array([[0, np.inf], [0, 15], [15, 40], [1, 2]])
    found = world.lidar_distances(frames, which, [BOX] * 4, between)
    assert np.allclose(found, [36, 12, 18, np.nan], atol=0.1, equal_nan=True)
    assert world.lidar_distances(frames, [], np.zeros((0, 4)), np.zeros((0, 2))).shape == (0,)


# Radar


def test_a_sweep_has_the_errors_that_were_asked_for():
    radar = world.Radar(range_spread=0.5, azimuth_spread=0.02, hit_probability=1, clutter=0)
    position, generator = np.array([[6.0, 0.3, 8.0]]), np.random.default_rng(8)
    echoes = np.concatenate([radar.sweep(position, generator) for _ in range(4000)])
    assert echoes.shape == (4000, 2)
    assert np.allclose(echoes.mean(axis=0), [10, np.arctan2(6, 8)], atol=[0.03, 0.0012])
    assert np.allclose(echoes.std(axis=0), [0.5, 0.02], rtol=0.05)


def test_a_sweep_misses_and_invents_as_often_as_was_asked_for():
    radar = world.Radar(hit_probability=0.7, clutter=2.5)
    generator = np.random.default_rng(9)
    counts = [len(radar.sweep([[0.0, 1.0, 20.0], [2.0, 1.0, 30.0]], generator)) for _ in range(3000)]
    assert abs(np.mean(counts) - (2 * 0.7 + 2.5)) < 0.1
    assert abs(np.var(counts) - (2 * 0.7 * 0.3 + 2.5)) < 0.3
    false = np.concatenate([radar.sweep([], generator) for _ in range(1000)])
    assert abs(len(false) / 1000 - 2.5) < 0.2
    assert (false[:, 0] < 100).all()
    assert abs(np.abs(false[:, 1]).mean() - np.deg2rad(22.5)) < 0.02
    assert abs(false[:, 1].mean()) < 0.04


def test_what_is_too_far_or_beside_the_view_gives_no_echo():
    radar = world.Radar(hit_probability=1, clutter=0)
    assert radar.sweep([[0.0, 1.0, 120.0], [30.0, 1.0, 10.0]], np.random.default_rng(0)).shape == (0, 2)


def test_nothing_tells_an_echo_from_clutter_by_its_place_in_the_list():
    radar, generator = world.Radar(hit_probability=1, clutter=3, range_spread=1e-6), np.random.default_rng(10)
    places = [np.argmin(np.abs(radar.sweep([[0.0, 1.0, 20.0]], generator)[:, 0] - 20)) for _ in range(300)]
    assert np.mean(np.array(places) == 0) < 0.6


@pytest.mark.parametrize("change", [{"range_spread": 0}, {"clutter": -1}, {"hit_probability": 1.2}, {"farthest": -3}])
def test_a_radar_that_can_not_be(change):
    with pytest.raises(ValueError, match="must"):
        world.Radar(**change)


def test_echoes_are_matched_to_the_nearest_and_only_once():
    expected, spreads = [[20.0, 0.0], [22.0, 0.0], [50.0, 0.3]], [[2.0, 0.02]] * 3
    echoes = [[22.5, 0.001], [20.5, 0.0], [80.0, 0.3], [50.0, 0.0]]
    assert world.match_echoes(echoes, expected, spreads).tolist() == [1, 0, -1]
    assert world.match_echoes(echoes[:1], expected, spreads).tolist() == [-1, 0, -1]
    assert world.match_echoes([], expected, spreads).tolist() == [-1, -1, -1]
    assert world.match_echoes(echoes, [], []).tolist() == []
    with pytest.raises(ValueError, match="spreads must be positive"):
        world.match_echoes(echoes, expected, [[2.0, 0.0]] * 3)


def test_matching_agrees_with_trying_pairs_one_by_one():
    generator = np.random.default_rng(11)
    for _ in range(50):
        expected = generator.uniform([10, -0.3], [40, 0.3], (4, 2))
        echoes = generator.uniform([10, -0.3], [40, 0.3], (5, 2))
        spreads = generator.uniform([1, 0.02], [6, 0.1], (4, 2))
        pairs = []
        for i, j in itertools.product(range(4), range(5)):
            apart = np.hypot(*((expected[i] - echoes[j]) / spreads[i]))
            if apart <= 3:
                pairs.append((apart, i, j))
        match = {}
        for _, i, j in sorted(pairs):
            if i not in match and j not in match.values():
                match[i] = j
        found = world.match_echoes(echoes, expected, spreads)
        assert found.tolist() == [match.get(i, -1) for i in range(4)]


def test_each_object_gets_an_echo_of_its_own_sweep():
    expected, spreads = np.array([[20.0, 0.0], [20.0, 0.0], [50.0, 0.2]]), np.full((3, 2), [1.0, 0.02])
    sweeps = [np.array([[50.5, 0.2], [20.2, 0.0]]), np.zeros((0, 2)), np.array([[21.0, 0.01]])]
    found = world.match_sweeps(sweeps, [2, 1, 0], expected, spreads)
    assert np.allclose(found, [[21.0, 0.01], [np.nan, np.nan], [50.5, 0.2]], equal_nan=True)
    assert np.isnan(world.match_sweeps(sweeps, [2, 1, 0], expected, spreads, gate=0.1)).all()
    assert world.match_sweeps(sweeps, [], np.zeros((0, 2)), np.zeros((0, 2))).shape == (0, 2)


def test_what_reflects_is_the_near_side_of_every_label_but_dont_care():
    car = random_object(np.random.default_rng(20))
    region = RoadObject("DontCare", (0, 0, 9, 9))
    found = world.reflections([region, car])
    center = np.array(car.location)
    assert found.shape == (1, 3)
    assert np.allclose(found[0], world.surface_point(center, car.dimensions, car.yaw))
    assert found[0, 2] < center[2]
    assert world.reflections([region]).shape == world.reflections([]).shape == (0, 3)


# Fusion


def test_fusion_is_the_weighted_least_squares_solution():
    generator = np.random.default_rng(12)
    values, spreads = generator.uniform(10, 30, (3, 20)), generator.uniform(0.2, 3, (3, 20))
    fused, spread = world.fuse(values, spreads)
    for i in range(20):
        design = (1 / spreads[:, i])[:, None]
        solution, *_ = np.linalg.lstsq(design, values[:, i] / spreads[:, i], rcond=None)
        assert np.isclose(fused[i], solution[0])
        assert np.isclose(spread[i], np.sqrt(np.linalg.inv(design.T @ design)[0, 0]))


def test_fusion_has_the_spread_that_it_says():
    draws = 20.0 + np.random.default_rng(13).normal(size=(2, 100_000)) * [[1.0], [0.5]]
    fused, spread = world.fuse(draws, [[1.0], [0.5]])
    assert np.isclose(fused.std(), spread[0], rtol=0.01)
    assert fused.std() < 0.5


def test_who_says_nothing_has_no_weight():
    values = [[20.0, np.nan, np.nan, 20.0], [22.0, 30.0, np.nan, 99.0]]
    fused, spread = world.fuse(values, [[1.0, np.nan, 1.0, 1.0], [1.0, 2.0, 1.0, np.inf]])
    assert np.allclose(fused, [21, 30, np.nan, 20], equal_nan=True)
    assert np.allclose(spread, [0.5**0.5, 2, np.inf, 1])


@pytest.mark.parametrize(
    ("values", "spreads", "message"),
    [
        ([20.0, 21.0], [1.0, 1.0], "must be \\(sensors, n\\)"),
        (np.zeros((0, 3)), 1.0, "must be \\(sensors, n\\)"),
        ([[20.0]], [[0.0]], "spreads must be positive"),
        ([[20.0]], [[np.nan]], "spreads must be positive"),
    ],
)
def test_fusion_refuses(values, spreads, message):
    with pytest.raises(ValueError, match=message):
        world.fuse(values, spreads)


def test_a_corner_a_hand_behind_the_camera_is_behind_it():
    corners = world.box_corners((0, 1.65, 2.0), (1.5, 1.7, 4.2), np.pi / 2)  # its length along z: from -0.1 m on
    assert -0.2 < corners[:, 2].min() < 0
    with pytest.raises(ValueError, match="4 of 8 corners lie behind the camera"):
        world.tight_box(corners, CAMERA)


def test_what_lies_within_a_pixel_of_the_rim_is_cut_off_and_what_lies_farther_is_not():
    dimensions = (1.5, 1.7, 4.2)
    moved = {}
    for edge in (0.0, 1.0, 1.5):
        box = (edge, 50.0, CAMERA.width - 1.0, 80.0)
        bottom, _ = world.place_box(box, 20.0, dimensions, 1.2, CAMERA)
        uncorrected, _ = world.place_box(box, 20.0, dimensions, 1.2, CAMERA, rounds=0)
        moved[edge] = abs(bottom[0] - uncorrected[0])
    assert moved[0.0] == moved[1.0] == 0
    assert moved[1.5] > 1


def test_lidar_counts_points_however_near():
    points = np.array([[0.0, 0, 0.3], [0.0, 0, 0.4], [0.0, 0, 0.5]])
    camera = Camera.from_focal_length(240.0, 128, 416)
    assert world.lidar_distance(points, BOX, camera) == (0.4, 3)
    assert world.lidar_distance(points, BOX, camera, fewest=4)[1] == 3
