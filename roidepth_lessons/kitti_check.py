"""Walks a data set in the KITTI layout and lists what is damaged, missing or odd: every file is read once.

Damage is what training or measuring would stumble over or, worse, silently learn from. A hint is what may be meant so.
The limits are wide: all 7,432 label files of KITTI that were tried stay far within them (of 40,000 objects the farthest
is at 147 m, the longest 35 m, none reaches over the edge of its image, no row stands twice).
"""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import kitti
from .frames import DONT_CARE, UNKNOWN_ANGLE, UNKNOWN_LOCATION

KNOWN_CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", DONT_CARE)
"""The classes of KITTI's label files."""
LONGEST_OBJECT = 60.0
"""Metres: longer than any tram."""
FARTHEST_OBJECT = 300.0
"""Metres, in any direction."""
LARGEST_ANGLE = 2 * math.pi
"""Radians. More than that is most likely in degrees."""
MOST_AT_ORIGIN = 0.01
"""Share of a scan's points that may be (0, 0, 0), where the sensor itself is: more come from blocks of zeros."""
FEWEST_POINTS = 0.2
"""Share of the median number of points below which a scan looks cut short, though at a whole point."""


@dataclass
class Report:
    """What a walk through a data set found.

    Args:
        damage: A message for each damaged or missing file.
        hints: Messages about what is odd, or missing only for some purposes.
        frames, labels, scans: How many photos, label files and LiDAR scans there are.
        drives: How many recordings the frames are from; None if that is not known.
        sizes: Frames by image size, (width, height) in pixels.
        classes: Labelled objects by class.
    """

    damage: list = field(default_factory=list)
    hints: list = field(default_factory=list)
    frames: int = 0
    labels: int = 0
    scans: int = 0
    drives: int | None = None
    sizes: Counter = field(default_factory=Counter)
    classes: Counter = field(default_factory=Counter)

    def summary(self):
        """What there is, in a few lines."""
        sizes = ", ".join(f"{count} of {width}x{height}" for (width, height), count in self.sizes.most_common(6))
        sizes += f" and of {len(self.sizes) - 6} more sizes" * (len(self.sizes) > 6)
        drives = "drives not known" if self.drives is None else f"{self.drives} drives"
        classes = ", ".join(f"{name} {count}" for name, count in self.classes.most_common())
        return (
            f"frames: {self.frames}{f' ({sizes})' if sizes else ''}\n"
            f"label files: {self.labels}, LiDAR scans: {self.scans}, {drives}\n"
            f"objects: {classes or 'none'}"
        )


def check_dataset(root, split="training", progress=lambda done, total: None):
    """Reads every file below `root` once.

    A frame is whatever has a file in any of the folders; its photo, calibration and labels must be there, and its LiDAR
    scan if any other frame has one.

    Args:
        root: Folder in the KITTI layout.
        split: The folder below it.
        progress: Called with (done, total) after every frame.

    Returns:
        `Report`.
    """
    try:
        kitti.frame_ids(root, split)
    except FileNotFoundError as error:
        return Report(damage=[str(error)])
    folder = Path(root) / split
    found = {kind: _identifiers(folder, kind) for kind in ("image_2", "calib", *kitti.OPTIONAL_READERS)}
    report = Report(frames=len(found["image_2"]), labels=len(found["label_2"]), scans=len(found["velodyne"]))
    required = ["image_2", *(kind for kind in ("calib", "label_2") if found[kind])]
    required += ["velodyne"] if found["velodyne"] else []
    report.damage += [_missing_folder(folder, kind) for kind in ("calib", "label_2") if not found[kind]]
    frames, pictures, points = sorted(set().union(*found.values())), {}, {}
    for done, frame_id in enumerate(frames, start=1):
        missing = [kind for kind in required if frame_id not in found[kind]]
        report.damage += [f"{kitti.file_of(folder, kind, frame_id)} is missing" for kind in missing]
        parts = _check_frame(report, folder, frame_id, found)
        if "image_2" in parts:
            digest = hashlib.sha256(parts["image_2"]).digest()
            pictures.setdefault((parts["image_2"].shape, digest), []).append(frame_id)
        if "velodyne" in parts:
            points[frame_id] = len(parts["velodyne"])
        progress(done, len(frames))
    _add_hints(report, folder, pictures, points)
    _check_drives(report, kitti.drives_file(root), sorted(found["image_2"]))
    return report


def _identifiers(folder, kind):
    """Of the files of a kind, whichever are there."""
    suffix = kitti.file_of(folder, kind, "x").suffix
    paths = (path for path in (folder / kind).glob("*") if not path.name.startswith("."))
    return {path.stem for path in paths if (kitti.is_image(path) if kind == "image_2" else path.suffix == suffix)}


def _missing_folder(folder, kind):
    root = folder.resolve().parent
    # Beside ROOT, only an archive of KITTI's: any other folder there may be another data set.
    places = [*root.glob(f"*/{folder.name}/{kind}"), *root.parent.glob(f"data_object*/{folder.name}/{kind}")]
    elsewhere = [path for path in sorted(places) if path != folder.resolve() / kind and any(path.iterdir())]
    message = f"{folder / kind} is missing or holds no .txt file"
    return f"{message}; {elsewhere[0]} does: move it there" if elsewhere else message


def _check_frame(report, folder, frame_id, found):
    """Adds what is wrong with the files of one frame; returns those that can be read, by kind."""
    parts, before = {}, len(report.damage)
    readers = {
        "image_2": kitti.read_image,
        "calib": lambda path: kitti.read_calibration(path, with_lidar=frame_id in found["velodyne"]),
        **kitti.OPTIONAL_READERS,
    }
    paths = {kind: kitti.file_of(folder, kind, frame_id) for kind in readers}
    for kind, read in readers.items():
        if frame_id in found[kind]:
            try:
                parts[kind] = read(paths[kind])
            except (ValueError, OSError) as error:
                report.damage.append(str(error))
    twice = [path.name for path in paths["image_2"].parent.glob(f"{frame_id}.*") if kitti.is_image(path)]
    if len(twice) > 1:
        report.damage.append(f"{folder / 'image_2'} holds {' and '.join(sorted(twice))}: which is frame {frame_id}?")
    size = parts["image_2"].shape[:2] if "image_2" in parts else None
    if "label_2" in parts:
        report.classes.update(each.name for each in parts["label_2"])
        report.damage += _label_damage(parts["label_2"], size, paths["label_2"])
    if "velodyne" in parts:
        origin = np.mean(~parts["velodyne"][:, :3].any(axis=1))
        if origin > MOST_AT_ORIGIN:
            report.damage.append(f"{paths['velodyne']}: {origin:.0%} of its points are 0 0 0; was a part not written?")
    if size:
        report.sizes[size[::-1]] += 1
    if size and "calib" in parts:
        try:
            kitti.fitting_camera(parts["calib"], *size, paths["calib"], paths["image_2"])
            if len(report.damage) == before:
                # Every file is sound by itself; now, whether they fit together.
                kitti.assemble_frame(folder, frame_id, parts)
        except ValueError as error:
            report.damage.append(str(error))
    return parts


def _label_damage(objects, size, path):
    """A message for each row of a label file with an impossible value; `size`, if known, is (height, width)."""
    messages = []
    for number, each in enumerate(objects, start=1):
        problems = _box_problems(each.box, size)
        if each.name != DONT_CARE:
            problems += _object_problems(each)
        if objects.index(each) < number - 1:
            problems.append(f"the same as row {objects.index(each) + 1}")
        if problems:
            messages.append(f"{path}, row {number} ({each.name}): {'; '.join(problems)}")
    return messages


def _box_problems(box, size):
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        return [f"the box {box} is empty"]
    # A pixel of tolerance, for tools that give the outer edges of a box.
    if size and (min(left, top) < -1 or right > size[1] or bottom > size[0]):
        return [f"the box {box} lies outside of the image, {size[1]}x{size[0]} pixels"]
    return []


def _object_problems(each):
    problems = []
    if not (each.truncation == -1 or 0 <= each.truncation <= 1):
        problems.append(f"truncation {each.truncation:g} is not 0 to 1 or -1")
    if not -1 <= each.occlusion <= 3:
        problems.append(f"occlusion {each.occlusion} is not -1 to 3")
    if tuple(each.location) == UNKNOWN_LOCATION:
        return problems
    if not 0 < min(each.dimensions) <= max(each.dimensions) <= LONGEST_OBJECT:
        problems.append(f"height, width, length {each.dimensions} m are impossible")
    elif each.location[2] < -max(each.dimensions):
        problems.append(f"it lies behind the camera, at z = {each.location[2]:g} m")
    if max(abs(place) for place in each.location) > FARTHEST_OBJECT:
        problems.append(f"the place {each.location} m is farther than {FARTHEST_OBJECT:.0f} m")
    angles = [angle for angle in (each.alpha, each.yaw) if angle != UNKNOWN_ANGLE]
    if any(abs(angle) > LARGEST_ANGLE for angle in angles):
        problems.append(f"the angles {angles} are not radians; degrees?")
    return problems


def _add_hints(report, folder, pictures, points):
    for same in pictures.values():
        if len(same) > 1:
            report.hints.append(f"the photos of frames {', '.join(same)} are the same picture")
    usual = np.median(list(points.values())) if points else 0
    for frame_id, count in points.items():
        if count < FEWEST_POINTS * usual:
            path = kitti.file_of(folder, "velodyne", frame_id)
            report.hints.append(f"{path} holds {count} points, the others about {usual:.0f}; is it cut short?")
    for name in sorted(set(report.classes) - set(KNOWN_CLASSES)):
        meant = [known for known in KNOWN_CLASSES if known.lower() == name.lower()]
        hint = f"KITTI writes {meant[0]}" if meant else f"KITTI has {', '.join(KNOWN_CLASSES)}"
        report.hints.append(f"class {name!r} of {report.classes[name]} objects is not known here and not used: {hint}")


def _check_drives(report, path, frame_ids):
    """Which frame is from which drive must be known to split by drive, but for nothing else: mostly hints."""
    purpose = "training and test can't be split by drive, and frames of one drive look alike"
    if not path.exists():
        if not path.with_name("streets.json").exists():  # every drawn street is a place of its own
            report.hints.append(
                f"no {path}: {purpose}. `python -m roidepth_lessons drives DEVKIT ROOT` makes it of KITTI's mapping; "
                "its columns, between tabs: frame_id, raw_drive"
            )
        return
    try:
        drives = kitti.read_drives(path)
    except (ValueError, OSError) as error:
        report.damage.append(str(error))
        return
    unknown = [frame_id for frame_id in frame_ids if frame_id not in drives]
    report.drives = len({drives[frame_id] for frame_id in frame_ids if frame_id in drives})
    if unknown:
        report.hints.append(
            f"{path} doesn't name {len(unknown)} of {len(frame_ids)} frames, {unknown[0]} first: {purpose}"
        )
