"""No drive in two parts of a split: made-up drives, a planted leak, and the real drives."""

import os
from pathlib import Path

import pytest

from roidepth_lessons import drive_split, kitti

KITTI = os.environ.get("ROIDEPTH_KITTI")
PARTS = ("train", "validation", "test")


def made_up(sizes):
    """Frames and their drives: drive "d0" has ``sizes[0]`` frames and so on, mixed."""
    drives = {f"{place:03d}_{drive}": f"d{drive}" for drive, size in enumerate(sizes) for place in range(size)}
    return sorted(drives), drives


def drives_in(frame_ids, drives):
    return {drives[frame] for frame in frame_ids}


def assert_sound(splits, frame_ids, drives):
    """Every frame in one part of each fold and tested once, no drive in two parts; written without the module."""
    for parts in splits:
        assert tuple(parts) == PARTS
        assert all(parts.values())
        assert sorted(sum(parts.values(), [])) == sorted(frame_ids)
        assert all(found == [frame for frame in frame_ids if frame in found] for found in parts.values())
        seen = [drives_in(found, drives) for found in parts.values()]
        assert sum(map(len, seen)) == len(set.union(*seen))
    assert sorted(sum((parts["test"] for parts in splits), [])) == sorted(frame_ids)
    assert sorted(sum((parts["validation"] for parts in splits), [])) == sorted(frame_ids)


@pytest.mark.parametrize("folds", [3, 5, 8])
@pytest.mark.parametrize("sizes", [[1] * 8, [31, 10, *[4] * 5, *[2] * 9, *[1] * 10], [3, 3, 50, 2, 1, 1, 1, 9]])
def test_no_drive_is_in_two_parts_and_every_frame_is_tested_once(sizes, folds):
    frame_ids, drives = made_up(sizes)
    for seed in range(5):
        assert_sound(drive_split.split_by_drive(frame_ids, drives, folds, seed), frame_ids, drives)


def test_folds_are_balanced_by_frames():
    """The largest first, each to the emptiest: 31; 10, then 4 + 4 + ... The rest of 68 frames shared by four is 17."""
    frame_ids, drives = made_up([31, 10, *[4] * 5, *[3] * 4, *[2] * 7, *[1] * 12])
    assert len(frame_ids) == 99
    for seed in range(5):
        splits = drive_split.split_by_drive(frame_ids, drives, 5, seed)
        assert sorted(len(parts["test"]) for parts in splits) == [17, 17, 17, 17, 31]
        assert sorted(len(parts["validation"]) for parts in splits) == [17, 17, 17, 17, 31]


def test_few_large_and_many_small_drives():
    """By the number of drives, one of three groups would get 10 + 10 + 10 frames and another 1 + 1 + 1."""
    frame_ids, drives = made_up([10, 10, 10, 1, 1, 1, 1, 1, 1])
    splits = drive_split.split_by_drive(frame_ids, drives, 3, seed=0)
    assert [len(parts["test"]) for parts in splits] == [12, 12, 12]


def test_the_seed_decides_and_the_order_of_frames_does_not():
    frame_ids, drives = made_up([4, 4, 4, 2, 2, 2, 1, 1, 1])
    first = drive_split.split_by_drive(frame_ids, drives, 3, seed=1)
    assert drive_split.split_by_drive(frame_ids, drives, 3, seed=1) == first
    assert drive_split.split_by_drive(frame_ids, drives, 3, seed=2) != first
    turned = drive_split.split_by_drive(frame_ids[::-1], drives, 3, seed=1)
    assert [{part: found[::-1] for part, found in parts.items()} for parts in turned] == first


def test_drives_of_other_frames_change_nothing():
    frame_ids, drives = made_up([4, 4, 2, 2])
    more = {f"other_{place}": "d3" for place in range(9)} | {"another": "d9"} | drives
    assert drive_split.split_by_drive(frame_ids, more, 3, 0) == drive_split.split_by_drive(frame_ids, drives, 3, 0)


def test_a_planted_leak_is_named():
    frame_ids, drives = made_up([5, 4, 3, 2])
    for planted, source in [("train", "test"), ("validation", "train"), ("test", "validation")]:
        for parts in drive_split.split_by_drive(frame_ids, drives, 3, seed=0):
            assert drive_split.check_split(parts, drives) is None
            moved = parts[source][-1]
            leaked = parts | {planted: [*parts[planted], moved]}
            if len(parts[source]) > 1:  # as when frames, not drives, are split; else the frame itself is in both
                leaked[source] = parts[source][:-1]
            with pytest.raises(ValueError, match=f"drive {drives[moved]} is in") as caught:
                drive_split.check_split(leaked, drives)
            assert all(f" in {part} (frame" in str(caught.value) for part in (planted, source))
            assert moved in str(caught.value)


def test_a_leak_in_the_split_itself_would_be_found(monkeypatch):
    """If dealing out put a drive into two groups, nobody would get the split."""
    frame_ids, drives = made_up([5, 4, 3])
    monkeypatch.setattr(drive_split, "_deal_out", lambda *arguments: [{"d0"}, {"d0", "d1"}, {"d2"}])
    with pytest.raises(ValueError, match=r"drive d0 is in validation \(frame 000_0\) and in test \(frame 000_0\)"):
        drive_split.split_by_drive(frame_ids, drives, 3, seed=0)


def test_a_frame_without_a_drive_is_named():
    frame_ids, drives = made_up([5, 4, 3])
    with pytest.raises(ValueError, match="validation: the drive of frame 000777 is not known"):
        drive_split.check_split({"train": frame_ids, "validation": ["000777"]}, drives)
    with pytest.raises(ValueError, match="the drive of frame 000777 is not known"):
        drive_split.split_by_drive([*frame_ids, "000777"], drives, 3, seed=0)


def test_wrong_arguments_are_named():
    frame_ids, drives = made_up([5, 4, 3])
    for frames, folds, message in [
        ([*frame_ids, frame_ids[0]], 3, f"frame_ids holds {frame_ids[0]} more than once"),
        (frame_ids, 2, "folds must be at least 3"),
        (frame_ids, 4, "folds must be at most the number of drives, 3, got 4"),
        ([], 3, "folds must be at most the number of drives, 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            drive_split.split_by_drive(frames, drives, folds, seed=0)
    for folds, validation, message in [
        (1, 0, "folds must be at least 2"),
        (3, 2, "folds must be at least 4"),
        (3, -1, "validation must be at least 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            drive_split.split_by_drive(frame_ids, drives, folds, 0, validation)


def test_without_validation_more_is_left_for_training_and_the_test_is_the_same():
    frame_ids, drives = made_up([5, 4, 3, 3, 2, 2])
    usual, without, two = (drive_split.split_by_drive(frame_ids, drives, 4, 1, count) for count in (1, 0, 2))
    for own, more, fewer in zip(usual, without, two, strict=True):
        assert own["test"] == more["test"] == fewer["test"]
        assert more["validation"] == []
        assert sorted(more["train"]) == sorted(own["train"] + own["validation"])
        assert set(own["validation"]) < set(fewer["validation"])
        assert sorted(sum(fewer.values(), [])) == sorted(frame_ids)


@pytest.mark.skipif(not KITTI, reason="ROIDEPTH_KITTI is not set")
@pytest.mark.parametrize("folds", [3, 5])
def test_real_drives(folds):
    """29 drives; 32 of 99 frames are of one, the other 67 are shared evenly by the other folds."""
    drives = kitti.read_drives(Path(KITTI, "drives.tsv"))
    frame_ids = kitti.frame_ids(KITTI)
    for seed in range(3):
        splits = drive_split.split_by_drive(frame_ids, drives, folds, seed)
        assert_sound(splits, frame_ids, drives)
        assert sorted(len(parts["test"]) for parts in splits) == {3: [33, 33, 33], 5: [16, 17, 17, 17, 32]}[folds]
    with pytest.raises(ValueError, match="is in train .* and in test"):
        drive_split.check_split({"train": frame_ids[::2], "test": frame_ids[1::2]}, drives)


def test_of_several_frames_the_one_given_twice_is_named():
    frame_ids, drives = made_up([5, 4, 3])
    with pytest.raises(ValueError, match=f"frame_ids holds {frame_ids[4]} more than once"):
        drive_split.split_by_drive([*frame_ids, frame_ids[4]], drives, 3, seed=0)


def test_frames_of_a_drive_that_was_trained_on_are_refused_by_name():
    frame_ids, drives = made_up([3, 2, 2])
    assert drive_split.check_unseen(frame_ids, drives, ["d7", "d8"]) is None
    assert drive_split.check_unseen([], drives, ["d0"]) is None
    held_out = [frame for frame in frame_ids if drives[frame] != "d0"]
    assert drive_split.check_unseen(held_out, drives, iter(["d0", "d0"])) is None
    with pytest.raises(ValueError, match="trained on drive d1, of which frame 000_1 is held out"):
        drive_split.check_unseen(held_out, drives, ["d0", "d1"])
    with pytest.raises(ValueError, match="held out: the drive of frame 000777 is not known"):
        drive_split.check_unseen(["000777"], drives, [])
