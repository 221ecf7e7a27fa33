"""On the clock: detection alone, ROI decoding and full decoding, interleaved in one run. Ratios, not records."""

import time

import numpy as np

from . import streets
from .model import RoiDepth


def benchmark(model, height=128, width=416, frames=12, rounds=10, seed=0):
    """Times one photo at a time on drawn streets with their labelled boxes.

    The boxes are those of the labels, so that the figures don't depend on how well the network was trained: the
    network runs as ever, then the windows around the labelled boxes are planned and decoded.

    Args:
        model: A `model.RoiDepth`.
        height, width: Size of the photos in pixels; multiples of 32.
        frames: How many streets.
        rounds: How often each is timed. The order changes every time; the first round only warms up.
        seed: Seed of the streets.

    Returns:
        A dictionary: ``detect_ms``, ``roi_ms``, ``full_ms`` medians for the whole frame; ``roi_head_ms``,
        ``full_head_ms`` for the depth head alone; ``roi_over_full``, ``roi_over_detect`` medians of the paired ratios
        with their 5 to 95 % range; ``head_share`` of the head in the full frame's time; ``head_work`` the counted
        work of the windows as a share of the full head's; ``boxes`` per frame.
    """
    if height % 32 or width % 32:
        raise ValueError(f"height and width must be multiples of 32, got {height}x{width}")
    scenes = [streets.draw_street([seed, index], height, width) for index in range(frames)]
    cases = [_prepare(model, scene) for scene in scenes]
    generator = np.random.default_rng(seed)
    times = {"detect": [], "roi": [], "full": []}
    for repeat in range(rounds + 1):
        for case in generator.permutation(len(cases)):
            for kind in generator.permutation(list(times)):
                total, head = _time_one(model, *cases[case], kind)
                if repeat > 0:
                    times[kind].append((case, total, head))
    # Sorted by frame: the three lists line up, and a ratio compares times of the same frame, moments apart.
    ordered = {kind: np.array(sorted(rows, key=lambda row: row[0])) * 1000 for kind, rows in times.items()}
    return _summary(ordered, cases, height, width)


def _prepare(model, scene):
    boxes = np.array([each.box for each in scene.select("Car", "Pedestrian", "Cyclist")]).reshape(-1, 4)
    inputs = {"image": scene.image[None].astype("float32"), "camera": scene.camera.vector[None]}
    return inputs, boxes


def _time_one(model: RoiDepth, inputs, boxes, kind):
    """Seconds for the whole frame and for planning and decoding."""
    start = time.perf_counter()
    features = np.asarray(model.detector.predict_on_batch(inputs)["features"])
    middle = time.perf_counter()
    if kind != "detect":
        model.decode(features, model.plan(boxes, features.shape[1:3], kind))
    end = time.perf_counter()
    return end - start, end - middle


def _summary(times, cases, height, width):
    total = {kind: rows[:, 1] for kind, rows in times.items()}
    head = {kind: rows[:, 2] for kind, rows in times.items()}
    return {
        "height": height,
        "width": width,
        "frames": len(cases),
        "boxes": float(np.mean([len(boxes) for _, boxes in cases])),
        "detect_ms": float(np.median(total["detect"])),
        "roi_ms": float(np.median(total["roi"])),
        "full_ms": float(np.median(total["full"])),
        "roi_head_ms": float(np.median(head["roi"])),
        "full_head_ms": float(np.median(head["full"])),
        "roi_over_full": float(np.median(total["roi"] / total["full"])),
        "roi_over_full_range": _range(total["roi"] / total["full"]),
        "roi_over_detect": float(np.median(total["roi"] / total["detect"])),
        "roi_over_detect_range": _range(total["roi"] / total["detect"]),
        "head_share": float(np.median(head["full"] / total["full"])),
    }


def _range(ratios):
    return [float(value) for value in np.quantile(ratios, [0.05, 0.95])]
