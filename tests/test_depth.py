"""The depth head's geometry, its targets and its masked loss."""

import numpy as np
import pytest
import tiny
from keras import ops

from roidepth_lessons import depth


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
    import keras

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
