"""How good are boxes and distances? Average precision, depth errors, errors per object and per distance.

Every figure stands alone: nothing is rescaled by the truth's median, and a figure without anything to count is None.

>>> truths = [{"boxes": [[0, 0, 10, 10]], "labels": [0], "ignored": [False]}]
>>> detections = [{"boxes": [[0, 0, 10, 9]], "labels": [0], "scores": [0.8]}]
>>> round(average_precision(truths, detections, ["Car"])["Car"]["ap50"], 3)
1.0
>>> distance_errors(predicted=[11.0, 20.0], true=[10.0, 20.0])["abs_rel"]
0.05
"""

import contextlib
import io
import math

import numpy as np

DEPTH_ERRORS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "silog", "delta1", "delta2", "delta3")
DISTANCE_ERRORS = ("abs_rel", "median_error_m", "median_abs_rel", "rmse_m")
SIGNED_ERRORS = ("median_error_m", "mean_error_m", "bias_m")
RANGES = (0, 10, 20, 30, 40, 60, 100)
"""Bounds in metres of near and far."""


def box_iou(boxes, other_boxes):
    """Intersection over union of every box with every other box.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels.
        other_boxes: (m, 4), likewise.

    Returns:
        (n, m) float64, 0 to 1. A box without area overlaps nothing.

    Raises:
        ValueError: if the boxes are not finite (n, 4) arrays, or if a box ends before it begins.
    """
    boxes, other_boxes = _boxes(boxes, "boxes"), _boxes(other_boxes, "other_boxes")
    top_left = np.maximum(boxes[:, None, :2], other_boxes[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], other_boxes[None, :, 2:])
    intersection = np.prod(np.maximum(bottom_right - top_left, 0), axis=-1)
    area, other_area = (np.prod(each[:, 2:] - each[:, :2], axis=-1) for each in (boxes, other_boxes))
    union = area[:, None] + other_area[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def match_boxes(boxes, scores, true_boxes, threshold=0.5):
    """Pairs detections with true boxes, greedily: the most certain detection chooses first.

    Each detection takes the free true box that it overlaps most; each true box is taken once. Classes are not
    looked at: pass the boxes of one class at a time.

    Args:
        boxes: (n, 4) detected boxes, left, top, right, bottom in pixels.
        scores: (n,) confidence of each.
        true_boxes: (m, 4).
        threshold: The least intersection over union of a pair.

    Returns:
        (k, 2) int64: index of the detection, index of the true box; most certain first.

    Raises:
        ValueError: if the arrays do not fit together or are not finite.
    """
    overlap = box_iou(boxes, true_boxes)
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != overlap.shape[:1] or not np.isfinite(scores).all():
        raise ValueError(f"scores must be {overlap.shape[:1]} finite numbers, got shape {scores.shape}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1, got {threshold}")
    pairs = []
    for detection in np.argsort(-scores, kind="stable"):
        if overlap.shape[1] == 0:
            break
        truth = int(np.argmax(overlap[detection]))
        if overlap[detection, truth] >= threshold:
            pairs.append((int(detection), truth))
            overlap[:, truth] = -1
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def average_precision(truths, detections, class_names):
    """COCO's average precision, computed by pycocotools.

    All box sizes count, and at most 100 detections per image and class. An ignored region is neither hit nor miss:
    it is COCO's "crowd", which swallows any number of detections that lie in it by at least the IoU threshold's
    share of their own area.

    Args:
        truths: One dict per image: ``boxes`` (n, 4) left, top, right, bottom in pixels; ``labels`` (n,) indices
            into `class_names`, -1 for every class; ``ignored`` (n,) bool (may be left out: nothing is ignored).
            A region with label -1 must be ignored.
        detections: One dict per image, in the same order: ``boxes`` (n, 4), ``labels`` (n,), ``scores`` (n,).
        class_names: The classes, in the order of the labels.

    Returns:
        ``{class: {"ap50", "ap", "count"}}``. ``ap50`` is the average precision at IoU 0.5, ``ap`` the mean over
        IoU 0.5, 0.55, ... 0.95, both 0 to 1; ``count`` is the number of true boxes that are not ignored. Without
        any of them both figures are None: there is nothing to find, so nothing to measure.

    Raises:
        ValueError: if the lists differ in length, or an array is malformed or not finite; names image and field.
    """
    return _coco_precision(truths, detections, class_names, tolerance=None)


def average_precision_with_distance(truths, detections, class_names, tolerance):
    """AP_z: as :func:`average_precision`, but a detection is right only if its distance is right as well.

    A pair whose distances differ by more than `tolerance` times the true distance counts as not overlapping at all.
    Ignored regions have no distance: they swallow detections as before.

    Args:
        truths: As in :func:`average_precision`, each with ``distances`` (n,) in metres (ignored entries: any).
        detections: Likewise with ``distances`` (n,) in metres; NaN, for no answer, is never right.
        class_names: The classes, in the order of the labels.
        tolerance: Greatest relative error that is still right, e.g. 0.05, 0.10 or 0.15.

    Returns:
        As :func:`average_precision`.

    Raises:
        ValueError: as :func:`average_precision`, and if a true distance is not positive.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, e.g. 0.1 for 10 %, got {tolerance}")
    return _coco_precision(truths, detections, class_names, tolerance)


def detection_errors(truths, detections, class_names, thresholds):
    """Precision, recall and F1 of what would be reported at each threshold, over all classes together.

    Pairs are COCO's at IoU 0.5, so ignored regions count as in :func:`average_precision`.

    Args:
        truths, detections, class_names: As in :func:`average_precision`.
        thresholds: The lowest scores to try.

    Returns:
        A list of dicts, one per threshold: ``threshold``, ``precision`` (None if nothing is reported), ``recall`` and
        ``f1``, 2 * hits / (reported + labelled) (None if nothing is labelled).

    Raises:
        ValueError: as :func:`average_precision`.
    """
    true_rows, found_rows = _coco_rows(truths, detections, class_names, with_distance=False)
    evaluation = _run_coco(true_rows, found_rows, len(truths), len(class_names), None)
    images = [each for each in evaluation.evalImgs if each is not None]
    scores = np.concatenate([np.zeros(0), *(each["dtScores"] for each in images)])
    hits = np.concatenate([np.zeros(0, bool), *(each["dtMatches"][0] > 0 for each in images)])
    ignored = np.concatenate([np.zeros(0, bool), *(each["dtIgnore"][0].astype(bool) for each in images)])
    labelled = sum(not row["iscrowd"] for row in true_rows)
    rows = []
    for threshold in thresholds:
        counts = ~ignored & (scores >= threshold)
        reported, right = int(counts.sum()), int((counts & hits).sum())
        rows.append({
            "threshold": float(threshold),
            "precision": right / reported if reported else None,
            "recall": right / labelled if labelled else None,
            "f1": 2 * right / (reported + labelled) if labelled else None,
        })  # fmt: skip
    return rows


def depth_errors(predicted, true, mask=None):
    """The usual errors of a depth map, over the pixels whose true depth is known (not 0, not NaN).

    With ``e = log(predicted) - log(true)``, natural logarithm (Eigen et al., "Depth Map Prediction from a Single
    Image using a Multi-Scale Deep Network", 2014, section 4):

    - ``abs_rel``: mean of |predicted - true| / true
    - ``sq_rel``: mean of (predicted - true)^2 / true, metres
    - ``rmse``: root of the mean of (predicted - true)^2, metres
    - ``rmse_log``: root of the mean of e^2
    - ``silog``: 100 sqrt(mean(e^2) - mean(e)^2), as KITTI's depth benchmark prints it; blind to a common scale
    - ``delta1``, ``delta2``, ``delta3``: share of pixels with max(predicted / true, true / predicted) < 1.25^n
    - ``count``: number of pixels

    There is no median scaling: metres are compared with metres.

    Args:
        predicted: Depth in metres, any shape.
        true: Depth in metres, same shape; 0 or NaN where it is not known.
        mask: Bool, same shape: count only where it is True.

    Returns:
        dict of floats and ``count``; every float is None when `count` is 0.

    Raises:
        ValueError: if shapes differ, if `true` is negative or infinite, or if `predicted` is not finite and positive
            where it counts.
    """
    predicted, true = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    _same_shape(predicted, true, "predicted", "true")
    counts = ~np.isnan(true) & (true != 0)
    if mask is not None:
        mask = np.asarray(mask, dtype=bool)
        _same_shape(mask, true, "mask", "true")
        counts &= mask
    predicted, true = _positive(predicted[counts], "predicted"), _positive(true[counts], "true")
    if true.size == 0:
        return dict.fromkeys(DEPTH_ERRORS) | {"count": 0}
    error, log_error = predicted - true, np.log(predicted) - np.log(true)
    ratio = np.maximum(predicted / true, true / predicted)
    errors = {
        "abs_rel": np.mean(np.abs(error) / true),
        "sq_rel": np.mean(error**2 / true),
        "rmse": np.sqrt(np.mean(error**2)),
        "rmse_log": np.sqrt(np.mean(log_error**2)),
        "silog": 100 * np.std(log_error),
        **{f"delta{power}": np.mean(ratio < 1.25**power) for power in (1, 2, 3)},
    }
    return {name: float(value) for name, value in errors.items()} | {"count": int(true.size)}


def inside_boxes(boxes, height, width):
    """Which pixels of a photo lie inside boxes, for :func:`depth_errors` on objects alone.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels; they may reach outside.
        height, width: Of the photo, in pixels.

    Returns:
        (height, width) bool.
    """
    inside = np.zeros((height, width), bool)
    for left, top, right, bottom in np.clip(np.rint(_boxes(boxes, "boxes")), -1, None).astype(int):
        inside[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = True
    return inside


def distance_errors(predicted, true):
    """Errors of the distances of objects. Each object counts once, however many pixels it covers.

    Args:
        predicted: (n,) metres.
        true: (n,) metres.

    Returns:
        dict: ``abs_rel`` (mean of |error| / true), ``median_abs_rel``, ``median_error_m`` (median of |error|),
        ``rmse_m`` and ``count``; the figures are None when `count` is 0.

    Raises:
        ValueError: if the shapes differ or a distance is not finite and positive.
    """
    predicted, true = _distances(predicted, true)
    if true.size == 0:
        return dict.fromkeys(DISTANCE_ERRORS) | {"count": 0}
    error = np.abs(predicted - true)
    return {
        "abs_rel": float(np.mean(error / true)),
        "median_error_m": float(np.median(error)),
        "median_abs_rel": float(np.median(error / true)),
        "rmse_m": float(np.sqrt(np.mean(error**2))),
        "count": int(true.size),
    }


def distance_errors_by_range(predicted, true, edges=RANGES, groups=None):
    """:func:`distance_errors` for objects near and far, each with an interval that says how sure the mean is.

    Args:
        predicted: (n,) metres.
        true: (n,) metres; decides the range. Objects outside the edges are left out.
        edges: Bounds of the ranges in metres, growing. A range holds its lower bound, not its upper one.
        groups: (n,) which objects belong together, as for :func:`group_interval`; None: each stands for itself.

    Returns:
        A list of dicts, near to far: ``from_m``, ``to_m``, the keys of :func:`distance_errors`, and
        ``abs_rel_interval``, the 95 % interval (low, high) of :func:`mean_interval`.

    Raises:
        ValueError: as :func:`distance_errors`, and if the edges do not grow or `groups` has another length.
    """
    predicted, true = _distances(predicted, true)
    relative = np.abs(predicted - true) / true
    groups = None if groups is None else _groups(groups, true.size)
    rows = []
    for bounds, inside in within_ranges(true, edges):
        row = bounds | distance_errors(predicted[inside], true[inside])
        row["abs_rel_interval"] = mean_interval(relative[inside], None if groups is None else groups[inside])
        rows.append(row)
    return rows


def within_ranges(true, edges=RANGES):
    """Which objects are how far: a list of ``({"from_m", "to_m"}, (n,) bool)``, near to far.

    Args:
        true: (n,) metres.
        edges: Bounds of the ranges in metres, growing. A range holds its lower bound, not its upper one.

    Raises:
        ValueError: if the edges do not grow.
    """
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges must be at least two growing distances in metres, got {edges}")
    true = np.asarray(true, dtype=np.float64)
    return [
        ({"from_m": float(start), "to_m": float(end)}, (true >= start) & (true < end))
        for start, end in zip(edges[:-1], edges[1:], strict=True)
    ]


def signed_errors(predicted, true):
    """Errors in metres of a coordinate of objects, such as how far ahead or how far to the right.

    Args:
        predicted: (n,) metres; negative and zero are coordinates like any other.
        true: (n,) metres.

    Returns:
        dict: ``median_error_m`` (median of |error|), ``mean_error_m`` (mean of |error|), ``bias_m`` (mean of
        predicted - true) and ``count``; the figures are None when `count` is 0.

    Raises:
        ValueError: if the shapes differ or a coordinate is not finite.
    """
    predicted, true = np.asarray(predicted, dtype=np.float64).ravel(), np.asarray(true, dtype=np.float64).ravel()
    _same_shape(predicted, true, "predicted", "true")
    error = predicted - true
    if not np.isfinite(error).all():
        raise ValueError(f"predicted and true must be finite; {int((~np.isfinite(error)).sum())} pairs are not")
    if error.size == 0:
        return dict.fromkeys(SIGNED_ERRORS) | {"count": 0}
    return {
        "median_error_m": float(np.median(np.abs(error))),
        "mean_error_m": float(np.mean(np.abs(error))),
        "bias_m": float(np.mean(error)),
        "count": int(error.size),
    }


def laplace_calibration(errors, scales, nominal=(0.5, 0.683, 0.9, 0.95)):
    """Are stated uncertainties true, if they are the scales of Laplace distributions?

    With density ``exp(-|error| / scale) / (2 scale)``, the share p of the errors has ``|error| <= -scale log(1 - p)``:
    0.69, 1.15, 2.30 and 3.00 scales for 50, 68.3, 90 and 95 %. The median of |error| / scale is then log 2.

    Args:
        errors: (n,), in the unit of `scales`: of log distances, for instance.
        scales: (n,) what was stated, positive.
        nominal: The shares of errors that ought to lie within the stated intervals.

    Returns:
        dict: ``within``, a list of dicts ``nominal`` and ``share``, the share that does lie there; ``factor``, by which
        all scales would have to be multiplied so that the median of |error| / scale is right, above 1 where the
        statements are too sure (a few huge errors don't move a median); ``median_ratio``, of the signed error / scale,
        0 without a bias; and ``count``. The figures are None when `count` is 0.

    Raises:
        ValueError: if the shapes differ, an error is not finite, a scale not positive, or a share not between 0 and 1.
    """
    errors, scales = np.asarray(errors, dtype=np.float64).ravel(), np.asarray(scales, dtype=np.float64).ravel()
    _same_shape(errors, scales, "errors", "scales")
    ratio = errors / _positive(scales, "scales")
    if not np.isfinite(ratio).all():
        raise ValueError(f"errors must be finite; {int((~np.isfinite(ratio)).sum())} of {ratio.size} are not")
    if not all(0 < share < 1 for share in nominal):
        raise ValueError(f"nominal shares must lie between 0 and 1, got {nominal}")
    bounds = [-math.log(1 - share) for share in nominal]
    known = ratio.size > 0
    return {
        "within": [
            {"nominal": float(share), "share": float(np.mean(np.abs(ratio) <= bound)) if known else None}
            for share, bound in zip(nominal, bounds, strict=True)
        ],
        "factor": float(np.median(np.abs(ratio)) / math.log(2)) if known else None,
        "median_ratio": float(np.median(ratio)) if known else None,
        "count": int(ratio.size),
    }


def box_height_distance(boxes, labels, class_heights, focal_length):
    """The baseline that needs no depth network: ``z = focal_length * class_height / box_height``.

    The box shows an object's near side, so with true heights in metres the result falls short of the distance of its
    centre. Heights fitted to training labels, the median of ``z * box_height / focal_length``, make a fairer baseline.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels.
        labels: (n,) indices into `class_heights`.
        class_heights: The typical height of each class in metres.
        focal_length: The camera's vertical focal length in pixels: one number, or one per box.

    Returns:
        (n,) distances in metres.

    Raises:
        ValueError: if a box has no height, or a label has no class height.
    """
    boxes, heights = _boxes(boxes, "boxes"), _positive(class_heights, "class_heights")
    labels = _labels(labels, len(boxes), len(heights), "labels", lowest=0)
    box_heights = boxes[:, 3] - boxes[:, 1]
    if (box_heights <= 0).any():
        raise ValueError(f"boxes: box {int(np.argmin(box_heights))} has no height, so it says nothing about distance")
    return _positive(focal_length, "focal_length") * heights[labels] / box_heights


def bootstrap_interval(values, statistic=np.mean, samples=1000, confidence=0.95, seed=0):
    """The percentile bootstrap: how far would the statistic move with another sample of the same size?

    Draws with replacement (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).

    Args:
        values: (n,) independent observations, one per object or per seed.
        statistic: Function of a (n,) array that returns one number.
        samples: How often to draw.
        confidence: The share of draws that the interval holds.
        seed: The same seed gives the same interval.

    Returns:
        (low, high), floats.

    Raises:
        ValueError: if there are no values or one is not finite, or `confidence` is not between 0 and 1.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"values must be a non-empty row of finite numbers, got shape {values.shape}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    generator = np.random.default_rng(seed)
    if statistic is np.mean:
        # Many samples at once, the same as one by one; a million indices need 8 MB.
        sizes = [len(part) for part in np.array_split(np.arange(samples), max(1, samples * values.size // 1_000_000))]
        draws = [values[generator.integers(0, values.size, (size, values.size))].mean(axis=1) for size in sizes]
        draws = np.concatenate(draws)
    else:
        draws = [statistic(values[generator.integers(0, values.size, values.size)]) for _ in range(samples)]
    return _middle(draws, confidence)


def draw_groups(groups, samples=1000, seed=0):
    """Bootstrap samples of observations that come in groups, such as objects in drives: whole groups are drawn.

    What is seen in one drive is alike, so its objects are no independent observations; the drives are, and they are
    what is drawn with replacement, as many as there are (Efron and Tibshirani, "An Introduction to the Bootstrap",
    1993, chapter 8: draw the units that were sampled; Field and Welsh, "Bootstrapping clustered data", 2007).

    Args:
        groups: (n,) the group of each observation: numbers or names.
        samples: How often to draw.
        seed: The same seed gives the same samples.

    Returns:
        (samples, n) integers: how often each observation stands in each sample, the same for all of one group.

    Raises:
        ValueError: if there is no observation.
    """
    groups = _groups(groups)
    if groups.size == 0:
        raise ValueError("groups must name the group of at least one observation")
    names, group_of = np.unique(groups, return_inverse=True)
    return _times_drawn(len(names), samples, seed)[:, group_of]


def _times_drawn(count, samples, seed):
    """(samples, count): of `count` things, drawn as often with replacement, how often each came."""
    drawn = np.random.default_rng(seed).integers(0, count, (samples, count))
    drawn += count * np.arange(samples)[:, None]
    return np.bincount(drawn.ravel(), minlength=samples * count).reshape(samples, count)


def group_interval(values, groups, samples=1000, confidence=0.95, seed=0):
    """The percentile bootstrap of a mean when observations come in groups: how far would it move with other groups?

    Of G groups with n_g values whose sum is S_g, G are drawn with replacement; the mean of a sample is the sum of S_g
    over the groups drawn, over the sum of n_g. The interval holds the middle share `confidence` of these means. With a
    few groups only, or with one that holds most of the values, it is too narrow.

    Args:
        values: (n,) observations.
        groups: (n,) the group of each. With a group for every value the result is close to
            :func:`bootstrap_interval`'s, which draws other samples.
        samples, confidence, seed: As for :func:`bootstrap_interval`.

    Returns:
        (low, high), floats.

    Raises:
        ValueError: as :func:`bootstrap_interval`, and if there are fewer than two groups or `groups` is of another
            length.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"values must be a non-empty row of finite numbers, got shape {values.shape}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    names, group_of = np.unique(_groups(groups, values.size), return_inverse=True)
    if len(names) < 2:
        raise ValueError("an interval over groups needs two groups or more: one says nothing about others")
    times = _times_drawn(len(names), samples, seed)
    return _middle(times @ np.bincount(group_of, values) / (times @ np.bincount(group_of)), confidence)


def mean_interval(values, groups=None):
    """:func:`group_interval`, without groups :func:`bootstrap_interval`; None for fewer than two of them or values."""
    if np.size(values) < 2 or (groups is not None and len(np.unique(groups)) < 2):
        return None
    return bootstrap_interval(values) if groups is None else group_interval(values, groups)


def percentile_interval(draws, confidence=0.95):
    """The middle of what bootstrap samples gave, (low, high) floats; without those that are NaN, None if all are."""
    draws = np.asarray(draws, dtype=np.float64)
    draws = draws[np.isfinite(draws)]
    return _middle(draws, confidence) if draws.size else None


def _middle(draws, confidence):
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def ratio_interval(values, others, samples=1000, confidence=0.95, seed=0):
    """Mean of some values over the mean of others, both of the same objects, with its bootstrap interval.

    An object is drawn with both its values: what makes it hard for one way of measuring mostly does for the other, and
    cancels.

    Args:
        values: (n,), for instance errors of one way of measuring.
        others: (n,), those of another way, on the same objects.
        samples, confidence, seed: As for :func:`bootstrap_interval`.

    Returns:
        (ratio, low, high), floats.

    Raises:
        ValueError: as :func:`bootstrap_interval`, and if the rows differ in length.
    """
    values, others = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)
    _same_shape(values, others, "values", "others")
    if not np.isfinite(values + others).all():
        raise ValueError("values and others must be finite")

    def ratio(drawn):
        drawn = drawn.astype(int)
        return values[drawn].mean() / others[drawn].mean()

    every = np.arange(values.size)
    interval = bootstrap_interval(every, ratio, samples, confidence, seed)
    return float(ratio(every)), *interval


def _coco_precision(truths, detections, class_names, tolerance):
    """Average precision per class by pycocotools; with a tolerance, distances must agree as well."""
    true_rows, found_rows = _coco_rows(truths, detections, class_names, with_distance=tolerance is not None)
    counts = [
        sum(row["category_id"] == index and not row["iscrowd"] for row in true_rows)
        for index in range(len(class_names))
    ]
    evaluation = _run_coco(true_rows, found_rows, len(truths), len(class_names), tolerance)
    precision = evaluation.eval["precision"][:, :, :, 0, 0]  # (10 IoU thresholds, 101 recalls, classes)
    return {
        name: {
            "ap50": float(precision[0, :, index].mean()) if counts[index] else None,
            "ap": float(precision[:, :, index].mean()) if counts[index] else None,
            "count": counts[index],
        }
        for index, name in enumerate(class_names)
    }


def _coco_rows(truths, detections, class_names, with_distance):
    """COCO annotations of all images: what is there, what was found."""
    if len(truths) != len(detections):
        raise ValueError(f"truths are for {len(truths)} images, detections for {len(detections)}: pass one per image")
    return [
        [row for image, one in enumerate(images) for row in rows_of(image, one, class_names, with_distance)]
        for images, rows_of in ((truths, _true_rows), (detections, _found_rows))
    ]


def _run_coco(true_rows, found_rows, image_count, class_count, tolerance):
    """The library's evaluation, done."""
    # Imported here so that depth errors can be had without the library.
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    class DistanceAwareEvaluation(COCOeval):
        """Zeroes the overlap of pairs whose distances disagree, before COCO matches them."""

        def computeIoU(self, image, category):  # noqa: N802 (the library's name)
            overlap = super().computeIoU(image, category)
            if tolerance is None or len(overlap) == 0:
                return overlap
            found = sorted(self._dts[image, category], key=lambda row: -row["score"])[: len(overlap)]
            true = self._gts[image, category]
            distance = np.array([row["distance"] for row in true])
            error = np.abs(np.array([row["distance"] for row in found])[:, None] - distance)
            crowd = np.array([row["iscrowd"] for row in true], dtype=bool)
            # The last digit of 0.1 * 20 must not decide whether exactly 10 % is right.
            return np.where(crowd | (error <= tolerance * distance * (1 + 1e-9)), overlap, 0.0)

    def dataset(rows):
        table = COCO()
        table.dataset = {
            "images": [{"id": image} for image in range(image_count)],
            "categories": [{"id": index} for index in range(class_count)],
            # COCO takes the id 0 for "not matched".
            "annotations": [row | {"id": number} for number, row in enumerate(rows, start=1)],
        }
        table.createIndex()
        return table

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = DistanceAwareEvaluation(dataset(true_rows), dataset(found_rows), iouType="bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, math.inf]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _true_rows(image, truth, class_names, with_distance):
    """COCO annotations of one image. A region of every class is entered once for each."""
    where = f"truths[{image}]"
    boxes = _boxes(truth["boxes"], f"{where}['boxes']")
    labels = _labels(truth["labels"], len(boxes), len(class_names), f"{where}['labels']", lowest=-1)
    ignored = np.asarray(truth.get("ignored", np.zeros(len(boxes))), dtype=bool)
    _same_shape(ignored, labels, f"{where}['ignored']", f"{where}['labels']")
    if (~ignored & (labels < 0)).any():
        raise ValueError(f"{where}: a region of every class (label -1) must be ignored, it cannot be found")
    distances = _row_distances(truth, len(boxes), where, with_distance)
    if with_distance:
        _positive(distances[~ignored], f"{where}['distances']")
    for box, label, crowd, distance in zip(boxes, labels, ignored, distances, strict=True):
        for index in range(len(class_names)) if label < 0 else [int(label)]:
            yield _annotation(image, box, index) | {"iscrowd": int(crowd), "distance": float(distance)}


def _found_rows(image, found, class_names, with_distance):
    """COCO annotations of the detections in one image."""
    where = f"detections[{image}]"
    boxes = _boxes(found["boxes"], f"{where}['boxes']")
    labels = _labels(found["labels"], len(boxes), len(class_names), f"{where}['labels']", lowest=0)
    scores = np.asarray(found["scores"], dtype=np.float64)
    if scores.shape != labels.shape or not np.isfinite(scores).all():
        raise ValueError(f"{where}['scores'] must be {len(boxes)} finite numbers, got shape {scores.shape}")
    distances = _row_distances(found, len(boxes), where, with_distance)
    for box, label, score, distance in zip(boxes, labels, scores, distances, strict=True):
        yield _annotation(image, box, int(label)) | {"iscrowd": 0, "score": float(score), "distance": float(distance)}


def _annotation(image, box, index):
    left, top, right, bottom = box.tolist()
    width, height = right - left, bottom - top
    return {"image_id": image, "category_id": index, "bbox": [left, top, width, height], "area": width * height}


def _row_distances(row, count, where, with_distance):
    if not with_distance:
        return np.zeros(count)
    if "distances" not in row:
        raise ValueError(f"{where} has no 'distances' (metres, one per box)")
    distances = np.asarray(row["distances"], dtype=np.float64)
    if distances.shape != (count,):
        raise ValueError(f"{where}['distances'] must have shape {(count,)}, got {distances.shape}")
    return distances


def _boxes(boxes, name):
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"{name} must be finite and (n, 4), left, top, right, bottom; got shape {boxes.shape}")
    if (boxes[:, 2:] < boxes[:, :2]).any():
        first = int(np.argmax((boxes[:, 2:] < boxes[:, :2]).any(axis=1)))
        raise ValueError(f"{name}: box {first} ends before it begins: {boxes[first].tolist()}")
    return boxes


def _labels(labels, count, class_count, name, lowest):
    labels = np.asarray(labels)
    if labels.shape != (count,) or (count and labels.dtype.kind not in "iu"):
        raise ValueError(f"{name} must be {count} whole numbers, got shape {labels.shape}, {labels.dtype}")
    labels = labels.astype(np.int64)
    if count and not (lowest <= labels.min() and labels.max() < class_count):
        raise ValueError(f"{name} must lie in {lowest} to {class_count - 1}, got {sorted(set(labels.tolist()))}")
    return labels


def _distances(predicted, true):
    predicted, true = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    _same_shape(predicted, true, "predicted", "true")
    return _positive(predicted.ravel(), "predicted"), _positive(true.ravel(), "true")


def _groups(groups, count=None):
    groups = np.asarray(groups)
    if groups.ndim != 1 or (count is not None and len(groups) != count):
        wanted = "one row" if count is None else f"one for each of {count} values"
        raise ValueError(f"groups must be {wanted}, got shape {groups.shape}")
    return groups


def _same_shape(array, other, name, other_name):
    if array.shape != other.shape:
        raise ValueError(f"{name} has shape {array.shape}, {other_name} has {other.shape}: they must agree")


def _positive(values, name):
    values = np.asarray(values, dtype=np.float64)
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        raise ValueError(
            f"{name} must be finite and positive wherever it counts; {int(wrong.sum())} of {values.size} "
            f"values are not, e.g. {values[wrong][0]}"
        )
    return values
