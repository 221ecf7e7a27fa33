"""Measures a network on a folder in the KITTI layout: one dictionary with full words and units.

What is measured of each frame, and beside which labels, stands here; `measures` makes figures of it, `baselines` says
what could be had without the depth network.
"""

from dataclasses import dataclass

import numpy as np

from . import CLASSES, baselines, detection, kitti, metrics, roi
from .baselines import class_heights
from .dataset import NEIGHBOUR_OF
from .frames import DONT_CARE
from .measures import summarise, table

__all__ = [
    "FoundPatch", "class_heights", "evaluate", "found_objects", "found_patches", "match_objects", "measure_frame",
    "measure_frames", "summarise", "table", "true_regions",
]  # fmt: skip

LOWEST_KITTI_IMAGE = 370
"""Rows. In smaller images, such as streets, KITTI's least box heights shrink with the image."""


def evaluate(model, root, frame_ids=None, mode="auto", report=None):
    """Measures detection, distances, depth maps and the work of the depth head.

    Distances are measured on the objects above the model's threshold that match a label at IoU 0.5; average precision
    on everything that the network found.

    Where ``ROOT/drives.tsv`` says from which drive each frame is, intervals are over drives, and what a baseline learns
    it learns from other drives; else frames take the place of drives.

    Args:
        model: A `model.RoiDepth`, or what `export.load` gives.
        root: Folder in the KITTI layout.
        frame_ids: Which frames; default: all.
        mode: As in `RoiDepth.predict`.
        report: Called with (frames done, frames in all) after each frame.

    Returns:
        A dictionary that JSON can hold; see `measures.summarise`.

    Raises:
        FileNotFoundError, ValueError: if a file is missing or damaged, or ``drives.tsv`` doesn't know a frame.
    """
    frame_ids = kitti.frame_ids(root) if frame_ids is None else list(frame_ids)
    rows, groups, over = measure_frames(model, root, frame_ids, mode, report)
    return summarise(rows, mode, groups, over)


def measure_frames(model, root, frame_ids, mode="auto", report=None):
    """What :func:`evaluate` makes its figures of, for whoever compares two networks frame by frame.

    Returns:
        ``(rows, groups, over)``, the arguments of `measures.summarise`.
    """
    frame_ids = list(frame_ids)
    groups, over = _groups(root, frame_ids)
    rows = []
    for frame_id in frame_ids:
        frame = kitti.read_frame(root, frame_id)
        try:
            rows.append(measure_frame(model, frame, mode))
        except ValueError as error:  # an export is for photos of one size
            raise ValueError(f"{root}: frame {frame_id}: {error}") from error
        if report:
            report(len(rows), len(frame_ids))
    add_row_means(rows, root, frame_ids, groups)
    return rows, groups, over


def _groups(root, frame_ids):
    """The drive of each frame, or the frame itself, and which of the two: "drives" or "frames"."""
    path = kitti.drives_file(root)
    if not path.exists():
        return frame_ids, "frames"
    drives = kitti.read_drives(path)
    for frame_id in frame_ids:
        if frame_id not in drives:
            raise ValueError(f"{path} doesn't say from which drive frame {frame_id} is; add it, or remove the file")
    return [drives[frame_id] for frame_id in frame_ids], "drives"


def measure_frame(model, frame, mode):
    """What one frame contributes: arrays, not yet averaged."""
    prediction = model.predict(frame.image, frame.camera, mode)
    depth, truth = _true_depth(frame), true_regions(frame)
    candidates = prediction.candidates | {"distances": np.full(len(prediction.candidates["scores"]), np.nan)}
    decoded = None
    if depth is not None or (truth["distances"] > 0).any():
        # An object for each candidate, however uncertain, and the whole depth map.
        everything = model.predict(frame.image, frame.camera, "full", threshold=0.0, distinct=False)
        candidates["distances"] = np.array([each.distance_m for each in everything.objects], float)
        decoded = everything.depth
    return {
        "truth": truth,
        "kitti": _for_kitti_rules(frame, prediction.candidates),
        "candidates": candidates,
        "distinct": _distinct(prediction.candidates),
        "pairs": _matched_objects(frame, prediction),
        "depth": _depth_figures(frame, depth, decoded),
        "row_totals": baselines.row_totals(depth, frame.camera),
        "head_work": prediction.head_work,
    }


def add_row_means(rows, root, frame_ids, groups):
    """Adds the row-mean baseline to the rows, for which all frames must have been seen.

    The depth maps are read a second time: to keep those of a whole data set would need too much memory.
    """
    if not rows:
        return
    means = baselines.row_means_of_others([row["row_totals"] for row in rows], groups)
    for row, frame_id, group in zip(rows, frame_ids, groups, strict=True):
        frame = kitti.read_frame(root, frame_id)
        depth = _true_depth(frame)
        inside = None if depth is None else _inside_boxes(frame, depth)
        row["row_mean_depth"] = baselines.row_mean_errors(depth, frame.camera, inside, means[group])
        row["pairs"]["row_mean"] = baselines.depth_at(means[group], row["pairs"]["slope"])


def _true_depth(frame):
    """(height, width) metres, 0 where it is not known: the frame's own depth map, or LiDAR's; None without both."""
    if frame.depth is None and frame.points is not None:
        return frame.with_lidar_depth().depth
    return frame.depth


def _distinct(candidates):
    """The candidates that would be reported if their scores were high enough."""
    overlap = metrics.box_iou(candidates["boxes"], candidates["boxes"])
    once = detection.distinct(overlap, candidates["scores"])
    return {name: values[once] for name, values in candidates.items()}


def true_regions(frame):
    """Labels as `metrics.average_precision_with_distance` wants them; DontCare and neighbouring classes are ignored
    regions. Unknown distances are those of KITTI's files, negative.
    """
    boxes, labels, ignored, distances = [], [], [], []
    for each in frame.objects:
        if each.name in (*CLASSES, *NEIGHBOUR_OF, DONT_CARE):
            name = NEIGHBOUR_OF.get(each.name, each.name)
            boxes.append(each.box)
            labels.append(CLASSES.index(name) if name in CLASSES else -1)
            ignored.append(each.name not in CLASSES)
            distances.append(each.distance)
    return {
        "boxes": np.reshape(boxes, (-1, 4)),
        "labels": np.array(labels, int),
        "ignored": np.array(ignored, bool),
        "distances": np.array(distances, float),
    }


def _for_kitti_rules(frame, candidates):
    """Labels and detections as `kitti_rules.average_precision` wants them, in pixels of an image of KITTI's size."""
    enlarged = max(1.0, LOWEST_KITTI_IMAGE / frame.image.shape[0])
    labels = {
        "names": [each.name for each in frame.objects],
        "boxes": enlarged * np.reshape([each.box for each in frame.objects], (-1, 4)),
        "occlusion": [each.occlusion for each in frame.objects],
        "truncation": [each.truncation for each in frame.objects],
    }
    names = [CLASSES[label] for label in candidates["labels"]]
    return labels, {"names": names, "boxes": enlarged * candidates["boxes"], "scores": candidates["scores"]}


def match_objects(frame, objects):
    """Which found object is which labelled one: `metrics.match_boxes`, class by class.

    Args:
        frame: The `Frame` with labels.
        objects: What was found in it: things with ``name``, ``box`` and ``score``.

    Returns:
        A list of (index into `objects`, index into ``frame.objects``). A label whose centre lies behind the camera has
        no distance and is left out.
    """
    pairs = []
    for name in CLASSES:
        found = [index for index, each in enumerate(objects) if each.name == name]
        labels = [index for index, each in enumerate(frame.objects) if each.name == name]
        if found and labels:
            boxes, true_boxes = (
                np.array([of[index].box for index in indices])
                for of, indices in ((objects, found), (frame.objects, labels))
            )
            matches = metrics.match_boxes(boxes, np.array([objects[index].score for index in found]), true_boxes)
            pairs += [(found[which], labels[match]) for which, match in matches]
    return [(which, index) for which, index in pairs if frame.objects[index].distance > 0]


def found_objects(frames, predictions):
    """What the network says of every object that it found in some frames, as arrays, beside the labels that match.

    Args:
        frames: `Frame`s with labels.
        predictions: What `RoiDepth.predict` returned for each.

    Returns:
        A dict of arrays, n rows: ``frame``, index into `frames`; ``kind``, index into `CLASSES`; ``box`` (n, 4);
        ``position`` and ``dimensions`` (n, 3); ``yaw``; ``distance``, ``spread``, ``surface`` and ``instance``, the
        object's distances and the spread of the first; ``true_distance`` and ``true_surface`` of the label,
        ``true_position`` (n, 3), the centre of its bottom face, and ``true_yaw``; NaN where no label matches or nothing
        is known; ``moderate``, whether the label counts at KITTI's moderate level. Metres, pixels, radians.
    """
    names = {
        "box": "box", "position": "position_m", "dimensions": "dimensions_m", "yaw": "yaw", "distance": "distance_m",
        "spread": "distance_spread_m", "surface": "surface_distance_m", "instance": "instance_distance_m",
    }  # fmt: skip
    objects = [each for prediction in predictions for each in prediction.objects]
    table = {name: np.array([getattr(each, field) for each in objects], float) for name, field in names.items()}
    for name, size in (("box", 4), ("position", 3), ("dimensions", 3)):
        table[name] = table[name].reshape(-1, size)  # where nothing was found, too
    table["kind"] = np.array([CLASSES.index(each.name) for each in objects], int)
    counts = [len(prediction.objects) for prediction in predictions]
    table["frame"] = np.repeat(np.arange(len(counts)), counts)
    for name in ("true_distance", "true_surface", "true_yaw"):
        table[name] = np.full(len(objects), np.nan)
    table["true_position"] = np.full((len(objects), 3), np.nan)
    table["moderate"] = np.zeros(len(objects), bool)
    first = 0
    for frame, prediction in zip(frames, predictions, strict=True):
        for which, index in match_objects(frame, prediction.objects):
            label, surface = frame.objects[index], kitti.surface_distance(frame, index)
            table["true_distance"][first + which], table["true_yaw"][first + which] = label.distance, label.yaw
            table["true_position"][first + which] = label.location
            level = kitti.difficulty(label, min(1.0, frame.image.shape[0] / LOWEST_KITTI_IMAGE))
            table["moderate"][first + which] = level in ("easy", "moderate")
            table["true_surface"][first + which] = np.nan if surface is None else surface
        first += len(prediction.objects)
    return table


@dataclass(frozen=True)
class FoundPatch:
    """The pixels in the labelled box of an object that was found, each array (height, width, ...).

    Args:
        number: Index of the object in the frame.
        box: Of the label: left, top, right, bottom in pixels.
        decoded: From the depth head, 3 channels: log depth, log scale, mask logit.
        log_distance: Log depth of the object's centre as the detection head says.
        own: Which pixels show this object: bool, at least one.
        true: True depth in metres, 0 where there is none.
        photo: The photo's pixels.
    """

    number: int
    box: tuple
    decoded: np.ndarray
    log_distance: float
    own: np.ndarray
    true: np.ndarray
    photo: np.ndarray

    @property
    def hidden(self):
        """Share of the pixels that show something nearer than the object, by a tenth or more."""
        return float(np.mean((self.true > 0) & (self.true < 0.9 * self.true[self.own].min())))


def found_patches(model, frame, found, padded):
    """What the depth head says in the boxes of the labelled objects that were found, beside what is really there.

    Args:
        model: A `model.RoiDepth`.
        frame: A `Frame` with depth and instances: a drawn street.
        found, padded: What `RoiDepth.detect` returned for it.

    Returns:
        A list of `FoundPatch`, one for every object of `CLASSES` that was found at IoU 0.5 and shows a pixel. The full
        frame is decoded, in one window.
    """
    numbers = [number for number, each in enumerate(frame.objects) if each.name in CLASSES]
    boxes = np.reshape([frame.objects[number].box for number in numbers], (-1, 4))
    plan = roi.full_frame(boxes, *(size // roi.STRIDE for size in frame.image.shape[:2]), model.head_work)
    maps = model.decode(padded, plan)[0], frame.instances, frame.depth, frame.image
    patches = list(zip(*(roi.box_patches(boxes, plan, [each]) for each in maps), strict=True))
    log_distances = found["properties"][:, detection.OBJECT_FIELDS.index("log_distance")]
    matches = []
    for which, index in metrics.match_boxes(found["boxes"], found["scores"], boxes):
        decoded, instances, true, photo = patches[index]
        own = instances == numbers[index] + 1
        if own.any():
            box, expected = tuple(boxes[index].tolist()), float(log_distances[which])
            matches.append(FoundPatch(numbers[index], box, decoded, expected, own, true, photo))
    return matches


def _matched_objects(frame, prediction):
    """The rows of :func:`found_objects` that match a label, class by class, beside what the baselines say: arrays.

    ``box_height``; ``lidar_center``, ``lidar_surface``, ``lidar_speaks``, likewise ``lidar_alone_...``; ``slope``, of
    the row where the box ends.
    """
    found = found_objects([frame], [prediction])
    order = np.argsort(found["kind"], kind="stable")
    order = order[np.isfinite(found["true_distance"][order])]
    pairs = {name: values[order] for name, values in found.items()}
    focal_length = frame.camera.focal_length[1]
    pairs["box_height"] = metrics.box_height_distance(pairs["box"], pairs["kind"], class_heights(), focal_length)
    for rule, ask_camera in (("lidar", True), ("lidar_alone", False)):
        said = baselines.lidar_distances([frame], pairs, ask_camera)
        pairs |= {f"{rule}_{name}": values for name, values in said.items()}
    return pairs | {"slope": baselines.row_slopes(pairs["box"][:, 3], frame.camera)}


def _inside_boxes(frame, depth):
    """(height, width) bool: inside the boxes of the labelled objects of `CLASSES`."""
    return metrics.inside_boxes(np.reshape([each.box for each in frame.select(*CLASSES)], (-1, 4)), *depth.shape)


def _depth_figures(frame, depth, decoded):
    """Errors of the fully decoded depth map: on the whole image, and inside the labelled boxes."""
    if depth is None:
        return {part: metrics.depth_errors([], []) for part in ("image", "inside_boxes")}
    inside = _inside_boxes(frame, depth)
    return {
        "image": metrics.depth_errors(decoded, depth),
        "inside_boxes": metrics.depth_errors(decoded, depth, inside),
    }
