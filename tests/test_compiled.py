"""Compiled calls give what the models give, for any shape, and after the weights have changed."""

import keras
import numpy as np
import pytest
import tiny

from roidepth_lessons import compiled, depth, roi

HEAD = depth.build_depth_head(feature_channels=5, channels=(6, 4))
FEATURES = np.random.default_rng(0).normal(size=(1, 10 + 2 * depth.HALO, 14 + 2 * depth.HALO, 5)).astype("float32")
WINDOWS = [(0, 0, 10, 14), (0, 0, 1, 1), (9, 13, 10, 14), (2, 3, 7, 12), (4, 0, 9, 2)]


@pytest.mark.parametrize("count", range(8))
def test_windows_are_gathered_and_decoded_in_few_calls(count):
    """None, one, and so many that they need calls of all sizes; each is what the head says of it alone."""
    windows = (2 * WINDOWS)[:count]
    wanted = [HEAD.predict_on_batch(roi.gather_window(FEATURES, window, depth.HALO)) for window in windows]
    decode = compiled.WindowDecoder(HEAD, depth.HALO)
    for features in (FEATURES, keras.ops.convert_to_tensor(FEATURES)):
        decoded = [keras.ops.convert_to_numpy(each) for each in decode(features, np.array(windows))]
        assert len(decoded) == count
        for said, each in zip(decoded, wanted, strict=True):
            assert said.shape == each.shape
            np.testing.assert_allclose(said, each, rtol=0, atol=1e-5)


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


def random_statistics(network, seed=0):
    """Batch normalisations that do something."""
    generator = np.random.default_rng(seed)
    for variable in network.variables:
        if any(part in variable.path for part in ("norm", "variance")):
            variable.assign(generator.uniform(0.5, 2, variable.shape))


def test_folded_it_says_the_same_and_follows_the_weights():
    encoder = tiny.small_network().get_layer("encoder")
    folded = compiled.fold_batch_normalization(encoder)
    norms = sum(isinstance(each, keras.layers.BatchNormalization) for each in encoder.layers)
    assert sum(isinstance(each, compiled.FoldedConvolution) for each in folded.layers) == norms > 10
    assert {id(each) for each in folded.variables} == {id(each) for each in encoder.variables}
    image = np.random.default_rng(0).uniform(0, 255, size=(1, 64, 96, 3)).astype("float32")
    inputs = [image, np.array([[200, 200, 48, 32]], "float32")]
    before = None
    for seed in (1, 2):
        random_statistics(encoder, seed)
        wanted, said = (np.asarray(each.predict_on_batch(inputs)) for each in (encoder, folded))
        np.testing.assert_allclose(said, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
        assert before is None or np.abs(said - before).max() > 0.01 * np.abs(said).max()
        before = said


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("center", "scale"), [(True, True), (False, True), (True, False)])
def test_folding_minds_biases_and_what_a_normalisation_leaves_out(bias, center, scale):
    rows = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=bias, bias_initializer="normal")(rows)
    network = keras.Model(rows, keras.layers.BatchNormalization(center=center, scale=scale, name="norm")(x))
    random_statistics(network)
    folded = compiled.fold_batch_normalization(network)
    assert isinstance(folded.layers[-1], compiled.FoldedConvolution)
    values = np.random.default_rng(3).normal(size=(2, 9, 12, 3)).astype("float32")
    wanted, said = (np.asarray(each.predict_on_batch(values)) for each in (network, folded))
    np.testing.assert_allclose(said, wanted, rtol=0, atol=1e-5)


def test_what_cannot_be_folded_stays():
    """A convolution that something else reads, too; one with an activation; a sum; a layer that is called twice."""
    norm, conv = keras.layers.BatchNormalization, keras.layers.Conv2D
    rows = keras.Input((None, None, 3))
    x = conv(3, 3, padding="same")(rows)
    read_twice = keras.layers.Add()([norm()(x), x])
    activated = norm()(conv(3, 1, activation="relu")(read_twice))
    shared = conv(3, 1)
    network = keras.Model(rows, norm()(activated + rows))
    assert compiled.fold_batch_normalization(network) is network
    twice = keras.Model(rows, norm()(shared(shared(rows))))
    assert compiled.fold_batch_normalization(twice) is twice
    before = conv(2, 1)(rows)
    both = keras.Model(rows, [before, norm()(before)])
    assert compiled.fold_batch_normalization(both) is both
    fixed = keras.Input((6, 6, 3))
    along = {axis: keras.Model(fixed, norm(axis=axis)(conv(2, 1)(fixed))) for axis in (1, 2, 3, -1)}
    kept = [axis for axis, each in along.items() if compiled.fold_batch_normalization(each) is each]
    assert kept == [1, 2]
    inner = keras.Model(rows, norm()(conv(2, 1)(rows)))
    chain = keras.Sequential([keras.Input((None, None, 3)), conv(2, 1), norm()])
    assert compiled.fold_batch_normalization(inner) is not inner
    assert compiled.fold_batch_normalization(chain) is chain


def test_it_runs_in_inference_mode():
    layer = keras.layers.BatchNormalization()
    network = keras.Sequential([keras.Input((3,)), layer])
    rows = np.random.default_rng(1).normal(5, 2, size=(8, 3)).astype("float32")
    said = keras.ops.convert_to_numpy(compiled.Compiled(network)(rows))
    np.testing.assert_allclose(said, rows, rtol=1e-2)  # the mean is still 0 and the variance 1
    assert np.asarray(layer.moving_mean).tolist() == [0, 0, 0]
