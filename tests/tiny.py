"""Networks so small that a test can train or run them; and gradients on whichever backend runs."""

import keras
from keras import layers

from roidepth_lessons import depth, detection, model

CHANNELS = 16


def toy_encoder():
    """An encoder of two layers: few variables, so that TensorFlow traces a step quickly."""
    image, camera = keras.Input((None, None, 3)), keras.Input((4,))
    cells = layers.Conv2D(CHANNELS, 4, strides=4)(layers.Rescaling(1 / 255)(image))
    ray = layers.Reshape((1, 1, CHANNELS))(layers.Dense(CHANNELS)(layers.Rescaling(1 / 100)(camera)))
    return keras.Model([image, camera], layers.Activation("relu")(cells + ray), name="encoder")


def toy_network(encoder_name="residual"):
    """The two real heads on the toy encoder, whatever encoder is asked for."""
    return model.compose(
        toy_encoder(),
        detection.build_detection_head(CHANNELS, channels=8),
        depth.build_depth_head(CHANNELS, channels=(8, 8)),
    )


def small_network():
    """The real network with few channels."""
    return model.build_network(channels=(8, 8, 8, 8, 8), blocks=(1, 1, 1, 1), neck_channels=CHANNELS)


def value_and_gradient(function, values):
    """A function's value, one number, and its gradient at an array, by the backend itself: Keras has no gradients."""
    tensor = keras.ops.convert_to_tensor(values)
    if keras.backend.backend() == "jax":
        import jax

        value, gradient = jax.value_and_grad(function)(tensor)
    elif keras.backend.backend() == "torch":
        tensor = tensor.detach().clone().requires_grad_()
        value = function(tensor)
        value.backward()
        gradient = tensor.grad
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensor)
            value = function(tensor)
        gradient = tape.gradient(value, tensor)
    return float(keras.ops.convert_to_numpy(value)), keras.ops.convert_to_numpy(gradient)
