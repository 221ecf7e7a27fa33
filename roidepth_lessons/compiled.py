"""Compiled calls of Keras models, one photo at a time, without what `predict_on_batch` does around each.

`predict_on_batch` of a small window takes longer for its bookkeeping than for the sums. Keras has no call of its own
that is only compiled, so each backend's stands here, and nowhere else.

>>> head = keras.Sequential([keras.Input((None, None, 2)), keras.layers.Conv2D(1, 3)])
>>> features = np.ones((1, 9, 12, 2), "float32")
>>> WindowDecoder(head, halo=1)(features, (1, 2, 4, 8)).shape == (1, 3, 6, 1)
True
"""

import keras
import numpy as np
from keras import ops


class Compiled:
    """A Keras model as a compiled function from inputs to outputs, in inference mode.

    Args:
        model: A Keras model. If its weights change later, so does what this gives.

    Call with the model's inputs as arrays or tensors; returns tensors of the backend. Each backend compiles anew for
    new shapes: TensorFlow once or twice, then for any; JAX for each; PyTorch runs the model as it is.
    """

    def __init__(self, model):
        self._function = _compile(lambda inputs: model(inputs, training=False), model)

    def __call__(self, inputs):
        return self._function(keras.tree.map_structure(ops.convert_to_tensor, inputs))


class WindowDecoder:
    """A head on windows of features that were padded once: gathered and decoded in one compiled call.

    Args:
        head: A Keras model that is closed under cropping, as `depth.build_depth_head` makes.
        halo: Cells of surroundings that it eats on every side.

    Call with features (batch, rows + 2 * halo, columns + 2 * halo, channels), an array or better a tensor of the
    backend, and a window: top, left, bottom, right in cells of the unpadded features. Returns what the head gives, a
    tensor of the backend. Nobody checks here that the window lies inside: `roi.check_window` does.
    """

    def __init__(self, head, halo):
        self._margin = 2 * halo
        self._decode = (_decoder_by_size if keras.backend.backend() == "jax" else _decoder_of_any_size)(head)

    def __call__(self, features, window):
        top, left, bottom, right = (int(edge) for edge in window)
        edges = top, left, bottom + self._margin, right + self._margin
        return self._decode(ops.convert_to_tensor(features), edges)


def _decoder_of_any_size(head):
    """A function of features and a window's edges in them, compiled for all windows."""

    def cut_and_decode(features, edges):
        return head(features[:, edges[0] : edges[2], edges[1] : edges[3]], training=False)

    function = _compile(cut_and_decode, head)
    # Plain numbers would be compiled in, and each window compiled anew.
    return lambda features, edges: function(features, ops.convert_to_tensor(np.array(edges, "int32")))


def _decoder_by_size(head):
    """The same, compiled for each size of windows, wherever they are: JAX must know the size."""

    def slice_and_decode(features, corner, size):
        shape = features.shape[0], *size, features.shape[3]
        return head(ops.slice(features, (0, corner[0], corner[1], 0), shape), training=False)

    function = _compile(slice_and_decode, head, static=("size",))

    def decode(features, edges):
        top, left, bottom, right = edges
        return function(features, np.array([top, left]), size=(bottom - top, right - left))

    return decode


def _compile(function, model, static=()):
    """A function that calls a model, compiled by the backend; the model's weights are read at every call."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True)
    if backend == "jax":
        return _compile_for_jax(function, model, static)
    import torch

    return torch.no_grad()(function)


def _compile_for_jax(function, model, static):
    import jax

    def with_weights(weights, *arguments, **options):
        with keras.StatelessScope(state_mapping=list(zip(model.variables, weights, strict=True))):
            return function(*arguments, **options)

    jitted = jax.jit(with_weights, static_argnames=static)
    return lambda *arguments, **options: jitted([each.value for each in model.variables], *arguments, **options)
