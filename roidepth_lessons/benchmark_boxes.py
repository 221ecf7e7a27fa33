"""How the time of a frame grows with its boxes, on the boxes of real frames; and what a window costs on this machine.

The planner counts multiplications. A window costs time besides, however small it is; :func:`calibrate` measures how
many multiplications that time is worth here, and `roi.plan_windows` takes that into account.
"""

import sys

import numpy as np
from keras import ops
from scipy.optimize import nnls

from . import CLASSES, depth, roi, streets
from .benchmark import (
    check_size,
    detection_work,
    interleave,
    padded_size,
    planners,
    seconds_of,
    summarise_times,
    time_cases,
)

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
    plans = planners(model)
    overhead = calibration["overhead_operations"]
    plans["planned"] = lambda boxes, size: roi.plan_windows(boxes, *_cells(size), model.head_work, overhead=overhead)
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
        "work_rate": work_rate(model, height, width, seed=seed), "memory_mb": memory,
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
    """Times the depth head on one window and on several, of many sizes: a call costs something, each window in it, and
    each multiplication.

    Args:
        model: A `model.RoiDepth`.
        height, width: Size of the photo in pixels.
        rounds: How often each is decoded, interleaved; two more rounds warm up.
        seed: Of the features and of the order.

    Returns:
        A dictionary, see :func:`fit_costs`; ``overhead_operations`` is what `roi.plan_windows` takes.
    """
    generator = np.random.default_rng(seed)
    rows, columns = height // roi.STRIDE, width // roi.STRIDE
    shares = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
    sizes = sorted({(max(1, round(rows * a)), max(1, round(columns * b))) for a in shares for b in (a / 2, a)})
    several = [(size, 4) for size in sizes if size[0] * size[1] <= rows * columns / 8]
    plans = [
        same_windows(model, *size, count, rows, columns) for size, count in [(size, 1) for size in sizes] + several
    ]
    channels = model.depth_head.input_shape[-1]
    features = generator.normal(size=(1, *padded_size(height, width), channels))
    features = ops.convert_to_tensor(features.astype("float32"))
    seconds = np.zeros((rounds + 2, len(plans)))
    for repeat in range(rounds + 2):
        for number in generator.permutation(len(plans)):
            seconds[repeat, number] = seconds_of(model.decode, features, plans[number])
    return fit_costs(
        [plan.windows for plan in plans], [plan.work for plan in plans], 1000 * np.median(seconds[2:], axis=0)
    )


def same_windows(model, rows, columns, count, all_rows, all_columns):
    """A plan of windows of one size, side by side from the upper left corner on as far as there is room.

    Args:
        model: A `model.RoiDepth`.
        rows, columns: Of each window, in cells.
        count: How many windows.
        all_rows, all_columns: Of the photo, in cells.

    Returns:
        A `roi.Plan` for no boxes.
    """
    across = max(1, all_columns // columns)
    corners = [(number // across * rows, number % across * columns) for number in range(count)]
    windows = np.array([[top, left, top + rows, left + columns] for top, left in corners])
    work, full = (float(model.head_work(*size)) for size in ((rows, columns), (all_rows, all_columns)))
    return roi.Plan("windows", windows, np.zeros(0, int), np.zeros((0, 4), int), count * work, full)


def fit_costs(windows, operations, milliseconds):
    """What a call, a window and a multiplication cost, none less than nothing: least squares of the relative errors.

    Args:
        windows: Of every timed call, its windows (k, 4) in cells.
        operations: Multiplications of each call.
        milliseconds: What each took.

    Returns:
        A dictionary: ``call_ms``, ``overhead_ms`` per window and ``operations_per_ms``; ``overhead_operations``, the
        second times the third; ``windows``, a row for each call: ``rows`` and ``columns`` of the first window,
        ``count``, ``operations``, ``ms`` measured and ``fitted_ms``.
    """
    operations, milliseconds = np.asarray(operations, float), np.asarray(milliseconds, float)
    counts = np.array([len(each) for each in windows])
    costs = np.stack([np.ones(len(counts)), counts, operations], axis=1)
    scale = costs.max(axis=0)  # the unknowns are of very different sizes
    found, _ = nnls(costs / scale / milliseconds[:, None], np.ones(len(counts)))
    call, overhead, slope = found / scale
    sides = [(int(each[0][2] - each[0][0]), int(each[0][3] - each[0][1])) for each in windows]
    rows = zip(sides, counts, operations, milliseconds, costs @ (found / scale), strict=True)
    return {
        "call_ms": float(call),
        "overhead_ms": float(overhead),
        "operations_per_ms": float(1 / slope),
        "overhead_operations": float(overhead / slope),
        "windows": [
            {
                "rows": side[0], "columns": side[1], "count": int(count), "operations": float(number),
                "ms": float(ms), "fitted_ms": float(fitted),
            }
            for side, count, number, ms, fitted in rows
        ],
    }  # fmt: skip


# Against the machine -------------------------------------------------------------------------------------------------


def work_rate(model, height, width, size=1024, rounds=15, seed=0):
    """Multiplications with additions a second, beside those of a matrix product on the same machine, moments apart.

    Args:
        model: A `model.RoiDepth`.
        height, width: Of the photo, in pixels.
        size: Rows and columns of the matrices, float32.
        rounds: How often each is timed, interleaved; one more round warms up.
        seed: Of the order.

    Returns:
        ``matrix_product``, ``detection`` and ``full_head``, medians in 10^9 a second; ``detection_share`` and
        ``full_head_share`` of the first, medians of the rounds' ratios.
    """
    scene = streets.draw_street(seed, height, width)
    _, features = model.find(scene.image, scene.camera)
    full = model.plan([], padded_size(height, width), "full")
    matrix = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(size, size)).astype("float32"))
    cells = height // roi.STRIDE, width // roi.STRIDE
    detection = detection_work(model, height, width)
    operations = {"matrix_product": size**3, "detection": detection, "full_head": float(model.head_work(*cells))}
    timers = {
        "matrix_product": lambda: seconds_of(lambda: ops.convert_to_numpy(ops.matmul(matrix, matrix))),
        "detection": lambda: seconds_of(model.find, scene.image, scene.camera),
        "full_head": lambda: seconds_of(model.decode, features, full),
    }
    rates = {name: operations[name] / each / 1e9 for name, each in interleave(timers, [()], rounds, seed).items()}
    shares = {name: float(np.median(rates[name] / rates["matrix_product"])) for name in ("detection", "full_head")}
    medians = {name: float(np.median(each)) for name, each in rates.items()}
    return medians | {f"{name}_share": share for name, share in shares.items()}


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
        f"a call costs {costs['call_ms']:.2f} ms, each window in it {costs['overhead_ms']:.2f} ms besides its sums: "
        f"as much as "
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
