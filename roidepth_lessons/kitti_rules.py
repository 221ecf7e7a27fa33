"""Average precision by the rules of KITTI's object benchmark: what counts, what is ignored, what is a false alarm.

Written from the benchmark's description and from what ``evaluate_object.cpp`` of its development kit does (Geiger, Lenz
and Urtasun, "Are we ready for autonomous driving?", CVPR 2012), as it stands since April 2017, when detections got a
least height; with the 40 recall positions that KITTI took over in October 2019 (Simonelli et al., "Disentangling
Monocular 3D Object Detection", ICCV 2019). COCO's rules differ: see `metrics.average_precision`.

Two cars and a false alarm; a region in which nobody labelled anything swallows another. The second car is found behind
the false alarm, with precision 2/3, so that half of the 40 positions have precision 1, and half 2/3:

>>> labels = [{
...     "names": ["Car", "Car", "DontCare"], "boxes": [[0, 0, 60, 50], [100, 0, 160, 50], [300, 0, 400, 90]],
...     "occlusion": [0, 0, -1], "truncation": [0.0, 0.1, -1.0],
... }]
>>> found = [{
...     "names": ["Car"] * 4, "scores": [0.9, 0.8, 0.7, 0.6],
...     "boxes": [[0, 0, 60, 48], [310, 0, 370, 50], [200, 0, 260, 50], [102, 0, 160, 50]],
... }]
>>> moderate = (25, 1, 0.30)
>>> round(average_precision(labels, found, "Car", moderate, overlap=0.7, neighbours=["Van"]), 4)
0.8333
"""

from dataclasses import dataclass

import numpy as np

DONT_CARE = "DontCare"
"""The name of regions in which nobody labelled anything."""
POSITIONS = 40
"""Precision is read at the recalls 1/40, 2/40, ... 1."""


def average_precision(labels, detections, name, level, overlap, neighbours=()):
    """KITTI's average precision R40 of one class at one level of difficulty.

    - A label of the class counts if its box is at least as high as the level says and if it is no more occluded and no
      more cut off than the level allows. All others of the class, and those of neighbouring classes, are ignored:
      whether they are found or not, nothing is lost or won. Labels of other classes are not there at all.
    - A label can take a detection whose intersection over union with it is above `overlap`. Each takes one at most, and
      each detection is taken once; labels choose in their order.
    - Detections lower than the least height are ignored. A label that takes one is neither hit nor miss.
    - First pass: each label takes the most certain detection. The scores of the hits, from high to low, say at which
      threshold each recall is reached; for each of the 40 positions the one whose recall comes nearest is used.
    - Second pass, for each of these thresholds, with the detections from there up: each label takes the detection that
      it overlaps most, an ignored one only if there is no other. What nobody takes is a false alarm, unless it is too
      low or lies in a DontCare region by more than the share `overlap` of its own area.
    - Precision is hits / (hits + false alarms). A position gets the best precision there or at a later one, and 0
      beyond the last hit. The result is the mean over the positions.

    The devkit gives each hit one position at most, so that ten cars found without an error would get 9/40. Here, with
    40 labels or fewer, a hit stands for all positions up to its recall. With more labels nothing differs.

    Args:
        labels: One dict per image: ``names`` (n,), ``boxes`` (n, 4) left, top, right, bottom in pixels, ``occlusion``
            (n,) KITTI's levels 0 to 3, ``truncation`` (n,) 0 to 1. Of DontCare only the box is looked at.
        detections: One dict per image, in the same order: ``names`` (n,), ``boxes`` (n, 4), ``scores`` (n,).
        name: The class.
        level: (least height in pixels, largest occlusion, largest truncation), as in `kitti.DIFFICULTIES`.
        overlap: KITTI has 0.7 for cars and 0.5 for pedestrians and cyclists.
        neighbours: Classes so like this one that finding them is no mistake: Van for Car, Person_sitting for
            Pedestrian.

    Returns:
        0 to 1; None if no label counts.

    Raises:
        ValueError: if the lists differ in length, or an array is malformed or not finite; names image and field.
    """
    frames = _sorted_out(labels, detections, name, level, overlap, neighbours)
    count = sum(int((~each.label_ignored).sum()) for each in frames)
    if count == 0:
        return None
    thresholds = _thresholds([score for each in frames for score in each.scores_of_hits()], count)
    known = {threshold: _precision(frames, threshold) for threshold in set(thresholds)}
    return _mean([known[threshold] for threshold in thresholds])


def resampled(labels, detections, name, level, overlap, times, neighbours=()):
    """:func:`average_precision` of many samples of the same images, for a bootstrap.

    What happens in one image at one threshold is worked out once, for all samples.

    Args:
        labels, detections, name, level, overlap, neighbours: As for :func:`average_precision`.
        times: (samples, images) whole numbers: how often each image stands in each sample.

    Returns:
        (samples,) float64, each what :func:`average_precision` says of that many copies of the images; NaN where no
        label counts.

    Raises:
        ValueError: as :func:`average_precision`, and if `times` has another shape or is not whole or negative.
    """
    times = np.asarray(times)
    if times.ndim != 2 or times.shape[1] != len(labels) or times.dtype.kind not in "iu" or (times < 0).any():
        raise ValueError(f"times must be whole numbers, not negative, (samples, {len(labels)}), got {times.shape}")
    frames = _sorted_out(labels, detections, name, level, overlap, neighbours)
    counts = times @ np.array([int((~each.label_ignored).sum()) for each in frames], int)
    hits = [(score, image) for image, each in enumerate(frames) for score in each.scores_of_hits()]
    scores_of_hits, image_of_hit = np.array(hits).reshape(-1, 2).T
    steps = np.concatenate([each.steps(image) for image, each in enumerate(frames)] or [np.zeros((0, 4))])
    scores, image_of, *changes = steps[np.argsort(-steps[:, 0], kind="stable")].T
    image_of, image_of_hit = image_of.astype(int), image_of_hit.astype(int)

    precisions = np.full(len(times), np.nan)
    for sample in np.flatnonzero(counts):
        repeated = np.repeat(scores_of_hits, times[sample, image_of_hit])
        thresholds = np.array(_thresholds(repeated.tolist(), int(counts[sample])))
        last = np.searchsorted(-scores, -thresholds, side="right") - 1
        right, wrong = (np.cumsum(change * times[sample, image_of])[last] for change in changes)
        precisions[sample] = _mean(right / np.maximum(right + wrong, 1))
    return precisions


def _sorted_out(labels, detections, name, level, overlap, neighbours):
    """A `_Frame` for every image."""
    if len(labels) != len(detections):
        raise ValueError(f"labels are for {len(labels)} images, detections for {len(detections)}: pass one per image")
    if not 0 < overlap < 1:
        raise ValueError(f"overlap must lie between 0 and 1, e.g. 0.7, got {overlap}")
    if len(level) != 3:
        raise ValueError(f"level must be (least height, largest occlusion, largest truncation), got {level}")
    if isinstance(neighbours, str):
        raise ValueError(f"neighbours must be a list of classes, got the text {neighbours!r}: write [{neighbours!r}]")
    return [
        _sort_out(
            _checked(label, f"labels[{i}]", ("occlusion", "truncation")),
            _checked(found, f"detections[{i}]", ("scores",)),
            name, level, overlap, neighbours,
        )
        for i, (label, found) in enumerate(zip(labels, detections, strict=True))
    ]  # fmt: skip


def _mean(precisions):
    """Of the precisions at the thresholds for the recalls 0, 1/40, ... as far as the hits reach."""
    precision = np.zeros(POSITIONS + 1)  # the first doesn't count
    precision[: len(precisions)] = precisions
    still_to_come = np.maximum.accumulate(precision[::-1])[::-1]
    return float(still_to_come[1:].mean())


@dataclass(frozen=True)
class _Frame:
    """What matters of one image for one class and level: n labels, m detections.

    Args:
        near: (n, m) bool, whether a label can take a detection.
        overlaps: (n, m) intersection over union, 0 for ignored detections.
        label_ignored: (n,) bool.
        scores: (m,).
        ignored: (m,) bool, too low.
        excused: (m,) bool, no false alarm if nobody takes it.
    """

    near: np.ndarray
    overlaps: np.ndarray
    label_ignored: np.ndarray
    scores: np.ndarray
    ignored: np.ndarray
    excused: np.ndarray

    def scores_of_hits(self):
        """The first pass: labels take the most certain detection."""
        taken, hit = self._take(np.broadcast_to(self.scores, self.near.shape), np.ones(len(self.scores), bool))
        return self.scores[taken[hit]].tolist()

    def hits_and_false_alarms(self, threshold):
        """The second pass: labels take what they overlap most, of the detections from a score up."""
        shown = self.scores >= threshold
        # Where every candidate is ignored, all overlaps are 0 and argmax takes the first, as the devkit does.
        taken, hit = self._take(self.overlaps, shown)
        left = shown & ~self.excused
        left[taken[taken >= 0]] = False
        return int(hit.sum()), int(left.sum())

    def steps(self, image):
        """Rows of score, `image`, hits and false alarms that come when the threshold falls to that score."""
        scores = np.unique(self.scores)[::-1]
        counts = np.array([self.hits_and_false_alarms(threshold) for threshold in scores]).reshape(-1, 2)
        changes = np.diff(counts, axis=0, prepend=np.zeros((1, 2), int))
        return np.column_stack([scores, np.full(len(scores), image), changes])

    def _take(self, preference, free):
        """The detection that each label takes, (n,) indices, -1 for none; and whether that is a hit, (n,) bool."""
        taken, free = np.full(len(self.near), -1), free.copy()
        for label, near in enumerate(self.near):
            candidates = np.flatnonzero(near & free)
            if candidates.size:
                taken[label] = candidates[np.argmax(preference[label, candidates])]
                free[taken[label]] = False
        hit = (taken >= 0) & ~self.label_ignored
        hit[hit] = ~self.ignored[taken[hit]]
        return taken, hit


def _sort_out(labels, found, name, level, overlap, neighbours):
    """The `_Frame` of one image: labels and detections that have to do with the class."""
    least_height, most_occlusion, most_truncation = level
    boxes, names = labels["boxes"], labels["names"]
    beyond = (
        (boxes[:, 3] - boxes[:, 1] < least_height)
        | (labels["occlusion"] > most_occlusion)
        | (labels["truncation"] > most_truncation)
    )
    alike = np.isin(names, [name, *neighbours])
    low = found["boxes"][:, 3] - found["boxes"][:, 1] < least_height
    # The devkit asks for the height before the class: low detections of all classes are ignored, they are not absent.
    kept = low | (found["names"] == name)
    found_boxes, low = found["boxes"][kept], low[kept]

    inside, area = _intersection(boxes[names == DONT_CARE], found_boxes), _area(found_boxes)
    common = _intersection(boxes[alike], found_boxes)
    overlaps = _ratio(common, _area(boxes[alike])[:, None] + area - common)
    return _Frame(
        near=overlaps > overlap,
        overlaps=np.where(low, 0.0, overlaps),
        label_ignored=(beyond | (names != name))[alike],
        scores=found["scores"][kept],
        ignored=low,
        excused=low | (_ratio(inside, area) > overlap).any(axis=0),
    )


def _thresholds(scores, count):
    """The thresholds for the recalls 0, 1/40, ... as far as the hits reach: those of the hits that come nearest."""
    thresholds, position = [], 0.0
    for hits, score in enumerate(sorted(scores, reverse=True), start=1):
        recall, next_recall = hits / count, (hits + 1) / count
        if hits < len(scores) and next_recall - position < position - recall:
            continue
        thresholds.append(score)
        # Added up as in the devkit, so that what lies halfway between two hits is rounded to the same side.
        position += 1 / POSITIONS
        # Never true with more than 40 labels.
        while hits * POSITIONS >= len(thresholds) * count:
            thresholds.append(score)
            position += 1 / POSITIONS
    return thresholds


def _precision(frames, threshold):
    hits, false_alarms = np.sum([each.hits_and_false_alarms(threshold) for each in frames], axis=0)
    # Both are 0 if ignored labels now take what were hits in the first pass.
    return float(hits / (hits + false_alarms)) if hits else 0.0


def _intersection(boxes, others):
    """(n, m) pixels that boxes share."""
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.prod(np.maximum(bottom_right - top_left, 0), axis=-1)


def _area(boxes):
    return np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1)


def _ratio(part, whole):
    """Shares of the whole; 0 for boxes without area."""
    whole = np.broadcast_to(whole, part.shape)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def _checked(one, where, numbers):
    """The arrays of one image: names, boxes and columns of numbers, of one length."""
    missing = [field for field in ("names", "boxes", *numbers) if field not in one]
    if missing:
        raise ValueError(f"{where} has no {missing[0]!r}; it must have names, boxes, {', '.join(numbers)}, one per box")
    boxes = np.asarray(one["boxes"], dtype=np.float64)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"{where}['boxes'] must be finite and (n, 4), left, top, right, bottom; got {boxes.shape}")
    if (wrong := (boxes[:, 2:] < boxes[:, :2]).any(axis=1)).any():
        first = int(np.argmax(wrong))
        raise ValueError(f"{where}['boxes']: box {first} ends before it begins: {boxes[first].tolist()}")
    checked = {"names": np.asarray(one["names"], dtype=object), "boxes": boxes}
    checked |= {field: np.asarray(one[field], dtype=np.float64) for field in numbers}
    for field, values in checked.items():
        if len(values.shape) != (2 if field == "boxes" else 1) or len(values) != len(boxes):
            raise ValueError(
                f"{where}[{field!r}] must have one entry for each of {len(boxes)} boxes, got {values.shape}"
            )
        if field in numbers and not np.isfinite(values).all():
            raise ValueError(f"{where}[{field!r}] must be finite numbers, got {values.tolist()}")
    return checked
