"""Splits frames into training, validation and test by the drive they come from, so that nothing leaks.

Frames of one drive look alike: a network that has trained on one half of a drive has nearly seen the other. A split by
frames would make test figures too good.

>>> drives = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b", "c1": "c"}
>>> for parts in split_by_drive(["a1", "a2", "a3", "b1", "b2", "c1"], drives, folds=3, seed=0):
...     print(parts)
{'train': ['c1'], 'validation': ['b1', 'b2'], 'test': ['a1', 'a2', 'a3']}
{'train': ['a1', 'a2', 'a3'], 'validation': ['c1'], 'test': ['b1', 'b2']}
{'train': ['b1', 'b2'], 'validation': ['a1', 'a2', 'a3'], 'test': ['c1']}
>>> check_split({"train": ["a1", "b1"], "test": ["a2"]}, drives)
Traceback (most recent call last):
ValueError: drive a is in train (frame a1) and in test (frame a2): frames of one drive look alike, keep them in one part
"""

import numpy as np

PARTS = ("train", "validation", "test")


def split_by_drive(frame_ids, drives, folds, seed, validation=1):
    """Cross-validation over drives: every frame is tested once, by a network that saw nothing of its drive.

    The drives are dealt out into `folds` groups, the largest first, each to the group that has the fewest frames
    (Graham, "Bounds on multiprocessing timing anomalies", 1969). Fold i tests on group i, validates on the next, the
    first after the last, and trains on the rest.

    Args:
        frame_ids: Identifiers, each once.
        drives: Dictionary from frame identifier to drive, as `kitti.read_drives` returns it; it may know more frames.
        folds: How many, at least 3; without validation, at least 2.
        seed: Decides in which order drives of the same number of frames are dealt out. The same seed, the same split.
        validation: How many groups each fold validates on; 0 where nothing is chosen, to leave more for training.

    Returns:
        A list of `folds` dictionaries with the lists ``train``, ``validation`` and ``test`` of frame identifiers, in
        the order of `frame_ids`. Each has passed :func:`check_split`.

    Raises:
        ValueError: if a frame is given twice or has no known drive, if there are too few folds, or fewer drives than
            folds, or if `validation` is negative.
    """
    frame_ids = list(frame_ids)
    if len(set(frame_ids)) < len(frame_ids):
        twice = next(each for each in frame_ids if frame_ids.count(each) > 1)
        raise ValueError(f"frame_ids holds {twice} more than once; give every frame once")
    if validation < 0:
        raise ValueError(f"validation must be at least 0 groups, got {validation}")
    if folds < 2 + validation:
        raise ValueError(f"folds must be at least {2 + validation}, for training, validation and test, got {folds}")
    frames_of = _frames_by_drive({"frame_ids": frame_ids}, drives)
    if len(frames_of) < folds:
        raise ValueError(f"folds must be at most the number of drives, {len(frames_of)}, got {folds}")
    groups = _deal_out({drive: len(found) for drive, found in frames_of.items()}, folds, seed)
    splits = []
    for fold in range(folds):
        choosing = set().union(*(groups[(fold + step) % folds] for step in range(1, validation + 1)))
        held_out = {"validation": choosing, "test": groups[fold]}
        split = {"train": set(frames_of).difference(*held_out.values()), **held_out}
        parts = {part: [each for each in frame_ids if drives[each] in chosen] for part, chosen in split.items()}
        check_split(parts, drives)
        splits.append(parts)
    return splits


def check_split(parts, drives):
    """Raises an error if two parts of a split share a drive; returns nothing.

    Args:
        parts: Dictionary from the name of a part, for instance ``train``, to its frame identifiers.
        drives: Dictionary from frame identifier to drive.

    Raises:
        ValueError: if a drive is in two parts: names the drive, both parts and a frame of each. If a frame has no known
            drive: names the frame and the part.
    """
    for drive, frames in _frames_by_drive(parts, drives).items():
        (part, frame), *others = frames
        for other_part, other_frame in others:
            if other_part != part:
                raise ValueError(
                    f"drive {drive} is in {part} (frame {frame}) and in {other_part} (frame {other_frame}): "
                    "frames of one drive look alike, keep them in one part"
                )


def check_unseen(frame_ids, drives, seen):
    """Raises an error if a network has been trained on a drive of these frames; returns nothing.

    Args:
        frame_ids: Frames that are to be held out, for choosing or for reporting.
        drives: Dictionary from frame identifier to drive.
        seen: The drives that the network, or the one it began from, was trained on.

    Raises:
        ValueError: if one of the frames is of such a drive, or if its drive is not known; names both.
    """
    seen = set(seen)
    for drive, frames in _frames_by_drive({"held out": frame_ids}, drives).items():
        if drive in seen:
            raise ValueError(
                f"the weights have been trained on drive {drive}, of which frame {frames[0][1]} is held out: what is "
                "measured on it would be too good"
            )


def _frames_by_drive(parts, drives):
    """Dictionary from drive to (part, frame identifier) of all its frames."""
    frames_of = {}
    for part, frame_ids in parts.items():
        for frame in frame_ids:
            if frame not in drives:
                raise ValueError(f"{part}: the drive of frame {frame} is not known; add it to drives (drives.tsv)")
            frames_of.setdefault(drives[frame], []).append((part, frame))
    return frames_of


def _deal_out(sizes, folds, seed):
    """Groups of drives with about the same number of frames: a list of sets."""
    names = sorted(sizes)  # whatever the order of the frames
    shuffled = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    groups, frames = [set() for _ in range(folds)], [0] * folds
    for drive in sorted(shuffled, key=lambda each: -sizes[each]):
        emptiest = frames.index(min(frames))
        groups[emptiest].add(drive)
        frames[emptiest] += sizes[drive]
    return groups
