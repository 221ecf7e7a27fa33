"""The walk through a data set: every kind of damage is planted once in a sound one and named, and nothing else is."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_kitti import KITTI, make_frame, needs_kitti

from roidepth_lessons import DATA_FOLDER, kitti, kitti_check
from roidepth_lessons.frames import RoadObject

CAR = "Car 0.00 0 0.50 2.00 3.00 12.00 9.00 1.50 1.75 4.00 1.00 1.50 12.00 0.25"


@pytest.fixture
def root(tmp_path):
    """Six sound frames of two drives."""
    for number in range(6):
        kitti.write_frame(tmp_path, make_frame(f"{number:06d}", seed=number))
    lines = [f"{number:06d}\tdrive_{number // 3}" for number in range(6)]
    (tmp_path / "drives.tsv").write_text("\n".join(["frame_id\traw_drive", *lines]))
    return tmp_path


@pytest.fixture
def training(root):
    return root / "training"


def only(messages, *patterns):
    assert len(messages) == len(patterns), messages
    for message, pattern in zip(messages, patterns, strict=True):
        assert re.search(pattern, message), message


def test_a_sound_data_set_and_its_summary(root):
    counted = []
    report = kitti_check.check_dataset(root, progress=lambda *numbers: counted.append(numbers))
    assert (report.damage, report.hints) == ([], [])
    assert (report.frames, report.labels, report.scans, report.drives) == (6, 6, 6, 2)
    assert report.classes == {"Car": 6, "DontCare": 6, "Pedestrian": 6}
    assert report.summary().splitlines() == [
        "frames: 6 (6 of 30x20)",
        "label files: 6, LiDAR scans: 6, 2 drives",
        "objects: Car 6, DontCare 6, Pedestrian 6",
    ]
    assert counted == [(number, 6) for number in range(1, 7)]


def test_the_course_s_sample_is_sound():
    report = kitti_check.check_dataset(DATA_FOLDER / "sample")
    assert (report.damage, report.hints) == ([], [])
    assert report.frames == 12


@needs_kitti
def test_real_frames_are_sound():
    report = kitti_check.check_dataset(KITTI)
    assert (report.damage, report.hints) == ([], [])
    assert (report.frames, report.labels, report.scans, report.drives) == (99, 99, 99, 29)
    assert sum(report.classes.values()) == 842
    assert set(report.classes) <= set(kitti_check.KNOWN_CLASSES)


def test_every_damaged_or_missing_file_is_named_once(root, training):
    (training / "label_2/000000.txt").unlink()
    (training / "velodyne/000001.bin").write_bytes(b"short")
    (training / "road_2/000001.png").write_bytes(b"")
    Image.fromarray(np.ones((2, 2), np.uint16)).save(training / "depth_2/000002.png")
    (training / "velodyne/000003.bin").unlink()
    (training / "image_2/000004.png").unlink()
    kitti.write_labels(training / "label_2/000007.txt", [])
    only(
        kitti_check.check_dataset(root).damage,
        r"label_2/000000\.txt is missing",
        r"velodyne/000001\.bin has 5 bytes",
        r"road_2/000001\.png cannot be read",
        r"frame 000002: depth has shape",
        r"velodyne/000003\.bin is missing",
        r"image_2/000004\.png is missing",
        r"image_2/000007\.png is missing",
        r"calib/000007\.txt is missing",
        r"velodyne/000007\.bin is missing",
    )


def test_a_whole_folder_that_is_missing_is_one_message(root, training, tmp_path):
    other = tmp_path / "data_object_calib" / "training" / "calib"
    shutil.move(training / "calib", other)
    shutil.rmtree(training / "label_2")
    shutil.rmtree(training / "velodyne")
    only(
        kitti_check.check_dataset(root).damage,
        rf"training/calib is missing or holds no \.txt file; {re.escape(str(other))} does: move it there",
        r"training/label_2 is missing or holds no \.txt file$",
    )


def test_calibrations_beside_in_another_archive_s_folder_are_found(tmp_path):
    root = tmp_path / "data_object_image_2"
    kitti.write_frame(root, make_frame())
    shutil.move(root / "training" / "calib", tmp_path / "data_object_calib" / "training" / "calib")
    kitti.write_frame(tmp_path / "a_set_of_its_own", make_frame())
    (damage, *_) = kitti_check.check_dataset(root).damage
    assert f"; {tmp_path / 'data_object_calib/training/calib'} does: move it there" in damage


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (CAR.replace("12.00 9.00", "31.00 9.00"), r"the box \(2\.0, 3\.0, 31\.0, 9\.0\) lies outside .* 30x20 pixels"),
        (CAR.replace("12.00 9.00", "12.00 21.00"), "lies outside"),
        (CAR.replace(" 2.00 3.00 ", " -2.00 3.00 "), "lies outside"),
        (CAR.replace("12.00 9.00", "12.00 3.00"), r"the box .* is empty"),
        (CAR.replace("1.50 1.75 4.00", "1.50 0.00 4.00"), r"height, width, length .* are impossible"),
        (CAR.replace("1.50 1.75 4.00", "1.50 1.75 400"), "are impossible"),
        (CAR.replace("1.50 12.00 0.25", "1.50 -12.00 0.25"), "behind the camera, at z = -12 m"),
        (CAR.replace("1.50 12.00 0.25", "1.50 1200 0.25"), "farther than 300 m"),
        (CAR.replace("12.00 0.25", "12.00 90.0"), "degrees"),
        (CAR.replace("Car 0.00 0", "Car 1.50 0"), "truncation 1.5"),
        (CAR.replace("Car 0.00 0", "Car 0.00 7"), "occlusion 7"),
        (f"{CAR}\n{CAR}", "the same as row 1"),
        (CAR.replace("0.25", "nan"), "NaN, infinity"),
        (CAR.replace("1.50 12.00", "inf 12.00"), "NaN, infinity"),
    ],
)
def test_impossible_labels(root, training, row, problem):
    (training / "instance_2/000002.png").unlink()
    (training / "label_2/000002.txt").write_text(row + "\n")
    report = kitti_check.check_dataset(root)
    only(report.damage, rf"label_2/000002\.txt, (row|line) \d.*{problem}")
    assert report.hints == []


def test_labels_that_look_odd_and_are_sound(root, training):
    (training / "instance_2/000002.png").unlink()
    beside = RoadObject("Van", (0.0, 0.0, 0.5, 19.0), 1.0, 3, 3.14, (2.0, 2.0, 6.4), (-2.6, 1.7, -0.3), -3.14)
    flat = RoadObject("Car", (1.0, 1.0, 29.0, 19.0))  # nothing known but the box
    kitti.write_labels(training / "label_2/000002.txt", [beside, flat])
    assert kitti_check.check_dataset(root).damage == []


def test_a_damaged_file_hides_no_other(root, training):
    (training / "instance_2/000002.png").unlink()
    (training / "velodyne/000002.bin").write_bytes(b"short")
    (training / "label_2/000002.txt").write_text(CAR.replace("12.00 9.00", "40.00 9.00"))
    only(kitti_check.check_dataset(root).damage, r"velodyne/000002\.bin has 5 bytes", r"label_2/000002\.txt, row 1")


def test_a_calibration_of_another_camera(root, training):
    path = training / "calib/000002.txt"
    path.write_text(path.read_text().replace("P2: 4.0", "P2: 0.2"))
    only(kitti_check.check_dataset(root).damage, r"calib/000002\.txt: focal length 2 .* can't be of .*000002\.png")


def test_scans_of_zeros_and_scans_cut_at_a_whole_point(root, training):
    path = training / "velodyne/000001.bin"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\0" * (len(data) // 2))
    path = training / "velodyne/000004.bin"
    path.write_bytes(path.read_bytes()[: 16 * 40])
    report = kitti_check.check_dataset(root)
    only(report.damage, r"velodyne/000001\.bin: 50% of its points are 0 0 0")
    only(report.hints, r"velodyne/000004\.bin holds 40 points, the others about 300")


def test_pictures_that_are_there_twice(root, training):
    shutil.copyfile(training / "image_2/000001.png", training / "image_2/000003.png")
    shutil.copyfile(training / "image_2/000004.png", training / "image_2/000004.jpg")
    report = kitti_check.check_dataset(root)
    only(report.damage, r"image_2 holds 000004\.jpg and 000004\.png: which is frame 000004\?")
    only(report.hints, r"the photos of frames 000001, 000003 are the same picture")
    assert report.frames == 6


def test_classes_that_nobody_knows(root, training):
    path = training / "label_2/000001.txt"
    path.write_text(path.read_text().replace("Car ", "car ").replace("Pedestrian", "Walker"))
    report = kitti_check.check_dataset(root)
    assert report.damage == []
    only(
        report.hints,
        "class 'Walker' of 1 objects .* KITTI has Car, Van",
        "class 'car' of 1 objects .* KITTI writes Car",
    )


def test_drives(root):
    path = root / "drives.tsv"
    path.write_text("\n".join(path.read_text().splitlines()[:-2]))
    report = kitti_check.check_dataset(root)
    assert (report.damage, report.drives) == ([], 2)
    only(report.hints, r"drives\.tsv doesn't name 2 of 6 frames, 000004 first: .* can't be split by drive")
    path.write_text("id\n")
    only(kitti_check.check_dataset(root).damage, r"drives\.tsv must have")
    path.unlink()
    report = kitti_check.check_dataset(root)
    assert (report.damage, report.drives) == ([], None)
    only(report.hints, r"no .*drives\.tsv: .*frame_id, raw_drive")
    (root / "streets.json").write_text("{}")
    assert kitti_check.check_dataset(root).hints == []


def test_no_data_set(tmp_path):
    report = kitti_check.check_dataset(tmp_path / "nowhere")
    only(report.damage, "image_2 is no folder")
    assert report.frames == 0


def test_the_summary_of_many_sizes():
    sizes = {(100 + i, 50): 1 for i in range(9)}
    report = kitti_check.Report(frames=9, sizes=kitti_check.Counter(sizes))
    assert "1 of 105x50 and of 3 more sizes)" in report.summary()
    assert report.summary().endswith("objects: none")


def test_every_file_is_looked_at(root, training):
    """Emptied one after the other, each file of a frame is named."""
    for path in sorted(training.glob("*/000003.*")):
        sound = path.read_bytes()
        path.write_bytes(b"")
        damage = kitti_check.check_dataset(root).damage
        if path.parent.name == "label_2":
            # An empty label file is a street without objects; but then the instance map speaks of none there.
            only(damage, "instance_2/000003.png speaks of object 3")
        else:
            only(damage, re.escape(str(Path(path.parent.name) / path.name)))
        path.write_bytes(sound)
