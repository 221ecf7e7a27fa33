"""ROI Depth on the clock beside what one would take otherwise, on the same photos, in one run. Speed only.

Two networks: a detector and a dense depth network, each with an encoder of its own, of the same kind as here. And a
dense depth network of the size of Depth Anything (small), which is many people's first choice: built here without its
weights, since only its time is asked for; it finds no objects, so a detector would have to stand beside it. And ROI
depth itself with the lean encoder, untrained as well.
"""

from functools import partial

import keras
import numpy as np
from keras import layers, ops

from . import depth, model
from .benchmark import check_size, interleave, seconds_of
from .compiled import Compiled, fold_batch_normalization

PATCH = 14
"""Pixels of a vision transformer's patch, in each direction."""


def build_dense_depth(shared_encoder, depth_head):
    """A network for depth alone: (batch, height, width, 3) and (batch, 4) to the full map of `depth_head`."""
    image, camera = keras.Input((None, None, 3)), keras.Input((4,))
    padded = layers.ZeroPadding2D(depth.HALO)(shared_encoder([image, camera]))
    return keras.Model([image, camera], depth_head(padded), name="dense_depth")


def build_vision_transformer_depth(
    height, width, channels=384, heads=6, blocks=12, levels=(48, 96, 192, 384), fused=64
):
    """A dense depth network with the sizes of Depth Anything (small): a vision transformer (ViT-S/14, Oquab et al.,
    DINOv2, 2023) under the head of DPT (Ranftl et al., ICCV 2021). Its weights are random.

    Args:
        height, width: Of the photo in pixels, multiples of `PATCH`.
        channels, heads, blocks: Of the transformer.
        levels: Channels of the four levels that the head makes of the tokens.
        fused: Channels at which the head joins them.

    Returns:
        A Keras model from (batch, height, width, 3) to (batch, height, width, 1).

    Raises:
        ValueError: if a size is no multiple of `PATCH`, or `blocks` none of 4.
    """
    if height % PATCH or width % PATCH or blocks % 4:
        raise ValueError(f"height, width: multiples of {PATCH}, blocks: of 4; got {height}x{width} and {blocks}")
    image = keras.Input((height, width, 3), name="image")
    rows, columns = height // PATCH, width // PATCH
    x = layers.Conv2D(channels, PATCH, strides=PATCH, name="patches")(image)
    x = AddPositions(name="positions")(layers.Reshape((rows * columns, channels))(x))
    tokens = []
    for number in range(1, blocks + 1):
        x = _transformer_block(x, channels, heads, name=f"block{number}")
        if number % (blocks // 4) == 0:
            tokens.append(layers.Reshape((rows, columns, channels))(x))
    return keras.Model(image, _fuse(tokens, levels, fused, height, width), name="vision_transformer_depth")


class AddPositions(layers.Layer):
    """A learnt vector for every place, added to the token there."""

    def build(self, input_shape):
        self.positions = self.add_weight(shape=input_shape[1:], name="positions")

    def call(self, tokens):
        return tokens + self.positions


def _transformer_block(x, channels, heads, name):
    normal = layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm1")(x)
    x = layers.Add()([x, layers.MultiHeadAttention(heads, channels // heads, name=f"{name}_attention")(normal, normal)])
    hidden = layers.Dense(4 * channels, activation="gelu", name=f"{name}_mlp1")(
        layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm2")(x)
    )
    return layers.Add()([x, layers.Dense(channels, name=f"{name}_mlp2")(hidden)])


def _fuse(tokens, levels, channels, height, width):
    """DPT's head: tokens of four depths become maps at 4, 2, 1 and 1/2 times their size, joined from the coarsest."""
    resize = (
        layers.Conv2DTranspose(levels[0], 4, strides=4),
        layers.Conv2DTranspose(levels[1], 2, strides=2),
        layers.Identity(),
        layers.Conv2D(levels[3], 3, strides=2, padding="same"),
    )
    maps = [grow(layers.Conv2D(size, 1)(each)) for each, size, grow in zip(tokens, levels, resize, strict=True)]
    maps = [layers.Conv2D(channels, 3, padding="same", use_bias=False)(each) for each in maps]
    x = None
    for number in reversed(range(4)):
        joined = maps[number] if x is None else layers.Add()([x, _residual_unit(maps[number], channels)])
        target = maps[number - 1].shape[1:3] if number else [2 * size for size in maps[0].shape[1:3]]
        x = layers.Resizing(*target, interpolation="bilinear")(_residual_unit(joined, channels))
        x = layers.Conv2D(channels, 1)(x)
    x = layers.Conv2D(channels // 2, 3, padding="same")(x)
    x = layers.Resizing(height, width, interpolation="bilinear")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    return layers.Conv2D(1, 1, activation="relu")(x)


def _residual_unit(x, channels):
    y = layers.Conv2D(channels, 3, padding="same")(layers.ReLU()(x))
    return layers.Add()([x, layers.Conv2D(channels, 3, padding="same")(layers.ReLU()(y))])


def benchmark_alternatives(program, cases, rounds=7, seed=0):
    """Times a whole photo, one at a time, five ways, in an order that changes every round; the first round warms up.

    Args:
        program: A `model.RoiDepth`.
        cases: (photo, `Camera`, boxes (n, 4) in pixels) each, all photos of one size, a multiple of 32.
        rounds: How often each is timed.
        seed: Of the order.

    Returns:
        A dictionary: ``height``, ``width``; ``photos``; ``ms``, by way the median: ``roi`` (objects, and depth in
        windows around the boxes), ``full`` (the same with the full map), ``lean`` (as ``roi``, with the lean encoder),
        ``two_networks`` (detector, then a dense depth network with its own encoder) and ``vision_transformer`` (dense
        depth alone); ``times_roi``, how many times as long as ``roi`` the others take: the median of paired ratios,
        with 5 to 95 % (``times_roi_range``).

    Raises:
        ValueError: if the photos' sides are no multiples of 32, or there is no case.
    """
    if not cases:
        raise ValueError("cases: there is none")
    height, width = cases[0][0].shape[:2]
    check_size(height, width)
    ways = _ways(program, height, width)
    times = interleave({name: partial(seconds_of, way) for name, way in ways.items()}, cases, rounds, seed)
    ratios = {name: each / times["roi"] for name, each in times.items() if name != "roi"}
    return {
        "height": height,
        "width": width,
        "photos": len(cases),
        "rounds": rounds,
        "ms": {name: 1000 * float(np.median(each)) for name, each in times.items()},
        "times_roi": {name: float(np.median(each)) for name, each in ratios.items()},
        "times_roi_range": {
            name: [float(end) for end in np.quantile(each, [0.05, 0.95])] for name, each in ratios.items()
        },
    }


def _ways(program, height, width):
    other = fold_batch_normalization(keras.models.clone_model(program.encoder))
    dense = Compiled(build_dense_depth(other, program.depth_head))
    size = [PATCH * max(1, round(side / PATCH)) for side in (height, width)]
    transformer = Compiled(build_vision_transformer_depth(*size))
    lean = model.RoiDepth(model.build_network(encoder_name="lean"))

    def decode(photo, camera, boxes, mode, program=program):
        _, features = program.find(photo, camera)
        program.decode(features, program.plan(boxes, features.shape[1:3], mode))

    def two_networks(photo, camera, boxes):
        program.find(photo, camera)
        ops.convert_to_numpy(dense([photo[None].astype("float32"), camera.vector[None]]))

    def vision_transformer(photo, camera, boxes):
        resized = ops.image.resize(photo[None].astype("float32"), size)
        ops.convert_to_numpy(transformer(resized))

    return {
        "roi": lambda *case: decode(*case, "roi"),
        "full": lambda *case: decode(*case, "full"),
        "lean": lambda *case: decode(*case, "roi", lean),
        "two_networks": two_networks,
        "vision_transformer": vision_transformer,
    }


def table(figures):
    """What :func:`benchmark_alternatives` gives as lines of text."""
    lines = [
        f"{figures['height']}x{figures['width']}, {figures['photos']} photos, medians; ratios with 5 to 95 % range"
    ]
    for name, milliseconds in figures["ms"].items():
        ratio = ""
        if name in figures["times_roi"]:
            low, high = figures["times_roi_range"][name]
            ratio = f"{figures['times_roi'][name]:8.2f} ({low:.2f} to {high:.2f}) times roi"
        lines.append(f"{name:<20}{milliseconds:>9.1f} ms{ratio}")
    return "\n".join(lines)
