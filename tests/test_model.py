"""The whole program: the same objects and the same depth in every mode, at every size, for every input."""

import keras
import numpy as np
import pytest
import tiny

from roidepth_lessons import (
    CLASSES,
    DATA_FOLDER,
    benchmark,
    depth,
    detection,
    encoder,
    model,
    multitask,
    pretrained,
    streets,
)
from roidepth_lessons.camera import Camera

CHANNELS = tiny.CHANNELS
SHIPPED = DATA_FOLDER / "weights" / "streets.keras"


@pytest.fixture(scope="module")
def shipped():
    return model.RoiDepth.load(SHIPPED)


@pytest.fixture(scope="module")
def street():
    return streets.draw_street([7, 3])


def test_depth_inside_the_windows_equals_the_full_depth(shipped, street):
    full = shipped.predict(street.image, street.camera, "full")
    roi = shipped.predict(street.image, street.camera, "roi")
    decoded = roi.depth > 0
    assert 0.01 < decoded.mean() < 0.9
    assert roi.head_work < 1 == full.head_work
    log_full, log_roi = np.log(full.depth[decoded]), np.log(roi.depth[decoded])
    assert np.abs(log_full - log_roi).max() <= 1e-5 * np.abs(log_full).max()


def test_full_depth_is_that_of_the_network_as_it_was_trained(shipped, street):
    """Windows and full frame could be wrong together: both are gathered from the same padded features."""
    inputs = {"image": street.image[None].astype("float32"), "camera": street.camera.vector[None]}
    trained = np.asarray(shipped.network.predict_on_batch(inputs)["depth"])[0]
    _, padded = shipped.detect(street.image, street.camera)
    (decoded,) = shipped.decode(padded, shipped.plan([], padded.shape[1:3], "full"))
    assert np.abs(decoded - trained).max() <= 1e-5 * np.abs(trained).max()


def test_all_modes_give_the_same_objects(shipped, street):
    by_mode = [shipped.predict(street.image, street.camera, mode).objects for mode in model.MODES]
    assert len(by_mode[0]) >= 2
    for objects in by_mode[1:]:
        assert [each.name for each in objects] == [each.name for each in by_mode[0]]
        for each, other in zip(objects, by_mode[0], strict=True):
            np.testing.assert_allclose(each.box, other.box, atol=1e-3)
            assert each.distance_m == pytest.approx(other.distance_m, rel=1e-4)
            assert each.surface_distance_m == pytest.approx(other.surface_distance_m, rel=1e-4)


def test_an_object_lies_on_the_ray_through_its_box_at_its_distance(shipped, street):
    for each in shipped.predict(street.image, street.camera).objects:
        pixel, distance = street.camera.project(each.position_m)
        assert distance == pytest.approx(each.distance_m, rel=1e-4)
        left, top, right, bottom = each.box
        np.testing.assert_allclose(pixel, [(left + right) / 2, (top + bottom) / 2], atol=0.6)


def test_a_larger_photo_of_the_same_view_gives_about_the_same_distances(shipped, street):
    small = shipped.predict(street.image, street.camera)
    image = np.repeat(np.repeat(street.image, 3, axis=0), 3, axis=1)
    large = shipped.predict(image, street.camera.resized(*image.shape[:2]))
    assert large.network_size == small.network_size
    assert large.depth.shape == image.shape[:2]
    certain = [each for each in small.objects if each.score > 0.5]
    assert len(certain) >= 2
    for each in certain:
        boxes = [(np.array(other.box) + 0.5) / 3 - 0.5 for other in large.objects]
        same = int(np.argmin([np.abs(box - each.box).max() for box in boxes]))
        np.testing.assert_allclose(boxes[same], each.box, atol=1.5)
        assert large.objects[same].name == each.name
        assert large.objects[same].distance_m == pytest.approx(each.distance_m, rel=0.05)


def test_depth_scales_with_the_focal_length(shipped, street):
    """The same picture, said to be taken with twice the focal length, shows things twice as far away."""
    projection = street.camera.projection.copy()
    projection[:2, :2] *= 2
    twice = Camera(projection, *street.size)
    near = shipped.predict(street.image, street.camera, "full", rescale=False)
    far = shipped.predict(street.image, twice, "full", rescale=False)
    np.testing.assert_allclose(far.depth, 2 * near.depth, rtol=1e-4)


@pytest.mark.parametrize("size", [(128, 416), (375, 1242), (370, 1224), (480, 640), (33, 31), (1, 1), (100, 700)])
def test_any_photo_size(shipped, size):
    image = np.random.default_rng(0).integers(0, 256, size=(*size, 3), dtype=np.uint8)
    prediction = shipped.predict(image, threshold=0.05)
    assert prediction.depth.shape == size
    assert all(side % 32 == 0 for side in prediction.network_size)
    for each in prediction.objects:
        left, top, right, bottom = each.box
        assert 0 <= left <= right <= size[1] - 1
        assert 0 <= top <= bottom <= size[0] - 1
        assert np.isfinite([each.distance_m, each.distance_spread_m, *each.position_m]).all()


def test_every_candidate_can_be_asked_for_its_distance(shipped, street):
    """In the order of the candidates, and those that are reported otherwise say the same."""
    reported = shipped.predict(street.image, street.camera, "full")
    every = shipped.predict(street.image, street.camera, "full", threshold=0.0, distinct=False)
    boxes, labels = reported.candidates["boxes"], reported.candidates["labels"]
    np.testing.assert_allclose([each.box for each in every.objects], boxes, atol=1e-4)
    assert [each.name for each in every.objects] == [CLASSES[label] for label in labels]
    assert len(every.objects) > len(reported.objects) > 0
    by_score = {each.score: each for each in every.objects}
    assert [each.distance_m for each in reported.objects] == [
        by_score[each.score].distance_m for each in reported.objects
    ]
    once = shipped.predict(street.image, street.camera, "full", threshold=0.0)
    assert len(once.objects) < len(every.objects)  # some are of the same thing


def test_no_object_gives_an_empty_prediction(shipped, street):
    for mode in ("roi", "auto"):
        nothing = shipped.predict(street.image, street.camera, mode, threshold=1.0)
        assert nothing.objects == ()
        assert nothing.head_work == 0
        assert (nothing.depth == 0).all()
    assert (shipped.predict(street.image, street.camera, "full", threshold=1.0).depth > 0).all()


def test_wrong_arguments_are_named(shipped, street):
    for image in (street.image[..., :2], street.image.astype(float), street.image[0], np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="image must be"):
            shipped.predict(image)
    with pytest.raises(ValueError, match="mode"):
        shipped.predict(street.image, street.camera, "all")
    with pytest.raises(ValueError, match="camera is for"):
        shipped.predict(street.image, street.camera.resized(64, 208))


def test_bad_weights_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.keras"):
        model.RoiDepth.load(tmp_path / "nowhere.keras")
    cut = tmp_path / "cut.keras"
    cut.write_bytes(SHIPPED.read_bytes()[:5000])
    noise = tmp_path / "noise.keras"
    noise.write_bytes(bytes(range(256)) * 9)
    other = tmp_path / "other.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(other)
    for path in (cut, noise, other):
        with pytest.raises(ValueError, match=path.name):
            model.RoiDepth.load(path)


def test_hostile_weights_run_no_code(tmp_path):
    network = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2)])
    network.save(tmp_path / "lambda.keras")
    with pytest.raises(ValueError, match=r"lambda\.keras"):
        model.RoiDepth.load(tmp_path / "lambda.keras")


def test_a_network_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="build_network"):
        model.RoiDepth(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))


def test_mask_and_agreement_choose_the_right_pixels():
    """A lamp-post in front of a car and a wall behind it: the plain median is wrong, the reading is not."""
    log_depth = np.full((10, 10), np.log(40.0))
    log_depth[:, 2:5] = np.log(20.0)
    log_depth[:, 0] = np.log(6.0)
    logits = np.where(log_depth == np.log(20.0), 3.0, -3.0)
    patch = np.stack([log_depth, np.full((10, 10), -3.0), logits], axis=-1).astype("float32")
    assert np.exp(np.median(log_depth)) == pytest.approx(40)
    surface, low, high, scale = model.read_patch(patch, np.log(21.5))
    assert surface == pytest.approx(20, rel=1e-5)
    assert low <= surface <= high
    assert scale == pytest.approx(np.exp(-3.0), rel=1e-5)


def test_shipped_network_is_what_build_network_builds(shipped):
    fresh = model.build_network()
    assert [tuple(w.shape) for w in fresh.weights] == [tuple(w.shape) for w in shipped.network.weights]
    assert SHIPPED.stat().st_size <= 10 * 2**20
    assert depth.HeadWork(fresh.get_layer("depth_head")).layers == shipped.head_work.layers


def test_objects_are_those_that_the_whole_maps_say(shipped, street):
    """The detector computes boxes and properties at peaks only; the training network, everywhere."""
    maps = shipped.network.predict_on_batch(inputs_of(street))
    wanted = detection.per_image(detection.decode(maps))[0]
    found = model.within_photo(wanted, *street.image.shape[:2])
    candidates, _ = shipped.detect(street.image, street.camera)
    assert len(found["scores"]) > 5
    assert candidates["labels"].tolist() == found["labels"].tolist()
    for name in ("scores", "boxes", "properties"):
        np.testing.assert_allclose(candidates[name], found[name], rtol=1e-3, atol=1e-3, err_msg=name)


# Heads of one's own.


def test_a_detection_head_that_cannot_be_split_runs_on_the_whole_photo(street):
    features = keras.Input((None, None, CHANNELS))
    x = features
    for _ in range(2):
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3, padding="same")(x))
    sizes = {"heatmap": 3, "box": 4, "object": len(detection.OBJECT_FIELDS)}
    outputs = {name: keras.layers.Conv2D(count, 1)(x) for name, count in sizes.items()}
    head = keras.Model(features, outputs, name="detection_head")
    network = model.compose(tiny.toy_encoder(), head, depth.build_depth_head(CHANNELS, channels=(8, 8)))
    wanted = detection.per_image(detection.decode(network.predict_on_batch(inputs_of(street))))[0]
    program = model.RoiDepth(network)
    found = program.find(street.image, street.camera)[0]
    kept = model.within_photo(wanted, *street.image.shape[:2])
    assert len(kept["scores"]) > 5
    for name, values in kept.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4, err_msg=name)


def parts_with(network):
    return [network.get_layer(name) for name in ("encoder", "detection_head", "depth_head")]


def test_a_third_head_leaves_the_other_outputs_as_they_are():
    parts = parts_with(tiny.toy_network())
    road = keras.layers.Conv2DTranspose(1, 4, strides=4, name="road_head")
    scalar = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)], name="free_head")
    two, four = model.compose(*parts), model.compose(*parts, road=road, free=scalar)
    generator = np.random.default_rng(0)
    inputs = {
        "image": generator.uniform(0, 255, (2, 64, 96, 3)).astype("float32"),
        "camera": np.float32([[60, 60, 48, 32]] * 2),
    }
    before, after = two(inputs, training=False), four(inputs, training=False)
    assert set(after) == {*before, "road", "free"}
    for name in before:
        assert np.array_equal(*map(keras.ops.convert_to_numpy, (before[name], after[name]))), name
    assert tuple(after["road"].shape) == (2, 64, 96, 1)
    assert tuple(after["free"].shape) == (2, 2)
    features = parts[0]([inputs["image"], inputs["camera"]])
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (after["road"], road(features))), atol=1e-5)


def test_a_network_with_a_third_head_is_trained_saved_and_predicts(tmp_path):
    """Training by task, a file in Keras's safe mode, and `RoiDepth`, which looks at no head but its own two."""
    parts = parts_with(tiny.toy_network())
    network = model.compose(*parts, road=keras.layers.Conv2DTranspose(1, 4, strides=4, name="road_head"))
    training = multitask.TaskTraining(
        network,
        {"road": ["road"]},
        {"road": keras.losses.BinaryCrossentropy(from_logits=True)},
        keras.optimizers.SGD(0.1),
    )
    street = streets.draw_street([7, 3], 64, 96)
    inputs = {"image": street.image[None].astype("float32"), "camera": street.camera.vector[None]}
    before = multitask.snapshot(network.variables)
    logs = training.step(inputs, {"road": street.road[None, ..., None].astype("float32")})
    assert np.isfinite(logs["loss"])
    moved = multitask.changed(network.variables, before)
    assert any("road_head" in path for path in moved)
    assert not any("detection_head" in path or "depth_head" in path for path in moved)
    network.save(tmp_path / "three.keras")
    loaded = model.RoiDepth.load(tmp_path / "three.keras")
    np.testing.assert_allclose(
        loaded.network.predict_on_batch(inputs)["road"], network.predict_on_batch(inputs)["road"], atol=1e-5
    )
    two = model.RoiDepth(model.compose(*parts))
    for mode in ("roi", "full"):
        with_road, without = (each.predict(street.image, street.camera, mode, threshold=0.02) for each in (loaded, two))
        assert len(with_road.objects) == len(without.objects)
        np.testing.assert_allclose(with_road.depth, without.depth, rtol=1e-4)


@pytest.mark.parametrize("name", ["heatmap", "depth"])
def test_an_own_head_must_not_take_the_name_of_another_output(name):
    parts = parts_with(tiny.toy_network())
    with pytest.raises(ValueError, match=rf"heads: \['{name}'\] are outputs"):
        model.compose(*parts, **{name: keras.layers.Conv2D(1, 1)})


# Other encoders.


@pytest.fixture(scope="module")
def lite0():
    """EfficientNet-Lite0 with random weights under the real heads."""
    keras.utils.set_random_seed(4)
    return compose_with(model.build_efficientnet_lite0(CHANNELS))


def compose_with(shared):
    return model.compose(
        shared, detection.build_detection_head(CHANNELS, channels=8), depth.build_depth_head(CHANNELS, channels=(8, 8))
    )


def inputs_of(street):
    return {"image": street.image[None].astype("float32"), "camera": street.camera.vector[None]}


def assert_windows_are_exact(network, street):
    """Windows at edges, in corners and in the middle give what the training network gives on the whole frame."""
    program = model.RoiDepth(network)
    trained = np.asarray(network.predict_on_batch(inputs_of(street))["depth"])[0]
    assert trained.std() > 1e-3  # something depends on the picture
    _, padded = program.detect(street.image, street.camera)
    boxes = np.array([[0, 0, 9, 9], [80, 50, 95, 63], [40, 20, 52, 38]])
    plan = program.plan(boxes, padded.shape[1:3], "roi")
    assert len(plan.windows) > 1
    assert plan.share < 0.6
    for window, decoded in zip(plan.windows * depth.STRIDE, program.decode(padded, plan), strict=True):
        expected = trained[window[0] : window[2], window[1] : window[3]]
        assert np.abs(decoded - expected).max() <= 1e-5 * np.abs(trained).max()


def test_windows_are_exact_with_efficientnet_lite0(lite0):
    assert_windows_are_exact(lite0, streets.draw_street([7, 3], 64, 96))


def test_windows_are_exact_with_a_backbone_of_keras_applications():
    image = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    backbone = keras.applications.MobileNetV2(input_tensor=scaled, alpha=0.35, include_top=False, weights=None)
    names = "block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu", "out_relu"
    network = compose_with(encoder.from_backbone(backbone, names, CHANNELS))
    street = streets.draw_street([7, 3], 64, 96)
    assert_windows_are_exact(network, street)
    prediction = model.RoiDepth(network).predict(street.image, street.camera, threshold=0.02)
    assert len(prediction.objects) > 0
    assert prediction.depth.shape == (64, 96)


def test_efficientnet_lite0_is_saved_and_loaded_without_the_wheel(lite0, tmp_path, monkeypatch):
    lite0.save(tmp_path / "lite0.keras")

    def missing(*_):
        raise ValueError("the wheel was asked for")

    monkeypatch.setattr(pretrained, "imagenet_file", missing)
    loaded = model.RoiDepth.load(tmp_path / "lite0.keras").network
    inputs = inputs_of(streets.draw_street([7, 3], 64, 96))
    before, after = lite0.predict_on_batch(inputs), loaded.predict_on_batch(inputs)
    assert set(before) == set(after)
    for name in before:
        np.testing.assert_allclose(after[name], before[name], atol=1e-6, err_msg=name)


def test_the_encoder_is_chosen_by_name(monkeypatch):
    asked = []

    def trunk(weights=None):
        asked.append(weights)
        return build_trunk()

    build_trunk = pretrained.build_trunk
    monkeypatch.setattr(pretrained, "build_trunk", trunk)
    network = model.build_network(neck_channels=CHANNELS, encoder_name="efficientnet-lite0")
    assert asked == ["imagenet"]
    names = {layer.name for layer in network.get_layer("encoder").layers}
    assert {*pretrained.LEVELS, "neck_stride4_conv"} <= names
    rays = network.get_layer("encoder").get_layer("rays_stride8")
    assert (rays.focal_length, rays.stride) == (model.CANONICAL_FOCAL_LENGTH, 8)
    with pytest.raises(ValueError, match=r"one of residual, lean, efficientnet-lite0, got 'resnet'"):
        model.build_network(encoder_name="resnet")


def test_the_lean_encoder_has_half_of_the_work_and_the_same_heads():
    usual, lean = model.build_network(), model.build_network(encoder_name="lean")
    work = [benchmark.multiply_adds(each.get_layer("encoder"), [(1, 384, 1248, 3), (1, 4)]) for each in (usual, lean)]
    assert 0.49 < work[1] / work[0] < 0.52
    for name in ("detection_head", "depth_head"):
        shapes = [[tuple(w.shape) for w in each.get_layer(name).weights] for each in (usual, lean)]
        assert shapes[0] == shapes[1]
