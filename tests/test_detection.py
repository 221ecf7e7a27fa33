"""Targets, losses and decoding of the detector against loops, Keras's own box functions and finite differences."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops
from keras.utils import bounding_boxes

from roidepth_lessons import SHIPPED_WEIGHTS, detection, metrics, model

ROWS, COLUMNS = 8, 16
BOXES = np.array([[10.0, 4, 30, 20], [40, 10, 44, 22], [-6, 20, 14, 40]])
LABELS = np.array([0, 1, 2])
PROPERTIES = np.array([[3.0, 1.5, 0.4, 0.5, 1.3, 0.6, 0.8], [2.0, np.nan, 0.5, -0.4, -0.2, 1, 0], [1.0] * 7])


@pytest.fixture
def targets():
    return detection.encode_targets(BOXES, LABELS, ROWS, COLUMNS, 3, [[50, 0, 60, 10]], PROPERTIES)


def _center_cell(box):
    left, top, right, bottom = np.clip(box, -0.5, [COLUMNS * 4 - 0.5, ROWS * 4 - 0.5] * 2)
    return int(((top + bottom) / 2 + 0.5) // 4), int(((left + right) / 2 + 0.5) // 4)


def test_peaks_stand_at_the_centres_of_the_visible_parts(targets):
    for box, label in zip(BOXES, LABELS, strict=True):
        assert targets["heatmap"][(*_center_cell(box), label)] == 1
    assert (targets["heatmap"][..., :3] == 1).sum() == 3


def test_box_targets_are_distances_to_the_edges(targets):
    for row, column in np.argwhere(targets["box"][..., 4] > 0):
        u, v = column * 4 + 1.5, row * 4 + 1.5
        left, top, right, bottom = targets["box"][row, column, :4]
        box = np.array([u - left, v - top, u + right, v + bottom])
        visible = np.clip(BOXES, -0.5, [63.5, 31.5, 63.5, 31.5])
        # A centre cell's own middle may lie just outside a very small box: then the distance is held at 0.25.
        assert np.abs(visible - box).max(axis=1).min() <= 0.75


def test_each_object_counts_once(targets):
    assert targets["box"][..., 4].sum() == pytest.approx(3, abs=1e-5)
    assert targets["object"][..., 14].sum() == pytest.approx(3, abs=1e-5)


def test_unknown_properties_are_masked_and_hold_no_nan(targets):
    row, column = _center_cell(BOXES[1])
    assert np.isfinite(targets["object"]).all()
    assert targets["object"][row, column, 7:14].tolist() == [1, 0, 1, 1, 1, 1, 1]


def test_dont_care_regions_have_no_weight_but_objects_in_them_do():
    targets = detection.encode_targets([[10, 4, 30, 20]], [0], ROWS, COLUMNS, 3, ignored_boxes=[[0, 0, 63, 31]])
    weight = targets["heatmap"][..., 3]
    assert weight[_center_cell([10, 4, 30, 20])] == 1
    assert weight[0, 15] == 0


def test_the_nearer_object_gets_the_cell_that_two_claim():
    boxes, far_near = [[8, 8, 24, 24], [8, 8, 24, 24]], [[3.0] * 7, [1.0] * 7]
    for order, expected in [([30.0, 5.0], 1.0), ([5.0, 30.0], 3.0)]:
        targets = detection.encode_targets(boxes, [0, 0], ROWS, COLUMNS, 3, properties=far_near, order=order)
        assert targets["object"][(*_center_cell(boxes[0]), 0)] == expected


def test_boxes_outside_the_image_are_left_out_and_bad_ones_refused():
    outside = detection.encode_targets([[100, 100, 120, 130]], [0], ROWS, COLUMNS, 3)
    assert outside["box"].max() == 0
    assert (outside["heatmap"][..., :3] == 0).all()
    for boxes in ([[0, 0, np.nan, 4]], [[5, 5, 5, 9]]):
        with pytest.raises(ValueError, match="boxes"):
            detection.encode_targets(boxes, [0], ROWS, COLUMNS, 3)
    with pytest.raises(ValueError, match="labels"):
        detection.encode_targets(BOXES, [0], ROWS, COLUMNS, 3)


def test_heatmap_loss_against_a_loop(targets):
    logits = np.random.default_rng(0).normal(size=(2, ROWS, COLUMNS, 3)).astype("float32")
    true = np.stack([targets["heatmap"], detection.encode_targets([], [], ROWS, COLUMNS, 3)["heatmap"]])
    expected = np.zeros(2)
    for (image, row, column, label), logit in np.ndenumerate(logits):
        peak, weight = true[image, row, column, label], true[image, row, column, 3]
        p = 1 / (1 + np.exp(-float(logit)))
        gain = (1 - p) ** 2 * np.log(p) if peak == 1 else (1 - peak) ** 4 * p**2 * np.log(1 - p)
        expected[image] -= weight * gain
    loss = ops.convert_to_numpy(detection.heatmap_loss(ops.convert_to_tensor(true), ops.convert_to_tensor(logits)))
    np.testing.assert_allclose(loss.mean(), expected.sum() / 3, rtol=1e-5)


def test_box_loss_is_one_minus_ciou_of_the_boxes_themselves(targets):
    raw = np.random.default_rng(1).normal(2, 0.3, size=(1, ROWS, COLUMNS, 4)).astype("float32")
    expected = 0.0
    for row, column in np.argwhere(targets["box"][..., 4] > 0):
        u, v = column * 4 + 1.5, row * 4 + 1.5
        to_box = lambda d, u=u, v=v: np.array([[u - d[0], v - d[1], u + d[2], v + d[3]]], "float32")  # noqa: E731
        true, guess = to_box(targets["box"][row, column, :4]), to_box(np.exp(raw[0, row, column]))
        ciou = float(ops.convert_to_numpy(bounding_boxes.compute_ciou(true, guess, "xyxy"))[0])
        expected += targets["box"][row, column, 4] * (1 - ciou)
    loss = detection.box_loss(ops.convert_to_tensor(targets["box"][None]), ops.convert_to_tensor(raw))
    assert float(loss[0]) == pytest.approx(expected / 3, rel=1e-4)


def _gradient(loss, true, guess):
    true = ops.convert_to_tensor(true)
    return tiny.value_and_gradient(lambda values: ops.mean(loss(true, values)), guess)


LOSSES = [("heatmap", detection.heatmap_loss, 3), ("box", detection.box_loss, 4), ("object", detection.object_loss, 8)]


@pytest.mark.parametrize(("name", "loss", "channels"), LOSSES)
def test_gradients_against_finite_differences(targets, name, loss, channels):
    generator = np.random.default_rng(2)
    guess = generator.normal(0.5, 0.7, size=(1, ROWS, COLUMNS, channels)).astype("float32")
    true = targets[name][None]
    if name == "object":
        guess[..., 1] -= 2  # inside the bounds of the log scale
        errors = np.delete(guess, 1, axis=-1) - true[..., :7]
        at_kink = np.abs(np.insert(errors, 1, 1.0, axis=-1)) < 0.02  # an absolute value has no gradient there
        guess[at_kink] += 0.05
    _, gradient = _gradient(loss, true, guess)
    for row, column in np.argwhere(true[0, ..., -1] > 0)[:6]:
        for channel in range(channels):
            if name == "object" and channel == 0:
                continue  # its scale sees the error without passing a gradient back: tested below
            step = np.zeros_like(guess)
            step[0, row, column, channel] = 1e-2
            high = float(ops.mean(loss(ops.convert_to_tensor(true), ops.convert_to_tensor(guess + step))))
            low = float(ops.mean(loss(ops.convert_to_tensor(true), ops.convert_to_tensor(guess - step))))
            assert gradient[0, row, column, channel] == pytest.approx((high - low) / 0.02, abs=2e-3)


def test_the_scale_learns_from_the_distance_but_does_not_weigh_it(targets):
    true, guess = targets["object"][None], np.zeros((1, ROWS, COLUMNS, 8), "float32")
    weight = true[0, ..., 14]
    for log_scale in (-1.0, -4.0):
        guess[..., 1] = log_scale
        _, gradient = _gradient(detection.object_loss, true, guess)
        known = weight > 0
        np.testing.assert_allclose(gradient[0, known, 0], -3 * weight[known] / 3, rtol=1e-4)


@pytest.mark.parametrize(("name", "loss", "channels"), LOSSES)
def test_loss_and_gradient_are_finite_without_any_object(name, loss, channels):
    empty = detection.encode_targets([], [], ROWS, COLUMNS, 3)[name][None]
    for scale in (0.0, 50.0, -50.0):
        value, gradient = _gradient(loss, empty, np.full((1, ROWS, COLUMNS, channels), scale, "float32"))
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_decoding_finds_planted_objects():
    heatmap = np.full((1, ROWS, COLUMNS, 3), -9.0, "float32")
    box = np.zeros((1, ROWS, COLUMNS, 4), "float32")
    objects = np.zeros((1, ROWS, COLUMNS, 8), "float32")
    for (row, column, label), score in [((2, 3, 0), 3.0), ((6, 10, 2), 2.0)]:
        heatmap[0, row, column, label] = score
        heatmap[0, row, column + 1, label] = score - 0.5  # a slope beside the peak is no object
        box[0, row, column] = np.log([4, 5, 6, 7])
        objects[0, row, column] = label + np.arange(8)
    outputs = {"heatmap": heatmap, "box": box, "object": objects}
    found = {name: ops.convert_to_numpy(value)[0] for name, value in detection.decode(outputs, count=5).items()}
    assert found["labels"][:2].tolist() == [0, 2]
    np.testing.assert_allclose(found["scores"][:2], 1 / (1 + np.exp([-3.0, -2.0])), rtol=1e-5)
    assert found["scores"][2] < 0.01
    np.testing.assert_allclose(found["boxes"][0], [13.5 - 4, 9.5 - 5, 13.5 + 6, 9.5 + 7], rtol=1e-5)
    np.testing.assert_allclose(found["properties"][1], 2 + np.arange(8))


def test_targets_decode_back_to_the_boxes(targets):
    outputs = detection.outputs_of(targets["heatmap"][None, ..., :3] == 1, targets["box"][None, ..., :4])
    found = detection.decode(outputs, count=3)
    boxes = ops.convert_to_numpy(found["boxes"])[0][np.argsort(ops.convert_to_numpy(found["labels"])[0])]
    expected = np.clip(BOXES, -0.5, [63.5, 31.5, 63.5, 31.5])
    assert np.abs(boxes - expected).max() <= 0.75


def test_a_decoded_batch_comes_apart_into_images(targets):
    outputs = detection.outputs_of(targets["heatmap"][None, ..., :3] == 1, targets["box"][None, ..., :4])
    decoded = detection.decode({name: np.concatenate([each, each[:, ::-1]]) for name, each in outputs.items()}, count=3)
    images = detection.per_image(decoded)
    assert len(images) == 2
    for index, image in enumerate(images):
        assert {name: type(values) for name, values in image.items()} == dict.fromkeys(decoded, np.ndarray)
        for name, values in image.items():
            assert np.array_equal(values, ops.convert_to_numpy(decoded[name])[index])


def test_the_bell_is_as_wide_and_high_as_its_docstring_says():
    spread, (row, column) = detection._gaussian(np.array([100.0, 60, 120, 100]), 40, 60)
    assert (row, column) == (20, 27)
    assert spread[20, 28] == pytest.approx(np.exp(-((1 / (0.18 * 5)) ** 2) / 2))  # 20 pixels wide: 5 cells
    assert spread[20, 28] == pytest.approx(0.54, abs=5e-3)
    assert spread[21, 27] == pytest.approx(np.exp(-((1 / (0.18 * 10)) ** 2) / 2))
    assert np.argwhere(spread[20] > 0).ravel().tolist() == [25, 26, 27, 28, 29]  # 2.5 cells are half a side


def test_outputs_say_the_peaks_and_distances_they_were_made_of():
    generator = np.random.default_rng(5)
    peaks, distances = generator.uniform(size=(2, 3, 4, 3)), generator.uniform(0.3, 60, size=(2, 3, 4, 4))
    peaks[0, 0, 0], distances[0, 0, 0] = [0, 1, 0.5], 0
    outputs = detection.outputs_of(peaks, distances)
    np.testing.assert_allclose(1 / (1 + np.exp(-outputs["heatmap"])), peaks, atol=2e-6)
    said = ops.convert_to_numpy(detection.edge_distances(outputs["box"]))
    np.testing.assert_allclose(said, np.maximum(distances, 0.25), rtol=1e-5)
    assert outputs["object"].shape == (2, 3, 4, len(detection.OBJECT_FIELDS))
    assert {each.dtype.name for each in outputs.values()} == {"float32"}


def test_head_gives_the_three_maps():
    head = detection.build_detection_head(feature_channels=8, channels=8)
    outputs = head(np.zeros((2, 5, 6, 8), "float32"))
    assert {name: value.shape for name, value in outputs.items()} == {
        "heatmap": (2, 5, 6, 3),
        "box": (2, 5, 6, 4),
        "object": (2, 5, 6, 8),
    }
    assert isinstance(head, keras.Model)


@pytest.mark.parametrize("halo", [1, 3])
def test_what_is_computed_at_peaks_only_is_what_the_maps_say(halo):
    """In every cell, corners and edges among them, and with two images."""
    keras.utils.set_random_seed(halo)
    head = detection.build_detection_head(feature_channels=8, channels=16)
    for variable in head.weights:
        if "norm" in variable.path:
            variable.assign(np.random.default_rng(3).uniform(0.5, 1, variable.shape))
    features = np.random.default_rng(halo).normal(size=(2, 4, 7, 8)).astype("float32")
    padded = np.pad(features, [(0, 0), (halo, halo), (halo, halo), (0, 0)])
    maps = {name: ops.convert_to_numpy(each) for name, each in head(features, training=False).items()}
    cells = ops.convert_to_numpy(detection.find_peaks(maps["heatmap"], 84)["cells"])
    assert all(len(np.unique(each, axis=0)) == 4 * 7 for each in cells)
    index = np.arange(2)[:, None], cells[..., 0], cells[..., 1]
    middles = cells[..., ::-1] * 4 + 1.5
    edges = np.exp(maps["box"][index])
    boxes = np.concatenate([middles - edges[..., :2], middles + edges[..., 2:]], axis=-1)
    ways = (
        detection.decode(maps, 84),
        detection.decode_at_peaks(*detection.split_head(head), features, padded, halo, 84),
    )
    for found in ways:
        np.testing.assert_allclose(ops.convert_to_numpy(found["boxes"]), boxes, rtol=1e-4)
        said = ops.convert_to_numpy(found["properties"])
        np.testing.assert_allclose(said, maps["object"][index], rtol=1e-4, atol=1e-5)


def test_peaks_are_cells_that_no_neighbour_exceeds():
    heatmap = np.random.default_rng(2).normal(size=(2, 6, 9, 3)).astype("float32")
    heatmap[0, 0, 0, 1] = 5
    found = {name: ops.convert_to_numpy(each) for name, each in detection.find_peaks(heatmap, 60).items()}
    for image in (0, 1):
        peaks = set()
        for row, column, label in np.ndindex(6, 9, 3):
            around = heatmap[image, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2, label]
            if heatmap[image, row, column, label] == around.max():
                peaks.add((row, column, label))
        strong = found["scores"][image] > 0
        assert 5 < strong.sum() < 60
        said = np.concatenate([found["cells"][image], found["labels"][image, :, None]], axis=1)[strong]
        assert set(map(tuple, said.tolist())) == peaks
        scores = 1 / (1 + np.exp(-heatmap[image][tuple(said.T)]))
        np.testing.assert_allclose(found["scores"][image][strong], scores, rtol=1e-5)
    assert found["labels"][0, 0] == 1
    assert found["cells"][0, 0].tolist() == [0, 0]


def test_a_cell_that_is_not_a_number_is_no_peak_nor_are_its_neighbours():
    heatmap = np.full((1, 5, 7, 1), -9, "float32")
    heatmap[0, 1, 1] = heatmap[0, 3, 5] = 2
    both = ops.convert_to_numpy(detection.find_peaks(heatmap, 2)["scores"])
    heatmap[0, 2, 2] = np.nan
    one = ops.convert_to_numpy(detection.find_peaks(heatmap, 2)["scores"])
    assert (both > 0.5).tolist() == [[True, True]]
    assert (one > 0.5).tolist() == [[True, False]]
    assert np.isfinite(one).all()


def own_head(*sizes, **options):
    """A head whose box and object stand on convolutions of these sizes."""
    features = keras.Input((None, None, 4))
    x = features
    for size in sizes:
        x = keras.layers.Conv2D(5, size, **{"padding": "same", **options})(x)
    ends = {name: keras.layers.Conv2D(count, 1)(x) for name, count in (("box", 4), ("object", 8))}
    return keras.Model(features, {"heatmap": keras.layers.Conv2D(3, 5, padding="same")(features), **ends})


def test_a_head_that_sees_farther_than_its_neighbours_is_not_split():
    assert detection.split_head(own_head(3))
    assert detection.split_head(own_head(3, 1))
    assert detection.split_head(own_head(1, 1))
    assert detection.split_head(own_head())
    assert detection.split_head(own_head(1, 3, 1)) is None  # exact but for the image's rim
    for sizes in ([5], [3, 3], [(1, 3)], [2]):
        assert detection.split_head(own_head(*sizes)) is None
    assert detection.split_head(own_head(3, dilation_rate=2)) is None
    pooled = own_head(3)
    wide = keras.layers.AveragePooling2D(3, strides=1, padding="same")(pooled.output["object"])
    assert detection.split_head(keras.Model(pooled.input, {**pooled.output, "object": wide})) is None
    assert detection.split_head(keras.layers.Conv2D(3, 1)) is None
    features = keras.Input((None, None, 4))
    again = keras.layers.Conv2D(4, 3, padding="same")
    ends = {name: keras.layers.Conv2D(8, 1)(again(again(features))) for name in ("box", "object")}
    assert detection.split_head(keras.Model(features, {"heatmap": features, **ends})) is None


@pytest.mark.parametrize("sizes", [(), (3,), (3, 1), (1, 1), (1, 3, 1), (3, 3), (5,)])
def test_what_is_split_is_exact_at_the_rim_too(sizes):
    head = own_head(*sizes)
    for variable in head.weights:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape) * 0.3)
    halves = detection.split_head(head)
    assert (halves is None) == (sizes in ((1, 3, 1), (3, 3), (5,)))
    if halves:
        features = np.random.default_rng(0).normal(size=(1, 4, 6, 4)).astype("float32")
        padded = np.pad(features, [(0, 0), (1, 1), (1, 1), (0, 0)])
        ways = detection.decode(head(features), 72), detection.decode_at_peaks(*halves, features, padded, 1, 72)
        for name in ("boxes", "properties"):
            whole, at_peaks = (ops.convert_to_numpy(each[name]) for each in ways)
            np.testing.assert_allclose(at_peaks, whole, rtol=1e-4, atol=1e-5)


def test_one_thing_is_reported_once():
    boxes = [[10, 10, 30, 50], [10, 11, 30, 51], [25, 10, 45, 50], [10, 10, 30, 50], [100, 10, 130, 30]]
    overlap = metrics.box_iou(boxes, boxes)
    # The surest of the three that lie on one another stays; the neighbour that overlaps by a seventh stays too.
    assert detection.distinct(overlap, [0.5, 0.8, 0.4, 0.6, 0.3]).tolist() == [False, True, True, False, True]
    assert detection.distinct(overlap, [0.5, 0.5, 0.4, 0.5, 0.3]).tolist() == [True, False, True, False, True]
    assert detection.distinct(overlap, [0.5, 0.8, 0.4, 0.6, 0.3], most_overlap=1.01).all()
    assert detection.distinct(metrics.box_iou([], []), []).shape == (0,)


def test_what_stays_overlaps_nothing_surer_that_stays():
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 60, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(15, 40, (40, 2))], axis=1)
    scores = rng.permutation(40) / 40
    iou = metrics.box_iou(boxes, boxes)
    kept = detection.distinct(ops.convert_to_numpy(bounding_boxes.compute_iou(boxes, boxes, "xyxy")), scores, 0.4)
    for index in range(40):
        surer = [other for other in range(40) if kept[other] and scores[other] > scores[index]]
        assert kept[index] == all(iou[index, other] < 0.4 for other in surer)
    assert 3 < kept.sum() < 40


def test_a_map_with_fewer_places_than_objects_asked_for_gives_all_its_places():
    generator = np.random.default_rng(8)
    sizes = {"heatmap": 3, "box": 4, "object": 8}
    outputs = {name: generator.normal(size=(2, 2, 3, count)).astype("float32") for name, count in sizes.items()}
    found = {name: ops.convert_to_numpy(value) for name, value in detection.decode(outputs).items()}
    assert found["scores"].shape == found["labels"].shape == (2, 18)
    assert found["properties"].shape == (2, 18, 8)
    peaks = 1 / (1 + np.exp(-outputs["heatmap"].max(axis=(1, 2))))  # in a map of 2x3, all cells are neighbours or so
    np.testing.assert_allclose(found["scores"][:, 0], peaks.max(axis=1), rtol=1e-5)


def test_without_settings_the_head_is_that_of_the_shipped_weights():
    shipped = model.RoiDepth.load(SHIPPED_WEIGHTS).network.get_layer("detection_head")
    usual = detection.build_detection_head()
    assert [each.shape for each in usual.get_weights()] == [each.shape for each in shipped.get_weights()]


def test_at_the_start_five_percent_of_the_cells_are_objects_and_boxes_are_a_few_cells_wide():
    head = detection.build_detection_head(feature_channels=8, channels=8)
    outputs = {name: ops.convert_to_numpy(value) for name, value in head(np.zeros((1, 4, 5, 8), "float32")).items()}
    np.testing.assert_allclose(1 / (1 + np.exp(-outputs["heatmap"])), 0.05, rtol=1e-5)
    np.testing.assert_allclose(outputs["box"], 2.0)
    np.testing.assert_allclose(outputs["object"], 0)


def test_targets_of_one_object_against_a_loop_over_cells():
    """Every cell, every channel, worked out from the docstrings: a car across the left rim, partly known."""
    box, known = np.array([-9.0, 5, 22, 27]), [3.0, np.nan, 0.4, 0.5, 1.3, 0.6, 0.8]
    targets = detection.encode_targets([box], [1], ROWS, COLUMNS, 2, properties=[known])
    left, top, right, bottom = -0.5, 5, 22, 27
    row, column = int(((top + bottom) / 2 + 0.5) // 4), int(((left + right) / 2 + 0.5) // 4)
    bell = {}
    for cell in np.ndindex(ROWS, COLUMNS):
        sigma = 0.18 * (bottom - top) / 4, 0.18 * (right - left) / 4
        value = np.exp(-((cell[0] - row) ** 2) / (2 * sigma[0] ** 2) - (cell[1] - column) ** 2 / (2 * sigma[1] ** 2))
        bell[cell] = value if value >= 0.02 else 0.0
    learns = {cell: value for cell, value in bell.items() if value > 0.5}
    assert len(learns) == 5
    for cell, value in bell.items():
        np.testing.assert_allclose(targets["heatmap"][cell], [0, value, 1], atol=1e-6)
        v, u = 4 * cell[0] + 1.5, 4 * cell[1] + 1.5
        weight = learns.get(cell, 0.0) / sum(learns.values())
        distances = [u - left, v - top, right - u, bottom - v] if weight else [0] * 4
        np.testing.assert_allclose(targets["box"][cell], [*distances, weight], atol=1e-6)
        values = [*np.nan_to_num(known), 1, 0, 1, 1, 1, 1, 1] if weight else [0] * 14
        np.testing.assert_allclose(targets["object"][cell], [*values, weight], atol=1e-6)
    nobody_knows = detection.encode_targets([box], [1], ROWS, COLUMNS, 2)["object"]
    assert (nobody_knows[..., :14] == 0).all()
    np.testing.assert_array_equal(nobody_knows[..., 14], targets["object"][..., 14])


def test_ignored_regions_are_snapped_outwards():
    weight = detection.encode_targets([], [], 4, 6, 2, ignored_boxes=[[3.6, 7.4, 11.4, 11.6], [30, -9, 23.6 + 9, 0]])
    rows, columns = np.nonzero(weight["heatmap"][..., 2] == 0)
    # Cell 0 ends at 3.5, cell 1 at 7.5, cell 2 at 11.5, cell 3 at 15.5; the second region lies beside the image.
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)}


def test_distances_and_scales_are_bounded():
    raw = np.array([-9.0, -4, 0, 8, 30], "float32")
    np.testing.assert_allclose(detection.edge_distances(raw), np.exp([-4.0, -4, 0, 8, 8]), rtol=1e-5)
    scale = np.exp(ops.convert_to_numpy(detection.bounded_log_scale(np.array([-30.0, -2, 1], "float32"))))
    np.testing.assert_allclose(scale, [0.005, np.exp(-2), 1], rtol=1e-5)


def test_object_loss_against_a_loop(targets):
    generator = np.random.default_rng(9)
    guess = generator.normal(size=(2, ROWS, COLUMNS, 8)).astype("float32")
    guess[..., 1] = generator.uniform(-7, 1, guess.shape[:3])
    empty = detection.encode_targets([], [], ROWS, COLUMNS, 3)["object"]
    true = np.stack([targets["object"], empty])
    expected = 0.0
    for row, column in np.argwhere(targets["object"][..., 14] > 0):
        values, masks, weight = np.split(targets["object"][row, column].astype(float), [7, 14])
        distance, log_scale, *others = guess[0, row, column].astype(float)
        log_scale = min(max(log_scale, np.log(0.005)), 0.0)
        error = abs(values[0] - distance)
        total = 3.0 * error * masks[0] + 0.1 * masks[0] * (error / np.exp(log_scale) + log_scale)
        for one, other, mask, importance in zip(values[1:], others, masks[1:], [0.3, 1, 1, 1, 0.3, 0.3], strict=True):
            total += importance * mask * abs(one - other)
        expected += weight[0] * total
    loss = ops.convert_to_numpy(detection.object_loss(ops.convert_to_tensor(true), ops.convert_to_tensor(guess)))
    assert loss[1] == 0
    assert loss.mean() == pytest.approx(expected / 3, rel=1e-4)
