"""From what `evaluate.measure_frame` keeps of each frame to one dictionary of figures, and the main ones as a table."""

import numpy as np

from . import CLASSES, kitti, kitti_rules, metrics
from .dataset import NEIGHBOUR_OF

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 19))
"""The lowest scores that are tried: 0.1 to 0.9."""
TOLERANCES = (5, 10, 15)
"""Percent of the true distance by which a detection that is right may be off."""
PARTS = ("image", "inside_boxes")
COLUMNS = (
    "kind", "true_distance", "true_surface", "true_position", "distance", "surface", "instance", "position", "spread",
    "box_height", "lidar_center", "lidar_surface", "lidar_speaks", "lidar_alone_center", "lidar_alone_surface",
    "lidar_alone_speaks", "row_mean", "moderate",
)  # fmt: skip
"""What is wanted of each object that matches a label."""


def summarise(rows, mode, groups=None, over="frames"):
    """Rows of `evaluate.measure_frame` to one dictionary.

    Args:
        rows: One per frame.
        mode: As in `RoiDepth.predict`.
        groups: The drive of each frame; None: each frame is its own.
        over: What the groups are, "drives" or "frames".

    Returns:
        A dictionary; what can't be measured is None. Intervals (low, high) are `metrics.group_interval`'s, 95 %, over
        whole drives (else frames); None where there are fewer than two. Distances are in metres.

        - ``frames``; ``mode``; ``interval_over``, "drives" or "frames", and ``interval_groups``, how many.
        - ``detection.<Class>``: ``{ap50, ap, count}`` by COCO's rules, 0 to 1. ``apz5``, ``apz10``, ``apz15``: as
          ``ap50``, but right only if the distance is within 5, 10 or 15 % of the label's centre
          (`metrics.average_precision_with_distance`; labels without a distance are ignored regions).
          ``{ap50, ap70}_{easy, moderate, hard}`` by KITTI's, at overlaps of 0.5 and 0.7 for all classes
          (`kitti_rules.average_precision`; least box heights shrink with images lower than 370 rows), and
          ``ap50_moderate_interval``.
        - ``by_threshold``: rows of `metrics.detection_errors` for what would be reported at other thresholds.
        - ``distance.{all, <Class>}`` of `metrics.distance_errors` with ``abs_rel_interval``, against the label's z (the
          box centre); ``distance.moderate`` for labels that count at KITTI's moderate level: not those that the rim
          cuts off or that are mostly hidden; ``distance.by_range``; ``distance_surface`` likewise against the visible
          surface; ``distance_instance`` for the detection head alone.
        - ``longitudinal`` and ``lateral``: ``{all, <Class>, by_range}`` of `metrics.signed_errors` of position z and x
          against the label, with ``mean_error_m_interval``. Positive is too far ahead and too far to the right.
        - ``calibration.{center, surface}.{all, <Class>}`` of `metrics.laplace_calibration`: does ``distance_spread_m``
          tell the error of ``distance_m`` against the label's z, and that of ``surface_distance_m`` against the visible
          surface? Both heads learn the scale b of a Laplace distribution of the log distance's error
          (`detection.object_loss`, `depth.depth_loss`); the spread is that of their average, if their errors don't
          depend on each other, times the distance. So errors are log(predicted / true), scales spread / distance.
        - Baselines on the same objects, each like ``distance``: ``baseline_box_height`` for z = f H / h, with H fitted
          to KITTI's labels (`baselines.class_heights`); ``baseline_lidar`` and ``baseline_lidar_surface`` for LiDAR in
          the box near where the camera expects it, ``baseline_lidar_alone`` and ``baseline_lidar_alone_surface`` for
          all points in the box (`baselines.lidar_distances`), with ``answered``, the share of objects for which LiDAR
          speaks and not the camera; ``baseline_row_mean`` and ``baseline_row_mean_surface`` for the mean depth of the
          image row where the box ends, in frames of other drives (`baselines.row_means_of_others`). Against real
          surfaces LiDAR is compared with itself: the labelled surface is LiDAR's, too.
        - ``depth.{image, inside_boxes}`` of `metrics.depth_errors` over the pixels of all frames (``silog``: mean over
          the frames); ``baseline_row_mean_depth`` likewise for the mean depth of the row in frames of other drives.
        - ``head_work.{mean, max}`` as a share of full decoding.
    """
    groups = np.arange(len(rows)) if groups is None else np.unique(groups, return_inverse=True)[1]
    truths, work = [row["truth"] for row in rows], [row["head_work"] for row in rows]
    pairs = _joined(rows, groups)
    return {
        "frames": len(rows),
        "mode": mode,
        "interval_over": over,
        "interval_groups": len(np.unique(groups)),
        "detection": _detection_figures(rows, groups),
        "by_threshold": metrics.detection_errors(truths, [row["distinct"] for row in rows], list(CLASSES), THRESHOLDS),
        "distance": _distance_figures(pairs, "distance", "true_distance"),
        "distance_surface": _distance_figures(pairs, "surface", "true_surface"),
        "distance_instance": _distance_figures(pairs, "instance", "true_distance"),
        "longitudinal": _place_figures(pairs, axis=2),
        "lateral": _place_figures(pairs, axis=0),
        "calibration": {
            "center": _calibration_figures(pairs, "distance", "true_distance"),
            "surface": _calibration_figures(pairs, "surface", "true_surface"),
        },
        "baseline_box_height": _distance_figures(pairs, "box_height", "true_distance"),
        **_lidar_figures(pairs),
        "baseline_row_mean": _distance_figures(pairs, "row_mean", "true_distance"),
        "baseline_row_mean_surface": _distance_figures(pairs, "row_mean", "true_surface"),
        "depth": {part: _pooled([row["depth"][part] for row in rows]) for part in PARTS},
        "baseline_row_mean_depth": {part: _pooled([row["row_mean_depth"][part] for row in rows]) for part in PARTS},
        "head_work": {"mean": float(np.mean(work)), "max": float(np.max(work))}
        if work
        else {"mean": None, "max": None},
    }


def _joined(rows, groups):
    """The pairs of all frames as one table of arrays, with the ``group`` of each."""
    pairs = {}
    for name in COLUMNS:
        empty = np.zeros((0, 3) if name.endswith("position") else 0)  # where there is no frame at all
        pairs[name] = np.concatenate([empty, *(row["pairs"][name] for row in rows)])
    counts = [len(row["pairs"]["kind"]) for row in rows]
    return pairs | {"group": np.repeat(groups, np.array(counts, int))}


# Detection ------------------------------------------------------------------------------------------------------------


def _detection_figures(rows, groups):
    truths, candidates = [row["truth"] for row in rows], [row["candidates"] for row in rows]
    by_coco = metrics.average_precision(truths, candidates, list(CLASSES))
    known = [_ignore_unknown_distances(each) for each in truths]
    for tolerance in TOLERANCES:
        right = metrics.average_precision_with_distance(known, candidates, list(CLASSES), tolerance / 100)
        for name in CLASSES:
            by_coco[name][f"apz{tolerance}"] = right[name]["ap50"]
    by_kitti, intervals = kitti_precision(rows), _precision_intervals(rows, groups)
    return {name: by_coco[name] | by_kitti[name] | intervals[name] for name in CLASSES}


def _ignore_unknown_distances(truth):
    return truth | {"ignored": truth["ignored"] | ~(truth["distances"] > 0)}


def kitti_precision(rows):
    """``{class: {"ap50_easy", ...}}``: `kitti_rules.average_precision` at both overlaps and all levels.

    Args:
        rows: Of `evaluate.measure_frame`; only ``kitti`` is looked at.
    """
    labels, found = ([row["kitti"][side] for row in rows] for side in (0, 1))
    return {
        name: {
            f"ap{percent}_{level}": kitti_rules.average_precision(
                labels, found, name, limits, percent / 100, _neighbours(name)
            )
            for percent in (50, 70)
            for level, *limits in kitti.DIFFICULTIES
        }
        for name in CLASSES
    }


def _precision_intervals(rows, groups):
    """``{class: {"ap50_moderate_interval"}}``: whole groups of frames are drawn, and the precision computed anew."""
    if len(np.unique(groups)) < 2:
        return {name: {"ap50_moderate_interval": None} for name in CLASSES}
    times = metrics.draw_groups(groups)
    draws = {name: resampled_precision(rows, name, times) for name in CLASSES}
    return {name: {"ap50_moderate_interval": metrics.percentile_interval(draws[name])} for name in CLASSES}


def resampled_precision(rows, name, times):
    """AP50 by KITTI's moderate rules of one class, of bootstrap samples: (samples,), NaN where no label counts.

    Args:
        rows: Of `evaluate.measure_frame`, n of them; only ``kitti`` is looked at.
        name: The class.
        times: (samples, n): how often each frame stands in each sample, as `metrics.draw_groups` says.
    """
    labels, found = ([row["kitti"][side] for row in rows] for side in (0, 1))
    (limits,) = (each[1:] for each in kitti.DIFFICULTIES if each[0] == "moderate")
    return kitti_rules.resampled(labels, found, name, limits, 0.5, times, _neighbours(name))


def _neighbours(name):
    return [other for other, of in NEIGHBOUR_OF.items() if of == name]


# Distances and places -------------------------------------------------------------------------------------------------


def _distance_figures(pairs, predicted, true):
    pairs = _where(pairs, _known(pairs, predicted, true))
    relative = np.abs(pairs[predicted] / pairs[true] - 1)

    def errors(chosen):
        figures = metrics.distance_errors(pairs[predicted][chosen], pairs[true][chosen])
        return figures | {"abs_rel_interval": metrics.mean_interval(relative[chosen], pairs["group"][chosen])}

    by_range = metrics.distance_errors_by_range(pairs[predicted], pairs[true], groups=pairs["group"])
    return _by_class(pairs, errors) | {"moderate": errors(pairs["moderate"].astype(bool)), "by_range": by_range}


def _place_figures(pairs, axis):
    """Errors of x (axis 0) or z (axis 2) of the position."""
    predicted, true = pairs["position"][:, axis], pairs["true_position"][:, axis]

    def errors(chosen):
        figures = metrics.signed_errors(predicted[chosen], true[chosen])
        interval = metrics.mean_interval(np.abs(predicted - true)[chosen], pairs["group"][chosen])
        return figures | {"mean_error_m_interval": interval}

    ranges = metrics.within_ranges(pairs["true_distance"])
    return _by_class(pairs, errors) | {"by_range": [bounds | errors(chosen) for bounds, chosen in ranges]}


def _calibration_figures(pairs, predicted, true):
    pairs = _where(pairs, _known(pairs, predicted, true))
    errors, scales = np.log(pairs[predicted] / pairs[true]), pairs["spread"] / pairs["distance"]
    return _by_class(pairs, lambda chosen: metrics.laplace_calibration(errors[chosen], scales[chosen]))


def _lidar_figures(pairs):
    figures = {}
    for rule in ("lidar", "lidar_alone"):
        for suffix, kind, true in (("", "center", "true_distance"), ("_surface", "surface", "true_surface")):
            known = _known(pairs, f"{rule}_{kind}", true)
            each = _distance_figures(pairs, f"{rule}_{kind}", true)
            each["answered"] = float(pairs[f"{rule}_speaks"][known].mean()) if known.any() else None
            figures[f"baseline_{rule}{suffix}"] = each
    return figures


def _by_class(pairs, figures_of):
    """``{"all", <Class>}`` of what a function says of the rows that a (n,) mask chooses."""
    figures = {"all": figures_of(np.ones(len(pairs["kind"]), bool))}
    return figures | {name: figures_of(pairs["kind"] == kind) for kind, name in enumerate(CLASSES)}


def _known(pairs, *names):
    return np.isfinite([pairs[name] for name in names]).all(axis=0)


def _where(pairs, chosen):
    return {name: values[chosen] for name, values in pairs.items()}


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


# The table ------------------------------------------------------------------------------------------------------------


def table(figures):
    """The main figures as lines of text."""
    lines = [f"{'':12}{'AP50':>8}{'AP':>9}{'labelled':>10}   {'distance error (centre, surface)':>34}"]
    for name in CLASSES:
        found = figures["detection"][name]
        center, surface = (figures[kind][name]["abs_rel"] for kind in ("distance", "distance_surface"))
        lines.append(
            f"{name:<12}{_percent(found['ap50']):>8}{_percent(found['ap']):>9}{found['count']:>10}"
            f"{_percent(center):>24}{_percent(surface):>10}"
        )
    center, surface, box_height, lidar, row_mean = (
        figures[kind]["all"]["abs_rel"]
        for kind in ("distance", "distance_surface", "baseline_box_height", "baseline_lidar", "baseline_row_mean")
    )
    depth, row_depth = figures["depth"], figures["baseline_row_mean_depth"]
    best = max(figures["by_threshold"], key=lambda each: each["f1"] or 0)
    ahead, aside = (figures[kind]["all"] for kind in ("longitudinal", "lateral"))
    spread = figures["calibration"]["center"]["all"]
    half, *_, most = spread["within"]
    lines += [
        f"{'all':<12}{'':27}{_percent(center):>24}{_percent(surface):>10}",
        f"AP by KITTI's rules, moderate, overlap 0.5 / 0.7: {_precisions(figures, 'ap50_moderate', 'ap70_moderate')}",
        f"most hits for the fewest false alarms (F1 {_percent(best['f1']).strip()}): threshold {best['threshold']:.2f}",
        f"box height alone (z = f H / h), same objects: {_percent(box_height)}",
        f"LiDAR in the box, same objects: {_percent(lidar)}; mean depth of the row: {_percent(row_mean)}",
        f"95 % interval of the distance error, over {figures['interval_groups']} {figures['interval_over']}: "
        f"{_interval(figures['distance']['all']['abs_rel_interval'])}; of Car's AP by KITTI's rules, 0.5: "
        f"{_interval(figures['detection']['Car']['ap50_moderate_interval'])}",
        f"AP50 with the distance within 5 / 10 / 15 %: {_precisions(figures, *(f'apz{each}' for each in TOLERANCES))}",
        f"place, median of |error| and bias: ahead {_place(ahead)}; aside {_place(aside)}",
        f"centre within the stated 50 / 95 % interval: {_percent(half['share']).strip()} / "
        f"{_percent(most['share']).strip()}; the spread should be "
        f"{'-' if spread['factor'] is None else format(spread['factor'], '.2f')} times as large",
        f"depth map, AbsRel: image {_percent(depth['image']['abs_rel'])}, inside boxes "
        f"{_percent(depth['inside_boxes']['abs_rel'])}; mean depth of the row: "
        f"{_percent(row_depth['image']['abs_rel'])}, {_percent(row_depth['inside_boxes']['abs_rel'])}",
        f"distance error of objects that count at KITTI's moderate level ({figures['distance']['moderate']['count']}): "
        f"{_percent(figures['distance']['moderate']['abs_rel'])}; box height alone: "
        f"{_percent(figures['baseline_box_height']['moderate']['abs_rel'])}",
        f"work of the depth head: mean {_percent(figures['head_work']['mean'])}, "
        f"most {_percent(figures['head_work']['max'])} of the full frame",
    ]
    return "\n".join(lines)


def _percent(value):
    return "   -  " if value is None else f"{100 * value:5.1f} %"


def _place(errors):
    return "-" if errors["count"] == 0 else f"{errors['median_error_m']:.2f} m, {errors['bias_m']:+.2f} m"


def _interval(ends):
    return "-" if ends is None else " to ".join(_percent(end).strip() for end in ends)


def _precisions(figures, *keys):
    """Of every class, the figures with these keys: Car 50.0 % / 40.0 %, Pedestrian and so on."""
    return ", ".join(
        f"{name} " + " / ".join(_percent(figures["detection"][name][key]).strip() for key in keys) for name in CLASSES
    )
