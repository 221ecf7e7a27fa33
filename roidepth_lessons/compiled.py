"""Compiled calls of Keras models, one photo at a time, without what `predict_on_batch` does around each.

`predict_on_batch` of a small window takes longer for its bookkeeping than for the sums. Keras has no call of its own
that is only compiled, so each backend's stands here, and nowhere else.

>>> head = keras.Sequential([keras.Input((None, None, 2)), keras.layers.Conv2D(1, 3)])
>>> features = np.ones((1, 9, 12, 2), "float32")
>>> [tuple(each.shape) for each in WindowDecoder(head, halo=1)(features, [(1, 2, 4, 8), (0, 0, 2, 2)])]
[(1, 3, 6, 1), (1, 2, 2, 1)]
"""

import keras
import numpy as np
from keras import layers, ops


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


class FoldedConvolution(layers.Layer):
    """A convolution and the batch normalisation after it, in inference mode, as one convolution with a bias.

    ``gamma * (w * x - mean) / deviation + beta`` is one convolution with the weights ``gamma / deviation * w`` and the
    bias ``beta - gamma * mean / deviation``. The weights stay those of the two layers and are multiplied at every
    call: they are few beside the pixels, which are looked at once instead of three times.

    Args:
        convolution: A `keras.layers.Conv2D` without activation.
        normalization: The `keras.layers.BatchNormalization` that its output goes into, along the channels.
    """

    def __init__(self, convolution, normalization, **options):
        super().__init__(**options)
        self.convolution, self.normalization = convolution, normalization

    def call(self, inputs):
        before, after = self.convolution, self.normalization
        scale = ops.rsqrt(after.moving_variance + after.epsilon)
        scale = scale * after.gamma if after.scale else scale
        bias = before.bias - after.moving_mean if before.use_bias else -after.moving_mean
        bias = bias * scale + after.beta if after.center else bias * scale
        kernel = before.kernel * scale
        x = ops.conv(inputs, kernel, before.strides, before.padding, before.data_format, before.dilation_rate)
        return x + bias

    def compute_output_shape(self, input_shape):
        return self.convolution.compute_output_shape(input_shape)


class SameLayer(layers.Layer):
    """A layer of another model, called within this one; there is one of it, and one copy of its weights."""

    def __init__(self, layer, **options):
        super().__init__(**options)
        self.layer = layer

    def call(self, *inputs, **options):
        return self.layer(*inputs, **options)

    def compute_output_spec(self, *inputs, **options):
        return self.layer.compute_output_spec(*inputs, **options)


def fold_batch_normalization(model):
    """The same model for prediction only, with every batch normalisation folded into the convolution before it.

    Args:
        model: A functional Keras model, channels last.

    Returns:
        A model from the same inputs to the same outputs, up to rounding. It shares its weights with `model`: what is
        trained or loaded there is so here. A normalisation after something else than a plain `Conv2D`, or after one
        whose output goes elsewhere, too, stays as it is; and a model in which nothing can be folded, that is not
        functional, or that calls a layer twice, is returned itself.
    """
    try:
        pairs = _convolutions_before_norms(model)
    except AttributeError:  # a layer, or the model, has no single input and output
        return model
    if not pairs or isinstance(model, keras.Sequential):
        return model
    skipped = set(map(id, pairs.values()))

    def replace(layer):
        if isinstance(layer, layers.BatchNormalization) and layer.name in pairs:
            return FoldedConvolution(pairs[layer.name], layer, name=layer.name)
        return SameLayer(layer, name=layer.name)

    def call(layer, *inputs, **options):
        if isinstance(layer, FoldedConvolution):
            return layer(*inputs)
        return inputs[0] if id(layer.layer) in skipped else layer(*inputs, **options)

    return keras.models.clone_model(model, clone_function=replace, call_function=call)


def _convolutions_before_norms(model):
    """By the name of each batch normalisation that can be folded: the convolution before it."""
    made_by, readers = {}, {}
    for layer in model.layers:
        made_by[id(layer.output)] = layer
        for tensor in keras.tree.flatten(layer.input):
            readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    for tensor in keras.tree.flatten(model.outputs):
        readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    pairs = {}
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization) and layer.axis in (-1, 3):
            before = made_by.get(id(layer.input))
            if type(before) is layers.Conv2D and readers[id(layer.input)] == 1 and _is_plain(before):
                pairs[layer.name] = before
    return pairs


def _is_plain(convolution):
    linear = convolution.activation is keras.activations.linear
    return linear and convolution.groups == 1 and convolution.data_format == "channels_last"


class WindowDecoder:
    """A head on windows of features that were padded once: gathered and decoded in few compiled calls.

    Args:
        head: A Keras model that is closed under cropping, as `depth.build_depth_head` makes.
        halo: Cells of surroundings that it eats on every side.

    Call with features (batch, rows + 2 * halo, columns + 2 * halo, channels), an array or better a tensor of the
    backend, and windows (k, 4): top, left, bottom, right in cells of the unpadded features. Returns what the head gives
    for each, a list of k tensors of the backend. Nobody checks here that windows lie inside: `roi.check_window` does.
    """

    def __init__(self, head, halo):
        self._margin = 2 * halo
        self._decode = (_decoder_by_size if keras.backend.backend() == "jax" else _decoder_of_any_size)(head)

    def __call__(self, features, windows):
        edges = np.reshape(windows, (-1, 4)).astype("int32") + np.array([0, 0, self._margin, self._margin], "int32")
        return self._decode(ops.convert_to_tensor(features), edges)


GROUPS = (4, 2, 1)
"""So many windows go into one call, as long as there are so many left. A call costs more than a small window, and
within one, windows are decoded side by side; but each number must be compiled once.
"""


def _decoder_of_any_size(head):
    """A function of features and windows' edges in them, compiled for each of `GROUPS`."""

    def cut_and_decode(features, edges):
        return [head(features[:, e[0] : e[2], e[1] : e[3]], training=False) for e in ops.unstack(edges, axis=0)]

    functions = {count: _compile(cut_and_decode, head) for count in GROUPS}

    def decode(features, edges):
        decoded = []
        for count in GROUPS:
            while len(edges) - len(decoded) >= count:
                # As a tensor: plain numbers would be compiled in, and each window compiled anew.
                group = ops.convert_to_tensor(edges[len(decoded) : len(decoded) + count])
                decoded += functions[count](features, group)
        return decoded

    return decode


def _decoder_by_size(head):
    """The same, a call for each window, compiled for each size of windows, wherever they are: JAX must know the size.
    Its calls return before they are done, so they don't wait for one another.
    """

    def slice_and_decode(features, corner, size):
        shape = features.shape[0], *size, features.shape[3]
        return head(ops.slice(features, (0, corner[0], corner[1], 0), shape), training=False)

    function = _compile(slice_and_decode, head, static=("size",))

    def decode(features, edges):
        sizes = [(bottom - top, right - left) for top, left, bottom, right in edges.tolist()]
        return [function(features, corner, size=size) for corner, size in zip(edges[:, :2], sizes, strict=True)]

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
