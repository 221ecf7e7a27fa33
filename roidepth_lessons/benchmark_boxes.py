"""How the time of a frame grows with its boxes, on the boxes of real frames; and what a window costs on this machine.

The planner counts multiplications. A call costs time besides, however small its window; :func:`calibrate` measures how
many multiplications that time is worth here, and `roi.with_overhead` tells the planner.
"""

import sys
import time

import numpy as np
from keras import ops

from . import CLASSES, depth, roi, streets
from .benchmark import check_size, multiply_adds, padded_size, planners, summarise_times, time_cases

COUNTS = (0, 1, 5, 15, 40)
"""Boxes in a frame."""


def benchmark_boxes(model, height, width, pool=None, counts=COUNTS, photos=6, rounds=7, seed=0):
    """Times detection, ROI decoding and full decoding for frames with few and many boxes, all in one run.

    Args:
        model: A `model.RoiDepth`.
        height, width: Size of the photos in pixels; multiples of 32.
        pool: Boxes of real frames: one (n, 4) array per frame, in pixels of these photos, as `benchmark.label_boxes`
            gives. Default: those of 100 drawn streets, which follow KITTI's statistics.
        counts: Numbers of boxes to time, drawn from all boxes of the pool, each at its place.
        photos: Frames per number of boxes.
        rounds: How often each is timed, besides a first round that warms up.
        seed: Of photos, boxes and order.

    Returns:
        A dictionary: ``height``, ``width``, ``photos``, ``rounds``, ``boxes_from``; ``calibration``, see
        :func:`calibrate`; ``cases``, by number of boxes, and "real" for whole frames of the pool, what
        `benchmark.summarise_times` says of ``detect``, ``roi`` (windows, whatever they cost), ``planned`` (the cheapest
        by the calibrated costs) and ``full``, with ``boxes``, ``windows``, ``planned_windows`` and ``head_work`` in the
        mean; ``work_rate``, see :func:`work_rate`; ``memory_mb``, the most that the process has held after detection
        alone, after ROI and after full decoding, in this order (None where the system doesn't say).

    Raises:
        ValueError: if a size is no multiple of 32, or there is no box in the pool.
    """
    check_size(height, width)
    generator = np.random.default_rng(seed)
    boxes_from = "drawn streets" if pool is None else "labels"
    pool = street_boxes(height, width, seed) if pool is None else pool
    every = np.concatenate([np.zeros((0, 4)), *pool])
    if len(every) == 0:
        raise ValueError("pool: there is no box in any of its frames")
    frames = whole_frames(height, width, pool, photos, seed)
    memory = _memory(model, *frames[0][:2], every[:5])
    calibration = calibrate(model, height, width, seed=seed)
    cost = roi.with_overhead(model.head_work, calibration["overhead_operations"])
    plans = planners(model)
    plans["planned"] = lambda boxes, size: roi.plan_windows(boxes, *_cells(size), cost)
    cases = {}
    for count in (*counts, "real"):
        chosen = frames
        if count != "real":
            draws = [generator.choice(len(every), count, replace=count > len(every)) for _ in range(photos)]
            chosen = [(photo, camera, every[draw]) for (photo, camera, _), draw in zip(frames, draws, strict=True)]
        times = summarise_times(time_cases(model, chosen, plans, rounds, seed))
        cases[str(count)] = times | _counts(plans, [boxes for *_, boxes in chosen], height, width)
    return {
        "height": height, "width": width, "photos": photos, "rounds": rounds, "boxes_from": boxes_from,
        "calibration": calibration, "cases": cases,
        "work_rate": work_rate(model, cases[str(counts[0])], height, width), "memory_mb": memory,
    }  # fmt: skip


def whole_frames(height, width, pool=None, photos=6, seed=0):
    """Drawn photos, each with the boxes of a frame of `pool` (see :func:`benchmark_boxes`): (photo, camera, boxes)."""
    pool = street_boxes(height, width, seed) if pool is None else pool
    scenes = [streets.draw_street([seed, index], height, width) for index in range(photos)]
    chosen = np.random.default_rng([seed, 1]).choice(len(pool), photos)
    return [(scene.image, scene.camera, pool[index]) for scene, index in zip(scenes, chosen, strict=True)]


def street_boxes(height, width, seed=0):
    """Boxes of 100 drawn streets, one (n, 4) array each, in pixels of photos of this size; they are drawn small."""
    scale = width / 208
    scenes = [streets.draw_street([seed, 1000 + index], 64, 208) for index in range(100)]
    boxes = [np.reshape([each.box for each in scene.select(*CLASSES)], (-1, 4)) for scene in scenes]
    return [(each + 0.5) * scale - 0.5 for each in boxes]


def _cells(padded_size):
    return tuple(size - 2 * depth.HALO for size in padded_size)


def _counts(plans, chosen, height, width):
    size = padded_size(height, width)
    windows, planned = ([plans[name](boxes, size) for boxes in chosen] for name in ("roi", "planned"))
    return {
        "boxes": float(np.mean([len(boxes) for boxes in chosen])),
        "windows": float(np.mean([len(plan.windows) for plan in windows])),
        "planned_windows": float(np.mean([len(plan.windows) for plan in planned])),
        "head_work": float(np.mean([plan.share for plan in windows])),
    }


# What a window costs here --------------------------------------------------------------------------------------------


def calibrate(model, height, width, rounds=15, seed=0):
    """Times the depth head on windows of many sizes: a call costs something, and each multiplication costs something.

    Args:
        model: A `model.RoiDepth`.
        height, width: Size of the photo in pixels.
        rounds: How often each window is decoded, interleaved; two more rounds warm up.
        seed: Of the features and of the order.

    Returns:
        A dictionary: ``overhead_ms`` per window and ``operations_per_ms``, from a line fitted to the medians so that
        relative errors count; ``overhead_operations``, the one times the other, which `roi.with_overhead` takes;
        ``windows``, a row for each size: ``rows``, ``columns``, ``operations``, ``ms`` measured and ``fitted_ms``.
    """
    generator = np.random.default_rng(seed)
    rows, columns = height // roi.STRIDE, width // roi.STRIDE
    shares = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
    sizes = sorted({(max(1, round(rows * a)), max(1, round(columns * b))) for a in shares for b in (a / 2, a)})
    plans = [_one_window(model, *size, rows, columns) for size in sizes]
    channels = model.depth_head.input_shape[-1]
    features = generator.normal(size=(1, *padded_size(height, width), channels))
    features = ops.convert_to_tensor(features.astype("float32"))
    seconds = np.zeros((rounds + 2, len(plans)))
    for repeat in range(rounds + 2):
        for number in generator.permutation(len(plans)):
            start = time.perf_counter()
            model.decode(features, plans[number])
            seconds[repeat, number] = time.perf_counter() - start
    return fit_costs(sizes, [plan.work for plan in plans], 1000 * np.median(seconds[2:], axis=0))


def _one_window(model, rows, columns, all_rows, all_columns):
    work, full = (float(model.head_work(*size)) for size in ((rows, columns), (all_rows, all_columns)))
    return roi.Plan("windows", np.array([[0, 0, rows, columns]]), np.zeros(0, int), np.zeros((0, 4), int), work, full)


def fit_costs(sizes, operations, milliseconds):
    """The line of :func:`calibrate`: neither a call nor a multiplication costs less than nothing."""
    operations, milliseconds = np.asarray(operations, float), np.asarray(milliseconds, float)
    weighted = np.stack([1 / milliseconds, operations / milliseconds], axis=1)  # times the unknowns: 1, all over
    (overhead, slope), *_ = np.linalg.lstsq(weighted, np.ones(len(milliseconds)), rcond=None)
    if overhead < 0:
        overhead, slope = 0.0, 1 / np.mean(operations / milliseconds)
    rows = zip(sizes, operations, milliseconds, overhead + slope * operations, strict=True)
    return {
        "overhead_ms": float(overhead),
        "operations_per_ms": float(1 / slope),
        "overhead_operations": float(overhead / slope),
        "windows": [
            {"rows": size[0], "columns": size[1], "operations": count, "ms": float(ms), "fitted_ms": float(fitted)}
            for size, count, ms, fitted in rows
        ],
    }


# Against the machine -------------------------------------------------------------------------------------------------


def work_rate(model, times, height, width, size=1024, rounds=9):
    """Multiplications with additions a second, beside those of a matrix product on the same machine, moments apart.

    Args:
        model: A `model.RoiDepth`.
        times: Of `benchmark.summarise_times`: ``detect_ms`` and ``full_head_ms`` are looked at.
        height, width: Of the photos that were timed.
        size: Rows and columns of the matrices, float32.
        rounds: How often they are multiplied; the best time but for the first counts, as for any product.

    Returns:
        ``matrix_product``, ``detection`` and ``full_head`` in 10^9 a second; ``detection_share`` and
        ``full_head_share`` of the first.
    """
    matrix = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(size, size)).astype("float32"))
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        ops.convert_to_numpy(ops.matmul(matrix, matrix))
        seconds.append(time.perf_counter() - start)
    product = size**3 / np.median(seconds[1:])
    cells = height // roi.STRIDE, width // roi.STRIDE
    detection = multiply_adds(model.encoder, (1, height, width, 3), (1, 4))
    detection += multiply_adds(model.detection_head, (1, *cells, model.depth_head.input_shape[-1]))
    rates = detection / times["detect_ms"] * 1000, float(model.head_work(*cells)) / times["full_head_ms"] * 1000
    figures = {"matrix_product": product / 1e9, "detection": rates[0] / 1e9, "full_head": rates[1] / 1e9}
    return figures | {"detection_share": rates[0] / product, "full_head_share": rates[1] / product}


def _memory(model, photo, camera, boxes):
    """Megabytes that the process has held at most, after each way in the order of growing need."""
    peaks = {}
    for name, plan in planners(model).items():
        _, features = model.find(photo, camera)
        if plan:
            model.decode(features, plan(boxes, features.shape[1:3]))
        peaks[name] = peak_memory_mb()
    return peaks


def peak_memory_mb():
    """The most memory that this process has held so far, in megabytes; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def table(figures):
    """What :func:`benchmark_boxes` gives as lines of text."""
    costs, rate = figures["calibration"], figures["work_rate"]
    lines = [
        f"{figures['height']}x{figures['width']}, boxes from {figures['boxes_from']}; ms; ratios with 5 to 95 % range",
        f"{'boxes':>6}{'detect':>8}{'windows':>9}{'planned':>9}{'full':>7}{'planned / detect':>24}"
        f"{'planned / full':>22}{'head':>7}{'work':>7}",
    ]
    for name, row in figures["cases"].items():
        lines.append(
            f"{name:>6}{row['detect_ms']:>8.1f}{row['roi_ms']:>9.1f}{row['planned_ms']:>9.1f}{row['full_ms']:>7.1f}"
            f"{_ratio(row, 'planned_over_detect'):>24}{_ratio(row, 'planned_over_full'):>22}"
            f"{row['head_share']:>7.2f}{row['head_work']:>7.2f}"
        )
    lines.append(
        f"a window costs {costs['overhead_ms']:.2f} ms besides its sums: as much as "
        f"{costs['overhead_operations'] / 1e6:.1f} million multiplications"
    )
    lines.append(
        f"multiplications a second, as a share of a matrix product's: detection {rate['detection_share']:.2f}, "
        f"full depth head {rate['full_head_share']:.2f}"
    )
    peaks = [f"{name} {'-' if each is None else f'{each:.0f} MB'}" for name, each in figures["memory_mb"].items()]
    return "\n".join([*lines, f"memory, at most: {', '.join(peaks)}"])


def _ratio(row, name):
    low, high = row[f"{name}_range"]
    return f"{row[name]:.2f} ({low:.2f} to {high:.2f})"
