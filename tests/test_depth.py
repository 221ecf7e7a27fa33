"""The depth head's geometry, its targets and its masked loss."""

import keras
import numpy as np
import pytest
import tiny
from keras import ops

from roidepth_lessons import SHIPPED_WEIGHTS, depth, model


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (8, 4)])
def test_head_eats_exactly_the_halo(rows, columns):
    head = depth.build_depth_head(feature_channels=4, channels=(4, 4))
    size = rows + 2 * depth.HALO, columns + 2 * depth.HALO
    assert head(np.zeros((2, *size, 4), "float32")).shape == (2, 4 * rows, 4 * columns, 3)


def test_work_equals_the_multiplications_of_every_layer():
    head = depth.build_depth_head(feature_channels=5, channels=(6, 7))
    work = depth.HeadWork(head)
    for rows, columns in [(1, 1), (3, 9), (32, 104)]:
        shape, counted = (1, rows + 2 * depth.HALO, columns + 2 * depth.HALO, 5), 0
        for layer in head.layers[1:]:
            shape = layer.compute_output_shape(shape)
            if hasattr(layer, "kernel"):
                counted += shape[1] * shape[2] * int(np.prod(layer.kernel.shape))
        assert work(rows, columns) == counted


def test_work_refuses_a_head_that_leaves_a_rim():
    head = keras.Sequential([keras.Input((None, None, 4)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match="halo"):
        depth.HeadWork(head)


def test_log_depth_is_bounded():
    raw = np.array([-1e4, 0, 1e4], "float32").reshape(1, 1, 3, 1) * np.ones(3, "float32")
    log_depth = ops.convert_to_numpy(depth.BoundedLogDepth()(raw))[0, 0, :, 0]
    expected = [depth.NEAREST, np.sqrt(depth.NEAREST * depth.FARTHEST), depth.FARTHEST]
    np.testing.assert_allclose(np.exp(log_depth), expected, rtol=1e-5)


def _scene():
    generator = np.random.default_rng(0)
    metres = generator.uniform(2, 60, size=(16, 24))
    instances = np.zeros((16, 24), int)
    instances[2:4, 3:6] = 1
    instances[8:16, 10:22] = 2
    return metres, instances


def test_each_object_weighs_the_same_whatever_its_size():
    metres, instances = _scene()
    metres[2, 3] = 0
    metres[9, 10:20] = np.nan
    weight = depth.encode_targets(metres, instances)[..., 1]
    assert weight[2, 3] == 0
    assert (weight[9, 10:20] == 0).all()
    for number, expected in [(1, 1), (2, 1), (0, 4)]:
        assert weight[instances == number].sum() == pytest.approx(expected, rel=1e-5)


def test_targets_without_instances_and_without_depth():
    metres, _ = _scene()
    target = depth.encode_targets(metres)
    assert target[..., 1].sum() == pytest.approx(4, rel=1e-5)
    assert (target[..., 2:] == 0).all()
    assert (depth.encode_targets(np.zeros((4, 4)))[..., 1] == 0).all()


def test_loss_against_a_loop():
    metres, instances = _scene()
    metres[0] = 0
    target = depth.encode_targets(metres, instances, boxes=[[3, 2, 5, 3]])
    guess = np.random.default_rng(1).normal(-1, 0.5, size=(16, 24, 3)).astype("float32")
    sums, weights = np.zeros(2), np.zeros(2)
    for pixel in np.ndindex(16, 24):
        log_depth, depth_weight, is_object, mask_weight = target[pixel].astype(float)
        if depth_weight:
            error = abs(guess[pixel][0] - np.log(metres[pixel]))
            scale = np.clip(guess[pixel][1], np.log(0.005), 0)
            sums[0] += depth_weight * (error + 0.05 * (error * np.exp(-scale) + scale))
        p = 1 / (1 + np.exp(-float(guess[pixel][2])))
        sums[1] -= mask_weight * np.log(p if is_object else 1 - p)
        weights += depth_weight, mask_weight
    expected = sums[0] / weights[0] + 0.2 * sums[1] / weights[1]
    loss = depth.depth_loss(ops.convert_to_tensor(target[None]), ops.convert_to_tensor(guess[None]))
    assert float(loss[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("missing", [0.0, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("unknown", [0.0, np.nan])
def test_loss_and_gradient_are_finite_and_right_with_missing_labels(missing, unknown):
    metres, instances = _scene()
    hidden = np.random.default_rng(2).permutation(metres.size).reshape(metres.shape) < round(missing * metres.size)
    metres[hidden] = unknown
    target = ops.convert_to_tensor(depth.encode_targets(metres, instances)[None])
    guess = np.random.default_rng(3).normal(1, 1, size=(1, 16, 24, 3)).astype("float32")
    loss, gradient = tiny.value_and_gradient(lambda values: ops.mean(depth.depth_loss(target, values)), guess)
    gradient = gradient[0]
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()
    assert (gradient[hidden, :2] == 0).all()
    assert (gradient[~hidden, 0] != 0).all()


def test_a_batch_weighs_pixels_not_images():
    metres, instances = _scene()
    targets = np.stack([depth.encode_targets(metres, instances), depth.encode_targets(np.zeros((16, 24)))])
    guess = np.zeros((2, 16, 24, 3), "float32")
    both = ops.convert_to_numpy(depth.depth_loss(ops.convert_to_tensor(targets), ops.convert_to_tensor(guess)))
    alone = ops.convert_to_numpy(depth.depth_loss(ops.convert_to_tensor(targets[:1]), ops.convert_to_tensor(guess[:1])))
    assert both.mean() == pytest.approx(alone.mean(), rel=1e-5)


def test_targets_against_a_loop():
    """Unknown, too near and too far depths; boxes inside, across two rims, and outside."""
    metres, instances = _scene()
    metres[0, :3], metres[12, 12], metres[5, 5], metres[6, 6] = [0, np.nan, -2], np.inf, 0.2, 900
    boxes = [[3, 2, 5, 3], [9.4, 7.6, 20.2, 14.1], [-5.5, -3, 2.5, 1], [21, 13, 60, 40], [30, 2, 40, 5], [-9, 2, -3, 5]]
    known = np.isfinite(metres) & (metres > 0)
    in_box = [
        [
            (row, column)
            for row, column in np.ndindex(16, 24)
            if np.floor(top) <= row <= np.ceil(bottom) and np.floor(left) <= column <= np.ceil(right)
        ]
        for left, top, right, bottom in boxes
    ]
    assert [len(pixels) for pixels in in_box] == [6, 9 * 13, 2 * 4, 3 * 3, 0, 0]
    for sparse in (False, True):
        target = depth.encode_targets(metres, instances, boxes, background_weight=2.5, sparse=sparse)
        for pixel in np.ndindex(16, 24):
            log_depth, depth_weight, is_object, mask_weight = target[pixel].tolist()
            assert is_object == (instances[pixel] > 0)
            if known[pixel]:
                assert log_depth == pytest.approx(np.log(min(max(metres[pixel], 1.0), 150.0)), abs=1e-6)
                alike = (known & (instances == instances[pixel])).sum()
                assert depth_weight == pytest.approx((1 if instances[pixel] else 2.5) / alike)
            else:
                assert depth_weight == 0
                assert np.isfinite(log_depth)
            wanted = 1 / (16 * 24) + sum(1 / len(pixels) for pixels in in_box if pixel in pixels)
            assert mask_weight == pytest.approx(0 if sparse and not known[pixel] else wanted, rel=1e-5)
    usual = depth.encode_targets(metres, instances, boxes)
    np.testing.assert_array_equal(usual, depth.encode_targets(metres, instances, boxes, 4.0, sparse=False))


def test_features_are_padded_by_the_halo_with_zeros():
    features = np.random.default_rng(6).normal(size=(2, 3, 5, 4)).astype("float32")
    padded = ops.convert_to_numpy(depth.pad_features(features))
    expected = np.zeros((2, 3 + 2 * 3, 5 + 2 * 3, 4), "float32")
    expected[:, 3:6, 3:8] = features
    np.testing.assert_array_equal(padded, expected)


def test_channels_are_those_at_stride_four_and_at_stride_two():
    head = depth.build_depth_head(feature_channels=5, channels=(6, 7))
    names = ["depth_a", "to_stride2", "depth_c", "to_stride1"]
    assert [head.get_layer(name).output.shape[-1] for name in names] == [6, 7, 7, 3]
    assert head.input_shape == (None, None, None, 5)


def test_without_settings_the_head_is_that_of_the_shipped_weights():
    shipped = model.RoiDepth.load(SHIPPED_WEIGHTS).network.get_layer("depth_head")
    usual = depth.build_depth_head()
    assert [each.shape for each in usual.get_weights()] == [each.shape for each in shipped.get_weights()]


def test_pixels_of_the_output_per_cell():
    head = depth.build_depth_head(feature_channels=4, channels=(4, 4))
    assert head(np.zeros((1, 7, 7, 4), "float32")).shape[1] == depth.STRIDE


def test_what_a_file_keeps_of_the_work_counts_the_same():
    work = depth.HeadWork(depth.build_depth_head(feature_channels=5, channels=(6, 7)))
    again = depth.HeadWork.from_layers([[int(number) for number in each] for each in work.layers])
    rows, columns = np.array([1, 3, 32]), np.array([1, 9, 104])
    assert (again(rows, columns) == work(rows, columns)).all()
    assert again(3, 9) == work(3, 9)


def test_what_is_not_labelled_may_hold_anything():
    metres, instances = _scene()
    metres[3:9] = 0
    target = depth.encode_targets(metres, instances, sparse=True)[None]
    spoilt = target.copy()
    spoilt[0, 3:9, :, 0] = spoilt[0, 3:9, :, 2] = np.nan
    guess = np.random.default_rng(3).normal(1, 1, size=(1, 16, 24, 3)).astype("float32")
    results = [
        tiny.value_and_gradient(lambda values, each=each: ops.mean(depth.depth_loss(each, values)), guess)
        for each in map(ops.convert_to_tensor, (target, spoilt))
    ]
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert (results[1][1][0, 3:9] == 0).all()
