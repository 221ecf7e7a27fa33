"""From frames to targets: every map, every weight, mirrored and in the right order."""

import dataclasses

import numpy as np
import pytest

from roidepth_lessons import CLASSES, dataset, kitti
from roidepth_lessons.camera import Camera
from roidepth_lessons.frames import DONT_CARE, Frame, RoadObject

HEIGHT, WIDTH = 64, 96
CAR_BOX, CYCLIST_BOX, FAR_BOX = (20.0, 16.0, 51.0, 47.0), (70.0, 20.0, 79.0, 43.0), (2.0, 2.0, 13.0, 9.0)


def road_object(name, box, distance, x=0.0, alpha=0.5, dimensions=(1.5, 1.6, 3.9), yaw=0.4):
    return RoadObject(name, box, 0.0, 0, alpha, dimensions, (x, 1.65, distance), yaw)


@pytest.fixture
def frame():
    """A car (pixels 30..59 of its rows at 19 m), a cyclist without any depth, a region of DontCare, a van."""
    generator = np.random.default_rng(0)
    depth = np.full((HEIGHT, WIDTH), 40.0, np.float32)
    depth[:10] = 0  # sky
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    depth[20:40, 24:44], instances[20:40, 24:44] = 19.0, 3
    depth[22:40, 72:78], instances[22:40, 72:78] = 0, 2
    return Frame(
        name="000000",
        image=generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        camera=Camera.from_focal_length(120.0, HEIGHT, WIDTH),
        objects=(
            RoadObject(DONT_CARE, (0.0, 0.0, 15.0, 11.0)),
            road_object("Cyclist", CYCLIST_BOX, 12.0, alpha=-2.0),
            road_object("Car", CAR_BOX, 20.0),
            road_object("Van", (60.0, 2.0, 67.0, 9.0), 30.0),
        ),
        depth=depth,
        instances=instances,
    )


def test_example_by_hand(frame):
    """The focal length is half the canonical one, so every distance and depth doubles; lengths stay."""
    example = dataset.make_example(frame, HEIGHT, WIDTH)
    assert example.boxes.tolist() == [list(CYCLIST_BOX), list(CAR_BOX)]
    assert [CLASSES[label] for label in example.labels] == ["Cyclist", "Car"]
    assert example.distances.tolist() == [12, 20]
    assert example.ignored_boxes.tolist() == [[0, 0, 15, 11], [60, 2, 67, 9]]
    cyclist, car = example.properties
    sizes = np.log([1.5, 1.6, 3.9])
    np.testing.assert_allclose(cyclist, [np.log(24), np.nan, *sizes, np.sin(-2.0), np.cos(-2.0)])
    np.testing.assert_allclose(car, [np.log(40), 1.0, *sizes, np.sin(0.5), np.cos(0.5)])
    assert (example.depth[:10] == 0).all()
    assert (example.depth[30, 30], example.depth[50, 3]) == (2 * 19 * 256, 2 * 40 * 256)
    assert np.unique(example.instances[22:40, 72:78]) == 1
    assert np.unique(example.instances[20:40, 24:44]) == 2
    np.testing.assert_allclose(example.camera, [120, 120, 47.5, 31.5])


def test_an_example_in_another_size_keeps_the_canonical_depth(frame):
    """Half the size is half the focal length: canonical depth is four times the metres, boxes are half as large."""
    example = dataset.make_example(frame, HEIGHT // 2, WIDTH)  # the picture fills the left half
    np.testing.assert_allclose(example.boxes[1], (np.array(CAR_BOX) + 0.5) / 2 - 0.5)
    np.testing.assert_allclose(example.camera, [60, 60, 23.5, 15.5])
    assert example.properties[1, 0] == pytest.approx(np.log(80))
    assert example.properties[1, 1] == 1
    assert example.depth[15, 15] == 4 * 19 * 256
    assert (example.depth[:, WIDTH // 2 :] == 0).all()
    assert (example.image[:, WIDTH // 2 :] == 127).all()


def slow_targets(example):
    """The four maps, cell by cell and pixel by pixel, for boxes that lie inside the image."""
    rows, columns = HEIGHT // 4, WIDTH // 4
    heat = np.zeros((rows, columns, 4))
    box_map, object_map = np.zeros((rows, columns, 5)), np.zeros((rows, columns, 15))
    heat[..., 3] = 1
    for row in range(rows):
        for column in range(columns):
            for left, top, right, bottom in example.ignored_boxes:
                outside = 4 * column > right + 0.5 or 4 * column + 4 <= left + 0.5
                outside |= 4 * row > bottom + 0.5 or 4 * row + 4 <= top + 0.5
                heat[row, column, 3] *= outside
    for number in np.argsort(-example.distances):  # the nearest last
        left, top, right, bottom = example.boxes[number]
        center = int(((top + bottom) / 2 + 0.5) // 4), int(((left + right) / 2 + 0.5) // 4)
        claimed = []
        for row in range(rows):
            for column in range(columns):
                across = (column - center[1]) / max((right - left) / 4 * 0.54 / 3, 0.4)
                down = (row - center[0]) / max((bottom - top) / 4 * 0.54 / 3, 0.4)
                near = np.exp(-(across**2) / 2) * np.exp(-(down**2) / 2)
                label = example.labels[number]
                heat[row, column, label] = max(heat[row, column, label], near if near >= 0.02 else 0)
                if near > 0.5:
                    heat[row, column, 3] = 1
                    u, v = 4 * column + 1.5, 4 * row + 1.5
                    if (left < u < right and top < v < bottom) or near == 1:
                        claimed.append((row, column, near, [u - left, v - top, right - u, bottom - v]))
        total = sum(near for _, _, near, _ in claimed)
        for row, column, near, distances in claimed:
            box_map[row, column] = [*distances, near / total]
            known = np.isfinite(example.properties[number])
            object_map[row, column] = [*np.where(known, example.properties[number], 0), *known, near / total]
    return heat, box_map, object_map, slow_depth(example)


def slow_depth(example):
    target = np.zeros((HEIGHT, WIDTH, 4))
    known = example.depth > 0
    for row in range(HEIGHT):
        for column in range(WIDTH):
            number = 0 if example.instances is None else example.instances[row, column]
            if known[row, column]:
                target[row, column, 0] = np.log(min(max(example.depth[row, column] / 256, 1), 150))
                same = known if example.instances is None else known & (example.instances == number)
                target[row, column, 1] = (4 if number == 0 else 1) / same.sum()
            if example.instances is not None:
                target[row, column, 2] = number > 0
                target[row, column, 3] = 1 / (HEIGHT * WIDTH)
                for left, top, right, bottom in example.boxes:
                    if left <= column <= right and top <= row <= bottom:
                        target[row, column, 3] += 1 / ((right - left + 1) * (bottom - top + 1))
    return target


@pytest.mark.parametrize("what", ["as it is", "no instances", "no depth", "no object", "objects that overlap"])
def test_targets_against_a_slow_loop(frame, what):
    if what == "no instances":
        frame = dataclasses.replace(frame, instances=None)
    elif what == "no depth":
        frame = dataclasses.replace(frame, depth=None)
    elif what == "no object":
        frame = dataclasses.replace(frame, objects=(), instances=np.zeros_like(frame.instances))
    elif what == "objects that overlap":  # the nearer pedestrian takes cells from the car
        nearer = road_object("Pedestrian", (33.0, 17.0, 42.0, 46.0), 8.0)
        farther = road_object("Car", (40.0, 20.0, 59.0, 39.0), 30.0)
        frame = dataclasses.replace(frame, objects=(farther, nearer, *frame.objects[2:]), instances=None)
    example = dataset.make_example(frame, HEIGHT, WIDTH)
    targets = dataset.encode(example)
    for name, slow in zip(("heatmap", "box", "object", "depth"), slow_targets(example), strict=True):
        np.testing.assert_allclose(targets[name], slow, atol=1e-6, err_msg=name)
        assert np.isfinite(targets[name]).all()


def test_regions_that_are_neither_object_nor_background(frame):
    """DontCare, neighbouring classes, and objects whose distance nobody knows or that reach behind the camera."""
    unknown = RoadObject("Car", FAR_BOX)
    behind = road_object("Car", (80.0, 48.0, 95.0, 63.0), -0.2)
    for each in (
        RoadObject(DONT_CARE, FAR_BOX),
        road_object("Van", FAR_BOX, 30.0),
        road_object("Person_sitting", FAR_BOX, 30.0),
        unknown,
        behind,
    ):
        example = dataset.make_example(dataclasses.replace(frame, objects=(each,), instances=None), HEIGHT, WIDTH)
        assert example.ignored_boxes.tolist() == [list(each.box)]
        assert len(example.boxes) == 0
        targets = dataset.encode(example)
        assert targets["heatmap"][..., :-1].max() == 0
        weight = targets["heatmap"][..., -1]
        left, top, right, bottom = (int(edge) // 4 for edge in each.box)
        assert (weight[top : bottom + 1, left : right + 1] == 0).all()
        assert weight.sum() == weight.size - (weight[top : bottom + 1, left : right + 1] == 0).sum()
    others = (road_object("Tram", FAR_BOX, 30.0), road_object("Car", (5.0, 5.0, 5.0, 9.0), 30.0))
    example = dataset.make_example(dataclasses.replace(frame, objects=others, instances=None), HEIGHT, WIDTH)
    assert len(example.boxes) == len(example.ignored_boxes) == 0


def test_depth_that_is_no_number_is_unknown(frame):
    depth = frame.depth.copy()
    depth[12, 5], depth[13, 5], depth[14, 5], depth[15, 5] = np.nan, np.inf, -3.0, 200.0
    example = dataset.make_example(dataclasses.replace(frame, depth=depth), HEIGHT, WIDTH)
    assert example.depth[12:16, 5].tolist() == [0, 0, 0, 65535]
    target = dataset.encode(example)["depth"]
    assert (target[12:15, 5, 1] == 0).all()
    assert target[15, 5, 0] == pytest.approx(np.log(150))


def test_lidar_points_become_depth(tmp_path, frame):
    """A frame with points only, read from files: one pixel per point, and the surface from the points in the box."""
    car = road_object("Car", CAR_BOX, 20.0, alpha=0.0, yaw=0.0)
    points = np.array([[-0.5, 1.0, 19.5], [0.0, 1.0, 19.6], [0.5, 1.0, 19.7], [4.0, 1.0, 30.0]], np.float32)
    objects = RoadObject(DONT_CARE, (0.0, 0.0, 15.0, 11.0)), car  # the car is the second object, and the first example
    frame = dataclasses.replace(frame, depth=None, instances=None, objects=objects, points=points)
    kitti.write_frame(tmp_path, frame)
    example = dataset.make_example(kitti.read_frame(tmp_path, "000000"), HEIGHT, WIDTH)
    assert (example.depth > 0).sum() == 4
    assert sorted(example.depth[example.depth > 0] / 512) == pytest.approx([19.5, 19.6, 19.7, 30.0], abs=1 / 512)
    assert example.properties[0, 1] == pytest.approx(0.4, abs=1e-5)
    assert example.sparse
    # Of which pixels anybody knows what they show: three points lie in the car's 3D box, one on the road behind it.
    on_car, beside = example.instances == 1, (example.depth > 0) & (example.instances == 0)
    assert (example.depth[on_car] / 512 < 20).all()
    assert (on_car.sum(), beside.sum()) == (3, 1)
    target = dataset.encode(example)["depth"]
    np.testing.assert_allclose(target[on_car, 1:3], [[1 / 3, 1]] * 3)
    assert (target[beside, 1:3] == [4, 0]).all()
    assert (target[..., 3] > 0).sum() == 4


def test_points_beside_the_photo_do_not_fall_on_its_rim(frame):
    points = np.array([[0.0, 1.0, 20.0], [0.0, 9.0, 20.0]], np.float32)  # the second below the lower edge
    frame = dataclasses.replace(frame, depth=None, instances=None, objects=(), points=points)
    example = dataset.make_example(frame, 2 * HEIGHT, WIDTH)
    assert (frame.camera.project(points)[0][:, 1] > HEIGHT).tolist() == [False, True]
    assert (example.depth > 0).sum() == 1
    assert example.instances is None


def test_flip_equals_flipping_the_frame_first(tiny_streets, frame):
    drawn = [kitti.read_frame(tiny_streets, frame_id) for frame_id in ("000000", "000003")]
    for each in (*drawn, frame):
        frame = dataclasses.replace(each, points=None)
        mirrored = dataset.flip(dataset.make_example(frame, *frame.size))
        expected = dataset.make_example(frame.flipped(), *frame.size)
        assert len(expected.boxes) > 0
        for field in dataclasses.fields(dataset.Example):
            got, wanted = (getattr(each, field.name) for each in (mirrored, expected))
            if field.name == "maps":  # a test of its own follows
                assert got == wanted == {}
            else:
                np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6, err_msg=field.name)
        again = dataset.flip(mirrored)
        np.testing.assert_array_equal(again.image, frame.image)
    assert len(expected.ignored_boxes) == 2


def test_flip_without_objects_and_instances(frame):
    example = dataset.make_example(dataclasses.replace(frame, objects=(), instances=None, depth=None), HEIGHT, WIDTH)
    mirrored = dataset.flip(example)
    assert mirrored.boxes.shape == mirrored.ignored_boxes.shape == (0, 4)
    assert mirrored.instances is None


def test_changed_light_stays_within_bounds():
    generator = np.random.default_rng(0)
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 1, 3))
    means, slopes = [], []
    for _ in range(200):
        light = dataset.change_light(ramp, generator)
        assert light.dtype == np.float32
        assert 0 <= light.min() <= light.max() <= 255
        assert (np.diff(light[:, 0], axis=0) >= 0).all()  # brighter stays brighter
        means.append(light[110].mean() - 110)
        slopes.append(light[120, 0, 0] - light[110, 0, 0])
    assert -25 <= min(means) < -15 < 15 < max(means) <= 25
    assert 0.9 * 7 <= min(slopes) < 8 < 12 < max(slopes) <= 1.1 * 13


def examples_of(frame, count):
    """Examples that can be told apart by their first pixel."""
    example = dataset.make_example(frame, HEIGHT, WIDTH)
    images = [np.full_like(example.image, number) for number in range(count)]
    return [dataclasses.replace(example, image=image) for image in images]


def test_order_and_changes_are_a_function_of_seed_and_epoch(frame):
    examples = examples_of(frame, 9)
    orders = {}
    for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
        batches, again = (dataset.Batches(examples, 2, seed, epoch) for _ in range(2))
        assert len(batches) == 4
        for index in (2, 0, 3, 1):  # in any order
            (inputs, targets), (same_inputs, same_targets) = batches[index], again[index]
            for one, other in [(inputs, same_inputs), (targets, same_targets)]:
                for name in one:
                    np.testing.assert_array_equal(one[name], other[name])
        orders[seed, epoch] = batches.order.tolist()
        assert sorted(orders[seed, epoch]) == list(range(9))
    assert len({tuple(order) for order in orders.values()}) == 3
    first, other_epoch = (dataset.Batches(examples, 2, 0, epoch)[0][0]["image"] for epoch in (0, 1))
    assert np.abs(first - other_epoch).max() > 1
    light = [dataset.Batches(examples_of(frame, 2)[:1] * 2, 1)[index][0]["image"].mean() for index in (0, 1)]
    assert light[0] != light[1]  # each batch has its own changes


def test_batches_without_changes_are_the_examples_in_order(frame):
    batches = dataset.Batches(examples_of(frame, 5), 2, augment=False)
    assert [batches[index][0]["image"][:, 0, 0, 0].tolist() for index in range(2)] == [[0, 1], [2, 3]]
    inputs, targets = batches[0]
    assert {name: value.shape for name, value in inputs.items()} == {"image": (2, 64, 96, 3), "camera": (2, 4)}
    assert {name: value.shape for name, value in targets.items()} == {
        "heatmap": (2, 16, 24, 4),
        "box": (2, 16, 24, 5),
        "object": (2, 16, 24, 15),
        "depth": (2, 64, 96, 4),
    }
    np.testing.assert_array_equal(targets["box"][0], dataset.encode(batches.examples[0])["box"])


def test_about_half_of_the_examples_are_mirrored_with_their_targets(frame):
    batches = dataset.Batches(examples_of(frame, 60), 60)
    inputs, targets = batches[0]
    centers = np.argwhere(targets["heatmap"][..., CLASSES.index("Car")] == 1)
    assert len(centers) == 60
    mirrored = centers[:, 2] == 15  # u = 35.5 goes to 95 - 35.5 = 59.5, from cell 9 to cell 15
    assert (mirrored | (centers[:, 2] == 9)).all()
    assert 15 < mirrored.sum() < 45
    np.testing.assert_array_equal(targets["depth"][:, 30, 95 - 30, 0] < 4, mirrored)


def test_too_few_examples_for_a_batch(frame):
    with pytest.raises(ValueError, match="3 examples do not fill one batch of 4"):
        dataset.Batches(examples_of(frame, 3), 4)


# Labels of tasks of one's own.


def test_own_maps_reach_the_loss_and_are_mirrored_with_the_image(frame):
    left = np.zeros((HEIGHT, WIDTH, 1), np.float32)
    left[:, : WIDTH // 4] = 1
    maps = {"road": left, "lanes": left[..., 0].astype(np.uint8), "speed": np.array([8.0, 13.0])}
    example = dataclasses.replace(dataset.make_example(frame, HEIGHT, WIDTH), maps=maps)
    targets = dataset.encode(example)
    assert set(targets) == {"heatmap", "box", "object", "depth", "road", "lanes", "speed"}
    assert all(targets[name] is maps[name] for name in maps)
    mirrored = dataset.flip(example).maps
    assert (mirrored["road"] == 1).nonzero()[1].min() == WIDTH - WIDTH // 4
    np.testing.assert_array_equal(mirrored["lanes"], maps["lanes"][:, ::-1])
    np.testing.assert_array_equal(mirrored["speed"], maps["speed"])  # numbers per image have no left and right
    again = dataset.flip(dataset.flip(example)).maps
    for name in maps:
        np.testing.assert_array_equal(again[name], maps[name])


def test_own_maps_in_batches_go_with_their_images(frame):
    """About half of the images are mirrored, and each mask with its own image."""
    example = dataset.make_example(frame, HEIGHT, WIDTH)
    image = np.zeros_like(example.image)
    image[:, : WIDTH // 4] = 200
    example = dataclasses.replace(example, image=image, maps={"road": (image[..., :1] > 0).astype(np.float32)})
    inputs, targets = dataset.Batches([example] * 20, 20)[0]
    assert targets["road"].shape == (20, HEIGHT, WIDTH, 1)
    bright_left = inputs["image"][:, 0, 0].mean(axis=-1) > inputs["image"][:, 0, -1].mean(axis=-1)
    np.testing.assert_array_equal(targets["road"][:, 0, 0, 0], bright_left)
    np.testing.assert_array_equal(targets["road"][:, 0, -1, 0], ~bright_left)
    assert 3 < bright_left.sum() < 17


def test_examples_have_no_maps_unless_they_are_given(frame):
    first, second = (dataset.make_example(frame, HEIGHT, WIDTH) for _ in range(2))
    assert first.maps == {}
    assert first.maps is not second.maps
    assert set(dataset.encode(first)) == {"heatmap", "box", "object", "depth"}


@pytest.mark.parametrize("name", ["heatmap", "box", "object", "depth"])
def test_an_own_map_must_not_take_the_name_of_another_target(frame, name):
    example = dataset.make_example(frame, HEIGHT, WIDTH)
    with pytest.raises(ValueError, match=rf"maps: \['{name}'\] are targets"):
        dataset.encode(dataclasses.replace(example, maps={name: np.zeros((HEIGHT, WIDTH, 1))}))
