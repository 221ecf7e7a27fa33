"""The depth branch: a head that is closed under cropping, log depth, and losses that know what they don't know.

*Pad the features once, then only valid convolutions*: every output pixel is then the same function of the features
around it, wherever the features were cut. Decoding a window and cutting a window out of the decoded frame are the
same sums in the same order.

>>> head = build_depth_head(feature_channels=8)
>>> head.compute_output_shape((1, 5 + 2 * HALO, 7 + 2 * HALO, 8))
(1, 20, 28, 3)
"""

import keras
import numpy as np
from keras import layers, ops

STRIDE = 4
"""Pixels of the output per cell of the features, in each direction."""

HALO = 3
"""Cells of features that a window needs around itself on every side: what the valid convolutions eat."""

NEAREST, FARTHEST = 1.0, 150.0
"""Bounds of the depth in metres, for a camera with the canonical focal length."""


LOG_SCALE_BOUNDS = float(np.log(0.005)), 0.0
"""Bounds of the predicted log scale of a log depth's error: 0.5 % to 100 %."""


@keras.saving.register_keras_serializable("roidepth_lessons")
class DepthToSpace(layers.Layer):
    """Pixel shuffle (Shi et al., CVPR 2016): every 4 channels become 2x2 pixels of one channel."""

    def call(self, inputs):
        return ops.nn.depth_to_space(inputs, 2)

    def compute_output_shape(self, input_shape):
        batch, rows, columns, channels = input_shape
        return batch, rows and 2 * rows, columns and 2 * columns, channels // 4


@keras.saving.register_keras_serializable("roidepth_lessons")
class BoundedLogDepth(layers.Layer):
    """Bends the first channel into ``[log(nearest), log(farthest)]``; leaves the others as they are."""

    def call(self, inputs):
        low, high = float(np.log(NEAREST)), float(np.log(FARTHEST))
        log_depth = low + (high - low) * ops.sigmoid(inputs[..., :1])
        return ops.concatenate([log_depth, inputs[..., 1:]], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape


def build_depth_head(feature_channels=48, channels=(48, 32)):
    """The head as a Keras model called ``depth_head``.

    Args:
        feature_channels: Channels of the features.
        channels: Channels at stride 4 and at stride 2.

    Returns:
        A model from features (batch, rows + 2 * HALO, columns + 2 * HALO, feature_channels), padded or cut out with
        their surroundings, to (batch, 4 * rows, 4 * columns, 3): log depth (metres, canonical camera), log of its own
        scale of error, and a logit that says whether the pixel shows an object.
    """
    features = keras.Input((None, None, feature_channels), name="features")
    x = layers.Conv2D(channels[0], 3, activation="relu", kernel_initializer="he_normal", name="depth_a")(features)
    x = layers.Conv2D(4 * channels[1], 3, activation="relu", kernel_initializer="he_normal", name="depth_b")(x)
    x = DepthToSpace(name="to_stride2")(x)
    x = layers.Conv2D(channels[1], 3, activation="relu", kernel_initializer="he_normal", name="depth_c")(x)
    x = layers.Conv2D(4 * 3, 3, name="depth_d")(x)
    x = DepthToSpace(name="to_stride1")(x)
    return keras.Model(features, BoundedLogDepth(name="bounded")(x), name="depth_head")


def pad_features(features):
    """Features of a whole image, padded once with zeros: (batch, rows, columns, channels) to 2 * HALO more rows and
    columns. From here on the head needs no padding.
    """
    return ops.pad(features, [(0, 0), (HALO, HALO), (HALO, HALO), (0, 0)])


class HeadWork:
    """Counts the head's multiplications for windows of any size.

    Args:
        head: The model of :func:`build_depth_head`, or any that is a chain of valid convolutions and `DepthToSpace`.

    Call with rows and columns of a window in cells (numbers or arrays); returns multiply-accumulate operations.
    """

    def __init__(self, head):
        self.layers = []
        scale, margin = 1, HALO  # a window of n cells has scale * n + 2 * margin rows at this point of the chain
        for layer in head.layers:
            if isinstance(layer, layers.Conv2D):
                margin -= (layer.kernel_size[0] - 1) // 2
                self.layers.append((scale, margin, int(np.prod(layer.kernel.shape))))
            elif isinstance(layer, DepthToSpace):
                scale, margin = 2 * scale, 2 * margin
        if margin != 0:
            raise ValueError(f"head: its convolutions leave a rim of {margin} pixels; the halo must be eaten exactly")

    @classmethod
    def from_layers(cls, counted):
        """The same counter without the head, from the `layers` of another one: what a file can keep."""
        work = cls.__new__(cls)
        work.layers = [tuple(each) for each in counted]
        return work

    def __call__(self, rows, columns):
        return sum(
            operations * (scale * rows + 2 * margin) * (scale * columns + 2 * margin)
            for scale, margin, operations in self.layers
        )


# Targets and losses --------------------------------------------------------------------------------------------------


def encode_targets(depth, instances=None, boxes=(), background_weight=4.0, sparse=False):
    """Depth of one image to the map that the loss compares with.

    Every object counts once, whatever its size, and all the background together `background_weight` times: otherwise
    the road, which is most of the picture, drowns the objects.

    Args:
        depth: (height, width) metres for the canonical camera; 0 or NaN where it is not known.
        instances: (height, width) integers, 0 background, or None where nobody knows.
        boxes: (n, 4) pixels: inside them it matters most to tell object from background.
        background_weight: Weight of all background pixels together.
        sparse: Whether `instances` is known only where the depth is, as with LiDAR points in labelled 3D boxes.

    Returns:
        (height, width, 4) float32: log depth, its weight, object (1) or background (0), its weight.
    """
    depth = np.asarray(depth, dtype=np.float32)
    known = np.isfinite(depth) & (depth > 0)
    target = np.zeros((*depth.shape, 4), np.float32)
    target[..., 0] = np.log(np.clip(np.where(known, depth, 1), NEAREST, FARTHEST))
    owner = np.zeros(depth.shape, np.int64) if instances is None else np.asarray(instances, dtype=np.int64)
    pixels_of = np.bincount(owner[known], minlength=owner.max(initial=0) + 1)
    weight_of = 1 / np.maximum(pixels_of, 1)
    weight_of[0] *= background_weight
    target[..., 1] = np.where(known, weight_of[owner], 0)
    if instances is not None:
        target[..., 2] = owner > 0
        target[..., 3] = 1 / owner.size
        for left, top, right, bottom in np.asarray(boxes, dtype=np.float64).reshape(-1, 4):
            rows = slice(max(0, int(np.floor(top))), max(0, int(np.ceil(bottom)) + 1))
            columns = slice(max(0, int(np.floor(left))), max(0, int(np.ceil(right)) + 1))
            region = target[rows, columns, 3]
            region += 1 / max(1, region.size)
        if sparse:
            target[~known, 3] = 0
    return target


def depth_loss(y_true, y_pred):
    """Absolute error of log depth, the scale of that error, and cross-entropy of the mask; each weighted.

    A pixel without a label gets a safe value first and weight 0 then, so that neither the loss nor its gradient
    ever sees what isn't there: 0 times NaN would be NaN.

    Args:
        y_true: (batch, height, width, 4) from :func:`encode_targets`.
        y_pred: (batch, height, width, 3) from the head.

    Returns:
        (batch,): the mean over the batch is the weighted mean over all its pixels; 0 where nothing is labelled.
    """
    depth_weight, mask_weight = y_true[..., 1], y_true[..., 3]
    true_log_depth = ops.where(depth_weight > 0, y_true[..., 0], y_pred[..., 0])
    error = ops.abs(y_pred[..., 0] - true_log_depth)
    log_scale = ops.clip(y_pred[..., 1], *LOG_SCALE_BOUNDS)
    scale_loss = ops.stop_gradient(error) * ops.exp(-log_scale) + log_scale
    logits = y_pred[..., 2]
    is_object = ops.where(mask_weight > 0, y_true[..., 2], 0.0)
    mask_loss = -is_object * ops.log_sigmoid(logits) - (1 - is_object) * ops.log_sigmoid(-logits)
    return _weighted_mean(error + 0.05 * scale_loss, depth_weight) + 0.2 * _weighted_mean(mask_loss, mask_weight)


def _weighted_mean(values, weights):
    images = ops.cast(ops.shape(values)[0], values.dtype)
    safe_values = ops.where(weights > 0, values, 0.0)
    return ops.sum(weights * safe_values, axis=(1, 2)) * images / ops.maximum(ops.sum(weights), 1e-6)
