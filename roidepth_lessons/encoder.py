"""The shared encoder and its neck: what both branches of the network look at.

The encoder halves the picture five times; the neck brings what the coarse levels saw back to stride 4. Everything
is convolutional, so any image size that is a multiple of 32 will do, and any backbone that gives the same strides
can take the encoder's place (:func:`from_backbone`).

>>> encoder = build_encoder(channels=(8, 8, 8, 8, 8), neck_channels=16)
>>> encoder.compute_output_shape([(1, 64, 96, 3), (1, 4)])
(1, 16, 24, 16)
"""

import keras
from keras import layers, ops

STRIDE = 4
"""Pixels of the image per cell of the neck's output, in each direction."""

SIZE_MULTIPLE = 32
"""Height and width of an image must be multiples of this: the encoder's coarsest stride."""

LEAN_CHANNELS, LEAN_BLOCKS = (16, 24, 48, 96, 128), (1, 2, 2, 2)
"""For :func:`build_encoder`: about half of the work, since there is less of the encoder where there are most cells."""


@keras.saving.register_keras_serializable("roidepth_lessons")
class CameraRays(layers.Layer):
    """Says of every cell in which direction it looks, for a camera with the canonical focal length.

    A convolution does not know where in the image it is, yet on a road that is half the answer: a point on the
    ground at v pixels below the horizon is ``camera height * focal length / v`` away. The idea is that of CAM-Convs
    (Facil et al., CVPR 2019); to pretend that every photo comes from one canonical camera is Metric3D's (Yin et al.,
    ICCV 2023).

    Args:
        focal_length: The canonical focal length in pixels.
        stride: Pixels of the image per cell of the features.
        photo_focal_length: To how many pixels of focal length a photo is scaled before the network sees it. It doesn't
            change what this layer computes: it is kept here so that it is stored with the weights. None: the canonical.

    Call with ``[features, camera]``: (batch, rows, columns, channels), and (batch, 4) focal x, focal y, center u,
    center v in pixels of the image; `stride` pixels make a cell. Returns (batch, rows, columns, 3): x / z and y / z of
    the ray, and the log depth at which it meets a ground one metre below the camera (bounded above the horizon).
    """

    def __init__(self, focal_length, stride, photo_focal_length=None, **options):
        super().__init__(**options)
        self.focal_length = focal_length
        self.stride = stride
        self.photo_focal_length = photo_focal_length

    def call(self, inputs):
        features, camera = inputs
        rows, columns = ops.shape(features)[1:3]
        to_pixel = self.stride, (self.stride - 1) / 2
        v = ops.cast(ops.arange(rows), "float32") * to_pixel[0] + to_pixel[1]
        u = ops.cast(ops.arange(columns), "float32") * to_pixel[0] + to_pixel[1]
        x = (u[None, None, :] - camera[:, 2, None, None]) / self.focal_length
        y = (v[None, :, None] - camera[:, 3, None, None]) / self.focal_length
        ground = -ops.log(ops.maximum(y, 0.01))
        blank = ops.zeros_like(x + y)
        return ops.cast(ops.stack([x + blank, y + blank, ground + blank], axis=-1), features.dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:3], 3)

    def get_config(self):
        own = {name: getattr(self, name) for name in ("focal_length", "stride", "photo_focal_length")}
        return {**super().get_config(), **own}


def build_encoder(channels=(24, 48, 64, 96, 128), blocks=(2, 2, 2, 2), neck_channels=48, canonical_focal_length=240.0):
    """The encoder and its neck as one Keras model.

    Args:
        channels: Channels at strides 2, 4, 8, 16 and 32.
        blocks: Residual blocks at strides 4, 8, 16 and 32.
        neck_channels: Channels of the features that both heads read.
        canonical_focal_length: Focal length in pixels of the camera that the network takes every photo to come from.

    Returns:
        A model called ``encoder`` that takes ``[image, camera]``: (batch, height, width, 3) with values 0 to 255,
        and (batch, 4) focal x, focal y, center u, center v in pixels; and gives (batch, height / 4, width / 4,
        neck_channels).

    Raises:
        ValueError: if there are not as many channels or blocks as described.
    """
    if len(channels) != 5 or len(blocks) != 4:
        raise ValueError(f"channels must be five numbers and blocks four, got {channels} and {blocks}")
    image = keras.Input((None, None, 3), name="image")
    camera = keras.Input((4,), name="camera")
    x = layers.Rescaling(1 / 64, offset=-2.0, name="rescale")(image)
    x = _convolution(x, channels[0], stride=2, name="stem")
    levels = []
    for stride, width, count in zip((4, 8, 16, 32), channels[1:], blocks, strict=True):
        for block in range(count):
            x = _residual_block(x, width, stride=2 if block == 0 else 1, name=f"stride{stride}_block{block + 1}")
        levels.append(x)
    features = _neck(levels, camera, neck_channels, canonical_focal_length)
    return keras.Model([image, camera], features, name="encoder")


def from_backbone(backbone, level_names, neck_channels=48, canonical_focal_length=240.0):
    """An encoder of any backbone, for instance one of ``keras.applications``, with the neck of the course.

    The layers stay the backbone's own: what is frozen or loaded there is frozen or loaded here. A backbone that wants
    other values than 0 to 255 is built on a layer that makes them::

        image = keras.Input((None, None, 3))
        scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
        backbone = keras.applications.MobileNetV2(input_tensor=scaled, include_top=False, weights=None)
        names = "block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu", "out_relu"
        encoder = from_backbone(backbone, names)

    Args:
        backbone: A functional Keras model with one input (batch, height, width, 3) of any size, values 0 to 255.
        level_names: Names of its layers whose outputs are taken at strides 4, 8, 16 and 32.
        neck_channels: Channels of the features that both heads read.
        canonical_focal_length: Focal length in pixels of the camera that the network takes every photo to come from.

    Returns:
        A model like that of :func:`build_encoder`.

    Raises:
        ValueError: if the backbone takes something else, has no such layers, or these have other strides.
    """
    shapes = [tuple(each.shape) for each in backbone.inputs]
    if shapes != [(None, None, None, 3)]:
        raise ValueError(f"backbone {backbone.name!r} must take one image of any size (None, None, 3), not {shapes}")
    if len(level_names) != 4:
        raise ValueError(f"level_names must name four layers, of strides 4, 8, 16 and 32, got {level_names}")
    levels = [backbone.get_layer(name).output for name in level_names]
    _check_strides(backbone, level_names, levels)
    camera = keras.Input((4,), name="camera")
    features = _neck(levels, camera, neck_channels, canonical_focal_length)
    return keras.Model([backbone.inputs[0], camera], features, name="encoder")


def _check_strides(backbone, level_names, levels):
    # Two sizes that are twice a prime: a layer that ends too early or too late can't hit the right cells by chance.
    cells = [6, 10]
    sizes = keras.Model(backbone.inputs, levels).compute_output_shape((1, *(SIZE_MULTIPLE * each for each in cells), 3))
    for name, size, stride in zip(level_names, sizes, (4, 8, 16, 32), strict=True):
        if list(size[1:3]) != [each * SIZE_MULTIPLE // stride for each in cells]:
            raise ValueError(f"layer {name!r} of {backbone.name!r} doesn't have stride {stride}; name another one")


def _neck(levels, camera, channels, focal_length):
    """Top-down: each level is told where it looks, and is joined by what the coarser one saw."""
    merged = None
    for index in reversed(range(len(levels))):
        stride = STRIDE * 2**index
        rays = CameraRays(focal_length, stride, name=f"rays_stride{stride}")([levels[index], camera])
        x = layers.Concatenate(name=f"with_rays_stride{stride}")([levels[index], rays])
        x = layers.Conv2D(channels, 1, name=f"lateral_stride{stride}")(x)
        if merged is not None:
            up = layers.UpSampling2D(name=f"up_stride{stride}")(merged)
            x = layers.Add(name=f"merge_stride{stride}")([x, up])
        merged = _convolution(x, channels, name=f"neck_stride{stride}")
    return merged


def _convolution(x, channels, stride=1, name=None, activation="relu"):
    x = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def _residual_block(x, channels, stride, name):
    """Two convolutions around a shortcut (He et al., CVPR 2016)."""
    shortcut = x
    if stride > 1 or x.shape[-1] != channels:
        # Pick, then convolve: a strided 1x1 convolution of fewer than 16 channels crashes TensorFlow 2.21 in training.
        shortcut = layers.MaxPooling2D(1, strides=stride, name=f"{name}_shortcut_pick")(x) if stride > 1 else x
        shortcut = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_shortcut_conv")(shortcut)
        shortcut = layers.BatchNormalization(momentum=0.9, name=f"{name}_shortcut_norm")(shortcut)
    x = _convolution(x, channels, stride, name=f"{name}_a")
    x = _convolution(x, channels, name=f"{name}_b", activation=None)
    return layers.Activation("relu", name=f"{name}_relu")(layers.Add(name=f"{name}_add")([shortcut, x]))
