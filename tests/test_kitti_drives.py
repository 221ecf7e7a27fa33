"""KITTI's development kit says from which drive each frame is; here as ``drives.tsv``."""

import shutil

import pytest

from roidepth_lessons import kitti, kitti_drives
from roidepth_lessons.__main__ import main

MAPPING = (
    "2011_09_26 2011_09_26_drive_0005_sync 0000000109\n"
    "2011_09_26 2011_09_26_drive_0009_sync 0000000048\n"
    "2011_09_28 2011_09_28_drive_0106_sync 0000000007\n"
)


@pytest.fixture
def devkit(tmp_path):
    folder = tmp_path / "devkit"
    (folder / "mapping").mkdir(parents=True)
    (folder / "mapping" / "train_mapping.txt").write_text(MAPPING)
    (folder / "mapping" / "train_rand.txt").write_text("3,1,2\n")
    return folder


def test_frames_stand_in_the_line_that_the_order_says(devkit):
    wanted = {
        "000000": ("2011_09_28_drive_0106_sync", 7),
        "000001": ("2011_09_26_drive_0005_sync", 109),
        "000002": ("2011_09_26_drive_0009_sync", 48),
    }
    assert kitti_drives.read_mapping(devkit) == wanted
    assert kitti_drives.read_mapping(devkit / "mapping") == wanted
    (devkit / "mapping" / "train_rand.txt").write_text("3, 1,\n 2,\n")
    assert kitti_drives.read_mapping(devkit) == wanted


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train_mapping.txt", MAPPING + "2011_09_28 2011_09_28_drive_0106_sync\n", r"train_mapping\.txt, line 4"),
        ("train_mapping.txt", MAPPING.replace("0000000048", "x"), r"train_mapping\.txt, line 2"),
        ("train_mapping.txt", MAPPING + MAPPING[:49], r"train_rand\.txt: .*numbers 1 to 4 once.* got 3 numbers"),
        ("train_rand.txt", "3,1,1", r"train_rand\.txt: .*numbers 1 to 3 once"),
        ("train_rand.txt", "", r"train_rand\.txt: .*got 0 numbers"),
        ("train_rand.txt", None, r"no mapping/train_rand\.txt in it; wanted the folder of KITTI's"),
    ],
)
def test_a_damaged_kit_is_named(devkit, name, text, message):
    path = devkit / "mapping" / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        kitti_drives.read_mapping(devkit)


def test_the_command_writes_what_read_drives_reads(devkit, tiny_streets, tmp_path, capsys):
    root = shutil.copytree(tiny_streets, tmp_path / "root")
    for frame_id in kitti.frame_ids(root)[2:]:
        (root / "training" / "image_2" / f"{frame_id}.png").unlink()
    assert main(["drives", str(devkit), str(root)]) == 0
    assert "2 frames of 2 drives" in capsys.readouterr().out
    assert kitti.read_drives(root / "drives.tsv") == {
        "000000": "2011_09_28_drive_0106_sync",
        "000001": "2011_09_26_drive_0005_sync",
    }
    assert (root / "drives.tsv").read_text().splitlines()[1] == "000000\t2011_09_28_drive_0106_sync\t7"
    assert main(["drives", str(devkit), str(tiny_streets)]) == 2
    assert "frame 000003 is not one of KITTI's training frames" in capsys.readouterr().err
