"""A file from a stranger runs no code, unpacks nothing beside itself, and is refused by name."""

import io
import json
import os
import pickle
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tiny
from keras import layers

from roidepth_lessons import kitti, model, study_book, train
from roidepth_lessons.__main__ import main


class Payload:
    """What a pickle would call."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_archive(path, contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def refused(path, trace):
    """Loading says which file it is, and nothing has been run or unpacked."""
    before = sorted(trace.parent.iterdir())
    with pytest.raises(ValueError, match=path.name) as caught:
        model.RoiDepth.load(path)
    assert not trace.exists()
    assert sorted(trace.parent.iterdir()) == before
    return str(caught.value)


@pytest.fixture
def trace(tmp_path):
    """What would be there if code had run."""
    return tmp_path / "code_was_here"


def test_the_payload_works_where_nobody_guards(tmp_path, trace):
    pickle.loads(pickle.dumps(Payload(trace)))
    assert trace.is_dir()
    trace.rmdir()
    path = lambda_file(tmp_path, trace)
    keras.saving.load_model(path, safe_mode=False)
    assert trace.is_dir()


def lambda_file(tmp_path, trace, name="lambda.keras"):
    """A network in whose middle stands a function, as Keras saves it."""
    text = str(trace)

    inputs = keras.Input((2,))
    strike = lambda x: (__import__("os").makedirs(text, exist_ok=True), x)[1]  # noqa: E731 (saved with its code)
    path = tmp_path / name
    hidden = keras.Model(inputs, layers.Lambda(strike)(inputs))  # to know its output's shape, Keras has to run it
    hidden.save(path)
    if trace.is_dir():  # Keras tries functions when it builds the network
        trace.rmdir()
    return path


def test_a_function_in_a_keras_file(tmp_path, trace):
    assert "safe_mode" in refused(lambda_file(tmp_path, trace), trace)


@pytest.mark.parametrize(
    "hostile",
    [
        {"module": "os", "class_name": "mkdir", "config": {"path": "TRACE"}, "registered_name": "mkdir"},
        {"module": "builtins", "class_name": "exec", "config": {"code": "import os; os.mkdir('TRACE')"}},
        {"module": "os", "class_name": "function", "config": "mkdir", "registered_name": "function"},
        {"module": "keras.utils", "class_name": "get_file", "config": {"fname": "x", "origin": "file://TRACE"}},
        {"class_name": "__lambda__", "config": {"value": ["4wAAAA==", None, None]}},
    ],
)
def test_a_config_that_names_functions(tiny_weights, tmp_path, trace, hostile):
    contents = members(tiny_weights)
    text = json.dumps(hostile).replace("TRACE", str(trace))
    contents["config.json"] = text.encode()
    refused(write_archive(tmp_path / "whole.keras", contents), trace)
    inside = members(tiny_weights)
    config = json.loads(inside["config.json"])
    config["config"]["layers"][0]["config"] = json.loads(text)
    inside["config.json"] = json.dumps(config).encode()
    refused(write_archive(tmp_path / "inside.keras", inside), trace)


def test_an_older_format_under_another_name(tmp_path, trace):
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Lambda", "config": {"function": ["4wAAAA==", 0, 0]}})
    assert "not a zip file" in refused(path, trace)
    path = tmp_path / "pickled.keras"
    path.write_bytes(pickle.dumps(Payload(trace)))
    assert "not a zip file" in refused(path, trace)


@pytest.mark.parametrize("name", ["../code_was_here", "/tmp/code_was_here_too", "assets/x.pkl", "config.json"])
def test_more_in_the_archive_than_belongs_there(tiny_weights, tmp_path, trace, name):
    path = write_archive(tmp_path / "more.keras", members(tiny_weights))
    with zipfile.ZipFile(path, "a") as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *arguments, **options: None)  # of the same name twice
        archive.writestr(name, pickle.dumps(Payload(trace)))
    assert "wanted metadata.json" in refused(path, trace)


def test_an_archive_that_unpacks_to_a_flood(tiny_weights, tmp_path, trace, monkeypatch):
    contents = members(tiny_weights)
    monkeypatch.setattr(model, "LARGEST_ARCHIVE", 10_000_000)
    path = write_archive(tmp_path / "flood.keras", contents | {"model.weights.h5": bytes(20_000_000)})
    assert path.stat().st_size < 100_000
    assert "unpacks to 20" in refused(path, trace)


def test_a_pickle_in_the_place_of_anything_else(tiny_weights, tmp_path, trace):
    """Labels, calibration, scan, maps, notes, cards, logs, checkpoints: none is unpickled."""
    data = pickle.dumps(Payload(trace))
    array = io.BytesIO()
    np.save(array, np.array([Payload(trace)], dtype=object), allow_pickle=True)
    for content in (data, array.getvalue()):
        for name, read in {
            "labels.txt": kitti.read_labels,
            "calib.txt": kitti.read_calibration,
            "photo.png": kitti.read_image,
            "depth.png": kitti.read_depth,
            "drives.tsv": kitti.read_drives,
            "run.json": kitti.read_json,
            "book.jsonl": study_book.read_lines,
        }.items():
            path = tmp_path / name
            path.write_bytes(content)
            with pytest.raises(ValueError, match=name):
                read(path)
        (tmp_path / "scan.bin").write_bytes(content + b"x" * (15 - len(content) % 16))
        with pytest.raises(ValueError, match=r"scan\.bin"):
            kitti.read_velodyne(tmp_path / "scan.bin")
        (tmp_path / "weights.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"weights\.json"):
            train.drives_seen(tmp_path / "weights.keras")
        (tmp_path / "log.jsonl").write_bytes(content)
        assert train.read_log(tmp_path) == {}
        (tmp_path / "epoch001.weights.h5").write_bytes(content)
        with pytest.raises(ValueError, match="epoch001"):
            train._load_checkpoint(tiny.toy_network(), tmp_path)
    assert not trace.exists()


def test_a_program_in_place_of_a_photo(tmp_path, trace):
    """Pillow hands EPS to Ghostscript, which runs it; here it isn't looked at."""
    path = tmp_path / "photo.png"
    path.write_text(f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({trace}) (w) file closefile\nshowpage\n%%EOF\n")
    with pytest.raises(ValueError, match=r"photo\.png cannot be read as an image"):
        kitti.read_image(path)
    assert not trace.exists()


def test_the_command_says_it_in_one_line(tmp_path, trace, capsys):
    path = lambda_file(tmp_path, trace)
    assert main(["predict", str(path), "--weights", str(path)]) == 2
    photo = tmp_path / "photo.png"
    kitti._write_png(photo, np.zeros((64, 96, 3), np.uint8))
    capsys.readouterr()
    assert main(["predict", str(photo), "--weights", str(path)]) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "lambda.keras" in complaint
    assert not trace.exists()
