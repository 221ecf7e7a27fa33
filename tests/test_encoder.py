"""The encoder's geometry: strides, rays, and that any backbone could take its place."""

import keras
import numpy as np
import pytest
from keras import ops

from roidepth_lessons import SHIPPED_WEIGHTS, camera, encoder, model


def test_output_has_stride_4_at_every_size_that_is_a_multiple_of_32():
    network = encoder.build_encoder(channels=(4, 4, 4, 4, 4), blocks=(1, 1, 1, 1), neck_channels=8)
    for height, width in [(32, 32), (64, 96), (96, 160)]:
        view = camera.Camera.from_focal_length(240.0, height, width).vector[None]
        features = network([np.zeros((1, height, width, 3), "float32"), view])
        assert features.shape == (1, height // 4, width // 4, 8)


@pytest.mark.parametrize("stride", [4, 32])
def test_rays_are_those_of_the_camera(stride):
    view = camera.Camera([[240.0, 0, 50.5, 0], [0, 240.0, 20.25, 0], [0, 0, 1, 0]], 64, 96)
    layer = encoder.CameraRays(240.0, stride)
    rays = ops.convert_to_numpy(layer([np.zeros((1, 64 // stride, 96 // stride, 5), "float32"), view.vector[None]]))[0]
    for row in range(64 // stride):
        for column in range(96 // stride):
            pixel = [column * stride + (stride - 1) / 2, row * stride + (stride - 1) / 2]
            x, y, _ = view.unproject(pixel, 1.0)
            np.testing.assert_allclose(rays[row, column, :2], [x, y], atol=1e-6)
            if y > 0.01:
                # The ray meets a ground one metre below the camera at depth 1 / y.
                assert rays[row, column, 2] == pytest.approx(np.log(1 / y), abs=1e-5)


def test_moving_the_principal_point_moves_the_features_only_by_the_rays():
    network = encoder.build_encoder(channels=(4, 4, 4, 4, 4), blocks=(1, 1, 1, 1), neck_channels=8)
    image = np.full((1, 64, 96, 3), 100, "float32")
    one = network([image, np.array([[240, 240, 47.5, 31.5]], "float32")])
    other = network([image, np.array([[240, 240, 47.5, 25.5]], "float32")])
    assert ops.convert_to_numpy(ops.max(ops.abs(one - other))) > 1e-4


def test_shortcuts_are_strided_1x1_convolutions_in_two_steps():
    """TensorFlow 2.21 crashes in the gradient of the single step when fewer than 16 channels come in."""
    network = encoder.build_encoder(channels=(8, 16, 16, 16, 16), blocks=(1, 1, 1, 1), neck_channels=8)
    layer = network.get_layer("stride4_block1_shortcut_conv")
    pointwise = [each for each in network.layers if getattr(each, "kernel_size", None) == (1, 1)]
    assert all(each.strides == (1, 1) for each in pointwise)
    x = np.random.default_rng(0).normal(size=(1, 16, 32, 8)).astype("float32")
    one_step = ops.conv(x, layer.kernel, strides=2, padding="valid")
    two_steps = layer(network.get_layer("stride4_block1_shortcut_pick")(x))
    np.testing.assert_allclose(ops.convert_to_numpy(two_steps), ops.convert_to_numpy(one_step), atol=1e-5)


def test_without_settings_it_is_that_of_the_shipped_weights():
    shipped = model.RoiDepth.load(SHIPPED_WEIGHTS).encoder
    configs = [{layer.name: layer.get_config() for layer in each.layers} for each in (shipped, encoder.build_encoder())]
    picks = {name for name in configs[1] if name.endswith("_shortcut_pick")}  # once a stride of the next layer
    assert len(picks) == 4
    assert configs[1].keys() - picks == configs[0].keys()
    for name, config in configs[0].items():
        if name.replace("_conv", "_pick") in picks:
            assert config.pop("strides") == (2, 2)
            assert configs[1][name].pop("strides") == (1, 1)
        assert configs[1][name] == config, name


@pytest.mark.parametrize("settings", [{"channels": (8, 8, 8, 8)}, {"blocks": (1, 1, 1)}, {"blocks": (1,) * 5}])
def test_wrong_numbers_of_levels_are_named(settings):
    with pytest.raises(ValueError, match="channels must be five numbers and blocks four"):
        encoder.build_encoder(**settings)


# Other backbones.

MOBILENET_LEVELS = ("block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu", "out_relu")


@pytest.fixture(scope="module")
def mobilenet():
    image = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    return keras.applications.MobileNetV2(input_tensor=scaled, alpha=0.35, include_top=False, weights=None)


def test_a_backbone_of_keras_applications_takes_the_encoders_place(mobilenet):
    own = encoder.build_encoder(channels=(4, 4, 4, 4, 4), blocks=(1, 1, 1, 1), neck_channels=8)
    other = encoder.from_backbone(mobilenet, MOBILENET_LEVELS, neck_channels=8)
    assert other.name == own.name == "encoder"
    assert [tuple(each.shape) for each in other.inputs] == [tuple(each.shape) for each in own.inputs]
    shapes = [(2, 96, 160, 3), (2, 4)]
    assert other.compute_output_shape(shapes) == own.compute_output_shape(shapes) == (2, 24, 40, 8)
    neck = {layer.name for layer in own.layers if "stride" in layer.name and "block" not in layer.name}
    assert len(neck) > 20
    assert neck <= {layer.name for layer in other.layers}


def test_the_layers_stay_the_backbones_own(mobilenet):
    other = encoder.from_backbone(mobilenet, MOBILENET_LEVELS, neck_channels=8)
    assert other.get_layer("Conv1") is mobilenet.get_layer("Conv1")


def test_a_backbone_that_does_not_suit_is_named(mobilenet):
    early = "block_1_expand_relu", *MOBILENET_LEVELS[1:]
    for names, message in [
        (early, "'block_1_expand_relu' of .* doesn't have stride 4"),
        (MOBILENET_LEVELS[::-1], "'out_relu' of .* doesn't have stride 4"),
        (MOBILENET_LEVELS[:3], "must name four layers"),
        (("misspelt", *MOBILENET_LEVELS[1:]), "misspelt"),
    ]:
        with pytest.raises(ValueError, match=message):
            encoder.from_backbone(mobilenet, names)
    fixed, both = keras.Input((64, 64, 3)), [keras.Input((None, None, 3)), keras.Input((None, None, 3))]
    for inputs, output in [(fixed, fixed), (both, both[0])]:
        with pytest.raises(ValueError, match="must take one image of any size"):
            encoder.from_backbone(keras.Model(inputs, keras.layers.Conv2D(4, 3)(output)), MOBILENET_LEVELS)
