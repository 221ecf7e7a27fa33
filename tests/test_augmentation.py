"""Zoom and colours: a scene that is zoomed stands where it stood, in metres, and everything known of it moves along."""

import dataclasses
import hashlib

import numpy as np
import pytest
from keras import ops

from roidepth_lessons import CLASSES, augmentation, dataset, depth, kitti
from roidepth_lessons.augmentation import Augmentation
from roidepth_lessons.model import CANONICAL_FOCAL_LENGTH

HEIGHT, WIDTH = 32, 64
CAR, PEDESTRIAN = (20.0, 10.0, 35.0, 19.0), (50.0, 8.0, 55.0, 21.0)
NEUTRAL = Augmentation((1, 1), (1, 1), (1, 1), (1, 1), (1, 1), 0, 0, 0)


def example_of(boxes=(CAR, PEDESTRIAN), ignored_boxes=((0.0, 0.0, 7.0, 5.0),), **changed):
    """A camera of 120 pixels, so that canonical depths are twice the metres: a car at 20 m, a pedestrian at 12 m."""
    boxes = np.array(boxes, dtype=float).reshape(-1, 4)
    count = len(boxes)
    distances = np.array([20.0, 12.0, 30.0, 40.0])[:count]
    stored, instances = np.full((HEIGHT, WIDTH), 2 * 40 * 256, np.uint16), np.zeros((HEIGHT, WIDTH), np.uint8)
    for index, (left, top, right, bottom) in enumerate(boxes.clip(0, 63).astype(int)):
        stored[top : bottom + 1, left : right + 1] = 2 * distances[index] * 256
        instances[top : bottom + 1, left : right + 1] = index + 1
    known = {
        "image": np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        "camera": np.array([120, 120, 31.5, 14.0], np.float32),
        "boxes": boxes,
        "labels": np.arange(count) % len(CLASSES),
        "distances": distances,
        "properties": np.array([[np.log(2 * z), 1.5, 0.4, 0.5, 1.4, 0.6, 0.8] for z in distances]).reshape(-1, 7),
        "ignored_boxes": np.array(ignored_boxes, dtype=float).reshape(-1, 4),
        "depth": stored,
        "instances": instances,
    }
    return dataset.Example(**known | changed)


def sparse(points):
    """A map of single points: {(row, column): stored depth}."""
    stored = np.zeros((HEIGHT, WIDTH), np.uint16)
    for place, value in points.items():
        stored[place] = value
    return stored


def assert_same(one, other, but=(), **tolerance):
    for field in dataclasses.fields(dataset.Example):
        if field.name not in but:
            np.testing.assert_allclose(
                getattr(one, field.name), getattr(other, field.name), err_msg=field.name, **tolerance
            )


# Zoom by hand --------------------------------------------------------------------------------------------------------


def test_boxes_camera_and_distances_by_hand():
    """Twice as large around column 30, row 14: u goes to 30 + 2 (u - 30), v to 14 + 2 (v - 14)."""
    zoomed = augmentation.zoom(example_of(), 2, 14, 30)
    assert zoomed.camera.tolist() == [240, 240, 33, 14]
    assert zoomed.boxes.tolist() == [[10, 6, 40, 24]]  # the pedestrian, from column 50 on, goes beyond column 70
    assert zoomed.labels.tolist() == [0]
    assert zoomed.distances.tolist() == [20]  # metres
    # The focal length is the canonical one now: canonical metres are metres.
    np.testing.assert_allclose(zoomed.properties, [[np.log(20), 1.5, 0.4, 0.5, 1.4, 0.6, 0.8]])
    assert zoomed.depth[15, 25] == 20 * 256
    assert zoomed.depth[30, 60] == 40 * 256
    assert zoomed.ignored_boxes.shape == (0, 4)
    assert zoomed.image.shape == (HEIGHT, WIDTH, 3)
    assert zoomed.image.dtype == np.uint8


def test_smaller_by_hand():
    """Half as large around the upper left pixel's corner: the picture fills the upper left quarter."""
    zoomed = augmentation.zoom(example_of(), 0.5, -0.5, -0.5)
    np.testing.assert_allclose(zoomed.camera, [60, 60, 15.5, 6.75])
    np.testing.assert_allclose(zoomed.boxes, [[9.75, 4.75, 17.25, 9.25], [24.75, 3.75, 27.25, 10.25]])
    np.testing.assert_allclose(zoomed.ignored_boxes, [[-0.25, -0.25, 3.25, 2.25]])
    np.testing.assert_allclose(zoomed.properties[:, 0], np.log([80, 48]))
    assert zoomed.depth[7, 12] == 80 * 256
    assert (zoomed.depth[:16, :32] > 0).all()
    rim = np.ones((HEIGHT, WIDTH), bool)
    rim[:16, :32] = False
    assert (zoomed.depth[rim] == 0).all()
    assert (zoomed.instances[rim] == 0).all()
    assert (zoomed.image[17:] == augmentation.RIM).all()
    assert (zoomed.image[:, 33:] == augmentation.RIM).all()


def test_image_between_pixels_and_at_the_rim_by_hand():
    """A ramp of 4 levels a column is 2 levels a column when it is twice as wide; the column that stays, stays."""
    ramp = np.tile((4 * np.arange(WIDTH)).astype(np.uint8)[None, :, None], (HEIGHT, 1, 3))
    larger = augmentation.zoom(example_of(image=ramp), 2, 14, 30).image
    np.testing.assert_allclose(larger[:, 1:-1].astype(int)[..., 0], np.tile(60 + 2 * np.arange(1, 63), (32, 1)), atol=1)
    assert (larger[:, 30] == 120).all()
    white = np.full_like(ramp, 255)
    smaller = augmentation.zoom(example_of(image=white), 0.5, 15.5, 31.5).image
    assert (smaller[9:23, 17:47] == 255).all()
    assert (smaller[:7] == 127).all()
    assert (smaller[:, :15] == 127).all()
    assert (smaller[25:] == 127).all()
    assert (smaller[:, 49:] == 127).all()


@pytest.mark.parametrize("factor", [0.6, 1.4, 2.3])
def test_image_and_boxes_and_instances_move_as_one(factor):
    """A bright rectangle is where its box is, to half a pixel, and its pixels in `instances` are where it is bright."""
    example = example_of()
    image = np.where(example.instances[..., None] == 1, 255, 0).astype(np.uint8).repeat(3, axis=2)
    zoomed = augmentation.zoom(dataclasses.replace(example, image=image), factor, 11, 25)
    seen = zoomed.instances == 1
    rows, columns = np.nonzero(seen)
    edges = np.array([columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5])
    whole = np.array(CAR) + [-0.5, -0.5, 0.5, 0.5]  # the outer edges of its pixels
    moved = (whole - [25, 11, 25, 11]) * factor + [25, 11, 25, 11]
    np.testing.assert_allclose(edges, np.clip(moved, -0.5, [63.5, 31.5] * 2), atol=0.5 + 1e-9)
    inside = zoomed.image[..., 0] != 127 if factor < 1 else np.ones_like(seen)
    assert ((zoomed.image[..., 0] > 127) == seen)[inside].mean() > 0.99


def test_factor_one_is_the_same_to_the_bit():
    example = example_of()
    again = augmentation.zoom(example, 1.0, 3, 7)
    assert_same(again, example, but=("maps",), rtol=0, atol=0)
    assert again.maps is example.maps
    assert again.depth.dtype == np.uint16


# What is where, in metres --------------------------------------------------------------------------------------------


def in_metres(example, row, column):
    """Where the point that a pixel shows stands: x, y, z, from pixel, stored depth and camera alone."""
    focal_x, focal_y, center_u, center_v = example.camera.astype(float)
    z = example.depth[row, column] * dataset.DEPTH_STEP * (focal_x + focal_y) / 2 / CANONICAL_FOCAL_LENGTH
    return np.stack([(column - center_u) / focal_x * z, (row - center_v) / focal_y * z, z], axis=-1)


@pytest.mark.parametrize("factor", [0.4, 0.75, 1.3, 3.0])
def test_a_point_keeps_its_place_in_metres(factor):
    """Five LiDAR points of five depths, a focal length of its own in each direction. Their place is known to half a
    pixel before and after, their depth to half a step.
    """
    points = {(12, 30): 3000, (14, 33): 7000, (15, 31): 12000, (18, 35): 20000, (17, 27): 25000}
    example = example_of(depth=sparse(points), instances=None, camera=np.array([120, 130, 31.5, 14], np.float32))
    zoomed = augmentation.zoom(example, factor, 15, 31)
    rows, columns = np.nonzero(zoomed.depth)
    assert len(rows) == 5
    after = in_metres(zoomed, rows, columns)
    before = in_metres(example, *np.array(list(points)).T)
    before, after = (each[np.argsort(each[:, 2])] for each in (before, after))
    half_step = dataset.DEPTH_STEP / 2 * 125 * factor / CANONICAL_FOCAL_LENGTH
    np.testing.assert_allclose(after[:, 2], before[:, 2], rtol=0, atol=half_step + 1e-6)
    half_pixel = 0.5 / (120 * factor) * before[:, 2]
    assert (np.abs(after[:, :2] - before[:, :2]) <= half_pixel[:, None] + 0.01).all()


@pytest.mark.parametrize("factor", [0.5, 1.25, 2.0])
def test_an_object_keeps_its_place_and_its_size_in_metres(factor):
    """From the box and the log distance, exactly; the height in pixels times the canonical distance stays as well."""

    def place(example):
        focal_x, focal_y, center_u, center_v = example.camera.astype(float)
        z = np.exp(example.properties[0, 0]) * (focal_x + focal_y) / 2 / CANONICAL_FOCAL_LENGTH
        left, top, right, bottom = example.boxes[0]
        x, y = ((left + right) / 2 - center_u) / focal_x * z, ((top + bottom) / 2 - center_v) / focal_y * z
        return x, y, z, (bottom - top) / focal_y * z, (bottom - top) * np.exp(example.properties[0, 0])

    example = example_of()
    zoomed = augmentation.zoom(example, factor, 14, 28)
    np.testing.assert_allclose(place(zoomed), place(example), rtol=1e-5)
    assert place(zoomed)[2] == pytest.approx(zoomed.distances[0], rel=1e-6)
    np.testing.assert_array_equal(zoomed.properties[0, 1:], example.properties[0, 1:])


def test_zoomed_is_what_a_camera_with_another_focal_length_gives(tiny_streets):
    """The same street through make_example, with a frame whose picture and camera were cut out by hand."""
    frame = kitti.read_frame(tiny_streets, "000003")
    height, width = frame.size
    cut = frame.size[0] // 2, frame.size[1] // 2
    top, left = 20, 40
    objects = [
        dataclasses.replace(each, box=tuple(np.array(each.box) - [left, top, left, top])) for each in frame.objects
    ]
    part = dataclasses.replace(
        frame,
        image=np.ascontiguousarray(frame.image[top : top + cut[0], left : left + cut[1]]),
        camera=frame.camera.cropped(top, left, *cut),
        objects=tuple(objects),
        **{
            name: np.ascontiguousarray(getattr(frame, name)[top : top + cut[0], left : left + cut[1]])
            for name in ("depth", "instances", "road")
        },
        points=None,
    )
    wanted = dataset.make_example(part, height, width)
    # Twice as large: the window from -0.5 + top to ... is the whole if (row + 0.5) / 2 = top.
    zoomed = augmentation.zoom(dataset.make_example(frame, height, width), 2, 2 * top - 0.5, 2 * left - 0.5)
    np.testing.assert_allclose(zoomed.camera, wanted.camera, rtol=1e-6)
    told = dataset.make_example(frame, height, width).depth < 65535
    told = np.repeat(np.repeat(told[top : top + cut[0], left : left + cut[1]], 2, axis=0), 2, axis=1)
    assert told.mean() > 0.8
    assert np.abs(zoomed.depth.astype(int) - wanted.depth)[told].max() <= 1  # rounded once more
    within = (slice(2, -2), slice(2, -2))  # at the border, one knows the pixel beyond and the other doesn't
    np.testing.assert_allclose(zoomed.image[within].astype(int), wanted.image[within], atol=1)
    assert len(zoomed.boxes) > 0
    for box, log_distance in zip(zoomed.boxes, zoomed.properties[:, 0], strict=True):
        clipped = np.clip(wanted.boxes, -0.5, np.array([width, height] * 2) - 0.5)
        (same,) = np.flatnonzero(np.abs(clipped - box).max(axis=1) < 1e-6)
        assert wanted.properties[same, 0] == pytest.approx(log_distance)


# Depth ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.3, 0.7, 0.95, 1.05, 1.7, 4.0])
def test_single_points_are_never_more_and_never_mixed(factor):
    generator = np.random.default_rng(1)
    stored = np.where(generator.random((HEIGHT, WIDTH)) < 0.15, generator.integers(400, 20000, (HEIGHT, WIDTH)), 0)
    example = example_of(depth=stored.astype(np.uint16), instances=None)
    zoomed = augmentation.zoom(example, factor, 9.3, 40.2).depth
    assert 0 < np.count_nonzero(zoomed) <= np.count_nonzero(stored)
    possible = np.minimum(np.rint(stored[stored > 0] / factor), 65535)
    assert np.isin(zoomed[zoomed > 0], possible).all()


def test_points_that_meet_and_points_that_leave():
    """Half as large around (0, 0), (6, 7) goes to (3, 3.5), rounded up, where (6, 8) is as well, and farther away."""
    example = example_of(depth=sparse({(4, 4): 900, (6, 8): 700, (6, 7): 500, (31, 63): 80}), instances=None)
    smaller = augmentation.zoom(example, 0.5, 0, 0).depth
    assert {tuple(place): smaller[tuple(place)] for place in np.argwhere(smaller)} == {
        (2, 2): 1800,
        (3, 4): 1000,
        (16, 32): 160,
    }
    larger = augmentation.zoom(example, 2, 0, 0).depth
    assert {tuple(place): larger[tuple(place)] for place in np.argwhere(larger)} == {
        (8, 8): 450,
        (12, 14): 250,
        (12, 16): 350,
    }


def test_points_take_their_instance_along():
    """As above; (6, 7) shows the car, (6, 8) the pedestrian, and where both meet the nearer decides for both maps."""
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    instances[6, 7], instances[6, 8] = 1, 2
    points = {(4, 4): 900, (6, 8): 700, (6, 7): 500, (31, 63): 80}
    boxes = (5.0, 4.0, 12.0, 9.0), (13.0, 4.0, 20.0, 9.0)
    example = example_of(boxes, depth=sparse(points), instances=instances, sparse=True)
    larger, smaller = (augmentation.zoom(example, factor, 0, 0) for factor in (2, 0.5))
    assert larger.sparse
    assert [larger.instances[place] for place in ((8, 8), (12, 14), (12, 16))] == [0, 1, 2]
    assert np.count_nonzero(larger.instances) == 2
    assert (smaller.depth[3, 4], smaller.instances[3, 4]) == (1000, 1)
    assert np.count_nonzero(smaller.instances) == 1
    # An instance map that somebody drew is a surface, whatever the depth is.
    drawn = augmentation.zoom(example_of(depth=sparse(points)), 2, 0, 0)
    assert np.count_nonzero(drawn.instances == 1) > 100
    # Many points are still points.
    full = augmentation.zoom(example_of(sparse=True), 2, 0, 0)
    assert np.count_nonzero(full.depth) == HEIGHT * WIDTH // 4


def test_a_surface_stays_a_surface():
    larger = augmentation.zoom(example_of(), 1.7, 12, 30)
    assert (larger.depth > 0).all()
    owner_depth = {0: round(2 * 40 * 256 / 1.7), 1: round(2 * 20 * 256 / 1.7), 2: round(2 * 12 * 256 / 1.7)}
    numbers = larger.instances
    assert 1 in numbers
    np.testing.assert_array_equal(larger.depth[numbers == 1], owner_depth[1])


def test_depths_at_the_ends_of_the_scale():
    """A known depth never becomes "not known"; "at least 256" is divided as long as nobody sees the difference."""
    example = example_of(depth=sparse({(10, 10): 1, (10, 20): 65535, (20, 20): 65534}), instances=None)
    larger, smaller = (augmentation.zoom(example, factor, 10, 20).depth for factor in (1.5, 0.5))
    assert larger[10, 20] == 65535
    assert augmentation.zoom(example, 1.8, 10, 20).depth[10, 20] == 0
    assert 65535 * dataset.DEPTH_STEP / augmentation.STILL_FAR > depth.FARTHEST
    assert larger[25, 20] == 43689
    assert larger[10, 5] == 1
    assert augmentation.zoom(example, 4, 10, 10).depth[10, 10] == 1
    assert smaller[10, 20] == 65535
    assert smaller[15, 20] == 65535
    assert smaller[10, 15] == 2


def test_loss_of_a_zoomed_sparse_example_is_finite_and_sees_points_only(tiny_streets):
    example = example_of(depth=sparse({(12, 20): 5000, (14, 40): 9000}), instances=None)
    target = dataset.encode(augmentation.zoom(example, 1.4, 16, 30))["depth"]
    assert np.count_nonzero(target[..., 1]) == 2
    guess = np.full((1, HEIGHT, WIDTH, 3), 2.0, np.float32)

    def losses(values):
        return ops.convert_to_numpy(depth.depth_loss(*map(ops.convert_to_tensor, (target[None], values))))

    loss = losses(guess)
    assert np.isfinite(loss).all()
    changed = np.where(target[None, ..., 1:2] > 0, guess, 4.0).astype(np.float32)
    np.testing.assert_allclose(losses(changed), loss)


# Objects and regions -------------------------------------------------------------------------------------------------


def test_objects_cut_off_become_ignored_or_go():
    """Twice as large around (0, 0): what was right of column 31.75 and below row 15.75 is gone."""
    boxes = [(22.0, 2.0, 38.0, 12.0), (25.0, 4.0, 45.0, 8.0), (40.0, 20.0, 50.0, 30.0), (2.0, 2.0, 9.0, 9.0)]
    ignored = [(0.0, 10.0, 10.0, 30.0), (50.0, 20.0, 60.0, 31.0)]
    zoomed = augmentation.zoom(example_of(boxes, ignored), 2, 0, 0)
    # The first keeps 9.75 of 16 columns, the second 6.75 of 20, the third nothing, the fourth all.
    assert zoomed.boxes.tolist() == [[44, 4, 63.5, 24], [4, 4, 18, 18]]
    assert zoomed.distances.tolist() == [20, 40]
    assert zoomed.labels.tolist() == [0, 0]
    np.testing.assert_allclose(np.exp(zoomed.properties[:, 0]), [20, 40])
    assert zoomed.ignored_boxes.tolist() == [[0, 20, 20, 31.5], [50, 8, 63.5, 16]]
    assert np.unique(zoomed.instances).tolist() == [0, 1, 2]
    assert zoomed.instances[10, 10] == 2
    assert zoomed.instances[14, 62] == 0 or zoomed.instances[14, 62] == 1
    weight = dataset.encode(zoomed)["heatmap"][..., -1]
    assert (weight[5:8, 0:5] == 0).all()


def test_what_was_outside_the_image_does_not_come_into_the_rim():
    boxes = [(-30.0, 5.0, -10.0, 15.0), (-10.0, 4.0, 9.0, 13.0)]
    zoomed = augmentation.zoom(example_of(boxes, [(70.0, 2.0, 90.0, 9.0)]), 0.5, 15.5, 31.5)
    assert zoomed.boxes.tolist() == [[15.5, 9.75, 20.25, 14.25]]  # of the second, what was seen
    assert zoomed.distances.tolist() == [12]
    assert len(zoomed.ignored_boxes) == 0


def test_an_empty_scene():
    empty = example_of((), (), depth=np.zeros((HEIGHT, WIDTH), np.uint16), instances=None)
    for factor in (0.5, 2):
        zoomed = augmentation.zoom(empty, factor, 3, 3)
        assert zoomed.boxes.shape == zoomed.ignored_boxes.shape == (0, 4)
        assert zoomed.properties.shape == (0, 7)
        assert zoomed.labels.dtype == empty.labels.dtype
        assert (zoomed.depth == 0).all()
        assert zoomed.instances is None
        assert dataset.encode(zoomed)["heatmap"][..., :-1].max() == 0


def test_smaller_then_larger_gives_everything_back():
    example = example_of(ignored_boxes=[(40.0, 20.0, 60.0, 30.0)])
    again = augmentation.zoom(augmentation.zoom(example, 0.5, 12, 40), 2, 12, 40)
    assert_same(again, example, but=("image", "depth", "instances", "maps"), rtol=1e-6)
    assert_same(again, example, but={f.name for f in dataclasses.fields(example)} - {"boxes"}, rtol=1e-12)
    again = augmentation.zoom(augmentation.zoom(example, 2, 14, 28), 0.5, 14, 28)
    np.testing.assert_allclose(again.boxes, [CAR])


@pytest.mark.parametrize("factor", [0.63, 1.37])
def test_mirrored_then_zoomed_is_zoomed_then_mirrored(factor, tiny_streets):
    drawn = dataset.make_example(kitti.read_frame(tiny_streets, "000003"), 64, 128)
    points = np.where(np.random.default_rng(2).random((64, 128)) < 0.1, drawn.depth, 0).astype(np.uint16)
    left = np.zeros((64, 128, 1), np.float32)
    left[:, :50] = 1
    for example in (drawn, dataclasses.replace(drawn, depth=points, instances=None)):
        example = dataclasses.replace(example, maps={"left": left, "speed": np.array([3.0])})
        one = dataset.flip(augmentation.zoom(example, factor, 20.3, 47.1))
        other = augmentation.zoom(dataset.flip(example), factor, 20.3, 127 - 47.1)
        assert len(one.boxes) > 0
        assert (one.image.astype(int) - other.image).__abs__().max() <= 1
        if example.instances is None:
            one, other = (dataclasses.replace(each, instances=np.zeros(1)) for each in (one, other))
        assert_same(one, other, but=("image", "maps"), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(one.maps["left"], other.maps["left"])


# Maps of one's own and errors ----------------------------------------------------------------------------------------


def test_own_maps_move_along():
    lanes = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    maps = {"lanes": lanes, "road": (lanes[..., None] > 1000).astype(np.float32), "speed": np.array([8.0, 13.0])}
    zoomed = augmentation.zoom(example_of(maps=maps), 2, 10, 20).maps
    assert zoomed["lanes"][10, 20] == lanes[10, 20]
    assert zoomed["lanes"][20, 30] == lanes[15, 25]
    np.testing.assert_array_equal(zoomed["road"], (zoomed["lanes"][..., None] > 1000))
    assert zoomed["road"].dtype == np.float32
    assert zoomed["speed"] is maps["speed"]
    smaller = augmentation.zoom(example_of(maps=maps), 0.5, 10, 20).maps["lanes"]
    assert smaller[12, 24] == lanes[14, 28]
    assert smaller[0].max() == smaller[:, 0].max() == 0


@pytest.mark.parametrize("shape", [(HEIGHT // 4, WIDTH // 4, 1), (WIDTH, HEIGHT), (HEIGHT, 4)])
def test_maps_that_cannot_move(shape):
    example = example_of(maps={"speed": np.zeros(3), "mine": np.zeros(shape)})
    with pytest.raises(ValueError, match=r"maps: 'mine' has shape .* the image 32x64"):
        augmentation.zoom(example, 1.5, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3, 3), "factor must lie within 1/8 and 8, got 0"),
        ((-2, 3, 3), "factor"),
        ((9, 3, 3), "factor"),
        ((np.nan, 3, 3), "factor"),
        ((2, -1, 3), "row -1, column 3 lie outside the image of 32x64"),
        ((2, 3, 63.6), "column 63.6"),
        ((2, np.nan, 3), "row nan"),
        ((1, 3, 3, 16), "tilt must be less than half the image's 32 rows, got 16"),
        ((1, 3, 3, np.nan), "tilt"),
    ],
)
def test_zooms_that_are_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        augmentation.zoom(example_of(), *arguments)


@pytest.mark.parametrize("place", [(-0.5, -0.5), (31.5, 63.5), (16.2, 40.7)])
@pytest.mark.parametrize("factor", [1 / 8, 0.999, 1.001, 8])
def test_zooms_at_the_limits(factor, place):
    zoomed = augmentation.zoom(example_of(), factor, *place)
    assert zoomed.image.shape == (HEIGHT, WIDTH, 3)
    assert (zoomed.image[0, 0] == 127).all() == (factor == 1 / 8 and place != (-0.5, -0.5))
    dataset.encode(zoomed)


# Tilt ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [3, -5])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_a_tilt_moves_everything_but_the_camera(rows, is_sparse):
    points = {(10, 20): 800, (1, 5): 900, (30, 40): 1000, (12, 50): 1200}
    example = example_of(**({"depth": sparse(points)} if is_sparse else {}), maps={"road": np.eye(HEIGHT, WIDTH)})
    tilted = augmentation.zoom(example, 1, 7.0, 9.0, tilt=rows)
    assert (tilted.camera == example.camera).all()
    arrays = (("image", 127), ("depth", 0), ("instances", 0))
    for name, rim in arrays:
        expected = np.full_like(getattr(example, name), rim)
        for row in range(HEIGHT):
            if 0 <= row - rows < HEIGHT:
                expected[row] = getattr(example, name)[row - rows]
        np.testing.assert_array_equal(getattr(tilted, name), expected, err_msg=name)
    assert tilted.maps["road"][10, 10 - rows] == 1
    assert tilted.boxes.tolist() == [[20, 10 + rows, 35, 19 + rows], [50, 8 + rows, 55, 21 + rows]]
    assert (tilted.properties == example.properties).all()
    assert (tilted.distances == example.distances).all()


def test_zoom_comes_first_and_then_the_tilt():
    example = example_of()
    both = augmentation.zoom(example, 1.25, 12.0, 30.0, tilt=-4)
    in_turn = augmentation.zoom(augmentation.zoom(example, 1.25, 12.0, 30.0), 1, 0, 0, tilt=-4)
    np.testing.assert_allclose(both.boxes, in_turn.boxes)
    np.testing.assert_allclose(both.camera, in_turn.camera)
    inner = slice(0, HEIGHT - 4)  # what the zoom cuts off, the second step can't bring back
    np.testing.assert_array_equal(both.image[inner], in_turn.image[inner])
    np.testing.assert_array_equal(both.instances[inner], in_turn.instances[inner])


def test_an_object_that_is_tilted_out_of_the_image_becomes_ignored_or_goes():
    tilted = augmentation.zoom(example_of(), 1, 0, 0, tilt=-15)  # the car keeps 4.5 of 9 rows, the pedestrian 6.5 of 13
    assert tilted.boxes.tolist() == [[20, -0.5, 35, 4], [50, -0.5, 55, 6]]
    further = augmentation.zoom(example_of(), 1, 0, 0, tilt=-15.5)
    assert further.boxes.tolist() == []
    assert further.ignored_boxes[-2:].tolist() == [[20, -0.5, 35, 3.5], [50, -0.5, 55, 5.5]]


def test_random_tilts_are_angles_of_the_new_image():
    generator, example = np.random.default_rng(3), example_of()
    ranges = dataclasses.replace(NEUTRAL, tilt=2.0, zoom=(1.5, 1.5))
    moved = []
    for _ in range(200):
        tilted = augmentation.random_zoom(example, ranges, generator)
        fixed = (tilted.camera[3] - 14.0 * 1.5) / (1 - 1.5)
        if 0 in tilted.labels and tilted.boxes[0, 1] > 0:  # the car's upper edge, row 10, is still in the image
            moved.append(tilted.boxes[0, 1] - ((10 - fixed) * 1.5 + fixed))
    angles = np.degrees(np.arctan(np.array(moved) / 180))
    assert len(angles) > 50
    assert -2 <= angles.min() < -1.8
    assert 1.8 < angles.max() <= 2


# At random -----------------------------------------------------------------------------------------------------------


def test_random_zoom_stays_in_its_range_and_reaches_both_ends():
    generator, example = np.random.default_rng(3), example_of()
    ranges = dataclasses.replace(NEUTRAL, zoom=(0.5, 2.0))
    zoomed = [augmentation.random_zoom(example, ranges, generator).camera for _ in range(300)]
    factors = np.array([each[0] / 120 for each in zoomed])
    assert 0.5 <= factors.min() < 0.52
    assert 1.9 < factors.max() <= 2.0
    assert 100 < np.count_nonzero(factors < 1) < 200  # in the logarithm, half of them
    fixed = np.array(
        [(each[2] - 31.5 * f) / (1 - f) for each, f in zip(zoomed, factors, strict=True) if abs(f - 1) > 0.1]
    )
    assert -0.6 <= fixed.min() < 5
    assert 58 < fixed.max() <= 63.6
    same = augmentation.random_zoom(example, NEUTRAL, generator)
    assert same is example


def colours(image, seed=0, **changed):
    return augmentation.change_colours(image, dataclasses.replace(NEUTRAL, **changed), np.random.default_rng(seed))


def test_colours_without_a_range_are_the_image_to_the_bit():
    image = example_of().image
    unchanged = colours(image)
    assert unchanged.dtype == np.float32
    np.testing.assert_array_equal(unchanged, image)


def test_each_colour_change_by_hand():
    image = np.zeros((1, 3, 3), np.uint8)
    image[0] = [(51, 51, 51), (110, 110, 110), (200, 100, 0)]
    np.testing.assert_allclose(colours(image, gamma=(2, 2))[0, 0], 51 / 5, rtol=1e-5)  # 255 * 0.2 ** 2
    np.testing.assert_allclose(colours(image, contrast=(0.5, 0.5))[0, :2, 0], [80.5, 110], rtol=1e-5)
    grey = 0.299 * 200 + 0.587 * 100
    np.testing.assert_allclose(colours(image, saturation=(0, 0))[0, 2], [grey] * 3, rtol=1e-5)
    np.testing.assert_allclose(colours(image, saturation=(0.5, 0.5))[0, 2, 2], grey / 2, rtol=1e-5)
    np.testing.assert_allclose(colours(image, saturation=(0.5, 0.5))[0, 1], 110, rtol=1e-5)
    np.testing.assert_allclose(colours(image, tint=(1.1, 1.1))[0, 1], 121, rtol=1e-5)
    brighter = np.array([colours(image, seed, brightness=30)[0, 1, 0] - 110 for seed in range(60)])
    assert -30 <= brighter.min() < -25
    assert 25 < brighter.max() <= 30


def test_blur_and_noise_are_as_strong_as_said():
    point = np.zeros((9, 9, 3), np.uint8)
    point[4, 4] = 255
    weights = []
    for seed in range(40):
        blurred = colours(point, seed, blur=0.8)[..., 0]
        assert blurred.sum() == pytest.approx(255, rel=1e-5)
        assert (blurred >= 0).all()
        np.testing.assert_allclose(blurred, blurred.T, atol=1e-4)
        weights.append(float((blurred * (np.arange(9) - 4) ** 2).sum() / 255))  # variance along a row
    assert 0 <= min(weights) < 0.02
    assert 0.5 < max(weights) <= 0.64
    flat = np.full((40, 40, 3), 128, np.uint8)
    np.testing.assert_allclose(colours(flat, blur=0.8), 128)  # the border is its own neighbour
    spreads = [colours(flat, seed, noise=8).std() for seed in range(40)]
    assert 0 <= min(spreads) < 1
    assert 7 < max(spreads) < 8.3


def test_strong_colours_stay_within_bounds_and_follow_the_generator():
    image = example_of().image
    strong = augmentation.STRENGTHS["strong"]
    one, same, other = (augmentation.change_colours(image, strong, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 1
    for seed in range(50):
        light = augmentation.change_colours(image, strong, np.random.default_rng(seed))
        assert 0 <= light.min() <= light.max() <= 255
        assert light.dtype == np.float32
        assert light.std() > 10


@pytest.mark.parametrize(
    "wrong",
    [{"zoom": (0, 1)}, {"zoom": (1.5, 0.7)}, {"zoom": (1, 9)}, {"gamma": (0, 1)}, {"contrast": (float("nan"), 1)},
     {"saturation": (-1, 1)}, {"blur": 1.0}, {"noise": -1}, {"brightness": float("nan")},
     {"tilt": 6}],
)  # fmt: skip
def test_ranges_that_make_no_sense(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} must"):
        Augmentation(**wrong)


# In batches ----------------------------------------------------------------------------------------------------------


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()[:16]


def test_batches_without_ranges_are_what_they_were_before_there_were_ranges():
    """Sums and products alone, which are the same on every processor: the hash was taken before this module was."""
    examples = [example_of(image=np.roll(example_of().image, number, axis=1)) for number in range(4)]
    inputs = [dataset.Batches(examples, 2, seed=3, epoch=1)[index][0] for index in range(2)]
    assert digest([each["image"] for each in inputs] + [each["camera"] for each in inputs]) == "c3a46480259842dc"


def test_batches_with_ranges_zoom_mirror_and_colour_with_their_targets():
    examples = [example_of(((20.0, 10.0, 35.0, 19.0),), ())] * 40
    batches = dataset.Batches(examples, 40, ranges=Augmentation())
    inputs, targets = batches[0]
    assert inputs["image"].dtype == inputs["camera"].dtype == np.float32
    np.testing.assert_array_equal(inputs["image"], batches[0][0]["image"])
    factors = inputs["camera"][:, 0] / 120
    assert 0.7 <= factors.min() < 0.85 < 1.3 < factors.max() <= 1.5
    seen = targets["depth"][..., 2].any(axis=(1, 2))
    assert seen.sum() > 20
    for index in np.flatnonzero(seen):  # the car's depth in metres, whatever the factor
        on_car = (targets["depth"][index, ..., 2] > 0) & (targets["depth"][index, ..., 1] > 0)
        metres = np.exp(targets["depth"][index, ..., 0][on_car]) * factors[index] / 2
        np.testing.assert_allclose(metres, 20, rtol=1e-3)
        weight = targets["object"][index, ..., 14]
        if weight.any():
            logs = targets["object"][index, ..., 0][weight > 0]
            np.testing.assert_allclose(np.exp(logs) * factors[index] / 2, 20, rtol=1e-5)
    assert 0 < (inputs["camera"][:, 2] != inputs["camera"][0, 2]).sum()


def test_batches_with_ranges_show_the_image_that_their_targets_speak_of():
    """A white car on black: it is white where the depth branch is told that there is an object."""
    example = example_of((CAR,), ())
    image = np.where(example.instances[..., None] == 1, 255, 0).astype(np.uint8).repeat(3, axis=2)
    examples = [dataclasses.replace(example, image=image)] * 30
    inputs, targets = dataset.Batches(examples, 30, ranges=dataclasses.replace(NEUTRAL, zoom=(0.7, 1.5)))[0]
    white, told = inputs["image"][..., 0] > 140, targets["depth"][..., 2] > 0
    assert told.sum() > 1000
    assert (white == told).mean() > 0.99
    assert (white & told).sum() > 0.95 * told.sum()


def test_ranges_without_augmentation_are_a_contradiction():
    with pytest.raises(ValueError, match="augment is False"):
        dataset.Batches([example_of()], 1, augment=False, ranges=Augmentation())
