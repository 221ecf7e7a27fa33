"""The two toy problems of the first lessons: two outputs of one input, and two heads on a shared layer.

Both come from programs for TensorFlow 1. There a sample was a column; in Keras it is a row: (samples, features).
What is drawn at random is drawn by NumPy from a seed, so that every backend, and a TensorFlow 1 graph too, starts
from the same numbers.

>>> x, targets = two_planes(seed=1)
>>> x.shape, targets["y1"].shape, targets["y2"].shape
((100, 2), (100, 1), (100, 1))
>>> closed_form(x, targets["y2"]).round(4).tolist()  # two weights and a bias
[0.5, 0.9, 3.0]
"""

import keras
import numpy as np
from keras import layers, ops

OUTPUTS = ("y1", "y2")
"""Names of the outputs of both networks, and of the layers that give them."""

PLANES = {"y1": (0.1, 0.2, 0.3), "y2": (0.5, 0.9, 3.0)}
"""The six numbers of the first problem: y = first * x1 + second * x2 + third."""

INPUTS, SHARED, HEAD = 10, 20, 20
"""Sizes of the second problem: features of x, units of the shared layer, units of each head."""


# Two outputs of one input --------------------------------------------------------------------------------------------


def two_planes(seed=0, count=100, low=-1.0, high=1.0):
    """Points of two planes, without noise.

    Args:
        seed: Of the points.
        count: How many.
        low, high: Range of both features. Around 0 gradient descent with rate 0.5 is there within 100 steps; from 0
            to 1, where features and bias pull in the same direction, it takes many times as long.

    Returns:
        x (count, 2) and targets ``y1``, ``y2`` (count, 1), float32.
    """
    x = np.random.default_rng(seed).uniform(low, high, size=(count, 2)).astype(np.float32)
    targets = {name: x @ np.float32([[a], [b]]) + np.float32(c) for name, (a, b, c) in PLANES.items()}
    return x, targets


def two_outputs_start(seed=0):
    """Kernels between -1 and 1, biases 0: ``{layer: [kernel (2, 1), bias (1,)]}``."""
    generator = np.random.default_rng(seed)
    return {name: [generator.uniform(-1, 1, (2, 1)).astype(np.float32), np.zeros(1, np.float32)] for name in OUTPUTS}


def build_two_outputs(start=None):
    """Two linear outputs that share nothing but their input: (batch, 2) to ``y1`` and ``y2``, (batch, 1) each.

    Args:
        start: What :func:`two_outputs_start` returns; default: that of seed 0.
    """
    x = keras.Input((2,), name="x")
    network = keras.Model(x, {name: layers.Dense(1, name=name)(x) for name in OUTPUTS}, name="two_outputs")
    return _set_weights(network, start or two_outputs_start())


def six_numbers(network):
    """What :func:`build_two_outputs`' network has learnt, as in `PLANES`: a row of two weights and a bias per output,
    (2, 3).
    """
    weights = [network.get_layer(name).get_weights() for name in OUTPUTS]
    return np.array([[*kernel.ravel(), *bias] for kernel, bias in weights])


def closed_form(x, y):
    """The least-squares answer without any training: two weights and a bias, (3,), float64.

    Args:
        x: (count, 2).
        y: (count, 1).
    """
    columns = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    return np.linalg.lstsq(columns, np.asarray(y, dtype=np.float64).ravel(), rcond=None)[0]


# Two heads on a shared layer -----------------------------------------------------------------------------------------


def random_batch(generator, count=10):
    """Targets that have nothing to do with x: whatever is learnt about them is learnt by heart.

    Args:
        generator: `numpy.random.Generator`; draw again for another batch.
        count: Samples.

    Returns:
        x (count, 10) and targets ``y1``, ``y2`` (count, 20), all between 0 and 1, float32.
    """
    x = generator.random((count, INPUTS), dtype=np.float32)
    return x, {name: generator.random((count, HEAD), dtype=np.float32) for name in OUTPUTS}


def learnable_batch(generator, count=10, teacher_seed=1000):
    """Targets that a network of the same shape computed from x: there is a rule to be found.

    Args:
        generator, count: As for :func:`random_batch`.
        teacher_seed: Of the rule. Batches of one rule share it.

    Returns:
        As :func:`random_batch`; the targets are 0 or greater.
    """
    draw = np.random.default_rng(teacher_seed)
    shared = draw.uniform(-0.8, 0.8, (INPUTS, SHARED))
    heads = {name: draw.uniform(0, 0.2, (SHARED, HEAD)) for name in OUTPUTS}
    x = generator.random((count, INPUTS), dtype=np.float32)
    seen = np.maximum(x @ shared, 0)
    return x, {name: (seen @ kernel).astype(np.float32) for name, kernel in heads.items()}


def opposed_batch(generator, count=10):
    """Tasks that pull the shared layer apart: at the start ``y1`` is too small almost everywhere, ``y2`` too large.

    As :func:`random_batch`, with ``y1`` between 0.5 and 1 and ``y2`` between 0 and 0.5.
    """
    x, targets = random_batch(generator, count)
    return x, {"y1": (1 + targets["y1"]) / 2, "y2": targets["y2"] / 2}


def loss_of_the_mean(targets, count=10):
    """What to beat: :func:`l2_loss` of guessing every unit's mean, whatever x is.

    Args:
        targets: Of many samples.
        count: Samples per batch, which the loss grows with.

    Returns:
        ``{output: loss}`` of a batch of `count` samples, on average.
    """
    return {name: float(count * np.var(y, axis=0).sum() / 2) for name, y in targets.items()}


def shared_layer_start(seed=0):
    """Kernels between 0 and 2 / inputs, so that every unit starts as a weighted mean and none is dead."""
    generator = np.random.default_rng(seed)
    shapes = {"shared": (INPUTS, SHARED), "y1": (SHARED, HEAD), "y2": (SHARED, HEAD)}
    return {name: [generator.uniform(0, 2 / size[0], size).astype(np.float32)] for name, size in shapes.items()}


def build_shared_layer(start=None):
    """A shared layer under two heads: (batch, 10) to 20 shared units to ``y1`` and ``y2``, (batch, 20) each.

    ReLU everywhere and no biases, as in the TensorFlow 1 program.

    Args:
        start: What :func:`shared_layer_start` returns; default: that of seed 0.
    """
    x = keras.Input((INPUTS,), name="x")
    shared = layers.Dense(SHARED, activation="relu", use_bias=False, name="shared")(x)
    heads = {name: layers.Dense(HEAD, activation="relu", use_bias=False, name=name)(shared) for name in OUTPUTS}
    return _set_weights(keras.Model(x, heads, name="shared_layer"), start or shared_layer_start())


def l2_loss(y_true, y_pred):
    """Half the summed squares of the batch: the ``tf.nn.l2_loss(y_true - y_pred)`` of TensorFlow 1.

    Args:
        y_true, y_pred: (batch, units).

    Returns:
        (batch,): each sample's own half sum times the batch size, so that the mean, which Keras takes, is the sum.
    """
    halves = ops.sum(ops.square(y_pred - y_true), axis=-1) / 2
    return halves * ops.cast(ops.shape(y_pred)[0], y_pred.dtype)


# Both ----------------------------------------------------------------------------------------------------------------


def task_models(network):
    """A model per output. They share the network's layers: what one learns, all of them have.

    Returns:
        ``{"y1": model, "y2": model}``; compile each with an optimizer of its own and call `train_on_batch` in turn.
    """
    return {name: keras.Model(network.input, output, name=f"task_{name}") for name, output in network.output.items()}


def _set_weights(network, start):
    for name, arrays in start.items():
        network.get_layer(name).set_weights(arrays)
    return network
