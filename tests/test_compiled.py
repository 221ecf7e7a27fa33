"""Compiled calls give what the models give, for any shape, and after the weights have changed."""

import keras
import numpy as np
import pytest
import tiny

from roidepth_lessons import compiled, depth, roi

HEAD = depth.build_depth_head(feature_channels=5, channels=(6, 4))
FEATURES = np.random.default_rng(0).normal(size=(1, 10 + 2 * depth.HALO, 14 + 2 * depth.HALO, 5)).astype("float32")
WINDOWS = [(0, 0, 10, 14), (0, 0, 1, 1), (9, 13, 10, 14), (2, 3, 7, 12), (4, 0, 9, 2)]


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_is_gathered_and_decoded_in_one_call(window):
    decode = compiled.WindowDecoder(HEAD, depth.HALO)
    wanted = HEAD.predict_on_batch(roi.gather_window(FEATURES, window, depth.HALO))
    for features in (FEATURES, keras.ops.convert_to_tensor(FEATURES)):
        decoded = keras.ops.convert_to_numpy(decode(features, np.array(window)))
        assert decoded.shape == wanted.shape
        np.testing.assert_allclose(decoded, wanted, rtol=0, atol=1e-5)


def test_a_compiled_model_follows_its_weights_and_takes_any_size():
    network = tiny.small_network()
    run = compiled.Compiled(network)
    for height, width in ((64, 128), (96, 64), (32, 32)):
        inputs = {"image": np.full((1, height, width, 3), 90, "float32"), "camera": np.array([[200.0, 200, 60, 30]])}
        inputs["camera"] = inputs["camera"].astype("float32")
        for _ in range(2):
            said, wanted = run(inputs), network.predict_on_batch(inputs)
            assert set(said) == set(wanted)
            for name in wanted:
                values = keras.ops.convert_to_numpy(said[name])
                np.testing.assert_allclose(values, wanted[name], rtol=1e-4, atol=1e-4)
            kernel = network.get_layer("depth_head").get_layer("depth_d").kernel
            kernel.assign(kernel * 1.5)


def test_it_runs_in_inference_mode():
    layer = keras.layers.BatchNormalization()
    network = keras.Sequential([keras.Input((3,)), layer])
    rows = np.random.default_rng(1).normal(5, 2, size=(8, 3)).astype("float32")
    said = keras.ops.convert_to_numpy(compiled.Compiled(network)(rows))
    np.testing.assert_allclose(said, rows, rtol=1e-2)  # the mean is still 0 and the variance 1
    assert np.asarray(layer.moving_mean).tolist() == [0, 0, 0]
