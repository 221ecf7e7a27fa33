"""Predicting folders: which photos, with which cameras, and what is written; a stand-in takes the network's place."""

import json
import os
import re
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roidepth_lessons import kitti, model, predict, roi
from roidepth_lessons.__main__ import main
from roidepth_lessons.camera import Calibration


class Network:
    """Finds one car in the upper left of every photo, at as many metres as the top left pixel is red."""

    def __init__(self):
        self.cameras = []

    def predict(self, image, camera, mode="auto", threshold=None):
        self.cameras.append(camera)
        metres = float(image[0, 0, 0])
        place = (0.0, 1.0, metres)
        car = model.DetectedObject(
            "Car", 0.9, (1.0, 1.0, 20.0, 15.0), metres, 1.0, place, metres, 0.5, metres, (1.5, 1.6, 4.0), 0.0
        )
        plan = roi.Plan("windows", np.zeros((0, 4), int), np.zeros(0, int), np.zeros((0, 4), int), 1.0, 4.0)
        return model.Prediction((car,), np.zeros(image.shape[:2]), plan, image.shape[:2], {})


@pytest.fixture
def network(monkeypatch):
    stand_in = Network()
    monkeypatch.setattr(model.RoiDepth, "load", lambda path: stand_in)
    return stand_in


@pytest.fixture
def run(capsys, network):
    def run_command(*arguments):
        capsys.readouterr()
        code = main(["predict", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_command


def save(path, red, size=(30, 60)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), (red, 40, 40), np.uint8)).save(path)
    return path


def calibrate(path, focal_length, width=60):
    kitti.write_calibration(
        path, Calibration([[focal_length, 0, width / 2, 0], [0, focal_length, 15, 0], [0, 0, 1, 0]])
    )
    return path


@pytest.fixture
def folder(tmp_path):
    """Three photos whose order as text is another than by their numbers."""
    for name, red in (("frame10.png", 30), ("frame9.png", 20), ("frame1.png", 10)):
        save(tmp_path / "drive" / name, red)
    return tmp_path / "drive"


@pytest.fixture
def layout(tmp_path):
    """Two frames of KITTI's layout, each with a camera of its own, and one without."""
    for number in range(3):
        save(tmp_path / "set" / "training" / "image_2" / f"00000{number}.png", 10 + number)
    for number in range(2):
        calibrate(tmp_path / "set" / "training" / "calib" / f"00000{number}.txt", 100 + number)
    return tmp_path / "set" / "training" / "image_2"


# which photos


def test_photos_of_a_folder_come_in_natural_order(folder):
    save(folder / "Frame2.JPG", 1)
    for name in ("._frame3.png", "notes.txt", "frame4.tif"):
        (folder / name).write_bytes(b"no photo")
    save(folder / "frame5.png" / "inside.png", 1)
    single = folder / "frame9.png"
    found = [photo.path.name for photo in predict.find_photos([single, folder])]
    assert found == ["frame9.png", "frame1.png", "Frame2.JPG", "frame9.png", "frame10.png"]


def test_calibrations_are_found_beside_the_photos(layout, folder):
    photos = predict.find_photos([layout, folder / "frame1.png"])
    names = [photo.calibration and photo.calibration.name for photo in photos]
    assert names == ["000000.txt", "000001.txt", None, None]
    given = predict.find_photos([layout], "mine.txt")
    assert [photo.calibration for photo in given] == [Path("mine.txt")] * 3
    # Not every folder beside one that is called calib is KITTI's.
    shutil.copytree(layout, layout.parent / "image_3")
    assert predict.find_photos([layout.parent / "image_3"])[0].calibration is None


def test_the_folder_of_the_photos_may_be_the_current_one(layout, monkeypatch):
    monkeypatch.chdir(layout)
    (photo, *_) = predict.find_photos(["."])
    assert kitti.read_calibration(photo.calibration).projection[0, 0] == 100


def test_each_photo_is_predicted_with_its_own_camera(run, network, layout, tmp_path):
    code, said, _ = run(layout, "--json", tmp_path / "out.json")
    assert code == 0
    assert [camera.focal_length[0] for camera in network.cameras] == pytest.approx([100, 101, 0.58 * 60])
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [row["focal_length_assumed"] for row in rows] == [False, False, True]
    assert [row["calibration"] and Path(row["calibration"]).name for row in rows] == ["000000.txt", "000001.txt", None]
    assert f"calibration: the file of each photo in {layout.parent / 'calib'}" in said
    assert "no calibration of 1 photos" in said
    assert "000002.png first" in said
    mine = calibrate(tmp_path / "mine.txt", 77)
    network.cameras.clear()
    assert "calibration" not in run(layout, "--calib", mine)[1]
    assert [camera.focal_length[0] for camera in network.cameras] == pytest.approx([77] * 3)


# what is said and written


def test_rows_without_files_and_a_line_with_them(run, folder, tmp_path):
    code, said, _ = run(folder)
    assert code == 0
    assert re.findall(r"(frame\d+)\.png: 1 objects", said) == ["frame1", "frame9", "frame10"]
    assert re.findall(r"  Car +0\.90 +(\d+)\.0 m", said) == ["10", "20", "30"]
    code, said, _ = run(folder, "--json", tmp_path / "out.json")
    lines = [line.split("\r")[-1].rstrip() for line in said.rstrip().split("\n")]
    assert lines[0] == "read 3 photos"
    assert lines[-2:] == ["predicted 3 of 3 photos", "3 objects (Car 3), 25% of the depth head's work"]
    assert "frame1.png" not in said
    assert [row["objects"][0]["distance_m"] for row in json.loads((tmp_path / "out.json").read_text())] == [10, 20, 30]


def test_an_animation_shows_the_photos_in_order(run, folder, tmp_path):
    save(folder / "frame11.png", 40, size=(45, 50))
    out = tmp_path / "new" / "drive.webp"
    options = ["--animation", out, "--frames-per-second=4", "--animation-width=700"]
    assert run(folder, *options)[0] == 0
    with Image.open(out) as image:
        assert (image.n_frames, image.size[0]) == (4, 700)
        reds = []
        for index in range(4):
            image.seek(index)
            picture = np.asarray(image.convert("RGB")).astype(int)
            shown = (abs(picture[..., 1] - 40) < 12) & (abs(picture[..., 2] - 40) < 12)
            reds.append(np.median(picture[shown][:, 0]))
            assert image.info["duration"] == 250
        assert reds == pytest.approx([10, 20, 30, 40], abs=5)


def test_nothing_is_left_of_an_animation_that_failed(run, network, folder, tmp_path, monkeypatch):
    def fail(image, *rest):
        if image[0, 0, 0] > 10:
            raise ValueError("the second photo is too much")
        return Network().predict(image, *rest)

    monkeypatch.setattr(network, "predict", fail)
    (tmp_path / "out").mkdir()
    code, said, complaint = run(folder, "--animation", tmp_path / "out" / "a.webp")
    assert (code, complaint) == (2, f"error: {folder / 'frame9.png'}: the second photo is too much\n")
    assert said.endswith("\n")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def quick_figures(monkeypatch):
    """In place of the real ones, which test_command_line has drawn."""
    monkeypatch.setattr(predict, "_draw", lambda image, prediction, path: save(path, image[0, 0, 0]))


def test_figures_of_a_folder_and_going_on_with_them(run, network, quick_figures, layout, tmp_path):
    out = tmp_path / "figures"
    assert run(layout, "--figure", out)[0] == 0
    assert sorted(path.name for path in out.glob("*.png")) == ["000000.png", "000001.png", "000002.png"]
    assert len(network.cameras) == 3
    (out / "000001.png").unlink()
    network.cameras.clear()
    code, said, _ = run(layout, "--figure", out)
    assert code == 0
    assert [camera.focal_length[0] for camera in network.cameras] == [101]
    assert "predicted 1 of 3 photos, the others were there" in said
    assert len(list(out.glob("*.png"))) == 3
    # With the rows wanted, all are predicted, and only what is missing or older than its photo is drawn.
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    os.utime(layout / "000002.png")
    network.cameras.clear()
    assert run(layout, "--figure", out, "--json", tmp_path / "rows.json")[0] == 0
    assert len(network.cameras) == len(json.loads((tmp_path / "rows.json").read_text())) == 3
    drawn = {path.name for path in out.glob("*.png") if path.stat().st_mtime_ns != before[path]}
    assert drawn == {"000002.png"}


def test_figures_of_other_photos_or_settings_never_stay(run, quick_figures, layout, folder, tmp_path):
    out = tmp_path / "figures"
    assert run(layout, "--figure", out)[0] == 0
    for arguments in (
        [folder],
        [layout, "--threshold=0.7"],
        [layout, "--mode=full"],
        [layout, "--calib", calibrate(tmp_path / "c.txt", 50)],
        [layout, "--weights", save(tmp_path / "other.keras.png", 3)],
    ):
        code, _, complaint = run(*arguments, "--figure", out)
        assert code == 2
        assert f"{out} holds pictures of other photos, weights or settings" in complaint


# wrong input


def assert_refused(run, network, arguments, *parts):
    code, _, complaint = run(*arguments)
    assert code == 2
    assert re.fullmatch(r"error: [^\n]+\n", complaint), complaint
    for part in parts:
        assert str(part) in complaint
    assert not network.cameras  # before any work


def test_wrong_input_is_refused_before_any_work(run, network, folder, layout, tmp_path):
    def refused(arguments, *parts):
        assert_refused(run, network, arguments, *parts)

    (tmp_path / "empty").mkdir()
    refused([tmp_path / "empty"], tmp_path / "empty", "holds no .png or .jpg")
    refused([layout.parent.parent], f"did you mean {layout}?")
    refused([layout.parent], f"did you mean {layout}?")
    video = tmp_path / "my drive.MP4"
    refused([video], video, f"ffmpeg -i '{video}' -vf fps=10 '{tmp_path / 'my drive'}'/%06d.png")
    video = tmp_path / "empty" / "clip.avi"
    video.write_bytes(b"")
    refused([tmp_path / "empty"], "holds no .png or .jpg", f"ffmpeg -i {video}")
    refused([folder, "--animation", tmp_path / "out.gif"], "out.gif", ".webp")
    refused([folder, "--animation", tmp_path], tmp_path, ".webp")
    refused([folder, "--figure", folder], folder, "holds the photos")
    refused([folder / "frame1.png", "--figure", folder / "frame1.png"], folder / "frame1.png", "over the photo")
    refused([folder, folder, "--figure", tmp_path / "figures"], "two photos would both be frame1.png")
    damaged = folder / "frame9.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    refused([folder, "--json", tmp_path / "out.json"], damaged, "damaged")
    calibrate(layout.parent / "calib" / "000001.txt", 100, width=400)
    refused([layout], layout.parent / "calib" / "000001.txt", "can't be of", layout / "000001.png")


def test_wrong_rates_and_widths(capsys):
    for option in ("--frames-per-second=0", "--frames-per-second=100", "--animation-width=9", "--animation-width=9999"):
        with pytest.raises(SystemExit):
            main(["predict", "a.png", option])
        assert option.split("=")[0] in capsys.readouterr().err


def test_photos_are_let_go_of(folder, network, monkeypatch):
    """Never more than the one in hand and the one before it, however long the folder."""
    for number in range(20, 26):
        save(folder / f"frame{number}.png", 50)
    read_image, references, held = kitti.read_image, [], []

    class Watched(np.ndarray):
        """Can be referred to weakly."""

    def read(path):
        image = read_image(path).view(Watched)
        references.append(weakref.ref(image))
        held.append(sum(reference() is not None for reference in references))
        return image

    monkeypatch.setattr(kitti, "read_image", read)
    photos = predict.read_cameras(predict.find_photos([folder]))
    predict.predict_photos(network, photos, predict.Outputs())
    assert len(held) == 18
    assert max(held) <= 2
