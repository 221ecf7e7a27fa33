"""Measures a network on a folder in the KITTI layout: one dictionary with full words and units."""

from dataclasses import dataclass

import numpy as np

from . import CLASSES, detection, kitti, kitti_rules, label_statistics, metrics, roi
from .dataset import NEIGHBOUR_OF
from .frames import DONT_CARE

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 19))
"""The lowest scores that are tried: 0.1 to 0.9."""
LOWEST_KITTI_IMAGE = 370
"""Rows. In smaller images, such as streets, KITTI's least box heights shrink with the image."""


def evaluate(model, root, frame_ids=None, mode="auto", report=None):
    """Measures detection, distances, depth maps and the work of the depth head.

    Distances are measured on the objects above the model's threshold that match a label at IoU 0.5; average precision
    on everything that the network found.

    Args:
        model: A `model.RoiDepth`.
        root: Folder in the KITTI layout.
        frame_ids: Which frames; default: all.
        mode: As in `RoiDepth.predict`.
        report: Called with (frames done, frames in all) after each frame.

    Returns:
        A dictionary that JSON can hold; see :func:`summarise`.
    """
    frame_ids = kitti.frame_ids(root) if frame_ids is None else list(frame_ids)
    rows = []
    for frame_id in frame_ids:
        rows.append(measure_frame(model, kitti.read_frame(root, frame_id), mode))
        if report:
            report(len(rows), len(frame_ids))
    return summarise(rows, mode)


def measure_frame(model, frame, mode):
    """What one frame contributes: arrays, not yet averaged."""
    prediction = model.predict(frame.image, frame.camera, mode)
    truth = [index for index, each in enumerate(frame.objects) if each.name in CLASSES]
    return {
        "truth": true_regions(frame),
        "kitti": _for_kitti_rules(frame, prediction.candidates),
        "candidates": prediction.candidates,
        "distinct": _distinct(prediction.candidates),
        "pairs": _matched_objects(frame, prediction),
        "depth": _depth_figures(model, frame, truth, prediction if mode == "full" else None),
        "head_work": prediction.head_work,
    }


def _distinct(candidates):
    """The candidates that would be reported if their scores were high enough."""
    overlap = metrics.box_iou(candidates["boxes"], candidates["boxes"])
    once = detection.distinct(overlap, candidates["scores"])
    return {name: values[once] for name, values in candidates.items()}


def true_regions(frame):
    """Labels as `metrics.average_precision` wants them; DontCare and neighbouring classes are ignored regions."""
    boxes, labels, ignored = [], [], []
    for each in frame.objects:
        if each.name in (*CLASSES, *NEIGHBOUR_OF, DONT_CARE):
            name = NEIGHBOUR_OF.get(each.name, each.name)
            boxes.append(each.box)
            labels.append(CLASSES.index(name) if name in CLASSES else -1)
            ignored.append(each.name not in CLASSES)
    return {"boxes": np.reshape(boxes, (-1, 4)), "labels": np.array(labels, int), "ignored": np.array(ignored, bool)}


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


def _kitti_precision(rows):
    """``{class: {"ap50_easy", ...}}``: `kitti_rules.average_precision` at both overlaps and all levels."""
    labels, found = ([row["kitti"][side] for row in rows] for side in (0, 1))
    precision = {}
    for name in CLASSES:
        neighbours = [other for other, of in NEIGHBOUR_OF.items() if of == name]
        precision[name] = {
            f"ap{percent}_{level}": kitti_rules.average_precision(
                labels, found, name, limits, percent / 100, neighbours
            )
            for percent in (50, 70)
            for level, *limits in kitti.DIFFICULTIES
        }
    return precision


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
        ``true_yaw``; NaN where no label matches or nothing is known. Metres, pixels, radians.
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
    first = 0
    for frame, prediction in zip(frames, predictions, strict=True):
        for which, index in match_objects(frame, prediction.objects):
            label, surface = frame.objects[index], kitti.surface_distance(frame, index)
            table["true_distance"][first + which], table["true_yaw"][first + which] = label.distance, label.yaw
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
    """Rows of class, true centre, true surface (NaN where unseen), predicted centre and surface, box-height baseline,
    instance distance; class by class.
    """
    table = found_objects([frame], [prediction])
    order = np.argsort(table["kind"], kind="stable")
    order = order[np.isfinite(table["true_distance"][order])]
    kinds, boxes = table["kind"][order], table["box"][order]
    baseline = metrics.box_height_distance(boxes, kinds, class_heights(), frame.camera.focal_length[1])
    columns = ("true_distance", "true_surface", "distance", "surface")
    return np.column_stack([kinds, *(table[name][order] for name in columns), baseline, table["instance"][order]])


def class_heights():
    """Metres per class, for distance = focal length * height / box height: fitted to KITTI's labels, not the mean."""
    statistics = label_statistics.kitti_statistics()["classes"]
    return [statistics[name]["apparent_height"] for name in CLASSES]


def _depth_figures(model, frame, truth, prediction=None):
    """Errors of the fully decoded depth map: on the whole image, and inside the labelled boxes."""
    if frame.depth is None and frame.points is None:
        return {part: metrics.depth_errors([], []) for part in ("image", "inside_boxes")}
    depth = frame.depth if frame.depth is not None else frame.with_lidar_depth().depth
    decoded = (prediction or model.predict(frame.image, frame.camera, "full")).depth
    boxes = np.reshape([frame.objects[index].box for index in truth], (-1, 4))
    inside = metrics.inside_boxes(boxes, *depth.shape)
    return {
        "image": metrics.depth_errors(decoded, depth),
        "inside_boxes": metrics.depth_errors(decoded, depth, inside),
    }


def _pooled(figures):
    """Errors over the pixels of all frames, from the errors of each frame: nobody has to keep a billion pixels.

    ``silog`` can't be put together from parts exactly; it is the mean over the frames, as in KITTI's depth benchmark.
    """
    figures = [each for each in figures if each["count"] > 0]
    if not figures:
        return metrics.depth_errors([], [])
    counts = np.array([each["count"] for each in figures])
    pooled = {"count": int(counts.sum())}
    for name in metrics.DEPTH_ERRORS:
        values = np.array([each[name] for each in figures])
        if name.startswith("rmse"):
            pooled[name] = float(np.average(values**2, weights=counts) ** 0.5)
        else:
            pooled[name] = float(np.mean(values) if name == "silog" else np.average(values, weights=counts))
    return pooled


def summarise(rows, mode):
    """Rows of :func:`measure_frame` to one dictionary.

    Returns:
        ``frames``; ``mode``; ``detection.<Class>.{ap50, ap, count}`` by COCO's rules, 0 to 1, and
        ``detection.<Class>.{ap50, ap70}_{easy, moderate, hard}`` by KITTI's, at overlaps of 0.5 and 0.7 for all classes
        (`kitti_rules.average_precision`; least box heights shrink with images lower than 370 rows); ``by_threshold``,
        rows of `metrics.detection_errors` for what would be reported at other thresholds; ``distance.{all, <Class>}``
        of `metrics.distance_errors` against the label's z (the box centre) and ``distance.by_range``;
        ``distance_surface`` likewise against the visible surface; ``distance_instance`` for the detection head alone;
        ``baseline_box_height`` for z = f H / h on the same detections, with H fitted to KITTI's labels
        (:func:`class_heights`); ``depth.{image, inside_boxes}`` of
        `metrics.depth_errors` over the pixels of all frames (``silog``: mean over the frames);
        ``head_work.{mean, max}`` as a share of full decoding. What can't be measured is None.
    """
    truths = [row["truth"] for row in rows]
    pairs = np.concatenate([row["pairs"] for row in rows]) if rows else np.zeros((0, 7))
    work = [row["head_work"] for row in rows]
    by_coco = metrics.average_precision(truths, [row["candidates"] for row in rows], list(CLASSES))
    by_kitti = _kitti_precision(rows)
    return {
        "frames": len(rows),
        "mode": mode,
        "detection": {name: by_coco[name] | by_kitti[name] for name in CLASSES},
        "by_threshold": metrics.detection_errors(truths, [row["distinct"] for row in rows], list(CLASSES), THRESHOLDS),
        "distance": _distance_figures(pairs, predicted=3, true=1),
        "distance_surface": _distance_figures(pairs, predicted=4, true=2),
        "distance_instance": _distance_figures(pairs, predicted=6, true=1),
        "baseline_box_height": _distance_figures(pairs, predicted=5, true=1),
        "depth": {part: _pooled([row["depth"][part] for row in rows]) for part in ("image", "inside_boxes")},
        "head_work": {"mean": float(np.mean(work)), "max": float(np.max(work))}
        if work
        else {"mean": None, "max": None},
    }


def _distance_figures(pairs, predicted, true):
    pairs = pairs[np.isfinite(pairs[:, true])]
    figures = {"all": metrics.distance_errors(pairs[:, predicted], pairs[:, true])}
    relative = np.abs(pairs[:, predicted] / pairs[:, true] - 1)
    figures["all"]["abs_rel_interval"] = metrics.bootstrap_interval(relative) if len(relative) > 1 else None
    for label, name in enumerate(CLASSES):
        of_class = pairs[pairs[:, 0] == label]
        figures[name] = metrics.distance_errors(of_class[:, predicted], of_class[:, true])
    figures["by_range"] = metrics.distance_errors_by_range(pairs[:, predicted], pairs[:, true])
    return figures


def table(figures):
    """The main figures as lines of text."""

    def percent(value):
        return "   -  " if value is None else f"{100 * value:5.1f} %"

    lines = [f"{'':12}{'AP50':>8}{'AP':>9}{'labelled':>10}   {'distance error (centre, surface)':>34}"]
    for name in CLASSES:
        found = figures["detection"][name]
        centre, surface = (figures[kind][name]["abs_rel"] for kind in ("distance", "distance_surface"))
        lines.append(
            f"{name:<12}{percent(found['ap50']):>8}{percent(found['ap']):>9}{found['count']:>10}"
            f"{percent(centre):>24}{percent(surface):>10}"
        )
    centre, surface, baseline = (
        figures[kind]["all"]["abs_rel"] for kind in ("distance", "distance_surface", "baseline_box_height")
    )
    depth = figures["depth"]
    best = max(figures["by_threshold"], key=lambda each: each["f1"] or 0)
    by_kitti = {
        name: " / ".join(percent(figures["detection"][name][f"{key}_moderate"]).strip() for key in ("ap50", "ap70"))
        for name in CLASSES
    }
    lines += [
        f"{'all':<12}{'':27}{percent(centre):>24}{percent(surface):>10}",
        f"AP by KITTI's rules, moderate, overlap 0.5 / 0.7: {', '.join(' '.join(each) for each in by_kitti.items())}",
        f"most hits for the fewest false alarms (F1 {percent(best['f1']).strip()}): threshold {best['threshold']:.2f}",
        f"box height alone (z = f H / h), same objects: {percent(baseline)}",
        f"depth map, AbsRel: image {percent(depth['image']['abs_rel'])}, inside boxes "
        f"{percent(depth['inside_boxes']['abs_rel'])}",
        f"work of the depth head: mean {percent(figures['head_work']['mean'])}, "
        f"most {percent(figures['head_work']['max'])} of the full frame",
    ]
    return "\n".join(lines)
